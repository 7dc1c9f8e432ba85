//! Encrypts or decrypts messages with a caching CMM over a raw AES keyring.
//!
//! ```sh
//! interop write < cases > messages
//! interop read < messages > contents
//! ```
//!
//! Each line is a JSON object. A case has `plaintext`, in base64, `context` and `suite`, which is
//! "signed" or "unsigned"; a message has `message`, in base64; contents are `plaintext` and
//! `context`. At the end, standard error says what the CMM has done.
//!
//! The programs called `messages` in `tools/interop` are the same on the AWS Encryption SDKs for
//! Python and JavaScript.

#![expect(clippy::print_stdout, reason = "its output")]

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use std::{env, io};

use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManagerRef;
use aws_esdk::material_providers::types::keyring::KeyringRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::material_providers::types::{
    AesWrappingAlg, EsdkAlgorithmSuiteId, EsdkCommitmentPolicy,
};
use aws_esdk::{AwsEncryptionSdkConfig, Client};
use aws_smithy_types::Blob;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use esdk_caching_cmm::{AwsEsdkManager, CachingCmm, LocalCache};
use serde::Deserialize;
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mode = env::args().nth(1);
    let caching = caching_cmm().await?;
    let sdk = Sdk { client: client()?, cmm: caching.clone().into() };
    for line in io::stdin().lines() {
        let output = match mode.as_deref() {
            Some("write") => sdk.write(serde_json::from_str(&line?)?).await?,
            Some("read") => sdk.read(serde_json::from_str(&line?)?).await?,
            _ => return Err("usage: interop write|read".into()),
        };
        println!("{output}");
    }
    let stats = caching.stats();
    let stats = json!({"requests": stats.requests, "hits": stats.hits, "calls": stats.calls});
    eprintln!("{stats}");
    Ok(())
}

struct Sdk {
    client: Client,
    cmm: CryptographicMaterialsManagerRef,
}

#[derive(Deserialize)]
struct Case {
    plaintext: String,
    context: HashMap<String, String>,
    suite: Suite,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Suite {
    Signed,
    Unsigned,
}

#[derive(Deserialize)]
struct Written {
    message: String,
}

impl Sdk {
    async fn write(&self, case: Case) -> Result<Value, Box<dyn Error>> {
        let output = self
            .client
            .encrypt()
            .materials_manager(self.cmm.clone())
            .algorithm_suite_id(case.suite.id())
            .encryption_context(case.context)
            .plaintext(BASE64_STANDARD.decode(case.plaintext)?)
            .send()
            .await?;
        Ok(json!({"message": output.ciphertext.map(base64)}))
    }

    async fn read(&self, written: Written) -> Result<Value, Box<dyn Error>> {
        let output = self
            .client
            .decrypt()
            .materials_manager(self.cmm.clone())
            .ciphertext(BASE64_STANDARD.decode(written.message)?)
            .send()
            .await?;
        let context = output.encryption_context;
        Ok(json!({"plaintext": output.plaintext.map(base64), "context": context}))
    }
}

impl Suite {
    fn id(&self) -> EsdkAlgorithmSuiteId {
        match self {
            Self::Signed => EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384,
            Self::Unsigned => EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKey,
        }
    }
}

fn base64(bytes: Blob) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn client() -> Result<Client, Box<dyn Error>> {
    let policy = EsdkCommitmentPolicy::RequireEncryptRequireDecrypt;
    let config = AwsEncryptionSdkConfig::builder().commitment_policy(policy).build()?;
    Ok(Client::from_conf(config)?)
}

async fn caching_cmm() -> Result<CachingCmm<AwsEsdkManager>, Box<dyn Error>> {
    let caching = CachingCmm::builder(AwsEsdkManager::from_keyring(keyring().await?).await?)
        .cache(Arc::new(LocalCache::new(100)))
        .max_age(Duration::from_secs(300))
        .max_messages(100);
    Ok(caching.build()?)
}

/// The other programs have the same key under the same names.
async fn keyring() -> Result<KeyringRef, Box<dyn Error>> {
    let providers = MaterialProviders::from_conf(MaterialProvidersConfig::builder().build()?)?;
    let keyring = providers
        .create_raw_aes_keyring()
        .key_namespace("interop")
        .key_name("key")
        .wrapping_key(Blob::new([7; 32]))
        .wrapping_alg(AesWrappingAlg::AlgAes256GcmIv12Tag16);
    Ok(keyring.send().await?)
}
