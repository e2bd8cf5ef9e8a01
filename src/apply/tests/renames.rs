//! Renames (safety, section 6): each of them also with the run killed after each of its steps.

use super::stage::{Kill, Stage};
use crate::model::Origin::{Created, Matched};
use crate::model::target::{Adoption, Drift, Policy};
use crate::model::{Consumers, DesiredScope, LiveScope, OwnedScope, Record, System};
use crate::plan::SkipReason;
use crate::plan::tests::world::*;

fn swap() -> World {
    World::onelogin()
        .made("a")
        .made("b")
        .wants_so("a", was("b"))
        .wants_so("b", was("a"))
}

fn at(of: &'static str) -> impl FnOnce(&mut LiveScope) {
    move |live| live.remote_id = Some(id(of))
}

/// Runs a world to its end, killed once at every place where it can be, and gives what it came to each time.
fn however_it_is_killed(world: &World) -> Vec<(String, Stage)> {
    let mut ends = Vec::new();
    for kill in [Kill::BeforeSend, Kill::BeforeRecord, Kill::AfterRecord] {
        for writes in 0..world.plan().changes.len() {
            let mut stage = Stage::of(world);
            stage.run_killed(world, writes, kill);
            stage.run_to_the_end(world);
            ends.push((format!("{kill:?} {writes}"), stage));
        }
    }
    ends
}

/// Where each object is, by the name that it had.
fn places(stage: &Stage) -> Vec<String> {
    stage
        .live
        .scopes
        .values()
        .map(|scope| {
            let id = scope.remote_id.clone().unwrap();
            format!(
                "{} is at {}",
                id.as_str().trim_start_matches("id of "),
                scope.state.name
            )
        })
        .collect()
}

#[test]
fn a_rename_keeps_the_id_and_says_who_keeps_it() {
    let world = World::onelogin()
        .wants_so("b", was("x a"))
        .made("a")
        .has_app(&client(7), "a");
    let plan = world.plan();
    assert_eq!(says(&plan), ["rename a to b"]);
    let remark = plan.changes[0].remark.as_deref();
    assert_eq!(remark, Some("id id of a stays, 1 app keeps it"));
    let Record::Scope {
        name,
        entry,
        replaces,
    } = &plan.changes[0].record
    else {
        panic!("a scope is recorded");
    };
    assert_eq!(
        (name.as_str(), replaces),
        ("b", &Some(crate::model::ScopeName::observed("a")))
    );
    assert_eq!((entry.origin, &entry.remote_id), (Created, &Some(id("a"))));
}

#[test]
fn a_rename_changes_the_other_values_along() {
    let world = World::onelogin()
        .wants_so("b", |b| {
            was("a")(b);
            b.description = Some("new".to_owned());
        })
        .made("a");
    let mut stage = Stage::of(&world);
    stage.run_to_the_end(&world);
    let b = &stage.live.scopes[&name("b")];
    assert_eq!(b.state.description.as_deref(), Some("new"));
    assert_eq!(b.remote_id, Some(id("a")));
}

#[test]
fn a_chain_runs_in_dependency_order() {
    let world = World::onelogin()
        .made("a")
        .made("b")
        .wants_so("b", was("a"))
        .wants_so("c", was("b"));
    let plan = world.plan();
    // By name `b` comes first, and it waits for `c`.
    let lines = says(&plan);
    let (b, c) = (
        lines.iter().position(|l| l == "rename a to b").unwrap(),
        lines.iter().position(|l| l == "rename b to c").unwrap(),
    );
    assert_eq!(plan.changes[b].depends_on, [c].into());
    assert!(plan.changes[c].depends_on.is_empty());
    for (killed, end) in however_it_is_killed(&world) {
        assert_eq!(places(&end), ["a is at b", "b is at c"], "{killed}");
    }
}

#[test]
fn a_swap_goes_through_a_temporary_name() {
    let world = swap();
    let plan = world.plan();
    let mut lines = says(&plan);
    lines.sort();
    assert_eq!(
        lines,
        ["rename a to a.swap", "rename a.swap to b", "rename b to a"]
    );
    for (killed, end) in however_it_is_killed(&world) {
        assert_eq!(places(&end), ["b is at a", "a is at b"], "{killed}");
        let entries: Vec<_> = end.owned.scopes.keys().map(ToString::to_string).collect();
        assert_eq!(entries, ["a", "b"], "{killed}");
        assert!(
            end.owned.scopes.values().all(|e| e.parked_for.is_none()),
            "{killed}"
        );
    }
}

#[test]
fn a_temporary_name_is_none_that_a_manifest_names() {
    let world = swap()
        .wants("a.swap")
        .wants_so("c", was("a.swap1"))
        .made("c");
    assert_eq!(world.says()[0], "rename a to a.swap2");
}

