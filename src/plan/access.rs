//! Who gains and who loses by a plan: what a reviewer decides on.

use std::collections::BTreeSet;

use serde::Serialize;

use super::change::Change;
use super::{ObjectRef, PlannedChange, TargetPlan};
use crate::model::{AppRef, Consumers, Live, LiveApp, RoleName, ScopeName};

/// Gains and losses, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Access {
    /// Who gets what.
    pub gains: BTreeSet<Grant>,
    /// Who loses what.
    pub losses: BTreeSet<Grant>,
}

/// Somebody and a scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Grant {
    /// `role support`, `app shop`, `any user`, `2 API operations`.
    pub subject: String,
    /// The scope's name.
    pub scope: String,
}

/// Reads the access out of a plan's changes: of each by itself, and of all of them.
pub(super) fn tell(plan: &mut TargetPlan, live: &Live) {
    let open = plan.system.capabilities().empty_roles_open_to_all;
    let of = |planned| of(planned, plan, live, open);
    let each: Vec<Access> = plan.changes.iter().map(of).collect();
    for (planned, access) in plan.changes.iter_mut().zip(each) {
        plan.access.gains.extend(access.gains.iter().cloned());
        plan.access.losses.extend(access.losses.iter().cloned());
        planned.access = access;
    }
}

/// The access that one change gives and takes; where empty roles are `open`, a scope without roles is everyone's.
fn of(planned: &PlannedChange, plan: &TargetPlan, live: &Live, open: bool) -> Access {
    let mut access = Access::default();
    match &planned.change {
        Change::CreateScope { after } => {
            access.roles(&after.name, None, Some(&after.roles), open);
        }
        Change::UpdateScope { before, after, .. } => {
            access.roles(&after.name, Some(&before.roles), Some(&after.roles), open);
        }
        Change::RenameScope { .. } => {}
        Change::DeleteScope { before, .. } => {
            access.roles(&before.name, Some(&before.roles), None, open);
            match live.scopes.get(&before.name).map(|scope| &scope.consumers) {
                Some(Consumers::Apps(apps)) => {
                    // Those lose it by the change of their list.
                    let given_up: BTreeSet<&AppRef> = planned.given_up(plan).collect();
                    for app in apps.iter().filter(|app| !given_up.contains(app)) {
                        access.loses(subject(app, live), &before.name);
                    }
                }
                Some(Consumers::Usages(count)) if *count > 0 => {
                    access.loses(format!("{count} API operations"), &before.name);
                }
                _ => {}
            }
        }
        Change::AttachApp { app, after } => {
            access.app(&subject(app, live), &BTreeSet::new(), after);
        }
        Change::ReplaceAppScopes {
            app, before, after, ..
        } => {
            let effective = |set: &BTreeSet<ScopeName>| match present(app, live) {
                Some(live) => live.effective_of(set),
                None => set.clone(),
            };
            access.app(&subject(app, live), &effective(before), &effective(after));
        }
        Change::DetachApp { app, before } => {
            access.app(&subject(app, live), before, &BTreeSet::new());
        }
    }
    access
}

fn present<'a>(app: &AppRef, live: &'a Live) -> Option<&'a crate::model::LiveAppScopes> {
    let found = live.apps.get(app).or_else(|| {
        // Declared without its key: the picture has it under the shorter reference.
        let AppRef::Apigee { owner, app, .. } = app else {
            return None;
        };
        live.apps.get(&AppRef::Apigee {
            owner: owner.clone(),
            app: app.clone(),
            key: None,
        })
    });
    match found {
        Some(LiveApp::Present(live)) => Some(live),
        _ => None,
    }
}

fn subject(app: &AppRef, live: &Live) -> String {
    let name = present(app, live).and_then(|live| live.name.as_deref());
    format!("app {}", ObjectRef::app(app, name).label)
}

impl Access {
    fn gains(&mut self, subject: String, scope: &ScopeName) {
        self.gains.insert(Grant {
            subject,
            scope: scope.as_str().to_owned(),
        });
    }

    fn loses(&mut self, subject: String, scope: &ScopeName) {
        self.losses.insert(Grant {
            subject,
            scope: scope.as_str().to_owned(),
        });
    }

    fn app(&mut self, subject: &str, before: &BTreeSet<ScopeName>, after: &BTreeSet<ScopeName>) {
        for scope in after.difference(before) {
            self.gains(subject.to_owned(), scope);
        }
        for scope in before.difference(after) {
            self.loses(subject.to_owned(), scope);
        }
    }

    /// Roles before and after; `None` is no scope at all. Where `open`, a scope without roles is everyone's.
    fn roles(
        &mut self,
        scope: &ScopeName,
        before: Option<&Vec<RoleName>>,
        after: Option<&Vec<RoleName>>,
        open: bool,
    ) {
        let holders = |roles: Option<&Vec<RoleName>>| -> BTreeSet<String> {
            match roles {
                Some(roles) if roles.is_empty() && open => ["any user".to_owned()].into(),
                Some(roles) => roles.iter().map(|role| format!("role {role}")).collect(),
                None => BTreeSet::new(),
            }
        };
        let (before, after) = (holders(before), holders(after));
        for subject in after.difference(&before) {
            self.gains(subject.clone(), scope);
        }
        for subject in before.difference(&after) {
            self.loses(subject.clone(), scope);
        }
    }
}
