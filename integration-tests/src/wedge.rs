//! Stuck helpers with a call in flight, and whether they delay requests that do not need them.
//!
//! | room | question it answers |
//! | --- | --- |
//! | `mod` | how helpers are stopped and freed again |
//! | [`figures`] | how long calls take beside them |
//! | [`report`] | the table |

pub mod figures;
pub mod report;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};
use skein_protocol::extension::SkeinThreadUnloadParams;
use skein_protocol::ids::{ThreadId, TurnId};
use skein_protocol::item::ThreadItemBody;
use skein_protocol::methods::{SkeinThreadUnload, ThreadStart};
use skein_protocol::notifications::ItemStarted;
use skein_protocol::thread::ThreadStartParams;

use crate::client::Client;
use crate::home::Home;
use crate::{paths, process};

/// Threads to unload at once. A connection may not have many more requests in flight.
const AT_ONCE: usize = 50;
/// Name of the helper of each thread.
const NAME: &str = "wedged";

/// Threads with one private helper each. The pen can wedge and free the helpers.
pub struct Pen {
    client: Client,
    members: Vec<Member>,
}

struct Member {
    thread: ThreadId,
    pid: Pid,
    way: Way,
    turn: Option<TurnId>,
}

/// How a helper is stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The helper reads the call and never answers.
    Silent,
    /// SIGSTOP stopped the helper before the call.
    Stopped,
}

impl Pen {
    /// Makes `count` threads, each with a working helper.
    ///
    /// # Errors
    /// Fails if a helper does not start.
    pub async fn new(home: &Home, count: usize) -> Result<Self> {
        let mut client = home.client().await?;
        let program = paths::mcp_helper()?;
        let settings = json!({ "command": program, "env": { process::TAG: home.tag() } });
        let config: Map<String, Value> = [(format!("mcp_servers.{NAME}"), settings)].into_iter().collect();
        let mut members = Vec::new();
        for way in [Way::Silent, Way::Stopped].into_iter().cycle().take(count) {
            let params = ThreadStartParams { config: Some(config.clone()), ..ThreadStartParams::default() };
            let thread = client.call::<ThreadStart>(params).await?.thread.id;
            let pid = client.say(thread, &format!("/tool {NAME} pid")).await?;
            let pid = pid.parse().with_context(|| format!("no process id: {pid}"))?;
            members.push(Member { thread, pid: Pid::from_raw(pid), way, turn: None });
        }
        Ok(Self { client, members })
    }

    /// Wedges all helpers, each with a call in flight.
    ///
    /// # Errors
    /// Fails if a call does not begin.
    pub async fn wedge(&mut self) -> Result<()> {
        for Member { thread, pid, way, turn } in &mut self.members {
            let call = match way {
                Way::Silent => "hang",
                Way::Stopped => {
                    process::freeze(pid.as_raw().cast_unsigned()).await?;
                    "pid"
                }
            };
            let begun = self.client.start_turn(*thread, &format!("/tool {NAME} {call}")).await?;
            let called = |item: &ItemStartedParams| {
                item.turn_id == begun && matches!(item.item.body, ThreadItemBody::McpToolCall(_))
            };
            self.client.next::<ItemStarted>(called).await?;
            *turn = Some(begun);
        }
        let count = u64::try_from(self.members.len())?;
        self.client.until_status("all calls are outstanding", |now| now.turns.running == count).await?;
        self.client.take_all();
        Ok(())
    }

    /// Frees all helpers, and waits for the end of their calls.
    ///
    /// # Errors
    /// Fails if a call does not end.
    pub async fn free(&mut self) -> Result<()> {
        for Member { thread, pid, way, turn } in &mut self.members {
            let Some(turn) = turn.take() else { continue };
            match way {
                Way::Silent => self.client.interrupt(*thread, &turn).await?,
                Way::Stopped => kill(*pid, Signal::SIGCONT)?,
            }
            self.client.turn_end(&turn).await?;
        }
        self.client.take_all();
        Ok(())
    }

    /// Unloads all threads at once, whatever their helpers do, and waits for the end.
    ///
    /// # Errors
    /// Fails if a process is left.
    pub async fn close(mut self, home: &Home) -> Result<()> {
        for some in self.members.chunks(AT_ONCE) {
            let mut pending = Vec::new();
            for member in some {
                let params = SkeinThreadUnloadParams { thread_id: member.thread, force: true };
                pending.push(self.client.start_call::<SkeinThreadUnload>(&params).await?);
            }
            for pending in pending {
                self.client.answer(pending).await?.context("the unload is refused")?;
            }
        }
        let left = home.family();
        ensure!(left.count() == 0, "left: {left:#?}");
        self.client.close().await?;
        Ok(())
    }
}

/// Params of the notification that an item begins.
type ItemStartedParams = <ItemStarted as skein_protocol::table::Notification>::Params;
