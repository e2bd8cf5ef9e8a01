//! What `/metrics` tells is what the documentation, the alerts and the dashboard take it for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use promql_parser::parser::{self, Expr, LabelModifier, VectorSelector};
use promql_parser::util::{ExprVisitor, walk_expr};
use regex::Regex;
use serde_json::{Value, json};

use crate::server::rendered;
use crate::support::{Cluster, Operator, Space, eventually};

/// One sample of a text in the `OpenMetrics` format.
#[derive(Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A scraped text: the types of its families, and its samples.
#[derive(Debug, Default)]
struct Scraped {
    types: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

impl Scraped {
    /// Reads a text; what is not of the format is a failure.
    fn read(text: &str) -> Self {
        let sample = Regex::new(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$").expect("valid");
        let label = Regex::new(r#"([a-z_]+)="((?:[^"\\]|\\.)*)"(?:,|$)"#).expect("valid");
        let mut scraped = Self::default();
        assert!(text.ends_with("# EOF\n"), "{text}");
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                if let (Some("TYPE"), Some(name), Some(kind)) =
                    (words.next(), words.next(), words.next())
                {
                    scraped.types.insert(name.to_owned(), kind.to_owned());
                }
                continue;
            }
            let found = sample.captures(line);
            let found = found.unwrap_or_else(|| panic!("no sample: {line}"));
            let labels = found.get(2).map_or("", |labels| labels.as_str());
            let labels = label.captures_iter(labels);
            scraped.samples.push(Sample {
                name: found[1].to_owned(),
                labels: labels.map(|l| (l[1].to_owned(), l[2].to_owned())).collect(),
                value: found[3].parse().expect("a number"),
            });
        }
        scraped
    }

    /// Scrapes an operator.
    async fn of(operator: &Operator) -> Self {
        eventually("an answer", async || {
            let (status, text) = operator.get("/metrics").await?;
            assert_eq!(status, 200);
            Ok(Self::read(&text))
        })
        .await
    }

    /// Each family by the name that queries and people have for it, with its type and the labels of its samples.
    fn families(&self) -> BTreeMap<String, (String, BTreeSet<String>)> {
        let named = |(family, kind): (&String, &String)| {
            let (name, suffixes): (_, &[&str]) = match kind.as_str() {
                "counter" => (format!("{family}_total"), &["_total"]),
                "info" => (format!("{family}_info"), &["_info"]),
                "histogram" => (family.clone(), &["_bucket", "_sum", "_count"]),
                _ => (family.clone(), &[""]),
            };
            let is_of = |sample: &&Sample| {
                let suffix = sample.name.strip_prefix(family.as_str());
                suffix.is_some_and(|suffix| suffixes.contains(&suffix))
            };
            let labels = self.samples.iter().filter(is_of);
            let labels = labels.flat_map(|sample| sample.labels.keys().cloned());
            (
                name,
                (kind.clone(), labels.filter(|label| label != "le").collect()),
            )
        };
        self.types.iter().map(named).collect()
    }

