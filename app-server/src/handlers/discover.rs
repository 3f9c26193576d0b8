//! `rpc.discover`: describes the protocol for programs.

use std::sync::{Arc, LazyLock};

use serde_json::value::RawValue;
use skein_protocol::error::WireError;
use skein_protocol::export::OPENRPC;
use skein_protocol::extension::{RpcDiscoverParams, RpcDiscoverResponse};

use crate::router::session::ClientSession;

/// The generated document on one line, made on first use. No text of JSON has a line break in it.
static DOCUMENT: LazyLock<Result<Box<RawValue>, String>> = LazyLock::new(|| {
    let line = OPENRPC.lines().map(str::trim_start).collect();
    RawValue::from_string(line).map_err(|error| error.to_string())
});

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

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use skein_protocol::export::openrpc;

    use super::*;

    #[test]
    fn the_document_is_the_generated_one_on_one_line() {
        let document = DOCUMENT.as_ref().unwrap().get();
        assert!(!document.contains('\n'));
        assert_eq!(
            serde_json::from_str::<Value>(document).unwrap(),
            serde_json::to_value(openrpc()).unwrap()
        );
    }
}
