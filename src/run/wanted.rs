//! What a run is about: the targets that it reaches, and what of the manifests it does not see.

use std::sync::Arc;

use thiserror::Error;

use crate::manifest::Loaded;
use crate::model::{Desired, DesiredTarget, LiveIdentity, Target, TargetId};
use crate::plan::SkipReason;

/// What is wanted, and how much of it this run sees.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The targets of this run, sorted by their ids.
    pub(crate) targets: Vec<Arc<DesiredTarget>>,
    /// The Targets that the manifests declare beside them, which this run leaves alone.
    pub(crate) others: Vec<Other>,
    /// Why nothing is removed anywhere, if so: what is not seen may be declared all the same.
    pub(crate) gap: Option<SkipReason>,
}

/// Where the live systems are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Realm {
    /// Where the manifests say.
    Live,
    /// All in one emulation, whose identities stand apart in the inventory.
    Sandbox,
}

impl Realm {
    /// An identity as the inventory has it.
    pub(crate) fn of(self, identity: LiveIdentity) -> LiveIdentity {
        match self {
            Self::Live => identity,
            Self::Sandbox => LiveIdentity::new(format!("sandbox:{identity}")),
        }
    }
}

/// A Target that this run leaves alone.
#[derive(Debug)]
pub(crate) struct Other {
    /// The Target.
    pub(crate) target: Arc<Target>,
    /// What its manifest says it is, as the inventory has it.
    pub(crate) identity: Option<LiveIdentity>,
}

/// A target that was asked for and is not declared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no Target has the name \"{name}\"; the manifests declare {}", list(.known))]
pub(crate) struct NoSuchTarget {
    name: String,
    known: Vec<TargetId>,
}

impl Wanted {
    /// Takes what manifests declare, on the targets of these names (`NAME` or `NAMESPACE/NAME`), or on all where there are
    /// none.
    ///
    /// # Errors
    /// A name that no Target has.
    pub(crate) fn new(
        loaded: &mut Loaded,
        names: &[String],
        realm: Realm,
    ) -> Result<Self, NoSuchTarget> {
        let gap = if loaded.has_errors() || !loaded.complete {
            Some(SkipReason::IncompleteManifests)
        } else if loaded.filtered {
            Some(SkipReason::Selection)
        } else {
            None
        };
        let Desired { targets: all } = std::mem::take(&mut loaded.desired);
        let is_named = |target: &DesiredTarget, name: &String| {
            let id = &target.target.id;
            id.name == *name || id.to_string() == *name
        };
        for name in names {
            if !all.iter().any(|target| is_named(target, name)) {
                return Err(NoSuchTarget {
                    name: name.clone(),
                    known: all.iter().map(|target| target.target.id.clone()).collect(),
                });
            }
        }
        let is_chosen = |target: &DesiredTarget| {
            names.is_empty() || names.iter().any(|name| is_named(target, name))
        };
        let other = |DesiredTarget { target, .. }: DesiredTarget| Other {
            identity: target.live_identity().map(|identity| realm.of(identity)),
            target,
        };
        let (chosen, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_chosen);
        Ok(Self {
            targets: chosen.into_iter().map(Arc::new).collect(),
            others: others.into_iter().map(other).collect(),
            gap,
        })
    }

    /// Whether a finding of the manifests is an error: then the run is not what was declared, whatever it does.
    pub(crate) fn is_invalid(&self) -> bool {
        self.gap == Some(SkipReason::IncompleteManifests)
    }
}

fn list(known: &[TargetId]) -> String {
    let names: Vec<String> = known.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
