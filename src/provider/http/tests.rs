//! What cannot be seen from outside: an observer has no way to write.

use std::time::Duration;

use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::model::target::{
    Adoption, Approval, AuthorizationServer, Drift, Endpoint, Policy, Thresholds, Tls,
};
use crate::model::{Source, SourceFile, TargetId};
use crate::provider::Fate;

/// A target on this machine.
fn target(url: &str) -> Target {
    Target {
        id: TargetId::from("iam/t".to_owned()),
        source: Source {
            file: SourceFile::new("t.yaml"),
            document: 0,
            line: 1,
            kind: "Target".to_owned(),
            namespace: "iam".to_owned(),
            name: "t".to_owned(),
        },
        endpoint: Endpoint::OneLogin {
            url: Url::parse(url).expect("valid"),
            server: AuthorizationServer::Id(1),
        },
        credential: "t".to_owned(),
        policy: Policy::default(),
        suspend: false,
        approval: Approval::default(),
        approved_plan: None,
        pace: Pace::default(),
        safety: Thresholds::default(),
        tls: Tls::default(),
        adoption: Adoption::default(),
        drift: Drift::default(),
    }
}

/// What a source of tokens may send, with or without a token that was refused before.
pub(crate) fn token_calls(http: &Http, after_refusal: bool) -> TokenCalls<'_> {
    TokenCalls {
        http,
        settling: false,
        after_refusal,
    }
}

/// The requests of a target on this machine.
pub(crate) fn http(url: &str, purpose: Purpose) -> Http {
    waiting(url, purpose, Duration::from_secs(1))
}

/// The same, which waits for a quota as long as that.
fn waiting(url: &str, purpose: Purpose, quota: Duration) -> Http {
    let connect = Connect {
        patience: Patience {
            attempts: 3,
            quota,
            first_delay: Duration::from_millis(1),
            ..Patience::default()
        },
        ..Connect::default()
    };
    let auth = Auth::Bearer("t0ken".into());
    let credential = Credential::new("t", "nowhere", [("password", "s3cret")]);
    Http::open(&target(url), &credential, &connect, purpose, auth).expect("valid")
}

async fn server(status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(status).set_body_string("{}"))
        .mount(&server)
        .await;
    server
}

async fn received(server: &MockServer) -> usize {
    server.received_requests().await.expect("recorded").len()
}

#[tokio::test]
async fn an_observer_sends_no_write() {
    let server = server(200).await;
    let http = http(&server.uri(), Purpose::Read);
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ] {
        let call = http.call(method.clone(), &["a"], "write");
        for call in [
            call,
            http.call(method.clone(), &["a"], "write")
                .repeatable()
                .settling(true),
        ] {
            let error = call.send().await.expect_err("refused");
            assert_eq!(error.reason(), "write_refused", "{method}");
        }
    }
    assert_eq!(received(&server).await, 0);
    assert_eq!(http.requests(), Requests::default());
    http.get(&["a"], "read")
        .send()
        .await
        .expect("it only reads");
    let token = token_calls(&http, false)
        .post_at(&["token"], "get a token")
        .form(&[("grant_type", "x")]);
    token.send().await.expect("a token request writes nothing");
    let sent = Requests {
        total: 2,
        writes: 0,
        tokens: 1,
    };
    assert_eq!(http.requests(), sent);
}

#[tokio::test]
async fn requests_are_repeated_by_what_they_do() {
    for (status, get, put, post) in [(503, 3, 3, 1), (500, 1, 1, 1), (404, 1, 1, 1)] {
        let server = server(status).await;
        let http = http(&server.uri(), Purpose::Write);
        let calls = [
            (Method::GET, get),
            (Method::PUT, put),
            (Method::DELETE, put),
            (Method::POST, post),
        ];
        for (method, times) in calls {
            server.reset().await;
            Mock::given(any())
                .respond_with(ResponseTemplate::new(status))
                .mount(&server)
                .await;
            let error = http
                .call(method.clone(), &["a"], "try")
                .send()
                .await
                .expect_err("failed");
            assert_eq!(received(&server).await, times, "{method} {status}");
            let in_doubt = method != Method::GET && status >= 500;
            let fate = if in_doubt {
                Fate::Unknown
            } else {
                Fate::NotDone
            };
            assert_eq!(error.fate, fate, "{method} {status}");
        }
        server.reset().await;
        let again = http.post(&["a"], &(), "replace").repeatable().send().await;
        again.expect_err("nothing is mounted");
        assert_eq!(received(&server).await, 1);
    }
}

#[tokio::test]
async fn an_expected_status_is_an_answer_with_words() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(
            ResponseTemplate::new(409)
                .set_body_string(r#"{"code":900984,"message":"Scope s3cret exists"}"#),
        )
        .mount(&server)
        .await;
    let http = http(&server.uri(), Purpose::Write);
    let call = http.post(&["a"], &(), "create it").expecting(&[409]);
    let answer = call.send().await.expect("expected");
    assert_eq!(answer.status(), 409);
    assert_eq!(answer.words().code.as_deref(), Some("900984"));
    assert_eq!(answer.words().text, "Scope [redacted] exists (900984)");
}

#[test]
fn segments_are_escaped_one_by_one_and_never_change_the_path() {
    let http = http("http://127.0.0.1:1/base/", Purpose::Read);
    let url = |segments: &[&str]| http.url(segments, "look");
    assert_eq!(
        url(&["a/b", "c?d#e", "f%2F;g +", "\u{e9}[]", "x..y"])
            .expect("valid")
            .as_str(),
        "http://127.0.0.1:1/base/a%2Fb/c%3Fd%23e/f%252F%3Bg%20%2B/%C3%A9%5B%5D/x..y"
    );
    for segment in ["", ".", ".."] {
        assert!(url(&["a", segment]).is_err(), "{segment:?}");
    }
}

#[tokio::test]
async fn a_quota_is_waited_out_however_many_tries_that_takes() {
    for method in [Method::GET, Method::PUT, Method::POST] {
        let server = server(200).await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(429))
            .up_to_n_times(8)
            .with_priority(1)
            .mount(&server)
            .await;
        let http = waiting(&server.uri(), Purpose::Write, Duration::from_mins(1));
        let answer = http.call(method, &["x"], "do it").send().await;
        assert_eq!(answer.expect("in the end").status(), 200);
        assert_eq!(received(&server).await, 9);
    }
}

#[tokio::test]
async fn a_quota_that_was_waited_for_in_vain_is_not_waited_for_again_at_once() {
    let server = server(429).await;
    let http = http(&server.uri(), Purpose::Write);
    let put = || http.call(Method::PUT, &["x"], "do it").send();
    assert_eq!(put().await.expect_err("refused").reason(), "rate_limited");
    let tries = received(&server).await;
    assert!(tries > 1);
    assert_eq!(put().await.expect_err("refused").reason(), "rate_limited");
    assert_eq!(received(&server).await, tries + 1);
}
