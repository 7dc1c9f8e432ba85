//! The flags that name a stream.

use anyhow::{Context, anyhow};
use aws_config::SdkConfig;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use clap::Args;
use record_cipher::{RegionName, StreamName};

use crate::aws;
use crate::exit_code::{CommandError, ExitCode, OrCommandError};
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
        let region = self.region().await?;
        Ok((aws::load_config(&region).await?, region.to_string()))
    }

    /// Finds the Region as the AWS CLI does. The SDK's own chain would ask the instance metadata too,
    /// which takes three seconds where there is none.
    async fn region(&self) -> Result<RegionName, CommandError> {
        if let Some(region) = &self.region {
            return Ok(region.clone());
        }
        let chain = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new());
        let Some(region) = chain.region().await else {
            let error = CommandError::new(ExitCode::Usage, anyhow!("no Region is set"));
            return Err(error.with_next_step("set --region or AWS_REGION".to_owned()));
        };
        region.as_ref().parse().context("AWS_REGION, or the profile's Region").or_usage()
    }
}
