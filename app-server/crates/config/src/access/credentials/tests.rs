//! Sessions and tokens: the rights they give, how long they last, and what ends them.

mod disk;
mod shared;
mod tickets;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Value, json};
use skein_base::tasks::Tasks;
use tokio::time::advance;

use super::*;
use crate::access::CredentialFile;

const PAGE: &str = "http://localhost:5173";

struct Rig {
    folder: tempfile::TempDir,
    credentials: Arc<Credentials>,
}

impl Rig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Arc::new(open(&folder.path().join("access.json")).await.unwrap());
        Self { folder, credentials }
    }

    /// As another server of the same home would have them.
    async fn opened(&self) -> Result<Credentials, AccessError> {
        open(&self.file()).await
    }

    /// As after a restart of the server.
    async fn again(&mut self) {
        self.credentials.save().await.unwrap();
        self.credentials = Arc::new(self.opened().await.unwrap());
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("access.json")
    }

    fn ticket(&self) -> Secret {
        self.credentials.create_ticket(Access::Chat, Door::Loopback, None, policy::TICKET_LIFE).unwrap().0
    }

    fn redeem(&self, ticket: &Secret) -> Result<Redeemed, RedeemError> {
        self.credentials.redeem(ticket.expose(), page())
    }

    fn session(&self) -> Redeemed {
        self.redeem(&self.ticket()).ok().unwrap()
    }

    async fn token(&self, name: &str, life: Option<Duration>) -> Secret {
        let secret = Secret::generate_token().unwrap();
        let expires_at = life.map(|life| WallMs(self.credentials.now().0 + state::millis(life)));
        self.credentials.add_token(NewToken { expires_at, ..token(name, &secret) }).await.unwrap();
        secret
    }

    /// As a request that passes.
    fn check(&self, secret: &Secret) -> Result<Grant, CredentialRefusal> {
        let grant = self.credentials.check(secret.expose())?;
        self.credentials.record_use(grant.id);
        Ok(grant)
    }
}

async fn open(file: &Path) -> Result<Credentials, AccessError> {
    Credentials::open(Arc::new(CredentialFile::new(file.to_owned(), Tasks::new())), Clock).await
}

fn page() -> NewSession {
    NewSession { origin: WebOrigin::parse(PAGE).unwrap(), name: "a browser".to_owned(), is_other_user: false }
}

fn token(name: &str, secret: &Secret) -> NewToken {
    let sha256 = secret.digest().to_hex();
    NewToken { name: name.to_owned(), sha256, origin: None, scope: Access::Chat, expires_at: None }
}

