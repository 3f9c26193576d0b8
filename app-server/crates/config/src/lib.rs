//! Flags, environment and `config.toml` become one [`ServerConfig`], or every error at once. [`access`] has
//! identity and rights: who may come in, and with which access.
//!
//! Must never start anything. Defaults stand in `policy.rs`.

pub mod access;
mod client;
mod cluster;
mod context;
pub mod desktop;
pub mod edit;
mod helpers;
mod keys;
mod kinds;
mod listen;
mod models;
mod origin;
mod passed;
mod peer;
pub mod policy;
mod problem;
mod providers;
mod ready;
pub mod schema;
mod scrapes;
pub mod secrets;
mod section;
mod shared;
pub mod shown;
mod sources;
mod storage;
mod tables;
mod thread;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use problem::Problems;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skein_protocol::budget::ThreadBudget;
use skein_protocol::settings::{AskForApproval, SandboxMode};
use skein_provider::spec::ProviderSpec;
use skein_store::home::{Variable, default_home};

pub use client::{ClientSettings, FlagOverrides};
pub use cluster::ClusterRules;
pub use context::{ContextConfig, ContextOverride, DocsPolicy};
pub use keys::harmful_key;
pub use listen::{ListenAt, ListenHost, ListenRules, PublicUrl, TlsFiles};
pub use models::{EveryModel, ModelConfig, ModelTerms};
pub use origin::Origin;
pub use passed::{FIRST_PASSED, PassedSockets};
pub use problem::{ConfigError, ConfigErrors, ConfigWarning, Place};
pub use providers::OFFLINE;
pub use ready::MissingKey;
pub use scrapes::MetricsRules;
pub use shared::SharedConfig;
pub use shown::{Layer, LayerSource};
pub use skein_helpers::HelperSpec;
pub use skein_store::history::RestartTurns;
pub use sources::SecretSources;
pub use storage::{STORE_VARIABLE, StorePasswordError, StoreRules, StoreUrl};
pub use tables::{
    Auth, Browser, Budget, Durability, Heartbeat, HelperRules, Limits, LocalPrograms, OrphanPolicy,
    QuestionPolicy, QueueOrphans, RestartPolicy, RunningOrphans, Search, ShutdownTimes, Trash, UnloadPolicy,
};
pub use thread::{Overrides, ThreadConfig, helpers_from_thread_config};

use crate::access::WsAuth;

/// The user's settings, a file in the home.
pub const FILE: &str = "config.toml";

/// Everything that a user of the server may choose. The fields that are not skipped are keys of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ServerConfig {
    /// The folder with everything that lasts: rollouts, index, settings.
    #[serde(skip)]
    pub home: PathBuf,
    /// Where the server listens, beside the home's control socket.
    #[serde(skip)]
    pub listen: Vec<ListenAt>,
    /// The files for addresses with TLS.
    #[serde(skip)]
    pub tls: Option<TlsFiles>,
    /// The program that is run again as the guard of a helper.
    #[serde(skip)]
    pub guard: GuardProgram,
    /// Whether the method that waits until every owner has caught up is served. For tests.
    #[serde(skip)]
    pub test_fences: bool,
    /// The credentials of `--ws-auth`.
    #[serde(skip)]
    pub ws_auth: Option<WsAuth>,
    /// The model of a thread that names none.
    #[serde(skip)]
    pub model: String,
    /// The provider of a thread that names none.
    #[serde(skip)]
    pub model_provider: String,
    /// The answers of a thread that has no settings of its own for them.
    #[serde(skip)]
    pub thread: ThreadConfig,
    /// The limits of every model that has no entry of its own.
    #[serde(skip)]
    pub every_model: EveryModel,
    /// The limits of single models, by name.
    pub models: BTreeMap<String, ModelConfig>,
    /// When the user is asked, in a thread that names no policy.
    #[serde(skip)]
    pub approval_policy: AskForApproval,
    /// The sandbox of a thread that names none. Skein confines no process, but decides with the policy.
    #[serde(skip)]
    pub sandbox_mode: SandboxMode,
    /// Whether models may ask the user by a tool, also where they do not plan.
    #[serde(skip)]
    pub asks: bool,
    /// The limits for the use of models, of a thread that has none of its own.
    #[serde(skip)]
    pub budget: ThreadBudget,
    /// The text that models get before a conversation.
    #[serde(skip)]
    pub context: ContextConfig,
    /// Providers over HTTP, by name.
    #[serde(skip)]
    pub providers: BTreeMap<String, ProviderSpec>,
    /// Helpers of every thread, by name.
    #[serde(skip)]
    pub helpers: BTreeMap<String, HelperSpec>,
    /// The rules that hold for all helpers.
    #[serde(rename = "helpers")]
    pub helper_rules: HelperRules,
    /// When a thread without subscribers is unloaded.
    pub unload: UnloadPolicy,
    /// The end of an active thread without subscribers.
    pub orphans: OrphanPolicy,
    /// The turns that an earlier server has left open.
    pub restart: RestartPolicy,
    /// Questions that wait for a user.
    pub questions: QuestionPolicy,
    /// When a rollout is synced to the disk.
    pub durability: Durability,
    /// The trash.
    pub trash: Trash,
    /// The search.
    pub search: Search,
    /// Bounds of messages and queues.
    pub limits: Limits,
    /// The search for dead connections.
    #[serde(rename = "connections")]
    pub heartbeat: Heartbeat,
    /// The time for a stop.
    pub shutdown: ShutdownTimes,
    /// The address by which a proxy or a tunnel brings clients, such as `"https://box.example.org"`.
    #[schemars(with = "Option<String>", example = "https://box.example.org")]
    pub public_url: Option<PublicUrl>,
    /// The proxies whose `X-Forwarded-For` names the client, in logs and for the limit of wrong credentials.
    #[serde(deserialize_with = "listen::proxies")]
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpAddr>,
    /// Rules for addresses that other machines reach.
    #[serde(rename = "listen")]
    pub listen_rules: ListenRules,
    /// A port for readers of the metrics.
    pub metrics: MetricsRules,
    /// A database for the threads.
    pub store: StoreRules,
    /// Other servers at that database.
    pub cluster: ClusterRules,
    /// The access of programs without a credential.
    pub auth: Auth,
    /// The pages that may connect.
    pub browser: Browser,
    /// Keys without effect, in the order of the file.
    #[serde(skip)]
    pub warnings: Vec<ConfigWarning>,
    /// Dotted keys of Codex's that have no effect here.
    #[serde(skip)]
    pub unused: Vec<String>,
    /// The settings of each place, the one that wins last: the origin of every setting.
    #[serde(skip)]
    pub layers: Vec<Layer>,
    /// The place of the settings; `None` for settings that a program has made.
    #[serde(skip)]
    pub origin: Option<Origin>,
}

