//! How Edge and X are signed in to.
//!
//! | edition | the credential has | requests carry |
//! |---|---|---|
//! | Edge | `token` | it |
//! | | `refreshToken` | a token from the sign-in host |
//! | | `username`, `password` | both; with `auth: OAuth` a token from the sign-in host |
//! | X | `token` | it |
//! | | `serviceAccountKey` | a token that the key signs, for the scope `cloud-platform` |
//! | | `url` alone | a token of the machine: workload identity, or what `gcloud` left |
//!
//! The sign-in host is the credential's `tokenUrl`, or Apigee's own where the credential is for Apigee's own cloud: never a
//! setting of a target, so that nobody who may edit a target can have a password sent elsewhere. A token goes to the URL that the credential names; for the machine's
//! own identity, too, the credential has to name it.

use async_trait::async_trait;
use google_cloud_auth::credentials::{AccessTokenCredentials, Builder, service_account};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::model::Target;
use crate::model::target::ApigeeAuth;
use crate::provider::http::{Auth, Token, TokenCalls, TokenSource};
use crate::provider::oauth::TokenAnswer;
use crate::provider::{Cause, Credential, ProviderError};

/// Where Apigee signs people in.
const SIGN_IN: &str = "https://login.apigee.com/oauth/token";

/// The OAuth client that Apigee publishes for command-line tools; it is no secret.
const CLIENT: (&str, &str) = ("edgecli", "edgeclisecret");

/// What a token may be used for on X.
const CLOUD_PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How long Google's library is asked no more for a token. It keeps a fresh one by itself.
const KEPT: SignedDuration = SignedDuration::from_mins(5);

/// How long the machine's own identity is waited for: where there is none, its server is nowhere.
const MACHINE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// How Edge is signed in to; in the sandbox every token request stays there.
pub(super) fn edge(
    target: &Target,
    credential: &Credential,
    auth: Option<ApigeeAuth>,
    sandboxed: bool,
) -> Result<Auth, ProviderError> {
    let named = || credential.require(target, ["username", "password"]);
    let basic = || {
        let [username, password] = named()?;
        Ok(Auth::Basic {
            username: username.expose_secret().to_owned(),
            password: password.clone(),
        })
    };
    if auth == Some(ApigeeAuth::Basic) {
        return basic();
    }
    if let Some(token) = credential.get("token") {
        return Ok(Auth::Bearer(token.clone()));
    }
    let refresh = credential.get("refreshToken").cloned();
    if auth.is_none() && refresh.is_none() {
        return basic();
    }
    let has_name = credential.get("username").is_some();
    let user = if refresh.is_none() || has_name {
        let [username, password] = named()?;
        Some(User {
            username: username.expose_secret().to_owned(),
            password: password.clone(),
            mfa_token: credential.get("mfaToken").cloned(),
        })
    } else {
        None
    };
    let url = match credential.token_url(target)? {
        Some(url) => url,
        None if sandboxed || is_for_apigees_cloud(credential) => {
            Url::parse(SIGN_IN).expect("a constant URL")
        }
        None => {
            let why = format!("{credential} does not say where its tokens come from");
            return Err(ProviderError::new(
                format!("open target \"{}\"", target.id),
                Cause::Credential(why),
            )
            .with_help(
                "add the key `tokenUrl`: a private cloud has a sign-in host of its own, and Apigee's is not told its passwords",
            ));
        }
    };
    Ok(Auth::Token(Box::new(SignIn {
        url,
        user,
        refresh: Mutex::new(refresh),
    })))
}

/// Whether a credential is for Apigee's own cloud.
fn is_for_apigees_cloud(credential: &Credential) -> bool {
    let url = credential
        .text("url")
        .and_then(|url| Url::parse(url.trim()).ok());
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let host = host.trim_end_matches('.');
    host == "apigee.com" || host.ends_with(".apigee.com")
}

/// How X is signed in to.
pub(super) fn x(
    target: &Target,
    credential: &Credential,
    auth: Option<ApigeeAuth>,
) -> Result<Auth, ProviderError> {
    let doing = || format!("open target \"{}\"", target.id);
    if auth.is_some() {
        let why = "`auth` says how Edge is signed in to: leave it out on X".to_owned();
        return Err(ProviderError::new(doing(), Cause::Configuration(why)));
    }
    if let Some(token) = credential.get("token") {
        return Ok(Auth::Bearer(token.clone()));
    }
    let source = if let Some(key) = credential.get("serviceAccountKey") {
        let why = |why: &str| {
            let why = format!("the key `serviceAccountKey` of {credential} {why}");
            ProviderError::new(doing(), Cause::Credential(why))
        };
        Identity::ServiceAccount(service_account_key(key).map_err(why)?)
    } else if credential.get("url").is_some() {
        Identity::Machine
    } else {
        // On loopback a credential may leave the URL out; the machine's identity is sent nowhere by default.
        let why = format!("{credential} has neither `token` nor `serviceAccountKey`");
        return Err(ProviderError::new(doing(), Cause::Credential(why))
            .with_help("to use the machine's own identity, add the key `url`: it is sent there and nowhere else"));
    };
    Ok(Auth::Token(Box::new(Google {
        identity: source,
        credentials: Mutex::new(None),
    })))
}

