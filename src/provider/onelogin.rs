//! OneLogin: the scopes and clients of one API authorization server (API v2).
//!
//! | to see | requests |
//! |---|---|
//! | the scopes | one list |
//! | who holds them, and the apps' lists | one list of clients |
//! | a server named by its resource identifier | one list of servers before, once |
//!
//! There is no GET for one scope or one client, so that everything is read by list. Lists of apps are written as scope
//! *ids*: they come from the last list and from what was made since. An update keeps a scope's id, and with it every
//! client that holds it; so a rename is an update.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use self::api::{Api, Client, Scope, Server};
use super::http::{
    Answer, Call, Found, Http, Purpose, Settled, SharedList, Unseen, settle_create, settle_replace,
};
use super::seen::{self, Seen};
use super::{
    Applied, Apply, Cause, Connect, Credential, Interest, Observe, Provider, ProviderError,
    Requests,
};
use crate::model::target::{AuthorizationServer, Endpoint};
use crate::model::{
    AppRef, Consumers, DisplayNames, Live, RemoteId, ScopeName, ScopeState, Target,
};
use crate::plan::change::Change;
use crate::plan::guard::ApprovedChange;

mod api;
mod convert;

/// Opens a target; sends nothing.
pub(super) fn open(
    target: &Target,
    credential: &Credential,
    connect: &Connect,
    purpose: Purpose,
) -> Result<Box<dyn Provider>, ProviderError> {
    let Endpoint::OneLogin { server, .. } = &target.endpoint else {
        let why = format!("it is {}, not OneLogin", target.system().label());
        let doing = format!("open target \"{}\"", target.id);
        return Err(ProviderError::new(doing, Cause::Configuration(why)));
    };
    let auth = api::auth(target, credential)?;
    Ok(Box::new(OneLogin {
        wanted: server.clone(),
        server: OnceCell::new(),
        ids: Mutex::default(),
        scopes: SharedList::default(),
        clients: SharedList::default(),
        api: Api::new(Http::open(target, credential, connect, purpose, auth)?),
        target: target.clone(),
    }))
}

/// One authorization server of an account.
struct OneLogin {
    target: Target,
    wanted: AuthorizationServer,
    /// Which server that is, once it is known.
    server: OnceCell<Chosen>,
    /// The ids of the live scopes; `None` where a name is live more than once.
    ids: Mutex<BTreeMap<ScopeName, Option<u64>>>,
    /// The last list of each kind, which what is sent again is compared with.
    scopes: SharedList<Vec<Scope>>,
    clients: SharedList<Vec<Client>>,
    api: Api,
}

/// The server that a manifest means.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chosen {
    id: u64,
    /// How people call it.
    title: String,
}

#[async_trait]
impl Observe for OneLogin {
    async fn observe(&self, interest: &Interest) -> Result<Live, ProviderError> {
        let server = self.server().await?;
        let scopes = async {
            if interest.scopes {
                let scopes = self.api.scopes(server.id, false).await?;
                Ok(Some(self.scopes.keep(scopes).await))
            } else {
                Ok(None)
            }
        };
        let clients = async {
            if interest.consumers || !interest.apps.is_empty() {
                let clients = self.api.clients(server.id, false).await?;
                Ok(Some(self.clients.keep(clients).await))
            } else {
                Ok(None)
            }
        };
        // Both are waited for, so that what is said of two that fail does not depend on which was faster.
        let (scopes, clients) = futures::join!(scopes, clients);
        let (scopes, clients) = (scopes?, clients?);
        let (scopes, clients) = (
            scopes.as_ref().map(|list| list.as_slice()),
            clients.as_ref().map(|list| list.as_slice()),
        );
        self.remember(scopes, clients);
        Ok(convert::live(
            self.target.live_identity_with(server.id),
            server.title.clone(),
            scopes.unwrap_or_default(),
            clients,
        ))
    }

    fn requests(&self) -> Requests {
        self.api.requests()
    }
}

