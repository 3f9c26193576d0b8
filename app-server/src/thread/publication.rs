//! The publish queue: entries wait until the records before them are on disk. Pure. First in, first out: a delta never
//! overtakes its item, and an answer never overtakes earlier notifications.
//!
//! If the disk fails, entries leave the queue without numbers and count as not saved.

use std::collections::VecDeque;

use skein_protocol::ids::EventSeq;

/// Entries to publish, each behind the last record numbered before it.
#[derive(Debug)]
pub(crate) struct PublicationQueue<T> {
    waiting: VecDeque<WaitingPublication<T>>,
    /// Of all waiting entries.
    bytes: usize,
    durable: EventSeq,
}

#[derive(Debug)]
struct WaitingPublication<T> {
    behind: EventSeq,
    bytes: usize,
    what: T,
}

impl<T> PublicationQueue<T> {
    /// An empty queue. Every record up to `durable` is on disk.
    pub(crate) fn new(durable: EventSeq) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, durable }
    }

    /// Adds an entry of this size that can be published once record `behind` is durable.
    pub(crate) fn push(&mut self, behind: EventSeq, what: T, bytes: usize) {
        self.bytes += bytes;
        self.waiting.push_back(WaitingPublication { behind, bytes, what });
    }

    /// Notes that every record up to this one is durable.
    pub(crate) fn advance(&mut self, durable: EventSeq) {
        self.durable = self.durable.max(durable);
    }

    /// The next entry whose record is durable.
    pub(crate) fn pop_ready(&mut self) -> Option<T> {
        if self.waiting.front()?.behind > self.durable {
            return None;
        }
        self.pop()
    }

    /// The next entry, durable or not: for a failing disk.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let next = self.waiting.pop_front()?;
        self.bytes -= next.bytes;
        Some(next.what)
    }

    /// The size of all waiting entries.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The waiting entries, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().map(|waiting| &waiting.what)
    }

    /// Takes the waiting entries for which this is true, in order.
    pub(crate) fn take(&mut self, which: impl Fn(&T) -> bool) -> Vec<T> {
        let (taken, stay) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| which(&waiting.what));
        self.waiting = stay;
        self.bytes = self.waiting.iter().map(|waiting| waiting.bytes).sum();
        let taken: VecDeque<WaitingPublication<T>> = taken;
        taken.into_iter().map(|waiting| waiting.what).collect()
    }

    /// Every record up to this one is durable.
    pub(crate) fn durable(&self) -> EventSeq {
        self.durable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(queue: &mut PublicationQueue<&'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop_ready()).collect()
    }

    #[test]
    fn nothing_is_published_before_its_record() {
        let mut queue = PublicationQueue::new(EventSeq(0));
        queue.push(EventSeq(1), "started", 1);
        queue.push(EventSeq(1), "delta", 1);
        queue.push(EventSeq(2), "completed", 1);
        assert_eq!(queue.bytes(), 3);
        assert_eq!(ready(&mut queue), Vec::<&str>::new());
        queue.advance(EventSeq(1));
        assert_eq!(ready(&mut queue), ["started", "delta"]);
        queue.advance(EventSeq(2));
        assert_eq!(ready(&mut queue), ["completed"]);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn an_entry_without_a_record_keeps_its_place_in_the_queue() {
        let mut queue = PublicationQueue::new(EventSeq(4));
        queue.push(EventSeq(5), "answer", 1);
        queue.push(EventSeq(0), "status", 1);
        assert_eq!(ready(&mut queue), Vec::<&str>::new());
        queue.advance(EventSeq(5));
        queue.advance(EventSeq(3));
        assert_eq!(ready(&mut queue), ["answer", "status"]);
        assert_eq!(queue.durable(), EventSeq(5));
    }
}
