//! What holds over many runs that each see a part: manifests lie in two repositories, are edited, moved, hidden, broken and
//! removed, and each run reads other paths.
//!
//! A book is kept of what each file said when it was last read. Nothing is removed that a file said, unless this run read
//! the file without it, or looked where it lay and found it gone; and what is still declared where the run could see stays.
//! In the end one run sees everything, and nothing stays that no file declares.
//!
//! The dice are bytes, so that a failing life shrinks by itself: zeros are the plainest one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::slice::Iter;

use futures::FutureExt as _;
use jiff::Timestamp;
use proptest::prelude::*;

use crate::apply::{Progress, always_wanted};
use crate::inventory::memory::{Keeps, MemoryStore};
use crate::inventory::{Fence, Ledger as _, Snapshot};
use crate::manifest::{self, Loaded};
use crate::model::{Live, ScopeName, System};
use crate::plan::digest::Digest;
use crate::plan::guard::{Approvals, ApprovedPlan, OnThreshold};
use crate::plan::{Mode, NewInventory};
use crate::provider::memory::Memory;
use crate::provider::{CredentialStore, Interrupt, Tally};
use crate::run::{Execution, Judging, Reading, Realm, Systems, Wanted, execute, judge, read};

const FOLDERS: [&str; 2] = ["a", "b"];
const FILES: [&str; 3] = ["x.yaml", "y.yml", "z.json"];
const SCOPES: [&str; 3] = ["read", "write", "admin"];
const ROLES: [&str; 2] = ["r", "s"];

/// Something that manifests declare, and that is live.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Scope(&'static str),
    /// A role of the scope that is always declared; the manifests of each repository may ask for it.
    Role(&'static str),
}

/// A file, by its repository and its path there.
type Key = (usize, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    /// Not YAML.
    Broken,
    /// A link to nowhere.
    DeadLink,
}

/// What is on disk.
struct Disk {
    folder: tempfile::TempDir,
    /// Where each repository lies now.
    places: [String; 2],
    kind: Checkout,
    files: BTreeMap<Key, (BTreeSet<Thing>, Shape)>,
    /// What `.scopewardignore` leaves out.
    ignored: BTreeSet<Key>,
}

/// What tells a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checkout {
    Origin,
    Path,
    /// No `.git`: both lie in the root of the disk.
    None,
}

struct Dice<'d>(Iter<'d, u8>);

impl Dice<'_> {
    fn below(&mut self, sides: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % sides
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    fn key(&mut self) -> Key {
        let (repository, folder) = (self.below(2), self.pick(&FOLDERS));
        (repository, format!("{folder}/{}", self.pick(&FILES)))
    }

    fn thing(&mut self, roles: bool) -> Thing {
        if roles && self.below(3) == 2 {
            Thing::Role(self.pick(&ROLES))
        } else {
            Thing::Scope(self.pick(&SCOPES))
        }
    }
}

impl Disk {
    fn new(kind: Checkout, system: System) -> Self {
        let disk = Self {
            folder: tempfile::tempdir().unwrap(),
            places: ["one".to_owned(), "two".to_owned()],
            kind,
            files: BTreeMap::new(),
            ignored: BTreeSet::new(),
        };
        for place in ["base", "one", "two"] {
            fs::create_dir(disk.path(place)).unwrap();
            let git = disk.path(place).join(".git");
            if kind != Checkout::None {
                fs::create_dir(&git).unwrap();
            }
            if kind == Checkout::Origin {
                let config = format!("[remote \"origin\"]\n url = https://example.com/{place}\n");
                fs::write(git.join("config"), config).unwrap();
            }
        }
        fs::write(disk.path("base/target.yaml"), base(system)).unwrap();
        disk
    }

    fn path(&self, place: &str) -> PathBuf {
        self.folder.path().join(place)
    }

    fn on_disk(&self, (repository, file): &Key) -> PathBuf {
        self.path(&self.places[*repository]).join(file)
    }

