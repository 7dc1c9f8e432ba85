//! Configurations that are good, and the errors of those that are not.

use super::*;

const DEMONSTRATION: &str = "\
#Copyright
parameters:
  - region: us-west-2
    names:
      - CacheExtensions_Parameter1
      - /aws/reference/secretsmanager/secret_info
dynamodb:
  - table: DynamoDbTable
    hashkey: pKey
    hashkeytype: S
    hashkeyvalue: pKey1
    sortkey: sKey
    sortkeytype: S
    sortkeyvalue: sKey1
";

const TTL: Duration = Duration::from_mins(5);

fn parsed(text: &str) -> Vec<Entry> {
    parse(text, "eu-west-1", TTL).unwrap()
}

fn error(text: &str) -> String {
    parse(text, "eu-west-1", TTL).unwrap_err().in_file(Path::new("c.yaml")).to_string()
}

#[test]
fn the_demonstrations_own_file() {
    let entries = parsed(DEMONSTRATION);
    let shown: Vec<_> = entries.iter().map(|entry| entry.source.to_string()).collect();
    assert_eq!(
        shown,
        [
            "parameter CacheExtensions_Parameter1 in us-west-2",
            "parameter /aws/reference/secretsmanager/secret_info in us-west-2",
            "item DynamoDbTable-pKey1-sKey1 in eu-west-1",
        ]
    );
    assert!(entries.iter().all(|entry| entry.ttl == TTL));
}

#[test]
fn an_entry_can_have_its_own_ttl_and_an_item_its_own_region() {
    let entries = parsed(
        "parameters: [{region: us-east-1, names: [a], ttl: 90s}]\n\
         dynamodb: [{table: t, hashkey: k, hashkeytype: S, hashkeyvalue: v, region: us-west-2, ttl: 1h}]",
    );
    let ttls: Vec<_> = entries.iter().map(|entry| entry.ttl.as_secs()).collect();
    assert_eq!(ttls, [90, 3600]);
    assert_eq!(entries[1].source.to_string(), "item t-v in us-west-2");
}

#[test]
fn a_key_value_is_what_the_file_has_whatever_it_looks_like() {
    for (key_type, text, value) in [
        ("S", "true", KeyValue::Text("true".into())),
        ("S", "007", KeyValue::Text("007".into())),
        ("S", "'null'", KeyValue::Text("null".into())),
        ("S", "2026-01-31", KeyValue::Text("2026-01-31".into())),
        ("S", "'12'", KeyValue::Text("12".into())),
        ("N", "007", KeyValue::Number("007".into())),
        ("N", "'12'", KeyValue::Number("12".into())),
        ("N", "1.50", KeyValue::Number("1.50".into())),
        ("B", "AQI=", KeyValue::Binary { bytes: vec![1, 2], base64: "AQI=".into() }),
    ] {
        let entries = parsed(&format!(
            "dynamodb: [{{table: t, hashkey: k, hashkeytype: {key_type}, hashkeyvalue: {text}}}]"
        ));
        let Source::Item(item) = &entries[0].source else { panic!("it is an item") };
        assert_eq!(item.hash.value, value, "{text}");
    }
}

#[test]
fn sections_may_be_empty_or_missing() {
    for text in ["parameters:\ndynamodb:\n", "parameters: []", "{}", ""] {
        assert_eq!(parsed(text), [], "{text:?}");
    }
}

#[test]
fn errors_name_file_line_and_field() {
    let item = "dynamodb:\n  - table: t\n    hashkey: k\n    hashkeytype: S\n    hashkeyvalue: v\n";
    for (text, expected) in [
        ("parameter: []".to_owned(), "c.yaml:1: parameter: unknown field"),
        (
            "parameters:\n  - names: [a]\n".to_owned(),
            "c.yaml:2: parameters[0]: missing field `region`",
        ),
        (
            "parameters:\n  - region: eu-west-1\n    names:\n      - a\n      - {}\n".to_owned(),
            "c.yaml:5: parameters[0].names[1]: ",
        ),
        (
            "parameters:\n  - region: eu-west-1\n    names: [a,\n      '']\n".to_owned(),
            "c.yaml:4: parameters[0].names[1]: it is empty",
        ),
        (
            "parameters:\n  - region: eu-west-1\n    names:\n      - a\n      - a\n".to_owned(),
            "c.yaml:5: parameters[0].names[1]: parameter a in eu-west-1 is given twice",
        ),
        (item.replace("hashkeytype: S", "hashkeytype: X"), "c.yaml:4: dynamodb[0].hashkeytype: "),
        (
            item.replace("hashkeytype: S", "hashkeytype: N"),
            "c.yaml:5: dynamodb[0].hashkeyvalue: it is not a number",
        ),
        (
            item.replace("hashkeytype: S", "hashkeytype: B"),
            "c.yaml:5: dynamodb[0].hashkeyvalue: it is not Base64",
        ),
        (
            format!("{item}    sortkey: s\n"),
            "c.yaml:2: dynamodb[0].sortkey: sortkey, sortkeytype and",
        ),
        (format!("{item}    ttl: 0s\n"), "c.yaml:6: dynamodb[0].ttl: expected at least 1s"),
        (format!("{item}    tll: 1s\n"), "c.yaml:6: dynamodb[0].tll: unknown field"),
        (
            "parameters:\n  - region: US East (Virginia)\n    names: [a]\n".to_owned(),
            "c.yaml:2: parameters[0].region: an AWS Region looks like eu-west-1",
        ),
        (
            format!("{item}    region: x.invalid/#\n"),
            "c.yaml:6: dynamodb[0].region: an AWS Region looks like eu-west-1",
        ),
        (item.replace("table: t", "table:"), "c.yaml:2: dynamodb[0].table: expected a text"),
        (item.replace("table: t", "table: [t]"), "c.yaml:2: dynamodb[0].table: expected a"),
        (
            format!("{item}    table: u\n"),
            "c.yaml:6: dynamodb[0]: a field is given twice; remove one",
        ),
        ("a: [".to_owned(), "c.yaml:1: "),
        ("a: *b\n".to_owned(), "c.yaml:1: "),
        ("{}\n---\n{}\n".to_owned(), "c.yaml:"),
    ] {
        let error = error(&text);
        assert!(error.starts_with(expected), "{error}\nexpected: {expected}");
        assert!(!error.contains('\n'), "{error}");
        // Words of the library, for its users.
        for foreign in ["Option<", "Policy", "from_str", "Options", " at line ", "column"] {
            assert!(!error.contains(foreign), "{error}");
        }
    }
}

#[test]
fn a_file_that_is_missing_is_named() {
    let error = read(Path::new("nowhere/config.yaml"), "eu-west-1", TTL).unwrap_err().to_string();
    assert!(error.starts_with("nowhere/config.yaml cannot be read: "), "{error}");
}
