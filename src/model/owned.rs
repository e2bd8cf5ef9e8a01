//! What is ours on one live identity, and what was last applied.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::desired::DeletionPolicy;
use super::name::{AppRef, Lineage, RemoteId, RoleName, ScopeName};
use super::removal::PastRemoval;
use super::source::{ManifestRef, Repository, SourceFile};
use super::state::ScopeState;

/// The inventory's knowledge of one live identity.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Owned {
    /// Whether the inventory knows the identity at all. One that does not owns nothing, and `sync` asks before it starts.
    pub known: bool,
    /// Which inventory says so; `None` while it is not made. Part of the digest.
    pub lineage: Option<Lineage>,
    /// How many writes were recorded: part of the digest, so that a plan that was applied never comes again.
    pub writes: u64,
    /// The scopes, by the name last applied.
    pub scopes: BTreeMap<ScopeName, OwnedScope>,
    /// The app scope sets, by app with its key.
    pub apps: BTreeMap<AppRef, OwnedApp>,
    /// Writes that were about to be sent: what is live as it was to be since then is our doing, even if the answer was lost.
    pub intents: Vec<OpenIntent>,
}

/// How an object came to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// We made it.
    Created,
    /// Somebody said so.
    Adopted,
    /// It was there, equal to its manifest: kept equal, never deleted or renamed.
    Matched,
}

impl Origin {
    /// Whether the object may be deleted and renamed.
    pub fn may_remove(self) -> bool {
        match self {
            Self::Created | Self::Adopted => true,
            Self::Matched => false,
        }
    }
}

/// What was last applied to a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LastApplied {
    /// The display name, where it was managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The description, where it was managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The managed roles, each with the manifests that asked for it; `None` where roles were never managed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<BTreeMap<RoleName, BTreeSet<ManifestRef>>>,
    /// Whether these were all roles that the scope was to have (`bindings`), and nobody else's stood beside them. Where only
    /// some were managed, taking out the others for the first time is a first contact.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_roles: bool,
}

/// A scope of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnedScope {
    /// How it came to be ours.
    pub origin: Origin,
    /// Its id; ownership holds for this one object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<RemoteId>,
    /// The manifest that declares it.
    pub source: ManifestRef,
    /// That of the last applied manifest.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// That of the last applied manifest.
    #[serde(default)]
    pub protected: bool,
    /// What was last applied.
    #[serde(default)]
    pub applied: LastApplied,
    /// That of the last applied manifest: nothing is written to it before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_until: Option<Timestamp>,
    /// The `previousNames` that were honoured: a swap that was made is not made again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub renamed_from: BTreeSet<ScopeName>,
    /// The name that it is on its way to, while a swap has it under a temporary one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked_for: Option<ScopeName>,
    /// When it was first missing live: a tombstone, which goes after a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vanished_at: Option<Timestamp>,
    /// The manifest outside the holder's runs that declares it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_by: Option<WantedBy>,
}

/// An app scope set of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OwnedApp {
    /// How it came to be ours.
    pub origin: Origin,
    /// The manifest that declares it.
    pub source: ManifestRef,
    /// That of the last applied manifest.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// The last applied list.
    pub applied: BTreeSet<ScopeName>,
    /// That of the last applied manifest: nothing is written to it before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_until: Option<Timestamp>,
    /// When it was first missing live: a tombstone, which goes after a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vanished_at: Option<Timestamp>,
    /// The manifest outside the holder's runs that declares it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted_by: Option<WantedBy>,
}

/// A manifest that declares what another one holds: it has it when the holder lets go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WantedBy {
    /// The manifest.
    pub source: ManifestRef,
    /// When a run last read it.
    pub at: Timestamp,
}

/// What a manifest says that only protects more. Any run that reads it takes it, whatever else that run may do, since it
/// is to outlive its manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Tightening {
    /// It is never deleted.
    pub protected: bool,
    /// It stays when its manifest goes.
    pub orphan: bool,
    /// Nothing is written to it before this moment.
    pub hold_until: Option<Timestamp>,
}

