//! The WSO2 providers against the sandbox.

use scopeward::model::target::{Endpoint, Wso2Api};
use scopeward::model::{Consumers, RemoteId, RoleName, ScopeState};
use scopeward::plan::change::Change;
use scopeward::provider::{Cause, Fate, Interest, ProviderError};
use serde_json::{Value, json};
use url::Url;

use crate::providing::{self, Place, scope, state};
use crate::support::approved::{Make as _, id_of};

const ADMIN: &[(&str, &str)] = &[("username", "admin"), ("password", "admin")];
const CLIENT: &[(&str, &str)] = &[
    ("username", "admin"),
    ("password", "admin"),
    ("clientId", "scopeward"),
    ("clientSecret", "s3cr3t"),
];
const REGISTRATION: &str = "/api/auth/scope-registration/v1.0/scopes";
/// The sandbox counts every spelling of the version as one route.
const PUBLISHER: &str = "/api/am/publisher/scopes";

fn endpoint(url: Url, api: Wso2Api) -> Endpoint {
    Endpoint::Wso2 {
        url,
        api,
        version: "v4".to_owned(),
        tenant: None,
    }
}

fn registration(place: &Place) -> Endpoint {
    endpoint(place.url(), Wso2Api::ScopeRegistration)
}

fn publisher(place: &Place) -> Endpoint {
    endpoint(place.url(), Wso2Api::Publisher)
}

async fn place(mut system: Value) -> Place {
    let defaults = json!({
        "users": [
            { "username": "admin", "password": "admin" },
            { "username": "viewer", "password": "viewer", "roles": ["Internal/publisher"] },
        ],
        "clients": [{ "clientId": "scopeward", "clientSecret": "s3cr3t" }],
    });
    for (key, value) in defaults.as_object().unwrap() {
        system[key] = value.clone();
    }
    Place::with("wso2", system).await
}

fn many(count: usize) -> Value {
    (0..count)
        .map(|n| json!({ "name": format!("scope:{n:05}"), "description": "d", "bindings": ["a"] }))
        .collect()
}

fn everything() -> Interest {
    Interest {
        scopes: true,
        consumers: true,
        ..Interest::default()
    }
}

fn create(after: ScopeState) -> Change {
    Change::CreateScope { after }
}

fn update(id: Option<RemoteId>, before: ScopeState, after: ScopeState) -> Change {
    Change::UpdateScope { id, before, after }
}

fn delete(id: Option<RemoteId>, before: ScopeState) -> Change {
    Change::DeleteScope { id, before }
}

fn said(error: &ProviderError) -> String {
    format!("{error}: {}", error.cause)
}

#[tokio::test]
async fn five_hundred_scopes_are_one_request() {
    let place = place(json!({ "scopes": many(500), "sharedScopes": many(500) })).await;
    let all = providing::open_to_look(registration(&place), ADMIN)
        .observe(&everything())
        .await
        .unwrap();
    assert_eq!(all.scopes.len(), 500);
    assert_eq!(
        place.counted().await,
        [format!("1 x GET {REGISTRATION} 200")]
    );

    let all = providing::open_to_look(publisher(&place), ADMIN)
        .observe(&everything())
        .await
        .unwrap();
    assert_eq!(all.scopes.len(), 500);
    assert_eq!(place.counted().await, [format!("1 x GET {PUBLISHER} 200")]);

    let provider = providing::open_to_look(publisher(&place), CLIENT);
    assert_eq!(
        provider.observe(&everything()).await.unwrap().scopes.len(),
        500
    );
    assert_eq!(
        place.counted().await,
        [
            format!("1 x GET {PUBLISHER} 200"),
            "1 x POST /oauth2/token 200".to_owned()
        ]
    );
    let requests = provider.requests();
    assert_eq!(
        (requests.total, requests.writes, requests.tokens),
        (2, 0, 1)
    );
}

