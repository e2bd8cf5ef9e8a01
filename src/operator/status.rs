//! What the operator says of objects and Targets: pure, and never read back as the truth.
//!
//! kstatus's rules hold: `Ready` says that live is as declared, `Reconciling` that the operator goes on by itself, `Stalled`
//! that a person must act; at most one of the last two stands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use strum::{EnumString, IntoStaticStr};

use crate::apply::{Outcome, TargetReport};
use crate::manifest::cluster::{Fault, Unusable};
use crate::manifest::crd::{
    Condition, Counts, ObjectState, ObjectStatus, TargetStatus, Withheld, WithheldItem,
};
use crate::model::{DesiredTarget, Owned, ScopeName, SourceFile, TargetId};
use crate::plan::guard::ApprovedTarget;
use crate::plan::rule::{Refusal, Rule, WayThrough};
use crate::plan::{Failure, ObjectKind, ObjectRef, SkipReason};

/// The most characters of a message.
const LONGEST: usize = 1024;
/// The most characters of a message that a system wrote.
pub(super) const LONGEST_OF_A_SERVER: usize = 256;
/// How many withheld things are named.
const SHOWN: usize = 20;

/// Why something is as it is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, EnumString)]
pub(super) enum Reason {
    /// It is as declared.
    Synced,
    /// Removals wait or are stopped, and everything else is as declared.
    RemovalsWithheld,
    /// A contributor cannot be used, so that nothing of it is removed.
    IncompleteContributors,
    /// It is on hold.
    Held,
    /// Its Target says `suspend`.
    Suspended,
    /// The Target's policy does not allow the write.
    Policy,
    /// It changed live, which is only reported.
    Drifted,
    /// It goes on in the next slice.
    InProgress,
    /// What it needs was not done.
    DependencyFailed,
    /// It moved while it was written, and is looked at again.
    Moved,
    /// The system is not reached.
    Unreachable,
    /// The system asks for fewer requests.
    RateLimited,
    /// The Target it refers to is not ready.
    TargetNotReady,
    /// What it refers to cannot be used.
    ReferenceNotUsable,
    /// The watches do not see everything.
    ObserveIncomplete,
    /// The system refused it.
    Failed,
    /// The inventory is in use by somebody else.
    InventoryInUse,
    /// The inventory cannot be read or written.
    InventoryUnavailable,
    /// What it refers to is not there.
    ReferenceNotFound,
    /// The credential is missing or wrong.
    Unauthenticated,
    /// A plan waits for somebody's word.
    ApprovalRequired,
    /// The approved plan is not this one.
    PlanStale,
    /// Too much would be removed at once.
    ThresholdExceeded,
    /// Somebody else holds it.
    Conflict,
    /// The Target does not let it in.
    NotAllowed,
    /// It says something that cannot be.
    InvalidSpec,
    /// The inventory's head is gone.
    InventoryLost,
    /// The inventory is older than it was.
    InventoryRolledBack,
    /// The inventory is another cluster's.
    ForeignInventory,
}

