//! The README's settings tables name every setting with its variable and its default, and nothing
//! else.
#![expect(clippy::unwrap_used, reason = "a program that cannot be run is a failed test")]

mod settings_table;

use std::process::Command;

use record_pusher::{PusherSettings, TraceSettings};
use settings_table::{Row, row, settings, table};

#[test]
fn the_settings_of_the_pusher() {
    assert_eq!(table("record-pusher and push-records"), shared());
}

fn shared() -> Vec<Row> {
    [settings::<PusherSettings>(), settings::<TraceSettings>()].concat()
}

#[test]
fn the_settings_of_push_records_alone() {
    let shared: Vec<_> = shared().into_iter().map(|[flag, ..]| flag).collect();
    let mut own = help();
    own.retain(|[flag, ..]| !shared.contains(flag));
    assert_eq!(table("push-records alone"), own);
}

/// The settings in the output of `push-records --help`, as if none were required.
fn help() -> Vec<Row> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_push-records")).arg("--help").env_clear().output();
    let help = String::from_utf8(output.unwrap().stdout).unwrap();
    let (_, options) = help.split_once("\nOptions:").unwrap();
    let (options, _) = options.split_once("\n  -h, --help").unwrap();
    options.split("\n      --").skip(1).map(of_option).collect()
}

/// An option's help starts with its name. `[env: NAME=]` and `[default: VALUE]` are on lines of
/// their own.
fn of_option(option: &str) -> Row {
    let value = |name: &str| {
        let (_, rest) = option.split_once(&format!("[{name}: "))?;
        Some(rest.split([']', '=']).next().unwrap())
    };
    let flag = option.split_ascii_whitespace().next().unwrap();
    row(flag, value("env"), value("default"), false)
}
