use std::fs;

use super::*;
use crate::model::target::{
    Adoption, Approval, AuthorizationServer, Drift, Endpoint, Pace, Policy, Thresholds, Tls,
};
use crate::model::{Source, SourceFile, TargetId};

fn target(credential: &str) -> Target {
    Target {
        id: TargetId::from("iam/t".to_owned()),
        source: Source {
            file: SourceFile::new("t.yaml"),
            document: 0,
            line: 1,
            kind: "Target".to_owned(),
            namespace: "iam".to_owned(),
            name: "t".to_owned(),
        },
        endpoint: Endpoint::OneLogin {
            url: Url::parse("https://acme.onelogin.com").expect("valid"),
            server: AuthorizationServer::Id(1),
        },
        credential: credential.to_owned(),
        policy: Policy::default(),
        suspend: false,
        approval: Approval::default(),
        approved_plan: None,
        pace: Pace::default(),
        safety: Thresholds::default(),
        tls: Tls::default(),
        adoption: Adoption::default(),
        drift: Drift::default(),
    }
}

fn environment(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn document(namespace: &str, name: &str, key: &str, value: &str) -> SecretDocument {
    SecretDocument {
        source: Source {
            file: SourceFile::new("secrets.yaml"),
            document: 0,
            line: 1,
            kind: "Secret".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
        keys: [(key.to_owned(), SecretString::from(value))].into(),
    }
}

fn why(result: Result<Credential, ProviderError>) -> String {
    let error = result.expect_err("refused");
    assert_eq!(error.reason(), "credential");
    error.cause.to_string()
}

#[test]
fn variables_are_the_name_and_the_key_in_upper_case() {
    assert_eq!(
        variable("onelogin-prod", "clientId"),
        "SCOPEWARD_ONELOGIN_PROD_CLIENT_ID"
    );
    assert_eq!(variable("a.b", "url"), "SCOPEWARD_A_B_URL");
    assert_eq!(
        variable("x", "serviceAccountKey"),
        "SCOPEWARD_X_SERVICE_ACCOUNT_KEY"
    );
    assert_eq!(variable("ca", "ca.crt"), "SCOPEWARD_CA_CA_CRT");
}

#[test]
fn all_keys_come_from_the_first_source_that_has_the_credential() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("both");
    fs::create_dir(&keys).expect("made");
    fs::write(keys.join("clientId"), "from the folder\n").expect("written");
    let environment = environment(&[
        ("SCOPEWARD_BOTH_URL", "https://evil"),
        ("SCOPEWARD_BOTH_CLIENT_SECRET", "e"),
        ("SCOPEWARD_ENV_CLIENT_ID", "from the environment"),
        ("HOME", "/root"),
    ]);
    let documents = vec![
        document("iam", "env", "url", "https://evil"),
        document("other", "doc", "clientId", "another namespace's"),
        document("iam", "doc", "clientId", "from the inputs"),
    ];
    let store = CredentialStore::new(Some(folder.path().to_owned()), environment, documents);
    for (name, value, source) in [
        (
            "both",
            "from the folder",
            format!("--credentials {}", keys.display()),
        ),
        ("env", "from the environment", "SCOPEWARD_ENV_*".to_owned()),
        (
            "doc",
            "from the inputs",
            "Secret iam/doc in secrets.yaml".to_owned(),
        ),
    ] {
        let found = store.find(&target(name)).expect("found");
        assert_eq!(found.text("clientId"), Some(value));
        assert_eq!(found.keys.len(), 1, "{name}");
        assert_eq!(found.source, source);
    }
}

#[test]
fn a_credential_that_is_nowhere_is_an_error_that_names_the_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = CredentialStore::new(Some(folder.path().to_owned()), [], vec![]);
    let error = store.find(&target("onelogin-prod")).expect_err("nowhere");
    let why = error.cause.to_string();
    assert_eq!(
        why.replace(&folder.path().display().to_string(), "DIR"),
        "no credential \"onelogin-prod\" in DIR/onelogin-prod, nor in the environment (SCOPEWARD_ONELOGIN_PROD_*), nor \
         in the inputs (a v1/Secret iam/onelogin-prod)"
    );
    assert!(
        error
            .help
            .expect("helpful")
            .contains("SCOPEWARD_ONELOGIN_PROD_URL")
    );
    for name in ["", ".", "..", "../x", "a/b", "..data"] {
        let error = store.find(&target(name)).expect_err("refused");
        let why = error.cause.to_string();
        assert!(why.contains("is not the name of a Secret"), "{name}");
    }
}

