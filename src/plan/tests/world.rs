//! Worlds for the tests: what is wanted, live and ours on one target, and what a plan says about them in one line each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use crate::model::target::{
    Adoption, Approval, AuthorizationServer, Drift, Edition, Endpoint, Pace, Policy, Target,
    Thresholds, Tls, Wso2Api,
};
use crate::model::{
    AppOwner, AppRef, ConsumerKey, Consumers, Coverage, Covered, DeletionPolicy, DesiredApp,
    DesiredRoles, DesiredScope, DesiredTarget, ForeignScopes, LastApplied, Live, LiveApp,
    LiveAppScopes, LiveScope, ManifestRef, Origin, Owned, OwnedApp, OwnedScope, Record, RemoteId,
    Removals, RoleName, ScopeName, ScopeState, Source, SourceFile, System, TargetId,
};
use crate::plan::change::Change;
use crate::plan::guard::{ApprovedPlan, Limits};
use crate::plan::{Mode, NewInventory, Plan, PlanOptions, TargetPlan, plan_target};

/// The file that everything comes from, unless a test says otherwise.
pub(crate) const HERE: &str = "here/all.yaml";
/// A file outside the run's paths.
pub(crate) const THERE: &str = "there/all.yaml";

/// A run that read all files of the tests that lie under `root`.
pub(crate) fn coverage(root: &str) -> Coverage {
    let files = [HERE, THERE, "here/old", "here/other.yaml"].map(SourceFile::new);
    let read = files
        .into_iter()
        .filter(|file| file.is_inside(&SourceFile::new(root)));
    read.map(|file| (file, Covered::Read)).collect()
}

/// Everything that a plan of one target depends on.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) desired: DesiredTarget,
    pub(crate) live: Live,
    pub(crate) owned: Owned,
    pub(crate) options: PlanOptions,
}

/// The moment of all plans.
pub(crate) fn now() -> Timestamp {
    "2026-07-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn in_hours(hours: i64) -> Timestamp {
    now() + SignedDuration::from_hours(hours)
}

pub(crate) fn name(text: &str) -> ScopeName {
    ScopeName::observed(text)
}

/// `a b c` as a set of names.
pub(crate) fn names(text: &str) -> BTreeSet<ScopeName> {
    text.split_whitespace().map(name).collect()
}

fn roles(text: &str) -> Vec<RoleName> {
    text.split_whitespace().map(RoleName::new).collect()
}

pub(crate) fn source(kind: &str, name: &str) -> Source {
    Source {
        file: SourceFile::new(HERE),
        document: 0,
        line: 1,
        kind: kind.to_owned(),
        namespace: "iam".to_owned(),
        name: name.to_owned(),
    }
}

/// The OneLogin app of that id.
pub(crate) fn client(app_id: u64) -> AppRef {
    AppRef::OneLogin { app_id }
}

/// The Apigee app of ann's, by its key.
pub(crate) fn key(key: &str) -> AppRef {
    AppRef::Apigee {
        owner: AppOwner::Developer("ann@example.com".to_owned()),
        app: "shop".to_owned(),
        key: Some(ConsumerKey::new(key)),
    }
}

/// The same, with its key left out.
pub(crate) fn keyless() -> AppRef {
    AppRef::Apigee {
        owner: AppOwner::Developer("ann@example.com".to_owned()),
        app: "shop".to_owned(),
        key: None,
    }
}

fn endpoint(system: System) -> Endpoint {
    let url = Url::parse("https://example.com").unwrap();
    let apigee = |url, edition| Endpoint::Apigee {
        url,
        organization: "acme".to_owned(),
        edition,
        auth: None,
    };
    let wso2 = |url, api| Endpoint::Wso2 {
        url,
        api,
        version: "v4".to_owned(),
        tenant: None,
    };
    match system {
        System::OneLogin => Endpoint::OneLogin {
            url,
            server: AuthorizationServer::Id(1),
        },
        System::Wso2ScopeRegistration => wso2(url, Wso2Api::ScopeRegistration),
        System::Wso2Publisher => wso2(url, Wso2Api::Publisher),
        System::ApigeeEdge => apigee(url, Edition::Edge),
        System::ApigeeX => apigee(url, Edition::X),
    }
}