#[tokio::test]
async fn more_scopes_than_the_first_request_asks_for_are_two_requests() {
    let place = place(json!({ "scopes": many(10_001), "sharedScopes": many(10_001) })).await;
    for (api, route) in [
        (registration(&place), REGISTRATION),
        (publisher(&place), PUBLISHER),
    ] {
        let all = providing::open_to_look(api, ADMIN)
            .observe(&everything())
            .await
            .unwrap();
        assert_eq!(all.scopes.len(), 10_001);
        assert_eq!(place.counted().await, [format!("2 x GET {route} 200")]);
    }
}

#[tokio::test]
async fn a_list_that_stays_short_is_no_picture() {
    let place = place(json!({ "scopes": many(3) })).await;
    let short = json!({
        "count": 1,
        "list": [{ "name": "scope:00000", "description": "d", "bindings": [] }],
        "pagination": { "total": 3, "offset": 0, "limit": 10_000 },
    });
    place
        .fail(json!([{ "method": "GET", "fault": { "status": {
            "code": 200, "body": short.to_string(), "contentType": "application/json" } } }]))
        .await;
    let provider = providing::open_to_look(registration(&place), ADMIN);
    let error = provider.observe(&everything()).await.unwrap_err();
    assert_eq!(error.reason(), "observe_incomplete");
    assert_eq!(
        said(&error),
        "could not read the scopes: the list is incomplete: the server says that there are 3 scopes and gave 1"
    );
    assert_eq!(provider.requests().total, 2);
}

#[tokio::test]
async fn a_page_of_html_is_no_picture() {
    let place = place(json!({ "scopes": many(3) })).await;
    place
        .fail(json!([{ "method": "GET", "fault": { "status": {
            "code": 200, "body": "<html><title>Sign in</title></html>", "contentType": "text/html" } } }]))
        .await;
    for api in [registration(&place), publisher(&place)] {
        let error = providing::open_to_look(api, ADMIN)
            .observe(&everything())
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "unexpected_answer", "{}", said(&error));
    }
}

#[tokio::test]
async fn odd_names_address_the_scope_that_they_name() {
    let names = [
        "a:b",
        "a%2Fb",
        "urn:x?y#z",
        "50%25",
        "a+b",
        "a;b",
        "a&b=c",
        "~a.b_c-d",
        "..a",
        "%2e%2e",
    ];
    let place =
        place(json!({ "scopes": [{ "name": "a", "description": "d", "bindings": ["x"] }] })).await;
    let provider = providing::open(registration(&place), ADMIN);
    for name in names {
        provider
            .make(&create(state(name, "made", &["r"])))
            .await
            .unwrap();
    }
    let live = provider.observe(&everything()).await.unwrap();
    assert_eq!(live.scopes.len(), names.len() + 1);
    for name in names {
        let made = &live.scopes[&scope(name)];
        assert_eq!(made.state.description.as_deref(), Some("made"), "{name}");
        let changed = update(
            None,
            state(name, "made", &["r"]),
            state(name, "changed", &["s", "r"]),
        );
        provider.make(&changed).await.unwrap();
        let live = provider.observe(&everything()).await.unwrap();
        assert_eq!(live.scopes.len(), names.len() + 1, "{name}");
        assert_eq!(
            live.scopes[&scope(name)].state.description.as_deref(),
            Some("changed"),
            "{name}"
        );
        assert_eq!(
            live.scopes[&scope(name)].state.roles,
            ["s", "r"].map(RoleName::new),
            "{name}"
        );
    }
    for (gone, name) in names.iter().enumerate() {
        provider
            .make(&delete(None, state(name, "changed", &[])))
            .await
            .unwrap();
        let live = provider.observe(&everything()).await.unwrap();
        assert!(!live.scopes.contains_key(&scope(name)), "{name}");
        assert_eq!(live.scopes.len(), names.len() - gone);
    }
    let left = provider.observe(&everything()).await.unwrap();
    assert_eq!(
        left.scopes[&scope("a")].state.description.as_deref(),
        Some("d")
    );
}

