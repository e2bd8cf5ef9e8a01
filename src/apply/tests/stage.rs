//! A system and an inventory in memory, of one kind or the other, on which runs are carried out by the real [`run_target`], killed where a test says.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{LazyLock, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::trouble::{Act, Moment, Script, TroubledLedger, TroubledSystem};
use crate::apply::{
    Progress, Run, Slice, StillWanted, TargetReport, Work, always_wanted, run_target,
};
use crate::inventory::memory::{Keeps, MemoryStore};
use crate::inventory::memory_blobs::BlobStore;
use crate::inventory::{Fence, Ledger, RemoteLedger, Snapshot};
use crate::model::{Consumers, Live, LiveIdentity, Owned, Removals, System};
use crate::plan::guard::ApprovedPlan;
use crate::plan::plan_target;
use crate::plan::tests::world::{World, count_consumers, judge, says};
use crate::provider::memory::Memory;
use crate::provider::{Interest, Interrupt};

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

/// What runs change.
pub(super) struct Stage {
    /// What is live now.
    pub(super) live: Live,
    /// What is ours now.
    pub(super) owned: Owned,
    /// What the window holds now.
    pub(super) removals: Removals,
    pub(super) memory: Memory,
    /// What was live before each write of the last run.
    pub(super) past: Vec<Live>,
    /// Interrupts the next run.
    pub(super) interrupt: Interrupt,
    /// Stops its writes.
    pub(super) fence: Fence,
    /// What is not to be sent any more.
    pub(super) still_wanted: Box<StillWanted<'static>>,
    /// How much it does.
    pub(super) slice: Option<Slice<'static>>,
    store: Store,
    world: World,
}

impl Stage {
    pub(super) fn of(world: &World) -> Self {
        Self::keeping(world, Keeps::EachStep)
    }

    pub(super) fn keeping(world: &World, keeps: Keeps) -> Self {
        let target = &world.desired.target.id;
        let (owned, removals) = (world.owned.clone(), Removals::default());
        let identity = &world.live.identity;
        let store = MemoryStore::knowing(keeps, identity, target, owned, removals);
        Self::over(world, Store::Memory(store))
    }

    /// The inventory is one of blobs.
    pub(super) fn remote(world: &World) -> Self {
        let (target, blobs) = (&world.desired.target.id, BlobStore::default());
        let identity = &world.live.identity;
        let ledger = RemoteLedger::of_the_same(&blobs);
        let started = finish(ledger.start(identity, target, world.owned.clone()));
        started.expect("nothing waits");
        Self::over(world, Store::Blobs(blobs, identity.clone()))
    }

    fn over(world: &World, store: Store) -> Self {
        let mut stage = Self {
            live: world.live.clone(),
            owned: world.owned.clone(),
            removals: Removals::default(),
            memory: Memory::new(world.system(), world.live.clone()),
            past: Vec::new(),
            interrupt: Interrupt::default(),
            fence: Fence::default(),
            still_wanted: Box::new(always_wanted),
            slice: None,
            store,
            world: world.clone(),
        };
        stage.look();
        stage
    }

    /// Sees what there is now.
    pub(super) fn look(&mut self) {
        let identity = &self.world.live.identity;
        let snapshot = self.store.snapshot();
        self.live = shown(self.world.system(), self.memory.live());
        self.owned = snapshot.owned(identity);
        self.removals = snapshot.removals(identity);
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
        let plan = self.world(world).plan();
        judge(plan, world, self.removals.clone(), approve)
    }

    /// Runs once.
    pub(super) fn run(&mut self, world: &World, approve: bool) -> ApprovedPlan {
        let approved = self.judge(world, approve);
        self.carry_out(&approved, world, None);
        approved
    }

    /// Runs once without approvals, and is killed at a write.
    pub(super) fn run_killed(&mut self, world: &World, writes: usize, kill: Kill) {
        let approved = self.judge(world, false);
        self.carry_out(&approved, world, Some((writes, kill)));
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

    /// Carries a plan out on a system that nobody else writes to. Nothing that it sends comes as a surprise there.
    pub(super) fn carry_out(&mut self, approved: &ApprovedPlan, world: &World, until: Until) {
        let mut writes = 0;
        let script = move |moment: Moment<'_>| {
            let place = match moment {
                Moment::Writing => Kill::BeforeSend,
                Moment::Written(_) => Kill::BeforeRecord,
                Moment::Answered => Kill::AfterRecord,
                _ => return Act::Go,
            };
            let dies = until == Some((writes, place));
            writes += usize::from(place == Kill::AfterRecord);
            if dies { Act::Die } else { Act::Go }
        };
        self.perform(approved, world, 1, Script::new(script));
        assert_eq!(
            self.memory.surprises(),
            [""; 0],
            "{:#?}",
            says(approved.targets()[0].plan())
        );
    }

