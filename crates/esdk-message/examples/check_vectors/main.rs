//! Checks AWS's published message vectors, which are not part of this repository, from a local copy:
//!
//! ```sh
//! cargo run --package esdk-message --example check_vectors FOLDER
//! ```
//!
//! FOLDER has a `manifest.json` of the type `awses-decrypt`, or `commitment-test-vectors.json`. Prints the
//! outcome of each vector. The exit code is 1 if any of them fails.

mod unwrap;
mod vectors;

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use vectors::{Outcome, check};

fn main() -> io::Result<ExitCode> {
    let Some(folder) = env::args_os().nth(1) else {
        return Err(io::Error::other("usage: check_vectors FOLDER"));
    };
    let outcomes = check(Path::new(&folder))?;
    let mut output = io::stdout().lock();
    for (name, outcome) in &outcomes {
        writeln!(output, "{name}: {outcome}")?;
    }
    let failed = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_)));
    let failed = failed.count();
    writeln!(output, "{} vectors, {failed} failed", outcomes.len())?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
