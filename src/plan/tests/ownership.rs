//! The case table: who owns what, and what becomes of it (safety, section 2).

use super::world::*;
use crate::model::Origin::{Adopted, Created, Matched};
use crate::model::target::Adoption::{Always, Equal, Never};
use crate::model::target::Drift;
use crate::model::{
    DeletionPolicy, DesiredScope, ForeignScopes, Intent, LiveScope, OpenIntent, Origin, RemoteId,
    RoleName, SourceFile, System, WantedBy,
};
use crate::plan::{Mode, NewInventory, Rule};

const WITH_SCOPES: [System; 3] = [
    System::OneLogin,
    System::Wso2ScopeRegistration,
    System::Wso2Publisher,
];

fn differs(live: &mut crate::model::LiveScope) {
    live.state.description = Some("something else".to_owned());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn every_row_of_the_case_table() {
    let nothing: &[&str] = &[];
    for system in WITH_SCOPES {
        let rows: Vec<(&str, World, &[&str])> = vec![
            (
                "wanted, not live",
                World::of(system).wants("a"),
                &["create a"],
            ),
            (
                "wanted, not live, ours",
                World::of(system).wants("a").owns("a", Matched),
                &["create a", "= matched a, vanished"],
            ),
            (
                "wanted, equal, not ours",
                World::of(system).wants("a").has("a"),
                &["= matched a"],
            ),
            (
                "the same where all is adopted",
                World::of(system).wants("a").has("a").adoption(Always),
                &["= adopted a"],
            ),
            (
                "the same where nothing is",
                World::of(system).wants("a").has("a").adoption(Never),
                &["adoption_never: a"],
            ),
            (
                "wanted, differs, not ours",
                World::of(system).wants("a").has_so("a", differs),
                &["update a: description; takeover"],
            ),
            (
                "the same where all is adopted",
                World::of(system)
                    .wants("a")
                    .has_so("a", differs)
                    .adoption(Always),
                &["update a: description"],
            ),
            (
                "the same where nothing is",
                World::of(system)
                    .wants("a")
                    .has_so("a", differs)
                    .adoption(Never),
                &["update a: description; takeover"],
            ),
            (
                "wanted, differs, ours",
                World::of(system)
                    .wants("a")
                    .has_so("a", differs)
                    .owns("a", Matched),
                &["update a: description"],
            ),
            (
                "wanted, equal, ours",
                World::of(system).wants("a").made("a"),
                nothing,
            ),
            (
                "gone from the manifests, created",
                World::of(system).made("a"),
                &["delete a"],
            ),
            (
                "gone from the manifests, adopted",
                World::of(system).has("a").owns("a", Adopted),
                &["delete a"],
            ),
            (
                "gone from the manifests, matched",
                World::of(system).has("a").owns("a", Matched),
                &["matched: a"],
            ),
            (
                "neither wanted nor ours",
                World::of(system).has("a"),
                &["unmanaged: a"],
            ),
            (
                "neither wanted nor live, ours",
                World::of(system).owns("a", Created),
                &["= created a, vanished"],
            ),
        ];
        for (row, world, says) in rows {
            assert_eq!(world.says(), says, "{row} on {}", system.label());
        }
    }
}

#[test]
fn a_previous_name_is_renamed_if_it_is_ours_to_rename() {
    let world = || World::onelogin().wants_so("b", was("a")).has("a");
    let both = ["rename a to b"];
    assert_eq!(world().owns("a", Created).says(), both);
    assert_eq!(world().owns("a", Adopted).says(), both);
    for refused in [world().owns("a", Matched), world()] {
        assert_eq!(refused.says(), ["rename a to b; takeover"]);
        assert_eq!(refused.adoption(Always).says(), both);
    }
    assert_eq!(world().adoption(Equal).says(), ["rename a to b; takeover"]);
}

#[test]
fn what_is_renamed_by_an_approval_is_adopted() {
    let plan = World::onelogin().wants_so("b", was("a")).has("a").plan();
    let crate::model::Record::Scope { entry, .. } = &plan.changes[0].record else {
        panic!("a scope is recorded");
    };
    assert_eq!(entry.origin, Adopted);
}

#[test]
fn an_object_that_was_made_again_by_somebody_else_is_not_ours() {
    let other = |live: &mut crate::model::LiveScope| live.remote_id = Some(RemoteId::new("other"));
    for system in [System::OneLogin, System::Wso2Publisher] {
        let world = World::of(system).has_so("a", other).owns("a", Created);
        assert_eq!(world.says(), ["unmanaged: a", "= created a, vanished"]);
        assert_eq!(world.clone().wants("a").says(), ["= matched a"]);
        let differs = world.wants_so("a", |a| a.description = Some("new".to_owned()));
        assert_eq!(differs.says(), ["update a: description; takeover"]);
    }
}

#[test]
fn where_a_scope_has_no_id_its_name_is_the_id() {
    let world = World::wso2().made("a");
    assert_eq!(world.says(), ["delete a"]);
}

#[test]
fn what_vanished_while_it_was_declared_and_was_made_anew_is_somebody_elses() {
    let mut gone = World::wso2().wants("a").owns("a", Created).report_drift();
    for record in gone.plan().records {
        gone.owned.record(record);
    }
    let anew = gone.has_so("a", differs);
    assert_eq!(anew.says()[0], "update a: description; takeover");
    let dropped = World {
        desired: World::wso2().desired,
        ..anew
    };
    assert_eq!(dropped.says(), ["unmanaged: a"]);
}

#[test]
fn an_object_of_ours_that_goes_by_another_declared_name_is_known_by_it() {
    let moved = |live: &mut crate::model::LiveScope| live.remote_id = Some(id("a"));
    let world = World::onelogin().owns("a", Created).has_so("b", moved);
    let learned = ["= forget a", "= created b"];
    let wanted = world.clone().wants_so("b", |b| b.description = None);
    let known = wanted.clone().owns_so("a", Created, |entry| {
        entry.applied.description = None;
        entry.source.name = "b".to_owned();
    });
    assert_eq!(known.says(), learned);
    // What its manifest says besides is recorded after that.
    assert_eq!(wanted.says(), ["= forget a", "= created b", "= created b"]);
    // Known by its new name, it is deleted with its manifest.
    assert_eq!(world.says(), ["delete b"]);
}

#[test]
fn names_that_were_swapped_behind_our_back_are_both_known() {
    let is = |other: &'static str| {
        move |live: &mut crate::model::LiveScope| live.remote_id = Some(id(other))
    };
    let world = World::onelogin()
        .owns("a", Created)
        .owns("b", Created)
        .has_so("a", is("b"))
        .has_so("b", is("a"))
        .wants("a")
        .wants("b");
    let mut owned = world.owned.clone();
    for record in world.plan().records {
        owned.record(record);
    }
    let ids: Vec<_> = owned.scopes.values().map(|e| e.remote_id.clone()).collect();
    assert_eq!(ids, [Some(id("b")), Some(id("a"))]);
    assert!(owned.scopes.values().all(|e| e.origin == Created));
}

