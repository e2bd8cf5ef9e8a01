//! Documents into wishes: follows references, finds what contradicts each other, fills in defaults.
//!
//! The order of checks is that of dependence: targets, scopes on them, roles for those, apps. What has an error is left
//! out, and with it, silently, what depends on it; the rest goes on, so that one run shows every problem.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::Options;
use super::crd::{self, NamespaceRule, NamespacesFrom};
use super::document::{Body, Document};
use super::suggest;
use super::target;
use crate::diagnostic::{Code, Diagnostic, codes};
use crate::model::{
    AppOwner, AppRef, ConsumerKey, DeletionPolicy, Desired, DesiredApp, DesiredRoles, DesiredScope,
    DesiredTarget, ForeignScopes, RoleName, ScopeName, Source, System, Target, TargetId,
};

/// What the documents come to.
pub(super) struct Resolved {
    pub(super) desired: Desired,
    /// Whether every document was used.
    pub(super) complete: bool,
    /// How many manifests beside Targets the selector chose.
    pub(super) selected: usize,
}

/// How many names "did you mean" may look at in one run, so that ten thousand dangling references do not look at ten
/// thousand names each.
const SUGGESTION_BUDGET: usize = 500_000;

/// Resolves the documents of a run.
///
/// `broken` are the documents that were left out already, and `complete` whether there is anything that was not read.
pub(super) fn resolve(
    mut documents: Vec<Document>,
    broken: &[Source],
    complete: bool,
    options: &Options,
    found: &mut Vec<Diagnostic>,
) -> Resolved {
    documents.sort_by(|a, b| a.source.cmp(&b.source));
    let mut resolver = Resolver {
        bad: vec![false; documents.len()],
        chosen: documents
            .iter()
            .map(|document| options.selects(&document.labels))
            .collect(),
        documents: &documents,
        broken: broken
            .iter()
            .map(|s| (s.kind.as_str(), s.namespace.as_str(), s.name.as_str()))
            .collect(),
        index: HashMap::new(),
        targets: Vec::new(),
        target_index: HashMap::new(),
        unplaced: BTreeMap::new(),
        suggestions: SUGGESTION_BUDGET,
        found,
    };
    resolver.index_documents(broken);
    resolver.read_targets();
    let scopes = resolver.read_scopes();
    let bindings = resolver.read_bindings(&scopes);
    let apps = resolver.read_apps(&scopes);
    resolver.warn_of_open_scopes(&scopes, &bindings);
    resolver.note_unplaced_fields();

    let complete = complete && !resolver.bad.contains(&true);
    let wishes = documents.iter().zip(&resolver.chosen);
    let selected = wishes
        .filter(|(document, chosen)| **chosen && !matches!(document.body, Body::Target(_)))
        .count();
    let desired = resolver.desired(&scopes, &bindings, &apps, complete);
    Resolved {
        desired,
        complete,
        selected,
    }
}

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
    /// Which documents have an error.
    bad: Vec<bool>,
    /// Which documents the selector chose.
    chosen: Vec<bool>,
    broken: HashSet<(&'a str, &'a str, &'a str)>,
    /// Documents by kind, namespace and name.
    index: HashMap<(&'a str, &'a str, &'a str), usize>,
    /// The usable targets, sorted by id.
    targets: Vec<UsableTarget<'a>>,
    target_index: HashMap<(&'a str, &'a str), usize>,
    /// For a target and a field that it has no place for: the first manifest that has it, and how many do.
    unplaced: BTreeMap<(usize, &'static str), (usize, usize)>,
    suggestions: usize,
    found: &'a mut Vec<Diagnostic>,
}

impl<'a> Resolver<'a> {
    fn report(&mut self, document: usize, pointer: &str, diagnostic: Diagnostic) {
        self.bad[document] |= diagnostic.is_error();
        let source = &self.documents[document].source;
        self.found.push(diagnostic.at(source, pointer));
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
        let mut named: BTreeMap<(&str, &str, &str), Vec<&Source>> = BTreeMap::new();
        let documents = self.documents;
        for (index, document) in documents.iter().enumerate() {
            let source = &document.source;
            let key = (
                source.kind.as_str(),
                source.namespace.as_str(),
                source.name.as_str(),
            );
            self.index.insert(key, index);
            named.entry(key).or_default().push(source);
        }
        for source in broken.iter().filter(|source| !source.name.is_empty()) {
            let key = (
                source.kind.as_str(),
                source.namespace.as_str(),
                source.name.as_str(),
            );
            named.entry(key).or_default().push(source);
        }
        for ((kind, namespace, name), sources) in named.into_iter().filter(|(_, s)| s.len() > 1) {
            for source in &sources {
                let others = sources.iter().filter(|other| *other != source);
                let others: Vec<String> = others.map(|other| place(other)).collect();
                self.found.push(
                    Diagnostic::error(
                        codes::DUPLICATE_MANIFEST,
                        format!(
                            "the {kind} \"{namespace}/{name}\" is declared {} times",
                            sources.len()
                        ),
                    )
                    .at(source, "/metadata/name")
                    .fact("also", others.join(", ")),
                );
            }
            for (index, document) in documents.iter().enumerate() {
                self.bad[index] |= sources.contains(&&document.source);
            }
        }
    }

    fn read_targets(&mut self) {
        let documents = self.documents;
        let mut same: BTreeMap<String, BTreeMap<TargetId, usize>> = BTreeMap::new();
        let mut usable = Vec::new();
        for (document, spec) in documents
            .iter()
            .enumerate()
            .filter_map(|(index, document)| match &document.body {
                Body::Target(spec) => Some((index, &**spec)),
                _ => None,
            })
        {
            let source = &documents[document].source;
            let mut findings = Vec::new();
            let target = target::read(spec, source, &mut findings);
            let allowed_scopes = globs(spec, source, &mut findings);
            for (field, rule) in [
                ("allowedNamespaces", &spec.allowed_namespaces),
                ("allowedBindings", &spec.allowed_bindings),
            ] {
                if rule.from == NamespacesFrom::Selector {
                    let message =
                        format!("`{field}` asks for labels of namespaces, which files do not have");
                    findings.push(
                        Diagnostic::error(codes::NEEDS_CLUSTER, message)
                            .at(source, format!("/spec/{field}/from"))
                            .help("use `Same` or `All` in files"),
                    );
                }
            }
            self.bad[document] |= findings.iter().any(Diagnostic::is_error);
            self.found.append(&mut findings);
            if let (Some(target), Some(allowed_scopes)) = (target, allowed_scopes) {
                same.entry(target::offline_identity(&target))
                    .or_default()
                    .insert(target.id.clone(), document);
                usable.push(UsableTarget {
                    document,
                    spec,
                    target: Arc::new(target),
                    allowed_scopes,
                });
            }
        }
        for targets in same.into_values().filter(|targets| targets.len() > 1) {
            for (id, &document) in &targets {
                let others = targets.iter().filter(|(other, _)| *other != id);
                let others: Vec<String> = others
                    .map(|(other, &document)| format!("\"{other}\" ({})", self.at(document)))
                    .collect();
                self.report(
                    document,
                    "/metadata/name",
                    Diagnostic::error(
                        codes::ONE_SYSTEM_TWICE,
                        format!("the Target \"{id}\" is the same live system as another"),
                    )
                    .fact("also", others.join(", "))
                    .help("keep one of them, and refer to it with its namespace"),
                );
            }
        }
        usable.retain(|target| !self.bad[target.document]);
        usable.sort_by(|a, b| a.target.id.cmp(&b.target.id));
        self.target_index = usable
            .iter()
            .enumerate()
            .map(|(index, target)| {
                let source = &documents[target.document].source;
                ((source.namespace.as_str(), source.name.as_str()), index)
            })
            .collect();
        self.targets = usable;
    }

    /// Follows a reference to a target, and says where it leads nowhere.
    fn target(&mut self, document: usize, reference: &crd::TargetRef, pointer: &str) -> Lookup {
        let own = &self.documents[document].source;
        let namespace = reference.namespace.as_deref().unwrap_or(&own.namespace);
        let name = reference.name.as_str();
        if let Some(index) = self.target_index.get(&(namespace, name)) {
            return Lookup::Found(*index);
        }
        let key = ("Target", namespace, name);
        if self.index.contains_key(&key) || self.broken.contains(&key) {
            return Lookup::LeftOut;
        }
        let documents = self.documents;
        let known: Vec<&Source> = documents
            .iter()
            .map(|document| &document.source)
            .filter(|source| source.kind == "Target")
            .collect();
        let mut error = Diagnostic::error(
            codes::UNKNOWN_TARGET,
            format!("no manifest declares the Target \"{namespace}/{name}\""),
        );
        if let Some(elsewhere) = known.iter().find(|source| source.name == name) {
            error = error.help(format!(
                "there is one in another namespace: add `namespace: {}`",
                elsewhere.namespace
            ));
        } else if let Some(meant) =
            self.nearest(name, known.iter().map(|source| source.name.as_str()))
        {
            error = error.help(format!("did you mean `{meant}`?"));
        } else if known.is_empty() {
            error = error.help("pass the files of the Targets too");
        }
        self.report(document, &format!("{pointer}/name"), error);
        Lookup::Missing
    }

    /// Whether a document's namespace may use a target, and says where it may not.
    fn permit(
        &mut self,
        document: usize,
        target: usize,
        rule: &NamespaceRule,
        field: &str,
        pointer: &str,
    ) {
        let target = &self.targets[target];
        let own = &self.documents[document].source.namespace;
        let allowed = match rule.from {
            NamespacesFrom::All => true,
            NamespacesFrom::Same => *own == target.target.id.namespace,
            // The Target has an error of its own, and is not usable.
            NamespacesFrom::Selector => false,
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
            self.report(document, pointer, error);
        }
    }

    /// Whether a scope's name may be used on a target, and says where it may not.
    fn permit_scope(&mut self, document: usize, target: usize, name: &str, pointer: &str) {
        let target = &self.targets[target];
        let Some(globs) = &target.allowed_scopes else {
            return;
        };
        if !globs.is_match(name) {
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
            self.report(document, pointer, error);
        }
    }

    fn unplaced(&mut self, target: usize, field: &'static str, document: usize) {
        self.unplaced
            .entry((target, field))
            .or_insert((document, 0))
            .1 += 1;
    }

    fn read_scopes(&mut self) -> Vec<ScopeWish<'a>> {
        let documents = self.documents;
        let mut wishes = Vec::new();
        for (index, document) in documents.iter().enumerate() {
            let Body::Scope(spec) = &document.body else {
                continue;
            };
            let spec = &**spec;
            let (text, pointer) = match &spec.name {
                Some(name) => (name, "/spec/name"),
                None => (&document.source.name, "/metadata/name"),
            };
            let name = match ScopeName::declared(text) {
                Ok(name) => name,
                Err(error) => {
                    self.error(index, pointer, codes::INVALID_VALUE, error.to_string());
                    continue;
                }
            };
            if spec.apigee.is_some() {
                self.error(
                    index,
                    "/spec/apigee",
                    codes::NOT_SUPPORTED,
                    "changing the scopes of API products is not supported yet",
                );
            }
            let mut targets = Vec::with_capacity(spec.target_refs.len());
            for (at, reference) in spec.target_refs.iter().enumerate() {
                let place = format!("/spec/targetRefs/{at}");
                let Lookup::Found(target) = self.target(index, reference, &place) else {
                    continue;
                };
                if targets.contains(&target) {
                    let message = format!("the Target {:?} stands twice", reference.name);
                    self.error(index, &format!("{place}/name"), codes::REPEATED, message);
                    continue;
                }
                let rule = &self.targets[target].spec.allowed_namespaces;
                self.permit(
                    index,
                    target,
                    rule,
                    "allowedNamespaces",
                    &format!("{place}/name"),
                );
                self.permit_scope(index, target, name.as_str(), pointer);
                if self.check_scope(index, spec, &name, target, &place, pointer) {
                    targets.push(target);
                }
            }
            wishes.push(ScopeWish {
                document: index,
                spec,
                name,
                targets,
            });
        }
        self.check_names(&wishes);
        wishes
    }

    /// What a target's own rules say of a scope; false where it cannot be there at all.
    fn check_scope(
        &mut self,
        document: usize,
        spec: &crd::ScopeSpec,
        name: &ScopeName,
        target: usize,
        reference: &str,
        name_pointer: &str,
    ) -> bool {
        let model = Arc::clone(&self.targets[target].target);
        let system = model.system();
        let can = system.capabilities();
        if !can.scopes {
            let error = Diagnostic::error(
                codes::NOT_SUPPORTED,
                format!("Scopes on {} are not supported yet", system.label()),
            )
            .help("an Apigee scope is an entry of an API product: declare what apps hold with an AppScopeSet");
            self.report(document, &format!("{reference}/name"), error);
            return false;
        }
        if let Some(why) = system.refuses_name(name) {
            let error = Diagnostic::error(
                codes::NAME_REFUSED,
                format!(
                    "{} cannot hold a scope named {:?}",
                    system.label(),
                    name.as_str()
                ),
            )
            .label(why)
            .fact("target", model.id.to_string());
            self.report(document, name_pointer, error);
        }
        if let Some(text) = &spec.description {
            let length = text.chars().count();
            if length > can.description_length {
                let message = format!(
                    "the description has {length} characters, and {} holds {}",
                    system.label(),
                    can.description_length
                );
                self.error(document, "/spec/description", codes::TOO_LONG, message);
            }
        }
        if spec.display_name.is_some() && !can.display_name {
            self.unplaced(target, "displayName", document);
        }
        if let Some(roles) = &spec.bindings {
            if can.roles {
                self.check_roles(document, roles, "/spec/bindings", system);
            } else {
                self.unplaced(target, "bindings", document);
            }
        }
        true
    }

    fn check_roles(&mut self, document: usize, roles: &[String], pointer: &str, system: System) {
        for (at, role) in roles.iter().enumerate() {
            let longest = system.capabilities().role_length;
            let why = if role.contains(',') {
                Some("WSO2 joins role names with commas".to_owned())
            } else if role.trim() != role {
                Some("white space at its ends gets lost".to_owned())
            } else if role.chars().count() > longest {
                Some(format!("at most {longest} characters"))
            } else {
                None
            };
            if let Some(why) = why {
                let error = Diagnostic::error(
                    codes::BAD_ROLE,
                    format!(
                        "{} cannot hold the role {}",
                        system.label(),
                        super::schema::quoted(role)
                    ),
                );
                self.report(document, &format!("{pointer}/{at}"), error.label(why));
            }
        }
    }

    /// Finds names of one target that contradict each other.
    fn check_names(&mut self, wishes: &[ScopeWish<'a>]) {
        for target in 0..self.targets.len() {
            let id = self.targets[target].target.id.clone();
            let here = || wishes.iter().filter(|wish| wish.targets.contains(&target));
            let mut declared: BTreeMap<&str, Vec<&ScopeWish<'_>>> = BTreeMap::new();
            let mut spellings: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
            let mut claims: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
            for wish in here() {
                let name = wish.name.as_str();
                declared.entry(name).or_default().push(wish);
                spellings
                    .entry(name.to_lowercase())
                    .or_default()
                    .insert(name);
                for (at, previous) in wish.spec.previous_names.iter().enumerate() {
                    claims
                        .entry(previous)
                        .or_default()
                        .push((wish.document, at));
                }
            }
            for (name, wishes) in declared.iter().filter(|(_, wishes)| wishes.len() > 1) {
                let documents: Vec<usize> = wishes.iter().map(|wish| wish.document).collect();
                let message = format!("{} Scopes declare {name:?} on \"{id}\"", documents.len());
                self.report_all(&documents, codes::SCOPE_DECLARED_TWICE, &message);
            }
            for names in spellings.values().filter(|names| names.len() > 1) {
                let documents: Vec<usize> = names
                    .iter()
                    .flat_map(|name| declared[name].iter().map(|wish| wish.document))
                    .collect();
                let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
                let message = format!("{} on \"{id}\" differ only in case", names.join(" and "));
                self.report_all(&documents, codes::NAMES_DIFFER_IN_CASE, &message);
            }
            for (previous, claims) in &claims {
                for &(document, at) in claims {
                    let pointer = format!("/spec/previousNames/{at}");
                    let wish = here().find(|wish| wish.document == document);
                    if wish.is_some_and(|wish| wish.name.as_str() == *previous) {
                        let message = format!(
                            "{previous:?} is the scope's name, and cannot be a previous one too"
                        );
                        self.error(document, &pointer, codes::PREVIOUS_NAME_TAKEN, message);
                    } else if claims.len() > 1 {
                        let others = claims.iter().filter(|(other, _)| *other != document);
                        let others: Vec<String> =
                            others.map(|(other, _)| self.at(*other)).collect();
                        let error = Diagnostic::error(
                            codes::PREVIOUS_NAME_TAKEN,
                            format!(
                                "{} Scopes on \"{id}\" were named {previous:?} before",
                                claims.len()
                            ),
                        );
                        self.report(document, &pointer, error.fact("also", others.join(", ")));
                    } else if let Some(holder) = declared
                        .get(previous)
                        .into_iter()
                        .flatten()
                        // One that is itself renamed leaves the name: that is a chain or a swap.
                        .find(|holder| holder.spec.previous_names.is_empty())
                    {
                        let error = Diagnostic::error(
                            codes::PREVIOUS_NAME_TAKEN,
                            format!("{previous:?} is declared by another Scope on \"{id}\""),
                        )
                        .fact("declared", self.at(holder.document))
                        .help("take it from `previousNames`, or give that Scope its own previous name");
                        self.report(document, &pointer, error);
                    }
                }
            }
        }
    }

    /// One finding on the name of each of several Scopes.
    fn report_all(&mut self, documents: &[usize], code: Code, message: &str) {
        for &document in documents {
            let Body::Scope(spec) = &self.documents[document].body else {
                continue;
            };
            let pointer = if spec.name.is_some() {
                "/spec/name"
            } else {
                "/metadata/name"
            };
            let others = documents.iter().filter(|other| **other != document).take(5);
            let others: Vec<String> = others.map(|other| self.at(*other)).collect();
            let error = Diagnostic::error(code, message).fact("also", others.join(", "));
            self.report(document, pointer, error);
        }
    }

    fn read_bindings(&mut self, scopes: &[ScopeWish<'a>]) -> Vec<BindingWish<'a>> {
        let documents = self.documents;
        let by_document: HashMap<usize, usize> = scopes
            .iter()
            .enumerate()
            .map(|(index, wish)| (wish.document, index))
            .collect();
        let mut wishes = Vec::new();
        for (index, document) in documents.iter().enumerate() {
            let Body::Binding(spec) = &document.body else {
                continue;
            };
            let Some(scope) = self.scope(index, &spec.scope_ref, &by_document) else {
                continue;
            };
            let wish = &scopes[scope];
            let mut targets = Vec::new();
            for (at, reference) in spec.target_refs.iter().enumerate() {
                let place = format!("/spec/targetRefs/{at}");
                let Lookup::Found(target) = self.target(index, reference, &place) else {
                    continue;
                };
                if !wish.targets.contains(&target) {
                    let known = self.documents[wish.document].source.name.clone();
                    let message = format!(
                        "the Scope {known:?} is not on the Target {:?}",
                        reference.name
                    );
                    self.error(
                        index,
                        &format!("{place}/name"),
                        codes::OUTSIDE_SCOPE,
                        message,
                    );
                } else if targets.contains(&target) {
                    let message = format!("the Target {:?} stands twice", reference.name);
                    self.error(index, &format!("{place}/name"), codes::REPEATED, message);
                } else {
                    targets.push(target);
                }
            }
            if spec.target_refs.is_empty() {
                targets.clone_from(&wish.targets);
            }
            let mut checked = BTreeSet::new();
            for &target in &targets {
                let rule = &self.targets[target].spec.allowed_bindings;
                self.permit(
                    index,
                    target,
                    rule,
                    "allowedBindings",
                    "/spec/scopeRef/name",
                );
                let system = self.targets[target].target.system();
                if !system.capabilities().roles {
                    self.unplaced(target, "roles", index);
                } else if checked.insert(system) {
                    self.check_roles(index, &spec.roles, "/spec/roles", system);
                }
            }
            wishes.push(BindingWish {
                document: index,
                spec,
                scope,
                targets,
            });
        }
        wishes
    }

    /// Follows a reference to a Scope, and says where it leads nowhere.
    fn scope(
        &mut self,
        document: usize,
        reference: &crd::ScopeRef,
        by_document: &HashMap<usize, usize>,
    ) -> Option<usize> {
        let documents = self.documents;
        let own = &documents[document].source;
        let namespace = reference.namespace.as_deref().unwrap_or(&own.namespace);
        let name = reference.name.as_str();
        let key = ("Scope", namespace, name);
        if let Some(declared) = self.index.get(&key) {
            return by_document.get(declared).copied();
        }
        if self.broken.contains(&key) {
            return None;
        }
        let known: Vec<&Document> = documents
            .iter()
            .filter(|document| matches!(document.body, Body::Scope(_)))
            .collect();
        let mut error = Diagnostic::error(
            codes::UNKNOWN_SCOPE,
            format!("no manifest declares the Scope \"{namespace}/{name}\""),
        );
        let by_value = known.iter().find(|known| match &known.body {
            Body::Scope(spec) => spec.name.as_deref() == Some(name),
            _ => false,
        });
        if let Some(elsewhere) = known.iter().find(|known| known.source.name == name) {
            error = error.help(format!(
                "there is one in another namespace: add `namespace: {}`",
                elsewhere.source.namespace
            ));
        } else if let Some(meant) = by_value {
            error = error.help(format!(
                "the Scope with that name is called `{}`: a scopeRef gives its `metadata.name`",
                meant.source.name
            ));
        } else if let Some(meant) =
            self.nearest(name, known.iter().map(|known| known.source.name.as_str()))
        {
            error = error.help(format!("did you mean `{meant}`?"));
        }
        self.report(document, "/spec/scopeRef/name", error);
        None
    }

    fn read_apps(&mut self, scopes: &[ScopeWish<'a>]) -> Vec<AppWish<'a>> {
        let documents = self.documents;
        let mut wishes: Vec<AppWish<'a>> = Vec::new();
        let mut declared: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); self.targets.len()];
        for wish in scopes {
            for &target in &wish.targets {
                declared[target].insert(wish.name.as_str());
            }
        }
        for (index, document) in documents.iter().enumerate() {
            let Body::App(spec) = &document.body else {
                continue;
            };
            let Lookup::Found(target) = self.target(index, &spec.target_ref, "/spec/targetRef")
            else {
                continue;
            };
            let rule = &self.targets[target].spec.allowed_namespaces;
            self.permit(
                index,
                target,
                rule,
                "allowedNamespaces",
                "/spec/targetRef/name",
            );
            let system = self.targets[target].target.system();
            for (at, scope) in spec.scopes.iter().enumerate() {
                let pointer = format!("/spec/scopes/{at}");
                self.permit_scope(index, target, scope, &pointer);
                if system.capabilities().scopes && !declared[target].contains(scope.as_str()) {
                    let names = declared[target].iter().copied();
                    if let Some(meant) = self.nearest(scope, names) {
                        let note = Diagnostic::note(
                            codes::UNDECLARED_SCOPE,
                            format!("no manifest declares the scope {scope:?}"),
                        );
                        self.report(
                            index,
                            &pointer,
                            note.help(format!("did you mean `{meant}`?")),
                        );
                    }
                }
            }
            let Some(app) = self.app(index, &spec.app, system) else {
                continue;
            };
            if spec.scopes.is_empty() && !spec.allow_empty && matches!(app, AppRef::Apigee { .. }) {
                let warning = Diagnostic::warning(
                    codes::OPEN_TO_ALL,
                    "an empty list gives the key every scope of its products",
                );
                let help = "list the scopes, or write `allowEmpty: true` to mean it";
                self.report(index, "/spec/scopes", warning.at_key().help(help));
            }
            wishes.push(AppWish {
                document: index,
                spec,
                target,
                app,
            });
        }
        self.check_apps(&wishes);
        wishes
    }

    /// The app of a set, where its target's system has such apps.
    fn app(&mut self, document: usize, app: &crd::App, system: System) -> Option<AppRef> {
        let mut wrong = |pointer: &str, message: String| {
            self.error(document, pointer, codes::WRONG_APP, message);
            None
        };
        let label = system.label();
        match (system, app) {
            (
                System::OneLogin,
                crd::App {
                    one_login: Some(app),
                    ..
                },
            ) => {
                let app_id = u64::try_from(app.app_id).ok()?;
                Some(AppRef::OneLogin { app_id })
            }
            (
                System::ApigeeEdge | System::ApigeeX,
                crd::App {
                    apigee: Some(app), ..
                },
            ) => {
                let owner = match app {
                    crd::ApigeeApp {
                        developer: Some(email),
                        ..
                    } => {
                        let lower = email.to_lowercase();
                        if system == System::ApigeeX && lower != *email {
                            let note = Diagnostic::note(
                                codes::LOWER_CASE,
                                format!("{email:?} is used as {lower:?}"),
                            );
                            let pointer = "/spec/app/apigee/developer";
                            self.report(document, pointer, note);
                            AppOwner::Developer(lower)
                        } else {
                            AppOwner::Developer(email.clone())
                        }
                    }
                    crd::ApigeeApp {
                        app_group: Some(group),
                        ..
                    } => {
                        if system == System::ApigeeEdge {
                            let message = format!("{label} has no app groups: use `company`");
                            return wrong("/spec/app/apigee/appGroup", message);
                        }
                        AppOwner::AppGroup(group.clone())
                    }
                    crd::ApigeeApp {
                        company: Some(company),
                        ..
                    } => {
                        if system == System::ApigeeX {
                            let message = format!("{label} has no companies: use `appGroup`");
                            return wrong("/spec/app/apigee/company", message);
                        }
                        AppOwner::Company(company.clone())
                    }
                    _ => return None,
                };
                Some(AppRef::Apigee {
                    owner,
                    app: app.app.clone(),
                    key: app.consumer_key.clone().map(ConsumerKey::new),
                })
            }
            (System::Wso2Publisher | System::Wso2ScopeRegistration, _) => wrong(
                "/spec/targetRef/name",
                format!("{label} has no app scope sets: they are of OneLogin and Apigee"),
            ),
            (System::OneLogin, _) => wrong(
                "/spec/app",
                format!("{label} takes `app.oneLogin`, not `app.apigee`"),
            ),
            (System::ApigeeEdge | System::ApigeeX, _) => wrong(
                "/spec/app",
                format!("{label} takes `app.apigee`, not `app.oneLogin`"),
            ),
        }
    }

    /// Finds apps that two manifests want to say everything of.
    fn check_apps(&mut self, wishes: &[AppWish<'a>]) {
        // A set without a key may be for any key of its app.
        let mut same: BTreeMap<(usize, AppRef), Vec<&AppWish<'_>>> = BTreeMap::new();
        for wish in wishes {
            let app = match &wish.app {
                AppRef::Apigee { owner, app, .. } => AppRef::Apigee {
                    owner: owner.clone(),
                    app: app.clone(),
                    key: None,
                },
                AppRef::OneLogin { .. } => wish.app.clone(),
            };
            same.entry((wish.target, app)).or_default().push(wish);
        }
        let keyless = |app: &AppRef| !matches!(app, AppRef::Apigee { key: Some(_), .. });
        for wishes in same.values().filter(|wishes| wishes.len() > 1) {
            for wish in wishes {
                let others: Vec<usize> = wishes
                    .iter()
                    .filter(|other| other.document != wish.document)
                    .filter(|other| {
                        keyless(&other.app) || keyless(&wish.app) || other.app == wish.app
                    })
                    .map(|other| other.document)
                    .collect();
                if others.is_empty() {
                    continue;
                }
                let others: Vec<String> = others.into_iter().map(|other| self.at(other)).collect();
                let error = Diagnostic::error(
                    codes::APP_DECLARED_TWICE,
                    format!("more than one AppScopeSet is for the app {}", wish.app),
                );
                self.report(
                    wish.document,
                    "/spec/app",
                    error.at_key().fact("also", others.join(", ")),
                );
            }
        }
    }

    /// Warns of scopes whose list of roles is empty on purpose, where that opens them.
    fn warn_of_open_scopes(&mut self, scopes: &[ScopeWish<'a>], bindings: &[BindingWish<'a>]) {
        let bound: HashSet<(usize, usize)> = bindings
            .iter()
            .flat_map(|wish| wish.targets.iter().map(|target| (wish.scope, *target)))
            .collect();
        for (index, wish) in scopes.iter().enumerate() {
            let empty = wish.spec.bindings.as_ref().is_some_and(Vec::is_empty);
            let open = wish.targets.iter().find(|target| {
                let system = self.targets[**target].target.system();
                system.capabilities().empty_roles_open_to_all && !bound.contains(&(index, **target))
            });
            if let Some(target) = open.filter(|_| empty) {
                let id = &self.targets[*target].target.id;
                let warning = Diagnostic::warning(
                    codes::OPEN_TO_ALL,
                    format!("without roles, \"{id}\" issues the scope to anybody"),
                );
                let help = "list the roles, or leave `bindings` out to leave them unmanaged";
                self.report(wish.document, "/spec/bindings", warning.at_key().help(help));
            }
        }
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
            self.report(document, &pointer, note.at_key().fact("in", manifests));
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
        let used = |document: usize| !self.bad[document] && self.chosen[document];
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
            let Document {
                source, hold_until, ..
            } = &self.documents[wish.document];
            for &target in &wish.targets {
                let mut roles = DesiredRoles {
                    whole: wish.spec.bindings.is_some(),
                    entries: BTreeMap::new(),
                    may_shrink: complete,
                };
                let mut add = |role: &String, source: &Source| {
                    let files = roles.entries.entry(RoleName::new(role)).or_default();
                    files.insert(source.file.clone());
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
                roles.may_shrink &= all;
                let previous = wish.spec.previous_names.iter();
                targets[target].scopes.insert(
                    wish.name.clone(),
                    DesiredScope {
                        name: wish.name.clone(),
                        display_name: wish.spec.display_name.clone(),
                        description: wish.spec.description.clone(),
                        roles,
                        previous_names: previous.map(ScopeName::observed).collect(),
                        protected: wish.spec.protected,
                        deletion_policy: match wish.spec.deletion_policy {
                            crd::ScopeDeletionPolicy::Delete => DeletionPolicy::Delete,
                            crd::ScopeDeletionPolicy::Orphan => DeletionPolicy::Orphan,
                        },
                        hold_until: *hold_until,
                        source: source.clone(),
                    },
                );
            }
        }
        for wish in apps.iter().filter(|wish| used(wish.document)) {
            let Document {
                source, hold_until, ..
            } = &self.documents[wish.document];
            targets[wish.target].apps.push(DesiredApp {
                app: wish.app.clone(),
                scopes: wish.spec.scopes.iter().map(ScopeName::observed).collect(),
                foreign: match wish.spec.foreign_scopes {
                    crd::ForeignScopes::Remove => ForeignScopes::Remove,
                    crd::ForeignScopes::Keep => ForeignScopes::Keep,
                    crd::ForeignScopes::Fail => ForeignScopes::Fail,
                },
                allow_empty: wish.spec.allow_empty,
                deletion_policy: match wish.spec.deletion_policy {
                    crd::AppDeletionPolicy::Orphan => DeletionPolicy::Orphan,
                    crd::AppDeletionPolicy::Delete => DeletionPolicy::Delete,
                },
                hold_until: *hold_until,
                may_shrink: complete,
                source: source.clone(),
            });
        }
        for target in &mut targets {
            target.apps.sort_by(|a, b| a.app.cmp(&b.app));
        }
        Desired { targets }
    }
}

/// Where a document is, for a finding about another.
fn place(source: &Source) -> String {
    format!("{}:{}", source.file, source.line)
}

/// Reads `allowedScopes`; `None` where a glob cannot be read.
#[expect(
    clippy::option_option,
    reason = "no globs at all and globs that cannot be read are different things"
)]
fn globs(
    spec: &crd::TargetSpec,
    source: &Source,
    found: &mut Vec<Diagnostic>,
) -> Option<Option<GlobSet>> {
    let Some(globs) = &spec.allowed_scopes else {
        return Some(None);
    };
    let mut set = GlobSetBuilder::new();
    let mut readable = true;
    for (at, text) in globs.iter().enumerate() {
        match GlobBuilder::new(text).literal_separator(false).build() {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => {
                readable = false;
                let message = format!("{text:?} is no glob: {}", error.kind());
                let error = Diagnostic::error(codes::BAD_GLOB, message);
                found.push(error.at(source, format!("/spec/allowedScopes/{at}")));
            }
        }
    }
    set.build().ok().filter(|_| readable).map(Some)
}
