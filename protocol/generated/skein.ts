// Written by scripts/generate from protocol/src; do not edit.
//
// The messages of Skein's websocket, one in each text frame. Types only: nothing of this file is left at run time.
// A type whose name ends in `Param` is one as clients send it, where the server sends it with more.

/** Every request that a client can make. */
export type Methods = {
  /** Opens a connection. It is the first request of each connection, and allowed once. */
  "initialize": { params: InitializeParams; result: InitializeResponse };
  /**
   * Creates a thread and subscribes the connection to it. The thread is saved from its first user message on. An
   * ephemeral thread is never saved and never listed.
   */
  "thread/start": { params: ThreadStartParams; result: ThreadStartResponse };
  /**
   * Loads a thread if needed, and subscribes the connection to it. Settings in the request count only if it loads
   * the thread; the answer has those in force. After the answer the connection receives the thread's usage
   * (`thread/tokenUsage/updated`) and goal (`thread/goal/updated` or `thread/goal/cleared`). A connection with the
   * access `read` observes: it loads nothing, keeps nothing loaded, and is asked nothing.
   */
  "thread/resume": { params: ThreadResumeParams; result: ThreadResumeResponse };
  /**
   * Ends the connection's subscription. When the last subscriber leaves, the thread is unloaded and its helpers
   * stop.
   */
  "thread/unsubscribe": { params: ThreadUnsubscribeParams; result: ThreadUnsubscribeResponse };
  /** Ids of the threads in memory. Never waits for a thread. */
  "thread/loaded/list": { params: ThreadLoadedListParams; result: ThreadLoadedListResponse };
  /** A page of the saved threads without their turns, newest first by default. */
  "thread/list": { params: ThreadListParams; result: ThreadListResponse };
  /**
   * Threads with a text in their name or in a message of the user or the agent, ignoring case. A page takes a
   * bounded time and has the matches so far; an empty page can have a next one.
   */
  "thread/search": { params: ThreadSearchParams; result: ThreadSearchResponse };
  /** All places of a text in the messages of one thread, without loading it. */
  "thread/searchOccurrences": { params: ThreadSearchOccurrencesParams; result: ThreadSearchOccurrencesResponse };
  /** Reads a thread from disk, with its turns on request, without loading it. */
  "thread/read": { params: ThreadReadParams; result: ThreadReadResponse };
  /** A page of a thread's turns, newest first by default, without loading it. */
  "thread/turns/list": { params: ThreadTurnsListParams; result: ThreadTurnsListResponse };
  /**
   * A page of a thread's items, oldest first by default, without loading it. Items in progress come with their
   * text so far. Pages that start from a cursor of `thread/resume` leave them out, because events report them.
   */
  "thread/items/list": { params: ThreadItemsListParams; result: ThreadItemsListResponse };
  /** Names a thread, loaded or not. */
  "thread/name/set": { params: ThreadSetNameParams; result: ThreadSetNameResponse };
  /** Changes a thread's repository metadata, loaded or not. A null member is removed, a missing one stays. */
  "thread/metadata/update": { params: ThreadMetadataUpdateParams; result: ThreadMetadataUpdateResponse };
  /** Changes a thread's settings from its next turn on, loaded or not. A missing member stays. */
  "thread/settings/update": { params: ThreadSettingsUpdateParams; result: ThreadSettingsUpdateResponse };
  /**
   * Marks a thread as read, or as unread from its last turn on, loaded or not. `expectedRevision` is the revision
   * that the user has seen; if another one is current, the request fails and nothing changes.
   */
  "thread/readState/update": { params: ThreadReadStateUpdateParams; result: ThreadReadStateUpdateResponse };
  /**
   * Sets or changes a thread's goal, loaded or not; another `objective` starts a new count. Skein counts tokens
   * and time of turns that end while the goal is active. Above `tokenBudget` it becomes `budgetLimited`. A goal
   * neither starts nor prevents turns.
   */
  "thread/goal/set": { params: ThreadGoalSetParams; result: ThreadGoalSetResponse };
  /** Reads a thread's goal without loading the thread. */
  "thread/goal/get": { params: ThreadGoalGetParams; result: ThreadGoalGetResponse };
  /** Removes a thread's goal, loaded or not. */
  "thread/goal/clear": { params: ThreadGoalClearParams; result: ThreadGoalClearResponse };
  /**
   * Removes a turn and all later ones from the history, loaded or not; files of the user stay. Refused while a
   * turn runs. The history gets a new epoch.
   */
  "thread/revert": { params: ThreadRevertParams; result: ThreadRevertResponse };
  /**
   * Removes the newest turns: `thread/revert` for older clients of Codex, which count turns. The answer has the
   * newest remaining turns that fit.
   */
  "thread/rollback": { params: ThreadRollbackParams; result: ThreadRevertResponse };
  /**
   * Creates a thread with the history of another one, optionally up to a turn, and subscribes the connection to
   * it. The source is not disturbed. A running turn is interrupted in the copy, and nothing in it is unread. After
   * the answer the connection receives the history's usage.
   */
  "thread/fork": { params: ThreadForkParams; result: ThreadForkResponse };
  /**
   * Adds items to the model's view of a thread's history, in the form of its interface, loaded or not. No turn
   * starts, and no client is notified.
   */
  "thread/inject_items": { params: ThreadInjectItemsParams; result: ThreadInjectItemsResponse };
  /**
   * Starts a turn in which the model replaces the conversation by a summary; later turns see the summary. The
   * history keeps everything. If a turn runs, the compaction waits for its end.
   */
  "thread/compact/start": { params: ThreadCompactStartParams; result: ThreadCompactStartResponse };
  /**
   * Adds a message to a thread's queue, loaded or not. It becomes a turn when the turns and messages before it are
   * done: at once if the thread is idle and nothing waits. The same `clientUserMessageId` and input again add
   * nothing. A queue has at most 100 messages and 4 MiB of input.
   */
  "thread/queue/add": { params: ThreadQueueAddParams; result: ThreadQueueAddResponse };
  /** The messages of a thread's queue in their order, without loading it. */
  "thread/queue/list": { params: ThreadQueueListParams; result: ThreadQueueListResponse };
  /** Replaces the input of a message in the queue, loaded or not. Missing metadata stays. */
  "thread/queue/update": { params: ThreadQueueUpdateParams; result: ThreadQueueUpdateResponse };
  /** Removes a message from the queue, loaded or not. `deleted` is false if the queue does not have the message. */
  "thread/queue/delete": { params: ThreadQueueDeleteParams; result: ThreadQueueDeleteResponse };
  /** Puts messages of the queue in this order, loaded or not. The others keep their order behind them. */
  "thread/queue/reorder": { params: ThreadQueueReorderParams; result: ThreadQueueReorderResponse };
  /**
   * Begins a turn with a message of the queue, or with the first, and ends the hold of an interrupted or failed
   * turn. Refused while a turn runs. A message that has become a turn already is answered with that turn.
   */
  "thread/queue/start": { params: ThreadQueueStartParams; result: ThreadQueueStartResponse };
  /**
   * Archives a thread: its turn is interrupted, the thread is unloaded, its subscriptions end, and only the
   * archived list shows it. It can still be read and resumed, and stays archived.
   */
  "thread/archive": { params: ThreadArchiveParams; result: ThreadArchiveResponse };
  /** Moves an archived thread back into the ordinary list. The thread is unloaded for that; its subscribers stay. */
  "thread/unarchive": { params: ThreadUnarchiveParams; result: ThreadUnarchiveResponse };
  /**
   * Deletes a thread, whatever it is doing and whoever is subscribed. Its file stays in the home's `trash` for
   * `trash.keep`, and is then removed.
   */
  "thread/delete": { params: ThreadDeleteParams; result: ThreadDeleteResponse };
  /**
   * Starts a turn with the user's input, or adds the input to the running turn. The answer comes before the turn's
   * first notification. Settings of added input take effect with the next turn, except those about approvals,
   * which apply at once.
   */
  "turn/start": { params: TurnStartParams; result: TurnStartResponse };
  /** Adds input to the running turn, if its id is `expectedTurnId`. */
  "turn/steer": { params: TurnSteerParams; result: TurnSteerResponse };
  /** Interrupts the running turn. */
  "turn/interrupt": { params: TurnInterruptParams; result: TurnInterruptResponse };
  /**
   * The helpers of a thread with their state, from memory. Without a thread: the helpers of the settings. Those
   * that do not run are started for the answer and stopped after it, except for a connection with the access
   * `read`.
   */
  "mcpServerStatus/list": { params: ListMcpServerStatusParams; result: ListMcpServerStatusResponse };
  /**
   * Calls a tool of one of the thread's helpers. The answer comes when the tool is done, however long that takes.
   * Nobody is asked before the call.
   */
  "mcpServer/tool/call": { params: McpServerToolCallParams; result: McpServerToolCallResponse };
  /**
   * Reads a resource of one of the thread's helpers. Without a thread a helper of the settings is started for the
   * answer, and its questions to the user are refused.
   */
  "mcpServer/resource/read": { params: McpResourceReadParams; result: McpResourceReadResponse };
  /** The models that turns can use. */
  "model/list": { params: ModelListParams; result: ModelListResponse };
  /**
   * The settings in force and their origins. Variables of helpers are masked; so are arguments with the name of a
   * secret.
   */
  "config/read": { params: ConfigReadParams; result: ConfigReadResponse };
  /**
   * Reads the settings file again and applies it before the answer. Changed helpers restart, removed ones stop,
   * failed ones start again; all others and running calls continue. An unchanged file costs next to nothing. Wrong
   * settings change nothing; the error names file, line and key of each.
   */
  "config/mcpServer/reload": { params: ConfigMcpServerReloadParams; result: McpServerRefreshResponse };
  /**
   * Sets one value of the user's settings file by its dotted key; null removes it. Comments and other values stay.
   * The change is in force with the answer. Invalid settings are refused with their reasons and not written, and
   * so is a write whose `expectedVersion` is out of date. A value masked by `config/read` (`***`, or an address
   * without user and query) keeps the value of the file; without one the write is refused.
   */
  "config/value/write": { params: ConfigValueWriteParams; result: ConfigWriteResponse };
  /** Sets several values of the user's settings file: all of them, or none. */
  "config/batchWrite": { params: ConfigBatchWriteParams; result: ConfigWriteResponse };
  /** The administrator's requirements for the settings: none. */
  "configRequirements/read": { params: ConfigRequirementsReadParams; result: ConfigRequirementsReadResponse };
  /** The paying account: none, and none is needed. */
  "account/read": { params: GetAccountParams; result: GetAccountResponse };
  /** The rate limits of the paying account: none, as there is no account. */
  "account/rateLimits/read": { params: GetAccountRateLimitsParams; result: GetAccountRateLimitsResponse };
  /**
   * The tokens of the paying account: unknown, as there is no account. `thread/tokenUsage/updated` reports the
   * usage of a thread.
   */
  "account/usage/read": { params: GetAccountTokenUsageParams; result: GetAccountTokenUsageResponse };
  /** Whether a model region for governments applies: no, as no provider of Skein has one. */
  "account/bedrock/checkGovCloudRequirements": { params: BedrockCheckGovCloudRequirementsParams; result: BedrockCheckGovCloudRequirementsResponse };
  /**
   * The model providers that the server knows, built in or from its settings. `config/value/write` chooses the
   * default (`model_provider`) and changes them (`model_providers.NAME`).
   */
  "modelProvider/list": { params: ModelProviderListParams; result: ModelProviderListResponse };
  /**
   * Abilities of model providers beside answering: no image generation and no web search. Skein offers models only
   * the tools of helpers and clients.
   */
  "modelProvider/capabilities/read": { params: ModelProviderCapabilitiesReadParams; result: ModelProviderCapabilitiesReadResponse };
  /** Experimental features: none. */
  "experimentalFeature/list": { params: ExperimentalFeatureListParams; result: ExperimentalFeatureListResponse };
  /** The server's process, and some numbers of `skein/status`, by their names there. */
  "server/diagnostics": { params: ServerDiagnosticsParams; result: ServerDiagnosticsResponse };
  /**
   * Saves a user's feedback about a thread or the server in the home's `feedback`, for the operator. Nothing is
   * sent anywhere. Names of log files are kept, not their content. `threadId` is the thread, or the name of the
   * report if there is none.
   */
  "feedback/upload": { params: FeedbackUploadParams; result: FeedbackUploadResponse };
  /** The skills of each given directory: none, as Skein has no skills yet. */
  "skills/list": { params: SkillsListParams; result: SkillsListResponse };
  /** The hooks of each given directory: none, as Skein runs no hooks. */
  "hooks/list": { params: HooksListParams; result: HooksListResponse };
  /**
   * The permissions of turns: everything that their helpers can do. Skein runs no commands of its own and confines
   * nobody.
   */
  "permissionProfile/list": { params: PermissionProfileListParams; result: PermissionProfileListResponse };
  /** The modes of collaboration: Plan and Default. */
  "collaborationMode/list": { params: CollaborationModeListParams; result: CollaborationModeListResponse };
  /**
   * Unloads a thread; the answer comes when all its helpers have stopped. Refused while the thread is active or
   * has other subscribers, unless forced, which needs the access `admin`. Joins an unload that is already under
   * way.
   */
  "skein/thread/unload": { params: SkeinThreadUnloadParams; result: SkeinThreadUnloadResponse };
  /**
   * The questions that wait for an answer, of all threads on disk or of one, also where no thread is loaded. Questions
   * of ephemeral threads and of helpers outside of turns are not in it: they end with their connection.
   */
  "skein/questions/list": { params: SkeinQuestionsListParams; result: SkeinQuestionsListResponse };
  /**
   * Answers a question without a subscription, and loads its thread where necessary. The first answer that is on disk
   * counts; the same answer again succeeds.
   */
  "skein/questions/answer": { params: SkeinQuestionsAnswerParams; result: SkeinQuestionsAnswerResponse };
  /**
   * Sets limits of a thread for the use of models, loaded or not. A turn that waits at a limit goes on if it has room
   * now.
   */
  "skein/budget/set": { params: SkeinBudgetSetParams; result: SkeinBudgetSetResponse };
  /**
   * For a client whose user is gone: ends its subscriptions. Threads without another subscriber are unloaded at
   * once; running turns and tool calls are interrupted. The answer comes when all their helpers have stopped, or
   * after 1.2 s with the number of unfinished threads.
   */
  "skein/connection/leave": { params: SkeinConnectionLeaveParams; result: SkeinConnectionLeaveResponse };
  /** The server's state and counters. Never waits for anything. */
  "skein/status": { params: SkeinStatusParams; result: SkeinStatusResponse };
  /**
   * The helpers of loaded threads, and kept ones, with processes, memory, queues and last output, from one look at
   * the system.
   */
  "skein/helpers/list": { params: SkeinHelpersListParams; result: SkeinHelpersListResponse };
  /** The sessions of pages and the tokens of programs, without their secrets. */
  "skein/credential/list": { params: SkeinCredentialListParams; result: SkeinCredentialListResponse };
  /**
   * Adds a token. The client makes the secret and sends its SHA-256, so that no message has the secret. The answer
   * comes when the token is on disk.
   */
  "skein/credential/add": { params: SkeinCredentialAddParams; result: SkeinCredentialAddResponse };
  /** Revokes a session or token, and the sessions that it has made. Their connections are closed with 1008. */
  "skein/credential/revoke": { params: SkeinCredentialRevokeParams; result: SkeinCredentialRevokeResponse };
  /**
   * The catalog changes since a number, so that a client that was away can update its list. After a page of
   * `thread/list`, ask with the page's number and apply the changes in order. If a change names a thread that is
   * not in the list, read that thread: it was saved later.
   */
  "skein/catalog/resume": { params: SkeinCatalogResumeParams; result: SkeinCatalogResumeResponse };
  /**
   * Answers when every thread's owner has handled all events sent before it. Waits for no turn and no tool call.
   * Only with `serve --test-fences`.
   */
  "skein/quiesce": { params: SkeinQuiesceParams; result: SkeinQuiesceResponse };
  /** All messages of this table and the others, as an OpenRPC document. */
  "rpc.discover": { params: RpcDiscoverParams; result: RpcDiscoverResponse };
};

/** Every notification that a client can send. */
export type ClientNotifications = {
  /** The client has read the response of `initialize`. It may be left out. */
  "initialized": InitializedParams;
};

/** Everything that the server tells without being asked. */
export type Notifications = {
  /** A thread was created. */
  "thread/started": ThreadStartedNotification;
  /** A thread became active or idle, or waits for the user. */
  "thread/status/changed": ThreadStatusChangedNotification;
  /** A thread was unloaded; all its helpers have stopped. */
  "thread/closed": ThreadClosedNotification;
  /** A thread was archived: it is unloaded, without subscribers, and only in the archived list. */
  "thread/archived": ThreadArchivedNotification;
  /** An archived thread is back in the ordinary list. */
  "thread/unarchived": ThreadUnarchivedNotification;
  /** A thread was deleted: it is in no list, and cannot be read or resumed. */
  "thread/deleted": ThreadDeletedNotification;
  /** A thread has a new name. */
  "thread/name/updated": ThreadNameUpdatedNotification;
  /** The read state of a thread changed: the user has read it or marked it as unread, or an unread turn has ended. */
  "thread/readState/changed": ThreadReadStateChangedNotification;
  /** The settings of a thread changed. */
  "thread/settings/updated": ThreadSettingsUpdatedNotification;
  /** A thread's goal was set or changed; also sent at the end of each turn. */
  "thread/goal/updated": ThreadGoalUpdatedNotification;
  /** A thread's goal was removed. */
  "thread/goal/cleared": ThreadGoalClearedNotification;
  /** A thread's queue has changed: `thread/queue/list` has it. */
  "thread/queue/changed": ThreadQueueChangedNotification;
  /** Turns were removed from the history: read it again, or drop the turns that `skein` names. */
  "thread/reverted": ThreadRevertedNotification;
  /** A turn began. */
  "turn/started": TurnStartedNotification;
  /** A turn ended: completed, interrupted or failed. */
  "turn/completed": TurnCompletedNotification;
  /** An item began. */
  "item/started": ItemStartedNotification;
  /** An item is complete; it replaces the text of its deltas. */
  "item/completed": ItemCompletedNotification;
  /** More text of an agent's message. */
  "item/agentMessage/delta": AgentMessageDeltaNotification;
  /** More text of a summary of the model's reasoning. */
  "item/reasoning/summaryTextDelta": ReasoningSummaryTextDeltaNotification;
  /** A new part of a summary of the model's reasoning begins. */
  "item/reasoning/summaryPartAdded": ReasoningSummaryPartAddedNotification;
  /** More text of the model's reasoning. */
  "item/reasoning/textDelta": ReasoningTextDeltaNotification;
  /** More text of a plan. */
  "item/plan/delta": PlanDeltaNotification;
  /** A progress message of a running tool. */
  "item/mcpToolCall/progress": McpToolCallProgressNotification;
  /** The tokens used by a thread. */
  "thread/tokenUsage/updated": ThreadTokenUsageUpdatedNotification;
  /** The start-up state of a helper: progress, failure or end with the reason, a stall, or its end. */
  "mcpServer/startupStatus/updated": McpServerStatusUpdatedNotification;
  /** A request of the server needs no answer any more. */
  "serverRequest/resolved": ServerRequestResolvedNotification;
  /** An error in a turn, which may be retried. */
  "error": ErrorNotification;
  /** A warning about a thread. */
  "warning": WarningNotification;
  /** A warning about the settings. */
  "configWarning": ConfigWarningNotification;
  /**
   * A sign of life. Each connection that opted in to `skein/events` receives it every `heartbeatMs` of the
   * response of `initialize`.
   */
  "skein/heartbeat": SkeinHeartbeatNotification;
  /**
   * The server is about to stop, and closes the connection with 1001 soon. Each connection that opted in to `skein/events`
   * receives it, with a pause of its own, so that not all of them come back at once.
   */
  "skein/stopping": SkeinStoppingNotification;
  /**
   * Progress of the repair after an unclean end of the server: at its beginning, now and then, at its end, and to
   * each connection that arrives meanwhile. Not sent if nothing needs repair.
   */
  "skein/repair/updated": SkeinRepairUpdatedNotification;
  /**
   * The questions that wait in a thread on disk have changed. Each connection that opted in to `skein/events` receives it,
   * with a number of the catalog.
   */
  "skein/questions/changed": SkeinQuestionsChangedNotification;
};

