//! Credentials that expire and are replaced while a push runs.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use fake_aws::{Fault, Operation, Rule};

use crate::fixture::{Fixture, HERE, THERE, ended, errors, lines, summary, until};

/// Where the credentials come from.
#[derive(Debug, Clone, Copy)]
enum Source {
    /// Without an expiry.
    File,
    /// With one that comes soon.
    Process,
}

impl Source {
    fn path(self, fixture: &Fixture) -> PathBuf {
        fixture.folder.join(format!("{self:?}"))
    }

    /// Stores credentials in the place of others, as tools do.
    fn store(self, fixture: &Fixture, id: &str) {
        let text = match self {
            Self::File => format!(
                "[default]\naws_access_key_id = {id}\naws_secret_access_key = secret\n\
                 aws_session_token = token\n"
            ),
            Self::Process => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "credentials expire at a time of day"
                )]
                let expiry = SystemTime::now() + Duration::from_secs(15);
                let expiry = DateTime::from(expiry).fmt(Format::DateTime).unwrap();
                format!(
                    "{{\"Version\": 1, \"AccessKeyId\": \"{id}\", \"SecretAccessKey\": \"secret\", \
                     \"SessionToken\": \"token\", \"Expiration\": \"{expiry}\"}}"
                )
            }
        };
        let new = fixture.file("new", text);
        fs::rename(new, self.path(fixture)).unwrap();
    }

    /// Lets a command use these credentials only.
    fn configure(self, fixture: &Fixture, command: &mut Command) {
        let config = match self {
            Self::File => "[default]\n".to_owned(),
            Self::Process => format!(
                "[default]\ncredential_process = /bin/cat {}\n",
                self.path(fixture).display()
            ),
        };
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        command.env("AWS_CONFIG_FILE", fixture.file("config", config));
        let credentials = match self {
            Self::File => self.path(fixture),
            Self::Process => fixture.file("none", ""),
        };
        command.env("AWS_SHARED_CREDENTIALS_FILE", credentials);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_waits_goes_on_with_new_credentials() {
    for source in [Source::File, Source::Process] {
        let fixture = Fixture::new(&format!("renewed_{source:?}")).await;
        source.store(&fixture, "old");
        // KMS is called for every tenth record, so that it refuses the credentials too.
        let mut push = fixture.push(&["--on-outage", "wait", "--cache-max-messages", "10"]);
        push.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "3");
        source.configure(&fixture, &mut push);
        let mut child = push.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(lines(20).as_bytes()).unwrap();
        until(|| fixture.count(HERE) == 20 && fixture.count(THERE) == 20).await;
        fixture.inject(Rule::new(Fault::ExpiredToken).access_key("old"));
        input.write_all(lines(500).as_bytes()).unwrap();
        let refused = |operation| fixture.aws.faults().calls(HERE, operation).faults;
        until(|| refused(Operation::GenerateDataKey) + refused(Operation::PutRecords) > 1).await;
        source.store(&fixture, "new");
        drop(input);
        let output = ended(child).await;
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(0), "{source:?} {errors}");
        assert_eq!((fixture.count(HERE), fixture.count(THERE)), (520, 520), "{source:?} {errors}");
        assert!(errors.contains("paused: ") && errors.contains("resumed"), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_does_not_wait_exits_with_3_and_spools() {
    let fixture = Fixture::new("expired").await;
    Source::File.store(&fixture, "old");
    let mut push = fixture.push_with_spool(&["--on-outage", "fail"]);
    Source::File.configure(&fixture, &mut push);
    let mut child = push.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines(20).as_bytes()).unwrap();
    until(|| fixture.count(HERE) == 20 && fixture.count(THERE) == 20).await;
    fixture.inject(Rule::new(Fault::ExpiredToken).access_key("old"));
    input.write_all(lines(20).as_bytes()).unwrap();
    let output = ended(child).await;
    drop(input);
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("get new temporary credentials and try again"), "{errors}");
    let read = summary(&output)["records"].as_u64().unwrap();
    let spooled = |region| fixture.spooled().iter().filter(|m| m["region"] == region).count();
    for region in [HERE, THERE] {
        assert_eq!((fixture.count(region) + spooled(region)) as u64, read, "{errors}");
    }
}
