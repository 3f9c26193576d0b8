//! The table of server requests: every question that the server asks a client, once. Rows only.

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
    /// Asks for the result of a tool that the client brought with `thread/start`. `callId` is the id of the call's item. All
    /// subscribers are asked, the first real answer counts: a client that does not have the tool answers with an error.
    ItemToolCall = "item/tool/call" DynamicToolCallParams => DynamicToolCallResponse;
    /// Asks the user something on behalf of a helper, in the thread whose call it is about. It ends with that call;
    /// `turnId` is there where a turn has called. With `codex_approval_kind` `mcp_tool_call` in `_meta` it asks whether a
    /// tool of that helper may be called: docs/approvals.md.
    McpServerElicitationRequest = "mcpServer/elicitation/request"
        McpServerElicitationRequestParams => McpServerElicitationRequestResponse;
}
