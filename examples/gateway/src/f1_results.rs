//! The upstream: race results for anyone who asks. It does not support DPoP, and trusts the headers that
//! it receives.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::Path,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use serde_json::{Value, json};

/// The start of the 2024 season.
const SEASON: [(&str, &str, &str); 3] = [
    ("Bahrain Grand Prix", "Max Verstappen", "Red Bull"),
    ("Saudi Arabian Grand Prix", "Max Verstappen", "Red Bull"),
    ("Australian Grand Prix", "Carlos Sainz", "Ferrari"),
];

/// Serves `/f1-results`, `/f1-results/{round}`, `/whoami` with the headers of the request, and
/// `/healthz`.
pub(crate) fn router() -> Router {
    Router::new()
        .route(
            "/f1-results",
            get(async || Json(races().collect::<Vec<_>>())),
        )
        .route("/f1-results/{round}", get(race))
        .route("/whoami", get(who_am_i))
        .route("/healthz", get(async || "ok\n"))
}

fn races() -> impl Iterator<Item = Value> {
    SEASON.into_iter().enumerate().map(|(i, (race, winner, team))| {
        json!({ "round": i + 1, "race": race, "winner": winner, "team": team })
    })
}

async fn race(Path(round): Path<usize>) -> Result<Json<Value>, StatusCode> {
    let race = round.checked_sub(1).and_then(|i| races().nth(i));
    race.map(Json).ok_or(StatusCode::NOT_FOUND)
}

/// Returns every header of the request, to show what the gateway sets and removes.
async fn who_am_i(headers: HeaderMap) -> Json<BTreeMap<String, String>> {
    let mut seen = BTreeMap::new();
    for (name, value) in &headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        seen.entry(name.to_string())
            .and_modify(|before: &mut String| *before = format!("{before}, {value}"))
            .or_insert(value);
    }
    Json(seen)
}
