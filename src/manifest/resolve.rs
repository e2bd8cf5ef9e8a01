//! Documents into wishes: follows references, finds what contradicts each other, fills in defaults.
//!
//! The order of checks is that of dependence: targets, scopes on them, roles for those, apps. What has an error is left
//! out, and with it, silently, what depends on it; the rest goes on, so that one run shows every problem.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use globset::GlobSet;

mod apps;
mod bindings;
mod scopes;
mod targets;

use super::crd::{self, NamespaceRule, NamespacesFrom};
use super::document::{Body, Document};
use super::{ClusterState, suggest};
use crate::diagnostic::{Code, Diagnostic, codes};
use crate::model::{
    AppRef, DeletionPolicy, Desired, DesiredApp, DesiredRoles, DesiredScope, DesiredTarget, Owned,
    RoleName, ScopeName, Source, SourceFile, Target, TargetId,
};

/// What the documents come to.
pub(super) struct Resolved {
    pub(super) desired: Desired,
    /// Whether every document was used.
    pub(super) complete: bool,
    /// How many manifests beside Targets the selector chose.
    pub(super) selected: usize,
    /// The documents of which nothing was used: those with an error, and those that depend on one.
    pub(super) unused: Vec<Source>,
    /// In a cluster: the objects that count for nothing on one Target, and go on for their others.
    pub(super) apart: Vec<(SourceFile, TargetId)>,
}

/// How many names "did you mean" may look at in one run, so that ten thousand dangling references do not look at ten
/// thousand names each.
const SUGGESTION_BUDGET: usize = 50_000;

/// Resolves the documents of a run.
///
/// `broken` are the documents that were left out already, and `complete` whether there is anything that was not read.
pub(super) fn resolve(
    mut documents: Vec<Document>,
    broken: &[Source],
    complete: bool,
    cluster: Option<&ClusterState>,
    found: &mut Vec<Diagnostic>,
) -> Resolved {
    documents.sort_by(|a, b| a.source.cmp(&b.source));
    let known = found.iter().filter_map(|finding| {
        let place = finding.place.as_ref()?;
        Some((finding.file.clone()?, place.document, place.pointer.clone()))
    });
    let mut resolver = Resolver {
        known: known.collect(),
        bad: documents.iter().map(|document| !document.valid).collect(),
        documents: &documents,
        broken: broken.iter().map(key).collect(),
        index: HashMap::new(),
        targets: Vec::new(),
        target_index: HashMap::new(),
        names: Names::default(),
        unplaced: BTreeMap::new(),
        suggestions: SUGGESTION_BUDGET,
        cluster,
        apart: Vec::new(),
        found,
    };
    resolver.index_documents(broken);
    resolver.read_targets();
    let scopes = resolver.read_scopes();
    let bindings = resolver.read_bindings(&scopes);
    let apps = resolver.read_apps(&scopes);
    resolver.warn_of_open_scopes(&scopes, &bindings);
    resolver.note_unplaced_fields();

    let complete = complete && !resolver.bad.contains(&true) && resolver.apart.is_empty();
    let wish = |document: &&Document| !matches!(document.body, Body::Target(_));
    let selected = documents.iter().filter(|document| document.chosen);
    let selected = selected.filter(wish).count();
    // In a cluster what is invalid holds what it contributed, by its recorded source, and nothing else.
    let may_shrink = complete || cluster.is_some();
    let desired = resolver.desired(&scopes, &bindings, &apps, may_shrink);
    Resolved {
        desired,
        complete,
        selected,
        unused: resolver.unused(&scopes, &bindings, &apps, broken),
        apart: resolver.apart,
    }
}

/// A document's kind, namespace and name.
type Key<'a> = (&'a str, &'a str, &'a str);

/// A Target that can be used, and its own rules.
struct UsableTarget<'a> {
    document: usize,
    spec: &'a crd::TargetSpec,
    target: Arc<Target>,
    allowed_scopes: Option<GlobSet>,
}

