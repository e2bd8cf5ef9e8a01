//! The authorization servers of an account.

use serde_json::{Map, Value, json};

use super::super::wire::Request;
use super::answer::{Answer, Refusal};
use super::body::{Field, Fields};
use super::switches::{ListOrder, MixedPagination, NameSearch, ServerPut};
use super::tables::{AppId, Claim, Profile, Scope, Server};
use super::{OneLogin, Switches, claims, scopes};

const MEMBERS: [&str; 5] = ["name", "description", "configuration", "scopes", "claims"];

pub(super) fn list(system: &OneLogin, request: &Request) -> Result<Answer, Refusal> {
    let switches = &system.account.switches;
    let query = request.query.as_deref().unwrap_or_default().as_bytes();
    let mut wanted = None;
    let (mut cursor, mut page) = (false, false);
    for (key, value) in url::form_urlencoded::parse(query) {
        match key.as_ref() {
            "name" => wanted = Some(value.into_owned()),
            "cursor" => cursor = true,
            "limit" | "page" => page = true,
            _ => {}
        }
    }
    if cursor && page && switches.mixed_pagination == MixedPagination::Refuse {
        return Err(Refusal::MixedPagination);
    }
    let pattern = wanted.map(|wanted| NamePattern::new(&wanted, switches.name_search));
    let servers = system.tables.servers.iter();
    let found = servers.filter(|(_, server)| {
        pattern
            .as_ref()
            .is_none_or(|pattern| pattern.matches(&server.profile.name))
    });
    let mut items: Vec<Value> = found
        .map(|(id, server)| {
            item(
                *id,
                &server.profile,
                switches,
                switches.expiration_minutes_in_list,
            )
        })
        .collect();
    if switches.list_order == ListOrder::NewestFirst {
        items.reverse();
    }
    items.truncate(switches.server_list_limit);
    Ok(Answer::json(200, &items))
}

pub(super) fn show(id: AppId, server: &Server, switches: &Switches) -> Answer {
    Answer::json(200, &item(id, &server.profile, switches, true))
}

pub(super) fn create(system: &mut OneLogin, fields: &Fields) -> Result<Answer, Refusal> {
    let switches = &system.account.switches;
    fields.allow_only(&MEMBERS, switches.extra_fields)?;
    let profile = read_profile(fields, None, switches)?;
    check(system, &profile, None)?;
    let scopes: Vec<Scope> = inline(fields, "scopes", |fields| {
        scopes::read_new(fields, switches)
    })?;
    let claims: Vec<Claim> = inline(fields, "claims", |fields| {
        claims::read_new(fields, switches)
    })?;
    let mut flaws: Vec<String> = scopes
        .iter()
        .flat_map(|scope| scopes::flaws(scope, switches))
        .collect();
    if twice(scopes.iter().map(|scope| switches.fold(&scope.value))) {
        flaws.push("Value has already been taken".to_owned());
    }
    if twice(claims.iter().map(|claim| claim.name.clone())) {
        flaws.push("Name has already been taken".to_owned());
    }
    if !flaws.is_empty() {
        return Err(Refusal::Invalid(flaws));
    }
    let mut server = Server::new(profile);
    let OneLogin {
        account, tables, ..
    } = system;
    for scope in scopes {
        server.put_scope(tables.new_scope_id(), scope, |value| {
            account.switches.fold(value)
        });
    }
    for claim in claims {
        server.claims.insert(tables.new_claim_id(), claim);
    }
    let id = tables.new_app_id();
    tables.servers.insert(id, server);
    Ok(Answer::json(201, &json!({ "id": id })))
}

pub(super) fn update(system: &mut OneLogin, id: AppId, fields: &Fields) -> Result<Answer, Refusal> {
    let switches = &system.account.switches;
    let live = system.tables.servers.get(&id).ok_or(Refusal::NotFound)?;
    let known: Vec<&str> = MEMBERS.into_iter().chain(["id"]).collect();
    fields.allow_only(&known, switches.extra_fields)?;
    let profile = read_profile(fields, Some(&live.profile), switches)?;
    check(system, &profile, Some(id))?;
    if let Some(server) = system.tables.servers.get_mut(&id) {
        server.profile = profile;
    }
    Ok(Answer::json(200, &json!({ "id": id })))
}

pub(super) fn delete(system: &mut OneLogin, id: AppId) -> Result<Answer, Refusal> {
    system.tables.servers.remove(&id).ok_or(Refusal::NotFound)?;
    Ok(Answer::no_content())
}

fn item(id: AppId, profile: &Profile, switches: &Switches, minutes: bool) -> Value {
    let Profile {
        name,
        description,
        resource_identifier,
        audiences,
        access_token_expiration_minutes,
        refresh_token_expiration_minutes,
        onelogin,
    } = profile;
    let mut configuration = Map::new();
    configuration.insert("resource_identifier".to_owned(), json!(resource_identifier));
    configuration.insert("audiences".to_owned(), json!(audiences));
    for (key, value) in [
        (
            "access_token_expiration_minutes",
            access_token_expiration_minutes,
        ),
        (
            "refresh_token_expiration_minutes",
            refresh_token_expiration_minutes,
        ),
    ] {
        if let Some(value) = value.or(switches.default_expiration_minutes)
            && minutes
        {
            configuration.insert(key.to_owned(), json!(value));
        }
    }
    let mut item = json!({ "id": id, "name": name, "description": description, "configuration": configuration });
    if switches.newer_fields {
        item["onelogin"] = json!(onelogin);
    }
    item
}

