//! What people read.

use std::time::{Duration, SystemTime};

use console::{Alignment, Style, Term, measure_text_width, pad_str, truncate_str};
use conversations::{Conversation, CreatedAt, Message, Page, Schema, SkippedItem, User};
use serde::Serialize;

use crate::printable::{one_line, printable};

/// Where the text will be shown.
pub(crate) struct Screen {
    width: usize,
}

const GAP: &str = "  ";
const GROUP_WIDTH: usize = 36;
/// Of texts that are cut to fit.
const MIN_TEXT_WIDTH: usize = 20;
const WIDTH_OF_FILES: usize = 160;
/// Part of a line that names may take.
const NAME_SHARE: usize = 3;

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
    let display_name = |person: &User| one_line(person.display_name());
    let width = people.iter().map(|person| measure_text_width(&display_name(person))).max();
    for person in people {
        let name = pad(&display_name(person), width.unwrap_or_default());
        let handle = pad(&format!("@{}", person.handle()), 8);
        text += &format!("  {name}{GAP}{handle}{GAP}{}\n", dim(&person.id().to_string()));
    }
    text
}

pub(crate) fn sent(message: &Message) -> String {
    let (group, time) = (message.group(), message.created_at());
    format!("Sent to {} at {time}\nGroup {group}\n", name(message.recipient()))
}

/// A table of conversations: how long ago, with whom, how the last message begins, the group. On a
/// narrow screen, the group has a line of its own.
pub(crate) fn conversations(page: &Page<Conversation>, now: SystemTime, screen: &Screen) -> String {
    if page.items.is_empty() {
        return "No conversations\n".to_owned() + &footer(page);
    }
    let rows: Vec<_> = page.items.iter().map(|item| Row::of(item, now)).collect();
    let width = |of: fn(&Row) -> &str| {
        let widths = rows.iter().map(|row| measure_text_width(of(row)));
        widths.max().unwrap_or_default()
    };
    let when = width(|row| &row.when).max("WHEN".len());
    let with = width(|row| &row.with).max("WITH".len()).min(screen.width / NAME_SHARE);
    let rest = screen.width.saturating_sub(when + with + 2 * GAP.len());
    let is_wide = rest >= MIN_TEXT_WIDTH + GAP.len() + GROUP_WIDTH;
    let text = if is_wide { rest - GAP.len() - GROUP_WIDTH } else { rest.max(1) };
    let group = |group: &str| match is_wide {
        true => format!("{GAP}{}", dim(group)),
        false => format!("\n{GAP}{}", dim(group)),
    };
    let head = [fit("WHEN", when), fit("WITH", with), fit("LAST MESSAGE", text)].join(GAP);
    let mut lines = vec![dim(&head) + &group("GROUP")];
    lines.extend(rows.iter().map(|row| {
        let columns = [pad(&row.when, when), bold(&fit(&row.with, with)), fit(&row.message, text)];
        columns.join(GAP) + &group(&row.group)
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
            message: one_line(&conversation.message),
            group: conversation.message_group_uuid.to_string(),
        }
    }
}

/// The messages of a conversation, each with its time and its sender.
pub(crate) fn messages(participants: &[User], page: &Page<Message>, screen: &Screen) -> String {
    if page.items.is_empty() {
        return "No messages\n".to_owned() + &footer(page);
    }
    let names: Vec<_> = participants.iter().map(name).collect();
    let of = |message: &Message| one_line(message.sender().display_name());
    let sender = page.items.iter().map(|item| measure_text_width(&of(item))).max();
    let sender = sender.unwrap_or_default().min(screen.width / NAME_SHARE);
    let names = wrap(&names.join(" and "), screen.width);
    let mut text = names.iter().map(|line| bold(line) + "\n").collect::<String>();
    for message in &page.items {
        let time = minute(message.created_at());
        let indent = time.len() + sender + 2 * GAP.len();
        let width = screen.width.saturating_sub(indent).max(MIN_TEXT_WIDTH);
        let said = wrap(&printable(message.text()), width);
        let said = said.join(&format!("\n{}", " ".repeat(indent)));
        let is_first = participants.first().is_some_and(|user| user.id() == message.sender().id());
        let style = if is_first { Style::new().cyan() } else { Style::new().green() };
        let sender = style.apply_to(fit(&of(message), sender));
        text += &format!("{}{GAP}{sender}{GAP}{said}\n", dim(&time));
    }
    let newest =
        page.items.first().map(|message| format!("newest: --after {}\n", message.created_at()));
    text + &footer(page) + &dim(&newest.unwrap_or_default())
}

fn footer<T>(page: &Page<T>) -> String {
    let units = format!("{} read units\n", page.read_units);
    // On a line of its own, to be copied.
    let more = page.next.as_ref().map(|next| format!("older: --cursor {next}\n"));
    dim(&(more.unwrap_or_default() + &units))
}

/// What was passed over, for standard error.
pub(crate) fn skipped(items: &[SkippedItem]) -> String {
    const SHOWN: usize = 5;
    let mut text = String::new();
    for SkippedItem { partition, sort_key } in items.iter().take(SHOWN) {
        let at = one_line(&format!("{sort_key} in {partition}"));
        text += &format!("warning: the item at {at} is not what its key says, and was skipped\n");
    }
    if items.len() > SHOWN {
        text += &format!("warning: {} more items were skipped\n", items.len() - SHOWN);
    }
    text
}

fn name(user: &User) -> String {
    one_line(&format!("{} @{}", user.display_name(), user.handle()))
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

/// Breaks lines between words, and words that are longer than a line.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split(' ').flat_map(|word| pieces(word, width)) {
            if !line.is_empty() && measure_text_width(&line) + 1 + measure_text_width(&word) > width
            {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line += &word;
        }
        lines.push(line);
    }
    lines
}

