//! The places of a running server: opened, published and served.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router as HttpRouter;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use skein_base::descriptors;
use skein_base::tasks::BlockingPool;
use skein_config::ServerConfig;
use skein_store::home::named_socket::NamedSocket;
use skein_store::home::{Home, STDIO, UNIX};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::http::{
    self, Accept, Acceptor, Control, Doors, HasRoom, LinkDoor, ScrapeDoor, TlsKeys, Visitor, WebState,
};
use crate::server::StartError;

/// The places of a server that does not serve yet: its ports, its unix sockets and its control socket.
pub(super) struct OpenPlaces {
    doors: Doors,
    scrapes: Option<ScrapeDoor>,
    control: Option<Control>,
}

/// The parts of its places that a serving server keeps.
pub(super) struct ServedPlaces {
    /// Leads other unix sockets of this process to the control socket.
    pub(super) entrance: Option<mpsc::Sender<UnixStream>>,
    /// The key of ports with TLS.
    keys: Option<Arc<TlsKeys>>,
    /// The files of unix sockets, until the server stops.
    files: Mutex<Vec<NamedSocket>>,
}

impl OpenPlaces {
    /// Opens the places of the settings, and publishes them to other processes.
    ///
    /// # Errors
    /// A place is not available, or there is none.
    pub(super) async fn open(home: &Home, services: &App) -> Result<Self, StartError> {
        let config = services.config();
        let doors = Doors::open(&config, home.paths(), &services.tasks, services.clock.wall()).await?;
        let scrapes = ScrapeDoor::open(&config, &doors, &services.tasks).await?;
        let urls = services.served_at.addresses.get_or_init(|| doors.urls());
        let control = control(home, services);
        if urls.is_empty() && control.is_none() {
            return Err(StartError::Unreachable);
        }
        home.publish(published(&config, urls, services.served_at.control.get()))?;
        Ok(Self { doors, scrapes, control })
    }

    /// Serves them until `accept` is cancelled.
    pub(super) fn serve(
        self,
        web: &Arc<WebState>,
        accept: &CancellationToken,
        (links, stop_links): (Option<LinkDoor>, &CancellationToken),
    ) -> ServedPlaces {
        let tasks = &web.services.tasks;
        let entrance = self.control.as_ref().map(Control::entrance);
        for door in self.doors.tcp {
            tasks.spawn("accept", serve(door, web, http::routes(Arc::clone(web)), accept));
        }
        if let Some(links) = links {
            tasks.spawn("accept links", serve(links, web, LinkDoor::routes(web), stop_links));
        }
        if let Some(scrapes) = self.scrapes {
            let routes = scrapes.routes(web);
            tasks.spawn("accept metrics", serve(scrapes.door, web, routes, accept));
        }
        if let Some(control) = self.control {
            tasks.spawn("accept control", serve(control, web, http::routes(Arc::clone(web)), accept));
        }
        let mut files = Vec::new();
        for door in self.doors.unix {
            let control = Control::at(door.listener, Arc::clone(&web.services.refusals));
            tasks.spawn("accept unix", serve(control, web, http::routes(Arc::clone(web)), accept));
            files.extend(door.file);
        }
        ServedPlaces { entrance, keys: self.doors.keys, files: Mutex::new(files) }
    }
}

impl ServedPlaces {
    /// Reads the certificate again. The log has the outcome.
    pub(super) async fn reload(&self, services: &App) {
        let Some(keys) = self.keys.clone() else { return };
        let now = services.clock.wall();
        let read = services.tasks.blocking("tls", BlockingPool::Inputs, move || keys.reload(now)).await;
        match read {
            Ok(Ok(())) => tracing::info!("the certificate was read again"),
            Ok(Err(error)) => tracing::error!(%error, "the certificate before stays in use"),
            // The tracker has logged it.
            Err(_) => {}
        }
    }

    /// Removes the files of unix sockets, at which nobody is served any more.
    pub(super) fn remove_files(&self) {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The control socket. A server is useful without it, on a file system without sockets.
fn control(home: &Home, services: &App) -> Option<Control> {
    Control::listen(home.paths(), Arc::clone(&services.refusals))
        .inspect(|_| {
            services.served_at.control.get_or_init(|| home.paths().control_socket());
        })
        .inspect_err(|error| {
            let path = home.paths().control_socket();
            let path = path.display();
            tracing::warn!(%path, %error, "no control socket; programs of this machine use the websocket");
        })
        .ok()
}

/// The addresses for `server.json`: ports, or standard streams without any place to listen at; then the sockets, the control
/// socket first, as programs of this machine take the first one.
fn published(config: &ServerConfig, urls: &[String], control: Option<&PathBuf>) -> Vec<String> {
    let stdio = config.listen.is_empty().then(|| STDIO.to_owned());
    let (unix, tcp): (Vec<&String>, Vec<&String>) = urls.iter().partition(|url| url.starts_with(UNIX));
    let control = control.map(|path| format!("{UNIX}{}", path.display()));
    let public = config.public_url.as_ref().map(|url| url.origin().to_string());
    let first = stdio.into_iter().chain(tcp.into_iter().cloned());
    first.chain(control).chain(unix.into_iter().cloned()).chain(public).collect()
}

/// Whether a connection may take a descriptor. If few are left, idle threads are unloaded.
fn room(services: &Arc<App>) -> HasRoom {
    let services = Arc::clone(services);
    Arc::new(move || {
        let has_room = descriptors::have_room_for(1);
        if !has_room {
            services.pressure.look();
        }
        has_room
    })
}

/// Serves these routes to all who come there, until `accept` is cancelled.
fn serve<A: Accept>(
    listener: A,
    web: &WebState,
    routes: IntoMakeServiceWithConnectInfo<HttpRouter, Visitor>,
    accept: &CancellationToken,
) -> impl Future<Output = ()> + Send + use<A> {
    let door = Acceptor::new(listener, room(&web.services));
    let serving = axum::serve(door, routes).with_graceful_shutdown(accept.clone().cancelled_owned());
    async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "accepting connections has failed");
        }
    }
}
