//! Threads that another server has, and what the clients of one server learn of the others.

use anyhow::{Context, Result, ensure};
use skein_integration_tests::client::{Client, End};
use skein_integration_tests::home::{Home, PATIENCE, Setup};
use skein_integration_tests::http::free_port;
use skein_integration_tests::proxy::Proxy;
use skein_integration_tests::requests::resume_params;
use skein_integration_tests::view::{Kind, View, Window};
use skein_postgres::testing::{TestCluster, TestDatabase};
use skein_protocol::event::{ThreadNameUpdatedNotification, ThreadStatusChangedNotification};
use skein_protocol::extension::{
    CatalogPlace, LoadedThread, ResumeOptions, SkeinCatalogResumeParams, SkeinConnectionLeaveParams,
    SkeinStatusResponse,
};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    SkeinCatalogResume, SkeinConnectionLeave, SkeinQuestionsAnswer, SkeinQuestionsList, ThreadFork,
    ThreadList, ThreadNameSet, ThreadResume, ThreadStart,
};
use skein_protocol::notifications::{ThreadNameUpdated, ThreadStarted, ThreadStatusChanged};
use skein_protocol::question::{SkeinQuestionsAnswerParams, SkeinQuestionsListParams};
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::table::Notification;
use skein_protocol::thread::{
    ThreadForkParams, ThreadListParams, ThreadResumeParams, ThreadSetNameParams, ThreadStartParams,
    ThreadStatus,
};
use skein_protocol::turn::TurnStatus;

use super::nodes::node;
use super::texts;

pub(super) fn observed(status: &SkeinStatusResponse) -> Option<u64> {
    status.cluster.as_ref().map(|cluster| cluster.observed)
}

/// Two servers of one database that observe each other, each with a numbered client.
pub(super) async fn linked(database: &TestDatabase) -> Result<[(Home, Client); 2]> {
    linked_with(node(database, "first")?, node(database, "second")?).await
}

pub(super) async fn linked_with(first: Setup, second: Setup) -> Result<[(Home, Client); 2]> {
    let (first, second) = (first.start().await?, second.start().await?);
    let mut one = Client::numbered(first.address()).await?;
    let mut other = Client::numbered(second.address()).await?;
    for client in [&mut one, &mut other] {
        client.until_status("it observes the other", |status| observed(status) == Some(1)).await?;
    }
    Ok([(first, one), (second, other)])
}

/// Waits until no server has a thread, by its row: a server gives it up behind its unload.
pub(super) async fn until_given_up(database: &TestDatabase, thread: ThreadId) {
    let is_owned = format!("exists (select from heads where thread = '{thread}' and owner is not null)");
    let wait = format!("do $$ begin while {is_owned} loop perform pg_sleep(0.005); end loop; end $$");
    TestCluster::shared().run(&database.name, &wait).await;
}

