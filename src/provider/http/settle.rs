//! What became of a write whose answer was lost, and whether what it rests on still holds when it is sent again.

use tokio::time::Instant;

use super::call::Tries;
use super::{Call, Http, retry};
use crate::provider::Applied;
use crate::provider::error::{Cause, Fate, ProviderError};
use crate::provider::seen::Seen;

/// What a look at the live objects showed.
pub(crate) enum Found<T> {
    /// It is there, just as it was to be made.
    Equal(T),
    /// Something of its name is there, and differs so.
    Different(String),
    /// It is not there.
    Absent,
}

/// An object that is there now as it was to be made.
pub(crate) struct Settled<T> {
    /// The object.
    pub(crate) object: T,
    /// Somebody else made it, before any request of ours could.
    pub(crate) found: bool,
}

/// What becomes of a create that is in doubt and that a look does not show, where another try might do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// It is sent again: should the first one be at work still, the server refuses one of the two.
    Again,
    /// It is left in doubt: the server would make it twice.
    Left,
}

/// Makes an object, and looks before saying that it failed and before sending it again.
///
/// | the create | the look | result |
/// |---|---|---|
/// | worked | | done |
/// | refused | | its error |
/// | in doubt, or a conflict after a doubt | equal | done |
/// | a conflict at first | equal | found: it is somebody else's |
/// | | different | its error, nothing changed |
/// | in doubt | different | its error, fate unknown |
/// | in doubt, or a conflict | failed | its error, fate unknown |
/// | in doubt, and worth another try | absent | sent again, as often as any request; or its error, fate unknown ([`Unseen`]) |
/// | in doubt otherwise (a 500) | absent | its error, fate unknown |
/// | a conflict | absent | its error, nothing changed |
///
/// A list may lag, so that it never says that nothing was made. A request whose answer never came may still be at work when the look shows nothing; so its fate stays unknown when the
/// tries are over, and a try that meets its late success is a conflict, and looked up.
///
/// `send` makes it once, `look` is given no request that an interrupt stops (see [`super::Call::settling`]), and
/// `is_conflict` says whether an error means that the object exists. An equal object after a doubt counts as made: the
/// caller knows that it was absent before.
pub(crate) async fn settle_create<T, S, L>(
    http: &Http,
    mut send: impl FnMut() -> S + Send,
    mut look: impl FnMut() -> L + Send,
    is_conflict: impl Fn(&ProviderError) -> bool + Send,
    unseen: Unseen,
) -> Result<Settled<T>, ProviderError>
where
    S: Future<Output = Result<T, ProviderError>> + Send,
    L: Future<Output = Result<Found<T>, ProviderError>> + Send,
{
    let mut delays = retry::delays(&http.patience);
    // The last attempt that may have taken effect: what follows does not make it certain that it has not.
    let mut in_doubt: Option<ProviderError> = None;
    loop {
        let error = match (send().await, &in_doubt) {
            (Ok(object), _) => {
                return Ok(Settled {
                    object,
                    found: false,
                });
            }
            (Err(error), Some(earlier)) if error.cause == Cause::Interrupted => {
                return Err(earlier.clone());
            }
            (Err(error), _) => error,
        };
        let settled = match in_doubt {
            Some(_) => Fate::Unknown,
            None => Fate::NotDone,
        };
        let conflict = is_conflict(&error);
        if error.fate == Fate::NotDone && !conflict {
            return Err(error.with_fate(settled));
        }
        match look().await {
            Ok(Found::Equal(object)) => {
                let found = conflict && in_doubt.is_none();
                return Ok(Settled { object, found });
            }
            Ok(Found::Different(how)) => {
                let help = format!("it is there now, and {how}: look at it before the next run");
                let fate = if conflict { settled } else { Fate::Unknown };
                return Err(error.with_fate(fate).with_help(help));
            }
            Err(look) => {
                let help = format!(
                    "whether it was made could not be found out: {look}: {}",
                    look.cause
                );
                return Err(error.with_fate(Fate::Unknown).with_help(help));
            }
            Ok(Found::Absent) if conflict || !error.is_retryable() => {
                let fate = match error.fate {
                    Fate::Unknown => Fate::Unknown,
                    Fate::NotDone => settled,
                };
                return Err(error.with_fate(fate));
            }
            Ok(Found::Absent) if unseen == Unseen::Left => {
                return Err(error.with_help(
                    "it may be at work still: it is not sent again, since this server could make it twice",
                ));
            }
            Ok(Found::Absent) => {}
        }
        let Some(delay) = delays.next() else {
            return Err(error);
        };
        if http
            .gate
            .sleep(Instant::now() + delay, false)
            .await
            .is_err()
        {
            return Err(error);
        }
        in_doubt = Some(error);
    }
}

/// Replaces an object as a whole, and looks again each time before it is sent once more: after a 429, a 503 or a lost
/// answer somebody else may have written to it. So does a first try that a pause of the target held up after the look at
/// `looked_at` (`None`: nobody looked).
///
/// | the look shows | after answers that say that nothing was done | after a lost answer |
/// |---|---|---|
/// | what was there before | sent | sent |
/// | what is to be there | found: it is somebody else's | done |
/// | something else, and nothing of ours | moved: left alone | moved: left alone |
/// | something else, and something of ours | moved: left alone | its error, fate unknown |
/// | nothing: the look failed | the look's error | its error, fate unknown |
///
/// `call` makes the request anew, with what a look may have changed in it. `look` is given a moment, gives a look that
/// was begun no earlier, and says when it was.
pub(crate) async fn settle_replace<'a, L>(
    http: &Http,
    looked_at: Option<Instant>,
    call: impl Fn() -> Call<'a> + Send,
    look: impl Fn(Instant) -> L + Send,
) -> Result<Applied, ProviderError>
where
    L: Future<Output = Result<(Instant, Seen), ProviderError>> + Send,
{
    let mut tries = Tries::new(http);
    let mut looked_at = looked_at;
    loop {
        if http.gate.opened(false).await.is_err() {
            return Err(tries.given_up(call().doing()));
        }
        let since = tries.again_at().max(Some(http.gate.resume_at()));
        if looked_at < since {
            let since = since.unwrap_or_else(Instant::now);
            let (began, seen) = match look(since).await {
                Ok(seen) => seen,
                Err(error) => return Err(unseen(tries.last, error)),
            };
            looked_at = Some(began);
            match (seen, tries.fate) {
                (Seen::AsBefore, _) => {}
                (Seen::AsWanted, Fate::Unknown) => return Ok(Applied::done()),
                (Seen::AsWanted, Fate::NotDone) => return Ok(Applied::Found),
                (Seen::Moved { ours: true }, Fate::Unknown) => {
                    return Err(tries.given_up(call().doing()).with_help(
                        "it has changed meanwhile, and holds some of what was sent: it is not sent again",
                    ));
                }
                (Seen::Moved { .. }, _) => return Ok(Applied::Moved),
            }
        }
        if call().once(&mut tries, looked_at).await?.is_some() {
            return Ok(Applied::done());
        }
    }
}

/// The error of a write that is not sent again, since what it rests on could not be seen.
fn unseen(last: Option<ProviderError>, look: ProviderError) -> ProviderError {
    match last {
        Some(last) if look.cause == Cause::Interrupted => last,
        Some(last) if last.fate == Fate::Unknown => {
            let help = format!(
                "whether it was made could not be found out: {look}: {}",
                look.cause
            );
            last.with_help(help)
        }
        _ => look,
    }
}
