//! No spelling of a path requires less than the path that a server makes of it.

use dpop_tower::{Mode, Policy, PolicyTable};
use http::Method;
use proptest::{collection::vec, prelude::*, sample::select};

use dpop_conformance::servers::{SERVERS, Server};

/// A row: its pattern and its mode. It also requires a scope of its own.
type Row = (String, Mode);

const METHOD: Method = Method::GET;

fn policy(mode: Mode) -> Policy {
    match mode {
        Mode::Off => Policy::off(),
        Mode::Optional => Policy::optional(),
        Mode::Strict => Policy::strict(),
        other => panic!("{other:?}"),
    }
}

fn scope(index: usize) -> String {
    format!("s{index}")
}

/// Returns `None` if the rows contradict each other.
fn table(rows: &[Row], fallback: Mode) -> Option<PolicyTable> {
    let mut builder = PolicyTable::builder();
    for (index, (pattern, mode)) in rows.iter().enumerate() {
        builder = match mode {
            Mode::Off => builder.route(pattern, Policy::off()),
            mode => builder.route(pattern, policy(*mode).require_scope(scope(index))),
        };
    }
    builder.otherwise(policy(fallback)).build().ok()
}

/// What a request needs: the mode that admits it, and scopes.
#[derive(Debug)]
struct Access {
    mode: Mode,
    scopes: Vec<String>,
}

impl Access {
    fn of(policy: &Policy) -> Self {
        let text = policy.to_string();
        let scopes = text.split(", scope ").skip(1).map(str::to_owned);
        Self {
            mode: policy.mode(),
            scopes: scopes.collect(),
        }
    }

    /// Whether everything that this admits is also admitted by `other`.
    fn is_within(&self, other: &Self) -> bool {
        let rank = |mode| match mode {
            Mode::Off => 0,
            Mode::Optional => 1,
            Mode::Strict => 2,
            other => panic!("{other:?}"),
        };
        rank(self.mode) >= rank(other.mode)
            && other.scopes.iter().all(|scope| self.scopes.contains(scope))
    }
}

fn segments(path: &str) -> Vec<&str> {
    path.strip_prefix('/').unwrap_or(path).split('/').collect()
}

/// Whether a pattern, as a route of the server, matches the path that the server has read.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (segments(pattern), segments(path));
    for (index, part) in pattern.iter().enumerate() {
        match (*part, path.get(index)) {
            ("{*rest}", Some(found)) => return !found.is_empty() || path.len() > index + 1,
            // As in axum, a parameter can be empty before a slash.
            ("{x}", Some(found)) if !found.is_empty() || index + 1 < pattern.len() => {}
            (fixed, Some(found)) if fixed == *found => {}
            _ => return false,
        }
    }
    pattern.len() == path.len()
}

/// Whether the first pattern matches only paths that the second matches.
fn is_narrower(one: &str, other: &str) -> bool {
    let (one, other) = (segments(one), segments(other));
    for (index, part) in other.iter().enumerate() {
        match (*part, one.get(index)) {
            ("{*rest}", Some(ours)) => return !ours.is_empty() || one.len() > index + 1,
            ("{x}", Some(ours)) if *ours != "{*rest}" && !ours.is_empty() => {}
            (fixed, Some(ours)) if fixed == *ours => {}
            _ => return false,
        }
    }
    one.len() == other.len()
}

/// Returns the policy of the path that a server ends up with, according to which routes the server
/// considers the same.
fn end_of(server: &Server, rows: &[Row], fallback: Mode, path: &str) -> Access {
    let routes: Vec<(usize, String, Mode)> = (rows.iter().enumerate())
        .map(|(index, (pattern, mode))| (index, server.read(pattern), *mode))
        .collect();
    let fitting: Vec<_> = routes
        .iter()
        .filter(|(_, route, _)| fits(route, path))
        .collect();
    let narrowest = fitting.iter().filter(|(_, route, _)| {
        !fitting
            .iter()
            .any(|(_, other, _)| other != route && is_narrower(other, route))
    });
    let mut access = Access {
        mode: Mode::Off,
        scopes: Vec::new(),
    };
    let mut is_listed = false;
    for (index, _, mode) in narrowest {
        is_listed = true;
        access.mode = match (access.mode, mode) {
            (Mode::Strict, _) | (_, Mode::Strict) => Mode::Strict,
            (Mode::Optional, _) | (_, Mode::Optional) => Mode::Optional,
            _ => Mode::Off,
        };
        if *mode != Mode::Off {
            access.scopes.push(scope(*index));
        }
    }
    if !is_listed {
        access.mode = fallback;
    }
    access
}

