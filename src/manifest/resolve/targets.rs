//! Targets, and that no two are the same live system.

use std::collections::BTreeMap;
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{Resolver, UsableTarget, listed};
use crate::diagnostic::{Diagnostic, codes};
use crate::manifest::crd::{self, NamespacesFrom};
use crate::manifest::document::Body;
use crate::manifest::target;
use crate::model::{Source, TargetId};

impl Resolver<'_> {
    pub(super) fn read_targets(&mut self) {
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
                if rule.from == NamespacesFrom::Selector && self.cluster.is_none() {
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
            for finding in findings {
                self.push(finding);
            }
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
        // In a cluster the inventory says which of them was there first.
        same.retain(|_, targets| targets.len() > 1 && self.cluster.is_none());
        for targets in same.into_values() {
            for (id, &document) in &targets {
                let others = targets.iter().filter(|(other, _)| *other != id);
                let others = listed(others, |(other, &document)| {
                    format!("\"{other}\" ({})", self.at(document))
                });
                self.report(
                    document,
                    "/metadata/name",
                    Diagnostic::error(
                        codes::ONE_SYSTEM_TWICE,
                        format!("the Target \"{id}\" is the same live system as another"),
                    )
                    .fact("also", others)
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