#[test]
fn the_first_holder_keeps_an_object_and_another_one_is_told_so() {
    let theirs =
        |entry: &mut crate::model::OwnedScope| entry.source = SourceFile::new(THERE).into();
    let held = |system| World::of(system).wants("a").owns_so("a", Created, theirs);
    for system in WITH_SCOPES {
        let told = ["conflict: a", "= a wanted by here/all.yaml"];
        assert_eq!(held(system).has("a").says(), told);
        assert_eq!(held(system).says(), told);
        let plan = held(system).has("a").plan();
        assert!(!plan.refusals[0].rule.is_liftable());
    }
    let rename = World::onelogin()
        .wants_so("b", was("a"))
        .has("a")
        .owns_so("a", Created, theirs);
    assert_eq!(
        rename.says(),
        ["conflict: b", "= a wanted by here/all.yaml"]
    );
}

#[test]
fn what_another_manifest_asked_for_within_thirty_days_goes_to_it_when_its_holder_lets_go() {
    let wanted = |file: &'static str, days: i64| {
        World::onelogin()
            .has("a")
            .owns_so("a", Created, move |entry| {
                entry.wanted_by = Some(WantedBy {
                    source: SourceFile::new(file).into(),
                    at: in_hours(-24 * days),
                });
            })
    };
    let world = wanted(THERE, 29);
    assert_eq!(world.says(), ["moved: a (there/all.yaml)", "= created a"]);
    let mut owned = world.owned.clone();
    for record in world.plan().records {
        owned.record(record);
    }
    let entry = owned.scopes.values().next().unwrap();
    assert_eq!(entry.source.file, SourceFile::new(THERE));
    assert_eq!(entry.wanted_by, None);
    assert_eq!(wanted(THERE, 30).says(), ["delete a"]);
    // This run read the other manifest, and it does not ask for it any more.
    assert_eq!(wanted("here/other.yaml", 1).says(), ["delete a"]);
}

