//! The account as it stands in a world file, and the way from there to the tables and back.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::switches::{ScopeCase, ScopeUniqueness, Switches};
use super::tables::{App, AppId, Claim, ClaimId, NextIds, Profile, Scope, ScopeId, Server, Tables};

/// What stands below `oneLogin` in a world file. Ids may be left out, and are then given in the order of the file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Account {
    #[serde(rename = "accountId")]
    pub(super) id: u64,
    pub(super) credentials: Vec<Credential>,
    authorization_servers: Vec<ServerFile>,
    apps: Vec<AppFile>,
    pub(super) switches: Switches,
    pub(super) tokens: Vec<Token>,
    /// How many tokens were ever given, so that none is given again.
    pub(super) tokens_given: u64,
    next_ids: NextIds,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            id: 1,
            credentials: vec![Credential::default()],
            authorization_servers: Vec::new(),
            apps: Vec::new(),
            switches: Switches::default(),
            tokens: Vec::new(),
            tokens_given: 0,
            next_ids: NextIds::default(),
        }
    }
}

/// An API credential.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Credential {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    #[serde(default)]
    pub(super) access: Access,
    /// A credential belongs to the user who made it: once that user is gone, every call with it ends in a 500.
    #[serde(default)]
    pub(super) owner_deleted: bool,
}

impl Default for Credential {
    fn default() -> Self {
        let sandbox = || "sandbox".to_owned();
        Self {
            client_id: sandbox(),
            client_secret: sandbox(),
            access: Access::ManageAll,
            owner_deleted: false,
        }
    }
}

/// What a credential may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Access {
    AuthenticationOnly,
    ReadUsers,
    ManageUsers,
    ReadAll,
    #[default]
    ManageAll,
}

