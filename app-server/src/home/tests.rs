use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn folders_and_files_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b/home");
    let home = Home::open(&root).unwrap();
    home.publish("ws://127.0.0.1:1").unwrap();
    let paths = home.paths();
    for folder in [dir.path().join("a"), root.clone(), paths.threads(), paths.open_markers()] {
        assert_eq!(mode(&folder), FOLDER_MODE, "{}", folder.display());
    }
    for file in [paths.lock(), paths.server_json()] {
        assert_eq!(mode(&file), FILE_MODE, "{}", file.display());
    }
}

#[test]
fn a_second_server_is_told_who_serves() {
    let dir = tempfile::tempdir().unwrap();
    let first = Home::open(dir.path()).unwrap();
    let HomeError::Served { pid, address, .. } = Home::open(dir.path()).unwrap_err() else { panic!() };
    assert_eq!(
        (pid, address),
        (Some(std::process::id()), None),
        "before it listens the lock file names the process"
    );

    first.publish("ws://127.0.0.1:4500").unwrap();
    let refusal = Home::open(dir.path()).unwrap_err();
    let text = refusal.to_string();
    for part in
        [std::process::id().to_string().as_str(), "ws://127.0.0.1:4500", &dir.path().display().to_string()]
    {
        assert!(text.contains(part), "{text} should name {part}");
    }
    drop(first);
    Home::open(dir.path()).unwrap();
}

#[test]
fn the_term_rises_with_each_start_and_the_start_id_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let starts: Vec<(Term, Uuid)> = (0..3)
        .map(|_| {
            let home = Home::open(dir.path()).unwrap();
            (home.term(), home.start_id())
        })
        .collect();
    assert_eq!(starts.iter().map(|start| start.0.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert_ne!(starts[0].1, starts[1].1);

    fs::write(HomePaths::new(dir.path()).lock(), "not what we wrote").unwrap();
    let after = Home::open(dir.path()).unwrap().term();
    assert!(after > starts[2].0, "a scrambled lock file must not bring an old term back: {after:?}");
}

#[test]
fn server_json_ends_with_the_server_and_a_stale_one_with_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    home.publish("ws://127.0.0.1:7").unwrap();
    let says = Home::read_server_json(dir.path()).unwrap().unwrap();
    assert_eq!((says.pid, says.term, says.start_id), (std::process::id(), home.term(), home.start_id()));
    assert_eq!(says.addresses, ["ws://127.0.0.1:7"]);
    drop(home);
    assert_eq!(Home::read_server_json(dir.path()).unwrap(), None);

    fs::write(HomePaths::new(dir.path()).server_json(), "{}").unwrap();
    assert!(Home::read_server_json(dir.path()).is_err());
    let _home = Home::open(dir.path()).unwrap();
    assert_eq!(Home::read_server_json(dir.path()).unwrap(), None);
}

#[test]
fn a_lock_that_is_no_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let lock = HomePaths::new(dir.path()).lock();
    nix::unistd::mkfifo(&lock, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(Home::open(dir.path()), Err(HomeError::Io { .. })));
    fs::remove_file(&lock).unwrap();
    symlink(dir.path().join("elsewhere"), &lock).unwrap();
    assert!(matches!(Home::open(dir.path()), Err(HomeError::Io { .. })));
    assert!(!dir.path().join("elsewhere").exists());
}

#[test]
fn a_folder_that_is_not_ours_keeps_its_mode() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("a letter"), "").unwrap();
    drop(Home::open(dir.path()).unwrap());
    assert_eq!(mode(dir.path()), 0o755);
}

#[test]
fn the_lock_does_not_reach_a_program_that_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    let flags = nix::fcntl::fcntl(&*home._lock, nix::fcntl::FcntlArg::F_GETFD).unwrap();
    assert!(nix::fcntl::FdFlag::from_bits_retain(flags).contains(nix::fcntl::FdFlag::FD_CLOEXEC));
}

#[test]
fn the_default_home_follows_the_environment() {
    let table = [
        (&[("SKEIN_HOME", "/s"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")][..], Some("/s")),
        (&[("SKEIN_HOME", ""), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")][..], Some("/x/skein")),
        (&[("XDG_DATA_HOME", "relative"), ("HOME", "/h")][..], Some("/h/.local/share/skein")),
        (&[][..], None),
    ];
    for (set, expected) in table {
        let variable =
            |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        assert_eq!(default_home(&variable).ok(), expected.map(PathBuf::from), "{set:?}");
    }
}
