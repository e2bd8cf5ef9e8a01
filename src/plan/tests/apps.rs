//! The lists of apps: three-way, effective, and with what they need (safety, sections 4 and 5).

use super::world::*;
use crate::model::Origin::Created;
use crate::model::{AppOwner, AppRef, DesiredApp, ForeignScopes, LiveApp, Measure};
use crate::plan::Mode;

fn foreign(foreign: ForeignScopes) -> impl FnOnce(&mut DesiredApp) {
    move |app| app.foreign = foreign
}

/// A key that holds `r w x` of `r w x y`, `r w` of which were applied, and of which `r y` is wanted.
fn a_key(mode: ForeignScopes) -> World {
    World::apigee()
        .has_key(&key("k"), "r w x", "r w x y")
        .owns_app(&key("k"), "r w")
        .wants_app_so(&key("k"), "r y", foreign(mode))
}

/// The same on OneLogin, where lists mean what they say.
fn a_client(mode: ForeignScopes) -> World {
    ["r", "w", "x", "y"]
        .into_iter()
        .fold(World::onelogin(), |world, scope| {
            world.made(scope).wants(scope)
        })
        .has_app(&client(7), "r w x")
        .owns_app(&client(7), "r w")
        .wants_app_so(&client(7), "r y", foreign(mode))
}

#[test]
fn foreign_entries_go_stay_or_stop_the_change() {
    let both = |mode| [a_key(mode).says(), a_client(mode).says()];
    let says = |text: &str| {
        [
            vec![format!(
                "replace shop (ann@example.com) / k [r w x] with {text}"
            )],
            vec![format!("replace 7 [r w x] with {text}")],
        ]
    };
    assert_eq!(both(ForeignScopes::Remove), says("[r y]"));
    assert_eq!(both(ForeignScopes::Keep), says("[r x y]"));
    assert_eq!(both(ForeignScopes::Fail), says("[r y]; foreign_scopes"));
}

#[test]
fn foreign_entries_are_told_even_where_nothing_else_changes() {
    let world = World::apigee()
        .has_key(&key("k"), "r x", "r x")
        .owns_app(&key("k"), "r")
        .wants_app_so(&key("k"), "r", foreign(ForeignScopes::Fail))
        .mode(Mode::Apply);
    assert_eq!(
        world.says(),
        [
            "foreign_scopes: shop (ann@example.com) / k",
            "no_delete: shop (ann@example.com) / k (x)"
        ]
    );
}

#[test]
fn the_first_contact_with_a_larger_list_is_refused() {
    let unknown = |mut world: World| {
        world.owned.apps.clear();
        world
    };
    let remove = unknown(a_key(ForeignScopes::Remove));
    assert_eq!(
        remove.says(),
        ["replace shop (ann@example.com) / k [r w x] with [r y]; first_contact"]
    );
    let fail = unknown(a_client(ForeignScopes::Fail));
    assert_eq!(fail.says(), ["replace 7 [r w x] with [r y]; first_contact"]);
    let keep = unknown(a_key(ForeignScopes::Keep));
    assert_eq!(
        keep.says(),
        ["replace shop (ann@example.com) / k [r w x] with [r w x y]"]
    );
}

#[test]
fn another_key_than_the_recorded_one_is_a_first_contact() {
    let world = World::apigee()
        .has_key(&key("new"), "r w", "r w")
        .owns_app(&key("old"), "r w")
        .wants_app(&key("new"), "r");
    assert_eq!(
        world.says()[0],
        "replace shop (ann@example.com) / new [r w] with [r]; first_contact"
    );
}

#[test]
fn a_run_that_removes_nothing_does_not_settle_a_first_contact() {
    let mut world = a_key(ForeignScopes::Remove).mode(Mode::Apply);
    world.owned.apps.clear();
    let plan = world.plan();
    assert_eq!(
        says(&plan),
        [
            "replace shop (ann@example.com) / k [r w x] with [r w x y]",
            "no_delete: shop (ann@example.com) / k (w x)"
        ]
    );
    assert_eq!(plan.changes[0].intent, None);
    world.owned.record(plan.changes[0].record.clone());
    let grown = world.has_key(&key("k"), "r w x y", "r w x y");
    assert_eq!(
        grown.says(),
        ["no_delete: shop (ann@example.com) / k (w x)"]
    );
    assert_eq!(
        grown.mode(Mode::Sync).says(),
        ["replace shop (ann@example.com) / k [r w x y] with [r y]; first_contact"]
    );
}

