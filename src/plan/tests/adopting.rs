//! What `adopt` takes, from whom, and what it never lowers.

use super::world::*;
use crate::model::{Covered, Origin, Record, Source, SourceFile};
use crate::plan::adopt::{AdoptOutcome, Chosen, adopt};

/// What becomes of the only declared object, chosen so.
fn adopted(world: &World, chosen: Chosen) -> AdoptOutcome {
    let chosen = |_: &Source| Some(chosen);
    let mut choices = adopt(
        &world.desired,
        &world.live,
        &world.owned,
        &world.options.coverage,
        &chosen,
    );
    assert_eq!(choices.len(), 1);
    choices.remove(0).outcome
}

fn held_elsewhere() -> World {
    World::onelogin()
        .wants("a")
        .has("a")
        .owns_so("a", Origin::Created, |entry| {
            entry.source.file = SourceFile::new(THERE);
            entry.protected = true;
            entry.hold_until = Some(in_hours(5));
        })
}

#[test]
fn what_another_manifest_holds_is_taken_only_where_it_is_named() {
    let world = held_elsewhere();
    let left = adopted(&world, Chosen::All);
    assert!(matches!(left, AdoptOutcome::Left(why) if why.contains(THERE)));
    let AdoptOutcome::Taken { from, .. } = adopted(&world, Chosen::Named) else {
        panic!("it is named");
    };
    assert_eq!(from.map(|from| from.file), Some(SourceFile::new(THERE)));
}

#[test]
fn adopting_never_lowers_protection_or_a_hold() {
    for world in [
        held_elsewhere(),
        World::onelogin()
            .wants("a")
            .has("a")
            .owns_so("a", Origin::Created, |entry| {
                entry.protected = true;
                entry.hold_until = Some(in_hours(5));
            }),
    ] {
        let AdoptOutcome::Taken { record, .. } = adopted(&world, Chosen::Named) else {
            panic!("it is live");
        };
        let Record::Scope { entry, .. } = *record else {
            panic!("it is a scope");
        };
        assert!(entry.protected);
        assert_eq!(entry.hold_until, Some(in_hours(5)));
        assert_eq!(entry.origin, Origin::Adopted);
    }
}

#[test]
fn what_was_adopted_is_not_adopted_again() {
    let mut world = World::onelogin().wants("a").has("a");
    let AdoptOutcome::Taken { record, from: None } = adopted(&world, Chosen::All) else {
        panic!("nobody holds it");
    };
    world.owned.record(*record);
    assert_eq!(adopted(&world, Chosen::All), AdoptOutcome::Unchanged);
}

#[test]
fn what_a_manifest_held_that_is_gone_is_adopted_with_all_others() {
    let world = held_elsewhere().options(|options| {
        let gone = (SourceFile::new(THERE), Covered::Gone);
        options.coverage = [gone].into_iter().collect();
    });
    let taken = adopted(&world, Chosen::All);
    assert!(matches!(taken, AdoptOutcome::Taken { from: None, .. }));
}