    /// The value of a metric of one Target, where there is one.
    fn value(&self, name: &str, target: &str) -> Option<f64> {
        let is_it = |sample: &&Sample| {
            sample.name == name && sample.labels.get("target").is_some_and(|of| of == target)
        };
        self.samples.iter().find(is_it).map(|sample| sample.value)
    }
}

/// The table of the documentation, in the form of [`Scraped::families`].
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operator.md");
    let text = std::fs::read_to_string(path).expect("the page");
    let words = |cell: &str| -> Vec<String> {
        let words = cell.split('`').skip(1).step_by(2);
        words.map(str::to_owned).collect()
    };
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| `scopeward_"));
    let rows = rows.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let labels = words(cells[3]).into_iter().collect();
        (words(cells[1]).remove(0), (cells[2].to_owned(), labels))
    });
    rows.collect()
}

/// The metrics and labels that a query names.
#[derive(Debug, Default)]
struct Named {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl Named {
    fn selector(&mut self, selector: &VectorSelector) {
        self.metrics.extend(selector.name.clone());
        let matchers = selector.matchers.matchers.iter();
        self.labels
            .extend(matchers.map(|matcher| matcher.name.clone()));
    }
}

impl ExprVisitor for Named {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
        match expression {
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Aggregate(aggregate) => {
                if let Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) =
                    &aggregate.modifier
                {
                    self.labels.extend(labels.labels.iter().cloned());
                }
            }
            _ => {}
        }
        Ok(true)
    }
}

/// All texts under a key, however deep.
fn texts(value: &Value, key: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == key => found.push(text.clone()),
                    _ => texts(member, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        _ => {}
    }
}

/// Every query of the alerts and of the dashboard, its variables filled in.
fn queries() -> Vec<String> {
    let chart = rendered(Some("prometheusRule.enabled=true"));
    let rules = chart
        .split("\n---\n")
        .find(|text| text.contains("\nkind: PrometheusRule\n"));
    let rules: Value = serde_saphyr::from_str(rules.expect("the alerts")).expect("YAML");
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/scopeward/dashboards/scopeward.json");
    let dashboard = std::fs::read_to_string(path).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let mut found = Vec::new();
    texts(&rules, "expr", &mut found);
    let alerts = found.len();
    texts(&dashboard["panels"], "expr", &mut found);
    assert!(alerts >= 7 && found.len() >= alerts + 15, "{found:#?}");
    // What a list of values is made of: `label_values(METRIC, LABEL)`.
    let mut lists = Vec::new();
    texts(&dashboard["templating"], "query", &mut lists);
    let lists = lists
        .iter()
        .filter_map(|list| list.strip_prefix("label_values("));
    let lists = lists.map(|list| list.split(',').next().unwrap_or_default().to_owned());
    found.extend(lists);
    let filled = found.into_iter().map(|query| {
        let query = query.replace("$__rate_interval", "5m");
        query.replace("$target", ".*")
    });
    filled.collect()
}

/// Checks that a query parses and names what there is.
fn check(
    query: &str,
    families: &BTreeMap<String, (String, BTreeSet<String>)>,
) -> Result<(), String> {
    let expression = parser::parse(query).map_err(|error| format!("{query}: {error}"))?;
    let mut named = Named::default();
    let Ok(_) = walk_expr(&mut named, &expression);
    if named.metrics.is_empty() {
        return Err(format!("{query}: names no metric"));
    }
    // What Prometheus adds when it scrapes.
    let mut known: BTreeSet<&str> = ["job", "namespace", "instance", "le"].into();
    for metric in &named.metrics {
        let ends = ["_bucket", "_sum", "_count"];
        let histogram = ends.iter().find_map(|end| metric.strip_suffix(end));
        let found = match histogram.and_then(|family| families.get(family)) {
            Some(found) if found.0 == "histogram" => found,
            _ => families
                .get(metric)
                .filter(|found| found.0 != "histogram")
                .ok_or_else(|| format!("{query}: there is no {metric}"))?,
        };
        known.extend(found.1.iter().map(String::as_str));
    }
    let unknown: Vec<&String> = named
        .labels
        .iter()
        .filter(|label| !known.contains(label.as_str()))
        .collect();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(format!("{query}: no label is called {unknown:?}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_is_what_the_documentation_the_alerts_and_the_dashboard_name() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "counts", "").await;
    // One of each: something made, something refused, a system that asks for fewer requests.
    let theirs = json!({ "addScope": { "name": "theirs", "description": "Theirs" } });
    space.systems.drift(theirs).await;
    space.scopes(&["a", "theirs"]);
    space
        .comes_to_reason("scope/theirs", "Stalled", "ApprovalRequired")
        .await;
    space
        .server
        .kubectl(&["delete", "-n", "counts", "scope/theirs"]);
    let busy = json!([{ "system": "wso2", "write": true, "fault": { "status": { "code": 429, "retryAfter": "3600" } } }]);
    space.systems.faults(busy).await;
    space.scopes(&["b"]);
    space
        .comes_to_reason("target/wso2", "Synced", "RateLimited")
        .await;
    space.systems.faults(json!([])).await;
    let wanted = documented();
    let scraped = eventually("every metric of the documentation", async || {
        let scraped = Scraped::of(&cluster.operator).await;
        let seen = scraped.families();
        let missing: Vec<&String> = wanted
            .keys()
            .filter(|name| !seen.contains_key(*name))
            .collect();
        if missing.is_empty() {
            Ok(scraped)
        } else {
            Err(format!("{missing:?}"))
        }
    })
    .await;
    let mut seen = scraped.families();
    let names = |all: &BTreeMap<String, _>| all.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&seen), names(&wanted));
    for (name, told) in &wanted {
        assert_eq!(&seen[name], told, "{name}");
    }
    let faults: Vec<String> = queries()
        .iter()
        .filter_map(|query| check(query, &seen).err())
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // The check finds what is missing.
    seen.remove("scopeward_is_leader");
    assert!(queries().iter().any(|query| check(query, &seen).is_err()));
}

#[tokio::test(flavor = "multi_thread")]
async fn series_are_as_many_as_targets_and_words_whatever_the_number_of_scopes() {
    let cluster = Cluster::shared().await;
    let space = Space::new(&cluster.server, "bounded", "").await;
    space.one_login();
    let refused = json!([{ "method": "POST", "write": true, "token": false, "percent": 30, "fault": { "status": { "code": 400 } } }]);
    space.systems.faults(refused).await;
    let names = |prefix: &'static str| (0..150).map(move |n| format!("{prefix}-{n}"));
    space.create_scopes("wso2", names("manifold")).await;
    space.create_scopes("onelogin", names("plentiful")).await;
    for target in ["target/wso2", "target/onelogin"] {
        space.comes_to_reason(target, "Synced", "Failed").await;
    }
    let scraped = Scraped::of(&cluster.operator).await;
    let is_ours = |sample: &&Sample| {
        let target = sample.labels.get("target");
        target.is_some_and(|target| target.starts_with("bounded/"))
    };
    let ours: Vec<&Sample> = scraped.samples.iter().filter(is_ours).collect();
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for sample in &ours {
        for (label, value) in &sample.labels {
            values.entry(label).or_default().insert(value);
        }
    }
    assert_eq!(
        values["target"],
        ["bounded/onelogin", "bounded/wso2"].into()
    );
    // Whatever else is counted of them has no label with a name either.
    let words = scraped
        .samples
        .iter()
        .flat_map(|sample| sample.labels.values());
    let words: BTreeSet<&str> = words.map(String::as_str).collect();
    for name in ["manifold", "plentiful", "Shop"] {
        assert!(
            !words.iter().any(|word| word.contains(name)),
            "{name}: {words:?}"
        );
    }
    let failed = |target: &str| {
        let mut samples = ours.iter();
        samples.any(|sample| {
            sample.name == "scopeward_applied_changes_total"
                && sample.labels["target"] == target
                && sample.labels["result"] == "failed"
                && sample.value > 0.0
        })
    };
    assert!(
        failed("bounded/wso2") && failed("bounded/onelogin"),
        "{ours:#?}"
    );
    assert!(ours.len() < 200, "{} series of two Targets", ours.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn how_old_a_success_is_outlasts_a_restart() {
    let mut cluster = Cluster::start().await;
    let server = &cluster.server;
    let space = Space::new(server, "restarts", "").await;
    space.scopes(&["a"]);
    space.wait("scope/a", "Synced");
    space.wait("target/wso2", "Synced");
    let name = "scopeward_last_success_timestamp_seconds";
    let seen = Scraped::of(&cluster.operator)
        .await
        .value(name, "restarts/wso2");
    let seen = seen.expect("a success");
    let status = space.status("target/wso2");
    let conditions = status["conditions"].as_array().expect("conditions");
    let synced = conditions
        .iter()
        .find(|condition| condition["type"] == "Synced");
    let since = synced.and_then(|synced| synced["lastTransitionTime"].as_str());
    let since: jiff::Timestamp = since.expect("a time").parse().expect("a time");
    #[expect(
        clippy::cast_precision_loss,
        reason = "a moment in seconds is far below 2^53"
    )]
    let since = since.as_second() as f64;
    assert!(seen >= since, "{seen} {since}");

    // No run can succeed after this.
    cluster.operator.kill();
    space
        .systems
        .faults(json!([{ "system": "wso2", "fault": { "reset": {} } }]))
        .await;
    cluster.operator.go_on();
    let is_told = async |wanted: &dyn Fn(f64) -> bool| {
        eventually("the last success", async || {
            let seen = Scraped::of(&cluster.operator)
                .await
                .value(name, "restarts/wso2");
            if seen.is_some_and(wanted) {
                Ok(())
            } else {
                Err(format!(
                    "{seen:?}, after {since}\n{}",
                    cluster.operator.log()
                ))
            }
        })
        .await;
    };
    is_told(&|seen| (seen - since).abs() < 0.5).await;
    space
        .comes_to_reason("target/wso2", "Reconciling", "Unreachable")
        .await;
    is_told(&|seen| (seen - since).abs() < 0.5).await;
    space.systems.faults(json!([])).await;
    space.run_now().await;
    is_told(&|seen| seen > since).await;
}
