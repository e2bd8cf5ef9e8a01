//! Changes of a WSO2 server.

use serde_json::{Map, Value, json};

use super::{entry, list, merge, take, unknown};

pub(super) fn edit(
    world: &mut Value,
    verb: &str,
    details: Value,
    beside: &Map<String, Value>,
) -> Result<(), String> {
    let publisher = names_publisher(beside)?;
    match (verb, publisher) {
        ("addScope", false) => list(world, "scopes").push(details),
        ("updateScope", false) => {
            // The table is in the order of the last writes.
            let scopes = list(world, "scopes");
            let mut scope = take(scopes, "scope", "name", &details["name"])?;
            merge(&mut scope, details)?;
            scopes.push(scope);
        }
        ("deleteScope", false) => {
            take(list(world, "scopes"), "scope", "name", &details)?;
        }
        ("addScope", true) | ("addSharedScope", _) => list(world, "sharedScopes").push(details),
        ("updateScope", true) | ("updateSharedScope", _) => {
            merge(shared(world, &details["name"])?, details)?;
        }
        ("deleteScope", true) | ("deleteSharedScope", _) => {
            take(
                list(world, "sharedScopes"),
                "shared scope",
                "name",
                &details,
            )?;
        }
        ("setUsage", _) => {
            let scope = shared(world, &details["name"])?;
            // What is not named is none from now on.
            merge(scope, json!({ "usageCount": null, "usedBy": null }))?;
            merge(scope, details)?;
        }
        ("switches", _) => merge(&mut world["switches"], details)?,
        _ => return unknown(),
    }
    Ok(())
}

fn shared<'w>(world: &'w mut Value, name: &Value) -> Result<&'w mut Value, String> {
    entry(list(world, "sharedScopes"), "shared scope", "name", name)
}

/// Whether the members beside the verb mean the Publisher.
fn names_publisher(beside: &Map<String, Value>) -> Result<bool, String> {
    let by_api = match beside
        .get("api")
        .map(|api| api.as_str().unwrap_or_default())
    {
        None | Some("ScopeRegistration") => false,
        Some("Publisher") => true,
        Some(_) => return Err("\"api\" is ScopeRegistration or Publisher".to_owned()),
    };
    match beside.get("sharedScope") {
        None => Ok(by_api),
        Some(Value::Bool(shared)) => Ok(*shared || by_api),
        Some(_) => Err("\"sharedScope\" is true or false".to_owned()),
    }
}
