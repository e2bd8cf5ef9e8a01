//! What keeps a planned change from being sent: it is not wanted any more, the run has done its share, the right to write
//! runs out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::stage::Stage;
use super::trouble::{Act, Moment, Script};
use crate::apply::{Outcome, Slice, TargetReport};
use crate::inventory::fence::{FenceKeeper, Moment as Point};
use crate::model::{ScopeName, System};
use crate::plan::digest::ChangeHash;
use crate::plan::tests::world::*;
use crate::plan::{Failure, SkipReason};

static NONE_FAILED: BTreeMap<ChangeHash, Failure> = BTreeMap::new();

fn run(
    stage: &mut Stage,
    world: &World,
    script: impl FnMut(Moment<'_>) -> Act + Send,
) -> TargetReport {
    let approved = stage.judge(world, false);
    let report = stage.perform(&approved, world, 1, Script::new(script));
    report.unwrap()
}

const fn skipped(reason: SkipReason) -> Outcome {
    Outcome::Skipped(reason)
}

#[test]
fn what_is_not_wanted_any_more_is_not_sent_and_leaves_nothing_behind() {
    let world = World::onelogin().wants("a").wants("b");
    for chunk in [1, 2] {
        let mut stage = Stage::of(&world);
        stage.store().in_chunks_of(chunk);
        stage.still_wanted =
            Box::new(|planned| (planned.object.name == "a").then_some(SkipReason::Stale));
        let report = run(&mut stage, &world, |_| Act::Go);
        assert_eq!(report.outcomes[0], skipped(SkipReason::Stale));
        assert!(matches!(report.outcomes[1], Outcome::Done { .. }));
        assert!(!stage.live.scopes.contains_key(&name("a")));
        assert_eq!(stage.owned.intents, []);
        assert_eq!(stage.store().audit().len(), 1);
    }
}

#[test]
fn what_is_over_a_slice_is_left_to_the_next_run() {
    let world = World::of(System::Wso2Publisher)
        .made("d")
        .wants("a")
        .wants("b")
        .wants("c")
        .wants_so("d", |d| d.description = Some("new".to_owned()));
    for chunk in [1, 50] {
        let mut stage = Stage::of(&world);
        stage.store().in_chunks_of(chunk);
        stage.slice = Some(Slice {
            max_changes: 2,
            max_time: Duration::from_mins(1),
            failed: &NONE_FAILED,
        });
        let report = run(&mut stage, &world, |_| Act::Go);
        let over = |outcome: &&Outcome| **outcome == skipped(SkipReason::NextSlice);
        assert_eq!(report.outcomes.iter().filter(over).count(), 2);
        assert_eq!((report.writes, report.converged), (2, Some(true)));
        // What is there already does not wait for all that is new.
        let edited = &stage.live.scopes[&name("d")];
        assert_eq!(edited.state.description.as_deref(), Some("new"));
        stage.run_to_the_end(&world);
        assert_eq!(stage.live.scopes.len(), 4);
    }
}

#[test]
fn what_failed_in_a_slice_before_lets_the_others_go_on() {
    let world = World::onelogin().wants("a").wants("b").made("gone");
    let mut stage = Stage::of(&world);
    let plan = stage.world(&world).plan();
    let hashes = plan.change_hashes().into_iter();
    let of_a = hashes.zip(&plan.changes);
    let of_a = of_a.filter(|(_, planned)| planned.object.name == "a");
    let why = Failure {
        reason: "refused",
        status: None,
        message: "no".to_owned(),
        help: None,
    };
    // A test ends soon enough.
    let failed = Box::leak(Box::new(
        of_a.map(|(hash, _)| (hash, why.clone())).collect(),
    ));
    stage.slice = Some(Slice {
        max_changes: 2,
        max_time: Duration::from_mins(1),
        failed,
    });
    let report = run(&mut stage, &world, |_| Act::Go);
    assert_eq!(report.writes, 2);
    assert!(matches!(&report.outcomes[0], Outcome::Failed(failure) if failure.message == "no"));
    let live: Vec<&str> = stage.live.scopes.keys().map(ScopeName::as_str).collect();
    assert_eq!(live, ["b"]);
}

#[test]
fn a_slice_that_has_no_time_sends_nothing() {
    let world = World::onelogin().wants("a");
    let mut stage = Stage::of(&world);
    stage.slice = Some(Slice {
        max_changes: 2,
        max_time: Duration::ZERO,
        failed: &NONE_FAILED,
    });
    let report = run(&mut stage, &world, |_| Act::Go);
    assert_eq!(report.outcomes, [skipped(SkipReason::NextSlice)]);
    assert_eq!(report.writes, 0);
}

#[test]
fn no_write_starts_in_the_last_second_of_the_right_to_write() {
    let world = World::onelogin().wants("a").wants("b");
    let mut stage = Stage::of(&world);
    let keeper = FenceKeeper::default();
    keeper.hold_until(Point::now().plus(Duration::from_millis(900)));
    stage.fence = keeper.fence();
    let report = run(&mut stage, &world, |_| Act::Go);
    assert_eq!(report.writes, 0);
    assert_eq!(
        report.outcomes,
        [const { skipped(SkipReason::Interrupted) }; 2]
    );
    assert!(report.error.unwrap().message.contains("ran out"));
    assert_eq!(stage.owned.intents, []);
}

#[test]
fn what_is_in_flight_when_the_right_to_write_ends_is_dropped_and_its_intent_stays_open() {
    let world = World::onelogin()
        .made("a")
        .made("b")
        .made("c")
        .wants("b")
        .wants("c");
    let mut stage = Stage::of(&world);
    let keeper = FenceKeeper::default();
    keeper.hold_until(Point::now().plus(Duration::from_mins(1)));
    stage.fence = keeper.fence();
    let report = run(&mut stage, &world, |moment| match moment {
        Moment::Written(_) => {
            keeper.close();
            // Its answer never comes.
            Act::Die
        }
        _ => Act::Go,
    });
    assert!(matches!(report.outcomes[0], Outcome::Unknown(_)));
    assert!(report.error.is_some());
    assert_eq!(stage.owned.intents.len(), 1);
    assert_eq!(stage.removals.0.len(), 1);
    stage.fence = crate::inventory::Fence::default();
    stage.run_to_the_end(&world);
    assert_eq!(stage.owned.intents, []);
}
