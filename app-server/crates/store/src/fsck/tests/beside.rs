//! A home with a running server.

use super::*;

#[tokio::test]
async fn a_served_home_is_read_and_never_mended() {
    let made = Made::new();
    let home = Home::open(made.dir.path()).unwrap();
    home.publish(vec!["ws://127.0.0.1:1".to_owned()]).unwrap();
    edit(&made.kept(), |bytes| bytes.extend(b"one\ntwo\n"));
    let refused =
        run(made.dir.path(), &FsckRequest { mend: Mend::Yes, ..FsckRequest::default() }, &mut |_| ()).await;
    let Err(FsckError::Home(HomeError::Served { holder, .. })) = refused else { panic!("{refused:?}") };
    assert_eq!((holder.pid, holder.address.as_deref()), (Some(std::process::id()), Some("ws://127.0.0.1:1")));
    let (summary, found) = made.look(Mend::No).await;
    assert_eq!(found.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Defect::Damage], "{found:?}");
    assert_eq!(summary.index, IndexLook::Served);
}

#[tokio::test]
async fn the_end_that_its_owner_may_be_writing_is_left_to_its_owner() {
    let made = Made::new();
    let _home = Home::open(made.dir.path()).unwrap();
    edit(&made.kept(), |bytes| bytes.extend(b"{\"v\":1,"));
    let (_, found) = made.look(Mend::No).await;
    assert_eq!(found.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Defect::TornEnd], "nobody's");
    made.write("open", &thread(KEPT).to_string(), b"");
    assert_eq!(made.look(Mend::No).await.1, [], "its owner's");
    // The line before it belongs to nobody.
    edit(&made.kept(), |bytes| bytes[30] ^= 1);
    let (_, found) = made.look(Mend::No).await;
    assert_eq!(found.iter().map(|finding| finding.kind).collect::<Vec<_>>(), [Defect::Damage], "{found:?}");
}
