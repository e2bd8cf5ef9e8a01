//! Between the plan and a write somebody else may write: what a change rests on is looked at just before it is sent.
//!
//! | level | looked at | where |
//! |---|---|---|
//! | renames | one list of scopes | OneLogin |
//! | updates | one list of scopes | everywhere |
//! | lists of apps | one list of apps, or each app before its own write | OneLogin; Apigee |
//! | deletes | one list of scopes with who uses them | where the system tells who uses them |
//!
//! Creations rest on nothing: a system refuses a name that is taken. A repetition within one call is the provider's to
//! look before.

use std::collections::BTreeSet;

use super::{Outcome, SoFar, TargetRun, failure};
use crate::model::{
    AppRef, DisplayNames, Live, LiveApp, LiveAppScopes, LiveScope, RemoteId, Reread, ScopeName,
    ScopeState,
};
use crate::plan::change::{Change, Level};
use crate::plan::guard::ApprovedChange;
use crate::plan::{PlannedChange, SkipReason};
use crate::provider::{Interest, are_known};

impl TargetRun<'_> {
    /// Looks at what a level's changes rest on, once for all of them, and takes out what moved.
    pub(super) async fn look(
        &self,
        so_far: &mut SoFar,
        level: Level,
        indexes: Vec<usize>,
    ) -> Vec<usize> {
        let Some(interest) = self.interest(level, &indexes) else {
            return indexes;
        };
        match self.work.provider.observe(&interest).await {
            Ok(live) => {
                let mut seen = BTreeSet::new();
                let (hold, moved): (Vec<usize>, Vec<usize>) =
                    indexes.into_iter().partition(|&index| {
                        let planned = &self.plan().changes[index];
                        // In a chain of renames each rests on the one before it.
                        let is_first = match &planned.change {
                            Change::RenameScope { id, .. } => seen.insert(id),
                            _ => true,
                        };
                        !is_first || rests(planned, &live)
                    });
                for index in moved {
                    self.finish(so_far, index, Outcome::Skipped(SkipReason::Stale));
                }
                hold
            }
            Err(error) => {
                for index in indexes {
                    self.finish(so_far, index, Outcome::Failed(failure(&error)));
                }
                Vec::new()
            }
        }
    }

    /// What a level is looked at through, if one reading serves all of it.
    fn interest(&self, level: Level, indexes: &[usize]) -> Option<Interest> {
        let can = self.plan().system.capabilities();
        let changes = || {
            let planned = indexes.iter().map(|&index| &self.plan().changes[index]);
            planned.map(|planned| &planned.change)
        };
        let scopes = Interest {
            scopes: true,
            ..Interest::default()
        };
        match level {
            Level::Make => changes()
                .any(|change| matches!(change, Change::RenameScope { .. }))
                .then_some(scopes),
            Level::Update => Some(scopes),
            Level::Apps => {
                let apps: Vec<_> = changes().filter_map(Change::app).cloned().collect();
                let is_one = can.reread == Reread::PerLevel && !apps.is_empty();
                is_one.then(|| Interest {
                    apps,
                    ..Interest::default()
                })
            }
            Level::Delete => can.tells_consumers.then_some(Interest {
                consumers: true,
                ..scopes
            }),
        }
    }

    /// Looks at what one change rests on, where each is looked at for itself.
    ///
    /// # Errors
    /// What becomes of it instead: it moved, or could not be read.
    pub(super) async fn look_at(&self, change: ApprovedChange<'_>) -> Result<(), Outcome> {
        if self.plan().system.capabilities().reread != Reread::PerChange {
            return Ok(());
        }
        let Some(app) = change.app() else {
            return Ok(());
        };
        let interest = Interest {
            apps: vec![app.clone()],
            ..Interest::default()
        };
        match self.work.provider.observe(&interest).await {
            Ok(live) if holds(&change, &live) => Ok(()),
            Ok(_) => Err(Outcome::Skipped(SkipReason::Stale)),
            Err(error) => Err(Outcome::Failed(failure(&error))),
        }
    }
}

/// Whether a planned change may be sent, by what is live now.
fn rests(planned: &PlannedChange, live: &Live) -> bool {
    holds(&planned.change, live)
        && match &planned.change {
            Change::DeleteScope { before, .. } => {
                let now = live.scopes.get(&before.name);
                now.is_none_or(|now| are_known(&now.consumers, &planned.facts))
            }
            _ => true,
        }
}

/// Whether what a change was planned from is still so.
pub(super) fn holds(change: &Change, live: &Live) -> bool {
    let is_before = |id: Option<&RemoteId>, before: &ScopeState| {
        find(live, id, &before.name).is_some_and(|now| now.state.holds(before, DisplayNames::Exact))
    };
    match change {
        Change::CreateScope { .. } => true,
        Change::UpdateScope { id, before, .. } => is_before(id.as_ref(), before),
        Change::RenameScope { id, before, .. } => is_before(Some(id), before),
        // What is gone needs no delete, and to send one does no harm.
        Change::DeleteScope { id, before } => find(live, id.as_ref(), &before.name)
            .is_none_or(|now| now.state.holds(before, DisplayNames::Exact)),
        Change::ReplaceAppScopes {
            app,
            before,
            inherited,
            ..
        } => find_app(live, app)
            .is_some_and(|now| now.scopes == *before && now.inherited == *inherited),
        Change::DetachApp { app, before } => {
            find_app(live, app).is_some_and(|now| now.scopes == *before)
        }
        Change::AttachApp { app, .. } => find_app(live, app).is_none(),
    }
}

/// Whether a change shows in a picture, as if it had just been made.
pub(super) fn shows(change: &Change, live: &Live) -> bool {
    let is_after = |id: Option<&RemoteId>, after: &ScopeState| {
        find(live, id, &after.name).is_some_and(|now| now.state.holds(after, DisplayNames::Exact))
    };
    match change {
        Change::CreateScope { after } => is_after(None, after),
        Change::UpdateScope { id, after, .. } => is_after(id.as_ref(), after),
        Change::RenameScope { id, after, .. } => is_after(Some(id), after),
        Change::DeleteScope { id, before } => find(live, id.as_ref(), &before.name).is_none(),
        Change::AttachApp { app, after } | Change::ReplaceAppScopes { app, after, .. } => {
            find_app(live, app).is_some_and(|now| now.scopes == *after)
        }
        Change::DetachApp { app, .. } => find_app(live, app).is_none(),
    }
}

/// An app by its full reference; it may have been asked for without its key.
fn find_app<'l>(live: &'l Live, app: &AppRef) -> Option<&'l LiveAppScopes> {
    let mut present = live.apps.values().filter_map(|found| match found {
        LiveApp::Present(found) => Some(found),
        LiveApp::Absent { .. } => None,
    });
    present.find(|found| found.app == *app)
}

/// A scope by its id, or by its name where it has none.
pub(super) fn find<'l>(
    live: &'l Live,
    id: Option<&RemoteId>,
    name: &ScopeName,
) -> Option<&'l LiveScope> {
    match id {
        Some(_) => {
            let mut scopes = live.scopes.values();
            scopes.find(|scope| scope.remote_id.as_ref() == id)
        }
        None => live.scopes.get(name),
    }
}
