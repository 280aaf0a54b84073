//! Systems that have a folder, where they keep messages.

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
        self.start_with_folder(system, Line::Keeping(sync))
    }

    /// Starts a system that speaks MQTT. NATS needs a folder for that.
    pub(crate) fn start_mqtt(&self, system: System) -> Result<Keeping> {
        self.start_with_folder(system, Line::Mqtt)
    }

    fn start_with_folder(&self, system: System, line: Line) -> Result<Keeping> {
        let folder = self.data.join("kept");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let folder = Removed(folder);
        let running = self.start_there(&folder.0, system, line)?;
        Ok(Keeping { running, _folder: folder })
    }

    /// Starts a system in a folder, which stays.
    pub(crate) fn start_in(&self, folder: &Path, system: System, sync: Sync) -> Result<Running> {
        self.start_there(folder, system, Line::Keeping(sync))
    }

    fn start_there(&self, folder: &Path, system: System, line: Line) -> Result<Running> {
        // Others are started in another folder.
        let data = std::path::absolute(folder)?;
        Programs { data, ..self.clone() }.start_as(system, "", line)
    }
}