    /// One change, as people make them.
    fn change(&mut self, dice: &mut Dice<'_>, roles: bool) -> String {
        let key = dice.key();
        let said = match dice.below(12) {
            0..=3 => {
                let thing = dice.thing(roles);
                let said = format!("write {thing:?} to {key:?}");
                let (things, shape) = self
                    .files
                    .entry(key)
                    .or_insert((BTreeSet::new(), Shape::Plain));
                things.insert(thing);
                *shape = Shape::Plain;
                said
            }
            4 | 5 => {
                let thing = dice.thing(roles);
                if let Some((things, _)) = self.files.get_mut(&key) {
                    things.remove(&thing);
                }
                format!("drop {thing:?} from {key:?}")
            }
            6 => {
                self.files.remove(&key);
                format!("remove {key:?}")
            }
            7 | 8 => {
                let to = dice.key();
                if let Some(file) = self.files.remove(&key) {
                    self.files.insert(to.clone(), file);
                }
                format!("move {key:?} to {to:?}")
            }
            9 => {
                let shape = dice.pick(&[Shape::Broken, Shape::DeadLink]);
                if let Some((_, known)) = self.files.get_mut(&key) {
                    *known = shape;
                }
                format!("{key:?} is {shape:?}")
            }
            10 => {
                if !self.ignored.remove(&key) {
                    self.ignored.insert(key.clone());
                }
                format!("ignore {key:?} or not")
            }
            _ => {
                // The same repository lies somewhere else; without an origin it would be another one.
                if self.kind == Checkout::Origin {
                    let place = &mut self.places[key.0];
                    let moved = format!("{place}+");
                    let old = self.folder.path().join(&*place);
                    fs::rename(old, self.folder.path().join(&moved)).unwrap();
                    *place = moved;
                }
                format!("move repository {}", key.0)
            }
        };
        self.write();
        said
    }

    /// Makes the disk hold what is written down.
    fn write(&self) {
        for place in &self.places {
            for folder in FOLDERS {
                drop(fs::remove_dir_all(self.path(place).join(folder)));
            }
        }
        for (key, (things, shape)) in &self.files {
            let path = self.on_disk(key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match shape {
                Shape::Plain => fs::write(path, yaml(key.0, things)).unwrap(),
                Shape::Broken => fs::write(path, "scopeward.dev/v1alpha1: [").unwrap(),
                Shape::DeadLink => std::os::unix::fs::symlink("nowhere", path).unwrap(),
            }
        }
        for (repository, file) in &self.ignored {
            let (folder, file) = file.split_once('/').unwrap();
            let folder = self.path(&self.places[*repository]).join(folder);
            fs::create_dir_all(&folder).unwrap();
            let rules = folder.join(".scopewardignore");
            let before = fs::read_to_string(&rules).unwrap_or_default();
            fs::write(rules, format!("{before}{file}\n")).unwrap();
        }
    }

    /// Whether a run over these paths reads a file that is there.
    fn reads(&self, paths: &[Key], key: &Key) -> bool {
        let is_passed_over = key.1.ends_with("z.json") || self.ignored.contains(key);
        paths.contains(key) || !is_passed_over && is_inside(paths, key)
    }

    /// Whether a walk through the whole of a repository sees it.
    fn is_in_the_open(&self, key: &Key) -> bool {
        self.reads(&[(key.0, String::new())], key)
    }
}

/// Whether a file lies inside some of these paths.
fn is_inside(paths: &[Key], (of, file): &Key) -> bool {
    let is_below = |path: &str| path.is_empty() || file.starts_with(&format!("{path}/"));
    let mut paths = paths.iter().filter(|(repository, _)| repository == of);
    paths.any(|(_, path)| path == file || is_below(path))
}

/// The Target, and the scope whose roles others bind.
fn base(system: System) -> String {
    let endpoint = match system {
        System::OneLogin => "oneLogin: { url: https://a.example, authorizationServer: { id: 1 } }",
        _ => "wso2: { url: https://a.example, api: ScopeRegistration }",
    };
    let mut text = format!(
        "apiVersion: scopeward.dev/v1alpha1\nkind: Target\nmetadata: {{ name: t, namespace: iam }}\n\
         spec: {{ {endpoint}, credentialsRef: {{ name: t }} }}\n"
    );
    if system != System::OneLogin {
        text += &document("Scope", "base", "name: base, description: base");
        text += &document(
            "ScopeBinding",
            "base",
            "scopeRef: { name: base }, roles: [b]",
        );
    }
    text
}

fn yaml(repository: usize, things: &BTreeSet<Thing>) -> String {
    // A file that says nothing is one of ours all the same.
    let mut text = "# scopeward.dev/\n".to_owned();
    for thing in things {
        text += &match thing {
            Thing::Scope(name) => document("Scope", name, &format!("name: {name}, description: d")),
            Thing::Role(role) => {
                let spec = format!("scopeRef: {{ name: base }}, roles: [{role}]");
                document("ScopeBinding", &format!("{role}{repository}"), &spec)
            }
        };
    }
    text
}

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: scopeward.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name}, namespace: iam }}\n\
         spec: {{ targetRefs: [{{ name: t }}], {spec} }}\n"
    )
}

