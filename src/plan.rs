//! What to do, from what is wanted, what is live and what is ours: a pure function.
//!
//! ```text
//! DesiredTarget + Live + Owned --plan_target()--> TargetPlan --+
//!                                                              +--> Plan --approve()--> ApprovedPlan
//! ```
//!
//! For each scope (`plan/scopes.rs`):
//!
//! | manifest | live | owned | result |
//! |---|---|---|---|
//! | yes | no | any | create |
//! | yes | equal | no | recorded as `matched`, no write |
//! | yes | differs | no | update, refused as `takeover` unless the target adopts always |
//! | yes | differs | yes | update, field by field |
//! | yes, under a previous name | under the old name | `created`, `adopted` | rename |
//! | yes, under a previous name | under the old name | otherwise | rename, refused as `takeover` |
//! | no | yes | `created`, `adopted` | delete |
//! | no | yes | `matched` | kept |
//! | no | yes | no | unmanaged, never touched |
//! | no | no | yes | a tombstone for a day |
//!
//! Sets (roles, an app's scopes) are three-way: see `plan/sets.rs`. What a safety rule stops comes out as a change with
//! a [`Refusal`] on it, so that the digest of a plan is the same before and after somebody approved it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use strum::{IntoStaticStr, VariantNames};

pub mod access;
pub mod adopt;
pub mod approvals;
mod apps;
pub mod change;
pub mod digest;
pub mod guard;
pub(crate) mod prose;
pub mod rule;
mod scopes;
mod sets;
pub mod settle;
pub mod targets;
#[cfg(test)]
pub(crate) mod tests;

use crate::diagnostic::{Diagnostic, codes};
use crate::model::target::{Approval, Policy, Target};
use crate::model::{
    AppRef, Consumers, Coverage, Covered, DesiredTarget, Intent, Lineage, Live, LiveApp,
    LiveIdentity, ManifestRef, NotRead, Origin, Owned, OwnedApp, Populations, Record, RemoteId,
    Removal, RoleName, ScopeName, Source, System, TargetId, WantedBy,
};
use access::Access;
use change::Change;
use digest::Digest;
use rule::Named;
pub use rule::{Refusal, Rule, WayThrough};

/// Whether what no manifest declares is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Creates and updates; removes nothing, entries of sets included.
    Apply,
    /// Removes too.
    Sync,
}

/// What a plan depends on beside manifests, live state and inventory.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// Whether removals are wanted at all.
    pub mode: Mode,
    /// The moment of planning: holds and tombstones are measured against it.
    pub now: Timestamp,
    /// What the run found out about the recorded files: only what it covers is removed or handed over.
    pub coverage: Coverage,
    /// Why the run removes nothing anywhere, if so.
    pub removal_block: Option<SkipReason>,
    /// What to do where the inventory does not know the target.
    pub new_inventory: NewInventory,
}

/// What to do where the inventory does not know a target that has live objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewInventory {
    /// Refuse the target.
    Refuse,
    /// Say so.
    Warn,
    /// Start one.
    Allow,
}

/// Why a change is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, IntoStaticStr, VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// It is declared and not live.
    NotLive,
    /// It is live and ours, and no manifest declares it.
    NotInManifests,
    /// A managed value differs.
    ValueDiffers,
    /// A previous name of its manifest is live.
    RenamedFrom,
    /// It was renamed behind our back.
    RenamedLive,
    /// It makes room for a swap of names.
    SwapOfNames,
}

