//! Events: what changed, a few single ones a run and one that sums the run up. Nothing is told twice.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use super::status::{Reason, State, cut};
use crate::apply::{Outcome, TargetReport};
use crate::cluster::objects::{Key, Object};
use crate::cluster::watch::Store;
use crate::manifest::crd;
use crate::plan::ObjectRef;
use crate::plan::change::Change;
use crate::plan::guard::ApprovedTarget;

/// The most single events of one run.
const MOST: usize = 10;
/// How long the API server is waited for.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);
/// The most characters of an event's text; the API server takes 1,024 bytes.
const LONGEST: usize = 250;

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// The object; `None` is the Target.
    pub(super) about: Option<Key>,
    /// What was live, where no object of the cluster stands for it any more: without it the recorder takes the events of
    /// several for one that repeats, and keeps the first one's text.
    pub(super) related: Option<ObjectRef>,
    /// One word: `Created`, `Updated`, ...
    pub(super) reason: &'static str,
    /// A sentence.
    pub(super) note: String,
    /// Whether a person should look.
    pub(super) is_warning: bool,
}

/// What a run did, and which objects are in another state than before it.
pub(super) fn of_run(
    approved: &ApprovedTarget,
    report: Option<&TargetReport>,
    (before, after): (&BTreeMap<Key, Reason>, &BTreeMap<Key, State>),
) -> Vec<Told> {
    let mut told = Vec::new();
    let mut made: BTreeMap<&'static str, usize> = BTreeMap::new();
    let changes = approved.plan().changes.iter();
    let outcomes = report.into_iter().flat_map(|report| &report.outcomes);
    for (planned, outcome) in changes.zip(outcomes) {
        let about = planned
            .manifest
            .as_ref()
            .and_then(|source| Key::of(&source.file));
        let (reason, note, is_warning) = match outcome {
            Outcome::Done { .. } => (
                done_word(&planned.change),
                planned.object.label.clone(),
                false,
            ),
            Outcome::Failed(failure) | Outcome::Unknown(failure) => {
                // One that fails again as it did is no news.
                let was = about.as_ref().and_then(|key| before.get(key));
                if was == Some(&Reason::of_failure(failure)) {
                    continue;
                }
                let note = format!("{}: {}", planned.object.label, failure.message);
                ("Failed", note, true)
            }
            Outcome::Skipped(_) => continue,
        };
        *made.entry(reason).or_default() += 1;
        told.push(Told {
            related: about.is_none().then(|| planned.object.clone()),
            about,
            reason,
            note: cut(note, LONGEST),
            is_warning,
        });
    }
    for (key, state) in after {
        if before.get(key) == Some(&state.reason) {
            continue;
        }
        let Some(reason) = state_word(state.reason) else {
            continue;
        };
        *made.entry(reason).or_default() += 1;
        told.push(Told {
            about: Some(key.clone()),
            related: None,
            reason,
            note: cut(state.message.clone().unwrap_or_default(), LONGEST),
            is_warning: reason != "DriftDetected",
        });
    }
    if told.len() > MOST {
        told.truncate(MOST);
        let counts: Vec<String> = made
            .iter()
            .map(|(word, n)| format!("{word}: {n}"))
            .collect();
        told.push(Told {
            about: None,
            related: None,
            reason: "RunEnded",
            note: cut(counts.join(", "), LONGEST),
            is_warning: made.contains_key("Failed"),
        });
    }
    told
}

fn done_word(change: &Change) -> &'static str {
    match change {
        Change::CreateScope { .. } => "Created",
        Change::UpdateScope { .. } => "Updated",
        Change::RenameScope { .. } => "Renamed",
        Change::DeleteScope { .. } | Change::DetachApp { .. } => "Deleted",
        Change::AttachApp { .. } | Change::ReplaceAppScopes { .. } => "ListReplaced",
    }
}

/// The word for a state that is worth telling when it begins.
fn state_word(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Drifted => Some("DriftDetected"),
        Reason::RemovalsWithheld | Reason::ThresholdExceeded | Reason::ApprovalRequired => {
            Some("Withheld")
        }
        Reason::Conflict => Some("Refused"),
        _ => None,
    }
}

/// Sends events.
#[derive(Clone)]
pub(super) struct Events {
    recorder: Recorder,
    store: Store,
}

impl Events {
    /// Sends them as one process of the operator.
    pub(super) fn new(client: Client, store: Store, identity: &str) -> Self {
        let reporter = Reporter {
            controller: "scopeward".to_owned(),
            instance: Some(identity.to_owned()),
        };
        Self {
            recorder: Recorder::new(client, reporter),
            store,
        }
    }

    /// Tells what there is to tell. What cannot be told is no reason to stop.
    pub(super) async fn tell(&self, target: &Object, told: Vec<Told>) {
        for told in told {
            let about = told.about.as_ref().and_then(|key| self.store.get(key));
            let object = about.as_deref().unwrap_or(target);
            let event = Event {
                type_: if told.is_warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: told.reason.to_owned(),
                note: Some(told.note),
                action: "Reconcile".to_owned(),
                secondary: told.related.map(|related| ObjectReference {
                    kind: Some(<&str>::from(related.kind).to_owned()),
                    name: Some(related.name),
                    ..ObjectReference::default()
                }),
            };
            let reference = reference(object);
            let telling = self.recorder.publish(&event, &reference);
            match tokio::time::timeout(LONGEST_ANSWER, telling).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(target: "events", %error, "an event was not written");
                }
                // The others would wait in vain as well.
                Err(_) => return,
            }
        }
    }
}

fn reference(object: &Object) -> ObjectReference {
    ObjectReference {
        api_version: Some(crd::API_VERSION.to_owned()),
        kind: Some(object.key.kind.name().to_owned()),
        namespace: Some(object.key.namespace.clone()),
        name: Some(object.key.name.clone()),
        uid: Some(object.uid.clone()),
        ..ObjectReference::default()
    }
}
