//! `operator`: the Kubernetes controller.

use std::io::Write as _;
use std::sync::Arc;

use globset::GlobSetBuilder;
use tokio_util::sync::CancellationToken;

use super::{Exit, Stop, sentence, signal};
use crate::cli;
use crate::operator::{self, Settings, Shard};

pub(super) async fn run(args: cli::Operator) -> Result<Exit, Stop> {
    let mut hosts = GlobSetBuilder::new();
    for glob in &args.allowed_hosts {
        hosts.add(glob.clone());
    }
    let hosts = hosts
        .build()
        .map_err(|error| Stop::usage(error.to_string()))?;
    let (index, count) = args.shard;
    let settings = Settings {
        namespace: args.namespace,
        deletion_delay: args.deletion_delay,
        shard: Shard { index, count },
        allowed_hosts: (!args.allowed_hosts.is_empty()).then_some(hosts),
        allow_loopback: args.allow_loopback,
        allow_insecure: args.allow_insecure_skip_verify,
        listen: args.listen,
        identity: identity(),
        audit: Arc::new(audit),
    };
    let end = CancellationToken::new();
    let told = end.clone();
    tokio::spawn(async move {
        signal::terminated().await;
        told.cancel();
    });
    let ended = operator::run(settings, end).await;
    ended.map_err(|error| Stop::failed(sentence(&error)))?;
    Ok(Exit::Done)
}

/// Names this process and no other: a Pod that starts anew under its old name does not have its old lease.
fn identity() -> String {
    let pod = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME"));
    let pod = pod.ok().filter(|name| !name.is_empty());
    let unique = uuid::Uuid::new_v4().simple().to_string();
    format!(
        "{}-{}",
        pod.unwrap_or_else(|| "scopeward".to_owned()),
        &unique[..8]
    )
}

/// Writes a line of the audit log to standard output, where a collector of logs finds it.
fn audit(line: &serde_json::Value) {
    let line = serde_json::json!({ "target": "audit", "audit": line });
    // A reader that went away is no reason to stop.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
