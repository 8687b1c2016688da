//! Calls each method once and returns the outcome in words.

use tokio_stream::StreamExt as _;
use tonic::Status;

use crate::{
    client::{ProvingChannel, with_nonce},
    proto::{PlaceRequest, QuoteRequest, WatchRequest, orders_client::OrdersClient},
};

/// A client that makes a proof for each call.
pub type Client = OrdersClient<ProvingChannel>;

/// Returns a message that orders pears.
pub fn pears(quantity: u32) -> PlaceRequest {
    PlaceRequest {
        item: "pears".to_owned(),
        quantity,
    }
}

/// Makes a unary call.
///
/// # Errors
///
/// Returns the status of a failed call, as the other functions do.
pub async fn place(client: &Client) -> Result<String, Status> {
    let call = async || client.clone().place(pears(3)).await;
    let order = with_nonce(call).await?.into_inner();
    Ok(format!(
        "{} {} for {}",
        order.quantity, order.item, order.subject
    ))
}

/// Makes a call that is answered with a stream.
///
/// # Errors
///
/// Returns the same errors as [`place`].
pub async fn watch(client: &Client) -> Result<String, Status> {
    let request = WatchRequest {
        item: "pears".to_owned(),
    };
    let call = async || client.clone().watch(request.clone()).await;
    let stages = with_nonce(call).await?.into_inner();
    let stages: Vec<_> = stages.collect::<Result<_, _>>().await?;
    let names: Vec<_> = stages.iter().map(|stage| stage.name.as_str()).collect();
    Ok(names.join(", "))
}

/// Makes a call with a stream of requests.
///
/// # Errors
///
/// Returns the same errors as [`place`].
pub async fn place_all(client: &Client) -> Result<String, Status> {
    let call = async || {
        let orders = tokio_stream::iter([pears(3), pears(4)]);
        client.clone().place_all(orders).await
    };
    let summary = with_nonce(call).await?.into_inner();
    Ok(format!(
        "{} orders of {} for {}",
        summary.orders, summary.items, summary.subject
    ))
}

/// Makes a call with a stream in both directions.
///
/// # Errors
///
/// Returns the same errors as [`place`].
pub async fn quote(client: &Client) -> Result<String, Status> {
    let call = async || {
        let requests = tokio_stream::iter([1, 2]).map(|quantity| QuoteRequest {
            item: "pears".to_owned(),
            quantity,
        });
        client.clone().quote(requests).await
    };
    let offers = with_nonce(call).await?.into_inner();
    let offers: Vec<_> = offers.collect::<Result<_, _>>().await?;
    let cents: Vec<_> = offers.iter().map(|offer| offer.cents.to_string()).collect();
    Ok(format!("{} cents", cents.join(", ")))
}
