//! What is sent again is looked at again: somebody else's write between the two stays.
//!
//! The sandbox makes that write just before the look, so that a provider that does not look overwrites it.

use std::collections::BTreeSet;

use scopeward::model::target::{AuthorizationServer, Edition, Endpoint, Wso2Api};
use scopeward::model::{AppOwner, AppRef, ConsumerKey, RemoteId};
use scopeward::plan::change::Change;
use scopeward::provider::{Applied, Fate, Interest};
use serde_json::{Value, json};
use url::Url;

use crate::provider_http::{bodies, error, ok, stub};
use crate::providing::{self, Place, scopes, state};
use crate::support::approved::Make as _;

/// A change of one system, and what somebody else does to the same object.
struct Case {
    name: &'static str,
    kind: &'static str,
    system: Value,
    endpoint: fn(&Place) -> Endpoint,
    keys: &'static [(&'static str, &'static str)],
    /// What is read before the change is sent.
    interest: Interest,
    change: Change,
    /// Somebody else's write.
    theirs: Value,
    /// The lists that a look reads, of which theirs comes just before the first.
    looks: &'static [&'static str],
}

impl Case {
    /// How many lists one look reads.
    fn lists(&self) -> u64 {
        self.looks.len().try_into().unwrap()
    }
}

const PUBLISHER: &str = "/api/am/publisher/scopes";
const CLIENTS: &str = "/api/2/api_authorizations/{id}/clients";
const SCOPES: &str = "/api/2/api_authorizations/{id}/scopes";
const ANY: &[&str] = &["*"];

fn onelogin() -> Value {
    json!({
        "credentials": [{ "clientId": "sandbox", "clientSecret": "sandbox" }],
        "authorizationServers": [{
            "id": 31415, "name": "Orders API", "audiences": ["https://api/orders"],
            "scopes": [{ "id": 1, "value": "a", "description": "A" }, { "id": 2, "value": "b", "description": "B" },
                       { "id": 3, "value": "theirs", "description": "Theirs" }],
            "clients": [{ "appId": 7, "scopes": [1] }],
        }],
        "apps": [{ "id": 7, "name": "Shop" }],
    })
}

fn update(id: Option<&str>) -> Change {
    Change::UpdateScope {
        id: id.map(RemoteId::new),
        before: state("s", "d", &["a"]),
        after: state("s", "d", &["a", "b"]),
    }
}

fn scopes_alone() -> Interest {
    Interest {
        scopes: true,
        ..Interest::default()
    }
}

fn of_app(app: &AppRef) -> Interest {
    Interest {
        apps: vec![app.clone()],
        ..Interest::default()
    }
}

