//! Removal needs the whole picture: every reason for which an object or an entry stays (safety, section 3).

use super::world::*;
use crate::model::Origin::{Created, Matched};
use crate::model::target::Policy;
use crate::model::{DeletionPolicy, DesiredScope, Elsewhere, OwnedApp, OwnedScope, SourceFile};
use crate::plan::{Mode, SkipReason};

/// A role, a scope of an app and a whole scope that are to go, and one of each that stays.
fn shrinking() -> Vec<World> {
    vec![
        World::wso2()
            .wants_so("a", bindings("r"))
            .has_so("a", bound_to("r s"))
            .owns_so("a", Created, applied("r s")),
        World::apigee()
            .wants_app(&key("k"), "r")
            .has_key(&key("k"), "r w", "r w")
            .owns_app(&key("k"), "r w"),
        World::onelogin().wants("a").made("a").made("b"),
    ]
}

fn says(edit: impl Fn(World) -> World) -> Vec<Vec<String>> {
    shrinking()
        .into_iter()
        .map(|world| edit(world).says())
        .collect()
}

#[test]
fn a_sync_over_everything_removes() {
    assert_eq!(
        says(|world| world),
        [
            ["update a: bindings"],
            ["replace shop (ann@example.com) / k [r w] with [r]"],
            ["delete b"]
        ]
    );
}

#[test]
fn a_run_that_may_not_remove_removes_no_object_and_no_entry() {
    let gate = |reason: &str| {
        let roles = vec![format!("{reason}: a (s)")];
        let list = vec![format!("{reason}: shop (ann@example.com) / k (w)")];
        vec![roles, list, vec![format!("{reason}: b")]]
    };
    assert_eq!(says(|world| world.mode(Mode::Apply)), gate("no_delete"));
    assert_eq!(
        says(|world| world.policy(Policy::UpsertOnly)),
        gate("no_delete")
    );
    assert_eq!(
        says(|world| world.policy(Policy::CreateOnly)),
        gate("no_delete")
    );
    assert_eq!(
        says(|world| world.policy(Policy::Observe)),
        gate("no_delete")
    );
    for (block, word) in [
        (SkipReason::IncompleteManifests, "incomplete_manifests"),
        (SkipReason::Selection, "selection"),
    ] {
        assert_eq!(
            says(|world| world.options(|options| options.removal_block = Some(block))),
            gate(word)
        );
    }
}

#[test]
fn a_policy_allows_the_writes_of_its_name() {
    let world = || {
        World::wso2()
            .wants("new")
            .wants("other")
            .has_so("other", |live| live.state.description = None)
            .owns("other", Created)
    };
    assert_eq!(
        world().policy(Policy::UpsertOnly).says(),
        ["create new", "update other: description"]
    );
    assert_eq!(
        world().policy(Policy::CreateOnly).says(),
        ["create new", "policy: other"]
    );
    assert_eq!(
        world().policy(Policy::Observe).says(),
        ["policy: new", "policy: other"]
    );
    let apps = || {
        World::onelogin()
            .made("s")
            .wants("s")
            .wants_app(&client(1), "s")
            .wants_app(&client(2), "s")
            .has_app(&client(2), "")
    };
    assert_eq!(
        apps().policy(Policy::UpsertOnly).says(),
        ["attach 1 [s]", "replace 2 [] with [s]"]
    );
    assert_eq!(
        apps().policy(Policy::CreateOnly).says(),
        ["attach 1 [s]", "policy: 2"]
    );
    assert_eq!(
        apps().policy(Policy::Observe).says(),
        ["policy: 1", "policy: 2"]
    );
}

#[test]
fn a_set_may_only_grow_while_a_contributor_is_missing() {
    let unsure = |scope: &mut DesiredScope| {
        bindings("r")(scope);
        scope.roles.may_shrink = false;
    };
    let roles = shrinking().remove(0).wants_so("a", unsure);
    assert_eq!(roles.says(), ["incomplete_manifests: a (s)"]);
    let mut list = shrinking().remove(1);
    list.desired.apps[0].may_shrink = false;
    list.desired.apps[0].scopes.push(name("x"));
    let list = list.has_key(&key("k"), "r w", "r w x");
    assert_eq!(
        list.says(),
        [
            "replace shop (ann@example.com) / k [r w] with [r w x]",
            "incomplete_manifests: shop (ann@example.com) / k (w)"
        ]
    );
}

