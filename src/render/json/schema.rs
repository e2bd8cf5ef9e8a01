//! The JSON Schemas (draft 7) of a plan and of a report: what other programs may rely on.

use serde_json::{Value, json};
use strum::VariantNames as _;

use super::FORMAT_VERSION;
use crate::model::System;
use crate::plan::{ObjectKind, Reason, Rule, SkipReason};

/// Both schemas: a file's name and its text each.
pub fn schemas() -> Vec<(String, String)> {
    [("plan.json", plan()), ("report.json", report())]
        .into_iter()
        .map(|(name, schema)| {
            let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
            (name.to_owned(), text + "\n")
        })
        .collect()
}

/// What `plan -o json` writes.
fn plan() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Scopeward plan",
        "description": "What `scopeward plan -o json` writes. A member may be added at any time; one is renamed or removed only with another formatVersion.",
        "type": "object",
        "required": ["formatVersion", "digest", "mode", "source", "targets", "diagnostics", "summary"],
        "properties": {
            "formatVersion": { "const": FORMAT_VERSION },
            "digest": described("Of the whole plan: what --approve-plan takes.", &reference("digest")),
            "mode": { "description": "Whether removals are wanted.", "enum": ["apply", "sync"] },
            "source": {
                "type": "object",
                "required": ["paths"],
                "properties": {
                    "paths": { "description": "The PATHs as given.", "type": "array", "items": { "type": "string" } },
                },
            },
            "targets": list("target"),
            "diagnostics": list("diagnostic"),
            "summary": reference("summary"),
        },
        "definitions": definitions(),
    })
}

/// What `apply -o json` and `sync -o json` write: a plan, and what became of it.
fn report() -> Value {
    let mut schema = plan();
    schema["title"] = json!("Scopeward report");
    schema["description"] = json!(
        "What `scopeward apply -o json` and `scopeward sync -o json` write: the plan with what became of it. A member may be added at any time; one is renamed or removed only with another formatVersion."
    );
    extend(
        &mut schema,
        &json!({
            "result": {
                "description": "What became of the run as a whole.",
                "enum": ["noChanges", "applied", "partial", "refused", "failed", "stale"],
            },
            "runId": { "description": "As in the audit log.", "type": "string" },
            "startedAt": { "type": "string", "format": "date-time" },
            "finishedAt": { "type": "string", "format": "date-time" },
        }),
        &[],
    );
    let definitions = &mut schema["definitions"];
    let planned = definitions["change"].clone();
    extend(
        &mut definitions["target"],
        &json!({
            "writes": { "description": "How many writes were sent.", "type": "integer" },
            "converged": {
                "description": "Whether the system was read again and holds what the manifests say; null where it was not read.",
                "type": ["boolean", "null"],
            },
            "remaining": described("What a further run would do.", &list("remainingChange")),
            "remainingDigest": described("Of that plan.", &reference("digest")),
        }),
        &["remainingDigest"],
    );
    extend(
        &mut definitions["change"],
        &json!({
            "outcome": { "enum": ["done", "failed", "skipped", "unknown"] },
            "remoteId": { "description": "The object's id, where the change was made.", "type": ["string", "null"] },
            "error": described("Why it was not made, or is not known to be.", &reference("failure")),
        }),
        // A target that could not be read has no outcomes.
        &["outcome", "remoteId", "error"],
    );
    definitions["remainingChange"] = planned;
    schema
}

