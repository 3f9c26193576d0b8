//! The inputs of a turn's task: its conversation, its model, and the settings for the answer.

use std::sync::Arc;

use skein_base::clock::Clock;
use skein_base::tasks::TaskGroup;
use skein_config::{ModelTerms, ServerConfig};
use skein_protocol::ids::{EventSeq, TurnId};
use skein_protocol::settings::ModeKind;
use skein_provider::ModelSettings;
use skein_provider::gone::Gone;
use skein_store::rollout::record::{StoredSettings, TurnTerms};
use skein_turn::conversation_cache::Slot;
use skein_turn::plan::PLAN_MODE;
use skein_turn::{HistorySoFar, HistorySource, Job, Recipient, StoredHistory, TurnContext, TurnTask, Wires};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::super::helper_side::HelperSide;
use super::super::log::Log;
use super::super::settings::{self, instructions};
use super::{Child, Ending, RunningTurn, ThreadParts, TurnState, items};
use crate::thread::machine::Persistence;
use crate::thread::outgoing::Outgoing;
use crate::{policy, thread};

/// Whether the thread is in plan mode.
fn plans(settings: &StoredSettings) -> bool {
    settings.mode() == Some(ModeKind::Plan)
}

impl TurnState {
    /// Starts the task of a turn, as a child of the owner.
    fn start(&mut self, children: &mut TaskGroup<Child>, job: Job, takes_more: bool) {
        let (steers, added) = mpsc::channel(policy::TURN_STEERS);
        let (id, window) = (job.turn.clone(), job.terms.window);
        let (cancel, ends_early) = (job.cancel.clone(), job.ends_early.clone());
        let wires = Wires { reports: self.reports.0.clone(), steers: added };
        let task = children.spawn(format!("turn/{id}"), async move {
            let turn = job.turn.clone();
            skein_turn::run(job, wires).await;
            Child::Turn(turn)
        });
        self.failed = false;
        let ending = Ending::Own;
        let held = Vec::new();
        let began = Clock.now();
        let (rests, begun) = (false, 0);
        let turn = RunningTurn {
            id,
            task,
            window,
            takes_more,
            cancel,
            ends_early,
            rests,
            begun,
            held,
            steers,
            ending,
            began,
        };
        self.running = Some(turn);
    }
}

impl ThreadParts<'_> {
    /// Starts the turn's task. `last` is the last record of the input.
    pub(in super::super) fn run_turn(
        &mut self,
        turn: TurnId,
        task: TurnTask,
        terms_of_turn: &TurnTerms,
        last: Option<EventSeq>,
    ) {
        let (config, settings) = (self.services.config(), settings::of(self.log, self.helpers));
        let (terms, takes_more) = (terms(&config, &settings), !matches!(task, TurnTask::Compact));
        // `refusal_of` has checked the provider, but a reload may have removed it since.
        let provider = self.services.providers.get(&settings.model_provider);
        let provider = provider.unwrap_or_else(|| Arc::new(Gone(settings.model_provider.clone())));
        let history = match (&task, provider.reads_context()) {
            (TurnTask::Answer(_) | TurnTask::Compact, true) => {
                history_source(self.services, self.log, &self.turns.conversation, last)
            }
            // A turn that goes on asks for it once its calls have ended.
            (TurnTask::GoOn(_), _) | (_, false) => HistorySource::InputOnly,
        };
        let is_durable = self.log.persistence() == Persistence::Durable;
        let job = Job {
            thread: self.id,
            turn,
            task,
            history,
            settings: model_settings(&terms, &settings, terms_of_turn),
            terms,
            limits: self.turn_limits(),
            plans: plans(&settings),
            context: context(self.helpers, &config, &settings),
            needs_helpers: is_durable && self.helpers.are_required(&config),
            own_tools: self.helpers.own_tools(&settings, is_durable, &config),
            recipient: Recipient { provider: settings.model_provider, model: settings.model },
            provider,
            turnstile: self.repair.turnstile(&self.services.restarts),
            cancel: CancellationToken::new(),
            ends_early: CancellationToken::new(),
            clock: self.services.clock,
            tasks: self.services.tasks.clone(),
        };
        self.turns.start(self.children, job, takes_more);
    }

    /// The conversation up to now, for a turn of an earlier load. A model that reads no context reads this turn.
    pub(super) fn history_so_far(&mut self) -> HistorySoFar {
        let settings = settings::of(self.log, self.helpers);
        let provider = self.services.providers.get(&settings.model_provider);
        let source = history_source(self.services, self.log, &self.turns.conversation, None);
        let turn = self.log.history().and_then(|history| history.held_turns().last()).map(|held| held.at);
        let source = match (source, turn, provider.is_some_and(|provider| provider.reads_context())) {
            (HistorySource::Rollout(stored), Some(begun), false) => {
                let (from, cached) = (EventSeq(begun.0.saturating_sub(1)), None);
                HistorySource::Rollout(StoredHistory { from: Some(from), cached, ..stored })
            }
            (source, _, _) => source,
        };
        let steers = match &source {
            HistorySource::InputOnly => 0,
            HistorySource::Rollout(_) | HistorySource::Memory { .. } => self.turns.waiting_steers(),
        };
        HistorySoFar { source, steers }
    }
}

