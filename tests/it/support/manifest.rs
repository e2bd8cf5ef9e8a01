//! Manifests in one line each. `more` are further members of the spec, in YAML's flow form.

/// A document of any kind; several can be put one behind the other.
pub(crate) fn document(kind: &str, name: &str, spec: &str) -> String {
    labelled(kind, &format!("name: {name}"), spec)
}

/// A document with everything that its `metadata` says.
pub(crate) fn labelled(kind: &str, metadata: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: scopeward.dev/v1alpha1\nkind: {kind}\nmetadata: {{ {metadata} }}\nspec: {{ {spec} }}\n"
    )
}

/// The name of a manifest for a scope: `orders:read` is declared by `orders-read`.
pub(crate) fn manifest_name(scope: &str) -> String {
    scope
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect()
}

/// A Scope on one target.
pub(crate) fn scope(target: &str, name: &str, more: &str) -> String {
    document(
        "Scope",
        &manifest_name(name),
        &scope_spec(target, name, more),
    )
}

/// The spec of a Scope on one target.
pub(crate) fn scope_spec(target: &str, name: &str, more: &str) -> String {
    format!("targetRefs: [{{ name: {target} }}], name: \"{name}\", {more}")
}

/// A `ScopeBinding`: `roles` for the Scope that declares `scope`.
pub(crate) fn binding(name: &str, scope: &str, roles: &str) -> String {
    let scope = manifest_name(scope);
    document(
        "ScopeBinding",
        name,
        &format!("scopeRef: {{ name: {scope} }}, roles: {roles}"),
    )
}

/// The `AppScopeSet` `app-ID` of a `OneLogin` app.
pub(crate) fn app(id: u64, scopes: &str, more: &str) -> String {
    let spec = format!(
        "targetRef: {{ name: onelogin }}, app: {{ oneLogin: {{ appId: {id} }} }}, scopes: {scopes}, {more}"
    );
    document("AppScopeSet", &format!("app-{id}"), &spec)
}

/// The `AppScopeSet` `shop` of the Apigee key `k3y` of ann@example.com's app shop.
pub(crate) fn key(scopes: &str, more: &str) -> String {
    let spec = format!(
        "targetRef: {{ name: apigee }}, app: {{ apigee: {{ developer: ann@example.com, app: shop, consumerKey: k3y }} }}, \
         scopes: {scopes}, {more}"
    );
    document("AppScopeSet", "shop", &spec)
}
