//! The table of methods: every request that a client can make, once. Rows only.

use crate::{
    account::{
        BedrockCheckGovCloudRequirementsParams, BedrockCheckGovCloudRequirementsResponse, GetAccountParams,
        GetAccountRateLimitsParams, GetAccountRateLimitsResponse, GetAccountResponse,
        GetAccountTokenUsageParams, GetAccountTokenUsageResponse,
    },
    catalogue::{
        CollaborationModeListParams, CollaborationModeListResponse, ExperimentalFeatureListParams,
        ExperimentalFeatureListResponse, HooksListParams, HooksListResponse,
        ModelProviderCapabilitiesReadParams, ModelProviderCapabilitiesReadResponse, ModelProviderListParams,
        ModelProviderListResponse, PermissionProfileListParams, PermissionProfileListResponse,
        SkillsListParams, SkillsListResponse,
    },
    config::{
        ConfigBatchWriteParams, ConfigMcpServerReloadParams, ConfigReadParams, ConfigReadResponse,
        ConfigRequirementsReadParams, ConfigRequirementsReadResponse, ConfigValueWriteParams,
        ConfigWriteResponse, McpServerRefreshResponse,
    },
    extension::{
        RpcDiscoverParams, RpcDiscoverResponse, SkeinCatalogResumeParams, SkeinCatalogResumeResponse,
        SkeinConnectionLeaveParams, SkeinConnectionLeaveResponse, SkeinHelpersListParams,
        SkeinHelpersListResponse, SkeinQuiesceParams, SkeinQuiesceResponse, SkeinStatusParams,
        SkeinStatusResponse, SkeinThreadUnloadParams, SkeinThreadUnloadResponse,
    },
    feedback::{FeedbackUploadParams, FeedbackUploadResponse},
    helper::{
        ListMcpServerStatusParams, ListMcpServerStatusResponse, McpResourceReadParams,
        McpResourceReadResponse, McpServerToolCallParams, McpServerToolCallResponse,
    },
    server::{
        InitializeParams, InitializeResponse, InitializedParams, ModelListParams, ModelListResponse,
        ServerDiagnosticsParams, ServerDiagnosticsResponse,
    },
    table::{client_notifications, methods},
    thread::{
        ThreadArchiveParams, ThreadArchiveResponse, ThreadCompactStartParams, ThreadCompactStartResponse,
        ThreadDeleteParams, ThreadDeleteResponse, ThreadForkParams, ThreadForkResponse,
        ThreadGoalClearParams, ThreadGoalClearResponse, ThreadGoalGetParams, ThreadGoalGetResponse,
        ThreadGoalSetParams, ThreadGoalSetResponse, ThreadInjectItemsParams, ThreadInjectItemsResponse,
        ThreadItemsListParams, ThreadItemsListResponse, ThreadListParams, ThreadListResponse,
        ThreadLoadedListParams, ThreadLoadedListResponse, ThreadMetadataUpdateParams,
        ThreadMetadataUpdateResponse, ThreadReadParams, ThreadReadResponse, ThreadReadStateUpdateParams,
        ThreadReadStateUpdateResponse, ThreadResumeParams, ThreadResumeResponse, ThreadRevertParams,
        ThreadRevertResponse, ThreadRollbackParams, ThreadSearchOccurrencesParams,
        ThreadSearchOccurrencesResponse, ThreadSearchParams, ThreadSearchResponse, ThreadSetNameParams,
        ThreadSetNameResponse, ThreadSettingsUpdateParams, ThreadSettingsUpdateResponse, ThreadStartParams,
        ThreadStartResponse, ThreadTurnsListParams, ThreadTurnsListResponse, ThreadUnarchiveParams,
        ThreadUnarchiveResponse, ThreadUnsubscribeParams, ThreadUnsubscribeResponse,
    },
    turn::{
        TurnInterruptParams, TurnInterruptResponse, TurnStartParams, TurnStartResponse, TurnSteerParams,
        TurnSteerResponse,
    },
};

