//! The case table of scopes: who owns what, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};

use super::change::{Change, ScopeState};
use super::renames::{self, Claim, Claims, Obstacle, Ownership};
use super::sets::{Resolved, ThreeWay};
use super::{
    Context, ObjectRef, PlannedChange, Reason, Refusal, Rule, SkipReason, Skipped, TOMBSTONE,
    TargetPlan,
};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::target::{Adoption, Drift, Policy};
use crate::model::{
    AppRef, Applied, Capabilities, Consumers, Counted, DeletionPolicy, DesiredScope, Intent,
    LiveApp, LiveScope, Origin, OwnedScope, Record, Removal, Rename, RoleName, ScopeName,
    SourceFile,
};

/// What the planning of scopes tells that of apps and of deletions.
pub(super) struct Scopes {
    /// Live names and what they will be called.
    pub(super) renamed: BTreeMap<ScopeName, ScopeName>,
    /// The same by the inventory's names.
    pub(super) entries: BTreeMap<ScopeName, ScopeName>,
    /// The change that makes a name exist, by the new name.
    pub(super) maker: BTreeMap<ScopeName, usize>,
    /// What this run may delete, by live name, with the inventory's name for it.
    pub(super) leaving: BTreeMap<ScopeName, ScopeName>,
}

/// Plans everything about scopes but deletions.
pub(super) fn plan(context: &Context<'_>, plan: &mut TargetPlan) -> Scopes {
    let capabilities = plan.system.capabilities();
    let ownership = ownership(context);
    let claims = renames::claims(context, &ownership, |scope, live, reason| {
        obstacle(context, &ownership, scope, live, reason)
    });
    plan.population.live = context.live.scopes.len();
    plan.population.managed = ownership.of_live.len();
    plan.population.unmanaged = context.live.scopes.len() - ownership.of_live.len();
    count_population(&ownership, plan);

    let mut planner = Planner {
        context,
        capabilities,
        ownership,
        claims,
        plan,
        maker: BTreeMap::new(),
        parked: BTreeMap::new(),
        keep: BTreeSet::new(),
    };
    planner.cycles();
    for scope in context.desired.scopes.values() {
        planner.declared(scope);
    }
    planner.link_renames();
    planner.rest()
}

/// Plans the deletions, now that the lists of apps are planned.
pub(super) fn delete(context: &Context<'_>, scopes: &Scopes, plan: &mut TargetPlan) {
    let lists = lists_after(plan);
    for (name, entry_name) in &scopes.leaving {
        let live = &context.live.scopes[name];
        let object = ObjectRef::scope(name, live.remote_id.as_ref());
        let mut depends_on = BTreeSet::new();
        let mut facts = BTreeSet::new();
        let mut users = Vec::new();
        match &live.consumers {
            Consumers::Unknown => {
                facts.insert("consumers: unknown".to_owned());
            }
            Consumers::Usages(0) => {}
            Consumers::Usages(count) => {
                facts.insert(format!("consumers: {count} usages"));
                users.push(format!("{count} API operations"));
            }
            Consumers::Apps(apps) => {
                for app in apps {
                    facts.insert(format!("consumer: {}", app.path()));
                    match lists.get(app) {
                        Some((change, after)) if !after.contains(name) => {
                            depends_on.insert(*change);
                        }
                        _ => users.push(format!("app {}", label(context, app))),
                    }
                }
            }
        }
        let mut refusals = Vec::new();
        if !users.is_empty() {
            refusals.push(Refusal {
                rule: Rule::UnmanagedConsumers,
                object: Some(object.clone()),
                message: format!("{name} is used by {}, which would lose it", list(&users)),
                limit: Some(0),
                actual: Some(users.len() as u64),
                way_through: "take it from them, declare it again, or approve this plan".to_owned(),
                liftable: true,
            });
        }
        let remark = match (&live.consumers, users.is_empty()) {
            (Consumers::Unknown, _) => "no manifest declares it; consumers: unknown".to_owned(),
            (_, true) => "no manifest declares it".to_owned(),
            (_, false) => format!("no manifest declares it; {} still use it", list(&users)),
        };
        plan.changes.push(PlannedChange {
            change: Change::DeleteScope {
                id: live.remote_id.clone(),
                before: state(live),
            },
            object,
            manifest: None,
            reason: Reason::NotInManifests,
            remark: Some(remark),
            facts,
            refusals,
            depends_on,
            removals: vec![Removal {
                counted: Counted::Scopes,
                holder: None,
                count: 1,
            }],
            intent: None,
            record: Record::ForgetScope {
                name: entry_name.clone(),
            },
        });
    }
}

/// The lists that apps will hold, each with the change that makes it so.
fn lists_after(plan: &TargetPlan) -> BTreeMap<AppRef, (usize, BTreeSet<ScopeName>)> {
    let list = |(index, planned): (usize, &PlannedChange)| match &planned.change {
        Change::ReplaceAppScopes { app, after, .. } => Some((app.clone(), (index, after.clone()))),
        Change::DetachApp { app, .. } => Some((app.clone(), (index, BTreeSet::new()))),
        _ => None,
    };
    plan.changes.iter().enumerate().filter_map(list).collect()
}