impl Reason {
    /// Its word.
    pub(super) fn word(self) -> &'static str {
        self.into()
    }

    /// Whether a person must act.
    pub(super) fn is_stalled(self) -> bool {
        self >= Self::ReferenceNotFound
    }

    /// Whether the operator goes on by itself.
    fn is_reconciling(self) -> bool {
        matches!(
            self,
            Self::InProgress
                | Self::DependencyFailed
                | Self::Moved
                | Self::Unreachable
                | Self::RateLimited
                | Self::TargetNotReady
                | Self::ReferenceNotUsable
                | Self::ObserveIncomplete
                | Self::Failed
                | Self::InventoryInUse
                | Self::InventoryUnavailable
        )
    }

    fn of_skip(reason: SkipReason) -> Self {
        match reason {
            SkipReason::Held => Self::Held,
            SkipReason::Policy => Self::Policy,
            SkipReason::Drift => Self::Drifted,
            SkipReason::DependencyFailed | SkipReason::RenameBlocked => Self::DependencyFailed,
            SkipReason::Stale => Self::Moved,
            SkipReason::Interrupted | SkipReason::NextSlice => Self::InProgress,
            SkipReason::Refused => Self::ApprovalRequired,
            SkipReason::IncompleteManifests | SkipReason::IncompleteContributors => {
                Self::IncompleteContributors
            }
            SkipReason::ObserveIncomplete => Self::ObserveIncomplete,
            SkipReason::Duplicate | SkipReason::Inherited => Self::Failed,
            SkipReason::Unmanaged
            | SkipReason::Matched
            | SkipReason::NoDelete
            | SkipReason::OtherSource
            | SkipReason::Moved
            | SkipReason::Selection
            | SkipReason::UnknownRepository
            | SkipReason::UnreadTarget
            | SkipReason::NotAllowed
            | SkipReason::DeletionDelayed
            | SkipReason::NamespaceTerminating
            | SkipReason::Orphaned => Self::RemovalsWithheld,
        }
    }

    fn of_rule(rule: Rule) -> Self {
        match rule {
            Rule::Conflict | Rule::NameTaken | Rule::AdoptionNever => Self::Conflict,
            Rule::Protected | Rule::InUse => Self::RemovalsWithheld,
            Rule::MaxRemovals | Rule::MaxRemovalPercent | Rule::MoreThanHalf => {
                Self::ThresholdExceeded
            }
            Rule::NewInventory => Self::InventoryLost,
            Rule::OpensToAll
            | Rule::Takeover
            | Rule::FirstContact
            | Rule::ForeignScopes
            | Rule::LastEntry
            | Rule::UnmanagedConsumers
            | Rule::ManualApproval => Self::ApprovalRequired,
        }
    }

    /// The word for what a system or a credential says.
    pub(super) fn of_failure(failure: &Failure) -> Self {
        match failure.reason {
            "unauthorized" | "credential" => Self::Unauthenticated,
            "configuration" => Self::InvalidSpec,
            "rate_limited" => Self::RateLimited,
            "transport" | "timeout" | "certificate" => Self::Unreachable,
            "observe_incomplete" | "unexpected_answer" | "too_large" => Self::ObserveIncomplete,
            "interrupted" => Self::InProgress,
            "inventory" => Self::InventoryUnavailable,
            _ => Self::Failed,
        }
    }
}

/// The state of an object on one Target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) reason: Reason,
    pub(super) message: Option<String>,
    /// Whether live is as declared.
    pub(super) is_ready: bool,
    pub(super) live_name: Option<String>,
    pub(super) remote_id: Option<String>,
    /// The generation that it speaks of.
    pub(super) generation: i64,
}

impl State {
    /// Something that keeps an object from being as declared.
    pub(super) fn short(reason: Reason, message: impl Into<String>, generation: i64) -> Self {
        Self {
            reason,
            message: Some(cut(message.into(), LONGEST)),
            is_ready: false,
            live_name: None,
            remote_id: None,
            generation,
        }
    }

    /// An object that cannot be used.
    /// `is_new` says that what it refers to may still be on its way.
    pub(super) fn unusable(unusable: &Unusable, is_new: bool, generation: i64) -> Self {
        let reason = match unusable.fault {
            Fault::ReferenceNotFound if is_new => Reason::ReferenceNotUsable,
            Fault::InvalidSpec => Reason::InvalidSpec,
            Fault::NotAllowed => Reason::NotAllowed,
            Fault::Conflict => Reason::Conflict,
            Fault::ReferenceNotFound => Reason::ReferenceNotFound,
        };
        Self::short(reason, unusable.message.clone(), generation)
    }

    /// What another shard said of an object on one of its Targets; `None` where that cannot be read.
    pub(super) fn read(said: &ObjectState, generation: i64) -> Option<Self> {
        Some(Self {
            reason: said.state.parse().ok()?,
            message: said.message.clone(),
            is_ready: said.ready,
            live_name: said.live_name.clone(),
            remote_id: said.remote_id.clone(),
            generation: said.observed_generation.unwrap_or(generation),
        })
    }

    fn say(&mut self, reason: Reason, message: String, is_ready: bool) {
        if reason > self.reason {
            self.reason = reason;
            self.message = Some(cut(message, LONGEST));
        }
        self.is_ready &= is_ready;
    }
}

