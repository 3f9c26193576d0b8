//! Requests whose server ends, stops, or does not have their thread.

use skein_protocol::error::{NOT_LOADED, OWNER_UNREACHABLE};

use super::*;

#[test]
fn requests_without_an_answer_are_repeated_in_order_or_refused() {
    let mut threads = subscribed(true);
    let mut ask = |text| threads.send((THREAD, LINK), text, false);
    ask(request::<m::ThreadNameSet>(2, &json!({ "threadId": THREAD, "name": "a" })));
    let message = ask(request::<m::TurnStart>(3, &json!({ "threadId": THREAD, "input": [] })));
    assert!(message.contains("clientUserMessageId"), "so that it counts once: {message}");
    ask(request::<m::ThreadCompactStart>(4, &of_thread()));
    ask(request::<m::ThreadRead>(5, &of_thread()));
    let read = frame(&json!({ "id": 5, "result": {} }));
    threads.receive(LINK, read, NOW);
    let stops =
        json!({ "id": 2, "error": { "code": -32001, "message": "", "data": { "reason": SERVER_STOPS } } });
    let refused = threads.receive(LINK, frame(&stops), NOW);
    let again = Some((THREAD, policy::ROUTE_RETRY));
    assert_eq!((refused.to_client.len(), refused.again), (0, again), "the next server is asked");
    assert!(threads.waits(THREAD) && threads.is_lost(THREAD), "it no longer has the thread");
    let (refusals, lost) = threads.lost(LINK);
    let refused = values(&refusals);
    assert_eq!((refused.len(), &refused[0]["id"]), (1, &json!(4)));
    assert_eq!(refused[0]["error"]["data"]["reason"], "serverEnded");
    assert_eq!(lost, [THREAD]);
    let (Some(_), requests) = threads.continuation(THREAD) else { panic!("no resume") };
    let [first, last] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!((&first.id, &last.line), (&RequestId::Integer(2), &message));

    // A request under which two servers have ended is not repeated again.
    threads.send((THREAD, NEXT), last.line.as_str().to_owned(), true);
    let refused = values(&threads.lost(NEXT).0);
    assert_eq!((refused.len(), &refused[0]["id"]), (1, &json!(3)));
}

#[test]
fn a_request_that_meets_another_owner_is_sent_on_a_few_times() {
    let mut threads = threads(true);
    let resume = request::<m::ThreadResume>(1, &of_thread());
    let elsewhere = json!({ "id": 1, "error": { "code": -32001, "message": "",
        "data": { "reason": OWNER_UNREACHABLE, "threadId": THREAD } } });
    for moved in 0..policy::ROUTE_TRIES {
        threads.send((THREAD, LINK), resume.clone(), false);
        threads.note_newest(moved, false);
        let relayed = threads.receive(LINK, frame(&elsewhere), NOW);
        assert_eq!((relayed.to_client.len(), relayed.again.is_some()), (0, true));
        let (None, requests) = threads.continuation(THREAD) else { panic!("nobody is subscribed") };
        assert_eq!((requests[0].moved, requests[0].again, requests[0].not_done), (moved + 1, false, true));
    }
    threads.send((THREAD, LINK), resume, false);
    threads.note_newest(policy::ROUTE_TRIES, false);
    let relayed = threads.receive(LINK, frame(&elsewhere), NOW);
    assert_eq!((relayed.to_client.len(), relayed.again), (1, None));
}

/// The server that stops speaks for itself only.
#[test]
fn a_repeated_message_that_a_stopping_server_refuses_may_still_have_been_done_before() {
    let mut threads = threads(true);
    let turn = request::<m::TurnStart>(2, &json!({ "threadId": THREAD, "input": [] }));
    threads.send((THREAD, LINK), turn, true);
    let stops =
        json!({ "id": 2, "error": { "code": -32001, "message": "", "data": { "reason": SERVER_STOPS } } });
    threads.receive(LINK, frame(&stops), NOW);
    let (_, requests) = threads.continuation(THREAD);
    assert_eq!((requests[0].again, requests[0].not_done), (true, true));
}

/// The thread may stay with that server until its turn ends.
#[test]
fn a_fork_that_a_server_refuses_because_it_stops_is_made_by_the_server_of_the_client() {
    let mut threads = subscribed(true);
    threads.send((THREAD, LINK), request::<m::ThreadFork>(2, &of_thread()), false);
    let stops =
        json!({ "id": 2, "error": { "code": -32001, "message": "", "data": { "reason": SERVER_STOPS } } });
    let relayed = threads.receive(LINK, frame(&stops), NOW);
    let copy = relayed.copy.map(|request| (request.id, request.not_done));
    assert_eq!((copy, relayed.to_client.len()), (Some((RequestId::Integer(2), true)), 0));
    assert!(!threads.is_lost(THREAD), "the thread is still there");
    assert_eq!(threads.lost(LINK).0.len(), 0, "it has its answer from this server");
}

#[test]
fn a_repeated_message_that_the_next_server_does_not_look_for_may_have_been_done() {
    let busy = json!({ "code": OVERLOADED, "message": "busy" });
    let not_loaded = json!({ "code": -32600, "message": "", "data": { "reason": NOT_LOADED } });
    for error in [busy, not_loaded] {
        let mut threads = threads(true);
        threads.send(
            (THREAD, LINK),
            request::<m::TurnStart>(2, &json!({ "threadId": THREAD, "input": [] })),
            false,
        );
        threads.lost(LINK);
        let (_, requests) = threads.continuation(THREAD);
        threads.send((THREAD, NEXT), requests[0].line.as_str().to_owned(), true);
        let refusal = frame(&json!({ "id": 2, "error": error }));
        let refused = values(&threads.receive(NEXT, refusal, NOW).to_client);
        assert_eq!(refused[0]["error"]["data"]["reason"], "serverEnded", "a second one could count twice");
    }
}
