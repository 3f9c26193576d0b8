//! Settings as users write them, and the errors and warnings that they get.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use skein_helpers::{
    ApprovalMode, Containment, HelperLimits, HelperSpec, Isolation, OnUnresponsive, Secrets, StdioSpec,
    Transport,
};
use skein_protocol::settings::{AskForApproval, GranularApproval};

use super::{
    ConfigErrors, Durability, Flags, GuardProgram, Heartbeat, RunningOrphans, ServerConfig, SharedConfig,
    helpers_from_thread_config, home,
};

mod browser;
mod documents;
mod helpers;
mod long;
mod risks;
mod schema;

/// Loads a home whose file holds `toml`.
fn load(toml: &str, settings: &[&str]) -> (PathBuf, Result<ServerConfig, ConfigErrors>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), toml).unwrap();
    let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
    let flags = Flags { home: Some(folder.path().to_owned()), settings, ..Flags::default() };
    (folder.path().join("config.toml"), ServerConfig::load(&flags))
}

/// The settings of this command line, over no file.
pub(super) fn with_settings(settings: &[&str]) -> Result<ServerConfig, String> {
    let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
    let flags = Flags { home: Some("/h".into()), settings, ..Flags::default() };
    ServerConfig::load(&flags).map_err(|errors| errors.to_string())
}

/// The messages of a file that cannot be used, without the file's path.
fn errors(toml: &str) -> Vec<String> {
    let (file, config) = load(toml, &[]);
    let all = config.expect_err("the file should be refused").to_string();
    all.lines().map(|line| line.replace(&file.display().to_string(), "FILE")).collect()
}

#[test]
fn a_home_without_a_file_has_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let flags = Flags { home: Some(folder.path().to_owned()), ..Flags::default() };
    let config = ServerConfig { origin: None, ..ServerConfig::load(&flags).unwrap() };
    assert_eq!(config, ServerConfig::new(folder.path().to_owned()));
    assert_eq!(config.listen[0].to_string(), "ws://127.0.0.1:4500");
    assert_eq!(config.guard, GuardProgram::ThisProgram);
}

#[test]
fn what_each_place_says_is_kept_without_secrets() {
    let toml = "model = \"m\"\nkey = \"s3cret\"\n[mcp_servers.a]\ncommand = \"x\"\nenv.TOKEN = \"s3cret\"";
    let (_, config) = load(toml, &["model=n", "limits.mailbox=9", "mcp_servers.a.env.OTHER=s3cret"]);
    let config = config.unwrap();
    let said: Vec<(bool, Vec<String>)> = config
        .layers
        .iter()
        .map(|layer| (layer.source == super::LayerSource::Flags, layer.keys.clone()))
        .collect();
    let owned = |keys: &[&str]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    let in_file = owned(&["mcp_servers.a.command", "mcp_servers.a.env.TOKEN", "model"]);
    let in_flags = owned(&["limits.mailbox", "mcp_servers.a.env.OTHER", "model"]);
    assert_eq!(said, [(false, in_file), (true, in_flags)]);
    assert_ne!(config.layers[0].version, config.layers[1].version);
    let shown = format!("{:?} {:?}", config.layers, super::shown::in_force(&config));
    assert!(!shown.contains("s3cret") && shown.contains("***"), "{shown}");
}

#[test]
fn the_version_of_a_file_changes_with_whatever_is_in_it() {
    let version = |text: &str| load(text, &[]).1.unwrap().layers[0].version.clone();
    let text = "key = \"s3cret\"\n[mcp_servers.a]\ncommand = \"x\"\nenv.TOKEN = \"s3cret\"\n";
    let other = [
        text.replacen("s3cret", "other", 1),
        text.replace("TOKEN = \"s3cret\"", "TOKEN = \"other\""),
        format!("# new\n{text}"),
    ];
    assert_eq!(version(text), version(text));
    for other in other {
        assert_ne!(version(text), version(&other), "{other}");
    }
    assert!(!version("# nothing but words\n").is_empty());
}

