//! Users' reports: one file each, in a folder of the home. The server never reads, sends or removes them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Serialize;
use skein_protocol::error::WireError;
use skein_protocol::feedback::FeedbackUploadParams;
use skein_store::home::{durable, make_folder};
use uuid::Uuid;

use crate::policy;

/// A report in its file's form.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeedbackReport {
    /// The name of the file.
    #[serde(skip)]
    pub(crate) id: Uuid,
    /// When it arrived, in Unix milliseconds.
    pub(crate) at_ms: i64,
    /// The client's name.
    pub(crate) originator: String,
    /// The client's request.
    #[serde(flatten)]
    pub(crate) params: FeedbackUploadParams,
}

/// Why a report is not saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedbackError {
    /// It is too large.
    #[error("this feedback has {bytes} bytes, more than {most}; shorten it", most = policy::FEEDBACK_BYTES)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// There are too many.
    #[error("{} has {most} reports already; whoever runs the server has to clear it", folder.display(), most = policy::FEEDBACK_REPORTS)]
    Full {
        /// The folder.
        folder: PathBuf,
    },
    /// The disk refuses it.
    #[error("{}: {source}", path.display())]
    Io {
        /// The attempted path.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl FeedbackError {
    pub(crate) fn to_wire(&self) -> WireError {
        let text = self.to_string();
        match self {
            Self::TooLarge { .. } => WireError::invalid_params("feedbackTooLarge", text),
            Self::Full { .. } => WireError::invalid_request("feedbackFull", text),
            Self::Io { .. } => WireError::internal("feedbackNotKept", text),
        }
    }
}

/// Writes the report into `folder`, which is created if missing. It is on disk, with its folder entry, on return.
/// Blocks.
///
/// # Errors
/// [`FeedbackError`]; nothing was written.
pub(crate) fn keep(folder: &Path, report: &FeedbackReport) -> Result<PathBuf, FeedbackError> {
    let fault = |path: &Path| {
        let path = path.to_owned();
        move |source| FeedbackError::Io { path, source }
    };
    let mut content = serde_json::to_vec_pretty(report).map_err(|error| fault(folder)(error.into()))?;
    content.push(b'\n');
    if content.len() > policy::FEEDBACK_BYTES {
        return Err(FeedbackError::TooLarge { bytes: content.len() });
    }
    make_folder(folder).map_err(|error| fault(folder)(io::Error::other(error)))?;
    if fs::read_dir(folder).map_err(fault(folder))?.count() >= policy::FEEDBACK_REPORTS {
        return Err(FeedbackError::Full { folder: folder.to_owned() });
    }
    let file = folder.join(format!("{}.json", report.id));
    durable::replace(&file, &content).map_err(fault(&file))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::{Value, json};

    use super::*;

    fn report(id: u128, reason: &str) -> FeedbackReport {
        let params = json!({ "classification": "bug", "reason": reason, "includeLogs": true });
        let params = serde_json::from_value(params).unwrap();
        FeedbackReport { id: Uuid::from_u128(id), at_ms: 5, originator: "a-client".to_owned(), params }
    }

    #[test]
    fn a_report_is_a_file_that_only_its_user_can_read() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("feedback");
        let file = keep(&folder, &report(1, "slow")).unwrap();
        let params: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(params["reason"], "slow");
        assert_eq!((&params["originator"], &params["atMs"]), (&json!("a-client"), &json!(5)));
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
    }

    #[test]
    fn reports_are_bounded_in_size_and_number() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("feedback");
        let long = report(1, &"x".repeat(policy::FEEDBACK_BYTES));
        assert!(matches!(keep(&folder, &long), Err(FeedbackError::TooLarge { .. })));
        assert!(!folder.exists());
        fs::create_dir(&folder).unwrap();
        for number in 0..policy::FEEDBACK_REPORTS {
            fs::write(folder.join(number.to_string()), "").unwrap();
        }
        assert!(matches!(keep(&folder, &report(2, "one more")), Err(FeedbackError::Full { .. })));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), policy::FEEDBACK_REPORTS);
    }
}
