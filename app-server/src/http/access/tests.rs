//! Every combination of door, need, sender, credential, user and settings.

mod fuzz;

use axum::http::{HeaderMap, HeaderName, Request};
use serde_json::json;
use skein_base::system::proc::Unsettled;
use skein_config::access::{
    Admission, CredentialKind, Door, Grant, Identity, OriginPattern, SentSecret, WebOrigin,
};
use skein_config::{Browser, LocalPrograms, ServerConfig};
use skein_protocol::access::Access;
use uuid::Uuid;

use super::admit::{AccessRules, Facts, HelperCaller, Need, User, admit, asks_for_user};
use super::head::{Entrance, RequestHead, Sender};
use super::refusal::RefusalReason;

const DOORS: [Door; 3] = [Door::Unix, Door::Loopback, Door::Remote];
const NEEDS: [Need; 8] = [
    Need::Page,
    Need::Open,
    Need::Access(Access::Read),
    Need::Access(Access::Chat),
    Need::Access(Access::Admin),
    Need::Ticket,
    Need::Bearer,
    Need::NoBrowser,
];
const USERS: [User; 3] = [User::Same, User::Other, User::Unknown];
const LOCAL: [LocalPrograms; 3] = [LocalPrograms::SameUser, LocalPrograms::Token, LocalPrograms::Any];

/// One combination.
#[derive(Debug, Clone)]
struct Case {
    local: LocalPrograms,
    door: Door,
    need: Need,
    head: RequestHead,
    facts: Facts,
}

impl Case {
    fn decide(&self) -> Result<Admission, RefusalReason> {
        let origins = vec![OriginPattern::parse("http://localhost:5173").unwrap()];
        let rules = AccessRules { local: self.local, browser: &Browser { origins, ..Browser::default() } };
        admit(rules, self.need, &self.head, self.facts.clone()).map_err(|refusal| refusal.reason)
    }

    fn asks(&self) -> bool {
        asks_for_user(AccessRules { local: self.local, browser: &Browser::default() }, self.need, &self.head)
    }

    fn is_program(&self) -> bool {
        self.head.sender == Sender::Program
    }
}

fn origin(text: &str) -> WebOrigin {
    WebOrigin::parse(text).unwrap()
}

fn senders() -> Vec<Sender> {
    let pages = ["http://127.0.0.1:4500", "http://localhost:5173", "http://evil.example", "null"];
    let pages = pages.into_iter().map(|page| Sender::Page(origin(page)));
    pages.chain([Sender::Program, Sender::MalformedPage, Sender::Browser]).collect()
}

fn grants() -> Vec<Option<Result<Grant, RefusalReason>>> {
    let grant = |access, bound: Option<&str>, same_user| {
        let name = "laptop".to_owned();
        let origin = bound.map(origin);
        Some(Ok(Grant { id: Uuid::nil(), kind: CredentialKind::Token, name, access, origin, same_user }))
    };
    vec![
        None,
        Some(Err(RefusalReason::Unknown)),
        Some(Err(RefusalReason::Expired)),
        grant(Access::Read, None, false),
        grant(Access::Admin, None, false),
        grant(Access::Chat, None, true),
        grant(Access::Chat, Some("http://localhost:5173"), true),
        grant(Access::Chat, Some("http://127.0.0.1:4500"), true),
    ]
}

fn helpers() -> Vec<Result<Option<HelperCaller>, Unsettled>> {
    let helper = |may_connect| Ok(Some(HelperCaller { name: Some("files".to_owned()), may_connect }));
    vec![Ok(None), helper(false), helper(true), former(), Err(Unsettled)]
}

