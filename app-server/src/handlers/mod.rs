//! The handlers: thin functions from params to owner, store or snapshot. The list below is the whole API.

use std::sync::Arc;

use skein_protocol::error::WireError;
use skein_protocol::ids::ThreadId;
use skein_protocol::methods::{
    AccountBedrockCheckGovCloudRequirements, AccountRateLimitsRead, AccountRead, AccountUsageRead,
    CollaborationModeList, ConfigBatchWrite, ConfigMcpServerReload, ConfigRead, ConfigRequirementsRead,
    ConfigValueWrite, ExperimentalFeatureList, FeedbackUpload, HooksList, Initialize, Initialized,
    McpServerResourceRead, McpServerStatusList, McpServerToolCall, ModelList, ModelProviderCapabilitiesRead,
    ModelProviderList, PermissionProfileList, RpcDiscover, ServerDiagnostics, SkeinBudgetSet,
    SkeinCatalogResume, SkeinConnectionLeave, SkeinCredentialAdd, SkeinCredentialList, SkeinCredentialRevoke,
    SkeinHelpersList, SkeinQuestionsAnswer, SkeinQuestionsList, SkeinQuiesce, SkeinStatus, SkeinThreadUnload,
    SkillsList, ThreadArchive, ThreadCompactStart, ThreadDelete, ThreadFork, ThreadGoalClear, ThreadGoalGet,
    ThreadGoalSet, ThreadInjectItems, ThreadItemsList, ThreadList, ThreadLoadedList, ThreadMetadataUpdate,
    ThreadNameSet, ThreadQueueAdd, ThreadQueueDelete, ThreadQueueList, ThreadQueueReorder, ThreadQueueStart,
    ThreadQueueUpdate, ThreadRead, ThreadReadStateUpdate, ThreadResume, ThreadRevert, ThreadRollback,
    ThreadSearch, ThreadSearchOccurrences, ThreadSettingsUpdate, ThreadStart, ThreadTurnsList,
    ThreadUnarchive, ThreadUnsubscribe, TurnInterrupt, TurnStart, TurnSteer,
};

use crate::router::Router;
use crate::router::session::ClientSession;
use crate::thread::command::{Command, Edit, Relocate};
use crate::thread::dispatch;

mod credential;
mod discover;
mod edits;
mod feedback;
mod helper;
mod list;
mod models;
mod pages;
mod paging;
mod questions;
mod queue;
mod search;
mod server;
mod settings;
mod startup;
mod status;
mod thread;
mod thread_state;
mod turn;
mod words;

pub(crate) use status::numbers;

/// The router with every method.
pub(crate) fn router() -> Router {
    let mut router = Router::default();
    router.inline::<Initialize>(server::initialize);
    router.inline::<ModelList>(models::list);
    add_startup(&mut router);
    router.inline::<RpcDiscover>(discover::discover);
    router.inline::<SkeinStatus>(status::status);
    router.inline::<ServerDiagnostics>(status::diagnostics);
    router.store::<FeedbackUpload, _>(feedback::upload);
    add_credentials(&mut router);
    router.thread::<SkeinConnectionLeave>(server::leave);
    router.thread::<SkeinQuiesce>(server::quiesce);
    router.thread::<ThreadStart>(thread::start);
    router.thread::<ThreadResume>(thread::resume);
    router.inline::<ThreadUnsubscribe>(thread::unsubscribe);
    router.inline::<ThreadLoadedList>(list::loaded);
    router.store::<ThreadList, _>(list::list);
    router.in_step::<SkeinCatalogResume>(list::catalog);
    router.store::<ThreadSearch, _>(search::threads);
    router.store::<ThreadSearchOccurrences, _>(search::occurrences);
    router.store::<ThreadRead, _>(thread::read);
    router.store::<ThreadTurnsList, _>(pages::turns);
    router.store::<ThreadItemsList, _>(pages::items);
    router.thread::<ThreadNameSet>(thread::set_name);
    router.thread::<ThreadMetadataUpdate>(edits::update_metadata);
    router.thread::<ThreadRevert>(edits::revert);
    router.thread::<ThreadRollback>(edits::rollback);
    router.thread::<ThreadFork>(edits::fork);
    router.thread::<ThreadInjectItems>(edits::inject_items);
    add_archive(&mut router);
    router.thread::<SkeinThreadUnload>(thread::unload);
    router.thread::<TurnStart>(turn::start);
    router.thread::<TurnSteer>(turn::steer);
    router.thread::<ThreadCompactStart>(turn::compact);
    router.urgent::<TurnInterrupt>(turn::interrupt);
    router.notification::<Initialized>(server::initialized);
    add_thread_state(&mut router);
    add_queue(&mut router);
    add_questions(&mut router);
    add_helpers(&mut router);
    router
}