/** Every question that the server asks a client. */
export type ServerRequests = {
  /** Asks the user one or more questions on behalf of a turn. */
  "item/tool/requestUserInput": { params: ToolRequestUserInputParams; result: ToolRequestUserInputResponse };
  /**
   * Asks for the result of a tool that the client registered with `thread/start`. `callId` is the id of the call's
   * item. All subscribers are asked, and the first result counts: a client without the tool answers with an error.
   */
  "item/tool/call": { params: DynamicToolCallParams; result: DynamicToolCallResponse };
  /**
   * Asks the user a question of a helper, in the thread of the call. It ends with that call; `turnId` names the
   * calling turn, if any. With `codex_approval_kind` `mcp_tool_call` in `_meta` it asks for the approval of a tool
   * call: docs/approvals.md.
   */
  "mcpServer/elicitation/request": { params: McpServerElicitationRequestParams; result: McpServerElicitationRequestResponse };
};

/** A request of a client. */
export type ClientRequest = {
  [M in keyof Methods]: { id: RequestId; method: M; params: Methods[M]["params"] };
}[keyof Methods];

/** A notification of a client. */
export type ClientNotification = {
  [N in keyof ClientNotifications]: { method: N; params: ClientNotifications[N] };
}[keyof ClientNotifications];

/** A notification of the server. `seq` and `epoch` are for clients that asked for numbers. */
export type ServerNotification = {
  [N in keyof Notifications]: {
    method: N;
    params: Notifications[N];
    /** Unix milliseconds. */
    emittedAtMs: number;
    seq?: number;
    epoch?: number;
  };
}[keyof Notifications];

/** A request of the server. */
export type ServerRequest = {
  [R in keyof ServerRequests]: { id: RequestId; method: R; params: ServerRequests[R]["params"] };
}[keyof ServerRequests];

/** The answer to a request, of either side. The id is null where the request could not be read. */
export type Answer<Result> = { id: RequestId; result: Result } | { id: RequestId | null; error: WireError };

/** Every `data.reason` of an error of this version. */
export type Reason =
  /** A turn or a call runs. Wait for its end, interrupt it, or unload with force. */
  | "active"
  /** The running turn compacts the conversation and takes no input. */
  | "activeTurnNotSteerable"
  /** Somebody has answered the question differently; the message says who and when. */
  | "alreadyAnswered"
  /** This connection has sent `initialize` before. */
  | "alreadyInitialized"
  /** A cursor names an item; `turnId` has to name its turn. */
  | "anchorWithoutTurn"
  /** The answer would exceed `limits.answer_bytes`. Read in pages. */
  | "answerTooLarge"
  /** The thread was archived or brought back while the resume waited. */
  | "archivedMeanwhile"
  /** The arguments of a tool are not an object. */
  | "badArguments"
  /** The token budget of a goal is not positive, or a limit is out of range. */
  | "badBudget"
  /** The settings, or a value for them, are wrong. The message names key and place. */
  | "badConfig"
  /** A member of a new token is wrong; `path` names it. */
  | "badCredential"
  /** The cursor belongs to another list, or its place in the history is gone. */
  | "badCursor"
  /** A message has more than one of `method`, `result` and `error`. */
  | "badEnvelope"
  /** The `error` of an answer is not an object with a code and a message. */
  | "badError"
  /** An id is missing, too long, or neither a text nor a 64-bit integer. */
  | "badId"
  /** An item for the model's history is not an object of its interface. */
  | "badItem"
  /** A dotted key names no place that can be written. */
  | "badKey"
  /** The method is not a text. */
  | "badMethod"
  /** A tool that a client brings has a wrong name or shape. */
  | "badTools"
  /** The message is a JSON array. Send each request in a message of its own. */
  | "batch"
  /** A fault of the server ended the thread's work. Resume the thread. */
  | "brokeOff"
  /** The thread, or the day, has used its budget. The message names the limit and how to raise it. */
  | "budget"
  /** The thread's mailbox is full. Try again after `retryAfterMs`. */
  | "busy"
  /** The call to a helper was cancelled. */
  | "cancelled"
  /** Another token has this name or this secret. */
  | "credentialExists"
  /** No session or token has this id, and no token this name. */
  | "credentialNotFound"
  /** The file of sessions and tokens could not be written. */
  | "credentialsUnwritten"
  /** A fault of the server dropped the request. Try again. */
  | "dropped"
  /** A member stands twice in the message. */
  | "duplicateMember"
  /** A text is empty; null removes the member. */
  | "empty"
  /** A turn needs at least one element of input that is not a blank text. */
  | "emptyInput"
  /** The name of a thread is empty. */
  | "emptyName"
  /** The objective of a goal is empty. */
  | "emptyObjective"
  /** The search term is empty. */
  | "emptySearch"
  /** The thread is ephemeral and has no saved history to act on. */
  | "ephemeral"
  /** The folder of feedback is full. The operator has to clear it. */
  | "feedbackFull"
  /** The disk refused the feedback. */
  | "feedbackNotKept"
  /** The feedback is too large. */
  | "feedbackTooLarge"
  /** The connection has less access than the method, or the member in `field`, needs; see `scope`. */
  | "forbidden"
  /** The database did not say whether it made the fork, or the server stopped meanwhile. List the threads before you ask again. */
  | "forkUnknown"
  /** The settings switch this helper off. */
  | "helperDisabled"
  /** The helper ended during the call. */
  | "helperEnded"
  /** The connection to a helper over HTTP failed during the call. */
  | "helperLost"
  /** The helper did not start, or is not there any more. */
  | "helperNotRunning"
  /** The helper answered with an error. */
  | "helperRefused"
  /** The helper shows no sign of life, and its `on_unresponsive` is `fail`. */
  | "helperUnresponsive"
  /** The list of helpers could not be made. */
  | "helpersUnreadable"
  /** The list of threads is not available. Threads can still be read by id. */
  | "indexUnavailable"
  /** The helper asks a question that nobody can be asked. */
  | "inputRefused"
  /** The params have a wrong shape; `path` names the member. */
  | "invalidParams"
  /** The client's answer to a question has a wrong shape; `path` names the member. */
  | "invalidResult"
  /** No method has this name. */
  | "methodNotFound"
  /** The disk does not answer; the thread may still move. List it again. */
  | "moveUnknown"
  /** The OpenRPC document could not be made. */
  | "noDocument"
  /** `skein/quiesce` needs a server with `--test-fences`. */
  | "noFences"
  /** The thread has no goal. Name an objective to set one. */
  | "noGoal"
  /** The list of items to add is empty. */
  | "noItems"
  /** The message has no method. */
  | "noMethod"
  /** No model provider has this name. The message lists those that exist. */
  | "noProvider"
  /** The home has no server at the moment. */
  | "noServer"
  /** The history has no turn with this id. */
  | "noSuchTurn"
  /** No turn runs that could be steered or interrupted. */
  | "noTurn"
  /** `expectedTurnId` is empty. */
  | "noTurnNamed"
  /** There is no turn to take back, or `numTurns` is 0. */
  | "noTurns"
  /** The message is not a JSON object. */
  | "notAnObject"
  /** The disk refused the copy. Nothing of the copy is left. */
  | "notForked"
  /** The connection has to send `initialize` first. */
  | "notInitialized"
  /** The message is not JSON. */
  | "notJson"
  /** The thread is not loaded. Resume it first. */
  | "notLoaded"
  /** The disk refused to move the thread. The thread stays where it is. */
  | "notMoved"
  /** The disk does not take the thread's records. Send the same again later. */
  | "notSaved"
  /** The thread has no message yet and cannot be archived. */
  | "nothingSaid"
  /** The update has no member to change. */
  | "nothingToChange"
  /** The thread has no saved history yet. */
  | "nothingToFork"
  /** Only the settings file of the home can be written. */
  | "otherFile"
  /** Another turn runs than the one that the request names; see `activeTurnId`. */
  | "otherTurn"
  /** Another server has the thread and does not answer. Try again after `retryAfterMs`. */
  | "ownerUnreachable"
  /** No message waits in the queue, so none can be started. */
  | "queueEmpty"
  /** The queue has its most messages or bytes. Start or delete one first. */
  | "queueFull"
  /** The queue does not have this message. `turnId` says that it became that turn. */
  | "queuedGone"
  /** An order of the queue names a message twice. */
  | "queuedTwice"
  /** The read state has changed; see `readState`. */
  | "readStateConflict"
  /** Too many requests of this connection wait already. */
  | "requestsInFlight"
  /** Too many threads of this connection are catching up already. */
  | "resumesUnderWay"
  /** The search term is too long. */
  | "searchTooLong"
  /** The server that had the thread or the home ended before it answered; another one goes on. */
  | "serverEnded"
  /** The server is stopping. Connect again and resume. */
  | "serverStops"
  /** Reading the settings again broke off. Nothing has changed. */
  | "settingsUnreadable"
  /** The settings could not be shown. */
  | "settingsUnshown"
  /** The settings file could not be written. */
  | "settingsUnwritten"
  /** The running turn has not taken earlier input yet. Try again after `retryAfterMs`. */
  | "steersFull"
  /** The database of threads does not serve now. Try again after `retryAfterMs`. */
  | "storeUnavailable"
  /** The thread has other subscribers. Unload with force, or wait. */
  | "subscribed"
  /** The connection has as many threads as it may have (`limits.subscriptions`). Leave one first. */
  | "subscriptions"
  /** A thread with this id exists. Resume it. */
  | "threadExists"
  /** No thread has this id. */
  | "threadNotFound"
  /** The message is nested too deeply. */
  | "tooDeep"
  /** A text is too long; `path` names it. */
  | "tooLong"
  /** There are too many tokens. Revoke one. */
  | "tooManyCredentials"
  /** The tool has changed since the call was allowed. The call was not made. */
  | "toolChanged"
  /** The settings do not enable this tool. */
  | "toolNotEnabled"
  /** The helper does not list this tool. */
  | "toolNotOffered"
  /** The tool did not answer within its `tool_timeout_sec`. */
  | "toolTimedOut"
  /** A turn runs, and the message can begin one only behind it. */
  | "turnRuns"
  /** `lastTurnId` and `beforeTurnId` exclude each other. */
  | "twoBounds"
  /** The thread has no helper with this name. */
  | "unknownHelper"
  /** No question with this id waits for an answer. */
  | "unknownQuestion"
  /** The history has no turn with this id. */
  | "unknownTurn"
  /** A file of the thread, or a message, cannot be read. The message says why. */
  | "unreadable"
  /** The server does not support this member; `path` names it. */
  | "unsupported"
  /** The settings file has changed; `expectedVersion` is out of date. */
  | "versionConflict"
  /** An unsubscribe withdrew the resume. Resume again. */
  | "withdrawn";

/** The access that a connection has, and the least access that a method needs. Each level includes the ones before it. */
export type Access = "read" | "chat" | "admin";

/** An account with a provider of models. */
export type Account = {
  type: "apiKey";
} | {
  email: string | null;
  planType: PlanType;
  type: "chatgpt";
  workspaceName: string | null;
} | {
  type: "amazonBedrock";
  usesCodexManagedCredentials: boolean;
} | {
  type: "gcp";
};

/** The region that the requests of an account must stay in. */
export type AccountRoutingOverride = "NO_CONSTRAINT" | "us" | "us_cr";

/** The tokens of one day. */
export type AccountTokenUsageDailyBucket = {
  startDate: string;
  tokens: number;
};

/** The tokens of an account. */
export type AccountTokenUsageSummary = {
  currentStreakDays: number | null;
  lifetimeTokens: number | null;
  longestRunningTurnSec: number | null;
  longestStreakDays: number | null;
  peakDailyTokens: number | null;
};

/** The named permission profile in force. */
export type ActivePermissionProfile = {
  extends: string | null;
  id: string;
};

/** A piece of context that the client adds to a turn. */
export type AdditionalContextEntry = {
  kind: AdditionalContextKind;
  name?: string | null;
  value: string;
};

/** The trust in a piece of context. */
export type AdditionalContextKind = "untrusted" | "application";

/** Requests and connections that did not get in. */
export type AdmissionCounts = {
  /** The open connections, equal ones together. Empty for clients below the access `admin`. */
  admitted: AdmittedEntry[];
  /** Requests without a right credential. */
  credentialsTotal: number;
  /** Requests of helpers. */
  helpersTotal: number;
  /** The last refused origins, the newest last. */
  lastOrigins: RefusedOriginEntry[];
  /** Requests of pages whose origin is not allowed. */
  originsTotal: number;
  /** Connections of other users to unix sockets. */
  usersTotal: number;
};

/** Open connections that came in with the same right. */
export type AdmittedEntry = {
  /** Their number. */
  connections: number;
  /** The door that they came by. */
  door: DoorKind;
  /** The origin of their page; null for programs. */
  origin: string | null;
  /** Their access. */
  scope: Access;
  /** Their client: `a local program`, `helper "NAME"`, `session "LABEL"` or `token "NAME"`. */
  who: string;
};

/** An unusual way in which a message reaches the user. */
export type AgentMessageDelivery = "async";

/** Params of `item/agentMessage/delta`. */
export type AgentMessageDeltaNotification = {
  delta: string;
  itemId: ItemId;
  threadId: ThreadId;
  turnId: TurnId;
};

/** The display of a moderated message. */
export type AgentMessageDisplay = {
  action: string;
  blockType: string | null;
  checkTrustedContacts: boolean | null;
  cyberTrustedAccess: boolean | null;
};

/** A piece of a message from one agent to another. */
export type AgentMessageInputContent = {
  text: string;
  type: "input_text";
} | {
  encrypted_content: string;
  type: "encrypted_content";
};

/** A message of the agent. */
export type AgentMessageItem = {
  delivery: AgentMessageDelivery | null;
  id: ItemId;
  memoryCitation: MemoryCitation | null;
  moderation: AgentMessageModeration | null;
  phase: MessagePhase | null;
  questions: AsyncUserInputQuestion[] | null;
  text: string;
};

/** The result of moderating a message. */
export type AgentMessageModeration = {
  display: AgentMessageDisplay | null;
  moderated: boolean;
};

/** The reviewer of approvals. */
export type ApprovalsReviewer = "user" | "auto_review" | "guardian_subagent";

/** When to ask the user for approval. */
export type AskForApproval = "untrusted" | "on-request" | "never" | {
  granular: GranularApproval;
};

/** A question that the user may answer later. */
export type AsyncUserInputQuestion = {
  options: string[] | null;
  title: string;
};

/** Params of `account/bedrock/checkGovCloudRequirements`: nothing. */
export type BedrockCheckGovCloudRequirementsParams = { [key: string]: unknown };

/** Response of `account/bedrock/checkGovCloudRequirements`. */
export type BedrockCheckGovCloudRequirementsResponse = {
  isGovCloud: boolean;
  shouldWarn: boolean;
};

/** The budget of a thread, in a notification. */
export type BudgetDetails = {
  /** The limits that hold for the thread, with their use. */
  budget: BudgetState[];
};

/** The extent of a limit. */
export type BudgetScope = "turn" | "thread" | "day" | "rounds";

/** A limit that holds for a thread, and its use. */
export type BudgetState = {
  /** The limit, with what the user has added to it. */
  limit: number;
  /** Its extent. */
  scope: BudgetScope;
  /** The unit of both. */
  unit: BudgetUnit;
  /** The use. At the limit no request to a model begins. */
  used: number;
};

/** The unit of a limit. */
export type BudgetUnit = "tokens" | "rounds";

/** A range of bytes, its end excluded. */
export type ByteRange = {
  end: number;
  start: number;
};

/** The place of a folder of capabilities. */
export type CapabilityRootLocation = {
  environmentId: string;
  path: string;
  type: "environment";
};

/** A notification to all connections, as clients that opted in received it. */
export type CatalogChange = {
  /** When it was first sent, in Unix milliseconds. */
  emittedAtMs: number;
  /** The method. */
  method: string;
  /** The params, with the catalog position in `skein`. */
  params: { [key: string]: unknown };
};

/**
 * A position in the catalog, the sequence of the notifications of scope `all` about threads, such as
 * `thread/started`, `thread/status/changed` and `thread/name/updated`. Clients that opted in to `skein/events` find
 * it in these params. Numbers rise; a missing one belongs to a notification that this connection does not receive.
 */
export type CatalogPlace = {
  /** The server start that the number belongs to. */
  catalogEpoch: string;
  /** The number. */
  catalogSeq: number;
};

/** The client's name and version. */
export type ClientInfo = {
  name: string;
  title?: string | null;
  version: string;
};

/** A server whose threads are in a database. */
export type ClusterCounts = {
  /** Milliseconds since the server sent the last beat that the database has confirmed. It sends one each second. */
  beatAgeMs: number;
  /** The database, as the server sees it. */
  database: DatabaseCounts;
  /** The id of the cluster, which its database has. */
  id: string;
  /** The links that other servers have here: one for each of them, and one for each of their clients that uses a thread of this one. */
  links: number;
  /** The id of the server's row in the database. */
  node: string;
  /** The servers whose rows live, this one included, as of the newest confirmed beat; 0 before the first. */
  nodes: number;
  /** The other servers whose announcements come here. */
  observed: number;
  /** Those servers, by their names. */
  others: OtherServer[];
  /** Whether the database answers. */
  standing: NodeStanding;
};

