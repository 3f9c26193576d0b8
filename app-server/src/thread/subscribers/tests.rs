use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use skein_base::clock::WallMs;
use skein_base::tasks::Tasks;
use skein_protocol::ids::{ConnectionId, Epoch, EventSeq, ThreadId};
use skein_protocol::notifications::ThreadNameUpdated;
use skein_protocol::table::Notification;
use skein_store::home::Term;
use tokio::time::timeout;

use super::{
    Broadcast, ChangesSince, ClientWishes, Left, NoTicket, RelayKind, RelayedNumber, Role, Subscribers,
};
use crate::outbox::{CloseReason, Frame, Outbox, OutboxLimits, WriterAction};
use crate::policy;
use crate::thread::catalog::{AnnouncedTo, Announcement, RelayedChange};
use crate::thread::event::Counts;

const T: ThreadId = ThreadId::new(uuid::Uuid::from_u128(1));

fn outbox(id: u64) -> Outbox {
    Outbox::new(
        ConnectionId(id),
        OutboxLimits {
            waiting_bytes: 1 << 20,
            most_bytes: 1 << 24,
            pause_bytes: 1 << 20,
            merge_bytes: 1 << 20,
        },
    )
}

fn connected(subscribers: &Subscribers, id: u64) -> Outbox {
    connected_with(subscribers, id, ClientWishes::default())
}

fn connected_with(subscribers: &Subscribers, id: u64, wishes: ClientWishes) -> Outbox {
    let outbox = outbox(id);
    subscribers.connect(outbox.clone());
    assert!(subscribers.initialise(ConnectionId(id), wishes));
    outbox
}

fn join(subscribers: &Subscribers, id: u64, role: Role) {
    let ticket = subscribers.begin_resume(ConnectionId(id), T, usize::MAX).unwrap();
    assert!(subscribers.join(ticket, T, role));
}

fn notice(method: &'static str) -> Broadcast {
    Broadcast {
        method,
        plain: "plain".into(),
        numbered: Some("numbered".into()),
        text: None,
        announcement: None,
    }
}

async fn received(outbox: &Outbox) -> Vec<String> {
    if outbox.bytes() == 0 {
        return Vec::new();
    }
    match outbox.next().await {
        WriterAction::Frames(frames) => frames.iter().map(|frame| frame.as_str().to_owned()).collect(),
        WriterAction::Ping => Vec::new(),
        WriterAction::Close(reason) => panic!("closed: {reason:?}"),
    }
}

#[test]
fn the_dead_cannot_subscribe() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let _outbox = connected(&subscribers, 1);
    let ticket = subscribers.begin_resume(ConnectionId(1), T, usize::MAX).unwrap();
    assert_eq!(subscribers.disconnect(ConnectionId(1)), [T], "its waiting resume has to be withdrawn");
    assert!(!subscribers.join(ticket, T, Role::Subscriber));
    assert_eq!(subscribers.counts(T), Counts::default());
    assert_eq!(subscribers.begin_resume(ConnectionId(1), T, usize::MAX), Err(NoTicket::Gone));
}

#[test]
fn a_thread_counts_once_however_often_it_is_resumed() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let _outbox = connected(&subscribers, 1);
    let other = ThreadId::new(uuid::Uuid::from_u128(2));
    let begin = |thread| subscribers.begin_resume(ConnectionId(1), thread, 1);
    let first = begin(T).unwrap();
    let second = begin(T).unwrap();
    assert_eq!(begin(other), Err(NoTicket::Full), "a waiting resume counts");
    assert!(subscribers.join(first, T, Role::Subscriber));
    assert_eq!(begin(other), Err(NoTicket::Full), "and so does its subscription, with the second resume");
    subscribers.end_resume(second);
    assert!(begin(T).is_ok());
    assert_eq!(subscribers.leave(ConnectionId(1), T), Left::Subscription);
    assert!(begin(other).is_ok(), "a thread that was left makes room");
}

/// Terms rise by one with each load at any server.
#[test]
fn a_load_closes_the_listeners_that_lack_what_another_server_did_meanwhile() {
    for (term, is_outdated) in [(6, false), (7, true)] {
        let subscribers = Subscribers::new(uuid::Uuid::nil());
        let outboxes = [1, 2, 3].map(|id| connected(&subscribers, id));
        [1, 2].into_iter().for_each(|id| join(&subscribers, id, Role::Subscriber));
        subscribers.owner_left(T, Term(5));
        join(&subscribers, 3, Role::Observer);
        subscribers.begin_resume(ConnectionId(2), T, usize::MAX).unwrap();
        let closed = || outboxes.each_ref().map(Outbox::closed);
        subscribers.owner_came(T, Term(term));
        let outdated = is_outdated.then_some(CloseReason::OwnerLeft);
        assert_eq!(closed(), [outdated, None, None], "the second resumes it, the third came later");
        subscribers.owner_came(T, Term(term + 2));
        assert_eq!(closed(), [outdated, None, None], "the owner has not left it between");
    }
}