methods! {
    /// Opens the conversation between client and server. It is the first request of a connection, and made once.
    Initialize = "initialize" [Inline, Stable] InitializeParams => InitializeResponse;
    /// Makes a new thread and subscribes the connection to it. The thread is on disk from its first user message on;
    /// an ephemeral one is never on disk and never listed.
    ThreadStart = "thread/start" [Thread, Stable] ThreadStartParams => ThreadStartResponse;
    /// Loads a thread if it is not loaded, and subscribes the connection to it. The settings that it names hold if it loads
    /// the thread; a loaded thread keeps its own, and the answer has those in force. Behind the answer the connection hears
    /// what the thread has used (`thread/tokenUsage/updated`) and its goal (`thread/goal/updated` or `thread/goal/cleared`).
    ThreadResume = "thread/resume" [Thread, Stable] ThreadResumeParams => ThreadResumeResponse;
    /// Ends the connection's subscription. A thread that nobody is subscribed to is unloaded and its helpers end.
    ThreadUnsubscribe = "thread/unsubscribe" [Inline, Stable] ThreadUnsubscribeParams => ThreadUnsubscribeResponse;
    /// Ids of the threads in memory. Never waits for a thread.
    ThreadLoadedList = "thread/loaded/list" [Inline, Stable] ThreadLoadedListParams => ThreadLoadedListResponse;
    /// A page of the threads on disk, newest first unless asked otherwise, without their turns.
    ThreadList = "thread/list" [Store, Stable] ThreadListParams => ThreadListResponse;
    /// Threads with a text in their name or in a message of the user or the agent; upper and lower case are the same.
    /// A page is answered within a bounded time with what was found by then: it can be empty and have a next one.
    ThreadSearch = "thread/search" [Store, Experimental] ThreadSearchParams => ThreadSearchResponse;
    /// Every place of a text in the messages of one thread, without loading it.
    ThreadSearchOccurrences = "thread/searchOccurrences" [Store, Experimental]
        ThreadSearchOccurrencesParams => ThreadSearchOccurrencesResponse;
    /// A thread from disk, with its turns when asked, without loading it.
    ThreadRead = "thread/read" [Store, Stable] ThreadReadParams => ThreadReadResponse;
    /// A page of a thread's turns, newest first unless asked otherwise, without loading it.
    ThreadTurnsList = "thread/turns/list" [Store, Stable] ThreadTurnsListParams => ThreadTurnsListResponse;
    /// A page of a thread's items, oldest first unless asked otherwise, without loading it. Items in progress are
    /// there with their text so far; pages that are reached from a cursor of `thread/resume` leave them out, as events
    /// tell them.
    ThreadItemsList = "thread/items/list" [Store, Stable] ThreadItemsListParams => ThreadItemsListResponse;
    /// Names a thread, loaded or not.
    ThreadNameSet = "thread/name/set" [Thread, Stable] ThreadSetNameParams => ThreadSetNameResponse;
    /// Changes what a thread says of its repository, loaded or not. A member that is null is taken away, one that is
    /// missing stays.
    ThreadMetadataUpdate = "thread/metadata/update" [Thread, Stable]
        ThreadMetadataUpdateParams => ThreadMetadataUpdateResponse;
    /// Changes what a thread works with, loaded or not, from its next turn on. A member that is missing stays.
    ThreadSettingsUpdate = "thread/settings/update" [Thread, Experimental]
        ThreadSettingsUpdateParams => ThreadSettingsUpdateResponse;
    /// Marks a thread as read, or as unread from its last turn on, loaded or not. `expectedRevision` is that of the state
    /// that the user has seen; where it is another one now, the error says so and nothing changes.
    ThreadReadStateUpdate = "thread/readState/update" [Thread, Experimental]
        ThreadReadStateUpdateParams => ThreadReadStateUpdateResponse;
    /// Sets what a thread is to reach, or changes it, loaded or not: with another `objective` a new count begins. Skein
    /// keeps the goal and counts the tokens and the time of turns that end while it is active; above `tokenBudget` it
    /// becomes `budgetLimited`. No turn begins by itself, and none is kept from beginning.
    ThreadGoalSet = "thread/goal/set" [Thread, Stable] ThreadGoalSetParams => ThreadGoalSetResponse;
    /// What a thread is to reach, if anything, without loading it.
    ThreadGoalGet = "thread/goal/get" [Store, Stable] ThreadGoalGetParams => ThreadGoalGetResponse;
    /// Takes a thread's goal away, loaded or not.
    ThreadGoalClear = "thread/goal/clear" [Thread, Stable] ThreadGoalClearParams => ThreadGoalClearResponse;
    /// Takes back a turn and all after it, loaded or not; files stay as they are. Refused while a turn runs. The history
    /// has a new epoch then.
    ThreadRevert = "thread/revert" [Thread, Stable] ThreadRevertParams => ThreadRevertResponse;
    /// Takes back the newest turns: `thread/revert` for clients of earlier versions of Codex, who count turns. The
    /// answer has the turns that stay, the newest that fit.
    ThreadRollback = "thread/rollback" [Thread, Stable] ThreadRollbackParams => ThreadRevertResponse;
    /// Makes a thread with the history of another one, up to a turn where one is named, and subscribes the connection
    /// to it. The other one is not disturbed, whatever it does. A turn that runs there is interrupted in the copy,
    /// of which nothing is unread. Behind the answer the connection hears what the history has used.
    ThreadFork = "thread/fork" [Thread, Stable] ThreadForkParams => ThreadForkResponse;
    /// Adds items to what the model sees of a thread's history, in the words of its interface, loaded or not. No turn
    /// begins, and no client is told.
    ThreadInjectItems = "thread/inject_items" [Thread, Stable]
        ThreadInjectItemsParams => ThreadInjectItemsResponse;
    /// Begins a turn in which the model replaces what was said by a summary; later turns are told the summary. The history
    /// keeps everything. While a turn runs, it waits for that turn's end.
    ThreadCompactStart = "thread/compact/start" [Thread, Stable]
        ThreadCompactStartParams => ThreadCompactStartResponse;
    /// Puts a thread aside: its turn is interrupted, it is unloaded with its helpers, its subscriptions end, and only the
    /// archived list shows it. It can still be read and resumed, and stays archived then.
    ThreadArchive = "thread/archive" [Thread, Stable] ThreadArchiveParams => ThreadArchiveResponse;
    /// Brings an archived thread back into the ordinary list. It is unloaded for that; its subscribers stay.
    ThreadUnarchive = "thread/unarchive" [Thread, Stable] ThreadUnarchiveParams => ThreadUnarchiveResponse;
    /// Deletes a thread, whatever it does and whoever listens. Its file stays in the home's `trash` for a while
    /// (`trash.keep`), and is removed then.
    ThreadDelete = "thread/delete" [Thread, Stable] ThreadDeleteParams => ThreadDeleteResponse;
    /// Begins a turn with the user's input, or adds the input to the turn that runs. Answered before the turn's first
    /// notification. Of the settings that come with what is added, those about questions hold at once, the others from the
    /// next turn on.
    TurnStart = "turn/start" [Thread, Stable] TurnStartParams => TurnStartResponse;
    /// Adds input to the turn that runs, if it is the one that is named.
    TurnSteer = "turn/steer" [Thread, Stable] TurnSteerParams => TurnSteerResponse;
    /// Ends the turn that runs.
    TurnInterrupt = "turn/interrupt" [Thread, Stable] TurnInterruptParams => TurnInterruptResponse;
    /// The helpers of a thread and how each is doing, from memory. Without a thread: those of the settings. A helper that runs
    /// is looked at; another one is started for the answer, which waits for its start, and ends with it.
    McpServerStatusList = "mcpServerStatus/list" [Inline, Stable]
        ListMcpServerStatusParams => ListMcpServerStatusResponse;
    /// Calls a tool of one of the thread's helpers. Answered when the tool is done, however long that takes.
    McpServerToolCall = "mcpServer/tool/call" [Helper, Stable] McpServerToolCallParams => McpServerToolCallResponse;
    /// Reads a resource of one of the thread's helpers. Answered when the helper does. Without a thread the helper of the
    /// settings is started for the answer, and what it asks the user is refused.
    McpServerResourceRead = "mcpServer/resource/read" [Helper, Stable]
        McpResourceReadParams => McpResourceReadResponse;
    /// The models that turns can use.
    ModelList = "model/list" [Inline, Stable] ModelListParams => ModelListResponse;
    /// The settings in force and where each was written. Variables of helpers are masked, and their arguments where their
    /// names are those of secrets.
    ConfigRead = "config/read" [Inline, Stable] ConfigReadParams => ConfigReadResponse;
    /// Looks at the file of settings again. What has changed is in force when this is answered: helpers that are another
    /// process now are started, those that are not named any more end, all others go on; calls that are under way are not cut
    /// off. Helpers that have failed are started again. Costs next to nothing when the file is as it was. Wrong settings are an
    /// error with file, line and key of each, and change nothing.
    ConfigMcpServerReload = "config/mcpServer/reload" [Store, Stable]
        ConfigMcpServerReloadParams => McpServerRefreshResponse;
    /// Sets one value in the user's file of settings by its dotted key, or takes it away where it is null; comments and
    /// everything else stay. It is in force when this is answered. Settings that a server would not take are refused with
    /// each reason, and nothing is written; so is a write whose `expectedVersion` is not that of the file's layer now. A value that
    /// `config/read` has masked (`***`, or an address without user and query) stands for what is in the file; with nothing there the write
    /// is refused.
    ConfigValueWrite = "config/value/write" [Store, Stable] ConfigValueWriteParams => ConfigWriteResponse;
    /// Sets several values in the user's file of settings: all of them, or none.
    ConfigBatchWrite = "config/batchWrite" [Store, Stable] ConfigBatchWriteParams => ConfigWriteResponse;
    /// What an administrator requires of the settings: nothing.
    ConfigRequirementsRead = "configRequirements/read" [Inline, Stable]
        ConfigRequirementsReadParams => ConfigRequirementsReadResponse;
    /// The account that pays: none, and none is needed.
    AccountRead = "account/read" [Inline, Stable] GetAccountParams => GetAccountResponse;
    /// The limits of the account that pays: none are known, as there is no account.
    AccountRateLimitsRead = "account/rateLimits/read" [Inline, Stable]
        GetAccountRateLimitsParams => GetAccountRateLimitsResponse;
    /// The tokens of the account that pays: nothing is known of them, as there is no account. What a thread has used is
    /// told by `thread/tokenUsage/updated`.
    AccountUsageRead = "account/usage/read" [Inline, Stable]
        GetAccountTokenUsageParams => GetAccountTokenUsageResponse;
    /// Whether models are asked in a region for governments: no, as no provider of Skein's has such regions.
    AccountBedrockCheckGovCloudRequirements = "account/bedrock/checkGovCloudRequirements" [Inline, Experimental]
        BedrockCheckGovCloudRequirementsParams => BedrockCheckGovCloudRequirementsResponse;
    /// The providers of models that the server knows, built in or by its settings; `config/value/write` chooses another
    /// default (`model_provider`) and changes them (`model_providers.NAME`).
    ModelProviderList = "modelProvider/list" [Inline, Stable]
        ModelProviderListParams => ModelProviderListResponse;
    /// What providers of models do beside answering: neither make they pictures nor do they search the web, as Skein
    /// offers models only the tools of helpers and clients.
    ModelProviderCapabilitiesRead = "modelProvider/capabilities/read" [Inline, Stable]
        ModelProviderCapabilitiesReadParams => ModelProviderCapabilitiesReadResponse;
    /// Features that can be switched on: none, as Skein has no such switches.
    ExperimentalFeatureList = "experimentalFeature/list" [Inline, Stable]
        ExperimentalFeatureListParams => ExperimentalFeatureListResponse;
    /// The server's process, and some numbers of `skein/status`, by their names there.
    ServerDiagnostics = "server/diagnostics" [Inline, Experimental] ServerDiagnosticsParams => ServerDiagnosticsResponse;
    /// Keeps what a user says about a thread or the server, for whoever runs the server: as a file in the home's
    /// `feedback`. It is sent nowhere, and no logs are added; names of log files are kept, not their content. `threadId`
    /// is the thread, or the name of the report where none was named.
    FeedbackUpload = "feedback/upload" [Store, Stable] FeedbackUploadParams => FeedbackUploadResponse;
    /// The skills of each directory that is named: none, as Skein has no skills yet.
    SkillsList = "skills/list" [Inline, Stable] SkillsListParams => SkillsListResponse;
    /// The hooks of each directory that is named: none, as Skein runs no hooks.
    HooksList = "hooks/list" [Inline, Stable] HooksListParams => HooksListResponse;
    /// What turns may do: everything that their helpers can, as Skein runs no commands of its own and confines nobody.
    PermissionProfileList = "permissionProfile/list" [Inline, Stable]
        PermissionProfileListParams => PermissionProfileListResponse;
    /// The modes that the user can choose: none, as Skein has one way to work.
    CollaborationModeList = "collaborationMode/list" [Inline, Experimental]
        CollaborationModeListParams => CollaborationModeListResponse;
    /// Unloads a thread and ends its helpers; answered when none is left. Refused while the thread is active or has
    /// other subscribers, unless forced. Joins an unload that is already under way.
    SkeinThreadUnload = "skein/thread/unload" [Thread, Experimental]
        SkeinThreadUnloadParams => SkeinThreadUnloadResponse;
    /// For a client whose user is gone: its subscriptions end, and threads to which nobody else is subscribed are unloaded at once,
    /// whatever they do: turns are interrupted, and calls of tools under way are cut off, whoever made them. Answered when these threads are unloaded and none of their helpers is left, or after 1.2 s with the number
    /// of those that are not.
    SkeinConnectionLeave = "skein/connection/leave" [Thread, Experimental]
        SkeinConnectionLeaveParams => SkeinConnectionLeaveResponse;
    /// What the server holds and has done, in numbers. Never waits for anything.
    SkeinStatus = "skein/status" [Inline, Experimental] SkeinStatusParams => SkeinStatusResponse;
    /// The helpers of loaded threads, and those kept for others, with their processes, memory, queues and last words, from one look at the system.
    SkeinHelpersList = "skein/helpers/list" [Store, Experimental]
        SkeinHelpersListParams => SkeinHelpersListResponse;
    /// What was told to everybody since a number of the catalog: with it, the list of a client that was away is right
    /// again. After a page of `thread/list`, ask with the page's number and apply the changes in order. A thread that
    /// is not in the client's list, but changes, was not on disk when the list was made: read it.
    SkeinCatalogResume = "skein/catalog/resume" [Inline, Experimental]
        SkeinCatalogResumeParams => SkeinCatalogResumeResponse;
    /// Answers when every event sent before it has been handled by every thread's owner. It waits for no turn and no
    /// tool call. Only with `serve --test-fences`.
    SkeinQuiesce = "skein/quiesce" [Thread, Experimental] SkeinQuiesceParams => SkeinQuiesceResponse;
    /// Every message of this table and the others, as an OpenRPC document.
    RpcDiscover = "rpc.discover" [Inline, Stable] RpcDiscoverParams => RpcDiscoverResponse;
}

client_notifications! {
    /// The client has read the response of `initialize`. It may be left out.
    Initialized = "initialized" InitializedParams;
}
