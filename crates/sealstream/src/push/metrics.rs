//! The file for metrics.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use anyhow::Context;
use record_telemetry::{Metrics, Snapshot};

use crate::output;

/// The dimension `Service` of the program's metrics.
const SERVICE: &str = "sealstream";

/// A file to append metrics to, from which the CloudWatch agent takes them.
pub(crate) struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    pub(crate) fn append_to(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// What was pushed is pushed, whether its metrics can be written or not.
    pub(crate) fn write(self, snapshot: Snapshot) {
        if let Err(error) = Metrics::new(SERVICE).write(snapshot, None, &self.file) {
            let path = self.path.display();
            output::diagnostic(format_args!("cannot write the metrics to {path}: {error}"));
        }
    }
}
