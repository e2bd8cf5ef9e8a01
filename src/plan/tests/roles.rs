//! Roles of scopes as three-way sets, and empty sets that mean everyone (safety, sections 4 and 5).

use std::collections::BTreeSet;

use super::world::*;
use crate::model::Origin::{Created, Matched};
use crate::model::{DesiredScope, ManifestRef, OwnedScope, Record, RoleName, SourceFile, System};
use crate::plan::change::Change;
use crate::plan::rule::Rule;
use crate::plan::{Mode, TargetPlan};

/// The roles that an update sends.
fn sent(plan: &TargetPlan) -> Vec<&str> {
    match &plan.changes[0].change {
        Change::UpdateScope { after, .. } | Change::CreateScope { after } => {
            after.roles.iter().map(RoleName::as_str).collect()
        }
        other => panic!("{other:?} sends no roles"),
    }
}

/// The roles that count as applied once the plan is through.
fn recorded(plan: &TargetPlan) -> Option<Vec<String>> {
    let records = plan
        .records
        .iter()
        .chain(plan.changes.iter().map(|c| &c.record));
    let Some(Record::Scope { entry, .. }) = records.last() else {
        panic!("a scope is recorded");
    };
    let roles = entry.applied.roles.as_ref()?;
    Some(roles.keys().map(ToString::to_string).collect())
}

#[test]
fn declared_bindings_replace_the_whole_set() {
    let world = World::wso2()
        .wants_so("a", bindings("r s"))
        .has_so("a", bound_to("x s q"))
        .owns_so("a", Created, applied("s q"));
    let plan = world.plan();
    assert_eq!(says(&plan), ["update a: bindings"]);
    // What stays keeps its order.
    assert_eq!(sent(&plan), ["s", "r"]);
    assert_eq!(plan.changes[0].removals[0].count, 2);
}

#[test]
fn bindings_that_are_added_later_meet_the_roles_of_others_as_a_first_contact() {
    let world = |all| {
        World::wso2()
            .wants_so("a", bindings("r"))
            .has_so("a", bound_to("r q x"))
            .owns_so("a", Created, |entry| {
                applied("r q")(entry);
                entry.applied.all_roles = all;
            })
    };
    let rules = |plan: &TargetPlan| -> Vec<Rule> {
        let refusals = plan.changes[0].refusals.iter();
        refusals.map(|refusal| refusal.rule).collect()
    };
    let first = world(false).plan();
    assert_eq!(rules(&first), [Rule::FirstContact]);
    // What was ours counts as a removal all the same.
    assert_eq!(first.changes[0].removals[0].count, 1);
    let later = world(true).plan();
    assert!(rules(&later).is_empty());
    assert_eq!(later.changes[0].removals[0].count, 2);

    let known = |plan: &TargetPlan| match &plan.changes[0].record {
        Record::Scope { entry, .. } => entry.applied.all_roles,
        other => panic!("{other:?} is no scope"),
    };
    assert!(known(&first), "once they are gone, all are known");
    let mut kept = world(false).mode(Mode::Apply);
    kept.desired.scopes.get_mut(&name("a")).unwrap().description = Some("new".to_owned());
    let kept = kept.plan();
    assert_eq!(sent(&kept), ["r", "q", "x"]);
    assert!(!known(&kept), "others' roles are there still");
}

#[test]
fn without_bindings_only_what_is_contributed_is_managed() {
    let world = |roles| {
        World::wso2()
            .wants_so("a", contributed(roles))
            .has_so("a", bound_to("x r"))
            .owns_so("a", Created, applied("r"))
    };
    let grown = world("r s").plan();
    assert_eq!(sent(&grown), ["x", "r", "s"]);
    assert_eq!(recorded(&grown), Some(vec!["r".to_owned(), "s".to_owned()]));
    let withdrawn = world("").plan();
    assert_eq!(sent(&withdrawn), ["x"]);
    assert_eq!(recorded(&withdrawn), None);
    assert_eq!(withdrawn.changes[0].removals[0].count, 1);
}

#[test]
fn roles_that_were_never_managed_are_left_alone() {
    let world = World::wso2()
        .wants_so("a", |a| a.description = Some("new".to_owned()))
        .has_so("a", bound_to("x y"))
        .owns("a", Created);
    let plan = world.plan();
    assert_eq!(says(&plan), ["update a: description"]);
    assert_eq!(sent(&plan), ["x", "y"]);
    assert_eq!(recorded(&plan), None);
}

