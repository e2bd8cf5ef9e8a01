//! What was or will be taken away, as the guard counts it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// What is counted. Objects and entries of sets count apart.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr,
)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum Counted {
    /// Scopes, as objects.
    Scopes,
    /// Attached apps, as objects.
    Apps,
    /// Roles of scopes.
    Roles,
    /// Scopes of apps.
    AppScopes,
}

/// How much of one kind a change removes, and from whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Removal {
    /// What is counted.
    pub counted: Counted,
    /// The one app, or the one scope whose roles; `None` for objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// The namespaces of the manifests that they come from: more than one where several ask for one entry; empty where an
    /// older format did not record them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub namespaces: BTreeSet<String>,
    /// How many.
    pub count: u64,
}

/// What is measured: a kind, over the whole target or what comes from one namespace, of all holders or of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Measure {
    /// The namespace; `None` is the whole target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What is counted.
    pub counted: Counted,
    /// The one app, or the one scope whose roles; `None` is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
}

/// How many there are of everything that is measured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<Counts>", from = "Vec<Counts>")]
pub struct Populations(BTreeMap<Measure, u64>);

/// A population as it is kept: the keys of JSON are texts.
#[derive(Clone, Serialize, Deserialize)]
struct Counts {
    #[serde(flatten)]
    of: Measure,
    count: u64,
}

impl Measure {
    /// A kind, over the whole target.
    pub fn all(counted: Counted) -> Self {
        Self {
            namespace: None,
            counted,
            holder: None,
        }
    }
}

impl Removal {
    /// Everything that it counts for.
    pub fn measures(&self) -> impl Iterator<Item = Measure> {
        let namespaces = self.namespaces.iter().map(Some);
        let namespaces = std::iter::once(None).chain(namespaces);
        namespaces.flat_map(|namespace| {
            let of = |holder: Option<&String>| Measure {
                namespace: namespace.cloned(),
                counted: self.counted,
                holder: holder.cloned(),
            };
            let holder = self.holder.as_ref();
            std::iter::once(of(None)).chain(holder.map(|holder| of(Some(holder))))
        })
    }
}

impl Populations {
    /// Counts what a removal of all of it would take away.
    pub fn add(&mut self, all: &Removal) {
        for measure in all.measures() {
            let count = self.0.entry(measure).or_default();
            *count = count.saturating_add(all.count);
        }
    }

    /// Sets one number.
    pub fn set(&mut self, measure: Measure, count: u64) {
        self.0.insert(measure, count);
    }

    /// How many there are, where that is known.
    pub fn get(&self, measure: &Measure) -> Option<u64> {
        self.0.get(measure).copied()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<Counts>> for Populations {
    fn from(counts: Vec<Counts>) -> Self {
        let counts = counts.into_iter();
        Self(counts.map(|Counts { of, count }| (of, count)).collect())
    }
}

impl From<Populations> for Vec<Counts> {
    fn from(Populations(populations): Populations) -> Self {
        let populations = populations.into_iter();
        populations
            .map(|(of, count)| Counts { of, count })
            .collect()
    }
}

/// Removals that were made before, without an approval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Removals(pub Vec<PastRemoval>);

/// Removals of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastRemoval {
    /// When.
    pub at: Timestamp,
    /// What, from whom and how many.
    #[serde(flatten)]
    pub removal: Removal,
}
