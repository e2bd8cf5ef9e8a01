//! Changes behind the reconciler's back: the body of `POST /__sandbox/drift`, and what a fault brings along.
//!
//! ```json
//! {"system": "onelogin-prod", "server": 31415, "deleteScope": "orders:read"}
//! ```
//! A change edits the world in the form of its file, and the system is loaded from that: what no world may hold, no
//! change makes. No other rule of an API stands in its way. In an update, null takes a member away.
//!
//! | OneLogin | |
//! |---|---|
//! | `addScope`, `addClient`, `addClaim`, `addApp`, `addServer` | one, as in a world file |
//! | `updateScope` | `value` or `id`, and of `newValue`, `description`, `inherited` what changes |
//! | `renameScope` | `from`, `to` |
//! | `setClientScopes` | a client, as in a world file |
//! | `deleteScope` | a scope, by value or id |
//! | `removeClient`, `removeApp`, `removeServer`, `removeClaim` | the id, or the claim's name |
//! | `updateServer` | what changes of a server |
//!
//! `server` stands beside the verb; it may be left out where the account has one.
//!
//! | WSO2 | |
//! |---|---|
//! | `addScope`, `addSharedScope` | one, as in a world file |
//! | `updateScope`, `updateSharedScope` | `name`, and what changes |
//! | `deleteScope`, `deleteSharedScope` | the name |
//! | `setUsage` | `name` of a shared scope, and its `usageCount` and `usedBy` from now on |
//! | `switches` | those that change |
//!
//! `addScope`, `updateScope` and `deleteScope` mean the Publisher where `"api": "Publisher"` or `"sharedScope": true` stands
//! beside them.
//!
//! | Apigee | |
//! |---|---|
//! | `setKeyScopes` | a key, `scopes` |
//! | `addProduct`, `removeProduct`, `setProductStatus` | a key, `product`, for the last `status` |
//! | `deleteKey`, `revokeKey`, `approveKey`, `expireKey` | a key |
//! | `addKey` | an app, `key` as in a world file |
//! | `addApp`, `deleteApp`, `revokeApp`, `approveApp` | an app |
//! | `setProductScopes`, `deleteProduct` | `product`, for the first `scopes` |
//! | `deleteDeveloper` | `developer` |
//!
//! An app is `app` with one of `developer`, `company` and `appGroup`; a key is an app with `consumerKey`, which may be left
//! out where the app has one key.

use serde_json::{Map, Value, json};

use super::wire::Emulated;
use super::world::Kind;

mod apigee;
mod one_login;
mod wso2;

/// Makes one change, or says what is wrong with it; nothing has changed then.
pub(super) fn make(kind: Kind, system: &mut dyn Emulated, change: &Value) -> Result<(), String> {
    let mut beside = change.as_object().cloned().ok_or("a change is an object")?;
    let verb = verb_of(kind, &beside)?;
    let details = beside.shift_remove(&verb).unwrap_or_default();
    let mut world = system.world();
    let edit = match kind {
        Kind::OneLogin => one_login::edit,
        Kind::Wso2 => wso2::edit,
        Kind::Apigee => apigee::edit,
    };
    edit(&mut world, &verb, details, &beside)
        .and_then(|()| system.reload(world))
        .map_err(|error| format!("{verb}: {error}"))
}

/// The one member that says what changes; what else there is says where.
fn verb_of(kind: Kind, change: &Map<String, Value>) -> Result<String, String> {
    let address: &[&str] = match kind {
        Kind::OneLogin => &["system", "server"],
        Kind::Wso2 => &["system", "api", "sharedScope"],
        Kind::Apigee => &["system"],
    };
    let mut verbs = change.keys().filter(|key| !address.contains(&key.as_str()));
    match (verbs.next(), verbs.next()) {
        (Some(verb), None) => Ok(verb.clone()),
        _ => Err(format!(
            "a change has one verb beside {}",
            address.join(", ")
        )),
    }
}

fn unknown() -> Result<(), String> {
    Err("no such change is known".to_owned())
}

/// A list of a world; what is left out there is empty.
fn list<'w>(owner: &'w mut Value, name: &str) -> &'w mut Vec<Value> {
    let list = &mut owner[name];
    if !list.is_array() {
        *list = json!([]);
    }
    list.as_array_mut().expect("it is one by now")
}

/// The place of the one entry of a list that is meant.
fn place(list: &[Value], what: &str, meant: impl Fn(&Value) -> bool) -> Result<usize, String> {
    let mut found = (0..list.len()).filter(|&index| meant(&list[index]));
    match (found.next(), found.next()) {
        (Some(index), None) => Ok(index),
        (None, _) => Err(format!("there is no {what}")),
        (Some(_), Some(_)) => Err(format!("there is more than one {what}")),
    }
}

/// The entry of a list whose member `key` is `value`.
fn entry<'w>(
    list: &'w mut [Value],
    what: &str,
    key: &str,
    value: &Value,
) -> Result<&'w mut Value, String> {
    let index = place(list, &format!("{what} {value}"), |entry| {
        entry[key] == *value
    })?;
    Ok(&mut list[index])
}

/// Takes the entry whose member `key` is `value` out of a list.
fn take(list: &mut Vec<Value>, what: &str, key: &str, value: &Value) -> Result<Value, String> {
    let index = place(list, &format!("{what} {value}"), |entry| {
        entry[key] == *value
    })?;
    Ok(list.remove(index))
}

/// Changes the members that `changes` has; null takes one away.
fn merge(entry: &mut Value, changes: Value) -> Result<(), String> {
    let (Value::Object(entry), Value::Object(changes)) = (entry, changes) else {
        return Err("an object is wanted".to_owned());
    };
    for (name, value) in changes {
        if value.is_null() {
            entry.shift_remove(&name);
        } else {
            entry.insert(name, value);
        }
    }
    Ok(())
}
