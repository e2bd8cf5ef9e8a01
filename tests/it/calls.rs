//! The exact requests of a run: how many, and what they say.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::*;

const ONELOGIN_SCOPES: &str = "GET /api/2/api_authorizations/{id}/scopes 200";
const ONELOGIN_CLIENTS: &str = "GET /api/2/api_authorizations/{id}/clients 200";
const ONELOGIN_TOKEN: &str = "POST /auth/oauth2/v2/token 200";
const REGISTRATION: &str = "GET /api/auth/scope-registration/v1.0/scopes 200";
const PUBLISHER: &str = "GET /api/am/publisher/scopes 200";

/// Manifests for so many scopes `s-0001`, ...
fn many(target: &str, count: usize, more: &str) -> String {
    (1..=count)
        .map(|n| {
            scope(
                target,
                &format!("s-{n:05}"),
                &format!("description: D, {more}"),
            )
        })
        .collect()
}

/// So many scopes in the form of a world file.
fn live(count: usize, name: &str) -> String {
    let mut list = String::new();
    for n in 1..=count {
        write!(list, "{{ {name}: s-{n:05}, description: D }}, ").unwrap();
    }
    list
}

#[test]
fn onelogin_is_read_by_two_lists_and_a_token() {
    let case = Case::of([one_login(&format!("scopes: [{}]", live(500, "value")))]);
    case.write("scopes.yaml", many("onelogin", 500, ""));
    case.plan(&[]).exits(DONE);
    let each = [ONELOGIN_CLIENTS, ONELOGIN_SCOPES, ONELOGIN_TOKEN];
    assert_eq!(case.counted(), each.map(|line| format!("1 x {line}")));
}

#[test]
fn a_server_named_by_its_resource_identifier_costs_one_list_more() {
    let case = Case::of([one_login(&format!("scopes: [{}]", live(500, "value")))]);
    let target = case.read("targets/onelogin.yaml");
    let named = target.replace(
        "{ id: 31415 }",
        "{ resourceIdentifier: \"https://api.acme.com/orders\" }",
    );
    case.write("targets/onelogin.yaml", named);
    case.write("scopes.yaml", many("onelogin", 500, ""));
    case.plan(&[]).exits(DONE);
    let each = [
        "GET /api/2/api_authorizations 200",
        ONELOGIN_CLIENTS,
        ONELOGIN_SCOPES,
        ONELOGIN_TOKEN,
    ];
    assert_eq!(case.counted(), each.map(|line| format!("1 x {line}")));
}

#[test]
fn wso2_is_read_by_one_list_however_long() {
    for count in [500, 5_000, 10_000] {
        let case = Case::of([wso2(&format!("scopes: [{}]", live(count, "name")))]);
        case.write("a.yaml", many("wso2", 1, ""));
        let ran = case.plan(&[]).exits(DONE);
        assert_eq!(case.counted(), [format!("1 x {REGISTRATION}")]);
        assert_eq!(ran.target("wso2")["population"]["live"], count, "{ran}");
    }
}

#[test]
fn a_list_longer_than_the_first_limit_takes_a_second_request() {
    let case = Case::of([wso2(&format!("scopes: [{}]", live(10_001, "name")))]);
    case.write("a.yaml", many("wso2", 1, ""));
    let ran = case.plan(&[]).exits(DONE);
    assert_eq!(case.counted(), [format!("2 x {REGISTRATION}")]);
    assert_eq!(ran.target("wso2")["population"]["live"], 10_001);
    let queries: Vec<Value> = case
        .log()
        .iter()
        .map(|entry| entry["query"].clone())
        .collect();
    assert_eq!(queries, ["limit=10000&offset=0", "limit=11101&offset=0"]);
}

