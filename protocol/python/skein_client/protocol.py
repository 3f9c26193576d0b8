"""Written by scripts/generate from protocol/src; do not edit.

The messages of Skein's websocket, one in each text frame. A type whose name ends in `Param` is one as clients send it,
where the server sends it with more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NotRequired, Protocol, TypeAlias, TypedDict, overload

# Every `data.reason` of an error of this version.
Reason: TypeAlias = Literal[
    # A turn or a call runs. Wait for its end, interrupt it, or unload with force.
    "active",
    # The running turn compacts the conversation and takes no input.
    "activeTurnNotSteerable",
    # Somebody has answered the question differently; the message says who and when.
    "alreadyAnswered",
    # This connection has sent `initialize` before.
    "alreadyInitialized",
    # A cursor names an item; `turnId` has to name its turn.
    "anchorWithoutTurn",
    # The answer would exceed `limits.answer_bytes`. Read in pages.
    "answerTooLarge",
    # The thread was archived or brought back while the resume waited.
    "archivedMeanwhile",
    # The arguments of a tool are not an object.
    "badArguments",
    # The token budget of a goal is not positive, or a limit is out of range.
    "badBudget",
    # The settings, or a value for them, are wrong. The message names key and place.
    "badConfig",
    # A member of a new token is wrong; `path` names it.
    "badCredential",
    # The cursor belongs to another list, or its place in the history is gone.
    "badCursor",
    # A message has more than one of `method`, `result` and `error`.
    "badEnvelope",
    # The `error` of an answer is not an object with a code and a message.
    "badError",
    # An id is missing, too long, or neither a text nor a 64-bit integer.
    "badId",
    # An item for the model's history is not an object of its interface.
    "badItem",
    # A dotted key names no place that can be written.
    "badKey",
    # The method is not a text.
    "badMethod",
    # A tool that a client brings has a wrong name or shape.
    "badTools",
    # The message is a JSON array. Send each request in a message of its own.
    "batch",
    # A fault of the server ended the thread's work. Resume the thread.
    "brokeOff",
    # The thread, or the day, has used its budget. The message names the limit and how to raise it.
    "budget",
    # The thread's mailbox is full. Try again after `retryAfterMs`.
    "busy",
    # The call to a helper was cancelled.
    "cancelled",
    # Another token has this name or this secret.
    "credentialExists",
    # No session or token has this id, and no token this name.
    "credentialNotFound",
    # The file of sessions and tokens could not be written.
    "credentialsUnwritten",
    # A fault of the server dropped the request. Try again.
    "dropped",
    # A member stands twice in the message.
    "duplicateMember",
    # A text is empty; null removes the member.
    "empty",
    # A turn needs at least one element of input that is not a blank text.
    "emptyInput",
    # The name of a thread is empty.
    "emptyName",
    # The objective of a goal is empty.
    "emptyObjective",
    # The search term is empty.
    "emptySearch",
    # The thread is ephemeral and has no saved history to act on.
    "ephemeral",
    # The folder of feedback is full. The operator has to clear it.
    "feedbackFull",
    # The disk refused the feedback.
    "feedbackNotKept",
    # The feedback is too large.
    "feedbackTooLarge",
    # The connection has less access than the method, or the member in `field`, needs; see `scope`.
    "forbidden",
    # The database did not say whether it made the fork, or the server stopped meanwhile. List the threads before you ask again.
    "forkUnknown",
    # The settings switch this helper off.
    "helperDisabled",
    # The helper ended during the call.
    "helperEnded",
    # The connection to a helper over HTTP failed during the call.
    "helperLost",
    # The helper did not start, or is not there any more.
    "helperNotRunning",
    # The helper answered with an error.
    "helperRefused",
    # The helper shows no sign of life, and its `on_unresponsive` is `fail`.
    "helperUnresponsive",
    # The list of helpers could not be made.
    "helpersUnreadable",
    # The list of threads is not available. Threads can still be read by id.
    "indexUnavailable",
    # The helper asks a question that nobody can be asked.
    "inputRefused",
    # The params have a wrong shape; `path` names the member.
    "invalidParams",
    # The client's answer to a question has a wrong shape; `path` names the member.
    "invalidResult",
    # No method has this name.
    "methodNotFound",
    # The disk does not answer; the thread may still move. List it again.
    "moveUnknown",
    # The OpenRPC document could not be made.
    "noDocument",
    # `skein/quiesce` needs a server with `--test-fences`.
    "noFences",
    # The thread has no goal. Name an objective to set one.
    "noGoal",
    # The list of items to add is empty.
    "noItems",
    # The message has no method.
    "noMethod",
    # No model provider has this name. The message lists those that exist.
    "noProvider",
    # The home has no server at the moment.
    "noServer",
    # The history has no turn with this id.
    "noSuchTurn",
    # No turn runs that could be steered or interrupted.
    "noTurn",
    # `expectedTurnId` is empty.
    "noTurnNamed",
    # There is no turn to take back, or `numTurns` is 0.
    "noTurns",
    # The message is not a JSON object.
    "notAnObject",
    # The disk refused the copy. Nothing of the copy is left.
    "notForked",
    # The connection has to send `initialize` first.
    "notInitialized",
    # The message is not JSON.
    "notJson",
    # The thread is not loaded. Resume it first.
    "notLoaded",
    # The disk refused to move the thread. The thread stays where it is.
    "notMoved",
    # The disk does not take the thread's records. Send the same again later.
    "notSaved",
    # The thread has no message yet and cannot be archived.
    "nothingSaid",
    # The update has no member to change.
    "nothingToChange",
    # The thread has no saved history yet.
    "nothingToFork",
    # Only the settings file of the home can be written.
    "otherFile",
    # Another turn runs than the one that the request names; see `activeTurnId`.
    "otherTurn",
    # Another server has the thread and does not answer. Try again after `retryAfterMs`.
    "ownerUnreachable",
    # No message waits in the queue, so none can be started.
    "queueEmpty",
    # The queue has its most messages or bytes. Start or delete one first.
    "queueFull",
    # The queue does not have this message. `turnId` says that it became that turn.
    "queuedGone",
    # An order of the queue names a message twice.
    "queuedTwice",
    # The read state has changed; see `readState`.
    "readStateConflict",
    # Too many requests of this connection wait already.
    "requestsInFlight",
    # Too many threads of this connection are catching up already.
    "resumesUnderWay",
    # The search term is too long.
    "searchTooLong",
    # The server that had the thread or the home ended before it answered; another one goes on.
    "serverEnded",
    # The server is stopping. Connect again and resume.
    "serverStops",
    # Reading the settings again broke off. Nothing has changed.
    "settingsUnreadable",
    # The settings could not be shown.
    "settingsUnshown",
    # The settings file could not be written.
    "settingsUnwritten",
    # The running turn has not taken earlier input yet. Try again after `retryAfterMs`.
    "steersFull",
    # The database of threads does not serve now. Try again after `retryAfterMs`.
    "storeUnavailable",
    # The thread has other subscribers. Unload with force, or wait.
    "subscribed",
    # The connection has as many threads as it may have (`limits.subscriptions`). Leave one first.
    "subscriptions",
    # A thread with this id exists. Resume it.
    "threadExists",
    # No thread has this id.
    "threadNotFound",
    # The message is nested too deeply.
    "tooDeep",
    # A text is too long; `path` names it.
    "tooLong",
    # There are too many tokens. Revoke one.
    "tooManyCredentials",
    # The tool has changed since the call was allowed. The call was not made.
    "toolChanged",
    # The settings do not enable this tool.
    "toolNotEnabled",
    # The helper does not list this tool.
    "toolNotOffered",
    # The tool did not answer within its `tool_timeout_sec`.
    "toolTimedOut",
    # A turn runs, and the message can begin one only behind it.
    "turnRuns",
    # `lastTurnId` and `beforeTurnId` exclude each other.
    "twoBounds",
    # The thread has no helper with this name.
    "unknownHelper",
    # No question with this id waits for an answer.
    "unknownQuestion",
    # The history has no turn with this id.
    "unknownTurn",
    # A file of the thread, or a message, cannot be read. The message says why.
    "unreadable",
    # The server does not support this member; `path` names it.
    "unsupported",
    # The settings file has changed; `expectedVersion` is out of date.
    "versionConflict",
    # An unsubscribe withdrew the resume. Resume again.
    "withdrawn",
]

class AccountApiKey(TypedDict):
    type: Literal["apiKey"]

class AccountChatgpt(TypedDict):
    email: str | None
    planType: PlanType
    type: Literal["chatgpt"]
    workspaceName: str | None

class AccountAmazonBedrock(TypedDict):
    type: Literal["amazonBedrock"]
    usesCodexManagedCredentials: bool

class AccountGcp(TypedDict):
    type: Literal["gcp"]

class AccountTokenUsageDailyBucket(TypedDict):
    """The tokens of one day."""

    startDate: str
    tokens: int

class AccountTokenUsageSummary(TypedDict):
    """The tokens of an account."""

    currentStreakDays: int | None
    lifetimeTokens: int | None
    longestRunningTurnSec: int | None
    longestStreakDays: int | None
    peakDailyTokens: int | None

class ActivePermissionProfile(TypedDict):
    """The named permission profile in force."""

    extends: str | None
    id: str

class AdditionalContextEntry(TypedDict):
    """A piece of context that the client adds to a turn."""

    kind: AdditionalContextKind
    name: NotRequired[str | None]
    value: str

class AdmissionCounts(TypedDict):
    """Requests and connections that did not get in."""

    # The open connections, equal ones together. Empty for clients below the access `admin`.
    admitted: list[AdmittedEntry]
    # Requests without a right credential.
    credentialsTotal: int
    # Requests of helpers.
    helpersTotal: int
    # The last refused origins, the newest last.
    lastOrigins: list[RefusedOriginEntry]
    # Requests of pages whose origin is not allowed.
    originsTotal: int
    # Connections of other users to unix sockets.
    usersTotal: int

class AdmittedEntry(TypedDict):
    """Open connections that came in with the same right."""

    # Their number.
    connections: int
    # The door that they came by.
    door: DoorKind
    # The origin of their page; null for programs.
    origin: str | None
    # Their access.
    scope: Access
    # Their client: `a local program`, `helper "NAME"`, `session "LABEL"` or `token "NAME"`.
    who: str

class AgentMessageDeltaNotification(TypedDict):
    """Params of `item/agentMessage/delta`."""

    delta: str
    itemId: ItemId
    threadId: ThreadId
    turnId: TurnId

class AgentMessageDisplay(TypedDict):
    """The display of a moderated message."""

    action: str
    blockType: str | None
    checkTrustedContacts: bool | None
    cyberTrustedAccess: bool | None

class AgentMessageInputContentInputText(TypedDict):
    text: str
    type: Literal["input_text"]

class AgentMessageInputContentEncryptedContent(TypedDict):
    encrypted_content: str
    type: Literal["encrypted_content"]

class AgentMessageItem(TypedDict):
    """A message of the agent."""

    delivery: AgentMessageDelivery | None
    id: ItemId
    memoryCitation: MemoryCitation | None
    moderation: AgentMessageModeration | None
    phase: MessagePhase | None
    questions: list[AsyncUserInputQuestion] | None
    text: str

class AgentMessageModeration(TypedDict):
    """The result of moderating a message."""

    display: AgentMessageDisplay | None
    moderated: bool

class AskForApprovalGranular(TypedDict):
    granular: GranularApproval

class AsyncUserInputQuestion(TypedDict):
    """A question that the user may answer later."""

    options: list[str] | None
    title: str

class BedrockCheckGovCloudRequirementsResponse(TypedDict):
    """Response of `account/bedrock/checkGovCloudRequirements`."""

    isGovCloud: bool
    shouldWarn: bool

class BudgetDetails(TypedDict):
    """The budget of a thread, in a notification."""

    # The limits that hold for the thread, with their use.
    budget: list[BudgetState]

class BudgetState(TypedDict):
    """A limit that holds for a thread, and its use."""

    # The limit, with what the user has added to it.
    limit: int
    # Its extent.
    scope: BudgetScope
    # The unit of both.
    unit: BudgetUnit
    # The use. At the limit no request to a model begins.
    used: int

class ByteRange(TypedDict):
    """A range of bytes, its end excluded."""

    end: int
    start: int

class CapabilityRootLocationEnvironment(TypedDict):
    environmentId: str
    path: str
    type: Literal["environment"]

class CatalogChange(TypedDict):
    """A notification to all connections, as clients that opted in received it."""

    # When it was first sent, in Unix milliseconds.
    emittedAtMs: int
    # The method.
    method: str
    # The params, with the catalog position in `skein`.
    params: dict[str, Any]

class CatalogPlace(TypedDict):
    """A position in the catalog, the sequence of the notifications of scope `all` about threads, such as
    `thread/started`, `thread/status/changed` and `thread/name/updated`. Clients that opted in to `skein/events` find
    it in these params. Numbers rise; a missing one belongs to a notification that this connection does not receive.
    """

    # The server start that the number belongs to.
    catalogEpoch: str
    # The number.
    catalogSeq: int

class ClientInfo(TypedDict):
    """The client's name and version."""

    name: str
    title: NotRequired[str | None]
    version: str

class ClusterCounts(TypedDict):
    """A server whose threads are in a database."""

    # Milliseconds since the server sent the last beat that the database has confirmed. It sends one each second.
    beatAgeMs: int
    # The database, as the server sees it.
    database: DatabaseCounts
    # The id of the cluster, which its database has.
    id: str
    # The links that other servers have here: one for each of them, and one for each of their clients that uses a thread of this one.
    links: int
    # The id of the server's row in the database.
    node: str
    # The servers whose rows live, this one included, as of the newest confirmed beat; 0 before the first.
    nodes: int
    # The other servers whose announcements come here.
    observed: int
    # Those servers, by their names.
    others: list[OtherServer]
    # Whether the database answers.
    standing: NodeStanding

class CodexErrorInfoHttpConnectionFailedHttpConnectionFailed(TypedDict):
    httpStatusCode: int | None

class CodexErrorInfoHttpConnectionFailed(TypedDict):
    httpConnectionFailed: CodexErrorInfoHttpConnectionFailedHttpConnectionFailed

class CodexErrorInfoResponseStreamConnectionFailedResponseStreamConnectionFailed(TypedDict):
    httpStatusCode: int | None

class CodexErrorInfoResponseStreamConnectionFailed(TypedDict):
    responseStreamConnectionFailed: CodexErrorInfoResponseStreamConnectionFailedResponseStreamConnectionFailed

class CodexErrorInfoResponseStreamDisconnectedResponseStreamDisconnected(TypedDict):
    httpStatusCode: int | None

class CodexErrorInfoResponseStreamDisconnected(TypedDict):
    responseStreamDisconnected: CodexErrorInfoResponseStreamDisconnectedResponseStreamDisconnected

class CodexErrorInfoResponseTooManyFailedAttemptsResponseTooManyFailedAttempts(TypedDict):
    httpStatusCode: int | None

class CodexErrorInfoResponseTooManyFailedAttempts(TypedDict):
    responseTooManyFailedAttempts: CodexErrorInfoResponseTooManyFailedAttemptsResponseTooManyFailedAttempts

class CodexErrorInfoActiveTurnNotSteerableActiveTurnNotSteerable(TypedDict):
    turnKind: NonSteerableTurnKind

class CodexErrorInfoActiveTurnNotSteerable(TypedDict):
    activeTurnNotSteerable: CodexErrorInfoActiveTurnNotSteerableActiveTurnNotSteerable

class CollabAgentState(TypedDict):
    """The state of another agent."""

    message: str | None
    status: CollabAgentStatus

class CollabAgentToolCallItem(TypedDict):
    """An action of the agent on another agent."""

    agentsStates: dict[str, CollabAgentState]
    id: ItemId
    model: str | None
    prompt: str | None
    reasoningEffort: str | None
    receiverThreadIds: list[ThreadId]
    senderThreadId: ThreadId
    status: CollabAgentToolCallStatus
    tool: CollabAgentTool

class CollaborationMode(TypedDict):
    """A preset of mode and model settings."""

    mode: ModeKind
    settings: Settings

class CollaborationModeListResponse(TypedDict):
    """Response of `collaborationMode/list`."""

    data: list[CollaborationModeMask]

class CollaborationModeMask(TypedDict):
    """A mode that the user can choose."""

    mode: ModeKind | None
    model: str | None
    name: str
    reasoning_effort: str | None

class CollaborationModeParam(TypedDict):
    """A preset of mode and model settings."""

    mode: ModeKind
    settings: SettingsParam

class CommandActionRead(TypedDict):
    command: str
    name: str
    path: str
    type: Literal["read"]

class CommandActionListFiles(TypedDict):
    command: str
    path: str | None
    type: Literal["listFiles"]

class CommandActionSearch(TypedDict):
    command: str
    path: str | None
    query: str | None
    type: Literal["search"]

class CommandActionUnknown(TypedDict):
    command: str
    type: Literal["unknown"]

class CommandExecutionItem(TypedDict):
    """A command that the agent ran."""

    aggregatedOutput: str | None
    command: str
    commandActions: list[CommandAction]
    cwd: str
    durationMs: int | None
    exitCode: int | None
    id: ItemId
    pluginId: str | None
    processId: str | None
    scriptPath: str | None
    source: CommandExecutionSource
    status: CommandExecutionStatus

class Config(TypedDict):
    """The settings in force."""

    analytics: dict[str, Any] | None
    approval_policy: AskForApproval | None
    approvals_reviewer: ApprovalsReviewer | None
    apps: dict[str, Any] | None
    browser_use: dict[str, Any] | None
    client_search_provider: str | None
    compact_prompt: str | None
    computer_use: dict[str, Any] | None
    desktop: dict[str, Any] | None
    developer_instructions: str | None
    forced_chatgpt_workspace_id: Any
    forced_login_method: str | None
    instructions: str | None
    model: str | None
    model_auto_compact_token_limit: int | None
    model_auto_compact_token_limit_scope: str | None
    model_context_window: int | None
    model_provider: str | None
    model_reasoning_effort: str | None
    model_reasoning_summary: ReasoningSummary | None
    model_verbosity: str | None
    review_model: str | None
    sandbox_mode: SandboxMode | None
    sandbox_workspace_write: dict[str, Any] | None
    service_tier: str | None
    tools: dict[str, Any] | None
    web_search: str | None

class ConfigBatchWriteParams(TypedDict):
    """Params of `config/batchWrite`."""

    edits: list[ConfigEdit]
    expectedVersion: NotRequired[str | None]
    filePath: NotRequired[str | None]
    reloadUserConfig: NotRequired[bool]

class ConfigEdit(TypedDict):
    """One change of the settings file."""

    keyPath: str
    mergeStrategy: MergeStrategy
    value: Any

class ConfigLayer(TypedDict):
    """One source of settings, with its content."""

    config: Any
    disabledReason: str | None
    name: ConfigLayerSource
    version: str

class ConfigLayerMetadata(TypedDict):
    """One source of settings."""

    name: ConfigLayerSource
    version: str

class ConfigLayerSourcePackagedDefaults(TypedDict):
    file: str
    type: Literal["packagedDefaults"]

class ConfigLayerSourceMdm(TypedDict):
    domain: str
    key: str
    type: Literal["mdm"]

class ConfigLayerSourceSystem(TypedDict):
    file: str
    type: Literal["system"]

class ConfigLayerSourceEnterpriseManaged(TypedDict):
    id: str
    name: str
    type: Literal["enterpriseManaged"]

class ConfigLayerSourceUser(TypedDict):
    file: str
    profile: str | None
    type: Literal["user"]

class ConfigLayerSourceProject(TypedDict):
    dotCodexFolder: str
    type: Literal["project"]

class ConfigLayerSourceSessionFlags(TypedDict):
    type: Literal["sessionFlags"]

class ConfigLayerSourceLegacyManagedConfigTomlFromFile(TypedDict):
    file: str
    type: Literal["legacyManagedConfigTomlFromFile"]

class ConfigLayerSourceLegacyManagedConfigTomlFromMdm(TypedDict):
    type: Literal["legacyManagedConfigTomlFromMdm"]

class ConfigReadParams(TypedDict):
    """Params of `config/read`."""

    cwd: NotRequired[str | None]
    includeLayers: NotRequired[bool]

class ConfigReadResponse(TypedDict):
    """Response of `config/read`."""

    config: Config
    # Only on request.
    layers: NotRequired[list[ConfigLayer] | None]
    # The origin of each value, by dotted key. Defaults have none.
    origins: dict[str, ConfigLayerMetadata]

class ConfigRequirementsReadResponse(TypedDict):
    """Response of `configRequirements/read`."""

    requirements: dict[str, Any] | None
    supportsIndependentSpeedModes: bool | None

class ConfigValueWriteParams(TypedDict):
    """Params of `config/value/write`."""

    expectedVersion: NotRequired[str | None]
    filePath: NotRequired[str | None]
    keyPath: str
    mergeStrategy: MergeStrategy
    value: Any

class ConfigWarningNotification(TypedDict):
    """Params of `configWarning`."""

    details: str | None
    path: NotRequired[str | None]
    range: NotRequired[TextRange | None]
    summary: str

class ConfigWriteResponse(TypedDict):
    """Response of `config/value/write` and `config/batchWrite`."""

    filePath: str
    overriddenMetadata: OverriddenMetadata | None
    status: WriteStatus
    version: str

class ConfigurationReasoning(TypedDict):
    """A change of the reasoning settings within a history."""

    effort: str

class ContentItemInputText(TypedDict):
    text: str
    type: Literal["input_text"]

class ContentItemInputImageImageUrl(TypedDict):
    detail: NotRequired[ImageDetail | None]
    image_url: str
    type: Literal["input_image"]

class ContentItemInputImageFileId(TypedDict):
    detail: NotRequired[ImageDetail | None]
    file_id: str
    type: Literal["input_image"]

class ContentItemInputAudioAudioUrl(TypedDict):
    audio_url: str
    type: Literal["input_audio"]

class ContentItemInputAudioFileId(TypedDict):
    file_id: str
    type: Literal["input_audio"]

class ContentItemOutputText(TypedDict):
    annotations: NotRequired[list[Any] | None]
    logprobs: NotRequired[list[Any] | None]
    text: str
    type: Literal["output_text"]

class ContextCompactionItem(TypedDict):
    """The place where older history was replaced by a summary."""

    id: ItemId

class CredentialDetail(TypedDict):
    """A session or token, without its secret. Times are Unix seconds."""

    # Its creation.
    createdAt: int
    # Its end. That of a session moves with each use; null means never.
    expiresAt: int | None
    # Its id.
    id: str
    # Its kind.
    kind: CredentialType
    # Its last use.
    lastUsedAt: int | None
    # The name of a token, or the label of a session.
    name: str
    # The only origin that may send it; null means any.
    origin: str | None
    # The access that it gives.
    scope: Access

class CreditsSnapshot(TypedDict):
    """Prepaid credits."""

    balance: str | None
    hasCredits: bool
    unlimited: bool

class DatabaseCounts(TypedDict):
    """A database, as a server sees it."""

    # Microseconds from the last confirmed beat to its answer.
    beatMicros: int
    # Callers that wait for such a connection.
    callersWaiting: int
    # Connections for reads that are in use.
    connectionsBusy: int
    # Why the newest beat failed; absent if it did not.
    failure: NotRequired[str | None]
    # The id of its life. Another one means that the database may have lost commits, as after the promotion of a standby.
    life: str

class DynamicToolCallItem(TypedDict):
    """The call of a client-side tool."""

    arguments: Any
    contentItems: list[DynamicToolCallOutputContentItem] | None
    durationMs: int | None
    id: ItemId
    namespace: str | None
    status: DynamicToolCallStatus
    success: bool | None
    tool: str

