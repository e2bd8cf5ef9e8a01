//! One document: is it ours, is it well-formed, and what does it say.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value};
use strum::{EnumString, IntoStaticStr, VariantNames};

use super::chunk::Chunk;
use super::crd::{self, AppScopeSetSpec, ScopeBindingSpec, ScopeSpec, TargetSpec};
use super::schema::{Checker, Schema};
use super::secret;
use super::suggest::nearest;
use super::{Options, locate};
use crate::diagnostic::{Code, Diagnostic, codes};
use crate::model::{SecretDocument, Source, SourceFile};

/// The kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
pub(super) enum Kind {
    Target,
    Scope,
    ScopeBinding,
    AppScopeSet,
}

/// A manifest that is well-formed by itself.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) source: Source,
    /// Whether nothing was found wrong with it by itself. An invalid one takes part in finding what else is wrong, and is
    /// left out all the same.
    pub(super) valid: bool,
    /// Whether the selector chose it.
    pub(super) chosen: bool,
    pub(super) hold_until: Option<Timestamp>,
    pub(super) body: Body,
}

/// What a manifest says.
#[derive(Debug)]
pub(super) enum Body {
    Target(Box<TargetSpec>),
    Scope(Box<ScopeSpec>),
    Binding(ScopeBindingSpec),
    App(AppScopeSetSpec),
}

/// What became of a document.
pub(super) enum ReadDocument {
    Manifest(Box<Document>),
    /// A Secret, unless something is wrong with it.
    Secret(Source, Option<Box<SecretDocument>>),
    /// It is ours, or may be, and something is wrong with it.
    Broken(Source),
    /// It is somebody else's.
    Skipped,
}

/// The annotations that mean something to us.
const ANNOTATIONS: [&str; 3] = [
    "scopeward.dev/hold-until",
    "scopeward.dev/reconcile-requested-at",
    "scopeward.dev/force-orphan",
];
const HOLD_UNTIL: &str = ANNOTATIONS[0];
/// The keys of a manifest.
const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// How far ahead a hold may reach.
const LONGEST_HOLD: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The schema of each kind's `spec`, in the order of [`Kind`].
static SCHEMAS: LazyLock<[Schema; 4]> = LazyLock::new(|| {
    crd::definitions().map(|definition| {
        let schema = serde_json::to_value(&definition.spec.versions[0].schema)
            .expect("a definition has string keys alone");
        Schema::compile(&schema["openAPIV3Schema"]["properties"]["spec"])
    })
});

static OBJECT_NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(crd::OBJECT_NAME).expect("the pattern is a regular expression"));
static NAMESPACE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(crd::NAMESPACE).expect("the pattern is a regular expression"));