/// What a run over a Target found and did.
pub(super) struct Ran<'a> {
    pub(super) desired: &'a DesiredTarget,
    pub(super) approved: &'a ApprovedTarget,
    /// What became of the changes; `None` where nothing was to be written.
    pub(super) report: Option<&'a TargetReport>,
    pub(super) owned: &'a Owned,
}

impl Ran<'_> {
    /// The state of every object that is declared on the Target.
    pub(super) fn states(
        &self,
        generation: impl Fn(&SourceFile) -> i64,
    ) -> BTreeMap<SourceFile, State> {
        let mut scopes: BTreeMap<&str, (&SourceFile, State)> = BTreeMap::new();
        for (name, scope) in &self.desired.scopes {
            let file = &scope.source.file;
            let entry = self.owned.scopes.get(name);
            let id = entry.and_then(|entry| entry.remote_id.as_ref());
            let state = State {
                reason: Reason::Synced,
                message: None,
                is_ready: true,
                live_name: Some(name.to_string()),
                remote_id: id.map(ToString::to_string),
                generation: generation(file),
            };
            scopes.insert(name.as_str(), (file, state));
        }
        let mut apps: BTreeMap<String, (&SourceFile, State)> = BTreeMap::new();
        for app in &self.desired.apps {
            let state = State {
                reason: Reason::Synced,
                message: None,
                is_ready: true,
                live_name: Some(app.app.to_string()),
                remote_id: None,
                generation: generation(&app.source.file),
            };
            apps.insert(app.app.to_string(), (&app.source.file, state));
        }
        let mut by_file: BTreeMap<SourceFile, State> = apps
            .into_values()
            .chain(scopes.into_values())
            .map(|(file, state)| (file.clone(), state))
            .collect();
        self.tell(&mut by_file);
        self.tell_bindings(&mut by_file, generation);
        by_file
    }

    /// Says what keeps each object from being as declared.
    fn tell(&self, states: &mut BTreeMap<SourceFile, State>) {
        let plan = self.approved.plan();
        let apps = self.apps();
        for (index, planned) in plan.changes.iter().enumerate() {
            let Some(file) = planned.manifest.as_ref().map(|source| &source.file) else {
                continue;
            };
            let Some(state) = states.get_mut(file) else {
                continue;
            };
            if let Some(refusal) = self.approved.refusal_of(index) {
                state.say(
                    Reason::of_rule(refusal.rule),
                    own_refusal_words(refusal),
                    false,
                );
            }
            let outcome = self.report.and_then(|report| report.outcomes.get(index));
            let withheld = self.approved.why_withheld(index).map(Outcome::Skipped);
            match outcome.or(withheld.as_ref()) {
                Some(Outcome::Done { .. }) => {}
                Some(Outcome::Failed(failure) | Outcome::Unknown(failure)) => {
                    state.say(Reason::of_failure(failure), failure_words(failure), false);
                }
                Some(Outcome::Skipped(reason)) => {
                    state.say(
                        Reason::of_skip(*reason),
                        skip_words(*reason).to_owned(),
                        false,
                    );
                }
                None => state.say(Reason::InProgress, "it is planned".to_owned(), false),
            }
        }
        for skip in &plan.skipped {
            let Some(state) = self
                .file_of(&skip.object, &apps)
                .and_then(|file| states.get_mut(file))
            else {
                continue;
            };
            let mut message = skip_words(skip.reason).to_owned();
            if !skip.entries.is_empty() {
                message = format!("{}: {message}", skip.entries.join(", "));
            }
            let is_about_entries = !skip.entries.is_empty() && skip.reason != SkipReason::Drift;
            let mut reason = Reason::of_skip(skip.reason);
            if is_about_entries
                && reason < Reason::InProgress
                && reason != Reason::IncompleteContributors
            {
                reason = Reason::RemovalsWithheld;
            }
            state.say(reason, message, is_about_entries);
        }
        for refusal in plan.refusals.iter().chain(self.approved.refusals()) {
            let object = refusal.object.as_ref();
            let file = object.and_then(|object| self.file_of(object, &apps));
            if let Some(state) = file.and_then(|file| states.get_mut(file)) {
                state.say(
                    Reason::of_rule(refusal.rule),
                    own_refusal_words(refusal),
                    false,
                );
            }
        }
        for finding in plan.diagnostics.iter().filter(|finding| finding.is_error()) {
            if let Some(state) = finding.file.as_ref().and_then(|file| states.get_mut(file)) {
                state.say(Reason::Failed, finding.message.clone(), false);
            }
        }
        let remaining = self.report.and_then(|report| report.remaining.as_ref());
        for planned in remaining.into_iter().flat_map(|plan| &plan.changes) {
            let file = planned.manifest.as_ref().map(|source| &source.file);
            if let Some(state) = file.and_then(|file| states.get_mut(file)) {
                let message = "the system does not show it as it was written yet".to_owned();
                state.say(Reason::InProgress, message, false);
            }
        }
    }

    /// A binding is as far as its Scope is.
    fn tell_bindings(
        &self,
        states: &mut BTreeMap<SourceFile, State>,
        generation: impl Fn(&SourceFile) -> i64,
    ) {
        let mut bindings = BTreeMap::new();
        for scope in self.desired.scopes.values() {
            let Some(state) = states.get(&scope.source.file) else {
                continue;
            };
            let sources = scope.roles.entries.values().flatten();
            for by in sources.filter(|by| by.file != scope.source.file) {
                let state = State {
                    generation: generation(&by.file),
                    ..state.clone()
                };
                bindings.insert(by.file.clone(), state);
            }
        }
        states.extend(bindings);
    }

    /// The apps that are declared, by how plans name them.
    fn apps(&self) -> BTreeMap<String, &SourceFile> {
        let apps = self.desired.apps.iter();
        apps.map(|app| (app.app.to_string(), &app.source.file))
            .collect()
    }

    /// The declared object that a plan speaks of.
    fn file_of<'s>(
        &'s self,
        object: &ObjectRef,
        apps: &BTreeMap<String, &'s SourceFile>,
    ) -> Option<&'s SourceFile> {
        match object.kind {
            ObjectKind::Scope => {
                let name = ScopeName::observed(&object.name);
                let scope = self.desired.scopes.get(&name)?;
                Some(&scope.source.file)
            }
            ObjectKind::AppScopeSet => apps.get(&object.name).copied(),
        }
    }

    /// What is not removed or not written, and why.
    pub(super) fn withheld(&self) -> Withheld {
        let plan = self.approved.plan();
        let mut items = Vec::new();
        let item = |object: &ObjectRef, reason: Reason, message: String| WithheldItem {
            object: cut(
                format!("{} {}", <&str>::from(object.kind), object.label),
                512,
            ),
            reason: reason.word().to_owned(),
            message: cut(message, LONGEST),
        };
        for (index, planned) in plan.changes.iter().enumerate() {
            let Some(reason) = self.approved.why_withheld(index) else {
                continue;
            };
            match self.approved.refusal_of(index) {
                Some(refusal) => items.push(item(
                    &planned.object,
                    Reason::of_rule(refusal.rule),
                    refusal_words(refusal),
                )),
                None => items.push(item(
                    &planned.object,
                    Reason::of_skip(reason),
                    skip_words(reason).to_owned(),
                )),
            }
        }
        for refusal in &plan.refusals {
            if let Some(object) = &refusal.object {
                items.push(item(
                    object,
                    Reason::of_rule(refusal.rule),
                    refusal_words(refusal),
                ));
            }
        }
        for skip in &plan.skipped {
            let is_listed = !matches!(
                skip.reason,
                SkipReason::Unmanaged | SkipReason::Orphaned | SkipReason::Inherited
            );
            if is_listed {
                let mut message = skip_words(skip.reason).to_owned();
                if !skip.entries.is_empty() {
                    message = format!("{}: {message}", skip.entries.join(", "));
                }
                items.push(item(&skip.object, Reason::of_skip(skip.reason), message));
            }
        }
        let count = items.len() as u64;
        items.truncate(SHOWN);
        Withheld { count, items }
    }

    /// Whether a removal waits for its time.
    pub(super) fn is_delayed(&self) -> bool {
        let mut skipped = self.approved.plan().skipped.iter();
        skipped.any(|skip| skip.reason == SkipReason::DeletionDelayed)
    }

    /// How many objects there are.
    pub(super) fn counts(&self) -> Counts {
        let drifted = self.approved.plan().skipped.iter();
        Counts {
            scopes: self.desired.scopes.len() as u64,
            app_scope_sets: self.desired.apps.len() as u64,
            owned: (self.owned.scopes.len() + self.owned.apps.len()) as u64,
            drifted: drifted
                .filter(|skip| skip.reason == SkipReason::Drift)
                .count() as u64,
        }
    }

    /// What is left of the run, at its strongest.
    pub(super) fn shortfall(&self) -> Option<(Reason, String)> {
        let plan = self.approved.plan();
        if let Some(error) = self
            .report
            .and_then(|report| report.error.as_ref())
            .or(plan.error.as_ref())
        {
            return Some((Reason::of_failure(error), failure_words(error)));
        }
        let mut all = Vec::new();
        for refusal in self.approved.refusals() {
            all.push((Reason::of_rule(refusal.rule), refusal_words(refusal)));
        }
        for outcome in self.report.into_iter().flat_map(|report| &report.outcomes) {
            match outcome {
                // The refusals above say more of what is refused.
                Outcome::Done { .. } | Outcome::Skipped(SkipReason::Refused) => {}
                Outcome::Failed(failure) | Outcome::Unknown(failure) => {
                    all.push((Reason::of_failure(failure), failure_words(failure)));
                }
                Outcome::Skipped(reason) => {
                    all.push((Reason::of_skip(*reason), skip_words(*reason).to_owned()));
                }
            }
        }
        for skip in &plan.skipped {
            let is_told = !matches!(
                skip.reason,
                SkipReason::Unmanaged | SkipReason::Orphaned | SkipReason::Matched
            );
            if is_told {
                let message = format!("{}: {}", skip.object.label, skip_words(skip.reason));
                all.push((Reason::of_skip(skip.reason), message));
            }
        }
        all.into_iter().max_by_key(|(reason, _)| *reason)
    }
}

