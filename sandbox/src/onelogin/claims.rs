//! The claims of an authorization server. They are kept and shown; nothing else here depends on them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::answer::{Answer, Refusal};
use super::body::{Field, Fields};
use super::switches::{ClaimPut, ListOrder};
use super::tables::{AppId, Claim, ClaimId, Server};
use super::{OneLogin, Switches};

/// The members that are stored and shown as they came, in the order in which lists show them.
pub(super) const SETTINGS: [&str; 8] = [
    "user_attribute_mappings",
    "user_attribute_macros",
    "attributes_transformations",
    "skip_if_blank",
    "values",
    "default_values",
    "provisioned_entitlements",
    "safe_entitlements_enabled",
];

pub(super) fn list(server: &Server, switches: &Switches) -> Answer {
    let item = |(id, claim): (&ClaimId, &Claim)| {
        let mut item = Map::new();
        item.insert("id".to_owned(), json!(id));
        item.insert("name".to_owned(), json!(claim.name));
        item.insert(
            "label".to_owned(),
            json!(claim.label.as_ref().unwrap_or(&claim.name)),
        );
        for name in SETTINGS {
            item.insert(
                name.to_owned(),
                claim.settings.get(name).cloned().unwrap_or_default(),
            );
        }
        if switches.newer_fields {
            item.insert("inherited".to_owned(), json!(claim.inherited));
        }
        item
    };
    let mut items: Vec<_> = server.claims.iter().map(item).collect();
    if switches.list_order == ListOrder::NewestFirst {
        items.reverse();
    }
    Answer::json(200, &items)
}

pub(super) fn create(
    system: &mut OneLogin,
    server: AppId,
    fields: &Fields,
) -> Result<Answer, Refusal> {
    let claim = read_new(fields, &system.account.switches)?;
    let record = system
        .tables
        .servers
        .get(&server)
        .ok_or(Refusal::NotFound)?;
    check(record, &claim, None)?;
    let id = system.tables.new_claim_id();
    put(system, server, id, claim)?;
    Ok(Answer::json(200, &json!({ "id": id })))
}

pub(super) fn update(
    system: &mut OneLogin,
    server: AppId,
    id: ClaimId,
    fields: &Fields,
) -> Result<Answer, Refusal> {
    let switches = &system.account.switches;
    allow_known(fields, switches)?;
    let record = system
        .tables
        .servers
        .get(&server)
        .ok_or(Refusal::NotFound)?;
    let mut claim = record.claims.get(&id).ok_or(Refusal::NotFound)?.clone();
    match (fields.text("name")?, switches.claim_put) {
        (Field::Given(name), _) => claim.name = name,
        (Field::Null, _) => claim.name = String::new(),
        (Field::Absent, ClaimPut::Partial) => {}
        (Field::Absent, ClaimPut::NameRequired) => return Err(missing("name")),
    }
    match fields.text("label")? {
        Field::Given(label) => claim.label = Some(label),
        Field::Null => claim.label = None,
        Field::Absent => {}
    }
    claim.settings.extend(settings(fields));
    check(record, &claim, Some(id))?;
    put(system, server, id, claim)?;
    Ok(Answer::json(200, &json!({ "id": id })))
}

pub(super) fn delete(system: &mut OneLogin, server: AppId, id: ClaimId) -> Result<Answer, Refusal> {
    let record = system
        .tables
        .servers
        .get_mut(&server)
        .ok_or(Refusal::NotFound)?;
    record.claims.remove(&id).ok_or(Refusal::NotFound)?;
    Ok(Answer::no_content())
}

/// Reads a claim that is to be made, from a call of its own or within a server's.
pub(super) fn read_new(fields: &Fields, switches: &Switches) -> Result<Claim, Refusal> {
    allow_known(fields, switches)?;
    let name = match fields.text("name")? {
        Field::Given(name) => name,
        Field::Null => String::new(),
        Field::Absent => return Err(missing("name")),
    };
    let label = fields.text("label")?.given();
    Ok(Claim {
        name,
        label,
        inherited: false,
        settings: settings(fields),
    })
}

fn settings(fields: &Fields) -> BTreeMap<String, Value> {
    let given = |name: &&str| {
        fields
            .get(name)
            .map(|value| ((*name).to_owned(), value.clone()))
    };
    SETTINGS.iter().filter_map(given).collect()
}

fn allow_known(fields: &Fields, switches: &Switches) -> Result<(), Refusal> {
    let known: Vec<&str> = SETTINGS.into_iter().chain(["name", "label"]).collect();
    fields.allow_only(&known, switches.extra_fields)
}

fn check(server: &Server, claim: &Claim, own: Option<ClaimId>) -> Result<(), Refusal> {
    if claim.name.is_empty() {
        return Err(Refusal::invalid("Name can't be blank"));
    }
    let taken = server
        .claims
        .iter()
        .any(|(id, other)| Some(*id) != own && other.name == claim.name);
    if taken {
        Err(Refusal::invalid("Name has already been taken"))
    } else {
        Ok(())
    }
}

fn put(system: &mut OneLogin, server: AppId, id: ClaimId, claim: Claim) -> Result<(), Refusal> {
    let record = system
        .tables
        .servers
        .get_mut(&server)
        .ok_or(Refusal::NotFound)?;
    record.claims.insert(id, claim);
    Ok(())
}

fn missing(field: &'static str) -> Refusal {
    Refusal::MissingField {
        field,
        named: false,
    }
}
