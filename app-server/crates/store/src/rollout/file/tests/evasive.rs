//! A thread that moves between any two looks for it is found all the same.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use super::layer::{DiskLayer, FolderEntry};
use super::*;

/// Moves the thread behind each look at one of its paths, this many times.
#[derive(Default)]
struct Evasive {
    places: OnceLock<Weak<RolloutPaths>>,
    left: AtomicUsize,
    moving: AtomicBool,
}

impl Evasive {
    fn looked_at(&self, place: &Path) {
        let Some(places) = self.places.get().and_then(Weak::upgrade) else { return };
        let of_the_thread =
            [Location::Active, Location::Archived].map(|location| places.on(location, thread(1)));
        if !of_the_thread.iter().any(|path| path.as_path() == place || path.parent() == Some(place))
            || self.moving.swap(true, Ordering::SeqCst)
        {
            return;
        }
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            let other = if of_the_thread[0].exists() { Location::Archived } else { Location::Active };
            places.relocate(thread(1), other).unwrap();
        }
        self.moving.store(false, Ordering::SeqCst);
    }
}

impl FileLayer for Evasive {
    fn open(&self, path: &Path, how: OpenMode) -> io::Result<Box<dyn LayerFile>> {
        let there = DiskLayer.open(path, how);
        self.looked_at(path);
        there
    }

    fn copy(&self, from: &dyn LayerFile, to: &Path, length: u64) -> io::Result<Box<dyn LayerFile>> {
        DiskLayer.copy(from, to, length)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        DiskLayer.make_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        DiskLayer.sync_folder(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        DiskLayer.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<bool> {
        DiskLayer.remove(path)
    }

    fn entries(&self, path: &Path) -> io::Result<Vec<FolderEntry>> {
        let entries = DiskLayer.entries(path);
        self.looked_at(path);
        entries
    }
}

#[test]
fn a_thread_that_moves_between_looks_is_found() {
    let fixture = Fixture::new();
    let id = thread(1);
    fixture.write(id, &lines(&names(1, 1)));
    let layer = Arc::new(Evasive::default());
    let places = Arc::new(RolloutPaths::open(&fixture.paths, Arc::clone(&layer) as _).unwrap());
    layer.places.set(Arc::downgrade(&places)).unwrap();
    for times in 0..9 {
        for from in [Location::Active, Location::Archived] {
            let moves = |times| layer.left.store(times, Ordering::SeqCst);
            places.relocate(id, from).unwrap();
            moves(times);
            assert!(places.location(id).is_some(), "{times} times from {from:?}");
            moves(0);
            places.relocate(id, from).unwrap();
            moves(times);
            assert!(places.open_rollout(id, OpenMode::Read).is_ok(), "{times} times from {from:?}");
            moves(0);
            places.relocate(id, from).unwrap();
            moves(times);
            assert_eq!(places.threads().unwrap(), [id], "{times} times from {from:?}");
            moves(0);
        }
    }
}

#[test]
fn a_thread_that_moves_during_a_copy_is_copied() {
    let (from, to) = (thread(1), thread(2));
    for location in [Location::Active, Location::Archived] {
        let fixture = Fixture::new();
        fixture.write(from, &lines(&names(1, 5)));
        let layer = Arc::new(Evasive::default());
        let places = Arc::new(RolloutPaths::open(&fixture.paths, Arc::clone(&layer) as _).unwrap());
        places.relocate(from, location).unwrap();
        layer.places.set(Arc::downgrade(&places)).unwrap();
        layer.left.store(1, Ordering::SeqCst);
        let copied = copies::copy(&places, (from, u64::MAX), EventSeq(3), lease(to), &[named(4, "own")]);
        assert_eq!(copied.unwrap().head, EventSeq(4), "from {location:?}");
        assert_ne!(places.location(from), Some(location), "it went while it was copied");
        let expected = [lines(&names(1, 3)), lines(&[named(4, "own")])].concat();
        assert_eq!(fs::read(places.rollout(to)).unwrap(), expected);
    }
}
