//! Progress, problems and the summary.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use record_pusher::{
    CipherError, CmmStats, DeliveryError, ErrorKind, Outcome, PushError, PusherStats, RegionName,
    StreamName,
};
use serde::Serialize;

use crate::aws_failure::{encryption_next_step, stream_error, with_profile};
use crate::output;
use crate::push::args::Output;
use crate::push::position::Position;
use crate::push::problem::{Folds, Problem};
use crate::push::rejects::Rejects;

/// Everything that is said about a push. Shows a progress bar if standard error is a terminal.
pub(crate) struct Report {
    stream: StreamName,
    bar: ProgressBar,
    folds: Folds,
    rejects: Option<Rejects>,
    summary: Summary,
    /// The first record that is nowhere: not delivered to some Region, and not spooled for it.
    first_lost: Option<Position>,
    /// Where the reading ended early.
    next: Option<Position>,
    /// The first error that an operator has to resolve, and the next step.
    operator_error: Option<(String, Option<String>)>,
}

#[derive(Default, Serialize)]
struct Summary {
    /// Lines that contained a record.
    records: u64,
    /// Records that reached every Region.
    delivered: u64,
    undelivered: u64,
    rejected_lines: u64,
    /// Whether a signal ended the reading of input.
    interrupted: bool,
    /// Whether messages that were not delivered may be missing in the spool.
    spool_failed: bool,
    plaintext_bytes: u64,
    elapsed_seconds: f64,
    /// The line from which to push again. Everything before it is delivered, spooled or rejected.
    continue_from: Option<ContinueFrom>,
    regions: BTreeMap<String, RegionSummary>,
    cache: CacheSummary,
    exit_code: u8,
}

#[derive(Serialize)]
struct ContinueFrom {
    file: String,
    line: u64,
    /// In bytes, in the decompressed file.
    offset: u64,
}

#[derive(Default, Serialize)]
struct RegionSummary {
    delivered: u64,
    /// Records that were not delivered, those in the spool included.
    undelivered: u64,
    spooled: u64,
    /// Attempts of single messages that the stream throttled, or that failed otherwise.
    throttled_attempts: u64,
    failed_attempts: u64,
}

#[derive(Default, Serialize)]
struct CacheSummary {
    hits: u64,
    misses: u64,
    /// Share of records encrypted without a new data key.
    hit_rate: f64,
}

impl From<CmmStats> for CacheSummary {
    fn from(stats: CmmStats) -> Self {
        Self {
            hits: stats.hits,
            misses: stats.calls,
            hit_rate: stats.hit_rate().unwrap_or_default(),
        }
    }
}

impl Report {
    /// `size` is that of the input in bytes, if it is known.
    pub(crate) fn new(
        stream: &StreamName,
        regions: &[RegionName],
        size: Option<u64>,
        rejects: Option<Rejects>,
    ) -> Self {
        let regions = regions.iter().map(|name| (name.to_string(), RegionSummary::default()));
        let summary = Summary { regions: regions.collect(), ..Summary::default() };
        Self {
            stream: stream.clone(),
            bar: progress_bar(size),
            folds: Folds::default(),
            rejects,
            summary,
            first_lost: None,
            next: None,
            operator_error: None,
        }
    }

    /// Counts and names a line that was rejected.
    pub(crate) fn rejected(&mut self, position: &Position, problem: Problem) {
        self.summary.rejected_lines += 1;
        self.reject(position, &problem.full_text());
        if problem.is_unread() {
            self.lost(position);
        }
        self.problem(position, problem);
    }

    /// Notes where reading would go on; `None` after the end of the input.
    pub(crate) fn read_up_to(&mut self, next: Option<Position>) {
        self.next = next;
    }

    /// Whether the input was read to its end.
    pub(crate) fn is_at_end(&self) -> bool {
        self.next.is_none()
    }

