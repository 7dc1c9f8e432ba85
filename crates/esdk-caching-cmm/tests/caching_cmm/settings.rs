//! Settings that a builder refuses.

use std::sync::Arc;
use std::time::Duration;

use esdk_caching_cmm::{BuildError, CachingCmm, CachingCmmBuilder, NoCache};

use crate::fixture::{MAX_AGE, Manager};

fn complete() -> CachingCmmBuilder<Manager> {
    CachingCmm::builder(Manager::default()).cache(Arc::new(NoCache::default())).max_age(MAX_AGE)
}

fn refused(builder: CachingCmmBuilder<Manager>) -> String {
    builder.build().unwrap_err().to_string()
}

#[test]
fn settings_are_checked_when_built() {
    assert!(complete().build().is_ok());
    assert!(complete().max_messages(1 << 32).max_bytes(0).max_concurrent_calls(1).build().is_ok());
    let cases = [
        (
            complete().max_messages((1 << 32) + 1),
            "max_messages is 4294967297; it must be 1 to 4294967296",
        ),
        (complete().max_messages(0), "max_messages is 0; it must be 1 to 4294967296"),
        (
            complete().max_bytes(1 << 63),
            "max_bytes is 9223372036854775808; it must be at most 9223372036854775807",
        ),
        (complete().max_age(Duration::ZERO), "max_age is zero; it must be longer"),
        (
            complete().partition_id(""),
            "partition_id is empty or contains a null byte; leave it out for a unique one",
        ),
        (
            complete().partition_id("a\0b"),
            "partition_id is empty or contains a null byte; leave it out for a unique one",
        ),
        (
            complete().refresh_ahead(MAX_AGE),
            "refresh_ahead is 300s; it must be shorter than max_age",
        ),
    ];
    for (builder, message) in cases {
        assert_eq!(refused(builder), message);
    }
    assert!(refused(complete().max_concurrent_calls(0)).starts_with("max_concurrent_calls is 0; "));
    let too_many = complete().max_concurrent_calls(usize::MAX).build();
    assert!(matches!(too_many, Err(BuildError::MaxConcurrentCalls(usize::MAX))));
    let builder = || CachingCmm::builder(Manager::default());
    assert_eq!(refused(builder().max_age(MAX_AGE)), "a caching CMM needs cache");
    assert_eq!(
        refused(builder().cache(Arc::new(NoCache::default()))),
        "a caching CMM needs max_age"
    );
}