#[test]
fn filling_an_empty_key_is_a_removal() {
    let world = || {
        World::apigee()
            .has_key(&key("k"), "", "r w x")
            .wants_app(&key("k"), "r")
    };
    assert_eq!(
        world().says(),
        ["replace shop (ann@example.com) / k [] with [r]; first_contact"]
    );
    let applied = world().owns_app(&key("k"), "");
    assert_eq!(
        applied.says(),
        ["replace shop (ann@example.com) / k [] with [r]"]
    );
    let plan = applied.plan();
    assert_eq!(plan.changes[0].removals[0].count, 2);
    assert_eq!(plan.access.losses.len(), 2);
    assert!(plan.access.gains.is_empty());
    assert_eq!(
        applied.mode(Mode::Apply).says(),
        ["no_delete: shop (ann@example.com) / k (w x)"]
    );
}

#[test]
fn an_empty_key_that_would_come_to_the_same_is_left_as_it_is() {
    let nothing: [&str; 0] = [];
    let world = World::apigee()
        .has_key(&key("k"), "", "r w")
        .owns_app(&key("k"), "r w")
        .wants_app(&key("k"), "r w");
    assert_eq!(world.says(), nothing);
}

#[test]
fn emptying_a_key_opens_it_to_all_unless_that_is_meant() {
    let world = |allow: bool| {
        World::apigee()
            .has_key(&key("k"), "r", "r w")
            .owns_app(&key("k"), "r")
            .wants_app_so(&key("k"), "", |app| app.allow_empty = allow)
    };
    assert_eq!(
        world(false).says(),
        ["replace shop (ann@example.com) / k [r] with []; opens_to_all"]
    );
    assert_eq!(
        world(true).says(),
        ["replace shop (ann@example.com) / k [r] with []"]
    );
    let plan = world(true).plan();
    assert!(plan.changes[0].removals.is_empty() && plan.access.losses.is_empty());
    assert_eq!(plan.access.gains.len(), 1);
}

#[test]
fn an_app_groups_key_cannot_be_emptied_whatever_its_manifest_means() {
    let AppRef::Apigee { app, key, .. } = key("k") else {
        unreachable!("keys are Apigee's");
    };
    let owner = AppOwner::AppGroup("partners".to_owned());
    let group = AppRef::Apigee { owner, app, key };
    let world = |live: &str, wanted: &str, allow: bool| {
        World::apigee()
            .has_key(&group, live, "r w")
            .owns_app(&group, live)
            .wants_app_so(&group, wanted, |app| app.allow_empty = allow)
    };
    for allow in [false, true] {
        assert_eq!(world("r", "", allow).says(), ["SW206"]);
    }
    assert_eq!(world("", "", true).says(), [""; 0], "it is empty already");
    // What an empty list means can be had by naming it.
    assert_eq!(
        world("r", "r w", false).says(),
        ["replace shop (partners) / k [r] with [r w]"]
    );
}

#[test]
fn the_last_entry_of_a_client_is_refused_unless_that_is_meant() {
    let world = |allow: bool| {
        World::onelogin()
            .made("r")
            .wants("r")
            .has_app(&client(7), "r")
            .owns_app(&client(7), "r")
            .wants_app_so(&client(7), "", |app| app.allow_empty = allow)
    };
    assert_eq!(world(false).says(), ["replace 7 [r] with []; last_entry"]);
    assert_eq!(world(true).says(), ["replace 7 [r] with []"]);
}

