//! What goes wrong on purpose: a seeded plan of faults, matched against each request in the order of its rules.
//!
//! | fault | what the client sees | effect on the system |
//! |---|---|---|
//! | `latency` | the answer later; adds to whatever else applies | as usual |
//! | `status` | the given answer | none (`before`) or as usual (`after`); with `change`, somebody else's follows |
//! | `reset` | a connection reset | none (`before`) or as usual (`after`) |
//! | `truncate` | the full `Content-Length`, a cut body, the end of the connection | as usual |
//! | `expireTokens` | the answer to a token that is no longer known | every token is forgotten, then as usual |
//! | `hold` | nothing, until the plan is replaced or ended | afterwards (`before`) or at once (`after`) |
//! | `drift` | the usual answer | a change by somebody else, just before or after this request's own |
//! | `lag` | the usual answer | as usual, but the next reads of this system do not show it yet |
//!
//! The first rule that matches, and has times left, wins. Every rule counts what it matches as `seen`, also when an
//! earlier rule won, so that `skip` means what it says whatever else stands in the plan.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

/// The body of `PUT /__sandbox/faults`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct FaultPlan {
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    rules: Vec<Rule>,
}

/// When, how often and what.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Rule {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// A template such as `/api/2/api_authorizations/{id}/scopes`; `{…}` stands for one segment, a final `*` for the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    write: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<bool>,
    /// How many matching requests pass before the rule acts.
    #[serde(default)]
    skip: u64,
    /// How often it acts; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
    /// The share of matching requests on which it acts, drawn from the plan's seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percent: Option<u8>,
    fault: Fault,
}

/// What is done to a request.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Fault {
    Latency(Latency),
    Status(StatusFault),
    Reset(At),
    Truncate(Truncate),
    ExpireTokens(Nothing),
    Hold(At),
    Drift(DriftFault),
    Lag(Lag),
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Latency {
    ms: u64,
    #[serde(default)]
    jitter_ms: u64,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct StatusFault {
    pub(super) code: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retry_after: Option<String>,
    #[serde(default)]
    pub(super) when: When,
    /// A change by somebody else while the client waits to try again, as in `POST /__sandbox/drift`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) change: Option<Value>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct At {
    #[serde(default)]
    pub(super) when: When,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Truncate {
    pub(super) bytes: usize,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DriftFault {
    /// As in `POST /__sandbox/drift`; without a `system` it is that of the request.
    pub(super) change: Value,
    #[serde(default)]
    pub(super) when: When,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lag {
    pub(super) reads: u64,
}

/// On which side of the request's effect a fault lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum When {
    #[default]
    Before,
    After,
}

impl Fault {
    /// The name under which it stands in a rule and in the log.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::Status(_) => "status",
            Self::Reset(_) => "reset",
            Self::Truncate(_) => "truncate",
            Self::ExpireTokens(_) => "expireTokens",
            Self::Hold(_) => "hold",
            Self::Drift(_) => "drift",
            Self::Lag(_) => "lag",
        }
    }
}

/// What a rule looks at in a request.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) system: &'a str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) write: bool,
    pub(super) token: bool,
}

/// What is to be done to one request.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) latency: Duration,
    pub(super) fault: Option<Fault>,
    rule: usize,
    generation: u64,
}

