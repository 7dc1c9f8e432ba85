//! A push that is killed while it delivers, and resumed.

use std::path::{Path, PathBuf};

use soak::kills::{KillPlan, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_is_killed_ten_times_while_it_delivers_loses_nothing() {
    let seed = 1;
    let plan = KillPlan {
        program: PathBuf::from(env!("CARGO_BIN_EXE_sealstream")),
        folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kills_{seed}")),
        records: 120_000,
        kills: 10,
        seed,
    };
    let report = run(&plan).await.unwrap();
    assert_eq!(report.kills.len(), 10);
    for kill in &report.kills {
        assert!(kill.delivered[0] > 0, "not while it delivers: {kill:?}");
    }
    assert!(report.is_complete(), "seed {seed}\n{report}");
    eprintln!("seed {seed}\n{report}");
}
