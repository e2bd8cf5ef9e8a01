//! Between look and write, and after answers that tell nothing: one thing that goes wrong at a time.

use super::stage::Stage;
use super::trouble::{Act, Moment, Script};
use crate::apply::{Outcome, TargetReport};
use crate::inventory::memory::Keeps;
use crate::model::Origin::Created;
use crate::model::{Live, LiveApp, LiveAppScopes, Origin, RoleName, System};
use crate::plan::SkipReason;
use crate::plan::tests::world::*;

/// Plans, lets somebody else write, and runs.
fn run_after(world: &World, theirs: impl FnOnce(&mut Live)) -> (Stage, TargetReport) {
    let mut stage = Stage::of(world);
    let approved = stage.judge(world, false);
    stage.memory.edit(theirs);
    let report = stage.perform(&approved, world, 1, Script::new(|_| Act::Go));
    (stage, report.unwrap())
}

/// Runs once with a script; `None` where it was killed.
fn run_with(
    stage: &mut Stage,
    world: &World,
    script: impl FnMut(Moment<'_>) -> Act + Send,
) -> Option<TargetReport> {
    let approved = stage.judge(world, false);
    stage.perform(&approved, world, 1, Script::new(script))
}

const STALE: Outcome = Outcome::Skipped(SkipReason::Stale);

#[test]
fn what_moved_between_plan_and_write_is_left_alone_by_updates_of_every_system() {
    for system in [
        System::OneLogin,
        System::Wso2ScopeRegistration,
        System::Wso2Publisher,
    ] {
        let world = World::of(system)
            .made("a")
            .made("b")
            .wants_so("a", |a| a.description = Some("new".to_owned()))
            .wants_so("b", |b| b.description = Some("new".to_owned()));
        let theirs = |live: &mut Live| {
            live.scopes.get_mut(&name("a")).unwrap().state.description = Some("theirs".to_owned());
        };
        let (stage, report) = run_after(&world, theirs);
        let text = |scope: &str| {
            stage.live.scopes[&name(scope)]
                .state
                .description
                .clone()
                .unwrap()
        };
        assert_eq!(
            (text("a").as_str(), text("b").as_str()),
            ("theirs", "new"),
            "{system:?}"
        );
        assert_eq!(report.outcomes[0], STALE);
        assert_eq!(stage.memory.surprises(), [""; 0]);
    }
}

#[test]
fn a_scope_that_moved_between_plan_and_write_is_not_renamed() {
    let world = World::onelogin()
        .made("a")
        .wants_so("b", was("a"))
        .made("c")
        .wants_so("d", was("c"));
    let theirs = |live: &mut Live| {
        live.scopes.get_mut(&name("a")).unwrap().state.description = Some("theirs".to_owned());
    };
    let (stage, report) = run_after(&world, theirs);
    let live: Vec<_> = stage.live.scopes.keys().map(ToString::to_string).collect();
    assert_eq!(live, ["a", "d"]);
    assert!(report.outcomes.contains(&STALE));
}

#[test]
fn a_consumer_that_came_after_the_plan_withholds_the_delete() {
    let world = World::onelogin()
        .made("a")
        .made("b")
        .made("c")
        .wants("b")
        .wants("c");
    let theirs = |live: &mut Live| {
        let list = LiveAppScopes {
            app: client(7),
            name: None,
            scopes: names("a"),
            inherited: names(""),
            allowed: None,
            products: Vec::new(),
            unusable: None,
        };
        live.apps.insert(client(7), LiveApp::Present(list));
    };
    let (stage, report) = run_after(&world, theirs);
    assert!(stage.live.scopes.contains_key(&name("a")));
    assert_eq!(report.outcomes, [STALE]);
    assert_eq!(
        stage.world(&world).says(),
        ["delete a; unmanaged_consumers"]
    );

    let world = World::of(System::Wso2Publisher)
        .made("a")
        .made("b")
        .made("c")
        .wants("b")
        .wants("c");
    let theirs = |live: &mut Live| {
        let scope = live.scopes.get_mut(&name("a")).unwrap();
        scope.consumers = crate::model::Consumers::Usages(2);
    };
    let (stage, report) = run_after(&world, theirs);
    assert!(stage.live.scopes.contains_key(&name("a")));
    assert_eq!(report.outcomes, [STALE]);
}

#[test]
fn a_delete_that_a_reading_shows_not_to_have_been_made_does_not_count() {
    let world = World::onelogin()
        .made("a")
        .made("b")
        .made("c")
        .wants("b")
        .wants("c");
    let loses = |moment: Moment<'_>| match moment {
        Moment::Writing => Act::Lose,
        _ => Act::Go,
    };
    let mut stage = Stage::of(&world);
    let report = run_with(&mut stage, &world, loses).unwrap();
    assert!(matches!(report.outcomes[0], Outcome::Unknown(_)));
    assert_eq!(stage.removals.0.len(), 0);

    // The run was killed before it could look: the next one does.
    let mut stage = Stage::of(&world);
    let mut sent = false;
    let killed = run_with(&mut stage, &world, |moment| match moment {
        Moment::Writing => {
            sent = true;
            Act::Lose
        }
        Moment::Reading if sent => Act::Die,
        _ => Act::Go,
    });
    assert!(killed.is_none());
    assert_eq!(stage.removals.0.len(), 1);
    assert_eq!(
        stage.world(&world).says(),
        ["delete a", "= nothing came of deleteScope", "= not removed"]
    );
    stage.run(&world.clone().wants("a"), false);
    assert_eq!(stage.removals.0.len(), 0);

    // One that was made counts, whatever its answer was.
    let mut stage = Stage::of(&world);
    let report = run_with(&mut stage, &world, |moment| match moment {
        Moment::Written(_) => Act::Lose,
        _ => Act::Go,
    });
    assert!(matches!(report.unwrap().outcomes[0], Outcome::Done { .. }));
    assert_eq!(stage.removals.0.len(), 1);
    assert!(!stage.owned.scopes.contains_key(&name("a")));
}

