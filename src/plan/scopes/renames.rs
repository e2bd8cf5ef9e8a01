//! Carries out the wishes that are granted: renames in place, in chains and swaps.

use std::collections::BTreeMap;

use super::Planner;
use super::values::entry_of;
use super::wishes::{self, Obstacle, Ownership, RenameWish};
use crate::diagnostic::{Diagnostic, codes};
use crate::model::target::{Drift, Policy};
use crate::model::{
    Consumers, DesiredScope, Intent, LiveScope, Origin, OwnedScope, Record, Rename, ScopeName,
    ScopeState,
};
use crate::plan::change::Change;
use crate::plan::prose::count;
use crate::plan::rule::{Refusal, Rule, WayThrough};
use crate::plan::{Context, ObjectRef, PlannedChange, Reason, SkipReason};

impl Planner<'_, '_> {
    /// Gives every cycle of renames a start: one object goes under a temporary name. It goes only if the others may go as
    /// well, so that none is left under that name for want of somebody's word.
    pub(super) fn cycles(&mut self) {
        let cycles = wishes::cycles(&self.renames.granted);
        if cycles.is_empty() {
            return;
        }
        let mut known = wishes::known_names(self.context);
        for cycle in cycles {
            let (Some(first), Some(last)) = (cycle.first(), cycle.last()) else {
                continue;
            };
            let (desired, live_scopes) = (&self.context.desired.scopes, &self.context.live.scopes);
            let (goal, live) = (&desired[last], &live_scopes[first]);
            let Some(id) = live.remote_id.clone() else {
                continue;
            };
            let temporary = wishes::temporary_name(first, &known);
            known.insert(temporary.clone());
            let refusals = cycle
                .iter()
                .flat_map(|to| {
                    let live = &live_scopes[&self.renames.granted[to].from];
                    let may = self.may_rename(live);
                    self.takeover_unless(may, &desired[to], live, "rename it")
                })
                .collect();
            let assumed = self.assumed(goal, live);
            let owner = self.ownership.of_live.get(first).copied();
            let mut entry = OwnedScope {
                origin: if self.may_rename(live) {
                    owner.map_or(Origin::Adopted, |(_, entry)| entry.origin)
                } else {
                    Origin::Adopted
                },
                remote_id: Some(id.clone()),
                parked_for: Some(last.clone()),
                ..owner.map_or(&assumed, |(_, entry)| entry).clone()
            };
            entry.tighten(&super::tightening(goal));
            let replaces = owner.map_or(first, |(old, _)| old).clone();
            let before = live.state.clone();
            let after = ScopeState {
                name: temporary.clone(),
                ..before.clone()
            };
            let change = self.push(PlannedChange {
                manifest: Some(goal.source.clone()),
                remark: Some("a temporary name, for a swap".to_owned()),
                origin: owner.map(|(_, entry)| entry.origin),
                refusals,
                intent: Some(Intent::RenameScope {
                    name: temporary.clone(),
                    entry: entry.clone(),
                    replaces: replaces.clone(),
                }),
                ..PlannedChange::new(
                    ObjectRef::scope(first, live.remote_id.as_ref()),
                    Reason::SwapOfNames,
                    Change::RenameScope { id, before, after },
                    Record::Scope {
                        name: temporary.clone(),
                        entry,
                        replaces: Some(replaces),
                    },
                )
            });
            self.parked.insert(first.clone(), (temporary, change));
        }
    }

    /// Whether a live scope is ours to rename.
    pub(super) fn may_rename(&self, live: &LiveScope) -> bool {
        let owner = self.ownership.of_live.get(&live.state.name);
        owner.is_some_and(|(_, entry)| entry.origin.may_remove())
    }

