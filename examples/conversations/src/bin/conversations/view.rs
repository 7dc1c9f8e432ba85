//! What people read.

use std::time::{Duration, SystemTime};

use console::{Alignment, Style, Term, measure_text_width, pad_str, truncate_str};
use conversations::{Conversation, CreatedAt, Message, Page, Schema, User};
use serde::Serialize;

/// Where the text will be shown.
pub(crate) struct Screen {
    width: usize,
}

const GAP: &str = "  ";
const GROUP_WIDTH: usize = 36;
/// Of texts that are cut to fit.
const MIN_TEXT_WIDTH: usize = 20;
const WIDTH_OF_FILES: usize = 160;

impl Screen {
    pub(crate) fn of_terminal() -> Self {
        let size = Term::stdout().size_checked();
        Self { width: size.map_or(WIDTH_OF_FILES, |(_, columns)| columns.into()) }
    }
}

pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

pub(crate) fn schema(schema: &Schema) -> String {
    let made = match schema.made.as_slice() {
        [] => "was complete".to_owned(),
        made => format!("made: {}", made.join(", ")),
    };
    format!("Table {}, {made}\nStream {}\n", schema.table, schema.stream_arn)
}

pub(crate) fn seeded(messages: usize, conversations: usize, people: &[User]) -> String {
    let mut text = format!("{messages} messages in {conversations} conversations of\n");
    let width = people.iter().map(|person| measure_text_width(person.display_name())).max();
    for person in people {
        let name = pad(person.display_name(), width.unwrap_or_default());
        let handle = pad(&format!("@{}", person.handle()), 8);
        text += &format!("  {name}{GAP}{handle}{GAP}{}\n", dim(&person.id().to_string()));
    }
    text
}

pub(crate) fn sent(message: &Message) -> String {
    let (group, time) = (message.group(), message.created_at());
    format!("Sent to {} at {time}\nGroup {group}\n", name(message.recipient()))
}

/// A table of conversations: how long ago, with whom, how the last message begins, the group.
pub(crate) fn conversations(page: &Page<Conversation>, now: SystemTime, screen: &Screen) -> String {
    if page.items.is_empty() {
        return "No conversations\n".to_owned();
    }
    let rows: Vec<_> = page.items.iter().map(|item| Row::of(item, now)).collect();
    let width = |of: fn(&Row) -> &str| rows.iter().map(|row| measure_text_width(of(row))).max();
    let when = width(|row| &row.when).unwrap_or_default();
    let with = width(|row| &row.with).unwrap_or_default();
    let others = when + with + GROUP_WIDTH + 3 * GAP.len();
    let text = screen.width.saturating_sub(others).max(MIN_TEXT_WIDTH);
    let head = [pad("WHEN", when), pad("WITH", with), pad("LAST MESSAGE", text), "GROUP".into()];
    let mut lines = vec![dim(&head.join(GAP))];
    lines.extend(rows.iter().map(|row| {
        let message = pad(&truncate_str(&row.message, text, "…"), text);
        let columns = [pad(&row.when, when), bold(&pad(&row.with, with)), message, dim(&row.group)];
        columns.join(GAP)
    }));
    lines.join("\n") + "\n" + &footer(page)
}

struct Row {
    when: String,
    with: String,
    message: String,
    group: String,
}

impl Row {
    fn of(conversation: &Conversation, now: SystemTime) -> Self {
        Self {
            when: ago(&conversation.last_message_at, now),
            with: name(&conversation.with),
            message: printable(&conversation.message).replace('\n', " "),
            group: conversation.message_group_uuid.to_string(),
        }
    }
}

/// The messages of a conversation, each with its time and its sender.
pub(crate) fn messages(participants: &[User], page: &Page<Message>, screen: &Screen) -> String {
    if page.items.is_empty() {
        return "No messages\n".to_owned();
    }
    let names: Vec<_> = participants.iter().map(name).collect();
    let of = |message: &Message| message.sender().display_name().to_owned();
    let sender = page.items.iter().map(|item| measure_text_width(&of(item))).max();
    let sender = sender.unwrap_or_default();
    let mut text = bold(&names.join(" and ")) + "\n";
    for message in &page.items {
        let time = minute(message.created_at());
        let indent = time.len() + sender + 2 * GAP.len();
        let width = screen.width.saturating_sub(indent).max(MIN_TEXT_WIDTH);
        let said = wrap(&printable(message.text()), width);
        let said = said.join(&format!("\n{}", " ".repeat(indent)));
        let is_first = participants.first().is_some_and(|user| user.id() == message.sender().id());
        let style = if is_first { Style::new().cyan() } else { Style::new().green() };
        let sender = style.apply_to(pad(&of(message), sender));
        text += &format!("{}{GAP}{sender}{GAP}{said}\n", dim(&time));
    }
    text + &footer(page)
}

fn footer<T>(page: &Page<T>) -> String {
    let units = format!("{} read units", page.read_units);
    let more = page.next.as_ref().map(|next| format!("; older: --cursor {next}"));
    dim(&(units + &more.unwrap_or_default())) + "\n"
}

