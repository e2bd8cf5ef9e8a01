//! A live system and an inventory on which approved plans are carried out in the order and with the records of a real run,
//! as far as wanted: a run may be killed before, between or after any of its writes.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{World, count_consumers, has_ids, now, says};
use crate::model::{
    Consumers, Live, LiveApp, LiveAppScopes, LiveScope, Owned, PastRemoval, Record, RemoteId,
    Removals, System,
};
use crate::plan::change::{Change, ScopeState};
use crate::plan::guard::{ApprovedPlan, ApprovedTarget, Limits};
use crate::plan::{Mode, Plan, PlannedChange, TargetPlan};

/// Where a run is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kill {
    /// The intent is recorded, and nothing is sent.
    BeforeSend,
    /// It is sent, and its outcome is not recorded.
    BeforeRecord,
    /// Its outcome is recorded, and nothing after it.
    AfterRecord,
}

/// How long a run goes on.
type Until = Option<(usize, Kill)>;

/// What a run changes.
#[derive(Debug, Clone)]
pub(super) struct Simulator {
    pub(super) live: Live,
    pub(super) owned: Owned,
    pub(super) removals: Removals,
    system: System,
    made: usize,
}

impl Simulator {
    pub(super) fn of(world: &World) -> Self {
        Self {
            live: world.live.clone(),
            owned: world.owned.clone(),
            removals: Removals::default(),
            system: world.system(),
            made: 0,
        }
    }

    /// The same wishes over what came of it.
    pub(super) fn world(&self, world: &World) -> World {
        World {
            live: self.live.clone(),
            owned: self.owned.clone(),
            ..world.clone()
        }
    }

    /// What may run now, with everything approved or nothing.
    pub(super) fn judge(&self, world: &World, approve: bool) -> ApprovedPlan {
        judge(
            self.world(world).plan(),
            world,
            self.removals.clone(),
            approve,
        )
    }

    /// Runs once.
    pub(super) fn run(&mut self, world: &World, approve: bool) -> ApprovedPlan {
        let approved = self.judge(world, approve);
        self.carry_out(&approved, None);
        approved
    }

    /// Runs once without approvals, and is killed at a write.
    pub(super) fn run_killed(&mut self, world: &World, writes: usize, kill: Kill) {
        let approved = self.judge(world, false);
        self.carry_out(&approved, Some((writes, kill)));
    }

    /// Runs until nothing is left that may run; twice is enough, since the second one sees the end of the first.
    pub(super) fn run_to_the_end(&mut self, world: &World) {
        self.run(world, false);
        let left = self.judge(world, false);
        assert!(
            !left.has_runs(),
            "left: {:#?}",
            says(left.targets()[0].plan())
        );
    }

    pub(super) fn carry_out(&mut self, approved: &ApprovedPlan, until: Until) {
        let verdict = &approved.targets()[0];
        let plan = verdict.plan();
        if verdict.may_record() {
            plan.records
                .iter()
                .for_each(|r| self.owned.record(r.clone()));
        }
        let mut waiting: BTreeSet<usize> = (0..plan.changes.len())
            .filter(|&index| verdict.runs(index))
            .collect();
        let mut done: BTreeSet<usize> = BTreeSet::new();
        while let Some(index) = next(plan, &waiting, &done) {
            let kill = until
                .filter(|(writes, _)| *writes == done.len())
                .map(|(_, kill)| kill);
            self.make(&plan.changes[index], verdict, kill);
            if kill.is_some() {
                return;
            }
            waiting.remove(&index);
            done.insert(index);
        }
        assert!(
            waiting.is_empty(),
            "{waiting:?} wait for one another: {:#?}",
            says(plan)
        );
    }

    fn make(&mut self, planned: &PlannedChange, verdict: &ApprovedTarget, kill: Option<Kill>) {
        let intent = planned.intent.clone().map(Record::Intent);
        for record in intent.into_iter().chain([Record::Write]) {
            self.owned.record(record);
        }
        if kill == Some(Kill::BeforeSend) {
            return;
        }
        let id = self.write(&planned.change);
        count_consumers(&mut self.live);
        if kill == Some(Kill::BeforeRecord) {
            return;
        }
        let mut record = planned.record.clone();
        if let (Record::Scope { entry, .. }, Some(id)) = (&mut record, id) {
            entry.remote_id = Some(id);
        }
        self.owned.record(record);
        if !verdict.is_approved() {
            let past = planned.removals.iter().map(|removal| PastRemoval {
                at: now(),
                removal: removal.clone(),
            });
            self.removals.0.extend(past);
        }
    }