#[test]
fn publisher_is_read_by_one_list_and_a_token_where_it_has_a_client() {
    let scopes = format!("sharedScopes: [{}]", live(500, "name"));
    let case = Case::of([publisher(&scopes)]);
    case.write("scopes.yaml", many("publisher", 500, "displayName: D"));
    case.plan(&[]);
    assert_eq!(case.counted(), [format!("1 x {PUBLISHER}")]);

    let mut granted = publisher(&format!(
        "{scopes}, clients: [{{ clientId: c, clientSecret: s }}]"
    ));
    granted
        .credential
        .extend([("CLIENT_ID", "c"), ("CLIENT_SECRET", "s")]);
    let case = Case::of([granted]);
    case.write("scopes.yaml", many("publisher", 500, "displayName: D"));
    case.plan(&[]);
    assert_eq!(
        case.counted(),
        [
            format!("1 x {PUBLISHER}"),
            "1 x POST /oauth2/token 200".to_owned()
        ]
    );
}

/// An organization with `apps` apps of one key each on their own product, and manifests for the first `declared`.
fn shops(apps: usize, declared: usize, edition: &str) -> Case {
    let mut products = String::new();
    let mut world = String::new();
    let mut manifests = String::new();
    for n in 1..=apps {
        write!(products, "{{ name: p{n}, scopes: [READ, WRITE] }}, ").unwrap();
        write!(world, "{{ name: app{n:04}, keys: [{{ consumerKey: k{n}, products: [p{n}], scopes: [READ] }}] }}, ").unwrap();
        if n <= declared {
            let app = format!(
                "{{ apigee: {{ developer: ann@example.com, app: app{n:04}, consumerKey: k{n} }} }}"
            );
            let spec = format!("targetRef: {{ name: apigee }}, app: {app}, scopes: [READ]");
            manifests.push_str(&manifest::document(
                "AppScopeSet",
                &format!("app{n}"),
                &spec,
            ));
        }
    }
    let place = apigee(&format!(
        "products: [{products}], developers: [{{ email: ann@example.com, apps: [{world}] }}]"
    ));
    let place = Place {
        world: place
            .world
            .replace("edition: X", &format!("edition: {edition}")),
        endpoint: place
            .endpoint
            .replace("edition: X", &format!("edition: {edition}")),
        ..place
    };
    let case = Case::of([place]);
    case.write("apps.yaml", manifests);
    case
}

#[test]
fn apigee_is_asked_for_one_app_and_lists_many() {
    const APP: &str = "GET /v1/organizations/{organization}/developers/{developer}/apps/{app} 200";
    const APPS: &str = "GET /v1/organizations/{organization}/apps 200";
    // The listed apps name their developers by id alone: one page tells whose they are.
    const DEVELOPERS: &str = "GET /v1/organizations/{organization}/developers 200";
    const PRODUCT: &str = "GET /v1/organizations/{organization}/apiproducts/{product} 200";
    const PRODUCTS: &str = "GET /v1/organizations/{organization}/apiproducts 200";
    for (apps, declared, expected) in [
        (1, 1, vec![format!("1 x {PRODUCT}"), format!("1 x {APP}")]),
        (5, 1, vec![format!("1 x {PRODUCT}"), format!("1 x {APP}")]),
        (
            5,
            5,
            vec![
                format!("1 x {PRODUCTS}"),
                format!("1 x {APPS}"),
                format!("1 x {DEVELOPERS}"),
            ],
        ),
        // Two pages of apps and of products are fewer than the fifteen hundred of each.
        (
            1_500,
            1_500,
            vec![
                format!("1 x {DEVELOPERS}"),
                format!("2 x {PRODUCTS}"),
                format!("2 x {APPS}"),
            ],
        ),
    ] {
        let case = shops(apps, declared, "X");
        let ran = case.plan(&[]).exits(DONE);
        assert_eq!(case.counted(), expected, "{declared} of {apps}\n{ran}");
        assert_eq!(ran.target("apigee")["unchanged"], declared, "{ran}");
    }
}

