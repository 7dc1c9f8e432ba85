//! The faults of a round. Each rule fails a limited number of calls, so that the faults end.

use fake_aws::{FakeAws, Fault, Operation, Rule, RuleId, Service};
use fastrand::Rng;

use crate::environment::REGIONS;

/// The rules of a round, in force until they are lifted.
pub(crate) struct FaultSchedule {
    outages: Vec<RuleId>,
    others: Vec<RuleId>,
}

impl FaultSchedule {
    pub(crate) fn inject(aws: &FakeAws, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        aws.skew_clock(SKEWS[rng.usize(..SKEWS.len())]);
        let inject =
            |rules: Vec<Rule>| rules.into_iter().map(|rule| aws.faults().inject(rule)).collect();
        Self { outages: inject(outages(&mut rng)), others: inject(others(&mut rng)) }
    }

    /// Ends the outages when all records are pushed. The mapping's pauses double after each failure, so
    /// that its calls alone would take minutes to use up an outage.
    pub(crate) fn end_outages(&mut self, aws: &FakeAws) {
        self.outages.drain(..).for_each(|rule| aws.faults().lift(rule));
    }

    pub(crate) fn lift(self, aws: &FakeAws) {
        self.outages.into_iter().chain(self.others).for_each(|rule| aws.faults().lift(rule));
        aws.skew_clock(0);
    }
}

const RETRYABLE: [Fault; 5] =
    [Fault::Throttle, Fault::InternalError, Fault::Unavailable, Fault::Reset, Fault::AnswerLost];

/// Seconds by which AWS's clock is off, most often none.
const SKEWS: [i64; 4] = [0, 0, -900, 900];

/// Faults of each operation. PutRecords and KMS never hang: their timeouts are longer than a test may
/// take.
const FAULTS: &[(Operation, &[Fault])] = &[
    (Operation::PutRecords, &RETRYABLE),
    (Operation::PutRecords, &[Fault::Partial { every: 2 }, Fault::Partial { every: 3 }]),
    (Operation::GenerateDataKey, &RETRYABLE),
    (Operation::Encrypt, &RETRYABLE),
    (Operation::Decrypt, &RETRYABLE),
    (Operation::BatchWriteItem, &RETRYABLE),
    (Operation::BatchWriteItem, &[Fault::Partial { every: 2 }, Fault::Hang]),
    (Operation::PutObject, &RETRYABLE),
    (Operation::PutObject, &[Fault::Hang]),
    (Operation::PutRecords, &[Fault::ExpiredToken]),
    (Operation::GenerateDataKey, &[Fault::ExpiredToken]),
    (Operation::Decrypt, &[Fault::ExpiredToken]),
    (Operation::BatchWriteItem, &[Fault::ExpiredToken]),
    (Operation::PutItem, &[Fault::ExpiredToken]),
    (Operation::PutItem, &RETRYABLE),
];

fn others(rng: &mut Rng) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (operation, kinds) in FAULTS {
        for fault in *kinds {
            // A call that hangs takes the whole time of its invocation.
            let times = if *fault == Fault::Hang { 1 } else { rng.u64(1..4) };
            let share = 0.05 + 0.2 * rng.f64();
            let rule = Rule::new(*fault).operation(*operation).chance(share, rng.u64(..));
            rules.push(rule.times(times));
        }
    }
    rng.shuffle(&mut rules);
    rules
}

/// Outages of KMS, Kinesis, both or neither, each in one Region.
fn outages(rng: &mut Rng) -> Vec<Rule> {
    let mut outages = Vec::new();
    for service in [Service::Kms, Service::Kinesis] {
        if rng.bool() {
            let region = REGIONS[rng.usize(..REGIONS.len())];
            let rule = Rule::new(Fault::Unavailable).service(service).region(region);
            outages.push(rule.times(rng.u64(5..40)));
        }
    }
    outages
}