/** The kind of a turn's error, for programs. */
export type CodexErrorInfo = "contextWindowExceeded" | "sessionBudgetExceeded" | "usageLimitExceeded" | "rateLimitExceeded" | "flexUnavailable" | "serverOverloaded" | "modelNotFound" | "policyCapacityUnavailable" | "cyberPolicy" | "misalignmentPolicyViolation" | "tooManyDenials" | "internalServerError" | "unauthorized" | "badRequest" | "threadRollbackFailed" | "sandboxError" | "other" | "inferenceHookDenied" | {
  httpConnectionFailed: {
    httpStatusCode: number | null;
  };
} | {
  responseStreamConnectionFailed: {
    httpStatusCode: number | null;
  };
} | {
  responseStreamDisconnected: {
    httpStatusCode: number | null;
  };
} | {
  responseTooManyFailedAttempts: {
    httpStatusCode: number | null;
  };
} | {
  activeTurnNotSteerable: {
    turnKind: NonSteerableTurnKind;
  };
} | UnknownErrorInfo;

/** The state of another agent. */
export type CollabAgentState = {
  message: string | null;
  status: CollabAgentStatus;
};

/** The state of another agent. */
export type CollabAgentStatus = "pendingInit" | "running" | "interrupted" | "completed" | "errored" | "shutdown" | "notFound";

/** The actions of one agent on another. */
export type CollabAgentTool = "spawnAgent" | "sendInput" | "resumeAgent" | "wait" | "closeAgent" | "sendMessage" | "followupTask" | "interruptAgent" | "listAgents";

/** An action of the agent on another agent. */
export type CollabAgentToolCallItem = {
  agentsStates: { [key: string]: CollabAgentState };
  id: ItemId;
  model: string | null;
  prompt: string | null;
  reasoningEffort: string | null;
  receiverThreadIds: ThreadId[];
  senderThreadId: ThreadId;
  status: CollabAgentToolCallStatus;
  tool: CollabAgentTool;
};

/** The state of a call of an agent's tool. */
export type CollabAgentToolCallStatus = "inProgress" | "completed" | "failed" | "interrupted";

/** A preset of mode and model settings. */
export type CollaborationMode = {
  mode: ModeKind;
  settings: Settings;
};

/** Params of `collaborationMode/list`: nothing. */
export type CollaborationModeListParams = { [key: string]: unknown };

/** Response of `collaborationMode/list`. */
export type CollaborationModeListResponse = {
  data: CollaborationModeMask[];
};

/** A mode that the user can choose. */
export type CollaborationModeMask = {
  mode: ModeKind | null;
  model: string | null;
  name: string;
  reasoning_effort: string | null;
};

/** A preset of mode and model settings. */
export type CollaborationModeParam = {
  mode: ModeKind;
  settings: SettingsParam;
};

/** The action of a command, as far as it was recognised. */
export type CommandAction = {
  command: string;
  name: string;
  path: string;
  type: "read";
} | {
  command: string;
  path: string | null;
  type: "listFiles";
} | {
  command: string;
  path: string | null;
  query: string | null;
  type: "search";
} | {
  command: string;
  type: "unknown";
};

/** A command that the agent ran. */
export type CommandExecutionItem = {
  aggregatedOutput: string | null;
  command: string;
  commandActions: CommandAction[];
  cwd: string;
  durationMs: number | null;
  exitCode: number | null;
  id: ItemId;
  pluginId: string | null;
  processId: string | null;
  scriptPath: string | null;
  source: CommandExecutionSource;
  status: CommandExecutionStatus;
};

/** The source of a command. */
export type CommandExecutionSource = "agent" | "userShell" | "unifiedExecStartup" | "unifiedExecInteraction";

/** The state of a command. */
export type CommandExecutionStatus = "inProgress" | "completed" | "failed" | "declined";

/** The settings in force. */
export type Config = {
  analytics: { [key: string]: unknown } | null;
  approval_policy: AskForApproval | null;
  approvals_reviewer: ApprovalsReviewer | null;
  apps: { [key: string]: unknown } | null;
  browser_use: { [key: string]: unknown } | null;
  client_search_provider: string | null;
  compact_prompt: string | null;
  computer_use: { [key: string]: unknown } | null;
  desktop: { [key: string]: unknown } | null;
  developer_instructions: string | null;
  forced_chatgpt_workspace_id: unknown;
  forced_login_method: string | null;
  instructions: string | null;
  model: string | null;
  model_auto_compact_token_limit: number | null;
  model_auto_compact_token_limit_scope: string | null;
  model_context_window: number | null;
  model_provider: string | null;
  model_reasoning_effort: string | null;
  model_reasoning_summary: ReasoningSummary | null;
  model_verbosity: string | null;
  review_model: string | null;
  sandbox_mode: SandboxMode | null;
  sandbox_workspace_write: { [key: string]: unknown } | null;
  service_tier: string | null;
  tools: { [key: string]: unknown } | null;
  web_search: string | null;
};

/** Params of `config/batchWrite`. */
export type ConfigBatchWriteParams = {
  edits: ConfigEdit[];
  expectedVersion?: string | null;
  filePath?: string | null;
  reloadUserConfig?: boolean;
};

/** One change of the settings file. */
export type ConfigEdit = {
  keyPath: string;
  mergeStrategy: MergeStrategy;
  value: unknown;
};

/** One source of settings, with its content. */
export type ConfigLayer = {
  config: unknown;
  disabledReason: string | null;
  name: ConfigLayerSource;
  version: string;
};

/** One source of settings. */
export type ConfigLayerMetadata = {
  name: ConfigLayerSource;
  version: string;
};

/** The name of a source of settings. */
export type ConfigLayerSource = {
  file: string;
  type: "packagedDefaults";
} | {
  domain: string;
  key: string;
  type: "mdm";
} | {
  file: string;
  type: "system";
} | {
  id: string;
  name: string;
  type: "enterpriseManaged";
} | {
  file: string;
  profile: string | null;
  type: "user";
} | {
  dotCodexFolder: string;
  type: "project";
} | {
  type: "sessionFlags";
} | {
  file: string;
  type: "legacyManagedConfigTomlFromFile";
} | {
  type: "legacyManagedConfigTomlFromMdm";
};

/** Params of `config/mcpServer/reload`: nothing, which the peer writes as `null`; an empty object is read too. */
export type ConfigMcpServerReloadParams = null;

/** Params of `config/read`. */
export type ConfigReadParams = {
  cwd?: string | null;
  includeLayers?: boolean;
};

/** Response of `config/read`. */
export type ConfigReadResponse = {
  config: Config;
  /** Only on request. */
  layers?: ConfigLayer[] | null;
  /** The origin of each value, by dotted key. Defaults have none. */
  origins: { [key: string]: ConfigLayerMetadata };
};

/** Params of `configRequirements/read`: nothing. */
export type ConfigRequirementsReadParams = { [key: string]: unknown };

/** Response of `configRequirements/read`. */
export type ConfigRequirementsReadResponse = {
  requirements: { [key: string]: unknown } | null;
  supportsIndependentSpeedModes: boolean | null;
};

/** Params of `config/value/write`. */
export type ConfigValueWriteParams = {
  expectedVersion?: string | null;
  filePath?: string | null;
  keyPath: string;
  mergeStrategy: MergeStrategy;
  value: unknown;
};

/** Params of `configWarning`. */
export type ConfigWarningNotification = {
  details: string | null;
  path?: string | null;
  range?: TextRange | null;
  summary: string;
};

/** Response of `config/value/write` and `config/batchWrite`. */
export type ConfigWriteResponse = {
  filePath: string;
  overriddenMetadata: OverriddenMetadata | null;
  status: WriteStatus;
  version: string;
};

/** A change of the reasoning settings within a history. */
export type ConfigurationReasoning = {
  effort: string;
};

/** A level of containment. */
export type ContainmentRung = "guard" | "cgroup" | "namespace";

/** The required containment of helpers. */
export type ContainmentSetting = "auto" | "guard" | "cgroup" | "namespace";

/** A piece of a message. */
export type ContentItem = {
  text: string;
  type: "input_text";
} | {
  detail?: ImageDetail | null;
  type: "input_image";
} & ({
  image_url: string;
} | {
  file_id: string;
}) | {
  type: "input_audio";
} & ({
  audio_url: string;
} | {
  file_id: string;
}) | {
  annotations?: unknown[] | null;
  logprobs?: unknown[] | null;
  text: string;
  type: "output_text";
};

/** The place where older history was replaced by a summary. */
export type ContextCompactionItem = {
  id: ItemId;
};

/** A session or token, without its secret. Times are Unix seconds. */
export type CredentialDetail = {
  /** Its creation. */
  createdAt: number;
  /** Its end. That of a session moves with each use; null means never. */
  expiresAt: number | null;
  /** Its id. */
  id: string;
  /** Its kind. */
  kind: CredentialType;
  /** Its last use. */
  lastUsedAt: number | null;
  /** The name of a token, or the label of a session. */
  name: string;
  /** The only origin that may send it; null means any. */
  origin: string | null;
  /** The access that it gives. */
  scope: Access;
};

/** The kinds of credentials that last. */
export type CredentialType = "session" | "token";

/** Prepaid credits. */
export type CreditsSnapshot = {
  balance: string | null;
  hasCredits: boolean;
  unlimited: boolean;
};

/** An access programme for security work. */
export type CyberAccessProgram = "standard" | "daybreakBlue" | "daybreakRed";

/** A database, as a server sees it. */
export type DatabaseCounts = {
  /** Microseconds from the last confirmed beat to its answer. */
  beatMicros: number;
  /** Callers that wait for such a connection. */
  callersWaiting: number;
  /** Connections for reads that are in use. */
  connectionsBusy: number;
  /** Why the newest beat failed; absent if it did not. */
  failure?: string | null;
  /** The id of its life. Another one means that the database may have lost commits, as after the promotion of a standby. */
  life: string;
};

/** A way into the server. */
export type DoorKind = "unix" | "loopback" | "remote";

/** The call of a client-side tool. */
export type DynamicToolCallItem = {
  arguments: unknown;
  contentItems: DynamicToolCallOutputContentItem[] | null;
  durationMs: number | null;
  id: ItemId;
  namespace: string | null;
  status: DynamicToolCallStatus;
  success: boolean | null;
  tool: string;
};

/** A piece of the output of a client-side tool. */
export type DynamicToolCallOutputContentItem = {
  text: string;
  type: "inputText";
} | {
  imageUrl: string;
  type: "inputImage";
} | {
  audioUrl: string;
  type: "inputAudio";
};

/** Params of `item/tool/call`. */
export type DynamicToolCallParams = {
  arguments: unknown;
  callId: ItemId;
  namespace: string | null;
  threadId: ThreadId;
  tool: string;
  turnId: TurnId;
};

/** The answer to `item/tool/call`: the tool's output, and whether the call succeeded. */
export type DynamicToolCallResponse = {
  contentItems: DynamicToolCallOutputContentItem[];
  success: boolean;
};

/** The state of a client-side tool call. */
export type DynamicToolCallStatus = "inProgress" | "completed" | "failed";

/** One tool of a namespace of client-side tools. */
export type DynamicToolNamespaceTool = {
  deferLoading?: boolean;
  description: string;
  inputSchema: unknown;
  name: string;
  type: "function";
};

/** A tool that the client runs. */
export type DynamicToolSpec = {
  deferLoading?: boolean;
  description: string;
  inputSchema: unknown;
  name: string;
  type: "function";
} | {
  description: string;
  name: string;
  tools: DynamicToolNamespaceTool[];
  type: "namespace";
};

/** The beginning of a review. */
export type EnteredReviewModeItem = {
  id: ItemId;
  review: string;
};

/**
 * The version of a thread's history, from 1. It changes when saved history was rewritten or may be lost, and in a
 * fork.
 */
export type Epoch = number;

/** The subject of an error, for programs. Members that do not apply are left out. */
export type ErrorData = {
  /** The running turn, if another one was named. */
  activeTurnId?: TurnId | null;
  /**
   * The kind of a turn's error; `message` repeats the sentence, because clients of the peer read a `TurnError`
   * here.
   */
  codexErrorInfo?: CodexErrorInfo | null;
  /** The member that needs it, as a path from `params`. */
  field?: string | null;
  /** The next step, if `message` does not name it. */
  hint?: string | null;
  /** The item. */
  itemId?: ItemId | null;
  /** See `codexErrorInfo`. */
  message?: string | null;
  /** The method, cut to 64 characters. */
  method?: string | null;
  /** The field, as a path from `params`, such as `input[0].text`. */
  path?: string | null;
  /** The read state, if the request expects another one. */
  readState?: ThreadReadState | null;
  /** A stable word that clients can compare. */
  reason: string;
  /** The time after which to retry, in milliseconds from now. */
  retryAfterMs?: number | null;
  /** The access that the request needs. */
  scope?: Access | null;
  /** The helper, by its configured name. */
  server?: string | null;
  /** The thread. */
  threadId?: ThreadId | null;
  /** The tool. */
  tool?: string | null;
  /** The turn. */
  turnId?: TurnId | null;
};

/** Params of `error`. */
export type ErrorNotification = {
  error: TurnError;
  /** When the model is asked again; left out if that is not known, and without `willRetry`. */
  skein?: NextTry | null;
  threadId: ThreadId;
  turnId: TurnId;
  willRetry: boolean;
};

/** The number of a record in one thread's history. Numbers rise for ever; clients see gaps. */
export type EventSeq = number;

/** The end of a review, with its text. */
export type ExitedReviewModeItem = {
  id: ItemId;
  review: string;
};

/** A feature with a switch. */
export type ExperimentalFeature = {
  announcement: string | null;
  defaultEnabled: boolean;
  description: string | null;
  displayName: string | null;
  enabled: boolean;
  name: string;
  stage: ExperimentalFeatureStage;
};

/** Params of `experimentalFeature/list`. */
export type ExperimentalFeatureListParams = {
  cursor?: string | null;
  limit?: number | null;
  threadId?: ThreadId | null;
};

/** Response of `experimentalFeature/list`. */
export type ExperimentalFeatureListResponse = {
  data: ExperimentalFeature[];
  nextCursor: string | null;
};

/** The stage of a feature. */
export type ExperimentalFeatureStage = "beta" | "underDevelopment" | "stable" | "deprecated" | "removed";

/** Params of `feedback/upload`. */
export type FeedbackUploadParams = {
  classification: string;
  extraLogFiles?: string[] | null;
  includeLogs?: boolean;
  reason?: string | null;
  tags?: { [key: string]: string } | null;
  threadId?: ThreadId | null;
};

/** Response of `feedback/upload`. */
export type FeedbackUploadResponse = {
  promptHash: string | null;
  threadId: ThreadId;
};

/** A change of files. */
export type FileChangeItem = {
  changes: FileUpdateChange[];
  id: ItemId;
  status: PatchApplyStatus;
};

/** The change of one file. */
export type FileUpdateChange = {
  diff: string;
  kind: PatchChangeKind;
  path: string;
};

/** The output of a function: a text, or pieces. */
export type FunctionCallOutputBody = string | FunctionCallOutputContentItem[];

/** A piece of the output of a function. */
export type FunctionCallOutputContentItem = {
  text: string;
  type: "input_text";
} | {
  detail?: ImageDetail | null;
  type: "input_image";
} & ({
  image_url: string;
} | {
  file_id: string;
}) | {
  type: "input_audio";
} & ({
  audio_url: string;
} | {
  file_id: string;
}) | {
  encrypted_content: string;
  type: "encrypted_content";
};

/** The output of a client-side tool that began the turn. */
export type FunctionCallOutputItem = {
  id: ItemId;
  name: string;
  namespace: string | null;
  output: FunctionCallOutputBody;
};

/** The reasons. */
export type GapReason = "otherEpoch" | "unknownSeq" | "damaged" | "tooMany" | "notStored";

/** The source of a provider's key. */
export type GatewayAuth = {
  mode: "none";
} | {
  envKey: string;
  mode: "environmentVariable";
} | {
  envKey?: string | null;
  mode: "externallyConfigured";
};

/** Params of `account/read`. */
export type GetAccountParams = {
  refreshToken?: boolean;
};

/** Params of `account/rateLimits/read`. */
export type GetAccountRateLimitsParams = {
  excludeResetCreditDetails?: boolean;
  supportsLunaReserve?: boolean;
};

/** Response of `account/rateLimits/read`. */
export type GetAccountRateLimitsResponse = {
  accountId: string | null;
  ordinaryUsageAllowed: boolean | null;
  rateLimitResetCredits: RateLimitResetCreditsSummary | null;
  rateLimitUpsell: unknown;
  rateLimits: RateLimitSnapshot;
  rateLimitsByLimitId: { [key: string]: RateLimitSnapshot } | null;
};

/** Response of `account/read`. */
export type GetAccountResponse = {
  account: Account | null;
  requiresOpenaiAuth: boolean;
  userId: string | null;
  workspaceRouting: WorkspaceRouting | null;
};

/** Params of `account/usage/read`. */
export type GetAccountTokenUsageParams = {
  threadId?: ThreadId | null;
};

/** Response of `account/usage/read`. */
export type GetAccountTokenUsageResponse = {
  dailyUsageBuckets: AccountTokenUsageDailyBucket[] | null;
  summary: AccountTokenUsageSummary;
  threadUsage: ThreadUsage | null;
};

/** The state of the working directory's repository when the thread began. */
export type GitInfo = {
  branch: string | null;
  originUrl: string | null;
  sha: string | null;
};

/** When to ask the user, by kind of question. */
export type GranularApproval = {
  mcp_elicitations: boolean;
  request_permissions?: boolean;
  rules: boolean;
  sandbox_approval: boolean;
  skill_approval?: boolean;
};

/** The containment of helpers, as found at the server's start and with the newest helper. */
export type HeldDetails = {
  /** The parent cgroup of the helpers' cgroups; absent if they get none. */
  cgroup?: string | null;
  /** `helpers.containment`. */
  configured: ContainmentSetting;
  /** The level for new helpers; absent if the required one is unavailable, and then none starts. */
  inForce?: ContainmentRung | null;
  /** Better levels that are unavailable, the best first, with their reasons. */
  lacking: LackDetails[];
  /** Whether the server adopts, and can stop, processes whose guard died first. */
  subreaper: boolean;
};

