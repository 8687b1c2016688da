//! Requests as captures have them: HARs, curl commands, raw messages and the output of `curl -v`.

use dpop_cli::inspect::{self, Options, Outcome};
use dpop_tower::{clock::UnixTime, test_util::TestClient};
use http::Request;
use serde_json::{Value, json};

use super::{NOW, Parties, URL, failed, raw, report};

/// NOW as a HAR and a `Date` header write it.
const STARTED: &str = "2027-01-15T08:00:00.250Z";
const DATE: &str = "Fri, 15 Jan 2027 08:00:00 GMT";

/// Returns an entry of a HAR with this request, and a response with these headers.
fn entry<B>(request: &Request<B>, status: u16, headers: &[(&str, &str)]) -> Value {
    let fields = request.headers().iter();
    let fields: Vec<Value> = fields
        .map(|(name, value)| json!({"name": name.as_str(), "value": value.to_str().unwrap()}))
        .collect();
    let answer: Vec<Value> = (headers.iter())
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    json!({
        "startedDateTime": STARTED,
        "time": 12.5,
        "request": {
            "method": request.method().as_str(),
            "url": format!("https://api.test{}", request.uri()),
            "headers": fields,
        },
        "response": { "status": status, "headers": answer, "content": { "size": 0 } },
    })
}

fn har(entries: &[Value]) -> String {
    json!({ "log": { "version": "1.2", "entries": entries } }).to_string()
}

#[test]
fn a_har_shows_a_proof_that_was_used_twice_and_where() {
    let parties = Parties::new();
    let token = parties.token();
    let first = parties.client.get(URL, &token);
    let page = Request::get("/").body(()).unwrap();
    let har = har(&[
        entry(&page, 200, &[]),
        entry(&first, 200, &[("date", DATE)]),
        entry(&parties.client.get(URL, &token), 200, &[("date", DATE)]),
        entry(&first, 401, &[("date", DATE)]),
    ]);
    let report = report(har, &parties.options());
    assert_eq!(report.input(), "HAR");
    assert_eq!(report.notes(), ["3 of 4 entries have to do with DPoP"]);
    let [one, two, again, answer] = report.items() else {
        panic!("{report:?}");
    };
    assert_eq!((one.reason(), two.reason()), (None, None));
    assert_eq!(again.reason(), Some("proof_replayed"));
    assert_eq!(again.clause(), Some("RFC 9449 section 11.1"));
    let text = report.to_json().to_string();
    assert!(text.contains("entry 2 has the same proof"), "{text}");
    assert_eq!(answer.title(), "entry 4: response with status 401");
    assert_eq!(report.reason(), Some("proof_replayed"));
}

#[test]
fn the_date_of_the_response_shows_a_skewed_clock() {
    let parties = Parties::new();
    let request = parties.client.get(URL, &parties.token());
    for (date, reason, told) in [
        (DATE, None, None),
        (
            "Fri, 15 Jan 2027 09:00:00 GMT",
            Some("proof_too_old"),
            Some("the client's clock is 3600 s (about 60 min) behind the server's"),
        ),
        (
            "Fri, 15 Jan 2027 07:59:00 GMT",
            Some("proof_from_future"),
            Some("the client's clock is 60 s ahead of the server's"),
        ),
    ] {
        let har = har(&[entry(&request, 401, &[("Date", date)])]);
        let report = report(har, &parties.options());
        let item = &report.items()[0];
        assert_eq!(item.reason(), reason, "{date}");
        let note = item.notes().iter().find(|note| note.contains("clock is"));
        assert_eq!(note.map(String::as_str), told);
    }
    // The proof is later than the server's clock by so much.
    let har = har(&[entry(
        &request,
        401,
        &[("Date", "Fri, 15 Jan 2027 07:59:00 GMT")],
    )]);
    let json = report(har, &parties.options()).to_json().to_string();
    assert!(
        json.contains("2027-01-15T08:00:00Z is 60 s after the server's Date"),
        "{json}"
    );
}

#[test]
fn a_challenge_for_a_nonce_is_settled_by_a_request_with_this_nonce() {
    let parties = Parties::new();
    let token = parties.token();
    let challenge = [
        (
            "www-authenticate",
            "DPoP error=\"use_dpop_nonce\", algs=\"ES256\"",
        ),
        ("dpop-nonce", "n-0S6"),
    ];
    let first = entry(&parties.client.get(URL, &token), 401, &challenge);
    let second = |nonce: &str| {
        let proof = parties
            .client
            .proof("GET", URL)
            .access_token(&token)
            .nonce(nonce);
        let client = &parties.client;
        let request = client.request_with_proof(http::Method::GET, URL, &token, &proof.sign());
        entry(&request, 200, &[])
    };
    for (nonce, reason) in [("n-0S6", None), ("other", Some("use_dpop_nonce"))] {
        let har = har(&[first.clone(), second(nonce)]);
        let report = report(har, &parties.options());
        assert_eq!(report.reason(), reason, "{nonce}");
        assert_eq!(report.is_rejected_by_server(), reason.is_some());
    }
}

