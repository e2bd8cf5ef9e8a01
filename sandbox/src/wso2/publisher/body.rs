//! The body of a POST or a PUT: strict JSON, strict fields, strings from whatever is no object or array.

use serde_json::{Value as Json, json};

use super::super::gson::{self, Value};
use super::super::target::utf16_length;

/// A scope as a client sends it. `id` and `usageCount` are known and ignored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) name: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) bindings: Vec<Option<String>>,
}

/// Why a body is refused before anybody looks at credentials.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// 400 with this description.
    Invalid(String),
    /// Nothing there, or null: the service trips over it, a 500.
    Nothing,
}

const MALFORMED: &str = "Malformed request body.";
const DISALLOWED: &str = "One or more request body parameters contain disallowed values.";

impl Draft {
    pub(super) fn read(body: &[u8]) -> Result<Self, Refused> {
        let disallowed = || Refused::Invalid(DISALLOWED.to_owned());
        let mut documents = serde_json::Deserializer::from_slice(body).into_iter::<Json>();
        match documents.next() {
            None | Some(Ok(Json::Null)) => return Err(Refused::Nothing),
            Some(Ok(_)) => {}
            Some(Err(_)) => return Err(Refused::Invalid(MALFORMED.to_owned())),
        }
        match documents.next() {
            None => {}
            Some(Ok(_)) => return Err(disallowed()),
            Some(Err(_)) => return Err(Refused::Invalid(MALFORMED.to_owned())),
        }

        // It is JSON; the lenient reader then keeps numbers as they were written.
        let Ok(Value::Object(members)) = gson::read(body) else {
            return Err(disallowed());
        };
        let mut draft = Self::default();
        for (name, value) in members {
            let text = |value: Value| value.into_text().map_err(|_| disallowed());
            match name.as_str() {
                "name" => draft.name = text(value)?,
                "displayName" => draft.display_name = text(value)?,
                "description" => draft.description = text(value)?,
                "bindings" => {
                    draft.bindings = match value {
                        Value::Null => Vec::new(),
                        Value::Array(elements) => {
                            elements.into_iter().map(text).collect::<Result<_, _>>()?
                        }
                        _ => return Err(disallowed()),
                    }
                }
                "id" => _ = text(value)?,
                "usageCount" => match value {
                    Value::Null | Value::Number(_) => {}
                    Value::Text(text)
                        if text.trim().is_empty() || text.trim().parse::<i32>().is_ok() => {}
                    _ => return Err(disallowed()),
                },
                unknown => {
                    return Err(Refused::Invalid(format!(
                        "Unrecognized property '{unknown}'"
                    )));
                }
            }
        }
        Ok(draft)
    }

    /// What bean validation has to say, as the `error` list of a 400; empty if the draft passes.
    pub(super) fn violations(&self) -> Vec<Json> {
        let violation = |property: &str, message: &str| json!({"code": format!("400_{property}"), "message": format!("{property}: {message}"), "description": null});
        let sized =
            |property: &str, value: Option<&String>, range: std::ops::RangeInclusive<usize>| {
                let message = format!("size must be between {} and {}", range.start(), range.end());
                value
                    .filter(|value| !range.contains(&utf16_length(value)))
                    .map(|_| violation(property, &message))
            };
        [
            self.name
                .is_none()
                .then(|| violation("name", "must not be null")),
            sized("name", self.name.as_ref(), 1..=255),
            sized("displayName", self.display_name.as_ref(), 0..=255),
            sized("description", self.description.as_ref(), 0..=512),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// The roles as they are stored: joined with commas and split again, so a role with a comma becomes two, and a
    /// null becomes the word.
    pub(super) fn roles(&self) -> Vec<String> {
        let words = self
            .bindings
            .iter()
            .map(|binding| binding.as_deref().unwrap_or("null"));
        let joined = words.collect::<Vec<_>>().join(",");
        // Empty ones are stored, but no answer shows them.
        joined
            .split(',')
            .filter(|role| !role.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// Whether a name reads as a JSON value other than null. The server parses it on the way and expects a string.
pub(super) fn reads_as_json(name: &str) -> bool {
    let trimmed = name.trim();
    // Its parser takes leading zeros.
    let digits = trimmed.strip_prefix('-').unwrap_or(trimmed);
    let number = digits.trim_start_matches('0');
    let padded = if number.len() < digits.len()
        && !number.starts_with(|first: char| first.is_ascii_digit())
    {
        format!("0{number}")
    } else {
        number.to_owned()
    };
    serde_json::from_str::<serde_json::Number>(&padded).is_ok()
        || serde_json::from_str::<Json>(trimmed).is_ok_and(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalid(description: &str) -> Result<Draft, Refused> {
        Err(Refused::Invalid(description.to_owned()))
    }

    #[test]
    fn a_body_is_strict_json_with_known_fields() {
        assert_eq!(Draft::read(b"{'name':'s'}"), invalid(MALFORMED));
        assert_eq!(Draft::read(b"{\"name\":\"s\",}"), invalid(MALFORMED));
        assert_eq!(Draft::read(b"{} xyz"), invalid(MALFORMED));
        assert_eq!(Draft::read(b"{}{}"), invalid(DISALLOWED));
        assert_eq!(Draft::read(b"[]"), invalid(DISALLOWED));
        assert_eq!(Draft::read(b"{\"bindings\":\"a\"}"), invalid(DISALLOWED));
        assert_eq!(Draft::read(b"{\"bindings\":[{}]}"), invalid(DISALLOWED));
        assert_eq!(
            Draft::read(b"{\"foo\":1}"),
            invalid("Unrecognized property 'foo'")
        );
        assert_eq!(Draft::read(b" "), Err(Refused::Nothing));
        assert_eq!(Draft::read(b"null"), Err(Refused::Nothing));
    }

    #[test]
    fn what_the_server_answered_may_be_sent_back() {
        let body = br#"{"id":"1","name":"s","displayName":"S","description":null,"bindings":[],"usageCount":3}"#;
        let draft = Draft::read(body).unwrap();
        assert_eq!(
            (draft.name.as_deref(), draft.display_name.as_deref()),
            (Some("s"), Some("S"))
        );
        assert!(draft.violations().is_empty());
    }

    #[test]
    fn roles_are_cut_at_commas() {
        let roles = |body: &str| {
            Draft::read(format!("{{\"bindings\":{body}}}").as_bytes())
                .unwrap()
                .roles()
        };
        assert_eq!(roles(r#"["a,b","c"]"#), ["a", "b", "c"]);
        assert_eq!(roles(r#"["x","","y",""]"#), ["x", "y"]);
        assert_eq!(roles("[null]"), ["null"]);
        assert_eq!(roles("[1,2.50,true]"), ["1", "2.50", "true"]);
        assert!(roles("[\",\"]").is_empty());
    }

    #[test]
    fn names_that_read_as_json_are_known() {
        for name in [
            "5", "007", "00", "0.5", "-1", "1e3", "true", "[]", "{}", "\"x\"", " 5 ",
        ] {
            assert!(reads_as_json(name), "{name}");
        }
        for name in [
            "null",
            "a",
            "5a",
            "1.",
            "orders:read",
            "-",
            "[b]",
            "a[b]{c}",
            ".",
        ] {
            assert!(!reads_as_json(name), "{name}");
        }
    }
}
