//! The rules that `validate` runs are those of the API server.

use std::collections::BTreeSet;

use kube::core::cel::Validator;
use scopeward::manifest::crd;
use serde_json::Value;

/// Every failed rule of a document, as the API server would say it: the whole definition, its defaults filled in.
fn failed_rules(document: &Value) -> BTreeSet<String> {
    let definition = crd::definitions()
        .into_iter()
        .find(|definition| document["kind"] == definition.spec.names.kind.as_str())
        .expect("a document of ours");
    let version = serde_json::to_value(&definition.spec.versions[0]).expect("plain data");
    let schema = &version["schema"]["openAPIV3Schema"];
    match Validator::new().validate(schema, document, None) {
        Ok(()) => BTreeSet::new(),
        Err(errors) => errors
            .into_iter()
            .map(|error| format!("`{}`: {}", error.field_path, error.message))
            .collect(),
    }
}

/// Every failed rule of a text, as `validate` says it.
fn found_rules(text: &str) -> BTreeSet<String> {
    super::read(text)
        .diagnostics
        .into_iter()
        .filter(|finding| finding.code == scopeward::diagnostic::codes::RULE)
        .map(|finding| finding.message)
        .collect()
}

#[test]
fn every_rule_fails_here_as_it_would_in_the_api_server() {
    let folder = super::repository("tests/fixtures/malformed");
    let mut seen = BTreeSet::new();
    for name in [
        "contradicting-fields",
        "two-systems",
        "one-app-twice",
        "open-to-all",
    ] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.yaml"))).expect("a fixture");
        for text in text.split("---\n") {
            let document: Value = serde_saphyr::from_str(text).expect("YAML");
            let expected = failed_rules(&document);
            assert_eq!(found_rules(text), expected, "{text}");
            seen.extend(
                expected
                    .into_iter()
                    .map(|rule| rule.split_once(": ").expect("a place").1.to_owned()),
            );
        }
    }
    let all: BTreeSet<String> = crd::definitions()
        .iter()
        .flat_map(|definition| messages(&serde_json::to_value(definition).expect("plain data")))
        .collect();
    assert_eq!(seen, all, "every rule is broken by some fixture");
}

/// The message of every rule in a definition.
fn messages(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value) {
                ("x-kubernetes-validations", Value::Array(rules)) => rules
                    .iter()
                    .filter_map(|rule| rule["message"].as_str().map(str::to_owned))
                    .collect(),
                _ => messages(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(messages).collect(),
        _ => Vec::new(),
    }
}
