//! The stream in one Region, with its queue.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use record_cipher::{RegionName, StreamName};
use tokio_util::sync::CancellationToken;

use crate::batcher::{BatchSettings, Batcher};
use crate::kinesis::{Kinesis, StreamApi};
use crate::outage::Service;
use crate::stats::{Counters, RegionStats};

/// The stream in one Region.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) name: RegionName,
    pub(crate) api: Arc<dyn StreamApi>,
    pub(crate) batcher: Batcher,
    pub(crate) counters: Arc<Counters>,
}

impl Region {
    /// Starts the queue, which ends with `stop`, or when it is dropped and empty.
    pub(crate) fn start(
        name: &RegionName,
        stream: &StreamName,
        settings: BatchSettings,
        config: &SdkConfig,
        stop: &CancellationToken,
    ) -> Self {
        let api = Arc::new(Kinesis::new(config, name, stream.clone()));
        let counters = Arc::<Counters>::default();
        let service = Service::Stream(name.clone());
        let batcher =
            Batcher::start(api.clone(), service, settings, stop.clone(), counters.clone());
        Self { name: name.clone(), api, batcher, counters }
    }
}

pub(crate) fn stats(regions: &[Region]) -> BTreeMap<RegionName, RegionStats> {
    regions.iter().map(|region| (region.name.clone(), region.counters.read())).collect()
}
