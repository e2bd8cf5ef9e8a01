//! A system in memory, exact where the real ones agree: what the conformance suite holds the real providers against, and
//! what runs without a server are tested on.
//!
//! One type is every system: its capabilities say what it can hold and do. Ids count up from 1 where the system gives ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Applied, Apply, Cause, Interest, Observe, ProviderError, Requests};
use crate::model::{
    AppRef, Consumers, DisplayNames, Live, LiveApp, LiveAppScopes, LiveScope, RemoteId, Rename,
    RoleName, ScopeName, ScopeState, System,
};
use crate::plan::change::Change;
use crate::plan::guard::ApprovedChange;

/// A system in memory. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Memory {
    system: System,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    live: Live,
    made: u64,
    requests: Requests,
    surprises: Vec<String>,
}

impl Memory {
    /// A system that holds this.
    pub fn new(system: System, live: Live) -> Self {
        let state = State {
            live,
            made: 0,
            requests: Requests::default(),
            surprises: Vec::new(),
        };
        Self {
            system,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Everything that it holds.
    pub fn live(&self) -> Live {
        self.state().live.clone()
    }

    /// Which system it is.
    pub fn system(&self) -> System {
        self.system
    }

    /// Changes it, as somebody else would.
    pub fn edit(&self, edit: impl FnOnce(&mut Live)) {
        edit(&mut self.state().live);
    }

    /// Writes that found something other than what they were planned from. No real system looks: what was there is lost.
    pub fn surprises(&self) -> Vec<String> {
        self.state().surprises.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Observe for Memory {
    async fn observe(&self, interest: &Interest) -> Result<Live, ProviderError> {
        let mut state = self.state();
        state.requests.total += 1;
        let can = self.system.capabilities();
        let mut live = state.live.clone();
        live.apps = if can.detach {
            live.apps
        } else {
            let asked = interest.apps.iter();
            asked
                .map(|app| (app.clone(), asked_for(&live, app, interest.allowed)))
                .collect()
        };
        let tells = can.detach && (interest.consumers || !interest.apps.is_empty());
        for scope in live.scopes.values_mut() {
            if tells {
                scope.consumers = Consumers::Apps(holders(&live.apps, &scope.state.name));
            }
        }
        if !interest.scopes {
            live.scopes.clear();
            live.duplicates.clear();
        }
        if can.detach && !tells {
            live.apps.clear();
        }
        Ok(live)
    }

    fn requests(&self) -> Requests {
        self.state().requests
    }
}

#[async_trait]
impl Apply for Memory {
    async fn apply(&self, change: ApprovedChange<'_>) -> Result<Applied, ProviderError> {
        let doing = format!("{} it", change.action());
        let failed = |cause| ProviderError::new(doing.as_str(), cause);
        let unsupported = || {
            let why = format!("{} cannot {}", self.system.label(), change.action());
            failed(Cause::Configuration(why))
        };
        let can = self.system.capabilities();
        let is_possible = match &*change {
            Change::CreateScope { after } => {
                can.scopes && self.system.refuses_name(&after.name).is_none()
            }
            Change::UpdateScope { before, after, .. } => can.scopes && before.name == after.name,
            Change::RenameScope { .. } => can.rename == Rename::InPlace,
            Change::DeleteScope { .. } => can.scopes,
            Change::AttachApp { .. } | Change::DetachApp { .. } => can.detach,
            Change::ReplaceAppScopes { .. } => can.apps,
        };
        if !is_possible {
            return Err(unsupported());
        }
        let mut state = self.state();
        state.requests.total += 1;
        state.requests.writes += 1;
        if state.is_surprising(self.system, &change) {
            let surprise = format!("{change:?} finds {:?}", state.live);
            state.surprises.push(surprise);
        }
        state.write(self.system, &change).map_err(failed)
    }
}

impl State {
    fn write(&mut self, system: System, change: &Change) -> Result<Applied, Cause> {
        match change {
            Change::CreateScope { after } => return self.create(system, after),
            Change::UpdateScope { id, before, after } => {
                let name = self.find(id.as_ref(), &before.name)?;
                self.put(system, &name, after);
            }
            Change::RenameScope { id, before, after } => {
                let name = self.find(Some(id), &before.name)?;
                if name != after.name && self.live.scopes.contains_key(&after.name) {
                    return Err(conflict("Value has already been taken"));
                }
                self.put(system, &name, after);
            }
            Change::DeleteScope { id, before } => {
                // What is gone is deleted.
                if let Ok(name) = self.find(id.as_ref(), &before.name) {
                    self.live.scopes.remove(&name);
                    for list in lists(&mut self.live.apps) {
                        list.scopes.remove(&name);
                    }
                }
            }
            Change::AttachApp { app, after } => return self.attach(app, after),
            Change::ReplaceAppScopes { app, after, .. } => {
                self.check(app, after)?;
                let list = lists(&mut self.live.apps).find(|list| list.app == *app);
                let list = list.ok_or_else(|| absent(app))?;
                list.scopes = after.difference(&list.inherited).cloned().collect();
            }
            Change::DetachApp { app, .. } => drop(self.live.apps.remove(app)),
        }
        Ok(Applied::done())
    }

    /// Whether a write finds something other than what it was planned from.
    fn is_surprising(&self, system: System, change: &Change) -> bool {
        let is = |id: Option<&RemoteId>, before: &ScopeState| {
            let name = self.find(id, &before.name).ok();
            let live = name.and_then(|name| self.live.scopes.get(&name));
            let before = held(system, before);
            live.is_some_and(|live| live.state.holds(&before, DisplayNames::Exact))
        };
        let list = |app: &AppRef| {
            let mut present = self.live.apps.values().filter_map(|live| match live {
                LiveApp::Present(list) => Some(list),
                LiveApp::Absent { .. } => None,
            });
            present.find(|list| list.app == *app)
        };
        match change {
            Change::CreateScope { after } => self.live.scopes.contains_key(&after.name),
            Change::UpdateScope { id, before, .. } | Change::DeleteScope { id, before } => {
                !is(id.as_ref(), before)
            }
            Change::RenameScope { id, before, .. } => !is(Some(id), before),
            Change::AttachApp { app, .. } => list(app).is_some(),
            Change::ReplaceAppScopes {
                app,
                before,
                inherited,
                ..
            } => {
                list(app).is_none_or(|list| list.scopes != *before || list.inherited != *inherited)
            }
            Change::DetachApp { app, before } => {
                list(app).is_none_or(|list| list.scopes != *before)
            }
        }
    }

    /// Makes a scope. An equal one that is there is found.
    fn create(&mut self, system: System, after: &ScopeState) -> Result<Applied, Cause> {
        if let Some(live) = self.live.scopes.get(&after.name) {
            return if live.state.holds(&held(system, after), DisplayNames::Exact) {
                Ok(Applied::Found)
            } else {
                Err(conflict("it is there, and differs"))
            };
        }
        self.made += 1;
        let has_ids = matches!(system, System::OneLogin | System::Wso2Publisher);
        let remote_id = has_ids.then(|| RemoteId::new(self.made.to_string()));
        let live = made(system, after, remote_id.clone());
        self.live.scopes.insert(after.name.clone(), live);
        Ok(Applied::Done { remote_id })
    }

    /// Replaces a scope; its id and its holders stay.
    fn put(&mut self, system: System, name: &ScopeName, after: &ScopeState) {
        let before = self.live.scopes.remove(name);
        let id = before.as_ref().and_then(|before| before.remote_id.clone());
        let live = made(system, after, id);
        self.live.scopes.insert(after.name.clone(), live);
        for list in lists(&mut self.live.apps) {
            if list.scopes.remove(name) {
                list.scopes.insert(after.name.clone());
            }
        }
    }

    fn attach(&mut self, app: &AppRef, after: &BTreeSet<ScopeName>) -> Result<Applied, Cause> {
        self.check(app, after)?;
        match self.live.apps.get(app) {
            Some(LiveApp::Present(list)) if list.scopes == *after => Ok(Applied::Found),
            Some(_) => Err(conflict("it is there, and differs")),
            None => {
                let list = LiveAppScopes {
                    app: app.clone(),
                    name: None,
                    scopes: after.clone(),
                    inherited: BTreeSet::new(),
                    allowed: None,
                    products: Vec::new(),
                    unusable: None,
                };
                self.live.apps.insert(app.clone(), LiveApp::Present(list));
                Ok(Applied::done())
            }
        }
    }

    /// Whether every scope of a list may stand in it; nothing is written where one may not.
    fn check(&mut self, app: &AppRef, after: &BTreeSet<ScopeName>) -> Result<(), Cause> {
        let list = lists(&mut self.live.apps).find(|list| list.app == *app);
        let allowed = list.and_then(|list| list.allowed.clone());
        let is_allowed = |scope: &ScopeName| match &allowed {
            Some(allowed) => allowed.contains(scope),
            None => self.live.scopes.contains_key(scope),
        };
        match after.iter().find(|scope| !is_allowed(scope)) {
            Some(scope) => Err(Cause::Configuration(format!("there is no scope {scope}"))),
            None => Ok(()),
        }
    }

    /// The live name of a scope: by its id, or by its name where it has none.
    fn find(&self, id: Option<&RemoteId>, name: &ScopeName) -> Result<ScopeName, Cause> {
        let mut scopes = self.live.scopes.values();
        let found = match id {
            Some(id) => scopes.find(|scope| scope.remote_id.as_ref() == Some(id)),
            None => self.live.scopes.get(name),
        };
        let found = found.map(|scope| scope.state.name.clone());
        found.ok_or_else(|| not_found(&format!("there is no scope {name}")))
    }
}

/// The app that was asked for; one whose key is left out is the only one of its name.
fn asked_for(live: &Live, asked: &AppRef, allowed: bool) -> LiveApp {
    let AppRef::Apigee { owner, app, key } = asked else {
        return LiveApp::Absent {
            why: format!("{asked} is no app of this system"),
        };
    };
    let is = |found: &&LiveApp| {
        matches!(found, LiveApp::Present(LiveAppScopes {
            app: AppRef::Apigee { owner: o, app: a, key: k },
            ..
        }) if o == owner && a == app && (key.is_none() || k == key))
    };
    let mut found = live.apps.values().filter(is);
    match (found.next(), found.next()) {
        (Some(LiveApp::Present(list)), None) => LiveApp::Present(LiveAppScopes {
            allowed: list.allowed.clone().filter(|_| allowed),
            ..list.clone()
        }),
        (None, _) => LiveApp::Absent {
            why: format!("{asked} is not there"),
        },
        _ => LiveApp::Absent {
            why: format!("{asked} has more than one key"),
        },
    }
}

fn holders(apps: &BTreeMap<AppRef, LiveApp>, scope: &ScopeName) -> BTreeSet<AppRef> {
    let holds = |live: &LiveApp| match live {
        LiveApp::Present(list) => list.scopes.contains(scope) || list.inherited.contains(scope),
        LiveApp::Absent { .. } => false,
    };
    let held = apps.iter().filter(|(_, live)| holds(live));
    held.map(|(app, _)| app.clone()).collect()
}

fn lists(apps: &mut BTreeMap<AppRef, LiveApp>) -> impl Iterator<Item = &mut LiveAppScopes> {
    apps.values_mut().filter_map(|app| match app {
        LiveApp::Present(list) => Some(list),
        LiveApp::Absent { .. } => None,
    })
}

/// What a system holds of a state.
fn held(system: System, state: &ScopeState) -> ScopeState {
    let can = system.capabilities();
    let ScopeState {
        name,
        display_name,
        description,
        roles,
    } = state.clone();
    let mut seen = BTreeSet::new();
    let mut roles: Vec<RoleName> = roles.into_iter().filter(|_| can.roles).collect();
    roles.retain(|role| seen.insert(role.clone()));
    ScopeState {
        name,
        display_name: display_name.filter(|_| can.display_name),
        description: description.filter(|text| !text.is_empty()),
        roles,
    }
}

/// A scope that is live from here on.
fn made(system: System, state: &ScopeState, remote_id: Option<RemoteId>) -> LiveScope {
    LiveScope {
        state: held(system, state),
        remote_id,
        inherited: false,
        consumers: if system == System::Wso2Publisher {
            Consumers::Usages(0)
        } else {
            Consumers::Unknown
        },
    }
}

fn conflict(message: &str) -> Cause {
    Cause::Status {
        status: 409,
        message: message.to_owned(),
    }
}

fn not_found(message: &str) -> Cause {
    Cause::NotFound {
        status: 404,
        message: message.to_owned(),
    }
}

fn absent(app: &AppRef) -> Cause {
    not_found(&format!("{app} is not there"))
}
