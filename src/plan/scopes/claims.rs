//! Which live scope each declared one is, where names moved.
//!
//! A declared scope *claims* a live one under another name: its own that somebody renamed, or one under a previous name.
//! Claims form chains (`b` becomes `c`, then `a` becomes `b`) and cycles (`a` and `b` swap).
//!
//! | a claim | when |
//! |---|---|
//! | means nothing | the place that it leaves is declared and stays, or the one that it goes to is its manifest's own, or nothing of an exchange is ours |
//! | is stopped | a rule forbids it, or its new place is taken by something that does not leave |
//! | holds | else |
//!
//! What a stopped claim is about is left alone: neither renamed nor updated nor deleted.

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
pub(super) struct Claim {
    /// The live name.
    pub(super) from: ScopeName,
    /// Why.
    pub(super) reason: Reason,
}

/// Why a claim is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The system cannot rename.
    NoRename,
    /// Another manifest, outside this run's paths, holds what is claimed.
    Conflict,
    /// A rule of the target or the manifest.
    Skip(SkipReason),
    /// Its new place is live, and not ours to clear.
    Taken,
    /// Its new place is left by a claim that is stopped itself.
    Waits,
}

/// The claims that mean something, by declared name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// Those that are carried out.
    pub(super) held: BTreeMap<ScopeName, Claim>,
    /// Those that are not, and why.
    pub(super) stopped: BTreeMap<ScopeName, (Claim, Obstacle)>,
    /// Declared names whose claim another one has for now.
    pub(super) outbid: BTreeSet<ScopeName>,
}

/// Finds the claims among the declared scopes. `obstacle` says what forbids one, whatever the others are.
pub(super) fn claims(
    context: &Context<'_>,
    ownership: &Ownership<'_>,
    obstacle: impl Fn(&DesiredScope, &LiveScope, Reason) -> Option<Obstacle>,
) -> Claims {
    let live = &context.live.scopes;
    let mut claims = Claims::default();
    let mut wishes = wishes(context, ownership);
    drop_void(&mut wishes, context, ownership);
    let Wishes {
        first: wished,
        by_source,
        outbid,
        ..
    } = wishes;
    claims.outbid = outbid;
    for (to, claim) in wished {
        match obstacle(
            &context.desired.scopes[&to],
            &live[&claim.from],
            claim.reason,
        ) {
            Some(obstacle) => claims.stopped.insert(to, (claim, obstacle)).map(|_| ()),
            None => claims.held.insert(to, claim).map(|_| ()),
        };
    }
    // A claim that stops keeps its place, and so stops the one that goes there.
    let mut queue: VecDeque<ScopeName> = claims.held.keys().cloned().collect();
    queue.extend(claims.stopped.values().map(|(claim, _)| claim.from.clone()));
    while let Some(to) = queue.pop_front() {
        let leaver = by_source.get(&to);
        if !live.contains_key(&to) || leaver.is_some_and(|goal| claims.held.contains_key(goal)) {
            continue;
        }
        if let Some(claim) = claims.held.remove(&to) {
            let waits = leaver.is_some_and(|goal| claims.stopped.contains_key(goal));
            let obstacle = if waits {
                Obstacle::Waits
            } else {
                Obstacle::Taken
            };
            queue.push_back(claim.from.clone());
            claims.stopped.insert(to, (claim, obstacle));
        }
    }
    claims
}

/// What each declared scope claims, no two of them the same.
#[derive(Default)]
struct Wishes {
    /// The claims.
    first: BTreeMap<ScopeName, Claim>,
    /// The declared name that claims a live one.
    by_source: BTreeMap<ScopeName, ScopeName>,
    /// Where else a declared scope may be, should its first claim mean nothing: older previous names.
    further: BTreeMap<ScopeName, VecDeque<ScopeName>>,
    /// Declared names whose claim another one has.
    outbid: BTreeSet<ScopeName>,
}

impl Wishes {
    fn claim(&mut self, to: &ScopeName, from: &ScopeName, reason: Reason) -> bool {
        if self.by_source.contains_key(from) {
            return false;
        }
        let from = from.clone();
        self.by_source.insert(from.clone(), to.clone());
        self.first.insert(to.clone(), Claim { from, reason });
        true
    }

    fn drop(&mut self, to: &ScopeName) -> Option<Claim> {
        let claim = self.first.remove(to)?;
        self.by_source.remove(&claim.from);
        Some(claim)
    }

    /// Whether the live scope of that name is claimed.
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
            wishes.claim(name, from, Reason::SwapOfNames);
        } else if let Some(from) = moved(name).filter(|_| in_place) {
            wishes.claim(name, from, Reason::RenamedLive);
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
        if wishes.claim(name, &from, Reason::RenamedFrom) {
            wishes.further.insert(name.clone(), previous);
        } else {
            wishes.outbid.insert(name.clone());
        }
    }
    wishes
}

/// Takes out the claims that mean nothing. One that goes may make others mean nothing: the one on its own place, and the
/// one for the place that it would have left.
fn drop_void(wishes: &mut Wishes, context: &Context<'_>, ownership: &Ownership<'_>) {
    let desired = &context.desired.scopes;
    let mut queue: VecDeque<ScopeName> = wishes.first.keys().cloned().collect();
    while let Some(to) = queue.pop_front() {
        let Some(claim) = wishes.first.get(&to) else {
            continue;
        };
        let from_stays =
            desired.contains_key(&claim.from) && !wishes.first.contains_key(&claim.from);
        let to_stays = context.live.scopes.contains_key(&to) && !wishes.leaves(&to);
        let to_is_its_own =
            ownership.of_live.contains_key(&to) || !ownership.of_live.contains_key(&claim.from);
        let half_done = claim.reason == Reason::SwapOfNames;
        let is_there = to_stays && to_is_its_own && !half_done;
        if !from_stays && !is_there {
            continue;
        }
        queue.extend(wishes.drop(&to).map(|claim| claim.from));
        let further = wishes.further.remove(&to).filter(|_| !is_there);
        if let Some(mut further) = further {
            while let Some(from) = further.pop_front() {
                if wishes.claim(&to, &from, Reason::RenamedFrom) {
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

/// The cycles among claims: for each, the declared names in the order in which each takes the next one's place.
pub(super) fn cycles(held: &BTreeMap<ScopeName, Claim>) -> Vec<Vec<ScopeName>> {
    let mut seen: BTreeSet<&ScopeName> = BTreeSet::new();
    let mut found = Vec::new();
    for start in held.keys() {
        let mut path: Vec<&ScopeName> = Vec::new();
        let mut at = start;
        while seen.insert(at) {
            path.push(at);
            match held
                .get_key_value(at)
                .and_then(|(_, claim)| held.get_key_value(&claim.from))
            {
                Some((next, _)) => at = next,
                None => break,
            }
        }
        if let Some(first) = path.iter().position(|name| *name == at)
            && held
                .get(path[path.len() - 1])
                .is_some_and(|claim| claim.from == *at)
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