/** Helper processes. */
export type HelperCounts = {
  /** Running helpers. */
  alive: number;
  /** The running helpers by their means of containment, such as `guard` or `cgroup`. */
  containment: { [key: string]: number };
  /** Running guards. */
  guards: number;
  /** The containment of the next helper. */
  held: HeldDetails;
  /** Helpers that had to be killed. */
  killedTotal: number;
  /** Processes left by a former server of this home that was killed together with its guards. */
  leftovers: LeftoverCounts;
  /** Helpers without a thread, kept for its resume (`linger`). */
  lingering: number;
  /** Stalled helpers, kept for their running calls. */
  quarantined: number;
  /** Helpers that take calls. */
  ready: number;
  /** Started helpers. */
  startedTotal: number;
  /** Starting helpers. */
  starting: number;
  /** Helpers that ended, on their own or on request. */
  stoppedTotal: number;
  /** Stopping helpers. */
  stopping: number;
  /** How long helpers took to stop. */
  zero: ZeroCounts;
};

/** A helper; one that several threads share is listed once. */
export type HelperDetail = {
  /** The threads that may share it. */
  isolation: HelperIsolation;
  /** Resident memory of these processes. */
  memoryBytes: number;
  /** Its name in the configuration. */
  name: string;
  /** The pid of the started process, while it runs. */
  pid?: number | null;
  /** The process and all its descendants without the guard, parents first. */
  processes: HelperProcess[];
  /** The MCP revision of the session, once known. */
  protocolVersion?: string | null;
  /** A stalled helper that was replaced: it takes no new calls and stops after its running ones. */
  quarantined: boolean;
  /** Messages that the helper has not read yet. */
  queued: number;
  /** The reason why it does not run. */
  reason?: string | null;
  /** The state of its life. */
  state: HelperState;
  /** The last lines on stderr. */
  stderr: string;
  /** The first thread that uses it; none for a lingering helper. */
  threadId?: ThreadId | null;
  /** All threads that use it. */
  threadIds: ThreadId[];
  /** Calls that wait for its start, or for a sign of life. */
  waiting: number;
  /** Idle except for an open connection: it seems to wait for another service. */
  waitsForOthers: boolean;
};

/** The sharing of a helper. */
export type HelperIsolation = "thread" | "project" | "shared";

/** The moment of a helper's life, for clients that are notified of a change. */
export type HelperMoment = {
  state: HelperState;
};

/** One process of a helper. */
export type HelperProcess = {
  /** Its resident memory. */
  memoryBytes: number;
  /** The system's name for it; never its arguments, which may be secret. */
  name: string;
  /** The parent's pid. */
  parent: number;
  /** The pid. */
  pid: number;
};

/** The state of a helper's life. */
export type HelperState = "disabled" | "starting" | "ready" | "busy" | "unresponsive" | "restarting" | "broken" | "stopping" | "stopped";

/** A hook that cannot be read. */
export type HookErrorInfo = {
  message: string;
  path: string;
};

/** The event of a hook. */
export type HookEventName = "preModelRequest" | "postModelRequest" | "preToolUse" | "permissionRequest" | "postToolUse" | "preCompact" | "postCompact" | "sessionStart" | "sessionEnd" | "userPromptSubmit" | "subagentStart" | "subagentStop" | "stop" | "interrupt";

/** A program that runs on an event. */
export type HookMetadata = {
  additionalContextLimit: number | null;
  currentHash: string;
  displayOrder: number;
  enabled: boolean;
  environmentId: string | null;
  eventName: HookEventName;
  isManaged: boolean;
  key: string;
  matcher: string | null;
  pluginId: string | null;
  source: HookSource;
  sourcePath: string;
  statusMessage: string | null;
  timeoutSec: number;
  trustStatus: HookTrustStatus;
} & ({
  async: boolean;
  command: string;
  handlerType: "command";
} | {
  handlerType: "mcpTool";
  server: string;
  tool: string;
} | {
  handlerType: "prompt";
} | {
  handlerType: "agent";
});

/** A piece of a prompt that a hook added. */
export type HookPromptFragment = {
  hookRunId: string;
  text: string;
};

/** A message of a hook in the user's place. */
export type HookPromptItem = {
  fragments: HookPromptFragment[];
  id: ItemId;
};

/** The origin of a hook. */
export type HookSource = "system" | "user" | "project" | "mdm" | "sessionFlags" | "plugin" | "cloudRequirements" | "cloudManagedConfig" | "legacyManagedConfigFile" | "legacyManagedConfigMdm" | "unknown";

/** Whether the user lets a hook run. */
export type HookTrustStatus = "managed" | "untrusted" | "trusted" | "modified";

/** The hooks that a directory has. */
export type HooksListEntry = {
  cwd: string;
  errors: HookErrorInfo[];
  hooks: HookMetadata[];
  warnings: string[];
};

/** Params of `hooks/list`. */
export type HooksListParams = {
  cwds?: string[] | null;
  threadId?: ThreadId | null;
};

/** Response of `hooks/list`. */
export type HooksListResponse = {
  data: HooksListEntry[];
};

/** The detail in which a model looks at an image. */
export type ImageDetail = "auto" | "low" | "high" | "original";

/** The reason why an image was not made. */
export type ImageGenerationFailure = {
  limitId: string;
  resetsAt: number | null;
  type: "usageLimitExceeded";
};

/** An image that another one was made from. */
export type ImageGenerationInputImage = {
  path: string;
  sha256: string;
};

/** An image that the agent made. */
export type ImageGenerationItem = {
  failure?: ImageGenerationFailure | null;
  generationId?: string | null;
  id: ItemId;
  inputImages?: ImageGenerationInputImage[];
  revisedPrompt?: string | null;
  savedPath?: string | null;
  status: string;
  transparentBackground?: boolean | null;
} & ({
  fileId: string;
} | {
  result: string;
});

/** An image that the agent looked at. */
export type ImageViewItem = {
  id: ItemId;
  path: string;
};

/** The list of threads on disk. */
export type IndexCounts = {
  /** Bytes of its rows and orders, without storage overhead. */
  contentBytes: number;
  /** Bytes of its files, after the last flush. */
  diskBytes: number;
  /** `diskBytes` in percent of `contentBytes`; absent while it is empty. */
  diskPercent?: number | null;
  /** The progress of its rebuild, or of its comparison with the histories; absent without one. */
  indexing?: IndexingDetails | null;
  /** Milliseconds of its last opening; absent before the first. */
  openMs?: number | null;
  /** The state of its life. */
  state: IndexState;
};

/** The state of the list of threads. */
export type IndexState = "opening" | "building" | "replacing" | "ready" | "failed";

/** The progress of the rebuild. */
export type IndexingDetails = {
  /** Histories read. */
  done: number;
  /** All known histories. */
  total: number;
};

/** The abilities and wishes of the client. */
export type InitializeCapabilities = {
  experimentalApi?: boolean;
  explicitGatewayOauth?: boolean;
  extensions?: { [key: string]: unknown } | null;
  mcpServerOpenaiFormElicitation?: boolean;
  optOutNotificationMethods?: string[] | null;
  requestAttestation?: boolean;
  requiredHumanApproval?: boolean;
};

/** Params of `initialize`. */
export type InitializeParams = {
  capabilities?: InitializeCapabilities | null;
  clientInfo: ClientInfo;
};

/** Response of `initialize`. */
export type InitializeResponse = {
  codexHome: string;
  platformFamily: string;
  platformOs: string;
  /** The server's extensions of the protocol. */
  skein?: ServerExtensions | null;
  userAgent: string;
};

/** Params of `initialized`: nothing. */
export type InitializedParams = { [key: string]: unknown };

/** A kind of input that a model takes. */
export type InputModality = "text" | "image" | "audio";

/** Metadata that travels with a piece of history untouched. */
export type InternalChatMessageMetadataPassthrough = {
  turn_id?: string | null;
};

/** Params of `item/completed`. */
export type ItemCompletedNotification = {
  completedAtMs: number;
  contentTokenCount: number | null;
  item: ThreadItem;
  threadId: ThreadId;
  turnId: TurnId;
};

/** The id of an item. Any text; it is compared, never built into a path. */
export type ItemId = string;

/** Params of `item/started`. */
export type ItemStartedNotification = {
  item: ThreadItem;
  startedAtMs: number;
  threadId: ThreadId;
  turnId: TurnId;
};

/** An unavailable level of containment. */
export type LackDetails = {
  /** The reason. */
  reason: string;
  /** The level. */
  rung: ContainmentRung;
  /** The remedy. */
  wayOut: string;
};

/** Processes left by a former server. */
export type LeftoverCounts = {
  /** Processes found and ended. */
  endedTotal: number;
  /** Processes that could not be ended. */
  left: number;
  /** Whether the search is done. No helper starts before. */
  looked: boolean;
};

/** The completeness of a list of threads, and its position in the catalog. */
export type ListDetails = {
  /** The server start that the number belongs to. */
  catalogEpoch: string;
  /** The number. */
  catalogSeq: number;
  /** Set while the list is rebuilt: threads may be missing. */
  indexing?: IndexingDetails | null;
  /** The questions that wait for the users, in all threads of the home. */
  needsYou: NeedsYou;
};

/** Params of `mcpServerStatus/list`. */
export type ListMcpServerStatusParams = {
  cursor?: string | null;
  detail?: McpServerStatusDetail | null;
  limit?: number | null;
  serverName?: string | null;
  threadId?: ThreadId | null;
};

/** Response of `mcpServerStatus/list`. */
export type ListMcpServerStatusResponse = {
  data: McpServerStatus[];
  nextCursor: string | null;
};

/** Filters of a list beyond the protocol's. Times are Unix seconds, as in the threads of the answer. */
export type ListOptions = {
  /** Created before. */
  createdBefore?: number | null;
  /** Created then or later. */
  createdSince?: number | null;
  /** Last message before. */
  updatedBefore?: number | null;
  /** Last message then or later. */
  updatedSince?: number | null;
};

/** A question that waits for an answer. */
export type ListedQuestion = {
  /** When it was asked, in Unix milliseconds. */
  askedAt: number;
  /** When it needs no answer any more and its turn is interrupted, in Unix milliseconds; missing if never. */
  expiresAt?: number | null;
  /** The id of the request to clients. */
  id: number;
  /** The item that waits. */
  itemId: ItemId | null;
  /** Its subject. */
  kind: QuestionKind;
  /** Whether its thread is loaded. Others are loaded by the answer. */
  loaded: boolean;
  /** The method of the request to clients. */
  method: string;
  /** The params of the request to clients. */
  params: unknown;
  /** Its thread. */
  threadId: ThreadId;
  /** The user's name for the thread. */
  threadName: string | null;
  /** The turn that waits. */
  turnId: TurnId;
};

/** Details of the threads in memory. */
export type LoadedDetails = {
  /** One entry for each thread of the answer, in the same order. */
  threads: LoadedThread[];
};

/** The state of a loaded thread. */
export type LoadedState = "loading" | "idle" | "running" | "unloading";

/** A thread in memory. */
export type LoadedThread = {
  /** The thread is never saved. */
  ephemeral: boolean;
  /** Its helper processes that are alive. */
  helpers: number;
  /** The thread is saved. */
  materialised: boolean;
  /** Connections that only watch. */
  observers: number;
  /** The name of the server that has it, if it is another one of the cluster. Its connections and helpers are counted there. */
  server?: string | null;
  /** The state of its life. */
  state: LoadedState;
  /** The status that clients see. */
  status: ThreadStatus;
  /** Connections that keep it loaded. */
  subscribers: number;
  /** The thread. */
  threadId: ThreadId;
};

/** A command that a model asked to be run. */
export type LocalShellAction = {
  command: string[];
  env?: { [key: string]: string } | null;
  timeout_ms?: number | null;
  type: "exec";
  user?: string | null;
  working_directory?: string | null;
};

/** The state of such a command. */
export type LocalShellStatus = "completed" | "in_progress" | "incomplete";

/** The display size that such an interface requests. */
export type McpAppDisplayMode = "inline" | "fullscreen";

/** The user interface that belongs to a tool call. */
export type McpAppUi = {
  preferredModelDisplayMode: McpAppDisplayMode;
  resourceUri: string;
};

/** Whether a helper needs, and has, a sign-in. */
export type McpAuthStatus = "unknown" | "unsupported" | "notLoggedIn" | "bearerToken" | "oAuth";

/** The type of a choice of several. */
export type McpElicitationArrayType = "array";

/** A field for yes or no. */
export type McpElicitationBooleanSchema = {
  default?: boolean | null;
  description?: string | null;
  title?: string | null;
  type: McpElicitationBooleanType;
};

/** The type of a yes-or-no field. */
export type McpElicitationBooleanType = "boolean";

/** A choice with its title. */
export type McpElicitationConstOption = {
  const: string;
  title: string;
};

/** A field for a choice. */
export type McpElicitationEnumSchema = McpElicitationSingleSelectEnumSchema | McpElicitationMultiSelectEnumSchema | McpElicitationLegacyTitledEnumSchema;

/** A choice of one, with the titles in a second list. */
export type McpElicitationLegacyTitledEnumSchema = {
  default?: string | null;
  description?: string | null;
  enum: string[];
  enumNames?: string[] | null;
  title?: string | null;
  type: McpElicitationStringType;
};

/** A field for a choice of several. */
export type McpElicitationMultiSelectEnumSchema = McpElicitationUntitledMultiSelectEnumSchema | McpElicitationTitledMultiSelectEnumSchema;

/** A field for a number. */
export type McpElicitationNumberSchema = {
  default?: number | null;
  description?: string | null;
  maximum?: number | null;
  minimum?: number | null;
  title?: string | null;
  type: McpElicitationNumberType;
};

/** The type of a number field. */
export type McpElicitationNumberType = "number" | "integer";

/** The type of a form. */
export type McpElicitationObjectType = "object";

/** A field of a form. */
export type McpElicitationPrimitiveSchema = McpElicitationEnumSchema | McpElicitationStringSchema | McpElicitationNumberSchema | McpElicitationBooleanSchema;

/** The form that a helper wants to be filled in. */
export type McpElicitationSchema = {
  $schema?: string | null;
  properties: { [key: string]: McpElicitationPrimitiveSchema };
  required?: string[] | null;
  type: McpElicitationObjectType;
};

/** A field for a choice of one. */
export type McpElicitationSingleSelectEnumSchema = McpElicitationUntitledSingleSelectEnumSchema | McpElicitationTitledSingleSelectEnumSchema;

/** The format of a text. */
export type McpElicitationStringFormat = "email" | "uri" | "date" | "date-time";

/** A field for a text. */
export type McpElicitationStringSchema = {
  default?: string | null;
  description?: string | null;
  format?: McpElicitationStringFormat | null;
  maxLength?: number | null;
  minLength?: number | null;
  title?: string | null;
  type: McpElicitationStringType;
};

/** The type of a text field. */
export type McpElicitationStringType = "string";

/** The choices with their titles. */
export type McpElicitationTitledEnumItems = {
  anyOf: McpElicitationConstOption[];
};

/** A choice of several, with titles. */
export type McpElicitationTitledMultiSelectEnumSchema = {
  default?: string[] | null;
  description?: string | null;
  items: McpElicitationTitledEnumItems;
  maxItems?: number | null;
  minItems?: number | null;
  title?: string | null;
  type: McpElicitationArrayType;
};

/** A choice of one, with titles. */
export type McpElicitationTitledSingleSelectEnumSchema = {
  default?: string | null;
  description?: string | null;
  oneOf: McpElicitationConstOption[];
  title?: string | null;
  type: McpElicitationStringType;
};

/** The choices. */
export type McpElicitationUntitledEnumItems = {
  enum: string[];
  type: McpElicitationStringType;
};

/** A choice of several. */
export type McpElicitationUntitledMultiSelectEnumSchema = {
  default?: string[] | null;
  description?: string | null;
  items: McpElicitationUntitledEnumItems;
  maxItems?: number | null;
  minItems?: number | null;
  title?: string | null;
  type: McpElicitationArrayType;
};

/** A choice of one. */
export type McpElicitationUntitledSingleSelectEnumSchema = {
  default?: string | null;
  description?: string | null;
  enum: string[];
  title?: string | null;
  type: McpElicitationStringType;
};

/** Params of `mcpServer/resource/read`. */
export type McpResourceReadParams = {
  _meta?: { [key: string]: unknown } | null;
  connectorId?: string | null;
  originCallId?: string | null;
  server: string;
  target?: McpResourceReadTarget | null;
  threadId?: ThreadId | null;
  uri: string;
};

/** Response of `mcpServer/resource/read`. */
export type McpResourceReadResponse = {
  contents: ResourceContent[];
  originCallId: string | null;
};

/** The owner of the resource, if a service has several. */
export type McpResourceReadTarget = {
  connectorId: string;
  /** Null, but not left out. */
  linkId: string | null;
};

/** The state of the connection to a helper. */
export type McpServerConnectionStatus = "notStarted" | "starting" | "connected" | "authenticationRequired" | "failed" | "cancelled" | "disabled";

/** Skein's additions to the state of a helper. */
export type McpServerDetails = {
  /** The MCP revision of the session, such as `2025-11-25`, once known; from `2026-07-28` on without a handshake. */
  protocolVersion?: string | null;
  /** The state of its life. */
  state: HelperState;
  /** Calls that wait for its start, or for a sign of life. */
  waiting: number;
  /** Idle except for an open connection: it seems to wait for another service. */
  waitsForOthers: boolean;
};

/** The user's decision on a helper's question. */
export type McpServerElicitationAction = "accept" | "decline" | "cancel";

/** Params of `mcpServer/elicitation/request`. */
export type McpServerElicitationRequestParams = {
  serverName: string;
  threadId: ThreadId;
  turnId: TurnId | null;
} & ({
  _meta: unknown;
  challenge: string;
  description: string;
  mode: "openai/userVerification";
  title: string;
} | {
  _meta: unknown;
  message: string;
  mode: "form";
  requestedSchema: McpElicitationSchema;
} | {
  _meta: unknown;
  message: string;
  mode: "openai/form";
  requestedSchema: unknown;
} | {
  _meta: unknown;
  message: string;
  mode: "openaiForm";
  requestedSchema: unknown;
} | {
  _meta: unknown;
  elicitationId: string;
  message: string;
  mode: "url";
  url: string;
});

/** The answer to `mcpServer/elicitation/request`. */
export type McpServerElicitationRequestResponse = {
  _meta?: unknown;
  action: McpServerElicitationAction;
  content?: unknown;
};

/** A helper's description of itself. */
export type McpServerInfo = {
  description: string | null;
  icons: unknown[] | null;
  name: string;
  title: string | null;
  version: string;
  websiteUrl: string | null;
};

/** Response of `config/mcpServer/reload`. */
export type McpServerRefreshResponse = { [key: string]: unknown };

/** The reason why a helper did not start, if known. */
export type McpServerStartupFailureReason = "reauthenticationRequired";

/** The state of a helper's start. */
export type McpServerStartupState = "starting" | "ready" | "failed" | "cancelled";

