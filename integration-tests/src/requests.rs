//! Requests that most tests send, and values that they read from the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use skein_protocol::approval::{ToolRequestUserInputAnswer, ToolRequestUserInputResponse};
use skein_protocol::extension::{
    LoadedThread, ResumeOptions, SkeinQuiesceParams, SkeinStatusParams, SkeinStatusResponse,
    SkeinThreadUnloadParams, UnloadOutcome,
};
use skein_protocol::helper::{McpServerToolCallParams, McpServerToolCallResponse};
use skein_protocol::ids::{RequestId, ThreadId, TurnId};
use skein_protocol::item::{McpToolCallItem, ThreadItem, ThreadItemBody};
use skein_protocol::methods::{
    McpServerToolCall, SkeinQuiesce, SkeinStatus, SkeinThreadUnload, ThreadList, ThreadLoadedList,
    ThreadRead, ThreadResume, ThreadStart, ThreadUnsubscribe, TurnInterrupt, TurnStart,
};
use skein_protocol::notifications::{ItemCompleted, ThreadClosed, TurnCompleted};
use skein_protocol::server_requests::ItemToolRequestUserInput;
use skein_protocol::thread::{
    Thread, ThreadItemsListParams, ThreadListParams, ThreadLoadedListParams, ThreadReadParams,
    ThreadResumeParams, ThreadResumeResponse, ThreadSearchOccurrencesParams, ThreadSearchParams,
    ThreadStartParams, ThreadTurnsListParams, ThreadUnsubscribeParams, ThreadUnsubscribeStatus,
};
use skein_protocol::turn::{
    Turn, TurnInterruptParams, TurnStartParams, TurnStatus, TurnSteerParams, UserInput,
};

use crate::client::{BOUND, Client};

/// Pause between two requests for the server's numbers.
const LOOK: Duration = Duration::from_millis(5);

/// The params of `thread/resume` with defaults.
pub fn resume_params(thread: ThreadId) -> ThreadResumeParams {
    ThreadResumeParams::new(thread)
}

/// The user's answer to a single question.
pub fn user_answer(question: &str, text: &str) -> ToolRequestUserInputResponse {
    let answer = ToolRequestUserInputAnswer { answers: vec![text.to_owned()] };
    ToolRequestUserInputResponse { answers: BTreeMap::from([(question.to_owned(), answer)]) }
}

/// The params of `turn/start` with a text and defaults.
pub fn turn_params(thread: ThreadId, text: &str) -> TurnStartParams {
    TurnStartParams::new(thread, vec![UserInput::text(text)])
}

/// The params of `turn/steer` with a text and defaults.
pub fn steer_params(thread: ThreadId, turn: &str, text: &str) -> TurnSteerParams {
    TurnSteerParams {
        additional_context: None,
        client_user_message_id: None,
        expected_turn_id: TurnId::from(turn.to_owned()),
        input: vec![UserInput::text(text)],
        responsesapi_client_metadata: None,
        responsesapi_client_metadata_patch: None,
        thread_id: thread,
    }
}

/// The params of `thread/turns/list` with defaults.
pub fn turns_params(thread: ThreadId) -> ThreadTurnsListParams {
    ThreadTurnsListParams { thread_id: thread, ..ThreadTurnsListParams::default() }
}

/// The params of `thread/search` with defaults.
pub fn search_params(term: &str) -> ThreadSearchParams {
    ThreadSearchParams { search_term: term.to_owned(), ..ThreadSearchParams::default() }
}

/// The params of `thread/searchOccurrences` with defaults.
pub fn occurrences_params(thread: ThreadId, term: &str) -> ThreadSearchOccurrencesParams {
    ThreadSearchOccurrencesParams { search_term: term.to_owned(), thread_id: thread, ..Default::default() }
}

/// The params of `thread/items/list` with defaults.
pub fn items_params(thread: ThreadId) -> ThreadItemsListParams {
    ThreadItemsListParams { thread_id: thread, ..ThreadItemsListParams::default() }
}

impl Client {
    /// Takes the next question to the user and answers it. Returns its id.
    ///
    /// # Errors
    /// Fails if none comes within [`BOUND`], or it asks nothing.
    pub async fn answer_next(&mut self, text: &str) -> anyhow::Result<RequestId> {
        let asked = self.next_question().await?;
        self.answer_question(&asked, text).await?;
        Ok(asked.0)
    }

    /// Takes the next question to the user. Returns the id of the request, and its own.
    ///
    /// # Errors
    /// Fails if none comes within [`BOUND`], or it asks nothing.
    pub async fn next_question(&mut self) -> anyhow::Result<(RequestId, String)> {
        let (id, params) = self.next_request::<ItemToolRequestUserInput>().await?;
        Ok((id, params.questions.first().context("it asks nothing")?.id.clone()))
    }

