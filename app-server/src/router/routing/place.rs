//! Finds a server with the folder of a thread that nobody has loaded.

use std::sync::Arc;

use serde::Deserialize;
use skein_protocol::access::Access;
use skein_protocol::envelope::{self, Incoming};
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::ThreadStart;
use skein_protocol::table::Method;

use super::super::errors::RequestNames;
use super::super::session::ClientSession;
use super::super::{Route, Router, limits};
use super::{ReadRequest, Routing, ThreadWay, UnroutedRequest};
use crate::relay::asked::RequestKind;

/// A request that loads a thread.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(in crate::router) struct LoadRequest {
    /// The folder that it names; without one, that of a thread that exists, or the server's.
    cwd: Option<String>,
    /// Whether the thread ends with its last subscriber.
    #[serde(default)]
    ephemeral: Option<bool>,
    /// Whether it makes the thread: then nobody has it.
    #[serde(skip)]
    is_start: bool,
    /// Whether it makes a copy: whoever has the thread keeps it.
    #[serde(skip)]
    is_copy: bool,
}

impl LoadRequest {
    /// Reads it. `None` if the request loads no thread.
    pub(super) fn read(text: &str) -> Option<Self> {
        let Ok(Incoming::Request { method, params, .. }) = envelope::parse(text) else { return None };
        let read = |is_start, is_copy| Some(Self { is_start, is_copy, ..envelope::params(params).ok()? });
        match RequestKind::of(&method, params) {
            RequestKind::Start => read(true, false),
            RequestKind::Fork => read(false, true),
            RequestKind::Resume { observes: false, .. } => read(false, false),
            RequestKind::Resume { observes: true, .. }
            | RequestKind::Initialize
            | RequestKind::Unsubscribe(_)
            | RequestKind::Unload(_)
            | RequestKind::Leave
            | RequestKind::TurnStart
            | RequestKind::TurnSteer
            | RequestKind::Other => None,
        }
    }

    /// Whether it makes the thread.
    pub(super) fn is_start(&self) -> bool {
        self.is_start
    }
}

/// The id under which a new thread waits for its way, if there are other servers.
pub(super) fn new_thread(
    session: &ClientSession,
    route: &Route,
    request: &ReadRequest<'_>,
) -> Option<ThreadId> {
    let links = session.app.links.as_ref()?;
    let named: LoadRequest = match route.name == ThreadStart::INFO.wire && links.has_peers() {
        true => envelope::params(request.params).ok()?,
        false => return None,
    };
    (named.ephemeral != Some(true)).then(|| ThreadId::new(session.app.clock.new_id()))
}

impl Router {
    /// The way of a request that would load a thread here: to another server, if that one has the thread's folder and this one has not.
    pub(in crate::router) async fn to_folder(
        self: &Arc<Self>,
        session: &Arc<ClientSession>,
        routing: &Routing,
        thread: ThreadId,
        load: LoadRequest,
    ) -> ThreadWay {
        // A client that may only read loads nothing.
        let may_load = session.access() >= Access::Chat && session.app.registry.handle(thread).is_none();
        // An ephemeral one would end with a link.
        if !may_load || load.ephemeral == Some(true) || !routing.links.has_peers() {
            return ThreadWay::Here;
        }
        let folder = match load.cwd {
            Some(named) if limits::may_name(session, &named).await => named,
            // The handler refuses it.
            Some(_) => return ThreadWay::Here,
            // The directory of the server itself.
            None if load.is_start => String::new(),
            None => match session.app.index.get(thread).await {
                Ok(Some((row, _))) => row.cwd,
                // The load says what is wrong.
                Ok(None) | Err(_) => return ThreadWay::Here,
            },
        };
        let servers = routing.links.servers_with(&session.app.context, &session.folder_looks, &folder).await;
        let makes_one = load.is_start || load.is_copy;
        if servers.is_empty() || !makes_one && !routing.links.is_free(thread).await {
            return ThreadWay::Here;
        }
        for server in servers {
            let now = session.app.clock.now();
            if let Some(link) = routing.link(self, session, &server, now).await {
                tracing::info!(%thread, folder, name = server.name, "a thread is loaded where its folder is");
                return ThreadWay::To(link);
            }
        }
        ThreadWay::Here
    }

    /// Makes a copy of a thread whose server stops, here or where its folder is.
    pub(in crate::router) fn copy(self: &Arc<Self>, session: &Arc<ClientSession>, request: UnroutedRequest) {
        let (router, client, ended) = (Arc::clone(self), Arc::clone(session), session.ended.clone());
        let copy = async move {
            let (Some(routing), Some(load)) = (&client.routing, LoadRequest::read(&request.text)) else {
                return;
            };
            let Ok(Incoming::Request { params, .. }) = envelope::parse(&request.text) else { return };
            let Some(thread) = RequestNames::of(params).thread_id else { return };
            let way = router.to_folder(&client, routing, thread, load).await;
            router.go(&client, routing, (thread, way), request).await;
        };
        let copy = async move {
            ended.run_until_cancelled(copy).await;
        };
        session.app.tasks.spawn("copy of a thread of a server that stops", copy);
    }
}

#[cfg(test)]
mod tests {
    use skein_protocol::methods::{ThreadFork, ThreadRead, ThreadResume};

    use super::*;

    fn read<M: Method>(params: &str) -> Option<LoadRequest> {
        LoadRequest::read(&format!(r#"{{"id": 1, "method": "{}", "params": {params}}}"#, M::INFO.wire))
    }

    #[test]
    fn starts_forks_and_resumes_load_a_thread_and_may_name_its_folder() {
        let id = r#""threadId": "00000000-0000-0000-0000-000000000001""#;
        let load = |cwd: Option<&str>, is_start| {
            Some(LoadRequest { cwd: cwd.map(str::to_owned), ephemeral: None, is_start, is_copy: false })
        };
        let copy = LoadRequest { is_copy: true, ..load(Some("/p"), false).unwrap() };
        assert_eq!(read::<ThreadStart>(r#"{"cwd": "/p"}"#), load(Some("/p"), true));
        assert_eq!(read::<ThreadStart>("{}"), load(None, true));
        assert_eq!(read::<ThreadFork>(&format!(r#"{{{id}, "cwd": "/p"}}"#)), Some(copy));
        assert_eq!(read::<ThreadResume>(&format!("{{{id}}}")), load(None, false));
        assert_eq!(read::<ThreadResume>(&format!(r#"{{{id}, "skein": {{"observe": true}}}}"#)), None);
        assert_eq!(read::<ThreadRead>(&format!("{{{id}}}")), None);
    }
}