class DynamicToolCallOutputContentItemInputText(TypedDict):
    text: str
    type: Literal["inputText"]

class DynamicToolCallOutputContentItemInputImage(TypedDict):
    imageUrl: str
    type: Literal["inputImage"]

class DynamicToolCallOutputContentItemInputAudio(TypedDict):
    audioUrl: str
    type: Literal["inputAudio"]

class DynamicToolCallParams(TypedDict):
    """Params of `item/tool/call`."""

    arguments: Any
    callId: ItemId
    namespace: str | None
    threadId: ThreadId
    tool: str
    turnId: TurnId

class DynamicToolCallResponse(TypedDict):
    """The answer to `item/tool/call`: the tool's output, and whether the call succeeded."""

    contentItems: list[DynamicToolCallOutputContentItem]
    success: bool

class DynamicToolNamespaceToolFunction(TypedDict):
    deferLoading: NotRequired[bool]
    description: str
    inputSchema: Any
    name: str
    type: Literal["function"]

class DynamicToolSpecFunction(TypedDict):
    deferLoading: NotRequired[bool]
    description: str
    inputSchema: Any
    name: str
    type: Literal["function"]

class DynamicToolSpecNamespace(TypedDict):
    description: str
    name: str
    tools: list[DynamicToolNamespaceTool]
    type: Literal["namespace"]

class EnteredReviewModeItem(TypedDict):
    """The beginning of a review."""

    id: ItemId
    review: str

class ErrorData(TypedDict):
    """The subject of an error, for programs. Members that do not apply are left out."""

    # The running turn, if another one was named.
    activeTurnId: NotRequired[TurnId | None]
    # The kind of a turn's error; `message` repeats the sentence, because clients of the peer read a `TurnError`
    # here.
    codexErrorInfo: NotRequired[CodexErrorInfo | None]
    # The member that needs it, as a path from `params`.
    field: NotRequired[str | None]
    # The next step, if `message` does not name it.
    hint: NotRequired[str | None]
    # The item.
    itemId: NotRequired[ItemId | None]
    # See `codexErrorInfo`.
    message: NotRequired[str | None]
    # The method, cut to 64 characters.
    method: NotRequired[str | None]
    # The field, as a path from `params`, such as `input[0].text`.
    path: NotRequired[str | None]
    # The read state, if the request expects another one.
    readState: NotRequired[ThreadReadState | None]
    # A stable word that clients can compare.
    reason: str
    # The time after which to retry, in milliseconds from now.
    retryAfterMs: NotRequired[int | None]
    # The access that the request needs.
    scope: NotRequired[Access | None]
    # The helper, by its configured name.
    server: NotRequired[str | None]
    # The thread.
    threadId: NotRequired[ThreadId | None]
    # The tool.
    tool: NotRequired[str | None]
    # The turn.
    turnId: NotRequired[TurnId | None]

class ErrorNotification(TypedDict):
    """Params of `error`."""

    error: TurnError
    # When the model is asked again; left out if that is not known, and without `willRetry`.
    skein: NotRequired[NextTry | None]
    threadId: ThreadId
    turnId: TurnId
    willRetry: bool

class ExitedReviewModeItem(TypedDict):
    """The end of a review, with its text."""

    id: ItemId
    review: str

class ExperimentalFeature(TypedDict):
    """A feature with a switch."""

    announcement: str | None
    defaultEnabled: bool
    description: str | None
    displayName: str | None
    enabled: bool
    name: str
    stage: ExperimentalFeatureStage

class ExperimentalFeatureListParams(TypedDict):
    """Params of `experimentalFeature/list`."""

    cursor: NotRequired[str | None]
    limit: NotRequired[int | None]
    threadId: NotRequired[ThreadId | None]

class ExperimentalFeatureListResponse(TypedDict):
    """Response of `experimentalFeature/list`."""

    data: list[ExperimentalFeature]
    nextCursor: str | None

class FeedbackUploadParams(TypedDict):
    """Params of `feedback/upload`."""

    classification: str
    extraLogFiles: NotRequired[list[str] | None]
    includeLogs: NotRequired[bool]
    reason: NotRequired[str | None]
    tags: NotRequired[dict[str, str] | None]
    threadId: NotRequired[ThreadId | None]

class FeedbackUploadResponse(TypedDict):
    """Response of `feedback/upload`."""

    promptHash: str | None
    threadId: ThreadId

class FileChangeItem(TypedDict):
    """A change of files."""

    changes: list[FileUpdateChange]
    id: ItemId
    status: PatchApplyStatus

class FileUpdateChange(TypedDict):
    """The change of one file."""

    diff: str
    kind: PatchChangeKind
    path: str

class FunctionCallOutputContentItemInputText(TypedDict):
    text: str
    type: Literal["input_text"]

class FunctionCallOutputContentItemInputImageImageUrl(TypedDict):
    detail: NotRequired[ImageDetail | None]
    image_url: str
    type: Literal["input_image"]

class FunctionCallOutputContentItemInputImageFileId(TypedDict):
    detail: NotRequired[ImageDetail | None]
    file_id: str
    type: Literal["input_image"]

class FunctionCallOutputContentItemInputAudioAudioUrl(TypedDict):
    audio_url: str
    type: Literal["input_audio"]

class FunctionCallOutputContentItemInputAudioFileId(TypedDict):
    file_id: str
    type: Literal["input_audio"]

class FunctionCallOutputContentItemEncryptedContent(TypedDict):
    encrypted_content: str
    type: Literal["encrypted_content"]

class FunctionCallOutputItem(TypedDict):
    """The output of a client-side tool that began the turn."""

    id: ItemId
    name: str
    namespace: str | None
    output: FunctionCallOutputBody

class GatewayAuthNone(TypedDict):
    """No key."""

    mode: Literal["none"]

class GatewayAuthEnvironmentVariable(TypedDict):
    """From this variable of the server's environment."""

    envKey: str
    mode: Literal["environmentVariable"]

class GatewayAuthExternallyConfigured(TypedDict):
    """From another source, such as a header of the settings."""

    envKey: NotRequired[str | None]
    mode: Literal["externallyConfigured"]

class GetAccountParams(TypedDict):
    """Params of `account/read`."""

    refreshToken: NotRequired[bool]

class GetAccountRateLimitsParams(TypedDict):
    """Params of `account/rateLimits/read`."""

    excludeResetCreditDetails: NotRequired[bool]
    supportsLunaReserve: NotRequired[bool]

class GetAccountRateLimitsResponse(TypedDict):
    """Response of `account/rateLimits/read`."""

    accountId: str | None
    ordinaryUsageAllowed: bool | None
    rateLimitResetCredits: RateLimitResetCreditsSummary | None
    rateLimitUpsell: Any
    rateLimits: RateLimitSnapshot
    rateLimitsByLimitId: dict[str, RateLimitSnapshot] | None

class GetAccountResponse(TypedDict):
    """Response of `account/read`."""

    account: Account | None
    requiresOpenaiAuth: bool
    userId: str | None
    workspaceRouting: WorkspaceRouting | None

class GetAccountTokenUsageParams(TypedDict):
    """Params of `account/usage/read`."""

    threadId: NotRequired[ThreadId | None]

class GetAccountTokenUsageResponse(TypedDict):
    """Response of `account/usage/read`."""

    dailyUsageBuckets: list[AccountTokenUsageDailyBucket] | None
    summary: AccountTokenUsageSummary
    threadUsage: ThreadUsage | None

class GitInfo(TypedDict):
    """The state of the working directory's repository when the thread began."""

    branch: str | None
    originUrl: str | None
    sha: str | None

class GranularApproval(TypedDict):
    """When to ask the user, by kind of question."""

    mcp_elicitations: bool
    request_permissions: NotRequired[bool]
    rules: bool
    sandbox_approval: bool
    skill_approval: NotRequired[bool]

class HeldDetails(TypedDict):
    """The containment of helpers, as found at the server's start and with the newest helper."""

    # The parent cgroup of the helpers' cgroups; absent if they get none.
    cgroup: NotRequired[str | None]
    # `helpers.containment`.
    configured: ContainmentSetting
    # The level for new helpers; absent if the required one is unavailable, and then none starts.
    inForce: NotRequired[ContainmentRung | None]
    # Better levels that are unavailable, the best first, with their reasons.
    lacking: list[LackDetails]
    # Whether the server adopts, and can stop, processes whose guard died first.
    subreaper: bool

class HelperCounts(TypedDict):
    """Helper processes."""

    # Running helpers.
    alive: int
    # The running helpers by their means of containment, such as `guard` or `cgroup`.
    containment: dict[str, int]
    # Running guards.
    guards: int
    # The containment of the next helper.
    held: HeldDetails
    # Helpers that had to be killed.
    killedTotal: int
    # Processes left by a former server of this home that was killed together with its guards.
    leftovers: LeftoverCounts
    # Helpers without a thread, kept for its resume (`linger`).
    lingering: int
    # Stalled helpers, kept for their running calls.
    quarantined: int
    # Helpers that take calls.
    ready: int
    # Started helpers.
    startedTotal: int
    # Starting helpers.
    starting: int
    # Helpers that ended, on their own or on request.
    stoppedTotal: int
    # Stopping helpers.
    stopping: int
    # How long helpers took to stop.
    zero: ZeroCounts

class HelperDetail(TypedDict):
    """A helper; one that several threads share is listed once."""

    # The threads that may share it.
    isolation: HelperIsolation
    # Resident memory of these processes.
    memoryBytes: int
    # Its name in the configuration.
    name: str
    # The pid of the started process, while it runs.
    pid: NotRequired[int | None]
    # The process and all its descendants without the guard, parents first.
    processes: list[HelperProcess]
    # The MCP revision of the session, once known.
    protocolVersion: NotRequired[str | None]
    # A stalled helper that was replaced: it takes no new calls and stops after its running ones.
    quarantined: bool
    # Messages that the helper has not read yet.
    queued: int
    # The reason why it does not run.
    reason: NotRequired[str | None]
    # The state of its life.
    state: HelperState
    # The last lines on stderr.
    stderr: str
    # The first thread that uses it; none for a lingering helper.
    threadId: NotRequired[ThreadId | None]
    # All threads that use it.
    threadIds: list[ThreadId]
    # Calls that wait for its start, or for a sign of life.
    waiting: int
    # Idle except for an open connection: it seems to wait for another service.
    waitsForOthers: bool

class HelperMoment(TypedDict):
    """The moment of a helper's life, for clients that are notified of a change."""

    state: HelperState

class HelperProcess(TypedDict):
    """One process of a helper."""

    # Its resident memory.
    memoryBytes: int
    # The system's name for it; never its arguments, which may be secret.
    name: str
    # The parent's pid.
    parent: int
    # The pid.
    pid: int

class HookErrorInfo(TypedDict):
    """A hook that cannot be read."""

    message: str
    path: str

HookMetadataCommand = TypedDict("HookMetadataCommand", {
    "additionalContextLimit": 'int | None',
    "async": 'bool',
    "command": 'str',
    "currentHash": 'str',
    "displayOrder": 'int',
    "enabled": 'bool',
    "environmentId": 'str | None',
    "eventName": 'HookEventName',
    "handlerType": 'Literal["command"]',
    "isManaged": 'bool',
    "key": 'str',
    "matcher": 'str | None',
    "pluginId": 'str | None',
    "source": 'HookSource',
    "sourcePath": 'str',
    "statusMessage": 'str | None',
    "timeoutSec": 'int',
    "trustStatus": 'HookTrustStatus',
})

class HookMetadataMcpTool(TypedDict):
    additionalContextLimit: int | None
    currentHash: str
    displayOrder: int
    enabled: bool
    environmentId: str | None
    eventName: HookEventName
    handlerType: Literal["mcpTool"]
    isManaged: bool
    key: str
    matcher: str | None
    pluginId: str | None
    server: str
    source: HookSource
    sourcePath: str
    statusMessage: str | None
    timeoutSec: int
    tool: str
    trustStatus: HookTrustStatus

class HookMetadataPrompt(TypedDict):
    additionalContextLimit: int | None
    currentHash: str
    displayOrder: int
    enabled: bool
    environmentId: str | None
    eventName: HookEventName
    handlerType: Literal["prompt"]
    isManaged: bool
    key: str
    matcher: str | None
    pluginId: str | None
    source: HookSource
    sourcePath: str
    statusMessage: str | None
    timeoutSec: int
    trustStatus: HookTrustStatus

class HookMetadataAgent(TypedDict):
    additionalContextLimit: int | None
    currentHash: str
    displayOrder: int
    enabled: bool
    environmentId: str | None
    eventName: HookEventName
    handlerType: Literal["agent"]
    isManaged: bool
    key: str
    matcher: str | None
    pluginId: str | None
    source: HookSource
    sourcePath: str
    statusMessage: str | None
    timeoutSec: int
    trustStatus: HookTrustStatus

class HookPromptFragment(TypedDict):
    """A piece of a prompt that a hook added."""

    hookRunId: str
    text: str

class HookPromptItem(TypedDict):
    """A message of a hook in the user's place."""

    fragments: list[HookPromptFragment]
    id: ItemId

class HooksListEntry(TypedDict):
    """The hooks that a directory has."""

    cwd: str
    errors: list[HookErrorInfo]
    hooks: list[HookMetadata]
    warnings: list[str]

class HooksListParams(TypedDict):
    """Params of `hooks/list`."""

    cwds: NotRequired[list[str] | None]
    threadId: NotRequired[ThreadId | None]

class HooksListResponse(TypedDict):
    """Response of `hooks/list`."""

    data: list[HooksListEntry]

class ImageGenerationFailureUsageLimitExceeded(TypedDict):
    limitId: str
    resetsAt: int | None
    type: Literal["usageLimitExceeded"]

class ImageGenerationInputImage(TypedDict):
    """An image that another one was made from."""

    path: str
    sha256: str

class ImageGenerationItemFileId(TypedDict):
    failure: NotRequired[ImageGenerationFailure | None]
    fileId: str
    generationId: NotRequired[str | None]
    id: ItemId
    inputImages: NotRequired[list[ImageGenerationInputImage]]
    revisedPrompt: NotRequired[str | None]
    savedPath: NotRequired[str | None]
    status: str
    transparentBackground: NotRequired[bool | None]

class ImageGenerationItemResult(TypedDict):
    failure: NotRequired[ImageGenerationFailure | None]
    generationId: NotRequired[str | None]
    id: ItemId
    inputImages: NotRequired[list[ImageGenerationInputImage]]
    result: str
    revisedPrompt: NotRequired[str | None]
    savedPath: NotRequired[str | None]
    status: str
    transparentBackground: NotRequired[bool | None]

class ImageViewItem(TypedDict):
    """An image that the agent looked at."""

    id: ItemId
    path: str

class IndexCounts(TypedDict):
    """The list of threads on disk."""

    # Bytes of its rows and orders, without storage overhead.
    contentBytes: int
    # Bytes of its files, after the last flush.
    diskBytes: int
    # `diskBytes` in percent of `contentBytes`; absent while it is empty.
    diskPercent: NotRequired[int | None]
    # The progress of its rebuild, or of its comparison with the histories; absent without one.
    indexing: NotRequired[IndexingDetails | None]
    # Milliseconds of its last opening; absent before the first.
    openMs: NotRequired[int | None]
    # The state of its life.
    state: IndexState

class IndexingDetails(TypedDict):
    """The progress of the rebuild."""

    # Histories read.
    done: int
    # All known histories.
    total: int

class InitializeCapabilities(TypedDict):
    """The abilities and wishes of the client."""

    experimentalApi: NotRequired[bool]
    explicitGatewayOauth: NotRequired[bool]
    extensions: NotRequired[dict[str, Any] | None]
    mcpServerOpenaiFormElicitation: NotRequired[bool]
    optOutNotificationMethods: NotRequired[list[str] | None]
    requestAttestation: NotRequired[bool]
    requiredHumanApproval: NotRequired[bool]

class InitializeParams(TypedDict):
    """Params of `initialize`."""

    capabilities: NotRequired[InitializeCapabilities | None]
    clientInfo: ClientInfo

class InitializeResponse(TypedDict):
    """Response of `initialize`."""

    codexHome: str
    platformFamily: str
    platformOs: str
    # The server's extensions of the protocol.
    skein: NotRequired[ServerExtensions | None]
    userAgent: str

class InternalChatMessageMetadataPassthrough(TypedDict):
    """Metadata that travels with a piece of history untouched."""

    turn_id: NotRequired[str | None]

class ItemCompletedNotification(TypedDict):
    """Params of `item/completed`."""

    completedAtMs: int
    contentTokenCount: int | None
    item: ThreadItem
    threadId: ThreadId
    turnId: TurnId

class ItemStartedNotification(TypedDict):
    """Params of `item/started`."""

    item: ThreadItem
    startedAtMs: int
    threadId: ThreadId
    turnId: TurnId

class LackDetails(TypedDict):
    """An unavailable level of containment."""

    # The reason.
    reason: str
    # The level.
    rung: ContainmentRung
    # The remedy.
    wayOut: str

class LeftoverCounts(TypedDict):
    """Processes left by a former server."""

    # Processes found and ended.
    endedTotal: int
    # Processes that could not be ended.
    left: int
    # Whether the search is done. No helper starts before.
    looked: bool

class ListDetails(TypedDict):
    """The completeness of a list of threads, and its position in the catalog."""

    # The server start that the number belongs to.
    catalogEpoch: str
    # The number.
    catalogSeq: int
    # Set while the list is rebuilt: threads may be missing.
    indexing: NotRequired[IndexingDetails | None]
    # The questions that wait for the users, in all threads of the home.
    needsYou: NeedsYou

class ListMcpServerStatusParams(TypedDict):
    """Params of `mcpServerStatus/list`."""

    cursor: NotRequired[str | None]
    detail: NotRequired[McpServerStatusDetail | None]
    limit: NotRequired[int | None]
    serverName: NotRequired[str | None]
    threadId: NotRequired[ThreadId | None]

class ListMcpServerStatusResponse(TypedDict):
    """Response of `mcpServerStatus/list`."""

    data: list[McpServerStatus]
    nextCursor: str | None

class ListOptions(TypedDict):
    """Filters of a list beyond the protocol's. Times are Unix seconds, as in the threads of the answer."""

    # Created before.
    createdBefore: NotRequired[int | None]
    # Created then or later.
    createdSince: NotRequired[int | None]
    # Last message before.
    updatedBefore: NotRequired[int | None]
    # Last message then or later.
    updatedSince: NotRequired[int | None]

class ListedQuestion(TypedDict):
    """A question that waits for an answer."""

    # When it was asked, in Unix milliseconds.
    askedAt: int
    # When it needs no answer any more and its turn is interrupted, in Unix milliseconds; missing if never.
    expiresAt: NotRequired[int | None]
    # The id of the request to clients.
    id: int
    # The item that waits.
    itemId: ItemId | None
    # Its subject.
    kind: QuestionKind
    # Whether its thread is loaded. Others are loaded by the answer.
    loaded: bool
    # The method of the request to clients.
    method: str
    # The params of the request to clients.
    params: Any
    # Its thread.
    threadId: ThreadId
    # The user's name for the thread.
    threadName: str | None
    # The turn that waits.
    turnId: TurnId

class LoadedDetails(TypedDict):
    """Details of the threads in memory."""

    # One entry for each thread of the answer, in the same order.
    threads: list[LoadedThread]

class LoadedThread(TypedDict):
    """A thread in memory."""

    # The thread is never saved.
    ephemeral: bool
    # Its helper processes that are alive.
    helpers: int
    # The thread is saved.
    materialised: bool
    # Connections that only watch.
    observers: int
    # The name of the server that has it, if it is another one of the cluster. Its connections and helpers are counted there.
    server: NotRequired[str | None]
    # The state of its life.
    state: LoadedState
    # The status that clients see.
    status: ThreadStatus
    # Connections that keep it loaded.
    subscribers: int
    # The thread.
    threadId: ThreadId

class LocalShellActionExec(TypedDict):
    command: list[str]
    env: NotRequired[dict[str, str] | None]
    timeout_ms: NotRequired[int | None]
    type: Literal["exec"]
    user: NotRequired[str | None]
    working_directory: NotRequired[str | None]

class McpAppUi(TypedDict):
    """The user interface that belongs to a tool call."""

    preferredModelDisplayMode: McpAppDisplayMode
    resourceUri: str

class McpElicitationBooleanSchema(TypedDict):
    """A field for yes or no."""

    default: NotRequired[bool | None]
    description: NotRequired[str | None]
    title: NotRequired[str | None]
    type: McpElicitationBooleanType

class McpElicitationConstOption(TypedDict):
    """A choice with its title."""

    const: str
    title: str

class McpElicitationLegacyTitledEnumSchema(TypedDict):
    """A choice of one, with the titles in a second list."""

    default: NotRequired[str | None]
    description: NotRequired[str | None]
    enum: list[str]
    enumNames: NotRequired[list[str] | None]
    title: NotRequired[str | None]
    type: McpElicitationStringType

class McpElicitationNumberSchema(TypedDict):
    """A field for a number."""

    default: NotRequired[float | None]
    description: NotRequired[str | None]
    maximum: NotRequired[float | None]
    minimum: NotRequired[float | None]
    title: NotRequired[str | None]
    type: McpElicitationNumberType

# The form that a helper wants to be filled in.
McpElicitationSchema = TypedDict("McpElicitationSchema", {
    "$schema": 'NotRequired[str | None]',
    "properties": 'dict[str, McpElicitationPrimitiveSchema]',
    "required": 'NotRequired[list[str] | None]',
    "type": 'McpElicitationObjectType',
})

class McpElicitationStringSchema(TypedDict):
    """A field for a text."""

    default: NotRequired[str | None]
    description: NotRequired[str | None]
    format: NotRequired[McpElicitationStringFormat | None]
    maxLength: NotRequired[int | None]
    minLength: NotRequired[int | None]
    title: NotRequired[str | None]
    type: McpElicitationStringType

class McpElicitationTitledEnumItems(TypedDict):
    """The choices with their titles."""

    anyOf: list[McpElicitationConstOption]

class McpElicitationTitledMultiSelectEnumSchema(TypedDict):
    """A choice of several, with titles."""

    default: NotRequired[list[str] | None]
    description: NotRequired[str | None]
    items: McpElicitationTitledEnumItems
    maxItems: NotRequired[int | None]
    minItems: NotRequired[int | None]
    title: NotRequired[str | None]
    type: McpElicitationArrayType

class McpElicitationTitledSingleSelectEnumSchema(TypedDict):
    """A choice of one, with titles."""

    default: NotRequired[str | None]
    description: NotRequired[str | None]
    oneOf: list[McpElicitationConstOption]
    title: NotRequired[str | None]
    type: McpElicitationStringType

class McpElicitationUntitledEnumItems(TypedDict):
    """The choices."""

    enum: list[str]
    type: McpElicitationStringType

class McpElicitationUntitledMultiSelectEnumSchema(TypedDict):
    """A choice of several."""

    default: NotRequired[list[str] | None]
    description: NotRequired[str | None]
    items: McpElicitationUntitledEnumItems
    maxItems: NotRequired[int | None]
    minItems: NotRequired[int | None]
    title: NotRequired[str | None]
    type: McpElicitationArrayType

class McpElicitationUntitledSingleSelectEnumSchema(TypedDict):
    """A choice of one."""

    default: NotRequired[str | None]
    description: NotRequired[str | None]
    enum: list[str]
    title: NotRequired[str | None]
    type: McpElicitationStringType

