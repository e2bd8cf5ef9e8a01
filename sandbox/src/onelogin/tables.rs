//! The records of an account, and the indexes that keep each call from reading more than it needs.
//!
//! ```text
//!  apps --- id --- authorization server --+-- scopes by id, and by value
//!   (one number space for both)           +-- clients: app id -> scope ids     (and back: scope id -> app ids)
//!                                         +-- claims by id
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The id of an app or of an authorization server: both are rows of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct AppId(pub(super) u64);

/// The id of a scope, unique in the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct ScopeId(pub(super) u64);

/// The id of a claim, unique in the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(transparent)]
pub(crate) struct ClaimId(pub(super) u64);

/// Every record of the account.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) servers: BTreeMap<AppId, Server>,
    pub(super) apps: BTreeMap<AppId, App>,
    pub(super) next: NextIds,
}

/// The numbers that new records get; a number is never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NextIds {
    app: u64,
    scope: u64,
    claim: u64,
}

impl Default for NextIds {
    fn default() -> Self {
        Self {
            app: 1,
            scope: 1,
            claim: 1,
        }
    }
}

/// An app that can be a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct App {
    pub(super) name: String,
    /// Only an app of the OIDC kind can be a client.
    pub(super) oidc: bool,
}

/// An authorization server.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) profile: Profile,
    pub(super) claims: BTreeMap<ClaimId, Claim>,
    scopes: BTreeMap<ScopeId, Scope>,
    clients: BTreeMap<AppId, BTreeSet<ScopeId>>,
    by_value: HashMap<String, Vec<ScopeId>>,
    holders: HashMap<ScopeId, BTreeSet<AppId>>,
}

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) resource_identifier: String,
    pub(super) audiences: Vec<String>,
    pub(super) access_token_expiration_minutes: Option<u32>,
    pub(super) refresh_token_expiration_minutes: Option<u32>,
    pub(super) onelogin: bool,
}

/// A scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) value: String,
    pub(super) description: Option<String>,
    pub(super) inherited: bool,
}

/// A claim; what this emulator does not interpret is kept as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) name: String,
    pub(super) label: Option<String>,
    pub(super) inherited: bool,
    /// The members of the wire form besides id, name, label and `inherited`.
    pub(super) settings: BTreeMap<String, Value>,
}

impl Tables {
    pub(super) fn new_app_id(&mut self) -> AppId {
        AppId(take(&mut self.next.app))
    }

    pub(super) fn new_scope_id(&mut self) -> ScopeId {
        ScopeId(take(&mut self.next.scope))
    }

    pub(super) fn new_claim_id(&mut self) -> ClaimId {
        ClaimId(take(&mut self.next.claim))
    }

    /// Whether the number belongs to an app or a server.
    pub(super) fn holds_app_id(&self, id: AppId) -> bool {
        self.apps.contains_key(&id) || self.servers.contains_key(&id)
    }
}

fn take(next: &mut u64) -> u64 {
    let taken = *next;
    *next = taken.saturating_add(1);
    taken
}

impl NextIds {
    /// Steps over numbers that a world file uses.
    pub(super) fn skip_app(&mut self, used: AppId) {
        self.app = self.app.max(used.0.saturating_add(1));
    }

    pub(super) fn skip_scope(&mut self, used: ScopeId) {
        self.scope = self.scope.max(used.0.saturating_add(1));
    }

    pub(super) fn skip_claim(&mut self, used: ClaimId) {
        self.claim = self.claim.max(used.0.saturating_add(1));
    }
}

