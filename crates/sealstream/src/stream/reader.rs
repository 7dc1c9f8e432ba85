//! Reading a shard page by page, slowly enough to leave capacity for other readers.

use std::sync::Arc;
use std::time::Duration;

use aws_outcome::{Failure, Pauses};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use crate::stream::kinesis::{Page, Position, ReadError, StreamApi};

/// A shard serves five reads and 2 MB a second to all its readers together ("Quotas and limits" of the
/// Kinesis Data Streams developer guide). A fifth of the reads and half of the bytes are left to
/// others, and more once this reader has caught up.
const PAUSE_BEHIND: Duration = Duration::from_millis(250);
const PAUSE_AT_TIP: Duration = Duration::from_secs(1);
const BYTES_PER_SECOND: u64 = 1_000_000;
/// Longest pause after a failure that outlasts the SDK's own attempts.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Reads a shard.
#[derive(Debug)]
pub(crate) struct Reader {
    api: Arc<dyn StreamApi>,
    shard: String,
    position: Position,
    /// `None` at the start, and after one has expired.
    iterator: Option<String>,
    not_before: Instant,
    /// Permits for pages in memory.
    pages: Arc<Semaphore>,
}

impl Reader {
    pub(crate) fn new(
        api: Arc<dyn StreamApi>,
        shard: String,
        position: Position,
        pages: Arc<Semaphore>,
    ) -> Self {
        Self { api, shard, position, iterator: None, not_before: Instant::now(), pages }
    }

    /// Returns the next page, which may be empty, with its permit. Must not be called after the last
    /// page of a closed shard. Retries without end while Kinesis fails, and reports the first such
    /// failure to `waiting`.
    ///
    /// # Errors
    /// The failure of a request that would fail again.
    pub(crate) async fn next(
        &mut self,
        waiting: impl Fn(&Failure),
    ) -> Result<(Page, OwnedSemaphorePermit), Failure> {
        let mut pauses = Pauses::new(PAUSE_AT_TIP, MAX_PAUSE);
        let mut waiting = Some(waiting);
        loop {
            sleep_until(self.not_before).await;
            let permit = self.pages.clone().acquire_owned().await;
            let permit = permit.expect("the semaphore is never closed");
            let started = Instant::now();
            let pause = match self.read().await {
                Ok(page) => {
                    self.not_before = started + pause_after(&page);
                    self.advance(&page);
                    return Ok((page, permit));
                }
                Err(ReadError::Expired) => {
                    self.iterator = None;
                    self.position = self.position.clone().renewed();
                    PAUSE_BEHIND
                }
                Err(ReadError::Failed(failure)) if failure.is_retryable() => {
                    if let Some(waiting) = waiting.take() {
                        waiting(&failure);
                    }
                    pauses.next_pause().max(PAUSE_BEHIND)
                }
                Err(ReadError::Failed(failure)) => return Err(failure),
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

    fn advance(&mut self, page: &Page) {
        if let Some(last) = page.records.last() {
            self.position = Position::After(last.sequence_number.clone());
        }
        self.iterator.clone_from(&page.next);
    }
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

    use aws_outcome::Cause;
    use aws_smithy_types::DateTime;
    use futures::future::{BoxFuture, FutureExt};

    use super::*;
    use crate::stream::kinesis::{Record, Shard};

    type Answer = Result<Page, ReadError>;

    /// Answers reads in turn, and records positions and times.
    #[derive(Debug, Default)]
    struct Script {
        answers: Mutex<VecDeque<Answer>>,
        positions: Mutex<Vec<Position>>,
        reads: Mutex<Vec<Instant>>,
    }

    impl StreamApi for Script {
        fn shards(&self, _: Position) -> BoxFuture<'_, Result<Vec<Shard>, ReadError>> {
            unreachable!("a reader lists no shards")
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
        let pages = Arc::new(Semaphore::new(1));
        (Reader::new(script.clone(), "shard".into(), position, pages), script)
    }

    fn page(is_last: bool, records: &[(&str, usize)]) -> Page {
        let record = |&(number, bytes): &(&str, usize)| Record {
            sequence_number: number.to_owned(),
            arrival: None,
            partition_key: String::new(),
            encryption: None,
            data: vec![0; bytes],
        };
        let records = records.iter().map(record).collect();
        Page { records, is_last, next: Some("iterator".into()), children: Vec::new() }
    }

    /// Reads pages. Returns the milliseconds before each read, and the failures reported.
    async fn read(reader: &mut Reader, script: &Script, pages: usize) -> (Vec<u128>, Vec<String>) {
        let (start, said) = (Instant::now(), Mutex::new(Vec::new()));
        for _ in 0..pages {
            let waiting = |failure: &Failure| said.lock().unwrap().push(failure.to_string());
            drop(reader.next(waiting).await.unwrap());
        }
        let reads = script.reads.lock().unwrap();
        let times = [&[start], reads.as_slice()].concat();
        let pauses = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis());
        (pauses.collect(), said.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn reads_leave_capacity_for_others() {
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
    async fn an_expired_iterator_is_replaced_after_the_last_record() {
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
    async fn a_failure_is_reported_once_and_retried_with_growing_pauses() {
        let throttled = || Err(ReadError::Failed(Cause::Throttled.into()));
        let answers = [throttled(), throttled(), throttled(), throttled(), Ok(page(true, &[]))];
        let (mut reader, script) = reader(answers, START);
        let (pauses, said) = read(&mut reader, &script, 1).await;
        assert_eq!(said, ["throttled"]);
        for (pause, at_most) in pauses.iter().zip([0, 1000, 2000, 4000, 8000]) {
            assert!((at_most.min(250)..=at_most).contains(pause), "{pauses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_lasts_is_not_retried() {
        let answers = [Err(ReadError::Failed(Cause::AccessDenied.into()))];
        let (mut reader, _) = reader(answers, START);
        let failure = reader.next(|_| ()).await.unwrap_err();
        assert_eq!(failure.cause(), Cause::AccessDenied);
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_keeps_its_permit_until_it_is_dropped() {
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
