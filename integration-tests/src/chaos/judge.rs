//! Whether the notes of people can be true. Pure.

use std::collections::{BTreeMap, HashMap};

use skein_protocol::ids::{Epoch, EventSeq, ThreadId};

use super::{MessageId, NamedOwner, Notes, Reading, SentMessage};

/// A contradiction between the notes and a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anomaly {
    /// An acknowledged message is missing in a history that was asked for afterwards.
    Lost {
        /// The message.
        message: MessageId,
        /// Whether the last history of the thread has it, so that only a reading was old.
        comes_back: bool,
    },
    /// A history has a message twice.
    Doubled {
        /// The message.
        message: MessageId,
        /// Messages of the history between its two places.
        between: usize,
    },
    /// A history has a message that nobody has sent to the thread.
    Invented(MessageId),
    /// A message that was acknowledged before another one was sent stands behind it.
    Reordered {
        /// The message that was acknowledged.
        first: MessageId,
        /// The message that was sent later.
        second: MessageId,
    },
    /// Two histories of a thread have two messages in different orders.
    TwoOrders {
        /// One of them.
        one: MessageId,
        /// The other one.
        other: MessageId,
    },
    /// Two events have one number.
    TwoEvents {
        /// Their thread.
        thread: ThreadId,
        /// Their epoch and number.
        at: (Epoch, EventSeq),
        /// One of them, and the other one.
        events: [String; 2],
    },
    /// One ownership of a thread is that of two servers.
    TwoOwners {
        /// The thread.
        thread: ThreadId,
        /// The number of the ownership.
        term: u64,
    },
    /// An answer names an earlier owner than one that had come before its request.
    OldOwner {
        /// The thread.
        thread: ThreadId,
        /// The number of the earlier ownership.
        term: u64,
    },
}

/// All contradictions, each once. `last` has the history of each thread at the end.
pub fn judge(notes: &Notes, last: &[Reading]) -> Vec<Anomaly> {
    let mut distinct = Vec::new();
    for anomaly in anomalies(notes, last) {
        if !distinct.contains(&anomaly) {
            distinct.push(anomaly);
        }
    }
    distinct
}

fn anomalies(notes: &Notes, last: &[Reading]) -> Vec<Anomaly> {
    let mut anomalies = Vec::new();
    let mut sent: BTreeMap<ThreadId, Vec<&SentMessage>> = BTreeMap::new();
    for message in &notes.sent {
        sent.entry(message.thread).or_default().push(message);
    }
    let mut readings: BTreeMap<ThreadId, Vec<&Reading>> = BTreeMap::new();
    // The last one of a thread comes first.
    for reading in last.iter().chain(&notes.readings) {
        readings.entry(reading.thread).or_default().push(reading);
    }
    for (thread, readings) in &readings {
        let sent = sent.get(thread).map(Vec::as_slice).unwrap_or_default();
        for reading in readings {
            anomalies.extend(in_reading(reading, sent, readings[0]));
        }
        anomalies.extend(between_readings(readings));
    }
    anomalies.extend(events(notes));
    anomalies.extend(owners(&notes.owners));
    anomalies
}

/// The contradictions between a history and the messages of its thread.
fn in_reading(reading: &Reading, sent: &[&SentMessage], last: &Reading) -> Vec<Anomaly> {
    let mut anomalies = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (place, id) in reading.messages.iter().enumerate() {
        if !sent.iter().any(|message| message.id == *id) {
            anomalies.push(Anomaly::Invented(id.clone()));
        }
        if let Some(before) = places.insert(id, place) {
            anomalies.push(Anomaly::Doubled { message: id.clone(), between: place - before - 1 });
        }
    }
    for message in sent {
        let is_due = reading.is_whole && message.acknowledged.is_some_and(|at| at < reading.asked);
        if is_due && !places.contains_key(message.id.as_str()) {
            let comes_back = last.messages.contains(&message.id);
            anomalies.push(Anomaly::Lost { message: message.id.clone(), comes_back });
        }
    }
    let mut placed: Vec<(usize, &SentMessage)> =
        sent.iter().filter_map(|message| Some((*places.get(message.id.as_str())?, *message))).collect();
    placed.sort_unstable_by_key(|(place, _)| *place);
    for (at, (_, second)) in placed.iter().enumerate() {
        let behind = placed.iter().skip(at + 1).map(|(_, first)| first);
        let first = behind.filter(|first| first.acknowledged.is_some_and(|at| at < second.asked));
        anomalies.extend(
            first.map(|first| Anomaly::Reordered { first: first.id.clone(), second: second.id.clone() }),
        );
    }
    anomalies
}

