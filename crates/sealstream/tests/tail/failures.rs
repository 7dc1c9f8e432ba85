//! AWS that fails, and settings that are wrong.

use std::fs;
use std::path::Path;

use fake_aws::{Fault, Operation, Rule, Service, kms_key_arn};

use crate::fixture::{ALIAS, ALL, Fixture, REGION, Tailed};

#[tokio::test(flavor = "multi_thread")]
async fn throttling_and_expired_iterators_lose_and_repeat_nothing() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..3).await;
    let faults = fixture.aws.faults();
    faults.inject(Rule::new(Fault::ExpiredIterator).times(1));
    // One try more than the client makes by itself.
    faults.inject(Rule::new(Fault::Throttle).operation(Operation::GetRecords).times(4));
    let child = fixture.follow(&["--since", "trim-horizon", "--count", "5"], 1, 6).await;
    faults.inject(Rule::new(Fault::ExpiredIterator).times(1));
    fixture.put_ids(3..5).await;
    let tailed = Tailed::of(child).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![0, 1, 2, 3, 4], Some(0)));
    let told = tailed.messages.matches("retrying").count();
    assert_eq!(told, 1, "{tailed:?}");
    assert!(tailed.messages.contains("ProvisionedThroughputExceededException"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kms_is_asked_again_when_it_fails() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..2).await;
    let rule = Rule::new(Fault::Throttle).operation(Operation::Decrypt);
    fixture.aws.faults().inject(rule.times(4));
    let tailed = fixture.tail(&ALL).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![0, 1], Some(0)));
    assert!(tailed.messages.contains("throttled (ThrottlingException); retrying"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_decryption_ends_the_command_with_one_error() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..5).await;
    fixture.aws.faults().inject(Rule::new(Fault::AccessDenied).service(Service::Kms));
    let tailed = fixture.tail(&ALL).await;
    assert_eq!((tailed.lines.len(), tailed.code), (0, Some(3)));
    let error = "error: cannot decrypt the records of stream records in eu-west-1: AWS KMS";
    assert!(tailed.messages.starts_with(error), "{tailed:?}");
    let next_step = format!(
        "\n  check that the caller is allowed kms:Decrypt on {}, with the encryption context \
         stream=records\n",
        kms_key_arn(REGION, ALIAS)
    );
    assert!(tailed.messages.ends_with(&next_step), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_about_credentials_names_the_profile() {
    let fixture = Fixture::new(1).await;
    let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tail_profile");
    fs::write(&config, "[profile dev]\ncredential_process = false\n").unwrap();
    let mut command = fixture.command(&ALL);
    command.env("SEALSTREAM_KMS_KEY", ALIAS).env_remove("AWS_ACCESS_KEY_ID");
    command.env("AWS_CONFIG_FILE", config).env("AWS_PROFILE", "dev");
    let tailed = Tailed::of(command.spawn().unwrap()).await;
    let expected = "error: AWS KMS in eu-west-1: DescribeKey with alias/records failed: the \
                    credential process of profile \"dev\" failed\n";
    assert!(tailed.messages.starts_with(expected), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_ends_the_command_and_the_right_one_is_named() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..500).await;
    let mut command = fixture.command(&ALL);
    command.env("SEALSTREAM_KMS_KEY", kms_key_arn(REGION, "alias/other"));
    let tailed = Tailed::of(command.spawn().unwrap()).await;
    assert_eq!((tailed.lines.len(), tailed.code), (0, Some(3)));
    let expected = format!(
        "error: cannot decrypt the records of stream records in eu-west-1: they are encrypted under \
         {}\n  check --kms-key\n",
        kms_key_arn(REGION, ALIAS)
    );
    assert_eq!(tailed.messages, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_cannot_be_resolved_ends_the_command_with_a_next_step() {
    let fixture = Fixture::new(1).await;
    let denied = Rule::new(Fault::AccessDenied).operation(Operation::DescribeKey);
    for (fault, expected) in [
        (Some(denied), "\n  allow the caller kms:DescribeKey on the key, or give the key's ARN\n"),
        (
            None,
            "\n  set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as for the AWS CLI\n",
        ),
    ] {
        let mut command = fixture.command(&ALL);
        command.env("SEALSTREAM_KMS_KEY", ALIAS);
        let outage = match fault {
            Some(fault) => Some(fixture.aws.faults().inject(fault)),
            None => {
                command.env_remove("AWS_ACCESS_KEY_ID").env("AWS_EC2_METADATA_DISABLED", "true");
                None
            }
        };
        let tailed = Tailed::of(command.spawn().unwrap()).await;
        outage.into_iter().for_each(|outage| fixture.aws.faults().lift(outage));
        assert_eq!((tailed.lines.len(), tailed.code), (0, Some(3)), "{tailed:?}");
        assert!(
            tailed.messages.starts_with("error: AWS KMS in eu-west-1: DescribeKey"),
            "{tailed:?}"
        );
        assert!(tailed.messages.ends_with(expected), "{tailed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_resolved() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..2).await;
    let mut command = fixture.command(&ALL);
    command.env("SEALSTREAM_KMS_KEY", ALIAS);
    let tailed = Tailed::of(command.spawn().unwrap()).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![0, 1], Some(0)), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_stream_is_named_with_the_next_step() {
    let fixture = Fixture::new(1).await;
    let tailed = fixture.tail(&["--stream", "missing"]).await;
    assert_eq!(tailed.code, Some(3));
    let error = "error: cannot read stream missing in eu-west-1: it does not exist \
                 (ResourceNotFoundException)\n  check --stream and --region";
    assert!(tailed.messages.starts_with(error), "{tailed:?}");

    fixture.aws.faults().inject(Rule::new(Fault::AccessDenied).operation(Operation::GetRecords));
    let tailed = fixture.tail(&[]).await;
    assert_eq!(tailed.code, Some(3));
    let error = "error: cannot read stream records in eu-west-1: access denied";
    assert!(tailed.messages.starts_with(error), "{tailed:?}");
    assert!(tailed.messages.contains("\n  allow the caller kinesis:ListShards"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_region_it_says_what_to_set() {
    let fixture = Fixture::new(1).await;
    let mut command = fixture.command(&[]);
    command.env_remove("AWS_REGION").env("AWS_EC2_METADATA_DISABLED", "true");
    let tailed = Tailed::of(command.spawn().unwrap()).await;
    assert_eq!(tailed.code, Some(2));
    assert_eq!(tailed.messages, "error: no Region is set\n  set --region or AWS_REGION\n");
}
