//! Documents laid over the objects of a cluster, by kind, namespace and name: what the cluster would hold once they are
//! applied.
//!
//! A document goes by its place in the cluster from then on, as the object that it becomes, and people see the file that it
//! stands in. What is wrong with an object of the cluster is a warning; what is wrong with a document stays an error.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fault, Objects, Unusable, Usable, source, usable};
use crate::diagnostic::{Diagnostic, Severity};
use crate::manifest::document::Document;
use crate::manifest::schema::Checker;
use crate::manifest::{ClusterState, Options};
use crate::model::{Coverage, Covered, NotRead, Source, SourceFile, TargetId};

/// What was read of files.
pub(in crate::manifest) struct Own<'r> {
    pub(in crate::manifest) documents: &'r mut Vec<Document>,
    /// The documents that were left out.
    pub(in crate::manifest) broken: &'r mut Vec<Source>,
    pub(in crate::manifest) found: &'r mut Vec<Diagnostic>,
    /// Whether every document was read.
    pub(in crate::manifest) is_complete: bool,
}

/// Objects and documents together, before anything of them is resolved.
#[derive(Debug)]
pub(in crate::manifest) struct Laid {
    /// Where the documents of files go, and the files that they stand in.
    places: BTreeMap<SourceFile, SourceFile>,
    /// All of them.
    files: BTreeSet<SourceFile>,
    /// What several documents are, so that nobody knows what it says.
    doubles: BTreeSet<SourceFile>,
}

/// Objects and documents together.
#[derive(Debug)]
pub(in crate::manifest) struct Merged {
    places: BTreeMap<SourceFile, SourceFile>,
    objects: BTreeMap<SourceFile, Usable>,
}

/// Lays documents over the objects of a cluster.
pub(in crate::manifest) fn lay_over(
    state: &ClusterState,
    own: &mut Own<'_>,
    checker: &Checker,
    options: &Options,
) -> Laid {
    let mut laid = Laid::of(own);
    // What cannot be read may be any of them.
    let prune = state.prune.as_ref().filter(|_| own.is_complete);
    let stays = |object: &&serde_json::Value| {
        let is_laid_over = source(object).is_some_and(|source| {
            laid.files.contains(&source.file) || laid.doubles.contains(&source.file)
        });
        let is_pruned = prune.is_some_and(|prune| prune.chooses(object.get("metadata")));
        !is_laid_over && !is_pruned
    };
    let objects = Objects::read(state.objects.iter().filter(stays), checker, options);
    own.documents.extend(objects.documents);
    own.broken.extend(objects.broken);
    own.found.extend(objects.found);
    laid.files.extend(objects.files);
    laid
}

impl Laid {
    /// Gives every document its place in the cluster, and every finding of it. Where several are one object, both stay what
    /// they are: an error says so.
    fn of(own: &mut Own<'_>) -> Self {
        let mut laid = Self {
            places: BTreeMap::new(),
            files: BTreeSet::new(),
            doubles: BTreeSet::new(),
        };
        let documents = own
            .documents
            .iter_mut()
            .map(|document| &mut document.source);
        let sources: Vec<&mut Source> = documents.chain(own.broken.iter_mut()).collect();
        for source in &sources {
            let file = in_cluster(source);
            if file.is_in_cluster() && !laid.files.insert(file.clone()) {
                laid.doubles.insert(file);
            }
        }
        laid.files.retain(|file| !laid.doubles.contains(file));
        let mut moved = BTreeMap::new();
        for source in sources {
            let file = in_cluster(source).shown_as(source.file.as_str());
            if laid.files.contains(&file) {
                let place = std::mem::replace(&mut source.file, file.clone());
                moved.insert((place.clone(), source.document), file.clone());
                laid.places.insert(file, place);
            }
        }
        for finding in own.found.iter_mut() {
            let document = finding.place.as_ref().map(|place| place.document);
            let key = finding.file.clone().zip(document);
            if let Some(file) = key.and_then(|key| moved.get(&key)) {
                finding.file = Some(file.clone());
            }
        }
        laid
    }

    /// Takes what came of them. The findings lead to files again, and those in the cluster weigh less.
    pub(in crate::manifest) fn merge(
        self,
        unused: Vec<Source>,
        apart: Vec<(SourceFile, TargetId)>,
        found: &mut [Diagnostic],
    ) -> Merged {
        let mut objects = usable(self.files, unused, apart, found);
        objects.extend(self.doubles.into_iter().map(|file| (file, Usable::LeftOut)));
        let merged = Merged {
            places: self.places,
            objects,
        };
        merged.lead_back(found);
        for finding in found.iter_mut().filter(|finding| finding.is_error()) {
            if finding.file.as_ref().is_some_and(SourceFile::is_in_cluster) {
                finding.severity = Severity::Warning;
            }
        }
        merged
    }
}

