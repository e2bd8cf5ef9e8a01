//! The sandbox inside `--sandbox`: the manifests' targets, served in this process.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::fs;
use url::Url;

use super::sandbox::read_world;
use super::{Stop, sentence};
use crate::apply::RunResult;
use crate::model::target::{AuthorizationServer, Edition, Endpoint};
use crate::model::{AppOwner, AppRef, DesiredTarget, TargetId};
use crate::provider::Credential;
use scopeward_sandbox::{Options, Sandbox, World};

/// The file of the sandbox's folder that holds what there is.
const STATE: &str = "world.json";

/// A running sandbox and what opens each of its systems.
pub(super) struct Embedded {
    sandbox: Sandbox,
    folder: PathBuf,
    copies: BTreeMap<TargetId, (Url, Credential)>,
}

impl Embedded {
    /// Starts a sandbox in which every target has a system: as the state in `folder` says, else as `sandbox.yaml` beside
    /// the manifests says, else generated from the target.
    pub(super) async fn start(
        targets: &[Arc<DesiredTarget>],
        paths: &[String],
        folder: &Path,
    ) -> Result<Self, Stop> {
        let mut systems = systems_of(folder, paths).await?;
        for target in targets {
            let name = &target.target.id.name;
            if !systems.iter().any(|system| system["name"] == **name) {
                systems.push(generated(target));
            }
        }
        let made = fs::create_dir_all(folder).await;
        made.map_err(|error| {
            Stop::failed(format!("cannot make \"{}\": {error}", folder.display()))
        })?;
        let credentials: BTreeMap<_, _> = targets
            .iter()
            .map(|target| (target.target.id.clone(), credential(target, &systems)))
            .collect();
        let world = World::from_value(json!({ "systems": systems }))
            .map_err(|error| Stop::failed(sentence(&error)))?;
        let options = Options {
            state: Some(folder.join(STATE)),
            ..Options::default()
        };
        let sandbox = Sandbox::start(world, options)
            .await
            .map_err(|error| Stop::failed(sentence(&error)))?;
        let mut copies = BTreeMap::new();
        for target in targets {
            let url = sandbox.url_of(&target.target.id.name);
            let url = Url::parse(&url)
                .map_err(|error| Stop::failed(format!("the sandbox's own URL {url}: {error}")))?;
            let id = &target.target.id;
            copies.insert(id.clone(), (url, credentials[id].clone()));
        }
        Ok(Self {
            sandbox,
            folder: folder.to_owned(),
            copies,
        })
    }

    /// Where each target's copy is, and what opens it.
    pub(super) fn copies(&self) -> BTreeMap<TargetId, (Url, Credential)> {
        self.copies.clone()
    }

    /// The line above the plan.
    pub(super) fn heading(&self) -> String {
        format!(
            "sandbox    all three systems, embedded; state in {}",
            self.folder.display()
        )
    }

    /// What to try next: `paths` are the run's, `plan` is the command that plans them.
    pub(super) fn next_steps(&self, paths: &str, plan: &str, result: RunResult) -> String {
        match result {
            RunResult::Applied => format!(
                "\nNext:  change a description in {paths} and run `{plan}`\n       \
                 your own system: README, \"Point it at a real system\"\n"
            ),
            RunResult::NoChanges => {
                format!(
                    "\nNext:  remove {} to start afresh\n",
                    self.folder.display()
                )
            }
            _ => String::new(),
        }
    }

    /// Saves the state and ends the sandbox.
    pub(super) async fn stop(self) -> Result<(), Stop> {
        self.sandbox
            .shutdown()
            .await
            .map_err(|error| Stop::failed(sentence(&error)))
    }
}

/// The systems that exist already: the saved state's, and those of the world files beside the manifests that it lacks.
async fn systems_of(folder: &Path, paths: &[String]) -> Result<Vec<Value>, Stop> {
    let state = folder.join(STATE);
    let mut systems: Vec<Value> = Vec::new();
    let mut add = |world: &World| {
        if let Value::Array(found) = &world.to_value()["systems"] {
            for system in found {
                if !systems.iter().any(|known| known["name"] == system["name"]) {
                    systems.push(system.clone());
                }
            }
        }
    };
    let cannot = |error: &dyn std::error::Error| {
        Stop::failed(format!(
            "the sandbox's state \"{}\" cannot be used: {}",
            state.display(),
            sentence(error)
        ))
        .help(format!("remove {} to start afresh", folder.display()))
    };
    match fs::read(&state).await {
        Ok(text) => add(&World::from_json(&text).map_err(|error| cannot(&error))?),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(cannot(&error)),
    }
    for path in paths.iter().map(Path::new) {
        let is_folder = fs::metadata(path).await.is_ok_and(|found| found.is_dir());
        let folder = if is_folder {
            path
        } else {
            path.parent().unwrap_or(path)
        };
        let file = folder.join("sandbox.yaml");
        // A file of that name may hold manifests: a world is told by its key.
        let text = fs::read_to_string(&file).await.unwrap_or_default();
        if text.lines().any(|line| line.starts_with("systems:")) {
            add(&read_world(&file).await?);
        }
    }
    Ok(systems)
}

