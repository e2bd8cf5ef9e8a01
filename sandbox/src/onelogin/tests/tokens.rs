//! Tokens, access and the hourly limit.

use super::*;

#[test]
fn every_form_of_credentials_gives_the_same_token() {
    let mut desk = Desk::new();
    let with_all =
        r#"{"grant_type":"client_credentials","client_id":"id","client_secret":"secret"}"#;
    let form = "grant_type=client_credentials&client_id=id&client_secret=secret";
    let mut tokens = Vec::new();
    for (headers, body) in [
        (vec![BASIC, JSON], GRANT),
        (vec![VENDOR, JSON], GRANT),
        (vec![BASIC, FORM], "grant_type=client_credentials"),
        (vec![JSON], with_all),
        (vec![FORM], form),
        (
            vec![BASIC, ("content-type", "application/json; charset=utf-8")],
            GRANT,
        ),
    ] {
        let (status, token) = desk.token("/auth/oauth2/v2/token", &headers, body);
        assert_eq!(status, 200, "{headers:?} {body}: {token}");
        tokens.push(token);
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    let members: Vec<_> = tokens[0].as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "access_token",
            "created_at",
            "expires_in",
            "refresh_token",
            "token_type",
            "account_id"
        ]
    );
    assert_eq!(
        (&tokens[0]["account_id"], &tokens[0]["token_type"]),
        (&json!(62), &json!("bearer"))
    );
}

#[test]
fn a_token_keeps_its_creation_time_and_its_36000_seconds_until_it_expires() {
    let mut desk = Desk::new();
    let (_, first) = desk.token("/auth/oauth2/v2/token", &[BASIC, JSON], GRANT);
    assert_eq!(first["created_at"], "2021-07-29T16:00:51.000Z");
    desk.now = NOW + SignedDuration::from_secs(35_999);
    let (_, late) = desk.token("/auth/oauth2/v2/token", &[BASIC, JSON], GRANT);
    assert_eq!((&late, &late["expires_in"]), (&first, &json!(36_000)));
    assert_eq!(desk.call("GET", "", "").0, 200);
    desk.now = NOW + SignedDuration::from_secs(36_000);
    assert_eq!(desk.call("GET", "", "").0, 401);
    let (_, next) = desk.token("/auth/oauth2/v2/token", &[BASIC, JSON], GRANT);
    assert_ne!(next["access_token"], first["access_token"]);
    assert_eq!(next["created_at"], "2021-07-30T02:00:51.000Z");
}

#[test]
fn a_token_call_without_what_it_needs_is_answered_in_the_shape_of_auth() {
    let mut desk = Desk::new();
    let wrong = ("authorization", "Basic aWQ6d3Jvbmc=");
    let content_type = "Content Type is not specified or specified incorrectly. \
                        Content-Type header must be set to application/json";
    for (headers, body, status, kind, message) in [
        (
            vec![BASIC, JSON],
            r#"{"grant_type":"password"}"#,
            400,
            "bad request",
            "grant_type is incorrect. grant_type must be client_credentials",
        ),
        (
            vec![BASIC, JSON],
            "[",
            400,
            "bad request",
            "grant_type is incorrect. grant_type must be client_credentials",
        ),
        (vec![BASIC], GRANT, 400, "bad request", content_type),
        (
            vec![BASIC, ("content-type", "text/plain")],
            GRANT,
            400,
            "bad request",
            content_type,
        ),
        (
            vec![JSON],
            GRANT,
            400,
            "bad request",
            "The authorization information is missing",
        ),
        (
            vec![wrong, JSON],
            GRANT,
            401,
            "Unauthorized",
            "Authentication Failure",
        ),
    ] {
        let answer = desk.token("/auth/oauth2/v2/token", &headers, body);
        let expected = json!({ "status": { "error": true, "code": status, "type": kind, "message": message } });
        assert_eq!(answer, (status, expected), "{headers:?} {body}");
    }
    let response = desk.send("GET", "/auth/oauth2/v2/token", &[BASIC], "");
    assert_eq!(
        (response.status, &read(&response)["status"]["message"]),
        (404, &json!("No Route Exists"))
    );
}

#[test]
fn the_first_version_wraps_its_answer_and_ends_the_token_before() {
    let mut desk = Desk::new();
    let (status, wrapped) = desk.token("/auth/oauth2/token", &[VENDOR, JSON], GRANT);
    assert_eq!(status, 200);
    assert_eq!(
        wrapped["status"],
        json!({ "error": false, "code": 200, "type": "success", "message": "Success" })
    );
    assert_eq!(wrapped["data"][0]["expires_in"], 36_000);
    assert_eq!(
        desk.call("GET", "", "").0,
        401,
        "the token of before is dead"
    );

    let mut desk = Desk::with(json!({ "v1TokenReplaces": false }));
    desk.token("/auth/oauth2/token", &[VENDOR, JSON], GRANT);
    assert_eq!(desk.call("GET", "", "").0, 200);
}