#[async_trait]
impl Apply for OneLogin {
    async fn apply(&self, change: ApprovedChange<'_>) -> Result<Applied, ProviderError> {
        let server = self.server().await?.id;
        match &*change {
            Change::CreateScope { after } => self.create(server, after).await,
            Change::UpdateScope { id, before, after } => {
                let id = self.id_of(id.as_ref(), &before.name)?;
                self.update(server, id, before, after).await
            }
            Change::RenameScope { id, before, after } => {
                let id = self.id_of(Some(id), &before.name)?;
                self.update(server, id, before, after).await
            }
            Change::DeleteScope { id, before } => {
                let id = self.id_of(id.as_ref(), &before.name)?;
                let planned = &change.planned().facts;
                self.delete(server, id, before, planned).await
            }
            Change::AttachApp { app, after } => self.attach(server, app, after).await,
            Change::ReplaceAppScopes {
                app,
                before,
                after,
                inherited,
            } => {
                let app = app_id(app)?;
                // The list is replaced as a whole, so that what is inherited goes along.
                let whole: BTreeSet<_> = after.union(inherited).cloned().collect();
                let ids = self.ids_of(app, &whole)?;
                self.write_list(
                    server,
                    || self.api.replace_client(server, app, &ids),
                    |clients| see_list(clients, app, before, after, inherited),
                )
                .await
            }
            Change::DetachApp { app, before } => {
                let app = app_id(app)?;
                let detached = self.write_list(
                    server,
                    || self.api.delete_client(server, app),
                    |clients| see_detached(clients, app, before),
                );
                match detached.await? {
                    // Whoever did it: it is no client any more.
                    Applied::Found => Ok(Applied::done()),
                    applied => Ok(applied),
                }
            }
        }
    }
}

impl OneLogin {
    /// The server that the manifest means, looked up at most once.
    async fn server(&self) -> Result<&Chosen, ProviderError> {
        let identifier = match &self.wanted {
            AuthorizationServer::Id(id) => {
                let known = || async {
                    Chosen {
                        id: *id,
                        title: id.to_string(),
                    }
                };
                return Ok(self.server.get_or_init(known).await);
            }
            AuthorizationServer::ResourceIdentifier(identifier) => identifier,
        };
        self.server
            .get_or_try_init(|| async {
                let servers = self.api.servers().await?;
                choose(identifier, &servers)
            })
            .await
    }

    async fn create(&self, server: u64, after: &ScopeState) -> Result<Applied, ProviderError> {
        let description = after.description.as_deref().unwrap_or(after.name.as_str());
        let wanted = described(after, description);
        let Settled { object: id, found } = settle_create(
            self.api.http(),
            || self.api.create_scope(server, &after.name, description),
            || async {
                let scopes = self.api.scopes(server, true).await?;
                Ok(find_scope(&scopes.of, &wanted))
            },
            is_taken,
            Unseen::Again,
        )
        .await?;
        self.ids().insert(after.name.clone(), Some(id));
        Ok(Applied::made(Some(RemoteId::new(id.to_string())), found))
    }

    async fn update(
        &self,
        server: u64,
        id: u64,
        before: &ScopeState,
        after: &ScopeState,
    ) -> Result<Applied, ProviderError> {
        let (old, new) = (&before.name, &after.name);
        let doing = if old == new {
            format!("update scope \"{new}\"")
        } else {
            format!("rename scope \"{old}\" to \"{new}\"")
        };
        let description = description_of(before, after);
        let wanted = &described(after, description);
        let applied = settle_replace(
            self.api.http(),
            Some(self.scopes.read_at().await.unwrap_or_else(Instant::now)),
            || {
                self.api
                    .update_scope(server, id, (new, description), &doing)
            },
            |since| async move {
                let read = || self.api.scopes(server, false);
                let scopes = self.scopes.since(since, read).await?;
                let seen = see_scope(&scopes.of, id, before, wanted);
                Ok((scopes.at, seen))
            },
        )
        .await
        .map_err(api::explain)?;
        if applied != Applied::done() {
            return Ok(applied);
        }
        let mut ids = self.ids();
        if ids.get(&before.name) == Some(&Some(id)) {
            ids.remove(&before.name);
        }
        ids.insert(after.name.clone(), Some(id));
        Ok(applied)
    }

