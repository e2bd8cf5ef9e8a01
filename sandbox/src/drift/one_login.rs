//! Changes of a OneLogin account.

use serde_json::{Map, Value};

use super::{entry, list, merge, place, take, unknown};

pub(super) fn edit(
    world: &mut Value,
    verb: &str,
    details: Value,
    beside: &Map<String, Value>,
) -> Result<(), String> {
    match verb {
        "addApp" => list(world, "apps").push(details),
        "removeApp" => {
            take(list(world, "apps"), "app", "id", &details)?;
            for server in list(world, "authorizationServers") {
                list(server, "clients").retain(|client| client["appId"] != details);
            }
        }
        "addServer" => list(world, "authorizationServers").push(details),
        "removeServer" => {
            take(
                list(world, "authorizationServers"),
                "server",
                "id",
                &details,
            )?;
        }
        "addClient" | "setClientScopes" => {
            // A world file may leave its apps to be told by the clients; a change is of what is there.
            let app = &details["appId"];
            entry(list(world, "apps"), "app", "id", app)?;
            let clients = list(server(world, beside)?, "clients");
            clients.retain(|client| client["appId"] != *app);
            clients.push(details);
        }
        _ => {
            let folds = world["switches"]["scopeCase"] == "insensitive";
            return edit_server(server(world, beside)?, verb, details, folds);
        }
    }
    Ok(())
}

fn edit_server(
    server: &mut Value,
    verb: &str,
    mut details: Value,
    folds: bool,
) -> Result<(), String> {
    match verb {
        "addScope" => list(server, "scopes").push(details),
        "updateScope" => {
            let reference = match (&details["id"], &details["value"]) {
                (Value::Null, Value::Null) => {
                    return Err("the scope is named by \"value\" or \"id\"".to_owned());
                }
                (Value::Null, value) => value.clone(),
                (id, _) => id.clone(),
            };
            let scope = scope(server, &reference, folds)?;
            details["id"] = scope["id"].clone();
            details["value"] = match details["newValue"].take() {
                Value::Null => scope["value"].clone(),
                renamed => renamed,
            };
            merge(scope, details)?;
        }
        "renameScope" => {
            scope(server, &details["from"], folds)?["value"] = details["to"].clone();
        }
        "deleteScope" => {
            let id = scope(server, &details, folds)?["id"].clone();
            take(list(server, "scopes"), "scope", "id", &id)?;
            for client in list(server, "clients") {
                list(client, "scopes").retain(|held| *held != id);
            }
        }
        "removeClient" => {
            take(list(server, "clients"), "client", "appId", &details)?;
        }
        "addClaim" => list(server, "claims").push(details),
        "removeClaim" => {
            take(list(server, "claims"), "claim", "name", &details)?;
        }
        "updateServer" => merge(server, details)?,
        _ => return unknown(),
    }
    Ok(())
}

/// The server that stands beside the verb, or the only one.
fn server<'w>(world: &'w mut Value, beside: &Map<String, Value>) -> Result<&'w mut Value, String> {
    let servers = list(world, "authorizationServers");
    match (beside.get("server"), servers.as_mut_slice()) {
        (Some(id), servers) if id.is_u64() => entry(servers, "server", "id", id),
        (Some(_), _) => Err("\"server\" is the id of a server".to_owned()),
        (None, [only]) => Ok(only),
        (None, _) => {
            Err("the account has not exactly one server: say which with \"server\"".to_owned())
        }
    }
}

/// A scope by its id or its value.
fn scope<'w>(
    server: &'w mut Value,
    reference: &Value,
    folds: bool,
) -> Result<&'w mut Value, String> {
    let meant = |scope: &Value| match (reference.as_str(), scope["value"].as_str()) {
        (Some(wanted), Some(value)) if folds => wanted.to_lowercase() == value.to_lowercase(),
        (Some(wanted), Some(value)) => wanted == value,
        _ => scope["id"] == *reference,
    };
    let scopes = list(server, "scopes");
    let index = place(scopes, &format!("scope {reference}"), meant)?;
    Ok(&mut scopes[index])
}