#[test]
fn products_that_many_keys_share_are_read_once() {
    let keys: String = (1..=4)
        .map(|n| format!("{{ name: app{n}, keys: [{{ consumerKey: k{n}, products: [p, q], scopes: [A] }}] }}, "))
        .collect();
    let case = Case::of([apigee(&format!(
        "products: [{{ name: p, scopes: [A] }}, {{ name: q, scopes: [B] }}], developers: [{{ email: ann@example.com, apps: [{keys}] }}]"
    ))]);
    let app = |n| {
        let app = format!(
            "{{ apigee: {{ developer: ann@example.com, app: app{n}, consumerKey: k{n} }} }}"
        );
        let spec = format!("targetRef: {{ name: apigee }}, app: {app}, scopes: [A, B]");
        manifest::document("AppScopeSet", &format!("app{n}"), &spec)
    };
    case.write("apps.yaml", (1..=4).map(app).collect::<String>());
    case.plan(&[]).exits(DONE);
    let products = case
        .counted()
        .into_iter()
        .filter(|line| line.contains("apiproducts"));
    assert_eq!(
        products.collect::<Vec<_>>(),
        ["1 x GET /v1/organizations/{organization}/apiproducts 200"]
    );
}

#[test]
fn a_sync_takes_its_reading_its_writes_and_one_more_reading() {
    let case = Case::of([
        one_login("scopes: [{ id: 1, value: old, description: Old }]"),
        wso2("scopes: [{ name: past, description: Old, bindings: [a] }]"),
    ]);
    case.write(
        "onelogin.yaml",
        scope("onelogin", "old", "description: Old"),
    );
    case.write(
        "wso2.yaml",
        scope("wso2", "past", "description: Old, bindings: [a]"),
    );
    case.sync(&["--new-inventory"]).exits(DONE);
    case.forget_requests();

    // Creations alone: nothing that they rest on has to be read again.
    case.write("more.yaml", many("onelogin", 30, ""));
    case.sync(&[]).exits(DONE);
    assert_eq!(
        case.counted(),
        [
            format!("1 x {REGISTRATION}"),
            format!("1 x {ONELOGIN_TOKEN}"),
            format!("2 x {ONELOGIN_CLIENTS}"),
            format!("2 x {ONELOGIN_SCOPES}"),
            "30 x POST /api/2/api_authorizations/{id}/scopes 200".to_owned(),
        ]
    );
    case.forget_requests();

    // Role lists are replaced as a whole: one list before the level.
    case.write(
        "wso2.yaml",
        scope("wso2", "past", "description: Old, bindings: [a, b]"),
    );
    case.sync(&[]).exits(DONE);
    assert_eq!(
        case.counted(),
        [
            format!("1 x {ONELOGIN_CLIENTS}"),
            format!("1 x {ONELOGIN_SCOPES}"),
            format!("1 x {ONELOGIN_TOKEN}"),
            "1 x PUT /api/auth/scope-registration/v1.0/scopes/{name} 200".to_owned(),
            format!("3 x {REGISTRATION}"),
        ]
    );
    case.forget_requests();

    // And the second run reads.
    case.sync(&[]).exits(DONE);
    assert_eq!((case.writes(), case.requests()), (0, 4));
}

#[test]
fn every_kind_of_change_on_onelogin_is_one_write() {
    let case = Case::of([one_login("")]);
    let first = ["a", "b", "c"].map(|name| scope("onelogin", name, "description: Old"));
    case.write("scopes.yaml", first.concat());
    let goes = "deletionPolicy: Delete";
    case.write("apps.yaml", app(1, "[a]", goes) + &app(2, "[b]", goes));
    case.first_sync();
    let then = [
        scope("onelogin", "a", "description: New"),
        scope("onelogin", "bb", "description: Old, previousNames: [b]"),
        scope("onelogin", "e", "description: Old"),
    ];
    case.write("scopes.yaml", then.concat());
    case.write("apps.yaml", app(2, "[a, bb]", goes) + &app(3, "[e]", goes));
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(ran.changes().len(), 7, "{ran}");
    let (scopes, clients) = (
        "/api/2/api_authorizations/{id}/scopes",
        "/api/2/api_authorizations/{id}/clients",
    );
    assert_eq!(
        case.counted(),
        [
            format!("1 x DELETE {clients}/{{app_id}} 204"),
            format!("1 x DELETE {scopes}/{{scope_id}} 204"),
            format!("1 x POST {clients} 201"),
            format!("1 x POST {scopes} 200"),
            format!("1 x {ONELOGIN_TOKEN}"),
            format!("1 x PUT {clients}/{{app_id}} 200"),
            format!("2 x PUT {scopes}/{{scope_id}} 200"),
            // Planned, before the level of lists, before the deletes, verified.
            format!("4 x {ONELOGIN_CLIENTS}"),
            // Planned, before the renames, before the updates, before the deletes, verified.
            format!("5 x {ONELOGIN_SCOPES}"),
        ],
        "{ran}"
    );
}