/// Whether the system gives ids.
pub(crate) fn has_ids(system: System) -> bool {
    matches!(system, System::OneLogin | System::Wso2Publisher)
}

impl World {
    /// An empty place that the inventory knows, synced over `here/`.
    pub(crate) fn of(system: System) -> Self {
        let target = Target {
            id: TargetId {
                namespace: "iam".to_owned(),
                name: "it".to_owned(),
            },
            source: source("Target", "it"),
            endpoint: endpoint(system),
            credential: "it".to_owned(),
            policy: Policy::Sync,
            suspend: false,
            approval: Approval::Auto,
            approved_plan: None,
            pace: Pace::default(),
            safety: Thresholds::default(),
            tls: Tls::default(),
            adoption: Adoption::Equal,
            drift: Drift::Repair,
        };
        assert_eq!(target.system(), system);
        Self {
            live: Live {
                identity: target.live_identity().unwrap(),
                title: String::new(),
                scopes: BTreeMap::new(),
                duplicates: BTreeSet::new(),
                apps: BTreeMap::new(),
            },
            desired: DesiredTarget {
                target: Arc::new(target),
                scopes: BTreeMap::new(),
                apps: Vec::new(),
            },
            owned: Owned {
                known: true,
                ..Owned::default()
            },
            options: PlanOptions {
                mode: Mode::Sync,
                now: now(),
                coverage: coverage("here"),
                removal_block: None,
                new_inventory: NewInventory::Refuse,
            },
        }
    }

    pub(crate) fn onelogin() -> Self {
        Self::of(System::OneLogin)
    }

    pub(crate) fn wso2() -> Self {
        Self::of(System::Wso2ScopeRegistration)
    }

    pub(crate) fn apigee() -> Self {
        Self::of(System::ApigeeX)
    }

    pub(crate) fn system(&self) -> System {
        self.desired.target.system()
    }

    pub(crate) fn target(mut self, edit: impl FnOnce(&mut Target)) -> Self {
        edit(Arc::make_mut(&mut self.desired.target));
        self
    }

    pub(crate) fn adoption(self, adoption: Adoption) -> Self {
        self.target(|target| target.adoption = adoption)
    }

    pub(crate) fn policy(self, policy: Policy) -> Self {
        self.target(|target| target.policy = policy)
    }

    pub(crate) fn report_drift(self) -> Self {
        self.target(|target| target.drift = Drift::Report)
    }

    pub(crate) fn options(mut self, edit: impl FnOnce(&mut PlanOptions)) -> Self {
        edit(&mut self.options);
        self
    }

    pub(crate) fn mode(self, mode: Mode) -> Self {
        self.options(|options| options.mode = mode)
    }

    /// Declares a scope, described by its name.
    pub(crate) fn wants(self, scope: &str) -> Self {
        self.wants_so(scope, |_| {})
    }

    pub(crate) fn wants_so(mut self, scope: &str, edit: impl FnOnce(&mut DesiredScope)) -> Self {
        let mut wanted = DesiredScope {
            name: name(scope),
            display_name: None,
            description: Some(scope.to_owned()),
            roles: DesiredRoles {
                may_shrink: true,
                ..DesiredRoles::default()
            },
            previous_names: Vec::new(),
            protected: false,
            deletion_policy: DeletionPolicy::Delete,
            hold_until: None,
            source: source("Scope", scope),
        };
        edit(&mut wanted);
        self.desired.scopes.insert(name(scope), wanted);
        self
    }

    /// Takes the manifest of a scope away.
    pub(crate) fn unwants(mut self, scope: &str) -> Self {
        self.desired.scopes.remove(&name(scope)).unwrap();
        self
    }

    /// A live scope, described by its name, with an id that is told by its name.
    pub(crate) fn has(self, scope: &str) -> Self {
        self.has_so(scope, |_| {})
    }