#[test]
fn what_standard_input_asked_for_within_thirty_days_goes_to_it() {
    let wanted = |days: i64| {
        World::onelogin().has("a").owns_so("a", Created, |entry| {
            entry.wanted_by = Some(WantedBy {
                source: SourceFile::new("-").into(),
                at: in_hours(-24 * days),
            });
        })
    };
    assert_eq!(wanted(29).says(), ["moved: a (-)", "= created a"]);
    assert_eq!(wanted(30).says(), ["delete a"]);
}

#[test]
fn what_was_found_equal_is_handed_over_as_well() {
    let world = World::onelogin().has("a").owns_so("a", Matched, |entry| {
        entry.wanted_by = Some(WantedBy {
            source: SourceFile::new(THERE).into(),
            at: now(),
        });
    });
    assert_eq!(world.says(), ["moved: a (there/all.yaml)", "= matched a"]);
    let crate::model::Record::Scope { entry, .. } = &world.plan().records[0] else {
        panic!("a scope is recorded");
    };
    assert_eq!(entry.source.file, SourceFile::new(THERE));
    // A run that removes nothing hands nothing over, and says why it stays.
    assert_eq!(world.mode(Mode::Apply).says(), ["matched: a"]);
}

#[test]
fn who_wants_a_name_does_not_want_what_it_is_renamed_to() {
    let mut owned = World::onelogin()
        .owns_so("a", Created, |entry| {
            entry.wanted_by = Some(WantedBy {
                source: SourceFile::new(THERE).into(),
                at: now(),
            });
        })
        .owned;
    owned.record(crate::model::Record::Scope {
        name: name("b"),
        entry: owned.scopes[&name("a")].clone(),
        replaces: Some(name("a")),
    });
    assert_eq!(owned.scopes[&name("b")].wanted_by, None);
}

#[test]
fn who_wants_a_scope_is_known_still_after_its_holder_changed_it() {
    let theirs =
        |entry: &mut crate::model::OwnedScope| entry.source = SourceFile::new(THERE).into();
    let world = World::onelogin()
        .wants("a")
        .has("a")
        .owns_so("a", Created, theirs);
    let mut owned = world.owned.clone();
    for record in world.plan().records {
        owned.record(record);
    }
    let mut entry = owned.scopes[&name("a")].clone();
    entry.wanted_by = None;
    owned.record(crate::model::Record::Scope {
        name: name("a"),
        entry,
        replaces: None,
    });
    let world = World { owned, ..world };
    assert!(world.owned.scopes[&name("a")].wanted_by.is_some());
    // It is told anew once a day.
    assert_eq!(world.says(), ["conflict: a"]);
}

#[test]
fn what_its_holder_gave_up_is_handed_over_and_not_deleted() {
    let other =
        |entry: &mut crate::model::OwnedScope| entry.source = SourceFile::new("here/old").into();
    let world = World::onelogin()
        .wants("a")
        .has("a")
        .owns_so("a", Created, other);
    assert_eq!(world.says(), ["= created a"]);
    let crate::model::Record::Scope { entry, .. } = &world.plan().records[0] else {
        panic!("a scope is recorded");
    };
    assert_eq!(entry.source.file, SourceFile::new(HERE));
}

