use aws_outcome::CredentialsProblem::{self, *};
use aws_outcome::{Cause, Class, Failure};
use aws_types::os_shim_internal::{Env, Fs};

use crate::harness::{answer, config, failure, serve};

const SSO: &str = "
[profile dev]
sso_session = dev-session
sso_account_id = 123456789012
sso_role_name = reader
[sso-session dev-session]
sso_region = us-east-1
sso_start_url = https://sso.invalid/start
";
/// The SDK names the file after the session: the SHA-1 of `dev-session`.
const TOKEN_FILE: &str = "/home/.aws/sso/cache/6a8732fe3624aef043e5f7811b597bd5e2a56b39.json";
const ROLE: &str = "role_arn = arn:aws:iam::123456789012:role/reader";

/// How a request of profile `dev` fails on a machine with these files and without any other source
/// of credentials.
async fn failure_with(profiles: &str, files: &[(&str, &str)]) -> Failure {
    failure_in(profiles, files, &[]).await
}

async fn failure_in(profiles: &str, files: &[(&str, &str)], variables: &[(&str, &str)]) -> Failure {
    let home = [("HOME", "/home"), ("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_PROFILE", "dev")];
    let env = Env::from_slice(&[&home, variables].concat());
    let fs = Fs::from_slice(&[&[("/home/.aws/config", profiles)], files].concat());
    failure(config().env(env).fs(fs)).await
}

#[track_caller]
fn assert_problem(failure: &Failure, problem: CredentialsProblem, text: &str) {
    assert_eq!(failure.cause(), Cause::Credentials(problem), "{failure:?}");
    assert_eq!(failure.clone().with_profile("dev").to_string(), text);
    assert!(!format!("{failure:?} {failure}").contains("SECRET"));
}

