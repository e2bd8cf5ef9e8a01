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
use super::{ClusterState, Holders, Namespaces, Options, crd, resolve};
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
    /// It is, but for these Targets: what is wrong there, or nothing where that Target cannot be used.
    Partly(BTreeMap<TargetId, Option<Unusable>>),
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
            codes::SCOPE_DECLARED_TWICE
            | codes::APP_DECLARED_TWICE
            | codes::NAMES_DIFFER_IN_CASE
            | codes::PREVIOUS_NAME_TAKEN => Self::Conflict,
            _ => Self::InvalidSpec,
        }
    }
}

/// Reads the objects of a cluster, as its API server gives them.
pub fn assemble<'o>(
    objects: impl IntoIterator<Item = &'o Value>,
    namespaces: Namespaces,
    holders: Holders,
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
            holders,
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
    let cluster = options.cluster.as_ref();
    let resolved = resolve::resolve(documents, &broken, true, cluster, &mut found);
    Assembled {
        desired: resolved.desired,
        objects: usable(files, resolved.unused, resolved.apart, &found),
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
    apart: Vec<(SourceFile, TargetId)>,
    found: &[Diagnostic],
) -> BTreeMap<SourceFile, Usable> {
    let mut by_target: BTreeMap<SourceFile, BTreeMap<TargetId, Option<Unusable>>> = BTreeMap::new();
    for (file, target) in apart {
        by_target.entry(file).or_default().insert(target, None);
    }
    let mut whole = BTreeMap::new();
    for ((file, on), fault) in faults(found) {
        match on {
            Some(target) => {
                let targets = by_target.entry(file).or_default();
                targets.insert(target, Some(fault));
            }
            None => drop(whole.insert(file, fault)),
        }
    }
    let mut usable: BTreeMap<SourceFile, Usable> =
        files.into_iter().map(|file| (file, Usable::Yes)).collect();
    for source in unused {
        usable.insert(source.file, Usable::LeftOut);
    }
    usable.extend(
        by_target
            .into_iter()
            .map(|(file, targets)| (file, Usable::Partly(targets))),
    );
    usable.extend(
        whole
            .into_iter()
            .map(|(file, fault)| (file, Usable::No(fault))),
    );
    usable
}

