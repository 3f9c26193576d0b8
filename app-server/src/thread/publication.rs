//! What waits to be published until the records before it are on disk; pure. First in, first out: a delta never
//! overtakes the item it belongs to, an answer never the notifications before it.
//!
//! If the disk fails, entries leave the queue without numbers, as not saved.

use std::collections::VecDeque;

use skein_protocol::ids::EventSeq;

/// Things to publish, each behind the last record that was numbered before it.
#[derive(Debug)]
pub(crate) struct PublicationQueue<T> {
    waiting: VecDeque<(EventSeq, T)>,
    /// Every record up to this one is as durable as it has to be.
    durable: EventSeq,
}

impl<T> PublicationQueue<T> {
    /// Nothing waits, and everything up to `durable` is on disk.
    #[must_use]
    pub(crate) fn new(durable: EventSeq) -> Self {
        Self { waiting: VecDeque::new(), durable }
    }

    /// Adds something that may be published once record `behind` is durable.
    pub(crate) fn push(&mut self, behind: EventSeq, what: T) {
        self.waiting.push_back((behind, what));
    }

    /// Notes that every record up to this one is durable.
    pub(crate) fn advance(&mut self, durable: EventSeq) {
        self.durable = self.durable.max(durable);
    }

    /// The next thing that may be published.
    pub(crate) fn pop_ready(&mut self) -> Option<T> {
        let (behind, _) = self.waiting.front()?;
        if *behind > self.durable {
            return None;
        }
        self.waiting.pop_front().map(|(_, what)| what)
    }

    /// The next thing, whether its record is durable or not: for when the disk fails.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.waiting.pop_front().map(|(_, what)| what)
    }

    /// How many things wait.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// What waits, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().map(|(_, what)| what)
    }

    /// Drops the entries that `stays` does not keep.
    pub(crate) fn retain(&mut self, stays: impl Fn(&T) -> bool) {
        self.waiting.retain(|(_, what)| stays(what));
    }

    /// Every record up to this one is durable.
    #[must_use]
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
    fn nothing_is_published_before_the_record_it_stands_behind() {
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
    fn what_needs_no_record_keeps_its_place_in_the_line() {
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