#[test]
fn every_kind_of_change_on_publisher_is_one_write() {
    let case = Case::of([publisher("")]);
    let one = |name: &str, description: &str| {
        scope(
            "publisher",
            name,
            &format!("displayName: D, description: {description}"),
        )
    };
    case.write(
        "scopes.yaml",
        one("a", "Old") + &one("b", "Old") + &one("c", "Old"),
    );
    case.first_sync();
    case.write(
        "scopes.yaml",
        one("a", "New") + &one("b", "Old") + &one("d", "Old"),
    );
    let ran = case.sync(&[]).exits(DONE);
    assert_eq!(
        case.counted(),
        [
            "1 x DELETE /api/am/publisher/scopes/{scopeId} 200".to_owned(),
            "1 x POST /api/am/publisher/scopes 201".to_owned(),
            "1 x PUT /api/am/publisher/scopes/{scopeId} 200".to_owned(),
            // Planned, before the updates, before the deletes, verified.
            format!("4 x {PUBLISHER}"),
        ],
        "{ran}"
    );
}

#[test]
fn a_keys_list_is_read_just_before_it_is_replaced() {
    let case = shops(6, 6, "X");
    case.sync(&["--new-inventory"]).exits(DONE);
    let manifests = case
        .read("apps.yaml")
        .replace("scopes: [READ]", "scopes: [READ, WRITE]");
    case.write("apps.yaml", manifests);
    case.forget_requests();
    case.sync(&[]).exits(DONE);
    assert_eq!(
        case.counted(),
        [
            "2 x GET /v1/organizations/{organization}/apiproducts 200",
            "2 x GET /v1/organizations/{organization}/apps 200",
            "2 x GET /v1/organizations/{organization}/developers 200",
            "6 x GET /v1/organizations/{organization}/developers/{developer}/apps/{app}/keys/{key} 200",
            "6 x PUT /v1/organizations/{organization}/developers/{developer}/apps/{app}/keys/{key} 200",
        ]
    );
}

/// What a sync is counted as, whose first two writes are refused with this status.
fn refused_twice(case: &Case, code: u16) -> Vec<String> {
    let refused = json!({ "status": { "code": code, "body": "{}", "retryAfter": "0" } });
    case.fail(json!([{ "write": true, "times": 2, "fault": refused }]));
    case.forget_requests();
    case.sync(&[]).exits(DONE);
    case.heal();
    case.counted()
}

/// The lines of a count, with those of a write that worked the third time.
fn third_time(reads: &[String], write: &str, code: u16, done: u16) -> Vec<String> {
    let tries = [format!("2 x {write} {code}"), format!("1 x {write} {done}")];
    let mut lines = [reads, &tries].concat();
    lines.sort();
    lines
}

#[test]
fn what_is_sent_again_to_onelogin_is_looked_at_each_time() {
    const SCOPE: &str = "/api/2/api_authorizations/{id}/scopes/{scope_id}";
    const CLIENT: &str = "/api/2/api_authorizations/{id}/clients/{app_id}";
    let a = |text| scope("onelogin", "a", &format!("description: {text}"));
    let b = scope("onelogin", "b", "description: B");
    let reads = |clients: u8, scopes: u8| {
        [
            format!("1 x {ONELOGIN_TOKEN}"),
            format!("{clients} x {ONELOGIN_CLIENTS}"),
            format!("{scopes} x {ONELOGIN_SCOPES}"),
        ]
    };
    for code in [429, 503] {
        let case = Case::of([one_login("")]);
        case.write("a.yaml", a("A"));
        case.write("b.yaml", &b);
        case.write("app.yaml", app(1, "[a]", ""));
        case.first_sync();

        // Planned, before the updates, twice again, verified.
        case.write("a.yaml", a("New"));
        let put = format!("PUT {SCOPE}");
        let expected = third_time(&reads(2, 5), &put, code, 200);
        assert_eq!(refused_twice(&case, code), expected, "an update, {code}");

        // Planned, before the level of lists, twice again, verified.
        case.write("app.yaml", app(1, "[a, b]", ""));
        let put = format!("PUT {CLIENT}");
        let expected = third_time(&reads(5, 2), &put, code, 200);
        assert_eq!(refused_twice(&case, code), expected, "a list, {code}");

        // Planned, before the deletes, twice again with who holds it, verified.
        case.write("app.yaml", app(1, "[a]", ""));
        case.sync(&[]).exits(DONE);
        case.remove("b.yaml");
        let delete = format!("DELETE {SCOPE}");
        let expected = third_time(&reads(5, 5), &delete, code, 204);
        assert_eq!(refused_twice(&case, code), expected, "a delete, {code}");
    }
}