/// What would be removed of a suspended Target, as far as its inventory was known before.
pub(super) fn suspended(owned: &Owned, is_gone: impl Fn(&SourceFile) -> bool) -> Option<Withheld> {
    let scopes = owned.scopes.iter();
    let scopes = scopes.map(|(name, entry)| ("Scope", name.to_string(), &entry.source.file));
    let apps = owned.apps.iter();
    let apps = apps.map(|(app, entry)| ("AppScopeSet", app.to_string(), &entry.source.file));
    let gone = scopes.chain(apps).filter(|(.., file)| is_gone(file));
    let items: Vec<WithheldItem> = gone
        .map(|(kind, name, _)| WithheldItem {
            object: cut(format!("{kind} {name}"), 512),
            reason: Reason::Suspended.word().to_owned(),
            message: "its manifest is gone, and spec.suspend keeps it: bring the manifest back, or take `suspend` away".to_owned(),
        })
        .collect();
    let count = items.len() as u64;
    let items = items.into_iter().take(SHOWN).collect();
    (count > 0).then_some(Withheld { count, items })
}

/// The status of an object, from its states on its Targets.
pub(super) fn object(
    states: &BTreeMap<TargetId, State>,
    before: &[Condition],
    generation: i64,
    now: Timestamp,
) -> ObjectStatus {
    let worst = states.values().max_by_key(|state| state.reason);
    let observed = states.values().map(|state| state.generation).min();
    let observed = observed.unwrap_or(generation);
    let reason = worst.map_or(Reason::Synced, |state| state.reason);
    let all = || match states.len() {
        1 => AS_DECLARED.to_owned(),
        n => format!("live is as declared on {n} targets"),
    };
    let message = worst.and_then(|state| state.message.clone());
    let is_ready = states.values().all(|state| state.is_ready);
    let verdict = Verdict {
        reason,
        message: message.unwrap_or_else(all),
        is_ready,
        is_drifted: states.values().any(|state| state.reason == Reason::Drifted),
        ready: AS_DECLARED,
    };
    ObjectStatus {
        observed_generation: Some(observed),
        conditions: verdict.conditions(before, observed, now),
        targets: states
            .iter()
            .map(|(target, state)| ObjectState {
                namespace: target.namespace.clone(),
                name: target.name.clone(),
                live_name: state.live_name.clone(),
                remote_id: state.remote_id.clone(),
                state: state.reason.word().to_owned(),
                ready: state.is_ready,
                observed_generation: Some(state.generation),
                message: state.message.clone(),
            })
            .collect(),
    }
}

