//! The full lists of scopes that apps hold.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use super::scopes::Scopes;
use super::scopes::values::namespace;
use super::sets::{Resolved, ThreeWay};
use super::{
    Context, ObjectRef, PlannedChange, Reason, SkipReason, Skipped, TOMBSTONE, TargetPlan, settle,
};
use crate::diagnostic::{Diagnostic, codes};
use crate::model::target::{Drift, Policy};
use crate::model::{
    AppIdentity, AppRef, Counted, DeletionPolicy, DesiredApp, ForeignScopes, Intent, LiveApp,
    LiveAppScopes, ManifestRef, Origin, OwnedApp, Record, Removal, ScopeName, Tightening,
};

mod checks;

use checks::{foreign, refusals};

/// Plans the lists of all declared apps, and of those that no manifest declares any more.
pub(super) fn plan(context: &Context<'_>, scopes: &Scopes, plan: &mut TargetPlan) {
    let mut owned = context.owned.apps.clone();
    for entry in owned.values_mut() {
        entry.applied = rename(&entry.applied, &scopes.entries);
    }
    let back = scopes.entries.iter();
    let mut planner = Planner {
        context,
        scopes,
        before: back.map(|(old, new)| (new.clone(), old.clone())).collect(),
        owned,
        live: settle::apps(context.live),
        plan,
        declared: BTreeSet::new(),
        suggestions: SUGGESTIONS,
    };
    planner.count_population();
    for app in planner.unambiguous() {
        planner.declared(app);
    }
    planner.rest();
}

/// A set of names after some of them changed, all at once.
fn rename(
    names: &BTreeSet<ScopeName>,
    renamed: &BTreeMap<ScopeName, ScopeName>,
) -> BTreeSet<ScopeName> {
    names
        .iter()
        .map(|name| renamed.get(name).unwrap_or(name).clone())
        .collect()
}

/// For how many missing scopes the nearest live name is looked up: every one compares all of them.
const SUGGESTIONS: usize = 20;

struct Planner<'p, 'a> {
    context: &'p Context<'a>,
    scopes: &'p Scopes,
    /// What scopes are called in the inventory, by what they will be called.
    before: BTreeMap<ScopeName, ScopeName>,
    /// What was last applied, in the names that the scopes have after this plan.
    owned: BTreeMap<AppRef, OwnedApp>,
    /// The apps that are there, by their full references.
    live: BTreeMap<&'a AppRef, &'a LiveAppScopes>,
    plan: &'p mut TargetPlan,
    /// What the declared apps are, as far as that is known.
    declared: BTreeSet<AppIdentity<'a>>,
    /// How many more missing scopes get the nearest live name.
    suggestions: usize,
}

/// What a live list is to be.
struct Goal {
    /// What it is, in the names that its scopes have after this plan.
    before: BTreeSet<ScopeName>,
    resolved: Resolved<ScopeName>,
    /// What the inventory will say of it.
    entry: OwnedApp,
    /// A list that was never applied and holds more than is wanted stays unknown while nothing may be taken out of it: what
    /// is there is a first contact still, for the run that may.
    is_settled: bool,
}

