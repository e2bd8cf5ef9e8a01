//! One run over one Target: the engine's own `read`, `judge`, `execute`, on what the cluster holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod connect;
mod judge;
mod tell;

use connect::Mark;
pub(in crate::operator) use tell::forget;

use super::status::{Reason, State};
use super::{Context, World, admission, publish};
use crate::apply::TargetReport;
use crate::cluster::objects::{Key, Kind, Object, Stamp};
use crate::inventory::remote::{OperatorNotes, RemoteLedger};
use crate::inventory::{InventoryError, Snapshot};
use crate::manifest::cluster::Usable;
use crate::manifest::crd::InventoryWitness;
use crate::model::{DesiredTarget, InCluster, LiveIdentity, Owned, Populations, TargetId};
use crate::plan::approvals::ApprovalLog;
use crate::plan::digest::{ChangeHash, Digest};
use crate::plan::guard::ApprovedPlan;
use crate::plan::{Failure, SkipReason, TargetPlan};
use crate::provider::{Provider, Tally};
use crate::run::{self, Judging, Picture, Reading, Wanted};

/// The annotation that asks for a run now.
const REQUESTED_AT: &str = "scopeward.dev/reconcile-requested-at";
/// The first pause after a system was not reached.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// The pause before what is not there yet is looked for again.
const SHORTLY: Duration = Duration::from_secs(2);

/// Why a run is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// What is wanted, or what opens the system, is another.
    Changed,
    /// It is time.
    Interval,
}

/// What a run rests on, to tell whether it has moved.
#[derive(PartialEq)]
struct Seen {
    desired: Option<Arc<DesiredTarget>>,
    usable: Option<Usable>,
    /// What the Target itself is known by, the run that was asked for among it.
    stamp: Option<Stamp>,
    /// What became of the sources that the inventory names.
    sources: Vec<InCluster>,
    /// What is known of the Secrets that the Target names.
    secrets: Vec<Mark>,
}

/// Runs over one Target.
pub(super) struct Reconciler {
    context: Arc<Context>,
    target: TargetId,
    end: CancellationToken,
    seen: Option<Seen>,
    /// The credential of the last run, by which a new one is known.
    keys: Option<Keys>,
    /// The way to the system, kept as long as nothing about it changes: a token serves many readings.
    connection: Option<Reading<dyn Provider>>,
    /// The inventory, and the term of the lease that it was opened for.
    ledger: Option<(i32, RemoteLedger)>,
    /// Whether it was read since.
    is_loaded: bool,
    /// What was ours when that was last known.
    owned: Arc<Owned>,
    /// Whether that was known yet.
    has_learned: bool,
    /// How often in a row the system was not reached.
    unreached: u32,
    /// Counts the requests to the system.
    tally: Tally,
    /// How long the last reading took.
    read_took: Duration,
    /// What failed in the slices so far: 500 changes that the system refuses do not keep the others from their turn.
    failed: BTreeMap<ChangeHash, (Failure, Instant)>,
    /// Whether the next run goes on with what this one had no room for.
    goes_on: bool,
}

/// The keys of a credential and of its authorities.
type Keys = (
    Arc<BTreeMap<String, SecretString>>,
    Option<Arc<BTreeMap<String, SecretString>>>,
);

/// How a run ended before it had a plan.
struct Short {
    reason: Reason,
    message: String,
    /// Whether the Target itself is fine.
    is_ready: bool,
    /// When to look again; `None` is the interval.
    after: Option<Duration>,
    /// Whether it lasts: what passes in a moment is not told.
    is_worth_telling: bool,
}

impl Short {
    /// A run that goes no further until something changes.
    fn stop(reason: Reason, message: String) -> Self {
        Self {
            reason,
            message,
            is_ready: false,
            after: None,
            is_worth_telling: true,
        }
    }