#[test]
fn a_500_that_made_it_behind_a_list_that_lags_is_created_and_not_matched() {
    for system in [System::OneLogin, System::Wso2ScopeRegistration] {
        let world = World::of(system).wants("a");
        let mut stage = Stage::of(&world);
        let mut made = false;
        let report = run_with(&mut stage, &world, |moment| match moment {
            Moment::Written(_) => {
                made = true;
                Act::Lose
            }
            Moment::Reading if made => Act::Lag(0),
            _ => Act::Go,
        });
        assert!(matches!(report.unwrap().outcomes[0], Outcome::Unknown(_)));
        assert_eq!(stage.world(&world).says(), ["= created a"]);
        stage.run(&world, false);
        assert_eq!(stage.owned.scopes[&name("a")].origin, Created);
        assert_eq!(stage.owned.intents, []);
    }
}

#[test]
fn what_an_earlier_run_sent_and_a_create_finds_is_created() {
    let world = World::onelogin().wants("a");
    let mut stage = Stage::of(&world);
    let killed = run_with(&mut stage, &world, |moment| match moment {
        Moment::Written(_) => Act::Die,
        _ => Act::Go,
    });
    assert!(killed.is_none());
    // The list still lags when the next run is planned, and not when it looks what came of it.
    let lags = Stage::of(&world).live;
    let approved = judge(
        World {
            live: lags,
            ..stage.world(&world)
        }
        .plan(),
        &world,
        stage.removals.clone(),
        false,
    );
    let report = stage.perform(&approved, &world, 1, Script::new(|_| Act::Go));
    assert_eq!(report.unwrap().outcomes, [STALE]);
    assert_eq!(stage.owned.scopes[&name("a")].origin, Created);
}

#[test]
fn what_somebody_else_made_meanwhile_is_matched() {
    let world = World::onelogin().wants("a");
    let theirs = World::onelogin().has("a").live;
    let (stage, report) = run_after(&world, |live| *live = theirs);
    assert_eq!(report.outcomes, [STALE]);
    assert_eq!(stage.owned.scopes[&name("a")].origin, Origin::Matched);
}

#[test]
fn a_grant_of_a_killed_run_never_becomes_foreign() {
    let before = World::wso2()
        .has_so("a", bound_to("r x"))
        .owns_so("a", Created, applied("r"));
    let world = before.clone().wants_so("a", contributed("r s"));
    let mut stage = Stage::keeping(&world, Keeps::AnswersLater);
    let killed = run_with(&mut stage, &world, |moment| match moment {
        Moment::Answered => Act::Die,
        _ => Act::Go,
    });
    assert!(killed.is_none());
    // Another field moves, and the grant is withdrawn.
    stage.memory.edit(|live| {
        live.scopes.get_mut(&name("a")).unwrap().state.description = Some("theirs".to_owned());
    });
    stage.look();
    let world = before.wants_so("a", contributed("r"));
    stage.run_to_the_end(&world);
    let roles = &stage.live.scopes[&name("a")].state.roles;
    assert_eq!(roles[..], ["r", "x"].map(RoleName::new));
}

#[test]
fn an_inventory_that_fails_stops_the_run_and_loses_nothing() {
    let world = World::onelogin().wants("a").wants("b").wants("c");
    for steps in 0..6 {
        for kept in [false, true] {
            let mut stage = Stage::of(&world);
            let approved = stage.judge(&world, false);
            stage.fail_after(steps, kept);
            let report = stage.perform(&approved, &world, 1, Script::new(|_| Act::Go));
            assert!(report.unwrap().error.is_some());
            stage.run_to_the_end(&world);
            let origins = stage.owned.scopes.values().map(|entry| entry.origin);
            assert_eq!(origins.collect::<Vec<_>>(), [Created; 3], "{steps} {kept}");
        }
    }
}
