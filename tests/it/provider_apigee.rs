//! The Apigee provider against the sandbox.

use std::collections::BTreeSet;

use scopeward::model::target::{ApigeeAuth, Edition, Endpoint};
use scopeward::model::{AppOwner, AppRef, ConsumerKey, Live, LiveApp, LiveAppScopes, ScopeName};
use scopeward::plan::change::Change;
use scopeward::provider::{Fate, Interest, Observe, Provider};
use serde_json::{Value, json};

use crate::providing::{self, Place, scopes};
use crate::support::approved::Make as _;

const TOKEN: &[(&str, &str)] = &[("token", "sandbox")];
const APPS: &str = "GET /v1/organizations/{organization}/apps";
const DEVELOPERS: &str = "GET /v1/organizations/{organization}/developers";
const APP: &str = "GET /v1/organizations/{organization}/developers/{developer}/apps/{app}";
const KEY: &str =
    "GET /v1/organizations/{organization}/developers/{developer}/apps/{app}/keys/{key}";
const PRODUCTS: &str = "GET /v1/organizations/{organization}/apiproducts";
const PRODUCT: &str = "GET /v1/organizations/{organization}/apiproducts/{product}";
/// Keys of a credential, the target's `auth`, and how many tokens a look then takes.
type SignIn<'a> = (&'a [(&'a str, &'a str)], Option<ApigeeAuth>, u64);

const EDITIONS: [Edition; 2] = [Edition::Edge, Edition::X];

fn endpoint(place: &Place, edition: Edition, auth: Option<ApigeeAuth>) -> Endpoint {
    Endpoint::Apigee {
        url: place.url(),
        organization: "acme".to_owned(),
        edition,
        auth,
    }
}

/// An organization of that edition.
async fn place(edition: Edition, mut system: Value) -> Place {
    system["organization"] = json!("acme");
    system["edition"] = json!(format!("{edition:?}"));
    if system["credentials"].is_null() {
        system["credentials"] = json!([{ "token": "sandbox" }]);
    }
    if system["products"].is_null() {
        system["products"] = json!([
            { "name": "orders", "scopes": ["READ", "WRITE"] },
            { "name": "old orders", "scopes": ["ADMIN", ""] },
            { "name": "open" },
        ]);
    }
    Place::with("apigee", system).await
}

fn key(name: &str, products: &[&str], scopes: &[&str]) -> Value {
    json!({ "consumerKey": name, "products": products, "scopes": scopes })
}

fn ann(apps: &Value) -> Value {
    json!({ "developers": [{ "email": "ann@example.com", "apps": apps }] })
}

/// Ann's shop with one key.
fn shop() -> Value {
    ann(&json!([{ "name": "shop", "keys": [key("k3y", &["orders"], &["READ"])] }]))
}

fn of(owner: AppOwner, app: &str, key: Option<&str>) -> AppRef {
    AppRef::Apigee {
        owner,
        app: app.to_owned(),
        key: key.map(ConsumerKey::new),
    }
}

fn anns(app: &str, key: Option<&str>) -> AppRef {
    of(AppOwner::Developer("ann@example.com".to_owned()), app, key)
}

fn interest<const N: usize>(apps: [AppRef; N]) -> Interest {
    Interest {
        apps: apps.into(),
        allowed: true,
        ..Interest::default()
    }
}

fn reread(app: AppRef) -> Interest {
    Interest {
        apps: vec![app],
        ..Interest::default()
    }
}

fn replace(app: AppRef, before: BTreeSet<ScopeName>, after: BTreeSet<ScopeName>) -> Change {
    Change::ReplaceAppScopes {
        app,
        before,
        after,
        inherited: BTreeSet::new(),
    }
}

fn present<'a>(live: &'a Live, app: &AppRef) -> &'a LiveAppScopes {
    match &live.apps[app] {
        LiveApp::Present(scopes) => scopes,
        LiveApp::Absent { why } => panic!("{app:?} is absent: {why}"),
    }
}

fn absent<'a>(live: &'a Live, app: &AppRef) -> &'a str {
    match &live.apps[app] {
        LiveApp::Absent { why } => why,
        LiveApp::Present(scopes) => panic!("{app:?} is there: {scopes:?}"),
    }
}

fn open(place: &Place, edition: Edition) -> Box<dyn Provider> {
    providing::open(endpoint(place, edition, None), TOKEN)
}

fn look(place: &Place, edition: Edition) -> Box<dyn Observe> {
    providing::open_to_look(endpoint(place, edition, None), TOKEN)
}

#[tokio::test]
async fn one_app_is_one_get_and_its_products_once_each() {
    for edition in EDITIONS {
        let place = place(edition, shop()).await;
        let app = anns("shop", None);
        let live = look(&place, edition)
            .observe(&interest([app.clone()]))
            .await
            .unwrap();
        let seen = present(&live, &app);
        assert_eq!(seen.app, anns("shop", Some("k3y")));
        assert_eq!(seen.scopes, scopes(["READ"]));
        assert_eq!(seen.allowed, Some(scopes(["READ", "WRITE"])));
        assert_eq!(seen.products, ["orders"]);
        assert_eq!(seen.unusable, None);
        assert_eq!(live.title, format!("acme ({edition:?})"));
        assert_eq!(
            place.counted().await,
            [format!("1 x {PRODUCT} 200"), format!("1 x {APP} 200")]
        );
    }
}

