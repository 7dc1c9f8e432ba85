//! From a spool to the streams.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_config::{Region, SdkConfig};
use clap::{Args, ValueHint};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use record_pusher::{Delivery, DeliveryError, ErrorKind, MessagePusher, RegionName};
use serde::Serialize;

use crate::aws::load_config;
use crate::aws_failure::stream_error;
use crate::exit_code::{CommandError, ExitCode, OrCommandError};
use crate::flags::seconds;
use crate::output;
use crate::push::args::Output;
use crate::push::spool::{Message, Replacement, SpoolLine};
use crate::shutdown::Shutdown;

/// Messages in flight at once. A pusher limits their bytes.
const MAX_IN_FLIGHT: usize = 5000;

const RESUME_EXAMPLES: &str = "\
Example:
  sealstream resume --spool undelivered.ndjson

Delivered messages are removed from the file in one step at the end, and the file is removed when
nothing is left. An interrupted run loses nothing: the next one may send messages again, and consumers
write such a record once. Lines that cannot be read are moved to FILE.unreadable.";

/// Sends the messages of a spool file to the Regions that they did not reach.
#[derive(Debug, Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub(crate) struct ResumeArgs {
    /// File that `sealstream push --spool` has written
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) spool: PathBuf,

    /// Seconds after which a message without an acknowledgement stays in the file, 1 to 86400
    #[arg(long, value_name = "SECONDS")]
    #[arg(default_value = "30", value_parser = seconds(1..=86_400))]
    pub(crate) delivery_timeout_seconds: Duration,

    /// Summary as text on standard error, or as JSON on standard output
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
}

/// Sends what a spool contains.
pub(crate) async fn resume(args: &ResumeArgs) -> Result<ExitCode, CommandError> {
    let spool = Replacement::of(&args.spool).or_usage()?;
    let mut run = Run {
        file: args.spool.display().to_string(),
        config: None,
        timeout: args.delivery_timeout_seconds,
        pushers: HashMap::new(),
        in_flight: FuturesUnordered::new(),
        summary: Summary::default(),
        failures: BTreeMap::new(),
        operator_error: None,
        spool,
    };
    // The first signal is enough: what is not acknowledged stays in the file.
    let shutdown = Shutdown::on_signals(Duration::ZERO)?;
    run.send_all(&shutdown).await?;
    run.finish(args.output)
}

#[derive(Default, Serialize)]
struct Summary {
    delivered: u64,
    /// Messages that stay in the file.
    left: u64,
    /// Lines that were moved to FILE.unreadable.
    unreadable: u64,
    interrupted: bool,
    exit_code: u8,
}

/// A message that was sent.
struct Sent {
    line: SpoolLine,
    region: RegionName,
    stream: String,
    delivery: Result<Delivery, DeliveryError>,
}

type InFlight = BoxFuture<'static, Sent>;

struct Run {
    file: String,
    /// Loaded for the first message.
    config: Option<SdkConfig>,
    timeout: Duration,
    /// By Region and stream.
    pushers: HashMap<(String, String), Arc<MessagePusher>>,
    in_flight: FuturesUnordered<InFlight>,
    summary: Summary,
    /// Number of messages by what went wrong with them.
    failures: BTreeMap<String, u64>,
    /// The first error that an operator has to resolve, and the next step.
    operator_error: Option<(String, Option<String>)>,
    spool: Replacement,
}

impl Run {
    async fn send_all(&mut self, shutdown: &Shutdown) -> Result<(), CommandError> {
        let mut lines = self.spool.lines()?;
        while let Some(line) = lines.next_line().with_context(|| self.unreadable_file())? {
            let message = self.spool.message(line).with_context(|| self.unreadable_file())?;
            match message {
                Some(_) if self.is_ending(shutdown) => self.leave(line, 0)?,
                Some(message) => self.send(line, message, shutdown).await?,
                None => self.move_unreadable(line)?,
            }
        }
        while !self.in_flight.is_empty() && !self.is_ending(shutdown) {
            tokio::select! {
                Some(settled) = self.in_flight.next() => self.settle(settled)?,
                () = shutdown.stopping.cancelled() => {}
            }
        }
        self.summary.interrupted = shutdown.draining.is_cancelled();
        self.pushers.values().for_each(|pusher| pusher.stop());
        while let Some(settled) = self.in_flight.next().await {
            self.settle(settled)?;
        }
        Ok(())
    }

    fn unreadable_file(&self) -> String {
        format!("cannot read {}", self.file)
    }

    /// Whether nothing more is sent.
    fn is_ending(&self, shutdown: &Shutdown) -> bool {
        shutdown.draining.is_cancelled() || self.operator_error.is_some()
    }

