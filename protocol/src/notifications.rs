//! The table of notifications: everything that the server tells without being asked, once. Rows only.

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
    extension::{SkeinHeartbeatNotification, SkeinRepairUpdatedNotification},
    table::notifications,
};

notifications! {
    /// A thread was made.
    ThreadStarted = "thread/started" [All, Transient] ThreadStartedNotification;
    /// A thread began or ended being active, or waits for the user.
    ThreadStatusChanged = "thread/status/changed" [All, Transient] ThreadStatusChangedNotification;
    /// A thread was unloaded; none of its helpers is left.
    ThreadClosed = "thread/closed" [All, Transient] ThreadClosedNotification;
    /// A thread was put aside: it is in the archived list now, unloaded, and nobody is subscribed to it.
    ThreadArchived = "thread/archived" [All, Transient] ThreadArchivedNotification;
    /// An archived thread is in the ordinary list again.
    ThreadUnarchived = "thread/unarchived" [All, Transient] ThreadUnarchivedNotification;
    /// A thread was deleted: it is in no list, and cannot be read or resumed.
    ThreadDeleted = "thread/deleted" [All, Transient] ThreadDeletedNotification;
    /// A thread has a new name.
    ThreadNameUpdated = "thread/name/updated" [All, Durable] ThreadNameUpdatedNotification;
    /// The user has read a thread, marked it as unread, or a turn has ended that nobody has read yet.
    ThreadReadStateChanged = "thread/readState/changed" [All, Transient] ThreadReadStateChangedNotification;
    /// A thread works with other settings from now on.
    ThreadSettingsUpdated = "thread/settings/updated" [Subscribers, Transient] ThreadSettingsUpdatedNotification;
    /// A thread has a goal, another one, or has come nearer to it: told when it is set, and at the end of each turn.
    ThreadGoalUpdated = "thread/goal/updated" [Subscribers, Transient] ThreadGoalUpdatedNotification;
    /// A thread has no goal any more.
    ThreadGoalCleared = "thread/goal/cleared" [Subscribers, Transient] ThreadGoalClearedNotification;
    /// Turns were taken back: read the history again, or drop the turns that `skein` tells of.
    ThreadReverted = "thread/reverted" [Subscribers, Durable] ThreadRevertedNotification;
    /// A turn began.
    TurnStarted = "turn/started" [Subscribers, Durable] TurnStartedNotification;
    /// A turn ended: completed, interrupted or failed.
    TurnCompleted = "turn/completed" [Subscribers, Durable] TurnCompletedNotification;
    /// An item began.
    ItemStarted = "item/started" [Subscribers, Durable] ItemStartedNotification;
    /// An item is complete; it replaces what its deltas said.
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
    /// A word from a tool that is at work.
    ItemMcpToolCallProgress = "item/mcpToolCall/progress" [Subscribers, Transient] McpToolCallProgressNotification;
    /// The tokens that a thread has used.
    ThreadTokenUsageUpdated = "thread/tokenUsage/updated" [Subscribers, Durable] ThreadTokenUsageUpdatedNotification;
    /// How far the start of a helper is; that one failed or ended, and why; that one shows no sign of life, or does again.
    McpServerStartupStatusUpdated = "mcpServer/startupStatus/updated" [Subscribers, Transient]
        McpServerStatusUpdatedNotification;
    /// A question of the server needs no answer any more.
    ServerRequestResolved = "serverRequest/resolved" [Subscribers, Transient] ServerRequestResolvedNotification;
    /// Something in a turn failed; it may be tried again.
    Error = "error" [Subscribers, Transient] ErrorNotification;
    /// A word of warning about a thread.
    Warning = "warning" [Subscribers, Transient] WarningNotification;
    /// A word of warning about the configuration.
    ConfigWarning = "configWarning" [All, Transient] ConfigWarningNotification;
    /// The server is there. Each connection that opted in to `skein/events` hears it as often as the response of
    /// `initialize` says (`heartbeatMs`), whatever else is sent.
    SkeinHeartbeat = "skein/heartbeat" [All, Transient] SkeinHeartbeatNotification;
    /// How far the mending of what an earlier end of the server left open is. Told when it begins, now and then while it
    /// lasts, at its end, and to each connection that comes later; never where nothing was left.
    SkeinRepairUpdated = "skein/repair/updated" [All, Transient] SkeinRepairUpdatedNotification;
}
