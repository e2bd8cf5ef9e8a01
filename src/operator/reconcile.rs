//! One run over one Target: the engine's own `read`, `judge`, `execute`, on what the cluster holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::PlanCounts;
use super::status::{self, Ran, Reason, State, Verdict};
use super::{Context, World, admission, events, inventory, proof, publish};
use crate::apply::{Outcome, Progress, Slice, TargetReport};
use crate::cluster::objects::{Key, Kind, Object};
use crate::cluster::secrets::Known;
use crate::inventory::remote::{OperatorNotes, RemoteLedger};
use crate::inventory::{InventoryError, Ledger as _, Snapshot};
use crate::manifest::cluster::{Fault, Usable};
use crate::manifest::crd::{InventoryWitness, LastRun, PendingPlan, TargetStatus};
use crate::model::{
    Coverage, DesiredTarget, InCluster, LiveIdentity, NotRead, Owned, Populations, SecretDocument,
    Source, SourceFile, TargetId,
};
use crate::plan::approvals::ApprovalLog;
use crate::plan::change::Change;
use crate::plan::digest::Digest;
use crate::plan::guard::{Approvals, ApprovedChange, ApprovedPlan, ApprovedTarget, OnThreshold};
use crate::plan::{Mode, NewInventory, PlannedChange, SkipReason, TargetPlan};
use crate::provider::{CredentialStore, Provider};
use crate::run::{self, Execution, Judging, Picture, Reading, Systems, Wanted};

/// The annotation that asks for a run now.
const REQUESTED_AT: &str = "scopeward.dev/reconcile-requested-at";
/// The first pause after a system was not reached.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
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
    /// The Target's generation and the run that was asked for.
    generation: i64,
    requested_at: Option<String>,
    /// What became of the sources that the inventory names.
    sources: Vec<InCluster>,
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
    owned: Owned,
    /// How often in a row the system was not reached.
    unreached: u32,
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

