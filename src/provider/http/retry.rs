//! When a request is sent again, and when: pure functions, since a wrong answer here makes an object twice.
//!
//! | what came back | read | PUT, DELETE | POST |
//! |---|---|---|---|
//! | 429 | again | again | again: it was not processed |
//! | no connection was made | again | again | again: it was not sent |
//! | 502, 503, 504; the connection broke; no answer in time | again | again | may have taken effect |
//! | 500 and others | failed | may have taken effect | may have taken effect |
//! | 4xx | failed | nothing changed | nothing changed |
//!
//! A POST that does the same however often it is sent (a token request, a full replace) counts as a PUT.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::provider::connect::Patience;
use crate::provider::error::Fate;

/// What sending a request once more would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: it only reads.
    Read,
    /// The same as sending it once.
    Repeatable,
    /// Possibly a second object.
    Once,
}

/// How one attempt ended, when it did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// No connection was made, so that nothing was sent.
    NotSent,
    /// The server is not to be trusted: nothing was sent, and trying again changes nothing.
    NotTrusted,
    /// It was sent, and the answer was lost.
    Lost,
    /// It was sent, and what came back cannot be used.
    Unusable,
    /// It was answered with this status.
    Answered(u16),
}

/// What to do after an attempt that did not end well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may be sent again; should it not be, this is its fate.
    Again(Fate),
    /// It stays at that.
    Final(Fate),
}

/// Judges one attempt.
pub(crate) fn verdict(effect: Effect, ending: Ending) -> Verdict {
    use Ending::{Answered, Lost, NotSent, NotTrusted, Unusable};
    let in_doubt = match effect {
        Effect::Read => Fate::NotDone,
        Effect::Repeatable | Effect::Once => Fate::Unknown,
    };
    match ending {
        NotSent | Answered(429) => Verdict::Again(Fate::NotDone),
        Lost | Answered(502..=504) if effect != Effect::Once => Verdict::Again(in_doubt),
        // 408 is the server's own timeout: it may have been at work already.
        NotTrusted | Answered(400..=407 | 409..=499) => Verdict::Final(Fate::NotDone),
        Lost | Unusable | Answered(_) => Verdict::Final(in_doubt),
    }
}

/// The delays before each repetition if the server names none: full jitter below a ceiling that doubles.
pub(crate) fn delays(patience: &Patience) -> impl Iterator<Item = Duration> + Send + use<> {
    ExponentialBuilder::new()
        .with_min_delay(patience.first_delay)
        .with_max_delay(patience.longest_delay)
        .with_max_times(patience.attempts.saturating_sub(1) as usize)
        .build()
        .map(|ceiling| ceiling.mul_f64(rand::random::<f64>()))
}

/// The delay after so many refusals without a request that worked. It has no end of its own: a quota is waited out,
/// however many tries that takes.
pub(crate) fn quota_delay(patience: &Patience, refusals: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(refusals.saturating_sub(1));
    let ceiling = patience.first_delay.saturating_mul(doubled);
    ceiling
        .min(patience.quota_delay)
        .mul_f64(rand::random::<f64>())
}

