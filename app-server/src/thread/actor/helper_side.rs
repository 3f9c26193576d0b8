//! A thread's side of its helpers (MCP server processes): the clients' settings for them, the running set, the tools that
//! the user allows, and the facts of the directory for models.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use skein_config::{ConfigErrors, Overrides, ServerConfig};
use skein_helpers::{HelperEvent, HelperQuestion, HelperSet, HelperSpec, Program, Transport};
use skein_protocol::event::{HelperMoment, McpServerStatusUpdatedNotification};
use skein_protocol::helper::McpServerStartupState;
use skein_protocol::ids::{ConnectionId, ThreadId};
use skein_protocol::item::McpToolCallItem;
use skein_protocol::settings::{LegacyAppPathString, ModeKind};
use skein_protocol::thread::ThreadStartParams;
use skein_store::rollout::record::{AskedTool, StoredSettings};
use skein_turn::TurnContext;
use skein_turn::approval::Hints;
use skein_turn::own_tools::{Asks, OwnTools};
use skein_turn::surroundings::Surroundings;
use tokio::sync::mpsc;

use super::consent::Lasts;
use super::open_questions::Audience;
use crate::policy;
use crate::thread::subscribers::Subscribers;
use crate::thread::{Context, views};

/// A tool of a helper: the helper's name and the tool's.
pub(super) type ToolOf = (String, String);

/// The helpers of a changed configuration, with the names whose program has changed or is gone.
pub(super) struct Changed {
    pub(super) specs: BTreeMap<String, HelperSpec>,
    pub(super) others: Vec<String>,
}

pub(super) struct HelperSide {
    thread: ThreadId,
    config: Arc<ServerConfig>,
    /// The client's own settings for this thread.
    overrides: Overrides,
    /// The running helpers.
    set: Option<Arc<HelperSet>>,
    /// The files and facts of the thread's directory.
    surroundings: Option<Arc<Surroundings>>,
    /// The connection that has started or forked the thread. Its client has the thread's own tools.
    brought_tools: Option<ConnectionId>,
    /// Tools that models may call without a question until the unload, with each tool's description of itself.
    allowed_tools: HashMap<ToolOf, Hints>,
    /// Warnings that clients have received since the load.
    warned: HashSet<String>,
    events: (mpsc::Sender<HelperEvent>, mpsc::Receiver<HelperEvent>),
    questions: (mpsc::Sender<HelperQuestion>, mpsc::Receiver<HelperQuestion>),
}

impl HelperSide {
    pub(super) fn new(thread: ThreadId, config: Arc<ServerConfig>) -> Self {
        Self {
            thread,
            config,
            overrides: Overrides::default(),
            set: None,
            surroundings: None,
            brought_tools: None,
            allowed_tools: HashMap::new(),
            warned: HashSet::new(),
            events: mpsc::channel(skein_helpers::policy::HELPER_EVENTS),
            questions: mpsc::channel(policy::HELPER_QUESTIONS_WAITING),
        }
    }

    /// Events and questions of helpers.
    pub(super) fn inbox(
        &mut self,
    ) -> (&mut mpsc::Receiver<HelperEvent>, &mut mpsc::Receiver<HelperQuestion>) {
        (&mut self.events.1, &mut self.questions.1)
    }

    /// Notes the client that has started or forked the thread, with its settings.
    pub(super) fn brought_by(&mut self, client: ConnectionId, overrides: Overrides) {
        (self.brought_tools, self.overrides) = (Some(client), overrides);
    }

    /// The clients that can be asked: first the connection with the thread's tools, then those of the client that created the
    /// thread, then the others, the newest subscriber first.
    pub(super) fn audience(&self, subscribers: &Subscribers, creator: Option<&str>) -> Audience {
        let mut candidates = subscribers.askable(self.thread);
        candidates.sort_by_key(|who| {
            (Some(who.outbox().connection()) != self.brought_tools, creator != Some(who.client()))
        });
        Audience { candidates, subscribed: subscribers.subscribed(self.thread) }
    }

    /// The settings for a load: those of its resume if it names any, else the thread's own.
    pub(super) fn named_by(&self, resume: Option<&Overrides>) -> Overrides {
        resume.filter(|named| **named != Overrides::default()).unwrap_or(&self.overrides).clone()
    }

    /// Applies the settings of a resume to an unused thread. Other search settings make the files of the directory stale.
    pub(super) fn change_for(&mut self, resume: &Overrides) {
        let named = self.named_by(Some(resume));
        if named.context != self.overrides.context {
            self.surroundings = None;
        }
        self.overrides = named;
    }

