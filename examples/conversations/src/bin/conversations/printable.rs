//! The one place where text that others wrote is made safe for a terminal.

use conversations::is_invisible;

/// A text that does nothing to a terminal: what somebody else wrote must not move the cursor, change
/// the title or turn the direction of writing. Keeps line breaks.
pub(crate) fn printable(text: &str) -> String {
    let is_harmful = |char: char| (char.is_control() && char != '\n') || is_invisible(char);
    text.chars()
        .map(|char| if is_harmful(char) { char::REPLACEMENT_CHARACTER } else { char })
        .collect()
}

/// The same on one line.
pub(crate) fn one_line(text: &str) -> String {
    printable(text).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_through_that_changes_how_other_text_is_shown() {
        let evil = "\u{1b}]0;title\u{7}\u{1b}[2Jhi\r\u{202e}\u{2066}\u{200f}\u{9b}31m\u{2028}";
        assert!(printable(evil).chars().all(|char| !char.is_control() && !is_invisible(char)));
        assert_eq!(printable("Tea?\nNow? 佐藤 \u{1f469}\u{200d}\u{1f680}").lines().count(), 2);
        assert_eq!(one_line("Tea?\nNow?"), "Tea? Now?");
    }
}