/// Why nothing is done about something.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SkipReason {
    /// It is live, no manifest declares it, and it is not ours.
    Unmanaged,
    /// It was found equal to a manifest that is gone; it is not ours to delete.
    Matched,
    /// The run or the target's policy removes nothing.
    NoDelete,
    /// The target's policy does not allow this kind of write.
    Policy,
    /// The manifest that it came from is not among this run's paths.
    OtherSource,
    /// A file that this run does not read declares it now: the run over that file takes it over.
    Moved,
    /// A document is invalid or unreadable, so nothing is removed anywhere.
    IncompleteManifests,
    /// A resource in the cluster that it came from is invalid or could not be read.
    IncompleteContributors,
    /// A resource in the cluster that it came from is not permitted by its Target.
    NotAllowed,
    /// The resource in the cluster that it came from is gone or says something else, but not for long enough.
    DeletionDelayed,
    /// What the watches of the cluster show is not all that there is, so nothing is removed.
    ObserveIncomplete,
    /// The namespace of the Target is being deleted, so nothing is removed.
    NamespaceTerminating,
    /// The run is narrowed by a selector, so nothing is removed.
    Selection,
    /// The run reads files of a repository that has no name beyond this machine, and the inventory is kept elsewhere, so
    /// nothing is removed.
    UnknownRepository,
    /// Another Target may lead to the same place, and was not read, so nothing is removed here.
    UnreadTarget,
    /// Its manifest said `deletionPolicy: Orphan`.
    Orphaned,
    /// `scopeward.dev/hold-until` is in the future.
    Held,
    /// It changed behind our back, and the target only reports that.
    Drift,
    /// The system lists the name twice.
    Duplicate,
    /// It belongs to a parent configuration.
    Inherited,
    /// A rename that needs it did not happen.
    RenameBlocked,
    /// What it needs was not done.
    DependencyFailed,
    /// It moved since it was planned.
    Stale,
    /// The run was interrupted before it was sent.
    Interrupted,
    /// This run has done its share: the next one takes it.
    NextSlice,
    /// A safety rule stopped it.
    Refused,
}

/// What a change, a skip or a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `Scope` or `AppScopeSet`.
    pub kind: ObjectKind,
    /// The scope's name, or the app's path.
    pub name: String,
    /// How people read it, where that differs.
    #[serde(skip)]
    pub label: String,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<RemoteId>,
}

/// The kinds of objects.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, IntoStaticStr, VariantNames,
)]
pub enum ObjectKind {
    /// A scope.
    Scope,
    /// An app's full list.
    AppScopeSet,
}

/// Something that is left as it is, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What.
    pub object: ObjectRef,
    /// Why.
    pub reason: SkipReason,
    /// Entries of the set that this is about; empty is the whole object. For what has moved, the file that it moved to.
    pub entries: Vec<String>,
}

/// The numbers that head a plan: scopes, and apps with a list of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Population {
    /// Live objects.
    pub live: usize,
    /// Those of them that are managed: the inventory holds them.
    pub managed: usize,
    /// Those that are not.
    pub unmanaged: usize,
    /// Declared objects.
    pub desired: usize,
}

/// One write that is wanted, why, and what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChange {
    /// The write.
    pub change: Change,
    /// What it is about.
    pub object: ObjectRef,
    /// The manifest; `None` for a removal.
    pub manifest: Option<Source>,
    /// Why.
    pub reason: Reason,
    /// A remark for people: `id 587212 stays, 3 apps keep it`.
    pub remark: Option<String>,
    /// Live facts beyond the state before that it rests on, such as who uses what goes.
    pub facts: BTreeSet<String>,
    /// Who gains and who loses by this change alone.
    pub access: Access,
    /// Safety rules that stop this change.
    pub refusals: Vec<Refusal>,
    /// Changes (by index in the target's list) without which this one is not sent.
    pub depends_on: BTreeSet<usize>,
    /// What it takes away, as the guard counts.
    pub removals: Vec<Removal>,
    /// How what it changes came to be ours; `None` where it is not, or not there yet.
    pub origin: Option<Origin>,
    /// What the inventory records before it is sent.
    pub intent: Option<Intent>,
    /// What the inventory records when it is done.
    pub record: Record,
}

impl PlannedChange {
    /// A change that no rule stops, that rests on no other and takes nothing away.
    pub fn new(object: ObjectRef, reason: Reason, change: Change, record: Record) -> Self {
        Self {
            change,
            object,
            manifest: None,
            reason,
            remark: None,
            facts: BTreeSet::new(),
            access: Access::default(),
            refusals: Vec::new(),
            depends_on: BTreeSet::new(),
            removals: Vec::new(),
            origin: None,
            intent: None,
            record,
        }
    }

    /// Whether nobody can tell who loses by it.
    pub fn has_unknown_consumers(&self) -> bool {
        self.facts.is_superset(&Consumers::Unknown.facts())
    }

