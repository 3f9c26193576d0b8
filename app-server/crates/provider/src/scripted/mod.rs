//! A model that plays a scenario file, for demonstrations and tests. The model's name is the file's path, absolute or
//! relative to the server's home. `scenario` describes the format. Each answer reads the file again.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use skein_base::tasks::{BlockingPool, Tasks};
use skein_protocol::turn::CodexErrorInfo;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{ModelEvent, Prompt, Provider, ProviderError, Reasoning, Thoughts, TokenUsage, ToolCall};
use crate::policy;

pub(crate) mod scenario;
#[cfg(test)]
mod tests;

use scenario::{Call, Scenario, ScriptedAnswer, ScriptedStep, Think, Tokens, filled};

/// The provider's name in `model_provider`.
pub const NAME: &str = "scripted";

/// The scripted provider.
#[derive(Debug)]
pub struct Scripted {
    home: PathBuf,
    tasks: Tasks,
}

impl Scripted {
    /// Resolves relative model names below `home`.
    pub fn new(home: PathBuf, tasks: Tasks) -> Self {
        Self { home, tasks }
    }

    async fn scenario(&self, model: &str) -> Result<Scenario, ProviderError> {
        let path = self.home.join(model);
        let shown = path.display().to_string();
        let read = self.tasks.blocking("scripted/scenario", BlockingPool::Inputs, move || read(&path)).await;
        let text = read.unwrap_or_else(|_| Err("the server's log has more".to_owned()));
        text.and_then(|text| Scenario::parse(&text))
            .map_err(|why| wrong(format!("the scenario {shown}: {why}")))
    }
}

fn read(path: &std::path::Path) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > policy::SCENARIO_BYTES {
        return Err(format!("it is larger than {} bytes", policy::SCENARIO_BYTES));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

fn wrong(message: String) -> ProviderError {
    ProviderError { info: Some(CodexErrorInfo::BadRequest), ..ProviderError::new(message) }
}

#[async_trait]
impl Provider for Scripted {
    async fn answer(
        &self,
        prompt: Prompt,
        events: mpsc::Sender<ModelEvent>,
        cancel: CancellationToken,
    ) -> Result<(), ProviderError> {
        let scenario = self.scenario(&prompt.model).await?;
        let Some(answer) = scenario.answer(&prompt) else {
            let said = prompt.last_words();
            return Err(wrong(format!("the scenario {} has no answer left to {said:?}", prompt.model)));
        };
        let mut playing = Playing { prompt: &prompt, events, thought: Reasoning::default(), calls: 0 };
        cancel.run_until_cancelled(playing.play(answer)).await.unwrap_or(Ok(()))
    }
}

struct Playing<'p> {
    prompt: &'p Prompt,
    events: mpsc::Sender<ModelEvent>,
    /// The thought since the last other event.
    thought: Reasoning,
    calls: usize,
}

impl Playing<'_> {
    async fn play(&mut self, answer: &ScriptedAnswer) -> Result<(), ProviderError> {
        for step in &answer.steps {
            self.step(step).await?;
        }
        self.end_thought().await;
        Ok(())
    }

    async fn step(&mut self, step: &ScriptedStep) -> Result<(), ProviderError> {
        match step {
            ScriptedStep::Think(think) => self.think(think).await,
            ScriptedStep::Wait(wait) => pause(wait.wait).await,
            ScriptedStep::Say(say) => self.say(filled(&say.say, self.prompt)).await,
            ScriptedStep::Stream(stream) => {
                for _ in 0..stream.stream {
                    self.say(stream.text.clone()).await;
                    pause(stream.every).await;
                }
            }
            ScriptedStep::Call(call) => self.call(call).await,
            ScriptedStep::Ask(ask) => {
                self.end_thought().await;
                self.give(ModelEvent::Question(ask.ask.clone())).await;
            }
            ScriptedStep::Usage(used) => self.cost(used.usage).await,
            ScriptedStep::Again(again) => {
                self.thought = Reasoning::default();
                self.give(ModelEvent::Again(ProviderError::new(&again.again))).await;
            }
            ScriptedStep::Fail(fail) => {
                return Err(ProviderError { info: fail.kind.clone(), ..ProviderError::new(&fail.fail) });
            }
            ScriptedStep::Hang(hang) if hang.hang => std::future::pending().await,
            ScriptedStep::Hang(_) => {}
        }
        Ok(())
    }

    async fn think(&mut self, think: &Think) {
        let text = filled(&think.think, self.prompt);
        let (of, parts) = match think.raw {
            false => (Thoughts::Summary, &mut self.thought.summary),
            true => (Thoughts::Content, &mut self.thought.content),
        };
        let part = think.part.min(parts.len());
        if part == parts.len() {
            parts.push(String::new());
        }
        if let Some(there) = parts.get_mut(part) {
            there.push_str(&text);
        }
        self.give(ModelEvent::ReasoningDelta { of, part, text }).await;
    }

    async fn call(&mut self, call: &Call) {
        self.end_thought().await;
        self.calls += 1;
        let id = format!("scripted-{}-{}", self.prompt.history.len(), self.calls);
        let arguments = serde_json::to_string(&call.arguments).unwrap_or_default();
        self.give(ModelEvent::ToolCall(ToolCall::new(id, call.callee(), arguments))).await;
    }

    async fn cost(&mut self, tokens: Tokens) {
        self.end_thought().await;
        let usage = TokenUsage {
            input: tokens.input,
            cached_input: tokens.cached,
            cache_write_input: 0,
            output: tokens.output,
            reasoning_output: tokens.reasoning,
        };
        self.give(ModelEvent::Usage(usage)).await;
    }

    async fn say(&mut self, text: String) {
        self.end_thought().await;
        self.give(ModelEvent::TextDelta(text)).await;
    }

    /// Emits the open thought.
    async fn end_thought(&mut self) {
        let thought = std::mem::take(&mut self.thought);
        if thought != Reasoning::default() {
            self.give(ModelEvent::Reasoning(thought)).await;
        }
    }

    async fn give(&self, event: ModelEvent) {
        // A turn that has ended no longer wants the event.
        self.events.send(event).await.ok();
    }
}

async fn pause(wait: Duration) {
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
}
