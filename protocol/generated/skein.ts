// Written by scripts/generate from protocol/src; do not edit.
//
// What goes over Skein's websocket, one message in each text frame. Types only: nothing of this file is left at run time.
// A type whose name ends in `Param` is one as clients send it, where the server sends it with more.

/** Every request that a client can make. */
export type Methods = {
  /** Opens the conversation between client and server. It is the first request of a connection, and made once. */
  "initialize": { params: InitializeParams; result: InitializeResponse };
  /**
   * Makes a new thread and subscribes the connection to it. The thread is on disk from its first user message on;
   * an ephemeral one is never on disk and never listed.
   */
  "thread/start": { params: ThreadStartParams; result: ThreadStartResponse };
  /**
   * Loads a thread if it is not loaded, and subscribes the connection to it. The settings that it names hold if it loads
   * the thread; a loaded thread keeps its own, and the answer has those in force. Behind the answer the connection hears
   * what the thread has used (`thread/tokenUsage/updated`) and its goal (`thread/goal/updated` or `thread/goal/cleared`).
   */
  "thread/resume": { params: ThreadResumeParams; result: ThreadResumeResponse };
  /** Ends the connection's subscription. A thread that nobody is subscribed to is unloaded and its helpers end. */
  "thread/unsubscribe": { params: ThreadUnsubscribeParams; result: ThreadUnsubscribeResponse };
  /** Ids of the threads in memory. Never waits for a thread. */
  "thread/loaded/list": { params: ThreadLoadedListParams; result: ThreadLoadedListResponse };
  /** A page of the threads on disk, newest first unless asked otherwise, without their turns. */
  "thread/list": { params: ThreadListParams; result: ThreadListResponse };
  /**
   * Threads with a text in their name or in a message of the user or the agent; upper and lower case are the same.
   * A page is answered within a bounded time with what was found by then: it can be empty and have a next one.
   */
  "thread/search": { params: ThreadSearchParams; result: ThreadSearchResponse };
  /** Every place of a text in the messages of one thread, without loading it. */
  "thread/searchOccurrences": { params: ThreadSearchOccurrencesParams; result: ThreadSearchOccurrencesResponse };
  /** A thread from disk, with its turns when asked, without loading it. */
  "thread/read": { params: ThreadReadParams; result: ThreadReadResponse };
  /** A page of a thread's turns, newest first unless asked otherwise, without loading it. */
  "thread/turns/list": { params: ThreadTurnsListParams; result: ThreadTurnsListResponse };
  /**
   * A page of a thread's items, oldest first unless asked otherwise, without loading it. Items in progress are
   * there with their text so far; pages that are reached from a cursor of `thread/resume` leave them out, as events
   * tell them.
   */
  "thread/items/list": { params: ThreadItemsListParams; result: ThreadItemsListResponse };
  /** Names a thread, loaded or not. */
  "thread/name/set": { params: ThreadSetNameParams; result: ThreadSetNameResponse };
  /**
   * Changes what a thread says of its repository, loaded or not. A member that is null is taken away, one that is
   * missing stays.
   */
  "thread/metadata/update": { params: ThreadMetadataUpdateParams; result: ThreadMetadataUpdateResponse };
  /** Changes what a thread works with, loaded or not, from its next turn on. A member that is missing stays. */
  "thread/settings/update": { params: ThreadSettingsUpdateParams; result: ThreadSettingsUpdateResponse };
  /**
   * Marks a thread as read, or as unread from its last turn on, loaded or not. `expectedRevision` is that of the state
   * that the user has seen; where it is another one now, the error says so and nothing changes.
   */
  "thread/readState/update": { params: ThreadReadStateUpdateParams; result: ThreadReadStateUpdateResponse };
  /**
   * Sets what a thread is to reach, or changes it, loaded or not: with another `objective` a new count begins. Skein
   * keeps the goal and counts the tokens and the time of turns that end while it is active; above `tokenBudget` it
   * becomes `budgetLimited`. No turn begins by itself, and none is kept from beginning.
   */
  "thread/goal/set": { params: ThreadGoalSetParams; result: ThreadGoalSetResponse };
  /** What a thread is to reach, if anything, without loading it. */
  "thread/goal/get": { params: ThreadGoalGetParams; result: ThreadGoalGetResponse };
  /** Takes a thread's goal away, loaded or not. */
  "thread/goal/clear": { params: ThreadGoalClearParams; result: ThreadGoalClearResponse };
  /**
   * Takes back a turn and all after it, loaded or not; files stay as they are. Refused while a turn runs. The history
   * has a new epoch then.
   */
  "thread/revert": { params: ThreadRevertParams; result: ThreadRevertResponse };
  /**
   * Takes back the newest turns: `thread/revert` for clients of earlier versions of Codex, who count turns. The
   * answer has the turns that stay, the newest that fit.
   */
  "thread/rollback": { params: ThreadRollbackParams; result: ThreadRevertResponse };
  /**
   * Makes a thread with the history of another one, up to a turn where one is named, and subscribes the connection
   * to it. The other one is not disturbed, whatever it does. A turn that runs there is interrupted in the copy,
   * of which nothing is unread. Behind the answer the connection hears what the history has used.
   */
  "thread/fork": { params: ThreadForkParams; result: ThreadForkResponse };
  /**
   * Adds items to what the model sees of a thread's history, in the words of its interface, loaded or not. No turn
   * begins, and no client is told.
   */
  "thread/inject_items": { params: ThreadInjectItemsParams; result: ThreadInjectItemsResponse };
  /**
   * Begins a turn in which the model replaces what was said by a summary; later turns are told the summary. The history
   * keeps everything. While a turn runs, it waits for that turn's end.
   */
  "thread/compact/start": { params: ThreadCompactStartParams; result: ThreadCompactStartResponse };
  /**
   * Puts a thread aside: its turn is interrupted, it is unloaded with its helpers, its subscriptions end, and only the
   * archived list shows it. It can still be read and resumed, and stays archived then.
   */
  "thread/archive": { params: ThreadArchiveParams; result: ThreadArchiveResponse };
  /** Brings an archived thread back into the ordinary list. It is unloaded for that; its subscribers stay. */
  "thread/unarchive": { params: ThreadUnarchiveParams; result: ThreadUnarchiveResponse };
  /**
   * Deletes a thread, whatever it does and whoever listens. Its file stays in the home's `trash` for a while
   * (`trash.keep`), and is removed then.
   */
  "thread/delete": { params: ThreadDeleteParams; result: ThreadDeleteResponse };
  /**
   * Begins a turn with the user's input, or adds the input to the turn that runs. Answered before the turn's first
   * notification. Of the settings that come with what is added, those about questions hold at once, the others from the
   * next turn on.
   */
  "turn/start": { params: TurnStartParams; result: TurnStartResponse };
  /** Adds input to the turn that runs, if it is the one that is named. */
  "turn/steer": { params: TurnSteerParams; result: TurnSteerResponse };
  /** Ends the turn that runs. */
  "turn/interrupt": { params: TurnInterruptParams; result: TurnInterruptResponse };
  /**
   * The helpers of a thread and how each is doing, from memory. Without a thread: those of the settings. A helper that runs
   * is looked at; another one is started for the answer, which waits for its start, and ends with it.
   */
  "mcpServerStatus/list": { params: ListMcpServerStatusParams; result: ListMcpServerStatusResponse };
  /** Calls a tool of one of the thread's helpers. Answered when the tool is done, however long that takes. */
  "mcpServer/tool/call": { params: McpServerToolCallParams; result: McpServerToolCallResponse };
  /**
   * Reads a resource of one of the thread's helpers. Answered when the helper does. Without a thread the helper of the
   * settings is started for the answer, and what it asks the user is refused.
   */
  "mcpServer/resource/read": { params: McpResourceReadParams; result: McpResourceReadResponse };
  /** The models that turns can use. */
  "model/list": { params: ModelListParams; result: ModelListResponse };
  /**
   * The settings in force and where each was written. Variables of helpers are masked, and their arguments where their
   * names are those of secrets.
   */
  "config/read": { params: ConfigReadParams; result: ConfigReadResponse };
  /**
   * Looks at the file of settings again. What has changed is in force when this is answered: helpers that are another
   * process now are started, those that are not named any more end, all others go on; calls that are under way are not cut
   * off. Helpers that have failed are started again. Costs next to nothing when the file is as it was. Wrong settings are an
   * error with file, line and key of each, and change nothing.
   */
  "config/mcpServer/reload": { params: ConfigMcpServerReloadParams; result: McpServerRefreshResponse };
  /**
   * Sets one value in the user's file of settings by its dotted key, or takes it away where it is null; comments and
   * everything else stay. It is in force when this is answered. Settings that a server would not take are refused with
   * each reason, and nothing is written; so is a write whose `expectedVersion` is not that of the file's layer now. A value that
   * `config/read` has masked (`***`, or an address without user and query) stands for what is in the file; with nothing there the write
   * is refused.
   */
  "config/value/write": { params: ConfigValueWriteParams; result: ConfigWriteResponse };
  /** Sets several values in the user's file of settings: all of them, or none. */
  "config/batchWrite": { params: ConfigBatchWriteParams; result: ConfigWriteResponse };
  /** What an administrator requires of the settings: nothing. */
  "configRequirements/read": { params: ConfigRequirementsReadParams; result: ConfigRequirementsReadResponse };
  /** The account that pays: none, and none is needed. */
  "account/read": { params: GetAccountParams; result: GetAccountResponse };
  /** The limits of the account that pays: none are known, as there is no account. */
  "account/rateLimits/read": { params: GetAccountRateLimitsParams; result: GetAccountRateLimitsResponse };
  /**
   * The tokens of the account that pays: nothing is known of them, as there is no account. What a thread has used is
   * told by `thread/tokenUsage/updated`.
   */
  "account/usage/read": { params: GetAccountTokenUsageParams; result: GetAccountTokenUsageResponse };
  /** Whether models are asked in a region for governments: no, as no provider of Skein's has such regions. */
  "account/bedrock/checkGovCloudRequirements": { params: BedrockCheckGovCloudRequirementsParams; result: BedrockCheckGovCloudRequirementsResponse };
  /**
   * The providers of models that the server knows, built in or by its settings; `config/value/write` chooses another
   * default (`model_provider`) and changes them (`model_providers.NAME`).
   */
  "modelProvider/list": { params: ModelProviderListParams; result: ModelProviderListResponse };
  /**
   * What providers of models do beside answering: neither make they pictures nor do they search the web, as Skein
   * offers models only the tools of helpers and clients.
   */
  "modelProvider/capabilities/read": { params: ModelProviderCapabilitiesReadParams; result: ModelProviderCapabilitiesReadResponse };
  /** Features that can be switched on: none, as Skein has no such switches. */
  "experimentalFeature/list": { params: ExperimentalFeatureListParams; result: ExperimentalFeatureListResponse };
  /** The server's process, and some numbers of `skein/status`, by their names there. */
  "server/diagnostics": { params: ServerDiagnosticsParams; result: ServerDiagnosticsResponse };
  /**
   * Keeps what a user says about a thread or the server, for whoever runs the server: as a file in the home's
   * `feedback`. It is sent nowhere, and no logs are added; names of log files are kept, not their content. `threadId`
   * is the thread, or the name of the report where none was named.
   */
  "feedback/upload": { params: FeedbackUploadParams; result: FeedbackUploadResponse };
  /** The skills of each directory that is named: none, as Skein has no skills yet. */
  "skills/list": { params: SkillsListParams; result: SkillsListResponse };
  /** The hooks of each directory that is named: none, as Skein runs no hooks. */
  "hooks/list": { params: HooksListParams; result: HooksListResponse };
  /** What turns may do: everything that their helpers can, as Skein runs no commands of its own and confines nobody. */
  "permissionProfile/list": { params: PermissionProfileListParams; result: PermissionProfileListResponse };
  /** The modes that the user can choose: none, as Skein has one way to work. */
  "collaborationMode/list": { params: CollaborationModeListParams; result: CollaborationModeListResponse };
  /**
   * Unloads a thread and ends its helpers; answered when none is left. Refused while the thread is active or has
   * other subscribers, unless forced. Joins an unload that is already under way.
   */
  "skein/thread/unload": { params: SkeinThreadUnloadParams; result: SkeinThreadUnloadResponse };
  /**
   * For a client whose user is gone: its subscriptions end, and threads to which nobody else is subscribed are unloaded at once,
   * whatever they do: turns are interrupted, and calls of tools under way are cut off, whoever made them. Answered when these threads are unloaded and none of their helpers is left, or after 1.2 s with the number
   * of those that are not.
   */
  "skein/connection/leave": { params: SkeinConnectionLeaveParams; result: SkeinConnectionLeaveResponse };
  /** What the server holds and has done, in numbers. Never waits for anything. */
  "skein/status": { params: SkeinStatusParams; result: SkeinStatusResponse };
  /** The helpers of loaded threads, and those kept for others, with their processes, memory, queues and last words, from one look at the system. */
  "skein/helpers/list": { params: SkeinHelpersListParams; result: SkeinHelpersListResponse };
  /**
   * What was told to everybody since a number of the catalog: with it, the list of a client that was away is right
   * again. After a page of `thread/list`, ask with the page's number and apply the changes in order. A thread that
   * is not in the client's list, but changes, was not on disk when the list was made: read it.
   */
  "skein/catalog/resume": { params: SkeinCatalogResumeParams; result: SkeinCatalogResumeResponse };
  /**
   * Answers when every event sent before it has been handled by every thread's owner. It waits for no turn and no
   * tool call. Only with `serve --test-fences`.
   */
  "skein/quiesce": { params: SkeinQuiesceParams; result: SkeinQuiesceResponse };
  /** Every message of this table and the others, as an OpenRPC document. */
  "rpc.discover": { params: RpcDiscoverParams; result: RpcDiscoverResponse };
};

