//! Limits for short texts of requests that lists, notifications and rollouts repeat: names, folders, models.

use skein_protocol::error::WireError;

use skein_store::policy;

/// A member's path in a request, and its text.
pub(crate) type LimitedText<'a> = (&'static str, Option<&'a str>);

/// Checks that no text is longer than [`policy::WORD_BYTES`].
///
/// # Errors
/// `tooLong`, with the first one.
pub(super) fn check(words: &[LimitedText]) -> Result<(), WireError> {
    words.iter().try_for_each(|(path, text)| at_most(policy::WORD_BYTES, path, text.unwrap_or_default()))
}

/// Checks the length of a text, in bytes.
///
/// # Errors
/// `tooLong`, with the path.
pub(crate) fn at_most(most: usize, path: &'static str, text: &str) -> Result<(), WireError> {
    let bytes = text.len();
    if bytes <= most {
        return Ok(());
    }
    let text = format!("{path} has {bytes} bytes, more than {most}; shorten it");
    Err(WireError::invalid_params("tooLong", text).path(path))
}
