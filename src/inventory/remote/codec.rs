//! Parts and pieces as bytes: JSON in gzip.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

/// The largest text that is unpacked, in bytes: far above what is ever packed into one blob.
const MAX_TEXT: u64 = 1 << 28;

/// A text with its hash.
pub(super) struct Text {
    pub(super) json: Vec<u8>,
    pub(super) sha256: String,
}

impl Text {
    pub(super) fn of(value: &impl Serialize) -> Self {
        let json = serde_json::to_vec(value).expect("it is plain data and always serialises");
        let sha256 = hash(&json);
        Self { json, sha256 }
    }

    pub(super) fn pack(&self) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let packed = encoder
            .write_all(&self.json)
            .and_then(|()| encoder.finish());
        packed.expect("memory takes all that is written")
    }
}

/// Unpacks what was packed, and checks it against its hash.
///
/// # Errors
/// Why it is not that, for people.
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8], sha256: &str) -> Result<T, String> {
    let mut json = Vec::new();
    let mut decoder = GzDecoder::new(bytes).take(MAX_TEXT);
    decoder
        .read_to_end(&mut json)
        .map_err(|error| error.to_string())?;
    if hash(&json) != sha256 {
        return Err("its content is not what the head says".to_owned());
    }
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}

fn hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex = hash.iter().map(|byte| format!("{byte:02x}"));
    hex.collect()
}