/// The status of an object that counts for nothing.
pub(super) fn of_fault(fault: State, before: &[Condition], now: Timestamp) -> ObjectStatus {
    let generation = fault.generation;
    let nowhere = TargetId {
        namespace: String::new(),
        name: String::new(),
    };
    ObjectStatus {
        targets: Vec::new(),
        ..object(&[(nowhere, fault)].into(), before, generation, now)
    }
}

/// What a Target is told of itself.
pub(super) struct Verdict {
    pub(super) reason: Reason,
    pub(super) message: String,
    pub(super) is_ready: bool,
    pub(super) is_drifted: bool,
    /// What `Ready` says where it is true.
    pub(super) ready: &'static str,
}

/// What a Target that is ready says, whatever its objects are.
pub(super) const REACHED: &str = "the system is reached, and the inventory is good";
/// What an object that is ready says.
const AS_DECLARED: &str = "live is as declared";

impl Verdict {
    /// The conditions, each since it has its present status.
    pub(super) fn conditions(
        &self,
        before: &[Condition],
        generation: i64,
        now: Timestamp,
    ) -> Vec<Condition> {
        let word = |is: bool| if is { "True" } else { "False" };
        let is_synced = self.reason == Reason::Synced;
        let ready_reason = if self.is_ready {
            Reason::Synced
        } else {
            self.reason
        };
        let ready_message = if self.is_ready {
            self.ready.to_owned()
        } else {
            self.message.clone()
        };
        let drifted = if self.is_drifted {
            "ChangedLive"
        } else {
            "AsApplied"
        };
        let mut all = vec![
            (
                "Ready",
                word(self.is_ready),
                ready_reason.word(),
                ready_message,
            ),
            (
                "Synced",
                word(is_synced),
                self.reason.word(),
                self.message.clone(),
            ),
            (
                "Drifted",
                word(self.is_drifted),
                drifted,
                if self.is_drifted {
                    self.message.clone()
                } else {
                    "nothing changed behind the manifests".to_owned()
                },
            ),
        ];
        if self.reason.is_stalled() {
            all.push(("Stalled", "True", self.reason.word(), self.message.clone()));
        } else if self.reason.is_reconciling() {
            all.push((
                "Reconciling",
                "True",
                self.reason.word(),
                self.message.clone(),
            ));
        }
        let condition = |(kind, status, reason, message): (&str, &str, &str, String)| {
            let known = before.iter().find(|known| known.type_ == kind);
            let since = known
                .filter(|known| known.status == status)
                .map(|known| known.last_transition_time.clone());
            Condition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                message: cut(message, LONGEST),
                last_transition_time: since.unwrap_or_else(|| seconds(now)),
                observed_generation: Some(generation),
            }
        };
        all.into_iter().map(condition).collect()
    }
}