#[test]
fn a_server_that_drains_keeps_clients_with_a_request_that_would_end_with_them() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let outbox = connected(&subscribers, 1);
    join(&subscribers, 1, Role::Subscriber);
    let unserved = || subscribers.unserved(|_| false).len();
    let request = outbox.begin_request();
    assert_eq!(unserved(), 0);
    drop(request);
    assert_eq!(unserved(), 1);
}

#[test]
fn an_unsubscribe_voids_a_resume_that_waits() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let _outbox = connected(&subscribers, 1);
    let ticket = subscribers.begin_resume(ConnectionId(1), T, usize::MAX).unwrap();
    assert!(subscribers.waits(ticket));
    assert_eq!(subscribers.leave(ConnectionId(1), T), Left::WaitingResume);
    assert!(!subscribers.waits(ticket));
    assert!(!subscribers.join(ticket, T, Role::Subscriber));
    assert_eq!(subscribers.leave(ConnectionId(1), T), Left::Nothing);
}

#[test]
fn a_ticket_is_good_for_one_thread_and_once() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let _outbox = connected(&subscribers, 1);
    let ticket = subscribers.begin_resume(ConnectionId(1), T, usize::MAX).unwrap();
    assert!(!subscribers.join(ticket, ThreadId::new(uuid::Uuid::from_u128(2)), Role::Subscriber));
    assert!(!subscribers.join(ticket, T, Role::Subscriber));
}

#[test]
fn observers_are_counted_apart_and_never_asked() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let _one = connected(&subscribers, 1);
    let _two = connected(&subscribers, 2);
    join(&subscribers, 1, Role::Observer);
    join(&subscribers, 2, Role::Subscriber);
    assert_eq!(subscribers.counts(T), Counts { subscribers: 1, observers: 1 });
    let asked: Vec<ConnectionId> =
        subscribers.askable(T).iter().map(|who| who.outbox().connection()).collect();
    assert_eq!(asked, [ConnectionId(2)]);
    // A connection may change its role: it still counts once.
    join(&subscribers, 1, Role::Subscriber);
    assert_eq!(subscribers.counts(T), Counts { subscribers: 2, observers: 0 });
}

#[test]
fn a_disconnection_leaves_nothing_in_either_map() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let _outbox = connected(&subscribers, 1);
    join(&subscribers, 1, Role::Subscriber);
    assert_eq!(subscribers.disconnect(ConnectionId(1)), [T]);
    assert!(subscribers.disconnect(ConnectionId(1)).is_empty());
    assert!(subscribers.connections.is_empty() && subscribers.threads.is_empty());
}

#[tokio::test]
async fn each_gets_what_it_asked_for() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let plain = connected(&subscribers, 1);
    let numbered =
        connected_with(&subscribers, 2, ClientWishes { numbered: true, ..ClientWishes::default() });
    let opted_out = connected_with(
        &subscribers,
        3,
        ClientWishes { opted_out: ["noise".to_owned()].into(), ..ClientWishes::default() },
    );
    for id in 1..=3 {
        join(&subscribers, id, Role::Subscriber);
    }
    subscribers.publish(T, &notice("noise"));
    assert_eq!(received(&plain).await, ["plain"]);
    assert_eq!(received(&numbered).await, ["numbered"]);
    assert_eq!(received(&opted_out).await, Vec::<String>::new());
}

#[tokio::test]
async fn nothing_reaches_an_uninitialised_connection() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let silent = outbox(1);
    subscribers.connect(silent.clone());
    subscribers.announce(T, &notice("any"), AnnouncedTo::All);
    assert_eq!(received(&silent).await, Vec::<String>::new());
    assert!(subscribers.initialise(ConnectionId(1), ClientWishes::default()));
    assert!(!subscribers.initialise(ConnectionId(1), ClientWishes::default()), "only once");
}

