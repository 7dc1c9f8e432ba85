//! The life cycle of a push.
//!
//! ```text
//! running ── signal, end of input, operator error ──> draining ── drain time over ──> stopping
//!    │                                                   │                               │
//!    └── operator error before any acknowledgement ──────┼──────────> stopping           │
//!                                                        └─── all settled ──> done <─────┘
//! ```
//!
//! Running reads and delivers. Draining reads nothing more, and delivers what was read. Stopping gives
//! up: what was read is spooled or listed. A push is done when everything that was read is settled.

use crate::exit_code::ExitCode;

/// How far a push has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Running,
    Draining,
    Stopping,
    Done,
}

/// What happens to a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// A block of lines was read, which holds so many records.
    Read(u64),
    /// The reader has ended before the end of its input.
    ReadingStopped,
    /// The reader has reached the end of its input.
    InputEnded,
    /// The first signal.
    Signal,
    /// The time for draining is over.
    DrainTimeOver,
    /// A record reached every Region.
    Delivered,
    /// A record did not reach every Region.
    Undelivered {
        /// Whether a Region acknowledged it.
        acknowledged: bool,
        /// Whether an operator has to act.
        operator: bool,
    },
}

/// What a push must do after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    None,
    /// Read nothing more, and start the time for draining.
    StartDrainTime,
    /// Give up what is in flight.
    StopPusher,
}

/// The state of a push.
#[derive(Debug, Clone)]
pub(crate) struct Lifecycle {
    phase: Phase,
    input_ended: bool,
    unsettled: u64,
    acknowledged: bool,
    undelivered: bool,
    operator: bool,
    interrupted: bool,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Running,
            input_ended: false,
            unsettled: 0,
            acknowledged: false,
            undelivered: false,
            operator: false,
            interrupted: false,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether there may be more to read.
    pub(crate) fn is_reading(&self) -> bool {
        !self.input_ended
    }

    /// Whether a signal ended the reading.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Notes that an operator has to act.
    pub(crate) fn require_operator(&mut self) {
        self.operator = true;
    }

    pub(crate) fn on(&mut self, event: Event) -> Action {
        let before = self.phase;
        match event {
            Event::Read(records) => self.unsettled += records,
            Event::ReadingStopped => self.input_ended = true,
            // The signal came too late to stop the reading.
            Event::InputEnded => (self.input_ended, self.interrupted) = (true, false),
            Event::Signal => {
                self.interrupted |= !self.input_ended;
                self.advance(Phase::Draining);
            }
            Event::DrainTimeOver => self.advance(Phase::Stopping),
            Event::Delivered => {
                self.acknowledged = true;
                self.unsettled -= 1;
            }
            Event::Undelivered { acknowledged, operator } => {
                self.acknowledged |= acknowledged;
                self.undelivered = true;
                self.operator |= operator;
                self.unsettled -= 1;
                if operator {
                    let next = if self.acknowledged { Phase::Draining } else { Phase::Stopping };
                    self.advance(next);
                }
            }
        }
        let action = match (before, self.phase) {
            (Phase::Running, Phase::Draining) => Action::StartDrainTime,
            (Phase::Running | Phase::Draining, Phase::Stopping) => Action::StopPusher,
            _ => Action::None,
        };
        if self.input_ended && self.unsettled == 0 {
            self.phase = Phase::Done;
        }
        action
    }

    /// A push never goes back.
    fn advance(&mut self, phase: Phase) {
        self.phase = self.phase.max(phase);
    }