#[test]
fn what_is_sent_again_to_wso2_is_looked_at_each_time() {
    const SCOPE: &str = "/api/auth/scope-registration/v1.0/scopes/{name}";
    const SHARED: &str = "/api/am/publisher/scopes/{scopeId}";
    let of_registration = |lists: u8| [format!("{lists} x {REGISTRATION}")];
    let of_publisher = |lists: u8| [format!("{lists} x {PUBLISHER}")];
    for code in [429, 503] {
        let case = Case::of([wso2("")]);
        let a = |roles| scope("wso2", "a", &format!("description: A, bindings: {roles}"));
        case.write("a.yaml", a("[x]"));
        case.write("b.yaml", scope("wso2", "b", "description: B"));
        case.first_sync();
        case.write("a.yaml", a("[x, z]"));
        let expected = third_time(&of_registration(5), &format!("PUT {SCOPE}"), code, 200);
        assert_eq!(refused_twice(&case, code), expected, "roles, {code}");
        // Nobody tells who uses it, so that nothing is looked at before the first try.
        case.remove("b.yaml");
        let expected = third_time(&of_registration(4), &format!("DELETE {SCOPE}"), code, 204);
        assert_eq!(refused_twice(&case, code), expected, "a delete, {code}");

        let case = Case::of([publisher("")]);
        let a = |text| {
            scope(
                "publisher",
                "a",
                &format!("displayName: D, description: {text}"),
            )
        };
        case.write("a.yaml", a("A"));
        case.write(
            "b.yaml",
            scope("publisher", "b", "displayName: D, description: B"),
        );
        case.first_sync();
        case.write("a.yaml", a("New"));
        let expected = third_time(&of_publisher(5), &format!("PUT {SHARED}"), code, 200);
        assert_eq!(refused_twice(&case, code), expected, "shared, {code}");
        case.remove("b.yaml");
        let expected = third_time(&of_publisher(5), &format!("DELETE {SHARED}"), code, 200);
        assert_eq!(
            refused_twice(&case, code),
            expected,
            "a shared delete, {code}"
        );
    }
}

#[test]
fn a_keys_list_that_is_sent_again_is_read_each_time() {
    const KEY: &str =
        "/v1/organizations/{organization}/developers/{developer}/apps/{app}/keys/{key}";
    const APP: &str = "GET /v1/organizations/{organization}/developers/{developer}/apps/{app} 200";
    const PRODUCT: &str = "GET /v1/organizations/{organization}/apiproducts/{product} 200";
    for code in [429, 503] {
        let case = shops(1, 1, "X");
        case.first_sync();
        let manifests = case.read("apps.yaml");
        case.write(
            "apps.yaml",
            manifests.replace("scopes: [READ]", "scopes: [READ, WRITE]"),
        );
        let reads = [
            format!("2 x {APP}"),
            format!("2 x {PRODUCT}"),
            format!("3 x GET {KEY} 200"),
        ];
        let expected = third_time(&reads, &format!("PUT {KEY}"), code, 200);
        assert_eq!(refused_twice(&case, code), expected, "{code}");
    }
}