fn label(context: &Context<'_>, app: &AppRef) -> String {
    match context.live.apps.get(app) {
        Some(LiveApp::Present(live)) => ObjectRef::app(app, live.name.as_deref()).label,
        _ => app.to_string(),
    }
}

/// The first few of many, for a sentence.
pub(super) fn list(items: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = items
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match items.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

/// Who owns which live scope. Ownership holds for a remote id: one that was deleted and made again by somebody else under
/// the same name is not ours.
fn ownership<'a>(context: &Context<'a>) -> Ownership<'a> {
    let live = &context.live.scopes;
    let by_id = super::settle::by_id(context.live);
    let mut ownership = Ownership {
        of_live: BTreeMap::new(),
        live_of: BTreeMap::new(),
    };
    for (name, entry) in &context.owned.scopes {
        let live_name = match &entry.remote_id {
            Some(id) if !by_id.is_empty() => by_id.get(id).copied(),
            _ => live.get_key_value(name).map(|(name, _)| name),
        };
        if let Some(live_name) = live_name {
            ownership.of_live.insert(live_name, (name, entry));
            ownership.live_of.insert(name, live_name);
        }
    }
    ownership
}

/// What forbids a rename, whatever becomes of the others.
fn obstacle(
    context: &Context<'_>,
    ownership: &Ownership<'_>,
    scope: &DesiredScope,
    live: &LiveScope,
    reason: Reason,
) -> Option<Obstacle> {
    let target = &context.desired.target;
    let holder = ownership
        .of_live
        .get(&live.name)
        .map(|(_, entry)| &entry.source);
    let skip = if target.system().capabilities().rename == Rename::No {
        return Some(Obstacle::NoRename);
    } else if context.conflict(holder, &scope.source).is_some() {
        return Some(Obstacle::Conflict);
    } else if live.inherited {
        SkipReason::Inherited
    } else if context.live.duplicates.contains(&live.name) {
        SkipReason::Duplicate
    } else if context.held(scope.hold_until) {
        SkipReason::Held
    } else if matches!(target.policy, Policy::CreateOnly | Policy::Observe) {
        SkipReason::Policy
    } else if reason == Reason::RenamedLive && target.drift == Drift::Report {
        SkipReason::Drift
    } else if live.remote_id.is_none() {
        SkipReason::RenameBlocked
    } else {
        return None;
    };
    Some(Obstacle::Skip(skip))
}

fn count_population(ownership: &Ownership<'_>, plan: &mut TargetPlan) {
    let populations = &mut plan.populations.0;
    populations.insert((Counted::Scopes, None), ownership.of_live.len() as u64);
    for (name, (_, entry)) in &ownership.of_live {
        if let Some(roles) = &entry.applied.roles {
            populations.insert(
                (Counted::Roles, Some(name.as_str().to_owned())),
                roles.len() as u64,
            );
            *populations.entry((Counted::Roles, None)).or_default() += roles.len() as u64;
        }
    }
}

/// The state of a live scope.
pub(super) fn state(live: &LiveScope) -> ScopeState {
    ScopeState {
        name: live.name.clone(),
        display_name: live.display_name.clone(),
        description: live.description.clone(),
        roles: live.roles.clone(),
    }
}

struct Planner<'p, 'a> {
    context: &'p Context<'a>,
    capabilities: Capabilities,
    ownership: Ownership<'a>,
    claims: Claims,
    plan: &'p mut TargetPlan,
    maker: BTreeMap<ScopeName, usize>,
    /// Live names that this plan puts under a temporary name first, that name, and the change.
    parked: BTreeMap<ScopeName, (ScopeName, usize)>,
    /// Live names that are not deleted, because the rename that they wait for is stopped.
    keep: BTreeSet<ScopeName>,
}

/// A scope of ours under its live name, with the inventory's name for it.
type Owner<'a> = Option<(&'a ScopeName, &'a OwnedScope)>;