/** Every notification that a client can send. */
export type ClientNotifications = {
  /** The client has read the response of `initialize`. It may be left out. */
  "initialized": InitializedParams;
};

/** Everything that the server tells without being asked. */
export type Notifications = {
  /** A thread was made. */
  "thread/started": ThreadStartedNotification;
  /** A thread began or ended being active, or waits for the user. */
  "thread/status/changed": ThreadStatusChangedNotification;
  /** A thread was unloaded; none of its helpers is left. */
  "thread/closed": ThreadClosedNotification;
  /** A thread was put aside: it is in the archived list now, unloaded, and nobody is subscribed to it. */
  "thread/archived": ThreadArchivedNotification;
  /** An archived thread is in the ordinary list again. */
  "thread/unarchived": ThreadUnarchivedNotification;
  /** A thread was deleted: it is in no list, and cannot be read or resumed. */
  "thread/deleted": ThreadDeletedNotification;
  /** A thread has a new name. */
  "thread/name/updated": ThreadNameUpdatedNotification;
  /** The user has read a thread, marked it as unread, or a turn has ended that nobody has read yet. */
  "thread/readState/changed": ThreadReadStateChangedNotification;
  /** A thread works with other settings from now on. */
  "thread/settings/updated": ThreadSettingsUpdatedNotification;
  /** A thread has a goal, another one, or has come nearer to it: told when it is set, and at the end of each turn. */
  "thread/goal/updated": ThreadGoalUpdatedNotification;
  /** A thread has no goal any more. */
  "thread/goal/cleared": ThreadGoalClearedNotification;
  /** Turns were taken back: read the history again, or drop the turns that `skein` tells of. */
  "thread/reverted": ThreadRevertedNotification;
  /** A turn began. */
  "turn/started": TurnStartedNotification;
  /** A turn ended: completed, interrupted or failed. */
  "turn/completed": TurnCompletedNotification;
  /** An item began. */
  "item/started": ItemStartedNotification;
  /** An item is complete; it replaces what its deltas said. */
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
  /** A word from a tool that is at work. */
  "item/mcpToolCall/progress": McpToolCallProgressNotification;
  /** The tokens that a thread has used. */
  "thread/tokenUsage/updated": ThreadTokenUsageUpdatedNotification;
  /** How far the start of a helper is; that one failed or ended, and why; that one shows no sign of life, or does again. */
  "mcpServer/startupStatus/updated": McpServerStatusUpdatedNotification;
  /** A question of the server needs no answer any more. */
  "serverRequest/resolved": ServerRequestResolvedNotification;
  /** Something in a turn failed; it may be tried again. */
  "error": ErrorNotification;
  /** A word of warning about a thread. */
  "warning": WarningNotification;
  /** A word of warning about the configuration. */
  "configWarning": ConfigWarningNotification;
  /**
   * The server is there. Each connection that opted in to `skein/events` hears it as often as the response of
   * `initialize` says (`heartbeatMs`), whatever else is sent.
   */
  "skein/heartbeat": SkeinHeartbeatNotification;
  /**
   * How far the mending of what an earlier end of the server left open is. Told when it begins, now and then while it
   * lasts, at its end, and to each connection that comes later; never where nothing was left.
   */
  "skein/repair/updated": SkeinRepairUpdatedNotification;
};

