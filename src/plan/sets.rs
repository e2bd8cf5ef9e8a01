//! Three-way sets: what was last applied (L), what is wanted (D), what is live (V).
//!
//! Foreign entries are F = V \ (L ∪ D), nobody's that we know of.
//!
//! | mode | result | without L |
//! |---|---|---|
//! | replace the whole | D | V \ D not empty is a first contact; F, where L was a part |
//! | keep foreign entries | D ∪ F | nothing is removed |
//!
//! Removal is computed on *effective* sets, where an empty list means everything that is allowed: a live `[]` that
//! becomes `[READ]` takes the rest away. An entry stays when the run may not remove it, and the caller reports why.

use std::collections::{BTreeMap, BTreeSet};

use super::SkipReason;
use crate::model::ManifestRef;

/// What decides about a set.
pub(super) struct ThreeWay<'a, T> {
    /// What is wanted, as it would be stored.
    pub(super) desired: &'a BTreeSet<T>,
    /// What was last applied, each entry with the manifests that asked for it.
    pub(super) last: Option<&'a BTreeMap<T, BTreeSet<ManifestRef>>>,
    /// Whether that was the whole set; else what is foreign was never one's to take out.
    pub(super) last_was_whole: bool,
    /// What is stored.
    pub(super) live: &'a BTreeSet<T>,
    /// What an empty list means; `None` where it means nothing.
    pub(super) everything: Option<&'a BTreeSet<T>>,
    /// Whether foreign entries stay.
    pub(super) keep_foreign: bool,
    /// Why nothing may be removed from it, if so.
    pub(super) gate: Option<SkipReason>,
    /// Why an entry is not taken out, as far as a recorded manifest that asked for it goes.
    pub(super) why_kept: &'a dyn Fn(&T, &ManifestRef) -> Option<SkipReason>,
    /// Whether changes behind our back are only reported.
    pub(super) report_drift: bool,
}

/// What becomes of a set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resolved<T> {
    /// What is to be stored.
    pub(super) after: BTreeSet<T>,
    /// Effective entries that go.
    pub(super) removed: BTreeSet<T>,
    /// Entries that would go, and why they stay.
    pub(super) withheld: BTreeMap<T, SkipReason>,
    /// Entries whose change behind our back is only reported.
    pub(super) drifted: BTreeSet<T>,
    /// Entries that would be the first that we ever take out of this set.
    pub(super) first_contact: BTreeSet<T>,
    /// Live entries that nobody declared.
    pub(super) foreign: BTreeSet<T>,
}

impl<T: ToString> Resolved<T> {
    /// What is left as it is, by the reason, for people.
    pub(super) fn left(&self) -> BTreeMap<SkipReason, Vec<String>> {
        let mut left: BTreeMap<SkipReason, Vec<String>> = BTreeMap::new();
        let drifted = self.drifted.iter().map(|entry| (SkipReason::Drift, entry));
        let withheld = self.withheld.iter().map(|(entry, reason)| (*reason, entry));
        for (reason, entry) in withheld.chain(drifted) {
            left.entry(reason).or_default().push(entry.to_string());
        }
        left
    }
}

