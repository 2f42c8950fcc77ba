//! A proxy before a server, which breaks what passes through it.

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, sink, split},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// The bytes of a request, or those of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Requests,
    Answers,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is closed.
    Cut,
    /// This way ends as if everything had been said; the other way goes on.
    End,
    /// This way stays open and silent, until the rule is released.
    Stall,
    /// One bit is flipped.
    Flip,
}

/// When a fault happens.
#[derive(Debug)]
pub struct Rule {
    on: Option<String>,
    way: Way,
    bytes: u64,
    again: bool,
    fault: Fault,
    passed: AtomicU64,
    happened: AtomicUsize,
    released: watch::Sender<bool>,
}

impl Rule {
    /// Once, when so many bytes have passed, over all connections.
    pub fn after(way: Way, bytes: u64, fault: Fault) -> Self {
        Self::new(way, bytes, fault, false)
    }

    /// Whenever another so many bytes have passed, over all connections.
    pub fn every(way: Way, bytes: u64, fault: Fault) -> Self {
        Self::new(way, bytes, fault, true)
    }

    fn new(way: Way, bytes: u64, fault: Fault, again: bool) -> Self {
        let (passed, happened) = (AtomicU64::new(0), AtomicUsize::new(0));
        Self { on: None, way, bytes, again, fault, passed, happened, released: watch::Sender::new(false) }
    }

    /// Only on connections on which a request was made that begins with a line with this in it, and from that request
    /// on.
    #[must_use]
    pub fn on(self, request: impl Into<String>) -> Self {
        Self { on: Some(request.into()), ..self }
    }

    /// How often it happened.
    pub fn happened(&self) -> usize {
        self.happened.load(Ordering::SeqCst)
    }

    /// Ends a stall: what was held back goes on its way.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Whether it happens now; and at which of these bytes.
    fn due(&self, length: usize) -> Option<usize> {
        let length = length as u64;
        let before = self.passed.fetch_add(length, Ordering::SeqCst);
        let due = if self.again {
            before / self.bytes != (before + length) / self.bytes
        } else {
            (before..before + length).contains(&self.bytes)
        };
        due.then(|| {
            self.happened.fetch_add(1, Ordering::SeqCst);
            usize::try_from(self.bytes.saturating_sub(before)).unwrap_or(0)
        })
    }
}

/// Stands before a server until dropped.
pub struct Proxy {
    /// Where it listens.
    pub address: Address,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// Where somebody listens.
#[derive(Clone, Debug)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

struct Shared {
    upstream: Address,
    down: watch::Sender<bool>,
    rules: Mutex<Vec<Arc<Rule>>>,
}

impl Proxy {
    /// Before a server on a port.
    pub async fn tcp(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        let shared = Shared::new(Address::Tcp(upstream));
        let passing = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(Arc::clone(&passing).pass(client));
            }
        });
        Self { address, shared, task }
    }

    /// Before a server on a socket file; listens on a file of its own.
    pub fn unix(upstream: &Path, own: &Path) -> Self {
        let listener = UnixListener::bind(own).unwrap();
        let shared = Shared::new(Address::Unix(upstream.to_owned()));
        let passing = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(Arc::clone(&passing).pass(client));
            }
        });
        Self { address: Address::Unix(own.to_owned()), shared, task }
    }

    /// As a URL's beginning.
    pub fn url(&self) -> String {
        match &self.address {
            Address::Tcp(address) => format!("http://{address}"),
            Address::Unix(path) => format!("unix://{}", path.display()),
        }
    }

    /// One more rule.
    pub fn add(&self, rule: Rule) -> Arc<Rule> {
        let rule = Arc::new(rule);
        self.shared.rules.lock().unwrap().push(Arc::clone(&rule));
        rule
    }

    /// Whether the server seems to be down: every connection is closed, and so is every new one.
    pub fn set_down(&self, down: bool) {
        self.shared.down.send_replace(down);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn new(upstream: Address) -> Arc<Self> {
        Arc::new(Self { upstream, down: watch::Sender::new(false), rules: Mutex::default() })
    }

    async fn pass(self: Arc<Self>, client: impl AsyncRead + AsyncWrite + Send) {
        let mut down = self.down.subscribe();
        let whole = async {
            match &self.upstream {
                Address::Tcp(address) => self.join(client, TcpStream::connect(address).await?).await,
                Address::Unix(path) => self.join(client, UnixStream::connect(path).await?).await,
            }
        };
        // However it ends, both sides are closed by being dropped.
        tokio::select! {
            biased;
            _ = down.wait_for(|down| *down) => {}
            _ = whole => {}
        }
    }

    async fn join(
        &self,
        client: impl AsyncRead + AsyncWrite,
        server: impl AsyncRead + AsyncWrite,
    ) -> io::Result<()> {
        let (from_client, to_client) = split(client);
        let (from_server, to_server) = split(server);
        let asked = Mutex::default();
        tokio::try_join!(
            self.pump(Way::Requests, from_client, to_server, &asked),
            self.pump(Way::Answers, from_server, to_client, &asked),
        )?;
        Ok(())
    }

    /// Passes one way on. `asked`: the rules whose request was made on this connection.
    async fn pump(
        &self,
        way: Way,
        from: impl AsyncRead,
        to: impl AsyncWrite,
        asked: &Mutex<BTreeSet<usize>>,
    ) -> io::Result<()> {
        let (mut from, mut to) = (Box::pin(from), Box::pin(to));
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return to.shutdown().await;
            }
            for rule in self.due(way, &mut buffer[..read], asked) {
                match rule.fault {
                    Fault::Cut => return Err(io::ErrorKind::ConnectionAborted.into()),
                    Fault::End => {
                        to.shutdown().await?;
                        return copy(&mut from, &mut sink()).await.map(drop);
                    }
                    Fault::Stall => drop(rule.released.subscribe().wait_for(|released| *released).await),
                    Fault::Flip => {}
                }
            }
            to.write_all(&buffer[..read]).await?;
        }
    }

    /// The faults that happen at these bytes.
    fn due(&self, way: Way, bytes: &mut [u8], asked: &Mutex<BTreeSet<usize>>) -> Vec<Arc<Rule>> {
        let rules = self.rules.lock().unwrap().clone();
        let mut asked = asked.lock().unwrap();
        let mut due = Vec::new();
        for (number, rule) in rules.into_iter().enumerate() {
            if let Some(on) = &rule.on {
                // A request's first line comes in one piece: clients write a head at once.
                if way == Way::Requests && bytes.windows(on.len()).any(|it| it == on.as_bytes()) {
                    asked.insert(number);
                }
                if !asked.contains(&number) {
                    continue;
                }
            }
            if rule.way != way {
                continue;
            }
            if let Some(place) = rule.due(bytes.len()) {
                if rule.fault == Fault::Flip {
                    bytes[place] ^= 1;
                }
                due.push(rule);
            }
        }
        due
    }
}
