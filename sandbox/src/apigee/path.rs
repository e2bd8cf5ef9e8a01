//! The resources of the management API, by their paths.
//!
//! A path is split before it is decoded, so that an escaped `/` stays inside its name. The template of each resource is
//! what requests are counted under.

use percent_encoding::percent_decode_str;

use super::Edition;
use super::store::HolderKind;

/// What a path below `/v1` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    Organizations,
    Organization,
    Apps,
    App {
        id: String,
    },
    Products,
    Product {
        name: String,
        sub: Attributes,
    },
    Holders(HolderKind),
    Holder {
        kind: HolderKind,
        name: String,
        sub: Attributes,
    },
    HolderApps {
        kind: HolderKind,
        holder: String,
    },
    HolderApp {
        kind: HolderKind,
        holder: String,
        app: String,
        sub: Attributes,
    },
    Keys {
        kind: HolderKind,
        holder: String,
        app: String,
    },
    Key {
        kind: HolderKind,
        holder: String,
        app: String,
        key: String,
    },
    KeyProduct {
        kind: HolderKind,
        holder: String,
        app: String,
        key: String,
        product: String,
    },
}

/// The part of an object that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attributes {
    /// The object itself.
    None,
    All,
    One(String),
}

/// What a path without a leading `/@NAME` leads to in an organization.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// Below `/v1/organizations/{organization}` or `/v1/o/{organization}`: the rest, undecoded.
    Below {
        organization: String,
        rest: &'a str,
    },
    /// `/v1/organizations` itself.
    Organizations,
    Elsewhere,
}

/// Finds the organization of a path.
pub(super) fn place(path: &str) -> Place<'_> {
    let Some(rest) = path
        .strip_prefix("/v1/organizations")
        .or_else(|| path.strip_prefix("/v1/o"))
    else {
        return Place::Elsewhere;
    };
    let Some(rest) = rest.strip_prefix('/') else {
        return if rest.is_empty() {
            Place::Organizations
        } else {
            Place::Elsewhere
        };
    };
    let (organization, rest) = rest.split_once('/').unwrap_or((rest, ""));
    match decode(organization) {
        Some(organization) if organization.is_empty() => Place::Organizations,
        Some(organization) => Place::Below { organization, rest },
        None => Place::Elsewhere,
    }
}

/// Reads what stands below an organization; `None` where there is no such resource on this edition.
pub(super) fn resource(edition: Edition, rest: &str) -> Option<Resource> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Some(Resource::Organization);
    }
    let segments: Vec<String> = rest.split('/').map(decode).collect::<Option<_>>()?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["apps"] => Some(Resource::Apps),
        ["apps", id] => Some(Resource::App {
            id: (*id).to_owned(),
        }),
        ["apiproducts"] => Some(Resource::Products),
        ["apiproducts", name, sub @ ..] => Some(Resource::Product {
            name: (*name).to_owned(),
            sub: attributes(sub)?,
        }),
        [holders, below @ ..] => below_holders(holder_kind(edition, holders)?, below),
        [] => None,
    }
}

fn holder_kind(edition: Edition, segment: &str) -> Option<HolderKind> {
    match (segment, edition) {
        ("developers", _) => Some(HolderKind::Developer),
        ("companies", Edition::Edge) => Some(HolderKind::Company),
        ("appgroups", Edition::X) => Some(HolderKind::AppGroup),
        _ => None,
    }
}

fn below_holders(kind: HolderKind, segments: &[&str]) -> Option<Resource> {
    let own = |name: &&str| (*name).to_owned();
    Some(match segments {
        [] => Resource::Holders(kind),
        [name, "apps"] => Resource::HolderApps {
            kind,
            holder: own(name),
        },
        [name, "apps", app, "keys"] | [name, "apps", app, "keys", "create"] => Resource::Keys {
            kind,
            holder: own(name),
            app: own(app),
        },
        [name, "apps", app, "keys", key] => Resource::Key {
            kind,
            holder: own(name),
            app: own(app),
            key: own(key),
        },
        [name, "apps", app, "keys", key, "apiproducts", product] => Resource::KeyProduct {
            kind,
            holder: own(name),
            app: own(app),
            key: own(key),
            product: own(product),
        },
        [name, "apps", app, sub @ ..] => Resource::HolderApp {
            kind,
            holder: own(name),
            app: own(app),
            sub: attributes(sub)?,
        },
        [name, sub @ ..] => Resource::Holder {
            kind,
            name: own(name),
            sub: attributes(sub)?,
        },
    })
}

fn attributes(segments: &[&str]) -> Option<Attributes> {
    match segments {
        [] => Some(Attributes::None),
        ["attributes"] => Some(Attributes::All),
        ["attributes", name] => Some(Attributes::One((*name).to_owned())),
        _ => None,
    }
}

fn decode(segment: &str) -> Option<String> {
    Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned())
}

/// Undoes a second escaping: clients send `%2540` for `@` in e-mails, and the service copes.
pub(super) fn decode_again(name: &str) -> Option<String> {
    name.contains('%').then(|| decode(name)).flatten()
}

/// The templates of the paths below one kind of holders.
struct HolderTemplates {
    all: &'static str,
    one: &'static str,
    one_attributes: &'static str,
    one_attribute: &'static str,
    apps: &'static str,
    app: &'static str,
    app_attributes: &'static str,
    app_attribute: &'static str,
    keys: &'static str,
    key: &'static str,
    key_product: &'static str,
}

