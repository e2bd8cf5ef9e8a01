//! Who may call: users, OAuth clients and the tokens given to them.
//!
//! Both scope APIs take HTTP Basic against the same users. The Publisher takes a Bearer token as well, which
//! `tokens.rs` gives out.

use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jiff::Timestamp;

use super::world::{Client, Token, User};

/// Like Java's decoders: padding is welcome and not needed, and stray bits at the end are ignored.
const JAVA: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, JAVA);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, JAVA);

/// Decodes text that was written in base64.
pub(super) fn decode_base64(text: &str) -> Option<String> {
    decode(&STANDARD, text)
}

/// Decodes text that was written in base64url.
pub(super) fn decode_base64url(text: &str) -> Option<String> {
    decode(&URL_SAFE, text)
}

fn decode(engine: &GeneralPurpose, text: &str) -> Option<String> {
    let bytes = engine.decode(text).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Everybody and everything that may log in.
#[derive(Debug)]
pub(super) struct Accounts {
    /// False where the server was started without its authentication layer: then nobody is asked.
    pub(super) required: bool,
    pub(super) users: Vec<User>,
    pub(super) roles: Vec<String>,
    pub(super) clients: Vec<Client>,
    /// By access token.
    tokens: BTreeMap<String, Token>,
}

impl Accounts {
    pub(super) fn new(
        required: bool,
        users: Vec<User>,
        roles: Vec<String>,
        clients: Vec<Client>,
        tokens: Vec<Token>,
    ) -> Self {
        Self {
            required,
            users,
            roles,
            clients,
            tokens: tokens
                .into_iter()
                .map(|token| (token.access.clone(), token))
                .collect(),
        }
    }

    pub(super) fn user(&self, username: &str, password: &str) -> Option<&User> {
        self.users
            .iter()
            .find(|user| user.username == username && user.password == password)
    }

    pub(super) fn client(&self, client_id: &str, client_secret: &str) -> Option<&Client> {
        self.clients
            .iter()
            .find(|client| client.id == client_id && client.secret == client_secret)
    }

    /// The scopes of a Bearer token, unless it is unknown or has expired.
    pub(super) fn token(&self, access: &str, now: Timestamp) -> Option<&Token> {
        self.tokens.get(access).filter(|token| now < token.expires)
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }

    pub(super) fn add_token(&mut self, token: Token) {
        self.tokens.insert(token.access.clone(), token);
    }

    pub(super) fn remove_token(&mut self, access: &str) {
        self.tokens.remove(access);
    }

    pub(super) fn forget_tokens(&mut self) {
        self.tokens.clear();
    }

    /// Whether the user store knows a role.
    pub(super) fn has_role(&self, role: &str) -> bool {
        BUILT_IN_ROLES.contains(&role)
            || self.roles.iter().any(|known| known == role)
            || self
                .users
                .iter()
                .any(|user| user.roles.iter().any(|held| held == role))
    }
}

const BUILT_IN_ROLES: [&str; 4] = [
    "admin",
    "Internal/everyone",
    "Internal/creator",
    "Internal/publisher",
];

/// Whether a user's roles give an OAuth scope of the Publisher, by the mapping that a tenant starts with.
pub(super) fn roles_grant(roles: &[String], scope: &str) -> bool {
    let holders: &[&str] = match scope {
        "apim:api_view" => &[
            "admin",
            "Internal/publisher",
            "Internal/creator",
            "Internal/analytics",
            "Internal/observer",
        ],
        "apim:api_create" => &["admin", "Internal/creator"],
        "apim:api_publish" => &["admin", "Internal/publisher"],
        _ if scope.starts_with("apim:") => &["admin"],
        // Scopes without a mapping have no roles, and those are issued to any user.
        _ => return true,
    };
    roles.iter().any(|role| holders.contains(&role.as_str()))
}