fn apigee(owner: AppOwner, key: &str) -> (AppRef, Change) {
    let app = AppRef::Apigee {
        owner,
        app: "shop".to_owned(),
        key: Some(ConsumerKey::new(key)),
    };
    let change = Change::ReplaceAppScopes {
        app: app.clone(),
        before: scopes(["READ"]),
        after: scopes(["READ", "WRITE"]),
        inherited: BTreeSet::new(),
    };
    (app, change)
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let shop = AppRef::OneLogin { app_id: 7 };
    let onelogin_at = |place: &Place| Endpoint::OneLogin {
        url: place.url(),
        server: AuthorizationServer::Id(31415),
    };
    let of_onelogin = |name, interest, change, theirs| Case {
        name,
        kind: "oneLogin",
        system: onelogin(),
        endpoint: onelogin_at,
        keys: &[("clientId", "sandbox"), ("clientSecret", "sandbox")],
        interest,
        change,
        theirs,
        looks: ANY,
    };
    let wso2 = json!({
        "users": [{ "username": "admin", "password": "admin", "roles": ["admin"] }],
        "scopes": [{ "name": "s", "description": "d", "bindings": ["a"] }],
        "sharedScopes": [{ "id": "u-1", "name": "s", "displayName": "s", "description": "d", "bindings": ["a"] }],
    });
    let of_wso2 = |name, endpoint, change, theirs| Case {
        name,
        kind: "wso2",
        system: wso2.clone(),
        endpoint,
        keys: &[("username", "admin"), ("password", "admin")],
        interest: scopes_alone(),
        change,
        theirs,
        looks: ANY,
    };
    let registration = |place: &Place| Endpoint::Wso2 {
        url: place.url(),
        api: Wso2Api::ScopeRegistration,
        version: "v1.0".to_owned(),
        tenant: None,
    };
    let shared = |place: &Place| Endpoint::Wso2 {
        url: place.url(),
        api: Wso2Api::Publisher,
        version: "v4".to_owned(),
        tenant: None,
    };
    let keys = json!([{ "name": "shop", "keys": [{ "consumerKey": "k3y", "products": ["orders"], "scopes": ["READ"] }] }]);
    let of_apigee = |name, (app, change): (AppRef, Change), owner: Value| {
        let mut theirs = json!({ "app": "shop", "scopes": ["READ", "THEIRS"] });
        theirs
            .as_object_mut()
            .unwrap()
            .extend(owner.as_object().unwrap().clone());
        Case {
            name,
            kind: "apigee",
            system: json!({
                "organization": "acme", "edition": "X", "credentials": [{ "token": "sandbox" }],
                "products": [{ "name": "orders", "scopes": ["READ", "WRITE", "THEIRS"] }],
                "developers": [{ "email": "ann@example.com", "apps": keys }],
                "appGroups": [{ "name": "bakers", "apps": [{ "name": "shop", "keys": [
                    { "consumerKey": "gr0up", "products": ["orders"], "scopes": ["READ"] }] }] }],
            }),
            endpoint: |place| Endpoint::Apigee {
                url: place.url(),
                organization: "acme".to_owned(),
                edition: Edition::X,
                auth: None,
            },
            keys: &[("token", "sandbox")],
            interest: of_app(&app),
            change,
            theirs: json!({ "setKeyScopes": theirs }),
            looks: ANY,
        }
    };
    vec![
        of_onelogin(
            "a OneLogin update",
            scopes_alone(),
            Change::UpdateScope {
                id: Some(RemoteId::new("1")),
                before: state("a", "A", &[]),
                after: state("a", "New", &[]),
            },
            json!({ "updateScope": { "id": 1, "description": "Theirs" } }),
        ),
        of_onelogin(
            "a OneLogin rename",
            scopes_alone(),
            Change::RenameScope {
                id: RemoteId::new("1"),
                before: state("a", "A", &[]),
                after: state("z", "A", &[]),
            },
            json!({ "renameScope": { "from": 1, "to": "theirs:now" } }),
        ),
        of_onelogin(
            "a OneLogin client",
            Interest {
                scopes: true,
                ..of_app(&shop)
            },
            Change::ReplaceAppScopes {
                app: shop.clone(),
                before: scopes(["a"]),
                after: scopes(["a", "b"]),
                inherited: BTreeSet::new(),
            },
            json!({ "setClientScopes": { "appId": 7, "scopes": [1, 3] } }),
        ),
        of_onelogin(
            "a OneLogin client that goes",
            of_app(&shop),
            Change::DetachApp {
                app: shop.clone(),
                before: scopes(["a"]),
            },
            json!({ "setClientScopes": { "appId": 7, "scopes": [1, 3] } }),
        ),
        // Somebody gives an app the scope.
        Case {
            looks: &[CLIENTS, SCOPES],
            ..of_onelogin(
                "a OneLogin scope that goes",
                Interest {
                    consumers: true,
                    ..scopes_alone()
                },
                Change::DeleteScope {
                    id: Some(RemoteId::new("2")),
                    before: state("b", "B", &[]),
                },
                json!({ "setClientScopes": { "appId": 7, "scopes": [1, 2] } }),
            )
        },
        of_wso2(
            "a registered scope",
            registration,
            update(None),
            json!({ "updateScope": { "name": "s", "bindings": ["a", "theirs"] } }),
        ),
        of_wso2(
            "a registered scope that goes",
            registration,
            Change::DeleteScope {
                id: None,
                before: state("s", "d", &["a"]),
            },
            json!({ "updateScope": { "name": "s", "bindings": ["a", "theirs"] } }),
        ),
        of_wso2(
            "a shared scope",
            shared,
            update(Some("u-1")),
            json!({ "updateSharedScope": { "name": "s", "bindings": ["a", "theirs"] } }),
        ),
        of_wso2(
            "a shared scope that goes",
            shared,
            Change::DeleteScope {
                id: Some(RemoteId::new("u-1")),
                before: state("s", "d", &["a"]),
            },
            json!({ "setUsage": { "name": "s", "usageCount": 1 } }),
        ),
        of_apigee(
            "a developer's key",
            apigee(AppOwner::Developer("ann@example.com".to_owned()), "k3y"),
            json!({ "developer": "ann@example.com" }),
        ),
        of_apigee(
            "an app group's key",
            apigee(AppOwner::AppGroup("bakers".to_owned()), "gr0up"),
            json!({ "appGroup": "bakers" }),
        ),
    ]
}

