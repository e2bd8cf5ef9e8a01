//! What OneLogin does where no page, no report and no client says so: one switch each, with the default that the known
//! facts make likeliest. `docs/fidelity.md` holds the question behind every one of them.

use serde::{Deserialize, Serialize};

/// The switches of an account; every one may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Switches {
    /// 200 by the documentation, 201 by analogy with servers and clients.
    pub(super) create_scope_status: u16,
    pub(super) scope_uniqueness: ScopeUniqueness,
    pub(super) scope_case: ScopeCase,
    pub(super) scope_characters: ScopeCharacters,
    /// In characters; no limit where `null`.
    pub(super) max_scope_length: Option<usize>,
    pub(super) description_required: bool,
    pub(super) scope_texts: ScopeTexts,
    pub(super) scope_put: ScopePut,
    pub(super) delete_granted_scope: DeleteGrantedScope,
    pub(super) inherited_scope_writes: Permission,
    pub(super) attach_twice: AttachTwice,
    pub(super) empty_grant: Permission,
    pub(super) absent_grant: AbsentGrant,
    pub(super) client_put_extra_fields: Permission,
    pub(super) extra_fields: Permission,
    pub(super) server_put: ServerPut,
    pub(super) resource_identifier_unique: bool,
    /// What a server has for its two expiries where none were given; absent from answers where `null`.
    pub(super) default_expiration_minutes: Option<u32>,
    pub(super) expiration_minutes_in_list: bool,
    pub(super) claim_put: ClaimPut,
    /// Whether answers carry `onelogin` and `inherited`.
    pub(super) newer_fields: bool,
    pub(super) name_search: NameSearch,
    pub(super) server_list_limit: usize,
    /// How many scopes a list shows; all where `null`.
    pub(super) scope_list_limit: Option<usize>,
    /// How many clients a list shows; all where `null`.
    pub(super) client_list_limit: Option<usize>,
    pub(super) list_order: ListOrder,
    pub(super) mixed_pagination: MixedPagination,
    pub(super) malformed_json: MalformedJson,
    pub(super) read_all_reads: bool,
    /// 401 as for an unknown token, or 403.
    pub(super) insufficient_access_status: u16,
    pub(super) v1_token_replaces: bool,
    pub(super) rate_limit_per_hour: u32,
    pub(super) rate_limit_counts_v2: bool,
    pub(super) rate_limit_headers: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            create_scope_status: 200,
            scope_uniqueness: ScopeUniqueness::Server,
            scope_case: ScopeCase::Sensitive,
            scope_characters: ScopeCharacters::NoWhitespace,
            max_scope_length: Some(255),
            description_required: false,
            scope_texts: ScopeTexts::AsSent,
            scope_put: ScopePut::Keep,
            delete_granted_scope: DeleteGrantedScope::Cascade,
            inherited_scope_writes: Permission::Refuse,
            attach_twice: AttachTwice::Refuse,
            empty_grant: Permission::Accept,
            absent_grant: AbsentGrant::Empty,
            client_put_extra_fields: Permission::Refuse,
            extra_fields: Permission::Accept,
            server_put: ServerPut::Replace,
            resource_identifier_unique: true,
            default_expiration_minutes: None,
            expiration_minutes_in_list: false,
            claim_put: ClaimPut::Partial,
            newer_fields: true,
            name_search: NameSearch::AnyCase,
            server_list_limit: 1000,
            scope_list_limit: None,
            client_list_limit: None,
            list_order: ListOrder::Id,
            mixed_pagination: MixedPagination::Ignore,
            malformed_json: MalformedJson::Html,
            read_all_reads: true,
            insufficient_access_status: 401,
            v1_token_replaces: true,
            rate_limit_per_hour: 5000,
            rate_limit_counts_v2: false,
            rate_limit_headers: false,
        }
    }
}

impl Switches {
    /// Says which switch has a value that it cannot have.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self {
                create_scope_status: 200 | 201,
                insufficient_access_status: 401 | 403,
                ..
            } => Ok(()),
            Self {
                create_scope_status: 200 | 201,
                ..
            } => Err("the switch insufficientAccessStatus is 401 or 403".to_owned()),
            Self { .. } => Err("the switch createScopeStatus is 200 or 201".to_owned()),
        }
    }
}

/// Declares the closed choices; each variant's name in camel case is what stands in the world file.
macro_rules! choices {
    ($($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident),+ $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub(crate) enum $name { $($(#[$variant_meta])* $variant),+ }
    )+};
}

choices! {
    /// Whether something is let through.
    Permission { Accept, Refuse }
    /// Among which scopes a value is unique.
    ScopeUniqueness { Server, Account, None }
    /// Whether two values that differ in case only are the same.
    ScopeCase { Sensitive, Insensitive }
    /// Which characters a value may have.
    ScopeCharacters { NoWhitespace, ScopeToken, Any }
    /// What is kept of a scope's value and description.
    ScopeTexts { AsSent, Trimmed, LowerCase }
    /// What a scope's PUT does with a field that it does not name.
    ScopePut { Keep, Clear, Refuse }
    /// What becomes of the deletion of a scope that clients hold.
    DeleteGrantedScope { Cascade, Refuse }
    /// What a second POST for a client does.
    AttachTwice { Refuse, Replace }
    /// What a client's PUT without `scopes` means.
    AbsentGrant { Empty, Keep, Refuse }
    /// What a server's PUT does with a field that it does not name.
    ServerPut { Replace, Merge }
    /// Whether a claim's PUT needs the name.
    ClaimPut { Partial, NameRequired }
    /// How `?name=` compares.
    NameSearch { AnyCase, ExactCase }
    /// The order of lists.
    ListOrder { Id, NewestFirst }
    /// What `cursor` beside `limit` or `page` does on these lists, which have no pages.
    MixedPagination { Ignore, Refuse }
    /// The body of the answer to a request that is no JSON.
    MalformedJson { Html, Json }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_switch_is_described_in_the_fidelity_page() {
        let page = include_str!("../../../docs/fidelity.md");
        let Value::Object(switches) = serde_json::to_value(Switches::default()).unwrap() else {
            unreachable!()
        };
        for (name, default) in switches {
            let row = page
                .lines()
                .find(|line| line.contains(&format!("| `{name}` |")));
            let row = row.unwrap_or_else(|| panic!("docs/fidelity.md has no row for `{name}`"));
            let shown = default
                .as_str()
                .map_or(default.to_string(), ToOwned::to_owned);
            assert!(
                row.contains(&format!("| `{shown}`")),
                "`{name}` is {shown} by default, and its row says: {row}"
            );
        }
    }

    #[test]
    fn a_misspelled_switch_is_refused() {
        assert!(serde_json::from_value::<Switches>(json!({ "scopeCases": "sensitive" })).is_err());
        assert!(serde_json::from_value::<Switches>(json!({ "scopeCase": "loud" })).is_err());
        let set: Switches = serde_json::from_value(json!({ "scopeCase": "insensitive" })).unwrap();
        assert_eq!(
            set,
            Switches {
                scope_case: ScopeCase::Insensitive,
                ..Switches::default()
            }
        );
    }
}
