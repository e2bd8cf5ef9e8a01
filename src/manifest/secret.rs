//! Reads the `v1` Secrets among the manifests.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::Value;

use crate::diagnostic::{Diagnostic, codes};
use crate::model::{SecretDocument, Source};

/// Reads a document whose `metadata` is in order: `data` decoded, `stringData` before it. No finding repeats a value.
pub(super) fn read(
    value: &Value,
    source: &Source,
    found: &mut Vec<Diagnostic>,
) -> Option<SecretDocument> {
    let before = found.len();
    if value.get("sops").is_some() {
        found.push(
            Diagnostic::error(
                codes::ENCRYPTED_SECRET,
                format!("the Secret {:?} is still encrypted", source.name),
            )
            .at(source, "/sops")
            .at_key()
            .help("decrypt it on the way in: `sops -d FILE | scopeward … -`"),
        );
    }
    let mut keys = BTreeMap::new();
    for field in ["data", "stringData"] {
        let members = match value.get(field) {
            None => continue,
            Some(Value::Object(members)) => members,
            Some(_) => {
                let message = format!("`{field}` of a Secret must be a mapping of keys to text");
                let finding = Diagnostic::error(codes::BAD_SECRET, message);
                found.push(finding.at(source, format!("/{field}")).at_key());
                continue;
            }
        };
        for (key, value) in members {
            let text = match (field, value.as_str()) {
                ("data", Some(text)) => decode(text),
                (_, text) => text.map(str::to_owned),
            };
            if let Some(text) = text {
                keys.insert(key.clone(), SecretString::from(text));
                continue;
            }
            let must = match field {
                "data" => "base64 of UTF-8 text",
                _ => "text: put it in quotes",
            };
            let mut pointer = format!("/{field}");
            super::locate::push_key(&mut pointer, key);
            let message = format!(
                "`{field}.{key}` of the Secret {:?} must be {must}",
                source.name
            );
            let finding = Diagnostic::error(codes::BAD_SECRET, message);
            found.push(finding.at(source, pointer).at_key());
        }
    }
    (found.len() == before).then(|| SecretDocument {
        source: source.clone(),
        keys,
    })
}

fn decode(text: &str) -> Option<String> {
    // kubectl and hand-written files break long values over lines.
    let compact: String = text.split_whitespace().collect();
    let bytes = STANDARD.decode(compact).ok()?;
    String::from_utf8(bytes).ok()
}