    /// Takes the settings of the resume of a load. They win over those in the history.
    pub(super) fn take(&mut self, resume: Option<&Overrides>) {
        self.overrides = self.named_by(resume);
    }

    /// Takes the settings of the thread's first client from the history, unless a resume has named others.
    pub(super) fn recall(&mut self, recorded: impl FnOnce() -> Result<Option<Overrides>, ConfigErrors>) {
        if self.overrides != Overrides::default() {
            return;
        }
        match recorded() {
            Ok(overrides) => self.overrides = overrides.unwrap_or_default(),
            Err(errors) => {
                tracing::warn!(thread = %self.thread, %errors, "the settings that clients chose for this thread are ignored");
            }
        }
    }

    /// The settings of a new thread.
    pub(super) fn new_settings(&self, params: &ThreadStartParams, config: &ServerConfig) -> StoredSettings {
        views::new_settings(params, &self.overrides, config)
    }

    /// The tools of a turn that belong to no helper.
    pub(super) fn own_tools(
        &self,
        settings: &StoredSettings,
        is_durable: bool,
        config: &ServerConfig,
    ) -> OwnTools {
        let plans = settings.mode() == Some(ModeKind::Plan);
        let wanted = plans || self.overrides.features.asks.unwrap_or(config.asks);
        // A client uses an ephemeral thread for itself, for example to make a title. No user can answer.
        let asks = if wanted && is_durable { Asks::Yes } else { Asks::No };
        OwnTools { client: settings.dynamic_tools.clone(), asks }
    }

    /// Notes the result of a search of the thread's directory.
    pub(super) fn found(&mut self, surroundings: Option<Arc<Surroundings>>) {
        self.surroundings = surroundings;
    }

    /// The files of this directory that the model reads.
    pub(super) fn sources(&self, cwd: &str) -> Vec<LegacyAppPathString> {
        let found = self.surroundings.as_ref().filter(|found| found.cwd == cwd);
        found.map(|found| found.sources()).unwrap_or_default()
    }

    /// The context that a turn gives its model, with an optional note.
    pub(super) fn turn_context(&self, config: &ServerConfig, cwd: String, note: Option<&str>) -> TurnContext {
        TurnContext {
            cwd,
            environment: self.overrides.context.over(&config.context).environment,
            docs: config.docs(&self.overrides.context),
            known: self.surroundings.clone(),
            // Later also the `instructions` of helpers, and notes about missing helpers.
            notes: note.map(str::to_owned).into_iter().collect(),
        }
    }

    /// The helpers of the configuration with the thread's own changes.
    fn specs(&self, config: &ServerConfig) -> Vec<HelperSpec> {
        let base = &config.helpers;
        match self.overrides.over(base) {
            Ok(helpers) => helpers.into_values().collect(),
            Err(errors) => {
                // The handler refuses such overrides.
                tracing::error!(thread = %self.thread, %errors, "helpers that clients chose for this thread are ignored");
                base.values().cloned().collect()
            }
        }
    }

    /// Whether turns need one of the helpers to begin.
    pub(super) fn are_required(&self, config: &ServerConfig) -> bool {
        self.specs(config).iter().any(|spec| spec.enabled && spec.required)
    }

    pub(super) fn started(&self) -> Option<&Arc<HelperSet>> {
        self.set.as_ref()
    }

    /// Starts the helpers in the thread's directory, without waiting for them.
    pub(super) fn start(&mut self, services: &Context, cwd: PathBuf) -> Arc<HelperSet> {
        let specs = self.specs(&services.config());
        let set = services.helpers.of_thread(self.thread, specs, cwd, self.events.0.clone());
        Arc::clone(self.set.insert(Arc::new(set.asking(self.questions.0.clone()))))
    }

    /// Begins the unload: permissions and warnings end. Returns the helpers to stop.
    pub(super) fn end(&mut self) -> Option<Arc<HelperSet>> {
        self.allowed_tools.clear();
        self.warned.clear();
        self.set.clone()
    }

    pub(super) fn kill(&self) {
        if let Some(set) = &self.set {
            tracing::warn!(thread = %self.thread, "killing the helpers of this thread, which is overdue or another server's");
            set.kill();
        }
    }

    /// Notes that no helper is left.
    pub(super) fn ended(&mut self) {
        self.set = None;
    }

