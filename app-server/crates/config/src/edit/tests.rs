//! Changes of files that people have written by hand.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;
use skein_helpers::{HelperLimits, HttpSpec, Secrets, StdioSpec, Transport};

use super::*;

const BY_HAND: &str = r#"# My settings. Ask me before you change them.

# cheap and good
model = "small"   # for now

[unload]
grace = "2s"

# About files.
[mcp_servers.files]
command = "files"  # the one of the distribution
args = [
    "--root",
    "/srv",  # read only
]

[mcp_servers.files.env]
MODE = "slow"

# What follows is about time.

# It needs the network.
[mcp_servers.time]
command = "time"

# The end.
"#;

struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn with(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), text).unwrap();
        Self { dir }
    }

    fn open(&self) -> SettingsFile {
        SettingsFile::open(self.dir.path(), EditMode::Change).unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(self.dir.path().join(FILE)).unwrap()
    }

    fn add(&self, spec: &HelperSpec) {
        let mut file = self.open();
        file.add(spec, Present::Keep).unwrap();
        file.write().unwrap();
    }

    fn remove(&self, name: &str) {
        let mut file = self.open();
        file.remove(name).unwrap();
        file.write().unwrap();
    }

    fn helpers(&self) -> BTreeMap<String, HelperSpec> {
        let mut problems = Problems::default();
        let settings = tree::from_text("config.toml".as_ref(), &self.text(), &mut problems);
        let config = keys::apply(ServerConfig::default(), settings, &mut problems);
        problems.finish().unwrap();
        config.helpers
    }
}

fn full(name: &str) -> HelperSpec {
    let env = BTreeMap::from([("A".to_owned(), "it's \"quoted\"\n".to_owned())]);
    let stdio = StdioSpec {
        command: "run".into(),
        args: vec!["-x".into(), "a b".into()],
        env: Secrets(env),
        env_vars: vec!["TOKEN".into()],
        cwd: Some("/srv".into()),
        limits: HelperLimits { memory: Some(96 << 20), processes: Some(9), files: Some(64), nice: Some(-1) },
        may_connect: true,
        roots: vec!["/srv".into()],
    };
    HelperSpec { enabled: false, ..HelperSpec::reached(name, Transport::Stdio(stdio)) }
}

#[test]
fn a_helper_is_added_behind_the_others_and_nothing_else_changes() {
    let desk = Desk::with(BY_HAND);
    desk.add(&full("new"));
    let added = "\n[mcp_servers.new]\ncommand = \"run\"\n";
    let text = desk.text();
    let at = text.find(added).unwrap();
    let end = text.find("\n# The end.").unwrap();
    assert!(at > text.find("[mcp_servers.time]").unwrap() && at < end, "{text}");
    assert_eq!(format!("{}{}", &text[..at], &text[end..]), BY_HAND);
    assert_eq!(desk.helpers()["new"], full("new"));
}

#[test]
fn a_folder_and_a_path_of_any_name_are_written() {
    let desk = Desk::with("");
    let stdio = StdioSpec { command: "0".into(), cwd: Some("0".into()), ..StdioSpec::default() };
    desk.add(&HelperSpec::reached("a", Transport::Stdio(stdio)));
    let path = std::ffi::OsStr::from_bytes(b"/run/\xff");
    let http = HttpSpec {
        url: "https://one/".to_owned(),
        bearer_token_file: Some(path.into()),
        ..HttpSpec::default()
    };
    desk.add(&HelperSpec::reached("b", Transport::Http(http)));
    let text = desk.text();
    assert!(text.contains("command = \"0\"\ncwd = \"0\""), "{text}");
    assert!(text.contains("bearer_token_file = \"/run/\u{fffd}\""), "{text}");
}

#[test]
fn an_address_is_written_with_its_headers() {
    let http = HttpSpec {
        url: "https://example.org/mcp".into(),
        bearer_token_env_var: Some("TOKEN".into()),
        bearer_token_file: None,
        http_headers: Secrets(BTreeMap::from([("X-A".to_owned(), "b".to_owned())])),
        env_http_headers: BTreeMap::from([("X-B".to_owned(), "C".to_owned())]),
    };
    let spec = HelperSpec::reached("far", Transport::Http(http));
    let desk = Desk::with("");
    desk.add(&spec);
    assert_eq!(desk.helpers()["far"], spec);
}

#[test]
fn a_removed_helper_takes_its_own_comments_along_and_no_others() {
    let desk = Desk::with(BY_HAND);
    desk.remove("time");
    let text = desk.text();
    assert!(!text.contains("[mcp_servers.time]") && !text.contains("needs the network"), "{text}");
    assert!(text.contains("# What follows is about time.\n") && text.ends_with("# The end.\n"), "{text}");
    desk.remove("files");
    let text = desk.text();
    assert!(!text.contains("files") && !text.contains("MODE"), "{text}");
    assert!(text.starts_with("# My settings. Ask me before you change them.\n"), "{text}");
    assert!(text.contains("model = \"small\"   # for now\n") && text.contains("about time"), "{text}");
    // The words at the top of a file stay when its first table goes.
    let desk = Desk::with(
        "# Mine.\n\n# a\n[mcp_servers.a]\ncommand = \"a\"\n\n# b\n[mcp_servers.b]\ncommand = \"b\"\n",
    );
    desk.remove("a");
    assert_eq!(desk.text(), "# Mine.\n\n# b\n[mcp_servers.b]\ncommand = \"b\"\n");
}

