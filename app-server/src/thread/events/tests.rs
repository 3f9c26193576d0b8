//! The view property: a client can resume at any number, or from a view of any moment. It ends with the same view as a client
//! that received every event, and this view equals the stored history.

use proptest::prelude::*;
use proptest::sample::Index;
use skein_protocol::envelope;
use skein_protocol::event::ThreadTokenUsage;
use skein_protocol::item::ThreadItem;
use skein_protocol::thread::SessionSource;
use skein_protocol::turn::{TurnError, TurnStatus, UserInput};
use skein_store::home::Term;
use skein_store::rollout::record::{
    ItemCheckpoint, ItemCompleted, ItemStarted, ItemText, StoredSettings, ThreadClosed, ThreadCreated,
    ThreadNamed, ThreadOpened, TurnStarted, TurnUsage,
};

use super::view::{EventView, Received};
use super::*;

const E: Epoch = Epoch(1);

/// A possible next record of an owner.
#[derive(Debug, Clone)]
enum Act {
    Name(Option<String>),
    Turn,
    /// The server is killed, and only the record of a turn's beginning is on disk.
    TornTurn,
    Steer,
    Begin,
    Say,
    Done,
    Spend(i64),
    End(bool),
    Reload,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => proptest::option::of("[a-z]{1,3}").prop_map(Act::Name),
        3 => Just(Act::Turn),
        1 => Just(Act::TornTurn),
        1 => Just(Act::Steer),
        4 => Just(Act::Begin),
        4 => Just(Act::Say),
        4 => Just(Act::Done),
        1 => (0..100i64).prop_map(Act::Spend),
        2 => any::<bool>().prop_map(Act::End),
        1 => Just(Act::Reload),
    ]
}

/// A growing rollout.
struct Recorded {
    records: Vec<Record>,
    history: History,
}

impl Recorded {
    fn of(acts: Vec<Act>) -> Self {
        let id = ThreadId::new(uuid::Uuid::from_u128(0xabc));
        let mut recorded = Self { records: Vec::new(), history: History::of(id) };
        recorded.open();
        recorded.write(created(id));
        for act in acts {
            recorded.act(act);
        }
        recorded
    }

    fn open(&mut self) {
        let opened = ThreadOpened { boot_id: uuid::Uuid::nil(), term: Term(1), epoch: E };
        self.write(opened.into());
    }

    fn write(&mut self, body: RecordBody) {
        let seq = self.history.seq().next();
        let at = WallMs(i64::try_from(seq.0).unwrap() * 700);
        let record = Record { seq, at, body };
        self.history.apply(&record);
        self.records.push(record);
    }

    fn fresh(&self, what: &str) -> String {
        format!("{what}-{}", self.records.len())
    }

    fn act(&mut self, act: Act) {
        let turn = self.history.open_turn().map(|turn| turn.id.clone());
        let open = self.history.open_items().next().cloned();
        match (act, turn, open) {
            (Act::Name(name), _, _) => self.write(ThreadNamed { name }.into()),
            (Act::Turn, None, _) => {
                let (turn_id, item) = self.begin();
                self.user_says(turn_id, item);
            }
            (Act::TornTurn, None, _) => {
                self.begin();
                self.reload();
            }
            (Act::Steer, Some(turn), _) => self.user_says(turn, self.fresh("user")),
            (Act::Begin, Some(turn_id), _) => {
                let mut item = ThreadItem::agent_message(self.fresh("item"), "");
                item.started_at_ms = Some(1);
                self.write(ItemStarted { turn_id, item }.into());
            }
            (Act::Say, Some(turn_id), Some(item)) => {
                let (item_id, added) = (item.id().clone(), self.fresh("word"));
                self.write(ItemCheckpoint { turn_id, item_id, to: ItemText::Body, added }.into());
            }
            (Act::Done, Some(turn_id), Some(mut item)) => {
                item.completed_at_ms = Some(2);
                self.write(ItemCompleted { turn_id, item }.into());
            }
            (Act::Spend(tokens), Some(turn_id), _) => {
                let mut usage = ThreadTokenUsage::default();
                usage.total.total_tokens = tokens;
                self.write(TurnUsage { turn_id, usage }.into());
            }
            (Act::End(well), Some(turn_id), _) => self.end(turn_id, well),
            (Act::Reload, _, _) => self.reload(),
            _ => {}
        }
    }

    fn reload(&mut self) {
        self.history.closing_records(WallMs(3)).into_iter().for_each(|body| self.write(body));
        self.write(ThreadClosed {}.into());
        self.open();
    }

    fn begin(&mut self) -> (TurnId, String) {
        let (turn_id, item) = (TurnId::from(self.fresh("turn")), self.fresh("user"));
        let input = vec![UserInput::text("hello")];
        let item_id = Some(item.clone().into());
        self.write(
            TurnStarted { turn_id: turn_id.clone(), input, item_id, client_id: None, terms: None }.into(),
        );
        (turn_id, item)
    }

    fn user_says(&mut self, turn_id: TurnId, id: String) {
        let mut item = ThreadItem::user_message(id, vec![UserInput::text("hello")], None);
        item.started_at_ms = Some(1);
        self.write(ItemStarted { turn_id: turn_id.clone(), item: item.clone() }.into());
        item.completed_at_ms = Some(2);
        self.write(ItemCompleted { turn_id, item }.into());
    }

