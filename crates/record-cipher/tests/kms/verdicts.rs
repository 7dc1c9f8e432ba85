//! Who must act on each error code of KMS.

use record_cipher::{CipherError, ErrorKind, Keys, RecordCipher, SetupError};

use crate::scripted::ScriptedKms;
use crate::{PLAINTEXT, key_arn, message, stream};

use ErrorKind::{Operator, Record, Retryable};

/// Codes, and who must act on them: when encrypting, when decrypting with a key of the settings,
/// and when decrypting with a key that the message names.
pub(crate) const VERDICTS: [(&str, ErrorKind, ErrorKind, ErrorKind); 15] = [
    ("AccessDeniedException", Operator, Operator, Record),
    ("DependencyTimeoutException", Retryable, Retryable, Retryable),
    ("DisabledException", Operator, Operator, Record),
    ("ExpiredTokenException", Operator, Operator, Operator),
    ("IncorrectKeyException", Operator, Record, Record),
    ("InvalidCiphertextException", Operator, Record, Record),
    ("InvalidKeyUsageException", Operator, Operator, Record),
    ("KeyUnavailableException", Retryable, Retryable, Retryable),
    ("KMSInternalException", Retryable, Retryable, Retryable),
    ("KMSInvalidStateException", Operator, Operator, Record),
    ("NotFoundException", Operator, Operator, Record),
    ("InternalFailure", Retryable, Retryable, Retryable),
    ("ThrottlingException", Retryable, Retryable, Retryable),
    ("UnrecognizedClientException", Operator, Operator, Operator),
    ("ValidationException", Operator, Record, Record),
];

#[tokio::test]
async fn every_error_of_kms_says_who_must_act_and_keeps_its_cause() {
    for (code, encrypting, of_settings, of_message) in VERDICTS {
        let kms = ScriptedKms::failing(code).await;
        let arn = key_arn("eu-west-1", "1");
        let error = encrypt(&kms).await;
        assert_verdict(&error, code, encrypting, "alias/records");
        let error = decrypt(&kms, Keys::Decrypt(vec![arn.parse().unwrap()]), &arn).await;
        assert_verdict(&error, code, of_settings, &arn);
        let accounts = vec!["000000000000".to_owned()];
        let keys = Keys::Discover { partition: "aws".to_owned(), accounts };
        let error = decrypt(&kms, keys, &arn).await;
        assert_verdict(&error, code, of_message, &arn);
    }
}

#[tokio::test]
async fn an_alias_that_cannot_be_resolved_says_who_must_act() {
    for (code, kind, _, _) in VERDICTS {
        let kms = ScriptedKms::failing(code).await;
        let keys = Keys::Decrypt(vec!["alias/records".parse().unwrap()]);
        let error = RecordCipher::builder(keys, &kms.config()).build().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let SetupError::Alias(error) = error else { panic!("{error}") };
        let text = error.to_string();
        assert!(text.starts_with("AWS KMS in eu-west-1: DescribeKey with alias/records"), "{text}");
        assert!(text.contains(code) && !text.contains("marker"), "{text}");
    }
}

async fn encrypt(kms: &ScriptedKms) -> CipherError {
    let regions = vec!["eu-west-1".parse().unwrap()];
    let keys = Keys::Encrypt { key: "alias/records".parse().unwrap(), regions };
    let cipher = RecordCipher::builder(keys, &kms.config()).build().await.unwrap();
    cipher.encrypt(&stream(), PLAINTEXT.to_vec()).await.unwrap_err()
}

async fn decrypt(kms: &ScriptedKms, keys: Keys, arn: &str) -> CipherError {
    let cipher = RecordCipher::builder(keys, &kms.config()).build().await.unwrap();
    cipher.decrypt(&stream(), message(&[(arn, b"x")])).await.unwrap_err()
}

fn assert_verdict(error: &CipherError, code: &str, kind: ErrorKind, key: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    assert!(text.contains("AWS KMS in eu-west-1") && text.contains(key), "{text}");
    assert!(text.contains(code), "{text}");
    assert!(!format!("{error:?} {error}").contains("marker"), "{error:?}");
}
