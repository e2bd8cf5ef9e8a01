//! A network between an operator and the API server that can be broken by path: it ends TLS under an authority of its own,
//! speaks HTTP/1.1, and notes what it was asked.
//!
//! ```text
//! operator --TLS, own authority--> Proxy --TLS--> kube-apiserver
//!                                    rule: pass, hold, reset or answer, for each request and each watch that is open
//! ```

use std::convert::Infallible;
use std::fs;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use futures::stream::try_unfold;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::server::Server;
use crate::support::Operator;

/// What becomes of a request, and of what an answer that has begun has still to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Pass,
    /// It gets nowhere, and nobody is told, until the rule is another one.
    Hold,
    /// The connection is cut.
    Reset,
    /// This status, and in how many seconds to try again. An answer that has begun goes on.
    Status(u16, u32),
}

/// A request, as it was noted when it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) at: Timestamp,
    /// What was answered; `None` where nothing was.
    pub(crate) status: Option<u16>,
}

impl Asked {
    /// Whether it is about objects of a kind, by its plural.
    pub(crate) fn is_of(&self, plural: &str) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        path.split('/').any(|part| part == plural)
    }

    /// Whether it changes anything.
    pub(crate) fn is_write(&self) -> bool {
        self.method != "GET"
    }

    /// Whether it watches objects of a kind.
    pub(crate) fn watches(&self, plural: &str) -> bool {
        self.is_of(plural) && self.path.contains("watch=true")
    }

    /// Whether it makes or replaces a blob of the inventory; those that no head names any more are deleted beside.
    pub(crate) fn keeps_inventory(&self) -> bool {
        self.is_of("configmaps") && matches!(self.method.as_str(), "POST" | "PUT")
    }

    /// Whether the API server did what was asked.
    pub(crate) fn is_done(&self) -> bool {
        self.status.is_some_and(|status| status < 300)
    }
}

type Rule = Arc<dyn Fn(&Asked) -> Verdict + Send + Sync>;

/// Why a connection is cut.
#[derive(Debug, Error)]
#[error("the connection is cut")]
struct Cut;

struct Shared {
    server: String,
    client: reqwest::Client,
    rule: watch::Sender<Rule>,
    asked: Mutex<Vec<Asked>>,
}

/// An API server of a test's own, and an operator that reaches it through a proxy.
pub(crate) struct Apart {
    pub(crate) operator: Operator,
    pub(crate) proxy: Proxy,
    pub(crate) server: Server,
}

impl Apart {
    /// Starts the three.
    pub(crate) async fn start() -> Self {
        let server = Server::start().await;
        server.kubectl(&["create", "namespace", "scopeward"]);
        let proxy = Proxy::start(&server).await;
        let operator = Operator::start(&proxy.kubeconfig(&server), &[]);
        Self {
            operator,
            proxy,
            server,
        }
    }
}

/// The proxy, for as long as the test's runtime is there.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    port: u16,
    folder: TempDir,
}

impl Proxy {
    /// Starts one before an API server. Everything passes at first.
    pub(crate) async fn start(server: &Server) -> Self {
        let client = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .http1_only()
            .no_proxy()
            .build();
        let pass: Rule = Arc::new(|_| Verdict::Pass);
        let shared = Arc::new(Shared {
            server: server.url(),
            client: client.expect("a client"),
            rule: watch::Sender::new(pass),
            asked: Mutex::default(),
        });
        let folder = tempfile::tempdir().expect("a folder");
        let (acceptor, authority) = certificate();
        fs::write(folder.path().join("ca.crt"), authority).expect("a file");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(serve(listener, acceptor, Arc::clone(&shared)));
        Self {
            shared,
            port,
            folder,
        }
    }

    /// A kubeconfig of the chart's own service account that leads through here.
    pub(crate) fn kubeconfig(&self, server: &Server) -> PathBuf {
        server.rights(None);
        let token = server.token_of("scopeward", "scopeward");
        let (name, url) = (
            format!("proxy-{}", self.port),
            format!("https://127.0.0.1:{}", self.port),
        );
        server.kubeconfig(&name, &url, &self.authority(), &token)
    }

    fn authority(&self) -> PathBuf {
        Path::join(self.folder.path(), "ca.crt")
    }

