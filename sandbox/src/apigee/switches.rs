//! What the published facts do not settle, as settings of a world.
//!
//! Every switch is a question about the live system with a default answer; `docs/fidelity.md` lists them with their
//! sources. A client that is right under both answers needs no luck in production.

use serde::{Deserialize, Serialize};

use super::Edition;

/// The answers that a world file may change, below `switches`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Switches {
    /// What a PUT on a key without `scopes` does to the stored list.
    pub(super) key_put_without_scopes: Omitted,
    /// What a PUT on a key without `attributes` does to the stored ones.
    pub(super) key_put_without_attributes: Omitted,
    /// What a POST on a key does with `scopes`; by default X replaces the list and Edge ignores the member.
    pub(super) key_post_scopes: Option<PostedScopes>,
    /// Whether `scopes: []` in a POST on a key clears the list; in proto3 it cannot be told from an absent one.
    pub(super) key_post_empty_scopes: EmptyList,
    /// What becomes of `null` among the entries of a list; by default X passes over it and Edge refuses the body.
    pub(super) null_entries: Option<NullEntries>,
    /// Which products a scope list is checked against: those of the key, or those of all keys of its app.
    pub(super) scope_check: ScopeCheck,
    /// Whether a product that is pending or revoked on a key lends its scopes to the check.
    pub(super) unapproved_products: Counted,
    /// Whether scope names that differ only in case are the same name.
    pub(super) scope_names: Case,
    /// Whether the scopes sent when an app is created are checked against its products.
    pub(super) app_create_scopes: Checked,
    /// Whether a scope that leaves a product, or leaves a key with a product, is taken out of stored key lists.
    pub(super) shrink_prunes_keys: bool,
    /// Whether the undocumented PUT on a company's key works.
    pub(super) company_key_put: bool,
    /// What a product PUT does to the members that it leaves out, `scopes` included.
    pub(super) product_put_omitted: Omitted,
    /// What a POST on an app group's key with scopes and no attributes does to the stored attributes.
    pub(super) app_group_key_omitted_attributes: Omitted,
    /// What a POST on an app group's key does with the scopes that it names.
    pub(super) app_group_key_post_scopes: GivenList,
    /// What becomes of an empty name among a key's scopes.
    pub(super) blank_key_scopes: Blank,
    /// The order in which scope lists come back.
    pub(super) scope_order: Order,
    /// The order in which an app's credentials come back.
    pub(super) credential_order: Order,
    /// Whether the organization pages its lists (Public Cloud); without it, Edge answers everything at once.
    pub(super) cps: bool,
    /// What a `startKey` without its `count` or `rows` does.
    pub(super) start_key_alone: StartKeyAlone,
    /// What `expand=true` together with `count` or `startKey` does on the lists whose documents rule that out.
    pub(super) expand_with_count: ExpandWithCount,
    /// Whether X's `/apps` carries `nextPageToken` and `totalSize` for requests that name no page either.
    pub(super) page_token_always: bool,
    /// Whether X's `/apps` lists an app none of whose keys has the wanted `keyStatus`.
    pub(super) apps_without_matching_keys: Listed,
    /// What stands in `appId` of X's unexpanded list of a developer's apps.
    pub(super) listed_app_id: ListedAppId,
    /// Whether X's `/apps` carries `developerEmail`.
    pub(super) listed_developer_email: bool,
    /// What becomes of upper-case letters in a new developer's e-mail; by default X refuses them and Edge keeps them.
    pub(super) upper_case_emails: Option<UpperCase>,
    /// Whether e-mails in paths are compared without regard to case.
    pub(super) email_lookup: Case,
    /// Whether X's errors carry `details` with the code that Edge would give.
    pub(super) error_details: bool,
    /// Whether Edge's management API takes Basic authentication.
    pub(super) basic_auth: bool,
    /// The status of Edge's answer to a wrong user or password on the management API.
    pub(super) bad_password_status: u16,
    /// How long an access token lives, in seconds.
    pub(super) token_seconds: i64,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            key_put_without_scopes: Omitted::Keep,
            key_put_without_attributes: Omitted::Keep,
            key_post_scopes: None,
            key_post_empty_scopes: EmptyList::Ignore,
            null_entries: None,
            scope_check: ScopeCheck::Key,
            unapproved_products: Counted::Count,
            scope_names: Case::Sensitive,
            app_create_scopes: Checked::Check,
            shrink_prunes_keys: false,
            company_key_put: true,
            product_put_omitted: Omitted::Clear,
            app_group_key_omitted_attributes: Omitted::Keep,
            app_group_key_post_scopes: GivenList::Replace,
            blank_key_scopes: Blank::Drop,
            scope_order: Order::Stored,
            credential_order: Order::Stored,
            cps: true,
            start_key_alone: StartKeyAlone::Honour,
            expand_with_count: ExpandWithCount::Honour,
            page_token_always: false,
            apps_without_matching_keys: Listed::List,
            listed_app_id: ListedAppId::Name,
            listed_developer_email: false,
            upper_case_emails: None,
            email_lookup: Case::Sensitive,
            error_details: true,
            basic_auth: true,
            bad_password_status: 403,
            token_seconds: 3600,
        }
    }
}