class McpResourceReadParams(TypedDict):
    """Params of `mcpServer/resource/read`."""

    _meta: NotRequired[dict[str, Any] | None]
    connectorId: NotRequired[str | None]
    originCallId: NotRequired[str | None]
    server: str
    target: NotRequired[McpResourceReadTarget | None]
    threadId: NotRequired[ThreadId | None]
    uri: str

class McpResourceReadResponse(TypedDict):
    """Response of `mcpServer/resource/read`."""

    contents: list[ResourceContent]
    originCallId: str | None

class McpResourceReadTarget(TypedDict):
    """The owner of the resource, if a service has several."""

    connectorId: str
    # Null, but not left out.
    linkId: str | None

class McpServerDetails(TypedDict):
    """Skein's additions to the state of a helper."""

    # The MCP revision of the session, such as `2025-11-25`, once known; from `2026-07-28` on without a handshake.
    protocolVersion: NotRequired[str | None]
    # The state of its life.
    state: HelperState
    # Calls that wait for its start, or for a sign of life.
    waiting: int
    # Idle except for an open connection: it seems to wait for another service.
    waitsForOthers: bool

class McpServerElicitationRequestParamsOpenaiUserVerification(TypedDict):
    _meta: Any
    challenge: str
    description: str
    mode: Literal["openai/userVerification"]
    serverName: str
    threadId: ThreadId
    title: str
    turnId: TurnId | None

class McpServerElicitationRequestParamsForm(TypedDict):
    _meta: Any
    message: str
    mode: Literal["form"]
    requestedSchema: McpElicitationSchema
    serverName: str
    threadId: ThreadId
    turnId: TurnId | None

class McpServerElicitationRequestParamsOpenaiForm(TypedDict):
    _meta: Any
    message: str
    mode: Literal["openai/form"]
    requestedSchema: Any
    serverName: str
    threadId: ThreadId
    turnId: TurnId | None

class McpServerElicitationRequestParamsOpenaiForm_(TypedDict):
    _meta: Any
    message: str
    mode: Literal["openaiForm"]
    requestedSchema: Any
    serverName: str
    threadId: ThreadId
    turnId: TurnId | None

class McpServerElicitationRequestParamsUrl(TypedDict):
    _meta: Any
    elicitationId: str
    message: str
    mode: Literal["url"]
    serverName: str
    threadId: ThreadId
    turnId: TurnId | None
    url: str

class McpServerElicitationRequestResponse(TypedDict):
    """The answer to `mcpServer/elicitation/request`."""

    _meta: NotRequired[Any]
    action: McpServerElicitationAction
    content: NotRequired[Any]

class McpServerInfo(TypedDict):
    """A helper's description of itself."""

    description: str | None
    icons: list[Any] | None
    name: str
    title: str | None
    version: str
    websiteUrl: str | None

class McpServerStatus(TypedDict):
    """A helper: its offers and its state."""

    authStatus: McpAuthStatus
    httpOrigin: str | None
    name: str
    pluginId: str | None
    resourceTemplates: list[ResourceTemplate]
    resources: list[Resource]
    runtimeStatus: McpServerConnectionStatus | None
    serverCapabilities: Any
    serverInfo: McpServerInfo | None
    # Additions to the peer's members.
    skein: NotRequired[McpServerDetails | None]
    toolListMeta: Any
    tools: dict[str, Tool]
    toolsError: str | None

class McpServerStatusUpdatedNotification(TypedDict):
    """Params of `mcpServer/startupStatus/updated`."""

    error: str | None
    failureReason: McpServerStartupFailureReason | None
    name: str
    # The helper's moment of life.
    skein: NotRequired[HelperMoment | None]
    status: McpServerStartupState
    threadId: ThreadId | None

class McpServerToolCallParams(TypedDict):
    """Params of `mcpServer/tool/call`."""

    _meta: NotRequired[Any]
    arguments: NotRequired[Any]
    server: str
    threadId: ThreadId
    tool: str

class McpServerToolCallResponse(TypedDict):
    """Response of `mcpServer/tool/call`."""

    _meta: NotRequired[Any]
    content: list[Any]
    isError: NotRequired[bool | None]
    structuredContent: NotRequired[Any]

class McpToolCallAppContext(TypedDict):
    """The app that a tool call belongs to."""

    actionName: str | None
    appName: str | None
    connectorId: str
    linkId: str | None
    resourceUri: str | None

class McpToolCallError(TypedDict):
    """The error of a tool call."""

    message: str

class McpToolCallItem(TypedDict):
    """The call of a helper's tool."""

    appContext: McpToolCallAppContext | None
    arguments: Any
    durationMs: int | None
    error: McpToolCallError | None
    id: ItemId
    mcpAppResourceUri: NotRequired[str | None]
    mcpAppUi: McpAppUi | None
    pluginId: str | None
    readOnlyHint: bool | None
    result: McpToolCallResult | None
    server: str
    status: McpToolCallStatus
    tool: str

class McpToolCallProgressNotification(TypedDict):
    """Params of `item/mcpToolCall/progress`."""

    itemId: ItemId
    message: str
    threadId: ThreadId
    turnId: TurnId

class McpToolCallResult(TypedDict):
    """The result of a tool call."""

    _meta: Any
    content: list[Any]
    structuredContent: Any

class MemoryCitation(TypedDict):
    """The memories that a message used."""

    entries: list[MemoryCitationEntry]
    threadIds: list[str]

class MemoryCitationEntry(TypedDict):
    """Lines of a memory file that a message used."""

    lineEnd: int
    lineStart: int
    note: str
    path: str

class MemoryCounts(TypedDict):
    """Memory."""

    # Resident bytes of the server process.
    residentBytes: int

class MisalignmentErrorDetails(TypedDict):
    """The result of a review of the agent's conduct."""

    detailedExplanation: str | None
    errorType: str | None
    reviewTarget: NotRequired[str | None]
    steer: MisalignmentSteer | None

class MisalignmentSteer(TypedDict):
    """The message to the agent after such a review."""

    message: str

class Model(TypedDict):
    """A model that turns can use."""

    additionalSpeedTiers: list[str]
    availabilityNux: ModelAvailabilityNux | None
    availableAccessPrograms: ModelAccessPrograms | None
    defaultReasoningEffort: str
    defaultServiceTier: str | None
    description: str
    displayName: str
    hidden: bool
    id: str
    inputModalities: list[InputModality]
    isDefault: bool
    model: str
    modelSpecialty: str | None
    multiAgentVersion: MultiAgentVersion | None
    serviceTiers: list[ModelServiceTier]
    supportedReasoningEfforts: list[ReasoningEffortOption]
    supportsPersonality: bool
    upgrade: str | None
    upgradeInfo: ModelUpgradeInfo | None

class ModelAccessPrograms(TypedDict):
    """The access programmes that offer a model."""

    cyber: list[CyberAccessProgram]

class ModelAvailabilityNux(TypedDict):
    """A notice to the user about a model's availability."""

    message: str

class ModelListParams(TypedDict):
    """Params of `model/list`."""

    cursor: NotRequired[str | None]
    includeHidden: NotRequired[bool | None]
    limit: NotRequired[int | None]
    modelProvider: NotRequired[str | None]

class ModelListResponse(TypedDict):
    """Response of `model/list`."""

    data: list[Model]
    nextCursor: str | None

class ModelProviderCapabilitiesReadResponse(TypedDict):
    """Response of `modelProvider/capabilities/read`."""

    imageGeneration: bool
    webSearch: bool

class ModelProviderListResponse(TypedDict):
    """Response of `modelProvider/list`."""

    # Whether a client can write another default into the settings, with effect at once.
    canChangeDefault: bool
    data: list[ModelProviderSummary]
    # The provider of threads that name none.
    defaultProviderId: str
    # Skein's extension: the providers that can be used at once.
    skein: NotRequired[ProviderDetails | None]

class ModelProviderSummary(TypedDict):
    """A provider of models."""

    # Its address, without possible secrets.
    baseUrl: str | None
    # Whether `modelProvider/config/write` changes it.
    canEdit: bool
    # The value for `modelProvider` and `model_provider`.
    id: str
    # For people.
    name: str
    settings: ProviderSettings

class ModelServiceTier(TypedDict):
    """A service tier of a model."""

    description: str
    id: str
    name: str

class ModelUpgradeInfo(TypedDict):
    """The model that replaces another one."""

    migrationMarkdown: str | None
    model: str
    modelLink: str | None
    retirementAt: int | None
    upgradeCopy: str | None

class MultiAgentModeCustom(TypedDict):
    custom: str

class NeedsYou(TypedDict):
    """The questions that wait for the users of a home, in loaded and other threads."""

    # When the oldest of them was asked, in Unix milliseconds; absent if nothing waits.
    oldestAt: NotRequired[int | None]
    # Their questions.
    questions: int
    # Threads with a question that waits for an answer.
    threads: int

class NextTry(TypedDict):
    """The next try after an error."""

    # Milliseconds from this notification to the next try.
    retryInMs: int

class OtherServer(TypedDict):
    """Another server of the cluster."""

    # The threads that it has loaded.
    loaded: int
    # Its name (`--node-name`).
    name: str

class OverriddenMetadata(TypedDict):
    """The source that overrides the written value."""

    effectiveValue: Any
    message: str
    overridingLayer: ConfigLayerMetadata

class PatchChangeKindAdd(TypedDict):
    type: Literal["add"]

class PatchChangeKindDelete(TypedDict):
    type: Literal["delete"]

class PatchChangeKindUpdate(TypedDict):
    move_path: str | None
    type: Literal["update"]

class PermissionProfileListParams(TypedDict):
    """Params of `permissionProfile/list`."""

    cursor: NotRequired[str | None]
    cwd: NotRequired[str | None]
    limit: NotRequired[int | None]

class PermissionProfileListResponse(TypedDict):
    """Response of `permissionProfile/list`."""

    data: list[PermissionProfileSummary]
    nextCursor: str | None

class PermissionProfileSummary(TypedDict):
    """The permissions of a turn."""

    allowed: bool
    description: str | None
    id: str

class PlanDeltaNotification(TypedDict):
    """Params of `item/plan/delta`."""

    delta: str
    itemId: ItemId
    threadId: ThreadId
    turnId: TurnId

class PlanItem(TypedDict):
    """A plan that the agent proposes."""

    id: ItemId
    text: str

class PressureCounts(TypedDict):
    """Threads evicted for others."""

    # Idle threads that were unloaded because of `limits.loaded_threads` or `limits.memory`.
    squeezedTotal: int
    # Times when a limit was exceeded and no thread was idle.
    unrelievedTotal: int

class ProviderDetails(TypedDict):
    """Details about the providers."""

    # The providers that need nothing more: they work offline, their key is set, or they answer on this machine.
    ready: list[ReadyProvider]

class ProviderSettingsOpenai(TypedDict):
    type: Literal["openai"]

class ProviderSettingsCustomGateway(TypedDict):
    auth: GatewayAuth
    type: Literal["customGateway"]

class ProviderSettingsBedrock(TypedDict):
    profile: NotRequired[str | None]
    region: NotRequired[str | None]
    type: Literal["bedrock"]

class ProviderSettingsGcp(TypedDict):
    credentialFile: NotRequired[str | None]
    location: NotRequired[str | None]
    projectId: NotRequired[str | None]
    type: Literal["gcp"]

class QuestionSummary(TypedDict):
    """A question that waits for an answer, without its text."""

    # When it was asked, in Unix milliseconds.
    askedAt: int
    # When it needs no answer any more, in Unix milliseconds; missing if never.
    expiresAt: NotRequired[int | None]
    # The id of the request to clients.
    id: int
    # Its subject.
    kind: QuestionKind

class QueuedSubmission(TypedDict):
    """A message that waits. Its id is the id of the turn that it becomes."""

    clientUserMessageId: str
    id: TurnId
    input: list[UserInput]
    responsesapiClientMetadata: dict[str, str] | None

class RateLimitResetCredit(TypedDict):
    """The right to have a limit lifted once."""

    description: str | None
    expiresAt: int | None
    grantedAt: int
    id: str
    resetType: RateLimitResetType
    status: RateLimitResetCreditStatus
    title: str | None

class RateLimitResetCreditsSummary(TypedDict):
    """Limits that the user may have lifted."""

    availableCount: int
    credits: list[RateLimitResetCredit] | None

class RateLimitSnapshot(TypedDict):
    """The use of an account's limits."""

    credits: CreditsSnapshot | None
    individualLimit: SpendControlLimitSnapshot | None
    limitId: str | None
    limitName: str | None
    normalModelSlug: str | None
    planType: PlanType | None
    primary: RateLimitWindow | None
    rateLimitReachedType: RateLimitReachedType | None
    secondary: RateLimitWindow | None
    spendControlReached: bool | None

class RateLimitWindow(TypedDict):
    """A stretch of time with a limit of its own."""

    resetsAt: int | None
    usedPercent: int
    windowDurationMins: int | None

class ReadyProvider(TypedDict):
    """A provider that can be used at once."""

    # The variable of the server's environment that holds its key.
    envKey: NotRequired[str | None]
    # The value for `modelProvider`.
    id: str
    # Whether it runs on the server's machine.
    local: bool

class ReasoningEffortOption(TypedDict):
    """A reasoning effort that a model offers."""

    description: str
    reasoningEffort: str

class ReasoningItem(TypedDict):
    """The model's reasoning."""

    content: list[str]
    id: ItemId
    summary: list[str]

class ReasoningItemContentReasoningText(TypedDict):
    text: str
    type: Literal["reasoning_text"]

class ReasoningItemContentText(TypedDict):
    text: str
    type: Literal["text"]

class ReasoningItemReasoningSummarySummaryText(TypedDict):
    text: str
    type: Literal["summary_text"]

class ReasoningSummaryPartAddedNotification(TypedDict):
    """Params of `item/reasoning/summaryPartAdded`."""

    itemId: ItemId
    summaryIndex: int
    threadId: ThreadId
    turnId: TurnId

class ReasoningSummaryTextDeltaNotification(TypedDict):
    """Params of `item/reasoning/summaryTextDelta`."""

    delta: str
    itemId: ItemId
    summaryIndex: int
    threadId: ThreadId
    turnId: TurnId

class ReasoningTextDeltaNotification(TypedDict):
    """Params of `item/reasoning/textDelta`."""

    contentIndex: int
    delta: str
    itemId: ItemId
    threadId: ThreadId
    turnId: TurnId

class RefusalCounts(TypedDict):
    """Refused requests and connections."""

    # Requests that were answered with "overloaded".
    overloaded: int
    # Connections that were closed because they did not read their messages.
    slowClients: int

class RefusedOriginEntry(TypedDict):
    """A page that was refused."""

    # The last time, Unix milliseconds.
    atMs: int
    # Its origin, such as `http://localhost:5173`.
    origin: str

class ReloadCounts(TypedDict):
    """Reloads of the settings."""

    # When the last reload was applied, in Unix milliseconds; absent before the first.
    lastAtMs: NotRequired[int | None]
    # Reloads refused because the settings were wrong.
    refusedTotal: int
    # Applied reloads.
    total: int
    # Reloads that found nothing changed.
    unchangedTotal: int

class RepairCounts(TypedDict):
    """The repair of threads that were open when the server last ended uncleanly."""

    # Threads checked.
    done: int
    # Threads that could not be read or written; the server's log names them. The next start tries again.
    failed: int
    # Threads that got the end of a turn, or lost a torn end.
    mended: int
    # The state of the whole repair.
    state: RepairState
    # Threads found open at the start.
    total: int

class ReplayCounts(TypedDict):
    """Clients that resumed."""

    # Replayed events.
    eventsTotal: int
    # Histories that could not be continued, and were sent whole.
    gapsTotal: int

class ReplayGap(TypedDict):
    """The reason why a history is not replayed."""

    # The reason.
    reason: GapReason

class Resource(TypedDict):
    """A resource that a helper offers."""

    _meta: NotRequired[Any]
    annotations: NotRequired[Any]
    description: NotRequired[str | None]
    icons: NotRequired[list[Any] | None]
    mimeType: NotRequired[str | None]
    name: str
    size: NotRequired[int | None]
    title: NotRequired[str | None]
    uri: str

class ResourceContentMeta(TypedDict):
    _meta: NotRequired[Any]
    mimeType: NotRequired[str | None]
    text: str
    uri: str

class ResourceContentMeta_(TypedDict):
    _meta: NotRequired[Any]
    blob: str
    mimeType: NotRequired[str | None]
    uri: str

class ResourceTemplate(TypedDict):
    """A pattern of resources that a helper offers."""

    annotations: NotRequired[Any]
    description: NotRequired[str | None]
    mimeType: NotRequired[str | None]
    name: str
    title: NotRequired[str | None]
    uriTemplate: str

class ResponseItemAdditionalTools(TypedDict):
    id: NotRequired[str | None]
    role: str
    tools: list[Any]
    type: Literal["additional_tools"]

class ResponseItemMessage(TypedDict):
    content: list[ContentItem]
    encrypted_content: NotRequired[str | None]
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    phase: NotRequired[MessagePhase | None]
    role: str
    status: NotRequired[str | None]
    type: Literal["message"]

class ResponseItemAgentMessage(TypedDict):
    author: str
    content: list[AgentMessageInputContent]
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    recipient: str
    type: Literal["agent_message"]

class ResponseItemReasoning(TypedDict):
    content: NotRequired[list[ReasoningItemContent] | None]
    encrypted_content: NotRequired[str | None]
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    summary: list[ReasoningItemReasoningSummary]
    type: Literal["reasoning"]

class ResponseItemLocalShellCall(TypedDict):
    action: LocalShellAction
    call_id: NotRequired[str | None]
    encrypted_content: NotRequired[str | None]
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    status: LocalShellStatus
    type: Literal["local_shell_call"]

class ResponseItemFunctionCall(TypedDict):
    arguments: str
    call_id: str
    encrypted_content: NotRequired[str | None]
    encrypted_function_args: NotRequired[list[str] | None]
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    name: str
    namespace: NotRequired[str | None]
    status: NotRequired[str | None]
    type: Literal["function_call"]

class ResponseItemToolSearchCall(TypedDict):
    arguments: Any
    call_id: NotRequired[str | None]
    encrypted_content: NotRequired[str | None]
    execution: str
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    status: NotRequired[str | None]
    type: Literal["tool_search_call"]

class ResponseItemFunctionCallOutput(TypedDict):
    call_id: NotRequired[str | None]
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    name: NotRequired[str | None]
    namespace: NotRequired[str | None]
    output: FunctionCallOutputBody
    type: Literal["function_call_output"]

class ResponseItemCustomToolCall(TypedDict):
    call_id: str
    encrypted_content: NotRequired[str | None]
    id: NotRequired[str | None]
    input: str
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    name: str
    namespace: NotRequired[str | None]
    status: NotRequired[str | None]
    type: Literal["custom_tool_call"]

class ResponseItemCustomToolCallOutput(TypedDict):
    call_id: str
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    name: NotRequired[str | None]
    output: FunctionCallOutputBody
    type: Literal["custom_tool_call_output"]

class ResponseItemToolSearchOutput(TypedDict):
    call_id: NotRequired[str | None]
    execution: str
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    status: str
    tools: list[Any]
    type: Literal["tool_search_output"]

class ResponseItemWebSearchCall(TypedDict):
    action: NotRequired[ResponsesApiWebSearchAction | None]
    encrypted_content: NotRequired[str | None]
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    status: NotRequired[str | None]
    type: Literal["web_search_call"]

class ResponseItemImageGenerationCall(TypedDict):
    encrypted_content: NotRequired[str | None]
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    result: str
    revised_prompt: NotRequired[str | None]
    status: str
    type: Literal["image_generation_call"]

class ResponseItemCompaction(TypedDict):
    encrypted_content: str
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    type: Literal["compaction"]

class ResponseItemConfigurationUpdate(TypedDict):
    reasoning: ConfigurationReasoning
    type: Literal["configuration_update"]

class ResponseItemCompactionTrigger(TypedDict):
    type: Literal["compaction_trigger"]

class ResponseItemContextCompaction(TypedDict):
    encrypted_content: NotRequired[str | None]
    id: NotRequired[str | None]
    internal_chat_message_metadata_passthrough: NotRequired[InternalChatMessageMetadataPassthrough | None]
    type: Literal["context_compaction"]

class ResponseItemOther(TypedDict):
    type: Literal["other"]

class ResponsesApiWebSearchActionSearch(TypedDict):
    queries: NotRequired[list[str] | None]
    query: NotRequired[str | None]
    type: Literal["search"]

class ResponsesApiWebSearchActionOpenPage(TypedDict):
    type: Literal["open_page"]
    url: NotRequired[str | None]

class ResponsesApiWebSearchActionFindInPage(TypedDict):
    pattern: NotRequired[str | None]
    type: Literal["find_in_page"]
    url: NotRequired[str | None]

class ResponsesApiWebSearchActionOther(TypedDict):
    type: Literal["other"]

class ResumeOptions(TypedDict):
    """Options for `thread/resume`."""

    # The last number that the client has seen.
    afterSeq: NotRequired[EventSeq | None]
    # The version of the history that `afterSeq` belongs to.
    epoch: NotRequired[Epoch | None]
    # Watches only: the subscription does not keep the thread loaded and receives no requests.
    observe: NotRequired[bool]

class ResumePicture(TypedDict):
    """The point in a thread's history that an answer to `thread/resume` shows, and the events that follow."""

    # The limits that hold for the thread, with their use. Missing if none holds.
    budget: NotRequired[list[BudgetState]]
    # The version of the history.
    epoch: Epoch
    # The history cannot continue from the client's position: this answer is the full state, and the client's is
    # void.
    gap: NotRequired[ReplayGap | None]
    # The cursor of `thread/turns/list` (newest first) for earlier turns, if `thread.turns` has only the newest.
    olderTurns: NotRequired[str | None]
    # The server that has the thread, where several share a database.
    owner: NotRequired[ThreadOwner | None]
    # Ids of the server's open requests, which are sent again. All others are void.
    pendingRequests: list[RequestId]
    # The replay: the answer has no turns, and all durable events after `afterSeq` follow, up to this number. Equal
    # to `afterSeq` if there are none.
    replayTo: NotRequired[EventSeq | None]
    # The last included number; with `replayTo` the number that the client named.
    seq: EventSeq

class RevertedFrom(TypedDict):
    """The turns that a revert removed."""

    # The first removed turn; all later ones are removed, too.
    beforeTurnId: TurnId

class SandboxPolicyDangerFullAccess(TypedDict):
    type: Literal["dangerFullAccess"]

class SandboxPolicyReadOnly(TypedDict):
    networkAccess: bool
    type: Literal["readOnly"]

class SandboxPolicyExternalSandbox(TypedDict):
    networkAccess: NetworkAccess
    type: Literal["externalSandbox"]

class SandboxPolicyWorkspaceWrite(TypedDict):
    excludeSlashTmp: bool
    excludeTmpdirEnvVar: bool
    networkAccess: bool
    type: Literal["workspaceWrite"]
    writableRoots: list[str]

class SandboxPolicyParamDangerFullAccess(TypedDict):
    type: Literal["dangerFullAccess"]

class SandboxPolicyParamReadOnly(TypedDict):
    networkAccess: NotRequired[bool]
    type: Literal["readOnly"]

class SandboxPolicyParamExternalSandbox(TypedDict):
    networkAccess: NotRequired[NetworkAccess]
    type: Literal["externalSandbox"]

