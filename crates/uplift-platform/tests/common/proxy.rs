//! A TCP proxy that breaks what passes through it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What happens to a connection once the answers through the proxy amount to another `every` bytes.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It is closed.
    Cut,
    /// It stays open and silent for ever.
    Stall,
}

/// Stands before a server until dropped.
pub struct Proxy {
    pub address: SocketAddr,
    faults: Arc<Faults>,
    task: JoinHandle<()>,
}

struct Faults {
    upstream: SocketAddr,
    fault: Fault,
    every: u64,
    passed: AtomicU64,
    happened: AtomicUsize,
    /// Bytes of requests until one is flipped; counts down, and does nothing below zero.
    flip: AtomicU64,
}

impl Proxy {
    /// Breaks a connection after each `every` bytes of answers.
    pub async fn start(upstream: SocketAddr, fault: Fault, every: u64) -> Self {
        Self::run(upstream, fault, every, u64::MAX).await
    }

    /// Flips one bit of the request byte at `offset`, once.
    pub async fn flipping(upstream: SocketAddr, offset: u64) -> Self {
        Self::run(upstream, Fault::Cut, u64::MAX, offset).await
    }

    async fn run(upstream: SocketAddr, fault: Fault, every: u64, flip: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let faults = Arc::new(Faults {
            upstream,
            fault,
            every,
            passed: AtomicU64::new(0),
            happened: AtomicUsize::new(0),
            flip: AtomicU64::new(flip),
        });
        let shared = Arc::clone(&faults);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, Arc::clone(&shared)));
            }
        });
        Self { address, faults, task }
    }

    /// How many faults happened.
    pub fn happened(&self) -> usize {
        self.faults.happened.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(client: TcpStream, faults: Arc<Faults>) {
    let Ok(server) = TcpStream::connect(faults.upstream).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let shared = Arc::clone(&faults);
    let requests = tokio::spawn(async move {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            shared.maybe_flip(&mut buffer[..read]);
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
        let before = faults.passed.fetch_add(read as u64, Ordering::SeqCst);
        if before / faults.every != (before + read as u64) / faults.every {
            faults.happened.fetch_add(1, Ordering::SeqCst);
            match faults.fault {
                Fault::Cut => break,
                Fault::Stall => std::future::pending().await,
            }
        }
        if to_client.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    requests.abort();
}

impl Faults {
    fn maybe_flip(&self, request: &mut [u8]) {
        let left = self.flip.load(Ordering::SeqCst);
        if left == u64::MAX {
            return;
        }
        match request.get_mut(usize::try_from(left).unwrap()) {
            Some(byte) => {
                *byte ^= 1;
                self.happened.fetch_add(1, Ordering::SeqCst);
                self.flip.store(u64::MAX, Ordering::SeqCst);
            }
            None => self.flip.store(left - request.len() as u64, Ordering::SeqCst),
        }
    }
}
