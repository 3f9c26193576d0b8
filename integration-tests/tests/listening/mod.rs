//! A server listens where its user says, at several places at once, and refuses what would let others in unseen.

mod public;
mod restarts;
mod systemd;
mod tls;

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use skein_integration_tests::credentials::bearer;
use skein_integration_tests::home::{Home, PATIENCE, Setup};
use skein_integration_tests::http::{Request, free_port, get};
use skein_integration_tests::{Client, paths};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::Command;

fn has_ipv6() -> bool {
    let has = TcpListener::bind("[::1]:0").is_ok();
    if !has {
        eprintln!("SKIPPED: this machine has no [::1]");
    }
    has
}

#[tokio::test]
async fn a_server_listens_at_several_places_at_once() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("engine.sock");
    let mut setup = Home::setup().also_at(&format!("unix://{}", socket.display()));
    if has_ipv6() {
        setup = setup.also_at("ws://[::1]:0");
    }
    let home = setup.start().await?;
    let ports: Vec<&String> =
        home.addresses().iter().filter(|address| address.starts_with("ws://")).collect();
    ensure!(ports.len() == home.addresses().len() - 1, "{:?}", home.addresses());
    for port in ports {
        Client::ready(port).await.with_context(|| port.clone())?;
    }
    ensure!(home.addresses().last().is_some_and(|last| *last == format!("unix://{}", socket.display())));
    UnixStream::connect(&socket).await?;
    home.finish().await?;
    ensure!(!socket.exists(), "the socket goes with its server");
    Ok(())
}

#[tokio::test]
async fn one_port_takes_both_families() -> Result<()> {
    if !has_ipv6() {
        return Ok(());
    }
    let home = remote(Home::setup()).listen("ws://[::]:0").start().await?;
    let port = home.address().rsplit_once(':').context("a port")?.1.to_owned();
    let token = home.token("t", "read").await?;
    for host in ["127.0.0.1", "[::1]"] {
        bearer(&format!("ws://{host}:{port}"), &token).await.context(host)?;
    }
    home.finish().await
}

/// Lets other machines in without TLS.
fn remote(setup: Setup) -> Setup {
    setup.set("listen.plain", true)
}

#[tokio::test]
async fn an_address_of_other_machines_wants_a_credential_from_everybody() -> Result<()> {
    let setup = remote(Home::setup()).listen("ws://0.0.0.0:0").set("auth.local", "any");
    let home = setup.start().await?;
    let port = home.address().rsplit_once(':').context("a port")?.1.to_owned();
    let address = format!("ws://127.0.0.1:{port}");
    let metrics = Request::new("GET", "/metrics");
    ensure!(metrics.send(&address).await?.refusal() == (401, "missing".to_owned()));
    ensure!(Client::ready(&address).await.is_err());
    let token = home.token("t", "read").await?;
    ensure!(metrics.bearer(&token).send(&address).await?.status == 200);
    bearer(&address, &token).await?;
    home.until_line(&["pass without encryption"]).await?;
    home.finish().await
}

async fn serve(home: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(paths::skein()?);
    command.args(["serve", "--home"]).arg(home).args(arguments).kill_on_drop(true);
    tokio::time::timeout(PATIENCE, command.output()).await.context("it serves")?.context("no end")
}