#[tokio::test]
async fn what_no_path_or_create_could_hold_is_never_sent() {
    let place = place(json!({})).await;
    let provider = providing::open(registration(&place), ADMIN);
    let named = |name: &str| state(name, "d", &[]);
    let mut refused = vec![
        create(named("a[b")),
        create(named("a%b")),
        create(ScopeState {
            description: None,
            ..named("s")
        }),
        create(state("s", " ", &[])),
        update(
            None,
            named("s"),
            ScopeState {
                description: None,
                ..named("s")
            },
        ),
        update(None, named("a"), named("b")),
        create(state("s", "d", &["r", "r"])),
        Change::RenameScope {
            id: RemoteId::new("1"),
            before: named("a"),
            after: named("b"),
        },
    ];
    for name in ["a/b", "/", "swagger.yaml", "x-swagger.yaml"] {
        refused.extend([
            create(named(name)),
            update(None, named(name), named(name)),
            delete(None, named(name)),
        ]);
    }
    for name in ["", ".", ".."] {
        refused.extend([
            update(None, named(name), named(name)),
            delete(None, named(name)),
        ]);
    }
    for change in refused {
        let error = provider
            .make(&change)
            .await
            .expect_err(&format!("{change:?}"));
        assert_eq!(error.reason(), "configuration", "{change:?}");
        assert_eq!(error.fate, Fate::NotDone, "{change:?}");
    }
    assert_eq!(provider.requests().total, 0);
}

#[tokio::test]
async fn a_500_on_create_that_took_effect_is_a_create() {
    let place = place(json!({})).await;
    place
        .fail(
            json!([{ "method": "POST", "fault": { "status": { "code": 500, "when": "after" } } }]),
        )
        .await;
    for (api, route) in [
        (registration(&place), REGISTRATION),
        (publisher(&place), PUBLISHER),
    ] {
        let provider = providing::open(api, ADMIN);
        let done = provider
            .make(&create(state("s", "d", &["a", "b"])))
            .await
            .unwrap();
        assert_eq!(id_of(done).is_some(), route == PUBLISHER);
        assert_eq!(
            place.counted().await,
            [
                format!("1 x GET {route} 200"),
                format!("1 x POST {route} 500")
            ]
        );
    }
}

#[tokio::test]
async fn a_500_on_create_that_made_nothing_is_not_sent_again() {
    let place = place(json!({})).await;
    place
        .fail(json!([{ "method": "POST", "fault": { "status": { "code": 500, "body": "boom" } } }]))
        .await;
    let provider = providing::open(registration(&place), ADMIN);
    let error = provider
        .make(&create(state("s", "d", &[])))
        .await
        .unwrap_err();
    // A list that lags would show the same.
    assert_eq!(error.fate, Fate::Unknown);
    assert!(
        said(&error).ends_with("the server said: 500 Internal Server Error, boom"),
        "{}",
        said(&error)
    );
    assert_eq!(
        place.counted().await,
        [
            format!("1 x GET {REGISTRATION} 200"),
            format!("1 x POST {REGISTRATION} 500")
        ]
    );
}

