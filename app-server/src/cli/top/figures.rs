//! The figures of a running server: three requests for each look, and one for the name of each new thread.

use std::collections::HashMap;

use anyhow::Context;
use serde::Serialize;
use serde_json::value::RawValue;
use skein_protocol::envelope;
use skein_protocol::extension::{HelperDetail, LoadedThread, SkeinThreadUnloadParams, UnloadOutcome};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    SkeinHelpersList, SkeinStatus, SkeinThreadUnload, ThreadLoadedList, ThreadRead,
};
use skein_protocol::table::Method;
use skein_protocol::thread::ThreadReadParams;

use super::super::client::{CliClient, RequestError};
use super::super::status;
use super::super::threads::list;

/// Names are read again after so many looks.
const NAMES_KEPT: u32 = 10;

/// A connection to the server.
pub(super) struct Source {
    client: CliClient,
    names: HashMap<ThreadId, String>,
    looks: u32,
}

/// The state of a server at one moment.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    /// A sentence about the server.
    pub(super) server: String,
    /// Resident memory of the server, in bytes.
    pub(super) memory: u64,
    pub(super) connections: u64,
    /// The questions that wait for the user.
    pub(super) questions: u64,
    pub(super) threads: Vec<ThreadFigures>,
    /// The helpers of no thread.
    pub(super) unused: Vec<HelperDetail>,
}

/// A thread in memory.
#[derive(Debug, Clone)]
pub(super) struct ThreadFigures {
    pub(super) name: String,
    pub(super) thread: LoadedThread,
    /// Its helpers. One that threads share is with each of them.
    pub(super) helpers: Vec<HelperDetail>,
}

impl ThreadFigures {
    /// Resident memory of its helpers, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.helpers.iter().map(|helper| helper.memory_bytes).sum()
    }
}

impl Figures {
    /// Resident memory of all helpers, each counted once, in bytes.
    pub(super) fn helper_memory(&self) -> u64 {
        let each = self.threads.iter().flat_map(|row| {
            let first = |helper: &&HelperDetail| helper.thread_id == Some(row.thread.thread_id);
            row.helpers.iter().filter(first)
        });
        each.chain(&self.unused).map(|helper| helper.memory_bytes).sum()
    }
}

impl Source {
    pub(super) fn over(client: CliClient) -> Self {
        Self { client, names: HashMap::new(), looks: 0 }
    }

    /// Reads all figures.
    ///
    /// # Errors
    /// The server is gone, or of another version.
    pub(super) async fn look(&mut self) -> anyhow::Result<Figures> {
        if self.looks.is_multiple_of(NAMES_KEPT) {
            self.names.clear();
        }
        self.looks = self.looks.wrapping_add(1);
        let status = self.ask::<SkeinStatus>(None::<&()>).await?;
        let helpers = self.ask::<SkeinHelpersList>(None::<&()>).await?.data;
        let loaded = self.ask::<ThreadLoadedList>(None::<&()>).await?;
        let mut threads = Vec::with_capacity(loaded.data.len());
        for thread in loaded.skein.unwrap_or_default().threads {
            let id = thread.thread_id;
            let name = self.name(id).await?;
            let of_thread = |helper: &&HelperDetail| helper.thread_ids.contains(&id);
            threads.push(ThreadFigures {
                name,
                thread,
                helpers: helpers.iter().filter(of_thread).cloned().collect(),
            });
        }
        let unused = helpers.into_iter().filter(|helper| helper.thread_ids.is_empty()).collect();
        Ok(Figures {
            server: status::sentence(&status),
            memory: status.memory.resident_bytes,
            connections: status.connections,
            questions: status.needs_you.questions,
            threads,
            unused,
        })
    }

    /// The name of a thread. One that has just left has none.
    async fn name(&mut self, thread_id: ThreadId) -> anyhow::Result<String> {
        if let Some(name) = self.names.get(&thread_id) {
            return Ok(name.clone());
        }
        let params = ThreadReadParams { include_turns: false, thread_id };
        let name = match self.request::<ThreadRead>(Some(&params)).await? {
            Ok(read) => list::name(&read.thread),
            Err(_refused) => String::new(),
        };
        self.names.insert(thread_id, name.clone());
        Ok(name)
    }

    /// Unloads a thread; says what came of it.
    ///
    /// # Errors
    /// The server is gone.
    pub(super) async fn unload(&mut self, thread_id: ThreadId, force: bool) -> anyhow::Result<String> {
        let params = SkeinThreadUnloadParams { thread_id, force };
        Ok(match self.request::<SkeinThreadUnload>(Some(&params)).await? {
            Ok(done) => match done.state {
                UnloadOutcome::Unloaded => format!("{thread_id} is unloaded"),
                UnloadOutcome::NotLoaded => format!("{thread_id} was not loaded any more"),
            },
            Err(refused) => refused,
        })
    }

    pub(super) async fn close(self) {
        self.client.close().await;
    }

    async fn ask<M: Method>(&mut self, params: Option<&impl Serialize>) -> anyhow::Result<M::Response> {
        self.request::<M>(params).await?.map_err(anyhow::Error::msg)
    }

    /// The answer, or the text of the refusal.
    async fn request<M: Method>(
        &mut self,
        params: Option<&impl Serialize>,
    ) -> anyhow::Result<Result<M::Response, String>> {
        let params = params.map(serde_json::to_string).transpose()?.map(RawValue::from_string).transpose()?;
        match self.client.call(M::INFO.wire, params.as_deref(), |_| Ok(())).await {
            Ok(answer) => envelope::result(&answer).context("the server is of another version").map(Ok),
            Err(RequestError::Refused(error)) => Ok(Err(error.to_string())),
            Err(RequestError::Broken(error)) => {
                Err(error.context("the server has ended; skein open starts one"))
            }
        }
    }
}
