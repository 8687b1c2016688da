//! The service. It does not know about proofs.

use std::pin::Pin;

use dpop_tower::grpc::RequestExt as _;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use crate::proto::{
    Offer, Order, PlaceRequest, QuoteRequest, Stage, Summary, WatchRequest, orders_server::Orders,
};

const STAGES: [&str; 3] = ["accepted", "packed", "sent"];
const CENTS_EACH: u64 = 250;

/// Answers orders without storing anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct OrderDesk;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Returns the subject of the token. The layer has admitted the call, so there is one.
fn subject<T>(request: &Request<T>) -> Result<String, Status> {
    let subject = request.bound_token()?.claims().subject();
    Ok(subject.unwrap_or_default().to_owned())
}

#[tonic::async_trait]
impl Orders for OrderDesk {
    type WatchStream = Answers<Stage>;
    type QuoteStream = Answers<Offer>;

    async fn place(&self, request: Request<PlaceRequest>) -> Result<Response<Order>, Status> {
        let subject = subject(&request)?;
        let PlaceRequest { item, quantity } = request.into_inner();
        if quantity == 0 {
            return Err(Status::invalid_argument("the order is empty"));
        }
        Ok(Response::new(Order {
            subject,
            item,
            quantity,
        }))
    }

    async fn watch(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let subject = subject(&request)?;
        let stages = STAGES.map(|name| {
            Ok(Stage {
                subject: subject.clone(),
                name: name.to_owned(),
            })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(stages))))
    }

    async fn place_all(
        &self,
        request: Request<Streaming<PlaceRequest>>,
    ) -> Result<Response<Summary>, Status> {
        let mut summary = Summary {
            subject: subject(&request)?,
            ..Summary::default()
        };
        let mut orders = request.into_inner();
        while let Some(order) = orders.message().await? {
            summary.orders = summary.orders.saturating_add(1);
            summary.items = summary.items.saturating_add(order.quantity.into());
        }
        Ok(Response::new(summary))
    }

    async fn quote(
        &self,
        request: Request<Streaming<QuoteRequest>>,
    ) -> Result<Response<Self::QuoteStream>, Status> {
        let subject = subject(&request)?;
        let offers = request.into_inner().map(move |request| {
            let QuoteRequest { item, quantity } = request?;
            Ok(Offer {
                subject: subject.clone(),
                item,
                cents: u64::from(quantity).saturating_mul(CENTS_EACH),
            })
        });
        Ok(Response::new(Box::pin(offers)))
    }
}