    /// Does what the system does, and refuses what it refuses.
    #[expect(clippy::too_many_lines, reason = "one arm a change")]
    fn write(&mut self, change: &Change) -> Option<RemoteId> {
        let scopes = &mut self.live.scopes;
        match change {
            Change::CreateScope { after } => {
                assert!(!scopes.contains_key(&after.name), "{} is taken", after.name);
                self.made += 1;
                let id = has_ids(self.system).then(|| RemoteId::new(format!("made {}", self.made)));
                let consumers = match self.system {
                    System::OneLogin => Consumers::Apps(BTreeSet::new()),
                    System::Wso2Publisher => Consumers::Usages(0),
                    _ => Consumers::Unknown,
                };
                scopes.insert(after.name.clone(), with(after, id.clone(), consumers));
                return id;
            }
            Change::UpdateScope { id, before, after } => {
                let live = scopes.get_mut(&before.name).expect("it is there");
                assert_eq!((&live.remote_id, &state(live)), (id, before), "it moved");
                *live = with(after, live.remote_id.clone(), live.consumers.clone());
            }
            Change::RenameScope { id, before, after } => {
                let live = scopes.remove(&before.name).expect("it is there");
                assert_eq!(
                    (&live.remote_id, &state(&live)),
                    (&Some(id.clone()), before)
                );
                assert!(!scopes.contains_key(&after.name), "{} is taken", after.name);
                let moved = with(after, live.remote_id, live.consumers);
                scopes.insert(after.name.clone(), moved);
                for list in lists(&mut self.live.apps) {
                    if list.scopes.remove(&before.name) {
                        list.scopes.insert(after.name.clone());
                    }
                }
            }
            Change::DeleteScope { id, before } => {
                let live = scopes.remove(&before.name).expect("it is there");
                assert_eq!((&live.remote_id, &state(&live)), (id, before));
                for list in lists(&mut self.live.apps) {
                    list.scopes.remove(&before.name);
                }
            }
            Change::AttachApp { app, after } => {
                assert_eq!(self.system, System::OneLogin);
                assert!(after.iter().all(|scope| scopes.contains_key(scope)));
                let list = LiveAppScopes {
                    app: app.clone(),
                    name: None,
                    scopes: after.clone(),
                    inherited: BTreeSet::new(),
                    allowed: None,
                    products: Vec::new(),
                    unusable: None,
                };
                let present = LiveApp::Present(list);
                assert!(self.live.apps.insert(app.clone(), present).is_none());
            }
            Change::ReplaceAppScopes {
                app,
                before,
                after,
                inherited,
            } => {
                let list = lists(&mut self.live.apps).find(|list| list.app == *app);
                let list = list.expect("it is there");
                assert_eq!(
                    (&list.scopes, &list.inherited),
                    (before, inherited),
                    "it moved"
                );
                match &list.allowed {
                    Some(allowed) => assert!(after.is_subset(allowed), "InvalidScopes"),
                    None => assert!(after.iter().all(|scope| scopes.contains_key(scope))),
                }
                list.scopes.clone_from(after);
            }
            Change::DetachApp { app, before } => {
                assert_eq!(self.system, System::OneLogin);
                let Some(LiveApp::Present(list)) = self.live.apps.remove(app) else {
                    panic!("{app} is there");
                };
                assert_eq!(list.scopes, *before);
            }
        }
        None
    }
}

/// Judges a plan with everything approved or nothing.
pub(super) fn judge(
    plan: TargetPlan,
    world: &World,
    window: Removals,
    approve: bool,
) -> ApprovedPlan {
    let limits = Limits {
        thresholds: world.desired.target.safety,
        window,
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
    plan.approve(&[(target, limits)].into(), &approvals, world.options.now)
}

/// The change to make next: of the lowest level that is not through, the first whose needs are done.
fn next(plan: &TargetPlan, waiting: &BTreeSet<usize>, done: &BTreeSet<usize>) -> Option<usize> {
    let level = |index: usize| plan.changes[index].change.level();
    let lowest = waiting.iter().map(|&index| level(index)).min()?;
    let ready = |index: &usize| plan.changes[*index].depends_on.is_subset(done);
    let mut here = waiting
        .iter()
        .copied()
        .filter(|&index| level(index) == lowest);
    here.find(ready)
}

fn lists<K>(apps: &mut BTreeMap<K, LiveApp>) -> impl Iterator<Item = &mut LiveAppScopes> {
    apps.values_mut().filter_map(|app| match app {
        LiveApp::Present(list) => Some(list),
        LiveApp::Absent { .. } => None,
    })
}

fn state(live: &LiveScope) -> ScopeState {
    super::super::scopes::values::state(live)
}

fn with(state: &ScopeState, remote_id: Option<RemoteId>, consumers: Consumers) -> LiveScope {
    let ScopeState {
        name,
        display_name,
        description,
        roles,
    } = state.clone();
    LiveScope {
        name,
        remote_id,
        display_name,
        description,
        roles,
        inherited: false,
        consumers,
    }
}
