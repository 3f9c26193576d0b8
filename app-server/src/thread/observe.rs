//! Answers an observer of a thread that nobody has loaded: from the rollout, without loading it. The subscription
//! holds over later loads and unloads. It exists from the first moment, deaf, and begins to hear in a moment in which
//! nobody owns the thread and nothing was told since: then the rollout that was read is the whole.

use std::sync::Arc;

use skein_protocol::extension::{GapReason, ThreadPicture};
use skein_protocol::ids::ThreadId;
use skein_protocol::thread::{ThreadResumeParams, ThreadResumeResponse, ThreadStatus};
use skein_store::history::History;
use skein_store::home::HomePaths;

use super::catch_up::{self, CatchUp, Continuation};
use super::command::{Command, Resume};
use super::dispatch;
use super::error::ThreadError;
use super::events;
use super::pages;
use super::pictures;
use super::subscribers::Role;
use crate::thread::Context;

/// Answers the observer's resume; begins anew, with the owner if there is one now, when something happened meanwhile.
pub(crate) async fn observe(services: Arc<Context>, id: ThreadId, resume: Resume) {
    let ticket = resume.ticket;
    if services.subscribers.begin_catch_up(ticket, id, Role::Observer).is_none() {
        return resume.reply.err(&ThreadError::Withdrawn { id }.to_wire());
    }
    let history =
        match History::read_shown(services.store.as_ref(), id, skein_store::policy::HISTORY_WINDOW).await {
            // What nobody runs is shown as the next load will close it.
            Ok(history) => history.into_closed(),
            Err(error) => {
                services.subscribers.stop_catch_up(ticket, id);
                return Command::Resume(Box::new(resume))
                    .refuse(&services, &ThreadError::unreadable(error, id).to_wire());
            }
        };
    let now = picture(&history);
    let asked = resume.params.skein.as_ref();
    let hole = history.last_lost().max(services.holes.last(id));
    let continuation = match catch_up::continuation(asked, now, hole, services.config().limits.replay) {
        // Also one that has seen what is lost now: nobody else is shown it any more.
        Continuation::From(_) if history.is_lost() => Continuation::Gap(GapReason::Damaged),
        other @ (Continuation::From(_) | Continuation::Gap(_) | Continuation::Whole) => other,
    };
    let most = services.config().limits.answer_bytes;
    let response = response(&history, &services.paths(), continuation, (&resume.params, most));
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

/// Answers with the whole picture, if it still is the whole.
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
            // Before anybody can own the thread, and tell something.
            resume.reply.hold(answer).send();
        }
    });
    if let Some((resume, _)) = waiting {
        services.subscribers.stop_catch_up(ticket, id);
        dispatch::deliver(services, id, Command::Resume(Box::new(resume)));
    }
}

/// Tells an observer what it missed of a thread that nobody has loaded, and lets it hear.
pub(crate) async fn follow(services: Arc<Context>, id: ThreadId, mut catch_up: Box<CatchUp>) {
    while services.registry.handle(id).is_none() {
        // Deaf anew: what is told from here on is noticed.
        let (ticket, role) = (catch_up.ticket, catch_up.role);
        if services.subscribers.begin_catch_up(ticket, id, role).is_none() {
            return;
        }
        // Only what is needed: the client may take its time.
        let (end, cut_off) = match History::read_end(services.store.as_ref(), id, 0).await {
            Ok(history) if catch_up.is_of(picture(&history)) => {
                (history.seq(), events::of_what_is_cut_off(&history, services.clock.wall()))
            }
            Ok(_) | Err(_) => return,
        };
        if catch_up.read_to(end).await.is_err() {
            return;
        }
        let heard = services.registry.while_unowned(id, || {
            let heard = services.subscribers.join_unless_missed(ticket, id);
            if heard {
                cut_off.iter().for_each(|item| catch_up.receiver.tell(item));
            }
            heard
        });
        if heard == Some(true) {
            return;
        }
    }
    catch_up::hand_over(catch_up).await;
}

fn response(
    history: &History,
    paths: &HomePaths,
    continuation: Continuation,
    (params, most): (&ThreadResumeParams, usize),
) -> ThreadResumeResponse {
    let now = picture(history);
    let thread = history.thread(ThreadStatus::NotLoaded, paths);
    let mut response = pictures::resumed(history.settings(), thread, now);
    response.skein = Some(catch_up::picture(continuation, now, history.last_event(), &[]));
    match continuation {
        Continuation::Whole | Continuation::Gap(_) => pages::show(&mut response, history, params, most),
        Continuation::From(_) => {}
    }
    response
}

fn picture(history: &History) -> ThreadPicture {
    ThreadPicture { seq: history.seq(), epoch: history.epoch() }
}
