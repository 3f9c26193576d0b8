//! `skein open`: the page of a home, served in the background where nobody serves it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use skein_config::policy::DEFAULT_PORT;
use skein_protocol::access::Access;
use skein_store::home::{HomePaths, holder};
use tokio::net::UnixStream;

use super::launch::{Started, StartingServer, browse, log_path};
use super::progress::Waiting;
use super::url::{self, PageAddress};
use super::{client, home, home_alone, say};

#[derive(Debug, Args)]
pub(super) struct OpenPage {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Print the address as the only line of stdout, and start no browser.
    #[arg(long)]
    print: bool,
    /// The access that the page gets: read, chat or admin.
    #[arg(long, value_name = "SCOPE", default_value_t = Access::Chat)]
    scope: Access,
    /// Print the address as JSON, on one line, and start no browser.
    #[arg(long)]
    json: bool,
}

impl OpenPage {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let root = std::path::absolute(home(self.home.as_ref())?).context("the home's path")?;
        let stream = reach(&root, self.json).await?;
        let page = url::fresh(&root, stream, self.scope, PageAddress::OfThisMachine).await?;
        let is_shown = !self.print && !self.json && {
            let _waiting = Waiting::of("waiting for the browser", false);
            browse(&page).await
        };
        if is_shown {
            let bare = page.split('#').next().unwrap_or_default();
            say(format_args!("the browser has the page {bare}; it is served until: skein stop"));
            return Ok(());
        }
        url::print_page(&page, self.json)
    }
}

/// A connection to the home's server, which this starts if there is none.
async fn reach(root: &Path, json: bool) -> anyhow::Result<UnixStream> {
    let waiting = Waiting::of(&format!("waiting for the server of {}", root.display()), json);
    let refused = match client::stream(root).await {
        Ok(stream) => return Ok(stream),
        Err(error) => error,
    };
    if holder(&HomePaths::new(root)).is_some() {
        return Err(refused);
    }
    let (pid, reached) = (start(root).await?, client::stream(root).await);
    drop(waiting);
    if let Some(pid) = pid {
        let log = log_path(root);
        say(format_args!(
            "process {pid} serves {} in the background; its log: {}",
            root.display(),
            log.display()
        ));
    }
    reached
}

/// Starts a server at the usual port, or at a free one if another program has that. `None` if another start was faster.
async fn start(root: &Path) -> anyhow::Result<Option<u32>> {
    let mut port = if is_free(DEFAULT_PORT) { DEFAULT_PORT } else { 0 };
    loop {
        let listen = format!("ws://{}:{port}", Ipv4Addr::LOCALHOST);
        match StartingServer::start(root, &listen)?.ready().await? {
            Started::Ready(pid) => return Ok(Some(pid)),
            // The next connection waits for the other one.
            Started::Ended(status, _) if status.code() == Some(i32::from(home_alone::IN_USE)) => {
                return Ok(None);
            }
            Started::Ended(..) if port != 0 && !is_free(port) => port = 0,
            Started::Ended(_, why) if !why.is_empty() => bail!("{why}"),
            Started::Ended(status, _) => {
                bail!("the server has ended at its start ({status}); its log: {}", log_path(root).display())
            }
        }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
