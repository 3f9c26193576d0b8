//! The database of the settings, as commands open it.

use std::sync::Arc;

use skein_base::tasks::Tasks;
use skein_config::StoreRules;
use skein_postgres::address::DbAddress;
use skein_postgres::database::Database;
use skein_postgres::index::PgIndex;
use skein_postgres::rows::ThreadRows;
use skein_postgres::store::PgStore;

/// The database at `url`, with the password that the settings name.
///
/// # Errors
/// The password cannot be read, or the address cannot be used.
pub(super) fn address(rules: &StoreRules, url: &str) -> anyhow::Result<DbAddress> {
    let password = rules.password()?;
    Ok(DbAddress::parse(url, password.as_deref().map(String::as_str))?)
}

/// Its threads and their lists. `tasks` end once the store is dropped.
///
/// # Errors
/// The database does not serve.
pub(super) async fn threads(database: &Arc<Database>, tasks: &Tasks) -> anyhow::Result<(PgStore, PgIndex)> {
    let rows = Arc::new(ThreadRows::open(database, Arc::default()).await?);
    let index = PgIndex::new(database, Arc::clone(&rows));
    Ok((PgStore::open(Arc::clone(database), rows, tasks.clone()).await?, index))
}