    /// Carries a plan out as a script has it; `None` where the run was killed.
    pub(super) fn perform(
        &mut self,
        approved: &ApprovedPlan,
        world: &World,
        max_in_flight: usize,
        script: Script<'_>,
    ) -> Option<TargetReport> {
        let system = TroubledSystem {
            memory: self.memory.clone(),
            script: script.clone(),
            past: Mutex::default(),
        };
        let ledger = Box::new(TroubledLedger {
            ledger: self.store.open(),
            script,
        });
        let report = {
            let replan = |live: &Live, owned: &Owned| {
                plan_target(&world.desired, live, owned, &world.options)
            };
            let work = Work {
                provider: &system,
                max_in_flight,
                interest: self.interest(world),
                patience: Duration::ZERO,
                replan: &replan,
                still_wanted: self.still_wanted.as_ref(),
                slice: self.slice,
            };
            let run = Run {
                run_id: "a run",
                who: "a test",
                ledger: ledger.as_ref(),
                fence: self.fence.clone(),
                interrupt: &self.interrupt,
                progress: &Progress::default(),
            };
            finish(run_target(&run, &approved.targets()[0], &work))
        };
        if report.is_some() {
            // One that failed says so again.
            let closed = finish(ledger.close()).expect("nothing waits");
            drop(closed);
        }
        let past = system.past.into_inner().expect("nobody panicked");
        let past = past.into_iter();
        self.past = past.map(|live| shown(self.world.system(), live)).collect();
        self.look();
        report
    }

    /// What a full reading asks for: what the plan was shown.
    fn interest(&self, world: &World) -> Interest {
        let can = world.system().capabilities();
        let wanted = world.desired.apps.iter().map(|app| app.app.clone());
        let live = self.live.apps.keys().cloned();
        let apps: BTreeSet<_> = wanted.chain(live).collect();
        Interest {
            scopes: can.scopes,
            consumers: can.scopes,
            allowed: true,
            apps: apps.into_iter().collect(),
        }
    }

    /// What a run that starts now would see.
    pub(super) fn kept(&self) -> Store {
        self.store.clone()
    }

    pub(super) fn store(&self) -> &MemoryStore {
        let Store::Memory(store) = &self.store else {
            panic!("its inventory is not in memory");
        };
        store
    }

    /// Lets the inventory fail in the next run, after so many steps.
    pub(super) fn fail_after(&self, steps: u64, kept: bool) {
        self.store().fail_after(steps, kept);
    }
}

/// Where the inventory lies.
#[derive(Clone)]
pub(super) enum Store {
    Memory(MemoryStore),
    Blobs(BlobStore, LiveIdentity),
}

impl Store {
    /// What a run that starts now would see.
    pub(super) fn snapshot(&self) -> Snapshot {
        match self {
            Self::Memory(store) => store.snapshot(),
            Self::Blobs(store, identity) => {
                let ledger = RemoteLedger::of_the_same(store);
                let loaded = finish(ledger.load(identity)).expect("nothing waits");
                loaded.expect("it can be read");
                finish(ledger.snapshot()).expect("nothing waits")
            }
        }
    }

    fn open(&self) -> Box<dyn Ledger> {
        match self {
            Self::Memory(store) => Box::new(store.open()),
            Self::Blobs(store, _) => Box::new(RemoteLedger::of_the_same(store)),
        }
    }
}

/// What a reading of the whole system shows: who uses what is counted where the lists of apps tell.
fn shown(system: System, mut live: Live) -> Live {
    if system == System::OneLogin {
        for scope in live.scopes.values_mut() {
            scope.consumers = Consumers::Apps(BTreeSet::new());
        }
    }
    count_consumers(&mut live);
    live
}

/// Where timers stand still: nothing here waits for one.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    runtime.expect("a runtime without input and output always starts")
});

/// Runs something that never waits; `None` where it waits for ever, which is what a killed process does here.
fn finish<T>(future: impl Future<Output = T>) -> Option<T> {
    let _runtime = RUNTIME.enter();
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
