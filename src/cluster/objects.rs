//! The four kinds and the namespaces, as an API server gives them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use strum::IntoEnumIterator as _;
use strum::{EnumIter, IntoStaticStr};

use super::ClusterError;
use crate::manifest::{Namespaces, crd};
use crate::model::SourceFile;

/// The kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EnumIter, IntoStaticStr)]
pub(crate) enum Kind {
    /// `targets`.
    Target,
    /// `scopes`.
    Scope,
    /// `scopebindings`.
    ScopeBinding,
    /// `appscopesets`.
    AppScopeSet,
}

impl Kind {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::iter()
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    /// How the API server knows it.
    pub(crate) fn resource(self) -> ApiResource {
        let kind = GroupVersionKind::gvk(crd::GROUP, crd::VERSION, self.name());
        ApiResource::from_gvk(&kind)
    }

    /// Its objects in all namespaces.
    pub(crate) fn everywhere(self, client: &Client) -> Api<DynamicObject> {
        Api::all_with(client.clone(), &self.resource())
    }

    /// Its objects in one namespace.
    pub(crate) fn within(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &self.resource())
    }
}

/// An object, by kind and place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    /// The object that a manifest's file stands for; `None` for files on disk.
    pub(crate) fn of(file: &SourceFile) -> Option<Self> {
        let mut parts = file.path().splitn(4, '/').skip(1);
        let (namespace, kind, name) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = Kind::all().find(|known| known.name() == kind)?;
        file.is_in_cluster().then(|| Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The other way round.
    pub(crate) fn file(&self) -> SourceFile {
        SourceFile::in_cluster(&self.namespace, self.kind.name(), &self.name)
    }
}

/// What may have moved between a picture and a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    uid: Option<String>,
    generation: Option<i64>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    is_going: bool,
}

/// An object as it is kept: without managed fields, whatever its shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) key: Key,
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) stamp: Stamp,
    /// All of it, as the API server gave it.
    pub(crate) value: Value,
}

impl Object {
    /// Takes an object of a kind.
    pub(crate) fn of(kind: Kind, mut object: DynamicObject) -> Self {
        object.metadata.managed_fields = None;
        let stamp = Stamp::of(&object.metadata);
        let key = Key {
            kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        };
        let uid = object.uid().unwrap_or_default();
        let generation = object.metadata.generation.unwrap_or_default();
        let mut value = json!({
            "apiVersion": crd::API_VERSION,
            "kind": kind.name(),
            "metadata": object.metadata,
        });
        if let (Value::Object(all), Value::Object(data)) = (&mut value, object.data) {
            all.extend(data.into_iter().filter(|(key, _)| key != "metadata"));
        }
        Self {
            key,
            uid,
            generation,
            stamp,
            value,
        }
    }

    /// An annotation.
    pub(crate) fn annotation(&self, key: &str) -> Option<&str> {
        self.stamp.annotations.get(key).map(String::as_str)
    }

    /// The Targets that it refers to, read leniently: what is malformed keeps what can be read of it.
    pub(crate) fn target_refs(&self) -> Vec<(String, String)> {
        let spec = &self.value["spec"];
        let many = spec["targetRefs"].as_array().into_iter().flatten();
        let one = spec.get("targetRef").into_iter();
        let place = |reference: &Value| {
            let text = |key: &str| reference.get(key).and_then(Value::as_str);
            let namespace = text("namespace").unwrap_or(&self.key.namespace).to_owned();
            Some((namespace, text("name")?.to_owned()))
        };
        many.chain(one).filter_map(place).collect()
    }
}

impl Stamp {
    fn of(metadata: &kube::core::ObjectMeta) -> Self {
        Self {
            uid: metadata.uid.clone(),
            generation: metadata.generation,
            labels: metadata.labels.clone().unwrap_or_default(),
            annotations: metadata.annotations.clone().unwrap_or_default(),
            is_going: metadata.deletion_timestamp.is_some(),
        }
    }

    /// Whether it is being deleted.
    pub(crate) fn is_going(&self) -> bool {
        self.is_going
    }
}

/// The most objects of one page.
const PAGE: u32 = 500;

/// Lists what there is of a kind now, by a quorum, without what it says.
///
/// # Errors
/// The list failed: 403 and 404 say that nobody may know, or that the kind is not installed.
pub(crate) async fn stamps(
    client: &Client,
    kind: Kind,
) -> Result<BTreeMap<Key, Stamp>, ClusterError> {
    let api: Api<DynamicObject> = kind.everywhere(client);
    let mut found = BTreeMap::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list_metadata(&params).await;
        let what = || format!("list {}", kind.resource().plural);
        let page = page.map_err(|error| ClusterError::call(what())(error))?;
        for PartialObjectMeta { metadata, .. } in page.items {
            let key = Key {
                kind,
                namespace: metadata.namespace.clone().unwrap_or_default(),
                name: metadata.name.clone().unwrap_or_default(),
            };
            found.insert(key, Stamp::of(&metadata));
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

/// Lists all objects of the four kinds, whole, and the labels of the namespaces.
///
/// # Errors
/// Nothing says where the cluster is; or a list failed.
pub(crate) async fn everything() -> Result<(Vec<Object>, Namespaces), ClusterError> {
    let client = super::connect().await?;
    let mut all = Vec::new();
    for kind in Kind::all() {
        all.extend(list(&client, kind).await?);
    }
    Ok((all, namespaces(&client).await?))
}

async fn namespaces(client: &Client) -> Result<Namespaces, ClusterError> {
    let api = Api::<Namespace>::all(client.clone());
    let mut found = Namespaces::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list_metadata(&params).await;
        let page = page.map_err(ClusterError::call("list namespaces"))?;
        let named = page.items.iter();
        found.extend(named.map(|namespace| (namespace.name_any(), namespace.labels().clone())));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

/// Lists all objects of a kind, whole.
async fn list(client: &Client, kind: Kind) -> Result<Vec<Object>, ClusterError> {
    let api = kind.everywhere(client);
    let mut found = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await;
        let what = || format!("list {}", kind.resource().plural);
        let page = page.map_err(|error| ClusterError::call(what())(error))?;
        found.extend(
            page.items
                .into_iter()
                .map(|object| Object::of(kind, object)),
        );
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}
