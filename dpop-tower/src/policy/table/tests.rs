use super::*;
use crate::{error::ConfigErrorKind, policy::Draft};

fn strict() -> Policy {
    Policy::strict()
}

fn table() -> PolicyTable {
    PolicyTable::builder()
        .route("/", Policy::optional())
        .route("/public/{*rest}", Policy::off())
        .route("/public/admin", strict().require_scope("admin"))
        .route("/orders/{id}", Policy::optional())
        .methods(
            "/orders/{id}",
            [Method::POST, Method::PUT],
            strict().require_scope("write"),
        )
        .methods("/reports", [Method::GET], Policy::report_only())
        .route("/pkg.Service/{*method}", Policy::off())
        .route("/pkg.Service/Delete", Policy::optional())
        .otherwise(strict())
        .build()
        .unwrap()
}

fn told(table: &PolicyTable, method: &Method, path: &str) -> String {
    match table.policy_for(method, path) {
        Ok(Some(policy)) => policy.to_string(),
        Ok(None) => "the configuration's".to_owned(),
        Err(MalformedPath) => "rejected".to_owned(),
    }
}

#[test]
fn the_narrowest_pattern_counts_and_the_method_within_it() {
    for (method, path, expected) in [
        (Method::GET, "/", "optional"),
        (Method::GET, "/public/x", "off"),
        (Method::GET, "/public/x/y", "off"),
        (Method::GET, "/public/admin", "strict, scope admin"),
        (Method::GET, "/orders/7", "optional"),
        (Method::DELETE, "/orders/7", "optional"),
        (Method::POST, "/orders/7", "strict, scope write"),
        (Method::PUT, "/orders/7", "strict, scope write"),
        (Method::GET, "/reports", "report_only"),
        (Method::HEAD, "/reports", "report_only"),
        (Method::POST, "/pkg.Service/Get", "off"),
        (Method::POST, "/pkg.Service/Delete", "optional"),
    ] {
        assert_eq!(told(&table(), &method, path), expected, "{method} {path}");
    }
}

#[test]
fn what_is_not_listed_gets_the_policy_that_was_named_for_it() {
    for (method, path) in [
        (Method::GET, "/unlisted"),
        (Method::GET, ""),
        (Method::OPTIONS, "*"),
        (Method::CONNECT, "api.test:443"),
        (Method::GET, "/public"),
        (Method::GET, "/public/"),
        (Method::GET, "/orders"),
        (Method::GET, "/orders/7/"),
        (Method::GET, "/orders/7/items"),
        (Method::GET, "/PUBLIC/x"),
        (Method::POST, "/reports"),
        (Method::OPTIONS, "/reports"),
    ] {
        assert_eq!(told(&table(), &method, path), "strict", "{method} {path}");
    }
    let rows = || PolicyTable::builder().route("/a", Policy::off());
    let closed = rows().otherwise(Policy::deny()).build().unwrap();
    assert_eq!(told(&closed, &Method::GET, "/b"), "deny");
    assert_eq!(told(&closed, &Method::GET, "/a"), "off");
    assert_eq!(told(&closed, &Method::GET, "/a/"), "deny");
    let unnamed = rows().build().unwrap();
    assert_eq!(told(&unnamed, &Method::GET, "/b"), "the configuration's");
    let empty = PolicyTable::builder().build().unwrap();
    assert_eq!(told(&empty, &Method::GET, "/"), "the configuration's");
}

