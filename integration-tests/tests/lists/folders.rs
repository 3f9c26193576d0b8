//! Threads of one folder are in one list, whatever spelling of the path their clients use.

use std::os::unix::fs::symlink;

use anyhow::{Context, Result};
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::requests::turn_params;
use skein_protocol::methods::{ThreadList, ThreadStart, TurnStart};
use skein_protocol::notifications::TurnCompleted;
use skein_protocol::thread::{ThreadListCwdFilter, ThreadListParams, ThreadStartParams};

#[tokio::test]
async fn a_folder_is_the_same_with_slashes_dots_and_links() -> Result<()> {
    // The server that is asked looks at the folders.
    let (home, mut client) = Home::setup().alone().start_with_client().await?;
    let root = home.beside().canonicalize()?;
    let at = |name: &str| format!("{}/{name}", root.display());
    std::fs::create_dir_all(at("sub2"))?;
    std::fs::create_dir_all(at("sub"))?;
    symlink(at("sub"), at("link"))?;
    for (asked, shown) in [
        ("sub", "sub"),
        ("sub/", "sub"),
        ("sub2/../sub", "sub"),
        ("./sub", "sub"),
        ("link", "link"),
        ("sub2", "sub2"),
    ] {
        let params = ThreadStartParams { cwd: Some(at(asked)), ..ThreadStartParams::default() };
        let started = client.call::<ThreadStart>(params).await?;
        assert_eq!((started.cwd, started.thread.cwd), (at(shown), at(shown)));
        let mut turn = turn_params(started.thread.id, "words");
        turn.cwd = Some(format!("{}/.", at(asked)));
        client.call::<TurnStart>(turn).await?;
        client.next::<TurnCompleted>(|done| done.thread_id == started.thread.id).await?;
    }
    for (asked, count) in [("sub", 5), ("sub/", 5), ("link", 5), ("sub2/", 1), ("nowhere", 0)] {
        let cwd = Some(ThreadListCwdFilter::One(at(asked)));
        let params = ThreadListParams { cwd, ..ThreadListParams::default() };
        // A thread's row follows its turn.
        let listed = async {
            loop {
                let list = client.call::<ThreadList>(params.clone()).await?;
                if list.data.len() >= count {
                    return anyhow::Ok(list);
                }
            }
        };
        let list =
            tokio::time::timeout(PATIENCE, listed).await.with_context(|| format!("{count} in {asked}"))??;
        assert_eq!(list.data.len(), count, "{asked}");
        let spelled = list.data.iter().all(|thread| !thread.cwd.ends_with(['/', '.']));
        assert!(spelled, "{:?}", list.data);
    }
    home.finish().await
}