#[test]
fn a_har_without_authorization_takes_the_token_from_a_file() {
    let parties = Parties::new();
    let token = parties.token();
    let mut request = parties.client.get(URL, &token);
    request.headers_mut().remove("authorization");
    let har = har(&[entry(&request, 200, &[])]);
    let options = parties.options();
    assert_eq!(report(&har, &options).reason(), Some("credentials_missing"));
    let options = Options {
        token: Some(token),
        ..options
    };
    assert_eq!(report(&har, &options).reason(), None);
}

#[test]
fn a_har_may_lack_what_nobody_needs_and_bad_entries_are_counted() {
    let parties = Parties::new();
    let good = entry(&parties.client.get(URL, &parties.token()), 200, &[]);
    let mut sparse = good.clone();
    for (name, value) in [("time", Value::Null), ("startedDateTime", Value::Null)] {
        sparse[name] = value;
    }
    sparse["response"] = json!({"status": 0, "content": null});
    let mut bad = good;
    bad["request"]["headers"] = json!([{"name": "a b", "value": ""}]);
    let report = report(har(&[sparse, bad]), &parties.options());
    assert_eq!(report.reason(), None);
    let note = "1 of 2 entries have to do with DPoP, and 1 cannot be read";
    assert_eq!(report.notes(), [note]);
    let text = report.to_text(false);
    assert!(
        text.contains("✓ htm is the method of the request"),
        "{text}"
    );
}

#[test]
fn a_har_of_something_else_says_so() {
    let page = Request::get("/").body(()).unwrap();
    for (input, told) in [
        (har(&[entry(&page, 200, &[])]), "none of the 1 entries"),
        (
            json!({"log": {}}).to_string(),
            "neither a HAR nor a token response",
        ),
        ("{".to_owned(), "neither a HAR nor a token response"),
    ] {
        let error = inspect::inspect(input.as_bytes(), &Options::default(), NOW).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
    }
}

/// Returns the headers of a valid request as options of curl.
fn curl_headers(request: &Request<()>) -> (String, String) {
    let value = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
    (value("authorization"), value("dpop"))
}

#[test]
fn a_curl_command_is_read_in_every_spelling_that_is_copied() {
    let parties = Parties::new();
    let token = parties.token();
    let (get, get_proof) = curl_headers(&parties.client.get(URL, &token));
    let (_, post_proof) = curl_headers(&parties.client.request(http::Method::POST, URL, &token));
    let get_with = |rest: &str| format!("curl {rest} -H 'Authorization: {get}'");
    for (command, reason) in [
        // As Chrome and Firefox copy it.
        (
            format!(
                "curl '{URL}?page=2' \\\n  -H 'accept: */*' \\\n  -H 'authorization: {get}' \\\n  -H 'dpop: \
                 {get_proof}' \\\n  --compressed"
            ),
            None,
        ),
        (
            format!(
                "curl '{URL}' -X POST -H 'Authorization: {get}' -H 'DPoP: {post_proof}' --data-raw '{{\"a\":\"it'\\''s\"}}'"
            ),
            None,
        ),
        // As documentation writes it.
        (
            format!("$ curl -sS -i \"{URL}\" -H \"Authorization: {get}\" -H \"DPoP: {get_proof}\""),
            None,
        ),
        (
            get_with(&format!("--url={URL} --header='DPoP: {get_proof}'")),
            None,
        ),
        (
            get_with(&format!("-o out -XGET {URL} -H'DPoP: {get_proof}'")),
            None,
        ),
        (
            get_with(&format!("-d a=b {URL} -H 'DPoP: {post_proof}'")),
            None,
        ),
        (
            get_with(&format!("-d a=b {URL} -H 'DPoP: {get_proof}'")),
            Some("proof_htm_mismatch"),
        ),
        (
            get_with(&format!("-I {URL} -H 'DPoP: {get_proof}'")),
            Some("proof_htm_mismatch"),
        ),
        (
            get_with(&format!("-G -d a=b {URL} -H 'DPoP: {get_proof}'")),
            None,
        ),
        (
            get_with(&format!("{URL}/7 -H 'DPoP: {get_proof}'")),
            Some("proof_htu_mismatch"),
        ),
        // Without a scheme, curl uses plain http.
        (
            get_with(&format!("api.test/orders -H 'DPoP: {get_proof}'")),
            Some("proof_htu_mismatch"),
        ),
        (get_with(URL), Some("proof_missing")),
        (
            format!("curl {URL} --oauth2-bearer {token} -H 'DPoP: {get_proof}'"),
            Some("token_scheme_not_accepted"),
        ),
    ] {
        let report = report(&command, &parties.options());
        assert_eq!(report.input(), "curl command");
        assert_eq!(report.reason(), reason, "{command}");
    }
}

#[test]
fn a_curl_command_with_a_shell_variable_says_so() {
    let command = format!("curl -H \"Authorization: DPoP $TOKEN\" -H \"DPoP: $PROOF\" {URL}");
    let report = report(command, &Options::default());
    assert_eq!(report.reason(), Some("credentials_malformed"));
    let notes = report.items()[0].notes().join("\n");
    assert!(
        notes.contains("Authorization has a shell variable"),
        "{notes}"
    );
    assert!(notes.contains("DPoP has a shell variable"), "{notes}");
}

