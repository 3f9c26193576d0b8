//! The offers of a helper: its tools, its resources and their contents.

use rmcp::model::{
    ClientRequest, ListResourceTemplatesRequest, ListResourcesRequest, ListToolsRequest,
    PaginatedRequestParams, ReadResourceRequestParams,
};
use rmcp::service::ServiceError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use skein_protocol::helper::{McpResourceReadResponse, Resource, ResourceTemplate, Tool};
use tokio_util::sync::CancellationToken;

use crate::mcp::http::request_error;
use crate::mcp::rounds::{HelperAnswer, Request};
use crate::mcp::{CallError, McpCaller, Session, reread};
use crate::policy;

/// All that a helper lists.
#[derive(Debug, Default)]
pub(crate) struct Offers {
    pub(crate) tools: Vec<Tool>,
    pub(crate) resources: Vec<Resource>,
    /// Its patterns of resources.
    pub(crate) templates: Vec<ResourceTemplate>,
}

impl Session {
    /// All that it lists, anew. A list is asked for only if the helper declares it. Resources that cannot be listed are left
    /// out: tools are what it is needed for.
    ///
    /// # Errors
    /// The error of the listing, for the user.
    pub(crate) async fn offers(&self) -> Result<Offers, String> {
        let tools = self.tools().await?;
        let (mut resources, mut templates) = (Vec::new(), Vec::new());
        if self.has_resources() {
            let list = |params| ClientRequest::ListResourcesRequest(ListResourcesRequest::with_param(params));
            resources = self.list_or_none("resources", list).await;
            let list = |params| {
                ClientRequest::ListResourceTemplatesRequest(ListResourceTemplatesRequest::with_param(params))
            };
            templates = self.list_or_none("resourceTemplates", list).await;
        }
        Ok(Offers { tools, resources, templates })
    }

    /// Whether it says that it has resources.
    pub(crate) fn has_resources(&self) -> bool {
        self.declares("resources")
    }

    fn declares(&self, capability: &str) -> bool {
        self.capabilities.as_ref().is_some_and(|offered| offered.get(capability).is_some())
    }

    /// All tools, from all pages; none of a helper that does not declare the capability.
    ///
    /// # Errors
    /// The reason, for the user.
    pub(crate) async fn tools(&self) -> Result<Vec<Tool>, String> {
        if !self.declares("tools") {
            return Ok(Vec::new());
        }
        self.list("tools", |params| ClientRequest::ListToolsRequest(ListToolsRequest::with_param(params)))
            .await
    }

    /// Reads a resource. Takes as long as the helper does; ends at once with `cancel` or when the line
    /// closes.
    pub(crate) async fn read_resource(
        &self,
        uri: String,
        meta: Option<Map<String, Value>>,
        caller: Option<McpCaller>,
        cancel: &CancellationToken,
    ) -> Result<McpResourceReadResponse, CallError> {
        match self.ask(Request::Read(ReadResourceRequestParams::new(uri)), meta, caller, cancel).await? {
            HelperAnswer::Result(result) => Ok(result),
            // Only the call of a turn ends so.
            HelperAnswer::Wants(_) => Err(CallError::strange()),
        }
    }

    /// Why an answer did not come.
    fn why(&self) -> String {
        match &self.trouble {
            Some(trouble) if !self.line.closed.is_cancelled() => trouble.why(),
            Some(_) | None => self.line.why(),
        }
    }

    async fn list_or_none<T: DeserializeOwned>(
        &self,
        what: &'static str,
        request: impl Fn(PaginatedRequestParams) -> ClientRequest,
    ) -> Vec<T> {
        self.list(what, request).await.unwrap_or_else(|why| {
            tracing::info!(what, why, "a helper does not list what it offers");
            Vec::new()
        })
    }

    /// All entries of a list, from all pages.
    async fn list<T: DeserializeOwned>(
        &self,
        what: &'static str,
        request: impl Fn(PaginatedRequestParams) -> ClientRequest,
    ) -> Result<Vec<T>, String> {
        let mut all: Vec<T> = Vec::new();
        let (mut cursor, mut bytes) = (None, 0);
        for _ in 0..policy::HELPER_MOST_PAGES {
            let handle = self.send(request(PaginatedRequestParams::default().with_cursor(cursor))).await;
            let answer = match handle.map_err(|_| self.line.why())?.await_response().await {
                Ok(answer) => answer,
                Err(ServiceError::McpError(error)) => {
                    return Err(format!("its list of {what} failed: {}", error.message));
                }
                Err(ServiceError::TransportSend(error)) => {
                    return Err(request_error(&error).unwrap_or_else(|| self.line.why()));
                }
                Err(_) => return Err(self.why()),
            };
            let mut page: Map<String, Value> = reread(&answer).unwrap_or_default();
            bytes += serde_json::to_string(&page).map_or(0, |page| page.len());
            if bytes > policy::HELPER_LIST_BYTES {
                return Err(format!("its list of {what} has more than {} bytes", policy::HELPER_LIST_BYTES));
            }
            let entries =
                page.remove(what).and_then(|entries| serde_json::from_value::<Vec<T>>(entries).ok());
            all.extend(entries.ok_or_else(|| format!("its list of {what} cannot be read"))?);
            if all.len() > policy::HELPER_MOST_TOOLS {
                return Err(format!("it lists more than {} {what}", policy::HELPER_MOST_TOOLS));
            }
            match page.get("nextCursor").and_then(Value::as_str).filter(|cursor| !cursor.is_empty()) {
                Some(next) => cursor = Some(next.to_owned()),
                None => return Ok(all),
            }
        }
        Err(format!("its list of {what} has more than {} pages", policy::HELPER_MOST_PAGES))
    }
}