#[test]
fn no_spelling_of_a_path_asks_for_less() {
    let table = PolicyTable::builder()
        .route(
            "/admin",
            strict()
                .require_scope("admin")
                .require_acr(["mfa"])
                .require_nonce(),
        )
        .otherwise(Policy::off())
        .build()
        .unwrap();
    let admin = told(&table, &Method::GET, "/admin");
    assert_eq!(admin, "strict, scope admin, acr mfa, nonce");
    for path in [
        "/%61dmin",
        "/%2561dmin",
        "//admin",
        "///admin",
        "/admin/",
        "/admin//",
        "/admin%2F",
        "/admin;x=1",
        "/admin%3Bx",
        "/ADMIN",
        "/%41dmin",
        "/admin%20",
        "/admin%2520",
        "/admin.",
        "/admin%C2%A0",
        "/admin%3Fa",
        "/admin%23a",
        "//evil.example/admin",
        "/%2Fadmin",
        "/adm\u{131}n",
        "/Admin;x/%20",
    ] {
        assert_eq!(told(&table, &Method::GET, path), admin, "{path}");
    }
    for path in [
        "/",
        "/index.html",
        "/Administration",
        "/admins",
        "/a/admin",
        "/%C3%A4",
        "/x//y/",
    ] {
        assert_eq!(told(&table, &Method::GET, path), "off", "{path}");
    }
}

#[test]
fn honest_requests_satisfy_the_rows_of_their_readings() {
    let table = PolicyTable::builder()
        .route("/projects/{id}", strict().require_scope("projects"))
        .route("/projects/{id}/{name}", strict().require_scope("files"))
        .route("/objects/{*key}", strict().require_scope("objects"))
        .route("/shop.Orders/{*method}", strict().require_scope("orders"))
        .route("/shop.Orders/Cancel", strict().require_scope("cancel"))
        .route("/caf%C3%A9", strict().require_scope("coffee"))
        .otherwise(strict())
        .build()
        .unwrap();
    for (path, expected) in [
        ("/projects/AbC-9", "strict, scope projects"),
        ("/projects/7;v=1", "strict, scope projects"),
        (
            "/projects/group%2Fproject",
            "strict, scope projects, scope files",
        ),
        ("/objects/a//b", "strict, scope objects"),
        ("/objects/2026/a%20b.txt", "strict, scope objects"),
        ("/objects/100%25", "strict, scope objects"),
        ("/shop.Orders/List", "strict, scope orders"),
        ("/shop.Orders/Cancel", "strict, scope cancel"),
        ("/shop.Orders/cancel", "strict, scope orders, scope cancel"),
        ("/SHOP.orders/Cancel", "strict, scope cancel"),
        ("/caf%C3%A9", "strict, scope coffee"),
        ("/CAF%C3%89", "strict, scope coffee"),
        ("/unlisted/Some%2Fthing", "strict"),
    ] {
        assert_eq!(told(&table, &Method::POST, path), expected, "{path}");
    }
}

#[test]
fn a_row_for_one_method_frees_no_other() {
    let table = PolicyTable::builder()
        .methods(
            "/orders/{id}",
            [Method::GET],
            strict().require_scope("read"),
        )
        .methods(
            "/orders/{id}",
            [Method::PUT],
            strict().require_scope("write"),
        )
        .route("/api/{*rest}", strict().require_scope("api"))
        .methods("/api/status", [Method::GET], Policy::optional())
        .methods("/api/v1/{*rest}", [Method::GET], Policy::off())
        .methods("/open", [Method::GET], Policy::off())
        .otherwise(strict())
        .build()
        .unwrap();
    for (method, path, expected) in [
        (Method::GET, "/orders/7", "strict, scope read"),
        (Method::HEAD, "/orders/7", "strict, scope read"),
        (Method::POST, "/orders/7", "strict, scope read, scope write"),
        (
            Method::CONNECT,
            "/orders/7",
            "strict, scope read, scope write",
        ),
        (Method::GET, "/api/status", "optional"),
        (Method::POST, "/api/status", "strict, scope api"),
        (Method::GET, "/api/v1/x", "off"),
        (Method::DELETE, "/api/v1/x", "strict, scope api"),
        (Method::GET, "/open", "off"),
        (Method::POST, "/open", "strict"),
    ] {
        assert_eq!(told(&table, &method, path), expected, "{method} {path}");
    }
}

