//! What holds over many runs while others write to the same place, requests fail, answers are lost, lists lag, and the
//! process is killed anywhere: no foreign entry is lost, what we added is never orphaned, and the words of a report are
//! true.
//!
//! A book is kept of who made what. An entry of somebody else's is lost if one of our writes takes it away although it was
//! there before the run began, or a reading of the run showed it: nobody can know of what was made after the last look.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use proptest::prelude::*;

use super::properties::{Dice, config, without_thresholds};
use super::stage::{Stage, Store};
use super::trouble::{Act, Moment, Script};
use crate::apply::look::shows;
use crate::apply::{Outcome, TargetReport};
use crate::inventory::memory::Keeps;
use crate::model::{
    AppRef, Consumers, Counted, DeletionPolicy, ForeignScopes, Live, LiveApp, LiveAppScopes,
    LiveScope, RemoteId, RoleName, ScopeName, ScopeState, SourceFile, System,
};
use crate::plan::change::Change;
use crate::plan::tests::world::*;
use crate::provider::Interest;
use crate::provider::memory::Memory;

const SYSTEMS: [System; 4] = [
    System::OneLogin,
    System::Wso2ScopeRegistration,
    System::Wso2Publisher,
    System::ApigeeX,
];
/// The names that manifests declare.
const OURS: [&str; 3] = ["a", "b", "c"];
/// Those that none does.
const THEIRS: [&str; 2] = ["f", "g"];

/// Something that is live, and that somebody made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Fact {
    /// A scope, by its id or its name.
    Scope(String),
    /// A role of a scope.
    Role(String, RoleName),
    /// A scope in an app's list.
    Entry(AppRef, ScopeName),
}

fn facts(live: &Live) -> BTreeSet<Fact> {
    let mut facts = BTreeSet::new();
    for scope in live.scopes.values() {
        let id = id_of(scope);
        let roles = scope.state.roles.iter().cloned();
        facts.extend(roles.map(|role| Fact::Role(id.clone(), role)));
        facts.insert(Fact::Scope(id));
    }
    for app in live.apps.values() {
        if let LiveApp::Present(list) = app {
            let entries = list.scopes.iter().cloned();
            facts.extend(entries.map(|scope| Fact::Entry(list.app.clone(), scope)));
        }
    }
    facts
}

fn id_of(scope: &LiveScope) -> String {
    let id = scope.remote_id.as_ref().map(RemoteId::as_str);
    id.unwrap_or(scope.state.name.as_str()).to_owned()
}

/// Whether others wrote its text.
fn is_theirs(scope: &LiveScope) -> bool {
    scope.state.description.as_deref() == Some("theirs")
}

/// Who made what, and what the run at hand saw and did.
#[derive(Debug, Default)]
struct Book {
    now: BTreeSet<Fact>,
    ours: BTreeSet<Fact>,
    theirs: BTreeSet<Fact>,
    /// What was live when the run began.
    began_with: BTreeSet<Fact>,
    /// What the last readings of the run showed.
    seen_scopes: BTreeSet<Fact>,
    seen_apps: BTreeSet<Fact>,
    /// What took effect in the run.
    made: Vec<Change>,
    /// How many deletes of scopes were carried out in all runs.
    deleted: u64,
    /// Whether a list lagged, or somebody else wrote.
    is_lagging: bool,
    is_disturbed: bool,
    lost: Vec<String>,
    /// What happened, for whoever looks into a failure.
    story: Vec<String>,
}

impl Book {
    fn begin(&mut self, live: &Live) {
        self.now = facts(live);
        self.began_with = self.now.clone();
        self.seen_scopes.clear();
        self.seen_apps.clear();
        self.made.clear();
        (self.is_lagging, self.is_disturbed) = (false, false);
    }

    fn read(&mut self, interest: &Interest, live: &Live) {
        let (apps, scopes): (BTreeSet<_>, BTreeSet<_>) = facts(live)
            .into_iter()
            .partition(|fact| matches!(fact, Fact::Entry(..)));
        if interest.scopes {
            self.seen_scopes = scopes;
        }
        if !interest.apps.is_empty() || interest.consumers {
            self.seen_apps = apps;
        }
    }

