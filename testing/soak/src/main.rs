//! `soak`: sends many records through the whole pipeline in one process.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use soak::{Plan, run};

const EXAMPLE: &str = "\
Example:
  scripts/soak --records 100000 --faults

The same seed pushes the same records and injects the same faults. Which call meets which
fault depends on the order of calls, and so on the machine.";

/// Pushes records through the whole pipeline, against AWS services in this process, and accounts
/// for each of them.
///
/// The exit code is 0 only if every record is accounted for.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLE)]
struct Args {
    /// Records to push, of which about one in thirty is bad on purpose
    #[arg(long, default_value_t = 100_000)]
    records: usize,

    /// Inject faults of services, connections and invocations
    #[arg(long)]
    faults: bool,

    /// Seed of records and faults; random by default
    #[arg(long)]
    seed: Option<u64>,

    /// Maximum bytes of JSON in an aggregate; 0 turns aggregation off
    #[arg(long, default_value_t = 0)]
    aggregate_bytes: usize,

    /// Write an item only if its sequence number is newer
    #[arg(long)]
    versions: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let plan = Plan {
        aggregate_bytes: args.aggregate_bytes,
        versions: args.versions,
        ..Plan::new(seed, args.records, args.faults)
    };
    let mut stdout = std::io::stdout();
    writeln!(stdout, "seed {seed}")?;
    let report = run(&plan).await?;
    writeln!(stdout, "peak memory: {}", peak_memory().as_deref().unwrap_or("unknown"))?;
    writeln!(stdout, "{report}")?;
    let accounted = report.problems.is_empty();
    Ok(if accounted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Peak resident memory according to Linux, including the accounting.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().to_owned())
}
