//! The targets of a run beside each other: those that turn out to be one live place, those that may be, and what the
//! inventory holds of places that no Target leads to.
//!
//! A Target's manifest tells what it is, but for a OneLogin server that goes by its resource identifier: only a reading tells
//! which server that is. Until then it may be the place of any other Target of its account.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::target::canonical;
use crate::model::{LiveIdentity, Owned, System, Target, TargetId};

/// A Target of the manifests, as far as this run sees it.
#[derive(Debug, Clone, Copy)]
pub struct Sight<'a> {
    /// The Target.
    pub target: &'a Target,
    /// What it is, as a reading or its manifest tells; `None` where neither does.
    pub identity: Option<&'a LiveIdentity>,
    /// Whether this run has a picture of it: not where it is narrowed away, suspended, or could not be read.
    pub is_read: bool,
}

/// What the inventory holds of a live place that no Target of the manifests leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphans {
    /// The place.
    pub identity: LiveIdentity,
    /// The Target that led there last.
    pub target: TargetId,
    /// How many scopes and app scope sets it holds.
    pub objects: usize,
}

/// Live places that more than one Target means, with those Targets, sorted.
pub fn shared(sights: &[Sight<'_>]) -> BTreeMap<LiveIdentity, Vec<TargetId>> {
    let mut targets: BTreeMap<&LiveIdentity, Vec<TargetId>> = BTreeMap::new();
    for sight in sights {
        if let Some(identity) = sight.identity {
            let of = targets.entry(identity).or_default();
            of.push(sight.target.id.clone());
        }
    }
    let shared = targets.into_iter().filter(|(_, of)| of.len() > 1);
    shared
        .map(|(identity, mut of)| {
            of.sort();
            (identity.clone(), of)
        })
        .collect()
}

/// The Targets that may be the place of one that was not read: what its manifests declare there would be taken for gone.
pub fn with_unread_twins(sights: &[Sight<'_>]) -> BTreeSet<TargetId> {
    let by_identifier =
        |target: &Target| target.system() == System::OneLogin && target.live_identity().is_none();
    let unread: BTreeSet<String> = sights
        .iter()
        .filter(|sight| !sight.is_read && by_identifier(sight.target))
        .map(|sight| canonical(sight.target.url()))
        .collect();
    let may_be = |target: &Target| {
        target.system() == System::OneLogin
            && target.live_identity().is_some()
            && unread.contains(&canonical(target.url()))
    };
    let meant = sights.iter().filter(|sight| may_be(sight.target));
    meant.map(|sight| sight.target.id.clone()).collect()
}

/// What is ours on places that none of the Targets leads to. While one of them was not read, nobody knows which those are.
pub fn orphans<'a>(
    sights: &[Sight<'_>],
    known: impl IntoIterator<Item = (&'a LiveIdentity, &'a TargetId, &'a Owned)>,
) -> Vec<Orphans> {
    if sights.iter().any(|sight| !sight.is_read) {
        return Vec::new();
    }
    let reached: BTreeSet<&LiveIdentity> =
        sights.iter().filter_map(|sight| sight.identity).collect();
    let left = known
        .into_iter()
        .filter(|(identity, ..)| !reached.contains(identity));
    left.map(|(identity, target, owned)| Orphans {
        identity: identity.clone(),
        target: target.clone(),
        objects: owned.scopes.len() + owned.apps.len(),
    })
    .filter(|orphans| orphans.objects > 0)
    .collect()
}
