//! The relayed threads of a client, with frames as servers send them.

use serde_json::{Value, json};
use skein_protocol::methods as m;
use skein_protocol::notifications as n;
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::table::{Method, ServerRequest};

use skein_protocol::error::OVERLOADED;

use super::*;

mod requests;

const LINK: Uuid = Uuid::from_u128(1);
const NEXT: Uuid = Uuid::from_u128(2);
const THREAD: ThreadId = ThreadId::new(Uuid::from_u128(3));
const NOW: i64 = 1_000;

fn threads(is_numbered: bool) -> RelayedThreads {
    let mut threads = RelayedThreads::default();
    threads.introduce("client".to_owned(), is_numbered, []);
    threads
}

fn request<M: Method>(id: i64, params: &Value) -> String {
    json!({ "id": id, "method": M::INFO.wire, "params": params }).to_string()
}

fn of_thread() -> Value {
    json!({ "threadId": THREAD })
}

/// The answer that shows a thread at this number.
fn shown(seq: u64, more: Value) -> Value {
    let mut skein = json!({ "seq": seq, "epoch": 1 });
    let members = skein.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    json!({ "thread": { "id": THREAD, "status": { "type": "idle" } }, "skein": skein })
}

fn frame(value: &Value) -> Utf8Bytes {
    value.to_string().into()
}

fn event(seq: u64, method: &str, params: Value) -> Utf8Bytes {
    let mut all = json!({ "threadId": THREAD });
    all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
    frame(&json!({ "method": method, "params": all, "emittedAtMs": 1, "seq": seq, "epoch": 1 }))
}

fn values(frames: &[Utf8Bytes]) -> Vec<Value> {
    frames.iter().map(|frame| serde_json::from_str(frame).unwrap()).collect()
}

/// A client that has subscribed to the thread by a link, at number 5.
fn subscribed(is_numbered: bool) -> RelayedThreads {
    let mut threads = threads(is_numbered);
    threads.send((THREAD, LINK), request::<m::ThreadResume>(1, &of_thread()), false);
    let answer = frame(&json!({ "id": 1, "result": shown(5, json!({})) }));
    assert_eq!(threads.receive(LINK, answer.clone(), NOW).to_client, [answer]);
    assert_eq!(threads.changed(), Some([(THREAD, Some(LINK))].into()));
    threads
}

/// The id and the params of the resume of a lost thread, by the next link.
fn resume(threads: &mut RelayedThreads) -> (RequestId, Value) {
    resume_at(threads, NextOwner::Link(NEXT))
}

fn resume_at(threads: &mut RelayedThreads, owner: NextOwner) -> (RequestId, Value) {
    let (id, requests) = threads.continuation(THREAD);
    assert_eq!(requests.len(), 0, "{requests:?}");
    let id = id.unwrap();
    let text: Value = serde_json::from_str(&threads.resume(&id, owner).unwrap()).unwrap();
    (id, text["params"].clone())
}

/// The answer of the next server, by its link.
fn answer(threads: &mut RelayedThreads, id: &RequestId, result: &Value) -> Relayed {
    threads.receive(NEXT, frame(&json!({ "id": id, "result": result })), NOW)
}

fn name(seq: u64) -> Utf8Bytes {
    event(seq, n::ThreadNameUpdated::INFO.wire, json!({ "threadName": seq.to_string() }))
}

#[test]
fn a_lost_thread_is_resumed_behind_the_last_event_of_its_client() {
    for is_numbered in [true, false] {
        let mut threads = subscribed(is_numbered);
        let received = values(&threads.receive(LINK, name(6), NOW).to_client);
        assert_eq!(received[0].get("seq").is_some(), is_numbered);
        let (refusals, lost) = threads.lost(LINK);
        assert_eq!((refusals.len(), lost), (0, vec![THREAD]));
        assert_eq!(threads.way(THREAD), None);
        let (id, params) = resume(&mut threads);
        assert_eq!((&params["skein"]["afterSeq"], &params["skein"]["epoch"]), (&json!(6), &json!(1)));
        let relayed = answer(&mut threads, &id, &shown(6, json!({ "replayTo": 7 })));
        assert_eq!(values(&relayed.to_client), Vec::<Value>::new(), "the client has asked nothing");
        assert_eq!(threads.way(THREAD), Some(NEXT));
        assert_eq!(threads.receive(NEXT, name(7), NOW).to_client.len(), 1);
        assert_eq!(threads.receive(NEXT, name(7), NOW).to_client.len(), 0, "it has that one");
        assert!(!threads.waits(THREAD), "it is not lost");
    }
}

