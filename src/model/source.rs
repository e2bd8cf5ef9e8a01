//! Where a wish comes from: repositories, files and manifests.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

/// What a file's path is relative to, by a name that every checkout agrees on: `github.com/acme/iam`. A root that has no
/// such name goes by its absolute real path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Repository(String);

/// Why a text cannot name a repository.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a valid name of a repository: write it like `github.com/acme/iam`")]
pub struct InvalidRepository(String);

impl Repository {
    /// Checks a name.
    ///
    /// # Errors
    /// Where it is empty, holds white space or control characters, or is a path.
    pub fn named(text: &str) -> Result<Self, InvalidRepository> {
        let refused = |c: char| c.is_whitespace() || c.is_control();
        if text.is_empty() || text.starts_with('/') || text.contains(refused) {
            return Err(InvalidRepository(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name that the URL of a remote comes to, the same for everybody who has it: without scheme, user, password,
    /// default port, `.git` and slashes at its end, the host in lower case. `None` for what is on this machine alone.
    pub fn of_origin(url: &str) -> Option<Self> {
        let url = url.trim();
        let (scheme, rest) = if let Some((scheme, rest)) = url.split_once("://") {
            (scheme.to_ascii_lowercase(), rest.to_owned())
        } else {
            // `git@host:path`, unless a slash comes first: then it is a path.
            let (host, path) = url.split_once(':')?;
            if host.contains('/') {
                return None;
            }
            let path = path.trim_start_matches('/');
            ("ssh".to_owned(), format!("{host}/{path}"))
        };
        let default_port = match scheme.as_str() {
            "https" => "443",
            "http" => "80",
            "ssh" | "git+ssh" | "ssh+git" => "22",
            "git" => "9418",
            _ => return None,
        };
        let (authority, path) = rest.split_once('/')?;
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let host = host.to_ascii_lowercase();
        let host = match host.rsplit_once(':') {
            Some((name, port)) if port == default_port || port.is_empty() => name.to_owned(),
            _ => host,
        };
        let path = path.trim_end_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path).trim_matches('/');
        if host.is_empty() || path.is_empty() {
            return None;
        }
        Self::named(&format!("{host}/{path}")).ok()
    }

    /// Takes the absolute real path of a root, `/` among its parts.
    pub fn at(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// Whether it is a root's path rather than a name: then only this machine knows it.
    pub fn is_path(&self) -> bool {
        self.0.starts_with('/')
    }

    /// Borrows the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Repository {
    type Err = InvalidRepository;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::named(text)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A manifest file: its repository, and its path there with `/` between its parts. Ownership is recorded against it.
///
/// One without a repository was recorded by an older format, or is standard input: no run covers it. Or it is a resource in a
/// cluster, which no run over files covers.
#[derive(Clone)]
pub struct SourceFile {
    repository: Option<Repository>,
    path: String,
    /// How people of this run know it, where that is not `path`. No part of what it is.
    shown: Option<String>,
}

/// What the paths of resources in a cluster start with.
const CLUSTER: &str = "k8s";

/// The path of standard input.
const STANDARD_INPUT: &str = "-";

impl SourceFile {
    /// A file of no repository.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            repository: None,
            path: path.into(),
            shown: None,
        }
    }

    /// Standard input: each time another pipe.
    pub fn standard_input() -> Self {
        Self::new(STANDARD_INPUT)
    }

    /// A resource in a cluster, which is one whatever its UID and whatever file it comes from. It has no repository.
    pub fn in_cluster(namespace: &str, kind: &str, name: &str) -> Self {
        Self::new(format!("{CLUSTER}/{namespace}/{kind}/{name}"))
    }

    /// Whether it is a resource in a cluster.
    pub fn is_in_cluster(&self) -> bool {
        let parts: Vec<&str> = self.path.split('/').collect();
        let is_path = matches!(
            parts[..],
            [
                CLUSTER,
                _,
                "Target" | "Scope" | "ScopeBinding" | "AppScopeSet",
                _
            ]
        );
        self.repository.is_none() && is_path
    }

    /// Gives it its repository.
    pub fn of(mut self, repository: Repository) -> Self {
        // Without a repository around it, a path says most when it is whole.
        self.shown = (repository.as_str() == "/").then(|| format!("/{}", self.path));
        self.repository = Some(repository);
        self
    }

    /// Gives it the name that people of this run know it by.
    pub fn shown_as(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.shown = Some(text).filter(|text| *text != self.path);
        self
    }

    /// Its repository.
    pub fn repository(&self) -> Option<&Repository> {
        self.repository.as_ref()
    }

    /// Its path in its repository.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is standard input.
    pub fn is_standard_input(&self) -> bool {
        self.repository.is_none() && self.path == STANDARD_INPUT
    }

    /// Whether this file lies inside `place`, a file or a folder of the same repository; `.` is all of it.
    pub fn is_inside(&self, place: &Self) -> bool {
        let below = || match self.path.strip_prefix(place.path.trim_end_matches('/')) {
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        };
        self.repository == place.repository
            && !self.is_standard_input()
            && (place.path == "." || below())
    }

    /// The same file, with its path taken from a folder above it; `None` where it does not lie there.
    pub fn below(&self, folder: &str) -> Option<Self> {
        if folder.is_empty() {
            return Some(self.clone());
        }
        let path = self.path.strip_prefix(folder)?.strip_prefix('/')?;
        Some(Self::new(path))
    }

    /// Whether this recorded file is `read`, as far as the record tells: an older format kept the name alone that people
    /// knew it by.
    pub fn may_be(&self, read: &Self) -> bool {
        let is_older = self.repository.is_none() && !self.is_in_cluster();
        self == read || is_older && (self.path == read.path || self.path == read.as_str())
    }

    /// The name that people know it by.
    pub fn as_str(&self) -> &str {
        self.shown.as_deref().unwrap_or(&self.path)
    }

    /// The name beside `other`'s: with its repository where that is another one.
    pub fn beside(&self, other: &Self) -> String {
        match &self.repository {
            Some(repository)
                if self.repository != other.repository && repository.as_str() != "/" =>
            {
                format!("{} of {repository}", self.path)
            }
            _ => self.to_string(),
        }
    }

    fn identity(&self) -> (&Option<Repository>, &str) {
        (&self.repository, &self.path)
    }
}

/// As people know it: the repository may be a path of this machine.
impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SourceFile").field(&self.as_str()).finish()
    }
}

impl PartialEq for SourceFile {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for SourceFile {}

impl PartialOrd for SourceFile {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SourceFile {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

impl Hash for SourceFile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Display for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// As people know it: what is kept is a [`ManifestRef`].
impl Serialize for SourceFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Where a wish comes from in this run: a document of a manifest file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The file.
    pub file: SourceFile,
    /// Which document of the file, counted from 0.
    pub document: usize,
    /// The line where the document's content starts, counted from 1.
    pub line: u32,
    /// `Target`, `Scope`, `ScopeBinding` or `AppScopeSet`.
    pub kind: String,
    /// `metadata.namespace`, `default` where it is left out.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl Source {
    /// The manifest, as the inventory records it.
    pub fn manifest(&self) -> ManifestRef {
        ManifestRef {
            file: self.file.clone(),
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

/// A manifest, whatever its place in its file: what the inventory records as the source of an entry and as a contributor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "Recorded", from = "Recorded")]
pub struct ManifestRef {
    /// Its file.
    pub file: SourceFile,
    /// Its kind; empty where an older format recorded it, and so are its namespace and name.
    pub kind: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl ManifestRef {
    /// A resource in a cluster.
    pub fn in_cluster(namespace: &str, kind: &str, name: &str) -> Self {
        Self {
            file: SourceFile::in_cluster(namespace, kind, name),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// What is known of the manifest is its file alone.
impl From<SourceFile> for ManifestRef {
    fn from(file: SourceFile) -> Self {
        Self {
            file,
            kind: String::new(),
            namespace: String::new(),
            name: String::new(),
        }
    }
}

/// A manifest as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Recorded {
    /// An older format kept the path alone.
    Path(String),
    Whole {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repository: Option<Repository>,
        path: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        kind: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        namespace: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        name: String,
    },
}

impl From<ManifestRef> for Recorded {
    fn from(manifest: ManifestRef) -> Self {
        let ManifestRef {
            file,
            kind,
            namespace,
            name,
        } = manifest;
        Self::Whole {
            repository: file.repository,
            path: file.path,
            kind,
            namespace,
            name,
        }
    }
}

impl From<Recorded> for ManifestRef {
    fn from(recorded: Recorded) -> Self {
        match recorded {
            Recorded::Path(path) => SourceFile::new(path).into(),
            Recorded::Whole {
                repository,
                path,
                kind,
                namespace,
                name,
            } => Self {
                file: match repository {
                    Some(repository) => SourceFile::new(path).of(repository),
                    None => SourceFile::new(path),
                },
                kind,
                namespace,
                name,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(text: &str) -> Repository {
        Repository::named(text).unwrap()
    }

    #[test]
    fn a_file_is_inside_its_folders_and_nothing_else() {
        let file = SourceFile::new("clusters/prod/orders.yaml");
        for inside in [
            ".",
            "clusters",
            "clusters/",
            "clusters/prod",
            "clusters/prod/orders.yaml",
        ] {
            assert!(file.is_inside(&SourceFile::new(inside)), "{inside}");
        }
        for outside in [
            "cluster",
            "clusters/pro",
            "prod",
            "clusters/prod/orders",
            "-",
        ] {
            assert!(!file.is_inside(&SourceFile::new(outside)), "{outside}");
        }
        let other = SourceFile::new("clusters").of(repository("github.com/acme/iam"));
        assert!(!file.is_inside(&other));
        assert!(
            file.clone()
                .of(repository("github.com/acme/iam"))
                .is_inside(&other)
        );
    }

    #[test]
    fn every_spelling_of_an_origin_is_one_repository() {
        for url in [
            "https://github.com/acme/iam.git",
            "https://ann:pa55@GitHub.com:443/acme/iam/",
            "http://github.com:80/acme/iam",
            "git@github.com:acme/iam.git",
            "github.com:acme/iam",
            "ssh://git@github.com:22/acme/iam.git/",
            "git://github.com:9418/acme/iam",
        ] {
            assert_eq!(
                Repository::of_origin(url),
                Some(repository("github.com/acme/iam")),
                "{url}"
            );
        }
        let other = Repository::of_origin("ssh://git@git.acme.com:7999/IAM/Scopes.git");
        assert_eq!(other, Some(repository("git.acme.com:7999/IAM/Scopes")));
        for here in [
            "/srv/git/iam.git",
            "../iam",
            "file:///srv/git/iam.git",
            "./a:b",
            "https://github.com/",
            "",
        ] {
            assert_eq!(Repository::of_origin(here), None, "{here}");
        }
    }

    #[test]
    fn standard_input_is_inside_nothing() {
        let piped = SourceFile::standard_input();
        assert!(!piped.is_inside(&SourceFile::new(".")));
        assert!(!piped.is_inside(&piped));
    }

    #[test]
    fn one_path_of_two_repositories_is_two_files() {
        let iam = SourceFile::new("scopes/a.yaml").of(repository("github.com/acme/iam"));
        let shop = SourceFile::new("scopes/a.yaml").of(repository("github.com/acme/shop"));
        assert_ne!(iam, shop);
        assert!(!iam.may_be(&shop));
        assert_eq!(iam, iam.clone().shown_as("../iam/scopes/a.yaml"));
        assert_eq!(iam.beside(&iam), "scopes/a.yaml");
        assert_eq!(iam.beside(&shop), "scopes/a.yaml of github.com/acme/iam");
    }

    #[test]
    fn a_resource_in_a_cluster_is_no_file_of_its_name() {
        let resource = SourceFile::in_cluster("shop", "Scope", "orders");
        assert_eq!(resource.path(), "k8s/shop/Scope/orders");
        assert!(resource.is_in_cluster() && resource.may_be(&resource));
        let file = SourceFile::new("k8s/shop/Scope/orders").of(repository("github.com/acme/iam"));
        assert!(!resource.may_be(&file) && !file.is_in_cluster());
        assert!(!SourceFile::new("k8s/shop/orders/a.yaml").is_in_cluster());
        let manifest = ManifestRef::in_cluster("shop", "Scope", "orders");
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(
            serde_json::from_str::<ManifestRef>(&text).unwrap(),
            manifest
        );
    }

    #[test]
    fn what_an_older_format_recorded_is_read() {
        let older: ManifestRef = serde_json::from_str("\"scopes/a.yaml\"").unwrap();
        assert_eq!(older, SourceFile::new("scopes/a.yaml").into());
        let now = SourceFile::new("scopes/a.yaml").of(repository("github.com/acme/iam"));
        assert!(older.file.may_be(&now));
    }

    #[test]
    fn a_manifest_is_kept_with_everything_that_tells_it() {
        let manifest = ManifestRef {
            file: SourceFile::new("scopes/a.yaml").of(repository("github.com/acme/iam")),
            kind: "Scope".to_owned(),
            namespace: "default".to_owned(),
            name: "a".to_owned(),
        };
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(
            text,
            r#"{"repository":"github.com/acme/iam","path":"scopes/a.yaml","kind":"Scope","namespace":"default","name":"a"}"#
        );
        assert_eq!(
            serde_json::from_str::<ManifestRef>(&text).unwrap(),
            manifest
        );
    }
}