/// How long the server asks to wait, by the answer of this status: `Retry-After` in seconds or as a date, else OneLogin's
/// `x-ratelimit-reset`, which is in seconds (not a moment, whatever its name suggests elsewhere). The latter counts down on
/// every answer of some servers, so that it is an answer only where the limit is what stopped the request.
pub(crate) fn asked_wait(status: u16, headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    if !matches!(status, 429 | 503) {
        return None;
    }
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    if let Some(value) = text(RETRY_AFTER.as_str()) {
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        if let Ok(date) = jiff::fmt::rfc2822::parse(value) {
            return Some(
                Duration::try_from(date.timestamp().duration_since(now)).unwrap_or_default(),
            );
        }
    }
    let is_used_up = text("x-ratelimit-remaining").is_none_or(|left| left.parse() == Ok(0_u64));
    if status != 429 || !is_used_up {
        return None;
    }
    text("x-ratelimit-reset")?
        .parse()
        .ok()
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_again_only_where_that_cannot_make_a_second_object() {
        use Effect::{Once, Read, Repeatable};
        use Ending::{Answered, Lost, NotSent, NotTrusted, Unusable};
        use Fate::{NotDone, Unknown};
        use Verdict::{Again, Final};
        #[rustfmt::skip]
        let table = [
            (Answered(429), Again(NotDone), Again(NotDone), Again(NotDone)),
            (NotSent,       Again(NotDone), Again(NotDone), Again(NotDone)),
            (Answered(502), Again(NotDone), Again(Unknown), Final(Unknown)),
            (Answered(503), Again(NotDone), Again(Unknown), Final(Unknown)),
            (Answered(504), Again(NotDone), Again(Unknown), Final(Unknown)),
            (Lost,          Again(NotDone), Again(Unknown), Final(Unknown)),
            (Unusable,      Final(NotDone), Final(Unknown), Final(Unknown)),
            (Answered(500), Final(NotDone), Final(Unknown), Final(Unknown)),
            (Answered(501), Final(NotDone), Final(Unknown), Final(Unknown)),
            (Answered(302), Final(NotDone), Final(Unknown), Final(Unknown)),
            (Answered(408), Final(NotDone), Final(Unknown), Final(Unknown)),
            (Answered(400), Final(NotDone), Final(NotDone), Final(NotDone)),
            (Answered(409), Final(NotDone), Final(NotDone), Final(NotDone)),
            (Answered(422), Final(NotDone), Final(NotDone), Final(NotDone)),
            (NotTrusted,    Final(NotDone), Final(NotDone), Final(NotDone)),
        ];
        for (ending, read, repeatable, once) in table {
            assert_eq!(verdict(Read, ending), read, "read, {ending:?}");
            assert_eq!(verdict(Repeatable, ending), repeatable, "PUT, {ending:?}");
            assert_eq!(verdict(Once, ending), once, "POST, {ending:?}");
        }
    }

    #[test]
    fn delays_stay_below_ceilings_that_double() {
        let patience = Patience {
            attempts: 5,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(4),
            ..Patience::default()
        };
        for _ in 0..50 {
            let delays: Vec<_> = delays(&patience).collect();
            assert_eq!(delays.len(), 4);
            for (delay, ceiling) in delays.iter().zip([1, 2, 4, 4]) {
                assert!(*delay <= Duration::from_secs(ceiling), "{delay:?}");
            }
        }
    }

    #[test]
    fn a_quota_is_tried_often_while_it_is_waited_out() {
        let patience = Patience::default();
        for _ in 0..50 {
            let mut waited = Duration::ZERO;
            let tries = (1..).take_while(|&refusals| {
                waited += quota_delay(&patience, refusals);
                waited < patience.quota
            });
            // Of a server that refuses three of five, so many in a row are one in thirty thousand.
            assert!(tries.count() >= 20);
        }
    }

    #[test]
    fn the_server_may_say_how_long_to_wait() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().expect("valid");
        let wait_after = |status: u16, pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (name.parse().expect("valid"), value.parse().expect("valid")))
                .collect();
            asked_wait(status, &headers, now)
        };
        let wait = |pairs: &[(&'static str, &'static str)]| wait_after(429, pairs);
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(wait(&[]), None);
        assert_eq!(wait(&[("retry-after", "7")]), seconds(7));
        let date = "Sun, 22 Nov 2026 10:00:30 GMT";
        assert_eq!(wait(&[("retry-after", date)]), seconds(30));
        let past = "Sun, 22 Nov 2026 09:00:00 GMT";
        assert_eq!(wait(&[("retry-after", past)]), seconds(0));
        assert_eq!(wait(&[("x-ratelimit-reset", "832")]), seconds(832));
        assert_eq!(
            wait(&[("retry-after", "1"), ("x-ratelimit-reset", "832")]),
            seconds(1)
        );
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        assert_eq!(wait(&[("retry-after", "-1")]), None);

        let [used_up, left] = ["0", "4990"].map(|remaining| {
            [
                ("x-ratelimit-remaining", remaining),
                ("x-ratelimit-reset", "832"),
            ]
        });
        #[rustfmt::skip]
        let table = [
            (429, &used_up[..], seconds(832)),
            (429, &left[..], None),
            (503, &used_up[..], None),
            (503, &used_up[1..], None),
            (503, &[("retry-after", "7")][..], seconds(7)),
            (502, &[("retry-after", "7")][..], None),
        ];
        for (status, headers, expected) in table {
            assert_eq!(
                wait_after(status, headers),
                expected,
                "{status} {headers:?}"
            );
        }
    }
}
