//! The systems of a case: what exists there at first, how a Target leads there, and what opens it.

/// One system.
pub(crate) struct Place {
    /// Its name in the world, and that of its Target and credential.
    pub(crate) name: String,
    /// Its member of a world file, in YAML's flow form.
    pub(crate) world: String,
    /// Its member of a Target's spec; `{url}` stands for where it is.
    pub(crate) endpoint: String,
    /// The credential's keys as they end in the environment.
    pub(crate) credential: Vec<(&'static str, &'static str)>,
}

impl Place {
    /// The same under another name, for worlds with two of a kind.
    pub(crate) fn called(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }
}

/// The OneLogin authorization server 31415 of the system `onelogin`, with the apps 1 (Shop), 2 (Desk) and 3 (Stranger).
/// `server` are its members, such as `scopes` and `clients`.
pub(crate) fn one_login(server: &str) -> Place {
    one_login_with(server, "")
}

/// The same, with further members of the account, such as `switches`.
pub(crate) fn one_login_with(server: &str, account: &str) -> Place {
    let account = if account.is_empty() {
        String::new()
    } else {
        format!(", {account}")
    };
    let server = if server.is_empty() {
        String::new()
    } else {
        format!(", {server}")
    };
    Place {
        name: "onelogin".to_owned(),
        world: format!(
            "oneLogin: {{ credentials: [{{ clientId: id, clientSecret: 0neL0ginSecret }}], \
             authorizationServers: [{{ id: 31415, name: Orders API, resourceIdentifier: \"https://api.acme.com/orders\", \
             audiences: [\"https://api.acme.com/orders\"]{server} }}], \
             apps: [{{ id: 1, name: Shop }}, {{ id: 2, name: Desk }}, {{ id: 3, name: Stranger }}]{account} }}"
        ),
        endpoint: "oneLogin: { url: \"{url}\", authorizationServer: { id: 31415 } }".to_owned(),
        credential: vec![("CLIENT_ID", "id"), ("CLIENT_SECRET", "0neL0ginSecret")],
    }
}

/// The scope registration of the system `wso2`; `server` are its members, such as `scopes`.
pub(crate) fn wso2(server: &str) -> Place {
    wso2_place("wso2", "api: ScopeRegistration", server)
}

/// The Publisher of the system `publisher`; `server` are its members, such as `sharedScopes`.
pub(crate) fn publisher(server: &str) -> Place {
    wso2_place("publisher", "api: Publisher, version: v4", server)
}

fn wso2_place(name: &str, api: &str, server: &str) -> Place {
    let server = if server.is_empty() {
        String::new()
    } else {
        format!(", {server}")
    };
    Place {
        name: name.to_owned(),
        world: format!(
            "wso2: {{ users: [{{ username: admin, password: ws02Secret }}], publisherVersion: v4{server} }}"
        ),
        endpoint: format!("wso2: {{ url: \"{{url}}\", {api} }}"),
        credential: vec![("USERNAME", "admin"), ("PASSWORD", "ws02Secret")],
    }
}

/// The organization acme (X) of the system `apigee`; `organization` are its members, such as `products`.
pub(crate) fn apigee(organization: &str) -> Place {
    Place {
        name: "apigee".to_owned(),
        world: format!(
            "apigee: {{ organization: acme, edition: X, credentials: [{{ token: ap1geeSecret }}], {organization} }}"
        ),
        endpoint: "apigee: { url: \"{url}\", organization: acme, edition: X }".to_owned(),
        credential: vec![("TOKEN", "ap1geeSecret")],
    }
}

/// The same with the product `orders`, and the key `k3y` of ann@example.com's app shop.
pub(crate) fn apigee_shop(product: &str, key: &str) -> Place {
    apigee(&format!(
        "products: [{{ name: orders, scopes: {product} }}], developers: [{{ email: ann@example.com, apps: [{{ name: shop, \
         keys: [{{ consumerKey: k3y, products: [orders], scopes: {key} }}] }}] }}]"
    ))
}