/// A word in pieces that fit.
fn pieces(word: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for char in word.chars() {
        let piece = pieces.last_mut().expect("there is one at first");
        let longer = format!("{piece}{char}");
        if measure_text_width(&longer) <= width || piece.is_empty() {
            *piece = longer;
        } else {
            pieces.push(char.to_string());
        }
    }
    pieces
}

/// Cuts or pads a text.
fn fit(text: &str, width: usize) -> String {
    pad(&truncate_str(text, width, "…"), width)
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
        Page { items, next: None, read_units: 0.5, skipped: Vec::new() }
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
        let lines: Vec<_> = text.lines().filter(|line| line.contains("h ago")).collect();
        assert_eq!(measure_text_width(lines[0]), measure_text_width(lines[1]), "{text}");
        assert!(lines[1].starts_with("1 h ago  Ada Okafor @ada    "), "{text}");
        assert!(lines[1].contains("Tea? Now?"), "{text}");
        assert!(text.ends_with("0.5 read units\n"));
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let name = |name: &str| User::new(uuid(1), name, "a".repeat(30)).unwrap();
        let people = [name(&"Ö".repeat(64)), User::new(uuid(2), "佐藤 健", "b").unwrap()];
        let time = at("2026-01-31T11:00:00.000000000Z");
        let words = format!("{} word {}", "incomprehensible".repeat(20), "佐".repeat(90));
        let message = |from: &User, to: &User| {
            Message::new(from.clone(), to.clone(), time.clone(), words.clone()).unwrap()
        };
        let said = vec![message(&people[0], &people[1]), message(&people[1], &people[0])];
        let row = |with: &User| Conversation {
            message_group_uuid: "3f2504e0-4f89-41d3-9a0c-0305e82c3301".parse().unwrap(),
            last_message_at: time.clone(),
            message: words.clone(),
            with: with.clone(),
        };
        for width in [60, 80, 120, 200] {
            let screen = Screen { width };
            let rows = page(people.iter().map(row).collect());
            let list = conversations(&rows, time.time(), &screen);
            let show = messages(&people, &page(said.clone()), &screen);
            for line in list.lines().chain(show.lines()) {
                assert!(measure_text_width(line) <= width, "{width}: {line}");
            }
            assert_eq!(list.matches("3f2504e0-4f89-41d3-9a0c-0305e82c3301").count(), 2, "{list}");
        }
    }

    fn uuid(number: u128) -> conversations::UserId {
        uuid::Uuid::from_u128(number).into()
    }

    #[test]
    fn names_of_others_do_nothing_to_the_terminal() {
        // As a table may have it, which this program does not write.
        let row = r#"{"user_uuid":"3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "user_display_name":"Bob\u202e\u2066resu\u200b nimdA","user_handle":"bob"}"#;
        let with: User = serde_json::from_str(row).unwrap();
        let time = at("2026-01-31T11:00:00.000000000Z");
        let row = Conversation {
            message_group_uuid: "3f2504e0-4f89-41d3-9a0c-0305e82c3301".parse().unwrap(),
            last_message_at: time.clone(),
            message: "hi".to_owned(),
            with: with.clone(),
        };
        let other = dataset::people().remove(0);
        let message = Message::new(with.clone(), other.clone(), time.clone(), "hi").unwrap();
        let skipped = SkippedItem { partition: "p".to_owned(), sort_key: "\u{1b}[2J\n".to_owned() };
        for text in [
            conversations(&page(vec![row]), time.time(), &SCREEN),
            messages(&[with.clone(), other.clone()], &page(vec![message.clone()]), &SCREEN),
            seeded(1, 1, std::slice::from_ref(&with)),
            sent(&Message::new(other, with, time, "hi").unwrap()),
            super::skipped(&[skipped]),
        ] {
            let is_harmful = |char: char| {
                (char.is_control() && char != '\n') || conversations::is_invisible(char)
            };
            assert!(!text.chars().any(is_harmful), "{text:?}");
        }
    }

    #[test]
    fn what_is_shown_last_is_what_after_takes() {
        let people = dataset::people();
        let time = at("2026-01-31T11:00:00.000000007Z");
        let message = Message::new(people[0].clone(), people[1].clone(), time, "hi").unwrap();
        let text = messages(&people[..2], &page(vec![message]), &SCREEN);
        assert!(text.contains("newest: --after 2026-01-31T11:00:00.000000007Z\n"), "{text}");
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
        assert_eq!(wrap("incomprehensibilities is", 8), ["incompre", "hensibil", "ities is"]);
    }
}
