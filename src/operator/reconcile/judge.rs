//! From a reading to what is written: the inventory, the plan with its approvals, the proof, a slice of it.

use super::{Done, Judged, Reconciler, SLICE, Short, Standing};
use crate::apply::Outcome;
use crate::apply::Progress;
use crate::apply::Slice;
use crate::apply::TargetReport;
use crate::cluster::objects::Key;
use crate::cluster::objects::Object;
use crate::inventory::InventoryError;
use crate::inventory::Ledger as _;
use crate::inventory::remote::{OperatorNotes, RemoteLedger};
use crate::manifest::cluster::Fault;
use crate::manifest::cluster::Unusable;
use crate::manifest::cluster::Usable;
use crate::manifest::crd::TargetStatus;
use crate::model::Coverage;
use crate::model::InCluster;
use crate::model::LiveIdentity;
use crate::model::NotRead;
use crate::model::Owned;
use crate::model::Populations;
use crate::model::Record;
use crate::model::ScopeName;
use crate::model::SourceFile;
use crate::model::TargetId;
use crate::operator::World;
use crate::operator::inventory;
use crate::operator::proof;
use crate::operator::publish;
use crate::plan::Failure;
use crate::plan::Mode;
use crate::plan::NewInventory;
use crate::plan::PlannedChange;
use crate::plan::SkipReason;
use crate::plan::TargetPlan;
use crate::plan::approvals;
use crate::plan::digest::{ChangeHash, Digest};
use crate::plan::guard::Approvals;
use crate::plan::guard::ApprovedChange;
use crate::plan::guard::OnThreshold;
use crate::provider::Provider;
use crate::run;
use crate::run::Execution;
use crate::run::Judging;
use crate::run::Reading;
use crate::run::Systems;
use crate::run::Wanted;
use jiff::SignedDuration;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::Instant;