/** A helper: its offers and its state. */
export type McpServerStatus = {
  authStatus: McpAuthStatus;
  httpOrigin: string | null;
  name: string;
  pluginId: string | null;
  resourceTemplates: ResourceTemplate[];
  resources: Resource[];
  runtimeStatus: McpServerConnectionStatus | null;
  serverCapabilities: unknown;
  serverInfo: McpServerInfo | null;
  /** Additions to the peer's members. */
  skein?: McpServerDetails | null;
  toolListMeta: unknown;
  tools: { [key: string]: Tool };
  toolsError: string | null;
};

/** The level of detail in a list of helpers. */
export type McpServerStatusDetail = "full" | "toolsAndAuthOnly";

/** Params of `mcpServer/startupStatus/updated`. */
export type McpServerStatusUpdatedNotification = {
  error: string | null;
  failureReason: McpServerStartupFailureReason | null;
  name: string;
  /** The helper's moment of life. */
  skein?: HelperMoment | null;
  status: McpServerStartupState;
  threadId: ThreadId | null;
};

/** Params of `mcpServer/tool/call`. */
export type McpServerToolCallParams = {
  _meta?: unknown;
  arguments?: unknown;
  server: string;
  threadId: ThreadId;
  tool: string;
};

/** Response of `mcpServer/tool/call`. */
export type McpServerToolCallResponse = {
  _meta?: unknown;
  content: unknown[];
  isError?: boolean | null;
  structuredContent?: unknown;
};

/** The app that a tool call belongs to. */
export type McpToolCallAppContext = {
  actionName: string | null;
  appName: string | null;
  connectorId: string;
  linkId: string | null;
  resourceUri: string | null;
};

/** The error of a tool call. */
export type McpToolCallError = {
  message: string;
};

/** The call of a helper's tool. */
export type McpToolCallItem = {
  appContext: McpToolCallAppContext | null;
  arguments: unknown;
  durationMs: number | null;
  error: McpToolCallError | null;
  id: ItemId;
  mcpAppResourceUri?: string | null;
  mcpAppUi: McpAppUi | null;
  pluginId: string | null;
  readOnlyHint: boolean | null;
  result: McpToolCallResult | null;
  server: string;
  status: McpToolCallStatus;
  tool: string;
};

/** Params of `item/mcpToolCall/progress`. */
export type McpToolCallProgressNotification = {
  itemId: ItemId;
  message: string;
  threadId: ThreadId;
  turnId: TurnId;
};

/** The result of a tool call. */
export type McpToolCallResult = {
  _meta: unknown;
  content: unknown[];
  structuredContent: unknown;
};

/** The state of a tool call. */
export type McpToolCallStatus = "inProgress" | "completed" | "failed";

/** The memories that a message used. */
export type MemoryCitation = {
  entries: MemoryCitationEntry[];
  threadIds: string[];
};

/** Lines of a memory file that a message used. */
export type MemoryCitationEntry = {
  lineEnd: number;
  lineStart: number;
  note: string;
  path: string;
};

/** Memory. */
export type MemoryCounts = {
  /** Resident bytes of the server process. */
  residentBytes: number;
};

/** The treatment of the value in the file. */
export type MergeStrategy = "replace" | "upsert";

/** The part of an answer that a message is. */
export type MessagePhase = "commentary" | "partial_answer" | "final_answer";

/** The result of a review of the agent's conduct. */
export type MisalignmentErrorDetails = {
  detailedExplanation: string | null;
  errorType: string | null;
  reviewTarget?: string | null;
  steer: MisalignmentSteer | null;
};

/** The message to the agent after such a review. */
export type MisalignmentSteer = {
  message: string;
};

/** Whether the agent plans or acts. */
export type ModeKind = "plan" | "default";

/** A model that turns can use. */
export type Model = {
  additionalSpeedTiers: string[];
  availabilityNux: ModelAvailabilityNux | null;
  availableAccessPrograms: ModelAccessPrograms | null;
  defaultReasoningEffort: string;
  defaultServiceTier: string | null;
  description: string;
  displayName: string;
  hidden: boolean;
  id: string;
  inputModalities: InputModality[];
  isDefault: boolean;
  model: string;
  modelSpecialty: string | null;
  multiAgentVersion: MultiAgentVersion | null;
  serviceTiers: ModelServiceTier[];
  supportedReasoningEfforts: ReasoningEffortOption[];
  supportsPersonality: boolean;
  upgrade: string | null;
  upgradeInfo: ModelUpgradeInfo | null;
};

/** The access programmes that offer a model. */
export type ModelAccessPrograms = {
  cyber: CyberAccessProgram[];
};

/** A notice to the user about a model's availability. */
export type ModelAvailabilityNux = {
  message: string;
};

/** Params of `model/list`. */
export type ModelListParams = {
  cursor?: string | null;
  includeHidden?: boolean | null;
  limit?: number | null;
  modelProvider?: string | null;
};

/** Response of `model/list`. */
export type ModelListResponse = {
  data: Model[];
  nextCursor: string | null;
};

/** Params of `modelProvider/capabilities/read`: nothing. */
export type ModelProviderCapabilitiesReadParams = { [key: string]: unknown };

/** Response of `modelProvider/capabilities/read`. */
export type ModelProviderCapabilitiesReadResponse = {
  imageGeneration: boolean;
  webSearch: boolean;
};

/** Params of `modelProvider/list`: nothing. */
export type ModelProviderListParams = { [key: string]: unknown };

/** Response of `modelProvider/list`. */
export type ModelProviderListResponse = {
  /** Whether a client can write another default into the settings, with effect at once. */
  canChangeDefault: boolean;
  data: ModelProviderSummary[];
  /** The provider of threads that name none. */
  defaultProviderId: string;
  /** Skein's extension: the providers that can be used at once. */
  skein?: ProviderDetails | null;
};

/** A provider of models. */
export type ModelProviderSummary = {
  /** Its address, without possible secrets. */
  baseUrl: string | null;
  /** Whether `modelProvider/config/write` changes it. */
  canEdit: boolean;
  /** The value for `modelProvider` and `model_provider`. */
  id: string;
  /** For people. */
  name: string;
  settings: ProviderSettings;
};

/** A service tier of a model. */
export type ModelServiceTier = {
  description: string;
  id: string;
  name: string;
};

/** The model that replaces another one. */
export type ModelUpgradeInfo = {
  migrationMarkdown: string | null;
  model: string;
  modelLink: string | null;
  retirementAt: number | null;
  upgradeCopy: string | null;
};

/** When the agent may start other agents. */
export type MultiAgentMode = "explicitRequestOnly" | "proactive" | {
  custom: string;
};

/** The way in which a model works with other agents. */
export type MultiAgentVersion = "disabled" | "v1" | "v2";

/** The questions that wait for the users of a home, in loaded and other threads. */
export type NeedsYou = {
  /** When the oldest of them was asked, in Unix milliseconds; absent if nothing waits. */
  oldestAt?: number | null;
  /** Their questions. */
  questions: number;
  /** Threads with a question that waits for an answer. */
  threads: number;
};

/** Whether an outer sandbox lets commands reach the network. */
export type NetworkAccess = "restricted" | "enabled";

/** The next try after an error. */
export type NextTry = {
  /** Milliseconds from this notification to the next try. */
  retryInMs: number;
};

/** How a server stands with its database. */
export type NodeStanding = "sure" | "doubtful" | "lost";

/** Kinds of turn that take no further input. */
export type NonSteerableTurnKind = "review" | "compact";

/** Another server of the cluster. */
export type OtherServer = {
  /** The threads that it has loaded. */
  loaded: number;
  /** Its name (`--node-name`). */
  name: string;
};

/** The source that overrides the written value. */
export type OverriddenMetadata = {
  effectiveValue: unknown;
  message: string;
  overridingLayer: ConfigLayerMetadata;
};

/** The state of a patch. */
export type PatchApplyStatus = "inProgress" | "completed" | "failed" | "declined";

/** The kind of change to a file. */
export type PatchChangeKind = {
  type: "add";
} | {
  type: "delete";
} | {
  move_path: string | null;
  type: "update";
};

/** Params of `permissionProfile/list`. */
export type PermissionProfileListParams = {
  cursor?: string | null;
  cwd?: string | null;
  limit?: number | null;
};

/** Response of `permissionProfile/list`. */
export type PermissionProfileListResponse = {
  data: PermissionProfileSummary[];
  nextCursor: string | null;
};

/** The permissions of a turn. */
export type PermissionProfileSummary = {
  allowed: boolean;
  description: string | null;
  id: string;
};

/** The tone of the agent. */
export type Personality = "none" | "friendly" | "pragmatic";

/** Params of `item/plan/delta`. */
export type PlanDeltaNotification = {
  delta: string;
  itemId: ItemId;
  threadId: ThreadId;
  turnId: TurnId;
};

/** A plan that the agent proposes. */
export type PlanItem = {
  id: ItemId;
  text: string;
};

/** The plan of an account. */
export type PlanType = "free" | "go" | "plus" | "pro" | "prolite" | "promax" | "team" | "self_serve_business_prolite" | "self_serve_business_usage_based" | "business" | "ent26" | "enterprise_cbp_automation" | "enterprise_cbp_usage_based" | "enterprise" | "edu" | "edu_plus" | "edu_pro" | "sci" | "sci_plus" | "unknown";

/** Threads evicted for others. */
export type PressureCounts = {
  /** Idle threads that were unloaded because of `limits.loaded_threads` or `limits.memory`. */
  squeezedTotal: number;
  /** Times when a limit was exceeded and no thread was idle. */
  unrelievedTotal: number;
};

/** Details about the providers. */
export type ProviderDetails = {
  /** The providers that need nothing more: they work offline, their key is set, or they answer on this machine. */
  ready: ReadyProvider[];
};

/** How a provider is reached. */
export type ProviderSettings = {
  type: "openai";
} | {
  auth: GatewayAuth;
  type: "customGateway";
} | {
  profile?: string | null;
  region?: string | null;
  type: "bedrock";
} | {
  credentialFile?: string | null;
  location?: string | null;
  projectId?: string | null;
  type: "gcp";
};

/** The subject of a question. */
export type QuestionKind = "approval" | "mayHaveRun" | "input" | "clientCall" | "elicitation" | "budget";

/** A question that waits for an answer, without its text. */
export type QuestionSummary = {
  /** When it was asked, in Unix milliseconds. */
  askedAt: number;
  /** When it needs no answer any more, in Unix milliseconds; missing if never. */
  expiresAt?: number | null;
  /** The id of the request to clients. */
  id: number;
  /** Its subject. */
  kind: QuestionKind;
};

/** A message that waits. Its id is the id of the turn that it becomes. */
export type QueuedSubmission = {
  clientUserMessageId: string;
  id: TurnId;
  input: UserInput[];
  responsesapiClientMetadata: { [key: string]: string } | null;
};

/** The limit that is reached. */
export type RateLimitReachedType = "rate_limit_reached" | "workspace_owner_credits_depleted" | "workspace_member_credits_depleted" | "workspace_owner_usage_limit_reached" | "workspace_member_usage_limit_reached";

/** The right to have a limit lifted once. */
export type RateLimitResetCredit = {
  description: string | null;
  expiresAt: number | null;
  grantedAt: number;
  id: string;
  resetType: RateLimitResetType;
  status: RateLimitResetCreditStatus;
  title: string | null;
};

/** The state of such a right. */
export type RateLimitResetCreditStatus = "available" | "redeeming" | "redeemed" | "unknown";

/** Limits that the user may have lifted. */
export type RateLimitResetCreditsSummary = {
  availableCount: number;
  credits: RateLimitResetCredit[] | null;
};

/** The limit that it lifts. */
export type RateLimitResetType = "codexRateLimits" | "unknown";

/** The use of an account's limits. */
export type RateLimitSnapshot = {
  credits: CreditsSnapshot | null;
  individualLimit: SpendControlLimitSnapshot | null;
  limitId: string | null;
  limitName: string | null;
  normalModelSlug: string | null;
  planType: PlanType | null;
  primary: RateLimitWindow | null;
  rateLimitReachedType: RateLimitReachedType | null;
  secondary: RateLimitWindow | null;
  spendControlReached: boolean | null;
};

/** A stretch of time with a limit of its own. */
export type RateLimitWindow = {
  resetsAt: number | null;
  usedPercent: number;
  windowDurationMins: number | null;
};

/** A provider that can be used at once. */
export type ReadyProvider = {
  /** The variable of the server's environment that holds its key. */
  envKey?: string | null;
  /** The value for `modelProvider`. */
  id: string;
  /** Whether it runs on the server's machine. */
  local: boolean;
};

/** A reasoning effort that a model offers. */
export type ReasoningEffortOption = {
  description: string;
  reasoningEffort: string;
};

/** The model's reasoning. */
export type ReasoningItem = {
  content: string[];
  id: ItemId;
  summary: string[];
};

/** A piece of reasoning. */
export type ReasoningItemContent = {
  text: string;
  type: "reasoning_text";
} | {
  text: string;
  type: "text";
};

/** A piece of a reasoning summary. */
export type ReasoningItemReasoningSummary = {
  text: string;
  type: "summary_text";
};

/** How much of a model's reasoning is summarised for the user. */
export type ReasoningSummary = "auto" | "concise" | "detailed" | "none";

/** Params of `item/reasoning/summaryPartAdded`. */
export type ReasoningSummaryPartAddedNotification = {
  itemId: ItemId;
  summaryIndex: number;
  threadId: ThreadId;
  turnId: TurnId;
};

/** Params of `item/reasoning/summaryTextDelta`. */
export type ReasoningSummaryTextDeltaNotification = {
  delta: string;
  itemId: ItemId;
  summaryIndex: number;
  threadId: ThreadId;
  turnId: TurnId;
};

/** Params of `item/reasoning/textDelta`. */
export type ReasoningTextDeltaNotification = {
  contentIndex: number;
  delta: string;
  itemId: ItemId;
  threadId: ThreadId;
  turnId: TurnId;
};

/** Refused requests and connections. */
export type RefusalCounts = {
  /** Requests that were answered with "overloaded". */
  overloaded: number;
  /** Connections that were closed because they did not read their messages. */
  slowClients: number;
};

/** A page that was refused. */
export type RefusedOriginEntry = {
  /** The last time, Unix milliseconds. */
  atMs: number;
  /** Its origin, such as `http://localhost:5173`. */
  origin: string;
};

/** Reloads of the settings. */
export type ReloadCounts = {
  /** When the last reload was applied, in Unix milliseconds; absent before the first. */
  lastAtMs?: number | null;
  /** Reloads refused because the settings were wrong. */
  refusedTotal: number;
  /** Applied reloads. */
  total: number;
  /** Reloads that found nothing changed. */
  unchangedTotal: number;
};

/** The repair of threads that were open when the server last ended uncleanly. */
export type RepairCounts = {
  /** Threads checked. */
  done: number;
  /** Threads that could not be read or written; the server's log names them. The next start tries again. */
  failed: number;
  /** Threads that got the end of a turn, or lost a torn end. */
  mended: number;
  /** The state of the whole repair. */
  state: RepairState;
  /** Threads found open at the start. */
  total: number;
};

/** The state of the repair. */
export type RepairState = "scheduled" | "running" | "complete";

/** Clients that resumed. */
export type ReplayCounts = {
  /** Replayed events. */
  eventsTotal: number;
  /** Histories that could not be continued, and were sent whole. */
  gapsTotal: number;
};

/** The reason why a history is not replayed. */
export type ReplayGap = {
  /** The reason. */
  reason: GapReason;
};

/**
 * The id of a request, chosen by the sender and echoed in the answer: a text or a signed 64-bit integer. Null,
 * fractions and larger integers are refused.
 */
export type RequestId = number | string;

/** A resource that a helper offers. */
export type Resource = {
  _meta?: unknown;
  annotations?: unknown;
  description?: string | null;
  icons?: unknown[] | null;
  mimeType?: string | null;
  name: string;
  size?: number | null;
  title?: string | null;
  uri: string;
};

/** A part of a resource: text, or bytes in base64. */
export type ResourceContent = {
  _meta?: unknown;
  mimeType?: string | null;
  text: string;
  uri: string;
} | {
  _meta?: unknown;
  blob: string;
  mimeType?: string | null;
  uri: string;
};

/** A pattern of resources that a helper offers. */
export type ResourceTemplate = {
  annotations?: unknown;
  description?: string | null;
  mimeType?: string | null;
  name: string;
  title?: string | null;
  uriTemplate: string;
};

/** A piece of history in the form of the model's interface; clients can send it with a resume. */
export type ResponseItem = {
  id?: string | null;
  role: string;
  tools: unknown[];
  type: "additional_tools";
} | {
  content: ContentItem[];
  encrypted_content?: string | null;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  phase?: MessagePhase | null;
  role: string;
  status?: string | null;
  type: "message";
} | {
  author: string;
  content: AgentMessageInputContent[];
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  recipient: string;
  type: "agent_message";
} | {
  content?: ReasoningItemContent[] | null;
  encrypted_content?: string | null;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  summary: ReasoningItemReasoningSummary[];
  type: "reasoning";
} | {
  action: LocalShellAction;
  call_id?: string | null;
  encrypted_content?: string | null;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  status: LocalShellStatus;
  type: "local_shell_call";
} | {
  arguments: string;
  call_id: string;
  encrypted_content?: string | null;
  encrypted_function_args?: string[] | null;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  name: string;
  namespace?: string | null;
  status?: string | null;
  type: "function_call";
} | {
  arguments: unknown;
  call_id?: string | null;
  encrypted_content?: string | null;
  execution: string;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  status?: string | null;
  type: "tool_search_call";
} | {
  call_id?: string | null;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  name?: string | null;
  namespace?: string | null;
  output: FunctionCallOutputBody;
  type: "function_call_output";
} | {
  call_id: string;
  encrypted_content?: string | null;
  id?: string | null;
  input: string;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  name: string;
  namespace?: string | null;
  status?: string | null;
  type: "custom_tool_call";
} | {
  call_id: string;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  name?: string | null;
  output: FunctionCallOutputBody;
  type: "custom_tool_call_output";
} | {
  call_id?: string | null;
  execution: string;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  status: string;
  tools: unknown[];
  type: "tool_search_output";
} | {
  action?: ResponsesApiWebSearchAction | null;
  encrypted_content?: string | null;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  status?: string | null;
  type: "web_search_call";
} | {
  encrypted_content?: string | null;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  result: string;
  revised_prompt?: string | null;
  status: string;
  type: "image_generation_call";
} | {
  encrypted_content: string;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  type: "compaction";
} | {
  reasoning: ConfigurationReasoning;
  type: "configuration_update";
} | {
  type: "compaction_trigger";
} | {
  encrypted_content?: string | null;
  id?: string | null;
  internal_chat_message_metadata_passthrough?: InternalChatMessageMetadataPassthrough | null;
  type: "context_compaction";
} | {
  type: "other";
};