/// Reads a document, of which `source` knows no more than where it is, and says everything that is wrong with it by itself.
/// `found` holds the findings of this document alone.
pub(super) fn read(
    mut value: Value,
    mut source: Source,
    checker: &Checker,
    options: &Options,
    found: &mut Vec<Diagnostic>,
) -> ReadDocument {
    let members = match &value {
        Value::Object(members) => members,
        Value::Null => return ReadDocument::Skipped,
        _ => {
            let message = "the document is not a mapping: a manifest starts with `apiVersion:`";
            found.push(Diagnostic::error(codes::NOT_A_MAPPING, message).at(&source, ""));
            return ReadDocument::Broken(source);
        }
    };
    let kind = match identify(members, &source, options, found) {
        Identity::Ours(kind) => Some(kind),
        Identity::Secret => None,
        Identity::Broken => {
            name(members, &mut source);
            return ReadDocument::Broken(source);
        }
        Identity::Other => return ReadDocument::Skipped,
    };
    source.kind = String::from(kind.map_or("Secret", Into::into));
    name(members, &mut source);
    check_metadata(members.get("metadata"), &source, found);
    let Some(kind) = kind else {
        let secret = secret::read(&value, &source, found);
        let secret = secret.filter(|_| found.is_empty());
        return ReadDocument::Secret(source, secret.map(Box::new));
    };

    for key in members
        .keys()
        .filter(|key| !TOP.contains(&key.as_str()))
        .take(super::MAX_FINDINGS)
    {
        let mut pointer = String::new();
        locate::push_key(&mut pointer, key);
        let finding = Diagnostic::error(
            codes::UNKNOWN_KEY,
            format!("unknown key {key:?} in a manifest"),
        );
        let finding = finding.at(&source, pointer).at_key();
        found.push(match nearest(key, TOP) {
            Some(meant) => finding.help(format!("did you mean `{meant}`?")),
            None => finding.help("what a manifest says stands under `spec`"),
        });
    }
    let Some(spec) = members.get("spec") else {
        let message = format!("a {} needs the field `spec`", source.kind);
        found.push(Diagnostic::error(codes::MISSING, message).at(&source, "/kind"));
        return ReadDocument::Broken(source);
    };
    checker.check(&SCHEMAS[kind as usize], spec, &source, found);
    let hold_until = annotations(members.get("metadata"), kind, &source, options.now, found);
    let chosen = options.selects(members.get("metadata"));
    let valid = !found.iter().any(Diagnostic::is_error);

    let spec = value.get_mut("spec").map(Value::take).unwrap_or_default();
    let body = match kind {
        Kind::Target => TargetSpec::deserialize(spec).map(|spec| Body::Target(Box::new(spec))),
        Kind::Scope => ScopeSpec::deserialize(spec).map(|spec| Body::Scope(Box::new(spec))),
        Kind::ScopeBinding => ScopeBindingSpec::deserialize(spec).map(Body::Binding),
        Kind::AppScopeSet => AppScopeSetSpec::deserialize(spec).map(Body::App),
    };
    match body {
        Ok(body) => ReadDocument::Manifest(Box::new(Document {
            source,
            valid,
            chosen,
            hold_until,
            body,
        })),
        Err(_) if !valid => ReadDocument::Broken(source),
        // The schema says all that the type does; should they ever differ, the document is left out and says why.
        Err(error) => {
            let message = format!("`spec` cannot be read: {error}");
            found.push(Diagnostic::error(codes::INVALID_VALUE, message).at(&source, "/spec"));
            ReadDocument::Broken(source)
        }
    }
}

/// Reads a document that may be a Secret; `None` for any other, and for one that cannot be used.
pub(super) fn secret(
    value: &Value,
    chunk: Chunk<'_>,
    file: &SourceFile,
    options: &Options,
    found: &mut Vec<Diagnostic>,
) -> Option<SecretDocument> {
    let members = value.as_object()?;
    let text = |key: &str| members.get(key).and_then(Value::as_str);
    if text("apiVersion") != Some("v1") || text("kind") != Some("Secret") {
        return None;
    }
    let mut source = start(chunk, file, options);
    name(members, &mut source);
    check_metadata(members.get("metadata"), &source, found);
    secret::read(value, &source, found).filter(|_| found.is_empty())
}

/// Where a document is, before anything of it is known.
pub(super) fn start(chunk: Chunk<'_>, file: &SourceFile, options: &Options) -> Source {
    Source {
        file: file.clone(),
        document: chunk.index,
        line: chunk.line,
        kind: String::new(),
        namespace: options.default_namespace().to_owned(),
        name: String::new(),
    }
}

/// Whose a document is.
enum Identity {
    Ours(Kind),
    Secret,
    Broken,
    Other,
}