impl OwnedScope {
    /// Protects it more.
    pub fn tighten(&mut self, by: &Tightening) {
        self.protected |= by.protected;
        self.hold_until = self.hold_until.max(by.hold_until);
        if by.orphan {
            self.deletion_policy = DeletionPolicy::Orphan;
        }
    }
}

impl OwnedApp {
    /// Protects it more; an app is not deleted, so that `protected` says nothing of it.
    pub fn tighten(&mut self, by: &Tightening) {
        self.hold_until = self.hold_until.max(by.hold_until);
        if by.orphan {
            self.deletion_policy = DeletionPolicy::Orphan;
        }
    }
}

/// A write that was about to be sent, and whose outcome is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenIntent {
    /// When.
    pub at: Timestamp,
    /// What.
    pub intent: Intent,
    /// What the window counts for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removals: Vec<PastRemoval>,
}

/// What a write was to do, kept until its outcome is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "intent",
    deny_unknown_fields
)]
pub enum Intent {
    /// A scope that was absent is being made, with exactly this state.
    CreateScope {
        /// What is sent.
        state: ScopeState,
        /// What the inventory will say of it.
        entry: OwnedScope,
    },
    /// A scope of ours is being updated to exactly this state.
    UpdateScope {
        /// What is sent.
        state: ScopeState,
        /// What the inventory will say of it.
        entry: OwnedScope,
        /// The roles among what is sent that were not there before: those that show are ours. Empty in an older journal,
        /// where nobody can tell.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        adds: BTreeSet<RoleName>,
    },
    /// A scope is being renamed; the id in its entry tells it.
    RenameScope {
        /// Its new name.
        name: ScopeName,
        /// What the inventory will say of it.
        entry: OwnedScope,
        /// The name by which the inventory knows it.
        replaces: ScopeName,
    },
    /// An app is being attached, or its list replaced, with exactly this list.
    SetAppScopes {
        /// The app.
        app: AppRef,
        /// The list as sent.
        scopes: BTreeSet<ScopeName>,
        /// What the inventory will say of it.
        entry: OwnedApp,
        /// The scopes among what is sent that the app did not have before, as for a scope's roles.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        adds: BTreeSet<ScopeName>,
    },
    /// A scope of ours is being deleted.
    DeleteScope {
        /// The name by which the inventory knows it.
        name: ScopeName,
        /// Its live name.
        live: ScopeName,
        /// Its id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote_id: Option<RemoteId>,
    },
    /// An app of ours is being detached.
    DetachApp {
        /// The app.
        app: AppRef,
    },
}

/// One step of the inventory's history: what a run learned or did. Replaying the steps over an [`Owned`] gives the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "record",
    deny_unknown_fields
)]
pub enum Record {
    /// A scope is ours, or what is known of it changed.
    Scope {
        /// Its name.
        name: ScopeName,
        /// What is known of it.
        entry: OwnedScope,
        /// The entry that it takes the place of, after a rename.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<ScopeName>,
    },
    /// A scope is not ours any more.
    ForgetScope {
        /// Its name.
        name: ScopeName,
    },
    /// An app's set is ours, or what is known of it changed.
    App {
        /// The app.
        app: AppRef,
        /// What is known of it.
        entry: OwnedApp,
    },
    /// An app's set is not ours any more.
    ForgetApp {
        /// The app.
        app: AppRef,
    },
    /// A scope of ours is protected more.
    TightenScope {
        /// Its name.
        name: ScopeName,
        /// How.
        by: Tightening,
    },
    /// An app's set of ours is protected more.
    TightenApp {
        /// The app.
        app: AppRef,
        /// How.
        by: Tightening,
    },
    /// A manifest declares a scope that another one holds.
    WantScope {
        /// Its name.
        name: ScopeName,
        /// The manifest.
        by: WantedBy,
    },
    /// A manifest declares an app's set that another one holds.
    WantApp {
        /// The app.
        app: AppRef,
        /// The manifest.
        by: WantedBy,
    },
    /// A write is about to be sent.
    Intent(OpenIntent),
    /// Every intent for a scope is settled.
    SettledScope {
        /// Its name.
        name: ScopeName,
    },
    /// Every intent for an app is settled.
    SettledApp {
        /// The app.
        app: AppRef,
    },
    /// One write came to nothing. Others that were sent for its object may show yet.
    CameToNothing {
        /// What it was to do.
        intent: Intent,
    },
    /// A removal that was sent turned out not to have been made: the window does not count it.
    NotRemoved(PastRemoval),
    /// A repository goes by another name.
    RenameRepository {
        /// What it was called.
        old: Repository,
        /// What it is called.
        new: Repository,
        /// The folder of the old one that is meant, and whose paths are shortened by it; empty for all of it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        below: String,
    },
    /// A write is about to be sent.
    Write,
    /// The inventory knows the identity from here on.
    Start,
}