/// Whether each history has its messages in the order of the last one.
fn between_readings(readings: &[&Reading]) -> Vec<Anomaly> {
    let Some((last, others)) = readings.split_first() else { return Vec::new() };
    let places: HashMap<&str, usize> =
        last.messages.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
    let mut anomalies = Vec::new();
    for reading in others {
        let known = reading.messages.iter().filter(|id| places.contains_key(id.as_str()));
        let known: Vec<&MessageId> = known.collect();
        for pair in known.windows(2) {
            let [one, other] = pair else { continue };
            if places[one.as_str()] > places[other.as_str()] {
                anomalies.push(Anomaly::TwoOrders { one: (*one).clone(), other: (*other).clone() });
            }
        }
    }
    anomalies
}

fn events(notes: &Notes) -> Vec<Anomaly> {
    let mut contents: HashMap<(ThreadId, Epoch, EventSeq), &str> = HashMap::new();
    let mut split = BTreeMap::new();
    for event in &notes.events {
        let place = (event.thread, event.epoch, event.seq);
        let first = *contents.entry(place).or_insert(&event.content);
        if first != event.content {
            split.entry(place).or_insert_with(|| [first.to_owned(), event.content.clone()]);
        }
    }
    let anomaly = |((thread, epoch, seq), events)| Anomaly::TwoEvents { thread, at: (epoch, seq), events };
    split.into_iter().map(anomaly).collect()
}