/// Warns clients once per load, and the log once per model, that the context window is an assumption.
pub(super) fn warn_of_unknown_model(services: &thread::Context, log: &mut Log, helpers: &mut HelperSide) {
    let settings = settings::of(log, helpers);
    let terms = terms(&services.config(), &settings);
    if terms.known {
        return;
    }
    let (model, window) = (settings.model, terms.window);
    if services.providers.is_news(&model) {
        tracing::warn!(model, window, "the context window of this model is unknown; assuming a default");
    }
    let message = format!(
        "Skein does not know the model {model}, and assumes a context window of {window} tokens. Set context_window in \
         [models.{model:?}] of config.toml, or model_context_window for every model"
    );
    items::warn_once(log, helpers, message);
}

/// The context that the model reads before the conversation.
fn context(helpers: &HelperSide, config: &ServerConfig, settings: &StoredSettings) -> TurnContext {
    // A client's own text for the mode is part of the instructions.
    let has_words = settings.mode_instructions().is_some_and(|words| !words.trim().is_empty());
    let plan_mode = (plans(settings) && !has_words).then_some(PLAN_MODE);
    helpers.turn_context(config, settings.cwd.clone(), plan_mode)
}

fn terms(config: &ServerConfig, settings: &StoredSettings) -> ModelTerms {
    config.model_terms(&settings.model_provider, &settings.model)
}

/// The settings for the model's answer.
fn model_settings(terms: &ModelTerms, settings: &StoredSettings, of_turn: &TurnTerms) -> ModelSettings {
    ModelSettings {
        instructions: instructions(settings, policy::INSTRUCTIONS),
        effort: settings.reasoning_effort.clone(),
        summary: settings.reasoning_summary,
        service_tier: of_turn.service_tier.clone().or_else(|| settings.service_tier.clone()),
        output_schema: of_turn.output_schema.clone(),
        wanted_output: terms.wanted_output,
        output: Some(terms.output),
        one_call: !terms.parallel_calls,
    }
}

/// The source of the conversation up to record `last`.
fn history_source(
    services: &thread::Context,
    log: &mut Log,
    conversation: &Arc<Slot>,
    last: Option<EventSeq>,
) -> HistorySource {
    let Some(history) = log.history() else { return HistorySource::InputOnly };
    let taken_back = history.taken_back().to_vec();
    if let Some(records) = log.kept() {
        return HistorySource::Memory { records, taken_back };
    }
    if log.is_unwritten() {
        return HistorySource::InputOnly;
    }
    let (on_disk, written) = oneshot::channel();
    log.publish(Outgoing::Acknowledge(Box::new(move |saved| {
        // The turn may be over. A dropped sender says that the record is not on disk.
        if saved.is_ok() {
            on_disk.send(()).ok();
        }
    })));
    HistorySource::Rollout(StoredHistory {
        store: Arc::clone(&services.store),
        cached: Some(Arc::clone(conversation)),
        thread: log.id(),
        from: None,
        taken_back,
        last: last.unwrap_or_else(|| log.end().seq),
        written,
    })
}