#[test]
fn drift_of_a_list_is_repaired_or_reported() {
    let world = || {
        World::apigee()
            .has_key(&key("k"), "w x", "r w x y")
            .owns_app(&key("k"), "r w")
            .wants_app(&key("k"), "r w y")
    };
    assert_eq!(
        world().says(),
        ["replace shop (ann@example.com) / k [w x] with [r w y]"]
    );
    assert_eq!(
        world().report_drift().says(),
        [
            "replace shop (ann@example.com) / k [w x] with [w x y]",
            "drift: shop (ann@example.com) / k (r x)"
        ]
    );
}

#[test]
fn a_scope_outside_the_products_stops_the_list_before_any_write() {
    let world = World::apigee()
        .has_key(&key("k"), "r", "r w")
        .owns_app(&key("k"), "r")
        .wants_app(&key("k"), "r q");
    assert_eq!(world.says(), ["SW114"]);
}

#[test]
fn an_entry_that_no_product_has_any_more_goes_or_stops_the_list() {
    let world = |mode| {
        World::apigee()
            .has_key(&key("k"), "r z", "r w")
            .owns_app(&key("k"), "r")
            .wants_app_so(&key("k"), "r w", foreign(mode))
    };
    let gone = ["replace shop (ann@example.com) / k [r z] with [r w]"];
    assert_eq!(world(ForeignScopes::Remove).says(), gone);
    assert_eq!(world(ForeignScopes::Keep).says(), ["SW114"]);
    let apply = world(ForeignScopes::Remove).mode(Mode::Apply);
    assert_eq!(
        apply.says(),
        ["SW114", "no_delete: shop (ann@example.com) / k (z)"]
    );
}

#[test]
fn a_scope_that_will_not_be_there_stops_the_list() {
    let world = |scopes| {
        World::onelogin()
            .has_app(&client(7), "")
            .wants_app(&client(7), scopes)
    };
    assert_eq!(world("q").says(), ["SW202"]);
    assert_eq!(world("r").made("r").says(), ["delete r", "SW202"]);
    let renamed = world("r").made("r").wants_so("s", was("r"));
    assert_eq!(renamed.says(), ["rename r to s", "SW202"]);
    assert_eq!(
        world("r").has("r").says(),
        ["replace 7 [] with [r]", "unmanaged: r"]
    );
}

#[test]
fn a_list_waits_for_the_scopes_that_are_made_for_it() {
    let world = World::onelogin()
        .wants("new")
        .wants_so("moved", was("old"))
        .made("old")
        .has_app(&client(7), "")
        .wants_app(&client(7), "moved new")
        .wants_app(&client(8), "new");
    let plan = world.plan();
    assert_eq!(
        says(&plan),
        [
            "rename old to moved",
            "create new",
            "replace 7 [] with [moved new]",
            "attach 8 [new]"
        ]
    );
    assert_eq!(plan.changes[2].depends_on, [0, 1].into());
    assert_eq!(plan.changes[3].depends_on, [1].into());
}

#[test]
fn a_list_follows_its_scopes_through_a_rename() {
    let nothing: [&str; 0] = [];
    let mut world = World::onelogin()
        .wants_so("b", was("a"))
        .made("a")
        .has_app(&client(7), "a")
        .owns_app(&client(7), "a")
        .wants_app(&client(7), "b");
    let plan = world.plan();
    assert_eq!(says(&plan), ["rename a to b"]);
    // What was applied goes by the new name as soon as the scope does.
    world.owned.record(plan.changes[0].record.clone());
    assert_eq!(world.owned.apps[&client(7)].applied, names("b"));
    world = world.has_app(&client(7), "b");
    world.live.scopes.clear();
    let world = world.has_so("b", |b| {
        b.remote_id = Some(id("a"));
        b.state.description = Some("b".to_owned());
        b.consumers = crate::model::Consumers::Apps([client(7)].into());
    });
    assert_eq!(world.says(), nothing);
}

#[test]
fn what_is_learned_of_a_list_is_planned_with_its_renames() {
    let world = World::onelogin()
        .wants_so("c", was("b"))
        .wants_so("b", was("a"))
        .made("a")
        .made("b")
        .has_app(&client(7), "a b")
        .wants_app(&client(7), "b c");
    assert_eq!(
        world.says(),
        ["rename a to b", "rename b to c", "= matched 7"]
    );
}