/// A system for a target that no world describes: what its manifests take for granted is there.
fn generated(target: &DesiredTarget) -> Value {
    let name = &target.target.id.name;
    match &target.target.endpoint {
        Endpoint::OneLogin { server, .. } => {
            let apps: Vec<Value> = target
                .apps
                .iter()
                .filter_map(|app| match app.app {
                    AppRef::OneLogin { app_id } => {
                        Some(json!({ "id": app_id, "name": app.source.name }))
                    }
                    AppRef::Apigee { .. } => None,
                })
                .collect();
            let (id, resource) = match server {
                AuthorizationServer::Id(id) => (*id, format!("https://sandbox.example/{name}")),
                AuthorizationServer::ResourceIdentifier(resource) => (1, resource.clone()),
            };
            json!({ "name": name, "oneLogin": {
                "credentials": [{ "clientId": "sandbox", "clientSecret": "sandbox" }],
                "authorizationServers": [{ "id": id, "name": name, "resourceIdentifier": resource, "audiences": [resource] }],
                "apps": apps,
            }})
        }
        Endpoint::Wso2 {
            version, tenant, ..
        } => {
            // A tenant's users sign in as `admin@acme.com`.
            let tenant = tenant.iter().map(|tenant| format!("@{tenant}"));
            let username = format!("admin{}", tenant.collect::<String>());
            json!({ "name": name, "wso2": {
                "users": [{ "username": username, "password": "admin" }],
                "publisherVersion": version,
            }})
        }
        Endpoint::Apigee {
            organization,
            edition,
            ..
        } => {
            let system = generated_organization(target, organization, *edition);
            json!({ "name": name, "apigee": system })
        }
    }
}

/// An organization in which the keys that the target's manifests name may hold what these say.
fn generated_organization(target: &DesiredTarget, organization: &str, edition: Edition) -> Value {
    let mut owners: BTreeMap<&AppOwner, Vec<Value>> = BTreeMap::new();
    let mut products = Vec::new();
    for (index, app) in target.apps.iter().enumerate() {
        let AppRef::Apigee {
            owner,
            app: app_name,
            key,
        } = &app.app
        else {
            continue;
        };
        let product = format!("sandbox-{index}");
        products.push(json!({ "name": product, "scopes": app.scopes }));
        let key = key
            .as_ref()
            .map_or_else(|| format!("sandbox-key-{index}"), ToString::to_string);
        owners.entry(owner).or_default().push(json!({
            "name": app_name, "keys": [{ "consumerKey": key, "products": [product], "scopes": app.scopes }],
        }));
    }
    let of = |kind: fn(&AppOwner) -> Option<(&'static str, &String)>| -> Vec<Value> {
        let named = owners.iter().filter_map(|(owner, apps)| {
            kind(owner).map(|(key, id)| json!({ key: id, "apps": apps }))
        });
        named.collect()
    };
    let mut system = json!({
        "organization": organization,
        "edition": match edition { Edition::Edge => "Edge", Edition::X => "X" },
        "credentials": [{ "token": "sandbox" }],
        "products": products,
        "developers": of(|owner| match owner { AppOwner::Developer(email) => Some(("email", email)), _ => None }),
    });
    let companies = of(|owner| match owner {
        AppOwner::Company(name) => Some(("name", name)),
        _ => None,
    });
    let groups = of(|owner| match owner {
        AppOwner::AppGroup(name) => Some(("name", name)),
        _ => None,
    });
    for (key, values) in [("companies", companies), ("appGroups", groups)] {
        if !values.is_empty() {
            system[key] = Value::Array(values);
        }
    }
    system
}

/// What opens a system of the sandbox: its own first credential.
fn credential(target: &DesiredTarget, systems: &[Value]) -> Credential {
    let name = &target.target.id.name;
    let system = systems
        .iter()
        .find(|system| system["name"] == **name)
        .cloned()
        .unwrap_or_default();
    let first = match &target.target.endpoint {
        Endpoint::OneLogin { .. } => &system["oneLogin"]["credentials"][0],
        Endpoint::Wso2 { .. } => &system["wso2"]["users"][0],
        Endpoint::Apigee { .. } => &system["apigee"]["credentials"][0],
    };
    let keys: Vec<(String, String)> = first
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    Credential::new(target.target.credential.clone(), "the sandbox's own", keys)
}
