//! What `plan`, `apply`, `sync` and `adopt` share: manifests, credentials, connections, readings, and the plan of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::join_all;
use jiff::Timestamp;

use super::embedded::Embedded;
use super::{Stop, output, sentence};
use crate::apply::failure;
use crate::cli::{Inputs, Planning, Reach};
use crate::diagnostic::Diagnostic;
use crate::inventory::{InventoryError, Snapshot};
use crate::manifest::{self, LoadError, Loaded};
use crate::model::target::canonical;
use crate::model::{
    AppRef, Coverage, DesiredTarget, Live, LiveIdentity, Owned, System, Target, TargetId,
};
use crate::plan::guard::{ApprovedPlan, Limits};
use crate::plan::{
    Failure, Mode, NewInventory, Plan, PlanOptions, SkipReason, TargetPlan, plan_target,
};
use crate::provider::{
    self, Connect, CredentialStore, Interest, Interrupt, Observe, Provider, ProviderError,
    SecretDocument,
};
use crate::render::{self, Commands};

/// Reads manifests, here and now: nothing else runs yet, and memory that is taken on another thread costs more (glibc
/// grows its heap page by page).
pub(super) fn load(inputs: &Inputs) -> Result<Loaded, Stop> {
    let paths: Vec<PathBuf> = inputs.paths.iter().map(PathBuf::from).collect();
    let options = manifest::Options {
        strict: inputs.strict,
        selector: inputs.selector.clone(),
        now: Timestamp::now(),
    };
    let loaded = tokio::task::block_in_place(|| manifest::load(&paths, &options));
    loaded.map_err(|error: LoadError| Stop::usage(sentence(&error)))
}

/// A run that reaches live systems.
pub(super) struct Session {
    pub(super) loaded: Loaded,
    /// The targets of this run, sorted.
    pub(super) targets: Vec<Arc<DesiredTarget>>,
    pub(super) inventory_path: PathBuf,
    pub(super) embedded: Option<Embedded>,
    pub(super) interrupt: Interrupt,
    credentials: CredentialStore,
    /// Whether `--target` left targets out.
    narrowed: bool,
}

/// A target's connection and what was seen through it.
pub(super) struct Reading {
    pub(super) desired: Arc<DesiredTarget>,
    pub(super) result: Result<Live, ProviderError>,
    pub(super) requests: u64,
    /// Why nothing is removed from this target alone, if so.
    removal_block: Option<SkipReason>,
}

impl Reading {
    /// Whether its picture is one of something that is there.
    fn is_read(&self) -> bool {
        self.result.is_ok() && !self.desired.target.suspend
    }

    /// The options of planning, as they are for this target.
    pub(super) fn options(&self, options: &PlanOptions) -> PlanOptions {
        PlanOptions {
            removal_block: options.removal_block.or(self.removal_block),
            ..options.clone()
        }
    }
}

/// A connection that can write.
pub(super) type Writer = Result<Box<dyn Provider>, ProviderError>;

impl Session {
    /// Reads the manifests, says what is wrong with them, and starts the sandbox where it is asked for.
    pub(super) async fn start(reach: &Reach) -> Result<Self, Stop> {
        let inventory = inventory_argument(reach.inventory.as_deref())?;
        let mut loaded = load(&reach.inputs)?;
        findings(&loaded.diagnostics);
        let targets = select(&loaded, &reach.target)?;
        let narrowed = targets.len() < loaded.desired.targets.len();
        if targets.is_empty() && !loaded.has_errors() && loaded.complete {
            return Err(Stop::usage(format!(
                "no Target is declared in {}, so there is no system to look at",
                words(&reach.inputs.paths)
            ))
            .help("pass the files of the Targets too"));
        }
        // What a sandbox keeps stands in a folder of its own, so that nobody who starts afresh loses a real inventory.
        let mut folder = root_of(&reach.inputs.paths).await.join(".scopeward");
        if reach.sandbox {
            folder.push("sandbox");
        }
        let embedded = if reach.sandbox {
            Some(Embedded::start(&loaded.desired, &reach.inputs.paths, &folder).await?)
        } else {
            None
        };
        let inventory_path = inventory.unwrap_or_else(|| folder.join("inventory.json"));
        let documents = std::mem::take(&mut loaded.secrets);
        let documents = documents.into_iter().map(|secret| SecretDocument {
            namespace: secret.namespace,
            name: secret.name,
            keys: secret.keys,
            file: secret.source.file.to_string(),
        });
        let credentials = CredentialStore::new(
            reach.credentials.clone(),
            std::env::vars_os(),
            documents.collect(),
        );
        let interrupt = Interrupt::default();
        Ok(Self {
            loaded,
            targets,
            inventory_path,
            embedded,
            interrupt,
            credentials,
            narrowed,
        })
    }