/// The program that is run as the guard of a helper's process tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardProgram {
    /// The running program itself, opened at start: an upgrade of the file on disk does not mix two versions.
    ThisProgram,
    /// Another program that knows the guard's command; a server inside a test's process needs it.
    Path(PathBuf),
}

/// The command line. Settings that it leaves out come from the environment and the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--home`.
    pub home: Option<PathBuf>,
    /// Each `--listen`; without one the usual address.
    pub listen: Vec<String>,
    /// `--tls-cert`.
    pub tls_cert: Option<PathBuf>,
    /// `--tls-key`.
    pub tls_key: Option<PathBuf>,
    /// The sockets of a service manager.
    pub passed: PassedSockets,
    /// `--guard`.
    pub guard: Option<PathBuf>,
    /// `--test-fences`.
    pub test_fences: bool,
    /// `--store`.
    pub store: Option<String>,
    /// `--node-name`.
    pub node_name: Option<String>,
    /// `--cluster-listen`.
    pub cluster_listen: Option<String>,
    /// `--cluster-advertise`.
    pub cluster_advertise: Option<String>,
    /// `--ws-auth` and its flags.
    pub ws_auth: Option<WsAuth>,
    /// Each `-c KEY=VALUE`, as in the file with a dotted key; they win over the file.
    pub settings: Vec<String>,
}

impl GuardProgram {
    /// Opens it, for the room that starts guards.
    ///
    /// # Errors
    /// `/proc/self/exe` cannot be opened.
    pub fn open(&self) -> io::Result<skein_helpers::GuardExecutable> {
        match self {
            Self::ThisProgram => skein_helpers::GuardExecutable::current(),
            Self::Path(path) => Ok(skein_helpers::GuardExecutable::Path(path.clone())),
        }
    }
}

impl Default for ServerConfig {
    #[expect(clippy::too_many_lines, reason = "one line for each setting")]
    fn default() -> Self {
        Self {
            home: PathBuf::new(),
            listen: vec![ListenAt::usual()],
            tls: None,
            guard: GuardProgram::ThisProgram,
            test_fences: false,
            ws_auth: None,
            model: skein_provider::policy::DEFAULT_MODEL.to_owned(),
            model_provider: policy::DEFAULT_MODEL_PROVIDER.to_owned(),
            thread: ThreadConfig::default(),
            every_model: EveryModel::default(),
            models: BTreeMap::new(),
            approval_policy: policy::DEFAULT_APPROVAL_POLICY,
            sandbox_mode: policy::DEFAULT_SANDBOX_MODE,
            asks: false,
            budget: policy::DEFAULT_BUDGET,
            context: ContextConfig::default(),
            providers: ProviderSpec::built_in(),
            helpers: BTreeMap::new(),
            helper_rules: HelperRules::default(),
            unload: UnloadPolicy::default(),
            orphans: OrphanPolicy::default(),
            restart: RestartPolicy::default(),
            questions: QuestionPolicy::default(),
            durability: Durability::Turn,
            trash: Trash::default(),
            search: Search::default(),
            limits: Limits::default(),
            heartbeat: Heartbeat::default(),
            shutdown: ShutdownTimes::default(),
            public_url: None,
            trusted_proxies: Vec::new(),
            listen_rules: ListenRules::default(),
            metrics: MetricsRules::default(),
            store: StoreRules::default(),
            cluster: ClusterRules::default(),
            auth: Auth::default(),
            browser: Browser::default(),
            warnings: Vec::new(),
            unused: Vec::new(),
            layers: Vec::new(),
            origin: None,
        }
    }
}

impl ServerConfig {
    /// The defaults, on `home`.
    pub fn new(home: PathBuf) -> Self {
        Self { home, ..Self::default() }
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
        config.ws_auth = flags.ws_auth.clone();
        (config.listen, config.tls) = listen::read(flags, &mut problems);
        let file = config.home.join(FILE);
        let text = tree::read(&file);
        config.origin = Some(Origin::new(flags, &file, &text));
        let mut settings = tree::from_file(&file, text, &mut problems);
        let in_file = settings.clone();
        let in_flags = tree::lay_over(&mut settings, &flags.settings, &mut problems);
        config = keys::apply(config, settings, &mut problems);
        match storage::of_start(flags.store.as_deref(), &|name| std::env::var_os(name)) {
            Ok(url) => config.store.url = url.or(config.store.url),
            Err(error) => problems.push(error),
        }
        config.cluster.take_flags(flags, &mut problems);
        config.cluster.check(&mut problems);
        if let Some(error) = listen::unused_certificate(&config) {
            problems.push(error);
        }
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
