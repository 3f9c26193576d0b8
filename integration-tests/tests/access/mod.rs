//! The access of connections at a running server: scopes, credentials that end, tickets, secrets, and answers beside the
//! websocket.

mod answers;
mod chat;
mod ends;
mod methods;
mod read;
mod roots;
mod secrets;
mod signed;
mod tickets;

use serde_json::{Value, json};
use skein_integration_tests::client::Client;
use skein_protocol::access::Access;
use skein_protocol::error::WireError;
use skein_protocol::ids::ThreadId;
use skein_protocol::table::Method;

/// The access of the three kinds of tokens.
const SCOPES: [Access; 3] = [Access::Read, Access::Chat, Access::Admin];

/// The member that a request was refused for: empty for the method itself, `None` if the request is not forbidden.
fn forbidden(refusal: Option<&WireError>, needed: Access) -> Option<String> {
    let error = refusal.filter(|error| error.reason() == "forbidden")?;
    let data = error.data.as_ref()?;
    assert_eq!((error.code, data.scope), (-32_600, Some(needed)), "{error:?}");
    Some(data.field.clone().unwrap_or_default())
}

/// The member that this request is refused for, for want of the access `admin`.
async fn refused<M: Method>(client: &mut Client, params: Value) -> anyhow::Result<Option<String>> {
    let answer = client.call_raw(M::INFO.wire, &params).await?;
    Ok(forbidden(answer.err().as_ref(), Access::Admin))
}

/// Params about a thread.
fn about(thread: ThreadId, members: Value) -> Value {
    let mut params = members;
    params["threadId"] = json!(thread);
    params
}
