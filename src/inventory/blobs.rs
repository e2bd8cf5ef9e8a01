//! The little that a store has to do for a [remote inventory](super::remote): keep bytes by name, and replace them only
//! where nobody else did.

use std::fmt;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use crate::model::LiveIdentity;

/// A store of blobs.
///
/// An error of a write says nothing about whether it took effect: whoever writes reads then. So an implementation neither
/// repeats a conditional write nor tells kinds of errors apart, and gives up after seconds rather than minutes.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Reads a blob; `None` where the store is sure that there is none.
    ///
    /// # Errors
    /// It cannot be told, a missing right included.
    async fn get(&self, key: &BlobKey) -> Result<Option<(Vec<u8>, Version)>, BlobError>;

    /// Makes a blob where there is none.
    ///
    /// # Errors
    /// It was there, or the answer did not come.
    async fn create(&self, key: &BlobKey, bytes: &[u8]) -> Result<Version, BlobError>;

    /// Replaces a blob that still has this version.
    ///
    /// # Errors
    /// It has another one, or is gone, or the answer did not come.
    async fn replace(
        &self,
        key: &BlobKey,
        bytes: &[u8],
        version: &Version,
    ) -> Result<Version, BlobError>;

    /// Deletes a blob. One that is not there is deleted.
    ///
    /// # Errors
    /// It is still there, or the answer did not come.
    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError>;

    /// The keys of all heads in the store.
    ///
    /// # Errors
    /// They cannot be listed.
    async fn heads(&self) -> Result<Vec<BlobKey>, BlobError>;
}

/// The name of a blob: digits, lower-case letters and hyphens alone, since stores make their names of it.
///
/// | blob | key |
/// |---|---|
/// | head | the first 20 hexadecimal digits of the live identity's SHA-256 |
/// | part | the head's, `-p-GENERATION-NUMBER` |
/// | piece of the journal | the head's, `-j-GENERATION-NUMBER` |
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobKey(String);

/// How many hexadecimal digits a head's key has.
const HEAD_DIGITS: usize = 20;

impl BlobKey {
    /// The key of a live identity's head.
    pub fn head(identity: &LiveIdentity) -> Self {
        let hash = Sha256::digest(identity.as_str().as_bytes());
        let hex = hash.iter().map(|byte| format!("{byte:02x}"));
        let mut hex: String = hex.collect();
        hex.truncate(HEAD_DIGITS);
        Self(hex)
    }

    /// The key that a name in a store stands for, if it is a head's.
    pub fn of_head(name: &str) -> Option<Self> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_head = name.len() == HEAD_DIGITS && name.bytes().all(is_hex);
        is_head.then(|| Self(name.to_owned()))
    }

    /// Borrows the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a head's: what is kept under any other key never changes.
    pub fn is_head(&self) -> bool {
        self.0.len() == HEAD_DIGITS
    }

    pub(super) fn part(&self, name: BlobName) -> Self {
        self.below('p', name)
    }

    pub(super) fn piece(&self, name: BlobName) -> Self {
        self.below('j', name)
    }

    fn below(&self, kind: char, BlobName { generation, number }: BlobName) -> Self {
        Self(format!("{}-{kind}-{generation}-{number:02}", self.0))
    }
}

impl fmt::Display for BlobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What tells the parts and pieces of one head apart.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(super) struct BlobName {
    /// The generation of the head that was to name it first.
    pub(super) generation: u64,
    /// Which of that generation.
    pub(super) number: u64,
}

/// What a store calls one state of a blob; no other state of it is called so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// Takes the store's text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Borrows the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a store did not answer, or refused: for people alone.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BlobError(String);

impl BlobError {
    /// Takes the store's own words.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_only_what_every_store_takes_in_a_name() {
        let head = BlobKey::head(&LiveIdentity::new("oneLogin https://example.com 1"));
        let name = BlobName {
            generation: 12,
            number: 3,
        };
        let keys = [head.clone(), head.part(name), head.piece(name)];
        for key in &keys {
            let is_plain = |c: char| matches!(c, '0'..='9' | 'a'..='z' | '-');
            assert!(key.as_str().chars().all(is_plain), "{key}");
        }
        let heads = keys.each_ref().map(BlobKey::is_head);
        assert_eq!(heads, [true, false, false]);
        assert!(keys[1].as_str().ends_with("-p-12-03"));
        assert!(keys[2].as_str().ends_with("-j-12-03"));
        let told = keys.each_ref().map(|key| BlobKey::of_head(key.as_str()));
        assert_eq!(told, [Some(head), None, None]);
    }
}
