//! What networks do to a program.

use std::time::Duration;

use fake_aws::{FakeAws, Fault, Operation, Rule};

/// Seconds by which the services' clock is off.
const SKEW: i64 = 15 * 60;
/// Time for which there are no credentials.
const WITHOUT_CREDENTIALS: Duration = Duration::from_secs(2);
/// Largest request that a proxy lets through. Fewer records than a program sends at once fit into it.
const PROXY_LIMIT: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hazard {
    /// The connection is accepted, and the call never answered.
    NeverAnswers,
    /// The connection answers and then goes silent.
    GoesSilent,
    ClockAhead,
    ClockBehind,
    SlowBytes,
    ResetInMidBody,
    /// A load balancer answers with a page of HTML and status 502.
    Html502,
    Html503,
    /// A proxy refuses large requests with status 413.
    TooLarge,
    CredentialsExpire,
}
use Hazard::*;

impl Hazard {
    pub(crate) const ALL: [Self; 10] = [
        NeverAnswers,
        GoesSilent,
        ClockAhead,
        ClockBehind,
        SlowBytes,
        ResetInMidBody,
        Html502,
        Html503,
        TooLarge,
        CredentialsExpire,
    ];

    /// Strikes a program that makes these calls, each of them once or twice, or until the end.
    pub(crate) fn strike(self, aws: &FakeAws, operations: &[Operation]) {
        let inject = |fault, times| {
            for operation in operations {
                aws.faults().inject(Rule::new(fault).operation(*operation).times(times));
            }
        };
        match self {
            NeverAnswers => inject(Fault::Hang, 1),
            GoesSilent => inject(Fault::Silence, 1),
            ClockAhead => aws.skew_clock(SKEW),
            ClockBehind => aws.skew_clock(-SKEW),
            SlowBytes => inject(Fault::SlowAnswer { pause: Duration::from_millis(5) }, u64::MAX),
            ResetInMidBody => inject(Fault::CutAnswer, 2),
            Html502 => inject(Fault::HtmlPage { status: 502 }, 2),
            Html503 => inject(Fault::HtmlPage { status: 503 }, 2),
            TooLarge => inject(Fault::TooLarge { limit: PROXY_LIMIT }, u64::MAX),
            CredentialsExpire => aws.expire_credentials(),
        }
    }

    /// Ends what does not end by itself and would take more than a retry.
    pub(crate) async fn pass(self, aws: &FakeAws) {
        if self == CredentialsExpire {
            tokio::time::sleep(WITHOUT_CREDENTIALS).await;
            aws.renew_credentials();
        }
    }
}