fn former() -> Result<Option<HelperCaller>, Unsettled> {
    Ok(Some(HelperCaller { name: None, may_connect: false }))
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (local, door) in LOCAL.into_iter().flat_map(|local| DOORS.map(|door| (local, door))) {
        for (need, sender) in NEEDS.into_iter().flat_map(|need| senders().into_iter().map(move |s| (need, s)))
        {
            for (user, credential) in
                USERS.into_iter().flat_map(|user| grants().into_iter().map(move |g| (user, g)))
            {
                for (helper, is_forwarded) in
                    helpers().into_iter().flat_map(|h| [(h.clone(), false), (h, true)])
                {
                    let head = RequestHead {
                        door,
                        socket: door,
                        is_public: false,
                        own: Some(origin("http://127.0.0.1:4500")),
                        sender: sender.clone(),
                        is_forwarded,
                        credential: credential.as_ref().map(|_| SentSecret::new("secret")),
                        is_worker_script: false,
                    };
                    let facts = Facts { user, helper, credential: credential.clone() };
                    cases.push(Case { local, door, need, head, facts });
                }
            }
        }
    }
    cases
}

/// Checks a rule on all combinations that it is about; there has to be one.
fn all(about: impl Fn(&Case) -> bool, rule: impl Fn(&Case, &Result<Admission, RefusalReason>) -> bool) {
    let cases: Vec<Case> = cases().into_iter().filter(about).collect();
    assert!(!cases.is_empty());
    for case in cases {
        let decided = case.decide();
        assert!(rule(&case, &decided), "{case:#?}: {decided:?}");
    }
}

fn holds_secret(case: &Case) -> bool {
    !matches!(case.need, Need::Page | Need::Open)
}

#[test]
fn a_page_that_is_not_allowed_gets_nothing_but_the_files_of_the_page() {
    let foreign = |case: &Case| match &case.head.sender {
        Sender::Page(page) => {
            case.door == Door::Unix
                || !["http://127.0.0.1:4500", "http://localhost:5173"].contains(&page.as_str())
        }
        Sender::MalformedPage => true,
        Sender::Program | Sender::Browser => false,
    };
    all(
        |case| foreign(case) && (case.need != Need::Page || case.door == Door::Unix),
        |_, decided| *decided == Err(RefusalReason::Origin),
    );
    all(
        |case| foreign(case) && case.need == Need::Page && case.door != Door::Unix,
        |_, decided| decided.as_ref().is_ok_and(|admission| admission.identity == Identity::Anonymous),
    );
}

#[test]
fn a_browser_without_an_origin_gets_only_routes_without_a_secret() {
    all(
        |case| case.head.sender == Sender::Browser,
        |case, decided| match (holds_secret(case), case.door) {
            (false, Door::Loopback | Door::Remote) => decided.is_ok(),
            (false, Door::Unix) => *decided == Err(RefusalReason::Origin),
            (true, _) => matches!(decided, Err(RefusalReason::Origin | RefusalReason::Browser)),
        },
    );
}

#[test]
fn without_a_credential_only_a_local_program_of_the_user_comes_in() {
    all(
        |case| holds_secret(case) && case.need != Need::Ticket && case.facts.credential.is_none(),
        |case, decided| {
            let local = match case.door {
                Door::Unix => true,
                Door::Remote => false,
                Door::Loopback => {
                    !case.head.is_forwarded
                        && match case.local {
                            LocalPrograms::SameUser => case.facts.user == User::Same,
                            LocalPrograms::Token => false,
                            LocalPrograms::Any => true,
                        }
                }
            };
            decided.is_err() || (case.is_program() && local && case.need != Need::Bearer)
        },
    );
    all(
        |case| {
            let need = matches!(case.need, Need::Access(_) | Need::NoBrowser);
            need && case.is_program()
                && case.facts.credential.is_none()
                && case.facts.helper == Ok(None)
                && case.door == Door::Loopback
                && case.local == LocalPrograms::SameUser
                && !case.head.is_forwarded
        },
        |case, decided| match case.facts.user {
            User::Same => decided.as_ref().is_ok_and(|admission| admission.access == Access::Admin),
            User::Other | User::Unknown => *decided == Err(RefusalReason::Missing),
        },
    );
}

#[test]
fn a_wrong_credential_lets_nobody_in() {
    all(
        |case| {
            holds_secret(case) && case.need != Need::Ticket && matches!(case.facts.credential, Some(Err(_)))
        },
        |_, decided| decided.is_err(),
    );
}

