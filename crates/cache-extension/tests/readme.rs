//! The README has every setting with its variable and its default, and its configuration is one.
#![expect(clippy::unwrap_used, reason = "a README that cannot be read is a failed test")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use cache_extension::{Settings, config};
use clap::{Arg, Args, Command};

const README: &str = include_str!("../README.md");

#[test]
fn the_settings() {
    let (_, section) = README.split_once("\n# Settings\n").unwrap();
    let section = section.split("\n# ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with('|')).skip(2);
    let rows: Vec<_> = rows.map(|line| line.rsplitn(3, '|').last().unwrap().to_owned()).collect();
    let command = Settings::augment_args(Command::new("settings"));
    let expected: Vec<_> = command.get_arguments().map(row).collect();
    assert_eq!(rows, expected);
}

fn row(argument: &Arg) -> String {
    let code = |text: &str| format!("`{text}`");
    let default = argument.get_default_values().first().and_then(|default| default.to_str());
    let variable = argument.get_env().unwrap().to_str().unwrap();
    let flag = code(&format!("--{}", argument.get_long().unwrap()));
    format!("| {flag} | {} | {} ", code(variable), default.map_or("none".to_owned(), code))
}

#[test]
fn the_configuration() {
    let (_, yaml) = README.split_once("```yaml\n").unwrap();
    let (yaml, _) = yaml.split_once("```").unwrap();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("readme.yaml");
    fs::write(&path, yaml).unwrap();
    let entries = config::read(&path, "eu-west-1", Duration::from_secs(60)).unwrap();
    assert_eq!(entries.len(), 4);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("example/config.yaml");
    assert_eq!(config::read(&example, "us-east-1", Duration::from_secs(60)).unwrap().len(), 2);
}