fn things(live: &Live) -> BTreeSet<Thing> {
    let scopes = SCOPES
        .into_iter()
        .filter(|name| live.scopes.contains_key(&ScopeName::observed(*name)));
    let base = live.scopes.get(&ScopeName::observed("base"));
    let roles = ROLES.into_iter().filter(|role| {
        base.is_some_and(|base| base.state.roles.iter().any(|held| held.as_str() == *role))
    });
    scopes
        .map(Thing::Scope)
        .chain(roles.map(Thing::Role))
        .collect()
}

/// What runs share.
struct Life {
    disk: Disk,
    memory: Memory,
    store: MemoryStore,
    /// What each file said when it was last read.
    known: BTreeMap<Key, BTreeSet<Thing>>,
    /// What happened, for whoever looks into a failure.
    story: Vec<String>,
}

impl Life {
    /// One run over these paths, which somebody approves; whether it changed anything. `None` where there is nothing to run.
    fn run(&mut self, paths: &[Key]) -> Option<bool> {
        let on_disk = paths.iter().map(|key| self.disk.on_disk(key));
        let all: Vec<PathBuf> = std::iter::once(self.disk.path("base"))
            .chain(on_disk)
            .collect();
        let snapshot = self.store.snapshot();
        let options = manifest::Options {
            strict: false,
            selector: None,
            now: Timestamp::now(),
            repository: None,
            overlays: Vec::new(),
            cluster: None,
            recorded: snapshot
                .recorded()
                .flat_map(|(_, owned)| owned.files())
                .cloned()
                .collect(),
        };
        let loaded = manifest::load(&all, &options).ok()?;
        let found: Vec<String> = loaded
            .diagnostics
            .iter()
            .map(|d| d.message.clone())
            .collect();
        let (_, report) = carry_out(loaded, &self.memory, &self.store);
        self.story
            .push(format!("run over {paths:?}: {report}, {found:?}"));
        Some(!report.is_empty())
    }

    /// A run that sees a part, and what is wrong with it.
    fn look(&mut self, paths: &[Key]) -> Result<(), String> {
        let before = things(&self.memory.live());
        let recorded = self.store.snapshot();
        if self.run(paths).is_none() {
            return Ok(());
        }
        let after = things(&self.memory.live());
        for gone in before.difference(&after) {
            self.may_go(paths, gone, &recorded)?;
        }
        self.learn(paths);
        Ok(())
    }

