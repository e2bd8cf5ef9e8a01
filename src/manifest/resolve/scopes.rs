//! Scopes on their targets: names that a system can hold and that do not contradict each other.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{BindingWish, Lookup, Resolver, ScopeWish, listed};
use crate::diagnostic::{Code, Diagnostic, codes};
use crate::manifest::crd;
use crate::manifest::document::Body;
use crate::manifest::schema::quoted;
use crate::model::{ScopeName, SourceFile, System};

impl<'a> Resolver<'a> {
    pub(super) fn read_scopes(&mut self) -> Vec<ScopeWish<'a>> {
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
            let mut permitted = Vec::with_capacity(spec.target_refs.len());
            for (at, reference) in spec.target_refs.iter().enumerate() {
                let place = format!("/spec/targetRefs/{at}/name");
                let Lookup::Found(target) = self.target(index, reference, &place) else {
                    continue;
                };
                if targets.contains(&target) {
                    let message = format!(
                        "the Target {:?} stands twice, and counts once",
                        reference.name
                    );
                    let warning = Diagnostic::warning(codes::REPEATED, message);
                    self.report(index, &place, warning);
                    continue;
                }
                let rule = &self.targets[target].spec.allowed_namespaces;
                let mut is_permitted =
                    self.permit(index, target, (rule, "allowedNamespaces"), &place)
                        & self.permit_scope(index, target, name.as_str(), pointer);
                // Who may not have a name may not take it away from others either.
                for (at, previous) in spec.previous_names.iter().enumerate() {
                    let pointer = format!("/spec/previousNames/{at}");
                    is_permitted &= self.permit_scope(index, target, previous, &pointer);
                }
                if self.check_scope(index, spec, (&name, pointer), (target, &place)) {
                    targets.push(target);
                    if is_permitted {
                        permitted.push(target);
                    }
                }
            }
            wishes.push(ScopeWish {
                document: index,
                spec,
                name,
                targets,
                permitted,
            });
        }
        self.check_names(&mut wishes);
        if self.cluster.is_some() {
            for wish in &mut wishes {
                wish.targets.clone_from(&wish.permitted);
            }
        }
        wishes
    }

    /// What a target's own rules say of a scope; false where it cannot be there at all. Name and target come with the place
    /// that says them.
    fn check_scope(
        &mut self,
        document: usize,
        spec: &crd::ScopeSpec,
        (name, name_pointer): (&ScopeName, &str),
        (target, reference): (usize, &str),
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
            self.report(document, reference, error);
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

    pub(super) fn check_roles(
        &mut self,
        document: usize,
        roles: &[String],
        pointer: &str,
        system: System,
    ) {
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
                    format!("{} cannot hold the role {}", system.label(), quoted(role)),
                );
                self.report(document, &format!("{pointer}/{at}"), error.label(why));
            }
        }
    }

    /// Finds names of one target that contradict each other.
    fn check_names(&mut self, wishes: &mut [ScopeWish<'a>]) {
        for target in 0..self.targets.len() {
            let reported = self.apart.len();
            self.check_names_on(target, wishes);
            // In a cluster they go on elsewhere.
            let apart: HashSet<SourceFile> = self.apart[reported..]
                .iter()
                .map(|(file, _)| file.clone())
                .collect();
            if !apart.is_empty() {
                for wish in wishes.iter_mut() {
                    if apart.contains(&self.documents[wish.document].source.file) {
                        wish.permitted.retain(|permitted| *permitted != target);
                    }
                }
            }
        }
    }

    fn check_names_on(&mut self, target: usize, wishes: &[ScopeWish<'a>]) {
        let id = self.targets[target].target.id.clone();
        let is_here = |wish: &&ScopeWish<'_>| wish.permitted.contains(&target);
        let mut here: Vec<&ScopeWish<'_>> = wishes.iter().filter(is_here).collect();
        let mut successors: BTreeMap<&str, Vec<(&ScopeWish<'_>, usize)>> = BTreeMap::new();
        for wish in &here {
            for (at, previous) in wish.spec.previous_names.iter().enumerate() {
                let successors = successors.entry(previous).or_default();
                if successors
                    .last()
                    .is_none_or(|(last, _)| last.document != wish.document)
                {
                    successors.push((wish, at));
                }
            }
        }
        // Those of one name stay in the manifests' order.
        here.sort_by(|a, b| a.name.cmp(&b.name));
        let declared: BTreeMap<&str, &[&ScopeWish<'_>]> = here
            .chunk_by(|a, b| a.name == b.name)
            .map(|wishes| (wishes[0].name.as_str(), wishes))
            .collect();
        let mut spellings: Vec<(String, &str)> = declared
            .keys()
            .map(|name| (name.to_lowercase(), *name))
            .collect();
        spellings.sort_unstable();
        for (name, wishes) in declared.iter().filter(|(_, wishes)| wishes.len() > 1) {
            let message = format!("{} Scopes declare {name:?} on \"{id}\"", wishes.len());
            self.report_all(target, wishes, (codes::SCOPE_DECLARED_TWICE, &message));
        }
        let one_spelling = spellings.chunk_by(|(a, _), (b, _)| a == b);
        for names in one_spelling.filter(|names| names.len() > 1) {
            let wishes = names.iter().flat_map(|(_, name)| declared[name]);
            let wishes: Vec<&ScopeWish<'_>> = wishes.copied().collect();
            let names = listed(names, |(_, name)| format!("{name:?}"));
            let message = format!("the names {names} on \"{id}\" differ only in case");
            self.report_all(target, &wishes, (codes::NAMES_DIFFER_IN_CASE, &message));
        }
        self.check_previous_names(target, &successors, &declared);
        self.check_names_on_their_way(target, &here, &declared);
    }

    /// Finds Scopes that declare a name which another one has and is about to leave: they would get what it is, with all who
    /// use it. One that brings its own along waits in the plan until the name is free.
    fn check_names_on_their_way(
        &mut self,
        target: usize,
        here: &[&ScopeWish<'a>],
        declared: &BTreeMap<&str, &[&ScopeWish<'a>]>,
    ) {
        let id = self.targets[target].target.id.clone();
        for wish in here {
            for previous in &wish.spec.previous_names {
                if wish.name.as_str() == previous || !self.has(target, wish, previous) {
                    continue;
                }
                let rivals = declared.get(previous.as_str()).copied().unwrap_or_default();
                for rival in rivals {
                    let brings = |name: &String| self.has(target, rival, name);
                    if rival.document == wish.document
                        || rival.spec.previous_names.iter().any(brings)
                    {
                        continue;
                    }
                    let message = format!(
                        "another Scope on \"{id}\" has the name {previous:?} until it is renamed"
                    );
                    let error = Diagnostic::error(codes::PREVIOUS_NAME_TAKEN, message);
                    let pointer = name_pointer(rival);
                    self.report_on(rival.document, &id, pointer, error);
                }
            }
        }
    }

    /// Whether the inventory says that a name on a target is a Scope's.
    fn has(&self, target: usize, wish: &ScopeWish<'_>, name: &str) -> bool {
        let entry = self
            .owned(target)
            .and_then(|owned| owned.scopes.get(&ScopeName::observed(name)));
        let file = &self.documents[wish.document].source.file;
        entry.is_some_and(|entry| entry.source.file == *file)
    }

    /// Finds previous names of one target that are somebody else's.
    fn check_previous_names(
        &mut self,
        target: usize,
        successors: &BTreeMap<&str, Vec<(&ScopeWish<'a>, usize)>>,
        declared: &BTreeMap<&str, &[&ScopeWish<'a>]>,
    ) {
        let id = self.targets[target].target.id.clone();
        let all = successors
            .iter()
            .flat_map(|(previous, all)| all.iter().map(move |of| (*previous, all, of)));
        for (previous, successors, &(wish, at)) in all {
            let document = wish.document;
            let pointer = format!("/spec/previousNames/{at}");
            if wish.name.as_str() == previous {
                let message =
                    format!("{previous:?} is the scope's name, and cannot be a previous one too");
                self.error(document, &pointer, codes::PREVIOUS_NAME_TAKEN, message);
            } else if self.holds(target, wish, previous) {
                // It has the name, or had it: what others say of it is theirs to mend.
            } else if successors.len() > 1 {
                let others = successors.iter().filter(|(o, _)| o.document != document);
                let others = listed(others, |(other, _)| self.at(other.document));
                let error = Diagnostic::error(
                    codes::PREVIOUS_NAME_TAKEN,
                    format!(
                        "{} Scopes on \"{id}\" were named {previous:?} before",
                        successors.len()
                    ),
                );
                self.report_on(document, &id, &pointer, error.fact("also", others));
            } else if let Some(holder) = declared
                .get(previous)
                .copied()
                .unwrap_or_default()
                .iter()
                // One that is itself renamed leaves the name: that is a chain or a swap.
                .find(|holder| holder.spec.previous_names.is_empty())
            {
                let error = Diagnostic::error(
                    codes::PREVIOUS_NAME_TAKEN,
                    format!("{previous:?} is declared by another Scope on \"{id}\""),
                )
                .fact("declared", self.at(holder.document))
                .help("take it from `previousNames`, or give that Scope its own previous name");
                self.report_on(document, &id, &pointer, error);
            }
        }
    }

    /// Whether a Scope has a name on a target already, or had it: in a cluster it goes on, whoever else declares that name.
    fn holds(&self, target: usize, wish: &ScopeWish<'_>, name: &str) -> bool {
        let left = self.has(target, wish, wish.name.as_str())
            && self.owned(target).is_some_and(|owned| {
                let entry = owned.scopes.get(&wish.name);
                entry.is_some_and(|entry| entry.renamed_from.contains(&ScopeName::observed(name)))
            });
        left || self.has(target, wish, name)
    }

    /// One finding on the name of each of several Scopes of a target, but for the one that has its name already.
    fn report_all(
        &mut self,
        target: usize,
        wishes: &[&ScopeWish<'a>],
        (code, message): (Code, &str),
    ) {
        let id = self.targets[target].target.id.clone();
        let others = |of: &ScopeWish<'_>| {
            let others = wishes.iter().filter(|other| other.document != of.document);
            listed(others, |other| self.at(other.document))
        };
        let contradicts = |wish: &&&ScopeWish<'_>| !self.holds(target, wish, wish.name.as_str());
        let found = wishes.iter().filter(contradicts).map(|wish| {
            let error = Diagnostic::error(code, message).fact("also", others(wish));
            (wish.document, name_pointer(wish), error)
        });
        for (document, pointer, error) in found.collect::<Vec<_>>() {
            self.report_on(document, &id, pointer, error);
        }
    }

    /// Warns of scopes whose list of roles is empty on purpose, where that opens them.
    pub(super) fn warn_of_open_scopes(
        &mut self,
        scopes: &[ScopeWish<'a>],
        bindings: &[BindingWish<'a>],
    ) {
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
                self.report(wish.document, "/spec/bindings", warning.help(help));
            }
        }
    }
}

/// Where a Scope says its name.
fn name_pointer(wish: &ScopeWish<'_>) -> &'static str {
    match wish.spec.name {
        Some(_) => "/spec/name",
        None => "/metadata/name",
    }
}
