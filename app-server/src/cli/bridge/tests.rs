//! A bridge between its lines: how long it waits.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_server_without_room_is_asked_again_after_the_time_that_it_names() {
    let (session, wait) = session::tests::turned_away();
    let link = BridgeLink {
        session: RefCell::new(session),
        for_server: Notify::new(),
        for_client: Notify::new(),
        again_at: Cell::default(),
        flags: Flags::default(),
    };
    let begun = Clock.now();
    // A message in between does not prolong the wait.
    assert!(tokio::time::timeout(wait / 2, again(&link)).await.is_err());
    again(&link).await;
    assert_eq!((Clock.now() - begun, link.again_at.get()), (wait, None));
}
