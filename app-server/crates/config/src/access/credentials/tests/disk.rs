//! The file of credentials: when it is written, and how a damaged one is refused.

use super::*;
use crate::access::is_open_to_others;

#[tokio::test(start_paused = true)]
async fn uses_are_written_at_most_once_a_minute() {
    let mut rig = Rig::new().await;
    let secret = rig.token("ci", None).await;
    let (tasks, stop) = (Tasks::new(), CancellationToken::new());
    let keep = Arc::clone(&rig.credentials).keep(stop.clone());
    let keep = tasks.spawn("credentials", keep);
    let last_use = |rig: &Rig| {
        let file: Value = serde_json::from_slice(&fs::read(rig.file()).unwrap()).unwrap();
        file["credentials"][0]["lastUsedAt"].clone()
    };
    rig.check(&secret).unwrap();
    advance(policy::CREDENTIAL_WRITE / 2).await;
    assert_eq!(last_use(&rig), Value::Null, "it is not written yet");
    rig.check(&secret).unwrap();
    stop.cancel();
    keep.await.unwrap();
    assert!(last_use(&rig).is_i64());
    rig.again().await;
    assert!(rig.credentials.list()[0].last_used_at.is_some());
    tasks.finish().await;
}

#[tokio::test]
async fn a_session_is_on_disk_after_a_write() {
    let rig = Rig::new().await;
    let session = rig.session();
    rig.credentials.write().await;
    let again = rig.opened().await.unwrap();
    assert_eq!(again.check(session.secret.expose()).unwrap().id, session.grant.id);
}

#[tokio::test]
async fn a_token_that_cannot_be_written_is_not_added() {
    let rig = Rig::new().await;
    fs::create_dir(rig.file()).unwrap();
    let secret = Secret::generate_token().unwrap();
    let refused = rig.credentials.add_token(token("ci", &secret)).await.unwrap_err();
    assert!(matches!(refused, CredentialError::NotAdded(_)), "{refused}");
    assert_eq!((rig.check(&secret), rig.credentials.list()), (Err(CredentialRefusal::Revoked), vec![]));
    let session = rig.session();
    let refused = rig.credentials.revoke(&session.grant.id.to_string()).await.unwrap_err();
    assert!(matches!(refused, CredentialError::NotRevoked(_)), "{refused}");
    assert_eq!(rig.check(&session.secret), Err(CredentialRefusal::Revoked), "it has ended all the same");
}

#[tokio::test]
async fn an_end_that_the_disk_refuses_is_tried_again_until_it_is_written() {
    let mut rig = Rig::new().await;
    let secret = rig.token("ci", None).await;
    fs::remove_file(rig.file()).unwrap();
    fs::create_dir(rig.file()).unwrap();
    let is_due = |rig: &Rig| rig.credentials.unsaved.notified().now_or_never().is_some();
    assert!(rig.credentials.revoke("ci").await.is_err() && is_due(&rig));
    rig.credentials.write().await;
    assert!(is_due(&rig), "it failed again");
    fs::remove_dir(rig.file()).unwrap();
    rig.credentials.write().await;
    assert!(!is_due(&rig));
    rig.again().await;
    assert_eq!(rig.check(&secret), Err(CredentialRefusal::Revoked));
}

#[tokio::test]
async fn a_damaged_newer_or_unknown_file_is_refused_and_stays() {
    let mut rig = Rig::new().await;
    rig.token("ci", None).await;
    let good = fs::read_to_string(rig.file()).unwrap();
    let mut newer: Value = serde_json::from_str(&good).unwrap();
    newer["version"] = json!(2);
    newer["more"] = json!({});
    for (text, why) in [
        (String::new(), "move it away"),
        (good[..good.len() / 2].to_owned(), "move it away"),
        (good.replace("\"scope\"", "\"range\""), "unknown field `range`"),
        (good.replace("\"chat\"", "\"root\""), "unknown variant `root`"),
        (good.replace("\"origin\": null", "\"origin\": \"HTTP://X/\""), "is no origin"),
        (newer.to_string(), "a newer skein has written it"),
    ] {
        fs::write(rig.file(), &text).unwrap();
        let error = rig.opened().await.unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("access.json"), "{error}");
        assert_eq!(fs::read_to_string(rig.file()).unwrap(), text);
    }
    fs::write(rig.file(), good).unwrap();
    rig.again().await;
    assert_eq!(rig.credentials.list().len(), 1);
}

#[tokio::test]
async fn a_file_that_others_can_read_is_noticed_and_closed_by_the_next_change() {
    let rig = Rig::new().await;
    assert!(!is_open_to_others(&rig.file()), "without a file");
    rig.token("a", None).await;
    fs::set_permissions(rig.file(), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(is_open_to_others(&rig.file()));
    rig.token("b", None).await;
    assert!(!is_open_to_others(&rig.file()));
}