#[expect(clippy::too_many_lines, reason = "a schema, as one text")]
fn definitions() -> Value {
    let count = |words: &str| json!({ "description": words, "type": "integer", "minimum": 0 });
    let text = |words: &str| json!({ "description": words, "type": "string" });
    let optional = |words: &str| json!({ "description": words, "type": ["string", "null"] });
    let value = json!({
        "description": "A text, null where there is none, or a set, sorted.",
        "type": ["string", "array", "null"],
        "items": { "type": "string" },
    });
    let (objects, reasons, skips) = (ObjectKind::VARIANTS, Reason::VARIANTS, SkipReason::VARIANTS);
    let withheld: Vec<Value> = skips
        .iter()
        .map(|skip| json!(skip))
        .chain([Value::Null])
        .collect();
    json!({
        "digest": { "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" },
        "target": object(&json!({
            "target": text("namespace/name of its manifest."),
            "system": { "enum": System::VARIANTS },
            "liveIdentity": optional("What the target really is; the key of its inventory."),
            "digest": described("Of this target's part: --approve-plan takes it too.", &reference("digest")),
            "complete": { "description": "Whether it was read.", "type": "boolean" },
            "suspended": { "type": "boolean" },
            "error": { "description": "Why it could not be read or verified.", "anyOf": [reference("failure"), { "type": "null" }] },
            "requests": count("How many calls it took."),
            "population": object(&json!({
                "live": count("Live objects: scopes, and apps with a list of them."),
                "managed": count("Those of them that are managed."),
                "unmanaged": count("Those that are not."),
                "desired": count("Declared objects."),
            }), &[]),
            "unchanged": count("Declared objects that are as they should be."),
            "changes": described("In the order in which they are made.", &list("change")),
            "skipped": described("What is left alone.", &list("skip")),
            "access": object(&json!({ "gains": list("grant"), "losses": list("grant") }), &[]),
            "refusals": described("What safety rules stop.", &list("refusal")),
            "summary": reference("summary"),
        }), &[]),
        "change": object(&json!({
            "action": { "enum": ["create", "update", "rename", "attach", "replace", "detach", "delete"] },
            "object": reference("object"),
            "manifest": { "description": "Null for a removal.", "anyOf": [reference("manifest"), { "type": "null" }] },
            "reason": { "enum": reasons },
            "remark": optional("What a reviewer should know beside, such as who still uses it."),
            "withheld": { "description": "Why it does not run, where it does not.", "enum": withheld },
            "fields": { "type": "array", "items": object(&json!({
                "path": text("`name`, `displayName`, `description`, `bindings` or `scopes`."),
                "before": value,
                "after": value,
            }), &[]) },
            "precondition": object(&json!({
                "before": described("Of the live state that the change rests on.", &reference("digest")),
            }), &[]),
        }), &[]),
        "object": object(&json!({
            "kind": { "enum": objects },
            "name": text("The scope's name, or the app's path."),
            "remoteId": text("Its id on the system."),
        }), &["remoteId"]),
        "manifest": object(&json!({
            "file": text("Relative to the folder that holds .git, else to the working folder."),
            "document": count("Which document of the file, from 0."),
            "line": count("Where it starts, from 1."),
            "kind": text("Its kind."),
            "namespace": text("Its namespace."),
            "name": text("Its name."),
        }), &[]),
        "skip": object(&json!({
            "object": reference("object"),
            "reason": { "enum": skips },
            "entries": { "description": "The entries of the set that it is about; absent is all of it. For what has moved, the file that it moved to.", "type": "array", "items": { "type": "string" } },
        }), &["entries"]),
        "grant": object(&json!({
            "subject": text("`role support`, `app shop`, `any user`."),
            "scope": text("The scope's name."),
        }), &[]),
        "refusal": object(&json!({
            "rule": { "enum": Rule::VARIANTS },
            "message": text("One sentence with the numbers."),
            "wayThrough": text("What to do."),
            "liftable": { "description": "Whether --approve-plan lifts it.", "type": "boolean" },
            "object": described("What it stops; absent is the whole target.", &reference("object")),
            "limit": count("The rule's limit, where it has one."),
            "actual": count("What was counted against it."),
        }), &["object", "limit", "actual"]),
        "failure": object(&json!({
            "reason": text("A word for programs, such as `unauthorized`."),
            "status": { "description": "The status of the server's answer.", "type": ["integer", "null"] },
            "message": text("The whole sentence, the server's own words included."),
            "help": optional("What to do."),
        }), &["status", "help"]),
        "diagnostic": object(&json!({
            "code": { "description": "See docs/checks.md.", "type": "string", "pattern": "^SW[0-9]{3}$" },
            "severity": { "enum": ["error", "warning", "note"] },
            "message": text("What is wrong."),
            "label": text("The words at the marked text."),
            "notes": { "description": "Facts, each a heading and a text.", "type": "array", "items": { "type": "array", "items": { "type": "string" } } },
            "help": text("What to do."),
            "file": text("The file."),
            "line": count("From 1."),
            "column": count("From 1, in characters."),
        }), &["label", "notes", "help", "file", "line", "column"]),
        "summary": object(&json!({
            "create": count("New scopes."),
            "update": count("Scopes with other values."),
            "rename": count("Scopes with another name."),
            "attach": count("Apps that become clients."),
            "replace": count("Lists of scopes replaced."),
            "detach": count("Apps that are no clients any more."),
            "delete": count("Scopes that go."),
        }), &[]),
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

fn list(of: &str) -> Value {
    json!({ "type": "array", "items": reference(of) })
}

/// A schema with words of its own; beside `$ref` draft 7 ignores everything.
fn described(words: &str, schema: &Value) -> Value {
    json!({ "description": words, "allOf": [schema] })
}

/// An object whose members are all required but the optional ones.
fn object(properties: &Value, optional: &[&str]) -> Value {
    let mut object = json!({ "type": "object", "required": [], "properties": {} });
    extend(&mut object, properties, optional);
    object
}

/// Adds members to an object.
fn extend(object: &mut Value, more: &Value, optional: &[&str]) {
    for (name, schema) in more.as_object().into_iter().flatten() {
        object["properties"][name] = schema.clone();
        if let Some(required) = object["required"].as_array_mut()
            && !optional.contains(&name.as_str())
        {
            required.push(json!(name));
        }
    }
}
