//! What a Kubernetes API server holds: manifests as objects, Secrets, the inventory's blobs, and the lease.
//!
//! | module | what it is for |
//! |---|---|
//! | [`objects`] | the four kinds and the namespaces, as values |
//! | [`watch`] | the same, kept in memory as they change |
//! | [`secrets`] | credentials, one watch a name |
//! | [`inventory`] | blobs of the inventory in ConfigMaps |
//! | [`lease`] | which replica writes |

use std::time::Duration;

use kube::client::ClientBuilder;
use kube::{Client, Config};
use thiserror::Error;
use tower::timeout::TimeoutLayer;

pub(crate) mod inventory;
pub(crate) mod lease;
pub(crate) mod objects;
pub(crate) mod secrets;
pub(crate) mod watch;

/// How long an answer may take to begin, with all tries. A watch begins at once, whenever it has something to tell.
const ANSWER: Duration = Duration::from_secs(30);

/// Why an API server cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ClusterError {
    /// Nothing says where it is.
    #[error("no cluster is known: set KUBECONFIG, or run in a Pod with a ServiceAccount")]
    NoConfig(#[source] Box<kube::Error>),
    /// It refuses, or does not answer.
    #[error("cannot {what}")]
    Call {
        /// What was being done.
        what: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
}

impl ClusterError {
    /// A call that failed.
    pub(crate) fn call(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Call {
            what,
            source: Box::new(source),
        }
    }
}

/// The status of an answer that is an error.
pub(crate) fn status(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

/// Connects as `KUBECONFIG` or the Pod's `ServiceAccount` says. Sends nothing.
///
/// # Errors
/// Neither of them is there or usable.
pub(crate) async fn connect() -> Result<Client, ClusterError> {
    client(config().await?)
}

/// The same for whoever has a pace of its own: nothing is tried again, whatever `Retry-After` says.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn connect_without_retries() -> Result<Client, ClusterError> {
    let mut config = config().await?;
    config.default_retry = false;
    client(config)
}

async fn config() -> Result<Config, ClusterError> {
    let config = Config::infer().await;
    config.map_err(|error| ClusterError::NoConfig(Box::new(kube::Error::InferConfig(error))))
}

fn client(config: Config) -> Result<Client, ClusterError> {
    let builder = ClientBuilder::try_from(config);
    let builder = builder.map_err(ClusterError::call("connect to the cluster"))?;
    // By itself it waits for ever for an answer on a connection that was lost, and for minutes where `Retry-After` says so.
    Ok(builder.with_layer(&TimeoutLayer::new(ANSWER)).build())
}

/// The namespace of the Pod, or of the current context.
pub(crate) fn own_namespace(client: &Client) -> String {
    client.default_namespace().to_owned()
}

/// The UID of the namespace `kube-system`, which names a cluster.
///
/// # Errors
/// It cannot be read.
pub(crate) async fn uid(client: &Client) -> Result<String, ClusterError> {
    use k8s_openapi::api::core::v1::Namespace;
    let namespaces = kube::Api::<Namespace>::all(client.clone());
    let found = namespaces.get_metadata("kube-system").await;
    let found = found.map_err(ClusterError::call("read the namespace kube-system"))?;
    Ok(found.metadata.uid.unwrap_or_default())
}
