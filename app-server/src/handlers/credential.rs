//! `skein/credential/…`: the sessions and tokens of the server. No answer and no request has a secret.

use std::sync::Arc;

use skein_base::clock::WallMs;
use skein_config::access::{CredentialError, Credentials, NewToken};
use skein_protocol::error::WireError;
use skein_protocol::extension::{
    CredentialDetail, SkeinCredentialAddParams, SkeinCredentialAddResponse, SkeinCredentialListParams,
    SkeinCredentialListResponse, SkeinCredentialRevokeParams, SkeinCredentialRevokeResponse,
};

use crate::router::session::ClientSession;

/// `skein/credential/list`
pub(crate) async fn list(
    session: Arc<ClientSession>,
    _params: SkeinCredentialListParams,
) -> Result<SkeinCredentialListResponse, WireError> {
    session.app.credentials.refresh().await;
    Ok(SkeinCredentialListResponse { data: session.app.credentials.list() })
}

/// `skein/credential/add`
pub(crate) async fn add(
    session: Arc<ClientSession>,
    params: SkeinCredentialAddParams,
) -> Result<SkeinCredentialAddResponse, WireError> {
    let SkeinCredentialAddParams { name, sha256, origin, scope, expires_at } = params;
    let expires_at = expires_at.map(|seconds| WallMs(seconds.saturating_mul(1000)));
    let token = NewToken { name, sha256, origin, scope, expires_at };
    let credential =
        change(&session, |credentials| async move { credentials.add_token(token).await }).await?;
    tracing::info!(id = credential.id, name = credential.name, scope = %credential.scope, "a token was added");
    Ok(SkeinCredentialAddResponse { credential })
}

/// `skein/credential/revoke`
pub(crate) async fn revoke(
    session: Arc<ClientSession>,
    params: SkeinCredentialRevokeParams,
) -> Result<SkeinCredentialRevokeResponse, WireError> {
    let credential =
        change(&session, |credentials| async move { credentials.revoke(&params.id).await }).await?;
    tracing::info!(id = credential.id, kind = ?credential.kind, "a credential was revoked");
    Ok(SkeinCredentialRevokeResponse { credential })
}

/// Makes a change in a task of its own, which a client that goes away does not break off.
async fn change<F>(
    session: &ClientSession,
    work: impl FnOnce(Arc<Credentials>) -> F,
) -> Result<CredentialDetail, WireError>
where
    F: Future<Output = Result<CredentialDetail, CredentialError>> + Send + 'static,
{
    match session.app.tasks.spawn("credentials", work(Arc::clone(&session.app.credentials))).await {
        Ok(done) => done.map_err(|error| error.to_wire()),
        // The tracker has logged it.
        Err(_) => Err(WireError::internal("credentialsUnwritten", "writing the credentials broke off")),
    }
}