    /// Whether a finding of the manifests is an error.
    pub(super) fn invalid(&self) -> bool {
        self.loaded.has_errors() || !self.loaded.complete
    }

    /// Opens the targets to look at them alone.
    pub(super) fn observers(&self) -> Vec<Result<Box<dyn Observe>, ProviderError>> {
        let open = |target: &Arc<DesiredTarget>| {
            let (credential, connect) = self.connection(target)?;
            provider::observer(&target.target, &credential, &connect)
        };
        self.targets.iter().map(open).collect()
    }

    /// Opens the targets to write to them.
    pub(super) fn writers(&self) -> Vec<Writer> {
        let open = |target: &Arc<DesiredTarget>| {
            let (credential, connect) = self.connection(target)?;
            provider::provider(&target.target, &credential, &connect)
        };
        self.targets.iter().map(open).collect()
    }

    fn connection(
        &self,
        desired: &DesiredTarget,
    ) -> Result<(provider::Credential, Connect), ProviderError> {
        let mut connect = Connect {
            interrupt: self.interrupt.clone(),
            ..Connect::default()
        };
        let credential = match &self.embedded {
            Some(embedded) => {
                connect.sandbox = Some(embedded.url(&desired.target.id));
                embedded.credential(&desired.target.id)
            }
            None => self.credentials.find(&desired.target)?,
        };
        Ok((credential, connect))
    }

