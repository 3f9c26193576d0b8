//! The queue of messages to a helper, bounded in bytes. Calls wait for room; a message that no task waits for is dropped if there is none.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::policy;

/// The way to a helper's standard input. It is closed when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct HelperInput {
    queue: mpsc::Sender<QueuedMessage>,
    /// Bytes of messages with a waiting sender.
    room: Arc<Semaphore>,
    /// Bytes of what is left out when there is no room.
    notices: Arc<Semaphore>,
    refused: CancellationToken,
}

/// Reads the length of an [`HelperInput`] without keeping it open.
#[derive(Debug, Clone)]
pub(crate) struct WeakInput(mpsc::WeakSender<QueuedMessage>);

/// The other end, for the task that writes.
#[derive(Debug)]
pub(crate) struct InputEnd {
    queue: mpsc::Receiver<QueuedMessage>,
    room: [Arc<Semaphore>; 2],
    refused: CancellationToken,
}

/// A message and the room that it takes until it is written.
#[derive(Debug)]
pub(crate) struct QueuedMessage {
    pub(crate) bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

/// Room for one message, in its place among those that wait.
#[derive(Debug)]
pub(crate) struct InputSlot {
    slot: mpsc::OwnedPermit<QueuedMessage>,
    room: OwnedSemaphorePermit,
}

/// Nothing is written to the helper any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the helper takes no more input")]
pub struct Closed;

/// Both ends of a new queue.
pub(crate) fn input() -> (HelperInput, InputEnd) {
    // A slot for the smallest share of both kinds.
    let (sender, queue) = mpsc::channel(2 * policy::HELPER_INPUT_QUEUE);
    let room = Arc::new(Semaphore::new(policy::HELPER_INPUT_BYTES));
    let notices = Arc::new(Semaphore::new(policy::HELPER_NOTICE_BYTES));
    let refused = CancellationToken::new();
    let both = [Arc::clone(&room), Arc::clone(&notices)];
    let end = InputEnd { queue, room: both, refused: refused.clone() };
    (HelperInput { queue: sender, room, notices, refused }, end)
}

impl HelperInput {
    /// Waits for room for a message of so many bytes. One that is larger than the queue may wait in it alone.
    ///
    /// # Errors
    /// The helper takes no more input.
    pub(crate) async fn room_for(&self, bytes: usize) -> Result<InputSlot, Closed> {
        let room = Arc::clone(&self.room).acquire_many_owned(share(bytes, policy::HELPER_INPUT_BYTES));
        let room = room.await.map_err(|_| Closed)?;
        let slot = self.queue.clone().reserve_owned().await.map_err(|_| Closed)?;
        Ok(InputSlot { slot, room })
    }

    /// Waits for room, and puts a message there.
    ///
    /// # Errors
    /// The helper takes no more input.
    pub async fn send(&self, bytes: Bytes) -> Result<(), Closed> {
        self.room_for(bytes.len()).await?.take(bytes);
        Ok(())
    }

    /// Puts a message that is worth no wait; `false` when it was left out.
    pub(crate) fn notify(&self, bytes: Bytes) -> bool {
        let share = share(bytes.len(), policy::HELPER_NOTICE_BYTES);
        let Ok(room) = Arc::clone(&self.notices).try_acquire_many_owned(share) else { return false };
        self.queue.try_send(QueuedMessage { bytes, _room: room }).is_ok()
    }

    /// Waits for room for such a message.
    ///
    /// # Errors
    /// The helper takes no more input.
    pub(crate) async fn room_for_notice(&self, bytes: usize) -> Result<(), Closed> {
        let room = self.notices.acquire_many(share(bytes, policy::HELPER_NOTICE_BYTES)).await;
        room.map(drop).map_err(|_| Closed)
    }

    /// Until it is known that the helper has closed its end.
    pub(crate) async fn refused(&self) {
        self.refused.cancelled().await;
    }

    /// A look at it that does not keep it open.
    pub(crate) fn downgrade(&self) -> WeakInput {
        WeakInput(self.queue.downgrade())
    }
}

impl WeakInput {
    /// The number of queued messages.
    pub(crate) fn queued(&self) -> usize {
        self.0.upgrade().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }
}

impl InputSlot {
    /// Puts the message into its place.
    pub(crate) fn take(self, bytes: Bytes) {
        self.slot.send(QueuedMessage { bytes, _room: self.room });
    }
}

impl InputEnd {
    /// The next message; `None` when nobody can send any more. Its room is free when it is dropped.
    pub(crate) async fn next(&mut self) -> Option<QueuedMessage> {
        self.queue.recv().await
    }

    /// Says that the helper has closed its end.
    pub(crate) fn refuse(&self) {
        self.refused.cancel();
    }
}

impl Drop for InputEnd {
    /// Ends all waits for room.
    fn drop(&mut self) {
        for room in &self.room {
            room.close();
        }
    }
}

/// The room that a message takes; the queue's own bookkeeping counts, too. A message with room has a slot.
fn share(bytes: usize, of: usize) -> u32 {
    let least = of / policy::HELPER_INPUT_QUEUE;
    u32::try_from((bytes + size_of::<QueuedMessage>()).clamp(least, of)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn bytes(length: usize) -> Bytes {
        vec![b'x'; length].into()
    }

    #[tokio::test]
    async fn bytes_are_bounded_and_one_message_may_be_larger() {
        let (input, mut end) = input();
        let all = policy::HELPER_INPUT_BYTES;
        input.send(bytes(8 * all)).await.unwrap();
        assert!(input.room_for(1).now_or_never().is_none(), "the large one waits alone");
        let large = end.next().await.unwrap();
        assert!(input.room_for(1).now_or_never().is_none(), "it is being written");
        drop(large);
        for _ in 0..3 {
            input.send(bytes(all / 4)).await.unwrap();
        }
        assert!(input.room_for(all / 2).now_or_never().is_none());
        assert!(input.room_for(all / 8).now_or_never().is_some(), "a wait that was given up holds up nobody");
        assert_eq!(input.downgrade().queued(), 3);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_left_out_when_there_is_no_room() {
        let (input, mut end) = input();
        input.send(bytes(8 * policy::HELPER_INPUT_BYTES)).await.unwrap();
        let sent = (0..10_000).filter(|_| input.notify(bytes(60))).count();
        assert_eq!(sent, policy::HELPER_INPUT_QUEUE, "the least share of each is more than its bytes");
        assert!(input.room_for_notice(60).now_or_never().is_none());
        while !end.queue.is_empty() {
            end.next().await;
        }
        input.room_for_notice(60).await.unwrap();
        assert!(input.notify(bytes(60)), "there is room again");
    }

    #[tokio::test]
    async fn a_wait_for_room_ends_with_the_helper() {
        let (input, end) = input();
        input.send(bytes(policy::HELPER_INPUT_BYTES)).await.unwrap();
        let mut waits = std::pin::pin!(input.send(bytes(1)));
        assert!(futures_util::poll!(waits.as_mut()).is_pending());
        end.refuse();
        drop(end);
        assert_eq!(waits.await, Err(Closed));
        input.refused().await;
        assert!(!input.notify(bytes(1)));
    }
}
