//! The command line.

use clap::{Parser, Subcommand};
use clap_complete::Shell;

use crate::push::args::PushArgs;
use crate::resume::ResumeArgs;
use crate::tail::TailArgs;

/// Push, read and repair encrypted records in Amazon Kinesis
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: SubCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SubCommand {
    /// Encrypt JSON records and put them to a stream in every Region
    Push(Box<PushArgs>),
    /// Send messages that an earlier push left in a spool file
    Resume(ResumeArgs),
    /// Follow a stream and print its records decrypted
    Tail(Box<TailArgs>),
    /// Print the completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}