    /// Judges by this rule from here on, watches that are open and requests that are held included. A request is asked about
    /// once, and once more each time that the rule is set while it goes on.
    pub(crate) fn rule(&self, rule: impl Fn(&Asked) -> Verdict + Send + Sync + 'static) {
        self.shared.rule.send_replace(Arc::new(rule));
    }

    /// Lets everything pass, what is held included.
    pub(crate) fn pass(&self) {
        self.rule(|_| Verdict::Pass);
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.with_asked(|asked| asked.clone())
    }

    /// How many of the requests so far are such.
    pub(crate) fn count(&self, is_such: impl Fn(&Asked) -> bool) -> usize {
        self.shared
            .with_asked(|asked| asked.iter().filter(|asked| is_such(asked)).count())
    }
}

/// A certificate for this machine, and the authority that vouches for it.
fn certificate() -> (TlsAcceptor, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = params.self_signed(&key).expect("an authority");
    let issuer = Issuer::new(params, key);
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the default ones")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate and its key");
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// Takes connections until the runtime ends.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) -> Infallible {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(|request| Arc::clone(&shared).answer(request));
            // An error is a connection that one side has cut.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Shared {
    fn with_asked<T>(&self, look: impl FnOnce(&mut Vec<Asked>) -> T) -> T {
        look(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Notes a request, and gives its place.
    fn note(&self, asked: Asked) -> usize {
        self.with_asked(|all| {
            all.push(asked);
            all.len() - 1
        })
    }

    fn answered(&self, place: usize, status: StatusCode) {
        self.with_asked(|all| all[place].status = Some(status.as_u16()));
    }

    /// Answers a request as the rule says. A client that goes away drops this, and nothing of it is sent on any more.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let (head, body) = request.into_parts();
        let body = to_bytes(Body::new(body), usize::MAX).await;
        let body: Bytes = body.map_err(|_| Cut)?;
        let asked = Asked {
            method: head.method.to_string(),
            path: head.uri.to_string(),
            at: Timestamp::now(),
            status: None,
        };
        let place = self.note(asked.clone());
        let mut rule = self.rule.subscribe();
        match judged(&mut rule, &asked).await {
            Verdict::Reset => return Err(Cut),
            Verdict::Status(status, seconds) => {
                let status = StatusCode::from_u16(status).map_err(|_| Cut)?;
                self.answered(place, status);
                return Response::builder()
                    .status(status)
                    .header(header::RETRY_AFTER, seconds)
                    .body(Body::empty())
                    .map_err(|_| Cut);
            }
            Verdict::Pass | Verdict::Hold => {}
        }
        let mut headers = head.headers;
        headers.remove(header::HOST);
        let url = format!("{}{}", self.server, head.uri);
        let sent = self.client.request(head.method, url).headers(headers);
        let response = sent.body(body).send().await.map_err(|_| Cut)?;
        self.answered(place, response.status());
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = response.status();
        answer.headers_mut().clone_from(response.headers());
        answer.headers_mut().remove(header::TRANSFER_ENCODING);
        *answer.body_mut() = streamed(response, rule, asked);
        Ok(answer)
    }
}

/// What a rule says once it does not hold a request any more.
async fn judged(rule: &mut watch::Receiver<Rule>, asked: &Asked) -> Verdict {
    loop {
        let judge = Arc::clone(&rule.borrow_and_update());
        match judge(asked) {
            Verdict::Hold if rule.changed().await.is_err() => pending().await,
            Verdict::Hold => {}
            verdict => return verdict,
        }
    }
}

/// The body of an answer, as it comes, for as long as the rule lets it.
fn streamed(response: reqwest::Response, rule: watch::Receiver<Rule>, asked: Asked) -> Body {
    let chunks = try_unfold(
        (response, rule, asked),
        async |(mut response, mut rule, asked)| {
            loop {
                tokio::select! {
                    biased;
                    Ok(()) = rule.changed() => {
                        if judged(&mut rule, &asked).await == Verdict::Reset {
                            return Err(Cut);
                        }
                    }
                    chunk = response.chunk() => {
                        let chunk = chunk.map_err(|_| Cut)?;
                        return Ok(chunk.map(|chunk| (chunk, (response, rule, asked))));
                    }
                }
            }
        },
    );
    Body::from_stream(chunks)
}
