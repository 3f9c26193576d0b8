//! Whether a helper can be started at all, by its settings. For code that writes settings: code that reads them learns the same
//! at the start of the helper.

use crate::mcp::Web;
use crate::spec::{HelperSpec, StdioSpec, Transport};

impl HelperSpec {
    /// Looks for settings that no start of this helper could use.
    ///
    /// # Errors
    /// Why it cannot be started, without its secrets.
    pub fn check(&self) -> Result<(), String> {
        match &self.transport {
            Transport::Stdio(stdio) => check(stdio),
            Transport::Http(http) => Web::check(http),
        }
    }
}

fn check(stdio: &StdioSpec) -> Result<(), String> {
    // The settings check the names in `env_vars`.
    let StdioSpec { command, args, env, env_vars: _, cwd, limits: _, may_connect: _, roots } = stdio;
    if command.is_empty() {
        return Err("its command is empty".to_owned());
    }
    let is_name = |name: &&String| name.is_empty() || name.contains(['=', '\0']);
    if let Some(name) = env.0.keys().find(is_name) {
        return Err(format!("{name:?} cannot be the name of a variable"));
    }
    let cwd = cwd.as_ref().map(|cwd| cwd.to_string_lossy()).unwrap_or_default();
    let texts = [("command", command.as_str()), ("cwd", &cwd)].into_iter();
    let texts = texts.chain(args.iter().map(|arg| ("args", arg.as_str())));
    let texts = texts.chain(roots.iter().map(|root| ("roots", root.as_str())));
    let mut texts = texts.chain(env.0.values().map(|value| ("env", value.as_str())));
    if let Some((key, _)) = texts.find(|(_, text)| text.contains('\0')) {
        return Err(format!("its {key} has a NUL, which no program can be given"));
    }
    if let Some(root) = roots.iter().find(|root| !root.starts_with('/')) {
        return Err(format!("its root {root:?} does not begin with /: write the folder in full"));
    }
    if cwd == "~" || cwd.starts_with("~/") {
        return Err("its cwd begins with ~, which only a shell knows: write the folder in full".to_owned());
    }
    Ok(())
}
