//! The publish queue: entries wait until the records before them are on disk. Pure. First in, first out: a delta never
//! overtakes its item, and an answer never overtakes earlier notifications.
//!
//! If the disk fails, entries leave the queue without numbers and count as not saved.

use std::collections::VecDeque;

use skein_protocol::ids::EventSeq;

/// Entries to publish, each behind the last record numbered before it.
#[derive(Debug)]
pub(crate) struct PublicationQueue<T> {
    waiting: VecDeque<(EventSeq, T)>,
    durable: EventSeq,
}

impl<T> PublicationQueue<T> {
    /// An empty queue. Every record up to `durable` is on disk.
    pub(crate) fn new(durable: EventSeq) -> Self {
        Self { waiting: VecDeque::new(), durable }
    }

    /// Adds an entry that can be published once record `behind` is durable.
    pub(crate) fn push(&mut self, behind: EventSeq, what: T) {
        self.waiting.push_back((behind, what));
    }

    /// Notes that every record up to this one is durable.
    pub(crate) fn advance(&mut self, durable: EventSeq) {
        self.durable = self.durable.max(durable);
    }

    /// The next entry whose record is durable.
    pub(crate) fn pop_ready(&mut self) -> Option<T> {
        let (behind, _) = self.waiting.front()?;
        if *behind > self.durable {
            return None;
        }
        self.waiting.pop_front().map(|(_, what)| what)
    }

    /// The next entry, durable or not: for a failing disk.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.waiting.pop_front().map(|(_, what)| what)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The waiting entries, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().map(|(_, what)| what)
    }

    pub(crate) fn retain(&mut self, stays: impl Fn(&T) -> bool) {
        self.waiting.retain(|(_, what)| stays(what));
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
        queue.push(EventSeq(1), "started");
        queue.push(EventSeq(1), "delta");
        queue.push(EventSeq(2), "completed");
        assert_eq!(ready(&mut queue), Vec::<&str>::new());
        queue.advance(EventSeq(1));
        assert_eq!(ready(&mut queue), ["started", "delta"]);
        queue.advance(EventSeq(2));
        assert_eq!(ready(&mut queue), ["completed"]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn an_entry_without_a_record_keeps_its_place_in_the_queue() {
        let mut queue = PublicationQueue::new(EventSeq(4));
        queue.push(EventSeq(5), "answer");
        queue.push(EventSeq(0), "status");
        assert_eq!(ready(&mut queue), Vec::<&str>::new());
        queue.advance(EventSeq(5));
        queue.advance(EventSeq(3));
        assert_eq!(ready(&mut queue), ["answer", "status"]);
        assert_eq!(queue.durable(), EventSeq(5));
    }
}
