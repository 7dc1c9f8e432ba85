//! Environment variables that stand in for flags.

use std::env;
use std::ffi::OsString;

use clap::builder::{BoolishValueParser, OsStr, Resettable};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command, Error};

/// Gives every flag of every subcommand a variable. An empty variable counts as unset.
pub(crate) fn with_variables(command: Command) -> Command {
    command.mut_subcommands(|subcommand| subcommand.mut_args(with_variable))
}

fn with_variable(arg: Arg) -> Arg {
    let Some(variable) = variable(&arg) else { return arg };
    let is_empty = env::var_os(&variable).is_some_and(|value| value.is_empty());
    let arg = if is_empty { arg.env(Resettable::<OsStr>::Reset) } else { arg.env(variable) };
    let arg = arg.hide_env(true);
    match arg.get_action() {
        ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
        _ => arg,
    }
}

/// Returns the variable that stands in for a flag: `SEALSTREAM_KMS_KEY` for `--kms-key`.
pub(crate) fn variable(arg: &Arg) -> Option<String> {
    match arg.get_long()? {
        // A name that tools of many vendors share.
        "traceparent" => Some("TRACEPARENT".to_owned()),
        flag => Some(format!("SEALSTREAM_{}", flag.to_uppercase().replace('-', "_"))),
    }
}

/// Adds the variable's name to an error about a value that came from a variable. clap only names the
/// flag, which the user has not given.
pub(crate) fn name_variable(error: &mut Error, command: &Command, arguments: &[OsString]) {
    let Some(ContextValue::String(culprit)) = error.get(ContextKind::InvalidArg) else { return };
    let flag = culprit.split([' ', '=']).next().unwrap_or_default();
    let is_given = |argument: &OsString| {
        let rest = argument.to_str().and_then(|argument| argument.strip_prefix(flag));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if arguments.iter().any(is_given) {
        return;
    }
    let args = command.get_subcommands().flat_map(Command::get_arguments);
    let mut named = args.filter(|arg| arg.get_long() == flag.strip_prefix("--"));
    let variable = named.next().and_then(variable);
    if let Some(variable) = variable.filter(|variable| env::var_os(variable).is_some()) {
        let culprit = format!("{culprit}' from the environment variable '{variable}");
        error.insert(ContextKind::InvalidArg, ContextValue::String(culprit));
    }
}

#[cfg(test)]
mod tests {
    use crate::command_line::command;

    #[test]
    fn every_flag_has_a_variable() {
        let command = command();
        command.clone().debug_assert();
        for subcommand in command.get_subcommands() {
            for arg in subcommand.get_arguments() {
                let Some(flag) = arg.get_long() else { continue };
                let variable = arg.get_env().unwrap_or_else(|| panic!("--{flag} has no variable"));
                let expected = match flag {
                    "traceparent" => "TRACEPARENT".to_owned(),
                    flag => format!("SEALSTREAM_{}", flag.replace('-', "_").to_uppercase()),
                };
                assert_eq!(variable, expected.as_str());
            }
        }
    }
}