    pub(crate) fn has_so(mut self, scope: &str, edit: impl FnOnce(&mut LiveScope)) -> Self {
        let mut live = LiveScope {
            state: ScopeState {
                name: name(scope),
                display_name: None,
                description: Some(scope.to_owned()),
                roles: Vec::new(),
            },
            remote_id: has_ids(self.system()).then(|| id(scope)),
            inherited: false,
            consumers: match self.system() {
                System::OneLogin => Consumers::Apps(BTreeSet::new()),
                System::Wso2Publisher => Consumers::Usages(0),
                _ => Consumers::Unknown,
            },
        };
        edit(&mut live);
        self.live.scopes.insert(live.state.name.clone(), live);
        self
    }

    /// An inventory entry of what [`World::has`] makes.
    pub(crate) fn owns(self, scope: &str, origin: Origin) -> Self {
        self.owns_so(scope, origin, |_| {})
    }

    pub(crate) fn owns_so(
        mut self,
        scope: &str,
        origin: Origin,
        edit: impl FnOnce(&mut OwnedScope),
    ) -> Self {
        let mut entry = OwnedScope {
            origin,
            remote_id: has_ids(self.system()).then(|| id(scope)),
            source: source("Scope", scope).manifest(),
            deletion_policy: DeletionPolicy::Delete,
            protected: false,
            applied: LastApplied {
                display_name: None,
                description: Some(scope.to_owned()),
                roles: None,
                all_roles: false,
            },
            hold_until: None,
            renamed_from: BTreeSet::new(),
            parked_for: None,
            vanished_at: None,
            wanted_by: None,
        };
        edit(&mut entry);
        self.owned.scopes.insert(name(scope), entry);
        self
    }

    /// Live and ours, made by us.
    pub(crate) fn made(self, scope: &str) -> Self {
        self.has(scope).owns(scope, Origin::Created)
    }

    /// Declares the list of an app.
    pub(crate) fn wants_app(self, app: &AppRef, scopes: &str) -> Self {
        self.wants_app_so(app, scopes, |_| {})
    }

    pub(crate) fn wants_app_so(
        mut self,
        app: &AppRef,
        scopes: &str,
        edit: impl FnOnce(&mut DesiredApp),
    ) -> Self {
        let mut wanted = DesiredApp {
            app: app.clone(),
            scopes: scopes.split_whitespace().map(name).collect(),
            foreign: ForeignScopes::Remove,
            allow_empty: false,
            deletion_policy: DeletionPolicy::Orphan,
            hold_until: None,
            may_shrink: true,
            source: source("AppScopeSet", "set"),
        };
        edit(&mut wanted);
        self.desired.apps.push(wanted);
        self.desired.apps.sort_by(|a, b| a.app.cmp(&b.app));
        self
    }

    /// A live list of an app. On OneLogin its scopes get a consumer.
    pub(crate) fn has_app(self, app: &AppRef, scopes: &str) -> Self {
        self.has_app_so(app, scopes, |_| {})
    }

    pub(crate) fn has_app_so(
        mut self,
        app: &AppRef,
        scopes: &str,
        edit: impl FnOnce(&mut LiveAppScopes),
    ) -> Self {
        let mut live = LiveAppScopes {
            app: app.clone(),
            name: None,
            scopes: names(scopes),
            inherited: BTreeSet::new(),
            allowed: None,
            products: Vec::new(),
            unusable: None,
        };
        edit(&mut live);
        self.live.apps.insert(app.clone(), LiveApp::Present(live));
        count_consumers(&mut self.live);
        self
    }

    /// An Apigee key with its list and what its products allow.
    pub(crate) fn has_key(self, app: &AppRef, scopes: &str, allowed: &str) -> Self {
        self.has_app_so(app, scopes, |live| live.allowed = Some(names(allowed)))
    }

    pub(crate) fn owns_app(self, app: &AppRef, applied: &str) -> Self {
        self.owns_app_so(app, applied, |_| {})
    }

    pub(crate) fn owns_app_so(
        mut self,
        app: &AppRef,
        applied: &str,
        edit: impl FnOnce(&mut OwnedApp),
    ) -> Self {
        let mut entry = OwnedApp {
            origin: Origin::Created,
            source: source("AppScopeSet", "set").manifest(),
            deletion_policy: DeletionPolicy::Orphan,
            applied: names(applied),
            hold_until: None,
            vanished_at: None,
            wanted_by: None,
        };
        edit(&mut entry);
        self.owned.apps.insert(app.clone(), entry);
        self
    }

