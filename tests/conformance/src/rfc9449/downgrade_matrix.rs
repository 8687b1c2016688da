//! Section 7.2: every combination of the token's binding, the scheme that it is sent with, and the
//! policy of the route, as in docs/downgrade.md.

use crate::support::{Api, URL, Verdict, Way, Why};
use axum::{Router, body::to_bytes, extract::Request, routing::get};
use dpop_tower::{BearerToken, BoundToken, Policy, Report, test_util::TestClient};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};

cases! { rfc9449::downgrade_matrix as downgrade_matrix;
each_way [
    rfc_9449_section_7_2_the_downgrade_matrix,
]
}

/// Returns the ways to send a token, in the order of the columns.
fn requests(api: &Api, thief: &TestClient, token: &str) -> [HeaderMap; 6] {
    let proof = || api.proof(token).sign();
    let of_thief = || thief.proof("GET", URL).access_token(token).sign();
    [
        headers(&["Bearer"], token, None),
        headers(&["DPoP"], token, Some(proof())),
        headers(&["DPoP"], token, None),
        headers(&["DPoP"], token, Some(of_thief())),
        headers(&["Bearer", "DPoP"], token, Some(proof())),
        headers(&["Bearer"], token, Some(proof())),
    ]
}

fn headers(schemes: &[&str], token: &str, proof: Option<String>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for scheme in schemes {
        let value = HeaderValue::from_str(&format!("{scheme} {token}")).unwrap();
        headers.append(header::AUTHORIZATION, value);
    }
    if let Some(proof) = proof {
        headers.insert("dpop", HeaderValue::from_str(&proof).unwrap());
    }
    headers
}

/// Returns the contents of `cnf`, by the names of the rows. `None` is a token without the claim.
fn confirmations(jkt: &str) -> Vec<(&'static str, Vec<Option<Value>>)> {
    // RFC 8705 appendix A
    let x5t = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
    let hex = "0123456789abcdef".repeat(4);
    let other = TestClient::new().thumbprint().to_string();
    let some = |values: Vec<Value>| values.into_iter().map(Some).collect();
    vec![
        ("no `cnf`", vec![None]),
        ("`jkt`: the client's key", some(vec![json!({"jkt": jkt})])),
        (
            // RFC 7800 section 3.1: members that are not understood are ignored.
            "`jkt`, and members that are not known",
            some(vec![
                json!({"jkt": jkt, "new": {"x": 1}}),
                json!({"kid": "1", "jkt": jkt}),
            ]),
        ),
        ("`jkt`: another key", some(vec![json!({"jkt": other})])),
        (
            "`x5t#S256`",
            some(vec![
                json!({"x5t#S256": x5t}),
                json!({"x5t#S256": x5t, "new": 1}),
            ]),
        ),
        (
            "`jkt` and `x5t#S256`",
            some(vec![
                json!({"x5t#S256": x5t, "jkt": jkt}),
                json!({"x5t#S256": x5t, "jkt": jkt, "new": 1}),
            ]),
        ),
        (
            "only members that are not known",
            some(vec![
                json!({"jwk": {"kty": "EC"}}),
                json!({"kid": "1"}),
                json!({"new": {}}),
                json!({"JKT": jkt}),
                json!({"jkt ": jkt}),
                json!({"": jkt}),
            ]),
        ),
        (
            "malformed",
            some(vec![
                json!(null),
                json!([]),
                json!([{"jkt": jkt}]),
                json!(""),
                json!(jkt),
                json!(true),
                json!(false),
                json!(0),
                json!(7),
                json!({}),
                json!({"jkt": null}),
                json!({"jkt": 7}),
                json!({"jkt": true}),
                json!({"jkt": [jkt]}),
                json!({"jkt": {"jkt": jkt}}),
                json!({"jkt": ""}),
                json!({"jkt": format!("{jkt}=")}),
                json!({"jkt": format!("{jkt} ")}),
                json!({"jkt": format!("{jkt}A")}),
                json!({"jkt": jkt[..42]}),
                json!({"jkt": hex}),
                json!({"jkt": 7, "x5t#S256": x5t}),
                json!({"jkt": 7, "new": {}}),
                json!({"x5t#S256": null}),
                json!({"x5t#S256": 7}),
                json!({"x5t#S256": "x"}),
                json!({"x5t#S256": format!("{x5t}=")}),
                json!({"x5t#S256": null, "jkt": jkt}),
                json!({"x5t#S256": "", "jkt": jkt}),
            ]),
        ),
    ]
}