    /// Deletes a scope, which whoever holds it loses: before it is sent again, both lists are looked at.
    async fn delete(
        &self,
        server: u64,
        id: u64,
        before: &ScopeState,
        planned: &BTreeSet<String>,
    ) -> Result<Applied, ProviderError> {
        let now = Instant::now();
        let scopes_at = self.scopes.read_at().await.unwrap_or(now);
        let clients_at = self.clients.read_at().await.unwrap_or(now);
        let deleted = settle_replace(
            self.api.http(),
            Some(scopes_at.min(clients_at)),
            || self.api.delete_scope(server, id, &before.name),
            |since| async move {
                let (scopes, clients) = futures::join!(
                    self.scopes.since(since, || self.api.scopes(server, false)),
                    self.clients
                        .since(since, || self.api.clients(server, false)),
                );
                let (scopes, clients) = (scopes?, clients?);
                let seen = see_deleted(&scopes.of, &clients.of, id, before, planned);
                Ok((scopes.at.min(clients.at), seen))
            },
        )
        .await
        .map_err(api::explain)?;
        if deleted == Applied::Moved {
            return Ok(Applied::Moved);
        }
        self.ids().remove(&before.name);
        // Whoever did it: it is gone.
        Ok(Applied::done())
    }

    /// Replaces or takes away the list of a client, which `see` compares with the clients as they are.
    async fn write_list<'a>(
        &'a self,
        server: u64,
        call: impl Fn() -> Call<'a> + Send,
        see: impl Fn(&[Client]) -> Seen + Send + Sync,
    ) -> Result<Applied, ProviderError> {
        let see = &see;
        settle_replace(
            self.api.http(),
            Some(self.clients.read_at().await.unwrap_or_else(Instant::now)),
            call,
            |since| async move {
                let read = || self.api.clients(server, false);
                let clients = self.clients.since(since, read).await?;
                Ok((clients.at, see(&clients.of)))
            },
        )
        .await
        .map_err(api::explain)
    }

    async fn attach(
        &self,
        server: u64,
        app: &AppRef,
        after: &BTreeSet<ScopeName>,
    ) -> Result<Applied, ProviderError> {
        let app = app_id(app)?;
        let ids = self.ids_of(app, after)?;
        let Settled { found, .. } = settle_create(
            self.api.http(),
            || self.api.create_client(server, app, &ids),
            || async {
                let clients = self.api.clients(server, true).await?;
                Ok(find_client(&clients.of, app, &ids))
            },
            is_taken,
            Unseen::Again,
        )
        .await?;
        Ok(Applied::made(None, found))
    }

    /// Keeps the ids that lists gave. A whole list of scopes replaces what was known; clients only add to it.
    fn remember(&self, scopes: Option<&[Scope]>, clients: Option<&[Client]>) {
        let mut ids = self.ids();
        if let Some(scopes) = scopes {
            ids.clear();
            for scope in scopes {
                learn(&mut ids, scope);
            }
        } else {
            let clients = clients.unwrap_or_default().iter();
            for scope in clients.flat_map(|client| &client.scopes) {
                learn(&mut ids, scope);
            }
        }
    }

    fn ids(&self) -> MutexGuard<'_, BTreeMap<ScopeName, Option<u64>>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of one scope: the one that the plan carries, else the one of its name.
    fn id_of(&self, id: Option<&RemoteId>, name: &ScopeName) -> Result<u64, ProviderError> {
        let known = match id {
            Some(id) => id.as_str().parse().ok(),
            None => self.ids().get(name).copied().flatten(),
        };
        known.ok_or_else(|| {
            let why = "it has no id on this server, and nothing was sent".to_owned();
            ProviderError::new(format!("write scope \"{name}\""), Cause::Configuration(why))
        })
    }

    /// The ids of a list of scopes: of all of them, or nothing is sent, since a shorter list would take scopes away.
    fn ids_of(&self, app: u64, names: &BTreeSet<ScopeName>) -> Result<Vec<u64>, ProviderError> {
        let known = self.ids();
        let mut ids = vec![];
        let mut missing = vec![];
        for name in names {
            match known.get(name) {
                Some(Some(id)) => ids.push(*id),
                Some(None) | None => missing.push(format!("\"{name}\"")),
            }
        }
        if missing.is_empty() {
            return Ok(ids);
        }
        let why = format!(
            "{} is not live on this server, or more than once; nothing was sent",
            missing.join(", ")
        );
        Err(ProviderError::new(
            format!("write the scopes of app {app}"),
            Cause::Configuration(why),
        ))
    }
}

