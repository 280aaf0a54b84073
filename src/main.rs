//! The `babelmq` command; see `src/cli` for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    babelmq::cli::run()
}
