//! Reading one shard, page by page, no faster than leaves room for others.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::stream::kinesis::{Page, Position, ReadError, StreamApi};

/// A shard can be read five times and gives 2 MB a second, to all that read it together ("Quotas and
/// limits" of the Kinesis Data Streams developer guide). Half of the bytes and a fifth of the reads
/// stay for the others, and more where there is nothing to catch up with.
const PAUSE_BEHIND: Duration = Duration::from_millis(250);
const PAUSE_AT_TIP: Duration = Duration::from_secs(1);
const BYTES_PER_SECOND: u64 = 1_000_000;

/// Where in a shard reading has come to.
#[derive(Debug)]
pub(crate) struct Reader {
    api: Arc<dyn StreamApi>,
    shard: String,
    position: Position,
    /// None at the start, and when one has expired.
    iterator: Option<String>,
    not_before: Instant,
    /// Pages that may be in memory.
    room: Arc<Semaphore>,
}

impl Reader {
    pub(crate) fn new(
        api: Arc<dyn StreamApi>,
        shard: String,
        position: Position,
        room: Arc<Semaphore>,
    ) -> Self {
        Self { api, shard, position, iterator: None, not_before: Instant::now(), room }
    }

    /// The next page, which may be empty, with the room that it takes. Not to be called after one
    /// that has no next.
    ///
    /// Waits for trouble to pass, and tells `waiting` of it once.
    ///
    /// # Errors
    /// What Kinesis says if it refuses to give the records.
    pub(crate) async fn next(
        &mut self,
        waiting: impl Fn(String),
    ) -> Result<(Page, OwnedSemaphorePermit), String> {
        let mut pauses = pauses();
        let mut waiting = Some(waiting);
        loop {
            sleep_until(self.not_before).await;
            let room = self.room.clone().acquire_owned().await;
            let room = room.expect("the semaphore is never closed");
            let started = Instant::now();
            let pause = match self.read().await {
                Ok(page) => {
                    self.not_before = started + pause_after(&page);
                    self.move_behind(&page);
                    return Ok((page, room));
                }
                Err(ReadError::Expired) => {
                    self.iterator = None;
                    self.position = self.position.clone().again();
                    PAUSE_BEHIND
                }
                Err(ReadError::Passing(reason)) => {
                    if let Some(waiting) = waiting.take() {
                        waiting(reason);
                    }
                    pauses.next().expect("the pauses have no end")
                }
                Err(ReadError::Refused(reason)) => return Err(reason),
            };
            self.not_before = Instant::now() + pause;
        }
    }

    async fn read(&mut self) -> Result<Page, ReadError> {
        let iterator = match &self.iterator {
            Some(iterator) => iterator.clone(),
            None => {
                let iterator = self.api.iterator(&self.shard, self.position.clone()).await?;
                self.iterator.insert(iterator).clone()
            }
        };
        self.api.records(iterator).await
    }

    fn move_behind(&mut self, page: &Page) {
        if let Some(last) = page.records.last() {
            self.position = Position::After(last.sequence_number.clone());
        }
        self.iterator.clone_from(&page.next);
    }
}

/// For trouble that outlasts the client's own tries.
fn pauses() -> ExponentialBackoff {
    let pauses = ExponentialBuilder::new().with_jitter().without_max_times();
    pauses.with_min_delay(PAUSE_AT_TIP).with_max_delay(Duration::from_secs(10)).build()
}

