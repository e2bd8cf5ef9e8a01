//! Objects of a cluster into what they declare: the checks of files, on what an API server holds. Pure.
//!
//! What is invalid here holds what it contributed itself, by its recorded source, and stops nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::document::{self, Body, Document, ReadDocument};
use super::schema::Checker;
use super::{ClusterState, Namespaces, Options, crd, resolve};
use crate::diagnostic::{Code, Diagnostic, codes};
use crate::model::{Desired, Source, SourceFile, TargetId};

mod merge;

pub(super) use merge::{Merged, Own, lay_over};

/// What the objects of a cluster come to.
#[derive(Debug, Default)]
pub struct Assembled {
    /// What is wanted, from every object that can be used.
    pub desired: Desired,
    /// Each object that is there, and whether it can be used.
    pub objects: BTreeMap<SourceFile, Usable>,
    /// How often each Target is to be read.
    pub intervals: BTreeMap<TargetId, Duration>,
}

/// Whether an object can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usable {
    /// It is.
    Yes,
    /// Something is wrong with it.
    No(Unusable),
    /// What it refers to is there and cannot be used.
    LeftOut,
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Of which kind that is.
    pub fault: Fault,
    /// What to say of it.
    pub message: String,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It says something that cannot be.
    InvalidSpec,
    /// The Target does not let it in.
    NotAllowed,
    /// It says what another object says as well.
    Conflict,
    /// It refers to something that is not there.
    ReferenceNotFound,
}

impl Fault {
    fn of(code: Code) -> Self {
        match code {
            codes::NAMESPACE_NOT_ALLOWED | codes::SCOPE_NOT_ALLOWED => Self::NotAllowed,
            codes::UNKNOWN_TARGET | codes::UNKNOWN_SCOPE => Self::ReferenceNotFound,
            codes::SCOPE_DECLARED_TWICE | codes::APP_DECLARED_TWICE => Self::Conflict,
            _ => Self::InvalidSpec,
        }
    }
}

/// Reads the objects of a cluster, as its API server gives them.
pub fn assemble<'o>(
    objects: impl IntoIterator<Item = &'o Value>,
    namespaces: Namespaces,
    now: Timestamp,
) -> Assembled {
    let options = Options {
        strict: false,
        selector: None,
        now,
        repository: None,
        overlays: Vec::new(),
        cluster: Some(ClusterState {
            namespaces,
            ..ClusterState::default()
        }),
        recorded: [].into(),
    };
    let Objects {
        documents,
        broken,
        mut found,
        files,
    } = Objects::read(objects, &Checker::default(), &options);
    let mut intervals = BTreeMap::new();
    for document in &documents {
        if let Body::Target(spec) = &document.body {
            let id = TargetId {
                namespace: document.source.namespace.clone(),
                name: document.source.name.clone(),
            };
            let seconds = super::target::seconds(&spec.interval);
            intervals.insert(id, Duration::from_secs(seconds));
        }
    }
    let namespaces = options.namespaces();
    let resolved = resolve::resolve(documents, &broken, true, namespaces, &mut found);
    Assembled {
        desired: resolved.desired,
        objects: usable(files, resolved.unused, &found),
        intervals,
    }
}

/// Objects of a cluster as documents.
#[derive(Default)]
struct Objects {
    documents: Vec<Document>,
    /// Those that were left out.
    broken: Vec<Source>,
    found: Vec<Diagnostic>,
    /// All of them.
    files: BTreeSet<SourceFile>,
}

impl Objects {
    fn read<'o>(
        objects: impl IntoIterator<Item = &'o Value>,
        checker: &Checker,
        options: &Options,
    ) -> Self {
        let mut all = Self::default();
        for object in objects {
            let Some(source) = source(object) else {
                continue;
            };
            all.files.insert(source.file.clone());
            // A document's own, since their number is bounded for each document by itself.
            let mut own = Vec::new();
            match document::read(manifest(object), source, checker, options, &mut own) {
                ReadDocument::Manifest(document) => all.documents.push(*document),
                ReadDocument::Broken(source) => all.broken.push(source),
                ReadDocument::Secret(..) | ReadDocument::Skipped => {}
            }
            all.found.append(&mut own);
        }
        all
    }
}