fn modes() -> impl Strategy<Value = Mode> {
    select(vec![Mode::Off, Mode::Optional, Mode::Strict])
}

/// Generates patterns from a few words, so that many overlap.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let segment = || select(vec!["a", "b", "admin", "{x}"]);
    let last = select(vec!["", "/a", "/B", "/{x}", "/{*rest}", "/", "/admin"]);
    let pattern = (vec(segment(), 0..3), last).prop_map(|(segments, last)| {
        let path: String = segments
            .iter()
            .map(|segment| format!("/{segment}"))
            .collect();
        match format!("{path}{last}") {
            empty if empty.is_empty() => "/".to_owned(),
            pattern => pattern,
        }
    });
    vec((pattern, modes()), 1..6).prop_map(|mut rows| {
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        rows.dedup_by(|(one, _), (other, _)| one == other);
        rows
    })
}

/// Generates paths from the same words, in all known spellings.
fn paths() -> impl Strategy<Value = String> {
    let part = select(vec![
        "/",
        "/",
        "/",
        "//",
        "a",
        "a",
        "b",
        "B",
        "admin",
        "admin",
        "ADMIN",
        "%61",
        "%41",
        "%2561",
        "%2F",
        "%252F",
        ";x",
        ";",
        "%3B",
        "%253b",
        "%20",
        "%2520",
        "%C2%A0",
        "%EF%BB%BF",
        ".",
        "%2e",
        "%3F",
        "%23",
        "%253f",
        "..",
        "%5C",
        "%00",
        "%0a",
        "%C3%A4",
        "%E2%84%AA",
        "%25",
        "%E9",
    ]);
    vec(part, 0..10).prop_map(|parts| format!("/{}", parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 5_000,
        max_global_rejects: 50_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn access_is_never_wider_than_that_of_the_path_a_server_makes_of_it(
        rows in rows(), fallback in modes(), path in paths()
    ) {
        let table = table(&rows, fallback);
        prop_assume!(table.is_some());
        let Ok(policy) = table.unwrap().policy_for(&METHOD, &path) else {
            return Ok(());
        };
        let access = Access::of(&policy.unwrap());
        for server in &SERVERS {
            let read = server.read(&path);
            let end = end_of(server, &rows, fallback, &read);
            prop_assert!(
                access.is_within(&end),
                "{}: {path} is read as {read:?}: {access:?} is wider than {end:?} of {rows:?}",
                server.name
            );
        }
    }

    #[test]
    fn who_satisfies_every_row_passes(rows in rows(), fallback in modes(), path in paths()) {
        let is_honest = !["..", "%5C", "%00", "%0a", "%2e"].iter().any(|odd| path.contains(odd))
            && !path.split('/').any(|segment| segment.starts_with('.'));
        let table = table(&rows, fallback);
        prop_assume!(is_honest && table.is_some());
        let policy = table.unwrap().policy_for(&METHOD, &path);
        prop_assume!(policy.is_ok());
        let access = Access::of(&policy.unwrap().unwrap());
        let all = Access {
            mode: Mode::Strict,
            scopes: (0..rows.len()).map(scope).collect(),
        };
        prop_assert!(all.is_within(&access), "{path}: {access:?} of {rows:?}");
    }

    #[test]
    fn a_plain_path_asks_for_what_its_own_row_asks_for(
        rows in rows(), fallback in modes(), path in "(/(a|b|admin|x7|v1)){1,3}"
    ) {
        let axum = &SERVERS[0];
        prop_assert_eq!(axum.name, "axum");
        // For servers to which case and trailing slashes do not make two rows the same.
        let has_twins = rows.iter().any(|(row, _)| row.ends_with('/') || row.contains('B'));
        let table = table(&rows, fallback);
        prop_assume!(!has_twins && table.is_some());
        let policy = table.unwrap().policy_for(&METHOD, &path).unwrap().unwrap();
        let (access, end) = (Access::of(&policy), end_of(axum, &rows, fallback, &path));
        prop_assert!(
            access.is_within(&end) && end.is_within(&access),
            "{path}: {access:?} and {end:?} of {rows:?}"
        );
    }
}