#[tokio::test]
async fn a_create_that_finds_another_scope_of_its_name_fails_and_leaves_it_alone() {
    let place = place(json!({
        "scopes": [{ "name": "s", "description": "theirs", "bindings": ["x"] }],
        "sharedScopes": [{ "name": "s", "description": "theirs", "bindings": ["x"] }],
    }))
    .await;
    let before = place.state().await;
    for api in [registration(&place), publisher(&place)] {
        let provider = providing::open(api, ADMIN);
        let error = provider
            .make(&create(state("s", "ours", &["x"])))
            .await
            .unwrap_err();
        assert_eq!(error.fate, Fate::NotDone);
        let help = error.help.clone().unwrap();
        assert!(help.contains("its description is another one"), "{help}");
    }
    let after = place.state().await;
    assert_eq!(
        (&after["scopes"], &after["sharedScopes"]),
        (&before["scopes"], &before["sharedScopes"])
    );
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_looked_up_before_it_is_sent_again() {
    let place = place(json!({})).await;
    place
        .fail(json!([{ "method": "POST", "times": 1, "fault": { "reset": { "when": "before" } } }]))
        .await;
    let provider = providing::open(registration(&place), ADMIN);
    provider.make(&create(state("s", "d", &[]))).await.unwrap();
    let order: Vec<_> = place
        .log()
        .await
        .iter()
        .map(|entry| entry["method"].clone())
        .collect();
    assert_eq!(order, ["POST", "GET", "POST"]);
}

#[tokio::test]
async fn a_publisher_create_in_doubt_is_looked_for_and_never_sent_again() {
    for fault in [
        json!({ "status": { "code": 504 } }),
        json!({ "status": { "code": 503 } }),
        json!({ "reset": { "when": "before" } }),
    ] {
        let place = place(json!({})).await;
        place
            .fail(json!([{ "method": "POST", "times": 1, "fault": fault }]))
            .await;
        let provider = providing::open(publisher(&place), ADMIN);
        let error = provider
            .make(&create(state("s", "d", &[])))
            .await
            .unwrap_err();
        assert_eq!(error.fate, Fate::Unknown, "{fault}");
        assert!(error.help.unwrap().contains("it is not sent again"));
        let methods: Vec<_> = place
            .log()
            .await
            .iter()
            .map(|entry| entry["method"].clone())
            .collect();
        assert_eq!(methods, ["POST", "GET"], "{fault}");
    }
    // What was surely not processed is sent again as ever.
    let place = place(json!({})).await;
    place
        .fail(json!([{ "method": "POST", "times": 1, "fault": { "status": { "code": 429 } } }]))
        .await;
    let provider = providing::open(publisher(&place), ADMIN);
    provider.make(&create(state("s", "d", &[]))).await.unwrap();
}

#[tokio::test]
async fn a_zombie_is_listed_and_can_be_repaired_and_deleted() {
    let place = place(json!({ "scopes": [
        { "name": "dead", "bindings": ["x"] },
        { "name": "empty", "description": "", "bindings": [] },
        { "name": "blank", "description": "  ", "bindings": [] },
    ] }))
    .await;
    let provider = providing::open(registration(&place), ADMIN);
    let live = provider.observe(&everything()).await.unwrap();
    assert_eq!(live.scopes.len(), 3);
    assert_eq!(live.scopes[&scope("dead")].state.description, None);
    assert_eq!(live.scopes[&scope("empty")].state.description, None);
    let dead = ScopeState {
        description: None,
        ..state("dead", "", &["x"])
    };
    provider
        .make(&update(None, dead, state("dead", "alive", &["x"])))
        .await
        .unwrap();
    provider
        .make(&delete(None, state("blank", "  ", &[])))
        .await
        .unwrap();
    let live = provider.observe(&everything()).await.unwrap();
    assert_eq!(live.scopes.len(), 2);
    assert_eq!(
        live.scopes[&scope("dead")].state.description.as_deref(),
        Some("alive")
    );
}

#[tokio::test]
async fn a_scope_that_is_gone_is_deleted() {
    let place = place(json!({ "sharedScopes": [{ "name": "s", "description": "d" }] })).await;
    let provider = providing::open(registration(&place), ADMIN);
    provider
        .make(&delete(None, state("s", "d", &[])))
        .await
        .unwrap();
    let provider = providing::open(publisher(&place), ADMIN);
    let gone = Some(RemoteId::new("8f0c7f4e-0000-4000-8000-000000000000"));
    provider
        .make(&delete(gone, state("s", "d", &[])))
        .await
        .unwrap();
    assert_eq!(
        provider.observe(&everything()).await.unwrap().scopes.len(),
        1
    );
}

#[tokio::test]
async fn publisher_scopes_are_made_changed_and_deleted_by_id() {
    let place = place(json!({})).await;
    let provider = providing::open(publisher(&place), CLIENT);
    let wanted = ScopeState {
        display_name: Some("Read".to_owned()),
        ..state("a:b", "d", &["x", "y"])
    };
    let remote_id = id_of(provider.make(&create(wanted.clone())).await.unwrap());
    let live = provider.observe(&everything()).await.unwrap();
    let made = &live.scopes[&scope("a:b")];
    assert_eq!(made.remote_id, remote_id);
    assert_eq!(made.state.display_name.as_deref(), Some("Read"));
    assert_eq!(made.state.roles, ["x", "y"].map(RoleName::new));
    assert_eq!(made.consumers, Consumers::Usages(0));
    assert_eq!(live.title, "Publisher v4");

    // The id is the list's where the change carries none.
    let changed = ScopeState {
        description: None,
        ..wanted.clone()
    };
    provider
        .make(&update(None, wanted.clone(), changed))
        .await
        .unwrap();
    let live = provider.observe(&everything()).await.unwrap();
    assert_eq!(live.scopes[&scope("a:b")].state.description, None);
    assert_eq!(
        live.scopes[&scope("a:b")].state.display_name.as_deref(),
        Some("Read")
    );

    provider.make(&delete(remote_id, wanted)).await.unwrap();
    assert_eq!(
        provider.observe(&everything()).await.unwrap().scopes.len(),
        0
    );
    assert_eq!(provider.requests().tokens, 1);
}

#[tokio::test]
async fn a_publisher_update_without_a_display_name_shows_the_name() {
    let place =
        place(json!({ "sharedScopes": [{ "name": "s", "displayName": "S", "description": "d" }] }))
            .await;
    let provider = providing::open(publisher(&place), ADMIN);
    provider.observe(&everything()).await.unwrap();
    provider
        .make(&update(None, state("s", "d", &[]), state("s", "e", &[])))
        .await
        .unwrap();
    let live = provider.observe(&everything()).await.unwrap();
    assert_eq!(
        live.scopes[&scope("s")].state.display_name.as_deref(),
        Some("s")
    );
    let unknown = provider
        .make(&update(
            None,
            state("other", "d", &[]),
            state("other", "e", &[]),
        ))
        .await
        .unwrap_err();
    assert_eq!(unknown.reason(), "configuration");
}

#[tokio::test]
async fn a_role_with_a_comma_is_never_sent_to_publisher() {
    let place = place(json!({})).await;
    let provider = providing::open(publisher(&place), ADMIN);
    let error = provider
        .make(&create(state("s", "d", &["a,b"])))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "configuration");
    assert_eq!(provider.requests().total, 0);
}