    pub(crate) fn plan(&self) -> TargetPlan {
        plan_target(&self.desired, &self.live, &self.owned, &self.options)
    }

    /// What the plan says, in lines: see [`says`].
    pub(crate) fn says(&self) -> Vec<String> {
        says(&self.plan())
    }
}

/// The id of what was made under that name.
pub(crate) fn id(name: &str) -> RemoteId {
    RemoteId::new(format!("id of {name}"))
}

/// On OneLogin the lists of the apps tell who uses a scope.
pub(crate) fn count_consumers(live: &mut Live) {
    let mut holders: BTreeMap<ScopeName, BTreeSet<AppRef>> = BTreeMap::new();
    for (app, list) in &live.apps {
        if let LiveApp::Present(list) = list {
            for scope in list.scopes.iter().chain(&list.inherited) {
                holders
                    .entry(scope.clone())
                    .or_default()
                    .insert(app.clone());
            }
        }
    }
    for scope in live.scopes.values_mut() {
        if let Consumers::Apps(apps) = &mut scope.consumers {
            *apps = holders.remove(&scope.state.name).unwrap_or_default();
        }
    }
}

/// Gives a scope's roles, declared in its own manifest.
pub(crate) fn bindings(text: &'static str) -> impl FnOnce(&mut DesiredScope) {
    move |scope| {
        scope.roles.whole = true;
        contributed(text)(scope);
    }
}

/// Gives a scope's roles, contributed by bindings of this run.
pub(crate) fn contributed(text: &'static str) -> impl FnOnce(&mut DesiredScope) {
    move |scope| {
        for role in roles(text) {
            scope.roles.entries.insert(role, [bound_in(HERE)].into());
        }
    }
}

/// A binding in a file, as a contributor of roles.
fn bound_in(file: &str) -> ManifestRef {
    ManifestRef {
        kind: "ScopeBinding".to_owned(),
        namespace: "iam".to_owned(),
        ..SourceFile::new(file).into()
    }
}

/// Gives a live scope's roles.
pub(crate) fn bound_to(text: &'static str) -> impl FnOnce(&mut LiveScope) {
    move |scope| scope.state.roles = roles(text)
}

/// Gives the roles that were last applied; those in capitals come from a file outside the run's paths.
pub(crate) fn applied(text: &'static str) -> impl FnOnce(&mut OwnedScope) {
    move |entry| {
        let source = |role: &RoleName| {
            let there = role.as_str().starts_with(char::is_uppercase);
            bound_in(if there { THERE } else { HERE })
        };
        let lower = |role: &RoleName| RoleName::new(role.as_str().to_lowercase());
        let all = roles(text);
        entry.applied.all_roles = true;
        entry.applied.roles = Some(
            all.iter()
                .map(|role| (lower(role), [source(role)].into()))
                .collect(),
        );
    }
}

/// Gives previous names.
pub(crate) fn was(text: &'static str) -> impl FnOnce(&mut DesiredScope) {
    move |scope| scope.previous_names = text.split_whitespace().map(name).collect()
}

/// A plan in lines: each change with the rules that stop it, refusals and findings without one, what is skipped and why,
/// and what is learned without a write.
pub(crate) fn says(plan: &TargetPlan) -> Vec<String> {
    let mut lines: Vec<String> = plan
        .changes
        .iter()
        .map(|planned| {
            let mut line = change(&planned.change);
            for refusal in &planned.refusals {
                let word: &str = refusal.rule.into();
                line.push_str("; ");
                line.push_str(word);
            }
            line
        })
        .collect();
    lines.extend(plan.refusals.iter().map(|refusal| {
        let word: &str = refusal.rule.into();
        let object = refusal
            .object
            .as_ref()
            .map_or("the target", |o| o.label.as_str());
        format!("{word}: {object}")
    }));
    lines.extend(
        plan.diagnostics
            .iter()
            .map(|found| found.code.as_str().to_owned()),
    );
    lines.extend(plan.skipped.iter().map(|skipped| {
        let word: &str = skipped.reason.into();
        let entries = if skipped.entries.is_empty() {
            String::new()
        } else {
            format!(" ({})", skipped.entries.join(" "))
        };
        format!("{word}: {}{entries}", skipped.object.label)
    }));
    lines.extend(plan.records.iter().map(record));
    lines
}

