//! `skein mcp`: the settings as a user changes them by commands. What it does with a real helper is in integration-tests.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Serving, run, skein};

const BEFORE: &str =
    "# Mine.\nmodel = \"small\" # for now\n\n# About files.\n[mcp_servers.files]\ncommand = \"files\"\n";

fn home_with(text: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("config.toml"), text).unwrap();
    home
}

fn settings(home: &Path) -> String {
    fs::read_to_string(home.join("config.toml")).unwrap()
}

/// `skein mcp ARGUMENTS --home HOME --json`, which has to work; its outcome.
fn mcp(home: &Path, arguments: &[&str]) -> Value {
    let (code, stdout, stderr) = mcp_says(home, arguments);
    assert_eq!(code, Some(0), "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn mcp_says(home: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut all = vec!["mcp", arguments[0], "--json", "--home", home.to_str().unwrap()];
    all.extend(&arguments[1..]);
    run(&all)
}

#[test]
fn a_helper_is_added_listed_without_its_secrets_and_removed() {
    let home = home_with(BEFORE);
    let add = ["add", "new", "--env", "KEY=s3cret", "--env-var", "TOKEN", "--cwd", "/srv"];
    let command = ["--", "run", "-x", "--api-key", "s3cret"];
    let added = mcp(home.path(), &[&add[..], &command].concat());
    assert_eq!((&added["added"], &added["server"]), (&json!("new"), &Value::Null));
    mcp(
        home.path(),
        &["add", "far", "--url", "https://me:s3cret@example.org/?k=s3cret", "--bearer-token-env-var", "T"],
    );
    assert!(settings(home.path()).starts_with(BEFORE), "{}", settings(home.path()));

    let listed = mcp(home.path(), &["list"]);
    let names: Vec<&str> =
        listed["data"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["files", "new", "far"]);
    let new = &listed["data"][1];
    assert_eq!(
        (&new["command"], &new["env"], &new["enabled"]),
        (&json!("run"), &json!({ "KEY": "***" }), &json!(true))
    );
    assert_eq!(new["file"], home.path().join("config.toml").to_str().unwrap());
    let (_, people, _) = run(&["mcp", "list", "--home", home.path().to_str().unwrap()]);
    assert!(people.contains("KEY=*** $TOKEN run -x --api-key '***' in /srv"), "{people}");
    for shown in [listed.to_string(), people] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }

    mcp(home.path(), &["remove", "far"]);
    mcp(home.path(), &["remove", "new"]);
    assert_eq!(settings(home.path()), BEFORE);
}

#[test]
fn what_cannot_be_added_is_refused_and_the_file_is_as_it_was() {
    let home = home_with(BEFORE);
    for (arguments, why) in [
        (&["add", "files", "--", "other"][..], "is in"),
        (&["add", "a b", "--", "other"], "cannot be the name"),
        (&["add", "new", "--env", "s3cret", "--", "other"], "--env takes NAME=VALUE"),
        (&["add", "new", "--env-var", "A=s3cret", "--", "other"], "mcp_servers.new.env_vars"),
        (&["remove", "nobody"], "it has files"),
    ] {
        let (code, stdout, stderr) = mcp_says(home.path(), arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(stderr.contains(why), "{arguments:?}: {stderr}");
    }
    for arguments in [
        &["add", "new"][..],
        &["add", "new", "--url", "u", "--", "c"],
        &["add", "new", "--url", "u", "--env", "A=b"],
    ] {
        assert_eq!(mcp_says(home.path(), arguments).0, Some(2), "{arguments:?}");
    }
    assert_eq!(settings(home.path()), BEFORE);
    let files: Vec<_> = fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["config.toml"]);
}

#[test]
fn commands_that_change_the_settings_at_once_lose_nothing() {
    let home = home_with(BEFORE);
    let at = home.path().to_str().unwrap();
    let names: Vec<String> = (0..8).map(|number| format!("helper-{number}")).collect();
    let add = |name: &String| {
        skein(&["mcp", "add", name, "--home", at, "--", "run"]).stdout(Stdio::null()).spawn().unwrap()
    };
    for mut child in names.iter().map(add).collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    let listed = mcp(home.path(), &["list"]);
    let there: Vec<&str> =
        listed["data"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.iter().all(|name| there.contains(&name.as_str())) && there.len() == 9, "{there:?}");
}

