//! A TCP relay in this process, which can stop to forward or cut its connections.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Forward,
    Hang,
    Cut,
}

/// A relay to one server. It ends when it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    target: Arc<AtomicU16>,
    mode: watch::Sender<Mode>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Starts a relay to a server on loopback.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Forward);
        let target = Arc::new(AtomicU16::new(port));
        let server = Arc::clone(&target);
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((near, _)) = listener.accept().await else {
                    continue;
                };
                let mut mode = modes.clone();
                let server = Arc::clone(&server);
                tokio::spawn(async move {
                    if mode.wait_for(|mode| *mode != Mode::Hang).await.is_err()
                        || *mode.borrow() == Mode::Cut
                    {
                        return;
                    }
                    let Ok(far) =
                        TcpStream::connect(("127.0.0.1", server.load(Ordering::SeqCst))).await
                    else {
                        return;
                    };
                    let ((near_in, near_out), (far_in, far_out)) =
                        (near.into_split(), far.into_split());
                    tokio::spawn(forward(near_in, far_out, mode.clone()));
                    forward(far_in, near_out, mode).await;
                });
            }
        });
        Self {
            address,
            target,
            mode,
            accepting,
        }
    }

    /// Returns the port of the relay.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Keeps all connections open and forwards nothing.
    pub fn hang(&self) {
        self.mode.send_replace(Mode::Hang);
    }

    /// Closes all connections, and new ones at once.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }

    /// Closes all connections, and forwards new ones to another server.
    pub async fn redirect(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
        self.cut();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        self.resume();
    }

    /// Forwards again.
    pub fn resume(&self) {
        self.mode.send_replace(Mode::Forward);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let len = tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(len @ 1..) => len,
                _ => return,
            },
            cut = mode.wait_for(|mode| *mode == Mode::Cut) => {
                drop(cut);
                return;
            }
        };
        let go_on = mode
            .wait_for(|mode| *mode != Mode::Hang)
            .await
            .is_ok_and(|mode| *mode == Mode::Forward);
        if !go_on || to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}
