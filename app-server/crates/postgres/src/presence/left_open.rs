//! Threads that servers leave open which no longer live. Each server among others looks for them.

use skein_base::clock::Clock;
use tokio::time::Instant;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::entry::LeftOpenPlace;
use super::{NodePresence, entry};
use crate::connection::Link;
use crate::failure::DbFailure;
use crate::node::NodeCompany;
use crate::policy;

/// The state between two looks.
#[derive(Debug, Default)]
pub(super) struct LeftOpen {
    /// The servers of the beat before.
    members: Vec<Uuid>,
    /// The time at which the last look has come to its end; `None` if the next beat has to look.
    looked: Option<Instant>,
    /// Where the look under way goes on with the next beat.
    behind: Option<LeftOpenPlace>,
    /// A server has gone since the look under way began.
    is_again: bool,
}

impl LeftOpen {
    /// Sets rows to dead whose time is over, and looks for threads if a row has gone, or from time to time. A server alone has
    /// nobody to look for: it finds such threads when it starts.
    pub(super) async fn look(&mut self, presence: &NodePresence, link: &mut Option<Link>) {
        if presence.profile.company == NodeCompany::Alone {
            return;
        }
        if let Err(failure) = self.try_look(presence, link).await {
            presence.note_failure(&failure);
            *link = None;
        }
    }

    async fn try_look(&mut self, presence: &NodePresence, link: &mut Option<Link>) -> Result<(), DbFailure> {
        let node = presence.node.id();
        let link = presence.connected(link).await?;
        let buried = link.write(&entry::BURY, &[(&node, Type::UUID)], policy::WRITE_DEADLINE).await?;
        let (members, drains) = {
            let beats = presence.beats.borrow();
            (beats.members().to_vec(), beats.has_drains())
        };
        self.is_again |= !buried.is_empty() || self.members.iter().any(|member| !members.contains(member));
        let now = Clock.now();
        let pause = if drains { policy::DRAIN_PAUSE } else { policy::LEFT_OPEN_PAUSE };
        let is_due = self.looked.is_none_or(|looked| now >= looked + pause);
        // A server that drains loads none.
        let takes = !presence.drained.is_cancelled();
        if takes && (self.behind.is_some() || self.is_again || is_due) {
            let (found, last) = entry::find_left_open(link, self.behind.as_ref()).await?;
            // A full queue: the server still works on those before, and the next beat tries again.
            if found.is_empty() || presence.left_open.try_send(found).is_ok() {
                let begins = self.behind.is_none();
                self.is_again &= !begins;
                self.behind = last;
                // Each thread comes once in a look: one that cannot be repaired waits for the next.
                self.looked = (self.behind.is_none() && !self.is_again).then_some(now);
            } else {
                self.looked = None;
            }
        }
        // One whose row this server has set to dead goes with this beat, not with the next.
        let buried: Vec<Uuid> = buried.iter().map(|row| row.get(0)).collect();
        self.members = members.into_iter().filter(|member| !buried.contains(member)).collect();
        Ok(())
    }
}