    /// Counts a record, and names it if it was not delivered. `is_spooled` says whether its message
    /// is in the spool for the Regions that can read it.
    pub(crate) fn pushed(
        &mut self,
        position: &Position,
        bytes: usize,
        outcome: &Result<Outcome, PushError>,
        is_spooled: bool,
        cache: impl FnOnce() -> CmmStats,
    ) {
        self.summary.plaintext_bytes += bytes as u64;
        self.summary.records += 1;
        match outcome {
            Ok(outcome) if outcome.is_delivered() => {
                self.summary.delivered += 1;
                self.summary.regions.values_mut().for_each(|region| region.delivered += 1);
            }
            Ok(outcome) => self.partly_delivered(position, outcome, is_spooled),
            Err(error) => self.not_sent(position, error),
        }
        // Showing costs more than counting.
        if self.summary.records.is_multiple_of(256) {
            self.bar.set_position(self.summary.plaintext_bytes);
            self.bar.set_message(self.message(cache()));
        }
    }

    fn partly_delivered(&mut self, position: &Position, outcome: &Outcome, is_spooled: bool) {
        self.summary.undelivered += 1;
        for (name, delivery) in outcome.regions() {
            let region = self.summary.regions.entry(name.to_string()).or_default();
            let Err(error) = delivery else {
                region.delivered += 1;
                continue;
            };
            region.undelivered += 1;
            let is_kept = is_spooled && error.message_is_readable();
            region.spooled += u64::from(is_kept);
            if !is_kept {
                self.lost(position);
                self.reject(position, &format!("not delivered to {name}: {}", error.reason));
            }
            if error.kind == ErrorKind::Operator && self.operator_error.is_none() {
                let text = format!("{} ({})", error.reason, error.code);
                let (stream, region) = (self.stream.as_str(), name.as_str());
                self.operator_error = Some(stream_error(stream, region, &text, error.cause));
            }
            self.problem(position, undelivered(name, error));
        }
    }

    fn not_sent(&mut self, position: &Position, error: &PushError) {
        self.summary.undelivered += 1;
        self.summary.regions.values_mut().for_each(|region| region.undelivered += 1);
        let text = with_profile(error.clone(), name_profile).to_string();
        self.reject(position, &text);
        // A record that is at fault does not get better by pushing it again.
        if error.kind() != ErrorKind::Record {
            self.lost(position);
        }
        if error.kind() == ErrorKind::Operator && self.operator_error.is_none() {
            self.operator_error = Some((text.clone(), next_step_for(error)));
        }
        self.problem(position, Problem::of_record(text));
    }

    fn lost(&mut self, position: &Position) {
        if self.first_lost.as_ref().is_none_or(|first| position.is_before(first)) {
            self.first_lost = Some(position.clone());
        }
    }

    /// Says that undelivered messages are not kept any more.
    pub(crate) fn spool_failed(&mut self, error: &anyhow::Error) {
        self.summary.spool_failed = true;
        self.say(&format!("warning: {error:#}; undelivered messages are not kept any more"));
    }

    /// Adds a line to the file for rejected lines.
    fn reject(&mut self, position: &Position, reason: &str) {
        if let Some(rejects) = &mut self.rejects
            && let Err(error) = rejects.add(position, reason)
        {
            self.rejects = None;
            self.summary.spool_failed = true;
            self.say(&format!("warning: {error:#}; rejected lines are not listed any more"));
        }
    }

    fn problem(&mut self, position: &Position, problem: Problem) {
        if let Some(message) = self.folds.add(position, problem) {
            self.say(&message);
        }
    }

    /// Shows the problems so far.
    pub(crate) fn show_problems(&mut self) {
        let messages = self.folds.take();
        messages.iter().for_each(|message| self.say(message));
    }

