//! OneLogin's provider against the sandbox.

use std::collections::BTreeSet;

use scopeward::model::target::{AuthorizationServer, Endpoint};
use scopeward::model::{AppRef, Consumers, LiveApp, RemoteId, ScopeName, ScopeState};
use scopeward::plan::change::Change;
use scopeward::provider::{Fate, Interest, Provider};
use serde_json::{Value, json};

use crate::providing::{self, Place, scope, scopes, state};
use crate::support::approved::{Make as _, id_of};

const SCOPES: &str = "/api/2/api_authorizations/{id}/scopes";
const CLIENTS: &str = "/api/2/api_authorizations/{id}/clients";
const SANDBOX: &[(&str, &str)] = &[("clientId", "sandbox"), ("clientSecret", "sandbox")];

/// An account with one server, two of whose scopes are held by the app 7; the app 8 is no client.
async fn account(more: Value) -> Place {
    let mut account = json!({
        "credentials": [{ "clientId": "sandbox", "clientSecret": "sandbox" }],
        "authorizationServers": [{
            "id": 31415, "name": "Orders API", "audiences": ["https://api/orders"],
            "scopes": [
                { "id": 1, "value": "orders:read", "description": "Read orders" },
                { "id": 2, "value": "orders:write" },
                { "id": 3, "value": "profile", "description": "Of the connector", "inherited": true },
            ],
            "clients": [{ "appId": 7, "scopes": [1, 3] }],
        }],
        "apps": [{ "id": 7, "name": "Shop" }, { "id": 8, "name": "Desk" }],
    });
    account
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Place::with("oneLogin", account).await
}

fn open(place: &Place) -> Box<dyn Provider> {
    providing::open(endpoint(place, AuthorizationServer::Id(31415)), SANDBOX)
}

fn endpoint(place: &Place, server: AuthorizationServer) -> Endpoint {
    Endpoint::OneLogin {
        url: place.url(),
        server,
    }
}

fn everything() -> Interest {
    Interest {
        scopes: true,
        consumers: true,
        ..Interest::default()
    }
}

fn app(app_id: u64) -> AppRef {
    AppRef::OneLogin { app_id }
}

fn create(name: &str) -> Change {
    Change::CreateScope {
        after: state(name, "As made", &[]),
    }
}

/// What the app holds: its own and what is inherited.
async fn held(
    provider: &dyn Provider,
    id: u64,
) -> Option<(BTreeSet<ScopeName>, BTreeSet<ScopeName>)> {
    let live = provider.observe(&everything()).await.unwrap();
    match live.apps.get(&app(id))? {
        LiveApp::Present(app) => Some((app.scopes.clone(), app.inherited.clone())),
        LiveApp::Absent { why } => panic!("{why}"),
    }
}