/// What is wrong with each object, as a whole or on one Target: the first error of the strongest kind, and how many more
/// there are.
fn faults(found: &[Diagnostic]) -> BTreeMap<(SourceFile, Option<TargetId>), Unusable> {
    let mut all: BTreeMap<_, Vec<&Diagnostic>> = BTreeMap::new();
    for error in found.iter().filter(|finding| finding.is_error()) {
        if let Some(file) = error.file.clone() {
            all.entry((file, error.on.clone())).or_default().push(error);
        }
    }
    let fault = |(about, errors): (_, Vec<&Diagnostic>)| {
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
        let fault = Fault::of(first.code);
        Some((about, Unusable { fault, message }))
    };
    all.into_iter().filter_map(fault).collect()
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
    use std::sync::Arc;

    use super::*;
    use crate::model::Owned;

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
        held(objects, Holders::new())
    }

    fn held(objects: &[Value], holders: Holders) -> Assembled {
        let namespaces = [("iam", "core"), ("shop", "sales"), ("lab", "none")];
        let namespaces = namespaces.map(|(name, team)| {
            let labels = BTreeMap::from([("team".to_owned(), team.to_owned())]);
            (name.to_owned(), labels)
        });
        assemble(objects, namespaces.into(), holders, Timestamp::UNIX_EPOCH)
    }

    fn fault(assembled: &Assembled, namespace: &str, kind: &str, name: &str) -> Option<Fault> {
        match &assembled.objects[&SourceFile::in_cluster(namespace, kind, name)] {
            Usable::No(unusable) => Some(unusable.fault),
            Usable::Partly(targets) => {
                let mut faults = targets.values().flatten();
                faults.next().map(|unusable| unusable.fault)
            }
            Usable::Yes | Usable::LeftOut => None,
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
        assert_eq!(partly(&all, "iam", "a"), [("wso2".to_owned(), None)]);
    }

    /// Another Target beside `iam/wso2`, which takes all namespaces.
    fn other_target() -> Value {
        let mut other = target(&json!({ "from": "All" }));
        other["metadata"]["name"] = json!("other");
        other["spec"]["wso2"]["url"] = json!("https://other.example.com");
        other
    }

    fn on(name: &str) -> TargetId {
        TargetId {
            namespace: "iam".to_owned(),
            name: name.to_owned(),
        }
    }

    /// What the manifest `iam/<holder>` holds on the Target `wso2`, under a name that it may have had another for.
    fn holds(holder: &str, name: &str, before: Option<&str>) -> Holders {
        let source = crate::model::ManifestRef::in_cluster("iam", "Scope", holder);
        let entry = json!({
            "origin": "created", "source": source, "renamedFrom": Vec::from_iter(before),
        });
        let entry = serde_json::from_value(entry).expect("an entry");
        let owned = Owned {
            scopes: [(crate::model::ScopeName::observed(name), entry)].into(),
            ..Owned::default()
        };
        [(on("wso2"), Arc::new(owned))].into()
    }

    fn partly(assembled: &Assembled, namespace: &str, name: &str) -> Vec<(String, Option<Fault>)> {
        match &assembled.objects[&SourceFile::in_cluster(namespace, "Scope", name)] {
            Usable::Partly(targets) => targets
                .iter()
                .map(|(id, why)| (id.name.clone(), why.as_ref().map(|why| why.fault)))
                .collect(),
            _ => Vec::new(),
        }
    }

    fn names_on(assembled: &Assembled, target: &str) -> Vec<String> {
        let mut targets = assembled.desired.targets.iter();
        let target = targets.find(|of| of.target.id == on(target));
        let scopes = target.expect("a target").scopes.values();
        let names = scopes.map(|scope| format!("{}={}", scope.source.file, scope.name.as_str()));
        names.collect()
    }

    #[test]
    fn a_name_that_two_declare_stays_with_its_holder_and_is_nobodys_where_nobody_has_it() {
        let all = [target(&json!({ "from": "All" })), scope("iam", "a"), {
            let mut rival = scope("shop", "rival");
            rival["spec"]["name"] = json!("a");
            rival
        }];
        let nobodys = of(&all);
        assert_eq!(fault(&nobodys, "iam", "Scope", "a"), Some(Fault::Conflict));
        assert_eq!(
            fault(&nobodys, "shop", "Scope", "rival"),
            Some(Fault::Conflict)
        );
        assert!(names_on(&nobodys, "wso2").is_empty());
        let its = held(&all, holds("a", "a", None));
        assert_eq!(names_on(&its, "wso2"), ["k8s/iam/Scope/a=a"]);
        assert_eq!(fault(&its, "iam", "Scope", "a"), None);
        assert_eq!(fault(&its, "shop", "Scope", "rival"), Some(Fault::Conflict));
    }

    #[test]
    fn a_previous_name_that_somebody_else_declares_now_stops_no_scope_that_left_it() {
        let mut renamed = scope("iam", "b");
        renamed["spec"]["previousNames"] = json!(["a"]);
        let all = [
            target(&json!({ "from": "All" })),
            renamed,
            scope("shop", "a"),
        ];
        assert_eq!(fault(&of(&all), "iam", "Scope", "b"), Some(Fault::Conflict));
        let done = held(&all, holds("b", "b", Some("a")));
        assert_eq!(fault(&done, "iam", "Scope", "b"), None);
        assert_eq!(names_on(&done, "wso2").len(), 2);
    }

    #[test]
    fn what_is_wrong_on_one_target_holds_up_nothing_on_the_others() {
        let mut missing = scope("iam", "missing");
        missing["spec"]["targetRefs"] = json!([{ "name": "wso2" }, { "name": "gone" }]);
        let mut refused = scope("shop", "refused");
        refused["spec"]["targetRefs"] = json!([{ "name": "wso2", "namespace": "iam" }, { "name": "other", "namespace": "iam" }]);
        let mut broken = target(&json!({ "from": "Same" }));
        broken["metadata"]["name"] = json!("broken");
        broken["spec"]["wso2"]["url"] = json!("ftp://wso2.example.com");
        let mut left_out = scope("iam", "left-out");
        left_out["spec"]["targetRefs"] = json!([{ "name": "wso2" }, { "name": "broken" }]);
        let all = of(&[
            target(&json!({ "from": "Same" })),
            other_target(),
            broken,
            missing,
            refused,
            left_out,
        ]);
        let gone = Some(Fault::ReferenceNotFound);
        assert_eq!(partly(&all, "iam", "missing"), [("gone".to_owned(), gone)]);
        let refusal = Some(Fault::NotAllowed);
        assert_eq!(
            partly(&all, "shop", "refused"),
            [("wso2".to_owned(), refusal)]
        );
        assert_eq!(
            partly(&all, "iam", "left-out"),
            [("broken".to_owned(), None)]
        );
        assert_eq!(names_on(&all, "other"), ["k8s/shop/Scope/refused=refused"]);
        assert_eq!(names_on(&all, "wso2").len(), 2);
    }

    #[test]
    fn a_binding_of_a_scope_that_is_not_on_a_target_counts_where_the_scope_is() {
        let mut of_both = scope("iam", "a");
        of_both["spec"]["targetRefs"] = json!([{ "name": "wso2" }, { "name": "other" }]);
        let spec = json!({ "scopeRef": { "name": "a" }, "roles": ["r"] });
        let binding = object("ScopeBinding", "iam", "a", &spec);
        let mut rival = scope("iam", "rival");
        rival["spec"]["name"] = json!("a");
        let all = of(&[
            target(&json!({ "from": "Same" })),
            other_target(),
            of_both,
            binding,
            rival,
        ]);
        assert_eq!(
            partly(&all, "iam", "a"),
            [("wso2".to_owned(), Some(Fault::Conflict))]
        );
        let other = &all.desired.targets[0];
        assert_eq!(other.target.id, on("other"));
        let roles = other.scopes.values().map(|scope| scope.roles.entries.len());
        assert_eq!(roles.collect::<Vec<_>>(), [1]);
        assert_eq!(names_on(&all, "wso2"), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_its_holder_is_about_to_leave_is_nobody_elses_until_then() {
        let mut renamed = scope("iam", "a");
        renamed["spec"]["name"] = json!("b");
        renamed["spec"]["previousNames"] = json!(["a"]);
        for brings in [json!([]), json!(["nothing"])] {
            let mut rival = scope("shop", "rival");
            rival["spec"]["name"] = json!("a");
            rival["spec"]["previousNames"] = brings;
            let all = [
                target(&json!({ "from": "All" })),
                renamed.clone(),
                rival.clone(),
            ];
            let held = held(&all, holds("a", "a", None));
            assert_eq!(fault(&held, "iam", "Scope", "a"), None);
            assert_eq!(
                fault(&held, "shop", "Scope", "rival"),
                Some(Fault::Conflict)
            );
            assert_eq!(names_on(&held, "wso2"), ["k8s/iam/Scope/a=b"]);
        }
    }
}
