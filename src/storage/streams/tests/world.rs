//! Files in memory, on a disk that forgets at a power cut what was not synchronised: each write and
//! each name by itself, in any order but for names that are removed. It may be full, or fail to
//! synchronise.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::files::{Files, Handle, LogFile};

/// Names that an operation gives or takes, together.
type Renaming = Vec<(PathBuf, Option<usize>)>;

#[derive(Clone, Debug, Default)]
pub(super) struct World(pub(super) Arc<Mutex<State>>);

#[derive(Debug, Default)]
pub(super) struct State {
    contents: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    safe_names: BTreeMap<PathBuf, usize>,
    /// Operations on names since their directory was synchronised.
    renamed: Vec<Renaming>,
    directories: BTreeSet<PathBuf>,
    /// After so many more operations there is no power.
    pub(super) power: Option<u64>,
    /// Bytes that files may grow yet.
    pub(super) room: Option<u64>,
    pub(super) is_read_only: bool,
    /// Bytes that were read.
    pub(super) read: u64,
    /// The next synchronisation of a file fails, and the system forgets that it was written.
    pub(super) forgets_once: bool,
}

#[derive(Clone, Debug, Default)]
struct Content {
    cached: Vec<u8>,
    safe: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
enum Pending {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

fn apply(bytes: &mut Vec<u8>, pending: &Pending) {
    match pending {
        Pending::Write(at, written) => {
            if bytes.len() < at + written.len() {
                bytes.resize(at + written.len(), 0);
            }
            bytes[*at..at + written.len()].copy_from_slice(written);
        }
        Pending::SetLen(len) => bytes.resize(*len, 0),
    }
}

impl State {
    fn operate(&mut self) -> io::Result<()> {
        if self.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        match &mut self.power {
            Some(0) => Err(io::Error::other("there is no power")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn rename(&mut self, renaming: Renaming) {
        for (path, content) in &renaming {
            match content {
                Some(content) => self.names.insert(path.clone(), *content),
                None => self.names.remove(path),
            };
        }
        self.renamed.push(renaming);
    }

    fn content(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl World {
    /// The disk after the power has come back.
    pub(super) fn after_a_cut(&self, random: &mut impl FnMut() -> u64) -> World {
        let state = self.0.lock();
        let mut names = state.safe_names.clone();
        // Names that are taken away go in their order, as in the journal of a file system.
        let mut is_removing = true;
        for renaming in &state.renamed {
            let removes = renaming.iter().all(|name| name.1.is_none());
            let happened = random().is_multiple_of(2) && (is_removing || !removes);
            is_removing &= happened || !removes;
            if happened {
                for (path, content) in renaming {
                    match content {
                        Some(content) => names.insert(path.clone(), *content),
                        None => names.remove(path),
                    };
                }
            }
        }
        let mut contents = state.contents.clone();
        for content in &mut contents {
            for pending in &content.pending {
                match (random() % 4, pending) {
                    (0 | 1, _) => {}
                    // Some of it was written.
                    (2, Pending::Write(at, written)) => {
                        let part = (random() % (written.len() as u64 + 1)) as usize;
                        apply(&mut content.safe, &Pending::Write(*at, written[..part].to_vec()));
                    }
                    _ => apply(&mut content.safe, pending),
                }
            }
            content.cached.clone_from(&content.safe);
            content.pending.clear();
        }
        World(Arc::new(Mutex::new(State {
            contents,
            safe_names: names.clone(),
            names,
            directories: state.directories.clone(),
            ..State::default()
        })))
    }

    /// The disk as it is, with a bit of one file flipped.
    pub(super) fn with_flipped(&self, path: &Path, bit: usize) -> World {
        self.with(path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8))
    }

    /// The disk as it is, with one file changed.
    pub(super) fn with(&self, path: &Path, change: impl FnOnce(&mut [u8])) -> World {
        let state = self.0.lock();
        let mut contents = state.contents.clone();
        change(&mut contents[state.names[path]].cached);
        World(Arc::new(Mutex::new(State {
            contents,
            names: state.names.clone(),
            directories: state.directories.clone(),
            ..State::default()
        })))
    }

    /// All files, and how long they are.
    pub(super) fn files(&self) -> Vec<(PathBuf, usize)> {
        let state = self.0.lock();
        let len = |content: &usize| state.contents[*content].cached.len();
        state.names.iter().map(|(path, content)| (path.clone(), len(content))).collect()
    }

    fn handle(&self, content: usize) -> Handle {
        Arc::new(Open { world: self.clone(), content })
    }
}

impl Files for World {
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        let paths = state.names.keys().chain(&state.directories);
        let within = paths.filter(|path| path.parent() == Some(directory));
        Ok(within.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.0.lock().operate()?;
        self.0.lock().directories.insert(path.to_owned());
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Handle> {
        let mut state = self.0.lock();
        state.operate()?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.contents.push(Content::default());
        let content = state.contents.len() - 1;
        state.rename(vec![(path.to_owned(), Some(content))]);
        drop(state);
        Ok(self.handle(content))
    }

    fn open(&self, path: &Path, _: bool) -> io::Result<Handle> {
        let content = self.0.lock().content(path)?;
        Ok(self.handle(content))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let state = self.0.lock();
        Ok(state.contents[state.content(path)?].cached.len() as u64)
    }

    fn names(&self, path: &Path, file: &dyn LogFile) -> io::Result<bool> {
        let content = self.0.lock().names.get(path).copied();
        Ok(content.map(|content| (0, content as u64)) == Some(file.identity()?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate()?;
        let content = state.content(from)?;
        state.rename(vec![(from.to_owned(), None), (to.to_owned(), Some(content))]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate()?;
        state.content(path)?;
        state.rename(vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.0.lock().names.retain(|name, _| !name.starts_with(path));
        self.0.lock().directories.remove(path);
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.operate()?;
        let is_there = |name: &Path| name.parent() == Some(path);
        let State { names, safe_names, renamed, .. } = &mut *state;
        safe_names.retain(|name, _| !is_there(name));
        for (name, content) in names.iter().filter(|name| is_there(name.0)) {
            safe_names.insert(name.clone(), *content);
        }
        renamed.retain(|renaming| !renaming.iter().any(|name| is_there(&name.0)));
        Ok(())
    }
}

#[derive(Debug)]
struct Open {
    world: World,
    content: usize,
}

impl LogFile for Open {
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let mut state = self.world.0.lock();
        let there = state.contents[self.content].cached.get(at as usize..).unwrap_or_default();
        let read = there.len().min(bytes.len());
        bytes[..read].copy_from_slice(&there[..read]);
        state.read += read as u64;
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.world.0.lock();
        state.operate()?;
        let len = state.contents[self.content].cached.len();
        let growth = (at as usize + bytes.len()).saturating_sub(len) as u64;
        let room = state.room.unwrap_or(u64::MAX);
        let fits = growth <= room;
        // What has room is written before it fails.
        let part = if fits { bytes } else { &bytes[..(len as u64 + room - at) as usize] };
        if let Some(left) = &mut state.room {
            *left -= growth.min(room);
        }
        let pending = Pending::Write(at as usize, part.to_vec());
        let content = &mut state.contents[self.content];
        apply(&mut content.cached, &pending);
        content.pending.push(pending);
        if fits { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.world.0.lock().contents[self.content].cached.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.world.0.lock();
        state.operate()?;
        let content = &mut state.contents[self.content];
        let freed = (content.cached.len() as u64).saturating_sub(len);
        apply(&mut content.cached, &Pending::SetLen(len as usize));
        content.pending.push(Pending::SetLen(len as usize));
        if let Some(room) = &mut state.room {
            *room += freed;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.world.0.lock();
        state.operate()?;
        if std::mem::take(&mut state.forgets_once) {
            state.contents[self.content].pending.clear();
            return Err(io::Error::other("the disk did not answer"));
        }
        let content = &mut state.contents[self.content];
        content.safe.clone_from(&content.cached);
        content.pending.clear();
        Ok(())
    }

    fn identity(&self) -> io::Result<(u64, u64)> {
        Ok((0, self.content as u64))
    }
}