    /// Returns the exit code. `is_complete` says whether the report has nothing to complain about.
    pub(crate) fn exit_code(&self, is_complete: bool) -> ExitCode {
        if self.operator {
            return ExitCode::Operator;
        }
        ExitCode::complete_if(is_complete && !self.undelivered && !self.interrupted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{Delivered, DrainTimeOver, InputEnded, Read, ReadingStopped, Signal};

    const OPERATOR: Event = Event::Undelivered { acknowledged: false, operator: true };
    const RETURNED: Event = Event::Undelivered { acknowledged: true, operator: false };

    /// Returns the actions, the last phase and the exit code.
    fn run(events: &[Event]) -> (Vec<Action>, Phase, ExitCode) {
        let mut lifecycle = Lifecycle::new();
        let actions = events.iter().map(|event| lifecycle.on(*event));
        let actions = actions.filter(|action| *action != Action::None).collect();
        (actions, lifecycle.phase(), lifecycle.exit_code(true))
    }

    #[test]
    fn a_push_ends_when_everything_read_is_settled() {
        let ended = (vec![], Phase::Done, ExitCode::Complete);
        assert_eq!(run(&[InputEnded]), ended);
        assert_eq!(run(&[Read(2), Delivered, Delivered, InputEnded]), ended);
        assert_eq!(run(&[Read(1), InputEnded, Delivered]), ended);
        assert_eq!(run(&[Read(1), InputEnded]).1, Phase::Running);
        assert_eq!(run(&[Read(1), RETURNED, InputEnded]).2, ExitCode::Incomplete);
    }

    #[test]
    fn a_signal_drains_and_the_end_of_the_drain_time_stops() {
        let drained = run(&[Read(1), Signal, Read(1), ReadingStopped, Delivered, Delivered]);
        let expected = (vec![Action::StartDrainTime], Phase::Done, ExitCode::Incomplete);
        assert_eq!(drained, expected);
        let stopped = run(&[Read(2), Signal, DrainTimeOver, ReadingStopped, RETURNED, RETURNED]);
        let actions = vec![Action::StartDrainTime, Action::StopPusher];
        assert_eq!(stopped, (actions, Phase::Done, ExitCode::Incomplete));
        for late in
            [[Read(1), InputEnded, Signal, Delivered], [Read(1), Signal, InputEnded, Delivered]]
        {
            assert_eq!(run(&late).2, ExitCode::Complete, "nothing was left unread");
        }
    }

    #[test]
    fn an_operator_error_stops_before_the_first_acknowledgement_and_drains_after_it() {
        let (actions, phase, code) = run(&[Read(3), OPERATOR]);
        assert_eq!(actions, [Action::StopPusher]);
        assert_eq!((phase, code), (Phase::Stopping, ExitCode::Operator));
        let (actions, phase, code) = run(&[Read(3), Delivered, OPERATOR]);
        assert_eq!(actions, [Action::StartDrainTime]);
        assert_eq!((phase, code), (Phase::Draining, ExitCode::Operator));
    }

    /// A push as its driver sees it.
    #[derive(Debug, Default)]
    struct World {
        unsettled: u64,
        read: u64,
        delivered: u64,
        undelivered: u64,
        operator: bool,
        input_ended: bool,
        stops: u32,
        drains: u32,
    }

    /// Whatever the order of records, faults and signals: a push goes forward only, is done exactly
    /// when everything read is settled, is drained and stopped at most once, and its exit code tells
    /// the fate of the records.
    #[test]
    fn no_schedule_loses_count() {
        for seed in 0..2000 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut lifecycle, mut world) = (Lifecycle::new(), World::default());
            while lifecycle.phase() != Phase::Done {
                let event = next_event(&mut random, &lifecycle, &mut world);
                let before = lifecycle.phase();
                let action = lifecycle.on(event);
                assert!(lifecycle.phase() >= before, "seed {seed}");
                world.drains += u32::from(action == Action::StartDrainTime);
                world.stops += u32::from(action == Action::StopPusher);
                let is_done = world.input_ended && world.unsettled == 0;
                assert_eq!(lifecycle.phase() == Phase::Done, is_done, "seed {seed} {world:?}");
            }
            assert!(world.drains <= 1 && world.stops <= 1, "seed {seed} {world:?}");
            assert_eq!(world.read, world.delivered + world.undelivered);
            let code = lifecycle.exit_code(true);
            let expected = match (world.operator, world.undelivered, lifecycle.is_interrupted()) {
                (true, ..) => ExitCode::Operator,
                (_, 0, false) => ExitCode::Complete,
                _ => ExitCode::Incomplete,
            };
            assert_eq!(code, expected, "seed {seed} {world:?}");
        }
    }

    /// Draws an event that can happen.
    fn next_event(random: &mut fastrand::Rng, lifecycle: &Lifecycle, world: &mut World) -> Event {
        loop {
            let event = match random.u32(..20) {
                0..8 if !world.input_ended && lifecycle.phase() == Phase::Running => {
                    Read(random.u64(..5))
                }
                8 if !world.input_ended => [InputEnded, ReadingStopped][random.usize(..2)],
                9 => Signal,
                10 if lifecycle.phase() == Phase::Draining => DrainTimeOver,
                11..17 if world.unsettled > 0 => Delivered,
                17..19 if world.unsettled > 0 => {
                    Event::Undelivered { acknowledged: random.bool(), operator: false }
                }
                19 if world.unsettled > 0 => {
                    Event::Undelivered { acknowledged: random.bool(), operator: true }
                }
                _ => continue,
            };
            match event {
                Read(records) => {
                    world.read += records;
                    world.unsettled += records;
                }
                InputEnded | ReadingStopped => world.input_ended = true,
                Delivered => world.delivered += 1,
                Event::Undelivered { operator, .. } => {
                    world.undelivered += 1;
                    world.operator |= operator;
                }
                _ => {}
            }
            if matches!(event, Delivered | Event::Undelivered { .. }) {
                world.unsettled -= 1;
            }
            return event;
        }
    }
}
