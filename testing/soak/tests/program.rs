//! The program `soak`, for a short time.

use std::process::Command;

#[test]
fn a_short_soak_accounts_for_every_record() {
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(["--records", "6000", "--faults", "--seed", "7"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().last(), Some("every record is accounted for"), "{text}");
    assert!(text.contains("peak memory: "), "{text}");
}
