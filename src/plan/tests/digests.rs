//! The digest of a plan: the same for the same changes, another for any other fact that it covers.

use std::collections::BTreeSet;

use super::world::*;
use crate::model::Origin::Created;
use crate::model::target::Adoption;
use crate::model::{
    Consumers, DeletionPolicy, Lineage, LiveIdentity, Origin, OwnedScope, Record, RoleName,
    SourceFile,
};
use crate::plan::digest::Digest;
use crate::plan::{Mode, Plan, TargetPlan};

/// A plan with a change of most kinds.
fn world() -> World {
    World::onelogin()
        .wants("new")
        .wants_so("changed", |s| s.description = Some("other".to_owned()))
        .made("changed")
        .wants_so("moved", was("old"))
        .made("old")
        .made("gone")
        .wants("kept")
        .made("kept")
        .has_app(&client(1), "gone kept")
        .owns_app(&client(1), "gone kept")
        .wants_app(&client(1), "kept new")
        .wants_app(&client(2), "kept")
}

#[test]
fn the_same_world_has_the_same_digest() {
    let (one, other) = (world().plan(), world().plan());
    assert_eq!(one.changes.len(), 6);
    assert_eq!(one, other);
    assert_eq!(one.digest(), other.digest());
}

#[test]
fn the_order_of_what_comes_in_does_not_matter() {
    let mut turned = world();
    turned.desired.apps.reverse();
    assert_eq!(turned.plan().changes, world().plan().changes);
    assert_eq!(turned.plan().digest(), world().plan().digest());
}

#[test]
fn what_is_no_part_of_the_changes_does_not_matter() {
    let quiet = [
        world().options(|options| options.now = in_hours(5)),
        world().has("unmanaged"),
        world().options(|options| {
            options.coverage = coverage("here/all.yaml");
        }),
    ];
    for other in quiet {
        assert_eq!(other.plan().digest(), world().plan().digest());
    }
}

#[test]
fn every_covered_fact_changes_the_digest() {
    let mut others = vec![
        world().mode(Mode::Apply),
        world().wants("one more"),
        world()
            .unwants("new")
            .wants_so("new", |s| s.description = Some("other".to_owned())),
        world().unwants("changed"),
        world().wants_so("changed", |s| s.description = Some("another".to_owned())),
        world().has_so("changed", |s| {
            s.state.description = Some("drifted".to_owned());
        }),
        world().has_so("old", |s| s.state.description = Some("drifted".to_owned())),
        world().has_so("gone", |s| s.state.description = Some("drifted".to_owned())),
        world().has_app(&client(1), "gone kept old"),
        world().has_app(&client(9), "gone"),
        world().has_app_so(&client(1), "gone kept", |app| app.inherited = names("i")),
    ];
    let mut identity = world();
    identity.live.identity = LiveIdentity::new("somewhere else");
    let mut writes = world();
    writes.owned.record(Record::Write);
    let mut id = world();
    let other_id = crate::model::RemoteId::new("other id");
    id = id.has_so("changed", |s| s.remote_id = Some(other_id.clone()));
    id = id.owns_so("changed", Created, |e| e.remote_id = Some(other_id));
    others.extend([identity, writes, id]);

    let mut digests: BTreeSet<Digest> = others.iter().map(|w| w.plan().digest()).collect();
    assert_eq!(digests.len(), others.len(), "two of them are the same");
    assert!(digests.insert(world().plan().digest()));
}

#[test]
fn every_field_that_a_digest_covers_changes_it() {
    type Flip = fn(&mut TargetPlan);
    fn entry(plan: &mut TargetPlan) -> &mut OwnedScope {
        match &mut plan.changes[0].record {
            Record::Scope { entry, .. } => entry,
            other => panic!("{other:?}"),
        }
    }
    #[rustfmt::skip]
    let flips: [(&str, Flip); 19] = [
        ("mode", |p| p.mode = Mode::Apply),
        ("identity", |p| p.identity = Some(LiveIdentity::new("somewhere else"))),
        ("lineage", |p| p.lineage = Some(Lineage::new("another"))),
        ("writes", |p| p.writes += 1),
        ("a change less", |p| drop(p.changes.pop())),
        ("a fact", |p| p.changes[0].facts.extend(["one more".to_owned()])),
        ("a gain", |p| drop(p.access.gains.pop_first())),
        ("a loss", |p| drop(p.access.losses.pop_first())),
        ("what is held", |p| drop(p.held.pop())),
        ("origin", |p| entry(p).origin = Origin::Adopted),
        ("id", |p| entry(p).remote_id = Some(id("another"))),
        ("policy", |p| entry(p).deletion_policy = DeletionPolicy::Orphan),
        ("protection", |p| entry(p).protected = true),
        ("display name", |p| entry(p).applied.display_name = Some("another".to_owned())),
        ("description", |p| entry(p).applied.description = Some("another".to_owned())),
        ("roles", |p| entry(p).applied.roles = Some([(RoleName::new("r"), [].into())].into())),
        ("all roles", |p| entry(p).applied.all_roles ^= true),
        ("hold", |p| entry(p).hold_until = Some(now())),
        ("former names", |p| entry(p).renamed_from = names("another")),
    ];
    let mut plan = world().wants("found").has("found").plan();
    plan.writes = 1;
    let mut digests = BTreeSet::from([plan.digest()]);
    for (what, flip) in flips {
        let mut flipped = plan.clone();
        flip(&mut flipped);
        assert!(digests.insert(flipped.digest()), "{what}");
    }
}

