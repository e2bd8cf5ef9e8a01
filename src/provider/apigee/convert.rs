//! Apigee's JSON and our model.
//!
//! Edge and X answer the same objects in two dialects, and older Edge a third: numbers are numbers or strings, an empty
//! list is absent, `[]` or `[""]`, a product is a text or an object, a listing is an array or an object around one. All of
//! them are read everywhere. What an answer carries beyond these fields, consumer secrets above all, is dropped while it is
//! parsed.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use jiff::Timestamp;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize as Derive, Serialize};
use serde_json::Value;

use crate::model::{AppOwner, AppRef, ConsumerKey, LiveAppScopes, ScopeName};

/// An app as manifests name it, whichever of its keys is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ApigeeApp {
    pub(super) owner: AppOwner,
    pub(super) name: String,
}

impl ApigeeApp {
    /// One key of it, or the one that it has.
    pub(super) fn reference(&self, key: Option<ConsumerKey>) -> AppRef {
        AppRef::Apigee {
            owner: self.owner.clone(),
            app: self.name.clone(),
            key,
        }
    }
}

impl fmt::Display for ApigeeApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, owner) = match &self.owner {
            AppOwner::Developer(name) => ("developer", name),
            AppOwner::Company(name) => ("company", name),
            AppOwner::AppGroup(name) => ("app group", name),
        };
        write!(f, "app `{}` of {kind} `{owner}`", self.name)
    }
}

/// An app as answered, alone or in a listing.
#[derive(Debug, Clone, Default, Derive)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireApp {
    pub(super) app_id: Option<String>,
    pub(super) name: Option<String>,
    status: Option<String>,
    credentials: Option<Vec<WireKey>>,
    pub(super) developer_id: Option<String>,
    pub(super) developer_email: Option<String>,
    company_name: Option<String>,
    app_group: Option<String>,
}

/// A key as answered. The secret beside it is not a field here, and so never exists in this program.
#[derive(Debug, Clone, Default, Derive)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireKey {
    consumer_key: String,
    status: Option<String>,
    #[serde(deserialize_with = "whole_number")]
    expires_at: Option<i64>,
    scopes: Option<Vec<Option<String>>>,
    api_products: Option<Vec<WireProductRef>>,
}

/// A product of a key: 2012's answers and all requests have a text there.
#[derive(Debug, Clone, Derive)]
#[serde(untagged)]
enum WireProductRef {
    Name(String),
    Object { apiproduct: String },
}

/// An API product as answered.
#[derive(Debug, Clone, Default, Derive)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireProduct {
    pub(super) name: String,
    scopes: Option<Vec<Option<String>>>,
    created_at: Option<IgnoredAny>,
}

/// A developer as answered by a listing.
#[derive(Debug, Clone, Default, Derive)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireDeveloper {
    pub(super) email: Option<String>,
    pub(super) developer_id: Option<String>,
}

/// One page of a listing: an array, or an object whose list is named after what it holds and is absent when empty.
#[derive(Debug, Clone)]
pub(super) struct Listing<T> {
    pub(super) items: Vec<T>,
    /// X's way to the next page.
    pub(super) next_page_token: Option<String>,
    /// How many there are on all pages, where X says so.
    pub(super) total: Option<u64>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Listing<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListingVisitor(PhantomData))
    }
}

struct ListingVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListingVisitor<T> {
    type Value = Listing<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, or an object around one")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Listing {
            items,
            next_page_token: None,
            total: None,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut listing = Listing {
            items: Vec::new(),
            next_page_token: None,
            total: None,
        };
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "app" | "apiProduct" | "developer" => {
                    listing.items = map.next_value::<Option<Vec<T>>>()?.unwrap_or_default();
                }
                "nextPageToken" => {
                    listing.next_page_token = map
                        .next_value::<Option<String>>()?
                        .filter(|token| !token.is_empty());
                }
                "totalSize" => {
                    let number: Option<WholeNumber> = map.next_value()?;
                    listing.total = number.and_then(|number| u64::try_from(number.0).ok());
                }
                // An error object inside a success is no empty list.
                "error" | "fault" | "code" | "message" => {
                    return Err(de::Error::custom(format!(
                        "a listing with the field `{key}`"
                    )));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(listing)
    }
}

/// A whole number, written as a number (Edge) or as a text (X).
struct WholeNumber(i64);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Derive)]
        #[serde(untagged)]
        enum Either {
            Number(i64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text
                .parse()
                .map(Self)
                .map_err(|_| de::Error::custom("a text that is no whole number")),
        }
    }
}

fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(Option::<WholeNumber>::deserialize(deserializer)?.map(|number| number.0))
}

/// The set that a list of scopes means: Edge writes an empty one as `[""]` at times, and null is nothing.
fn scope_set(list: Option<&Vec<Option<String>>>) -> BTreeSet<ScopeName> {
    list.into_iter()
        .flatten()
        .flatten()
        .filter(|name| !name.is_empty())
        .map(ScopeName::observed)
        .collect()
}

impl WireProduct {
    /// Whether this is the product and not its name alone, which is all that an unexpanded listing has. X leaves empty
    /// lists out, so that the absence of scopes says nothing by itself.
    pub(super) fn is_whole(&self) -> bool {
        self.scopes.is_some() || self.created_at.is_some()
    }

    /// The product's scopes.
    pub(super) fn scopes(&self) -> BTreeSet<ScopeName> {
        scope_set(self.scopes.as_ref())
    }
}

impl WireKey {
    /// The key itself.
    pub(super) fn key(&self) -> ConsumerKey {
        ConsumerKey::new(&self.consumer_key)
    }

    /// The key's list and products. What may stand in the list is not known from here.
    pub(super) fn to_scopes(&self, app: &ApigeeApp, now: Timestamp) -> LiveAppScopes {
        LiveAppScopes {
            app: app.reference(Some(self.key())),
            name: None,
            scopes: scope_set(self.scopes.as_ref()),
            inherited: BTreeSet::new(),
            allowed: None,
            products: self.products(),
            unusable: self.unusable(now),
        }
    }

    /// The key's products, each once, in the order answered. One whose association is pending or revoked counts: it may be
    /// approved at any moment, without a change to the list of scopes, and whether the server's own check counts it is not
    /// known. Leaving it out could call a widening small; counting it only ever reports more access.
    fn products(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let names = self
            .api_products
            .iter()
            .flatten()
            .map(|product| match product {
                WireProductRef::Name(name) | WireProductRef::Object { apiproduct: name } => name,
            });
        names.filter(|name| seen.insert(*name)).cloned().collect()
    }

    fn is_approved(&self) -> bool {
        is_approved(self.status.as_deref())
    }

    /// Why the key opens nothing right now.
    fn unusable(&self, now: Timestamp) -> Option<String> {
        if let Some(status) = self.status.as_deref().filter(|_| !self.is_approved()) {
            return Some(format!("the key is {status}"));
        }
        // -1 never expires, and so does a key that does not say.
        let expires = Timestamp::from_millisecond(self.expires_at.filter(|at| *at > 0)?).ok()?;
        (expires <= now).then(|| {
            format!(
                "the key expired on {}",
                expires.strftime("%Y-%m-%d %H:%M UTC")
            )
        })
    }

    /// The key among its siblings, for people.
    fn described(&self, now: Timestamp) -> String {
        let shortened = self.key().shortened();
        match self.unusable(now) {
            Some(why) => format!(
                "{shortened} ({})",
                why.trim_start_matches("the key ").trim_start_matches("is ")
            ),
            None => shortened,
        }
    }
}

/// Answers of 2012 have no status; what has none is in force.
fn is_approved(status: Option<&str>) -> bool {
    status.is_none_or(|status| status.eq_ignore_ascii_case("approved"))
}

/// What an app's keys have for a reference.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// This key.
    Key(Box<LiveAppScopes>),
    /// The key that was named is not among them.
    NotThere,
    /// No key was named, and there is not exactly one approved key to take.
    Unclear(String),
}

impl WireApp {
    /// Its name, or none.
    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Its owner, by every name that the answer gives: a developer has an id and an address, and either may be left out.
    pub(super) fn owners(&self) -> Vec<AppOwner> {
        let company = given(self.company_name.as_ref()).cloned();
        // The group's name, bare or as the last part of its resource name.
        let group = given(self.app_group.as_ref()).and_then(|group| group.rsplit('/').next());
        let groups: Vec<_> = company
            .map(AppOwner::Company)
            .into_iter()
            .chain(group.map(|group| AppOwner::AppGroup(group.to_owned())))
            .collect();
        if !groups.is_empty() {
            return groups;
        }
        let names = [&self.developer_id, &self.developer_email];
        let names = names.into_iter().filter_map(|name| given(name.as_ref()));
        names.cloned().map(AppOwner::Developer).collect()
    }