/** Every question that the server asks a client. */
export type ServerRequests = {
  /** Asks the user one or more questions on behalf of a turn. */
  "item/tool/requestUserInput": { params: ToolRequestUserInputParams; result: ToolRequestUserInputResponse };
  /**
   * Asks for the result of a tool that the client brought with `thread/start`. `callId` is the id of the call's item. All
   * subscribers are asked, the first real answer counts: a client that does not have the tool answers with an error.
   */
  "item/tool/call": { params: DynamicToolCallParams; result: DynamicToolCallResponse };
  /**
   * Asks the user something on behalf of a helper, in the thread whose call it is about. It ends with that call;
   * `turnId` is there where a turn has called. With `codex_approval_kind` `mcp_tool_call` in `_meta` it asks whether a
   * tool of that helper may be called: docs/approvals.md.
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

/** How far a piece of context is to be trusted. */
export type AdditionalContextKind = "untrusted" | "application";

/** How a message reaches the user, when not in the usual way. */
export type AgentMessageDelivery = "async";

/** Params of `item/agentMessage/delta`. */
export type AgentMessageDeltaNotification = {
  delta: string;
  itemId: ItemId;
  threadId: ThreadId;
  turnId: TurnId;
};

/** How a moderated message is shown. */
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

/** What the agent said. */
export type AgentMessageItem = {
  delivery: AgentMessageDelivery | null;
  id: ItemId;
  memoryCitation: MemoryCitation | null;
  moderation: AgentMessageModeration | null;
  phase: MessagePhase | null;
  questions: AsyncUserInputQuestion[] | null;
  text: string;
};

/** What moderation did with a message. */
export type AgentMessageModeration = {
  display: AgentMessageDisplay | null;
  moderated: boolean;
};

/** Who decides on approvals. */
export type ApprovalsReviewer = "user" | "auto_review" | "guardian_subagent";

/** When the user is asked before something is done. */
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

/** A range of bytes, its end excluded. */
export type ByteRange = {
  end: number;
  start: number;
};

/** Where a folder of capabilities is. */
export type CapabilityRootLocation = {
  environmentId: string;
  path: string;
  type: "environment";
};

/** A notification that was told to everybody, as clients that opted in heard it. */
export type CatalogChange = {
  /** When it was told first, in Unix milliseconds. */
  emittedAtMs: number;
  /** Its method. */
  method: string;
  /** Its params, with their place in `skein`. */
  params: { [key: string]: unknown };
};

/**
 * A place in the row of everything that is told to everybody: `thread/started`, `thread/status/changed`,
 * `thread/closed`, `thread/name/updated` and the others of scope `all`. Clients that opted in to `skein/events` find it
 * in the params of these notifications. The numbers that a connection hears rise; one that it does not hear belongs to
 * a notification that is not for it: one that it opted out of, or the end of a thread that it listens to.
 */
export type CatalogPlace = {
  /** The start of the server that the number belongs to. */
  catalogEpoch: string;
  /** The number. */
  catalogSeq: number;
};

/** Who the client is. */
export type ClientInfo = {
  name: string;
  title?: string | null;
  version: string;
};

/** Why a turn failed, for programs. */
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

/** What another agent is doing. */
export type CollabAgentStatus = "pendingInit" | "running" | "interrupted" | "completed" | "errored" | "shutdown" | "notFound";

/** What one agent can do with another. */
export type CollabAgentTool = "spawnAgent" | "sendInput" | "resumeAgent" | "wait" | "closeAgent" | "sendMessage" | "followupTask" | "interruptAgent" | "listAgents";

/** What the agent did with another agent. */
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

/** How far the call of an agent's tool is. */
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

/** What a command does, as far as it was understood. */
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

/** Who ran a command. */
export type CommandExecutionSource = "agent" | "userShell" | "unifiedExecStartup" | "unifiedExecInteraction";

/** How far a command is. */
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

/** One place that settings come from, with what it says. */
export type ConfigLayer = {
  config: unknown;
  disabledReason: string | null;
  name: ConfigLayerSource;
  version: string;
};

/** One place that settings come from. */
export type ConfigLayerMetadata = {
  name: ConfigLayerSource;
  version: string;
};

/** The name of a place that settings come from. */
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
  /** Only when they were asked for. */
  layers?: ConfigLayer[] | null;
  /** By dotted key: where the value was written. Values that nobody wrote have none. */
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

/** A means of holding helpers. */
export type ContainmentRung = "guard" | "cgroup" | "namespace";

/** How helpers are to be held. */
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

/** What was paid for in advance. */
export type CreditsSnapshot = {
  balance: string | null;
  hasCredits: boolean;
  unlimited: boolean;
};

/** An access programme for security work. */
export type CyberAccessProgram = "standard" | "daybreakBlue" | "daybreakRed";

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

/** The answer to `item/tool/call`: what the tool says, and whether it has worked. */
export type DynamicToolCallResponse = {
  contentItems: DynamicToolCallOutputContentItem[];
  success: boolean;
};

/** How far the call of a client-side tool is. */
export type DynamicToolCallStatus = "inProgress" | "completed" | "failed";

/** One tool of a namespace of client-side tools. */
export type DynamicToolNamespaceTool = {
  deferLoading?: boolean;
  description: string;
  inputSchema: unknown;
  name: string;
  type: "function";
};

/** A tool that the client itself carries out. */
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
 * Version of a thread's history, from 1. It changes only when acknowledged history was rewritten or may have been
 * lost, and in a fork.
 */
export type Epoch = number;

/** What an error is about, for programs. Members that do not apply are left out. */
export type ErrorData = {
  /** The turn that runs, when another one was named. */
  activeTurnId?: TurnId | null;
  /** Which error of a turn it is, with the sentence again as `message`: clients of the peer read a `TurnError` here. */
  codexErrorInfo?: CodexErrorInfo | null;
  /** What to do next, where `message` does not say it. */
  hint?: string | null;
  /** The item it is about. */
  itemId?: ItemId | null;
  /** See `codexErrorInfo`. */
  message?: string | null;
  /** The method it is about, cut to 64 characters. */
  method?: string | null;
  /** The field it is about, as a path from `params`, such as `input[0].text`. */
  path?: string | null;
  /** What the user has read, when it is not what the request expects. */
  readState?: ThreadReadState | null;
  /** A stable word that clients can compare. */
  reason: string;
  /** When the same request can work, in milliseconds from now. */
  retryAfterMs?: number | null;
  /** The helper it is about, by its configured name. */
  server?: string | null;
  /** The thread it is about. */
  threadId?: ThreadId | null;
  /** The tool it is about. */
  tool?: string | null;
  /** The turn it is about. */
  turnId?: TurnId | null;
};

/** Params of `error`. */
export type ErrorNotification = {
  error: TurnError;
  threadId: ThreadId;
  turnId: TurnId;
  willRetry: boolean;
};

/** Number of a record in one thread's history. It rises for ever; a client sees it rise with holes. */
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

/** How far a feature is. */
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

/** Where a provider's key comes from. */
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

/** When the user is asked, question by question. */
export type GranularApproval = {
  mcp_elicitations: boolean;
  request_permissions?: boolean;
  rules: boolean;
  sandbox_approval: boolean;
  skill_approval?: boolean;
};

/** What holds helpers, as the server's start and the newest helper have found it. */
export type HeldDetails = {
  /** Folder of the cgroup in which those of helpers are made; absent where they get none. */
  cgroup?: string | null;
  /** `helpers.containment`. */
  configured: ContainmentSetting;
  /** What is in force for new helpers; absent where what is demanded cannot be had, and none starts. */
  inForce?: ContainmentRung | null;
  /** What would be in force instead if it could be had, the best first, with the reason why it is not. */
  lacking: LackDetails[];
  /** Whether the server inherits, and so can end, what a guard leaves that dies before its helper. */
  subreaper: boolean;
};

/** Helper processes. */
export type HelperCounts = {
  /** Helpers that are alive. */
  alive: number;
  /** How many of those alive are held by which means, such as `guard` or `cgroup`. */
  containment: { [key: string]: number };
  /** Guards that are alive. */
  guards: number;
  /** What holds the next helper that starts. */
  held: HeldDetails;
  /** Helpers that had to be killed. */
  killedTotal: number;
  /** What a former server of this home left, because it was killed together with its guards. */
  leftovers: LeftoverCounts;
  /** Helpers that no thread uses, kept for who comes back (`linger`). */
  lingering: number;
  /** Helpers that did not respond, kept for the calls that are under way. */
  quarantined: number;
  /** Helpers that take calls. */
  ready: number;
  /** Helpers that were started. */
  startedTotal: number;
  /** Helpers that start. */
  starting: number;
  /** Helpers that ended, by themselves or told to. */
  stoppedTotal: number;
  /** Helpers that are being ended. */
  stopping: number;
  /** How long helpers took to end. */
  zero: ZeroCounts;
};

/** A helper as it is now. One that several threads use is there once. */
export type HelperDetail = {
  /** Who may share it. */
  isolation: HelperIsolation;
  /** Resident memory of them all. */
  memoryBytes: number;
  /** Its name in the configuration. */
  name: string;
  /** The process that was started, while it runs. */
  pid?: number | null;
  /** It and everything that it started, without the guard; parents before their children. */
  processes: HelperProcess[];
  /** The revision of MCP that is spoken with it, once that is known. */
  protocolVersion?: string | null;
  /** It did not respond, so another one took its place: it takes no calls, and ends with those that are under way. */
  quarantined: boolean;
  /** Messages that wait because it does not read them. */
  queued: number;
  /** Why it does not run. */
  reason?: string | null;
  /** Where in its life it is. */
  state: HelperState;
  /** The last lines that it wrote to stderr. */
  stderr: string;
  /** The first thread of those that use it. None uses one that is kept for who comes back. */
  threadId?: ThreadId | null;
  /** All threads that use it. */
  threadIds: ThreadId[];
  /** Calls that wait for it to start, or to show life. */
  waiting: number;
  /** Nothing happens but that it has a connection open: it seems to wait for somebody else. */
  waitsForOthers: boolean;
};

/** Who shares a helper. */
export type HelperIsolation = "thread" | "project" | "shared";

/** Where in its life a helper is, for who is told of a change. */
export type HelperMoment = {
  state: HelperState;
};

/** One process of a helper. */
export type HelperProcess = {
  /** Its resident memory. */
  memoryBytes: number;
  /** What the system calls it; never its arguments, which may be secret. */
  name: string;
  /** Its parent's number. */
  parent: number;
  /** Its number. */
  pid: number;
};

/** Where in its life a helper is. */
export type HelperState = "disabled" | "starting" | "ready" | "busy" | "unresponsive" | "restarting" | "broken" | "stopping" | "stopped";

/** A hook that cannot be read. */
export type HookErrorInfo = {
  message: string;
  path: string;
};

/** What a hook is run at. */
export type HookEventName = "preModelRequest" | "postModelRequest" | "preToolUse" | "permissionRequest" | "postToolUse" | "preCompact" | "postCompact" | "sessionStart" | "sessionEnd" | "userPromptSubmit" | "subagentStart" | "subagentStop" | "stop" | "interrupt";

/** A program that is run when something happens. */
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

/** What a hook said in the user's place. */
export type HookPromptItem = {
  fragments: HookPromptFragment[];
  id: ItemId;
};

/** Where a hook comes from. */
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

/** How closely a model should look at an image. */
export type ImageDetail = "auto" | "low" | "high" | "original";

/** Why an image was not made. */
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

/** The list of threads, as it is kept on disk. */
export type IndexCounts = {
  /** Bytes of its rows and orders, without what their storage costs. */
  contentBytes: number;
  /** Bytes of its files, after the last flush. */
  diskBytes: number;
  /** The first in percent of the second; absent while it is empty. */
  diskPercent?: number | null;
  /** How far its making, or its comparison with the histories, is; absent while neither is under way. */
  indexing?: IndexingDetails | null;
  /** Milliseconds that its last opening took; absent while it was never opened. */
  openMs?: number | null;
  /** Where it is in its life. */
  state: IndexState;
};

/** Where the list of threads is in its life. */
export type IndexState = "opening" | "building" | "replacing" | "ready" | "failed";

/** How far the making of the list is. */
export type IndexingDetails = {
  /** Histories that were read. */
  done: number;
  /** Histories that there are, as far as that is known. */
  total: number;
};

/** What a client can do and wants. */
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
  /** What this server offers beside the protocol. */
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

/** An item of a turn. Any text is read; it is compared, never built into a path. */
export type ItemId = string;

/** Params of `item/started`. */
export type ItemStartedNotification = {
  item: ThreadItem;
  startedAtMs: number;
  threadId: ThreadId;
  turnId: TurnId;
};

/** A means of holding helpers that cannot be had. */
export type LackDetails = {
  /** Why. */
  reason: string;
  /** The means. */
  rung: ContainmentRung;
  /** What can be done about it. */
  wayOut: string;
};

/** Processes that a former server left. */
export type LeftoverCounts = {
  /** Those that were found and are gone. */
  endedTotal: number;
  /** Those that could not be ended. */
  left: number;
  /** Whether they have been looked for. No helper starts before. */
  looked: boolean;
};

/** How complete a list of threads is, and of which moment. */
export type ListDetails = {
  /** The start of the server that the number belongs to. */
  catalogEpoch: string;
  /** The number. */
  catalogSeq: number;
  /** Set while the list is being made anew: threads may be missing from it. */
  indexing?: IndexingDetails | null;
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

/** Which threads a list shows, beyond what the protocol can say. Times are Unix seconds, as in the threads of the answer. */
export type ListOptions = {
  /** Made earlier than that. */
  createdBefore?: number | null;
  /** Made then or later. */
  createdSince?: number | null;
  /** Nothing was said in it since that time. */
  updatedBefore?: number | null;
  /** Something was said in it then or later. */
  updatedSince?: number | null;
};

/** Details of the threads in memory. */
export type LoadedDetails = {
  /** One for each thread of the answer, in the same order. */
  threads: LoadedThread[];
};

/** Where a loaded thread is in its life. */
export type LoadedState = "loading" | "idle" | "running" | "unloading";

/** A thread in memory. */
export type LoadedThread = {
  /** It is never on disk. */
  ephemeral: boolean;
  /** Its helper processes that are alive. */
  helpers: number;
  /** It is on disk. */
  materialised: boolean;
  /** Connections that only watch. */
  observers: number;
  /** Where it is in its life. */
  state: LoadedState;
  /** What clients are told about it. */
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

/** How far such a command is. */
export type LocalShellStatus = "completed" | "in_progress" | "incomplete";

/** How much room such an interface wants. */
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

/** A value that can be chosen, with its title. */
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

/** What kind of text is expected. */
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

/** The values that can be chosen, with their titles. */
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

/** The values that can be chosen. */
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

/** Whose resource is meant, where a service has several. */
export type McpResourceReadTarget = {
  connectorId: string;
  /** Null, but not left out. */
  linkId: string | null;
};

/** How the connection to a helper is doing. */
export type McpServerConnectionStatus = "notStarted" | "starting" | "connected" | "authenticationRequired" | "failed" | "cancelled" | "disabled";

/** What Skein tells of a helper beyond the protocol. */
export type McpServerDetails = {
  /**
   * The revision of MCP that is spoken with it, such as `2025-11-25`, once that is known; from `2026-07-28` on without a
   * handshake.
   */
  protocolVersion?: string | null;
  /** Where in its life it is. */
  state: HelperState;
  /** Calls that wait for it to start, or to show life. */
  waiting: number;
  /** Nothing happens but that it has a connection open: it seems to wait for somebody else. */
  waitsForOthers: boolean;
};

/** What the user decided on a helper's question. */
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

/** What a helper says about itself. */
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

/** Why a helper did not start, where it is known. */
export type McpServerStartupFailureReason = "reauthenticationRequired";

/** How far the start of a helper is. */
export type McpServerStartupState = "starting" | "ready" | "failed" | "cancelled";

/** A helper: what it offers and how it is doing. */
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
  /** What the peer does not tell. */
  skein?: McpServerDetails | null;
  toolListMeta: unknown;
  tools: { [key: string]: Tool };
  toolsError: string | null;
};

/** How much a list of helpers tells about each. */
export type McpServerStatusDetail = "full" | "toolsAndAuthOnly";

/** Params of `mcpServer/startupStatus/updated`. */
export type McpServerStatusUpdatedNotification = {
  error: string | null;
  failureReason: McpServerStartupFailureReason | null;
  name: string;
  /** Where in its life the helper is. */
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

/** Why a tool call failed. */
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

/** What a tool call brought. */
export type McpToolCallResult = {
  _meta: unknown;
  content: unknown[];
  structuredContent: unknown;
};

/** How far a tool call is. */
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
  /** Resident bytes of the server itself. */
  residentBytes: number;
};

/** What becomes of what stands there. */
export type MergeStrategy = "replace" | "upsert";

/** Which part of an answer a message is. */
export type MessagePhase = "commentary" | "partial_answer" | "final_answer";

/** What a review of the agent's conduct found. */
export type MisalignmentErrorDetails = {
  detailedExplanation: string | null;
  errorType: string | null;
  reviewTarget?: string | null;
  steer: MisalignmentSteer | null;
};

/** What the agent is told after such a review. */
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

/** A word to the user about a model's availability. */
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
  /** Whether a client can write another default into the settings, and it is in force then. */
  canChangeDefault: boolean;
  data: ModelProviderSummary[];
  /** The provider of threads that name none. */
  defaultProviderId: string;
};

/** A provider of models. */
export type ModelProviderSummary = {
  /** Its address, without what may be secret. */
  baseUrl: string | null;
  /** Whether `modelProvider/config/write` changes it. */
  canEdit: boolean;
  /** What `modelProvider` and `model_provider` take. */
  id: string;
  /** For people. */
  name: string;
  settings: ProviderSettings;
};

/** A tier of service that a model can be had in. */
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

/** Whether an outer sandbox lets commands reach the network. */
export type NetworkAccess = "restricted" | "enabled";

/** Kinds of turn that take no further input. */
export type NonSteerableTurnKind = "review" | "compact";

/** What wins over what is written. */
export type OverriddenMetadata = {
  effectiveValue: unknown;
  message: string;
  overridingLayer: ConfigLayerMetadata;
};

/** How far a patch is. */
export type PatchApplyStatus = "inProgress" | "completed" | "failed" | "declined";

/** What a patch does with a file. */
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

/** What a turn may do. */
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

/** What an account has paid for. */
export type PlanType = "free" | "go" | "plus" | "pro" | "prolite" | "promax" | "team" | "self_serve_business_prolite" | "self_serve_business_usage_based" | "business" | "ent26" | "enterprise_cbp_automation" | "enterprise_cbp_usage_based" | "enterprise" | "edu" | "edu_plus" | "edu_pro" | "sci" | "sci_plus" | "unknown";

/** Threads that had to make room for others. */
export type PressureCounts = {
  /** Idle threads that were unloaded because of `limits.loaded_threads` or `limits.memory`. */
  squeezedTotal: number;
  /** Times when a limit was passed and no thread was idle. */
  unrelievedTotal: number;
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

/** Which limit is reached. */
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

/** What has become of such a right. */
export type RateLimitResetCreditStatus = "available" | "redeeming" | "redeemed" | "unknown";

/** Limits that the user may have lifted. */
export type RateLimitResetCreditsSummary = {
  availableCount: number;
  credits: RateLimitResetCredit[] | null;
};

/** Which limit it lifts. */
export type RateLimitResetType = "codexRateLimits" | "unknown";

/** How much of what an account may use is used. */
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

/** A reasoning effort that a model offers. */
export type ReasoningEffortOption = {
  description: string;
  reasoningEffort: string;
};

/** What the model thought. */
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

/** What was refused. */
export type RefusalCounts = {
  /** Requests that were answered with "overloaded". */
  overloaded: number;
  /** Connections that were closed because they did not take their messages. */
  slowClients: number;
};

/** How often the settings were read again (SIGHUP). */
export type ReloadCounts = {
  /** When the last one was taken, in Unix milliseconds; absent before the first. */
  lastAtMs?: number | null;
  /** Reloads that changed nothing, because the settings were wrong. */
  refusedTotal: number;
  /** Reloads that were taken. */
  total: number;
  /** Reloads that found nothing changed. */
  unchangedTotal: number;
};

/** What a server that did not end in order has left to be mended: the threads that were open at its end. */
export type RepairCounts = {
  /** Threads that were looked at. */
  done: number;
  /** Those that could not be read or written; the server's log names them. The next start tries again. */
  failed: number;
  /** Those of them to which the repair has added the end of a turn, or from which it has cut a torn end. */
  mended: number;
  /** How far it is as a whole. */
  state: RepairState;
  /** Threads that were found open at the start. */
  total: number;
};

/** How far the repair is. */
export type RepairState = "scheduled" | "running" | "complete";

/** Clients that came back. */
export type ReplayCounts = {
  /** Events that were told again. */
  eventsTotal: number;
  /** Histories that could not be continued, and were shown whole. */
  gapsTotal: number;
};

/** Why a history is not continued. */
export type ReplayGap = {
  /** The reason. */
  reason: GapReason;
};

/**
 * Id of a request, chosen by whoever asks and echoed by whoever answers: a text or a signed 64-bit integer.
 * Null, a fraction, and an integer out of range are refused.
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

/** A piece of history in the words of the model's interface, as a client can hand it to a resume. */
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

/** What a model did in a web search. */
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

/** How to resume a thread. */
export type ResumeOptions = {
  /** The last number that the client has seen. */
  afterSeq?: EventSeq | null;
  /** The version of the history that `afterSeq` belongs to. */
  epoch?: Epoch | null;
  /** Watch only: the subscription does not keep the thread loaded, and is never asked anything. */
  observe?: boolean;
};

/** What an answer to `thread/resume` is a picture of, and what follows it. */
export type ResumePicture = {
  /** The version of the history that the number belongs to. */
  epoch: Epoch;
  /** The history cannot be continued from where the client was: what it holds is void, and this is the full state. */
  gap?: ReplayGap | null;
  /**
   * Where `thread.turns` holds only the newest turns: the cursor of `thread/turns/list` (newest first) for those before
   * them.
   */
  olderTurns?: string | null;
  /** Ids of the server's requests that still wait for an answer. They are sent again; all others are void. */
  pendingRequests: RequestId[];
  /**
   * The history is continued: the answer has no turns, and every durable event after `afterSeq` follows, this one
   * being the last of those that were there already. It is `afterSeq` itself when there are none.
   */
  replayTo?: EventSeq | null;
  /** The last number that the picture includes. With `replayTo` it is the number that the client has named. */
  seq: EventSeq;
};

/** Which turns a revert has taken back. */
export type RevertedFrom = {
  /** The first turn that is gone; all after it are gone too. */
  beforeTurnId: TurnId;
};

/** Params of `rpc.discover`. */
export type RpcDiscoverParams = { [key: string]: unknown };

/** Response of `rpc.discover`: an OpenRPC document. */
export type RpcDiscoverResponse = { [key: string]: unknown };

/** The sandbox in one word. */
export type SandboxMode = "read-only" | "workspace-write" | "danger-full-access";

/** What commands of a turn may touch. */
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

/** What commands of a turn may touch. */
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

/** What a search cannot see yet. */
export type SearchDetails = {
  /** Set while the list of threads is being made anew: threads that are not in it yet are not found. */
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

/** What this server offers beside the protocol. */
export type ServerExtensions = {
  /** The extensions that the client asked for and gets, by name. */
  extensions: { [key: string]: unknown };
  /** Version of the server. */
  version: string;
};

/** Params of `serverRequest/resolved`. */
export type ServerRequestResolvedNotification = {
  requestId: RequestId;
  threadId: ThreadId;
};

/** The kind of client that made a thread. */
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

/** Params of `skein/catalog/resume`. */
export type SkeinCatalogResumeParams = {
  /**
   * The number that the client's list is a picture of: that of the first page of `thread/list`, or the highest
   * `catalogSeq` that was heard since.
   */
  after: number;
  /** The `catalogEpoch` that the number came with. */
  catalogEpoch: string;
};

/** Response of `skein/catalog/resume`. */
export type SkeinCatalogResumeResponse = {
  /** The start of the server that the numbers belong to. */
  catalogEpoch: string;
  /**
   * The newest change. What the connection has heard before this answer is part of it; what it hears behind it is
   * newer.
   */
  catalogSeq: number;
  /** What was told to everybody since, in order; empty when it is too old. */
  changes: CatalogChange[];
  /** The changes since are not known any more, or the number is of another start of the server: list again. */
  tooOld: boolean;
};

/** Params of `skein/connection/leave`: nothing. */
export type SkeinConnectionLeaveParams = { [key: string]: unknown };

/** Response of `skein/connection/leave`. */
export type SkeinConnectionLeaveResponse = {
  /** Threads that were left to nobody. */
  left: number;
  /** Of these: still loaded, because they take longer to end, or somebody else has come. */
  loaded: number;
};

/** Params of `skein/heartbeat`. */
export type SkeinHeartbeatNotification = {
  /** The server's clock, in Unix milliseconds. */
  at: number;
};

/** Params of `skein/helpers/list`. */
export type SkeinHelpersListParams = {
  /** Only those of this thread; otherwise those of all loaded threads. */
  threadId?: ThreadId | null;
};

/** Response of `skein/helpers/list`. */
export type SkeinHelpersListResponse = {
  /** By thread and name. */
  data: HelperDetail[];
};

/** Params of `skein/quiesce`. */
export type SkeinQuiesceParams = {
  /** The owner of this thread breaks off by a panic, as a fault of the server would have it. */
  breakOff?: ThreadId | null;
};

/** Response of `skein/quiesce`: nothing. */
export type SkeinQuiesceResponse = { [key: string]: unknown };

/** Params of `skein/repair/updated`. */
export type SkeinRepairUpdatedNotification = {
  /** How far it is. */
  repair: RepairCounts;
};

/** Params of `skein/status`. */
export type SkeinStatusParams = { [key: string]: unknown };

/**
 * Response of `skein/status`. Counters that end in `Total` rise from the start of the server; all others are the
 * state of the moment.
 */
export type SkeinStatusResponse = {
  /** Where it listens, as a URL; `stdio://` where that is the standard streams of the program that started it. */
  address: string;
  /** Name of this start of the server. */
  bootId: string;
  /** Websocket connections. */
  connections: number;
  /** The unix socket at which programs of this machine reach it as well; empty where it has none. */
  controlSocket: string;
  /** Helper processes. */
  helpers: HelperCounts;
  /** The folder that it serves. */
  home: string;
  /** The list of threads. */
  index: IndexCounts;
  /** Memory. */
  memory: MemoryCounts;
  /** Bytes that wait to be sent, over all connections. */
  outboxBytes: number;
  /** Faults of the server that ended one request, one turn or one thread, and nothing else. */
  panicsTotal: number;
  /** Its process. */
  pid: number;
  /** Threads that had to make room for others. */
  pressure: PressureCounts;
  /** What was refused. */
  refusals: RefusalCounts;
  /** How often the settings were read again. */
  reloads: ReloadCounts;
  /** What the start found to be mended. */
  repair: RepairCounts;
  /** Clients that came back. */
  replay: ReplayCounts;
  /** When it started, in Unix milliseconds. */
  startedAtMs: number;
  /** History files. */
  store: StoreCounts;
  /** Tasks that run. */
  tasks: number;
  /** The index of what was said. */
  texts: TextsCounts;
  /** Threads in memory. */
  threads: ThreadCounts;
  /** Turns. */
  turns: TurnCounts;
  /** How threads left memory. */
  unloads: UnloadCounts;
  /** Milliseconds since it started. */
  uptimeMs: number;
  /** Version of the server. */
  version: string;
};

/** Params of `skein/thread/unload`. */
export type SkeinThreadUnloadParams = {
  /** Also when it is active or has other subscribers. */
  force?: boolean;
  /** The thread. */
  threadId: ThreadId;
};

/** Response of `skein/thread/unload`. */
export type SkeinThreadUnloadResponse = {
  /** What was found. */
  state: UnloadOutcome;
};

/** What a skill needs. */
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

/** Whose skill it is. */
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

/** How to begin a thread. */
export type StartOptions = {
  /**
   * The id that it is to have: of a thread in which nobody had said anything when its server ended, so that it is nowhere
   * any more. Refused where there is such a thread.
   */
  threadId?: ThreadId | null;
};

/** History files. */
export type StoreCounts = {
  /** Writes. */
  appendsTotal: number;
  /** Writes and syncs that failed. */
  errorsTotal: number;
  /** Files that were opened to be loaded: read to their end, and mended. */
  loadsTotal: number;
  /** Files whose end is not known to be closed and indexed. */
  openMarkers: number;
  /** Files that were opened to be read without a load. */
  readsTotal: number;
  /** Milliseconds that the last one took; absent before the first. */
  syncLastMs?: number | null;
  /** Milliseconds that the longest one took; absent before the first. */
  syncMaxMs?: number | null;
  /** Syncs. */
  syncsTotal: number;
  /** Records that were given up. */
  unsavedRecordsTotal: number;
};

/** What another agent did. */
export type SubAgentActivityItem = {
  agentPath: string;
  agentThreadId: ThreadId;
  id: ItemId;
  kind: SubAgentActivityKind;
  model: string | null;
  reasoningEffort: string | null;
};

/** What happened to another agent. */
export type SubAgentActivityKind = "started" | "interacted" | "interrupted" | "completed";

/** Why an agent made a thread. */
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

/** A part of a text that the client draws in its own way. */
export type TextElement = {
  byteRange: ByteRange;
  placeholder: string | null;
};

/** A part of a text that the client draws in its own way. */
export type TextElementParam = {
  byteRange: ByteRange;
  placeholder?: string | null;
};

/** A place in a file, both counted from 1. */
export type TextPosition = {
  column: number;
  line: number;
};

/** A range of a file. */
export type TextRange = {
  end: TextPosition;
  start: TextPosition;
};

/** The index of what was said, which makes searches quick. */
export type TextsCounts = {
  /** Threads that have changed since it took them in, or have a turn without an end; each search looks at these. */
  behind: number;
  /** Bytes of its files, when it became complete last. */
  diskBytes: number;
  /** Threads that it was compared with since the server's first search. */
  done: number;
  /** Where it is in its life. */
  state: TextsState;
};

/** Where the index of what was said is in its life. */
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
  source: SessionSource;
  status: ThreadStatus;
  threadSource: string | null;
  turns: Turn[];
  updatedAt: number;
};

/** What an active thread waits for. */
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

/** Response of `thread/compact/start`: nothing. The turn that does it tells the rest. */
export type ThreadCompactStartResponse = { [key: string]: unknown };

/** Threads in memory. */
export type ThreadCounts = {
  /** Those in which nothing runs. */
  idle: number;
  /** All of them. */
  loaded: number;
  /** Those whose history is being read. */
  loading: number;
  /** Subscriptions that only watch. */
  observers: number;
  /** Those in which a turn runs. */
  running: number;
  /** Subscriptions that keep a thread loaded. */
  subscriptions: number;
  /** Those whose helpers are ending. */
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

/** Response of `thread/fork`: the new thread, with its turns unless they were not wanted. */
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
  /** What this answer is a picture of. */
  skein?: ThreadPicture | null;
  thread: Thread;
};

/** What a thread is to reach, and what that has taken so far. Times are Unix seconds. */
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

/** Who changes a goal. */
export type ThreadGoalMutationOrigin = "user" | "automatic";

/** Params of `thread/goal/set`: a member that is missing stays, and a `tokenBudget` of null takes it away. */
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

/** How far a goal is. */
export type ThreadGoalStatus = "active" | "paused" | "blocked" | "usageLimited" | "budgetLimited" | "complete";

/** Params of `thread/goal/updated`. */
export type ThreadGoalUpdatedNotification = {
  goal: ThreadGoal;
  threadId: ThreadId;
  turnId: TurnId | null;
};

/** How a client is expected to read a thread's history. */
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

/** Outputs that the client wants to fetch one by one. */
export type ThreadItemOutputDeferral = {
  commandExecution?: boolean;
  mcpToolCall?: boolean;
};

/** An item that the page begins behind. */
export type ThreadItemsListAnchor = {
  itemId: ItemId;
  type: "item";
};

/** Where a page of items begins: where another one ended, or behind an item. */
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
  /** What this answer is a picture of. */
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
  /** What narrows the list beyond the protocol's own filters. */
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
  /** How complete the list is, while it is not. */
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

/** What is to be changed of a thread's repository: a member that is missing stays, null takes it away. */
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

/** Params of `thread/name/updated`. */
export type ThreadNameUpdatedNotification = {
  /** For clients that opted in to `skein/events`. */
  skein?: CatalogPlace | null;
  threadId: ThreadId;
  threadName?: string | null;
};

/** The point in a thread's history that an answer is a picture of. */
export type ThreadPicture = {
  /** The version of the history that the number belongs to. */
  epoch: Epoch;
  /** The last number that the picture includes. */
  seq: EventSeq;
};

/** Params of `thread/read`. */
export type ThreadReadParams = {
  includeTurns?: boolean;
  threadId: ThreadId;
};

/** Response of `thread/read`. */
export type ThreadReadResponse = {
  readState: ThreadReadState | null;
  /** What this answer is a picture of. */
  skein?: ThreadPicture | null;
  thread: Thread;
};

/** How far the user has read a thread. */
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

/** What the user has done. */
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

/** The page of turns that a resume should bring along. */
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
  /** How to resume, for clients that know Skein. */
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
  /** What this answer is a picture of. */
  skein?: ResumePicture | null;
  thread: Thread;
  turnsBackwardsCursor: string | null;
};

/** Params of `thread/revert`. */
export type ThreadRevertParams = {
  beforeTurnId: TurnId;
  threadId: ThreadId;
};

/** Response of `thread/revert` and `thread/rollback`. The turns that stay are read in pages, from these cursors. */
export type ThreadRevertResponse = {
  itemsBackwardsCursor: string | null;
  /** What this answer is a picture of. */
  skein?: ThreadPicture | null;
  thread: Thread;
  turnsBackwardsCursor: string | null;
};

/** Params of `thread/reverted`. */
export type ThreadRevertedNotification = {
  /** What is gone. */
  skein?: RevertedFrom | null;
  threadId: ThreadId;
};

/** Params of `thread/rollback`, which earlier versions of Codex had. */
export type ThreadRollbackParams = {
  /** How many of the newest turns are taken back, at least 1. All where there are fewer. */
  numTurns: number;
  threadId: ThreadId;
};

/** A hit in a message. */
export type ThreadSearchOccurrence = {
  itemId: ItemId;
  /** The text around the hit. */
  snippet: string;
  /** Where the hit is in the snippet. */
  snippetMatchRange: ThreadSearchTextRange;
  /**
   * A cursor of `thread/turns/list`: a page that is asked for with it begins with the hit's turn, in either
   * direction.
   */
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
  /** Archived threads only; the others only when it is not true. */
  archived?: boolean | null;
  currentAccountOnly?: boolean;
  cursor?: string | null;
  includeAttachedThreads?: boolean;
  limit?: number | null;
  /** What is looked for, as it stands: upper and lower case are the same, spaces count, nothing is a wildcard. */
  searchTerm: string;
  sortDirection?: SortDirection | null;
  sortKey?: ThreadSearchSortKey | null;
  sourceKinds?: ThreadSourceKind[] | null;
};

/**
 * Response of `thread/search`. A page has as many threads as were found in the time that it may take, so it can be
 * short, or empty, with a `nextCursor`: only a page without one is the last.
 */
export type ThreadSearchResponse = {
  backwardsCursor: string | null;
  data: ThreadSearchResult[];
  nextCursor: string | null;
  /** What the search cannot see yet. */
  skein?: SearchDetails | null;
};

/** A thread that was found. */
export type ThreadSearchResult = {
  /** The text around the first hit: of the name where that has one, else of the oldest message that has one. */
  snippet: string;
  thread: Thread;
};

/** What the threads that are found are ordered by. */
export type ThreadSearchSortKey = "created_at" | "updated_at" | "recency_at";

/**
 * A part of a text, in UTF-16 code units, as scripts of browsers count: from `start` up to `end`, which is the first one
 * behind it.
 */
export type ThreadSearchTextRange = {
  end: number;
  start: number;
};

/** The section of the list that the user put a thread in. */
export type ThreadSection = {
  appearance: ThreadSectionAppearance | null;
  id: string;
  name: string;
};

/** How a section is drawn. */
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

/** What a thread works with. */
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

/** What a list of threads is ordered by. */
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
  /** How to begin, for clients that know Skein. */
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
  /** What this answer is a picture of. */
  skein?: ThreadPicture | null;
  thread: Thread;
};

