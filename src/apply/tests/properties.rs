//! What holds for any world: what is wanted, live and ours are thrown by dice, and plans are carried out on a system and an inventory in memory.
//!
//! The dice are bytes, so that a failing world shrinks by itself: zeros are the plainest world.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use proptest::prelude::*;

use super::stage::{Kill, Stage};
use crate::model::target::{Adoption, Drift, Policy, Thresholds};
use crate::model::{
    AppRef, Consumers, Counted, DeletionPolicy, ForeignScopes, Live, LiveApp, LiveAppScopes,
    LiveScope, ManifestRef, Origin, Owned, OwnedScope, RemoteId, Rename, RoleName, ScopeName,
    ScopeState, SourceFile, System,
};
use crate::plan::change::Change;
use crate::plan::guard::ApprovedPlan;
use crate::plan::tests::world::*;
use crate::plan::{Mode, PlannedChange, Reason, Rule, SkipReason};

/// Throws, until all is zero.
pub(super) struct Dice<'d>(pub(super) std::slice::Iter<'d, u8>);

impl Dice<'_> {
    pub(super) fn below(&mut self, sides: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % sides
    }

    /// Whether something happens that happens once in so many times.
    pub(super) fn rarely(&mut self, sides: usize) -> bool {
        self.below(sides) == sides - 1
    }

    pub(super) fn often(&mut self) -> bool {
        self.below(2) == 1
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    pub(super) fn some<T: Clone + Ord>(&mut self, of: &[T]) -> BTreeSet<T> {
        let bits = self.below(256);
        let chosen = of.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1);
        chosen.map(|(_, one)| one.clone()).collect()
    }
}

const SYSTEMS: [System; 5] = [
    System::OneLogin,
    System::Wso2ScopeRegistration,
    System::Wso2Publisher,
    System::ApigeeX,
    System::ApigeeEdge,
];

/// A world of five names, which may be any texts.
fn world(dice: &mut Dice<'_>, texts: &[String]) -> World {
    let system = dice.pick(&SYSTEMS);
    let mut world = World::of(system);
    let names: Vec<ScopeName> = texts.iter().map(name_of).collect();
    if system.capabilities().scopes {
        for (n, name) in names.iter().enumerate() {
            live_scope(dice, &mut world, name);
            owned_scope(dice, &mut world, name, &names);
            wanted_scope(dice, &mut world, n, &names);
        }
    }
    as_checked(&mut world);
    for n in 1..=3 {
        app(dice, &mut world, n, &names);
    }
    count_consumers(&mut world.live);
    let rarely = dice.rarely(8);
    world.options.mode = if rarely { Mode::Apply } else { Mode::Sync };
    if dice.rarely(8) {
        world.options.removal_block = Some(SkipReason::IncompleteManifests);
    }
    let policies = [
        Policy::Sync,
        Policy::UpsertOnly,
        Policy::CreateOnly,
        Policy::Observe,
    ];
    let policy = if dice.rarely(6) {
        dice.pick(&policies)
    } else {
        Policy::Sync
    };
    let adoption = dice.pick(&[Adoption::Equal, Adoption::Always, Adoption::Never]);
    let drift = if dice.rarely(4) {
        Drift::Report
    } else {
        Drift::Repair
    };
    let safety = Thresholds {
        max_removals: dice.pick(&[50, 0, 1, 2]),
        max_removal_percent: dice.pick(&[30, 0, 50, 100]),
        min_population: dice.pick(&[10, 0, 2, 4]),
        ..Thresholds::default()
    };
    world.target(|target| {
        (target.policy, target.adoption, target.drift) = (policy, adoption, drift);
        target.safety = safety;
    })
}

/// Takes out the previous names that a check of the manifests would not let through: those that are declared, by a scope
/// that does not come from elsewhere itself.
fn as_checked(world: &mut World) {
    loop {
        let scopes = &mut world.desired.scopes;
        let stays: BTreeSet<ScopeName> = scopes
            .values()
            .filter(|scope| scope.previous_names.is_empty())
            .map(|scope| scope.name.clone())
            .collect();
        let mut changed = false;
        for scope in scopes.values_mut() {
            let before = scope.previous_names.len();
            scope.previous_names.retain(|name| !stays.contains(name));
            changed |= before != scope.previous_names.len();
        }
        if !changed {
            return;
        }
    }
}