fn identify(
    members: &Map<String, Value>,
    source: &Source,
    options: &Options,
    found: &mut Vec<Diagnostic>,
) -> Identity {
    let mut broken = |diagnostic: Diagnostic, pointer: &str| {
        found.push(diagnostic.at(source, pointer));
        Identity::Broken
    };
    let text = |key: &str| members.get(key).and_then(Value::as_str);
    let (Some(version), Some(kind)) = (text("apiVersion"), text("kind")) else {
        let missing: Vec<&str> = ["apiVersion", "kind"]
            .into_iter()
            .filter(|key| text(key).is_none())
            .collect();
        let message = format!("the document has no `{}`", missing.join("` and no `"));
        if !looks_like_ours(members) {
            found.push(options.foreign(codes::NO_KIND, source));
            return options.other();
        }
        let mut error = Diagnostic::error(codes::NO_KIND, message);
        error = match missing.iter().find_map(|key| {
            nearest(key, members.keys().map(String::as_str)).map(|near| (key, near))
        }) {
            Some((key, near)) if *key != near => {
                error.help(format!("did you mean `{key}` where it says `{near}`?"))
            }
            _ => error.help(format!(
                "a manifest starts with `apiVersion: {}`",
                crd::API_VERSION
            )),
        };
        return broken(error, "");
    };
    if version == "v1" && kind == "Secret" {
        return Identity::Secret;
    }
    let (group, _) = version.rsplit_once('/').unwrap_or_default();
    let items = members.get("items").and_then(Value::as_array);
    let ours_inside = items.is_some_and(|items| {
        items.iter().any(|item| {
            let version = item.get("apiVersion").and_then(Value::as_str);
            version.is_some_and(|version| version.starts_with(crd::GROUP))
        })
    });
    if ours_inside || (group == crd::GROUP && kind.ends_with("List")) {
        let error = Diagnostic::error(codes::LIST_KIND, format!("a {kind} is not unpacked"));
        return broken(
            error.help("write each item as a document of its own, with `---` between them"),
            "/kind",
        );
    }
    if version == crd::API_VERSION {
        if let Ok(kind) = kind.parse() {
            return Identity::Ours(kind);
        }
        let error = Diagnostic::error(codes::UNKNOWN_KIND, format!("there is no kind {kind:?}"));
        return broken(
            match nearest(kind, Kind::VARIANTS.iter().copied()) {
                Some(meant) => error.help(format!("did you mean `{meant}`?")),
                None => error.fact("kinds", Kind::VARIANTS.join(", ")),
            },
            "/kind",
        );
    }
    let meant = group == crd::GROUP
        || nearest(group, [crd::GROUP]).is_some()
        || version == crd::VERSION
        || (kind.parse::<Kind>().is_ok() && looks_like_ours(members));
    if meant {
        let error = Diagnostic::error(
            codes::UNKNOWN_VERSION,
            format!("there is no API version {version:?}"),
        );
        return broken(
            error.help(format!("did you mean `{}`?", crd::API_VERSION)),
            "/apiVersion",
        );
    }
    found.push(options.foreign(codes::OTHER_API, source));
    options.other()
}

impl Options {
    /// The word on a document that is somebody else's. It quotes nothing of it: who may write here may not be who may read
    /// there.
    fn foreign(&self, code: Code, source: &Source) -> Diagnostic {
        let message = "a document is not ours, and is skipped";
        Diagnostic::new(code, self.skipped(), message)
            .at(source, "")
            .unquoted()
    }

    /// What a document is that is somebody else's.
    fn other(&self) -> Identity {
        if self.strict {
            Identity::Broken
        } else {
            Identity::Other
        }
    }
}

/// Whether a document whose kind is not told has what only ours have: then skipping it could delete what it declares.
fn looks_like_ours(members: &Map<String, Value>) -> bool {
    const DISTINCT: [&str; 4] = ["targetRefs", "targetRef", "scopeRef", "credentialsRef"];
    let inside =
        |members: &Map<String, Value>| DISTINCT.iter().any(|key| members.contains_key(*key));
    let text = |key: &str| members.get(key).and_then(Value::as_str);
    inside(members)
        || members.values().filter_map(Value::as_object).any(inside)
        || text("apiVersion").is_some_and(|version| version.starts_with(crd::GROUP))
        || (text("apiVersion").is_none()
            && text("kind").is_some_and(|kind| kind.parse::<Kind>().is_ok()))
}

/// Reads `metadata.name` and `metadata.namespace`, whatever else is wrong.
fn name(members: &Map<String, Value>, source: &mut Source) {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    if source.kind.is_empty() {
        source.kind = text(members.get("kind")).unwrap_or_default();
    }
    let metadata = members.get("metadata");
    let named = |key: &str| text(metadata.and_then(|metadata| metadata.get(key)));
    source.name = named("name").unwrap_or_default();
    if let Some(namespace) = named("namespace") {
        source.namespace = namespace;
    }
}

