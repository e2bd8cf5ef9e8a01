//! The scopes of an authorization server.

use serde::Serialize;
use serde_json::json;

use super::answer::{Answer, Refusal};
use super::body::{Field, Fields};
use super::switches::{
    DeleteGrantedScope, ListOrder, Permission, ScopeCharacters, ScopePut, ScopeTexts,
    ScopeUniqueness,
};
use super::tables::{AppId, Scope, ScopeId, Server};
use super::{OneLogin, Switches};

/// What published clients send beside the documented members is let through, unless a switch says otherwise.
const MEMBERS: [&str; 2] = ["value", "description"];

/// A scope as lists show it.
#[derive(Debug, Serialize)]
pub(super) struct ScopeItem<'a> {
    id: ScopeId,
    value: &'a str,
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inherited: Option<bool>,
}

impl<'a> ScopeItem<'a> {
    pub(super) fn new(id: ScopeId, scope: &'a Scope, switches: &Switches) -> Self {
        Self {
            id,
            value: &scope.value,
            description: scope.description.as_deref(),
            inherited: switches.newer_fields.then_some(scope.inherited),
        }
    }
}

pub(super) fn list(server: &Server, switches: &Switches) -> Answer {
    let item = |(id, scope): (&ScopeId, _)| ScopeItem::new(*id, scope, switches);
    let limit = switches.scope_list_limit.unwrap_or(usize::MAX);
    let items: Vec<_> = match switches.list_order {
        ListOrder::Id => server.scopes().iter().map(item).take(limit).collect(),
        ListOrder::NewestFirst => server.scopes().iter().rev().map(item).take(limit).collect(),
    };
    Answer::json(200, &items)
}

pub(super) fn create(
    system: &mut OneLogin,
    server: AppId,
    fields: &Fields,
) -> Result<Answer, Refusal> {
    let switches = &system.account.switches;
    fields.allow_only(&MEMBERS, switches.extra_fields)?;
    let scope = read_new(fields, switches)?;
    check(system, server, &scope, None)?;
    let id = system.tables.new_scope_id();
    put(system, server, id, scope);
    Ok(Answer::json(
        system.account.switches.create_scope_status,
        &json!({ "id": id }),
    ))
}

pub(super) fn update(
    system: &mut OneLogin,
    server: AppId,
    id: ScopeId,
    fields: &Fields,
) -> Result<Answer, Refusal> {
    let switches = &system.account.switches;
    let live = find(system, server, id)?;
    fields.allow_only(&MEMBERS, switches.extra_fields)?;
    let scope = Scope {
        value: match (fields.text("value")?, switches.scope_put) {
            (Field::Given(value), _) => value,
            (Field::Null, _) => String::new(),
            (Field::Absent, ScopePut::Keep) => live.value.clone(),
            (Field::Absent, ScopePut::Clear | ScopePut::Refuse) => {
                return Err(missing("value"));
            }
        },
        description: match (fields.text("description")?, switches.scope_put) {
            (Field::Given(description), _) => Some(description),
            (Field::Null, _) | (Field::Absent, ScopePut::Clear) => None,
            (Field::Absent, ScopePut::Keep) => live.description.clone(),
            (Field::Absent, ScopePut::Refuse) => return Err(missing("description")),
        },
        inherited: live.inherited,
    };
    let scope = kept(scope, switches);
    check_writable(live, switches)?;
    check(system, server, &scope, Some(id))?;
    put(system, server, id, scope);
    Ok(Answer::json(200, &json!({ "id": id })))
}

pub(super) fn delete(system: &mut OneLogin, server: AppId, id: ScopeId) -> Result<Answer, Refusal> {
    let switches = &system.account.switches;
    check_writable(find(system, server, id)?, switches)?;
    let fold = |value: &str| switches.fold(value);
    let record = system
        .tables
        .servers
        .get_mut(&server)
        .ok_or(Refusal::NotFound)?;
    if switches.delete_granted_scope == DeleteGrantedScope::Refuse
        && record.holders(id).next().is_some()
    {
        return Err(Refusal::invalid("Scope is in use by an app"));
    }
    record.remove_scope(id, fold);
    Ok(Answer::no_content())
}

