//! Encrypts or decrypts records with keys in AWS KMS, by either engine.
//!
//! ```sh
//! kms_messages native|aws-esdk < cases > answers
//! ```
//!
//! Each line is a JSON object. To encrypt, a case has `plaintext`, in base64, `context`, whose pair
//! `stream` is used, `suite`, the id of the algorithm suite, and the `key` and the `regions` to
//! encrypt for. To decrypt, it has `message`, in base64, and either `strict`, a list of key ARNs, or
//! `discovery`, which has `region`, `partition` and `accounts`. The answer has `message`,
//! `plaintext`, or `refused` with the kind of the error.
//!
//! The programs called `kms_messages` in `tools/interop` are the same on the AWS Encryption SDKs for
//! Python and JavaScript.

#![expect(clippy::print_stdout, reason = "its output")]

use std::error::Error;
use std::{env, io};

use aws_config::{Region, SdkConfig};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use record_cipher::{
    CipherError, Engine, Keys, KmsKeyId, RecordCipher, RegionName, StreamName, Suite,
};
use serde::Deserialize;
use serde_json::{Value, json};

const STREAM: &str = "records";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let engine: Engine = env::args().nth(1).unwrap_or_default().parse()?;
    let config = aws_config::load_from_env().await;
    for line in io::stdin().lines() {
        let answer = match serde_json::from_str(&line?)? {
            Case::Write(case) => case.answer(engine, &config).await?,
            Case::Read(case) => case.answer(engine, &config).await?,
        };
        println!("{answer}");
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Case {
    Write(Write),
    Read(Read),
}

#[derive(Deserialize)]
struct Write {
    plaintext: String,
    suite: u16,
    key: String,
    regions: Vec<String>,
}

#[derive(Deserialize)]
struct Read {
    message: String,
    #[serde(flatten)]
    keys: ReadKeys,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReadKeys {
    Strict(Vec<String>),
    Discovery { region: String, partition: String, accounts: Vec<String> },
}

impl Write {
    async fn answer(self, engine: Engine, config: &SdkConfig) -> Result<Value, Box<dyn Error>> {
        let suites = [Suite::Signed, Suite::Unsigned].into_iter();
        let suite = suites.into_iter().find(|suite| suite.id() == self.suite);
        let regions = self.regions.iter().map(|region| region.parse::<RegionName>());
        let keys =
            Keys::Encrypt { key: self.key.parse()?, regions: regions.collect::<Result<_, _>>()? };
        let cipher = RecordCipher::builder(keys, config).engine(engine);
        let cipher = cipher.suite(suite.ok_or("unknown suite")?).build().await?;
        let encrypted = cipher.encrypt(&stream(), BASE64_STANDARD.decode(self.plaintext)?).await;
        Ok(answer(encrypted.map(|encrypted| ("message", encrypted.message))))
    }
}

impl Read {
    async fn answer(self, engine: Engine, config: &SdkConfig) -> Result<Value, Box<dyn Error>> {
        let mut config = config.clone();
        let keys = match self.keys {
            ReadKeys::Strict(arns) => {
                let keys = arns.iter().map(|arn| arn.parse::<KmsKeyId>());
                Keys::Decrypt(keys.collect::<Result<_, _>>()?)
            }
            ReadKeys::Discovery { region, partition, accounts } => {
                config = config.into_builder().region(Region::new(region)).build();
                Keys::Discover { partition, accounts }
            }
        };
        let cipher = RecordCipher::builder(keys, &config).engine(engine).build().await?;
        let plaintext = cipher.decrypt(&stream(), BASE64_STANDARD.decode(self.message)?).await;
        Ok(answer(plaintext.map(|plaintext| ("plaintext", plaintext))))
    }
}

fn stream() -> StreamName {
    STREAM.parse().expect("it is a stream's name")
}

fn answer(result: Result<(&str, Vec<u8>), CipherError>) -> Value {
    match result {
        Ok((what, bytes)) => json!({ what: BASE64_STANDARD.encode(bytes) }),
        Err(error) => json!({ "refused": format!("{:?}", error.kind()) }),
    }
}
