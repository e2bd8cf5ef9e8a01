//! Checks a value against a kind's schema and CEL rules, completely: every problem, not the first.
//!
//! The schema is the one that the custom resource definition carries, compiled once into a tree, and a rule is a CEL
//! program compiled once. (`kube`'s `validate_cel()` builds the definition again for every object, and its walk of the
//! whole schema turns every value into a CEL one; here only a node that has rules is turned into one.)

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use kube::core::cel::{CompiledSchema, ErrorKind, Validator, compile_schema};
use regex::Regex;
use serde_json::{Value, json};

use super::suggest::nearest;
use super::{MAX_FINDINGS, crd};
use crate::diagnostic::{Code, Diagnostic, codes};
use crate::model::{ScopeName, Source};

/// A node of a schema.
#[derive(Debug)]
pub(super) struct Schema {
    shape: Shape,
    /// The rules of this node alone.
    rules: Option<CompiledSchema>,
}

/// What a value must be.
#[derive(Debug)]
enum Shape {
    Object {
        properties: BTreeMap<String, Schema>,
        required: Vec<String>,
        /// What the values of any other key must be; without it other keys are errors.
        others: Option<Box<Schema>>,
    },
    List(ListShape),
    Text(TextShape),
    Whole {
        least: i64,
        most: i64,
    },
    Boolean,
}

/// What a list has to be.
#[derive(Debug)]
struct ListShape {
    items: Box<Schema>,
    least: usize,
    most: usize,
    /// They are names, of which one that stands twice says nothing more.
    names: bool,
}

/// What a text has to be.
#[derive(Debug)]
struct TextShape {
    least: usize,
    most: usize,
    pattern: Option<Pattern>,
    choices: Vec<String>,
}

/// Compiled when a text first asks for it: a run meets few of all patterns.
type Pattern = LazyLock<Regex, Box<dyn FnOnce() -> Regex + Send + Sync>>;

/// Runs the rules. One a thread: it is not shared between threads.
pub(super) struct Checker {
    validator: Validator,
}

/// Where a value stands, from the inside out; turned into text only for a problem.
#[derive(Clone, Copy)]
struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// What a check writes into.
struct Findings<'a> {
    source: &'a Source,
    found: &'a mut Vec<Diagnostic>,
}

