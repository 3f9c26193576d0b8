//! Takes in the changes that other servers of the database make, and tells the clients of this one which questions wait there.

use std::sync::Arc;

use skein_postgres::news::RowNews;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::policy;
use crate::thread::Context;

/// Looks until `stop`. While the database is away, the next look takes in what this one misses.
pub(crate) async fn run(context: Arc<Context>, news: Arc<RowNews>, stop: CancellationToken) {
    let mut looks = tokio::time::interval(policy::NEWS_PAUSE);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(looks.tick()).await.is_some() {
        // The beats of the server warn of a database that does not answer.
        for thread in news.take_in().await.unwrap_or_default() {
            context.question_feed.note(thread);
        }
    }
}