fn name_of(text: &String) -> ScopeName {
    ScopeName::observed(text)
}

fn text(dice: &mut Dice<'_>) -> Option<String> {
    dice.pick(&[Some("x"), Some("y"), None, Some("")])
        .map(str::to_owned)
}

fn roles(dice: &mut Dice<'_>, system: System) -> Vec<RoleName> {
    let none = BTreeSet::new();
    let some = dice.some(&["r", "s", "t"].map(RoleName::new));
    let roles = if system.capabilities().roles {
        some
    } else {
        none
    };
    let turned = dice.often();
    let mut roles: Vec<_> = roles.into_iter().collect();
    if turned {
        roles.reverse();
    }
    roles
}

fn live_scope(dice: &mut Dice<'_>, world: &mut World, name: &ScopeName) {
    if !dice.often() {
        return;
    }
    let system = world.system();
    let live = LiveScope {
        state: ScopeState {
            name: name.clone(),
            display_name: text(dice).filter(|_| system.capabilities().display_name),
            description: text(dice),
            roles: roles(dice, system),
        },
        remote_id: has_ids(system).then(|| id(name.as_str())),
        inherited: system == System::OneLogin && dice.rarely(12),
        consumers: match system {
            System::OneLogin => Consumers::Apps(BTreeSet::new()),
            System::Wso2Publisher => Consumers::Usages(dice.pick(&[0, 0, 0, 2])),
            _ => Consumers::Unknown,
        },
    };
    if dice.rarely(20) {
        world.live.duplicates.insert(name.clone());
    }
    world.live.scopes.insert(name.clone(), live);
}

fn owned_scope(dice: &mut Dice<'_>, world: &mut World, name: &ScopeName, names: &[ScopeName]) {
    if !dice.often() {
        return;
    }
    let system = world.system();
    // Mostly its own object, sometimes one under another name, or one that is gone.
    let moves = dice.rarely(4) && system == System::OneLogin;
    let of = if moves {
        dice.pick(names)
    } else {
        name.clone()
    };
    let remote_id = if dice.rarely(10) {
        RemoteId::new("gone")
    } else {
        id(of.as_str())
    };
    let is_known = |entry: &OwnedScope| entry.remote_id.as_ref() == Some(&remote_id);
    if has_ids(system) && world.owned.scopes.values().any(is_known) {
        return;
    }
    // What a swap has put aside is ours, and goes by the name that it was put aside under; only where names are changed in
    // place.
    let can_swap = system.capabilities().rename == Rename::InPlace;
    let parked = can_swap && of == *name && name.as_str().contains(".swap") && dice.rarely(3);
    let origins = [Origin::Created, Origin::Adopted, Origin::Matched];
    let entry = OwnedScope {
        origin: dice.pick(if parked { &origins[..1] } else { &origins }),
        remote_id: has_ids(system).then_some(remote_id),
        source: source_file(dice),
        deletion_policy: deletion(dice),
        protected: dice.rarely(8),
        applied: crate::model::LastApplied {
            display_name: None,
            description: text(dice),
            roles: dice.often().then(|| {
                let sources = |role| (role, [source_file(dice)].into());
                let all = ["r", "s", "t"].map(RoleName::new);
                all.map(sources)
                    .into_iter()
                    .filter(|_| system.capabilities().roles)
                    .collect()
            }),
            all_roles: dice.often(),
        },
        hold_until: hold(dice),
        renamed_from: BTreeSet::new(),
        parked_for: parked.then(|| dice.pick(names)),
        vanished_at: None,
        wanted_by: None,
    };
    world.owned.scopes.insert(name.clone(), entry);
}

fn source_file(dice: &mut Dice<'_>) -> ManifestRef {
    SourceFile::new(dice.pick(&[HERE, HERE, HERE, "here/other.yaml", THERE])).into()
}

fn deletion(dice: &mut Dice<'_>) -> DeletionPolicy {
    let orphan = dice.rarely(6);
    if orphan {
        DeletionPolicy::Orphan
    } else {
        DeletionPolicy::Delete
    }
}

fn hold(dice: &mut Dice<'_>) -> Option<jiff::Timestamp> {
    dice.rarely(12).then(|| in_hours(1))
}

