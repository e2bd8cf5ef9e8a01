//! WSO2, emulated: the scope registration API, the Publisher's shared scopes, and the token endpoint for the latter.
//!
//! | path | file |
//! |---|---|
//! | `/api/auth/scope-registration/v1.0/scopes` | `registration.rs` |
//! | `/api/am/publisher/v4/scopes` | `publisher.rs` |
//! | `/oauth2/token`, `/client-registration/v0.17/register` | `tokens.rs` |
//! | `/api/identity/oauth2/…` | answers 404: the Identity Server is not emulated |
//!
//! Both scope APIs are as WSO2's own code behaves, oddities included: a client that is safe here is safe there. What
//! differs between releases, or is not known, is a switch in `world.rs`.

mod accounts;
mod answer;
mod gson;
mod paging;
mod publisher;
mod registration;
mod target;
#[cfg(test)]
mod tests;
mod tokens;
mod world;

use serde_json::json;

use self::accounts::Accounts;
use self::publisher::{Publisher, Version};
use self::registration::Registration;
use self::world::{Switches, Token, World};
use super::wire::{Emulated, Label, Request, Response, UNROUTED};

const IDENTITY_SERVER: &str = "/api/identity/oauth2";
const IDENTITY_SERVER_ROUTE: &str = "/api/identity/oauth2/v1.0/scopes";

/// One WSO2 server of a world.
#[derive(Debug)]
pub(crate) struct Wso2 {
    accounts: Accounts,
    registration: Registration,
    publisher: Publisher,
    switches: Switches,
}

impl Wso2 {
    /// Makes a server of what stands below `wso2:` in a world file.
    ///
    /// # Errors
    /// What is wrong with it, naming the field.
    pub(crate) fn load(value: serde_json::Value) -> Result<Self, String> {
        let World {
            users,
            roles,
            scopes,
            publisher_version,
            shared_scopes,
            local_scopes,
            key_manager_scopes,
            authentication,
            clients,
            tokens,
            switches,
        } = serde_json::from_value(value).map_err(|error| error.to_string())?;
        let version = publisher_version
            .as_deref()
            .map(Version::parse)
            .transpose()?;
        Ok(Self {
            accounts: Accounts::new(
                authentication.unwrap_or(true),
                users,
                roles,
                clients,
                tokens,
            ),
            registration: Registration::load(scopes)?,
            publisher: Publisher::load(
                version.unwrap_or_default(),
                shared_scopes,
                local_scopes,
                key_manager_scopes,
            )?,
            switches,
        })
    }
}

impl Emulated for Wso2 {
    fn handle(&mut self, request: &Request) -> Response {
        let path = request.path.as_str();
        if is_below(path, registration::PREFIX) {
            self.registration
                .handle(request, &self.accounts, &self.switches)
        } else if is_below(path, publisher::PREFIX) {
            self.publisher
                .handle(request, &self.accounts, &self.switches)
        } else if path == tokens::TOKEN_PATH {
            tokens::issue(request, &mut self.accounts, &self.switches)
        } else if tokens::is_registration(path) {
            tokens::register(request, &mut self.accounts)
        } else if is_identity_server(path) {
            answer::value(
                IDENTITY_SERVER_ROUTE,
                404,
                &json!({
                    "code": "not_emulated",
                    "message": "Not Found",
                    "description": "The sandbox does not emulate the Identity Server: \
                        use a Target with api ScopeRegistration or Publisher.",
                }),
            )
        } else {
            answer::empty(UNROUTED, 404)
        }
    }

    fn serves(&self, path: &str) -> bool {
        is_below(path, registration::PREFIX)
            || is_below(path, publisher::PREFIX)
            || path == tokens::TOKEN_PATH
            || tokens::is_registration(path)
            || is_identity_server(path)
    }

    fn label(&self, request: &Request) -> Label {
        let path = request.path.as_str();
        let route = if is_below(path, registration::PREFIX) {
            registration::route_template(path)
        } else if is_below(path, publisher::PREFIX) {
            self.publisher.route_template(path)
        } else if path == tokens::TOKEN_PATH {
            tokens::TOKEN_PATH
        } else if tokens::is_registration(path) {
            tokens::REGISTRATION_ROUTE
        } else if is_identity_server(path) {
            IDENTITY_SERVER_ROUTE
        } else {
            UNROUTED
        };
        Label {
            route,
            token: route == tokens::TOKEN_PATH,
        }
    }

    fn reload(&mut self, world: serde_json::Value) -> Result<(), String> {
        *self = Self::load(world)?;
        Ok(())
    }

    fn expire_tokens(&mut self) {
        self.accounts.forget_tokens();
    }

    fn sessions(&self) -> serde_json::Value {
        json!(self.accounts.tokens().collect::<Vec<_>>())
    }

    fn resume(&mut self, sessions: serde_json::Value) {
        let tokens: Vec<Token> =
            serde_json::from_value(sessions).expect("these are a server's own tokens");
        self.accounts.forget_tokens();
        for token in tokens {
            self.accounts.add_token(token);
        }
    }

    fn world(&self) -> serde_json::Value {
        let (shared_scopes, local_scopes, key_manager_scopes) = self.publisher.world();
        let world = World {
            users: self.accounts.users.clone(),
            roles: self.accounts.roles.clone(),
            scopes: self.registration.world(),
            publisher_version: Some(self.publisher.version.to_string()),
            shared_scopes,
            local_scopes,
            key_manager_scopes,
            authentication: Some(self.accounts.required),
            clients: self.accounts.clients.clone(),
            tokens: self.accounts.tokens().cloned().collect(),
            switches: self.switches.clone(),
        };
        serde_json::to_value(world)
            .expect("a world holds only strings, numbers, booleans and lists of them")
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The path of the Identity Server's scopes, a tenant's included.
fn is_identity_server(path: &str) -> bool {
    let path = match path
        .strip_prefix("/t/")
        .and_then(|rest| rest.find('/').map(|end| &rest[end..]))
    {
        Some(rest) => rest,
        None => path,
    };
    is_below(path, IDENTITY_SERVER)
}