/// The plan in force and its counters.
#[derive(Debug)]
pub(super) struct Faults {
    plan: Mutex<Running>,
    generation: watch::Sender<u64>,
    holding: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Running {
    seed: u64,
    rules: Vec<RunningRule>,
    generation: u64,
}

#[derive(Debug)]
struct RunningRule {
    rule: Rule,
    random: StdRng,
    seen: u64,
    applied: u64,
    holding: usize,
}

/// One rule and what it did, as `GET /__sandbox/faults` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleReport<'a> {
    #[serde(flatten)]
    rule: &'a Rule,
    seen: u64,
    applied: u64,
    holding: usize,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self {
            plan: Mutex::new(Running::default()),
            generation: watch::Sender::new(0),
            holding: watch::Sender::new(0),
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a plan in force, and lets go of every request that the one before held.
    pub(super) fn replace(&self, plan: FaultPlan) {
        let mut running = self.running();
        let generation = running.generation + 1;
        let rules = plan
            .rules
            .into_iter()
            .zip(0_u64..)
            .map(|(rule, index)| RunningRule {
                rule,
                // Each rule draws from its own numbers, so that one rule's draws do not move another's.
                random: StdRng::seed_from_u64(plan.seed ^ (index << 32)),
                seen: 0,
                applied: 0,
                holding: 0,
            })
            .collect();
        *running = Running {
            seed: plan.seed,
            rules,
            generation,
        };
        // Told under the lock, so that nobody can be given a verdict of a plan that is not announced yet.
        self.holding.send_replace(0);
        self.generation.send_replace(generation);
    }

    /// Says what is to be done to a request, and counts it.
    pub(super) fn decide(&self, facts: &Facts<'_>) -> Verdict {
        let mut running = self.running();
        let mut verdict = Verdict {
            generation: running.generation,
            ..Verdict::default()
        };
        for (index, entry) in running.rules.iter_mut().enumerate() {
            if !entry.rule.matches(facts) {
                continue;
            }
            entry.seen += 1;
            let is_latency = matches!(entry.rule.fault, Fault::Latency(_));
            if (verdict.fault.is_some() && !is_latency) || !entry.acts() {
                continue;
            }
            entry.applied += 1;
            if let Fault::Latency(latency) = &entry.rule.fault {
                let jitter = entry.random.random_range(0..=latency.jitter_ms);
                verdict.latency += Duration::from_millis(latency.ms.saturating_add(jitter));
            } else {
                verdict.fault = Some(entry.rule.fault.clone());
                verdict.rule = index;
            }
        }
        verdict
    }

    /// Waits until the plan that gave this verdict is no longer in force.
    pub(super) async fn hold(&self, verdict: &Verdict) {
        let mut generation = self.generation.subscribe();
        let _held = Held::new(self, verdict.rule, verdict.generation);
        // The sender lives in `self`, so the wait cannot end for want of one.
        let _ = generation
            .wait_for(|current| *current != verdict.generation)
            .await;
    }

    /// Waits until at least so many requests are held.
    pub(super) async fn wait_holding(&self, count: usize) {
        let _ = self
            .holding
            .subscribe()
            .wait_for(|holding| *holding >= count)
            .await;
    }

    /// The plan with its counters, in the form of `GET /__sandbox/faults`.
    pub(super) fn report(&self) -> Value {
        let running = self.running();
        let rules: Vec<RuleReport<'_>> = running
            .rules
            .iter()
            .map(|entry| RuleReport {
                rule: &entry.rule,
                seen: entry.seen,
                applied: entry.applied,
                holding: entry.holding,
            })
            .collect();
        let holding: usize = rules.iter().map(|rule| rule.holding).sum();
        serde_json::json!({ "seed": running.seed, "rules": rules, "holding": holding })
    }

    fn count_held(&self, rule: usize, generation: u64, change: isize) {
        let mut running = self.running();
        if running.generation != generation {
            return;
        }
        let entry = &mut running.rules[rule];
        entry.holding = entry.holding.saturating_add_signed(change);
        let total = running.rules.iter().map(|entry| entry.holding).sum();
        self.holding.send_replace(total);
    }
}

/// Counts a request as held for as long as it lives, so that a client that hangs up is not counted any more.
struct Held<'a> {
    faults: &'a Faults,
    rule: usize,
    generation: u64,
}

