//! The digest of a plan: the same changes have the same one in a pull request, on the command line and in a cluster.

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Mode, PlannedChange, TargetPlan};
use crate::model::LiveIdentity;
use crate::plan::change::Change;

/// `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Digest(String);

/// What a target's digest is over. The order of the fields does not matter: canonical JSON sorts them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Covered<'a> {
    mode: Mode,
    live_identity: Option<&'a LiveIdentity>,
    writes: u64,
    changes: Vec<CoveredChange<'a>>,
}

#[derive(Serialize)]
struct CoveredChange<'a> {
    change: &'a Change,
    facts: &'a std::collections::BTreeSet<String>,
}

impl Digest {
    /// Reads a digest that somebody passed.
    ///
    /// # Errors
    /// A sentence that says what a digest looks like.
    pub fn parse(text: &str) -> Result<Self, String> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() == 64
            && hex
                .chars()
                .all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
        {
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
            writes: plan.writes,
            changes: plan
                .changes
                .iter()
                .map(|c| CoveredChange {
                    change: &c.change,
                    facts: &c.facts,
                })
                .collect(),
        })
    }

    pub(super) fn over_targets(targets: impl Iterator<Item = Self>) -> Self {
        Self::of(&targets.collect::<Vec<_>>())
    }

    fn of(value: &impl Serialize) -> Self {
        let canonical = serde_json_canonicalizer::to_vec(value)
            .expect("a plan is plain data and always serialises");
        let hash = Bytes::copy_from_slice(&Sha256::digest(&canonical));
        Self(format!("sha256:{hash:x}"))
    }
}

impl PlannedChange {
    /// The digest of what the change depends on: the live state before it, and the facts beside.
    pub fn precondition(&self) -> Digest {
        #[derive(Serialize)]
        struct Precondition<'a> {
            before: serde_json::Value,
            facts: &'a std::collections::BTreeSet<String>,
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
