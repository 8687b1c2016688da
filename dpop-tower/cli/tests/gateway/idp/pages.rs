//! The pages of the issuer, and who may send their forms.

use super::*;

/// Returns the hidden field of the page that asks for a user.
fn request_of(page: &Answer) -> String {
    let (_, rest) = page.body.split_once("name=\"request\" value=\"").unwrap();
    rest.split('"').next().unwrap().replace("&amp;", "&")
}

#[tokio::test]
async fn the_page_offers_every_user_and_a_way_to_deny() {
    let rig = Rig::with(json!({ "sign_in": "form" })).await;
    let page = rig.authorize(&[("scope", "read")]).await;
    assert_eq!(page.status, 200);
    for user in ["alice", "bob", "Deny"] {
        assert!(page.body.contains(user), "{page:?}");
    }
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let request = request_of(&page);
    let answer = rig
        .post("/authorize", &[("request", &request), ("user", "bob")])
        .await;
    let code = answer.returned("code").unwrap();
    let tokens = rig.redeem(&rig.client, &code).await;
    assert_eq!(claims(&tokens.text("access_token"))["sub"], "bob");
    for fields in [
        [("request", &*request), ("deny", "yes")],
        [("request", &*request), ("user", "nobody")],
    ] {
        let answer = rig.post("/authorize", &fields).await;
        assert_eq!(answer.returned("error").as_deref(), Some("access_denied"));
    }
    let quiet = rig.authorize(&[("prompt", "none")]).await;
    assert_eq!(quiet.returned("error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn a_form_is_checked_again_when_it_comes_back() {
    let rig = Rig::with(json!({ "sign_in": "form" })).await;
    let page = rig.authorize(&[]).await;
    let changed = request_of(&page).replace("127.0.0.1", "evil.example");
    let answer = rig
        .post("/authorize", &[("request", &changed), ("user", "bob")])
        .await;
    assert_eq!((answer.status, answer.header("location")), (400, None));
}

#[tokio::test]
async fn a_form_of_another_site_is_rejected() {
    let rig = Rig::with(json!({ "sign_in": "form" })).await;
    let page = rig.authorize(&[]).await;
    let device = rig
        .post("/device_authorization", &[("client_id", "app")])
        .await;
    let (request, user_code) = (request_of(&page), device.text("user_code"));
    for (path, field) in [
        ("/authorize", ("request", &request)),
        ("/device", ("user_code", &user_code)),
    ] {
        let form = || rig.form(path, &[(field.0, field.1), ("user", "bob")]);
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let mut foreign = form();
            foreign.headers_mut().insert(name, value.parse().unwrap());
            assert_eq!(rig.send(foreign).await.status, 400, "{path} {name}");
        }
        let mut own = form();
        own.headers_mut()
            .insert("origin", rig.idp.url().parse().unwrap());
        assert_ne!(rig.send(own).await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn a_form_is_accepted_under_another_name_of_this_machine() {
    let rig = Rig::with(json!({ "sign_in": "form" })).await;
    let page = rig.authorize(&[]).await;
    let request = request_of(&page);
    let host = format!("localhost:{}", rig.address.port());
    for (origin, status) in [
        (format!("http://{host}"), 303),
        (format!("https://{host}"), 400),
        ("http://localhost:1".to_owned(), 400),
    ] {
        let mut form = rig.form("/authorize", &[("request", &*request), ("user", "bob")]);
        form.headers_mut().insert("host", host.parse().unwrap());
        form.headers_mut().insert("origin", origin.parse().unwrap());
        assert_eq!(rig.send(form).await.status, status, "{origin}");
    }
}

#[tokio::test]
async fn no_text_of_a_caller_becomes_part_of_a_page() {
    let users = json!([{ "subject": "\"'><img src=x>&" }]);
    let rig = Rig::with(json!({ "sign_in": "form", "users": users })).await;
    let page = rig.authorize(&[("state", "\"><script>")]).await;
    let escaped = "&quot;&#39;&gt;&lt;img src=x&gt;&amp;";
    assert!(page.body.contains(escaped), "{page:?}");
    for markup in ["<img", "src=x>", "<script"] {
        assert!(!page.body.contains(markup), "{page:?}");
    }
    let page = rig.get("/device?user_code=%3Cscript%3E").await;
    assert!(!page.body.contains("<script"), "{page:?}");
}

#[tokio::test]
async fn web_pages_of_listed_origins_can_use_the_endpoints_for_clients() {
    let rig = Rig::with(json!({ "cors_origins": ["http://localhost:5173"] })).await;
    let allowed = async |path: &str, origin: &str| {
        let request = Request::get(path).header("origin", origin);
        let answer = rig.send(request.body(String::new()).unwrap()).await;
        answer
            .header("access-control-allow-origin")
            .map(str::to_owned)
    };
    let own = Some("http://localhost:5173".to_owned());
    assert_eq!(allowed("/jwks", "http://localhost:5173").await, own);
    assert_eq!(allowed("/jwks", "https://evil.example").await, None);
    assert_eq!(allowed("/device", "http://localhost:5173").await, None);
}