    /// Answers a question that [`next_question`](Self::next_question) has returned.
    ///
    /// # Errors
    /// Fails if the connection has ended.
    pub async fn answer_question(
        &mut self,
        (id, question): &(RequestId, String),
        text: &str,
    ) -> anyhow::Result<()> {
        self.answer_request::<ItemToolRequestUserInput>(id, &user_answer(question, text)).await
    }

    /// Makes a thread with the server's settings.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn start_thread(&mut self) -> anyhow::Result<Thread> {
        Ok(self.call::<ThreadStart>(ThreadStartParams::default()).await?.thread)
    }

    /// Makes a thread and runs one turn, so that the thread is on disk.
    ///
    /// # Errors
    /// Fails if the server refuses a request, or the turn does not end.
    pub async fn start_thread_with(&mut self, text: &str) -> anyhow::Result<ThreadId> {
        let thread = self.start_thread().await?.id;
        self.turn(thread, text).await?;
        Ok(thread)
    }

    /// Resumes a thread.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn resume(&mut self, thread: ThreadId) -> anyhow::Result<ThreadResumeResponse> {
        self.call::<ThreadResume>(resume_params(thread)).await
    }

    /// Observes a thread.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn observe(&mut self, thread: ThreadId) -> anyhow::Result<ThreadResumeResponse> {
        let skein = Some(ResumeOptions { observe: true, ..ResumeOptions::default() });
        self.call::<ThreadResume>(ThreadResumeParams { skein, ..resume_params(thread) }).await
    }

    /// Ends the subscription to a thread.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn unsubscribe(&mut self, thread: ThreadId) -> anyhow::Result<ThreadUnsubscribeStatus> {
        let params = ThreadUnsubscribeParams { thread_id: thread };
        Ok(self.call::<ThreadUnsubscribe>(params).await?.status)
    }

    /// Unloads a thread.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn unload(&mut self, thread: ThreadId, force: bool) -> anyhow::Result<UnloadOutcome> {
        let params = SkeinThreadUnloadParams { thread_id: thread, force };
        Ok(self.call::<SkeinThreadUnload>(params).await?.state)
    }

    /// Starts a turn.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn start_turn(&mut self, thread: ThreadId, text: &str) -> anyhow::Result<TurnId> {
        Ok(self.call::<TurnStart>(turn_params(thread, text)).await?.turn.id)
    }

    /// Waits for the end of a turn.
    ///
    /// # Errors
    /// Fails if it does not come.
    pub async fn turn_end(&mut self, turn: &TurnId) -> anyhow::Result<Turn> {
        Ok(self.next::<TurnCompleted>(|end| end.turn.id == *turn).await?.turn)
    }

    /// Starts a turn and waits for its end.
    ///
    /// # Errors
    /// Fails if the server refuses the turn, or the turn does not end.
    pub async fn turn(&mut self, thread: ThreadId, text: &str) -> anyhow::Result<Turn> {
        let turn = self.start_turn(thread, text).await?;
        self.turn_end(&turn).await
    }

    /// Starts a turn, waits for its end, and returns the agent's last message.
    ///
    /// # Errors
    /// Fails if the server refuses the turn, the turn does not end, or the agent sent no message.
    pub async fn say(&mut self, thread: ThreadId, text: &str) -> anyhow::Result<String> {
        let turn = self.turn(thread, text).await?;
        let reply = self.reply_text(&turn.id)?;
        reply.with_context(|| format!("the agent sent no message in reply to {text:?}: {turn:?}"))
    }

    /// The agent's last message of a turn, as far as it was received.
    ///
    /// # Errors
    /// Fails if a notification has another shape.
    pub fn reply_text(&self, turn: &TurnId) -> anyhow::Result<Option<String>> {
        let items = self.received::<ItemCompleted>()?.into_iter().filter(|item| item.turn_id == *turn);
        Ok(items.filter_map(|item| agent_text(&item.item)).next_back())
    }

    /// The complete tool calls of a turn, in the order of their ends.
    ///
    /// # Errors
    /// Fails if a notification has another shape.
    pub fn tool_calls(&self, turn: &TurnId) -> anyhow::Result<Vec<McpToolCallItem>> {
        let items = self.received::<ItemCompleted>()?.into_iter().filter(|item| item.turn_id == *turn);
        Ok(items
            .filter_map(|item| {
                if let ThreadItemBody::McpToolCall(call) = item.item.body { Some(*call) } else { None }
            })
            .collect())
    }

    /// Interrupts a turn.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn interrupt(&mut self, thread: ThreadId, turn: &TurnId) -> anyhow::Result<()> {
        let params = TurnInterruptParams { thread_id: thread, turn_id: turn.clone() };
        self.call::<TurnInterrupt>(params).await?;
        Ok(())
    }

    /// Interrupts a turn and waits for its end.
    ///
    /// # Errors
    /// Fails if the server refuses the request, or the turn ends in another way.
    pub async fn interrupt_and_wait(&mut self, thread: ThreadId, turn: &TurnId) -> anyhow::Result<()> {
        self.interrupt(thread, turn).await?;
        let status = self.turn_end(turn).await?.status;
        anyhow::ensure!(status == TurnStatus::Interrupted, "turn {turn} is {status:?}");
        Ok(())
    }

    /// Calls a tool of a helper outside any turn.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn tool(
        &mut self,
        thread: ThreadId,
        server: &str,
        tool: &str,
        arguments: Value,
    ) -> anyhow::Result<McpServerToolCallResponse> {
        self.call::<McpServerToolCall>(tool_params(thread, server, tool, arguments)).await
    }

    /// Every thread of a list, page by page.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn list_all(&mut self, params: ThreadListParams) -> anyhow::Result<Vec<Thread>> {
        let (mut threads, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.call::<ThreadList>(ThreadListParams { cursor, ..params.clone() }).await?;
            threads.extend(page.data);
            cursor = page.next_cursor;
            if cursor.is_none() {
                return Ok(threads);
            }
        }
    }

    /// Ids of the threads in memory.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn loaded(&mut self) -> anyhow::Result<Vec<ThreadId>> {
        Ok(self.call::<ThreadLoadedList>(ThreadLoadedListParams::default()).await?.data)
    }

    /// Details of one thread in memory; `None` if it is not loaded.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn loaded_thread(&mut self, thread: ThreadId) -> anyhow::Result<Option<LoadedThread>> {
        let list = self.call::<ThreadLoadedList>(ThreadLoadedListParams::default()).await?;
        let threads = list.skein.context("no details of the loaded threads")?.threads;
        Ok(threads.into_iter().find(|loaded| loaded.thread_id == thread))
    }

    /// The server's status numbers.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn status(&mut self) -> anyhow::Result<SkeinStatusResponse> {
        self.call::<SkeinStatus>(SkeinStatusParams {}).await
    }

    /// Polls the status until `holds`. Use it for facts without an event, such as the end of a connection.
    ///
    /// # Errors
    /// Fails if that never happens. The error names `what` and shows the last status.
    pub async fn until_status(
        &mut self,
        what: &str,
        holds: impl Fn(&SkeinStatusResponse) -> bool,
    ) -> anyhow::Result<SkeinStatusResponse> {
        let mut looks = tokio::time::interval(LOOK);
        let began = tokio::time::Instant::now();
        loop {
            let status = self.status().await?;
            if holds(&status) {
                return Ok(status);
            }
            anyhow::ensure!(began.elapsed() < BOUND, "not within {BOUND:?}: {what}; {status:#?}");
            looks.tick().await;
        }
    }

    /// Waits until every owner has handled all earlier commands.
    ///
    /// # Errors
    /// Fails if the server does not serve fences.
    pub async fn quiesce(&mut self) -> anyhow::Result<()> {
        self.call::<SkeinQuiesce>(SkeinQuiesceParams::default()).await?;
        Ok(())
    }

    /// Makes the owner of a thread panic, and waits until the panic is cleaned up.
    ///
    /// # Errors
    /// Fails if the server does not serve fences.
    pub async fn break_off(&mut self, thread: ThreadId) -> anyhow::Result<()> {
        self.call::<SkeinQuiesce>(SkeinQuiesceParams { break_off: Some(thread) }).await?;
        Ok(())
    }

    /// Reads a thread with its turns from disk.
    ///
    /// # Errors
    /// Fails if the server refuses the request.
    pub async fn read_thread(&mut self, thread: ThreadId) -> anyhow::Result<Thread> {
        let params = ThreadReadParams { include_turns: true, thread_id: thread };
        Ok(self.call::<ThreadRead>(params).await?.thread)
    }

    /// Waits until the server notifies that a thread was unloaded.
    ///
    /// # Errors
    /// Fails if no such notification comes.
    pub async fn thread_closed(&mut self, thread: ThreadId) -> anyhow::Result<()> {
        self.next::<ThreadClosed>(|closed| closed.thread_id == thread).await?;
        Ok(())
    }
}

/// The params of `mcpServer/tool/call`.
pub fn tool_params(thread: ThreadId, server: &str, tool: &str, arguments: Value) -> McpServerToolCallParams {
    McpServerToolCallParams {
        meta: None,
        arguments: Some(arguments),
        server: server.to_owned(),
        thread_id: thread,
        tool: tool.to_owned(),
    }
}

/// The text of an agent's message.
pub fn agent_text(item: &ThreadItem) -> Option<String> {
    if let ThreadItemBody::AgentMessage(message) = &item.body { Some(message.text.clone()) } else { None }
}

/// The text of a user's message.
pub fn user_text(item: &ThreadItem) -> Option<String> {
    let ThreadItemBody::UserMessage(message) = &item.body else { return None };
    Some(message.content.iter().filter_map(UserInput::as_text).collect::<Vec<_>>().join("\n"))
}

/// The wire name of a notification, for use in patterns.
pub trait Wire {
    /// The wire name.
    const WIRE: &'static str;
}

impl<N: skein_protocol::table::Notification> Wire for N {
    const WIRE: &'static str = N::INFO.wire;
}