/// A Scope on the targets that it names.
struct ScopeWish<'a> {
    document: usize,
    spec: &'a crd::ScopeSpec,
    name: ScopeName,
    /// The targets, as indexes.
    targets: Vec<usize>,
    /// Those of them that let it in. Who may not declare a name cannot contradict who does: else anybody who may write a
    /// manifest could take a name from its owner.
    permitted: Vec<usize>,
}

/// Roles on the targets that they are for.
struct BindingWish<'a> {
    document: usize,
    spec: &'a crd::ScopeBindingSpec,
    /// The Scope, as an index of the wishes.
    scope: usize,
    /// The targets, as indexes.
    targets: Vec<usize>,
}

/// An app's list.
struct AppWish<'a> {
    document: usize,
    spec: &'a crd::AppScopeSetSpec,
    target: usize,
    app: AppRef,
}

/// What a reference leads to.
enum Lookup {
    Found(usize),
    /// It exists and is left out: the document that depends on it is left out with it, and needs no finding of its own.
    LeftOut,
    Missing,
}

struct Resolver<'a> {
    documents: &'a [Document],
    /// Where findings were before: the second one about a value says nothing new.
    known: HashSet<(SourceFile, usize, String)>,
    /// Which documents have an error.
    bad: Vec<bool>,
    broken: HashSet<Key<'a>>,
    /// Documents by kind, namespace and name.
    index: HashMap<Key<'a>, usize>,
    /// The usable targets, sorted by id.
    targets: Vec<UsableTarget<'a>>,
    target_index: HashMap<(&'a str, &'a str), usize>,
    names: Names<'a>,
    /// For a target and a field that it has no place for: the first manifest that has it, and how many do.
    unplaced: BTreeMap<(usize, &'static str), (usize, usize)>,
    suggestions: usize,
    /// What the cluster holds beside the documents, in one.
    cluster: Option<&'a ClusterState>,
    /// In a cluster: what counts for nothing on one target.
    apart: Vec<(SourceFile, TargetId)>,
    found: &'a mut Vec<Diagnostic>,
}

/// What there is to mean, for a reference that leads nowhere.
#[derive(Default)]
struct Names<'a> {
    targets: Vec<&'a Source>,
    scopes: Vec<&'a Source>,
    /// By kind and name, whatever the namespace.
    by_name: HashMap<(&'a str, &'a str), &'a Source>,
    /// Scopes by their own name.
    by_scope: HashMap<&'a str, &'a Source>,
}

impl<'a> Resolver<'a> {
    fn report(&mut self, document: usize, pointer: &str, diagnostic: Diagnostic) {
        self.bad[document] |= diagnostic.is_error();
        self.push(diagnostic.at(&self.documents[document].source, pointer));
    }

    /// Reports an error that is about one target. In a cluster the document goes on for its others: whoever has a part in
    /// one of them holds up nothing elsewhere.
    fn report_on(
        &mut self,
        document: usize,
        target: &TargetId,
        pointer: &str,
        mut diagnostic: Diagnostic,
    ) {
        let has_others = !matches!(self.documents[document].body, Body::App(_));
        if self.cluster.is_none() || !has_others || !diagnostic.is_error() {
            self.report(document, pointer, diagnostic);
            return;
        }
        let source = &self.documents[document].source;
        self.apart.push((source.file.clone(), target.clone()));
        diagnostic.on = Some(target.clone());
        self.push(diagnostic.at(source, pointer));
    }