fn wanted_scope(dice: &mut Dice<'_>, world: &mut World, n: usize, names: &[ScopeName]) {
    if !dice.often() {
        return;
    }
    let system = world.system();
    if system.refuses_name(&names[n]).is_some() {
        return;
    }
    let held = |previous: &ScopeName| {
        let scopes = world.desired.scopes.values();
        scopes
            .flat_map(|scope| &scope.previous_names)
            .any(|other| other == previous)
    };
    // As manifests are checked: no two of one previous name.
    let previous: Vec<ScopeName> = if dice.rarely(3) {
        let some = dice.some(names).into_iter();
        some.filter(|name| *name != names[n] && !held(name))
            .collect()
    } else {
        Vec::new()
    };
    let wanted = names[n].as_str().to_owned();
    let (description, display_name) = (text(dice), text(dice));
    let whole = dice.often();
    let entries: BTreeMap<RoleName, BTreeSet<ManifestRef>> = roles(dice, system)
        .into_iter()
        .map(|role| (role, [SourceFile::new(HERE).into()].into()))
        .collect();
    let (may_shrink, policy, hold_until) = (!dice.rarely(8), deletion(dice), hold(dice));
    *world = std::mem::replace(world, World::of(system)).wants_so(&wanted, |scope| {
        (scope.description, scope.display_name) = (description, display_name);
        (scope.roles.whole, scope.roles.entries) = (whole, entries);
        (scope.roles.may_shrink, scope.deletion_policy) = (may_shrink, policy);
        (scope.hold_until, scope.previous_names) = (hold_until, previous);
    });
}

fn app(dice: &mut Dice<'_>, world: &mut World, n: u64, names: &[ScopeName]) {
    let system = world.system();
    if !system.capabilities().apps {
        return;
    }
    let is_key = system != System::OneLogin;
    let app = if is_key {
        key(&format!("k{n}"))
    } else {
        client(n)
    };
    let live: Vec<ScopeName> = world.live.scopes.keys().cloned().collect();
    let (own, inherited): (Vec<_>, Vec<_>) = live
        .into_iter()
        .partition(|name| !world.live.scopes[name].inherited);
    let mut list = LiveAppScopes {
        app: app.clone(),
        name: None,
        scopes: dice.some(&own),
        inherited: dice.some(&inherited),
        allowed: None,
        products: Vec::new(),
        unusable: None,
    };
    if is_key {
        let allowed = dice.some(names);
        let all: Vec<_> = allowed.iter().cloned().collect();
        list.scopes = if dice.rarely(8) {
            dice.some(names)
        } else {
            dice.some(&all)
        };
        list.allowed = Some(allowed);
    }
    if dice.often() {
        world.live.apps.insert(app.clone(), LiveApp::Present(list));
    } else if is_key {
        let why = "no such key".to_owned();
        world.live.apps.insert(app.clone(), LiveApp::Absent { why });
    }
    if dice.often() {
        let entry = crate::model::OwnedApp {
            origin: dice.pick(&[Origin::Created, Origin::Adopted, Origin::Matched]),
            source: source_file(dice),
            deletion_policy: deletion(dice),
            applied: dice.some(names),
            hold_until: hold(dice),
            vanished_at: None,
            wanted_by: None,
        };
        world.owned.apps.insert(app.clone(), entry);
    }
    if dice.often() {
        let scopes = dice.some(names);
        let foreign = dice.pick(&[
            ForeignScopes::Remove,
            ForeignScopes::Keep,
            ForeignScopes::Fail,
        ]);
        let (allow_empty, may_shrink) = (dice.rarely(3), !dice.rarely(8));
        let hold_until = hold(dice);
        let taken = std::mem::replace(world, World::of(system));
        *world = taken.wants_app_so(&app, "", |app| {
            app.scopes = scopes.into_iter().collect();
            (app.foreign, app.allow_empty) = (foreign, allow_empty);
            (app.may_shrink, app.hold_until) = (may_shrink, hold_until);
        });
    }
}

/// What a world is thrown with: shown by the world that it comes to.
struct Thrown {
    dice: Vec<u8>,
    names: Vec<String>,
}

