//! What the command line understands. Types only: `commands` acts on them.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

/// The exit codes, for `--help`.
const EXIT_CODES: &str = "\
Exit codes, strongest first:
  64  usage
   4  what the plan rests on moved; nothing was written
   5  something was written and something is left
   3  refused by a safety rule, nothing was written
   1  failed, nothing was written
   2  changes are planned (plan --detailed-exitcode)
   0  done, or no changes
 130  ended at once by a second Ctrl-C; the next run finishes what was begun";

/// Keeps OAuth scopes, role bindings and app scope sets of OneLogin, WSO2 and Apigee as Git says they should be.
#[derive(Debug, Parser)]
#[command(name = "scopeward", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// When to colour.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// What to log to standard error: `warn`, `info`, `debug`, `trace`, or a filter such as `scopeward=debug`.
    #[arg(
        long,
        global = true,
        env = "SCOPEWARD_LOG",
        default_value = "warn",
        value_name = "FILTER"
    )]
    pub log: String,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks manifests offline: schema, references, duplicates, names; every finding with its place.
    Validate(Validate),
    /// Shows what `sync` would do, and writes nothing.
    Plan(Plan),
    /// Creates and updates; never deletes.
    Apply(Apply),
    /// Makes the live systems what the manifests say: `apply`, and deletes of what is managed and no longer declared.
    Sync(Apply),
    /// Takes live objects that the manifests declare into the inventory, without writing to the system.
    Adopt(Adopt),
    /// Takes objects out of the inventory; the live ones stay as they are.
    Release(Release),
    /// Shows what is managed, and gives a repository that moved its new name.
    #[command(subcommand)]
    Inventory(Inventory),
    /// Serves the three systems, emulated, on loopback.
    Sandbox(Sandbox),
    /// Writes generated files.
    #[command(subcommand)]
    Generate(Generate),
    /// Shows a saved plan (not supported yet).
    #[command(hide = true)]
    Show(Unsupported),
    /// Writes manifests for what is live (not supported yet).
    #[command(hide = true)]
    Import(Unsupported),
    /// Keeps what custom resources declare, for ever: the Kubernetes controller.
    Operator(Operator),
}

/// Manifests and how they are narrowed.
#[derive(Debug, Clone, Args)]
pub struct Inputs {
    /// Files, folders (recursive, *.yaml and *.yml), or `-` for standard input.
    #[arg(required_unless_present = "overlays", value_name = "PATH")]
    pub paths: Vec<String>,
    /// The folder of an overlay, built by your own kustomize (else by `kubectl kustomize`); repeatable.
    #[arg(short = 'k', long = "kustomize", value_name = "DIR")]
    pub overlays: Vec<String>,
    /// Documents of other API groups are errors, not notes.
    #[arg(long)]
    pub strict: bool,
    /// The repository that everything is of, as `github.com/acme/iam`; its `origin` where this is left out.
    #[arg(long, value_name = "NAME")]
    pub repository: Option<crate::model::Repository>,
    /// Only manifests with these labels; such a run removes nothing.
    #[arg(short = 'l', long = "selector", value_name = "KEY=VALUE,...")]
    pub selector: Option<crate::manifest::Selector>,
}

/// `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// Manifests.
    #[command(flatten)]
    pub inputs: Inputs,
    /// `text` or `json`, with `=FILE` into a file. Repeatable.
    #[arg(short = 'o', long = "output", value_name = "FORMAT[=FILE]", value_parser = output)]
    pub output: Vec<Output>,
}

/// Manifests laid over those of a cluster.
#[derive(Debug, Clone, Args)]
pub struct FromCluster {
    /// Reads the manifests of the cluster too, and lays PATH over them by kind, namespace and name: what they would be once
    /// PATH is applied there.
    #[arg(long)]
    pub from_cluster: bool,
    /// The namespace of documents that name none. Default: `default`.
    #[arg(long, requires = "from_cluster", value_name = "NAMESPACE")]
    pub default_namespace: Option<String>,
    /// What has these labels in the cluster and is not in PATH counts as deleted there.
    #[arg(long, requires = "from_cluster", value_name = "KEY=VALUE,...")]
    pub prune_selector: Option<crate::manifest::Selector>,
}

/// What every verb that reaches a system takes.
#[derive(Debug, Clone, Args)]
pub struct Reach {
    /// Manifests.
    #[command(flatten)]
    pub inputs: Inputs,
    /// Only this target, by name or namespace/name; the others are left alone. Repeatable.
    #[arg(long, value_name = "NAME")]
    pub target: Vec<String>,
    /// A folder of credentials: `DIR/<name>/<key>`, as Kubernetes mounts a Secret.
    #[arg(long, value_name = "DIR")]
    pub credentials: Option<PathBuf>,
    /// The inventory, which keeps what is managed: `file:PATH`, or `cluster[:NAMESPACE]`, the operator's; without NAMESPACE
    /// that of the Pod or of the current context. Default: .scopeward/inventory.json
    #[arg(long, value_name = "PLACE")]
    pub inventory: Option<String>,
    /// Where else from.
    #[command(flatten)]
    pub cluster: FromCluster,
    /// Sends every request to an embedded sandbox instead of the manifests' hosts.
    #[arg(long)]
    pub sandbox: bool,
}

