//! Paths in requests of the access `chat` lie in `[browser] roots`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_integration_tests::home::{Home, PATIENCE};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    ConfigBatchWrite, FeedbackUpload, ThreadFork, ThreadResume, ThreadSettingsUpdate, ThreadStart, TurnStart,
    TurnSteer,
};
use tempfile::TempDir;

use super::{about, refused};

/// A folder with `root`, `other`, and links between them.
fn disk() -> Result<TempDir> {
    let disk = tempfile::tempdir()?;
    let at = |name: &str| disk.path().join(name);
    for folder in ["root/sub", "other"] {
        fs::create_dir_all(at(folder))?;
    }
    for file in ["root/image.png", "other/image.png"] {
        fs::write(at(file), "no image")?;
    }
    symlink(at("other"), at("root/link"))?;
    symlink(at("other/image.png"), at("root/link.png"))?;
    symlink(at("root"), at("alias"))?;
    symlink(at("nowhere"), at("root/dangling"))?;
    Ok(disk)
}

/// Paths below the folder, and whether they lie in `root`.
const PATHS: [(&str, bool); 12] = [
    ("root", true),
    ("root/sub", true),
    ("root/new/folder", true),
    ("root/./sub/../image.png", true),
    ("alias/image.png", true),
    ("other", false),
    ("rooted", false),
    ("root/../other/image.png", false),
    ("root/link/image.png", false),
    ("root/link/new", false),
    ("root/link.png", false),
    ("root/dangling", false),
];

/// Sends a path in every member that takes one. `inside` says whether the path may be named.
async fn judged(chat: &mut Client, thread: ThreadId, path: &str, inside: bool) -> Result<()> {
    let field = |field: &str| (!inside).then(|| field.to_owned());
    for (members, wanted) in [
        (json!({ "cwd": path }), "cwd"),
        (json!({ "path": path }), "path"),
        (json!({ "runtimeWorkspaceRoots": [path] }), "runtimeWorkspaceRoots[0]"),
    ] {
        if wanted != "path" {
            assert_eq!(refused::<ThreadStart>(chat, members.clone()).await?, field(wanted), "{path}");
        }
        let params = about(thread, members);
        assert_eq!(refused::<ThreadFork>(chat, params.clone()).await?, field(wanted), "{path}");
        assert_eq!(refused::<ThreadResume>(chat, params).await?, field(wanted), "{path}");
    }
    let environment = json!([{ "environmentId": "local", "cwd": path }]);
    for (members, wanted) in
        [(json!({ "cwd": path }), "cwd"), (json!({ "environments": environment }), "environments[0].cwd")]
    {
        let params = about(thread, members);
        assert_eq!(refused::<ThreadSettingsUpdate>(chat, params).await?, field(wanted), "{path}");
    }
    let files = json!({ "classification": "bug", "extraLogFiles": [path] });
    assert_eq!(refused::<FeedbackUpload>(chat, files).await?, field("extraLogFiles[0]"), "{path}");
    judged_in_input(chat, thread, path, field("input[1].path")).await
}

async fn judged_in_input(
    chat: &mut Client,
    thread: ThreadId,
    path: &str,
    field: Option<String>,
) -> Result<()> {
    for kind in ["localImage", "localAudio", "mention", "skill"] {
        let piece = json!({ "type": kind, "name": "it", "path": path });
        let input = json!([{ "type": "text", "text": "see" }, piece]);
        let params = about(thread, json!({ "input": input, "expectedTurnId": "none" }));
        assert_eq!(refused::<TurnSteer>(chat, params.clone()).await?, field, "{kind} {path}");
        if field.is_some() {
            assert_eq!(refused::<TurnStart>(chat, params).await?, field, "{kind} {path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_path_of_chat_lies_in_the_roots_with_links_resolved() -> Result<()> {
    let disk = disk()?;
    let at = |name: &str| disk.path().join(name).display().to_string();
    let setup = Home::setup().set("browser.roots", vec![at("root")]);
    let (home, mut admin) = setup.start_with_client().await?;
    let thread = admin.start_thread_with("words").await?;
    let mut chat = home.client_of("chat").await?;
    for (path, inside) in PATHS {
        judged(&mut chat, thread, &at(path), inside).await?;
    }
    for path in ["/etc/passwd", "~/.ssh/id", "~", "/", "/proc/self/root/etc/passwd", "relative"] {
        judged(&mut chat, thread, path, false).await?;
    }
    // Full access has no roots, and a request that names no path needs none.
    assert_eq!(refused::<ThreadStart>(&mut admin, json!({ "cwd": at("other") })).await?, None);
    assert_eq!(chat.start_thread_with("elsewhere").await?.to_string().len(), 36);
    home.finish().await
}

#[tokio::test]
async fn the_roots_are_the_users_home_without_a_setting() -> Result<()> {
    let disk = disk()?;
    let at = |name: &str| disk.path().join(name).display().to_string();
    let (home, _admin) = Home::setup().env("HOME", &at("root")).start_with_client().await?;
    let mut chat = home.client_of("chat").await?;
    for (path, inside) in PATHS {
        let field = (!inside).then(|| "cwd".to_owned());
        assert_eq!(refused::<ThreadStart>(&mut chat, json!({ "cwd": at(path) })).await?, field, "{path}");
    }
    assert_eq!(refused::<ThreadStart>(&mut chat, json!({ "cwd": "~/sub" })).await?, None);
    home.finish().await
}

async fn may_name(chat: &mut Client, path: &Path) -> Result<bool> {
    Ok(refused::<ThreadStart>(chat, json!({ "cwd": path })).await?.is_none())
}

#[tokio::test]
async fn changed_roots_hold_at_once_for_open_connections() -> Result<()> {
    let disk = disk()?;
    let (root, other) = (disk.path().join("root"), disk.path().join("other"));
    let setup = Home::setup().set("browser.roots", vec![root.display().to_string()]);
    let (home, mut admin) = setup.start_with_client().await?;
    let mut chat = home.client_of("chat").await?;
    assert_eq!((may_name(&mut chat, &root).await?, may_name(&mut chat, &other).await?), (true, false));
    let edit = json!({ "keyPath": "browser.roots", "value": [other], "mergeStrategy": "replace" });
    let written: Value = json!({ "edits": [edit] });
    assert_eq!(refused::<ConfigBatchWrite>(&mut chat, written.clone()).await?, Some(String::new()));
    assert_eq!(refused::<ConfigBatchWrite>(&mut admin, written).await?, None);
    assert_eq!((may_name(&mut chat, &root).await?, may_name(&mut chat, &other).await?), (false, true));

    let file = home.path().join("config.toml");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, text.replace(&other.display().to_string(), &root.display().to_string()))?;
    home.signal(Signal::SIGHUP)?;
    // The first reload was the write's.
    home.until_logged("the settings were read again", 2, PATIENCE).await?;
    assert_eq!((may_name(&mut chat, &root).await?, may_name(&mut chat, &other).await?), (true, false));
    home.finish().await
}
