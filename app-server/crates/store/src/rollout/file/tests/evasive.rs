//! A thread that is put on the other shelf between any two looks for it is found all the same.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use super::layer::{DiskLayer, Entry};
use super::*;

/// Puts the thread on the other shelf behind each look at a place of it, so often.
#[derive(Default)]
struct Evasive {
    places: OnceLock<Weak<Places>>,
    left: AtomicUsize,
    moving: AtomicBool,
}

impl Evasive {
    fn looked_at(&self, place: &Path) {
        let Some(places) = self.places.get().and_then(Weak::upgrade) else { return };
        let of_the_thread = [Shelf::Threads, Shelf::Archive].map(|shelf| places.on(shelf, thread(1)));
        if !of_the_thread.iter().any(|path| path.as_path() == place || path.parent() == Some(place))
            || self.moving.swap(true, Ordering::SeqCst)
        {
            return;
        }
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            let other = if of_the_thread[0].exists() { Shelf::Archive } else { Shelf::Threads };
            places.move_to(thread(1), other).unwrap();
        }
        self.moving.store(false, Ordering::SeqCst);
    }
}

impl FileLayer for Evasive {
    fn open(&self, path: &Path, how: Open) -> io::Result<Box<dyn LayerFile>> {
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

    fn entries(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let entries = DiskLayer.entries(path);
        self.looked_at(path);
        entries
    }
}

#[test]
fn a_thread_that_goes_from_shelf_to_shelf_between_looks_is_found() {
    let fixture = Fixture::new();
    let id = thread(1);
    fixture.write(id, &lines(&names(1, 1)));
    let layer = Arc::new(Evasive::default());
    let places = Arc::new(Places::open(&fixture.paths, Arc::clone(&layer) as _).unwrap());
    layer.places.set(Arc::downgrade(&places)).unwrap();
    for times in 0..9 {
        for from in [Shelf::Threads, Shelf::Archive] {
            let moves = |times| layer.left.store(times, Ordering::SeqCst);
            places.move_to(id, from).unwrap();
            moves(times);
            assert!(places.shelf(id).is_some(), "{times} times from {from:?}");
            moves(0);
            places.move_to(id, from).unwrap();
            moves(times);
            assert!(places.open_rollout(id, Open::Read).is_ok(), "{times} times from {from:?}");
            moves(0);
            places.move_to(id, from).unwrap();
            moves(times);
            assert_eq!(places.threads().unwrap(), [id], "{times} times from {from:?}");
            moves(0);
        }
    }
}

#[test]
fn a_thread_that_goes_to_the_other_shelf_while_it_is_copied_is_copied() {
    let (from, to) = (thread(1), thread(2));
    for shelf in [Shelf::Threads, Shelf::Archive] {
        let fixture = Fixture::new();
        fixture.write(from, &lines(&names(1, 5)));
        let layer = Arc::new(Evasive::default());
        let places = Arc::new(Places::open(&fixture.paths, Arc::clone(&layer) as _).unwrap());
        places.move_to(from, shelf).unwrap();
        layer.places.set(Arc::downgrade(&places)).unwrap();
        layer.left.store(1, Ordering::SeqCst);
        let copied = copies::copy(&places, (from, u64::MAX), EventSeq(3), lease(to), &[named(4, "own")]);
        assert_eq!(copied.unwrap().head, EventSeq(4), "from {shelf:?}");
        assert_ne!(places.shelf(from), Some(shelf), "it went while it was copied");
        let expected = [lines(&names(1, 3)), lines(&[named(4, "own")])].concat();
        assert_eq!(fs::read(places.rollout(to)).unwrap(), expected);
    }
}