#[test]
fn what_came_from_a_file_outside_the_run_stays() {
    let there = |entry: &mut OwnedScope| entry.source = SourceFile::new(THERE).into();
    let scope = World::onelogin().has("a").owns_so("a", Created, there);
    assert_eq!(scope.says(), ["other_source: a"]);
    let role = World::wso2()
        .wants_so("a", bindings("r"))
        .has_so("a", bound_to("r s t"))
        .owns_so("a", Created, applied("r S t"));
    assert_eq!(role.says(), ["update a: bindings", "other_source: a (s)"]);
    let app = World::onelogin().has_app(&client(7), "").owns_app_so(
        &client(7),
        "",
        |entry: &mut OwnedApp| {
            entry.source = SourceFile::new(THERE).into();
            entry.deletion_policy = DeletionPolicy::Delete;
        },
    );
    assert_eq!(app.says(), ["other_source: 7"]);
}

#[test]
fn what_another_file_outside_the_run_declares_now_waits_for_it() {
    let there = || SourceFile::new(THERE);
    let world = World::onelogin()
        .has("a")
        .has_app(&client(7), "a")
        .owns("a", Created)
        .owns_app_so(&client(7), "a", |entry| {
            entry.deletion_policy = DeletionPolicy::Delete;
        });
    let id = world.desired.target.id.clone();
    let declared = Elsewhere {
        scopes: [((id.clone(), name("a")), there())].into(),
        apps: [((id, client(7)), there())].into(),
        ..Elsewhere::default()
    };
    let waits = |elsewhere: Elsewhere| {
        let coverage = coverage("here").with(elsewhere);
        world
            .clone()
            .options(|options| options.coverage = coverage)
            .says()
    };
    let moved = ["moved: a (there/all.yaml)", "moved: 7 (there/all.yaml)"];
    assert_eq!(waits(declared), moved);
    // One whose references lead nowhere may declare anything, the same object too.
    let manifest = |kind: &str, name: &str| (kind.to_owned(), "iam".to_owned(), name.to_owned());
    let unresolved = |is_resolved| Elsewhere {
        manifests: [
            (manifest("Scope", "a"), (there(), is_resolved)),
            (manifest("AppScopeSet", "set"), (there(), is_resolved)),
        ]
        .into(),
        ..Elsewhere::default()
    };
    assert_eq!(waits(unresolved(false)), moved);
    assert_eq!(waits(unresolved(true)).len(), 2);
    assert!(
        waits(unresolved(true))
            .iter()
            .all(|line| !line.starts_with("moved"))
    );
}

#[test]
fn standard_input_removes_nothing_and_holds_nothing() {
    let piped = |entry: &mut OwnedScope| entry.source = SourceFile::standard_input().into();
    let world = World::onelogin().has("a").owns_so("a", Created, piped);
    assert_eq!(world.says(), ["other_source: a"]);
    assert_eq!(world.wants("a").says(), ["= created a"]);
}

#[test]
fn an_orphaned_object_is_let_go_and_stays() {
    let orphan = |entry: &mut OwnedScope| entry.deletion_policy = DeletionPolicy::Orphan;
    let scope = World::onelogin().has("a").owns_so("a", Created, orphan);
    assert_eq!(scope.says(), ["orphaned: a", "= forget a"]);
    assert_eq!(scope.mode(Mode::Apply).says(), ["no_delete: a"]);
    let app = World::onelogin()
        .has("a")
        .has_app(&client(7), "a")
        .owns_app(&client(7), "a");
    assert_eq!(app.says(), ["unmanaged: a", "orphaned: 7", "= forget 7"]);
}

#[test]
fn a_protected_scope_survives_the_removal_of_its_manifest() {
    let protected = |entry: &mut OwnedScope| entry.protected = true;
    let world = World::onelogin().has("a").owns_so("a", Created, protected);
    assert_eq!(world.says(), ["protected: a"]);
    assert!(!world.plan().refusals[0].rule.is_liftable());
    assert_eq!(world.wants("a").says(), ["= created a"]);
}