    /// The id of the developer whose address the answer leaves out.
    pub(super) fn untold_developer(&self) -> Option<&str> {
        let others = [&self.developer_email, &self.company_name, &self.app_group];
        if others
            .into_iter()
            .any(|name| given(name.as_ref()).is_some())
        {
            return None;
        }
        given(self.developer_id.as_ref()).map(String::as_str)
    }

    /// The key that a reference means, as the model sees it.
    pub(super) fn choose(
        &self,
        app: &ApigeeApp,
        named: Option<&ConsumerKey>,
        now: Timestamp,
    ) -> Choice {
        let keys = || self.credentials.iter().flatten();
        let chosen = if let Some(named) = named {
            match keys().find(|key| key.consumer_key == named.as_str()) {
                Some(key) => key,
                None => return Choice::NotThere,
            }
        } else {
            let approved: Vec<_> = keys().filter(|key| key.is_approved()).collect();
            match *approved.as_slice() {
                [only] => only,
                [] if keys().next().is_none() => {
                    return Choice::Unclear(format!("{app} has no keys"));
                }
                [] => {
                    let all = described(keys(), now);
                    return Choice::Unclear(format!("{app} has no approved key: {all}"));
                }
                _ => {
                    let all = described(approved.iter().copied(), now);
                    return Choice::Unclear(format!(
                        "{app} has {} approved keys, so the manifest has to name one with `consumerKey`: {all}",
                        approved.len()
                    ));
                }
            }
        };
        let mut scopes = chosen.to_scopes(app, now);
        if let Some(status) = self
            .status
            .as_deref()
            .filter(|status| !is_approved(Some(status)))
        {
            scopes.unusable = Some(format!("the app is {status}"));
        }
        Choice::Key(Box::new(scopes))
    }
}

/// A text that says something.
fn given(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.is_empty())
}

/// Several keys, shortened, as a list for people.
fn described<'a>(keys: impl Iterator<Item = &'a WireKey>, now: Timestamp) -> String {
    let keys: Vec<_> = keys.map(|key| key.described(now)).collect();
    keys.join(", ")
}

/// What a key has beside its list that a replace may take away, just as it was answered. Nobody here manages it, so it is
/// shown to nobody either.
#[derive(Clone, Default, Derive)]
#[serde(default)]
pub(super) struct Beside {
    attributes: Option<Vec<Value>>,
}

impl fmt::Debug for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attributes = self.attributes.as_ref().map_or(0, Vec::len);
        write!(f, "{attributes} attributes")
    }
}

/// The body of a replace for a developer's or a company's key.
#[derive(Debug, Serialize)]
pub(super) struct KeyBody<'a> {
    scopes: &'a BTreeSet<ScopeName>,
    /// Whether a call without them keeps them is not known, so that what is there is sent back.
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    attributes: &'a [Value],
}

impl<'a> KeyBody<'a> {
    /// A key with this list, and with what it has beside it.
    pub(super) fn new(scopes: &'a BTreeSet<ScopeName>, beside: &'a Beside) -> Self {
        Self {
            scopes,
            attributes: beside.attributes.as_deref().unwrap_or_default(),
        }
    }
}

