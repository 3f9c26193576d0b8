//! The table of requests that the server sends to clients, each once. Rows only.

use crate::{
    approval::{
        DynamicToolCallParams, DynamicToolCallResponse, McpServerElicitationRequestParams,
        McpServerElicitationRequestResponse, ToolRequestUserInputParams, ToolRequestUserInputResponse,
    },
    table::server_requests,
};

server_requests! {
    /// Asks the user one or more questions on behalf of a turn.
    ItemToolRequestUserInput = "item/tool/requestUserInput"
        ToolRequestUserInputParams => ToolRequestUserInputResponse;
    /// Asks for the result of a tool that the client registered with `thread/start`. `callId` is the id of the call's
    /// item. All subscribers are asked, and the first result counts: a client without the tool answers with an error.
    ItemToolCall = "item/tool/call" DynamicToolCallParams => DynamicToolCallResponse;
    /// Asks the user a question of a helper, in the thread of the call. It ends with that call; `turnId` names the
    /// calling turn, if any. With `codex_approval_kind` `mcp_tool_call` in `_meta` it asks for the approval of a tool
    /// call: docs/approvals.md.
    McpServerElicitationRequest = "mcpServer/elicitation/request"
        McpServerElicitationRequestParams => McpServerElicitationRequestResponse;
}
