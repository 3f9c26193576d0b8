//! Changes of a thread that begin no turn: reverts, the name, the repository, items that a client injects.

use std::sync::Arc;

use skein_protocol::event::ThreadNameUpdatedNotification;
use skein_protocol::ids::{Epoch, EventSeq, ThreadId, TurnId};
use skein_protocol::notifications::{ThreadNameUpdated, ThreadReverted};
use skein_protocol::thread::{
    GitInfo, ThreadInjectItemsResponse, ThreadMetadataGitInfoUpdateParams, ThreadMetadataUpdateResponse,
    ThreadRevertResponse, ThreadSetNameResponse, ThreadStatus,
};
use skein_protocol::turn::TurnInterruptResponse;
use skein_store::history::read::{Enough, Stretch, Turns};
use skein_store::history::{History, LoadedTurn};
use skein_store::rollout::record::{
    ItemsInjected, QuestionClosed, QuestionEnd, Reverted, ThreadMeta, ThreadNamed,
};
use skein_store::rollout::{Keep, ReadError};

use super::log::Log;
use super::questions::resolved;
use super::{Child, Owner, ThreadParts, settings, user_state};
use crate::outbox::reply::Reply;
use crate::policy;
use crate::thread::command::{Command, Edit, RevertTo};
use crate::thread::error::ThreadError;
use crate::thread::event::Event;
use crate::thread::registry::RequestGuard;
use crate::thread::{events, pages};

/// The error of a turn whose question nobody has answered in time.
const EXPIRED: &str = "nobody has answered the question of this turn within questions.keep";

/// The first turn to remove.
#[derive(Debug)]
pub(super) struct RevertPoint {
    turn: TurnId,
    /// The number of its `turn.started`.
    at: EventSeq,
    /// The turns before it, if the turns in memory go too.
    before: Option<Stretch>,
}

/// The result of a search for the first turn to remove. The history ended with record `last` then.
#[derive(Debug)]
pub(super) struct FoundRevert {
    to: RevertTo,
    reply: Reply<ThreadRevertResponse>,
    found: Result<Option<RevertPoint>, ReadError>,
    last: EventSeq,
    _guard: RequestGuard,
}

/// The part of a revert that is known from memory.
#[derive(Debug, Default)]
struct Known {
    /// The first turn to remove, if it is in memory.
    first: Option<(TurnId, EventSeq)>,
    /// The oldest turn in memory that stays.
    oldest: Option<EventSeq>,
    /// Bytes of JSON of the turns in memory that stay.
    bytes: usize,
}

impl Known {
    fn of(history: &History, first: Option<&LoadedTurn>) -> Self {
        let Some(first) = first else { return Self::default() };
        let stay = || history.held_turns().iter().take_while(|held| held.at < first.at);
        Self {
            first: Some((first.turn.id.clone(), first.at)),
            oldest: stay().next().map(|oldest| oldest.at),
            bytes: stay().map(LoadedTurn::json_bytes).sum(),
        }
    }
}

/// Finds the first turn to remove, and reads the turns before it, as many as a loaded thread holds.
async fn seek(turns: &Turns<'_>, to: &RevertTo, known: Known) -> Result<Option<RevertPoint>, ReadError> {
    let found = match (known.first, to) {
        (Some(first), _) => Some(first),
        (None, RevertTo::Before(turn)) => turns.find(turn).await?.map(|at| (turn.clone(), at)),
        (None, RevertTo::AllBut(count)) => {
            oldest_of(turns, usize::try_from(*count).unwrap_or(usize::MAX)).await?
        }
    };
    let Some((turn, at)) = found else { return Ok(None) };
    let json = skein_store::policy::HISTORY_WINDOW.saturating_sub(known.bytes);
    let enough = Enough { json, bytes: skein_store::policy::HISTORY_LINES, ..Enough::ALL };
    let before = turns.back(Some(known.oldest.unwrap_or(at)), enough).await?;
    Ok(Some(RevertPoint { turn, at, before: Some(before) }))
}

