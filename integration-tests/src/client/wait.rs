//! Waits for messages, by their content and never by time.

use anyhow::{Context, bail};
use futures_util::StreamExt;
use skein_protocol::table::Notification;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};

use super::{BOUND, Client, End, Received};

/// Number of messages in the error of a wait.
const SHOWN: usize = 8;
/// Characters of each message in the error of a wait.
const SHOWN_LENGTH: usize = 300;

impl Client {
    /// Takes the first message that fits and was not taken. Waits if there is none yet.
    ///
    /// # Errors
    /// Fails if none comes within [`BOUND`], or the connection ends first. The error names `what`.
    pub async fn until(&mut self, what: &str, fits: impl Fn(&Received) -> bool) -> anyhow::Result<Received> {
        if let Some(at) = self.untaken.iter().position(|&at| fits(&self.record[at])) {
            return Ok(self.record[self.untaken.remove(at)].clone());
        }
        let read = async {
            loop {
                self.read().await?;
                match (self.untaken.last(), self.end) {
                    (_, Some(end)) => bail!("the connection has ended ({end:?})"),
                    (Some(&last), None) if fits(&self.record[last]) => {
                        self.untaken.pop();
                        return Ok(self.record[last].clone());
                    }
                    (Some(_) | None, None) => {}
                }
            }
        };
        let read = timeout(BOUND, read).await.with_context(|| format!("nothing within {BOUND:?}"));
        read.and_then(|read| read).with_context(|| format!("waiting for {what}; {}", self.last_received()))
    }

    /// Takes the next notification of this kind that fits.
    ///
    /// # Errors
    /// Fails like [`Client::until`], or if the notification has another shape.
    pub async fn next<N: Notification>(
        &mut self,
        fits: impl Fn(&N::Params) -> bool,
    ) -> anyhow::Result<N::Params> {
        let is_it = |message: &Received| match message.notification::<N>() {
            Ok(Some(params)) => fits(&params),
            Ok(None) => false,
            // Also take a wrong shape, so that the error reports it.
            Err(_) => true,
        };
        let received = self.until(N::INFO.wire, is_it).await?;
        received.notification::<N>()?.with_context(|| format!("not {}", N::INFO.wire))
    }

    /// All received notifications of this kind, taken or not, in order.
    ///
    /// # Errors
    /// Fails if one has another shape.
    pub fn received<N: Notification>(&self) -> anyhow::Result<Vec<N::Params>> {
        self.record.iter().filter_map(|message| message.notification::<N>().transpose()).collect()
    }

    /// Reads for this long. Returns how the connection ended, if it did.
    ///
    /// # Errors
    /// Fails if a frame is not a message.
    pub async fn listen_for(&mut self, time: std::time::Duration) -> anyhow::Result<Option<End>> {
        let read = async {
            while self.end.is_none() {
                self.read().await?;
            }
            anyhow::Ok(())
        };
        if let Ok(read) = timeout(time, read).await {
            read?;
        }
        Ok(self.end)
    }

    /// Waits until the connection has ended.
    ///
    /// # Errors
    /// Fails if it does not end within [`BOUND`].
    pub async fn until_end(&mut self) -> anyhow::Result<End> {
        let read = async {
            loop {
                if let Some(end) = self.end {
                    return anyhow::Ok(end);
                }
                self.read().await?;
            }
        };
        timeout(BOUND, read).await.with_context(|| format!("no end of the connection within {BOUND:?}"))?
    }

    /// Reads one frame. A text frame becomes the last message of the record; pings and pongs are ignored.
    async fn read(&mut self) -> anyhow::Result<()> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => self.keep(text.to_string())?,
            Some(Ok(Message::Close(frame))) => {
                self.close_text = frame.as_ref().map(|frame| frame.reason.to_string());
                self.end.get_or_insert(End::Close(frame.map(|frame| frame.code.into())));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(other)) => bail!("the server sent {other:?}"),
            // Also a reset in the middle of a frame, which the websocket library reports as a protocol error.
            Some(Err(
                tungstenite::Error::ConnectionClosed
                | tungstenite::Error::Io(_)
                | tungstenite::Error::Protocol(_),
            ))
            | None => {
                self.end.get_or_insert(End::Broken);
            }
            Some(Err(error)) => return Err(error.into()),
        }
        Ok(())
    }

    fn keep(&mut self, text: String) -> anyhow::Result<()> {
        if let Some(transcript) = &mut self.transcript {
            transcript.received(&text)?;
        }
        self.untaken.push(self.record.len());
        self.record.push(Received::read(text)?);
        Ok(())
    }

    fn last_received(&self) -> String {
        let from = self.record.len().saturating_sub(SHOWN);
        let last: Vec<String> = self.record[from..]
            .iter()
            .map(|message| format!("\n  {}", message.text.chars().take(SHOWN_LENGTH).collect::<String>()))
            .collect();
        format!("{} messages came, the last were:{}", self.record.len(), last.concat())
    }
}
