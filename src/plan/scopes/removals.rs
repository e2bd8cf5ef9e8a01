//! What becomes of scopes that no manifest declares.

use std::collections::{BTreeMap, BTreeSet};

use super::values::scope_removal;
use super::wishes::RenameWish;
use super::{Planner, Scopes};
use crate::model::{
    AppRef, Consumers, DeletionPolicy, Intent, LiveApp, LiveScope, OwnedScope, Record, ScopeName,
};
use crate::plan::change::Change;
use crate::plan::prose::list;
use crate::plan::rule::{Refusal, Rule, WayThrough};
use crate::plan::{Context, ObjectRef, PlannedChange, Reason, SkipReason, TOMBSTONE, TargetPlan};

impl Planner<'_, '_> {
    /// What no manifest declares.
    pub(super) fn rest(mut self) -> Scopes {
        let desired = &self.context.desired.scopes;
        let sources: BTreeSet<ScopeName> = self
            .renames
            .granted
            .values()
            .map(|wish| wish.from.clone())
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
                let heir = self.context.heir(entry.wanted_by.as_ref());
                let moved_to = self.moved_to(entry_name, entry);
                let moved_to = moved_to.or(heir.map(|heir| &heir.file));
                let moved_to = moved_to.filter(|_| reason == SkipReason::Moved);
                let entries = moved_to.map(ToString::to_string).into_iter().collect();
                if let Some(heir) = heir.filter(|_| reason == SkipReason::Moved) {
                    self.plan.records.push(Record::Scope {
                        name: entry_name.clone(),
                        entry: OwnedScope {
                            source: heir.clone(),
                            ..entry.clone()
                        },
                        replaces: None,
                    });
                }
                self.skip(name, reason, entries);
                if reason == SkipReason::Orphaned {
                    self.plan.records.push(Record::ForgetScope {
                        name: entry_name.clone(),
                    });
                }
                continue;
            }
            if entry.protected {
                self.plan.refusals.push(Refusal::of(
                    Rule::Protected,
                    &ObjectRef::scope(name, entry.remote_id.as_ref()),
                    format!("{name} is protected, and no manifest declares it any more"),
                    WayThrough::BringBack,
                ));
                continue;
            }
            leaving.insert(name.clone(), entry_name.clone());
        }
        self.tombstones();
        let (mut renamed, mut entries) = (BTreeMap::new(), BTreeMap::new());
        for (to, RenameWish { from, .. }) in &self.renames.granted {
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
    pub(super) fn why_kept(
        &self,
        live: &LiveScope,
        entry_name: &ScopeName,
        entry: &OwnedScope,
    ) -> Option<SkipReason> {
        let desired = &self.context.desired.scopes;
        let is_wanted = |name: &ScopeName| desired.contains_key(name);
        if self.context.live.duplicates.contains(&live.state.name) {
            Some(SkipReason::Duplicate)
        } else if live.inherited {
            Some(SkipReason::Inherited)
        } else if is_wanted(entry_name) || entry.parked_for.as_ref().is_some_and(is_wanted) {
            // It goes by another name, and could not be renamed: its manifest is not gone.
            Some(SkipReason::RenameBlocked)
        } else if self.is_let_go(entry) && self.is_wanted_elsewhere(entry_name, entry) {
            // Whoever made it: a hand-over changes only whose it is.
            Some(SkipReason::Moved)
        } else if !entry.origin.may_remove() {
            Some(SkipReason::Matched)
        } else if let Some(reason) = self.context.why_uncovered(&entry.source) {
            Some(reason)
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

    /// Whether the holder of an object is gone, and a run that may remove what it held sees that.
    fn is_let_go(&self, entry: &OwnedScope) -> bool {
        self.context.why_uncovered(&entry.source).is_none() && self.context.removal_gate().is_none()
    }

    /// Whether a manifest outside this run has what its holder lets go of.
    fn is_wanted_elsewhere(&self, entry_name: &ScopeName, entry: &OwnedScope) -> bool {
        self.moved_to(entry_name, entry).is_some()
            || self.context.heir(entry.wanted_by.as_ref()).is_some()
    }

    /// The file outside this run that declares an object of ours now.
    fn moved_to(
        &self,
        entry_name: &ScopeName,
        entry: &OwnedScope,
    ) -> Option<&crate::model::SourceFile> {
        let place = self.context.desired.target.live_identity();
        let coverage = &self.context.options.coverage;
        coverage.scope_moved_to(place.as_ref(), entry_name, &entry.source)
    }

    /// Entries whose object is gone: kept for a day, since a list may lag, then forgotten.
    pub(super) fn tombstones(&mut self) {
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

/// Plans the deletions, now that the lists of apps are planned.
pub(in crate::plan) fn delete(context: &Context<'_>, scopes: &Scopes, plan: &mut TargetPlan) {
    let lists = lists_after(plan);
    // Whether a system tells names apart by their case is not known everywhere: the old spelling goes after the new one is
    // there, and stays where the new one could not be made.
    let makers: BTreeMap<String, usize> = scopes
        .maker
        .iter()
        .map(|(name, maker)| (name.as_str().to_lowercase(), *maker))
        .collect();
    for (name, entry_name) in &scopes.leaving {
        let live = &context.live.scopes[name];
        let entry = &context.owned.scopes[entry_name];
        let object = ObjectRef::scope(name, live.remote_id.as_ref());
        let respelled = makers.get(&name.as_str().to_lowercase());
        let mut depends_on: BTreeSet<usize> = respelled.copied().into_iter().collect();
        let facts = live.consumers.facts();
        let mut users = Vec::new();
        match &live.consumers {
            Consumers::Unknown | Consumers::Usages(0) => {}
            Consumers::Usages(count) => {
                users.push(format!("{count} API operations"));
            }
            Consumers::Apps(apps) => {
                for app in apps {
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
            let message = format!("{name} is used by {}, which would lose it", list(&users));
            // No approval makes the system delete what its APIs require.
            let (rule, way) = match &live.consumers {
                Consumers::Usages(_) => (Rule::InUse, WayThrough::FreeOperations),
                _ => (Rule::UnmanagedConsumers, WayThrough::FreeConsumers),
            };
            let refusal = Refusal::of(rule, &object, message, way);
            refusals.push(refusal.counted(0, users.len() as u64));
        }
        let remark = match (&live.consumers, users.is_empty()) {
            (Consumers::Unknown, _) => "no manifest declares it; consumers: unknown".to_owned(),
            (_, true) => "no manifest declares it".to_owned(),
            (_, false) => format!("no manifest declares it; {} still use it", list(&users)),
        };
        plan.changes.push(PlannedChange {
            remark: Some(remark),
            facts,
            refusals,
            depends_on,
            removals: vec![scope_removal(&entry.source)],
            origin: Some(entry.origin),
            intent: Some(Intent::DeleteScope {
                name: entry_name.clone(),
                live: name.clone(),
                remote_id: live.remote_id.clone(),
            }),
            ..PlannedChange::new(
                object,
                Reason::NotInManifests,
                Change::DeleteScope {
                    id: live.remote_id.clone(),
                    before: live.state.clone(),
                },
                Record::ForgetScope {
                    name: entry_name.clone(),
                },
            )
        });
    }
}

/// The lists that apps will hold, each with the change that makes it so.
pub(super) fn lists_after(plan: &TargetPlan) -> BTreeMap<AppRef, (usize, BTreeSet<ScopeName>)> {
    let list = |(index, planned): (usize, &PlannedChange)| match &planned.change {
        Change::ReplaceAppScopes { app, after, .. } => Some((app.clone(), (index, after.clone()))),
        Change::DetachApp { app, .. } => Some((app.clone(), (index, BTreeSet::new()))),
        _ => None,
    };
    plan.changes.iter().enumerate().filter_map(list).collect()
}

pub(super) fn label(context: &Context<'_>, app: &AppRef) -> String {
    match context.live.apps.get(app) {
        Some(LiveApp::Present(live)) => ObjectRef::app(app, live.name.as_deref()).label,
        _ => app.to_string(),
    }
}
