//! Flags, environment and `config.toml` become one [`Config`], or every error at once.
//!
//! Must never start anything, and holds no number of its own: defaults stand in `policy.rs`.

mod client;
mod context;
pub mod desktop;
pub mod edit;
mod helpers;
mod keys;
mod models;
mod origin;
mod peer;
mod problem;
mod providers;
pub(crate) mod secrets;
mod section;
mod settings;
pub mod shown;
mod thread;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use problem::Problems;
use skein_protocol::settings::{AskForApproval, SandboxMode};
use skein_provider::spec::ProviderSpec;
use skein_store::home::{STDIO, Variable, default_home};

pub use client::{ClientSettings, Said};
pub(crate) use context::{ContextConfig, ContextOverride, DocsPolicy};
pub(crate) use helpers::{Overrides, helpers_from_thread_config};
pub(crate) use models::{ModelConfig, ModelTerms};
pub(crate) use origin::Origin;
pub(crate) use problem::{ConfigError, ConfigErrors, ConfigWarning, Place};
pub(crate) use providers::OFFLINE;
pub(crate) use settings::Settings;
pub(crate) use shown::{Layer, LayerSource};
use skein_helpers::Containment;
pub(crate) use skein_helpers::HelperSpec;
pub(crate) use thread::ThreadConfig;

use crate::policy;

/// The user's settings, a file in the home.
pub(crate) const FILE: &str = "config.toml";

/// Everything that a user of the server may choose.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The folder with everything that lasts: rollouts, index, settings.
    pub home: PathBuf,
    /// Where websockets are accepted, beside the home's control socket; `None` for nowhere. Always a loopback address; port 0
    /// takes a free one.
    pub(crate) listen: Option<SocketAddr>,
    /// The program that is run again as the guard of a helper.
    pub guard: GuardProgram,
    /// Whether the method that waits until every owner has caught up is served. For tests.
    pub(crate) test_fences: bool,
    /// The model of a thread that names none.
    pub(crate) model: String,
    /// The provider of a thread that names none.
    pub(crate) model_provider: String,
    /// How threads answer that say nothing of it.
    pub(crate) thread: ThreadConfig,
    /// What holds for every model that has no entry of its own.
    pub(crate) every_model: ModelConfig,
    /// What holds for single models, by name.
    pub(crate) models: BTreeMap<String, ModelConfig>,
    /// When the user of a thread is asked that says nothing of it.
    pub(crate) approval_policy: AskForApproval,
    /// What a thread may touch that says nothing of it; Skein confines nobody, but it decides with the policy.
    pub(crate) sandbox_mode: SandboxMode,
    /// Whether models may ask the user by a tool, also where they do not plan.
    pub(crate) asks: bool,
    /// What models are told before a conversation.
    pub(crate) context: ContextConfig,
    /// Providers over HTTP, by name.
    pub(crate) providers: BTreeMap<String, ProviderSpec>,
    /// Helpers of every thread, by name.
    pub helpers: BTreeMap<String, HelperSpec>,
    /// What holds a helper's process tree.
    pub containment: Containment,
    /// The wait between two stages of ending a helper: end of input, SIGTERM, SIGKILL.
    pub helper_stop_grace: Duration,
    /// How long a helper may show no sign of life while somebody waits for it.
    pub(crate) helper_liveness: Duration,
    /// When a thread that nobody watches is unloaded.
    pub(crate) unload: UnloadPolicy,
    /// What happens to a thread that nobody watches while it is active.
    pub(crate) orphans: OrphanPolicy,
    /// When a rollout is synced to the disk.
    pub(crate) durability: Durability,
    /// How long deleted threads are kept in the trash.
    pub(crate) trash_keep: Duration,
    /// Whether searches make and use an index of what was said.
    pub(crate) search_index: bool,
    /// How long a page of a search takes before it is answered with what was found.
    pub(crate) search_page_time: Duration,
    /// Bounds of messages and queues.
    pub limits: Limits,
    /// How dead connections are found.
    pub(crate) heartbeat: Heartbeat,
    /// At a stop: the time for turns to end by themselves.
    pub(crate) shutdown_drain: Duration,
    /// At a stop: the time for everything, turns included.
    pub(crate) shutdown_limit: Duration,
    /// What was odd in the settings but did not stop the start, in the order of the file.
    pub warnings: Vec<ConfigWarning>,
    /// Dotted keys of Codex's that have no effect here.
    pub unused: Vec<String>,
    /// What each place says, the one that wins last; for those who ask where a setting comes from.
    pub(crate) layers: Vec<Layer>,
    /// Where it was read; `None` for settings that a program has made.
    pub(crate) origin: Option<Origin>,
}