fn name(user: &User) -> String {
    format!("{} @{}", user.display_name(), user.handle())
}

/// How long ago it was, or the day if that is a week.
fn ago(time: &CreatedAt, now: SystemTime) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let elapsed = now.duration_since(time.time()).unwrap_or(Duration::ZERO).as_secs();
    match elapsed {
        0..MINUTE => "now".to_owned(),
        MINUTE..HOUR => format!("{} min ago", elapsed / MINUTE),
        HOUR..DAY => format!("{} h ago", elapsed / HOUR),
        _ if elapsed < 7 * DAY => format!("{} d ago", elapsed / DAY),
        _ => time.as_str()[..10].to_owned(),
    }
}

/// `2026-01-31 12:00`, in UTC.
fn minute(time: &CreatedAt) -> String {
    time.as_str()[..16].replace('T', " ")
}

/// A text that does nothing to a terminal: what somebody else wrote must not move the cursor, change
/// the title or turn the direction of writing.
fn printable(text: &str) -> String {
    let is_harmful = |char: char| {
        (char.is_control() && char != '\n')
            || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|char| if is_harmful(char) { char::REPLACEMENT_CHARACTER } else { char })
        .collect()
}

/// Breaks lines between words. A word that is longer than a line has one of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && measure_text_width(&line) + 1 + measure_text_width(word) > width
            {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += word;
        }
        lines.push(line);
    }
    lines
}

fn pad(text: &str, width: usize) -> String {
    pad_str(text, width, Alignment::Left, None).into_owned()
}

/// These two do nothing unless standard output is a terminal.
fn dim(text: &str) -> String {
    Style::new().dim().apply_to(text).to_string()
}

fn bold(text: &str) -> String {
    Style::new().bold().apply_to(text).to_string()
}

#[cfg(test)]
mod tests {
    use conversations::dataset;

    use super::*;

    const SCREEN: Screen = Screen { width: 60 };

    fn page<T>(items: Vec<T>) -> Page<T> {
        Page { items, next: None, read_units: 0.5 }
    }

    fn at(text: &str) -> CreatedAt {
        text.parse().unwrap()
    }

    #[test]
    fn times_are_relative_for_a_week() {
        let now = at("2026-01-31T12:00:00.000000000Z").time();
        for (time, expected) in [
            ("2026-01-31T12:00:05.000000000Z", "now"),
            ("2026-01-31T11:59:01.000000000Z", "now"),
            ("2026-01-31T11:59:00.000000000Z", "1 min ago"),
            ("2026-01-31T11:00:00.000000000Z", "1 h ago"),
            ("2026-01-30T12:00:00.000000000Z", "1 d ago"),
            ("2026-01-24T12:00:00.000000000Z", "2026-01-24"),
        ] {
            assert_eq!(ago(&at(time), now), expected, "{time}");
        }
    }

    #[test]
    fn columns_are_aligned_by_the_width_of_characters() {
        let with = |user: &User, message: &str| Conversation {
            message_group_uuid: "3f2504e0-4f89-41d3-9a0c-0305e82c3301".parse().unwrap(),
            last_message_at: at("2026-01-31T11:00:00.000000000Z"),
            message: message.to_owned(),
            with: user.clone(),
        };
        let people = dataset::people();
        let rows = vec![with(&people[3], "映画、土曜日でいい?"), with(&people[0], "Tea?\nNow?")];
        let now = at("2026-01-31T12:00:00.000000000Z").time();
        let text = conversations(&page(rows), now, &SCREEN);
        let lines: Vec<_> = text.lines().collect();
        let widths =
            |lines: &[&str]| lines.iter().map(|line| measure_text_width(line)).collect::<Vec<_>>();
        assert_eq!(widths(&lines[1..3])[0], widths(&lines[1..3])[1], "{text}");
        assert!(lines[2].starts_with("1 h ago  Ada Okafor @ada    "), "{text}");
        assert!(lines[2].contains("Tea? Now?"), "{text}");
        assert_eq!(lines[3], "0.5 read units");
    }

    #[test]
    fn what_others_write_does_nothing_to_the_terminal() {
        let people = dataset::people();
        let evil = "\u{1b}]0;title\u{7}\u{1b}[2Jhi\r\u{202e}";
        let time = at("2026-01-31T11:00:00.000000000Z");
        let message = Message::new(people[0].clone(), people[1].clone(), time, evil).unwrap();
        let text = messages(&people[..2], &page(vec![message]), &SCREEN);
        assert!(text.contains("hi"));
        assert!(
            !text.chars().any(|char| (char.is_control() && char != '\n') || char == '\u{202e}')
        );
    }

    #[test]
    fn long_lines_are_wrapped_between_words() {
        assert_eq!(wrap("one two three\n\nfour", 8), ["one two", "three", "", "four"]);
        assert_eq!(wrap("incomprehensibilities is", 8), ["incomprehensibilities", "is"]);
    }
}
