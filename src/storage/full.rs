//! Writing to a disk that is full: what frees space goes first, and the rest when the reserve is
//! there again.

use std::io;

use redb::{Database, ReadableDatabase};

use super::{Storage, VALUES, cannot, record};
use crate::broker::{Change, StoreError};

/// What a commit on a full disk takes at most: it needs room for itself before it frees any.
const PIECE: usize = 64;
const PIECE_BYTES: usize = 256 << 10;

impl Storage {
    /// Writes while the disk is full: what frees space, in commits that need little of it. The rest
    /// is written as soon as the reserve can be kept aside again, for it must be there for the next
    /// time.
    pub(super) fn write_when_full(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let (mut piece, mut bytes, mut rest) = (Vec::new(), 0, Vec::new());
        for change in changes {
            let Some(frees) = self.frees(change).map_err(|error| self.failed(error))? else {
                rest.push(change.clone());
                continue;
            };
            self.freed += frees;
            bytes += frees;
            piece.push(change.clone());
            if self.in_pieces && (piece.len() >= PIECE || bytes >= PIECE_BYTES) {
                self.commit_piece(&piece)?;
                piece.clear();
                bytes = 0;
            }
        }
        self.commit_piece(&piece)?;
        if self.left_out.is_none() {
            if let Err(error) = self.regain() {
                if !rest.is_empty() {
                    self.left_out = Some(cannot("write to", &self.path, error));
                }
                return Ok(());
            }
            self.write_changes(&rest).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn commit_piece(&mut self, piece: &[Change]) -> Result<(), StoreError> {
        if piece.is_empty() {
            return Ok(());
        }
        self.write_changes(piece).map_err(|error| self.failed(error))?;
        match self.transaction.take() {
            None => Ok(()),
            Some(transaction) => transaction.commit().map_err(|error| self.failed(error.into())),
        }
    }

    /// How many bytes a change takes out of the file, if it puts in no more than it takes out.
    fn frees(&mut self, change: &Change) -> Result<Option<usize>, redb::Error> {
        let Some(database) = &self.database else { return Err(redb::Error::DatabaseClosed) };
        let (topic, len) = match change {
            Change::Forget(topic) => (topic.as_str(), 0),
            Change::Keep { stored, expires } => {
                record::write(stored, *expires, &mut self.record);
                (stored.topic().as_str(), self.record.len())
            }
        };
        let values = database.begin_read()?.open_table(VALUES)?;
        let before = values.get(topic)?.map(|record| record.value().len());
        Ok(match (change, before) {
            (Change::Forget(_), before) => Some(before.unwrap_or(0)),
            (Change::Keep { .. }, before) => before.filter(|before| *before >= len),
        })
    }

    /// Keeps space aside again, if there is room: what was freed in the file is given back to the
    /// disk for that.
    fn regain(&mut self) -> io::Result<()> {
        let Some(reserve) = &self.reserve else {
            self.full = false;
            return Ok(());
        };
        let kept = match reserve.keep() {
            Err(_) if self.freed > 0 => {
                self.freed = 0;
                // Where this fails, the next commit says why.
                let _ = self.database.as_mut().map(Database::compact);
                reserve.keep()
            }
            kept => kept,
        };
        if kept.is_ok() {
            (self.full, self.freed) = (false, 0);
        }
        kept
    }
}