#[test]
fn a_tombstone_stays_for_a_day() {
    let since = |hours: i64| {
        move |entry: &mut crate::model::OwnedScope| entry.vanished_at = Some(in_hours(-hours))
    };
    let world = |hours| World::onelogin().owns_so("a", Created, since(hours));
    let nothing: [&str; 0] = [];
    assert_eq!(world(24).says(), nothing);
    assert_eq!(world(25).says(), ["= forget a"]);
    // The list lagged: the object is deleted as ours, and its day starts anew when it is kept.
    assert_eq!(
        world(1).has("a").mode(crate::plan::Mode::Apply).says(),
        ["no_delete: a", "= created a"]
    );
    assert_eq!(world(1).has("a").says(), ["delete a", "= created a"]);
    assert_eq!(world(25).wants("a").says(), ["create a"]);
}

#[test]
fn the_tombstone_of_an_app_stays_for_a_day() {
    let gone = |hours: Option<i64>| {
        move |entry: &mut crate::model::OwnedApp| {
            entry.deletion_policy = DeletionPolicy::Delete;
            entry.vanished_at = hours.map(|hours| in_hours(-hours));
        }
    };
    let world = |hours| World::onelogin().owns_app_so(&client(7), "a", gone(hours));
    let nothing: [&str; 0] = [];
    assert_eq!(world(None).says(), ["= created 7, vanished"]);
    assert_eq!(world(Some(24)).says(), nothing);
    assert_eq!(world(Some(25)).says(), ["= forget 7"]);
}

#[test]
fn an_unknown_inventory_is_started_with_a_word() {
    let unknown = |mut world: World, choice| {
        world.owned.known = false;
        world
            .options(|options| options.new_inventory = choice)
            .says()
    };
    let world = World::onelogin().has("a");
    assert_eq!(
        unknown(world.clone(), NewInventory::Refuse),
        ["new_inventory: the target", "unmanaged: a", "= start"]
    );
    assert_eq!(
        unknown(world.clone(), NewInventory::Warn),
        ["SW210", "unmanaged: a", "= start"]
    );
    assert_eq!(
        unknown(world.clone(), NewInventory::Allow),
        ["unmanaged: a", "= start"]
    );
    let applied = world.mode(crate::plan::Mode::Apply);
    assert_eq!(
        unknown(applied, NewInventory::Refuse),
        ["new_inventory: the target", "unmanaged: a", "= start"]
    );
    assert_eq!(
        unknown(World::onelogin(), NewInventory::Refuse),
        ["= start"]
    );
}

#[test]
fn a_key_in_an_apigee_list_counts_as_live_for_a_new_inventory() {
    let mut world = World::apigee()
        .has_key(&key("k"), "r", "r w")
        .wants_app(&key("k"), "r");
    world.owned.known = false;
    assert_eq!(world.plan().refusals[0].rule, Rule::NewInventory);
}

/// The intent of a creation, as it would be recorded before it is sent.
fn creation(roles: &str) -> OpenIntent {
    let world = World::wso2().wants_so("a", |scope| {
        for role in roles.split_whitespace() {
            let sources = [SourceFile::new(HERE).into()].into();
            scope.roles.entries.insert(RoleName::new(role), sources);
        }
    });
    open(world.plan().changes[0].intent.clone().unwrap())
}

/// An intent that was recorded just now.
fn open(intent: Intent) -> OpenIntent {
    OpenIntent {
        at: now(),
        intent,
        removals: Vec::new(),
    }
}

