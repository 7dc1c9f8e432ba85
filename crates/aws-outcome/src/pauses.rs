use std::time::Duration;

/// The pauses between the attempts of one request: exponential backoff with full jitter.
///
/// Each pause is random between zero and a bound that begins with `first` and doubles up to
/// `limit`. The pauses never end; a deadline or a number of attempts does.
#[derive(Debug, Clone)]
pub struct Pauses {
    bound: Duration,
    limit: Duration,
    random: fastrand::Rng,
}

impl Pauses {
    /// Pauses of at most `first`, then twice that, and so on up to `limit`.
    #[must_use]
    pub fn new(first: Duration, limit: Duration) -> Self {
        Self { bound: first.min(limit), limit, random: fastrand::Rng::new() }
    }

    /// Makes the pauses the same in each run. For tests.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.random.seed(seed);
        self
    }

    /// The pause before the next attempt.
    pub fn next_pause(&mut self) -> Duration {
        let pause = self.bound.mul_f64(self.random.f64());
        self.bound = self.bound.saturating_mul(2).min(self.limit);
        pause
    }

    /// The pause before the next attempt, unless it would use up all the time that is `left`.
    pub fn next_within(&mut self, left: Duration) -> Option<Duration> {
        Some(self.next_pause()).filter(|pause| *pause < left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(50);
    const LIMIT: Duration = Duration::from_secs(2);

    #[test]
    fn pauses_stay_below_a_bound_that_doubles_up_to_the_limit() {
        for seed in 0..200 {
            let mut pauses = Pauses::new(FIRST, LIMIT).with_seed(seed);
            for attempt in 0..100 {
                let bound = FIRST.saturating_mul(1 << attempt.min(20)).min(LIMIT);
                assert!(pauses.next_pause() <= bound, "seed {seed}, attempt {attempt}");
            }
        }
    }

    #[test]
    fn pauses_use_the_whole_range() {
        let mut pauses = Pauses::new(LIMIT, LIMIT).with_seed(1);
        let pauses: Vec<_> = (0..1000).map(|_| pauses.next_pause()).collect();
        assert!(pauses.iter().min().unwrap() < &(LIMIT / 50));
        assert!(pauses.iter().max().unwrap() > &(LIMIT * 49 / 50));
        let average = pauses.iter().sum::<Duration>() / 1000;
        assert!(average > LIMIT * 9 / 20 && average < LIMIT * 11 / 20, "{average:?}");
    }

    #[test]
    fn the_first_pause_never_exceeds_the_limit() {
        let mut pauses = Pauses::new(LIMIT, FIRST);
        assert!((0..100).all(|_| pauses.next_pause() <= FIRST));
    }

    #[test]
    fn extreme_bounds_do_not_overflow() {
        let mut pauses = Pauses::new(Duration::MAX / 4, Duration::MAX / 4);
        assert!((0..100).all(|_| pauses.next_pause() <= Duration::MAX / 4));
    }

    #[test]
    fn no_pause_uses_up_the_time_that_is_left() {
        let mut pauses = Pauses::new(LIMIT, LIMIT).with_seed(1);
        for left in (0..2000).map(Duration::from_millis) {
            assert!(pauses.next_within(left).is_none_or(|pause| pause < left));
        }
    }

    #[test]
    fn a_seed_makes_the_pauses_repeatable() {
        let pauses = |seed| {
            let mut pauses = Pauses::new(FIRST, LIMIT).with_seed(seed);
            (0..10).map(|_| pauses.next_pause()).collect::<Vec<_>>()
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }
}
