//! What keeps a list from being written: scopes that cannot stand in it, and the refusals on its change.

use std::collections::BTreeSet;

use super::{Planner, texts};
use crate::diagnostic::{Diagnostic, codes};
use crate::model::{AppOwner, AppRef, DesiredApp, LiveAppScopes, ScopeName};
use crate::plan::prose::list;
use crate::plan::rule::{Named, Refusal, Rule, WayThrough};
use crate::plan::sets::Resolved;
use crate::plan::{ObjectKind, ObjectRef};

impl<'a> Planner<'_, 'a> {
    /// Whether every declared scope can stand in the list; the findings say which cannot.
    pub(super) fn check(&mut self, desired: &DesiredApp, live: Option<&LiveAppScopes>) -> bool {
        let allowed = live.and_then(|live| live.allowed.as_ref());
        let label = live.map_or_else(|| desired.app.to_string(), |live| live.app.to_string());
        let mut fine = true;
        for (index, scope) in desired.scopes.iter().enumerate() {
            let place = format!("/spec/scopes/{index}");
            let finding = match allowed {
                Some(allowed) if allowed.contains(scope) => None,
                Some(allowed) => Some(outside_products(scope, allowed, live, &label)),
                None if live.is_some_and(|live| live.inherited.contains(scope)) => None,
                None => self.missing(scope),
            };
            if let Some(finding) = finding {
                fine = false;
                self.plan
                    .diagnostics
                    .push(finding.at(&desired.source, place));
            }
        }
        fine
    }

    /// The finding for a scope that will not exist on the server, if it will not.
    fn missing(&mut self, scope: &ScopeName) -> Option<Diagnostic> {
        if self.scopes.maker.contains_key(scope) {
            return None;
        }
        if self.scopes.leaving.contains_key(scope) {
            return Some(
                Diagnostic::error(
                    codes::SCOPE_NOT_THERE,
                    format!("scope \"{scope}\" is being deleted, since no manifest declares it"),
                )
                .help("declare the scope again, or take it from this list"),
            );
        }
        if let Some(new) = self.scopes.renamed.get(scope) {
            return Some(
                Diagnostic::error(
                    codes::SCOPE_NOT_THERE,
                    format!("scope \"{scope}\" is being renamed to \"{new}\""),
                )
                .help(format!("write \"{new}\" here")),
            );
        }
        if self.context.live.scopes.contains_key(scope) {
            return None;
        }
        let nearest = self.nearest(scope);
        let finding = Diagnostic::error(
            codes::SCOPE_NOT_THERE,
            format!(
                "scope \"{scope}\" is neither declared nor live on {}",
                self.plan.target
            ),
        );
        Some(match nearest {
            Some(name) => finding.help(format!("did you mean \"{name}\"?")),
            None => finding
                .help("declare a Scope of that name for this target, or take it from this list"),
        })
    }

    /// The live name that is most like one that is missing.
    fn nearest(&mut self, scope: &ScopeName) -> Option<&'a ScopeName> {
        self.suggestions = self.suggestions.checked_sub(1)?;
        let names = self.context.live.scopes.keys();
        let distance = |name: &'a ScopeName| {
            (
                strsim::damerau_levenshtein(name.as_str(), scope.as_str()),
                name,
            )
        };
        let (distance, name) = names
            .filter(|name| name.as_str().len() <= 255)
            .map(distance)
            .min()?;
        (distance <= name.as_str().len() / 3).then_some(name)
    }

    /// Whether a list would keep an entry that no product has any more; Apigee refuses any list with one.
    pub(super) fn holds_stale(
        &mut self,
        desired: &DesiredApp,
        live: &LiveAppScopes,
        object: &ObjectRef,
        after: &BTreeSet<ScopeName>,
    ) -> bool {
        let allowed = live.allowed.as_ref();
        let stale: BTreeSet<ScopeName> = allowed
            .map(|allowed| after.difference(allowed).cloned().collect())
            .unwrap_or_default();
        if stale.is_empty() {
            return false;
        }
        let held = list(&texts(&stale));
        self.plan.diagnostics.push(
            Diagnostic::error(
                codes::NOT_ON_PRODUCT,
                format!(
                    "key {} holds {held}, which no API product of it has any more",
                    object.label
                ),
            )
            .at(&desired.source, "/spec/scopes")
            .label("Apigee would refuse the whole list (InvalidScopes)")
            .help(
                "give it to a product again, or let `sync` take it away (`foreignScopes: Remove`)",
            ),
        );
        true
    }

    /// Whether a list would be emptied that no call is sure to empty. An app group's key has no PUT, and in its POST an empty
    /// list is the same as none (proto3): it may well change nothing, however often it is sent.
    pub(super) fn cannot_be_emptied(
        &mut self,
        desired: &DesiredApp,
        live: &LiveAppScopes,
        object: &ObjectRef,
        after: &BTreeSet<ScopeName>,
    ) -> bool {
        let AppRef::Apigee {
            owner: AppOwner::AppGroup(_),
            ..
        } = &live.app
        else {
            return false;
        };
        if !after.is_empty() {
            return false;
        }
        let mut finding = Diagnostic::error(
            codes::CANNOT_BE_EMPTIED,
            format!(
                "the list of {} cannot be emptied: it belongs to an app group",
                object.label
            ),
        )
        .at(&desired.source, "/spec/scopes")
        .label("Apigee takes such a list by a POST alone, in which an empty one looks like none and may change nothing")
        .help("name every scope of the key's products: that is what an empty list means");
        if let Some(allowed) = live.allowed.as_ref().filter(|allowed| !allowed.is_empty()) {
            finding = finding.fact("allowed", texts(allowed).join(", "));
        }
        self.plan.diagnostics.push(finding);
        true
    }
}