#[test]
fn a_credential_gives_its_own_access_and_no_more() {
    all(
        |case| holds_secret(case) && matches!(case.facts.credential, Some(Ok(_))),
        |case, decided| {
            let Some(Ok(grant)) = &case.facts.credential else { return false };
            let Ok(admission) = decided else { return true };
            case.need == Need::Ticket || admission.access <= grant.access
        },
    );
}

#[test]
fn a_bound_credential_is_good_from_its_page_only() {
    all(
        |case| {
            holds_secret(case)
                && case.need != Need::Ticket
                && matches!(&case.facts.credential, Some(Ok(grant)) if grant.origin.is_some())
        },
        |case, decided| {
            let Some(Ok(grant)) = &case.facts.credential else { return false };
            let sent = case.head.sender.page();
            decided.is_err() || grant.origin.as_ref() == sent
        },
    );
}

#[test]
fn at_a_loopback_port_credentials_of_pages_are_good_from_the_user_only() {
    let of_page = |case: &Case| {
        case.need == Need::Ticket || matches!(&case.facts.credential, Some(Ok(grant)) if grant.same_user)
    };
    all(
        |case| {
            let asked = case.door == Door::Loopback && case.local != LocalPrograms::Any;
            holds_secret(case) && of_page(case) && asked && case.facts.user != User::Same
        },
        |_, decided| decided.is_err(),
    );
}

#[test]
fn a_helper_comes_in_only_if_its_settings_say_so_and_never_as_admin() {
    let helper = |case: &Case| Some(case.facts.helper.as_ref().ok()?.as_ref()?.may_connect);
    all(|case| holds_secret(case) && helper(case) == Some(false), |_, decided| decided.is_err());
    all(
        |case| holds_secret(case) && case.need != Need::Ticket && helper(case) == Some(true),
        |case, decided| {
            decided
                .as_ref()
                .map_or(true, |admission| is_helper(admission, case) && admission.access <= Access::Chat)
        },
    );
}

#[test]
fn nobody_comes_in_while_it_is_not_known_whether_a_helper_connects() {
    all(|case| holds_secret(case) && case.facts.helper.is_err(), |_, decided| decided.is_err());
    let case = cases().into_iter().find(|case| case.facts.helper.is_err() && case.is_program());
    let Case { local, head, facts, .. } = case.unwrap();
    let rules = AccessRules { local, browser: &Browser::default() };
    let refusal = admit(rules, Need::Access(Access::Read), &head, facts).unwrap_err();
    let answer = axum::response::IntoResponse::into_response(refusal);
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    all(
        |case| !holds_secret(case) && case.facts.helper.is_err() && case.is_program(),
        |_, decided| decided.is_ok(),
    );
}

/// Whether a connection is a helper's, and ends with the credential that it has sent.
fn is_helper(admission: &Admission, case: &Case) -> bool {
    let sent = case.facts.credential.clone().and_then(Result::ok);
    admission.identity == Identity::Helper { name: "files".to_owned(), grant: sent.clone() }
        && admission.credential() == sent.map(|grant| grant.id)
}

#[test]
fn a_helper_that_has_ended_is_refused_with_its_own_sentence() {
    let case = cases().into_iter().find(|case| case.facts.helper == former() && case.is_program());
    let Case { local, head, facts, .. } = case.unwrap();
    let rules = AccessRules { local, browser: &Browser::default() };
    let refusal = admit(rules, Need::Access(Access::Read), &head, facts).unwrap_err();
    assert_eq!(refusal.message, "a process of a helper that has ended may not connect");
}

#[test]
fn a_page_at_a_unix_socket_gets_no_command_that_does_not_help() {
    let case = cases().into_iter().find(|case| case.door == Door::Unix && case.head.sender.page().is_some());
    let Case { local, head, facts, .. } = case.unwrap();
    let rules = AccessRules { local, browser: &Browser::default() };
    let refusal = admit(rules, Need::Access(Access::Read), &head, facts).unwrap_err();
    assert_eq!(refusal.message, "no page may use a unix socket; it connects to a port");
}

