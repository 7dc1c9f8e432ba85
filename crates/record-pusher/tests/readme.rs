//! The README's settings tables name every setting with its variable and its default, and nothing
//! else.
#![expect(clippy::unwrap_used, reason = "a program that cannot be run is a failed test")]

mod settings_table;

use std::process::Command;

use record_pusher::PusherSettings;
use settings_table::{Row, row, settings, table};

#[test]
fn the_settings_of_the_pusher() {
    assert_eq!(table("record-pusher and push-records"), settings::<PusherSettings>());
}

#[test]
fn the_settings_of_push_records_alone() {
    let shared = settings::<PusherSettings>();
    let own: Vec<_> = help().into_iter().filter(|row| !shared.contains(row)).collect();
    assert_eq!(own.len() + shared.len(), help().len());
    assert_eq!(table("push-records alone"), own);
}

/// The settings in the output of `push-records --help`. They start on a line with the flag;
/// `[env: …]` and `[default: …]` follow on lines of their own.
fn help() -> Vec<Row> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_push-records")).arg("--help").env_clear().output();
    let help = String::from_utf8(output.unwrap().stdout).unwrap();
    let (_, options) = help.split_once("\nOptions:\n").unwrap();
    options
        .split("\n      --")
        .map(|option| option.trim_start().trim_start_matches("--"))
        .map(setting)
        .collect()
}

fn setting(option: &str) -> Row {
    let value = |name: &str| {
        let (_, rest) = option.split_once(&format!("[{name}: "))?;
        Some(rest.split(']').next().unwrap().trim_end_matches('='))
    };
    let flag = option.split_ascii_whitespace().next().unwrap();
    let required = ["regions", "kms-key", "stream"].contains(&flag);
    row(flag, value("env"), value("default"), required)
}
