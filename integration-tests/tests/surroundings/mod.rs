//! Homes and environments of every kind. Each row of the table names surroundings and the outcome for Skein;
//! [`play`] runs a row. If another module tests a mechanism, the row here is short.
//!
//! A row that this machine or user cannot provide prints `SKIPPED` on stderr.

mod conversation;
mod folders;
mod homes;
mod limits;
mod namespace;
mod place;
mod play;
mod signals;
mod standard_streams;
mod systems;
mod variables;

use anyhow::Result;

/// Outcome for Skein in some surroundings.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// Every command works, the messages survive a restart, and no process is left.
    Works,
    /// Like `Works`, and the server's log contains these words.
    WorksAndLogs(&'static [&'static str]),
    /// The server starts, but refuses turns with these words. It answers everything else, and stops on a
    /// signal.
    RefusesTurns(&'static [&'static str]),
    /// Neither `serve` nor `app-server` starts. Both exit with this code, and stderr names the cause and the
    /// remedy.
    Refuses(i32, &'static [&'static str]),
    /// Like `Refuses`, for `serve` alone.
    Fails(i32, &'static [&'static str]),
}

use Outcome::{Fails, Refuses, RefusesTurns, Works, WorksAndLogs};

/// A row: its name, the function that prepares its surroundings, and the outcome.
macro_rules! row {
    ($name:ident, $surroundings:expr, $outcome:expr) => {
        #[tokio::test]
        async fn $name() -> Result<()> {
            play::row(stringify!($name), $surroundings, $outcome).await
        }
    };
}

// Homes.
row!(an_ordinary_home, homes::ordinary, Works);
row!(a_home_that_is_not_there_yet, homes::missing, Works);
row!(a_home_by_a_relative_path, homes::relative, Works);
row!(a_home_behind_a_link, homes::behind_a_link, Works);
row!(
    a_home_behind_a_link_to_nothing,
    homes::behind_a_link_to_nothing,
    Refuses(1, &["/home: it is a link to nowhere, which is not there; make that folder"])
);
row!(a_home_that_is_a_file, homes::a_file, Refuses(1, &["/home/config.toml", "Not a directory"]));
row!(a_home_whose_path_is_not_utf8, homes::not_utf8, Works);
row!(a_home_whose_path_has_a_space_and_a_line_feed, homes::with_a_line_feed, Works);
row!(a_home_whose_path_is_too_long_for_a_socket, homes::too_long_for_a_socket, Works);
row!(a_home_that_everybody_may_write, homes::open_to_all, Works);
row!(a_home_on_another_file_system, homes::on_another_file_system, Works);
row!(
    a_home_on_a_read_only_file_system,
    homes::read_only,
    Refuses(1, &["/lock", "Read-only file system", "name another home"])
);
row!(a_home_behind_a_folder_of_another_user, homes::of_another_user, Refuses(1, &[play::DENIED]));

// Folders in the home.
row!(threads_behind_a_link, folders::threads_behind_a_link, Works);
row!(threads_behind_a_link_to_another_file_system, folders::threads_on_another_disk, Works);
row!(archived_threads_behind_a_link_to_another_file_system, folders::archive_on_another_disk, Works);
row!(threads_on_a_file_system_of_their_own, folders::threads_mounted, Works);
row!(archived_threads_on_a_file_system_of_their_own, folders::archive_mounted, Works);
row!(
    threads_behind_a_link_to_nothing,
    folders::threads_behind_a_lost_link,
    Refuses(1, &["/home/threads: it is a link to nowhere, which is not there; make that folder"])
);
row!(
    threads_that_are_a_file,
    folders::threads_a_file,
    Refuses(1, &["/home/threads: it is not a folder; move it away"])
);
row!(
    archived_threads_behind_a_link_to_nothing,
    folders::archive_behind_a_lost_link,
    Refuses(1, &["/home/archived: it is a link to nowhere, which is not there; make that folder"])
);
row!(
    threads_on_a_read_only_file_system,
    folders::threads_read_only,
    RefusesTurns(&["Read-only file system"])
);
row!(
    a_lock_behind_a_link,
    folders::lock_behind_a_link,
    Refuses(1, &["/home/lock: it is a link; move it away"])
);
row!(
    settings_behind_a_link_to_nothing,
    folders::settings_behind_a_lost_link,
    Refuses(1, &["/home/config.toml", "it is a link to", "which is not there"])
);
row!(settings_that_others_can_read, folders::settings_open_to_all, WorksAndLogs(&["chmod 600 it"]));

// The environment.
row!(an_empty_environment, variables::none, Works);
row!(a_path_without_programs, variables::path_without_programs, Works);
row!(a_folder_for_temporary_files_that_is_not_there, variables::no_temporary_folder, Works);
row!(a_language_without_utf8_and_an_unknown_time_zone, variables::odd_language_and_zone, Works);
row!(
    no_home_named_anywhere,
    variables::no_home,
    Refuses(1, &["no home folder: set SKEIN_HOME, or say --home"])
);
row!(a_umask_of_nothing, variables::open_umask, Works);
row!(a_umask_of_everything, variables::closed_umask, Works);

// The system.
row!(
    no_proc,
    systems::no_proc,
    Refuses(1, &["/proc/self/exe cannot be opened", "mount /proc", "--guard PATH"])
);
row!(
    no_proc_and_a_guard_by_name,
    systems::no_proc_with_a_guard,
    WorksAndLogs(&["processes of a former server's helpers may be left"])
);

// Limits.
row!(files_of_two_megabytes_at_most, limits::files_of_2_mb, Works);
row!(
    files_of_a_few_bytes_at_most,
    limits::files_of_512_bytes,
    RefusesTurns(&["its file may not grow (ulimit -f", "File too large"])
);
row!(files_without_content, limits::files_of_nothing, Refuses(1, &["/lock", "File too large", "ulimit -f"]));
row!(descriptors_for_one_helper, limits::descriptors(96), Works);
row!(too_few_descriptors, limits::descriptors(16), Refuses(1, &["16 files", "ulimit -Hn"]));
row!(too_few_threads, limits::threads(4), Refuses(1, &["threads", "ulimit -u"]));

// Standard streams.
row!(standard_streams_that_are_closed, standard_streams::closed, Works);
row!(nobody_reads_stdout_any_more, standard_streams::stdout_gone, Works);
row!(nobody_reads_stderr_any_more, standard_streams::stderr_gone, Works);
row!(a_stdout_that_is_full, standard_streams::stdout_full, Works);
row!(
    a_stdout_on_a_full_disk,
    standard_streams::stdout_on_a_full_disk,
    Fails(1, &["stdout: No space left on device"])
);
row!(a_stderr_that_is_full, standard_streams::stderr_full, Works);

// Signals.
row!(a_server_that_is_stopped_and_continued_in_a_turn, signals::stopped_and_continued, Works);
row!(ctrl_z_in_a_turn, signals::ctrl_z, Works);
row!(the_end_of_the_terminal_in_a_turn, signals::hang_up, Works);
row!(a_server_that_is_killed, signals::killed, Works);
