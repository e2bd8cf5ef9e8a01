//! Roles that are declared apart from their scopes.

use std::collections::{BTreeSet, HashMap};

use super::{BindingWish, Lookup, Resolver, ScopeWish};
use crate::diagnostic::{Diagnostic, codes};
use crate::manifest::crd;
use crate::manifest::document::Body;

impl<'a> Resolver<'a> {
    pub(super) fn read_bindings(&mut self, scopes: &[ScopeWish<'a>]) -> Vec<BindingWish<'a>> {
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
                let place = format!("/spec/targetRefs/{at}/name");
                let Lookup::Found(target) = self.target(index, reference, &place) else {
                    continue;
                };
                if !wish.targets.contains(&target) {
                    let known = self.documents[wish.document].source.name.clone();
                    let message = format!(
                        "the Scope {known:?} is not on the Target {:?}",
                        reference.name
                    );
                    let id = self.targets[target].target.id.clone();
                    let error = Diagnostic::error(codes::OUTSIDE_SCOPE, message);
                    self.report_on(index, &id, &place, error);
                } else if targets.contains(&target) {
                    let message = format!(
                        "the Target {:?} stands twice, and counts once",
                        reference.name
                    );
                    let warning = Diagnostic::warning(codes::REPEATED, message);
                    self.report(index, &place, warning);
                } else {
                    targets.push(target);
                }
            }
            if spec.target_refs.is_empty() {
                targets.clone_from(&wish.targets);
            }
            let mut checked = BTreeSet::new();
            let mut permitted = Vec::with_capacity(targets.len());
            for &target in &targets {
                let rule = &self.targets[target].spec.allowed_bindings;
                let is_permitted = self.permit(
                    index,
                    target,
                    (rule, "allowedBindings"),
                    "/spec/scopeRef/name",
                );
                if is_permitted || self.cluster.is_none() {
                    permitted.push(target);
                }
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
                targets: permitted,
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
        let mut error = Diagnostic::error(
            codes::UNKNOWN_SCOPE,
            format!("no manifest declares the Scope \"{namespace}/{name}\""),
        );
        let known = std::mem::take(&mut self.names.scopes);
        if self.cluster.is_some() {
            // Whoever reads this may not read what others declare.
        } else if let Some(elsewhere) = self.names.by_name.get(&("Scope", name)) {
            error = error.help(format!(
                "there is one in another namespace: add `namespace: {}`",
                elsewhere.namespace
            ));
        } else if let Some(meant) = self.names.by_scope.get(name) {
            error = error.help(format!(
                "the Scope with that name is called `{}`: a scopeRef gives its `metadata.name`",
                meant.name
            ));
        } else if let Some(meant) = self.nearest(name, known.iter().map(|s| s.name.as_str())) {
            error = error.help(format!("did you mean `{meant}`?"));
        }
        self.names.scopes = known;
        self.report(document, "/spec/scopeRef/name", error);
        None
    }
}