/** What made the client start a session. */
export type ThreadStartSource = "startup" | "clear";

/** Params of `thread/started`. */
export type ThreadStartedNotification = {
  /** For clients that opted in to `skein/events`. */
  skein?: CatalogPlace | null;
  thread: Thread;
};

/** What a thread is doing. */
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
  /** What this answer is a picture of. */
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

/** The first thing that the user has not read. */
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

/** What an unsubscription found. */
export type ThreadUnsubscribeStatus = "notLoaded" | "notSubscribed" | "unsubscribed";

/** What one thread has cost. */
export type ThreadUsage = {
  estimatedUsageCreditsMicros: number;
  estimatedUsageUsdMicros: number | null;
  groups: ThreadUsageBreakdownGroup[];
  nativeUsageUsdMicros: number | null;
  threadId: ThreadId;
};

/** What one model has cost in it. */
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
  /** Whether the turn is on disk; left out when it is. */
  skein?: TurnSaved | null;
  threadId: ThreadId;
  turn: Turn;
};

/** Turns. */
export type TurnCounts = {
  /** Turns that ended, in whichever way. */
  completedTotal: number;
  /** Turns that run. */
  running: number;
  /** Turns that began. */
  startedTotal: number;
};

/** An environment that turns run in, as the client asks for it. */
export type TurnEnvironmentParams = {
  cwd: string;
  environmentId: string;
  runtimeWorkspaceRoots?: string[] | null;
};