/// A first answer that has a write sent again, and whether it may have taken effect.
fn answers() -> [(Value, bool); 4] {
    let status = |code: u16, when: &str| json!({ "status": { "code": code, "body": "{}", "retryAfter": "0", "when": when } });
    [
        (status(429, "before"), false),
        (status(503, "before"), false),
        (status(503, "after"), true),
        (json!({ "reset": { "when": "after" } }), true),
    ]
}

/// Makes the change with a first answer that has it sent again: what became of it, and how often it was looked and written.
async fn made(case: &Case, first: &Value, theirs: Option<&Value>) -> (Applied, u64, u64) {
    let place = Place::with(case.kind, case.system.clone()).await;
    let provider = providing::open((case.endpoint)(&place), case.keys);
    provider.observe(&case.interest).await.unwrap();
    let mut rules = vec![json!({ "write": true, "times": 1, "fault": first })];
    if let Some(theirs) = theirs {
        let mut rule =
            json!({ "write": false, "times": 1, "fault": { "drift": { "change": theirs } } });
        if case.looks != ANY {
            rule["route"] = json!(case.looks[0]);
        }
        rules.push(rule);
    }
    place.fail(json!(rules)).await;
    place.counted().await;
    let before = provider.requests().writes;
    let applied = provider.make(&case.change).await;
    let applied = applied.unwrap_or_else(|error| panic!("{}: {error}: {}", case.name, error.cause));
    let counted = place.counted().await;
    let looks = counted.iter().filter_map(|line| line.split_once(" x GET "));
    let looks = looks.map(|(count, _)| count.parse::<u64>().unwrap()).sum();
    let writes = provider.requests().writes - before;
    (applied, looks, writes)
}

#[tokio::test]
async fn what_somebody_else_wrote_before_a_repetition_is_left_alone() {
    for case in cases() {
        for (first, effective) in answers() {
            if effective {
                continue;
            }
            let (applied, looks, writes) = made(&case, &first, Some(&case.theirs)).await;
            let name = case.name;
            assert_eq!(applied, Applied::Moved, "{name} {first}");
            // The one write was refused, so that theirs stands.
            assert_eq!((looks, writes), (case.lists(), 1), "{name} {first}");
        }
    }
}

#[tokio::test]
async fn a_repetition_takes_one_look_more_and_no_second_write_after_a_lost_success() {
    for case in cases() {
        for (first, effective) in answers() {
            let (applied, looks, writes) = made(&case, &first, None).await;
            let name = case.name;
            assert_eq!(applied, Applied::Done { remote_id: None }, "{name} {first}");
            let expected = if effective { 1 } else { 2 };
            assert_eq!((looks, writes), (case.lists(), expected), "{name} {first}");
        }
    }
}

