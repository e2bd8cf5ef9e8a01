//! One run over one Target: the engine's own `read`, `judge`, `execute`, on what the cluster holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rand::Rng as _;
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::PlanCounts;
use super::status::{self, Ran, Reason, State, Verdict};
use super::{Context, World, admission, events, publish};
use crate::apply::{Outcome, Progress, TargetReport};
use crate::cluster::objects::{Key, Kind, Object};
use crate::cluster::secrets::Known;
use crate::inventory::{InventoryError, Ledger};
use crate::manifest::cluster::Usable;
use crate::manifest::crd::{LastRun, TargetStatus};
use crate::model::{
    Coverage, Covered, DesiredTarget, NotRead, Owned, SecretDocument, Source, SourceFile, TargetId,
};
use crate::plan::change::Change;
use crate::plan::guard::{ApprovedPlan, ApprovedTarget};
use crate::plan::{Mode, NewInventory, SkipReason};
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
    covered: Vec<Covered>,
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
}

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
            covered: self
                .owned
                .files()
                .map(|file| covered(world, file))
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
            Ok(desired) => self.over(world, &desired).await,
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
            let message = "spec.suspend: nothing is read or written".to_owned();
            return Err(Short {
                is_ready: true,
                ..stop(Reason::Suspended, message)
            });
        }
        Ok(Arc::clone(desired))
    }

    /// Looks, judges and writes.
    async fn over(&mut self, world: &World, desired: &Arc<DesiredTarget>) -> Result<Done, Short> {
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
                let failure = crate::apply::failure(error);
                let short = self.unreadable(&failure);
                self.connection = readings.pop();
                return Err(short);
            }
            Picture::Suspended => {
                return Err(Short {
                    reason: Reason::Suspended,
                    message: "spec.suspend: nothing is read or written".to_owned(),
                    is_ready: true,
                    after: None,
                });
            }
        };
        let ledger = self.ledger().await.map_err(|error| in_use(&error))?;
        let snapshot = ledger.snapshot().await;
        self.owned = snapshot.owned(&identity);
        let judging = Judging {
            mode: Mode::Sync,
            paths: Vec::new(),
            coverage: coverage(world, &self.owned),
            new_inventory: NewInventory::Allow,
            approvals: Vec::new(),
        };
        let now = Timestamp::now();
        let approved = tokio::task::block_in_place(|| {
            run::judge(&wanted, &readings, &snapshot, &judging, now)
        });
        let digest = approved.targets()[0].digest().to_string();
        let is_to_learn =
            approved.targets()[0].may_record() && !approved.targets()[0].plan().records.is_empty();
        let done = if approved.has_runs() || is_to_learn {
            let execution = Execution {
                run_id: uuid::Uuid::new_v4().to_string(),
                who: self.context.settings.identity.clone(),
                started_at: now,
                ledger: ledger.as_ref(),
                systems: &systems,
                progress: &Progress::default(),
            };
            let mut report = run::execute(execution, &wanted, &readings, &judging, approved).await;
            Done {
                report: report.targets.pop(),
                approved: report.approved,
                digest,
            }
        } else {
            Done {
                approved,
                report: None,
                digest,
            }
        };
        self.owned = ledger.owned(&identity).await;
        ledger.close().await.map_err(|error| in_use(&error))?;
        self.connection = readings.pop();
        Ok(done)
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

    /// The inventory of the system.
    async fn ledger(&self) -> Result<Box<dyn Ledger>, InventoryError> {
        super::ledger::open(&self.context, &self.target).await
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
        let shortfall = ran.shortfall();
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
            withheld: (withheld.count > 0).then_some(withheld),
            ..before
        };
        let next = status::target(&verdict, &next, object.generation, now);
        self.context.board.states(&self.target, states).await;
        self.context.board.target(object, &next).await;
        self.context.events.tell(object, told).await;
        match shortfall {
            Some((Reason::InProgress | Reason::Moved | Reason::DependencyFailed, _)) => {
                Some(SHORTLY)
            }
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
fn covered(world: &World, file: &SourceFile) -> Covered {
    if !file.is_in_cluster() {
        return Covered::NotRead(NotRead::OtherRepository);
    }
    match world.objects.get(file) {
        Some(Usable::Yes) => Covered::Read,
        Some(Usable::No(_) | Usable::LeftOut) => Covered::NotRead(NotRead::PassedOver),
        None => Covered::Gone,
    }
}

fn coverage(world: &World, owned: &Owned) -> Coverage {
    let files = owned.files();
    files
        .map(|file| (file.clone(), covered(world, file)))
        .collect()
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