impl<T: Ord + Clone> ThreeWay<'_, T> {
    pub(super) fn resolve(&self) -> Resolved<T> {
        let effective = |set: &BTreeSet<T>| match self.everything {
            Some(everything) if set.is_empty() => everything.clone(),
            _ => set.clone(),
        };
        let live = effective(self.live);
        let desired = effective(self.desired);
        let last: BTreeSet<T> = self
            .last
            .map(|last| last.keys().cloned().collect())
            .unwrap_or_default();
        let foreign: BTreeSet<T> = live
            .iter()
            .filter(|e| !last.contains(*e) && !desired.contains(*e))
            .cloned()
            .collect();

        let mut withheld = BTreeMap::new();
        let mut drifted = BTreeSet::new();
        for entry in live.difference(&desired) {
            let is_foreign = foreign.contains(entry);
            if is_foreign && self.keep_foreign {
                continue;
            }
            let why_kept = || {
                let sources = self.last.and_then(|last| last.get(entry));
                let mut sources = sources.into_iter().flatten();
                sources.find_map(|by| (self.why_kept)(entry, by))
            };
            if is_foreign && self.report_drift && self.last.is_some() {
                drifted.insert(entry.clone());
            } else if let Some(reason) = self.gate {
                withheld.insert(entry.clone(), reason);
            } else if let Some(reason) = why_kept() {
                withheld.insert(entry.clone(), reason);
            }
        }

        let mut after: BTreeSet<T> = self.desired.clone();
        after.extend(withheld.keys().cloned());
        after.extend(drifted.iter().cloned());
        if self.keep_foreign {
            after.extend(foreign.iter().cloned());
        }
        if self.report_drift {
            // Applied, wanted, and gone behind our back.
            let gone: BTreeSet<T> = desired
                .iter()
                .filter(|e| last.contains(*e) && !live.contains(*e))
                .cloned()
                .collect();
            after.retain(|entry| !gone.contains(entry));
            drifted.extend(gone);
        }
        // What was stored stays stored as it was when it comes to the same: `[]` is not spelled out.
        if self.live.is_empty() && !self.desired.is_empty() && after == live {
            after.clone_from(self.live);
        }
        let removed: BTreeSet<T> = live.difference(&effective(&after)).cloned().collect();
        let first_contact = match self.last {
            None => removed.clone(),
            Some(_) if self.last_was_whole => BTreeSet::new(),
            Some(_) => removed.intersection(&foreign).cloned().collect(),
        };
        Resolved {
            after,
            removed,
            withheld,
            drifted,
            first_contact,
            foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SourceFile;

    fn set(text: &str) -> BTreeSet<char> {
        text.chars().collect()
    }

    struct Case<'a> {
        last: Option<&'a str>,
        part: bool,
        desired: &'a str,
        live: &'a str,
        everything: Option<&'a str>,
        keep: bool,
        gate: Option<SkipReason>,
        report: bool,
    }

    const PLAIN: Case<'static> = Case {
        last: Some(""),
        part: false,
        desired: "",
        live: "",
        everything: None,
        keep: false,
        gate: None,
        report: false,
    };

    fn resolve(case: &Case<'_>) -> Resolved<char> {
        let of = |path| BTreeSet::from([ManifestRef::from(SourceFile::new(path))]);
        let here = of("here.yaml");
        let there = of("there.yaml");
        // Upper-case letters of L come from a file outside the run's paths.
        let last = case.last.map(|last| {
            last.chars()
                .map(|c| {
                    (
                        c.to_ascii_lowercase(),
                        if c.is_uppercase() {
                            there.clone()
                        } else {
                            here.clone()
                        },
                    )
                })
                .collect::<BTreeMap<_, _>>()
        });
        ThreeWay {
            desired: &set(case.desired),
            last: last.as_ref(),
            last_was_whole: !case.part,
            live: &set(case.live),
            everything: case.everything.map(set).as_ref(),
            keep_foreign: case.keep,
            gate: case.gate,
            why_kept: &|_, manifest| {
                (manifest.file.path() != "here.yaml").then_some(SkipReason::OtherSource)
            },
            report_drift: case.report,
        }
        .resolve()
    }

    #[test]
    fn a_whole_set_becomes_what_is_wanted() {
        let result = resolve(&Case {
            last: Some("ab"),
            desired: "bc",
            live: "abx",
            ..PLAIN
        });
        assert_eq!(
            (result.after, result.removed, result.foreign),
            (set("bc"), set("ax"), set("x"))
        );
        assert!(result.first_contact.is_empty());
    }

    #[test]
    fn foreign_entries_stay_where_they_are_kept() {
        let result = resolve(&Case {
            last: Some("ab"),
            desired: "b",
            live: "abx",
            keep: true,
            ..PLAIN
        });
        assert_eq!((result.after, result.removed), (set("bx"), set("a")));
    }

    #[test]
    fn the_first_removal_of_foreign_entries_from_a_set_of_which_a_part_was_ours_is_a_first_contact()
    {
        let result = resolve(&Case {
            last: Some("ab"),
            part: true,
            desired: "a",
            live: "abx",
            ..PLAIN
        });
        assert_eq!(
            (result.after, result.removed, result.first_contact),
            (set("a"), set("bx"), set("x"))
        );
    }

    #[test]
    fn the_first_removal_from_an_unknown_set_is_a_first_contact() {
        let result = resolve(&Case {
            last: None,
            desired: "a",
            live: "abx",
            ..PLAIN
        });
        assert_eq!((result.after, result.first_contact), (set("a"), set("bx")));
        let growth = resolve(&Case {
            last: None,
            desired: "abc",
            live: "ab",
            ..PLAIN
        });
        assert_eq!((growth.after, growth.first_contact), (set("abc"), set("")));
        let kept = resolve(&Case {
            last: None,
            desired: "a",
            live: "abx",
            keep: true,
            ..PLAIN
        });
        assert_eq!(
            (kept.after, kept.removed, kept.first_contact),
            (set("abx"), set(""), set(""))
        );
    }

    #[test]
    fn a_run_that_may_not_remove_keeps_the_entry_and_says_so() {
        let gate = Some(SkipReason::NoDelete);
        let result = resolve(&Case {
            last: Some("ab"),
            desired: "bc",
            live: "ab",
            gate,
            ..PLAIN
        });
        assert_eq!((result.after, result.removed), (set("abc"), set("")));
        assert_eq!(result.withheld, [('a', SkipReason::NoDelete)].into());
        let unknown = resolve(&Case {
            last: None,
            desired: "b",
            live: "ab",
            gate,
            ..PLAIN
        });
        assert!(unknown.first_contact.is_empty());
    }

    #[test]
    fn an_entry_from_a_file_outside_the_run_stays() {
        let result = resolve(&Case {
            last: Some("aB"),
            desired: "",
            live: "ab",
            ..PLAIN
        });
        assert_eq!((result.after, result.removed), (set("b"), set("a")));
        assert_eq!(result.withheld, [('b', SkipReason::OtherSource)].into());
    }

    #[test]
    fn filling_an_empty_list_that_means_everything_is_a_removal() {
        let case = Case {
            desired: "r",
            everything: Some("rwx"),
            ..PLAIN
        };
        let result = resolve(&Case { last: None, ..case });
        assert_eq!((result.after, result.first_contact), (set("r"), set("wx")));
        let gated = resolve(&Case {
            gate: Some(SkipReason::NoDelete),
            ..case
        });
        assert_eq!((gated.after, gated.removed), (set(""), set("")));
        let kept = resolve(&Case {
            keep: true,
            last: None,
            ..case
        });
        assert_eq!((kept.after, kept.removed), (set(""), set("")));
    }

    #[test]
    fn emptying_a_list_that_then_means_everything_removes_nothing() {
        let result = resolve(&Case {
            last: Some("r"),
            live: "r",
            everything: Some("rwx"),
            ..PLAIN
        });
        assert_eq!((result.after, result.removed), (set(""), set("")));
        let same = resolve(&Case {
            everything: Some("rwx"),
            ..PLAIN
        });
        assert_eq!((same.after, same.removed), (set(""), set("")));
    }

    #[test]
    fn reported_drift_is_neither_repaired_nor_lost() {
        let result = resolve(&Case {
            last: Some("ab"),
            desired: "abc",
            live: "bx",
            report: true,
            ..PLAIN
        });
        assert_eq!((result.after, result.drifted), (set("bcx"), set("ax")));
    }
}
