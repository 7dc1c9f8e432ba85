//! The flags that name a stream.

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{Region, SdkConfig};
use clap::Args;
use record_cipher::{RegionName, StreamName};

use crate::aws;
use crate::exit_code::{CommandError, ExitCode};
use crate::flags::heading;

/// A stream in one Region.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = heading::STREAM)]
pub(crate) struct StreamArgs {
    /// Name of the Kinesis stream
    #[arg(long, value_name = "NAME")]
    pub(crate) stream: StreamName,

    /// Region of the stream; by default AWS_REGION, or the Region of the profile
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<RegionName>,
}

impl StreamArgs {
    /// Loads the AWS configuration for the stream's Region, which is returned beside it.
    pub(crate) async fn load_config(&self) -> Result<(SdkConfig, String), CommandError> {
        load_config(self.region.as_ref()).await
    }
}

/// Loads the AWS configuration for a Region, by default the one of the environment or the profile.
/// Returns the Region beside it.
pub(crate) async fn load_config(
    region: Option<&RegionName>,
) -> Result<(SdkConfig, String), CommandError> {
    let region = region.map(|region| Region::new(region.to_string()));
    // As in the AWS CLI. The SDK's own chain would ask the instance metadata too, which takes
    // three seconds where there is none.
    let chain = RegionProviderChain::first_try(region)
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new());
    let Some(region) = chain.region().await else {
        let error = CommandError::new(ExitCode::Usage, anyhow::anyhow!("no Region is set"));
        return Err(error.with_next_step("set --region or AWS_REGION".to_owned()));
    };
    let config = aws::load_config(region.clone()).await?;
    Ok((config, region.to_string()))
}
