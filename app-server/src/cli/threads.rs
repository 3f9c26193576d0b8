//! `skein threads`: the conversations of a home.

pub(super) mod find;
pub(super) mod list;
pub(super) mod show;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use schemars::JsonSchema;
use serde::Serialize;
use skein_protocol::extension::SkeinThreadUnloadParams;
use skein_protocol::methods::{
    SkeinThreadUnload, ThreadArchive, ThreadDelete, ThreadNameSet, ThreadUnarchive,
};
use skein_protocol::thread::{
    ThreadArchiveParams, ThreadDeleteParams, ThreadSetNameParams, ThreadUnarchiveParams,
};

use super::outputs::{ArchivedOutcome, DeletedOutcome, RenamedOutcome, UnarchivedOutcome, UnloadedOutcome};
use super::session::HomeClient;
use super::{print_json, print_line};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Threads {
    #[command(flatten)]
    list: list::ListThreads,
    #[command(subcommand)]
    command: Option<ThreadsCommand>,
}

#[derive(Debug, Subcommand)]
enum ThreadsCommand {
    /// List threads, the newest first.
    List(list::ListThreads),
    /// Find threads by words of their name or messages.
    Search(list::SearchThreads),
    /// Print the conversation of a thread.
    Show(show::Show),
    /// Print the newest turn of a thread, then each event until Ctrl-C. The thread stays as it is.
    Tail(show::TailThread),
    /// Give a thread a name.
    Rename(Rename),
    /// Archive a thread.
    Archive(OneThread),
    /// Bring an archived thread back.
    Unarchive(OneThread),
    /// Delete a thread. Its file stays in the trash of the home for a while.
    Delete(OneThread),
    /// Unload a thread and stop its MCP servers. Its history stays.
    Unload(UnloadThread),
}

/// The home, and the form of the output.
#[derive(Debug, Clone, Args)]
pub(super) struct ThreadsHome {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    pub(super) home: Option<PathBuf>,
    /// Print the outcome as JSON, on one line.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
struct OneThread {
    /// Its id, a unique part of the id, or @1 for the newest.
    thread: String,
    #[command(flatten)]
    target: ThreadsHome,
}

#[derive(Debug, Args)]
struct Rename {
    /// Its id, a unique part of the id, or @1 for the newest.
    thread: String,
    /// The new name.
    name: String,
    #[command(flatten)]
    target: ThreadsHome,
}

#[derive(Debug, Args)]
struct UnloadThread {
    /// Its id, a unique part of the id, or @1 for the newest.
    thread: String,
    /// Interrupt a running turn.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    target: ThreadsHome,
}

impl Threads {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let Some(command) = self.command else { return self.list.run().await.map(|()| ExitCode::SUCCESS) };
        let done = match command {
            ThreadsCommand::List(list) => list.run().await,
            ThreadsCommand::Search(search) => search.run().await,
            ThreadsCommand::Show(show) => show.run().await,
            ThreadsCommand::Tail(tail) => tail.run().await,
            ThreadsCommand::Rename(rename) => rename.run().await,
            ThreadsCommand::Archive(one) => one.archive().await,
            ThreadsCommand::Unarchive(one) => one.unarchive().await,
            ThreadsCommand::Delete(one) => one.delete().await,
            ThreadsCommand::Unload(unload) => unload.run().await,
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

/// Does something with a client of the home, which leaves afterwards, also after an error.
pub(super) async fn with_home<T>(
    target: &ThreadsHome,
    work: impl AsyncFnOnce(&mut HomeClient) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut home = HomeClient::open(target.home.clone(), target.json).await?;
    let done = work(&mut home).await;
    home.close().await;
    done
}

/// Prints what happened to a thread.
fn report<T: Serialize + JsonSchema>(
    target: &ThreadsHome,
    outcome: &T,
    sentence: &str,
) -> anyhow::Result<()> {
    if target.json { print_json(outcome) } else { print_line(sentence) }
}

impl OneThread {
    async fn archive(self) -> anyhow::Result<()> {
        let id = with_home(&self.target, async |home| {
            let id = find::thread(home, &self.thread).await?;
            home.call::<ThreadArchive>(&ThreadArchiveParams { thread_id: id }).await?;
            Ok(id)
        });
        let id = id.await?;
        report(&self.target, &ArchivedOutcome { archived: id }, &format!("thread {id} is archived"))
    }

    async fn unarchive(self) -> anyhow::Result<()> {
        let id = with_home(&self.target, async |home| {
            let id = find::thread(home, &self.thread).await?;
            home.call::<ThreadUnarchive>(&ThreadUnarchiveParams { thread_id: id }).await?;
            Ok(id)
        });
        let id = id.await?;
        report(
            &self.target,
            &UnarchivedOutcome { unarchived: id },
            &format!("thread {id} is back in the list"),
        )
    }

    async fn delete(self) -> anyhow::Result<()> {
        let id = with_home(&self.target, async |home| {
            let id = find::thread(home, &self.thread).await?;
            home.call::<ThreadDelete>(&ThreadDeleteParams { thread_id: id }).await?;
            Ok(id)
        });
        let id = id.await?;
        report(&self.target, &DeletedOutcome { deleted: id }, &format!("thread {id} is deleted"))
    }
}

impl Rename {
    async fn run(self) -> anyhow::Result<()> {
        let id = with_home(&self.target, async |home| {
            let id = find::thread(home, &self.thread).await?;
            let name = self.name.clone();
            home.call::<ThreadNameSet>(&ThreadSetNameParams { name, thread_id: id }).await?;
            Ok(id)
        });
        let (id, name) = (id.await?, &self.name);
        let sentence = format!("thread {id} is now named {name:?}");
        report(&self.target, &RenamedOutcome { renamed: id, name }, &sentence)
    }
}

impl UnloadThread {
    async fn run(self) -> anyhow::Result<()> {
        let done = with_home(&self.target, async |home| {
            let id = find::thread(home, &self.thread).await?;
            let params = SkeinThreadUnloadParams { thread_id: id, force: self.force };
            Ok((id, home.call::<SkeinThreadUnload>(&params).await?.state))
        });
        let (id, state) = done.await?;
        report(
            &self.target,
            &UnloadedOutcome { thread: id, state },
            &format!("thread {id} is not loaded any more"),
        )
    }
}
