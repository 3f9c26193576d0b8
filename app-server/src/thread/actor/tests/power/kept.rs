//! The published events, and those that have to be there after an end.

use std::collections::BTreeMap;

use serde_json::Value;
use skein_config::Durability;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId};
use skein_protocol::notifications::{TurnCompleted, TurnStarted};
use skein_protocol::table::Notification;
use skein_store::index::memory::MemoryIndex;
use skein_store::index::{ThreadIndex, rebuild};
use skein_store::rollout::RolloutStore;

use super::super::{Bench, Client, Message};
use super::machine::{Loss, Witness};
use crate::thread::events::Replayer;

/// Events as texts, by number.
type Events = BTreeMap<EventSeq, String>;

#[derive(Default)]
pub(super) struct Kept {
    /// Every published event.
    received: BTreeMap<(Epoch, EventSeq), String>,
    /// The events that survive a loss of power.
    certain: Events,
    /// The events that survive a kill.
    written: Events,
}

impl Kept {
    /// No number of an epoch has two events.
    pub(super) fn witness(&mut self, client: &Client) {
        for message in &client.log {
            let Some(((seq, epoch), words)) = message.number().zip(in_words(message)) else { continue };
            let before = self.received.entry((epoch, seq)).or_insert_with(|| words.clone());
            assert_eq!(*before, words, "{seq} of epoch {epoch} has two events");
        }
    }

    /// A life has ended: notes its events according to the durability.
    pub(super) fn end(&mut self, durability: Durability, loss: Loss, witness: &Witness) {
        let log = &witness.client().log;
        let numbered = || log.iter().filter_map(|message| Some((message.number()?.0, message)));
        let acknowledged = |message: &Message| message.is::<TurnStarted>() || message.is::<TurnCompleted>();
        let promised = match durability {
            Durability::Turn => {
                numbered().filter(|(_, message)| acknowledged(message)).map(|(seq, _)| seq).max()
            }
            Durability::Event => numbered().map(|(seq, _)| seq).max(),
            Durability::Process => None,
        };
        let events: Events = numbered().filter_map(|(seq, m)| Some((seq, in_words(m)?))).collect();
        let certain = events.iter().filter(|(seq, _)| Some(**seq) <= promised);
        self.certain.extend(certain.map(|(seq, words)| (*seq, words.clone())));
        match loss {
            Loss::Kill => self.written.extend(events),
            Loss::Power(_) => self.written.clear(),
        }
    }

    /// All events are in the rollout, and lists show the rollout.
    pub(super) async fn are_there(&self, bench: &Bench, thread: Option<ThreadId>) {
        let Some(thread) = thread.filter(|_| !self.certain.is_empty() || !self.written.is_empty()) else {
            return;
        };
        let page = bench.disk.read_after(thread, EventSeq(0), 10_000).await.unwrap();
        let mut replayer = Replayer::new(thread, Epoch(1));
        let found: Events = page
            .records
            .iter()
            .filter_map(|record| {
                let event = replayer.event(record)?;
                Some((record.seq, in_words(&Message::read(&event.numbered?))?))
            })
            .collect();
        for (seq, words) in self.certain.iter().chain(&self.written) {
            assert_eq!(found.get(seq), Some(words), "record {seq} was acknowledged");
        }
        let index = MemoryIndex::default();
        rebuild::run(bench.disk.as_ref(), &index, |_| ()).await.unwrap();
        if self
            .certain
            .values()
            .chain(self.written.values())
            .any(|words| words.starts_with(TurnStarted::INFO.wire))
        {
            assert!(index.get(thread).await.unwrap().is_some(), "the thread is in no list");
        }
    }
}

/// An event without the parts that depend on the time.
fn in_words(message: &Message) -> Option<String> {
    let Message::Notice { method, params, .. } = message else { return None };
    let mut params: Value = serde_json::from_str(params.get()).unwrap();
    if let Some(turn) = params.get_mut("turn").and_then(Value::as_object_mut) {
        turn.retain(|name, _| name != "items" && name != "itemsView");
    }
    if let Some(skein) = params.get_mut("skein").and_then(Value::as_object_mut) {
        skein.retain(|name, _| !name.starts_with("catalog"));
    }
    if let Some(params) = params.as_object_mut() {
        params.retain(|name, value| name != "skein" || *value != serde_json::json!({}));
    }
    Some(format!("{method} {params}"))
}
