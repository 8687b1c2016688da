//! What an error of a server means for the session.

use redis::{ErrorKind, RedisError};

use crate::replay::shared::Failure;

/// Judges an error of a command.
pub(super) fn failure(error: &RedisError) -> Failure {
    let why = match error.code() {
        Some(code) => format!("the server answered {code}: {error}"),
        None => error.to_string(),
    };
    match error.code() {
        Some("OOM") => Failure::full(),
        // A slot is being moved. The other slots are not affected.
        Some("ASK" | "TRYAGAIN") => Failure::request(why),
        // It is not the server that was checked, or this client has no business there any more.
        Some(
            "READONLY" | "NOSCRIPT" | "LOADING" | "MASTERDOWN" | "MOVED" | "CLUSTERDOWN"
            | "CROSSSLOT" | "NOPERM" | "NOAUTH" | "WRONGPASS",
        ) => Failure::session(why),
        Some(_) => Failure::call(why),
        None if error.is_timeout() => Failure::call(why),
        None if error.kind() == ErrorKind::UnexpectedReturnType => Failure::call(why),
        None => Failure::session(why),
    }
}
