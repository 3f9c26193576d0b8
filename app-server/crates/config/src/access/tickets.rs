//! Tickets: secrets of half a minute, or of a pairing, that a page redeems for a session, once. They are in memory only.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use skein_base::clock::WallMs;
use skein_protocol::access::Access;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Digest, Door};
use crate::policy;

/// The terms of a ticket, which its session inherits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TicketTerms {
    pub(crate) access: Access,
    /// The door of the request that made it.
    pub(crate) made_at: Door,
    /// The credential that made it. The end of that credential ends the ticket and its session.
    pub(crate) made_by: Option<Uuid>,
    /// The expiry of that credential, and so the last moment of the session.
    pub(super) not_after: Option<WallMs>,
}

impl TicketTerms {
    /// Whether a loopback door takes the ticket, and its session, only from a program of the server's user. A ticket of
    /// this machine stands in the browser's command line for a moment, where every user can read it.
    pub(crate) fn same_user(&self) -> bool {
        match self.made_at {
            Door::Unix | Door::Loopback => true,
            Door::Remote => false,
        }
    }
}

/// Why there is no new ticket.
#[derive(Debug, thiserror::Error)]
pub enum TooManyTickets {
    /// Too many are open.
    #[error("{most} tickets are open, and end within {minutes} min at the latest", most = policy::OPEN_TICKETS, minutes = policy::PAIRING_LIFE.as_secs() / 60)]
    Open,
    /// Too many of this credential are open.
    #[error("{most} tickets of this credential are open; they end within {seconds} s", most = policy::OPEN_TICKETS_OF_BEARER, seconds = policy::TICKET_LIFE.as_secs())]
    OpenOfBearer,
    /// The credential that asks for it has ended.
    #[error("the credential that asks for a ticket has ended")]
    MakerEnded,
    /// The system has no random numbers.
    #[error("no ticket can be made: {0}")]
    System(#[from] io::Error),
}

/// Why a ticket is not redeemed.
#[derive(Debug, thiserror::Error)]
pub enum RedeemError {
    /// No ticket has this secret, or it was forgotten.
    #[error("no such ticket; make another one with: skein url")]
    Unknown,
    /// Somebody has redeemed it.
    #[error("this ticket was used; make another one with: skein url")]
    Used,
    /// It is too old.
    #[error("this ticket has expired; make another one with: skein url, or skein pair for a phone")]
    Expired,
    /// The ticket is for the browser of the server's user on this machine. It is still open.
    #[error(
        "this ticket is for the user who runs the server; one for other machines: skein url, or skein pair"
    )]
    OtherUser,
    /// The system has no random numbers for the session. The ticket is still open.
    #[error("no session can be made: {0}")]
    System(#[from] io::Error),
}

#[derive(Debug)]
struct OpenTicket {
    digest: Digest,
    terms: TicketTerms,
    until: Instant,
}

#[derive(Debug, Clone, Copy)]
enum TicketEnd {
    Used,
    Expired,
}

/// The tickets of a server.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    /// The oldest first.
    open: VecDeque<OpenTicket>,
    /// Ended ones, the oldest first.
    closed: VecDeque<(Digest, TicketEnd)>,
}

impl Tickets {
    pub(super) fn add(
        &mut self,
        digest: Digest,
        terms: TicketTerms,
        now: Instant,
        life: Duration,
    ) -> Result<(), TooManyTickets> {
        self.expire(now);
        if self.open.len() >= policy::OPEN_TICKETS {
            return Err(TooManyTickets::Open);
        }
        self.open.push_back(OpenTicket { digest, terms, until: now + life });
        Ok(())
    }

    /// The terms of an open ticket.
    pub(super) fn terms(&mut self, digest: &Digest, now: Instant) -> Result<&TicketTerms, RedeemError> {
        self.expire(now);
        match self.open.iter().position(|ticket| ticket.digest == *digest) {
            Some(at) => self.open.get(at).map(|ticket| &ticket.terms).ok_or(RedeemError::Unknown),
            None => Err(self.refusal(digest)),
        }
    }

    /// Uses a ticket up.
    pub(super) fn take(&mut self, digest: &Digest, now: Instant) -> Result<TicketTerms, RedeemError> {
        self.expire(now);
        let at = self.open.iter().position(|ticket| ticket.digest == *digest);
        let Some(ticket) = at.and_then(|at| self.open.remove(at)) else { return Err(self.refusal(digest)) };
        self.close(ticket.digest, TicketEnd::Used);
        Ok(ticket.terms)
    }

    /// The credentials that made the open tickets, once for each ticket.
    pub(super) fn makers(&mut self, now: Instant) -> impl Iterator<Item = Uuid> {
        self.expire(now);
        self.open.iter().filter_map(|ticket| ticket.terms.made_by)
    }

    /// Whether an open ticket has this digest.
    pub(super) fn is_open(&mut self, digest: &Digest, now: Instant) -> bool {
        self.terms(digest, now).is_ok()
    }

    /// Ends the open tickets of a credential that has ended.
    pub(super) fn end_of(&mut self, maker: Uuid) {
        self.open.retain(|ticket| ticket.terms.made_by != Some(maker));
    }

    fn refusal(&self, digest: &Digest) -> RedeemError {
        match self.closed.iter().find(|(closed, _)| closed == digest) {
            Some((_, TicketEnd::Used)) => RedeemError::Used,
            Some((_, TicketEnd::Expired)) => RedeemError::Expired,
            None => RedeemError::Unknown,
        }
    }

    fn expire(&mut self, now: Instant) {
        let (over, open): (VecDeque<_>, _) =
            std::mem::take(&mut self.open).into_iter().partition(|ticket| ticket.until <= now);
        self.open = open;
        for ticket in over {
            self.close(ticket.digest, TicketEnd::Expired);
        }
    }

    fn close(&mut self, digest: Digest, end: TicketEnd) {
        if self.closed.len() >= policy::CLOSED_TICKETS {
            self.closed.pop_front();
        }
        self.closed.push_back((digest, end));
    }
}