#[test]
fn where_and_when_a_plan_is_made_changes_no_digest() {
    let vanished = || world().owns("vanished", Created);
    let later = vanished().options(|options| options.now = in_hours(1));
    assert_eq!(vanished().plan().digest(), later.plan().digest());
    let moved = vanished().wants_so("new", |s| s.source.file = SourceFile::new("here/b.yaml"));
    assert_eq!(vanished().plan().digest(), moved.plan().digest());
}

#[test]
fn what_a_stopped_run_learns_changes_no_digest() {
    let mut world = world().wants("found").has("found");
    world.owned.known = false;
    let (before, plan) = (world.plan().digest(), world.plan());
    for record in plan.records {
        world.owned.record(record);
    }
    world.owned.lineage = Some(Lineage::new("made meanwhile"));
    assert_eq!(world.plan().digest(), before);
}

#[test]
fn what_becomes_adopted_is_another_plan_than_what_is_matched() {
    let found = || world().wants("found").has("found");
    let always = found().adoption(Adoption::Always);
    assert_eq!(always.plan().changes, found().plan().changes);
    assert_ne!(always.plan().digest(), found().plan().digest());
}

#[test]
fn the_roles_and_the_products_of_a_change_are_covered() {
    let roles = |live: &'static str| {
        World::wso2()
            .wants_so("a", bindings("r"))
            .has_so("a", bound_to(live))
            .owns_so("a", Created, applied("r s t"))
            .plan()
            .digest()
    };
    assert_ne!(roles("r s"), roles("r t"));
    let allowed = |allowed| {
        World::apigee()
            .has_key(&key("k"), "r", allowed)
            .owns_app(&key("k"), "r")
            .wants_app(&key("k"), "r w")
            .plan()
            .digest()
    };
    assert_ne!(allowed("r w"), allowed("r w x"));
    let usages = |count| {
        World::of(crate::model::System::Wso2Publisher)
            .has_so("a", |live| live.consumers = Consumers::Usages(count))
            .owns("a", Created)
            .plan()
            .digest()
    };
    assert_ne!(usages(0), usages(1));
}

#[test]
fn a_precondition_covers_the_state_before_and_the_facts() {
    let precondition = |world: World| world.plan().changes[0].precondition();
    let update = |description: &str| {
        let wanted = description.to_owned();
        World::onelogin()
            .wants_so("a", |s| s.description = Some(wanted))
            .made("a")
    };
    // What is wanted is no precondition.
    assert_eq!(precondition(update("x")), precondition(update("y")));
    let moved = update("x").has_so("a", |s| s.state.description = Some("moved".to_owned()));
    assert_ne!(precondition(update("x")), precondition(moved));
    let delete = || World::wso2().made("a");
    let bound = delete().has_so("a", |s| s.state.roles = vec![RoleName::new("r")]);
    assert_ne!(precondition(delete()), precondition(bound));
}

#[test]
fn the_top_digest_is_over_all_targets() {
    let plan = |worlds: &[World]| Plan {
        mode: Mode::Sync,
        paths: Vec::new(),
        targets: worlds.iter().map(World::plan).collect(),
    };
    let one = plan(&[world()]).digest();
    assert_ne!(one, plan(&[world(), World::wso2()]).digest());
    assert_ne!(one, world().plan().digest());
    assert_ne!(one, plan(&[]).digest());
}

#[test]
fn a_digest_is_read_as_it_is_written() {
    let digest = world().plan().digest();
    assert_eq!(Digest::parse(digest.as_str()), Ok(digest.clone()));
    let upper = digest.as_str().replace("sha256:", "SHA256:");
    let long = format!("{digest}0");
    let short = &digest.as_str()[..70];
    for wrong in ["", "sha256:", &upper, &long, short, &"x".repeat(71)] {
        assert!(Digest::parse(wrong).is_err(), "{wrong}");
    }
}
