//! What a session remembers of the frames before, while it has a thread.

use crate::broker::Rights;
use crate::codec::{BufferPool, Workspace};
use crate::wire::Recent;

/// What a session remembers, and what that is made of.
#[derive(Debug)]
pub(super) struct Remembered {
    rights: Rights,
    spares: BufferPool,
    workspace: Workspace,
    /// Made when it is needed.
    recent: Option<Box<Recent>>,
}

impl Remembered {
    pub(super) fn new(spares: BufferPool, workspace: Workspace) -> Remembered {
        Remembered { rights: Rights::default(), spares, workspace, recent: None }
    }

    /// What is remembered.
    pub(super) fn get(&mut self) -> &mut Recent {
        let Remembered { rights, spares, workspace, recent } = self;
        recent.get_or_insert_with(|| {
            let mut recent = Box::new(Recent::new(spares.clone(), workspace.clone()));
            recent.have_rights(rights.clone());
            recent
        })
    }

    /// Says what the client may do from here on.
    pub(super) fn have_rights(&mut self, rights: Rights) {
        if let Some(recent) = &mut self.recent {
            recent.have_rights(rights.clone());
        }
        self.rights = rights;
    }

    /// Forgets all that is soon learned again.
    pub(super) fn forget(&mut self) {
        self.recent = None;
    }
}
