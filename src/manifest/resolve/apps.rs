//! Apps and the full lists of their scopes.

use std::collections::{BTreeMap, BTreeSet};

use super::{AppWish, Lookup, Resolver, ScopeWish, listed};
use crate::diagnostic::{Diagnostic, codes};
use crate::manifest::crd;
use crate::manifest::document::Body;
use crate::model::{AppOwner, AppRef, ConsumerKey, System};

/// The sets of one app, by consumer key.
type Keys<'w, 'a> = BTreeMap<Option<&'w ConsumerKey>, Vec<&'w AppWish<'a>>>;

impl<'a> Resolver<'a> {
    pub(super) fn read_apps(&mut self, scopes: &[ScopeWish<'a>]) -> Vec<AppWish<'a>> {
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
            let Lookup::Found(target) =
                self.target(index, &spec.target_ref, "/spec/targetRef/name")
            else {
                continue;
            };
            let rule = &self.targets[target].spec.allowed_namespaces;
            let mut is_permitted = self.permit(
                index,
                target,
                (rule, "allowedNamespaces"),
                "/spec/targetRef/name",
            );
            let system = self.targets[target].target.system();
            for (at, scope) in spec.scopes.iter().enumerate() {
                let pointer = format!("/spec/scopes/{at}");
                is_permitted &= self.permit_scope(index, target, scope, &pointer);
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
                self.report(index, "/spec/scopes", warning.help(help));
            }
            // Who may not say anything of the app cannot contradict who does.
            if is_permitted {
                wishes.push(AppWish {
                    document: index,
                    spec,
                    target,
                    app,
                });
            }
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
                let owner = self.apigee_owner(document, app, system)?;
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

    /// Whose an Apigee app is, where its edition knows such holders.
    fn apigee_owner(
        &mut self,
        document: usize,
        app: &crd::ApigeeApp,
        system: System,
    ) -> Option<AppOwner> {
        let label = system.label();
        let mut wrong = |pointer: &str, message: String| {
            self.error(document, pointer, codes::WRONG_APP, message);
            None
        };
        match app {
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
                    Some(AppOwner::Developer(lower))
                } else {
                    Some(AppOwner::Developer(email.clone()))
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
                Some(AppOwner::AppGroup(group.clone()))
            }
            crd::ApigeeApp {
                company: Some(company),
                ..
            } => {
                if system == System::ApigeeX {
                    let message = format!("{label} has no companies: use `appGroup`");
                    return wrong("/spec/app/apigee/company", message);
                }
                Some(AppOwner::Company(company.clone()))
            }
            _ => None,
        }
    }

    /// Whether a set has its app already: in a cluster it goes on, whoever else declares it.
    fn holds_app(&self, wish: &AppWish<'_>) -> bool {
        let file = &self.documents[wish.document].source.file;
        let Some(owned) = self.owned(wish.target) else {
            return false;
        };
        // An app's keys stand behind the app without one.
        let app = wish.app.keyless();
        let keys = owned.apps.range(&app..);
        keys.take_while(|(key, _)| key.keyless() == app)
            .any(|(_, entry)| entry.source.file == *file)
    }

    /// Finds apps that two manifests want to say everything of.
    fn check_apps(&mut self, wishes: &[AppWish<'a>]) {
        let mut same: BTreeMap<(usize, AppRef), Keys<'_, '_>> = BTreeMap::new();
        for wish in wishes {
            let (app, key) = match &wish.app {
                AppRef::Apigee { owner, app, key } => (
                    AppRef::Apigee {
                        owner: owner.clone(),
                        app: app.clone(),
                        key: None,
                    },
                    key.as_ref(),
                ),
                AppRef::OneLogin { .. } => (wish.app.clone(), None),
            };
            let keys = same.entry((wish.target, app)).or_default();
            keys.entry(key).or_default().push(wish);
        }
        for keys in same.values() {
            // A set without a key may be for any key of its app.
            let keyless = keys.get(&None).map(Vec::as_slice).unwrap_or_default();
            for (key, wishes) in keys {
                for wish in wishes {
                    let keyed = keys
                        .iter()
                        .filter(|(other, _)| key.is_none() && other.is_some());
                    let rivals = wishes
                        .iter()
                        .chain(keyless.iter().filter(|_| key.is_some()))
                        .chain(keyed.flat_map(|(_, wishes)| wishes))
                        .filter(|other| other.document != wish.document);
                    let others = listed(rivals, |other| self.at(other.document));
                    if others.is_empty() {
                        continue;
                    }
                    if self.holds_app(wish) {
                        continue;
                    }
                    let message = format!("more than one AppScopeSet is for the app {}", wish.app);
                    let error = Diagnostic::error(codes::APP_DECLARED_TWICE, message);
                    self.report(wish.document, "/spec/app", error.fact("also", others));
                }
            }
        }
    }
}
