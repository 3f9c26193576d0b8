//! Answers of the server: each updates the session before the client gets it.

use serde_json::value::RawValue;
use skein_app_server::relay::tracked::SubscribedAnswer;
use skein_app_server::relay::{SERVER_STOPS, retry};
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::ids::{RequestId, ThreadId};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{BridgeSession, ENDED, PendingRequest, RequestKind, hello};

impl BridgeSession {
    /// The server answers.
    pub(super) fn answers(
        &mut self,
        id: &RequestId,
        answer: Result<&RawValue, WireError>,
        text: Utf8Bytes,
        now: i64,
    ) {
        if self.is_own(id) {
            return self.own_answer(id, answer, now);
        }
        let Some(at) = self.asked.iter().position(|asked| asked.id == *id) else {
            return self.send_to_client(text);
        };
        let mut asked = self.asked.remove(at);
        if answer.as_ref().is_err_and(|error| error.reason() == SERVER_STOPS) {
            // Not done; the next server is asked.
            asked.not_done = true;
            return self.asked.insert(at, asked);
        }
        let text = match answer {
            Ok(result) => self.granted(&asked, result, now).map_or(text, Utf8Bytes::from),
            Err(error) if asked.again && asked.rule.is_done(&error) => {
                envelope::response(id, &serde_json::json!({})).into()
            }
            Err(error) if asked.may_be_done_after(&error) => {
                let error = retry::not_repeated(ENDED, &asked.method);
                envelope::error_reply(Some(id), &error).into()
            }
            Err(_) => text,
        };
        self.send_answer(id, text);
        if asked.kind == RequestKind::Initialize && self.hello.again().is_some() {
            self.warn_of_settings(now);
        }
    }

    /// Gives the client an answer, then the messages that wait for it.
    fn send_answer(&mut self, id: &RequestId, text: Utf8Bytes) {
        let Some(held) = &mut self.held else { return self.send_to_client(text) };
        let before = held.behind.len();
        held.behind.retain(|waits| waits != id);
        if held.behind.len() == before {
            return self.send_to_client(text);
        }
        self.to_client.push_back(text);
        if held.behind.is_empty() {
            self.release();
        }
    }

    /// Updates the session for a request that succeeded. Returns the client's answer if it differs from the server's.
    fn granted(&mut self, asked: &PendingRequest, result: &RawValue, now: i64) -> Option<String> {
        match asked.kind {
            RequestKind::Initialize => {
                self.hello.granted();
                self.heartbeat = hello::heartbeat(result);
                return (!self.hello.wants_numbers()).then(|| hello::plain_welcome(&asked.id, result))?;
            }
            RequestKind::Start => {
                let thread = self.follow(result, false, now);
                if let Some(followed) = thread.and_then(|thread| self.threads.get_mut(&thread)) {
                    followed.start = asked.start_params();
                }
            }
            RequestKind::Fork => {
                self.follow(result, false, now);
            }
            RequestKind::Resume { observes, .. } => {
                self.follow(result, observes, now);
            }
            RequestKind::Unsubscribe(_) | RequestKind::Unload(_) => {
                if let Some(left) = asked.left(result) {
                    self.threads.remove(&left);
                    self.questions.forget(Some(left));
                }
            }
            RequestKind::Leave => {
                self.threads.clear();
                self.questions.forget_threads();
            }
            RequestKind::TurnStart | RequestKind::TurnSteer | RequestKind::Other => {}
        }
        None
    }

    /// Notes the thread that an answer subscribes the client to. The server puts the questions that the answer lists again, so
    /// the session forgets its own copies.
    fn follow(&mut self, result: &RawValue, observes: bool, now: i64) -> Option<ThreadId> {
        let picture = SubscribedAnswer::read(result)?;
        let thread = picture.id();
        let void = self.questions.void(thread, picture.pending(), now);
        self.report(void);
        self.questions.forget(Some(thread));
        self.threads.insert(thread, picture.tracked(observes));
        Some(thread)
    }
}