#[test]
fn the_variables_of_one_credential_are_no_keys_of_another() {
    let store = |pairs: &[(&str, &str)]| CredentialStore::new(None, environment(pairs), vec![]);
    let prod = [
        ("SCOPEWARD_ONELOGIN_PROD_URL", "https://a"),
        ("SCOPEWARD_ONELOGIN_PROD_CLIENT_ID", "i"),
    ];
    assert!(why(store(&prod).find(&target("onelogin"))).contains("no credential"));
    let found = store(&prod).find(&target("onelogin-prod")).expect("found");
    assert_eq!(found.keys.len(), 2);

    // `A_TOKEN_URL` is `tokenUrl` of `a`, unless there is a credential `a-token`.
    let alone = [
        ("SCOPEWARD_A_TOKEN_URL", "https://a"),
        ("SCOPEWARD_A_TOKEN", "t"),
    ];
    assert!(store(&alone).find(&target("a")).is_ok());
    let both = [
        ("SCOPEWARD_A_TOKEN_URL", "https://a"),
        ("SCOPEWARD_A_TOKEN_PASSWORD", "p"),
    ];
    assert!(
        why(store(&both).find(&target("a")))
            .contains("may belong to the credential \"a\" or to \"a-token\"")
    );
    // What the help says helps.
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("a")).expect("made");
    fs::write(folder.path().join("a/token"), "t").expect("written");
    let with_folder =
        CredentialStore::new(Some(folder.path().to_owned()), environment(&both), vec![]);
    assert!(with_folder.find(&target("a")).is_ok());
    let refresh = [
        ("SCOPEWARD_A_REFRESH_TOKEN", "t"),
        ("SCOPEWARD_A_REFRESH_URL", "https://a"),
    ];
    assert!(why(store(&refresh).find(&target("a"))).contains("\"a-refresh\""));
}

#[test]
fn a_file_loses_its_last_newline_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = folder.path().join("c");
    fs::create_dir(&keys).expect("made");
    let store = CredentialStore::new(Some(folder.path().to_owned()), [], vec![]);
    for (text, value) in [
        ("p\n", "p"),
        ("p\r\n", "p"),
        (" p \n\n", " p \n"),
        ("p", "p"),
    ] {
        fs::write(keys.join("password"), text).expect("written");
        let found = store.find(&target("c")).expect("found");
        assert_eq!(found.text("password"), Some(value), "{text:?}");
    }
    fs::write(keys.join("password"), [0xff, 0xfe]).expect("written");
    assert!(why(store.find(&target("c"))).contains("cannot be read"));
    fs::write(keys.join("password"), "x".repeat(2 << 20)).expect("written");
    assert!(why(store.find(&target("c"))).contains("larger than"));
}

#[test]
fn authorities_come_from_a_credential_of_their_own() {
    let mut target = target("c");
    target.tls.ca_secret = Some(("ca".to_owned(), "ca.crt".to_owned()));
    let environment = environment(&[("SCOPEWARD_C_URL", "https://acme.onelogin.com")]);
    let with = |documents| CredentialStore::new(None, environment.clone(), documents);
    assert!(why(with(vec![]).find(&target)).contains("no key \"ca.crt\" of a credential \"ca\""));
    let found = with(vec![document("iam", "ca", "ca.crt", "PEM")]).find(&target);
    assert_eq!(found.expect("found").authorities.as_deref(), Some("PEM"));
}

#[test]
fn a_token_url_is_a_url() {
    let with = |text: &str| Credential::new("c", "s", [("tokenUrl", text)]).token_url(&target("c"));
    assert!(
        with("https://login.apigee.com/oauth/token")
            .expect("valid")
            .is_some()
    );
    assert!(with("").expect("absent").is_none());
    for text in ["http://127.0.0.1:8080/token", "http://localhost/token"] {
        assert!(with(text).is_ok(), "{text}");
    }
    for text in [
        "login.apigee.com",
        "file:///etc/passwd",
        "https://",
        "http://login.acme.com/oauth/token",
        "http://localhost.acme.com/token",
        "https://ann@login.acme.com/token",
        "https://:s3cret@login.acme.com/token",
        "http://ann@127.0.0.1/token",
    ] {
        let error = with(text).expect_err(text);
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}

#[test]
fn no_debug_text_holds_a_value() {
    let store = CredentialStore::new(
        None,
        environment(&[("SCOPEWARD_C_PASSWORD", "pl4nted")]),
        vec![document("iam", "d", "password", "pl4nted")],
    );
    let found = store.find(&target("c")).expect("found");
    let text = format!(
        "{store:?}{found:?}{found}{:?}",
        document("iam", "d", "k", "pl4nted")
    );
    assert!(
        text.contains("SCOPEWARD_C_PASSWORD") && !text.contains("pl4nted"),
        "{text}"
    );
}

#[test]
fn a_credentials_folder_that_is_not_there_is_an_error_and_no_other_source_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("written");
    for named in [folder.path().join("nowhere"), file] {
        let variables = environment(&[("SCOPEWARD_A_CLIENT_ID", "from the environment")]);
        let store = CredentialStore::new(Some(named.clone()), variables, vec![]);
        let why = why(store.find(&target("a")));
        let start = format!(
            "--credentials {:?} cannot be read: ",
            named.display().to_string()
        );
        assert!(why.starts_with(&start), "{why}");
    }
}
