//! Entries of an owner's publish queue: notifications, answers, subscriptions. A notification is serialised when it is
//! queued, an answer when it is sent. Both wait until the records before them are durable.

use std::sync::Arc;

use serde_json::Value;
use skein_base::clock::WallMs;
use skein_protocol::envelope;
use skein_protocol::error::WireError;
use skein_protocol::event::AgentMessageDeltaNotification;
use skein_protocol::extension::ThreadPicture;
use skein_protocol::ids::{Epoch, EventSeq};
use skein_protocol::notifications::ItemAgentMessageDelta;
use skein_protocol::table::{Notification, Recipients};

use super::catalog::Announcement;
use super::catch_up::CatchUp;
use super::subscribers::{Broadcast, Role, Subscribers, Ticket};
use crate::outbox::reply::Answer;
use crate::outbox::{Frame, TextDelta};

/// An answer that is serialised when its place in the queue comes. If the answer shows records that are not on disk, it
/// receives the last record on disk and the version of the history there: later numbers may be given out again. `Err`
/// refuses, and makes no subscription.
pub(crate) type LateAnswer = Box<dyn FnOnce(Option<ThreadPicture>) -> Result<Answer, Answer> + Send>;

/// An answer that confirms that the records of the request are saved, or says why they are not.
pub(crate) type Acknowledgement = Box<dyn FnOnce(Result<(), WireError>) + Send>;

/// One entry of the publish queue.
pub(crate) enum Outgoing {
    /// A notification.
    Notify(Notice),
    /// An answer that depends on the disk.
    Acknowledge(Acknowledgement),
    /// A step of the owner itself.
    Due(Due),
}

impl Outgoing {
    /// Its size in the publish queue, approximately.
    pub(crate) fn bytes(&self) -> usize {
        let more = match self {
            Self::Notify(notice) => notice.broadcast.bytes(),
            Self::Acknowledge(_) | Self::Due(_) => 0,
        };
        size_of::<Self>() + more
    }
}

/// A step whose place in the publish queue decides what clients know.
pub(crate) enum Due {
    /// A subscription: the answer holds a view of everything before this place in the queue, and the connection receives
    /// everything behind it.
    Join {
        ticket: Ticket,
        role: Role,
        /// The view.
        answer: LateAnswer,
        /// Notifications that complete the view: the items in progress.
        items: Vec<Broadcast>,
        /// Whether the client can ask again: a fork is there already.
        is_resume: bool,
    },
    /// A resume by number: it is answered, and the client receives what it missed.
    CatchUp(Box<ResumeByNumber>),
    /// The end of a catch-up: the client gets the recent events, and joins at this place in the queue. Has the items in
    /// progress at this place.
    JoinAt(Box<CatchUp>, Vec<Broadcast>),
    /// A question to the subscribers.
    Ask(i64),
}

impl Due {
    /// Whether this entry still makes a subscription. `Subscribers` counts a client that catches up.
    pub(crate) fn still_joins(&self, subscribers: &Subscribers) -> bool {
        match self {
            Self::Join { ticket, role: Role::Subscriber, .. } => subscribers.waits(*ticket),
            Self::CatchUp(resume) if resume.role == Role::Subscriber => subscribers.waits(resume.ticket),
            Self::Join { .. } | Self::CatchUp(_) | Self::JoinAt(..) | Self::Ask(_) => false,
        }
    }
}

/// A resume that continues from a record that the client knows.
pub(crate) struct ResumeByNumber {
    pub(crate) ticket: Ticket,
    pub(crate) role: Role,
    /// The answer, without turns.
    pub(crate) answer: LateAnswer,
    /// The last record that the client knows.
    pub(crate) from: ThreadPicture,
    /// The questions that the answer names as open.
    pub(crate) open_questions: Vec<i64>,
}

/// A notification with its recipients.
pub(crate) struct Notice {
    /// Every connection, or the subscribers.
    pub(crate) scope: Recipients,
    /// Its record's number, where it is a record.
    pub(crate) number: Option<EventSeq>,
    /// For when it is saved.
    pub(crate) broadcast: Broadcast,
    /// For when it is not, where that is said.
    pub(crate) unsaved: Option<Frame>,
}

impl Notice {
    /// A notification, numbered if it is a record.
    pub(crate) fn new<N: Notification>(
        scope: Recipients,
        params: &N::Params,
        at: WallMs,
        number: Option<(EventSeq, Epoch)>,
    ) -> Self {
        let plain = envelope::notification::<N>(params, at.0, None).into();
        let numbered = number.map(|number| envelope::notification::<N>(params, at.0, Some(number)).into());
        let announcement = match scope {
            Recipients::All => announcement::<N>(params, at, number),
            Recipients::Subscribers => None,
        };
        let broadcast = Broadcast { method: N::INFO.wire, plain, numbered, text: None, announcement };
        Self { scope, number: number.map(|(seq, _)| seq), broadcast, unsaved: None }
    }

    /// A piece of an agent's message. It has no number, and can be merged with earlier pieces.
    pub(crate) fn text(params: AgentMessageDeltaNotification, at: WallMs) -> Self {
        let delta = TextDelta::new(params, at);
        let (method, plain) = (ItemAgentMessageDelta::INFO.wire, delta.frame().clone());
        let broadcast =
            Broadcast { method, plain, numbered: None, text: Some(Arc::new(delta)), announcement: None };
        Self { scope: Recipients::Subscribers, number: None, broadcast, unsaved: None }
    }

    /// The notification without a number, for a record that is only in memory.
    pub(crate) fn into_unsaved(self) -> Broadcast {
        let plain = self.unsaved.unwrap_or(self.broadcast.plain);
        let announcement = self.broadcast.announcement.map(|change| Announcement { number: None, ..change });
        Broadcast { plain, numbered: None, announcement, ..self.broadcast }
    }
}

/// The notification as the catalog keeps it.
fn announcement<N: Notification>(
    params: &N::Params,
    at: WallMs,
    number: Option<(EventSeq, Epoch)>,
) -> Option<Announcement> {
    match serde_json::to_value(params) {
        Ok(Value::Object(params)) => Some(Announcement { method: N::INFO.wire, params, at, number }),
        // The params of every row are an object.
        Ok(_) | Err(_) => None,
    }
}