/// The one server of a resource identifier.
fn choose(identifier: &str, servers: &[Server]) -> Result<Chosen, ProviderError> {
    let doing = format!("find the authorization server of {identifier:?}");
    let named = |server: &Server| {
        format!(
            "{} ({})",
            server.name.as_deref().unwrap_or("unnamed"),
            server.id
        )
    };
    let matches: Vec<&Server> = servers
        .iter()
        .filter(|server| server.resource_identifier() == Some(identifier))
        .collect();
    match matches[..] {
        [server] if server.onelogin == Some(true) => {
            let why = format!("{} belongs to OneLogin itself", named(server));
            Err(ProviderError::new(doing, Cause::Configuration(why)))
        }
        [server] => Ok(Chosen {
            id: server.id,
            title: named(server),
        }),
        [] => {
            let mut there: Vec<String> = servers
                .iter()
                .map(|server| {
                    let identifier = server.resource_identifier().unwrap_or("no identifier");
                    format!("{} {identifier:?}", named(server))
                })
                .collect();
            there.sort();
            let count = there.len();
            there.truncate(20);
            let why = match count {
                0 => "the account has no authorization server".to_owned(),
                _ => format!(
                    "none of the account's {count} has it: {}{}",
                    there.join(", "),
                    if count > there.len() { ", ..." } else { "" }
                ),
            };
            Err(
                ProviderError::new(doing, Cause::Configuration(why)).with_help(
                    "it is compared exactly; authorizationServer.id names a server without doubt",
                ),
            )
        }
        _ => {
            let all: Vec<String> = matches.iter().map(|server| named(server)).collect();
            let why = format!("{} have it: {}", all.len(), all.join(", "));
            Err(ProviderError::new(doing, Cause::Configuration(why))
                .with_help("name one of them by authorizationServer.id"))
        }
    }
}

/// Whether a scope that was to be made is in a list.
fn find_scope(scopes: &[Scope], wanted: &ScopeState) -> Found<u64> {
    let mut same = scopes
        .iter()
        .filter(|scope| scope.value == wanted.name.as_str());
    match (same.next(), same.next()) {
        (None, _) => Found::Absent,
        (Some(_), Some(_)) => Found::Different("there is more than one of that name".to_owned()),
        (Some(scope), None) => match scope.state().difference(wanted, DisplayNames::Exact) {
            Some(how) => Found::Different(how.to_owned()),
            None if scope.inherited() => Found::Different("it is inherited".to_owned()),
            None => Found::Equal(scope.id),
        },
    }
}

/// Whether a client that was to be made is in a list.
fn find_client(clients: &[Client], app: u64, ids: &[u64]) -> Found<()> {
    let Some(client) = clients.iter().find(|client| client.app_id == app) else {
        return Found::Absent;
    };
    let wanted: BTreeSet<u64> = ids.iter().copied().collect();
    let live = |inherited: bool| -> BTreeSet<u64> {
        client
            .scopes
            .iter()
            .filter(|scope| inherited || !scope.inherited())
            .map(|scope| scope.id)
            .collect()
    };
    if live(false) == wanted || live(true) == wanted {
        Found::Equal(())
    } else {
        Found::Different("its scopes are others".to_owned())
    }
}

/// How a scope stands that is to be updated or renamed.
fn see_scope(scopes: &[Scope], id: u64, before: &ScopeState, after: &ScopeState) -> Seen {
    let Some(live) = scopes.iter().find(|scope| scope.id == id) else {
        return Seen::Moved { ours: false };
    };
    seen::scope(&live.state(), before, after)
}

/// How a scope stands that is to go, by what it is and by who holds it.
fn see_deleted(
    scopes: &[Scope],
    clients: &[Client],
    id: u64,
    before: &ScopeState,
    planned: &BTreeSet<String>,
) -> Seen {
    let Some(live) = scopes.iter().find(|scope| scope.id == id) else {
        return Seen::AsWanted;
    };
    let holds = |client: &&Client| client.scopes.iter().any(|scope| scope.id == id);
    let holders = clients.iter().filter(holds).map(|client| AppRef::OneLogin {
        app_id: client.app_id,
    });
    if live.state().holds(before, DisplayNames::Exact)
        && seen::are_known(&Consumers::Apps(holders.collect()), planned)
    {
        Seen::AsBefore
    } else {
        Seen::Moved { ours: false }
    }
}

