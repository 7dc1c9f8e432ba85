//! The command line.

use std::env;
use std::ffi::OsString;

use clap::builder::{Resettable, StyledStr};
use clap::{Command, CommandFactory, Error, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::consumer_event::ConsumerEventArgs;
use crate::environment::{name_variable, with_variables};
use crate::push::args::PushArgs;
use crate::redrive::RedriveArgs;
use crate::resume::ResumeArgs;
use crate::tail::TailArgs;

const AFTER_HELP: &str = "\
Run `sealstream <COMMAND> --help` for details. Variables stand in for flags: SEALSTREAM_KMS_KEY for \
--kms-key. Credentials, profiles and endpoints are found the way the AWS CLI finds them.";

/// Columns of the narrowest terminal for which help is made.
const MAX_USAGE_WIDTH: usize = 60;

/// Ends the long help of every command.
const EXIT_CODES: &str = "\
Exit codes:
  0    everything was done
  1    something is undelivered, unreadable, rejected or unread
  2    a flag, variable or file is wrong; nothing was done
  3    an operator must act: credentials, permissions, a missing key, stream or table
  130  a second SIGINT (Ctrl-C) ended the command at once
  143  a second SIGTERM ended the command at once

Variables stand in for flags that are not given: SEALSTREAM_KMS_KEY for --kms-key. Credentials, profiles \
and endpoints are found the way the AWS CLI finds them.";

/// Push, read and repair encrypted records in Amazon Kinesis
#[derive(Debug, Parser)]
#[command(name = "sealstream", version, after_help = AFTER_HELP, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: SubCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SubCommand {
    /// Encrypt JSON records and put them to a stream in every Region
    Push(Box<PushArgs>),
    /// Send messages that an earlier push left in a spool file
    Resume(ResumeArgs),
    /// Follow a stream and print its records decrypted
    Tail(Box<TailArgs>),
    /// Reprocess quarantined records
    Redrive(RedriveArgs),
    /// Print an event for record-consumer with records of a stream
    ConsumerEvent(ConsumerEventArgs),
    /// Print the completion script for a shell
    Completions {
        /// Shell to complete commands in
        shell: Shell,
    },
}

/// Parses the arguments of the process, with the environment variables that stand in for flags. Ends
/// the process after `--help` and `--version`, and with exit code 2 after a usage error.
pub(crate) fn parse() -> SubCommand {
    let arguments: Vec<_> = env::args_os().collect();
    try_parse(&arguments).unwrap_or_else(|error| error.exit())
}

fn try_parse(arguments: &[OsString]) -> Result<SubCommand, Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(arguments);
    let parsed = matches.and_then(|matches| CommandLine::from_arg_matches(&matches));
    parsed.map(|line| line.command).map_err(|mut error| {
        name_variable(&mut error, &command, arguments);
        error
    })
}

/// Returns the definition of the whole command line.
pub(crate) fn command() -> Command {
    with_variables(CommandLine::command())
        .mut_subcommands(|subcommand| with_exit_codes(with_wrapped_usage(subcommand)))
}

/// Shows a command's examples in the long help only, and the exit codes after them.
fn with_exit_codes(command: Command) -> Command {
    let examples = command.get_after_long_help().or(command.get_after_help());
    let after_help = match examples {
        Some(examples) => format!("{examples}\n\n{EXIT_CODES}"),
        None => EXIT_CODES.to_owned(),
    };
    command.after_help(Resettable::<StyledStr>::Reset).after_long_help(after_help)
}

/// Breaks a long usage line between flags. clap leaves that to the terminal, which breaks words.
fn with_wrapped_usage(command: Command) -> Command {
    const INDENT: &str = "\n       ";
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace(" <", "\u{a0}<");
    let (mut text, mut width) = ("sealstream".to_owned(), "Usage: sealstream".len());
    for word in usage.split(' ') {
        width += 1 + word.chars().count();
        if width > MAX_USAGE_WIDTH {
            text += INDENT;
            width = INDENT.len() + word.chars().count();
        } else {
            text.push(' ');
        }
        text += word;
    }
    command.override_usage(text.replace('\u{a0}', " "))
}
