//! Questions of a helper in the place of a result (MCP 2026-07-28). They belong to the call's item and are on disk with their answers, so
//! they outlive the helper and the server. They are asked one after the other; then the call is made again.

use skein_helpers::GivenInputs;
use skein_protocol::approval::{McpServerElicitationRequestBody, McpServerElicitationRequestParams};
use skein_protocol::ids::{ItemId, TurnId};
use skein_protocol::server_requests::McpServerElicitationRequest;
use skein_store::history::PausedCall;
use skein_store::rollout::Keep;
use skein_store::rollout::record::{CallPaused, QuestionKind, WantedInput};
use skein_turn::asking::{Inputs, NewPause};
use tokio::sync::oneshot;

use super::ThreadParts;
use super::asking::tool_of;
use super::consent::without_ours;
use super::open_questions::NewQuestion;
use super::wants::{Wants, cancelled, declined};

impl ThreadParts<'_> {
    /// Asks the next question of the helper of this call, or says that all are answered.
    pub(super) fn ask_for_inputs(&mut self, turn: TurnId, item: ItemId, answer: oneshot::Sender<Inputs>) {
        let paused = self.log.history().and_then(|history| history.open_call(&item)?.paused.clone());
        let Some(paused) = paused else {
            let unknown = "the helper's questions are not known any more".to_owned();
            return drop(answer.send(Inputs::Refused(unknown)));
        };
        match paused.wants.inputs.get(paused.answers.len()) {
            // Where nobody may be asked, the helper is told so.
            Some(_) if !self.may_ask_about_helpers() => drop(answer.send(undecided(*paused))),
            Some(wanted) => {
                let request = serde_json::from_str(&wanted.request);
                let Ok(request) =
                    request.map(|request: McpServerElicitationRequestBody| without_ours(request))
                else {
                    let unreadable = "the helper's question cannot be read any more".to_owned();
                    return drop(answer.send(Inputs::Refused(unreadable)));
                };
                let params = McpServerElicitationRequestParams {
                    server_name: paused.wants.tool.server.clone(),
                    thread_id: self.id,
                    turn_id: Some(turn.clone()),
                    request,
                };
                let (kind, wants) = (QuestionKind::Elicitation, Wants::Input(answer));
                let question =
                    NewQuestion::new::<McpServerElicitationRequest>(kind, Some(turn), &params, wants);
                self.put(question.about(item));
            }
            None => self.once_saved(Box::new(move || drop(answer.send(all(*paused))))),
        }
    }

    /// Records the questions with which a call has ended.
    ///
    /// # Errors
    /// Why they are not asked, for the model.
    pub(super) fn pause_call(&mut self, turn: &TurnId, item: &ItemId, pause: NewPause) -> Result<(), String> {
        let before = self.log.history().and_then(|history| history.open_call(item));
        let pauses = before.map_or(0, |call| call.pauses);
        if usize::try_from(pauses).is_ok_and(|pauses| pauses >= skein_helpers::policy::HELPER_ROUNDS) {
            return Err(format!(
                "the helper {} was told {pauses} times what it wanted to know, and is not told more",
                pause.server
            ));
        }
        let readable = "the question of the helper cannot be written";
        let inputs = pause.wanted.questions.iter().map(|(name, request)| {
            let request = serde_json::to_string(request).map_err(|error| format!("{readable}: {error}"))?;
            Ok(WantedInput { name: name.clone(), request })
        });
        let inputs = inputs.collect::<Result<_, String>>()?;
        let tool = tool_of(&pause.server, &pause.described).ok_or_else(|| readable.to_owned())?;
        let (roots, state) = (pause.wanted.roots, pause.wanted.state);
        let (turn_id, item_id) = (turn.clone(), item.clone());
        self.log.record_one(CallPaused { turn_id, item_id, inputs, roots, state, tool }, Keep::Power);
        Ok(())
    }
}

/// The answers of the users.
fn all(paused: PausedCall) -> Inputs {
    let PausedCall { wants: CallPaused { inputs, roots, state, tool, .. }, answers } = paused;
    let read = |answer: Option<String>| {
        let answer = answer.and_then(|answer| serde_json::from_str(&answer).ok());
        answer.unwrap_or_else(cancelled)
    };
    let answers = inputs.into_iter().map(|wanted| wanted.name).zip(answers.into_iter().map(read)).collect();
    Inputs::All(Box::new(GivenInputs { answers, roots, state }), tool)
}

/// The same where nobody may be asked: the questions without an answer are declined.
fn undecided(mut paused: PausedCall) -> Inputs {
    let declined = serde_json::to_string(&declined()).ok();
    paused.answers.resize(paused.wants.inputs.len(), declined);
    all(paused)
}
