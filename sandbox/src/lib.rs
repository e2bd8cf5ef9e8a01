//! An emulator of the three systems, over real HTTP on loopback.
//!
//! It is the other side of the tests, the dry world of a first run, and a place to try manifests without an account.
//! It knows nothing of the engine, its clients least of all: an emulator that reads an API description the same way as the
//! client does would only prove that both read it alike.
//!
//! ```text
//!                 +-- control.rs   /__sandbox/…  counters, log, state, drift, faults
//!  listener ----> |
//!  (this file)    +-- serve.rs --> faults.rs --> wire::Emulated::handle --> journal.rs, store.rs --> faults.rs --> answer
//!                                                 onelogin.rs | wso2.rs | apigee.rs
//! ```
//!
//! All systems of a world stand at the root of one listener, since their paths do not collide; each is at `/@NAME/…`
//! too, for worlds that hold two of a kind. What the real systems do where nobody knows is a switch in the world file:
//! `docs/fidelity.md` lists them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

mod answer;
mod apigee;
mod connection;
mod control;
mod drift;
mod faults;
mod journal;
mod onelogin;
mod serve;
mod shared;
mod store;
mod wire;
mod world;
mod wso2;

pub use world::{World, WorldError};

use connection::{ResetFlag, Stream};
use faults::FaultPlan;
use shared::{Live, Shared};
use store::{Snapshot, StateLock, Store};

/// How long requests in flight have to end at shutdown.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

/// How a sandbox is served.
#[derive(Debug, Clone)]
pub struct Options {
    /// The loopback address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the state is kept. A file that is there wins over the world that is passed.
    pub state: Option<PathBuf>,
    /// Serves HTTPS, with a self-signed certificate for the loopback names.
    pub tls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            state: None,
            tls: false,
        }
    }
}