class SandboxPolicyParamWorkspaceWrite(TypedDict):
    excludeSlashTmp: NotRequired[bool]
    excludeTmpdirEnvVar: NotRequired[bool]
    networkAccess: NotRequired[bool]
    type: Literal["workspaceWrite"]
    writableRoots: NotRequired[list[str]]

class SearchDetails(TypedDict):
    """The limits of a search."""

    # Set while the list is rebuilt: a missing thread is not found.
    indexing: IndexingDetails

class SelectedCapabilityRoot(TypedDict):
    """A folder of capabilities that the client selected."""

    id: str
    location: CapabilityRootLocation

class ServerDiagnosticsGauge(TypedDict):
    """One number of the server."""

    name: str
    value: int

class ServerDiagnosticsProcess(TypedDict):
    """The server's process."""

    id: int
    physicalFootprintBytes: int | None
    residentMemoryBytes: int | None

class ServerDiagnosticsResponse(TypedDict):
    """Response of `server/diagnostics`."""

    gauges: list[ServerDiagnosticsGauge]
    process: ServerDiagnosticsProcess

class ServerExtensions(TypedDict):
    """The server's extensions of the protocol."""

    # The granted extensions, by name.
    extensions: dict[str, Any]
    # The server's version.
    version: str

class ServerRequestResolvedNotification(TypedDict):
    """Params of `serverRequest/resolved`."""

    requestId: RequestId
    threadId: ThreadId

class SessionSourceCustom(TypedDict):
    custom: str

class SessionSourceSubAgent(TypedDict):
    subAgent: SubAgentSource

class Settings(TypedDict):
    """The model settings of a collaboration mode."""

    developer_instructions: str | None
    model: str
    reasoning_effort: str | None

class SettingsParam(TypedDict):
    """The model settings of a collaboration mode."""

    developer_instructions: NotRequired[str | None]
    model: str
    reasoning_effort: NotRequired[str | None]

class SkeinBudgetSetParams(TypedDict):
    """Params of `skein/budget/set`: a missing member stays, 0 is no limit."""

    # The thread, loaded or not.
    threadId: ThreadId
    # Tokens of the thread.
    threadTokens: NotRequired[int | None]
    # How many answers with calls a turn may have.
    turnRounds: NotRequired[int | None]
    # Tokens of a turn.
    turnTokens: NotRequired[int | None]

class SkeinBudgetSetResponse(TypedDict):
    """Response of `skein/budget/set`."""

    # The limits that hold for the thread from now on.
    budget: list[BudgetState]

class SkeinCatalogResumeParams(TypedDict):
    """Params of `skein/catalog/resume`."""

    # The number of the client's list: that of the first page of `thread/list`, or the highest `catalogSeq` received
    # since.
    after: int
    # The `catalogEpoch` of the number.
    catalogEpoch: str

class SkeinCatalogResumeResponse(TypedDict):
    """Response of `skein/catalog/resume`."""

    # The server start that the numbers belong to.
    catalogEpoch: str
    # The newest change. Changes received before this answer are included; those after it are newer.
    catalogSeq: int
    # The later notifications to all connections, in order; empty if `tooOld`.
    changes: list[CatalogChange]
    # The number of questions that wait for the users; `skein/questions/list` has them.
    needsYou: NeedsYou
    # The later changes are no longer known, or the number is of another server start: list again.
    tooOld: bool

class SkeinConnectionLeaveResponse(TypedDict):
    """Response of `skein/connection/leave`."""

    # Threads that had no other subscriber.
    left: int
    # Of these, the ones still loaded: they take longer, or have a new subscriber.
    loaded: int

class SkeinCredentialAddParams(TypedDict):
    """Params of `skein/credential/add`."""

    # Its end, in Unix seconds; never without it.
    expiresAt: NotRequired[int | None]
    # The name of the token: letters, digits, `.`, `-` and `_`. No other token has it.
    name: str
    # The only origin that may send it.
    origin: NotRequired[str | None]
    # The access that it gives.
    scope: Access
    # The SHA-256 of the token, in 64 hexadecimal digits. The server never gets the token itself this way.
    sha256: str

class SkeinCredentialAddResponse(TypedDict):
    """Response of `skein/credential/add`."""

    # The new token.
    credential: CredentialDetail

class SkeinCredentialListResponse(TypedDict):
    """Response of `skein/credential/list`."""

    # Those that have not ended, oldest first.
    data: list[CredentialDetail]

class SkeinCredentialRevokeParams(TypedDict):
    """Params of `skein/credential/revoke`."""

    # The id of a session or token, or the name of a token.
    id: str

class SkeinCredentialRevokeResponse(TypedDict):
    """Response of `skein/credential/revoke`."""

    # The revoked credential.
    credential: CredentialDetail

class SkeinHeartbeatNotification(TypedDict):
    """Params of `skein/heartbeat`."""

    # The server's clock, in Unix milliseconds.
    at: int

class SkeinHelpersListParams(TypedDict):
    """Params of `skein/helpers/list`."""

    # Only those of this thread; without it, those of all loaded threads.
    threadId: NotRequired[ThreadId | None]

class SkeinHelpersListResponse(TypedDict):
    """Response of `skein/helpers/list`."""

    # By thread and name.
    data: list[HelperDetail]

class SkeinQuestionsAnswerParams(TypedDict):
    """Params of `skein/questions/answer`."""

    # The id of the request to clients.
    id: int
    # The result that a client would answer to the request.
    result: Any

class SkeinQuestionsChangedNotification(TypedDict):
    """Params of `skein/questions/changed`."""

    # The number of questions that wait in all threads.
    needsYou: NeedsYou
    # Its questions that wait for an answer now, oldest first.
    open: list[QuestionSummary]
    # The thread.
    threadId: ThreadId

class SkeinQuestionsListParams(TypedDict):
    """Params of `skein/questions/list`."""

    # The end of the last page.
    cursor: NotRequired[str | None]
    # The number of threads of a page, at most. All questions of a thread are on one page.
    limit: NotRequired[int | None]
    # The questions of this thread only.
    threadId: NotRequired[ThreadId | None]

class SkeinQuestionsListResponse(TypedDict):
    """Response of `skein/questions/list`."""

    # The questions, thread by thread, that with the oldest question first.
    data: list[ListedQuestion]
    # The cursor of the next page; null at the end.
    nextCursor: str | None

class SkeinQuiesceParams(TypedDict):
    """Params of `skein/quiesce`."""

    # Lets the owner of this thread panic, as a bug would.
    breakOff: NotRequired[ThreadId | None]

class SkeinRepairUpdatedNotification(TypedDict):
    """Params of `skein/repair/updated`."""

    # The progress.
    repair: RepairCounts

class SkeinStatusResponse(TypedDict):
    """Response of `skein/status`. Counters that end in `Total` count from the start of the server; all others are
    current values.
    """

    # The listening URL; `stdio://` for the standard streams of the parent program.
    address: str
    # Requests and connections that did not get in.
    admission: AdmissionCounts
    # The id of this server start.
    bootId: str
    # The cluster of the server. Missing where threads are files.
    cluster: NotRequired[ClusterCounts | None]
    # Websocket connections.
    connections: int
    # The unix socket for programs of this machine; empty without one.
    controlSocket: str
    # The limit of tokens of a day (UTC), and what all threads have used today. Missing without a limit.
    dayBudget: NotRequired[BudgetState | None]
    # Helper processes.
    helpers: HelperCounts
    # The served home.
    home: str
    # Whether commands use this home without `--home` where `SKEIN_HOME` is not set.
    homeIsDefault: bool
    # The list of threads.
    index: IndexCounts
    # Memory.
    memory: MemoryCounts
    # The number of questions that wait for the users; `skein/questions/list` has them.
    needsYou: NeedsYou
    # Bytes waiting to be sent, over all connections.
    outboxBytes: int
    # Panics in the server, each of which ended only one request, turn or thread.
    panicsTotal: int
    # The server's pid.
    pid: int
    # Threads evicted for others.
    pressure: PressureCounts
    # Refused requests and connections.
    refusals: RefusalCounts
    # Reloads of the settings.
    reloads: ReloadCounts
    # The repair after an unclean end.
    repair: RepairCounts
    # Clients that resumed.
    replay: ReplayCounts
    # When the server started, in Unix milliseconds.
    startedAtMs: int
    # History files.
    store: StoreCounts
    # Running tasks.
    tasks: int
    # The text index of searches.
    texts: TextsCounts
    # Threads in memory.
    threads: ThreadCounts
    # Turns.
    turns: TurnCounts
    # Threads that left memory.
    unloads: UnloadCounts
    # Milliseconds since the start.
    uptimeMs: int
    # Version of the server.
    version: str

class SkeinStoppingNotification(TypedDict):
    """Params of `skein/stopping`."""

    # How long the client waits behind the end of the connection before it connects again, in milliseconds.
    retryAfterMs: int

class SkeinThreadUnloadParams(TypedDict):
    """Params of `skein/thread/unload`."""

    # Unloads even an active thread, or one with other subscribers.
    force: NotRequired[bool]
    # The thread.
    threadId: ThreadId

class SkeinThreadUnloadResponse(TypedDict):
    """Response of `skein/thread/unload`."""

    # The outcome.
    state: UnloadOutcome

class SkillDependencies(TypedDict):
    """The requirements of a skill."""

    tools: list[SkillToolDependency]

class SkillErrorInfo(TypedDict):
    """A skill that cannot be read."""

    message: str
    path: str

class SkillInterface(TypedDict):
    """How a skill is shown."""

    brandColor: str | None
    defaultPrompt: str | None
    displayName: str | None
    iconLarge: str | None
    iconLargeUrl: str | None
    iconSmall: str | None
    iconSmallUrl: str | None
    shortDescription: str | None

class SkillMetadata(TypedDict):
    """A skill."""

    dependencies: NotRequired[SkillDependencies | None]
    description: str
    enabled: bool
    interface: NotRequired[SkillInterface | None]
    name: str
    path: str
    pluginId: str | None
    scope: SkillScope
    shortDescription: NotRequired[str | None]

class SkillToolDependency(TypedDict):
    """A tool that a skill needs."""

    command: NotRequired[str | None]
    description: NotRequired[str | None]
    transport: NotRequired[str | None]
    type: str
    url: NotRequired[str | None]
    value: str

class SkillsListEntry(TypedDict):
    """The skills that a directory offers."""

    cwd: str
    errors: list[SkillErrorInfo]
    skills: list[SkillMetadata]

class SkillsListParams(TypedDict):
    """Params of `skills/list`."""

    cwds: NotRequired[list[str] | None]
    forceReload: NotRequired[bool]

class SkillsListResponse(TypedDict):
    """Response of `skills/list`."""

    data: list[SkillsListEntry]

class SleepItem(TypedDict):
    """A pause that the agent took."""

    durationMs: int
    id: ItemId

class SpendControlLimitSnapshot(TypedDict):
    """The most that may be spent."""

    limit: str
    remainingPercent: int
    resetsAt: int
    used: str

class StartOptions(TypedDict):
    """Options for `thread/start`."""

    # The id for the new thread. For a thread that was lost with its server before its first message. Refused if the
    # thread exists.
    threadId: NotRequired[ThreadId | None]

class StoreCounts(TypedDict):
    """History files."""

    # Writes.
    appendsTotal: int
    # Failed writes and syncs.
    errorsTotal: int
    # Since when the disk takes no records of a loaded thread, in Unix milliseconds; absent while it takes them.
    failingSinceMs: NotRequired[int | None]
    # Files opened to load a thread: read to the end, and repaired.
    loadsTotal: int
    # Files not yet known to be closed and indexed.
    openMarkers: int
    # Files opened to be read only.
    readsTotal: int
    # Milliseconds of the last sync; absent before the first.
    syncLastMs: NotRequired[int | None]
    # Milliseconds of the longest sync; absent before the first.
    syncMaxMs: NotRequired[int | None]
    # Syncs.
    syncsTotal: int
    # Records that could not be saved.
    unsavedRecordsTotal: int

class SubAgentActivityItem(TypedDict):
    """An activity of another agent."""

    agentPath: str
    agentThreadId: ThreadId
    id: ItemId
    kind: SubAgentActivityKind
    model: str | None
    reasoningEffort: str | None

class SubAgentSourceThreadSpawnThreadSpawn(TypedDict):
    agent_nickname: NotRequired[str | None]
    agent_path: NotRequired[str | None]
    agent_role: NotRequired[str | None]
    depth: int
    parent_thread_id: ThreadId

class SubAgentSourceThreadSpawn(TypedDict):
    thread_spawn: SubAgentSourceThreadSpawnThreadSpawn

class SubAgentSourceOther(TypedDict):
    other: str

class TextElement(TypedDict):
    """A part of a text with a rendering of the client's own."""

    byteRange: ByteRange
    placeholder: str | None

class TextElementParam(TypedDict):
    """A part of a text with a rendering of the client's own."""

    byteRange: ByteRange
    placeholder: NotRequired[str | None]

class TextPosition(TypedDict):
    """A position in a file; line and column count from 1."""

    column: int
    line: int

class TextRange(TypedDict):
    """A range of a file."""

    end: TextPosition
    start: TextPosition

class TextsCounts(TypedDict):
    """The text index that speeds up searches."""

    # Threads that changed since, or have a turn without an end; each search reads these.
    behind: int
    # Bytes of its files when it was last complete.
    diskBytes: int
    # Threads compared with it since the server's first search.
    done: int
    # The state of its life.
    state: TextsState

class Thread(TypedDict):
    """A conversation: an ordered history of turns."""

    agentNickname: str | None
    agentRole: str | None
    attachedToThreadId: ThreadId | None
    canAcceptDirectInput: bool | None
    cliVersion: str
    createdAt: int
    cwd: str
    daybreakEnabled: bool | None
    environments: list[ThreadEnvironment] | None
    ephemeral: bool
    extra: dict[str, Any] | None
    forkedFromId: ThreadId | None
    gitInfo: GitInfo | None
    historyMode: ThreadHistoryMode
    id: ThreadId
    model: str | None
    modelProvider: str
    name: str | None
    originator: str | None
    parentThreadId: ThreadId | None
    path: str | None
    preview: str
    projectId: str | None
    reasoningEffort: str | None
    recencyAt: int | None
    section: ThreadSection | None
    sectionEnteredAt: int | None
    sessionId: ThreadId
    # The questions that wait, in lists and reads of a thread with such questions.
    skein: NotRequired[ThreadDetails | None]
    source: SessionSource
    status: ThreadStatus
    threadSource: str | None
    turns: list[Turn]
    updatedAt: int

class ThreadArchiveParams(TypedDict):
    """Params of `thread/archive`."""

    threadId: ThreadId

class ThreadArchivedNotification(TypedDict):
    """Params of `thread/archived`."""

    # For clients that opted in to `skein/events`.
    skein: NotRequired[CatalogPlace | None]
    threadId: ThreadId

class ThreadClosedNotification(TypedDict):
    """Params of `thread/closed`."""

    # For clients that opted in to `skein/events`.
    skein: NotRequired[CatalogPlace | None]
    threadId: ThreadId

class ThreadCompactStartParams(TypedDict):
    """Params of `thread/compact/start`."""

    threadId: ThreadId

class ThreadCounts(TypedDict):
    """Threads in memory."""

    # Threads without a running turn.
    idle: int
    # All of them.
    loaded: int
    # Threads that read their history.
    loading: int
    # Subscriptions that only watch.
    observers: int
    # Threads with a running turn.
    running: int
    # Subscriptions that keep a thread loaded.
    subscriptions: int
    # Threads whose helpers are stopping.
    unloading: int

class ThreadDeleteParams(TypedDict):
    """Params of `thread/delete`."""

    threadId: ThreadId

class ThreadDeletedNotification(TypedDict):
    """Params of `thread/deleted`."""

    # For clients that opted in to `skein/events`.
    skein: NotRequired[CatalogPlace | None]
    threadId: ThreadId

class ThreadDetails(TypedDict):
    """Facts about a thread in a list."""

    # The questions that wait for an answer.
    waiting: WaitingDetails

class ThreadEnvironment(TypedDict):
    """An environment that a thread's turns run in."""

    cwd: str
    environmentId: str
    runtimeWorkspaceRoots: list[str]

class ThreadForkParams(TypedDict):
    """Params of `thread/fork`."""

    approvalPolicy: NotRequired[AskForApproval | None]
    approvalsReviewer: NotRequired[ApprovalsReviewer | None]
    attachToSource: NotRequired[bool]
    baseInstructions: NotRequired[str | None]
    beforeTurnId: NotRequired[TurnId | None]
    config: NotRequired[dict[str, Any] | None]
    cwd: NotRequired[str | None]
    deferGoalContinuation: NotRequired[bool]
    developerInstructions: NotRequired[str | None]
    ephemeral: NotRequired[bool]
    excludeTurns: NotRequired[bool]
    experimentalDisablePredictionMcp: NotRequired[bool]
    experimentalPredictionMode: NotRequired[bool]
    lastTurnId: NotRequired[TurnId | None]
    model: NotRequired[str | None]
    modelProvider: NotRequired[str | None]
    path: NotRequired[str | None]
    permissions: NotRequired[str | None]
    runtimeWorkspaceRoots: NotRequired[list[str] | None]
    sandbox: NotRequired[SandboxMode | None]
    serviceTier: NotRequired[str | None]
    threadId: ThreadId
    threadSource: NotRequired[str | None]

class ThreadForkResponse(TypedDict):
    """Response of `thread/fork`: the new thread, with its turns unless excluded."""

    activePermissionProfile: ActivePermissionProfile | None
    approvalPolicy: AskForApproval
    approvalsReviewer: ApprovalsReviewer
    cwd: str
    disabledPluginIds: list[str]
    instructionSources: list[str]
    model: str
    modelProvider: str
    multiAgentMode: MultiAgentMode
    reasoningEffort: str | None
    runtimeWorkspaceRoots: list[str]
    sandbox: SandboxPolicy
    serviceTier: str | None
    # The point in the history that this answer shows.
    skein: NotRequired[ThreadMoment | None]
    thread: Thread

class ThreadGoal(TypedDict):
    """A thread's goal and its cost so far. Times are Unix seconds."""

    createdAt: int
    objective: str
    status: ThreadGoalStatus
    threadId: ThreadId
    timeUsedSeconds: int
    tokenBudget: int | None
    tokensUsed: int
    updatedAt: int

class ThreadGoalClearParams(TypedDict):
    """Params of `thread/goal/clear`."""

    origin: NotRequired[ThreadGoalMutationOrigin | None]
    threadId: ThreadId

class ThreadGoalClearResponse(TypedDict):
    """Response of `thread/goal/clear`."""

    cleared: bool

class ThreadGoalClearedNotification(TypedDict):
    """Params of `thread/goal/cleared`."""

    threadId: ThreadId

class ThreadGoalGetParams(TypedDict):
    """Params of `thread/goal/get`."""

    threadId: ThreadId

class ThreadGoalGetResponse(TypedDict):
    """Response of `thread/goal/get`."""

    goal: ThreadGoal | None

class ThreadGoalSetParams(TypedDict):
    """Params of `thread/goal/set`: a missing member stays, and a null `tokenBudget` removes the budget."""

    objective: NotRequired[str | None]
    origin: NotRequired[ThreadGoalMutationOrigin | None]
    status: NotRequired[ThreadGoalStatus | None]
    threadId: ThreadId
    tokenBudget: NotRequired[int | None]

class ThreadGoalSetResponse(TypedDict):
    """Response of `thread/goal/set`."""

    goal: ThreadGoal

class ThreadGoalUpdatedNotification(TypedDict):
    """Params of `thread/goal/updated`."""

    goal: ThreadGoal
    threadId: ThreadId
    turnId: TurnId | None

class ThreadInjectItemsParams(TypedDict):
    """Params of `thread/inject_items`. Each item is a `ResponseItem`."""

    items: list[Any]
    threadId: ThreadId

class ThreadItemUserMessage(TypedDict):
    clientId: str | None
    completedAtMs: int | None
    content: list[UserInput]
    id: ItemId
    startedAtMs: int | None
    type: Literal["userMessage"]

class ThreadItemHookPrompt(TypedDict):
    completedAtMs: int | None
    fragments: list[HookPromptFragment]
    id: ItemId
    startedAtMs: int | None
    type: Literal["hookPrompt"]

class ThreadItemAgentMessage(TypedDict):
    completedAtMs: int | None
    delivery: AgentMessageDelivery | None
    id: ItemId
    memoryCitation: MemoryCitation | None
    moderation: AgentMessageModeration | None
    phase: MessagePhase | None
    questions: list[AsyncUserInputQuestion] | None
    startedAtMs: int | None
    text: str
    type: Literal["agentMessage"]

class ThreadItemFunctionCallOutput(TypedDict):
    completedAtMs: int | None
    id: ItemId
    name: str
    namespace: str | None
    output: FunctionCallOutputBody
    startedAtMs: int | None
    type: Literal["functionCallOutput"]

class ThreadItemPlan(TypedDict):
    completedAtMs: int | None
    id: ItemId
    startedAtMs: int | None
    text: str
    type: Literal["plan"]

class ThreadItemReasoning(TypedDict):
    completedAtMs: int | None
    content: list[str]
    id: ItemId
    startedAtMs: int | None
    summary: list[str]
    type: Literal["reasoning"]

class ThreadItemCommandExecution(TypedDict):
    aggregatedOutput: str | None
    command: str
    commandActions: list[CommandAction]
    completedAtMs: int | None
    cwd: str
    durationMs: int | None
    exitCode: int | None
    id: ItemId
    pluginId: str | None
    processId: str | None
    scriptPath: str | None
    source: CommandExecutionSource
    startedAtMs: int | None
    status: CommandExecutionStatus
    type: Literal["commandExecution"]

class ThreadItemFileChange(TypedDict):
    changes: list[FileUpdateChange]
    completedAtMs: int | None
    id: ItemId
    startedAtMs: int | None
    status: PatchApplyStatus
    type: Literal["fileChange"]

class ThreadItemMcpToolCall(TypedDict):
    appContext: McpToolCallAppContext | None
    arguments: Any
    completedAtMs: int | None
    durationMs: int | None
    error: McpToolCallError | None
    id: ItemId
    mcpAppResourceUri: NotRequired[str | None]
    mcpAppUi: McpAppUi | None
    pluginId: str | None
    readOnlyHint: bool | None
    result: McpToolCallResult | None
    server: str
    startedAtMs: int | None
    status: McpToolCallStatus
    tool: str
    type: Literal["mcpToolCall"]

class ThreadItemDynamicToolCall(TypedDict):
    arguments: Any
    completedAtMs: int | None
    contentItems: list[DynamicToolCallOutputContentItem] | None
    durationMs: int | None
    id: ItemId
    namespace: str | None
    startedAtMs: int | None
    status: DynamicToolCallStatus
    success: bool | None
    tool: str
    type: Literal["dynamicToolCall"]

class ThreadItemCollabAgentToolCall(TypedDict):
    agentsStates: dict[str, CollabAgentState]
    completedAtMs: int | None
    id: ItemId
    model: str | None
    prompt: str | None
    reasoningEffort: str | None
    receiverThreadIds: list[ThreadId]
    senderThreadId: ThreadId
    startedAtMs: int | None
    status: CollabAgentToolCallStatus
    tool: CollabAgentTool
    type: Literal["collabAgentToolCall"]

class ThreadItemSubAgentActivity(TypedDict):
    agentPath: str
    agentThreadId: ThreadId
    completedAtMs: int | None
    id: ItemId
    kind: SubAgentActivityKind
    model: str | None
    reasoningEffort: str | None
    startedAtMs: int | None
    type: Literal["subAgentActivity"]

