//! The head of a remote inventory: the one blob that changes, and that says what else there is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::blobs::{BlobKey, BlobName};
use super::super::snapshot::JournalLine;
use super::super::{InventoryError, snapshot};
use super::entries::{Entry, Part};
use crate::model::{Lineage, LiveIdentity, Repository, TargetId};

/// The format that is written.
const FORMAT: u32 = 1;
/// The formats that are read: those whose least reader is not above this.
const READER: u32 = 1;

/// The head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Head {
    pub(super) format: u32,
    /// Who is older than this cannot read it.
    pub(super) least_reader: u32,
    pub(super) lineage: Lineage,
    pub(super) identity: LiveIdentity,
    /// How often the head was written.
    pub(super) generation: u64,
    /// Random, anew with each write: what tells our own write from another one, whatever the store answered.
    pub(super) write_id: String,
    /// How many writes were sent to the live system.
    pub(super) writes: u64,
    /// The target that the identity was last reached by; none until something is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reached_by: Option<TargetId>,
    /// The repositories of what is recorded, each with the names that it had before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) repositories: BTreeMap<Repository, BTreeSet<Repository>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) claim: Option<Claim>,
    /// What is recorded, while it fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) entries: Vec<Entry>,
    /// Where it is recorded else, in the order of their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) parts: Vec<Part>,
    /// What happened since, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pieces: Vec<Piece>,
    /// What happened last, while it is little.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tail: Vec<JournalLine>,
    /// Parts and pieces that an earlier head named, and that may be there still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) obsolete: Vec<Obsolete>,
    #[serde(default, skip_serializing_if = "OperatorNotes::is_empty")]
    pub(super) operator: OperatorNotes,
    /// What a later version wrote beside these: carried along.
    #[serde(flatten)]
    pub(super) unknown: serde_json::Map<String, serde_json::Value>,
}

/// Who may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Who: user and host, or pod.
    pub holder: String,
    /// What that is.
    pub kind: HolderKind,
    /// The run.
    pub run: String,
    /// The lease that the holder was elected by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<LeaseTerm>,
    /// When it was taken, by the holder's clock: for people.
    pub since: Timestamp,
}

/// What holds a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "lowercase")]
pub enum HolderKind {
    /// A run of the command line.
    #[strum(serialize = "command line")]
    CommandLine,
    /// The operator.
    Operator,
}

/// One holder's time with a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseTerm {
    /// Which lease.
    pub name: String,
    /// How often it had changed hands: of two holders the one with fewer is the former.
    pub transitions: u64,
}

/// What the operator keeps beside the inventory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OperatorNotes {
    /// The UID of the `kube-system` namespace: which cluster it was written in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_uid: Option<String>,
    /// The Target that holds the live identity, where there are two of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetId>,
    /// The last pending plans.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<serde_json::Value>,
    /// Approvals, used ones included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<serde_json::Value>,
    /// What thresholds that stand were measured against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<serde_json::Value>,
    /// Why nothing is removed on the word of this inventory, until somebody approves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distrust: Option<String>,
}

impl OperatorNotes {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A piece of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Piece {
    #[serde(flatten)]
    pub(super) name: BlobName,
    /// How many bytes it has.
    pub(super) size: usize,
    pub(super) sha256: String,
}

/// A blob that is not needed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Obsolete {
    Part(BlobName),
    Piece(BlobName),
}

impl Obsolete {
    pub(super) fn key(self, head: &BlobKey) -> BlobKey {
        match self {
            Self::Part(name) => head.part(name),
            Self::Piece(name) => head.piece(name),
        }
    }
}

/// What is read first: whether the rest can be.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Preamble {
    format: u32,
    least_reader: u32,
    identity: LiveIdentity,
}

impl Head {
    /// One that is made now.
    pub(super) fn new(identity: &LiveIdentity) -> Self {
        Self {
            format: FORMAT,
            least_reader: FORMAT,
            lineage: snapshot::new_lineage(),
            identity: identity.clone(),
            generation: 0,
            write_id: String::new(),
            writes: 0,
            reached_by: None,
            repositories: BTreeMap::new(),
            claim: None,
            entries: Vec::new(),
            parts: Vec::new(),
            pieces: Vec::new(),
            tail: Vec::new(),
            obsolete: Vec::new(),
            operator: OperatorNotes::default(),
            unknown: serde_json::Map::new(),
        }
    }

    /// Reads one, and checks that it is this identity's.
    ///
    /// # Errors
    /// It is none, needs a newer reader, or is of another identity.
    pub(super) fn read(
        key: &BlobKey,
        identity: &LiveIdentity,
        bytes: &[u8],
    ) -> Result<Self, InventoryError> {
        let found = identity_of(key, bytes)?;
        if found != *identity {
            return Err(InventoryError::Foreign {
                name: key.to_string(),
                found,
                expected: identity.clone(),
            });
        }
        serde_json::from_slice(bytes).map_err(|error| unreadable(key, &error))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a head is plain data and always serialises")
    }

    /// The head that follows it.
    pub(super) fn next(&self) -> Self {
        Self {
            format: self.format.max(FORMAT),
            generation: self.generation + 1,
            write_id: uuid::Uuid::new_v4().simple().to_string(),
            ..self.clone()
        }
    }

    /// Whether both record the same: who holds it may differ.
    pub(super) fn records_the_same(&self, other: &Self) -> bool {
        let bare = |head: &Self| Self {
            generation: 0,
            write_id: String::new(),
            claim: None,
            obsolete: Vec::new(),
            ..head.clone()
        };
        bare(self) == bare(other)
    }

    /// How many bytes of journal there are beside it.
    pub(super) fn journal_size(&self) -> usize {
        self.pieces.iter().map(|piece| piece.size).sum()
    }

    pub(super) fn has_journal(&self) -> bool {
        !self.pieces.is_empty() || !self.tail.is_empty()
    }
}

/// Whose head it is.
///
/// # Errors
/// It is none, or needs a newer reader.
pub(super) fn identity_of(key: &BlobKey, bytes: &[u8]) -> Result<LiveIdentity, InventoryError> {
    let preamble: Preamble =
        serde_json::from_slice(bytes).map_err(|error| unreadable(key, &error))?;
    if preamble.least_reader > READER {
        return Err(InventoryError::Newer {
            name: key.to_string(),
            format: preamble.format,
        });
    }
    Ok(preamble.identity)
}

fn unreadable(key: &BlobKey, error: &serde_json::Error) -> InventoryError {
    InventoryError::Unreadable {
        name: key.to_string(),
        why: error.to_string(),
        source: None,
    }
}
