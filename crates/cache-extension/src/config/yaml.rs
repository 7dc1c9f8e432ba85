//! What is wrong with a YAML file, in words for its author.

use serde_saphyr::Error;

/// Returns what is wrong, without the position.
pub(super) fn problem(error: &Error) -> String {
    match error.without_snippet() {
        // The words of a field's own type.
        Error::Message { msg, .. } => msg.clone(),
        Error::SerdeUnknownField { expected, .. } => {
            format!("unknown field; expected {}", listed(expected))
        }
        Error::SerdeMissingField { field, .. } => format!("missing field `{field}`"),
        Error::SerdeUnknownVariant { expected, .. } => format!("expected {}", listed(expected)),
        Error::SerdeInvalidType { unexpected, expected, .. }
        | Error::SerdeInvalidValue { unexpected, expected, .. } => {
            format!("expected {}, found {unexpected}", in_words(expected))
        }
        Error::Unexpected { expected, .. } => format!("expected {}", in_words(expected)),
        Error::NullIntoString { .. } => "expected a text, found nothing".to_owned(),
        Error::DuplicateMappingKey { .. } => "a field is given twice; remove one".to_owned(),
        Error::MultipleDocuments { .. } => "the file has several documents; keep one".to_owned(),
        Error::Eof { .. } => "the file ends too early".to_owned(),
        Error::UnknownAnchor { .. } => "an alias has no anchor".to_owned(),
        Error::ExternalMessage { msg, .. } => format!("not valid YAML: {msg}"),
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "the file is too large, or nested too deeply".to_owned()
        }
        _ => "not what this field takes".to_owned(),
    }
}

/// Replaces the names of YAML's node types, and of types in the program.
fn in_words(expected: &str) -> &str {
    match expected {
        text if text.contains("string") => "a text",
        sequence if sequence.contains("sequence") => "a list",
        mapping if mapping.contains("map") || mapping.contains("struct") => "fields",
        other => other,
    }
}

/// `a, b or c`
fn listed(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [word] => (*word).to_owned(),
        [words @ .., last] => format!("{} or {last}", words.join(", ")),
    }
}
