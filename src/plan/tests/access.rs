//! Who gains and who loses by a plan, and the order in which its changes are made.

use super::world::*;
use crate::model::Consumers;
use crate::model::Origin::Created;
use crate::plan::change::Level;

/// `+subject: scope` and `-subject: scope`, sorted.
fn access(world: &World) -> Vec<String> {
    let access = world.plan().access;
    let lines = |sign: char, grants: std::collections::BTreeSet<crate::plan::access::Grant>| {
        grants
            .into_iter()
            .map(move |grant| format!("{sign}{}: {}", grant.subject, grant.scope))
            .collect::<Vec<_>>()
    };
    [lines('+', access.gains), lines('-', access.losses)].concat()
}

#[test]
fn roles_gain_and_lose_scopes() {
    let world = World::wso2()
        .wants_so("new", bindings("r"))
        .wants("open")
        .wants_so("changed", bindings("r s"))
        .has_so("changed", bound_to("s t"))
        .owns_so("changed", Created, applied("s t"))
        .has_so("gone", bound_to("r"))
        .owns("gone", Created)
        .made("everyones");
    assert_eq!(
        access(&world),
        [
            "+any user: open",
            "+role r: changed",
            "+role r: new",
            "-any user: everyones",
            "-role r: gone",
            "-role t: changed"
        ]
    );
}

#[test]
fn apps_gain_and_lose_scopes() {
    let named = |app: &mut crate::model::LiveAppScopes| app.name = Some("Shop".to_owned());
    let world = World::onelogin()
        .made("a")
        .wants("a")
        .made("b")
        .wants("b")
        .made("gone")
        .has_app_so(&client(1), "a gone", named)
        .owns_app(&client(1), "a gone")
        .wants_app(&client(1), "b")
        .wants_app(&client(2), "a")
        .has_app(&client(3), "a")
        .owns_app_so(&client(3), "a", |e| {
            e.deletion_policy = crate::model::DeletionPolicy::Delete;
        })
        .has_app(&client(4), "gone");
    assert_eq!(
        access(&world),
        [
            "+app 2: a",
            "+app Shop (1): b",
            "-app 3: a",
            "-app 4: gone",
            "-app Shop (1): a",
            "-app Shop (1): gone"
        ]
    );
}

#[test]
fn the_lists_of_keys_are_compared_by_what_they_give() {
    let widened = World::apigee()
        .has_key(&key("k"), "r", "r w x")
        .owns_app(&key("k"), "r")
        .wants_app_so(&key("k"), "", |app| app.allow_empty = true);
    assert_eq!(
        access(&widened),
        [
            "+app shop (ann@example.com) / k: w",
            "+app shop (ann@example.com) / k: x"
        ]
    );
    let mut narrowed = World::apigee()
        .owns_app(&key("k"), "")
        .wants_app(&keyless(), "r");
    let with_key = World::apigee().has_key(&key("k"), "", "r w x");
    let live = with_key.live.apps[&key("k")].clone();
    narrowed.live.apps.insert(keyless(), live);
    assert_eq!(
        access(&narrowed),
        [
            "-app shop (ann@example.com) / k: w",
            "-app shop (ann@example.com) / k: x"
        ]
    );
}

#[test]
fn operations_lose_a_scope_that_goes() {
    let used = |live: &mut crate::model::LiveScope| live.consumers = Consumers::Usages(2);
    let world = World::of(crate::model::System::Wso2Publisher)
        .has_so("a", |live| {
            used(live);
            bound_to("r")(live);
        })
        .owns("a", Created);
    assert_eq!(access(&world), ["-2 API operations: a", "-role r: a"]);
}

#[test]
fn a_rename_in_place_takes_nothing_from_anybody() {
    let world = World::onelogin()
        .wants_so("b", was("a"))
        .made("a")
        .has_app(&client(1), "a");
    assert!(access(&world).is_empty());
}

#[test]
fn changes_are_made_level_by_level_and_sorted_within() {
    let world = World::onelogin()
        .made("z-gone")
        .made("a-gone")
        .wants("new-b")
        .wants("new-a")
        .wants_so("y", |s| s.description = Some("other".to_owned()))
        .made("y")
        .wants_so("moved", was("old"))
        .made("old")
        .wants_app(&client(2), "y")
        .wants_app(&client(1), "new-a");
    let plan = world.plan();
    assert_eq!(
        says(&plan),
        [
            "rename old to moved",
            "create new-a",
            "create new-b",
            "update y: description",
            "attach 1 [new-a]",
            "attach 2 [y]",
            "delete a-gone",
            "delete z-gone"
        ]
    );
    let levels: Vec<Level> = plan.changes.iter().map(|c| c.change.level()).collect();
    assert!(levels.is_sorted());
    assert_eq!(plan.changes[4].depends_on, [1].into());
}
