//! The clients of an authorization server: which app may ask for which scopes.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::json;

use super::answer::{Answer, Refusal};
use super::body::{Field, Fields};
use super::scopes::ScopeItem;
use super::switches::{AbsentGrant, AttachTwice, ListOrder, Permission};
use super::tables::{AppId, ScopeId, Server, Tables};
use super::{OneLogin, Switches};

/// A client as lists show it.
#[derive(Debug, Serialize)]
struct ClientItem<'a> {
    app_id: AppId,
    api_auth_id: AppId,
    name: &'a str,
    scopes: Vec<ScopeItem<'a>>,
}

pub(super) fn list(tables: &Tables, id: AppId, server: &Server, switches: &Switches) -> Answer {
    let item = |(app, scopes): (&AppId, &BTreeSet<ScopeId>)| ClientItem {
        app_id: *app,
        api_auth_id: id,
        name: tables.apps.get(app).map_or("", |app| app.name.as_str()),
        scopes: scopes
            .iter()
            .filter_map(|id| Some(ScopeItem::new(*id, server.scopes().get(id)?, switches)))
            .collect(),
    };
    let mut items: Vec<_> = server.clients().iter().map(item).collect();
    if switches.list_order == ListOrder::NewestFirst {
        items.reverse();
    }
    items.truncate(switches.client_list_limit.unwrap_or(usize::MAX));
    Answer::json(200, &items)
}

pub(super) fn create(
    system: &mut OneLogin,
    server: AppId,
    fields: &Fields,
) -> Result<Answer, Refusal> {
    let switches = &system.account.switches;
    fields.allow_only(&["app_id", "scopes"], switches.extra_fields)?;
    let app = match fields.get("app_id") {
        None => return Err(missing("app_id")),
        Some(app) => AppId(
            app.as_u64()
                .ok_or_else(|| super::body::wrong_type("app_id", "integer"))?,
        ),
    };
    let is_oidc = system.tables.apps.get(&app).is_some_and(|app| app.oidc);
    if !is_oidc {
        return Err(Refusal::NotFound);
    }
    let scopes = read_grant(fields, switches)?.unwrap_or_default();
    let attached = find(system, server)?.clients().contains_key(&app);
    if attached && switches.attach_twice == AttachTwice::Refuse {
        return Err(Refusal::invalid("App has already been taken"));
    }
    grant(system, server, app, scopes)?;
    Ok(Answer::json(
        201,
        &json!({ "app_id": app, "api_auth_id": server }),
    ))
}

pub(super) fn update(
    system: &mut OneLogin,
    server: AppId,
    app: AppId,
    fields: &Fields,
) -> Result<Answer, Refusal> {
    if !find(system, server)?.clients().contains_key(&app) {
        return Err(Refusal::NotFound);
    }
    let switches = &system.account.switches;
    fields.allow_only(&["scopes"], switches.client_put_extra_fields)?;
    if let Some(scopes) = read_grant(fields, switches)? {
        grant(system, server, app, scopes)?;
    }
    Ok(Answer::json(
        200,
        &json!({ "app_id": app, "api_auth_id": server }),
    ))
}

pub(super) fn delete(system: &mut OneLogin, server: AppId, app: AppId) -> Result<Answer, Refusal> {
    let record = system
        .tables
        .servers
        .get_mut(&server)
        .ok_or(Refusal::NotFound)?;
    if record.detach(app) {
        Ok(Answer::no_content())
    } else {
        Err(Refusal::NotFound)
    }
}

/// The scopes of a grant; nothing where the client's are to stay as they are.
fn read_grant(fields: &Fields, switches: &Switches) -> Result<Option<BTreeSet<ScopeId>>, Refusal> {
    let scopes = match (fields.scope_ids("scopes")?, switches.absent_grant) {
        (Field::Given(scopes), _) => scopes,
        // One published client leaves an empty list out.
        (Field::Absent | Field::Null, AbsentGrant::Empty) => BTreeSet::new(),
        (Field::Absent | Field::Null, AbsentGrant::Keep) => return Ok(None),
        (Field::Absent | Field::Null, AbsentGrant::Refuse) => return Err(missing("scopes")),
    };
    if scopes.is_empty() && switches.empty_grant == Permission::Refuse {
        return Err(Refusal::invalid("Scopes can't be blank"));
    }
    Ok(Some(scopes))
}

fn grant(
    system: &mut OneLogin,
    server: AppId,
    app: AppId,
    scopes: BTreeSet<ScopeId>,
) -> Result<(), Refusal> {
    let record = system
        .tables
        .servers
        .get_mut(&server)
        .ok_or(Refusal::NotFound)?;
    let foreign: Vec<String> = scopes
        .iter()
        .filter(|id| !record.scopes().contains_key(id))
        .map(|id| {
            format!(
                "Scopes {} does not belong to the specified ApiAuthorizationApp",
                id.0
            )
        })
        .collect();
    if !foreign.is_empty() {
        return Err(Refusal::Invalid(foreign));
    }
    record.grant(app, scopes);
    Ok(())
}

fn find(system: &OneLogin, server: AppId) -> Result<&Server, Refusal> {
    system.tables.servers.get(&server).ok_or(Refusal::NotFound)
}

fn missing(field: &'static str) -> Refusal {
    Refusal::MissingField { field, named: true }
}
