//! What the operator counts, for Prometheus. Labels are words of ours and the Target, never a scope or an app.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::model::{System, TargetId};
use crate::provider::Counted;

/// The labels of one Target.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTarget {
    target: String,
}

/// The labels of a Target and one word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    target: String,
    result: String,
}

/// The labels of a Target and a kind of object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    target: String,
    kind: String,
}

/// The labels of a Target and an action.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAction {
    target: String,
    action: String,
}

/// The labels of a Target, an action and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfChange {
    target: String,
    action: String,
    result: String,
}

/// The labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRequest {
    system: &'static str,
    route: String,
    class: &'static str,
}

/// The labels of a Target and a safety rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRule {
    target: String,
    rule: String,
}

/// Everything that is counted.
#[derive(Clone)]
pub(super) struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<OfResult, Counter>,
    seconds: Family<OfTarget, Histogram, fn() -> Histogram>,
    last_success: Family<OfTarget, Gauge<f64, AtomicU64>>,
    drift: Family<OfKind, Gauge>,
    planned: Family<OfAction, Gauge>,
    applied: Family<OfChange, Counter>,
    refusals: Family<OfRule, Counter>,
    requests: Family<OfRequest, Counter>,
    rate_limited: Family<OfTarget, Counter>,
    owned: Family<OfTarget, Gauge>,
    withheld: Family<OfTarget, Gauge>,
    leader: Gauge,
}

fn durations() -> Histogram {
    Histogram::new([0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0])
}