fn outside_products(
    scope: &ScopeName,
    allowed: &BTreeSet<ScopeName>,
    live: Option<&LiveAppScopes>,
    label: &str,
) -> Diagnostic {
    let help = match live.and_then(|live| live.products.first()) {
        Some(product) => format!("add it to product `{product}`, or take it from this list"),
        None => "give the key a product that has it, or take it from this list".to_owned(),
    };
    let allowed = if allowed.is_empty() {
        "nothing".to_owned()
    } else {
        texts(allowed).join(", ")
    };
    Diagnostic::error(
        codes::NOT_ON_PRODUCT,
        format!("scope \"{scope}\" is not on any API product of key {label}"),
    )
    .label("Apigee would refuse the whole list (InvalidScopes)")
    .fact("allowed", allowed)
    .help(help)
}

pub(super) fn foreign(object: &ObjectRef, foreign: &BTreeSet<ScopeName>) -> Refusal {
    let held = list(&texts(foreign));
    let message = format!("{} holds {held}, which nobody declared", object.label);
    Refusal::of(
        Rule::ForeignScopes,
        object,
        message,
        WayThrough::DeclareForeign,
    )
    .counted(0, foreign.len() as u64)
}

pub(super) fn refusals(
    desired: &DesiredApp,
    live: &LiveAppScopes,
    object: &ObjectRef,
    resolved: &Resolved<ScopeName>,
) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if !resolved.first_contact.is_empty() {
        let message = format!(
            "the list of {} was never applied from here, and {} would go",
            object.label,
            list(&texts(&resolved.first_contact))
        );
        let way = WayThrough::Adopt(Named::of(ObjectKind::AppScopeSet, &desired.source));
        let refusal = Refusal::of(Rule::FirstContact, object, message, way);
        refusals.push(refusal.counted(0, resolved.first_contact.len() as u64));
    }
    if resolved.after.is_empty() && !live.scopes.is_empty() && !desired.allow_empty {
        let (rule, what) = if live.allowed.is_some() {
            (
                Rule::OpensToAll,
                "and an empty list means every scope of its products",
            )
        } else {
            (Rule::LastEntry, "and would hold no scope at all")
        };
        let message = format!("the list of {} would be empty, {what}", object.label);
        refusals.push(Refusal::of(rule, object, message, WayThrough::KeepScope).counted(1, 0));
    }
    refusals
}