#[test]
fn the_first_contact_with_a_larger_set_is_refused() {
    let world = World::wso2()
        .wants_so("a", bindings("r"))
        .has_so("a", bound_to("r x"))
        .owns("a", Matched);
    assert_eq!(world.says(), ["update a: bindings; first_contact"]);
    assert!(
        world.plan().changes[0].refusals[0]
            .message
            .contains(" x would go")
    );
    // Growth is not.
    let growth = World::wso2()
        .wants_so("a", bindings("r s"))
        .has_so("a", bound_to("r"))
        .owns("a", Matched);
    assert_eq!(growth.says(), ["update a: bindings"]);
    // Nor where only contributions are managed.
    let kept = World::wso2()
        .wants_so("a", contributed("r"))
        .has_so("a", bound_to("r x"))
        .owns("a", Matched);
    assert_eq!(kept.says(), ["= matched a"]);
}

#[test]
fn a_run_that_removes_nothing_does_not_settle_a_first_contact() {
    let mut world = World::wso2()
        .wants_so("a", bindings("r s"))
        .has_so("a", bound_to("r x"))
        .owns("a", Matched)
        .mode(Mode::Apply);
    let plan = world.plan();
    assert_eq!(says(&plan), ["update a: bindings", "no_delete: a (x)"]);
    assert_eq!(recorded(&plan), None);
    world = world.has_so("a", bound_to("r s x"));
    world.owned.record(plan.changes[0].record.clone());
    assert_eq!(world.says(), ["no_delete: a (x)"]);
    assert_eq!(
        world.mode(Mode::Sync).says(),
        ["update a: bindings; first_contact"]
    );
}

#[test]
fn an_adopted_set_has_no_first_contact() {
    let world = World::wso2()
        .wants_so("a", bindings("r"))
        .has_so("a", bound_to("r x"))
        .adoption(crate::model::target::Adoption::Always);
    assert_eq!(world.says(), ["update a: bindings"]);
}

#[test]
fn emptying_the_roles_of_a_scope_opens_it_to_all() {
    for system in [System::Wso2ScopeRegistration, System::Wso2Publisher] {
        let world = World::of(system)
            .wants_so("a", bindings(""))
            .has_so("a", bound_to("r"))
            .owns_so("a", Created, applied("r"));
        assert_eq!(world.says(), ["update a: bindings; opens_to_all"]);
        let access = world.plan().access;
        let gains: BTreeSet<_> = access.gains.iter().map(|g| g.subject.as_str()).collect();
        assert_eq!(gains, ["any user"].into());
    }
}

#[test]
fn the_last_contributed_role_opens_to_all_as_well() {
    let world = World::wso2()
        .wants_so("a", contributed(""))
        .has_so("a", bound_to("r"))
        .owns_so("a", Created, applied("r"));
    assert_eq!(world.says(), ["update a: bindings; opens_to_all"]);
}

#[test]
fn filling_an_empty_set_of_roles_takes_it_from_any_user() {
    let world =
        World::wso2()
            .wants_so("a", bindings("r"))
            .has("a")
            .owns_so("a", Created, applied(""));
    assert_eq!(world.says(), ["update a: bindings"]);
    let access = world.plan().access;
    let losses: BTreeSet<_> = access.losses.iter().map(|g| g.subject.as_str()).collect();
    assert_eq!(losses, ["any user"].into());
}

#[test]
fn drift_of_roles_is_repaired_or_reported() {
    let world = World::wso2()
        .wants_so("a", bindings("r s t"))
        .has_so("a", bound_to("x s"))
        .owns_so("a", Created, applied("r s"));
    assert_eq!(sent(&world.plan()), ["s", "r", "t"]);
    let reported = world.report_drift().plan();
    assert_eq!(says(&reported), ["update a: bindings", "drift: a (r x)"]);
    assert_eq!(sent(&reported), ["x", "s", "t"]);
}

#[test]
fn a_system_without_roles_gets_none() {
    let plan = World::onelogin().wants_so("a", bindings("r")).plan();
    assert!(sent(&plan).is_empty());
    assert_eq!(recorded(&plan), None);
}

/// The contributors of a role that the inventory holds, by kind.
fn contributor(kind: &str, file: &str) -> ManifestRef {
    ManifestRef {
        file: SourceFile::new(file),
        kind: kind.to_owned(),
        namespace: "iam".to_owned(),
        name: "it".to_owned(),
    }
}