impl Reconciler {
    /// What the inventory says of the system, and whether this Target may use it.
    pub(super) async fn standing(
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
            return Err(Short::of_inventory(InventoryError::FencePassed));
        };
        if !self.is_loaded {
            ledger.load(identity).await.map_err(Short::of_inventory)?;
            self.is_loaded = true;
        }
        let notes = ledger.notes(identity).await.map_err(Short::of_inventory)?;
        if let Some((reason, message)) =
            inventory::refusal(&self.context, world, (object, identity), &notes)
        {
            return Err(Short::stop(reason, message));
        }
        let generation = ledger
            .generation(identity)
            .await
            .map_err(Short::of_inventory)?;
        let latest = self.context.store.get(&self.key());
        let status: TargetStatus = publish::said_before(latest.as_deref().unwrap_or(object));
        let distrust = inventory::distrust(status.inventory.as_ref(), identity, generation);
        let snapshot = ledger.snapshot().await;
        self.learn(snapshot.owned(identity));
        Ok(Standing {
            identity: identity.clone(),
            distrust: distrust.or_else(|| inventory::known_distrust(&notes)),
            log: inventory::approvals(&notes),
            frozen: inventory::frozen(&notes),
            notes,
            snapshot,
            now: Timestamp::now(),
        })
    }

    /// Plans, and says what of it may run: with what was approved, and without removals where the cluster was not seen whole.
    pub(super) async fn judge(
        &mut self,
        world: &World,
        mut wanted: Wanted,
        readings: &[Reading<dyn Provider>],
        mut standing: Standing,
    ) -> Judged {
        let now = standing.now;
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
        let is_approved =
            !(judging.approvals.digests.is_empty() && judging.approvals.changes.is_empty());
        // An inventory that is not what it was may name plans of before: the very plan at hand has to be meant.
        if !judging.approvals.digests.is_empty() {
            standing.distrust = None;
        }
        if is_approved {
            approved = judge(&wanted, &judging).await;
        }
        let waits = approved.targets()[0].is_liftable() || standing.distrust.is_some();
        let pending = waits.then(|| approved.targets()[0].plan().clone());
        if let Some(plan) = &pending {
            standing.log.wait(plan, word.as_ref(), now);
        } else {
            // A word that nothing waits for is left over from before.
            stale = None;
        }
        let mut bar = standing.distrust.map(|_| SkipReason::ObserveIncomplete);
        let removes = |change: ApprovedChange<'_>| !change.planned().removals.is_empty();
        let target = &approved.targets()[0];
        // What is forgotten is lost to us as well as what is removed.
        let forgets = target.plan().records.iter().any(Record::forgets);
        if bar.is_none() && (forgets || target.changes().any(removes)) {
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
    pub(super) async fn carry_out(
        &mut self,
        world: &World,
        (systems, readings): (&Systems, &[Reading<dyn Provider>]),
        judged: Judged,
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
        let (identity, now) = (standing.identity.clone(), standing.now);
        let target = &approved.targets()[0];
        let digest = target.digest().to_string();
        let is_to_learn = target.may_record() && !target.plan().records.is_empty();
        let is_to_run = approved.has_runs() || is_to_learn;
        let Some((_, ledger)) = &self.ledger else {
            return Err(Short::of_inventory(InventoryError::FencePassed));
        };
        let frozen = target.frozen().clone();
        let is_busy = is_to_run || pending.is_some();
        let notes = self.note(ledger, &standing, &frozen, is_busy).await?;
        let hashes = target.plan().change_hashes();
        let failed_before = self.failed_before();
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
                slice: Some(Slice {
                    max_changes: SLICE.0,
                    max_time: SLICE.1,
                    failed: &failed_before,
                }),
            };
            let mut report = run::execute(execution, &wanted, readings, &judging, approved).await;
            (report.approved, report.targets.pop())
        } else {
            (approved, None)
        };
        if let Some(report) = &report {
            self.remember_failed(failed(&hashes, report));
        }
        let made = report.as_ref().map(|report| made(hashes, report));
        let word = word.filter(|_| made.is_some());
        let kept = Kept {
            word,
            made: made.unwrap_or_default(),
            notes,
            frozen,
        };
        let (generation, trouble) = self.keep(&mut standing, kept).await;
        let broken = report.as_ref().and_then(|report| report.error.as_ref());
        if trouble.is_some() || broken.is_some_and(|error| error.reason == "inventory") {
            self.is_loaded = false;
        }
        Ok(Done {
            approved,
            report,
            digest,
            since: pending_since(&standing, pending.as_ref()),
            pending,
            stale,
            bar,
            distrust: standing.distrust,
            trouble,
            witness: generation.map(|generation| inventory::witness(&identity, generation)),
        })
    }

    /// What failed in the slices so far, and is not sent again yet.
    fn failed_before(&self) -> BTreeMap<ChangeHash, Failure> {
        let failed = self.failed.iter();
        failed
            .map(|(hash, (failure, _))| (hash.clone(), failure.clone()))
            .collect()
    }

    /// Takes what failed; what is known already stays as old as it is.
    fn remember_failed(&mut self, failed: BTreeMap<ChangeHash, Failure>) {
        let now = Instant::now();
        for (hash, failure) in failed {
            self.failed.entry(hash).or_insert((failure, now));
        }
    }

    /// Keeps what is to be known of a run before it writes.
    async fn note(
        &self,
        ledger: &RemoteLedger,
        standing: &Standing,
        frozen: &Populations,
        is_busy: bool,
    ) -> Result<OperatorNotes, Short> {
        let own = (&self.target, self.context.cluster_uid.as_str());
        let mut notes = standing.notes.clone();
        inventory::keep(&mut notes, own, &standing.log, frozen);
        inventory::keep_distrust(&mut notes, standing.distrust);
        // A Target at rest writes nothing, not even that it was there.
        if notes != standing.notes && (is_busy || standing.notes.distrust != notes.distrust) {
            let keep = |known: &mut OperatorNotes| *known = notes.clone();
            let kept = ledger.update_notes(&standing.identity, keep).await;
            kept.map_err(Short::of_inventory)?;
        }
        Ok(notes)
    }

    /// Keeps what became of a slice, and gives the inventory back. What cannot be kept is told, as what was done is.
    async fn keep(&mut self, standing: &mut Standing, kept: Kept) -> (Option<u64>, Option<Short>) {
        let Some((_, ledger)) = &self.ledger else {
            return (None, None);
        };
        let Kept {
            word,
            made,
            mut notes,
            frozen,
        } = kept;
        let identity = &standing.identity;
        let own = (&self.target, self.context.cluster_uid.as_str());
        let log = &mut standing.log;
        let keeping = async {
            if let Some(word) = &word {
                log.made(word, &made, standing.now);
                inventory::keep(&mut notes, own, log, &frozen);
                let keep = |known: &mut OperatorNotes| *known = notes;
                ledger.update_notes(identity, keep).await?;
            }
            let owned = ledger.owned(identity).await?;
            ledger.release(identity).await?;
            let generation = ledger.generation(identity).await?;
            Ok::<_, InventoryError>((owned, generation))
        };
        match keeping.await {
            Ok((owned, generation)) => {
                self.learn(owned);
                (generation, None)
            }
            Err(error) => (None, Some(Short::of_inventory(error))),
        }
    }

    /// Takes what is ours. Who holds what decides between objects that contradict each other.
    fn learn(&mut self, owned: Owned) {
        if owned != *self.owned || !self.has_learned {
            self.has_learned = true;
            self.owned = Arc::new(owned);
            self.context.holders.learn(&self.target, &self.owned);
        }
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
        let name = ScopeName::observed(&planned.object.name);
        if let Some(entry) = self.owned.scopes.get(&name) {
            let roles = entry
                .applied
                .roles
                .iter()
                .flat_map(BTreeMap::values)
                .flatten();
            files.extend(roles.map(|by| by.file.clone()));
            files.insert(entry.source.file.clone());
        }
        let app = planned.change.app();
        let app = app.and_then(|app| self.owned.apps.get(app));
        files.extend(app.map(|entry| entry.source.file.clone()));
        let mut keys = files.iter().filter_map(Key::of).chain([self.key()]);
        (!keys.all(|key| is_same(&key))).then_some(SkipReason::Stale)
    }

    fn coverage(&self, world: &World, now: Timestamp) -> Coverage {
        let sources = self
            .owned
            .files()
            .map(|file| (file.clone(), in_cluster(world, &self.target, file)));
        let delay = SignedDuration::try_from(self.context.settings.deletion_delay);
        Coverage::in_cluster(sources, delay.unwrap_or(SignedDuration::MAX), now)
    }
}