/// Reads a scope that is to be made, from a call of its own or within a server's.
pub(super) fn read_new(fields: &Fields, switches: &Switches) -> Result<Scope, Refusal> {
    let value = match fields.text("value")? {
        Field::Given(value) => value,
        Field::Null => String::new(),
        Field::Absent => return Err(missing("value")),
    };
    let description = fields.text("description")?;
    if switches.description_required && description == Field::Absent {
        return Err(missing("description"));
    }
    let scope = Scope {
        value,
        description: description.given(),
        inherited: false,
    };
    Ok(kept(scope, switches))
}

/// What the account keeps of the texts that it was sent.
fn kept(scope: Scope, switches: &Switches) -> Scope {
    let keep = |text: String| match switches.scope_texts {
        ScopeTexts::AsSent => text,
        ScopeTexts::Trimmed => text.trim().to_owned(),
        ScopeTexts::LowerCase => text.to_lowercase(),
    };
    Scope {
        value: keep(scope.value),
        description: scope.description.map(keep),
        inherited: scope.inherited,
    }
}

/// The sentences that say why a scope would not be valid by itself.
pub(super) fn flaws(scope: &Scope, switches: &Switches) -> Vec<String> {
    let value = &scope.value;
    let mut flaws = Vec::new();
    if value.is_empty() {
        flaws.push("Value can't be blank".to_owned());
    }
    let allowed = match switches.scope_characters {
        ScopeCharacters::Any => true,
        ScopeCharacters::NoWhitespace => !value.chars().any(char::is_whitespace),
        // The characters of a scope-token in RFC 6749, section 3.3.
        ScopeCharacters::ScopeToken => value
            .bytes()
            .all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)),
    };
    if !allowed {
        flaws.push("Value is invalid".to_owned());
    }
    if let Some(most) = switches.max_scope_length
        && value.chars().count() > most
    {
        flaws.push(format!("Value is too long (maximum is {most} characters)"));
    }
    if switches.description_required && scope.description.as_deref().is_none_or(str::is_empty) {
        flaws.push("Description can't be blank".to_owned());
    }
    flaws
}

fn check(
    system: &OneLogin,
    server: AppId,
    scope: &Scope,
    own: Option<ScopeId>,
) -> Result<(), Refusal> {
    let switches = &system.account.switches;
    let mut flaws = flaws(scope, switches);
    if is_taken(system, server, &switches.fold(&scope.value), own) {
        flaws.push("Value has already been taken".to_owned());
    }
    if flaws.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Invalid(flaws))
    }
}

fn is_taken(system: &OneLogin, server: AppId, key: &str, own: Option<ScopeId>) -> bool {
    let taken_on = |server: &Server| server.with_value(key).iter().any(|id| Some(*id) != own);
    match system.account.switches.scope_uniqueness {
        ScopeUniqueness::None => false,
        ScopeUniqueness::Server => system.tables.servers.get(&server).is_some_and(taken_on),
        ScopeUniqueness::Account => system.tables.servers.values().any(taken_on),
    }
}

fn check_writable(scope: &Scope, switches: &Switches) -> Result<(), Refusal> {
    if scope.inherited && switches.inherited_scope_writes == Permission::Refuse {
        return Err(Refusal::invalid("Scope is inherited and cannot be changed"));
    }
    Ok(())
}

fn find(system: &OneLogin, server: AppId, id: ScopeId) -> Result<&Scope, Refusal> {
    let server = system
        .tables
        .servers
        .get(&server)
        .ok_or(Refusal::NotFound)?;
    server.scopes().get(&id).ok_or(Refusal::NotFound)
}

fn put(system: &mut OneLogin, server: AppId, id: ScopeId, scope: Scope) {
    let OneLogin {
        account, tables, ..
    } = system;
    if let Some(record) = tables.servers.get_mut(&server) {
        record.put_scope(id, scope, |value| account.switches.fold(value));
    }
}

fn missing(field: &'static str) -> Refusal {
    Refusal::MissingField {
        field,
        named: false,
    }
}