    /// Whether it was right that something went in a run.
    fn may_go(&self, paths: &[Key], gone: &Thing, recorded: &Snapshot) -> Result<(), String> {
        let disk = &self.disk;
        let holders = self.known.iter().filter(|(_, said)| said.contains(gone));
        let holders: Vec<&Key> = holders.map(|(key, _)| key).collect();
        let holds = |key: &Key| {
            let Thing::Scope(name) = gone else {
                return true;
            };
            let mut entries = recorded.recorded().filter_map(|(_, owned)| {
                let entry = owned.scopes.get(&ScopeName::observed(*name))?;
                Some(entry.source.file.path().to_owned())
            });
            entries.all(|path| path.ends_with(&key.1))
        };
        let is_of_run = |key: &Key| paths.iter().any(|(repository, _)| *repository == key.0);
        let is_dropped = |key: &Key| match disk.files.get(key) {
            Some((says, Shape::Plain)) => disk.reads(paths, key) && !says.contains(gone),
            Some(_) => false,
            // What another one holds only waits for a file that is there.
            None => is_inside(paths, key) || !holds(key) && is_of_run(key),
        };
        // Of two that declared one scope, the first holds it, and the other has no say.
        let is_right = if matches!(gone, Thing::Scope(_)) && holders.len() > 1 {
            holders.iter().any(|key| is_dropped(key))
        } else {
            holders.iter().all(|key| is_dropped(key))
        };
        if !is_right {
            return Err(format!(
                "{gone:?} of {holders:?} is removed by a run over {paths:?}"
            ));
        }
        let is_seen = |key: &Key| {
            disk.reads(paths, key)
                || disk.kind != Checkout::None && is_of_run(key) && disk.is_in_the_open(key)
        };
        let mut declared = disk.files.iter().filter(|(key, (says, shape))| {
            *shape == Shape::Plain && says.contains(gone) && is_seen(key)
        });
        match declared.next() {
            Some((key, _)) => Err(format!("{gone:?} is removed although {key:?} declares it")),
            None => Ok(()),
        }
    }

    /// What a file says counts once it was read, but for what several of a run declare: that is an error of all of them.
    fn learn(&mut self, paths: &[Key]) {
        let disk = &self.disk;
        self.known
            .retain(|key, _| disk.files.contains_key(key) || !is_inside(paths, key));
        let read = disk
            .files
            .iter()
            .filter(|(key, (_, shape))| *shape == Shape::Plain && disk.reads(paths, key));
        let read: Vec<(&Key, &BTreeSet<Thing>)> =
            read.map(|(key, (says, _))| (key, says)).collect();
        let is_alone = |(of, _): &Key, thing: &Thing| {
            let anywhere = matches!(thing, Thing::Scope(_));
            let like_it = read.iter().filter(|((repository, _), says)| {
                says.contains(thing) && (anywhere || repository == of)
            });
            like_it.count() == 1
        };
        for (key, says) in &read {
            let known = self.known.entry((*key).clone()).or_default();
            known.retain(|thing| says.contains(thing));
            known.extend(says.iter().filter(|thing| is_alone(key, thing)).cloned());
        }
    }

    /// Runs over everything, with every file in the open and each thing declared once, and says what stays or is missing.
    fn end(&mut self) -> Result<(), String> {
        let mut declared = BTreeSet::new();
        let disk = &mut self.disk;
        disk.ignored.clear();
        disk.files.retain(|(_, file), _| !file.ends_with("z.json"));
        for (says, shape) in disk.files.values_mut() {
            says.retain(|thing| declared.insert(thing.clone()));
            *shape = Shape::Plain;
        }
        disk.write();
        let all = [(0, String::new()), (1, String::new())];
        for _ in 0..4 {
            if self.run(&all) == Some(false) {
                break;
            }
        }
        let live = things(&self.memory.live());
        if live == declared {
            Ok(())
        } else {
            Err(format!("{live:?} is live, and {declared:?} is declared"))
        }
    }
}