#[tokio::test]
async fn a_token_without_the_right_to_write_says_so_before_it_is_tried() {
    let place = place(json!({ "sharedScopes": [{ "name": "s", "description": "d" }] })).await;
    let keys = [
        ("username", "viewer"),
        ("password", "viewer"),
        CLIENT[2],
        CLIENT[3],
    ];
    let provider = providing::open(publisher(&place), &keys);
    assert_eq!(
        provider.observe(&everything()).await.unwrap().scopes.len(),
        1
    );
    place.counted().await;
    let error = provider
        .make(&create(state("t", "d", &[])))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "credential");
    assert_eq!(
        said(&error),
        "could not create scope `t`: the token was granted `apim:api_view`, without `apim:shared_scope_manage`"
    );
    assert!(error.help.unwrap().contains("role"));
    assert!(place.counted().await.is_empty());

    // Signed in with every request, only the server can tell.
    let provider = providing::open(publisher(&place), &keys[..2]);
    let error = provider
        .make(&create(state("t", "d", &[])))
        .await
        .unwrap_err();
    assert!(matches!(error.cause, Cause::Unauthorized { .. }));
    assert!(error.help.unwrap().contains("`apim:shared_scope_manage`"));
}

#[tokio::test]
async fn a_wrong_password_is_named_and_not_shown() {
    let place = place(json!({})).await;
    for (api, keys) in [
        (
            registration(&place),
            &[("username", "admin"), ("password", "wr0ng-0ne")][..],
        ),
        (
            publisher(&place),
            &[
                ("username", "admin"),
                ("password", "wr0ng-0ne"),
                CLIENT[2],
                CLIENT[3],
            ][..],
        ),
    ] {
        let error = providing::open_to_look(api, keys)
            .observe(&everything())
            .await
            .unwrap_err();
        let text = format!("{} {error:?}", said(&error));
        assert!(!text.contains("wr0ng-0ne"), "{text}");
    }
}