/// The one live token of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Token {
    pub(super) client_id: String,
    #[serde(rename = "accessToken")]
    pub(super) access: String,
    #[serde(rename = "refreshToken")]
    pub(super) refresh: String,
    pub(super) created_at: Timestamp,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ServerFile {
    #[serde(default)]
    id: Option<AppId>,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The first audience, where there is one.
    #[serde(default)]
    resource_identifier: Option<String>,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access_token_expiration_minutes: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token_expiration_minutes: Option<u32>,
    #[serde(default, skip_serializing_if = "is_false")]
    onelogin: bool,
    #[serde(default)]
    scopes: Vec<ScopeFile>,
    #[serde(default)]
    clients: Vec<ClientFile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    claims: Vec<ClaimFile>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ScopeFile {
    #[serde(default)]
    pub(super) id: Option<ScopeId>,
    pub(super) value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) inherited: bool,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ClientFile {
    pub(super) app_id: AppId,
    /// The app's, and told again only so that a reader of the file need not look it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default)]
    pub(super) scopes: Vec<ScopeReference>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct AppFile {
    #[serde(default)]
    pub(super) id: Option<AppId>,
    pub(super) name: String,
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub(super) oidc: bool,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClaimFile {
    #[serde(default)]
    pub(super) id: Option<ClaimId>,
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) inherited: bool,
    /// The other members of the wire form, spelled as there.
    #[serde(flatten)]
    pub(super) settings: BTreeMap<String, Value>,
}

/// A scope named by its number or by its value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum ScopeReference {
    Id(ScopeId),
    Value(String),
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_true(value: &bool) -> bool {
    *value
}

fn yes() -> bool {
    true
}

impl Switches {
    /// The form of a value under which it is looked up.
    pub(super) fn fold(&self, value: &str) -> String {
        match self.scope_case {
            ScopeCase::Sensitive => value.to_owned(),
            ScopeCase::Insensitive => value.to_lowercase(),
        }
    }
}

impl Account {
    /// The records, and the account without them.
    pub(super) fn into_tables(mut self) -> Result<(Self, Tables), String> {
        let mut tables = Tables {
            next: self.next_ids,
            ..Tables::default()
        };
        let servers = std::mem::take(&mut self.authorization_servers);
        let apps = std::mem::take(&mut self.apps);
        skip_used(&mut tables.next, &servers, &apps);
        check_credentials(&self.credentials)?;
        self.switches.check()?;
        for app in apps {
            tables.add_app(app)?;
        }
        let mut scope_ids = HashSet::new();
        let mut values = HashSet::new();
        for file in servers {
            let id = tables.add_server(file, &self.switches)?;
            for (scope, record) in tables.servers[&id].scopes() {
                if !scope_ids.insert(*scope) {
                    return Err(format!("two scopes have the id {}", scope.0));
                }
                let folded = self.switches.fold(&record.value);
                if self.switches.scope_uniqueness == ScopeUniqueness::Account
                    && !values.insert(folded)
                {
                    return Err(format!(
                        "two scopes of the account have the value \"{}\"",
                        record.value
                    ));
                }
            }
        }
        Ok((self, tables))
    }

    /// The account with its records, as it stands in a world file.
    pub(super) fn with_tables(&self, tables: &Tables) -> Self {
        let apps = tables.apps.iter();
        Self {
            authorization_servers: tables
                .servers
                .iter()
                .map(|(id, server)| server_file(*id, server, tables))
                .collect(),
            apps: apps
                .map(|(id, app)| AppFile {
                    id: Some(*id),
                    name: app.name.clone(),
                    oidc: app.oidc,
                })
                .collect(),
            next_ids: tables.next,
            ..self.clone()
        }
    }
}

impl Tables {
    /// Adds an app of a world file or of a drift.
    pub(super) fn add_app(&mut self, file: AppFile) -> Result<AppId, String> {
        let id = match file.id {
            Some(id) if self.holds_app_id(id) => {
                return Err(format!("two apps or servers have the id {}", id.0));
            }
            Some(id) => id,
            None => self.new_app_id(),
        };
        self.next.skip_app(id);
        self.apps.insert(
            id,
            App {
                name: file.name,
                oidc: file.oidc,
            },
        );
        Ok(id)
    }

    /// Adds an authorization server of a world file or of a drift, with all that belongs to it.
    pub(super) fn add_server(
        &mut self,
        file: ServerFile,
        switches: &Switches,
    ) -> Result<AppId, String> {
        let id = match file.id {
            Some(id) if self.holds_app_id(id) => {
                return Err(format!("two apps or servers have the id {}", id.0));
            }
            Some(id) => id,
            None => self.new_app_id(),
        };
        self.next.skip_app(id);
        let mut server = Server::new(Profile {
            name: file.name,
            description: file.description,
            resource_identifier: file
                .resource_identifier
                .or_else(|| file.audiences.first().cloned())
                .unwrap_or_default(),
            audiences: file.audiences,
            access_token_expiration_minutes: file.access_token_expiration_minutes,
            refresh_token_expiration_minutes: file.refresh_token_expiration_minutes,
            onelogin: file.onelogin,
        });
        for scope in file.scopes {
            self.add_scope(&mut server, scope, switches)?;
        }
        for client in file.clients {
            if !self.holds_app_id(client.app_id) {
                let name = client
                    .name
                    .unwrap_or_else(|| format!("App {}", client.app_id.0));
                self.add_app(AppFile {
                    id: Some(client.app_id),
                    name,
                    oidc: true,
                })?;
            }
            let scopes = resolve(&server, &client.scopes, switches)?;
            if server.clients().contains_key(&client.app_id) {
                return Err(format!(
                    "server {} has two clients of the app {}",
                    id.0, client.app_id.0
                ));
            }
            server.grant(client.app_id, scopes);
        }
        for claim in file.claims {
            self.add_claim(&mut server, claim)?;
        }
        if self.apps.contains_key(&id) {
            return Err(format!("the server {} cannot be its own client", id.0));
        }
        self.servers.insert(id, server);
        Ok(id)
    }

    /// Adds a scope of a world file or of a drift to a server.
    pub(super) fn add_scope(
        &mut self,
        server: &mut Server,
        file: ScopeFile,
        switches: &Switches,
    ) -> Result<ScopeId, String> {
        let ScopeFile {
            id,
            value,
            description,
            inherited,
        } = file;
        if switches.scope_uniqueness != ScopeUniqueness::None
            && !server.with_value(&switches.fold(&value)).is_empty()
        {
            return Err(format!(
                "two scopes of server \"{}\" have the value \"{value}\"",
                server.profile.name
            ));
        }
        let id = id.unwrap_or_else(|| self.new_scope_id());
        if server.scopes().contains_key(&id) {
            return Err(format!("two scopes have the id {}", id.0));
        }
        self.next.skip_scope(id);
        server.put_scope(
            id,
            Scope {
                value,
                description,
                inherited,
            },
            |value| switches.fold(value),
        );
        Ok(id)
    }

    /// Adds a claim of a world file or of a drift to a server.
    pub(super) fn add_claim(
        &mut self,
        server: &mut Server,
        file: ClaimFile,
    ) -> Result<ClaimId, String> {
        let ClaimFile {
            id,
            name,
            label,
            inherited,
            settings,
        } = file;
        if let Some(unknown) = settings
            .keys()
            .find(|key| !super::claims::SETTINGS.contains(&key.as_str()))
        {
            return Err(format!(
                "the claim \"{name}\" has the unknown member \"{unknown}\""
            ));
        }
        let id = id.unwrap_or_else(|| self.new_claim_id());
        if server.claims.contains_key(&id) {
            return Err(format!("two claims have the id {}", id.0));
        }
        self.next.skip_claim(id);
        server.claims.insert(
            id,
            Claim {
                name,
                label,
                inherited,
                settings,
            },
        );
        Ok(id)
    }
}

/// The ids of scopes of a server that are named by id or by value.
pub(super) fn resolve(
    server: &Server,
    references: &[ScopeReference],
    switches: &Switches,
) -> Result<BTreeSet<ScopeId>, String> {
    references
        .iter()
        .map(|reference| match reference {
            ScopeReference::Id(id) if server.scopes().contains_key(id) => Ok(*id),
            ScopeReference::Id(id) => Err(format!(
                "server \"{}\" has no scope with the id {}",
                server.profile.name, id.0
            )),
            ScopeReference::Value(value) => match server.with_value(&switches.fold(value)) {
                [id] => Ok(*id),
                [] => Err(format!(
                    "server \"{}\" has no scope with the value \"{value}\"",
                    server.profile.name
                )),
                _ => Err(format!(
                    "server \"{}\" has several scopes with the value \"{value}\"",
                    server.profile.name
                )),
            },
        })
        .collect()
}

/// Ids that are given must not be those that the file uses further down.
fn skip_used(next: &mut NextIds, servers: &[ServerFile], apps: &[AppFile]) {
    apps.iter()
        .filter_map(|app| app.id)
        .for_each(|id| next.skip_app(id));
    for server in servers {
        server.id.iter().for_each(|id| next.skip_app(*id));
        server
            .clients
            .iter()
            .for_each(|client| next.skip_app(client.app_id));
        server
            .scopes
            .iter()
            .filter_map(|scope| scope.id)
            .for_each(|id| next.skip_scope(id));
        server
            .claims
            .iter()
            .filter_map(|claim| claim.id)
            .for_each(|id| next.skip_claim(id));
    }
}

fn check_credentials(credentials: &[Credential]) -> Result<(), String> {
    let mut seen = HashSet::new();
    match credentials
        .iter()
        .find(|credential| !seen.insert(&credential.client_id))
    {
        Some(twice) => Err(format!(
            "two credentials have the client id \"{}\"",
            twice.client_id
        )),
        None => Ok(()),
    }
}

fn server_file(id: AppId, server: &Server, tables: &Tables) -> ServerFile {
    let Profile {
        name,
        description,
        resource_identifier,
        audiences,
        access_token_expiration_minutes,
        refresh_token_expiration_minutes,
        onelogin,
    } = server.profile.clone();
    let scopes = server.scopes().iter().map(|(id, scope)| ScopeFile {
        id: Some(*id),
        value: scope.value.clone(),
        description: scope.description.clone(),
        inherited: scope.inherited,
    });
    let clients = server.clients().iter().map(|(app, scopes)| ClientFile {
        app_id: *app,
        name: tables.apps.get(app).map(|app| app.name.clone()),
        scopes: scopes.iter().map(|id| ScopeReference::Id(*id)).collect(),
    });
    let claims = server.claims.iter().map(|(id, claim)| ClaimFile {
        id: Some(*id),
        name: claim.name.clone(),
        label: claim.label.clone(),
        inherited: claim.inherited,
        settings: claim.settings.clone(),
    });
    ServerFile {
        id: Some(id),
        name,
        description,
        resource_identifier: Some(resource_identifier),
        audiences,
        access_token_expiration_minutes,
        refresh_token_expiration_minutes,
        onelogin,
        scopes: scopes.collect(),
        clients: clients.collect(),
        claims: claims.collect(),
    }
}