    /// A write of ours took effect.
    fn written(&mut self, change: &Change, live: &Live) {
        self.story
            .push(format!("made {} {:?}", change.action(), change.fields()));
        self.made.push(change.clone());
        let after = facts(live);
        for gone in self.now.difference(&after) {
            let is_known = self.began_with.contains(gone)
                || self.seen_scopes.contains(gone)
                || self.seen_apps.contains(gone);
            // With a scope of ours its roles go, whoever gave them; and an app of ours is detached with its list.
            let goes_along = matches!(
                (change, gone),
                (Change::DeleteScope { .. }, Fact::Role(..))
                    | (Change::DetachApp { .. }, Fact::Entry(..))
            );
            if self.theirs.contains(gone) && is_known && !goes_along {
                self.lost.push(format!("{gone:?} by {change:?}"));
            }
        }
        if matches!(change, Change::DeleteScope { .. }) {
            self.deleted += 1;
        }
        // What is carried along comes back where somebody took it away in between, and is nobody's.
        let is_added = |fact: &&Fact| match (fact, change) {
            (Fact::Role(_, role), Change::UpdateScope { before, .. }) => {
                !before.roles.contains(role)
            }
            (Fact::Entry(_, scope), Change::ReplaceAppScopes { before, .. }) => {
                OURS.contains(&scope.as_str()) && !before.contains(scope)
            }
            _ => true,
        };
        let made = after.difference(&self.now).filter(is_added);
        self.ours.extend(made.cloned());
        self.keep(after);
    }

    /// Somebody else wrote. What an open intent may have made is nobody's.
    fn disturbed(&mut self, live: &Live, is_ours: impl Fn(&Fact) -> bool) {
        self.is_disturbed = true;
        let after = facts(live);
        let gone: Vec<_> = self.now.difference(&after).collect();
        let made: Vec<_> = after.difference(&self.now).collect();
        self.story.push(format!("others: {made:?}, not {gone:?}"));
        let made = after.difference(&self.now).filter(|fact| !is_ours(fact));
        self.theirs.extend(made.cloned());
        self.keep(after);
    }

    /// A run was planned from a picture that lags. An entry that it does not show, and that nobody asks for, is forgotten;
    /// and where the name is the id, what it does not show is somebody else's once it is back and differs.
    fn unseen(&mut self, shown: &Live) {
        let shown = facts(shown);
        let has_id = |fact: &Fact| matches!(fact, Fact::Scope(id) if !OURS.contains(&id.as_str()));
        self.ours
            .retain(|fact| has_id(fact) || shown.contains(fact));
    }

    fn keep(&mut self, after: BTreeSet<Fact>) {
        self.ours.retain(|fact| after.contains(fact));
        self.theirs.retain(|fact| after.contains(fact));
        self.now = after;
    }

    /// What a report says that is not so.
    fn lies(&self, report: &TargetReport, changes: &[Change], live: &Live) -> Option<String> {
        for (outcome, change) in report.outcomes.iter().zip(changes) {
            let is_made = self.made.contains(change);
            let is_true = match outcome {
                // What an earlier run made, or somebody else just so, shows as well.
                Outcome::Done { .. } => is_made || shows(change, live) || self.is_disturbed,
                Outcome::Failed(_) | Outcome::Skipped(_) => !is_made,
                Outcome::Unknown(_) => true,
            };
            if !is_true {
                return Some(format!("{outcome:?} of {change:?}"));
            }
        }
        None
    }
}

/// An empty place; on Apigee with its one key.
fn place(system: System) -> World {
    let world = without_thresholds(World::of(system));
    if system == System::ApigeeX {
        world.has_key(&app_of(system), "f", "a b c f g")
    } else {
        world
    }
}

fn app_of(system: System) -> AppRef {
    if system == System::ApigeeX {
        key("k")
    } else {
        client(7)
    }
}