impl Switches {
    /// The handling of `scopes` in a POST on a key, with the edition's default.
    pub(super) fn posted_scopes(&self, edition: Edition) -> PostedScopes {
        self.key_post_scopes.unwrap_or(match edition {
            Edition::Edge => PostedScopes::Ignore,
            Edition::X => PostedScopes::Replace,
        })
    }

    /// The handling of null in a list, with the edition's default.
    pub(super) fn null_entries(&self, edition: Edition) -> NullEntries {
        self.null_entries.unwrap_or(match edition {
            Edition::Edge => NullEntries::Refuse,
            Edition::X => NullEntries::Drop,
        })
    }

    /// The handling of upper case in a new e-mail, with the edition's default.
    pub(super) fn upper_case(&self, edition: Edition) -> UpperCase {
        self.upper_case_emails.unwrap_or(match edition {
            Edition::Edge => UpperCase::Keep,
            Edition::X => UpperCase::Refuse,
        })
    }

    /// Whether all switches stand at their defaults, so that the world file can leave them out.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Declares an enum of answers to one question, spelled in camelCase in the world file.
macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($answer:ident),+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(rename_all = "camelCase")]
            pub(super) enum $name { $($answer),+ }
        )+
    };
}

answers! {
    /// The fate of what a PUT leaves out.
    Omitted { Keep, Clear }
    /// What a list does to the one that is there.
    GivenList { Replace, Merge }
    /// What a POST on a key does with `scopes`.
    PostedScopes { Replace, Merge, Ignore }
    /// What an empty list in a POST means.
    EmptyList { Ignore, Clear }
    /// The fate of null among the entries of a list.
    NullEntries { Drop, Refuse }
    /// The products that allow a scope.
    ScopeCheck { Key, App }
    /// Whether something counts.
    Counted { Count, Ignore }
    /// How names compare.
    Case { Sensitive, Insensitive }
    /// Whether a list is checked.
    Checked { Check, Accept }
    /// What happens to an empty name.
    Blank { Drop, Keep }
    /// The order of a list in answers.
    Order { Stored, Reversed }
    /// The effect of a `startKey` without a page size.
    StartKeyAlone { Honour, Ignore, Refuse }
    /// The effect of `expand` together with paging.
    ExpandWithCount { Honour, ExpandOnly, Refuse }
    /// Whether something is listed.
    Listed { List, Hide }
    /// What an unexpanded app is named by.
    ListedAppId { Name, Id }
    /// The handling of upper case in a new e-mail.
    UpperCase { Refuse, Lower, Keep }
}
