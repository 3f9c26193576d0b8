//! `skein call`: sends one request and prints its answer, and optionally everything after it.

use std::io::Read;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::value::RawValue;

use super::client::{CliClient, RequestError};
use super::{Where, print_line, print_lines};

#[derive(Debug, Args)]
pub(super) struct CallArgs {
    /// The method, as METHODS.md lists them.
    method: String,
    /// Its params, a JSON object; - reads them from stdin.
    #[arg(value_name = "JSON")]
    params: Option<String>,
    #[command(flatten)]
    target: Where,
    /// Keep the connection and print everything the server sends, a line each, until Ctrl-C or the server closes.
    #[arg(long)]
    follow: bool,
    /// Print the answer on one line, and an error as JSON.
    #[arg(long)]
    json: bool,
}

impl CallArgs {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let params = self.params.as_deref().map(read_params).transpose()?;
        let mut client = CliClient::open(&self.target).await?;
        let show = |text: &str| if self.follow { print_line(text) } else { Ok(()) };
        let answer = match client.call(&self.method, params.as_deref(), show).await {
            Ok(answer) => answer,
            Err(RequestError::Refused(error)) if self.json => bail!(serde_json::to_string(&error)?),
            Err(error) => return Err(error.into()),
        };
        print_lines(&shown(&answer, self.json)?)?;
        if self.follow {
            follow(&mut client).await?;
        }
        client.close().await;
        Ok(())
    }
}

/// Prints messages until interrupted.
async fn follow(client: &mut CliClient) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            text = client.next() => match text? {
                Some(text) => print_line(&text)?,
                None => return Ok(()),
            },
            interrupted = tokio::signal::ctrl_c() => return interrupted.context("signals"),
        }
    }
}

fn read_params(given: &str) -> anyhow::Result<Box<RawValue>> {
    let mut text = given.to_owned();
    if given == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text).context("stdin")?;
    }
    serde_json::from_str(&text).context("the params are not JSON")
}

/// An answer for people, or on one line.
pub(super) fn shown(answer: &RawValue, one_line: bool) -> anyhow::Result<String> {
    let answer: serde_json::Value = serde_json::from_str(answer.get())?;
    Ok(if one_line { answer.to_string() } else { format!("{answer:#}") })
}