#[tokio::test]
async fn a_second_look_before_a_replace_is_a_get_of_the_key() {
    for edition in EDITIONS {
        let place = place(edition, shop()).await;
        let app = anns("shop", Some("k3y"));
        let live = look(&place, edition)
            .observe(&reread(app.clone()))
            .await
            .unwrap();
        assert_eq!(present(&live, &app).scopes, scopes(["READ"]));
        assert_eq!(place.counted().await, [format!("1 x {KEY} 200")]);

        let gone = anns("shop", Some("gone"));
        let live = look(&place, edition)
            .observe(&reread(gone.clone()))
            .await
            .unwrap();
        let why = absent(&live, &gone);
        assert!(why.contains("Invalid consumer key for Given App"), "{why}");
    }
}

#[tokio::test]
async fn the_products_of_a_key_are_united_and_blanks_dropped() {
    for edition in EDITIONS {
        let world = ann(&json!([
            { "name": "shop", "keys": [{ "consumerKey": "k", "products": [
                "orders", "open", { "name": "old orders", "status": "pending" } ] }] },
        ]));
        let place = place(edition, world).await;
        let app = anns("shop", Some("k"));
        let live = look(&place, edition)
            .observe(&interest([app.clone()]))
            .await
            .unwrap();
        let seen = present(&live, &app);
        assert_eq!(seen.scopes, scopes([]));
        assert_eq!(seen.allowed, Some(scopes(["READ", "WRITE", "ADMIN"])));
        assert_eq!(seen.effective(), scopes(["READ", "WRITE", "ADMIN"]));
        // Three products are one listing.
        assert_eq!(
            place.counted().await,
            [format!("1 x {PRODUCTS} 200"), format!("1 x {APP} 200")]
        );
    }
}

#[tokio::test]
async fn a_key_without_a_name_has_to_be_the_only_approved_one() {
    for edition in EDITIONS {
        let place = place(
            edition,
            ann(&json!([
                { "name": "none", "keys": [] },
                { "name": "revoked", "keys": [{ "consumerKey": "r3v0kedkey", "status": "revoked" }] },
                { "name": "two", "keys": [key("f1rstkey00", &[], &[]), key("s3condkey0", &[], &[])] },
                { "name": "one", "keys": [key("k1", &["orders"], &["READ"]), { "consumerKey": "k2", "status": "revoked" }] },
            ])),
        )
        .await;
        let apps = ["none", "revoked", "two", "one"].map(|app| anns(app, None));
        let live = look(&place, edition)
            .observe(&interest(apps.clone()))
            .await
            .unwrap();
        let whose = |app: &str| format!("app `{app}` of developer `ann@example.com` has ");
        assert_eq!(absent(&live, &apps[0]), format!("{}no keys", whose("none")));
        assert_eq!(
            absent(&live, &apps[1]),
            format!("{}no approved key: r3v…ey (revoked)", whose("revoked"))
        );
        assert_eq!(
            absent(&live, &apps[2]),
            format!(
                "{}2 approved keys, so the manifest has to name one with `consumerKey`: f1r…00, s3c…y0",
                whose("two")
            )
        );
        assert_eq!(present(&live, &apps[3]).app, anns("one", Some("k1")));
    }
}

