//! A client without a socket: it sends the commands of handlers, and reads its outbox.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use skein_config::{Overrides, helpers_from_thread_config};
use skein_protocol::access::Access;
use skein_protocol::approval::{
    DynamicToolCallResponse, ToolRequestUserInputAnswer, ToolRequestUserInputResponse,
};
use skein_protocol::error::WireError;
use skein_protocol::event::TurnCompletedNotification;
use skein_protocol::extension::ResumeOptions;
use skein_protocol::ids::{ConnectionId, Epoch, EventSeq, RequestId, ThreadId, TurnId};
use skein_protocol::item::DynamicToolCallOutputContentItem;
use skein_protocol::notifications::{TurnCompleted, TurnStarted};
use skein_protocol::table::Notification;
use skein_protocol::thread::{
    ThreadForkParams, ThreadForkResponse, ThreadResumeParams, ThreadResumeResponse, ThreadRevertResponse,
    ThreadStartParams, ThreadStartResponse,
};
use skein_protocol::turn::{TurnStartParams, TurnStartResponse, UserInput};

use super::message::Message;
use crate::outbox::reply::Reply;
use crate::outbox::{CloseReason, Outbox, OutboxLimits, WriterAction};
use crate::thread::Context;
use crate::thread::command::{
    Command, Edit, Fork, Input, InputReply, Relocate, Resume, RevertTo, Start, Unload,
};
use crate::thread::dispatch;
use crate::thread::event::Force;
use crate::thread::registry::GivenAnswer;
use crate::thread::subscribers::{ClientWishes, Left, Role};

pub(crate) struct Client {
    services: Arc<Context>,
    outbox: Outbox,
    soon: Duration,
    last_request: i64,
    /// All received messages, in order.
    pub log: Vec<Message>,
    /// Whether a wait has found the message.
    taken: Vec<bool>,
}

impl Client {
    pub(crate) fn connect(services: Arc<Context>, id: ConnectionId, soon: Duration) -> Self {
        let limits = OutboxLimits {
            waiting_bytes: 1 << 24,
            most_bytes: 1 << 26,
            pause_bytes: 1 << 23,
            merge_bytes: 1 << 23,
        };
        let wishes = ClientWishes { numbered: true, ..ClientWishes::default() };
        Self::connect_as(services, id, soon, wishes, limits)
    }

    pub(crate) fn connect_as(
        services: Arc<Context>,
        id: ConnectionId,
        soon: Duration,
        wishes: ClientWishes,
        limits: OutboxLimits,
    ) -> Self {
        let outbox = Outbox::new(id, limits);
        services.subscribers.connect(outbox.clone());
        assert!(services.subscribers.initialise(id, wishes));
        Self { services, outbox, soon, last_request: 0, log: Vec::new(), taken: Vec::new() }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.outbox.connection()
    }

    pub(crate) fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    pub(crate) fn disconnect(&self) {
        self.outbox.close(CloseReason::ClientLeft);
        let mut left = self.services.subscribers.disconnect(self.id());
        left.sort();
        for thread in left {
            self.services.registry.wake(thread);
        }
    }

    fn reply<R: Serialize>(&mut self) -> (i64, Reply<R>) {
        self.last_request += 1;
        let id = RequestId::Integer(self.last_request);
        (self.last_request, Reply::new(self.outbox.clone(), id, "test", None))
    }

    fn send(&self, thread: ThreadId, command: Command) {
        dispatch::deliver(&self.services, thread, command);
    }

    pub(crate) fn ask_start(&mut self, params: ThreadStartParams) -> (i64, ThreadId) {
        let thread = ThreadId::new(self.services.clock.new_id());
        (self.ask_start_as(thread, params), thread)
    }

