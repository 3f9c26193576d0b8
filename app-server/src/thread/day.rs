//! The use of models by all threads today: the sum of the use of each. A thread's own value replaces its
//! last one, so nothing counts twice. A start reads the rows of today's threads; a turn with a limit for the day waits
//! for that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use skein_protocol::ids::ThreadId;
use skein_protocol::thread::SortDirection;
use skein_store::index::{IndexError, SortKey, Span, ThreadFilter};
use skein_store::rollout::record::DaySpent;
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::policy;

/// The use of models by all threads today. Shared.
#[derive(Debug, Default)]
pub(crate) struct DayUse {
    today: Mutex<Today>,
    /// Cancelled once the threads of an earlier server are in it.
    complete: CancellationToken,
}

#[derive(Debug, Default)]
struct Today {
    day: i64,
    of: HashMap<ThreadId, DaySpent>,
    sum: DaySpent,
}

impl DayUse {
    /// Sets what a thread has used, as its owner knows it.
    pub(crate) fn note(&self, thread: ThreadId, spent: DaySpent, today: i64) {
        let mut now = self.on_day(today);
        if spent.day == today {
            now.set(thread, spent);
        }
    }

    /// Sets what threads have used before this start, unless their owners know more already.
    pub(crate) fn fill(&self, rows: impl IntoIterator<Item = (ThreadId, DaySpent)>, today: i64) {
        let mut now = self.on_day(today);
        for (thread, spent) in rows {
            if spent.day == today && !now.of.contains_key(&thread) {
                now.set(thread, spent);
            }
        }
    }

    /// Notes that the threads of an earlier server are in it.
    pub(crate) fn complete(&self) {
        self.complete.cancel();
    }

    /// Cancelled once the threads of an earlier server are in it.
    pub(crate) fn is_complete(&self) -> CancellationToken {
        self.complete.clone()
    }

    /// The sum of a day.
    pub(crate) fn on(&self, today: i64) -> DaySpent {
        self.on_day(today).sum
    }

    fn on_day(&self, today: i64) -> MutexGuard<'_, Today> {
        let mut now = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if now.day != today {
            *now =
                Today { day: today, of: HashMap::new(), sum: DaySpent { day: today, ..DaySpent::default() } };
        }
        now
    }
}

impl Today {
    fn set(&mut self, thread: ThreadId, spent: DaySpent) {
        let before = self.of.insert(thread, spent).unwrap_or_default();
        let grown = |sum: i64, before: i64, now: i64| sum.saturating_sub(before).saturating_add(now);
        self.sum.tokens = grown(self.sum.tokens, before.tokens, spent.tokens);
        self.sum.more = grown(self.sum.more, before.more, spent.more);
    }
}

/// Adds what the threads of an earlier server have used today.
pub(crate) async fn read(context: Arc<Context>, stop: CancellationToken) {
    match stop.run_until_cancelled(read_rows(&context)).await {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            tracing::warn!(%error, "budget.day_tokens counts from this start: the list of threads cannot be read");
        }
        None => return,
    }
    context.day.complete();
}

async fn read_rows(context: &Context) -> Result<(), IndexError> {
    let today = DaySpent::day_of(context.clock.wall());
    let updated = Span::of_seconds(Some(DaySpent::begin_of(today).seconds()), None);
    for archived in [false, true] {
        let mut cursor = None;
        loop {
            let (sort, direction) = (SortKey::Updated, SortDirection::Desc);
            let filter = ThreadFilter { archived, updated, sort, direction, ..ThreadFilter::default() };
            let page = context.index.list(filter, cursor, usize::MAX).await?;
            context.day.fill(page.rows.iter().map(|row| (row.id, row.spent)), today);
            cursor = match (page.indexing, page.next) {
                // The list is being made.
                (Some(_), _) => {
                    tokio::time::sleep(policy::DAY_LOOK).await;
                    None
                }
                (None, None) => break,
                (None, next) => next,
            };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn spent(day: i64, tokens: i64) -> DaySpent {
        DaySpent { day, tokens, more: 0 }
    }

    #[test]
    fn each_thread_counts_once_however_often_it_is_noted() {
        let (day, [a, b]) = (DayUse::default(), [1, 2].map(|id| ThreadId::new(Uuid::from_u128(id))));
        day.note(a, spent(7, 10), 7);
        day.note(a, spent(7, 15), 7);
        day.fill([(a, spent(7, 10)), (b, spent(7, 5)), (b, spent(6, 100))], 7);
        assert_eq!(day.on(7), spent(7, 20));
    }

    #[test]
    fn a_new_day_begins_with_nothing() {
        let (day, a) = (DayUse::default(), ThreadId::new(Uuid::from_u128(1)));
        day.note(a, spent(7, 10), 7);
        assert_eq!(day.on(8), spent(8, 0));
        day.note(a, spent(7, 10), 8);
        assert_eq!(day.on(8), spent(8, 0));
        day.note(a, spent(8, 3), 8);
        assert_eq!(day.on(8), spent(8, 3));
    }
}
