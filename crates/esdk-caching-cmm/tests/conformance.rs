//! The table of conformance names files and tests that exist.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::collections::HashSet;
use std::fs;
use std::path::Path;

const TABLE: &str = include_str!("../CONFORMANCE.md");

struct Row {
    place: String,
    shown_by: String,
}

fn rows() -> Vec<Row> {
    let rows: Vec<_> = TABLE
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("| ---"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells[0] != "section")
        .map(|cells| {
            let [_, _, place, shown_by] = cells[..] else { panic!("not four cells: {cells:?}") };
            Row { place: place.replace('`', ""), shown_by: shown_by.replace('`', "") }
        })
        .collect();
    assert!(rows.len() > 50, "the table has {} rows", rows.len());
    rows
}

/// The functions of this crate that `cargo test` runs.
fn tests() -> HashSet<String> {
    let mut tests = HashSet::new();
    for directory in [
        "src",
        "tests",
        "tests/aws_esdk",
        "tests/cache_ids",
        "tests/caching_cmm",
        "tests/interleavings",
    ] {
        for file in fs::read_dir(root().join(directory)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                collect_tests(&fs::read_to_string(path).unwrap(), &mut tests);
            }
        }
    }
    tests
}

/// An attribute that ends in `test` or `test(…)`, and the name of the function below it.
fn collect_tests(source: &str, tests: &mut HashSet<String>) {
    let mut lines = source.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let attribute = line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let function = attribute.then(|| lines.next()).flatten().unwrap_or_default();
        let name = function.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
        tests.extend(name.map(|(name, _)| name.to_owned()));
    }
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
