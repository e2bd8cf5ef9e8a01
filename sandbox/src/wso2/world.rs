//! A WSO2 server in a world file: what stands below `wso2:`.
//!
//! Loading and saving are each other's inverse: the same form is the state file.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One WSO2 server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct World {
    pub(super) users: Vec<User>,
    /// Roles that no user of this file has. They only answer the Publisher's question whether a role exists: neither
    /// API checks the roles of a scope.
    pub(super) roles: Vec<String>,
    /// `ScopeRegistration`, in the order of the table, that is of creation or of the last PUT.
    pub(super) scopes: Vec<Scope>,
    /// Which version segment the Publisher answers to: `v4`, or `v4.3` for a release of which the latest minor is 3.
    pub(super) publisher_version: Option<String>,
    /// The Publisher's shared scopes, in the order of creation.
    pub(super) shared_scopes: Vec<SharedScope>,
    /// Scopes of single APIs. They block a name without being in the list of shared scopes.
    pub(super) local_scopes: Vec<LocalScope>,
    /// Names that a key manager holds and the Publisher does not know of: what a delete leaves behind that failed there.
    pub(super) key_manager_scopes: Vec<String>,
    /// Whether requests need credentials; true if absent.
    pub(super) authentication: Option<bool>,
    /// OAuth clients of the Publisher's token endpoint.
    pub(super) clients: Vec<Client>,
    /// Tokens that were given out, expired ones included: they can still be refreshed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tokens: Vec<Token>,
    pub(super) switches: Switches,
}

/// Somebody who may log in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct User {
    pub(super) username: String,
    pub(super) password: String,
    /// What the user may do in the Publisher. Absent, the user is an administrator.
    #[serde(default = "administrator")]
    pub(super) roles: Vec<String>,
}

fn administrator() -> Vec<String> {
    vec!["admin".to_owned()]
}

/// An OAuth client.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    #[serde(rename = "clientId")]
    pub(super) id: String,
    #[serde(rename = "clientSecret")]
    pub(super) secret: String,
    /// What the client was registered as.
    #[serde(
        rename = "clientName",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) name: Option<String>,
}

/// A token of the Publisher.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Token {
    pub(super) access: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refresh: Option<String>,
    pub(super) client_id: String,
    /// None for a token of the client itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) username: Option<String>,
    /// What was granted, sorted: perhaps less than what was asked for.
    pub(super) scopes: Vec<String>,
    pub(super) expires: Timestamp,
}

/// A scope of `ScopeRegistration`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Scope {
    pub(super) name: String,
    /// Absent or blank, the scope is one that the list shows and a GET of its name does not find.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) bindings: Vec<String>,
}

/// A shared scope of the Publisher.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SharedScope {
    /// A new UUID if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    pub(super) name: String,
    /// The name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) bindings: Vec<String>,
    /// Overrules what `usedBy` adds up to. A count without APIs is what old revisions of an API leave behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) usage_count: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) used_by: Vec<UsedBy>,
}

/// A scope of one API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LocalScope {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) bindings: Vec<String>,
}

/// An API by its name alone, or with what the usage call tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum UsedBy {
    Name(String),
    Api(UsingApi),
}

impl UsedBy {
    /// The API with what is known of it.
    pub(super) fn api(&self) -> UsingApi {
        match self {
            Self::Api(api) => api.clone(),
            Self::Name(name) => UsingApi {
                name: name.clone(),
                context: None,
                version: None,
                provider: None,
                operations: Vec::new(),
            },
        }
    }
}

/// An API that uses a shared scope.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UsingApi {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) operations: Vec<Operation>,
}

/// An operation of an API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    pub(super) target: String,
    pub(super) verb: String,
}

/// What differs between releases, or is not known: each has a row in `docs/fidelity.md`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Switches {
    /// What `ScopeRegistration` says to a request without credentials.
    pub(super) missing_authorization: MissingAuthorization,
    /// Whether `ScopeRegistration` lets everybody in who sends a Bearer token or calls another version than v1.0.
    pub(super) authentication_gaps: bool,
    /// How the Publisher's key manager fares.
    pub(super) key_manager: KeyManager,
    /// Whether the Publisher asks the key manager before it creates a scope, and answers for its failures: since 4.7.
    pub(super) asks_key_manager: bool,
    /// In which order the Publisher lists: its query has no `ORDER BY`.
    pub(super) shared_scope_order: SharedScopeOrder,
    /// Whether the Publisher refuses a shared scope named `apim:…`.
    pub(super) refuses_reserved_names: bool,
    /// Whether a `client_credentials` token gets the scopes it asks for.
    pub(super) client_credentials_scopes: bool,
    /// Whether a second token request gets the first one's token while that is valid.
    pub(super) reuses_tokens: bool,
    pub(super) token_lifetime_seconds: u32,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            missing_authorization: MissingAuthorization::ServerError,
            authentication_gaps: false,
            key_manager: KeyManager::Reachable,
            asks_key_manager: true,
            shared_scope_order: SharedScopeOrder::Insertion,
            refuses_reserved_names: false,
            client_credentials_scopes: false,
            reuses_tokens: true,
            token_lifetime_seconds: 3600,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum MissingAuthorization {
    /// 500, as the milestones from m30 on do.
    ServerError,
    /// 401, as m29 does.
    Unauthorized,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum KeyManager {
    Reachable,
    /// No connection: the Publisher answers 500 and changes nothing.
    Unreachable,
    /// Answers with an error: the Publisher's PUT and DELETE succeed and the key manager keeps the old scope.
    Refusing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum SharedScopeOrder {
    Insertion,
    /// By UUID, as a database would that walks the primary key.
    Id,
}
