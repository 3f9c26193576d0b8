//! The variables of the server's environment that a helper and its guard get.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::containment::tag::VARIABLE;

/// Names that are passed on. Everything else (tokens, sockets of agents, settings of the server) stays out.
const ALLOWED: &[&str] = &["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];
/// Beginnings of names that are passed on.
const ALLOWED_BEGINNINGS: &[&str] = &["LC_"];
/// Names that a guard gets: the folders of its program's libraries.
const OF_GUARDS: &[&str] = &["LD_LIBRARY_PATH"];

/// The environment of a helper: of `inherited` what is allowed or `named`, then `configured`, which wins, then the tag.
pub(crate) fn build(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    named: &[String],
    configured: &BTreeMap<String, String>,
    tag: &str,
) -> BTreeMap<OsString, OsString> {
    inherited
        .filter(|(name, _)| {
            name.to_str().is_some_and(is_allowed) || named.iter().any(|named| name == named.as_str())
        })
        .chain(configured.iter().map(|(name, value)| (name.into(), value.into())))
        .chain([(VARIABLE.into(), tag.into())])
        .collect()
}

/// The environment of a guard: the variables of `inherited` that its program needs, and the tag of its helper.
pub(crate) fn of_guard(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    tag: &str,
) -> BTreeMap<OsString, OsString> {
    inherited
        .filter(|(name, _)| name.to_str().is_some_and(|name| OF_GUARDS.contains(&name)))
        .chain([(VARIABLE.into(), tag.into())])
        .collect()
}

/// Whether every helper gets the variable of this name.
pub(crate) fn is_allowed(name: &str) -> bool {
    ALLOWED.contains(&name) || ALLOWED_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_allowed_and_the_configured_get_in_and_the_configured_win() {
        let pair = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let inherited =
            [("PATH", "/bin"), ("LC_ALL", "C"), ("API_KEY", "secret"), ("PATHX", "1"), ("TZ", "UTC")];
        let configured =
            BTreeMap::from([("TZ".to_owned(), "CET".to_owned()), ("TOKEN".into(), "mine".into())]);
        let all = || inherited.iter().map(|(name, value)| pair(name, value));
        let wanted = [("LC_ALL", "C"), ("PATH", "/bin"), (VARIABLE, "m"), ("TOKEN", "mine"), ("TZ", "CET")]
            .map(|(n, v)| pair(n, v));
        let mut wanted = BTreeMap::from(wanted);
        assert_eq!(build(all(), &[], &configured, "m"), wanted);
        let named = ["PATHX", "TZ", "TOKEN", "NOWHERE"].map(ToOwned::to_owned);
        wanted.extend([pair("PATHX", "1")]);
        assert_eq!(build(all(), &named, &configured, "m"), wanted);
        let libraries = pair("LD_LIBRARY_PATH", "/lib");
        let guard = of_guard(all().chain([libraries.clone()]), "m");
        assert_eq!(guard, BTreeMap::from([libraries, pair(VARIABLE, "m")]));
    }
}
