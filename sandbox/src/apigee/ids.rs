//! Names that the emulated system makes up: ids, keys, secrets and tokens.
//!
//! All come from a hash of what they name and of the sandbox's clock, never from a random source, so that a run with a
//! fixed clock can be repeated to the byte.

use sha2::{Digest, Sha256};

const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Makes a UUID that stands for `parts`.
pub(crate) fn uuid(parts: &[&str]) -> String {
    let hash = digest(parts, 0);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// Makes `length` letters and digits that stand for `parts`.
pub(super) fn alphanumeric(parts: &[&str], length: usize) -> String {
    (0_u32..)
        .flat_map(|block| digest(parts, block))
        .map(|byte| char::from(ALPHANUMERIC[usize::from(byte) % ALPHANUMERIC.len()]))
        .take(length)
        .collect()
}

/// Hashes the parts with their lengths, so that `["a", "bc"]` and `["ab", "c"]` differ.
fn digest(parts: &[&str], block: u32) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(block.to_be_bytes());
    for part in parts {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_parts_give_the_same_names_and_other_parts_others() {
        assert_eq!(uuid(&["a", "bc"]), uuid(&["a", "bc"]));
        assert_ne!(uuid(&["a", "bc"]), uuid(&["ab", "c"]));
        assert_eq!(uuid(&["a"]).len(), 36);
        let long = alphanumeric(&["k"], 48);
        assert_eq!(long.len(), 48);
        assert!(long.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(&long[..32], &long[16..], "blocks are not repeated");
    }
}
