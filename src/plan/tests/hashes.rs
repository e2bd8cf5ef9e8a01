//! The hash of a change: another for any fact that it covers, and the same whatever else happens on the target.

use std::collections::BTreeSet;

use super::world::*;
use crate::model::Origin::{self, Created};
use crate::model::target::Adoption;
use crate::model::{
    DeletionPolicy, Intent, Lineage, LiveIdentity, ManifestRef, OwnedScope, Record, RoleName,
    ScopeState, SourceFile,
};
use crate::plan::access::Grant;
use crate::plan::change::Change;
use crate::plan::digest::ChangeHash;
use crate::plan::{Mode, TargetPlan};

/// An update with a role that goes, which is also an adoption.
fn world() -> World {
    World::onelogin()
        .wants_so("a", |wanted| wanted.description = Some("other".to_owned()))
        .has("a")
}

fn hashes(world: &World) -> Vec<ChangeHash> {
    world.plan().change_hashes()
}

/// The hash of the change that is about this object.
fn hash(world: &World, name: &str) -> ChangeHash {
    let plan = world.plan();
    let mut names = plan
        .changes
        .iter()
        .map(|planned| planned.object.name.as_str());
    let index = names.position(|other| other == name).unwrap();
    plan.change_hashes().swap_remove(index)
}

#[test]
fn every_field_that_a_hash_covers_changes_it() {
    type Flip = fn(&mut TargetPlan);
    fn entry(plan: &mut TargetPlan) -> &mut OwnedScope {
        match &mut plan.changes[0].record {
            Record::Scope { entry, .. } => entry,
            other => panic!("{other:?}"),
        }
    }
    fn intent(
        plan: &mut TargetPlan,
    ) -> (&mut ScopeState, &mut OwnedScope, &mut BTreeSet<RoleName>) {
        match &mut plan.changes[0].intent {
            Some(Intent::UpdateScope { state, entry, adds }) => (state, entry, adds),
            other => panic!("{other:?}"),
        }
    }
    fn states(plan: &mut TargetPlan) -> (&mut ScopeState, &mut ScopeState) {
        match &mut plan.changes[0].change {
            Change::UpdateScope { before, after, .. } => (before, after),
            other => panic!("{other:?}"),
        }
    }
    fn grant() -> Grant {
        Grant {
            subject: "app shop".to_owned(),
            scope: "a".to_owned(),
        }
    }
    #[rustfmt::skip]
    let flips: [(&str, Flip); 30] = [
        ("mode", |p| p.mode = Mode::Apply),
        ("identity", |p| p.identity = Some(LiveIdentity::new("somewhere else"))),
        ("id", |p| match &mut p.changes[0].change {
            Change::UpdateScope { id, .. } => *id = None,
            other => panic!("{other:?}"),
        }),
        ("name before", |p| states(p).0.name = name("another")),
        ("description before", |p| states(p).0.description = None),
        ("display name before", |p| states(p).0.display_name = Some("another".to_owned())),
        ("roles before", |p| states(p).0.roles = vec![RoleName::new("r")]),
        ("name after", |p| states(p).1.name = name("another")),
        ("description after", |p| states(p).1.description = None),
        ("display name after", |p| states(p).1.display_name = Some("another".to_owned())),
        ("roles after", |p| states(p).1.roles = vec![RoleName::new("r")]),
        ("a fact", |p| p.changes[0].facts.extend(["one more".to_owned()])),
        ("a gain", |p| p.changes[0].access.gains.extend([grant()])),
        ("a loss", |p| p.changes[0].access.losses.extend([grant()])),
        ("origin before", |p| p.changes[0].origin = Some(Origin::Matched)),
        ("no intent", |p| p.changes[0].intent = None),
        ("what is sent", |p| intent(p).0.description = None),
        ("what is sent of the entry", |p| intent(p).1.protected = true),
        ("what is added", |p| intent(p).2.extend([RoleName::new("r")])),
        ("origin after", |p| entry(p).origin = Origin::Created),
        ("recorded id", |p| entry(p).remote_id = Some(id("another"))),
        ("policy", |p| entry(p).deletion_policy = DeletionPolicy::Orphan),
        ("protection", |p| entry(p).protected = true),
        ("recorded name", |p| entry(p).applied.display_name = Some("another".to_owned())),
        ("recorded description", |p| entry(p).applied.description = Some("another".to_owned())),
        ("recorded roles", |p| entry(p).applied.roles = Some([(RoleName::new("r"), [].into())].into())),
        ("hold", |p| entry(p).hold_until = Some(now())),
        ("former names", |p| entry(p).renamed_from = names("another")),
        ("a rule less", |p| p.changes[0].refusals.clear()),
        ("a limit", |p| p.changes[0].refusals[0].limit = Some(7)),
    ];
    let plan = world().plan();
    let mut hashes: BTreeSet<ChangeHash> = plan.change_hashes().into_iter().collect();
    for (what, flip) in flips {
        let mut flipped = plan.clone();
        flip(&mut flipped);
        assert!(hashes.insert(flipped.change_hashes().remove(0)), "{what}");
    }
}

