//! Plans and reports are what their schemas say, member by member.

use std::fs;

use regex::Regex;
use serde_json::Value;

use super::varied;
use crate::support::*;

/// What of a value is not as the schema says. Stricter than JSON Schema: a member that the schema does not name is one that
/// programs were not told of.
fn faults(root: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    let mut fault = |what: String| found.push(format!("{place}: {what}: {value}"));
    let known = "$ref $schema title definitions description format minimum type enum const pattern allOf anyOf required \
                 properties items";
    for word in schema.as_object().unwrap().keys() {
        assert!(
            known.split_whitespace().any(|known| known == word),
            "{word} is not understood here"
        );
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let definition = root.pointer(reference.strip_prefix('#').unwrap()).unwrap();
        return faults(root, definition, value, place, found);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match &schema["type"] {
        Value::String(one) if one != kind => fault(format!("no {one}")),
        Value::Array(several) if !several.iter().any(|one| one == kind) => {
            fault("of another type".to_owned());
        }
        _ => {}
    }
    if schema["enum"]
        .as_array()
        .is_some_and(|choices| !choices.contains(value))
    {
        fault(format!("none of {}", schema["enum"]));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        fault(format!("not {}", schema["const"]));
    }
    if let (Some(pattern), Some(text)) = (schema["pattern"].as_str(), value.as_str())
        && !Regex::new(pattern).unwrap().is_match(text)
    {
        fault(format!("does not match {pattern}"));
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &Value| {
            let mut found = Vec::new();
            faults(root, choice, value, place, &mut found);
            found.is_empty()
        };
        if !choices.iter().any(fits) {
            fault("fits no choice".to_owned());
        }
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        faults(root, part, value, place, found);
    }
    if let (Some(members), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    {
        for required in schema["required"].as_array().into_iter().flatten() {
            if !members.contains_key(required.as_str().unwrap()) {
                found.push(format!("{place}: {required} is missing"));
            }
        }
        for (name, member) in members {
            match properties.get(name) {
                Some(schema) => faults(root, schema, member, &format!("{place}/{name}"), found),
                None => found.push(format!("{place}: {name} stands in no schema")),
            }
        }
    }
    if let (Some(items), true) = (value.as_array(), schema["items"].is_object()) {
        for (index, item) in items.iter().enumerate() {
            faults(
                root,
                &schema["items"],
                item,
                &format!("{place}/{index}"),
                found,
            );
        }
    }
}

#[track_caller]
fn fits(name: &str, value: &Value) {
    let file = format!("{}/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let mut found = Vec::new();
    faults(&schema, &schema, value, "", &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn plans_and_reports_are_what_their_schemas_say() {
    let case = varied();
    fits("plan", &case.plan(&["-v"]).exits(REFUSED).report);
    case.target("apigee", "suspend: true");
    case.fail(serde_json::json!([{ "method": "PUT", "system": "onelogin", "fault": { "status": { "code": 422, "body": "{}" } } }]));
    let report = case.sync(&["--new-inventory"]).report;
    fits("report", &report);
    assert!(report.to_string().contains("\"failed\""), "{report}");
    case.heal();
    fits("report", &case.sync(&[]).report);
    // A system that cannot be read, and a report of it.
    case.fail(serde_json::json!([{ "token": true, "fault": { "status": { "code": 401 } } }]));
    fits("plan", &case.plan(&[]).exits(REFUSED).report);
    fits("report", &case.sync(&[]).report);
}

#[test]
fn the_schemas_of_plans_and_reports_refuse_what_is_none() {
    let case = varied();
    let plan = case.plan(&[]).exits(REFUSED).report;
    let schema = |name: &str| -> Value {
        let file = format!("{}/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    };
    let faults_of = |name: &str, value: &Value| {
        let mut found = Vec::new();
        faults(&schema(name), &schema(name), value, "", &mut found);
        found.len()
    };
    assert!(faults_of("report", &plan) > 0, "a plan is no report");
    for (place, wrong) in [
        ("/targets/0/changes/0/reason", Value::from("because")),
        ("/targets/0/system", Value::from("okta")),
        ("/digest", Value::from("sha256:1")),
        ("/targets/0/population/live", Value::from("1")),
    ] {
        let mut plan = plan.clone();
        *plan.pointer_mut(place).unwrap() = wrong;
        assert_eq!(faults_of("plan", &plan), 1, "{place}");
    }
}
