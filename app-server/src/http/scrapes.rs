//! The port for readers of the metrics (`[metrics] listen`), which serves nothing else.

use std::io;
use std::sync::Arc;

use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::routing::get;
use axum::{Router as HttpRouter, middleware};
use skein_base::tasks::{BlockingPool, Tasks};
use skein_config::access::{Digest, read_token_file, warn_if_open_to_others};
use skein_config::{MetricsRules, ServerConfig};

use super::acceptor::{Visitor, note_request};
use super::access::{self, ReaderRules, RefusalReason};
use super::doors::{Doors, ListenError, TcpDoor};
use super::routes::{WebState, numbers};

/// The open port.
pub(crate) struct ScrapeDoor {
    pub(crate) door: TcpDoor,
    /// The token that its readers send.
    token: Option<Digest>,
}

impl ScrapeDoor {
    /// Opens it, if the settings have one. At an address of other machines it speaks TLS where the server has a certificate.
    ///
    /// # Errors
    /// The address or the token is not available.
    pub(crate) async fn open(
        config: &ServerConfig,
        doors: &Doors,
        tasks: &Tasks,
    ) -> Result<Option<Self>, ListenError> {
        let MetricsRules { listen: Some(address), token_file } = config.metrics.clone() else {
            return Ok(None);
        };
        let token = match token_file {
            None => None,
            Some(path) => {
                let at = path.display().to_string();
                let read = tasks
                    .blocking("metrics token", BlockingPool::Inputs, move || {
                        warn_if_open_to_others(&path, "the token of the metrics", ", and write another one");
                        read_token_file(&path)
                    })
                    .await;
                let panicked = |error| ListenError::Io { at, source: io::Error::other(error) };
                Some(read.map_err(panicked)??)
            }
        };
        Ok(Some(Self { door: doors.beside(address, config)?, token }))
    }

    /// Its routes.
    pub(crate) fn routes(&self, web: &Arc<WebState>) -> IntoMakeServiceWithConnectInfo<HttpRouter, Visitor> {
        let rules = Arc::new(ReaderRules { web: Arc::clone(web), token: self.token });
        HttpRouter::new()
            .route("/metrics", get(numbers))
            .fallback(async || RefusalReason::NotFound.refusal("this port has /metrics only"))
            .layer(middleware::from_fn_with_state(rules, access::guard_reader))
            .layer(middleware::from_fn_with_state(web.services.tasks.clone(), note_request))
            .with_state(Arc::clone(web))
            .into_make_service_with_connect_info::<Visitor>()
    }
}
