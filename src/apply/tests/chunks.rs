//! Changes that are prepared together: kept before any of them is sent, and taken back where they are not sent.

use super::stage::Stage;
use super::trouble::{Act, Moment, Script};
use crate::apply::{Outcome, TargetReport};
use crate::model::{LiveApp, System};
use crate::plan::SkipReason;
use crate::plan::tests::world::*;

/// Plans and runs once in chunks, and says what happened when.
fn run_in_chunks(
    stage: &mut Stage,
    world: &World,
    chunk: usize,
    mut script: impl FnMut(Moment<'_>) + Send,
) -> (TargetReport, Vec<&'static str>) {
    stage.store().in_chunks_of(chunk);
    let approved = stage.judge(world, false);
    let mut story = Vec::new();
    let report = {
        let script = Script::new(|moment| {
            match moment {
                Moment::Keeping => story.push("keep"),
                Moment::Writing => story.push("send"),
                _ => {}
            }
            script(moment);
            Act::Go
        });
        stage.perform(&approved, world, 1, script)
    };
    (report.unwrap(), story)
}

/// Two keys of an app on Apigee, where each is looked at before its own write, which takes a scope from both.
fn two_keys() -> World {
    let app = |k: &str| key(k);
    World::of(System::ApigeeX)
        .has_key(&app("k"), "a b", "a b c")
        .has_key(&app("l"), "a b", "a b c")
        .owns_app(&app("k"), "a b")
        .owns_app(&app("l"), "a b")
        .wants_app(&app("k"), "a")
        .wants_app(&app("l"), "a")
}

#[test]
fn a_chunk_is_kept_before_any_of_it_is_sent_and_the_next_one_follows() {
    let world = World::onelogin().wants("a").wants("b").wants("c");
    let mut stage = Stage::of(&world);
    let (report, story) = run_in_chunks(&mut stage, &world, 2, |_| {});
    // What was learned; two writes and their answers; one; what the last reading says.
    let expected = [
        "keep", "keep", "send", "keep", "send", "keep", "keep", "send", "keep", "keep",
    ];
    assert_eq!(story, expected);
    assert_eq!(report.writes, 3);
    assert_eq!(stage.owned.scopes.len(), 3);
}

#[test]
fn what_moved_after_it_was_prepared_is_taken_back() {
    let world = two_keys();
    let mut stage = Stage::of(&world);
    let memory = stage.memory.clone();
    let mut moved = false;
    let (report, _) = run_in_chunks(&mut stage, &world, 2, |moment| {
        if matches!(moment, Moment::Writing) && !std::mem::replace(&mut moved, true) {
            memory.edit(|live| {
                let Some(LiveApp::Present(list)) = live.apps.get_mut(&key("l")) else {
                    panic!("it is there");
                };
                list.scopes.insert(name("c"));
            });
        }
    });
    assert!(matches!(report.outcomes[0], Outcome::Done { .. }));
    assert_eq!(report.outcomes[1], Outcome::Skipped(SkipReason::Stale));
    assert_eq!(stage.memory.surprises(), [""; 0]);
    assert_eq!(stage.removals.0.len(), 1);
    assert_eq!(stage.owned.intents, []);
    assert_eq!(stage.store().audit().len(), 1);
}

#[test]
fn an_interrupt_takes_back_what_was_prepared_and_not_sent() {
    let world = World::onelogin().wants("a").wants("b").wants("c");
    let mut stage = Stage::of(&world);
    let interrupt = stage.interrupt.clone();
    let (report, _) = run_in_chunks(&mut stage, &world, 3, |moment| {
        if matches!(moment, Moment::Writing) {
            interrupt.cancel();
        }
    });
    let skipped = Outcome::Skipped(SkipReason::Interrupted);
    assert!(matches!(report.outcomes[0], Outcome::Done { .. }));
    assert_eq!(report.outcomes[1..], [skipped.clone(), skipped]);
    assert_eq!(stage.owned.intents, []);
    assert_eq!(stage.store().audit().len(), 1);
}

#[test]
fn a_chunk_that_cannot_be_kept_is_not_sent() {
    let world = World::onelogin().wants("a").wants("b").wants("c");
    let mut stage = Stage::of(&world);
    stage.fail_after(0, true);
    let (report, story) = run_in_chunks(&mut stage, &world, 3, |_| {});
    assert!(report.error.is_some());
    assert!(!story.contains(&"send"));
    assert_eq!(report.writes, 0);
}