    /// A declared scope whose object is live under another name and may not be renamed: both places are left alone.
    pub(super) fn stopped(&mut self, scope: &DesiredScope, wish: &RenameWish, obstacle: Obstacle) {
        let (name, from) = (&scope.name, &wish.from);
        self.keep.insert(from.clone());
        let reason = match obstacle {
            Obstacle::Skip(reason) => reason,
            Obstacle::Waits => SkipReason::RenameBlocked,
            Obstacle::NoRename => {
                self.plan.diagnostics.push(
                    Diagnostic::error(
                        codes::CANNOT_RENAME,
                        format!("{} cannot rename yet, and \"{from}\" is live", self.plan.system.label()),
                    )
                    .at(&scope.source, "/spec/previousNames")
                    .help(format!("keep the name \"{from}\", or take previousNames out and move its users yourself")),
                );
                SkipReason::RenameBlocked
            }
            Obstacle::Conflict => {
                let holder = holder(self.context, &self.ownership, scope, from);
                self.conflict(scope, holder);
                return;
            }
            Obstacle::Taken => {
                let live = self.context.live.scopes.get(name);
                let id = live.and_then(|live| live.remote_id.as_ref());
                self.plan.refusals.push(Refusal::of(
                    Rule::NameTaken,
                    &ObjectRef::scope(name, id),
                    format!("{from} cannot be renamed to {name}: a scope of that name is live and not managed"),
                    WayThrough::ClearName {
                        name: name.to_string(),
                        is_declared: wish.reason == Reason::RenamedFrom,
                    },
                ));
                return;
            }
        };
        self.skip(from, reason, Vec::new());
    }

    /// A declared scope that is live under another name.
    pub(super) fn rename(&mut self, scope: &DesiredScope, from: &ScopeName, reason: Reason) {
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
            ..live.state.clone()
        };
        let may = self.may_rename(live);
        let refusals = self.takeover_unless(may, scope, live, "rename it");
        let origin = if may { entry.origin } else { Origin::Adopted };
        let mut honoured = entry.renamed_from.clone();
        if reason != Reason::RenamedLive {
            honoured.extend(scope.previous_names.iter().cloned());
        }
        let mut new_entry = entry_of(
            scope,
            origin,
            Some(id.clone()),
            entry.applied.roles.clone(),
            honoured,
        );
        new_entry.applied.all_roles = entry.applied.all_roles;
        let replaces = parked
            .clone()
            .unwrap_or_else(|| owner.map_or(from, |(old, _)| old).clone());
        let holders = match &live.consumers {
            Consumers::Apps(apps) if apps.len() == 1 => ", 1 app keeps it".to_owned(),
            Consumers::Apps(apps) if !apps.is_empty() => {
                format!(", {} keep it", count(apps.len() as u64, "app"))
            }
            _ => String::new(),
        };
        let depends_on = after_parking.into_iter().collect();
        let change = self.push(PlannedChange {
            manifest: Some(scope.source.clone()),
            remark: Some(format!("id {id} stays{holders}")),
            origin: owner.map(|(_, entry)| entry.origin),
            refusals,
            depends_on,
            intent: Some(Intent::RenameScope {
                name: scope.name.clone(),
                entry: new_entry.clone(),
                replaces: replaces.clone(),
            }),
            ..PlannedChange::new(
                ObjectRef::scope(&scope.name, Some(&id)),
                reason,
                Change::RenameScope { id, before, after },
                Record::Scope {
                    name: scope.name.clone(),
                    entry: new_entry,
                    replaces: Some(replaces).filter(|old| *old != scope.name),
                },
            )
        });
        self.maker.insert(scope.name.clone(), change);
    }

    /// Whoever takes a live name waits for the one that leaves it. A temporary name is not live, and nobody waits for it.
    pub(super) fn link_renames(&mut self) {
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
}

/// What forbids a rename, whatever becomes of the others.
pub(super) fn obstacle(
    context: &Context<'_>,
    ownership: &Ownership<'_>,
    scope: &DesiredScope,
    live: &LiveScope,
    reason: Reason,
) -> Option<Obstacle> {
    let target = &context.desired.target;
    let skip = if target.system().capabilities().rename == Rename::No {
        return Some(Obstacle::NoRename);
    } else if holder(context, ownership, scope, &live.state.name).is_some() {
        return Some(Obstacle::Conflict);
    } else if live.inherited {
        SkipReason::Inherited
    } else if context.live.duplicates.contains(&live.state.name) {
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

/// What a rename takes and a manifest outside this run holds: the live object, or the name that it is to have.
fn holder<'a>(
    context: &Context<'a>,
    ownership: &Ownership<'a>,
    scope: &DesiredScope,
    from: &ScopeName,
) -> Option<(&'a ScopeName, &'a OwnedScope)> {
    let object = ownership.of_live.get(from).copied();
    let name = context.owned.scopes.get_key_value(&scope.name);
    let mut entries = object.into_iter().chain(name);
    entries.find(|(_, entry)| context.holder(Some(&entry.source), &scope.source).is_some())
}