#[tokio::test]
async fn a_client_uses_a_thread_of_another_server_as_one_of_its_own() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let thread = one.start_thread_with("/tool helper pid").await?;
    let resumed = other.resume(thread).await?;
    assert_eq!(resumed.thread.turns.len(), 1);
    let turn = other.turn(thread, "/tool helper pid").await?;
    assert_eq!(turn.status, TurnStatus::Completed);
    one.turn_end(&turn.id).await?;
    assert_eq!((first.family().helpers.len(), second.family().count()), (1, 0), "where the thread is");
    let numbers = |client: &Client| -> Result<Vec<_>> {
        let mut numbers = Vec::new();
        for message in
            client.record().iter().filter(|message| message.value()["params"]["turnId"] == *turn.id.as_str())
        {
            numbers.extend(message.stamp()?.seq);
        }
        Ok(numbers)
    };
    assert_eq!(numbers(&one)?, numbers(&other)?);
    ensure!(!numbers(&other)?.is_empty());
    assert_eq!(other.say(thread, "on").await?, "on");

    one.unsubscribe(thread).await?;
    let left = other.call::<SkeinConnectionLeave>(SkeinConnectionLeaveParams::default()).await?;
    assert_eq!((left.left, left.loaded), (1, 0), "the other server has ended it");
    first.until_drained(PATIENCE).await?;
    until_given_up(&database, thread).await;
    // Nobody has it now, so the server that is asked loads it.
    other.resume(thread).await?;
    other.turn(thread, "/tool helper pid").await?;
    assert_eq!((first.family().count(), second.family().helpers.len()), (0, 1));
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn the_end_of_a_client_ends_its_threads_at_every_server() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let here = other.start_thread_with("/tool helper pid").await?;
    let there = one.start_thread_with("/tool helper pid").await?;
    other.resume(there).await?;
    one.close().await?;
    ensure!(
        other.loaded_thread(there).await?.context("it keeps it loaded")?.server.as_deref() == Some("first")
    );
    ensure!(other.loaded_thread(here).await?.context("its own")?.server.is_none());
    assert_eq!(first.family().helpers.len(), 1);
    other.close().await?;
    first.until_drained(PATIENCE).await?;
    second.until_drained(PATIENCE).await?;
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_question_is_answered_at_any_server() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let thread = one.start_thread_with("a thread").await?;
    other.resume(thread).await?;
    let turn = one.start_turn(thread, "/ask Which one?").await?;
    other.answer_next("the red one").await?;
    assert_eq!(one.turn_end(&turn).await?.status, TurnStatus::Completed);

    // Of a client that has no link there.
    let mut third = second.client().await?;
    let turn = one.start_turn(thread, "/ask And now?").await?;
    other.next_request::<ItemToolRequestUserInput>().await?;
    let listed = third.call::<SkeinQuestionsList>(SkeinQuestionsListParams::default()).await?.data;
    let question = listed.first().context("it waits")?;
    ensure!(question.loaded && question.thread_id == thread, "{question:?}");
    let asked = question.params["questions"][0]["id"].as_str().context("its id")?;
    let result = serde_json::json!({ "answers": { asked: { "answers": ["the blue one"] } } });
    let blue = result.clone();
    third.call::<SkeinQuestionsAnswer>(SkeinQuestionsAnswerParams { id: question.id, result }).await?;
    assert_eq!(one.turn_end(&turn).await?.status, TurnStatus::Completed);
    ensure!(one.reply_text(&turn)?.is_some_and(|text| text.contains("the blue one")));
    // It is settled, and each server knows by whom.
    third.call::<SkeinQuestionsAnswer>(SkeinQuestionsAnswerParams { id: question.id, result: blue }).await?;
    let green = serde_json::json!({ "answers": { asked: { "answers": ["the green one"] } } });
    let late = SkeinQuestionsAnswerParams { id: question.id, result: green };
    assert_eq!(third.refusal::<SkeinQuestionsAnswer>(late).await?.reason(), "alreadyAnswered");
    first.finish().await?;
    second.finish().await
}

/// Waits until the list of loaded threads at a client's server shows a thread like this.
pub(super) async fn until_shown(
    client: &mut Client,
    thread: ThreadId,
    holds: impl Fn(Option<&LoadedThread>) -> bool,
) -> Result<()> {
    let shown = async {
        while !holds(client.loaded_thread(thread).await?.as_ref()) {}
        anyhow::Ok(())
    };
    let shown = tokio::time::timeout(PATIENCE, shown).await;
    shown.with_context(|| format!("not in time; the thread is {thread}"))?
}