impl Schema {
    /// Compiles a node of a definition's schema.
    ///
    /// # Panics
    /// Where the definition has something that this tree has no place for, which a test would see first.
    pub(super) fn compile(schema: &Value) -> Self {
        let size = |key: &str, absent: usize| {
            schema[key]
                .as_u64()
                .map_or(absent, |n| usize::try_from(n).unwrap_or(absent))
        };
        let texts = |key: &str| -> Vec<String> {
            let listed = schema[key].as_array().map(Vec::as_slice);
            let texts = listed.unwrap_or_default().iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        let shape = match schema["type"].as_str() {
            Some("object") => Shape::Object {
                properties: schema["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(key, schema)| (key.clone(), Self::compile(schema)))
                    .collect(),
                required: texts("required"),
                others: schema
                    .get("additionalProperties")
                    .map(|schema| Box::new(Self::compile(schema))),
            },
            Some("array") => Shape::List(ListShape {
                items: Box::new(Self::compile(&schema["items"])),
                least: size("minItems", 0),
                most: size("maxItems", usize::MAX),
                names: schema["x-kubernetes-list-type"] == "atomic"
                    && schema["items"]["type"] == "string",
            }),
            Some("string") => Shape::Text(TextShape {
                least: size("minLength", 0),
                most: size("maxLength", usize::MAX),
                pattern: schema["pattern"].as_str().map(|pattern| {
                    let pattern = pattern.to_owned();
                    Pattern::new(Box::new(move || {
                        Regex::new(&pattern)
                            .expect("a pattern of the definitions is a regular expression")
                    }))
                }),
                choices: texts("enum"),
            }),
            Some("integer") => {
                let bound = |key: &str| schema[key].as_i64().or(whole(&schema[key]));
                Shape::Whole {
                    least: bound("minimum").unwrap_or(i64::MIN),
                    most: bound("maximum").unwrap_or(i64::MAX),
                }
            }
            Some("boolean") => Shape::Boolean,
            other => panic!("a definition has a node of type {other:?}"),
        };
        let rules = schema.get("x-kubernetes-validations").map(|rules| {
            let node = compile_schema(
                &json!({ "type": schema["type"], "x-kubernetes-validations": rules }),
            );
            let errors = node.compilation_errors();
            assert!(errors.is_empty(), "a rule cannot be read: {errors:?}");
            node
        });
        Self { shape, rules }
    }
}

impl Default for Checker {
    fn default() -> Self {
        Self {
            validator: Validator::new(),
        }
    }
}

impl Checker {
    /// Checks the `spec` of a document, and says everything that is wrong with it, up to [`MAX_FINDINGS`]. `found`
    /// holds the findings of this document alone.
    pub(super) fn check(
        &self,
        schema: &Schema,
        value: &Value,
        source: &Source,
        found: &mut Vec<Diagnostic>,
    ) {
        let path = Path {
            parent: None,
            step: Step::Key("spec"),
        };
        self.node(schema, value, path, &mut Findings { source, found });
    }

    fn node(&self, schema: &Schema, value: &Value, path: Path<'_>, findings: &mut Findings<'_>) {
        if findings.found.len() >= MAX_FINDINGS {
            return;
        }
        let before = findings.found.len();
        match (&schema.shape, value) {
            (
                Shape::Object {
                    properties,
                    required,
                    others,
                },
                Value::Object(members),
            ) => {
                for (key, value) in members {
                    let path = path.key(key);
                    match properties.get(key).or(others.as_deref()) {
                        Some(schema) => self.node(schema, value, path, findings),
                        None if findings.found.len() >= MAX_FINDINGS => break,
                        None => findings.unknown_key(path, key, properties),
                    }
                }
                let missing = required.iter().filter(|key| !members.contains_key(*key));
                let missing: Vec<String> = missing.map(|key| format!("`{key}`")).collect();
                if !missing.is_empty() {
                    findings.missing(path, &missing);
                }
            }
            (Shape::List(shape), Value::Array(values)) => self.list(shape, values, path, findings),
            (Shape::Text(shape), Value::String(text)) => findings.text(path, text, shape),
            (Shape::Whole { least, most }, Value::Number(_)) => match value.as_i64() {
                Some(number) if (*least..=*most).contains(&number) => {}
                Some(number) => {
                    let message =
                        format!("`{path}` is {number}, and must be from {least} to {most}");
                    findings.add(codes::INVALID_VALUE, path, message);
                }
                None if value.as_f64().is_some_and(|number| number.fract() == 0.0) => {
                    let message = format!("`{path}` must be a whole number from {least} to {most}");
                    findings.add(codes::INVALID_VALUE, path, message);
                }
                None => findings.wrong_type(path, &schema.shape, value),
            },
            (Shape::Boolean, Value::Bool(_)) => {}
            (shape, Value::Null) => findings.null(path, shape),
            (shape, value) => findings.wrong_type(path, shape, value),
        }
        if let Some(rules) = &schema.rules
            && value.is_object()
            && let Err(errors) = self.validator.validate_compiled(rules, value, None)
        {
            // A rule that cannot be evaluated counts only where nothing else is wrong with the value: otherwise that is why.
            let clean = findings.found.len() == before;
            for error in errors {
                if error.kind == ErrorKind::ValidationFailure || clean {
                    let message = format!("`{path}`: {}", error.message);
                    findings.add_key(codes::RULE, path, message);
                }
            }
        }
    }

    fn list(
        &self,
        shape: &ListShape,
        values: &[Value],
        path: Path<'_>,
        findings: &mut Findings<'_>,
    ) {
        let ListShape {
            items,
            least,
            most,
            names,
        } = shape;
        if values.len() < *least {
            let message = format!("`{path}` needs at least {}", entries(*least));
            findings.add(codes::INVALID_VALUE, path, message);
        } else if values.len() > *most {
            let message = format!(
                "`{path}` has {}, and at most {most} are allowed",
                entries(values.len())
            );
            findings.add(codes::INVALID_VALUE, path, message);
        }
        let mut seen = BTreeSet::new();
        for (index, value) in values.iter().enumerate() {
            let path = path.index(index);
            self.node(items, value, path, findings);
            if let Some(text) = value.as_str()
                && *names
                && !seen.insert(text)
            {
                let message = format!("{text:?} stands twice, and counts once");
                let warning = Diagnostic::warning(codes::REPEATED, message);
                findings.push(warning.at(findings.source, path.pointer()));
            }
        }
    }
}

impl Findings<'_> {
    fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    fn add(&mut self, code: Code, path: Path<'_>, message: String) {
        self.push(Diagnostic::error(code, message).at(self.source, path.pointer()));
    }

    fn add_key(&mut self, code: Code, path: Path<'_>, message: String) {
        self.push(
            Diagnostic::error(code, message)
                .at(self.source, path.pointer())
                .at_key(),
        );
    }

    fn unknown_key(&mut self, path: Path<'_>, key: &str, known: &BTreeMap<String, Schema>) {
        let parent = path.parent.expect("a key stands in an object");
        let mut diagnostic = Diagnostic::error(
            codes::UNKNOWN_KEY,
            format!("unknown key {key:?} in `{parent}`"),
        )
        .at(self.source, path.pointer())
        .at_key();
        if let Some(meant) = nearest(key, known.keys().map(String::as_str)) {
            diagnostic = diagnostic.help(format!("did you mean `{meant}`?"));
        } else {
            let known: Vec<&str> = known.keys().map(String::as_str).collect();
            diagnostic = diagnostic.fact("known", known.join(", "));
        }
        self.push(diagnostic);
    }

    fn missing(&mut self, path: Path<'_>, missing: &[String]) {
        let message = match missing {
            [one] => format!("`{path}` needs the field {one}"),
            [most @ .., last] => {
                format!("`{path}` needs the fields {} and {last}", most.join(", "))
            }
            [] => return,
        };
        self.add_key(codes::MISSING, path, message);
    }

    fn null(&mut self, path: Path<'_>, shape: &Shape) {
        let help = match shape {
            _ if matches!(path.step, Step::Index(_)) => "give it a value, or take the entry out",
            Shape::List(_) => {
                "leave the key out for \"not managed\", or write `[]` for \"wanted empty\""
            }
            _ => "give it a value, or leave the key out",
        };
        self.push(
            Diagnostic::error(
                codes::NULL,
                format!("`{path}` is null, and must be {}", shape.described()),
            )
            .at(self.source, path.pointer())
            .at_key()
            .help(help),
        );
    }

    fn wrong_type(&mut self, path: Path<'_>, shape: &Shape, value: &Value) {
        let (what, quotable) = match value {
            Value::Null => ("null", false),
            Value::Bool(_) => ("true or false", true),
            Value::Number(_) if matches!(shape, Shape::Whole { .. }) => ("a fraction", false),
            Value::Number(_) => ("a number", true),
            Value::String(_) => ("text", false),
            Value::Array(_) => ("a list", false),
            Value::Object(_) => ("a mapping", false),
        };
        let mut diagnostic = Diagnostic::error(
            codes::WRONG_TYPE,
            format!("`{path}` must be {}, not {what}", shape.described()),
        )
        .at(self.source, path.pointer());
        if !matches!(value, Value::Array(_) | Value::Object(_)) {
            diagnostic = diagnostic.label(what);
        }
        match (shape, value) {
            (Shape::Text(_), _) if quotable => {
                diagnostic = diagnostic.help("put it in quotes if the text is meant");
            }
            (Shape::List(_), Value::String(text)) if text.len() <= 100 => {
                diagnostic = diagnostic.help(format!("a list of one entry is `[{text:?}]`"));
            }
            (Shape::Boolean | Shape::Whole { .. }, Value::String(_)) => {
                diagnostic = diagnostic.help("write it without quotes");
            }
            _ => {}
        }
        self.push(diagnostic);
    }

    fn text(
        &mut self,
        path: Path<'_>,
        text: &str,
        TextShape {
            least,
            most,
            pattern,
            choices,
        }: &TextShape,
    ) {
        let (least, most) = (*least, *most);
        // No text has more characters than bytes, so few need counting.
        if text.len() > most && text.chars().count() > most {
            let message = format!(
                "`{path}` has {} characters, and at most {most} are allowed",
                text.chars().count()
            );
            self.add(codes::INVALID_VALUE, path, message);
        } else if text.chars().take(least).count() < least || (text.is_empty() && pattern.is_some())
        {
            self.add(codes::INVALID_VALUE, path, format!("`{path}` is empty"));
        } else if !choices.is_empty() && !choices.iter().any(|choice| choice == text) {
            let mut diagnostic = Diagnostic::error(
                codes::INVALID_VALUE,
                format!("`{path}` cannot be {}", quoted(text)),
            )
            .at(self.source, path.pointer())
            .fact("choices", choices.join(", "));
            if let Some(meant) = nearest(text, choices.iter().map(String::as_str)) {
                diagnostic = diagnostic.help(format!("did you mean `{meant}`?"));
            }
            self.push(diagnostic);
        } else if let Some(pattern) = pattern
            && !pattern.is_match(text)
        {
            let (code, why) = explain(pattern.as_str(), text);
            let message = match code {
                // The text may hold a password or a token.
                codes::BAD_URL if text.contains('@') => {
                    format!("`{path}` holds a user or password")
                }
                codes::BAD_URL if text.contains(['?', '#']) => {
                    format!("`{path}` holds a query or a fragment")
                }
                _ => format!("`{path}` cannot be {}", quoted(text)),
            };
            self.push(
                Diagnostic::error(code, message)
                    .at(self.source, path.pointer())
                    .label(why),
            );
        }
    }
}

impl Shape {
    fn described(&self) -> &'static str {
        match self {
            Self::Object { .. } => "a mapping",
            Self::List(_) => "a list",
            Self::Text(_) => "text",
            Self::Whole { .. } => "a whole number",
            Self::Boolean => "true or false",
        }
    }
}