/// Judges, approves and carries out: the plan's digest, and what was done, in words.
pub(super) fn carry_out(
    mut loaded: Loaded,
    memory: &Memory,
    store: &MemoryStore,
) -> (Digest, String) {
    let wanted = Wanted::new(&mut loaded, &[], Realm::Live).unwrap();
    let systems = Systems {
        credentials: CredentialStore::new(None, std::iter::empty(), Vec::new()),
        stand_in: None,
        interrupt: Interrupt::default(),
        tally: Tally::default(),
    };
    let open = |desired| {
        Reading::of(
            desired,
            desired.target.live_identity(),
            Ok(Box::new(memory.clone()) as _),
        )
    };
    let readings = wanted.targets.iter().map(open).collect();
    let readings = now(read(&systems, readings));
    let ledger = Box::new(store.open());
    let snapshot = now(ledger.snapshot());
    let mut judging = Judging {
        mode: Mode::Sync,
        paths: Vec::new(),
        coverage: loaded.cover(snapshot.recorded()),
        new_inventory: NewInventory::Allow,
        approvals: Approvals::default(),
        on_threshold: OnThreshold::Stop,
        frozen: BTreeMap::new(),
    };
    let started_at = Timestamp::now();
    let judge = |judging: &Judging| judge(&wanted, &readings, &snapshot, judging, started_at);
    let digest = judge(&judging).digest().clone();
    judging.approvals.digests.push(digest.clone());
    let approved: ApprovedPlan = judge(&judging);
    let execution = Execution {
        run_id: "a run".to_owned(),
        who: "a test".to_owned(),
        started_at,
        ledger: ledger.as_ref(),
        systems: &systems,
        progress: &Progress::default(),
        fence: Fence::default(),
        still_wanted: &always_wanted,
        slice: None,
    };
    let report = now(execute(execution, &wanted, &readings, &judging, approved));
    now((ledger as Box<dyn crate::inventory::Ledger>).close()).unwrap();
    let mut said = String::new();
    for (approved, target) in report.results() {
        let plan = approved.plan();
        if let Some(error) = &plan.error {
            write!(said, "{error:?}; ").unwrap();
        }
        for skipped in &plan.skipped {
            write!(said, "{:?} {}; ", skipped.reason, skipped.object.label).unwrap();
        }
        for refusal in approved.refusals() {
            write!(said, "{:?} {}; ", refusal.rule, refusal.message).unwrap();
        }
        let changes = &plan.changes;
        for (planned, outcome) in changes.iter().zip(&target.outcomes) {
            write!(
                said,
                "{} {}: {outcome:?}; ",
                planned.change.action(),
                planned.object.label
            )
            .unwrap();
        }
    }
    (digest, said)
}

/// The value of what never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("nothing waits")
}

fn live_through(dice: &[u8]) -> Result<(), String> {
    let mut dice = Dice(dice.iter());
    let system = dice.pick(&[System::Wso2ScopeRegistration, System::OneLogin]);
    let kind = dice.pick(&[Checkout::Origin, Checkout::Path, Checkout::None]);
    let empty = Live {
        identity: crate::model::LiveIdentity::new("a"),
        ..crate::plan::tests::world::World::of(system).live
    };
    let mut life = Life {
        disk: Disk::new(kind, system),
        memory: Memory::new(system, empty),
        store: MemoryStore::new(Keeps::EachStep),
        known: BTreeMap::new(),
        story: Vec::new(),
    };
    let has_roles = system.capabilities().roles;
    let result = (0..10).try_for_each(|_| {
        for _ in 0..=dice.below(4) {
            let said = life.disk.change(&mut dice, has_roles);
            life.story.push(said);
        }
        let paths: Vec<Key> = (0..=dice.below(3))
            .map(|_| {
                let (repository, file) = dice.key();
                let folder = file[..1].to_owned();
                (repository, dice.pick(&[String::new(), folder, file]))
            })
            .collect();
        life.look(&paths)
    });
    let result = result.and_then(|()| life.end());
    result.map_err(|wrong| format!("{system:?} {kind:?}: {wrong}: {:#?}", life.story))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(256),
        max_shrink_iters: 1_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_a_run_does_not_see_stays_and_nothing_stays_that_nobody_declares(
        dice in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let result = live_through(&dice);
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}
