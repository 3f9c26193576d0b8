//! The parts of the server that owners of threads use.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use skein_base::clock::Clock;
use skein_base::counters::ServerCounters;
use skein_base::tasks::Tasks;
use skein_config::{ContextOverride, ServerConfig, SharedConfig};
use skein_helpers::{Helpers, Transport};
use skein_protocol::extension::ThreadOwner;
use skein_provider::Providers;
use skein_store::home::{HomePaths, Term};
use skein_store::index::ThreadIndex;
use skein_store::ownership::Ownership;
use skein_store::rollout::{OpenMarker, RolloutStore};
use skein_turn::context;
use skein_turn::conversation_cache::ConversationCache;
use skein_turn::surroundings::Surroundings;
use tokio::sync::{Semaphore, mpsc};

use super::backlog::Backlog;
use super::day::DayUse;
use super::gaps::Gaps;
use super::question_feed::QuestionFeed;
use super::questions::QuestionNumbers;
use super::registry::Registry;
use super::subscribers::Subscribers;
use crate::memory::{Freed, MemoryPressure};
use crate::policy;

/// A tool that the user allows for ever, with its helper.
#[derive(Debug, Clone)]
pub(crate) struct Approved {
    /// The helper's name.
    pub(crate) server: String,
    /// The tool.
    pub(crate) tool: String,
    /// The program or address behind the name.
    pub(crate) transport: Transport,
}

/// Writes an approval into the settings, and applies it to all loaded threads. The error says why the approval does not last.
pub(crate) type KeepApproval = fn(Arc<Context>, Approved) -> BoxFuture<'static, Result<(), String>>;

/// The parts of the running server that threads need.
pub(crate) struct Context {
    /// The settings, which can change: [`Context::config`].
    pub(crate) settings: Arc<SharedConfig>,
    /// Both clocks.
    pub(crate) clock: Clock,
    /// The starter of tasks.
    pub(crate) tasks: Tasks,
    /// Which threads are loaded.
    pub(crate) registry: Registry,
    /// The subscribers of threads.
    pub(crate) subscribers: Subscribers,
    /// The rollouts.
    pub(crate) store: Arc<dyn RolloutStore>,
    /// The lists of threads.
    pub(crate) index: Arc<dyn ThreadIndex>,
    /// The helpers (MCP server processes).
    pub(crate) helpers: Arc<Helpers>,
    /// Keeps approvals in the settings. A function, because it belongs to a room above threads.
    pub(crate) keep_approval: KeepApproval,
    /// The numbers of questions to clients.
    pub(crate) questions: QuestionNumbers,
    /// The use of models by all threads today.
    pub(crate) day: DayUse,
    /// The threads whose questions have changed.
    pub(crate) question_feed: Arc<QuestionFeed>,
    /// Lets a few of the turns that a start goes on with work at once.
    pub(crate) restarts: Arc<Semaphore>,
    /// Unreadable records found by replays.
    pub(crate) gaps: Gaps,
    /// The right to write to threads.
    pub(crate) ownership: Arc<dyn Ownership>,
    /// Open markers that the index covers. A task clears them in batches.
    pub(crate) closed_rollouts: mpsc::Sender<OpenMarker>,
    /// Wakes the eviction task.
    pub(crate) pressure: MemoryPressure,
    /// Notes that a thread has freed memory.
    pub(crate) freed: Arc<Freed>,
    /// The events that wait for a storage that is away.
    pub(crate) backlog: Arc<Backlog>,
    /// The counters.
    pub(crate) counters: ServerCounters,
    /// The models.
    pub(crate) providers: Providers,
    /// The conversations of loaded threads.
    pub(crate) conversations: Arc<ConversationCache>,
}

impl Context {
    /// The paths of the home.
    pub(crate) fn paths(&self) -> HomePaths {
        HomePaths::new(&self.config().home)
    }

    /// The current settings. A caller that needs several consistent values calls this once.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        self.settings.now()
    }

    /// Whether other servers may have the threads of this one.
    pub(crate) fn is_among_others(&self) -> bool {
        self.config().cluster.node_name.is_some()
    }

    /// This server as the owner of a thread in this term, where it is one of several.
    pub(crate) fn owner(&self, term: Term) -> Option<ThreadOwner> {
        let node = self.config().cluster.node_name.clone()?;
        Some(ThreadOwner { node, term: term.0 })
    }

    /// The files and facts of a thread's directory for models. `None` if the directory answers late, or the settings turn it off.
    pub(crate) async fn look_around(&self, cwd: &str, own: &ContextOverride) -> Option<Arc<Surroundings>> {
        let docs = self.config().docs(own);
        if docs.most == 0 || cwd.is_empty() {
            return None;
        }
        context::look(&self.tasks, cwd.to_owned(), docs, policy::CONTEXT_PATIENCE_OF_ANSWERS).await
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}