    fn suspended() -> Self {
        Self {
            is_ready: true,
            ..Self::stop(
                Reason::Suspended,
                "spec.suspend: nothing is read or written".to_owned(),
            )
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
    fn of_inventory(error: InventoryError) -> Self {
        let reason = match &error {
            InventoryError::Held { .. } => Reason::InventoryInUse,
            InventoryError::Conflict { .. }
            | InventoryError::Unsettled { .. }
            | InventoryError::FencePassed => Reason::Moved,
            InventoryError::Foreign { .. } => Reason::ForeignInventory,
            _ => Reason::InventoryUnavailable,
        };
        Self {
            after: Some(FIRST_PAUSE),
            ..Self::stop(reason, crate::telemetry::sentence(&error))
        }
    }
}

/// How a run ended that had one.
struct Done {
    approved: ApprovedPlan,
    report: Option<TargetReport>,
    digest: String,
    /// The plan that waits for somebody's word, and since when.
    pending: Option<TargetPlan>,
    since: Option<Timestamp>,
    /// Why what the manifest approves is nothing.
    stale: Option<String>,
    /// Why nothing is removed anywhere.
    bar: Option<SkipReason>,
    /// What is wrong with the inventory.
    distrust: Option<Reason>,
    /// Why what was done could not be kept.
    trouble: Option<Short>,
    witness: Option<InventoryWitness>,
}

/// What the inventory says of a system.
struct Standing {
    identity: LiveIdentity,
    distrust: Option<Reason>,
    log: ApprovalLog,
    frozen: Populations,
    notes: OperatorNotes,
    snapshot: Snapshot,
    /// The moment that is planned for.
    now: Timestamp,
}

/// What may run, and what that rests on.
struct Judged {
    wanted: Wanted,
    judging: Judging,
    approved: ApprovedPlan,
    standing: Standing,
    /// `spec.approvedPlan`.
    word: Option<Digest>,
    pending: Option<TargetPlan>,
    stale: Option<String>,
    bar: Option<SkipReason>,
}

/// How long a change that failed for a reason that may pass is not sent again while others wait for their turn.
const PASSING: Duration = Duration::from_mins(1);

/// Whether the system would say the same again.
fn is_final(failure: &Failure) -> bool {
    !matches!(
        Reason::of_failure(failure),
        Reason::Unreachable | Reason::RateLimited | Reason::ObserveIncomplete | Reason::InProgress
    ) && failure.status.is_none_or(|status| status < 500)
}

/// How many changes one run sends, and for how long: what comes in meanwhile waits no longer than that.
const SLICE: (usize, Duration) = (500, Duration::from_mins(1));

impl Reconciler {
    /// Runs over this Target, until `end`.
    pub(super) fn new(context: Arc<Context>, target: TargetId, end: CancellationToken) -> Self {
        Self {
            context,
            target,
            end,
            seen: None,
            keys: None,
            connection: None,
            ledger: None,
            is_loaded: false,
            owned: Arc::default(),
            has_learned: false,
            unreached: 0,
            tally: Tally::default(),
            read_took: Duration::ZERO,
            failed: BTreeMap::new(),
            goes_on: false,
        }
    }

    /// How long the system took to show what it holds, when it was last read.
    pub(super) fn read_took(&self) -> Duration {
        self.read_took
    }

    /// Whether a world says something else to this Target than the last run rested on.
    pub(super) fn is_concerned_by(&self, world: &World) -> bool {
        self.seen.as_ref() != Some(&self.see(world))
    }

    fn see(&self, world: &World) -> Seen {
        let object = self.object(world);
        let file = self.key().file();
        Seen {
            desired: world.targets.get(&self.target).cloned(),
            usable: world.objects.get(&file).cloned(),
            stamp: object.map(|object| object.stamp.clone()),
            sources: self
                .owned
                .files()
                .map(|file| judge::in_cluster(world, &self.target, file))
                .collect(),
            secrets: world
                .targets
                .get(&self.target)
                .map(|wanted| self.marks(wanted))
                .unwrap_or_default(),
        }
    }

    fn key(&self) -> Key {
        Key {
            kind: Kind::Target,
            namespace: self.target.namespace.clone(),
            name: self.target.name.clone(),
        }
    }

    fn object(&self, world: &World) -> Option<Arc<Object>> {
        world.picture.objects.get(&self.key()).cloned()
    }

    /// Runs once, and says when to run again where that is not the interval.
    pub(super) async fn run(&mut self, world: &World, trigger: Trigger) -> Option<Duration> {
        let begun = Instant::now();
        self.seen = Some(self.see(world));
        let goes_on = std::mem::take(&mut self.goes_on);
        self.failed
            .retain(|_, (failure, at)| goes_on && (is_final(failure) || at.elapsed() < PASSING));
        let object = self.object(world)?;
        if let Some(at) = publish::synced_at(&object) {
            self.context.metrics.succeeded_before(&self.target, at);
        }
        tracing::debug!(target: "reconcile", target_name = %self.target, ?trigger, world = world.number, "a run begins");
        let ended = match self.wanted(world) {
            Ok(desired) => self.over(world, &object, &desired).await,
            Err(short) => Err(short),
        };
        let took = begun.elapsed();
        self.count_requests(world);
        match ended {
            Ok(done) => {
                self.unreached = 0;
                self.goes_on = done.has_more();
                // What this run recorded is no news to the next one.
                self.seen = Some(self.see(world));
                self.tell(world, &object, &done, took).await
            }
            Err(short) => {
                // Whatever it was: the inventory is read again before it is believed again.
                self.is_loaded = false;
                if short.is_worth_telling {
                    self.tell_short(world, &object, &short, took).await;
                }
                short.after
            }
        }
    }

    /// What is wanted, where the Target may be followed at all.
    fn wanted(&mut self, world: &World) -> Result<Arc<DesiredTarget>, Short> {
        let stop = Short::stop;
        match world.objects.get(&self.key().file()) {
            Some(Usable::No(unusable)) => {
                let State {
                    reason, message, ..
                } = State::unusable(unusable, false, 0);
                return Err(stop(reason, message.unwrap_or_default()));
            }
            Some(Usable::LeftOut) | None => {
                return Err(stop(Reason::InvalidSpec, "it cannot be used".to_owned()));
            }
            Some(Usable::Yes | Usable::Partly(_)) => {}
        }
        let Some(desired) = world.targets.get(&self.target) else {
            return Err(stop(Reason::InvalidSpec, "it cannot be used".to_owned()));
        };
        if let Some(why) = admission::refusal(&desired.target, &self.context.settings) {
            self.connection = None;
            return Err(stop(Reason::NotAllowed, why));
        }
        if desired.target.suspend {
            self.connection = None;
            return Err(Short::suspended());
        }
        Ok(Arc::clone(desired))
    }

    /// Looks, judges and writes.
    async fn over(
        &mut self,
        world: &World,
        object: &Object,
        desired: &Arc<DesiredTarget>,
    ) -> Result<Done, Short> {
        let wanted = Wanted {
            targets: vec![Arc::clone(desired)],
            others: Vec::new(),
            gap: None,
        };
        let (systems, reading) = self.connect(&wanted, desired)?;
        let begun = Instant::now();
        let mut readings = run::read(&systems, vec![reading]).await;
        self.read_took = begun.elapsed();
        let identity = match &readings[0].picture {
            Picture::Live(live) => live.identity.clone(),
            Picture::Failed(error) => {
                let short = self.unreadable(&crate::apply::failure(error));
                self.connection = readings.pop();
                return Err(short);
            }
            Picture::Suspended => return Err(Short::suspended()),
        };
        let standing = self.standing(world, object, &identity).await?;
        let judged = self.judge(world, wanted, &readings, standing).await;
        let way = (&systems, readings.as_slice());
        let done = self.carry_out(world, way, judged).await?;
        self.connection = readings.pop();
        Ok(done)
    }
}