/// The program that is run as the guard of a helper's process tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardProgram {
    /// The running program itself, opened at start: an upgrade of the file on disk does not mix two versions.
    ThisProgram,
    /// Another program that knows the guard's command; a server inside a test's process needs it.
    Path(PathBuf),
}

/// When records of a rollout are synced to the disk, rather than only written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// At the start and the end of a turn.
    Turn,
    /// At every record.
    Event,
    /// Only the first records of a load, and reverts: what was written survives the end of the process, not a loss of power,
    /// after which clients are told that the history is another one.
    Process,
}

/// When a thread that has no subscriber is unloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnloadPolicy {
    /// How long an idle thread with a rollout stays loaded.
    pub(crate) grace: Duration,
    /// How long a thread without a first user message is kept, before it is dropped.
    pub(crate) unmaterialised_grace: Duration,
}

/// What happens to an active thread that has no subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrphanPolicy {
    /// What becomes of a running turn, also of one that was begun by a client that is not subscribed.
    pub(crate) running: RunningOrphans,
    /// How long a turn that goes on may take, from then on; `None` lets it go on to its end.
    pub(crate) running_limit: Option<Duration>,
    /// How long a question to the user stays open with nobody there to answer it. Its turn is kept as long, whatever
    /// the two above say.
    pub(crate) pending_grace: Duration,
}

impl Default for OrphanPolicy {
    fn default() -> Self {
        let running = RunningOrphans::Continue;
        Self { running, running_limit: None, pending_grace: policy::PENDING_GRACE }
    }
}

/// What becomes of a running turn that nobody watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunningOrphans {
    /// It goes on to its end.
    Continue,
    /// It is interrupted at once.
    Interrupt,
}

/// Bounds of messages and queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest message a client may send, in bytes.
    pub message_bytes: usize,
    /// The largest answer a client may get, in bytes.
    pub(crate) answer_bytes: usize,
    /// What may wait for a client behind the message being written, in bytes.
    pub(crate) outbox_bytes: usize,
    /// Requests of one connection that may wait for threads and helpers at once.
    pub(crate) requests_in_flight: usize,
    /// Commands that may wait for the owner of one thread.
    pub(crate) mailbox: usize,
    /// Records of a thread that are replayed to a client that comes back; with more it gets the full state.
    pub(crate) replay: usize,
    /// Threads in memory, before the longest idle ones have to make room.
    pub(crate) loaded_threads: Option<usize>,
    /// Resident memory of the server, in bytes, before the longest idle threads have to make room.
    pub(crate) memory: Option<u64>,
    /// How often the model may be asked in one turn; `None` for no bound.
    pub(crate) turn_rounds: Option<usize>,
}

/// How dead connections are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heartbeat {
    /// After this much silence a client is asked by ping.
    pub(crate) ping: Duration,
    /// After this much silence a client is given up; longer than `ping`.
    pub(crate) dead_after: Duration,
    /// How often a client that opted in to events hears that the server is there.
    pub(crate) heartbeat: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        let dead_after = policy::PING * policy::DEAD_AFTER_PINGS;
        Self { ping: policy::PING, dead_after, heartbeat: policy::HEARTBEAT }
    }
}

/// What the command line says. Where it is silent, the environment and the file speak.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--home`.
    pub home: Option<PathBuf>,
    /// `--listen`, as `ws://ADDRESS:PORT`.
    pub listen: Option<String>,
    /// `--guard`.
    pub guard: Option<PathBuf>,
    /// `--test-fences`.
    pub test_fences: bool,
    /// Each `-c KEY=VALUE`, as in the file with a dotted key; they win over the file.
    pub settings: Vec<String>,
}

impl GuardProgram {
    /// Opens it, for the room that starts guards.
    ///
    /// # Errors
    /// `/proc/self/exe` cannot be opened.
    pub fn open(&self) -> io::Result<skein_helpers::GuardProgram> {
        match self {
            Self::ThisProgram => skein_helpers::GuardProgram::current(),
            Self::Path(path) => Ok(skein_helpers::GuardProgram::Path(path.clone())),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: policy::MESSAGE_BYTES,
            answer_bytes: policy::ANSWER_BYTES,
            outbox_bytes: policy::OUTBOX_BYTES,
            requests_in_flight: policy::REQUESTS_IN_FLIGHT,
            mailbox: policy::MAILBOX,
            replay: policy::REPLAY,
            loaded_threads: None,
            memory: None,
            turn_rounds: None,
        }
    }
}

