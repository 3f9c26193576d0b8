//! Wrong commands and broken set-ups: each message names the thing and says what to do.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use nix::sys::signal::Signal;
use skein_protocol::methods::{ThreadList, ThreadStart, TurnStart};
use skein_protocol::table::Method;

use super::broken::MACHINES;
use super::{Serving, skein, take_the_usual_port};

/// The outcome of a command: its exit code, and all that it printed.
fn said(home: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = skein(arguments);
    command.env("SKEIN_HOME", home).env_remove("OPENAI_API_KEY").env_remove("ANTHROPIC_API_KEY");
    let Output { status, stdout, stderr } = command.stdin(std::process::Stdio::null()).output().unwrap();
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

/// A command, its exit code, and parts of its message.
type Wrong<'a> = (&'a str, i32, &'a [&'a str]);

/// Commands with words of other programs, and with missing or wrong arguments.
const WRONG: [Wrong<'static>; 58] = [
    ("start", 2, &["start", "skein open", "skein serve"]),
    ("logs", 2, &["logs", "server.log"]),
    ("login", 2, &["login", "no accounts", "skein doctor"]),
    ("exec", 2, &["exec", "skein run"]),
    ("resume", 2, &["resume", "skein chat"]),
    ("config", 2, &["config", "config.toml"]),
    ("models", 2, &["models", "skein call"]),
    ("restart", 2, &["restart", "skein stop", "skein open"]),
    ("kill", 2, &["kill", "skein stop"]),
    ("ui", 2, &["ui", "skein open"]),
    ("update", 2, &["update", "does not update"]),
    ("init", 2, &["init", "skein open"]),
    ("serv", 2, &["there is no command serv: did you mean skein serve?"]),
    ("Serve", 2, &["there is no command Serve: did you mean skein serve?"]),
    ("thread", 2, &["there is no command thread: did you mean skein threads?"]),
    ("threads lst", 2, &["there is no command threads lst: did you mean skein threads list?"]),
    ("mcp ad files", 2, &["there is no command mcp ad: did you mean skein mcp add?"]),
    ("token crate", 2, &["there is no command token crate: did you mean skein token create?"]),
    ("mcp nonsense", 2, &["there is no command mcp nonsense", "skein mcp --help"]),
    ("nonsense", 2, &["there is no command nonsense", "skein --help"]),
    ("--nonsense", 2, &["--nonsense", "--help"]),
    ("serve --prot 1", 2, &["--prot", "--help"]),
    ("serve --listen wss://127.0.0.1:1", 1, &["--listen", "wss:// needs a certificate", "--tls-cert FILE"]),
    ("serve --listen https://127.0.0.1:1", 1, &["--listen", "https:// is not supported"]),
    ("serve --listen tcp://127.0.0.1:1", 1, &["--listen", "tcp:// is not supported"]),
    ("serve --listen 127.0.0.1:1", 1, &["--listen", "127.0.0.1:1", "ws://127.0.0.1:PORT"]),
    ("serve --listen ws://0.0.0.0:1", 1, &["--listen", "other machines"]),
    ("serve --listen ws://127.0.0.1:x", 1, &["--listen", "is not an address with a port"]),
    ("serve --home /proc/nowhere", 1, &["/proc/nowhere", "cannot be made", "--home"]),
    ("serve -c unload.grace=soon", 1, &["unload.grace", "soon"]),
    ("serve -c nonsense", 1, &["nonsense", "-c"]),
    ("serve --log [", 1, &["--log"]),
    ("mcp add files", 2, &["files", "skein mcp add files -- COMMAND"]),
    ("mcp add", 2, &["NAME", "--help"]),
    ("mcp add --preset nothing", 2, &["nothing", "files, git, fetch, memory"]),
    ("mcp test nope", 1, &["nope", "it has none"]),
    ("mcp test -- cat", 1, &["cat", "not an MCP server"]),
    ("mcp test -- false", 1, &["false", "exit code 1"]),
    ("mcp test -- /nowhere/x", 1, &["/nowhere/x", "No such file", "check `command`"]),
    ("mcp remove nope", 1, &["nope", "config.toml"]),
    ("mcp import /nowhere.json", 1, &["/nowhere.json", "check the path"]),
    ("backup /nowhere/x", 1, &["/nowhere/x", "check the path"]),
    ("restore /nowhere/x", 1, &["is not empty", "--home"]),
    ("import /nowhere", 1, &["/nowhere", "check the path"]),
    ("export abc", 2, &["abc", "thread id"]),
    ("export 0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b", 4, &["0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b"]),
    ("origins add foo", 1, &["foo", "http://localhost:5173"]),
    ("token create a/b", 1, &["a/b", "letters"]),
    ("token revoke nobody", 1, &["nobody"]),
    ("url --scope root", 2, &["root", "read"]),
    ("status", 1, &["no server is running", "skein serve"]),
    ("status --url ws://127.0.0.1:1", 1, &["ws://127.0.0.1:1", "skein open"]),
    ("stop", 1, &["no server is running"]),
    ("call", 2, &["METHOD", "--help"]),
    ("run --thread @3 hello", 1, &["@3"]),
    ("run --approve maybe hello", 2, &["maybe", "ask"]),
    ("chat nobody", 1, &["nobody", "skein threads"]),
    ("threads show 99999999", 1, &["99999999", "skein threads"]),
];

