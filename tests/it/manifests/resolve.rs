//! Documents into what is wanted.

use scopeward::diagnostic::Severity;
use scopeward::manifest::Loaded;
use scopeward::model::{
    DeletionPolicy, ForeignScopes, ManifestRef, RoleName, ScopeName, SourceFile,
};

use super::{read, read_all, repository};

const TARGETS: &str = "apiVersion: scopeward.dev/v1alpha1
kind: Target
metadata: { name: onelogin }
spec:
  oneLogin: { url: https://acme.onelogin.com, authorizationServer: { id: 1 } }
  credentialsRef: { name: onelogin }
---
apiVersion: scopeward.dev/v1alpha1
kind: Target
metadata: { name: wso2 }
spec:
  wso2: { url: https://wso2.acme.com, api: ScopeRegistration }
  credentialsRef: { name: wso2 }
";

/// A manifest of one kind.
fn manifest(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: scopeward.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {spec}\n"
    )
}

/// The roles of a scope on a target, each with its files, and whether they may shrink.
fn roles(loaded: &Loaded, target: &str, scope: &str) -> (Vec<(String, Vec<String>)>, bool) {
    let target = loaded
        .desired
        .targets
        .iter()
        .find(|t| t.target.id.name == target);
    let scopes = &target.expect("the target is there").scopes;
    let scope = scopes
        .values()
        .find(|s| s.name.as_str() == scope)
        .expect("the scope is there");
    let entry = |(role, manifests): (&RoleName, &std::collections::BTreeSet<ManifestRef>)| {
        (
            role.to_string(),
            manifests.iter().map(|m| m.file.to_string()).collect(),
        )
    };
    (
        scope.roles.entries.iter().map(entry).collect(),
        scope.roles.may_shrink,
    )
}

#[test]
fn the_quick_start_is_what_its_files_say() {
    let loaded = scopeward::manifest::load(&[repository("examples/quickstart")], &super::options())
        .expect("there are manifests");
    insta::assert_debug_snapshot!("quickstart", loaded.desired);
}

#[test]
fn defaults_are_filled_in() {
    let app = manifest(
        "AppScopeSet",
        "shop",
        "{ targetRef: { name: onelogin }, app: { oneLogin: { appId: 7 } }, scopes: [b, a] }",
    );
    let scope = manifest("Scope", "orders", "{ targetRefs: [{ name: onelogin }] }");
    let loaded = read_all(&[("t.yaml", TARGETS), ("a.yaml", &app), ("s.yaml", &scope)]);
    assert!(!loaded.has_errors());
    let target = &loaded.desired.targets[0];
    let app = &target.apps[0];
    assert_eq!(
        (app.foreign, app.deletion_policy),
        (ForeignScopes::Remove, DeletionPolicy::Orphan)
    );
    assert!(!app.allow_empty && app.may_shrink);
    let names: Vec<&str> = app.scopes.iter().map(ScopeName::as_str).collect();
    assert_eq!(names, ["b", "a"], "the order of the manifest stays");
    let scope = target.scopes.values().next().expect("a scope");
    assert_eq!(scope.name.as_str(), "orders");
    assert_eq!(scope.deletion_policy, DeletionPolicy::Delete);
    assert_eq!(
        (&scope.description, scope.protected, scope.roles.whole),
        (&None, false, false)
    );
    let target = &target.target;
    assert_eq!(
        (target.pace.requests_per_second, target.pace.max_in_flight),
        (0, 10)
    );
    assert_eq!(target.safety.window_seconds, 86_400);
}

#[test]
fn a_target_without_wishes_is_wanted_too() {
    let loaded = read(TARGETS);
    let names: Vec<&str> = loaded
        .desired
        .targets
        .iter()
        .map(|t| t.target.id.name.as_str())
        .collect();
    assert_eq!(names, ["onelogin", "wso2"]);
}

#[test]
fn roles_are_those_of_the_scope_and_of_its_bindings() {
    let scope = manifest(
        "Scope",
        "orders",
        "{ targetRefs: [{ name: onelogin }, { name: wso2 }], bindings: [a, b] }",
    );
    let one = manifest(
        "ScopeBinding",
        "one",
        "{ scopeRef: { name: orders }, roles: [b, c], targetRefs: [{ name: wso2 }] }",
    );
    let two = manifest(
        "ScopeBinding",
        "two",
        "{ scopeRef: { name: orders }, roles: [c] }",
    );
    let files = [
        ("t.yaml", TARGETS),
        ("s.yaml", scope.as_str()),
        ("1.yaml", &one),
        ("2.yaml", &two),
    ];
    let loaded = read_all(&files);
    let files = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected = vec![
        ("a".to_owned(), files(&["s.yaml"])),
        ("b".to_owned(), files(&["1.yaml", "s.yaml"])),
        ("c".to_owned(), files(&["1.yaml", "2.yaml"])),
    ];
    assert_eq!(roles(&loaded, "wso2", "orders"), (expected, true));
}

#[test]
fn a_broken_contributor_lets_nothing_shrink() {
    let scope = manifest(
        "Scope",
        "orders",
        "{ targetRefs: [{ name: wso2 }], bindings: [a] }",
    );
    let binding = manifest(
        "ScopeBinding",
        "one",
        "{ scopeRef: { name: orders }, roles: [b], rolls: [c] }",
    );
    let loaded = read_all(&[
        ("t.yaml", TARGETS),
        ("s.yaml", &scope),
        ("b.yaml", &binding),
    ]);
    assert!(!loaded.complete);
    let (entries, may_shrink) = roles(&loaded, "wso2", "orders");
    assert_eq!((entries.len(), may_shrink), (1, false));
}

#[test]
fn a_contributor_that_was_not_selected_lets_nothing_shrink() {
    let scope = manifest(
        "Scope",
        "orders, labels: { team: a }",
        "{ targetRefs: [{ name: wso2 }], bindings: [a] }",
    );
    let other = manifest(
        "Scope",
        "sales, labels: { team: a }",
        "{ targetRefs: [{ name: wso2 }], bindings: [a] }",
    );
    let binding = manifest(
        "ScopeBinding",
        "one",
        "{ scopeRef: { name: orders }, roles: [b] }",
    );
    let texts = [
        ("t.yaml", TARGETS),
        ("s.yaml", &scope),
        ("o.yaml", &other),
        ("b.yaml", &binding),
    ];
    let texts: Vec<_> = texts
        .iter()
        .map(|(f, t)| (SourceFile::new(*f), (*t).to_owned()))
        .collect();
    let options = scopeward::manifest::Options {
        selector: Some("team=a".parse().expect("a selector")),
        ..super::options()
    };
    let loaded = scopeward::manifest::read(&texts, &options);
    assert!(loaded.complete && loaded.filtered);
    assert_eq!(
        roles(&loaded, "wso2", "orders"),
        (vec![("a".to_owned(), vec!["s.yaml".to_owned()])], false)
    );
    assert!(roles(&loaded, "wso2", "sales").1);
}

#[test]
fn what_depends_on_a_broken_manifest_is_left_out_without_a_finding_of_its_own() {
    let scope = manifest("Scope", "orders", "{ targetRefs: [{ name: broken }] }");
    let binding = manifest(
        "ScopeBinding",
        "one",
        "{ scopeRef: { name: orders }, roles: [b] }",
    );
    let broken = manifest(
        "Target",
        "broken",
        "{ oneLogin: {}, credentialsRef: { name: a } }",
    );
    let loaded = read_all(&[
        ("t.yaml", TARGETS),
        ("b.yaml", &broken),
        ("s.yaml", &scope),
        ("x.yaml", &binding),
    ]);
    assert_eq!(super::codes(&loaded), ["SW104"]);
    assert_eq!(loaded.desired.targets.len(), 2);
    assert!(
        loaded
            .desired
            .targets
            .iter()
            .all(|target| target.scopes.is_empty())
    );
}

#[test]
fn chains_and_swaps_of_names_are_fine() {
    let named = |name: &str, previous: &str| {
        let spec = format!("{{ targetRefs: [{{ name: onelogin }}], previousNames: [{previous}] }}");
        manifest("Scope", name, &spec)
    };
    let texts = [
        named("a", "b"),
        named("b", "a"),
        named("d", "c"),
        named("e", "d"),
        named("f", "F"),
    ];
    let texts: Vec<String> = std::iter::once(TARGETS.to_owned()).chain(texts).collect();
    let loaded = read(&texts.join("---\n"));
    assert_eq!(super::codes(&loaded), [""; 0]);
    assert_eq!(loaded.desired.targets[0].scopes.len(), 5);
}

#[test]
fn a_hold_reaches_the_object() {
    let scope = "apiVersion: scopeward.dev/v1alpha1
kind: Scope
metadata: { name: orders, annotations: { scopeward.dev/hold-until: \"2026-01-20T00:00:00+01:00\" } }
spec: { targetRefs: [{ name: onelogin }] }
";
    let loaded = read_all(&[("t.yaml", TARGETS), ("s.yaml", scope)]);
    let scope = loaded.desired.targets[0]
        .scopes
        .values()
        .next()
        .expect("a scope");
    assert_eq!(
        scope.hold_until.map(|time| time.to_string()),
        Some("2026-01-19T23:00:00Z".to_owned())
    );
}

#[test]
fn a_warning_or_a_note_leaves_nothing_out() {
    let text = manifest(
        "Scope",
        "orders",
        "{ targetRefs: [{ name: wso2 }], bindings: [], displayName: Orders }",
    );
    let loaded = read_all(&[("t.yaml", TARGETS), ("s.yaml", &text)]);
    let severities: Vec<Severity> = loaded
        .diagnostics
        .iter()
        .map(|finding| finding.severity)
        .collect();
    assert_eq!(severities, [Severity::Warning, Severity::Note]);
    assert!(loaded.complete);
    assert_eq!(loaded.desired.targets[1].scopes.len(), 1);
}