/** Why a turn failed. */
export type TurnError = {
  additionalDetails: string | null;
  codexErrorInfo: CodexErrorInfo | null;
  message: string;
  misalignment: MisalignmentErrorDetails | null;
};

/** A turn of a thread. Any text is read; it is compared, never built into a path. */
export type TurnId = string;

/** Params of `turn/interrupt`. */
export type TurnInterruptParams = {
  threadId: ThreadId;
  turnId: TurnId;
};

/** Response of `turn/interrupt`: nothing. */
export type TurnInterruptResponse = { [key: string]: unknown };

/** Which items a turn shows. */
export type TurnItemsView = "notLoaded" | "summary" | "full";

/** Whether a turn is on disk. */
export type TurnSaved = {
  /** False when the history could not be written: the turn is lost when the server ends now. */
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
  turn: Turn;
};

/** Params of `turn/started`. */
export type TurnStartedNotification = {
  threadId: ThreadId;
  turn: Turn;
};

/** How far a turn is. */
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

/** How threads left memory. */
export type UnloadCounts = {
  /** Milliseconds that the last one took; absent before the first. */
  lastMs?: number | null;
  /** Milliseconds that the longest one took; absent before the first. */
  maxMs?: number | null;
  /** Unloads that are done. */
  total: number;
};

