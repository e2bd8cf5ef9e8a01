//! What exists in a sandbox: its systems, read from a world file and written back in the same form.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::apigee::Apigee;
use super::onelogin::{self, OneLogin};
use super::wire::Emulated;
use super::wso2::Wso2;

/// The largest world that is read, in bytes: some hundred thousand scopes.
pub(super) const MAX_WORLD_BYTES: usize = 128 * 1024 * 1024;

/// The most nodes that a world in YAML may have; the reader's own bound is meant for configuration files.
const MAX_YAML_NODES: usize = 8_000_000;

/// Everything that a sandbox holds: the systems, each under its name.
#[derive(Default)]
pub struct World {
    systems: Vec<System>,
}

/// One emulated system and what it is called.
pub(super) struct System {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) emulated: Box<dyn Emulated>,
}

/// Which of the three systems one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    OneLogin,
    Wso2,
    Apigee,
}

/// Why a world cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// The text is no YAML, or not that of a world.
    #[error("the world cannot be read: {0}")]
    Yaml(Box<serde_saphyr::Error>),
    /// The text is no JSON, or not that of a world.
    #[error("the world cannot be read: {0}")]
    Json(#[source] serde_json::Error),
    /// The text is longer than any world that makes sense.
    #[error("the world has {bytes} bytes, and at most {MAX_WORLD_BYTES} are read")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// A system says what it is not at all, or twice.
    #[error("system \"{name}\" must have exactly one of oneLogin, wso2 and apigee")]
    NotOneKind {
        /// The system's name.
        name: String,
    },
    /// A system's name cannot stand in a path as `/@NAME/`.
    #[error(
        "a system's name stands in paths, so it may hold only ASCII letters, digits, '-', '_' and '.': {name:?}"
    )]
    UnusableName {
        /// The name as given.
        name: String,
    },
    /// Two systems are called the same.
    #[error("two systems of the world are called \"{name}\"")]
    DuplicateName {
        /// The name that occurs twice.
        name: String,
    },
    /// A system's content contradicts itself.
    #[error("system \"{name}\": {message}")]
    System {
        /// The system's name.
        name: String,
        /// What is wrong, in its emulator's words.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorldFile {
    systems: Vec<SystemFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SystemFile {
    name: String,
    #[serde(default)]
    one_login: Option<onelogin::Account>,
    #[serde(default)]
    wso2: Option<Value>,
    #[serde(default)]
    apigee: Option<Value>,
}

impl World {
    /// Reads a world file in YAML.
    ///
    /// # Errors
    /// When the text is no world, with the place in it, or contradicts itself.
    pub fn from_yaml(text: &str) -> Result<Self, WorldError> {
        check_size(text.len())?;
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_nodes: MAX_YAML_NODES, max_events: 2 * MAX_YAML_NODES },
        };
        let file = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| WorldError::Yaml(error.into()))?;
        Self::load(file)
    }

    /// Reads a world file in JSON, such as a state file.
    ///
    /// # Errors
    /// As [`World::from_yaml`].
    pub fn from_json(text: &[u8]) -> Result<Self, WorldError> {
        check_size(text.len())?;
        Self::load(serde_json::from_slice(text).map_err(WorldError::Json)?)
    }

    /// Reads a world that was put together by a program.
    ///
    /// # Errors
    /// As [`World::from_yaml`].
    pub fn from_value(value: Value) -> Result<Self, WorldError> {
        Self::load(serde_json::from_value(value).map_err(WorldError::Json)?)
    }

    fn load(file: WorldFile) -> Result<Self, WorldError> {
        let mut names = HashSet::new();
        let mut systems = Vec::with_capacity(file.systems.len());
        for system in file.systems {
            let SystemFile {
                name,
                one_login,
                wso2,
                apigee,
            } = system;
            if name.is_empty()
                || !name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            {
                return Err(WorldError::UnusableName { name });
            }
            if !names.insert(name.clone()) {
                return Err(WorldError::DuplicateName { name });
            }
            let loaded = match (one_login, wso2, apigee) {
                (Some(account), None, None) => {
                    OneLogin::load(account).map(|system| (Kind::OneLogin, boxed(system)))
                }
                (None, Some(value), None) => {
                    Wso2::load(value).map(|system| (Kind::Wso2, boxed(system)))
                }
                (None, None, Some(value)) => {
                    Apigee::load(value).map(|system| (Kind::Apigee, boxed(system)))
                }
                _ => return Err(WorldError::NotOneKind { name }),
            };
            let (kind, emulated) = loaded.map_err(|message| WorldError::System {
                name: name.clone(),
                message,
            })?;
            systems.push(System {
                name,
                kind,
                emulated,
            });
        }
        Ok(Self { systems })
    }

    /// The world as it stands, in the form in which it is read.
    pub fn to_value(&self) -> Value {
        let systems: Vec<Value> = self
            .systems
            .iter()
            .map(
                |system| json!({ "name": system.name, system.kind.key(): system.emulated.world() }),
            )
            .collect();
        json!({ "systems": systems })
    }

    /// The world as it stands, as YAML.
    ///
    /// # Errors
    /// When a value of the world has no form in YAML.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        serde_saphyr::to_string(&self.to_value())
    }

    /// The names of the systems, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.systems.iter().map(|system| system.name.as_str())
    }

    /// The system that a request is for: the one named, else the first that serves the path.
    pub(super) fn find(&self, name: Option<&str>, path: &str) -> Option<&System> {
        self.systems.iter().find(|system| match name {
            Some(name) => system.name == name,
            None => system.emulated.serves(path),
        })
    }

    pub(super) fn named(&mut self, name: &str) -> Option<&mut System> {
        self.systems.iter_mut().find(|system| system.name == name)
    }

    /// The one system of a world that has no other.
    pub(super) fn only(&mut self) -> Option<&mut System> {
        match self.systems.as_mut_slice() {
            [system] => Some(system),
            _ => None,
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("systems", &self.names().collect::<Vec<_>>())
            .finish()
    }
}