/// Reads the tables of the page: for each policy, the cells of each row.
fn page() -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/downgrade.md");
    let text = fs::read_to_string(path).unwrap();
    let mut tables = BTreeMap::new();
    for part in text.split("## `Policy::").skip(1) {
        let (policy, rest) = part.split_once("()`").unwrap();
        let rows = rest.lines().filter(|line| line.starts_with('|')).skip(2);
        let rows = rows.map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let name = cells.next().unwrap().to_owned();
            (name, cells.map(|cell| cell.replace('`', "")).collect())
        });
        tables.insert(policy.to_owned(), rows.collect());
    }
    tables
}

/// Returns an API whose response says how the request was admitted, in the words of the page.
fn router(api: &Api, policy: Policy) -> Router {
    async fn how(request: Request) -> String {
        let extensions = request.extensions();
        let tokens = match (
            extensions.get::<BoundToken>(),
            extensions.get::<BearerToken>(),
        ) {
            (Some(_), None) => "bound",
            (None, Some(_)) => "bearer",
            (None, None) => "passes",
            (Some(_), Some(_)) => "both",
        };
        match extensions.get::<Report>().and_then(Report::rejection) {
            Some(rejection) => format!("{tokens}, {}", rejection.reason()),
            None => tokens.to_owned(),
        }
    }
    async fn how_by_headers(headers: HeaderMap) -> String {
        let tokens = match (
            headers.contains_key("x-dpop-thumbprint"),
            headers.contains_key("x-dpop-subject"),
        ) {
            (true, true) => "bound",
            (false, true) => "bearer",
            (false, false) => "passes",
            (true, false) => "both",
        };
        match headers.get("x-dpop-report") {
            Some(reason) if reason != "admitted" => {
                format!("{tokens}, {}", reason.to_str().unwrap())
            }
            _ => tokens.to_owned(),
        }
    }
    let config = api.config().policy(policy).build().unwrap();
    let of = |handler| Router::new().route("/orders", handler);
    api.way
        .protect(config, of(get(how)), of(get(how_by_headers)))
}

/// Returns the outcome of a request, in the words of the page.
async fn outcome(way: Way, router: &Router, headers: HeaderMap) -> String {
    let mut request = http::Request::new(());
    *request.uri_mut() = "/orders".parse().unwrap();
    *request.headers_mut() = headers;
    let response = way.send(router.clone(), request).await;
    if let Some(why) = Why::of(&response) {
        assert_ne!(Verdict::of(response), Verdict::Admitted);
        return why.reason.to_owned();
    }
    assert_eq!(response.status(), StatusCode::OK);
    let body = to_bytes(response.into_body(), 100).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn rfc_9449_section_7_2_the_downgrade_matrix(way: Way) {
    let api = way.api();
    let thief = TestClient::new().clock(api.clock.clone());
    let jkt = api.client.thumbprint().to_string();
    let tables = page();
    let policies = [
        ("off", Policy::off()),
        ("optional", Policy::optional()),
        ("report_only", Policy::report_only()),
        ("strict", Policy::strict()),
    ];
    assert!(
        tables
            .keys()
            .map(String::as_str)
            .eq(policies.iter().map(|(name, _)| *name))
    );
    for (name, policy) in policies {
        let router = router(&api, policy);
        let mut rows = tables[name].clone();
        for (row, confirmations) in confirmations(&jkt) {
            let expected = rows.remove(row).unwrap_or_default();
            for cnf in confirmations {
                let token = match &cnf {
                    None => api.issuer.token(),
                    Some(cnf) => api.issuer.token().claim("cnf", cnf.clone()),
                };
                let token = token.mint();
                // The second time, the verdict on the token may come from the cache.
                for round in 0..2 {
                    let mut found = Vec::new();
                    for headers in requests(&api, &thief, &token) {
                        found.push(outcome(way, &router, headers).await);
                    }
                    assert_eq!(found, expected, "{name}, {row}, {cnf:?}, round {round}");
                }
            }
        }
        assert!(rows.is_empty(), "{name}: rows without a test: {rows:?}");
    }
}