#[tokio::test]
async fn new_and_ephemeral_threads_are_used_at_any_server() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    for ephemeral in [false, true] {
        let params = ThreadStartParams { ephemeral: Some(ephemeral), ..ThreadStartParams::default() };
        let thread = one.call::<ThreadStart>(params).await?.thread.id;
        // Without a wait for any news of it.
        assert_eq!(other.resume(thread).await?.thread.ephemeral, ephemeral);
        one.unsubscribe(thread).await?;
        assert_eq!(other.say(thread, "on").await?, "on");
        let mut late = second.client().await?;
        assert_eq!(texts(&late.resume(thread).await?.thread), ["on", "on"]);
        late.close().await?;
        other.unsubscribe(thread).await?;
        until_shown(&mut one, thread, |loaded| loaded.is_none()).await?;
    }
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_client_that_leaves_while_it_begins_to_observe_stops_nobody() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, other)] = linked(&database).await?;
    let thread = one.start_thread_with("a thread").await?;
    one.unsubscribe(thread).await?;
    until_shown(&mut one, thread, |loaded| loaded.is_none()).await?;
    let skein = Some(ResumeOptions { observe: true, ..ResumeOptions::default() });
    let observe = ThreadResumeParams { skein, ..resume_params(thread) };
    let pending = one.start_call::<ThreadResume>(&observe).await?;
    one.call::<SkeinConnectionLeave>(SkeinConnectionLeaveParams::default()).await?;
    one.answer(pending).await?.ok();
    assert_eq!(texts(&one.resume(thread).await?.thread).len(), 2);
    other.close().await?;
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_new_thread_is_among_the_loaded_ones_of_every_server() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let thread = one.start_thread().await?.id;
    let is_there = |materialised| {
        move |loaded: Option<&LoadedThread>| {
            let is_like =
                |it: &LoadedThread| it.server.as_deref() == Some("first") && it.materialised == materialised;
            loaded.is_some_and(is_like)
        }
    };
    until_shown(&mut other, thread, is_there(false)).await?;
    let third = node(&database, "third")?.start().await?;
    let mut late = third.client().await?;
    until_shown(&mut late, thread, is_there(false)).await?;
    one.say(thread, "begin").await?;
    until_shown(&mut other, thread, is_there(true)).await?;
    until_shown(&mut late, thread, is_there(true)).await?;
    one.close().await?;
    until_shown(&mut other, thread, |loaded| loaded.is_none()).await?;
    third.finish().await?;
    first.finish().await?;
    second.finish().await
}

/// The places in the catalog that a client has got, in order.
fn places(client: &Client) -> Vec<u64> {
    let places = client.record().iter();
    places.filter_map(|message| message.value()["params"]["skein"]["catalogSeq"].as_u64()).collect()
}

/// The changes that a client at this place has missed.
async fn since(client: &mut Client, place: &CatalogPlace, after: u64) -> Result<Vec<String>> {
    let catalog_epoch = place.catalog_epoch.clone();
    let missed = client.call::<SkeinCatalogResume>(SkeinCatalogResumeParams { after, catalog_epoch }).await?;
    ensure!(!missed.too_old);
    Ok(missed.changes.into_iter().map(|change| change.method).collect())
}

#[tokio::test]
async fn clients_learn_of_the_threads_of_all_servers_in_the_order_of_their_own() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let mut third = Client::numbered(second.address()).await?;
    let listed = third.call::<ThreadList>(ThreadListParams::default()).await?;
    let place = listed.skein.context("the place of the catalog")?.place;
    let thread = one.start_thread_with("a thread").await?;
    for client in [&mut other, &mut third] {
        client.next::<ThreadStarted>(|started| started.thread.id == thread).await?;
    }
    // From here on one of them has a link, and the other one has none.
    other.resume(thread).await?;
    let own = other.start_thread_with("its own").await?;
    for name in ["a", "b"] {
        let params = ThreadSetNameParams { name: name.to_owned(), thread_id: thread };
        other.call::<ThreadNameSet>(params).await?;
    }
    for client in [&mut one, &mut other, &mut third] {
        client.next::<ThreadNameUpdated>(|named| named.thread_name.as_deref() == Some("b")).await?;
        let named = client.received::<ThreadNameUpdated>()?;
        assert_eq!(named.len(), 2, "each change once: {named:?}");
    }
    for client in [&other, &third] {
        let places = places(client);
        ensure!(places.is_sorted(), "{places:?}");
    }
    third.next::<ThreadStarted>(|started| started.thread.id == own).await?;
    let missed = since(&mut third, &place, place.catalog_seq).await?;
    assert_eq!(
        missed.iter().filter(|method| *method == ThreadNameUpdated::INFO.wire).count(),
        2,
        "{missed:?}"
    );
    let seen = *places(&third).last().context("a place")?;
    assert_eq!(since(&mut third, &place, seen).await?, Vec::<String>::new());

    one.unsubscribe(thread).await?;
    other.unsubscribe(thread).await?;
    for client in [&mut other, &mut third] {
        let is_gone = |changed: &ThreadStatusChangedNotification| {
            changed.thread_id == thread && changed.status == ThreadStatus::NotLoaded
        };
        client.next::<ThreadStatusChanged>(is_gone).await?;
    }
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn lists_show_the_threads_that_run_at_another_server() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let thread = one.start_thread_with("a thread").await?;
    let rests = |changed: &ThreadStatusChangedNotification| {
        changed.thread_id == thread && changed.status == ThreadStatus::Idle
    };
    other.next::<ThreadStatusChanged>(rests).await?;
    // The first turn was active, too.
    other.take_all();
    let turn = one.start_turn(thread, "/tool helper hang").await?;
    let runs = |changed: &ThreadStatusChangedNotification| {
        changed.thread_id == thread && matches!(changed.status, ThreadStatus::Active { .. })
    };
    other.next::<ThreadStatusChanged>(runs).await?;
    let listed = other.list_all(ThreadListParams::default()).await?;
    ensure!(matches!(listed[0].status, ThreadStatus::Active { .. }), "{listed:?}");
    assert_eq!(other.loaded().await?, [thread]);
    one.interrupt_and_wait(thread, &turn).await?;
    // A server that comes later knows it from the start.
    let (third, mut late) = node(&database, "third")?.start_with_client().await?;
    late.until_status("it observes both", |status| observed(status) == Some(2)).await?;
    ensure!(
        late.loaded_thread(thread).await?.is_some_and(|loaded| loaded.server.as_deref() == Some("first"))
    );
    let forked = late
        .call::<ThreadFork>(ThreadForkParams { thread_id: thread, ..ThreadForkParams::default() })
        .await?
        .thread
        .id;
    assert_eq!(late.say(forked, "on").await?, "on", "where the other one is");
    // Its own server learns of it by another way than the client.
    let known = async {
        loop {
            if let Some(loaded) = late.loaded_thread(forked).await? {
                return anyhow::Ok(loaded.server);
            }
        }
    };
    let server = tokio::time::timeout(PATIENCE, known).await.context("nobody says that it is loaded")??;
    assert_eq!(server.as_deref(), Some("first"));
    first.finish().await?;
    second.finish().await?;
    third.finish().await
}

