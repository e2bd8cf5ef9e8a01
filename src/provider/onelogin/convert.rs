//! From OneLogin's lists to the picture of a target.

use std::collections::{BTreeMap, BTreeSet};

use super::api::{Client, Scope};
use crate::model::{
    AppRef, Consumers, Live, LiveApp, LiveAppScopes, LiveIdentity, LiveScope, RemoteId, ScopeName,
};

/// Names that a list holds more than once.
pub(super) fn duplicates(scopes: &[Scope]) -> BTreeSet<ScopeName> {
    let mut seen = BTreeSet::new();
    scopes
        .iter()
        .filter(|scope| !seen.insert(&scope.value))
        .map(|scope| ScopeName::observed(&scope.value))
        .collect()
}

/// The picture. Without a list of clients nothing is known of who holds a scope.
pub(super) fn live(
    identity: LiveIdentity,
    title: String,
    scopes: &[Scope],
    clients: Option<&[Client]>,
) -> Live {
    let duplicates = duplicates(scopes);
    let mut holders: BTreeMap<u64, BTreeSet<AppRef>> = BTreeMap::new();
    for client in clients.unwrap_or_default() {
        for scope in &client.scopes {
            holders
                .entry(scope.id)
                .or_default()
                .insert(AppRef::OneLogin {
                    app_id: client.app_id,
                });
        }
    }
    // Of duplicates the oldest is shown, whatever the order of the list.
    let mut by_id: Vec<&Scope> = scopes.iter().collect();
    by_id.sort_by_key(|scope| std::cmp::Reverse(scope.id));
    let scopes = by_id
        .into_iter()
        .map(|scope| {
            let live = LiveScope {
                state: scope.state(),
                remote_id: Some(RemoteId::new(scope.id.to_string())),
                inherited: scope.inherited(),
                consumers: match &clients {
                    Some(_) => Consumers::Apps(holders.remove(&scope.id).unwrap_or_default()),
                    None => Consumers::Unknown,
                },
            };
            (live.state.name.clone(), live)
        })
        .collect();
    let apps = clients
        .unwrap_or_default()
        .iter()
        .map(|client| {
            let app = AppRef::OneLogin {
                app_id: client.app_id,
            };
            (app.clone(), LiveApp::Present(app_scopes(app, client)))
        })
        .collect();
    Live {
        identity,
        title,
        scopes,
        duplicates,
        apps,
    }
}

/// The names that a client inherits, and those of its own list.
pub(super) fn names(client: &Client) -> (BTreeSet<ScopeName>, BTreeSet<ScopeName>) {
    let names = |inherited: bool| {
        let scopes = client.scopes.iter();
        scopes
            .filter(|scope| scope.inherited() == inherited)
            .map(|scope| ScopeName::observed(&scope.value))
            .collect()
    };
    (names(true), names(false))
}

fn app_scopes(app: AppRef, client: &Client) -> LiveAppScopes {
    let (inherited, scopes) = names(client);
    LiveAppScopes {
        app,
        name: client.name.clone(),
        scopes,
        inherited,
        allowed: None,
        products: vec![],
        unusable: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(json: &str) -> Vec<Scope> {
        serde_json::from_str(json).expect("valid")
    }

    fn clients(json: &str) -> Vec<Client> {
        serde_json::from_str(json).expect("valid")
    }

    #[test]
    fn a_picture_tells_who_holds_what_and_what_is_inherited() {
        let list = scopes(
            r#"[{"id":2,"value":"b","description":null},{"id":1,"value":"a","description":"A","inherited":true}]"#,
        );
        let held = clients(
            r#"[{"app_id":7,"api_auth_id":3,"name":"Shop","scopes":[
                {"id":2,"value":"b","description":null},{"id":1,"value":"a","description":"A","inherited":true}]}]"#,
        );
        let live = live(LiveIdentity::new("i"), "t".to_owned(), &list, Some(&held));
        let app = AppRef::OneLogin { app_id: 7 };
        let (a, b) = (ScopeName::observed("a"), ScopeName::observed("b"));
        assert!(live.scopes[&a].inherited && !live.scopes[&b].inherited);
        assert_eq!(live.scopes[&a].state.description.as_deref(), Some("A"));
        assert_eq!(live.scopes[&b].state.description, None);
        assert_eq!(live.scopes[&b].remote_id, Some(RemoteId::new("2")));
        assert_eq!(
            live.scopes[&b].consumers,
            Consumers::Apps([app.clone()].into())
        );
        let LiveApp::Present(shop) = &live.apps[&app] else {
            panic!("it is there");
        };
        assert_eq!(shop.scopes, [b].into());
        assert_eq!(shop.inherited, [a].into());
    }

    #[test]
    fn a_name_that_is_live_twice_is_a_duplicate_in_any_order() {
        for json in [
            r#"[{"id":1,"value":"a"},{"id":9,"value":"a"},{"id":2,"value":"b"}]"#,
            r#"[{"id":9,"value":"a"},{"id":2,"value":"b"},{"id":1,"value":"a"}]"#,
        ] {
            let live = live(LiveIdentity::new("i"), String::new(), &scopes(json), None);
            assert_eq!(live.duplicates, [ScopeName::observed("a")].into());
            assert_eq!(live.scopes.len(), 2);
            let shown = &live.scopes[&ScopeName::observed("a")];
            assert_eq!(shown.remote_id, Some(RemoteId::new("1")));
            assert_eq!(shown.consumers, Consumers::Unknown);
        }
    }
}
