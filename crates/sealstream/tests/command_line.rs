//! Help, versions, variables and usage errors.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::process::{Command, Output, Stdio};

/// Runs `sealstream` with arguments and variables.
fn sealstream(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealstream"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).output().unwrap()
}

/// Returns what is on standard error of a run that ends with a usage error.
fn usage_error(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let output = sealstream(arguments, variables);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(output.stdout.is_empty());
    text
}

fn stdout(arguments: &[&str]) -> String {
    let output = sealstream(arguments, &[]);
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_help_fits_one_screen() {
    let help = stdout(&["--help"]);
    assert!(help.lines().count() <= 24, "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    for command in ["push", "resume", "tail", "consumer-event", "completions"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
    }
}

#[test]
fn help_of_a_command_shows_possible_values_and_exit_codes() {
    for command in ["push", "resume", "tail", "consumer-event"] {
        let (short, long) = (stdout(&[command, "-h"]), stdout(&[command, "--help"]));
        assert!(short.len() < long.len());
        assert!(long.contains("\n  143  a second SIGTERM ended the command at once\n"), "{long}");
    }
    let help = stdout(&["tail", "--help"]);
    assert!(help.contains("[possible values: native, aws-esdk]"), "{help}");
    for heading in ["Stream:", "Encryption:", "Output:"] {
        assert!(help.contains(&format!("\n{heading}\n")), "{help}");
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let expected = format!("sealstream {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(&["--version"]), expected);
}

#[test]
fn a_bad_value_from_a_variable_is_blamed_on_the_variable() {
    let bad = [("SEALSTREAM_ENGINE", "v8")];
    let error = usage_error(&["tail"], &bad);
    let expected = "error: invalid value 'v8' for '--engine <ENGINE>' from the environment variable \
                    'SEALSTREAM_ENGINE'";
    assert!(error.starts_with(expected), "{error}");
    assert!(error.contains("[possible values: native, aws-esdk]"), "{error}");
    for (variable, value) in [
        ("SEALSTREAM_CACHE_MAX_AGE_SECONDS", "0"),
        ("SEALSTREAM_SINCE", "yesterday"),
        ("SEALSTREAM_STREAM", "a/b"),
        ("SEALSTREAM_NO_FOLLOW", "perhaps"),
        ("SEALSTREAM_KMS_KEY", "alias/a,b c"),
    ] {
        let error = usage_error(&["tail"], &[(variable, value)]);
        assert!(error.contains(&format!("from the environment variable '{variable}'")), "{error}");
    }
}

#[test]
fn a_bad_value_from_a_flag_is_blamed_on_the_flag() {
    for arguments in [["tail", "--engine=v8"].as_slice(), &["tail", "--engine", "v8"]] {
        let error = usage_error(arguments, &[("SEALSTREAM_ENGINE", "v9")]);
        assert!(error.contains("'v8' for '--engine <ENGINE>'\n"), "{error}");
    }
}

#[test]
fn empty_variables_and_those_of_other_programs_do_not_count() {
    let complete = [
        ("SEALSTREAM_STREAM", "records"),
        ("SEALSTREAM_KMS_KEY", "alias/records"),
        ("SEALSTREAM_ENGINE", ""),
        ("SEALSTREAM_REGION", ""),
        ("SEALSTREAM_COUNT", ""),
        ("SEALSTREAM_NO_FOLLOW", ""),
        ("ENGINE", "v8"),
        ("OUTPUT", "/tmp/x"),
        ("STREAM", "/"),
    ];
    let error = usage_error(&["tail"], &complete);
    assert_eq!(error, "error: no Region is set\n  set --region or AWS_REGION\n");
}

#[test]
fn switches_take_the_usual_spellings_from_variables() {
    for value in ["1", "true", "YES", "on", "0", "false", "no", "off"] {
        let variables = [
            ("SEALSTREAM_STREAM", "records"),
            ("SEALSTREAM_KMS_KEY", "alias/records"),
            ("SEALSTREAM_NO_FOLLOW", value),
        ];
        let error = usage_error(&["tail"], &variables);
        assert!(error.starts_with("error: no Region is set"), "{error}");
    }
}

#[test]
fn completions_know_the_commands_and_flags() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = stdout(&["completions", shell]);
        for word in ["push", "consumer-event", "with-metadata"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}
