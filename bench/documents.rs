//! A company's manifests, for measuring what reading them takes.

use std::fmt::Write as _;

/// How many of the documents are Targets.
pub const TARGETS: usize = 2;
/// How many documents stand in one file.
const PER_FILE: usize = 100;

/// Files, by name, that hold two Targets and `count` other manifests: eight Scopes in ten, a `ScopeBinding` and an
/// `AppScopeSet`.
pub fn company(count: usize) -> Vec<(String, String)> {
    let mut files = vec![("targets.yaml".to_owned(), targets())];
    let documents: Vec<String> = (0..count).map(document).collect();
    for (index, documents) in documents.chunks(PER_FILE).enumerate() {
        files.push((format!("scopes-{index:03}.yaml"), documents.join("---\n")));
    }
    files
}

fn targets() -> String {
    let mut text = String::new();
    for (name, system) in [
        (
            "onelogin",
            "oneLogin: { url: https://acme.onelogin.com, authorizationServer: { id: 1 } }",
        ),
        (
            "wso2",
            "wso2: { url: https://wso2.acme.com, api: Publisher }",
        ),
    ] {
        let _ = write!(
            text,
            "apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata:\n  name: {name}\n  namespace: iam\nspec:\n  \
             {system}\n  credentialsRef:\n    name: {name}\n---\n"
        );
    }
    text
}

/// One document, the kinds in turn.
fn document(index: usize) -> String {
    let head = |kind: &str| {
        format!(
            "apiVersion: scopeward.dev/v1alpha1\nkind: {kind}\nmetadata:\n  name: object-{index}\n  namespace: iam\n  \
             labels:\n    team: orders\n"
        )
    };
    match index % 10 {
        0 => format!(
            "{}spec:\n  targetRef:\n    name: onelogin\n  app:\n    oneLogin:\n      appId: {}\n  scopes:\n    \
             - area-{}:read\n    - area-{}:read\n",
            head("AppScopeSet"),
            index + 1,
            index + 2,
            index + 3,
        ),
        1 => format!(
            "{}spec:\n  scopeRef:\n    name: object-{}\n  roles:\n    - support\n    - sales\n",
            head("ScopeBinding"),
            index + 1,
        ),
        _ => format!(
            "{}spec:\n  targetRefs:\n    - name: onelogin\n    - name: wso2\n  name: area-{index}:read\n  \
             description: See what area {index} holds and where it goes\n",
            head("Scope"),
        ),
    }
}
