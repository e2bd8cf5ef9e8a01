//! `v1` Secret documents among the inputs: credentials for one run, never shown and never written.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;

use super::source::Source;

/// A Secret document. Its values show in no `Debug` output.
#[derive(Debug, Clone)]
pub struct SecretDocument {
    /// The document; only targets of its namespace use it.
    pub source: Source,
    /// The values by key, decoded.
    pub keys: BTreeMap<String, SecretString>,
}

impl fmt::Display for SecretDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Source {
            namespace,
            name,
            file,
            ..
        } = &self.source;
        write!(f, "Secret {namespace}/{name} in {file}")
    }
}
