//! Replaces `lifetime` if that feature is not enabled. No stream ends.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, Request};
use http_body::{Body, Frame};

use crate::{error::BoxError, token::TokenErrorKind};

pub(super) enum Watch {}

impl Watch {
    pub(super) fn poll_frame<B: Body>(
        &mut self,
        _: Pin<&mut B>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        match *self {}
    }

    pub(super) const fn is_over(&self) -> bool {
        match *self {}
    }

    pub(super) fn may_cut<B>(&self, _: &B) -> bool {
        match *self {}
    }
}

pub(super) enum Expiry {}

impl Expiry {
    pub(super) const fn begin<B>(_: &mut Request<B>) -> Option<Self> {
        None
    }

    pub(super) fn poll_request(&mut self, _: &mut Context<'_>) -> Poll<TokenErrorKind> {
        match *self {}
    }

    pub(super) const fn watch(&self, _: &HeaderMap) -> Result<Watch, TokenErrorKind> {
        match *self {}
    }
}
