//! The command line: sub-commands, and how the program ends.

mod app_server;
mod ask;
mod backup;
mod bridge;
mod bugreport;
mod call;
mod chat;
mod client;
mod cluster;
pub(crate) mod codex;
mod completions;
mod config;
mod conversation;
mod credentials;
mod database;
mod doctor;
mod editor;
mod export;
mod fsck;
mod help;
mod helpers;
mod home_alone;
mod import;
mod launch;
mod manual;
mod mcp;
mod migrate;
mod notify;
mod open;
mod origins;
mod out;
mod outputs;
mod pair;
mod progress;
mod questions;
mod reindex;
mod relay;
mod restore;
mod run;
mod serve;
mod service;
mod service_manager;
mod session;
mod socket;
mod state;
mod status;
mod stop;
#[cfg(test)]
mod tests;
mod threads;
mod top;
mod url;
mod words;
mod ws_auth;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::stat::{Mode, umask};
use skein_protocol::methods::SkeinHelpersList;
use tokio::runtime;

use out::{print_json, print_line, print_lines, say};

/// A websocket app-server that owns the life of threads (conversations with an agent).
#[derive(Debug, Parser)]
#[command(
    name = "skein",
    version,
    disable_version_flag = true,
    help_template = help::TEMPLATE,
    max_term_width = help::COLUMNS,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    /// The home to describe [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or
    /// ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Describe it as JSON, on one line.
    #[arg(long)]
    json: bool,
    /// Print the version.
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    /// Without a command: the state of the home.
    #[command(subcommand)]
    command: Option<SkeinCommand>,
}

#[derive(Debug, Subcommand)]
enum SkeinCommand {
    /// Serve a home until SIGTERM or SIGINT; a second signal shortens every wait of the stop.
    Serve(serve::Serve),
    /// Speak the protocol on standard input and output, a message a line, until the input ends: as a bridge to the
    /// server of the home, or as its server if there is none.
    AppServer(app_server::AppServer),
    /// Write a home into one file, served or not.
    Backup(backup::Backup),
    /// Write a text file for an issue: the doctor's findings, settings without secrets, counters of the server, the last
    /// log lines. It has no conversation, and is sent nowhere.
    #[command(name = "bugreport")]
    BugReport(bugreport::BugReport),
    /// Call a method of the running server and print its answer.
    Call(call::CallArgs),
    /// Talk in the terminal. Ctrl-C interrupts a turn, twice leaves.
    Chat(chat::Chat),
    /// Set up and look after a PostgreSQL database for the threads of a server (skein serve --store).
    Cluster(cluster::ClusterArgs),
    /// Make a link named codex in a folder, for programs that start a codex: under that name, skein answers their
    /// questions and is their app-server.
    CodexShim(codex::Shim),
    /// Print the completions of a shell for the words of this command line.
    Completions(completions::Completions),
    /// Write, check and show the settings of a home. Exit code 1: they have mistakes.
    Config(config::ConfigArgs),
    /// Try each means of containing helpers, and check a home and its settings. Changes nothing. Exit code 1: a
    /// configured part cannot work.
    Doctor(doctor::Doctor),
    /// Print what to paste into an editor, and where, so that it uses a home. Changes nothing. Without an editor, list
    /// them.
    Editor(editor::EditorArgs),
    /// Write one thread's history as JSON lines or Markdown. The home may be served. Exit code 4: unknown thread.
    Export(export::Export),
    /// Show the helpers of the running server and their processes.
    Helpers(ask::Ask),
    /// Import the threads of a home of Codex. Exit code 1: not all could be read; 3: a server has the home.
    Import(import::ImportArgs),
    /// Write the manual pages of all commands into a folder.
    Man(manual::Manual),
    /// Move all threads of a home into a database, or back, and set the originals aside. Exit code 1: not everything was moved, and
    /// another run goes on; 3: the home is in use.
    Migrate(migrate::Migrate),
    /// Show, change, import and test the helpers (MCP servers) of a home's settings. Exit code 1: it failed.
    Mcp(mcp::Mcp),
    /// Show, add and remove the origins of pages that may connect, in a home's settings. Exit code 1: it failed.
    Origins(origins::Origins),
    /// Check a home, and repair it where that is possible without loss. Exit codes as of fsck(8): 0 clean, 1
    /// repaired, 4 problems left, 8 operational error, 16 usage; or their sum.
    Fsck(fsck::Fsck),
    /// List, show and answer the questions that wait for a user, of all threads. Exit code 1: no such question waits, or
    /// somebody has answered it differently.
    Questions(questions::QuestionsArgs),
    /// Rebuild the list of threads of a home from its histories. Exit code 3: the home is in use.
    Reindex(reindex::Reindex),
    /// Open the page of a home. Where nobody serves the home, a server is started in the background. Without a
    /// browser, print the address. Exit code 1: there is no page.
    Open(open::OpenPage),
    /// Let the browser of a phone in: print a code for its camera, and ask before it comes in. Exit code 1: it did not, or no phone can
    /// reach the server.
    Pair(pair::Pair),
    /// Restore a backup into a home. Exit code 3: the home is in use.
    Restore(restore::Restore),
    /// Ask one thing and print the answer. Exit code 1: the turn failed; 4: nobody could answer a question; 130: it was
    /// interrupted.
    Run(run::Run),
    /// Serve a home by systemd, as a service of your user. Exit code 1: it does not serve.
    Service(service::ServiceArgs),
    /// Show and revoke the sessions of pages.
    Sessions(credentials::SessionsArgs),
    /// Show the running server and its threads.
    Status(status::StatusArgs),
    /// End the server of a home, and wait for its end. Exit code 1: nobody serves the home.
    Stop(stop::StopServer),
    /// List, search, show, rename, archive and delete threads.
    Threads(threads::Threads),
    /// Show threads, helpers and memory of the running server as they change; unload threads.
    Top(top::Top),
    /// Create, show and revoke the tokens of programs and pages.
    Token(credentials::TokenArgs),
    /// Print an address that lets a browser in, as the only line of stdout. It is good for 30 s, once. Exit code 1:
    /// nobody serves the home, or not at a port.
    Url(url::PageUrl),
}

