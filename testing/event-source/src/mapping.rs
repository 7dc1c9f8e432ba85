//! The mapping, as its user sees it.

use aws_lambda_events::event::kinesis::KinesisEvent;

use crate::delivery::Delivery;
use crate::report::{InvocationResult, Report};
use crate::settings::{InvalidSetting, Settings};
use crate::shard::Shard;

/// Delivers the records of shards to a function, with settings that Lambda accepts.
#[derive(Debug, Clone)]
pub struct EventSourceMapping {
    settings: Settings,
}

impl EventSourceMapping {
    /// A mapping with these settings.
    ///
    /// # Errors
    /// Lambda does not accept one of the settings.
    pub fn new(settings: Settings) -> Result<Self, InvalidSetting> {
        settings.validate()?;
        Ok(Self { settings })
    }

    /// Delivers the records of the shard until each is delivered with success or discarded.
    ///
    /// One batch is under way at a time. Shards do not depend on each other: to read several at
    /// once, drain each in a task of its own. A later call goes on from the checkpoint, also if
    /// this one is cancelled: then its report is lost.
    ///
    /// Without a limit of retries or age, it does not end before the function succeeds.
    pub async fn drain<F: Future<Output = InvocationResult>>(
        &self,
        shard: &mut Shard,
        mut function: impl FnMut(KinesisEvent) -> F,
    ) -> Report {
        let mut delivery = Delivery::new(&self.settings, shard);
        while let Some(batch) = delivery.next_batch() {
            delivery.deliver(batch, &mut function).await;
        }
        delivery.into_report()
    }
}