/// Two servers of one database, the first behind a proxy for the links of the other, each with a numbered client.
pub(super) async fn linked_through_a_proxy(database: &TestDatabase) -> Result<(Proxy, [(Home, Client); 2])> {
    let port = free_port()?;
    let proxy = Proxy::start(&format!("ws://127.0.0.1:{port}")).await?;
    let address = proxy.address();
    let advertised = address.strip_prefix("ws://").context("the proxy's address")?;
    let first = node(database, "first")?
        .set("cluster.listen", format!("127.0.0.1:{port}"))
        .set("cluster.advertise", advertised);
    Ok((proxy, linked_with(first, node(database, "second")?).await?))
}

#[tokio::test]
async fn what_was_announced_while_a_link_was_cut_comes_later_and_once() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (proxy, [(first, mut one), (second, mut other)]) = linked_through_a_proxy(&database).await?;
    let mut stays = Client::numbered(second.address()).await?;
    let thread = one.start_thread_with("a thread").await?;
    let unwatched = one.start_thread_with("another thread").await?;
    other.resume(thread).await?;
    let own = stays.start_thread_with("its own").await?;
    one.next::<ThreadStarted>(|started| started.thread.id == own).await?;
    proxy.cut_once();
    for name in ["a", "b", "c"] {
        let named = |thread_id| ThreadSetNameParams { name: name.to_owned(), thread_id };
        one.call::<ThreadNameSet>(named(thread)).await?;
        stays.call::<ThreadNameSet>(named(own)).await?;
        one.call::<ThreadNameSet>(named(unwatched)).await?;
    }
    for client in [&mut other, &mut stays] {
        for of in [thread, own, unwatched] {
            let is_last = |named: &ThreadNameUpdatedNotification| {
                (named.thread_id, named.thread_name.as_deref()) == (of, Some("c"))
            };
            client.next::<ThreadNameUpdated>(is_last).await?;
        }
    }
    stays.until_status("it observes the other again", |status| observed(status) == Some(1)).await?;
    assert_eq!(other.say(thread, "on").await?, "on");
    // Nothing of its own comes back from the other server.
    for client in [&stays, &other] {
        for of in [thread, own, unwatched] {
            let named = client.received::<ThreadNameUpdated>()?.into_iter();
            let named = named.filter(|named| named.thread_id == of);
            let names: Vec<_> = named.filter_map(|named| named.thread_name).collect();
            assert_eq!(names, ["a", "b", "c"]);
        }
    }
    ensure!(places(&stays).is_sorted(), "{:?}", places(&stays));
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_server_that_takes_no_link_is_named_and_its_threads_can_be_read() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let (proxy, [(first, mut one), (second, mut other)]) = linked_through_a_proxy(&database).await?;
    let thread = one.start_thread_with("a thread").await?;
    // It is not handed over meanwhile.
    one.start_turn(thread, "/tool helper hang").await?;
    drop(proxy);
    assert_eq!(texts(&other.read_thread(thread).await?)[..2], ["a thread", "a thread"]);
    let refused = other.refusal::<ThreadResume>(resume_params(thread)).await?;
    assert_eq!((refused.code, refused.reason()), (-32001, "ownerUnreachable"));
    ensure!(refused.message.contains("first"), "{refused:?}");
    other.until_status("it does not observe the other", |status| observed(status) == Some(0)).await?;
    assert_eq!(other.loaded().await?, []);
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_window_at_another_server_shows_what_one_at_the_owner_shows() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, _one), (second, _other)] = linked(&database).await?;
    for kind in [Kind::Plain, Kind::Numbered] {
        let mut near = Window::start(kind, first.address()).await?;
        near.start_turn("words").await?;
        let mut far = Window::open(kind, second.address(), near.thread()).await?;
        for text in ["/stream 2000 200", "/stream 50 8 1000", "/tool helper echo {\"text\":\"x\"}"] {
            let turn = near.start_turn(text).await?;
            for window in [&mut near, &mut far] {
                let ended = |view: &View| view.has_ended(&turn) && view.is_at_rest();
                window.until("the end of the turn", ended).await?;
            }
            far.view.same_as(&near.view)?;
        }
        assert_eq!(second.family().count(), 0);
    }
    first.finish_drained().await?;
    second.finish_drained().await
}