    fn end(&mut self, turn_id: TurnId, well: bool) {
        let closing = self.history.closing_records(WallMs(3));
        let items = closing.into_iter().filter(|body| matches!(body, RecordBody::ItemCompleted(_)));
        items.for_each(|body| self.write(body));
        let (status, error) = match well {
            true => (TurnStatus::Completed, None),
            false => (TurnStatus::Failed, Some(TurnError::new("on purpose"))),
        };
        let body = self.history.turn_completed_record(turn_id, status, error);
        self.write(body);
    }

    fn history_at(&self, cut: usize) -> History {
        let mut history = History::of(self.history.id());
        self.records[..cut].iter().for_each(|record| history.apply(record));
        history
    }
}

fn created(id: ThreadId) -> RecordBody {
    ThreadCreated {
        id,
        source: SessionSource::VsCode,
        thread_source: None,
        originator: None,
        cli_version: "1".to_owned(),
        forked_from: None,
        git_info: None,
        settings: StoredSettings::default(),
    }
    .into()
}

fn receive(view: &mut EventView, event: &Broadcast) {
    let text = event.numbered.as_ref().unwrap_or(&event.plain);
    let stamp = envelope::stamp(text).unwrap();
    let envelope::Incoming::Notification { method, params } = envelope::parse(text).unwrap() else {
        panic!("not a notification: {text}")
    };
    let received =
        Received { method: &method, params: params.unwrap().get(), number: stamp.seq.zip(stamp.epoch) };
    view.receive(received).unwrap();
}

/// Applies a catch-up behind the first `cut` records, with the items in progress at its end.
fn catch_up(view: &mut EventView, recorded: &Recorded, cut: usize) {
    let mut replayer = Replayer::new(recorded.history.id(), E);
    for event in recorded.records[cut..].iter().filter_map(|record| replayer.event(record)) {
        receive(view, &event);
    }
    open_items(&recorded.history, WallMs(0)).iter().for_each(|item| receive(view, item));
}

/// The view after an answer with the whole of the first `cut` records.
fn whole(recorded: &Recorded, cut: usize) -> EventView {
    let history = recorded.history_at(cut);
    let turns = history.turns(TurnItemsView::Full);
    let mut view = EventView::default();
    view.whole(history.name().map(str::to_owned), turns, Some((history.seq(), E)));
    view
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_client_that_resumes_ends_with_the_same_view(
        acts in prop::collection::vec(act(), 0..40),
        cuts in prop::collection::vec(any::<Index>(), 2),
    ) {
        let recorded = Recorded::of(acts);
        let mut always = whole(&recorded, 0);
        catch_up(&mut always, &recorded, 0);
        prop_assert_eq!(always.difference(&recorded.history, false), None);
        for cut in cuts.iter().map(|cut| cut.index(recorded.records.len() + 1)) {
            let mut shown = whole(&recorded, cut);
            shown.connected();
            shown.continued((EventSeq(cut as u64), E), &[]).unwrap();
            catch_up(&mut shown, &recorded, cut);
            prop_assert_eq!(shown.difference(&recorded.history, false), None);

            // The same for a client that received single events before, and was cut off during a catch-up.
            let mut received = whole(&recorded, 0);
            let mut replayer = Replayer::new(recorded.history.id(), E);
            let before = recorded.records[..cut].iter().filter_map(|record| replayer.event(record));
            before.for_each(|event| receive(&mut received, &event));
            let (at, _) = received.at.unwrap();
            received.connected();
            received.continued((at, E), &[]).unwrap();
            catch_up(&mut received, &recorded, usize::try_from(at.0).unwrap());
            prop_assert_eq!(received.difference(&recorded.history, false), None);
            prop_assert_eq!(&received, &always);
        }
    }
}

/// A replay from before a revert has the revert in its place, and later events have numbers of the new version.
#[test]
fn events_behind_a_revert_have_numbers_of_its_version() {
    let mut recorded = Recorded::of(vec![Act::Turn]);
    let turn = recorded.history.open_turn().unwrap().id.clone();
    recorded.act(Act::End(true));
    let before = recorded.records.len();
    recorded.write(Reverted { before_turn_id: turn, from: None, epoch: Epoch(2) }.into());
    recorded.write(ThreadNamed { name: Some("a name".to_owned()) }.into());
    let mut replayer = Replayer::new(recorded.history.id(), E);
    let received: Vec<Broadcast> =
        recorded.records.iter().filter_map(|record| replayer.event(record)).collect();
    let [.., reverted, named] = received.as_slice() else { panic!("{received:?}") };
    assert_eq!((reverted.method, named.method), (ThreadReverted::INFO.wire, ThreadNameUpdated::INFO.wire));
    for event in [reverted, named] {
        let stamp = envelope::stamp(event.numbered.as_ref().unwrap()).unwrap();
        assert_eq!(stamp.epoch, Some(Epoch(2)));
    }
    let mut view = whole(&recorded, before);
    receive(&mut view, reverted);
    receive(&mut view, named);
    assert_eq!(view.difference(&recorded.history, false), None);
}