/** The action of a model in a web search. */
export type ResponsesApiWebSearchAction = {
  queries?: string[] | null;
  query?: string | null;
  type: "search";
} | {
  type: "open_page";
  url?: string | null;
} | {
  pattern?: string | null;
  type: "find_in_page";
  url?: string | null;
} | {
  type: "other";
};

/** Options for `thread/resume`. */
export type ResumeOptions = {
  /** The last number that the client has seen. */
  afterSeq?: EventSeq | null;
  /** The version of the history that `afterSeq` belongs to. */
  epoch?: Epoch | null;
  /** Watches only: the subscription does not keep the thread loaded and receives no requests. */
  observe?: boolean;
};

/** The point in a thread's history that an answer to `thread/resume` shows, and the events that follow. */
export type ResumePicture = {
  /** The limits that hold for the thread, with their use. Missing if none holds. */
  budget?: BudgetState[];
  /** The version of the history. */
  epoch: Epoch;
  /**
   * The history cannot continue from the client's position: this answer is the full state, and the client's is
   * void.
   */
  gap?: ReplayGap | null;
  /** The cursor of `thread/turns/list` (newest first) for earlier turns, if `thread.turns` has only the newest. */
  olderTurns?: string | null;
  /** The server that has the thread, where several share a database. */
  owner?: ThreadOwner | null;
  /** Ids of the server's open requests, which are sent again. All others are void. */
  pendingRequests: RequestId[];
  /**
   * The replay: the answer has no turns, and all durable events after `afterSeq` follow, up to this number. Equal
   * to `afterSeq` if there are none.
   */
  replayTo?: EventSeq | null;
  /** The last included number; with `replayTo` the number that the client named. */
  seq: EventSeq;
};

/** The turns that a revert removed. */
export type RevertedFrom = {
  /** The first removed turn; all later ones are removed, too. */
  beforeTurnId: TurnId;
};

/** Params of `rpc.discover`. */
export type RpcDiscoverParams = { [key: string]: unknown };

/** Response of `rpc.discover`: an OpenRPC document. */
export type RpcDiscoverResponse = { [key: string]: unknown };

/** The sandbox in one word. */
export type SandboxMode = "read-only" | "workspace-write" | "danger-full-access";

/** The limits of a turn's commands. */
export type SandboxPolicy = {
  type: "dangerFullAccess";
} | {
  networkAccess: boolean;
  type: "readOnly";
} | {
  networkAccess: NetworkAccess;
  type: "externalSandbox";
} | {
  excludeSlashTmp: boolean;
  excludeTmpdirEnvVar: boolean;
  networkAccess: boolean;
  type: "workspaceWrite";
  writableRoots: string[];
};

/** The limits of a turn's commands. */
export type SandboxPolicyParam = {
  type: "dangerFullAccess";
} | {
  networkAccess?: boolean;
  type: "readOnly";
} | {
  networkAccess?: NetworkAccess;
  type: "externalSandbox";
} | {
  excludeSlashTmp?: boolean;
  excludeTmpdirEnvVar?: boolean;
  networkAccess?: boolean;
  type: "workspaceWrite";
  writableRoots?: string[];
};

/** The limits of a search. */
export type SearchDetails = {
  /** Set while the list is rebuilt: a missing thread is not found. */
  indexing: IndexingDetails;
};

/** A folder of capabilities that the client selected. */
export type SelectedCapabilityRoot = {
  id: string;
  location: CapabilityRootLocation;
};

/** One number of the server. */
export type ServerDiagnosticsGauge = {
  name: string;
  value: number;
};

/** Params of `server/diagnostics`: nothing. */
export type ServerDiagnosticsParams = { [key: string]: unknown };

/** The server's process. */
export type ServerDiagnosticsProcess = {
  id: number;
  physicalFootprintBytes: number | null;
  residentMemoryBytes: number | null;
};

/** Response of `server/diagnostics`. */
export type ServerDiagnosticsResponse = {
  gauges: ServerDiagnosticsGauge[];
  process: ServerDiagnosticsProcess;
};

/** The server's extensions of the protocol. */
export type ServerExtensions = {
  /** The granted extensions, by name. */
  extensions: { [key: string]: unknown };
  /** The server's version. */
  version: string;
};

/** Params of `serverRequest/resolved`. */
export type ServerRequestResolvedNotification = {
  requestId: RequestId;
  threadId: ThreadId;
};

/** The kind of client that created a thread. */
export type SessionSource = "cli" | "vscode" | "exec" | "appServer" | "unknown" | {
  custom: string;
} | {
  subAgent: SubAgentSource;
};

/** The model settings of a collaboration mode. */
export type Settings = {
  developer_instructions: string | null;
  model: string;
  reasoning_effort: string | null;
};

/** The model settings of a collaboration mode. */
export type SettingsParam = {
  developer_instructions?: string | null;
  model: string;
  reasoning_effort?: string | null;
};

/** Params of `skein/budget/set`: a missing member stays, 0 is no limit. */
export type SkeinBudgetSetParams = {
  /** The thread, loaded or not. */
  threadId: ThreadId;
  /** Tokens of the thread. */
  threadTokens?: number | null;
  /** How many answers with calls a turn may have. */
  turnRounds?: number | null;
  /** Tokens of a turn. */
  turnTokens?: number | null;
};

/** Response of `skein/budget/set`. */
export type SkeinBudgetSetResponse = {
  /** The limits that hold for the thread from now on. */
  budget: BudgetState[];
};

/** Params of `skein/catalog/resume`. */
export type SkeinCatalogResumeParams = {
  /**
   * The number of the client's list: that of the first page of `thread/list`, or the highest `catalogSeq` received
   * since.
   */
  after: number;
  /** The `catalogEpoch` of the number. */
  catalogEpoch: string;
};

/** Response of `skein/catalog/resume`. */
export type SkeinCatalogResumeResponse = {
  /** The server start that the numbers belong to. */
  catalogEpoch: string;
  /** The newest change. Changes received before this answer are included; those after it are newer. */
  catalogSeq: number;
  /** The later notifications to all connections, in order; empty if `tooOld`. */
  changes: CatalogChange[];
  /** The number of questions that wait for the users; `skein/questions/list` has them. */
  needsYou: NeedsYou;
  /** The later changes are no longer known, or the number is of another server start: list again. */
  tooOld: boolean;
};

/** Params of `skein/connection/leave`: nothing. */
export type SkeinConnectionLeaveParams = { [key: string]: unknown };

/** Response of `skein/connection/leave`. */
export type SkeinConnectionLeaveResponse = {
  /** Threads that had no other subscriber. */
  left: number;
  /** Of these, the ones still loaded: they take longer, or have a new subscriber. */
  loaded: number;
};

/** Params of `skein/credential/add`. */
export type SkeinCredentialAddParams = {
  /** Its end, in Unix seconds; never without it. */
  expiresAt?: number | null;
  /** The name of the token: letters, digits, `.`, `-` and `_`. No other token has it. */
  name: string;
  /** The only origin that may send it. */
  origin?: string | null;
  /** The access that it gives. */
  scope: Access;
  /** The SHA-256 of the token, in 64 hexadecimal digits. The server never gets the token itself this way. */
  sha256: string;
};

/** Response of `skein/credential/add`. */
export type SkeinCredentialAddResponse = {
  /** The new token. */
  credential: CredentialDetail;
};

/** Params of `skein/credential/list`. */
export type SkeinCredentialListParams = { [key: string]: unknown };

/** Response of `skein/credential/list`. */
export type SkeinCredentialListResponse = {
  /** Those that have not ended, oldest first. */
  data: CredentialDetail[];
};

/** Params of `skein/credential/revoke`. */
export type SkeinCredentialRevokeParams = {
  /** The id of a session or token, or the name of a token. */
  id: string;
};

/** Response of `skein/credential/revoke`. */
export type SkeinCredentialRevokeResponse = {
  /** The revoked credential. */
  credential: CredentialDetail;
};

/** Params of `skein/heartbeat`. */
export type SkeinHeartbeatNotification = {
  /** The server's clock, in Unix milliseconds. */
  at: number;
};

/** Params of `skein/helpers/list`. */
export type SkeinHelpersListParams = {
  /** Only those of this thread; without it, those of all loaded threads. */
  threadId?: ThreadId | null;
};

/** Response of `skein/helpers/list`. */
export type SkeinHelpersListResponse = {
  /** By thread and name. */
  data: HelperDetail[];
};

/** Params of `skein/questions/answer`. */
export type SkeinQuestionsAnswerParams = {
  /** The id of the request to clients. */
  id: number;
  /** The result that a client would answer to the request. */
  result: unknown;
};

/** Response of `skein/questions/answer`: nothing. The answer is on disk. */
export type SkeinQuestionsAnswerResponse = { [key: string]: unknown };

/** Params of `skein/questions/changed`. */
export type SkeinQuestionsChangedNotification = {
  /** The number of questions that wait in all threads. */
  needsYou: NeedsYou;
  /** Its questions that wait for an answer now, oldest first. */
  open: QuestionSummary[];
  /** The thread. */
  threadId: ThreadId;
};

/** Params of `skein/questions/list`. */
export type SkeinQuestionsListParams = {
  /** The end of the last page. */
  cursor?: string | null;
  /** The number of threads of a page, at most. All questions of a thread are on one page. */
  limit?: number | null;
  /** The questions of this thread only. */
  threadId?: ThreadId | null;
};

/** Response of `skein/questions/list`. */
export type SkeinQuestionsListResponse = {
  /** The questions, thread by thread, that with the oldest question first. */
  data: ListedQuestion[];
  /** The cursor of the next page; null at the end. */
  nextCursor: string | null;
};

/** Params of `skein/quiesce`. */
export type SkeinQuiesceParams = {
  /** Lets the owner of this thread panic, as a bug would. */
  breakOff?: ThreadId | null;
};

/** Response of `skein/quiesce`: nothing. */
export type SkeinQuiesceResponse = { [key: string]: unknown };

/** Params of `skein/repair/updated`. */
export type SkeinRepairUpdatedNotification = {
  /** The progress. */
  repair: RepairCounts;
};

/** Params of `skein/status`. */
export type SkeinStatusParams = { [key: string]: unknown };

/**
 * Response of `skein/status`. Counters that end in `Total` count from the start of the server; all others are
 * current values.
 */
export type SkeinStatusResponse = {
  /** The listening URL; `stdio://` for the standard streams of the parent program. */
  address: string;
  /** Requests and connections that did not get in. */
  admission: AdmissionCounts;
  /** The id of this server start. */
  bootId: string;
  /** The cluster of the server. Missing where threads are files. */
  cluster?: ClusterCounts | null;
  /** Websocket connections. */
  connections: number;
  /** The unix socket for programs of this machine; empty without one. */
  controlSocket: string;
  /** The limit of tokens of a day (UTC), and what all threads have used today. Missing without a limit. */
  dayBudget?: BudgetState | null;
  /** Helper processes. */
  helpers: HelperCounts;
  /** The served home. */
  home: string;
  /** Whether commands use this home without `--home` where `SKEIN_HOME` is not set. */
  homeIsDefault: boolean;
  /** The list of threads. */
  index: IndexCounts;
  /** Memory. */
  memory: MemoryCounts;
  /** The number of questions that wait for the users; `skein/questions/list` has them. */
  needsYou: NeedsYou;
  /** Bytes waiting to be sent, over all connections. */
  outboxBytes: number;
  /** Panics in the server, each of which ended only one request, turn or thread. */
  panicsTotal: number;
  /** The server's pid. */
  pid: number;
  /** Threads evicted for others. */
  pressure: PressureCounts;
  /** Refused requests and connections. */
  refusals: RefusalCounts;
  /** Reloads of the settings. */
  reloads: ReloadCounts;
  /** The repair after an unclean end. */
  repair: RepairCounts;
  /** Clients that resumed. */
  replay: ReplayCounts;
  /** When the server started, in Unix milliseconds. */
  startedAtMs: number;
  /** History files. */
  store: StoreCounts;
  /** Running tasks. */
  tasks: number;
  /** The text index of searches. */
  texts: TextsCounts;
  /** Threads in memory. */
  threads: ThreadCounts;
  /** Turns. */
  turns: TurnCounts;
  /** Threads that left memory. */
  unloads: UnloadCounts;
  /** Milliseconds since the start. */
  uptimeMs: number;
  /** Version of the server. */
  version: string;
};

/** Params of `skein/stopping`. */
export type SkeinStoppingNotification = {
  /** How long the client waits behind the end of the connection before it connects again, in milliseconds. */
  retryAfterMs: number;
};

/** Params of `skein/thread/unload`. */
export type SkeinThreadUnloadParams = {
  /** Unloads even an active thread, or one with other subscribers. */
  force?: boolean;
  /** The thread. */
  threadId: ThreadId;
};

/** Response of `skein/thread/unload`. */
export type SkeinThreadUnloadResponse = {
  /** The outcome. */
  state: UnloadOutcome;
};

/** The requirements of a skill. */
export type SkillDependencies = {
  tools: SkillToolDependency[];
};

/** A skill that cannot be read. */
export type SkillErrorInfo = {
  message: string;
  path: string;
};

/** How a skill is shown. */
export type SkillInterface = {
  brandColor: string | null;
  defaultPrompt: string | null;
  displayName: string | null;
  iconLarge: string | null;
  iconLargeUrl: string | null;
  iconSmall: string | null;
  iconSmallUrl: string | null;
  shortDescription: string | null;
};

/** A skill. */
export type SkillMetadata = {
  dependencies?: SkillDependencies | null;
  description: string;
  enabled: boolean;
  interface?: SkillInterface | null;
  name: string;
  path: string;
  pluginId: string | null;
  scope: SkillScope;
  shortDescription?: string | null;
};

/** The owner of a skill. */
export type SkillScope = "user" | "repo" | "system" | "admin";

/** A tool that a skill needs. */
export type SkillToolDependency = {
  command?: string | null;
  description?: string | null;
  transport?: string | null;
  type: string;
  url?: string | null;
  value: string;
};

/** The skills that a directory offers. */
export type SkillsListEntry = {
  cwd: string;
  errors: SkillErrorInfo[];
  skills: SkillMetadata[];
};

/** Params of `skills/list`. */
export type SkillsListParams = {
  cwds?: string[] | null;
  forceReload?: boolean;
};

/** Response of `skills/list`. */
export type SkillsListResponse = {
  data: SkillsListEntry[];
};

/** A pause that the agent took. */
export type SleepItem = {
  durationMs: number;
  id: ItemId;
};

/** The order of a list. */
export type SortDirection = "asc" | "desc";

/** The most that may be spent. */
export type SpendControlLimitSnapshot = {
  limit: string;
  remainingPercent: number;
  resetsAt: number;
  used: string;
};

/** Options for `thread/start`. */
export type StartOptions = {
  /**
   * The id for the new thread. For a thread that was lost with its server before its first message. Refused if the
   * thread exists.
   */
  threadId?: ThreadId | null;
};

/** History files. */
export type StoreCounts = {
  /** Writes. */
  appendsTotal: number;
  /** Failed writes and syncs. */
  errorsTotal: number;
  /** Since when the disk takes no records of a loaded thread, in Unix milliseconds; absent while it takes them. */
  failingSinceMs?: number | null;
  /** Files opened to load a thread: read to the end, and repaired. */
  loadsTotal: number;
  /** Files not yet known to be closed and indexed. */
  openMarkers: number;
  /** Files opened to be read only. */
  readsTotal: number;
  /** Milliseconds of the last sync; absent before the first. */
  syncLastMs?: number | null;
  /** Milliseconds of the longest sync; absent before the first. */
  syncMaxMs?: number | null;
  /** Syncs. */
  syncsTotal: number;
  /** Records that could not be saved. */
  unsavedRecordsTotal: number;
};

/** An activity of another agent. */
export type SubAgentActivityItem = {
  agentPath: string;
  agentThreadId: ThreadId;
  id: ItemId;
  kind: SubAgentActivityKind;
  model: string | null;
  reasoningEffort: string | null;
};

/** The kind of an activity. */
export type SubAgentActivityKind = "started" | "interacted" | "interrupted" | "completed";

/** The reason why an agent created a thread. */
export type SubAgentSource = "review" | "compact" | "memory_consolidation" | {
  thread_spawn: {
    agent_nickname?: string | null;
    agent_path?: string | null;
    agent_role?: string | null;
    depth: number;
    parent_thread_id: ThreadId;
  };
} | {
  other: string;
};

/** A part of a text with a rendering of the client's own. */
export type TextElement = {
  byteRange: ByteRange;
  placeholder: string | null;
};

/** A part of a text with a rendering of the client's own. */
export type TextElementParam = {
  byteRange: ByteRange;
  placeholder?: string | null;
};

/** A position in a file; line and column count from 1. */
export type TextPosition = {
  column: number;
  line: number;
};

/** A range of a file. */
export type TextRange = {
  end: TextPosition;
  start: TextPosition;
};

/** The text index that speeds up searches. */
export type TextsCounts = {
  /** Threads that changed since, or have a turn without an end; each search reads these. */
  behind: number;
  /** Bytes of its files when it was last complete. */
  diskBytes: number;
  /** Threads compared with it since the server's first search. */
  done: number;
  /** The state of its life. */
  state: TextsState;
};

/** The state of the text index. */
export type TextsState = "unused" | "building" | "ready" | "failed";

/** A conversation: an ordered history of turns. */
export type Thread = {
  agentNickname: string | null;
  agentRole: string | null;
  attachedToThreadId: ThreadId | null;
  canAcceptDirectInput: boolean | null;
  cliVersion: string;
  createdAt: number;
  cwd: string;
  daybreakEnabled: boolean | null;
  environments: ThreadEnvironment[] | null;
  ephemeral: boolean;
  extra: { [key: string]: unknown } | null;
  forkedFromId: ThreadId | null;
  gitInfo: GitInfo | null;
  historyMode: ThreadHistoryMode;
  id: ThreadId;
  model: string | null;
  modelProvider: string;
  name: string | null;
  originator: string | null;
  parentThreadId: ThreadId | null;
  path: string | null;
  preview: string;
  projectId: string | null;
  reasoningEffort: string | null;
  recencyAt: number | null;
  section: ThreadSection | null;
  sectionEnteredAt: number | null;
  sessionId: ThreadId;
  /** The questions that wait, in lists and reads of a thread with such questions. */
  skein?: ThreadDetails | null;
  source: SessionSource;
  status: ThreadStatus;
  threadSource: string | null;
  turns: Turn[];
  updatedAt: number;
};

/** The reason why an active thread waits. */
export type ThreadActiveFlag = "waitingOnApproval" | "waitingOnUserInput";