#[tokio::test]
async fn two_servers_that_are_asked_for_a_thread_at_once_both_serve_it() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let [(first, mut one), (second, mut other)] = linked(&database).await?;
    let mut threads: Vec<ThreadId> = Vec::new();
    for _ in 0..8 {
        threads.push(one.start_thread_with("a thread").await?);
    }
    one.call::<SkeinConnectionLeave>(SkeinConnectionLeaveParams::default()).await?;
    for thread in threads {
        let here = one.start_call::<ThreadResume>(&resume_params(thread)).await?;
        let there = other.start_call::<ThreadResume>(&resume_params(thread)).await?;
        one.answer(here).await??;
        other.answer(there).await??;
        let turn = other.start_turn(thread, "hello").await?;
        one.turn_end(&turn).await?;
        other.turn_end(&turn).await?;
    }
    first.finish().await?;
    second.finish().await
}

#[tokio::test]
async fn a_thread_that_was_unloaded_for_room_keeps_its_clients_at_every_server() -> Result<()> {
    let database = TestCluster::shared().database().await;
    let first = node(&database, "first")?.set("limits.loaded_threads", 1);
    let [(first, mut one), (second, mut other)] = linked_with(first, node(&database, "second")?).await?;
    let thread = one.start_thread_with("a thread").await?;
    other.resume(thread).await?;
    let unloaded = |changed: &ThreadStatusChangedNotification| {
        changed.thread_id == thread && changed.status == ThreadStatus::NotLoaded
    };
    let another = one.start_thread_with("another").await?;
    other.next::<ThreadStatusChanged>(unloaded).await?;
    // Its way is that of the thread before, where it is subscribed.
    assert_eq!(other.say(thread, "on").await?, "on");
    assert_eq!(one.loaded_thread(thread).await?.context("loaded")?.server, None);

    one.say(another, "on").await?;
    other.take_all();
    let listed = |changed: &ThreadStatusChangedNotification| changed.thread_id == another;
    other.next::<ThreadStatusChanged>(listed).await?;
    one.until_status("it was unloaded", |status| status.threads.loaded == 1).await?;
    until_given_up(&database, thread).await;
    // Somebody without a way loads it at another server. A client of the first that listens there comes back and gets its events. One of
    // the second stays.
    let mut fresh = second.client().await?;
    fresh.resume(thread).await?;
    assert_eq!(one.until_end().await?, End::Close(Some(1013)));
    let mut one = first.client().await?;
    one.resume(thread).await?;
    let turn = fresh.start_turn(thread, "hello").await?;
    one.turn_end(&turn).await?;
    other.turn_end(&turn).await?;
    first.finish().await?;
    second.finish().await
}
