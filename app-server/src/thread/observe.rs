//! Answers an observer of an unloaded thread from the rollout, without a load. The subscription lasts over later loads and
//! unloads. It exists from the start, but receives nothing. It begins to receive while the thread has no owner and nothing
//! was published since the read: then the rollout that was read is complete.

use std::sync::Arc;

use skein_protocol::extension::{GapReason, ThreadPicture};
use skein_protocol::ids::ThreadId;
use skein_protocol::thread::{ThreadResumeParams, ThreadResumeResponse, ThreadStatus};
use skein_store::history::History;

use super::catch_up::{self, CatchUp, Continuation};
use super::command::{Command, Resume};
use super::error::ThreadError;
use super::subscribers::Role;
use super::{budget, dispatch, events, pages, views};
use crate::thread::Context;

/// Answers the observer's resume. If something was published meanwhile, starts again, with the owner if there is one.
pub(crate) async fn observe(services: Arc<Context>, id: ThreadId, resume: Resume) {
    let ticket = resume.ticket;
    if services.subscribers.begin_catch_up(ticket, id, Role::Observer).is_none() {
        return resume.reply.err(&ThreadError::Withdrawn { id }.to_wire());
    }
    let history =
        match History::read_shown(services.store.as_ref(), id, skein_store::policy::HISTORY_WINDOW).await {
            // An interrupted turn is shown as the next load will close it.
            Ok(history) => history.into_closed(services.config().restart.turns),
            Err(error) => {
                services.subscribers.stop_catch_up(ticket, id);
                return Command::Resume(Box::new(resume))
                    .refuse(&services, &ThreadError::unreadable(error, id).to_wire());
            }
        };
    let now = end_of(&history);
    let asked = resume.params.skein.as_ref();
    let last_gap = history.last_lost().max(services.gaps.last(id));
    let continuation = match catch_up::continuation(asked, now, last_gap, services.config().limits.replay) {
        // Also a client that has seen the lost records: no other client can see them any more.
        Continuation::From(_) if history.is_lost() => Continuation::Gap(GapReason::Damaged),
        other @ (Continuation::From(_) | Continuation::Gap(_) | Continuation::Whole) => other,
    };
    let most = services.config().limits.answer_bytes;
    let response = response(&services, &history, continuation, (&resume.params, most));
    if let Continuation::From(seq) = continuation {
        let from = ThreadPicture { seq, epoch: now.epoch };
        match CatchUp::begin(&services, id, (ticket, Role::Observer), from, Vec::new()) {
            Some(catch_up) => {
                resume.reply.ok(&response);
                follow(services, id, catch_up).await;
            }
            None => resume.reply.err(&ThreadError::Withdrawn { id }.to_wire()),
        }
        return;
    }
    show(&services, id, resume, &response);
}

/// Answers with the whole thread, unless something was published meanwhile.
fn show(services: &Arc<Context>, id: ThreadId, resume: Resume, response: &ThreadResumeResponse) {
    let ticket = resume.ticket;
    let answer = resume.reply.frame(response);
    let most = services.config().limits.answer_bytes;
    if answer.len() > most {
        services.subscribers.stop_catch_up(ticket, id);
        let error = ThreadError::AnswerTooLarge { id, most }.to_wire();
        return Command::Resume(Box::new(resume)).refuse(services, &error);
    }
    let mut waiting = Some((resume, answer));
    services.registry.while_unowned(id, || {
        if services.subscribers.join_unless_missed(ticket, id)
            && let Some((resume, answer)) = waiting.take()
        {
            // Before an owner can begin and publish.
            resume.reply.hold(answer).send();
        }
    });
    if let Some((resume, _)) = waiting {
        services.subscribers.stop_catch_up(ticket, id);
        dispatch::deliver(services, id, Command::Resume(Box::new(resume)));
    }
}

/// Sends an observer the missed events of an unloaded thread, and then lets it join.
pub(crate) async fn follow(services: Arc<Context>, id: ThreadId, mut catch_up: Box<CatchUp>) {
    while services.registry.handle(id).is_none() {
        // Starts again: the subscription notes publications from here on.
        let (ticket, role) = (catch_up.ticket, catch_up.role);
        if services.subscribers.begin_catch_up(ticket, id, role).is_none() {
            return;
        }
        // Keeps only the end of the history: the client may be slow.
        let (end, cut_off) = match History::read_end(services.store.as_ref(), id, 0).await {
            Ok(history) if catch_up.is_of(end_of(&history)) => {
                let (rule, now) = (services.config().restart.turns, services.clock.wall());
                (history.seq(), events::of_what_is_cut_off(&history, rule, now))
            }
            Ok(_) => return,
            Err(error) => match error.wait_for_store().await {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if catch_up.read_while_away(end).await.is_err() {
            return;
        }
        let joined = services.registry.while_unowned(id, || {
            let joined = services.subscribers.join_unless_missed(ticket, id);
            if joined {
                cut_off.iter().for_each(|item| catch_up.receiver.send(item));
            }
            joined
        });
        if joined == Some(true) {
            return;
        }
    }
    catch_up::hand_over(catch_up).await;
}

fn response(
    services: &Context,
    history: &History,
    continuation: Continuation,
    (params, most): (&ThreadResumeParams, usize),
) -> ThreadResumeResponse {
    let now = budget::end_of(services, history);
    let thread = history.thread(ThreadStatus::NotLoaded, &services.paths());
    let mut response = views::resumed(history.settings(), thread, now.clone());
    response.skein = Some(catch_up::view(continuation, now, history.last_event(), &[]));
    match continuation {
        Continuation::Whole | Continuation::Gap(_) => pages::show(&mut response, history, params, most),
        Continuation::From(_) => {}
    }
    response
}

fn end_of(history: &History) -> ThreadPicture {
    ThreadPicture { seq: history.seq(), epoch: history.epoch() }
}
