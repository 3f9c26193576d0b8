//! The numbers of helpers: timeouts, bounds and limits.

/// Questions of helpers waiting for their thread's owner. Origin: guess; a session without room waits.
pub(crate) const HELPER_QUESTIONS_WAITING: usize = 16;
/// Bytes of one helper's instructions for a model. Origin: guess; a page, and a thousand tokens.
pub(crate) const HELPER_INSTRUCTIONS_BYTES: usize = 4 << 10;
/// Bytes of the instructions of all helpers of a thread together. Origin: guess; eight thousand tokens.
pub(crate) const HELPER_NOTES_BYTES: usize = 32 << 10;
/// Bytes of the reason for a missing helper, for a model. Origin: guess; a line.
pub(crate) const HELPER_REASON_BYTES: usize = 200;
