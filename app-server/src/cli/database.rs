//! The database of the settings, as commands open it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use skein_base::clock::Clock;
use skein_base::tasks::Tasks;
use skein_config::{Flags, ServerConfig, StoreRules};
use skein_postgres::address::DbAddress;
use skein_postgres::database::Database;
use skein_postgres::index::PgIndex;
use skein_postgres::node::NodeId;
use skein_postgres::rows::ThreadRows;
use skein_postgres::store::PgStore;
use skein_store::home::HomePaths;
use skein_store::home::database_note::database_of;

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
    // A command appends nothing, so no thread comes to belong to it.
    let nobody = NodeId::new(Clock.new_id());
    Ok((PgStore::open(Arc::clone(database), rows, nobody, tasks.clone()).await?, index))
}

/// The database whose threads a command reads.
pub(super) struct NamedDatabase {
    /// Its address as messages name it, without a password.
    pub(super) place: String,
    address: DbAddress,
}

impl NamedDatabase {
    /// The database that `store`, the environment, the settings or the home name. `None` where the threads are files.
    ///
    /// # Errors
    /// The settings that name it cannot be used.
    pub(super) fn of(home: Option<&PathBuf>, store: Option<&String>) -> anyhow::Result<Option<Self>> {
        let flags = Flags { home: home.cloned(), store: store.cloned(), ..Flags::default() };
        let settings = ServerConfig::load(&flags);
        if let Ok(ServerConfig { store: rules @ StoreRules { url: Some(url), .. }, .. }) = &settings {
            return Ok(Some(Self { place: url.to_string(), address: address(rules, &url.expose())? }));
        }
        let home: &Path = &super::home(home)?;
        let noted = database_of(&HomePaths::new(home))?;
        match (noted, settings) {
            (Some(url), Ok(config)) => Ok(Some(Self { address: address(&config.store, &url)?, place: url })),
            // Files can be read whatever the settings are, and a database by its address and password only.
            (None, Err(_)) if store.is_none() => Ok(None),
            (_, Err(errors)) => anyhow::bail!("these settings cannot be used:\n{errors}"),
            (None, Ok(_)) => Ok(None),
        }
    }

    /// Its address as messages name it, and the address.
    pub(super) fn into_parts(self) -> (String, DbAddress) {
        (self.place, self.address)
    }

    /// Connects.
    ///
    /// # Errors
    /// The database does not serve.
    pub(super) async fn open(self) -> anyhow::Result<Database> {
        Database::open(self.address).await.with_context(|| self.place)
    }
}