/// Commands of other programs that do what they mean.
const MEANT: [(&str, &str); 5] =
    [("ls", "@1"), ("list", "@1"), ("version", "skein 0."), ("-v", "skein 0."), ("mcp ls", "no helpers")];

/// Whether the system's words are there more than once.
fn repeats(text: &str) -> bool {
    let words = text.match_indices("(os error ").count();
    words > text.lines().filter(|line| line.contains("(os error ")).count()
}

#[test]
fn each_wrong_command_is_answered_with_its_cause_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    assert_eq!(said(&home, &["run", "hello"]).0, Some(0));
    let mut bad = Vec::new();
    for (line, code, parts) in WRONG {
        let arguments: Vec<&str> = line.split(' ').collect();
        let (ended, text) = said(&home, &arguments);
        let missing: Vec<&&str> = parts.iter().filter(|part| !text.contains(**part)).collect();
        if ended != Some(code) || !missing.is_empty() || repeats(&text) {
            bad.push(format!("skein {line}: {ended:?}, without {missing:?}:\n{text}"));
        }
    }
    for (line, part) in MEANT {
        let (ended, text) = said(&home, &line.split(' ').collect::<Vec<_>>());
        if ended != Some(0) || !text.contains(part) {
            bad.push(format!("skein {line}: {ended:?}, without {part}:\n{text}"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn wrong_calls_of_a_server_are_answered_with_what_is_meant() {
    let home = tempfile::tempdir().unwrap();
    let serving = Serving::start(home.path());
    let port = serving.ready["address"].as_str().unwrap().to_owned();
    let start = ThreadStart::INFO.wire;
    let typo = start.replace("start", "strat");
    let upper = ThreadList::INFO.wire.replace("thread", "Thread").replace("list", "List");
    let input = r#"{"threadId": "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b", "input": "hello"}"#;
    for (arguments, code, parts) in [
        (vec!["call", &typo], 1, vec![format!("did you mean {start}?")]),
        (vec!["call", &upper], 1, vec![format!("did you mean {}?", ThreadList::INFO.wire)]),
        (
            vec!["call", TurnStart::INFO.wire, input],
            1,
            vec!["input is a list such as [{\"type\": \"text\", \"text\": \"hello\"}]".to_owned()],
        ),
        (vec!["call", start, "{bad"], 1, vec!["not JSON".to_owned()]),
        (vec!["fsck"], 0, vec!["clean".to_owned(), "not compared".to_owned(), "skein stop".to_owned()]),
        (vec!["reindex"], 3, vec!["already served".to_owned(), "stop it".to_owned()]),
        (
            vec!["serve", "--home", "other", "--listen", &port],
            1,
            vec!["another program serves there".to_owned(), "--listen".to_owned()],
        ),
    ] {
        let mut command = skein(&arguments);
        command.env("SKEIN_HOME", home.path()).current_dir(home.path());
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}: {text}");
        for part in parts {
            assert!(text.contains(&part), "{arguments:?}: {part} is not in {text}");
        }
        assert!(!repeats(&text) && !text.contains("at line 1 column"), "{text}");
        assert!(!text.starts_with("skein: not compared"), "the result comes first: {text}");
    }
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

/// A set-up: its name, how it is made below a folder, and words of the doctor about it.
struct SetUp {
    name: &'static str,
    make: fn(&Path) -> PathBuf,
    /// Limits of the shell.
    limits: &'static str,
    words: &'static str,
}

fn set_up(name: &'static str, words: &'static str, make: fn(&Path) -> PathBuf) -> SetUp {
    SetUp { name, make, limits: "", words }
}

/// A home with these settings.
fn with_settings(folder: &Path, text: &str) -> PathBuf {
    let home = folder.join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("config.toml"), text).unwrap();
    fs::set_permissions(home.join("config.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    home
}

fn with_file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let home = with_settings(folder, "");
    fs::write(home.join(name), text).unwrap();
    home
}

#[expect(clippy::too_many_lines, reason = "a table, a row for each set-up")]
fn homes_that_are_none() -> Vec<SetUp> {
    vec![
        set_up("the home is a file", "is no folder", |folder| {
            fs::write(folder.join("home"), "").unwrap();
            folder.join("home")
        }),
        set_up("the home is below a file", "is no folder", |folder| {
            fs::write(folder.join("file"), "").unwrap();
            folder.join("file/home")
        }),
        set_up("the home is a lost link", "is no folder", |folder| {
            symlink("/nowhere", folder.join("home")).unwrap();
            folder.join("home")
        }),
        set_up("others can look into the home", "chmod 700", |folder| {
            let home = with_settings(folder, "");
            fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
            home
        }),
        set_up("the lock is a folder", "lock is no regular file", |folder| {
            let home = with_settings(folder, "");
            fs::create_dir(home.join("lock")).unwrap();
            home
        }),
        set_up("the lock is a link", "lock is no regular file", |folder| {
            let home = with_settings(folder, "");
            symlink("/etc/hostname", home.join("lock")).unwrap();
            home
        }),
        set_up("server.json is garbage", "server.json", |folder| with_file(folder, "server.json", "{")),
        set_up("the lock of a killed server", "has ended without a stop", |folder| {
            let home = with_settings(folder, "");
            let serving = Serving::start(&home);
            assert_eq!(serving.stop(Signal::SIGKILL), None);
            home
        }),
        set_up("the control socket is a file", "is no socket", |folder| {
            with_file(folder, "control.sock", "")
        }),
        set_up("threads is a file", "threads is no folder", |folder| with_file(folder, "threads", "")),
        set_up("damaged credentials", "access.json", |folder| with_file(folder, "access.json", "{")),
        set_up("credentials that others can write", "chmod 600", |folder| {
            let home = with_settings(folder, "");
            let made = skein(&["token", "create", "a", "--home", home.to_str().unwrap()]).output().unwrap();
            assert!(made.status.success());
            fs::set_permissions(home.join("access.json"), fs::Permissions::from_mode(0o666)).unwrap();
            home
        }),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table, a row for each set-up")]
fn wrong_settings() -> Vec<SetUp> {
    vec![
        set_up("settings that are no TOML", "config.toml:1", |folder| with_settings(folder, "model = \n")),
        set_up("a key of the wrong type", "config.toml:1: model", |folder| {
            with_settings(folder, "model = 1\n")
        }),
        set_up("a time without a unit", "unload.grace", |folder| {
            with_settings(folder, "[unload]\ngrace = 2\n")
        }),
        set_up("an unknown provider", "nobody", |folder| {
            with_settings(folder, "model_provider = \"nobody\"\n")
        }),
        set_up("a key that is missing", "OPENAI_API_KEY", |folder| {
            with_settings(folder, "model_provider = \"openai\"\nmodel = \"m\"\n")
        }),
        set_up("settings that are a folder", "config.toml", |folder| {
            let home = folder.join("home");
            fs::create_dir_all(home.join("config.toml")).unwrap();
            home
        }),
        set_up("a helper whose program is missing", "no-such-program", |folder| {
            with_settings(folder, "[mcp_servers.files]\ncommand = \"no-such-program\"\n")
        }),
        set_up("a helper whose folder is missing", "/nowhere", |folder| {
            with_settings(folder, "[mcp_servers.files]\ncommand = \"sh\"\ncwd = \"/nowhere\"\n")
        }),
        set_up("a helper without a command", "mcp_servers.files", |folder| {
            with_settings(folder, "[mcp_servers.files]\nargs = [\"x\"]\n")
        }),
        set_up("secrets that others can read", "chmod 600", |folder| {
            let text = "[mcp_servers.files]\ncommand = \"sh\"\nenv = { KEY = \"secret\" }\n";
            let home = with_settings(folder, text);
            fs::set_permissions(home.join("config.toml"), fs::Permissions::from_mode(0o644)).unwrap();
            home
        }),
        set_up("a containment that does not exist", "jail", |folder| {
            with_settings(folder, "[helpers]\ncontainment = \"jail\"\n")
        }),
        SetUp {
            limits: "ulimit -f 0; ",
            ..set_up("no room for a file", "ulimit -f", |f| with_settings(f, ""))
        },
        SetUp {
            limits: "ulimit -n 200; ",
            ..set_up("few descriptors", "ulimit -Hn", |f| with_settings(f, ""))
        },
        // The doctor changes nothing, so it starts no helper: skein mcp test finds this one.
        set_up("a helper that is no server", "", |folder| {
            with_settings(folder, "[mcp_servers.files]\ncommand = \"cat\"\n")
        }),
    ]
}

/// The words of the doctor about a home, under limits of the shell.
fn doctor(home: &Path, limits: &str) -> String {
    let doctor = skein(&["doctor"]);
    let program = doctor.get_program().to_str().unwrap().to_owned();
    let mut shell = std::process::Command::new("bash");
    // A pipe takes the output: a limit for the size of files holds for files only.
    shell.args(["-c", &format!("{limits}exec '{program}' doctor")]).env("SKEIN_HOME", home);
    shell.env_remove("OPENAI_API_KEY").env_remove("SKEIN_LOG");
    let Output { stdout, stderr, .. } = shell.output().unwrap();
    String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr)
}

#[test]
fn the_doctor_names_24_of_25_broken_set_ups() {
    let mut seen: Vec<(&str, bool, String)> = Vec::new();
    for SetUp { name, make, limits, words } in homes_that_are_none().into_iter().chain(wrong_settings()) {
        let folder = tempfile::tempdir().unwrap();
        let text = doctor(&make(folder.path()), limits);
        seen.push((name, !words.is_empty() && text.contains(words), text));
    }
    for machine in &MACHINES {
        let Some((_, text)) = machine.run(&["doctor"]) else { continue };
        seen.push((machine.name, machine.doctor.iter().all(|words| text.contains(words)), text));
    }
    let named = seen.iter().filter(|(_, is_named, _)| *is_named).count();
    let missed: Vec<String> = seen
        .iter()
        .filter(|(_, is_named, _)| !is_named)
        .map(|(name, _, text)| format!("{name}:\n{text}"))
        .collect();
    assert!(seen.len() >= 25 && named * 25 >= seen.len() * 24, "{named}; missed: {}", missed.join("\n"));
}

#[test]
fn the_doctor_and_a_start_name_a_taken_port() {
    let home = tempfile::tempdir().unwrap();
    let _taken = take_the_usual_port();
    let (_, text) = said(home.path(), &["doctor"]);
    assert!(text.contains("port 4500") && text.contains("skein open"), "{text}");
    let (code, text) = said(home.path(), &["serve"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("127.0.0.1:4500") && text.contains("--listen"), "{text}");
}

#[test]
fn a_server_says_that_its_provider_has_no_key_before_the_first_turn() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("config.toml"), "model_provider = \"anthropic\"\nmodel = \"m\"\n").unwrap();
    let mut serve =
        skein(&["serve", "--listen", "ws://127.0.0.1:0", "--home", home.path().to_str().unwrap()]);
    serve.env_remove("ANTHROPIC_API_KEY").stderr(std::process::Stdio::piped());
    let mut serving = Serving::run_with_log(serve);
    let mut log = serving.child.stderr.take().unwrap();
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut log, &mut text).unwrap();
    assert!(text.contains("anthropic has no key: set ANTHROPIC_API_KEY"), "{text}");
    let (code, text) = said(home.path(), &[]);
    assert_eq!(code, Some(0));
    assert!(text.contains("ANTHROPIC_API_KEY"), "{text}");
}