/// How much one run does: what comes in meanwhile waits no longer than that.
const SLICE: Slice = Slice {
    max_changes: 500,
    max_time: Duration::from_secs(60),
};

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
            owned: Owned::default(),
            unreached: 0,
        }
    }

    /// Whether a world says something else to this Target than the last run rested on.
    pub(super) fn is_concerned_by(&self, world: &World) -> bool {
        let is_other_world = self.seen.as_ref() != Some(&self.see(world));
        let keys = world
            .targets
            .get(&self.target)
            .map(|wanted| self.known_keys(wanted));
        let is_other_key = match (keys, &self.keys) {
            (Some(Ok(new)), Some(old)) => !is_same(&new, old),
            (Some(Ok(_)), None) => true,
            (Some(Err(_)), Some(_)) => true,
            _ => false,
        };
        is_other_world || is_other_key
    }

    fn see(&self, world: &World) -> Seen {
        let object = self.object(world);
        let file = self.key().file();
        Seen {
            desired: world.targets.get(&self.target).cloned(),
            usable: world.objects.get(&file).cloned(),
            generation: object
                .as_ref()
                .map(|object| object.generation)
                .unwrap_or_default(),
            requested_at: object
                .and_then(|object| object.annotation(REQUESTED_AT).map(str::to_owned)),
            sources: self
                .owned
                .files()
                .map(|file| in_cluster(world, file))
                .collect(),
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
        let object = self.object(world)?;
        tracing::debug!(target: "reconcile", target_name = %self.target, ?trigger, world = world.number, "a run begins");
        let ended = match self.wanted(world) {
            Ok(desired) => self.over(world, &object, &desired).await,
            Err(short) => Err(short),
        };
        let took = begun.elapsed();
        match ended {
            Ok(done) => {
                self.unreached = 0;
                // What this run recorded is no news to the next one.
                self.seen = Some(self.see(world));
                self.tell(world, &object, &done, took).await
            }
            Err(short) => {
                self.tell_short(world, &object, &short, took).await;
                short.after
            }
        }
    }

    /// What is wanted, where the Target may be followed at all.
    fn wanted(&mut self, world: &World) -> Result<Arc<DesiredTarget>, Short> {
        let stop = |reason, message: String| Short {
            reason,
            message,
            is_ready: false,
            after: None,
        };
        match world.objects.get(&self.key().file()) {
            Some(Usable::No(unusable)) => {
                let State {
                    reason, message, ..
                } = State::unusable(unusable, 0);
                return Err(stop(reason, message.unwrap_or_default()));
            }
            Some(Usable::LeftOut) | None => {
                return Err(stop(Reason::InvalidSpec, "it cannot be used".to_owned()));
            }
            Some(Usable::Yes) => {}
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
            return Err(suspended());
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
        let mut readings = run::read(&systems, vec![reading]).await;
        let identity = match &readings[0].picture {
            Picture::Live(live) => live.identity.clone(),
            Picture::Failed(error) => {
                let short = self.unreadable(&crate::apply::failure(error));
                self.connection = readings.pop();
                return Err(short);
            }
            Picture::Suspended => return Err(suspended()),
        };
        let standing = self.standing(world, object, &identity).await?;
        let now = Timestamp::now();
        let judged = self.judge(world, wanted, &readings, standing, now).await;
        let done = self
            .carry_out(world, &systems, &readings, judged, now)
            .await?;
        self.connection = readings.pop();
        Ok(done)
    }

    /// What the inventory says of the system, and whether this Target may use it.
    async fn standing(
        &mut self,
        world: &World,
        object: &Object,
        identity: &LiveIdentity,
    ) -> Result<Standing, Short> {
        let transitions = self.context.leadership.borrow().transitions;
        if self
            .ledger
            .as_ref()
            .is_none_or(|(of, _)| *of != transitions)
        {
            self.ledger = Some((transitions, inventory::open(&self.context)));
            self.is_loaded = false;
        }
        let Some((_, ledger)) = &self.ledger else {
            return Err(in_use(&InventoryError::FencePassed));
        };
        if !self.is_loaded {
            ledger
                .load(identity)
                .await
                .map_err(|error| in_use(&error))?;
            self.is_loaded = true;
        }
        let notes = ledger
            .notes(identity)
            .await
            .map_err(|error| in_use(&error))?;
        if let Some((reason, message)) = inventory::refusal(&self.context, world, object, &notes) {
            return Err(Short {
                reason,
                message,
                is_ready: false,
                after: None,
            });
        }
        let generation = ledger
            .generation(identity)
            .await
            .map_err(|error| in_use(&error))?;
        let status: TargetStatus = publish::said_before(object);
        let distrust = inventory::distrust(status.inventory.as_ref(), identity, generation);
        let snapshot = ledger.snapshot().await;
        self.owned = snapshot.owned(identity);
        Ok(Standing {
            identity: identity.clone(),
            distrust: distrust.or_else(|| inventory::known_distrust(&notes)),
            log: inventory::approvals(&notes),
            frozen: inventory::frozen(&notes),
            notes,
            snapshot,
        })
    }

    /// Plans, and says what of it may run: with what was approved, and without removals where the cluster was not seen whole.
    async fn judge(
        &mut self,
        world: &World,
        mut wanted: Wanted,
        readings: &[Reading<dyn Provider>],
        mut standing: Standing,
        now: Timestamp,
    ) -> Judged {
        let mut judging = Judging {
            mode: Mode::Sync,
            paths: Vec::new(),
            coverage: self.coverage(world, now),
            new_inventory: NewInventory::Allow,
            approvals: Approvals::default(),
            on_threshold: OnThreshold::Withhold,
            frozen: [(self.target.clone(), standing.frozen.clone())].into(),
        };
        let judge = async |wanted: &Wanted, judging: &Judging| {
            // One of each core plans; the others wait for their turn.
            let _turn = self.context.planning.acquire().await;
            tokio::task::block_in_place(|| {
                run::judge(wanted, readings, &standing.snapshot, judging, now)
            })
        };
        let mut approved = judge(&wanted, &judging).await;
        let target = &wanted.targets[0].target;
        let word = target
            .approved_plan
            .as_deref()
            .and_then(|text| Digest::parse(text).ok());
        let mut stale = None;
        if let Some(word) = &word {
            let plan = approved.targets()[0].plan();
            match standing.log.approvals(word, plan, now) {
                Ok(approvals) => judging.approvals = approvals,
                Err(error) => stale = Some(error.to_string()),
            }
        }
        let is_trusted =
            judging.approvals.digests.is_empty() && judging.approvals.changes.is_empty();
        if !is_trusted {
            standing.distrust = None;
            approved = judge(&wanted, &judging).await;
        }
        let waits = approved.targets()[0].is_liftable() || standing.distrust.is_some();
        let pending = waits.then(|| approved.targets()[0].plan().clone());
        if let Some(plan) = &pending {
            standing.log.wait(plan, word.as_ref(), now);
        }
        let mut bar = standing.distrust.map(|_| SkipReason::ObserveIncomplete);
        let removes = |change: ApprovedChange<'_>| !change.planned().removals.is_empty();
        if bar.is_none() && approved.targets()[0].changes().any(removes) {
            bar = proof::bar(&self.context, world, &self.target).await;
        }
        if bar.is_some() {
            wanted.gap = bar;
            approved = judge(&wanted, &judging).await;
        }
        Judged {
            wanted,
            judging,
            approved,
            standing,
            word,
            pending,
            stale,
            bar,
        }
    }

    /// Writes what may run, a slice of it, and keeps what is to be known of it.
    async fn carry_out(
        &mut self,
        world: &World,
        systems: &Systems,
        readings: &[Reading<dyn Provider>],
        judged: Judged,
        now: Timestamp,
    ) -> Result<Done, Short> {
        let Judged {
            wanted,
            judging,
            approved,
            mut standing,
            word,
            pending,
            stale,
            bar,
        } = judged;
        let identity = standing.identity.clone();
        let target = &approved.targets()[0];
        let digest = target.digest().to_string();
        let is_to_learn = target.may_record() && !target.plan().records.is_empty();
        let is_to_run = approved.has_runs() || is_to_learn;
        let Some((_, ledger)) = &self.ledger else {
            return Err(in_use(&InventoryError::FencePassed));
        };
        let frozen = target.frozen().clone();
        let own = (&self.target, self.context.cluster_uid.as_str());
        let mut notes = standing.notes.clone();
        inventory::keep(&mut notes, own, &standing.log, &frozen);
        inventory::keep_distrust(&mut notes, standing.distrust);
        // A Target at rest writes nothing, not even that it was there.
        if notes != standing.notes
            && (is_to_run || pending.is_some() || standing.distrust.is_some())
        {
            let kept = ledger
                .update_notes(&identity, |known| *known = notes.clone())
                .await;
            kept.map_err(|error| self.in_use(&error))?;
        }
        let hashes = target.plan().change_hashes();
        let (approved, report) = if is_to_run {
            let still_wanted = |planned: &PlannedChange| self.has_moved(world, planned);
            let execution = Execution {
                run_id: uuid::Uuid::new_v4().to_string(),
                who: self.context.settings.identity.clone(),
                started_at: now,
                ledger,
                systems,
                progress: &Progress::default(),
                fence: self.context.fence.clone(),
                still_wanted: &still_wanted,
                slice: Some(SLICE),
            };
            let mut report = run::execute(execution, &wanted, readings, &judging, approved).await;
            (report.approved, report.targets.pop())
        } else {
            (approved, None)
        };
        if let (Some(word), Some(report)) = (&word, &report) {
            let made = hashes.into_iter().zip(&report.outcomes);
            let made = made.filter(|(_, outcome)| matches!(outcome, Outcome::Done { .. }));
            standing
                .log
                .made(word, &made.map(|(hash, _)| hash).collect(), now);
            inventory::keep(&mut notes, own, &standing.log, &frozen);
            let kept = ledger.update_notes(&identity, |known| *known = notes).await;
            kept.map_err(|error| self.in_use(&error))?;
        }
        let owned = ledger
            .owned(&identity)
            .await
            .map_err(|error| self.in_use(&error))?;
        ledger
            .release(&identity)
            .await
            .map_err(|error| self.in_use(&error))?;
        let generation = ledger.generation(&identity).await.ok().flatten();
        self.owned = owned;
        if report
            .as_ref()
            .and_then(|report| report.error.as_ref())
            .is_some_and(|error| error.reason == "inventory")
        {
            self.is_loaded = false;
        }
        Ok(Done {
            approved,
            report,
            digest,
            pending,
            since: standing.log.pending.last().map(|plan| plan.since),
            stale,
            bar,
            distrust: standing.distrust,
            witness: generation.map(|generation| inventory::witness(&identity, generation)),
        })
    }

    /// The inventory is somebody else's, or moved: it is read again before the next run.
    fn in_use(&self, error: &InventoryError) -> Short {
        in_use(error)
    }

    /// Why a change is not to be sent any more, if what it rests on in the cluster has moved since.
    fn has_moved(&self, world: &World, planned: &PlannedChange) -> Option<SkipReason> {
        let is_same = |key: &Key| {
            let now = self.context.store.get(key);
            let then = world.picture.objects.get(key);
            now.as_ref().map(|object| &object.stamp) == then.map(|object| &object.stamp)
        };
        let manifest = planned.manifest.iter().map(|source| source.file.clone());
        let mut files: BTreeSet<SourceFile> = manifest.collect();
        if let Some(entry) = self
            .owned
            .scopes
            .iter()
            .find(|(name, _)| name.as_str() == planned.object.name)
        {
            let roles = entry
                .1
                .applied
                .roles
                .iter()
                .flat_map(BTreeMap::values)
                .flatten();
            files.extend(roles.map(|by| by.file.clone()));
            files.insert(entry.1.source.file.clone());
        }
        let apps = self.owned.apps.iter();
        let apps = apps.filter(|(app, _)| app.to_string() == planned.object.name);
        files.extend(apps.map(|(_, entry)| entry.source.file.clone()));
        let mut keys = files.iter().filter_map(Key::of).chain([self.key()]);
        (!keys.all(|key| is_same(&key))).then_some(SkipReason::Stale)
    }

    fn coverage(&self, world: &World, now: Timestamp) -> Coverage {
        let sources = self
            .owned
            .files()
            .map(|file| (file.clone(), in_cluster(world, file)));
        let delay = SignedDuration::try_from(self.context.settings.deletion_delay);
        Coverage::in_cluster(sources, delay.unwrap_or(SignedDuration::MAX), now)
    }

    /// The way to the system: that of the last run, unless something about it is new.
    fn connect(
        &mut self,
        wanted: &Wanted,
        desired: &Arc<DesiredTarget>,
    ) -> Result<(Systems, Reading<dyn Provider>), Short> {
        let keys = self.known_keys(desired)?;
        let is_same_key = self.keys.as_ref().is_some_and(|old| is_same(&keys, old));
        let mut secrets = vec![document(&self.target, &desired.target.credential, &keys.0)];
        if let (Some((name, _)), Some(authorities)) = (&desired.target.tls.ca_secret, &keys.1) {
            secrets.push(document(&self.target, name, authorities));
        }
        self.keys = Some(keys);
        let systems = Systems {
            credentials: CredentialStore::new(None, [], secrets),
            stand_in: None,
            interrupt: self.end.clone(),
        };
        let known = self.connection.take().filter(|_| is_same_key);
        let reading = known.and_then(|reading| reading.renewed(desired));
        let reading = match reading {
            Some(reading) => reading,
            None => systems.providers(wanted).remove(0),
        };
        Ok((systems, reading))
    }

    /// The keys of the Target's credential.
    fn known_keys(&self, desired: &DesiredTarget) -> Result<Keys, Short> {
        let keys = |name: &str| {
            let secret = (self.target.namespace.clone(), name.to_owned());
            let named = format!("Secret {}/{name}", secret.0);
            let stop = |message: String, after| Short {
                reason: Reason::Unauthenticated,
                message,
                is_ready: false,
                after,
            };
            match self.context.secrets.get(&secret) {
                Known::Keys(keys) => Ok(keys),
                Known::Missing => Err(stop(format!("{named} is not there"), None)),
                Known::Refused(why) => Err(stop(format!("{named} cannot be read: {why}"), None)),
                Known::NotYet => Err(stop(format!("{named} was not read yet"), Some(SHORTLY))),
            }
        };
        let authorities = desired.target.tls.ca_secret.as_ref();
        let authorities = authorities.map(|(name, _)| keys(name)).transpose()?;
        Ok((keys(&desired.target.credential)?, authorities))
    }

    /// What a reading that failed means for the Target.
    fn unreadable(&mut self, failure: &crate::plan::Failure) -> Short {
        let reason = Reason::of_failure(failure);
        let mut message = status::cut(failure.message.clone(), status::LONGEST_OF_A_SERVER);
        if let Some(help) = &failure.help {
            message.push_str("; ");
            message.push_str(help);
        }
        let after = match reason {
            Reason::Unreachable => {
                let longest = FIRST_PAUSE * 2_u32.saturating_pow(self.unreached.min(10));
                self.unreached += 1;
                let share = rand::rng().random_range(0.0..1.0);
                Some(FIRST_PAUSE + longest.min(LONGEST_PAUSE).mul_f64(share))
            }
            Reason::RateLimited => Some(Duration::from_secs(60)),
            _ => None,
        };
        Short {
            reason,
            message,
            is_ready: false,
            after,
        }
    }

    /// Says what a run found and did, and when to run again.
    async fn tell(
        &self,
        world: &World,
        object: &Object,
        done: &Done,
        took: Duration,
    ) -> Option<Duration> {
        let approved = &done.approved.targets()[0];
        let desired = world.targets.get(&self.target)?;
        let ran = Ran {
            desired,
            approved,
            report: done.report.as_ref(),
            owned: &self.owned,
        };
        let states = ran.states(|file| world.generation(file));
        let states = states.into_iter();
        let states = states.filter_map(|(file, state)| Some((Key::of(&file)?, state)));
        let states: BTreeMap<Key, State> = states.collect();
        let known = self.context.board.known(&self.target);
        let told = events::of_run(approved, done.report.as_ref(), (&known, &states));
        let shortfall = done.shortfall().max(ran.shortfall());
        let now = Timestamp::now();
        self.count(
            approved,
            done.report.as_ref(),
            shortfall.as_ref().map(|(reason, _)| *reason),
            took,
        );
        let before: TargetStatus = publish::said_before(object);
        let verdict = match &shortfall {
            None => Verdict {
                reason: Reason::Synced,
                message: "live is as declared".to_owned(),
                is_ready: true,
                is_drifted: false,
            },
            Some((reason, message)) => Verdict {
                reason: *reason,
                message: message.clone(),
                is_ready: true,
                is_drifted: ran.counts().drifted > 0,
            },
        };
        let withheld = ran.withheld();
        let next = TargetStatus {
            last_handled_reconcile_at: object.annotation(REQUESTED_AT).map(str::to_owned),
            objects: Some(ran.counts()),
            last_run: last_run(done, now).or_else(|| before.last_run.clone()),
            pending_plan: done.pending_plan(),
            inventory: done.witness.clone().or_else(|| before.inventory.clone()),
            withheld: (withheld.count > 0).then_some(withheld),
            ..before
        };
        let next = status::target(&verdict, &next, object.generation, now);
        self.context.board.states(&self.target, states).await;
        self.context.board.target(object, &next).await;
        self.context.events.tell(object, told).await;
        match shortfall {
            Some((
                Reason::InProgress
                | Reason::Moved
                | Reason::DependencyFailed
                | Reason::ObserveIncomplete,
                _,
            )) => Some(SHORTLY),
            _ if ran.is_delayed() => Some(self.context.settings.deletion_delay.max(SHORTLY)),
            _ => None,
        }
    }

    /// Says why a run had no plan.
    async fn tell_short(&self, world: &World, object: &Object, short: &Short, took: Duration) {
        let result = match short.reason {
            Reason::Suspended => "suspended",
            _ => "failed",
        };
        self.context.metrics.ran(&self.target, result, took);
        let now = Timestamp::now();
        let before: TargetStatus = publish::said_before(object);
        let verdict = Verdict {
            reason: short.reason,
            message: short.message.clone(),
            is_ready: short.is_ready,
            is_drifted: false,
        };
        let next = TargetStatus {
            last_handled_reconcile_at: object.annotation(REQUESTED_AT).map(str::to_owned),
            ..before
        };
        let next = status::target(&verdict, &next, object.generation, now);
        let reason = match short.reason {
            Reason::Suspended => Reason::Suspended,
            _ => Reason::TargetNotReady,
        };
        let message = format!("Target {}: {}", self.target, short.reason.word());
        let declared = world
            .targets
            .get(&self.target)
            .into_iter()
            .flat_map(|wanted| {
                let scopes = wanted.scopes.values().map(|scope| &scope.source.file);
                scopes.chain(wanted.apps.iter().map(|app| &app.source.file))
            });
        let states = declared.filter_map(|file| {
            let state = State::short(reason, message.clone(), world.generation(file));
            Some((Key::of(file)?, state))
        });
        self.context
            .board
            .states(&self.target, states.collect())
            .await;
        self.context.board.target(object, &next).await;
    }

    fn count(
        &self,
        approved: &ApprovedTarget,
        report: Option<&TargetReport>,
        shortfall: Option<Reason>,
        took: Duration,
    ) {
        let metrics = &self.context.metrics;
        let result = match shortfall {
            None => "synced",
            Some(Reason::Failed | Reason::Unreachable | Reason::RateLimited) => "failed",
            Some(_) => "withheld",
        };
        metrics.ran(&self.target, result, took);
        if shortfall.is_none() {
            metrics.succeeded(&self.target, Timestamp::now());
        }
        let plan = approved.plan();
        let requests = report.map_or(plan.requests, |report| report.requests);
        metrics.requested(
            &self.target,
            requests,
            shortfall == Some(Reason::RateLimited),
        );
        for (planned, outcome) in plan
            .changes
            .iter()
            .zip(report.into_iter().flat_map(|r| &r.outcomes))
        {
            let (word, _) = crate::apply::outcome_words(outcome);
            metrics.applied(&self.target, planned.change.action(), word);
        }
        metrics.planned(&self.target, &counts(approved, &self.owned));
    }
}

impl Done {
    /// What keeps the Target from being as declared, beside what its plan says.
    fn shortfall(&self) -> Option<(Reason, String)> {
        if let Some(reason) = self.distrust {
            let digest = self.pending.as_ref().map(|plan| plan.digest().to_string());
            let message = format!(
                "the inventory is not what it was: nothing is removed until spec.approvedPlan says {}",
                digest.unwrap_or_default()
            );
            return Some((reason, message));
        }
        if let Some(stale) = &self.stale {
            return Some((Reason::PlanStale, stale.clone()));
        }
        Some(match self.bar? {
            SkipReason::ObserveIncomplete => (
                Reason::ObserveIncomplete,
                "the cluster was not seen as a whole: nothing is removed yet".to_owned(),
            ),
            _ => (
                Reason::RemovalsWithheld,
                "the namespace is being deleted: nothing is removed".to_owned(),
            ),
        })
    }

    /// The plan that waits, as the status shows it.
    fn pending_plan(&self) -> Option<PendingPlan> {
        const SHOWN: usize = 20;
        let plan = self.pending.as_ref()?;
        let line = |planned: &PlannedChange| {
            let fields = planned.change.fields();
            let fields: Vec<&str> = fields.iter().map(|field| field.path).collect();
            let fields = match fields.join(", ") {
                none if none.is_empty() => none,
                some => format!(" ({some})"),
            };
            let action = planned.change.action();
            status::cut(format!("{action} {}{fields}", planned.object.label), 512)
        };
        Some(PendingPlan {
            digest: plan.digest().to_string(),
            since: status::seconds(self.since.unwrap_or_else(Timestamp::now)),
            count: plan.changes.len() as u64,
            changes: plan.changes.iter().take(SHOWN).map(line).collect(),
        })
    }
}

/// What is recorded of a run that changed something.
fn last_run(done: &Done, now: Timestamp) -> Option<LastRun> {
    let report = done.report.as_ref().filter(|report| report.writes > 0)?;
    let count = |is: fn(&Outcome) -> bool| report.outcomes.iter().filter(|o| is(o)).count() as u64;
    Some(LastRun {
        finished_at: status::seconds(now),
        digest: done.digest.clone(),
        done: count(|outcome| matches!(outcome, Outcome::Done { .. })),
        failed: count(|outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Unknown(_))),
        skipped: count(|outcome| matches!(outcome, Outcome::Skipped(_))),
    })
}

