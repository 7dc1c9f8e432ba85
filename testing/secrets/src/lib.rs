//! Searches what a test shows for secrets, in the forms in which bytes are printed.

use std::error::Error;
use std::fmt::Debug;
use std::io::{self, Write};
use std::iter::successors;
use std::sync::{Arc, Mutex, PoisonError};

use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine};

/// Bytes of a secret that are searched for, so that a shortened print is found too.
const SEARCHED: usize = 12;

/// Bytes below which a secret may be found by chance.
const MIN_LEN: usize = 9;

/// Text that is written from many places: logs, errors and `Debug` output.
#[derive(Debug, Clone, Default)]
pub struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    /// Writes `Debug` output, compact and pretty.
    pub fn debug(&self, value: &impl Debug) {
        self.line(&format!("{value:?} {value:#?}"));
    }

    /// Writes an error and its sources, as `Display` and `Debug` show them.
    pub fn error(&self, error: &(dyn Error + 'static)) {
        for error in successors(Some(error), |&error| error.source()) {
            self.line(&format!("{error} {error:?} {error:#?}"));
        }
    }

    /// Returns all that was written.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Returns what makes a writer for each line of a log.
    pub fn make_writer(&self) -> impl Fn() -> Self + use<> {
        let shown = self.clone();
        move || shown.clone()
    }

    fn line(&self, line: &str) {
        writeln!(self.clone(), "{line}").expect("memory can be written to");
    }
}

impl Write for Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the form in which `text` shows the beginning of `secret`, if it does: as text, in
/// hexadecimal, in base64 at any offset, or as a list of numbers.
///
/// # Panics
/// If the secret has fewer than nine bytes: it may be found by chance.
#[must_use]
pub fn find(text: &str, secret: impl AsRef<[u8]>) -> Option<String> {
    let secret = secret.as_ref();
    assert!(secret.len() >= MIN_LEN, "a secret of {} bytes may be found by chance", secret.len());
    let text = normalized(text);
    forms(&secret[..secret.len().min(SEARCHED)]).into_iter().find(|form| text.contains(form))
}

/// Fails a test if `text` shows the beginning of `secret`.
///
/// # Panics
/// As [`find`], and if it finds the secret.
#[track_caller]
pub fn assert_hidden(text: &str, secret: impl AsRef<[u8]>) {
    let secret = secret.as_ref();
    let Some(form) = find(text, secret) else { return };
    let line = text.lines().find(|line| find(line, secret).is_some()).unwrap_or(&form);
    panic!("{} is shown: {line}", String::from_utf8_lossy(secret));
}

fn forms(secret: &[u8]) -> Vec<String> {
    let bytes = |format: fn(&u8) -> String| secret.iter().map(format).collect::<Vec<_>>();
    let base64 = (0..3).map(|offset| {
        let rest = &secret[offset..];
        BASE64_STANDARD_NO_PAD.encode(&rest[..rest.len() / 3 * 3])
    });
    let mut forms: Vec<_> = base64.collect();
    forms.push(bytes(|byte| format!("{byte:02x}")).concat());
    forms.push(bytes(|byte| format!("{byte:x}")).join(","));
    forms.push(bytes(|byte| format!("0x{byte:x}")).join(","));
    forms.push(bytes(u8::to_string).join(","));
    forms.extend(str::from_utf8(secret).map(str::to_owned));
    forms.iter().map(|form| normalized(form)).collect()
}

/// Removes what differs between prints of the same bytes: spaces, line breaks, case, and the
/// alphabet of base64.
fn normalized(text: &str) -> String {
    let letters = text.chars().filter(|letter| !letter.is_whitespace());
    let letters = letters.map(|letter| match letter {
        '-' => '+',
        '_' => '/',
        letter => letter.to_ascii_lowercase(),
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

    use super::*;

    const SECRET: &[u8] = b"marker?>of a secret";

    #[test]
    fn every_print_of_the_bytes_is_found() {
        let within = |before: usize| [&vec![b'x'; before], SECRET, b"after"].concat();
        let mut prints = vec![
            String::from_utf8(within(2)).expect("it is text"),
            format!("{:?}", within(1)),
            format!("{:#?}", within(1)),
            format!("{:x?}", within(0)),
            format!("{:#04x?}", within(0)),
            SECRET.iter().map(|byte| format!("{byte:02X}")).collect(),
            String::from_utf8_lossy(&SECRET[..SEARCHED]).into_owned(),
        ];
        for before in 0..6 {
            prints.push(BASE64_STANDARD.encode(within(before)));
            prints.push(BASE64_URL_SAFE.encode(within(before)));
        }
        for print in prints {
            assert!(find(&print, SECRET).is_some(), "{print}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_found() {
        let secret = [0xA5; 32];
        for print in [format!("{secret:?}"), BASE64_STANDARD.encode(secret), "A5".repeat(32)] {
            assert!(find(&print, secret).is_some(), "{print}");
        }
    }

    #[test]
    fn other_bytes_are_not_found() {
        let other = format!("{:?} {}", &SECRET[1..], BASE64_STANDARD.encode(&SECRET[..8]));
        assert_eq!(find(&other, SECRET), None);
        assert_hidden(&other, SECRET);
    }

    #[test]
    #[should_panic(expected = "is shown")]
    fn a_secret_that_is_shown_fails_the_test() {
        assert_hidden("a marker?>of a secret", SECRET);
    }

    #[test]
    fn errors_are_shown_with_their_sources() {
        #[derive(Debug)]
        struct Outer(io::Error);
        impl std::fmt::Display for Outer {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("outer")
            }
        }
        impl Error for Outer {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(&self.0)
            }
        }
        let shown = Shown::default();
        shown.error(&Outer(io::Error::other("the source")));
        assert!(shown.text().lines().any(|line| line.starts_with("the source")), "{shown:?}");
    }
}
