//! Changes by somebody else, as `POST /__sandbox/drift` makes them.
//!
//! ```json
//! {"system": "onelogin-prod", "server": 31415, "deleteScope": "orders:read"}
//! ```
//! `server` may be left out where the account has one. A scope is named by its value or by its id. No rule of the API
//! stands in the way but those that keep the records whole.

use serde::Deserialize;
use serde_json::Value;

use super::OneLogin;
use super::account::{
    AppFile, ClaimFile, ClientFile, ScopeFile, ScopeReference, ServerFile, resolve,
};
use super::switches::{ScopeUniqueness, Switches};
use super::tables::{AppId, Scope, ScopeId, Server, Tables};

/// One change.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Change {
    AddScope(ScopeFile),
    UpdateScope(UpdateScope),
    RenameScope(RenameScope),
    DeleteScope(ScopeReference),
    AddClient(ClientFile),
    SetClientScopes(ClientFile),
    RemoveClient(AppId),
    AddClaim(ClaimFile),
    RemoveClaim(String),
    AddApp(AppFile),
    RemoveApp(AppId),
    AddServer(Box<ServerFile>),
    UpdateServer(UpdateServer),
    RemoveServer(AppId),
}

/// The scope is the one with this id, or else with this value.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UpdateScope {
    id: Option<ScopeId>,
    value: Option<String>,
    new_value: Option<String>,
    description: Option<String>,
    inherited: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RenameScope {
    from: ScopeReference,
    to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UpdateServer {
    name: Option<String>,
    description: Option<String>,
    resource_identifier: Option<String>,
    audiences: Option<Vec<String>>,
    onelogin: Option<bool>,
}

pub(super) fn apply(system: &mut OneLogin, change: &Value) -> Result<(), String> {
    let mut change = change.clone();
    let server = match change
        .as_object_mut()
        .and_then(|members| members.shift_remove("server"))
    {
        Some(id) => Some(
            serde_json::from_value(id)
                .map_err(|_| "\"server\" is the id of a server".to_owned())?,
        ),
        None => None,
    };
    let change: Change =
        serde_json::from_value(change).map_err(|error| format!("this is no change: {error}"))?;
    match change {
        Change::AddApp(file) => system.tables.add_app(file).map(drop),
        Change::RemoveApp(id) => {
            system
                .tables
                .apps
                .remove(&id)
                .ok_or_else(|| format!("there is no app {}", id.0))?;
            for server in system.tables.servers.values_mut() {
                server.detach(id);
            }
            Ok(())
        }
        Change::AddServer(file) => add_server(system, *file),
        Change::RemoveServer(id) => system
            .tables
            .servers
            .remove(&id)
            .map(drop)
            .ok_or_else(|| format!("there is no server {}", id.0)),
        change => {
            let id = which(system, server)?;
            // Taken out and put back, so that the ids of the account can be drawn from meanwhile.
            let mut record = system
                .tables
                .servers
                .remove(&id)
                .ok_or_else(|| format!("there is no server {}", id.0))?;
            let outcome = on_server(system, &mut record, change);
            system.tables.servers.insert(id, record);
            outcome
        }
    }
}

/// Adds a server with all that it brings along, or nothing of it: what it brings may collide with what is there.
fn add_server(system: &mut OneLogin, file: ServerFile) -> Result<(), String> {
    let OneLogin {
        account, tables, ..
    } = system;
    let before = account.with_tables(tables);
    let added = tables
        .add_server(file, &account.switches)
        .and_then(|_| account.with_tables(tables).into_tables().map(drop));
    if added.is_err() {
        *tables = before.into_tables()?.1;
    }
    added
}

/// Refuses a value that another scope has, where values are unique: such a state could be saved and not loaded again.
/// `server` is the one that is changed, which is not among those of `tables` meanwhile.
fn check_free(
    tables: &Tables,
    server: &Server,
    value: &str,
    own: Option<ScopeId>,
    switches: &Switches,
) -> Result<(), String> {
    let key = switches.fold(value);
    let taken_on = |server: &Server| server.with_value(&key).iter().any(|id| Some(*id) != own);
    let taken = match switches.scope_uniqueness {
        ScopeUniqueness::None => false,
        ScopeUniqueness::Server => taken_on(server),
        ScopeUniqueness::Account => taken_on(server) || tables.servers.values().any(taken_on),
    };
    if taken {
        return Err(format!("another scope has the value \"{value}\""));
    }
    Ok(())
}

fn which(system: &OneLogin, named: Option<AppId>) -> Result<AppId, String> {
    if let Some(named) = named {
        return Ok(named);
    }
    let mut ids = system.tables.servers.keys();
    match (ids.next(), ids.next()) {
        (Some(only), None) => Ok(*only),
        _ => Err("the account has not exactly one server: say which with \"server\"".to_owned()),
    }
}

fn on_server(system: &mut OneLogin, server: &mut Server, change: Change) -> Result<(), String> {
    let OneLogin {
        account, tables, ..
    } = system;
    let switches = &account.switches;
    let one = |server: &Server, reference: &ScopeReference| {
        let found = resolve(server, std::slice::from_ref(reference), switches)?;
        found
            .first()
            .copied()
            .ok_or_else(|| "no such scope".to_owned())
    };
    match change {
        Change::AddScope(file) => {
            check_free(tables, server, &file.value, None, switches)?;
            if let Some(id) = file.id
                && tables
                    .servers
                    .values()
                    .any(|server| server.scopes().contains_key(&id))
            {
                return Err(format!("another scope has the id {}", id.0));
            }
            tables.add_scope(server, file, switches).map(drop)
        }
        Change::UpdateScope(UpdateScope {
            id,
            value,
            new_value,
            description,
            inherited,
        }) => {
            let reference = match (id, value) {
                (Some(id), _) => ScopeReference::Id(id),
                (None, Some(value)) => ScopeReference::Value(value),
                (None, None) => {
                    return Err("\"updateScope\" names its scope by \"value\" or \"id\"".to_owned());
                }
            };
            let id = one(server, &reference)?;
            let live = server.scopes()[&id].clone();
            let scope = Scope {
                value: new_value.unwrap_or(live.value),
                description: description.or(live.description),
                inherited: inherited.unwrap_or(live.inherited),
            };
            check_free(tables, server, &scope.value, Some(id), switches)?;
            server.put_scope(id, scope, |value| switches.fold(value));
            Ok(())
        }
        Change::RenameScope(RenameScope { from, to }) => {
            let id = one(server, &from)?;
            let scope = Scope {
                value: to,
                ..server.scopes()[&id].clone()
            };
            check_free(tables, server, &scope.value, Some(id), switches)?;
            server.put_scope(id, scope, |value| switches.fold(value));
            Ok(())
        }
        Change::DeleteScope(reference) => {
            let id = one(server, &reference)?;
            server.remove_scope(id, |value| switches.fold(value));
            Ok(())
        }
        Change::AddClient(client) | Change::SetClientScopes(client) => {
            if !tables.apps.contains_key(&client.app_id) {
                return Err(format!("there is no app {}", client.app_id.0));
            }
            let scopes = resolve(server, &client.scopes, switches)?;
            server.grant(client.app_id, scopes);
            Ok(())
        }
        Change::RemoveClient(app) => {
            if server.detach(app) {
                Ok(())
            } else {
                Err(format!("the app {} is no client", app.0))
            }
        }
        Change::AddClaim(file) => tables.add_claim(server, file).map(drop),
        Change::RemoveClaim(name) => {
            let found = server
                .claims
                .iter()
                .find(|(_, claim)| claim.name == name)
                .map(|(id, _)| *id);
            let id = found.ok_or_else(|| format!("there is no claim \"{name}\""))?;
            server.claims.remove(&id);
            Ok(())
        }
        Change::UpdateServer(UpdateServer {
            name,
            description,
            resource_identifier,
            audiences,
            onelogin,
        }) => {
            let profile = &mut server.profile;
            if let Some(name) = name {
                profile.name = name;
            }
            profile.description = description.or(profile.description.take());
            if let Some(identifier) = resource_identifier {
                profile.resource_identifier = identifier;
            }
            if let Some(audiences) = audiences {
                profile.audiences = audiences;
            }
            profile.onelogin = onelogin.unwrap_or(profile.onelogin);
            Ok(())
        }
        Change::AddApp(_)
        | Change::RemoveApp(_)
        | Change::AddServer(_)
        | Change::RemoveServer(_) => {
            unreachable!("changes of the account are made by the caller")
        }
    }
}
