//! `sealstream push`: from the input to the streams.

pub(crate) mod args;
mod distinct;
mod input;
mod lifecycle;
mod metrics;
mod position;
mod problem;
mod rejects;
mod report;
mod run;
pub(crate) mod spool;

use std::fs;
use std::time::Duration;

use anyhow::anyhow;
use aws_config::Region;
use record_pusher::metrics::snapshot;

use crate::aws::load_config;
use crate::exit_code::{CommandError, ExitCode, OrCommandError};
use crate::push::args::PushArgs;
use crate::push::distinct::DistinctFiles;
use crate::push::input::Input;
use crate::push::metrics::MetricsFile;
use crate::push::rejects::Rejects;
use crate::push::report::Report;
use crate::push::run::{Run, Trace};
use crate::push::spool::Spool;
use crate::shutdown::Shutdown;

/// Pushes the records of the input to the streams.
pub(crate) async fn push(args: &PushArgs) -> Result<ExitCode, CommandError> {
    let Files { input, spool, rejects, metrics } = Files::open(args).or_usage()?;
    let regions = &args.pusher.regions;
    let config = load_config(Region::new(regions[0].to_string())).await?;
    let pusher = args.builder().build(&config).await;
    let pusher = pusher.map_err(|error| match error.setting() {
        Some(setting) => anyhow!("--{}: {error}", setting.replace('_', "-")),
        None => anyhow!("invalid settings: {error}"),
    });
    let pusher = pusher.or_usage()?;
    let shutdown = Shutdown::on_signals(Duration::MAX)?;
    let report = Report::new(&args.pusher.stream, regions, input.size(), rejects);
    let reading = input.read(args.input.fail_fast)?;
    let run = Run::new(
        pusher.clone(),
        report,
        spool,
        args.pusher.stream.to_string(),
        args.failures.drain_seconds,
    );
    let trace = Trace::new(args.input.trace_attribute.as_deref(), args.input.traceparent.as_ref());
    let (mut report, lifecycle) = run.until_done(reading, trace, &shutdown).await?;
    report.finish(pusher.stats(), lifecycle.is_interrupted());
    if let Some(metrics) = metrics {
        metrics.write(snapshot(pusher.stats()));
    }
    let exit_code = lifecycle.exit_code(report.is_complete());
    report.print(args.reports.output, exit_code.into());
    Ok(exit_code)
}

/// The files of a push, each in one role.
struct Files {
    input: Input,
    spool: Option<Spool>,
    rejects: Option<Rejects>,
    metrics: Option<MetricsFile>,
}

impl Files {
    fn open(args: &PushArgs) -> anyhow::Result<Self> {
        let input = Input::open(&args.files, args.input.from_line)?;
        let mut distinct = DistinctFiles::default();
        for source in input.sources() {
            if let Some(metadata) = source.metadata() {
                distinct.add_input(source.name(), metadata)?;
            }
        }
        let failures = &args.failures;
        let outputs = [
            ("--spool", &failures.spool),
            ("--rejects", &failures.rejects),
            ("--metrics", &args.reports.metrics),
        ];
        // Before anything is created or locked.
        for (flag, path) in outputs {
            if let Some(metadata) = path.as_ref().and_then(|path| fs::metadata(path).ok()) {
                distinct.add_output(flag, &metadata)?;
            }
        }
        let rejects = failures.rejects.as_deref().map(Rejects::append_to).transpose()?;
        let metrics = args.reports.metrics.as_deref().map(MetricsFile::append_to).transpose()?;
        let spool = failures.spool.as_deref().map(Spool::append_to).transpose()?;
        // Those that were created just now may have the same name.
        let created = [
            ("--spool", spool.as_ref().map(Spool::file)),
            ("--rejects", rejects.as_ref().map(Rejects::file)),
            ("--metrics", metrics.as_ref().map(MetricsFile::file)),
        ];
        let mut distinct = DistinctFiles::default();
        for (flag, file) in created {
            if let Some(file) = file {
                distinct.add_output(flag, &file.metadata()?)?;
            }
        }
        Ok(Self { input, spool, rejects, metrics })
    }
}
