"""Proofs for gRPC calls, made with the DPoP keys of requests_oauth2client."""

import hashlib
from base64 import urlsafe_b64encode
from collections import namedtuple

import grpc
from requests_oauth2client import DPoPKey, DPoPToken

_CallDetails = namedtuple("_CallDetails", ("method", "timeout", "metadata", "credentials", "wait_for_ready", "compression"))


class _WithMetadata(_CallDetails, grpc.ClientCallDetails):
    pass


def ath(token: str) -> str:
    digest = hashlib.sha256(token.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def headers(token: DPoPToken, htu: str, *, key: DPoPKey | None = None, htm: str = "POST", **claims: str | None):
    """What goes with one call; `key` and `claims` other than the good ones are for tests."""
    claims = {"ath": ath(token.access_token), **claims}
    proof = (key or token.dpop_key).proof(htm=htm, htu=htu, **claims)
    return [("authorization", f"DPoP {token.access_token}"), ("dpop", str(proof))]


class Proofs(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds the token and a new proof to each call of the server with this origin."""

    def __init__(self, origin: str, token: DPoPToken):
        self._origin, self._token = origin, token

    def _prove(self, proceed, details, request):
        # The method is the path: `/package.Service/Method`.
        proved = headers(self._token, self._origin + details.method)
        optional = (getattr(details, name, None) for name in ("credentials", "wait_for_ready", "compression"))
        metadata = [*(details.metadata or ()), *proved]
        return proceed(_WithMetadata(details.method, details.timeout, metadata, *optional), request)

    intercept_unary_unary = intercept_unary_stream = _prove
    intercept_stream_unary = intercept_stream_stream = _prove


def with_nonce(key: DPoPKey, call):
    """Calls, and calls once more with the nonce if all that was wrong is that the server wants one.

    `call` reads all answers: grpcio tells how a stream ended when that is read.
    """
    try:
        return call()
    except grpc.RpcError as error:
        told = dict(error.trailing_metadata())
        if 'error="use_dpop_nonce"' not in told.get("www-authenticate", ""):
            raise
        key.rs_nonce = told["dpop-nonce"]
        return call()
