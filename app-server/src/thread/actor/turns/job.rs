//! What a turn is given at its start: its conversation, its model, how that is to answer.

use std::sync::Arc;

use skein_protocol::ids::{EventSeq, TurnId};
use skein_protocol::settings::ModeKind;
use skein_protocol::turn::TurnStartParams;
use skein_provider::ModelSettings;
use skein_provider::gone::Gone;
use skein_store::rollout::record::ThreadSettings;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::super::settings::instructions;
use super::{Child, Ending, Owner, RunningTurn};
use crate::config::ModelTerms;
use crate::policy;
use crate::thread::machine::Persistence;
use crate::thread::outgoing::Outgoing;
use crate::turn::plan::PLAN_MODE;
use crate::turn::{self, Added, Context, Job, Past, Recipient, Stored, Task, Wires};

/// Whether the thread is in plan mode.
fn plans(settings: &ThreadSettings) -> bool {
    settings.mode() == Some(ModeKind::Plan)
}

impl Owner {
    /// Starts the turn's task. `last` is the last record of its input.
    pub(super) fn run_turn(&mut self, id: TurnId, task: Task, model: ModelSettings, last: Option<EventSeq>) {
        let settings = self.settings();
        let needs_helpers =
            self.persistence == Persistence::Durable && self.helpers.are_required(&self.services.config());
        let own_tools = self.own_tools();
        let cancel = CancellationToken::new();
        let (steers, added) = mpsc::channel(policy::TURN_STEERS);
        let takes_more = matches!(task, Task::Answer(_));
        let terms = self.model_terms(&settings);
        let turn = RunningTurn {
            id: id.clone(),
            window: terms.window,
            task: None,
            takes_more,
            cancel: cancel.clone(),
            steers,
            ending: Ending::Own,
        };
        self.turn = Some(turn);
        // `refusal_of` has seen that the provider is there; a reload may have taken it since.
        let provider = self.services.providers.get(&settings.model_provider);
        let provider = provider.unwrap_or_else(|| Arc::new(Gone(settings.model_provider.clone())));
        let past = if provider.reads_context() { self.past(last) } else { Past::Unneeded };
        let job = Job {
            thread: self.id,
            turn: id.clone(),
            task,
            past,
            settings: model,
            rounds: self.services.config().limits.turn_rounds,
            terms,
            plans: plans(&settings),
            context: self.turn_context(&settings),
            recipient: Recipient { provider: settings.model_provider, model: settings.model },
            provider,
            needs_helpers,
            own_tools,
            cancel,
            clock: self.services.clock,
            tasks: self.services.tasks.clone(),
        };
        self.start_task(id, job, added);
    }

    fn start_task(&mut self, id: TurnId, job: Job, steers: mpsc::Receiver<Added>) {
        let wires = Wires { reports: self.reports.0.clone(), steers };
        let task = self.children.spawn(format!("turn/{id}"), async move {
            turn::run(job, wires).await;
            Child::Turn(id)
        });
        if let Some(turn) = &mut self.turn {
            turn.task = Some(task);
        }
    }

    /// What the model is told before the conversation.
    fn turn_context(&self, settings: &ThreadSettings) -> Context {
        let config = self.services.config();
        // A client's own words for the mode stand among the instructions.
        let has_words = settings.mode_instructions().is_some_and(|words| !words.trim().is_empty());
        let plan_mode = (plans(settings) && !has_words).then_some(PLAN_MODE);
        self.helpers.turn_context(&config, settings.cwd.clone(), plan_mode)
    }

    /// What holds for the thread's model.
    pub(super) fn model_terms(&self, settings: &ThreadSettings) -> ModelTerms {
        self.services.config().model_terms(&settings.model_provider, &settings.model)
    }

    /// Tells clients once per load, and the log once per model, that a window is only assumed.
    pub(super) fn warn_of_unknown_model(&mut self) {
        let settings = self.settings();
        let terms = self.model_terms(&settings);
        if terms.known {
            return;
        }
        let (model, window) = (settings.model, terms.window);
        if self.services.providers.is_news(&model) {
            tracing::warn!(model, window, "the context window of this model is not known; it is assumed");
        }
        self.warn_once(format!(
            "Skein does not know the model {model}, and assumes a context window of {window} tokens. Set context_window in \
             [models.{model:?}] of config.toml, or model_context_window for every model"
        ));
    }

    /// How the model is to answer in this turn.
    pub(super) fn model_settings(&self, params: &TurnStartParams) -> ModelSettings {
        let settings = self.settings();
        let terms = self.model_terms(&settings);
        ModelSettings {
            instructions: instructions(&settings, policy::INSTRUCTIONS),
            effort: settings.reasoning_effort,
            summary: settings.reasoning_summary,
            service_tier: params.service_tier_for_turn.clone().or(settings.service_tier),
            output_schema: params.output_schema.clone(),
            wanted_output: terms.wanted_output,
            output: Some(terms.output),
            one_call: !terms.parallel_calls,
        }
    }

    /// Where the conversation is, up to the record `last`.
    fn past(&mut self, last: Option<EventSeq>) -> Past {
        let Some(journal) = &mut self.journal else { return Past::Unneeded };
        let taken_back = journal.history.taken_back().to_vec();
        if let Some(records) = journal.kept() {
            return Past::Kept { records: records.to_vec(), taken_back };
        }
        if journal.is_unwritten() {
            return Past::Unneeded;
        }
        let (on_disk, written) = oneshot::channel();
        journal.publish(Outgoing::Acknowledge(Box::new(move |saved| {
            // The turn may be over already. Dropped, it says that the record is not on disk.
            if saved.is_ok() {
                on_disk.send(()).ok();
            }
        })));
        let last = last.unwrap_or_else(|| journal.seq());
        Past::Stored(Stored {
            store: Arc::clone(&self.services.store),
            cached: Arc::clone(&self.conversation),
            thread: self.id,
            taken_back,
            last,
            written,
        })
    }
}