/// What every verb that plans takes.
#[derive(Debug, Clone, Args)]
pub struct Planning {
    /// Where from and where to.
    #[command(flatten)]
    pub reach: Reach,
    /// Lifts the refusals of exactly this plan, once. Repeatable.
    #[arg(long, value_name = "DIGEST", value_parser = digest)]
    pub approve_plan: Vec<crate::plan::digest::Digest>,
    /// Starts an inventory on targets that it does not know.
    #[arg(long)]
    pub new_inventory: bool,
    /// Lists unmanaged objects and other uneventful skips too.
    #[arg(short, long)]
    pub verbose: bool,
    /// `text`, `json` or `markdown`, with `=FILE` into a file. Repeatable.
    #[arg(short = 'o', long = "output", value_name = "FORMAT[=FILE]", value_parser = output)]
    pub output: Vec<Output>,
}

/// How long a verb that writes waits for others.
#[derive(Debug, Clone, Copy, Args)]
pub struct Waiting {
    /// How long to wait for an inventory in a cluster that another run holds, such as `5m`. Default: 90s, and 0s on a terminal.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub wait_for_lock: Option<std::time::Duration>,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Common.
    #[command(flatten)]
    pub planning: Planning,
    /// What `apply` would do.
    #[arg(long)]
    pub no_delete: bool,
    /// Exit 2 where changes are planned.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Saves the plan (not supported yet).
    #[arg(long, hide = true, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `apply` and `sync`.
#[derive(Debug, Args)]
pub struct Apply {
    /// Common.
    #[command(flatten)]
    pub planning: Planning,
    /// Goes ahead without asking.
    #[arg(short, long)]
    pub yes: bool,
    /// For others.
    #[command(flatten)]
    pub waiting: Waiting,
    /// Applies a saved plan (not supported yet). It would take the PATHs' place, so it is refused before they are missed.
    #[arg(long, hide = true, value_name = "FILE", value_parser = saved_plan)]
    pub plan: Option<std::convert::Infallible>,
}

/// `adopt`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").required(true).args(["only", "all"])))]
pub struct Adopt {
    /// Where from and where to.
    #[command(flatten)]
    pub reach: Reach,
    /// Only what this manifest declares, `Scope/orders-read`; with its namespace where one name is in several. Repeatable.
    #[arg(long, value_name = "KIND/[NAMESPACE/]NAME", value_parser = only)]
    pub only: Vec<Only>,
    /// Everything that is declared and live.
    #[arg(long)]
    pub all: bool,
    /// For others.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// Where an inventory is.
#[derive(Debug, Clone, Args)]
pub struct InventoryLocation {
    /// A file or folder of the repository whose inventory is meant.
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<String>,
    /// The inventory, which keeps what is managed: `file:PATH`, or `cluster[:NAMESPACE]`, the operator's; without NAMESPACE
    /// that of the Pod or of the current context. Default: .scopeward/inventory.json
    #[arg(long, value_name = "PLACE")]
    pub inventory: Option<String>,
    /// That of the embedded sandbox.
    #[arg(long)]
    pub sandbox: bool,
}

/// `release`.
#[derive(Debug, Args)]
pub struct Release {
    /// Where.
    #[command(flatten)]
    pub location: InventoryLocation,
    /// What this manifest holds, `Scope/orders-read`; with its namespace where one name is in several. Repeatable.
    #[arg(long, required = true, value_name = "KIND/[NAMESPACE/]NAME", value_parser = only)]
    pub only: Vec<Only>,
    /// Only on this target, by name or namespace/name. Repeatable.
    #[arg(long, value_name = "NAME")]
    pub target: Vec<String>,
    /// For others.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `inventory`.
#[derive(Debug, Subcommand)]
pub enum Inventory {
    /// Lists what is managed, with the manifest that holds it.
    Show(InventoryLocation),
    /// Takes what was recorded of the manifests of one repository for another's: it moved.
    RenameRepository(RenameRepository),
    /// Takes an inventory in a cluster away from a run that is dead; one that is alive may write for 45 s more.
    ForceUnlock(ForceUnlock),
}

/// `inventory rename-repository`.
#[derive(Debug, Args)]
pub struct RenameRepository {
    /// What it was called, as `inventory show` lists it.
    #[arg(value_parser = repository)]
    pub old: crate::model::Repository,
    /// What it is called: `github.com/acme/iam`.
    #[arg(value_parser = repository)]
    pub new: crate::model::Repository,
    /// Where.
    #[command(flatten)]
    pub location: InventoryLocation,
    /// For others.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// `inventory force-unlock`.
#[derive(Debug, Args)]
pub struct ForceUnlock {
    /// The run, as the refusal that names it says.
    #[arg(value_name = "RUN_ID")]
    pub run: String,
    /// Where.
    #[command(flatten)]
    pub location: InventoryLocation,
}

/// A manifest, as `--only` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Only {
    /// `Scope` or `AppScopeSet`.
    pub kind: String,
    /// Its namespace; `None` is any.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for Only {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// `sandbox`.
#[derive(Debug, Args)]
pub struct Sandbox {
    /// The loopback address to listen on.
    #[arg(long, default_value = "127.0.0.1:9400")]
    pub listen: std::net::SocketAddr,
    /// What exists, in YAML.
    #[arg(long, value_name = "FILE")]
    pub world: Option<PathBuf>,
    /// Where the state is kept; a file that is there wins over the world.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Serves HTTPS with a self-signed certificate, written to this file in PEM.
    #[arg(long, value_name = "FILE")]
    pub tls: Option<PathBuf>,
}

/// `operator`.
#[derive(Debug, Args)]
pub struct Operator {
    /// The namespace of its lease and of the inventory; the Pod's own where this is left out.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// For how long a removal has to be wanted before it is made, such as `60s`: a manifest that moves between namespaces is
    /// gone for a moment.
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = duration)]
    pub deletion_delay: std::time::Duration,
    /// Which part of the Targets is this process's, as `INDEX/COUNT` counted from 0.
    #[arg(long, default_value = "0/1", value_name = "INDEX/COUNT", value_parser = shard)]
    pub shard: (u32, u32),
    /// A host that Targets may lead to, as a glob; repeatable. Without any, every host.
    #[arg(long, value_name = "HOST", value_parser = globset::Glob::new)]
    pub allowed_hosts: Vec<globset::Glob>,
    /// Lets Targets lead to loopback and link-local addresses: for tests and demonstrations alone.
    #[arg(long)]
    pub allow_loopback: bool,
    /// Lets Targets say `tls.insecureSkipVerify`.
    #[arg(long)]
    pub allow_insecure_skip_verify: bool,
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub listen: std::net::SocketAddr,
}

/// `generate`.
#[derive(Debug, Subcommand)]
pub enum Generate {
    /// The custom resource definitions.
    Crds(Into),
    /// The JSON Schemas: of manifests, for editors; of plans and reports, for programs.
    Schema(Into),
    /// Completions for shells (not supported yet).
    #[command(hide = true)]
    Completions(Unsupported),
    /// The manual page (not supported yet).
    #[command(hide = true)]
    Man(Unsupported),
}

/// Where generated files go.
#[derive(Debug, Args)]
pub struct Into {
    /// A folder; without it everything goes to standard output.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// A verb that a later version has.
#[derive(Debug, Args)]
pub struct Unsupported {
    /// Whatever follows.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub rest: Vec<String>,
}

/// A format and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The format.
    pub format: Format,
    /// A file; `None` is standard output.
    pub file: Option<PathBuf>,
}

/// The output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For pull requests.
    Markdown,
}

fn duration(text: &str) -> Result<std::time::Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 3600)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    let seconds = parsed.ok_or_else(|| "write it as `60s`, `5m` or `1h`".to_owned())?;
    Ok(std::time::Duration::from_secs(seconds))
}