#[test]
fn the_link_of_a_thread_that_has_come_back_is_noted() {
    let mut threads = subscribed(true);
    threads.lost(LINK);
    let (id, _) = resume(&mut threads);
    answer(&mut threads, &id, &shown(5, json!({})));
    assert_eq!(threads.changed(), Some([(THREAD, Some(NEXT))].into()));
}

#[test]
fn a_thread_that_its_client_unloads_is_followed_no_longer() {
    for (state, stays) in [("unloaded", false), ("notLoaded", true)] {
        let mut threads = subscribed(true);
        threads.send((THREAD, LINK), request::<m::SkeinThreadUnload>(2, &of_thread()), false);
        let done = frame(&json!({ "id": 2, "result": { "state": state } }));
        assert_eq!(threads.receive(LINK, done.clone(), NOW).to_client, [done]);
        assert_eq!(threads.is_tracked(THREAD), stays);
        assert_eq!(threads.lost(LINK).1.is_empty(), !stays, "it comes back if its client has not left it");
    }
}

#[test]
fn an_unload_behind_a_lost_server_ends_the_thread_once() {
    let mut threads = subscribed(true);
    threads.send((THREAD, LINK), request::<m::SkeinThreadUnload>(2, &of_thread()), false);
    threads.lost(LINK);
    // Both go to the next server, which loads the thread and leaves it for the client.
    let (id, requests) = threads.continuation(THREAD);
    assert_eq!(requests.len(), 1);
    let id = id.unwrap();
    threads.resume(&id, NextOwner::Link(NEXT)).unwrap();
    let withdrawn = json!({ "code": -32600, "message": "", "data": { "reason": "withdrawn" } });
    let refused = frame(&json!({ "id": id, "error": withdrawn }));
    assert_eq!(threads.receive(NEXT, refused, NOW).to_client, Vec::<Utf8Bytes>::new());
    assert!(!threads.is_tracked(THREAD));
}

