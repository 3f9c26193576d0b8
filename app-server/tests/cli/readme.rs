//! The commands of README.md, as a newcomer types them.

use std::process::Command;

use super::skein;

/// The commands of a section, without those that only set up the shell.
fn commands(heading: &str) -> Vec<String> {
    // Cargo starts a test in the folder of its crate, Bazel at the top.
    let readme = ["../README.md", "README.md"].iter().find_map(|path| std::fs::read_to_string(path).ok());
    let readme = readme.unwrap();
    let section = readme.split("\n## ").find_map(|section| section.strip_prefix(heading)).unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    $ "));
    lines.filter(|line| !line.starts_with("export ")).map(str::to_owned).collect()
}

#[test]
fn the_first_minute_works_as_it_is_written() {
    let home = tempfile::tempdir().unwrap();
    let program = skein(&[]).get_program().to_owned();
    let folder = std::path::Path::new(&program).parent().unwrap().to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let commands = commands("The first minute");
    assert_eq!(commands.len(), 7, "{commands:?}");
    for command in &commands {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).env("PATH", &path).env("SKEIN_HOME", home.path()).env_remove("SKEIN_LOG");
        let output = shell.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let wanted = match command.split_whitespace().nth(1) {
            Some("open") => "http://127.0.0.1:",
            Some("hello") | Some("run") => "hello",
            Some("stop") => "has ended",
            Some("call") => "\"nextCursor\"",
            Some("threads") => "assistant: hello",
            _ => "",
        };
        assert!(printed.contains(wanted), "{command}: {printed}");
    }
    // The background server has ended.
    let state = skein(&["--json", "--home", home.path().to_str().unwrap()]).output().unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state.stdout).unwrap();
    assert_eq!(state["server"], serde_json::Value::Null);
}
