//! The command line: what can be asked of the program, and how it ends.

mod app_server;
mod ask;
mod backup;
mod bridge;
mod call;
mod client;
pub(crate) mod codex;
mod doctor;
mod export;
mod fsck;
mod helpers;
mod home_alone;
mod import;
mod mcp;
mod out;
mod progress;
mod reindex;
mod restore;
mod serve;
mod socket;
mod status;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use nix::sys::stat::{Mode, umask};
use skein_app_server::config;
use skein_protocol::methods::{SkeinHelpersList, SkeinStatus};
use tokio::runtime;

use out::{causes, print_line, print_lines, say};

/// A websocket app-server that owns the life of threads (conversations with an agent).
#[derive(Debug, Parser)]
#[command(name = "skein", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a home until SIGTERM or SIGINT; a second signal shortens every wait of the stop.
    Serve(serve::Serve),
    /// Speak the protocol on standard input and output, a message a line, until the input ends: as a bridge to the server of the
    /// home, or as its server where it has none.
    AppServer(app_server::AppServer),
    /// Write what a home holds into one file, whether it is served or not.
    Backup(backup::Backup),
    /// Call a method of the running server and print its answer.
    Call(call::Call),
    /// Make a link by the name of codex in a folder, for programs that start a codex: called by that name, skein answers what they
    /// ask, and is their app-server.
    CodexShim(codex::Shim),
    /// Say what would hold helpers here, each means tried, and what is wrong with a home and its settings. Changes nothing.
    /// Exit code 1: something that is configured cannot work.
    Doctor(doctor::Doctor),
    /// Write one thread's history as JSON lines or Markdown. The home may be served. Exit code 4: there is no such thread.
    Export(export::Export),
    /// Show the helpers of the running server and their processes.
    Helpers(ask::Ask),
    /// Take the threads of a home of Codex over. Exit code 1: not all could be read; 3: a server has the home.
    Import(import::Import),
    /// Show, change, import and try the helpers (MCP servers) of a home's settings. Exit code 1: it could not be done.
    Mcp(mcp::Mcp),
    /// Check a home, say what is wrong, and mend it where that is possible without loss. Exit codes as of fsck(8): 0 clean,
    /// 1 mended, 4 something is left, 8 it could not be checked, 16 usage; or their sum.
    Fsck(fsck::Fsck),
    /// Make the list of threads of a home anew from its histories. Exit code 3: somebody else has the home.
    Reindex(reindex::Reindex),
    /// Put what is in a backup into a home. Exit code 3: somebody else has the home.
    Restore(restore::Restore),
    /// Show what the running server holds and has done.
    Status(ask::Ask),
}

/// Which running server is meant.
#[derive(Debug, Args)]
struct Where {
    /// The home that it serves [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Its websocket address; otherwise the home's control socket is used.
    #[arg(long, value_name = "URL", conflicts_with = "home")]
    url: Option<String>,
}

/// Reads the command line; ends the program where it asks for help, or cannot be understood.
pub(crate) fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| {
        // The codes of fsck are those of fsck(8), in which 2 means something else.
        let is_fsck = std::env::args_os().nth(1).is_some_and(|command| command == "fsck");
        end(&error, if is_fsck { i32::from(fsck::USAGE) } else { error.exit_code() })
    })
}

/// Ends the program with the help that was asked for, or with this code and what is wrong with the arguments. They may hold texts of
/// others.
pub(crate) fn end(error: &clap::Error, code: i32) -> ! {
    if error.use_stderr() {
        out::print_error(&error.render().to_string());
        std::process::exit(code)
    }
    error.exit()
}

/// Does what was asked, and says on stderr why it could not.
pub(crate) fn run(cli: Cli) -> ExitCode {
    own_files();
    let well = |()| ExitCode::SUCCESS;
    let done = match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::AppServer(app_server) => app_server.run(),
        Command::Backup(backup) => backup.run(),
        Command::Call(call) => one_thread().and_then(|runtime| runtime.block_on(call.run())).map(well),
        Command::CodexShim(shim) => shim.run().map(well),
        Command::Doctor(doctor) => one_thread().and_then(|runtime| runtime.block_on(doctor.run())),
        Command::Export(export) => one_thread().and_then(|runtime| runtime.block_on(export.run())),
        Command::Helpers(ask) => one_thread()
            .and_then(|runtime| runtime.block_on(ask.run::<SkeinHelpersList>(helpers::table)))
            .map(well),
        Command::Mcp(mcp) => one_thread().and_then(|runtime| runtime.block_on(mcp.run())),
        Command::Import(import) => one_thread().and_then(|runtime| runtime.block_on(import.run())),
        Command::Fsck(fsck) => one_thread().map(|runtime| runtime.block_on(fsck.run())),
        Command::Reindex(reindex) => one_thread().and_then(|runtime| runtime.block_on(reindex.run())),
        Command::Restore(restore) => one_thread().and_then(|runtime| runtime.block_on(restore.run())),
        Command::Status(ask) => {
            one_thread().and_then(|runtime| runtime.block_on(ask.run::<SkeinStatus>(status::table))).map(well)
        }
    };
    code(done)
}

/// Lets this user read and write every file and folder that this program makes, whatever the umask says. It keeps others out as before.
fn own_files() {
    let found = umask(Mode::empty());
    umask(found.difference(Mode::S_IRWXU));
}

/// The exit code of what was done; says on stderr why it could not be.
pub(crate) fn code(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        say(causes(&error));
        ExitCode::FAILURE
    })
}

/// A client has one thing to do at a time.
fn one_thread() -> anyhow::Result<runtime::Runtime> {
    runtime::Builder::new_current_thread().enable_all().build().context("no runtime")
}

/// The home that is meant, whether it is there or not.
fn home(flag: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    Ok(config::home(flag.map(PathBuf::as_path), &|name| std::env::var_os(name))?)
}