#[test]
fn a_provider_that_is_not_there_is_an_error_that_names_those_that_are() {
    let own = "[model_providers.mine]\nbase_url = \"http://a/v1\"\n";
    for name in ["echo", "scripted", "openai", "mine"] {
        load(&format!("model_provider = \"{name}\"\n{own}"), &[]).1.unwrap();
    }
    let found = errors(&format!("model = \"m\"\nmodel_provider = \"open-ai\"\n{own}"));
    let wanted = "FILE:2: model_provider: \"open-ai\" is no provider; write one of \"echo\", \"scripted\", \"anthropic\", ";
    assert!(found.len() == 1 && found[0].starts_with(wanted) && found[0].contains("\"mine\""), "{found:?}");
    let flag = load(own, &["model_provider=nobody"]).1.unwrap_err().to_string();
    assert!(flag.starts_with("-c: model_provider: \"nobody\""), "{flag}");
}

#[test]
fn every_key_sets_what_it_names() {
    let toml = r#"
        model = "m"
        model_provider = "openai"
        durability = "event"
        [unload]
        grace = "2s"
        unmaterialised_grace = "500ms"
        [orphans]
        running = "interrupt"
        running_limit = "2h"
        pending_grace = "1h"
        [helpers]
        containment = "guard"
        stop_grace = "30min"
        liveness = "2s"
        [shutdown]
        drain = "1s"
        limit = "3 s"
    "#;
    let config = load(toml, &[]).1.unwrap();
    assert_eq!((config.model.as_str(), config.model_provider.as_str()), ("m", "openai"));
    assert_eq!((config.durability, config.helper_rules.containment), (Durability::Event, Containment::Guard));
    let waits = [config.unload.grace, config.unload.unmaterialised_grace, config.orphans.pending_grace];
    assert_eq!(waits, [Duration::from_secs(2), Duration::from_millis(500), Duration::from_hours(1)]);
    assert_eq!(config.orphans.running, RunningOrphans::Interrupt);
    assert_eq!(config.orphans.running_limit, Some(Duration::from_hours(2)));
    assert_eq!(config.helper_rules.stop_grace, Duration::from_mins(30));
    assert_eq!(config.helper_rules.liveness, Duration::from_secs(2));
    assert_eq!(
        (config.shutdown.drain, config.shutdown.limit),
        (Duration::from_secs(1), Duration::from_secs(3))
    );
    assert_eq!(config.warnings, []);
}

#[test]
fn every_limit_sets_what_it_names() {
    let toml = r#"
        [limits]
        message_bytes = 0x10_0000
        answer_bytes = 1_000_000
        outbox_bytes = 100000
        requests_in_flight = 3
        mailbox = 4
        loaded_threads = 5
        memory = "2 GiB"
    "#;
    let config = load(toml, &[]).1.unwrap();
    let limits = config.limits;
    assert_eq!(
        (limits.message_bytes, limits.answer_bytes, limits.outbox_bytes),
        (1_048_576, 1_000_000, 100_000)
    );
    assert_eq!((limits.requests_in_flight, limits.mailbox), (3, 4));
    assert_eq!((limits.loaded_threads, limits.memory), (Some(5), Some(2 << 30)));
    assert_eq!(config.warnings, []);
}

#[test]
fn the_search_for_dead_connections_has_its_times_and_none_is_nothing() {
    let times = "[connections]\nping = \"10s\"\ndead_after = \"25s\"\nheartbeat = \"5s\"\n";
    let Heartbeat { ping, dead_after, heartbeat } = load(times, &[]).1.unwrap().heartbeat;
    assert_eq!([ping, dead_after, heartbeat], [10, 25, 5].map(Duration::from_secs));
    let Heartbeat { dead_after, .. } = load("connections.ping = \"1min\"", &[]).1.unwrap().heartbeat;
    assert_eq!(dead_after, Duration::from_mins(3), "whoever is asked later is given up later");
    let found = errors("[connections]\nping = \"0s\"\ndead_after = \"20s\"\n");
    assert!(found[0].starts_with("FILE:2: connections.ping: \"0s\" cannot be used"), "{found:?}");
    let short = "FILE:3: connections.dead_after: \"20s\" cannot be used; write a time above 20s";
    assert!(found[1].starts_with(short), "{found:?}");
}

