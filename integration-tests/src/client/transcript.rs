//! Transcripts of the wire as JSON lines, for checks against the peer's schema:
//! `{"conn":"PROCESS-N","dir":"c2s"|"s2c","msg":{..}}`, with `"raw"` in place of `"msg"` for text that is not
//! JSON. A message that a test wrote by hand has `"free":true`, and may have any shape.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use serde_json::json;
use serde_json::value::RawValue;

/// Variable with the file that every client appends to. Without it there is no transcript.
const VARIABLE: &str = "SKEIN_TRANSCRIPT";

/// Number of connections that this process has recorded.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// Author of a client's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    /// The typed client; the message must fit the schema.
    Types,
    /// A test, by hand.
    Test,
}

/// An open transcript of one connection. Several clients may append to the same file; each line is one write.
pub(super) struct Transcript {
    file: File,
    /// Name of this connection in the file.
    connection: String,
}

impl Transcript {
    /// The transcript named in the environment, if there is one.
    pub(super) fn from_environment() -> anyhow::Result<Option<Self>> {
        let Some(path) = std::env::var_os(VARIABLE) else { return Ok(None) };
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("{VARIABLE} names {}", path.display()))?;
        let number = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        Ok(Some(Self { file, connection: format!("{}-{number}", std::process::id()) }))
    }

    pub(super) fn sent(&mut self, text: &str, author: Author) -> anyhow::Result<()> {
        self.write(
            match author {
                Author::Types => r#""dir":"c2s""#,
                Author::Test => r#""dir":"c2s","free":true"#,
            },
            text,
        )
    }

    pub(super) fn received(&mut self, text: &str) -> anyhow::Result<()> {
        self.write(r#""dir":"s2c""#, text)
    }

    /// The text is copied as is, so that a measuring test is not slowed down.
    fn write(&mut self, members: &str, text: &str) -> anyhow::Result<()> {
        let connection = &self.connection;
        let line = match serde_json::from_str::<&RawValue>(text) {
            // In JSON a line break between tokens can become a space.
            Ok(message) => {
                let message = message.get().replace(['\n', '\r'], " ");
                format!("{{\"conn\":\"{connection}\",{members},\"msg\":{message}}}\n")
            }
            Err(_) => format!("{{\"conn\":\"{connection}\",{members},\"raw\":{}}}\n", json!(text)),
        };
        self.file.write_all(line.as_bytes()).context("the transcript cannot be written")
    }
}
