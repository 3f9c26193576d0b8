//! The key of an instance: equal keys share a process.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use skein_protocol::ids::ThreadId;

use crate::containment::environment;
use crate::containment::limits::HelperLimits;
use crate::spec::{HelperSpec, HttpSpec, Isolation, StdioSpec, Transport};
use skein_base::masks::Secrets;

/// The whole identity of an instance. Values that may be secret are kept as a hash only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) name: String,
    pub(crate) scope: Scope,
    /// Of everything else that makes the process what it is.
    hash: [u8; 32],
}

/// Which program a name stands for: equal where a living process is as good as a new one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Program([u8; 32]);

impl Program {
    /// The program of `spec` for a thread that works in `cwd`.
    pub fn of(spec: &HelperSpec, thread: ThreadId, cwd: &Path) -> Self {
        Key::of(spec, thread, cwd).program()
    }
}

impl fmt::Display for Program {
    /// A few bytes tell two of them apart, and reveal nothing of the secrets in a spec.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({self})")
    }
}

/// The threads that share an instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scope {
    Thread(ThreadId),
    /// All threads of this working directory.
    Project(PathBuf),
    Shared,
}

impl Key {
    /// The key of what `spec` describes, for a thread that works in `cwd`.
    pub(crate) fn of(spec: &HelperSpec, thread: ThreadId, cwd: &Path) -> Self {
        let scope = Scope::of(spec.isolation, thread, cwd);
        Self { name: spec.name.clone(), hash: hash(spec, &scope.directory(cwd)), scope }
    }
}

