//! The browser, and the socket of this machine that it comes back to (RFC 8252 section 7.3).

use std::{
    io::{self, IsTerminal as _},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::RawQuery,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use dpop_tower::client::oauth::{AuthorizationRequest, TokenClient};
use http::Uri;
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, oneshot},
};

use crate::{failure::Failure, loopback};

const PATH: &str = "/callback";

const DONE: &str = "The program has the answer. You can close this window.\n";
const FOREIGN: &str = "This is not the answer to the login that the program waits for.\n";

/// The socket that the browser comes back to.
pub(super) struct Listener {
    listener: TcpListener,
    redirect_uri: String,
    path: String,
}

/// Listens on a free port, or on that of the URL that the client is registered with.
pub(super) async fn listen(redirect_uri: Option<&Uri>) -> Result<Listener, Failure> {
    let (port, path) = match redirect_uri {
        None => (0, PATH),
        Some(uri) => {
            let port = uri.port_u16().filter(|port| *port > 0);
            let port = port.filter(|_| {
                uri.scheme_str() == Some("http")
                    && loopback::is_this_machine(uri)
                    && uri.query().is_none()
            });
            let port = port.ok_or_else(|| {
                Failure::wrong_use("the redirect URI is not one of this machine")
                    .next_step("Give one such as http://127.0.0.1:9876/callback.")
            })?;
            (port, uri.path())
        }
    };
    let failed =
        |error: io::Error| Failure::wrong_use(format!("cannot listen for the browser: {error}"));
    let address = match redirect_uri.and_then(Uri::host) {
        Some("[::1]") => "::1",
        _ => "127.0.0.1",
    };
    let listener = TcpListener::bind((address, port)).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let redirect_uri = match redirect_uri {
        Some(uri) => uri.to_string(),
        None => format!("http://127.0.0.1:{port}{PATH}"),
    };
    Ok(Listener {
        listener,
        redirect_uri,
        path: path.to_owned(),
    })
}

impl Listener {
    pub(super) fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// Waits for the answer to this request, and returns its query. Other requests do not end the wait, since any
    /// page in the browser can make them.
    pub(super) async fn answer(
        self,
        client: &TokenClient,
        request: &AuthorizationRequest,
        timeout: Duration,
    ) -> Result<String, Failure> {
        let (send, mut queries) = mpsc::channel::<(String, oneshot::Sender<bool>)>(4);
        let handler = async move |RawQuery(query): RawQuery| {
            let (belongs, decided) = oneshot::channel();
            // Fails if the answer has come already.
            let _ = send.send((query.unwrap_or_default(), belongs)).await;
            match decided.await {
                Ok(true) => page(StatusCode::OK, DONE),
                _ => page(StatusCode::BAD_REQUEST, FOREIGN),
            }
        };
        let router = Router::new().route(&self.path, get(handler));
        let shown = Arc::new(Notify::new());
        let end = Arc::clone(&shown);
        let server = axum::serve(self.listener, router)
            .with_graceful_shutdown(async move { end.notified().await });
        let server = tokio::spawn(async move { server.await });
        let answer = async {
            while let Some((query, reply)) = queries.recv().await {
                let belongs = client.belongs_to(request, &query);
                // Fails if the browser does not wait.
                let _ = reply.send(belongs);
                if belongs {
                    return Some(query);
                }
            }
            None
        };
        let answer = tokio::time::timeout(timeout, answer).await;
        // The browser gets its page before the program ends, but does not hold it up.
        shown.notify_one();
        let abort = server.abort_handle();
        if tokio::time::timeout(Duration::from_secs(1), server)
            .await
            .is_err()
        {
            abort.abort();
        }
        match answer {
            Ok(Some(query)) => Ok(query),
            _ => Err(nobody(timeout)),
        }
    }
}

fn page(status: StatusCode, text: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONNECTION, "close"),
    ];
    (status, headers, text)
}

pub(super) fn nobody(timeout: Duration) -> Failure {
    Failure::out_of_reach(format!("nobody logged in within {} s", timeout.as_secs()))
        .next_step("Run the command again, or give the user more time with --timeout.")
}

/// Opens the page if someone sits at this terminal. The URL is printed in any case.
pub(super) fn open(url: &str) {
    if !io::stderr().is_terminal() {
        return;
    }
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    // If there is no such program, the user opens the URL.
    let _ = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}