#[test]
fn a_creation_whose_record_was_lost_is_ours_if_something_of_it_shows() {
    let mut world = World::wso2().has_so("a", bound_to("r"));
    world.owned.intents.push(creation("r"));
    assert_eq!(world.says(), ["delete a", "= created a"]);

    // Somebody changed it since: its role shows.
    let mut grown = World::wso2().has_so("a", |a| {
        a.state.description = Some("theirs".to_owned());
        bound_to("r s")(a);
    });
    grown.owned.intents.push(creation("r"));
    assert_eq!(grown.says(), ["delete a", "= created a"]);

    // Nothing of it shows: a list may lag, or somebody else made it.
    for mut world in [
        World::wso2(),
        World::wso2().has_so("a", |a| {
            a.state.description = Some("theirs".to_owned());
            bound_to("s")(a);
        }),
    ] {
        world.owned.intents.push(creation("r"));
        let before = world.says();
        assert!(
            !before.iter().any(|line| line.starts_with('=')),
            "{before:?}"
        );
        world.owned.intents[0].at = in_hours(-1);
        assert_eq!(
            world.says().last().unwrap(),
            "= nothing came of createScope"
        );
    }

    let mut twice = World::wso2().has_so("a", bound_to("r"));
    twice.live.duplicates.insert(name("a"));
    twice.owned.intents.push(creation("r"));
    assert_eq!(twice.says(), ["unmanaged: a"]);
}

#[test]
fn an_update_whose_record_was_lost_counts_as_applied() {
    let before = World::wso2()
        .wants_so("a", contributed("r s"))
        .has_so("a", bound_to("r x"))
        .owns_so("a", Created, |entry| {
            applied("r")(entry);
            entry.applied.all_roles = false;
        });
    let mut world = before.clone().has_so("a", bound_to("r s x"));
    world
        .owned
        .intents
        .push(open(before.plan().changes[0].intent.clone().unwrap()));
    // The binding to `s` is withdrawn: it was ours, and `x` was not.
    let world = world.wants_so("a", contributed("r"));
    assert_eq!(world.says(), ["update a: bindings", "= created a"]);
    let crate::plan::change::Change::UpdateScope { after, .. } = &world.plan().changes[0].change
    else {
        panic!("an update");
    };
    assert_eq!(after.roles, [RoleName::new("r"), RoleName::new("x")]);
    // The description moved since: the role that was to be added shows, and is ours.
    let moved = before.clone().has_so("a", |a| {
        a.state.description = Some("theirs".to_owned());
        bound_to("r s x")(a);
    });
    let mut world = World {
        live: moved.live,
        ..world
    };
    assert_eq!(
        world.says(),
        [
            "update a: description bindings",
            "= created a",
            "= still open"
        ]
    );
    let crate::plan::change::Change::UpdateScope { after, .. } = &world.plan().changes[0].change
    else {
        panic!("an update");
    };
    assert_eq!(after.roles, [RoleName::new("r"), RoleName::new("x")]);
    // Nothing of it shows.
    world.live = before.live;
    assert_eq!(world.says(), [""; 0]);
}

/// The roles that an update leaves.
fn roles_after(world: &World) -> Vec<RoleName> {
    let plan = world.plan();
    let after = plan
        .changes
        .iter()
        .find_map(|planned| match &planned.change {
            crate::plan::change::Change::UpdateScope { after, .. } => Some(after.roles.clone()),
            _ => None,
        });
    after.expect("an update")
}

#[test]
fn roles_that_were_there_before_a_write_that_came_to_nothing_are_not_ours() {
    let before = World::wso2()
        .wants_so("a", bindings("r x"))
        .has_so("a", bound_to("x y"))
        .owns("a", Created);
    assert_eq!(
        before.says(),
        ["update a: bindings; first_contact"],
        "somebody approves it"
    );
    let intent = open(before.plan().changes[0].intent.clone().unwrap());
    let mut world = before.clone();
    world.owned.intents.push(intent.clone());
    assert_eq!(world.says(), before.says());

    // What was to be added shows beside what was to go. To know it is ours would let `y` go without a word.
    let mut part = before.has_so("a", bound_to("r x y"));
    part.owned.intents.push(intent);
    assert_eq!(part.says(), ["update a: bindings; first_contact"]);
    // Where others' roles stay, it is ours, and can be withdrawn.
    part.desired.scopes.clear();
    let part = part.wants_so("a", contributed("x"));
    assert_eq!(roles_after(&part), ["x", "y"].map(RoleName::new));
}

