//! Answers about the paying account: there is none, and each client may use the models.

use std::sync::Arc;

use skein_protocol::account::{
    AccountTokenUsageSummary, BedrockCheckGovCloudRequirementsParams,
    BedrockCheckGovCloudRequirementsResponse, GetAccountParams, GetAccountRateLimitsParams,
    GetAccountRateLimitsResponse, GetAccountResponse, GetAccountTokenUsageParams,
    GetAccountTokenUsageResponse, RateLimitSnapshot,
};
use skein_protocol::error::WireError;

use crate::router::session::ClientSession;

/// `account/read`
pub(crate) fn account(
    _session: &Arc<ClientSession>,
    _params: GetAccountParams,
) -> Result<GetAccountResponse, WireError> {
    Ok(GetAccountResponse {
        account: None,
        requires_openai_auth: false,
        user_id: None,
        workspace_routing: None,
    })
}

/// `account/rateLimits/read`
pub(crate) fn rate_limits(
    _session: &Arc<ClientSession>,
    _params: GetAccountRateLimitsParams,
) -> Result<GetAccountRateLimitsResponse, WireError> {
    Ok(GetAccountRateLimitsResponse {
        account_id: None,
        ordinary_usage_allowed: None,
        rate_limit_reset_credits: None,
        rate_limit_upsell: serde_json::Value::Null,
        rate_limits: RateLimitSnapshot::default(),
        rate_limits_by_limit_id: None,
    })
}

/// `account/usage/read`
pub(crate) fn usage(
    _session: &Arc<ClientSession>,
    _params: GetAccountTokenUsageParams,
) -> Result<GetAccountTokenUsageResponse, WireError> {
    let summary = AccountTokenUsageSummary::default();
    Ok(GetAccountTokenUsageResponse { daily_usage_buckets: None, summary, thread_usage: None })
}

/// `account/bedrock/checkGovCloudRequirements`
pub(crate) fn gov_cloud(
    _session: &Arc<ClientSession>,
    _params: BedrockCheckGovCloudRequirementsParams,
) -> Result<BedrockCheckGovCloudRequirementsResponse, WireError> {
    Ok(BedrockCheckGovCloudRequirementsResponse { is_gov_cloud: false, should_warn: false })
}
