//! "As declared" is one judgement over the declarations, for text, JSON and the exit code alike.

use crate::support::manifest::{document, labelled, scope_spec};
use crate::support::*;

/// Whether a run calls everything as declared, in text and in JSON.
fn is_called_declared(ran: &Ran) -> bool {
    ran.stdout.contains("verified") || ran.target("wso2")["converged"] == true
}

#[test]
fn a_run_with_an_invalid_manifest_is_not_as_declared_although_the_rest_is_written() {
    let case = Case::of([wso2("scopes: []")]);
    case.write(
        "scopes.yaml",
        scope("wso2", "a", "description: A") + &scope("wso2", "b", "description: null"),
    );
    let ran = case
        .run(&["sync", ".", "--yes", "--new-inventory"])
        .exits(PARTIAL);
    let ran = ran.says("0 of 1 targets as declared");
    assert!(!is_called_declared(&ran), "{}", ran.stdout);
}

#[test]
fn an_app_that_is_not_there_is_not_as_declared_although_the_rest_is_written() {
    let case = Case::of([apigee_shop("[READ, WRITE]", "[READ]")]);
    case.write(
        "apps.yaml",
        key("[READ, WRITE]", "")
            + &document(
                "AppScopeSet",
                "other",
                "targetRef: { name: apigee }, app: { apigee: { developer: ann@example.com, app: nosuch } }, scopes: [READ]",
            ),
    );
    let ran = case
        .run(&["sync", ".", "--yes", "--new-inventory"])
        .exits(PARTIAL);
    let ran = ran
        .says("0 of 1 targets as declared")
        .never_says("verified");
    assert_eq!(ran.target("apigee")["converged"], false);
}

#[test]
fn what_a_hold_leaves_is_said_and_is_no_failure() {
    let case = Case::of([wso2("scopes: []")]);
    case.write("scopes.yaml", scope("wso2", "a", "description: A"));
    case.first_sync().exits(DONE);
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let hold = format!("name: a, annotations: {{ scopeward.dev/hold-until: {until} }}");
    case.write(
        "scopes.yaml",
        labelled("Scope", &hold, &scope_spec("wso2", "a", "description: B")),
    );
    case.sync(&[])
        .exits(DONE)
        .says("on hold")
        .says("0 of 1 targets as declared");
}