class ThreadItemWebSearch(TypedDict):
    action: NotRequired[WebSearchAction | None]
    completedAtMs: int | None
    id: ItemId
    query: str
    results: NotRequired[list[Any] | None]
    startedAtMs: int | None
    type: Literal["webSearch"]

class ThreadItemImageView(TypedDict):
    completedAtMs: int | None
    id: ItemId
    path: str
    startedAtMs: int | None
    type: Literal["imageView"]

class ThreadItemSleep(TypedDict):
    completedAtMs: int | None
    durationMs: int
    id: ItemId
    startedAtMs: int | None
    type: Literal["sleep"]

class ThreadItemFileId(TypedDict):
    completedAtMs: int | None
    failure: NotRequired[ImageGenerationFailure | None]
    fileId: str
    generationId: NotRequired[str | None]
    id: ItemId
    inputImages: NotRequired[list[ImageGenerationInputImage]]
    revisedPrompt: NotRequired[str | None]
    savedPath: NotRequired[str | None]
    startedAtMs: int | None
    status: str
    transparentBackground: NotRequired[bool | None]
    type: Literal["imageGeneration"]

class ThreadItem17(TypedDict):
    completedAtMs: int | None
    failure: NotRequired[ImageGenerationFailure | None]
    generationId: NotRequired[str | None]
    id: ItemId
    inputImages: NotRequired[list[ImageGenerationInputImage]]
    result: str
    revisedPrompt: NotRequired[str | None]
    savedPath: NotRequired[str | None]
    startedAtMs: int | None
    status: str
    transparentBackground: NotRequired[bool | None]
    type: Literal["imageGeneration"]

class ThreadItemEnteredReviewMode(TypedDict):
    completedAtMs: int | None
    id: ItemId
    review: str
    startedAtMs: int | None
    type: Literal["enteredReviewMode"]

class ThreadItemExitedReviewMode(TypedDict):
    completedAtMs: int | None
    id: ItemId
    review: str
    startedAtMs: int | None
    type: Literal["exitedReviewMode"]

class ThreadItemContextCompaction(TypedDict):
    completedAtMs: int | None
    id: ItemId
    startedAtMs: int | None
    type: Literal["contextCompaction"]

class ThreadItemEntry(TypedDict):
    """An item with its turn."""

    completedAtMs: int | None
    item: ThreadItem
    outputDeferred: NotRequired[bool]
    startedAtMs: int | None
    turnId: TurnId

class ThreadItemOutputDeferral(TypedDict):
    """Outputs that the client fetches one by one."""

    commandExecution: NotRequired[bool]
    mcpToolCall: NotRequired[bool]

class ThreadItemsListAnchorItem(TypedDict):
    itemId: ItemId
    type: Literal["item"]

class ThreadItemsListParams(TypedDict):
    """Params of `thread/items/list`."""

    cursor: NotRequired[ThreadItemsListCursor | None]
    deferOutput: NotRequired[ThreadItemOutputDeferral | None]
    limit: NotRequired[int | None]
    sortDirection: NotRequired[SortDirection | None]
    threadId: ThreadId
    turnId: NotRequired[TurnId | None]

class ThreadItemsListResponse(TypedDict):
    """Response of `thread/items/list`."""

    backwardsCursor: str | None
    data: list[ThreadItemEntry]
    nextCursor: str | None
    # The point in the history that this answer shows.
    skein: NotRequired[ThreadPicture | None]

class ThreadListParams(TypedDict):
    """Params of `thread/list`."""

    ancestorThreadId: NotRequired[ThreadId | None]
    archived: NotRequired[bool | None]
    attachedToThreadId: NotRequired[ThreadId | None]
    currentAccountOnly: NotRequired[bool]
    cursor: NotRequired[str | None]
    cwd: NotRequired[ThreadListCwdFilter | None]
    excludedThreadIds: NotRequired[list[ThreadId] | None]
    includeAttachedThreads: NotRequired[bool]
    limit: NotRequired[int | None]
    modelProviders: NotRequired[list[str] | None]
    originators: NotRequired[list[str] | None]
    parentThreadId: NotRequired[ThreadId | None]
    projectId: NotRequired[str | None]
    searchTerm: NotRequired[str | None]
    sectionId: NotRequired[str | None]
    # Filters beyond the protocol's own.
    skein: NotRequired[ListOptions | None]
    sortDirection: NotRequired[SortDirection | None]
    sortKey: NotRequired[ThreadSortKey | None]
    sourceKinds: NotRequired[list[ThreadSourceKind] | None]
    useStateDbOnly: NotRequired[bool]

class ThreadListResponse(TypedDict):
    """Response of `thread/list`."""

    backwardsCursor: str | None
    data: list[Thread]
    nextCursor: str | None
    readStates: dict[str, ThreadReadState] | None
    # The completeness of the list, while it is incomplete.
    skein: NotRequired[ListDetails | None]

class ThreadLoadedListParams(TypedDict):
    """Params of `thread/loaded/list`."""

    cursor: NotRequired[str | None]
    limit: NotRequired[int | None]

class ThreadLoadedListResponse(TypedDict):
    """Response of `thread/loaded/list`."""

    data: list[ThreadId]
    nextCursor: str | None
    # Details of the threads in `data`, in the same order.
    skein: NotRequired[LoadedDetails | None]

class ThreadMetadataGitInfoUpdateParams(TypedDict):
    """Changes of a thread's repository metadata: a missing member stays, null removes it."""

    branch: NotRequired[str | None]
    originUrl: NotRequired[str | None]
    sha: NotRequired[str | None]

class ThreadMetadataUpdateParams(TypedDict):
    """Params of `thread/metadata/update`."""

    daybreakEnabled: NotRequired[bool | None]
    gitInfo: NotRequired[ThreadMetadataGitInfoUpdateParams | None]
    projectId: NotRequired[str | None]
    threadId: ThreadId

class ThreadMetadataUpdateResponse(TypedDict):
    """Response of `thread/metadata/update`."""

    thread: Thread

class ThreadMoment(TypedDict):
    """The point in a thread's history that an answer shows, and the thread's budget."""

    # The limits that hold for the thread, with their use. Missing if none holds.
    budget: NotRequired[list[BudgetState]]
    # The version of the history.
    epoch: Epoch
    # The server that has the thread loaded, where several share a database.
    owner: NotRequired[ThreadOwner | None]
    # The last included number.
    seq: EventSeq

class ThreadNameUpdatedNotification(TypedDict):
    """Params of `thread/name/updated`."""

    # For clients that opted in to `skein/events`.
    skein: NotRequired[CatalogPlace | None]
    threadId: ThreadId
    threadName: NotRequired[str | None]

class ThreadOwner(TypedDict):
    """The server that has a thread."""

    # Its name (`--node-name`).
    node: str
    # The number of this ownership of the thread. Each later one has a greater number.
    term: int

class ThreadPicture(TypedDict):
    """The point in a thread's history that an answer shows."""

    # The version of the history.
    epoch: Epoch
    # The last included number.
    seq: EventSeq

class ThreadQueueAddParams(TypedDict):
    """Params of `thread/queue/add`."""

    clientUserMessageId: str
    input: list[UserInputParam]
    responsesapiClientMetadata: NotRequired[dict[str, str] | None]
    threadId: ThreadId

class ThreadQueueAddResponse(TypedDict):
    """Response of `thread/queue/add`."""

    queuedSubmission: QueuedSubmission

class ThreadQueueChangedNotification(TypedDict):
    """Params of `thread/queue/changed`."""

    threadId: ThreadId

class ThreadQueueDeleteParams(TypedDict):
    """Params of `thread/queue/delete`."""

    queuedSubmissionId: TurnId
    threadId: ThreadId

class ThreadQueueDeleteResponse(TypedDict):
    """Response of `thread/queue/delete`."""

    deleted: bool

class ThreadQueueListParams(TypedDict):
    """Params of `thread/queue/list`."""

    cursor: NotRequired[str | None]
    limit: NotRequired[int | None]
    threadId: ThreadId

class ThreadQueueListResponse(TypedDict):
    """Response of `thread/queue/list`."""

    data: list[QueuedSubmission]
    nextCursor: str | None

class ThreadQueueReorderParams(TypedDict):
    """Params of `thread/queue/reorder`."""

    queuedSubmissionIds: list[TurnId]
    threadId: ThreadId

class ThreadQueueStartParams(TypedDict):
    """Params of `thread/queue/start`."""

    queuedSubmissionId: NotRequired[TurnId | None]
    threadId: ThreadId

class ThreadQueueStartResponse(TypedDict):
    """Response of `thread/queue/start`."""

    turn: Turn

class ThreadQueueUpdateParams(TypedDict):
    """Params of `thread/queue/update`."""

    input: list[UserInputParam]
    queuedSubmissionId: TurnId
    responsesapiClientMetadata: NotRequired[dict[str, str] | None]
    threadId: ThreadId

class ThreadQueueUpdateResponse(TypedDict):
    """Response of `thread/queue/update`."""

    queuedSubmission: QueuedSubmission

class ThreadReadParams(TypedDict):
    """Params of `thread/read`."""

    includeTurns: NotRequired[bool]
    threadId: ThreadId

class ThreadReadResponse(TypedDict):
    """Response of `thread/read`."""

    readState: ThreadReadState | None
    # The point in the history that this answer shows.
    skein: NotRequired[ThreadMoment | None]
    thread: Thread

class ThreadReadState(TypedDict):
    """The user's read position in a thread."""

    firstUnread: ThreadUnreadPosition | None
    revision: str

class ThreadReadStateChangedNotification(TypedDict):
    """Params of `thread/readState/changed`."""

    readState: ThreadReadState
    # For clients that opted in to `skein/events`.
    skein: NotRequired[CatalogPlace | None]
    threadId: ThreadId

class ThreadReadStateOperationRead(TypedDict):
    type: Literal["read"]

class ThreadReadStateOperationUnread(TypedDict):
    type: Literal["unread"]

class ThreadReadStateUpdateParams(TypedDict):
    """Params of `thread/readState/update`."""

    expectedRevision: str
    operation: ThreadReadStateOperation
    threadId: ThreadId

class ThreadReadStateUpdateResponse(TypedDict):
    """Response of `thread/readState/update`."""

    readState: ThreadReadState

class ThreadResumeInitialTurnsPageParams(TypedDict):
    """The page of turns that comes with a resume."""

    itemsView: NotRequired[TurnItemsView | None]
    limit: NotRequired[int | None]
    sortDirection: NotRequired[SortDirection | None]

class ThreadResumeParams(TypedDict):
    """Params of `thread/resume`."""

    approvalPolicy: NotRequired[AskForApproval | None]
    approvalsReviewer: NotRequired[ApprovalsReviewer | None]
    baseInstructions: NotRequired[str | None]
    config: NotRequired[dict[str, Any] | None]
    cwd: NotRequired[str | None]
    developerInstructions: NotRequired[str | None]
    excludeTurns: NotRequired[bool]
    history: NotRequired[list[ResponseItem] | None]
    initialTurnsPage: NotRequired[ThreadResumeInitialTurnsPageParams | None]
    model: NotRequired[str | None]
    modelProvider: NotRequired[str | None]
    path: NotRequired[str | None]
    permissions: NotRequired[str | None]
    personality: NotRequired[Personality | None]
    runtimeWorkspaceRoots: NotRequired[list[str] | None]
    sandbox: NotRequired[SandboxMode | None]
    serviceTier: NotRequired[str | None]
    # Options for clients that know Skein.
    skein: NotRequired[ResumeOptions | None]
    threadId: ThreadId

class ThreadResumeResponse(TypedDict):
    """Response of `thread/resume`."""

    activePermissionProfile: ActivePermissionProfile | None
    approvalPolicy: AskForApproval
    approvalsReviewer: ApprovalsReviewer
    collaborationMode: CollaborationMode | None
    cwd: str
    disabledPluginIds: list[str]
    initialTurnsPage: TurnsPage | None
    instructionSources: list[str]
    itemsBackwardsCursor: str | None
    model: str
    modelProvider: str
    multiAgentMode: MultiAgentMode
    reasoningEffort: str | None
    runtimeWorkspaceRoots: list[str]
    sandbox: SandboxPolicy
    serviceTier: str | None
    # The point in the history that this answer shows.
    skein: NotRequired[ResumePicture | None]
    thread: Thread
    turnsBackwardsCursor: str | None

class ThreadRevertParams(TypedDict):
    """Params of `thread/revert`."""

    beforeTurnId: TurnId
    threadId: ThreadId

class ThreadRevertResponse(TypedDict):
    """Response of `thread/revert` and `thread/rollback`. The remaining turns are read in pages from these cursors."""

    itemsBackwardsCursor: str | None
    # The point in the history that this answer shows.
    skein: NotRequired[ThreadPicture | None]
    thread: Thread
    turnsBackwardsCursor: str | None

class ThreadRevertedNotification(TypedDict):
    """Params of `thread/reverted`."""

    # The removed part of the history.
    skein: NotRequired[RevertedFrom | None]
    threadId: ThreadId

class ThreadRollbackParams(TypedDict):
    """Params of `thread/rollback`, which earlier versions of Codex had."""

    # The number of newest turns to remove, at least 1. A larger number removes all.
    numTurns: int
    threadId: ThreadId

class ThreadSearchOccurrence(TypedDict):
    """A hit in a message."""

    itemId: ItemId
    # The text around the hit.
    snippet: str
    # The hit's place in the snippet.
    snippetMatchRange: ThreadSearchTextRange
    # A cursor of `thread/turns/list` for a page that begins with the hit's turn, in either direction.
    turnCursor: str
    turnId: TurnId

class ThreadSearchOccurrencesParams(TypedDict):
    """Params of `thread/searchOccurrences`."""

    cursor: NotRequired[str | None]
    limit: NotRequired[int | None]
    # As in `thread/search`.
    searchTerm: str
    threadId: ThreadId

class ThreadSearchOccurrencesResponse(TypedDict):
    """Response of `thread/searchOccurrences`: hits in messages, oldest message first, each hit once. As in `thread/search`,
    only a page without a `nextCursor` is the last.
    """

    data: list[ThreadSearchOccurrence]
    nextCursor: str | None

class ThreadSearchParams(TypedDict):
    """Params of `thread/search`."""

    # Archived threads only if true; the others if not.
    archived: NotRequired[bool | None]
    currentAccountOnly: NotRequired[bool]
    cursor: NotRequired[str | None]
    includeAttachedThreads: NotRequired[bool]
    limit: NotRequired[int | None]
    # The literal text to find: case is ignored, spaces count, there are no wildcards.
    searchTerm: str
    sortDirection: NotRequired[SortDirection | None]
    sortKey: NotRequired[ThreadSearchSortKey | None]
    sourceKinds: NotRequired[list[ThreadSourceKind] | None]

class ThreadSearchResponse(TypedDict):
    """Response of `thread/search`. A page takes a bounded time, so it can be short, or empty, with a `nextCursor`: only
    a page without one is the last.
    """

    backwardsCursor: str | None
    data: list[ThreadSearchResult]
    nextCursor: str | None
    # The limits of the search.
    skein: NotRequired[SearchDetails | None]

class ThreadSearchResult(TypedDict):
    """A thread that was found."""

    # The text around the first hit: in the name, or else in the oldest message with a hit.
    snippet: str
    thread: Thread

class ThreadSearchTextRange(TypedDict):
    """A part of a text in UTF-16 code units, as browser scripts count: from `start` to `end`, which is excluded."""

    end: int
    start: int

class ThreadSection(TypedDict):
    """The user's section of the list for a thread."""

    appearance: ThreadSectionAppearance | None
    id: str
    name: str

class ThreadSectionAppearance(TypedDict):
    """The look of a section."""

    color: str | None
    icon: str | None

class ThreadSetNameParams(TypedDict):
    """Params of `thread/name/set`."""

    name: str
    threadId: ThreadId

class ThreadSettings(TypedDict):
    """The settings of a thread."""

    activePermissionProfile: ActivePermissionProfile | None
    approvalPolicy: AskForApproval
    approvalsReviewer: ApprovalsReviewer
    collaborationMode: CollaborationMode
    cwd: str
    disabledPluginIds: list[str]
    effort: str | None
    environments: list[ThreadEnvironment] | None
    model: str
    modelProvider: str
    multiAgentMode: MultiAgentMode
    personality: Personality | None
    sandboxPolicy: SandboxPolicy
    serviceTier: str | None
    summary: ReasoningSummary | None

class ThreadSettingsUpdateParams(TypedDict):
    """Params of `thread/settings/update`."""

    approvalPolicy: NotRequired[AskForApproval | None]
    approvalsReviewer: NotRequired[ApprovalsReviewer | None]
    collaborationMode: NotRequired[CollaborationModeParam | None]
    cwd: NotRequired[str | None]
    disabledPluginIds: NotRequired[list[str] | None]
    effort: NotRequired[str | None]
    environments: NotRequired[list[TurnEnvironmentParams] | None]
    model: NotRequired[str | None]
    multiAgentMode: NotRequired[MultiAgentMode | None]
    permissions: NotRequired[str | None]
    personality: NotRequired[Personality | None]
    sandboxPolicy: NotRequired[SandboxPolicyParam | None]
    serviceTier: NotRequired[str | None]
    summary: NotRequired[ReasoningSummary | None]
    threadId: ThreadId

class ThreadSettingsUpdatedNotification(TypedDict):
    """Params of `thread/settings/updated`."""

    threadId: ThreadId
    threadSettings: ThreadSettings

class ThreadStartParams(TypedDict):
    """Params of `thread/start`."""

    allowProviderModelFallback: NotRequired[bool]
    approvalPolicy: NotRequired[AskForApproval | None]
    approvalsReviewer: NotRequired[ApprovalsReviewer | None]
    baseInstructions: NotRequired[str | None]
    config: NotRequired[dict[str, Any] | None]
    cwd: NotRequired[str | None]
    daybreakEnabled: NotRequired[bool | None]
    developerInstructions: NotRequired[str | None]
    dynamicTools: NotRequired[list[DynamicToolSpec] | None]
    environments: NotRequired[list[TurnEnvironmentParams] | None]
    ephemeral: NotRequired[bool | None]
    experimentalRawEvents: NotRequired[bool]
    historyMode: NotRequired[ThreadHistoryMode | None]
    mockExperimentalField: NotRequired[str | None]
    model: NotRequired[str | None]
    modelProvider: NotRequired[str | None]
    multiAgentMode: NotRequired[MultiAgentMode | None]
    permissions: NotRequired[str | None]
    personality: NotRequired[Personality | None]
    projectId: NotRequired[str | None]
    runtimeWorkspaceRoots: NotRequired[list[str] | None]
    sandbox: NotRequired[SandboxMode | None]
    selectedCapabilityRoots: NotRequired[list[SelectedCapabilityRoot] | None]
    serviceName: NotRequired[str | None]
    serviceTier: NotRequired[str | None]
    sessionStartSource: NotRequired[ThreadStartSource | None]
    # Options for clients that know Skein.
    skein: NotRequired[StartOptions | None]
    threadSource: NotRequired[str | None]

class ThreadStartResponse(TypedDict):
    """Response of `thread/start`."""

    activePermissionProfile: ActivePermissionProfile | None
    approvalPolicy: AskForApproval
    approvalsReviewer: ApprovalsReviewer
    cwd: str
    disabledPluginIds: list[str]
    instructionSources: list[str]
    model: str
    modelProvider: str
    multiAgentMode: MultiAgentMode
    reasoningEffort: str | None
    runtimeWorkspaceRoots: list[str]
    sandbox: SandboxPolicy
    serviceTier: str | None
    # The point in the history that this answer shows.
    skein: NotRequired[ThreadMoment | None]
    thread: Thread

class ThreadStartedNotification(TypedDict):
    """Params of `thread/started`."""

    # For clients that opted in to `skein/events`.
    skein: NotRequired[CatalogPlace | None]
    thread: Thread

class ThreadStatusNotLoaded(TypedDict):
    type: Literal["notLoaded"]

class ThreadStatusIdle(TypedDict):
    type: Literal["idle"]

class ThreadStatusSystemError(TypedDict):
    type: Literal["systemError"]

class ThreadStatusActive(TypedDict):
    activeFlags: list[ThreadActiveFlag]
    type: Literal["active"]

class ThreadStatusChangedNotification(TypedDict):
    """Params of `thread/status/changed`."""

    # For clients that opted in to `skein/events`.
    skein: NotRequired[CatalogPlace | None]
    status: ThreadStatus
    threadId: ThreadId

class ThreadTokenUsage(TypedDict):
    """The tokens that a thread has used."""

    last: TokenUsageBreakdown
    modelContextWindow: int | None
    total: TokenUsageBreakdown

class ThreadTokenUsageUpdatedNotification(TypedDict):
    """Params of `thread/tokenUsage/updated`."""

    # The limits that hold for the thread, with their use.
    skein: NotRequired[BudgetDetails | None]
    threadId: ThreadId
    tokenUsage: ThreadTokenUsage
    turnId: TurnId

class ThreadTurnsListParams(TypedDict):
    """Params of `thread/turns/list`."""

    cursor: NotRequired[str | None]
    itemsView: NotRequired[TurnItemsView | None]
    limit: NotRequired[int | None]
    sortDirection: NotRequired[SortDirection | None]
    threadId: ThreadId

class ThreadTurnsListResponse(TypedDict):
    """Response of `thread/turns/list`."""

    backwardsCursor: str | None
    data: list[Turn]
    nextCursor: str | None
    # The point in the history that this answer shows.
    skein: NotRequired[ThreadPicture | None]

class ThreadUnarchiveParams(TypedDict):
    """Params of `thread/unarchive`."""

    threadId: ThreadId

class ThreadUnarchiveResponse(TypedDict):
    """Response of `thread/unarchive`."""

    thread: Thread

class ThreadUnarchivedNotification(TypedDict):
    """Params of `thread/unarchived`."""

    # For clients that opted in to `skein/events`.
    skein: NotRequired[CatalogPlace | None]
    threadId: ThreadId

class ThreadUnreadPositionThreadStart(TypedDict):
    type: Literal["threadStart"]

class ThreadUnreadPositionTurn(TypedDict):
    turnId: TurnId
    type: Literal["turn"]

class ThreadUnsubscribeParams(TypedDict):
    """Params of `thread/unsubscribe`."""

    threadId: ThreadId

class ThreadUnsubscribeResponse(TypedDict):
    """Response of `thread/unsubscribe`."""

    status: ThreadUnsubscribeStatus

class ThreadUsage(TypedDict):
    """The cost of one thread."""

    estimatedUsageCreditsMicros: int
    estimatedUsageUsdMicros: int | None
    groups: list[ThreadUsageBreakdownGroup]
    nativeUsageUsdMicros: int | None
    threadId: ThreadId

class ThreadUsageBreakdownGroup(TypedDict):
    """The cost of one model in it."""

    cachedInputTokens: int | None
    estimatedUsageCreditsMicros: int
    inputTokens: int | None
    model: str | None
    netNewInputTokens: int | None
    outputTokens: int | None
    reasoningEffort: str | None
    speed: str | None
    totalTokens: int | None

class TokenUsageBreakdown(TypedDict):
    """A count of tokens by kind."""

    cacheWriteInputTokens: int
    cachedInputTokens: int
    inputTokens: int
    outputTokens: int
    reasoningOutputTokens: int
    totalTokens: int

class Tool(TypedDict):
    """A tool that a helper offers."""

    _meta: NotRequired[Any]
    annotations: NotRequired[Any]
    description: NotRequired[str | None]
    icons: NotRequired[list[Any] | None]
    inputSchema: Any
    name: str
    outputSchema: NotRequired[Any]
    title: NotRequired[str | None]

