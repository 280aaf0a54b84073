//! The files by which a broker and the servers of its backbone know each other, as arguments.

use std::path::PathBuf;

use crate::backbone::JetstreamOptions;

/// What is shown to the servers of a backbone, and what they have to show.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct BackboneFiles {
    /// A file of credentials for the servers of --backbone, as nsc makes them.
    #[arg(long, value_name = "FILE", env = "BABELMQ_BACKBONE_CREDENTIALS")]
    backbone_credentials: Option<PathBuf>,

    /// The authorities that may have signed the certificates of --backbone's servers, in PEM; those
    /// of the system where it is not given.
    #[arg(long, value_name = "FILE", env = "BABELMQ_BACKBONE_CA")]
    backbone_ca: Option<PathBuf>,
}

impl BackboneFiles {
    /// Options that name these files.
    pub(super) fn of(&self, options: &JetstreamOptions) -> JetstreamOptions {
        let mut options = options.clone();
        if let Some(file) = &self.backbone_credentials {
            options = options.credentials(file);
        }
        if let Some(file) = &self.backbone_ca {
            options = options.ca(file);
        }
        options
    }
}
