//! A listener that passes bytes on to a server and holds its answers back: a
//! member behind a line that is slow, or that swallows everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The listener; dropping it closes it and cuts what runs over it.
pub struct SlowLine {
    port: u16,
    delay_ms: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
    _shutdown: DropGuard,
}

impl SlowLine {
    /// A line to `127.0.0.1:PORT` without any delay yet.
    pub async fn to(server: u16) -> Result<Self> {
        Self::between(0, server).await
    }

    /// A line from `127.0.0.1:PORT`, for example where one was before.
    pub async fn between(port: u16, server: u16) -> Result<Self> {
        let listener = Self::listen(port).await?;
        let port = listener.local_addr()?.port();
        let delay_ms = Arc::new(AtomicU64::new(0));
        let shutdown = CancellationToken::new();
        let connections = Arc::new(AtomicU64::new(0));
        let (delay, stop) = (Arc::clone(&delay_ms), shutdown.clone());
        let counted = Arc::clone(&connections);
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
                    continue;
                };
                let passed = pass(client, server, Arc::clone(&delay));
                tokio::spawn(stop.clone().run_until_cancelled_owned(passed));
            }
        }));
        Ok(Self {
            port,
            delay_ms,
            connections,
            _shutdown: shutdown.drop_guard(),
        })
    }

    /// A line that was dropped a moment ago may still be closing.
    async fn listen(port: u16) -> Result<TcpListener> {
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            match TcpListener::bind(("127.0.0.1", port)).await {
                Err(error)
                    if error.kind() == std::io::ErrorKind::AddrInUse
                        && Instant::now() < deadline =>
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                bound => return Ok(bound?),
            }
        }
    }

    /// Port of the listener.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections that came in so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// From now on every answer comes so much later.
    pub fn delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay_ms.store(millis, Ordering::SeqCst);
    }
}

async fn pass(client: TcpStream, server: TcpStream, delay: Arc<AtomicU64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // What is on the line: bytes and when they arrive.
    let (line, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let asks = async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    };
    let answers = async move {
        let mut buffer = vec![0; 16 << 10];
        while let Ok(length) = from_server.read(&mut buffer).await {
            let late = Duration::from_millis(delay.load(Ordering::SeqCst));
            let bytes = buffer[..length].to_vec();
            if length == 0 || line.send((Instant::now() + late, bytes)).await.is_err() {
                return;
            }
        }
    };
    let arrival = async move {
        while let Some((at, bytes)) = arriving.recv().await {
            tokio::time::sleep_until(at).await;
            if to_client.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(asks, answers, arrival);
}