/// The oldest of the newest `count` turns, or of all. Reads in pieces, and keeps none.
async fn oldest_of(turns: &Turns<'_>, count: usize) -> Result<Option<(TurnId, EventSeq)>, ReadError> {
    let (mut oldest, mut left): (Option<(TurnId, EventSeq)>, usize) = (None, count);
    while left > 0 {
        let bytes = policy::HISTORY_READ_BYTES;
        let enough = Enough { turns: left, bytes, ..Enough::ALL };
        let piece = turns.back(oldest.as_ref().map(|(_, at)| *at), enough).await?;
        let surplus = piece.turns.len().saturating_sub(left);
        left = left.saturating_sub(piece.turns.len());
        if let Some(held) = piece.turns.get(surplus) {
            oldest = Some((held.turn.id.clone(), held.at));
        }
        if !piece.more {
            break;
        }
    }
    Ok(oldest)
}

impl Owner {
    pub(super) fn edit(&mut self, edit: Edit) {
        if let Some(error) = self.log.refusal() {
            return edit.err(&error.to_wire());
        }
        let status = self.parts().status();
        let log = &mut self.log;
        match edit {
            Edit::Revert(to, reply) => self.parts().revert_to(to, reply),
            Edit::Name(name, reply) => set_name(log, name, reply),
            Edit::Repository(change, reply) => describe_repository(log, change, status, reply),
            Edit::Inject(items, reply) => {
                log.record_one(ItemsInjected { items }, Keep::Power);
                log.acknowledge(reply, ThreadInjectItemsResponse {});
            }
            Edit::Settings(params, reply) => settings::update(log, &self.helpers, &params, reply),
            Edit::ReadState(params, reply) => user_state::update_read_state(log, &params, reply),
            Edit::SetGoal(params, reply) => user_state::set_goal(log, params, reply),
            Edit::ClearGoal(reply) => user_state::clear_goal(log, reply),
            Edit::Queue(edit) => self.edit_queue(edit),
            Edit::Interrupt(named, reply) => self.interrupt_parked(named, reply),
            Edit::Budget(params, reply) => self.set_budget(params, reply),
            Edit::Expire(question, done) => {
                self.expire(question);
                drop(done);
            }
            Edit::Answer(given, reply) => self.parts().answer_by_request(*given, reply),
        }
    }

    /// Interrupts the turn that this load has found.
    fn interrupt_parked(&mut self, named: TurnId, reply: Reply<TurnInterruptResponse>) {
        let id = self.id;
        match self.turns.id().cloned() {
            Some(active) if named.as_str().is_empty() || active == named => {
                reply.ok(&TurnInterruptResponse {});
                self.step(Event::Interrupt);
            }
            Some(active) => reply.err(&ThreadError::InterruptsOther { id, named, active }.to_wire()),
            None if named.as_str().is_empty() => reply.ok(&TurnInterruptResponse {}),
            None => reply.err(&ThreadError::NothingToInterrupt { id }.to_wire()),
        }
    }

    /// Interrupts the turn of a question that nobody has answered in time.
    fn expire(&mut self, question: i64) {
        let Some(turn_id) = self.questions.turn_of(question).cloned() else { return };
        self.questions.take(question);
        let closed = QuestionClosed { id: question, turn_id, why: QuestionEnd::Expired };
        self.log.record_one(closed, Keep::Process);
        resolved(&self.services, &mut self.log, [question]);
        self.turns.cut_off(EXPIRED);
        self.step(Event::Interrupt);
    }

    /// The search has ended. If the history has changed meanwhile, the revert starts again.
    pub(super) fn revert_found(&mut self, revert_found: FoundRevert) {
        let FoundRevert { to, reply, found, last, .. } = revert_found;
        let still = self.machine.is_loaded() && self.log.is_open() && self.log.end().seq == last;
        let id = self.id;
        match found {
            _ if !still => self.command(Command::Edit(Edit::Revert(to, reply))),
            Ok(Some(first)) => self.parts().revert(first, &to, reply),
            Ok(None) => reply.err(&nothing_to_revert(id, to).to_wire()),
            Err(error) => reply.err(&ThreadError::unreadable(error, id).to_wire()),
        }
    }
}

