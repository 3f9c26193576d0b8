//! The isolation in force for helpers, as the server reports it, at each level of this machine.

use anyhow::Result;
use serde_json::json;
use skein_integration_tests::home::{Helper, Home, PATIENCE};
use skein_integration_tests::zoo;
use skein_protocol::extension::{ContainmentRung, ContainmentSetting, HelperCounts};

/// The setting, and the expected level in force.
fn wanted(level: &str) -> (ContainmentSetting, ContainmentRung) {
    let has = |level: &str| zoo::available().contains(&level);
    match level {
        "auto" if has("cgroup") => (ContainmentSetting::Auto, ContainmentRung::Cgroup),
        "auto" => (ContainmentSetting::Auto, ContainmentRung::Guard),
        "guard" => (ContainmentSetting::Guard, ContainmentRung::Guard),
        "cgroup" => (ContainmentSetting::Cgroup, ContainmentRung::Cgroup),
        "namespace" => (ContainmentSetting::Namespace, ContainmentRung::Namespace),
        other => panic!("{other} is not an isolation level"),
    }
}

#[tokio::test]
async fn the_status_shows_the_level_in_force_the_missing_level_and_the_count() -> Result<()> {
    for level in zoo::available().iter().copied() {
        let (configured, in_force) = wanted(level);
        let setup = Home::setup().helper(Helper::named("one")?).helper(Helper::named("two")?);
        let (home, mut client) = setup.set("helpers.containment", level).start_with_client().await?;
        let before = client.status().await?.helpers;
        assert_eq!((before.held.configured, before.held.in_force), (configured, Some(in_force)), "{level}");
        assert_eq!((before.containment.len(), before.zero.total), (0, 0));
        let thread = client.start_thread_with("hello").await?;
        for helper in ["one", "two"] {
            client.tool(thread, helper, "echo", json!({ "text": "up" })).await?;
        }
        let HelperCounts { held, containment, guards, alive, .. } = client.status().await?.helpers;
        assert_eq!(
            (held.configured, held.in_force, held.subreaper),
            (configured, Some(in_force), true),
            "{level}"
        );
        let held_by: Vec<(&str, u64)> = containment.iter().map(|(by, count)| (by.as_str(), *count)).collect();
        assert_eq!((held_by, alive, guards), (vec![(in_force.word(), 2)], 2, 2), "{level}");
        assert_eq!(held.cgroup.is_some(), in_force == ContainmentRung::Cgroup, "{held:?}");
        let fell_back = configured == ContainmentSetting::Auto && in_force == ContainmentRung::Guard;
        let lacking: Vec<ContainmentRung> = held.lacking.iter().map(|lack| lack.rung).collect();
        assert_eq!(lacking, if fell_back { vec![ContainmentRung::Cgroup] } else { vec![] }, "{held:?}");
        client.unload(thread, true).await?;
        home.until_drained(PATIENCE).await?;
        let after = client.status().await?.helpers;
        assert_eq!((after.zero.total, after.containment.len()), (2, 0), "{level}");
        assert!(after.zero.max_ms >= after.zero.last_ms && after.zero.last_ms.is_some(), "{after:?}");
        home.finish().await?;
    }
    Ok(())
}
