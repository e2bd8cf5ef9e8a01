//! The safety rules, as one table: what each stops, whether an approval lifts it, and what is said about it.
//!
//! `docs/safety.md` holds the same table for people, made from this one.

use std::fmt::Write as _;

use serde::Serialize;
use strum::{EnumIter, IntoEnumIterator as _, IntoStaticStr, VariantNames};

use super::digest::Digest;
use super::{ObjectKind, ObjectRef};
use crate::model::{Repository, Source, SourceFile};

/// The safety rules, the strongest first: where more than one stands against one change, the first is shown. What no
/// approval lifts comes first, and then what widens access: nobody approves that for having been shown something else.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    EnumIter,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Rule {
    /// Another manifest holds it.
    Conflict,
    /// The last applied manifest said `protected`.
    Protected,
    /// API operations require it, and the system deletes nothing that is in use.
    InUse,
    /// The new name of a rename is somebody else's.
    NameTaken,
    /// The target takes nothing that is live.
    AdoptionNever,
    /// An empty list opens access to everyone.
    OpensToAll,
    /// A live object that is not ours would be taken.
    Takeover,
    /// Nothing was applied to this set yet, and it would shrink.
    FirstContact,
    /// The set holds entries that nobody declared, and its manifest says `Fail`.
    ForeignScopes,
    /// A holder would lose its last entry.
    LastEntry,
    /// Somebody that no manifest knows would lose access.
    UnmanagedConsumers,
    /// More removals of one kind than allowed.
    MaxRemovals,
    /// A larger share removed than allowed.
    MaxRemovalPercent,
    /// More than half of a small population removed.
    MoreThanHalf,
    /// The inventory does not know the target.
    NewInventory,
    /// The target's manifest asks for an approval.
    ManualApproval,
}

/// What a rule stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stops {
    /// One change, and those that need it.
    Change,
    /// Every write to the target.
    Target,
}

/// A rule's row.
struct Row {
    stops: Stops,
    /// Whether `--approve-plan` lifts it.
    liftable: bool,
    /// Whether the inventory may learn from a run while it stands. What a stopped run learns raises the population, and
    /// the same plan would pass the next time.
    learns: bool,
    /// What it stops, for people.
    sentence: &'static str,
}

impl Rule {
    /// What it stops.
    pub fn stops(self) -> Stops {
        self.row().stops
    }

    /// Whether it counts removals against a limit of the target.
    pub fn is_threshold(self) -> bool {
        matches!(
            self,
            Self::MaxRemovals | Self::MaxRemovalPercent | Self::MoreThanHalf
        )
    }

    /// Whether an approval lifts it.
    pub fn is_liftable(self) -> bool {
        self.row().liftable
    }

    /// Whether the inventory may learn from a run while it stands.
    pub fn may_learn(self) -> bool {
        self.row().learns
    }

    fn row(self) -> Row {
        let change = |liftable, sentence| Row {
            stops: Stops::Change,
            liftable,
            learns: true,
            sentence,
        };
        let target = |sentence| Row {
            stops: Stops::Target,
            liftable: true,
            learns: false,
            sentence,
        };
        match self {
            Self::Conflict => change(false, "writing to what another manifest holds"),
            Self::Protected => change(false, "deleting what was declared `protected`"),
            Self::InUse => change(false, "deleting what API operations require"),
            Self::NameTaken => change(false, "a rename to a name that is live and not managed"),
            Self::AdoptionNever => change(
                false,
                "taking what is live and equal, under `adoption: Never`",
            ),
            Self::Takeover => change(true, "changing or renaming what is live and not managed"),
            Self::FirstContact => change(
                true,
                "the first removal from a set that was never applied from here",
            ),
            Self::ForeignScopes => change(
                true,
                "a set with entries that nobody declared, under `foreignScopes: Fail`",
            ),
            Self::OpensToAll => change(
                true,
                "emptying a list that means everyone when it is empty, without `allowEmpty: true`",
            ),
            Self::LastEntry => change(
                true,
                "taking the last entry of a holder, without `allowEmpty: true`",
            ),
            Self::UnmanagedConsumers => {
                change(true, "deleting what somebody outside the manifests uses")
            }
            Self::MaxRemovals => target("more than `maxRemovals` (50) removals of one kind"),
            Self::MaxRemovalPercent => target(
                "removing more than `maxRemovalPercent` (30) of `minPopulation` (10) or more",
            ),
            Self::MoreThanHalf => {
                target("of fewer than that, two or more removals that are more than half")
            }
            Self::NewInventory => target(
                "the first run that may write to a system that has objects, without `--new-inventory`",
            ),
            Self::ManualApproval => {
                target("every plan that nobody approved, under `approval: Manual`")
            }
        }
    }
}

