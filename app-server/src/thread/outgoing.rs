//! What an owner sends out: notifications, answers, subscriptions. Notifications are serialised when they are put in line,
//! answers when their turn comes; both are sent when the records before them are durable.

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

/// An answer that is made when its turn comes. It is given the last record that is on disk, where not all are that it
/// shows: what is not may be lost, and its number be another event's; and the version that it is a picture of then. `Err`
/// refuses, and nobody is subscribed.
pub(crate) type LateAnswer = Box<dyn FnOnce(Option<ThreadPicture>) -> Result<Answer, Answer> + Send>;

/// An answer that says yes when the records behind the request are saved, and why not otherwise.
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

/// A step whose place in the publish queue decides what clients know.
pub(crate) enum Due {
    /// A subscription: the answer holds a view of everything before this place in the queue, and the connection receives
    /// everything behind it.
    Join {
        /// The resume.
        ticket: Ticket,
        /// The kind of subscription.
        role: Role,
        /// The view.
        answer: LateAnswer,
        /// Parts that the view leaves out and the connection needs: the items in progress.
        items: Vec<Broadcast>,
    },
    /// A resume by number: it is answered, and the client receives what it missed.
    CatchUp(Box<ResumeByNumber>),
    /// The same resume, later: the client knows everything before this place in the queue except what is recent, and
    /// receives everything behind it. With the items in progress as they are here.
    JoinAt(Box<CatchUp>, Vec<Broadcast>),
    /// A question, which is put to the subscribers.
    Ask(i64),
}

impl Due {
    /// Whether this is a subscription that still is to be made. A client that catches up is counted by the subscribers' map.
    #[must_use]
    pub(crate) fn still_joins(&self, subscribers: &Subscribers) -> bool {
        match self {
            Self::Join { ticket, role: Role::Subscriber, .. } => subscribers.waits(*ticket),
            Self::CatchUp(resume) if resume.role == Role::Subscriber => subscribers.waits(resume.ticket),
            Self::Join { .. } | Self::CatchUp(_) | Self::JoinAt(..) | Self::Ask(_) => false,
        }
    }
}

/// A resume that goes on from what the client has.
pub(crate) struct ResumeByNumber {
    /// Who waits.
    pub(crate) ticket: Ticket,
    /// As what.
    pub(crate) role: Role,
    /// The answer, without turns.
    pub(crate) answer: LateAnswer,
    /// The last record that the client knows.
    pub(crate) from: ThreadPicture,
    /// The questions that the answer names as open.
    pub(crate) open_questions: Vec<i64>,
}

/// A notification and whom it is for.
pub(crate) struct Notice {
    /// Everybody, or the subscribers.
    pub(crate) scope: Recipients,
    /// Its record's number, where it is a record.
    pub(crate) number: Option<EventSeq>,
    /// For when it is saved.
    pub(crate) broadcast: Broadcast,
    /// For when it is not, where that is said.
    pub(crate) unsaved: Option<Frame>,
}

impl Notice {
    /// A notification, with its number where it is a record.
    #[must_use]
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

    /// A piece of an agent's message. It has no number, and may be merged with those before it.
    #[must_use]
    pub(crate) fn text(params: AgentMessageDeltaNotification, at: WallMs) -> Self {
        let delta = TextDelta::new(params, at);
        let (method, plain) = (ItemAgentMessageDelta::INFO.wire, delta.frame().clone());
        let broadcast =
            Broadcast { method, plain, numbered: None, text: Some(Arc::new(delta)), announcement: None };
        Self { scope: Recipients::Subscribers, number: None, broadcast, unsaved: None }
    }

    /// The notification as it is when its record is only in memory: without a number.
    #[must_use]
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
