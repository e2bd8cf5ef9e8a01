//! `/metrics`, `/healthz` and `/readyz`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use crate::cluster::lease::Leadership;
use crate::cluster::watch::Store;

/// What tells how the operator is.
#[derive(Clone)]
pub(super) struct Health {
    pub(super) store: Store,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) metrics: Metrics,
}

/// Serves until `end`.
pub(super) async fn serve(listener: TcpListener, health: Health, end: CancellationToken) {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    let served = axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(target: "operator", %error, "metrics and health are not served any more");
    }
}

/// Ready: every kind was listed and is watched, and the lease could be asked for.
async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let mut missing = Vec::new();
    if !health.store.is_synced() {
        missing.push("not every kind was listed");
    }
    let broken = health.store.broken();
    let broken = format!("the watches of {} broke off", broken.join(", "));
    if !health.store.broken().is_empty() {
        missing.push(broken.as_str());
    }
    if !health.leadership.borrow().is_known {
        missing.push("the lease is not known");
    }
    if missing.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{}\n", missing.join("; ")),
        )
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    let leader = health
        .leadership
        .borrow()
        .is_leader(tokio::time::Instant::now());
    health.metrics.is_leader(leader);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], health.metrics.text())
}