fn end_of(redeemed: Result<Redeemed, RedeemError>) -> RedeemError {
    redeemed.err().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_refused_try_keeps_no_session_open_and_leaves_no_trace_of_a_use() {
    let rig = Rig::new().await;
    let (session, token) = (rig.session().secret, rig.token("laptop", None).await);
    for _ in 0..2 {
        advance(policy::SESSION_LIFE / 2 - Duration::from_millis(1)).await;
        assert!(rig.credentials.check(session.expose()).is_ok());
        assert!(rig.credentials.check(token.expose()).is_ok());
    }
    let unused = |one: &CredentialDetail| one.name == "laptop" && one.last_used_at.is_none();
    assert!(rig.credentials.list().iter().any(unused));
    // Paused time stands still while the wall clock goes on.
    advance(Duration::from_mins(1)).await;
    assert_eq!(rig.credentials.check(session.expose()), Err(CredentialRefusal::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_a_week_after_its_last_use_also_over_a_restart() {
    let mut rig = Rig::new().await;
    let used = rig.session().secret;
    let unused = rig.session().secret;
    for _ in 0..3 {
        advance(policy::SESSION_LIFE / 2).await;
        rig.check(&used).unwrap();
    }
    assert_eq!(rig.check(&unused), Err(CredentialRefusal::Expired));
    advance(policy::SESSION_LIFE).await;
    assert_eq!(rig.check(&used), Err(CredentialRefusal::Expired));
    assert_eq!(rig.credentials.list(), []);
    rig.again().await;
    assert_eq!(rig.check(&used), Err(CredentialRefusal::Expired));
    advance(policy::ENDED_CREDENTIAL_KEEP + policy::SESSION_LIFE * 3).await;
    assert_eq!(rig.check(&used), Err(CredentialRefusal::Unknown), "it is forgotten at last");
}

#[tokio::test]
async fn sessions_and_tokens_survive_a_restart_and_tickets_do_not() {
    let mut rig = Rig::new().await;
    let (ticket, session, token) = (rig.ticket(), rig.session(), rig.token("ci", None).await);
    let listed = rig.credentials.list();
    rig.again().await;
    assert_eq!(rig.credentials.list(), listed);
    assert_eq!(rig.check(&session.secret).unwrap(), session.grant);
    assert_eq!(rig.check(&token).unwrap().name, "ci");
    assert_eq!(rig.check(&ticket), Err(CredentialRefusal::Unknown));
    let text = fs::read_to_string(rig.file()).unwrap();
    for secret in [&ticket, &session.secret, &token] {
        assert!(!text.contains(secret.expose()), "{text}");
    }
    assert!(text.contains(&token.digest().to_hex()));
    assert_eq!(rig.file().metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_secret_of_another_form_or_of_nobody_is_distinguished() {
    let rig = Rig::new().await;
    assert_eq!(rig.credentials.check("s3cret"), Err(CredentialRefusal::Malformed));
    assert_eq!(rig.check(&Secret::generate().unwrap()), Err(CredentialRefusal::Unknown));
    assert_eq!(rig.check(&Secret::generate_token().unwrap()), Err(CredentialRefusal::Unknown));
}

#[tokio::test]
async fn a_token_has_a_unique_plain_name_and_one_origin() {
    let rig = Rig::new().await;
    let first = rig.token("ci", None).await;
    let secret = Secret::generate_token().unwrap();
    let refused = async |token: NewToken| rig.credentials.add_token(token).await.unwrap_err().to_string();
    assert!(refused(token("ci", &secret)).await.contains("there is a token \"ci\" already"));
    assert!(refused(token("other", &first)).await.contains("there is a token \"ci\" already"));
    let id = rig.credentials.list()[0].id.clone();
    for name in ["", "a b", "-x", "a/b", &"a".repeat(65), &id] {
        assert!(refused(token(name, &secret)).await.contains("cannot be the name"), "{name}");
    }
    let bad_digest = NewToken { sha256: "12".to_owned(), ..token("a", &secret) };
    assert!(refused(bad_digest).await.contains("64 hexadecimal digits"));
    let past = NewToken { expires_at: Some(WallMs(1)), ..token("a", &secret) };
    assert!(refused(past).await.contains("expired already"));
    for (origin, why) in [
        ("http://localhost:5173/", "write \"http://localhost:5173\""),
        ("http://localhost:*", "of one page"),
        ("null", "of one page"),
    ] {
        let bound = NewToken { origin: Some(origin.to_owned()), ..token("a", &secret) };
        let text = refused(bound).await;
        assert!(text.contains(why), "{text}");
    }
    let bound = NewToken { origin: Some(PAGE.to_owned()), ..token("page", &secret) };
    rig.credentials.add_token(bound).await.unwrap();
    let grant = rig.check(&secret).unwrap();
    assert_eq!((grant.same_user, grant.origin.unwrap().as_str()), (true, PAGE));
    assert!(!rig.check(&first).unwrap().same_user);
    assert_eq!(rig.credentials.list().len(), 2);
}

#[tokio::test]
async fn numbers_of_sessions_and_tokens_are_bounded() {
    let rig = Rig::new().await;
    let first = rig.session().secret;
    for _ in 0..policy::SESSIONS {
        rig.session();
    }
    assert_eq!(rig.credentials.list().len(), policy::SESSIONS);
    assert_eq!(rig.check(&first), Err(CredentialRefusal::Revoked), "the oldest one gives way");
    let now = rig.credentials.now();
    for number in 0..policy::TOKENS {
        let stored = Stored {
            id: Clock.new_id(),
            kind: StoredKind::Token,
            name: number.to_string(),
            sha256: Digest::of(&number.to_string()),
            ..locked(&rig.credentials.state).stored[0].clone()
        };
        locked(&rig.credentials.state).add(stored);
    }
    let secret = Secret::generate_token().unwrap();
    let refused = rig.credentials.add_token(token("more", &secret)).await.unwrap_err();
    assert!(matches!(refused, CredentialError::TooMany));
    assert_eq!(rig.credentials.now().0 / 1_000_000, now.0 / 1_000_000, "no time has passed");
}

#[tokio::test]
async fn a_bearer_uses_up_neither_the_tickets_nor_the_sessions_of_others() {
    let rig = Rig::new().await;
    let users = rig.session().secret;
    let maker = |secret: &Secret| rig.check(secret).unwrap().id;
    let create =
        |maker| rig.credentials.create_ticket(Access::Chat, Door::Loopback, Some(maker), policy::TICKET_LIFE);
    let token = maker(&rig.token("ci", None).await);
    let tickets: Vec<Secret> =
        (0..policy::OPEN_TICKETS_OF_BEARER).map(|_| create(token).unwrap().0).collect();
    assert!(matches!(create(token), Err(TooManyTickets::OpenOfBearer)));
    // Neither does a session of the token have more, nor one of those.
    let child = rig.redeem(&tickets[0]).ok().unwrap().secret;
    create(maker(&child)).unwrap();
    assert!(matches!(create(maker(&child)), Err(TooManyTickets::OpenOfBearer)));
    rig.ticket();
    tickets[1..].iter().for_each(|ticket| assert!(rig.redeem(ticket).is_ok()));
    let mut last = child;
    for _ in 0..policy::SESSIONS {
        let ticket = create(maker(&last)).unwrap().0;
        // A line of sessions that each made the next one ends with the first of them.
        last = rig.redeem(&ticket).map_or_else(
            |_| rig.redeem(&create(token).unwrap().0).ok().unwrap().secret,
            |redeemed| redeemed.secret,
        );
    }
    assert!(rig.check(&users).is_ok(), "the user's own session stays");
    assert!(rig.credentials.list().len() <= policy::SESSIONS_OF_BEARER + 2);
}

#[tokio::test]
async fn a_revoked_credential_is_remembered_and_its_name_is_free() {
    let mut rig = Rig::new().await;
    let (secret, session) = (rig.token("ci", None).await, rig.session());
    assert_eq!(rig.credentials.revoke("ci").await.unwrap().name, "ci");
    rig.credentials.revoke(&session.grant.id.to_string()).await.unwrap();
    for id in ["ci", &session.grant.id.to_string(), "a browser"] {
        let error = rig.credentials.revoke(id).await.unwrap_err();
        assert!(matches!(error, CredentialError::NotFound { .. }), "{error}");
    }
    let again = rig.token("ci", None).await;
    for _ in 0..2 {
        assert_eq!(rig.check(&secret), Err(CredentialRefusal::Revoked));
        assert_eq!(rig.check(&session.secret), Err(CredentialRefusal::Revoked));
        assert!(rig.check(&again).is_ok());
        rig.again().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_token_ends_what_its_tickets_made() {
    let rig = Rig::new().await;
    for ends_by_time in [false, true] {
        let maker = rig.token("maker", ends_by_time.then_some(Duration::from_secs(60))).await;
        let id = rig.check(&maker).unwrap().id;
        let make = |access| {
            rig.credentials.create_ticket(access, Door::Remote, Some(id), policy::TICKET_LIFE).unwrap().0
        };
        let redeemed = rig.redeem(&make(Access::Admin)).ok().unwrap();
        assert_eq!(redeemed.grant.access, Access::Chat, "no more than its maker has");
        advance(Duration::from_secs(50)).await;
        let open = make(Access::Read);
        match ends_by_time {
            true => advance(Duration::from_secs(10)).await,
            false => drop(rig.credentials.revoke("maker").await.unwrap()),
        }
        let reason = if ends_by_time { CredentialRefusal::Expired } else { CredentialRefusal::Revoked };
        assert_eq!(rig.check(&redeemed.secret), Err(reason));
        assert!(matches!(end_of(rig.redeem(&open)), RedeemError::Unknown));
        let refused = rig
            .credentials
            .create_ticket(Access::Read, Door::Remote, Some(id), policy::TICKET_LIFE)
            .err()
            .unwrap();
        assert!(matches!(refused, TooManyTickets::MakerEnded));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_the_end_of_a_credential_ends_when_it_is_revoked_or_expires() {
    let rig = Rig::new().await;
    let id = |secret: &Secret| rig.check(secret).unwrap().id;
    let (revoked, short) = (rig.token("a", None).await, rig.token("b", Some(Duration::from_secs(90))).await);
    let (revoked, short) = (id(&revoked), id(&short));
    let started = Clock.now();
    assert_eq!(rig.credentials.ended(short).await, CredentialEnd::Expired);
    assert_eq!((Clock.now() - started).as_secs(), 90);
    assert_eq!(rig.credentials.ended(short).await, CredentialEnd::Expired, "also afterwards");
    let before = Clock.now();
    let revoke = async {
        tokio::task::yield_now().await;
        rig.credentials.revoke("a").await.unwrap();
    };
    let (end, ()) = tokio::join!(rig.credentials.ended(revoked), revoke);
    assert_eq!(end, CredentialEnd::Revoked);
    assert_eq!(Clock.now(), before, "at once");
}

#[tokio::test(start_paused = true)]
async fn an_open_connection_uses_its_session() {
    let rig = Rig::new().await;
    let session = rig.session();
    let waits = rig.credentials.ended(session.grant.id);
    assert!(tokio::time::timeout(policy::SESSION_LIFE * 3, waits).await.is_err());
    assert!(rig.check(&session.secret).is_ok());
    // Nothing waits any more.
    advance(policy::SESSION_LIFE).await;
    assert_eq!(rig.check(&session.secret), Err(CredentialRefusal::Expired));
}

#[tokio::test]
async fn a_use_in_the_future_extends_no_session() {
    let mut rig = Rig::new().await;
    let secret = rig.session().secret;
    rig.credentials.save().await.unwrap();
    let mut file: Value = serde_json::from_slice(&fs::read(rig.file()).unwrap()).unwrap();
    file["credentials"][0]["lastUsedAt"] = json!(i64::MAX);
    fs::write(rig.file(), file.to_string()).unwrap();
    rig.credentials = Arc::new(rig.opened().await.unwrap());
    let left = rig.credentials.expiry(rig.check(&secret).unwrap().id).unwrap().0 - rig.credentials.now().0;
    assert!(left <= state::millis(policy::SESSION_LIFE), "{left}");
}

#[tokio::test]
async fn the_token_of_the_peer_gives_every_access_and_has_no_end() {
    let word = "a word of at least thirty-two characters";
    let rig = Rig::new().await;
    let credentials = rig.opened().await.unwrap();
    let credentials = credentials.with_ws_auth(Some(WsAuth::Capability(Digest::of(word))));
    let grant = credentials.check(word).unwrap();
    assert_eq!((grant.kind, grant.access), (CredentialKind::Capability, Access::Admin));
    assert_eq!(credentials.check("another word of thirty-two characters"), Err(CredentialRefusal::Malformed));
    assert_eq!(credentials.list(), []);
    let mut waits = std::pin::pin!(credentials.ended(grant.id));
    assert!(futures_util::poll!(&mut waits).is_pending());
}