impl Thrown {
    fn world(&self) -> World {
        world(&mut Dice(self.dice.iter()), &self.names)
    }
}

impl fmt::Debug for Thrown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let world = self.world();
        let target = &world.desired.target;
        writeln!(f, "{:?} {:?}", world.system(), world.options)?;
        writeln!(
            f,
            "{:?} {:?} {:?} {:?}",
            target.policy, target.adoption, target.drift, target.safety
        )?;
        for scope in world.desired.scopes.values() {
            writeln!(f, "wanted {scope:?}")?;
        }
        for app in &world.desired.apps {
            writeln!(f, "wanted {app:?}")?;
        }
        writeln!(
            f,
            "live {:?} {:?} {:?}",
            world.live.scopes.values(),
            world.live.duplicates,
            world.live.apps
        )?;
        writeln!(f, "owned {:?} {:?}", world.owned.scopes, world.owned.apps)?;
        write!(f, "plan {:#?}", world.says())
    }
}

/// Worlds whose names are mostly plain, and sometimes anything.
fn worlds() -> impl Strategy<Value = Thrown> {
    let plain = Just(["a", "b", "c", "d", "a.swap"].map(str::to_owned).to_vec());
    let odd = proptest::collection::btree_set("\\PC{0,8}|.{0,3}|x{240}[ab]{15}", 5)
        .prop_map(|names| names.into_iter().collect());
    let names = prop_oneof![4 => plain, 1 => odd];
    let dice = proptest::collection::vec(any::<u8>(), 0..260);
    (dice, names).prop_map(|(dice, names)| Thrown { dice, names })
}

fn kills() -> impl Strategy<Value = (usize, Kill)> {
    let kill = prop_oneof![
        Just(Kill::BeforeSend),
        Just(Kill::BeforeRecord),
        Just(Kill::AfterRecord)
    ];
    (0..8_usize, kill)
}