#[test]
fn a_browser_gets_no_ticket() {
    all(|case| case.need == Need::NoBrowser && !case.is_program(), |_, decided| decided.is_err());
}

#[test]
fn a_decision_without_the_question_for_the_user_does_not_depend_on_the_answer() {
    all(
        |case| !case.asks(),
        |case, decided| {
            USERS.into_iter().all(|user| {
                let facts = Facts { user, ..case.facts.clone() };
                Case { facts, ..case.clone() }.decide().map(|admission| admission.access)
                    == decided.as_ref().map(|admission| admission.access).map_err(|reason| *reason)
            })
        },
    );
    all(|case| !holds_secret(case), |case, _| !case.asks());
}

/// Reads the head of a request with these headers at a loopback port.
fn read(target: &str, headers: &[(&str, &str)]) -> Result<RequestHead, (u16, &'static str)> {
    let mut request = Request::builder().uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let entrance = Entrance { door: Door::Loopback, certificate: None, public_url: None };
    RequestHead::read(entrance, &parts).map_err(|refusal| (refusal.status().as_u16(), refusal.word()))
}

const HOST: (&str, &str) = ("host", "127.0.0.1:4500");

#[test]
fn one_host_of_this_machine_is_served() {
    for host in
        ["127.0.0.1:4500", "127.0.0.1", "localhost", "LOCALHOST:80", "[::1]:4500", "[::1]", "127.9.9.9:1"]
    {
        assert!(read("/", &[("host", host)]).is_ok(), "{host}");
    }
    for host in
        ["example.com", "10.0.0.1:4500", "localhost.example.com", "127.0.0.1.example.com", "", "::1:80:"]
    {
        assert_eq!(read("/", &[("host", host)]), Err((421, "host")), "{host}");
    }
    for host in
        ["localhost:080", "localhost:+80", "localhost:", "::1", "[127.0.0.1]", "127.0.0.1:0", "local_host"]
    {
        assert_eq!(read("/", &[("host", host)]), Err((421, "host")), "{host}: a page of it has no origin");
    }
    assert_eq!(read("/", &[]), Err((400, "host")));
    assert_eq!(read("/", &[HOST, HOST]), Err((400, "host")));
    assert_eq!(read("/", &[("host", "user@localhost")]), Err((400, "host")));
    assert_eq!(
        read("http://localhost:4500/", &[HOST]),
        Err((400, "host")),
        "absolute form, another authority"
    );
    assert!(read("http://127.0.0.1:4500/", &[HOST]).is_ok(), "absolute form, the same authority");
}

/// Reads a head with this `Host` and these headers.
fn read_at(entrance: Entrance<'_>, host: &str, headers: &[(&str, &str)]) -> Result<RequestHead, u16> {
    let mut request = Request::builder().uri("/").header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    RequestHead::read(entrance, &parts).map_err(|refusal| refusal.status().as_u16())
}

#[test]
fn an_address_is_served_for_other_machines_and_a_name_only_if_it_is_known() {
    let entrance = Entrance { door: Door::Remote, certificate: None, public_url: None };
    for host in ["192.168.1.20:4500", "[2001:db8::1]:4500", "10.0.0.1", "localhost:4500", "127.0.0.1:4500"] {
        let head = read_at(entrance, host, &[]).unwrap();
        assert_eq!((head.door, head.is_public), (Door::Remote, false), "{host}");
        assert_eq!(head.own, Some(origin(&format!("http://{host}"))));
    }
    for host in ["evil.example:4500", "box", "192.168.1.20.evil.example"] {
        assert_eq!(read_at(entrance, host, &[]), Err(421), "{host}");
    }
}