    /// Reads every target at once. A suspended one is not asked.
    pub(super) async fn read<'a>(
        &self,
        observers: impl Iterator<Item = Result<&'a dyn Observe, &'a ProviderError>>,
    ) -> Vec<Reading> {
        let mut readings = join_all(self.targets.iter().zip(observers).map(
            async |(desired, observer)| {
                let (result, requests) = match observer {
                    Ok(observer) if !desired.target.suspend => {
                        let before = observer.requests().total;
                        let result = observer
                            .observe(&interest(desired))
                            .await
                            .map(|live| self.placed(live));
                        (result, observer.requests().total - before)
                    }
                    Ok(_) => (Ok(nothing(desired)), 0),
                    Err(error) => (Err(error.clone()), 0),
                };
                Reading {
                    desired: Arc::clone(desired),
                    result,
                    requests,
                    removal_block: None,
                }
            },
        ))
        .await;
        let unread = self.unread(&readings);
        for reading in &mut readings {
            let is_blocked = Self::may_have_a_twin(&reading.desired.target, &unread);
            reading.removal_block = is_blocked.then_some(SkipReason::UnreadTarget);
        }
        readings
    }

    /// The targets of the manifests that this run has no picture of: narrowed away, suspended, or failed.
    fn unread<'s>(&'s self, readings: &[Reading]) -> Vec<&'s Target> {
        let read: BTreeSet<&TargetId> = readings
            .iter()
            .filter(|reading| reading.is_read())
            .map(|reading| &reading.desired.target.id)
            .collect();
        let all = self.loaded.desired.targets.iter();
        all.map(|other| other.target.as_ref())
            .filter(|other| !read.contains(&other.id))
            .collect()
    }

    /// Whether a Target that was not read may lead to the same server: only a reading tells which server a resource
    /// identifier means, and two of them never mean one. What its manifests declare would be taken for gone.
    fn may_have_a_twin(target: &Target, unread: &[&Target]) -> bool {
        target.system() == System::OneLogin
            && target.live_identity().is_some()
            && unread.iter().any(|other| {
                other.id != target.id
                    && other.live_identity().is_none()
                    && canonical(other.url()) == canonical(target.url())
            })
    }

    /// Live identities that more than one target turned out to be, with their names.
    fn shared_identities(&self, readings: &[Reading]) -> BTreeMap<LiveIdentity, String> {
        let read = readings.iter().filter(|reading| reading.is_read());
        let seen = read.filter_map(|reading| {
            let live = reading.result.as_ref().ok()?;
            Some((live.identity.clone(), &reading.desired.target.id))
        });
        let unread = self.unread(readings).into_iter();
        let unseen = unread.filter_map(|target| {
            let identity = target.live_identity()?;
            Some((self.placed_identity(identity), &target.id))
        });
        let mut names: BTreeMap<LiveIdentity, Vec<String>> = BTreeMap::new();
        for (identity, target) in seen.chain(unseen) {
            names.entry(identity).or_default().push(target.to_string());
        }
        names.retain(|_, names| names.len() > 1);
        names
            .into_iter()
            .map(|(identity, mut names)| {
                names.sort();
                (identity, names.join(" and "))
            })
            .collect()
    }

    /// A picture under the identity that its inventory has: the sandbox's stand apart.
    pub(super) fn placed(&self, mut live: Live) -> Live {
        live.identity = self.placed_identity(live.identity);
        live
    }

    fn placed_identity(&self, identity: LiveIdentity) -> LiveIdentity {
        match self.embedded {
            Some(_) => LiveIdentity::new(format!("sandbox:{identity}")),
            None => identity,
        }
    }

    /// The options of planning.
    pub(super) fn plan_options(
        &self,
        mode: Mode,
        new_inventory: NewInventory,
        snapshot: &Snapshot,
    ) -> PlanOptions {
        let removal_block = if self.invalid() {
            Some(SkipReason::IncompleteManifests)
        } else if self.loaded.filtered {
            Some(SkipReason::Selection)
        } else {
            None
        };
        let new_inventory = if self.embedded.is_some() {
            NewInventory::Allow
        } else {
            new_inventory
        };
        PlanOptions {
            mode,
            now: Timestamp::now(),
            coverage: tokio::task::block_in_place(|| self.loaded.cover(snapshot.files())),
            removal_block,
            new_inventory,
        }
    }

    /// What the inventory holds for identities that no manifest leads to any more: reported, never deleted.
    pub(super) fn orphaned_identities(
        &self,
        readings: &[Reading],
        snapshot: &Snapshot,
        coverage: &Coverage,
    ) {
        if self.narrowed || self.invalid() {
            return;
        }
        let reached: BTreeSet<&LiveIdentity> = readings
            .iter()
            .filter_map(|reading| reading.result.as_ref().ok())
            .map(|live| &live.identity)
            .collect();
        let unread = readings
            .iter()
            .any(|reading| reading.result.is_err() || reading.desired.target.suspend);
        for (identity, target, owned) in snapshot.identities() {
            let objects = owned.scopes.len() + owned.apps.len();
            if !unread && !reached.contains(identity) && objects > 0 && covers(coverage, owned) {
                output::line(&format!(
                    "note: the inventory holds {objects} objects of {target} ({identity}), which no Target of this run \
                     leads to; they are left alone"
                ));
            }
        }
    }
}

/// Whether the run covers the file of an object of ours.
fn covers(coverage: &Coverage, owned: &Owned) -> bool {
    let scopes = owned.scopes.values().map(|entry| &entry.source);
    let mut sources = scopes.chain(owned.apps.values().map(|entry| &entry.source));
    sources.any(|source| coverage.of(&source.file).may_remove())
}

