//! The server's own words: what an error body says, cleaned, and never a secret.

use std::fmt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// The longest text taken from a server, in characters.
const LONGEST: usize = 500;

/// What an error body says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// What people read; never empty, at most 500 characters, without control characters.
    pub(crate) text: String,
    /// The system's own code for it, where it gives one: `900984`, `keymanagement.service.InvalidScopes`.
    pub(crate) code: Option<String>,
}

/// Reads an error body in any of the shapes that the three systems answer.
///
/// | shape | from |
/// |---|---|
/// | `{"message", "name", "statusCode", "field"?}` | OneLogin |
/// | `{"status": 400, "error", "description"}` | OneLogin, paging |
/// | `{"status": {"code", "type", "message"}}` | OneLogin, tokens |
/// | `{"code", "message", "description", "error": [{"code", "message", "description"}]}` | WSO2 |
/// | `{"code", "message": text or list, "contexts"}` | Apigee Edge |
/// | `{"fault": {"faultstring", "detail": {"errorcode"}}}` | Apigee's gateway |
/// | `{"error": {"code", "message", "status", "details": [{"violations": [{"type", "description"}]}]}}` | Apigee X |
/// | `{"error", "error_description"}` | OAuth |
/// | HTML, plain text, nothing | what stands before them |
pub(crate) fn words(body: &[u8], redactor: &Redactor) -> Words {
    let (pieces, code) = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => read_object(&object),
        Ok(Value::String(text)) => (vec![text], None),
        Ok(_) => (vec![], None),
        Err(_) => (vec![read_text(&String::from_utf8_lossy(body))], None),
    };
    let mut distinct: Vec<String> = vec![];
    // Redacted before it is cleaned and cut, both of which could leave half a secret that is no longer recognised.
    let readable = |text: &str| clean(&redactor.redact(text));
    for piece in pieces.iter().map(|piece| readable(piece)) {
        if !piece.is_empty() && !distinct.contains(&piece) {
            distinct.push(piece);
        }
    }
    let code = code
        .map(|code| readable(&code))
        .filter(|code| !code.is_empty());
    let mut text = distinct.join(": ");
    if text.is_empty() {
        "without a word of explanation".clone_into(&mut text);
    }
    if let Some(code) = &code {
        text = format!("{text} ({code})");
    }
    Words {
        text: bounded(text),
        code,
    }
}

/// The texts of an error object in reading order, and its code.
fn read_object(object: &serde_json::Map<String, Value>) -> (Vec<String>, Option<String>) {
    let top = |key: &str| object.get(key);
    let at = |pointer: &[&str]| {
        let (first, rest) = pointer.split_first()?;
        rest.iter()
            .try_fold(object.get(*first)?, |value, key| value.get(key))
    };
    let mut pieces = vec![];
    let mut code = None;

    if let Some(fault) = top("fault") {
        pieces.extend(texts(fault.get("faultstring")));
        code = scalar(at(&["fault", "detail", "errorcode"]));
    } else if let Some(status @ Value::Object(_)) = top("status") {
        pieces.extend(texts(status.get("message")));
    } else if let Some(error @ Value::Object(_)) = top("error") {
        pieces.extend(texts(error.get("message")));
        code = scalar(error.get("status"));
        let details = error.get("details").and_then(Value::as_array);
        for detail in details.into_iter().flatten() {
            let violations = detail.get("violations").and_then(Value::as_array);
            for violation in violations.into_iter().flatten() {
                pieces.extend(texts(violation.get("description")));
                if let Some(kind) = scalar(violation.get("type")) {
                    code = Some(kind);
                }
            }
        }
    } else {
        pieces.extend(texts(top("message")));
        pieces.extend(texts(top("description")));
        pieces.extend(texts(top("error_description")));
        for entry in top("error").and_then(Value::as_array).into_iter().flatten() {
            pieces.extend(texts(entry.get("message")));
            pieces.extend(texts(entry.get("description")));
        }
        if let Some(field) = scalar(top("field")) {
            pieces.push(field);
        }
        // OneLogin's and OAuth's `error` is a code in words; WSO2's code 0 says nothing.
        code = scalar(top("code"))
            .or_else(|| top("error").and_then(Value::as_str).map(str::to_owned))
            .filter(|code| code != "0" && !code.is_empty());
    }
    (pieces, code)
}

