//! Which live scope each declared one is, where names moved.
//!
//! A declared scope *wishes* for a live one under another name: its own that somebody renamed, or one under a previous name.
//! Such wishes form chains (`b` becomes `c`, then `a` becomes `b`) and cycles (`a` and `b` swap).
//!
//! | a wish | when |
//! |---|---|
//! | means nothing | the place that it leaves is declared and stays, or the one that it goes to is its manifest's own, or nothing of an exchange is ours |
//! | is stopped | a rule forbids it, or its new place is taken by something that does not leave |
//! | is granted | else |
//!
//! What a stopped wish is about is left alone: neither renamed nor updated nor deleted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::model::{DesiredScope, LiveScope, OwnedScope, ScopeName};
use crate::plan::{Context, Reason, SkipReason};

/// Who owns which live scope.
pub(super) struct Ownership<'a> {
    /// By live name: the inventory's name for it, and its entry.
    pub(super) of_live: BTreeMap<&'a ScopeName, (&'a ScopeName, &'a OwnedScope)>,
    /// By the inventory's name: the live name.
    pub(super) live_of: BTreeMap<&'a ScopeName, &'a ScopeName>,
}

/// A declared scope that is live under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RenameWish {
    /// The live name.
    pub(super) from: ScopeName,
    /// Why.
    pub(super) reason: Reason,
}

/// Why a wish is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The system cannot rename.
    NoRename,
    /// Another manifest, outside this run's paths, holds what is wished for.
    Conflict,
    /// A rule of the target or the manifest.
    Skip(SkipReason),
    /// Its new place is live, and not ours to clear.
    Taken,
    /// Its new place is left by a wish that is stopped itself.
    Waits,
}

/// The wishes that mean something, by declared name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Renames {
    /// Those that are carried out.
    pub(super) granted: BTreeMap<ScopeName, RenameWish>,
    /// Those that are not, and why.
    pub(super) stopped: BTreeMap<ScopeName, (RenameWish, Obstacle)>,
    /// Declared names whose wish another one has for now.
    pub(super) outbid: BTreeSet<ScopeName>,
}

/// Finds the renames among the declared scopes. `obstacle` says what forbids one, whatever the others are.
pub(super) fn renames(
    context: &Context<'_>,
    ownership: &Ownership<'_>,
    obstacle: impl Fn(&DesiredScope, &LiveScope, Reason) -> Option<Obstacle>,
) -> Renames {
    let live = &context.live.scopes;
    let mut renames = Renames::default();
    let mut wishes = wishes(context, ownership);
    drop_void(&mut wishes, context, ownership);
    let Wishes {
        first: wished,
        by_source,
        outbid,
        ..
    } = wishes;
    renames.outbid = outbid;
    for (to, wish) in wished {
        match obstacle(&context.desired.scopes[&to], &live[&wish.from], wish.reason) {
            Some(obstacle) => renames.stopped.insert(to, (wish, obstacle)).map(|_| ()),
            None => renames.granted.insert(to, wish).map(|_| ()),
        };
    }
    // A wish that is stopped keeps its place, and so stops the one that goes there.
    let mut queue: VecDeque<ScopeName> = renames.granted.keys().cloned().collect();
    queue.extend(renames.stopped.values().map(|(wish, _)| wish.from.clone()));
    while let Some(to) = queue.pop_front() {
        let leaver = by_source.get(&to);
        if !live.contains_key(&to) || leaver.is_some_and(|goal| renames.granted.contains_key(goal))
        {
            continue;
        }
        if let Some(wish) = renames.granted.remove(&to) {
            let waits = leaver.is_some_and(|goal| renames.stopped.contains_key(goal));
            let obstacle = if waits {
                Obstacle::Waits
            } else {
                Obstacle::Taken
            };
            queue.push_back(wish.from.clone());
            renames.stopped.insert(to, (wish, obstacle));
        }
    }
    renames
}

/// What each declared scope wishes for, no two of them the same.
#[derive(Default)]
struct Wishes {
    /// The wishes.
    first: BTreeMap<ScopeName, RenameWish>,
    /// The declared name that wishes for a live one.
    by_source: BTreeMap<ScopeName, ScopeName>,
    /// Where else a declared scope may be, should its first wish mean nothing: older previous names.
    further: BTreeMap<ScopeName, VecDeque<ScopeName>>,
    /// Declared names whose wish another one has.
    outbid: BTreeSet<ScopeName>,
}

impl Wishes {
    fn add(&mut self, to: &ScopeName, from: &ScopeName, reason: Reason) -> bool {
        if self.by_source.contains_key(from) {
            return false;
        }
        let from = from.clone();
        self.by_source.insert(from.clone(), to.clone());
        self.first.insert(to.clone(), RenameWish { from, reason });
        true
    }

    fn drop(&mut self, to: &ScopeName) -> Option<RenameWish> {
        let wish = self.first.remove(to)?;
        self.by_source.remove(&wish.from);
        Some(wish)
    }

    /// Whether the live scope of that name is wished for.
    fn leaves(&self, name: &ScopeName) -> bool {
        self.by_source.contains_key(name)
    }
}