/// What the manifests of a run say.
fn wish(dice: &mut Dice<'_>, system: System) -> World {
    let can = system.capabilities();
    let mut world = place(system);
    let mut declared: Vec<ScopeName> = OURS.map(name).to_vec();
    if can.scopes {
        declared.retain(|_| dice.often());
        for scope in &declared {
            let description = dice.pick(&["x", "y"]).to_owned();
            let roles = dice.some(&["r", "s"].map(RoleName::new));
            let file = SourceFile::new(HERE);
            world = world.wants_so(scope.as_str(), |wanted| {
                wanted.description = Some(description);
                for role in roles.into_iter().filter(|_| can.roles) {
                    let asked = [file.clone().into()];
                    wanted.roles.entries.insert(role, asked.into());
                }
            });
        }
    }
    if can.apps && (dice.often() || system == System::ApigeeX) {
        let mut scopes = dice.some(&declared);
        if system == System::ApigeeX && scopes.is_empty() {
            scopes.insert(name("a"));
        }
        world = with_app(world, scopes.into_iter().collect());
    }
    world
}

fn with_app(world: World, scopes: Vec<ScopeName>) -> World {
    let app = app_of(world.system());
    world.wants_app_so(&app, "", |wanted| {
        wanted.scopes = scopes;
        wanted.foreign = ForeignScopes::Keep;
        wanted.allow_empty = true;
        wanted.deletion_policy = DeletionPolicy::Delete;
    })
}

/// Somebody else writes once.
fn write_as_others(dice: &mut Dice<'_>, system: System, live: &mut Live, made: &mut u64) {
    let can = system.capabilities();
    let kind = dice.below(7);
    let scope = name(dice.pick(&OURS));
    let other = name(dice.pick(&THEIRS));
    let role = RoleName::new(dice.pick(&["f1", "f2"]));
    let mut make = |name: &ScopeName, live: &mut Live| {
        *made += 1;
        let scope = LiveScope {
            state: ScopeState {
                name: name.clone(),
                display_name: None,
                description: Some("theirs".to_owned()),
                roles: can.roles.then(|| role.clone()).into_iter().collect(),
            },
            remote_id: has_ids(system).then(|| RemoteId::new(format!("theirs {made}"))),
            inherited: false,
            consumers: if system == System::Wso2Publisher {
                Consumers::Usages(0)
            } else {
                Consumers::Unknown
            },
        };
        live.scopes.entry(name.clone()).or_insert(scope);
    };
    match kind {
        0 if can.roles => {
            if let Some(found) = live.scopes.get_mut(&scope)
                && !found.state.roles.contains(&role)
            {
                found.state.roles.push(role.clone());
            }
        }
        1 if can.scopes => make(&other, live),
        2 if can.scopes => make(&scope, live),
        3 if can.scopes => {
            if let Some(found) = live.scopes.get_mut(&scope) {
                found.state.description = Some("theirs".to_owned());
            }
        }
        4 if can.scopes => {
            live.scopes.remove(&scope);
            for app in live.apps.values_mut() {
                if let LiveApp::Present(list) = app {
                    list.scopes.remove(&scope);
                }
            }
        }
        _ if can.apps => {
            let app = app_of(system);
            let entry = if dice.rarely(3) { scope } else { other };
            if can.scopes && !live.scopes.contains_key(&entry) {
                make(&entry, live);
            }
            match live.apps.get_mut(&app) {
                // An empty list would be all of them on Apigee.
                Some(LiveApp::Present(list))
                    if kind == 5 && (can.scopes || list.scopes.len() > 1) =>
                {
                    list.scopes.remove(&entry);
                }
                Some(LiveApp::Present(list)) => {
                    list.scopes.insert(entry);
                }
                _ => {
                    let list = LiveAppScopes {
                        app: app.clone(),
                        name: None,
                        scopes: [entry].into(),
                        inherited: BTreeSet::new(),
                        allowed: None,
                        products: Vec::new(),
                        unusable: None,
                    };
                    live.apps.insert(app, LiveApp::Present(list));
                }
            }
        }
        _ => {}
    }
}

/// Everything that a script may use.
struct Chaos<'d> {
    dice: Dice<'d>,
    system: System,
    memory: Memory,
    book: Arc<Mutex<Book>>,
    store: Store,
    made: u64,
}

