//! The README has every setting with its variable and its default, and its configuration is one.
#![expect(clippy::unwrap_used, reason = "a README that cannot be read is a failed test")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use cache_extension::{Settings, config};
use record_telemetry::Variables;

const README: &str = include_str!("../README.md");

#[test]
fn the_settings() {
    let (_, section) = README.split_once("\n# Settings\n").unwrap();
    let section = section.split("\n# ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let rows: Vec<(&str, &str)> = rows
        .map(|row| {
            let mut cells = row.split('|').skip(1).map(|cell| cell.trim().trim_matches('`'));
            (cells.next().unwrap(), cells.next().unwrap())
        })
        .collect();
    let unset = settings(&[]);
    let mut variables = Variables::from_pairs::<&str, &str>([]);
    assert!(Settings::read(&mut variables).is_some());
    let names: Vec<_> = variables.declared().iter().map(|variable| variable.name).collect();
    assert_eq!(rows.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    for (name, default) in rows.into_iter().filter(|(_, default)| *default != "none") {
        assert_eq!(settings(&[(name, default)]), unset, "{name}");
    }
}

fn settings(variables: &[(&str, &str)]) -> Settings {
    Variables::from_pairs(variables.iter().copied()).read(Settings::read).unwrap()
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