/// As many cases as `PROPTEST_CASES` says, and at least 500.
pub(super) fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(500),
        max_shrink_iters: 20_000,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_change_does_what_no_rule_allows(thrown in worlds()) {
        let world = thrown.world();
        let plan = world.plan();
        for planned in &plan.changes {
            check(&world, planned)?;
        }
    }

    #[test]
    fn what_is_wanted_comes_to_be_and_stays(thrown in worlds(), approve: bool) {
        let world = without_thresholds(thrown.world());
        let mut stage = Stage::of(&world);
        let again = run_down(&mut stage, &world, approve)?;
        if approve {
            // What no word lifts stays.
            let left = &again.targets()[0].plan().changes;
            let stands = |rule: &Rule| !rule.is_liftable();
            let is_stopped = left
                .iter()
                .all(|left| left.refusals.iter().any(|refusal| stands(&refusal.rule)));
            prop_assert!(is_stopped);
        }
    }

    #[test]
    fn what_is_not_ours_is_never_touched(thrown in worlds(), approve: bool) {
        let world = thrown.world();
        let mut stage = Stage::of(&world);
        stage.run(&world, approve);
        for (name, scope) in &world.live.scopes {
            let wishes = world.desired.scopes.values();
            let is_wanted = world.desired.scopes.contains_key(name)
                || wishes.flat_map(|s| &s.previous_names).any(|previous| previous == name);
            if !is_wanted && owner(&world.owned, scope).is_none() {
                let after = stage.live.scopes.get(name).map(without_consumers);
                prop_assert_eq!(after, Some(without_consumers(scope)));
            }
        }
        for (app, list) in &world.live.apps {
            let is_wanted = world.desired.apps.iter().any(|wanted| wanted.app == *app);
            if !is_wanted && !world.owned.apps.contains_key(app) {
                let LiveApp::Present(list) = list else { continue };
                // It may have lost what was deleted under it, after somebody's word.
                let LiveApp::Present(after) = &stage.live.apps[app] else {
                    panic!("it is still there");
                };
                let lost = list.scopes.len() - after.scopes.len();
                let renamed = after.scopes.difference(&list.scopes).count();
                prop_assert!(approve || lost == 0);
                prop_assert!(renamed == 0 || world.system() == System::OneLogin);
            }
        }
    }

    #[test]
    fn a_run_that_may_not_remove_removes_nothing(thrown in worlds(), approve: bool) {
        let world = thrown.world().mode(Mode::Apply);
        let mut stage = Stage::of(&world);
        stage.run(&world, approve);
        prop_assert!(stage.removals.0.is_empty());
        prop_assert!(stage.live.scopes.len() >= world.live.scopes.len());
        let scopes: BTreeMap<_, _> = stage.live.scopes.values().map(|s| (key_of(s), s)).collect();
        for before in world.live.scopes.values() {
            let Some(after) = scopes.get(&key_of(before)) else {
                prop_assert!(false, "{} is gone", before.state.name);
                continue;
            };
            prop_assert!(before.state.roles.iter().all(|role| after.state.roles.contains(role)));
        }
        for (app, before) in lists(&world.live) {
            let after = lists(&stage.live)[&app];
            prop_assert!(after.effective().len() >= before.effective().len());
            if world.system() != System::OneLogin {
                prop_assert!(after.effective().is_superset(&before.effective()));
            }
        }
    }

    #[test]
    fn the_order_of_what_comes_in_does_not_matter(thrown in worlds()) {
        let world = thrown.world();
        let mut turned = world.clone();
        turned.desired.apps.reverse();
        let (plan, other) = (world.plan(), turned.plan());
        prop_assert_eq!(plan.digest(), other.digest());
        prop_assert_eq!(plan.changes, other.changes);
        prop_assert_eq!(plan.skipped, other.skipped);
        prop_assert_eq!(plan.refusals, other.refusals);
        prop_assert_eq!(plan.access, other.access);
    }

    #[test]
    fn no_more_goes_without_a_word_than_the_thresholds_say(thrown in worlds()) {
        let world = thrown.world();
        let mut stage = Stage::of(&world);
        stage.run(&world, false);
        let after: BTreeSet<_> = stage.live.scopes.values().map(key_of).collect();
        let gone = world.live.scopes.values().filter(|s| !after.contains(&key_of(s))).count();
        let ours = world.live.scopes.values().filter(|s| owner(&world.owned, s).is_some()).count();
        prop_assert!(is_within(&world, gone, ours), "{gone} of {ours} scopes");
        let roles = |live: &Live| -> usize { live.scopes.values().map(|s| s.state.roles.len()).sum() };
        let removed = |counted| -> u64 {
            let all = stage.removals.0.iter().map(|past| &past.removal);
            all.filter(|removal| removal.counted == counted).map(|removal| removal.count).sum()
        };
        prop_assert_eq!(removed(Counted::Scopes), gone as u64);
        prop_assert!(roles(&world.live) <= roles(&stage.live) + usize::try_from(removed(Counted::Roles)).unwrap()
            + world.live.scopes.values().filter(|s| !after.contains(&key_of(s))).map(|s| s.state.roles.len()).sum::<usize>());
    }

    #[test]
    fn a_killed_run_is_finished_by_the_next(
        thrown in worlds(), (writes, kill) in kills(), approve: bool, is_remote: bool,
    ) {
        let world = without_thresholds(thrown.world());
        let on = if is_remote { Stage::remote } else { Stage::of };
        let mut whole = on(&world);
        run_down(&mut whole, &world, approve)?;
        let mut killed = on(&world);
        let first = killed.judge(&world, approve);
        killed.carry_out(&first, &world, Some((writes, kill)));
        run_down(&mut killed, &world, approve)?;
        prop_assert_eq!(live_of(&killed), live_of(&whole));
        prop_assert_eq!(owned_of(&killed, &world), owned_of(&whole, &world));
    }
}

/// Runs until nothing is left to run, and gives what is withheld then. One run does it, but where scopes that are to change
/// their names were moved behind our back: they are brought back first.
fn run_down(
    stage: &mut Stage,
    world: &World,
    approve: bool,
) -> Result<ApprovedPlan, TestCaseError> {
    let moves = |plan: &ApprovedPlan| {
        let changes = &plan.targets()[0].plan().changes;
        changes
            .iter()
            .any(|planned| planned.reason == Reason::RenamedLive)
    };
    for _ in 0..3 {
        let first = stage.run(world, approve);
        let left = stage.judge(world, approve);
        if !left.has_runs() {
            return Ok(left);
        }
        prop_assert!(moves(&first), "left: {:#?}", says(left.targets()[0].plan()));
    }
    Err(TestCaseError::fail("it goes on and on"))
}