#[test]
fn a_storm_of_refusals_loses_no_creation_and_makes_none_twice() {
    let case = Case::of([one_login("")]);
    case.write("scopes.yaml", many("onelogin", 100, ""));
    let refused = json!({ "status": { "code": 429, "body": "{}", "retryAfter": "0" } });
    case.fail(json!([{ "percent": 60, "fault": refused }]));
    let ran = case.sync(&["--new-inventory"]).exits(DONE);
    case.heal();
    let made = "100 x POST /api/2/api_authorizations/{id}/scopes 200".to_owned();
    assert!(case.counted().contains(&made), "{ran}");
    assert_eq!((case.scopes().len(), case.owned().len()), (100, 100));
}

#[test]
fn onelogins_calls_are_those_of_its_documents() {
    let case = Case::of([one_login(
        "scopes: [{ id: 7, value: old, description: Old }]",
    )]);
    case.write("old.yaml", scope("onelogin", "old", "description: Old"));
    case.first_sync();
    case.write(
        "old.yaml",
        scope("onelogin", "old", "description: Read everything"),
    );
    case.write(
        "new.yaml",
        scope("onelogin", "orders:write", "description: Place orders"),
    );
    let before = case.written().len();
    case.sync(&[]).exits(DONE);
    assert_eq!(
        case.written()[before..],
        [
            r#"POST /api/2/api_authorizations/31415/scopes {"value":"orders:write","description":"Place orders"}"#,
            r#"PUT /api/2/api_authorizations/31415/scopes/7 {"value":"old","description":"Read everything"}"#,
        ]
    );
    case.write("app.yaml", app(1, "[old, \"orders:write\"]", ""));
    let before = case.written().len();
    case.sync(&[]).exits(DONE);
    case.write("app.yaml", app(1, "[old]", ""));
    case.sync(&["-v"]).exits(DONE);
    assert_eq!(
        case.written()[before..],
        [
            format!(
                r#"POST /api/2/api_authorizations/31415/clients {{"app_id":1,"scopes":[7,{}]}}"#,
                case.scope("orders:write")["id"]
            ),
            r#"PUT /api/2/api_authorizations/31415/clients/1 {"scopes":[7]}"#.to_owned(),
        ]
    );
}

#[test]
fn wso2s_calls_are_those_of_its_documents() {
    let case = Case::of([wso2("")]);
    case.write(
        "a.yaml",
        scope(
            "wso2",
            "orders:read",
            "description: Read orders, bindings: [support, sales]",
        ),
    );
    case.first_sync();
    case.write(
        "a.yaml",
        scope(
            "wso2",
            "orders:read",
            "description: See orders, bindings: [support, sales]",
        ),
    );
    case.sync(&[]).exits(DONE);
    let root = "/api/auth/scope-registration/v1.0/scopes";
    assert_eq!(
        case.written(),
        [
            format!(
                r#"POST {root} {{"name":"orders:read","description":"Read orders","bindings":["sales","support"]}}"#
            ),
            format!(
                r#"PUT {root}/orders%3Aread {{"name":"orders:read","description":"See orders","bindings":["sales","support"]}}"#
            ),
        ]
    );
}

#[test]
fn apigees_calls_are_those_of_its_documents() {
    let case = shops(1, 1, "Edge");
    case.first_sync();
    case.write(
        "apps.yaml",
        case.read("apps.yaml").replace("[READ]", "[READ, WRITE]"),
    );
    case.sync(&[]).exits(DONE);
    assert_eq!(
        case.written(),
        [
            r#"PUT /v1/organizations/acme/developers/ann%40example.com/apps/app0001/keys/k1 {"scopes":["READ","WRITE"]}"#
        ]
    );
}

#[test]
fn an_interval_of_lists_that_lag_is_waited_for() {
    let case = Case::of([wso2("")]);
    case.write("a.yaml", scope("wso2", "a", "description: A"));
    case.fail(json!([{ "write": true, "times": 1, "fault": { "lag": { "reads": 2 } } }]));
    let ran = case.sync(&["--new-inventory"]).exits(DONE);
    assert_eq!(case.counted()[1], format!("4 x {REGISTRATION}"), "{ran}");
}
