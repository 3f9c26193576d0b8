//! A home with links for folders, for example to a larger disk.

use super::*;

#[tokio::test]
async fn the_folders_of_a_home_may_be_links_as_for_its_server() {
    let made = Made::new();
    let before = made.look(Mend::No).await;
    let other = tempfile::tempdir().unwrap();
    for folder in ["threads", "archived", "trash"] {
        let (there, here) = (other.path().join(folder), made.dir.path().join(folder));
        fs::rename(&here, &there).unwrap();
        std::os::unix::fs::symlink(&there, &here).unwrap();
    }
    assert_eq!(made.look(Mend::No).await, before);
    let below = other.path().join("threads/0a");
    fs::rename(&below, other.path().join("0a")).unwrap();
    std::os::unix::fs::symlink(other.path().join("0a"), &below).unwrap();
    let (_, found) = made.look(Mend::No).await;
    assert_eq!(
        found.iter().map(|finding| finding.kind).collect::<Vec<_>>(),
        [Defect::NotRegular],
        "{found:?}"
    );
}

#[tokio::test]
async fn a_folder_that_is_a_link_to_nothing_is_named() {
    let made = Made::new();
    let trash = made.dir.path().join("trash");
    fs::remove_dir_all(&trash).unwrap();
    std::os::unix::fs::symlink("nothing", &trash).unwrap();
    let (_, found) = made.look(Mend::No).await;
    assert_eq!(
        found.iter().map(|finding| finding.kind).collect::<Vec<_>>(),
        [Defect::NotRegular],
        "{found:?}"
    );
}
