//! What is said about lines, folded: the same problem of many lines is one message.

use std::collections::VecDeque;
use std::fmt::Write;
use std::io;
use std::sync::Arc;

use crate::push::position::Position;
use record_pusher::InvalidRecord;

/// Messages that are open at once.
const MAX_FOLDS: usize = 64;
/// Ranges of lines in one message.
const MAX_RANGES: usize = 8;

/// A problem of a line. Says nothing of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is counted: "line" or "record".
    noun: &'static str,
    /// Problems with the same text are folded.
    text: String,
    /// Shown unless the problem is folded.
    detail: Option<String>,
    /// Whether the line may be a good one that was not read.
    unread: bool,
}

impl Problem {
    fn of_line(text: impl Into<String>) -> Self {
        Self { noun: "line", text: text.into(), detail: None, unread: false }
    }

    pub(crate) fn of_record(text: impl Into<String>) -> Self {
        Self { noun: "record", text: text.into(), detail: None, unread: false }
    }

    pub(crate) fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub(crate) fn unreadable(error: &io::Error) -> Self {
        Self { unread: true, ..Self::of_line(format!("cannot be read: {error}")) }
    }

    pub(crate) fn too_long() -> Self {
        Self::of_line("longer than 10 MiB, which no stream accepts, skipped")
    }

    pub(crate) fn unfinished() -> Self {
        Self { unread: true, ..Self::of_line("unfinished when reading was stopped, skipped") }
    }

    /// Whether the line may be a good one that was not read, so that it can be pushed later.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread
    }

    /// Returns the text with the detail.
    pub(crate) fn full_text(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{} ({detail})", self.text),
            None => self.text.clone(),
        }
    }
}

/// Returns the problem of a line that is not a record.
pub(crate) fn describe(error: InvalidRecord, line: &[u8]) -> Problem {
    let what = match error {
        InvalidRecord::NotUtf8 => "not UTF-8",
        InvalidRecord::NotJson { .. } => "not valid JSON",
        _ => "not a JSON object",
    };
    let text = match hint(line) {
        Some(hint) => format!("{what}, skipped (expected one object per line; {hint})"),
        None => format!("{what}, skipped"),
    };
    match error {
        InvalidRecord::NotJson { column, .. } => {
            Problem::of_line(text).with_detail(format!("column {column}"))
        }
        _ => Problem::of_line(text),
    }
}

/// Returns how to convert an input of another form, by the look of a line.
fn hint(line: &[u8]) -> Option<&'static str> {
    let is_utf16 = line.starts_with(&[0xff, 0xfe]) || line.starts_with(&[0xfe, 0xff]);
    match line.first()? {
        _ if is_utf16 || line.contains(&0) => Some("for UTF-16, try `iconv -f utf-16 -t utf-8`"),
        b'[' => Some("for an array, try `jq -c '.[]'`"),
        b'{' if line.len() == 1 => Some("for pretty-printed JSON, try `jq -c .`"),
        b'"' if line.contains(&b':') => Some("for pretty-printed JSON, try `jq -c .`"),
        b'}' | b']' => Some("for pretty-printed JSON, try `jq -c .`"),
        b'{' => None,
        _ if [b',', b';', b'\t'].iter().any(|separator| line.contains(separator)) => {
            Some("for CSV, try `mlr --icsv --ojsonl cat`")
        }
        _ => None,
    }
}

/// Problems that were not shown yet, in bounded memory.
#[derive(Debug, Default)]
pub(crate) struct Folds(VecDeque<Fold>);

#[derive(Debug)]
struct Fold {
    problem: Problem,
    input: usize,
    file: Arc<str>,
    count: u64,
    ranges: Ranges,
}

impl Folds {
    /// Adds a problem. Returns a message that has to be shown to make room for it.
    pub(crate) fn add(&mut self, position: &Position, problem: Problem) -> Option<String> {
        let known = self
            .0
            .iter_mut()
            .find(|fold| fold.input == position.input && fold.problem.text == problem.text);
        if let Some(fold) = known {
            fold.count += 1;
            fold.ranges.add(position.line);
            return None;
        }
        let shown = if self.0.len() < MAX_FOLDS { None } else { self.0.pop_front() };
        let mut ranges = Ranges::default();
        ranges.add(position.line);
        let (input, file) = (position.input, position.file.clone());
        self.0.push_back(Fold { problem, input, file, count: 1, ranges });
        shown.map(|fold| fold.message())
    }

    /// Takes all messages.
    pub(crate) fn take(&mut self) -> Vec<String> {
        self.0.drain(..).map(|fold| fold.message()).collect()
    }
}