#[test]
fn an_approved_swap_of_what_was_not_ours_is_finished_however_it_is_killed() {
    let world = swap().owns("a", Matched).owns("b", Matched);
    let steps = world.plan().changes.len();
    for kill in [Kill::BeforeSend, Kill::BeforeRecord, Kill::AfterRecord] {
        for writes in 0..steps {
            let mut stage = Stage::of(&world);
            let approved = stage.judge(&world, true);
            stage.carry_out(&approved, &world, Some((writes, kill)));
            stage.run(&world, true);
            assert_eq!(
                places(&stage),
                ["b is at a", "a is at b"],
                "{kill:?} {writes}"
            );
        }
    }
}

#[test]
fn a_swap_that_was_made_is_not_made_again() {
    let world = swap();
    let mut stage = Stage::of(&world);
    stage.run_to_the_end(&world);
    assert!(stage.world(&world).plan().changes.is_empty());
}

#[test]
fn a_ring_of_three_goes_through_one_temporary_name() {
    let world = World::onelogin()
        .made("a")
        .made("b")
        .made("c")
        .wants_so("a", was("c"))
        .wants_so("b", was("a"))
        .wants_so("c", was("b"));
    assert_eq!(world.plan().changes.len(), 4);
    for (killed, end) in however_it_is_killed(&world) {
        assert_eq!(
            places(&end),
            ["c is at a", "a is at b", "b is at c"],
            "{killed}"
        );
    }
}

#[test]
fn two_swaps_of_long_names_get_two_temporary_names() {
    let long: Vec<String> = ["a", "b", "c", "d"]
        .iter()
        .map(|last| format!("{}{last}", "x".repeat(254)))
        .collect();
    let mut world = long
        .iter()
        .fold(World::onelogin(), |world, name| world.made(name));
    for (one, other) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
        let previous = name(&long[other]);
        world = world.wants_so(&long[one], |scope| scope.previous_names = vec![previous]);
    }
    let mut stage = Stage::of(&world);
    stage.run_to_the_end(&world);
    assert_eq!(
        stage.live.scopes[&name(&long[0])].remote_id,
        Some(id(&long[1]))
    );
    assert!(
        stage
            .live
            .scopes
            .keys()
            .all(|name| name.as_str().len() == 255)
    );
}

#[test]
fn a_swap_of_what_somebody_else_made_waits_for_a_word_as_a_whole() {
    for half in [swap().owns("a", Matched), swap().owns("b", Matched)] {
        let approved = half.plan();
        assert!(
            approved
                .changes
                .iter()
                .any(|change| change.refusals.is_empty())
        );
        let mut stage = Stage::of(&half);
        stage.run_to_the_end(&half);
        assert_eq!(places(&stage), ["a is at a", "b is at b"]);
    }
    let mut half = swap().adoption(crate::model::target::Adoption::Always);
    half.owned.scopes.remove(&name("a"));
    let mut stage = Stage::of(&half);
    stage.run_to_the_end(&half);
    assert_eq!(places(&stage), ["b is at a", "a is at b"]);
    // It may have been made before the inventory was lost: nothing is exchanged then.
    half.owned.scopes.clear();
    assert_eq!(half.says(), ["= adopted a", "= adopted b"]);
}

#[test]
fn a_swap_does_not_begin_while_one_of_its_scopes_may_not_be_written() {
    let held = swap().wants_so("b", |b| {
        was("a")(b);
        b.hold_until = Some(in_hours(1));
    });
    let inherited = swap().has_so("b", |live| live.inherited = true);
    let mut twice = swap();
    twice.live.duplicates.insert(name("a"));
    let theirs = swap().owns_so("b", Created, |entry| {
        entry.source = crate::model::SourceFile::new(THERE).into();
    });
    let worlds = [
        held,
        inherited,
        twice,
        theirs,
        swap().policy(Policy::Observe),
        swap().policy(Policy::CreateOnly),
    ];
    for world in worlds {
        let plan = world.plan();
        assert!(plan.changes.is_empty(), "{:?}", says(&plan));
    }
}

#[test]
fn a_swap_that_was_begun_is_finished_even_if_its_previous_names_are_taken_out() {
    let parked = |entry: &mut OwnedScope| entry.parked_for = Some(name("b"));
    let world = World::onelogin()
        .has_so("a.swap", at("a"))
        .owns_so("a.swap", Created, |entry| {
            parked(entry);
            entry.remote_id = Some(id("a"));
        })
        .has_so("a", at("b"))
        .owns_so("a", Created, |entry| entry.remote_id = Some(id("b")))
        .wants("a")
        .wants("b");
    let mut stage = Stage::of(&world);
    stage.run_to_the_end(&world);
    assert_eq!(places(&stage), ["b is at a", "a is at b"]);
}