fn change(change: &Change) -> String {
    let list = |names: &BTreeSet<ScopeName>| {
        let names: Vec<&str> = names.iter().map(ScopeName::as_str).collect();
        format!("[{}]", names.join(" "))
    };
    let fields = || {
        let fields = change.fields();
        let paths: Vec<&str> = fields.iter().map(|field| field.path).collect();
        paths.join(" ")
    };
    match change {
        Change::CreateScope { after } => format!("create {}", after.name),
        Change::UpdateScope { before, .. } => format!("update {}: {}", before.name, fields()),
        Change::RenameScope { before, after, .. } => {
            format!("rename {} to {}", before.name, after.name)
        }
        Change::DeleteScope { before, .. } => format!("delete {}", before.name),
        Change::AttachApp { app, after } => format!("attach {app} {}", list(after)),
        Change::ReplaceAppScopes {
            app, before, after, ..
        } => format!("replace {app} {} with {}", list(before), list(after)),
        Change::DetachApp { app, before } => format!("detach {app} {}", list(before)),
    }
}

fn record(record: &Record) -> String {
    let origin = |origin: Origin| match origin {
        Origin::Created => "created",
        Origin::Adopted => "adopted",
        Origin::Matched => "matched",
    };
    match record {
        Record::RenameRepository { old, new, .. } => format!("rename repository {old} to {new}"),
        Record::Scope {
            name,
            entry,
            replaces,
        } => {
            let gone = if entry.vanished_at.is_some() {
                ", vanished"
            } else {
                ""
            };
            let old = replaces.as_ref().map(|old| format!(", was {old}"));
            format!(
                "= {} {name}{gone}{}",
                origin(entry.origin),
                old.unwrap_or_default()
            )
        }
        Record::App { app, entry } => {
            let gone = if entry.vanished_at.is_some() {
                ", vanished"
            } else {
                ""
            };
            format!("= {} {app}{gone}", origin(entry.origin))
        }
        Record::ForgetScope { name } => format!("= forget {name}"),
        Record::ForgetApp { app } => format!("= forget {app}"),
        Record::TightenScope { name, .. } => format!("= tightened {name}"),
        Record::TightenApp { app, .. } => format!("= tightened {app}"),
        Record::SettledScope { name } => format!("= settled {name}"),
        Record::SettledApp { app } => format!("= settled {app}"),
        Record::WantScope { name, by } => format!("= {name} wanted by {}", by.source.file),
        Record::WantApp { app, by } => format!("= {app} wanted by {}", by.source.file),
        Record::Intent(_) => "= still open".to_owned(),
        Record::CameToNothing { intent } => {
            let value = serde_json::to_value(intent).unwrap();
            format!("= nothing came of {}", value["intent"].as_str().unwrap())
        }
        Record::Start => "= start".to_owned(),
        Record::NotRemoved(_) => "= not removed".to_owned(),
        Record::Write => "= unexpected".to_owned(),
    }
}

/// Judges a plan with everything approved or nothing.
pub(crate) fn judge(
    plan: TargetPlan,
    world: &World,
    window: Removals,
    approve: bool,
) -> ApprovedPlan {
    let limits = Limits {
        thresholds: world.desired.target.safety,
        window,
        ..Limits::default()
    };
    let approvals = if approve {
        vec![plan.digest()]
    } else {
        Vec::new()
    };
    let plan = Plan {
        mode: Mode::Sync,
        paths: Vec::new(),
        targets: vec![plan],
    };
    let target = world.desired.target.id.clone();
    plan.approve(
        &[(target, limits)].into(),
        &approvals.into(),
        world.options.now,
    )
}