    /// Stops the helpers, and waits until the last process has ended.
    pub(super) async fn end_all(&mut self) {
        let Some(set) = self.set.take() else { return };
        while tokio::time::timeout(policy::UNLOAD_LIMIT, set.stop()).await.is_err() {
            set.kill();
        }
    }

    /// Takes the newest configuration. Returns whether it has changed.
    pub(super) fn look_at(&mut self, config: &Arc<ServerConfig>) -> bool {
        let before = std::mem::replace(&mut self.config, Arc::clone(config));
        !Arc::ptr_eq(&before, config)
    }

    /// Applies the configuration to running helpers. Permissions for another program of the same name end.
    pub(super) fn change(&mut self) -> Option<Changed> {
        let helpers = self.set.as_ref()?;
        match self.overrides.over(&self.config.helpers) {
            // Helpers that are shutting down ignore the change.
            Ok(specs) => {
                let others = helpers.change(specs.values().cloned().collect());
                self.allowed_tools.retain(|(server, _), _| !others.contains(server));
                Some(Changed { specs, others })
            }
            // A client's settings change a helper that the configuration does not have any more.
            Err(errors) => {
                tracing::warn!(thread = %self.thread, %errors, "this thread's own settings do not fit the changed configuration; its helpers stay as they are");
                None
            }
        }
    }

    /// The helpers as the settings have them now, for calls of these tools that an earlier load has left.
    pub(super) fn as_configured<'a>(
        &self,
        cwd: &Path,
        tools: impl IntoIterator<Item = &'a AskedTool>,
    ) -> Option<Changed> {
        let specs = self.overrides.over(&self.config.helpers).ok()?;
        let is_other = |tool: &&AskedTool| {
            let of_spec = |spec| Program::of(spec, self.thread, cwd).to_string() != tool.program;
            !tool.program.is_empty() && specs.get(&tool.server).is_some_and(of_spec)
        };
        let others = tools.into_iter().filter(is_other).map(|tool| tool.server.clone()).collect();
        Some(Changed { specs, others })
    }

    /// The tool of a call that nobody was asked about. No description of it has this hash, so it is judged anew.
    pub(super) fn tool_as_configured(&self, call: &McpToolCallItem) -> AskedTool {
        let McpToolCallItem { server, tool, .. } = call;
        AskedTool { server: server.clone(), program: String::new(), name: tool.clone(), hash: String::new() }
    }

    /// Whether the user has allowed this tool. A tool with another description of itself loses the permission.
    pub(super) fn allows(&mut self, tool: &ToolOf, hints: Hints) -> bool {
        let allowed = self.allowed_tools.get(tool) == Some(&hints);
        if !allowed {
            self.allowed_tools.remove(tool);
        }
        allowed
    }

    /// Allows this tool until the unload.
    pub(super) fn allow(&mut self, tool: ToolOf, hints: Hints) {
        self.allowed_tools.insert(tool, hints);
    }

    /// Leaves this tool to the settings from now on.
    pub(super) fn leave_to_settings(&mut self, tool: &ToolOf) {
        self.allowed_tools.remove(tool);
    }

    /// How long an answer about this helper's tool may hold. `config` is the newest configuration.
    pub(super) fn lasts(&self, server: &str, lasting: bool, config: &ServerConfig) -> Lasts {
        let settings = config.helpers.get(server).map(|spec| spec.transport.clone());
        match lasting {
            false => Lasts::Not,
            true if settings.is_some() && settings == self.transport_of(server) => Lasts::Always,
            true => Lasts::Session,
        }
    }

    /// The current description of a running helper's tool.
    pub(super) fn hints_of(&self, (server, tool): &ToolOf) -> Option<Hints> {
        let statuses = self.set.as_ref()?.statuses();
        let status = statuses.iter().find(|status| status.name == *server)?;
        Some(Hints::of(status.tools.get(tool)?.annotations.as_ref()))
    }

    /// The program or address of a helper in this thread.
    pub(super) fn transport_of(&self, server: &str) -> Option<Transport> {
        let specs = self.overrides.over(&self.config.helpers).ok()?;
        specs.get(server).map(|spec| spec.transport.clone())
    }

    /// Whether clients have not received this warning since the load. Notes that they have now.
    pub(super) fn is_news(&mut self, warning: &str) -> bool {
        self.warned.insert(warning.to_owned())
    }
}