/// Roles that were last applied: `r` of the scope's own `bindings`, `s` of a binding.
fn own_and_bound(entry: &mut OwnedScope) {
    let roles = [("r", "Scope"), ("s", "ScopeBinding")];
    let roles = roles.map(|(role, kind)| (RoleName::new(role), [contributor(kind, HERE)].into()));
    entry.applied.roles = Some(roles.into());
}

#[test]
fn bindings_that_are_taken_out_let_go_of_their_roles() {
    let world = |edit: &dyn Fn(&mut DesiredScope)| {
        World::wso2()
            .wants_so("a", edit)
            .has_so("a", bound_to("r s x"))
            .owns_so("a", Created, own_and_bound)
            .plan()
    };
    // A binding stays, and so does what it asks for.
    let stays = world(&|scope| contributed("s")(scope));
    assert_eq!(says(&stays), ["= created a"]);
    assert_eq!(recorded(&stays), Some(vec!["s".to_owned()]));
    // It goes as well: that one is withdrawn, and what the manifest itself gave is let go.
    let goes = world(&|_| {});
    assert_eq!(says(&goes), ["update a: bindings"]);
    assert_eq!(sent(&goes), ["r", "x"]);
    assert_eq!(recorded(&goes), None);
    // Nobody asks for what both asked for: it was let go.
    let both = World::wso2()
        .wants("a")
        .has_so("a", bound_to("r"))
        .owns_so("a", Created, |entry| {
            let by = ["Scope", "ScopeBinding"].map(|kind| contributor(kind, HERE));
            entry.applied.roles = Some([(RoleName::new("r"), by.into())].into());
        });
    assert_eq!(both.says(), ["= created a"]);
    // Only `[]` empties.
    let emptied = world(&|scope| bindings("")(scope));
    assert_eq!(says(&emptied), ["update a: bindings; opens_to_all"]);
}

#[test]
fn a_description_and_a_display_name_that_are_taken_out_are_let_go() {
    let publisher = System::Wso2Publisher;
    let world = World::of(publisher)
        .wants_so("a", |scope| scope.description = None)
        .has_so("a", |live| {
            live.state.display_name = Some("Shown".to_owned());
        })
        .owns_so("a", Created, |entry| {
            entry.applied.display_name = Some("Shown".to_owned());
        });
    let plan = world.plan();
    assert_eq!(says(&plan), ["= created a"]);
    let Record::Scope { entry, .. } = &plan.records[0] else {
        panic!("a scope is recorded");
    };
    let applied = &entry.applied;
    assert_eq!(
        (&applied.description, &applied.display_name),
        (&None, &None)
    );
}

#[test]
fn a_run_that_sees_a_part_forgets_no_contributor() {
    let there = contributor("ScopeBinding", THERE);
    let mut world = World::wso2()
        .wants_so("a", |scope| {
            scope.description = Some("new".to_owned());
            contributed("r")(scope);
        })
        .has_so("a", bound_to("r"))
        .owns_so("a", Created, |entry| {
            let by = [contributor("ScopeBinding", HERE), there.clone()];
            entry.applied.roles = Some([(RoleName::new("r"), by.into())].into());
        });
    let plan = world.plan();
    assert_eq!(says(&plan), ["update a: description"]);
    world.owned.record(plan.changes[0].record.clone());
    let roles = world.owned.scopes[&name("a")].applied.roles.clone();
    assert!(roles.unwrap()[&RoleName::new("r")].contains(&there));
    // So that it stays when the one that this run knows goes.
    let world = world
        .has_so("a", |live| {
            bound_to("r")(live);
            live.state.description = Some("new".to_owned());
        })
        .wants_so("a", |scope| scope.description = Some("new".to_owned()));
    assert_eq!(world.says(), ["other_source: a (r)"]);
}

#[test]
fn a_set_that_was_never_applied_is_judged_as_a_first_contact_alone() {
    let world = World::wso2()
        .wants_so("a", bindings("r"))
        .has_so("a", bound_to("r x y"))
        .owns("a", Matched);
    let plan = world.plan();
    assert_eq!(says(&plan), ["update a: bindings; first_contact"]);
    assert_eq!(plan.changes[0].removals, []);
    // What a target takes as it is counts as it was taken.
    let always = World::wso2()
        .wants_so("a", bindings("r"))
        .has_so("a", bound_to("r x y"))
        .adoption(crate::model::target::Adoption::Always)
        .plan();
    let all = crate::model::Measure::all(crate::model::Counted::Roles);
    assert_eq!(always.changes[0].removals[0].count, 2);
    assert_eq!(always.populations.get(&all), Some(3));
}
