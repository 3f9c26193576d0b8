//! A request without params to the running server; prints the answer for people, or as JSON.

use anyhow::Context;
use clap::Args;
use skein_protocol::envelope;
use skein_protocol::table::Method;

use super::client::CliClient;
use super::{Where, call, print_line, print_lines};

#[derive(Debug, Args)]
pub(super) struct Ask {
    #[command(flatten)]
    target: Where,
    /// Print the answer as JSON, on one line.
    #[arg(long)]
    json: bool,
}

impl Ask {
    /// Sends the request, and prints the answer by `table`.
    pub(super) async fn run<M: Method>(self, table: fn(&M::Response) -> String) -> anyhow::Result<()> {
        let mut client = CliClient::open(&self.target, self.json).await?;
        let answer = client.call(M::INFO.wire, None, |_| Ok(())).await?;
        client.close().await;
        if self.json {
            return print_line(&call::shown(&answer, true)?);
        }
        let answer = envelope::result(&answer).context("the server is of another version")?;
        print_lines(&table(&answer))
    }
}