#[test]
fn of_two_patterns_that_fit_and_neither_is_narrower_both_are_obeyed() {
    let table = PolicyTable::builder()
        .route("/a/{x}/secret", strict().require_scope("secret"))
        .route("/a/b/{*rest}", Policy::off())
        .route("/a/{x}/{y}", strict().require_scope("any"))
        .methods(
            "/{x}/b/secret",
            [Method::PUT],
            strict().require_scope("put"),
        )
        .otherwise(strict())
        .build()
        .unwrap();
    for (method, path, expected) in [
        (
            Method::PUT,
            "/a/b/secret",
            "strict, scope secret, scope put",
        ),
        (Method::GET, "/a/c/secret", "strict, scope secret"),
        (Method::GET, "/a/b/x", "strict, scope any"),
        (Method::GET, "/a/b/x/y", "off"),
        (Method::GET, "/a/c/x", "strict, scope any"),
    ] {
        let told = told(&table, &method, path);
        let sorted = |text: &str| {
            let mut parts: Vec<String> = text.split(", ").map(str::to_owned).collect();
            parts.sort();
            parts
        };
        assert_eq!(sorted(&told), sorted(expected), "{method} {path}");
    }
}

#[test]
fn patterns_that_differ_in_case_alone_are_obeyed_together() {
    let table = PolicyTable::builder()
        .route("/Admin", strict().require_scope("one"))
        .route("/admin", strict().require_scope("two"))
        .route("/a/{x}", strict().require_scope("three"))
        .route("/A/b", strict().require_scope("four"))
        .route("/dir/", strict().require_scope("five"))
        .otherwise(strict())
        .build()
        .unwrap();
    let all = |path| {
        let told = told(&table, &Method::GET, path);
        let mut scopes: Vec<String> = told.split(", scope ").skip(1).map(str::to_owned).collect();
        scopes.sort();
        scopes.join(" ")
    };
    assert_eq!(all("/admin"), "one two");
    assert_eq!(all("/Admin"), "one two");
    assert_eq!(all("/a/b"), "four three");
    assert_eq!(all("/a/c"), "three");
    assert_eq!(all("/dir/"), "five");
    assert_eq!(all("/dir"), "five");
}

#[test]
fn what_is_weaker_than_a_row_inside_of_it_is_told() {
    let weak = |builder: PolicyTableBuilder| builder.build().unwrap().weak_patterns();
    let rows = || PolicyTable::builder().route("/admin", strict());
    for builder in [
        rows().route("/{*rest}", Policy::off()),
        rows().route("/{*rest}", Policy::optional()),
        rows().methods("/{*rest}", [Method::GET], Policy::report_only()),
        rows().otherwise(Policy::off()),
        PolicyTable::builder()
            .route("/public/{*rest}", Policy::off())
            .route("/public/admin", Policy::optional()),
    ] {
        let warnings = weak(builder.clone());
        assert_eq!(warnings.len(), 1, "{builder:?}: {warnings:?}");
        assert!(warnings[0].contains("admin"), "{warnings:?}");
    }
    for builder in [
        rows().route("/{*rest}", strict()),
        rows().route("/public/{*rest}", Policy::off()),
        rows().otherwise(Policy::deny()),
        PolicyTable::builder()
            .route("/health", Policy::off())
            .otherwise(strict()),
    ] {
        assert!(weak(builder.clone()).is_empty(), "{builder:?}");
    }
}

