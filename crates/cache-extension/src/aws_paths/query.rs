//! Requests in AWS's form.

use hyper::StatusCode;

use crate::entry::Action;
use crate::query::{Plus, Query, bad};
use crate::refusal::Refusal;
use crate::upstream::Freshness;

const PARAMETER: &str = "/systemsmanager/parameters/get";
const SECRET: &str = "/secretsmanager/get";

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(super) action: Action,
    pub(super) freshness: Freshness,
}

impl Wanted {
    /// Reads a request. Returns `None` if the path is not one of AWS's. Fields that are not known are
    /// passed over, as AWS does.
    pub(crate) fn parse(path: &str, query: &str) -> Option<Result<Self, Refusal>> {
        let read = match path.strip_suffix('/').unwrap_or(path) {
            PARAMETER => parameter,
            SECRET => secret,
            _ => return None,
        };
        // Names of secrets may have plus signs, and no name has a blank.
        let parsed = Query::parse(query, Plus::Literal).and_then(|mut query| {
            let is_latest = query.switch("refreshNow")?;
            let freshness = if is_latest { Freshness::Latest } else { Freshness::Cached };
            Ok(Self { action: read(&mut query)?, freshness })
        });
        Some(parsed)
    }
}

fn parameter(query: &mut Query) -> Result<Action, Refusal> {
    let name = required(query, "name")?;
    let with_decryption = query.switch("withDecryption")?;
    let name = match (given(query, "version"), given(query, "label")) {
        (None, None) => name,
        (Some(version), None) if version.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{name}:{version}")
        }
        (Some(_), None) => return Err(bad("version must be a number")),
        (None, Some(label)) => format!("{name}:{label}"),
        (Some(_), Some(_)) => return Err(bad("give version or label, not both")),
    };
    Ok(Action::GetParameter { name, with_decryption })
}

fn secret(query: &mut Query) -> Result<Action, Refusal> {
    let id = required(query, "secretId")?;
    let (version_id, version_stage) = (given(query, "versionId"), given(query, "versionStage"));
    Ok(Action::GetSecretValue { id, version_id, version_stage })
}

fn required(query: &mut Query, name: &str) -> Result<String, Refusal> {
    given(query, name).ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, format!("give {name}")))
}

/// A field without a value counts as not given.
fn given(query: &mut Query, name: &str) -> Option<String> {
    query.take(name).filter(|value| !value.is_empty())
}