    /// `thread/start` of a thread with this id.
    pub(crate) fn ask_start_as(&mut self, thread: ThreadId, params: ThreadStartParams) -> i64 {
        let ticket = self.services.subscribers.begin_resume(self.id(), thread, usize::MAX).unwrap();
        let (request, reply) = self.reply();
        let helpers = params.config.as_ref().map(|config| helpers_from_thread_config(config).unwrap());
        let (helpers, originator) = (helpers.unwrap_or_default(), "test".to_owned());
        let start = Start { params, helpers, required: None, surroundings: None, ticket, originator, reply };
        self.send(thread, Command::Start(Box::new(start)));
        request
    }

    pub(crate) async fn start(&mut self) -> ThreadId {
        let (request, thread) = self.ask_start(ThreadStartParams::default());
        self.answer::<ThreadStartResponse>(request).await.unwrap();
        thread
    }

    pub(crate) async fn start_ephemeral(&mut self) -> ThreadId {
        let params = ThreadStartParams { ephemeral: Some(true), ..ThreadStartParams::default() };
        let (request, thread) = self.ask_start(params);
        self.answer::<ThreadStartResponse>(request).await.unwrap();
        thread
    }

    /// Starts a thread with these members of the params.
    pub(crate) async fn start_with(&mut self, params: serde_json::Value) -> ThreadId {
        let (request, thread) = self.ask_start(serde_json::from_value(params).unwrap());
        self.answer::<ThreadStartResponse>(request).await.unwrap();
        thread
    }

    /// The same with this `config`.
    pub(crate) async fn start_with_config(
        &mut self,
        mut params: serde_json::Value,
        config: serde_json::Value,
    ) -> ThreadId {
        params["config"] = config;
        let (request, thread) = self.ask_start(serde_json::from_value(params).unwrap());
        self.answer::<ThreadStartResponse>(request).await.unwrap();
        thread
    }

    /// `thread/resume` as the owner gets it.
    pub(crate) fn resume_command(&mut self, thread: ThreadId) -> Command {
        self.resume_as(thread, Role::Subscriber).1
    }

    pub(crate) fn ask_resume(&mut self, thread: ThreadId, role: Role) -> i64 {
        let (request, command) = self.resume_as(thread, role);
        self.send(thread, command);
        request
    }

    fn resume_as(&mut self, thread: ThreadId, role: Role) -> (i64, Command) {
        self.resume_with(
            thread,
            ResumeOptions { observe: role == Role::Observer, ..ResumeOptions::default() },
        )
    }

    /// `thread/resume` by number.
    pub(crate) fn ask_resume_from(
        &mut self,
        thread: ThreadId,
        role: Role,
        (seq, epoch): (EventSeq, Epoch),
    ) -> i64 {
        let observe = role == Role::Observer;
        let options = ResumeOptions { observe, after_seq: Some(seq), epoch: Some(epoch) };
        let (request, command) = self.resume_with(thread, options);
        self.send(thread, command);
        request
    }

    pub(crate) async fn resume_from(
        &mut self,
        thread: ThreadId,
        from: (EventSeq, Epoch),
    ) -> ThreadResumeResponse {
        let request = self.ask_resume_from(thread, Role::Subscriber, from);
        self.answer(request).await.unwrap()
    }

    fn resume_with(&mut self, thread: ThreadId, options: ResumeOptions) -> (i64, Command) {
        let mut params: ThreadResumeParams =
            serde_json::from_value(serde_json::json!({ "threadId": thread })).unwrap();
        let role = if options.observe { Role::Observer } else { Role::Subscriber };
        params.skein = Some(options);
        let ticket = self.services.subscribers.begin_resume(self.id(), thread, usize::MAX).unwrap();
        let (request, reply) = self.reply();
        let resume = Resume { params, helpers: Overrides::default(), role, ticket, reply };
        (request, Command::Resume(Box::new(resume)))
    }

    pub(crate) async fn resume(&mut self, thread: ThreadId) -> ThreadResumeResponse {
        let request = self.ask_resume(thread, Role::Subscriber);
        self.answer(request).await.unwrap()
    }

