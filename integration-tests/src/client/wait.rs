//! Waiting for messages: by what they are, never by time.

use anyhow::{Context, bail};
use futures_util::StreamExt;
use skein_protocol::table::Notification;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};

use super::{BOUND, Client, End, Received};

/// Messages that an error of a wait shows.
const SHOWN: usize = 8;
/// Characters of a message that an error of a wait shows.
const SHOWN_LENGTH: usize = 300;

impl Client {
    /// Takes the first message that was not taken and fits; waits for it when it has not come yet.
    ///
    /// # Errors
    /// When it does not come within [`BOUND`], or the connection ends before. The error names `what`.
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
        read.and_then(|read| read).with_context(|| format!("waiting for {what}; {}", self.last_heard()))
    }

    /// Takes the next notification of this kind that fits.
    ///
    /// # Errors
    /// As [`Client::until`], or when it has another shape.
    pub async fn next<N: Notification>(
        &mut self,
        fits: impl Fn(&N::Params) -> bool,
    ) -> anyhow::Result<N::Params> {
        let is_it = |message: &Received| match message.notification::<N>() {
            Ok(Some(params)) => fits(&params),
            Ok(None) => false,
            // A wrong shape is taken too, so that it is reported.
            Err(_) => true,
        };
        let received = self.until(N::INFO.wire, is_it).await?;
        received.notification::<N>()?.with_context(|| format!("not {}", N::INFO.wire))
    }

    /// All notifications of this kind that were received, taken or not, in order.
    ///
    /// # Errors
    /// When one has another shape.
    pub fn heard<N: Notification>(&self) -> anyhow::Result<Vec<N::Params>> {
        self.record.iter().filter_map(|message| message.notification::<N>().transpose()).collect()
    }

    /// Reads for this long. Returns how the connection ended, if it did.
    ///
    /// # Errors
    /// When what comes is no message.
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
    /// When it does not end within [`BOUND`].
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

    /// Reads one frame. A text becomes the last of the record; pings and pongs are passed over.
    async fn read(&mut self) -> anyhow::Result<()> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => self.received(text.to_string())?,
            Some(Ok(Message::Close(frame))) => {
                self.end.get_or_insert(End::Close(frame.map(|frame| frame.code.into())));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(other)) => bail!("the server sent {other:?}"),
            // Also a reset in the middle of a frame, which the websocket's reader reports as a fault of protocol.
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

    fn received(&mut self, text: String) -> anyhow::Result<()> {
        if let Some(transcript) = &mut self.transcript {
            transcript.received(&text)?;
        }
        self.untaken.push(self.record.len());
        self.record.push(Received::read(text)?);
        Ok(())
    }

    fn last_heard(&self) -> String {
        let from = self.record.len().saturating_sub(SHOWN);
        let last: Vec<String> = self.record[from..]
            .iter()
            .map(|message| format!("\n  {}", message.text.chars().take(SHOWN_LENGTH).collect::<String>()))
            .collect();
        format!("{} messages came, the last were:{}", self.record.len(), last.concat())
    }
}