impl Merged {
    /// Leads findings to the files of the documents that they are about.
    pub(in crate::manifest) fn lead_back(&self, found: &mut [Diagnostic]) {
        for file in found.iter_mut().filter_map(|finding| finding.file.as_mut()) {
            if let Some(place) = self.places.get(file) {
                *file = place.clone();
            }
        }
    }

    /// The file that a document stands in; an object of the cluster stands in none.
    pub(in crate::manifest) fn place<'f>(&'f self, file: &'f SourceFile) -> &'f SourceFile {
        self.places.get(file).unwrap_or(file)
    }

    /// What is known of recorded sources; of one that is none of a cluster, nothing.
    pub(in crate::manifest) fn cover<'f>(
        &self,
        recorded: impl IntoIterator<Item = &'f SourceFile>,
    ) -> Coverage {
        let recorded = recorded.into_iter().filter(|file| file.is_in_cluster());
        let covered = recorded.map(|file| (file.clone(), self.look(file)));
        covered.collect()
    }

    fn look(&self, file: &SourceFile) -> Covered {
        match self.objects.get(file) {
            None => Covered::Gone,
            Some(Usable::Yes) => Covered::Read,
            Some(Usable::No(unusable)) if unusable.fault == Fault::NotAllowed => {
                Covered::NotRead(NotRead::NotAllowed)
            }
            Some(Usable::Partly(targets))
                if targets
                    .values()
                    .all(|why| why.as_ref().is_some_and(is_refused)) =>
            {
                Covered::NotRead(NotRead::NotAllowed)
            }
            // What it says of one Target is told from what it says of another in the cluster alone: here it holds all.
            Some(Usable::No(_) | Usable::LeftOut | Usable::Partly(_)) => {
                Covered::NotRead(NotRead::Invalid)
            }
        }
    }
}

fn in_cluster(source: &Source) -> SourceFile {
    SourceFile::in_cluster(&source.namespace, &source.kind, &source.name)
}

