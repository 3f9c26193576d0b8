//! Ten stuck helpers with a call in flight each: every other request is answered, and the helpers stop with
//! their threads. `scripts/wedge` measures the delay.

use anyhow::Result;
use skein_integration_tests::Home;
use skein_integration_tests::home::Helper;
use skein_integration_tests::wedge::Pen;
use skein_protocol::turn::TurnStatus;

const WEDGED: usize = 10;

#[tokio::test]
async fn ten_stuck_helpers_delay_nobody_and_none_is_left() -> Result<()> {
    let home = Home::setup().helper(Helper::named("helper")?).start().await?;
    let mut pen = Pen::new(&home, WEDGED).await?;
    for _ in 0..2 {
        pen.wedge().await?;
        let mut client = home.client().await?;
        let status = client.status().await?;
        assert_eq!((status.turns.running, status.threads.running), (WEDGED as u64, WEDGED as u64));
        assert_eq!(client.loaded().await?.len(), WEDGED);
        let thread = client.start_thread().await?.id;
        assert_eq!(client.say(thread, "/tool helper echo {\"text\":\"fine\"}").await?, "fine");
        assert_eq!(client.turn(thread, "words").await?.status, TurnStatus::Completed);
        client.unload(thread, false).await?;
        client.resume(thread).await?;
        client.unload(thread, false).await?;
        pen.free().await?;
        client.close().await?;
    }
    pen.wedge().await?;
    pen.close(&home).await?;
    home.finish().await
}