/// Reads what a server says of itself; `live` is what it said before, where there is a before.
fn read_profile(
    fields: &Fields,
    live: Option<&Profile>,
    switches: &Switches,
) -> Result<Profile, Refusal> {
    let name = match fields.text("name")? {
        Field::Given(name) => name,
        Field::Null => String::new(),
        Field::Absent => {
            return Err(Refusal::MissingField {
                field: "name",
                named: false,
            });
        }
    };
    let kept = live.filter(|_| switches.server_put == ServerPut::Merge);
    let description = match fields.text("description")? {
        Field::Given(description) => Some(description),
        Field::Absent => kept.and_then(|kept| kept.description.clone()),
        Field::Null => None,
    };
    let configuration = match fields.get("configuration") {
        None | Some(Value::Null) => Fields::of(&json!({}), "configuration")?,
        Some(configuration) => Fields::of(configuration, "configuration")?,
    };
    let minutes = |name: &str, kept: Option<u32>| match configuration.minutes(name)? {
        Field::Given(minutes) => Ok(Some(minutes)),
        Field::Absent => Ok(kept),
        Field::Null => Ok(None),
    };
    Ok(Profile {
        name,
        description,
        resource_identifier: match configuration.text("resource_identifier")? {
            Field::Given(identifier) => identifier,
            Field::Absent => kept
                .map(|kept| kept.resource_identifier.clone())
                .unwrap_or_default(),
            Field::Null => String::new(),
        },
        audiences: match configuration.texts("audiences")? {
            Field::Given(audiences) => audiences,
            Field::Absent => kept.map(|kept| kept.audiences.clone()).unwrap_or_default(),
            Field::Null => Vec::new(),
        },
        access_token_expiration_minutes: minutes(
            "access_token_expiration_minutes",
            kept.and_then(|kept| kept.access_token_expiration_minutes),
        )?,
        refresh_token_expiration_minutes: minutes(
            "refresh_token_expiration_minutes",
            kept.and_then(|kept| kept.refresh_token_expiration_minutes),
        )?,
        onelogin: live.is_some_and(|live| live.onelogin),
    })
}

fn check(system: &OneLogin, profile: &Profile, own: Option<AppId>) -> Result<(), Refusal> {
    let mut flaws = Vec::new();
    for (blank, sentence) in [
        (profile.name.is_empty(), "Name can't be blank"),
        (
            profile.resource_identifier.is_empty(),
            "Resource identifier can't be blank",
        ),
        (profile.audiences.is_empty(), "Audiences can't be blank"),
    ] {
        if blank {
            flaws.push(sentence.to_owned());
        }
    }
    let taken = |(id, server): (&AppId, &Server)| {
        Some(*id) != own && server.profile.resource_identifier == profile.resource_identifier
    };
    if system.account.switches.resource_identifier_unique
        && !profile.resource_identifier.is_empty()
        && system.tables.servers.iter().any(taken)
    {
        flaws.push("Resource identifier has already been taken".to_owned());
    }
    if flaws.is_empty() {
        Ok(())
    } else {
        Err(Refusal::Invalid(flaws))
    }
}

/// Reads the records that a server may bring along when it is made.
fn inline<T>(
    fields: &Fields,
    name: &str,
    read: impl Fn(&Fields) -> Result<T, Refusal>,
) -> Result<Vec<T>, Refusal> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| read(&Fields::of(item, name)?))
            .collect(),
        Some(_) => Err(super::body::wrong_type(name, "array")),
    }
}

fn twice(mut keys: impl Iterator<Item = String>) -> bool {
    let mut seen = std::collections::HashSet::new();
    keys.any(|key| !seen.insert(key))
}

/// What `?name=` looks for: a part of the name, or all of it where `*` stands for what may be between.
struct NamePattern {
    parts: Vec<String>,
    search: NameSearch,
}

impl NamePattern {
    fn new(wanted: &str, search: NameSearch) -> Self {
        let folded = fold(wanted, search);
        let whole = if folded.contains('*') {
            folded
        } else {
            format!("*{folded}*")
        };
        Self {
            parts: whole.split('*').map(ToOwned::to_owned).collect(),
            search,
        }
    }

    fn matches(&self, name: &str) -> bool {
        let name = fold(name, self.search);
        let [first, between @ .., last] = self.parts.as_slice() else {
            return false;
        };
        let Some(mut rest) = name.strip_prefix(first.as_str()) else {
            return false;
        };
        for part in between {
            match rest.split_once(part.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

fn fold(text: &str, search: NameSearch) -> String {
    match search {
        NameSearch::AnyCase => text.to_lowercase(),
        NameSearch::ExactCase => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_a_part_and_by_wildcards() {
        for (wanted, name, found) in [
            ("Orders", "Orders API", true),
            ("orders", "Orders API", true),
            ("API", "Orders API", true),
            ("", "Orders API", true),
            ("Orders*", "Orders API", true),
            ("*API", "Orders API", true),
            ("O*s*I", "Orders API", true),
            ("API*", "Orders API", false),
            ("Order*API*x", "Orders API", false),
            ("*", "", true),
        ] {
            assert_eq!(
                NamePattern::new(wanted, NameSearch::AnyCase).matches(name),
                found,
                "{wanted} in {name}"
            );
        }
        assert!(!NamePattern::new("orders", NameSearch::ExactCase).matches("Orders API"));
    }
}
