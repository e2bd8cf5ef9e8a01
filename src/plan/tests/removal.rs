//! Removal needs the whole picture: every reason for which an object or an entry stays (safety, section 3).

use jiff::{SignedDuration, Timestamp};

use super::world::*;
use crate::model::Origin::{Created, Matched};
use crate::model::target::Policy;
use crate::model::{
    Coverage, DeletionPolicy, DesiredScope, Elsewhere, Found, InCluster, ManifestRef, NotRead,
    OwnedApp, OwnedScope, SourceFile,
};
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
        (SkipReason::UnknownRepository, "unknown_repository"),
        (SkipReason::NamespaceTerminating, "namespace_terminating"),
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
    let found = || {
        let identity = world.desired.target.live_identity();
        vec![Found {
            identity,
            file: there(),
        }]
    };
    let declared = Elsewhere {
        scopes: [(name("a"), found())].into(),
        apps: [(client(7), found())].into(),
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
    // A file that nobody can make sense of may declare what it mentions, by the name of its manifest too.
    let mentions = |names: [&str; 2]| Elsewhere {
        mentions: names.map(|name| (name.to_owned(), there())).into(),
        ..Elsewhere::default()
    };
    assert_eq!(waits(mentions(["a", "set"])), moved);
    let others = waits(mentions(["b", "c"]));
    assert!(
        others.iter().all(|line| !line.starts_with("moved")),
        "{others:?}"
    );
    // What is declared for another live place is another thing.
    let elsewhere = || {
        let identity = Some(crate::model::LiveIdentity::new("another"));
        vec![Found {
            identity,
            file: there(),
        }]
    };
    let others = waits(Elsewhere {
        scopes: [(name("a"), elsewhere())].into(),
        apps: [(client(7), elsewhere())].into(),
        ..Elsewhere::default()
    });
    assert!(
        others.iter().all(|line| !line.starts_with("moved")),
        "{others:?}"
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

/// What is said of a world whose sources are resources in a cluster.
fn in_cluster(world: World, sources: &[(&ManifestRef, InCluster)]) -> Vec<String> {
    let sources = sources
        .iter()
        .map(|(source, found)| (source.file.clone(), *found));
    let delay = SignedDuration::from_secs(60);
    let coverage = Coverage::in_cluster(sources, delay, now());
    world.options(|options| options.coverage = coverage).says()
}

#[test]
fn a_resource_that_is_invalid_holds_what_was_recorded_of_it_and_nothing_else() {
    let ours = ManifestRef::in_cluster("shop", "ScopeBinding", "ours");
    let broken = ManifestRef::in_cluster("shop", "ScopeBinding", "broken");
    let scope = ManifestRef::in_cluster("shop", "Scope", "a");
    let roles = |second: &[&ManifestRef]| {
        let by = |manifests: &[&ManifestRef]| manifests.iter().copied().cloned().collect();
        let role = crate::model::RoleName::new;
        let applied = [
            (role("r"), by(&[&ours])),
            (role("s"), by(second)),
            (role("t"), by(&[&ours])),
        ];
        World::wso2()
            .wants_so("a", contributed("r"))
            .has_so("a", bound_to("r s t"))
            .owns_so("a", Created, |entry| {
                entry.source = scope.clone();
                entry.applied.roles = Some(applied.into());
            })
    };
    let sources = [
        (&scope, InCluster::ReadSince(Timestamp::UNIX_EPOCH)),
        (&ours, InCluster::ReadSince(Timestamp::UNIX_EPOCH)),
        (&broken, InCluster::NotRead(NotRead::Invalid)),
    ];
    assert_eq!(
        in_cluster(roles(&[&ours, &broken]), &sources),
        ["update a: bindings", "incomplete_contributors: a (s)"]
    );
    // One of which nothing was recorded holds nothing.
    assert_eq!(
        in_cluster(roles(&[&ours]), &sources),
        ["update a: bindings"]
    );
}

#[test]
fn what_a_resource_in_a_cluster_held_stays_while_it_does_not_count_as_gone() {
    let scope = ManifestRef::in_cluster("shop", "Scope", "b");
    let set = ManifestRef::in_cluster("shop", "AppScopeSet", "set");
    let says = |found| {
        let world = World::onelogin()
            .has("b")
            .owns_so("b", Created, |entry| entry.source = scope.clone())
            .has_app(&client(1), "x")
            .owns_app_so(&client(1), "x", |entry| {
                entry.source = set.clone();
                entry.deletion_policy = DeletionPolicy::Delete;
            });
        in_cluster(world, &[(&scope, found), (&set, found)])
    };
    let seconds = |seconds| InCluster::GoneSince(now() - SignedDuration::from_secs(seconds));
    let kept = |reason: &str| [format!("{reason}: b"), format!("{reason}: 1")];
    assert_eq!(says(seconds(60)), ["detach 1 [x]", "delete b"]);
    assert_eq!(says(seconds(59)), kept("deletion_delayed"));
    assert_eq!(
        says(InCluster::NotRead(NotRead::Invalid)),
        kept("incomplete_contributors")
    );
    assert_eq!(
        says(InCluster::NotRead(NotRead::NotAllowed)),
        kept("not_allowed")
    );
}

#[test]
fn what_is_gone_from_a_cluster_only_lately_is_handed_over_to_who_declares_it_now() {
    let old = ManifestRef::in_cluster("shop", "Scope", "a");
    let world = World::onelogin()
        .wants("a")
        .has("a")
        .owns_so("a", Created, |entry| entry.source = old.clone());
    let lately = [(&old, InCluster::GoneSince(now()))];
    assert_eq!(in_cluster(world.clone(), &lately), ["= created a"]);
    let invalid = [(&old, InCluster::NotRead(NotRead::Invalid))];
    assert_eq!(in_cluster(world, &invalid)[0], "conflict: a");
}