#[test]
fn what_waits_under_a_temporary_name_is_not_deleted_while_its_name_is_taken() {
    let world = World::onelogin()
        .has_so("a.swap", at("a"))
        .owns_so("a.swap", Created, |entry| {
            entry.parked_for = Some(name("b"));
            entry.remote_id = Some(id("a"));
        })
        .wants("b");
    for taken in [world.clone().has("b"), world.clone().made("b")] {
        assert_eq!(taken.says(), ["name_taken: b"]);
    }
    // Its manifest is gone: it is deleted as any other.
    assert_eq!(world.unwants("b").says(), ["delete a.swap"]);
}

#[test]
fn a_live_foreign_name_blocks_a_rename_and_keeps_the_old_one() {
    let world = World::onelogin().wants_so("b", was("a")).made("a").has("b");
    assert_eq!(world.says(), ["name_taken: b"]);
    assert!(!world.plan().refusals[0].rule.is_liftable());
}

#[test]
fn what_waits_for_a_blocked_rename_is_left_alone() {
    // `c` is somebody else's, so `b` cannot get away, so `a` cannot come: and `b` is not overwritten with what was `a`.
    let world = World::onelogin()
        .made("a")
        .made("b")
        .has("c")
        .wants_so("b", |b| {
            was("a")(b);
            b.description = Some("new".to_owned());
        })
        .wants_so("c", was("b"));
    assert_eq!(world.says(), ["name_taken: c", "rename_blocked: a"]);
}

#[test]
fn a_new_name_that_is_ours_makes_the_previous_one_meaningless() {
    let world = World::onelogin()
        .wants_so("b", was("a"))
        .made("a")
        .made("b");
    assert_eq!(world.says(), ["delete a", "= created b"]);
}

#[test]
fn a_scope_that_was_renamed_behind_our_back_is_renamed_back() {
    let world = World::onelogin()
        .wants("a")
        .owns("a", Created)
        .has_so("z", at("a"));
    assert_eq!(world.says(), ["rename z to a"]);
    for (killed, end) in however_it_is_killed(&world) {
        assert_eq!(places(&end), ["a is at a"], "{killed}");
    }
    assert_eq!(
        world.target(|target| target.drift = Drift::Report).says(),
        ["drift: z"]
    );
}

#[test]
fn a_scope_whose_name_somebody_else_took_meanwhile_is_not_deleted() {
    let other = |live: &mut LiveScope| live.remote_id = Some(id("other"));
    let world = World::onelogin()
        .wants("a")
        .owns("a", Created)
        .has_so("z", at("a"))
        .has_so("a", other);
    assert_eq!(world.says(), ["name_taken: a"]);
}

#[test]
fn a_previous_name_is_honoured_once() {
    let mut world = World::onelogin().wants_so("b", was("a")).made("a");
    let mut stage = Stage::of(&world);
    stage.run_to_the_end(&world);
    (world.live, world.owned) = (stage.live, stage.owned);
    // Somebody makes the old name again, and deletes the new one.
    let again = world.clone().has_so("a", at("another a"));
    assert_eq!(again.says(), ["unmanaged: a"]);
}

#[test]
fn scopes_that_are_made_afresh_do_not_swap_for_the_names_that_they_had_elsewhere() {
    let nothing: [&str; 0] = [];
    let swap = || {
        World::onelogin()
            .wants_so("a", was("b"))
            .wants_so("b", was("a"))
    };
    for world in [
        swap(),
        swap().has("a"),
        swap().made("a"),
        swap().has("a").has("b"),
    ] {
        let mut stage = Stage::of(&world);
        stage.run_to_the_end(&world);
        assert_eq!(stage.world(&world).says(), nothing);
    }
}

#[test]
fn a_swap_waits_while_one_of_its_scopes_is_brought_back() {
    let mut world = swap().has_so("z", at("a"));
    world.live.scopes.remove(&name("a"));
    assert_eq!(world.says()[0], "rename z to a");
    let mut stage = Stage::of(&world);
    stage.run(&world, false);
    stage.run_to_the_end(&world);
    assert_eq!(places(&stage), ["b is at a", "a is at b"]);
}

#[test]
fn a_previous_name_that_another_scope_has_for_good_gives_way_to_an_older_one() {
    let world = World::onelogin()
        .made("old")
        .made("kept")
        .wants_so("new", was("kept old"))
        .wants("kept");
    assert_eq!(world.says(), ["rename old to new"]);
}

#[test]
fn what_is_known_by_its_name_is_not_taken_for_what_had_that_name_once() {
    let world = World::onelogin()
        .wants("d")
        .owns("d", Created)
        .has_so("a", at("d"))
        .wants_so("c", was("a"));
    assert_eq!(world.says(), ["rename a to d", "create c"]);
}