#[tokio::test]
async fn a_password_that_oauth_refuses_is_not_tried_again_by_every_change() {
    let place = place(json!({})).await;
    let mut keys = CLIENT.to_vec();
    keys[1] = ("password", "wr0ng-0ne");
    let provider = providing::open(publisher(&place), &keys);
    for name in ["a", "b", "c"] {
        let change = create(state(name, "d", &[]));
        let error = provider.make(&change).await.unwrap_err();
        assert!(said(&error).contains("400"), "{}", said(&error));
        assert_eq!(error.fate, Fate::NotDone);
    }
    assert_eq!(
        place.counted().await,
        ["1 x POST /oauth2/token 400".to_owned()]
    );
}

#[tokio::test]
async fn a_scope_in_use_stays_with_the_servers_own_words() {
    let place = place(json!({ "sharedScopes": [
        { "id": "6f2c5b8e-3d43-4b0e-9d7f-2d6d3f5d1a11", "name": "s", "description": "d", "usedBy": ["Orders"] },
    ] }))
    .await;
    let provider = providing::open(publisher(&place), CLIENT);
    let live = provider.observe(&everything()).await.unwrap();
    let used = &live.scopes[&scope("s")];
    assert_eq!(used.consumers, Consumers::Usages(1));
    let error = provider
        .make(&delete(used.remote_id.clone(), state("s", "d", &[])))
        .await
        .unwrap_err();
    assert_eq!(error.fate, Fate::NotDone);
    assert!(said(&error).contains("(900985)"), "{}", said(&error));
    assert!(error.help.unwrap().contains("revision"));
    assert_eq!(
        provider.observe(&everything()).await.unwrap().scopes.len(),
        1
    );
}

#[tokio::test]
async fn a_name_that_a_key_manager_kept_is_reported_with_the_way_out() {
    let place = place(json!({ "keyManagerScopes": ["ghost"] })).await;
    let provider = providing::open(publisher(&place), CLIENT);
    let error = provider
        .make(&create(state("ghost", "d", &[])))
        .await
        .unwrap_err();
    assert_eq!(error.fate, Fate::NotDone);
    assert!(said(&error).contains("409"), "{}", said(&error));
    let help = error.help.unwrap();
    assert!(
        help.contains("/api/identity/oauth2/v1.0/scopes/name/ghost"),
        "{help}"
    );
    assert_eq!(
        place.counted().await,
        [
            format!("1 x GET {PUBLISHER} 200"),
            format!("1 x POST {PUBLISHER} 409"),
            "1 x POST /oauth2/token 200".to_owned(),
        ]
    );
}

#[tokio::test]
async fn names_that_are_there_twice_are_told() {
    let place = place(json!({ "sharedScopes": [
        { "name": "twice", "description": "1" }, { "name": "once", "description": "d" }, { "name": "twice", "description": "2" },
    ] }))
    .await;
    let live = providing::open_to_look(publisher(&place), ADMIN)
        .observe(&everything())
        .await
        .unwrap();
    assert_eq!(live.duplicates, [scope("twice")].into());
    assert_eq!(live.scopes.len(), 2);
}

