//! Which live scope each declared one is, where names moved.
//!
//! A declared scope *claims* a live one under another name: its own that somebody renamed, or one under a previous name.
//! Claims form chains (`b` becomes `c`, then `a` becomes `b`) and cycles (`a` and `b` swap). A claim holds while the
//! place that it goes to is free or gets free by another claim, and nobody stays in the place that it leaves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Context, Reason};
use crate::model::{OwnedScope, ScopeName};

/// Who owns which live scope.
pub(super) struct Ownership<'a> {
    /// By live name: the inventory's name for it, and its entry.
    pub(super) of_live: BTreeMap<&'a ScopeName, (ScopeName, OwnedScope)>,
    /// By the inventory's name: the live name.
    pub(super) live_of: BTreeMap<ScopeName, &'a ScopeName>,
}

/// A declared scope that is live under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// The live name.
    pub(super) from: ScopeName,
    /// Why.
    pub(super) reason: Reason,
}

/// The claims that hold, and those that do not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// By declared name.
    pub(super) held: BTreeMap<ScopeName, Claim>,
    /// Claims whose new name is live and stays: by declared name, the live name claimed.
    pub(super) blocked: BTreeMap<ScopeName, ScopeName>,
}

/// Finds the claims among the declared scopes.
pub(super) fn claims(context: &Context<'_>, ownership: &Ownership<'_>) -> Claims {
    let desired = &context.desired.scopes;
    let live = &context.live.scopes;
    let in_place =
        context.desired.target.system().capabilities().rename == crate::model::Rename::InPlace;
    let parked: BTreeMap<&ScopeName, &ScopeName> = ownership
        .of_live
        .iter()
        .filter_map(|(live, (_, entry))| entry.parked_for.as_ref().map(|goal| (goal, *live)))
        .collect();
    // Where the object that we know as `name` is now.
    let object = |name: &ScopeName| match live.get_key_value(name) {
        Some((live, _)) => Some(live),
        None => ownership
            .live_of
            .get(name)
            .copied()
            .filter(|live| !desired.contains_key(*live)),
    };

    let mut claims = Claims::default();
    let mut taken: BTreeSet<&ScopeName> = BTreeSet::new();
    for (name, scope) in desired {
        let honoured = ownership
            .of_live
            .get(name)
            .map(|(_, entry)| &entry.renamed_from);
        let previous = || {
            let open = scope
                .previous_names
                .iter()
                .filter(|p| *p != name && honoured.is_none_or(|h| !h.contains(*p)));
            open.filter_map(object).find(|from| *from != name)
        };
        let moved = || object(name).filter(|from| in_place && *from != name);
        let claim = if let Some(from) = parked.get(name) {
            Some((*from, Reason::SwapOfNames))
        } else if let Some(from) = moved() {
            Some((from, Reason::RenamedLive))
        } else {
            previous().map(|from| (from, Reason::RenamedFrom))
        };
        if let Some((from, reason)) = claim
            && taken.insert(from)
        {
            claims.held.insert(
                name.clone(),
                Claim {
                    from: from.clone(),
                    reason,
                },
            );
        }
    }

    // A claim that falls may make others fall: the one on its own new place, and the one that waits for its leaving.
    let by_source: BTreeMap<ScopeName, ScopeName> = claims
        .held
        .iter()
        .map(|(to, claim)| (claim.from.clone(), to.clone()))
        .collect();
    let mut queue: VecDeque<ScopeName> = claims.held.keys().cloned().collect();
    while let Some(to) = queue.pop_front() {
        let Some(claim) = claims.held.get(&to) else {
            continue;
        };
        let leaves = |name: &ScopeName| {
            by_source
                .get(name)
                .is_some_and(|goal| claims.held.contains_key(goal))
        };
        let place_taken = live.contains_key(&to) && !leaves(&to);
        let stays = desired.contains_key(&claim.from) && !claims.held.contains_key(&claim.from);
        if !place_taken && !stays {
            continue;
        }
        let from = claim.from.clone();
        claims.held.remove(&to);
        if place_taken {
            claims.blocked.insert(to.clone(), from.clone());
        }
        // Whoever wanted to move into the place that is not left after all, and whoever counted on this one's move.
        queue.push_back(from);
        queue.extend(by_source.get(&to).cloned());
    }
    claims
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

/// A name for the time of a swap: neither live nor declared.
pub(super) fn temporary_name(name: &ScopeName, context: &Context<'_>) -> ScopeName {
    let stem: String = name.as_str().chars().take(240).collect();
    let free = |candidate: &ScopeName| {
        !context.live.scopes.contains_key(candidate)
            && !context.desired.scopes.contains_key(candidate)
    };
    (0u32..)
        .map(|n| {
            ScopeName::observed(if n == 0 {
                format!("{stem}.swap")
            } else {
                format!("{stem}.swap{n}")
            })
        })
        .find(free)
        .expect("only finitely many names are taken")
}