impl<'a> Planner<'_, 'a> {
    fn count_population(&mut self) {
        let owned: BTreeSet<AppIdentity<'_>> = self.owned.keys().map(AppRef::identity).collect();
        let is_owned = |app: &&&AppRef| owned.contains(&app.identity());
        let managed = self.live.keys().filter(is_owned).count();
        self.plan.population.live += self.live.len();
        self.plan.population.managed += managed;
        self.plan.population.unmanaged += self.live.len() - managed;
        // What is not there, or was not looked at, cannot be removed.
        let live: BTreeMap<AppIdentity<'_>, &LiveAppScopes> = self
            .live
            .iter()
            .map(|(app, live)| (app.identity(), *live))
            .collect();
        let there = self
            .owned
            .iter()
            .filter_map(|(app, entry)| Some((app, entry, live.get(&app.identity())?)));
        for (app, entry, live) in there {
            let effective = live.effective_of(&entry.applied).len();
            let populations = &mut self.plan.populations;
            populations.add(&app_removal(&entry.source));
            populations.add(&scopes_removal(app, effective, &entry.source));
        }
    }

    fn declared(&mut self, desired: &DesiredApp) {
        self.tighten(desired);
        match self.context.live.apps.get(&desired.app) {
            Some(LiveApp::Present(live)) => self.present(desired, live),
            Some(LiveApp::Absent { why }) => self.plan.diagnostics.push(
                Diagnostic::error(
                    codes::APP_NOT_THERE,
                    format!("{} cannot be found: {why}", desired.app),
                )
                .at(&desired.source, "/spec/app")
                .help("make it there first, or correct the manifest; only this set is left alone"),
            ),
            None => self.attach(desired),
        }
    }

    /// The declared apps that no other manifest turns out to declare as well, once it is known where they lead.
    fn unambiguous(&mut self) -> Vec<&'a DesiredApp> {
        let live = &self.context.live.apps;
        let place = |desired: &'a DesiredApp| match live.get(&desired.app) {
            Some(LiveApp::Present(live)) => &live.app,
            _ => &desired.app,
        };
        // A key that is not there leads nowhere, and means no other one of its name.
        let nowhere = |desired: &'a DesiredApp| {
            let is_there = matches!(live.get(&desired.app), Some(LiveApp::Present(_)));
            let has_key = desired.app.keyless() != desired.app;
            (!is_there && has_key).then_some(&desired.app)
        };
        let mut by_app: BTreeMap<_, Vec<&'a DesiredApp>> = BTreeMap::new();
        for desired in &self.context.desired.apps {
            let place = (place(desired).identity(), nowhere(desired));
            by_app.entry(place).or_default().push(desired);
        }
        let mut alone = Vec::new();
        for manifests in by_app.values() {
            if let [only] = manifests.as_slice() {
                alone.push(*only);
                continue;
            }
            let app = place(manifests[0]);
            let names: Vec<&str> = manifests.iter().map(|d| d.source.name.as_str()).collect();
            for desired in manifests {
                self.plan.diagnostics.push(
                    Diagnostic::error(
                        codes::APP_MEANT_TWICE,
                        format!(
                            "{} manifests declare {app}: {}",
                            names.len(),
                            names.join(", ")
                        ),
                    )
                    .at(&desired.source, "/spec/app")
                    .help("keep one of them; the set is left alone"),
                );
            }
        }
        let declared = by_app.into_keys().map(|(identity, _)| identity);
        self.declared.extend(declared);
        alone
    }

    /// Whether a manifest declares an app of ours. One whose key is left out and cannot be told now counts as declared.
    fn is_declared(&self, app: &AppRef) -> bool {
        self.declared.contains(&app.identity()) || self.declared.contains(&app.keyless().identity())
    }

    /// The changes that make the names of a list exist.
    fn makers(&self, names: &BTreeSet<ScopeName>) -> BTreeSet<usize> {
        names
            .iter()
            .filter_map(|name| self.scopes.maker.get(name).copied())
            .collect()
    }

    fn skip(&mut self, object: ObjectRef, reason: SkipReason, entries: Vec<String>) {
        self.plan.skipped.push(Skipped {
            object,
            reason,
            entries,
        });
    }

    fn conflict(&mut self, desired: &DesiredApp, app: &AppRef, object: &ObjectRef) -> bool {
        let holder = self.owned.get(app).map(|entry| &entry.source);
        let refusal = self
            .context
            .conflict(|| object.clone(), holder, &desired.source);
        let is_held = refusal.is_some();
        self.plan.refusals.extend(refusal);
        if is_held && let Some(entry) = self.owned.get(app) {
            let by = self.context.want(entry.wanted_by.as_ref(), &desired.source);
            let app = app.clone();
            let record = by.map(|by| Record::WantApp { app, by });
            self.plan.records.extend(record);
        }
        is_held
    }

    fn attach(&mut self, desired: &DesiredApp) {
        let object = ObjectRef::app(&desired.app, None);
        let owned = self.owned.get(&desired.app).cloned();
        if !self.check(desired, None) || self.conflict(desired, &desired.app, &object) {
            return;
        }
        if desired.scopes.is_empty() {
            // No client holds no scopes: that is what was asked for.
            self.plan.unchanged += 1;
            return;
        }
        let drift = owned.is_some() && self.context.desired.target.drift == Drift::Report;
        if let Some(reason) = self
            .stopped(desired, Policy::Observe)
            .or(drift.then_some(SkipReason::Drift))
        {
            return self.skip(object, reason, Vec::new());
        }
        let after = desired.scope_set();
        let entry = OwnedApp {
            origin: Origin::Created,
            source: desired.source.manifest(),
            deletion_policy: desired.deletion_policy,
            applied: after.clone(),
            hold_until: desired.hold_until,
            vanished_at: None,
            wanted_by: None,
        };
        self.plan.changes.push(PlannedChange {
            manifest: Some(desired.source.clone()),
            depends_on: self.makers(&after),
            intent: Some(Intent::SetAppScopes {
                app: desired.app.clone(),
                scopes: after.clone(),
                entry: entry.clone(),
                adds: after.clone(),
            }),
            ..PlannedChange::new(
                object,
                Reason::NotLive,
                Change::AttachApp {
                    app: desired.app.clone(),
                    after,
                },
                Record::App {
                    app: desired.app.clone(),
                    entry,
                },
            )
        });
    }

    /// Why nothing may be written to an app, if so; `blocking` is the policy that blocks beside `Observe`.
    fn stopped(&self, desired: &DesiredApp, blocking: Policy) -> Option<SkipReason> {
        let policy = self.context.desired.target.policy;
        if self.context.held(desired.hold_until) {
            Some(SkipReason::Held)
        } else if policy == blocking || policy == Policy::Observe {
            Some(SkipReason::Policy)
        } else {
            None
        }
    }

    fn present(&mut self, desired: &DesiredApp, live: &LiveAppScopes) {
        let app = &live.app;
        let object = ObjectRef::app(app, live.name.as_deref());
        let owned = self.owned.get(app).cloned();
        if !self.check(desired, Some(live)) || self.conflict(desired, app, &object) {
            return;
        }
        let goal = self.goal(desired, live, owned.as_ref());
        let differs = goal.resolved.after != goal.before;
        if differs && let Some(reason) = self.stopped(desired, Policy::CreateOnly) {
            return self.skip(object, reason, Vec::new());
        }
        for (reason, entries) in goal.resolved.left() {
            self.skip(object.clone(), reason, entries);
        }
        if differs {
            self.replace(desired, live, object, goal);
            return;
        }
        self.plan.unchanged += 1;
        self.foreign_refusal(desired, &object, &goal.resolved);
        if goal.is_settled {
            self.learn(app, goal.entry);
        }
    }

    /// What a live list is to be, and what the inventory will say of it.
    fn goal(&self, desired: &DesiredApp, live: &LiveAppScopes, owned: Option<&OwnedApp>) -> Goal {
        let before: BTreeSet<ScopeName> = rename(&live.scopes, &self.scopes.renamed);
        let wanted: BTreeSet<ScopeName> = desired
            .scope_set()
            .difference(&live.inherited)
            .cloned()
            .collect();
        let resolved = self.resolve(desired, live, owned, (&wanted, &before));
        let mut applied = wanted;
        if let Some(entry) = owned {
            let last = live.effective_of(&entry.applied);
            let stays = |scope: &&ScopeName| last.contains(*scope);
            applied.extend(resolved.withheld.keys().filter(stays).cloned());
            if applied == last {
                // What was applied as an empty list stays that, and is not spelled out.
                applied.clone_from(&entry.applied);
            }
        }
        let entry = OwnedApp {
            origin: owned.map_or(Origin::Matched, |entry| entry.origin),
            source: desired.source.manifest(),
            deletion_policy: desired.deletion_policy,
            applied,
            hold_until: desired.hold_until,
            vanished_at: None,
            wanted_by: None,
        };
        Goal {
            is_settled: owned.is_some() || resolved.withheld.is_empty(),
            before,
            resolved,
            entry,
        }
    }

    /// A live list that differs gets what it is to hold, unless no call could make it so.
    fn replace(
        &mut self,
        desired: &DesiredApp,
        live: &LiveAppScopes,
        object: ObjectRef,
        goal: Goal,
    ) {
        let app = &live.app;
        let Goal {
            before,
            resolved,
            entry,
            is_settled,
        } = goal;
        if self.holds_stale(desired, live, &object, &resolved.after)
            || self.cannot_be_emptied(desired, live, &object, &resolved.after)
        {
            return;
        }
        let mut refusals = refusals(desired, live, &object, &resolved);
        if desired.foreign == ForeignScopes::Fail && !resolved.foreign.is_empty() {
            refusals.push(foreign(&object, &resolved.foreign));
        }
        let allowed = live.allowed.iter();
        let facts = allowed.map(|allowed| format!("allowed: {}", texts(allowed).join(" ")));
        // A list that was never applied is judged as a first contact alone.
        let counts = !resolved.removed.is_empty() && resolved.first_contact.is_empty();
        let owner = self.owned.get(app);
        let source = owner.map_or_else(|| desired.source.manifest(), |entry| entry.source.clone());
        let removals = counts.then(|| scopes_removal(app, resolved.removed.len(), &source));
        // A live `[]` that is spelled out adds nothing.
        let held = rename(&live.effective(), &self.scopes.renamed);
        let adds = resolved.after.difference(&held).cloned().collect();
        let unusable = live.unusable.as_ref();
        self.plan.changes.push(PlannedChange {
            manifest: Some(desired.source.clone()),
            remark: unusable.map(|why| format!("cannot be used now: {why}")),
            facts: facts.collect(),
            refusals,
            // What it replaces goes by its new names as well, and so does what is recorded.
            depends_on: [&before, &resolved.after, &entry.applied]
                .into_iter()
                .flat_map(|names| self.makers(names))
                .collect(),
            removals: removals.into_iter().collect(),
            origin: owner.map(|entry| entry.origin),
            intent: is_settled.then(|| Intent::SetAppScopes {
                app: app.clone(),
                scopes: resolved.after.clone(),
                entry: entry.clone(),
                adds,
            }),
            ..PlannedChange::new(
                object,
                Reason::ValueDiffers,
                Change::ReplaceAppScopes {
                    app: app.clone(),
                    before,
                    after: resolved.after,
                    inherited: live.inherited.clone(),
                },
                if is_settled {
                    Record::App {
                        app: app.clone(),
                        entry,
                    }
                } else {
                    Record::SettledApp { app: app.clone() }
                },
            )
        });
    }

    /// Records what is known of an app that needs no write, in the names that the inventory has now: those that this plan
    /// renames change there when they do.
    fn learn(&mut self, app: &AppRef, mut entry: OwnedApp) {
        entry.applied = rename(&entry.applied, &self.before);
        if self.context.owned.apps.get(app) != Some(&entry) {
            let app = app.clone();
            self.plan.records.push(Record::App { app, entry });
        }
    }

    /// What protects a set takes effect when it is seen, whatever becomes of the rest: it outlives its manifest.
    fn tighten(&mut self, desired: &DesiredApp) {
        let app = match self.context.live.apps.get(&desired.app) {
            Some(LiveApp::Present(live)) => &live.app,
            _ => &desired.app,
        };
        let Some(entry) = self.context.owned.apps.get(app) else {
            return;
        };
        let by = Tightening {
            protected: false,
            orphan: desired.deletion_policy == DeletionPolicy::Orphan,
            hold_until: desired.hold_until,
        };
        let mut tightened = entry.clone();
        tightened.tighten(&by);
        let holder = self.context.holder(Some(&entry.source), &desired.source);
        if holder.is_none() && tightened != *entry {
            let app = app.clone();
            self.plan.records.push(Record::TightenApp { app, by });
        }
    }

    fn resolve(
        &self,
        desired: &DesiredApp,
        live: &LiveAppScopes,
        owned: Option<&OwnedApp>,
        (wanted, before): (&BTreeSet<ScopeName>, &BTreeSet<ScopeName>),
    ) -> Resolved<ScopeName> {
        let last = owned.map(|entry| {
            let sources = BTreeSet::from([entry.source.clone()]);
            let applied = live.effective_of(&entry.applied);
            applied
                .into_iter()
                .map(|scope| (scope, sources.clone()))
                .collect::<BTreeMap<_, _>>()
        });
        ThreeWay {
            desired: wanted,
            last: last.as_ref(),
            last_was_whole: true,
            live: before,
            everything: live.allowed.as_ref(),
            keep_foreign: desired.foreign == ForeignScopes::Keep,
            gate: self
                .context
                .removal_gate()
                .or((!desired.may_shrink).then_some(SkipReason::IncompleteManifests)),
            why_kept: &|_, manifest| self.context.why_uncovered(manifest),
            report_drift: self.context.desired.target.drift == Drift::Report,
        }
        .resolve()
    }

    fn foreign_refusal(
        &mut self,
        desired: &DesiredApp,
        object: &ObjectRef,
        resolved: &Resolved<ScopeName>,
    ) {
        if desired.foreign == ForeignScopes::Fail && !resolved.foreign.is_empty() {
            self.plan.refusals.push(foreign(object, &resolved.foreign));
        }
    }

    /// An entry whose app is gone: kept for a day, since a list may lag, then forgotten.
    fn tombstone(&mut self, app: AppRef, entry: OwnedApp) {
        let now = self.context.options.now;
        match entry.vanished_at {
            None => {
                let vanished_at = Some(now);
                let entry = OwnedApp {
                    vanished_at,
                    ..entry
                };
                self.plan.records.push(Record::App { app, entry });
            }
            Some(since) if now.duration_since(since) > TOMBSTONE => {
                self.plan.records.push(Record::ForgetApp { app });
            }
            Some(_) => {}
        }
    }

    /// Apps of ours that no manifest declares any more.
    fn rest(&mut self) {
        let can_detach = self.plan.system.capabilities().detach;
        // By the inventory's entries and not those of the plan: what is recorded here keeps its names.
        for (app, entry) in self.context.owned.apps.clone() {
            if self.is_declared(&app) {
                continue;
            }
            let live = self.live.get(&app).copied();
            let object = ObjectRef::app(&app, live.and_then(|live| live.name.as_deref()));
            if can_detach && live.is_none() {
                self.tombstone(app, entry);
                continue;
            }
            if live.is_some() && entry.vanished_at.is_some() {
                // It was the list that lagged.
                let entry = OwnedApp {
                    vanished_at: None,
                    ..entry.clone()
                };
                let app = app.clone();
                self.plan.records.push(Record::App { app, entry });
            }
            let place = self.context.desired.target.live_identity();
            let coverage = &self.context.options.coverage;
            let mut moved_to = coverage.app_moved_to(place.as_ref(), &app, &entry.source);
            let kept = if let Some(reason) = self.context.why_uncovered(&entry.source) {
                Some(reason)
            } else if let Some(reason) = self.context.removal_gate() {
                Some(reason)
            } else if moved_to.is_some() {
                Some(SkipReason::Moved)
            } else if let Some(heir) = self.context.heir(entry.wanted_by.as_ref()) {
                moved_to = Some(&heir.file);
                let entry = OwnedApp {
                    source: heir.clone(),
                    ..entry.clone()
                };
                let app = app.clone();
                self.plan.records.push(Record::App { app, entry });
                Some(SkipReason::Moved)
            } else if entry.deletion_policy == DeletionPolicy::Orphan || !can_detach {
                self.plan
                    .records
                    .push(Record::ForgetApp { app: app.clone() });
                Some(SkipReason::Orphaned)
            } else if !entry.origin.may_remove() {
                Some(SkipReason::Matched)
            } else if self.context.held(entry.hold_until) {
                Some(SkipReason::Held)
            } else {
                None
            };
            if let Some(reason) = kept {
                let moved_to = moved_to.filter(|_| reason == SkipReason::Moved);
                let entries = moved_to.map(ToString::to_string).into_iter().collect();
                self.skip(object, reason, entries);
                continue;
            }
            let Some(live) = live else {
                continue;
            };
            let before = rename(&live.scopes, &self.scopes.renamed);
            let depends_on = self.makers(&before);
            self.plan.changes.push(PlannedChange {
                remark: Some("no manifest declares it".to_owned()),
                depends_on,
                removals: vec![app_removal(&entry.source)],
                origin: Some(entry.origin),
                intent: Some(Intent::DetachApp { app: app.clone() }),
                ..PlannedChange::new(
                    object,
                    Reason::NotInManifests,
                    Change::DetachApp {
                        app: app.clone(),
                        before,
                    },
                    Record::ForgetApp { app },
                )
            });
        }
    }
}

/// What the removal of an app takes away.
fn app_removal(source: &ManifestRef) -> Removal {
    Removal {
        counted: Counted::Apps,
        holder: None,
        namespaces: namespace(source).into_iter().collect(),
        count: 1,
    }
}

/// What the removal of so many scopes from an app's list takes away.
fn scopes_removal(app: &AppRef, count: usize, source: &ManifestRef) -> Removal {
    Removal {
        counted: Counted::AppScopes,
        holder: Some(app.path()),
        namespaces: namespace(source).into_iter().collect(),
        count: count as u64,
    }
}

fn texts(names: &BTreeSet<ScopeName>) -> Vec<String> {
    names.iter().map(|name| name.as_str().to_owned()).collect()
}