    /// The apps that give up what it deletes by another change of the plan, without which this one is not sent.
    fn given_up<'p>(&'p self, plan: &'p TargetPlan) -> impl Iterator<Item = &'p AppRef> {
        let is_delete = matches!(self.change, Change::DeleteScope { .. });
        let needed = self.depends_on.iter().filter(move |_| is_delete);
        needed.filter_map(|on| plan.changes.get(*on)?.change.app())
    }
}

/// Why something failed, for people and programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// `unauthorized`, `rate_limited`, ...
    pub reason: &'static str,
    /// The status of the server's answer, where there was one that says so.
    pub status: Option<u16>,
    /// The whole sentence, the server's own words included.
    pub message: String,
    /// What to do, where that is known.
    pub help: Option<String>,
}

/// The plan of one target.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetPlan {
    /// The target.
    pub target: TargetId,
    /// Which system.
    pub system: System,
    /// How people call the place.
    pub title: String,
    /// What it really is; `None` where it could not be read.
    pub identity: Option<LiveIdentity>,
    /// Whether a plan waits for somebody's word.
    pub approval: Approval,
    /// `spec.approvedPlan`.
    pub approved_plan: Option<String>,
    /// Whether nothing is done because the manifest says `suspend`.
    pub suspended: bool,
    /// Why the live state could not be read, if so: nothing is written here.
    pub error: Option<Failure>,
    /// How many requests the reading took.
    pub requests: u64,
    /// Which inventory it was made against.
    pub lineage: Option<Lineage>,
    /// The inventory's count of writes.
    pub writes: u64,
    /// Counts for people.
    pub population: Population,
    /// Declared objects that are as they should be.
    pub unchanged: usize,
    /// The writes, in order.
    pub changes: Vec<PlannedChange>,
    /// What is left alone.
    pub skipped: Vec<Skipped>,
    /// Who gains and who loses.
    pub access: Access,
    /// Refusals that are no change's: the whole target, or an object without a change.
    pub refusals: Vec<Refusal>,
    /// Findings that only the live state shows, such as a scope outside a key's products.
    pub diagnostics: Vec<Diagnostic>,
    /// What the inventory learns without a write.
    pub records: Vec<Record>,
    /// What it then says of what is declared: the same before it has learned that and after.
    pub held: Vec<Record>,
    /// What the guard measures removals against: how much there is to remove from, before the plan.
    pub populations: Populations,
    /// Whether the digests of this plan include removals.
    pub mode: Mode,
}

/// The plan of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Whether removals are wanted.
    pub mode: Mode,
    /// The run's PATHs as given.
    pub paths: Vec<String>,
    /// One entry a target, sorted.
    pub targets: Vec<TargetPlan>,
}

/// How many changes of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// New scopes.
    pub create: usize,
    /// Scopes with other values.
    pub update: usize,
    /// Scopes with another name.
    pub rename: usize,
    /// Apps attached.
    pub attach: usize,
    /// Lists replaced.
    pub replace: usize,
    /// Apps detached.
    pub detach: usize,
    /// Scopes gone.
    pub delete: usize,
}

impl Summary {
    /// Counts changes.
    pub fn of<'a>(changes: impl IntoIterator<Item = &'a PlannedChange>) -> Self {
        let mut summary = Self::default();
        changes.into_iter().for_each(|c| summary.count(&c.change));
        summary
    }

    /// Counts one change.
    pub fn count(&mut self, change: &Change) {
        let slot = match change {
            Change::CreateScope { .. } => &mut self.create,
            Change::UpdateScope { .. } => &mut self.update,
            Change::RenameScope { .. } => &mut self.rename,
            Change::AttachApp { .. } => &mut self.attach,
            Change::ReplaceAppScopes { .. } => &mut self.replace,
            Change::DetachApp { .. } => &mut self.detach,
            Change::DeleteScope { .. } => &mut self.delete,
        };
        *slot += 1;
    }

    /// All of them.
    pub fn total(&self) -> usize {
        let Self {
            create,
            update,
            rename,
            attach,
            replace,
            detach,
            delete,
        } = *self;
        create + update + rename + attach + replace + detach + delete
    }
}

