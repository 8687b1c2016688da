//! nginx as a process of its own.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{net::TcpStream, time::sleep};

use crate::{Result, Store};

const PATIENCE: Duration = Duration::from_secs(30);

/// Ends with the value.
pub(crate) struct Nginx {
    process: Child,
    /// With its files.
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx at `address`, in front of the nodes.
    pub(crate) async fn start(
        store: Store,
        address: SocketAddr,
        nodes: [SocketAddr; 3],
    ) -> Result<Self> {
        let mut server = match store {
            Store::Hash => include_str!("../nginx-hash.conf").to_owned(),
            _ => include_str!("../nginx.conf").to_owned(),
        };
        let [one, two, three] = nodes;
        for (written, here) in [(8081, one), (8082, two), (8083, three), (8000, address)] {
            server = server.replace(&format!("127.0.0.1:{written}"), &here.to_string());
        }
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("nginx.conf");
        fs::write(&file, whole(&server, folder.path()))?;
        let log = folder.path().join("error.log");
        let mut process = Command::new(program())
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(&log)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| format!("nginx cannot be started: {error}"))?;
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            if process.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let _ = process.kill();
                let log = fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("nginx does not serve: {log}").into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Self {
            process,
            _folder: folder,
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It runs as one process, so nothing is left.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Debian installs nginx in a folder that only root's search path contains.
fn program() -> &'static str {
    let debian = "/usr/sbin/nginx";
    match Path::new(debian).exists() {
        true => debian,
        false => "nginx",
    }
}

/// A configuration for one process in the foreground that writes only to `folder`.
fn whole(server: &str, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n\
         client_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/fastcgi;\nuwsgi_temp_path {folder}/uwsgi;\n\
         scgi_temp_path {folder}/scgi;\n{server}}}\n"
    )
}