/// Checks `metadata` as the API server would.
fn check_metadata(metadata: Option<&Value>, source: &Source, found: &mut Vec<Diagnostic>) {
    const KNOWN: [&str; 13] = [
        "name",
        "namespace",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "managedFields",
        "selfLink",
    ];
    let add = |code: Code, message: String, pointer: &str| {
        Diagnostic::error(code, message).at(source, pointer)
    };
    let Some(metadata) = metadata else {
        let message = format!("a {} needs the field `metadata`", source.kind);
        return found.push(add(codes::MISSING, message, "/kind"));
    };
    let Value::Object(members) = metadata else {
        let message = "`metadata` must be a mapping".to_owned();
        return found.push(add(codes::BAD_METADATA, message, "/metadata"));
    };
    for (key, value) in members.iter().take(super::MAX_FINDINGS) {
        // Put together for a problem alone: most keys have none.
        let pointer = || {
            let mut pointer = "/metadata".to_owned();
            locate::push_key(&mut pointer, key);
            pointer
        };
        let named = |pattern: &Regex, longest: usize, words: &str| match value.as_str() {
            Some(text) if text.len() <= longest && pattern.is_match(text) => None,
            Some(text) => Some(format!(
                "`metadata.{key}` cannot be {}: it takes {words}, and at most {longest} characters",
                super::schema::quoted(text)
            )),
            None => Some(format!("`metadata.{key}` must be text")),
        };
        let problem = match key.as_str() {
            "name" => named(
                &OBJECT_NAME,
                253,
                "lower-case letters, digits, `-` and `.` alone",
            ),
            "namespace" => named(&NAMESPACE, 63, "lower-case letters, digits and `-` alone"),
            "labels" | "annotations" => {
                let texts = value
                    .as_object()
                    .is_some_and(|m| m.values().all(Value::is_string));
                (!texts).then(|| format!("`metadata.{key}` must be a mapping of names to text"))
            }
            known if KNOWN.contains(&known) => None,
            unknown => {
                let help = nearest(unknown, KNOWN).map(|meant| format!("did you mean `{meant}`?"));
                let message = format!("unknown key {unknown:?} in `metadata`");
                let mut finding = Diagnostic::error(codes::UNKNOWN_KEY, message);
                finding.help = help;
                found.push(finding.at(source, pointer()).at_key());
                continue;
            }
        };
        if let Some(message) = problem {
            found.push(add(codes::BAD_METADATA, message, &pointer()));
        }
    }
    if !members.contains_key("name") {
        let message = "`metadata` needs the field `name`".to_owned();
        found.push(add(codes::MISSING, message, "/metadata").at_key());
    }
}

/// Reads our annotations: gives the moment until which nothing is written, if there is one.
fn annotations(
    metadata: Option<&Value>,
    kind: Kind,
    source: &Source,
    now: Timestamp,
    found: &mut Vec<Diagnostic>,
) -> Option<Timestamp> {
    let annotations = metadata?.get("annotations")?.as_object()?;
    let mut hold_until = None;
    for (key, value) in annotations
        .iter()
        .filter(|(key, _)| key.starts_with("scopeward.dev/"))
        .take(super::MAX_FINDINGS)
    {
        let mut pointer = "/metadata/annotations".to_owned();
        locate::push_key(&mut pointer, key);
        let warn = |message: String| {
            Diagnostic::warning(codes::ANNOTATION, message)
                .at(source, pointer.clone())
                .at_key()
        };
        if !ANNOTATIONS.contains(&key.as_str()) {
            let warning = warn(format!("there is no annotation {key:?}"));
            found.push(match nearest(key, ANNOTATIONS) {
                Some(meant) => warning.help(format!("did you mean `{meant}`?")),
                None => warning.fact("known", ANNOTATIONS.join(", ")),
            });
            continue;
        }
        let (HOLD_UNTIL, Some(text)) = (key.as_str(), value.as_str()) else {
            continue;
        };
        let bad = |message: String| {
            Diagnostic::error(codes::BAD_HOLD, message).at(source, pointer.clone())
        };
        match text.parse::<Timestamp>() {
            Err(_) => found.push(
                bad(format!(
                    "{} is not a valid time",
                    super::schema::quoted(text)
                ))
                .help("write it as `2026-01-31T12:00:00Z`"),
            ),
            Ok(until) if until.duration_since(now) > LONGEST_HOLD => {
                found.push(bad("the hold reaches more than 30 days ahead".to_owned()));
            }
            Ok(until) if until <= now => {
                found.push(warn("the hold is over, and does nothing".to_owned()));
            }
            Ok(_) if !matches!(kind, Kind::Scope | Kind::AppScopeSet) => {
                found.push(warn(format!(
                    "a hold is for Scopes and AppScopeSets, and does nothing on a {}",
                    source.kind
                )));
            }
            Ok(until) => hold_until = Some(until),
        }
    }
    hold_until
}
