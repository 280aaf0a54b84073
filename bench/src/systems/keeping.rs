//! Systems that keep messages in a folder.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Line, Programs, Removed, Running, Sync, System};

/// A system that runs, and its folder, which is removed with the value.
#[derive(Debug)]
pub(crate) struct Keeping {
    // The system ends before its folder does.
    pub(crate) running: Running,
    _folder: Removed,
}

impl Programs {
    /// Starts a system in an empty folder.
    pub(crate) fn start_keeping(&self, system: System, sync: Sync) -> Result<Keeping> {
        let folder = self.data.join("kept");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let folder = Removed(folder);
        let running = self.start_in(&folder.0, system, sync)?;
        Ok(Keeping { running, _folder: folder })
    }

    /// Starts a system in a folder, which stays.
    pub(crate) fn start_in(&self, folder: &Path, system: System, sync: Sync) -> Result<Running> {
        // Others are started in another folder.
        let data = std::path::absolute(folder)?;
        Programs { data, ..self.clone() }.start_as(system, "", Line::Keeping(sync))
    }
}