#[tokio::test]
async fn a_client_that_catches_up_gets_a_number_in_its_place_only() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let numbered = || ClientWishes { numbered: true, ..ClientWishes::default() };
    let [listens, catches_up, stranger] = [1, 2, 3].map(|id| connected_with(&subscribers, id, numbered()));
    join(&subscribers, 1, Role::Subscriber);
    let ticket = subscribers.begin_resume(ConnectionId(2), T, usize::MAX).unwrap();
    assert!(subscribers.begin_catch_up(ticket, T, Role::Observer).is_some());
    let named = Announcement {
        method: "name",
        params: serde_json::Map::new(),
        at: WallMs(1),
        number: Some((EventSeq(9), Epoch(4))),
    };
    subscribers.announce(T, &Broadcast { announcement: Some(named), ..notice("name") }, AnnouncedTo::All);
    assert!(received(&listens).await[0].contains("\"seq\":9"));
    for other in [&catches_up, &stranger] {
        assert!(!received(other).await[0].contains("\"seq\":9"));
    }
    assert!(!subscribers.join_unless_missed(ticket, T), "the replay still has to send the name");
}

#[tokio::test]
async fn closed_is_published_to_unsubscribed_connections_only() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let [shows, waits, stranger] = [1, 2, 3].map(|id| connected(&subscribers, id));
    join(&subscribers, 1, Role::Subscriber);
    let _ticket = subscribers.begin_resume(ConnectionId(2), T, usize::MAX).unwrap();
    subscribers.announce(T, &notice("closed"), AnnouncedTo::Unsubscribed);
    assert_eq!(received(&shows).await, Vec::<String>::new());
    assert_eq!(received(&waits).await, Vec::<String>::new());
    assert_eq!(received(&stranger).await, ["plain"]);
}

/// Join against disconnect, on real threads: nothing stays subscribed in either order.
#[test]
fn a_join_that_races_with_the_disconnection_leaves_nothing() {
    for _ in 0..200 {
        let subscribers = Subscribers::new(uuid::Uuid::nil());
        let _outbox = connected(&subscribers, 1);
        let ticket = subscribers.begin_resume(ConnectionId(1), T, usize::MAX).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| subscribers.join(ticket, T, Role::Subscriber));
            scope.spawn(|| subscribers.disconnect(ConnectionId(1)));
        });
        assert_eq!(subscribers.counts(T), Counts::default());
        assert!(subscribers.threads.is_empty());
    }
}

#[test]
fn a_client_that_catches_up_counts_and_receives_nothing_until_it_joins() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let outbox = connected(&subscribers, 1);
    let ticket = subscribers.begin_resume(ConnectionId(1), T, usize::MAX).unwrap();
    assert!(subscribers.begin_catch_up(ticket, T, Role::Subscriber).is_some());
    assert_eq!(subscribers.counts(T), Counts { subscribers: 1, observers: 0 });
    subscribers.publish(T, &notice("missed"));
    assert!(subscribers.waits(ticket) && subscribers.askable(T).is_empty());
    assert_eq!(outbox.bytes(), 0);
    assert!(subscribers.join(ticket, T, Role::Subscriber));
    subscribers.publish(T, &notice("heard"));
    assert!(!subscribers.waits(ticket) && outbox.bytes() > 0);
    assert_eq!(subscribers.leave(ConnectionId(1), T), Left::Subscription);
    assert!(subscribers.begin_catch_up(ticket, T, Role::Subscriber).is_none(), "it has left");
}

#[test]
fn a_client_that_has_missed_an_event_cannot_join_by_itself() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let _outbox = connected(&subscribers, 1);
    let ticket = subscribers.begin_resume(ConnectionId(1), T, usize::MAX).unwrap();
    assert!(!subscribers.join_unless_missed(ticket, T), "it does not catch up");
    assert!(subscribers.begin_catch_up(ticket, T, Role::Observer).is_some());
    subscribers.publish(T, &notice("missed"));
    assert!(!subscribers.join_unless_missed(ticket, T));
    assert!(subscribers.begin_catch_up(ticket, T, Role::Observer).is_some(), "anew");
    assert!(subscribers.join_unless_missed(ticket, T));
    assert!(!subscribers.waits(ticket));
}

#[test]
fn of_two_that_catch_up_on_one_connection_the_later_one_counts() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let _outbox = connected(&subscribers, 1);
    let first = subscribers.begin_resume(ConnectionId(1), T, usize::MAX).unwrap();
    assert!(subscribers.begin_catch_up(first, T, Role::Subscriber).is_some());
    let second = subscribers.begin_resume(ConnectionId(1), T, usize::MAX).unwrap();
    assert!(subscribers.begin_catch_up(second, T, Role::Observer).is_some());
    assert!(!subscribers.waits(first) && !subscribers.join(first, T, Role::Subscriber));
    assert_eq!(subscribers.counts(T), Counts { subscribers: 0, observers: 1 });
    subscribers.stop_catch_up(second, T);
    assert_eq!(subscribers.counts(T), Counts::default());
    assert!(subscribers.join(second, T, Role::Observer), "it waited on");
}