/// A Target's status of which only the conditions are known.
pub(super) fn target(
    verdict: &Verdict,
    before: &TargetStatus,
    generation: i64,
    now: Timestamp,
) -> TargetStatus {
    TargetStatus {
        observed_generation: Some(generation),
        conditions: verdict.conditions(&before.conditions, generation, now),
        ..before.clone()
    }
}

/// A moment as Kubernetes writes it.
pub(super) fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A text that is not longer than that, by characters.
pub(super) fn cut(text: String, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text;
    }
    let mut cut: String = text.chars().take(longest - 1).collect();
    cut.push('…');
    cut
}

fn failure_words(failure: &Failure) -> String {
    let mut words = cut(failure.message.clone(), LONGEST_OF_A_SERVER);
    if let Some(help) = &failure.help {
        words.push_str("; ");
        words.push_str(help);
    }
    words
}

/// What stops something, and the way out of it.
fn refusal_words(refusal: &Refusal) -> String {
    let rule: &str = refusal.rule.into();
    format!(
        "{rule}: {}; {}",
        refusal.message,
        way_out(&refusal.way_through)
    )
}

/// The same for the object's own status, which names nothing of another namespace.
fn own_refusal_words(refusal: &Refusal) -> String {
    match refusal.rule {
        Rule::Conflict => {
            "conflict: another manifest declared it first and holds it; it is handed over when that one lets go".to_owned()
        }
        _ => refusal_words(refusal),
    }
}

