//! Four systems on which a sync has every kind of change to make, to be disturbed in the middle of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::trouble::sorted;
use super::*;

/// Four systems on which a sync has every kind of change to make.
pub(crate) struct Busy {
    pub(crate) case: Case,
    /// Everything that exists before the sync.
    worlds: Value,
    /// What exists after one that nobody disturbed.
    goal: Goal,
    /// How many requests that one took.
    pub(crate) requests: u64,
    /// How many of them each system got.
    pub(crate) requests_of: BTreeMap<&'static str, u64>,
    /// How many removals it counted.
    removals: u64,
    /// How many writes the audit log had before it.
    audited: usize,
}

/// What has to be so in the end, however often it was tried.
#[derive(Debug, PartialEq)]
pub(crate) struct Goal {
    scopes: BTreeMap<&'static str, Vec<String>>,
    apps: BTreeMap<&'static str, BTreeMap<String, Vec<String>>>,
    owned: Vec<String>,
}

pub(crate) const SYSTEMS: [&str; 4] = ["onelogin", "wso2", "publisher", "apigee"];
const KEYS: std::ops::Range<u32> = 0..6;
/// How many changes the sync makes.
const CHANGES: usize = 34;

impl Busy {
    /// Has made the sync once; `in_flight` is how many calls a target has at once.
    pub(crate) fn new(in_flight: u32) -> Self {
        let mut keys = String::new();
        for n in KEYS {
            write!(
                keys,
                "{{ name: app{n}, keys: [{{ consumerKey: k{n}, products: [all], scopes: [A, B] }}] }}, "
            )
            .unwrap();
        }
        let case = Case::of([
            one_login(
                "scopes: [{ id: 90, value: theirs, description: Theirs }, { id: 91, value: kept, description: kept at first }], clients: []",
            ),
            wso2("scopes: [{ name: theirs, description: Theirs, bindings: [admin] }]"),
            publisher("sharedScopes: [{ name: theirs, description: Theirs, bindings: [admin] }]"),
            apigee(&format!(
                "products: [{{ name: all, scopes: [A, B, C, D] }}], developers: [{{ email: ann@example.com, apps: [{keys}] }}]"
            )),
        ]);
        for system in SYSTEMS {
            let more = format!(
                "safety: {{ maxRemovals: 1000, maxRemovalPercent: 100, minPopulation: 1 }}, \
                 limits: {{ requestsPerSecond: 0, maxInFlight: {in_flight} }}"
            );
            let text = case.target_manifest(system, system, "");
            let text = text.replace("limits: { requestsPerSecond: 0 }", &more);
            case.write(&format!("targets/{system}.yaml"), text);
        }
        first_manifests(&case);
        case.first_sync();
        case.keep_inventory("kept");
        let worlds = case.worlds();
        second_manifests(&case);
        let ran = case.sync(&[]).exits(DONE);
        assert_eq!(ran.changes().len(), CHANGES, "{ran}");
        Self {
            goal: Goal::of(&case),
            requests: case.requests(),
            requests_of: SYSTEMS
                .iter()
                .map(|system| (*system, case.requests_of(system)))
                .collect(),
            removals: removals(&case),
            audited: audited(&case) - CHANGES,
            case,
            worlds,
        }
    }

    /// Puts everything back to before the sync.
    pub(crate) fn again(&self) {
        self.case.heal();
        self.case.put_worlds(&self.worlds);
        self.case.put_inventory("kept");
        self.case.forget_requests();
    }

    /// A sync that is held at its `number`-th call of all, on that side of the call's effect.
    pub(crate) fn held(&self, number: u64, when: &str) -> Running {
        self.held_by(&json!({ "skip": number, "times": 1, "fault": { "hold": { "when": when } } }))
    }

    /// A sync that is held at its `number`-th call of one system.
    pub(crate) fn held_at(&self, system: &str, number: u64, when: &str) -> Running {
        self.held_by(&json!({
            "system": system, "skip": number, "times": 1, "fault": { "hold": { "when": when } }
        }))
    }

