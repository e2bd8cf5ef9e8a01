//! The case table of scopes: who owns what, and what becomes of it.
//!
//! | room | what |
//! |---|---|
//! | `wishes` | which live scope each declared one is, where names moved |
//! | `renames` | carries out those that are granted |
//! | `values` | what a scope is to hold, and what the inventory will say of it |
//! | `removals` | what becomes of scopes that no manifest declares |

use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use super::rule::{Named, Refusal, Rule, WayThrough};
use super::sets::Resolved;
use super::{
    Context, ObjectKind, ObjectRef, PlannedChange, Reason, SkipReason, Skipped, TargetPlan,
};
use crate::diagnostic::{Diagnostic, codes};
use crate::model::target::{Adoption, Drift, Policy};
use crate::model::{
    Capabilities, DeletionPolicy, DesiredScope, Intent, LiveScope, Origin, OwnedScope, Record,
    RoleName, ScopeName, ScopeState, Tightening,
};

pub(super) mod removals;
mod renames;
pub(super) mod values;
mod wishes;

use values::{entry_of, role_removals, stand_in, taken};
use wishes::{Ownership, Renames};

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
    let renames = wishes::renames(context, &ownership, |scope, live, reason| {
        renames::obstacle(context, &ownership, scope, live, reason)
    });
    plan.population.live = context.live.scopes.len();
    plan.population.managed = ownership.of_live.len();
    plan.population.unmanaged = context.live.scopes.len() - ownership.of_live.len();
    count_population(&ownership, plan);

    let mut planner = Planner {
        context,
        capabilities,
        ownership,
        renames,
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

/// Who owns which live scope. Ownership holds for a remote id: one that was deleted and made again by somebody else under
/// the same name is not ours. Where the name is the id, one that vanished and is back with other values is not ours either.
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
            _ => live
                .get_key_value(name)
                .filter(|(_, found)| !values::is_another(found, entry))
                .map(|(name, _)| name),
        };
        if let Some(live_name) = live_name {
            ownership.of_live.insert(live_name, (name, entry));
            ownership.live_of.insert(name, live_name);
        }
    }
    ownership
}

fn count_population(ownership: &Ownership<'_>, plan: &mut TargetPlan) {
    for (name, (_, entry)) in &ownership.of_live {
        plan.populations.add(&values::scope_removal(&entry.source));
        count_roles(name, entry, plan);
    }
}

/// Counts the roles that count as applied to a scope.
fn count_roles(name: &ScopeName, entry: &OwnedScope, plan: &mut TargetPlan) {
    if let Some(roles) = &entry.applied.roles {
        for all in role_removals(name, roles.keys(), entry) {
            plan.populations.add(&all);
        }
    }
}

struct Planner<'p, 'a> {
    context: &'p Context<'a>,
    capabilities: Capabilities,
    ownership: Ownership<'a>,
    renames: Renames,
    plan: &'p mut TargetPlan,
    maker: BTreeMap<ScopeName, usize>,
    /// Live names that this plan puts under a temporary name first, that name, and the change.
    parked: BTreeMap<ScopeName, (ScopeName, usize)>,
    /// Live names that are not deleted, because the rename that they wait for is stopped.
    keep: BTreeSet<ScopeName>,
}

/// What a live scope is to be.
struct Goal {
    roles: Resolved<RoleName>,
    after: ScopeState,
    /// Fields whose change behind our back is only reported.
    drifted: Vec<&'static str>,
    /// What the inventory will say of it.
    entry: OwnedScope,
}

/// A scope of ours under its live name, with the inventory's name for it.
type Owner<'a> = Option<(&'a ScopeName, &'a OwnedScope)>;