#[tokio::test]
async fn announcements_are_numbered_for_clients_that_want_numbers() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let wishes = || ClientWishes { numbered: true, ..ClientWishes::default() };
    let plain = connected(&subscribers, 1);
    let [listens, stranger] = [2, 3].map(|id| connected_with(&subscribers, id, wishes()));
    for id in 1..=2 {
        join(&subscribers, id, Role::Subscriber);
    }
    let announced = Broadcast {
        announcement: Some(Announcement {
            method: "name",
            params: serde_json::Map::new(),
            at: WallMs(1),
            number: Some((EventSeq(9), Epoch(4))),
        }),
        ..notice("name")
    };
    subscribers.announce(T, &announced, AnnouncedTo::All);
    subscribers.announce(T, &announced, AnnouncedTo::Unsubscribed);
    assert_eq!(received(&plain).await, ["plain"]);
    let numbers = |frames: Vec<String>| -> Vec<(Option<u64>, Option<u64>)> {
        let values = frames.iter().map(|frame| serde_json::from_str::<serde_json::Value>(frame).unwrap());
        values.map(|value| (value["params"]["skein"]["catalogSeq"].as_u64(), value["seq"].as_u64())).collect()
    };
    assert_eq!(numbers(received(&listens).await), [(Some(1), Some(9))]);
    assert_eq!(numbers(received(&stranger).await), [(Some(1), None), (Some(2), None)]);
    assert_eq!(subscribers.catalog_place().catalog_seq, 2);
}

/// Another server, as its row names it.
const OTHER: uuid::Uuid = uuid::Uuid::from_u128(1);

/// The change with this number of the other server.
fn relayed(number: u64) -> (RelayedNumber, RelayedChange) {
    let change = RelayedChange {
        thread: T,
        audience: AnnouncedTo::All,
        method: ThreadNameUpdated::INFO.wire.to_owned(),
        params: serde_json::Map::new(),
        at: WallMs(1),
        number: None,
        term: None,
        is_left: false,
    };
    (RelayedNumber { start: OTHER, number }, change)
}

/// The places in the catalog of these frames.
fn places(frames: &[String]) -> Vec<Option<u64>> {
    let values = frames.iter().map(|frame| serde_json::from_str::<serde_json::Value>(frame).unwrap());
    values.map(|value| value["params"]["skein"]["catalogSeq"].as_u64()).collect()
}

#[tokio::test]
async fn a_client_with_a_link_gets_each_change_of_the_other_server_once_whichever_way_is_faster() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let wishes = || ClientWishes { numbered: true, ..ClientWishes::default() };
    let [linked, others] = [1, 2].map(|id| connected_with(&subscribers, id, wishes()));
    let announce = |number| {
        let (from, change) = relayed(number);
        subscribers.announce_relayed(from, change);
    };
    let pass_on = |number| {
        let (from, change) = relayed(number);
        subscribers.pass_on(ConnectionId(1), from, Some(change));
    };
    announce(1);
    subscribers.begin_link(ConnectionId(1), OTHER, RelayedNumber { start: OTHER, number: 0 });
    // It has the first one already.
    pass_on(1);
    assert_eq!(places(&received(&linked).await), [Some(1)]);
    // The way for all is faster: until the link has brought it, the client must not learn that it has the second change.
    announce(2);
    subscribers.announce(T, &announced(), AnnouncedTo::All);
    assert_eq!(received(&linked).await, ["plain"]);
    pass_on(2);
    assert_eq!(places(&received(&linked).await), [Some(3)]);
    // The link is faster.
    pass_on(3);
    announce(3);
    subscribers.announce(T, &announced(), AnnouncedTo::All);
    assert_eq!(places(&received(&linked).await), [Some(3), Some(5)]);
    assert_eq!(places(&received(&others).await), [1, 2, 3, 4, 5].map(Some));
    subscribers.forget_catalog();
    assert_eq!(subscribers.catalog_place().catalog_seq, 6);
}