/// Answers a method whose subject Skein does not have: accounts, experimental features and the like.
fn nothing<P, R: Default>(_session: &Arc<ClientSession>, _params: P) -> Result<R, WireError> {
    Ok(R::default())
}

fn deliver(session: &Arc<ClientSession>, id: ThreadId, command: Command) {
    dispatch::deliver(&session.app.context, id, command);
}

fn add_archive(router: &mut Router) {
    router.thread::<ThreadArchive>(|session, params, reply| {
        deliver(session, params.thread_id, Command::Relocate(Relocate::Archive(reply)));
    });
    router.thread::<ThreadUnarchive>(|session, params, reply| {
        deliver(session, params.thread_id, Command::Relocate(Relocate::Unarchive(reply)));
    });
    router.thread::<ThreadDelete>(|session, params, reply| {
        deliver(session, params.thread_id, Command::Relocate(Relocate::Delete(reply)));
    });
}

fn add_thread_state(router: &mut Router) {
    router.thread::<ThreadSettingsUpdate>(thread_state::update_settings);
    router.thread::<SkeinBudgetSet>(thread_state::set_budget);
    router.thread::<ThreadReadStateUpdate>(|session, params, reply| {
        deliver(session, params.thread_id, Command::Edit(Edit::ReadState(params, reply)));
    });
    router.thread::<ThreadGoalSet>(thread_state::set_goal);
    router.store::<ThreadGoalGet, _>(thread_state::goal);
    router.thread::<ThreadGoalClear>(|session, params, reply| {
        deliver(session, params.thread_id, Command::Edit(Edit::ClearGoal(reply)));
    });
}

fn add_queue(router: &mut Router) {
    router.thread::<ThreadQueueAdd>(queue::add);
    router.store::<ThreadQueueList, _>(queue::list);
    router.thread::<ThreadQueueUpdate>(queue::update);
    router.thread::<ThreadQueueDelete>(queue::delete);
    router.thread::<ThreadQueueReorder>(queue::reorder);
    router.thread::<ThreadQueueStart>(queue::start);
}

fn add_questions(router: &mut Router) {
    router.store::<SkeinQuestionsList, _>(questions::list);
    router.thread::<SkeinQuestionsAnswer>(questions::answer);
}

fn add_credentials(router: &mut Router) {
    router.store::<SkeinCredentialList, _>(credential::list);
    router.store::<SkeinCredentialAdd, _>(credential::add);
    router.store::<SkeinCredentialRevoke, _>(credential::revoke);
}

fn add_startup(router: &mut Router) {
    router.inline::<AccountRead>(nothing);
    router.inline::<AccountRateLimitsRead>(nothing);
    router.inline::<AccountUsageRead>(nothing);
    router.inline::<AccountBedrockCheckGovCloudRequirements>(nothing);
    router.store::<ModelProviderList, _>(models::providers);
    router.inline::<ModelProviderCapabilitiesRead>(nothing);
    router.inline::<ExperimentalFeatureList>(nothing);
    router.inline::<ConfigRead>(startup::config);
    router.inline::<ConfigRequirementsRead>(nothing);
    router.inline::<SkillsList>(startup::skills);
    router.inline::<HooksList>(startup::hooks);
    router.inline::<PermissionProfileList>(startup::permission_profiles);
    router.inline::<CollaborationModeList>(startup::collaboration_modes);
}

fn add_helpers(router: &mut Router) {
    router.in_step::<McpServerStatusList>(helper::status_list);
    router.helper::<McpServerToolCall, _>(helper::call);
    router.helper::<McpServerResourceRead, _>(helper::read_resource);
    router.store::<SkeinHelpersList, _>(helper::processes);
    router.store::<ConfigMcpServerReload, _>(startup::reload_config);
    router.store::<ConfigValueWrite, _>(settings::write_value);
    router.store::<ConfigBatchWrite, _>(settings::write_batch);
}
