//! `skein pair`: lets the browser of a phone in. Anybody near the screen can read the code, so a person agrees to each browser.

use std::io::{IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use nix::errno::Errno;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use skein_config::policy::PAIRING_LIFE;
use skein_protocol::access::Access;
use skein_store::home::Home;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{client, home, out, print_line, print_lines, say, url};

/// How often the server is asked whether a page has come.
const LOOK: Duration = Duration::from_millis(500);
/// Addresses of documentations (RFC 5737, RFC 3849): a route to one shows the machine's own address. Nothing is sent there.
const REMOTE_ADDRESSES: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

#[derive(Debug, Args)]
pub(super) struct Pair {
    /// The home [default: $SKEIN_HOME, $XDG_DATA_HOME/skein or ~/.local/share/skein].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// The access that the phone gets: read, chat or admin.
    #[arg(long, value_name = "SCOPE", default_value_t = Access::Chat)]
    scope: Access,
}

/// The answer of `POST /auth/pair`.
#[derive(Deserialize)]
struct StartedPairing {
    id: Uuid,
}

/// The answer of `GET /auth/pair/ID`.
#[derive(Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
enum PairingAnswer {
    Open,
    Asked { device: Device },
    Ended,
}

/// The page that waits.
#[derive(Deserialize)]
struct Device {
    name: String,
    address: Option<IpAddr>,
}

/// The end of a pairing.
enum PairingEnd {
    /// The page is in.
    Accepted,
    Refused,
    /// No page came, or the answer came too late.
    TooLate,
    Interrupted,
}

impl Pair {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let root = std::path::absolute(home(self.home.as_ref())?).context("the home's path")?;
        drop(client::stream(&root).await?);
        let Some(page) = page(&root)? else {
            say(UNREACHABLE.trim_end());
            return Ok(ExitCode::FAILURE);
        };
        ensure!(
            std::io::stdin().is_terminal(),
            "skein pair asks before a page comes in: run it at a terminal"
        );
        // From here on Ctrl-C ends the ticket, too.
        let mut interrupts = signal(SignalKind::interrupt()).context("signals")?;
        let body = ask(&root, "/auth/pair", Some(&json!({ "scope": self.scope }))).await?;
        let ticket = url::plain_ticket(&body)?;
        let StartedPairing { id } = read(&body)?;
        let link = Zeroizing::new(format!("{page}/#ticket={}", *ticket));
        print_lines(&code(&link)?)?;
        print_line(&link)?;
        let minutes = PAIRING_LIFE.as_secs() / 60;
        say(format_args!("open it within {minutes} min; this terminal asks before it comes in"));
        let end = tokio::select! {
            end = consent(&root, id) => end?,
            _ = interrupts.recv() => PairingEnd::Interrupted,
        };
        match end {
            PairingEnd::Accepted => {
                say(format_args!(
                    "it is in, with the scope {}; its session: skein sessions list",
                    self.scope
                ));
                return Ok(ExitCode::SUCCESS);
            }
            PairingEnd::Refused => say("it was not let in"),
            PairingEnd::TooLate => say("nobody came in time; run skein pair again"),
            // Nobody is there to let a page in.
            PairingEnd::Interrupted => drop(decide(&root, id, false).await?),
        }
        Ok(ExitCode::FAILURE)
    }
}

/// Waits for a page, and asks about it.
async fn consent(root: &Path, id: Uuid) -> anyhow::Result<PairingEnd> {
    let Some(device) = visitor(root, id).await? else { return Ok(PairingEnd::TooLate) };
    let accept = agree(&device).await?;
    Ok(match (decide(root, id, accept).await?, accept) {
        (false, _) => PairingEnd::TooLate,
        (true, true) => PairingEnd::Accepted,
        (true, false) => PairingEnd::Refused,
    })
}

