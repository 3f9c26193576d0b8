//! The systemd user unit of a home: its name, its file and its text. One template, `skein.service`, has the text.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use skein_base::home_tag::HomeTag;
use skein_store::home::default_home;
use skein_store::home::durable::replace;

use super::super::out::{one_line, path};

const TEMPLATE: &str = include_str!("skein.service");
/// The first line of a unit that this program wrote.
const FIRST_LINE: &str = "# Written by skein service install; the next install replaces it.\n";

/// The unit of a home.
pub(super) struct Unit {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) text: String,
}

/// The file in the place of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UnitOnDisk {
    Nothing,
    /// With exactly the text of this unit.
    Same,
    /// Written by an earlier install.
    Older,
    /// Written by somebody else.
    Foreign,
}

impl Unit {
    /// # Errors
    /// A path cannot stand in a unit, or the user has no folder.
    pub(super) fn of(
        home: &Path,
        listen: Option<&str>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> anyhow::Result<Self> {
        let name = name(home, &variable);
        let set = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|user| user.join(".config")));
        let config = config.context("neither XDG_CONFIG_HOME nor HOME names a folder for the unit")?;
        let program = std::env::current_exe().context("the path of this program")?;
        let listen = match listen {
            Some(address) => format!(" --listen \"{}\"", quoted(plain(address)?)),
            None => String::new(),
        };
        let (program, home) = (plain(&path(&program))?.to_owned(), plain(&path(home))?.to_owned());
        let text = TEMPLATE
            .replace("@PROGRAM@", &quoted(&program))
            .replace("\"@HOME@\"", &format!("\"{}\"", quoted(&home)))
            .replace("@HOME@", &unspecified(&home))
            .replace("@FILE_HOME@", &unspecified(&home))
            .replace("@LISTEN@", &listen);
        Ok(Self { file: config.join("systemd/user").join(&name), name, text: format!("{FIRST_LINE}{text}") })
    }

    /// Looks at the file in its place.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn found(&self) -> anyhow::Result<UnitOnDisk> {
        match fs::read(&self.file) {
            Ok(text) if text == self.text.as_bytes() => Ok(UnitOnDisk::Same),
            Ok(text) if text.starts_with(FIRST_LINE.as_bytes()) => Ok(UnitOnDisk::Older),
            Ok(_) => Ok(UnitOnDisk::Foreign),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(UnitOnDisk::Nothing),
            Err(error) => Err(error).with_context(|| path(&self.file)),
        }
    }

    /// Refuses a unit of somebody else.
    ///
    /// # Errors
    /// It is one, or cannot be read.
    pub(super) fn own(&self) -> anyhow::Result<UnitOnDisk> {
        match self.found()? {
            UnitOnDisk::Foreign => bail!(
                "{} is there and was not written by skein service install; move it away, or change it yourself",
                self.file.display()
            ),
            found @ (UnitOnDisk::Nothing | UnitOnDisk::Same | UnitOnDisk::Older) => Ok(found),
        }
    }

    pub(super) fn write(&self) -> anyhow::Result<()> {
        let folder = self.file.parent().context("the folder of the unit")?;
        fs::create_dir_all(folder).with_context(|| path(folder))?;
        replace(&self.file, self.text.as_bytes()).with_context(|| path(&self.file))
    }
}

/// `skein.service` for the default home; else a name that only this home has.
fn name(home: &Path, variable: &impl Fn(&str) -> Option<OsString>) -> String {
    // A shell with another SKEIN_HOME does not change whose name is the short one.
    let usual = default_home(&|name| if name == "SKEIN_HOME" { None } else { variable(name) });
    if usual.is_ok_and(|usual| usual == home) {
        return "skein.service".to_owned();
    }
    let last = home.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let last: String = last.chars().filter(|c| c.is_ascii_alphanumeric()).take(32).collect();
    let tag = HomeTag::of(&[home.as_os_str().as_encoded_bytes()]).to_string();
    format!("skein-{last}-{}.service", tag.get(8..).unwrap_or(&tag))
}

/// A text that a line of a unit can hold.
fn plain(text: &str) -> anyhow::Result<&str> {
    if one_line(text) != text || text.contains(['\t', '\u{fffd}']) {
        bail!("{text} has characters that no unit can hold; use another path");
    }
    Ok(text)
}

/// A `%` begins a specifier of systemd.
fn unspecified(text: &str) -> String {
    text.replace('%', "%%")
}

/// A word between quotation marks of a command line of systemd.
fn quoted(text: &str) -> String {
    unspecified(text).replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(home: &str, listen: Option<&str>) -> anyhow::Result<Unit> {
        Unit::of(Path::new(home), listen, |name| match name {
            "HOME" => Some("/home/me".into()),
            "SKEIN_HOME" => Some("/elsewhere".into()),
            _ => None,
        })
    }

    #[test]
    fn each_home_has_a_unit_of_its_own() {
        let usual = unit("/home/me/.local/share/skein", None).unwrap();
        assert_eq!(usual.file, Path::new("/home/me/.config/systemd/user/skein.service"));
        let (one, other) = (unit("/a/x", None).unwrap(), unit("/b/x", None).unwrap());
        assert!(one.name.starts_with("skein-x-") && one.name != other.name, "{} {}", one.name, other.name);
    }

    #[test]
    fn nothing_of_a_path_means_something_to_systemd() {
        let unit = unit("/a b/%h/$x\"y\\z", Some("ws://127.0.0.1:0")).unwrap();
        let line = unit.text.lines().find(|line| line.starts_with("ExecStart=")).unwrap();
        let end = r#"serve --home "/a b/%%h/$$x\"y\\z" --listen "ws://127.0.0.1:0""#;
        assert!(line.ends_with(end), "{line}");
        assert!(unit.text.contains("EnvironmentFile=-/a b/%%h/$x\"y\\z/service.env\n"), "{}", unit.text);
        assert!(!unit.text.contains('@'), "{}", unit.text);
        assert!(self::unit("/a\nExecStart=/bin/sh", None).is_err());
    }
}
