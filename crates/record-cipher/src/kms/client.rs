//! Calls to KMS in one Region.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_outcome::{Failure, Service};
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use esdk_caching_cmm::{EncryptedDataKey, EncryptionContext};

use super::PROVIDER_ID;
use super::data_key::{DATA_KEY_LEN, DataKey};
use super::error::{KmsError, NamedBy, Operation};
use crate::arn::KmsArn;
use crate::error::ErrorKind;
use crate::names::RegionName;
use crate::stats::KmsMeter;

/// Maximum duration of one attempt; the AWS SDK then tries again.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum duration of a call with all its attempts.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Creates clients whose calls are counted by Region.
#[derive(Debug)]
pub(crate) struct Clients<'a> {
    config: &'a SdkConfig,
    meters: BTreeMap<RegionName, KmsMeter>,
}

impl<'a> Clients<'a> {
    pub(crate) fn new(config: &'a SdkConfig) -> Self {
        Self { config, meters: BTreeMap::new() }
    }

    pub(crate) fn config(&self) -> &'a SdkConfig {
        self.config
    }

    pub(crate) fn in_region(&mut self, region: &RegionName) -> KmsClient {
        KmsClient { region: region.clone(), client: self.sdk_client(region) }
    }

    pub(crate) fn sdk_client(&mut self, region: &RegionName) -> Client {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let config = aws_sdk_kms::config::Builder::from(self.config)
            .region(Region::new(region.to_string()))
            .timeout_config(timeouts)
            .interceptor(self.meters.entry(region.clone()).or_default().clone())
            .build();
        Client::from_conf(config)
    }

    pub(crate) fn into_meters(self) -> BTreeMap<RegionName, KmsMeter> {
        self.meters
    }
}

/// KMS in one Region.
#[derive(Debug, Clone)]
pub(crate) struct KmsClient {
    region: RegionName,
    client: Client,
}

impl KmsClient {
    pub(crate) fn region(&self) -> &RegionName {
        &self.region
    }

    /// Makes a data key, in plaintext and encrypted.
    pub(crate) async fn generate_data_key(
        &self,
        key: &str,
        context: &EncryptionContext,
    ) -> Result<(DataKey, EncryptedDataKey), KmsError> {
        let call = Call { client: self, operation: Operation::GenerateDataKey, key };
        let output = self
            .client
            .generate_data_key()
            .key_id(key)
            .number_of_bytes(DATA_KEY_LEN.try_into().expect("32 fits"))
            .set_encryption_context(Some(context.clone()))
            .send()
            .await
            .map_err(|error| call.failed(NamedBy::Settings, &error))?;
        // First of all, so that the plaintext is overwritten whatever follows.
        let data_key = output.plaintext.and_then(DataKey::from_response);
        let data_key = data_key.ok_or_else(|| call.unusable("the data key has a wrong length"))?;
        Ok((data_key, call.encrypted(output.key_id, output.ciphertext_blob)?))
    }

    /// Encrypts a data key.
    pub(crate) async fn encrypt(
        &self,
        key: &str,
        data_key: &DataKey,
        context: &EncryptionContext,
    ) -> Result<EncryptedDataKey, KmsError> {
        let call = Call { client: self, operation: Operation::Encrypt, key };
        let output = self
            .client
            .encrypt()
            .key_id(key)
            .plaintext(data_key.to_request())
            .set_encryption_context(Some(context.clone()))
            .send()
            .await
            .map_err(|error| call.failed(NamedBy::Settings, &error))?;
        call.encrypted(output.key_id, output.ciphertext_blob)
    }

    /// Decrypts a data key with the key of this ARN and no other.
    pub(crate) async fn decrypt(
        &self,
        key: &KmsArn,
        named_by: NamedBy,
        ciphertext: &[u8],
        context: &EncryptionContext,
    ) -> Result<DataKey, KmsError> {
        let key = key.to_string();
        let call = Call { client: self, operation: Operation::Decrypt, key: &key };
        let output = self
            .client
            .decrypt()
            .key_id(&key)
            .ciphertext_blob(Blob::new(ciphertext))
            .set_encryption_context(Some(context.clone()))
            .send()
            .await
            .map_err(|error| call.failed(named_by, &error))?;
        let plaintext =
            output.plaintext.ok_or_else(|| call.unusable("the response has no plaintext"))?;
        let data_key = DataKey::from_response(plaintext);
        if output.key_id.as_deref() != Some(&key) {
            return Err(call.unusable("the response is of another key"));
        }
        // Whoever may call `Encrypt` with the key can encrypt anything else than a data key.
        data_key.ok_or_else(|| call.wrong(ErrorKind::Record, "the data key has a wrong length"))
    }

    /// Resolves an alias to its key.
    pub(crate) async fn describe_key(&self, alias: &str) -> Result<KmsArn, KmsError> {
        let call = Call { client: self, operation: Operation::DescribeKey, key: alias };
        let request = self.client.describe_key().key_id(alias).send().await;
        let output = request.map_err(|error| call.failed(NamedBy::Settings, &error))?;
        call.key_arn(output.key_metadata.and_then(|key| key.arn))
    }
}

/// A call, for its errors.
struct Call<'a> {
    client: &'a KmsClient,
    operation: Operation,
    key: &'a str,
}

impl Call<'_> {
    fn encrypted(
        &self,
        key_id: Option<String>,
        ciphertext: Option<Blob>,
    ) -> Result<EncryptedDataKey, KmsError> {
        let arn = self.key_arn(key_id)?;
        let ciphertext = ciphertext.map(Blob::into_inner).filter(|bytes| !bytes.is_empty());
        let ciphertext =
            ciphertext.ok_or_else(|| self.unusable("the response has no ciphertext"))?;
        Ok(EncryptedDataKey::new(PROVIDER_ID, arn.to_string(), ciphertext))
    }

    fn key_arn(&self, key_id: Option<String>) -> Result<KmsArn, KmsError> {
        let arn = key_id.and_then(|key_id| KmsArn::parse(&key_id)).filter(KmsArn::is_key);
        arn.ok_or_else(|| self.unusable("the response has no key ARN"))
    }

    fn failed<E>(&self, named_by: NamedBy, error: &SdkError<E, HttpResponse>) -> KmsError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let failure = Failure::new(Service::Kms, error);
        let (region, key) = (self.client.region.clone(), self.key.to_owned());
        KmsError::failed(self.operation, named_by, region, key, failure)
    }

    fn unusable(&self, reason: &'static str) -> KmsError {
        self.wrong(ErrorKind::Retryable, reason)
    }

    fn wrong(&self, kind: ErrorKind, reason: &'static str) -> KmsError {
        let (region, key) = (self.client.region.clone(), self.key.to_owned());
        KmsError::response(kind, self.operation, region, key, reason)
    }
}