/// What can be used of these, once it is known what was not used and what was found.
fn usable(
    files: BTreeSet<SourceFile>,
    unused: Vec<Source>,
    found: &[Diagnostic],
) -> BTreeMap<SourceFile, Usable> {
    let mut usable: BTreeMap<SourceFile, Usable> =
        files.into_iter().map(|file| (file, Usable::Yes)).collect();
    for source in unused {
        usable.insert(source.file, Usable::LeftOut);
    }
    for (file, fault) in faults(found) {
        usable.insert(file, Usable::No(fault));
    }
    usable
}

/// What is wrong with each object: the first error of the strongest kind, and how many more there are.
fn faults(found: &[Diagnostic]) -> BTreeMap<SourceFile, Unusable> {
    let mut by_file: BTreeMap<SourceFile, Vec<&Diagnostic>> = BTreeMap::new();
    for error in found.iter().filter(|finding| finding.is_error()) {
        if let Some(file) = error.file.clone() {
            by_file.entry(file).or_default().push(error);
        }
    }
    let fault = |(file, errors): (SourceFile, Vec<&Diagnostic>)| {
        let first = errors.iter().min_by_key(|error| Fault::of(error.code))?;
        let at = first.place.as_ref().map(|place| place.pointer.clone());
        let at = at.filter(|pointer| !pointer.is_empty());
        let mut message = match at {
            Some(pointer) => format!(
                "{}: {}",
                pointer.trim_start_matches('/').replace('/', "."),
                first.message
            ),
            None => first.message.clone(),
        };
        if let Some(help) = &first.help {
            message.push_str("; ");
            message.push_str(help);
        }
        if errors.len() > 1 {
            let _ = write!(message, " (and {} more)", errors.len() - 1);
        }
        Some((
            file,
            Unusable {
                fault: Fault::of(first.code),
                message,
            },
        ))
    };
    by_file.into_iter().filter_map(fault).collect()
}

/// What an object is for ownership; `None` where it has no name, or is of no kind of ours.
fn source(object: &Value) -> Option<Source> {
    let text = |pointer| object.pointer(pointer)?.as_str();
    let (kind, name) = (text("/kind")?, text("/metadata/name")?);
    let namespace = text("/metadata/namespace")?;
    let version = text("/apiVersion")?;
    (version == crd::API_VERSION).then(|| Source {
        file: SourceFile::in_cluster(namespace, kind, name),
        document: 0,
        line: 1,
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    })
}