impl ThreadParts<'_> {
    /// Reverts if the first turn to remove is in memory. Otherwise searches the rollout for it.
    fn revert_to(&mut self, to: RevertTo, reply: Reply<ThreadRevertResponse>) {
        let id = self.id;
        if let Some(turn) = self.turns.id() {
            return reply.err(&ThreadError::TurnRuns { id, turn: turn.clone() }.to_wire());
        }
        let Some(history) = self.log.history() else { return };
        let held = match &to {
            RevertTo::Before(turn) => history.held_turns().iter().find(|held| held.turn.id == *turn),
            RevertTo::AllBut(count) if history.has_older() => history.newest(*count),
            RevertTo::AllBut(count) => history.newest(*count).or(history.held_turns().first()),
        };
        if history.has_older() {
            // A loaded thread holds as many turns as before, if it has so many. It stays loaded during the search.
            let (services, guard) = (Arc::clone(self.services), self.slot.handle.begin_request());
            let known = Known::of(history, held);
            let (taken_back, last) = (history.taken_back().to_vec(), self.log.end().seq);
            self.children.spawn(format!("revert/{id}"), async move {
                let turns = Turns::of(services.store.as_ref(), id, &taken_back, None);
                let found = seek(&turns, &to, known).await;
                Child::FoundRevert(Box::new(FoundRevert { to, reply, found, last, _guard: guard }))
            });
        } else if let Some(held) = held {
            let first = RevertPoint { turn: held.turn.id.clone(), at: held.at, before: None };
            self.revert(first, &to, reply);
        } else {
            reply.err(&nothing_to_revert(id, to).to_wire());
        }
    }

    /// Reverts. The history gets a new version, so that clients that missed the revert cannot continue their numbers.
    fn revert(&mut self, first: RevertPoint, to: &RevertTo, reply: Reply<ThreadRevertResponse>) {
        let RevertPoint { turn, at, before: left } = first;
        let epoch = Epoch(self.log.end().epoch.0.saturating_add(1));
        let body = Reverted { before_turn_id: turn.clone(), from: Some(at), epoch }.into();
        let number = self.log.revert(body, left.map(|left| (left.turns, left.more)));
        // The turn that failed last may be gone.
        self.turns.forget_failure();
        let response = revert_response(self.log, to, self.status());
        self.log.acknowledge(reply, response);
        self.log.notify::<ThreadReverted>(&events::thread_reverted(self.id, &turn), number);
        self.show_status();
    }
}

fn nothing_to_revert(id: ThreadId, to: RevertTo) -> ThreadError {
    match to {
        RevertTo::Before(turn) => ThreadError::UnknownTurn { id, turn },
        RevertTo::AllBut(_) => ThreadError::NoTurns { id },
    }
}

fn revert_response(log: &Log, to: &RevertTo, status: ThreadStatus) -> ThreadRevertResponse {
    let (mut thread, history) = (log.thread(status), log.history());
    let (turns, items) =
        history.map(|history| pages::backwards_from_here(history, log.id())).unwrap_or_default();
    if let (RevertTo::AllBut(_), Some(history)) = (to, history) {
        thread.turns = pages::newest_within(history, log.most_shown());
    }
    let skein = Some(log.end());
    ThreadRevertResponse { items_backwards_cursor: items, thread, turns_backwards_cursor: turns, skein }
}

fn set_name(log: &mut Log, name: String, reply: Reply<ThreadSetNameResponse>) {
    let number = log.record_one(ThreadNamed { name: Some(name) }, Keep::Power);
    log.acknowledge(reply, ThreadSetNameResponse {});
    let thread_name = log.history().and_then(History::name).map(str::to_owned);
    let params = ThreadNameUpdatedNotification { thread_id: log.id(), thread_name, skein: None };
    log.notify::<ThreadNameUpdated>(&params, Some(number));
}

fn describe_repository(
    log: &mut Log,
    change: ThreadMetadataGitInfoUpdateParams,
    status: ThreadStatus,
    reply: Reply<ThreadMetadataUpdateResponse>,
) {
    let before = log.history().and_then(History::git_info).cloned().unwrap_or_default();
    let ThreadMetadataGitInfoUpdateParams { branch, origin_url, sha } = change;
    let after = GitInfo {
        branch: branch.unwrap_or_else(|| before.branch.clone()),
        origin_url: origin_url.unwrap_or_else(|| before.origin_url.clone()),
        sha: sha.unwrap_or_else(|| before.sha.clone()),
    };
    if after != before {
        log.record_one(ThreadMeta { settings: None, git_info: Some(after) }, Keep::Power);
    }
    let thread = log.thread(status);
    log.acknowledge(reply, ThreadMetadataUpdateResponse { thread });
}
