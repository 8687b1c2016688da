//! The upstream: race results for whoever asks. It knows nothing of DPoP, and believes the headers
//! that it gets.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::Path,
    http::{HeaderMap, StatusCode},
    routing::get,
};
use serde::Serialize;

/// One race.
#[derive(Clone, Copy, Debug, Serialize)]
struct Race {
    round: u8,
    race: &'static str,
    winner: &'static str,
    team: &'static str,
}

const SEASON: [Race; 3] = [
    Race {
        round: 1,
        race: "Bahrain Grand Prix",
        winner: "Max Verstappen",
        team: "Red Bull",
    },
    Race {
        round: 2,
        race: "Saudi Arabian Grand Prix",
        winner: "Max Verstappen",
        team: "Red Bull",
    },
    Race {
        round: 3,
        race: "Australian Grand Prix",
        winner: "Carlos Sainz",
        team: "Ferrari",
    },
];

/// `/f1-results` and `/f1-results/{round}` of the season of 2024, `/whoami` with the headers that the
/// gateway set, and `/healthz`.
pub fn router() -> Router {
    Router::new()
        .route("/f1-results", get(async || Json(SEASON)))
        .route("/f1-results/{round}", get(race))
        .route("/whoami", get(who_am_i))
        .route("/healthz", get(async || "ok\n"))
}

async fn race(Path(round): Path<u8>) -> Result<Json<Race>, StatusCode> {
    let mut races = SEASON.into_iter();
    races
        .find(|race| race.round == round)
        .map(Json)
        .ok_or(StatusCode::NOT_FOUND)
}

/// Every header that came, so that one sees what is there and what is not.
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