/// Thresholds depend on how many objects are ours, and so on what an earlier run made or let go.
pub(super) fn without_thresholds(world: World) -> World {
    let never = Thresholds {
        max_removal_percent: 100,
        min_population: 0,
        ..Thresholds::default()
    };
    world.target(|target| target.safety = never)
}

/// The entry of a live scope.
fn owner<'o>(owned: &'o Owned, live: &LiveScope) -> Option<&'o OwnedScope> {
    owned.scopes.iter().find_map(|(name, entry)| {
        let is = match (&entry.remote_id, &live.remote_id) {
            (Some(id), Some(other)) => id == other,
            _ => *name == live.state.name,
        };
        is.then_some(entry)
    })
}

fn without_consumers(scope: &LiveScope) -> LiveScope {
    LiveScope {
        consumers: Consumers::Unknown,
        ..scope.clone()
    }
}

fn key_of(scope: &LiveScope) -> (Option<RemoteId>, Option<ScopeName>) {
    match &scope.remote_id {
        Some(id) => (Some(id.clone()), None),
        None => (None, Some(scope.state.name.clone())),
    }
}

fn lists(live: &Live) -> BTreeMap<AppRef, &LiveAppScopes> {
    let present = live.apps.iter().filter_map(|(app, list)| match list {
        LiveApp::Present(list) => Some((app.clone(), list)),
        LiveApp::Absent { .. } => None,
    });
    present.collect()
}

fn is_within(world: &World, gone: usize, ours: usize) -> bool {
    let limits = world.desired.target.safety;
    let (gone, ours) = (gone as u64, ours as u64);
    gone == 0
        || gone <= limits.max_removals
            && if ours >= limits.min_population {
                gone * 100 <= limits.max_removal_percent * ours
            } else {
                gone < 2 || gone * 2 <= ours
            }
}

