//! The rules of scope lists: which products allow what, and what leaves a list.

use std::collections::HashSet;

use super::Organization;
use super::answer::Fault;
use super::store::{App, Association, Key, Status};
use super::switches::{Blank, Case, Counted, ScopeCheck};

impl Organization {
    /// Adds products to a key's list, each once, with the status that its approval type gives.
    pub(super) fn associate(
        &self,
        associations: &mut Vec<Association>,
        products: &[String],
    ) -> Result<(), Fault> {
        for name in products {
            let product = self.stored_product(name)?;
            if !associations
                .iter()
                .any(|association| association.product == *name)
            {
                associations.push(Association {
                    product: name.clone(),
                    status: product.first_status(),
                });
            }
        }
        Ok(())
    }

    /// Drops empty names and repetitions; the order stays.
    pub(super) fn cleaned(&self, mut scopes: Vec<String>) -> Vec<String> {
        if self.switches.blank_key_scopes == Blank::Drop {
            scopes.retain(|scope| !scope.is_empty());
        }
        let mut seen = HashSet::new();
        scopes.retain(|scope| seen.insert(scope.clone()));
        scopes
    }

    /// Refuses scopes that none of the products has, with the list that would be allowed.
    ///
    /// `app` lends the products of its other keys where the check is by app.
    pub(super) fn check_scopes(
        &self,
        scopes: &[String],
        products: &[Association],
        app: Option<&App>,
    ) -> Result<(), Fault> {
        let others = match self.switches.scope_check {
            ScopeCheck::Key => None,
            ScopeCheck::App => app,
        };
        let associations = products.iter().chain(
            others
                .into_iter()
                .flat_map(|app| &app.keys)
                .flat_map(|key| &key.products),
        );
        let mut allowed: Vec<&str> = Vec::new();
        let mut known = HashSet::new();
        for association in associations {
            if self.switches.unapproved_products == Counted::Ignore
                && association.status != Status::Approved
            {
                continue;
            }
            let product = self.store.products.get(&association.product);
            for scope in product.iter().flat_map(|product| &product.scopes) {
                if !scope.is_empty() && known.insert(self.scope_name(scope)) {
                    allowed.push(scope);
                }
            }
        }
        let refused =
            |scope: &String| !scope.is_empty() && !known.contains(&self.scope_name(scope));
        if scopes.iter().any(refused) {
            return Err(Fault::coded(
                400,
                "keymanagement.service.InvalidScopes",
                format!(
                    "Invalid scopes. Scopes must be contained in [{}]",
                    allowed.join(", ")
                ),
            ));
        }
        Ok(())
    }

    /// The form in which scope names are compared.
    fn scope_name(&self, scope: &str) -> String {
        match self.switches.scope_names {
            Case::Sensitive => scope.to_owned(),
            Case::Insensitive => scope.to_lowercase(),
        }
    }

    /// Takes out of keys the scopes that none of their products has any more. A list that becomes empty this way is
    /// unrestricted, like any other.
    pub(super) fn prune(&mut self, concerns: impl Fn(&Key) -> bool) {
        for (products, key) in self.store.keys_mut() {
            if !concerns(key) {
                continue;
            }
            let left: HashSet<&str> = key
                .products
                .iter()
                .filter_map(|association| products.get(&association.product))
                .flat_map(|product| product.scopes.iter().map(String::as_str))
                .collect();
            key.scopes.retain(|scope| left.contains(scope.as_str()));
        }
    }
}