/// A delta as servers send it, whose text has the name of a member in it.
fn delta() -> Utf8Bytes {
    let params = json!({ "threadId": THREAD, "turnId": "t", "itemId": "i", "delta": "\"threadId\":\"x\"" });
    format!(r#"{{"method":"{}","params":{params}}}"#, n::ItemAgentMessageDelta::INFO.wire).into()
}

#[test]
fn text_comes_only_by_the_link_of_the_server_that_has_the_thread() {
    let mut threads = subscribed(true);
    assert_eq!(threads.receive(LINK, delta(), NOW).to_client, [delta()]);
    assert_eq!(threads.receive(NEXT, delta(), NOW).to_client, Vec::<Utf8Bytes>::new());
    threads.lost(LINK);
    let (id, _) = resume(&mut threads);
    answer(&mut threads, &id, &shown(5, json!({})));
    assert_eq!(threads.receive(NEXT, delta(), NOW).to_client, [delta()]);
    assert_eq!(
        threads.receive(LINK, delta(), NOW).to_client,
        Vec::<Utf8Bytes>::new(),
        "it has lost the thread"
    );
}

#[test]
fn a_thread_that_comes_back_to_this_server_is_relayed_no_longer() {
    let mut threads = subscribed(true);
    let asked =
        frame(&json!({ "id": 77, "method": ItemToolRequestUserInput::INFO.wire, "params": of_thread() }));
    assert_eq!(threads.receive(LINK, asked.clone(), NOW).to_client, [asked]);
    let said = json!({ "id": 77, "result": {} }).to_string();
    threads.answered(&RequestId::Integer(77), &said);
    threads.lost(LINK);
    let (id, _) = resume_at(&mut threads, NextOwner::Here);
    let result = shown(5, json!({ "replayTo": 5, "pendingRequests": [77] })).to_string();
    let result = RawValue::from_string(result).unwrap();
    let relayed = threads.came_back(&id, NextOwner::Here, Ok(&result), NOW);
    assert_eq!(relayed.to_owner, [said.as_str()], "the answer that may have been lost");
    let methods: Vec<Value> = values(&relayed.to_client).into_iter().map(|it| it["method"].clone()).collect();
    assert_eq!(methods, [n::ServerRequestResolved::INFO.wire], "it is put again");
    assert_eq!((threads.changed(), threads.way(THREAD)), (Some(HashMap::new()), None));
    assert_eq!(threads.lost(LINK).1, []);
}

#[test]
fn a_question_that_the_next_server_puts_again_is_shown_once() {
    let mut threads = subscribed(true);
    let ask = |id| {
        frame(&json!({ "id": id, "method": ItemToolRequestUserInput::INFO.wire, "params": of_thread() }))
    };
    for id in [77, 78, 79] {
        assert_eq!(threads.receive(LINK, ask(id), NOW).to_client.len(), 1);
    }
    let said = json!({ "id": 78, "result": {} }).to_string();
    threads.answered(&RequestId::Integer(78), &said);
    threads.lost(LINK);
    let (id, _) = resume(&mut threads);
    let result = shown(5, json!({ "replayTo": 5, "pendingRequests": [77, 78] }));
    let relayed = answer(&mut threads, &id, &result);
    let resolved = values(&relayed.to_client);
    assert_eq!(
        (resolved.len(), &resolved[0]["params"]["requestId"]),
        (1, &json!(79)),
        "nobody asks that now"
    );
    let again = threads.receive(NEXT, ask(77), NOW);
    assert_eq!((again.to_client.len(), again.to_owner.len()), (0, 0));
    assert_eq!(threads.receive(NEXT, ask(78), NOW).to_owner, [said.as_str()]);
}

#[test]
fn a_client_that_has_left_keeps_what_it_has_asked_for_since() {
    let mut threads = threads(true);
    let resume = |id| request::<m::ThreadResume>(id, &of_thread());
    let answer = |id: i64| frame(&json!({ "id": id, "result": shown(5, json!({})) }));
    threads.send((THREAD, LINK), resume(1), false);
    threads.leave();
    assert_eq!(threads.receive(LINK, answer(1), NOW).unwanted, Some(THREAD));
    threads.send((THREAD, LINK), resume(2), false);
    threads.leave();
    threads.send((THREAD, LINK), resume(3), false);
    assert_eq!(threads.receive(LINK, answer(2), NOW).unwanted, None, "the next one subscribes it");
    threads.receive(LINK, answer(3), NOW);
    assert!(threads.is_tracked(THREAD));
}

#[test]
fn a_client_that_resumes_or_leaves_a_lost_thread_itself_is_not_resumed_besides() {
    let own_requests =
        [request::<m::ThreadResume>(2, &of_thread()), request::<m::ThreadUnsubscribe>(2, &of_thread())];
    for own in own_requests {
        let mut threads = subscribed(true);
        threads.send((THREAD, LINK), own, false);
        assert_eq!(threads.lost(LINK).1, [THREAD]);
        let (resume, requests) = threads.continuation(THREAD);
        assert_eq!((resume, requests.len()), (None, 1));
    }
    let mut threads = subscribed(true);
    threads.leave();
    assert_eq!((threads.lost(LINK).1, threads.way(THREAD)), (vec![], None));
}

#[test]
fn a_subscription_outlives_the_refusal_of_a_resume_that_was_repeated() {
    let mut threads = subscribed(true);
    threads.send((THREAD, LINK), request::<m::ThreadResume>(2, &of_thread()), false);
    threads.lost(LINK);
    assert!(threads.is_lost(THREAD));
    let (None, requests) = threads.continuation(THREAD) else { panic!("resumed besides") };
    let [own] = &requests[..] else { panic!("{requests:?}") };
    threads.send((THREAD, NEXT), own.line.as_str().to_owned(), true);
    let refusal = json!({ "id": 2, "error": { "code": -32001, "message": "busy" } });
    let relayed = threads.receive(NEXT, frame(&refusal), NOW);
    assert_eq!((relayed.to_client.len(), relayed.again.map(|(thread, _)| thread)), (1, Some(THREAD)));
    resume(&mut threads);
}

#[test]
fn a_thread_without_room_is_resumed_later_and_one_that_is_gone_is_closed() {
    let mut threads = subscribed(true);
    let begun = event(6, n::TurnStarted::INFO.wire, json!({ "turn": { "id": "t" } }));
    threads.receive(LINK, begun, NOW);
    threads.lost(LINK);
    let error = |id: &RequestId, code: i64, reason: &str| {
        let data = json!({ "reason": reason, "retryAfterMs": 7 });
        frame(&json!({ "id": id, "error": { "code": code, "message": "no", "data": data } }))
    };
    let (id, _) = resume(&mut threads);
    let relayed = threads.receive(NEXT, error(&id, OVERLOADED, "busy"), NOW);
    assert_eq!(relayed.again, Some((THREAD, Duration::from_millis(7))));
    let (id, params) = resume(&mut threads);
    assert_eq!(params["skein"]["afterSeq"], 6);
    let relayed = threads.receive(NEXT, error(&id, -32600, "damaged"), NOW);
    let methods: Vec<Value> = values(&relayed.to_client).into_iter().map(|it| it["method"].clone()).collect();
    let expected = [n::TurnCompleted::INFO.wire, n::Warning::INFO.wire, n::ThreadClosed::INFO.wire];
    assert_eq!(methods, expected);
    assert!(!threads.waits(THREAD));
}

#[test]
fn a_history_that_cannot_be_continued_ends_the_turn_that_the_client_sees() {
    let mut threads = subscribed(true);
    let begun = event(6, n::TurnStarted::INFO.wire, json!({ "turn": { "id": "t" } }));
    threads.receive(LINK, begun, NOW);
    threads.lost(LINK);
    let (id, _) = resume(&mut threads);
    let result = shown(3, json!({ "gap": { "reason": "unknownSeq" } }));
    let relayed = answer(&mut threads, &id, &result);
    let methods: Vec<Value> = values(&relayed.to_client).into_iter().map(|it| it["method"].clone()).collect();
    assert_eq!(methods, [n::TurnCompleted::INFO.wire, n::Warning::INFO.wire]);
    assert_eq!(threads.receive(NEXT, name(4), NOW).to_client.len(), 1, "numbers begin anew there");
}

#[test]
fn a_fork_is_followed_where_its_thread_is() {
    let mut threads = subscribed(true);
    let fork = ThreadId::new(Uuid::from_u128(4));
    threads.send((THREAD, LINK), request::<m::ThreadFork>(2, &of_thread()), false);
    let mut result = shown(2, json!({}));
    result["thread"]["id"] = json!(fork);
    threads.receive(LINK, frame(&json!({ "id": 2, "result": result })), NOW);
    assert_eq!(threads.way(fork), Some(LINK));
    assert_eq!(threads.lost(LINK).1, [THREAD, fork]);
}

#[test]
fn the_stop_of_another_server_is_no_news_for_the_client() {
    let mut threads = subscribed(true);
    let stopping = frame(&json!({ "method": n::SkeinStopping::INFO.wire, "params": {} }));
    assert_eq!(threads.receive(LINK, stopping, NOW).to_client.len(), 0);
}

#[test]
fn a_request_to_another_server_than_that_of_the_subscription_waits_until_the_thread_is_back() {
    let turn = request::<m::TurnStart>(2, &json!({ "threadId": THREAD, "input": [] }));
    let mut threads = subscribed(true);
    assert!(!threads.goes_astray(THREAD, NextOwner::Link(LINK), &turn));
    for owner in [NextOwner::Link(NEXT), NextOwner::Here] {
        let mut threads = subscribed(true);
        assert!(threads.goes_astray(THREAD, owner, &turn));
        let (_, params) = resume_at(&mut threads, owner);
        assert_eq!(params["skein"]["afterSeq"], 5);
        assert!(!threads.goes_astray(THREAD, owner, &turn), "it follows the resume");
        assert_eq!(threads.lost(LINK).1, [], "it is back, whenever the old link ends");
    }
    // A subscription of its own needs no relay.
    let mut threads = subscribed(true);
    let own = request::<m::ThreadUnsubscribe>(2, &of_thread());
    assert!(!threads.goes_astray(THREAD, NextOwner::Here, &own) && !threads.is_tracked(THREAD));
    for is_granted in [true, false] {
        let mut threads = subscribed(true);
        let own = request::<m::ThreadResume>(2, &of_thread());
        assert!(!threads.goes_astray(THREAD, NextOwner::Here, &own));
        assert!(!threads.goes_astray(THREAD, NextOwner::Here, &turn), "it follows");
        threads.resumed_itself(THREAD, is_granted);
        assert_eq!(threads.is_tracked(THREAD), !is_granted);
        assert_eq!(threads.is_forgotten(THREAD), !is_granted, "it was subscribed before");
        assert_eq!(threads.lost(LINK).1, []);
        assert_eq!(threads.receive(LINK, name(6), NOW).to_client.len(), usize::from(!is_granted));
    }
}

#[test]
fn an_event_of_a_server_that_had_the_thread_before_is_no_news() {
    let mut threads = subscribed(true);
    threads.lost(LINK);
    let (id, _) = resume(&mut threads);
    answer(&mut threads, &id, &shown(5, json!({ "replayTo": 5 })));
    assert_eq!(threads.receive(LINK, name(6), NOW).to_client.len(), 0);
    assert_eq!(threads.receive(NEXT, name(6), NOW).to_client.len(), 1);
}

#[test]
fn a_client_that_leaves_gets_its_answers_and_no_thread_back() {
    let mut threads = subscribed(true);
    threads.send((THREAD, LINK), request::<m::ThreadRead>(2, &of_thread()), false);
    threads.lost(LINK);
    threads.leave();
    let (resumed, requests) = threads.continuation(THREAD);
    assert_eq!((resumed, requests.len()), (None, 1));

    let mut threads = subscribed(true);
    threads.lost(LINK);
    let (id, _) = threads.continuation(THREAD);
    threads.leave();
    assert_eq!(threads.resume(&id.unwrap(), NextOwner::Link(NEXT)), None, "nobody wants it");

    let mut threads = subscribed(true);
    threads.lost(LINK);
    let (id, _) = resume(&mut threads);
    threads.leave();
    let late = frame(&json!({ "id": id, "result": shown(5, json!({})) }));
    let relayed = threads.receive(NEXT, late, NOW);
    assert_eq!((relayed.to_client.len(), relayed.unwanted), (0, Some(THREAD)), "the client has not asked it");

    let mut threads = subscribed(true);
    threads.send((THREAD, LINK), request::<m::ThreadResume>(2, &of_thread()), false);
    threads.leave();
    let late = frame(&json!({ "id": 2, "result": shown(5, json!({})) }));
    let relayed = threads.receive(LINK, late, NOW);
    assert_eq!((relayed.to_client.len(), relayed.unwanted), (1, Some(THREAD)));
    assert!(!threads.is_tracked(THREAD));

    // Also if the server has ended in between.
    for leaves_first in [true, false] {
        let mut threads = subscribed(true);
        threads.send((THREAD, LINK), request::<m::ThreadResume>(2, &of_thread()), false);
        let refused = if leaves_first {
            threads.leave();
            threads.lost(LINK).0
        } else {
            threads.lost(LINK);
            threads.leave()
        };
        assert_eq!(values(&refused)[0]["error"]["data"]["reason"], "serverEnded");
        assert!(threads.continuation(THREAD).1.is_empty());
    }
}

#[test]
fn a_late_resume_of_the_relay_does_not_end_what_the_client_has_asked_for_since() {
    for asks_again in [false, true] {
        let mut threads = subscribed(true);
        threads.lost(LINK);
        let (id, _) = resume(&mut threads);
        threads.leave();
        if asks_again {
            threads.send((THREAD, NEXT), request::<m::ThreadResume>(2, &of_thread()), false);
        }
        let relayed = answer(&mut threads, &id, &shown(6, json!({})));
        assert_eq!(relayed.unwanted, (!asks_again).then_some(THREAD));
    }
}

#[test]
fn an_item_in_progress_that_the_next_server_shows_again_is_known_unless_text_is_lost() {
    let message = json!({ "type": "agentMessage", "id": "i", "text": "" });
    for (item, text, is_known) in [
        (json!({ "type": "mcpToolCall", "id": "i" }), true, true),
        (message.clone(), false, true),
        // The client has shown text that the next server has not.
        (message, true, false),
        (json!({ "type": "reasoning", "id": "i", "summary": [], "content": [] }), true, false),
    ] {
        let mut threads = subscribed(true);
        let params = || json!({ "turnId": "t", "item": item });
        threads.receive(LINK, event(6, n::ItemStarted::INFO.wire, params()), NOW);
        if text {
            threads.receive(LINK, delta(), NOW);
        }
        threads.lost(LINK);
        let (id, _) = resume(&mut threads);
        answer(&mut threads, &id, &shown(6, json!({ "replayTo": 6 })));
        let mut again = of_thread();
        again.as_object_mut().unwrap().extend(params().as_object().unwrap().clone());
        let again = frame(&json!({ "method": n::ItemStarted::INFO.wire, "params": again }));
        assert_eq!(threads.receive(NEXT, again, NOW).to_client.len(), usize::from(!is_known), "{item}");
    }
}