fn owners(named: &[NamedOwner]) -> Vec<Anomaly> {
    let mut anomalies = Vec::new();
    let mut nodes: HashMap<(ThreadId, u64), &str> = HashMap::new();
    for NamedOwner { thread, owner, .. } in named {
        if *nodes.entry((*thread, owner.term)).or_insert(&owner.node) != owner.node {
            anomalies.push(Anomaly::TwoOwners { thread: *thread, term: owner.term });
        }
    }
    let mut answers: Vec<&NamedOwner> = named.iter().collect();
    answers.sort_unstable_by_key(|named| named.answered);
    let mut requests = answers.clone();
    requests.sort_unstable_by_key(|named| named.asked);
    // The newest ownership of each thread among the answers that had come before a request.
    let mut newest: HashMap<ThreadId, u64> = HashMap::new();
    let mut answers = answers.into_iter().peekable();
    for request in requests {
        while let Some(answer) = answers.next_if(|answer| answer.answered < request.asked) {
            let term = newest.entry(answer.thread).or_default();
            *term = answer.owner.term.max(*term);
        }
        if newest.get(&request.thread).is_some_and(|newest| request.owner.term < *newest) {
            anomalies.push(Anomaly::OldOwner { thread: request.thread, term: request.owner.term });
        }
    }
    anomalies
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use skein_protocol::extension::ThreadOwner;
    use uuid::Uuid;

    use super::*;
    use crate::chaos::NumberedEvent;

    const THREAD: ThreadId = ThreadId::new(Uuid::from_u128(1));

    /// Times of a campaign, by their seconds.
    struct Times(Instant);

    impl Times {
        fn at(&self, second: u64) -> Instant {
            self.0 + Duration::from_secs(second)
        }

        fn sent(&self, id: &str, asked: u64, acknowledged: Option<u64>) -> SentMessage {
            let acknowledged = acknowledged.map(|second| self.at(second));
            SentMessage { thread: THREAD, id: id.to_owned(), asked: self.at(asked), acknowledged }
        }

        fn reading(&self, asked: u64, messages: &[&str]) -> Reading {
            let messages = messages.iter().map(|id| (*id).to_owned()).collect();
            Reading { thread: THREAD, asked: self.at(asked), messages, is_whole: true }
        }

        fn owner(&self, node: &str, term: u64, asked: u64, answered: u64) -> NamedOwner {
            let owner = ThreadOwner { node: node.to_owned(), term };
            NamedOwner { thread: THREAD, owner, asked: self.at(asked), answered: self.at(answered) }
        }

        /// `a` is acknowledged before `b` is sent, `c` is sent beside both and never acknowledged.
        fn notes(&self) -> Notes {
            let sent = vec![self.sent("a", 1, Some(2)), self.sent("b", 3, Some(5)), self.sent("c", 1, None)];
            Notes { sent, ..Notes::default() }
        }

        fn judge(&self, readings: &[(u64, &[&str])], last: &[&str]) -> Vec<Anomaly> {
            let readings = readings.iter().map(|(asked, messages)| self.reading(*asked, messages)).collect();
            judge(&Notes { readings, ..self.notes() }, &[self.reading(99, last)])
        }
    }

    fn times() -> Times {
        Times(Instant::now())
    }

    #[test]
    fn a_history_that_can_be_true_has_no_anomaly() {
        let it = times();
        for last in [&["a", "b"][..], &["a", "b", "c"], &["c", "a", "b"], &["a", "c", "b"]] {
            assert_eq!(it.judge(&[], last), []);
        }
        // A reading beside an answer has the message, or not.
        assert_eq!(it.judge(&[(1, &["a"]), (2, &[]), (4, &["a"]), (4, &["a", "b"])], &["a", "b"]), []);
    }

    #[test]
    fn an_acknowledged_message_that_is_missing_is_lost() {
        let it = times();
        let lost = |message: &str, comes_back| Anomaly::Lost { message: message.to_owned(), comes_back };
        assert_eq!(it.judge(&[], &["a"]), [lost("b", false)]);
        assert_eq!(it.judge(&[(3, &[])], &["a", "b"]), [lost("a", true)], "an old reading");
    }

    #[test]
    fn a_message_that_stands_twice_or_that_nobody_has_sent_is_found() {
        let it = times();
        let twice = it.judge(&[], &["a", "b", "a"]);
        assert!(twice.contains(&Anomaly::Doubled { message: "a".to_owned(), between: 1 }), "{twice:?}");
        assert_eq!(it.judge(&[], &["a", "b", "x"]), [Anomaly::Invented("x".to_owned())]);
    }

    #[test]
    fn a_message_before_one_that_was_acknowledged_earlier_is_found() {
        let it = times();
        let (first, second) = ("a".to_owned(), "b".to_owned());
        assert_eq!(it.judge(&[], &["b", "a"]), [Anomaly::Reordered { first, second }]);
    }

    #[test]
    fn two_orders_of_one_history_are_found() {
        let it = times();
        let (one, other) = ("c".to_owned(), "a".to_owned());
        assert_eq!(it.judge(&[(4, &["c", "a"])], &["a", "c", "b"]), [Anomaly::TwoOrders { one, other }]);
    }

    #[test]
    fn two_events_of_one_number_are_found_and_one_that_comes_twice_is_none() {
        let event = |epoch, content: &str| NumberedEvent {
            thread: THREAD,
            epoch: Epoch(epoch),
            seq: EventSeq(7),
            content: content.to_owned(),
        };
        let of = |events| judge(&Notes { events, ..Notes::default() }, &[]);
        assert_eq!(of(vec![event(1, "x"), event(1, "x"), event(2, "y")]), []);
        let events = ["x", "y"].map(str::to_owned);
        let split = Anomaly::TwoEvents { thread: THREAD, at: (Epoch(1), EventSeq(7)), events };
        assert_eq!(of(vec![event(1, "x"), event(1, "y"), event(1, "x")]), [split]);
    }

    #[test]
    fn two_owners_of_one_term_and_an_owner_of_the_past_are_found() {
        let it = times();
        let of = |owners| judge(&Notes { owners, ..Notes::default() }, &[]);
        let first = it.owner("first", 4, 1, 2);
        assert_eq!(of(vec![first.clone(), it.owner("second", 5, 1, 3), it.owner("first", 4, 2, 4)]), []);
        let two = Anomaly::TwoOwners { thread: THREAD, term: 4 };
        assert_eq!(of(vec![first.clone(), it.owner("second", 4, 1, 3)]), [two]);
        let old = Anomaly::OldOwner { thread: THREAD, term: 4 };
        assert_eq!(of(vec![it.owner("second", 5, 1, 3), it.owner("first", 4, 4, 5)]), [old]);
    }
}