class ToolRequestUserInputAnswer(TypedDict):
    """The user's answers to one question."""

    answers: list[str]

class ToolRequestUserInputOption(TypedDict):
    """An answer that the user can choose."""

    description: str
    label: str

class ToolRequestUserInputParams(TypedDict):
    """Params of `item/tool/requestUserInput`."""

    autoResolutionMs: int | None
    isBlocking: bool
    itemId: ItemId
    questions: list[ToolRequestUserInputQuestion]
    threadId: ThreadId
    turnId: TurnId

class ToolRequestUserInputQuestion(TypedDict):
    """A question to the user."""

    header: str
    id: str
    isOther: bool
    isSecret: bool
    options: list[ToolRequestUserInputOption] | None
    question: str

class ToolRequestUserInputResponse(TypedDict):
    """The answer to `item/tool/requestUserInput`: an answer for each question, by its id."""

    answers: dict[str, ToolRequestUserInputAnswer]

class Turn(TypedDict):
    """One user input and everything that follows until the agent is done."""

    completedAt: int | None
    durationMs: int | None
    error: TurnError | None
    id: TurnId
    items: list[ThreadItem]
    itemsView: TurnItemsView
    rootTurnId: TurnId | None
    startedAt: int | None
    status: TurnStatus

class TurnCompletedNotification(TypedDict):
    """Params of `turn/completed`."""

    # Whether the turn is saved; left out if it is.
    skein: NotRequired[TurnSaved | None]
    threadId: ThreadId
    turn: Turn

class TurnCounts(TypedDict):
    """Turns."""

    # Ended turns, in any way.
    completedTotal: int
    # Running turns.
    running: int
    # Started turns.
    startedTotal: int

class TurnDetails(TypedDict):
    """Where a turn runs."""

    # The server that has the thread.
    owner: ThreadOwner

class TurnEnvironmentParams(TypedDict):
    """An environment that turns run in, as the client asks for it."""

    cwd: str
    environmentId: str
    runtimeWorkspaceRoots: NotRequired[list[str] | None]

class TurnError(TypedDict):
    """The error of a turn."""

    additionalDetails: str | None
    codexErrorInfo: CodexErrorInfo | None
    message: str
    misalignment: MisalignmentErrorDetails | None

class TurnInterruptParams(TypedDict):
    """Params of `turn/interrupt`."""

    threadId: ThreadId
    turnId: TurnId

class TurnSaved(TypedDict):
    """Whether a turn is saved."""

    # False if the history could not be written: the turn is lost when the server ends now.
    saved: bool

class TurnStartParams(TypedDict):
    """Params of `turn/start`."""

    additionalContext: NotRequired[dict[str, AdditionalContextEntry] | None]
    approvalPolicy: NotRequired[AskForApproval | None]
    approvalsReviewer: NotRequired[ApprovalsReviewer | None]
    clientUserMessageId: NotRequired[str | None]
    collaborationMode: NotRequired[CollaborationModeParam | None]
    cwd: NotRequired[str | None]
    cyberAccessProgram: NotRequired[CyberAccessProgram | None]
    disabledPluginIds: NotRequired[list[str] | None]
    effort: NotRequired[str | None]
    environments: NotRequired[list[TurnEnvironmentParams] | None]
    input: list[UserInputParam]
    model: NotRequired[str | None]
    multiAgentMode: NotRequired[MultiAgentMode | None]
    outputSchema: NotRequired[Any]
    parentTurnId: NotRequired[TurnId | None]
    permissions: NotRequired[str | None]
    personality: NotRequired[Personality | None]
    responsesapiClientMetadata: NotRequired[dict[str, str] | None]
    responsesapiClientMetadataPatch: NotRequired[dict[str, str] | None]
    rootTurnId: NotRequired[TurnId | None]
    runtimeWorkspaceRoots: NotRequired[list[str] | None]
    sandboxPolicy: NotRequired[SandboxPolicyParam | None]
    serviceTier: NotRequired[str | None]
    serviceTierForTurn: NotRequired[str | None]
    summary: NotRequired[ReasoningSummary | None]
    threadId: ThreadId
    toolOutput: NotRequired[TurnToolOutput | None]
    turnTrigger: NotRequired[str | None]

class TurnStartResponse(TypedDict):
    """Response of `turn/start`."""

    # Skein's extension: where several servers share a database.
    skein: NotRequired[TurnDetails | None]
    turn: Turn

class TurnStartedNotification(TypedDict):
    """Params of `turn/started`."""

    threadId: ThreadId
    turn: Turn

class TurnSteerParams(TypedDict):
    """Params of `turn/steer`."""

    additionalContext: NotRequired[dict[str, AdditionalContextEntry] | None]
    clientUserMessageId: NotRequired[str | None]
    expectedTurnId: TurnId
    input: list[UserInputParam]
    responsesapiClientMetadata: NotRequired[dict[str, str] | None]
    responsesapiClientMetadataPatch: NotRequired[dict[str, str] | None]
    threadId: ThreadId

class TurnSteerResponse(TypedDict):
    """Response of `turn/steer`."""

    turnId: TurnId

class TurnToolOutput(TypedDict):
    """The output of a client-side tool that begins a turn."""

    name: str
    namespace: NotRequired[str | None]
    output: FunctionCallOutputBody
    retain: NotRequired[bool]

class TurnsPage(TypedDict):
    """A page of turns."""

    backwardsCursor: str | None
    data: list[Turn]
    nextCursor: str | None

class UnloadCounts(TypedDict):
    """Threads that left memory."""

    # Milliseconds of the last unload; absent before the first.
    lastMs: NotRequired[int | None]
    # Milliseconds of the longest unload; absent before the first.
    maxMs: NotRequired[int | None]
    # Finished unloads.
    total: int

class UserInputText(TypedDict):
    text: str
    text_elements: list[TextElement]
    type: Literal["text"]

class UserInputImageUrl(TypedDict):
    detail: NotRequired[ImageDetail | None]
    type: Literal["image"]
    url: str

class UserInputImageFileId(TypedDict):
    detail: NotRequired[ImageDetail | None]
    fileId: str
    type: Literal["image"]

class UserInputLocalImage(TypedDict):
    detail: NotRequired[ImageDetail | None]
    path: str
    type: Literal["localImage"]

class UserInputAudioUrl(TypedDict):
    type: Literal["audio"]
    url: str

class UserInputAudioFileId(TypedDict):
    fileId: str
    type: Literal["audio"]

class UserInputLocalAudio(TypedDict):
    path: str
    type: Literal["localAudio"]

class UserInputSkill(TypedDict):
    name: str
    path: str
    type: Literal["skill"]

class UserInputMention(TypedDict):
    name: str
    path: str
    type: Literal["mention"]

class UserInputParamText(TypedDict):
    text: str
    text_elements: NotRequired[list[TextElementParam]]
    type: Literal["text"]

class UserInputParamImageUrl(TypedDict):
    detail: NotRequired[ImageDetail | None]
    type: Literal["image"]
    url: str

class UserInputParamImageFileId(TypedDict):
    detail: NotRequired[ImageDetail | None]
    fileId: str
    type: Literal["image"]

class UserInputParamLocalImage(TypedDict):
    detail: NotRequired[ImageDetail | None]
    path: str
    type: Literal["localImage"]

class UserInputParamAudioUrl(TypedDict):
    type: Literal["audio"]
    url: str

class UserInputParamAudioFileId(TypedDict):
    fileId: str
    type: Literal["audio"]

class UserInputParamLocalAudio(TypedDict):
    path: str
    type: Literal["localAudio"]

class UserInputParamSkill(TypedDict):
    name: str
    path: str
    type: Literal["skill"]

class UserInputParamMention(TypedDict):
    name: str
    path: str
    type: Literal["mention"]

class UserMessageItem(TypedDict):
    """A message of the user."""

    clientId: str | None
    content: list[UserInput]
    id: ItemId

class WaitingDetails(TypedDict):
    """The questions of a thread that wait for an answer."""

    # When the first of them needs no answer any more, in Unix milliseconds; missing if never.
    expiresAt: NotRequired[int | None]
    # Their subjects, each once.
    kinds: list[QuestionKind]
    # When the oldest of them was asked, in Unix milliseconds.
    oldestAt: int
    # Their number.
    questions: int

class WarningNotification(TypedDict):
    """Params of `warning`."""

    message: str
    threadId: ThreadId | None

class WebSearchActionSearch(TypedDict):
    queries: list[str] | None
    query: str | None
    type: Literal["search"]

class WebSearchActionOpenPage(TypedDict):
    type: Literal["openPage"]
    url: str | None

class WebSearchActionFindInPage(TypedDict):
    pattern: str | None
    type: Literal["findInPage"]
    url: str | None

class WebSearchActionOther(TypedDict):
    type: Literal["other"]

class WebSearchItem(TypedDict):
    """A web search."""

    action: NotRequired[WebSearchAction | None]
    id: ItemId
    query: str
    results: NotRequired[list[Any] | None]

class WireError(TypedDict):
    """The `error` member of an answer."""

    # One of the codes of this module; other peers may send others.
    code: int
    # The same for programs. This server always sends it; data of another shape is read as none.
    data: NotRequired[ErrorData | None]
    # A sentence that names its subject. Clients of the peer compare it: an error that the peer has, too, has the
    # peer's sentence, word for word.
    message: str

class WorkspaceRouting(TypedDict):
    """The routing of an account's requests."""

    accountRoutingOverride: AccountRoutingOverride
    backendOrigin: str
    chatgptAccountId: str

class ZeroCounts(TypedDict):
    """How long helpers took from the order to stop until no process was left."""

    # Milliseconds of the last stop; absent before the first.
    lastMs: NotRequired[int | None]
    # Milliseconds of the longest stop; absent before the first.
    maxMs: NotRequired[int | None]
    # Helpers that stopped on request; those that ended on their own do not count.
    total: int

class ThreadStartedMessage(TypedDict):
    """A thread was created."""

    method: Literal["thread/started"]
    params: ThreadStartedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadStatusChangedMessage(TypedDict):
    """A thread became active or idle, or waits for the user."""

    method: Literal["thread/status/changed"]
    params: ThreadStatusChangedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadClosedMessage(TypedDict):
    """A thread was unloaded; all its helpers have stopped."""

    method: Literal["thread/closed"]
    params: ThreadClosedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadArchivedMessage(TypedDict):
    """A thread was archived: it is unloaded, without subscribers, and only in the archived list."""

    method: Literal["thread/archived"]
    params: ThreadArchivedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadUnarchivedMessage(TypedDict):
    """An archived thread is back in the ordinary list."""

    method: Literal["thread/unarchived"]
    params: ThreadUnarchivedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadDeletedMessage(TypedDict):
    """A thread was deleted: it is in no list, and cannot be read or resumed."""

    method: Literal["thread/deleted"]
    params: ThreadDeletedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadNameUpdatedMessage(TypedDict):
    """A thread has a new name."""

    method: Literal["thread/name/updated"]
    params: ThreadNameUpdatedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadReadStateChangedMessage(TypedDict):
    """The read state of a thread changed: the user has read it or marked it as unread, or an unread turn has ended."""

    method: Literal["thread/readState/changed"]
    params: ThreadReadStateChangedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadSettingsUpdatedMessage(TypedDict):
    """The settings of a thread changed."""

    method: Literal["thread/settings/updated"]
    params: ThreadSettingsUpdatedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadGoalUpdatedMessage(TypedDict):
    """A thread's goal was set or changed; also sent at the end of each turn."""

    method: Literal["thread/goal/updated"]
    params: ThreadGoalUpdatedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadGoalClearedMessage(TypedDict):
    """A thread's goal was removed."""

    method: Literal["thread/goal/cleared"]
    params: ThreadGoalClearedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadQueueChangedMessage(TypedDict):
    """A thread's queue has changed: `thread/queue/list` has it."""

    method: Literal["thread/queue/changed"]
    params: ThreadQueueChangedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadRevertedMessage(TypedDict):
    """Turns were removed from the history: read it again, or drop the turns that `skein` names."""

    method: Literal["thread/reverted"]
    params: ThreadRevertedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class TurnStartedMessage(TypedDict):
    """A turn began."""

    method: Literal["turn/started"]
    params: TurnStartedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class TurnCompletedMessage(TypedDict):
    """A turn ended: completed, interrupted or failed."""

    method: Literal["turn/completed"]
    params: TurnCompletedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ItemStartedMessage(TypedDict):
    """An item began."""

    method: Literal["item/started"]
    params: ItemStartedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ItemCompletedMessage(TypedDict):
    """An item is complete; it replaces the text of its deltas."""

    method: Literal["item/completed"]
    params: ItemCompletedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ItemAgentMessageDeltaMessage(TypedDict):
    """More text of an agent's message."""

    method: Literal["item/agentMessage/delta"]
    params: AgentMessageDeltaNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ItemReasoningSummaryTextDeltaMessage(TypedDict):
    """More text of a summary of the model's reasoning."""

    method: Literal["item/reasoning/summaryTextDelta"]
    params: ReasoningSummaryTextDeltaNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ItemReasoningSummaryPartAddedMessage(TypedDict):
    """A new part of a summary of the model's reasoning begins."""

    method: Literal["item/reasoning/summaryPartAdded"]
    params: ReasoningSummaryPartAddedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ItemReasoningTextDeltaMessage(TypedDict):
    """More text of the model's reasoning."""

    method: Literal["item/reasoning/textDelta"]
    params: ReasoningTextDeltaNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ItemPlanDeltaMessage(TypedDict):
    """More text of a plan."""

    method: Literal["item/plan/delta"]
    params: PlanDeltaNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ItemMcpToolCallProgressMessage(TypedDict):
    """A progress message of a running tool."""

    method: Literal["item/mcpToolCall/progress"]
    params: McpToolCallProgressNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ThreadTokenUsageUpdatedMessage(TypedDict):
    """The tokens used by a thread."""

    method: Literal["thread/tokenUsage/updated"]
    params: ThreadTokenUsageUpdatedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class McpServerStartupStatusUpdatedMessage(TypedDict):
    """The start-up state of a helper: progress, failure or end with the reason, a stall, or its end."""

    method: Literal["mcpServer/startupStatus/updated"]
    params: McpServerStatusUpdatedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ServerRequestResolvedMessage(TypedDict):
    """A request of the server needs no answer any more."""

    method: Literal["serverRequest/resolved"]
    params: ServerRequestResolvedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ErrorMessage(TypedDict):
    """An error in a turn, which may be retried."""

    method: Literal["error"]
    params: ErrorNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class WarningMessage(TypedDict):
    """A warning about a thread."""

    method: Literal["warning"]
    params: WarningNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class ConfigWarningMessage(TypedDict):
    """A warning about the settings."""

    method: Literal["configWarning"]
    params: ConfigWarningNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class SkeinHeartbeatMessage(TypedDict):
    """A sign of life. Each connection that opted in to `skein/events` receives it every `heartbeatMs` of the
    response of `initialize`.
    """

    method: Literal["skein/heartbeat"]
    params: SkeinHeartbeatNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class SkeinStoppingMessage(TypedDict):
    """The server is about to stop, and closes the connection with 1001 soon. Each connection that opted in to `skein/events`
    receives it, with a pause of its own, so that not all of them come back at once.
    """

    method: Literal["skein/stopping"]
    params: SkeinStoppingNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class SkeinRepairUpdatedMessage(TypedDict):
    """Progress of the repair after an unclean end of the server: at its beginning, now and then, at its end, and to
    each connection that arrives meanwhile. Not sent if nothing needs repair.
    """

    method: Literal["skein/repair/updated"]
    params: SkeinRepairUpdatedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class SkeinQuestionsChangedMessage(TypedDict):
    """The questions that wait in a thread on disk have changed. Each connection that opted in to `skein/events` receives it,
    with a number of the catalog.
    """

    method: Literal["skein/questions/changed"]
    params: SkeinQuestionsChangedNotification
    # Unix milliseconds.
    emittedAtMs: int
    seq: NotRequired[int]
    epoch: NotRequired[int]

class On(Protocol):
    """Calls a listener for each notification of a method; the result ends that."""

    # A thread was created.
    @overload
    def __call__(self, method: Literal["thread/started"], listener: Callable[[ThreadStartedMessage], object], /) -> Callable[[], None]: ...
    # A thread became active or idle, or waits for the user.
    @overload
    def __call__(self, method: Literal["thread/status/changed"], listener: Callable[[ThreadStatusChangedMessage], object], /) -> Callable[[], None]: ...
    # A thread was unloaded; all its helpers have stopped.
    @overload
    def __call__(self, method: Literal["thread/closed"], listener: Callable[[ThreadClosedMessage], object], /) -> Callable[[], None]: ...
    # A thread was archived: it is unloaded, without subscribers, and only in the archived list.
    @overload
    def __call__(self, method: Literal["thread/archived"], listener: Callable[[ThreadArchivedMessage], object], /) -> Callable[[], None]: ...
    # An archived thread is back in the ordinary list.
    @overload
    def __call__(self, method: Literal["thread/unarchived"], listener: Callable[[ThreadUnarchivedMessage], object], /) -> Callable[[], None]: ...
    # A thread was deleted: it is in no list, and cannot be read or resumed.
    @overload
    def __call__(self, method: Literal["thread/deleted"], listener: Callable[[ThreadDeletedMessage], object], /) -> Callable[[], None]: ...
    # A thread has a new name.
    @overload
    def __call__(self, method: Literal["thread/name/updated"], listener: Callable[[ThreadNameUpdatedMessage], object], /) -> Callable[[], None]: ...
    # The read state of a thread changed: the user has read it or marked it as unread, or an unread turn has ended.
    @overload
    def __call__(self, method: Literal["thread/readState/changed"], listener: Callable[[ThreadReadStateChangedMessage], object], /) -> Callable[[], None]: ...
    # The settings of a thread changed.
    @overload
    def __call__(self, method: Literal["thread/settings/updated"], listener: Callable[[ThreadSettingsUpdatedMessage], object], /) -> Callable[[], None]: ...
    # A thread's goal was set or changed; also sent at the end of each turn.
    @overload
    def __call__(self, method: Literal["thread/goal/updated"], listener: Callable[[ThreadGoalUpdatedMessage], object], /) -> Callable[[], None]: ...
    # A thread's goal was removed.
    @overload
    def __call__(self, method: Literal["thread/goal/cleared"], listener: Callable[[ThreadGoalClearedMessage], object], /) -> Callable[[], None]: ...
    # A thread's queue has changed: `thread/queue/list` has it.
    @overload
    def __call__(self, method: Literal["thread/queue/changed"], listener: Callable[[ThreadQueueChangedMessage], object], /) -> Callable[[], None]: ...
    # Turns were removed from the history: read it again, or drop the turns that `skein` names.
    @overload
    def __call__(self, method: Literal["thread/reverted"], listener: Callable[[ThreadRevertedMessage], object], /) -> Callable[[], None]: ...
    # A turn began.
    @overload
    def __call__(self, method: Literal["turn/started"], listener: Callable[[TurnStartedMessage], object], /) -> Callable[[], None]: ...
    # A turn ended: completed, interrupted or failed.
    @overload
    def __call__(self, method: Literal["turn/completed"], listener: Callable[[TurnCompletedMessage], object], /) -> Callable[[], None]: ...
    # An item began.
    @overload
    def __call__(self, method: Literal["item/started"], listener: Callable[[ItemStartedMessage], object], /) -> Callable[[], None]: ...
    # An item is complete; it replaces the text of its deltas.
    @overload
    def __call__(self, method: Literal["item/completed"], listener: Callable[[ItemCompletedMessage], object], /) -> Callable[[], None]: ...
    # More text of an agent's message.
    @overload
    def __call__(self, method: Literal["item/agentMessage/delta"], listener: Callable[[ItemAgentMessageDeltaMessage], object], /) -> Callable[[], None]: ...
    # More text of a summary of the model's reasoning.
    @overload
    def __call__(self, method: Literal["item/reasoning/summaryTextDelta"], listener: Callable[[ItemReasoningSummaryTextDeltaMessage], object], /) -> Callable[[], None]: ...
    # A new part of a summary of the model's reasoning begins.
    @overload
    def __call__(self, method: Literal["item/reasoning/summaryPartAdded"], listener: Callable[[ItemReasoningSummaryPartAddedMessage], object], /) -> Callable[[], None]: ...
    # More text of the model's reasoning.
    @overload
    def __call__(self, method: Literal["item/reasoning/textDelta"], listener: Callable[[ItemReasoningTextDeltaMessage], object], /) -> Callable[[], None]: ...
    # More text of a plan.
    @overload
    def __call__(self, method: Literal["item/plan/delta"], listener: Callable[[ItemPlanDeltaMessage], object], /) -> Callable[[], None]: ...
    # A progress message of a running tool.
    @overload
    def __call__(self, method: Literal["item/mcpToolCall/progress"], listener: Callable[[ItemMcpToolCallProgressMessage], object], /) -> Callable[[], None]: ...
    # The tokens used by a thread.
    @overload
    def __call__(self, method: Literal["thread/tokenUsage/updated"], listener: Callable[[ThreadTokenUsageUpdatedMessage], object], /) -> Callable[[], None]: ...
    # The start-up state of a helper: progress, failure or end with the reason, a stall, or its end.
    @overload
    def __call__(self, method: Literal["mcpServer/startupStatus/updated"], listener: Callable[[McpServerStartupStatusUpdatedMessage], object], /) -> Callable[[], None]: ...
    # A request of the server needs no answer any more.
    @overload
    def __call__(self, method: Literal["serverRequest/resolved"], listener: Callable[[ServerRequestResolvedMessage], object], /) -> Callable[[], None]: ...
    # An error in a turn, which may be retried.
    @overload
    def __call__(self, method: Literal["error"], listener: Callable[[ErrorMessage], object], /) -> Callable[[], None]: ...
    # A warning about a thread.
    @overload
    def __call__(self, method: Literal["warning"], listener: Callable[[WarningMessage], object], /) -> Callable[[], None]: ...
    # A warning about the settings.
    @overload
    def __call__(self, method: Literal["configWarning"], listener: Callable[[ConfigWarningMessage], object], /) -> Callable[[], None]: ...
    # A sign of life. Each connection that opted in to `skein/events` receives it every `heartbeatMs` of the
    # response of `initialize`.
    @overload
    def __call__(self, method: Literal["skein/heartbeat"], listener: Callable[[SkeinHeartbeatMessage], object], /) -> Callable[[], None]: ...
    # The server is about to stop, and closes the connection with 1001 soon. Each connection that opted in to `skein/events`
    # receives it, with a pause of its own, so that not all of them come back at once.
    @overload
    def __call__(self, method: Literal["skein/stopping"], listener: Callable[[SkeinStoppingMessage], object], /) -> Callable[[], None]: ...
    # Progress of the repair after an unclean end of the server: at its beginning, now and then, at its end, and to
    # each connection that arrives meanwhile. Not sent if nothing needs repair.
    @overload
    def __call__(self, method: Literal["skein/repair/updated"], listener: Callable[[SkeinRepairUpdatedMessage], object], /) -> Callable[[], None]: ...
    # The questions that wait in a thread on disk have changed. Each connection that opted in to `skein/events` receives it,
    # with a number of the catalog.
    @overload
    def __call__(self, method: Literal["skein/questions/changed"], listener: Callable[[SkeinQuestionsChangedMessage], object], /) -> Callable[[], None]: ...
    # Every message.
    @overload
    def __call__(self, method: Literal["*"], listener: Callable[[ServerNotification], object], /) -> Callable[[], None]: ...

