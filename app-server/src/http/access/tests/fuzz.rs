//! Heads of any content, and the rules that hold for each that is let in.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use skein_config::access::{Admission, CredentialKind, Door, Grant, OriginPattern, WebOrigin};
use skein_config::{Browser, LocalPrograms};
use skein_protocol::access::Access;
use uuid::Uuid;

use super::super::admit::{AccessRules, Facts, HelperCaller, Need, User, admit};
use super::super::head::{Entrance, RequestHead};
use super::super::refusal::RefusalReason;
use crate::fuzz::{Corpus, heads, play_rounds};
use crate::http::routes;

/// The one page of the settings.
const LISTED: &str = "http://localhost:5173";

/// Rounds of `cargo test`: a decision takes microseconds.
const QUICK_ROUNDS: u64 = 5_000;

#[test]
fn no_head_lets_somebody_in_who_may_not() {
    let browser = Browser { origins: vec![OriginPattern::parse(LISTED).unwrap()], ..Browser::default() };
    play_rounds("heads", QUICK_ROUNDS, Corpus::heads(&heads()), |bytes, _| {
        let Some(parts) = parts(bytes) else { return };
        for door in [Door::Unix, Door::Loopback, Door::Remote] {
            let Ok(head) =
                RequestHead::read(Entrance { door, certificate: None, public_url: None, name: None }, &parts)
            else {
                continue;
            };
            let need = routes::need(door, &parts).unwrap_or(Need::Access(Access::Chat));
            for local in [LocalPrograms::SameUser, LocalPrograms::Token, LocalPrograms::Any] {
                for facts in facts(head.credential.is_some()) {
                    let rules = AccessRules { local, browser: &browser };
                    if let Ok(admission) = admit(rules, need, &head, facts.clone()) {
                        promise(&parts, (door, need, local), &facts, &admission);
                    }
                }
            }
        }
    });
}

/// The head that these bytes are, if they are one.
fn parts(bytes: &[u8]) -> Option<Parts> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?, first.next()?);
    let mut request = Request::builder().method(method).uri(target);
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request = request.header(name, HeaderValue::from_str(value.trim()).ok()?);
    }
    Some(request.body(()).ok()?.into_parts().0)
}

/// All facts about a request, with a credential or without.
fn facts(has_credential: bool) -> Vec<Facts> {
    let grant = |access, origin: Option<&str>, same_user| {
        let origin = origin.and_then(WebOrigin::parse);
        let (id, name) = (Uuid::nil(), "laptop".to_owned());
        Some(Ok(Grant { id, kind: CredentialKind::Token, name, access, origin, same_user }))
    };
    let credentials = if has_credential {
        vec![
            Some(Err(RefusalReason::Unknown)),
            grant(Access::Read, None, false),
            grant(Access::Admin, None, false),
            grant(Access::Chat, Some(LISTED), true),
        ]
    } else {
        vec![None]
    };
    let callers = [None, Some(false), Some(true)];
    let users = [User::Same, User::Other, User::Unknown];
    let mut all = Vec::new();
    for (credential, user) in
        credentials.iter().flat_map(|credential| users.map(|user| (credential.clone(), user)))
    {
        all.extend(callers.map(|caller| Facts {
            user,
            helper: Ok(
                caller.map(|may_connect| HelperCaller { name: Some("files".to_owned()), may_connect }),
            ),
            credential: credential.clone(),
        }));
    }
    all
}

/// The values of a header.
fn values(headers: &HeaderMap, name: HeaderName) -> Vec<&str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("?")).collect()
}

/// Whether a port without a name and a certificate may serve this `Host`: the loopback one serves this machine's names,
/// and the one for other machines each address too.
fn is_served(door: Door, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.ends_with(':') && port.parse::<u16>().is_ok() => name,
        _ => &host,
    };
    let address: Option<IpAddr> = name.trim_matches(['[', ']']).parse().ok();
    name == "localhost" || address.is_some_and(|ip| door == Door::Remote || ip.is_loopback())
}

/// Checks the rules on a request that was let in.
fn promise(
    parts: &Parts,
    (door, need, local): (Door, Need, LocalPrograms),
    facts: &Facts,
    admission: &Admission,
) {
    let headers = &parts.headers;
    let hosts = values(headers, header::HOST);
    let shown = format!("{door} {need:?} {local:?} {parts:?} {facts:?}");
    assert!(door == Door::Unix || matches!(hosts[..], [host] if is_served(door, host)), "{shown}");
    let is_origin = |origin: &WebOrigin| WebOrigin::parse(origin.as_str()).is_some();
    assert!(admission.origin.as_ref().is_none_or(is_origin), "{shown}");
    if matches!(need, Need::Page | Need::Open) {
        assert_eq!(admission.access, Access::Read, "{shown}");
        return;
    }
    let origins = values(headers, header::ORIGIN);
    let own = format!("http://{}", hosts.first().unwrap_or(&"").to_ascii_lowercase());
    let is_allowed = |origin: &str| door != Door::Unix && (origin == LISTED || origin == own);
    assert!(origins.len() < 2 && origins.iter().all(|origin| is_allowed(origin)), "{shown}");
    assert!(
        facts.helper.as_ref().is_ok_and(|helper| helper.as_ref().is_none_or(|helper| helper.may_connect)),
        "{shown}"
    );
    let is_asked = door == Door::Loopback && local != LocalPrograms::Any;
    if need == Need::Ticket {
        assert!(!is_asked || facts.user == User::Same, "{shown}");
        return;
    }
    match &facts.credential {
        Some(Ok(grant)) => {
            assert!(admission.access <= grant.access, "{shown}");
            assert!(!(grant.same_user && is_asked) || facts.user == User::Same, "{shown}");
            assert!(grant.origin.is_none() || admission.origin == grant.origin, "{shown}");
        }
        Some(Err(_)) => panic!("a wrong credential: {shown}"),
        None => assert!(is_local_program(headers, (door, local), facts.user), "{shown}"),
    }
}

/// Whether a request without a credential may pass: a program of the user on this machine.
fn is_local_program(headers: &HeaderMap, (door, local): (Door, LocalPrograms), user: User) -> bool {
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return false;
    }
    let sent_on = headers
        .keys()
        .map(HeaderName::as_str)
        .any(|name| name.starts_with("x-forwarded") || ["forwarded", "via", "x-real-ip"].contains(&name));
    match (door, local) {
        (Door::Unix, _) => true,
        (Door::Remote, _) | (Door::Loopback, LocalPrograms::Token) => false,
        (Door::Loopback, LocalPrograms::Any) => !sent_on,
        (Door::Loopback, LocalPrograms::SameUser) => !sent_on && user == User::Same,
    }
}
