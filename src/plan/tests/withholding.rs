//! Thresholds that withhold removals instead of stopping the target: whose removals, what goes on, and what growth meanwhile
//! does not change (safety, section 7).

use super::guard::{past, rules};
use super::world::*;
use crate::model::Origin::Created;
use crate::model::{Counted, ManifestRef, Measure, Populations, Removals, SourceFile};
use crate::plan::guard::{Approvals, ApprovedPlan, ApprovedTarget, Limits, OnThreshold};
use crate::plan::{Mode, Plan, Rule, SkipReason};

/// Adds `owned` scopes of a team's, the first `gone` of which no manifest declares.
pub(super) fn team(mut world: World, team: &str, owned: usize, gone: usize) -> World {
    for n in 0..owned {
        let scope = format!("{team}:{n:02}");
        world = world.has(&scope);
        world = world.owns_so(&scope, Created, |entry| {
            entry.source.namespace = team.to_owned();
        });
        if n >= gone {
            world = world.wants_so(&scope, |wanted| wanted.source.namespace = team.to_owned());
        }
    }
    world
}

fn judged(world: &World, window: Removals, frozen: Populations, approve: bool) -> ApprovedPlan {
    let digests = approve.then(|| world.plan().digest()).into_iter();
    let approvals: Approvals = digests.collect::<Vec<_>>().into();
    judged_with(world, window, frozen, &approvals)
}

pub(super) fn judged_with(
    world: &World,
    window: Removals,
    frozen: Populations,
    approvals: &Approvals,
) -> ApprovedPlan {
    let plan = world.plan();
    let limits = Limits {
        thresholds: world.desired.target.safety,
        window,
        on_threshold: OnThreshold::Withhold,
        frozen,
    };
    let target = world.desired.target.id.clone();
    let plan = Plan {
        mode: Mode::Sync,
        paths: Vec::new(),
        targets: vec![plan],
    };
    plan.approve(&[(target, limits)].into(), approvals, now())
}

fn judge(world: &World) -> ApprovedPlan {
    judged(world, Removals::default(), Populations::default(), false)
}

/// What runs, in lines.
pub(super) fn runs(target: &ApprovedTarget) -> Vec<String> {
    let lines = says(target.plan()).into_iter().enumerate();
    let runs = lines.filter(|(index, _)| target.runs(*index));
    runs.map(|(_, line)| line).collect()
}

pub(super) fn messages(target: &ApprovedTarget) -> Vec<&str> {
    let refusals = target.refusals().iter();
    refusals.map(|refusal| refusal.message.as_str()).collect()
}

#[test]
fn one_teams_mass_deletion_stops_that_team_and_no_other() {
    let world = team(World::onelogin(), "loud", 12, 12);
    let world = team(world, "calm", 12, 1).wants("new");
    let judged = judge(&world);
    let target = &judged.targets()[0];
    assert_eq!(runs(target), ["create new", "delete calm:00"]);
    assert_eq!(
        messages(target),
        ["12 of 12 scopes from namespace loud would go; at most 30 % may go"]
    );
    let refusal = &target.refusals()[0];
    assert_eq!(refusal.namespace.as_deref(), Some("loud"));
    assert_eq!((refusal.limit, refusal.actual), (Some(30), Some(100)));
    assert_eq!(target.why_withheld(2), Some(SkipReason::Refused));
    assert_eq!(target.refusal_of(2), Some(refusal));
    assert_eq!(target.refusal_of(0), None);
    // What others grow by meanwhile is learned.
    assert!(target.may_record());
}

#[test]
fn a_team_that_is_over_a_limit_removes_nothing_of_any_kind() {
    let world = team(World::onelogin(), "loud", 12, 6)
        .has_app(&client(1), "loud:07 loud:08")
        .owns_app_so(&client(1), "loud:07 loud:08", |entry| {
            entry.source.namespace = "loud".to_owned();
        })
        .wants_app(&client(1), "loud:07");
    let judged = judge(&world);
    assert_eq!(runs(&judged.targets()[0]), [] as [String; 0]);
}

#[test]
fn many_teams_small_removals_count_together_for_the_target() {
    let teams = (0..10).fold(World::onelogin(), |world, n| {
        team(world, &format!("team{n}"), 10, 3)
    });
    assert_eq!(rules(&judge(&teams)), []);
    let teams = teams
        .target(|target| target.safety.max_removals = 29)
        .wants("new");
    let judged = judge(&teams);
    let target = &judged.targets()[0];
    assert_eq!(
        messages(target),
        ["30 of 100 scopes would go; at most 29 may go"]
    );
    assert_eq!(runs(target), ["create new"]);
}

#[test]
fn what_needs_a_removal_that_is_withheld_is_withheld_with_it() {
    // The list of the calm team gives up a scope, and that of the loud one as well: only then may it go.
    let loud = "loud:01 loud:02 loud:03 loud:04";
    let team_of = |team: &'static str| {
        move |entry: &mut crate::model::OwnedApp| {
            entry.source.namespace = team.to_owned();
        }
    };
    let world = team(World::onelogin(), "calm", 8, 1);
    let world = team(world, "loud", 5, 0)
        .has_app(&client(1), &format!("calm:00 {loud}"))
        .owns_app_so(&client(1), &format!("calm:00 {loud}"), team_of("loud"))
        .wants_app(&client(1), "loud:01");
    let judged = judge(&world);
    let target = &judged.targets()[0];
    assert_eq!(runs(target), [] as [String; 0]);
    assert_eq!(target.why_withheld(1), Some(SkipReason::DependencyFailed));
    assert_eq!(target.refusal_of(1), None);
}