    /// Prints a line above the progress bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| output::diagnostic(line));
    }

    fn message(&self, cache: CmmStats) -> String {
        let Summary { records, undelivered, rejected_lines, .. } = self.summary;
        let hit_rate = 100.0 * cache.hit_rate().unwrap_or_default();
        let failures = HumanCount(undelivered + rejected_lines);
        format!("{} records, {failures} failed, {hit_rate:.1}% hits", HumanCount(records))
    }

    /// Ends the progress bar, and shows all that was held back.
    pub(crate) fn finish(&mut self, stats: PusherStats, interrupted: bool) {
        self.bar.finish_and_clear();
        self.show_problems();
        if let Some(rejects) = &mut self.rejects
            && let Err(error) = rejects.flush()
        {
            self.summary.spool_failed = true;
            self.say(&format!("warning: {error:#}"));
        }
        self.summary.interrupted = interrupted;
        self.summary.elapsed_seconds = self.bar.elapsed().as_secs_f64();
        self.summary.cache = stats.cipher.data_keys.into();
        for (name, stats) in stats.regions {
            let region = self.summary.regions.entry(name.to_string()).or_default();
            region.throttled_attempts = stats.throttled_attempts;
            region.failed_attempts = stats.failed_attempts;
        }
        let next = match (self.first_lost.take(), self.next.take()) {
            (Some(lost), Some(next)) if next.is_before(&lost) => Some(next),
            (lost, next) => lost.or(next),
        };
        self.summary.continue_from = next.map(|Position { file, line, offset, .. }| ContinueFrom {
            file: file.to_string(),
            line,
            offset,
        });
    }

    /// Whether every line was a record that reached every Region.
    pub(crate) fn is_complete(&self) -> bool {
        let Summary { undelivered, rejected_lines, spool_failed, continue_from, .. } =
            &self.summary;
        *undelivered == 0 && *rejected_lines == 0 && !spool_failed && continue_from.is_none()
    }

    /// Prints the error that an operator has to resolve, and the summary.
    pub(crate) fn print(&mut self, output: Output, exit_code: u8) {
        self.summary.exit_code = exit_code;
        if let Some((error, next_step)) = &self.operator_error {
            output::diagnostic(format_args!("error: {error}"));
            if let Some(next_step) = next_step {
                output::diagnostic(format_args!("  {next_step}"));
            }
        }
        if let Some(ContinueFrom { file, line, .. }) = &self.summary.continue_from {
            output::diagnostic(format_args!(
                "{file}:{line}: continue from here (--from-line {line})"
            ));
        }
        match output {
            Output::Human => output::diagnostic(self.text().trim_end()),
            Output::Json => {
                let json = serde_json::to_string(&self.summary).expect("a summary is JSON");
                // The exit code tells the fate of the records, whether the summary is read or not.
                if let Err(error) = output::print(&(json + "\n")) {
                    output::diagnostic(format_args!("cannot write the summary: {error}"));
                }
            }
        }
    }

    fn text(&self) -> String {
        let Summary {
            records, delivered, rejected_lines, plaintext_bytes, elapsed_seconds, ..
        } = self.summary;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let rate = records as f64 / elapsed_seconds;
        let mut text = format!(
            "{} of {} records ({}) delivered to every Region in {elapsed_seconds:.2} s \
             ({rate:.0} records/s)\n",
            HumanCount(delivered),
            HumanCount(records),
            HumanBytes(plaintext_bytes),
        );
        for (name, region) in &self.summary.regions {
            let RegionSummary {
                delivered,
                undelivered,
                spooled,
                throttled_attempts,
                failed_attempts,
            } = region;
            text += &format!("  {name}: {delivered} delivered, {undelivered} undelivered");
            if *spooled > 0 {
                text += &format!(" ({spooled} spooled)");
            }
            if throttled_attempts + failed_attempts > 0 {
                text +=
                    &format!("; {throttled_attempts} attempts throttled, {failed_attempts} failed");
            }
            text += "\n";
        }
        let CacheSummary { hits, misses, hit_rate } = self.summary.cache;
        let percent = 100.0 * hit_rate;
        text +=
            &format!("  data keys: {misses} requested, {hits} reused ({percent:.1}% cache hits)\n");
        match rejected_lines {
            0 => {}
            1 => text += "  1 line was rejected\n",
            lines => text += &format!("  {lines} lines were rejected\n"),
        }
        text
    }
}

fn name_profile(error: PushError, profile: &str) -> PushError {
    match error {
        PushError::Encryption(error) => PushError::Encryption(error.with_profile(profile)),
        error => error,
    }
}

/// Returns what to do after a record could not be encrypted.
fn next_step_for(error: &PushError) -> Option<String> {
    match error {
        PushError::Encryption(CipherError::Kms(error)) => {
            encryption_next_step(error.failure()?.cause()).map(str::to_owned)
        }
        _ => None,
    }
}

fn undelivered(region: &RegionName, error: &DeliveryError) -> Problem {
    let DeliveryError { reason, code, attempts, .. } = error;
    let plural = if *attempts == 1 { "" } else { "s" };
    Problem::of_record(format!("not delivered to {region}: {reason} ({code})"))
        .with_detail(format!("{attempts} attempt{plural}"))
}

fn progress_bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {msg}",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {binary_bytes_per_sec} {msg}"),
    };
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