fn wishes(context: &Context<'_>, ownership: &Ownership<'_>) -> Wishes {
    let desired = &context.desired.scopes;
    let live = &context.live.scopes;
    let in_place =
        context.desired.target.system().capabilities().rename == crate::model::Rename::InPlace;
    let parked: BTreeMap<&ScopeName, &ScopeName> = ownership
        .of_live
        .iter()
        .filter_map(|(live, (_, entry))| entry.parked_for.as_ref().map(|goal| (goal, *live)))
        .filter(|(goal, _)| desired.contains_key(*goal))
        .collect();
    let on_its_way: BTreeSet<&ScopeName> = parked.values().copied().collect();
    // Where the object that we know as `name` is, if somebody moved it to a name that nobody declares.
    let moved = |name: &ScopeName| {
        let at = ownership.live_of.get(name).copied();
        at.filter(|at| *at != name && !desired.contains_key(*at) && !on_its_way.contains(at))
    };

    let at = |name| moved(name).or_else(|| live.get_key_value(name).map(|(at, _)| at));
    let mut wishes = Wishes::default();
    // What is known by its name comes before what had another's name once.
    for name in desired.keys() {
        if let Some(from) = parked.get(name).filter(|from| **from != name) {
            wishes.add(name, from, Reason::SwapOfNames);
        } else if let Some(from) = moved(name).filter(|_| in_place) {
            wishes.add(name, from, Reason::RenamedLive);
        }
    }
    for (name, scope) in desired {
        if wishes.first.contains_key(name) {
            continue;
        }
        // A name that was left is somebody else's now, also while the object that left it is gone.
        let owner = ownership.of_live.get(name).map(|(_, entry)| *entry);
        let left = owner.or_else(|| context.owned.scopes.get(name));
        let is_open = |previous: &&ScopeName| {
            left.is_none_or(|entry| !entry.renamed_from.contains(*previous))
        };
        let mut previous: VecDeque<ScopeName> = scope
            .previous_names
            .iter()
            .filter(is_open)
            .filter_map(at)
            .filter(|from| *from != name)
            .cloned()
            .collect();
        let Some(from) = previous.pop_front() else {
            continue;
        };
        if wishes.add(name, &from, Reason::RenamedFrom) {
            wishes.further.insert(name.clone(), previous);
        } else {
            wishes.outbid.insert(name.clone());
        }
    }
    wishes
}

/// Takes out the wishes that mean nothing. One that goes may make others mean nothing: the one on its own place, and the
/// one for the place that it would have left.
fn drop_void(wishes: &mut Wishes, context: &Context<'_>, ownership: &Ownership<'_>) {
    let desired = &context.desired.scopes;
    let mut queue: VecDeque<ScopeName> = wishes.first.keys().cloned().collect();
    while let Some(to) = queue.pop_front() {
        let Some(wish) = wishes.first.get(&to) else {
            continue;
        };
        let from_stays = desired.contains_key(&wish.from) && !wishes.first.contains_key(&wish.from);
        let to_stays = context.live.scopes.contains_key(&to) && !wishes.leaves(&to);
        let to_is_its_own =
            ownership.of_live.contains_key(&to) || !ownership.of_live.contains_key(&wish.from);
        let half_done = wish.reason == Reason::SwapOfNames;
        let is_there = to_stays && to_is_its_own && !half_done;
        if !from_stays && !is_there {
            continue;
        }
        queue.extend(wishes.drop(&to).map(|wish| wish.from));
        let further = wishes.further.remove(&to).filter(|_| !is_there);
        if let Some(mut further) = further {
            while let Some(from) = further.pop_front() {
                if wishes.add(&to, &from, Reason::RenamedFrom) {
                    queue.push_back(to.clone());
                    break;
                }
            }
            wishes.further.insert(to.clone(), further);
        }
        queue.extend(wishes.by_source.get(&to).cloned());
    }
    // Scopes that exchange their names and are none of ours may have done so long ago, and an inventory was lost since.
    for cycle in cycles(&wishes.first) {
        let is_ours = |to: &ScopeName| ownership.of_live.contains_key(&wishes.first[to].from);
        if !cycle.iter().any(is_ours) {
            for to in &cycle {
                wishes.drop(to);
            }
        }
    }
}

/// The cycles among wishes: for each, the declared names in the order in which each takes the next one's place.
pub(super) fn cycles(granted: &BTreeMap<ScopeName, RenameWish>) -> Vec<Vec<ScopeName>> {
    let mut seen: BTreeSet<&ScopeName> = BTreeSet::new();
    let mut found = Vec::new();
    for start in granted.keys() {
        let mut path: Vec<&ScopeName> = Vec::new();
        let mut at = start;
        while seen.insert(at) {
            path.push(at);
            match granted
                .get_key_value(at)
                .and_then(|(_, wish)| granted.get_key_value(&wish.from))
            {
                Some((next, _)) => at = next,
                None => break,
            }
        }
        if let Some(first) = path.iter().position(|name| *name == at)
            && granted
                .get(path[path.len() - 1])
                .is_some_and(|wish| wish.from == *at)
        {
            found.push(path[first..].iter().map(|name| (*name).clone()).collect());
        }
    }
    found
}

/// Names that mean something already: live ones, declared ones, and those that a manifest says were its own before.
pub(super) fn known_names(context: &Context<'_>) -> BTreeSet<ScopeName> {
    let desired = &context.desired.scopes;
    let previous = desired.values().flat_map(|scope| &scope.previous_names);
    let names = context.live.scopes.keys().chain(desired.keys());
    names.chain(previous).cloned().collect()
}

/// A name for the time of a swap that is not among the known ones.
pub(super) fn temporary_name(name: &ScopeName, known: &BTreeSet<ScopeName>) -> ScopeName {
    let stem: String = name.as_str().chars().take(240).collect();
    let candidate = |n| {
        ScopeName::observed(match n {
            0 => format!("{stem}.swap"),
            n => format!("{stem}.swap{n}"),
        })
    };
    (0..=known.len())
        .map(candidate)
        .find(|candidate| !known.contains(candidate))
        .expect("there is one candidate more than names are known")
}
