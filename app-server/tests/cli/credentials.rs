//! `skein token` and `skein sessions`, at a home with and without a server, and the places where no secret may stand.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use skein_protocol::methods::{ConfigMcpServerReload, ConfigRead, SkeinCredentialList, ThreadStart};
use skein_protocol::table::Method;

use super::{Serving, run, skein};

/// `skein ARGUMENTS --home HOME`.
fn at(home: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    run(&[arguments, &["--home", home.to_str().unwrap()]].concat())
}

fn works(home: &Path, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = at(home, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    stdout
}

/// The token that `skein token create ARGUMENTS` prints.
fn token(home: &Path, arguments: &[&str]) -> String {
    let printed = works(home, &[&["token", "create"], arguments].concat());
    assert!(printed.starts_with("skein_") && printed.len() == 50 && printed.ends_with('\n'), "{printed:?}");
    printed.trim_end().to_owned()
}

fn listed(home: &Path, subject: &str) -> Vec<Value> {
    let printed = works(home, &[subject, "list", "--json"]);
    let listed: Value = serde_json::from_str(&printed).unwrap();
    listed["data"].as_array().unwrap().clone()
}

fn tokens_are_made_listed_and_revoked(home: &Path) {
    assert_eq!(listed(home, "token"), [] as [Value; 0]);
    let first = token(home, &["ci"]);
    let page = ["page", "--origin", "http://localhost:5173", "--scope", "read", "--expires", "90d"];
    assert_ne!(first, token(home, &page));
    let all = listed(home, "token");
    assert_eq!(
        (&all[0]["name"], &all[0]["scope"], &all[0]["origin"]),
        (&json!("ci"), &json!("chat"), &Value::Null)
    );
    assert_eq!((&all[0]["lastUsedAt"], &all[0]["expiresAt"]), (&Value::Null, &Value::Null));
    assert_eq!((&all[1]["origin"], &all[1]["scope"]), (&json!("http://localhost:5173"), &json!("read")));
    let days = (all[1]["expiresAt"].as_i64().unwrap() - all[1]["createdAt"].as_i64().unwrap()) / 86_399;
    assert_eq!(days, 90);
    let mut members: Vec<&String> = all[0].as_object().unwrap().keys().collect();
    members.sort();
    let wanted = ["createdAt", "expiresAt", "id", "lastUsedAt", "name", "origin", "scope"];
    assert_eq!(members, wanted);
    assert!(works(home, &["token", "list"]).starts_with("ci    chat   used never"));
    for (arguments, why) in [
        (&["token", "create", "ci"][..], "there is a token \"ci\" already"),
        (&["token", "create", "a b"], "cannot be the name of a token"),
        (&["token", "create", "a", "--origin", "http://localhost:5173/"], "write \"http://localhost:5173\""),
        (&["token", "revoke", "nobody"], "there is no token \"nobody\""),
        (&["sessions", "revoke", "ci"], "there is no session \"ci\""),
    ] {
        let (code, stdout, stderr) = at(home, arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(stderr.contains(why), "{stderr}");
    }
    assert_eq!(works(home, &["token", "revoke", "ci"]), "token \"ci\" is revoked\n");
    let id = all[1]["id"].as_str().unwrap();
    let revoked: Value = serde_json::from_str(&works(home, &["token", "revoke", id, "--json"])).unwrap();
    assert_eq!(revoked["revoked"]["name"], "page");
    assert_eq!(works(home, &["token", "list"]), "no tokens\n");
    assert_eq!(works(home, &["sessions", "list"]), "no sessions\n");
}

#[test]
fn tokens_of_a_home_that_is_not_served_are_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    assert_eq!(works(&home, &["token", "list"]), "no tokens\n");
    assert!(!home.exists(), "a list makes nothing");
    tokens_are_made_listed_and_revoked(&home);
    token(&home, &["stays"]);
    assert_eq!(home.join("access.json").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // A server has the same tokens, and changes them.
    let serving = Serving::start(&home);
    assert_eq!(listed(&home, "token")[0]["name"], "stays");
    works(&home, &["token", "revoke", "stays"]);
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
    assert_eq!(works(&home, &["token", "list"]), "no tokens\n");
}

#[test]
fn the_server_of_a_home_changes_its_tokens() {
    let home = tempfile::tempdir().unwrap();
    let serving = Serving::start(home.path());
    tokens_are_made_listed_and_revoked(home.path());
    token(home.path(), &["stays"]);
    assert_eq!(serving.stop(Signal::SIGKILL), None);
    assert_eq!(listed(home.path(), "token")[0]["name"], "stays", "also after a kill");
}

#[test]
fn a_server_does_not_start_with_damaged_credentials_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    token(home.path(), &["ci"]);
    let file = home.path().join("access.json");
    let damaged = fs::read_to_string(&file).unwrap().replace('}', "");
    fs::write(&file, &damaged).unwrap();
    for arguments in
        [&["serve", "--listen", "ws://127.0.0.1:0"][..], &["token", "list"], &["token", "create", "a"]]
    {
        let (code, stdout, stderr) = at(home.path(), arguments);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(stderr.contains("access.json cannot be read") && stderr.contains("move it away"), "{stderr}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), damaged);
    let (code, out, _) = at(home.path(), &["doctor"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("credentials error"), "{out}");
}

#[test]
fn the_doctor_warns_of_credentials_that_others_can_read() {
    let home = tempfile::tempdir().unwrap();
    token(home.path(), &["ci"]);
    let word = home.path().join("word");
    fs::write(&word, "0123456789abcdef0123456789abcdef\n").unwrap();
    let (word, access) = (word.to_str().unwrap(), home.path().join("access.json"));
    for (mode, state) in [(0o600, "ok"), (0o640, "warning"), (0o602, "warning")] {
        fs::set_permissions(&access, fs::Permissions::from_mode(mode)).unwrap();
        fs::set_permissions(word, fs::Permissions::from_mode(mode)).unwrap();
        let report: Value =
            serde_json::from_str(&works(home.path(), &["doctor", "--json", "--ws-token-file", word]))
                .unwrap();
        for name in ["credentials", "token file"] {
            let finding = report["findings"].as_array().unwrap().iter().find(|one| one["name"] == name);
            assert_eq!(finding.unwrap()["state"], state, "{name}: {report}");
        }
    }
}

#[test]
fn the_token_of_the_peer_has_to_be_a_secret() {
    let home = tempfile::tempdir().unwrap();
    let short = home.path().join("short");
    fs::write(&short, "too-short\n").unwrap();
    let short = short.to_str().unwrap();
    let serve = ["serve", "--listen", "ws://127.0.0.1:0"];
    for (code, flags, why) in [
        (1, &["--ws-auth", "capability-token", "--ws-token-file", short][..], "fewer than 32"),
        (1, &["--ws-auth", "capability-token", "--ws-token-file", "/nowhere/token"], "cannot be read"),
        (1, &["--ws-auth", "capability-token", "--ws-token-sha256", "12"], "64 hexadecimal digits"),
        (1, &["--ws-auth", "capability-token"], "needs --ws-token-file FILE"),
        (2, &["--ws-token-file", short], "--ws-auth"),
        (1, &["--ws-auth", "capability-token", "--ws-issuer", "desk"], "--ws-auth signed-bearer-token"),
    ] {
        let (ended, stdout, stderr) = at(home.path(), &[&serve, flags].concat());
        assert_eq!((ended, stdout.as_str()), (Some(code), ""), "{flags:?}: {stderr}");
        assert!(stderr.contains(why) && !stderr.contains("too-short"), "{stderr}");
    }
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let flags = ["--ws-auth", "capability-token", "--ws-token-sha256", hash, "--home"];
    let serving = Serving::run(skein(&[&serve, &flags[..], &[home.path().to_str().unwrap()]].concat()));
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

#[test]
fn each_mistake_about_signed_tokens_has_one_line_with_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    let [short, good] = ["too-short", "0123456789abcdef0123456789abcdef"].map(|text| {
        let path = home.path().join(text.len().to_string());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    });
    let serve = ["serve", "--listen", "ws://127.0.0.1:0", "--ws-auth", "signed-bearer-token"];
    let secret = ["--ws-shared-secret-file", &good];
    for (flags, why) in [
        (vec![], "needs --ws-shared-secret-file FILE"),
        (vec!["--ws-shared-secret-file", &short], "has 9 bytes, fewer than 32: write a random one there"),
        (vec!["--ws-shared-secret-file", "/nowhere/secret"], "cannot be read: No such file"),
        (vec!["--ws-token-file", &good], "--ws-token-file belongs to --ws-auth capability-token"),
        ([&secret[..], &["--ws-token-sha256", "12"]].concat(), "--ws-token-sha256 belongs to"),
        ([&secret[..], &["--ws-issuer", " "]].concat(), "--ws-issuer is empty"),
        ([&secret[..], &["--ws-audience", ""]].concat(), "--ws-audience is empty"),
    ] {
        for command in ["serve", "app-server"] {
            let arguments = [&[command], &serve[1..], &flags[..]].concat();
            let (ended, stdout, stderr) = at(home.path(), &arguments);
            assert_eq!((ended, stdout.as_str()), (Some(1), ""), "{arguments:?}: {stderr}");
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
            assert!(stderr.contains(why) && !stderr.contains("too-short"), "{stderr}");
        }
    }
    let (ended, _, stderr) = at(home.path(), &[&serve[..], &["--ws-max-clock-skew-seconds", "-1"]].concat());
    assert_eq!(ended, Some(2), "{stderr}");
}

/// Sends the bearer's token to a server; its answer.
fn sent(address: &str, secret: &str) -> String {
    exchange(address, &format!("Authorization: Bearer {secret}\r\n"))
}

/// The answer to a request with these headers.
fn exchange(address: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address.strip_prefix("ws://").unwrap()).unwrap();
    let head = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn with_a_token_of_the_peer_every_program_on_tcp_sends_it_also_after_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let (home, word) = (folder.path().join("home"), "a-word-of-the-peer-with-enough-characters");
    let file = folder.path().join("token");
    fs::write(&file, word).unwrap();
    let mut serve = skein(&["serve", "--listen", "ws://127.0.0.1:0", "--home", home.to_str().unwrap()]);
    serve.args(["--ws-auth", "capability-token", "--ws-token-file", file.to_str().unwrap()]);
    let serving = Serving::run(serve);
    let address = serving.ready["address"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        assert!(sent(&address, word).starts_with("HTTP/1.1 200"));
        assert!(sent(&address, &word.to_uppercase()).starts_with("HTTP/1.1 401"));
        let without = exchange(&address, "");
        assert!(without.starts_with("HTTP/1.1 401") && without.contains("\"missing\""), "{without}");
        works(&home, &["call", ConfigMcpServerReload::INFO.wire]);
    }
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}

/// Every file below a folder, with its text.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut found = Vec::new();
    for entry in entries {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).unwrap();
            found.push((entry.path(), String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    found
}

/// The command line of a process, as every user of the machine can read it.
fn command_line(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap()
}

#[test]
fn no_secret_stands_in_a_log_a_file_an_answer_or_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    let (home, log) = (folder.path().join("home"), folder.path().join("log"));
    let word = "a-word-of-the-peer-with-enough-characters";
    let token_file = tempfile::NamedTempFile::new().unwrap();
    fs::write(token_file.path(), word).unwrap();
    let mut secrets = vec![token(&home, &["unserved"]), word.to_owned()];
    let mut serve = skein(&["serve", "--listen", "ws://127.0.0.1:0", "--home", home.to_str().unwrap()]);
    serve.args(["--ws-auth", "capability-token", "--ws-token-file", token_file.path().to_str().unwrap()]);
    serve.env("SKEIN_LOG", "trace").stderr(fs::File::create(&log).unwrap());
    let serving = Serving::run_with_log(serve);
    secrets.push(token(&home, &["served", "--origin", "http://localhost:5173"]));
    let address = serving.ready["address"].as_str().unwrap().to_owned();
    let mut texts: Vec<String> = secrets.iter().map(|secret| sent(&address, secret)).collect();
    texts.push(works(&home, &["call", ThreadStart::INFO.wire, "{}"]));
    texts.push(works(&home, &["call", SkeinCredentialList::INFO.wire]));
    texts.push(works(&home, &["call", ConfigRead::INFO.wire]));
    texts.push(works(&home, &["token", "list"]));
    texts.push(works(&home, &["token", "revoke", "served", "--json"]));
    texts.push(works(&home, &["status", "--json"]));
    texts.push(command_line(serving.child.id()));
    let backup = folder.path().join("backup.tar.gz");
    works(&home, &["backup", backup.to_str().unwrap(), "--with-secrets"]);
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
    let restored = folder.path().join("restored");
    works(&restored, &["restore", backup.to_str().unwrap()]);
    assert!(!restored.join("access.json").exists());
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.contains("TRACE"), "the log has every line");
    let found = files(folder.path());
    assert!(found.iter().any(|(path, _)| path.ends_with("access.json")));
    for secret in &secrets {
        // The random part alone would do for a thief, too.
        let core = secret.strip_prefix("skein_").unwrap_or(secret);
        for (path, text) in &found {
            assert!(!text.contains(core), "{}", path.display());
        }
        for text in &texts {
            assert!(!text.contains(core), "{text}");
        }
    }
}