/// A text, or the texts of a list of them.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => vec![],
    }
}

/// A text or a number as text.
fn scalar(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What a body says that is no JSON: an HTML page's title or first heading, else the text itself.
fn read_text(text: &str) -> String {
    if !is_markup(text.as_bytes()) {
        return text.to_owned();
    }
    // Lower-casing ASCII alone keeps every byte in its place.
    let lower = text.to_ascii_lowercase();
    ["title", "h1", "h2"]
        .iter()
        .find_map(|tag| {
            let open = lower.find(&format!("<{tag}"))?;
            let start = open + lower[open..].find('>')? + 1;
            let end = start + lower[start..].find("</")?;
            let inner = text[start..end].trim();
            (!inner.is_empty()).then(|| inner.to_owned())
        })
        .map_or_else(
            || "an HTML page".to_owned(),
            |title| format!("an HTML page, {title:?}"),
        )
}

/// Whether a body looks like HTML or XML.
pub(crate) fn is_markup(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"<")
}

/// A text of unknown origin as one line that can be shown.
pub(crate) fn line(text: &str) -> String {
    bounded(clean(text))
}

/// Takes control characters out and white space together.
fn clean(text: &str) -> String {
    let spaced: String = text
        .chars()
        .take(16 * LONGEST)
        .map(|c| if c.is_control() { ' ' } else { c })
        // Characters that reorder what a terminal shows.
        .filter(|c| !matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'))
        .collect();
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cuts a text that is too long to be read.
fn bounded(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Every secret that a provider knows, so that no text that leaves it holds one.
#[derive(Default)]
pub(crate) struct Redactor(RwLock<Vec<SecretString>>);

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// Learns a secret, with the forms that a server may echo it in: percent-encoded, and escaped in JSON. Every request
    /// that is signed teaches its secret anew.
    pub(crate) fn learn(&self, secret: &str) {
        if secret.is_empty() || self.knows(secret) {
            return;
        }
        let json = Value::from(secret).to_string();
        let mut forms = vec![
            secret.to_owned(),
            utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
            url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
            json[1..json.len() - 1].to_owned(),
        ];
        forms.sort();
        forms.dedup();
        let mut known = self.known_mut();
        known.extend(forms.into_iter().map(SecretString::from));
        // Longer ones first: a secret that holds another must not leave its rest behind.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
    }

    /// The text without any secret.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.known().iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.expose_secret(), "[redacted]")
        })
    }

    fn knows(&self, secret: &str) -> bool {
        self.known()
            .iter()
            .any(|known| known.expose_secret() == secret)
    }

    fn known(&self) -> RwLockReadGuard<'_, Vec<SecretString>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Vec<SecretString>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_are_read_in_every_shape() {
        let none = Redactor::default();
        #[rustfmt::skip]
        let table = [
            (r#"{"message":"Validation failed: Value has already been taken","statusCode":422,"name":"UnprocessableEntityError"}"#,
             "Validation failed: Value has already been taken"),
            (r#"{"message":"Missing required field","field":"app_id","name":"BadRequestError"}"#,
             "Missing required field: app_id"),
            (r#"{"status":400,"error":"BadRequestError","description":"Invalid pagination cursor"}"#,
             "Invalid pagination cursor (BadRequestError)"),
            (r#"{"status":{"error":true,"code":401,"type":"Unauthorized","message":"Authentication Failure"}}"#,
             "Authentication Failure"),
            ("<html><head><TITLE>502 Bad Gateway</TITLE></head></html>", r#"an HTML page, "502 Bad Gateway""#),
            ("<html><body><h1>429 Too Many Requests</h1>\nslow</body></html>\n", r#"an HTML page, "429 Too Many Requests""#),
            ("<html", "an HTML page"),
            (r#"{"code":900401,"message":"Scope Not Found","description":"Scope Not Found","error":[]}"#,
             "Scope Not Found (900401)"),
            (r#"{"code":400,"message":"Bad Request","description":"Validation Error","moreInfo":"","error":[{"code":"400_name","message":"name","description":"too long"}]}"#,
             "Bad Request: Validation Error: name: too long (400)"),
            (r#"{"code":0,"message":"Authentication Failure","description":"Authentication Failure","error":[]}"#,
             "Authentication Failure"),
            (r#"{"code":401,"message":"","description":"Unauthenticated request","moreInfo":"","error":[]}"#,
             "Unauthenticated request (401)"),
            ("Error in executing request: POST /api/x", "Error in executing request: POST /api/x"),
            (r#"{"code":"keymanagement.service.InvalidScopes","message":"Invalid scopes. Allowed scopes: [A]","contexts":[]}"#,
             "Invalid scopes. Allowed scopes: [A] (keymanagement.service.InvalidScopes)"),
            (r#"{"code":"x.Y","message":["one","two"]}"#, "one: two (x.Y)"),
            (r#"{"fault":{"faultstring":"Gateway down","detail":{"errorcode":"messaging.Down"}}}"#,
             "Gateway down (messaging.Down)"),
            (r#"{"error":{"code":404,"message":"App named a does not exist","status":"NOT_FOUND","details":[{"violations":[{"type":"developer.service.AppDoesNotExist","description":"gone"}]}]}}"#,
             "App named a does not exist: gone (developer.service.AppDoesNotExist)"),
            (r#"{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED"}}"#,
             "Quota exceeded (RESOURCE_EXHAUSTED)"),
            (r#"{"error":"invalid_grant","error_description":"Bad credentials"}"#, "Bad credentials (invalid_grant)"),
            ("", "without a word of explanation"),
            ("[]", "without a word of explanation"),
            ("{}", "without a word of explanation"),
            (r#"{"message":{"a":1},"status":7,"error":[3]}"#, "without a word of explanation"),
            ("a\u{1b}[31m\r\nb\u{202e}", "a [31m b"),
        ];
        for (body, text) in table {
            assert_eq!(words(body.as_bytes(), &none).text, text, "{body}");
        }
    }

    #[test]
    fn words_are_bounded() {
        let none = Redactor::default();
        let text = words("é".repeat(10_000).as_bytes(), &none).text;
        assert_eq!(text.chars().count(), LONGEST + 1);
        assert!(words(&[0xff; 10_000], &none).text.chars().count() <= LONGEST + 1);
        let deep = "[".repeat(100_000);
        assert!(words(deep.as_bytes(), &none).text.chars().count() <= LONGEST + 1);
        let code = format!(r#"{{"code":"{}","message":"m"}}"#, "c".repeat(5_000));
        assert!(words(code.as_bytes(), &none).text.chars().count() <= LONGEST + 1);
    }

    #[test]
    fn a_secret_does_not_survive_in_part() {
        let redactor = Redactor::default();
        redactor.learn("two  spaces");
        redactor.learn("s3cret-of-some-length");
        let cut = format!("{} s3cret-of-some-length", "x".repeat(LONGEST - 10));
        for body in [
            cut.as_str(),
            r#"{"message":"two  spaces","code":"s3cret-of-some-length"}"#,
        ] {
            let words = words(body.as_bytes(), &redactor);
            assert!(
                !words.text.contains("s3c") && !words.text.contains("two"),
                "{words:?}"
            );
            assert!(words.code.is_none_or(|code| code == "[redacted]"));
        }
    }

    #[test]
    fn a_secret_is_taken_out_in_every_form_that_a_server_echoes() {
        let redactor = Redactor::default();
        redactor.learn("s3cret+/ \"x");
        redactor.learn("s3cret");
        redactor.learn("");
        for echo in [
            "s3cret+/ \"x",
            "s3cret%2B%2F%20%22x",
            "s3cret%2B%2F+%22x",
            "s3cret+/ \\\"x",
            "s3cret",
        ] {
            assert_eq!(
                redactor.redact(&format!("<{echo}>")),
                "<[redacted]>",
                "{echo}"
            );
        }
        assert!(!format!("{redactor:?}").contains("s3cret"));
        let known = redactor.known().len();
        redactor.learn("s3cret");
        assert_eq!(redactor.known().len(), known);
    }
}
