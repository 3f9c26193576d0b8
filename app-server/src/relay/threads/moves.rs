//! The way of threads from a server that has ended to the next one.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use skein_protocol::envelope;
use skein_protocol::error::{OVERLOADED, WireError};
use skein_protocol::ids::{RequestId, ThreadId};
use skein_protocol::methods::ThreadResume;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::super::SERVER_STOPS;
use super::super::asked::PendingRequest;
use super::super::tracked::SubscribedAnswer;
use super::{ENDED, NextOwner, RESUME, Relayed, RelayedThreads, refusal};
use crate::policy;

impl RelayedThreads {
    /// A link has ended. Returns the answers to requests that cannot be repeated, and the threads that go on with another
    /// server.
    pub(crate) fn lost(&mut self, link: Uuid) -> (Vec<Utf8Bytes>, Vec<ThreadId>) {
        let mut refusals = Vec::new();
        let threads = self.subscribed.extract_if(|_, subscribed| *subscribed == NextOwner::Link(link));
        let mut lost: BTreeMap<ThreadId, Vec<PendingRequest>> =
            threads.map(|(thread, _)| (thread, Vec::new())).collect();
        for asked in std::mem::take(&mut self.asked) {
            if asked.link != link {
                self.asked.push(asked);
                continue;
            }
            let request = asked.request;
            if asked.has_left && request.subscribes() {
                refusals.push(refusal(&request));
                continue;
            }
            match request.refusal(ENDED) {
                Some(error) => refusals.push(envelope::error_reply(Some(&request.id), &error).into()),
                None => lost.entry(asked.thread).or_default().push(request),
            }
        }
        self.resumes.retain(|_, thread| !lost.contains_key(thread));
        let threads = lost.keys().copied().collect();
        for (thread, requests) in lost {
            self.lost.entry(thread).or_default().extend(requests);
        }
        (refusals, threads)
    }

    /// Takes the requests to repeat whose methods are wanted.
    pub(crate) fn take_lost(&mut self, is_wanted: impl Fn(&str) -> bool) -> Vec<PendingRequest> {
        let requests = self.lost.values_mut();
        requests.flat_map(|requests| requests.extract_if(.., |request| is_wanted(&request.method))).collect()
    }

    /// The id of the resume that takes a lost thread to its next server, if it has to be resumed, and the requests to repeat behind it.
    pub(crate) fn continuation(&mut self, thread: ThreadId) -> (Option<RequestId>, Vec<PendingRequest>) {
        let requests = self.lost.remove(&thread).unwrap_or_default();
        // The client resumes or leaves the thread itself.
        let is_theirs = requests.iter().any(|request| request.is_about(thread));
        let resume = (self.is_tracked(thread) && !is_theirs).then(|| {
            self.last_id += 1;
            let id = RequestId::String(format!("{RESUME}{}", self.last_id));
            self.resumes.insert(id.clone(), thread);
            id
        });
        (resume, requests)
    }

    /// The resume of a thread, to be sent now. `None` if it is no longer wanted.
    pub(crate) fn resume(&mut self, id: &RequestId, owner: NextOwner) -> Option<Utf8Bytes> {
        let thread = *self.resumes.get(id)?;
        let params = self.tracked.get(&thread)?.resume_params(thread);
        self.subscribed.insert(thread, owner);
        Some(envelope::request::<ThreadResume>(id, &params).into())
    }

    /// Takes the answer to a resume of this server.
    pub(crate) fn came_back(
        &mut self,
        id: &RequestId,
        owner: NextOwner,
        answer: Result<&RawValue, WireError>,
        now: i64,
    ) -> Relayed {
        let Some(thread) = self.resumes.remove(id) else {
            let granted = answer.ok().and_then(SubscribedAnswer::read).map(|shown| shown.id());
            let unwanted = granted.filter(|thread| !self.is_wanted(*thread));
            return Relayed { unwanted, ..Relayed::default() };
        };
        let error = match answer.map(SubscribedAnswer::read) {
            Ok(Some(picture)) => return self.goes_on((thread, owner), &picture, now),
            Ok(None) => WireError::internal("unreadable", "its answer is no resume's"),
            Err(error) => error,
        };
        let is_elsewhere = error.thread_of_other_server().is_some();
        if error.code == OVERLOADED || error.reason() == SERVER_STOPS || is_elsewhere {
            let named = error.retry_after();
            self.lose(thread);
            self.lost.entry(thread).or_default();
            let again = Some((thread, named.unwrap_or(policy::ROUTE_RETRY)));
            return Relayed { again, ..Relayed::default() };
        }
        let ended = self.tracked.remove(&thread);
        self.subscribed.remove(&thread);
        self.is_changed = true;
        let reports = ended.map(|tracked| tracked.ends(thread, &mut self.questions, &error, now));
        Relayed { to_client: self.wanted(reports.unwrap_or_default()), ..Relayed::default() }
    }

    fn goes_on(
        &mut self,
        (thread, owner): (ThreadId, NextOwner),
        picture: &SubscribedAnswer,
        now: i64,
    ) -> Relayed {
        let Some(tracked) = self.tracked.get_mut(&thread) else { return Relayed::default() };
        let mut reports = tracked.goes_on(thread, &mut self.questions, picture, now);
        let mut to_owner = Vec::new();
        if owner == NextOwner::Here {
            // The questions that wait are put again, without a relay that knows them.
            to_owner = self.questions.answers(thread);
            reports.extend(self.questions.void(thread, &[], now));
            self.comes_here(thread);
        } else {
            // By this link from here on.
            self.is_changed = true;
        }
        Relayed { to_client: self.wanted(reports), to_owner, ..Relayed::default() }
    }
}
