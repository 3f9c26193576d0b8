//! The table of server requests: every question that the server asks a client, once. Rows only.

use crate::{
    approval::{
        McpServerElicitationRequestParams, McpServerElicitationRequestResponse, ToolRequestUserInputParams,
        ToolRequestUserInputResponse,
    },
    table::server_requests,
};

server_requests! {
    /// Asks the user one or more questions on behalf of a turn.
    ItemToolRequestUserInput = "item/tool/requestUserInput"
        ToolRequestUserInputParams => ToolRequestUserInputResponse;
    /// Asks the user something on behalf of a helper, in the thread whose call it is about. It ends with that call;
    /// `turnId` is there where a turn has called.
    McpServerElicitationRequest = "mcpServer/elicitation/request"
        McpServerElicitationRequestParams => McpServerElicitationRequestResponse;
}
