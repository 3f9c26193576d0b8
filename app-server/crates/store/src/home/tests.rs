use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn folders_and_files_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b/home");
    let home = Home::open(&root).unwrap();
    home.publish(vec!["ws://127.0.0.1:1".to_owned()]).unwrap();
    let paths = home.paths();
    for folder in [dir.path().join("a"), root.clone(), paths.threads(), paths.open_markers()] {
        assert_eq!(mode(&folder), FOLDER_MODE, "{}", folder.display());
    }
    for file in [paths.lock(), paths.server_json()] {
        assert_eq!(mode(&file), FILE_MODE, "{}", file.display());
    }
}

#[test]
fn a_server_on_standard_streams_is_named_with_its_control_socket() {
    let dir = tempfile::tempdir().unwrap();
    let first = Home::open(dir.path()).unwrap();
    let socket = first.paths().control_socket();
    let socket = socket.display();
    first.publish(vec![STDIO.to_owned(), format!("{UNIX}{socket}")]).unwrap();
    let refused = Home::open(dir.path()).unwrap_err();
    assert!(refused.to_string().contains(&format!("on stdio, control socket {socket};")), "{refused}");
}

#[test]
fn a_second_server_learns_the_holder() {
    let dir = tempfile::tempdir().unwrap();
    let first = Home::open(dir.path()).unwrap();
    let HomeError::Served { holder, .. } = Home::open(dir.path()).unwrap_err() else { panic!() };
    assert_eq!(
        (holder.pid, holder.address),
        (Some(std::process::id()), None),
        "before it listens the lock file names the process"
    );

    first.publish(vec!["ws://127.0.0.1:4500".to_owned()]).unwrap();
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
fn no_id_of_a_question_repeats_also_with_a_clock_that_was_set_back() {
    let dir = tempfile::tempdir().unwrap();
    let before = Home::open(dir.path()).unwrap().first_question();
    assert!((Clock.wall().0 - before).abs() < 60_000, "it is the time: {before}");
    let next = Home::open(dir.path()).unwrap().first_question();
    assert!(next > before + policy::QUESTION_IDS);
    let ahead = Clock.wall().0 + 1_000 * policy::QUESTION_IDS;
    let lock = HomePaths::new(dir.path()).lock();
    fs::write(&lock, format!(r#"{{"term":7,"pid":1,"questions":{ahead},"doing":"serve"}}"#)).unwrap();
    let home = Home::open(dir.path()).unwrap();
    assert_eq!((home.term(), home.first_question()), (Term(8), ahead + 1));
    drop(home);
    fs::write(&lock, r#"{"term":9,"pid":1,"doing":"serve"}"#).unwrap();
    let home = Home::open(dir.path()).unwrap();
    assert_eq!(home.term(), Term(10), "a file of an earlier version");
    assert!((Clock.wall().0 - home.first_question()).abs() < 60_000);
}

#[test]
fn a_home_of_a_newer_form_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    drop(Home::open(dir.path()).unwrap());
    let lock = HomePaths::new(dir.path()).lock();
    assert!(fs::read_to_string(&lock).unwrap().contains(r#""form":1"#));
    let newer = r#"{"term":7,"pid":1,"questions":5,"form":2,"more":{},"doing":"serve"}"#;
    fs::write(&lock, newer).unwrap();
    for doing in [SERVE, RESTORE, "import"] {
        let refused = Home::take(dir.path(), doing).unwrap_err();
        assert!(matches!(refused, HomeError::Newer { form: 2, known: 1, .. }), "{refused:?}");
        assert!(refused.to_string().contains("start that version again"), "{refused}");
    }
    assert_eq!(fs::read_to_string(&lock).unwrap(), newer);
}

#[test]
fn server_json_ends_with_the_server_and_a_stale_one_with_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    home.publish(vec!["ws://127.0.0.1:7".to_owned()]).unwrap();
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
fn a_link_to_nothing_in_the_place_of_a_folder_is_named_with_the_way_out() {
    for folder in ["", "threads", "archived", "open"] {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        if !folder.is_empty() {
            fs::create_dir(&home).unwrap();
        }
        let link = if folder.is_empty() { home.clone() } else { home.join(folder) };
        symlink("nowhere", &link).unwrap();
        let error = Home::open(&home).unwrap_err().to_string();
        let says = format!("{}: it is a link to nowhere, which is not there; make that", link.display());
        assert!(error.starts_with(&says), "{error}");
        assert!(link.is_symlink() && !link.exists(), "{folder:?} is left as it was");
    }
    let dir = tempfile::tempdir().unwrap();
    symlink("nowhere", dir.path().join("threads")).unwrap();
    assert!(existing(dir.path()).unwrap_err().to_string().contains("it is a link to nowhere"));
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
    let flags = nix::fcntl::fcntl(&*home.lock, nix::fcntl::FcntlArg::F_GETFD).unwrap();
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

#[test]
fn the_home_by_the_name_of_codex_is_that_of_codex() {
    let table = [
        (&[("SKEIN_HOME", "/s"), ("CODEX_HOME", "/c"), ("HOME", "/h")][..], Some("/s")),
        (&[("SKEIN_HOME", ""), ("CODEX_HOME", "/c"), ("HOME", "/h")][..], Some("/c")),
        (&[("CODEX_HOME", ""), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")][..], Some("/h/.codex")),
        (&[][..], None),
    ];
    for (set, expected) in table {
        let variable =
            |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        assert_eq!(codex_home(&variable).ok(), expected.map(PathBuf::from), "{set:?}");
    }
}

#[test]
fn files_of_another_process_name_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let first = Home::take(dir.path(), "reindex").unwrap();
    let paths = first.paths();
    // The file of a killed server, read before the new owner has cleaned up.
    let gone = serde_json::json!({
        "pid": 1, "term": 1, "startId": Uuid::nil(), "addresses": ["ws://127.0.0.1:9"],
    });
    fs::write(paths.server_json(), gone.to_string()).unwrap();
    let HomeError::Served { holder, .. } = Home::open(dir.path()).unwrap_err() else { panic!() };
    let us = std::process::id();
    let expected =
        Holder { pid: Some(us), doing: Some("reindex".to_owned()), address: None, control_socket: None };
    assert_eq!(holder, expected);
    assert_eq!(super::holder(paths), Some(expected));
    let text = Home::open(dir.path()).unwrap_err().to_string();
    assert!(text.contains(&format!("in use by process {us} (skein reindex)")), "{text}");
    let paths = paths.clone();
    drop(first);
    assert_eq!(super::holder(&paths), None);
}

#[test]
fn a_home_whose_owner_ends_while_another_waits_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("home");
    let first = Home::open(&root).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| Home::open(&root));
        drop(first);
        assert_eq!(second.join().unwrap().unwrap().term(), Term(2));
    });
}

#[test]
fn the_control_socket_is_private_replaces_a_leftover_and_ends_with_the_home() {
    let dir = tempfile::tempdir().unwrap();
    for root in [dir.path().join("short"), dir.path().join("l".repeat(200)).join("o".repeat(200))] {
        let home = Home::open(&root).unwrap();
        let path = home.paths().control_socket();
        drop(socket::listen_at(home.paths()).unwrap());
        let _listener = socket::listen_at(home.paths()).unwrap();
        assert_eq!(mode(&path), FILE_MODE);
        let reach = socket::SocketPath::of(home.paths()).unwrap();
        std::os::unix::net::UnixStream::connect(reach.path()).unwrap();
        drop(home);
        assert!(!path.exists());
    }
}

#[test]
fn a_file_that_is_no_socket_stays() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    let path = home.paths().control_socket();
    fs::write(&path, "a letter").unwrap();
    let error = socket::listen_at(home.paths()).unwrap_err();
    assert!(error.to_string().contains("not a socket"), "{error}");
    drop(home);
    assert_eq!(fs::read_to_string(path).unwrap(), "a letter");
}

#[test]
fn a_folder_with_nothing_but_settings_is_ours() {
    for (other, wanted) in [(None, 0o700), (Some("index.md"), 0o755)] {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in [Some("config.toml"), other].into_iter().flatten() {
            fs::write(dir.path().join(name), "").unwrap();
        }
        make_root(dir.path()).unwrap();
        assert_eq!(mode(dir.path()), wanted, "{other:?}");
    }
}

/// The kernel gives a long list of locks in pieces, and a lock that goes away between two of them hides another one.
#[cfg(target_os = "linux")]
#[test]
fn the_holder_is_found_while_other_locks_come_and_go() {
    let (root, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let other = |number: usize| {
        let file = fs::File::create(others.path().join(number.to_string())).unwrap();
        file.lock().unwrap();
        file
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _locked: Vec<_> = (0..300).map(other).collect();
            }
        });
        let home = Home::open(root.path()).unwrap();
        let missed = (0..1000).filter(|_| super::holder(home.paths()).is_none()).count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(missed, 0, "of 1000 looks");
    });
}
