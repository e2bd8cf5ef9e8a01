//! Names and ids, each a type of its own, so that none is passed where another belongs.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Defines a newtype over `String` whose text is taken as it is.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// Borrows the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text! {
    /// A role that a scope is bound to, as the system names it.
    RoleName
}
text! {
    /// The id that a system gave an object: a number on OneLogin, a UUID on WSO2 Publisher.
    RemoteId
}
text! {
    /// What a target really is: system, canonical URL, and server, tenant or organization. Two targets of one identity
    /// are the same place under two names, and an inventory is keyed by it.
    LiveIdentity
}
text! {
    /// What tells an inventory from every other: random, made with it, and kept for as long as it is.
    Lineage
}
text! {
    /// The consumer key of an Apigee app. An identifier, not a secret; shown shortened where people read it.
    ConsumerKey
}
impl ConsumerKey {
    /// The key with its middle left out, for people.
    pub fn shortened(&self) -> String {
        let characters: Vec<char> = self.0.chars().collect();
        if characters.len() <= 8 {
            return self.0.clone();
        }
        let head: String = characters[..3].iter().collect();
        let tail: String = characters[characters.len() - 2..].iter().collect();
        format!("{head}…{tail}")
    }
}

/// The name of a scope: what a token carries.
///
/// A declared name is 1 to 255 characters of RFC 6749's scope-token (`%x21 / %x23-5B / %x5D-7E`). A live one is whatever
/// the system answered, since a foreign scope may break every rule and still has to be counted, shown and left alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ScopeName(String);

/// Why a text cannot be declared as the name of a scope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidScopeName {
    /// The text has no characters.
    #[error("a scope's name cannot be empty")]
    Empty,
    /// The text is longer than 255 characters.
    #[error("a scope's name has at most 255 characters, this one has {0}")]
    TooLong(usize),
    /// A character that RFC 6749 keeps out of scope tokens.
    #[error(
        "{character:?} at character {position} cannot stand in a scope's name (RFC 6749, scope-token)"
    )]
    Character {
        /// The offending character.
        character: char,
        /// Its place, counted from 1.
        position: usize,
    },
}

impl ScopeName {
    /// Checks a name that a manifest declares.
    pub fn declared(text: &str) -> Result<Self, InvalidScopeName> {
        let length = text.chars().count();
        if length == 0 {
            return Err(InvalidScopeName::Empty);
        }
        if length > 255 {
            return Err(InvalidScopeName::TooLong(length));
        }
        let allowed = |c: char| matches!(c, '\u{21}' | '\u{23}'..='\u{5B}' | '\u{5D}'..='\u{7E}');
        match text.chars().zip(1..).find(|(c, _)| !allowed(*c)) {
            Some((character, position)) => Err(InvalidScopeName::Character {
                character,
                position,
            }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// Takes a name that a live system answered, whatever it holds.
    pub fn observed(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Borrows the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScopeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A target's place among the manifests: namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub struct TargetId {
    /// The namespace; `default` where a file leaves it out.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl From<TargetId> for String {
    fn from(id: TargetId) -> Self {
        id.to_string()
    }
}

impl From<String> for TargetId {
    fn from(text: String) -> Self {
        match text.split_once('/') {
            Some((namespace, name)) => Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
            None => Self {
                namespace: "default".to_owned(),
                name: text,
            },
        }
    }
}

/// Who owns an Apigee app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AppOwner {
    /// A developer, by e-mail.
    Developer(String),
    /// A company (Edge).
    Company(String),
    /// An app group (X).
    AppGroup(String),
}

/// An app whose scopes are managed as a full list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AppRef {
    /// A client of a OneLogin authorization server, by the id of its OIDC app.
    #[serde(rename_all = "camelCase")]
    OneLogin {
        /// `app_id`.
        app_id: u64,
    },
    /// One key of an Apigee app.
    #[serde(rename_all = "camelCase")]
    Apigee {
        /// The developer, company or app group.
        owner: AppOwner,
        /// The app's name.
        app: String,
        /// The key; left out in a manifest when the app has exactly one approved key, always there once observed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<ConsumerKey>,
    },
}

/// What an app is live, whichever spelling leads to it: Apigee knows a developer by e-mail, in any case, and by id, and a
/// consumer key is one in its organization.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum AppIdentity<'a> {
    /// A client of a OneLogin authorization server.
    Client(u64),
    /// An Apigee key.
    Key(&'a ConsumerKey),
    /// An Apigee app whose key is not known.
    App(AppOwner, &'a str),
}

impl fmt::Display for AppRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneLogin { app_id } => write!(f, "{app_id}"),
            Self::Apigee { owner, app, key } => {
                let (AppOwner::Developer(owner)
                | AppOwner::Company(owner)
                | AppOwner::AppGroup(owner)) = owner;
                write!(f, "{app} ({owner})")?;
                key.iter()
                    .try_for_each(|key| write!(f, " / {}", key.shortened()))
            }
        }
    }
}

impl AppRef {
    /// What it leads to.
    pub fn identity(&self) -> AppIdentity<'_> {
        match self {
            Self::OneLogin { app_id } => AppIdentity::Client(*app_id),
            Self::Apigee { key: Some(key), .. } => AppIdentity::Key(key),
            Self::Apigee { owner, app, .. } => {
                let owner = match owner {
                    AppOwner::Developer(email) => AppOwner::Developer(email.to_lowercase()),
                    AppOwner::Company(_) | AppOwner::AppGroup(_) => owner.clone(),
                };
                AppIdentity::App(owner, app)
            }
        }
    }

    /// The same with its key left out.
    pub fn keyless(&self) -> Self {
        match self {
            Self::OneLogin { app_id } => Self::OneLogin { app_id: *app_id },
            Self::Apigee { owner, app, .. } => Self::Apigee {
                owner: owner.clone(),
                app: app.clone(),
                key: None,
            },
        }
    }

    /// The whole reference as a path: `1026152`, `developers/ann@example.com/apps/shop/keys/k3y`.
    pub fn path(&self) -> String {
        match self {
            Self::OneLogin { app_id } => app_id.to_string(),
            Self::Apigee { owner, app, key } => {
                let (collection, owner) = match owner {
                    AppOwner::Developer(email) => ("developers", email),
                    AppOwner::Company(name) => ("companies", name),
                    AppOwner::AppGroup(name) => ("appgroups", name),
                };
                let key = key
                    .as_ref()
                    .map(|key| format!("/keys/{key}"))
                    .unwrap_or_default();
                format!("{collection}/{owner}/apps/{app}{key}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_name_holds_scope_token_characters_alone() {
        assert!(ScopeName::declared("urn:acme/orders.read~%2F#[]{}|^`").is_ok());
        assert_eq!(ScopeName::declared(""), Err(InvalidScopeName::Empty));
        assert_eq!(
            ScopeName::declared(&"x".repeat(256)),
            Err(InvalidScopeName::TooLong(256))
        );
        for (text, character, position) in [
            ("a b", ' ', 2),
            ("\"", '"', 1),
            ("a\\", '\\', 2),
            ("é", 'é', 1),
        ] {
            assert_eq!(
                ScopeName::declared(text),
                Err(InvalidScopeName::Character {
                    character,
                    position
                })
            );
        }
    }

    #[test]
    fn a_consumer_key_is_shortened_for_people() {
        assert_eq!(ConsumerKey::new("k3y").shortened(), "k3y");
        assert_eq!(ConsumerKey::new("k3y456789f").shortened(), "k3y…9f");
    }
}
