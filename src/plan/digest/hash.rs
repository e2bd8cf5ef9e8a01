//! The hash of one change: what an approval by changes goes by.
//!
//! It covers the change itself, what it rests on, who gains and loses by it, what the inventory would say of it, and which
//! rules stand against it with which limits. It covers neither the inventory's count of writes nor any other change: drift
//! elsewhere, and a sibling that was made meanwhile, leave it as it is. Nor does it cover which inventory that is: the hashes
//! are kept in the very inventory, and one that only starts has no name yet.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CoveredApp, CoveredRecord, CoveredScope, is_hex, sha256};
use crate::model::{Consumers, Intent, LiveIdentity, Origin};
use crate::plan::access::Access;
use crate::plan::change::Change;
use crate::plan::rule::Rule;
use crate::plan::{Mode, PlannedChange, TargetPlan};

/// 64 hexadecimal digits that tell one change of one live place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ChangeHash(String);

/// What a change's hash is over.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Covered<'a> {
    mode: Mode,
    live_identity: Option<&'a LiveIdentity>,
    change: &'a Change,
    facts: BTreeSet<&'a String>,
    access: &'a Access,
    origin: Option<Origin>,
    intent: Option<Value>,
    record: CoveredRecord<'a>,
    rules: Vec<(Rule, Option<u64>)>,
}

impl ChangeHash {
    /// The hash of a change of this plan.
    pub(in crate::plan) fn of(plan: &TargetPlan, planned: &PlannedChange) -> Self {
        let PlannedChange {
            change,
            object: _,
            manifest: _,
            reason: _,
            remark: _,
            facts: _,
            access,
            refusals,
            depends_on: _,
            removals: _,
            origin,
            intent,
            record,
        } = planned;
        let rules = refusals.iter();
        Self(sha256(&Covered {
            mode: plan.mode,
            live_identity: plan.identity.as_ref(),
            change,
            facts: own_facts(plan, planned),
            access,
            origin: *origin,
            intent: intent.as_ref().map(covered_intent),
            record: CoveredRecord::of(record),
            rules: rules.map(|refusal| (refusal.rule, refusal.limit)).collect(),
        }))
    }
}

/// The facts that a change rests on, but for apps that give up by another change of the plan what this one deletes: those
/// are gone once that one is made.
fn own_facts<'a>(plan: &TargetPlan, planned: &'a PlannedChange) -> BTreeSet<&'a String> {
    let apps = planned.given_up(plan).cloned().collect();
    let given_up = Consumers::Apps(apps).facts();
    planned
        .facts
        .iter()
        .filter(|fact| !given_up.contains(*fact))
        .collect()
}

/// What the inventory records before a change is sent, but for places.
fn covered_intent(intent: &Intent) -> Value {
    let mut covered = json(intent);
    let entry = match intent {
        Intent::CreateScope { entry, .. }
        | Intent::UpdateScope { entry, .. }
        | Intent::RenameScope { entry, .. } => json(&CoveredScope::of(entry)),
        Intent::SetAppScopes { entry, .. } => json(&CoveredApp::of(entry)),
        Intent::DeleteScope { .. } | Intent::DetachApp { .. } => return covered,
    };
    covered["entry"] = entry;
    covered
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("an intent is plain data and always serialises")
}

impl TryFrom<String> for ChangeHash {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_hex(&text) {
            Ok(Self(text))
        } else {
            Err(format!(
                "`{text}` is no hash of a change: 64 hexadecimal digits"
            ))
        }
    }
}

impl fmt::Display for ChangeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
