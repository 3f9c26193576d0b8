//! `[store]`: a database for the threads, in the place of files in the home.

use std::fmt;
use std::path::PathBuf;
use std::{env, fs, io};

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use skein_store::home::Variable;
use zeroize::Zeroizing;

use super::kinds;
use super::section::Section;
use super::{ConfigError, Place};

/// The variable with the address of the database, and perhaps its password.
pub const STORE_VARIABLE: &str = "SKEIN_STORE";

const FLAG: &str = "--store";
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
const REMEDY: &str = "write an address such as \"postgres://skein@127.0.0.1/skein\", or \"postgres:///skein?host=/run/postgresql\" for a socket";
const SECRETS: &str = "name the password's file in store.password_file, its variable in store.password_env, or give the address in $SKEIN_STORE";

/// Where the threads are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StoreRules {
    /// The PostgreSQL database with the threads, without a password. Without it, threads are files in the home.
    #[schemars(with = "Option<String>", example = "postgres://skein@127.0.0.1/skein")]
    pub url: Option<StoreUrl>,
    /// The variable of the environment with the password of the database.
    #[schemars(example = &"SKEIN_STORE_PASSWORD")]
    pub password_env: Option<String>,
    /// A file with the password of the database.
    #[serde(deserialize_with = "file")]
    #[schemars(example = "/etc/skein/store-password")]
    pub password_file: Option<PathBuf>,
}

/// The address of a database: a URI of PostgreSQL (libpq), which `Display` shows without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    shown: String,
    password: Option<Zeroizing<String>>,
}

/// Why the password of a database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StorePasswordError {
    /// The variable is not set, or is no text.
    #[error("store.password_env: the environment has no text in ${0}; set it, or use store.password_file")]
    Variable(String),
    /// The file cannot be read.
    #[error("store.password_file: {}: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

impl StoreUrl {
    /// Reads an address. `None` if it is none of PostgreSQL.
    fn parse(text: &str) -> Option<Self> {
        let scheme = SCHEMES.into_iter().find(|scheme| text.starts_with(scheme))?;
        let rest = text.get(scheme.len()..)?;
        // The driver reads everything before the first @ as the user and the password.
        let is_ambiguous =
            rest.split_once('@').is_some_and(|(user, host)| user.contains(['/', '?']) || host.contains('@'));
        if is_ambiguous {
            return None;
        }
        let (authority, behind) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let parameters = behind.split_once('?').map_or("", |(_, parameters)| parameters);
        let mut names = parameters.split('&').filter_map(|parameter| parameter.split('=').next());
        // `password`, and libpq's `sslpassword`: what stands there would be shown.
        let has_secret = names.any(|name| name.ends_with("password"));
        if text.contains(char::is_whitespace) || has_secret {
            return None;
        }
        let (user, password, host) = match authority.split_once('@') {
            Some((user, host)) => match user.split_once(':') {
                Some((user, password)) => (Some(user), Some(Zeroizing::new(password.to_owned())), host),
                None => (Some(user), None, host),
            },
            None => (None, None, authority),
        };
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        Some(Self { shown: format!("{scheme}{user}{host}{behind}"), password })
    }

    /// The address with its password, percent-encoded as it was written, for the one who connects.
    pub fn expose(&self) -> Zeroizing<String> {
        let Some(password) = &self.password else { return Zeroizing::new(self.shown.clone()) };
        let at = self.shown.find('@').unwrap_or(self.shown.len());
        let (user, host) = self.shown.split_at(at);
        Zeroizing::new(format!("{user}:{}{host}", password.as_str()))
    }
}

/// Without its password.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.shown)
    }
}

/// As settings have it: a password there would be read by everybody who reads them.
impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = String::deserialize(from).ok().and_then(|text| Self::parse(&text));
        let read = read.ok_or_else(|| D::Error::custom(REMEDY))?;
        if read.password.is_some() { Err(D::Error::custom(SECRETS)) } else { Ok(read) }
    }
}

fn file<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
    kinds::file(from, "/etc/skein/store-password")
}

impl StoreRules {
    /// The password of the database, if the settings name a place for it.
    ///
    /// # Errors
    /// The named place has none.
    pub fn password(&self) -> Result<Option<Zeroizing<String>>, StorePasswordError> {
        if let Some(name) = &self.password_env {
            let text = env::var(name).map_err(|_| StorePasswordError::Variable(name.clone()))?;
            return Ok(Some(Zeroizing::new(text)));
        }
        let Some(file) = &self.password_file else { return Ok(None) };
        let wrong = |error| StorePasswordError::File { file: file.clone(), error };
        let text = Zeroizing::new(fs::read_to_string(file).map_err(wrong)?);
        Ok(Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())))
    }

    /// Refuses two places for one password. One without a database is no fault: `--store` or `$SKEIN_STORE` may name it.
    pub(super) fn check(&self, root: &mut Section<'_>) {
        if self.password_env.is_some() && self.password_file.is_some() {
            root.wrong(
                &["store", "password_file"],
                "store.password_env names a password, too",
                "write one of them",
            );
        }
    }
}