/// The table as it stands in `docs/safety.md`.
pub fn table() -> String {
    let mut out =
        "| rule | stops | what | lifted by an approval | the inventory learns meanwhile |\n\
                   |---|---|---|---|---|\n"
            .to_owned();
    for rule in Rule::iter() {
        let Row {
            stops,
            liftable,
            learns,
            sentence,
        } = rule.row();
        let name: &str = rule.into();
        let stops = match stops {
            Stops::Change => "the change",
            Stops::Target => "the target",
        };
        let word = |yes| if yes { "yes" } else { "no" };
        let (liftable, learns) = (word(liftable), word(learns));
        writeln!(
            out,
            "| `{name}` | {stops} | {sentence} | {liftable} | {learns} |"
        )
        .expect("a text takes every text");
    }
    out
}

/// A safety rule that stops something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub rule: Rule,
    /// What it is about; `None` is the whole target.
    pub object: Option<ObjectRef>,
    /// The namespace whose removals alone it stops.
    pub namespace: Option<String>,
    /// One sentence with the numbers.
    pub message: String,
    /// The limit, where the rule has one.
    pub limit: Option<u64>,
    /// What was counted against it.
    pub actual: Option<u64>,
    /// What to do.
    pub way_through: WayThrough,
}

impl Refusal {
    /// A refusal of one object.
    pub(super) fn of(
        rule: Rule,
        object: &ObjectRef,
        message: String,
        way_through: WayThrough,
    ) -> Self {
        Self {
            object: Some(object.clone()),
            ..Self::whole(rule, message, way_through)
        }
    }

    /// A refusal of the whole target.
    pub(super) fn whole(rule: Rule, message: String, way_through: WayThrough) -> Self {
        Self {
            rule,
            object: None,
            namespace: None,
            message,
            limit: None,
            actual: None,
            way_through,
        }
    }

    /// With the numbers that it rests on.
    pub(super) fn counted(self, limit: u64, actual: u64) -> Self {
        Self {
            limit: Some(limit),
            actual: Some(actual),
            ..self
        }
    }
}

/// What to do about a refusal. A plan knows no command line: whoever shows it words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayThrough {
    /// To adopt what a manifest declares.
    Adopt(Named),
    /// To let the target take what is live, or to take the manifest away.
    AllowAdoption,
    /// To clear the name that a rename goes to.
    ClearName {
        /// The name.
        name: String,
        /// Whether the manifest asked for the rename by `previousNames`.
        is_declared: bool,
    },
    /// To run over both files, or to adopt for the manifest that does not hold it.
    HandOver {
        /// Where the manifest is that holds it, for people.
        holder: String,
        /// Where the other one is.
        file: SourceFile,
        /// The other one.
        manifest: Named,
    },
    /// To say that a repository goes by another name now: the holder has the same path in another one.
    RenameRepository {
        /// The holder's.
        old: Repository,
        /// The other manifest's.
        new: Repository,
        /// The other manifest.
        manifest: Named,
    },
    /// To mend what is wrong with the manifests, so that the run knows all of them.
    MendManifests,
    /// To bring the manifest back, or to let go.
    BringBack,
    /// To keep a role.
    KeepRole,
    /// To keep a scope, or to say that none is meant.
    KeepScope,
    /// To declare what is there, or to say what becomes of it.
    DeclareForeign,
    /// To take it from those who use it.
    FreeConsumers,
    /// To take it out of the APIs that require it.
    FreeOperations,
    /// To see whether all removals are meant.
    Review,
    /// To start an inventory, or to pass the one that knows the target.
    StartInventory,
    /// To write this digest into the target's manifest.
    Approve(Digest),
}

/// A manifest by its kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Named {
    /// The manifest of an object.
    pub(super) fn of(kind: ObjectKind, manifest: &Source) -> Self {
        Self {
            kind,
            namespace: manifest.namespace.clone(),
            name: manifest.name.clone(),
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind: &str = self.kind.into();
        write!(f, "{kind}/{}/{}", self.namespace, self.name)
    }
}
