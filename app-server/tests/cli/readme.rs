//! The commands of README.md, as a newcomer types them.

use std::process::Command;

use nix::sys::signal::Signal;
use skein_protocol::methods::{ThreadRead, ThreadStart};
use skein_protocol::table::Method;

use super::{Serving, skein};

/// The thread of the examples.
const EXAMPLE: &str = "0199a8f0-5b0e-7c53-b0a5-6f0a3d1c2e4b";

/// The commands of a section, without those that only set up the shell.
fn commands(heading: &str) -> Vec<String> {
    // Cargo starts a test in the folder of its crate, Bazel at the top.
    let readme = ["../README.md", "README.md"].iter().find_map(|path| std::fs::read_to_string(path).ok());
    let readme = readme.unwrap();
    let section = readme.split("\n## ").find_map(|section| section.strip_prefix(heading)).unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    $ "));
    lines.filter(|line| line.starts_with("skein ")).map(str::to_owned).collect()
}

#[test]
fn the_first_minute_works_as_it_is_written() {
    let home = tempfile::tempdir().unwrap();
    let serving = Serving::start(home.path());
    let program = skein(&[]).get_program().to_owned();
    let folder = std::path::Path::new(&program).parent().unwrap().to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut thread = EXAMPLE.to_owned();
    let commands = commands("The first minute");
    assert_eq!(commands.len(), 4, "{commands:?}");
    for command in &commands {
        let typed = command.replace(EXAMPLE, &thread);
        let mut shell = Command::new("sh");
        shell.args(["-c", &typed]).env("PATH", &path).env("SKEIN_HOME", home.path());
        let output = shell.output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{typed}: {}", String::from_utf8_lossy(&output.stderr));
        if command.contains(<ThreadStart as Method>::INFO.wire) {
            let answer: serde_json::Value = serde_json::from_str(&printed).unwrap();
            thread = answer["thread"]["id"].as_str().unwrap().to_owned();
        }
        assert!(
            !command.contains(<ThreadRead as Method>::INFO.wire) || printed.contains("hello"),
            "{printed}"
        );
    }
    assert_eq!(serving.stop(Signal::SIGTERM), Some(0));
}
