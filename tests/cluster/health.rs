//! The health checks for Argo CD, run as Argo CD runs them: Lua 5.1, an object as `obj`, and next to nothing else.

use std::path::{Path, PathBuf};

use mlua::serde::SerializeOptions;
use mlua::{Lua, LuaOptions, LuaSerdeExt as _, StdLib};
use serde_json::Value;

/// The four kinds.
const KINDS: [&str; 4] = ["Target", "Scope", "ScopeBinding", "AppScopeSet"];

/// A file of the example.
fn example(name: &str) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/argocd");
    examples.join(name)
}

/// The check of a kind.
fn script(kind: &str) -> String {
    let path = example(&format!("health-{}.lua", kind.to_lowercase()));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// How Argo CD calls an object: a word, and a text for people.
pub(crate) fn health(object: &Value) -> (String, String) {
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).expect("an interpreter");
    let options = SerializeOptions::new()
        .serialize_none_to_null(false)
        .serialize_unit_to_null(false)
        .set_array_metatable(false);
    let object_there = lua.to_value_with(object, options).expect("a value");
    lua.globals().set("obj", object_there).expect("a global");
    let kind = object["kind"].as_str().expect("a kind");
    let said: mlua::Table = match lua.load(script(kind)).eval() {
        Ok(said) => said,
        Err(error) => panic!("{error}\n{object:#}"),
    };
    let text = |key: &str| said.get::<String>(key).expect("a text");
    (text("status"), text("message"))
}

#[test]
fn the_config_map_for_argo_cd_holds_the_four_checks_as_they_are() {
    let text = std::fs::read_to_string(example("argocd-cm.yaml")).expect("the file");
    let map: Value = serde_saphyr::from_str(&text).expect("YAML");
    let data = map["data"].as_object().expect("data");
    assert_eq!(data.len(), KINDS.len());
    for kind in KINDS {
        let key = format!("resource.customizations.health.scopeward.dev_{kind}");
        assert_eq!(data[&key], script(kind), "{kind}");
    }
}
