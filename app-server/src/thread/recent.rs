//! The newest durable events of one thread. A client that has caught up from disk gets later events from here. Pure.

use std::collections::VecDeque;

use skein_protocol::ids::EventSeq;

use super::subscribers::Broadcast;
use crate::policy;

/// A ring of events, bounded in number and bytes.
#[derive(Debug)]
pub(crate) struct RecentEvents {
    /// Every durable event after this one is here.
    base: EventSeq,
    events: VecDeque<(EventSeq, Broadcast)>,
    bytes: usize,
}

impl RecentEvents {
    /// An empty ring behind record `base`.
    pub(crate) fn new(base: EventSeq) -> Self {
        Self { base, events: VecDeque::new(), bytes: 0 }
    }

    /// Adds a published event.
    pub(crate) fn push(&mut self, seq: EventSeq, event: Broadcast) {
        self.bytes += event.bytes();
        self.events.push_back((seq, event));
        while self.events.len() > policy::RECENT_EVENTS || self.bytes > policy::RECENT_BYTES {
            let Some((seq, oldest)) = self.events.pop_front() else { return };
            self.bytes -= oldest.bytes();
            self.base = self.base.max(seq);
        }
    }

    /// An event was published as not saved. Only the disk can have it, later.
    pub(crate) fn skip(&mut self, seq: EventSeq) {
        *self = Self::new(self.base.max(seq));
    }

    /// Every event after record `seq`, in order; `None` if the ring has dropped some of them.
    pub(crate) fn after(&self, seq: EventSeq) -> Option<impl Iterator<Item = &Broadcast>> {
        (seq >= self.base)
            .then(|| self.events.iter().filter(move |(number, _)| *number > seq).map(|(_, event)| event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Broadcast {
        Broadcast {
            method: "test",
            plain: text.to_owned().into(),
            numbered: None,
            text: None,
            announcement: None,
        }
    }

    fn after(recent: &RecentEvents, seq: u64) -> Option<Vec<String>> {
        Some(recent.after(EventSeq(seq))?.map(|event| event.plain.as_str().to_owned()).collect())
    }

    #[test]
    fn later_events_are_handed_over_while_all_of_them_are_in_the_ring() {
        let mut recent = RecentEvents::new(EventSeq(4));
        recent.push(EventSeq(6), event("six"));
        recent.push(EventSeq(7), event("seven"));
        assert_eq!(after(&recent, 3), None);
        assert_eq!(after(&recent, 4).unwrap(), ["six", "seven"]);
        assert_eq!(after(&recent, 6).unwrap(), ["seven"]);
        assert_eq!(after(&recent, 9).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn new_events_displace_old_ones() {
        let mut recent = RecentEvents::new(EventSeq(0));
        for number in 1..=policy::RECENT_EVENTS as u64 + 1 {
            recent.push(EventSeq(number), event("x"));
        }
        assert_eq!(after(&recent, 0), None);
        assert_eq!(after(&recent, 1).unwrap().len(), policy::RECENT_EVENTS);
        recent.push(EventSeq(999), event(&"x".repeat(policy::RECENT_BYTES + 1)));
        assert_eq!(after(&recent, 998), None);
        assert_eq!(after(&recent, 999).unwrap().len(), 0);
    }

    #[test]
    fn an_unsaved_event_is_not_handed_over() {
        let mut recent = RecentEvents::new(EventSeq(0));
        recent.push(EventSeq(1), event("one"));
        recent.skip(EventSeq(2));
        assert_eq!(after(&recent, 1), None);
        assert_eq!(after(&recent, 2).unwrap().len(), 0);
    }
}
