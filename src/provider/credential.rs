//! Credentials: where they are looked for, and where they may go.
//!
//! All keys of a credential come from the first source that has it, so that no source can add a `url` to another's
//! secrets. A credential names the URL that it is for (key `url`), and is refused for any other before a request is made.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::error::{Cause, ProviderError};
use crate::model::target::{canonical, is_loopback};
use crate::model::{SecretDocument, Source, Target};

/// Every key that a credential can have, on any system. An environment variable is read only for these, so that the
/// variables of the credential `a-b` are not keys of the credential `a`.
pub const KEYS: [&str; 10] = [
    "url",
    "tokenUrl",
    "clientId",
    "clientSecret",
    "username",
    "password",
    "token",
    "refreshToken",
    "mfaToken",
    "serviceAccountKey",
];

/// The keys whose values are no secrets, and may stand in an error.
const OPEN_KEYS: [&str; 4] = ["url", "tokenUrl", "clientId", "username"];

/// The largest file of a credential, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// What opens a target.
#[derive(Clone)]
pub struct Credential {
    /// `credentialsRef.name`.
    pub name: String,
    /// Its keys.
    pub keys: BTreeMap<String, SecretString>,
    /// Where it was found, for people: `SCOPEWARD_ONELOGIN_PROD_*`.
    pub source: String,
    /// Certificate authorities as PEM text, where the target's `tls.caSecretRef` names any.
    pub authorities: Option<String>,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("name", &self.name)
            .field("keys", &self.keys.keys().collect::<Vec<_>>())
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "credential \"{}\" ({})", self.name, self.source)
    }
}

impl Credential {
    /// A credential of given keys.
    pub fn new<K: Into<String>, V: Into<String>>(
        name: impl Into<String>,
        source: impl Into<String>,
        keys: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        Self {
            name: name.into(),
            keys: keys
                .into_iter()
                .map(|(key, value)| (key.into(), SecretString::from(value.into())))
                .collect(),
            source: source.into(),
            authorities: None,
        }
    }

    /// A key's value, unless it is missing or empty.
    pub fn get(&self, key: &str) -> Option<&SecretString> {
        self.keys
            .get(key)
            .filter(|value| !value.expose_secret().is_empty())
    }

    /// A key's value that is no secret.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).map(ExposeSecret::expose_secret)
    }

    /// The values of these keys.
    ///
    /// # Errors
    /// Says all that are missing at once.
    pub fn require<const N: usize>(
        &self,
        target: &Target,
        keys: [&str; N],
    ) -> Result<[&SecretString; N], ProviderError> {
        let missing: Vec<String> = keys
            .iter()
            .filter(|key| self.get(key).is_none())
            .map(|key| format!("`{key}`"))
            .collect();
        if missing.is_empty() {
            return Ok(keys.map(|key| self.get(key).expect("checked a moment ago")));
        }
        Err(
            refusal(target, format!("{self} lacks {}", missing.join(" and ")))
                .with_help("add it where the credential's other keys are"),
        )
    }

    /// The URL of the token server, where the credential names one.
    ///
    /// # Errors
    /// A URL that no secret may be sent to: without TLS to another machine, or with a user in it, as for a target.
    pub fn token_url(&self, target: &Target) -> Result<Option<Url>, ProviderError> {
        let Some(text) = self.text("tokenUrl") else {
            return Ok(None);
        };
        let is_safe = |url: &Url| match url.scheme() {
            "https" => url.has_host(),
            "http" => is_loopback(url),
            _ => false,
        };
        match Url::parse(text) {
            Ok(url) if is_safe(&url) && url.username().is_empty() && url.password().is_none() => {
                Ok(Some(url))
            }
            _ => Err(refusal(
                target,
                format!("the key `tokenUrl` of {self} is no URL that a secret may be sent to"),
            )
            .with_help("it is `https://`, or `http://` to a loopback host, and has no user in it")),
        }
    }

    /// Refuses a target that this credential is not for.
    ///
    /// # Errors
    /// Another URL in the key `url`; or none, unless the target is on this machine.
    pub fn check_url(&self, target: &Target) -> Result<(), ProviderError> {
        let wanted = canonical(target.url());
        let Some(text) = self.text("url") else {
            if is_loopback(target.url()) {
                return Ok(());
            }
            return Err(refusal(
                target,
                format!("{self} does not say which URL it is for"),
            )
            .with_help(format!(
                "add the key `url` with the value {wanted} to it: it is sent there and nowhere else"
            )));
        };
        let named = Url::parse(text.trim()).map(|url| canonical(&url));
        if named.as_ref() == Ok(&wanted) {
            return Ok(());
        }
        let named = named.unwrap_or_else(|_| format!("{:?}, which is no URL", text.trim()));
        Err(refusal(
            target,
            format!("{self} is for {named}, and the target's url is {wanted}"),
        )
        .with_help("nothing was sent; correct the one that is wrong"))
    }

    /// The values that no text may hold.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.keys
            .iter()
            .filter(|(key, _)| !OPEN_KEYS.contains(&key.as_str()))
            .map(|(_, value)| value)
    }
}