#[tokio::test]
async fn a_place_that_cannot_be_served_has_one_line_with_the_way_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let taken = format!("ws://{}", taken.local_addr()?);
    let port = free_port()?;
    let [free, all] = ["127.0.0.1", "0.0.0.0"].map(|ip| format!("ws://{ip}:{port}"));
    let missing = folder.path().join("missing.pem").display().to_string();
    let tls = ["--tls-cert", &missing, "--tls-key", &missing];
    for (arguments, what) in [
        (vec!["--listen", &taken], "another program serves there"),
        (
            vec!["--listen", &free, "--listen", &all, "-c", "listen.plain=true"],
            "of this command has the port",
        ),
        (vec!["--listen", "http://127.0.0.1:1"], "http:// is not supported"),
        (vec!["--listen", "wss://127.0.0.1:0"], "add --tls-cert FILE --tls-key FILE"),
        (vec!["--listen", "ws://no-such-host.invalid:1"], "no address is known for this name"),
        (vec!["--listen", "ws://0.0.0.0:0"], "can be reached from other machines"),
        (vec!["--listen", "ws://192.0.2.1:0", "-c", "listen.plain=true"], "this machine has no such address"),
        (vec!["--listen", "systemd://"], "needs a socket unit"),
        ([vec!["--listen", "wss://127.0.0.1:0"], tls.to_vec()].concat(), "missing.pem cannot be read"),
        (vec!["--port", "1", "--listen", "ws://127.0.0.1:1"], "cannot be used with"),
    ] {
        let done = serve(&folder.path().join("home"), &arguments).await?;
        let said = String::from_utf8(done.stderr)?;
        let code = if what == "cannot be used with" { 2 } else { 1 };
        ensure!(done.status.code() == Some(code), "{arguments:?}: {:?} {said}", done.status);
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(what)).collect();
        ensure!(lines.len() == 1, "{arguments:?}: {said}");
        ensure!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_port_of_the_metrics_that_cannot_be_served_has_one_line_with_its_key() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let taken = format!("metrics.listen=\"{}\"", taken.local_addr()?);
    let token = folder.path().join("token").display().to_string();
    let file = format!("metrics.token_file=\"{token}\"");
    let (open, local) = ("metrics.listen=\"0.0.0.0:0\"", "metrics.listen=\"127.0.0.1:0\"");
    for (settings, text, what) in [
        (vec![taken.as_str()], None, "change metrics.listen in config.toml"),
        (vec![open], None, "add metrics.token_file"),
        (vec![open, &file], Some("0123456789abcdef0123456789abcdef"), "can be reached from other machines"),
        (vec![local, &file], None, "metrics.token_file: the token file"),
        (vec![local, &file], Some("short"), "metrics.token_file: the token in"),
    ] {
        std::fs::remove_file(&token).ok();
        if let Some(text) = text {
            std::fs::write(&token, text)?;
        }
        let mut arguments = vec!["--listen", "ws://127.0.0.1:0"];
        arguments.extend(settings.iter().flat_map(|setting| ["-c", setting]));
        let output = serve(&folder.path().join("home"), &arguments).await?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{settings:?}: {:?} {said}", output.status);
        ensure!(said.lines().filter(|line| line.contains(what)).count() == 1, "{settings:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn the_name_of_a_place_is_a_host_that_is_served() -> Result<()> {
    let Ok(name) = std::fs::read_to_string("/etc/hostname") else { return Ok(()) };
    let name = name.trim().to_ascii_lowercase();
    let found =
        tokio::net::lookup_host((name.as_str(), 0)).await.map(|all| all.map(|address| address.ip()).min());
    let Ok(Some(ip)) = found else {
        eprintln!("SKIPPED: this machine has no address for its own name");
        return Ok(());
    };
    let home = remote(Home::setup()).listen(&format!("ws://{name}:0")).start().await?;
    let port = home.address().rsplit_once(':').context("a port")?.1.parse()?;
    let address = SocketAddr::new(ip, port).to_string();
    for (host, served) in [(name.clone(), 200), (format!("{name}.example.org"), 421)] {
        let (status, answer) = get(&address, "/healthz", &[("Host", &format!("{host}:{port}"))]).await?;
        ensure!(status == served, "{host}: {answer}");
    }
    home.finish().await
}

#[tokio::test]
async fn a_port_alone_is_one_of_this_machine() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let said = serve(&folder.path().join("home"), &["--port", &port]).await?.stderr;
    let said = String::from_utf8(said)?;
    ensure!(said.contains(&format!("cannot listen at ws://127.0.0.1:{port}")), "{said}");
    Ok(())
}

#[tokio::test]
async fn above_a_limit_of_connections_the_answer_says_which_and_a_socket_of_the_user_still_gets_in()
-> Result<()> {
    let setup = Home::setup().set("limits.connections", 3).set("limits.connections_per_credential", 1);
    let home = setup.start().await?;
    let token = home.token("t", "read").await?;
    let of_token = bearer(home.address(), &token).await?;
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
        ("Host", home.address().trim_start_matches("ws://")),
    ];
    let sent = format!("Bearer {token}");
    let second = [&upgrade[..], &[("Authorization", &sent)]].concat();
    let (status, answer) = get(home.address(), "/", &second).await?;
    ensure!(status == 503 && answer.contains("limits.connections_per_credential"), "{answer}");
    let others = [home.client().await?, home.client().await?];
    let (status, answer) = get(home.address(), "/", &upgrade).await?;
    ensure!(status == 503 && answer.contains("(limits.connections)"), "{answer}");
    ensure!(answer.to_ascii_lowercase().contains("retry-after: 5"), "{answer}");
    // `skein status` comes by the control socket.
    home.skein(&["status"]).await?;
    of_token.close().await?;
    let [first, _second] = others;
    first.close().await?;
    // A place is free once the server has seen the end; the client tries again until then.
    bearer(home.address(), &token).await?;
    home.finish().await
}

#[tokio::test]
async fn one_address_of_another_machine_shuts_out_nobody_else() -> Result<()> {
    let home = remote(Home::setup()).listen("ws://0.0.0.0:0").start().await?;
    let port = home.address().rsplit_once(':').context("a port")?.1;
    let address = format!("127.0.0.1:{port}");
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(&address).await?);
    }
    // Sockets are accepted in their order: with this answer, all of the others have been.
    let answer = Request::new("GET", "/healthz").send_from([127, 0, 0, 2], &address).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let mut open = 0;
    for stream in silent {
        // Asks the kernel, and not what the runtime has seen so far.
        let read = stream.into_std()?.read(&mut [0; 1]);
        open += usize::from(read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    }
    ensure!(open == 64, "{open} of one address are open");
    home.finish().await
}