/// What a person does about a refusal, in a cluster.
fn way_out(way: &WayThrough) -> String {
    let text = match way {
        WayThrough::Adopt(_) | WayThrough::Review => {
            "approve it: write the digest of status.pendingPlan into spec.approvedPlan of the Target"
        }
        WayThrough::AllowAdoption => {
            "set another `adoption` on the Target, or take the manifest away"
        }
        WayThrough::ClearName { name, .. } => {
            return format!("clear the name {name} in the system, or take the rename back");
        }
        WayThrough::HandOver { .. } | WayThrough::RenameRepository { .. } => {
            "take one of the two manifests away"
        }
        WayThrough::MendManifests => "mend the manifests that cannot be used",
        WayThrough::BringBack => {
            "bring the manifest back, or let the live one go with `scopeward release`"
        }
        WayThrough::KeepRole => "keep a role, or approve it in spec.approvedPlan of the Target",
        WayThrough::KeepScope => "keep a scope, or say `allowEmpty: true`",
        WayThrough::DeclareForeign => "declare what is there, or set another `foreignScopes`",
        WayThrough::FreeConsumers => {
            "take it from those who use it, or approve it in spec.approvedPlan of the Target"
        }
        WayThrough::FreeOperations => "take it out of the APIs that require it",
        WayThrough::StartInventory => "approve it in spec.approvedPlan of the Target",
        WayThrough::Approve(digest) => {
            return format!("spec.approvedPlan: {digest} approves it");
        }
    };
    text.to_owned()
}

fn skip_words(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Matched => {
            "it was found and not made here, so it stays; `scopeward release` lets it go"
        }
        SkipReason::NoDelete | SkipReason::Policy => "the Target's policy does not allow it",
        SkipReason::OtherSource => "a manifest that cannot be used asked for it",
        SkipReason::IncompleteManifests | SkipReason::IncompleteContributors => {
            "a contributor cannot be used"
        }
        SkipReason::NotAllowed => "the Target does not let the manifest in that it came from",
        SkipReason::DeletionDelayed => "its manifest changed only lately",
        SkipReason::ObserveIncomplete => "the cluster was not seen as a whole",
        SkipReason::NamespaceTerminating => "the namespace of the Target is being deleted",
        SkipReason::NextSlice => "it goes on in the next slice",
        SkipReason::Held => "scopeward.dev/hold-until freezes it",
        SkipReason::Drift => "it changed live, and the Target says `drift: Report`",
        SkipReason::Duplicate => "the system lists it more than once",
        SkipReason::Inherited => "the system has it from a parent configuration",
        SkipReason::RenameBlocked => "it waits for a rename",
        SkipReason::DependencyFailed => "what it needs was not done",
        SkipReason::Stale => "it moved since it was planned, and is looked at again",
        SkipReason::Interrupted => "it was not sent yet",
        SkipReason::Refused => "a safety rule stops it",
        SkipReason::Orphaned => "deletionPolicy: Orphan; it stays",
        SkipReason::Unmanaged => "nobody declares it",
        SkipReason::Moved => "another manifest declares it",
        SkipReason::Selection => "the run is narrowed",
        SkipReason::UnknownRepository => "the repository has no name that other machines know",
        SkipReason::UnreadTarget => "another Target may be this place",
    }
}