#[test]
fn the_newest_previous_name_that_is_live_counts() {
    let world = World::onelogin()
        .wants_so("c", was("b a"))
        .made("a")
        .made("b");
    assert_eq!(world.says(), ["rename b to c", "delete a"]);
}

#[test]
fn a_system_that_cannot_rename_says_so_where_the_old_name_is_live() {
    for system in [System::Wso2ScopeRegistration, System::Wso2Publisher] {
        let world = World::of(system).wants_so("b", was("a"));
        assert_eq!(world.says(), ["create b"]);
        assert_eq!(
            world.clone().made("a").says(),
            ["SW204", "rename_blocked: a"]
        );
        assert_eq!(world.clone().made("b").says(), ["= created b"]);
        // Both are there and ours: the old one goes as any other.
        let both = world.made("a").made("b");
        assert_eq!(both.says(), ["delete a", "= created b"]);
    }
}

#[test]
fn a_rename_is_no_removal_and_needs_no_whole_picture() {
    let world = World::onelogin().wants_so("b", was("a")).made("a");
    let incomplete = world
        .clone()
        .options(|options| options.removal_block = Some(SkipReason::IncompleteManifests));
    assert_eq!(incomplete.says(), ["rename a to b"]);
    assert_eq!(
        world.mode(crate::plan::Mode::Apply).says(),
        ["rename a to b"]
    );
}

#[test]
fn whoever_takes_a_name_waits_for_the_one_that_leaves_it() {
    let world = World::onelogin()
        .made("a")
        .wants("a")
        .wants_so("b", was("a"));
    // A manifest error, and harmless: `a` is declared and stays.
    assert_eq!(world.says(), ["create b"]);
    let chain = World::onelogin()
        .made("a")
        .wants_so("b", was("a"))
        .wants_so("a", was("x"));
    let plan = chain.plan();
    assert_eq!(says(&plan), ["create b", "= created a"]);
}

#[test]
fn a_rename_shows_its_consumers_and_takes_nothing_from_them() {
    let consumers = |live: &mut LiveScope| live.consumers = Consumers::Apps([client(1)].into());
    let world = World::onelogin()
        .wants_so("b", |b: &mut DesiredScope| was("a")(b))
        .has_so("a", consumers)
        .owns("a", Created);
    let plan = world.plan();
    assert!(plan.changes[0].refusals.is_empty());
    assert!(plan.access.losses.is_empty());
}

#[test]
fn a_name_that_was_left_is_never_taken_again() {
    // `a` became `b`; somebody else makes an `a`, and ours is deleted by hand.
    let left = |entry: &mut OwnedScope| {
        entry.remote_id = Some(id("first"));
        entry.renamed_from = names("a");
    };
    let world = World::onelogin()
        .wants_so("b", was("a"))
        .owns_so("b", Created, left)
        .has("a");
    for adoption in [Adoption::Equal, Adoption::Always] {
        let world = world.clone().adoption(adoption);
        let says = ["create b", "unmanaged: a", "= created b, vanished"];
        assert_eq!(world.says(), says);
    }
    // Nor when its manifest forgot the name meanwhile, and says it again.
    let mut world = world.has_so("b", at("first")).wants("b");
    for record in world.plan().records {
        world.owned.record(record);
    }
    world.live.scopes.remove(&name("b"));
    let world = world.wants_so("b", was("a"));
    let says = ["create b", "unmanaged: a", "= created b, vanished"];
    assert_eq!(world.says(), says);
}

#[test]
fn what_is_learned_of_a_list_has_the_names_of_now() {
    let world = World::onelogin()
        .wants_so("c", was("b"))
        .wants_so("b", was("a"))
        .made("a")
        .made("b")
        .has_app(&client(7), "a b")
        .wants_app(&client(7), "b c");
    let list = |stage: &Stage| stage.owned.apps[&client(7)].applied.clone();
    for (writes, applied) in [(0, "a b"), (1, "a c")] {
        let mut stage = Stage::of(&world);
        stage.run_killed(&world, writes, Kill::BeforeSend);
        assert_eq!(list(&stage), names(applied));
    }
    let mut stage = Stage::of(&world);
    stage.run_to_the_end(&world);
    assert_eq!(list(&stage), names("b c"));
}

#[test]
fn no_rename_takes_a_name_that_another_manifest_holds() {
    let world = World::onelogin()
        .made("a")
        .owns_so("c", Created, |entry| {
            entry.source = crate::model::SourceFile::new(THERE).into();
        })
        .wants_so("c", was("a"));
    assert_eq!(world.says(), ["conflict: c", "= c wanted by here/all.yaml"]);
}