#[test]
fn a_revoked_token_is_dead_and_the_next_is_another() {
    let mut desk = Desk::new();
    let token = desk.bearer.clone().unwrap().split_off("Bearer ".len());
    let body = json!({ "access_token": token }).to_string();
    assert_eq!(desk.token("/auth/oauth2/revoke", &[JSON], &body).0, 400);
    let (status, answer) = desk.token("/auth/oauth2/revoke", &[VENDOR, JSON], &body);
    assert_eq!(
        (status, &answer["status"]["message"]),
        (200, &json!("Success"))
    );
    assert_eq!(desk.call("GET", "", "").0, 401);
    desk.sign_in();
    assert_ne!(desk.bearer.clone().unwrap(), format!("Bearer {token}"));
    assert_eq!(desk.call("GET", "", "").0, 200);
}

#[test]
fn the_second_version_of_the_api_takes_a_bearer_with_a_space_only() {
    let mut desk = Desk::new();
    let token = desk.bearer.clone().unwrap().split_off("Bearer ".len());
    for (header, status) in [
        (format!("bearer {token}"), 200),
        (format!("Bearer {token}"), 200),
        (format!("bearer:{token}"), 401),
        (format!("bearer: {token}"), 401),
        ("bearer 0".to_owned(), 401),
        (token.clone(), 401),
        ("bearer".to_owned(), 401),
        (BASIC.1.to_owned(), 401),
    ] {
        let response = desk.send(
            "GET",
            "/api/2/api_authorizations",
            &[("authorization", &header)],
            "",
        );
        assert_eq!(response.status, status, "{header}");
        if status == 401 {
            assert_eq!(
                response.body,
                r#"{"message":"Unauthorized","name":"UnauthorizedError","statusCode":401}"#
            );
        }
    }
    let colon = format!("bearer:{token}");
    let limit = desk.send("GET", "/auth/rate_limit", &[("authorization", &colon)], "");
    assert_eq!(
        read(&limit)["data"],
        json!({ "X-RateLimit-Limit": 5000, "X-RateLimit-Remaining": 5000, "X-RateLimit-Reset": 3600 })
    );
    assert!(!limit.token);
}

#[test]
fn a_credential_may_do_what_its_access_says() {
    for (access, switches, on_read, on_write) in [
        ("manageAll", json!({}), 200, 200),
        ("readAll", json!({}), 200, 401),
        (
            "readAll",
            json!({ "readAllReads": false, "insufficientAccessStatus": 403 }),
            403,
            403,
        ),
        ("manageUsers", json!({}), 401, 401),
    ] {
        let mut account = account();
        account["credentials"][0]["access"] = json!(access);
        account["switches"] = switches;
        let mut desk = Desk::of(account);
        assert_eq!(desk.call("GET", "/31415/scopes", "").0, on_read, "{access}");
        assert_eq!(
            desk.call("POST", "/31415/scopes", r#"{"value":"x"}"#).0,
            on_write,
            "{access}"
        );
    }
}

#[test]
fn a_credential_whose_user_is_gone_breaks_every_call() {
    let mut desk = Desk::new();
    desk.system.account.credentials[0].owner_deleted = true;
    assert_eq!(desk.call("GET", "", "").0, 500);
    assert_eq!(
        desk.token("/auth/oauth2/v2/token", &[BASIC, JSON], GRANT).0,
        500
    );
}

#[test]
fn the_hourly_limit_counts_and_shows_only_where_asked_to() {
    let mut desk = Desk::new();
    let bearer = desk.bearer.clone().unwrap();
    let response = desk.send(
        "GET",
        "/api/2/api_authorizations",
        &[("authorization", &bearer)],
        "",
    );
    assert!(
        response
            .headers
            .keys()
            .all(|name| !name.as_str().starts_with("x-ratelimit"))
    );
    assert!(response.headers.contains_key("x-request-id"));

    let counts =
        json!({ "rateLimitCountsV2": true, "rateLimitPerHour": 2, "rateLimitHeaders": true });
    let mut desk = Desk::with(counts);
    let bearer = desk.bearer.clone().unwrap();
    let mut left = Vec::new();
    for _ in 0..3 {
        let response = desk.send(
            "GET",
            "/api/2/api_authorizations",
            &[("authorization", &bearer)],
            "",
        );
        left.push((
            response.status,
            response.headers["x-ratelimit-remaining"]
                .to_str()
                .unwrap()
                .to_owned(),
        ));
    }
    assert_eq!(
        left,
        [
            (200, "1".to_owned()),
            (200, "0".to_owned()),
            (429, "0".to_owned())
        ]
    );
    desk.now = NOW + SignedDuration::from_hours(1);
    assert_eq!(desk.call("GET", "", "").0, 200);
}
