//! A batcher that ends tells what became of every entry.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_batcher_that_is_dropped_sends_what_it_has() {
    let script = Script::slow(Duration::from_secs(1));
    let fixture = Fixture::new(script.clone());
    let first = fixture.queue(keyed("a", 1, 4));
    let blocked = fixture.queue(keyed("a", 2, 4));
    drop(fixture);
    first.await.unwrap().unwrap();
    blocked.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_batcher_that_is_stopped_returns_everything() {
    let script = Script::slow(Duration::from_secs(3600));
    let fixture = Fixture::new(script.clone());
    let in_flight = fixture.queue(keyed("a", 1, 4));
    let blocked = fixture.queue(keyed("a", 2, 4));
    while script.request_sizes().is_empty() {
        tokio::time::advance(LINGER).await;
        yield_now().await;
    }
    fixture.stop.cancel();
    for outcome in [in_flight, blocked] {
        assert_eq!(code(&outcome.await.unwrap()), "Stopped");
    }
    assert_eq!(code(&fixture.queue(keyed("b", 3, 4)).await.unwrap()), "Stopped");
}