impl Kind {
    /// The key under which a system of this kind stands in the world file.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::OneLogin => "oneLogin",
            Self::Wso2 => "wso2",
            Self::Apigee => "apigee",
        }
    }

    /// Makes a system of this kind from what stands below its key.
    pub(super) fn load(self, value: Value) -> Result<Box<dyn Emulated>, String> {
        match self {
            Self::OneLogin => {
                let account = serde_json::from_value(value).map_err(|error| error.to_string())?;
                OneLogin::load(account).map(boxed)
            }
            Self::Wso2 => Wso2::load(value).map(boxed),
            Self::Apigee => Apigee::load(value).map(boxed),
        }
    }
}

fn boxed<E: Emulated + 'static>(system: E) -> Box<dyn Emulated> {
    Box::new(system)
}

fn check_size(bytes: usize) -> Result<(), WorldError> {
    if bytes > MAX_WORLD_BYTES {
        Err(WorldError::TooLarge { bytes })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(yaml: &str) -> String {
        World::from_yaml(yaml).unwrap_err().to_string()
    }

    #[test]
    fn a_world_keeps_its_systems_and_their_order() {
        let world =
            World::from_yaml("systems: [{ name: b, oneLogin: {} }, { name: a, oneLogin: {} }]")
                .unwrap();
        assert_eq!(world.names().collect::<Vec<_>>(), ["b", "a"]);
        let again = World::from_value(world.to_value()).unwrap();
        assert_eq!(again.to_value(), world.to_value());
        let yaml = world.to_yaml().unwrap();
        assert_eq!(
            World::from_yaml(&yaml).unwrap().to_value(),
            world.to_value()
        );
    }

    #[test]
    fn a_world_that_cannot_be_served_is_refused_with_the_reason() {
        for (yaml, reason) in [
            (
                "systems: [{ name: a }]",
                "exactly one of oneLogin, wso2 and apigee",
            ),
            (
                "systems: [{ name: a, oneLogin: {}, wso2: {} }]",
                "exactly one of",
            ),
            ("systems: [{ name: a/b, oneLogin: {} }]", "a/b"),
            ("systems: [{ name: '', oneLogin: {} }]", "ASCII letters"),
            (
                "systems: [{ name: a, oneLogin: {} }, { name: a, oneLogin: {} }]",
                "two systems",
            ),
            ("systems: [{ name: a, onelogin: {} }]", "onelogin"),
            ("systems: [{ name: a, oneLogin: { scopes: [] } }]", "scopes"),
            ("system: []", "system"),
            ("- 1", "cannot be read"),
            ("", "cannot be read"),
        ] {
            let message = message(yaml);
            assert!(message.contains(reason), "{yaml}: {message}");
        }
    }

    #[test]
    fn a_world_too_deep_or_too_large_is_refused() {
        assert!(World::from_yaml(&"[".repeat(100_000)).is_err());
        assert!(World::from_json("[".repeat(100_000).as_bytes()).is_err());
        assert!(matches!(
            World::from_json(&vec![b' '; MAX_WORLD_BYTES + 1]),
            Err(WorldError::TooLarge { .. })
        ));
    }
}
