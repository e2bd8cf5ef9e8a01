//! The providers' HTTP layer over real sockets, driven through OneLogin's provider.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use scopeward::model::target::{AuthorizationServer, Endpoint, Pace, Thresholds, Tls};
use scopeward::model::{
    AppRef, Consumers, LiveApp, RemoteId, ScopeName, ScopeState, Source, SourceFile, Target,
    TargetId,
};
use scopeward::plan::change::Change;
use scopeward::provider::{
    self, Applied, Cause, Connect, Credential, Fate, Interest, Interrupt, Observe, Patience,
    Provider, ProviderError, Requests,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support::approved::{Make as _, id_of};

const SECRET: &str = "s3cr3t+of/the credential";
const TOKEN: &str = "t0ken.of.the.run";
const SCOPES: &str = "GET /api/2/api_authorizations/31415/scopes";
const CREATE: &str = "POST /api/2/api_authorizations/31415/scopes";
const CLIENTS: &str = "GET /api/2/api_authorizations/31415/clients";
const MINT: &str = "POST /auth/oauth2/v2/token";

/// Answers each route from its own list; the last one stays.
struct Script(Mutex<BTreeMap<String, VecDeque<ResponseTemplate>>>);

impl Respond for Script {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let route = format!("{} {}", request.method, request.url.path());
        let mut routes = self.0.lock().unwrap();
        match routes.get_mut(&route) {
            Some(answers) if answers.len() > 1 => answers.pop_front().unwrap(),
            Some(answers) => answers[0].clone(),
            None => error(404, "The resource with the given id could not be found"),
        }
    }
}

/// A server that gives scripted answers, a token among them.
pub(crate) async fn stub(routes: Vec<(&str, Vec<ResponseTemplate>)>) -> MockServer {
    let mut script = BTreeMap::from([(MINT.to_owned(), VecDeque::from([token()]))]);
    for (route, answers) in routes {
        script.insert(route.to_owned(), answers.into());
    }
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(Script(Mutex::new(script)))
        .mount(&server)
        .await;
    server
}

/// How often a route was asked.
async fn asked(server: &MockServer, route: &str) -> usize {
    server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .filter(|request| format!("{} {}", request.method, request.url.path()) == route)
        .count()
}

/// The bodies that a route was sent.
pub(crate) async fn bodies(server: &MockServer, route: &str) -> Vec<Value> {
    server
        .received_requests()
        .await
        .unwrap()
        .iter()
        .filter(|request| format!("{} {}", request.method, request.url.path()) == route)
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect()
}

pub(crate) fn ok(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

pub(crate) fn error(status: u16, message: &str) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .set_body_json(json!({ "message": message, "statusCode": status, "name": "Error" }))
}

fn token() -> ResponseTemplate {
    ok(json!({
        "access_token": TOKEN, "created_at": jiff::Timestamp::now().to_string(), "expires_in": 36000,
        "refresh_token": "refresh-t0ken", "token_type": "bearer", "account_id": 1,
    }))
}

fn scope(id: u64, value: &str) -> Value {
    json!({ "id": id, "value": value, "description": format!("About {value}"), "inherited": false })
}

fn target(url: &str) -> Target {
    Target {
        id: TargetId::from("iam/onelogin-prod".to_owned()),
        source: Source {
            file: SourceFile::new("target.yaml"),
            document: 0,
            line: 1,
            kind: "Target".to_owned(),
            namespace: "iam".to_owned(),
            name: "onelogin-prod".to_owned(),
        },
        endpoint: Endpoint::OneLogin {
            url: Url::parse(url).unwrap(),
            server: AuthorizationServer::Id(31415),
        },
        credential: "onelogin-prod".to_owned(),
        policy: scopeward::model::target::Policy::default(),
        suspend: false,
        approval: scopeward::model::target::Approval::default(),
        approved_plan: None,
        pace: Pace {
            requests_per_second: 0,
            max_in_flight: 4,
        },
        safety: Thresholds::default(),
        tls: Tls::default(),
        adoption: scopeward::model::target::Adoption::default(),
        drift: scopeward::model::target::Drift::default(),
    }
}

fn credential() -> Credential {
    Credential::new(
        "onelogin-prod",
        "SCOPEWARD_ONELOGIN_PROD_*",
        [("clientId", "an-id"), ("clientSecret", SECRET)],
    )
}

/// Waits for nothing worth the name.
fn connect() -> Connect {
    Connect {
        patience: Patience {
            first_delay: Duration::from_millis(1),
            longest_delay: Duration::from_millis(2),
            attempts: 4,
            quota: Duration::from_mins(1),
            ..Patience::default()
        },
        ..Connect::default()
    }
}

fn observer(url: &str) -> Box<dyn Observe> {
    provider::observer(&target(url), &credential(), &connect()).unwrap()
}

fn writer(url: &str) -> Box<dyn Provider> {
    provider::provider(&target(url), &credential(), &connect()).unwrap()
}

fn everything() -> Interest {
    Interest {
        scopes: true,
        consumers: true,
        ..Interest::default()
    }
}

fn scopes_alone() -> Interest {
    Interest {
        scopes: true,
        ..Interest::default()
    }
}

async fn failure(url: &str) -> ProviderError {
    observer(url).observe(&scopes_alone()).await.unwrap_err()
}

