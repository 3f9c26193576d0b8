//! What others ask of an owner, through its mailbox. Each carries its own reply.

use std::sync::Arc;

use skein_protocol::extension::SkeinThreadUnloadResponse;
use skein_protocol::thread::{
    ThreadResumeParams, ThreadResumeResponse, ThreadSetNameResponse, ThreadStartParams, ThreadStartResponse,
};
use skein_protocol::turn::{TurnStartParams, TurnStartResponse};
use tokio::sync::oneshot;

use super::catch_up::CatchUp;
use super::event::Force;
use super::subscribers::{Role, Ticket};
use crate::config::Overrides;
use crate::connection::reply::Reply;
use crate::helpers::HelperSet;

/// One request to an owner.
#[derive(Debug)]
pub enum Command {
    /// A new thread. Only ever the first command of its owner.
    Start(Box<Start>),
    /// Load where necessary, subscribe, answer with the history.
    Resume(Box<Resume>),
    /// Input: a turn, or a steer of the running one.
    Input(Box<Input>),
    /// A new name.
    SetName(SetName),
    /// A hard shutdown, if it may be.
    Unload(Unload),
    /// The thread's helpers, started if they are not. Dropped when the thread is on its way out.
    Helpers(oneshot::Sender<Arc<HelperSet>>),
    /// A client has been told what it missed, and wants to hear what happens now.
    CaughtUp(Box<CatchUp>),
    /// Answered when everything sent before it has been handled.
    Fence(oneshot::Sender<()>),
}

/// `thread/start`.
#[derive(Debug)]
pub struct Start {
    /// As they came.
    pub params: ThreadStartParams,
    /// The helpers of its `config`.
    pub helpers: Overrides,
    /// The subscription that is to be made.
    pub ticket: Ticket,
    /// The client's name.
    pub originator: String,
    /// The answer.
    pub reply: Reply<ThreadStartResponse>,
}

/// `thread/resume`.
#[derive(Debug)]
pub struct Resume {
    /// As they came.
    pub params: ThreadResumeParams,
    /// The helpers of its `config`.
    pub helpers: Overrides,
    /// As what to subscribe. An observer never makes a thread load.
    pub role: Role,
    /// The subscription that is to be made.
    pub ticket: Ticket,
    /// The answer.
    pub reply: Reply<ThreadResumeResponse>,
}

/// `turn/start`.
#[derive(Debug)]
pub struct Input {
    /// As they came.
    pub params: TurnStartParams,
    /// The answer.
    pub reply: Reply<TurnStartResponse>,
}

/// `thread/name/set`.
#[derive(Debug)]
pub struct SetName {
    /// The new name, trimmed and not empty.
    pub name: String,
    /// The answer.
    pub reply: Reply<ThreadSetNameResponse>,
}

/// `skein/thread/unload`.
#[derive(Debug)]
pub struct Unload {
    /// Whether it may be refused.
    pub force: Force,
    /// The answer.
    pub reply: Reply<SkeinThreadUnloadResponse>,
}
