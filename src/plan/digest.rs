//! The digest of a plan: the same changes have the same one in a pull request, on the command line and in a cluster.

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::access::Access;
use super::change::Change;
use super::{Mode, PlannedChange, TargetPlan};
use crate::model::{
    AppRef, DeletionPolicy, LastApplied, Lineage, LiveIdentity, Origin, OwnedApp, OwnedScope,
    Record, RemoteId, RoleName, ScopeName,
};

mod hash;

pub use hash::ChangeHash;

/// `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(String);

/// What a target's digest is over. The order of the fields does not matter: canonical JSON sorts them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Covered<'a> {
    mode: Mode,
    live_identity: Option<&'a LiveIdentity>,
    lineage: Option<&'a Lineage>,
    writes: u64,
    changes: Vec<CoveredChange<'a>>,
    access: &'a Access,
    held: Vec<CoveredRecord<'a>>,
}

#[derive(Serialize)]
struct CoveredChange<'a> {
    change: &'a Change,
    facts: &'a BTreeSet<String>,
    record: CoveredRecord<'a>,
}

/// What the inventory would record, but for places and times of planning: the same checkout elsewhere, a minute later,
/// comes to the same.
#[derive(Serialize)]
#[serde(untagged)]
enum CoveredRecord<'a> {
    Scope {
        name: &'a ScopeName,
        entry: Box<CoveredScope<'a>>,
        replaces: Option<&'a ScopeName>,
    },
    App {
        app: &'a AppRef,
        entry: CoveredApp<'a>,
    },
    /// Whatever else it is, it names nothing but its object.
    Other(&'a Record),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CoveredScope<'a> {
    origin: Origin,
    remote_id: Option<&'a RemoteId>,
    deletion_policy: DeletionPolicy,
    protected: bool,
    display_name: Option<&'a String>,
    description: Option<&'a String>,
    roles: Option<Vec<&'a RoleName>>,
    all_roles: bool,
    hold_until: Option<Timestamp>,
    renamed_from: &'a BTreeSet<ScopeName>,
    parked_for: Option<&'a ScopeName>,
    is_gone: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CoveredApp<'a> {
    origin: Origin,
    deletion_policy: DeletionPolicy,
    applied: &'a BTreeSet<ScopeName>,
    hold_until: Option<Timestamp>,
    is_gone: bool,
}

impl<'a> CoveredRecord<'a> {
    fn of(record: &'a Record) -> Self {
        match record {
            Record::Scope {
                name,
                entry,
                replaces,
            } => Self::Scope {
                name,
                entry: Box::new(CoveredScope::of(entry)),
                replaces: replaces.as_ref(),
            },
            Record::App { app, entry } => Self::App {
                app,
                entry: CoveredApp::of(entry),
            },
            other => Self::Other(other),
        }
    }
}

impl<'a> CoveredScope<'a> {
    fn of(entry: &'a OwnedScope) -> Self {
        let OwnedScope {
            origin,
            remote_id,
            source: _,
            deletion_policy,
            protected,
            applied,
            hold_until,
            renamed_from,
            parked_for,
            vanished_at,
            wanted_by: _,
        } = entry;
        let LastApplied {
            display_name,
            description,
            roles,
            all_roles,
        } = applied;
        Self {
            origin: *origin,
            remote_id: remote_id.as_ref(),
            deletion_policy: *deletion_policy,
            protected: *protected,
            display_name: display_name.as_ref(),
            description: description.as_ref(),
            roles: roles.as_ref().map(|roles| roles.keys().collect()),
            all_roles: *all_roles,
            hold_until: *hold_until,
            renamed_from,
            parked_for: parked_for.as_ref(),
            is_gone: vanished_at.is_some(),
        }
    }
}

impl<'a> CoveredApp<'a> {
    fn of(entry: &'a OwnedApp) -> Self {
        let OwnedApp {
            origin,
            source: _,
            deletion_policy,
            applied,
            hold_until,
            vanished_at,
            wanted_by: _,
        } = entry;
        Self {
            origin: *origin,
            deletion_policy: *deletion_policy,
            applied,
            hold_until: *hold_until,
            is_gone: vanished_at.is_some(),
        }
    }
}

impl Digest {
    /// Reads a digest that somebody passed.
    ///
    /// # Errors
    /// A sentence that says what a digest looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        if is_hex(hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{text}` is no digest: `sha256:` and 64 hexadecimal digits, as a plan's last line shows it"
            ))
        }
    }

    /// Borrows the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn of_target(plan: &TargetPlan) -> Self {
        Self::of(&Covered {
            mode: plan.mode,
            live_identity: plan.identity.as_ref(),
            // One that has sent nothing yet is as good as none: the run that starts it changes no plan.
            lineage: plan.lineage.as_ref().filter(|_| plan.writes > 0),
            writes: plan.writes,
            changes: plan
                .changes
                .iter()
                .map(|c| CoveredChange {
                    change: &c.change,
                    facts: &c.facts,
                    record: CoveredRecord::of(&c.record),
                })
                .collect(),
            access: &plan.access,
            held: plan.held.iter().map(CoveredRecord::of).collect(),
        })
    }

    pub(super) fn over_targets(targets: impl Iterator<Item = Self>) -> Self {
        Self::of(&targets.collect::<Vec<_>>())
    }

    fn of(value: &impl Serialize) -> Self {
        Self(format!("sha256:{}", sha256(value)))
    }
}

/// The hash of a value's canonical JSON.
fn sha256(value: &impl Serialize) -> String {
    let canonical = serde_json_canonicalizer::to_vec(value)
        .expect("a plan is plain data and always serialises");
    let hash = Bytes::copy_from_slice(&Sha256::digest(&canonical));
    format!("{hash:x}")
}

/// Whether a text is a hash as [`sha256`] writes it.
fn is_hex(text: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.len() == 64 && text.chars().all(is_digit)
}

impl TryFrom<String> for Digest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl TargetPlan {
    /// The hashes of its changes, in their order.
    pub fn change_hashes(&self) -> Vec<ChangeHash> {
        let changes = self.changes.iter();
        changes
            .map(|planned| ChangeHash::of(self, planned))
            .collect()
    }
}

impl PlannedChange {
    /// The digest of what the change depends on: the live state before it, and the facts beside.
    pub fn precondition(&self) -> Digest {
        #[derive(Serialize)]
        struct Precondition<'a> {
            before: serde_json::Value,
            facts: &'a BTreeSet<String>,
        }
        let mut change = serde_json::to_value(&self.change).unwrap_or_default();
        let before = change
            .get_mut("before")
            .map(serde_json::Value::take)
            .unwrap_or_default();
        Digest::of(&Precondition {
            before,
            facts: &self.facts,
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
