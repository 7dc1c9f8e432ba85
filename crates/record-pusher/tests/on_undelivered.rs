//! How an invocation of the function ends that did not deliver all its records.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod programs;

use fake_aws::{Fault, Operation, Rule};
use serde_json::{Value, json};

use programs::Fixture;

/// Runs the function with a setting, and returns the answer or the error for two records, of which
/// those in `failing` Regions are not delivered.
async fn invoke(test: &str, failing: &[&str], settings: &[(&str, &str)]) -> Result<Value, Value> {
    let fixture = Fixture::new(test).await;
    for region in failing {
        let rule = Rule::new(Fault::AccessDenied).operation(Operation::PutRecords);
        fixture.aws.faults().inject(rule.region(*region));
    }
    let event = json!({ "records": [{ "id": "1" }, { "id": "2" }] });
    fixture.serve(&[event.to_string()], settings).await;
    let invocation = fixture.aws.runtime_api().invocations().remove(0);
    let parse = |body: Vec<u8>| serde_json::from_slice(&body).unwrap();
    invocation.outcome.map(parse).map_err(parse)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_fails_by_default_if_records_are_undelivered() {
    for settings in [&[][..], &[("ON_UNDELIVERED", "fail")], &[("ON_UNDELIVERED", "")]] {
        let error = invoke("undelivered_fail", &["eu-west-1"], settings).await.unwrap_err();
        assert_eq!(error["errorType"], "Undelivered", "{error}");
        let text = error["errorMessage"].as_str().unwrap();
        let expected = "2 of 2 records did not reach every Region: 2 in eu-west-1: access denied";
        assert!(text.starts_with(expected), "{text}");
        let response = invoke("delivered_fail", &[], settings).await.unwrap();
        assert_eq!(response, json!({ "records": 2, "undelivered": 0, "failed": [] }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_reports_what_is_undelivered_if_callers_read_it() {
    let settings = [("ON_UNDELIVERED", "report")];
    let response = invoke("undelivered_report", &["eu-west-1"], &settings).await.unwrap();
    assert_eq!((&response["records"], &response["undelivered"]), (&2.into(), &2.into()));
    let [failed] = response["failed"].as_array().unwrap().as_slice() else { panic!("{response}") };
    assert_eq!((&failed["region"], &failed["ranges"]), (&"eu-west-1".into(), &json!([[0, 1]])));
}
