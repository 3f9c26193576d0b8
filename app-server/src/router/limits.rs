//! The limits of connections below `admin`: the members of a request that name programs, weaken settings, or lead out of the
//! folders that browsers may name. Every request passes [`judge`], which knows the params of every method.

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use skein_base::tasks::BlockingPool;
use skein_config::access::{Consent, confines, contain, is_looser};
use skein_config::{ServerConfig, harmful_key, helpers_from_thread_config};
use skein_protocol::JsonObject;
use skein_protocol::access::Access;
use skein_protocol::budget::ThreadBudget;
use skein_protocol::error::WireError;
use skein_protocol::extension::SkeinThreadUnloadParams;
use skein_protocol::feedback::FeedbackUploadParams;
use skein_protocol::ids::ThreadId;
use skein_protocol::settings::{
    AskForApproval, CapabilityRootLocation, SandboxPolicy, SelectedCapabilityRoot, TurnEnvironmentParams,
};
use skein_protocol::thread::{
    ThreadForkParams, ThreadQueueAddParams, ThreadQueueUpdateParams, ThreadResumeParams,
    ThreadSettingsUpdateParams, ThreadStartParams,
};
use skein_protocol::turn::{TurnStartParams, TurnSteerParams, UserInput};
use skein_store::policy;

use super::session::ClientSession;
use crate::thread::{directory, views};

/// A path in a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NamedPath {
    /// The member, as a path from `params`.
    field: String,
    path: PathBuf,
}

/// Judges everything in the params of a request but its paths, which are returned for [`look`].
///
/// # Errors
/// `forbidden`, with the first member that needs more access.
pub(super) fn judge(session: &ClientSession, params: &dyn Any) -> Result<Vec<NamedPath>, WireError> {
    if session.access() >= Access::Admin {
        return Ok(Vec::new());
    }
    let mut wishes = Wishes::of(params);
    let config = session.app.config();
    if wishes.force {
        return Err(forbidden("force", "only a connection with the access admin unloads by force"));
    }
    if let Some(key) = wishes.config.and_then(harmful_key) {
        let text = format!("the config of a thread may set {key:?} only with the access admin");
        return Err(forbidden(format!("config.{key}"), text));
    }
    if !wishes.budget.is_within(config.budget) {
        let text = "only a connection with the access admin sets limits above those of the settings";
        return Err(forbidden("config.budget", text).hint("the setting budget has these limits"));
    }
    let policy_of = |thread| session.app.registry.handle(thread)?.seen(|seen| seen.approval_policy.clone());
    wishes.consent(&config, policy_of)?;
    let folder_of = |thread| {
        session.app.registry.handle(thread)?.seen(|seen| seen.thread.as_ref().map(|it| it.cwd.clone()))
    };
    wishes.forget_usual_folder(folder_of);
    Ok(wishes.paths)
}

/// Looks whether the paths lie where browsers may name them. The looks of a connection run one after the other: a disk that
/// hangs keeps one thread of the pool, and delays only the connection that named it.
///
/// # Errors
/// `forbidden`, with the first member whose path lies outside.
pub(super) async fn look(session: &Arc<ClientSession>, paths: Vec<NamedPath>) -> Result<(), WireError> {
    if paths.is_empty() {
        return Ok(());
    }
    // Never closed; were it, looks would merely overlap.
    let _turn = session.looks.acquire().await.ok();
    let named = session.app.config().browser.roots.clone();
    let first_outside = move || {
        let roots: Vec<PathBuf> = named.iter().map(|root| directory::named(Some(root)).into()).collect();
        paths.into_iter().find(|named| !contain(&roots, &named.path)).map(|named| named.field)
    };
    match session.app.tasks.blocking("named-paths", BlockingPool::Inputs, first_outside).await {
        Ok(None) => Ok(()),
        Ok(Some(field)) => Err(outside(&field)),
        // The tracker has logged it.
        Err(_) => Err(WireError::internal("dropped", "the look at the request's paths broke off; try again")),
    }
}

/// Whether a client may have servers look at a folder that it names.
pub(super) async fn may_name(session: &Arc<ClientSession>, folder: &str) -> bool {
    if folder.len() > policy::WORD_BYTES {
        return false;
    }
    let mut wishes = Wishes::default();
    if session.access() < Access::Admin {
        wishes.folder("cwd", Some(folder));
    }
    look(session, wishes.paths).await.is_ok()
}

/// The refusal of paths by a method that cannot look at them.
pub(super) fn unlooked(paths: &[NamedPath]) -> Result<(), WireError> {
    paths.first().map_or(Ok(()), |named| Err(outside(&named.field)))
}

fn outside(field: &str) -> WireError {
    let text = format!("{field} leads out of the folders that this connection may name");
    forbidden(field, text).hint("the setting browser.roots has these folders")
}

fn forbidden(field: impl Into<String>, text: impl Into<String>) -> WireError {
    WireError::forbidden(Access::Admin, text).field(field)
}