/** Params of `thread/archive`. */
export type ThreadArchiveParams = {
  threadId: ThreadId;
};

/** Response of `thread/archive`: nothing. */
export type ThreadArchiveResponse = { [key: string]: unknown };

/** Params of `thread/archived`. */
export type ThreadArchivedNotification = {
  /** For clients that opted in to `skein/events`. */
  skein?: CatalogPlace | null;
  threadId: ThreadId;
};

/** Params of `thread/closed`. */
export type ThreadClosedNotification = {
  /** For clients that opted in to `skein/events`. */
  skein?: CatalogPlace | null;
  threadId: ThreadId;
};

/** Params of `thread/compact/start`. */
export type ThreadCompactStartParams = {
  threadId: ThreadId;
};

/** Response of `thread/compact/start`: nothing. The turn's notifications report the rest. */
export type ThreadCompactStartResponse = { [key: string]: unknown };

/** Threads in memory. */
export type ThreadCounts = {
  /** Threads without a running turn. */
  idle: number;
  /** All of them. */
  loaded: number;
  /** Threads that read their history. */
  loading: number;
  /** Subscriptions that only watch. */
  observers: number;
  /** Threads with a running turn. */
  running: number;
  /** Subscriptions that keep a thread loaded. */
  subscriptions: number;
  /** Threads whose helpers are stopping. */
  unloading: number;
};

/** Params of `thread/delete`. */
export type ThreadDeleteParams = {
  threadId: ThreadId;
};

/** Response of `thread/delete`: nothing. */
export type ThreadDeleteResponse = { [key: string]: unknown };

/** Params of `thread/deleted`. */
export type ThreadDeletedNotification = {
  /** For clients that opted in to `skein/events`. */
  skein?: CatalogPlace | null;
  threadId: ThreadId;
};

/** Facts about a thread in a list. */
export type ThreadDetails = {
  /** The questions that wait for an answer. */
  waiting: WaitingDetails;
};

/** An environment that a thread's turns run in. */
export type ThreadEnvironment = {
  cwd: string;
  environmentId: string;
  runtimeWorkspaceRoots: string[];
};

/** Params of `thread/fork`. */
export type ThreadForkParams = {
  approvalPolicy?: AskForApproval | null;
  approvalsReviewer?: ApprovalsReviewer | null;
  attachToSource?: boolean;
  baseInstructions?: string | null;
  beforeTurnId?: TurnId | null;
  config?: { [key: string]: unknown } | null;
  cwd?: string | null;
  deferGoalContinuation?: boolean;
  developerInstructions?: string | null;
  ephemeral?: boolean;
  excludeTurns?: boolean;
  experimentalDisablePredictionMcp?: boolean;
  experimentalPredictionMode?: boolean;
  lastTurnId?: TurnId | null;
  model?: string | null;
  modelProvider?: string | null;
  path?: string | null;
  permissions?: string | null;
  runtimeWorkspaceRoots?: string[] | null;
  sandbox?: SandboxMode | null;
  serviceTier?: string | null;
  threadId: ThreadId;
  threadSource?: string | null;
};

/** Response of `thread/fork`: the new thread, with its turns unless excluded. */
export type ThreadForkResponse = {
  activePermissionProfile: ActivePermissionProfile | null;
  approvalPolicy: AskForApproval;
  approvalsReviewer: ApprovalsReviewer;
  cwd: string;
  disabledPluginIds: string[];
  instructionSources: string[];
  model: string;
  modelProvider: string;
  multiAgentMode: MultiAgentMode;
  reasoningEffort: string | null;
  runtimeWorkspaceRoots: string[];
  sandbox: SandboxPolicy;
  serviceTier: string | null;
  /** The point in the history that this answer shows. */
  skein?: ThreadMoment | null;
  thread: Thread;
};

/** A thread's goal and its cost so far. Times are Unix seconds. */
export type ThreadGoal = {
  createdAt: number;
  objective: string;
  status: ThreadGoalStatus;
  threadId: ThreadId;
  timeUsedSeconds: number;
  tokenBudget: number | null;
  tokensUsed: number;
  updatedAt: number;
};

/** Params of `thread/goal/clear`. */
export type ThreadGoalClearParams = {
  origin?: ThreadGoalMutationOrigin | null;
  threadId: ThreadId;
};

/** Response of `thread/goal/clear`. */
export type ThreadGoalClearResponse = {
  cleared: boolean;
};

/** Params of `thread/goal/cleared`. */
export type ThreadGoalClearedNotification = {
  threadId: ThreadId;
};

/** Params of `thread/goal/get`. */
export type ThreadGoalGetParams = {
  threadId: ThreadId;
};

/** Response of `thread/goal/get`. */
export type ThreadGoalGetResponse = {
  goal: ThreadGoal | null;
};

/** The origin of a goal's change. */
export type ThreadGoalMutationOrigin = "user" | "automatic";

/** Params of `thread/goal/set`: a missing member stays, and a null `tokenBudget` removes the budget. */
export type ThreadGoalSetParams = {
  objective?: string | null;
  origin?: ThreadGoalMutationOrigin | null;
  status?: ThreadGoalStatus | null;
  threadId: ThreadId;
  tokenBudget?: number | null;
};

/** Response of `thread/goal/set`. */
export type ThreadGoalSetResponse = {
  goal: ThreadGoal;
};

/** The state of a goal. */
export type ThreadGoalStatus = "active" | "paused" | "blocked" | "usageLimited" | "budgetLimited" | "complete";

/** Params of `thread/goal/updated`. */
export type ThreadGoalUpdatedNotification = {
  goal: ThreadGoal;
  threadId: ThreadId;
  turnId: TurnId | null;
};

/** The way in which a client reads a thread's history. */
export type ThreadHistoryMode = "legacy" | "paginated";

/** Id of a thread. */
export type ThreadId = string;

/** Params of `thread/inject_items`. Each item is a `ResponseItem`. */
export type ThreadInjectItemsParams = {
  items: unknown[];
  threadId: ThreadId;
};

/** Response of `thread/inject_items`: nothing. */
export type ThreadInjectItemsResponse = { [key: string]: unknown };

/** A visible piece of a turn. */
export type ThreadItem = {
  completedAtMs: number | null;
  startedAtMs: number | null;
} & (UserMessageItem & {
  type: "userMessage";
} | HookPromptItem & {
  type: "hookPrompt";
} | AgentMessageItem & {
  type: "agentMessage";
} | FunctionCallOutputItem & {
  type: "functionCallOutput";
} | PlanItem & {
  type: "plan";
} | ReasoningItem & {
  type: "reasoning";
} | CommandExecutionItem & {
  type: "commandExecution";
} | FileChangeItem & {
  type: "fileChange";
} | McpToolCallItem & {
  type: "mcpToolCall";
} | DynamicToolCallItem & {
  type: "dynamicToolCall";
} | CollabAgentToolCallItem & {
  type: "collabAgentToolCall";
} | SubAgentActivityItem & {
  type: "subAgentActivity";
} | WebSearchItem & {
  type: "webSearch";
} | ImageViewItem & {
  type: "imageView";
} | SleepItem & {
  type: "sleep";
} | ImageGenerationItem & {
  type: "imageGeneration";
} | EnteredReviewModeItem & {
  type: "enteredReviewMode";
} | ExitedReviewModeItem & {
  type: "exitedReviewMode";
} | ContextCompactionItem & {
  type: "contextCompaction";
});

/** An item with its turn. */
export type ThreadItemEntry = {
  completedAtMs: number | null;
  item: ThreadItem;
  outputDeferred?: boolean;
  startedAtMs: number | null;
  turnId: TurnId;
};

/** Outputs that the client fetches one by one. */
export type ThreadItemOutputDeferral = {
  commandExecution?: boolean;
  mcpToolCall?: boolean;
};

/** The item before the page. */
export type ThreadItemsListAnchor = {
  itemId: ItemId;
  type: "item";
};

/** The start of a page of items: a cursor, or the position after an item. */
export type ThreadItemsListCursor = string | ThreadItemsListAnchor;

/** Params of `thread/items/list`. */
export type ThreadItemsListParams = {
  cursor?: ThreadItemsListCursor | null;
  deferOutput?: ThreadItemOutputDeferral | null;
  limit?: number | null;
  sortDirection?: SortDirection | null;
  threadId: ThreadId;
  turnId?: TurnId | null;
};

/** Response of `thread/items/list`. */
export type ThreadItemsListResponse = {
  backwardsCursor: string | null;
  data: ThreadItemEntry[];
  nextCursor: string | null;
  /** The point in the history that this answer shows. */
  skein?: ThreadPicture | null;
};

/** One working directory, or several. */
export type ThreadListCwdFilter = string | string[];

/** Params of `thread/list`. */
export type ThreadListParams = {
  ancestorThreadId?: ThreadId | null;
  archived?: boolean | null;
  attachedToThreadId?: ThreadId | null;
  currentAccountOnly?: boolean;
  cursor?: string | null;
  cwd?: ThreadListCwdFilter | null;
  excludedThreadIds?: ThreadId[] | null;
  includeAttachedThreads?: boolean;
  limit?: number | null;
  modelProviders?: string[] | null;
  originators?: string[] | null;
  parentThreadId?: ThreadId | null;
  projectId?: string | null;
  searchTerm?: string | null;
  sectionId?: string | null;
  /** Filters beyond the protocol's own. */
  skein?: ListOptions | null;
  sortDirection?: SortDirection | null;
  sortKey?: ThreadSortKey | null;
  sourceKinds?: ThreadSourceKind[] | null;
  useStateDbOnly?: boolean;
};

/** Response of `thread/list`. */
export type ThreadListResponse = {
  backwardsCursor: string | null;
  data: Thread[];
  nextCursor: string | null;
  readStates: { [key: string]: ThreadReadState } | null;
  /** The completeness of the list, while it is incomplete. */
  skein?: ListDetails | null;
};

/** Params of `thread/loaded/list`. */
export type ThreadLoadedListParams = {
  cursor?: string | null;
  limit?: number | null;
};

/** Response of `thread/loaded/list`. */
export type ThreadLoadedListResponse = {
  data: ThreadId[];
  nextCursor: string | null;
  /** Details of the threads in `data`, in the same order. */
  skein?: LoadedDetails | null;
};

/** Changes of a thread's repository metadata: a missing member stays, null removes it. */
export type ThreadMetadataGitInfoUpdateParams = {
  branch?: string | null;
  originUrl?: string | null;
  sha?: string | null;
};

/** Params of `thread/metadata/update`. */
export type ThreadMetadataUpdateParams = {
  daybreakEnabled?: boolean | null;
  gitInfo?: ThreadMetadataGitInfoUpdateParams | null;
  projectId?: string | null;
  threadId: ThreadId;
};

/** Response of `thread/metadata/update`. */
export type ThreadMetadataUpdateResponse = {
  thread: Thread;
};

/** The point in a thread's history that an answer shows, and the thread's budget. */
export type ThreadMoment = {
  /** The limits that hold for the thread, with their use. Missing if none holds. */
  budget?: BudgetState[];
  /** The version of the history. */
  epoch: Epoch;
  /** The server that has the thread loaded, where several share a database. */
  owner?: ThreadOwner | null;
  /** The last included number. */
  seq: EventSeq;
};

/** Params of `thread/name/updated`. */
export type ThreadNameUpdatedNotification = {
  /** For clients that opted in to `skein/events`. */
  skein?: CatalogPlace | null;
  threadId: ThreadId;
  threadName?: string | null;
};

/** The server that has a thread. */
export type ThreadOwner = {
  /** Its name (`--node-name`). */
  node: string;
  /** The number of this ownership of the thread. Each later one has a greater number. */
  term: number;
};

/** The point in a thread's history that an answer shows. */
export type ThreadPicture = {
  /** The version of the history. */
  epoch: Epoch;
  /** The last included number. */
  seq: EventSeq;
};

/** Params of `thread/queue/add`. */
export type ThreadQueueAddParams = {
  clientUserMessageId: string;
  input: UserInputParam[];
  responsesapiClientMetadata?: { [key: string]: string } | null;
  threadId: ThreadId;
};

/** Response of `thread/queue/add`. */
export type ThreadQueueAddResponse = {
  queuedSubmission: QueuedSubmission;
};

/** Params of `thread/queue/changed`. */
export type ThreadQueueChangedNotification = {
  threadId: ThreadId;
};

/** Params of `thread/queue/delete`. */
export type ThreadQueueDeleteParams = {
  queuedSubmissionId: TurnId;
  threadId: ThreadId;
};

/** Response of `thread/queue/delete`. */
export type ThreadQueueDeleteResponse = {
  deleted: boolean;
};

/** Params of `thread/queue/list`. */
export type ThreadQueueListParams = {
  cursor?: string | null;
  limit?: number | null;
  threadId: ThreadId;
};

/** Response of `thread/queue/list`. */
export type ThreadQueueListResponse = {
  data: QueuedSubmission[];
  nextCursor: string | null;
};

/** Params of `thread/queue/reorder`. */
export type ThreadQueueReorderParams = {
  queuedSubmissionIds: TurnId[];
  threadId: ThreadId;
};

/** Response of `thread/queue/reorder`. */
export type ThreadQueueReorderResponse = { [key: string]: unknown };

/** Params of `thread/queue/start`. */
export type ThreadQueueStartParams = {
  queuedSubmissionId?: TurnId | null;
  threadId: ThreadId;
};

/** Response of `thread/queue/start`. */
export type ThreadQueueStartResponse = {
  turn: Turn;
};

/** Params of `thread/queue/update`. */
export type ThreadQueueUpdateParams = {
  input: UserInputParam[];
  queuedSubmissionId: TurnId;
  responsesapiClientMetadata?: { [key: string]: string } | null;
  threadId: ThreadId;
};

/** Response of `thread/queue/update`. */
export type ThreadQueueUpdateResponse = {
  queuedSubmission: QueuedSubmission;
};

/** Params of `thread/read`. */
export type ThreadReadParams = {
  includeTurns?: boolean;
  threadId: ThreadId;
};

/** Response of `thread/read`. */
export type ThreadReadResponse = {
  readState: ThreadReadState | null;
  /** The point in the history that this answer shows. */
  skein?: ThreadMoment | null;
  thread: Thread;
};

/** The user's read position in a thread. */
export type ThreadReadState = {
  firstUnread: ThreadUnreadPosition | null;
  revision: string;
};

/** Params of `thread/readState/changed`. */
export type ThreadReadStateChangedNotification = {
  readState: ThreadReadState;
  /** For clients that opted in to `skein/events`. */
  skein?: CatalogPlace | null;
  threadId: ThreadId;
};

/** The user's action. */
export type ThreadReadStateOperation = {
  type: "read";
} | {
  type: "unread";
};

/** Params of `thread/readState/update`. */
export type ThreadReadStateUpdateParams = {
  expectedRevision: string;
  operation: ThreadReadStateOperation;
  threadId: ThreadId;
};

/** Response of `thread/readState/update`. */
export type ThreadReadStateUpdateResponse = {
  readState: ThreadReadState;
};

/** The page of turns that comes with a resume. */
export type ThreadResumeInitialTurnsPageParams = {
  itemsView?: TurnItemsView | null;
  limit?: number | null;
  sortDirection?: SortDirection | null;
};

/** Params of `thread/resume`. */
export type ThreadResumeParams = {
  approvalPolicy?: AskForApproval | null;
  approvalsReviewer?: ApprovalsReviewer | null;
  baseInstructions?: string | null;
  config?: { [key: string]: unknown } | null;
  cwd?: string | null;
  developerInstructions?: string | null;
  excludeTurns?: boolean;
  history?: ResponseItem[] | null;
  initialTurnsPage?: ThreadResumeInitialTurnsPageParams | null;
  model?: string | null;
  modelProvider?: string | null;
  path?: string | null;
  permissions?: string | null;
  personality?: Personality | null;
  runtimeWorkspaceRoots?: string[] | null;
  sandbox?: SandboxMode | null;
  serviceTier?: string | null;
  /** Options for clients that know Skein. */
  skein?: ResumeOptions | null;
  threadId: ThreadId;
};

/** Response of `thread/resume`. */
export type ThreadResumeResponse = {
  activePermissionProfile: ActivePermissionProfile | null;
  approvalPolicy: AskForApproval;
  approvalsReviewer: ApprovalsReviewer;
  collaborationMode: CollaborationMode | null;
  cwd: string;
  disabledPluginIds: string[];
  initialTurnsPage: TurnsPage | null;
  instructionSources: string[];
  itemsBackwardsCursor: string | null;
  model: string;
  modelProvider: string;
  multiAgentMode: MultiAgentMode;
  reasoningEffort: string | null;
  runtimeWorkspaceRoots: string[];
  sandbox: SandboxPolicy;
  serviceTier: string | null;
  /** The point in the history that this answer shows. */
  skein?: ResumePicture | null;
  thread: Thread;
  turnsBackwardsCursor: string | null;
};

/** Params of `thread/revert`. */
export type ThreadRevertParams = {
  beforeTurnId: TurnId;
  threadId: ThreadId;
};

/** Response of `thread/revert` and `thread/rollback`. The remaining turns are read in pages from these cursors. */
export type ThreadRevertResponse = {
  itemsBackwardsCursor: string | null;
  /** The point in the history that this answer shows. */
  skein?: ThreadPicture | null;
  thread: Thread;
  turnsBackwardsCursor: string | null;
};

/** Params of `thread/reverted`. */
export type ThreadRevertedNotification = {
  /** The removed part of the history. */
  skein?: RevertedFrom | null;
  threadId: ThreadId;
};

/** Params of `thread/rollback`, which earlier versions of Codex had. */
export type ThreadRollbackParams = {
  /** The number of newest turns to remove, at least 1. A larger number removes all. */
  numTurns: number;
  threadId: ThreadId;
};

/** A hit in a message. */
export type ThreadSearchOccurrence = {
  itemId: ItemId;
  /** The text around the hit. */
  snippet: string;
  /** The hit's place in the snippet. */
  snippetMatchRange: ThreadSearchTextRange;
  /** A cursor of `thread/turns/list` for a page that begins with the hit's turn, in either direction. */
  turnCursor: string;
  turnId: TurnId;
};

/** Params of `thread/searchOccurrences`. */
export type ThreadSearchOccurrencesParams = {
  cursor?: string | null;
  limit?: number | null;
  /** As in `thread/search`. */
  searchTerm: string;
  threadId: ThreadId;
};

/**
 * Response of `thread/searchOccurrences`: hits in messages, oldest message first, each hit once. As in `thread/search`,
 * only a page without a `nextCursor` is the last.
 */
export type ThreadSearchOccurrencesResponse = {
  data: ThreadSearchOccurrence[];
  nextCursor: string | null;
};