/// The body of a replace for an app group's key, where there is no PUT.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppGroupKeyBody<'a> {
    pub(super) app_group_app_key: KeyBody<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().expect("a time")
    }

    fn shop() -> ApigeeApp {
        ApigeeApp {
            owner: AppOwner::Developer("ann@example.com".to_owned()),
            name: "shop".to_owned(),
        }
    }

    fn app(text: &str) -> WireApp {
        serde_json::from_str(text).expect("an app")
    }

    fn names<const N: usize>(names: [&str; N]) -> BTreeSet<ScopeName> {
        names.map(ScopeName::observed).into()
    }

    fn chosen(choice: Choice) -> LiveAppScopes {
        match choice {
            Choice::Key(scopes) => *scopes,
            other => panic!("no key but {other:?}"),
        }
    }

    #[test]
    fn an_edge_app_is_read() {
        let answered = app(
            r#"{"appId":"0207d728","name":"shop","status":"approved","scopes":[],"developerId":"e0150b7c","credentials":[
                {"apiProducts":[{"apiproduct":"Hotels","status":"approved"},{"apiproduct":"Cars","status":"pending"},{"apiproduct":"Hotels","status":"revoked"}],
                 "attributes":[],"consumerKey":"k3y","consumerSecret":"s3cr3t","expiresAt":-1,"issuedAt":1523971974806,
                 "scopes":["scope1","scope2",""],"status":"approved"}]}"#,
        );
        let scopes = chosen(answered.choose(&shop(), None, now()));
        assert_eq!(scopes.app, shop().reference(Some(ConsumerKey::new("k3y"))));
        assert_eq!(scopes.scopes, names(["scope1", "scope2"]));
        assert_eq!(scopes.products, ["Hotels", "Cars"]);
        assert_eq!(scopes.unusable, None);
        assert!(!format!("{answered:?}").contains("s3cr3t"));
    }

    #[test]
    fn an_x_app_is_read() {
        let answered = app(
            r#"{"appId":"1","name":"shop","status":"approved","credentials":[
                {"consumerKey":"k3y","consumerSecret":"s3cr3t","expiresAt":"-1","issuedAt":"1737545929988","status":"approved","apiProducts":["orders"]}]}"#,
        );
        let scopes = chosen(answered.choose(&shop(), Some(&ConsumerKey::new("k3y")), now()));
        assert_eq!(scopes.scopes, names([]));
        assert_eq!(scopes.products, ["orders"]);
    }

    #[test]
    fn empty_lists_are_written_in_many_ways() {
        for list in [
            "",
            r#","scopes":null"#,
            r#","scopes":[]"#,
            r#","scopes":[""]"#,
            r#","scopes":[null]"#,
        ] {
            let key: WireKey =
                serde_json::from_str(&format!(r#"{{"consumerKey":"k"{list}}}"#)).expect("a key");
            assert_eq!(key.to_scopes(&shop(), now()).scopes, names([]), "{list}");
            let product: WireProduct =
                serde_json::from_str(&format!(r#"{{"name":"p"{list}}}"#)).expect("a product");
            assert_eq!(product.scopes(), names([]), "{list}");
        }
    }

    #[test]
    fn a_product_that_is_a_name_alone_says_nothing_of_its_scopes() {
        for (text, whole) in [
            (r#"{"name":"p"}"#, false),
            (r#"{"name":"p","createdAt":"1576006010770"}"#, true),
            (r#"{"name":"p","createdAt":1576006010770}"#, true),
            (r#"{"name":"p","scopes":[]}"#, true),
        ] {
            let product: WireProduct = serde_json::from_str(text).expect("a product");
            assert_eq!(product.is_whole(), whole, "{text}");
        }
    }

    #[test]
    fn a_key_that_opens_nothing_says_why() {
        #[rustfmt::skip]
        let table = [
            (r#"{"consumerKey":"k"}"#, None),
            (r#"{"consumerKey":"k","status":"Approved","expiresAt":0}"#, None),
            (r#"{"consumerKey":"k","status":"revoked"}"#, Some("the key is revoked")),
            (r#"{"consumerKey":"k","status":"approved","expiresAt":"1795348800001"}"#, None),
            (r#"{"consumerKey":"k","status":"approved","expiresAt":1795348800000}"#, Some("the key expired on 2026-11-22 12:00 UTC")),
            (r#"{"consumerKey":"k","expiresAt":9223372036854775807}"#, None),
        ];
        for (text, why) in table {
            let key: WireKey = serde_json::from_str(text).expect("a key");
            assert_eq!(key.unusable(now()).as_deref(), why, "{text}");
        }
        let revoked = app(
            r#"{"name":"shop","status":"revoked","credentials":[{"consumerKey":"k","status":"approved"}]}"#,
        );
        let scopes = chosen(revoked.choose(&shop(), None, now()));
        assert_eq!(scopes.unusable.as_deref(), Some("the app is revoked"));
    }

    #[test]
    fn without_a_named_key_only_the_one_approved_key_is_taken() {
        #[rustfmt::skip]
        let table = [
            (r#"{"name":"shop"}"#,
             "app `shop` of developer `ann@example.com` has no keys"),
            (r#"{"name":"shop","credentials":[{"consumerKey":"k3y456789f","status":"revoked"}]}"#,
             "app `shop` of developer `ann@example.com` has no approved key: k3y…9f (revoked)"),
            (r#"{"name":"shop","credentials":[{"consumerKey":"k3y456789f","status":"approved"},{"consumerKey":"x","status":"revoked"},{"consumerKey":"old","expiresAt":1}]}"#,
             "app `shop` of developer `ann@example.com` has 2 approved keys, so the manifest has to name one with `consumerKey`: \
              k3y…9f, old (expired on 1970-01-01 00:00 UTC)"),
        ];
        for (text, why) in table {
            assert_eq!(
                app(text).choose(&shop(), None, now()),
                Choice::Unclear(why.to_owned())
            );
        }
        let one = app(
            r#"{"name":"shop","credentials":[{"consumerKey":"a","status":"revoked"},{"consumerKey":"b","status":"approved"}]}"#,
        );
        let scopes = chosen(one.choose(&shop(), None, now()));
        assert_eq!(scopes.app, shop().reference(Some(ConsumerKey::new("b"))));
    }

    #[test]
    fn a_named_key_is_taken_whatever_its_status_and_never_replaced_by_another() {
        let answered = app(
            r#"{"name":"shop","credentials":[{"consumerKey":"a","status":"revoked"},{"consumerKey":"b","status":"approved"}]}"#,
        );
        let revoked = chosen(answered.choose(&shop(), Some(&ConsumerKey::new("a")), now()));
        assert_eq!(revoked.unusable.as_deref(), Some("the key is revoked"));
        assert_eq!(
            answered.choose(&shop(), Some(&ConsumerKey::new("A")), now()),
            Choice::NotThere
        );
    }

    #[test]
    fn a_listing_is_an_array_or_an_object_around_one() {
        let read = |text: &str| serde_json::from_str::<Listing<WireApp>>(text).expect("a listing");
        assert_eq!(read(r#"[{"name":"a"},{"name":"b"}]"#).items.len(), 2);
        assert_eq!(read(r#"{"app":[{"name":"a"}]}"#).items.len(), 1);
        assert_eq!(read("{}").items.len(), 0);
        let page = read(r#"{"totalSize":"2500","app":[],"nextPageToken":"t"}"#);
        assert_eq!(
            (page.total, page.next_page_token.as_deref()),
            (Some(2500), Some("t"))
        );
        assert_eq!(
            read(r#"{"totalSize":7,"nextPageToken":""}"#).next_page_token,
            None
        );
        for text in [
            "3",
            r#""app""#,
            r#"["a"]"#,
            r#"{"error":{"code":500}}"#,
            r#"{"app":{}}"#,
        ] {
            assert!(
                serde_json::from_str::<Listing<WireApp>>(text).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_listed_app_is_known_by_every_name_of_its_owner() {
        let developer = |name: &str| AppOwner::Developer(name.to_owned());
        let company = || vec![AppOwner::Company("o".to_owned())];
        let group = || vec![AppOwner::AppGroup("o".to_owned())];
        #[rustfmt::skip]
        let table = [
            (r#""developerEmail":"o""#, vec![developer("o")], None),
            (r#""developerId":"7""#, vec![developer("7")], Some("7")),
            (r#""developerId":"7","developerEmail":"","companyName":"""#, vec![developer("7")], Some("7")),
            (r#""developerId":"7","developerEmail":"o""#, vec![developer("7"), developer("o")], None),
            (r#""companyName":"o","developerId":"7""#, company(), None),
            (r#""appGroup":"o""#, group(), None),
            (r#""appGroup":"organizations/acme/appgroups/o""#, group(), None),
            (r#""status":"approved""#, vec![], None),
        ];
        for (owner, names, untold) in table {
            let listed = app(&format!(r#"{{"name":"shop",{owner}}}"#));
            assert_eq!(listed.owners(), names, "{owner}");
            assert_eq!(listed.untold_developer(), untold, "{owner}");
        }
    }

    #[test]
    fn bodies_hold_the_whole_list_and_the_attributes_that_are_there() {
        let scopes = names(["WRITE", "READ"]);
        let sent = |key: &str| {
            let beside: Beside = serde_json::from_str(key).expect("a key");
            assert!(!format!("{beside:?}").contains("gold"), "{beside:?}");
            serde_json::to_string(&AppGroupKeyBody {
                app_group_app_key: KeyBody::new(&scopes, &beside),
            })
            .expect("JSON")
        };
        for key in ["{}", r#"{"attributes":null}"#, r#"{"attributes":[]}"#] {
            assert_eq!(
                sent(key),
                r#"{"appGroupAppKey":{"scopes":["READ","WRITE"]}}"#,
                "{key}"
            );
        }
        assert_eq!(
            sent(r#"{"attributes":[{"name":"tier","value":"gold","new":[1]}],"scopes":["X"]}"#),
            r#"{"appGroupAppKey":{"scopes":["READ","WRITE"],"attributes":[{"name":"tier","value":"gold","new":[1]}]}}"#
        );
    }
}
