//! Questions of a helper before its answer. MCP of 2026-07-28 has no requests of a helper: it answers a call with questions, and the call
//! is made again with their answers. So the caller is known, however many threads share the helper, and no request is open while a user
//! thinks. The call of a turn ends with the questions: the turn asks its user, perhaps for days, and makes the call again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::try_join_all;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, ElicitRequestParams, InputResponses,
    ReadResourceRequest, ReadResourceRequestParams,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use skein_protocol::approval::{McpServerElicitationRequestBody, McpServerElicitationRequestResponse};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::mcp::client::{self, NO_SAMPLING};
use crate::mcp::progress::Progress;
use crate::mcp::sign_in::SignIn;
use crate::mcp::{CallError, McpCaller, Session, reread};
use crate::policy;
use crate::questions::{GivenInputs, WantedInputs};

/// A request that a helper may want to know something for.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// A call of a tool, and where its progress goes.
    Call(CallToolRequestParams, Option<mpsc::Sender<String>>),
    /// A call of a turn. It ends where the user has to be asked. With the answers to the questions of the last time.
    CallOfTurn(CallToolRequestParams, Option<mpsc::Sender<String>>, Option<Box<GivenInputs>>),
    /// A look at a resource.
    Read(ReadResourceRequestParams),
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) enum HelperAnswer<T> {
    Result(T),
    /// The user has to be asked first.
    Wants(Box<WantedInputs>),
}

/// A helper's questions in the place of a result.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InputRequired {
    input_requests: Option<BTreeMap<String, Value>>,
    request_state: Option<String>,
}

/// The same, understood.
#[derive(Debug)]
struct Wanted {
    wishes: Vec<(String, Wish)>,
    state: Option<String>,
}

/// One thing that a helper wants to know.
#[derive(Debug)]
enum Wish {
    /// The user's answer.
    User(Box<McpServerElicitationRequestBody>),
    /// Where it works.
    Roots,
}

/// How often a call was made again.
#[derive(Debug)]
struct Rounds {
    done: usize,
    /// Before the next one for which there is nothing to wait.
    pause: Duration,
}

impl Request {
    fn message(self) -> ClientRequest {
        match self {
            Self::Call(params, progress) | Self::CallOfTurn(params, progress, _) => {
                let mut request = CallToolRequest::new(params);
                if let Some(sink) = progress {
                    request.extensions.insert(Progress(sink));
                }
                ClientRequest::CallToolRequest(request)
            }
            Self::Read(params) => ClientRequest::ReadResourceRequest(ReadResourceRequest::new(params)),
        }
    }

    /// The same again. The state goes back as it came.
    fn again(&self, inputs: InputResponses, state: Option<String>) -> ClientRequest {
        let inputs = (!inputs.is_empty()).then_some(inputs);
        let mut again = self.clone();
        match &mut again {
            Self::Call(params, _) | Self::CallOfTurn(params, _, _) => {
                (params.input_responses, params.request_state) = (inputs, state)
            }
            Self::Read(params) => (params.input_responses, params.request_state) = (inputs, state),
        }
        again.message()
    }
}