    /// Resumes with other settings: members of the params.
    pub(crate) async fn resume_with_settings(
        &mut self,
        thread: ThreadId,
        settings: serde_json::Value,
    ) -> ThreadResumeResponse {
        let request = self.ask_resume_with_settings(thread, settings);
        self.answer(request).await.unwrap()
    }

    pub(crate) fn ask_resume_with_settings(&mut self, thread: ThreadId, settings: serde_json::Value) -> i64 {
        let mut params = settings;
        params["threadId"] = serde_json::json!(thread);
        let ticket = self.services.subscribers.begin_resume(self.id(), thread, usize::MAX).unwrap();
        let (request, reply) = self.reply::<ThreadResumeResponse>();
        let (params, role) = (serde_json::from_value(params).unwrap(), Role::Subscriber);
        let resume = Resume { params, helpers: Overrides::default(), role, ticket, reply };
        self.send(thread, Command::Resume(Box::new(resume)));
        request
    }

    pub(crate) async fn observe(&mut self, thread: ThreadId) -> ThreadResumeResponse {
        let request = self.ask_resume(thread, Role::Observer);
        self.answer(request).await.unwrap()
    }

    pub(crate) fn unsubscribe(&self, thread: ThreadId) -> Left {
        let left = self.services.subscribers.leave(self.id(), thread);
        self.services.registry.wake(thread);
        left
    }

    /// `turn/start` as the owner gets it, with the request's number.
    pub(crate) fn input_command(
        &mut self,
        thread: ThreadId,
        text: &str,
        message: Option<&str>,
    ) -> (i64, Command) {
        let params = serde_json::json!({ "threadId": thread, "input": [], "clientUserMessageId": message });
        let mut params: TurnStartParams = serde_json::from_value(params).unwrap();
        params.input = vec![UserInput::text(text)];
        let (request, reply) = self.reply();
        (request, Command::Input(Box::new(Input { params, reply: InputReply::Start(reply) })))
    }

    pub(crate) fn input_as(&mut self, thread: ThreadId, text: &str, message: Option<&str>) -> i64 {
        let (request, command) = self.input_command(thread, text, message);
        self.send(thread, command);
        request
    }

    pub(crate) fn input(&mut self, thread: ThreadId, text: &str) -> i64 {
        self.input_as(thread, text, None)
    }

    /// A whole turn.
    pub(crate) async fn turn(&mut self, thread: ThreadId, text: &str) -> TurnCompletedNotification {
        let request = self.input(thread, text);
        self.answer::<TurnStartResponse>(request).await.unwrap();
        self.notified::<TurnStarted>().await;
        self.notified::<TurnCompleted>().await
    }

    /// `turn/start` with these pieces of input.
    pub(crate) fn input_of(&mut self, thread: ThreadId, input: Vec<UserInput>) -> i64 {
        self.start_turn(thread, TurnStartParams::new(thread, input))
    }

    /// `turn/start` with these params.
    pub(crate) fn start_turn(&mut self, thread: ThreadId, params: TurnStartParams) -> i64 {
        let (request, reply) = self.reply();
        self.send(thread, Command::Input(Box::new(Input { params, reply: InputReply::Start(reply) })));
        request
    }

    pub(crate) fn steer(&mut self, thread: ThreadId, turn: &TurnId, text: &str) -> i64 {
        let (request, reply) = self.reply();
        let params = TurnStartParams::new(thread, vec![UserInput::text(text)]);
        let reply = InputReply::Steer(turn.clone(), reply);
        self.send(thread, Command::Input(Box::new(Input { params, reply })));
        request
    }

    pub(crate) fn compact(&mut self, thread: ThreadId) -> i64 {
        let (request, reply) = self.reply();
        let params = TurnStartParams::new(thread, Vec::new());
        self.send(thread, Command::Input(Box::new(Input { params, reply: InputReply::Compact(reply) })));
        request
    }

    pub(crate) fn interrupt(&self, thread: ThreadId, turn: &TurnId) {
        self.services.registry.handle(thread).unwrap().interrupt(turn.clone());
    }

