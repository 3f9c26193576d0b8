//! Short texts of requests, which lists show, everybody is told and rollouts repeat: names, folders, models. Each has a bound.

use skein_protocol::error::WireError;

use crate::policy;

/// The path of a member in a request, and its text.
pub(crate) type Word<'a> = (&'static str, Option<&'a str>);

/// Whether none is longer than [`policy::WORD_BYTES`].
///
/// # Errors
/// `tooLong`, which names the first that is.
pub(super) fn check(words: &[Word]) -> Result<(), WireError> {
    words.iter().try_for_each(|(path, text)| at_most(policy::WORD_BYTES, path, text.unwrap_or_default()))
}

/// Whether a text has at most so many bytes.
///
/// # Errors
/// `tooLong`, which names it.
pub(crate) fn at_most(most: usize, path: &'static str, text: &str) -> Result<(), WireError> {
    let bytes = text.len();
    if bytes <= most {
        return Ok(());
    }
    let text = format!("{path} has {bytes} bytes, more than {most}; shorten it");
    Err(WireError::invalid_params("tooLong", text).path(path))
}