macro_rules! holder_templates {
    ($segment:literal, $name:literal) => {
        HolderTemplates {
            all: concat!("/v1/organizations/{organization}/", $segment),
            one: concat!("/v1/organizations/{organization}/", $segment, "/", $name),
            one_attributes: concat!(
                "/v1/organizations/{organization}/",
                $segment,
                "/",
                $name,
                "/attributes"
            ),
            one_attribute: concat!(
                "/v1/organizations/{organization}/",
                $segment,
                "/",
                $name,
                "/attributes/{attribute}"
            ),
            apps: concat!(
                "/v1/organizations/{organization}/",
                $segment,
                "/",
                $name,
                "/apps"
            ),
            app: concat!(
                "/v1/organizations/{organization}/",
                $segment,
                "/",
                $name,
                "/apps/{app}"
            ),
            app_attributes: concat!(
                "/v1/organizations/{organization}/",
                $segment,
                "/",
                $name,
                "/apps/{app}/attributes"
            ),
            app_attribute: concat!(
                "/v1/organizations/{organization}/",
                $segment,
                "/",
                $name,
                "/apps/{app}/attributes/{attribute}"
            ),
            keys: concat!(
                "/v1/organizations/{organization}/",
                $segment,
                "/",
                $name,
                "/apps/{app}/keys"
            ),
            key: concat!(
                "/v1/organizations/{organization}/",
                $segment,
                "/",
                $name,
                "/apps/{app}/keys/{key}"
            ),
            key_product: concat!(
                "/v1/organizations/{organization}/",
                $segment,
                "/",
                $name,
                "/apps/{app}/keys/{key}/apiproducts/{product}"
            ),
        }
    };
}

static DEVELOPERS: HolderTemplates = holder_templates!("developers", "{developer}");
static COMPANIES: HolderTemplates = holder_templates!("companies", "{company}");
static APP_GROUPS: HolderTemplates = holder_templates!("appgroups", "{appGroup}");

impl HolderKind {
    fn templates(self) -> &'static HolderTemplates {
        match self {
            Self::Developer => &DEVELOPERS,
            Self::Company => &COMPANIES,
            Self::AppGroup => &APP_GROUPS,
        }
    }
}

impl Resource {
    /// The template that requests for this resource are counted under.
    pub(super) fn template(&self) -> &'static str {
        match self {
            Self::Organizations => "/v1/organizations",
            Self::Organization => "/v1/organizations/{organization}",
            Self::Apps => "/v1/organizations/{organization}/apps",
            Self::App { .. } => "/v1/organizations/{organization}/apps/{appId}",
            Self::Products => "/v1/organizations/{organization}/apiproducts",
            Self::Product { sub, .. } => match sub {
                Attributes::None => "/v1/organizations/{organization}/apiproducts/{product}",
                Attributes::All => {
                    "/v1/organizations/{organization}/apiproducts/{product}/attributes"
                }
                Attributes::One(_) => {
                    "/v1/organizations/{organization}/apiproducts/{product}/attributes/{attribute}"
                }
            },
            Self::Holders(kind) => kind.templates().all,
            Self::Holder { kind, sub, .. } => match sub {
                Attributes::None => kind.templates().one,
                Attributes::All => kind.templates().one_attributes,
                Attributes::One(_) => kind.templates().one_attribute,
            },
            Self::HolderApps { kind, .. } => kind.templates().apps,
            Self::HolderApp { kind, sub, .. } => match sub {
                Attributes::None => kind.templates().app,
                Attributes::All => kind.templates().app_attributes,
                Attributes::One(_) => kind.templates().app_attribute,
            },
            Self::Keys { kind, .. } => kind.templates().keys,
            Self::Key { kind, .. } => kind.templates().key,
            Self::KeyProduct { kind, .. } => kind.templates().key_product,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_an_organization_and_a_trailing_slash_are_known() {
        for (path, rest) in [
            ("/v1/o/acme/apps", "apps"),
            ("/v1/organizations/acme/apps", "apps"),
            ("/v1/organizations/acme", ""),
            ("/v1/organizations/acme/", ""),
        ] {
            let organization = "acme".to_owned();
            assert_eq!(place(path), Place::Below { organization, rest }, "{path}");
        }
        assert_eq!(place("/v1/organizations/"), Place::Organizations);
        assert_eq!(place("/v1/other/acme"), Place::Elsewhere);
    }

    #[test]
    fn names_are_decoded_after_the_path_is_split() {
        let found = resource(
            Edition::X,
            "developers/ann%40example.com/apps/my%20app%2F1/keys/k",
        )
        .unwrap();
        let expected = Resource::Key {
            kind: HolderKind::Developer,
            holder: "ann@example.com".to_owned(),
            app: "my app/1".to_owned(),
            key: "k".to_owned(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn each_edition_has_its_own_teams() {
        assert!(resource(Edition::Edge, "companies/c/apps").is_some());
        assert!(resource(Edition::Edge, "appgroups/g/apps").is_none());
        assert!(resource(Edition::X, "appgroups/g/apps").is_some());
        assert!(resource(Edition::X, "companies/c/apps").is_none());
    }

    #[test]
    fn a_resource_is_counted_under_its_template() {
        for (rest, template) in [
            (
                "apiproducts/p",
                "/v1/organizations/{organization}/apiproducts/{product}",
            ),
            (
                "developers/a@b.c/apps/x/keys/create",
                "/v1/organizations/{organization}/developers/{developer}/apps/{app}/keys",
            ),
            (
                "appgroups/g/apps/x/keys/k/apiproducts/p",
                "/v1/organizations/{organization}/appgroups/{appGroup}/apps/{app}/keys/{key}/apiproducts/{product}",
            ),
        ] {
            assert_eq!(resource(Edition::X, rest).unwrap().template(), template);
        }
        assert_eq!(resource(Edition::X, "environments/test"), None);
    }
}