#[test]
fn the_file_of_a_desktop_client_comes_in_once_and_says_what_it_leaves() {
    let home = home_with(BEFORE);
    let file = home.path().join("client.json");
    let text = r#"{ "mcpServers": {
        "files": { "command": "theirs" },
        "my docs": { "command": "npx", "args": ["-y", "docs"], "env": { "KEY": "s3cret" }, "timeout": 5, "disabled": true },
        "old": { "type": "sse", "url": "https://example.org/sse" }, // gone soon
    } }"#;
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();

    let (code, stdout, _) = mcp_says(home.path(), &["import", "--dry-run", file]);
    let dry: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, settings(home.path()).as_str()), (Some(1), BEFORE));
    let (code, stdout, stderr) = mcp_says(home.path(), &["import", file]);
    let outcome: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(code, Some(1), "{stderr}");
    for said in [&dry, &outcome] {
        let wanted = json!([{ "name": "my-docs", "said": "my docs", "enabled": false, "passedOver": ["timeout"], "dropped": [] }]);
        assert_eq!((&said["taken"], &said["there"]), (&wanted, &json!(["files"])));
        assert_eq!((&said["left"][0]["name"], &said["complete"]), (&json!("old"), &json!(false)));
    }
    assert!(settings(home.path()).contains("command = \"files\""));

    let text = "{ \"mcpServers\": { \"files\": { \"command\": \"theirs\" } } }";
    let arguments = ["mcp", "import", "-", "--replace", "--home", home.path().to_str().unwrap()];
    let mut child = skein(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let Output { status, stdout, .. } = child.wait_with_output().unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    assert_eq!(status.code(), Some(0), "{stdout}");
    assert!(stdout.contains("took files") && stdout.contains("1 helpers were taken"), "{stdout}");
    assert!(settings(home.path()).contains("# About files.\n[mcp_servers.files]\ncommand = \"theirs\"\n"));
}

#[test]
fn a_running_server_is_told_or_its_user_is_told_how() {
    let home = tempfile::tempdir().unwrap();
    let serving = Serving::start(home.path());
    let added = mcp(home.path(), &["add", "new", "--", "run"]);
    let server = &added["server"];
    assert_eq!(server["pid"], serving.child.id());
    let (_, stdout, _) = run(&["mcp", "remove", "new", "--home", home.path().to_str().unwrap()]);
    let words = match server["reloaded"].as_bool().unwrap() {
        true => "the running server has read it".to_owned(),
        false => format!("kill -HUP {}", serving.child.id()),
    };
    assert!(stdout.contains(&words), "{stdout}");
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn a_helper_that_does_not_start_is_told_with_its_last_words() {
    let home = home_with(BEFORE);
    let script = "echo here is why >&2; exit 3";
    let (code, stdout, stderr) = mcp_says(home.path(), &["test", "--", "/bin/sh", "-c", script]);
    assert_eq!(code, Some(1), "{stderr}");
    let outcome: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&outcome["ok"], &outcome["left"]), (&json!(false), &json!([])));
    let reason = outcome["reason"].as_str().unwrap();
    assert!(reason.contains("code 3") && reason.contains("here is why"), "{reason}");
    let (code, stdout, stderr) =
        run(&["mcp", "test", "--home", home.path().to_str().unwrap(), "--", "/nowhere/x"]);
    assert_eq!(code, Some(1));
    assert!(stdout.contains("left     nothing") && stderr.contains("/nowhere/x"), "{stdout}{stderr}");
    let (code, _, stderr) = mcp_says(home.path(), &["test", "nobody"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("it has files"), "{stderr}");
}

#[test]
fn settings_that_get_a_secret_are_their_owners_and_the_doctor_names_those_that_are_not() {
    let home = home_with(BEFORE);
    let file = home.path().join("config.toml");
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    set(home.path(), 0o755);
    set(&file, 0o644);
    let doctor = || run(&["doctor", "--home", home.path().to_str().unwrap()]).1;
    assert!(doctor().contains("others can look into") && !doctor().contains("has secrets"), "{}", doctor());
    let added = mcp(home.path(), &["add", "new", "--env", "KEY=s3cret", "--", "run"]);
    assert_eq!((mode(home.path()), mode(&file), &added["closed"]), (0o700, 0o600, &json!(true)));
    assert!(!doctor().contains("others can"), "{}", doctor());
    set(&file, 0o640);
    assert!(doctor().contains("others can read config.toml, and it has secrets"), "{}", doctor());
    // A folder in which somebody else has a config.toml, too, is not ours.
    let site = home_with("title = 1\n");
    fs::write(site.path().join("index.md"), "").unwrap();
    set(site.path(), 0o755);
    mcp(site.path(), &["add", "new", "--", "run"]);
    assert_eq!(mode(site.path()), 0o755);
}

