//! The inventory of a Target, in ConfigMaps.

use super::Context;
use crate::inventory::{FileLedger, InventoryError, Ledger};
use crate::model::TargetId;

pub(super) async fn open(
    context: &Context,
    target: &TargetId,
) -> Result<Box<dyn Ledger>, InventoryError> {
    let path = std::path::PathBuf::from(format!(
        "/tmp/bringup/{}-{}/inventory.json",
        target.namespace, target.name
    ));
    let holder = context.settings.identity.clone();
    let opened = tokio::task::spawn_blocking(move || FileLedger::open(&path, &holder))
        .await
        .expect("bring-up");
    Ok(Box::new(opened?))
}