impl Fold {
    fn message(&self) -> String {
        let Self { problem, file, count, ranges, .. } = self;
        let lines = ranges.text();
        if *count == 1 {
            return format!("{file}:{lines}: {}", problem.full_text());
        }
        let all = if *count < ranges.lines() { ", not all of these lines" } else { "" };
        format!("{file}:{lines}: {count} {}s{all}: {}", problem.noun, problem.text)
    }
}

/// Numbers of lines, as few ranges. Ranges that are too many are merged, with the lines in between.
#[derive(Debug, Default)]
struct Ranges {
    /// First and last lines, in order and apart.
    ranges: Vec<(u64, u64)>,
}

impl Ranges {
    fn add(&mut self, line: u64) {
        let index = self.ranges.partition_point(|(_, last)| *last + 1 < line);
        match self.ranges.get_mut(index) {
            Some((first, last)) if *first <= line + 1 => {
                *first = line.min(*first);
                *last = line.max(*last);
                self.join(index);
            }
            _ => self.ranges.insert(index, (line, line)),
        }
        if self.ranges.len() > MAX_RANGES {
            self.merge_nearest();
        }
    }

    /// Joins a range with the next one if there is no line between them.
    fn join(&mut self, index: usize) {
        if let Some((first, last)) = self.ranges.get(index + 1).copied()
            && self.ranges[index].1 + 1 >= first
        {
            self.ranges[index].1 = last;
            self.ranges.remove(index + 1);
        }
    }

    fn merge_nearest(&mut self) {
        let gap = |index: &usize| self.ranges[index + 1].0 - self.ranges[*index].1;
        let nearest = (0..self.ranges.len() - 1).min_by_key(gap).expect("there are several");
        self.ranges[nearest].1 = self.ranges[nearest + 1].1;
        self.ranges.remove(nearest + 1);
    }

    /// Counts the lines in the ranges.
    fn lines(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (first, last) in &self.ranges {
            let separator = if text.is_empty() { "" } else { "," };
            let _ = match first == last {
                true => write!(text, "{separator}{first}"),
                false => write!(text, "{separator}{first}-{last}"),
            };
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u64) -> Position {
        Position { input: 0, file: "a.ndjson".into(), line, offset: 0 }
    }

    fn fold(lines: impl IntoIterator<Item = u64>) -> Vec<String> {
        let mut folds = Folds::default();
        for line in lines {
            let problem = Problem::of_record("not delivered").with_detail("7 attempts");
            assert_eq!(folds.add(&at(line), problem), None);
        }
        folds.take()
    }

    #[test]
    fn the_same_problem_of_many_lines_is_one_message() {
        assert_eq!(fold([7]), ["a.ndjson:7: not delivered (7 attempts)"]);
        assert_eq!(fold(1..=9000), ["a.ndjson:1-9000: 9000 records: not delivered"]);
        let backwards = fold((1..=100).rev());
        assert_eq!(backwards, ["a.ndjson:1-100: 100 records: not delivered"]);
        let apart = fold([1, 2, 9, 5, 4, 3]);
        assert_eq!(apart, ["a.ndjson:1-5,9: 6 records: not delivered"]);
        let filled_later = fold((1..=100).step_by(2).chain((2..=100).step_by(2)));
        assert_eq!(filled_later, ["a.ndjson:1-100: 100 records: not delivered"]);
        let scattered = fold((1..=1000).map(|index| index * 10));
        let [message] = scattered.as_slice() else { panic!("{scattered:?}") };
        assert!(message.contains("1000 records, not all of these lines"), "{message}");
        assert!(message.len() < 200, "{message}");
    }

    #[test]
    fn problems_are_bounded_whatever_they_are() {
        let mut folds = Folds::default();
        let mut shown = 0;
        for line in 1..=1000 {
            shown +=
                usize::from(folds.add(&at(line), Problem::of_line(line.to_string())).is_some());
        }
        assert_eq!((shown, folds.take().len()), (1000 - MAX_FOLDS, MAX_FOLDS));
    }

    #[test]
    fn other_forms_of_input_are_recognised() {
        let text = |line: &[u8]| {
            let error = record_pusher::Record::from_json(line).unwrap_err();
            describe(error, line).full_text()
        };
        for (line, expected) in [
            (b"[{\"id\":1}]".as_slice(), "jq -c '.[]'"),
            (b"{", "jq -c ."),
            (b"\"id\": 1,", "jq -c ."),
            (b"}", "jq -c ."),
            (b"id,name", "mlr"),
            (b"\xff\xfe{\0}\0", "iconv"),
            (b"{'id':1}", "not valid JSON, skipped (column"),
            (b"5", "not a JSON object, skipped"),
        ] {
            let text = text(line);
            assert!(text.contains(expected), "{text}");
        }
    }
}