impl Metrics {
    /// Nothing counted yet.
    pub(super) fn new() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            reconciles: Family::default(),
            seconds: Family::new_with_constructor(durations as fn() -> Histogram),
            last_success: Family::default(),
            drift: Family::default(),
            planned: Family::default(),
            applied: Family::default(),
            refusals: Family::default(),
            requests: Family::default(),
            rate_limited: Family::default(),
            owned: Family::default(),
            withheld: Family::default(),
            leader: Gauge::default(),
        };
        let mut registry = Registry::with_prefix("scopeward");
        metrics.register(&mut registry);
        metrics.registry = Arc::new(registry);
        metrics
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "reconcile",
            "Runs over a Target, by how they ended",
            self.reconciles.clone(),
        );
        registry.register(
            "reconcile_duration_seconds",
            "How long runs over a Target take",
            self.seconds.clone(),
        );
        registry.register(
            "last_success_timestamp_seconds",
            "When a Target was last read and had nothing left to do, in Unix time",
            self.last_success.clone(),
        );
        registry.register(
            "drift_objects",
            "Objects that changed live and whose manifests did not",
            self.drift.clone(),
        );
        registry.register(
            "planned_changes",
            "Changes that the last plan had",
            self.planned.clone(),
        );
        registry.register(
            "applied_changes",
            "Changes that were sent, by what became of them",
            self.applied.clone(),
        );
        registry.register(
            "refusals",
            "Refusals of runs, by rule",
            self.refusals.clone(),
        );
        registry.register(
            "requests",
            "Requests to systems, by what they ask for and how they ended",
            self.requests.clone(),
        );
        registry.register("rate_limited", "Answers of 429", self.rate_limited.clone());
        registry.register(
            "owned_objects",
            "Objects that are managed",
            self.owned.clone(),
        );
        registry.register(
            "withheld_changes",
            "What is not removed or not written",
            self.withheld.clone(),
        );
        registry.register(
            "is_leader",
            "Whether this replica writes",
            self.leader.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Which build this is", build);
    }

    /// All of it, as Prometheus reads it.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    pub(super) fn is_leader(&self, leader: bool) {
        self.leader.set(i64::from(leader));
    }

    /// A run that ended.
    pub(super) fn ran(&self, target: &TargetId, result: &'static str, took: Duration) {
        let name = target.to_string();
        let labels = OfResult {
            target: name.clone(),
            result: result.to_owned(),
        };
        self.reconciles.get_or_create(&labels).inc();
        let labels = OfTarget { target: name };
        self.seconds
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// When a Target had nothing left to do.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a moment in seconds is far below 2^53"
    )]
    pub(super) fn succeeded(&self, target: &TargetId, at: jiff::Timestamp) {
        let labels = of(target);
        self.last_success
            .get_or_create(&labels)
            .set(at.as_second() as f64);
    }

    /// When a Target had nothing left to do before this process was there, as far as its status tells.
    pub(super) fn succeeded_before(&self, target: &TargetId, at: jiff::Timestamp) {
        if self.last_success.get(&of(target)).is_none() {
            self.succeeded(target, at);
        }
    }

    /// A Target that nobody looks at: it is not late.
    pub(super) fn is_suspended(&self, target: &TargetId) {
        self.last_success.remove(&of(target));
    }

    /// What was sent to a Target's system.
    pub(super) fn requested(
        &self,
        target: &TargetId,
        system: System,
        requests: &BTreeMap<Counted, u64>,
    ) {
        for (counted, n) in requests {
            let labels = OfRequest {
                system: system.into(),
                route: format!("{} {}", counted.method, counted.resource),
                class: counted.class,
            };
            self.requests.get_or_create(&labels).inc_by(*n);
            if counted.class == "429" {
                self.rate_limited.get_or_create(&of(target)).inc_by(*n);
            }
        }
    }

    /// A change that was sent.
    pub(super) fn applied(&self, target: &TargetId, action: &str, result: &'static str) {
        let labels = OfChange {
            target: target.to_string(),
            action: action.to_owned(),
            result: result.to_owned(),
        };
        self.applied.get_or_create(&labels).inc();
    }

    /// What the last plan of a Target came to.
    pub(super) fn planned(&self, target: &TargetId, counts: &PlanCounts) {
        let name = target.to_string();
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        for (kind, n) in &counts.drift {
            let labels = OfKind {
                target: name.clone(),
                kind: (*kind).to_owned(),
            };
            self.drift.get_or_create(&labels).set(number(*n));
        }
        for (action, n) in &counts.actions {
            let labels = OfAction {
                target: name.clone(),
                action: (*action).to_owned(),
            };
            self.planned.get_or_create(&labels).set(number(*n));
        }
        for (rule, n) in &counts.refusals {
            let labels = OfRule {
                target: name.clone(),
                rule: (*rule).to_owned(),
            };
            self.refusals.get_or_create(&labels).inc_by(*n as u64);
        }
        self.owned
            .get_or_create(&of(target))
            .set(number(counts.owned));
        self.withheld
            .get_or_create(&of(target))
            .set(number(counts.withheld));
    }

    /// A Target that is gone: its series end.
    pub(super) fn forget(&self, target: &TargetId, counts: &PlanCounts) {
        let name = target.to_string();
        for result in RESULTS {
            self.reconciles.remove(&OfResult {
                target: name.clone(),
                result: result.to_owned(),
            });
        }
        for kind in counts.drift.iter().map(|(kind, _)| *kind) {
            self.drift.remove(&OfKind {
                target: name.clone(),
                kind: kind.to_owned(),
            });
        }
        for action in counts.actions.iter().map(|(action, _)| *action) {
            self.planned.remove(&OfAction {
                target: name.clone(),
                action: action.to_owned(),
            });
            for result in OUTCOMES {
                self.applied.remove(&OfChange {
                    target: name.clone(),
                    action: action.to_owned(),
                    result: result.to_owned(),
                });
            }
        }
        for rule in counts.refusals.iter().map(|(rule, _)| *rule) {
            self.refusals.remove(&OfRule {
                target: name.clone(),
                rule: rule.to_owned(),
            });
        }
        let labels = OfTarget { target: name };
        self.seconds.remove(&labels);
        self.last_success.remove(&labels);
        self.rate_limited.remove(&labels);
        self.owned.remove(&labels);
        self.withheld.remove(&labels);
    }
}

/// How runs end.
pub(super) const RESULTS: [&str; 5] = ["success", "withheld", "stalled", "failed", "suspended"];
/// What becomes of changes.
pub(super) const OUTCOMES: [&str; 4] = ["done", "failed", "skipped", "unknown"];

/// What a plan comes to, each word with a number, zeros included.
#[derive(Debug, Default)]
pub(super) struct PlanCounts {
    pub(super) drift: Vec<(&'static str, usize)>,
    pub(super) actions: Vec<(&'static str, usize)>,
    pub(super) refusals: Vec<(&'static str, usize)>,
    pub(super) owned: usize,
    pub(super) withheld: usize,
}

fn of(target: &TargetId) -> OfTarget {
    OfTarget {
        target: target.to_string(),
    }
}