impl Session {
    /// Repeats a request until it has a result. The caller's user answers the helper's questions.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        request: Request,
        meta: Option<Map<String, Value>>,
        caller: Option<McpCaller>,
        cancel: &CancellationToken,
    ) -> Result<HelperAnswer<T>, CallError> {
        let call = self.line.callers.enter(caller.clone());
        // With a handshake there are requests for that, and pages that a refusal names.
        let has_requests = self.version.has_initialize();
        let mut message = self.first_message(&request, caller.as_ref())?;
        let mut rounds = Rounds { done: 0, pause: policy::HELPER_ROUND_PAUSE_FIRST };
        let mut sign_in = SignIn::default();
        loop {
            let result = match self.ask_once(message, meta.clone(), &call, cancel).await {
                Err(refused @ CallError::Refused { .. }) if has_requests => {
                    let signed_in = self.signed_in(sign_in, refused, caller.as_ref());
                    sign_in = self.unless_over(cancel, signed_in).await?;
                    message = request.clone().message();
                    continue;
                }
                result => serde_json::to_value(&result?).unwrap_or_default(),
            };
            if has_requests || result["resultType"] != "input_required" {
                return serde_json::from_value(result)
                    .map(HelperAnswer::Result)
                    .map_err(|_| CallError::strange());
            }
            let wanted = Wanted::read(result).map_err(CallError::Unanswerable)?;
            if matches!(request, Request::CallOfTurn(..)) && wanted.asks_a_user() {
                return Ok(HelperAnswer::Wants(Box::new(wanted.into_inputs())));
            }
            let answers = async {
                rounds.next(wanted.wishes.is_empty()).await?;
                self.answers(wanted, caller.as_ref()).await
            };
            let answers = async { answers.await.map_err(CallError::Unanswerable) };
            let (inputs, state) = self.unless_over(cancel, answers).await?;
            message = request.again(inputs, state);
        }
    }

    /// The request, with the answers that a turn has for the helper.
    fn first_message(
        &self,
        request: &Request,
        caller: Option<&McpCaller>,
    ) -> Result<ClientRequest, CallError> {
        match request {
            Request::CallOfTurn(_, _, Some(given)) => {
                let inputs = self.given(given, caller).map_err(CallError::Unanswerable)?;
                Ok(request.again(inputs, given.state.clone()))
            }
            Request::Call(..) | Request::CallOfTurn(_, _, None) | Request::Read(_) => {
                Ok(request.clone().message())
            }
        }
    }

    /// Waits while nothing is outstanding at the helper, no longer than the call and the line.
    async fn unless_over<T>(
        &self,
        cancel: &CancellationToken,
        answers: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(CallError::Cancelled),
            () = self.line.closed.cancelled() => Err(CallError::Closed),
            answers = answers => answers,
        }
    }

    /// The answers to all questions of a helper, asked at once.
    async fn answers(
        &self,
        wanted: Wanted,
        caller: Option<&McpCaller>,
    ) -> Result<(InputResponses, Option<String>), String> {
        let answers = wanted.wishes.into_iter().map(async |(name, wish)| {
            let answers = match wish {
                Wish::Roots => self.roots(caller)?,
                Wish::User(request) => {
                    let caller = caller.ok_or("nobody was asked: no user has called")?;
                    let answer = client::put(caller, *request).await?;
                    reread(&client::elicited(answer.unwrap_or_else(client::cancelled)))
                }
            };
            Ok::<_, String>((name, answers.unwrap_or_default()))
        });
        let answers: InputResponses = try_join_all(answers).await?.into_iter().collect();
        Ok((answers, wanted.state))
    }

    /// The answers of a user, and what needs none.
    fn given(&self, given: &GivenInputs, caller: Option<&McpCaller>) -> Result<InputResponses, String> {
        let answer = |(name, answer): &(String, McpServerElicitationRequestResponse)| {
            (name.clone(), reread(&client::elicited(answer.clone())).unwrap_or_default())
        };
        let mut inputs: InputResponses = given.answers.iter().map(answer).collect();
        for name in &given.roots {
            inputs.insert(name.clone(), self.roots(caller)?.unwrap_or_default());
        }
        Ok(inputs)
    }

    fn roots<T: DeserializeOwned>(&self, caller: Option<&McpCaller>) -> Result<Option<T>, &'static str> {
        Ok(match self.line.own_roots() {
            Some(own) => reread(&own),
            None => reread(&client::roots([&*self.folder(caller)?])),
        })
    }

    fn folder(&self, caller: Option<&McpCaller>) -> Result<PathBuf, &'static str> {
        caller.map_or_else(|| self.line.callers.folder(), |caller| Ok(caller.cwd.to_path_buf()))
    }
}

impl Rounds {
    /// One more. Where there was `nothing` to wait for, not at once.
    async fn next(&mut self, nothing: bool) -> Result<(), String> {
        if self.done == policy::HELPER_ROUNDS {
            return Err(format!("it was told {} times, and is not told more", self.done));
        }
        self.done += 1;
        if nothing {
            tokio::time::sleep(self.pause).await;
            self.pause = (self.pause * 2).min(policy::HELPER_ROUND_PAUSE_MOST);
        } else {
            self.pause = policy::HELPER_ROUND_PAUSE_FIRST;
        }
        Ok(())
    }
}

impl Wanted {
    /// Understands all before anybody is asked anything.
    ///
    /// # Errors
    /// Why it cannot be had, for the user.
    fn read(result: Value) -> Result<Self, String> {
        let unreadable = |_| "what it wants to know cannot be read".to_owned();
        let required: InputRequired = serde_json::from_value(result).map_err(unreadable)?;
        if required.input_requests.is_none() && required.request_state.is_none() {
            return Err("it does not say what it wants to know".to_owned());
        }
        let requests = required.input_requests.unwrap_or_default();
        if requests.len() > policy::HELPER_QUESTIONS {
            return Err(format!("at most {} questions are answered at once", policy::HELPER_QUESTIONS));
        }
        let wishes = requests.into_iter().map(|(name, request)| {
            let wish = Wish::read(&name, request)?;
            Ok::<_, String>((name, wish))
        });
        Ok(Self { wishes: wishes.collect::<Result<_, _>>()?, state: required.request_state })
    }
}

