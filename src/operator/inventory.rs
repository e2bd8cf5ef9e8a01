//! The inventory of a Target's live system: opened as the operator, whose it is, and what is kept beside it of plans and
//! approvals.

use std::sync::Arc;

use serde_json::Value;

use super::status::Reason;
use super::{Context, World};
use crate::cluster::inventory::{ConfigMaps, name};
use crate::cluster::objects::{Key, Kind, Object};
use crate::inventory::blobs::BlobKey;
use crate::inventory::remote::{Holder, HolderKind, LeaseTerm, OperatorNotes, RemoteLedger};
use crate::manifest::crd::InventoryWitness;
use crate::model::{LiveIdentity, Populations, TargetId};
use crate::plan::approvals::ApprovalLog;

/// The annotation that lets a Target take the inventory of another cluster, by that one's UID.
const TAKE: &str = "scopeward.dev/take-inventory";

/// Opens the inventories as this process of the operator.
pub(super) fn open(context: &Context) -> RemoteLedger {
    let blobs = ConfigMaps::new(context.client.clone(), &context.namespace);
    let identity = context.settings.identity.clone();
    let transitions = context.leadership.borrow().transitions;
    let holder = Holder {
        holder: identity.clone(),
        kind: HolderKind::Operator,
        run: identity,
        lease: Some(LeaseTerm {
            name: context.settings.shard.lease(),
            transitions: u64::try_from(transitions).unwrap_or(0),
        }),
    };
    RemoteLedger::new(Arc::new(blobs), holder, Arc::clone(&context.settings.audit))
}

/// Why a Target may not use the inventory of its system, if so.
pub(super) fn refusal(
    context: &Context,
    world: &World,
    (object, identity): (&Object, &LiveIdentity),
    notes: &OperatorNotes,
) -> Option<(Reason, String)> {
    let own = &context.cluster_uid;
    if let Some(uid) = notes.cluster_uid.as_ref().filter(|uid| *uid != own)
        && object.annotation(TAKE) != Some(uid)
    {
        let message = format!(
            "the inventory was written in another cluster ({uid}): nothing is written; the annotation {TAKE}: {uid} takes it"
        );
        return Some((Reason::ForeignInventory, message));
    }
    let key = |target: &TargetId| Key {
        kind: Kind::Target,
        namespace: target.namespace.clone(),
        name: target.name.clone(),
    };
    let holder = notes.target.as_ref()?;
    let is_other = key(holder) != object.key;
    // One that cannot be used may lead there still; one that leads elsewhere by now has let go.
    let leads_elsewhere = world.targets.get(holder).is_some_and(|wanted| {
        let other = wanted.target.live_identity();
        other.is_some_and(|other| other != *identity)
    });
    let is_there = world.picture.objects.contains_key(&key(holder));
    (is_other && is_there && !leads_elsewhere).then(|| {
        let message = if holder.namespace == object.key.namespace {
            format!("the Target {holder} is the same live system, and was there first")
        } else {
            "another Target is the same live system, and was there first".to_owned()
        };
        (Reason::Conflict, message)
    })
}

/// Whether the inventory is what this Target has seen of it before.
pub(super) fn distrust(
    witness: Option<&InventoryWitness>,
    identity: &LiveIdentity,
    generation: Option<u64>,
) -> Option<Reason> {
    let witness = witness?;
    if witness.name != name(&BlobKey::head(identity)) {
        // The Target leads to another system since.
        return None;
    }

    match generation {
        None => Some(Reason::InventoryLost),
        Some(generation) if generation < witness.generation => Some(Reason::InventoryRolledBack),
        Some(_) => None,
    }
}

/// What is kept of plans and approvals.
pub(super) fn approvals(notes: &OperatorNotes) -> ApprovalLog {
    // What cannot be read approves nothing.
    let read = |values: &[Value]| Value::Array(values.to_vec());
    ApprovalLog {
        pending: serde_json::from_value(read(&notes.pending)).unwrap_or_default(),
        given: serde_json::from_value(read(&notes.approvals)).unwrap_or_default(),
    }
}

/// The populations that refusals which stand were measured against.
pub(super) fn frozen(notes: &OperatorNotes) -> Populations {
    let read = notes.frozen.clone().map(serde_json::from_value);
    read.and_then(Result::ok).unwrap_or_default()
}

/// Puts together what is to be kept.
pub(super) fn keep(
    notes: &mut OperatorNotes,
    (target, cluster_uid): (&TargetId, &str),
    log: &ApprovalLog,
    frozen: &Populations,
) {
    let values = |value: serde_json::Result<Value>| match value {
        Ok(Value::Array(values)) => values,
        _ => Vec::new(),
    };
    notes.cluster_uid = Some(cluster_uid.to_owned());
    notes.target = Some(target.clone());
    notes.pending = values(serde_json::to_value(&log.pending));
    notes.approvals = values(serde_json::to_value(&log.given));
    let is_empty = *frozen == Populations::default();
    notes.frozen = (!is_empty).then(|| serde_json::to_value(frozen).unwrap_or_default());
}

/// What is kept of an inventory that is not what it was.
pub(super) fn keep_distrust(notes: &mut OperatorNotes, distrust: Option<Reason>) {
    notes.distrust = distrust.map(|reason| reason.word().to_owned());
}

/// What was kept of that.
pub(super) fn known_distrust(notes: &OperatorNotes) -> Option<Reason> {
    match notes.distrust.as_deref()? {
        "InventoryRolledBack" => Some(Reason::InventoryRolledBack),
        _ => Some(Reason::InventoryLost),
    }
}

/// What a Target keeps in mind of its inventory.
pub(super) fn witness(identity: &LiveIdentity, generation: u64) -> InventoryWitness {
    InventoryWitness {
        name: name(&BlobKey::head(identity)),
        generation,
    }
}