/// Decides about the pairing, if it has not ended.
async fn decide(root: &Path, id: Uuid, accept: bool) -> anyhow::Result<bool> {
    if let PairingAnswer::Ended = look(root, id).await? {
        return Ok(false);
    }
    ask(root, &format!("/auth/pair/{id}"), Some(&json!({ "accept": accept }))).await?;
    Ok(true)
}

async fn look(root: &Path, id: Uuid) -> anyhow::Result<PairingAnswer> {
    read(&ask(root, &format!("/auth/pair/{id}"), None).await?)
}

const UNREACHABLE: &str = "no phone can reach this server: it listens on this machine only. Either of these changes that:
  skein serve --listen ws://127.0.0.1:4500 --listen wss://0.0.0.0:4501 --tls-cert cert.pem --tls-key key.pem
  public_url = \"https://box.example.org\"   (config.toml, with a proxy or a tunnel in front: docs/operators.md)
";

async fn ask(root: &Path, path: &str, body: Option<&Value>) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let stream = client::stream(root).await?;
    client::in_time(url::exchange(stream, path, body)).await
}

fn read<T: DeserializeOwned>(body: &[u8]) -> anyhow::Result<T> {
    // The error of the parser could quote the ticket.
    serde_json::from_slice(body).ok().context("the server is of another version")
}

/// The page of the home's server for other machines.
fn page(root: &Path) -> anyhow::Result<Option<String>> {
    let places = Home::read_server_json(root)?.map(|server| server.addresses).unwrap_or_default();
    if let Some(public) = places.iter().find(|place| place.starts_with("http")) {
        return Ok(Some(public.clone()));
    }
    let own = |all: SocketAddr| {
        let families = if is_only_v6(all.port(), &places) { Families::Six } else { Families::of(all.ip()) };
        own_address(families)
    };
    Ok(places.iter().find_map(|place| page_at(place, own)))
}

/// The page at a place, if another machine reaches it.
fn page_at(place: &str, own: impl FnOnce(SocketAddr) -> Option<IpAddr>) -> Option<String> {
    url::page_at(place, |at| match at.ip() {
        ip if ip.to_canonical().is_loopback() => None,
        ip if ip.is_unspecified() => own(at),
        ip => Some(ip),
    })
}

/// Whether another place has this port for IPv4. A socket at all addresses of IPv6 then serves that family only.
fn is_only_v6(port: u16, places: &[String]) -> bool {
    let port_of_v4 = |place: &String| {
        let (scheme, authority) = place.split_once("://")?;
        match authority.parse() {
            Ok(SocketAddr::V4(at)) => Some(at.port()),
            Ok(SocketAddr::V6(_)) => None,
            Err(_) if scheme.starts_with("ws") => authority.rsplit_once(':')?.1.parse().ok(),
            Err(_) => None,
        }
    };
    places.iter().filter_map(port_of_v4).any(|other| other == port)
}

/// The families of addresses that a server at all addresses has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Families {
    Four,
    Six,
    Both,
}

impl Families {
    fn of(all: IpAddr) -> Self {
        if all.is_ipv4() { Self::Four } else { Self::Both }
    }

    fn have(self, address: IpAddr) -> bool {
        match self {
            Self::Four => address.is_ipv4(),
            Self::Six => address.is_ipv6(),
            Self::Both => true,
        }
    }
}

/// The address of this machine in its network, for a server that listens at all addresses of these families.
fn own_address(families: Families) -> Option<IpAddr> {
    REMOTE_ADDRESSES.into_iter().filter(|remote| families.have(*remote)).find_map(address_towards)
}

/// This machine's address on the way to another one. A link-local one needs the name of a link, which no other machine knows.
fn address_towards(remote: IpAddr) -> Option<IpAddr> {
    let any = if remote.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // The port does not matter: this is discard (RFC 863).
    socket.connect((remote, 9)).ok()?;
    let own = socket.local_addr().ok()?.ip();
    let is_of_a_link = matches!(own, IpAddr::V6(own) if own.is_unicast_link_local());
    (!own.is_loopback() && !is_of_a_link).then_some(own)
}

