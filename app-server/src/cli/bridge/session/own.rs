//! The command line's settings about threads. The server may be another process with other `-c` settings, so the
//! client's requests carry these, unless they name the setting themselves.

use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use skein_app_server::relay::names::RawRequest;
use skein_config::ClientSettings;
use skein_protocol::ids::RequestId;

use super::RequestKind;

/// The remedy for settings without effect.
pub(super) const ADVICE: &str =
    "Write them into config.toml, or give them to the process that serves the home, and start it again.";

/// The process of a link's server.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerOwner {
    /// This process, with the settings of this start.
    #[default]
    Ours,
    /// A process that another program started.
    Theirs,
}

/// The settings of this start.
#[derive(Debug, Default)]
pub(crate) struct StartSettings {
    pub(crate) settings: ClientSettings,
    server: ServerOwner,
    /// The client knows the settings without effect.
    warned: bool,
}

type JsonMembers<'a> = BTreeMap<&'a str, &'a RawValue>;

impl StartSettings {
    pub(crate) fn new(settings: ClientSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    pub(crate) fn linked(&mut self, server: ServerOwner) {
        self.server = server;
    }

    /// The same request with these settings; `None` if it takes none.
    pub(crate) fn carried_by(
        &self,
        kind: &RequestKind,
        id: &RequestId,
        method: &str,
        params: Option<&RawValue>,
    ) -> Option<String> {
        match kind {
            RequestKind::Start => self.start(id, method, params),
            RequestKind::Fork | RequestKind::Resume { .. } => self.come_back(id, method, params),
            RequestKind::Initialize
            | RequestKind::Unsubscribe(_)
            | RequestKind::Unload(_)
            | RequestKind::Leave
            | RequestKind::TurnStart
            | RequestKind::TurnSteer
            | RequestKind::Other => None,
        }
    }

    /// A request to start a thread with these settings added; `None` if the server has the same, or the request is
    /// unreadable.
    fn start(&self, id: &RequestId, method: &str, params: Option<&RawValue>) -> Option<String> {
        if self.server == ServerOwner::Ours {
            return None;
        }
        let mut members = members(params)?;
        let asked = config(&members)?;
        let config = to_raw_value(&self.settings.under(asked.as_ref())).ok()?;
        members.insert("config", &config);
        request(id, method, members)
    }

    /// A request to resume or fork a thread, with the `-c` settings about consent and model added.
    fn come_back(&self, id: &RequestId, method: &str, params: Option<&RawValue>) -> Option<String> {
        let said = &self.settings.overrides;
        let all = [
            ("approvalPolicy", "approval_policy", said.approval_policy.as_ref().map(to_raw_value)),
            ("sandbox", "sandbox_mode", said.sandbox_mode.as_ref().map(to_raw_value)),
            ("model", "model", said.model.as_ref().map(to_raw_value)),
            ("modelProvider", "model_provider", said.model_provider.as_ref().map(to_raw_value)),
        ];
        let mut members = members(params)?;
        let asked = config(&members)?.unwrap_or_default();
        let is_said = |key: &str| asked.get(key).is_some_and(|value| !value.is_null());
        let mut own = Vec::new();
        for (member, key, value) in all {
            if let Some(Ok(value)) = value
                && !is_said(key)
                && members.get(member).is_none_or(|said| said.get() == "null")
            {
                own.push((member, value));
            }
        }
        if own.is_empty() {
            return None;
        }
        members.extend(own.iter().map(|(member, value)| (*member, &**value)));
        request(id, method, members)
    }

    /// A warning about settings without effect, once.
    pub(super) fn warning(&mut self) -> Option<String> {
        let warning = self.no_effect().filter(|_| !self.warned);
        self.warned |= warning.is_some();
        warning
    }

    /// The settings without effect.
    pub(crate) fn no_effect(&self) -> Option<String> {
        let keys = &self.settings.of_server;
        if self.server == ServerOwner::Ours || keys.is_empty() {
            return None;
        }
        let keys: Vec<String> = keys.iter().map(|key| format!("-c {key}")).collect();
        let keys = keys.join(", ");
        Some(format!("{keys}: no effect, as another process serves this home and was started without it"))
    }
}

fn members(params: Option<&RawValue>) -> Option<JsonMembers<'_>> {
    params.map_or(Some(JsonMembers::new()), |params| serde_json::from_str(params.get()).ok())
}

/// The `config` of a request, if any; `None` if it is unreadable.
fn config(members: &JsonMembers<'_>) -> Option<Option<Map<String, Value>>> {
    members.get("config").map_or(Some(None), |config| serde_json::from_str(config.get()).ok())
}

fn request(id: &RequestId, method: &str, params: JsonMembers<'_>) -> Option<String> {
    serde_json::to_string(&RawRequest { id, method, params }).ok()
}
