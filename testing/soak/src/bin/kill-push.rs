//! `kill-push`: kills `sealstream push` while it delivers, and counts what is lost.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, process};

use anyhow::Context;
use clap::Parser;
use soak::kills::{KillPlan, run};

/// Pushes a file with `sealstream push`, kills it while it delivers, resumes it, and counts the
/// records that are lost or repeated.
///
/// SIGTERM and SIGKILL take turns, at random moments, some during an outage of a Region. After SIGTERM
/// the next push goes on from the line that the last one named; after SIGKILL it begins where the last
/// one began. The exit code is 0 only if no record is lost.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Records of the file
    #[arg(long, default_value_t = 100_000)]
    records: usize,

    /// Processes to kill
    #[arg(long, default_value_t = 10)]
    kills: usize,

    /// Seed of the moments and outages; random by default
    #[arg(long)]
    seed: Option<u64>,

    /// The program `sealstream`; the one beside this program by default
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let program = match args.program {
        Some(program) => program,
        None => env::current_exe().context("cannot find the program")?.with_file_name("sealstream"),
    };
    let folder = env::temp_dir().join(format!("kill-push-{}", process::id()));
    let mut stdout = std::io::stdout();
    writeln!(stdout, "seed {seed}")?;
    let plan = KillPlan { program, folder, records: args.records, kills: args.kills, seed };
    let report = run(&plan).await?;
    write!(stdout, "{report}")?;
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