#[test]
fn a_raw_request_is_for_the_url_of_its_host_or_of_the_options() {
    let parties = Parties::new();
    let token = parties.token();
    let request = parties.client.get(URL, &token);
    let good = String::from_utf8(raw(&request)).unwrap();
    let options = parties.options();
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = options.clone();
        change(&mut options);
        options
    };
    for (input, options, reason) in [
        (good.clone(), options.clone(), None),
        (good.replace("\r\n", "\n"), options.clone(), None),
        (
            good.replace("api.test", "evil.test"),
            options.clone(),
            Some("proof_htu_mismatch"),
        ),
        (
            good.replace("api.test", "127.0.0.1:8080"),
            with(&|options| options.origin = Some("https://api.test".to_owned())),
            None,
        ),
        (
            good.clone(),
            with(&|options| options.url = Some("https://api.test/other?a".to_owned())),
            Some("proof_htu_mismatch"),
        ),
        (
            good.clone(),
            with(&|options| options.method = Some("PUT".to_owned())),
            Some("proof_htm_mismatch"),
        ),
        (
            good.clone(),
            with(&|options| options.audience = Some("https://other.test".to_owned())),
            Some("token_audience_mismatch"),
        ),
        (
            good.clone(),
            with(&|options| options.nonce = Some("abc".to_owned())),
            Some("proof_nonce_missing"),
        ),
    ] {
        assert_eq!(report(&input, &options).reason(), reason, "{input}");
    }
    let without_host = good.replace("host: api.test\r\n", "");
    let error = inspect::inspect(without_host.as_bytes(), &options, NOW).unwrap_err();
    assert!(error.to_string().contains("no Host"), "{error}");
}

#[test]
fn the_output_of_curl_v_is_a_request_with_its_response() {
    let parties = Parties::new();
    let request = String::from_utf8(raw(&parties.client.get(URL, &parties.token()))).unwrap();
    let sent: String = request.lines().map(|line| format!("> {line}\n")).collect();
    let output = format!(
        "* Connected to api.test\n{sent}< HTTP/2 401\n< date: {DATE}\n< www-authenticate: DPoP \
         error=\"invalid_token\", algs=\"ES256\"\n< \n{{ [5 bytes data]\n"
    );
    let report = inspect::inspect(
        output.as_bytes(),
        &parties.options(),
        UnixTime::from_secs(1_900_000_000),
    );
    let report = report.unwrap();
    let [request, response] = report.items() else {
        panic!("{report:?}");
    };
    assert_eq!(request.reason(), None, "{request:?}");
    assert_eq!(response.reason(), Some("invalid_token"));
    assert!(report.is_rejected_by_server());
}

#[test]
fn all_mistakes_of_a_request_are_shown_and_the_first_is_the_reason() {
    let parties = Parties::new();
    let token = parties.token();
    let thief = TestClient::new();
    let proof = (parties.client.proof("POST", "https://api.test/Orders"))
        .access_token("another token")
        .claim("iat", NOW.as_secs() - 600)
        .signed_by(&thief);
    let client = &parties.client;
    let request = client.request_with_proof(http::Method::GET, URL, &token, &proof.sign());
    let options = Options {
        audience: Some("https://other.test".to_owned()),
        ..parties.options()
    };
    let report = report(raw(&request), &options);
    assert_eq!(report.reason(), Some("proof_htm_mismatch"));
    assert_eq!(
        failed(&report.items()[0]),
        [
            "proof_htm_mismatch",
            "proof_htu_mismatch",
            "proof_too_old",
            "proof_ath_mismatch",
            "token_audience_mismatch",
            "proof_signature_invalid",
        ]
    );
}

#[test]
fn a_token_request_has_a_proof_and_no_token() {
    let client = Parties::new().client;
    let url = "https://issuer.test/token";
    let proof = client.proof("POST", url).sign();
    let command = format!("curl {url} -d grant_type=client_credentials -H 'DPoP: {proof}'");
    let report = report(command, &Options::default());
    assert_eq!(report.reason(), None);
    assert_eq!(
        report.items()[0].title(),
        "token request POST https://issuer.test/token"
    );
}

#[test]
fn what_is_not_given_is_not_checked_and_the_report_says_so() {
    let parties = Parties::new();
    let request = raw(&parties.client.get(URL, &parties.token()));
    let report = report(request, &Options::default());
    assert_eq!(report.reason(), None);
    let names: Vec<&str> = report
        .not_checked()
        .iter()
        .map(|check| check.name())
        .collect();
    assert_eq!(
        names,
        [
            "iss is the issuer",
            "aud names this API",
            "the token's signature"
        ]
    );
    let signature = report.items()[0].checks().iter();
    let mut signature = signature.filter(|check| check.name() == "the proof's signature");
    assert_eq!(signature.next().unwrap().outcome(), Outcome::Passed);
}
