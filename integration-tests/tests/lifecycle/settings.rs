//! SIGHUP: the server reloads its settings and applies them to loaded threads.

use std::fs;

use anyhow::Result;
use nix::sys::signal::Signal;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_protocol::notifications::ConfigWarning;

#[tokio::test]
async fn a_hangup_reloads_the_settings_and_an_invalid_file_changes_nothing() -> Result<()> {
    let (home, mut control) =
        Home::setup().set("unload.grace", "1h").helper(Helper::named("helper")?).start_with_client().await?;
    let mut client = home.client().await?;
    let thread = client.start_thread_with("/tool helper pid").await?;
    client.close().await?;
    control.until_status("no subscription", |status| status.threads.subscriptions == 0).await?;
    control.quiesce().await?;
    assert_eq!(control.loaded().await?, [thread], "the thread has a grace of an hour");

    let file = home.path().join("config.toml");
    let before = fs::read_to_string(&file)?;
    fs::write(&file, "model = 3\n[unload]\ngrace = \"soon\"\n")?;
    home.signal(Signal::SIGHUP)?;
    control.until_status("a refused reload", |status| status.reloads.refused_total == 1).await?;
    control.quiesce().await?;
    assert_eq!(control.loaded().await?, [thread], "nothing has changed");
    for warning_text in
        ["config.toml:1: model: 3 cannot be used", "config.toml:3: unload.grace: \"soon\" cannot be used"]
    {
        home.until_line(&[warning_text]).await?;
    }

    fs::write(&file, before.replace("1h", "0s") + "\n[limits]\nmailbox = 7\nmailboxes = 7\n")?;
    home.signal(Signal::SIGHUP)?;
    control.thread_closed(thread).await?;
    home.until_drained(PATIENCE).await?;
    for warning_text in
        ["limits.mailboxes: unknown key", "limits.mailbox has changed; it takes effect at the next start"]
    {
        control.next::<ConfigWarning>(|warning| warning.summary.contains(warning_text)).await?;
    }
    let reloads = control.status().await?.reloads;
    assert_eq!((reloads.total, reloads.refused_total), (1, 1));
    assert!(reloads.last_at_ms.is_some());
    home.finish().await
}

#[tokio::test]
async fn new_helper_settings_take_effect_at_the_next_load() -> Result<()> {
    let (home, mut client) = Home::setup().start_with_client().await?;
    let thread = client.start_thread_with("no helper yet").await?;
    client.close().await?;
    let mut client = home.client().await?;
    let file = home.path().join("config.toml");
    let program = skein_integration_tests::paths::mcp_helper()?;
    let tag = home.tag();
    let helper = format!(
        "[mcp_servers.new]\ncommand = {program:?}\n[mcp_servers.new.env]\n{} = {tag:?}\n",
        skein_integration_tests::process::TAG,
    );
    fs::write(&file, helper)?;
    home.signal(Signal::SIGHUP)?;
    client.until_status("a reload", |status| status.reloads.total == 1).await?;
    client.resume(thread).await?;
    assert_eq!(client.say(thread, "/tool new echo {\"text\":\"there\"}").await?, "there");
    client.close().await?;
    home.finish_drained().await
}