class ItemToolRequestUserInputQuestion(TypedDict):
    """Asks the user one or more questions on behalf of a turn."""

    method: Literal["item/tool/requestUserInput"]
    id: RequestId
    params: ToolRequestUserInputParams

class ItemToolCallQuestion(TypedDict):
    """Asks for the result of a tool that the client registered with `thread/start`. `callId` is the id of the call's
    item. All subscribers are asked, and the first result counts: a client without the tool answers with an error.
    """

    method: Literal["item/tool/call"]
    id: RequestId
    params: DynamicToolCallParams

class McpServerElicitationRequestQuestion(TypedDict):
    """Asks the user a question of a helper, in the thread of the call. It ends with that call; `turnId` names the
    calling turn, if any. With `codex_approval_kind` `mcp_tool_call` in `_meta` it asks for the approval of a tool
    call: docs/approvals.md.
    """

    method: Literal["mcpServer/elicitation/request"]
    id: RequestId
    params: McpServerElicitationRequestParams

class Call(Protocol):
    """Makes a request; every one that a client can make."""

    # Opens a connection. It is the first request of each connection, and allowed once.
    @overload
    def __call__(self, method: Literal["initialize"], params: InitializeParams, /) -> Awaitable[InitializeResponse]: ...
    # Creates a thread and subscribes the connection to it. The thread is saved from its first user message on. An
    # ephemeral thread is never saved and never listed.
    @overload
    def __call__(self, method: Literal["thread/start"], params: ThreadStartParams, /) -> Awaitable[ThreadStartResponse]: ...
    # Loads a thread if needed, and subscribes the connection to it. Settings in the request count only if it loads
    # the thread; the answer has those in force. After the answer the connection receives the thread's usage
    # (`thread/tokenUsage/updated`) and goal (`thread/goal/updated` or `thread/goal/cleared`). A connection with the
    # access `read` observes: it loads nothing, keeps nothing loaded, and is asked nothing.
    @overload
    def __call__(self, method: Literal["thread/resume"], params: ThreadResumeParams, /) -> Awaitable[ThreadResumeResponse]: ...
    # Ends the connection's subscription. When the last subscriber leaves, the thread is unloaded and its helpers
    # stop.
    @overload
    def __call__(self, method: Literal["thread/unsubscribe"], params: ThreadUnsubscribeParams, /) -> Awaitable[ThreadUnsubscribeResponse]: ...
    # Ids of the threads in memory. Never waits for a thread.
    @overload
    def __call__(self, method: Literal["thread/loaded/list"], params: ThreadLoadedListParams, /) -> Awaitable[ThreadLoadedListResponse]: ...
    # A page of the saved threads without their turns, newest first by default.
    @overload
    def __call__(self, method: Literal["thread/list"], params: ThreadListParams, /) -> Awaitable[ThreadListResponse]: ...
    # Threads with a text in their name or in a message of the user or the agent, ignoring case. A page takes a
    # bounded time and has the matches so far; an empty page can have a next one.
    @overload
    def __call__(self, method: Literal["thread/search"], params: ThreadSearchParams, /) -> Awaitable[ThreadSearchResponse]: ...
    # All places of a text in the messages of one thread, without loading it.
    @overload
    def __call__(self, method: Literal["thread/searchOccurrences"], params: ThreadSearchOccurrencesParams, /) -> Awaitable[ThreadSearchOccurrencesResponse]: ...
    # Reads a thread from disk, with its turns on request, without loading it.
    @overload
    def __call__(self, method: Literal["thread/read"], params: ThreadReadParams, /) -> Awaitable[ThreadReadResponse]: ...
    # A page of a thread's turns, newest first by default, without loading it.
    @overload
    def __call__(self, method: Literal["thread/turns/list"], params: ThreadTurnsListParams, /) -> Awaitable[ThreadTurnsListResponse]: ...
    # A page of a thread's items, oldest first by default, without loading it. Items in progress come with their
    # text so far. Pages that start from a cursor of `thread/resume` leave them out, because events report them.
    @overload
    def __call__(self, method: Literal["thread/items/list"], params: ThreadItemsListParams, /) -> Awaitable[ThreadItemsListResponse]: ...
    # Names a thread, loaded or not.
    @overload
    def __call__(self, method: Literal["thread/name/set"], params: ThreadSetNameParams, /) -> Awaitable[ThreadSetNameResponse]: ...
    # Changes a thread's repository metadata, loaded or not. A null member is removed, a missing one stays.
    @overload
    def __call__(self, method: Literal["thread/metadata/update"], params: ThreadMetadataUpdateParams, /) -> Awaitable[ThreadMetadataUpdateResponse]: ...
    # Changes a thread's settings from its next turn on, loaded or not. A missing member stays.
    @overload
    def __call__(self, method: Literal["thread/settings/update"], params: ThreadSettingsUpdateParams, /) -> Awaitable[ThreadSettingsUpdateResponse]: ...
    # Marks a thread as read, or as unread from its last turn on, loaded or not. `expectedRevision` is the revision
    # that the user has seen; if another one is current, the request fails and nothing changes.
    @overload
    def __call__(self, method: Literal["thread/readState/update"], params: ThreadReadStateUpdateParams, /) -> Awaitable[ThreadReadStateUpdateResponse]: ...
    # Sets or changes a thread's goal, loaded or not; another `objective` starts a new count. Skein counts tokens
    # and time of turns that end while the goal is active. Above `tokenBudget` it becomes `budgetLimited`. A goal
    # neither starts nor prevents turns.
    @overload
    def __call__(self, method: Literal["thread/goal/set"], params: ThreadGoalSetParams, /) -> Awaitable[ThreadGoalSetResponse]: ...
    # Reads a thread's goal without loading the thread.
    @overload
    def __call__(self, method: Literal["thread/goal/get"], params: ThreadGoalGetParams, /) -> Awaitable[ThreadGoalGetResponse]: ...
    # Removes a thread's goal, loaded or not.
    @overload
    def __call__(self, method: Literal["thread/goal/clear"], params: ThreadGoalClearParams, /) -> Awaitable[ThreadGoalClearResponse]: ...
    # Removes a turn and all later ones from the history, loaded or not; files of the user stay. Refused while a
    # turn runs. The history gets a new epoch.
    @overload
    def __call__(self, method: Literal["thread/revert"], params: ThreadRevertParams, /) -> Awaitable[ThreadRevertResponse]: ...
    # Removes the newest turns: `thread/revert` for older clients of Codex, which count turns. The answer has the
    # newest remaining turns that fit.
    @overload
    def __call__(self, method: Literal["thread/rollback"], params: ThreadRollbackParams, /) -> Awaitable[ThreadRevertResponse]: ...
    # Creates a thread with the history of another one, optionally up to a turn, and subscribes the connection to
    # it. The source is not disturbed. A running turn is interrupted in the copy, and nothing in it is unread. After
    # the answer the connection receives the history's usage.
    @overload
    def __call__(self, method: Literal["thread/fork"], params: ThreadForkParams, /) -> Awaitable[ThreadForkResponse]: ...
    # Adds items to the model's view of a thread's history, in the form of its interface, loaded or not. No turn
    # starts, and no client is notified.
    @overload
    def __call__(self, method: Literal["thread/inject_items"], params: ThreadInjectItemsParams, /) -> Awaitable[ThreadInjectItemsResponse]: ...
    # Starts a turn in which the model replaces the conversation by a summary; later turns see the summary. The
    # history keeps everything. If a turn runs, the compaction waits for its end.
    @overload
    def __call__(self, method: Literal["thread/compact/start"], params: ThreadCompactStartParams, /) -> Awaitable[ThreadCompactStartResponse]: ...
    # Adds a message to a thread's queue, loaded or not. It becomes a turn when the turns and messages before it are
    # done: at once if the thread is idle and nothing waits. The same `clientUserMessageId` and input again add
    # nothing. A queue has at most 100 messages and 4 MiB of input.
    @overload
    def __call__(self, method: Literal["thread/queue/add"], params: ThreadQueueAddParams, /) -> Awaitable[ThreadQueueAddResponse]: ...
    # The messages of a thread's queue in their order, without loading it.
    @overload
    def __call__(self, method: Literal["thread/queue/list"], params: ThreadQueueListParams, /) -> Awaitable[ThreadQueueListResponse]: ...
    # Replaces the input of a message in the queue, loaded or not. Missing metadata stays.
    @overload
    def __call__(self, method: Literal["thread/queue/update"], params: ThreadQueueUpdateParams, /) -> Awaitable[ThreadQueueUpdateResponse]: ...
    # Removes a message from the queue, loaded or not. `deleted` is false if the queue does not have the message.
    @overload
    def __call__(self, method: Literal["thread/queue/delete"], params: ThreadQueueDeleteParams, /) -> Awaitable[ThreadQueueDeleteResponse]: ...
    # Puts messages of the queue in this order, loaded or not. The others keep their order behind them.
    @overload
    def __call__(self, method: Literal["thread/queue/reorder"], params: ThreadQueueReorderParams, /) -> Awaitable[ThreadQueueReorderResponse]: ...
    # Begins a turn with a message of the queue, or with the first, and ends the hold of an interrupted or failed
    # turn. Refused while a turn runs. A message that has become a turn already is answered with that turn.
    @overload
    def __call__(self, method: Literal["thread/queue/start"], params: ThreadQueueStartParams, /) -> Awaitable[ThreadQueueStartResponse]: ...
    # Archives a thread: its turn is interrupted, the thread is unloaded, its subscriptions end, and only the
    # archived list shows it. It can still be read and resumed, and stays archived.
    @overload
    def __call__(self, method: Literal["thread/archive"], params: ThreadArchiveParams, /) -> Awaitable[ThreadArchiveResponse]: ...
    # Moves an archived thread back into the ordinary list. The thread is unloaded for that; its subscribers stay.
    @overload
    def __call__(self, method: Literal["thread/unarchive"], params: ThreadUnarchiveParams, /) -> Awaitable[ThreadUnarchiveResponse]: ...
    # Deletes a thread, whatever it is doing and whoever is subscribed. Its file stays in the home's `trash` for
    # `trash.keep`, and is then removed.
    @overload
    def __call__(self, method: Literal["thread/delete"], params: ThreadDeleteParams, /) -> Awaitable[ThreadDeleteResponse]: ...
    # Starts a turn with the user's input, or adds the input to the running turn. The answer comes before the turn's
    # first notification. Settings of added input take effect with the next turn, except those about approvals,
    # which apply at once.
    @overload
    def __call__(self, method: Literal["turn/start"], params: TurnStartParams, /) -> Awaitable[TurnStartResponse]: ...
    # Adds input to the running turn, if its id is `expectedTurnId`.
    @overload
    def __call__(self, method: Literal["turn/steer"], params: TurnSteerParams, /) -> Awaitable[TurnSteerResponse]: ...
    # Interrupts the running turn.
    @overload
    def __call__(self, method: Literal["turn/interrupt"], params: TurnInterruptParams, /) -> Awaitable[TurnInterruptResponse]: ...
    # The helpers of a thread with their state, from memory. Without a thread: the helpers of the settings. Those
    # that do not run are started for the answer and stopped after it, except for a connection with the access
    # `read`.
    @overload
    def __call__(self, method: Literal["mcpServerStatus/list"], params: ListMcpServerStatusParams, /) -> Awaitable[ListMcpServerStatusResponse]: ...
    # Calls a tool of one of the thread's helpers. The answer comes when the tool is done, however long that takes.
    # Nobody is asked before the call.
    @overload
    def __call__(self, method: Literal["mcpServer/tool/call"], params: McpServerToolCallParams, /) -> Awaitable[McpServerToolCallResponse]: ...
    # Reads a resource of one of the thread's helpers. Without a thread a helper of the settings is started for the
    # answer, and its questions to the user are refused.
    @overload
    def __call__(self, method: Literal["mcpServer/resource/read"], params: McpResourceReadParams, /) -> Awaitable[McpResourceReadResponse]: ...
    # The models that turns can use.
    @overload
    def __call__(self, method: Literal["model/list"], params: ModelListParams, /) -> Awaitable[ModelListResponse]: ...
    # The settings in force and their origins. Variables of helpers are masked; so are arguments with the name of a
    # secret.
    @overload
    def __call__(self, method: Literal["config/read"], params: ConfigReadParams, /) -> Awaitable[ConfigReadResponse]: ...
    # Reads the settings file again and applies it before the answer. Changed helpers restart, removed ones stop,
    # failed ones start again; all others and running calls continue. An unchanged file costs next to nothing. Wrong
    # settings change nothing; the error names file, line and key of each.
    @overload
    def __call__(self, method: Literal["config/mcpServer/reload"], params: ConfigMcpServerReloadParams, /) -> Awaitable[McpServerRefreshResponse]: ...
    # Sets one value of the user's settings file by its dotted key; null removes it. Comments and other values stay.
    # The change is in force with the answer. Invalid settings are refused with their reasons and not written, and
    # so is a write whose `expectedVersion` is out of date. A value masked by `config/read` (`***`, or an address
    # without user and query) keeps the value of the file; without one the write is refused.
    @overload
    def __call__(self, method: Literal["config/value/write"], params: ConfigValueWriteParams, /) -> Awaitable[ConfigWriteResponse]: ...
    # Sets several values of the user's settings file: all of them, or none.
    @overload
    def __call__(self, method: Literal["config/batchWrite"], params: ConfigBatchWriteParams, /) -> Awaitable[ConfigWriteResponse]: ...
    # The administrator's requirements for the settings: none.
    @overload
    def __call__(self, method: Literal["configRequirements/read"], params: ConfigRequirementsReadParams, /) -> Awaitable[ConfigRequirementsReadResponse]: ...
    # The paying account: none, and none is needed.
    @overload
    def __call__(self, method: Literal["account/read"], params: GetAccountParams, /) -> Awaitable[GetAccountResponse]: ...
    # The rate limits of the paying account: none, as there is no account.
    @overload
    def __call__(self, method: Literal["account/rateLimits/read"], params: GetAccountRateLimitsParams, /) -> Awaitable[GetAccountRateLimitsResponse]: ...
    # The tokens of the paying account: unknown, as there is no account. `thread/tokenUsage/updated` reports the
    # usage of a thread.
    @overload
    def __call__(self, method: Literal["account/usage/read"], params: GetAccountTokenUsageParams, /) -> Awaitable[GetAccountTokenUsageResponse]: ...
    # Whether a model region for governments applies: no, as no provider of Skein has one.
    @overload
    def __call__(self, method: Literal["account/bedrock/checkGovCloudRequirements"], params: BedrockCheckGovCloudRequirementsParams, /) -> Awaitable[BedrockCheckGovCloudRequirementsResponse]: ...
    # The model providers that the server knows, built in or from its settings. `config/value/write` chooses the
    # default (`model_provider`) and changes them (`model_providers.NAME`).
    @overload
    def __call__(self, method: Literal["modelProvider/list"], params: ModelProviderListParams, /) -> Awaitable[ModelProviderListResponse]: ...
    # Abilities of model providers beside answering: no image generation and no web search. Skein offers models only
    # the tools of helpers and clients.
    @overload
    def __call__(self, method: Literal["modelProvider/capabilities/read"], params: ModelProviderCapabilitiesReadParams, /) -> Awaitable[ModelProviderCapabilitiesReadResponse]: ...
    # Experimental features: none.
    @overload
    def __call__(self, method: Literal["experimentalFeature/list"], params: ExperimentalFeatureListParams, /) -> Awaitable[ExperimentalFeatureListResponse]: ...
    # The server's process, and some numbers of `skein/status`, by their names there.
    @overload
    def __call__(self, method: Literal["server/diagnostics"], params: ServerDiagnosticsParams, /) -> Awaitable[ServerDiagnosticsResponse]: ...
    # Saves a user's feedback about a thread or the server in the home's `feedback`, for the operator. Nothing is
    # sent anywhere. Names of log files are kept, not their content. `threadId` is the thread, or the name of the
    # report if there is none.
    @overload
    def __call__(self, method: Literal["feedback/upload"], params: FeedbackUploadParams, /) -> Awaitable[FeedbackUploadResponse]: ...
    # The skills of each given directory: none, as Skein has no skills yet.
    @overload
    def __call__(self, method: Literal["skills/list"], params: SkillsListParams, /) -> Awaitable[SkillsListResponse]: ...
    # The hooks of each given directory: none, as Skein runs no hooks.
    @overload
    def __call__(self, method: Literal["hooks/list"], params: HooksListParams, /) -> Awaitable[HooksListResponse]: ...
    # The permissions of turns: everything that their helpers can do. Skein runs no commands of its own and confines
    # nobody.
    @overload
    def __call__(self, method: Literal["permissionProfile/list"], params: PermissionProfileListParams, /) -> Awaitable[PermissionProfileListResponse]: ...
    # The modes of collaboration: Plan and Default.
    @overload
    def __call__(self, method: Literal["collaborationMode/list"], params: CollaborationModeListParams, /) -> Awaitable[CollaborationModeListResponse]: ...
    # Unloads a thread; the answer comes when all its helpers have stopped. Refused while the thread is active or
    # has other subscribers, unless forced, which needs the access `admin`. Joins an unload that is already under
    # way.
    @overload
    def __call__(self, method: Literal["skein/thread/unload"], params: SkeinThreadUnloadParams, /) -> Awaitable[SkeinThreadUnloadResponse]: ...
    # The questions that wait for an answer, of all threads on disk or of one, also where no thread is loaded. Questions
    # of ephemeral threads and of helpers outside of turns are not in it: they end with their connection.
    @overload
    def __call__(self, method: Literal["skein/questions/list"], params: SkeinQuestionsListParams, /) -> Awaitable[SkeinQuestionsListResponse]: ...
    # Answers a question without a subscription, and loads its thread where necessary. The first answer that is on disk
    # counts; the same answer again succeeds.
    @overload
    def __call__(self, method: Literal["skein/questions/answer"], params: SkeinQuestionsAnswerParams, /) -> Awaitable[SkeinQuestionsAnswerResponse]: ...
    # Sets limits of a thread for the use of models, loaded or not. A turn that waits at a limit goes on if it has room
    # now.
    @overload
    def __call__(self, method: Literal["skein/budget/set"], params: SkeinBudgetSetParams, /) -> Awaitable[SkeinBudgetSetResponse]: ...
    # For a client whose user is gone: ends its subscriptions. Threads without another subscriber are unloaded at
    # once; running turns and tool calls are interrupted. The answer comes when all their helpers have stopped, or
    # after 1.2 s with the number of unfinished threads.
    @overload
    def __call__(self, method: Literal["skein/connection/leave"], params: SkeinConnectionLeaveParams, /) -> Awaitable[SkeinConnectionLeaveResponse]: ...
    # The server's state and counters. Never waits for anything.
    @overload
    def __call__(self, method: Literal["skein/status"], params: SkeinStatusParams, /) -> Awaitable[SkeinStatusResponse]: ...
    # The helpers of loaded threads, and kept ones, with processes, memory, queues and last output, from one look at
    # the system.
    @overload
    def __call__(self, method: Literal["skein/helpers/list"], params: SkeinHelpersListParams, /) -> Awaitable[SkeinHelpersListResponse]: ...
    # The sessions of pages and the tokens of programs, without their secrets.
    @overload
    def __call__(self, method: Literal["skein/credential/list"], params: SkeinCredentialListParams, /) -> Awaitable[SkeinCredentialListResponse]: ...
    # Adds a token. The client makes the secret and sends its SHA-256, so that no message has the secret. The answer
    # comes when the token is on disk.
    @overload
    def __call__(self, method: Literal["skein/credential/add"], params: SkeinCredentialAddParams, /) -> Awaitable[SkeinCredentialAddResponse]: ...
    # Revokes a session or token, and the sessions that it has made. Their connections are closed with 1008.
    @overload
    def __call__(self, method: Literal["skein/credential/revoke"], params: SkeinCredentialRevokeParams, /) -> Awaitable[SkeinCredentialRevokeResponse]: ...
    # The catalog changes since a number, so that a client that was away can update its list. After a page of
    # `thread/list`, ask with the page's number and apply the changes in order. If a change names a thread that is
    # not in the list, read that thread: it was saved later.
    @overload
    def __call__(self, method: Literal["skein/catalog/resume"], params: SkeinCatalogResumeParams, /) -> Awaitable[SkeinCatalogResumeResponse]: ...
    # Answers when every thread's owner has handled all events sent before it. Waits for no turn and no tool call.
    # Only with `serve --test-fences`.
    @overload
    def __call__(self, method: Literal["skein/quiesce"], params: SkeinQuiesceParams, /) -> Awaitable[SkeinQuiesceResponse]: ...
    # All messages of this table and the others, as an OpenRPC document.
    @overload
    def __call__(self, method: Literal["rpc.discover"], params: RpcDiscoverParams, /) -> Awaitable[RpcDiscoverResponse]: ...

class InitializedMessage(TypedDict):
    """The client has read the response of `initialize`. It may be left out."""

    method: Literal["initialized"]
    params: InitializedParams

# The access that a connection has, and the least access that a method needs. Each level includes the ones before it.
Access: TypeAlias = Literal["read"] | Literal["chat"] | Literal["admin"]

# An account with a provider of models.
Account: TypeAlias = AccountApiKey | AccountChatgpt | AccountAmazonBedrock | AccountGcp

# The region that the requests of an account must stay in.
AccountRoutingOverride: TypeAlias = Literal["NO_CONSTRAINT", "us", "us_cr"]

# The trust in a piece of context.
AdditionalContextKind: TypeAlias = Literal["untrusted", "application"]

# An unusual way in which a message reaches the user.
AgentMessageDelivery: TypeAlias = Literal["async"]

# A piece of a message from one agent to another.
AgentMessageInputContent: TypeAlias = AgentMessageInputContentInputText | AgentMessageInputContentEncryptedContent

# The reviewer of approvals.
ApprovalsReviewer: TypeAlias = Literal["user", "auto_review", "guardian_subagent"]

# When to ask the user for approval.
AskForApproval: TypeAlias = Literal["untrusted", "on-request", "never"] | AskForApprovalGranular

# Params of `account/bedrock/checkGovCloudRequirements`: nothing.
BedrockCheckGovCloudRequirementsParams: TypeAlias = dict[str, Any]

# The extent of a limit.
BudgetScope: TypeAlias = Literal["turn"] | Literal["thread"] | Literal["day"] | Literal["rounds"]

# The unit of a limit.
BudgetUnit: TypeAlias = Literal["tokens"] | Literal["rounds"]

# The place of a folder of capabilities.
CapabilityRootLocation: TypeAlias = CapabilityRootLocationEnvironment

# The state of another agent.
CollabAgentStatus: TypeAlias = Literal["pendingInit", "running", "interrupted", "completed", "errored", "shutdown", "notFound"]

# The actions of one agent on another.
CollabAgentTool: TypeAlias = Literal["spawnAgent", "sendInput", "resumeAgent", "wait", "closeAgent", "sendMessage", "followupTask", "interruptAgent", "listAgents"]

# The state of a call of an agent's tool.
CollabAgentToolCallStatus: TypeAlias = Literal["inProgress", "completed", "failed", "interrupted"]

# Params of `collaborationMode/list`: nothing.
CollaborationModeListParams: TypeAlias = dict[str, Any]

# The action of a command, as far as it was recognised.
CommandAction: TypeAlias = CommandActionRead | CommandActionListFiles | CommandActionSearch | CommandActionUnknown

# The source of a command.
CommandExecutionSource: TypeAlias = Literal["agent", "userShell", "unifiedExecStartup", "unifiedExecInteraction"]

