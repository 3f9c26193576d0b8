//! The database with the threads of a server.

use skein_config::{Flags, ServerConfig, StoreRules, StoreUrl};
use skein_postgres::database::{Database, DbDurability};
use skein_postgres::presence::PresenceError;

use super::DoctorFinding;

/// Whether the database of the settings can be used, and keeps what it acknowledges. `None` without one.
pub(super) async fn finding(flags: &Flags) -> Option<DoctorFinding> {
    let rules = ServerConfig::load(flags).ok()?.store;
    let url = rules.url.clone()?;
    let name = "store";
    let found = match look(&url, &rules).await {
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
        DbDurability { .. } => {
            DoctorFinding::ok(name, format!("{url} has the tables, and keeps what it acknowledges"))
        }
    })
}

async fn look(url: &StoreUrl, rules: &StoreRules) -> anyhow::Result<DbDurability> {
    let address = super::super::database::address(rules, &url.expose())?;
    let database = Database::open(address).await?;
    match database.arriving_from().await? {
        Some(from) => Err(PresenceError::Arriving { from }.into()),
        None => Ok(database.durability().await?),
    }
}
