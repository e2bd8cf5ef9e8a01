//! A repository goes by another name: what was recorded of its manifests goes along.

use super::owned::{Intent, Owned, OwnedApp, OwnedScope};
use super::source::{ManifestRef, Repository};

impl Owned {
    /// The manifests that hold an object, or ask for an entry of a set, some more than once.
    pub fn manifests(&self) -> impl Iterator<Item = &ManifestRef> {
        let scopes = self.scopes.values().flat_map(|entry| {
            let roles = entry.applied.roles.iter().flat_map(|roles| roles.values());
            roles.flatten().chain([&entry.source])
        });
        scopes.chain(self.apps.values().map(|entry| &entry.source))
    }

    /// Takes what was recorded of one repository for another's.
    pub(super) fn move_repository(&mut self, old: &Repository, new: &Repository, below: &str) {
        let moved = |manifest: &ManifestRef| {
            let mut manifest = manifest.clone();
            if manifest.file.repository() == Some(old)
                && let Some(file) = manifest.file.below(below)
            {
                manifest.file = file.of(new.clone());
            }
            manifest
        };
        let scope = |entry: &mut OwnedScope| {
            entry.source = moved(&entry.source);
            if let Some(wanted) = &mut entry.wanted_by {
                wanted.source = moved(&wanted.source);
            }
            for manifests in entry
                .applied
                .roles
                .iter_mut()
                .flat_map(|roles| roles.values_mut())
            {
                *manifests = manifests.iter().map(moved).collect();
            }
        };
        let app = |entry: &mut OwnedApp| {
            entry.source = moved(&entry.source);
            if let Some(wanted) = &mut entry.wanted_by {
                wanted.source = moved(&wanted.source);
            }
        };
        self.scopes.values_mut().for_each(scope);
        self.apps.values_mut().for_each(app);
        for intent in &mut self.intents {
            match &mut intent.intent {
                Intent::CreateScope { entry, .. }
                | Intent::UpdateScope { entry, .. }
                | Intent::RenameScope { entry, .. } => scope(entry),
                Intent::SetAppScopes { entry, .. } => app(entry),
                Intent::DeleteScope { .. } | Intent::DetachApp { .. } => {}
            }
        }
    }
}