impl Planner<'_, '_> {
    /// Gives every cycle of renames a start: one object goes under a temporary name. It goes only if the others may go as
    /// well, so that none is left under that name for want of somebody's word.
    fn cycles(&mut self) {
        let cycles = renames::cycles(&self.claims.held);
        if cycles.is_empty() {
            return;
        }
        let mut known = renames::known_names(self.context);
        for cycle in cycles {
            let (Some(first), Some(last)) = (cycle.first(), cycle.last()) else {
                continue;
            };
            let (desired, live_scopes) = (&self.context.desired.scopes, &self.context.live.scopes);
            let (goal, live) = (&desired[last], &live_scopes[first]);
            let Some(id) = live.remote_id.clone() else {
                continue;
            };
            let temporary = renames::temporary_name(first, &known);
            known.insert(temporary.clone());
            let refusals = cycle
                .iter()
                .flat_map(|to| {
                    let live = &live_scopes[&self.claims.held[to].from];
                    let may = self.may_rename(live);
                    self.takeover_unless(may, &desired[to], live, "rename it")
                })
                .collect();
            let assumed = self.assumed(goal, live);
            let owner = self.ownership.of_live.get(first).copied();
            let entry = OwnedScope {
                origin: if self.may_rename(live) {
                    owner.map_or(Origin::Adopted, |(_, entry)| entry.origin)
                } else {
                    Origin::Adopted
                },
                remote_id: Some(id.clone()),
                parked_for: Some(last.clone()),
                ..owner.map_or(&assumed, |(_, entry)| entry).clone()
            };
            let replaces = owner.map_or(first, |(old, _)| old).clone();
            let before = state(live);
            let after = ScopeState {
                name: temporary.clone(),
                ..before.clone()
            };
            let change = self.push(PlannedChange {
                change: Change::RenameScope { id, before, after },
                object: ObjectRef::scope(first, live.remote_id.as_ref()),
                manifest: Some(goal.source.clone()),
                reason: Reason::SwapOfNames,
                remark: Some("a temporary name, for a swap".to_owned()),
                facts: BTreeSet::new(),
                refusals,
                depends_on: BTreeSet::new(),
                removals: Vec::new(),
                intent: Some(Intent::RenameScope {
                    name: temporary.clone(),
                    entry: entry.clone(),
                    replaces: replaces.clone(),
                }),
                record: Record::Scope {
                    name: temporary.clone(),
                    entry,
                    replaces: Some(replaces),
                },
            });
            self.parked.insert(first.clone(), (temporary, change));
        }
    }

    /// Whether a live scope is ours to rename.
    fn may_rename(&self, live: &LiveScope) -> bool {
        let owner = self.ownership.of_live.get(&live.name);
        owner.is_some_and(|(_, entry)| entry.origin.may_remove())
    }

    fn push(&mut self, change: PlannedChange) -> usize {
        self.plan.changes.push(change);
        self.plan.changes.len() - 1
    }

    fn skip(&mut self, name: &ScopeName, reason: SkipReason, entries: Vec<String>) {
        let id = self
            .context
            .live
            .scopes
            .get(name)
            .and_then(|live| live.remote_id.clone());
        self.plan.skipped.push(Skipped {
            object: ObjectRef::scope(name, id.as_ref()),
            reason,
            entries,
        });
    }

    fn policy(&self) -> Policy {
        self.context.desired.target.policy
    }

    /// One declared scope.
    fn declared(&mut self, scope: &DesiredScope) {
        let name = &scope.name;
        let stopped = self.claims.stopped.get(name).cloned();
        if self.context.live.duplicates.contains(name) {
            self.plan.diagnostics.push(
                Diagnostic::error(
                    Code("SW203"),
                    format!(
                        "{} lists the scope \"{name}\" more than once",
                        self.plan.system.label()
                    ),
                )
                .at(&scope.source, "/metadata/name")
                .help("delete the surplus ones there; nothing is written to this name before that"),
            );
            self.skip(name, SkipReason::Duplicate, Vec::new());
            if let Some((claim, _)) = stopped {
                self.skip(&claim.from, SkipReason::RenameBlocked, Vec::new());
                self.keep.insert(claim.from);
            }
            return;
        }
        if let Some((claim, obstacle)) = stopped {
            return self.stopped(scope, &claim, obstacle);
        }
        if let Some(claim) = self.claims.held.get(name).cloned() {
            self.rename(scope, &claim.from, claim.reason);
            return;
        }
        match self.context.live.scopes.get(name) {
            Some(live) => {
                let owner = self.ownership.of_live.get(name).copied();
                self.present(scope, live, owner);
            }
            None => self.create(scope),
        }
    }

    /// A declared scope whose object is live under another name and may not be renamed: both places are left alone.
    fn stopped(&mut self, scope: &DesiredScope, claim: &Claim, obstacle: Obstacle) {
        let (name, from) = (&scope.name, &claim.from);
        self.keep.insert(from.clone());
        let reason = match obstacle {
            Obstacle::Skip(reason) => reason,
            Obstacle::Waits => SkipReason::RenameBlocked,
            Obstacle::NoRename => {
                self.plan.diagnostics.push(
                    Diagnostic::error(
                        Code("SW204"),
                        format!("{} cannot rename yet, and \"{from}\" is live", self.plan.system.label()),
                    )
                    .at(&scope.source, "/spec/previousNames")
                    .help(format!("keep the name \"{from}\", or take previousNames out and move its users yourself")),
                );
                SkipReason::RenameBlocked
            }
            Obstacle::Conflict => {
                let holder = self.ownership.of_live.get(from).copied();
                self.conflict(scope, holder.map(|(_, entry)| &entry.source));
                return;
            }
            Obstacle::Taken => {
                let live = self.context.live.scopes.get(name);
                let id = live.and_then(|live| live.remote_id.as_ref());
                self.plan.refusals.push(Refusal {
                    rule: Rule::Takeover,
                    object: Some(ObjectRef::scope(name, id)),
                    message: format!("{from} cannot be renamed to {name}: a scope of that name is live and not ours"),
                    limit: None,
                    actual: None,
                    way_through: match claim.reason {
                        Reason::RenamedFrom => {
                            format!("delete or rename the live {name}, or take previousNames out of its manifest")
                        }
                        _ => format!("delete or rename the live {name}"),
                    },
                    liftable: false,
                });
                return;
            }
        };
        if reason == SkipReason::Held
            && let Some((old, entry)) = self.ownership.of_live.get(from).copied()
        {
            self.hold(old, entry, scope);
        }
        self.skip(from, reason, Vec::new());
    }