impl Record {
    /// Whether something is not ours any more by it.
    pub fn forgets(&self) -> bool {
        matches!(self, Self::ForgetScope { .. } | Self::ForgetApp { .. })
    }

    /// Whether it is learned even from a run that a rule stops: it does no more than protect what is ours already, or says
    /// what did not happen.
    pub fn only_protects(&self) -> bool {
        matches!(
            self,
            Self::TightenScope { .. }
                | Self::TightenApp { .. }
                | Self::WantScope { .. }
                | Self::WantApp { .. }
                | Self::NotRemoved(_)
        )
    }
}

impl Intent {
    /// Protects what it will record of a scope more.
    fn tighten_scope(&mut self, of: &ScopeName, by: &Tightening) {
        match self {
            Self::CreateScope { state, entry } | Self::UpdateScope { state, entry, .. }
                if state.name == *of =>
            {
                entry.tighten(by);
            }
            Self::RenameScope {
                name,
                entry,
                replaces,
            } if name == of || replaces == of => entry.tighten(by),
            _ => {}
        }
    }

    /// Protects what it will record of an app more.
    fn tighten_app(&mut self, of: &AppRef, by: &Tightening) {
        match self {
            Self::SetAppScopes { app, entry, .. } if app == of => entry.tighten(by),
            _ => {}
        }
    }

    /// The step that says that nothing came of it.
    pub fn came_to_nothing(&self) -> Record {
        Record::CameToNothing {
            intent: self.clone(),
        }
    }

    /// The scope that it is about, by the name that it will have.
    fn scope(&self) -> Option<&ScopeName> {
        match self {
            Self::CreateScope { state, .. } | Self::UpdateScope { state, .. } => Some(&state.name),
            Self::RenameScope { name, .. } | Self::DeleteScope { name, .. } => Some(name),
            Self::SetAppScopes { .. } | Self::DetachApp { .. } => None,
        }
    }

    /// The app that it is about.
    fn app(&self) -> Option<&AppRef> {
        match self {
            Self::SetAppScopes { app, .. } | Self::DetachApp { app } => Some(app),
            _ => None,
        }
    }
}

impl OwnedScope {
    /// The files that it comes from.
    fn files(&self) -> impl Iterator<Item = &SourceFile> {
        let contributors = self
            .applied
            .roles
            .iter()
            .flat_map(BTreeMap::values)
            .flatten();
        contributors
            .chain([&self.source])
            .chain(self.wanted_by.iter().map(|wanted| &wanted.source))
            .map(|manifest| &manifest.file)
    }
}

impl OwnedApp {
    /// The files that it comes from.
    fn files(&self) -> impl Iterator<Item = &SourceFile> {
        let wanted = self.wanted_by.iter().map(|wanted| &wanted.source);
        let manifests = std::iter::once(&self.source).chain(wanted);
        manifests.map(|manifest| &manifest.file)
    }
}