#[test]
fn helpers_may_be_written_in_any_way_that_toml_has() {
    for text in [
        "mcp_servers = { a = { command = \"a\" } } # all\n",
        "mcp_servers.a.command = \"a\"\nmodel = \"m\"\n",
        "[mcp_servers]\na = { command = \"a\" }\n\n[unload]\ngrace = \"1s\"\n",
        "[mcp_servers.a]\ncommand = \"a\"\n[unload]\ngrace = \"1s\"\n[mcp_servers.b]\ncommand = \"b\"\n",
        "mcp_servers = {}\n",
        "[unload]\ngrace = \"1s\"",
    ] {
        let desk = Desk::with(text);
        let before = desk.helpers();
        desk.add(&full("new"));
        assert_eq!(desk.helpers()["new"], full("new"), "{}", desk.text());
        assert_eq!(desk.helpers().len(), before.len() + 1);
        desk.remove("new");
        assert_eq!(desk.helpers(), before, "{}", desk.text());
        for name in before.keys() {
            desk.remove(name);
        }
        assert!(desk.helpers().is_empty(), "{}", desk.text());
    }
}

#[test]
fn a_replaced_helper_stands_where_the_old_one_stood() {
    let desk = Desk::with(BY_HAND);
    let mut file = desk.open();
    file.add(&HelperSpec::new("files", "other"), Present::Replace).unwrap();
    file.write().unwrap();
    let text = desk.text();
    assert!(text.contains("# About files.\n[mcp_servers.files]\ncommand = \"other\"\n"), "{text}");
    assert_eq!(desk.helpers()["files"], HelperSpec::new("files", "other"));
    assert!(text.find("mcp_servers.files").unwrap() < text.find("mcp_servers.time").unwrap());
}

#[test]
fn what_cannot_be_done_is_refused_and_changes_nothing() {
    let desk = Desk::with(BY_HAND);
    let mut file = desk.open();
    let refused = file.add(&HelperSpec::new("files", "x"), Present::Keep).unwrap_err();
    assert!(matches!(refused, EditError::Exists { .. }), "{refused}");
    let refused = file.add(&HelperSpec::new("a b", "x"), Present::Keep).unwrap_err();
    assert!(refused.to_string().contains("letters, digits"), "{refused}");
    let refused = file.remove("nobody").unwrap_err();
    assert!(refused.to_string().contains("files, time"), "{refused}");
    file.add(&HelperSpec::new("empty", ""), Present::Keep).unwrap();
    let refused = file.write().unwrap_err();
    assert!(refused.to_string().contains("mcp_servers.empty.command"), "{refused}");
    drop(file);
    assert_eq!(desk.text(), BY_HAND);
    let desk = Desk::with("model = 1\n");
    let broken = SettingsFile::open(desk.dir.path(), EditMode::Look).unwrap_err();
    assert!(broken.to_string().contains("config.toml:1: model"), "{broken}");
}

#[test]
fn a_home_that_is_not_there_is_made_by_a_change_only() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    assert_eq!(SettingsFile::open(&home, EditMode::Look).unwrap().names(), [""; 0]);
    assert!(!home.exists());
    let mut file = SettingsFile::open(&home, EditMode::Change).unwrap();
    file.add(&HelperSpec::new("a", "b"), Present::Keep).unwrap();
    file.write().unwrap();
    assert_eq!(fs::read_to_string(home.join(FILE)).unwrap(), "[mcp_servers.a]\ncommand = \"b\"\n");
}

#[test]
fn whether_a_change_can_be_used_is_asked_with_the_flags_of_the_server() {
    let desk = Desk::with("connections.ping = \"1s\"\n");
    let open = |flag: &str| SettingsFile::open_under(&[flag.to_owned()], desk.dir.path(), EditMode::Change);
    let mut file = open("connections.dead_after=10s").unwrap();
    file.set("connections.ping", &json!("20s"), Merge::Replace).unwrap();
    let refused = file.write().unwrap_err().to_string();
    assert!(refused.contains("-c: connections.dead_after"), "{refused}");
    drop(file);
    assert_eq!(desk.text(), "connections.ping = \"1s\"\n");
    // A key of a helper that only a flag has.
    let mut file = open("mcp_servers.x.command=run").unwrap();
    file.set("mcp_servers.x.enabled", &json!(false), Merge::Replace).unwrap();
    file.write().unwrap();
    drop(file);
    assert!(desk.text().ends_with("[mcp_servers.x]\nenabled = false\n"), "{}", desk.text());
    assert!(open("mcp_servers.x.command=run").is_ok() && open("model=m").is_err());
}