impl<'a> Path<'a> {
    fn key(&'a self, key: &'a str) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Key(key),
        }
    }

    fn index(&'a self, index: usize) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    fn pointer(&self) -> String {
        let mut pointer = self.parent.map(Path::pointer).unwrap_or_default();
        match self.step {
            Step::Key(key) => super::locate::push_key(&mut pointer, key),
            Step::Index(index) => {
                let _ = write!(pointer, "/{index}");
            }
        }
        pointer
    }
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Key(key) if self.parent.is_some() => write!(f, ".{key}"),
            Step::Key(key) => f.write_str(key),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// The whole number that a bound of a definition is, which it writes as `3.0`.
pub(super) fn whole(value: &Value) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the range is checked, and every whole number in it is exact"
    )]
    value.as_i64().or_else(|| {
        value
            .as_f64()
            .filter(|n| n.fract() == 0.0 && n.abs() < 9e15)
            .map(|n| n as i64)
    })
}

/// A text in quotes, cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}

fn entries(count: usize) -> String {
    match count {
        1 => "1 entry".to_owned(),
        _ => format!("{count} entries"),
    }
}

/// What a pattern asks for, in words.
fn explain(pattern: &str, text: &str) -> (Code, String) {
    let words = match pattern {
        crd::SCOPE_TOKEN => {
            let why = ScopeName::declared(text).err();
            return (
                codes::INVALID_VALUE,
                why.map_or_else(|| "not a scope's name".to_owned(), |why| why.to_string()),
            );
        }
        crd::URL => return (codes::BAD_URL, explain_url(text)),
        crd::OBJECT_NAME => {
            "lower-case letters, digits, `-` and `.` alone, a letter or digit at both ends"
        }
        crd::NAMESPACE => {
            "lower-case letters, digits and `-` alone, a letter or digit at both ends"
        }
        crd::NOT_BLANK => "it is blank",
        crd::LINE | crd::LINES if text.trim().is_empty() => "it is blank",
        crd::LINE => "control characters cannot stand in it",
        crd::LINES => "control characters other than tabs and line ends cannot stand in it",
        crd::DURATION => "a number and one of s, m, h and d, such as `90s` or `10m`",
        crd::WINDOW => "a number and one of s, m, h and d, such as `24h`, and `99d` at most",
        crd::SHA256 => "64 hexadecimal digits",
        crd::DIGEST => "`sha256:` and 64 hexadecimal digits, as `scopeward plan` prints it",
        crd::SEGMENT => "letters, digits, `.`, `_` and `-` alone",
        crd::PUBLISHER_VERSION => "`v` and a number, such as `v4`",
        crd::PRINTABLE => "printable ASCII characters alone, and no space",
        crd::SECRET_KEY => "letters, digits, `-`, `_` and `.` alone",
        other => return (codes::INVALID_VALUE, format!("it must match {other}")),
    };
    (codes::INVALID_VALUE, words.to_owned())
}

/// Why a text is not the URL of a target.
fn explain_url(text: &str) -> String {
    let Ok(url) = url::Url::parse(text) else {
        return "not a URL: write `https://` and the host".to_owned();
    };
    if !url.username().is_empty() || url.password().is_some() {
        return "credentials belong into what `credentialsRef` names".to_owned();
    }
    match url.scheme() {
        "http" => {
            "credentials would travel unencrypted: `http` is for loopback hosts alone".to_owned()
        }
        "https" if url.query().is_some() || url.fragment().is_some() => {
            "a target's URL has no `?` or `#`".to_owned()
        }
        "https" => "not a URL as it stands: write `https://` and the host in lower case".to_owned(),
        scheme => format!("`{scheme}` is not `https`"),
    }
}