#[test]
fn inherited_entries_are_carried_along_and_never_counted() {
    let world = World::onelogin()
        .made("r")
        .wants("r")
        .has_so("i", |live| live.inherited = true)
        .has_app_so(&client(7), "w", |app| app.inherited = names("i"))
        .has("w")
        .owns_app(&client(7), "w")
        .wants_app(&client(7), "r i");
    let plan = world.plan();
    let crate::plan::change::Change::ReplaceAppScopes {
        before,
        after,
        inherited,
        ..
    } = &plan.changes[0].change
    else {
        panic!("a list is replaced");
    };
    assert_eq!(
        (before, after, inherited),
        (&names("w"), &names("r"), &names("i"))
    );
    assert_eq!(plan.changes[0].removals[0].count, 1);
}

#[test]
fn an_app_that_is_not_there_fails_its_own_set_alone() {
    let mut world = a_key(ForeignScopes::Remove).wants_app(&key("gone"), "r");
    let why = "404: no such key".to_owned();
    world.live.apps.insert(key("gone"), LiveApp::Absent { why });
    assert_eq!(
        world.says(),
        [
            "replace shop (ann@example.com) / k [r w x] with [r y]",
            "SW201"
        ]
    );
}

#[test]
fn two_manifests_that_turn_out_to_be_of_one_key_are_both_left_alone() {
    let mut world = World::apigee()
        .has_key(&key("k"), "r", "r w")
        .wants_app(&key("k"), "w")
        .wants_app(&keyless(), "r w");
    let live = world.live.apps[&key("k")].clone();
    world.live.apps.insert(keyless(), live);
    assert_eq!(world.says(), ["SW205", "SW205"]);
}

#[test]
fn the_first_holder_keeps_a_list() {
    let theirs = |entry: &mut crate::model::OwnedApp| {
        entry.source = crate::model::SourceFile::new(THERE).into();
    };
    let mut world = a_client(ForeignScopes::Remove).owns_app_so(&client(7), "r w", theirs);
    let told = ["conflict: 7", "= 7 wanted by here/all.yaml"];
    assert_eq!(world.says(), told);
    world.live.apps.clear();
    count_consumers(&mut world.live);
    assert_eq!(world.says(), told);
}

#[test]
fn a_client_without_scopes_need_not_be_attached() {
    let nothing: [&str; 0] = [];
    assert_eq!(World::onelogin().wants_app(&client(7), "").says(), nothing);
}

#[test]
fn a_vanished_client_is_attached_again_or_reported() {
    let world = || {
        World::onelogin()
            .made("r")
            .wants("r")
            .owns_app(&client(7), "r")
            .wants_app(&client(7), "r")
    };
    assert_eq!(world().says(), ["attach 7 [r]"]);
    assert_eq!(world().report_drift().says(), ["drift: 7"]);
}

#[test]
fn a_key_is_labelled_by_its_app_and_never_whole() {
    let long = AppRef::Apigee {
        owner: crate::model::AppOwner::Developer("ann@example.com".to_owned()),
        app: "shop".to_owned(),
        key: Some(crate::model::ConsumerKey::new("abcdefghijkl")),
    };
    let world = World::apigee()
        .has_key(&long, "", "r w")
        .wants_app(&long, "r");
    assert_eq!(
        world.plan().changes[0].object.label,
        "shop (ann@example.com) / abc…kl"
    );
}

#[test]
fn an_app_of_ours_that_is_declared_is_counted_before_the_plan() {
    let plan = a_key(ForeignScopes::Remove).plan();
    let count = |counted, holder: Option<String>| {
        let all = Measure::all(counted);
        plan.populations.get(&Measure { holder, ..all }).unwrap()
    };
    assert_eq!(count(crate::model::Counted::Apps, None), 1);
    assert_eq!(count(crate::model::Counted::AppScopes, None), 2);
    assert_eq!(
        count(crate::model::Counted::AppScopes, Some(key("k").path())),
        2
    );
    // An empty list holds everything that is allowed.
    let empty = World::apigee()
        .has_key(&key("k"), "r", "r w x")
        .owns_app(&key("k"), "");
    assert_eq!(
        empty
            .plan()
            .populations
            .get(&Measure::all(crate::model::Counted::AppScopes)),
        Some(3)
    );
}

