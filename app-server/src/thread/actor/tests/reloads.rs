//! Settings that change while threads are loaded.

use std::time::Duration;

use skein_config::{ConfigErrors, ServerConfig};
use skein_protocol::notifications::ConfigWarning;

use super::*;
use crate::reload;

/// The settings of the bench, changed.
fn changed(bench: &Bench, change: impl FnOnce(&mut ServerConfig)) -> ServerConfig {
    let mut config = ServerConfig::clone(&bench.services.config());
    change(&mut config);
    config
}

#[tokio::test(start_paused = true)]
async fn a_loaded_thread_takes_a_new_policy_at_once() {
    let bench = Bench::with(|config| config.unload.grace = Duration::from_hours(1));
    let (client, thread) = bench.materialised().await;
    client.disconnect();
    assert!(client.fence(thread).await, "it has an hour");
    let now = bench.services.clock.now();
    reload::take(&bench.services, Ok(changed(&bench, |config| config.unload.grace = Duration::ZERO)))
        .unwrap();
    bench.gone(thread).await;
    assert_eq!(bench.services.clock.now(), now, "at once");
    assert_eq!(bench.services.counters.reloads.get(), 1);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_goes_on_alone_ends_when_the_settings_say_so() {
    let bench = Bench::in_memory();
    let (client, thread, _strings) = bench.running().await;
    client.disconnect();
    assert!(client.fence(thread).await);
    let limit = Some(Duration::from_mins(1));
    reload::take(&bench.services, Ok(changed(&bench, |config| config.orphans.running_limit = limit)))
        .unwrap();
    bench.gone(thread).await;
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_are_wrong_change_nothing() {
    let bench = Bench::in_memory();
    let mut client = bench.client();
    let before = bench.services.config();
    reload::take(&bench.services, Err(ConfigErrors(Vec::new()))).unwrap_err();
    assert_eq!(bench.services.config(), before);
    let counters = &bench.services.counters;
    assert_eq!((counters.reloads.get(), counters.reloads_refused.get()), (0, 1));
    assert_eq!(client.received().len(), 0);
    bench.finish().await;
}

#[tokio::test(start_paused = true)]
async fn clients_are_notified_of_settings_that_wait_for_the_next_start() {
    let bench = Bench::in_memory();
    let mut client = bench.client();
    let before = bench.services.config().limits.mailbox;
    reload::take(&bench.services, Ok(changed(&bench, |config| config.limits.mailbox = before + 1))).unwrap();
    let warning = client.notified::<ConfigWarning>().await;
    assert_eq!(warning.summary, "limits.mailbox has changed; it takes effect at the next start");
    assert_eq!(bench.services.config().limits.mailbox, before);
    bench.finish().await;
}