# The state of a command.
CommandExecutionStatus: TypeAlias = Literal["inProgress", "completed", "failed", "declined"]

# The name of a source of settings.
ConfigLayerSource: TypeAlias = ConfigLayerSourcePackagedDefaults | ConfigLayerSourceMdm | ConfigLayerSourceSystem | ConfigLayerSourceEnterpriseManaged | ConfigLayerSourceUser | ConfigLayerSourceProject | ConfigLayerSourceSessionFlags | ConfigLayerSourceLegacyManagedConfigTomlFromFile | ConfigLayerSourceLegacyManagedConfigTomlFromMdm

# Params of `config/mcpServer/reload`: nothing, which the peer writes as `null`; an empty object is read too.
ConfigMcpServerReloadParams: TypeAlias = None

# Params of `configRequirements/read`: nothing.
ConfigRequirementsReadParams: TypeAlias = dict[str, Any]

# A level of containment.
ContainmentRung: TypeAlias = Literal["guard"] | Literal["cgroup"] | Literal["namespace"]

# The required containment of helpers.
ContainmentSetting: TypeAlias = Literal["auto"] | Literal["guard"] | Literal["cgroup"] | Literal["namespace"]

# A piece of a message.
ContentItem: TypeAlias = ContentItemInputText | ContentItemInputImageImageUrl | ContentItemInputImageFileId | ContentItemInputAudioAudioUrl | ContentItemInputAudioFileId | ContentItemOutputText

# The kinds of credentials that last.
CredentialType: TypeAlias = Literal["session"] | Literal["token"]

# An access programme for security work.
CyberAccessProgram: TypeAlias = Literal["standard", "daybreakBlue", "daybreakRed"]

# A way into the server.
DoorKind: TypeAlias = Literal["unix"] | Literal["loopback"] | Literal["remote"]

# A piece of the output of a client-side tool.
DynamicToolCallOutputContentItem: TypeAlias = DynamicToolCallOutputContentItemInputText | DynamicToolCallOutputContentItemInputImage | DynamicToolCallOutputContentItemInputAudio

# The state of a client-side tool call.
DynamicToolCallStatus: TypeAlias = Literal["inProgress", "completed", "failed"]

# One tool of a namespace of client-side tools.
DynamicToolNamespaceTool: TypeAlias = DynamicToolNamespaceToolFunction

# A tool that the client runs.
DynamicToolSpec: TypeAlias = DynamicToolSpecFunction | DynamicToolSpecNamespace

# The version of a thread's history, from 1. It changes when saved history was rewritten or may be lost, and in a
# fork.
Epoch: TypeAlias = int

# The number of a record in one thread's history. Numbers rise for ever; clients see gaps.
EventSeq: TypeAlias = int

# The stage of a feature.
ExperimentalFeatureStage: TypeAlias = Literal["beta", "underDevelopment", "stable", "deprecated", "removed"]

# A piece of the output of a function.
FunctionCallOutputContentItem: TypeAlias = FunctionCallOutputContentItemInputText | FunctionCallOutputContentItemInputImageImageUrl | FunctionCallOutputContentItemInputImageFileId | FunctionCallOutputContentItemInputAudioAudioUrl | FunctionCallOutputContentItemInputAudioFileId | FunctionCallOutputContentItemEncryptedContent

# The reasons.
GapReason: TypeAlias = Literal["otherEpoch"] | Literal["unknownSeq"] | Literal["damaged"] | Literal["tooMany"] | Literal["notStored"]

# The source of a provider's key.
GatewayAuth: TypeAlias = GatewayAuthNone | GatewayAuthEnvironmentVariable | GatewayAuthExternallyConfigured

# The sharing of a helper.
HelperIsolation: TypeAlias = Literal["thread"] | Literal["project"] | Literal["shared"]

# The state of a helper's life.
HelperState: TypeAlias = Literal["disabled"] | Literal["starting"] | Literal["ready"] | Literal["busy"] | Literal["unresponsive"] | Literal["restarting"] | Literal["broken"] | Literal["stopping"] | Literal["stopped"]

# The event of a hook.
HookEventName: TypeAlias = Literal["preModelRequest", "postModelRequest", "preToolUse", "permissionRequest", "postToolUse", "preCompact", "postCompact", "sessionStart", "sessionEnd", "userPromptSubmit", "subagentStart", "subagentStop", "stop", "interrupt"]

# A program that runs on an event.
HookMetadata: TypeAlias = HookMetadataCommand | HookMetadataMcpTool | HookMetadataPrompt | HookMetadataAgent

# The origin of a hook.
HookSource: TypeAlias = Literal["system", "user", "project", "mdm", "sessionFlags", "plugin", "cloudRequirements", "cloudManagedConfig", "legacyManagedConfigFile", "legacyManagedConfigMdm", "unknown"]

# Whether the user lets a hook run.
HookTrustStatus: TypeAlias = Literal["managed", "untrusted", "trusted", "modified"]

# The detail in which a model looks at an image.
ImageDetail: TypeAlias = Literal["auto", "low", "high", "original"]

# The reason why an image was not made.
ImageGenerationFailure: TypeAlias = ImageGenerationFailureUsageLimitExceeded

# An image that the agent made.
ImageGenerationItem: TypeAlias = ImageGenerationItemFileId | ImageGenerationItemResult

# The state of the list of threads.
IndexState: TypeAlias = Literal["opening"] | Literal["building"] | Literal["replacing"] | Literal["ready"] | Literal["failed"]

# Params of `initialized`: nothing.
InitializedParams: TypeAlias = dict[str, Any]

# A kind of input that a model takes.
InputModality: TypeAlias = Literal["text", "image", "audio"]

# The id of an item. Any text; it is compared, never built into a path.
ItemId: TypeAlias = str

# The state of a loaded thread.
LoadedState: TypeAlias = Literal["loading"] | Literal["idle"] | Literal["running"] | Literal["unloading"]

# A command that a model asked to be run.
LocalShellAction: TypeAlias = LocalShellActionExec

# The state of such a command.
LocalShellStatus: TypeAlias = Literal["completed", "in_progress", "incomplete"]

# The display size that such an interface requests.
McpAppDisplayMode: TypeAlias = Literal["inline", "fullscreen"]

# Whether a helper needs, and has, a sign-in.
McpAuthStatus: TypeAlias = Literal["unknown", "unsupported", "notLoggedIn", "bearerToken", "oAuth"]

# The type of a choice of several.
McpElicitationArrayType: TypeAlias = Literal["array"]

# The type of a yes-or-no field.
McpElicitationBooleanType: TypeAlias = Literal["boolean"]

# A field for a choice of several.
McpElicitationMultiSelectEnumSchema: TypeAlias = McpElicitationUntitledMultiSelectEnumSchema | McpElicitationTitledMultiSelectEnumSchema

# The type of a number field.
McpElicitationNumberType: TypeAlias = Literal["number", "integer"]

# The type of a form.
McpElicitationObjectType: TypeAlias = Literal["object"]

# A field for a choice of one.
McpElicitationSingleSelectEnumSchema: TypeAlias = McpElicitationUntitledSingleSelectEnumSchema | McpElicitationTitledSingleSelectEnumSchema

# The format of a text.
McpElicitationStringFormat: TypeAlias = Literal["email", "uri", "date", "date-time"]

# The type of a text field.
McpElicitationStringType: TypeAlias = Literal["string"]

# The state of the connection to a helper.
McpServerConnectionStatus: TypeAlias = Literal["notStarted", "starting", "connected", "authenticationRequired", "failed", "cancelled", "disabled"]

# The user's decision on a helper's question.
McpServerElicitationAction: TypeAlias = Literal["accept", "decline", "cancel"]

# Params of `mcpServer/elicitation/request`.
McpServerElicitationRequestParams: TypeAlias = McpServerElicitationRequestParamsOpenaiUserVerification | McpServerElicitationRequestParamsForm | McpServerElicitationRequestParamsOpenaiForm | McpServerElicitationRequestParamsOpenaiForm_ | McpServerElicitationRequestParamsUrl

# Response of `config/mcpServer/reload`.
McpServerRefreshResponse: TypeAlias = dict[str, Any]

# The reason why a helper did not start, if known.
McpServerStartupFailureReason: TypeAlias = Literal["reauthenticationRequired"]

# The state of a helper's start.
McpServerStartupState: TypeAlias = Literal["starting", "ready", "failed", "cancelled"]

# The level of detail in a list of helpers.
McpServerStatusDetail: TypeAlias = Literal["full", "toolsAndAuthOnly"]

# The state of a tool call.
McpToolCallStatus: TypeAlias = Literal["inProgress", "completed", "failed"]

# The treatment of the value in the file.
MergeStrategy: TypeAlias = Literal["replace", "upsert"]

# The part of an answer that a message is.
MessagePhase: TypeAlias = Literal["commentary", "partial_answer", "final_answer"]

# Whether the agent plans or acts.
ModeKind: TypeAlias = Literal["plan", "default"]

# Params of `modelProvider/capabilities/read`: nothing.
ModelProviderCapabilitiesReadParams: TypeAlias = dict[str, Any]

# Params of `modelProvider/list`: nothing.
ModelProviderListParams: TypeAlias = dict[str, Any]

# When the agent may start other agents.
MultiAgentMode: TypeAlias = Literal["explicitRequestOnly", "proactive"] | MultiAgentModeCustom

# The way in which a model works with other agents.
MultiAgentVersion: TypeAlias = Literal["disabled", "v1", "v2"]

# Whether an outer sandbox lets commands reach the network.
NetworkAccess: TypeAlias = Literal["restricted", "enabled"]

# How a server stands with its database.
NodeStanding: TypeAlias = Literal["sure"] | Literal["doubtful"] | Literal["lost"]

# Kinds of turn that take no further input.
NonSteerableTurnKind: TypeAlias = Literal["review", "compact"]

# The state of a patch.
PatchApplyStatus: TypeAlias = Literal["inProgress", "completed", "failed", "declined"]

# The kind of change to a file.
PatchChangeKind: TypeAlias = PatchChangeKindAdd | PatchChangeKindDelete | PatchChangeKindUpdate

# The tone of the agent.
Personality: TypeAlias = Literal["none", "friendly", "pragmatic"]

# The plan of an account.
PlanType: TypeAlias = Literal["free", "go", "plus", "pro", "prolite", "promax", "team", "self_serve_business_prolite", "self_serve_business_usage_based", "business", "ent26", "enterprise_cbp_automation", "enterprise_cbp_usage_based", "enterprise", "edu", "edu_plus", "edu_pro", "sci", "sci_plus", "unknown"]

# How a provider is reached.
ProviderSettings: TypeAlias = ProviderSettingsOpenai | ProviderSettingsCustomGateway | ProviderSettingsBedrock | ProviderSettingsGcp

# The subject of a question.
QuestionKind: TypeAlias = Literal["approval"] | Literal["mayHaveRun"] | Literal["input"] | Literal["clientCall"] | Literal["elicitation"] | Literal["budget"]

# The limit that is reached.
RateLimitReachedType: TypeAlias = Literal["rate_limit_reached", "workspace_owner_credits_depleted", "workspace_member_credits_depleted", "workspace_owner_usage_limit_reached", "workspace_member_usage_limit_reached"]

# The state of such a right.
RateLimitResetCreditStatus: TypeAlias = Literal["available", "redeeming", "redeemed", "unknown"]

# The limit that it lifts.
RateLimitResetType: TypeAlias = Literal["codexRateLimits", "unknown"]

# A piece of reasoning.
ReasoningItemContent: TypeAlias = ReasoningItemContentReasoningText | ReasoningItemContentText

# A piece of a reasoning summary.
ReasoningItemReasoningSummary: TypeAlias = ReasoningItemReasoningSummarySummaryText

# How much of a model's reasoning is summarised for the user.
ReasoningSummary: TypeAlias = Literal["auto", "concise", "detailed", "none"]

# The state of the repair.
RepairState: TypeAlias = Literal["scheduled"] | Literal["running"] | Literal["complete"]

# The id of a request, chosen by the sender and echoed in the answer: a text or a signed 64-bit integer. Null,
# fractions and larger integers are refused.
RequestId: TypeAlias = int | str

# A part of a resource: text, or bytes in base64.
ResourceContent: TypeAlias = ResourceContentMeta | ResourceContentMeta_

# A piece of history in the form of the model's interface; clients can send it with a resume.
ResponseItem: TypeAlias = ResponseItemAdditionalTools | ResponseItemMessage | ResponseItemAgentMessage | ResponseItemReasoning | ResponseItemLocalShellCall | ResponseItemFunctionCall | ResponseItemToolSearchCall | ResponseItemFunctionCallOutput | ResponseItemCustomToolCall | ResponseItemCustomToolCallOutput | ResponseItemToolSearchOutput | ResponseItemWebSearchCall | ResponseItemImageGenerationCall | ResponseItemCompaction | ResponseItemConfigurationUpdate | ResponseItemCompactionTrigger | ResponseItemContextCompaction | ResponseItemOther

# The action of a model in a web search.
ResponsesApiWebSearchAction: TypeAlias = ResponsesApiWebSearchActionSearch | ResponsesApiWebSearchActionOpenPage | ResponsesApiWebSearchActionFindInPage | ResponsesApiWebSearchActionOther

# Params of `rpc.discover`.
RpcDiscoverParams: TypeAlias = dict[str, Any]

# Response of `rpc.discover`: an OpenRPC document.
RpcDiscoverResponse: TypeAlias = dict[str, Any]

# The sandbox in one word.
SandboxMode: TypeAlias = Literal["read-only", "workspace-write", "danger-full-access"]

# The limits of a turn's commands.
SandboxPolicy: TypeAlias = SandboxPolicyDangerFullAccess | SandboxPolicyReadOnly | SandboxPolicyExternalSandbox | SandboxPolicyWorkspaceWrite

# The limits of a turn's commands.
SandboxPolicyParam: TypeAlias = SandboxPolicyParamDangerFullAccess | SandboxPolicyParamReadOnly | SandboxPolicyParamExternalSandbox | SandboxPolicyParamWorkspaceWrite

# Params of `server/diagnostics`: nothing.
ServerDiagnosticsParams: TypeAlias = dict[str, Any]

# The kind of client that created a thread.
SessionSource: TypeAlias = Literal["cli", "vscode", "exec", "appServer", "unknown"] | SessionSourceCustom | SessionSourceSubAgent

# Params of `skein/connection/leave`: nothing.
SkeinConnectionLeaveParams: TypeAlias = dict[str, Any]

# Params of `skein/credential/list`.
SkeinCredentialListParams: TypeAlias = dict[str, Any]

# Response of `skein/questions/answer`: nothing. The answer is on disk.
SkeinQuestionsAnswerResponse: TypeAlias = dict[str, Any]

# Response of `skein/quiesce`: nothing.
SkeinQuiesceResponse: TypeAlias = dict[str, Any]

# Params of `skein/status`.
SkeinStatusParams: TypeAlias = dict[str, Any]

# The owner of a skill.
SkillScope: TypeAlias = Literal["user", "repo", "system", "admin"]

# The order of a list.
SortDirection: TypeAlias = Literal["asc", "desc"]

# The kind of an activity.
SubAgentActivityKind: TypeAlias = Literal["started", "interacted", "interrupted", "completed"]

# The reason why an agent created a thread.
SubAgentSource: TypeAlias = Literal["review", "compact", "memory_consolidation"] | SubAgentSourceThreadSpawn | SubAgentSourceOther

# The state of the text index.
TextsState: TypeAlias = Literal["unused"] | Literal["building"] | Literal["ready"] | Literal["failed"]

# The reason why an active thread waits.
ThreadActiveFlag: TypeAlias = Literal["waitingOnApproval", "waitingOnUserInput"]

# Response of `thread/archive`: nothing.
ThreadArchiveResponse: TypeAlias = dict[str, Any]

# Response of `thread/compact/start`: nothing. The turn's notifications report the rest.
ThreadCompactStartResponse: TypeAlias = dict[str, Any]

# Response of `thread/delete`: nothing.
ThreadDeleteResponse: TypeAlias = dict[str, Any]

# The origin of a goal's change.
ThreadGoalMutationOrigin: TypeAlias = Literal["user", "automatic"]

# The state of a goal.
ThreadGoalStatus: TypeAlias = Literal["active", "paused", "blocked", "usageLimited", "budgetLimited", "complete"]

# The way in which a client reads a thread's history.
ThreadHistoryMode: TypeAlias = Literal["legacy", "paginated"]

# Id of a thread.
ThreadId: TypeAlias = str

# Response of `thread/inject_items`: nothing.
ThreadInjectItemsResponse: TypeAlias = dict[str, Any]

# A visible piece of a turn.
ThreadItem: TypeAlias = ThreadItemUserMessage | ThreadItemHookPrompt | ThreadItemAgentMessage | ThreadItemFunctionCallOutput | ThreadItemPlan | ThreadItemReasoning | ThreadItemCommandExecution | ThreadItemFileChange | ThreadItemMcpToolCall | ThreadItemDynamicToolCall | ThreadItemCollabAgentToolCall | ThreadItemSubAgentActivity | ThreadItemWebSearch | ThreadItemImageView | ThreadItemSleep | ThreadItemFileId | ThreadItem17 | ThreadItemEnteredReviewMode | ThreadItemExitedReviewMode | ThreadItemContextCompaction

# The item before the page.
ThreadItemsListAnchor: TypeAlias = ThreadItemsListAnchorItem

# One working directory, or several.
ThreadListCwdFilter: TypeAlias = str | list[str]

# Response of `thread/queue/reorder`.
ThreadQueueReorderResponse: TypeAlias = dict[str, Any]

# The user's action.
ThreadReadStateOperation: TypeAlias = ThreadReadStateOperationRead | ThreadReadStateOperationUnread

# The order of found threads.
ThreadSearchSortKey: TypeAlias = Literal["created_at", "updated_at", "recency_at"]

# Response of `thread/name/set`: nothing.
ThreadSetNameResponse: TypeAlias = dict[str, Any]

# Response of `thread/settings/update`: nothing.
ThreadSettingsUpdateResponse: TypeAlias = dict[str, Any]

# The order of a list of threads.
ThreadSortKey: TypeAlias = Literal["created_at", "updated_at", "recency_at", "section_position"]

# The kinds of client that a list of threads can be narrowed to.
ThreadSourceKind: TypeAlias = Literal["cli", "vscode", "exec", "appServer", "subAgent", "subAgentReview", "subAgentCompact", "subAgentThreadSpawn", "subAgentOther", "unknown"]

# The reason why the client started a session.
ThreadStartSource: TypeAlias = Literal["startup", "clear"]

# The status of a thread.
ThreadStatus: TypeAlias = ThreadStatusNotLoaded | ThreadStatusIdle | ThreadStatusSystemError | ThreadStatusActive

# The first unread position.
ThreadUnreadPosition: TypeAlias = ThreadUnreadPositionThreadStart | ThreadUnreadPositionTurn

# The outcome of an unsubscription.
ThreadUnsubscribeStatus: TypeAlias = Literal["notLoaded", "notSubscribed", "unsubscribed"]

# The id of a turn. Any text; it is compared, never built into a path.
TurnId: TypeAlias = str

# Response of `turn/interrupt`: nothing.
TurnInterruptResponse: TypeAlias = dict[str, Any]

# The items that a turn shows.
TurnItemsView: TypeAlias = Literal["notLoaded", "summary", "full"]

# The state of a turn.
TurnStatus: TypeAlias = Literal["completed", "interrupted", "failed", "inProgress"]

# An error of a later version of the protocol.
UnknownErrorInfo: TypeAlias = str | dict[str, Any]

# The outcome of an unload.
UnloadOutcome: TypeAlias = Literal["unloaded"] | Literal["notLoaded"]

# A piece of the user's input.
UserInput: TypeAlias = UserInputText | UserInputImageUrl | UserInputImageFileId | UserInputLocalImage | UserInputAudioUrl | UserInputAudioFileId | UserInputLocalAudio | UserInputSkill | UserInputMention

# A piece of the user's input.
UserInputParam: TypeAlias = UserInputParamText | UserInputParamImageUrl | UserInputParamImageFileId | UserInputParamLocalImage | UserInputParamAudioUrl | UserInputParamAudioFileId | UserInputParamLocalAudio | UserInputParamSkill | UserInputParamMention

# The action of a web search.
WebSearchAction: TypeAlias = WebSearchActionSearch | WebSearchActionOpenPage | WebSearchActionFindInPage | WebSearchActionOther

# Whether the written value is in force.
WriteStatus: TypeAlias = Literal["ok", "okOverridden"]

# A notification of the server. `seq` and `epoch` are for clients that asked for numbers.
ServerNotification: TypeAlias = ThreadStartedMessage | ThreadStatusChangedMessage | ThreadClosedMessage | ThreadArchivedMessage | ThreadUnarchivedMessage | ThreadDeletedMessage | ThreadNameUpdatedMessage | ThreadReadStateChangedMessage | ThreadSettingsUpdatedMessage | ThreadGoalUpdatedMessage | ThreadGoalClearedMessage | ThreadQueueChangedMessage | ThreadRevertedMessage | TurnStartedMessage | TurnCompletedMessage | ItemStartedMessage | ItemCompletedMessage | ItemAgentMessageDeltaMessage | ItemReasoningSummaryTextDeltaMessage | ItemReasoningSummaryPartAddedMessage | ItemReasoningTextDeltaMessage | ItemPlanDeltaMessage | ItemMcpToolCallProgressMessage | ThreadTokenUsageUpdatedMessage | McpServerStartupStatusUpdatedMessage | ServerRequestResolvedMessage | ErrorMessage | WarningMessage | ConfigWarningMessage | SkeinHeartbeatMessage | SkeinStoppingMessage | SkeinRepairUpdatedMessage | SkeinQuestionsChangedMessage

# A request of the server.
Question: TypeAlias = ItemToolRequestUserInputQuestion | ItemToolCallQuestion | McpServerElicitationRequestQuestion

# The result of a request of the server.
QuestionAnswer: TypeAlias = ToolRequestUserInputResponse | DynamicToolCallResponse | McpServerElicitationRequestResponse

# The kind of a turn's error, for programs.
CodexErrorInfo: TypeAlias = Literal["contextWindowExceeded", "sessionBudgetExceeded", "usageLimitExceeded", "rateLimitExceeded", "flexUnavailable", "serverOverloaded", "modelNotFound", "policyCapacityUnavailable", "cyberPolicy", "misalignmentPolicyViolation", "tooManyDenials", "internalServerError", "unauthorized", "badRequest", "threadRollbackFailed", "sandboxError", "other", "inferenceHookDenied"] | CodexErrorInfoHttpConnectionFailed | CodexErrorInfoResponseStreamConnectionFailed | CodexErrorInfoResponseStreamDisconnected | CodexErrorInfoResponseTooManyFailedAttempts | CodexErrorInfoActiveTurnNotSteerable | UnknownErrorInfo

# The output of a function: a text, or pieces.
FunctionCallOutputBody: TypeAlias = str | list[FunctionCallOutputContentItem]

# A field for a choice.
McpElicitationEnumSchema: TypeAlias = McpElicitationSingleSelectEnumSchema | McpElicitationMultiSelectEnumSchema | McpElicitationLegacyTitledEnumSchema

# The start of a page of items: a cursor, or the position after an item.
ThreadItemsListCursor: TypeAlias = str | ThreadItemsListAnchor

# A field of a form.
McpElicitationPrimitiveSchema: TypeAlias = McpElicitationEnumSchema | McpElicitationStringSchema | McpElicitationNumberSchema | McpElicitationBooleanSchema
