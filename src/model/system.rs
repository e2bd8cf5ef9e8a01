//! What a system can hold and do: one table for validation, planning and the providers.

use serde::Serialize;
use strum::{IntoStaticStr, VariantNames};

use super::name::ScopeName;

/// The systems, one for each API with rules of its own.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, IntoStaticStr, VariantNames,
)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub enum System {
    /// OneLogin API authorization servers, API v2.
    OneLogin,
    /// WSO2 scope registration v1.0.
    Wso2ScopeRegistration,
    /// WSO2 API Manager's shared scopes.
    Wso2Publisher,
    /// Apigee Edge.
    ApigeeEdge,
    /// Apigee X and hybrid.
    ApigeeX,
}

/// How a system renames a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rename {
    /// An update keeps the id, and with it every holder.
    InPlace,
    /// Not at all.
    No,
}

/// When a full list is read again before it is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reread {
    /// One list before the level serves all its changes.
    PerLevel,
    /// Each holder is asked for just before its own write.
    PerChange,
}

/// What a system has a place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Scopes are objects of their own. (Apigee's are entries of products.)
    pub scopes: bool,
    /// A scope has a display name beside its name.
    pub display_name: bool,
    /// A scope has roles.
    pub roles: bool,
    /// Apps hold scope sets.
    pub apps: bool,
    /// An app can be detached, and so an `AppScopeSet` deleted.
    pub detach: bool,
    /// How a scope gets another name.
    pub rename: Rename,
    /// A scope without roles is issued to anyone.
    pub empty_roles_open_to_all: bool,
    /// When full lists are read again.
    pub reread: Reread,
    /// The system tells who uses a scope.
    pub tells_consumers: bool,
    /// The longest description, in characters.
    pub description_length: usize,
    /// The longest role name, in characters.
    pub role_length: usize,
}

impl System {
    /// The name that people read.
    pub fn label(self) -> &'static str {
        match self {
            Self::OneLogin => "OneLogin",
            Self::Wso2ScopeRegistration => "WSO2 scope registration",
            Self::Wso2Publisher => "WSO2 Publisher",
            Self::ApigeeEdge => "Apigee Edge",
            Self::ApigeeX => "Apigee X",
        }
    }

    /// What the system has a place for.
    pub fn capabilities(self) -> Capabilities {
        let wso2 = Capabilities {
            scopes: true,
            display_name: false,
            roles: true,
            apps: false,
            detach: false,
            rename: Rename::No,
            empty_roles_open_to_all: true,
            reread: Reread::PerLevel,
            tells_consumers: false,
            description_length: 512,
            role_length: 255,
        };
        match self {
            Self::OneLogin => Capabilities {
                roles: false,
                apps: true,
                detach: true,
                rename: Rename::InPlace,
                empty_roles_open_to_all: false,
                tells_consumers: true,
                description_length: 255,
                ..wso2
            },
            Self::Wso2ScopeRegistration => wso2,
            Self::Wso2Publisher => Capabilities {
                display_name: true,
                tells_consumers: true,
                ..wso2
            },
            Self::ApigeeEdge | Self::ApigeeX => Capabilities {
                scopes: false,
                roles: false,
                apps: true,
                empty_roles_open_to_all: false,
                reread: Reread::PerChange,
                ..wso2
            },
        }
    }

    /// Why this system cannot hold a scope of that name, or `None` where it can.
    ///
    /// WSO2 scope registration answers 500 *and creates the scope* for characters that its Location header cannot hold,
    /// and never finds one with a `/` again. Publisher blocks names that read as JSON for ever. Both were seen on WSO2's
    /// own code. Publisher's resident key manager, too, answers 500 to characters that its Location cannot hold, and makes
    /// the scope; Publisher only logs what a key manager answers to a create, so that such names work there.
    pub fn refuses_name(self, name: &ScopeName) -> Option<String> {
        let text = name.as_str();
        match self {
            Self::Wso2ScopeRegistration => {
                if text.contains('/') {
                    return Some(
                        "a name with `/` can be created but never read, changed or deleted again"
                            .to_owned(),
                    );
                }
                if matches!(text, "." | "..") {
                    return Some("no path leads to a name of dots: it can be created but never read, changed or deleted again".to_owned());
                }
                if text.contains("swagger.yaml") {
                    return Some(
                        "the path of `swagger.yaml` is taken by the API's own description"
                            .to_owned(),
                    );
                }
                if let Some(bad) = text.chars().find(|c| r#""<>\^`{|}[]"#.contains(*c)) {
                    return Some(format!(
                        "`{bad}` makes its create answer 500 although the scope is made"
                    ));
                }
                bad_percent(text).then(|| {
                    "`%` without two hexadecimal digits makes its create answer 500 although the scope is made".to_owned()
                })
            }
            Self::Wso2Publisher => {
                let number = text.parse::<f64>().is_ok_and(f64::is_finite);
                if number || serde_json::from_str::<serde_json::Value>(text).is_ok() {
                    return Some("a name that reads as JSON blocks itself: it is neither listed nor made again".to_owned());
                }
                if let Some(bad) = text.chars().find(|c| "?#/()".contains(*c)) {
                    return Some(format!(
                        "the key manager refuses `{bad}`, and the scope would be missing there"
                    ));
                }
                text.starts_with("apim:")
                    .then(|| "names that start with `apim:` are the product's own".to_owned())
            }
            Self::OneLogin | Self::ApigeeEdge | Self::ApigeeX => None,
        }
    }
}

/// Whether a `%` stands before something other than two hexadecimal digits.
fn bad_percent(text: &str) -> bool {
    text.split('%').skip(1).any(|rest| {
        let mut digits = rest.chars().take(2).filter(char::is_ascii_hexdigit);
        digits.next().is_none() || digits.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_refuses_the_names_that_it_would_break_on() {
        let refuses =
            |system: System, name: &str| system.refuses_name(&ScopeName::observed(name)).is_some();
        for name in [
            "a:b", "a%2Fb", "a%b0", "a.b", "a*b", "a+b", "a;b", "a?b", "a#b",
        ] {
            assert!(!refuses(System::Wso2ScopeRegistration, name), "{name}");
        }
        for name in [
            "a/b",
            "a%b",
            "a%",
            "a%2",
            "a[b",
            "a|b",
            "swagger.yaml",
            "a^",
            ".",
            "..",
        ] {
            assert!(refuses(System::Wso2ScopeRegistration, name), "{name}");
        }
        for name in [
            "5", "007", "1e3", "true", "null", "[]", "a/b", "a(b)", "apim:x",
        ] {
            assert!(refuses(System::Wso2Publisher, name), "{name}");
        }
        for name in ["a:b", "a%b", "nulls", "a[b"] {
            assert!(!refuses(System::Wso2Publisher, name), "{name}");
        }
        assert!(!refuses(System::OneLogin, "a/b"));
    }
}