    /// A hold takes effect when it is seen, although nothing is written: it outlives its manifest.
    fn hold(&mut self, name: &ScopeName, entry: &OwnedScope, scope: &DesiredScope) {
        if entry.hold_until != scope.hold_until {
            self.plan.records.push(Record::Scope {
                name: name.clone(),
                entry: OwnedScope {
                    hold_until: scope.hold_until,
                    ..entry.clone()
                },
                replaces: None,
            });
        }
    }

    fn create(&mut self, scope: &DesiredScope) {
        let name = &scope.name;
        let owned = self.context.owned.scopes.get(name);
        if self.conflict(scope, owned.map(|entry| &entry.source)) {
            return;
        }
        if self.context.held(scope.hold_until) {
            return self.skip(name, SkipReason::Held, Vec::new());
        }
        if self.policy() == Policy::Observe {
            return self.skip(name, SkipReason::Policy, Vec::new());
        }
        if owned.is_some() && self.context.desired.target.drift == Drift::Report {
            return self.skip(name, SkipReason::Drift, Vec::new());
        }
        let roles: Vec<RoleName> = if self.capabilities.roles {
            scope.roles.entries.keys().cloned().collect()
        } else {
            Vec::new()
        };
        let fallback = stand_in(scope);
        let after = ScopeState {
            name: name.clone(),
            display_name: self.capabilities.display_name.then(|| fallback.clone()),
            description: Some(
                scope
                    .description
                    .clone()
                    .filter(|d| !d.trim().is_empty())
                    .unwrap_or(fallback),
            ),
            roles,
        };
        let applied_roles = (scope.roles.whole || !scope.roles.entries.is_empty())
            .then(|| scope.roles.entries.clone());
        let entry = entry_of(
            scope,
            Origin::Created,
            None,
            applied_roles.filter(|_| self.capabilities.roles),
            scope.previous_names.iter().cloned().collect(),
        );
        let intent = Intent::CreateScope {
            name: name.clone(),
            display_name: after.display_name.clone(),
            description: after.description.clone(),
            roles: after.roles.iter().cloned().collect(),
            entry: entry.clone(),
        };
        let change = self.push(PlannedChange {
            object: ObjectRef::scope(name, None),
            manifest: Some(scope.source.clone()),
            reason: Reason::NotLive,
            remark: None,
            facts: BTreeSet::new(),
            refusals: Vec::new(),
            depends_on: BTreeSet::new(),
            removals: Vec::new(),
            intent: Some(intent),
            record: Record::Scope {
                name: name.clone(),
                entry,
                replaces: None,
            },
            change: Change::CreateScope { after },
        });
        self.maker.insert(name.clone(), change);
    }

    /// Says so where another manifest holds the object, and whether it does.
    fn conflict(&mut self, scope: &DesiredScope, holder: Option<&SourceFile>) -> bool {
        let Some(holder) = self.context.conflict(holder, &scope.source) else {
            return false;
        };
        let object = ObjectRef::scope(&scope.name, None);
        let refusal = super::conflict(object, scope.name.as_str(), holder, &scope.source);
        self.plan.refusals.push(refusal);
        true
    }

    fn takeover_unless(
        &self,
        allowed: bool,
        scope: &DesiredScope,
        live: &LiveScope,
        what: &str,
    ) -> Vec<Refusal> {
        if allowed || self.context.desired.target.adoption == Adoption::Always {
            return Vec::new();
        }
        vec![Refusal {
            rule: Rule::Takeover,
            object: Some(ObjectRef::scope(&live.name, live.remote_id.as_ref())),
            message: format!(
                "{} is live and not ours, so this run does not {what}",
                live.name
            ),
            limit: None,
            actual: None,
            way_through: format!(
                "scopeward adopt {} --only Scope/{}",
                scope.source.file, scope.source.name
            ),
            liftable: true,
        }]
    }