/// The numbers of a plan, for the metrics.
fn counts(approved: &ApprovedTarget, owned: &Owned) -> PlanCounts {
    use strum::VariantNames as _;
    let plan = approved.plan();
    let actions = Change::ACTIONS.map(|action| {
        let of_it = plan
            .changes
            .iter()
            .filter(|planned| planned.change.action() == action);
        (action, of_it.count())
    });
    let refusals = crate::plan::rule::Rule::VARIANTS.iter().map(|rule| {
        let of_it = approved.refusals().iter().filter(|refusal| {
            let word: &str = refusal.rule.into();
            word == *rule
        });
        (*rule, of_it.count())
    });
    let drift = crate::plan::ObjectKind::VARIANTS.iter().map(|kind| {
        let of_it = plan.skipped.iter().filter(|skip| {
            let word: &str = skip.object.kind.into();
            skip.reason == SkipReason::Drift && word == *kind
        });
        (*kind, of_it.count())
    });
    PlanCounts {
        drift: drift.collect(),
        actions: actions.into(),
        refusals: refusals.collect(),
        owned: owned.scopes.len() + owned.apps.len(),
        withheld: (0..plan.changes.len())
            .filter(|index| !approved.runs(*index))
            .count(),
    }
}

/// Lets go of what is counted of a Target that is gone.
pub(super) fn forget(context: &Context, target: &TargetId) {
    use strum::VariantNames as _;
    let zero = |words: &[&'static str]| words.iter().map(|word| (*word, 0)).collect();
    let counts = PlanCounts {
        drift: zero(crate::plan::ObjectKind::VARIANTS),
        actions: zero(&Change::ACTIONS),
        refusals: zero(crate::plan::rule::Rule::VARIANTS),
        owned: 0,
        withheld: 0,
    };
    context.metrics.forget(target, &counts);
}

/// What the cluster says of a recorded source.
fn in_cluster(world: &World, file: &SourceFile) -> InCluster {
    let Some(key) = Key::of(file) else {
        return InCluster::NotRead(NotRead::OtherRepository);
    };
    let since = world.since.of(&key);
    match world.objects.get(file) {
        Some(Usable::Yes) => InCluster::ReadSince(since),
        Some(Usable::No(unusable)) if unusable.fault == Fault::NotAllowed => {
            InCluster::NotRead(NotRead::NotAllowed)
        }
        Some(Usable::No(_) | Usable::LeftOut) => InCluster::NotRead(NotRead::Invalid),
        None => InCluster::GoneSince(since),
    }
}

fn suspended() -> Short {
    Short {
        reason: Reason::Suspended,
        message: "spec.suspend: nothing is read or written".to_owned(),
        is_ready: true,
        after: None,
    }
}

fn in_use(error: &InventoryError) -> Short {
    Short {
        reason: Reason::InventoryInUse,
        message: crate::telemetry::sentence(error),
        is_ready: false,
        after: Some(FIRST_PAUSE),
    }
}

fn is_same(new: &Keys, old: &Keys) -> bool {
    let authorities = match (&new.1, &old.1) {
        (Some(new), Some(old)) => Arc::ptr_eq(new, old),
        (None, None) => true,
        _ => false,
    };
    Arc::ptr_eq(&new.0, &old.0) && authorities
}

/// A Secret as credentials are looked for.
fn document(
    target: &TargetId,
    name: &str,
    keys: &Arc<BTreeMap<String, SecretString>>,
) -> SecretDocument {
    SecretDocument {
        source: Source {
            file: SourceFile::in_cluster(&target.namespace, "Secret", name),
            document: 0,
            line: 1,
            kind: "Secret".to_owned(),
            namespace: target.namespace.clone(),
            name: name.to_owned(),
        },
        keys: (**keys).clone(),
    }
}