/// Why a sandbox cannot start, or could not keep its state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The sandbox asks for no credentials of its own, so nobody else may reach it.
    #[error(
        "the sandbox listens on loopback only, and {listen} is no loopback address; use 127.0.0.1 or [::1]"
    )]
    NotLoopback {
        /// The address that was asked for.
        listen: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("the sandbox cannot listen on {listen}: {source}")]
    Listen {
        /// The address that was asked for.
        listen: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The certificate cannot be made.
    #[error("the sandbox's certificate cannot be made: {0}")]
    Certificate(Box<dyn std::error::Error + Send + Sync>),
    /// The state file cannot be read or locked.
    #[error("the state file {} cannot be read: {source}", path.display())]
    ReadState {
        /// The state file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The state file is no world.
    #[error("the state file {} cannot be used, remove it to start afresh: {source}", path.display())]
    State {
        /// The state file.
        path: PathBuf,
        /// What is wrong with it.
        source: WorldError,
    },
    /// Another sandbox writes this state file.
    #[error("the state file {} is in use by another sandbox", path.display())]
    StateInUse {
        /// The state file.
        path: PathBuf,
    },
    /// The last state could not be saved.
    #[error("the state file {} cannot be written: {source}", path.display())]
    WriteState {
        /// The state file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// A sandbox that serves until it is shut down or dropped.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    certificate: Option<String>,
    stop: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    saving: Option<Saving>,
}

/// The state file and its writer's task.
#[derive(Debug)]
struct Saving {
    path: PathBuf,
    writer: JoinHandle<io::Result<()>>,
}

impl Sandbox {
    /// Starts to serve a world.
    ///
    /// # Errors
    /// When the address is no loopback address or taken, or the state file is in use or no world.
    pub async fn start(world: World, options: Options) -> Result<Self, SandboxError> {
        let Options { listen, state, tls } = options;
        if !listen.ip().is_loopback() {
            return Err(SandboxError::NotLoopback { listen });
        }
        let (world, lock) = match &state {
            Some(path) => open_state(world, path)?,
            None => (world, None),
        };
        let refused = |source| SandboxError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let tls = tls
            .then(|| connection::self_signed(address))
            .transpose()
            .map_err(SandboxError::Certificate)?;
        let (acceptor, certificate) = tls.map(|tls| (tls.acceptor, tls.pem)).unzip();

        let live = Arc::new(Mutex::new(Live::new(world)));
        let (store, saving) = match state.zip(lock) {
            Some((path, lock)) => {
                let (store, writer) = Store::start(path.clone(), lock, snapshot(Arc::clone(&live)));
                (Some(store), Some(Saving { path, writer }))
            }
            None => (None, None),
        };
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::new(live, store));
        let accepting = tokio::spawn(accept(listener, acceptor, shared, stopped));
        Ok(Self {
            address,
            certificate,
            stop,
            accepting,
            saving,
        })
    }

    /// The address that is listened on.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The root of all systems, without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    /// The root of one system, for worlds with more than one of a kind.
    pub fn url_of(&self, system: &str) -> String {
        format!("{}/@{system}", self.url())
    }

    /// The self-signed certificate in PEM, where HTTPS is served.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }

    /// Lets requests in flight end, stops serving, and saves the state.
    ///
    /// # Errors
    /// When the state could not be saved.
    pub async fn shutdown(self) -> Result<(), SandboxError> {
        let Self {
            address: _,
            certificate: _,
            stop,
            accepting,
            saving,
        } = self;
        stop.send_replace(true);
        // A panic of the accept loop has been reported by the runtime; what it served is saved below all the same.
        let _ = accepting.await;
        let Some(Saving { path, writer }) = saving else {
            return Ok(());
        };
        let written = writer.await.map_err(io::Error::other).flatten();
        written.map_err(|source| SandboxError::WriteState { path, source })
    }
}

/// Takes the state file's lock, and the world that the file holds if there is one.
fn open_state(
    world: World,
    path: &std::path::Path,
) -> Result<(World, Option<StateLock>), SandboxError> {
    let unreadable = |source| SandboxError::ReadState {
        path: path.to_owned(),
        source,
    };
    let lock = StateLock::take(path).map_err(unreadable)?;
    let lock = lock.ok_or_else(|| SandboxError::StateInUse {
        path: path.to_owned(),
    })?;
    let world = match std::fs::read(path) {
        Ok(text) => World::from_json(&text).map_err(|source| SandboxError::State {
            path: path.to_owned(),
            source,
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => world,
        Err(error) => return Err(unreadable(error)),
    };
    Ok((world, Some(lock)))
}

fn snapshot(live: Arc<Mutex<Live>>) -> Arc<Snapshot> {
    Arc::new(move || {
        let (version, value) = {
            let live = live.lock().unwrap_or_else(PoisonError::into_inner);
            (live.version, live.world.to_value())
        };
        let mut bytes = serde_json::to_vec_pretty(&value).expect("a JSON value is always JSON");
        bytes.push(b'\n');
        (version, bytes)
    })
}

/// Takes connections until it is told to stop, then lets those that are open end.
async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = told_to_stop(&mut stopped) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    let (acceptor, shared, stopped) = (acceptor.clone(), Arc::clone(&shared), stopped.clone());
                    connections.spawn(connect(tcp, acceptor, shared, stopped));
                }
                // Out of file handles, mostly: those that end give some back.
                Err(error) => {
                    tracing::warn!(%error, "the sandbox could not take a connection");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }
    drop(listener);
    // Requests that are held would wait for ever.
    shared.faults().replace(FaultPlan::default());
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_PATIENCE, ended)
        .await
        .is_err()
    {
        connections.shutdown().await;
    }
}

/// Waits until the sandbox is shut down or dropped.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that the sandbox was dropped.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn connect(
    tcp: TcpStream,
    acceptor: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stopped: watch::Receiver<bool>,
) {
    // Small answers would otherwise wait for the client's acknowledgement.
    let _ = tcp.set_nodelay(true);
    let reset = ResetFlag::default();
    let stream = Stream::new(tcp, reset.clone());
    match acceptor {
        None => serve(stream, reset, shared, stopped).await,
        // A handshake that fails is the client's affair: it does not trust the certificate.
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, reset, shared, stopped).await;
            }
        }
    }
}

async fn serve<S>(
    stream: S,
    reset: ResetFlag,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (shared, reset) = (Arc::clone(&shared), reset.clone());
        async move {
            let outcome = shared.answer(request).await;
            if matches!(outcome, serve::Outcome::Reset) {
                reset.raise();
            }
            serve::into_service_result(outcome)
        }
    });
    let mut connection =
        std::pin::pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    // What ends a connection with an error is a fault on request, or a client that has gone.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = told_to_stop(&mut stopped) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