#[tokio::test]
async fn what_somebody_else_built_on_a_lost_write_is_left_in_doubt() {
    let all = cases();
    let case = all
        .iter()
        .find(|case| case.name == "a developer's key")
        .unwrap();
    let place = Place::with(case.kind, case.system.clone()).await;
    let provider = providing::open((case.endpoint)(&place), case.keys);
    provider.observe(&case.interest).await.unwrap();
    let theirs = json!({ "setKeyScopes": { "developer": "ann@example.com", "app": "shop",
                                           "scopes": ["READ", "WRITE", "THEIRS"] } });
    place
        .fail(json!([
            { "write": true, "times": 1, "fault": { "reset": { "when": "after" } } },
            { "write": false, "times": 1, "fault": { "drift": { "change": theirs } } },
        ]))
        .await;
    let error = provider.make(&case.change).await.unwrap_err();
    assert_eq!(error.fate, Fate::Unknown);
    assert!(error.help.unwrap().contains("holds some of what was sent"));
    assert_eq!(provider.requests().writes, 1);
}

#[tokio::test]
async fn a_repetition_sends_back_what_the_key_has_beside_its_list_by_then() {
    let route = |method| {
        format!("{method} /v1/organizations/acme/developers/ann%40example.com/apps/shop/keys/k3y")
    };
    let key = |tier: &str| {
        ok(
            json!({ "consumerKey": "k3y", "status": "approved", "scopes": ["READ"],
                   "attributes": [{ "name": "tier", "value": tier }] }),
        )
    };
    let server = stub(vec![
        (&route("GET"), vec![key("silver"), key("gold")]),
        (&route("PUT"), vec![error(503, "busy"), key("gold")]),
    ])
    .await;
    let endpoint = Endpoint::Apigee {
        url: Url::parse(&server.uri()).unwrap(),
        organization: "acme".to_owned(),
        edition: Edition::Edge,
        auth: None,
    };
    let provider = providing::open(endpoint, &[("token", "t")]);
    let (app, change) = apigee(AppOwner::Developer("ann@example.com".to_owned()), "k3y");
    provider.observe(&of_app(&app)).await.unwrap();
    let applied = provider.make(&change).await;
    assert_eq!(applied, Ok(Applied::Done { remote_id: None }));
    let sent = |tier| json!({ "scopes": ["READ", "WRITE"], "attributes": [{ "name": "tier", "value": tier }] });
    assert_eq!(
        bodies(&server, &route("PUT")).await,
        [sent("silver"), sent("gold")]
    );
}

#[tokio::test]
async fn one_list_serves_all_that_is_sent_again_after_a_pause() {
    let names: Vec<String> = (0..8).map(|n| format!("s{n}")).collect();
    let shared = names.iter().enumerate().map(|(n, name)| {
        json!({ "id": format!("u-{n}"), "name": name, "displayName": name, "description": "d", "bindings": ["a"] })
    });
    let place = Place::with(
        "wso2",
        json!({
            "users": [{ "username": "admin", "password": "admin" }],
            "sharedScopes": shared.collect::<Vec<_>>(),
        }),
    )
    .await;
    let endpoint = Endpoint::Wso2 {
        url: place.url(),
        api: Wso2Api::Publisher,
        version: "v4".to_owned(),
        tenant: None,
    };
    let provider = providing::open(endpoint, &[("username", "admin"), ("password", "admin")]);
    provider.observe(&scopes_alone()).await.unwrap();
    // The four that are in flight are refused, and the four behind them are held up by the pause.
    let refused = json!({ "status": { "code": 429, "body": "{}", "retryAfter": "1" } });
    place
        .fail(json!([{ "write": true, "times": 4, "fault": refused }]))
        .await;
    place.counted().await;
    let changes = names.iter().map(|name| Change::UpdateScope {
        id: None,
        before: state(name, "d", &["a"]),
        after: state(name, "d", &["a", "b"]),
    });
    let changes: Vec<_> = changes.collect();
    let made = futures::future::join_all(changes.iter().map(|change| provider.make(change))).await;
    for applied in made {
        assert_eq!(applied, Ok(Applied::Done { remote_id: None }));
    }
    let counted = place.counted().await;
    let lists = format!("1 x GET {PUBLISHER} 200");
    assert!(counted.contains(&lists), "{counted:?}");
}