#[tokio::test]
async fn another_server_gets_the_changes_with_their_numbers_and_each_of_its_clients_those_for_it() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    subscribers.announce(T, &announced(), AnnouncedTo::All);
    let [link, observer] = [1, 2].map(outbox);
    let opened =
        |newest, since: ChangesSince<'_>| Frame::from(format!("{newest} {}", since(0).unwrap().len()));
    for (outbox, kind) in [(&link, RelayKind::Client), (&observer, RelayKind::Observer)] {
        subscribers.connect_link(outbox.clone(), OTHER);
        let wishes = ClientWishes { numbered: true, ..ClientWishes::default() };
        subscribers.initialise_link(outbox.connection(), wishes, (kind, opened));
    }
    assert_eq!((subscribers.links(), subscribers.is_deserted()), (2, true));
    join(&subscribers, 1, Role::Subscriber);
    let numbered =
        Announcement { number: Some((EventSeq(9), Epoch(4))), ..announced().announcement.unwrap() };
    subscribers.announce(T, &Broadcast { announcement: Some(numbered), ..announced() }, AnnouncedTo::All);
    subscribers.announce(T, &announced(), AnnouncedTo::Unsubscribed);
    // Each server announces these by itself.
    subscribers.announce(T, &announced(), AnnouncedTo::Listening);
    subscribers.publish_to_everybody(&announced());
    let read = |frames: &[String]| -> Vec<(u64, Option<bool>)> {
        let values = frames.iter().map(|frame| serde_json::from_str::<serde_json::Value>(frame).unwrap());
        let number = |value: serde_json::Value| {
            let has_number = value.get(1).map(|change| !change["number"].is_null());
            (value[0].as_u64().unwrap(), has_number)
        };
        values.map(number).collect()
    };
    let (to_link, to_observer) = (received(&link).await, received(&observer).await);
    assert_eq!((to_link[0].as_str(), to_observer[0].as_str()), ("1 1", "1 1"));
    assert_eq!(read(&to_link[1..]), [(2, Some(true)), (3, None)]);
    assert_eq!(read(&to_observer[1..]), [(2, Some(false)), (3, Some(false))]);
    subscribers.keep_links_of(&HashSet::from([OTHER]));
    assert_eq!(link.closed(), None);
    subscribers.keep_links_of(&HashSet::new());
    assert!(link.closed().is_some() && observer.closed().is_some(), "that server has ended");
    let _left = subscribers.disconnect(ConnectionId(1));
    assert_eq!(subscribers.links(), 1);
}

/// An announcement without a number of a thread.
fn announced() -> Broadcast {
    Broadcast {
        announcement: Some(Announcement {
            method: "any",
            params: serde_json::Map::new(),
            at: WallMs(1),
            number: None,
        }),
        ..notice("any")
    }
}

/// Two owners on real threads publish at once: each connection receives every number, in order.
#[test]
fn numbers_rise_without_a_gap_for_each_connection() {
    let subscribers = Subscribers::new(uuid::Uuid::nil());
    let wishes = || ClientWishes { numbered: true, ..ClientWishes::default() };
    let outboxes = [1, 2, 3].map(|id| connected_with(&subscribers, id, wishes()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..250).for_each(|_| subscribers.announce(T, &announced(), AnnouncedTo::All)));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for outbox in outboxes {
        let frames = runtime.block_on(received(&outbox));
        let numbers = frames.iter().map(|frame| {
            let value: serde_json::Value = serde_json::from_str(frame).unwrap();
            value["params"]["skein"]["catalogSeq"].as_u64().unwrap()
        });
        assert_eq!(numbers.collect::<Vec<_>>(), (1..=1_000).collect::<Vec<_>>());
    }
}

/// An announcement that goes over thousands of connections, or waits for another one, holds up nobody.
#[test]
fn lists_and_other_tasks_go_on_while_an_announcement_waits() {
    let subscribers = Arc::new(Subscribers::new(uuid::Uuid::nil()));
    let _outboxes: Vec<Outbox> =
        (0..=policy::WAKES_AT_ONCE as u64).map(|id| connected(&subscribers, id)).collect();
    subscribers.announce(T, &announced(), AnnouncedTo::All);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let (_inside, tasks) = (runtime.enter(), Tasks::new());
    let walk = subscribers.catalog.lock().unwrap();
    let [behind, lists] = [(); 2].map(|()| Arc::clone(&subscribers));
    let (begins, begun) = std::sync::mpsc::sync_channel(1);
    let waits = tasks.spawn("waits", async move {
        begins.send(()).unwrap();
        behind.announce(T, &announced(), AnnouncedTo::All);
    });
    begun.recv().unwrap();
    // The only worker is free for this.
    let list = tasks.spawn("list", async move { lists.catalog_place().catalog_seq });
    let listed = runtime.block_on(async { timeout(Duration::from_secs(60), list).await });
    drop(walk);
    assert_eq!(listed.unwrap().unwrap(), 1);
    runtime.block_on(waits).unwrap();
    assert_eq!(subscribers.catalog_place().catalog_seq, 2);
}