#[test]
fn a_request_by_the_public_url_counts_as_one_of_another_machine() {
    let config: ServerConfig =
        serde_json::from_value(json!({ "public_url": "https://box.example.org" })).unwrap();
    let entrance = |door| Entrance { door, certificate: None, public_url: config.public_url.as_ref() };
    let page = ("origin", "https://box.example.org");
    for (host, headers, is_public) in [
        ("box.example.org", vec![], true),
        ("BOX.example.org", vec![page], true),
        ("127.0.0.1:4500", vec![page], true),
        ("127.0.0.1:4500", vec![], false),
        ("127.0.0.1:4500", vec![("origin", "http://127.0.0.1:4500")], false),
    ] {
        let head = read_at(entrance(Door::Loopback), host, &headers).unwrap();
        let door = if is_public { Door::Remote } else { Door::Loopback };
        assert_eq!((head.door, head.is_public), (door, is_public), "{host} {headers:?}");
    }
    assert_eq!(read_at(entrance(Door::Loopback), "box.example.org:444", &[]), Err(421));
    let own =
        read_at(entrance(Door::Loopback), "box.example.org", &[("sec-fetch-site", "same-origin")]).unwrap();
    assert_eq!(own.sender, Sender::Page(origin("https://box.example.org")));
    let socket = read_at(entrance(Door::Unix), "box.example.org", &[page]).unwrap();
    assert_eq!((socket.door, socket.is_public), (Door::Unix, false), "a program of the user names any host");
}

/// A program of this machine can send the Host and the Origin of a proxy.
#[test]
fn another_user_who_names_the_public_url_uses_no_credential_of_this_user() {
    let public = "https://box.example.org";
    let own = Some(origin(public));
    let head = |sender| RequestHead {
        door: Door::Remote,
        socket: Door::Loopback,
        is_public: true,
        own: own.clone(),
        sender,
        is_forwarded: true,
        credential: Some(SentSecret::new("secret")),
        is_worker_script: false,
    };
    let decide = |need, user, grant: Option<(CredentialKind, Option<&str>)>| {
        let grant = grant.map(|(kind, bound)| {
            let (name, origin) = ("x".to_owned(), bound.map(origin));
            Ok(Grant { id: Uuid::nil(), kind, name, access: Access::Chat, origin, same_user: true })
        });
        let rules = AccessRules { local: LocalPrograms::SameUser, browser: &Browser::default() };
        let facts = Facts { user, helper: Ok(None), credential: grant };
        admit(rules, need, &head(Sender::Page(origin(public))), facts).map_err(|refusal| refusal.reason)
    };
    let chat = Need::Access(Access::Chat);
    let session = Some((CredentialKind::Session, Some(public)));
    assert_eq!(decide(chat, User::Other, session).unwrap_err(), RefusalReason::User);
    assert_eq!(decide(chat, User::Unknown, session).unwrap_err(), RefusalReason::User);
    assert!(decide(chat, User::Same, session).is_ok());
    let token = Some((CredentialKind::Token, Some(public)));
    assert!(decide(chat, User::Other, token).is_ok(), "a token for the page behind the proxy");
    for (user, is_other) in [(User::Same, false), (User::Other, true), (User::Unknown, true)] {
        assert_eq!(decide(Need::Ticket, user, None).unwrap().is_other_user, is_other, "{user:?}");
    }
}

#[test]
fn a_handshake_has_no_body() {
    let upgrade = ("upgrade", "websocket");
    assert!(read("/", &[HOST, upgrade, ("content-length", "0")]).is_ok());
    for body in [("content-length", "5"), ("transfer-encoding", "chunked")] {
        assert_eq!(read("/", &[HOST, upgrade, body]), Err((400, "upgrade")), "{body:?}");
        assert!(read("/", &[HOST, body]).is_ok(), "{body:?}");
    }
}

