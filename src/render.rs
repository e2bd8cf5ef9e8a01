//! Plans, reports and findings as people and programs read them. Pure: data in, text out.
//!
//! Text carries ANSI styles; whoever prints it strips them where they are not wanted. Colour adds, and never carries
//! meaning alone.

pub mod finding;
pub mod json;
pub mod markdown;
mod style;
pub mod text;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::apply::{Outcome, TargetReport};
use crate::plan::guard::ApprovedPlan;
pub(crate) use crate::plan::prose::count;
use crate::plan::{Refusal, SkipReason, Skipped, Summary, TargetPlan, WayThrough};

/// What steers a terminal or hides from the eye: control characters, directions, what has no width.
static INVISIBLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]")
        .expect("the classes are Unicode's own")
});

/// A text as it is safe to show: what is invisible is written out, such as `\u{202e}`. Names, descriptions and server's
/// words may hold anything, and stand in what somebody answers "yes" to.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    INVISIBLE.replace_all(text, |found: &Captures<'_>| {
        found[0].escape_default().to_string()
    })
}

/// The command lines that hints repeat.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// What carries the plan out: `scopeward sync clusters/prod`.
    pub run: String,
    /// `adopt` on the same manifests and systems.
    pub adopt: String,
    /// What tells a verb of `inventory` which one is meant: `clusters/prod --inventory file:…`.
    pub inventory: String,
}

impl Commands {
    /// What to do about a refusal.
    pub(crate) fn way_through(&self, refusal: &Refusal) -> String {
        match &refusal.way_through {
            WayThrough::Adopt(manifest) => format!("{} --only {manifest}", self.adopt),
            WayThrough::AllowAdoption => {
                "say `adoption: Equal` in its target, or take the manifest out".to_owned()
            }
            WayThrough::ClearName { name, is_declared } => {
                let or = if *is_declared {
                    ", or take previousNames out of its manifest"
                } else {
                    ""
                };
                format!("delete or rename the live {name}{or}")
            }
            WayThrough::HandOver {
                holder,
                file,
                manifest,
            } => format!(
                "run over {holder} and {file} together to hand it over, or take it for this manifest: {} --only {manifest}",
                self.adopt
            ),
            WayThrough::RenameRepository { old, new, manifest } => format!(
                "if {new} is what {old} is called now: scopeward inventory rename-repository {old} {new} {}; \
                 else take it for this manifest: {} --only {manifest}",
                self.inventory, self.adopt
            ),
            WayThrough::MendManifests => {
                "correct what is wrong with the manifests and run over all of them to hand it over"
                    .to_owned()
            }
            WayThrough::BringBack => {
                "bring its manifest back, with `protected: false` first if it is to go; or let go of it with `scopeward release`".to_owned()
            }
            WayThrough::KeepRole => {
                "keep a role, delete the scope instead, or approve this plan".to_owned()
            }
            WayThrough::KeepScope => "say `allowEmpty: true` to mean it, or keep a scope".to_owned(),
            WayThrough::DeclareForeign => {
                "declare them, or say `foreignScopes: Keep` or `Remove`".to_owned()
            }
            WayThrough::FreeConsumers => {
                "take it from them, declare it again, or approve this plan".to_owned()
            }
            WayThrough::FreeOperations => {
                "take it out of the APIs that require it, or declare it again: the system deletes no scope in use".to_owned()
            }
            WayThrough::Review => {
                "see whether all of them are meant; then approve this plan, or raise `safety` of the target".to_owned()
            }
            WayThrough::StartInventory => {
                "pass --new-inventory to start one, or --inventory with the one that knows this target".to_owned()
            }
            WayThrough::Approve(digest) => {
                format!("write `approvedPlan: {digest}` in its spec, or approve this plan")
            }
        }
    }
}

/// Skips that somebody should know of, and the uneventful ones counted, unless all are asked for.
pub(crate) fn eventful(
    skipped: &[Skipped],
    all: bool,
) -> (Vec<&Skipped>, BTreeMap<SkipReason, usize>) {
    let mut counted = BTreeMap::new();
    let mut listed = Vec::new();
    for skip in skipped {
        let quiet = matches!(
            skip.reason,
            SkipReason::Unmanaged | SkipReason::OtherSource | SkipReason::NoDelete
        );
        if quiet && !all {
            *counted.entry(skip.reason).or_default() += 1;
        } else {
            listed.push(skip);
        }
    }
    (listed, counted)
}

/// How a target's name is shown: without its namespace where all targets share one.
pub(crate) fn target_label(approved: &ApprovedPlan, target: &TargetPlan) -> String {
    let mut others = approved.targets().iter().map(|other| &other.plan().target);
    let shared = others.all(|other| other.namespace == target.target.namespace);
    if shared {
        target.target.name.clone()
    } else {
        target.target.to_string()
    }
}

/// `1 create, 2 updates`, or `no changes`.
pub(crate) fn summary_words(summary: &Summary) -> String {
    let Summary {
        create,
        update,
        rename,
        attach,
        replace,
        detach,
        delete,
    } = *summary;
    let parts = [
        (create, "create"),
        (update, "update"),
        (rename, "rename"),
        (attach, "attach"),
        (replace, "replace"),
        (detach, "detach"),
        (delete, "delete"),
    ];
    let named = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| match (*n, *word) {
            (1, word) => format!("1 {word}"),
            (n, word @ ("attach" | "detach")) => format!("{n} {word}es"),
            (n, word) => format!("{n} {word}s"),
        });
    let words: Vec<String> = named.collect();
    if words.is_empty() {
        "no changes".to_owned()
    } else {
        words.join(", ")
    }
}

/// How many changes of a target were made.
pub(crate) fn done_summary(plan: &TargetPlan, report: &TargetReport) -> Summary {
    let mut summary = Summary::default();
    for (planned, outcome) in plan.changes.iter().zip(&report.outcomes) {
        if matches!(outcome, Outcome::Done { .. }) {
            summary.count(&planned.change);
        }
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn what_is_invisible_is_written_out_and_the_rest_stays() {
        #[rustfmt::skip]
        let table = [
            ("orders:read", "orders:read"),
            ("Größe 日本 ❤ café", "Größe 日本 ❤ café"),
            ("a\u{1b}[2Jb\n\tc\r", "a\\u{1b}[2Jb\\n\\tc\\r"),
            ("\u{7f}\u{9b}31m", "\\u{7f}\\u{9b}31m"),
            ("\u{202e}txet\u{2066}", "\\u{202e}txet\\u{2066}"),
            ("a\u{200b}b\u{feff}\u{2028}\u{3164}", "a\\u{200b}b\\u{feff}\\u{2028}\\u{3164}"),
        ];
        for (text, shown) in table {
            assert_eq!(visible(text), shown);
        }
    }
}