impl Config {
    /// The defaults, on `home`.
    #[must_use]
    pub(crate) fn new(home: PathBuf) -> Self {
        Self {
            home,
            listen: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), policy::DEFAULT_PORT)),
            guard: GuardProgram::ThisProgram,
            test_fences: false,
            model: skein_provider::policy::DEFAULT_MODEL.to_owned(),
            model_provider: policy::DEFAULT_MODEL_PROVIDER.to_owned(),
            thread: ThreadConfig::default(),
            every_model: ModelConfig::default(),
            models: BTreeMap::new(),
            approval_policy: policy::DEFAULT_APPROVAL_POLICY,
            sandbox_mode: policy::DEFAULT_SANDBOX_MODE,
            asks: false,
            context: ContextConfig::default(),
            providers: ProviderSpec::built_in(),
            helpers: BTreeMap::new(),
            containment: Containment::Auto,
            helper_stop_grace: skein_helpers::policy::HELPER_STOP_GRACE,
            helper_liveness: skein_helpers::policy::HELPER_LIVENESS,
            unload: UnloadPolicy {
                grace: policy::UNLOAD_GRACE,
                unmaterialised_grace: policy::UNMATERIALISED_GRACE,
            },
            orphans: OrphanPolicy::default(),
            durability: Durability::Turn,
            trash_keep: policy::TRASH_KEEP,
            search_index: true,
            search_page_time: policy::SEARCH_PAGE_TIME,
            limits: Limits::default(),
            heartbeat: Heartbeat::default(),
            shutdown_drain: policy::SHUTDOWN_DRAIN,
            shutdown_limit: policy::SHUTDOWN_LIMIT,
            warnings: Vec::new(),
            unused: Vec::new(),
            layers: Vec::new(),
            origin: None,
        }
    }

    /// The settings of this start: `flags`, over the file in the home, over the defaults.
    ///
    /// # Errors
    /// Everything that is wrong in flags and file, each with its place and what would be right there.
    pub fn load(flags: &Flags) -> Result<Self, ConfigErrors> {
        let home = home(flags.home.as_deref(), &|name| std::env::var_os(name))?;
        let mut problems = Problems::default();
        let mut config = Self::new(home);
        config.guard = flags.guard.clone().map_or(GuardProgram::ThisProgram, GuardProgram::Path);
        config.test_fences = flags.test_fences;
        if let Some(listen) = flags.listen.as_deref() {
            match parse_listen(listen) {
                Ok(listen) => config.listen = listen,
                Err(error) => problems.push(error),
            }
        }
        let file = config.home.join(FILE);
        let text = tree::read(&file);
        config.origin = Some(Origin::new(flags, &file, &text));
        let mut settings = tree::from_file(&file, text, &mut problems);
        let in_file = settings.clone();
        let in_flags = tree::lay_over(&mut settings, &flags.settings, &mut problems);
        keys::apply(&mut config, settings, &mut problems);
        config.unused = problems.unused();
        config.warnings = problems.finish()?;
        let version = config.origin.as_ref().and_then(Origin::version);
        let in_file = version.map(|version| Layer::of_file(file, version, &in_file, &config));
        let in_flags = Layer::of_flags(&in_flags, &config);
        config.layers = in_file.into_iter().chain(in_flags).collect();
        Ok(config)
    }
}

/// The home: what `--home` says, else what the environment says; made absolute, so that a later change of directory
/// cannot move it.
///
/// # Errors
/// When nothing of the environment names a place, or the working directory is gone.
pub fn home(flag: Option<&Path>, variable: Variable<'_>) -> Result<PathBuf, ConfigErrors> {
    let wrong = |what: String| {
        let place = Place::Flag("--home".to_owned());
        ConfigErrors::from(ConfigError::new(place, "", what, "name a folder with --home or $SKEIN_HOME"))
    };
    let chosen = match flag {
        Some(home) => home.to_owned(),
        None => default_home(variable).map_err(|error| wrong(error.to_string()))?,
    };
    std::path::absolute(&chosen).map_err(|error| wrong(format!("{}: {error}", chosen.display())))
}

/// Reads `ws://ADDRESS:PORT`, or [`STDIO`] for none. Only loopback addresses, until clients can be told apart.
fn parse_listen(text: &str) -> Result<Option<SocketAddr>, ConfigError> {
    if text == STDIO {
        return Ok(None);
    }
    let expected = "write ws://127.0.0.1:PORT (port 0 takes a free one) or unix://PATH";
    let wrong = |what: String| ConfigError::new(Place::Flag("--listen".to_owned()), "", what, expected);
    let Some(rest) = text.strip_prefix("ws://") else {
        return Err(wrong(format!("{text:?} is not a websocket address")));
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let named = rest.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = named
        .as_deref()
        .unwrap_or(rest)
        .parse()
        .map_err(|_| wrong(format!("{rest:?} is not an address with a port")))?;
    if !address.ip().is_loopback() {
        return Err(wrong(format!("{} can be reached from other machines", address.ip())));
    }
    Ok(Some(address))
}
