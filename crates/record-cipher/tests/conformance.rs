//! The table of conformance names files and tests that exist.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("../CONFORMANCE.md");

struct Row {
    place: String,
    shown_by: String,
}

fn rows() -> Vec<Row> {
    let rows: Vec<_> = TABLE
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("| ---"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells[0] != "section")
        .map(|cells| {
            let [_, _, place, shown_by] = cells[..] else { panic!("not four cells: {cells:?}") };
            Row { place: place.replace('`', ""), shown_by: shown_by.replace('`', "") }
        })
        .collect();
    assert!(rows.len() > 40, "the table has {} rows", rows.len());
    rows
}

/// The Rust files below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The functions of this crate that `cargo test` runs.
fn tests() -> HashSet<String> {
    let files = ["src", "tests"].map(|directory| sources(&root().join(directory)));
    let is_test = |attribute: &str| {
        attribute.starts_with("#[test]") || attribute.starts_with("#[tokio::test")
    };
    let mut tests = HashSet::new();
    for file in files.into_iter().flatten() {
        let source = fs::read_to_string(file).unwrap();
        let mut lines = source.lines().map(str::trim);
        while let Some(line) = lines.next() {
            let function = is_test(line).then(|| lines.next()).flatten().unwrap_or_default();
            let name = function.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
            tests.extend(name.map(|(name, _)| name.to_owned()));
        }
    }
    tests
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_requirement_names_a_test_that_exists() {
    let tests = tests();
    for Row { shown_by, .. } in rows() {
        assert!(shown_by == "Type" || tests.contains(&shown_by), "there is no test {shown_by}");
    }
}

#[test]
fn every_requirement_names_a_file_that_exists() {
    for Row { place, .. } in rows() {
        assert!(root().join(&place).is_file(), "there is no file {place}");
    }
}