    /// A declared scope that is live under its name.
    fn present(&mut self, scope: &DesiredScope, live: &LiveScope, owner: Owner<'_>) {
        let name = &scope.name;
        if self.conflict(scope, owner.map(|(_, entry)| &entry.source)) {
            return;
        }
        let adoption = self.context.desired.target.adoption;
        let new_origin = if adoption == Adoption::Always {
            Origin::Adopted
        } else {
            Origin::Matched
        };
        // What somebody else made counts as applied the way it is, once it is ours.
        let assumed = self.assumed(scope, live);
        let entry = owner.map_or(&assumed, |(_, entry)| entry);
        let roles = self.roles(scope, live, entry);
        let (after, drifted) = self.after(scope, live, entry, &roles);
        let before = state(live);
        let applied_roles = applied_roles(scope, &roles, entry).filter(|_| self.capabilities.roles);
        let origin = owner.map_or(new_origin, |(_, entry)| entry.origin);
        let new_entry = entry_of(
            scope,
            origin,
            live.remote_id.clone(),
            applied_roles,
            self.honoured(scope, entry),
        );

        let mut withheld: BTreeMap<SkipReason, Vec<String>> = BTreeMap::new();
        for (role, reason) in &roles.withheld {
            withheld
                .entry(*reason)
                .or_default()
                .push(role.as_str().to_owned());
        }
        let drifted: Vec<String> = drifted
            .into_iter()
            .map(str::to_owned)
            .chain(roles.drifted.iter().map(|r| r.as_str().to_owned()))
            .collect();
        if !drifted.is_empty() {
            withheld.insert(SkipReason::Drift, drifted);
        }

        let differs = before != after;
        if differs {
            let stopped = if live.inherited {
                Some(SkipReason::Inherited)
            } else if self.context.held(scope.hold_until) {
                Some(SkipReason::Held)
            } else if matches!(self.policy(), Policy::CreateOnly | Policy::Observe) {
                Some(SkipReason::Policy)
            } else {
                None
            };
            if let Some(reason) = stopped {
                if reason == SkipReason::Held
                    && let Some((old, entry)) = owner
                {
                    self.hold(old, entry, scope);
                }
                return self.skip(name, reason, Vec::new());
            }
        }
        for (reason, entries) in withheld {
            self.skip(name, reason, entries);
        }
        if differs {
            let origin = if owner.is_some() {
                origin
            } else {
                Origin::Adopted
            };
            let mut refusals = self.takeover_unless(owner.is_some(), scope, live, "change it");
            refusals.extend(self.role_refusals(scope, live, &roles, &after));
            let removals = role_removals(name, &roles);
            let entry = OwnedScope {
                origin,
                ..new_entry
            };
            let intent = Intent::UpdateScope {
                name: name.clone(),
                display_name: after.display_name.clone(),
                description: after.description.clone(),
                roles: after.roles.iter().cloned().collect(),
                entry: entry.clone(),
            };
            self.push(PlannedChange {
                change: Change::UpdateScope {
                    id: live.remote_id.clone(),
                    before,
                    after,
                },
                object: ObjectRef::scope(name, live.remote_id.as_ref()),
                manifest: Some(scope.source.clone()),
                reason: Reason::ValueDiffers,
                remark: None,
                facts: BTreeSet::new(),
                refusals,
                depends_on: BTreeSet::new(),
                removals,
                intent: Some(intent),
                record: entry_record(name, entry, owner),
            });
            return;
        }
        if owner.is_none() {
            if adoption == Adoption::Never {
                self.plan.refusals.extend(
                    self.takeover_unless(false, scope, live, "take it")
                        .into_iter()
                        .map(|r| Refusal {
                            liftable: false,
                            ..r
                        }),
                );
                return;
            }
            if live.inherited {
                self.plan.unchanged += 1;
                return;
            }
        }
        self.plan.unchanged += 1;
        let recorded = self.context.owned.scopes.get(name) == Some(&new_entry);
        if !recorded {
            self.plan.records.push(entry_record(name, new_entry, owner));
        }
    }

    /// The previous names that are no wish any more: all of them once there is an object of the declared name, and else two
    /// scopes that were made afresh would swap their names for having had each other's somewhere else.
    fn honoured(&self, scope: &DesiredScope, entry: &OwnedScope) -> BTreeSet<ScopeName> {
        if self.claims.outbid.contains(&scope.name) {
            return entry.renamed_from.clone();
        }
        scope.previous_names.iter().cloned().collect()
    }

    /// What counts as last applied to a scope that is not ours yet: under `adoption: Always` all that is live, so that
    /// what its manifest leaves out goes; else nothing.
    fn assumed(&self, scope: &DesiredScope, live: &LiveScope) -> OwnedScope {
        let all = self.context.desired.target.adoption == Adoption::Always;
        let roles = all.then(|| {
            // Without `bindings` of its own, only what is contributed is managed: the rest stays somebody else's.
            let own =
                |role: &&RoleName| scope.roles.whole || scope.roles.entries.contains_key(*role);
            let own = live.roles.iter().filter(own);
            own.map(|r| (r.clone(), [scope.source.file.clone()].into()))
                .collect()
        });
        OwnedScope {
            origin: Origin::Matched,
            remote_id: live.remote_id.clone(),
            source: scope.source.file.clone(),
            deletion_policy: DeletionPolicy::default(),
            protected: false,
            applied: Applied {
                roles,
                ..Applied::default()
            },
            hold_until: None,
            renamed_from: BTreeSet::new(),
            parked_for: None,
            vanished_at: None,
        }
    }

