//! What a path names, or the error that says that it is not there.

use super::Organization;
use super::answer::Fault;
use super::path::decode_again;
use super::store::{HolderKind, HolderName, Key, Product};
use super::switches::Case;

/// An app by its holder and its name, as a path has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct AppPath<'a> {
    pub(super) kind: HolderKind,
    pub(super) holder: &'a str,
    pub(super) app: &'a str,
}

impl Organization {
    /// The id of an app that a path names.
    pub(super) fn app_id(
        &self,
        AppPath { kind, holder, app }: AppPath<'_>,
    ) -> Result<String, Fault> {
        let name = self.holder_name(kind, holder)?;
        let id = self.store.app_id(&name, app).map(str::to_owned);
        id.ok_or_else(|| unknown_app(app, holder))
    }

    /// The holder that a path names: a developer's e-mail, escaped once or twice, or id, or a team's name.
    pub(super) fn holder_name(&self, kind: HolderKind, given: &str) -> Result<HolderName, Fault> {
        let once = std::iter::once(given.to_owned());
        let spellings = once.chain(decode_again(given));
        for spelling in spellings {
            let mut name = HolderName::new(kind, spelling);
            if self.store.holder(&name).is_some() {
                return Ok(name);
            }
            if kind != HolderKind::Developer {
                continue;
            }
            if let Some(email) = self.store.developer_by_id(&name.name) {
                return Ok(HolderName::new(kind, email));
            }
            if self.switches.email_lookup == Case::Insensitive {
                name.name = name.name.to_lowercase();
                let mut developers = self.store.holders_from(kind, "");
                if let Some((email, _)) =
                    developers.find(|(email, _)| email.to_lowercase() == name.name)
                {
                    return Ok(HolderName::new(kind, email));
                }
            }
        }
        Err(self.unknown_holder(kind, given))
    }

    pub(super) fn unknown_holder(&self, kind: HolderKind, given: &str) -> Fault {
        let organization = &self.name;
        match kind {
            HolderKind::Developer => Fault::coded(
                404,
                "developer.service.DeveloperIdDoesNotExist",
                format!("DeveloperId {given} does not exist in organization {organization}"),
            ),
            HolderKind::Company => Fault::coded(
                404,
                "developer.service.CompanyDoesNotExist",
                format!("Company {given} does not exist in organization {organization}"),
            ),
            HolderKind::AppGroup => Fault::coded(
                404,
                "developer.service.AppGroupDoesNotExist",
                format!("AppGroup {given} does not exist in organization {organization}"),
            ),
        }
    }

    pub(super) fn stored_product(&self, name: &str) -> Result<&Product, Fault> {
        self.store
            .products
            .get(name)
            .ok_or_else(|| self.unknown_product(name))
    }

    pub(super) fn unknown_product(&self, name: &str) -> Fault {
        Fault::coded(
            404,
            "keymanagement.service.apiproduct_doesnot_exist",
            format!(
                "API Product [{name}] does not exist for tenant [{}] and id [null]",
                self.name
            ),
        )
    }

    pub(super) fn stored_key(&self, app_id: &str, consumer_key: &str) -> Result<&Key, Fault> {
        let app = self.store.app(app_id);
        app.and_then(|app| app.key(consumer_key))
            .ok_or_else(unknown_key)
    }

    pub(super) fn stored_key_mut(
        &mut self,
        app_id: &str,
        consumer_key: &str,
    ) -> Result<&mut Key, Fault> {
        self.store
            .key_mut(app_id, consumer_key)
            .ok_or_else(unknown_key)
    }
}

pub(super) fn unknown_app(app: &str, holder: &str) -> Fault {
    Fault::coded(
        404,
        "developer.service.AppDoesNotExist",
        format!("App named {app} does not exist under {holder}"),
    )
}

pub(super) fn unknown_key() -> Fault {
    Fault::coded(
        404,
        "keymanagement.service.InvalidClientIdForGivenApp",
        "Invalid consumer key for Given App".to_owned(),
    )
}
