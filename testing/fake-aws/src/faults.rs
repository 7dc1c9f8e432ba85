//! Which calls fail, and how.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::call::Call;
use crate::lock;
use crate::operation::{Operation, Service};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The service's own error for too many requests: `ProvisionedThroughputExceededException`
    /// of Kinesis, `ThrottlingException` of KMS and DynamoDB, `SlowDown` of S3.
    Throttle,
    /// The service's own error of status 500.
    InternalError,
    /// Status 503.
    Unavailable,
    /// The service's error for a caller without permission, `AccessDeniedException`.
    AccessDenied,
    /// The service's error for temporary credentials that have expired, `ExpiredTokenException`.
    ExpiredToken,
    /// `ExpiredIteratorException` of a `GetRecords`. Other operations never have it.
    ExpiredIterator,
    /// The connection is reset before the operation is carried out.
    Reset,
    /// No answer comes, and the operation is not carried out. It ends when the client closes the
    /// connection or the fake is dropped.
    Hang,
    /// The operation is carried out, and then the connection is reset without an answer.
    AnswerLost,
    /// The operation is carried out and answered. Later calls on the same connection are not: it
    /// stays open, and no answer comes.
    Silence,
    /// The operation is carried out, and the connection is reset after half of the answer.
    CutAnswer,
    /// The operation is carried out, and the answer comes in pieces of 64 bytes.
    SlowAnswer {
        /// Time before each piece.
        pause: Duration,
    },
    /// A load balancer answers with a page of HTML, and the operation is not carried out.
    HtmlPage {
        /// The HTTP status.
        status: u16,
    },
    /// A proxy refuses a request with status 413 and a page of HTML. Smaller ones never have it.
    TooLarge {
        /// Maximum bytes of a body that the proxy lets through.
        limit: usize,
    },
    /// Some entries of a `PutRecords` fail with `ProvisionedThroughputExceededException`, or some
    /// requests of a `BatchWriteItem` or keys of a `BatchGetItem` are left unprocessed. Other
    /// operations never have it.
    Partial {
        /// Each so-manyth entry of the call fails: 1 is every entry, 2 is the second, the fourth,
        /// and so on, and 0 is none. A client that repeats what failed comes to an end from 2 up.
        every: usize,
    },
}

/// A fault and the calls that it befalls: all calls, until something narrows it.
///
/// An outage is a rule without a limit, such as
/// `Rule::new(Fault::Unavailable).service(Service::Kms).region("eu-west-1")`, until
/// [`Faults::lift`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Rule {
    fault: Fault,
    region: Option<String>,
    service: Option<Service>,
    operation: Option<Operation>,
    access_key: Option<String>,
    left: Option<u64>,
    chance: Option<(f64, fastrand::Rng)>,
}

impl Rule {
    /// The fault befalls every call.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            region: None,
            service: None,
            operation: None,
            access_key: None,
            left: None,
            chance: None,
        }
    }

    /// Only calls in this Region.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Only calls of this service.
    pub fn service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Only calls of this operation.
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only calls that are signed with this access key.
    pub fn access_key(mut self, id: impl Into<String>) -> Self {
        self.access_key = Some(id.into());
        self
    }

    /// Only so many calls.
    pub fn times(mut self, times: u64) -> Self {
        self.left = Some(times);
        self
    }

    /// Only this share of the calls, 0 to 1. The same seed chooses the same calls.
    pub fn chance(mut self, share: f64, seed: u64) -> Self {
        self.chance = Some((share, fastrand::Rng::with_seed(seed)));
        self
    }

    fn befalls(&mut self, call: &Call, access_key: &str, bytes: usize) -> bool {
        let signed = self.access_key.as_ref().is_none_or(|id| id == access_key);
        let befalls = signed && self.covers(call, bytes) && self.left != Some(0) && self.draw();
        if befalls && let Some(left) = &mut self.left {
            *left -= 1;
        }
        befalls
    }

    fn covers(&self, call: &Call, bytes: usize) -> bool {
        let possible = match self.fault {
            Fault::Partial { .. } => matches!(
                call.operation,
                Operation::PutRecords | Operation::BatchGetItem | Operation::BatchWriteItem
            ),
            Fault::ExpiredIterator => call.operation == Operation::GetRecords,
            Fault::TooLarge { limit } => bytes > limit,
            _ => true,
        };
        possible
            && self.region.as_ref().is_none_or(|region| *region == call.region)
            && self.service.is_none_or(|service| service == call.operation.service())
            && self.operation.is_none_or(|operation| operation == call.operation)
    }

    fn draw(&mut self) -> bool {
        self.chance.as_mut().is_none_or(|(share, rng)| rng.f64() < *share)
    }
}

/// A rule that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId(u64);

/// How often an operation was called in a Region.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Calls {
    /// All calls, with a fault or without.
    pub calls: u64,
    /// The calls that a rule befell, even if [`Fault::Partial`] found too few entries to fail one.
    pub faults: u64,
}

/// The rules in force, and counts of the calls.
#[derive(Debug, Default)]
pub struct Faults(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rules: Vec<(RuleId, Rule)>,
    next_id: u64,
    calls: BTreeMap<Call, Calls>,
}

impl Faults {
    /// Puts a rule in force from the next call on. A call has the fault of the oldest rule that
    /// befalls it, and no other.
    pub fn inject(&self, rule: Rule) -> RuleId {
        let mut state = lock(&self.0);
        let id = RuleId(state.next_id);
        state.next_id += 1;
        state.rules.push((id, rule));
        id
    }

    /// Ends a rule. Calls that hang because of it go on hanging.
    pub fn lift(&self, rule: RuleId) {
        lock(&self.0).rules.retain(|(id, _)| *id != rule);
    }

    /// Ends all rules.
    pub fn lift_all(&self) {
        lock(&self.0).rules.clear();
    }

    /// How often an operation was called in a Region.
    #[must_use]
    pub fn calls(&self, region: &str, operation: Operation) -> Calls {
        let call = Call { region: region.to_owned(), operation };
        lock(&self.0).calls.get(&call).copied().unwrap_or_default()
    }

    /// All counts, by Region and operation.
    #[must_use]
    pub fn all_calls(&self) -> BTreeMap<(String, Operation), Calls> {
        let state = lock(&self.0);
        let calls = state.calls.iter();
        calls.map(|(call, calls)| ((call.region.clone(), call.operation), *calls)).collect()
    }

    /// Counts a call with a body of so many bytes, and says what befalls it.
    pub(crate) fn befall(&self, call: &Call, access_key: &str, bytes: usize) -> Option<Fault> {
        let mut state = lock(&self.0);
        let mut rules = state.rules.iter_mut();
        let fault =
            rules.find_map(|(_, rule)| rule.befalls(call, access_key, bytes).then_some(rule.fault));
        let calls = state.calls.entry(call.clone()).or_default();
        calls.calls += 1;
        calls.faults += u64::from(fault.is_some());
        fault
    }
}