    fn roles(
        &self,
        scope: &DesiredScope,
        live: &LiveScope,
        entry: &OwnedScope,
    ) -> Resolved<RoleName> {
        let live_roles: BTreeSet<RoleName> = live.roles.iter().cloned().collect();
        let desired: BTreeSet<RoleName> = scope.roles.entries.keys().cloned().collect();
        let incomplete = (!scope.roles.may_shrink).then_some(SkipReason::IncompleteManifests);
        let unmanaged = !scope.roles.whole && desired.is_empty() && entry.applied.roles.is_none();
        if unmanaged || !self.capabilities.roles {
            return Resolved {
                after: live_roles,
                removed: BTreeSet::new(),
                withheld: BTreeMap::new(),
                drifted: BTreeSet::new(),
                first_contact: BTreeSet::new(),
                foreign: BTreeSet::new(),
            };
        }
        ThreeWay {
            desired: &desired,
            last: entry.applied.roles.as_ref(),
            live: &live_roles,
            everything: None,
            keep_foreign: !scope.roles.whole,
            gate: self.context.removal_gate().or(incomplete),
            covers: &|file| self.context.covers(file),
            report_drift: self.context.desired.target.drift == Drift::Report,
        }
        .resolve()
    }

    /// The state to reach, and the fields whose change behind our back is only reported. Unmanaged fields keep their live
    /// values, since every update replaces the object.
    fn after(
        &self,
        scope: &DesiredScope,
        live: &LiveScope,
        entry: &OwnedScope,
        roles: &Resolved<RoleName>,
    ) -> (ScopeState, Vec<&'static str>) {
        let report = self.context.desired.target.drift == Drift::Report;
        let mut drifted = Vec::new();
        let mut text = |path,
                        desired: &Option<String>,
                        last: &Option<String>,
                        live: &Option<String>| match desired {
            Some(wanted) if live.as_ref() != Some(wanted) => {
                if report && last.as_ref() == Some(wanted) {
                    drifted.push(path);
                    live.clone()
                } else {
                    Some(wanted.clone())
                }
            }
            _ => live.clone(),
        };
        let wanted = scope.description.clone().filter(|d| !d.trim().is_empty());
        let mut description = text(
            "description",
            &wanted,
            &entry.applied.description,
            &live.description,
        );
        let display_name = if self.capabilities.display_name {
            text(
                "displayName",
                &scope.display_name,
                &entry.applied.display_name,
                &live.display_name,
            )
        } else {
            live.display_name.clone()
        };
        let mut ordered: Vec<RoleName> = live
            .roles
            .iter()
            .filter(|role| roles.after.contains(*role))
            .cloned()
            .collect();
        let kept: BTreeSet<RoleName> = ordered.iter().cloned().collect();
        ordered.extend(roles.after.difference(&kept).cloned());
        let writes = description != live.description
            || display_name != live.display_name
            || ordered != live.roles;
        // WSO2 breaks on a blank description: whoever writes the object has to give it one.
        if writes && description.as_deref().unwrap_or_default().trim().is_empty() {
            description = Some(stand_in(scope));
        }
        (
            ScopeState {
                name: scope.name.clone(),
                display_name,
                description,
                roles: ordered,
            },
            drifted,
        )
    }

    fn role_refusals(
        &self,
        scope: &DesiredScope,
        live: &LiveScope,
        roles: &Resolved<RoleName>,
        after: &ScopeState,
    ) -> Vec<Refusal> {
        let object = Some(ObjectRef::scope(&scope.name, live.remote_id.as_ref()));
        let texts: Vec<String> = roles
            .first_contact
            .iter()
            .map(|r| r.as_str().to_owned())
            .collect();
        let mut refusals = Vec::new();
        if !texts.is_empty() {
            refusals.push(Refusal {
                rule: Rule::FirstContact,
                object: object.clone(),
                message: format!(
                    "the roles of {} were never applied from here, and {} would go",
                    scope.name,
                    list(&texts)
                ),
                limit: Some(0),
                actual: Some(texts.len() as u64),
                way_through: format!(
                    "scopeward adopt {} --only Scope/{}",
                    scope.source.file, scope.source.name
                ),
                liftable: true,
            });
        }
        if after.roles.is_empty() && !live.roles.is_empty() {
            let opens = self.capabilities.empty_roles_open_to_all;
            refusals.push(Refusal {
                rule: if opens {
                    Rule::OpensToAll
                } else {
                    Rule::LastEntry
                },
                object,
                message: format!(
                    "{} would have no role left, and a scope without roles is issued to any user",
                    scope.name
                ),
                limit: Some(1),
                actual: Some(0),
                way_through: "keep a role, delete the scope instead, or approve this plan"
                    .to_owned(),
                liftable: true,
            });
        }
        refusals
    }

