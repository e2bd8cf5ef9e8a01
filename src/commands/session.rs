//! What the verbs that reach a system start from: arguments into manifests, targets, credentials and an inventory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::embedded::Embedded;
use super::ledger::{self, Place};
use super::{Stop, hint, inputs, output, sentence};
use crate::cli::{self, Planning, Reach};
use crate::diagnostic::Diagnostic;
use crate::inventory::Snapshot;
use crate::manifest::Loaded;
use crate::model::{Coverage, DesiredTarget};
use crate::plan::guard::{ApprovedPlan, OnThreshold};
use crate::plan::{Mode, NewInventory};
use crate::provider::{CredentialStore, Interrupt, Tally};
use crate::render;
use crate::run::{self, Judging, Reading, Realm, Systems, Wanted};

/// What a run that reaches live systems starts from.
pub(super) struct Session {
    pub(super) loaded: Loaded,
    pub(super) wanted: Wanted,
    pub(super) systems: Systems,
    pub(super) place: Place,
    pub(super) embedded: Option<Embedded>,
}

impl Session {
    /// Reads the manifests, says what is wrong with them, and starts the sandbox where it is asked for.
    pub(super) async fn start(reach: &Reach) -> Result<Self, Stop> {
        let paths = inputs::all_paths(&reach.inputs);
        let place = Place::of(&cli::InventoryLocation {
            paths: paths.clone(),
            inventory: reach.inventory.clone(),
            sandbox: reach.sandbox,
        })
        .await?;
        let recorded = inputs::recorded(&paths, &place).await?;
        let cluster = inputs::cluster_of(&reach.cluster, &paths, &place).await?;
        let mut loaded = inputs::load(&reach.inputs, cluster, recorded)?;
        findings(&loaded.diagnostics);
        let realm = if reach.sandbox {
            Realm::Sandbox
        } else {
            Realm::Live
        };
        let mut wanted = Wanted::new(&mut loaded, &reach.target, realm)
            .map_err(|error| Stop::usage(sentence(&error)))?;
        if wanted.targets.is_empty() && !wanted.is_invalid() {
            return Err(Stop::usage(format!(
                "no Target is declared in {}, so there is no system to look at",
                hint::arguments(&reach.inputs.paths)
            ))
            .help("pass the files of the Targets too"));
        }
        if place.is_remote() {
            inputs::keep_of_unknown_repositories(&loaded, &mut wanted);
        }
        for target in &mut wanted.targets {
            place_authorities(Arc::make_mut(target), &loaded);
        }
        let embedded = if reach.sandbox {
            let folder = ledger::own_folder(&paths, true).await;
            Some(Embedded::start(&wanted.targets, &reach.inputs.paths, &folder).await?)
        } else {
            None
        };
        let systems = Systems {
            credentials: credentials(reach, &mut loaded),
            stand_in: embedded.as_ref().map(Embedded::copies),
            interrupt: Interrupt::default(),
            tally: Tally::default(),
        };
        Ok(Self {
            loaded,
            wanted,
            systems,
            place,
            embedded,
        })
    }

    /// What this run can say of the files that the inventory names.
    pub(super) fn cover(&self, snapshot: &Snapshot) -> Coverage {
        tokio::task::block_in_place(|| self.loaded.cover(snapshot.recorded()))
    }

    /// What a judgement depends on.
    pub(super) fn judging(
        &self,
        mode: Mode,
        new_inventory: NewInventory,
        planning: &Planning,
        snapshot: &Snapshot,
    ) -> Judging {
        Judging {
            mode,
            paths: planning.reach.inputs.paths.clone(),
            coverage: self.cover(snapshot),
            // What the sandbox holds is nobody's loss.
            new_inventory: match self.embedded {
                Some(_) => NewInventory::Allow,
                None => new_inventory,
            },
            approvals: planning.approve_plan.clone().into(),
            on_threshold: OnThreshold::Stop,
            frozen: BTreeMap::new(),
        }
    }

    /// Shows what only the live state and the inventory told of the manifests, and gives the findings.
    pub(super) fn show_learned<P: ?Sized>(
        &self,
        approved: &ApprovedPlan,
        readings: &[Reading<P>],
        snapshot: &Snapshot,
        coverage: &Coverage,
    ) -> Vec<Diagnostic> {
        let targets = approved.targets().iter();
        let mut found: Vec<Diagnostic> = targets
            .flat_map(|target| target.plan().diagnostics.iter().cloned())
            .collect();
        self.loaded.locate(&mut found);
        findings(&found);
        for left in run::orphans(&self.wanted, readings, snapshot, coverage) {
            output::line(&format!(
                "note: the inventory holds {} objects of {} ({}), which no Target of this run leads to; they are left alone",
                left.objects, left.target, left.identity
            ));
        }
        found
    }
}

/// Where credentials are looked for.
fn credentials(reach: &Reach, loaded: &mut Loaded) -> CredentialStore {
    let documents = std::mem::take(&mut loaded.secrets);
    CredentialStore::new(reach.credentials.clone(), std::env::vars_os(), documents)
}

/// Shows findings on standard error.
pub(super) fn findings(diagnostics: &[Diagnostic]) {
    if !diagnostics.is_empty() {
        output::note(render::finding::findings(diagnostics, true).trim_end());
        output::note("");
    }
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