/// An error about a credential.
fn refusal(target: &Target, why: String) -> ProviderError {
    ProviderError::new(
        format!("open target \"{}\"", target.id),
        Cause::Credential(why),
    )
}

/// Where credentials are looked for, in this order: a folder, the environment, the inputs.
pub struct CredentialStore {
    folder: Option<PathBuf>,
    environment: BTreeMap<String, SecretString>,
    documents: Vec<SecretDocument>,
}

impl fmt::Debug for CredentialStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialStore")
            .field("folder", &self.folder)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .field("documents", &self.documents)
            .finish()
    }
}

impl CredentialStore {
    /// Takes what `--credentials` names, the environment (only `SCOPEWARD_*` is kept) and the inputs' secrets.
    pub fn new(
        folder: Option<PathBuf>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        documents: Vec<SecretDocument>,
    ) -> Self {
        let environment = environment
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
            .map(|(name, value)| (name, SecretString::from(value)))
            .collect();
        Self {
            folder,
            environment,
            documents,
        }
    }

    /// Finds the credential of a target, and the authorities that its `tls.caSecretRef` names.
    ///
    /// # Errors
    /// None in any place (says which), and files that cannot be read.
    pub fn find(&self, target: &Target) -> Result<Credential, ProviderError> {
        let name = &target.credential;
        if !is_plain_name(name) {
            let why = format!("credentialsRef.name {name:?} is not the name of a Secret");
            return Err(refusal(target, why));
        }
        self.folder_is_there(target)?;
        // Variables that could belong to two credentials do not matter where the folder has this one.
        let found = match self.in_folder(target, name)? {
            Some(found) => Some(found),
            None => self.in_environment(target, name)?,
        };
        let (keys, source) = found
            .or_else(|| self.in_documents(target, name))
            .ok_or_else(|| self.none(target, name))?;
        let authorities = match &target.tls.ca_secret {
            Some((name, key)) => Some(self.authorities(target, name, key)?),
            None => None,
        };
        Ok(Credential {
            name: name.clone(),
            keys,
            source,
            authorities,
        })
    }

    /// Finds the PEM text of `tls.caSecretRef`.
    fn authorities(&self, target: &Target, name: &str, key: &str) -> Result<String, ProviderError> {
        let missing = || {
            let why = format!("tls.caSecretRef: no key {key:?} of a credential {name:?} was found");
            refusal(target, why)
        };
        if !is_plain_name(name) || !is_plain_name(key) {
            return Err(missing());
        }
        let file = match &self.folder {
            Some(folder) => read_key(target, &folder.join(name).join(key))?,
            None => None,
        };
        file.or_else(|| self.environment.get(&variable(name, key)).cloned())
            .or_else(|| self.document(target, name)?.keys.get(key).cloned())
            .map(|text| text.expose_secret().to_owned())
            .ok_or_else(missing)
    }

