//! Progress, problems and the summary.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use record_pusher::{CmmStats, Outcome, PushError, PusherStats, RegionName};
use serde::Serialize;

use crate::output;
use crate::push::args::Output;
use crate::push::input::Place;

/// What has happened so far. Shows a progress bar if standard error is a terminal.
pub(crate) struct Report {
    bar: ProgressBar,
    summary: Summary,
}

#[derive(Serialize)]
struct Summary {
    /// Lines that held a record.
    records: u64,
    /// Records that reached every Region.
    delivered: u64,
    undelivered: u64,
    rejected_lines: u64,
    /// Whether a signal ended the reading of input.
    interrupted: bool,
    /// Whether messages that did not get through may be missing in the spool.
    spool_failed: bool,
    plaintext_bytes: u64,
    elapsed_seconds: f64,
    regions: BTreeMap<String, RegionSummary>,
    cache: CacheSummary,
}

#[derive(Default, Serialize)]
struct RegionSummary {
    delivered: u64,
    undelivered: u64,
    /// Tries of single messages that the stream was too busy for, or that failed otherwise.
    throttled_tries: u64,
    failed_tries: u64,
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
    pub(crate) fn new(regions: &[RegionName], size: Option<u64>) -> Self {
        let summary = Summary {
            records: 0,
            delivered: 0,
            undelivered: 0,
            rejected_lines: 0,
            interrupted: false,
            spool_failed: false,
            plaintext_bytes: 0,
            elapsed_seconds: 0.0,
            regions: regions.iter().map(|name| (name.to_string(), Default::default())).collect(),
            cache: CacheSummary::default(),
        };
        Self { bar: progress_bar(size), summary }
    }

    /// Counts and names a line that holds no record.
    pub(crate) fn rejected(&mut self, place: &Place, reason: &str) {
        self.summary.rejected_lines += 1;
        self.problem(place, reason);
    }

    /// Counts a record, and names it if it did not get through.
    pub(crate) fn pushed(
        &mut self,
        place: &Place,
        bytes: usize,
        outcome: &Result<Outcome, PushError>,
        cache: impl FnOnce() -> CmmStats,
    ) {
        self.summary.plaintext_bytes += bytes as u64;
        self.count(place, outcome);
        // To show that costs more than to count.
        if self.summary.records.is_multiple_of(256) {
            self.bar.set_position(self.summary.plaintext_bytes);
            self.bar.set_message(self.message(cache()));
        }
    }

    /// Says that what does not get through is not kept any more.
    pub(crate) fn spool_failed(&mut self, error: &anyhow::Error) {
        self.summary.spool_failed = true;
        self.bar.suspend(|| {
            output::diagnostic(format_args!(
                "{error:#}; what does not get through is not kept any more"
            ));
        });
    }

    /// Names the place after which the input was not pushed, because a signal ended the program.
    pub(crate) fn interrupted_after(&mut self, place: Option<Place>) {
        self.summary.interrupted = true;
        match place {
            Some(place) => {
                self.problem(&place, "stopped: the input after this line was not pushed");
            }
            None => self.bar.suspend(|| output::diagnostic("stopped: nothing was pushed")),
        }
    }

    fn count(&mut self, place: &Place, outcome: &Result<Outcome, PushError>) {
        self.summary.records += 1;
        if outcome.as_ref().is_ok_and(Outcome::is_delivered) {
            self.summary.delivered += 1;
        } else {
            self.summary.undelivered += 1;
        }
        if let Err(error) = outcome {
            self.problem(place, &error.to_string());
        }
        for (name, region) in &mut self.summary.regions {
            let delivery = outcome.as_ref().ok().and_then(|outcome| {
                outcome.regions().iter().find(|(region, _)| region.as_str() == name)
            });
            match delivery {
                Some((_, Ok(_))) => region.delivered += 1,
                _ => region.undelivered += 1,
            }
        }
        for (region, delivery) in outcome.iter().flat_map(Outcome::regions) {
            if let Err(error) = delivery {
                self.problem(place, &format!("not delivered to {region}: {error}"));
            }
        }
    }

    /// Prints a line above the progress bar.
    fn problem(&self, place: &Place, problem: &str) {
        self.bar.suspend(|| output::diagnostic(format_args!("{place}: {problem}")));
    }

    fn message(&self, cache: CmmStats) -> String {
        let Summary { records, undelivered, rejected_lines, .. } = self.summary;
        let hit_rate = 100.0 * cache.hit_rate().unwrap_or_default();
        let failures = HumanCount(undelivered + rejected_lines);
        format!("{} records, {failures} failures, {hit_rate:.1} % cache hits", HumanCount(records))
    }

    /// Ends the progress bar and takes the time.
    pub(crate) fn finish(mut self, stats: PusherStats) -> Self {
        self.bar.finish_and_clear();
        self.summary.elapsed_seconds = self.bar.elapsed().as_secs_f64();
        self.summary.cache = stats.cipher.data_keys.into();
        for (name, stats) in stats.regions {
            let region = self.summary.regions.entry(name.to_string()).or_default();
            region.throttled_tries = stats.throttled_tries;
            region.failed_tries = stats.failed_tries;
        }
        self
    }

    /// Whether every line was a record that reached every Region.
    pub(crate) fn is_complete(&self) -> bool {
        let Summary { undelivered, rejected_lines, interrupted, spool_failed, .. } = self.summary;
        undelivered == 0 && rejected_lines == 0 && !interrupted && !spool_failed
    }

    /// Prints the summary: text to standard error, JSON to standard output.
    pub(crate) fn print(&self, format: Output) -> io::Result<()> {
        match format {
            Output::Human => output::diagnostic(self.text().trim_end()),
            Output::Json => {
                let json = serde_json::to_string(&self.summary).expect("a summary is JSON");
                output::print(&format!("{json}\n"))?;
            }
        }
        Ok(())
    }

    fn text(&self) -> String {
        let Summary {
            records, delivered, rejected_lines, plaintext_bytes, elapsed_seconds, ..
        } = self.summary;
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let rate = records as f64 / elapsed_seconds;
        let mut text = format!(
            "{} of {} records ({}) delivered to every Region in {elapsed_seconds:.2} s, \
             {rate:.0} records/s\n",
            HumanCount(delivered),
            HumanCount(records),
            HumanBytes(plaintext_bytes),
        );
        for (name, region) in &self.summary.regions {
            let RegionSummary { delivered, undelivered, throttled_tries, failed_tries } = region;
            text += &format!("  {name}: {delivered} delivered, {undelivered} not");
            if throttled_tries + failed_tries > 0 {
                text += &format!("; {throttled_tries} tries throttled, {failed_tries} failed");
            }
            text += "\n";
        }
        let CacheSummary { hits, misses, hit_rate } = self.summary.cache;
        let percent = 100.0 * hit_rate;
        text += &format!("  data keys: {misses} made, {hits} reused ({percent:.1} % cache hits)\n");
        if rejected_lines > 0 {
            text += &format!("  {rejected_lines} lines held no record\n");
        }
        text
    }
}

fn progress_bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} eta {eta}  {msg}",
        ),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {binary_bytes_per_sec}  {msg}"),
    };
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