#[tokio::test]
async fn a_picture_of_500_scopes_takes_two_lists() {
    let many: Vec<Value> = (0..500)
        .map(|n| json!({ "value": format!("s{n}") }))
        .collect();
    let server =
        json!({ "id": 31415, "name": "Many", "audiences": ["https://many"], "scopes": many });
    let place = account(json!({ "authorizationServers": [server] })).await;
    let live = open(&place).observe(&everything()).await.unwrap();
    assert_eq!(live.scopes.len(), 500);
    assert_eq!(
        place.counted().await,
        [
            format!("1 x GET {CLIENTS} 200"),
            format!("1 x GET {SCOPES} 200"),
            "1 x POST /auth/oauth2/v2/token 200".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_picture_holds_scopes_clients_and_what_is_inherited() {
    let place = account(json!({})).await;
    let by_identifier = AuthorizationServer::ResourceIdentifier("https://api/orders".to_owned());
    let provider = providing::open(endpoint(&place, by_identifier), SANDBOX);
    let live = provider.observe(&everything()).await.unwrap();
    assert_eq!(live.title, "Orders API (31415)");
    assert!(live.identity.as_str().ends_with(" 31415"));
    let read = &live.scopes[&scope("orders:read")];
    assert_eq!(read.state.description.as_deref(), Some("Read orders"));
    assert_eq!(read.consumers, Consumers::Apps([app(7)].into()));
    assert_eq!(live.scopes[&scope("orders:write")].state.description, None);
    assert!(live.scopes[&scope("profile")].inherited);
    assert!(!live.apps.contains_key(&app(8)));
    assert_eq!(
        held(provider.as_ref(), 7).await.unwrap(),
        (scopes(["orders:read"]), scopes(["profile"]))
    );
}

#[tokio::test]
async fn every_kind_of_change_takes_effect() {
    let place = account(json!({})).await;
    let provider = open(&place);
    provider.observe(&everything()).await.unwrap();
    let made = provider.make(&create("orders:audit")).await.unwrap();
    let id = id_of(made).unwrap();
    let attach = Change::AttachApp {
        app: app(8),
        after: scopes(["orders:audit", "orders:read"]),
    };
    provider.make(&attach).await.unwrap();
    let renamed = state("orders:inspect", "As renamed", &[]);
    let rename = Change::RenameScope {
        id: id.clone(),
        before: state("orders:audit", "As made", &[]),
        after: renamed.clone(),
    };
    provider.make(&rename).await.unwrap();
    assert_eq!(
        held(provider.as_ref(), 8).await.unwrap().0,
        scopes(["orders:inspect", "orders:read"])
    );
    // Inherited entries go along with the list, or they would be taken away.
    let replace = Change::ReplaceAppScopes {
        app: app(7),
        before: scopes(["orders:read"]),
        after: scopes(["orders:inspect", "orders:write"]),
        inherited: scopes(["profile"]),
    };
    provider.make(&replace).await.unwrap();
    assert_eq!(
        held(provider.as_ref(), 7).await.unwrap(),
        (
            scopes(["orders:inspect", "orders:write"]),
            scopes(["profile"])
        )
    );
    let update = Change::UpdateScope {
        id: None,
        before: renamed.clone(),
        after: ScopeState {
            description: None,
            ..renamed.clone()
        },
    };
    provider.make(&update).await.unwrap();
    let live = provider.observe(&everything()).await.unwrap();
    let inspect = &live.scopes[&scope("orders:inspect")];
    assert_eq!(
        (&inspect.remote_id, &inspect.state.description),
        (&Some(id.clone()), &None)
    );
    let empty = Change::ReplaceAppScopes {
        app: app(8),
        before: scopes(["orders:inspect", "orders:read"]),
        after: BTreeSet::new(),
        inherited: BTreeSet::new(),
    };
    provider.make(&empty).await.unwrap();
    assert_eq!(held(provider.as_ref(), 8).await.unwrap().0, BTreeSet::new());
    let delete = Change::DeleteScope {
        id: Some(id),
        before: renamed,
    };
    let detach = Change::DetachApp {
        app: app(8),
        before: BTreeSet::new(),
    };
    for _ in 0..2 {
        // What is gone stays gone, and that is no error.
        provider.make(&delete).await.unwrap();
        provider.make(&detach).await.unwrap();
    }
    assert_eq!(held(provider.as_ref(), 8).await, None);
    let live = provider.observe(&everything()).await.unwrap();
    assert!(!live.scopes.contains_key(&scope("orders:inspect")));
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_found_and_not_made_twice() {
    for fault in [
        json!({ "status": { "code": 500, "when": "after" } }),
        json!({ "status": { "code": 502, "when": "after" } }),
        json!({ "reset": { "when": "after" } }),
        json!({ "truncate": { "bytes": 3 } }),
    ] {
        let place = account(json!({})).await;
        place
            .fail(
                json!([{ "method": "POST", "route": SCOPES, "times": 1, "fault": fault.clone() }]),
            )
            .await;
        let provider = open(&place);
        let made = provider.make(&create("new")).await.unwrap();
        let live = provider.observe(&everything()).await.unwrap();
        assert_eq!(live.scopes[&scope("new")].remote_id, id_of(made), "{fault}");
        assert_eq!(provider.requests().writes, 1, "{fault}");
    }
}

#[tokio::test]
async fn a_create_that_was_not_made_is_sent_again_unless_the_server_failed_on_it() {
    for (fault, writes) in [
        (json!({ "status": { "code": 503, "when": "before" } }), 2),
        (json!({ "reset": { "when": "before" } }), 2),
        (json!({ "status": { "code": 500, "when": "before" } }), 1),
    ] {
        let place = account(json!({})).await;
        place
            .fail(
                json!([{ "method": "POST", "route": SCOPES, "times": 1, "fault": fault.clone() }]),
            )
            .await;
        let provider = open(&place);
        let result = provider.make(&create("new")).await;
        assert_eq!(provider.requests().writes, writes, "{fault}");
        if writes == 1 {
            let error = result.unwrap_err();
            assert_eq!(error.fate, Fate::Unknown);
            assert!(
                error
                    .help
                    .unwrap()
                    .contains("user who made the API credential")
            );
        } else {
            result.unwrap();
        }
    }
}

#[tokio::test]
async fn a_list_that_lags_behind_does_not_make_a_scope_twice() {
    let place = account(json!({})).await;
    place
        .fail(json!([
            { "method": "POST", "route": SCOPES, "times": 1, "fault": { "lag": { "reads": 1 } } },
        ]))
        .await;
    let provider = open(&place);
    provider.make(&create("new")).await.unwrap();
    place
        .fail(json!([
            { "method": "POST", "route": SCOPES, "times": 1, "fault": { "status": { "code": 504, "when": "after" } } },
        ]))
        .await;
    // The next list does not show the first create yet; the second one is lost, looked for, and found.
    let made = provider.make(&create("newer")).await.unwrap();
    let live = provider.observe(&everything()).await.unwrap();
    assert_eq!(live.scopes[&scope("newer")].remote_id, id_of(made));
    assert_eq!(live.duplicates, BTreeSet::new());
    assert_eq!(provider.requests().writes, 3);
}

#[tokio::test]
async fn a_scope_of_that_name_that_differs_is_not_taken_for_ours() {
    let place = account(json!({})).await;
    let provider = open(&place);
    let error = provider.make(&create("orders:read")).await.unwrap_err();
    assert!(
        error
            .cause
            .to_string()
            .contains("Value has already been taken")
    );
    assert_eq!(error.fate, Fate::NotDone);
    assert!(error.help.unwrap().contains("its description is another"));
}

#[tokio::test]
async fn attaching_twice_is_settled_by_what_the_app_holds() {
    let place = account(json!({})).await;
    let provider = open(&place);
    provider.observe(&everything()).await.unwrap();
    let attach = |names: BTreeSet<ScopeName>| Change::AttachApp {
        app: app(7),
        after: names,
    };
    provider
        .make(&attach(scopes(["orders:read"])))
        .await
        .unwrap();
    let error = provider
        .make(&attach(scopes(["orders:write"])))
        .await
        .unwrap_err();
    assert_eq!(error.fate, Fate::NotDone);
}

#[tokio::test]
async fn an_app_that_a_short_list_hides_is_not_attached_over() {
    let place = account(json!({ "switches": { "clientListLimit": 0 } })).await;
    let provider = open(&place);
    let live = provider.observe(&everything()).await.unwrap();
    assert!(live.apps.is_empty(), "{:?}", live.apps);
    let before = place.state().await;
    let attach = Change::AttachApp {
        app: app(7),
        after: scopes(["orders:write"]),
    };
    let error = provider.make(&attach).await.unwrap_err();
    assert_eq!(error.fate, Fate::NotDone);
    assert!(error.cause.to_string().contains("already been taken"));
    let holds = |state: &Value| state["authorizationServers"][0]["clients"].clone();
    assert_eq!(holds(&place.state().await), holds(&before));
}

#[tokio::test]
async fn tokens_that_end_in_the_middle_of_a_run_are_renewed() {
    let place = account(json!({})).await;
    let provider = open(&place);
    provider.observe(&everything()).await.unwrap();
    place
        .fail(json!([{ "method": "POST", "route": SCOPES, "times": 1, "fault": { "expireTokens": {} } }]))
        .await;
    provider.make(&create("new")).await.unwrap();
    assert_eq!(provider.requests().tokens, 2);
}

#[tokio::test]
async fn a_page_of_the_edge_does_not_end_a_run() {
    let place = account(json!({})).await;
    let page = "<html><body><h1>429 Too Many Requests</h1>\nYou have sent too many requests in a given amount of time.\n</body></html>";
    place
        .fail(json!([{ "times": 5, "fault": { "status": { "code": 429, "body": page, "contentType": "text/html" } } }]))
        .await;
    let provider = open(&place);
    // The token, both lists, and the five that are refused, more than a request has tries.
    provider.observe(&everything()).await.unwrap();
    assert_eq!(provider.requests().total, 3 + 5);
}

#[tokio::test]
async fn an_unknown_server_and_a_wrong_secret_say_what_to_check() {
    let place = account(json!({})).await;
    let provider = providing::open(endpoint(&place, AuthorizationServer::Id(99)), SANDBOX);
    let error = provider.observe(&everything()).await.unwrap_err();
    assert!(error.is_not_found());
    assert!(error.help.unwrap().contains("authorizationServer"));
    let wrong = [("clientId", "sandbox"), ("clientSecret", "wrong-one")];
    let provider = providing::open(endpoint(&place, AuthorizationServer::Id(31415)), &wrong);
    let error = provider.observe(&everything()).await.unwrap_err();
    assert_eq!(
        error.cause.to_string(),
        "the server said: 401 Unauthorized, Authentication Failure"
    );
    assert!(error.help.unwrap().contains("credential \"it\" (a test)"));
}

#[tokio::test]
async fn writes_go_out_side_by_side_and_each_is_made_once() {
    let place = account(json!({})).await;
    let provider = open(&place);
    let creates: Vec<Change> = (0..40).map(|n| create(&format!("s{n}"))).collect();
    let done = futures::future::join_all(creates.iter().map(|change| provider.make(change))).await;
    let ids: BTreeSet<RemoteId> = done
        .into_iter()
        .map(|done| id_of(done.unwrap()).unwrap())
        .collect();
    assert_eq!(ids.len(), 40);
    // One token for all of them.
    assert_eq!(
        (provider.requests().writes, provider.requests().tokens),
        (40, 1)
    );
}