/// The address of this start: that of the command line, else that of the environment.
pub(super) fn of_start(flag: Option<&str>, variable: Variable<'_>) -> Result<Option<StoreUrl>, ConfigError> {
    let in_variable = || variable(STORE_VARIABLE).map(|text| text.to_string_lossy().into_owned());
    let (place, text) = match (flag, in_variable()) {
        (Some(text), _) => (FLAG.to_owned(), text.to_owned()),
        (None, Some(text)) if !text.is_empty() => (format!("${STORE_VARIABLE}"), text),
        (None, Some(_) | None) => return Ok(None),
    };
    let wrong = |what, remedy| Err(ConfigError::new(Place::Flag(place.clone()), "", what, remedy));
    match StoreUrl::parse(&text) {
        None => wrong("this is no address of a PostgreSQL database", REMEDY),
        Some(url) if url.password.is_some() && flag.is_some() => {
            wrong("every user of this machine can read a password there", SECRETS)
        }
        Some(url) => Ok(Some(url)),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::tests::with_settings as load;
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_password() {
        let url = |text: &str| StoreUrl::parse(text).unwrap();
        let with = url("postgres://skein:a%40b@db:5432/skein?sslmode=disable");
        assert_eq!(with.to_string(), "postgres://skein@db:5432/skein?sslmode=disable");
        assert!(!format!("{with:?}").contains("a%40b"));
        assert_eq!(*with.expose(), "postgres://skein:a%40b@db:5432/skein?sslmode=disable");
        for same in
            ["postgres://", "postgresql:///skein?host=/run/postgresql", "postgres://skein@[::1]/skein"]
        {
            assert_eq!((url(same).to_string().as_str(), url(same).expose().as_str()), (same, same));
        }
        for bad in [
            "",
            "skein",
            "mysql://h/d",
            "postgres://h/a b",
            "postgres://h/d?password=x",
            "postgres://h/d?a=b&sslpassword=x",
            "postgres:/h",
            "postgres://u:a/b@h/d",
            "postgres://u:a?b@h/d",
            "postgres://u:a@b@h/d",
            "postgres://h/d?application_name=a@b",
        ] {
            assert!(StoreUrl::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_takes_no_password() {
        let start = |flag, variable: Option<&'static str>| {
            of_start(flag, &|name| variable.filter(|_| name == STORE_VARIABLE).map(OsString::from))
                .map(|url| url.map(|url| url.expose().to_string()))
                .map_err(|error| error.to_string())
        };
        assert_eq!(start(None, None), Ok(None));
        assert_eq!(start(None, Some("")), Ok(None));
        assert_eq!(
            start(Some("postgres://a/d"), Some("postgres://b/d")),
            Ok(Some("postgres://a/d".to_owned()))
        );
        assert_eq!(start(None, Some("postgres://u:p@b/d")), Ok(Some("postgres://u:p@b/d".to_owned())));
        assert!(start(Some("postgres://u:p@a/d"), None).unwrap_err().contains("$SKEIN_STORE"));
        assert!(start(Some("sqlite://a"), None).unwrap_err().contains("--store"));
        assert!(start(None, Some("nothing")).unwrap_err().contains("$SKEIN_STORE"));
    }

    #[test]
    fn a_password_has_one_place() {
        let url = "store.url=\"postgres://skein@db/skein\"";
        let (variable, file) = ("store.password_env=\"V\"", "store.password_file=\"/p\"");
        for good in
            [&[][..], &[url][..], &[url, variable][..], &[url, file][..], &[variable][..], &[file][..]]
        {
            assert_eq!(load(good).map(drop), Ok(()), "{good:?}");
        }
        for (bad, remedy) in [
            (&[url, variable, file][..], "write one of them"),
            (&["store.url=\"db\""][..], "write an address such as"),
            (&["store.url=\"postgres://u:p@db/d\""][..], "store.password_file"),
            (&[url, "store.password_file=\"p\""][..], "write the absolute path"),
        ] {
            let error = load(bad).unwrap_err();
            assert!(error.contains(remedy), "{bad:?}: {error}");
        }
    }

    #[test]
    fn a_password_comes_from_its_file_without_the_end_of_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        fs::write(&file, "a b\n").unwrap();
        let rules = StoreRules { password_file: Some(file), ..StoreRules::default() };
        assert_eq!(rules.password().unwrap().unwrap().as_str(), "a b");
        let rules = StoreRules { password_file: Some(dir.path().join("none")), ..StoreRules::default() };
        assert!(rules.password().unwrap_err().to_string().contains("store.password_file"));
        let rules =
            StoreRules { password_env: Some("SKEIN_TEST_IS_NOT_SET".to_owned()), ..StoreRules::default() };
        assert!(rules.password().unwrap_err().to_string().contains("$SKEIN_TEST_IS_NOT_SET"));
    }
}