#[tokio::test]
async fn what_is_not_there_is_absent_in_the_servers_words() {
    for edition in EDITIONS {
        let place = place(edition, shop()).await;
        #[rustfmt::skip]
        let table = [
            (of(AppOwner::Developer("bob@example.com".to_owned()), "shop", None), "bob@example.com"),
            (anns("store", None), "App named store does not exist under ann@example.com"),
            (anns("shop", Some("n0such")), "Invalid consumer key for Given App"),
        ];
        for (app, words) in table {
            let live = look(&place, edition)
                .observe(&interest([app.clone()]))
                .await
                .unwrap();
            let why = absent(&live, &app);
            assert!(
                why.contains("the server said: 404") && why.contains(words),
                "{why}"
            );
        }
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_found_and_says_why() {
    for edition in EDITIONS {
        let place = place(
            edition,
            ann(&json!([
                { "name": "off", "status": "revoked", "keys": [key("k1", &["orders"], &["READ"])] },
                { "name": "shop", "keys": [
                    { "consumerKey": "k2", "products": ["orders"], "scopes": ["WRITE"], "status": "revoked" },
                    { "consumerKey": "k3", "products": ["orders"], "scopes": ["READ"], "expiresAt": 1_000 },
                ] },
            ])),
        )
        .await;
        let apps = [
            anns("off", Some("k1")),
            anns("shop", Some("k2")),
            anns("shop", Some("k3")),
        ];
        let live = look(&place, edition)
            .observe(&interest(apps.clone()))
            .await
            .unwrap();
        let why = |app: &AppRef| present(&live, app).unusable.clone().unwrap_or_default();
        assert_eq!(why(&apps[0]), "the app is revoked");
        assert_eq!(why(&apps[1]), "the key is revoked");
        assert_eq!(why(&apps[2]), "the key expired on 1970-01-01 00:00 UTC");
        assert_eq!(present(&live, &apps[1]).scopes, scopes(["WRITE"]));
    }
}

/// Ann's apps `app-0000` and so on, each with one key.
fn many(count: usize) -> Value {
    let apps: Vec<_> = (0..count)
        .map(|n| {
            json!({ "name": format!("app-{n:04}"), "appId": format!("id-{n:04}"),
                "keys": [key(&format!("key-{n:04}"), &["orders"], &["READ"])] })
        })
        .collect();
    ann(&Value::from(apps))
}

fn named(names: impl IntoIterator<Item = usize>) -> Vec<AppRef> {
    names
        .into_iter()
        .map(|n| anns(&format!("app-{n:04}"), None))
        .collect()
}

#[tokio::test]
async fn five_hundred_apps_are_three_lists() {
    for edition in EDITIONS {
        let place = place(edition, many(500)).await;
        let apps = named(0..500);
        let interest = Interest {
            apps: apps.clone(),
            allowed: true,
            ..Interest::default()
        };
        let provider = look(&place, edition);
        let live = provider.observe(&interest).await.unwrap();
        for app in &apps {
            assert_eq!(present(&live, app).scopes, scopes(["READ"]));
        }
        assert_eq!(
            place.counted().await,
            [
                format!("1 x {PRODUCTS} 200"),
                format!("1 x {APPS} 200"),
                format!("1 x {DEVELOPERS} 200")
            ]
        );
        assert_eq!(provider.requests().total, 3);
    }
}

#[tokio::test]
async fn a_listing_is_left_when_asking_costs_less() {
    let [one, two, three] = [1, 2, 3].map(|count| (2400..2400 + count).collect::<Vec<usize>>());
    let developers = format!("1 x {DEVELOPERS} 200");
    let listed = |pages: usize| format!("{pages} x {APPS} 200");
    let asked = |apps: usize| format!("{apps} x {APP} 200");
    // 2,500 apps are three pages, and the wanted ones are on the last. X says how many there are; on Edge as many pages
    // are taken to come as were read. That the listing names owners is not known before it is read, so that a page of
    // developers has to be earned too.
    #[rustfmt::skip]
    let table = [
        (Edition::Edge, false, &one, vec![asked(1)]),
        (Edition::Edge, false, &two, vec![asked(2)]),
        (Edition::Edge, false, &three, vec![listed(3), developers.clone()]),
        (Edition::X, false, &one, vec![asked(1)]),
        (Edition::X, false, &two, vec![asked(2)]),
        (Edition::X, false, &three, vec![listed(3), developers.clone()]),
        (Edition::X, true, &two, vec![asked(2)]),
        (Edition::X, true, &three, vec![listed(3), developers.clone()]),
        // Those on the first page are seen when it is read.
        (Edition::Edge, false, &vec![0, 1, 2], vec![listed(1), developers.clone()]),
        (Edition::Edge, false, &vec![0, 2400, 2401], vec![listed(2), developers.clone(), asked(2)]),
        (Edition::X, false, &vec![0, 1], vec![asked(2)]),
        (Edition::X, false, &vec![0, 1, 2400], vec![listed(1), developers.clone(), asked(1)]),
        (Edition::X, false, &vec![0, 2400, 2401], vec![listed(1), developers.clone(), asked(2)]),
        (Edition::X, true, &vec![0, 1, 2400], vec![listed(1), developers.clone(), asked(1)]),
    ];
    for (edition, tells_emails) in [
        (Edition::Edge, false),
        (Edition::X, false),
        (Edition::X, true),
    ] {
        let mut world = many(2500);
        world["switches"] = json!({ "listedDeveloperEmail": tells_emails });
        let place = place(edition, world).await;
        for (_, _, wanted, counts) in table
            .iter()
            .filter(|row| (row.0, row.1) == (edition, tells_emails))
        {
            let apps = named(wanted.iter().copied());
            let interest = Interest {
                apps: apps.clone(),
                ..Interest::default()
            };
            let live = look(&place, edition).observe(&interest).await.unwrap();
            for app in &apps {
                present(&live, app);
            }
            let mut counts = counts.clone();
            counts.sort();
            assert_eq!(
                place.counted().await,
                counts,
                "{edition:?} {tells_emails} {wanted:?}"
            );
        }
    }
}

/// Developers `d0000@example.com` and so on, each with an app of the same name.
fn namesakes(count: usize) -> Value {
    let developers = (0..count).map(|n| {
        json!({ "email": format!("d{n:04}@example.com"), "apps": [
            { "name": "shop", "keys": [key(&format!("key-{n:04}"), &["orders"], &["READ"])] } ] })
    });
    json!({ "developers": developers.collect::<Vec<_>>() })
}

fn shop_of(n: usize) -> AppRef {
    let owner = AppOwner::Developer(format!("d{n:04}@example.com"));
    of(owner, "shop", None)
}

#[tokio::test]
async fn apps_of_one_name_are_told_apart_by_the_list_of_developers() {
    for edition in EDITIONS {
        let place = place(edition, namesakes(1200)).await;
        let apps: Vec<_> = (50..1150).map(shop_of).collect();
        let interest = Interest {
            apps: apps.clone(),
            ..Interest::default()
        };
        let live = look(&place, edition).observe(&interest).await.unwrap();
        for (n, app) in (50..1150).zip(&apps) {
            let AppRef::Apigee { key: Some(key), .. } = &present(&live, app).app else {
                panic!("no key")
            };
            assert_eq!(key.as_str(), format!("key-{n:04}"));
        }
        assert_eq!(
            place.counted().await,
            [format!("2 x {APPS} 200"), format!("2 x {DEVELOPERS} 200")],
            "{edition:?}"
        );
    }
}

#[tokio::test]
async fn whoever_takes_no_second_page_of_developers_is_asked_for_the_rest_of_the_apps() {
    for (switch, status) in [("refuse", 400), ("expandOnly", 200)] {
        let mut world = namesakes(1003);
        world["switches"] = json!({ "expandWithCount": switch });
        let place = place(Edition::X, world).await;
        // The addresses of the last three are on the second page.
        let apps: Vec<_> = (990..1003).map(shop_of).collect();
        let interest = Interest {
            apps: apps.clone(),
            ..Interest::default()
        };
        let live = look(&place, Edition::X).observe(&interest).await.unwrap();
        for app in &apps {
            present(&live, app);
        }
        let counted = place.counted().await;
        let developers = format!(" x {DEVELOPERS} {status}");
        assert!(
            counted.iter().any(|line| line.ends_with(&developers)),
            "{counted:?}"
        );
        assert!(counted.contains(&format!("3 x {APP} 200")), "{counted:?}");
    }
}

#[tokio::test]
async fn apps_developers_and_products_are_asked_for_side_by_side() {
    for edition in EDITIONS {
        let place = place(edition, many(5)).await;
        place
            .fail(json!([{ "method": "GET", "fault": { "hold": {} } }]))
            .await;
        let provider = look(&place, edition);
        let apps = named(0..5);
        let interest = Interest {
            apps,
            allowed: true,
            ..Interest::default()
        };
        let reading = provider.observe(&interest);
        let all_are_held = async {
            place.wait_until_held(3).await;
            place.fail(json!([])).await;
        };
        let (live, ()) = tokio::join!(reading, all_are_held);
        assert_eq!(live.unwrap().apps.len(), 5);
        assert_eq!(
            place.counted().await,
            [
                format!("1 x {PRODUCTS} 200"),
                format!("1 x {APPS} 200"),
                format!("1 x {DEVELOPERS} 200")
            ],
            "{edition:?}"
        );
    }
}

#[tokio::test]
async fn a_revoked_key_that_the_listing_hides_is_asked_for() {
    let world = ann(&json!([
        { "name": "a", "keys": [key("ka", &["orders"], &["READ"])] },
        { "name": "b", "keys": [{ "consumerKey": "kb", "products": ["orders"], "scopes": ["READ"], "status": "revoked" }] },
        { "name": "c", "status": "revoked", "keys": [key("kc", &["orders"], &["READ"])] },
        { "name": "d", "keys": [key("kd", &["orders"], &["READ"])] },
    ]));
    let place = place(Edition::X, world).await;
    let apps = ["a", "b", "c", "d"].map(|name| anns(name, Some(&format!("k{name}"))));
    let live = look(&place, Edition::X)
        .observe(&interest(apps.clone()))
        .await
        .unwrap();
    let why = |app: &AppRef| present(&live, app).unusable.clone();
    assert_eq!(why(&apps[1]).as_deref(), Some("the key is revoked"));
    assert_eq!(why(&apps[2]).as_deref(), Some("the app is revoked"));
    assert_eq!((why(&apps[0]), why(&apps[3])), (None, None));
    assert_eq!(
        place.counted().await,
        [
            format!("1 x {PRODUCTS} 200"),
            format!("1 x {APPS} 200"),
            format!("1 x {DEVELOPERS} 200"),
            format!("2 x {APP} 200"),
        ]
    );
}

#[tokio::test]
async fn every_kind_of_owner_is_found_in_the_listing() {
    let app = |owner: &str| json!([{ "name": "shop", "keys": [key(&format!("k-{owner}"), &["orders"], &["READ"])] }]);
    for edition in EDITIONS {
        let team = if edition == Edition::X {
            "appGroups"
        } else {
            "companies"
        };
        let mut world = json!({ "developers": [
            { "email": "ann@example.com", "apps": app("ann") },
            { "email": "bob@example.com", "apps": app("bob") },
        ] });
        world[team] = json!([{ "name": "bakers", "apps": app("bakers") }]);
        let place = place(edition, world).await;
        let bakers = "bakers".to_owned();
        let team = if edition == Edition::X {
            AppOwner::AppGroup(bakers)
        } else {
            AppOwner::Company(bakers)
        };
        let apps = [
            anns("shop", None),
            of(
                AppOwner::Developer("bob@example.com".to_owned()),
                "shop",
                None,
            ),
            of(team, "shop", None),
        ];
        let live = look(&place, edition)
            .observe(&interest(apps.clone()))
            .await
            .unwrap();
        for (app, owner) in apps.iter().zip(["ann", "bob", "bakers"]) {
            let AppRef::Apigee { key: Some(key), .. } = &present(&live, app).app else {
                panic!("no key")
            };
            assert_eq!(key.as_str(), format!("k-{owner}"));
        }
        assert_eq!(
            place.counted().await,
            [
                format!("1 x {PRODUCTS} 200"),
                format!("1 x {APPS} 200"),
                format!("1 x {DEVELOPERS} 200")
            ],
            "{edition:?}"
        );
    }
}

#[tokio::test]
async fn the_answer_is_the_same_however_the_server_lists() {
    let world = |switches: Value| {
        let mut world = ann(&json!([
            { "name": "a", "keys": [key("a1", &["orders"], &["READ"]), { "consumerKey": "a2", "status": "revoked" }] },
            { "name": "b", "keys": [key("b1", &["orders"], &["WRITE", "READ"]), key("b2", &["old orders"], &["ADMIN"])] },
            { "name": "c", "status": "revoked", "keys": [key("c1", &["open"], &[])] },
        ]));
        world["switches"] = switches;
        world
    };
    let apps = [
        anns("a", None),
        anns("a", Some("a2")),
        anns("b", Some("b1")),
        anns("b", Some("b2")),
        anns("c", Some("c1")),
        anns("d", None),
    ];
    for edition in EDITIONS {
        let expected = {
            let place = place(edition, world(json!({}))).await;
            look(&place, edition)
                .observe(&interest(apps.clone()))
                .await
                .unwrap()
                .apps
        };
        assert_eq!(
            expected
                .values()
                .filter(|app| matches!(app, LiveApp::Present(_)))
                .count(),
            5
        );
        for switches in [
            json!({ "cps": false }),
            json!({ "listedDeveloperEmail": true }),
            json!({ "credentialOrder": "reversed", "scopeOrder": "reversed" }),
            json!({ "appsWithoutMatchingKeys": "hide" }),
            json!({ "pageTokenAlways": true, "expandWithCount": "refuse" }),
            json!({ "errorDetails": true, "blankKeyScopes": "keep" }),
        ] {
            let place = place(edition, world(switches.clone())).await;
            let live = look(&place, edition)
                .observe(&interest(apps.clone()))
                .await
                .unwrap();
            assert_eq!(live.apps, expected, "{edition:?} {switches}");
        }
    }
}

#[tokio::test]
async fn a_list_is_replaced_as_a_whole_on_every_kind_of_key() {
    let app = json!([{ "name": "my shop", "keys": [key("k3y", &["orders"], &["READ"])] }]);
    for (edition, kind, owner, method) in [
        (
            Edition::Edge,
            "developers",
            AppOwner::Developer("ann+x@example.com".to_owned()),
            "PUT",
        ),
        (
            Edition::Edge,
            "companies",
            AppOwner::Company("bakers & co".to_owned()),
            "PUT",
        ),
        (
            Edition::X,
            "developers",
            AppOwner::Developer("ann+x@example.com".to_owned()),
            "PUT",
        ),
        (
            Edition::X,
            "appGroups",
            AppOwner::AppGroup("bakers".to_owned()),
            "POST",
        ),
    ] {
        let name = match &owner {
            AppOwner::Developer(name) | AppOwner::Company(name) | AppOwner::AppGroup(name) => {
                name.clone()
            }
        };
        let field = if kind == "developers" {
            "email"
        } else {
            "name"
        };
        let place = place(edition, json!({ kind: [{ field: name, "apps": app }] })).await;
        let before = place.state().await;
        let provider = open(&place, edition);
        let app = of(owner, "my shop", Some("k3y"));
        provider
            .make(&replace(app.clone(), scopes(["READ"]), scopes(["WRITE"])))
            .await
            .unwrap();
        let live = provider.observe(&reread(app.clone())).await.unwrap();
        assert_eq!(
            present(&live, &app).scopes,
            scopes(["WRITE"]),
            "{edition:?} {kind}"
        );
        let sent = &place.log().await[1];
        assert_eq!(sent["method"], method);
        assert_eq!(provider.requests().writes, 1);

        // Nothing but that list has changed.
        let mut after = place.state().await;
        let list = &mut after[kind][0]["apps"][0]["keys"][0]["scopes"];
        assert_eq!(list, &json!(["WRITE"]));
        *list = json!(["READ"]);
        assert_eq!(without_times(after), without_times(before));
    }
}

#[tokio::test]
async fn what_a_key_has_beside_its_list_is_sent_back_whether_a_replace_would_keep_it_or_not() {
    let attributes = json!([{ "name": "tier", "value": "gold" }, { "name": "note", "value": "" }]);
    let mut held = key("k3y", &["orders"], &["READ"]);
    held["attributes"] = attributes.clone();
    let apps = json!([{ "name": "shop", "keys": [held] }]);
    for (edition, kind, field, owner) in [
        (
            Edition::Edge,
            "developers",
            "email",
            AppOwner::Developer("ann@example.com".to_owned()),
        ),
        (
            Edition::Edge,
            "companies",
            "name",
            AppOwner::Company("bakers".to_owned()),
        ),
        (
            Edition::X,
            "developers",
            "email",
            AppOwner::Developer("ann@example.com".to_owned()),
        ),
        (
            Edition::X,
            "appGroups",
            "name",
            AppOwner::AppGroup("bakers".to_owned()),
        ),
    ] {
        for answer in ["keep", "clear"] {
            let name = if field == "email" {
                "ann@example.com"
            } else {
                "bakers"
            };
            let mut system = json!({ kind: [{ field: name, "apps": apps }] });
            system["switches"] = json!({ "keyPutWithoutAttributes": answer, "appGroupKeyOmittedAttributes": answer });
            let place = place(edition, system).await;
            let provider = open(&place, edition);
            let app = of(owner.clone(), "shop", Some("k3y"));
            let change = replace(app.clone(), scopes(["READ"]), scopes(["READ", "WRITE"]));

            // After the look that every replace is preceded by, it is one request.
            provider.observe(&reread(app.clone())).await.unwrap();
            provider.make(&change).await.unwrap();
            assert_eq!(provider.requests().total, 2, "{edition:?} {kind}");
            let list = |state: &Value| state[kind][0]["apps"][0]["keys"][0].clone();
            let stored = list(&place.state().await);
            assert_eq!(stored["scopes"], json!(["READ", "WRITE"]));
            assert_eq!(
                stored["attributes"], attributes,
                "{edition:?} {kind} {answer}"
            );

            // Without one, it looks by itself.
            let change = replace(app, scopes(["READ", "WRITE"]), scopes(["WRITE"]));
            provider.make(&change).await.unwrap();
            assert_eq!(provider.requests().total, 4);
            let stored = list(&place.state().await);
            assert_eq!(
                stored["attributes"], attributes,
                "{edition:?} {kind} {answer}"
            );
        }
    }
}

/// A state without the moments of the last change.
fn without_times(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            members.retain(|key, _| key != "lastModifiedAt");
            members
                .values_mut()
                .for_each(|member| *member = without_times(member.take()));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| *item = without_times(item.take())),
        _ => {}
    }
    value
}