/// Whether a change is one that the rules allow at all, whoever approves it.
#[expect(
    clippy::too_many_lines,
    reason = "every property of one plan, in the order in which they are told"
)]
fn check(world: &World, planned: &PlannedChange) -> Result<(), TestCaseError> {
    let target = &world.desired.target;
    let desired = &world.desired.scopes;
    let may_remove = world.options.mode == Mode::Sync
        && target.policy == Policy::Sync
        && world.options.removal_block.is_none();
    // A stronger one is shown in its place.
    let refused = |rule| planned.refusals.iter().any(|refusal| refusal.rule <= rule);
    let allowed_by_word =
        |is_ours: bool| is_ours || target.adoption == Adoption::Always || refused(Rule::Takeover);
    let is_here = |manifest: &ManifestRef| manifest.file.is_inside(&SourceFile::new("here"));
    let writable = |name: &ScopeName| {
        let live = &world.live.scopes[name];
        !live.inherited && !world.live.duplicates.contains(name)
    };
    prop_assert!(may_remove || planned.removals.is_empty());
    let only_create = target.policy == Policy::CreateOnly;
    prop_assert!(target.policy != Policy::Observe);
    match &planned.change {
        Change::CreateScope { after } => {
            prop_assert!(desired.contains_key(&after.name));
            prop_assert!(!world.live.scopes.contains_key(&after.name));
            prop_assert!(desired[&after.name].hold_until.is_none());
        }
        Change::UpdateScope { before, after, .. } => {
            let entry = owner(&world.owned, &world.live.scopes[&before.name]);
            prop_assert_eq!(&before.name, &after.name);
            prop_assert!(desired.contains_key(&before.name) && writable(&before.name));
            prop_assert!(allowed_by_word(entry.is_some()) && !only_create);
            prop_assert!(desired[&before.name].hold_until.is_none());
            let fewer = before.roles.iter().any(|role| !after.roles.contains(role));
            prop_assert!(may_remove || !fewer);
            let opens = after.roles.is_empty() && !before.roles.is_empty();
            prop_assert!(!opens || refused(Rule::OpensToAll));
        }
        Change::RenameScope { id, before, after } => {
            prop_assert!(world.system() == System::OneLogin && !only_create);
            let live = world
                .live
                .scopes
                .values()
                .find(|live| live.remote_id.as_ref() == Some(id));
            let live = live.unwrap();
            let entry = owner(&world.owned, live);
            prop_assert!(allowed_by_word(
                entry.is_some_and(|e| e.origin.may_remove())
            ));
            prop_assert!(writable(&live.state.name));
            // It goes to a declared name, or on its way there under a temporary one.
            let swap = after.name.as_str().contains(".swap");
            prop_assert!(desired.contains_key(&after.name) || swap);
            prop_assert!(before.name == live.state.name || before.name.as_str().contains(".swap"));
        }
        Change::DeleteScope { before, .. } => {
            let entry = owner(&world.owned, &world.live.scopes[&before.name]);
            let Some(entry) = entry else {
                return Err(TestCaseError::fail("it is not ours"));
            };
            prop_assert!(entry.origin.may_remove() && may_remove && writable(&before.name));
            prop_assert!(is_here(&entry.source) && !entry.protected);
            prop_assert!(entry.deletion_policy == DeletionPolicy::Delete);
            prop_assert!(entry.hold_until.is_none() && !desired.contains_key(&before.name));
            let users: usize = match &world.live.scopes[&before.name].consumers {
                Consumers::Apps(apps) => {
                    let wanted = |app: &&AppRef| world.desired.apps.iter().any(|w| w.app == **app);
                    let ours = |app: &&AppRef| world.owned.apps.contains_key(app);
                    apps.iter().filter(|app| !wanted(app) && !ours(app)).count()
                }
                Consumers::Usages(count) => usize::try_from(*count).unwrap(),
                Consumers::Unknown => 0,
            };
            prop_assert!(users == 0 || refused(Rule::UnmanagedConsumers));
        }
        Change::AttachApp { app, .. } => {
            prop_assert!(world.desired.apps.iter().any(|wanted| wanted.app == *app));
        }
        Change::ReplaceAppScopes {
            app, before, after, ..
        } => {
            let wanted = world
                .desired
                .apps
                .iter()
                .find(|wanted| wanted.app == *app)
                .unwrap();
            let live = lists(&world.live)[app];
            prop_assert!(!only_create && wanted.hold_until.is_none());
            let opens = after.is_empty() && !live.scopes.is_empty() && !wanted.allow_empty;
            prop_assert!(!opens || refused(Rule::OpensToAll) || refused(Rule::LastEntry));
            let (held, kept) = (live.effective_of(before), live.effective_of(after));
            let first = !world.owned.apps.contains_key(app) && !held.is_subset(&kept);
            prop_assert!(!first || refused(Rule::FirstContact));
        }
        Change::DetachApp { app, .. } => {
            let entry = &world.owned.apps[app];
            prop_assert!(world.desired.apps.iter().all(|wanted| wanted.app != *app));
            prop_assert!(world.system() == System::OneLogin && may_remove);
            prop_assert!(entry.origin.may_remove() && is_here(&entry.source));
            prop_assert!(entry.deletion_policy == DeletionPolicy::Delete);
            prop_assert!(entry.hold_until.is_none());
        }
    }
    Ok(())
}

/// What is live in the end, whatever ids it got.
fn live_of(stage: &Stage) -> Live {
    let mut live = stage.live.clone();
    for scope in live.scopes.values_mut() {
        scope.remote_id = scope.remote_id.as_ref().map(plain_id);
    }
    live
}

/// What is ours in the end, tombstones left out.
fn owned_of(stage: &Stage, world: &World) -> Owned {
    let mut owned = stage.owned.clone();
    // A last plan settles what the last run left open.
    let end = stage.world(world).plan();
    end.records
        .into_iter()
        .for_each(|record| owned.record(record));
    (owned.writes, owned.lineage) = (0, None);
    owned.scopes.retain(|_, entry| entry.vanished_at.is_none());
    owned.apps.retain(|_, entry| entry.vanished_at.is_none());
    for entry in owned.scopes.values_mut() {
        entry.remote_id = entry.remote_id.as_ref().map(plain_id);
    }
    owned
}

fn plain_id(id: &RemoteId) -> RemoteId {
    let made = id.as_str().bytes().all(|byte| byte.is_ascii_digit());
    if made {
        RemoteId::new("made")
    } else {
        id.clone()
    }
}