fn shard(text: &str) -> Result<(u32, u32), String> {
    let parsed = text
        .split_once('/')
        .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
    match parsed {
        Some((index, count)) if index < count => Ok((index, count)),
        _ => Err("write it as `0/1`: which, counted from 0, and of how many".to_owned()),
    }
}

fn output(text: &str) -> Result<Output, String> {
    let (format, file) = match text.split_once('=') {
        Some((format, file)) if !file.is_empty() => (format, Some(PathBuf::from(file))),
        Some(_) => return Err("a file's name is missing after `=`".to_owned()),
        None => (text, None),
    };
    let format = match format {
        "text" => Format::Text,
        "json" => Format::Json,
        "markdown" => Format::Markdown,
        "github" | "sarif" | "junit" | "html" => {
            return Err(format!(
                "`{format}` is not supported yet; text, json and markdown are"
            ));
        }
        other => {
            return Err(format!(
                "there is no format `{other}`; text, json and markdown are there"
            ));
        }
    };
    Ok(Output { format, file })
}

fn only(text: &str) -> Result<Only, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (kind, namespace, name) = match parts[..] {
        [kind, name] => (kind, None, name),
        [kind, namespace, name] if !namespace.is_empty() => {
            (kind, Some(namespace.to_owned()), name)
        }
        _ => ("", None, ""),
    };
    if !matches!(kind, "Scope" | "AppScopeSet") || name.is_empty() {
        return Err(
            "Scope/NAME or AppScopeSet/NAME is needed, NAME being the manifest's; or KIND/NAMESPACE/NAME".to_owned(),
        );
    }
    Ok(Only {
        kind: kind.to_owned(),
        namespace,
        name: name.to_owned(),
    })
}

fn repository(text: &str) -> Result<crate::model::Repository, String> {
    if text.starts_with('/') {
        return Ok(crate::model::Repository::at(text));
    }
    crate::model::Repository::named(text).map_err(|error| error.to_string())
}

fn saved_plan(_: &str) -> Result<std::convert::Infallible, String> {
    Err("saved plans are not supported yet".to_owned())
}

fn digest(text: &str) -> Result<crate::plan::digest::Digest, String> {
    crate::plan::digest::Digest::parse(text)
}
