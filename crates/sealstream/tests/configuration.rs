//! docs/configuration.md lists every flag of every command with its default, and nothing else.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_page_lists_every_flag_with_its_default() {
    let page = page();
    let mut changes = String::new();
    for command in commands() {
        let (documented, actual) = (rows(&page, &command), flags(&command));
        for (flag, default) in actual.iter().filter(|row| !documented.contains(row)) {
            changes += &format!("{command}: add    | `{flag}` | {default} | … |\n");
        }
        for (flag, default) in documented.iter().filter(|row| !actual.contains(row)) {
            changes += &format!("{command}: remove | `{flag}` | {default} | … |\n");
        }
    }
    assert!(changes.is_empty(), "change the tables of docs/configuration.md:\n{changes}");
}

#[test]
fn the_page_has_a_section_for_every_command() {
    let page = page();
    let sections = page.lines().filter_map(|line| line.strip_prefix("## sealstream "));
    assert_eq!(sections.collect::<Vec<_>>(), commands());
}

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    fs::read_to_string(path).unwrap()
}

/// The commands that take flags.
fn commands() -> Vec<String> {
    let help = help(&["--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = lines.take_while(|line| !line.is_empty());
    let names = commands.map(|line| line.split_whitespace().next().unwrap().to_owned());
    names.filter(|name| !["completions", "help"].contains(&name.as_str())).collect()
}

/// Flags with their defaults, as the page writes them.
type Flags = Vec<(String, String)>;

/// The rows of a command's table.
fn rows(page: &str, command: &str) -> Flags {
    let heading = format!("## sealstream {command}");
    let section = page.lines().skip_while(|line| *line != heading).skip(1);
    let section = section.take_while(|line| !line.starts_with("## "));
    let mut flags: Flags = section
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `--")?.split(" | ");
            let flag = format!("--{}", cells.next()?.trim_end_matches('`'));
            Some((flag, cells.next()?.to_owned()))
        })
        .collect();
    flags.sort();
    flags
}

/// The flags of a command, from its help.
fn flags(command: &str) -> Flags {
    let help = help(&[command, "--help"]);
    let usage = help.lines().skip_while(|line| !line.starts_with("Usage:"));
    let usage: Vec<_> = usage.take_while(|line| !line.is_empty()).collect();
    let usage = usage.join(" ");
    let lines = help.lines().map(str::trim);
    let mut flags: Flags = Vec::new();
    let mut description = None;
    for line in lines {
        let line = line.strip_prefix("-h, ").or(line.strip_prefix("-V, ")).unwrap_or(line);
        if let Some(flag) = line.strip_prefix("--") {
            let name = format!("--{}", flag.split([' ', '.']).next().unwrap());
            let is_required = usage.split(' ').any(|word| word == name);
            let default = match (is_required, flag.contains('<')) {
                (true, _) => "required",
                (false, true) => "none",
                (false, false) => "`false`",
            };
            flags.push((name, default.to_owned()));
            description = Some(String::new());
        } else if let (Some(text), Some(flag)) = (&mut description, flags.last_mut()) {
            *text += line;
            *text += " ";
            if let Some((_, default)) = text.split_once("[default: ")
                && let Some((default, _)) = default.split_once(']')
            {
                flag.1 = format!("`{default}`");
            }
        }
    }
    flags.retain(|(flag, _)| !["--help", "--version"].contains(&flag.as_str()));
    flags.sort();
    flags
}

fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_sealstream")).args(arguments).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}
