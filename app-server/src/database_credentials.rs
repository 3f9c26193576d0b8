//! Sessions and tokens in the database of the threads, so that every server of the database knows them.

use async_trait::async_trait;
use skein_config::access::{
    AccessError, CredentialChange, CredentialNews, CredentialRecord, CredentialStore,
};
use skein_postgres::credentials::{ChangedCredentials, CredentialRow, CredentialRows, CredentialsAway};
use uuid::Uuid;

/// The credentials of a database.
#[derive(Debug)]
pub struct DatabaseCredentials(CredentialRows);

impl DatabaseCredentials {
    /// Those in these rows, which nobody has read before.
    pub fn new(rows: CredentialRows) -> Self {
        Self(rows)
    }
}

fn away(error: CredentialsAway) -> AccessError {
    AccessError::Database(error.to_string())
}

fn row(record: &CredentialRecord) -> Result<CredentialRow, AccessError> {
    Ok(CredentialRow {
        id: record.id(),
        token: record.unique_name().map(str::to_owned),
        ended_at: record.ended_at().map(|at| at.0),
        body: serde_json::to_string(record).map_err(AccessError::Record)?,
    })
}

/// A record of a later version may have a member that restricts it, so it is not read in part.
fn record(row: &(Uuid, String)) -> CredentialRecord {
    let (id, body) = row;
    serde_json::from_str(body).unwrap_or_else(|error| {
        tracing::error!(
            %id, %error,
            "nobody comes in with this record of the table credentials: start the version that wrote it, or delete the record"
        );
        CredentialRecord::Unreadable(*id)
    })
}

#[async_trait]
impl CredentialStore for DatabaseCredentials {
    async fn read(&self) -> Result<CredentialNews, AccessError> {
        let ChangedCredentials { rows, is_all } = self.0.read().await.map_err(away)?;
        Ok(CredentialNews { records: rows.iter().map(record).collect(), is_all })
    }

    async fn write(&self, change: CredentialChange) -> Result<(), AccessError> {
        let rows: Vec<CredentialRow> = change.changed.iter().map(row).collect::<Result<_, _>>()?;
        if rows.is_empty() {
            return Ok(());
        }
        self.0.write(&rows, change.oldest_end.0).await.map_err(away)
    }

    async fn changed(&self) {
        self.0.changed().await;
    }
}
