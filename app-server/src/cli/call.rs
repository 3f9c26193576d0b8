//! `skein call`: sends one request and prints its answer, and optionally everything after it.

use std::io::Read;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;
use serde_json::value::RawValue;

use skein_protocol::error::{METHOD_NOT_FOUND, WireError};
use skein_protocol::methods::METHODS;

use super::client::{CliClient, RequestError};
use super::progress::Waiting;
use super::{Where, print_line, print_lines, words};

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
        let mut client = CliClient::open(&self.target, self.json).await?;
        let show = |text: &str| if self.follow { print_line(text) } else { Ok(()) };
        let waiting =
            Waiting::of(&format!("waiting for the answer to {}", self.method), self.json || self.follow);
        let answer = client.call(&self.method, params.as_deref(), show).await;
        drop(waiting);
        let answer = match answer {
            Ok(answer) => answer,
            Err(RequestError::Refused(error)) if self.json => bail!(serde_json::to_string(&error)?),
            Err(RequestError::Refused(error)) => {
                let hint = hint(&self.method, params.as_deref(), &error);
                bail!("{error}{}", hint.map(|hint| format!("; {hint}")).unwrap_or_default())
            }
            Err(error @ RequestError::Broken(_)) => return Err(error.into()),
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
    serde_json::from_str(&text).map_err(|error| {
        let words = error.to_string();
        // In one line the place says nothing.
        let place = |words: &str| words.rsplit_once(" at line ").map(|(words, _)| words.to_owned());
        let is_one_line = !text.trim_end().contains('\n');
        let words = place(&words).filter(|_| is_one_line).unwrap_or(words);
        anyhow::anyhow!("the params are not JSON: {words}; write them as one word of the shell, such as '{{\"cwd\": \"/srv\"}}'")
    })
}

/// A remedy for a refused request.
fn hint(method: &str, params: Option<&RawValue>, error: &WireError) -> Option<String> {
    if !METHODS.iter().any(|known| known.wire == method) && error.code == METHOD_NOT_FOUND {
        return words::nearest(method, METHODS.iter().map(|known| known.wire))
            .map(|near| format!("did you mean {near}?"));
    }
    let input = params.and_then(|params| serde_json::from_str::<Value>(params.get()).ok());
    let is_text = input.is_some_and(|params| params["input"].is_string());
    is_text.then(|| r#"input is a list such as [{"type": "text", "text": "hello"}]"#.to_owned())
}

/// An answer for people, or on one line.
pub(super) fn shown(answer: &RawValue, one_line: bool) -> anyhow::Result<String> {
    let answer: Value = serde_json::from_str(answer.get())?;
    Ok(if one_line { answer.to_string() } else { format!("{answer:#}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_with_a_wrong_letter_is_guessed_and_another_word_is_not() {
        let nearest = |given: &str| words::nearest(given, METHODS.iter().map(|known| known.wire));
        assert_eq!(
            nearest("thread/strat").map(|near| near.replace('/', ":")),
            Some("thread:start".to_owned())
        );
        assert_eq!(nearest("Thread/List").map(|near| near.replace('/', ":")), Some("thread:list".to_owned()));
        assert_eq!(nearest("xyzzy"), None);
    }

    #[test]
    fn params_of_one_line_have_no_line_and_column() {
        let why = |text: &str| read_params(text).unwrap_err().to_string();
        assert!(!why("{bad").contains("line") && why("{bad").contains("not JSON"), "{}", why("{bad"));
        assert!(why("{\n\"a\": 1,\n}").contains("line 3"));
    }
}
