//! The table of methods: each request that a client can make, once. Rows only.

use crate::{
    account::{
        BedrockCheckGovCloudRequirementsParams, BedrockCheckGovCloudRequirementsResponse, GetAccountParams,
        GetAccountRateLimitsParams, GetAccountRateLimitsResponse, GetAccountResponse,
        GetAccountTokenUsageParams, GetAccountTokenUsageResponse,
    },
    budget::{SkeinBudgetSetParams, SkeinBudgetSetResponse},
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
        SkeinConnectionLeaveParams, SkeinConnectionLeaveResponse, SkeinCredentialAddParams,
        SkeinCredentialAddResponse, SkeinCredentialListParams, SkeinCredentialListResponse,
        SkeinCredentialRevokeParams, SkeinCredentialRevokeResponse, SkeinHelpersListParams,
        SkeinHelpersListResponse, SkeinQuiesceParams, SkeinQuiesceResponse, SkeinStatusParams,
        SkeinStatusResponse, SkeinThreadUnloadParams, SkeinThreadUnloadResponse,
    },
    feedback::{FeedbackUploadParams, FeedbackUploadResponse},
    helper::{
        ListMcpServerStatusParams, ListMcpServerStatusResponse, McpResourceReadParams,
        McpResourceReadResponse, McpServerToolCallParams, McpServerToolCallResponse,
    },
    question::{
        SkeinQuestionsAnswerParams, SkeinQuestionsAnswerResponse, SkeinQuestionsListParams,
        SkeinQuestionsListResponse,
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
        ThreadMetadataUpdateResponse, ThreadQueueAddParams, ThreadQueueAddResponse, ThreadQueueDeleteParams,
        ThreadQueueDeleteResponse, ThreadQueueListParams, ThreadQueueListResponse, ThreadQueueReorderParams,
        ThreadQueueReorderResponse, ThreadQueueStartParams, ThreadQueueStartResponse,
        ThreadQueueUpdateParams, ThreadQueueUpdateResponse, ThreadReadParams, ThreadReadResponse,
        ThreadReadStateUpdateParams, ThreadReadStateUpdateResponse, ThreadResumeParams, ThreadResumeResponse,
        ThreadRevertParams, ThreadRevertResponse, ThreadRollbackParams, ThreadSearchOccurrencesParams,
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
    /// Opens a connection. It is the first request of each connection, and allowed once.
    Initialize = "initialize" [Inline, Stable, Read] InitializeParams => InitializeResponse;
    /// Creates a thread and subscribes the connection to it. The thread is saved from its first user message on. An
    /// ephemeral thread is never saved and never listed.
    ThreadStart = "thread/start" [Thread, Stable, Chat] ThreadStartParams => ThreadStartResponse;
    /// Loads a thread if needed, and subscribes the connection to it. Settings in the request count only if it loads
    /// the thread; the answer has those in force. After the answer the connection receives the thread's usage
    /// (`thread/tokenUsage/updated`) and goal (`thread/goal/updated` or `thread/goal/cleared`). A connection with the
    /// access `read` observes: it loads nothing, keeps nothing loaded, and is asked nothing.
    ThreadResume = "thread/resume" [Thread, Stable, Read] ThreadResumeParams => ThreadResumeResponse;
    /// Ends the connection's subscription. When the last subscriber leaves, the thread is unloaded and its helpers
    /// stop.
    ThreadUnsubscribe = "thread/unsubscribe" [Inline, Stable, Read]
        ThreadUnsubscribeParams => ThreadUnsubscribeResponse;
    /// Ids of the threads in memory. Never waits for a thread.
    ThreadLoadedList = "thread/loaded/list" [Inline, Stable, Read] ThreadLoadedListParams => ThreadLoadedListResponse;
    /// A page of the saved threads without their turns, newest first by default.
    ThreadList = "thread/list" [Store, Stable, Read] ThreadListParams => ThreadListResponse;
    /// Threads with a text in their name or in a message of the user or the agent, ignoring case. A page takes a
    /// bounded time and has the matches so far; an empty page can have a next one.
    ThreadSearch = "thread/search" [Store, Experimental, Read] ThreadSearchParams => ThreadSearchResponse;
    /// All places of a text in the messages of one thread, without loading it.
    ThreadSearchOccurrences = "thread/searchOccurrences" [Store, Experimental, Read]
        ThreadSearchOccurrencesParams => ThreadSearchOccurrencesResponse;
    /// Reads a thread from disk, with its turns on request, without loading it.
    ThreadRead = "thread/read" [Store, Stable, Read] ThreadReadParams => ThreadReadResponse;
    /// A page of a thread's turns, newest first by default, without loading it.
    ThreadTurnsList = "thread/turns/list" [Store, Stable, Read] ThreadTurnsListParams => ThreadTurnsListResponse;
    /// A page of a thread's items, oldest first by default, without loading it. Items in progress come with their
    /// text so far. Pages that start from a cursor of `thread/resume` leave them out, because events report them.
    ThreadItemsList = "thread/items/list" [Store, Stable, Read] ThreadItemsListParams => ThreadItemsListResponse;
    /// Names a thread, loaded or not.
    ThreadNameSet = "thread/name/set" [Thread, Stable, Chat] ThreadSetNameParams => ThreadSetNameResponse;
    /// Changes a thread's repository metadata, loaded or not. A null member is removed, a missing one stays.
    ThreadMetadataUpdate = "thread/metadata/update" [Thread, Stable, Chat]
        ThreadMetadataUpdateParams => ThreadMetadataUpdateResponse;
    /// Changes a thread's settings from its next turn on, loaded or not. A missing member stays.
    ThreadSettingsUpdate = "thread/settings/update" [Thread, Experimental, Chat]
        ThreadSettingsUpdateParams => ThreadSettingsUpdateResponse;
    /// Marks a thread as read, or as unread from its last turn on, loaded or not. `expectedRevision` is the revision
    /// that the user has seen; if another one is current, the request fails and nothing changes.
    ThreadReadStateUpdate = "thread/readState/update" [Thread, Experimental, Chat]
        ThreadReadStateUpdateParams => ThreadReadStateUpdateResponse;
    /// Sets or changes a thread's goal, loaded or not; another `objective` starts a new count. Skein counts tokens
    /// and time of turns that end while the goal is active. Above `tokenBudget` it becomes `budgetLimited`. A goal
    /// neither starts nor prevents turns.
    ThreadGoalSet = "thread/goal/set" [Thread, Stable, Chat] ThreadGoalSetParams => ThreadGoalSetResponse;
    /// Reads a thread's goal without loading the thread.
    ThreadGoalGet = "thread/goal/get" [Store, Stable, Read] ThreadGoalGetParams => ThreadGoalGetResponse;
    /// Removes a thread's goal, loaded or not.
    ThreadGoalClear = "thread/goal/clear" [Thread, Stable, Chat] ThreadGoalClearParams => ThreadGoalClearResponse;
    /// Removes a turn and all later ones from the history, loaded or not; files of the user stay. Refused while a
    /// turn runs. The history gets a new epoch.
    ThreadRevert = "thread/revert" [Thread, Stable, Chat] ThreadRevertParams => ThreadRevertResponse;
    /// Removes the newest turns: `thread/revert` for older clients of Codex, which count turns. The answer has the
    /// newest remaining turns that fit.
    ThreadRollback = "thread/rollback" [Thread, Stable, Chat] ThreadRollbackParams => ThreadRevertResponse;
    /// Creates a thread with the history of another one, optionally up to a turn, and subscribes the connection to
    /// it. The source is not disturbed. A running turn is interrupted in the copy, and nothing in it is unread. After
    /// the answer the connection receives the history's usage.
    ThreadFork = "thread/fork" [Thread, Stable, Chat] ThreadForkParams => ThreadForkResponse;
    /// Adds items to the model's view of a thread's history, in the form of its interface, loaded or not. No turn
    /// starts, and no client is notified.
    ThreadInjectItems = "thread/inject_items" [Thread, Stable, Chat]
        ThreadInjectItemsParams => ThreadInjectItemsResponse;
    /// Starts a turn in which the model replaces the conversation by a summary; later turns see the summary. The
    /// history keeps everything. If a turn runs, the compaction waits for its end.
    ThreadCompactStart = "thread/compact/start" [Thread, Stable, Chat]
        ThreadCompactStartParams => ThreadCompactStartResponse;
    /// Adds a message to a thread's queue, loaded or not. It becomes a turn when the turns and messages before it are
    /// done: at once if the thread is idle and nothing waits. The same `clientUserMessageId` and input again add
    /// nothing. A queue has at most 100 messages and 4 MiB of input.
    ThreadQueueAdd = "thread/queue/add" [Thread, Experimental, Chat] ThreadQueueAddParams => ThreadQueueAddResponse;
    /// The messages of a thread's queue in their order, without loading it.
    ThreadQueueList = "thread/queue/list" [Store, Experimental, Read]
        ThreadQueueListParams => ThreadQueueListResponse;
    /// Replaces the input of a message in the queue, loaded or not. Missing metadata stays.
    ThreadQueueUpdate = "thread/queue/update" [Thread, Experimental, Chat]
        ThreadQueueUpdateParams => ThreadQueueUpdateResponse;
    /// Removes a message from the queue, loaded or not. `deleted` is false if the queue does not have the message.
    ThreadQueueDelete = "thread/queue/delete" [Thread, Experimental, Chat]
        ThreadQueueDeleteParams => ThreadQueueDeleteResponse;
    /// Puts messages of the queue in this order, loaded or not. The others keep their order behind them.
    ThreadQueueReorder = "thread/queue/reorder" [Thread, Experimental, Chat]
        ThreadQueueReorderParams => ThreadQueueReorderResponse;
    /// Begins a turn with a message of the queue, or with the first, and ends the hold of an interrupted or failed
    /// turn. Refused while a turn runs. A message that has become a turn already is answered with that turn.
    ThreadQueueStart = "thread/queue/start" [Thread, Experimental, Chat]
        ThreadQueueStartParams => ThreadQueueStartResponse;
    /// Archives a thread: its turn is interrupted, the thread is unloaded, its subscriptions end, and only the
    /// archived list shows it. It can still be read and resumed, and stays archived.
    ThreadArchive = "thread/archive" [Thread, Stable, Chat] ThreadArchiveParams => ThreadArchiveResponse;
    /// Moves an archived thread back into the ordinary list. The thread is unloaded for that; its subscribers stay.
    ThreadUnarchive = "thread/unarchive" [Thread, Stable, Chat] ThreadUnarchiveParams => ThreadUnarchiveResponse;
    /// Deletes a thread, whatever it is doing and whoever is subscribed. Its file stays in the home's `trash` for
    /// `trash.keep`, and is then removed.
    ThreadDelete = "thread/delete" [Thread, Stable, Chat] ThreadDeleteParams => ThreadDeleteResponse;
    /// Starts a turn with the user's input, or adds the input to the running turn. The answer comes before the turn's
    /// first notification. Settings of added input take effect with the next turn, except those about approvals,
    /// which apply at once.
    TurnStart = "turn/start" [Thread, Stable, Chat] TurnStartParams => TurnStartResponse;
    /// Adds input to the running turn, if its id is `expectedTurnId`.
    TurnSteer = "turn/steer" [Thread, Stable, Chat] TurnSteerParams => TurnSteerResponse;
    /// Interrupts the running turn.
    TurnInterrupt = "turn/interrupt" [Thread, Stable, Chat] TurnInterruptParams => TurnInterruptResponse;
    /// The helpers of a thread with their state, from memory. Without a thread: the helpers of the settings. Those
    /// that do not run are started for the answer and stopped after it, except for a connection with the access
    /// `read`.
    McpServerStatusList = "mcpServerStatus/list" [Inline, Stable, Read]
        ListMcpServerStatusParams => ListMcpServerStatusResponse;
    /// Calls a tool of one of the thread's helpers. The answer comes when the tool is done, however long that takes.
    /// Nobody is asked before the call.
    McpServerToolCall = "mcpServer/tool/call" [Helper, Stable, Admin]
        McpServerToolCallParams => McpServerToolCallResponse;
    /// Reads a resource of one of the thread's helpers. Without a thread a helper of the settings is started for the
    /// answer, and its questions to the user are refused.
    McpServerResourceRead = "mcpServer/resource/read" [Helper, Stable, Admin]
        McpResourceReadParams => McpResourceReadResponse;
    /// The models that turns can use.
    ModelList = "model/list" [Inline, Stable, Read] ModelListParams => ModelListResponse;
    /// The settings in force and their origins. Variables of helpers are masked; so are arguments with the name of a
    /// secret.
    ConfigRead = "config/read" [Inline, Stable, Read] ConfigReadParams => ConfigReadResponse;
    /// Reads the settings file again and applies it before the answer. Changed helpers restart, removed ones stop,
    /// failed ones start again; all others and running calls continue. An unchanged file costs next to nothing. Wrong
    /// settings change nothing; the error names file, line and key of each.
    ConfigMcpServerReload = "config/mcpServer/reload" [Store, Stable, Admin]
        ConfigMcpServerReloadParams => McpServerRefreshResponse;
    /// Sets one value of the user's settings file by its dotted key; null removes it. Comments and other values stay.
    /// The change is in force with the answer. Invalid settings are refused with their reasons and not written, and
    /// so is a write whose `expectedVersion` is out of date. A value masked by `config/read` (`***`, or an address
    /// without user and query) keeps the value of the file; without one the write is refused.
    ConfigValueWrite = "config/value/write" [Store, Stable, Admin] ConfigValueWriteParams => ConfigWriteResponse;
    /// Sets several values of the user's settings file: all of them, or none.
    ConfigBatchWrite = "config/batchWrite" [Store, Stable, Admin] ConfigBatchWriteParams => ConfigWriteResponse;
    /// The administrator's requirements for the settings: none.
    ConfigRequirementsRead = "configRequirements/read" [Inline, Stable, Read]
        ConfigRequirementsReadParams => ConfigRequirementsReadResponse;
    /// The paying account: none, and none is needed.
    AccountRead = "account/read" [Inline, Stable, Read] GetAccountParams => GetAccountResponse;
    /// The rate limits of the paying account: none, as there is no account.
    AccountRateLimitsRead = "account/rateLimits/read" [Inline, Stable, Read]
        GetAccountRateLimitsParams => GetAccountRateLimitsResponse;
    /// The tokens of the paying account: unknown, as there is no account. `thread/tokenUsage/updated` reports the
    /// usage of a thread.
    AccountUsageRead = "account/usage/read" [Inline, Stable, Read]
        GetAccountTokenUsageParams => GetAccountTokenUsageResponse;
    /// Whether a model region for governments applies: no, as no provider of Skein has one.
    AccountBedrockCheckGovCloudRequirements = "account/bedrock/checkGovCloudRequirements" [Inline, Experimental, Read]
        BedrockCheckGovCloudRequirementsParams => BedrockCheckGovCloudRequirementsResponse;
    /// The model providers that the server knows, built in or from its settings. `config/value/write` chooses the
    /// default (`model_provider`) and changes them (`model_providers.NAME`).
    ModelProviderList = "modelProvider/list" [Store, Stable, Read]
        ModelProviderListParams => ModelProviderListResponse;
    /// Abilities of model providers beside answering: no image generation and no web search. Skein offers models only
    /// the tools of helpers and clients.
    ModelProviderCapabilitiesRead = "modelProvider/capabilities/read" [Inline, Stable, Read]
        ModelProviderCapabilitiesReadParams => ModelProviderCapabilitiesReadResponse;
    /// Experimental features: none.
    ExperimentalFeatureList = "experimentalFeature/list" [Inline, Stable, Read]
        ExperimentalFeatureListParams => ExperimentalFeatureListResponse;
    /// The server's process, and some numbers of `skein/status`, by their names there.
    ServerDiagnostics = "server/diagnostics" [Inline, Experimental, Read]
        ServerDiagnosticsParams => ServerDiagnosticsResponse;
    /// Saves a user's feedback about a thread or the server in the home's `feedback`, for the operator. Nothing is
    /// sent anywhere. Names of log files are kept, not their content. `threadId` is the thread, or the name of the
    /// report if there is none.
    FeedbackUpload = "feedback/upload" [Store, Stable, Chat] FeedbackUploadParams => FeedbackUploadResponse;
    /// The skills of each given directory: none, as Skein has no skills yet.
    SkillsList = "skills/list" [Inline, Stable, Read] SkillsListParams => SkillsListResponse;
    /// The hooks of each given directory: none, as Skein runs no hooks.
    HooksList = "hooks/list" [Inline, Stable, Read] HooksListParams => HooksListResponse;
    /// The permissions of turns: everything that their helpers can do. Skein runs no commands of its own and confines
    /// nobody.
    PermissionProfileList = "permissionProfile/list" [Inline, Stable, Read]
        PermissionProfileListParams => PermissionProfileListResponse;
    /// The modes of collaboration: Plan and Default.
    CollaborationModeList = "collaborationMode/list" [Inline, Experimental, Read]
        CollaborationModeListParams => CollaborationModeListResponse;
    /// Unloads a thread; the answer comes when all its helpers have stopped. Refused while the thread is active or
    /// has other subscribers, unless forced, which needs the access `admin`. Joins an unload that is already under
    /// way.
    SkeinThreadUnload = "skein/thread/unload" [Thread, Experimental, Chat]
        SkeinThreadUnloadParams => SkeinThreadUnloadResponse;
    /// The questions that wait for an answer, of all threads on disk or of one, also where no thread is loaded. Questions
    /// of ephemeral threads and of helpers outside of turns are not in it: they end with their connection.
    SkeinQuestionsList = "skein/questions/list" [Store, Experimental, Read]
        SkeinQuestionsListParams => SkeinQuestionsListResponse;
    /// Answers a question without a subscription, and loads its thread where necessary. The first answer that is on disk
    /// counts; the same answer again succeeds.
    SkeinQuestionsAnswer = "skein/questions/answer" [Thread, Experimental, Chat]
        SkeinQuestionsAnswerParams => SkeinQuestionsAnswerResponse;
    /// Sets limits of a thread for the use of models, loaded or not. A turn that waits at a limit goes on if it has room
    /// now.
    SkeinBudgetSet = "skein/budget/set" [Thread, Experimental, Admin] SkeinBudgetSetParams => SkeinBudgetSetResponse;
    /// For a client whose user is gone: ends its subscriptions. Threads without another subscriber are unloaded at
    /// once; running turns and tool calls are interrupted. The answer comes when all their helpers have stopped, or
    /// after 1.2 s with the number of unfinished threads.
    SkeinConnectionLeave = "skein/connection/leave" [Thread, Experimental, Read]
        SkeinConnectionLeaveParams => SkeinConnectionLeaveResponse;
    /// The server's state and counters. Never waits for anything.
    SkeinStatus = "skein/status" [Inline, Experimental, Read] SkeinStatusParams => SkeinStatusResponse;
    /// The helpers of loaded threads, and kept ones, with processes, memory, queues and last output, from one look at
    /// the system.
    SkeinHelpersList = "skein/helpers/list" [Store, Experimental, Read]
        SkeinHelpersListParams => SkeinHelpersListResponse;
    /// The sessions of pages and the tokens of programs, without their secrets.
    SkeinCredentialList = "skein/credential/list" [Store, Experimental, Admin]
        SkeinCredentialListParams => SkeinCredentialListResponse;
    /// Adds a token. The client makes the secret and sends its SHA-256, so that no message has the secret. The answer
    /// comes when the token is on disk.
    SkeinCredentialAdd = "skein/credential/add" [Store, Experimental, Admin]
        SkeinCredentialAddParams => SkeinCredentialAddResponse;
    /// Revokes a session or token, and the sessions that it has made. Their connections are closed with 1008.
    SkeinCredentialRevoke = "skein/credential/revoke" [Store, Experimental, Admin]
        SkeinCredentialRevokeParams => SkeinCredentialRevokeResponse;
    /// The catalog changes since a number, so that a client that was away can update its list. After a page of
    /// `thread/list`, ask with the page's number and apply the changes in order. If a change names a thread that is
    /// not in the list, read that thread: it was saved later.
    SkeinCatalogResume = "skein/catalog/resume" [Inline, Experimental, Read]
        SkeinCatalogResumeParams => SkeinCatalogResumeResponse;
    /// Answers when every thread's owner has handled all events sent before it. Waits for no turn and no tool call.
    /// Only with `serve --test-fences`.
    SkeinQuiesce = "skein/quiesce" [Thread, Experimental, Admin] SkeinQuiesceParams => SkeinQuiesceResponse;
    /// All messages of this table and the others, as an OpenRPC document.
    RpcDiscover = "rpc.discover" [Inline, Stable, Read] RpcDiscoverParams => RpcDiscoverResponse;
}

client_notifications! {
    /// The client has read the response of `initialize`. It may be left out.
    Initialized = "initialized" InitializedParams;
}