impl Plan {
    /// The digest of the whole plan: over the digests of its targets.
    pub fn digest(&self) -> Digest {
        Digest::over_targets(self.targets.iter().map(TargetPlan::digest))
    }
}

impl TargetPlan {
    /// A plan that does nothing, because the target is suspended or could not be read.
    pub fn empty(desired: &DesiredTarget, mode: Mode) -> Self {
        Self {
            target: desired.target.id.clone(),
            system: desired.target.system(),
            title: String::new(),
            identity: desired.target.live_identity(),
            approval: desired.target.approval,
            approved_plan: desired.target.approved_plan.clone(),
            suspended: desired.target.suspend,
            error: None,
            requests: 0,
            lineage: None,
            writes: 0,
            population: Population {
                desired: desired.scopes.len() + desired.apps.len(),
                ..Population::default()
            },
            unchanged: 0,
            changes: Vec::new(),
            skipped: Vec::new(),
            access: Access::default(),
            refusals: Vec::new(),
            diagnostics: Vec::new(),
            records: Vec::new(),
            held: Vec::new(),
            populations: Populations::default(),
            mode,
        }
    }

    /// The digest: over mode, live identity, the inventory and its count of writes, the changes with their preconditions,
    /// who gains and loses by them, and what the inventory would record.
    pub fn digest(&self) -> Digest {
        Digest::of_target(self)
    }

    /// The counts.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.changes)
    }

    /// Every refusal, those on changes included.
    pub fn all_refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.refusals
            .iter()
            .chain(self.changes.iter().flat_map(|c| &c.refusals))
    }
}

/// How long a vanished object's entry is kept.
const TOMBSTONE: SignedDuration = SignedDuration::from_hours(24);

/// How long a manifest that declared what another one held has it when that one lets go, without being read again.
const WANTED_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Plans one target: what to do so that `live` becomes what `desired` says, as far as `owned` and the rules allow.
pub fn plan_target(
    desired: &DesiredTarget,
    live: &Live,
    owned: &Owned,
    options: &PlanOptions,
) -> TargetPlan {
    let mut plan = TargetPlan::empty(desired, options.mode);
    plan.identity = Some(live.identity.clone());
    plan.title.clone_from(&live.title);
    plan.lineage.clone_from(&owned.lineage);
    plan.writes = owned.writes;
    let is_known = owned.known;
    let (owned, learned) = settle::settle(desired, live, owned, options.now);
    plan.records = learned;

    let context = Context {
        desired,
        live,
        owned: &owned,
        options,
    };
    let scopes = scopes::plan(&context, &mut plan);
    apps::plan(&context, &scopes, &mut plan);
    scopes::removals::delete(&context, &scopes, &mut plan);
    order(&mut plan);
    access::tell(&mut plan, live);
    plan.held = held(&context, &plan.records);

    let has_live = !live.scopes.is_empty()
        || live
            .apps
            .values()
            .any(|app| matches!(app, LiveApp::Present(_)));
    if !is_known {
        plan.records.insert(0, Record::Start);
        if has_live {
            new_inventory(options.new_inventory, &desired.target, &mut plan);
        }
    }
    plan
}

/// What a target's planners share.
struct Context<'a> {
    desired: &'a DesiredTarget,
    live: &'a Live,
    owned: &'a Owned,
    options: &'a PlanOptions,
}