impl Server {
    /// A server to which nothing belongs yet.
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            profile,
            ..Self::default()
        }
    }

    pub(super) fn scopes(&self) -> &BTreeMap<ScopeId, Scope> {
        &self.scopes
    }

    pub(super) fn clients(&self) -> &BTreeMap<AppId, BTreeSet<ScopeId>> {
        &self.clients
    }

    /// The scopes of a value, compared under `key`, which is how values are folded in this account.
    pub(super) fn with_value(&self, key: &str) -> &[ScopeId] {
        self.by_value.get(key).map_or(&[], Vec::as_slice)
    }

    /// The apps that hold a scope.
    pub(super) fn holders(&self, scope: ScopeId) -> impl Iterator<Item = AppId> {
        self.holders.get(&scope).into_iter().flatten().copied()
    }

    /// Adds a scope, or puts another in its place; the clients that hold it keep it.
    pub(super) fn put_scope(&mut self, id: ScopeId, scope: Scope, fold: impl Fn(&str) -> String) {
        let key = fold(&scope.value);
        if let Some(before) = self.scopes.insert(id, scope) {
            self.forget_value(&fold(&before.value), id);
        }
        self.by_value.entry(key).or_default().push(id);
    }

    /// Removes a scope, also from every client that holds it.
    pub(super) fn remove_scope(
        &mut self,
        id: ScopeId,
        fold: impl Fn(&str) -> String,
    ) -> Option<Scope> {
        let scope = self.scopes.remove(&id)?;
        self.forget_value(&fold(&scope.value), id);
        for app in self.holders.remove(&id).into_iter().flatten() {
            if let Some(grant) = self.clients.get_mut(&app) {
                grant.remove(&id);
            }
        }
        Some(scope)
    }

    fn forget_value(&mut self, key: &str, id: ScopeId) {
        if let Some(ids) = self.by_value.get_mut(key) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_value.remove(key);
            }
        }
    }

    /// Makes these, which must be scopes of this server, all that an app holds; attaches it where it was not.
    pub(super) fn grant(&mut self, app: AppId, scopes: BTreeSet<ScopeId>) {
        let before = self.clients.remove(&app).unwrap_or_default();
        for gone in before.difference(&scopes) {
            if let Some(apps) = self.holders.get_mut(gone) {
                apps.remove(&app);
                if apps.is_empty() {
                    self.holders.remove(gone);
                }
            }
        }
        for added in scopes.difference(&before) {
            self.holders.entry(*added).or_default().insert(app);
        }
        self.clients.insert(app, scopes);
    }

    /// Detaches an app; false where it was not attached.
    pub(super) fn detach(&mut self, app: AppId) -> bool {
        if !self.clients.contains_key(&app) {
            return false;
        }
        self.grant(app, BTreeSet::new());
        self.clients.remove(&app).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(value: &str) -> Scope {
        Scope {
            value: value.to_owned(),
            description: None,
            inherited: false,
        }
    }

    fn same(value: &str) -> String {
        value.to_owned()
    }

    #[test]
    fn a_removed_scope_leaves_its_holders_and_its_value() {
        let mut server = Server::default();
        for (id, value) in [(1, "a"), (2, "b")] {
            server.put_scope(ScopeId(id), scope(value), same);
        }
        server.grant(AppId(10), [ScopeId(1), ScopeId(2)].into());
        server.grant(AppId(11), [ScopeId(1)].into());
        assert_eq!(
            server.holders(ScopeId(1)).collect::<Vec<_>>(),
            [AppId(10), AppId(11)]
        );
        assert!(server.remove_scope(ScopeId(1), same).is_some());
        assert_eq!(server.clients()[&AppId(10)], [ScopeId(2)].into());
        assert_eq!(server.clients()[&AppId(11)], [].into());
        assert!(server.with_value("a").is_empty());
        assert!(server.remove_scope(ScopeId(1), same).is_none());
    }

    #[test]
    fn a_renamed_scope_is_found_under_its_new_value_only() {
        let mut server = Server::default();
        server.put_scope(ScopeId(1), scope("a"), same);
        server.grant(AppId(10), [ScopeId(1)].into());
        server.put_scope(ScopeId(1), scope("b"), same);
        assert!(server.with_value("a").is_empty());
        assert_eq!(server.with_value("b"), [ScopeId(1)]);
        assert_eq!(server.holders(ScopeId(1)).count(), 1);
    }

    #[test]
    fn a_grant_replaces_what_an_app_held() {
        let mut server = Server::default();
        server.grant(AppId(10), [ScopeId(1), ScopeId(2)].into());
        server.grant(AppId(10), [ScopeId(2), ScopeId(3)].into());
        assert_eq!(server.holders(ScopeId(1)).count(), 0);
        assert_eq!(server.holders(ScopeId(3)).count(), 1);
        assert!(server.detach(AppId(10)));
        assert!(!server.detach(AppId(10)));
        assert_eq!(server.holders(ScopeId(2)).count(), 0);
    }
}
