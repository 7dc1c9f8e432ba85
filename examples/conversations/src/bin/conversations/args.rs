//! The command line.

use std::str::FromStr;
use std::time::SystemTime;

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use clap::{Parser, Subcommand, ValueEnum, value_parser};
use conversations::dataset::people;
use conversations::{CreatedAt, Cursor, GroupId, Paging, Start, User, UserId};
use record_pusher::{KmsKeyId, RegionName, StreamName};

const EXAMPLES: &str = "\
Examples:
  Prepare a table and fill it, without the pipeline:
    export TABLE_NAME=conversations AWS_REGION=us-east-1
    conversations load-schema
    conversations seed --direct

  Send a message through the pipeline, and read it in another Region:
    export REGIONS=us-east-1,eu-west-1 KMS_KEY=alias/sealstream STREAM=records TABLE_NAME=conversations
    conversations send --from @ada --to @grace 'Tea at five?'
    conversations list --user @grace --region eu-west-1
    conversations show --group GROUP --limit 5

  For programs:
    conversations list --user @ada --output json | jq -r .conversations[].message

A user is @handle for one of the data set's people, or UUID:handle:Display Name.
Credentials, profiles and endpoints are found the way the AWS CLI finds them.
The exit code is 0 when everything was done, 1 when not, and 2 when the command line is wrong.";

/// Private messages through sealstream, in one DynamoDB table that is designed by access pattern.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Text for people, or JSON for programs
    #[arg(long, env, global = true, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the table, or what it lacks of the schema: its index and its stream
    LoadSchema(TableArgs),
    /// Write the data set: the same believable people and messages every time
    Seed(SeedArgs),
    /// Send a message; the first one makes the conversation
    Send(SendArgs),
    /// Show a user's conversations, newest activity first
    List(ListArgs),
    /// Show the messages of a conversation, newest first
    Show(ShowArgs),
    /// Delete the table with all messages, if it has the schema's keys
    Drop(TableArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct TableArgs {
    /// The table
    #[arg(long, env)]
    pub(crate) table_name: String,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Place {
    /// The table's Region; that of the AWS settings if it is not given
    #[arg(long)]
    region: Option<String>,
}

impl Place {
    /// The AWS settings in another Region.
    pub(crate) async fn config_in(&self, region: &str) -> SdkConfig {
        let region = Region::new(region.to_owned());
        aws_config::defaults(BehaviorVersion::latest()).region(region).load().await
    }

    pub(crate) async fn config(&self) -> SdkConfig {
        let loader = aws_config::defaults(BehaviorVersion::latest());
        match &self.region {
            Some(region) => loader.region(Region::new(region.clone())).load().await,
            None => loader.load().await,
        }
    }
}

/// Where messages are sent to.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// Regions to send to, separated by commas, as `sealstream push` has it
    #[arg(long, env, value_delimiter = ',', required_unless_present = "direct")]
    pub(crate) regions: Vec<RegionName>,

    /// KMS key that every Region has
    #[arg(long, env, required_unless_present = "direct")]
    pub(crate) kms_key: Option<KmsKeyId>,

    /// Kinesis stream that every Region has
    #[arg(long, env, required_unless_present = "direct")]
    pub(crate) stream: Option<StreamName>,

    /// Write to the table of one Region, each message in one transaction with what lists show of
    /// it, instead of sending it through the pipeline
    #[arg(long)]
    pub(crate) direct: bool,

    /// The table that messages are written to; through the pipeline, that of its consumer in every
    /// Region, which is checked before anything is sent
    #[arg(long, env)]
    pub(crate) table_name: String,

    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SeedArgs {
    /// How many messages
    #[arg(long, default_value_t = 500, value_parser = value_parser!(u16).range(1..=10_000))]
    pub(crate) messages: u16,

    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SendArgs {
    /// Who sends it
    #[arg(long, value_name = "USER")]
    pub(crate) from: Person,

    /// Who it is for
    #[arg(long, value_name = "USER")]
    pub(crate) to: Person,

    /// The time of the newest message that the sender has seen, as the last line of `show` has it; this
    /// one comes after it, even if the other's clock is ahead
    #[arg(long, value_name = "TIME")]
    pub(crate) after: Option<CreatedAt>,

    /// What it says; standard input if it is not given, so that nobody reads it in a list of
    /// processes
    pub(crate) text: Option<String>,

    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Whose conversations: @handle or a UUID
    #[arg(long)]
    pub(crate) user: UserRef,

    #[command(flatten)]
    pub(crate) page: PageArgs,

    #[command(flatten)]
    pub(crate) table: TableArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The conversation's UUID
    #[arg(long, value_name = "UUID")]
    pub(crate) group: GroupId,

    #[command(flatten)]
    pub(crate) page: PageArgs,

    #[command(flatten)]
    pub(crate) table: TableArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct PageArgs {
    /// The most to show
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u16).range(1..=1000))]
    limit: u16,

    /// Only what is older than this time in UTC, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    before: Option<Before>,

    /// Go on where another page ended, with the cursor that it gave
    #[arg(long, conflicts_with = "before")]
    cursor: Option<Cursor>,
}

impl PageArgs {
    pub(crate) fn paging(&self) -> Paging {
        let start = match (&self.cursor, &self.before) {
            (Some(cursor), _) => Start::At(cursor.clone()),
            (None, Some(Before(time))) => Start::Before(time.clone()),
            (None, None) => Start::Newest,
        };
        Paging { limit: self.limit, start }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Human,
    /// For programs
    Json,
}

/// A participant of a message.
#[derive(Debug, Clone)]
pub(crate) struct Person(pub(crate) User);

impl FromStr for Person {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if let Some(handle) = text.strip_prefix('@') {
            return person(handle).map(Self);
        }
        let mut parts = text.splitn(3, ':');
        let (Some(id), Some(handle), Some(name)) = (parts.next(), parts.next(), parts.next())
        else {
            bail!("a user is @handle or UUID:handle:Display Name");
        };
        Ok(Self(User::new(id.parse()?, name, handle)?))
    }
}

/// Somebody, of whom no more is needed than who it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserRef(pub(crate) UserId);

impl FromStr for UserRef {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text.strip_prefix('@') {
            Some(handle) => Ok(Self(person(handle)?.id())),
            None => Ok(Self(text.parse().context("a user is @handle or a UUID")?)),
        }
    }
}

fn person(handle: &str) -> anyhow::Result<User> {
    let mut people = people();
    match people.iter().position(|person| person.handle() == handle) {
        Some(at) => Ok(people.swap_remove(at)),
        None => {
            let handles: Vec<_> = people.iter().map(User::handle).collect();
            bail!("the data set has nobody of this handle; it has {}", handles.join(", "))
        }
    }
}

/// A time up to which to read: in any precision, unlike a key.
#[derive(Debug, Clone)]
struct Before(CreatedAt);

impl FromStr for Before {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if let Ok(key) = text.parse() {
            return Ok(Self(key));
        }
        let time = DateTime::from_str(text, DateTimeFormat::DateTime)
            .context("the time must be like 2026-01-31T12:00:00Z")?;
        Ok(Self(CreatedAt::first_of(SystemTime::try_from(time)?)))
    }
}
