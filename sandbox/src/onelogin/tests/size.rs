//! Worlds as large as they get.

use super::*;

/// Anything that is not linear would be felt here.
#[test]
fn a_hundred_thousand_scopes_on_one_server_are_served() {
    let mut account = account();
    let scopes: Vec<Value> = (100..100_100)
        .map(|id| json!({ "id": id, "value": format!("scope:{id}"), "description": "One of many" }))
        .collect();
    account["authorizationServers"][0]["scopes"]
        .as_array_mut()
        .unwrap()
        .extend(scopes);
    account["authorizationServers"][0]["clients"][0]["scopes"] = (100..50_100).collect();
    let mut desk = Desk::of(account);
    let bearer = desk.bearer.clone().unwrap();
    let list = desk.send(
        "GET",
        "/api/2/api_authorizations/31415/scopes",
        &[("authorization", &bearer)],
        "",
    );
    assert_eq!(read(&list).as_array().unwrap().len(), 100_003);
    for id in 100..1100 {
        assert_eq!(
            desk.call("DELETE", &format!("/31415/scopes/{id}"), "").0,
            204
        );
    }
    for id in 100..1100 {
        assert_eq!(
            desk.call(
                "POST",
                "/31415/scopes",
                &json!({ "value": format!("again:{id}") }).to_string()
            )
            .0,
            200
        );
    }
    let world = desk.system.world();
    assert_eq!(
        world["authorizationServers"][0]["scopes"]
            .as_array()
            .unwrap()
            .len(),
        100_003
    );
}