/** What an unload found. */
export type UnloadOutcome = "unloaded" | "notLoaded";

/** A piece of what the user says. */
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

/** A piece of what the user says. */
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

/** What the user said. */
export type UserMessageItem = {
  clientId: string | null;
  content: UserInput[];
  id: ItemId;
};

/** Params of `warning`. */
export type WarningNotification = {
  message: string;
  threadId: ThreadId | null;
};

/** What a web search did. */
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
  /** The same for programs. Always sent by this server; data of another shape is read as none. */
  data?: ErrorData | null;
  /**
   * A sentence that names the thing it is about. Clients of the peer compare it: an error that the peer has, too, has
   * the peer's sentence, word for word.
   */
  message: string;
};

/** Where the requests of an account go. */
export type WorkspaceRouting = {
  accountRoutingOverride: AccountRoutingOverride;
  backendOrigin: string;
  chatgptAccountId: string;
};

/** Whether what is written is in force. */
export type WriteStatus = "ok" | "okOverridden";

/** How long helpers took from being told to end until no process of them was left. */
export type ZeroCounts = {
  /** Milliseconds that the last one took; absent before the first. */
  lastMs?: number | null;
  /** Milliseconds that the longest one took; absent before the first. */
  maxMs?: number | null;
  /** Helpers that were told to end and have ended. Those that ended by themselves are not among them. */
  total: number;
};