#[test]
fn scopes_that_were_there_before_a_write_that_came_to_nothing_are_not_ours() {
    let before = World::onelogin()
        .has("a")
        .has("b")
        .has("x")
        .wants("a")
        .wants("x")
        .wants_app(&client(7), "a x")
        .has_app(&client(7), "b x");
    let refused = "replace 7 [b x] with [a x]; first_contact".to_owned();
    assert!(before.says().contains(&refused), "somebody approves it");
    let intent = open(before.plan().changes[0].intent.clone().unwrap());
    let mut world = before.clone();
    world.owned.intents.push(intent.clone());
    assert_eq!(world.says(), before.says());

    // What was to be added shows beside what was to go. To know it is ours would let `b` go without a word.
    let mut part = before.has_app(&client(7), "a b x");
    part.owned.intents.push(intent);
    let refused = "replace 7 [a b x] with [a x]; first_contact".to_owned();
    assert!(part.says().contains(&refused), "{:?}", part.says());
    // Where others' scopes stay, it is ours, and can be withdrawn.
    part.desired.apps.clear();
    let part = part.wants_app_so(&client(7), "x", |app| app.foreign = ForeignScopes::Keep);
    let replaced = "replace 7 [a b x] with [b x]".to_owned();
    assert!(part.says().contains(&replaced), "{:?}", part.says());
}

#[test]
fn a_part_of_a_list_that_replaces_all_of_another_is_a_first_contact_still() {
    let before = World::onelogin()
        .has("a")
        .has("b")
        .wants("a")
        .wants_app(&client(7), "a")
        .has_app(&client(7), "b");
    let intent = open(before.plan().changes[0].intent.clone().unwrap());
    let mut part = before.has_app(&client(7), "a b");
    part.owned.intents.push(intent);
    let refused = "replace 7 [a b] with [a]; first_contact".to_owned();
    assert!(part.says().contains(&refused), "{:?}", part.says());
}

#[test]
fn an_older_journal_does_not_say_what_a_write_was_adding_and_nothing_of_it_is_ours() {
    let before = World::wso2()
        .wants_so("a", contributed("r"))
        .has("a")
        .owns("a", Created);
    let mut intent = serde_json::to_value(before.plan().changes[0].intent.clone()).unwrap();
    assert_eq!(
        intent.as_object_mut().unwrap().remove("adds"),
        Some(serde_json::json!(["r"]))
    );
    let mut part = before.has_so("a", bound_to("r x"));
    part.owned
        .intents
        .push(open(serde_json::from_value(intent).unwrap()));
    let says = part.says();
    assert!(!says.contains(&"= still open".to_owned()), "{says:?}");
}

#[test]
fn what_shows_of_an_attached_app_is_ours() {
    let before = World::onelogin()
        .has("a")
        .has("b")
        .wants_app(&client(7), "a b");
    let intent = open(before.plan().changes[0].intent.clone().unwrap());
    let mut part = before.has_app(&client(7), "a");
    part.owned.intents.push(intent);
    assert!(part.says().contains(&"= created 7".to_owned()));
}

#[test]
fn a_list_whose_record_was_lost_counts_as_applied() {
    let before = World::apigee()
        .wants_app(&key("k"), "r")
        .has_key(&key("k"), "r w", "r w x")
        .owns_app(&key("k"), "r w");
    let intent = open(before.plan().changes[0].intent.clone().unwrap());
    let mut after = before.clone().has_key(&key("k"), "r", "r w x");
    after.owned.intents.push(intent.clone());
    assert_eq!(after.says(), ["= created shop (ann@example.com) / k"]);
    let mut not = before;
    not.owned.intents.push(intent.clone());
    assert_eq!(
        not.says(),
        ["replace shop (ann@example.com) / k [r w] with [r]"]
    );
    // The manifest leaves the key out, and the picture has the app under that reference.
    let mut keyless_world = World::apigee()
        .wants_app(&keyless(), "r")
        .owns_app(&key("k"), "r w");
    let live = after.live.apps[&key("k")].clone();
    keyless_world.live.apps.insert(keyless(), live);
    keyless_world.owned.intents.push(intent);
    assert_eq!(
        keyless_world.says(),
        ["= created shop (ann@example.com) / k"]
    );
}