#[test]
fn a_created_list_is_recorded_as_created() {
    let plan = World::onelogin()
        .made("r")
        .wants("r")
        .wants_app(&client(7), "r")
        .plan();
    let crate::model::Record::App { entry, .. } = &plan.changes[0].record else {
        panic!("a list is recorded");
    };
    assert_eq!((entry.origin, &entry.applied), (Created, &names("r")));
}

/// Ann's key by another spelling of who she is.
fn by(developer: &str, key: &str) -> AppRef {
    AppRef::Apigee {
        owner: AppOwner::Developer(developer.to_owned()),
        app: "shop".to_owned(),
        key: Some(crate::model::ConsumerKey::new(key)),
    }
}

#[test]
fn a_key_is_one_whichever_spelling_of_its_developer_leads_to_it() {
    for other in ["Ann@Example.com", "7f3c-developer-id"] {
        let spelled = by(other, "k");
        // Two manifests of it are an error on both, and it is counted once.
        let twice = World::apigee()
            .has_key(&key("k"), "r w", "r w")
            .has_key(&spelled, "r w", "r w")
            .owns_app(&key("k"), "r w")
            .wants_app(&key("k"), "r")
            .wants_app(&spelled, "w");
        let plan = twice.plan();
        assert_eq!(says(&plan), ["SW205", "SW205"]);
        assert_eq!(plan.population.live, 1);
        let all = Measure::all(crate::model::Counted::AppScopes);
        assert_eq!(plan.populations.get(&all), Some(2));
        // What was recorded under one is known under the other.
        let respelled = World::apigee()
            .has_key(&spelled, "r w", "r w")
            .owns_app(&key("k"), "r w")
            .wants_app(&spelled, "r");
        assert_eq!(
            respelled.says(),
            [
                format!("replace shop ({other}) / k [r w] with [r]"),
                "= forget shop (ann@example.com) / k".to_owned(),
                format!("= created shop ({other}) / k")
            ]
        );
        assert_eq!(respelled.plan().changes[0].removals[0].count, 1);
        // So is one that both were recorded for.
        let both = respelled
            .owns_app(&spelled, "r w")
            .wants_app_so(&by("x", "y"), "", |_| {});
        assert_eq!(both.says()[1], "= forget shop (ann@example.com) / k");
    }
}

#[test]
fn a_key_that_is_not_there_means_no_other_one_of_its_name() {
    let ghost = AppRef::Apigee {
        owner: AppOwner::Developer("ann@example.com".to_owned()),
        app: "ghost".to_owned(),
        key: Some(crate::model::ConsumerKey::new("k")),
    };
    let mut world = a_key(ForeignScopes::Remove).wants_app(&ghost, "r");
    let why = "404: no such app".to_owned();
    world.live.apps.insert(ghost, LiveApp::Absent { why });
    assert_eq!(
        world.says(),
        [
            "replace shop (ann@example.com) / k [r w x] with [r y]",
            "SW201"
        ]
    );
}

#[test]
fn two_manifests_of_one_app_are_found_though_it_is_not_there() {
    let why = || LiveApp::Absent {
        why: "no approved key".to_owned(),
    };
    let mut upper = keyless();
    if let AppRef::Apigee { owner, .. } = &mut upper {
        *owner = AppOwner::Developer("ANN@example.com".to_owned());
    }
    let mut world = World::apigee()
        .wants_app(&keyless(), "r")
        .wants_app(&upper, "w");
    world.live.apps.insert(keyless(), why());
    world.live.apps.insert(upper, why());
    assert_eq!(world.says(), ["SW205", "SW205"]);
}

#[test]
fn a_list_that_was_never_applied_is_judged_as_a_first_contact_alone() {
    let mut world = a_key(ForeignScopes::Remove);
    world.owned.apps.clear();
    let plan = world.plan();
    assert_eq!(plan.changes[0].removals, []);
    assert_eq!(plan.changes[0].refusals.len(), 1);
}