/// The running server to use.
#[derive(Debug, Args)]
struct Where {
    /// The home that it serves [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Its websocket address; otherwise the home's control socket is used.
    #[arg(long, value_name = "URL", conflicts_with = "home")]
    url: Option<String>,
}

/// Reads the command line; ends the program after help or an error.
pub(crate) fn parse() -> Cli {
    let arguments = words::translated(std::env::args_os().collect());
    Cli::try_parse_from(&arguments).unwrap_or_else(|error| {
        if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) {
            say(words::unknown(&arguments, word));
            std::process::exit(error.exit_code());
        }
        // The codes of fsck are those of fsck(8), where 2 means something else.
        let is_fsck = std::env::args_os().nth(1).is_some_and(|command| command == "fsck");
        end(&error, if is_fsck { i32::from(fsck::USAGE) } else { error.exit_code() })
    })
}

/// Ends the program after help, or with this code and the error in the arguments, which may contain texts of others.
pub(crate) fn end(error: &clap::Error, code: i32) -> ! {
    if error.use_stderr() {
        out::print_error(&error.render().to_string());
        std::process::exit(code)
    }
    error.exit()
}

/// Runs the command; prints its error on stderr.
pub(crate) fn run(cli: Cli) -> ExitCode {
    own_files();
    survive_full_files();
    let Some(command) = cli.command else {
        return code(wait(state::show(cli.home.as_ref(), cli.json)).map(|()| ExitCode::SUCCESS));
    };
    code(dispatch(command))
}

fn dispatch(command: SkeinCommand) -> anyhow::Result<ExitCode> {
    let well = |()| ExitCode::SUCCESS;
    match command {
        SkeinCommand::Serve(serve) => serve.run(),
        SkeinCommand::AppServer(app_server) => app_server.run(),
        SkeinCommand::Backup(backup) => backup.run(),
        SkeinCommand::BugReport(report) => wait(report.run()),
        SkeinCommand::Call(call) => wait(call.run()).map(well),
        SkeinCommand::Chat(chat) => session::run(chat.run()),
        SkeinCommand::Cluster(cluster) => wait(cluster.run()),
        SkeinCommand::CodexShim(shim) => shim.run().map(well),
        SkeinCommand::Completions(completions) => completions.run().map(well),
        SkeinCommand::Config(config) => config.run(),
        SkeinCommand::Doctor(doctor) => wait(doctor.run()),
        SkeinCommand::Editor(editor) => wait(editor.run()).map(well),
        SkeinCommand::Export(export) => wait(export.run()),
        SkeinCommand::Helpers(ask) => wait(ask.run::<SkeinHelpersList>(helpers::table)).map(well),
        SkeinCommand::Man(manual) => manual.run().map(well),
        SkeinCommand::Mcp(mcp) => wait(mcp.run()),
        SkeinCommand::Migrate(migrate) => wait(migrate.run()),
        SkeinCommand::Open(open) => wait(open.run()).map(well),
        SkeinCommand::Pair(pair) => wait(pair.run()),
        SkeinCommand::Origins(origins) => wait(origins.run()),
        SkeinCommand::Import(import) => wait(import.run()),
        SkeinCommand::Fsck(fsck) => wait(async { Ok(fsck.run().await) }),
        SkeinCommand::Reindex(reindex) => wait(reindex.run()),
        SkeinCommand::Restore(restore) => wait(restore.run()),
        SkeinCommand::Run(run) => session::run(run.run()),
        SkeinCommand::Service(service) => wait(service.run()),
        SkeinCommand::Sessions(sessions) => wait(sessions.run()),
        SkeinCommand::Stop(stop) => wait(stop.run()),
        SkeinCommand::Questions(questions) => session::run(questions.run()),
        SkeinCommand::Threads(threads) => session::run(threads.run()),
        SkeinCommand::Token(token) => wait(token.run()),
        SkeinCommand::Top(top) => wait(top.run()).map(well),
        SkeinCommand::Status(status) => wait(status.run()).map(well),
        SkeinCommand::Url(url) => wait(url.run()).map(well),
    }
}

/// Keeps read and write access for this user on all new files, whatever the umask. Others stay excluded.
fn own_files() {
    let found = umask(Mode::empty());
    umask(found.difference(Mode::S_IRWXU));
}

/// A write above the file size limit (RLIMIT_FSIZE) fails like a full disk instead of ending the process. Other programs
/// that this one starts have the default again.
fn survive_full_files() {
    extern "C" fn nothing(_signal: nix::libc::c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing. Without it the process ends, as before.
    unsafe { sigaction(Signal::SIGXFSZ, &action) }.ok();
}

/// The exit code of a command; prints its error on stderr.
pub(crate) fn code(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        say(out::with_way_out(&error));
        ExitCode::FAILURE
    })
}

/// A client does one thing at a time.
fn one_thread() -> anyhow::Result<runtime::Runtime> {
    runtime::Builder::new_current_thread().enable_all().build().context("no runtime")
}

fn wait<T>(command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    one_thread()?.block_on(command)
}

/// The home to use, existing or not.
fn home(flag: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    Ok(skein_config::home(flag.map(PathBuf::as_path), &|name| std::env::var_os(name))?)
}