const LIMITS: HelperLimits =
    HelperLimits { memory: Some(64 << 20), processes: Some(50), files: Some(256), nice: Some(-5) };

/// A helper with all of its keys.
const FILES: &str = r#"
    [mcp_servers.files]
    command = "files-server"
    args = ["--root", "/"]
    env = { A = "1" }
    cwd = "sub"
    enabled = false
    required = true
    isolation = "shared"
    linger = "10min"
    startup_timeout_sec = 2.5
    tool_timeout_sec = 60
    on_unresponsive = "restart"
    env_vars = ["TOKEN", { name = "KEY", source = "local" }]
    enabled_tools = ["read"]
    disabled_tools = ["write"]
    default_tools_approval_mode = "writes"
    tools = { "read.all" = { approval_mode = "approve" }, remove = { approval_mode = "deny" } }
    limits = { memory = "64MiB", processes = 50, files = 256, nice = -5 }
    may_connect = true
    roots = ["/srv"]
"#;

#[test]
fn all_errors_come_at_once_with_line_key_and_remedy() {
    let toml = "model = 3\n\n[unload]\ngrace = \"5 parsecs\"\n[helpers]\ncontainment = \"jail\"\n\
                [limits]\nmailbox = 0\n[mcp_servers.a]\nargs = []\n[mcp_servers.\"b c\"]\ncommand = \"x\"\n";
    let found = errors(toml);
    let starts = [
        "FILE:1: model: 3 cannot be used; write a text in quotes",
        "FILE:4: unload.grace: \"5 parsecs\" cannot be used; write a number and a unit (ms, s, min or h)",
        "FILE:6: helpers.containment: \"jail\" cannot be used; write one of \"auto\", \"guard\", \"cgroup\", \"namespace\"",
        "FILE:8: limits.mailbox: 0 cannot be used; write a whole number from 1 to 65536",
        "FILE:9: mcp_servers.a: this helper has neither command nor url; give it either command = \"PROGRAM\"",
        "FILE:11: mcp_servers.b c: \"b c\" cannot be the name of a helper; use letters",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (message, start) in found.iter().zip(starts) {
        assert!(message.starts_with(start), "{message}\nshould start with\n{start}");
    }
}

#[test]
fn an_error_about_what_may_be_secret_names_its_kind_only() {
    for (toml, what) in [
        ("mcp_servers.a = \"npx --token=s3cret\"", "a text is not a table"),
        ("mcp_servers.a = { command = \"x\", args = \"--token=s3cret\" }", "a text cannot be used"),
        ("mcp_servers.a = { command = \"x\", env = \"TOKEN=s3cret\" }", "a text cannot be used"),
        ("mcp_servers.a = { command = \"x\", env_vars = \"s3cret\" }", "a text cannot be used"),
        ("mcp_servers.a = { url = \"http://x\", http_headers = \"A: s3cret\" }", "a text cannot be used"),
    ] {
        let found = errors(toml);
        assert!(found[0].contains(what) && !format!("{found:?}").contains("s3cret"), "{found:?}");
    }
}

#[test]
fn broken_toml_names_its_line_and_hides_no_other_error() {
    let found = errors("model = 3\nname name\n");
    assert!(found.iter().any(|message| message.starts_with("FILE:1: model")), "{found:#?}");
    assert!(found.iter().any(|message| message.starts_with("FILE:2: ")), "{found:#?}");
}

#[test]
fn values_of_the_wrong_kind_are_refused_wherever_they_stand() {
    for toml in [
        "unload = 1",
        "mcp_servers = \"x\"",
        "mcp_servers.a = 1",
        "mcp_servers.a = { command = \"x\", args = [1] }",
        "mcp_servers.a = { command = \"x\", env = { A = 1 } }",
        "mcp_servers.a = { command = \"x\", startup_timeout_sec = 0 }",
        "mcp_servers.a = { command = \"x\", startup_timeout_sec = nan }",
        "mcp_servers.a = { command = \"x\", enabled = \"yes\" }",
        "mcp_servers.a = { command = \"\" }",
        "mcp_servers.a = { command = \"x\", url = \"http://x\" }",
        "mcp_servers.a = { command = \"x\", http_headers = { A = \"1\" } }",
        "mcp_servers.a = { url = \"http://x\", env_vars = [\"A\"] }",
        "mcp_servers.a = { url = \"http://x\", may_connect = true }",
        "mcp_servers.a = { command = \"x\", may_connect = \"yes\" }",
        "mcp_servers.a = { command = \"x\", roots = [1] }",
        "mcp_servers.a = { url = \"http://x\", bearer_token = \"t\" }",
        "mcp_servers.a = { url = 1 }",
        "mcp_servers.a = { command = \"x\", env_vars = [1] }",
        "mcp_servers.a = { command = \"x\", env_vars = [{}] }",
        "mcp_servers.a = { command = \"x\", env_vars = [\"A=1\"] }",
        "mcp_servers.a = { command = \"x\", tool_timeout_sec = 0 }",
        "unload.grace = \"99999999999999999999h\"",
        "unload.grace = 2",
        "unload.grace = 1979-05-27",
        "durability = \"maybe\"",
        "limits.memory = \"2GB\"",
        "limits.memory = 2",
        "limits.memory = \"17179869184GiB\"",
        "orphans.running = true",
    ] {
        let found = errors(toml);
        assert!(found.len() == 1 && found[0].starts_with("FILE:1: "), "{toml}: {found:#?}");
    }
}

#[test]
fn unknown_keys_are_warnings_that_name_them_and_the_nearest_known_one() {
    let toml = "modle = \"m\"\nsandbox_modes = \"x\"\n[unload]\ngrase = \"1s\"\n[mcp_servers.a]\ncommand = \"x\"\nspares = []\n";
    let (file, config) = load(toml, &[]);
    let warnings: Vec<String> = config.unwrap().warnings.iter().map(ToString::to_string).collect();
    let shown = |rest: &str| format!("{}:{rest}", file.display());
    let expected = [
        shown("1: modle: unknown key, it has no effect; did you mean model?"),
        shown("2: sandbox_modes: unknown key, it has no effect; did you mean sandbox_mode?"),
        shown("4: unload.grase: unknown key, it has no effect; did you mean unload.grace?"),
        shown("7: mcp_servers.a.spares: unknown key, it has no effect"),
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn keys_of_codex_that_have_no_effect_are_no_warnings() {
    let toml = "check_for_update_on_startup = false\nprofile_v2 = \"work\"\n[features]\nweb_search = true\nnew_one = true\n\
                [projects.\"/p\"]\ntrust_level = \"trusted\"\n[tui.model_availability_nux]\nm = 1\n\
                [mcp_servers.a]\ncommand = \"x\"\nscopes = []\n\
                [model_providers.\"a.b\"]\nbase_url = \"https://a.example/\"\nsupports_websockets = false\n";
    let config = load(toml, &[]).1.unwrap();
    let warned: Vec<&str> = config.warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(warned, ["profile_v2"], "what it says is not done");
    let unused = [
        "check_for_update_on_startup",
        "features.new_one",
        "features.web_search",
        "mcp_servers.a.scopes",
        "model_providers.a.b.supports_websockets",
        "projects",
        "tui",
    ];
    assert_eq!(config.unused, unused);
}

#[test]
fn flags_win_over_the_file_and_need_no_quotes() {
    let toml = "model = \"file\"\n[mcp_servers.a]\ncommand = \"x\"\nargs = [\"1\"]\n";
    let flags = ["model=flag", "unload.grace=3s", "mcp_servers.a.args=[\"2\"]", "shutdown={drain=\"9s\"}"];
    let config = load(toml, &flags).1.unwrap();
    assert_eq!(config.model, "flag");
    assert_eq!(config.unload.grace, Duration::from_secs(3));
    assert_eq!(config.shutdown.drain, Duration::from_secs(9));
    assert_eq!(
        config.helpers["a"].stdio().map(|stdio| (stdio.command.as_str(), &stdio.args[..])),
        Some(("x", &["2".to_owned()][..]))
    );
    let wrong = load("", &["model"]).1.unwrap_err().to_string();
    assert_eq!(wrong, "-c: \"model\" has no value; write -c KEY=VALUE");
}

#[test]
fn a_limit_of_0_is_no_limit() {
    let limits = load("limits = { loaded_threads = 0, memory = \"0\" }", &[]).1.unwrap().limits;
    assert_eq!((limits.loaded_threads, limits.memory), (None, None));
}

#[test]
fn a_reload_takes_what_can_change_and_names_what_needs_a_restart() {
    let first = load("", &["helpers.containment=guard"]).1.unwrap();
    let settings = SharedConfig::new(first.clone());
    let toml = "model = \"m\"\n[unload]\ngrace = \"3s\"\n[helpers]\ncontainment = \"cgroup\"\n[limits]\nmailbox = 2\n";
    let mut second = load(toml, &[]).1.unwrap();
    second.home.clone_from(&first.home);
    let used = settings.now();
    assert_eq!(settings.take(second), ["helpers.containment", "limits.mailbox"]);
    let now = settings.now();
    assert_eq!((now.model.as_str(), now.unload.grace), ("m", Duration::from_secs(3)));
    assert_eq!(
        (now.helper_rules.containment, now.limits.mailbox),
        (first.helper_rules.containment, first.limits.mailbox)
    );
    assert_eq!(*used, first, "who works with the old ones keeps them");
}

#[test]
fn a_second_look_reads_only_what_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let flags = Flags { home: Some(folder.path().to_owned()), ..Flags::default() };
    let origin = |config: &ServerConfig| config.origin.clone().unwrap();
    let none = origin(&ServerConfig::load(&flags).unwrap());
    assert_eq!(none.look(), None, "there is still none");
    std::fs::write(&file, "model = \"a\"").unwrap();
    let first = none.look().unwrap().unwrap();
    assert_eq!((first.model.as_str(), origin(&first).look()), ("a", None));
    // As long as before, and maybe within the same tick of the file system's clock.
    std::fs::write(&file, "model = \"b\"").unwrap();
    let second = origin(&first).look().unwrap().unwrap();
    assert_eq!(second.model, "b");
    std::fs::write(&file, "model = 3").unwrap();
    assert!(origin(&second).look().unwrap().unwrap_err().to_string().contains("config.toml:1: model: 3"));
    std::fs::write(&file, "model = \"b\"").unwrap();
    assert_eq!(origin(&second).look(), None, "what is in force is there again");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(origin(&second).look().unwrap().unwrap().model, ServerConfig::new(file).model);
}

#[test]
fn a_file_that_is_not_one_is_an_error_and_not_a_hang() {
    let folder = tempfile::tempdir().unwrap();
    nix::unistd::mkfifo(&folder.path().join("config.toml"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let flags = Flags { home: Some(folder.path().to_owned()), ..Flags::default() };
    let error = ServerConfig::load(&flags).unwrap_err().to_string();
    assert!(error.contains("not a regular file"), "{error}");
}

#[test]
fn the_home_is_named_by_the_flag_or_the_environment_and_is_absolute() {
    let environment = |name: &str| (name == "HOME").then(|| OsString::from("/u"));
    assert_eq!(home(Some(Path::new("/f")), &environment).unwrap(), Path::new("/f"));
    assert_eq!(home(None, &environment).unwrap(), Path::new("/u/.local/share/skein"));
    assert!(home(Some(Path::new("relative")), &environment).unwrap().is_absolute());
    assert!(home(None, &|_| None).unwrap_err().to_string().contains("$SKEIN_HOME"));
}

#[test]
fn a_link_to_a_file_that_is_not_there_is_no_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let (file, target) = (folder.path().join("config.toml"), folder.path().join("dotfile"));
    std::fs::write(&target, "approval_policy = \"untrusted\"\n").unwrap();
    std::os::unix::fs::symlink(&target, &file).unwrap();
    let flags = Flags { home: Some(folder.path().to_owned()), ..Flags::default() };
    let config = ServerConfig::load(&flags).unwrap();
    std::fs::remove_file(&target).unwrap();
    let said = ServerConfig::load(&flags).unwrap_err().to_string();
    assert!(said.contains(&format!("it is a link to {}, which is not there", target.display())), "{said}");
    let looked = config.origin.unwrap().look().expect("a change");
    assert!(looked.is_err(), "a reload keeps what is in force");
    super::edit::SettingsFile::open(folder.path(), super::edit::EditMode::Change).unwrap_err();
    assert!(file.is_symlink() && !target.exists());
}

const GRANULAR: &str = "{ granular = { sandbox_approval = true, rules = true, mcp_elicitations = false } }";

#[test]
fn the_user_is_asked_question_by_question_where_the_settings_say_so() {
    let wanted = AskForApproval::Granular(GranularApproval {
        mcp_elicitations: false,
        request_permissions: false,
        rules: true,
        sandbox_approval: true,
        skill_approval: false,
    });
    let (_, config) = load(&format!("approval_policy = {GRANULAR}"), &[]);
    assert_eq!(config.unwrap().approval_policy, wanted);
    let (_, config) = load("approval_policy = \"never\"", &[&format!("approval_policy={GRANULAR}")]);
    assert_eq!(config.unwrap().approval_policy, wanted);
    let config = serde_json::json!({ "approval_policy": wanted });
    let said = helpers_from_thread_config(config.as_object().unwrap()).unwrap();
    assert_eq!(said.approval_policy, Some(wanted));
    for wrong in
        ["{ granular = { rules = 1 } }", "{ granular = {} }", "{ coarse = true }", "\"sometimes\"", "7"]
    {
        let found = errors(&format!("approval_policy = {wrong}"));
        assert!(found.len() == 1 && found[0].contains("granular = {"), "{wrong}: {found:?}");
    }
}

#[test]
fn a_profile_that_is_chosen_is_in_force() {
    let toml = "profile = \"p\"\nmodel = \"m\"\napproval_policy = \"never\"\ndurability = \"event\"\n\
        [profiles.p]\nmodel = \"of p\"\napproval_policy = \"untrusted\"\n[profiles.q]\nmodel = \"of q\"\n";
    let config = load(toml, &[]).1.unwrap();
    assert_eq!((config.model.as_str(), config.durability), ("of p", Durability::Event));
    assert_eq!(config.approval_policy, AskForApproval::Untrusted);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let config = load(toml, &["profile=q", "durability=turn"]).1.unwrap();
    assert_eq!((config.model.as_str(), config.durability), ("of q", Durability::Turn));
    assert_eq!(config.approval_policy, AskForApproval::Never);
    assert_eq!(load(toml, &["model=mine"]).1.unwrap().model, "mine", "a flag wins over a profile");
    let found = errors("model = \"m\"\nprofile = \"r\"\n[profiles.p]\n");
    assert_eq!(found, ["FILE:2: profile: there is no [profiles.r]; write one of \"p\", or take the key out"]);
    assert_eq!(errors("profile = 7\n").len(), 1);
}

#[test]
fn a_warning_names_its_line_in_a_long_file() {
    let toml: String =
        (0..500).map(|number| format!("[mcp_servers.h{number}]\ncommand = \"x\"\nwrong = 1\n\n")).collect();
    let config = load(&toml, &[]).1.unwrap();
    assert_eq!((config.helpers.len(), config.warnings.len()), (500, 500));
    assert!(config.warnings[0].to_string().contains(":3:"), "{}", config.warnings[0]);
    assert!(config.warnings[499].to_string().contains(":1999:"), "{}", config.warnings[499]);
}

#[test]
fn settings_of_a_flag_may_stand_in_a_file_that_nobody_else_reads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("flags.toml");
    std::fs::write(&file, "[mcp_servers.a]\ncommand = \"x\"\nenv = { KEY = \"s3cret\" }\n").unwrap();
    let flag = format!("@{}", file.display());
    let set = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    set(0o600);
    let config = load("model = \"m\"\n", &[&flag, "mcp_servers.a.command=y"]).1.unwrap();
    let stdio = config.helpers["a"].stdio().unwrap();
    assert_eq!((stdio.command.as_str(), stdio.env.0["KEY"].as_str()), ("y", "s3cret"));
    set(0o640);
    let said = load("", &[&flag]).1.unwrap_err().to_string();
    assert!(said.contains("others can read it") && !said.contains("s3cret"), "{said}");
    let said = load("", &["@/nowhere"]).1.unwrap_err().to_string();
    assert!(said.starts_with("-c: /nowhere: "), "{said}");
}