    fn held_by(&self, rule: &Value) -> Running {
        self.again();
        self.case.fail(json!([rule]));
        let running = self.case.start(&["sync", ".", "--yes"], None);
        self.case.wait_until_held();
        running
    }

    /// Finishes what was left, and looks whether all is well.
    pub(crate) fn finish(&self, what: &str) {
        let ran = self.case.sync(&[]);
        assert_eq!(ran.code, Some(DONE), "{what}\n{ran}");
        assert_eq!(Goal::of(&self.case), self.goal, "{what}");
        let inventory = self.case.inventory();
        for (identity, section) in inventory["identities"].as_object().unwrap() {
            assert_eq!(section["intents"], Value::Null, "{what}: {identity}");
        }
        // What was sent and killed counts, and every change is in the log, whether its answer came or not.
        assert!(audited(&self.case) - self.audited >= CHANGES, "{what}");
        assert!(removals(&self.case) >= self.removals, "{what}");
        self.case.forget_requests();
        let ran = self.case.sync(&[]);
        assert_eq!(ran.code, Some(DONE), "{what}\n{ran}");
        assert_eq!(self.case.writes(), 0, "{what}\n{ran}");
    }
}

/// How many removals the inventory counts.
fn removals(case: &Case) -> u64 {
    let inventory = case.inventory();
    let sections = inventory["identities"].as_object().unwrap().values();
    let past =
        sections.flat_map(|section| section["removals"].as_array().cloned().unwrap_or_default());
    past.map(|past| past["count"].as_u64().unwrap()).sum()
}

/// How many writes the audit log has.
fn audited(case: &Case) -> usize {
    case.read(".scopeward/audit.jsonl").lines().count()
}

impl Goal {
    fn of(case: &Case) -> Self {
        Self {
            scopes: SYSTEMS[..3]
                .iter()
                .map(|system| (*system, case.described(system)))
                .collect(),
            apps: ["onelogin", "apigee"]
                .iter()
                .map(|system| (*system, case.apps_of(system)))
                .collect(),
            owned: case.owned_and_there(),
        }
    }
}

impl Case {
    /// What is ours and not gone: a deletion whose record was lost leaves a tombstone for a day.
    fn owned_and_there(&self) -> Vec<String> {
        let inventory = self.inventory();
        let mut lines = Vec::new();
        for section in inventory["identities"].as_object().unwrap().values() {
            let scopes = section["scopes"].as_object().unwrap().iter();
            let apps = section["apps"].as_array().unwrap().iter();
            let apps = apps.map(|app| (app["app"].to_string(), &app["entry"]));
            let entries = scopes
                .map(|(name, entry)| (name.clone(), entry))
                .chain(apps);
            for (name, entry) in entries.filter(|(_, entry)| entry["vanishedAt"].is_null()) {
                lines.push(format!("{name} {} {}", entry["origin"], entry["applied"]));
            }
        }
        lines.sort();
        lines
    }

    /// The scopes of a system with all that is said of them, but not their ids.
    fn described(&self, system: &str) -> Vec<String> {
        let names = self.scopes_of(system);
        let line = |name: &String| {
            let scope = self.scope_of(system, name);
            let roles = sorted(&scope["bindings"]).join(",");
            format!("{name}: {} [{roles}]", scope["description"])
        };
        names.iter().map(line).collect()
    }
}