    /// What is ours on a target, as far as that is known.
    fn owned(&self, target: usize) -> Option<&'a Owned> {
        let holders = &self.cluster?.holders;
        holders
            .get(&self.targets[target].target.id)
            .map(AsRef::as_ref)
    }

    /// Takes a finding, unless there was one about the same value before.
    fn push(&mut self, diagnostic: Diagnostic) {
        let place = diagnostic.place.as_ref().zip(diagnostic.file.as_ref());
        let known = place.is_some_and(|(place, file)| {
            // Most runs have none, and need no copy of the place.
            let place = || (file.clone(), place.document, place.pointer.clone());
            !self.known.is_empty() && self.known.contains(&place())
        });
        if !known {
            self.found.push(diagnostic);
        }
    }

    fn error(&mut self, document: usize, pointer: &str, code: Code, message: impl Into<String>) {
        self.report(document, pointer, Diagnostic::error(code, message));
    }

    /// Where another document is, for a finding.
    fn at(&self, document: usize) -> String {
        place(&self.documents[document].source)
    }

    fn nearest<'n>(
        &mut self,
        word: &str,
        candidates: impl ExactSizeIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        self.suggestions = self.suggestions.checked_sub(candidates.len())?;
        suggest::nearest(word, candidates)
    }

    /// Indexes the documents by name. Two of one kind, namespace and name are both left out.
    fn index_documents(&mut self, broken: &[Source]) {
        let documents = self.documents;
        self.index.reserve(documents.len());
        self.names.by_name.reserve(documents.len());
        let mut repeated: BTreeSet<Key<'_>> = BTreeSet::new();
        for (index, document) in documents.iter().enumerate() {
            let source = &document.source;
            let key = key(source);
            if self.index.insert(key, index).is_some() || self.broken.contains(&key) {
                repeated.insert(key);
            }
            match &document.body {
                Body::Target(_) => self.names.targets.push(source),
                Body::Scope(spec) => {
                    self.names.scopes.push(source);
                    if let Some(name) = &spec.name {
                        self.names.by_scope.insert(name, source);
                    }
                }
                Body::Binding(_) | Body::App(_) => {}
            }
            self.names
                .by_name
                .insert((&source.kind, &source.name), source);
        }
        let whole = documents.iter().map(|document| &document.source);
        let broken = broken.iter().filter(|source| !source.name.is_empty());
        let all = whole.zip(0..).map(|(source, index)| (Some(index), source));
        let all = all.chain(broken.map(|source| (None, source)));
        let mut named: BTreeMap<Key<'_>, Vec<(Option<usize>, &Source)>> = BTreeMap::new();
        for (index, source) in all.filter(|(_, source)| repeated.contains(&key(source))) {
            named.entry(key(source)).or_default().push((index, source));
        }
        for ((kind, namespace, name), places) in named {
            if places.len() < 2 {
                continue;
            }
            let message = format!(
                "the {kind} \"{namespace}/{name}\" is declared {} times",
                places.len()
            );
            for (index, source) in &places {
                if let Some(index) = index {
                    self.bad[*index] = true;
                }
                let others = places.iter().filter(|(_, other)| other != source);
                let error = Diagnostic::error(codes::DUPLICATE_MANIFEST, &message)
                    .at(source, "/metadata/name")
                    .fact("also", listed(others, |(_, other)| place(other)));
                self.found.push(error);
            }
        }
    }

    /// Follows a reference to a target, and says at `pointer`, the place of its name, where it leads nowhere.
    fn target(&mut self, document: usize, reference: &crd::TargetRef, pointer: &str) -> Lookup {
        let own = &self.documents[document].source;
        let namespace = reference.namespace.as_deref().unwrap_or(&own.namespace);
        let name = reference.name.as_str();
        if let Some(index) = self.target_index.get(&(namespace, name)) {
            return Lookup::Found(*index);
        }
        let key = ("Target", namespace, name);
        let id = TargetId {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        if self.index.contains_key(&key) || self.broken.contains(&key) {
            if self.cluster.is_some() {
                self.apart.push((own.file.clone(), id));
            }
            return Lookup::LeftOut;
        }
        let mut error = Diagnostic::error(
            codes::UNKNOWN_TARGET,
            format!("no manifest declares the Target \"{namespace}/{name}\""),
        );
        let known = std::mem::take(&mut self.names.targets);
        if self.cluster.is_some() {
            // Whoever reads this may not read what others declare.
        } else if let Some(elsewhere) = self.names.by_name.get(&("Target", name)) {
            error = error.help(format!(
                "there is one in another namespace: add `namespace: {}`",
                elsewhere.namespace
            ));
        } else if let Some(meant) = self.nearest(name, known.iter().map(|s| s.name.as_str())) {
            error = error.help(format!("did you mean `{meant}`?"));
        } else if known.is_empty() {
            error = error.help("pass the files of the Targets too");
        }
        self.names.targets = known;
        self.report_on(document, &id, pointer, error);
        Lookup::Missing
    }

    /// Whether a document's namespace may use a target by a rule, which is a field of the Target; the finding says where it
    /// may not.
    fn permit(
        &mut self,
        document: usize,
        target: usize,
        (rule, field): (&NamespaceRule, &str),
        pointer: &str,
    ) -> bool {
        let target = &self.targets[target];
        let own = &self.documents[document].source.namespace;
        let allowed = match rule.from {
            NamespacesFrom::All => true,
            NamespacesFrom::Same => *own == target.target.id.namespace,
            // Without a cluster the Target has an error of its own, and is not usable.
            NamespacesFrom::Selector => self.cluster.is_some_and(|cluster| {
                let labels = cluster.namespaces.get(own);
                let mut wanted = rule.selector.iter().flat_map(|wanted| &wanted.match_labels);
                labels
                    .is_some_and(|labels| wanted.all(|(key, value)| labels.get(key) == Some(value)))
            }),
        };
        if !allowed {
            let error = Diagnostic::error(
                codes::NAMESPACE_NOT_ALLOWED,
                format!(
                    "the Target \"{}\" is not for the namespace {own:?}",
                    target.target.id
                ),
            )
            .fact("declared", self.at(target.document))
            .help(format!("its owner can set `{field}: {{ from: All }}`"));
            let id = target.target.id.clone();
            self.report_on(document, &id, pointer, error);
        }
        allowed
    }

    /// Whether a scope's name may be used on a target; the finding says where it may not.
    fn permit_scope(&mut self, document: usize, target: usize, name: &str, pointer: &str) -> bool {
        let target = &self.targets[target];
        let globs = target.allowed_scopes.as_ref();
        let matches = globs.is_none_or(|globs| globs.is_match(name));
        if !matches {
            let allowed = target.spec.allowed_scopes.as_deref().unwrap_or_default();
            let error = Diagnostic::error(
                codes::SCOPE_NOT_ALLOWED,
                format!(
                    "the Target \"{}\" does not allow the scope {name:?}",
                    target.target.id
                ),
            )
            .fact(
                "allowed",
                if allowed.is_empty() {
                    "none".to_owned()
                } else {
                    allowed.join(", ")
                },
            );
            let id = target.target.id.clone();
            self.report_on(document, &id, pointer, error);
        }
        matches
    }

    fn unplaced(&mut self, target: usize, field: &'static str, document: usize) {
        self.unplaced
            .entry((target, field))
            .or_insert((document, 0))
            .1 += 1;
    }

    fn note_unplaced_fields(&mut self) {
        for ((target, field), (document, count)) in std::mem::take(&mut self.unplaced) {
            let target = &self.targets[target].target;
            let label = target.system().label();
            let note = Diagnostic::note(
                codes::NO_PLACE,
                format!(
                    "{label} has no place for `{field}`: it is left out on \"{}\"",
                    target.id
                ),
            );
            let manifests = match count {
                1 => "1 manifest".to_owned(),
                _ => format!("{count} manifests, this one first"),
            };
            let pointer = format!("/spec/{field}");
            let note = note.at(&self.documents[document].source, pointer).at_key();
            self.found.push(note.fact("in", manifests));
        }
    }

    /// Puts together what is wanted, from what has no error and was chosen.
    fn desired(
        &self,
        scopes: &[ScopeWish<'a>],
        bindings: &[BindingWish<'a>],
        apps: &[AppWish<'a>],
        complete: bool,
    ) -> Desired {
        let used = |document: usize| !self.bad[document] && self.documents[document].chosen;
        let mut targets: Vec<DesiredTarget> = self
            .targets
            .iter()
            .map(|target| DesiredTarget {
                target: Arc::clone(&target.target),
                scopes: BTreeMap::new(),
                apps: Vec::new(),
            })
            .collect();
        let mut contributors: Vec<Vec<&BindingWish<'_>>> = vec![Vec::new(); scopes.len()];
        for wish in bindings {
            contributors[wish.scope].push(wish);
        }
        for (wish, contributors) in scopes.iter().zip(&contributors) {
            if !used(wish.document) {
                continue;
            }
            let source = &self.documents[wish.document].source;
            for &target in &wish.targets {
                let mut roles = DesiredRoles {
                    whole: wish.spec.bindings.is_some(),
                    entries: BTreeMap::new(),
                    may_shrink: complete,
                };
                let mut add = |role: &String, source: &Source| {
                    let manifests = roles.entries.entry(RoleName::new(role)).or_default();
                    manifests.insert(source.manifest());
                };
                for role in wish.spec.bindings.iter().flatten() {
                    add(role, source);
                }
                let mut all = true;
                for binding in contributors.iter().filter(|b| b.targets.contains(&target)) {
                    if used(binding.document) {
                        let source = &self.documents[binding.document].source;
                        binding.spec.roles.iter().for_each(|role| add(role, source));
                    } else {
                        all = false;
                    }
                }
                roles.may_shrink &= all || self.cluster.is_some();
                let scope = self.desired_scope(wish, roles);
                targets[target].scopes.insert(wish.name.clone(), scope);
            }
        }
        for wish in apps.iter().filter(|wish| used(wish.document)) {
            let app = self.desired_app(wish, complete);
            targets[wish.target].apps.push(app);
        }
        for target in &mut targets {
            target.apps.sort_by(|a, b| a.app.cmp(&b.app));
        }
        Desired { targets }
    }

    /// The documents of which nothing is used.
    fn unused(
        &self,
        scopes: &[ScopeWish<'a>],
        bindings: &[BindingWish<'a>],
        apps: &[AppWish<'a>],
        broken: &[Source],
    ) -> Vec<Source> {
        let mut is_used = vec![false; self.documents.len()];
        for target in &self.targets {
            is_used[target.document] = true;
        }
        for wish in scopes {
            is_used[wish.document] = !wish.targets.is_empty();
        }
        for wish in bindings {
            is_used[wish.document] =
                !wish.targets.is_empty() && !self.bad[scopes[wish.scope].document];
        }
        for wish in apps {
            is_used[wish.document] = true;
        }
        let documents = self.documents.iter().enumerate();
        let unused = documents.filter(|(index, _)| self.bad[*index] || !is_used[*index]);
        let unused = unused.map(|(_, document)| document.source.clone());
        unused.chain(broken.iter().cloned()).collect()
    }

    fn desired_scope(&self, wish: &ScopeWish<'_>, roles: DesiredRoles) -> DesiredScope {
        let document = &self.documents[wish.document];
        let previous = wish.spec.previous_names.iter();
        DesiredScope {
            name: wish.name.clone(),
            display_name: wish.spec.display_name.clone(),
            description: wish.spec.description.clone(),
            roles,
            previous_names: previous.map(ScopeName::observed).collect(),
            protected: wish.spec.protected,
            deletion_policy: wish.spec.deletion_policy,
            hold_until: document.hold_until,
            source: document.source.clone(),
        }
    }

    fn desired_app(&self, wish: &AppWish<'_>, complete: bool) -> DesiredApp {
        let document = &self.documents[wish.document];
        DesiredApp {
            app: wish.app.clone(),
            scopes: wish.spec.scopes.iter().map(ScopeName::observed).collect(),
            foreign: wish.spec.foreign_scopes,
            allow_empty: wish.spec.allow_empty,
            deletion_policy: match wish.spec.deletion_policy {
                crd::AppDeletionPolicy::Orphan => DeletionPolicy::Orphan,
                crd::AppDeletionPolicy::Delete => DeletionPolicy::Delete,
            },
            hold_until: document.hold_until,
            may_shrink: complete,
            source: document.source.clone(),
        }
    }
}

/// A document's kind, namespace and name.
fn key(source: &Source) -> Key<'_> {
    (&source.kind, &source.namespace, &source.name)
}

/// The first of some things, and how many more there are.
fn listed<T>(things: impl IntoIterator<Item = T>, show: impl Fn(T) -> String) -> String {
    let mut things = things.into_iter();
    let mut shown: Vec<String> = things.by_ref().take(5).map(show).collect();
    match things.count() {
        0 => {}
        more => shown.push(format!("{more} more")),
    }
    shown.join(", ")
}

/// Where a document is, for a finding about another.
fn place(source: &Source) -> String {
    format!("{}:{}", source.file, source.line)
}
