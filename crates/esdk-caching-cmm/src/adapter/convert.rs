//! Requests and errors, from aws-esdk's types to this crate's and back.

use aws_esdk::material_providers::operation::decrypt_materials::DecryptMaterialsInput;
use aws_esdk::material_providers::operation::get_encryption_materials::GetEncryptionMaterialsInput;
use aws_esdk::material_providers::types::error::Error as AwsError;
use aws_esdk::material_providers::types::{
    AlgorithmSuiteId as AwsSuiteId, CommitmentPolicy as AwsPolicy, EncryptedDataKey as AwsKey,
    EsdkAlgorithmSuiteId as AwsSuite, EsdkCommitmentPolicy,
};
use aws_smithy_types::Blob;

use super::failure;
use crate::error::Error;
use crate::manager::{DecryptionRequest, EncryptedDataKey, EncryptionRequest};
use crate::suite::{AlgorithmSuiteId, CommitmentPolicy};

const SUITES: [(AlgorithmSuiteId, AwsSuite); 11] = [
    (AlgorithmSuiteId::Aes128Gcm, AwsSuite::AlgAes128GcmIv12Tag16NoKdf),
    (AlgorithmSuiteId::Aes192Gcm, AwsSuite::AlgAes192GcmIv12Tag16NoKdf),
    (AlgorithmSuiteId::Aes256Gcm, AwsSuite::AlgAes256GcmIv12Tag16NoKdf),
    (AlgorithmSuiteId::Aes128GcmHkdfSha256, AwsSuite::AlgAes128GcmIv12Tag16HkdfSha256),
    (AlgorithmSuiteId::Aes192GcmHkdfSha256, AwsSuite::AlgAes192GcmIv12Tag16HkdfSha256),
    (AlgorithmSuiteId::Aes256GcmHkdfSha256, AwsSuite::AlgAes256GcmIv12Tag16HkdfSha256),
    (
        AlgorithmSuiteId::Aes128GcmHkdfSha256EcdsaP256,
        AwsSuite::AlgAes128GcmIv12Tag16HkdfSha256EcdsaP256,
    ),
    (
        AlgorithmSuiteId::Aes192GcmHkdfSha384EcdsaP384,
        AwsSuite::AlgAes192GcmIv12Tag16HkdfSha384EcdsaP384,
    ),
    (
        AlgorithmSuiteId::Aes256GcmHkdfSha384EcdsaP384,
        AwsSuite::AlgAes256GcmIv12Tag16HkdfSha384EcdsaP384,
    ),
    (AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey, AwsSuite::AlgAes256GcmHkdfSha512CommitKey),
    (
        AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKeyEcdsaP384,
        AwsSuite::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384,
    ),
];

/// `None` for suites of other libraries than the AWS Encryption SDK.
pub(super) fn suite(id: &AwsSuiteId) -> Option<AlgorithmSuiteId> {
    let AwsSuiteId::Esdk(id) = id else { return None };
    SUITES.iter().find(|(_, aws)| aws == id).map(|(suite, _)| *suite)
}

fn aws_suite(suite: AlgorithmSuiteId) -> AwsSuiteId {
    let (_, aws) = SUITES.iter().find(|(id, _)| *id == suite).expect("the table has every suite");
    AwsSuiteId::Esdk(*aws)
}

fn policy(policy: &AwsPolicy) -> Option<CommitmentPolicy> {
    let AwsPolicy::Esdk(policy) = policy else { return None };
    Some(match policy {
        EsdkCommitmentPolicy::ForbidEncryptAllowDecrypt => {
            CommitmentPolicy::ForbidEncryptAllowDecrypt
        }
        EsdkCommitmentPolicy::RequireEncryptAllowDecrypt => {
            CommitmentPolicy::RequireEncryptAllowDecrypt
        }
        EsdkCommitmentPolicy::RequireEncryptRequireDecrypt => {
            CommitmentPolicy::RequireEncryptRequireDecrypt
        }
    })
}

fn aws_policy(policy: CommitmentPolicy) -> AwsPolicy {
    AwsPolicy::Esdk(match policy {
        CommitmentPolicy::ForbidEncryptAllowDecrypt => {
            EsdkCommitmentPolicy::ForbidEncryptAllowDecrypt
        }
        CommitmentPolicy::RequireEncryptAllowDecrypt => {
            EsdkCommitmentPolicy::RequireEncryptAllowDecrypt
        }
        CommitmentPolicy::RequireEncryptRequireDecrypt => {
            EsdkCommitmentPolicy::RequireEncryptRequireDecrypt
        }
    })
}

/// Fails for a request that is incomplete, or for another library than the AWS Encryption SDK.
pub(super) fn encryption_request(
    input: GetEncryptionMaterialsInput,
) -> Result<EncryptionRequest, AwsError> {
    let request = || {
        Some(EncryptionRequest {
            encryption_context: input.encryption_context?,
            suite: match input.algorithm_suite_id {
                Some(id) => Some(suite(&id)?),
                None => None,
            },
            commitment_policy: policy(&input.commitment_policy?)?,
            plaintext_length: input.max_plaintext_length.and_then(|it| u64::try_from(it).ok()),
            required_context_keys: input.required_encryption_context_keys.unwrap_or_default(),
        })
    };
    request().ok_or_else(unsupported)
}

