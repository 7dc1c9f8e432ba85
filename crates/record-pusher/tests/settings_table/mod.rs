//! The settings tables of the repository's README. Shared with the tests of record-consumer.
#![expect(clippy::unwrap_used, reason = "a README that cannot be read is a failed test")]

use clap::{Arg, Args, Command};

const README: &str = include_str!("../../../../README.md");

/// What a table says of one setting: flag, variable and default.
pub(crate) type Row = [String; 3];

/// The rows of the table under a heading.
pub(crate) fn table(heading: &str) -> Vec<Row> {
    let (_, section) = README.split_once(&format!("\n### {heading}\n")).unwrap();
    let section = section.split("\n#").next().unwrap();
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    lines
        .map(|line| {
            let cells: Vec<_> = line.split('|').skip(1).map(str::trim).collect();
            [0, 1, 2].map(|cell| cells[cell].to_owned())
        })
        .collect()
}

/// The rows that the settings `T` should have, in the order of `--help`.
pub(crate) fn settings<T: Args>() -> Vec<Row> {
    let command = T::augment_args(Command::new("settings"));
    command.get_arguments().map(of_argument).collect()
}

fn of_argument(argument: &Arg) -> Row {
    let defaults = argument.get_default_values();
    row(
        argument.get_long().unwrap(),
        argument.get_env().map(|variable| variable.to_str().unwrap()),
        defaults.first().map(|default| default.to_str().unwrap()),
        argument.is_required_set(),
    )
}

/// The row for one setting.
pub(crate) fn row(
    flag: &str,
    variable: Option<&str>,
    default: Option<&str>,
    required: bool,
) -> Row {
    let code = |text: &str| format!("`{text}`");
    let without_default = if required { "required" } else { "none" };
    [
        code(&format!("--{flag}")),
        variable.map_or("none".to_owned(), code),
        default.map_or(without_default.to_owned(), code),
    ]
}