    /// A declared scope that is live under another name.
    fn rename(&mut self, scope: &DesiredScope, from: &ScopeName, reason: Reason) {
        let live = &self.context.live.scopes[from];
        let Some(id) = live.remote_id.clone() else {
            return;
        };
        let owner = self.ownership.of_live.get(from).copied();
        let assumed = self.assumed(scope, live);
        let entry = owner.map_or(&assumed, |(_, entry)| entry);
        let roles = self.roles(scope, live, entry);
        let (after, _) = self.after(scope, live, entry, &roles);
        let (parked, after_parking) = self.parked.get(from).cloned().unzip();
        let before = ScopeState {
            name: parked.clone().unwrap_or_else(|| from.clone()),
            ..state(live)
        };
        let may = self.may_rename(live);
        let refusals = self.takeover_unless(may, scope, live, "rename it");
        let origin = if may { entry.origin } else { Origin::Adopted };
        let honoured = match reason {
            Reason::RenamedLive => entry.renamed_from.clone(),
            _ => scope.previous_names.iter().cloned().collect(),
        };
        let new_entry = entry_of(
            scope,
            origin,
            Some(id.clone()),
            entry.applied.roles.clone(),
            honoured,
        );
        let replaces = parked
            .clone()
            .unwrap_or_else(|| owner.map_or(from, |(old, _)| old).clone());
        let holders = match &live.consumers {
            Consumers::Apps(apps) if apps.len() == 1 => ", 1 app keeps it".to_owned(),
            Consumers::Apps(apps) if !apps.is_empty() => {
                format!(", {} keep it", count(apps.len(), "app"))
            }
            _ => String::new(),
        };
        let depends_on = after_parking.into_iter().collect();
        let change = self.push(PlannedChange {
            object: ObjectRef::scope(&scope.name, Some(&id)),
            manifest: Some(scope.source.clone()),
            reason,
            remark: Some(format!("id {id} stays{holders}")),
            change: Change::RenameScope { id, before, after },
            facts: BTreeSet::new(),
            refusals,
            depends_on,
            removals: Vec::new(),
            intent: Some(Intent::RenameScope {
                name: scope.name.clone(),
                entry: new_entry.clone(),
                replaces: replaces.clone(),
            }),
            record: Record::Scope {
                name: scope.name.clone(),
                entry: new_entry,
                replaces: Some(replaces).filter(|old| *old != scope.name),
            },
        });
        self.maker.insert(scope.name.clone(), change);
    }

    /// Whoever takes a live name waits for the one that leaves it. A temporary name is not live, and nobody waits for it.
    fn link_renames(&mut self) {
        let live = &self.context.live.scopes;
        let mut frees: BTreeMap<ScopeName, usize> = BTreeMap::new();
        for (index, planned) in self.plan.changes.iter().enumerate() {
            if let Change::RenameScope { before, .. } = &planned.change {
                frees.insert(before.name.clone(), index);
            }
        }
        for index in 0..self.plan.changes.len() {
            let takes = match &self.plan.changes[index].change {
                Change::RenameScope { after, .. } if live.contains_key(&after.name) => {
                    frees.get(&after.name).copied()
                }
                _ => None,
            };
            if let Some(first) = takes.filter(|first| *first != index) {
                self.plan.changes[index].depends_on.insert(first);
            }
        }
    }

    /// What no manifest declares.
    fn rest(mut self) -> Scopes {
        let desired = &self.context.desired.scopes;
        let sources: BTreeSet<ScopeName> = self
            .claims
            .held
            .values()
            .map(|claim| claim.from.clone())
            .collect();
        let mut leaving = BTreeMap::new();
        for (name, live) in &self.context.live.scopes {
            if desired.contains_key(name) || sources.contains(name) || self.keep.contains(name) {
                continue;
            }
            let Some((entry_name, entry)) = self.ownership.of_live.get(name).copied() else {
                self.skip(name, SkipReason::Unmanaged, Vec::new());
                continue;
            };
            if let Some(reason) = self.why_kept(live, entry_name, entry) {
                self.skip(name, reason, Vec::new());
                if reason == SkipReason::Orphaned {
                    self.plan.records.push(Record::ForgetScope {
                        name: entry_name.clone(),
                    });
                }
                continue;
            }
            if entry.protected {
                let id = entry.remote_id.clone();
                self.plan.refusals.push(Refusal {
                    rule: Rule::Protected,
                    object: Some(ObjectRef::scope(name, id.as_ref())),
                    message: format!("{name} is protected, and no manifest declares it any more"),
                    limit: None,
                    actual: None,
                    way_through:
                        "bring its manifest back, with `protected: false` first if it is to go"
                            .to_owned(),
                    liftable: false,
                });
                continue;
            }
            leaving.insert(name.clone(), entry_name.clone());
        }
        self.tombstones();
        let (mut renamed, mut entries) = (BTreeMap::new(), BTreeMap::new());
        for (to, Claim { from, .. }) in &self.claims.held {
            let owner = self.ownership.of_live.get(from);
            entries.insert(owner.map_or(from, |(name, _)| *name).clone(), to.clone());
            renamed.insert(from.clone(), to.clone());
        }
        Scopes {
            renamed,
            entries,
            maker: self.maker,
            leaving,
        }
    }