/** Params of `thread/search`. */
export type ThreadSearchParams = {
  /** Archived threads only if true; the others if not. */
  archived?: boolean | null;
  currentAccountOnly?: boolean;
  cursor?: string | null;
  includeAttachedThreads?: boolean;
  limit?: number | null;
  /** The literal text to find: case is ignored, spaces count, there are no wildcards. */
  searchTerm: string;
  sortDirection?: SortDirection | null;
  sortKey?: ThreadSearchSortKey | null;
  sourceKinds?: ThreadSourceKind[] | null;
};

/**
 * Response of `thread/search`. A page takes a bounded time, so it can be short, or empty, with a `nextCursor`: only
 * a page without one is the last.
 */
export type ThreadSearchResponse = {
  backwardsCursor: string | null;
  data: ThreadSearchResult[];
  nextCursor: string | null;
  /** The limits of the search. */
  skein?: SearchDetails | null;
};

/** A thread that was found. */
export type ThreadSearchResult = {
  /** The text around the first hit: in the name, or else in the oldest message with a hit. */
  snippet: string;
  thread: Thread;
};

/** The order of found threads. */
export type ThreadSearchSortKey = "created_at" | "updated_at" | "recency_at";

/** A part of a text in UTF-16 code units, as browser scripts count: from `start` to `end`, which is excluded. */
export type ThreadSearchTextRange = {
  end: number;
  start: number;
};

/** The user's section of the list for a thread. */
export type ThreadSection = {
  appearance: ThreadSectionAppearance | null;
  id: string;
  name: string;
};

/** The look of a section. */
export type ThreadSectionAppearance = {
  color: string | null;
  icon: string | null;
};

/** Params of `thread/name/set`. */
export type ThreadSetNameParams = {
  name: string;
  threadId: ThreadId;
};

/** Response of `thread/name/set`: nothing. */
export type ThreadSetNameResponse = { [key: string]: unknown };

/** The settings of a thread. */
export type ThreadSettings = {
  activePermissionProfile: ActivePermissionProfile | null;
  approvalPolicy: AskForApproval;
  approvalsReviewer: ApprovalsReviewer;
  collaborationMode: CollaborationMode;
  cwd: string;
  disabledPluginIds: string[];
  effort: string | null;
  environments: ThreadEnvironment[] | null;
  model: string;
  modelProvider: string;
  multiAgentMode: MultiAgentMode;
  personality: Personality | null;
  sandboxPolicy: SandboxPolicy;
  serviceTier: string | null;
  summary: ReasoningSummary | null;
};

/** Params of `thread/settings/update`. */
export type ThreadSettingsUpdateParams = {
  approvalPolicy?: AskForApproval | null;
  approvalsReviewer?: ApprovalsReviewer | null;
  collaborationMode?: CollaborationModeParam | null;
  cwd?: string | null;
  disabledPluginIds?: string[] | null;
  effort?: string | null;
  environments?: TurnEnvironmentParams[] | null;
  model?: string | null;
  multiAgentMode?: MultiAgentMode | null;
  permissions?: string | null;
  personality?: Personality | null;
  sandboxPolicy?: SandboxPolicyParam | null;
  serviceTier?: string | null;
  summary?: ReasoningSummary | null;
  threadId: ThreadId;
};

/** Response of `thread/settings/update`: nothing. */
export type ThreadSettingsUpdateResponse = { [key: string]: unknown };

/** Params of `thread/settings/updated`. */
export type ThreadSettingsUpdatedNotification = {
  threadId: ThreadId;
  threadSettings: ThreadSettings;
};

/** The order of a list of threads. */
export type ThreadSortKey = "created_at" | "updated_at" | "recency_at" | "section_position";

/** The kinds of client that a list of threads can be narrowed to. */
export type ThreadSourceKind = "cli" | "vscode" | "exec" | "appServer" | "subAgent" | "subAgentReview" | "subAgentCompact" | "subAgentThreadSpawn" | "subAgentOther" | "unknown";

/** Params of `thread/start`. */
export type ThreadStartParams = {
  allowProviderModelFallback?: boolean;
  approvalPolicy?: AskForApproval | null;
  approvalsReviewer?: ApprovalsReviewer | null;
  baseInstructions?: string | null;
  config?: { [key: string]: unknown } | null;
  cwd?: string | null;
  daybreakEnabled?: boolean | null;
  developerInstructions?: string | null;
  dynamicTools?: DynamicToolSpec[] | null;
  environments?: TurnEnvironmentParams[] | null;
  ephemeral?: boolean | null;
  experimentalRawEvents?: boolean;
  historyMode?: ThreadHistoryMode | null;
  mockExperimentalField?: string | null;
  model?: string | null;
  modelProvider?: string | null;
  multiAgentMode?: MultiAgentMode | null;
  permissions?: string | null;
  personality?: Personality | null;
  projectId?: string | null;
  runtimeWorkspaceRoots?: string[] | null;
  sandbox?: SandboxMode | null;
  selectedCapabilityRoots?: SelectedCapabilityRoot[] | null;
  serviceName?: string | null;
  serviceTier?: string | null;
  sessionStartSource?: ThreadStartSource | null;
  /** Options for clients that know Skein. */
  skein?: StartOptions | null;
  threadSource?: string | null;
};

/** Response of `thread/start`. */
export type ThreadStartResponse = {
  activePermissionProfile: ActivePermissionProfile | null;
  approvalPolicy: AskForApproval;
  approvalsReviewer: ApprovalsReviewer;
  cwd: string;
  disabledPluginIds: string[];
  instructionSources: string[];
  model: string;
  modelProvider: string;
  multiAgentMode: MultiAgentMode;
  reasoningEffort: string | null;
  runtimeWorkspaceRoots: string[];
  sandbox: SandboxPolicy;
  serviceTier: string | null;
  /** The point in the history that this answer shows. */
  skein?: ThreadMoment | null;
  thread: Thread;
};

/** The reason why the client started a session. */
export type ThreadStartSource = "startup" | "clear";

/** Params of `thread/started`. */
export type ThreadStartedNotification = {
  /** For clients that opted in to `skein/events`. */
  skein?: CatalogPlace | null;
  thread: Thread;
};

/** The status of a thread. */
export type ThreadStatus = {
  type: "notLoaded";
} | {
  type: "idle";
} | {
  type: "systemError";
} | {
  activeFlags: ThreadActiveFlag[];
  type: "active";
};

/** Params of `thread/status/changed`. */
export type ThreadStatusChangedNotification = {
  /** For clients that opted in to `skein/events`. */
  skein?: CatalogPlace | null;
  status: ThreadStatus;
  threadId: ThreadId;
};

/** The tokens that a thread has used. */
export type ThreadTokenUsage = {
  last: TokenUsageBreakdown;
  modelContextWindow: number | null;
  total: TokenUsageBreakdown;
};

/** Params of `thread/tokenUsage/updated`. */
export type ThreadTokenUsageUpdatedNotification = {
  /** The limits that hold for the thread, with their use. */
  skein?: BudgetDetails | null;
  threadId: ThreadId;
  tokenUsage: ThreadTokenUsage;
  turnId: TurnId;
};

/** Params of `thread/turns/list`. */
export type ThreadTurnsListParams = {
  cursor?: string | null;
  itemsView?: TurnItemsView | null;
  limit?: number | null;
  sortDirection?: SortDirection | null;
  threadId: ThreadId;
};

/** Response of `thread/turns/list`. */
export type ThreadTurnsListResponse = {
  backwardsCursor: string | null;
  data: Turn[];
  nextCursor: string | null;
  /** The point in the history that this answer shows. */
  skein?: ThreadPicture | null;
};

/** Params of `thread/unarchive`. */
export type ThreadUnarchiveParams = {
  threadId: ThreadId;
};

/** Response of `thread/unarchive`. */
export type ThreadUnarchiveResponse = {
  thread: Thread;
};

/** Params of `thread/unarchived`. */
export type ThreadUnarchivedNotification = {
  /** For clients that opted in to `skein/events`. */
  skein?: CatalogPlace | null;
  threadId: ThreadId;
};

/** The first unread position. */
export type ThreadUnreadPosition = {
  type: "threadStart";
} | {
  turnId: TurnId;
  type: "turn";
};

/** Params of `thread/unsubscribe`. */
export type ThreadUnsubscribeParams = {
  threadId: ThreadId;
};

/** Response of `thread/unsubscribe`. */
export type ThreadUnsubscribeResponse = {
  status: ThreadUnsubscribeStatus;
};

/** The outcome of an unsubscription. */
export type ThreadUnsubscribeStatus = "notLoaded" | "notSubscribed" | "unsubscribed";

/** The cost of one thread. */
export type ThreadUsage = {
  estimatedUsageCreditsMicros: number;
  estimatedUsageUsdMicros: number | null;
  groups: ThreadUsageBreakdownGroup[];
  nativeUsageUsdMicros: number | null;
  threadId: ThreadId;
};

/** The cost of one model in it. */
export type ThreadUsageBreakdownGroup = {
  cachedInputTokens: number | null;
  estimatedUsageCreditsMicros: number;
  inputTokens: number | null;
  model: string | null;
  netNewInputTokens: number | null;
  outputTokens: number | null;
  reasoningEffort: string | null;
  speed: string | null;
  totalTokens: number | null;
};

/** A count of tokens by kind. */
export type TokenUsageBreakdown = {
  cacheWriteInputTokens: number;
  cachedInputTokens: number;
  inputTokens: number;
  outputTokens: number;
  reasoningOutputTokens: number;
  totalTokens: number;
};

/** A tool that a helper offers. */
export type Tool = {
  _meta?: unknown;
  annotations?: unknown;
  description?: string | null;
  icons?: unknown[] | null;
  inputSchema: unknown;
  name: string;
  outputSchema?: unknown;
  title?: string | null;
};

/** The user's answers to one question. */
export type ToolRequestUserInputAnswer = {
  answers: string[];
};

/** An answer that the user can choose. */
export type ToolRequestUserInputOption = {
  description: string;
  label: string;
};

/** Params of `item/tool/requestUserInput`. */
export type ToolRequestUserInputParams = {
  autoResolutionMs: number | null;
  isBlocking: boolean;
  itemId: ItemId;
  questions: ToolRequestUserInputQuestion[];
  threadId: ThreadId;
  turnId: TurnId;
};

/** A question to the user. */
export type ToolRequestUserInputQuestion = {
  header: string;
  id: string;
  isOther: boolean;
  isSecret: boolean;
  options: ToolRequestUserInputOption[] | null;
  question: string;
};

/** The answer to `item/tool/requestUserInput`: an answer for each question, by its id. */
export type ToolRequestUserInputResponse = {
  answers: { [key: string]: ToolRequestUserInputAnswer };
};

/** One user input and everything that follows until the agent is done. */
export type Turn = {
  completedAt: number | null;
  durationMs: number | null;
  error: TurnError | null;
  id: TurnId;
  items: ThreadItem[];
  itemsView: TurnItemsView;
  rootTurnId: TurnId | null;
  startedAt: number | null;
  status: TurnStatus;
};

/** Params of `turn/completed`. */
export type TurnCompletedNotification = {
  /** Whether the turn is saved; left out if it is. */
  skein?: TurnSaved | null;
  threadId: ThreadId;
  turn: Turn;
};

/** Turns. */
export type TurnCounts = {
  /** Ended turns, in any way. */
  completedTotal: number;
  /** Running turns. */
  running: number;
  /** Started turns. */
  startedTotal: number;
};

/** Where a turn runs. */
export type TurnDetails = {
  /** The server that has the thread. */
  owner: ThreadOwner;
};

/** An environment that turns run in, as the client asks for it. */
export type TurnEnvironmentParams = {
  cwd: string;
  environmentId: string;
  runtimeWorkspaceRoots?: string[] | null;
};

/** The error of a turn. */
export type TurnError = {
  additionalDetails: string | null;
  codexErrorInfo: CodexErrorInfo | null;
  message: string;
  misalignment: MisalignmentErrorDetails | null;
};

/** The id of a turn. Any text; it is compared, never built into a path. */
export type TurnId = string;

/** Params of `turn/interrupt`. */
export type TurnInterruptParams = {
  threadId: ThreadId;
  turnId: TurnId;
};

/** Response of `turn/interrupt`: nothing. */
export type TurnInterruptResponse = { [key: string]: unknown };

/** The items that a turn shows. */
export type TurnItemsView = "notLoaded" | "summary" | "full";

/** Whether a turn is saved. */
export type TurnSaved = {
  /** False if the history could not be written: the turn is lost when the server ends now. */
  saved: boolean;
};

/** Params of `turn/start`. */
export type TurnStartParams = {
  additionalContext?: { [key: string]: AdditionalContextEntry } | null;
  approvalPolicy?: AskForApproval | null;
  approvalsReviewer?: ApprovalsReviewer | null;
  clientUserMessageId?: string | null;
  collaborationMode?: CollaborationModeParam | null;
  cwd?: string | null;
  cyberAccessProgram?: CyberAccessProgram | null;
  disabledPluginIds?: string[] | null;
  effort?: string | null;
  environments?: TurnEnvironmentParams[] | null;
  input: UserInputParam[];
  model?: string | null;
  multiAgentMode?: MultiAgentMode | null;
  outputSchema?: unknown;
  parentTurnId?: TurnId | null;
  permissions?: string | null;
  personality?: Personality | null;
  responsesapiClientMetadata?: { [key: string]: string } | null;
  responsesapiClientMetadataPatch?: { [key: string]: string } | null;
  rootTurnId?: TurnId | null;
  runtimeWorkspaceRoots?: string[] | null;
  sandboxPolicy?: SandboxPolicyParam | null;
  serviceTier?: string | null;
  serviceTierForTurn?: string | null;
  summary?: ReasoningSummary | null;
  threadId: ThreadId;
  toolOutput?: TurnToolOutput | null;
  turnTrigger?: string | null;
};

/** Response of `turn/start`. */
export type TurnStartResponse = {
  /** Skein's extension: where several servers share a database. */
  skein?: TurnDetails | null;
  turn: Turn;
};

/** Params of `turn/started`. */
export type TurnStartedNotification = {
  threadId: ThreadId;
  turn: Turn;
};

/** The state of a turn. */
export type TurnStatus = "completed" | "interrupted" | "failed" | "inProgress";

/** Params of `turn/steer`. */
export type TurnSteerParams = {
  additionalContext?: { [key: string]: AdditionalContextEntry } | null;
  clientUserMessageId?: string | null;
  expectedTurnId: TurnId;
  input: UserInputParam[];
  responsesapiClientMetadata?: { [key: string]: string } | null;
  responsesapiClientMetadataPatch?: { [key: string]: string } | null;
  threadId: ThreadId;
};

/** Response of `turn/steer`. */
export type TurnSteerResponse = {
  turnId: TurnId;
};

/** The output of a client-side tool that begins a turn. */
export type TurnToolOutput = {
  name: string;
  namespace?: string | null;
  output: FunctionCallOutputBody;
  retain?: boolean;
};

/** A page of turns. */
export type TurnsPage = {
  backwardsCursor: string | null;
  data: Turn[];
  nextCursor: string | null;
};

/** An error of a later version of the protocol. */
export type UnknownErrorInfo = string | { [key: string]: unknown };

/** Threads that left memory. */
export type UnloadCounts = {
  /** Milliseconds of the last unload; absent before the first. */
  lastMs?: number | null;
  /** Milliseconds of the longest unload; absent before the first. */
  maxMs?: number | null;
  /** Finished unloads. */
  total: number;
};

/** The outcome of an unload. */
export type UnloadOutcome = "unloaded" | "notLoaded";

/** A piece of the user's input. */
export type UserInput = {
  text: string;
  text_elements: TextElement[];
  type: "text";
} | {
  detail?: ImageDetail | null;
  type: "image";
} & ({
  url: string;
} | {
  fileId: string;
}) | {
  detail?: ImageDetail | null;
  path: string;
  type: "localImage";
} | {
  type: "audio";
} & ({
  url: string;
} | {
  fileId: string;
}) | {
  path: string;
  type: "localAudio";
} | {
  name: string;
  path: string;
  type: "skill";
} | {
  name: string;
  path: string;
  type: "mention";
};

/** A piece of the user's input. */
export type UserInputParam = {
  text: string;
  text_elements?: TextElementParam[];
  type: "text";
} | {
  detail?: ImageDetail | null;
  type: "image";
} & ({
  url: string;
} | {
  fileId: string;
}) | {
  detail?: ImageDetail | null;
  path: string;
  type: "localImage";
} | {
  type: "audio";
} & ({
  url: string;
} | {
  fileId: string;
}) | {
  path: string;
  type: "localAudio";
} | {
  name: string;
  path: string;
  type: "skill";
} | {
  name: string;
  path: string;
  type: "mention";
};

/** A message of the user. */
export type UserMessageItem = {
  clientId: string | null;
  content: UserInput[];
  id: ItemId;
};

/** The questions of a thread that wait for an answer. */
export type WaitingDetails = {
  /** When the first of them needs no answer any more, in Unix milliseconds; missing if never. */
  expiresAt?: number | null;
  /** Their subjects, each once. */
  kinds: QuestionKind[];
  /** When the oldest of them was asked, in Unix milliseconds. */
  oldestAt: number;
  /** Their number. */
  questions: number;
};

/** Params of `warning`. */
export type WarningNotification = {
  message: string;
  threadId: ThreadId | null;
};

/** The action of a web search. */
export type WebSearchAction = {
  queries: string[] | null;
  query: string | null;
  type: "search";
} | {
  type: "openPage";
  url: string | null;
} | {
  pattern: string | null;
  type: "findInPage";
  url: string | null;
} | {
  type: "other";
};

/** A web search. */
export type WebSearchItem = {
  action?: WebSearchAction | null;
  id: ItemId;
  query: string;
  results?: unknown[] | null;
};

/** The `error` member of an answer. */
export type WireError = {
  /** One of the codes of this module; other peers may send others. */
  code: number;
  /** The same for programs. This server always sends it; data of another shape is read as none. */
  data?: ErrorData | null;
  /**
   * A sentence that names its subject. Clients of the peer compare it: an error that the peer has, too, has the
   * peer's sentence, word for word.
   */
  message: string;
};

/** The routing of an account's requests. */
export type WorkspaceRouting = {
  accountRoutingOverride: AccountRoutingOverride;
  backendOrigin: string;
  chatgptAccountId: string;
};

/** Whether the written value is in force. */
export type WriteStatus = "ok" | "okOverridden";

/** How long helpers took from the order to stop until no process was left. */
export type ZeroCounts = {
  /** Milliseconds of the last stop; absent before the first. */
  lastMs?: number | null;
  /** Milliseconds of the longest stop; absent before the first. */
  maxMs?: number | null;
  /** Helpers that stopped on request; those that ended on their own do not count. */
  total: number;
};
