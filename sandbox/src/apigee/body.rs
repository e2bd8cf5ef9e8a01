//! Request bodies, read by the member: clients send more than the documents name, and `null` where they mean nothing.

use http::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::answer::Fault;
use super::store::Attribute;
use super::switches::NullEntries;
use super::{Call, Edition};
use crate::wire::Request;

/// A JSON object from a request.
#[derive(Debug, Default)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Reads a request's body; an empty one is an empty object.
    ///
    /// # Errors
    /// On Edge 415 for a content type that it does not take; 400 for what is no JSON object.
    pub(super) fn read(edition: Edition, call: &Call<'_>) -> Result<Self, Fault> {
        let request = call.request;
        if request.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        if edition == Edition::Edge {
            check_content_type(request)?;
        }
        match serde_json::from_slice(&request.body) {
            Ok(Value::Object(mut members)) => {
                members
                    .values_mut()
                    .try_for_each(|member| settle_nulls(member, call.null_entries))?;
                Ok(Self(members))
            }
            Ok(_) => Err(Fault::invalid(
                "The request body must be a JSON object".to_owned(),
            )),
            Err(error) => Err(Fault::invalid(format!(
                "Invalid JSON payload received. {error}"
            ))),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn into_members(self) -> Map<String, Value> {
        self.0
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A member that is an object of its own.
    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(members)) => Ok(Some(Self(members.clone()))),
            Some(_) => Err(wrong(name, "an object")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "a string")),
        }
    }

    /// A list of strings.
    pub(super) fn names(&self, name: &str) -> Result<Option<Vec<String>>, Fault> {
        self.list(
            name,
            |item| item.as_str().map(str::to_owned),
            "a list of strings",
        )
    }

    /// A list of products: names, or the objects that answers have.
    pub(super) fn products(&self) -> Result<Vec<String>, Fault> {
        let name = |item: &Value| match item {
            Value::String(name) => Some(name.clone()),
            Value::Object(members) => members.get("apiproduct")?.as_str().map(str::to_owned),
            _ => None,
        };
        let mut products = self
            .list("apiProducts", name, "a list of product names")?
            .unwrap_or_default();
        products.retain(|product| !product.is_empty());
        Ok(products)
    }

    pub(super) fn attributes(&self, name: &str) -> Result<Option<Vec<Attribute>>, Fault> {
        let attribute = |item: &Value| {
            let text = |member: &str| match item.get(member) {
                Some(Value::String(text)) => Some(text.clone()),
                Some(Value::Null) | None => Some(String::new()),
                Some(_) => None,
            };
            Some(Attribute {
                name: text("name").filter(|name| !name.is_empty())?,
                value: text("value")?,
            })
        };
        self.list(name, attribute, "a list of {name, value}")
    }

    /// A whole number, which protobuf's JSON also has as a string.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Fault> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let number = value
            .as_i64()
            .or_else(|| value.as_str().and_then(|text| text.parse().ok()));
        number
            .map(Some)
            .ok_or_else(|| wrong(name, "a whole number"))
    }

    fn list<T>(
        &self,
        name: &str,
        read: impl Fn(&Value) -> Option<T>,
        expected: &str,
    ) -> Result<Option<Vec<T>>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                let items: Option<Vec<T>> = items.iter().map(read).collect();
                items.map(Some).ok_or_else(|| wrong(name, expected))
            }
            Some(_) => Err(wrong(name, expected)),
        }
    }
}

/// Takes null out of every list, or refuses it there.
fn settle_nulls(value: &mut Value, null_entries: NullEntries) -> Result<(), Fault> {
    match value {
        Value::Array(entries) => {
            if null_entries == NullEntries::Drop {
                entries.retain(|entry| !entry.is_null());
            } else if entries.iter().any(Value::is_null) {
                return Err(Fault::invalid(
                    "Invalid JSON payload received. A list holds null".to_owned(),
                ));
            }
            entries
                .iter_mut()
                .try_for_each(|entry| settle_nulls(entry, null_entries))
        }
        Value::Object(members) => members
            .values_mut()
            .try_for_each(|member| settle_nulls(member, null_entries)),
        _ => Ok(()),
    }
}

fn wrong(name: &str, expected: &str) -> Fault {
    Fault::invalid(format!("Invalid value at '{name}': expected {expected}"))
}

fn check_content_type(request: &Request) -> Result<(), Fault> {
    let Some(content_type) = request.headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = content_type
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Fault::coded(
        415,
        "UnsupportedMediaType",
        format!("Content type \"{essence}\" is not supported"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(value: Value) -> Body {
        match value {
            Value::Object(members) => Body(members),
            _ => unreachable!(),
        }
    }

    #[test]
    fn products_are_names_or_the_objects_of_answers() {
        let body =
            body(json!({"apiProducts": ["a", {"apiproduct": "b", "status": "approved"}, ""]}));
        assert_eq!(body.products().unwrap(), ["a", "b"]);
    }

    #[test]
    fn null_is_as_good_as_absent_and_a_wrong_type_is_refused() {
        let body = body(
            json!({"scopes": null, "name": 3, "attributes": [{"value": "x"}], "keyExpiresIn": "-1"}),
        );
        assert_eq!(body.names("scopes").unwrap(), None);
        assert!(body.text("name").is_err());
        assert!(
            body.attributes("attributes").is_err(),
            "an attribute has a name"
        );
        assert_eq!(body.number("keyExpiresIn").unwrap(), Some(-1));
    }
}
