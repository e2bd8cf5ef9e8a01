//! Lists that many writes look at: one reading serves all of them.

use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::provider::error::ProviderError;

/// What a reading showed, and when its request was sent: it is no older than that.
#[derive(Debug, Clone)]
pub(crate) struct Dated<T> {
    /// When the request was sent.
    pub(crate) at: Instant,
    /// What it showed.
    pub(crate) of: T,
}

/// The last reading of a list, shared by all writes that rest on it.
#[derive(Debug)]
pub(crate) struct SharedList<T>(Mutex<Option<Last<T>>>);

#[derive(Debug)]
struct Last<T> {
    at: Instant,
    outcome: Result<Arc<T>, ProviderError>,
}

impl<T> Default for SharedList<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> SharedList<T> {
    /// Keeps a reading that was made for another purpose.
    pub(crate) async fn keep(&self, read: Dated<T>) -> Arc<T> {
        let list = Arc::new(read.of);
        *self.0.lock().await = Some(Last {
            at: read.at,
            outcome: Ok(Arc::clone(&list)),
        });
        list
    }

    /// When the last reading was begun.
    pub(crate) async fn read_at(&self) -> Option<Instant> {
        self.0.lock().await.as_ref().map(|last| last.at)
    }

    /// A reading that was begun at `since` or later: the last one, else a new one. Whoever waits for a reading shares it,
    /// its failure included.
    pub(crate) async fn since<F>(
        &self,
        since: Instant,
        read: impl FnOnce() -> F + Send,
    ) -> Result<Dated<Arc<T>>, ProviderError>
    where
        F: Future<Output = Result<Dated<T>, ProviderError>> + Send,
    {
        let mut last = self.0.lock().await;
        if last.as_ref().is_none_or(|last| last.at < since) {
            let begun = Instant::now();
            let outcome = read().await;
            *last = Some(Last {
                at: outcome.as_ref().map_or(begun, |read| read.at),
                outcome: outcome.map(|read| Arc::new(read.of)),
            });
        }
        let last = last
            .as_ref()
            .expect("it was read a moment ago at the latest");
        Ok(Dated {
            at: last.at,
            of: last.outcome.clone()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::provider::Cause;

    #[tokio::test]
    async fn one_reading_serves_all_that_need_one_of_its_age() {
        let list = SharedList::default();
        let reads = AtomicU32::new(0);
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let read = |at: Instant| {
            let number = reads.fetch_add(1, Ordering::Relaxed);
            async move { Ok(Dated { at, of: number }) }
        };
        list.keep(Dated { at: start, of: 99 }).await;
        for (since, began, expected) in [
            (start, start, 99),
            (start + second, start + 2 * second, 0),
            (start + second, start, 0),
            (start + 2 * second, start, 0),
            (start + 3 * second, start + 3 * second, 1),
        ] {
            let found = list.since(since, || read(began)).await.expect("read");
            assert_eq!(*found.of, expected);
            assert!(found.at >= since);
        }
    }

    #[tokio::test]
    async fn whoever_waits_for_a_reading_shares_its_failure() {
        let list = SharedList::<()>::default();
        let reads = AtomicU32::new(0);
        let since = Instant::now();
        let read = || {
            reads.fetch_add(1, Ordering::Relaxed);
            async {
                tokio::task::yield_now().await;
                Err(ProviderError::new("read it", Cause::Timeout(1)))
            }
        };
        let (one, other) = tokio::join!(list.since(since, read), list.since(since, read));
        assert!(one.is_err() && other.is_err());
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }
}