#[test]
fn senders_differ_by_their_headers() {
    let sender = |headers: &[(&str, &str)]| read("/", &[&[HOST], headers].concat()).map(|head| head.sender);
    assert_eq!(sender(&[]), Ok(Sender::Program));
    assert_eq!(sender(&[("origin", "http://a:1")]), Ok(Sender::Page(origin("http://a:1"))));
    assert_eq!(sender(&[("origin", "http://A:1")]), Ok(Sender::MalformedPage));
    assert_eq!(sender(&[("origin", &format!("http://{}", "a".repeat(10_000)))]), Ok(Sender::MalformedPage));
    assert_eq!(sender(&[("origin", "http://a:1"), ("origin", "http://b:1")]), Err((403, "origin")));
    let own = Ok(Sender::Page(origin("http://127.0.0.1:4500")));
    assert_eq!(sender(&[("sec-fetch-site", "same-origin")]), own);
    for site in ["none", "same-site", "cross-site", "x"] {
        assert_eq!(sender(&[("sec-fetch-site", site)]), Ok(Sender::Browser), "{site}");
    }
}

#[test]
fn proxies_are_seen_by_their_headers() {
    for name in
        ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-anything", "x-real-ip", "via"]
    {
        assert!(read("/", &[HOST, (name, "1")]).unwrap().is_forwarded, "{name}");
    }
    assert!(!read("/", &[HOST]).unwrap().is_forwarded);
}

#[test]
fn one_credential_is_read_from_where_it_may_stand() {
    let credential = |target: &str, headers: &[(&str, &str)]| {
        read(target, &[&[HOST], headers].concat()).map(|head| head.credential)
    };
    let protocol = "sec-websocket-protocol";
    let secret = Ok(Some(SentSecret::new("abc")));
    assert_eq!(credential("/", &[]), Ok(None));
    assert_eq!(credential("/", &[("authorization", "Bearer abc")]), secret);
    assert_eq!(credential("/", &[("authorization", "bearer abc")]), secret);
    assert_eq!(credential("/", &[(protocol, "skein.v1, skein.auth.abc")]), secret);
    assert_eq!(credential("/", &[(protocol, "skein.auth.abc"), (protocol, "skein.v1")]), secret);
    assert_eq!(credential("/", &[(protocol, "skein.v1")]), Ok(None));
    assert_eq!(credential("/", &[(protocol, "skein.auth.abc")]), Err((400, "subprotocol")));
    assert_eq!(credential("/", &[("authorization", "Basic abc")]), Err((401, "malformed")));
    let two = [("authorization", "Bearer abc"), (protocol, "skein.v1, skein.auth.abc")];
    assert_eq!(credential("/", &two), Err((400, "credentials")));
    assert_eq!(
        credential("/", &[("authorization", "Bearer a"), ("authorization", "Bearer b")]),
        Err((400, "credentials"))
    );
    for target in [
        "/?token=a",
        "/?x=1&access_token=a",
        "/?TICKET=a",
        "/?ticket",
        "/?%74oken=a",
        "/?x&access%5Ftoken=a",
        "/?ACCESS%5ftoken=a",
        "/?%54%49CKET",
        "/?&&%74%6f%6b%65%6e",
    ] {
        assert_eq!(credential(target, &[]), Err((400, "address")), "{target}");
    }
    for target in ["/", "/?", "/?a=token", "/?tokens=a", "/?%2574oken=a", "/?%ff=token&%7", "/?a%26token=b"] {
        assert_eq!(credential(target, &[]), Ok(None), "{target}");
    }
}

#[test]
fn no_secret_stays_in_a_head_once_the_decision_is_made() {
    let protocol = "sec-websocket-protocol";
    for (sent, left) in [
        (vec![("authorization", "Bearer abc")], vec![]),
        (vec![(protocol, "skein.v1, skein.auth.abc, other")], vec!["skein.v1", "other"]),
        (vec![(protocol, "skein.auth.abc"), (protocol, "skein.v1")], vec!["skein.v1"]),
        (vec![(protocol, "other")], vec!["other"]),
    ] {
        let mut headers = HeaderMap::new();
        headers
            .extend(sent.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())));
        let head = read("/", &[&[HOST], sent.as_slice()].concat()).unwrap();
        super::head::remove_credential(&mut headers);
        assert!(!format!("{headers:?} {head:?}").contains("abc"), "{headers:?} {head:?}");
        assert_eq!(super::head::subprotocols(&headers).collect::<Vec<_>>(), left);
    }
}
