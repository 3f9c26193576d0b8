//! The head of a request: which hosts are served, who sends it, and which credential it carries.

use axum::http::{HeaderMap, HeaderName, Request};
use serde_json::json;
use skein_config::ServerConfig;
use skein_config::access::{Door, SentSecret};

use super::super::head::{Entrance, RequestHead, Sender, remove_credential, subprotocols};
use super::origin;

/// Reads the head of a request with these headers at this entrance.
fn read_by(
    entrance: Entrance<'_>,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<RequestHead, (u16, &'static str)> {
    let mut request = Request::builder().uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    RequestHead::read(entrance, &parts).map_err(|refusal| (refusal.status().as_u16(), refusal.word()))
}

/// The same at a loopback port.
fn read(target: &str, headers: &[(&str, &str)]) -> Result<RequestHead, (u16, &'static str)> {
    read_by(
        Entrance { door: Door::Loopback, certificate: None, public_url: None, name: None },
        target,
        headers,
    )
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

/// The same with this `Host` at another entrance.
fn read_at(
    entrance: Entrance<'_>,
    host: &str,
    headers: &[(&str, &str)],
) -> Result<RequestHead, (u16, &'static str)> {
    read_by(entrance, "/", &[&[("host", host)], headers].concat())
}

#[test]
fn an_address_is_served_for_other_machines_and_a_name_only_if_it_is_known() {
    let entrance = Entrance { door: Door::Remote, certificate: None, public_url: None, name: None };
    for host in ["192.168.1.20:4500", "[2001:db8::1]:4500", "10.0.0.1", "localhost:4500", "127.0.0.1:4500"] {
        let head = read_at(entrance, host, &[]).unwrap();
        assert_eq!((head.door, head.is_public), (Door::Remote, false), "{host}");
        assert_eq!(head.own, Some(origin(&format!("http://{host}"))));
    }
    for host in ["evil.example:4500", "box", "192.168.1.20.evil.example"] {
        assert_eq!(read_at(entrance, host, &[]), Err((421, "host")), "{host}");
    }
    for door in [Door::Remote, Door::Loopback] {
        let named = Entrance { door, name: Some("box"), ..entrance };
        assert_eq!(read_at(named, "Box:4500", &[]).unwrap().own, Some(origin("http://box:4500")));
        assert_eq!(read_at(named, "box.example:4500", &[]), Err((421, "host")));
    }
}

#[test]
fn a_request_by_the_public_url_counts_as_one_of_another_machine() {
    let config: ServerConfig =
        serde_json::from_value(json!({ "public_url": "https://box.example.org" })).unwrap();
    let entrance =
        |door| Entrance { door, certificate: None, public_url: config.public_url.as_ref(), name: None };
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
        assert_eq!(head.socket, Door::Loopback, "no header changes the socket: {host} {headers:?}");
    }
    assert_eq!(read_at(entrance(Door::Loopback), "box.example.org:444", &[]), Err((421, "host")));
    let own =
        read_at(entrance(Door::Loopback), "box.example.org", &[("sec-fetch-site", "same-origin")]).unwrap();
    assert_eq!(own.sender, Sender::Page(origin("https://box.example.org")));
    let socket = read_at(entrance(Door::Unix), "box.example.org", &[page]).unwrap();
    assert_eq!((socket.door, socket.is_public), (Door::Unix, false), "a program of the user names any host");
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
    for name in [
        "forwarded",
        "x-forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwardedb-for",
        "x-real-ip",
        "via",
    ] {
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
        remove_credential(&mut headers);
        assert!(!format!("{headers:?} {head:?}").contains("abc"), "{headers:?} {head:?}");
        assert_eq!(subprotocols(&headers).collect::<Vec<_>>(), left);
    }
}