#[test]
fn names_that_are_live_twice_are_not_written_to() {
    let twice = |mut world: World| {
        world.live.duplicates.insert(name("a"));
        world
    };
    let declared = twice(
        World::onelogin()
            .wants("a")
            .has_so("a", differs)
            .owns("a", Created),
    );
    assert_eq!(declared.says(), ["SW203", "duplicate: a"]);
    assert_eq!(twice(World::onelogin().made("a")).says(), ["duplicate: a"]);
    let from = twice(World::onelogin().wants_so("b", was("a")).made("a"));
    assert_eq!(from.says(), ["duplicate: a"]);
    // Neither is the scope deleted that was to get that name.
    let to = twice(World::onelogin().wants_so("a", was("z")).has("a").made("z"));
    assert_eq!(to.says(), ["SW203", "duplicate: a", "rename_blocked: z"]);
}

#[test]
fn an_inherited_scope_is_never_written_to() {
    let inherited = |live: &mut crate::model::LiveScope| {
        differs(live);
        live.inherited = true;
    };
    let world = World::onelogin().wants("a").has_so("a", inherited);
    assert_eq!(world.says(), ["inherited: a"]);
    let rename = World::onelogin()
        .wants_so("b", was("a"))
        .has_so("a", inherited);
    assert_eq!(rename.says(), ["inherited: a"]);
    let equal = World::onelogin()
        .wants("a")
        .has_so("a", |live| live.inherited = true);
    let nothing: [&str; 0] = [];
    assert_eq!(equal.says(), nothing);
}

#[test]
fn an_inherited_scope_is_not_deleted_even_if_it_is_in_the_inventory() {
    let world = World::onelogin()
        .has_so("a", |live| live.inherited = true)
        .owns("a", Origin::Created);
    assert_eq!(world.says(), ["inherited: a"]);
}

#[test]
fn a_change_behind_our_back_may_only_be_reported() {
    let world = World::onelogin()
        .wants("a")
        .has_so("a", differs)
        .owns("a", Created);
    assert_eq!(world.clone().says(), ["update a: description"]);
    assert_eq!(
        world.clone().report_drift().says(),
        ["drift: a (description)"]
    );
    // A new wish is no drift.
    let wish = world.wants_so("a", |a| a.description = Some("new".to_owned()));
    assert_eq!(wish.report_drift().says(), ["update a: description"]);
    let gone = World::onelogin().wants("a").owns("a", Created);
    assert_eq!(
        gone.report_drift().says(),
        ["drift: a", "= created a, vanished"]
    );
    assert_eq!(
        World::onelogin().wants("a").report_drift().says(),
        ["create a"]
    );
    let moved = World::onelogin()
        .wants("a")
        .owns("a", Created)
        .has_so("z", |live| live.remote_id = Some(id("a")));
    assert_eq!(moved.clone().says(), ["rename z to a"]);
    assert_eq!(
        moved.target(|t| t.drift = Drift::Report).says(),
        ["drift: z"]
    );
}

#[test]
fn a_description_is_never_blank_where_the_object_is_written() {
    let create = World::wso2().wants_so("a", |a| a.description = None);
    let crate::plan::change::Change::CreateScope { after } = &create.plan().changes[0].change
    else {
        panic!("a creation");
    };
    assert_eq!(after.description.as_deref(), Some("a"));
    let blank = World::wso2()
        .wants_so("a", |a| {
            a.description = None;
            contributed("r")(a);
        })
        .has_so("a", |a| a.state.description = None)
        .owns("a", Created);
    let crate::plan::change::Change::UpdateScope { after, .. } = &blank.plan().changes[0].change
    else {
        panic!("an update");
    };
    assert_eq!(after.description.as_deref(), Some("a"));
    // Nothing is written for it alone.
    let nothing: [&str; 0] = [];
    let quiet = World::wso2()
        .wants_so("a", |a| a.description = None)
        .has_so("a", |a| a.state.description = None)
        .owns_so("a", Created, |e| e.applied.description = None);
    assert_eq!(quiet.says(), nothing);
}

