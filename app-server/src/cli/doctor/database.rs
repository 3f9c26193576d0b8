//! The database with the threads of a server.

use skein_config::{Flags, ServerConfig, StoreRules, StoreUrl};
use skein_postgres::database::{Database, DbDurability};
use skein_postgres::instance::DbInstance;
use skein_postgres::presence::PresenceError;
use skein_store::home::HomePaths;
use skein_store::home::database_note::instance_of;

use super::DoctorFinding;

/// Whether the database of the settings can be used, and keeps what it acknowledges. `None` without one.
pub(super) async fn finding(flags: &Flags) -> Option<DoctorFinding> {
    let config = ServerConfig::load(flags).ok()?;
    let rules = config.store;
    let url = rules.url.clone()?;
    let name = "store";
    let found = match look(&url, &rules, &HomePaths::new(&config.home)).await {
        Err(error) => {
            let way_out = "the server does not start with it; docs/postgresql.md has the set-up";
            return Some(DoctorFinding::error(name, format!("{url}: {error:#}"), way_out));
        }
        Ok(found) => found,
    };
    Some(match found {
        DbDurability { syncs: false, .. } => DoctorFinding::warning(
            name,
            format!("{url} syncs no commit: an acknowledged message can be lost with the power"),
            "set fsync and synchronous_commit to on",
        ),
        DbDurability { unconfirming: standbys @ 1.., .. } => DoctorFinding::warning(
            name,
            format!(
                "{standbys} standbys of {url} confirm no commit: after a promotion acknowledged messages can be missing"
            ),
            "name them in synchronous_standby_names",
        ),
        DbDurability { hidden: 1.., .. } => DoctorFinding::warning(
            name,
            format!("the role of {url} cannot see which of the standbys confirm commits"),
            "grant pg_read_all_stats to the role, or call this with one that has it",
        ),
        DbDurability { .. } => {
            DoctorFinding::ok(name, format!("{url} has the tables, and keeps what it acknowledges"))
        }
    })
}

/// Does what a start does, but changes nothing.
async fn look(url: &StoreUrl, rules: &StoreRules, home: &HomePaths) -> anyhow::Result<DbDurability> {
    let address = super::super::database::address(rules, &url.expose())?;
    let before = instance_of(home)?.as_ref().and_then(DbInstance::from_json);
    let database = Database::open_after(address, before.as_ref()).await?;
    database.takes_writes().await?;
    match database.arriving_from().await? {
        Some(from) => Err(PresenceError::Arriving { from }.into()),
        None => Ok(database.durability().await?),
    }
}