/// Checks what Google's library needs of a service account's key, without a word of its content.
fn service_account_key(text: &SecretString) -> Result<Value, &'static str> {
    /// The fields without which no token can be signed.
    #[derive(Deserialize)]
    struct Needed {
        #[serde(rename = "type")]
        kind: String,
        #[serde(rename = "client_email")]
        _email: String,
        #[serde(rename = "private_key_id")]
        _id: String,
        #[serde(rename = "private_key")]
        _key: SecretText,
        #[serde(rename = "project_id")]
        _project: String,
    }
    /// A text that is looked at and dropped.
    #[derive(Deserialize)]
    struct SecretText(#[expect(dead_code, reason = "only its type is checked")] String);

    let needed: Needed = serde_json::from_str(text.expose_secret())
        .map_err(|_| "is not the JSON of a service account's key")?;
    if needed.kind != "service_account" {
        return Err("is a Google credential of another type than `service_account`");
    }
    serde_json::from_str(text.expose_secret()).map_err(|_| "is no JSON")
}

/// Somebody who signs in to Edge.
struct User {
    username: String,
    password: SecretString,
    /// Six digits, good once.
    mfa_token: Option<SecretString>,
}

/// Tokens from Apigee's sign-in host.
struct SignIn {
    url: Url,
    user: Option<User>,
    /// What gets the next token: the credential's, later the last answer's.
    refresh: Mutex<Option<SecretString>>,
}

#[async_trait]
impl TokenSource for SignIn {
    async fn mint(&self, calls: &TokenCalls<'_>) -> Result<Token, ProviderError> {
        let mut refresh = self.refresh.lock().await;
        if let Some(token) = refresh.clone() {
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose_secret()),
            ];
            match self.ask(calls, &form).await {
                Ok(answer) => return Ok(keep(answer, &mut refresh, calls)),
                // A refresh token ends some day; whoever has a password signs in again.
                Err(error) if self.user.is_some() && error.is_refused_sign_in() => *refresh = None,
                Err(error) => return Err(error),
            }
        }
        let user = self
            .user
            .as_ref()
            .expect("without a refresh token there is a name and a password");
        let mut form = vec![
            ("grant_type", "password"),
            ("username", user.username.as_str()),
            ("password", user.password.expose_secret()),
        ];
        if let Some(token) = &user.mfa_token {
            form.push(("mfa_token", token.expose_secret()));
        }
        let answer = self.ask(calls, &form).await?;
        Ok(keep(answer, &mut refresh, calls))
    }
}

impl SignIn {
    async fn ask(
        &self,
        calls: &TokenCalls<'_>,
        form: &[(&str, &str)],
    ) -> Result<TokenAnswer, ProviderError> {
        let (name, secret) = CLIENT;
        let call = calls
            .post(&self.url, "get a token")
            .basic(name, &SecretString::from(secret))
            .form(form);
        TokenAnswer::read(&call.send().await?)
    }
}

/// Takes a token, and keeps what gets the next one.
fn keep(answer: TokenAnswer, refresh: &mut Option<SecretString>, calls: &TokenCalls<'_>) -> Token {
    if let Some(next) = answer
        .refresh_token
        .clone()
        .filter(|token| !token.is_empty())
    {
        let next = SecretString::from(next);
        calls.learn(&next);
        *refresh = Some(next);
    }
    answer.into_token()
}

/// Who a Google token is for.
enum Identity {
    /// A service account, by its key. Its tokens are signed here: no token server is asked, and a `token_uri` in the key
    /// is not used.
    ServiceAccount(Value),
    /// What the machine is, or who is signed in on it.
    Machine,
}

/// Tokens from Google's library.
struct Google {
    identity: Identity,
    /// The library's own keeper of tokens; made when first needed, since it starts a task.
    credentials: Mutex<Option<AccessTokenCredentials>>,
}

