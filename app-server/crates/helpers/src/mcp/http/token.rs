//! A bearer token in a file that is renewed while the helper is in use.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::header::HeaderValue;
use skein_base::files;
use skein_base::masks::Hidden;
use skein_base::tasks::{BlockingPool, Tasks};

use crate::policy;

/// The file, and what stood in it last.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    tasks: Tasks,
    known: Mutex<Option<Token>>,
}

/// A token. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    /// The value of `Authorization`. Its debug output is empty.
    pub(crate) header: HeaderValue,
    hidden: Hidden,
}

impl TokenFile {
    /// Nothing is read yet.
    pub(crate) fn new(path: PathBuf, tasks: Tasks) -> Self {
        Self { path, tasks, known: Mutex::default() }
    }

    /// The token as far as it is known; reads the file the first time. Waits for the disk.
    ///
    /// # Errors
    /// Why there is none, for the user.
    pub(crate) async fn token(&self) -> Result<Token, String> {
        let known = self.known().clone();
        match known {
            Some(token) => Ok(token),
            None => self.read().await,
        }
    }

    /// Reads the file again; `None` if it still has the token that was refused. Waits for the disk.
    pub(crate) async fn renewed(&self, refused: &Token) -> Option<Token> {
        // A file that cannot be read now is as one that nobody has changed.
        let token = self.read().await.ok()?;
        (token.header != refused.header).then_some(token)
    }

    /// A text without the token.
    pub(crate) fn hide(&self, text: &str) -> String {
        self.known().as_ref().map_or_else(|| text.to_owned(), |token| token.hidden.text(text))
    }

    async fn read(&self) -> Result<Token, String> {
        let wrong = |why: String| format!("no token in {} (bearer_token_file): {why}", self.path.display());
        let path = self.path.clone();
        let read = self.tasks.blocking("token file", BlockingPool::Inputs, move || read(&path)).await;
        let text =
            read.map_err(|panic| wrong(panic.to_string()))?.map_err(|error| wrong(error.to_string()))?;
        let token = Token::new(text.trim()).map_err(|why| wrong(why.to_owned()))?;
        *self.known() = Some(token.clone());
        Ok(token)
    }

    fn known(&self) -> MutexGuard<'_, Option<Token>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Token {
    fn new(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("the file is empty");
        }
        let mut header = HeaderValue::try_from(format!("Bearer {text}"))
            .map_err(|_| "it has characters that a header cannot have")?;
        header.set_sensitive(true);
        Ok(Self { header, hidden: Hidden::new([text.to_owned()]) })
    }
}

fn read(path: &std::path::Path) -> io::Result<String> {
    let mut text = String::new();
    let most = policy::HELPER_TOKEN_BYTES;
    files::open_regular(path)?.take(most + 1).read_to_string(&mut text)?;
    match text.len() as u64 > most {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes"))),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_token_is_read_once_and_again_when_it_was_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let file = TokenFile::new(path.clone(), Tasks::new());
        let missing = file.token().await.unwrap_err();
        assert!(missing.contains("bearer_token_file") && missing.contains("token"), "{missing}");
        std::fs::write(&path, "first-s3cret\n").unwrap();
        let first = file.token().await.unwrap();
        assert_eq!(first.header.to_str().unwrap(), "Bearer first-s3cret");
        assert!(file.renewed(&first).await.is_none(), "nobody has changed it");
        std::fs::write(&path, "second-s3cret").unwrap();
        assert_eq!(file.token().await.unwrap().header, first.header);
        let second = file.renewed(&first).await.unwrap();
        assert_eq!(second.header.to_str().unwrap(), "Bearer second-s3cret");
        assert_eq!(file.token().await.unwrap().header, second.header);
        assert_eq!(file.hide("I do not know second-s3cret"), "I do not know ***");
        assert!(!format!("{file:?} {second:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn a_fifo_without_a_writer_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let why = TokenFile::new(path, Tasks::new()).token().await.unwrap_err();
        assert!(why.contains("not a regular file"), "{why}");
    }

    #[tokio::test]
    async fn a_text_that_cannot_be_a_token_is_refused_without_being_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        for text in ["", " \n", "two-s3cret\nlines", &"s3cret".repeat(20_000)] {
            std::fs::write(&path, text).unwrap();
            let why = TokenFile::new(path.clone(), Tasks::new()).token().await.unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
    }
}
