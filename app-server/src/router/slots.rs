//! The slots of one connection's requests in flight. A large request takes several, so that all of them together hold a bounded
//! number of bytes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of one lane of a connection.
#[derive(Debug)]
pub(crate) struct RequestSlots {
    free: Arc<Semaphore>,
    number: usize,
    /// Bytes of a request behind which it takes one more slot.
    bytes: usize,
}

impl RequestSlots {
    /// This many slots. Their requests hold at most twice the largest message together.
    pub(crate) fn new(number: usize, message_bytes: usize) -> Self {
        let bytes = message_bytes.saturating_mul(2).div_ceil(number.max(1)).max(1);
        Self { free: Arc::new(Semaphore::new(number)), number, bytes }
    }

    /// The slots of a request with this many bytes of params, until they are dropped. `None` if too few are free.
    pub(crate) fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let wanted = (1 + bytes / self.bytes).min(self.number);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        Arc::clone(&self.free).try_acquire_many_owned(wanted).ok()
    }

    /// The number of slots, which is that of small requests.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Whether no request has a slot.
    #[cfg(test)]
    pub(crate) fn are_free(&self) -> bool {
        self.free.available_permits() == self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_requests_take_a_slot_each_and_large_ones_as_many_as_their_bytes() {
        let slots = RequestSlots::new(4, 1000);
        let small: Vec<_> = (0..4).map(|_| slots.take(100).unwrap()).collect();
        assert!(slots.take(0).is_none());
        drop(small);
        let largest = slots.take(1000).unwrap();
        assert!(
            slots.take(1000).is_none(),
            "two of the largest and their envelopes are more than all may hold"
        );
        assert!(slots.take(499).is_some());
        drop(largest);
        assert!(slots.are_free());
    }

    #[test]
    fn the_largest_message_has_room_however_few_slots_there_are() {
        for number in 1..100 {
            let slots = RequestSlots::new(number, 1000);
            assert!(slots.take(1000).is_some(), "{number}");
            // A message of a limit that was raised since.
            assert!(slots.take(1_000_000).is_some(), "{number}");
        }
    }
}