/// The notification of a helper's event.
pub(super) fn status_of(thread: ThreadId, event: HelperEvent) -> McpServerStatusUpdatedNotification {
    let (name, status, error, state) = match event {
        HelperEvent::Startup { name, state, error } => (name, state, error, None),
        // Clients that know only the peer's states see the helper as ready, as before.
        HelperEvent::Liveness { name, state, message } => {
            (name, McpServerStartupState::Ready, message, Some(state))
        }
    };
    McpServerStatusUpdatedNotification {
        error,
        failure_reason: None,
        name,
        status,
        thread_id: Some(thread),
        skein: state.map(|state| HelperMoment { state }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use skein_config::helpers_from_thread_config;

    use super::*;

    /// The `config` of a request that names this model and one helper with this command.
    fn named(model: &str, command: &str) -> Overrides {
        let config = json!({ "model": model, "mcp_servers": { "files": { "command": command } } });
        helpers_from_thread_config(config.as_object().unwrap()).unwrap()
    }

    fn config(command: Option<&str>) -> Arc<ServerConfig> {
        let mut config = ServerConfig::new("/nowhere".into());
        let helpers = command.map(|command| named("m", command).over(&config.helpers).unwrap());
        config.helpers = helpers.unwrap_or_default();
        Arc::new(config)
    }

    fn side(config: &Arc<ServerConfig>) -> HelperSide {
        HelperSide::new(ThreadId::new(uuid::Uuid::nil()), Arc::clone(config))
    }

    fn reads(read_only: bool) -> Hints {
        Hints { read_only: Some(read_only), ..Hints::default() }
    }

    #[test]
    fn a_permission_ends_with_the_load_the_tool_as_it_was_or_the_word_of_the_settings() {
        let tool: ToolOf = ("files".to_owned(), "remove".to_owned());
        type End = fn(&mut HelperSide, &ToolOf);
        let ends: [(End, bool); 4] = [
            (|_, _| {}, true),
            (|side, _| drop(side.end()), false),
            (HelperSide::leave_to_settings, false),
            // Changed back, the tool stays forbidden.
            (|side, tool| assert!(!side.allows(tool, reads(false))), false),
        ];
        for (end, still) in ends {
            let mut side = side(&config(None));
            assert!(!side.allows(&tool, reads(true)));
            side.allow(tool.clone(), reads(true));
            end(&mut side, &tool);
            assert_eq!(side.allows(&tool, reads(true)), still);
        }
    }

    #[test]
    fn an_answer_lasts_for_ever_only_where_the_settings_mean_the_same_program() {
        for (configured, own, lasting, expected) in [
            (Some("a"), None, true, Lasts::Always),
            (Some("a"), Some("a"), true, Lasts::Always),
            (Some("a"), Some("b"), true, Lasts::Session),
            (None, Some("b"), true, Lasts::Session),
            (Some("a"), None, false, Lasts::Not),
        ] {
            let config = config(configured);
            let mut side = side(&config);
            side.take(own.map(|own| named("m", own)).as_ref());
            assert_eq!(side.lasts("files", lasting, &config), expected, "{configured:?} {own:?}");
        }
    }

    #[test]
    fn a_resume_wins_over_the_history_and_an_empty_one_does_not() {
        let recorded = || Ok(Some(named("recorded", "a")));
        let resumes = [None, Some(Overrides::default()), Some(named("resumed", "b"))];
        for (resume, expected) in resumes.iter().zip(["recorded", "recorded", "resumed"]) {
            let config = config(None);
            let mut side = side(&config);
            side.take(resume.as_ref());
            side.recall(recorded);
            let settings = side.new_settings(&ThreadStartParams::default(), &config);
            assert_eq!(settings.model, expected);
        }
    }

    #[test]
    fn files_are_shown_for_their_directory_until_a_resume_searches_otherwise() {
        let mut side = side(&config(None));
        let docs = vec![skein_turn::surroundings::Doc {
            path: "/a/AGENTS.md".into(),
            text: String::new(),
            of_home: false,
        }];
        side.found(Some(Arc::new(Surroundings { cwd: "/a".into(), docs, ..Surroundings::default() })));
        assert_eq!((side.sources("/a").len(), side.sources("/b").len()), (1, 0));
        side.change_for(&named("m", "a"));
        assert_eq!(side.sources("/a").len(), 1);
        let otherwise = json!({ "include_environment_context": false });
        side.change_for(&helpers_from_thread_config(otherwise.as_object().unwrap()).unwrap());
        assert_eq!(side.sources("/a").len(), 0);
    }

    #[test]
    fn a_warning_is_news_once_per_load() {
        let mut side = side(&config(None));
        assert!(side.is_news("w") && !side.is_news("w"));
        side.end();
        assert!(side.is_news("w"));
    }
}
