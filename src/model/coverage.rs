//! What a run can say of what was recorded before it: which files it looked at, and what other files declare.

use std::collections::{BTreeMap, BTreeSet};

use super::name::{AppRef, RoleName, ScopeName, TargetId};
use super::source::{ManifestRef, SourceFile};

/// What a run found out about each file that the inventory names. Absence counts only where it was looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    files: BTreeMap<SourceFile, Covered>,
    elsewhere: Elsewhere,
}

/// What a run found out about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covered {
    /// It was read.
    Read,
    /// It is gone from disk, inside the PATHs of the run.
    Gone,
    /// It is gone from disk, in a repository of the run, outside its PATHs: what it held may be handed over, and nothing is
    /// removed for it.
    GoneOutside,
    /// It may be there, and was not read.
    NotRead(NotRead),
}

/// Why a file was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRead {
    /// The run read nothing of its repository, or it was recorded without one.
    OtherRepository,
    /// It lies outside the PATHs.
    Outside,
    /// It lies inside the PATHs, and was passed over or could not be read.
    PassedOver,
    /// A link on the way to it leads nowhere.
    DeadLink,
    /// It lies in a submodule that is not checked out.
    NotCheckedOut,
    /// A sparse checkout leaves it out, or may do so.
    LeftOut,
}

/// What the files of the same checkouts declare that lie outside the PATHs of a run: what moved there waits for the run over
/// them, and is not removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// The scopes, each with its file.
    pub scopes: BTreeMap<(TargetId, ScopeName), SourceFile>,
    /// The app scope sets, each with its file.
    pub apps: BTreeMap<(TargetId, AppRef), SourceFile>,
    /// The roles that are asked for on a scope.
    pub roles: BTreeSet<(TargetId, ScopeName, RoleName)>,
    /// The manifests by kind, namespace and name, each with its file and whether its references lead somewhere.
    pub manifests: BTreeMap<(String, String, String), (SourceFile, bool)>,
}

impl Coverage {
    /// What is known of a file. One that was not asked for was not read.
    pub fn of(&self, file: &SourceFile) -> Covered {
        let unknown = Covered::NotRead(NotRead::OtherRepository);
        self.files.get(file).copied().unwrap_or(unknown)
    }

    /// Adds what other files declare.
    pub fn with(mut self, elsewhere: Elsewhere) -> Self {
        self.elsewhere = elsewhere;
        self
    }

    /// The file outside the PATHs that declares a scope, or the manifest that it came from where that cannot be resolved.
    pub fn scope_moved_to(
        &self,
        target: &TargetId,
        scope: &ScopeName,
        manifest: &ManifestRef,
    ) -> Option<&SourceFile> {
        let object = (target.clone(), scope.clone());
        let found = self.elsewhere.scopes.get(&object);
        found.or_else(|| self.elsewhere.unresolved(manifest))
    }

    /// The same for an app scope set.
    pub fn app_moved_to(
        &self,
        target: &TargetId,
        app: &AppRef,
        manifest: &ManifestRef,
    ) -> Option<&SourceFile> {
        let object = (target.clone(), app.clone());
        let found = self.elsewhere.apps.get(&object);
        found.or_else(|| self.elsewhere.unresolved(manifest))
    }

    /// Whether a file outside the PATHs asks for a role of a scope.
    pub fn asks_for(&self, target: &TargetId, scope: &ScopeName, role: &RoleName) -> bool {
        let role = (target.clone(), scope.clone(), role.clone());
        self.elsewhere.roles.contains(&role)
    }

    /// Whether what a manifest contributed to a set may be taken out of it: its file was looked for, and no file outside the
    /// PATHs has the manifest now.
    pub fn may_take_out(&self, manifest: &ManifestRef) -> bool {
        let key = manifest_key(manifest);
        self.of(&manifest.file).may_remove() && !self.elsewhere.manifests.contains_key(&key)
    }
}

impl FromIterator<(SourceFile, Covered)> for Coverage {
    fn from_iter<I: IntoIterator<Item = (SourceFile, Covered)>>(files: I) -> Self {
        Self {
            files: files.into_iter().collect(),
            elsewhere: Elsewhere::default(),
        }
    }
}

impl Covered {
    /// Whether what the file held may be removed because no manifest declares it.
    pub fn may_remove(self) -> bool {
        matches!(self, Self::Read | Self::Gone)
    }

    /// Whether the file holds nothing any more that another manifest declares.
    pub fn may_hand_over(self) -> bool {
        matches!(self, Self::Read | Self::Gone | Self::GoneOutside)
    }
}

impl Elsewhere {
    fn unresolved(&self, manifest: &ManifestRef) -> Option<&SourceFile> {
        let (file, is_resolved) = self.manifests.get(&manifest_key(manifest))?;
        (!is_resolved).then_some(file)
    }
}

fn manifest_key(manifest: &ManifestRef) -> (String, String, String) {
    let ManifestRef {
        kind,
        namespace,
        name,
        ..
    } = manifest;
    (kind.clone(), namespace.clone(), name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Repository;

    #[test]
    fn what_an_older_format_recorded_is_covered_by_nothing() {
        let iam = Repository::named("github.com/acme/iam").unwrap();
        let older = SourceFile::new("scopes/a.yaml");
        let coverage: Coverage = [(older.clone().of(iam), Covered::Read)]
            .into_iter()
            .collect();
        assert!(!coverage.of(&older).may_remove());
    }

    #[test]
    fn what_moved_outside_the_paths_is_not_taken_out() {
        let here = SourceFile::new("here.yaml");
        let binding = ManifestRef {
            file: here.clone(),
            kind: "ScopeBinding".to_owned(),
            namespace: "iam".to_owned(),
            name: "readers".to_owned(),
        };
        let read: Coverage = [(here, Covered::Read)].into_iter().collect();
        assert!(read.may_take_out(&binding));
        let mut elsewhere = Elsewhere::default();
        let there = (SourceFile::new("there.yaml"), true);
        elsewhere.manifests.insert(manifest_key(&binding), there);
        assert!(!read.with(elsewhere).may_take_out(&binding));
    }
}
