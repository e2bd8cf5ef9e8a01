//! Targets beside each other.

use super::world::World;
use crate::model::target::{AuthorizationServer, Endpoint, Target};
use crate::model::{LiveIdentity, Owned, TargetId};
use crate::plan::targets::{Sight, orphans, shared, with_unread_twins};

fn target(name: &str, server: AuthorizationServer) -> Target {
    let mut target = (*World::onelogin().desired.target).clone();
    target.id.name = name.to_owned();
    if let Endpoint::OneLogin { server: of, .. } = &mut target.endpoint {
        *of = server;
    }
    target
}

fn by_id(name: &str) -> Target {
    target(name, AuthorizationServer::Id(1))
}

fn by_identifier(name: &str) -> Target {
    let identifier = "https://api.acme.com".to_owned();
    target(name, AuthorizationServer::ResourceIdentifier(identifier))
}

fn sight<'a>(target: &'a Target, identity: Option<&'a LiveIdentity>, is_read: bool) -> Sight<'a> {
    Sight {
        target,
        identity,
        is_read,
    }
}

fn names(targets: impl IntoIterator<Item = TargetId>) -> Vec<String> {
    targets.into_iter().map(|id| id.name).collect()
}

#[test]
fn two_targets_that_turn_out_to_be_one_place_share_it_whether_both_were_read_or_not() {
    let (a, b, c) = (by_id("a"), by_identifier("b"), by_id("c"));
    let (one, other) = (LiveIdentity::new("one"), LiveIdentity::new("other"));
    for is_read in [true, false] {
        let sights = [
            sight(&b, Some(&one), true),
            sight(&a, Some(&one), is_read),
            sight(&c, Some(&other), true),
        ];
        let shared = shared(&sights);
        assert_eq!(shared.len(), 1);
        assert_eq!(names(shared[&one].clone()), ["a", "b"]);
    }
}

#[test]
fn a_target_that_was_not_read_may_be_any_other_of_its_account_that_goes_by_id() {
    let (a, b) = (by_id("a"), by_identifier("b"));
    let one = LiveIdentity::new("one");
    let unread = [sight(&a, Some(&one), true), sight(&b, None, false)];
    assert_eq!(names(with_unread_twins(&unread)), ["a"]);
    let other = LiveIdentity::new("other");
    let read = [sight(&a, Some(&one), true), sight(&b, Some(&other), true)];
    assert!(with_unread_twins(&read).is_empty());
    let elsewhere = Target {
        endpoint: Endpoint::OneLogin {
            url: "https://other.example.com".parse().unwrap(),
            server: AuthorizationServer::Id(1),
        },
        ..by_id("a")
    };
    let apart = [sight(&elsewhere, Some(&one), true), sight(&b, None, false)];
    assert!(with_unread_twins(&apart).is_empty());
}

#[test]
fn what_is_ours_where_no_target_leads_is_told_only_when_all_of_them_were_read() {
    let a = by_id("a");
    let (one, gone) = (LiveIdentity::new("one"), LiveIdentity::new("gone"));
    let world = World::onelogin().made("s");
    let empty = Owned::default();
    let known = || [(&one, &a.id, &world.owned), (&gone, &a.id, &world.owned)];
    let left = orphans(&[sight(&a, Some(&one), true)], known());
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0].identity, left[0].objects), (&gone, 1));
    assert!(orphans(&[sight(&a, Some(&one), false)], known()).is_empty());
    assert!(orphans(&[], [(&gone, &a.id, &empty)]).is_empty());
}