#[test]
fn a_helper_that_is_replaced_keeps_what_the_user_has_decided() {
    let decided = "enabled = false # for now\nenabled_tools = [\"a\"]\ndisabled_tools = [\"b\"]\ntool_timeout_sec = 5\n\
        default_tools_approval_mode = \"prompt\"\nlimits = { files = 64 }\n";
    let tools = "\n[mcp_servers.z.tools.a]\napproval_mode = \"deny\"\n";
    let desk = Desk::with(&format!("[mcp_servers.z]\ncommand = \"old\"\nargs = [\"-x\"]\n{decided}{tools}"));
    let before = desk.helpers()["z"].clone();
    let mut file = desk.open();
    let new = StdioSpec { command: "new".into(), env_vars: vec!["TOKEN".into()], ..StdioSpec::default() };
    let went = file.add(&HelperSpec::reached("z", Transport::Stdio(new)), Present::Replace).unwrap();
    file.write().unwrap();
    assert_eq!(went, [] as [&str; 0]);
    let text = desk.text();
    assert!(
        text.contains("enabled = false # for now") && text.contains(tools) && !text.contains("-x"),
        "{text}"
    );
    let after = desk.helpers()["z"].clone();
    let Transport::Stdio(stdio) = &after.transport else { panic!("{after:?}") };
    assert_eq!((stdio.command.as_str(), stdio.limits.files, stdio.args.len()), ("new", Some(64), 0));
    assert_eq!(HelperSpec { transport: before.transport.clone(), ..after }, before);

    drop(file);
    // Keys that an address cannot have go and are named; a helper that is off in the new settings is off.
    let mut file = desk.open();
    let far = HttpSpec { url: "https://example.org/mcp".into(), ..HttpSpec::default() };
    let far = HelperSpec::reached("z", Transport::Http(far));
    assert_eq!(file.add(&far, Present::Replace).unwrap(), ["limits"]);
    file.write().unwrap();
    drop(file);
    assert_eq!(desk.helpers()["z"].enabled_tools, before.enabled_tools);
    let desk = Desk::with("[mcp_servers.z]\ncommand = \"old\"\nenabled = true\n");
    let mut file = desk.open();
    file.add(&HelperSpec { enabled: false, ..far }, Present::Replace).unwrap();
    file.write().unwrap();
    assert!(!desk.helpers()["z"].enabled);
}

#[test]
fn a_file_that_gets_a_secret_is_closed_to_others() {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let desk = Desk::with("model = \"m\"\n");
    let path = desk.dir.path().join(FILE);
    let real = desk.dir.path().join("dotfile");
    fs::rename(&path, &real).unwrap();
    std::os::unix::fs::symlink(&real, &path).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
    desk.add(&HelperSpec::reached(
        "plain",
        Transport::Stdio(StdioSpec { command: "x".into(), ..StdioSpec::default() }),
    ));
    assert_eq!(mode(&path), 0o644, "it has no secret");
    let mut file = desk.open();
    file.add(&full("secret"), Present::Keep).unwrap();
    file.write().unwrap();
    assert!(file.was_closed() && path.is_symlink());
    drop(file);
    assert_eq!(mode(&real), 0o600);
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    desk.remove("plain");
    assert_eq!(mode(&real), 0o600);
}

#[test]
fn line_ends_and_the_byte_order_sign_of_an_editor_stay() {
    for (mark, end) in [("\u{feff}", "\r\n"), ("", "\r\n"), ("\u{feff}", "\n"), ("", "\n")] {
        let written = |text: &str| format!("{mark}{}", text.replace('\n', end));
        let desk = Desk::with(&written(BY_HAND));
        desk.add(&HelperSpec::reached(
            "new",
            Transport::Stdio(StdioSpec { command: "x".into(), ..StdioSpec::default() }),
        ));
        let text = desk.text();
        assert_eq!(text.matches('\n').count(), text.matches(end).count(), "{text:?}");
        assert!(text.contains(&format!("[mcp_servers.new]{end}")), "{text:?}");
        desk.remove("new");
        assert_eq!(desk.text(), written(BY_HAND));
    }
    // With mixed ends the more frequent one wins.
    let desk = Desk::with("# a\r\n# b\r\nmodel = \"m\"\n");
    desk.add(&HelperSpec::reached(
        "new",
        Transport::Stdio(StdioSpec { command: "x".into(), ..StdioSpec::default() }),
    ));
    assert!(desk.text().starts_with("# a\r\n# b\r\nmodel = \"m\"\r\n"), "{:?}", desk.text());
}

#[test]
fn a_home_that_another_process_keeps_locked_is_refused() {
    let desk = Desk::with(BY_HAND);
    let other = desk.open();
    let open = |patience| SettingsFile::open_within(patience, &[], desk.dir.path(), EditMode::Change);
    let refused = open(Duration::from_millis(1)).unwrap_err();
    assert!(matches!(refused, EditError::Busy { .. }), "{refused}");
    assert!(refused.to_string().contains("another process has locked"), "{refused}");
    drop(other);
    open(Duration::from_millis(1)).unwrap();
}