fn name(text: &str) -> ScopeName {
    ScopeName::observed(text)
}

fn state(text: &str) -> ScopeState {
    ScopeState {
        name: name(text),
        display_name: None,
        description: Some(format!("About {text}")),
        roles: vec![],
    }
}

fn create(text: &str) -> Change {
    Change::CreateScope { after: state(text) }
}

/// All that an error shows to anyone.
fn texts(error: &ProviderError) -> String {
    format!("{error}: {}\n{error:?}", error.cause)
}

#[tokio::test]
async fn a_picture_takes_two_lists_and_a_token() {
    let server = stub(vec![
        (SCOPES, vec![ok(json!([scope(1, "a"), scope(2, "b")]))]),
        (
            CLIENTS,
            vec![ok(json!([
                { "app_id": 7, "api_auth_id": 31415, "name": "Shop", "scopes": [scope(1, "a")] },
            ]))],
        ),
    ])
    .await;
    let observer = observer(&server.uri());
    let live = observer.observe(&everything()).await.unwrap();
    assert_eq!(live.scopes.len(), 2);
    assert_eq!(live.title, "31415");
    assert_eq!(
        live.identity.as_str(),
        format!("oneLogin {} 31415", server.uri())
    );
    let shop = AppRef::OneLogin { app_id: 7 };
    assert_eq!(
        live.scopes[&name("a")].consumers,
        Consumers::Apps([shop.clone()].into())
    );
    assert!(
        matches!(&live.apps[&shop], LiveApp::Present(shop) if shop.name.as_deref() == Some("Shop"))
    );
    let sent = Requests {
        total: 3,
        writes: 0,
        tokens: 1,
    };
    assert_eq!(observer.requests(), sent);
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].url.path(), "/auth/oauth2/v2/token");
    assert!(
        requests[0].headers["authorization"]
            .to_str()
            .unwrap()
            .starts_with("Basic ")
    );
    assert!(
        requests[1..]
            .iter()
            .all(|request| request.headers["authorization"] == format!("Bearer {TOKEN}"))
    );
}

#[tokio::test]
async fn a_server_named_by_its_resource_identifier_is_looked_up_once() {
    let servers = json!([
        { "id": 1, "name": "Other", "description": null, "configuration": { "resource_identifier": "https://api/orders/v2", "audiences": [] } },
        { "id": 31415, "name": "Orders API", "configuration": { "resource_identifier": "https://api/orders" }, "onelogin": false },
    ]);
    let server = stub(vec![
        ("GET /api/2/api_authorizations", vec![ok(servers)]),
        (SCOPES, vec![ok(json!([]))]),
    ])
    .await;
    let mut target = target(&server.uri());
    let named = |identifier: &str| Endpoint::OneLogin {
        url: Url::parse(&server.uri()).unwrap(),
        server: AuthorizationServer::ResourceIdentifier(identifier.to_owned()),
    };
    target.endpoint = named("https://api/orders");
    let observer = provider::observer(&target, &credential(), &connect()).unwrap();
    for _ in 0..2 {
        let live = observer.observe(&scopes_alone()).await.unwrap();
        assert_eq!(live.title, "Orders API (31415)");
        assert_eq!(
            live.identity.as_str(),
            format!("oneLogin {} 31415", server.uri())
        );
    }
    assert_eq!(observer.requests().total, 4);

    target.endpoint = named("https://api/order");
    let observer = provider::observer(&target, &credential(), &connect()).unwrap();
    let error = observer.observe(&scopes_alone()).await.unwrap_err();
    assert_eq!(
        error.cause.to_string(),
        r#"none of the account's 2 has it: Orders API (31415) "https://api/orders", Other (1) "https://api/orders/v2""#
    );
}

