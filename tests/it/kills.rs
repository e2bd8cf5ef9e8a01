//! Runs that end before they are done: killed at any call, or interrupted.
//!
//! What has to hold whatever the moment: the next run finishes the work, nothing is lost and nothing is there twice, the
//! inventory says the same as after a run that nobody disturbed, and the run after that writes nothing.

use std::fs;

use crate::support::busy::{Busy, SYSTEMS, second_manifests};
use crate::support::*;

#[test]
fn what_a_run_made_is_in_the_inventory_when_it_ends() {
    let case = Case::of([one_login("")]);
    case.write("a.yaml", scope("onelogin", "a", "description: A"));
    case.first_sync();
    assert_eq!(case.owned(), ["a created"]);
    assert!(
        !case
            .path()
            .join(".scopeward/inventory.json.journal")
            .exists()
    );
}

/// Kills a sync at every `step`-th call that each system gets.
fn killed_everywhere(in_flight: u32, when: &str, first: u64, step: usize) {
    let busy = Busy::new(in_flight);
    for (system, requests) in &busy.requests_of {
        for number in (first..*requests).step_by(step) {
            busy.held_at(system, number, when).kill();
            busy.case.wait_until_let_go();
            busy.case.heal();
            let what = format!("killed at call {number} of {system}, {when} its effect");
            busy.finish(&what);
        }
    }
}

#[test]
fn a_run_killed_before_any_call_is_finished_by_the_next() {
    killed_everywhere(1, "before", 0, 1);
}

#[test]
fn a_run_killed_after_any_call_is_finished_by_the_next() {
    killed_everywhere(1, "after", 0, 1);
}

#[test]
fn a_run_with_many_calls_in_flight_may_be_killed_at_any() {
    killed_everywhere(8, "after", 0, 3);
    killed_everywhere(8, "before", 1, 3);
}

/// Interrupts a sync that is held at a call, and lets the call go on.
#[test]
fn an_interrupted_run_finishes_its_calls_and_says_what_is_left() {
    let busy = Busy::new(1);
    for number in (0..busy.requests).step_by(5) {
        for when in ["before", "after"] {
            let what = format!("interrupted at call {number}, held {when} its effect");
            let mut running = busy.held(number, when);
            running.interrupt();
            running.wait_for_stderr("interrupted: finishing the calls in flight");
            busy.case.heal();
            let ran = running.finish();
            let writes = busy.case.writes();
            let expected = if writes == 0 { FAILED } else { PARTIAL };
            // Whoever interrupts the last readings finds all done that was to be done.
            assert_eq!(ran.code, Some(expected), "{what}, {writes} writes\n{ran}");
            let ran = ran.says("Interrupted.");
            let done = ran
                .changes()
                .iter()
                .filter(|change| change.ends_with(" done"))
                .count();
            assert_eq!(done as u64, writes, "{what}\n{ran}");
            busy.finish(&what);
        }
    }
}

#[test]
fn a_second_interrupt_ends_a_run_at_once() {
    let busy = Busy::new(1);
    let mut running = busy.held(busy.requests / 2, "before");
    running.interrupt();
    running.wait_for_stderr("interrupted: finishing the calls in flight");
    running.interrupt();
    // The call is held still: nothing but the interrupt can have ended the run.
    let ran = running.finish();
    assert_eq!(ran.code, Some(130), "{ran}");
    busy.case.heal();
    busy.finish("interrupted twice");
}

#[test]
fn what_a_killed_run_made_is_ours_and_goes_with_its_manifest() {
    let busy = Busy::new(4);
    for number in (10..busy.requests).step_by(9) {
        let what = format!("killed at call {number}");
        busy.held(number, "after").kill();
        busy.case.heal();
        busy.case.sync(&[]).exits(DONE);
        for file in ["onelogin.yaml", "wso2.yaml", "publisher.yaml"] {
            busy.case.rename(file, &format!("aside/{file}"));
        }
        // What is left to be declared: the targets and the keys.
        let _ = fs::remove_dir_all(busy.case.path().join(".aside"));
        fs::rename(
            busy.case.path().join("aside"),
            busy.case.path().join(".aside"),
        )
        .unwrap();
        let ran = busy.case.sync(&[]);
        assert_eq!(ran.code, Some(DONE), "{what}\n{ran}");
        for system in &SYSTEMS[..3] {
            let left: &[&str] = match *system {
                "onelogin" => &["kept", "theirs"],
                _ => &["theirs"],
            };
            assert_eq!(busy.case.scopes_of(system), left, "{what}: {system}\n{ran}");
        }
        second_manifests(&busy.case);
    }
}
