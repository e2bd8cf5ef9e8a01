//! Blobs of the inventory in `ConfigMaps`: each is one, all but heads are immutable, and a head is replaced by its
//! `resourceVersion`.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};

use super::ClusterError;
use crate::inventory::blobs::{BlobError, BlobKey, Blobs, Version};

/// What the names of all of them begin with.
const PREFIX: &str = "scopeward-inventory-";
/// The key of the bytes.
const DATA: &str = "inventory";
/// The label that tells heads from what they name.
const ROLE: &str = "scopeward.dev/inventory";
/// How long one call may take.
const TRY: Duration = Duration::from_secs(5);

/// The `ConfigMaps` of one namespace.
pub(crate) struct ConfigMaps {
    client: Client,
    api: Api<ConfigMap>,
    namespace: String,
}

impl ConfigMaps {
    /// Keeps blobs in a namespace.
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
        }
    }

    /// Finds the cluster, and takes its [own namespace](super::own_namespace) where none is named. Sends nothing.
    ///
    /// # Errors
    /// Nothing says where the cluster is.
    pub(crate) async fn open(namespace: Option<&str>) -> Result<Self, ClusterError> {
        let client = super::connect().await?;
        let own = super::own_namespace(&client);
        Ok(Self::new(client, namespace.unwrap_or(&own)))
    }

    /// Where they are.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Names the cluster that they are in.
    ///
    /// # Errors
    /// It does not say.
    pub(crate) async fn cluster_uid(&self) -> Result<String, ClusterError> {
        super::uid(&self.client).await
    }
}

/// The name of the `ConfigMap` of a blob.
pub(crate) fn name(key: &BlobKey) -> String {
    format!("{PREFIX}{key}")
}

/// The `ConfigMap` of a blob, over a version or as a new one.
fn config_map(key: &BlobKey, bytes: &[u8], version: Option<&Version>) -> ConfigMap {
    let role = if key.is_head() { "head" } else { "blob" };
    let labels = [(ROLE, role), ("app.kubernetes.io/managed-by", "scopeward")];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name(key)),
            labels: Some(BTreeMap::from(labels)),
            resource_version: version.map(|version| version.as_str().to_owned()),
            ..ObjectMeta::default()
        },
        immutable: (!key.is_head()).then_some(true),
        binary_data: Some([(DATA.to_owned(), ByteString(bytes.to_vec()))].into()),
        data: None,
    }
}

fn version(map: &ConfigMap) -> Version {
    Version::new(map.resource_version().unwrap_or_default())
}

/// Waits for an answer, but not for long.
async fn in_time<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, BlobError> {
    match tokio::time::timeout(TRY, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(BlobError::new(status.message.clone())),
        Ok(Err(error)) => Err(BlobError::new(error.to_string())),
        Err(_) => Err(BlobError::new("the API server did not answer in time")),
    }
}

#[async_trait]
impl Blobs for ConfigMaps {
    async fn get(&self, key: &BlobKey) -> Result<Option<(Vec<u8>, Version)>, BlobError> {
        let name = name(key);
        let Some(mut map) = in_time(self.api.get_opt(&name)).await? else {
            return Ok(None);
        };
        let version = version(&map);
        let bytes = map.binary_data.as_mut().and_then(|data| data.remove(DATA));
        let bytes = bytes.ok_or_else(|| {
            BlobError::new(format!("the ConfigMap {name} has no binaryData.{DATA}"))
        })?;
        Ok(Some((bytes.0, version)))
    }

    async fn create(&self, key: &BlobKey, bytes: &[u8]) -> Result<Version, BlobError> {
        let map = config_map(key, bytes, None);
        let made = in_time(self.api.create(&PostParams::default(), &map)).await?;
        Ok(version(&made))
    }

    async fn replace(
        &self,
        key: &BlobKey,
        bytes: &[u8],
        known: &Version,
    ) -> Result<Version, BlobError> {
        let map = config_map(key, bytes, Some(known));
        let params = PostParams::default();
        let replaced = in_time(self.api.replace(&name(key), &params, &map)).await?;
        Ok(version(&replaced))
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), BlobError> {
        let name = name(key);
        let call = async {
            match self.api.delete(&name, &DeleteParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
                answer => answer.map(drop),
            }
        };
        in_time(call).await
    }

    async fn heads(&self) -> Result<Vec<BlobKey>, BlobError> {
        let params = ListParams::default().labels(&format!("{ROLE}=head"));
        let found = in_time(self.api.list_metadata(&params)).await?;
        let names = found.items.iter().map(ResourceExt::name_any);
        let keys = names.filter_map(|name| BlobKey::of_head(name.strip_prefix(PREFIX)?));
        Ok(keys.collect())
    }
}