#[test]
fn a_held_object_is_not_written_to() {
    let later = Some(in_hours(1));
    let hold = |scope: &mut DesiredScope| scope.hold_until = later;
    let create = World::onelogin().wants_so("a", hold);
    assert_eq!(create.says(), ["held: a"]);
    let update = World::onelogin()
        .wants_so("a", |scope| {
            hold(scope);
            scope.description = Some("new".to_owned());
        })
        .made("a");
    // That it is held is known from now on, should its manifest go.
    assert_eq!(update.says(), ["held: a", "= tightened a"]);
    let rename = World::onelogin()
        .wants_so("b", |scope| {
            hold(scope);
            was("a")(scope);
        })
        .made("a");
    assert_eq!(rename.says(), ["held: a", "= tightened a"]);
    let delete = World::onelogin()
        .has("a")
        .owns_so("a", Created, |entry| entry.hold_until = later);
    assert_eq!(delete.says(), ["held: a"]);
    let app = shrinking().remove(1);
    let mut held = app.clone();
    held.desired.apps[0].hold_until = later;
    assert_eq!(
        held.says(),
        [
            "held: shop (ann@example.com) / k",
            "= tightened shop (ann@example.com) / k"
        ]
    );
    let attach = World::onelogin()
        .made("s")
        .wants("s")
        .wants_app_so(&client(7), "s", |app| app.hold_until = later);
    assert_eq!(attach.says(), ["held: 7"]);
    let detach = World::onelogin()
        .has_app(&client(7), "")
        .owns_app_so(&client(7), "", |entry| {
            entry.deletion_policy = DeletionPolicy::Delete;
            entry.hold_until = later;
        });
    assert_eq!(detach.says(), ["held: 7"]);
}

#[test]
fn a_hold_ends_when_its_moment_comes() {
    let world = World::onelogin()
        .has("a")
        .owns_so("a", Created, |entry| entry.hold_until = Some(now()));
    assert_eq!(world.says(), ["delete a"]);
}

#[test]
fn a_hold_outlives_its_manifest() {
    let mut world = World::onelogin()
        .wants_so("a", |scope| {
            scope.hold_until = Some(in_hours(1));
            scope.description = Some("new".to_owned());
        })
        .made("a");
    for record in world.plan().records {
        world.owned.record(record);
    }
    assert_eq!(world.unwants("a").says(), ["held: a"]);
}

#[test]
fn an_app_is_detached_where_its_manifest_said_so() {
    let delete = |entry: &mut OwnedApp| entry.deletion_policy = DeletionPolicy::Delete;
    let world = World::onelogin().has("a").has_app(&client(7), "a");
    let ours = world.clone().owns_app_so(&client(7), "a", delete);
    assert_eq!(ours.says(), ["detach 7 [a]", "unmanaged: a"]);
    assert_eq!(
        ours.mode(Mode::Apply).says(),
        ["unmanaged: a", "no_delete: 7"]
    );
    let matched = world.owns_app_so(&client(7), "a", |entry| {
        delete(entry);
        entry.origin = Matched;
    });
    assert_eq!(matched.says(), ["unmanaged: a", "matched: 7"]);
}

#[test]
fn a_key_is_never_detached_whatever_the_inventory_says() {
    let world = World::apigee()
        .has_key(&key("k"), "r", "r")
        .owns_app_so(&key("k"), "r", |entry| {
            entry.deletion_policy = DeletionPolicy::Delete;
        });
    assert_eq!(
        world.says(),
        [
            "orphaned: shop (ann@example.com) / k",
            "= forget shop (ann@example.com) / k"
        ]
    );
}

#[test]
fn a_key_that_cannot_be_told_now_is_still_declared() {
    let mut world = World::apigee()
        .wants_app(&keyless(), "r")
        .owns_app(&key("k"), "r");
    let why = "no approved key".to_owned();
    world
        .live
        .apps
        .insert(keyless(), crate::model::LiveApp::Absent { why });
    assert_eq!(world.says(), ["SW201"]);
}