/// What is there before the sync under test: all of it made by us.
fn first_manifests(case: &Case) {
    let mut text = String::new();
    for name in [
        "kept", "old-1", "old-2", "text-1", "text-2", "was-1", "left", "right",
    ] {
        text.push_str(&scope(
            "onelogin",
            name,
            &format!("description: {name} at first"),
        ));
    }
    text.push_str(&app(
        1,
        "[kept, old-1, text-1, was-1]",
        "deletionPolicy: Delete",
    ));
    text.push_str(&app(2, "[left, right]", ""));
    case.write("onelogin.yaml", &text);
    text.clear();
    for name in [
        "w:kept",
        "w:old-1",
        "w:old-2",
        "w:text-1",
        "w:text-2",
        "w:roles-1",
        "w:roles-2",
    ] {
        let more = format!("description: \"{name} at first\", bindings: [support, sales]");
        text.push_str(&scope("wso2", name, &more));
    }
    case.write("wso2.yaml", &text);
    text.clear();
    for name in ["p-kept", "p-old-1", "p-text-1", "p-roles-1"] {
        let more = format!(
            "displayName: {name}, description: {name} at first, bindings: [support, sales]"
        );
        text.push_str(&scope("publisher", name, &more));
    }
    case.write("publisher.yaml", &text);
    case.write("apigee.yaml", keys("[A, B]"));
}

/// What is declared next.
#[expect(clippy::too_many_lines, reason = "one text a system")]
pub(crate) fn second_manifests(case: &Case) {
    let mut text = String::new();
    for name in ["kept", "text-1", "text-2", "new-1", "new-2", "new-3"] {
        let when = if name == "kept" { "at first" } else { "now" };
        text.push_str(&scope(
            "onelogin",
            name,
            &format!("description: {name} {when}"),
        ));
    }
    text.push_str(&scope(
        "onelogin",
        "is-1",
        "description: was-1 at first, previousNames: [was-1]",
    ));
    // The two change places, by way of a third name.
    text.push_str(&scope(
        "onelogin",
        "left",
        "description: right at first, previousNames: [right]",
    ));
    text.push_str(&scope(
        "onelogin",
        "right",
        "description: left at first, previousNames: [left]",
    ));
    text.push_str(&app(2, "[kept, new-1, left]", "deletionPolicy: Delete"));
    text.push_str(&app(3, "[new-2, is-1]", "deletionPolicy: Delete"));
    case.write("onelogin.yaml", &text);
    text.clear();
    for (name, more) in [
        (
            "w:kept",
            "description: \"w:kept at first\", bindings: [support, sales]",
        ),
        (
            "w:text-1",
            "description: \"w:text-1 now\", bindings: [support, sales]",
        ),
        (
            "w:text-2",
            "description: \"w:text-2 now\", bindings: [support, sales]",
        ),
        (
            "w:roles-1",
            "description: \"w:roles-1 at first\", bindings: [support, accounting]",
        ),
        (
            "w:roles-2",
            "description: \"w:roles-2 at first\", bindings: [support, sales, accounting]",
        ),
        ("w:new-1", "description: New, bindings: [support]"),
        ("w:new-2", "description: New, bindings: [sales]"),
        ("w:new-3", "description: New, bindings: [support, sales]"),
    ] {
        text.push_str(&scope("wso2", name, more));
    }
    case.write("wso2.yaml", &text);
    text.clear();
    for (name, more) in [
        (
            "p-kept",
            "description: p-kept at first, bindings: [support, sales]",
        ),
        (
            "p-text-1",
            "description: p-text-1 now, bindings: [support, sales]",
        ),
        (
            "p-roles-1",
            "description: p-roles-1 at first, bindings: [support]",
        ),
        ("p-new-1", "description: New, bindings: [support]"),
        ("p-new-2", "description: New, bindings: [sales]"),
    ] {
        text.push_str(&scope(
            "publisher",
            name,
            &format!("displayName: {name}, {more}"),
        ));
    }
    case.write("publisher.yaml", &text);
    case.write("apigee.yaml", keys("[B, C]"));
}

/// An `AppScopeSet` for every key.
fn keys(scopes: &str) -> String {
    let spec = |n| {
        format!(
            "targetRef: {{ name: apigee }}, app: {{ apigee: {{ developer: ann@example.com, app: app{n}, consumerKey: k{n} }} }}, \
             scopes: {scopes}"
        )
    };
    KEYS.map(|n| manifest::document("AppScopeSet", &format!("key-{n}"), &spec(n)))
        .collect()
}