#[test]
fn an_import_keeps_what_the_user_has_decided_about_a_helper() {
    let decided = "[mcp_servers.z]\ncommand = \"old\"\nenabled = false\nenabled_tools = [\"a\"]\nlimits = { files = 64 }\n";
    let home = home_with(decided);
    let file = home.path().join("desktop.json");
    fs::write(&file, json!({ "mcpServers": { "z": { "command": "new" } } }).to_string()).unwrap();
    let file_name = file.to_str().unwrap().to_owned();
    let taken = mcp(home.path(), &["import", &file_name, "--replace"]);
    assert_eq!(taken["taken"][0]["dropped"], json!([]));
    assert_eq!(settings(home.path()), decided.replace("old", "new"));
    fs::write(&file, json!({ "mcpServers": { "z": { "url": "http://127.0.0.1/mcp" } } }).to_string())
        .unwrap();
    let dry = mcp(home.path(), &["import", &file_name, "--replace", "--dry-run"]);
    assert_eq!(dry["taken"][0]["dropped"], json!(["limits"]));
    assert_eq!(settings(home.path()), decided.replace("old", "new"));
}

#[test]
fn an_import_takes_what_can_start_and_leaves_the_rest() {
    let home = home_with(BEFORE);
    let file = home.path().join("desktop.json");
    let servers = json!({ "mcpServers": {
        "good": { "command": "x" },
        "empty": { "command": "" },
        "socket": { "url": "ws://127.0.0.1/mcp" },
        "nul": { "command": "x", "args": ["a\0b"] },
        "variable": { "command": "x", "env": { "A=B": "1" } },
        "header": { "url": "http://127.0.0.1/", "headers": { "X Y": "s3cret" } },
        "folder": { "command": "x", "cwd": "~/p" },
    } });
    fs::write(&file, servers.to_string()).unwrap();
    let (code, out, err) = mcp_says(home.path(), &["import", file.to_str().unwrap()]);
    let outcome: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let names = |key: &str| {
        let all = outcome[key].as_array().unwrap().iter();
        let mut names: Vec<String> = all.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!((code, names("taken")), (Some(1), vec!["good".to_owned()]), "{outcome}");
    assert_eq!(names("left"), ["empty", "folder", "header", "nul", "socket", "variable"]);
    assert!(!outcome.to_string().contains("s3cret"), "{outcome}");
    assert_eq!(settings(home.path()), format!("{BEFORE}\n[mcp_servers.good]\ncommand = \"x\"\n"));
}

#[test]
fn a_preset_takes_proxies_and_certificates_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let mut add = skein(&["mcp", "add", "--preset", "memory", "--home", home.to_str().unwrap()]);
    add.env_clear().env("HOME", folder.path()).env("PATH", folder.path()).env("HTTP_PROXY", "");
    add.env("HTTPS_PROXY", "http://user:secret@127.0.0.1:9").env("SSL_CERT_FILE", "/none");
    fs::write(folder.path().join("npx"), "#!/bin/sh\nexit 3\n").unwrap();
    fs::set_permissions(folder.path().join("npx"), fs::Permissions::from_mode(0o755)).unwrap();
    // The trial fails, and the helper stays in the settings.
    assert_eq!(add.output().unwrap().status.code(), Some(1));
    let text = std::fs::read_to_string(home.join("config.toml")).unwrap();
    assert!(text.contains("env_vars = [\"HTTPS_PROXY\", \"SSL_CERT_FILE\"]"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

/// `skein mcp add --preset WORDS` where the path has these programs alone, each of which fails; exit code and stderr.
fn preset(home: &Path, programs: &[&str], words: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    for program in programs {
        fs::write(folder.path().join(program), "#!/bin/sh\nexit 3\n").unwrap();
        fs::set_permissions(folder.path().join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut add = skein(&["mcp", "add", "--home", home.to_str().unwrap(), "--preset"]);
    let Output { status, stderr, .. } =
        add.args(words).env("PATH", folder.path()).current_dir(folder.path()).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_preset_that_cannot_start_says_why_and_leaves_the_settings_as_they_are() {
    let home = home_with(BEFORE);
    for (programs, words, said) in [
        (&[][..], &["fetch"][..], "uvx is not installed: it comes with uv (pip install uv)"),
        (&["uvx"], &["memory"], "npx is not installed: it comes with npm and Node.js"),
        (&["uvx"], &["git"], "is no git repository: skein mcp add --preset git -- FOLDER"),
        (&["uvx"], &["git", "--", "/proc"], "/proc is no git repository"),
    ] {
        let (code, stderr) = preset(home.path(), programs, words);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(said), "{words:?}: {stderr}");
        assert_eq!(settings(home.path()), BEFORE);
    }
}

#[test]
fn a_preset_whose_trial_fails_stays_and_its_memory_lies_in_the_home() {
    let home = home_with("");
    let (code, stderr) = preset(home.path(), &["npx"], &["memory"]);
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("exit code 3"), "{stderr}");
    assert!(
        stderr.contains("skein mcp test memory") && stderr.contains("skein mcp remove memory"),
        "{stderr}"
    );
    // Without it the file would lie in the cache of npx.
    let file = format!("MEMORY_FILE_PATH = \"{}\"", home.path().join("memory.jsonl").display());
    assert!(settings(home.path()).contains(&file), "{}", settings(home.path()));
}
