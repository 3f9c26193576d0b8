//! `access.json`: sessions and tokens of a home.

use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use skein_base::files::open_regular;
use skein_base::tasks::{BlockingPool, Tasks};
use skein_store::home::durable::{self, Readers};

use super::records::{
    AccessError, CredentialChange, CredentialNews, CredentialRecord, CredentialStore, EndedCredential, Stored,
};
use crate::policy;

/// The version of the file. A reader refuses a higher one.
pub(super) const VERSION: u32 = 1;

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AccessFile {
    version: u32,
    credentials: Vec<Stored>,
    ended: Vec<EndedCredential>,
}

/// The version of a file of any version.
#[derive(Deserialize)]
struct AnyVersion {
    version: u32,
}

impl AccessFile {
    fn of(records: Vec<CredentialRecord>) -> Self {
        let mut file = Self { version: VERSION, credentials: Vec::new(), ended: Vec::new() };
        for record in records {
            match record {
                CredentialRecord::Open(stored) => file.credentials.push(stored),
                CredentialRecord::Ended(ended) => file.ended.push(ended),
                CredentialRecord::Unreadable(_) => {}
            }
        }
        file
    }

    fn records(self) -> Vec<CredentialRecord> {
        let open = self.credentials.into_iter().map(CredentialRecord::Open);
        open.chain(self.ended.into_iter().map(CredentialRecord::Ended)).collect()
    }

    /// Reads the file, which may be missing. Blocks.
    fn read(path: &Path) -> Result<Self, AccessError> {
        let fault = |source| AccessError::Io { path: path.to_owned(), source };
        let damaged = |source| AccessError::Damaged { path: path.to_owned(), source };
        let file = match open_regular(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::of(Vec::new())),
            other => other.map_err(fault)?,
        };
        let mut bytes = Vec::new();
        file.take(policy::ACCESS_FILE_BYTES).read_to_end(&mut bytes).map_err(fault)?;
        let AnyVersion { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if version > VERSION {
            return Err(AccessError::Newer { path: path.to_owned(), version });
        }
        serde_json::from_slice(&bytes).map_err(damaged)
    }

    /// Replaces the file, for its owner only. Blocks.
    fn write(&self, path: &Path) -> Result<(), AccessError> {
        let fault = |source| AccessError::Io { path: path.to_owned(), source };
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| fault(error.into()))?;
        bytes.push(b'\n');
        durable::replace_for(path, &bytes, Readers::Owner).map_err(fault).map(drop)
    }
}

/// The file of a home, which one process has.
#[derive(Debug)]
pub struct CredentialFile {
    path: PathBuf,
    tasks: Tasks,
    is_read: AtomicBool,
}

impl CredentialFile {
    /// The file at `path`, which may be missing. Its reads and writes are blocking work of these tasks.
    pub fn new(path: PathBuf, tasks: Tasks) -> Self {
        Self { path, tasks, is_read: AtomicBool::new(false) }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, AccessError> + Send + 'static,
    ) -> Result<T, AccessError> {
        let path = self.path.clone();
        match self.tasks.blocking("credentials", BlockingPool::Sync, move || work(&path)).await {
            Ok(done) => done,
            // The tracker has logged it.
            Err(_) => {
                let source = io::Error::other("the work broke off; the log has more");
                Err(AccessError::Io { path: self.path.clone(), source })
            }
        }
    }
}

#[async_trait]
impl CredentialStore for CredentialFile {
    async fn read(&self) -> Result<CredentialNews, AccessError> {
        if self.is_read.load(Ordering::Relaxed) {
            return Ok(CredentialNews::default());
        }
        let records = self.blocking(|path| AccessFile::read(path).map(AccessFile::records)).await?;
        self.is_read.store(true, Ordering::Relaxed);
        Ok(CredentialNews { records, is_all: true })
    }

    async fn write(&self, change: CredentialChange) -> Result<(), AccessError> {
        self.blocking(move |path| AccessFile::of(change.all).write(path)).await
    }

    async fn changed(&self) {
        std::future::pending().await
    }
}

/// Whether other users can read or write the file; false without a file.
pub fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|seen| seen.permissions().mode() & 0o077 != 0)
}

/// Warns in the log if other users can read or write this file. `advice` is what to do about `what` it has.
pub fn warn_if_open_to_others(path: &Path, what: &str, advice: &str) {
    if is_open_to_others(path) {
        tracing::warn!(path = %path.display(), "others can read or write {what}: chmod 600 it{advice}");
    }
}