impl Planner<'_, '_> {
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
        self.tighten(scope);
        let name = &scope.name;
        let stopped = self.renames.stopped.get(name).cloned();
        if self.context.live.duplicates.contains(name) {
            self.plan.diagnostics.push(
                Diagnostic::error(
                    codes::LISTED_TWICE,
                    format!(
                        "{} lists the scope \"{name}\" more than once",
                        self.plan.system.label()
                    ),
                )
                .at(&scope.source, "/metadata/name")
                .help("delete the surplus ones there; nothing is written to this name before that"),
            );
            self.skip(name, SkipReason::Duplicate, Vec::new());
            if let Some((wish, _)) = stopped {
                self.skip(&wish.from, SkipReason::RenameBlocked, Vec::new());
                self.keep.insert(wish.from);
            }
            return;
        }
        if let Some((wish, obstacle)) = stopped {
            return self.stopped(scope, &wish, obstacle);
        }
        if let Some(wish) = self.renames.granted.get(name).cloned() {
            self.rename(scope, &wish.from, wish.reason);
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

    /// What protects an object takes effect when it is seen, whatever becomes of the rest: it outlives its manifest. Another
    /// manifest than the one that holds the object has no say.
    fn tighten(&mut self, scope: &DesiredScope) {
        let name = &scope.name;
        let renames = &self.renames;
        let wish = renames.granted.get(name);
        let wish = wish.or_else(|| renames.stopped.get(name).map(|(wish, _)| wish));
        let live = wish.map_or(name, |wish| &wish.from);
        let known = self.ownership.of_live.get(live).copied();
        let Some((name, entry)) = known.or_else(|| self.context.owned.scopes.get_key_value(name))
        else {
            return;
        };
        let by = tightening(scope);
        let mut tightened = entry.clone();
        tightened.tighten(&by);
        let holder = self.context.holder(Some(&entry.source), &scope.source);
        if holder.is_none() && tightened != *entry {
            let name = name.clone();
            self.plan.records.push(Record::TightenScope { name, by });
        }
    }

    fn create(&mut self, scope: &DesiredScope) {
        let name = &scope.name;
        let owned = self.context.owned.scopes.get_key_value(name);
        if self.conflict(scope, owned) {
            return;
        }
        // Where the name is the id, what is made under it before this run makes it is somebody else's.
        if let Some((_, entry)) = owned
            && entry.vanished_at.is_none()
        {
            let entry = OwnedScope {
                vanished_at: Some(self.context.options.now),
                ..entry.clone()
            };
            let record = Record::Scope {
                name: name.clone(),
                entry,
                replaces: None,
            };
            self.plan.records.push(record);
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
            state: after.clone(),
            entry: entry.clone(),
        };
        let change = self.push(PlannedChange {
            manifest: Some(scope.source.clone()),
            intent: Some(intent),
            ..PlannedChange::new(
                ObjectRef::scope(name, None),
                Reason::NotLive,
                Change::CreateScope { after },
                Record::Scope {
                    name: name.clone(),
                    entry,
                    replaces: None,
                },
            )
        });
        self.maker.insert(name.clone(), change);
    }

    /// Says so where another manifest holds the object, and whether it does.
    /// Whether another manifest holds an object that this one declares: then it is left alone, and what wants it is known.
    fn conflict(&mut self, scope: &DesiredScope, entry: Owner<'_>) -> bool {
        let holder = entry.map(|(_, entry)| &entry.source);
        let object = || ObjectRef::scope(&scope.name, None);
        let refusal = self.context.conflict(object, holder, &scope.source);
        let is_held = refusal.is_some();
        self.plan.refusals.extend(refusal);
        if is_held && let Some((name, entry)) = entry {
            let by = self.context.want(entry.wanted_by.as_ref(), &scope.source);
            let name = name.clone();
            let record = by.map(|by| Record::WantScope { name, by });
            self.plan.records.extend(record);
        }
        is_held
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
        vec![Refusal::of(
            Rule::Takeover,
            &ObjectRef::scope(&live.state.name, live.remote_id.as_ref()),
            format!(
                "{} is live and not managed, so this run does not {what}",
                live.state.name
            ),
            WayThrough::Adopt(Named::of(ObjectKind::Scope, &scope.source)),
        )]
    }

    /// A declared scope that is live under its name.
    fn present(&mut self, scope: &DesiredScope, live: &LiveScope, owner: Owner<'_>) {
        if self.conflict(scope, owner) {
            return;
        }
        let goal = self.goal(scope, live, owner);
        let differs = live.state != goal.after;
        if differs && let Some(reason) = self.why_left(scope, live) {
            return self.skip(&scope.name, reason, Vec::new());
        }
        let mut left = goal.roles.left();
        let drifted = goal.drifted.iter().map(|path| (*path).to_owned());
        if !goal.drifted.is_empty() {
            let roles = left.remove(&SkipReason::Drift).unwrap_or_default();
            left.insert(SkipReason::Drift, drifted.chain(roles).collect());
        }
        for (reason, entries) in left {
            self.skip(&scope.name, reason, entries);
        }
        if differs {
            self.update(scope, live, owner, goal);
        } else {
            self.equal(scope, live, owner, goal.entry);
        }
    }

    /// What a live scope is to be, and what the inventory will say of it.
    fn goal(&mut self, scope: &DesiredScope, live: &LiveScope, owner: Owner<'_>) -> Goal {
        // What somebody else made counts as applied the way it is, once it is ours.
        let assumed = self.assumed(scope, live);
        if owner.is_none() {
            count_roles(&scope.name, &assumed, self.plan);
        }
        let known = owner.map_or(&assumed, |(_, entry)| entry);
        let roles = self.roles(scope, live, known);
        let (after, drifted) = self.after(scope, live, known, &roles);
        let applied_roles = self
            .applied_roles(scope, &roles, known)
            .filter(|_| self.capabilities.roles);
        let origin = match (owner, self.context.desired.target.adoption) {
            (Some((_, entry)), _) => entry.origin,
            (None, Adoption::Always) => Origin::Adopted,
            (None, _) => Origin::Matched,
        };
        let mut entry = entry_of(
            scope,
            origin,
            live.remote_id.clone(),
            applied_roles,
            self.honoured(scope, known),
        );
        let foreign_stays = !roles.foreign.is_disjoint(&roles.after);
        entry.applied.all_roles &= known.applied.all_roles || !foreign_stays;
        Goal {
            roles,
            after,
            drifted,
            entry,
        }
    }

    /// Why a scope that differs is left as it is.
    fn why_left(&self, scope: &DesiredScope, live: &LiveScope) -> Option<SkipReason> {
        if live.inherited {
            Some(SkipReason::Inherited)
        } else if self.context.held(scope.hold_until) {
            Some(SkipReason::Held)
        } else if matches!(self.policy(), Policy::CreateOnly | Policy::Observe) {
            Some(SkipReason::Policy)
        } else {
            None
        }
    }

    /// A live scope that differs gets what it is to hold.
    fn update(&mut self, scope: &DesiredScope, live: &LiveScope, owner: Owner<'_>, goal: Goal) {
        let name = &scope.name;
        let Goal {
            roles,
            after,
            drifted: _,
            mut entry,
        } = goal;
        if owner.is_none() {
            entry.origin = Origin::Adopted;
        }
        let assumed = self.assumed(scope, live);
        let known = owner.map_or(&assumed, |(_, entry)| entry);
        let mut refusals = self.takeover_unless(owner.is_some(), scope, live, "change it");
        refusals.extend(self.role_refusals(scope, live, &roles, &after));
        let adds = after.roles.iter();
        let adds = adds.filter(|role| !live.state.roles.contains(*role));
        let intent = Intent::UpdateScope {
            state: after.clone(),
            entry: entry.clone(),
            adds: adds.cloned().collect(),
        };
        self.push(PlannedChange {
            manifest: Some(scope.source.clone()),
            refusals,
            removals: role_removals(name, taken(&roles), known),
            origin: owner.map(|(_, entry)| entry.origin),
            intent: Some(intent),
            ..PlannedChange::new(
                ObjectRef::scope(name, live.remote_id.as_ref()),
                Reason::ValueDiffers,
                Change::UpdateScope {
                    id: live.remote_id.clone(),
                    before: live.state.clone(),
                    after,
                },
                entry_record(name, entry, owner),
            )
        });
    }

    /// A live scope that holds what it is to hold: the inventory learns of it, if it may be ours.
    fn equal(
        &mut self,
        scope: &DesiredScope,
        live: &LiveScope,
        owner: Owner<'_>,
        entry: OwnedScope,
    ) {
        let name = &scope.name;
        if owner.is_none() && self.context.desired.target.adoption == Adoption::Never {
            self.plan.refusals.push(Refusal::of(
                Rule::AdoptionNever,
                &ObjectRef::scope(name, live.remote_id.as_ref()),
                format!("{name} is live and not managed, and its target says `adoption: Never`"),
                WayThrough::AllowAdoption,
            ));
            return;
        }
        self.plan.unchanged += 1;
        let is_nobodys = owner.is_none() && live.inherited;
        let is_recorded = self.context.owned.scopes.get(name) == Some(&entry);
        if !is_nobodys && !is_recorded {
            self.plan.records.push(entry_record(name, entry, owner));
        }
    }
}

/// What a manifest says that only protects more.
fn tightening(scope: &DesiredScope) -> Tightening {
    Tightening {
        protected: scope.protected,
        orphan: scope.deletion_policy == DeletionPolicy::Orphan,
        hold_until: scope.hold_until,
    }
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
