//! `babelmq backup`: a copy of a running broker's data directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::Address;
use super::failure::Failure;
use crate::storage;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to: a directory that is made where there is none, and that holds no values yet. `serve
    /// --data-dir`, `export` and `topics --data-dir` read it.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The broker's data directory, on this machine; its user must be able to read it.
    #[arg(long, value_name = "DIR", env = "BABELMQ_DATA_DIR")]
    data_dir: PathBuf,
    /// How long the broker may take to write the copy, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    patience: u32,
    #[command(flatten)]
    broker: Address,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let file_error =
        |path: &Path, error: io::Error| Failure::File { place: path.display().to_string(), error };
    let to = args.directory.join(storage::FILE);
    if to.exists() {
        return Err(Failure::Other(format!(
            "{} is there already; name a directory that holds no values, or move it away",
            to.display()
        )));
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&args.directory)
        .map_err(|error| file_error(&args.directory, error))?;
    let broker = args.broker.broker()?;
    let failed = broker.failed();
    let mut client = broker.connect().map_err(&failed)?;
    let name = client.backup(Duration::from_secs(args.patience.into())).map_err(&failed)?;
    // Whatever answers there does not say what is read and removed here.
    if !storage::is_name(&name) {
        return Err(Failure::Other(format!(
            "{name:?} is not how a broker calls a backup; nothing was copied"
        )));
    }
    let from = args.data_dir.join(&name);
    let file = File::open(&from).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::Other(format!(
            "the broker has made a backup, and {} is not there: is {} its data directory? It is \
             also gone if another \
             backup was asked for meanwhile; ask again then",
            from.display(),
            args.data_dir.display()
        )),
        _ => file_error(&from, error),
    })?;
    copy(file, &to).map_err(|error| file_error(&to, error))?;
    fs::remove_file(&from).map_err(|error| file_error(&from, error))
}

/// Copies a file; under its name it is whole, and on the disk.
fn copy(mut from: File, to: &Path) -> io::Result<()> {
    let unfinished = to.with_extension("redb.new");
    let copied = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        io::copy(&mut from, &mut file)?;
        file.sync_all()?;
        fs::rename(&unfinished, to)
    })();
    if copied.is_err() {
        // Half of it is of no use, and its room may be what is wanting.
        let _ = fs::remove_file(&unfinished);
    }
    copied?;
    File::open(to.parent().unwrap_or(to))?.sync_all()
}