impl Owned {
    /// Every file that is recorded, some more than once.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        let intents = self.intents.iter().flat_map(|open| match &open.intent {
            Intent::CreateScope { entry, .. }
            | Intent::UpdateScope { entry, .. }
            | Intent::RenameScope { entry, .. } => entry.files().collect::<Vec<_>>(),
            Intent::SetAppScopes { entry, .. } => entry.files().collect(),
            Intent::DeleteScope { .. } | Intent::DetachApp { .. } => Vec::new(),
        });
        let scopes = self.scopes.values().flat_map(OwnedScope::files);
        let apps = self.apps.values().flat_map(OwnedApp::files);
        scopes.chain(apps).chain(intents)
    }

    /// Takes one step. Recording an object settles the intent for it.
    pub fn record(&mut self, record: Record) {
        self.known = true;
        match record {
            Record::Scope {
                name,
                mut entry,
                replaces,
            } => {
                // Who wants the old name of what is renamed does not want the new one.
                let before = self.scopes.get(&name);
                let wanted = before.and_then(|before| before.wanted_by.clone());
                entry.wanted_by = wanted.filter(|wanted| wanted.source != entry.source);
                if let Some(old) = replaces {
                    self.scopes.remove(&old);
                    // The lists were applied with the scope, whatever it is called.
                    for entry in self.apps.values_mut() {
                        if entry.applied.remove(&old) {
                            entry.applied.insert(name.clone());
                        }
                    }
                }
                self.settle_scope(&name);
                self.scopes.insert(name, entry);
            }
            Record::ForgetScope { name } => {
                self.settle_deletion(&name);
                self.scopes.remove(&name);
            }
            Record::App { app, mut entry } => {
                let before = self.apps.get(&app);
                let wanted = before.and_then(|before| before.wanted_by.clone());
                entry.wanted_by = wanted.filter(|wanted| wanted.source != entry.source);
                self.settle_app(&app);
                self.apps.insert(app, entry);
            }
            Record::ForgetApp { app } => {
                self.settle_app(&app);
                self.apps.remove(&app);
            }
            Record::TightenScope { name, by } => {
                if let Some(entry) = self.scopes.get_mut(&name) {
                    entry.tighten(&by);
                }
                for open in &mut self.intents {
                    open.intent.tighten_scope(&name, &by);
                }
            }
            Record::TightenApp { app, by } => {
                if let Some(entry) = self.apps.get_mut(&app) {
                    entry.tighten(&by);
                }
                for open in &mut self.intents {
                    open.intent.tighten_app(&app, &by);
                }
            }
            Record::WantScope { name, by } => {
                if let Some(entry) = self.scopes.get_mut(&name) {
                    entry.wanted_by = Some(by);
                }
            }
            Record::WantApp { app, by } => {
                if let Some(entry) = self.apps.get_mut(&app) {
                    entry.wanted_by = Some(by);
                }
            }
            // An older one for the same object stays: what came of it may show yet.
            Record::Intent(open) => self.intents.push(open),
            Record::SettledScope { name } => self.settle_scope(&name),
            Record::SettledApp { app } => self.settle_app(&app),
            Record::CameToNothing { intent } => {
                let mut open = self.intents.iter();
                if let Some(last) = open.rposition(|open| open.intent == intent) {
                    self.intents.remove(last);
                }
            }
            Record::RenameRepository { old, new, below } => {
                self.move_repository(&old, &new, &below);
            }
            Record::Write => self.writes += 1,
            // Removals are kept beside what is owned.
            Record::Start | Record::NotRemoved(_) => {}
        }
    }

    /// A name that moved is forgotten as well, and what was about to be made under it is not.
    fn settle_deletion(&mut self, deleted: &ScopeName) {
        self.intents.retain(
            |open| !matches!(&open.intent, Intent::DeleteScope { name, .. } if name == deleted),
        );
    }

    fn settle_scope(&mut self, settled: &ScopeName) {
        self.intents
            .retain(|open| open.intent.scope() != Some(settled));
    }

    fn settle_app(&mut self, settled: &AppRef) {
        self.intents
            .retain(|open| open.intent.app() != Some(settled));
    }
}