/// A state as it is sent: OneLogin's scopes hold a name and a description.
fn described(state: &ScopeState, description: &str) -> ScopeState {
    ScopeState {
        name: state.name.clone(),
        display_name: None,
        description: Some(description.to_owned()),
        roles: Vec::new(),
    }
}

/// The description that an update sends. A scope that has none, and is to have none, gets its name for one, as when it is
/// made: the documents call it required, and a server that insists would refuse every rename of such a scope.
fn description_of<'a>(before: &ScopeState, after: &'a ScopeState) -> &'a str {
    match (before.description(), after.description()) {
        ("", "") => after.name.as_str(),
        (_, description) => description,
    }
}

/// Learns the id of a scope; a name with two ids has none that can be written.
fn learn(ids: &mut BTreeMap<ScopeName, Option<u64>>, scope: &Scope) {
    ids.entry(ScopeName::observed(&scope.value))
        .and_modify(|known| *known = known.filter(|id| *id == scope.id))
        .or_insert(Some(scope.id));
}

/// How a client's list stands that is to be replaced.
fn see_list(
    clients: &[Client],
    app: u64,
    before: &BTreeSet<ScopeName>,
    after: &BTreeSet<ScopeName>,
    inherited: &BTreeSet<ScopeName>,
) -> Seen {
    let Some(client) = clients.iter().find(|client| client.app_id == app) else {
        return Seen::Moved { ours: false };
    };
    let (from_above, own) = convert::names(client);
    seen::set(&own, before, after)
        .and(seen::value(&from_above, inherited, inherited))
        .seen()
}

/// How a client stands that is to go.
fn see_detached(clients: &[Client], app: u64, before: &BTreeSet<ScopeName>) -> Seen {
    let Some(client) = clients.iter().find(|client| client.app_id == app) else {
        return Seen::AsWanted;
    };
    if convert::names(client).1 == *before {
        Seen::AsBefore
    } else {
        Seen::Moved { ours: false }
    }
}

/// Whether an error says that the object exists: `422, Validation failed: Value has already been taken`. What attaching an
/// app twice answers is not documented, so that the wording is taken widely; a wrong guess costs one list.
fn is_taken(error: &ProviderError) -> bool {
    let Cause::Status {
        status: 409 | 422,
        message,
    } = &error.cause
    else {
        return false;
    };
    let message = message.to_lowercase();
    ["taken", "already", "exist"]
        .iter()
        .any(|word| message.contains(word))
        && !message.contains("does not exist")
}

/// The id of an app.
fn app_id(app: &AppRef) -> Result<u64, ProviderError> {
    match app {
        AppRef::OneLogin { app_id } => Ok(*app_id),
        AppRef::Apigee { .. } => Err(ProviderError::new(
            format!("write the scopes of app {app}"),
            Cause::Configuration("it is an app of Apigee, and the target is OneLogin".to_owned()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, description: Option<&str>) -> ScopeState {
        ScopeState {
            name: ScopeName::observed(name),
            display_name: None,
            description: description.map(str::to_owned),
            roles: vec![],
        }
    }

    #[test]
    fn a_scope_without_description_is_renamed_with_its_name_for_one() {
        let table = [
            (None, None, "b"),
            (Some(""), None, "b"),
            (Some("was"), Some("was"), "was"),
            (Some("was"), Some(""), ""),
            (None, Some("new"), "new"),
        ];
        for (before, after, sent) in table {
            let after = state("b", after);
            assert_eq!(description_of(&state("a", before), &after), sent);
        }
    }

    #[test]
    fn a_name_that_is_live_twice_has_no_id_whichever_list_tells() {
        let list = r#"[{"id":1,"value":"a"},{"id":2,"value":"b"},{"id":9,"value":"a"}]"#;
        let scopes: Vec<Scope> = serde_json::from_str(list).expect("valid");
        let mut ids = BTreeMap::new();
        for scope in scopes.iter().chain(&scopes[..1]) {
            learn(&mut ids, scope);
        }
        assert_eq!(ids[&ScopeName::observed("a")], None);
        assert_eq!(ids[&ScopeName::observed("b")], Some(2));
    }
}