    /// Refuses a `--credentials` that leads nowhere: what was named is not passed over for a weaker source.
    fn folder_is_there(&self, target: &Target) -> Result<(), ProviderError> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let why = match std::fs::metadata(folder) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => "it is not a folder".to_owned(),
            Err(error) => error.to_string(),
        };
        let named = folder.display().to_string();
        Err(refusal(
            target,
            format!("--credentials {named:?} cannot be read: {why}"),
        )
        .with_help(
            "name a folder that is there, or leave it out to use the environment and the inputs",
        ))
    }

    fn in_folder(&self, target: &Target, name: &str) -> Result<Option<FoundKeys>, ProviderError> {
        let Some(folder) = self.folder.as_ref().map(|folder| folder.join(name)) else {
            return Ok(None);
        };
        let mut keys = BTreeMap::new();
        for key in KEYS {
            if let Some(value) = read_key(target, &folder.join(key))? {
                keys.insert(key.to_owned(), value);
            }
        }
        let source = format!("--credentials {}", folder.display());
        Ok((!keys.is_empty()).then_some((keys, source)))
    }

    fn in_environment(
        &self,
        target: &Target,
        name: &str,
    ) -> Result<Option<FoundKeys>, ProviderError> {
        let mut keys = BTreeMap::new();
        for key in KEYS {
            let variable = variable(name, key);
            if let Some(value) = self.environment.get(&variable) {
                if let Some(other) = self.rival(name, key) {
                    let why = format!(
                        "the variable {variable} may belong to the credential {name:?} or to {other:?}"
                    );
                    return Err(refusal(target, why).with_help(
                        "name the credentials so that neither is the other's beginning, or use --credentials",
                    ));
                }
                keys.insert(key.to_owned(), value.clone());
            }
        }
        let source = format!("{}*", variable(name, ""));
        Ok((!keys.is_empty()).then_some((keys, source)))
    }

    /// The other credential that a variable may belong to: `A_TOKEN_URL` is `tokenUrl` of `a`, or `url` of `a-token` where
    /// that one has further keys.
    fn rival(&self, name: &str, key: &str) -> Option<String> {
        let whole = upper(key);
        KEYS.iter().find_map(|tail| {
            let between = whole.strip_suffix(&format!("_{}", upper(tail)))?;
            let other = format!("{name}-{}", between.to_lowercase().replace('_', "-"));
            KEYS.iter()
                .filter(|further| *further != tail)
                // A variable that is a key of `name` as well says nothing about the other.
                .filter(|further| {
                    let rest = format!("{between}_{}", upper(further));
                    KEYS.iter().all(|key| upper(key) != rest)
                })
                .any(|further| self.environment.contains_key(&variable(&other, further)))
                .then_some(other)
        })
    }

    fn in_documents(&self, target: &Target, name: &str) -> Option<FoundKeys> {
        let document = self.document(target, name)?;
        Some((document.keys.clone(), document.to_string()))
    }

    fn document(&self, target: &Target, name: &str) -> Option<&SecretDocument> {
        let is = |source: &Source| source.namespace == target.id.namespace && source.name == name;
        self.documents.iter().find(|document| is(&document.source))
    }

    /// The error of a credential that is nowhere.
    fn none(&self, target: &Target, name: &str) -> ProviderError {
        let mut places = vec![];
        if let Some(folder) = &self.folder {
            places.push(format!("{}", folder.join(name).display()));
        }
        places.push(format!("the environment ({}*)", variable(name, "")));
        places.push(format!(
            "the inputs (a v1/Secret {}/{name})",
            target.id.namespace
        ));
        let why = format!("no credential {name:?} in {}", places.join(", nor in "));
        refusal(target, why).with_help(format!(
            "set {} and its other keys, or pass --credentials DIR with DIR/{name}/url and so on",
            variable(name, "url")
        ))
    }
}

/// Keys, and where they were found.
type FoundKeys = (BTreeMap<String, SecretString>, String);

/// What every variable of a credential begins with.
const PREFIX: &str = "SCOPEWARD_";

/// The variable of a key: `SCOPEWARD_ONELOGIN_PROD_CLIENT_ID`.
fn variable(name: &str, key: &str) -> String {
    format!("{PREFIX}{}_{}", upper(name), upper(key))
}

/// Upper case, with `_` for `-`, `.` and the humps of camel case.
fn upper(text: &str) -> String {
    let mut upper = String::new();
    for c in text.chars() {
        if c.is_ascii_uppercase() && !upper.is_empty() {
            upper.push('_');
        }
        upper.push(match c {
            '-' | '.' => '_',
            c => c.to_ascii_uppercase(),
        });
    }
    upper
}

/// Whether a name is one path segment and names no other place.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with("..") && name != "." && !name.contains(['/', '\\', '\0'])
}

/// Reads one key's file, without the newline that editors leave; `None` where there is none.
fn read_key(target: &Target, path: &Path) -> Result<Option<SecretString>, ProviderError> {
    let fail = |why: String| {
        let why = format!("{:?} cannot be read: {why}", path.display().to_string());
        refusal(target, why)
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(fail(error.to_string())),
    };
    let mut text = String::new();
    file.take(LARGEST_FILE + 1)
        .read_to_string(&mut text)
        .map_err(|error| fail(error.to_string()))?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(fail(format!("it is larger than {LARGEST_FILE} bytes")));
    }
    let trimmed = text.strip_suffix('\n').unwrap_or(&text);
    let trimmed = trimmed.strip_suffix('\r').unwrap_or(trimmed);
    Ok(Some(SecretString::from(trimmed.to_owned())))
}

#[cfg(test)]
mod tests;
