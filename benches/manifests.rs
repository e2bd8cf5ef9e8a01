//! Reading ten thousand manifests: parsing the YAML alone against all of `validate`.
//!
//! All of it is to stay within one and a half times of parsing.

use std::hint::black_box;

use criterion::Criterion;
use scopeward::manifest::{self, Options};
use scopeward::model::SourceFile;

#[path = "../bench/documents.rs"]
mod documents;

/// Parses ten thousand documents, and reads them as `validate` does.
pub fn manifests(criterion: &mut Criterion) {
    const COUNT: usize = 10_000;
    let files: Vec<(SourceFile, String)> = documents::company(COUNT)
        .into_iter()
        .map(|(name, text)| (SourceFile::new(name), text))
        .collect();
    let options = Options {
        strict: false,
        selector: None,
        now: "2026-01-10T12:00:00Z".parse().expect("a time"),
        repository: None,
        overlays: Vec::new(),
        cluster: None,
        recorded: std::collections::BTreeSet::new(),
    };
    let loaded = manifest::read(&files, &options);
    assert!(loaded.complete && loaded.documents == COUNT + documents::TARGETS);
    let mut group = criterion.benchmark_group("10,000 manifests");
    group.sample_size(20);
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