/// Plans every target that was read.
fn plan(
    session: &Session,
    readings: &[Reading],
    snapshot: &Snapshot,
    options: &PlanOptions,
    paths: &[String],
) -> Plan {
    let shared = session.shared_identities(readings);
    let targets = readings.iter().map(|reading| {
        let mut plan = match &reading.result {
            Ok(_) if reading.desired.target.suspend => {
                TargetPlan::empty(&reading.desired, options.mode)
            }
            Ok(live) => match shared.get(&live.identity) {
                Some(others) => {
                    let mut plan = TargetPlan::empty(&reading.desired, options.mode);
                    plan.error = Some(Failure {
                        reason: "shared_identity",
                        status: None,
                        message: format!("targets {others} are one live place"),
                        help: Some("keep one of them".to_owned()),
                    });
                    plan
                }
                None => plan_target(
                    &reading.desired,
                    live,
                    &snapshot.owned(&live.identity),
                    &reading.options(options),
                ),
            },
            Err(error) => {
                let mut plan = TargetPlan::empty(&reading.desired, options.mode);
                plan.error = Some(failure(error));
                plan
            }
        };
        plan.requests = reading.requests;
        plan
    });
    Plan {
        mode: options.mode,
        paths: paths.to_vec(),
        targets: targets.collect(),
    }
}

/// What the guard measures each target against.
fn limits(readings: &[Reading], snapshot: &Snapshot) -> BTreeMap<TargetId, Limits> {
    let limits = |reading: &Reading| {
        let window = match &reading.result {
            Ok(live) => snapshot.removals(&live.identity),
            Err(_) => crate::model::Removals::default(),
        };
        let target = &reading.desired.target;
        (
            target.id.clone(),
            Limits {
                thresholds: target.safety,
                window,
            },
        )
    };
    readings.iter().map(limits).collect()
}

/// Plans and judges in one step.
pub(super) fn judged(
    session: &Session,
    readings: &[Reading],
    snapshot: &Snapshot,
    options: &PlanOptions,
    planning: &Planning,
) -> ApprovedPlan {
    let paths = &planning.reach.inputs.paths;
    let plan = plan(session, readings, snapshot, options, paths);
    plan.approve(
        &limits(readings, snapshot),
        &planning.approve_plan,
        options.now,
    )
}

/// The findings that only the live state shows, located in their files.
pub(super) fn live_findings(approved: &ApprovedPlan, session: &Session) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = approved
        .targets()
        .iter()
        .flat_map(|target| target.plan().diagnostics.iter().cloned())
        .collect();
    session.loaded.locate(&mut found);
    found
}

/// Shows findings on standard error.
pub(super) fn findings(diagnostics: &[Diagnostic]) {
    if !diagnostics.is_empty() {
        output::note(render::finding::findings(diagnostics, true).trim_end());
        output::note("");
    }
}

/// What a full reading of a target asks for.
pub(super) fn interest(desired: &DesiredTarget) -> Interest {
    let capabilities = desired.target.system().capabilities();
    let apps: Vec<AppRef> = desired.apps.iter().map(|app| app.app.clone()).collect();
    Interest {
        scopes: capabilities.scopes,
        consumers: capabilities.scopes,
        allowed: !apps.is_empty(),
        apps,
    }
}

/// The picture of a target that is not looked at.
fn nothing(desired: &DesiredTarget) -> Live {
    let identity = desired
        .target
        .live_identity()
        .unwrap_or_else(|| LiveIdentity::new(""));
    Live {
        identity,
        title: String::new(),
        scopes: BTreeMap::new(),
        duplicates: BTreeSet::new(),
        apps: BTreeMap::new(),
    }
}

/// The targets that `--target` names, or all.
fn select(loaded: &Loaded, names: &[String]) -> Result<Vec<Arc<DesiredTarget>>, Stop> {
    let all = &loaded.desired.targets;
    let named = |target: &DesiredTarget, name: &String| {
        target.target.id.name == *name || target.target.id.to_string() == *name
    };
    for name in names {
        if !all.iter().any(|target| named(target, name)) {
            let known: Vec<String> = all
                .iter()
                .map(|target| target.target.id.to_string())
                .collect();
            let known = if known.is_empty() {
                "none".to_owned()
            } else {
                known.join(", ")
            };
            return Err(Stop::usage(format!(
                "no Target is named \"{name}\"; there are: {known}"
            )));
        }
    }
    let mut chosen = Vec::new();
    for target in all {
        if names.is_empty() || names.iter().any(|name| named(target, name)) {
            let mut target = target.clone();
            place_authorities(&mut target, loaded);
            chosen.push(Arc::new(target));
        }
    }
    Ok(chosen)
}