    async fn send(
        &mut self,
        line: SpoolLine,
        message: Message,
        shutdown: &Shutdown,
    ) -> Result<(), CommandError> {
        let Some(target) = self.target(&message).await? else {
            return Ok(self.move_unreadable(line)?);
        };
        let Target { pusher, region, bytes } = target;
        let queue = pusher.queue(message.partition_key, bytes);
        tokio::pin!(queue);
        loop {
            let is_full = self.in_flight.len() >= MAX_IN_FLIGHT;
            tokio::select! {
                biased;
                // The message was not accepted.
                () = shutdown.stopping.cancelled() => return Ok(self.leave(line, 0)?),
                Some(settled) = self.in_flight.next() => self.settle(settled)?,
                delivery = &mut queue, if !is_full => {
                    let sent = async move {
                        Sent { line, region, stream: message.stream, delivery: delivery.await }
                    };
                    self.in_flight.push(Box::pin(sent));
                    return Ok(());
                }
            }
        }
    }

    /// Returns where a message goes, or `None` if its fields say nothing of the kind.
    async fn target(&mut self, message: &Message) -> Result<Option<Target>, CommandError> {
        let (Ok(region), Ok(stream), Ok(bytes)) =
            (message.region.parse::<RegionName>(), message.stream.parse(), message.bytes())
        else {
            return Ok(None);
        };
        let key = (message.region.clone(), message.stream.clone());
        if let Some(pusher) = self.pushers.get(&key) {
            return Ok(Some(Target { pusher: pusher.clone(), region, bytes }));
        }
        let config = match self.config.take() {
            Some(config) => config,
            None => load_config(Region::new(region.to_string())).await?,
        };
        let pusher = Arc::new(MessagePusher::new(&region, &stream, self.timeout, &config)?);
        self.config = Some(config);
        self.pushers.insert(key, pusher.clone());
        Ok(Some(Target { pusher, region, bytes }))
    }

    fn settle(&mut self, Sent { line, region, stream, delivery }: Sent) -> anyhow::Result<()> {
        let Err(error) = delivery else {
            self.summary.delivered += 1;
            return Ok(());
        };
        let DeliveryError { reason, code, .. } = &error;
        let failure = format!("not delivered to {region}: {reason} ({code})");
        *self.failures.entry(failure).or_default() += 1;
        if error.kind == ErrorKind::Operator && self.operator_error.is_none() {
            let text = format!("{reason} ({code})");
            let error = stream_error(&stream, region.as_str(), &text, error.cause);
            self.operator_error = Some(error);
        }
        self.leave(line, error.attempts)
    }

    fn leave(&mut self, line: SpoolLine, attempts: u32) -> anyhow::Result<()> {
        self.summary.left += 1;
        self.spool.keep(line, attempts)
    }

    /// Moves away a line that is not a message. Only the last one can be cut off.
    fn move_unreadable(&mut self, line: SpoolLine) -> anyhow::Result<()> {
        self.summary.unreadable += 1;
        self.spool.move_unreadable(line)?;
        let what = if line.is_cut_off { "cut off" } else { "not a message" };
        let path = self.spool.unreadable_path();
        output::diagnostic(format_args!(
            "{}:{}: {what}; moved to {}",
            self.file,
            line.number,
            path.display()
        ));
        Ok(())
    }

    fn finish(self, output: Output) -> Result<ExitCode, CommandError> {
        let Self { file, mut summary, failures, operator_error, spool, .. } = self;
        for (failure, count) in failures {
            let plural = if count == 1 { "" } else { "s" };
            output::diagnostic(format_args!("{file}: {count} message{plural} {failure}"));
        }
        spool.finish()?;
        let exit_code = match operator_error {
            Some(_) => ExitCode::Operator,
            None => ExitCode::complete_if(summary.left == 0 && summary.unreadable == 0),
        };
        if let Some((error, next_step)) = operator_error {
            output::diagnostic(format_args!("error: {error}"));
            next_step.into_iter().for_each(|step| output::diagnostic(format_args!("  {step}")));
        }
        summary.exit_code = exit_code.into();
        match output {
            Output::Human => {
                let Summary { delivered, left, unreadable, .. } = summary;
                output::diagnostic(format_args!(
                    "{file}: {delivered} delivered, {left} left, {unreadable} unreadable"
                ));
            }
            Output::Json => {
                let json = serde_json::to_string(&summary).expect("a summary is JSON");
                // The exit code tells what became of the messages, whether this is read or not.
                if let Err(error) = output::print(&(json + "\n")) {
                    output::diagnostic(format_args!("cannot write the summary: {error}"));
                }
            }
        }
        Ok(exit_code)
    }
}

/// Where a message goes.
struct Target {
    pusher: Arc<MessagePusher>,
    region: RegionName,
    bytes: Vec<u8>,
}