impl Chaos<'_> {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    fn disturb(&mut self) {
        let (system, mut made) = (self.system, self.made);
        let dice = &mut self.dice;
        self.memory
            .edit(|live| write_as_others(dice, system, live, &mut made));
        self.made = made;
        let live = self.memory.live();
        let owned = self.store.snapshot().owned(&live.identity);
        // A name that we may have been about to make, and one that is the id of what is ours, tells nothing.
        let is_ours = |fact: &Fact| match fact {
            Fact::Scope(id) => OURS.contains(&id.as_str()),
            Fact::Role(..) => false,
            Fact::Entry(_, scope) => OURS.contains(&scope.as_str()),
        };
        let mut book = self.book();
        // Nor does what is not recorded yet, and of which others changed all that was sent; and where the name is the id,
        // what they changed is theirs once a list that lags made it look gone.
        for scope in live.scopes.values().filter(|scope| is_theirs(scope)) {
            let mut entries = owned.scopes.values();
            let is_known = scope.remote_id.is_some()
                && entries.any(|entry| entry.remote_id == scope.remote_id);
            if !is_known {
                let id = id_of(scope);
                book.ours.retain(|fact| match fact {
                    Fact::Scope(of) | Fact::Role(of, _) => *of != id,
                    Fact::Entry(..) => true,
                });
            }
        }
        book.disturbed(&live, is_ours);
    }

    fn act(&mut self, moment: Moment<'_>) -> Act {
        match moment {
            Moment::Reading => {
                if self.dice.rarely(10) {
                    self.disturb();
                }
                match self.dice.below(48) {
                    47 => Act::Die,
                    44..=46 => Act::Lose,
                    40..=43 => {
                        let writes = self.dice.below(2);
                        self.book().is_lagging = true;
                        Act::Lag(writes)
                    }
                    _ => Act::Go,
                }
            }
            Moment::Read(interest, live) => {
                self.book().read(interest, live);
                Act::Go
            }
            Moment::Writing => {
                if self.dice.rarely(12) {
                    self.disturb();
                }
                match self.dice.below(40) {
                    39 => Act::Die,
                    35..=38 => Act::Lose,
                    32..=34 => Act::Refuse,
                    _ => Act::Go,
                }
            }
            Moment::Written(change) => {
                let live = self.memory.live();
                self.book().written(change, &live);
                if self.dice.rarely(12) {
                    self.disturb();
                }
                match self.dice.below(24) {
                    22..=23 => Act::Die,
                    19..=21 => Act::Lose,
                    _ => Act::Go,
                }
            }
            Moment::Keeping | Moment::Kept | Moment::Answered => {
                if self.dice.rarely(40) {
                    Act::Die
                } else {
                    Act::Go
                }
            }
        }
    }
}