    /// Why an object of ours that no manifest declares is not deleted.
    fn why_kept(
        &self,
        live: &LiveScope,
        entry_name: &ScopeName,
        entry: &OwnedScope,
    ) -> Option<SkipReason> {
        let desired = &self.context.desired.scopes;
        let is_wanted = |name: &ScopeName| desired.contains_key(name);
        if self.context.live.duplicates.contains(&live.name) {
            Some(SkipReason::Duplicate)
        } else if live.inherited {
            Some(SkipReason::Inherited)
        } else if is_wanted(entry_name) || entry.parked_for.as_ref().is_some_and(is_wanted) {
            // It goes by another name, and could not be renamed: its manifest is not gone.
            Some(SkipReason::RenameBlocked)
        } else if !entry.origin.may_remove() {
            Some(SkipReason::Matched)
        } else if !self.context.covers(&entry.source) {
            Some(SkipReason::OtherSource)
        } else if let Some(reason) = self.context.removal_gate() {
            Some(reason)
        } else if self.context.held(entry.hold_until) {
            Some(SkipReason::Held)
        } else if entry.deletion_policy == DeletionPolicy::Orphan {
            Some(SkipReason::Orphaned)
        } else {
            None
        }
    }

    /// Entries whose object is gone: kept for a day, since a list may lag, then forgotten.
    fn tombstones(&mut self) {
        let now = self.context.options.now;
        for (name, entry) in &self.context.owned.scopes {
            if self.context.desired.scopes.contains_key(name) {
                continue;
            }
            if self.ownership.live_of.contains_key(name) {
                // It was the list that lagged.
                if entry.vanished_at.is_some() {
                    self.plan.records.push(Record::Scope {
                        name: name.clone(),
                        entry: OwnedScope {
                            vanished_at: None,
                            ..entry.clone()
                        },
                        replaces: None,
                    });
                }
                continue;
            }
            match entry.vanished_at {
                None => self.plan.records.push(Record::Scope {
                    name: name.clone(),
                    entry: OwnedScope {
                        vanished_at: Some(now),
                        ..entry.clone()
                    },
                    replaces: None,
                }),
                Some(since) if now.duration_since(since) > TOMBSTONE => {
                    self.plan
                        .records
                        .push(Record::ForgetScope { name: name.clone() });
                }
                Some(_) => {}
            }
        }
    }
}

/// What stands for a description that is not given, and for a display name.
fn stand_in(scope: &DesiredScope) -> String {
    let name = || scope.name.as_str().to_owned();
    scope.display_name.clone().unwrap_or_else(name)
}

/// `1 app`, `3 apps`.
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 {
        format!("1 {noun}")
    } else {
        format!("{n} {noun}s")
    }
}

/// The managed roles with their sources, as the inventory will hold them: the wanted ones, and those of before that stay.
///
/// A set that was never applied and holds more than is wanted stays unknown while nothing may be taken out of it: what is
/// there is a first contact still, for the run that may.
fn applied_roles(
    scope: &DesiredScope,
    roles: &Resolved<RoleName>,
    entry: &OwnedScope,
) -> Option<BTreeMap<RoleName, BTreeSet<SourceFile>>> {
    if entry.applied.roles.is_none() && !roles.withheld.is_empty() {
        return None;
    }
    let mut applied = scope.roles.entries.clone();
    if let Some(last) = &entry.applied.roles {
        for (role, sources) in last
            .iter()
            .filter(|(role, _)| roles.withheld.contains_key(*role))
        {
            applied
                .entry(role.clone())
                .or_insert_with(|| sources.clone());
        }
    }
    (scope.roles.whole || !applied.is_empty()).then_some(applied)
}

/// The record of an entry under its present name.
fn entry_record(name: &ScopeName, entry: OwnedScope, owner: Owner<'_>) -> Record {
    let replaces = owner
        .map(|(old, _)| old)
        .filter(|old| *old != name)
        .cloned();
    Record::Scope {
        name: name.clone(),
        entry,
        replaces,
    }
}

fn role_removals(name: &ScopeName, roles: &Resolved<RoleName>) -> Vec<Removal> {
    if roles.removed.is_empty() {
        return Vec::new();
    }
    vec![Removal {
        counted: Counted::Roles,
        holder: Some(name.as_str().to_owned()),
        count: roles.removed.len() as u64,
    }]
}

/// What the inventory will say of a declared scope.
fn entry_of(
    scope: &DesiredScope,
    origin: Origin,
    remote_id: Option<crate::model::RemoteId>,
    roles: Option<BTreeMap<RoleName, BTreeSet<SourceFile>>>,
    renamed_from: BTreeSet<ScopeName>,
) -> OwnedScope {
    OwnedScope {
        origin,
        remote_id,
        source: scope.source.file.clone(),
        deletion_policy: scope.deletion_policy,
        protected: scope.protected,
        applied: Applied {
            display_name: scope.display_name.clone(),
            description: scope.description.clone(),
            roles,
        },
        hold_until: scope.hold_until,
        renamed_from,
        parked_for: None,
        vanished_at: None,
    }
}
