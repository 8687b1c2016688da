//! Client certificates, and clients without one.

use std::fs;

use super::{
    Client, Http, TlsRig,
    certificates::{Authority, Validity},
};

struct Mutual {
    rig: TlsRig,
    clients: Authority,
}

impl Mutual {
    async fn new(mode: &str) -> Self {
        // The rig has no folder yet, so the file is in another one.
        let beside = tempfile::TempDir::new().unwrap();
        let clients = Authority::new("clients");
        let path = beside.path().join("clients.pem");
        fs::write(&path, clients.pem()).unwrap();
        let more = format!("client_ca_file = '{}'\n{mode}", path.display());
        let rig = TlsRig::with(&more, "").await;
        Self { rig, clients }
    }

    /// Returns the status of a good request, or `None` if the gateway ends the connection before it.
    async fn status(&self, client: &Client) -> Option<u16> {
        let stream = self.rig.connect(client).await.ok()?;
        let mut http = Http::over(stream).await;
        let response = http.send(self.rig.rig.get("/orders")).await.ok()?;
        Some(response.status().as_u16())
    }
}

#[tokio::test]
async fn a_certificate_is_required_unless_the_file_says_otherwise() {
    for (mode, without) in [
        ("", None),
        ("client_certificates = 'required'", None),
        ("client_certificates = 'optional'", Some(200)),
    ] {
        let mutual = Mutual::new(mode).await;
        let expired = Validity {
            from: -3,
            until: -1,
        };
        for protocol in ["h2", "http/1.1"] {
            let client = || mutual.rig.client(protocol);
            assert_eq!(mutual.status(&client()).await, without, "{mode}");
            let good = mutual.clients.server("client");
            let good = client().with_certificate(&good);
            assert_eq!(mutual.status(&good).await, Some(200), "{mode}");
            // A bad certificate is rejected even if none is required.
            for bad in [
                Authority::new("others").server("client"),
                // This authority has the same name and another key.
                Authority::new("clients").server("client"),
                // The authority of servers is not one of clients.
                mutual.rig.authority.server("client"),
                mutual.clients.issue("client", expired),
            ] {
                let bad = client().with_certificate(&bad);
                assert_eq!(mutual.status(&bad).await, None, "{mode}");
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_is_no_substitute_for_a_proof() {
    let mutual = Mutual::new("").await;
    let pair = mutual.clients.server("client");
    let client = mutual.rig.client("h2").with_certificate(&pair);
    let mut http = Http::over(mutual.rig.connect(&client).await.unwrap()).await;
    let mut request = mutual.rig.rig.get("/orders");
    request.headers_mut().remove("dpop");
    assert_eq!(http.send(request).await.unwrap().status(), 401);
}
