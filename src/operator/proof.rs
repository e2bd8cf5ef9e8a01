//! Before the first removal of a run: that the watches have told all that there is.
//!
//! A watch that died silently, a kind whose definition was deleted, a list that came short: each looks like manifests that
//! went. So a quorum is asked once more, without what the objects say, and nothing is removed unless it agrees.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;

use super::{Context, World};
use crate::cluster::ClusterError;
use crate::cluster::objects::{Key, Kind, Stamp, stamps};
use crate::manifest::crd;
use crate::model::TargetId;
use crate::plan::SkipReason;

/// How long the whole proof may take.
const LONGEST: Duration = Duration::from_mins(1);

/// Why nothing is to be removed now, if so.
pub(super) async fn bar(context: &Context, world: &World, target: &TargetId) -> Option<SkipReason> {
    let proof = tokio::time::timeout(LONGEST, found(context, world, target));
    proof.await.unwrap_or_else(|_| {
        tracing::warn!(target: "reconcile", target_name = %target, "the API server does not answer: nothing is removed");
        Some(SkipReason::ObserveIncomplete)
    })
}

async fn found(context: &Context, world: &World, target: &TargetId) -> Option<SkipReason> {
    match is_going(context, &target.namespace).await {
        Ok(false) => {}
        Ok(true) => return Some(SkipReason::NamespaceTerminating),
        Err(error) => return Some(unseen(&error)),
    }
    for kind in Kind::all() {
        match stamps(&context.client, kind).await {
            Ok(found) if agrees(&found, world, kind, target) => {}
            Ok(_) => {
                tracing::info!(target: "reconcile", target_name = %target, kind = kind.name(), "the watch is behind: nothing is removed yet");
                return Some(SkipReason::ObserveIncomplete);
            }
            Err(error) => return Some(unseen(&error)),
        }
        // Last: a list that was had while the definition stood was had before its objects were taken away.
        match is_defined(context, kind).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(target: "reconcile", kind = kind.name(), "the definition is gone or being deleted, and its objects with it: nothing is removed");
                return Some(SkipReason::ObserveIncomplete);
            }
            Err(error) => return Some(unseen(&error)),
        }
    }
    None
}

/// Whether the definition of a kind is there to stay: one that is being deleted takes its objects with it, and still
/// answers with a list that is whole and shorter each time.
async fn is_defined(context: &Context, kind: Kind) -> Result<bool, ClusterError> {
    let definitions = Api::<CustomResourceDefinition>::all(context.client.clone());
    let name = format!("{}.{}", kind.resource().plural, crd::GROUP);
    let found = definitions.get_metadata_opt(&name).await;
    let found = found.map_err(ClusterError::call(format!("read the definition {name}")))?;
    Ok(found.is_some_and(|found| found.metadata.deletion_timestamp.is_none()))
}

fn unseen(error: &ClusterError) -> SkipReason {
    tracing::warn!(target: "reconcile", error = crate::telemetry::sentence(error), "the cluster does not tell all that there is: nothing is removed");
    SkipReason::ObserveIncomplete
}

/// Whether a namespace is being deleted, or gone.
async fn is_going(context: &Context, namespace: &str) -> Result<bool, ClusterError> {
    let namespaces = Api::<Namespace>::all(context.client.clone());
    let found = namespaces.get_metadata_opt(namespace).await;
    let found = found.map_err(ClusterError::call(format!(
        "read the namespace {namespace}"
    )))?;
    Ok(found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()))
}

/// Whether a quorum has no object of a kind that the picture lacks, and those that concern the Target are the same in both.
fn agrees(found: &BTreeMap<Key, Stamp>, world: &World, kind: Kind, target: &TargetId) -> bool {
    let known = &world.picture.objects;
    let has_all = found.keys().all(|key| known.contains_key(key));
    let mut of_kind = known.values().filter(|object| object.key.kind == kind);
    has_all
        && of_kind.all(|object| {
            let concerns = match kind {
                // A binding is for the targets of its Scope.
                Kind::ScopeBinding => true,
                Kind::Target => {
                    object.key.namespace == target.namespace && object.key.name == target.name
                }
                Kind::Scope | Kind::AppScopeSet => {
                    let mut refs = object.target_refs().into_iter();
                    refs.any(|(namespace, name)| {
                        namespace == target.namespace && name == target.name
                    })
                }
            };
            !concerns || found.get(&object.key) == Some(&object.stamp)
        })
}