#[tokio::test]
async fn a_scope_outside_the_products_fails_in_the_servers_words() {
    for edition in EDITIONS {
        let place = place(edition, shop()).await;
        let provider = open(&place, edition);
        let change = replace(
            anns("shop", Some("k3y")),
            scopes(["READ"]),
            scopes(["READ", "ADMIN"]),
        );
        let error = provider.make(&change).await.unwrap_err();
        assert_eq!(error.fate, Fate::NotDone);
        let said = error.cause.to_string();
        assert!(
            said.contains("Scopes must be contained in [READ, WRITE]"),
            "{said}"
        );
        assert!(
            said.contains("keymanagement.service.InvalidScopes"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn writes_to_one_app_go_one_after_another() {
    let place = place(
        Edition::Edge,
        ann(&json!([{ "name": "shop", "keys": [key("a", &["orders"], &[]), key("b", &["orders"], &[])] }])),
    )
    .await;
    // The first write is held until the plan is ended; the second must not have come by then.
    let write = "/v1/organizations/{organization}/developers/{developer}/apps/{app}/keys/{key}";
    place
        .fail(json!([{ "method": "PUT", "route": write, "times": 1, "fault": { "hold": { "when": "before" } } }]))
        .await;
    let provider = open(&place, Edition::Edge);
    let [first, second] =
        ["a", "b"].map(|key| replace(anns("shop", Some(key)), scopes([]), scopes(["READ"])));
    let ended = async {
        place.wait_until_held(1).await;
        let writes = || async {
            place
                .log()
                .await
                .iter()
                .filter(|entry| entry["method"] == "PUT")
                .count()
        };
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert!(writes().await <= 1);
        assert_eq!(provider.requests().writes, 1);
        place.fail(json!([])).await;
    };
    let (one, two, ()) = tokio::join!(provider.make(&first), provider.make(&second), ended);
    one.unwrap();
    two.unwrap();
    assert_eq!(provider.requests().writes, 2);
}

#[tokio::test]
async fn a_change_that_names_no_key_is_not_sent() {
    let place = place(Edition::X, shop()).await;
    let provider = open(&place, Edition::X);
    for change in [
        replace(anns("shop", None), scopes([]), scopes(["READ"])),
        replace(AppRef::OneLogin { app_id: 1 }, scopes([]), scopes(["READ"])),
        replace(anns("..", Some("k3y")), scopes([]), scopes(["READ"])),
    ] {
        assert_eq!(
            provider.make(&change).await.unwrap_err().reason(),
            "configuration"
        );
    }
    assert_eq!(provider.requests().total, 0);
}

#[tokio::test]
async fn edge_is_signed_in_to_in_four_ways() {
    let mut world = shop();
    world["credentials"] = json!([
        { "token": "sandbox" },
        { "username": "ann", "password": "s3cret" },
        { "refreshToken": "r3fresh" },
    ]);
    let place = place(Edition::Edge, world).await;
    let url = format!("{}oauth/token", place.url());
    let password = [
        ("username", "ann"),
        ("password", "s3cret"),
        ("tokenUrl", url.as_str()),
    ];
    let refresh = [("refreshToken", "r3fresh"), ("tokenUrl", url.as_str())];
    let ended = [
        ("refreshToken", "ended"),
        password[0],
        password[1],
        password[2],
    ];
    let table: [SignIn<'_>; 8] = [
        (TOKEN, None, 0),
        (TOKEN, Some(ApigeeAuth::OAuth), 0),
        (&password, None, 0),
        (&password, Some(ApigeeAuth::Basic), 0),
        (&password, Some(ApigeeAuth::OAuth), 1),
        (&refresh, None, 1),
        (&refresh, Some(ApigeeAuth::OAuth), 1),
        // A refresh token that has ended, beside a password.
        (&ended, None, 2),
    ];
    for (keys, auth, tokens) in table {
        let provider = providing::open_to_look(endpoint(&place, Edition::Edge, auth), keys);
        let app = anns("shop", Some("k3y"));
        let live = provider.observe(&reread(app.clone())).await.unwrap();
        present(&live, &app);
        assert_eq!(provider.requests().tokens, tokens, "{auth:?} {keys:?}");
    }
    // Nobody but the credential says where a password may go, and this is not Apigee's own cloud.
    for (keys, auth) in [
        (TOKEN, ApigeeAuth::Basic),
        (&refresh[..], ApigeeAuth::Basic),
        (&[("username", "ann")][..], ApigeeAuth::OAuth),
        (&password[..2], ApigeeAuth::OAuth),
        (&refresh[..1], ApigeeAuth::OAuth),
    ] {
        let Err(error) = providing::try_open(endpoint(&place, Edition::Edge, Some(auth)), keys)
        else {
            panic!("opened with {keys:?}");
        };
        assert_eq!(error.reason(), "credential");
    }
}

#[tokio::test]
async fn x_takes_a_service_account_whose_key_signs_its_own_tokens() {
    let mut world = shop();
    world["credentials"] = json!([{ "serviceAccount": "scopeward@acme.iam.gserviceaccount.com" }]);
    let place = place(Edition::X, world).await;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let key = json!({
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "1",
        "private_key": pair.serialize_pem(),
        "client_email": "scopeward@acme.iam.gserviceaccount.com",
        // Nothing is sent there.
        "token_uri": "https://token.example.com/token",
    })
    .to_string();
    let provider = providing::open_to_look(
        endpoint(&place, Edition::X, None),
        &[("serviceAccountKey", &key)],
    );
    let app = anns("shop", Some("k3y"));
    let live = provider.observe(&reread(app.clone())).await.unwrap();
    present(&live, &app);
    assert_eq!(
        (provider.requests().total, provider.requests().tokens),
        (1, 0)
    );
}

#[tokio::test]
async fn a_credential_that_x_cannot_use_is_refused_without_showing_it() {
    let place = place(Edition::X, shop()).await;
    let x = || endpoint(&place, Edition::X, None);
    for key in [
        "s3cret",
        "{\"type\": \"s3cret\"}",
        r#"{"type":"authorized_user","client_email":"a","private_key_id":"1","private_key":"s3cret","project_id":"p"}"#,
        r#"{"type":"service_account","client_email":"a","private_key_id":"1","private_key":7,"project_id":"s3cret"}"#,
    ] {
        let Err(error) = providing::try_open(x(), &[("serviceAccountKey", key)]) else {
            panic!("opened with {key}");
        };
        assert_eq!(error.reason(), "credential");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
    let broken = r#"{"type":"service_account","client_email":"a","private_key_id":"1","private_key":"s3cret","project_id":"p"}"#;
    let provider = providing::open_to_look(x(), &[("serviceAccountKey", broken)]);
    let error = provider
        .observe(&interest([anns("shop", None)]))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "credential");
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");

    // The machine's own identity goes to a URL that the credential names, and to no other.
    let Err(error) = providing::try_open(x(), &[]) else {
        panic!("opened with nothing");
    };
    assert_eq!(error.reason(), "credential");
    let Err(error) =
        providing::try_open(endpoint(&place, Edition::X, Some(ApigeeAuth::Basic)), TOKEN)
    else {
        panic!("opened with `auth`");
    };
    assert_eq!(error.reason(), "configuration");
}

#[tokio::test]
async fn consumer_secrets_are_in_no_picture() {
    for edition in EDITIONS {
        let world = ann(&json!([
            { "name": "a", "keys": [{ "consumerKey": "k", "consumerSecret": "s3cr3t-0f-a", "products": ["orders"] }] },
            { "name": "b", "keys": [{ "consumerKey": "l", "consumerSecret": "s3cr3t-0f-b", "products": ["orders"] }] },
        ]));
        let place = place(edition, world).await;
        let provider = look(&place, edition);
        let live = provider
            .observe(&interest([anns("a", None), anns("b", None)]))
            .await
            .unwrap();
        assert!(!format!("{live:?}").contains("s3cr3t"));
        let live = provider
            .observe(&reread(anns("a", Some("k"))))
            .await
            .unwrap();
        assert!(!format!("{live:?}").contains("s3cr3t"));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_app_is_no_picture() {
    for body in [
        "{}",
        "[]",
        "<html><title>Sign in</title></html>",
        r#"{"name":"shop","credentials":{}}"#,
        "{\"name\":",
    ] {
        let place = place(Edition::Edge, shop()).await;
        place
            .fail(
                json!([{ "method": "GET", "fault": { "status": { "code": 200, "body": body } } }]),
            )
            .await;
        let provider = look(&place, Edition::Edge);
        for interest in [
            interest([anns("shop", None)]),
            reread(anns("shop", Some("k3y"))),
        ] {
            let error = provider.observe(&interest).await.unwrap_err();
            assert_eq!(error.reason(), "unexpected_answer", "{body}");
        }
    }
}

#[tokio::test]
async fn a_listing_that_fails_is_no_picture() {
    for edition in EDITIONS {
        for code in [
            400,
            404,
            500,
            503,
            if edition == Edition::Edge { 403 } else { 401 },
        ] {
            let place = place(edition, shop()).await;
            let listing = "/v1/organizations/{organization}/apps";
            place
                .fail(json!([{ "route": listing, "fault": { "status": { "code": code } } }]))
                .await;
            let apps = ["shop", "b", "c"].map(|name| anns(name, None));
            let error = look(&place, edition)
                .observe(&interest(apps))
                .await
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                "could not list the apps",
                "{edition:?} {code}"
            );
        }
    }
}

#[tokio::test]
async fn whoever_may_not_list_asks_for_each_object() {
    for (edition, code) in [(Edition::Edge, 401), (Edition::X, 403)] {
        let world = ann(&json!([
            { "name": "a", "keys": [key("ka", &["orders", "open"], &["READ"])] },
            { "name": "b", "keys": [key("kb", &["orders"], &["WRITE"])] },
            { "name": "c", "keys": [key("kc", &["orders"], &[])] },
        ]));
        let place = place(edition, world).await;
        place
            .fail(json!([
                { "route": "/v1/organizations/{organization}/apps", "fault": { "status": { "code": code } } },
                { "route": "/v1/organizations/{organization}/apiproducts", "fault": { "status": { "code": code } } },
            ]))
            .await;
        let apps = ["a", "b", "c"].map(|name| anns(name, None));
        let live = look(&place, edition)
            .observe(&interest(apps.clone()))
            .await
            .unwrap();
        for app in &apps {
            assert_eq!(present(&live, app).allowed, Some(scopes(["READ", "WRITE"])));
        }
        assert_eq!(
            place.counted().await,
            [
                format!("1 x {PRODUCTS} {code}"),
                format!("1 x {APPS} {code}"),
                format!("1 x {DEVELOPERS} 200"),
                format!("2 x {PRODUCT} 200"),
                format!("3 x {APP} 200"),
            ]
        );
    }
}

/// A server whose listing of apps answers the given pages in turn, for ever, and which has none of the apps.
async fn endless(pages: Vec<Value>) -> wiremock::MockServer {
    use wiremock::matchers::{method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    let server = MockServer::start().await;
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let listing = move |_: &wiremock::Request| {
        let n = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        ResponseTemplate::new(200).set_body_json(&pages[n % pages.len()])
    };
    Mock::given(method("GET"))
        .and(path("/v1/organizations/acme/apps"))
        .respond_with(listing)
        .mount(&server)
        .await;
    let ann = json!([{ "email": "ann@example.com", "developerId": "ann" }]);
    Mock::given(method("GET"))
        .and(path("/v1/organizations/acme/developers"))
        .respond_with(ResponseTemplate::new(200).set_body_json(ann))
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_listing_without_an_end_is_left() {
    let full: Value = (0..1000)
        .map(|n| json!({ "name": "other", "appId": format!("id-{n}") }))
        .collect();
    let page = |token: &str| json!({ "app": full, "nextPageToken": token, "totalSize": 1_000_000 });
    #[rustfmt::skip]
    let table = [
        // The same page again, with or without a word about the next one.
        (Edition::Edge, vec![full.clone()], 2),
        (Edition::X, vec![json!({ "app": full, "nextPageToken": "t" })], 2),
        // Two pages that lead to each other.
        (Edition::X, vec![page("t"), page("u")], 1),
        (Edition::X, vec![json!({ "app": [], "nextPageToken": "t", "totalSize": 9 }), json!({ "app": [], "nextPageToken": "u", "totalSize": 9 })], 10),
    ];
    for (edition, pages, read) in table {
        let server = endless(pages).await;
        let endpoint = Endpoint::Apigee {
            url: server.uri().parse().unwrap(),
            organization: "acme".to_owned(),
            edition,
            auth: None,
        };
        let provider = providing::open_to_look(endpoint, TOKEN);
        let interest = Interest {
            apps: named(0..10),
            ..Interest::default()
        };
        let live = provider.observe(&interest).await.unwrap();
        assert_eq!(live.apps.len(), 10);
        // The pages, the developers, and each app.
        assert_eq!(provider.requests().total, read + 1 + 10, "{edition:?}");
    }
}

#[tokio::test]
async fn a_refresh_token_outlives_a_sign_in_host_that_is_out_of_order() {
    use wiremock::matchers::{body_string_contains, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    let server = MockServer::start().await;
    let token = |form: &str, times: u64, answer: ResponseTemplate| {
        Mock::given(method("POST"))
            .and(path("/oauth/token"))
            .and(body_string_contains(form))
            .respond_with(answer)
            .up_to_n_times(times)
            .mount(&server)
    };
    let given = || {
        let body = json!({ "access_token": "acc3ss", "expires_in": 3600 });
        ResponseTemplate::new(200).set_body_json(body)
    };
    // As often as a request is sent.
    token("=r3fresh", 3, ResponseTemplate::new(503)).await;
    token("=r3fresh", 1, given()).await;
    token("=password", 9, given()).await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "consumerKey": "k" })))
        .mount(&server)
        .await;
    let endpoint = Endpoint::Apigee {
        url: server.uri().parse().unwrap(),
        organization: "acme".to_owned(),
        edition: Edition::Edge,
        auth: None,
    };
    let url = format!("{}/oauth/token", server.uri());
    let keys = [
        ("refreshToken", "r3fresh"),
        ("username", "ann"),
        ("password", "s3cret"),
        ("mfaToken", "123456"),
        ("tokenUrl", url.as_str()),
    ];
    let provider = providing::open_to_look(endpoint, &keys);
    let interest = reread(anns("shop", Some("k")));
    let look = || provider.observe(&interest);
    let error = look().await.unwrap_err();
    assert_eq!(error.status(), Some(503));
    look().await.unwrap();
    let requests = server.received_requests().await.unwrap();
    let bodies = requests
        .iter()
        .map(|request| String::from_utf8_lossy(&request.body));
    for body in bodies {
        assert!(!body.contains("s3cret"), "the password was sent: {body}");
    }
}

#[tokio::test]
async fn a_refused_refresh_token_is_in_no_error() {
    use wiremock::matchers::{body_string_contains, method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};

    let server = MockServer::start().await;
    let token = |form: &str, answer: ResponseTemplate| {
        Mock::given(method("POST"))
            .and(path("/oauth/token"))
            .and(body_string_contains(form))
            .respond_with(answer)
            .mount(&server)
    };
    let first = json!({ "access_token": "acc3ss", "expires_in": 1, "refresh_token": "s3cond" });
    token("=f1rst", ResponseTemplate::new(200).set_body_json(first)).await;
    let refusal = json!({ "error": "invalid_token", "error_description": "Invalid refresh token (expired): s3cond" });
    token("=s3cond", ResponseTemplate::new(401).set_body_json(refusal)).await;
    let endpoint = Endpoint::Apigee {
        url: server.uri().parse().unwrap(),
        organization: "acme".to_owned(),
        edition: Edition::Edge,
        auth: None,
    };
    let url = format!("{}/oauth/token", server.uri());
    let keys = [("refreshToken", "f1rst"), ("tokenUrl", url.as_str())];
    let unauthorized = ResponseTemplate::new(401);
    Mock::given(method("GET"))
        .respond_with(unauthorized)
        .mount(&server)
        .await;
    let provider = providing::open_to_look(endpoint, &keys);
    let error = provider
        .observe(&reread(anns("shop", Some("k"))))
        .await
        .unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("Invalid refresh token"), "{text}");
    assert!(!text.contains("s3cond"), "{text}");
}