/// Whether a Target does not let an object in.
fn is_refused(unusable: &Unusable) -> bool {
    unusable.fault == Fault::NotAllowed
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::diagnostic::codes;
    use crate::manifest::{self, Loaded, crd};
    use crate::model::Repository;

    fn object(kind: &str, name: &str, spec: &Value) -> Value {
        let labels = json!({ "app": if name.starts_with("ours") { "shop" } else { "else" } });
        json!({
            "apiVersion": crd::API_VERSION,
            "kind": kind,
            "metadata": { "name": name, "namespace": "iam", "labels": labels, "uid": "u" },
            "spec": spec,
        })
    }

    fn scope(name: &str, description: &str) -> Value {
        let spec = json!({ "targetRefs": [{ "name": "wso2" }], "description": description });
        object("Scope", name, &spec)
    }

    fn target() -> Value {
        let spec = json!({
            "wso2": { "url": "https://wso2.example.com", "api": "ScopeRegistration" },
            "credentialsRef": { "name": "wso2" },
            "allowedNamespaces": {
                "from": "Selector", "selector": { "matchLabels": { "team": "iam" } },
            },
        });
        object("Target", "wso2", &spec)
    }

    /// A document of a file, without a namespace.
    fn document(object: &Value) -> String {
        let mut object = object.clone();
        for key in ["namespace", "uid"] {
            object["metadata"].as_object_mut().unwrap().remove(key);
        }
        format!("{object}\n---\n")
    }

    fn read(objects: &[Value], file: &str) -> Loaded {
        let labels = [("team".to_owned(), "iam".to_owned())].into();
        let options = Options {
            strict: false,
            selector: None,
            now: jiff::Timestamp::UNIX_EPOCH,
            repository: None,
            overlays: Vec::new(),
            cluster: Some(ClusterState {
                namespaces: [("iam".to_owned(), labels)].into(),
                objects: objects.to_vec(),
                default_namespace: Some("iam".to_owned()),
                prune: Some("app=shop".parse().unwrap()),
                ..ClusterState::default()
            }),
            recorded: BTreeSet::new(),
        };
        let repository = Repository::named("github.com/acme/iam").unwrap();
        let place = SourceFile::new("deploy/all.yaml").of(repository);
        manifest::read(&[(place, file.to_owned())], &options)
    }

    fn in_cluster(name: &str) -> SourceFile {
        SourceFile::in_cluster("iam", "Scope", name)
    }

    fn covered(loaded: &Loaded, name: &str) -> Covered {
        let merged = loaded.cluster.as_ref().unwrap();
        merged.cover([&in_cluster(name)]).of(&in_cluster(name))
    }

    #[test]
    fn a_document_takes_the_place_of_the_object_that_it_becomes() {
        let objects = [target(), scope("a", "old"), scope("b", "stays")];
        let file = document(&scope("c", "new")) + &document(&scope("a", "new"));
        let loaded = read(&objects, &file);
        assert_eq!(loaded.diagnostics, []);
        assert!(loaded.complete);
        let scopes = loaded.desired.targets[0].scopes.values();
        let said = scopes.map(|scope| {
            let Source { file, line, .. } = &scope.source;
            let description = scope.description.as_deref().unwrap_or_default();
            format!("{description}: {} as {file}:{line}", file.path())
        });
        let said: Vec<String> = said.collect();
        assert_eq!(
            said,
            [
                "new: k8s/iam/Scope/a as deploy/all.yaml:3",
                "stays: k8s/iam/Scope/b as k8s/iam/Scope/b:1",
                "new: k8s/iam/Scope/c as deploy/all.yaml:1",
            ]
        );
    }

    #[test]
    fn what_has_the_labels_and_is_in_no_document_counts_as_deleted() {
        let objects = [
            target(),
            scope("ours-gone", "x"),
            scope("ours-kept", "x"),
            scope("other", "x"),
        ];
        let loaded = read(&objects, &document(&scope("ours-kept", "x")));
        assert_eq!(covered(&loaded, "ours-gone"), Covered::Gone);
        assert_eq!(covered(&loaded, "ours-kept"), Covered::Read);
        assert_eq!(covered(&loaded, "other"), Covered::Read);
        assert_eq!(loaded.desired.targets[0].scopes.len(), 2);
        // What cannot be read may be the one that is missing.
        let loaded = read(&objects, "apiVersion: [");
        assert_eq!(covered(&loaded, "ours-gone"), Covered::Read);
    }

    #[test]
    fn what_is_recorded_of_files_is_covered_by_no_run_over_a_cluster() {
        let loaded = read(&[target()], &document(&scope("a", "x")));
        let file = SourceFile::new("deploy/all.yaml");
        let file = file.of(Repository::named("github.com/acme/iam").unwrap());
        let merged = loaded.cluster.as_ref().unwrap();
        let other = Covered::NotRead(NotRead::OtherRepository);
        assert_eq!(merged.cover([&file]).of(&file), other);
        assert_eq!(covered(&loaded, "never-there"), Covered::Gone);
    }

    #[test]
    fn an_invalid_object_holds_its_own_and_an_invalid_document_fails_the_run() {
        let mut bad = scope("bad", "x");
        bad["spec"]["targetRefs"] = json!("wso2");
        let loaded = read(
            &[target(), bad.clone(), scope("good", "x")],
            &document(&scope("a", "x")),
        );
        assert!(loaded.complete && !loaded.has_errors());
        assert_eq!(loaded.diagnostics.len(), 1, "{:?}", loaded.diagnostics);
        let place = loaded.diagnostics[0].file.as_ref().unwrap();
        assert_eq!(*place, in_cluster("bad"));
        let invalid = Covered::NotRead(NotRead::Invalid);
        assert_eq!(covered(&loaded, "bad"), invalid);

        let mut dangling = scope("a", "x");
        dangling["spec"]["targetRefs"][0]["name"] = json!("nowhere");
        for (document, line) in [(document(&bad), 1), (document(&dangling), 1)] {
            let loaded = read(&[target(), scope("bad", "x"), scope("a", "x")], &document);
            assert!(!loaded.complete && loaded.has_errors());
            let errors = loaded.diagnostics.iter().filter(|found| found.is_error());
            let places: Vec<_> = errors
                .map(|error| (error.file.as_ref().unwrap().path(), error.span.clone()))
                .collect();
            assert_eq!(places.len(), 1, "{places:?}");
            assert_eq!(places[0].0, "deploy/all.yaml");
            assert_eq!(places[0].1.as_ref().unwrap().line, line);
        }
        let loaded = read(&[target(), scope("bad", "x")], &document(&bad));
        assert_eq!(covered(&loaded, "bad"), invalid);
    }

    #[test]
    fn what_two_documents_are_is_an_error_of_both_and_not_gone() {
        let file = document(&scope("a", "one")) + &document(&scope("a", "two"));
        let loaded = read(&[target(), scope("a", "old")], &file);
        let code = codes::DUPLICATE_MANIFEST;
        let doubles = loaded.diagnostics.iter().filter(|found| found.code == code);
        let lines: Vec<_> = doubles
            .filter_map(|found| Some(found.span.as_ref()?.line))
            .collect();
        assert_eq!(lines, [1, 3]);
        let invalid = Covered::NotRead(NotRead::Invalid);
        assert_eq!(covered(&loaded, "a"), invalid);
        assert!(loaded.desired.targets[0].scopes.is_empty());
    }

    #[test]
    fn a_finding_of_the_live_state_leads_to_the_file() {
        let loaded = read(&[target()], &document(&scope("a", "x")));
        let source = &loaded.desired.targets[0]
            .scopes
            .values()
            .next()
            .unwrap()
            .source;
        let warning = Diagnostic::warning(codes::NO_PLACE, "it has no place");
        let mut found = [warning.at(source, "/spec/description")];
        loaded.cluster.as_ref().unwrap().lead_back(&mut found);
        let place = found[0].file.as_ref().unwrap();
        assert_eq!(place.path(), "deploy/all.yaml");
    }
}