#[tokio::test]
async fn an_sso_session_that_nobody_has_logged_in_to() {
    let failure = failure_with(SSO, &[]).await;
    assert_problem(&failure, NotLoggedIn, r#"not logged in to the SSO session for profile "dev""#);
    assert_eq!(failure.to_string(), "not logged in to the SSO session");
    assert_eq!(failure.class(), Class::Operator);
}

#[tokio::test]
async fn an_sso_session_in_the_older_form() {
    let profile = "[profile dev]\nsso_account_id = 123456789012\nsso_role_name = reader\n\
                   sso_region = us-east-1\nsso_start_url = https://sso.invalid/start\n";
    let failure = failure_with(profile, &[]).await;
    assert_problem(&failure, NotLoggedIn, r#"not logged in to the SSO session for profile "dev""#);
}

#[tokio::test]
async fn an_sso_session_that_has_expired() {
    let token = r#"{"accessToken":"SECRET","expiresAt":"2021-01-01T00:00:00Z","region":"us-east-1",
                    "startUrl":"https://sso.invalid/start"}"#;
    let failure = failure_with(SSO, &[(TOKEN_FILE, token)]).await;
    assert_problem(&failure, SsoExpired, r#"the SSO session for profile "dev" has expired"#);
}

#[tokio::test]
async fn a_token_file_that_is_not_one() {
    let failure = failure_with(SSO, &[(TOKEN_FILE, "SECRET")]).await;
    assert_problem(&failure, NotLoggedIn, r#"not logged in to the SSO session for profile "dev""#);
}

#[tokio::test]
async fn a_profile_that_does_not_exist() {
    let text = r#"profile "dev" does not exist or has no credentials"#;
    for profiles in
        ["[profile other]\nregion = us-east-1\n", "[profile dev]\nregion = us-east-1\n", ""]
    {
        let failure = failure_with(profiles, &[]).await;
        assert_problem(&failure, NotFound, text);
        assert_eq!(failure.to_string(), "no credentials were found");
    }
}

#[tokio::test]
async fn a_profile_that_is_incomplete() {
    let profiles = [
        "[profile dev]\naws_access_key_id = SECRET\n".to_owned(),
        format!("[profile dev]\n{ROLE}\n"),
        "[profile dev]\nsso_session = x\nsso_account_id = 1\nsso_role_name = r\n".to_owned(),
        "[profile dev\n".to_owned(),
    ];
    for profile in profiles {
        let failure = failure_with(&profile, &[]).await;
        assert_problem(&failure, InvalidProfile, r#"profile "dev" is not usable"#);
    }
}

#[tokio::test]
async fn a_credential_process_that_fails() {
    let commands = [
        "/bin/sh -c 'echo SECRET; echo SECRET >&2; exit 1'",
        "/nonexistent/SECRET",
        "echo SECRET",
        "echo '{\"Version\":2}'",
    ];
    for command in commands {
        let profile = format!("[profile dev]\ncredential_process = {command}\n");
        let failure = failure_with(&profile, &[]).await;
        let text = r#"the credential process of profile "dev" failed"#;
        assert_problem(&failure, ProcessFailed, text);
        assert_eq!(failure.to_string(), "the credential process failed");
    }
}

#[tokio::test]
async fn a_web_identity_token_file_that_is_missing() {
    let text = "the web identity token file is missing or not readable";
    let profile = format!("[profile dev]\n{ROLE}\nweb_identity_token_file = /SECRET/token\n");
    assert_problem(&failure_with(&profile, &[]).await, WebIdentityToken, text);
    let variables = [
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/SECRET/token"),
    ];
    assert_problem(&failure_in("", &[], &variables).await, WebIdentityToken, text);
}

#[tokio::test]
async fn a_role_that_sts_does_not_give() {
    let codes = [
        "AccessDenied",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "RegionDisabledException",
    ];
    for code in codes {
        let failure = role_failure(&serve(xml_error(403, code)).await).await;
        let text = "AWS did not issue the role's credentials";
        assert_problem(&failure, RoleRejected, text);
        assert_eq!(failure.class(), Class::Operator);
    }
}

#[tokio::test]
async fn an_sts_that_cannot_be_reached() {
    let text = "the credentials provider cannot be reached";
    for endpoint in ["http://127.0.0.1:1", "http://sts.invalid"] {
        let failure = role_failure(endpoint).await;
        assert_problem(&failure, Unavailable, text);
        assert_eq!(failure.class(), Class::Retryable);
    }
    for code in ["ServiceUnavailable", "Throttling", "IDPCommunicationError", "InternalFailure"] {
        let failure = role_failure(&serve(xml_error(503, code)).await).await;
        assert_problem(&failure, Unavailable, text);
    }
    let failure = role_failure(&serve(answer(503, "text/html", "", "<html>SECRET")).await).await;
    assert_problem(&failure, Unavailable, text);
}

/// The SDK repeats a request to a container's endpoint, so that an attempt's time may end first.
#[tokio::test]
async fn a_container_endpoint_that_fails() {
    for (status, class) in
        [(500, Class::Retryable), (503, Class::Retryable), (403, Class::Operator)]
    {
        let endpoint = serve(answer(status, "text/plain", "", "SECRET")).await;
        let variables = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint.as_str())];
        let failure = failure_in("[profile dev]\n", &[], &variables).await;
        assert_eq!(failure.class(), class, "{status} {failure:?}");
        assert!(!format!("{failure:?} {failure}").contains("SECRET"));
    }
}

async fn role_failure(sts: &str) -> Failure {
    let profiles = format!(
        "[profile dev]\n{ROLE}\nsource_profile = keys\n[profile keys]\n\
         aws_access_key_id = AKID\naws_secret_access_key = SECRET\n"
    );
    failure_in(&profiles, &[], &[("AWS_ENDPOINT_URL_STS", sts)]).await
}

fn xml_error(status: u16, code: &str) -> String {
    let body = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>SECRET</Message>\
         </Error><RequestId>7d1f</RequestId></ErrorResponse>"
    );
    answer(status, "text/xml", "", &body)
}
