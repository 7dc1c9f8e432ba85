//! From a spool to the streams.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use aws_config::SdkConfig;
use clap::{Args, ValueHint};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use record_pusher::{Delivery, DeliveryError, MessagePusher};

use crate::exit_code::{CommandError, ExitCode, OrCommandError};
use crate::output;
use crate::push::spool::{Message, Replacement, parse};
use crate::shutdown::Shutdown;

/// Messages that wait for an acknowledgement at once.
const MAX_SENT: usize = 5000;

const RESUME_EXAMPLES: &str = "\
Example:
  sealstream resume --spool undelivered.ndjson

What is delivered is taken out of the file, which is removed when nothing is left. That happens in one
step at the end, so that a run which is interrupted loses nothing: the next one sends again what this one
sent, and consumers write such a record once. The exit code is 0 only when nothing is left.";

/// Sends the messages of a spool file to the Regions that they did not reach.
#[derive(Debug, Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub(crate) struct ResumeArgs {
    /// The file that `sealstream push --spool` has written
    #[arg(long, env, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) spool: PathBuf,

    /// Seconds after which a message that a Region has not acknowledged stays in the file
    #[arg(long, env, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) delivery_timeout_seconds: u64,
}

/// Sends the messages of a spool.
pub(crate) async fn resume(args: &ResumeArgs) -> Result<ExitCode, CommandError> {
    let spool = Replacement::of(&args.spool).or_usage()?;
    let lines = spool.lines().or_usage()?;
    let mut run = Run {
        place: args.spool.display().to_string(),
        config: aws_config::load_from_env().await,
        timeout: Duration::from_secs(args.delivery_timeout_seconds),
        pushers: HashMap::new(),
        sent: FuturesUnordered::new(),
        counts: Counts::default(),
        spool,
    };
    // The first signal is enough: what is not acknowledged stays where it is.
    let shutdown = Shutdown::on_signals(Duration::ZERO)?;
    run.send_all(lines, &shutdown).await?;
    let Run { spool, counts, place, .. } = run;
    spool.finish()?;
    output::diagnostic(format_args!(
        "{place}: {} delivered, {} left, {} unreadable",
        counts.delivered, counts.left, counts.unreadable
    ));
    Ok(ExitCode::complete_if(counts.left == 0 && counts.unreadable == 0))
}

#[derive(Default)]
struct Counts {
    delivered: u64,
    left: u64,
    unreadable: u64,
}

type Sent = BoxFuture<'static, (Message, Result<Delivery, DeliveryError>)>;

struct Run {
    place: String,
    config: SdkConfig,
    timeout: Duration,
    /// By Region and stream.
    pushers: HashMap<(String, String), MessagePusher>,
    sent: FuturesUnordered<Sent>,
    counts: Counts,
    spool: Replacement,
}

impl Run {
    async fn send_all(
        &mut self,
        lines: impl Iterator<Item = (u64, io::Result<Vec<u8>>)>,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        for (number, line) in lines {
            let line = line.with_context(|| format!("cannot read {}", self.place))?;
            match parse(&line) {
                Some(message) if shutdown.draining.is_cancelled() => self.leave(&message)?,
                Some(message) => self.send(number, message).await?,
                None => self.lose(number, &line),
            }
            while self.sent.len() >= MAX_SENT {
                self.settle_next().await?;
            }
        }
        while !self.sent.is_empty() {
            tokio::select! {
                settled = self.settle_next() => settled?,
                () = shutdown.stopping.cancelled() => break,
            }
        }
        self.pushers.values().for_each(MessagePusher::stop);
        while !self.sent.is_empty() {
            self.settle_next().await?;
        }
        Ok(())
    }

    async fn send(&mut self, number: u64, message: Message) -> anyhow::Result<()> {
        let (Some(pusher), Ok(bytes)) = (self.pusher(&message), message.bytes()) else {
            output::diagnostic(format_args!(
                "{}:{number}: names no Region or stream, or holds no base64; left there",
                self.place
            ));
            return self.leave(&message);
        };
        let delivery = pusher.queue(message.partition_key.clone(), bytes).await;
        self.sent.push(Box::pin(async move { (message, delivery.await) }));
        Ok(())
    }

    fn pusher(&mut self, message: &Message) -> Option<&MessagePusher> {
        let (region, stream) = (message.region.parse().ok()?, message.stream.parse().ok()?);
        let key = (message.region.clone(), message.stream.clone());
        let start = || MessagePusher::new(&region, &stream, self.timeout, &self.config);
        Some(self.pushers.entry(key).or_insert_with(start))
    }

    async fn settle_next(&mut self) -> anyhow::Result<()> {
        let Some((mut message, delivery)) = self.sent.next().await else { return Ok(()) };
        match delivery {
            Ok(_) => {
                self.counts.delivered += 1;
                Ok(())
            }
            Err(error) => {
                let (place, region) = (&self.place, &message.region);
                output::diagnostic(format_args!("{place}: not delivered to {region}: {error}"));
                message.attempts += error.tries;
                self.leave(&message)
            }
        }
    }

    fn leave(&mut self, message: &Message) -> anyhow::Result<()> {
        self.counts.left += 1;
        self.spool.keep(message)
    }

    /// A line that was cut off when the program that wrote it was ended. The message in it is gone.
    fn lose(&mut self, number: u64, line: &[u8]) {
        self.counts.unreadable += 1;
        let (place, bytes) = (&self.place, line.len());
        output::diagnostic(format_args!(
            "{place}:{number}: cut off after {bytes} bytes; the message in it is lost"
        ));
    }
}