#[test]
fn what_is_elsewhere_or_only_for_people_changes_no_hash() {
    let plan = world().plan();
    let (before, mut other) = (plan.change_hashes(), plan);
    other.writes += 1;
    // An inventory that only starts has no lineage before its first write.
    other.lineage = Some(Lineage::new("made meanwhile"));
    other.held.clear();
    other.changes[0].remark = Some("a remark".to_owned());
    other.changes[0].manifest = None;
    other.changes[0].depends_on = [9].into();
    assert_eq!(other.change_hashes(), before);
    let drifted = world().has("unmanaged").made("b").wants_so("b", |wanted| {
        wanted.description = Some("drift elsewhere".to_owned());
    });
    assert!(hashes(&drifted).contains(&before[0]));
    let moved = world().wants_so("a", |wanted| {
        wanted.description = Some("other".to_owned());
        wanted.source.file = SourceFile::new("here/other.yaml");
    });
    assert_eq!(hashes(&moved), before);
    // Whoever binds a role to it is said where the role is.
    let roles = |file: &str| {
        let by = ManifestRef::from(SourceFile::new(file));
        let world = World::wso2().wants_so("a", |wanted| {
            wanted.roles.entries = [(RoleName::new("r"), [by].into())].into();
        });
        hashes(&world)
    };
    assert_eq!(roles("here/a.yaml"), roles("here/b.yaml"));
}

#[test]
fn a_sibling_that_was_made_changes_no_hash() {
    // The list gives up `gone`, which then goes; another scope is made, and one is renamed.
    let before = World::onelogin()
        .made("gone")
        .made("kept")
        .wants("kept")
        .wants("new")
        .made("old")
        .wants_so("moved", was("old"))
        .has_app(&client(1), "gone kept old")
        .owns_app(&client(1), "gone kept old")
        .wants_app(&client(1), "kept moved");
    let list_made = before
        .clone()
        .has_app(&client(1), "kept old")
        .owns_app(&client(1), "kept old");
    assert_eq!(hash(&before, "gone"), hash(&list_made, "gone"));
    assert_eq!(list_made.says()[0], "rename old to moved");
    let mut new_made = before.clone().made("new");
    new_made.owned.record(Record::Write);
    assert_eq!(hash(&before, "gone"), hash(&new_made, "gone"));
    assert_eq!(
        hash(&before, &client(1).path()),
        hash(&new_made, &client(1).path())
    );
    let mut renamed = before.clone();
    let live = renamed.live.scopes.remove(&name("old")).unwrap();
    renamed = renamed
        .has_so("moved", |scope| {
            *scope = live;
            scope.state.name = name("moved");
        })
        .has_app(&client(1), "gone kept moved")
        .owns_app(&client(1), "gone kept moved");
    renamed.owned.scopes.remove(&name("old"));
    let renamed = renamed.owns_so("moved", Created, |entry| entry.remote_id = Some(id("old")));
    assert_eq!(
        hash(&before, &client(1).path()),
        hash(&renamed, &client(1).path())
    );
    // Whoever else uses it is another matter.
    let used = list_made.has_app(&client(2), "gone");
    assert_ne!(hash(&before, "gone"), hash(&used, "gone"));
}

#[test]
fn what_an_empty_list_stands_for_is_covered_and_so_is_what_becomes_adopted() {
    let narrowed = |allowed| {
        let world = World::apigee().has_key(&key("k"), "", allowed);
        world.owns_app(&key("k"), "").wants_app(&key("k"), "r")
    };
    assert_ne!(hashes(&narrowed("r w")), hashes(&narrowed("r w x")));
    let adopted = world().adoption(Adoption::Always);
    assert_ne!(hashes(&adopted), hashes(&world()));
}