#[test]
fn rows_without_an_effect_of_their_own_are_told() {
    let covered = |builder: PolicyTableBuilder| builder.build().unwrap().covered_rows();
    let rows = PolicyTable::builder;
    for (builder, told) in [
        (
            rows()
                .route("/orders", strict())
                .route("/Orders", Policy::off()),
            "the policy of `/Orders` (off) is never in force alone",
        ),
        (
            rows().route("/dir/", Policy::off()).route("/dir", strict()),
            "paths as those of other rows, whose policies apply as well: `/dir`",
        ),
        (
            rows().methods("/a", [Method::GET], strict()).methods(
                "/A",
                [Method::GET],
                Policy::optional(),
            ),
            "the policy of `GET /A` (optional) is never in force alone",
        ),
    ] {
        let warnings = covered(builder.clone());
        assert_eq!(warnings.len(), 1, "{builder:?}: {warnings:#?}");
        assert!(warnings[0].contains(told), "{warnings:#?}");
    }
    assert!(
        table().covered_rows().is_empty(),
        "{:#?}",
        table().covered_rows()
    );
    for builder in [
        rows()
            .route("/a/{x}/secret", strict())
            .route("/a/b/{*rest}", Policy::off()),
        rows()
            .route("/files/{*path}", Policy::off())
            .route("/files/secret", strict()),
        rows()
            .methods("/a", [Method::GET], Policy::optional())
            .route("/a", strict()),
        rows()
            .route("/", Policy::off())
            .route("/{*rest}", strict())
            .otherwise(Policy::deny()),
        rows().route("/orders", strict()).route("/Orders", strict()),
        rows().route("/dir", strict()).route("/dir/", strict()),
    ] {
        assert!(covered(builder.clone()).is_empty(), "{builder:?}");
    }
}

#[test]
fn rows_that_can_never_count_are_named() {
    use std::time::Duration;

    let one = |pattern: &str, policy: Policy<Draft>| PolicyTable::builder().route(pattern, policy);
    let draft = || strict().into_draft();
    for (builder, told) in [
        (one("/users/:id", draft()), "{id}"),
        (one("/files/*path", draft()), "{*path}"),
        (one("/a?b", draft()), "query"),
        (
            one("/a/{x}", draft()).route("/a/{*y}", draft()),
            "told apart",
        ),
        (one("/a", draft()).route("/a", draft()), "two policies"),
        (one("/{a}", draft()).route("/{b}", draft()), "two policies"),
        (
            PolicyTable::builder()
                .methods("/a", [Method::GET, Method::PUT], strict())
                .methods("/a", [Method::PUT], strict()),
            "two policies",
        ),
        (
            PolicyTable::builder().methods("/a", [], strict()),
            "no method",
        ),
        (one("/a", strict().require_scope("a b")), r#""a b""#),
        (one("/a", strict().require_scope("")), r#""""#),
        (one("/a", strict().require_any_scope([""; 0])), "no scopes"),
        (
            one("/a", strict().require_any_scope(["a", "b\""])),
            r#""b\"""#,
        ),
        (one("/a", strict().proof_algorithms([])), "no algorithm"),
        (one("/a", strict().require_acr([""; 0])), "no `acr`"),
        (one("/a", strict().require_acr([""])), "RFC 9470"),
        (
            one("/a", strict().require_acr(["a"]).require_acr(["b"])),
            "no `acr`",
        ),
        (
            one("/a", strict().require_claim("", |_| true)),
            "without a name",
        ),
        (
            one("/a", strict().max_proof_age(Duration::ZERO)),
            "max_proof_age is 0ns",
        ),
        (
            one("/a", strict().max_proof_age(Duration::from_millis(1500))),
            "max_proof_age is 1.5s",
        ),
        (
            one("/a", strict().max_auth_age(Duration::from_millis(900))),
            "900ms",
        ),
        (
            one("/a", Policy::off().require_scope("a")),
            "a scope, which is not looked at",
        ),
        (one("/a", Policy::off().require_nonce()), "a nonce"),
        (one("/a", Policy::deny().require_acr(["a"])), "`deny`"),
    ] {
        let error = builder.clone().build().unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Policy);
        assert!(error.to_string().contains(told), "{builder:?}: {error}");
    }
    let unlisted = PolicyTable::builder().otherwise(strict().require_scope("a b"));
    assert!(unlisted.build().is_err());
}
