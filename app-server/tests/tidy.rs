//! The walls of the house that clippy cannot hold. Each says what it keeps apart, why, and where the thing belongs;
//! each is tried on examples that must fail before it is tried on the sources.

#[path = "tidy/bazel.rs"]
mod bazel;
#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/lex.rs"]
mod lex;
#[path = "tidy/limits.rs"]
mod limits;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/order.rs"]
mod order;
#[path = "tidy/reasons.rs"]
mod reasons;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/walls.rs"]
mod walls;
#[path = "tidy/words.rs"]
mod words;

use source::{Source, workspace};
use walls::Wall;

/// Fails when the wall lets a bad example through, stops a good one, or is broken by a file of the workspace.
fn holds(wall: &Wall) {
    for (path, text) in &wall.bad {
        assert_ne!(wall.broken_by(&Source::new(path, text)), [0; 0], "should be stopped: {path}: {text}");
    }
    for (path, text) in &wall.good {
        assert_eq!(wall.broken_by(&Source::new(path, text)), [0; 0], "should pass: {path}: {text}");
    }
    let mut found = String::new();
    for source in workspace() {
        for line in wall.broken_by(source) {
            let text = source.text.lines().nth(line - 1).unwrap_or_default().trim();
            found += &format!("\n  {}:{line}: {text}", source.path);
        }
    }
    assert!(found.is_empty(), "{}{found}", wall.why);
}

#[test]
fn tidy_finds_the_sources() {
    let seen: Vec<&str> = workspace().iter().map(|source| source.path.as_str()).collect();
    for path in ["app-server/crates/base/src/tasks.rs", "protocol/src/lib.rs", "integration-tests/src/lib.rs"]
    {
        assert!(seen.contains(&path), "{path} is not among {seen:?}");
    }
}

#[test]
fn the_protocol_has_no_runtime_no_files_and_no_clock() {
    holds(&walls::protocol_is_pure());
}

#[test]
fn crates_are_imported_in_one_direction() {
    holds(&crates::one_direction());
}

#[test]
fn rooms_import_only_rooms_below() {
    holds(&order::rooms_below());
}

#[test]
fn integration_tests_know_only_the_server_from_outside() {
    holds(&crates::server_from_outside());
}

#[test]
fn processes_are_born_in_one_file() {
    holds(&walls::one_birthplace());
}

#[test]
fn tasks_are_started_in_one_file() {
    holds(&walls::one_starter());
}

#[test]
fn every_queue_is_bounded() {
    holds(&walls::bounded_queues());
}

#[test]
fn time_is_read_in_one_file() {
    holds(&walls::one_clock());
}

#[test]
fn the_two_maps_never_wait() {
    holds(&walls::maps_never_wait());
}

#[test]
fn concurrent_maps_live_in_two_files() {
    holds(&walls::two_maps());
}

#[test]
fn no_file_is_longer_than_a_room() {
    holds(&walls::rooms());
}

#[test]
fn method_names_stand_in_the_table_only() {
    holds(&walls::one_table());
}

#[test]
fn tests_wait_for_facts() {
    holds(&walls::no_sleep());
}

#[test]
fn a_result_is_dropped_for_a_reason() {
    holds(&walls::reasoned_drops());
}

#[test]
fn errors_have_types_inside_the_server() {
    holds(&walls::typed_errors());
}

#[test]
fn nothing_names_a_machine_or_a_tracker() {
    holds(&walls::timeless());
}

#[test]
fn names_are_words_of_the_field() {
    holds(&words::names_of_the_field());
}

#[test]
fn sentences_of_comments_have_subjects() {
    holds(&words::sentences_with_subjects());
}

#[test]
fn documents_keep_to_their_length() {
    holds(&documents::lengths());
}

#[test]
fn lines_of_the_methods_are_short() {
    holds(&documents::widths());
}

#[test]
fn entries_of_the_changelog_are_short() {
    holds(&documents::changes());
}

#[test]
fn a_type_name_means_one_thing() {
    names::mean_one_thing(workspace());
}

#[test]
fn the_list_of_reasons_is_complete() {
    reasons::are_complete();
}

#[test]
fn links_of_documents_lead_somewhere() {
    holds(&documents::links());
}

#[test]
fn paths_in_documents_are_there() {
    holds(&documents::paths());
}

#[test]
fn claims_of_security_name_tests_that_exist() {
    holds(&documents::tests_of_claims());
}

#[test]
fn each_decision_is_in_the_list() {
    holds(&documents::listed_decisions());
}

#[test]
fn scripts_know_the_flags_that_documents_give_them() {
    holds(&documents::flags_of_scripts());
}

#[test]
fn sentences_of_the_first_pages_are_short() {
    holds(&documents::sentences());
}

#[test]
fn documents_use_the_words_of_the_field() {
    holds(&documents::words());
}

#[test]
fn the_document_of_limits_is_as_generated() {
    limits::is_as_generated();
}