impl Wanted {
    fn asks_a_user(&self) -> bool {
        self.wishes.iter().any(|(_, wish)| matches!(wish, Wish::User(_)))
    }

    fn into_inputs(self) -> WantedInputs {
        let mut wanted = WantedInputs { questions: Vec::new(), roots: Vec::new(), state: self.state };
        for (name, wish) in self.wishes {
            match wish {
                Wish::User(request) => wanted.questions.push((name, *request)),
                Wish::Roots => wanted.roots.push(name),
            }
        }
        wanted
    }
}

impl Wish {
    fn read(name: &str, mut request: Value) -> Result<Self, String> {
        if request.to_string().len() > policy::HELPER_LONGEST_REQUEST {
            return Err(client::too_long());
        }
        let mut params = request.get_mut("params").map(Value::take).unwrap_or_default();
        match request["method"].as_str() {
            Some("roots/list") => Ok(Self::Roots),
            Some(method @ "elicitation/create") => {
                let meta = params["_meta"].as_object().filter(|meta| !meta.is_empty());
                let meta = meta.cloned().map(Value::Object);
                if params["mode"] == "url" && params["elicitationId"].is_null() {
                    // Its name tells it from others as well.
                    params["elicitationId"] = name.into();
                }
                let params: ElicitRequestParams =
                    serde_json::from_value(params).map_err(|_| client::unreadable(method))?;
                let request = client::body(params, meta).map_err(|error| error.message.into_owned())?;
                Ok(Self::User(Box::new(request)))
            }
            Some("sampling/createMessage") => Err(NO_SAMPLING.to_owned()),
            Some(other) => Err(format!("{other} is not offered")),
            None => Err(format!("the request {name:?} cannot be read")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skein_base::clock::Clock;

    use super::*;

    fn refusal(requests: &Value) -> String {
        Wanted::read(json!({ "resultType": "input_required", "inputRequests": requests })).unwrap_err()
    }

    #[test]
    fn an_impossible_question_is_refused_before_a_user_is_asked() {
        let url = json!({ "mode": "url", "message": "Log in", "url": "https://a.example/" });
        let asks = json!({ "method": "elicitation/create", "params": url });
        let sampling =
            json!({ "method": "sampling/createMessage", "params": { "messages": [], "maxTokens": 1 } });
        assert!(refusal(&json!({ "a": asks, "b": sampling })).contains("no model"));
        assert!(refusal(&json!({ "a": asks, "b": { "method": "tasks/get" } })).contains("tasks/get"));
        assert!(refusal(&json!({ "a": 7 })).contains("\"a\""));
        assert!(refusal(&json!([])).contains("cannot be read"));
        let many: Map<String, Value> = (0..9).map(|number| (number.to_string(), asks.clone())).collect();
        assert!(refusal(&many.into()).contains("at most 8"));
        let nothing = Wanted::read(json!({ "resultType": "input_required" }));
        assert!(nothing.unwrap_err().contains("does not say"));
    }

    #[test]
    fn an_address_without_an_id_is_known_by_the_name_of_its_question() {
        let url = json!({ "mode": "url", "message": "Log in", "url": "https://a.example/" });
        let asks = json!({ "login": { "method": "elicitation/create", "params": url } });
        let wanted = Wanted::read(json!({ "inputRequests": asks, "requestState": "s" })).unwrap();
        let [(name, Wish::User(request))] = &wanted.wishes[..] else { panic!("{wanted:?}") };
        let McpServerElicitationRequestBody::Url { elicitation_id, .. } = &**request else {
            panic!("{request:?}")
        };
        assert_eq!(
            (name.as_str(), elicitation_id.as_str(), wanted.state.as_deref()),
            ("login", "login", Some("s"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_wants_nothing_is_asked_ever_more_slowly_and_not_for_ever() {
        let begun = Clock.now();
        let mut rounds = Rounds { done: 0, pause: policy::HELPER_ROUND_PAUSE_FIRST };
        for _ in 0..policy::HELPER_ROUNDS {
            rounds.next(true).await.unwrap();
        }
        let took = Clock.now() - begun;
        assert!(took > policy::HELPER_ROUND_PAUSE_MOST * 3, "{took:?}");
        assert!(rounds.next(false).await.unwrap_err().contains("10 times"));
    }
}
