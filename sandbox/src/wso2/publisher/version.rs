//! Releases: which path each answers to, and which OAuth scopes it asks for.

use std::fmt;

/// Which version segment the server answers to: it knows its own, and the latest minor of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Version {
    major: u8,
    minor: Option<u8>,
}

impl Version {
    /// Reads `v4` or `v4.5`.
    ///
    /// # Errors
    /// Anything else, and majors that were never released.
    pub(in super::super) fn parse(text: &str) -> Result<Self, String> {
        let parsed = text.strip_prefix('v').and_then(|numbers| {
            let (major, minor) = match numbers.split_once('.') {
                Some((major, minor)) => (major, Some(minor.parse().ok()?)),
                None => (numbers, None),
            };
            Some(Self {
                major: major.parse().ok()?,
                minor,
            })
        });
        parsed
            .filter(|version| (1..=4).contains(&version.major))
            .ok_or_else(|| format!("publisherVersion: {text:?} is none of v1, v2, v3, v4, v4.5"))
    }

    pub(super) fn is_mine(&self, segment: &str) -> bool {
        let minor = self.minor.or((self.major == 4).then_some(5));
        segment == format!("v{}", self.major)
            || minor.is_some_and(|minor| segment == format!("v{}.{minor}", self.major))
    }

    /// The OAuth scopes of which one suffices. 4.1 took more of them in.
    pub(super) fn accepted_scopes(&self, need: Need) -> &'static [&'static str] {
        match (need, self.major >= 3) {
            (Need::List | Need::Usage, false) => &["apim:api_view"],
            (Need::List, true) => &["apim:api_view", "apim:shared_scope_manage"],
            (Need::Write, _) => &["apim:shared_scope_manage"],
            (Need::Exists, false) => &["apim:api_create", "apim:api_publish"],
            (Need::Exists, true) => &[
                "apim:api_create",
                "apim:api_publish",
                "apim:api_manage",
                "apim:shared_scope_manage",
            ],
            (Need::Usage, true) => &[
                "apim:api_view",
                "apim:api_manage",
                "apim:shared_scope_manage",
            ],
        }
    }
}

impl Default for Version {
    fn default() -> Self {
        Self {
            major: 4,
            minor: None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{}", self.major)?;
        match self.minor {
            Some(minor) => write!(formatter, ".{minor}"),
            None => Ok(()),
        }
    }
}

/// What a call needs permission for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need {
    List,
    Write,
    Exists,
    Usage,
}
