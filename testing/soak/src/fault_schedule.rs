//! The faults of a round. Each rule befalls so many calls and no more, so that the faults end.

use fake_aws::{Fault, Faults, Operation, Rule, RuleId, Service};
use fastrand::Rng;

use crate::environment::REGIONS;

/// The rules in force, until it is lifted.
pub(crate) struct FaultSchedule {
    outages: Vec<RuleId>,
    others: Vec<RuleId>,
}

impl FaultSchedule {
    pub(crate) fn inject(faults: &Faults, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let inject = |rules: Vec<Rule>| rules.into_iter().map(|rule| faults.inject(rule)).collect();
        Self { outages: inject(outages(&mut rng)), others: inject(others(&mut rng)) }
    }

    /// To be called when all is pushed. The mapping waits twice as long after each failure, so that
    /// its calls alone would take minutes to use an outage up.
    pub(crate) fn end_outages(&mut self, faults: &Faults) {
        self.outages.drain(..).for_each(|rule| faults.lift(rule));
    }

    pub(crate) fn lift(self, faults: &Faults) {
        self.outages.into_iter().chain(self.others).for_each(|rule| faults.lift(rule));
    }
}

const PASSING: [Fault; 5] =
    [Fault::Throttle, Fault::InternalError, Fault::Unavailable, Fault::Reset, Fault::AnswerLost];

/// The faults of an operation. PutRecords and KMS wait longer for an answer than a test can, so
/// that they do not hang.
const FAULTS: &[(Operation, &[Fault])] = &[
    (Operation::PutRecords, &PASSING),
    (Operation::PutRecords, &[Fault::Partial { every: 2 }, Fault::Partial { every: 3 }]),
    (Operation::GenerateDataKey, &PASSING),
    (Operation::Encrypt, &PASSING),
    (Operation::Decrypt, &PASSING),
    (Operation::BatchWriteItem, &PASSING),
    (Operation::BatchWriteItem, &[Fault::Partial { every: 2 }, Fault::Hang]),
    (Operation::PutObject, &PASSING),
    (Operation::PutObject, &[Fault::Hang]),
];

fn others(rng: &mut Rng) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (operation, kinds) in FAULTS {
        for fault in *kinds {
            // A call that hangs takes all the time of its invocation.
            let times = if *fault == Fault::Hang { 1 } else { rng.u64(1..4) };
            let share = 0.05 + 0.2 * rng.f64();
            let rule = Rule::new(*fault).operation(*operation).chance(share, rng.u64(..));
            rules.push(rule.times(times));
        }
    }
    rng.shuffle(&mut rules);
    rules
}

/// Perhaps KMS, perhaps Kinesis is out of order in one Region.
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
