//! How long planning takes by itself, and how that grows: scopes, half of them as they should be, the others to be changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use jiff::Timestamp;
use scopeward::model::{
    Consumers, Covered, DeletionPolicy, DesiredRoles, DesiredScope, DesiredTarget, LastApplied,
    Live, LiveIdentity, LiveScope, Origin, Owned, OwnedScope, RemoteId, ScopeName, ScopeState,
    Source, SourceFile, Target, TargetId,
    target::{
        Adoption, Approval, AuthorizationServer, Drift, Endpoint, Pace, Policy, Thresholds, Tls,
    },
};
use scopeward::plan::{Mode, NewInventory, PlanOptions, plan_target};

fn source(name: &str) -> Source {
    Source {
        file: SourceFile::new("scopes.yaml"),
        document: 0,
        line: 1,
        kind: "Scope".to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
    }
}

fn target() -> Target {
    Target {
        id: TargetId {
            namespace: "default".to_owned(),
            name: "bench".to_owned(),
        },
        source: source("bench"),
        endpoint: Endpoint::OneLogin {
            url: "https://acme.onelogin.com".parse().expect("a URL"),
            server: AuthorizationServer::Id(1),
        },
        credential: "bench".to_owned(),
        policy: Policy::default(),
        suspend: false,
        approval: Approval::default(),
        approved_plan: None,
        pace: Pace::default(),
        safety: Thresholds::default(),
        tls: Tls::default(),
        adoption: Adoption::default(),
        drift: Drift::default(),
    }
}

/// A target with `count` scopes: all are ours, every second one has another description live.
#[expect(clippy::too_many_lines, reason = "one literal a kind of object")]
fn world(count: usize) -> (DesiredTarget, Live, Owned) {
    let mut desired = BTreeMap::new();
    let mut live = BTreeMap::new();
    let mut owned = BTreeMap::new();
    for n in 0..count {
        let name = ScopeName::observed(format!("orders:{n:06}"));
        let description = Some(format!("Scope number {n}"));
        desired.insert(
            name.clone(),
            DesiredScope {
                name: name.clone(),
                display_name: None,
                description: description.clone(),
                roles: DesiredRoles {
                    whole: false,
                    entries: BTreeMap::new(),
                    may_shrink: true,
                },
                previous_names: Vec::new(),
                protected: false,
                deletion_policy: DeletionPolicy::Delete,
                hold_until: None,
                source: source(name.as_str()),
            },
        );
        live.insert(
            name.clone(),
            LiveScope {
                state: ScopeState {
                    name: name.clone(),
                    display_name: None,
                    description: if n % 2 == 0 {
                        description.clone()
                    } else {
                        Some("else".to_owned())
                    },
                    roles: Vec::new(),
                },
                remote_id: Some(RemoteId::new(n.to_string())),
                inherited: false,
                consumers: Consumers::Apps(BTreeSet::new()),
            },
        );
        owned.insert(
            name,
            OwnedScope {
                origin: Origin::Created,
                remote_id: Some(RemoteId::new(n.to_string())),
                source: SourceFile::new("scopes.yaml").into(),
                deletion_policy: DeletionPolicy::Delete,
                protected: false,
                applied: LastApplied {
                    description,
                    ..LastApplied::default()
                },
                hold_until: None,
                renamed_from: BTreeSet::new(),
                parked_for: None,
                vanished_at: None,
                wanted_by: None,
            },
        );
    }
    let identity = LiveIdentity::new("oneLogin https://acme.onelogin.com 1");
    let live = Live {
        identity,
        title: String::new(),
        scopes: live,
        duplicates: BTreeSet::new(),
        apps: BTreeMap::new(),
    };
    let owned = Owned {
        known: true,
        scopes: owned,
        ..Owned::default()
    };
    (
        DesiredTarget {
            target: Arc::new(target()),
            scopes: desired,
            apps: Vec::new(),
        },
        live,
        owned,
    )
}

/// Plans, and takes the digest of the plan.
pub fn plan(criterion: &mut Criterion) {
    let options = PlanOptions {
        mode: Mode::Sync,
        now: Timestamp::UNIX_EPOCH,
        coverage: [(SourceFile::new("scopes.yaml"), Covered::Read)]
            .into_iter()
            .collect(),
        removal_block: None,
        new_inventory: NewInventory::Refuse,
    };
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(20);
    for count in [1_000, 10_000, 100_000] {
        let (desired, live, owned) = world(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::from_parameter(count), &count, |bencher, _| {
            bencher.iter(|| plan_target(&desired, &live, &owned, &options).digest());
        });
    }
    group.finish();
}
