//! Only what the guard approved is written, so that a change that a test makes up goes through a plan of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use scopeward::model::target::{ApigeeAuth, Edition, Endpoint};
use scopeward::model::{DesiredTarget, Record, RemoteId};
use scopeward::plan::change::Change;
use scopeward::plan::guard::{Approvals, ApprovedPlan};
use scopeward::plan::{Mode, ObjectKind, ObjectRef, Plan, PlannedChange, Reason, TargetPlan};
use scopeward::provider::{Applied, Apply, ProviderError};
use url::Url;

use crate::providing;

/// Writes a change that a test made up.
pub(crate) trait Make {
    /// Has the change approved, and makes it.
    fn make(&self, change: &Change) -> impl Future<Output = Result<Applied, ProviderError>>;
}

impl<T: Apply + ?Sized> Make for T {
    async fn make(&self, change: &Change) -> Result<Applied, ProviderError> {
        let approved = approved(change.clone());
        let change = approved.targets()[0].change(0);
        self.apply(change.expect("no rule stops it")).await
    }
}

/// The id of what was made, where it was and has one.
pub(crate) fn id_of(applied: Applied) -> Option<RemoteId> {
    match applied {
        Applied::Done { remote_id } => remote_id,
        Applied::Found | Applied::Moved => None,
    }
}

/// A plan of this change alone.
fn approved(change: Change) -> ApprovedPlan {
    let endpoint = Endpoint::Apigee {
        url: Url::parse("https://example.com").unwrap(),
        organization: "acme".to_owned(),
        edition: Edition::X,
        auth: None::<ApigeeAuth>,
    };
    let desired = DesiredTarget {
        target: Arc::new(providing::target(endpoint)),
        scopes: BTreeMap::new(),
        apps: Vec::new(),
    };
    let planned = PlannedChange::new(
        ObjectRef {
            kind: ObjectKind::Scope,
            name: "it".to_owned(),
            label: "it".to_owned(),
            remote_id: None,
        },
        Reason::ValueDiffers,
        change,
        Record::Write,
    );
    let target = TargetPlan {
        changes: vec![planned],
        ..TargetPlan::empty(&desired, Mode::Sync)
    };
    let plan = Plan {
        mode: Mode::Sync,
        paths: Vec::new(),
        targets: vec![target],
    };
    plan.approve(
        &BTreeMap::new(),
        &Approvals::default(),
        Timestamp::UNIX_EPOCH,
    )
}