#[async_trait]
impl TokenSource for Google {
    async fn mint(&self, calls: &TokenCalls<'_>) -> Result<Token, ProviderError> {
        let failed = |why: String| ProviderError::new("get a token", Cause::Credential(why));
        if calls.sandboxed() {
            return Err(failed("the sandbox takes no Google identity".to_owned()));
        }
        let mut kept = self.credentials.lock().await;
        // The keeper would give the refused token again until it is about to end.
        if calls.after_refusal() {
            *kept = None;
        }
        let credentials = match &*kept {
            Some(credentials) => credentials.clone(),
            None => self.build().map_err(failed)?,
        };
        if matches!(self.identity, Identity::Machine) {
            calls.count();
        }
        // A keeper that failed may never work again, so that the next attempt makes a new one.
        *kept = None;
        let token = tokio::time::timeout(MACHINE_PATIENCE, credentials.access_token())
            .await
            .map_err(|_| {
                ProviderError::new("get a token", Cause::Timeout(MACHINE_PATIENCE.as_secs()))
            })?
            .map_err(|error| match &self.identity {
                Identity::ServiceAccount(_) => {
                    failed("the service account's private key cannot be used".to_owned())
                }
                Identity::Machine if error.is_transient() => {
                    ProviderError::new("get a token", Cause::Transport(error.to_string()))
                }
                Identity::Machine => failed(error.to_string()),
            })?;
        *kept = Some(credentials);
        Ok(Token {
            secret: SecretString::from(token.token),
            expires_at: Some(Timestamp::now() + KEPT),
        })
    }
}

impl Google {
    fn build(&self) -> Result<AccessTokenCredentials, String> {
        match &self.identity {
            Identity::ServiceAccount(key) => service_account::Builder::new(key.clone())
                .with_access_specifier(service_account::AccessSpecifier::from_scopes([
                    CLOUD_PLATFORM,
                ]))
                .build_access_token_credentials()
                .map_err(|_| "the service account's key cannot be used".to_owned()),
            Identity::Machine => Builder::default()
                .with_scopes([CLOUD_PLATFORM])
                .build_access_token_credentials()
                .map_err(|error| format!("this machine has no Google identity: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use google_cloud_auth::credentials::{
        AccessToken, AccessTokenCredentialsProvider, CacheableResource, CredentialsProvider,
    };
    use google_cloud_auth::errors::CredentialsError;

    use super::*;
    use crate::provider::http::Purpose;
    use crate::provider::http::tests::{http, token_calls};

    #[test]
    fn apigees_own_sign_in_host_is_for_credentials_of_its_own_cloud() {
        for (url, expected) in [
            ("https://api.enterprise.apigee.com", true),
            (" https://API.enterprise.apigee.com./v1", true),
            ("https://apigee.com", true),
            ("https://apigee.com.acme.com", false),
            ("https://notapigee.com", false),
            ("https://apigee.acme.com:8443", false),
            ("https://acme.com/apigee.com", false),
            ("apigee.com", false),
            ("", false),
        ] {
            let credential = Credential::new("c", "a test", [("url", url)]);
            assert_eq!(is_for_apigees_cloud(&credential), expected, "{url}");
        }
    }

    /// Google's library with a token that it keeps.
    #[derive(Debug)]
    struct Keeper;

    impl CredentialsProvider for Keeper {
        async fn headers(
            &self,
            _: ::http::Extensions,
        ) -> Result<CacheableResource<::http::HeaderMap>, CredentialsError> {
            Err(CredentialsError::from_msg(false, "nobody asks for them"))
        }

        async fn universe_domain(&self) -> Option<String> {
            None
        }
    }

    impl AccessTokenCredentialsProvider for Keeper {
        async fn access_token(&self) -> Result<AccessToken, CredentialsError> {
            Ok(AccessToken {
                token: "kept".to_owned(),
            })
        }
    }

    #[tokio::test]
    async fn a_google_token_that_was_refused_is_not_had_from_the_library_again() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
        let key = serde_json::json!({
            "type": "service_account",
            "project_id": "acme",
            "private_key_id": "1",
            "private_key": pair.serialize_pem(),
            "client_email": "scopeward@acme.iam.gserviceaccount.com",
        });
        let google = Google {
            identity: Identity::ServiceAccount(key),
            credentials: Mutex::new(Some(Keeper.into())),
        };
        let http = http("http://127.0.0.1:1", Purpose::Read);
        let mint = async |after_refusal: bool| {
            let token = google.mint(&token_calls(&http, after_refusal)).await;
            token.expect("a token").secret
        };
        assert_eq!(mint(false).await.expose_secret(), "kept");
        let fresh = mint(true).await;
        assert_ne!(fresh.expose_secret(), "kept");
        assert_eq!(mint(false).await.expose_secret(), fresh.expose_secret());
    }
}