    pub(crate) fn set_name(&mut self, thread: ThreadId, name: &str) -> i64 {
        let (request, reply) = self.reply();
        self.send(thread, Command::Edit(Edit::Name(name.to_owned(), reply)));
        request
    }

    pub(crate) fn edit<R: Serialize>(
        &mut self,
        thread: ThreadId,
        edit: impl FnOnce(Reply<R>) -> Edit,
    ) -> i64 {
        let (request, reply) = self.reply();
        self.send(thread, Command::Edit(edit(reply)));
        request
    }

    pub(crate) fn ask_revert(&mut self, thread: ThreadId, before: &TurnId) -> i64 {
        let to = RevertTo::Before(before.clone());
        self.edit(thread, |reply| Edit::Revert(to, reply))
    }

    pub(crate) async fn revert(&mut self, thread: ThreadId, before: &TurnId) -> ThreadRevertResponse {
        let request = self.ask_revert(thread, before);
        self.answer(request).await.unwrap()
    }

    pub(crate) async fn rollback(&mut self, thread: ThreadId, count: u32) -> ThreadRevertResponse {
        let request = self.edit(thread, |reply| Edit::Revert(RevertTo::AllBut(count), reply));
        self.answer(request).await.unwrap()
    }

    /// `thread/fork`, and the new thread's id.
    pub(crate) fn ask_fork(&mut self, params: ThreadForkParams) -> (i64, ThreadId) {
        let thread = ThreadId::new(self.services.clock.new_id());
        let ticket = self.services.subscribers.begin_resume(self.id(), thread, usize::MAX).unwrap();
        let (request, reply) = self.reply();
        let (helpers, originator) = (Overrides::default(), "test".to_owned());
        self.send(thread, Command::Fork(Box::new(Fork { params, helpers, ticket, originator, reply })));
        (request, thread)
    }

    pub(crate) async fn fork(&mut self, params: ThreadForkParams) -> ThreadForkResponse {
        let (request, _) = self.ask_fork(params);
        self.answer(request).await.unwrap()
    }

    pub(crate) fn unload(&mut self, thread: ThreadId, force: Force) -> i64 {
        let (request, reply) = self.reply();
        self.send(thread, Command::Unload(Unload { force, reply }));
        request
    }

    pub(crate) fn archive(&mut self, thread: ThreadId) -> i64 {
        let (request, reply) = self.reply();
        self.send(thread, Command::Relocate(Relocate::Archive(reply)));
        request
    }

    pub(crate) fn unarchive(&mut self, thread: ThreadId) -> i64 {
        let (request, reply) = self.reply();
        self.send(thread, Command::Relocate(Relocate::Unarchive(reply)));
        request
    }

    pub(crate) fn delete(&mut self, thread: ThreadId) -> i64 {
        let (request, reply) = self.reply();
        self.send(thread, Command::Relocate(Relocate::Delete(reply)));
        request
    }

    /// Answers a question with a text or an error.
    pub(crate) fn say(&self, question: i64, answer: Result<&str, &str>) {
        let answer = match answer {
            Ok(text) => {
                let texts = ToolRequestUserInputAnswer { answers: vec![text.to_owned()] };
                let response = ToolRequestUserInputResponse { answers: [("q1".to_owned(), texts)].into() };
                Ok(to_raw_value(&response).unwrap())
            }
            Err(text) => Err(WireError::internal("refused", text)),
        };
        self.say_raw(question, answer);
    }

    /// Answers a question with this, or with an error.
    pub(crate) fn say_raw(&self, question: i64, answer: Result<Box<RawValue>, WireError>) {
        let thread = self.services.questions.thread(question);
        if let Some(handle) = thread.and_then(|thread| self.services.registry.handle(thread)) {
            handle.answer(GivenAnswer {
                by: self.id(),
                client: "test".to_owned(),
                access: Access::Admin,
                question,
                answer,
            });
        }
    }