/// The part of an object that a person wrote.
fn manifest(object: &Value) -> Value {
    let metadata = &object["metadata"];
    let kept = ["name", "namespace", "labels", "annotations"];
    let kept = kept.into_iter().filter_map(|key| {
        let value = metadata.get(key)?;
        Some((key.to_owned(), value.clone()))
    });
    let mut manifest = json!({
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "metadata": kept.collect::<Map<_, _>>(),
    });
    if let Some(spec) = object.get("spec") {
        manifest["spec"] = spec.clone();
    }
    manifest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
        json!({
            "apiVersion": crd::API_VERSION,
            "kind": kind,
            "metadata": { "name": name, "namespace": namespace, "uid": "u", "managedFields": [{}] },
            "spec": spec,
            "status": { "observedGeneration": -1 },
        })
    }

    fn target(allowed: &Value) -> Value {
        let spec = json!({
            "wso2": { "url": "https://wso2.example.com", "api": "ScopeRegistration" },
            "credentialsRef": { "name": "wso2" },
            "allowedNamespaces": allowed,
            "allowedBindings": { "from": "All" },
        });
        object("Target", "iam", "wso2", &spec)
    }

    fn scope(namespace: &str, name: &str) -> Value {
        let spec = json!({ "targetRefs": [{ "name": "wso2", "namespace": "iam" }], "name": name });
        object("Scope", namespace, name, &spec)
    }

    fn of(objects: &[Value]) -> Assembled {
        let namespaces = [("iam", "core"), ("shop", "sales"), ("lab", "none")];
        let namespaces = namespaces.map(|(name, team)| {
            let labels = BTreeMap::from([("team".to_owned(), team.to_owned())]);
            (name.to_owned(), labels)
        });
        assemble(objects, namespaces.into(), Timestamp::UNIX_EPOCH)
    }

    fn fault(assembled: &Assembled, namespace: &str, kind: &str, name: &str) -> Option<Fault> {
        match &assembled.objects[&SourceFile::in_cluster(namespace, kind, name)] {
            Usable::No(unusable) => Some(unusable.fault),
            _ => None,
        }
    }

    #[test]
    fn an_object_is_known_by_its_place_in_the_cluster_and_nothing_else_of_it() {
        let all = of(&[target(&json!({ "from": "Same" })), scope("iam", "a")]);
        let scopes = &all.desired.targets[0].scopes;
        let source = &scopes.values().next().expect("a scope").source;
        assert_eq!(source.file.as_str(), "k8s/iam/Scope/a");
        assert!(source.file.is_in_cluster());
        assert_eq!(
            all.intervals.values().next(),
            Some(&Duration::from_mins(10))
        );
    }

    #[test]
    fn what_is_invalid_holds_itself_and_lets_the_others_go_on() {
        let mut bad = scope("iam", "bad");
        bad["spec"]["targetRefs"] = json!("wso2");
        let binding = |scope: &str| {
            let spec = json!({ "scopeRef": { "name": scope }, "roles": ["r"] });
            object("ScopeBinding", "iam", scope, &spec)
        };
        let all = of(&[
            target(&json!({ "from": "Same" })),
            scope("iam", "good"),
            bad,
            binding("bad"),
            binding("gone"),
            binding("good"),
        ]);
        let wanted = &all.desired.targets[0].scopes;
        assert_eq!(wanted.len(), 1);
        assert!(wanted.values().all(|scope| scope.roles.may_shrink));
        assert_eq!(fault(&all, "iam", "Scope", "bad"), Some(Fault::InvalidSpec));
        let left_out = &all.objects[&SourceFile::in_cluster("iam", "ScopeBinding", "bad")];
        assert_eq!(*left_out, Usable::LeftOut);
        assert_eq!(
            fault(&all, "iam", "ScopeBinding", "gone"),
            Some(Fault::ReferenceNotFound)
        );
        let good = &all.objects[&SourceFile::in_cluster("iam", "ScopeBinding", "good")];
        assert_eq!(*good, Usable::Yes);
    }

    #[test]
    fn a_selector_lets_namespaces_in_by_their_labels() {
        let rule =
            json!({ "from": "Selector", "selector": { "matchLabels": { "team": "sales" } } });
        let all = of(&[
            target(&rule),
            scope("shop", "a"),
            scope("lab", "b"),
            scope("else", "c"),
        ]);
        assert_eq!(all.desired.targets[0].scopes.len(), 1);
        assert_eq!(fault(&all, "shop", "Scope", "a"), None);
        for (namespace, name) in [("lab", "b"), ("else", "c")] {
            assert_eq!(
                fault(&all, namespace, "Scope", name),
                Some(Fault::NotAllowed)
            );
        }
    }

    #[test]
    fn what_hangs_on_a_target_that_cannot_be_used_is_left_out_and_not_gone() {
        let mut broken = target(&json!({ "from": "Same" }));
        broken["spec"]["wso2"]["url"] = json!("ftp://wso2.example.com");
        let all = of(&[broken, scope("iam", "a")]);
        assert!(all.desired.targets.is_empty());
        let scope = &all.objects[&SourceFile::in_cluster("iam", "Scope", "a")];
        assert_eq!(*scope, Usable::LeftOut);
    }
}
