//! The table of notifications that the server sends, each once. Rows only.

use crate::{
    event::{
        AgentMessageDeltaNotification, ConfigWarningNotification, ErrorNotification,
        ItemCompletedNotification, ItemStartedNotification, McpServerStatusUpdatedNotification,
        McpToolCallProgressNotification, PlanDeltaNotification, ReasoningSummaryPartAddedNotification,
        ReasoningSummaryTextDeltaNotification, ReasoningTextDeltaNotification,
        ServerRequestResolvedNotification, ThreadArchivedNotification, ThreadClosedNotification,
        ThreadDeletedNotification, ThreadGoalClearedNotification, ThreadGoalUpdatedNotification,
        ThreadNameUpdatedNotification, ThreadReadStateChangedNotification, ThreadRevertedNotification,
        ThreadSettingsUpdatedNotification, ThreadStartedNotification, ThreadStatusChangedNotification,
        ThreadTokenUsageUpdatedNotification, ThreadUnarchivedNotification, TurnCompletedNotification,
        TurnStartedNotification, WarningNotification,
    },
    extension::{SkeinHeartbeatNotification, SkeinRepairUpdatedNotification, SkeinStoppingNotification},
    question::SkeinQuestionsChangedNotification,
    table::notifications,
    thread::ThreadQueueChangedNotification,
};

notifications! {
    /// A thread was created.
    ThreadStarted = "thread/started" [All, Transient] ThreadStartedNotification;
    /// A thread became active or idle, or waits for the user.
    ThreadStatusChanged = "thread/status/changed" [All, Transient] ThreadStatusChangedNotification;
    /// A thread was unloaded; all its helpers have stopped.
    ThreadClosed = "thread/closed" [All, Transient] ThreadClosedNotification;
    /// A thread was archived: it is unloaded, without subscribers, and only in the archived list.
    ThreadArchived = "thread/archived" [All, Transient] ThreadArchivedNotification;
    /// An archived thread is back in the ordinary list.
    ThreadUnarchived = "thread/unarchived" [All, Transient] ThreadUnarchivedNotification;
    /// A thread was deleted: it is in no list, and cannot be read or resumed.
    ThreadDeleted = "thread/deleted" [All, Transient] ThreadDeletedNotification;
    /// A thread has a new name.
    ThreadNameUpdated = "thread/name/updated" [All, Durable] ThreadNameUpdatedNotification;
    /// The read state of a thread changed: the user has read it or marked it as unread, or an unread turn has ended.
    ThreadReadStateChanged = "thread/readState/changed" [All, Transient] ThreadReadStateChangedNotification;
    /// The settings of a thread changed.
    ThreadSettingsUpdated = "thread/settings/updated" [Subscribers, Transient] ThreadSettingsUpdatedNotification;
    /// A thread's goal was set or changed; also sent at the end of each turn.
    ThreadGoalUpdated = "thread/goal/updated" [Subscribers, Transient] ThreadGoalUpdatedNotification;
    /// A thread's goal was removed.
    ThreadGoalCleared = "thread/goal/cleared" [Subscribers, Transient] ThreadGoalClearedNotification;
    /// A thread's queue has changed: `thread/queue/list` has it.
    ThreadQueueChanged = "thread/queue/changed" [Subscribers, Transient] ThreadQueueChangedNotification;
    /// Turns were removed from the history: read it again, or drop the turns that `skein` names.
    ThreadReverted = "thread/reverted" [Subscribers, Durable] ThreadRevertedNotification;
    /// A turn began.
    TurnStarted = "turn/started" [Subscribers, Durable] TurnStartedNotification;
    /// A turn ended: completed, interrupted or failed.
    TurnCompleted = "turn/completed" [Subscribers, Durable] TurnCompletedNotification;
    /// An item began.
    ItemStarted = "item/started" [Subscribers, Durable] ItemStartedNotification;
    /// An item is complete; it replaces the text of its deltas.
    ItemCompleted = "item/completed" [Subscribers, Durable] ItemCompletedNotification;
    /// More text of an agent's message.
    ItemAgentMessageDelta = "item/agentMessage/delta" [Subscribers, Transient] AgentMessageDeltaNotification;
    /// More text of a summary of the model's reasoning.
    ItemReasoningSummaryTextDelta = "item/reasoning/summaryTextDelta" [Subscribers, Transient]
        ReasoningSummaryTextDeltaNotification;
    /// A new part of a summary of the model's reasoning begins.
    ItemReasoningSummaryPartAdded = "item/reasoning/summaryPartAdded" [Subscribers, Transient]
        ReasoningSummaryPartAddedNotification;
    /// More text of the model's reasoning.
    ItemReasoningTextDelta = "item/reasoning/textDelta" [Subscribers, Transient] ReasoningTextDeltaNotification;
    /// More text of a plan.
    ItemPlanDelta = "item/plan/delta" [Subscribers, Transient] PlanDeltaNotification;
    /// A progress message of a running tool.
    ItemMcpToolCallProgress = "item/mcpToolCall/progress" [Subscribers, Transient] McpToolCallProgressNotification;
    /// The tokens used by a thread.
    ThreadTokenUsageUpdated = "thread/tokenUsage/updated" [Subscribers, Durable] ThreadTokenUsageUpdatedNotification;
    /// The start-up state of a helper: progress, failure or end with the reason, a stall, or its end.
    McpServerStartupStatusUpdated = "mcpServer/startupStatus/updated" [Subscribers, Transient]
        McpServerStatusUpdatedNotification;
    /// A request of the server needs no answer any more.
    ServerRequestResolved = "serverRequest/resolved" [Subscribers, Transient] ServerRequestResolvedNotification;
    /// An error in a turn, which may be retried.
    Error = "error" [Subscribers, Transient] ErrorNotification;
    /// A warning about a thread.
    Warning = "warning" [Subscribers, Transient] WarningNotification;
    /// A warning about the settings.
    ConfigWarning = "configWarning" [All, Transient] ConfigWarningNotification;
    /// A sign of life. Each connection that opted in to `skein/events` receives it every `heartbeatMs` of the
    /// response of `initialize`.
    SkeinHeartbeat = "skein/heartbeat" [All, Transient] SkeinHeartbeatNotification;
    /// The server is about to stop, and closes the connection with 1001 soon. Each connection that opted in to `skein/events`
    /// receives it, with a pause of its own, so that not all of them come back at once.
    SkeinStopping = "skein/stopping" [All, Transient] SkeinStoppingNotification;
    /// Progress of the repair after an unclean end of the server: at its beginning, now and then, at its end, and to
    /// each connection that arrives meanwhile. Not sent if nothing needs repair.
    SkeinRepairUpdated = "skein/repair/updated" [All, Transient] SkeinRepairUpdatedNotification;
    /// The questions that wait in a thread on disk have changed. Each connection that opted in to `skein/events` receives it,
    /// with a number of the catalog.
    SkeinQuestionsChanged = "skein/questions/changed" [All, Transient] SkeinQuestionsChangedNotification;
}
