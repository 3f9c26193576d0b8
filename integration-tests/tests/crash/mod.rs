//! The end of the server, orderly or not: no process stays, and no acknowledged work is lost.

mod both;
mod campaign;
mod kill;
mod repair;
mod terminate;

use std::process::Stdio;

use anyhow::{Context, Result};
use skein_integration_tests::home::{Home, PATIENCE};
use skein_integration_tests::paths;
use tokio::process::Command;

#[tokio::test]
async fn a_second_server_on_a_home_names_the_first_and_leaves_it_alone() -> Result<()> {
    let (home, mut client) = Home::with_client().await?;
    let thread = client.start_thread_with("words").await?;
    let second = Command::new(paths::skein()?)
        .args(["serve", "--listen", "ws://127.0.0.1:0", "--home"])
        .arg(home.path())
        .stdin(Stdio::null())
        .output();
    let second = tokio::time::timeout(PATIENCE, second).await;
    let second = second.context("the second server has not ended")??;
    assert_eq!(second.status.code(), Some(3));
    let stderr = String::from_utf8_lossy(&second.stderr);
    assert!(stderr.contains(&home.pid().to_string()) && stderr.contains(home.address()), "{stderr}");
    assert_eq!(client.say(thread, "undisturbed").await?, "undisturbed");
    home.finish().await
}

#[tokio::test]
async fn only_the_owner_can_read_a_home() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let (home, mut client) = Home::with_client().await?;
    client.start_thread_with("/tool helper pid").await?;
    let mut folders = vec![home.path()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let (meta, path) = (entry.metadata()?, entry.path());
            // Except the test's own file, and links, which have no mode of their own.
            if path.ends_with("config.toml") || meta.is_symlink() {
                continue;
            }
            let mode = meta.permissions().mode() & 0o777;
            assert_eq!(mode, if meta.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
            // The index's files are protected by their folder.
            let index = entry.file_name().to_string_lossy().starts_with("index-");
            if meta.is_dir() && !index {
                folders.push(path);
            }
        }
    }
    home.finish().await
}