/// Leads `tls.caFile` from where the process is: manifests write it relative to their own folder.
fn place_authorities(target: &mut DesiredTarget, loaded: &Loaded) {
    let Some(written) = &target.target.tls.ca_file else {
        return;
    };
    let manifest = loaded.on_disk(&target.target.source.file);
    if let Some(folder) = manifest.as_deref().and_then(Path::parent) {
        let file = folder.join(written);
        Arc::make_mut(&mut target.target).tls.ca_file = Some(file);
    }
}

fn inventory_argument(argument: Option<&str>) -> Result<Option<PathBuf>, Stop> {
    let Some(text) = argument else {
        return Ok(None);
    };
    for later in ["configmap:", "s3://", "gs://", "az://"] {
        if text.starts_with(later) {
            return Err(Stop::usage(format!(
                "--inventory {text}: inventories at `{later}` are not supported yet; `file:PATH` is"
            )));
        }
    }
    match text.strip_prefix("file:") {
        Some(path) if !path.is_empty() => Ok(Some(PathBuf::from(path))),
        _ => Err(Stop::usage(format!(
            "--inventory {text}: `file:PATH` is needed"
        ))),
    }
}

/// The end of a run that has no inventory.
pub(super) fn inventory_stop(error: &InventoryError) -> Stop {
    let stop = Stop::failed(sentence(error));
    match error {
        InventoryError::Read { .. } | InventoryError::Write { .. } => stop.help(
            "give the right to read and write there, or name another place with --inventory file:PATH",
        ),
        InventoryError::Malformed { .. } | InventoryError::Locked { .. } => stop,
    }
}

/// The folder that `.scopeward/` stands in: the one above the first PATH that holds `.git`, else the working folder.
/// Standard input stands where the run does. Relative where that is the working folder itself, for people.
async fn root_of(paths: &[String]) -> PathBuf {
    let first = paths.iter().find(|path| *path != "-");
    let first = first.cloned().unwrap_or_else(|| ".".to_owned());
    let found = tokio::task::spawn_blocking(move || {
        let here = std::env::current_dir().and_then(|here| here.canonicalize());
        let base = manifest::base_folder(Path::new(&first));
        base.filter(|base| here.is_ok_and(|here| *base != here))
    })
    .await;
    found.ok().flatten().unwrap_or_default()
}

/// The command lines that hints repeat: everything that decides what the run is about, with another verb or none of the
/// flags of planning.
pub(super) fn commands(verb: &str, planning: &Planning) -> Commands {
    let mut run = command(verb, &planning.reach);
    if planning.new_inventory {
        run.push_str(" --new-inventory");
    }
    Commands {
        run,
        adopt: command("adopt", &planning.reach),
    }
}

/// The command line of a verb on the same manifests and systems.
pub(super) fn command(verb: &str, reach: &Reach) -> String {
    let Reach {
        inputs: Inputs {
            paths,
            strict,
            selector,
        },
        target,
        credentials,
        inventory,
        sandbox,
    } = reach;
    let mut parts = vec![format!("scopeward {verb}"), words(paths)];
    let mut flag = |name: &str, value: &str| parts.push(format!("{name} {}", quoted(value)));
    for name in target {
        flag("--target", name);
    }
    if let Some(selector) = selector {
        flag("-l", &selector.to_string());
    }
    if let Some(folder) = credentials {
        flag("--credentials", &folder.display().to_string());
    }
    if let Some(inventory) = inventory {
        flag("--inventory", inventory);
    }
    for (given, name) in [(strict, "--strict"), (sandbox, "--sandbox")] {
        if *given {
            parts.push(name.to_owned());
        }
    }
    parts.join(" ")
}

/// The PATHs of a run, as they were given.
pub(super) fn words(paths: &[String]) -> String {
    let paths: Vec<String> = paths.iter().map(|path| quoted(path)).collect();
    paths.join(" ")
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