#[tokio::test]
async fn a_server_that_is_onelogins_own_or_not_the_only_one_is_refused() {
    let own = |id: u64, onelogin: bool| json!({ "id": id, "name": "S", "configuration": { "resource_identifier": "r" }, "onelogin": onelogin });
    for (servers, words) in [
        (json!([own(1, true)]), "S (1) belongs to OneLogin itself"),
        (
            json!([own(1, false), own(2, false)]),
            "2 have it: S (1), S (2)",
        ),
        (json!([]), "the account has no authorization server"),
    ] {
        let server = stub(vec![("GET /api/2/api_authorizations", vec![ok(servers)])]).await;
        let mut target = target(&server.uri());
        target.endpoint = Endpoint::OneLogin {
            url: Url::parse(&server.uri()).unwrap(),
            server: AuthorizationServer::ResourceIdentifier("r".to_owned()),
        };
        let observer = provider::observer(&target, &credential(), &connect()).unwrap();
        let error = observer.observe(&everything()).await.unwrap_err();
        assert_eq!(error.cause.to_string(), words);
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let server = stub(vec![(
        SCOPES,
        vec![error(401, "Unauthorized"), ok(json!([]))],
    )])
    .await;
    let observer = observer(&server.uri());
    observer.observe(&scopes_alone()).await.unwrap();
    assert_eq!(
        (asked(&server, MINT).await, asked(&server, SCOPES).await),
        (2, 2)
    );
    observer.observe(&scopes_alone()).await.unwrap();
    assert_eq!(
        (asked(&server, MINT).await, asked(&server, SCOPES).await),
        (2, 3)
    );
}

#[tokio::test]
async fn a_token_that_stays_refused_is_an_error_after_one_renewal() {
    let server = stub(vec![(SCOPES, vec![error(401, "Unauthorized")])]).await;
    let error = failure(&server.uri()).await;
    assert_eq!(error.reason(), "unauthorized");
    assert_eq!(
        error.cause.to_string(),
        "the server said: 401 Unauthorized, Unauthorized"
    );
    assert!(
        error
            .help
            .unwrap()
            .contains("credential \"onelogin-prod\" (SCOPEWARD_ONELOGIN_PROD_*)")
    );
    assert_eq!(
        (asked(&server, MINT).await, asked(&server, SCOPES).await),
        (2, 2)
    );
}

#[tokio::test]
async fn a_wrong_secret_is_tried_once_however_many_requests_wait_for_the_token() {
    let refused = ResponseTemplate::new(401).set_body_json(
        json!({ "status": { "error": true, "code": 401, "type": "Unauthorized", "message": "Authentication Failure" } }),
    );
    let server = stub(vec![(MINT, vec![refused])]).await;
    let writer = writer(&server.uri());
    let changes: Vec<Change> = (0..20).map(|n| create(&format!("s{n}"))).collect();
    let results = futures::future::join_all(changes.iter().map(|change| writer.make(change))).await;
    for error in results.into_iter().map(Result::unwrap_err) {
        assert_eq!(
            texts(&error).lines().next().unwrap(),
            "could not get a token from OneLogin: the server said: 401 Unauthorized, Authentication Failure"
        );
        assert_eq!(error.fate, Fate::NotDone);
    }
    assert_eq!(asked(&server, MINT).await, 1);
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_is_counted_from_its_making_and_not_from_its_fetching() {
    let old = ok(
        json!({ "access_token": TOKEN, "created_at": "2021-07-29T16:00:51.000Z", "expires_in": 36000 }),
    );
    let server = stub(vec![
        (MINT, vec![old, token()]),
        (SCOPES, vec![ok(json!([]))]),
    ])
    .await;
    // It is over by its own account, but was given a moment ago: it is used, since the clock may be wrong.
    observer(&server.uri())
        .observe(&everything())
        .await
        .unwrap_err();
    assert_eq!(asked(&server, MINT).await, 1);
}

#[tokio::test]
async fn a_token_answer_that_cannot_be_read_is_not_shown() {
    let odd = ok(json!({ "access_token": { "secret": TOKEN } }));
    let server = stub(vec![(MINT, vec![odd])]).await;
    let error = failure(&server.uri()).await;
    assert_eq!(error.reason(), "unexpected_answer");
    assert!(!texts(&error).contains(TOKEN), "{error:?}");
}

#[tokio::test]
async fn reads_are_sent_again_and_a_create_is_looked_up_first() {
    let server = stub(vec![
        (
            SCOPES,
            vec![
                error(502, "x"),
                error(503, "x"),
                error(504, "x"),
                ok(json!([])),
            ],
        ),
        (CREATE, vec![error(503, "busy"), ok(json!({ "id": 9 }))]),
    ])
    .await;
    let writer = writer(&server.uri());
    writer.observe(&scopes_alone()).await.unwrap();
    assert_eq!(asked(&server, SCOPES).await, 4);
    let done = writer.make(&create("a")).await.unwrap();
    assert_eq!(id_of(done), Some(RemoteId::new("9")));
    // The 503 may have come after the fact: one list, then the second POST.
    assert_eq!(
        (asked(&server, CREATE).await, asked(&server, SCOPES).await),
        (2, 5)
    );
}

#[tokio::test]
async fn a_read_is_given_up_after_its_attempts() {
    let server = stub(vec![(SCOPES, vec![error(502, "API overloaded")])]).await;
    let error = failure(&server.uri()).await;
    assert!(error.is_retryable());
    assert_eq!(error.fate, Fate::NotDone);
    assert_eq!(asked(&server, SCOPES).await, 4);
}

#[tokio::test]
async fn a_create_that_was_not_processed_is_sent_again_without_a_look() {
    let slow = error(429, "slow down").insert_header("retry-after", "0");
    let server = stub(vec![(CREATE, vec![slow, ok(json!({ "id": 9 }))])]).await;
    let writer = writer(&server.uri());
    writer.make(&create("a")).await.unwrap();
    assert_eq!(
        (asked(&server, CREATE).await, asked(&server, SCOPES).await),
        (2, 0)
    );
    let sent = Requests {
        total: 3,
        writes: 2,
        tokens: 1,
    };
    assert_eq!(writer.requests(), sent);
}

#[tokio::test]
async fn a_500_on_create_is_settled_by_a_list_and_never_sent_again() {
    let mine = json!({ "id": 9, "value": "a", "description": "About a" });
    let other = json!({ "id": 9, "value": "a", "description": "Somebody else's" });
    for (list, outcome) in [
        (json!([mine]), Ok(Some(RemoteId::new("9")))),
        // It may have been made: a list may lag.
        (json!([]), Err(Fate::Unknown)),
        (json!([other]), Err(Fate::Unknown)),
        (json!("no list"), Err(Fate::Unknown)),
    ] {
        let server = stub(vec![
            (CREATE, vec![error(500, "boom")]),
            (SCOPES, vec![ok(list.clone())]),
        ])
        .await;
        let result = writer(&server.uri()).make(&create("a")).await;
        let result = result.map(id_of).map_err(|error| {
            assert!(
                error
                    .cause
                    .to_string()
                    .contains("500 Internal Server Error, boom"),
                "{error:?}"
            );
            error.fate
        });
        assert_eq!(result, outcome, "{list}");
        assert_eq!(asked(&server, CREATE).await, 1, "{list}");
    }
}

#[tokio::test]
async fn a_doubt_about_an_earlier_attempt_stays() {
    let server = stub(vec![
        (
            CREATE,
            vec![
                error(503, "busy"),
                error(422, "Validation failed: something else"),
            ],
        ),
        (SCOPES, vec![ok(json!([]))]),
    ])
    .await;
    let error = writer(&server.uri()).make(&create("a")).await.unwrap_err();
    assert!(
        error.cause.to_string().contains("something else"),
        "{error:?}"
    );
    assert_eq!(error.fate, Fate::Unknown);
}

#[tokio::test]
async fn a_name_that_is_taken_is_looked_up() {
    let taken = || error(422, "Validation failed: Value has already been taken");
    let mine = json!([{ "id": 9, "value": "a", "description": "About a" }]);
    let server = stub(vec![(CREATE, vec![taken()]), (SCOPES, vec![ok(mine)])]).await;
    let found = writer(&server.uri()).make(&create("a")).await;
    assert_eq!(found, Ok(Applied::Found));

    let server = stub(vec![(CREATE, vec![taken()]), (SCOPES, vec![ok(json!([]))])]).await;
    let error = writer(&server.uri()).make(&create("a")).await.unwrap_err();
    assert!(
        error.cause.to_string().contains("already been taken"),
        "{error:?}"
    );
    assert_eq!(asked(&server, CREATE).await, 1);
}

#[tokio::test]
async fn updates_renames_and_deletes_say_all_that_the_api_wants() {
    const ONE: &str = "/api/2/api_authorizations/31415/scopes/1";
    let server = stub(vec![(&format!("PUT {ONE}"), vec![ok(json!({ "id": 1 }))])]).await;
    let writer = writer(&server.uri());
    let id = RemoteId::new("1");
    let update = Change::UpdateScope {
        id: Some(id.clone()),
        before: state("a"),
        after: ScopeState {
            description: Some("New".to_owned()),
            ..state("a")
        },
    };
    let rename = Change::RenameScope {
        id: id.clone(),
        before: state("a"),
        after: ScopeState {
            name: name("b"),
            ..state("a")
        },
    };
    let delete = Change::DeleteScope {
        id: Some(id),
        before: state("b"),
    };
    for change in [update, rename, delete] {
        // The delete answers 404: what is gone is deleted.
        writer.make(&change).await.unwrap();
    }
    assert_eq!(
        bodies(&server, &format!("PUT {ONE}")).await,
        [
            json!({ "value": "a", "description": "New" }),
            json!({ "value": "b", "description": "About a" }),
        ]
    );
    assert_eq!(asked(&server, &format!("DELETE {ONE}")).await, 1);
}

#[tokio::test]
async fn lists_of_apps_are_written_as_ids_of_what_is_live_or_was_made() {
    const SHOP: &str = "/api/2/api_authorizations/31415/clients/7";
    const ATTACH: &str = "POST /api/2/api_authorizations/31415/clients";
    let server = stub(vec![
        (SCOPES, vec![ok(json!([scope(1, "a"), scope(2, "b")]))]),
        (CREATE, vec![ok(json!({ "id": 9 }))]),
        (
            ATTACH,
            vec![
                ResponseTemplate::new(201).set_body_json(json!({ "app_id": 7, "api_auth_id": 1 })),
            ],
        ),
        (
            &format!("PUT {SHOP}"),
            vec![ok(json!({ "app_id": 7, "api_auth_id": 1 }))],
        ),
    ])
    .await;
    let writer = writer(&server.uri());
    writer.observe(&scopes_alone()).await.unwrap();
    writer.make(&create("c")).await.unwrap();
    let app = AppRef::OneLogin { app_id: 7 };
    let names =
        |texts: &[&str]| -> BTreeSet<ScopeName> { texts.iter().map(|text| name(text)).collect() };
    let replace = |after: &[&str], inherited: &[&str]| Change::ReplaceAppScopes {
        app: app.clone(),
        before: names(&["a"]),
        after: names(after),
        inherited: names(inherited),
    };
    let attach = Change::AttachApp {
        app: app.clone(),
        after: names(&["a", "c"]),
    };
    writer.make(&attach).await.unwrap();
    writer.make(&replace(&["c"], &["b"])).await.unwrap();
    writer.make(&replace(&[], &[])).await.unwrap();
    let before = writer.requests();
    let error = writer
        .make(&replace(&["a", "unheard-of"], &[]))
        .await
        .unwrap_err();
    assert!(
        error
            .cause
            .to_string()
            .contains("\"unheard-of\" is not live"),
        "{error:?}"
    );
    assert_eq!(writer.requests(), before);
    let detach = Change::DetachApp {
        app: app.clone(),
        before: names(&[]),
    };
    writer.make(&detach).await.unwrap();
    assert_eq!(
        bodies(&server, ATTACH).await,
        [json!({ "app_id": 7, "scopes": [1, 9] })]
    );
    assert_eq!(
        bodies(&server, &format!("PUT {SHOP}")).await,
        [json!({ "scopes": [2, 9] }), json!({ "scopes": [] })]
    );
    assert_eq!(asked(&server, &format!("DELETE {SHOP}")).await, 1);
}

#[tokio::test]
async fn an_attachment_in_doubt_is_looked_up() {
    const ATTACH: &str = "POST /api/2/api_authorizations/31415/clients";
    let shop = |scopes: Value| json!([{ "app_id": 7, "api_auth_id": 31415, "name": "Shop", "scopes": scopes }]);
    for (clients, fate) in [
        (shop(json!([scope(1, "a")])), None),
        (shop(json!([])), Some(Fate::Unknown)),
        (json!([]), Some(Fate::Unknown)),
    ] {
        let server = stub(vec![
            (SCOPES, vec![ok(json!([scope(1, "a")]))]),
            (CLIENTS, vec![ok(clients)]),
            (ATTACH, vec![error(500, "boom")]),
        ])
        .await;
        let writer = writer(&server.uri());
        writer.observe(&scopes_alone()).await.unwrap();
        let attach = Change::AttachApp {
            app: AppRef::OneLogin { app_id: 7 },
            after: [name("a")].into(),
        };
        let result = writer.make(&attach).await;
        assert_eq!(result.err().map(|error| error.fate), fate);
    }
}

#[tokio::test]
async fn a_name_that_is_live_twice_has_no_id() {
    let server = stub(vec![(
        SCOPES,
        vec![ok(json!([scope(1, "a"), scope(2, "a")]))],
    )])
    .await;
    let writer = writer(&server.uri());
    let live = writer.observe(&scopes_alone()).await.unwrap();
    assert_eq!(live.duplicates, [name("a")].into());
    let attach = Change::AttachApp {
        app: AppRef::OneLogin { app_id: 7 },
        after: [name("a")].into(),
    };
    let error = writer.make(&attach).await.unwrap_err();
    assert_eq!(error.fate, Fate::NotDone);
    assert_eq!(writer.requests().writes, 0);
}

#[tokio::test]
async fn an_interrupt_ends_a_pause_and_starts_nothing_new() {
    let slow = error(429, "slow down").insert_header("retry-after", "120");
    let server = stub(vec![(SCOPES, vec![slow]), (CLIENTS, vec![ok(json!([]))])]).await;
    let connect = connect();
    let mut target = target(&server.uri());
    target.pace.max_in_flight = 1;
    let observer: Arc<dyn Observe> = provider::observer(&target, &credential(), &connect)
        .unwrap()
        .into();
    let paused = tokio::spawn({
        let observer = Arc::clone(&observer);
        async move { observer.observe(&scopes_alone()).await }
    });
    while asked(&server, SCOPES).await == 0 {
        tokio::task::yield_now().await;
    }
    let waiting = tokio::spawn({
        let observer = Arc::clone(&observer);
        let interest = Interest {
            consumers: true,
            ..Interest::default()
        };
        async move { observer.observe(&interest).await }
    });
    tokio::task::yield_now().await;
    connect.interrupt.cancel();
    assert_eq!(paused.await.unwrap().unwrap_err().reason(), "rate_limited");
    assert_eq!(waiting.await.unwrap().unwrap_err().reason(), "interrupted");
    assert_eq!(asked(&server, CLIENTS).await, 0);
    let error = observer.observe(&scopes_alone()).await.unwrap_err();
    assert_eq!(error.cause, Cause::Interrupted);
    assert_eq!(asked(&server, SCOPES).await, 1);
}

/// Sets the interrupt while a request is in flight, and fails it.
struct Interrupting(Interrupt);

impl Respond for Interrupting {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        self.0.cancel();
        error(503, "going down")
    }
}

#[tokio::test]
async fn what_was_in_flight_at_an_interrupt_is_settled() {
    let mine = json!({ "id": 9, "value": "a", "description": "About a" });
    for (list, outcome) in [
        (json!([mine]), Ok(Some(RemoteId::new("9")))),
        (json!([]), Err(Fate::Unknown)),
    ] {
        let connect = connect();
        let server = stub(vec![(SCOPES, vec![ok(list)])]).await;
        Mock::given(method("POST"))
            .and(path("/api/2/api_authorizations/31415/scopes"))
            .respond_with(Interrupting(connect.interrupt.clone()))
            .with_priority(1)
            .mount(&server)
            .await;
        let writer = provider::provider(&target(&server.uri()), &credential(), &connect).unwrap();
        let result = writer.make(&create("a")).await;
        assert_eq!(result.map(id_of).map_err(|error| error.fate), outcome);
        // Looked for, and not sent again.
        assert_eq!(
            (asked(&server, CREATE).await, asked(&server, SCOPES).await),
            (1, 1)
        );
    }
}

#[tokio::test]
async fn a_server_that_asks_to_wait_longer_than_a_run_does_is_not_waited_for() {
    let slow = error(429, "slow down").insert_header("x-ratelimit-reset", "832");
    let server = stub(vec![(SCOPES, vec![slow])]).await;
    let error = failure(&server.uri()).await;
    assert_eq!(error.reason(), "rate_limited");
    assert!(error.help.unwrap().contains("832 s"));
    assert_eq!(asked(&server, SCOPES).await, 1);
}

#[tokio::test]
async fn a_wait_beyond_all_clocks_is_not_waited_for_either() {
    for (status, header) in [
        (429, "retry-after"),
        (503, "retry-after"),
        (429, "x-ratelimit-reset"),
    ] {
        for seconds in ["18446744073709551615", "9223372036854775807"] {
            let endless = error(status, "never again").insert_header(header, seconds);
            let server = stub(vec![(SCOPES, vec![endless])]).await;
            let error = failure(&server.uri()).await;
            assert!(error.is_retryable(), "{error:?}");
            assert!(error.help.unwrap().contains(seconds));
            assert_eq!(asked(&server, SCOPES).await, 1);
        }
    }
}

#[tokio::test]
async fn a_limit_that_counts_down_on_every_answer_is_not_what_a_503_asks_for() {
    let busy = error(503, "busy")
        .insert_header("x-ratelimit-remaining", "0")
        .insert_header("x-ratelimit-reset", "3000");
    let server = stub(vec![(SCOPES, vec![busy, ok(json!([]))])]).await;
    observer(&server.uri())
        .observe(&scopes_alone())
        .await
        .unwrap();
    assert_eq!(asked(&server, SCOPES).await, 2);
}

#[tokio::test]
async fn a_redirect_is_an_error_that_says_where_it_points() {
    let elsewhere = stub(vec![]).await;
    let away = ResponseTemplate::new(302).insert_header(
        "location",
        format!("{}/x?token=1", elsewhere.uri()).as_str(),
    );
    let server = stub(vec![(SCOPES, vec![away])]).await;
    let error = failure(&server.uri()).await;
    let host = elsewhere.uri().replace("http://", "");
    assert_eq!(
        error.cause.to_string(),
        format!("the server said: 302 Found, a redirect to {host}, which is not followed")
    );
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
    assert_eq!(asked(&server, SCOPES).await, 1);
}

#[tokio::test]
async fn a_success_that_is_no_list_is_never_an_empty_list() {
    let html =
        ResponseTemplate::new(200).set_body_raw("<html><title>Log in</title></html>", "text/html");
    for (answer, words) in [
        (html, r#"an HTML page, "Log in""#),
        (ResponseTemplate::new(200), "it is empty"),
        (ResponseTemplate::new(204), "a list is answered with 200"),
        (ok(json!({})), "invalid type: map"),
        (ok(json!(null)), "invalid type: null"),
        (ok(json!([{ "id": 1 }])), "missing field `value`"),
        (
            ResponseTemplate::new(200).set_body_string("[]]"),
            "trailing characters",
        ),
        (
            ResponseTemplate::new(200)
                .set_body_string(format!(r#"[{{"x":{}"#, "[".repeat(100_000))),
            "EOF while parsing",
        ),
    ] {
        let server = stub(vec![(SCOPES, vec![answer])]).await;
        let error = failure(&server.uri()).await;
        assert_eq!(error.reason(), "unexpected_answer");
        assert!(
            error.cause.to_string().contains(words),
            "{words}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_list_of_several_pages_is_followed_to_its_end_or_is_an_error() {
    let page = |body: Value, next: &str| ok(body).insert_header("after-cursor", next);
    let server = stub(vec![(
        SCOPES,
        vec![
            page(json!([scope(1, "a")]), "c1"),
            ok(json!([scope(2, "b")])),
        ],
    )])
    .await;
    let live = observer(&server.uri())
        .observe(&scopes_alone())
        .await
        .unwrap();
    assert_eq!(live.scopes.len(), 2);

    let server = stub(vec![(SCOPES, vec![page(json!([]), "c1")])]).await;
    assert_eq!(failure(&server.uri()).await.reason(), "observe_incomplete");
}

/// A server of raw bytes: every connection gets `answers` by path, and is closed.
async fn raw(list: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let body = json!({ "access_token": TOKEN, "expires_in": 36000 }).to_string();
    let token = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (token, list) = (token.clone(), list.clone());
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let answer = if head[..length].starts_with(b"POST /auth") {
                    token.into_bytes()
                } else {
                    list
                };
                let _ = stream.write_all(&answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

#[tokio::test]
async fn half_a_body_is_no_answer() {
    let address = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[]".to_vec()).await;
    let observer = observer(&format!("http://{address}"));
    let error = observer.observe(&scopes_alone()).await.unwrap_err();
    assert_eq!(error.reason(), "transport");
    assert!(
        error
            .cause
            .to_string()
            .starts_with(&format!("the connection to {address} broke: ")),
        "{error:?}"
    );
    // One token, four attempts.
    assert_eq!(observer.requests().total, 5);
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_one_too() {
    let address = raw(vec![]).await;
    let writer = writer(&format!("http://{address}"));
    let error = writer.make(&create("a")).await.unwrap_err();
    // The POST was sent, and the look at what became of it broke as well.
    assert_eq!((error.reason(), error.fate), ("transport", Fate::Unknown));
    assert_eq!(writer.requests().writes, 1);
}

#[tokio::test]
async fn an_answer_beyond_all_measure_is_not_read() {
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n[".to_vec();
    let error = failure(&format!("http://{}", raw(announced).await)).await;
    assert_eq!(error.cause, Cause::TooLarge(64 << 20));

    let mut endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..40 {
        endless.extend_from_slice(b"10000\r\n");
        endless.extend_from_slice(&vec![b' '; 0x10000]);
        endless.extend_from_slice(b"\r\n");
    }
    let writer = writer(&format!("http://{}", raw(endless).await));
    let update = Change::UpdateScope {
        id: Some(RemoteId::new("1")),
        before: state("a"),
        after: state("a"),
    };
    let error = writer.make(&update).await.unwrap_err();
    assert_eq!(
        (error.cause, error.fate),
        (Cause::TooLarge(1 << 20), Fate::Unknown)
    );
}

#[tokio::test]
async fn a_dead_host_is_named() {
    let address = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let error = failure(&format!("http://{address}")).await;
    assert_eq!(
        error.cause.to_string(),
        format!("no connection to {address}: Connection refused (os error 111)")
    );
    assert_eq!(error.fate, Fate::NotDone);
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_timeout() {
    let never = ok(json!([])).set_delay(Duration::from_mins(10));
    let server = stub(vec![(SCOPES, vec![never])]).await;
    let mut connect = connect();
    connect.patience.request = Duration::from_millis(50);
    connect.patience.attempts = 1;
    let observer = provider::observer(&target(&server.uri()), &credential(), &connect).unwrap();
    let error = observer.observe(&scopes_alone()).await.unwrap_err();
    assert_eq!(error.reason(), "timeout");
}

/// A TLS server with a certificate that nobody vouches for; gives its URL, its SHA-256 and its PEM.
async fn self_signed() -> (String, String, String) {
    use sha2::{Digest, Sha256};
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let der = made.cert.der().clone();
    let sha256 = Sha256::digest(&der)
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let mut head = vec![0; 4096];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let body = if head[..length].starts_with(b"POST /auth") {
                    json!({ "access_token": TOKEN }).to_string()
                } else {
                    "[]".to_owned()
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    (format!("https://localhost:{port}"), sha256, made.cert.pem())
}

async fn observe_with(
    url: &str,
    tls: Tls,
    authorities: Option<String>,
) -> Result<(), ProviderError> {
    let mut target = target(url);
    target.tls = tls;
    let mut credential = credential();
    credential.authorities = authorities;
    let observer = provider::observer(&target, &credential, &connect())?;
    observer.observe(&scopes_alone()).await.map(|_| ())
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused_with_the_ways_to_trust_it() {
    let (url, sha256, _) = self_signed().await;
    let error = observe_with(&url, Tls::default(), None).await.unwrap_err();
    assert_eq!(error.reason(), "certificate");
    let host = url.replace("https://", "");
    assert!(
        error
            .cause
            .to_string()
            .starts_with(&format!("the certificate of {host} is not trusted: ")),
        "{error:?}"
    );
    let help = error.help.unwrap();
    for way in [
        "tls.caFile",
        "tls.caSecretRef",
        &format!("tls.pinnedSha256: {sha256}"),
    ] {
        assert!(help.contains(way), "{help}");
    }
}

#[tokio::test]
async fn a_pinned_certificate_is_the_only_one_accepted_whatever_its_name() {
    let (url, sha256, _) = self_signed().await;
    let pin = |pin: String| Tls {
        pinned_sha256: Some(pin),
        ..Tls::default()
    };
    // The certificate is for `localhost` alone.
    let by_address = url.replace("localhost", "127.0.0.1");
    observe_with(&by_address, pin(sha256.clone()), None)
        .await
        .unwrap();
    let error = observe_with(&url, pin("0".repeat(64)), None)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "certificate");
    assert!(
        error.cause.to_string().contains("it is not the pinned one"),
        "{error:?}"
    );
    assert!(error.help.unwrap().contains(&sha256));
    let error = observe_with(&url, pin("12".to_owned()), None)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "configuration");
}

#[tokio::test]
async fn an_authority_is_taken_from_a_file_or_from_text() {
    let (url, _, pem) = self_signed().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, &pem).unwrap();
    let file = Tls {
        ca_file: Some(path),
        ..Tls::default()
    };
    observe_with(&url, file, None).await.unwrap();
    observe_with(&url, Tls::default(), Some(pem.clone()))
        .await
        .unwrap();
    // Its name still counts.
    let by_address = url.replace("localhost", "127.0.0.1");
    let error = observe_with(&by_address, Tls::default(), Some(pem))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "certificate");
    let nothing = Tls {
        insecure_skip_verify: true,
        ..Tls::default()
    };
    observe_with(&by_address, nothing, None).await.unwrap();
}

#[tokio::test]
async fn a_credential_goes_to_its_own_url_and_nowhere_else() {
    let server = stub(vec![(SCOPES, vec![ok(json!([]))])]).await;
    let open = |url: &str, pinned: Option<&str>| {
        let mut credential = credential();
        if let Some(pinned) = pinned {
            credential
                .keys
                .insert("url".to_owned(), pinned.to_owned().into());
        }
        provider::observer(&target(url), &credential, &connect()).map(|_| ())
    };
    let refused = |result: Result<(), ProviderError>| {
        let error = result.unwrap_err();
        assert_eq!(error.reason(), "credential");
        error.cause.to_string()
    };
    let here = server.uri();
    open(&here, None).unwrap();
    open(&here, Some(&format!("{here}/"))).unwrap();
    let why = refused(open(&here, Some("https://acme.onelogin.com")));
    assert_eq!(
        why,
        format!(
            "credential \"onelogin-prod\" (SCOPEWARD_ONELOGIN_PROD_*) is for https://acme.onelogin.com, and the target's \
             url is {here}"
        )
    );
    refused(open(&here, Some("no url")));
    refused(open("https://acme.onelogin.com", None));
    refused(open(
        "https://evil.example",
        Some("https://acme.onelogin.com"),
    ));
    refused(open(
        "http://acme.onelogin.com",
        Some("https://acme.onelogin.com"),
    ));
    refused(open(
        "https://acme.onelogin.com:8443",
        Some("https://acme.onelogin.com"),
    ));
    open(
        "https://ACME.onelogin.com/",
        Some(" https://acme.onelogin.com"),
    )
    .unwrap();
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_sandbox_gets_every_request_and_the_identity_stays_the_manifests() {
    let server = stub(vec![
        ("POST /@prod/auth/oauth2/v2/token", vec![token()]),
        (
            "GET /@prod/api/2/api_authorizations/31415/scopes",
            vec![ok(json!([]))],
        ),
    ])
    .await;
    let connect = Connect {
        sandbox: Some(Url::parse(&format!("{}/@prod", server.uri())).unwrap()),
        ..connect()
    };
    let mut credential = credential();
    let token_url = "https://acme.onelogin.com/auth/oauth2/v2/token";
    credential
        .keys
        .insert("tokenUrl".to_owned(), token_url.to_owned().into());
    let target = target("https://acme.onelogin.com");
    let observer = provider::observer(&target, &credential, &connect).unwrap();
    let live = observer.observe(&scopes_alone()).await.unwrap();
    assert_eq!(
        live.identity.as_str(),
        "oneLogin https://acme.onelogin.com 31415"
    );
    assert_eq!(server.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_missing_key_is_named_before_anything_is_sent() {
    let bare = Credential::new(
        "onelogin-prod",
        "--credentials DIR/onelogin-prod",
        [("clientId", "")],
    );
    let error = provider::observer(&target("http://127.0.0.1:1"), &bare, &connect())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(
        error.cause.to_string(),
        "credential \"onelogin-prod\" (--credentials DIR/onelogin-prod) lacks `clientId` and `clientSecret`"
    );
}

/// Collects everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn holds(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().unwrap()).contains(text)
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
#[expect(
    clippy::too_many_lines,
    reason = "one run after another, all of whose texts are searched in the end"
)]
async fn no_log_error_or_debug_text_holds_a_secret() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let basic = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("an-id:{SECRET}"),
    );
    let encoded = SECRET
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace(' ', "%20");
    // A server that echoes all it can: in its error, in headers, cut at the length where texts are.
    let echo = format!("{SECRET} {TOKEN} Basic {basic} {encoded}");
    let unknown_token = echo.replace(TOKEN, "");
    let long = format!("{} {echo}", "x".repeat(490));
    let echoed = |status: u16, text: &str| {
        error(status, text).insert_header("authorization", format!("Bearer {TOKEN}").as_str())
    };
    let server = stub(vec![
        (MINT, vec![token(), token(), echoed(400, &unknown_token)]),
        (
            SCOPES,
            vec![
                echoed(401, &echo),
                echoed(422, &echo),
                echoed(422, &long),
                ok(json!({ (TOKEN): SECRET })),
                ok(json!(SECRET)),
            ],
        ),
        (CREATE, vec![echoed(422, &echo)]),
    ])
    .await;
    let target = target(&server.uri());
    let credential = credential();
    let connect = connect();
    // A callsite that another test is just registering may not see this subscriber yet.
    let canary = stub(vec![(CREATE, vec![ok(json!({ "id": 1 }))])]).await;
    while !(log.holds("request body") && log.holds("path=\"/auth/oauth2/v2/token\"")) {
        tracing::callsite::rebuild_interest_cache();
        provider::provider(&self::target(&canary.uri()), &credential, &connect)
            .unwrap()
            .make(&create("a"))
            .await
            .unwrap();
    }
    let mut shown = format!("{credential:?}{credential}{connect:?}");
    let writer = provider::provider(&target, &credential, &connect).unwrap();
    for _ in 0..4 {
        let error = writer.observe(&scopes_alone()).await.unwrap_err();
        shown += &texts(&error);
        shown += &error.help.unwrap_or_default();
    }
    let planted = Change::CreateScope {
        after: ScopeState {
            description: Some(format!("a slip: {SECRET} and {TOKEN}")),
            ..state("a")
        },
    };
    shown += &texts(&writer.make(&planted).await.unwrap_err());
    let fresh = provider::observer(&target, &credential, &connect).unwrap();
    let error = fresh.observe(&scopes_alone()).await.unwrap_err();
    shown += &texts(&error);
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        logged.contains("a slip: [redacted] and [redacted]"),
        "{logged}"
    );
    assert!(
        shown.contains("422 Unprocessable Entity, [redacted]"),
        "{shown}"
    );
    for secret in [SECRET, TOKEN, &basic, &encoded, "s3cr3t", "t0ken"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
        assert!(!logged.contains(secret), "{secret} in {logged}");
    }
}