/// The code for a camera, dark on light.
fn code(link: &str) -> anyhow::Result<String> {
    let code = QrCode::new(link).context("the address is too long for a code")?;
    // Terminals are dark: their background is the code's dark.
    Ok(code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// The page that waits; `None` if none comes in time.
async fn visitor(root: &Path, id: Uuid) -> anyhow::Result<Option<Device>> {
    loop {
        match look(root, id).await? {
            PairingAnswer::Open => tokio::time::sleep(LOOK).await,
            PairingAnswer::Asked { device } => return Ok(Some(device)),
            PairingAnswer::Ended => return Ok(None),
        }
    }
}

/// Asks the person at the terminal.
async fn agree(device: &Device) -> anyhow::Result<bool> {
    let address = device.address.map_or_else(|| "this machine".to_owned(), |address| address.to_string());
    let name = out::one_line(&device.name);
    // An answer to a question that nobody has seen counts for nothing.
    // SAFETY: it drops input of the terminal, and touches no memory.
    let dropped = Errno::result(unsafe { nix::libc::tcflush(0, nix::libc::TCIFLUSH) });
    dropped.context("the terminal")?;
    let mut stderr = std::io::stderr();
    write!(stderr, "{name}, {address}: let it in? [y/N] ")?;
    stderr.flush()?;
    let mut line = String::new();
    BufReader::new(stdin()).read_line(&mut line).await?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_for_a_phone_is_at_an_address_of_the_network() {
        let own = |all: SocketAddr| {
            let six = IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 5]);
            Some(if all.is_ipv6() { six } else { IpAddr::from([192, 168, 1, 5]) })
        };
        for (place, expected) in [
            ("ws://127.0.0.1:4500", None),
            ("wss://[::1]:4500", None),
            ("unix:///run/s", None),
            ("ws://0.0.0.0:4500", Some("http://192.168.1.5:4500")),
            ("wss://[::]:4501", Some("https://[2001:db8::5]:4501")),
            ("wss://10.0.0.2:4501", Some("https://10.0.0.2:4501")),
            ("wss://box.example.org:443", Some("https://box.example.org:443")),
        ] {
            assert_eq!(page_at(place, own).as_deref(), expected, "{place}");
        }
        assert_eq!(page_at("ws://0.0.0.0:4500", |_| None), None, "a machine without a network");
    }

    /// Machines differ in their networks: an address that is found has the right family.
    #[test]
    fn a_server_at_all_addresses_of_ipv4_has_no_address_of_ipv6() {
        let of_four = own_address(Families::Four);
        assert!(of_four.is_none_or(|own| own.is_ipv4() && !own.is_loopback()), "{of_four:?}");
        let of_six = own_address(Families::Six);
        assert!(of_six.is_none_or(|own| own.is_ipv6() && !own.is_loopback()), "{of_six:?}");
        let of_both = own_address(Families::Both);
        assert!(of_four.is_none() || of_both == of_four, "{of_both:?}: phones have IPv4");
        assert!(of_both.is_none_or(|own| !own.is_loopback()), "{of_both:?}");
    }

    #[test]
    fn a_port_that_another_place_has_for_ipv4_has_ipv6_only() {
        for (other, expected) in [
            ("ws://127.0.0.1:4500", true),
            ("wss://box.example.org:4500", true),
            ("ws://[::1]:4500", false),
            ("ws://127.0.0.1:4501", false),
            ("unix:///run/s:4500", false),
        ] {
            assert_eq!(
                is_only_v6(4500, &["ws://[::]:4500".to_owned(), other.to_owned()]),
                expected,
                "{other}"
            );
        }
    }

    #[test]
    fn a_code_holds_the_whole_link() {
        let link = format!("https://{}.example.org/#ticket={}", "a".repeat(200), "b".repeat(43));
        let lines = code(&link).unwrap();
        assert!(
            lines.lines().count() > 10 && lines.lines().all(|line| line.chars().count() < 120),
            "{lines}"
        );
    }
}