/// What the cluster says of a recorded source.
pub(super) fn in_cluster(world: &World, target: &TargetId, file: &SourceFile) -> InCluster {
    let Some(key) = Key::of(file) else {
        return InCluster::NotRead(NotRead::OtherRepository);
    };
    let since = world.since.of(&key);
    match world.objects.get(file) {
        Some(Usable::Yes) => InCluster::ReadSince(since),
        Some(Usable::No(unusable)) => InCluster::NotRead(not_read(unusable)),
        Some(Usable::LeftOut) => InCluster::NotRead(NotRead::Invalid),
        Some(Usable::Partly(targets)) => match targets.get(target) {
            // A reference that leads nowhere may have led here, under the Target's former name.
            None if !refers(world, &key, target)
                && targets.keys().any(|id| !world.targets.contains_key(id)) =>
            {
                InCluster::NotRead(NotRead::Invalid)
            }
            None => InCluster::ReadSince(since),
            Some(unusable) => {
                let why = unusable.as_ref().map_or(NotRead::Invalid, not_read);
                InCluster::NotRead(why)
            }
        },
        None => InCluster::GoneSince(since),
    }
}

/// Whether an object names a Target.
fn refers(world: &World, key: &Key, target: &TargetId) -> bool {
    let object = world.picture.objects.get(key);
    let refs = object
        .map(|object| object.target_refs())
        .unwrap_or_default();
    refs.iter()
        .any(|(namespace, name)| *namespace == target.namespace && *name == target.name)
}

fn not_read(unusable: &Unusable) -> NotRead {
    match unusable.fault {
        Fault::NotAllowed => NotRead::NotAllowed,
        _ => NotRead::Invalid,
    }
}

/// What is to be kept of a slice.
struct Kept {
    /// What the manifest approves.
    word: Option<Digest>,
    /// The changes that were made.
    made: BTreeSet<ChangeHash>,
    notes: OperatorNotes,
    frozen: Populations,
}

/// The changes that were made, by their hashes.
fn made(hashes: Vec<ChangeHash>, report: &TargetReport) -> BTreeSet<ChangeHash> {
    let outcomes = hashes.into_iter().zip(&report.outcomes);
    let done = outcomes.filter(|(_, outcome)| matches!(outcome, Outcome::Done { .. }));
    done.map(|(hash, _)| hash).collect()
}

/// The changes that the system did not take, by their hashes.
fn failed(hashes: &[ChangeHash], report: &TargetReport) -> BTreeMap<ChangeHash, Failure> {
    let outcomes = hashes.iter().zip(&report.outcomes);
    let failed = outcomes.filter_map(|(hash, outcome)| match outcome {
        Outcome::Failed(failure) | Outcome::Unknown(failure) => {
            Some((hash.clone(), failure.clone()))
        }
        _ => None,
    });
    failed.collect()
}

/// Since when a plan waits.
fn pending_since(standing: &Standing, pending: Option<&TargetPlan>) -> Option<Timestamp> {
    let known = approvals::named(&standing.log.pending, &pending?.digest());
    known.map(|plan| plan.since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(name: &str) -> TargetId {
        TargetId {
            namespace: "iam".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_reference_that_leads_nowhere_may_have_led_to_any_target() {
        let file = SourceFile::in_cluster("iam", "Scope", "a");
        let missing = Unusable {
            fault: Fault::ReferenceNotFound,
            message: String::new(),
        };
        let usable = Usable::Partly([(on("old"), Some(missing))].into());
        let world = World {
            objects: [(file.clone(), usable)].into(),
            ..World::default()
        };
        for target in ["old", "new"] {
            let seen = in_cluster(&world, &on(target), &file);
            assert_eq!(seen, InCluster::NotRead(NotRead::Invalid), "{target}");
        }
    }
}
