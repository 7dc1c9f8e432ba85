//! What only an operator can resolve ends a push at once, or pauses it.

use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::time::Duration;

use fake_aws::{Fault, Operation, Rule, Service};
use tokio::time::Instant;

use crate::fixture::{Fixture, HERE, THERE, ended, errors, lines, run, summary, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_ends_the_run_at_once_in_one_sentence() {
    type Case = (&'static str, fn(&Fixture), &'static [&'static str], &'static str);
    let cases: [Case; 6] = [
        ("stream", |_| (), &[], "error: stream \"nosuch\" does not exist in "),
        (
            "kinesis_denied",
            |fixture| {
                fixture.inject(Rule::new(Fault::AccessDenied).operation(Operation::PutRecords));
            },
            &[],
            "access denied",
        ),
        (
            "kms_denied",
            |fixture| {
                fixture.inject(Rule::new(Fault::AccessDenied).service(Service::Kms));
            },
            &[],
            "AWS KMS",
        ),
        (
            "waiting",
            |fixture| {
                fixture.inject(Rule::new(Fault::AccessDenied).service(Service::Kms));
            },
            &["--on-outage", "wait"],
            "AWS KMS",
        ),
        ("credentials", |_| (), &[], "credentials"),
        (
            "profile",
            |_| (),
            &[],
            "AWS KMS in us-east-1: GenerateDataKey with alias/records failed: the credential process of profile \"dev\" failed",
        ),
    ];
    for (name, prepare, arguments, expected) in cases {
        let fixture = Fixture::new(&format!("operator_{name}")).await;
        prepare(&fixture);
        let input = fixture.file("big.ndjson", lines(9000));
        let stream = if name == "stream" { "nosuch" } else { "records" };
        let mut push = fixture.push_to(stream, &[]);
        push.args(arguments).arg(&input).env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "30");
        if name == "credentials" {
            push.env_remove("AWS_ACCESS_KEY_ID").env("HOME", &fixture.folder);
        }
        if name == "profile" {
            let config = fixture.file("config", "[profile dev]\ncredential_process = false\n");
            push.env_remove("AWS_ACCESS_KEY_ID").env("AWS_PROFILE", "dev");
            push.env("AWS_CONFIG_FILE", config);
        }
        let before = Instant::now();
        let output = run(push, "").await;
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(3), "{name}: {errors}");
        assert!(before.elapsed() < Duration::from_secs(20), "{name}: {:?}", before.elapsed());
        let said: Vec<_> = errors.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(said.len(), 1, "{name}: {errors}");
        assert!(said[0].contains(expected), "{name}: {errors}");
        assert!(errors.lines().count() < 12, "{name}: {errors}");
        assert_eq!(summary(&output)["continue_from"]["line"], 1, "{name}");
        assert_eq!((fixture.count(HERE), fixture.count(THERE)), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_named() {
    let fixture = Fixture::new("settings").await;
    let key = fake_aws::kms_key_arn(HERE, "alias/records");
    for (flags, expected) in [
        (&["--kms-key", &key][..], "error: --kms-key: '"),
        (
            &["--regions", "us-east-1,us-east-1"],
            "error: --regions: Region us-east-1 is listed twice",
        ),
    ] {
        let mut push = fixture.command(&["push", "--stream", "records"]);
        push.env("SEALSTREAM_REGIONS", "us-east-1,eu-west-1")
            .env("SEALSTREAM_KMS_KEY", "alias/records");
        let output = run(
            {
                push.args(flags);
                push
            },
            lines(1),
        )
        .await;
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.starts_with(expected), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_has_a_next_step() {
    for (operation, expected) in [
        (Operation::GenerateDataKey, "\n  allow kms:GenerateDataKey and kms:Encrypt on the key\n"),
        (
            Operation::PutRecords,
            "\n  allow kinesis:PutRecords and kinesis:DescribeStreamSummary on the stream\n",
        ),
    ] {
        for policy in ["fail", "wait"] {
            let fixture = Fixture::new(&format!("refusal_{operation:?}_{policy}")).await;
            let arguments =
                ["--on-outage", policy, "--drain-seconds", "1", "--cache-capacity", "0"];
            let mut child = fixture.push(&arguments).spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            input.write_all(lines(1).as_bytes()).unwrap();
            until(|| fixture.count(HERE) == 1 && fixture.count(THERE) == 1).await;
            fixture.inject(Rule::new(Fault::AccessDenied).operation(operation));
            input.write_all(lines(1).as_bytes()).unwrap();
            until(|| fixture.aws.faults().calls(HERE, operation).faults > 0).await;
            if policy == "wait" {
                tokio::time::sleep(Duration::from_millis(300)).await;
                crate::fixture::signal("TERM", &child);
            }
            let output = ended(child).await;
            drop(input);
            let errors = errors(&output);
            assert_eq!(output.status.code(), Some(3), "{errors}");
            assert!(errors.contains(expected), "{operation:?} {policy}: {errors}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_in_mid_run_drains_a_file_and_exits() {
    let fixture = Fixture::new("mid_file").await;
    let input = fixture.file("big.ndjson", lines(5_000));
    let mut push = fixture.push_with_spool(&[]);
    let child = push.arg(input).spawn().unwrap();
    until(|| fixture.count(THERE) > 500).await;
    fixture.inject(Rule::new(Fault::AccessDenied).operation(Operation::PutRecords).region(THERE));
    let output = ended(child).await;
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    fixture.aws.faults().lift_all();
    assert_eq!(run(fixture.resume(), "").await.status.code(), Some(0));
    // Nothing is left to push if the whole file was read before the outage.
    if let Some(line) = summary(&output)["continue_from"]["line"].as_u64() {
        let rest = fixture.push(&["--from-line", &line.to_string()]);
        let rest = run(rest, lines(5_000)).await;
        assert_eq!(rest.status.code(), Some(0), "{}", errors(&rest));
    }
    for region in [HERE, THERE] {
        let mut ids = fixture.ids(region).await;
        ids.dedup();
        assert_eq!(ids.len(), 5_000, "{region}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_in_mid_run_pauses_a_pipe_until_it_ends() {
    let fixture = Fixture::new("mid_pipe").await;
    let mut push = fixture.push(&[]);
    let mut child = push.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "2").spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines(10).as_bytes()).unwrap();
    until(|| fixture.count(HERE) == 10 && fixture.count(THERE) == 10).await;
    let denied = Rule::new(Fault::AccessDenied).operation(Operation::PutRecords);
    let outage = fixture.inject(denied.region(THERE));
    input.write_all(lines(10).as_bytes()).unwrap();
    until(|| fixture.aws.faults().calls(THERE, Operation::PutRecords).faults > 3).await;
    // Longer than the delivery timeout.
    tokio::time::sleep(Duration::from_secs(4)).await;
    fixture.aws.faults().lift(outage);
    drop(input);
    let output = ended(child).await;
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(errors.contains("paused: stream \"records\" in eu-west-1: access denied"), "{errors}");
    assert!(errors.contains("resumed"), "{errors}");
    assert_eq!((fixture.count(HERE), fixture.count(THERE)), (20, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_that_is_paused_when_a_signal_comes_exits_with_3_and_spools() {
    let fixture = Fixture::new("paused").await;
    let mut push = fixture.push_with_spool(&["--drain-seconds", "1"]);
    let mut child = push.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines(10).as_bytes()).unwrap();
    until(|| fixture.count(HERE) == 10 && fixture.count(THERE) == 10).await;
    fixture.inject(Rule::new(Fault::AccessDenied).operation(Operation::PutRecords).region(THERE));
    input.write_all(lines(10).as_bytes()).unwrap();
    until(|| fixture.aws.faults().calls(THERE, Operation::PutRecords).faults > 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    crate::fixture::signal("TERM", &child);
    let output = ended(child).await;
    drop(input);
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    assert_eq!(fixture.spooled().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_root_certificates_are_an_error() {
    let fixture = Fixture::new("certificates").await;
    let mut push = fixture.push(&[]);
    push.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent");
    let output = run(push, lines(1)).await;
    assert_eq!(output.status.code(), Some(0), "plain HTTP needs none: {}", errors(&output));

    let mut push = fixture.push(&[]);
    push.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent");
    push.env("AWS_ENDPOINT_URL", "https://127.0.0.1:1");
    let output = run(push, lines(1)).await;
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    assert!(errors(&output).contains("no root certificates"), "{}", errors(&output));

    let mut push = fixture.push(&[]);
    push.env("AWS_CA_BUNDLE", fixture.file("bundle.pem", "nothing"));
    let output = run(push, lines(1)).await;
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    assert!(errors(&output).contains("AWS_CA_BUNDLE"), "{}", errors(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_instance_metadata_is_not_asked_for_a_region() {
    let fixture = Fixture::new("no_metadata").await;
    let metadata = TcpListener::bind("127.0.0.1:0").unwrap();
    metadata.set_nonblocking(true).unwrap();
    let mut push = fixture.push(&[]);
    push.env_remove("AWS_EC2_METADATA_DISABLED").env(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT",
        format!("http://{}", metadata.local_addr().unwrap()),
    );
    let output = run(push, lines(1)).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let connection = metadata.accept().map_err(|error| error.kind());
    assert!(matches!(connection, Err(ErrorKind::WouldBlock)), "{connection:?}");
}
