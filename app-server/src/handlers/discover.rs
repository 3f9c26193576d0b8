//! `rpc.discover`: describes the protocol for programs.

use std::sync::{Arc, LazyLock};

use serde_json::value::RawValue;
use skein_protocol::error::WireError;
use skein_protocol::export;
use skein_protocol::extension::{RpcDiscoverParams, RpcDiscoverResponse};

use crate::router::session::ClientSession;

/// The document, rendered on first use.
static DOCUMENT: LazyLock<Result<Box<RawValue>, String>> =
    LazyLock::new(|| serde_json::value::to_raw_value(&export::openrpc()).map_err(|error| error.to_string()));

/// `rpc.discover`
pub(crate) fn discover(
    _session: &Arc<ClientSession>,
    _params: RpcDiscoverParams,
) -> Result<RpcDiscoverResponse, WireError> {
    match &*DOCUMENT {
        Ok(document) => Ok(RpcDiscoverResponse(document.clone())),
        Err(error) => {
            let text =
                format!("the description of the protocol cannot be printed ({error}); METHODS.md has it");
            Err(WireError::internal("noDocument", text))
        }
    }
}