/// The members of a request that have limits.
#[derive(Default)]
struct Wishes<'p> {
    force: bool,
    config: Option<&'p JsonObject>,
    policies: Vec<(&'static str, AskForApproval)>,
    sandboxes: Vec<(&'static str, SandboxPolicy)>,
    budget: ThreadBudget,
    /// The thread that exists already, and has settings of its own.
    thread: Option<ThreadId>,
    paths: Vec<NamedPath>,
}

impl<'p> Wishes<'p> {
    /// Params without such members wish nothing.
    fn of(params: &'p dyn Any) -> Self {
        let mut wishes = Self::default();
        if let Some(params) = params.downcast_ref::<ThreadStartParams>() {
            wishes.start(params);
        } else if let Some(params) = params.downcast_ref::<ThreadResumeParams>() {
            wishes.resume(params);
        } else if let Some(params) = params.downcast_ref::<ThreadForkParams>() {
            wishes.fork(params);
        } else if let Some(params) = params.downcast_ref::<ThreadSettingsUpdateParams>() {
            wishes.settings(params);
        } else if let Some(params) = params.downcast_ref::<TurnStartParams>() {
            wishes.turn(params);
        } else if let Some(params) = params.downcast_ref::<TurnSteerParams>() {
            wishes.input(&params.input);
        } else if let Some(params) = params.downcast_ref::<ThreadQueueAddParams>() {
            wishes.input(&params.input);
        } else if let Some(params) = params.downcast_ref::<ThreadQueueUpdateParams>() {
            wishes.input(&params.input);
        } else if let Some(params) = params.downcast_ref::<SkeinThreadUnloadParams>() {
            wishes.force = params.force;
        } else if let Some(params) = params.downcast_ref::<FeedbackUploadParams>() {
            wishes.files("extraLogFiles", params.extra_log_files.as_deref());
        }
        wishes
    }

    fn start(&mut self, params: &'p ThreadStartParams) {
        self.config(params.config.as_ref());
        self.policy(params.approval_policy.as_ref());
        self.sandbox("sandbox", params.sandbox.map(views::sandbox));
        self.folder("cwd", params.cwd.as_deref());
        self.files("runtimeWorkspaceRoots", params.runtime_workspace_roots.as_deref());
        self.environments(params.environments.as_deref());
        self.capabilities(params.selected_capability_roots.as_deref());
    }

    fn resume(&mut self, params: &'p ThreadResumeParams) {
        self.thread = Some(params.thread_id);
        self.config(params.config.as_ref());
        self.policy(params.approval_policy.as_ref());
        self.sandbox("sandbox", params.sandbox.map(views::sandbox));
        self.folder("cwd", params.cwd.as_deref());
        params.path.iter().for_each(|path| self.file("path".to_owned(), path));
        self.files("runtimeWorkspaceRoots", params.runtime_workspace_roots.as_deref());
    }

    fn fork(&mut self, params: &'p ThreadForkParams) {
        self.thread = Some(params.thread_id);
        self.config(params.config.as_ref());
        self.policy(params.approval_policy.as_ref());
        self.sandbox("sandbox", params.sandbox.map(views::sandbox));
        self.folder("cwd", params.cwd.as_deref());
        params.path.iter().for_each(|path| self.file("path".to_owned(), path));
        self.files("runtimeWorkspaceRoots", params.runtime_workspace_roots.as_deref());
    }

    fn settings(&mut self, params: &ThreadSettingsUpdateParams) {
        self.thread = Some(params.thread_id);
        self.policy(params.approval_policy.as_ref());
        self.sandbox("sandboxPolicy", params.sandbox_policy.clone());
        self.folder("cwd", params.cwd.as_deref());
        self.environments(params.environments.as_deref());
    }

    fn turn(&mut self, params: &TurnStartParams) {
        self.thread = Some(params.thread_id);
        self.policy(params.approval_policy.as_ref());
        self.sandbox("sandboxPolicy", params.sandbox_policy.clone());
        self.folder("cwd", params.cwd.as_deref());
        self.files("runtimeWorkspaceRoots", params.runtime_workspace_roots.as_deref());
        self.environments(params.environments.as_deref());
        self.input(&params.input);
    }

    /// The consent of a `config` that cannot be read is not taken: its handler refuses the request.
    fn config(&mut self, config: Option<&'p JsonObject>) {
        self.config = config;
        let Some(Ok(own)) = config.map(helpers_from_thread_config) else { return };
        self.policies.extend(own.approval_policy.map(|policy| ("config.approval_policy", policy)));
        self.budget = own.budget.into();
        self.sandboxes.extend(own.sandbox_mode.map(|mode| ("config.sandbox_mode", views::sandbox(mode))));
    }

    fn policy(&mut self, policy: Option<&AskForApproval>) {
        self.policies.extend(policy.map(|policy| ("approvalPolicy", policy.clone())));
    }

    fn sandbox(&mut self, field: &'static str, sandbox: Option<SandboxPolicy>) {
        if let Some(SandboxPolicy::WorkspaceWrite { writable_roots, .. }) = &sandbox {
            self.files(&format!("{field}.writableRoots"), Some(writable_roots));
        }
        self.sandboxes.extend(sandbox.map(|sandbox| (field, sandbox)));
    }

    /// A working directory, whose name is read as every handler reads it.
    fn folder(&mut self, field: impl Into<String>, folder: Option<&str>) {
        let path = |folder| PathBuf::from(directory::named(Some(folder)));
        self.paths.extend(folder.map(|folder| NamedPath { field: field.into(), path: path(folder) }));
    }

    /// A file, whose name is given to the system as it is; a program may read `~` as the user's home, so both count.
    fn file(&mut self, field: String, file: &str) {
        if file.starts_with('~') {
            self.folder(field.clone(), Some(file));
        }
        let own = PathBuf::from(directory::named(None));
        self.paths.push(NamedPath { field, path: own.join(file) });
    }

    fn files(&mut self, field: &str, files: Option<&[String]>) {
        for (at, file) in files.unwrap_or_default().iter().enumerate() {
            self.file(format!("{field}[{at}]"), file);
        }
    }

    fn environments(&mut self, environments: Option<&[TurnEnvironmentParams]>) {
        for (at, environment) in environments.unwrap_or_default().iter().enumerate() {
            self.folder(format!("environments[{at}].cwd"), Some(&environment.cwd));
            let roots = environment.runtime_workspace_roots.as_deref();
            self.files(&format!("environments[{at}].runtimeWorkspaceRoots"), roots);
        }
    }

    fn capabilities(&mut self, roots: Option<&[SelectedCapabilityRoot]>) {
        for (at, root) in roots.unwrap_or_default().iter().enumerate() {
            let CapabilityRootLocation::Environment { path, .. } = &root.location;
            self.file(format!("selectedCapabilityRoots[{at}].location.path"), path);
        }
    }

    fn input(&mut self, input: &[UserInput]) {
        for (at, piece) in input.iter().enumerate() {
            match piece {
                UserInput::LocalImage { path, .. }
                | UserInput::LocalAudio { path }
                | UserInput::Skill { path, .. }
                | UserInput::Mention { path, .. } => self.file(format!("input[{at}].path"), path),
                UserInput::Text { .. } | UserInput::Image { .. } | UserInput::Audio { .. } => {}
            }
        }
    }

    /// Drops a working directory that changes nothing: the one that the thread has, or that a new thread gets without a
    /// name. The terminal client repeats it with each turn, also as the only folder of its workspace.
    fn forget_usual_folder(&mut self, folder_of: impl FnOnce(ThreadId) -> Option<String>) {
        let usual = match self.thread {
            Some(thread) => folder_of(thread),
            None => Some(directory::named(None)),
        };
        let Some(usual) = usual.map(PathBuf::from) else { return };
        let may_repeat = |field: &str| field == "cwd" || field.starts_with("runtimeWorkspaceRoots[");
        self.paths.retain(|named| !may_repeat(&named.field) || named.path != usual);
    }

    /// Whether the request leaves consent as strict as the settings have it. Policy and sandbox of a thread change apart, so a
    /// member that is left out counts as the worst that the thread may have.
    fn consent(
        &self,
        config: &ServerConfig,
        policy_of: impl FnOnce(ThreadId) -> Option<AskForApproval>,
    ) -> Result<(), WireError> {
        let mode = config.sandbox_mode;
        let usual = confines(&views::sandbox(mode));
        let least = Consent { policy: &config.approval_policy, confined: usual };
        if let Some((field, _)) = self.sandboxes.iter().find(|(_, sandbox)| is_looser(sandbox, mode)) {
            return Err(weaker(field));
        }
        let all_confine = self.sandboxes.iter().all(|(_, sandbox)| confines(sandbox));
        let confined = match self.sandboxes.is_empty() {
            true => self.thread.is_none() && usual,
            false => all_confine,
        };
        let is_weaker = |policy: &AskForApproval| Consent { policy, confined }.is_weaker_than(least);
        if let Some((field, _)) = self.policies.iter().find(|(_, policy)| is_weaker(policy)) {
            return Err(weaker(field));
        }
        let (Some((field, _)), Some(thread)) = (self.sandboxes.last(), self.thread) else { return Ok(()) };
        if all_confine || least.is_open() || !self.policies.is_empty() {
            return Ok(());
        }
        // Without a sandbox, a thread that never asks makes every call.
        match policy_of(thread) {
            Some(policy) if policy != AskForApproval::Never => Ok(()),
            Some(_) | None => Err(weaker(field).hint("name approvalPolicy in the same request")),
        }
    }
}

fn weaker(field: &str) -> WireError {
    forbidden(field, format!("{field} is weaker than the server's settings"))
}