#[tokio::test]
async fn a_tenant_is_who_signs_in() {
    let system = json!({ "sharedScopes": many(1) });
    let mut world = system.clone();
    world["users"] = json!([{ "username": "admin@acme.com", "password": "admin" }]);
    let place = Place::with("wso2", world).await;
    for username in ["admin", "admin@acme.com"] {
        let tenant = Endpoint::Wso2 {
            url: place.url(),
            api: Wso2Api::Publisher,
            version: "v4".to_owned(),
            tenant: Some("acme.com".to_owned()),
        };
        let keys = [("username", username), ("password", "admin")];
        let live = providing::open_to_look(tenant, &keys)
            .observe(&everything())
            .await
            .unwrap();
        assert_eq!(live.scopes.len(), 1);
        assert!(live.identity.as_str().contains("acme.com"));
    }
    let tenant = Endpoint::Wso2 {
        url: place.url(),
        api: Wso2Api::ScopeRegistration,
        version: "v4".to_owned(),
        tenant: Some("acme.com".to_owned()),
    };
    let Err(error) = providing::try_open(tenant, ADMIN) else {
        panic!("scope registration knows no tenants");
    };
    assert_eq!(error.reason(), "configuration");

    // A token signs in to its own tenant, whatever the target says.
    let tenant = Endpoint::Wso2 {
        url: place.url(),
        api: Wso2Api::Publisher,
        version: "v4".to_owned(),
        tenant: Some("acme.com".to_owned()),
    };
    let Err(error) = providing::try_open(tenant, &[("token", "t0ken"), CLIENT[0], CLIENT[1]])
    else {
        panic!("nothing makes a token one of this tenant");
    };
    assert_eq!(error.reason(), "configuration");
    assert!(providing::try_open(publisher(&place), &[("token", "t0ken")]).is_ok());
}

#[tokio::test]
async fn a_password_that_scope_registration_would_cut_is_refused() {
    let place = place(json!({})).await;
    let keys = [("username", "admin"), ("password", "s3cret:s3cret")];
    let Err(error) = providing::try_open(registration(&place), &keys) else {
        panic!("the server would read half of it");
    };
    assert_eq!(error.reason(), "credential");
    let text = format!("{} {error:?}", said(&error));
    assert!(text.contains("`:`") && !text.contains("s3cret"), "{text}");
    assert!(providing::try_open(publisher(&place), &keys).is_ok());
}

#[tokio::test]
async fn a_credential_without_what_it_takes_is_refused_before_anything_is_sent() {
    let place = place(json!({})).await;
    for (api, keys, lacks) in [
        (
            registration(&place),
            &[("username", "admin")][..],
            "`password`",
        ),
        (
            publisher(&place),
            &[("clientId", "c"), ("username", "u")][..],
            "`clientSecret` and `password`",
        ),
    ] {
        let Err(error) = providing::try_open(api, keys) else {
            panic!("opened with {keys:?}");
        };
        assert!(
            said(&error).ends_with(&format!("lacks {lacks}")),
            "{}",
            said(&error)
        );
    }
}

#[tokio::test]
async fn a_create_that_finds_two_scopes_of_its_name_fails() {
    let twin = json!({ "name": "s", "description": "d", "bindings": [] });
    let place = place(json!({ "sharedScopes": [twin, twin] })).await;
    let provider = providing::open(publisher(&place), ADMIN);
    let error = provider
        .make(&create(state("s", "d", &[])))
        .await
        .unwrap_err();
    assert_eq!(error.fate, Fate::NotDone);
    let help = error.help.unwrap();
    assert!(help.contains("there are two of that name"), "{help}");
}

#[tokio::test]
async fn a_version_that_the_server_does_not_have_is_named() {
    let place = place(json!({ "publisherVersion": "v4" })).await;
    let old = Endpoint::Wso2 {
        url: place.url(),
        api: Wso2Api::Publisher,
        version: "v1".to_owned(),
        tenant: None,
    };
    let error = providing::open_to_look(old, ADMIN)
        .observe(&everything())
        .await
        .unwrap_err();
    assert!(error.is_not_found());
    let help = error.help.unwrap();
    assert!(help.contains("the target says version `v1`"), "{help}");
}

#[tokio::test]
async fn a_look_that_asks_for_no_scopes_sends_nothing_and_forgets_no_id() {
    let place = place(json!({ "sharedScopes": [{ "name": "s", "description": "d" }] })).await;
    let provider = providing::open(publisher(&place), ADMIN);
    provider.observe(&everything()).await.unwrap();
    provider.observe(&Interest::default()).await.unwrap();
    assert_eq!(provider.requests().total, 1);
    let changed = update(None, state("s", "d", &[]), state("s", "e", &[]));
    provider.make(&changed).await.unwrap();
}