impl Context<'_> {
    /// Why this run removes nothing on this target, if so.
    fn removal_gate(&self) -> Option<SkipReason> {
        match self.desired.target.policy {
            _ if self.options.mode == Mode::Apply => Some(SkipReason::NoDelete),
            Policy::UpsertOnly | Policy::CreateOnly | Policy::Observe => Some(SkipReason::NoDelete),
            Policy::Sync => self.options.removal_block,
        }
    }

    /// Why what a recorded manifest held is not removed, as far as its file goes.
    fn why_uncovered(&self, manifest: &ManifestRef) -> Option<SkipReason> {
        match self.options.coverage.of(&manifest.file) {
            Covered::Read | Covered::Gone => None,
            Covered::Lately => Some(SkipReason::DeletionDelayed),
            Covered::NotRead(NotRead::Invalid) => Some(SkipReason::IncompleteContributors),
            Covered::NotRead(NotRead::NotAllowed) => Some(SkipReason::NotAllowed),
            Covered::GoneOutside | Covered::NotRead(_) => Some(SkipReason::OtherSource),
        }
    }

    /// Why a role that a recorded manifest asked for is not taken out of its scope, as far as files go.
    fn why_asked_for(
        &self,
        scope: &ScopeName,
        role: &RoleName,
        by: &ManifestRef,
    ) -> Option<SkipReason> {
        let place = self.desired.target.live_identity();
        let coverage = &self.options.coverage;
        self.why_uncovered(by).or_else(|| {
            let is_asked_for = coverage.asks_for(place.as_ref(), (scope, role), by);
            is_asked_for.then_some(SkipReason::OtherSource)
        })
    }

    /// Whether a recorded manifest may hold nothing any more that another one declares, as far as its file goes.
    fn may_be_gone(&self, manifest: &ManifestRef) -> bool {
        let file = &manifest.file;
        file.is_standard_input() || self.options.coverage.of(file).may_hand_over()
    }

    /// What is to be recorded of a manifest that declares what another one holds; nothing where that, or the wish of yet
    /// another one, is known for less than a day: two of them would take turns for ever.
    fn want(&self, known: Option<&WantedBy>, source: &Source) -> Option<WantedBy> {
        let (source, at) = (source.manifest(), self.options.now);
        let is_known =
            known.is_some_and(|known| at.duration_since(known.at) < SignedDuration::from_hours(24));
        (!is_known).then_some(WantedBy { source, at })
    }

    /// The manifest that has what its holder lets go of: one that this run does not read, and that declared it lately.
    /// Nobody can look whether standard input declares it still, so that for it the time alone counts.
    fn heir<'w>(&self, wanted: Option<&'w WantedBy>) -> Option<&'w ManifestRef> {
        let is_open = |wanted: &&WantedBy| {
            let file = &wanted.source.file;
            self.options.now.duration_since(wanted.at) < WANTED_FOR
                && (file.is_standard_input() || !self.may_be_gone(&wanted.source))
        };
        wanted.filter(is_open).map(|wanted| &wanted.source)
    }

    fn held(&self, until: Option<Timestamp>) -> bool {
        until.is_some_and(|until| until > self.options.now)
    }

    /// The manifest that holds an object, where that is another one that may still declare it. When all manifests were read
    /// and it is among them, it does not declare the object any more, and the object is handed over.
    fn holder<'h>(
        &self,
        holder: Option<&'h ManifestRef>,
        source: &Source,
    ) -> Option<&'h ManifestRef> {
        let is_whole = self.options.removal_block.is_none();
        holder.filter(|holder| {
            let is_let_go = is_whole && self.may_be_gone(holder);
            !is_let_go && !holder.file.may_be(&source.file)
        })
    }

    /// The refusal for a manifest that declares what another one holds, if it does.
    fn conflict(
        &self,
        object: impl FnOnce() -> ObjectRef,
        holder: Option<&ManifestRef>,
        source: &Source,
    ) -> Option<Refusal> {
        let holder = self.holder(holder, source)?;
        let held_by = holder.file.beside(&source.file);
        let object = object();
        let (why, way_through) = if self.may_be_gone(holder) {
            let why = "of which this run does not know the whole";
            (why, WayThrough::MendManifests)
        } else {
            let manifest = Named::of(object.kind, source);
            let (theirs, file) = (&holder.file, &source.file);
            let way = match (theirs.repository(), file.repository()) {
                // The root of the disk holds what is other folders' own.
                (Some(old), Some(new))
                    if old != new && old.as_str() != "/" && theirs.path() == file.path() =>
                {
                    WayThrough::RenameRepository {
                        old: old.clone(),
                        new: new.clone(),
                        manifest,
                    }
                }
                _ => WayThrough::HandOver {
                    holder: held_by.clone(),
                    file: file.clone(),
                    manifest,
                },
            };
            ("which this run does not read", way)
        };
        let message = format!("{} is held by {held_by}, {why}", object.label);
        Some(Refusal::of(Rule::Conflict, &object, message, way_through))
    }
}

