//! Reading the bodies of `/api/2`: a JSON object, whose members are checked for presence first and for type next.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::answer::Refusal;
use super::switches::{MalformedJson, Permission};
use super::tables::ScopeId;

/// The members of a request's body.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

/// One member: a `null` is not the same as nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field<T> {
    Absent,
    Null,
    Given(T),
}

impl<T> Field<T> {
    /// What is given, if anything is.
    pub(super) fn given(self) -> Option<T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

impl Fields {
    /// Reads a body; nothing at all counts as an object without members.
    pub(super) fn read(body: &[u8], malformed: MalformedJson) -> Result<Self, Refusal> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) | Err(_) => Err(Refusal::Malformed(malformed)),
        }
    }

    /// The members of an object within a body.
    pub(super) fn of(value: &Value, name: &str) -> Result<Self, Refusal> {
        match value {
            Value::Object(members) => Ok(Self(members.clone())),
            _ => Err(wrong_type(name, "object")),
        }
    }

    /// Refuses members beyond these, where that is asked for.
    pub(super) fn allow_only(&self, known: &[&str], extra: Permission) -> Result<(), Refusal> {
        match (
            extra,
            self.0.keys().find(|key| !known.contains(&key.as_str())),
        ) {
            (Permission::Refuse, Some(key)) => Err(Refusal::Schema(format!(
                "instance is not allowed to have the additional property \"{key}\""
            ))),
            _ => Ok(()),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Result<Field<String>, Refusal> {
        match self.0.get(name) {
            None => Ok(Field::Absent),
            Some(Value::Null) => Ok(Field::Null),
            Some(Value::String(text)) => Ok(Field::Given(text.clone())),
            Some(_) => Err(wrong_type(name, "string")),
        }
    }

    pub(super) fn minutes(&self, name: &str) -> Result<Field<u32>, Refusal> {
        match self.0.get(name) {
            None => Ok(Field::Absent),
            Some(Value::Null) => Ok(Field::Null),
            Some(value) => match value
                .as_u64()
                .and_then(|minutes| u32::try_from(minutes).ok())
            {
                Some(minutes) => Ok(Field::Given(minutes)),
                None => Err(wrong_type(name, "integer")),
            },
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Field<Vec<String>>, Refusal> {
        self.items(name, |item| item.as_str().map(ToOwned::to_owned), "string")
    }

    pub(super) fn scope_ids(&self, name: &str) -> Result<Field<BTreeSet<ScopeId>>, Refusal> {
        let ids = self.items(name, |item| item.as_u64().map(ScopeId), "integer")?;
        Ok(match ids {
            Field::Given(ids) => Field::Given(ids.into_iter().collect()),
            Field::Null => Field::Null,
            Field::Absent => Field::Absent,
        })
    }

    fn items<T>(
        &self,
        name: &str,
        read: impl Fn(&Value) -> Option<T>,
        kind: &str,
    ) -> Result<Field<Vec<T>>, Refusal> {
        match self.0.get(name) {
            None => Ok(Field::Absent),
            Some(Value::Null) => Ok(Field::Null),
            Some(Value::Array(items)) => {
                let items = items.iter().zip(0_usize..).map(|(item, index)| {
                    read(item).ok_or_else(|| wrong_type(&format!("{name}[{index}]"), kind))
                });
                items.collect::<Result<_, _>>().map(Field::Given)
            }
            Some(_) => Err(wrong_type(name, "array")),
        }
    }
}

pub(super) fn wrong_type(name: &str, kind: &str) -> Refusal {
    Refusal::Schema(format!("instance.{name} is not of a type(s) {kind}"))
}