#[test]
fn growth_does_not_lift_a_refusal_by_itself() {
    let (before, after) = (
        team(World::onelogin(), "a", 10, 4),
        team(World::onelogin(), "a", 30, 4),
    );
    let first = judge(&before);
    let frozen = first.targets()[0].frozen().clone();
    let of = |measure| frozen.get(&measure);
    let of_team = Measure {
        namespace: Some("a".to_owned()),
        ..Measure::all(Counted::Scopes)
    };
    assert_eq!(of(of_team), Some(10));
    assert_eq!(rules(&judge(&after)), []);
    let again = judged(&after, Removals::default(), frozen.clone(), false);
    assert_eq!(
        messages(&again.targets()[0]),
        ["4 of 10 scopes from namespace a would go; at most 30 % may go"]
    );
    assert_eq!(again.targets()[0].frozen(), &frozen);
    // Once it is not wanted any more, or approved, it is over.
    let fewer = team(World::onelogin(), "a", 30, 3);
    let over = judged(&fewer, Removals::default(), frozen.clone(), false);
    assert!(over.is_clean() && over.targets()[0].frozen().is_empty());
    let approved = judged(&after, Removals::default(), frozen.clone(), true);
    assert!(approved.is_clean() && approved.targets()[0].frozen().is_empty());
    // And what shrinks is not measured by what it was.
    let smaller = team(World::onelogin(), "a", 5, 3);
    let again = judged(&smaller, Removals::default(), frozen, false);
    assert_eq!(rules(&again), [Rule::MoreThanHalf]);
}

#[test]
fn what_a_namespace_removed_in_the_window_counts_for_it() {
    let world = team(team(World::onelogin(), "a", 10, 2), "b", 10, 2);
    let mut before = past(Counted::Scopes, None, 2, in_hours(-1));
    before.removal.namespaces = ["a".to_owned()].into();
    let judged = judged(
        &world,
        Removals(vec![before]),
        Populations::default(),
        false,
    );
    let target = &judged.targets()[0];
    assert_eq!(
        messages(target),
        [
            "4 of 12 scopes from namespace a would go, 2 of them earlier in the window; at most 30 % may go"
        ]
    );
    assert_eq!(runs(target), ["delete b:00", "delete b:01"]);
}

/// A scope with ten roles, each by the word of another team's binding, the first `gone` of which are not wanted any more.
fn shared(gone: usize) -> World {
    let role = |n: usize| crate::model::RoleName::new(format!("r{n}"));
    let binding = |n: usize| ManifestRef {
        kind: "ScopeBinding".to_owned(),
        namespace: format!("team{n}"),
        ..SourceFile::new(HERE).into()
    };
    let all = || (0..10).map(|n| (role(n), [binding(n)].into()));
    World::wso2()
        .wants_so("a", |wanted| {
            wanted.roles.entries = all().skip(gone).collect();
        })
        .has_so("a", |live| live.state.roles = (0..10).map(role).collect())
        .owns_so("a", Created, |entry| {
            entry.applied.roles = Some(all().collect());
        })
}

#[test]
fn a_role_counts_for_the_namespace_of_who_asked_for_it() {
    let plan = shared(2).plan();
    let teams = plan.changes[0].removals.iter();
    let teams: Vec<_> = teams
        .map(|removal| (removal.namespaces.clone(), removal.count))
        .collect();
    assert_eq!(
        teams,
        [
            (["team0".to_owned()].into(), 1),
            (["team1".to_owned()].into(), 1)
        ]
    );
    let of_team = Measure {
        namespace: Some("team3".to_owned()),
        ..Measure::all(Counted::Roles)
    };
    assert_eq!(plan.populations.get(&of_team), Some(1));
}

#[test]
fn a_holder_that_many_teams_share_stops_alone() {
    // Four of ten roles, none of them too many for its team, beside a scope that goes.
    let world = team(shared(4), "calm", 40, 1);
    let wide = "r0 r1 r2 r3 r4 r5 r6 r7 r8 r9";
    let world = world
        .wants_so("b", bindings(wide))
        .has_so("b", bound_to(wide));
    let world = world.owns_so("b", Created, applied(wide));
    let judged = judge(&world);
    let target = &judged.targets()[0];
    assert_eq!(
        messages(target),
        ["4 of 10 roles of a would go; at most 30 % may go"]
    );
    assert_eq!(runs(target), ["delete calm:00"]);
}

#[test]
fn what_was_frozen_is_kept_as_it_was() {
    let judged = judge(&team(World::onelogin(), "a", 10, 4));
    let frozen = judged.targets()[0].frozen();
    let text = serde_json::to_string(frozen).unwrap();
    assert_eq!(text, r#"[{"namespace":"a","counted":"scopes","count":10}]"#);
    assert_eq!(&serde_json::from_str::<Populations>(&text).unwrap(), frozen);
}