/// What the inventory says of what is declared, once it has learned the records.
fn held(context: &Context<'_>, records: &[Record]) -> Vec<Record> {
    let mut owned = Cow::Borrowed(context.owned);
    settle::take(records, &mut owned);
    let scopes = context.desired.scopes.keys().filter_map(|name| {
        let entry = owned.scopes.get(name)?.clone();
        Some(Record::Scope {
            name: name.clone(),
            entry,
            replaces: None,
        })
    });
    let apps: BTreeMap<&AppRef, &OwnedApp> = context
        .desired
        .apps
        .iter()
        .filter_map(|desired| {
            let app = match context.live.apps.get(&desired.app) {
                Some(LiveApp::Present(live)) => &live.app,
                _ => &desired.app,
            };
            Some((app, owned.apps.get(app)?))
        })
        .collect();
    let apps = apps.into_iter().map(|(app, entry)| Record::App {
        app: app.clone(),
        entry: entry.clone(),
    });
    scopes.chain(apps).collect()
}

fn new_inventory(choice: NewInventory, target: &Target, plan: &mut TargetPlan) {
    let message = format!(
        "the inventory does not know {}, so nothing there is managed yet, and what earlier runs made would never be deleted",
        plan.target
    );
    match choice {
        NewInventory::Allow => {}
        NewInventory::Warn => plan.diagnostics.push(
            Diagnostic::warning(codes::NEW_INVENTORY, message)
                .at(&target.source, "/metadata/name")
                .help("`apply` and `sync` ask for --new-inventory here, or for the inventory that knows this target (--inventory)"),
        ),
        NewInventory::Refuse => plan.refusals.push(Refusal::whole(
            Rule::NewInventory,
            message,
            WayThrough::StartInventory,
        )),
    }
}

/// Sorts the changes into the order in which they are made, moves the dependencies along, and keeps of the refusals of each
/// the strongest.
fn order(plan: &mut TargetPlan) {
    for change in &mut plan.changes {
        change.refusals.sort_by_key(|refusal| refusal.rule);
        change.refusals.truncate(1);
    }
    let mut places: Vec<usize> = (0..plan.changes.len()).collect();
    places.sort_by(|&a, &b| sort_key(&plan.changes[a]).cmp(&sort_key(&plan.changes[b])));
    let mut new_place = vec![0; places.len()];
    for (new, &old) in places.iter().enumerate() {
        new_place[old] = new;
    }
    let mut old: Vec<Option<PlannedChange>> = std::mem::take(&mut plan.changes)
        .into_iter()
        .map(Some)
        .collect();
    for place in places {
        if let Some(mut change) = old[place].take() {
            change.depends_on = change.depends_on.iter().map(|&on| new_place[on]).collect();
            plan.changes.push(change);
        }
    }
    plan.skipped
        .sort_by(|a, b| (&a.object, a.reason).cmp(&(&b.object, b.reason)));
    plan.refusals
        .sort_by(|a, b| (&a.object, a.rule).cmp(&(&b.object, b.rule)));
}

fn sort_key(change: &PlannedChange) -> (change::Level, u8, &str) {
    let within = match change.change {
        Change::RenameScope { .. } => 0,
        Change::CreateScope { .. } => 1,
        _ => 2,
    };
    (change.change.level(), within, &change.object.name)
}

impl ObjectRef {
    /// Kind and name, by which two plans' changes of one object are told to be of one object.
    pub fn key(&self) -> (ObjectKind, String) {
        (self.kind, self.name.clone())
    }

    fn scope(name: &crate::model::ScopeName, remote_id: Option<&RemoteId>) -> Self {
        Self {
            kind: ObjectKind::Scope,
            name: name.as_str().to_owned(),
            label: name.as_str().to_owned(),
            remote_id: remote_id.cloned(),
        }
    }

    fn app(app: &AppRef, name: Option<&str>) -> Self {
        let label = match (app, name) {
            (AppRef::OneLogin { app_id }, Some(name)) => format!("{name} ({app_id})"),
            _ => app.to_string(),
        };
        Self {
            kind: ObjectKind::AppScopeSet,
            name: app.path(),
            label,
            remote_id: None,
        }
    }
}
