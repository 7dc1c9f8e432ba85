//! The table of conformance names files and tests that exist.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("../CONFORMANCE.md");

/// Returns the file and the test of each requirement.
fn rows() -> Vec<[String; 2]> {
    let (requirements, _) = TABLE.split_once("# Deviations").unwrap();
    let rows: Vec<_> = requirements
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("| ---"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells[0] != "section")
        .map(|cells| {
            let [_, _, place, shown_by] = cells[..] else { panic!("not four cells: {cells:?}") };
            [place, shown_by].map(|cell| cell.replace('`', ""))
        })
        .collect();
    assert!(rows.len() > 40, "the table has {} rows", rows.len());
    rows
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: PathBuf) -> Vec<PathBuf> {
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources.extend(self::sources(path)),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                sources.push(path);
            }
            false => {}
        }
    }
    sources
}

/// Returns the names of the functions below an attribute that ends in `test` or `test(…)`.
fn tests() -> HashSet<String> {
    let mut tests = HashSet::new();
    for path in [sources(root().join("src")), sources(root().join("tests"))].concat() {
        let source = fs::read_to_string(path).unwrap();
        let mut lines = source.lines().map(str::trim);
        while let Some(line) = lines.next() {
            let is_test = line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let function = is_test.then(|| lines.next()).flatten().unwrap_or_default();
            let name = function.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
            tests.extend(name.map(|(name, _)| name.to_owned()));
        }
    }
    tests
}

#[test]
fn every_requirement_names_a_test_that_exists() {
    let tests = tests();
    for [_, shown_by] in rows() {
        let is_shown = ["Type", "Review"].contains(&shown_by.as_str()) || tests.contains(&shown_by);
        assert!(is_shown, "there is no test {shown_by}");
    }
}

#[test]
fn every_requirement_names_a_file_that_exists() {
    for [place, _] in rows() {
        assert!(root().join(&place).is_file(), "there is no file {place}");
    }
}