/// What an inventory knows once it has taken a plan's records, as a run that a rule stopped takes them.
fn stopped(world: &mut World) {
    for record in world.plan().records {
        if record.only_protects() {
            world.owned.record(record);
        }
    }
}

#[test]
fn what_protects_is_recorded_whatever_else_the_run_does() {
    let guarded = |scope: &mut DesiredScope| {
        scope.protected = true;
        scope.hold_until = Some(in_hours(1));
        scope.deletion_policy = DeletionPolicy::Orphan;
    };
    let moved = |entry: &mut crate::model::OwnedScope| {
        entry.source = SourceFile::new("here/old").into();
    };
    #[rustfmt::skip]
    let together: [(&str, World); 6] = [
        ("nothing", World::onelogin().wants_so("a", guarded).made("a")),
        ("a move to another file", World::onelogin().wants_so("a", guarded).has("a").owns_so("a", Created, moved)),
        ("another value", World::onelogin().wants_so("a", |s| { guarded(s); s.description = Some("new".to_owned()); }).made("a")),
        ("a rename", World::onelogin().wants_so("b", |s| { guarded(s); was("a")(s); }).made("a")),
        ("an object that is gone", World::onelogin().wants_so("a", guarded).owns("a", Created)),
        ("a refused set", World::wso2().wants_so("a", |s| { guarded(s); bindings("r")(s); }).has_so("a", bound_to("r x")).owns("a", Created)),
    ];
    for (what, mut world) in together {
        stopped(&mut world);
        let entry = &world.owned.scopes[&name("a")];
        assert!(entry.protected, "{what}");
        assert_eq!(entry.hold_until, Some(in_hours(1)), "{what}");
        assert_eq!(entry.deletion_policy, DeletionPolicy::Orphan, "{what}");
        assert_eq!(entry.applied.roles, None, "{what}");
    }
}

#[test]
fn what_protects_less_waits_for_the_run_that_does_the_rest() {
    let mut world = World::onelogin()
        .wants_so("a", |scope| scope.description = Some("new".to_owned()))
        .has("a")
        .owns_so("a", Created, |entry| entry.protected = true);
    stopped(&mut world);
    assert!(world.owned.scopes[&name("a")].protected);
}

#[test]
fn what_protects_reaches_what_an_open_intent_will_record() {
    let mut world = World::onelogin()
        .wants_so("a", |scope| scope.description = Some("new".to_owned()))
        .made("a");
    let intent = world.plan().changes[0].intent.clone().unwrap();
    world.owned.intents.push(open(intent));
    let guarded = |scope: &mut DesiredScope| {
        scope.protected = true;
        scope.description = Some("new".to_owned());
    };
    let mut world = world.wants_so("a", guarded);
    stopped(&mut world);
    // The write turns out to have been made, and the manifest is gone.
    let done = world
        .has_so("a", |live| live.state.description = Some("new".to_owned()))
        .unwants("a");
    assert_eq!(done.says()[0], "protected: a");
}

#[test]
fn what_is_made_anew_under_a_name_is_ours_only_if_it_holds_what_we_applied() {
    let vanished = |entry: &mut crate::model::OwnedScope| entry.vanished_at = Some(in_hours(-1));
    let other = |live: &mut LiveScope| live.state.description = Some("theirs".to_owned());
    let world = || World::wso2().owns_so("a", Created, vanished);
    // It was the list that lagged.
    assert_eq!(world().has("a").says(), ["delete a", "= created a"]);
    assert_eq!(world().has_so("a", other).says(), ["unmanaged: a"]);
    let wanted = world().has_so("a", other).wants("a");
    assert_eq!(wanted.says(), ["update a: description; takeover"]);
    let roles = World::wso2()
        .has_so("a", bound_to("r x"))
        .owns_so("a", Created, |entry| {
            vanished(entry);
            applied("r")(entry);
        });
    assert_eq!(roles.says(), ["unmanaged: a"]);
    // One that was there all the time drifted.
    let drifted = World::wso2().has_so("a", other).owns("a", Created);
    assert_eq!(drifted.says(), ["delete a"]);
}