impl<'a> Held<'a> {
    fn new(faults: &'a Faults, rule: usize, generation: u64) -> Self {
        faults.count_held(rule, generation, 1);
        Self {
            faults,
            rule,
            generation,
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.faults.count_held(self.rule, self.generation, -1);
    }
}

impl RunningRule {
    /// Whether the rule acts on the request that it has just counted.
    fn acts(&mut self) -> bool {
        if self.seen <= self.rule.skip || self.rule.times.is_some_and(|times| self.applied >= times)
        {
            return false;
        }
        self.rule
            .percent
            .is_none_or(|percent| self.random.random_range(0..100) < percent)
    }
}

impl Rule {
    fn matches(&self, facts: &Facts<'_>) -> bool {
        self.system
            .as_ref()
            .is_none_or(|system| system == facts.system)
            && self
                .method
                .as_ref()
                .is_none_or(|method| method.eq_ignore_ascii_case(facts.method))
            && self.write.is_none_or(|write| write == facts.write)
            && self.token.is_none_or(|token| token == facts.token)
            && self
                .route
                .as_ref()
                .is_none_or(|route| route_matches(route, facts.path))
    }
}

/// Whether a path is one of a template's: segment by segment, `{…}` for any one of them, a final `*` for all that follow.
fn route_matches(template: &str, path: &str) -> bool {
    let mut path = path.trim_end_matches('/').split('/');
    let mut template = template.trim_end_matches('/').split('/').peekable();
    while let Some(wanted) = template.next() {
        if wanted == "*" && template.peek().is_none() {
            return true;
        }
        let Some(segment) = path.next() else {
            return false;
        };
        let any = wanted.starts_with('{') && wanted.ends_with('}');
        if !any && wanted != segment {
            return false;
        }
    }
    path.next().is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WRITE: Facts<'static> = Facts {
        system: "one",
        method: "POST",
        path: "/a/7/b",
        write: true,
        token: false,
    };
    const READ: Facts<'static> = Facts {
        system: "one",
        method: "GET",
        path: "/a/7/b",
        write: false,
        token: false,
    };

    fn faults(plan: Value) -> Faults {
        let faults = Faults::new();
        faults.replace(serde_json::from_value(plan).unwrap());
        faults
    }

    fn kinds(faults: &Faults, facts: &Facts<'_>, requests: usize) -> Vec<Option<&'static str>> {
        (0..requests)
            .map(|_| faults.decide(facts).fault.as_ref().map(Fault::kind))
            .collect()
    }

    #[test]
    fn a_template_matches_segment_by_segment() {
        for (template, path, matches) in [
            ("/a/{id}/b", "/a/7/b", true),
            ("/a/{id}/b", "/a/7/b/", true),
            ("/a/{id}/b", "/a/7", false),
            ("/a/{id}", "/a/7/b", false),
            ("/a/*", "/a/7/b", true),
            ("/a/*", "/b/7", false),
            ("/", "/", true),
        ] {
            assert_eq!(
                route_matches(template, path),
                matches,
                "{template} on {path}"
            );
        }
    }

    #[test]
    fn skip_and_times_bound_where_a_rule_acts() {
        let faults = faults(
            json!({ "rules": [{ "write": true, "skip": 1, "times": 2, "fault": { "reset": {} } }] }),
        );
        assert_eq!(kinds(&faults, &READ, 3), [None, None, None]);
        assert_eq!(
            kinds(&faults, &WRITE, 5),
            [None, Some("reset"), Some("reset"), None, None]
        );
        let report = faults.report();
        assert_eq!(
            (&report["rules"][0]["seen"], &report["rules"][0]["applied"]),
            (&json!(5), &json!(2))
        );
    }

    #[test]
    fn the_first_rule_with_times_left_wins_and_latency_adds_up() {
        let faults = faults(json!({ "rules": [
            { "times": 1, "fault": { "status": { "code": 500 } } },
            { "fault": { "latency": { "ms": 5 } } },
            { "fault": { "reset": { "when": "after" } } },
            { "fault": { "latency": { "ms": 7 } } },
        ]}));
        let first = faults.decide(&WRITE);
        assert_eq!(
            (first.fault.as_ref().map(Fault::kind), first.latency),
            (Some("status"), Duration::from_millis(12))
        );
        let second = faults.decide(&WRITE);
        assert_eq!(
            (second.fault.as_ref().map(Fault::kind), second.latency),
            (Some("reset"), Duration::from_millis(12))
        );
    }

    #[test]
    fn the_same_seed_draws_the_same_requests() {
        let plan = json!({ "seed": 7, "rules": [{ "percent": 40, "fault": { "reset": {} } }] });
        let once = kinds(&faults(plan.clone()), &READ, 200);
        assert_eq!(once, kinds(&faults(plan), &READ, 200));
        let hit = once.iter().flatten().count();
        assert!((50..110).contains(&hit), "{hit} of 200 at 40 %");
    }

    #[test]
    fn rules_select_by_system_method_route_and_token() {
        for (rule, on_write, on_read) in [
            (json!({ "system": "one" }), true, true),
            (json!({ "system": "two" }), false, false),
            (json!({ "method": "post" }), true, false),
            (json!({ "write": false }), false, true),
            (json!({ "token": true }), false, false),
            (
                json!({ "route": "/a/{id}/b", "method": "GET" }),
                false,
                true,
            ),
        ] {
            let mut with_fault = rule.clone();
            with_fault["fault"] = json!({ "expireTokens": {} });
            let faults = faults(json!({ "rules": [with_fault] }));
            let acts = |facts| faults.decide(facts).fault.is_some();
            assert_eq!((acts(&WRITE), acts(&READ)), (on_write, on_read), "{rule}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        for plan in [
            json!({ "rules": [{ "fault": { "reset": { "whne": "after" } } }] }),
            json!({ "rules": [{ "skipp": 1, "fault": { "reset": {} } }] }),
            json!({ "rules": [{ "fault": { "explode": {} } }] }),
        ] {
            assert!(
                serde_json::from_value::<FaultPlan>(plan.clone()).is_err(),
                "{plan}"
            );
        }
    }

    #[tokio::test]
    async fn a_held_request_is_counted_and_let_go_by_the_next_plan() {
        let faults = faults(json!({ "rules": [{ "fault": { "hold": {} } }] }));
        let verdict = faults.decide(&WRITE);
        tokio::join!(faults.hold(&verdict), async {
            faults.wait_holding(1).await;
            assert_eq!(faults.report()["holding"], 1);
            faults.replace(FaultPlan::default());
        });
        assert_eq!(faults.report()["holding"], 0);
    }

    #[tokio::test]
    async fn a_held_request_that_is_given_up_is_no_longer_counted() {
        let faults = faults(json!({ "rules": [{ "fault": { "hold": {} } }] }));
        let verdict = faults.decide(&WRITE);
        tokio::select! {
            () = faults.hold(&verdict) => unreachable!("nothing ends the plan"),
            () = faults.wait_holding(1) => {}
        }
        assert_eq!(faults.report()["holding"], 0);
    }
}