    /// Answers the question for a call of the client's tool.
    pub(crate) fn carries_out(&self, question: i64, text: &str) {
        let content_items = vec![DynamicToolCallOutputContentItem::InputText { text: text.to_owned() }];
        let response = DynamicToolCallResponse { content_items, success: true };
        self.say_raw(question, Ok(to_raw_value(&response).unwrap()));
    }

    /// Waits for the answer to a request.
    pub(crate) async fn answer<R: DeserializeOwned>(&mut self, request: i64) -> Result<R, WireError> {
        let at = self.take(&format!("the answer to request {request}"), |m| m.answers(request)).await;
        match &self.log[at] {
            Message::Answer { result, .. } => match result {
                Ok(raw) => Ok(serde_json::from_str(raw.get()).unwrap()),
                Err(error) => Err(error.clone()),
            },
            Message::Notice { .. } | Message::Question { .. } => unreachable!("picked an answer"),
        }
    }

    /// The reason in the error of a request.
    pub(crate) async fn refusal(&mut self, request: i64) -> String {
        let error = self.answer::<serde_json::Value>(request).await.expect_err("an error");
        error.data.expect("data").reason.into_owned()
    }

    /// Waits for the next notification of a kind.
    pub(crate) async fn notified<N: Notification>(&mut self) -> N::Params {
        let at = self.take(N::INFO.wire, Message::is::<N>).await;
        self.log[at].params::<N>().unwrap()
    }

    /// Waits for the next question, and returns its id.
    pub(crate) async fn asked(&mut self) -> i64 {
        let at = self.take("a question", |m| matches!(m, Message::Question { .. })).await;
        match &self.log[at] {
            Message::Question { id, .. } => *id,
            Message::Notice { .. } | Message::Answer { .. } => unreachable!("picked a question"),
        }
    }

    /// Waits for the first message that fits and that no wait has found before. Returns its place in the log.
    pub(crate) async fn take(&mut self, what: &str, fits: impl Fn(&Message) -> bool) -> usize {
        loop {
            let found = self.log.iter().zip(&self.taken).position(|(message, taken)| !taken && fits(message));
            if let Some(at) = found {
                self.taken[at] = true;
                return at;
            }
            let next = tokio::time::timeout(self.soon, self.outbox.next()).await;
            match next.unwrap_or_else(|_| panic!("waited in vain for {what}; received {:#?}", self.log)) {
                WriterAction::Frames(frames) => self.receive(&frames),
                WriterAction::Ping => {}
                WriterAction::Close(reason) => panic!("closed ({reason:?}) before {what}"),
            }
        }
    }

    /// Why the server has ended the connection, if it has.
    pub(crate) fn closed(&self) -> Option<CloseReason> {
        self.outbox.closed()
    }

    /// Everything received so far, without waiting.
    pub(crate) fn received(&mut self) -> &[Message] {
        while let Some(WriterAction::Frames(frames)) = self.outbox.next().now_or_never() {
            self.receive(&frames);
        }
        &self.log
    }

    /// How often something was received so far.
    pub(crate) fn count(&mut self, fits: impl Fn(&Message) -> bool) -> usize {
        self.received().iter().filter(|message| fits(message)).count()
    }

    /// Waits until the owner has handled all earlier commands. Returns `false` without an owner.
    pub(crate) async fn fence(&self, thread: ThreadId) -> bool {
        let Some(handle) = self.services.registry.handle(thread) else { return false };
        let (done, passed) = tokio::sync::oneshot::channel();
        if handle.mailbox().send(Command::Fence(done)).await.is_err() {
            return false;
        }
        tokio::time::timeout(self.soon, passed).await.expect("the owner handles its mailbox").is_ok()
    }

    fn receive(&mut self, frames: &[crate::outbox::Frame]) {
        self.log.extend(frames.iter().map(|frame| Message::read(frame)));
        self.taken.resize(self.log.len(), false);
    }
}
