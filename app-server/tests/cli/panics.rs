//! What a panic looks like on stderr.

use std::process::Command;

use skein_app_server::telemetry::{self, Stderr};

/// Set for the process that panics.
const PANICS: &str = "SKEIN_TEST_PANICS";

#[test]
fn a_panic_is_one_line_of_the_log_where_each_line_has_to_be_one() {
    if std::env::var_os(PANICS).is_some() {
        return panic_as_a_client_of_codex_sees_it();
    }
    let test = "panics::a_panic_is_one_line_of_the_log_where_each_line_has_to_be_one";
    let mut again = Command::new(std::env::current_exe().unwrap());
    let output = again.args(["--exact", test, "--nocapture"]).env(PANICS, "1").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains("Z  WARN ") && lines[0].contains("as planned"), "{said}");
}

fn panic_as_a_client_of_codex_sees_it() {
    telemetry::start_in_lines();
    // The server in the same process does this as well.
    telemetry::start(Stderr::Queued);
    assert!(std::panic::catch_unwind(|| panic!("as planned")).is_err());
    telemetry::flush();
}