/// Many runs in trouble, then runs without any; what is wrong afterwards, if anything is.
#[expect(
    clippy::too_many_lines,
    reason = "one life of many runs, whose steps share the book of what is whose"
)]
fn live_through(dice: &[u8]) -> Result<(), String> {
    let mut start = Dice(dice.iter());
    let system = start.pick(&SYSTEMS);
    let keeps = start.pick(&[Some(Keeps::EachStep), Some(Keeps::AnswersLater), None]);
    let runs = 1 + start.below(4);
    let in_flight = 1 + start.below(3);
    let world = place(system);
    let chunk = start.pick(&[1, 3]);
    let mut stage = match keeps {
        Some(keeps) => {
            let stage = Stage::keeping(&world, keeps);
            stage.store().in_chunks_of(chunk);
            stage
        }
        None => Stage::remote(&world),
    };
    let book = Arc::new(Mutex::new(Book::default()));
    {
        let mut book = book.lock().unwrap();
        book.begin(&stage.live);
        book.theirs = book.now.clone();
    }
    let mut chaos = Chaos {
        dice: start,
        system,
        memory: stage.memory.clone(),
        book: Arc::clone(&book),
        store: stage.kept(),
        made: 0,
    };
    let mut world = wish(&mut chaos.dice, system);
    let (mut lagged, mut disturbed) = (false, false);
    for _ in 0..runs {
        if chaos.dice.rarely(3) {
            chaos.disturb();
            stage.look();
            disturbed = true;
        }
        if chaos.dice.often() {
            world = wish(&mut chaos.dice, system);
        }
        let mut planned_from = stage.world(&world);
        if chaos.dice.rarely(6)
            && let Some(before) = stage.past.last()
        {
            planned_from.live = before.clone();
            lagged = true;
            chaos.book().unseen(before);
        }
        chaos.book().begin(&stage.live);
        if chaos.dice.rarely(3) {
            chaos.disturb();
        }
        {
            let mut book = chaos.book();
            book.began_with = book.now.clone();
        }
        let approved = judge(planned_from.plan(), &world, stage.removals.clone(), false);
        let report = {
            let chaos = &mut chaos;
            let script = Script::new(move |moment| chaos.act(moment));
            stage.perform(&approved, &world, in_flight, script)
        };
        let plan = approved.targets()[0].plan();
        let outcomes = report.as_ref().map(|report| &report.outcomes);
        chaos.book().story.push(format!(
            "run {:?}: {outcomes:?}, owned {:?}",
            says(plan),
            stage.owned
        ));
        let changes = &plan.changes;
        let changes: Vec<Change> = changes.iter().map(|c| c.change.clone()).collect();
        let book = chaos.book();
        if let Some(lost) = book.lost.first() {
            return Err(format!("lost: {lost}: {:#?}", book.story));
        }
        if let Some(lie) = report
            .as_ref()
            .and_then(|report| book.lies(report, &changes, &stage.live))
        {
            return Err(format!("not so: {lie}: {:#?}", book.story));
        }
        lagged |= book.is_lagging;
        disturbed |= book.is_disturbed;
    }
    let calm = |stage: &mut Stage, world: &World, approve: bool, what: &str| {
        for _ in 0..5 {
            let approved = stage.judge(world, approve);
            book.lock().unwrap().begin(&stage.live);
            let (memory, noted) = (stage.memory.clone(), Arc::clone(&book));
            let script = Script::new(move |moment: Moment<'_>| {
                if let Moment::Written(change) = moment {
                    noted.lock().unwrap().written(change, &memory.live());
                }
                Act::Go
            });
            stage.perform(&approved, world, 1, script);
            let story = format!(
                "calm run {:?}, owned {:?}",
                says(approved.targets()[0].plan()),
                stage.owned
            );
            book.lock().unwrap().story.push(story);
            if !stage.judge(world, approve).has_runs() {
                return Ok(());
            }
        }
        Err(format!(
            "{what} goes on and on: {:#?}",
            stage.world(world).says()
        ))
    };
    // What the manifests say comes to be, and then all of them go.
    calm(&mut stage, &world, false, "it")?;
    let counted = stage.removals.0.iter().map(|past| &past.removal);
    let counted = counted.filter(|removal| removal.counted == Counted::Scopes);
    let (counted, deleted) = (counted.count() as u64, book.lock().unwrap().deleted);
    if counted != deleted && !lagged && !disturbed {
        let story = &book.lock().unwrap().story;
        return Err(format!(
            "the window counts {counted} of {deleted} deletes: {story:#?}"
        ));
    }
    let mut bare = world.clone();
    for scope in bare.desired.scopes.values_mut() {
        scope.roles.entries.clear();
    }
    bare.desired.apps.clear();
    if system.capabilities().apps {
        // An empty list would be all of them on Apigee.
        let kept = (system == System::ApigeeX).then(|| name("f"));
        bare = with_app(bare, kept.into_iter().collect());
    }
    calm(&mut stage, &bare, false, "taking the entries out")?;
    let mut gone = bare.clone();
    gone.desired.scopes.clear();
    if system != System::ApigeeX {
        gone.desired.apps.clear();
    }
    calm(&mut stage, &gone, false, "taking it all away")?;
    {
        let book = book.lock().unwrap();
        if let Some(lost) = book.lost.first() {
            return Err(format!("lost in the end: {lost}: {:#?}", book.story));
        }
    }
    calm(
        &mut stage,
        &bare,
        true,
        "taking the entries out with a word",
    )?;
    calm(&mut stage, &gone, true, "taking it all away with a word")?;
    let book = book.lock().unwrap();
    match book.ours.first() {
        None => Ok(()),
        Some(left) => Err(format!("orphaned: {left:?}: {:#?}", book.story)),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_others_do_and_whatever_fails_nothing_of_theirs_is_lost_and_nothing_of_ours_is_orphaned(
        dice in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let result = live_through(&dice);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}
