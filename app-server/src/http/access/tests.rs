//! Every combination of door, need, sender, credential, user and settings.

mod fuzz;
mod heads;

use skein_base::system::proc::Unsettled;
use skein_config::access::{
    Admission, CredentialKind, Door, Grant, Identity, OriginPattern, SentSecret, WebOrigin,
};
use skein_config::{Browser, LocalPrograms};
use skein_protocol::access::Access;
use uuid::Uuid;

use super::admit::{AccessRules, Facts, HelperCaller, Need, User, admit, asks_for_user};
use super::head::{RequestHead, Sender};
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
        Some(Err(RefusalReason::Unread)),
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