impl Key {
    pub(crate) fn program(&self) -> Program {
        Program(self.hash)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl Scope {
    fn of(isolation: Isolation, thread: ThreadId, cwd: &Path) -> Self {
        match isolation {
            Isolation::Thread => Self::Thread(thread),
            Isolation::Project => Self::Project(plain(cwd)),
            Isolation::Shared => Self::Shared,
        }
    }

    /// The working directory of an instance whose settings name none; `cwd` is the thread's. An instance of all threads works in the
    /// user's home: it must not depend on the first thread.
    pub(crate) fn directory(&self, cwd: &Path) -> PathBuf {
        match self {
            Self::Thread(_) => cwd.to_owned(),
            Self::Project(directory) => directory.clone(),
            Self::Shared => std::env::var_os("HOME").map_or_else(|| "/".into(), PathBuf::from),
        }
    }

    pub(crate) fn isolation(&self) -> Isolation {
        match self {
            Self::Thread(_) => Isolation::Thread,
            Self::Project(_) => Isolation::Project,
            Self::Shared => Isolation::Shared,
        }
    }
}

/// Without dots and a last slash, so that one folder has one name. Reads no disk: links stay as they are.
fn plain(path: &Path) -> PathBuf {
    path.components().collect()
}

/// Everything of a spec that a living process cannot be given later. The rest is policy: each holder of the instance keeps
/// to its own.
fn hash(spec: &HelperSpec, directory: &Path) -> [u8; 32] {
    let HelperSpec {
        name: _,
        transport,
        enabled,
        isolation: _,
        required: _,
        startup_timeout: _,
        tool_timeout: _,
        enabled_tools: _,
        disabled_tools: _,
        linger: _,
        on_unresponsive: _,
        default_tools_approval: _,
        tool_approvals: _,
    } = spec;
    let mut fingerprint = Fingerprint(Sha256::new());
    fingerprint.part(&[u8::from(*enabled)]);
    match transport {
        Transport::Stdio(stdio) => fingerprint.stdio(stdio, directory),
        Transport::Http(http) => fingerprint.http(http),
    }
    fingerprint.0.finalize().into()
}

/// A hash that knows where one part ends and the next begins.
struct Fingerprint(Sha256);

impl Fingerprint {
    fn part(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    fn stdio(&mut self, stdio: &StdioSpec, directory: &Path) {
        let StdioSpec { command, args, env, env_vars, cwd, limits, may_connect, roots } = stdio;
        self.part(b"stdio");
        self.part(command.as_bytes());
        self.count(args.len());
        args.iter().for_each(|arg| self.part(arg.as_bytes()));
        let own = cwd.as_ref().map_or_else(|| directory.to_owned(), |own| directory.join(own));
        self.part(plain(&own).as_os_str().as_bytes());
        for (name, value) in environment::build(std::env::vars_os(), env_vars, &env.0, "") {
            self.part(name.as_bytes());
            self.part(value.as_bytes());
        }
        let HelperLimits { memory, processes, files, nice } = limits;
        for limit in [memory, processes, files].map(|limit| limit.map(|most| most.to_string())) {
            self.part(limit.unwrap_or_default().as_bytes());
        }
        self.part(nice.map(|nice| nice.to_string()).unwrap_or_default().as_bytes());
        // A process keeps the permission of its start: a change of the setting ends it.
        self.part(&[u8::from(*may_connect)]);
        // It asks for them once, and keeps them.
        self.count(roots.len());
        roots.iter().for_each(|root| self.part(root.as_bytes()));
    }

    fn http(&mut self, http: &HttpSpec) {
        self.part(b"http");
        self.part(http.url.as_bytes());
        self.part(http.bearer_token_env_var.as_deref().unwrap_or_default().as_bytes());
        self.part(http.bearer_token_file.as_deref().unwrap_or(Path::new("")).as_os_str().as_bytes());
        let Secrets(headers) = &http.http_headers;
        self.count(headers.len());
        for (name, value) in headers.iter().chain(&http.env_http_headers) {
            self.part(name.as_bytes());
            self.part(value.as_bytes());
        }
    }

    fn count(&mut self, count: usize) {
        self.0.update(u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use skein_base::clock::Clock;

    use super::*;

    fn thread() -> ThreadId {
        ThreadId::new(Clock.new_id())
    }

    fn stdio(spec: HelperSpec, change: impl FnOnce(&mut StdioSpec)) -> HelperSpec {
        let mut spec = spec;
        if let Transport::Stdio(stdio) = &mut spec.transport {
            change(stdio);
        }
        spec
    }

    #[test]
    fn whatever_changes_the_process_changes_the_key_and_policy_does_not() {
        let (id, cwd) = (thread(), Path::new("/p"));
        let base = HelperSpec::new("a", "program");
        let key = |spec: &HelperSpec| Key::of(spec, id, cwd);
        for other in [
            HelperSpec::new("b", "program"),
            HelperSpec::new("a", "other"),
            HelperSpec { enabled: false, ..base.clone() },
            HelperSpec { isolation: Isolation::Shared, ..base.clone() },
            base.clone().with_variable("A", "1"),
            stdio(base.clone(), |stdio| stdio.args = vec!["x".into()]),
            stdio(base.clone(), |stdio| stdio.cwd = Some("sub".into())),
            stdio(base.clone(), |stdio| stdio.limits.memory = Some(1)),
            stdio(base.clone(), |stdio| stdio.limits.nice = Some(0)),
            stdio(base.clone(), |stdio| stdio.may_connect = true),
            stdio(base.clone(), |stdio| stdio.roots = vec!["/srv".into()]),
        ] {
            assert_ne!(key(&base), key(&other), "{other:?}");
        }
        let split = |args: &[&str]| {
            stdio(base.clone(), |stdio| stdio.args = args.iter().map(ToString::to_string).collect())
        };
        assert_ne!(key(&split(&["ab", "c"])), key(&split(&["a", "bc"])));
        let limited =
            |change: fn(&mut HelperLimits)| key(&stdio(base.clone(), |stdio| change(&mut stdio.limits)));
        assert_ne!(limited(|limits| limits.files = Some(1)), limited(|limits| limits.processes = Some(1)));
        let policy = HelperSpec {
            required: true,
            startup_timeout: Duration::from_secs(1),
            tool_timeout: Some(Duration::from_secs(1)),
            enabled_tools: Some(Vec::new()),
            disabled_tools: vec!["x".into()],
            linger: Duration::from_secs(1),
            ..base.clone()
        };
        assert_eq!(key(&base), key(&policy));
        let secret = key(&base.clone().with_variable("TOKEN", "s3cret"));
        assert!(!format!("{secret:?}").contains("s3cret"));
        assert_ne!(secret, key(&base.with_variable("TOKEN", "other")));
    }

    #[test]
    fn the_scope_says_who_shares_an_instance() {
        let [one, other] = [thread(), thread()];
        let spec = |isolation| HelperSpec { isolation, ..HelperSpec::new("a", "program") };
        let same = |isolation, cwds: [&str; 2]| {
            let spec = spec(isolation);
            Key::of(&spec, one, Path::new(cwds[0])) == Key::of(&spec, other, Path::new(cwds[1]))
        };
        assert!(!same(Isolation::Thread, ["/p", "/p"]));
        assert!(same(Isolation::Project, ["/p", "/p/."]) && same(Isolation::Project, ["/p", "/p/"]));
        assert!(!same(Isolation::Project, ["/p", "/p/sub"]));
        assert!(same(Isolation::Shared, ["/p", "/elsewhere"]));
    }
}
