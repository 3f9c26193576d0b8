//! The places of a home's settings that hold secrets: values, and names of variables. A program that prints texts of others
//! masks these values.

use std::path::Path;

use serde_json::Value;
use skein_base::masks::{is_secret_name, shown_args, shown_url};

use super::problem::Problems;
use super::secrets::{Keys, Secrecy, inner};
use super::{FILE, tree};

/// The least length of a value that nobody reads and that may be a secret, bytes.
const UNREAD: usize = 8;

/// The secrets that a settings file names.
#[derive(Default)]
pub struct SecretSources {
    /// Secret values in the file.
    pub values: Vec<String>,
    /// Names of variables of the server's environment that hold secrets.
    pub variables: Vec<String>,
}

impl SecretSources {
    /// Reads the file of a home. Parts that cannot be used count, too; an unreadable file has no secrets.
    pub fn of(home: &Path) -> Self {
        let file = home.join(FILE);
        let mut found = Self::default();
        if let Ok(text) = tree::read(&file) {
            let table = tree::from_text(&file, &text, &mut Problems::default());
            found.visit(&[], &Value::Object(tree::plain_table(&table)));
        }
        found
    }

    fn visit(&mut self, path: &[&str], value: &Value) {
        if let ["profiles", _, rest @ ..] = path
            && !rest.is_empty()
        {
            return self.visit(rest, value);
        }
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(key, value)| self.visit(&inner(path, key, Keys::Plain), value));
            }
            Value::Array(values) if Secrecy::of(path) == Secrecy::Args => self.args(values),
            Value::Array(values) => values.iter().for_each(|value| self.visit(path, value)),
            Value::String(text) => self.text(path, text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&mut self, path: &[&str], text: &str) {
        let key = path.last().copied().unwrap_or_default();
        if ["env_key", "env_vars", "bearer_token_env_var"].contains(&key) {
            return self.variables.push(text.to_owned());
        }
        match Secrecy::of(path) {
            Secrecy::Open => {}
            Secrecy::Secret => self.secret(text),
            Secrecy::Address | Secrecy::Args => self.address(text),
            Secrecy::Unread => {
                let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
                let is_word = text.len() >= UNREAD && !text.contains([' ', '/']);
                if is_secret_name(key) || is_word && has_digit {
                    self.secret(text);
                }
            }
        }
    }

    /// A value, and the credential behind its scheme.
    fn secret(&mut self, text: &str) {
        self.values.push(text.to_owned());
        self.values.extend(text.split_once(' ').map(|(_, credential)| credential.to_owned()));
    }

    fn args(&mut self, args: &[Value]) {
        let args: Vec<&str> = args.iter().filter_map(Value::as_str).collect();
        for (arg, shown) in args.iter().zip(shown_args(args.iter().copied())) {
            if *arg != shown && arg.contains("://") {
                self.address(arg);
            } else if *arg != shown {
                let value = arg.split_once(['=', ':']).map_or(*arg, |(_, value)| value);
                self.secret(value.trim());
            }
        }
    }

    /// The user and the query of an address.
    fn address(&mut self, url: &str) {
        if shown_url(url) == url {
            return;
        }
        let (_, rest) = url.split_once("://").unwrap_or(("", url));
        if let Some((user, _)) = rest.rsplit_once('@') {
            self.values.extend(user.split(':').map(str::to_owned));
            self.values.push(user.to_owned());
        }
        let query = rest.find(['?', '#']).map_or("", |at| &rest[at + 1..]);
        for part in query.split(['&', '#']) {
            self.values.push(part.split_once('=').map_or(part, |(_, value)| value).to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_a_secret_is_found_even_in_a_file_that_cannot_be_used() {
        let home = tempfile::tempdir().unwrap();
        let text = r#"
            model = 1
            unheard_key = "unread-secret"
            [mcp_servers.a]
            command = "node"
            args = ["--token", "arg-secret", "--db=postgres://me:url-secret@host/x", "plain"]
            env = { TOKEN = "env-secret" }
            env_vars = ["NAMED"]
            [mcp_servers.b]
            url = "https://example.org/mcp?k=query-secret"
            http_headers = { Authorization = "Bearer header-secret" }
            [profiles.p.mcp_servers.c.env]
            X = "profile-secret"
            [model_providers.m]
            base_url = "https://me:base-secret@example.org"
            env_key = "MY_KEY"
            [model_providers.m.query_params]
            api = "param-secret"
            [broken
        "#;
        std::fs::write(home.path().join(FILE), text).unwrap();
        let found = SecretSources::of(home.path());
        for secret in ["unread", "arg", "url", "env", "query", "header", "profile", "base", "param"] {
            let secret = format!("{secret}-secret");
            assert!(found.values.contains(&secret), "{secret}: {:?}", found.values);
        }
        assert_eq!(found.variables, ["NAMED", "MY_KEY"]);
        assert!(!found.values.iter().any(|value| value == "plain" || value == "node"), "{:?}", found.values);
    }
}
