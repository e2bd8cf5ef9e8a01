//! The Kubernetes operator: the command line's run, for ever.
//!
//! ```text
//! API server --watches--> Store --assemble--> World --queue--> a task a Target
//!                                                                 |
//!            status <--publish-- status (pure) <-- reconcile: run::{read, judge, execute}
//! ```
//!
//! It adds where manifests come from (watches), where ownership is kept (a ledger in `ConfigMap`s), who may write (lease and
//! claim), when (the queue) and how it tells (status, events, metrics). What is planned, stopped and written is the engine's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use globset::GlobSet;
use kube::Client;
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::cluster::lease::{Candidate, Leadership};
use crate::cluster::secrets::Secrets;
use crate::cluster::watch::Store;
use crate::cluster::{self, ClusterError};
use crate::inventory::Fence;
use crate::inventory::remote::Audit;

mod admission;
mod events;
mod inventory;
mod metrics;
mod proof;
mod publish;
mod queue;
mod reconcile;
mod serve;
mod status;

pub(crate) use queue::World;

use events::Events;
use metrics::Metrics;
use publish::Board;
use queue::Known;

/// How the operator is run.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Where its lease and the inventory are; `None` is the namespace of the Pod.
    pub(crate) namespace: Option<String>,
    /// For how long a removal has to be wanted before it is made.
    pub(crate) deletion_delay: Duration,
    /// Which part of the Targets is this process's.
    pub(crate) shard: Shard,
    /// The hosts that Targets may lead to; `None` is every one.
    pub(crate) allowed_hosts: Option<GlobSet>,
    /// Whether Targets may lead to this very machine and its link.
    pub(crate) allow_loopback: bool,
    /// Whether Targets may say `tls.insecureSkipVerify`.
    pub(crate) allow_insecure: bool,
    /// Where metrics and health are served.
    pub(crate) listen: SocketAddr,
    /// Names this process, and no other.
    pub(crate) identity: String,
    /// Where the lines of the audit log go.
    pub(crate) audit: Audit,
}

/// A part of the Targets, by their UIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Which, counted from 0.
    pub(crate) index: u32,
    /// Of how many.
    pub(crate) count: u32,
}

impl Shard {
    /// The name of its lease.
    pub(crate) fn lease(self) -> String {
        match self.count {
            1 => "scopeward".to_owned(),
            count => format!("scopeward-{}-of-{count}", self.index),
        }
    }

    /// Whether a Target is of this part.
    pub(crate) fn has(self, uid: &str) -> bool {
        // FNV-1a: the same in every build and on every machine.
        let hash = uid.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        hash % u64::from(self.count.max(1)) == u64::from(self.index)
    }
}

/// Why the operator cannot start.
#[derive(Debug, Error)]
pub(crate) enum StartError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The port.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What all tasks of the operator share.
struct Context {
    client: Client,
    settings: Settings,
    /// Where the lease and the inventory are.
    namespace: String,
    store: Store,
    secrets: Secrets,
    worlds: watch::Receiver<Arc<World>>,
    leadership: watch::Receiver<Leadership>,
    /// Until when this replica writes.
    fence: Fence,
    /// Who plans: no more at once than there are cores.
    planning: Semaphore,
    board: Board,
    /// What is ours, as far as runs have learned.
    holders: Known,
    events: Events,
    metrics: Metrics,
    /// Names the cluster.
    cluster_uid: String,
    /// Ends everything.
    end: CancellationToken,
}

/// Runs until `end`.
///
/// # Errors
/// It cannot start: no cluster, no port.
pub(crate) async fn run(settings: Settings, end: CancellationToken) -> Result<(), StartError> {
    let client = cluster::connect().await?;
    let listener = tokio::net::TcpListener::bind(settings.listen).await;
    let listener = listener.map_err(|source| StartError::Listen {
        address: settings.listen,
        source,
    })?;
    let namespace = settings.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| cluster::own_namespace(&client));
    let store = Store::start(&client, &end);
    let secrets = Secrets::new(client.clone());
    let candidate = Candidate::new(
        cluster::connect_without_retries().await?,
        &namespace,
        &settings.shard.lease(),
        &settings.identity,
    );
    let leadership = candidate.leadership();
    let fence = candidate.fence();
    let (worlds, seen) = watch::channel(Arc::new(World::default()));
    let metrics = Metrics::new();
    let serving = serve::serve(
        listener,
        serve::Health {
            store: store.clone(),
            leadership: leadership.clone(),
            metrics: metrics.clone(),
        },
        end.clone(),
    );
    let serving = tokio::spawn(serving);
    let cluster_uid = loop {
        match cluster::uid(&client).await {
            Ok(uid) => break uid,
            Err(error) => {
                tracing::warn!(target: "operator", error = crate::telemetry::sentence(&error), "the cluster does not say who it is");
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(2)) => {}
                    () = end.cancelled() => return Ok(()),
                }
            }
        }
    };
    let context = Arc::new(Context {
        board: Board::new(client.clone(), store.clone(), settings.shard),
        holders: Known::new(),
        events: Events::new(client.clone(), store.clone(), &settings.identity),
        client,
        settings,
        namespace,
        store,
        secrets,
        worlds: seen,
        leadership,
        fence,
        planning: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
        metrics,
        cluster_uid,
        end: end.clone(),
    });
    // What was sent is waited for while the lease is held still; then it is given back.
    let ended = CancellationToken::new();
    let standing = tokio::spawn(candidate.run(ended.clone()));
    let assembling = tokio::spawn(queue::assemble(Arc::clone(&context), worlds));
    queue::run(context).await;
    ended.cancel();
    let _ = tokio::join!(standing, assembling, serving);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_is_of_exactly_one_shard() {
        for count in 1..5 {
            for n in 0..200 {
                let uid = format!("7b1c{n:04}-aaaa");
                let shards = (0..count).filter(|&index| Shard { index, count }.has(&uid));
                assert_eq!(shards.count(), 1);
            }
        }
    }
}