/// Fails for a request that is incomplete, or for another library than the AWS Encryption SDK.
pub(super) fn decryption_request(
    input: DecryptMaterialsInput,
) -> Result<DecryptionRequest, AwsError> {
    let request = || {
        let keys = input.encrypted_data_keys?.into_iter().map(encrypted_data_key);
        Some(DecryptionRequest {
            suite: suite(&input.algorithm_suite_id?)?,
            commitment_policy: policy(&input.commitment_policy?)?,
            encrypted_data_keys: keys.collect::<Option<_>>()?,
            encryption_context: input.encryption_context?,
            reproduced_context: input.reproduced_encryption_context.unwrap_or_default(),
        })
    };
    request().ok_or_else(unsupported)
}

fn unsupported() -> AwsError {
    failure("the request for materials is incomplete or not for the AWS Encryption SDK")
}

fn encrypted_data_key(key: AwsKey) -> Option<EncryptedDataKey> {
    Some(EncryptedDataKey {
        provider_id: key.key_provider_id?,
        provider_info: key.key_provider_info?.into_inner(),
        ciphertext: key.ciphertext?.into_inner(),
    })
}

pub(super) fn encryption_input(
    request: &EncryptionRequest,
) -> Result<GetEncryptionMaterialsInput, AwsError> {
    let length = request.plaintext_length.and_then(|length| i64::try_from(length).ok());
    let required = &request.required_context_keys;
    GetEncryptionMaterialsInput::builder()
        .encryption_context(request.encryption_context.clone())
        .set_algorithm_suite_id(request.suite.map(aws_suite))
        .commitment_policy(aws_policy(request.commitment_policy))
        .set_max_plaintext_length(length)
        .set_required_encryption_context_keys((!required.is_empty()).then(|| required.clone()))
        .build()
        .map_err(AwsError::wrap_validation_err)
}

pub(super) fn decryption_input(
    request: &DecryptionRequest,
) -> Result<DecryptMaterialsInput, AwsError> {
    let reproduced = &request.reproduced_context;
    let keys = request.encrypted_data_keys.iter().map(aws_key).collect::<Result<Vec<_>, _>>()?;
    DecryptMaterialsInput::builder()
        .algorithm_suite_id(aws_suite(request.suite))
        .commitment_policy(aws_policy(request.commitment_policy))
        .encrypted_data_keys(keys)
        .encryption_context(request.encryption_context.clone())
        .set_reproduced_encryption_context((!reproduced.is_empty()).then(|| reproduced.clone()))
        .build()
        .map_err(AwsError::wrap_validation_err)
}

fn aws_key(key: &EncryptedDataKey) -> Result<AwsKey, AwsError> {
    AwsKey::builder()
        .key_provider_id(&key.provider_id)
        .key_provider_info(Blob::new(key.provider_info.clone()))
        .ciphertext(Blob::new(key.ciphertext.clone()))
        .build()
        .map_err(AwsError::wrap_validation_err)
}

/// The error that aws-esdk's default CMM has for the same refusal of a request to encrypt.
pub(super) fn encryption_error(error: Error<AwsError>) -> AwsError {
    let message = error.to_string();
    match error {
        Error::ForbiddenSuite { .. } => AwsError::InvalidAlgorithmSuiteInfoOnEncrypt { message },
        error => other_error(error),
    }
}

/// The error that aws-esdk's default CMM has for the same refusal of a request to decrypt.
pub(super) fn decryption_error(error: Error<AwsError>) -> AwsError {
    let message = error.to_string();
    match error {
        Error::ForbiddenSuite { .. } => AwsError::InvalidAlgorithmSuiteInfoOnDecrypt { message },
        error => other_error(error),
    }
}

fn other_error(error: Error<AwsError>) -> AwsError {
    match error {
        Error::Manager(error) => error,
        error => failure(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_and_policy_has_one_counterpart() {
        for id in AlgorithmSuiteId::ALL {
            assert_eq!(suite(&aws_suite(id)), Some(id));
        }
        for it in [
            CommitmentPolicy::ForbidEncryptAllowDecrypt,
            CommitmentPolicy::RequireEncryptAllowDecrypt,
            CommitmentPolicy::RequireEncryptRequireDecrypt,
        ] {
            assert_eq!(policy(&aws_policy(it)), Some(it));
        }
    }

    #[test]
    fn requests_survive_both_ways() {
        let mut request = EncryptionRequest::new([("key".to_owned(), "value".to_owned())].into());
        for length in [None, Some(7)] {
            request.plaintext_length = length;
            request.suite = length.map(|_| AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey);
            request.required_context_keys = length.map(|_| "key".to_owned()).into_iter().collect();
            let input = encryption_input(&request).unwrap();
            assert_eq!(encryption_request(input).unwrap(), request);
        }
        let keys = vec![EncryptedDataKey::new("aws-kms", "arn", [1, 2, 3])];
        let suite = AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey;
        let mut request = DecryptionRequest::new(suite, keys, request.encryption_context);
        for reproduced in [[].into(), [("key".to_owned(), "value".to_owned())].into()] {
            request.reproduced_context = reproduced;
            let input = decryption_input(&request).unwrap();
            assert_eq!(decryption_request(input).unwrap(), request);
        }
    }

    #[test]
    fn incomplete_requests_are_refused() {
        let input = GetEncryptionMaterialsInput::builder().build().unwrap();
        assert!(encryption_request(input).is_err());
        let input = DecryptMaterialsInput::builder().build().unwrap();
        assert!(decryption_request(input).is_err());
    }
}
