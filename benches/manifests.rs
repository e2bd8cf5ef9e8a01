//! Reading ten thousand manifests: parsing the YAML alone against all of `validate`.
//!
//! All of it is to stay within one and a half times of parsing.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use scopeward::manifest::{self, Options};
use scopeward::model::SourceFile;

/// A company's manifests: mostly scopes, some with bindings apart, and apps; a hundred documents a file.
fn manifests(count: usize) -> Vec<(SourceFile, String)> {
    let mut targets = String::new();
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
            targets,
            "apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata:\n  name: {name}\n  namespace: iam\nspec:\n  {system}\n  credentialsRef:\n    name: {name}\n---\n"
        );
    }
    let mut files = vec![(SourceFile::new("targets.yaml"), targets)];
    let documents: Vec<String> = (0..count).map(document).collect();
    for (index, documents) in documents.chunks(100).enumerate() {
        let file = SourceFile::new(format!("scopes-{index}.yaml"));
        files.push((file, documents.join("---\n")));
    }
    files
}

/// One document of the kinds in turn.
fn document(index: usize) -> String {
    let head = |kind: &str| {
        format!(
            "apiVersion: scopeward.dev/v1alpha1\nkind: {kind}\nmetadata:\n  name: object-{index}\n  namespace: iam\n  labels:\n    team: orders\n"
        )
    };
    match index % 10 {
        0 => format!(
            "{}spec:\n  targetRef:\n    name: onelogin\n  app:\n    oneLogin:\n      appId: {}\n  scopes:\n    - area-{}:read\n    - area-{}:read\n",
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
            "{}spec:\n  targetRefs:\n    - name: onelogin\n    - name: wso2\n  name: area-{index}:read\n  description: See what area {index} holds and where it goes\n",
            head("Scope"),
        ),
    }
}

fn ten_thousand_documents(criterion: &mut Criterion) {
    let files = manifests(10_000);
    let options = Options {
        strict: false,
        selector: None,
        now: "2026-01-10T12:00:00Z".parse().expect("a time"),
    };
    let loaded = manifest::read(&files, &options);
    assert!(loaded.complete && loaded.documents == 10_002);
    let mut group = criterion.benchmark_group("10,000 manifests");
    group.sample_size(10);
    group.bench_function("parse", |bencher| {
        bencher.iter(|| {
            for (_, text) in &files {
                let values: Vec<serde_json::Value> =
                    serde_saphyr::from_multiple(text).expect("the text is YAML");
                black_box(values);
            }
        });
    });
    group.bench_function("validate", |bencher| {
        bencher.iter(|| black_box(manifest::read(&files, &options)));
    });
    group.finish();
}

criterion_group!(benches, ten_thousand_documents);
criterion_main!(benches);