fn pause_after(page: &Page) -> Duration {
    let bytes: usize = page.records.iter().map(|record| record.data.len()).sum();
    let for_bytes = Duration::from_millis(bytes as u64 * 1000 / BYTES_PER_SECOND);
    for_bytes.max(if page.is_last { PAUSE_AT_TIP } else { PAUSE_BEHIND })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use aws_smithy_types::DateTime;
    use futures::future::{BoxFuture, FutureExt};

    use super::*;
    use crate::stream::kinesis::{Record, Shard};

    type Answer = Result<Page, ReadError>;

    /// Answers reads in turn, and notes what was asked for and when.
    #[derive(Debug, Default)]
    struct Script {
        answers: Mutex<VecDeque<Answer>>,
        positions: Mutex<Vec<Position>>,
        reads: Mutex<Vec<Instant>>,
    }

    impl StreamApi for Script {
        fn shards(&self, _: Position) -> BoxFuture<'_, Result<Vec<Shard>, ReadError>> {
            unreachable!("a reader does not ask for it")
        }

        fn iterator<'a>(
            &'a self,
            _: &'a str,
            position: Position,
        ) -> BoxFuture<'a, Result<String, ReadError>> {
            self.positions.lock().unwrap().push(position);
            async { Ok("iterator".to_owned()) }.boxed()
        }

        fn records(&self, _: String) -> BoxFuture<'_, Answer> {
            self.reads.lock().unwrap().push(Instant::now());
            let answer = self.answers.lock().unwrap().pop_front().unwrap();
            async { answer }.boxed()
        }
    }

    const START: Position = Position::TrimHorizon;

    fn reader<const N: usize>(answers: [Answer; N], position: Position) -> (Reader, Arc<Script>) {
        let answers = Mutex::new(VecDeque::from(answers));
        let script = Arc::new(Script { answers, ..Script::default() });
        let room = Arc::new(Semaphore::new(1));
        (Reader::new(script.clone(), "shard".into(), position, room), script)
    }

    fn page(is_last: bool, records: &[(&str, usize)]) -> Page {
        let record = |&(number, bytes): &(&str, usize)| Record {
            sequence_number: number.to_owned(),
            arrival: None,
            partition_key: String::new(),
            data: vec![0; bytes],
        };
        let records = records.iter().map(record).collect();
        Page { records, is_last, next: Some("iterator".into()), children: Vec::new() }
    }

    /// Reads some pages, and returns the milliseconds before each read and what was said meanwhile.
    async fn read(reader: &mut Reader, script: &Script, pages: usize) -> (Vec<u128>, Vec<String>) {
        let (start, said) = (Instant::now(), Mutex::new(Vec::new()));
        for _ in 0..pages {
            drop(reader.next(|reason| said.lock().unwrap().push(reason)).await.unwrap());
        }
        let reads = script.reads.lock().unwrap();
        let times = [&[start], reads.as_slice()].concat();
        let pauses = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis());
        (pauses.collect(), said.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn reads_leave_room_for_others() {
        let answers = [
            Ok(page(false, &[("1", 100)])),
            Ok(page(false, &[])),
            Ok(page(false, &[("2", 3_000_000), ("3", 1_000_000)])),
            Ok(page(true, &[("4", 100)])),
            Ok(page(true, &[])),
            Ok(page(true, &[])),
        ];
        let (mut reader, script) = reader(answers, START);
        let (pauses, _) = read(&mut reader, &script, 6).await;
        assert_eq!(pauses, [0, 250, 250, 4000, 1000, 1000]);
        assert_eq!(*script.positions.lock().unwrap(), [START]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_iterator_is_replaced_behind_the_last_record() {
        let answers = [
            Ok(page(true, &[("1", 1), ("2", 1)])),
            Ok(page(true, &[])),
            Err(ReadError::Expired),
            Ok(page(true, &[])),
        ];
        let (mut reader, script) = reader(answers, START);
        read(&mut reader, &script, 3).await;
        assert_eq!(*script.positions.lock().unwrap(), [START, Position::After("2".into())]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_iterator_that_found_nothing_skips_nothing() {
        let now = DateTime::from_secs(1_767_600_000);
        let answers = [Ok(page(true, &[])), Err(ReadError::Expired), Ok(page(true, &[("1", 1)]))];
        let (mut reader, script) = reader(answers, Position::Latest { now });
        read(&mut reader, &script, 2).await;
        let expected = [Position::Latest { now }, Position::At(now)];
        assert_eq!(*script.positions.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_once_and_waited_out_with_longer_pauses() {
        let passing = || Err(ReadError::Passing("Throttled".into()));
        let answers = [passing(), passing(), passing(), passing(), Ok(page(true, &[]))];
        let (mut reader, script) = reader(answers, START);
        let (pauses, said) = read(&mut reader, &script, 1).await;
        assert_eq!(said, ["Throttled"]);
        for (pause, at_least) in pauses.iter().zip([0, 1000, 2000, 4000, 8000]) {
            assert!((at_least..=20_000).contains(pause), "{pauses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_not_asked_again() {
        let answers = [Err(ReadError::Refused("AccessDeniedException".into()))];
        let (mut reader, _) = reader(answers, START);
        let refused = reader.next(|_| ()).await.unwrap_err();
        assert_eq!(refused, "AccessDeniedException");
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_takes_the_room_until_it_is_dropped() {
        let answers = [Ok(page(false, &[])), Ok(page(false, &[]))];
        let (mut reader, script) = reader(answers, START);
        let first = reader.next(|_| ()).await.unwrap();
        let second = reader.next(|_| ());
        let waited = tokio::time::timeout(Duration::from_secs(60), second).await;
        assert!(waited.is_err());
        assert_eq!(script.reads.lock().unwrap().len(), 1);
        drop(first);
        assert!(reader.next(|_| ()).await.is_ok());
    }
}
