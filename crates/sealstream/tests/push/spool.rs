//! What is not delivered is kept, and sent later.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;

use fake_aws::{Fault, Operation, Rule};
use serde_json::Value;

use crate::fixture::{Fixture, HERE, THERE, ended, errors, lines, run, summary, until};

#[tokio::test(flavor = "multi_thread")]
async fn undelivered_messages_are_spooled_and_resumed() {
    let fixture = Fixture::new("spooled").await;
    let outage = fixture.outage(THERE);
    let output = run(fixture.push_with_spool(&[]), lines(5)).await;
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let there = &summary(&output)["regions"][THERE];
    assert_eq!((&there["undelivered"], &there["spooled"]), (&5.into(), &5.into()));
    assert_eq!((fixture.count(HERE), fixture.count(THERE)), (5, 0));
    let spooled = fixture.spooled();
    assert_eq!(spooled.len(), 5);
    for message in &spooled {
        assert_eq!((&message["region"], &message["stream"]), (&THERE.into(), &"records".into()));
        assert!(message["attempts"].as_u64().unwrap() > 0);
    }

    // Still out: everything stays, with more attempts.
    let mut resume = fixture.resume();
    resume.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "1");
    let output = run(resume, "").await;
    assert_eq!((output.status.code(), &summary(&output)["left"]), (Some(1), &5.into()));
    let attempts =
        |messages: &[Value]| messages.iter().map(|m| m["attempts"].as_u64().unwrap()).sum::<u64>();
    assert!(attempts(&fixture.spooled()) > attempts(&spooled));
    assert_eq!(fixture.spooled().len(), 5);

    fixture.aws.faults().lift(outage);
    let output = run(fixture.resume(), "").await;
    assert_eq!((output.status.code(), &summary(&output)["delivered"]), (Some(0), &5.into()));
    assert_eq!(fs::read_dir(&fixture.folder).unwrap().count(), 0, "nothing is left behind");
    let data = |region| {
        let records = fixture.aws.kinesis().records(region, "records").into_iter();
        let mut data: Vec<_> = records.map(|record| (record.partition_key, record.data)).collect();
        data.sort();
        data
    };
    assert_eq!(data(HERE), data(THERE), "the same ciphertexts under the same keys");
    let output = run(fixture.resume(), "").await;
    assert_eq!(output.status.code(), Some(2), "there is no file");
    assert_eq!(fs::read_dir(&fixture.folder).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregate_is_spooled_once() {
    let fixture = Fixture::new("aggregate").await;
    fixture.outage(THERE);
    let arguments = ["--aggregate-bytes", "10000", "--linger-ms", "1000"];
    let output = run(fixture.push_with_spool(&arguments), lines(1000)).await;
    let there = &summary(&output)["regions"][THERE];
    assert_eq!((&there["undelivered"], &there["spooled"]), (&1000.into(), &1000.into()));
    let messages = fixture.spooled().len();
    assert!((2..20).contains(&messages), "{messages} messages");
    fixture.aws.faults().lift_all();
    assert_eq!(run(fixture.resume(), "").await.status.code(), Some(0));
    assert_eq!(fixture.ids(THERE).await, (0..1000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_shows_no_plaintext_and_collects_from_several_runs() {
    let fixture = Fixture::new("collects").await;
    fixture.outage(THERE);
    for _ in 0..2 {
        run(fixture.push_with_spool(&[]), lines(2)).await;
    }
    assert_eq!(fixture.spooled().len(), 4);
    assert!(!fs::read_to_string(fixture.spool()).unwrap().contains("marker"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_without_failures_leaves_no_spool() {
    let fixture = Fixture::new("no_spool").await;
    assert_eq!(run(fixture.push_with_spool(&[]), lines(2)).await.status.code(), Some(0));
    assert_eq!(fs::read_dir(&fixture.folder).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_kind_is_refused_untouched() {
    let fixture = Fixture::new("foreign").await;
    let records = lines(2);
    let files: [(&str, &[u8]); 6] = [
        ("records", records.as_bytes()),
        ("empty", b""),
        ("binary", &[0, 159, 146, 150]),
        ("one_line", b"{\"sealstream_spool\":1,\"more\":2}"),
        ("later_version", b"{\"sealstream_spool\":2}\n{}\n"),
        ("long_line", &[b'x'; 10_000]),
    ];
    for (name, content) in files {
        let path = fixture.file(name, content);
        let mut resume = fixture.command(&["resume", "--spool"]);
        resume.arg(&path);
        let output = run(resume, "").await;
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(errors(&output).contains("untouched"), "{}", errors(&output));
        if !content.is_empty() {
            let mut push = fixture.push(&["--spool"]);
            push.arg(&path);
            assert_eq!(run(push, lines(1)).await.status.code(), Some(2), "{name}");
        }
        assert_eq!(fs::read(&path).unwrap(), content, "{name}");
    }
    assert_eq!(fs::read_dir(&fixture.folder).unwrap().count(), files.len());
    assert_eq!(fixture.count(HERE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_lines_are_moved_away_and_kept() {
    let fixture = Fixture::new("unreadable").await;
    let outage = fixture.outage(THERE);
    run(fixture.push_with_spool(&[]), lines(6)).await;
    let text = fs::read_to_string(fixture.spool()).unwrap();
    let mut spooled: Vec<String> = text.lines().map(str::to_owned).collect();
    let attempts = |line: &str| {
        let message: Value = serde_json::from_str(line).unwrap();
        format!("\"attempts\":{}", message["attempts"])
    };
    spooled[1] = spooled[1].replace(&attempts(&spooled[1]), "\"attempts\":-1");
    spooled[2] = spooled[2].replace(&attempts(&spooled[2]), "\"attempts\":\"1\"");
    spooled[3] = spooled[3].replace("\"data\":\"", "\"data\":\"%");
    spooled[4] = spooled[4].replace("eu-west-1", "nowhere");
    spooled[6].truncate(50);
    let damaged: Vec<_> = [1, 2, 3, 4, 6].map(|index| spooled[index].clone()).to_vec();
    fs::write(fixture.spool(), spooled.join("\n")).unwrap();
    fixture.aws.faults().lift(outage);

    let output = run(fixture.resume(), "").await;
    assert_eq!(output.status.code(), Some(1));
    let summary = summary(&output);
    let expected = (&1.into(), &0.into(), &5.into());
    assert_eq!((&summary["delivered"], &summary["left"], &summary["unreadable"]), expected);
    assert!(errors(&output).contains("spool.ndjson:7: cut off"), "{}", errors(&output));
    assert!(errors(&output).contains("spool.ndjson:2: not a message"), "{}", errors(&output));
    let kept = fs::read_to_string(fixture.folder.join("spool.ndjson.unreadable")).unwrap();
    assert_eq!(kept.lines().collect::<Vec<_>>(), damaged);
    assert!(!fixture.spool().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_off_line_does_not_spoil_the_next_one() {
    let fixture = Fixture::new("cut_off").await;
    fixture.outage(THERE);
    run(fixture.push_with_spool(&[]), lines(3)).await;
    let whole = fs::read(fixture.spool()).unwrap();
    fs::write(fixture.spool(), &whole[..whole.len() - 50]).unwrap();
    run(fixture.push_with_spool(&[]), lines(1)).await;
    fixture.aws.faults().lift_all();
    let output = run(fixture.resume(), "").await;
    let summary = summary(&output);
    assert_eq!((&summary["delivered"], &summary["unreadable"]), (&3.into(), &1.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_that_is_killed_leaves_the_spool_as_it_was() {
    let fixture = Fixture::new("killed").await;
    fixture.outage(THERE);
    run(fixture.push_with_spool(&[]), lines(3)).await;
    let before = fs::read(fixture.spool()).unwrap();
    fixture.aws.faults().lift_all();
    let hang = Rule::new(Fault::Hang).operation(Operation::PutRecords).times(1);
    fixture.inject(hang);
    let faults = || fixture.aws.faults().calls(THERE, Operation::PutRecords).faults;
    let faults_before = faults();
    let mut killed = fixture.resume().spawn().unwrap();
    until(|| faults() > faults_before).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(fs::read(fixture.spool()).unwrap(), before);
    assert_eq!(run(fixture.resume(), "").await.status.code(), Some(0));
    assert_eq!(fixture.count(THERE), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_that_is_stopped_keeps_the_rest() {
    for signal in ["TERM", "INT", "HUP"] {
        let fixture = Fixture::new(&format!("resume_{signal}")).await;
        fixture.outage(THERE);
        run(fixture.push_with_spool(&[]), lines(20)).await;
        fixture.aws.faults().lift_all();
        fixture.inject(Rule::new(Fault::Hang).operation(Operation::PutRecords));
        let calls = || fixture.aws.faults().calls(THERE, Operation::PutRecords).faults;
        let before = calls();
        let mut resume = fixture.resume();
        let child = resume.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "60").spawn().unwrap();
        until(|| calls() > before).await;
        crate::fixture::signal(signal, &child);
        let output = ended(child).await;
        let summary = summary(&output);
        assert_eq!((output.status.code(), &summary["left"]), (Some(1), &20.into()), "{signal}");
        fixture.aws.faults().lift_all();
        assert_eq!(run(fixture.resume(), "").await.status.code(), Some(0));
        assert_eq!(fixture.ids(THERE).await, (0..20).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_has_one_user_at_a_time_by_whatever_name() {
    let fixture = Fixture::new("one_user").await;
    let outage = fixture.outage(THERE);
    run(fixture.push_with_spool(&[]), lines(1)).await;
    fixture.aws.faults().lift(outage);
    let mut first = fixture.push_with_spool(&[]).spawn().unwrap();
    let mut input = first.stdin.take().unwrap();
    let before = fixture.count(HERE);
    input.write_all(lines(1).as_bytes()).unwrap();
    until(|| fixture.count(HERE) > before).await;
    let link = fixture.folder.join("link");
    symlink(fixture.spool(), &link).unwrap();
    for path in [&fixture.spool(), &link] {
        let mut second = fixture.push(&["--spool"]);
        second.arg(path);
        let output = run(second, "").await;
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(errors(&output).contains("is in use by another program"), "{}", errors(&output));
    }
    drop(input);
    assert!(ended(first).await.status.success());
    let mut resume = fixture.command(&["resume", "--spool"]);
    resume.arg(&link);
    assert_eq!(run(resume, "").await.status.code(), Some(0));
    assert!(!fixture.spool().exists(), "the file itself, not only the link's name");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_one_role() {
    let fixture = Fixture::new("roles").await;
    let content = lines(3);
    let same = fixture.file("same", &content);
    let other = fixture.folder.join("other");
    fs::hard_link(&same, &other).unwrap();
    let new = fixture.folder.join("new");
    type Role<'a> = (&'a str, &'a Path);
    let cases: [(&str, &Path, Option<Role<'_>>); 5] = [
        ("--spool", &other, None),
        ("--metrics", &other, None),
        ("--rejects", &other, None),
        ("--metrics", &new, Some(("--rejects", &new))),
        ("--metrics", &new, Some(("--spool", &new))),
    ];
    for (flag, path, second) in cases {
        let mut push = fixture.push(&[flag]);
        push.arg(path).arg(&same);
        if let Some((flag, path)) = second {
            push.arg(flag).arg(path);
        }
        let output = run(push, "").await;
        assert_eq!(output.status.code(), Some(2), "{flag} {second:?}");
        assert_eq!(fs::read_to_string(&same).unwrap(), content);
    }
    let mut redirected = fixture.push(&["--spool"]);
    redirected.arg(&same).stdin(fs::File::open(&same).unwrap());
    let output = ended(redirected.spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(2), "standard input is the spool");
    assert_eq!(fixture.count(HERE), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_fails_the_run_but_not_the_pushing() {
    let fixture = Fixture::new("full").await;
    fixture.outage(THERE);
    symlink("/dev/full", fixture.spool()).unwrap();
    let rejects = fixture.folder.join("rejects");
    let mut push = fixture.push_with_spool(&[]);
    push.arg("--rejects").arg(&rejects);
    let output = run(push, lines(3)).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let summary = summary(&output);
    assert_eq!(
        (&summary["spool_failed"], &summary["continue_from"]["line"]),
        (&true.into(), &1.into())
    );
    assert_eq!(summary["regions"][THERE]["spooled"], 0);
    assert_eq!(fixture.count(HERE), 3);
    assert_eq!(fs::read_to_string(rejects).unwrap().lines().count(), 3, "what was not kept");
    assert!(errors(&output).contains("No space left"), "{}", errors(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_in_a_folder_that_is_not_there_is_found_before_anything_is_pushed() {
    let fixture = Fixture::new("no_folder").await;
    let mut push = fixture.push(&["--spool"]);
    push.arg(fixture.folder.join("missing/spool")).stdin(Stdio::null());
    let output = ended(push.spawn().unwrap()).await;
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
}
