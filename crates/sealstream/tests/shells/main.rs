//! Every command in every situation that a shell or a terminal can put it in: the exit code is as
//! documented, nothing panics, the command ends in time, and no record is lost.
#![cfg(target_os = "linux")] // for setsid and /dev/full
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod situation;
mod terminal;
mod work;

use std::time::Duration;

use futures::future::join_all;
use situation::{Ended, Situation};
use terminal::line_wider_than;
use work::Work;

use Situation::*;

/// Time for a command to end, beyond its drain time of one second, or five of a redrive. Generous:
/// machines that run tests are slow.
const LIMIT: Duration = Duration::from_secs(15);

/// Situations in which a command finishes what it has taken.
const DRAINED: [Situation; 5] = [CtrlC, Terminate, TerminateGroup, HangUp, TerminalCloses];

/// What fails today, with the reason. A situation that passes must not be listed.
const EXPECTED_FAILURES: &[(Work, Situation, &str)] = &[];

#[tokio::test(flavor = "multi_thread")]
async fn push_of_a_file() {
    // A summary that cannot be written takes nothing back of what was delivered.
    check(Work::Push, &Situation::UNDISTURBED.map(|situation| (situation, 0))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn push_of_a_pipe() {
    check(Work::PushFollowing, &DRAINED.map(|situation| (situation, 1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn push_while_a_region_does_not_answer() {
    let mut rows = DRAINED.map(|situation| (situation, 1)).to_vec();
    rows.extend([(CtrlCTwice, 130), (TerminateTwice, 143)]);
    check(Work::PushHanging, &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_of_a_spool() {
    check(Work::Resume, &Situation::UNDISTURBED.map(|situation| (situation, 0))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resume_while_a_region_does_not_answer() {
    check(Work::ResumeHanging, &DRAINED.map(|situation| (situation, 1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_to_the_newest_record() {
    let mut rows = vec![(OutputFull, 1)];
    rows.extend(others(OutputFull).map(|situation| (situation, 0)));
    check(Work::Tail, &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_that_follows() {
    check(Work::TailFollowing, &DRAINED.map(|situation| (situation, 0))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redrive_of_a_quarantine() {
    // The list of documents is a report, as push's summary is.
    check(Work::Redrive, &Situation::UNDISTURBED.map(|situation| (situation, 0))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redrive_while_the_function_does_not_answer() {
    let mut rows = DRAINED.map(|situation| (situation, 1)).to_vec();
    rows.extend([(CtrlCTwice, 130), (TerminateTwice, 143)]);
    check(Work::RedriveHanging, &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consumer_event() {
    let mut rows = vec![(OutputFull, 1)];
    rows.extend(others(OutputFull).map(|situation| (situation, 0)));
    check(Work::ConsumerEvent, &rows).await;
}

/// A command without anything to finish ends by the first signal.
#[tokio::test(flavor = "multi_thread")]
async fn consumer_event_while_kinesis_does_not_answer() {
    let rows = [(CtrlC, 130), (Terminate, 143), (TerminateGroup, 143), (HangUp, 129)];
    check(Work::ConsumerEventHanging, &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completions() {
    let mut rows = vec![(OutputFull, 1)];
    rows.extend(others(OutputFull).map(|situation| (situation, 0)));
    check(Work::Completions, &rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn help() {
    for work in [Work::Help, Work::HelpOfPush, Work::HelpOfTail, Work::HelpOfRedrive] {
        check(work, &Situation::UNDISTURBED.map(|situation| (situation, 0))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_usage_error() {
    check(Work::UsageError, &Situation::UNDISTURBED.map(|situation| (situation, 2))).await;
}

fn others(except: Situation) -> impl Iterator<Item = Situation> {
    Situation::UNDISTURBED.into_iter().filter(move |situation| *situation != except)
}

/// Runs a command in each situation, and compares its exit code. All at the same time, because commands
/// that are told to end wait more than they work.
async fn check(work: Work, rows: &[(Situation, i32)]) {
    let runs = rows
        .iter()
        .map(async |&(situation, code)| (situation, run(work, situation, code).await.err()));
    let mut surprises = Vec::new();
    for (situation, failure) in join_all(runs).await {
        let expected = EXPECTED_FAILURES
            .iter()
            .find(|(failing, there, _)| (*failing, *there) == (work, situation));
        match (failure, expected) {
            (Some(failure), None) => surprises.push(format!("{work:?} {situation:?}: {failure}")),
            (None, Some((.., reason))) => surprises.push(format!(
                "{work:?} {situation:?} passes; remove it from the expected failures ({reason})"
            )),
            _ => {}
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

async fn run(work: Work, situation: Situation, code: i32) -> Result<(), String> {
    let folder = format!("shells-{work:?}-{situation:?}");
    let fixture = work::Fixture::new(&folder, work).await;
    let mut running = fixture.start(situation);
    fixture.until_under_way().await;
    let ended = tokio::task::spawn_blocking({
        let folder = fixture.folder.clone();
        move || {
            running.disturb();
            running.wait(&folder, LIMIT)
        }
    });
    let ended = ended.await.unwrap();
    check_end(&ended, situation, code)?;
    fixture.check_records(&ended, situation)
}

fn check_end(ended: &Ended, situation: Situation, code: i32) -> Result<(), String> {
    if ended.errors.contains("panicked") {
        return Err(format!("panics: {ended:?}"));
    }
    if ended.time >= LIMIT {
        return Err(format!("does not end: {ended:?}"));
    }
    if ended.code != code {
        return Err(format!("exit code {}, not {code}: {ended:?}", ended.code));
    }
    if situation == Situation::NoColor && ended.errors.contains("\u{1b}[3") {
        return Err(format!("colored: {:?}", ended.errors));
    }
    let wide = situation.columns().and_then(|columns| line_wider_than(&ended.errors, columns));
    match wide {
        Some(line) => Err(format!("wraps the line {line:?}")),
        None => Ok(()),
    }
}
