//! The use of models by all threads today: the sum of the use of each. A thread's own value replaces its
//! last one, so nothing counts twice. A start reads the rows of today's threads; a turn with a limit for the day waits
//! for that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skein_protocol::ids::ThreadId;
use skein_protocol::thread::SortDirection;
use skein_store::history::ThreadRow;
use skein_store::index::{IndexError, SortKey, Span, ThreadFilter};
use skein_store::rollout::record::{DaySpent, QuestionKind};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::command::Repaired;
use super::registry::ThreadHandle;
use super::{Context, dispatch};
use crate::policy;

/// The use of models by all threads today. Shared.
#[derive(Debug, Default)]
pub(crate) struct DayUse {
    /// The days that were asked about last, the newest at the end. Around midnight threads ask about both.
    days: Mutex<Vec<UseOfDay>>,
    /// Cancelled once the threads of an earlier server are in it.
    complete: CancellationToken,
    /// Notified when a limit may have room.
    has_room: Notify,
}

#[derive(Debug)]
struct UseOfDay {
    of: HashMap<ThreadId, DaySpent>,
    sum: DaySpent,
}

impl DayUse {
    /// Sets what a thread has used, as its owner knows it. Returns the sum before and now.
    pub(crate) fn note(&self, thread: ThreadId, spent: DaySpent, today: i64) -> (DaySpent, DaySpent) {
        self.with(today, |day| {
            let before = day.sum;
            if spent.day == today {
                day.set(thread, spent);
            }
            (before, day.sum)
        })
    }

    /// Sets what threads have used before this start, unless their owners know more already.
    pub(crate) fn fill(&self, rows: impl IntoIterator<Item = (ThreadId, DaySpent)>, today: i64) {
        self.with(today, |day| {
            for (thread, spent) in rows {
                if spent.day == today && !day.of.contains_key(&thread) {
                    day.set(thread, spent);
                }
            }
        });
    }

    /// Notes that the threads of an earlier server are in it.
    pub(crate) fn complete(&self) {
        self.complete.cancel();
    }

    /// Cancelled once the threads of an earlier server are in it.
    pub(crate) fn is_complete(&self) -> CancellationToken {
        self.complete.clone()
    }

    /// A limit may have room: the settings have changed, a user has raised the limit of the day, or a request has used
    /// less than its estimate.
    pub(crate) fn look(&self) {
        self.has_room.notify_one();
    }

    /// The sum of a day.
    pub(crate) fn on(&self, today: i64) -> DaySpent {
        self.with(today, |day| day.sum)
    }

    fn with<T>(&self, today: i64, take: impl FnOnce(&mut UseOfDay) -> T) -> T {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        let known = days.iter().position(|day| day.sum.day == today).map(|at| days.remove(at));
        let mut day = known.unwrap_or_else(|| UseOfDay {
            of: HashMap::new(),
            sum: DaySpent { day: today, ..DaySpent::default() },
        });
        let taken = take(&mut day);
        if days.len() > 1 {
            days.remove(0);
        }
        days.push(day);
        taken
    }
}

impl UseOfDay {
    fn set(&mut self, thread: ThreadId, spent: DaySpent) {
        let before = self.of.insert(thread, spent).unwrap_or_default();
        let changed = |sum: i64, before: i64, now: i64| sum.saturating_sub(before).saturating_add(now);
        self.sum.tokens = changed(self.sum.tokens, before.tokens, spent.tokens);
        self.sum.more = changed(self.sum.more, before.more, spent.more);
    }
}

/// Adds what the threads of an earlier server have used today. At the beginning of each day, and when a limit
/// may have room, lets those go on that waited for it: loaded threads, messages of queues, and turns that were parked.
pub(crate) async fn run(context: Arc<Context>, stop: CancellationToken) {
    let work = async {
        read(&context).await;
        go_on(&context, parked_at_limits(&context).await).await;
        loop {
            let now = context.clock.wall();
            let tomorrow = DaySpent::begin_of(DaySpent::day_of(now) + 1);
            let wait = Duration::from_millis(u64::try_from(tomorrow.0 - now.0).unwrap_or_default());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = context.day.has_room.notified() => {}
            }
            context.registry.handles().iter().for_each(ThreadHandle::wake);
            go_on(&context, left_open(&context).await).await;
            go_on(&context, parked_at_limits(&context).await).await;
        }
    };
    stop.run_until_cancelled(work).await;
}

/// Loads these threads, one after the other. Those with nothing to do are unloaded at once.
async fn go_on(context: &Arc<Context>, threads: Vec<ThreadId>) {
    for thread in threads {
        if let Repaired::Failed(why) = dispatch::repair(context, thread).await {
            tracing::warn!(%thread, why, "a thread that may go on cannot be loaded");
        }
    }
}

/// The threads with an open marker: a message of their queue may become a turn.
async fn left_open(context: &Context) -> Vec<ThreadId> {
    context.store.open_markers().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "queues of threads that are not loaded wait: the open markers cannot be read");
        Vec::new()
    })
}

/// The threads whose turn waits for an answer about a limit.
async fn parked_at_limits(context: &Context) -> Vec<ThreadId> {
    let (mut threads, mut cursor) = (Vec::new(), None);
    loop {
        match context.index.list(ThreadFilter::waiting(), cursor, usize::MAX).await {
            Ok(page) => {
                let at_limit =
                    |row: &&ThreadRow| row.waiting.iter().any(|waiting| waiting.kind == QuestionKind::Budget);
                threads.extend(page.rows.iter().filter(at_limit).map(|row| row.id));
                cursor = page.next;
            }
            Err(error) => {
                tracing::warn!(%error, "turns that wait at a limit stay parked: the list of threads cannot be read");
                cursor = None;
            }
        }
        if cursor.is_none() {
            return threads;
        }
    }
}

/// Adds what the threads of an earlier server have used today.
pub(crate) async fn read(context: &Context) {
    if let Err(error) = read_rows(context).await {
        tracing::warn!(%error, "budget.day_tokens counts from this start: the list of threads cannot be read");
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
        assert_eq!(day.note(a, spent(7, 15), 7), (spent(7, 10), spent(7, 15)));
        day.fill([(a, spent(7, 10)), (b, spent(7, 5)), (b, spent(6, 100))], 7);
        assert_eq!(day.on(7), spent(7, 20));
    }

    #[test]
    fn a_new_day_begins_with_nothing() {
        let (day, a) = (DayUse::default(), ThreadId::new(Uuid::from_u128(1)));
        day.note(a, spent(7, 10), 7);
        assert_eq!(day.on(8), spent(8, 0));
        assert_eq!(day.note(a, spent(7, 10), 8), (spent(8, 0), spent(8, 0)));
        day.note(a, spent(8, 3), 8);
        assert_eq!(day.on(8), spent(8, 3));
        // Another thread has read the clock before midnight.
        assert_eq!((day.on(7), day.on(8)), (spent(7, 10), spent(8, 3)));
        // The day before both is forgotten.
        assert_eq!((day.on(6), day.on(7)), (spent(6, 0), spent(7, 0)));
    }
}
