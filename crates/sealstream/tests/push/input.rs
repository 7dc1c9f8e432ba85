//! What is read, and what is said about lines that are not records.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::fixture::{Fixture, HERE, THERE, errors, lines, run, summary};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_is_read_in_whatever_form_it_has() {
    let plain = lines(1000).into_bytes();
    let (first, second) = plain.split_at(plain.len() / 2);
    let forms: [(&str, Vec<u8>); 8] = [
        ("plain", plain.clone()),
        ("byte_order_mark", [b"\xef\xbb\xbf", plain.as_slice()].concat()),
        ("crlf", String::from_utf8(plain.clone()).unwrap().replace('\n', "\r\n").into_bytes()),
        ("gzip", gzip(&plain)),
        ("gzip_members", [gzip(first), gzip(second)].concat()),
        ("zstd", zstd(&plain)),
        ("zstd_frames", [zstd(first), zstd(second)].concat()),
        ("no_last_newline", plain[..plain.len() - 1].to_vec()),
    ];
    for (name, content) in forms {
        let fixture = Fixture::new(&format!("form_{name}")).await;
        let path = fixture.file("input", &content);
        let mut push = fixture.push(&[]);
        push.arg(path);
        for output in [run(push, "").await, run(fixture.push(&[]), content).await] {
            assert_eq!(output.status.code(), Some(0), "{name}: {}", errors(&output));
            assert_eq!(summary(&output)["delivered"], 1000, "{name}");
        }
        assert_eq!((fixture.count(HERE), fixture.count(THERE)), (2000, 2000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_compressed_input_is_said_and_what_was_read_is_pushed() {
    for (name, mut content) in
        [("gz", gzip(lines(1000).as_bytes())), ("zst", zstd(lines(1000).as_bytes()))]
    {
        let fixture = Fixture::new(&format!("damaged_{name}")).await;
        content.truncate(content.len() - 12);
        let output = run(fixture.push(&[]), content).await;
        assert_eq!(output.status.code(), Some(1), "{name}: {}", errors(&output));
        assert!(errors(&output).contains("cannot be read"), "{name}: {}", errors(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_not_records_are_listed_by_position_and_never_by_content() {
    let fixture = Fixture::new("rejects").await;
    let rejects = fixture.folder.join("rejects");
    let content = "{\"id\":\"1\"}\n\nmarker\n[\"marker\"]\n{\"noid\":\"marker\"}\n{\"id\":\"2\"}\n";
    let path = fixture.file("input", content);
    let mut push = fixture.push(&["--require-key", "id:S", "--rejects"]);
    push.arg(&rejects).arg(&path);
    let output = run(push, "").await;
    assert_eq!(output.status.code(), Some(1));
    let summary = summary(&output);
    assert_eq!((&summary["delivered"], &summary["rejected_lines"]), (&2.into(), &2.into()));
    let listed = fs::read_to_string(rejects).unwrap();
    let mut listed: Vec<Value> =
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    listed.sort_by_key(|reject| reject["line"].as_u64());
    let positions: Vec<_> = listed
        .iter()
        .map(|reject| (reject["line"].as_u64().unwrap(), reject["offset"].as_u64().unwrap()))
        .collect();
    assert_eq!(positions, [(3, 12), (4, 19), (5, 30)]);
    for reject in &listed {
        assert_eq!(reject["file"], path.display().to_string());
        assert!(!reject["reason"].as_str().unwrap().contains("marker"));
    }
    assert!(!errors(&output).contains("marker"));
    assert_eq!(summary["continue_from"], Value::Null, "pushing them again does not help");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_table_cannot_store_is_named_with_its_line() {
    let fixture = Fixture::new("require_key").await;
    let large = format!("{{\"id\":\"1\",\"text\":\"{}\"}}\n", "x".repeat(500_000));
    let path = fixture.file("input", format!("{{\"id\":\"1\"}}\n{{\"noid\":1}}\n{large}"));
    let mut push = fixture.push(&["--require-key", "id:S"]);
    push.arg(path);
    let output = run(push, "").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("input:2: the table's key \"id\""), "{}", errors(&output));
    assert!(errors(&output).contains("input:3: the record would be an item of "));
    assert_eq!(fixture.count(HERE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_forms_of_json_are_recognised() {
    let fixture = Fixture::new("hints").await;
    for (content, hint) in [
        ("[{\"id\":1}]\n", "jq -c '.[]'"),
        ("{\n  \"id\": 1\n}\n", "jq -c ."),
        ("id,name\n1,a\n", "mlr"),
    ] {
        let output = run(fixture.push(&[]), content).await;
        assert_eq!(output.status.code(), Some(1));
        assert!(errors(&output).contains(hint), "{}", errors(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_no_stream_accepts_is_skipped_without_being_held() {
    let fixture = Fixture::new("long_line").await;
    let long = "x".repeat(11 << 20);
    let output = run(fixture.push(&[]), format!("{{\"id\":1}}\n{long}\n{{\"id\":2}}\n")).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("<stdin>:2: longer than 10 MiB"), "{}", errors(&output));
    assert_eq!(fixture.count(HERE), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_begins_where_it_is_told_to() {
    let fixture = Fixture::new("from_line").await;
    let path = fixture.file("input", lines(10));
    let mut push = fixture.push(&["--from-line", "8"]);
    push.arg(&path);
    assert_eq!(summary(&run(push, "").await)["delivered"], 3);
    assert_eq!(fixture.ids(HERE).await, [7, 8, 9]);
    let mut push = fixture.push(&["--from-line", "8"]);
    push.arg(&path).arg(&path);
    assert_eq!(run(push, "").await.status.code(), Some(2), "which of the files?");
    let mut push = fixture.push(&["--from-line", "11"]);
    push.arg(&path);
    assert_eq!(run(push, "").await.status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_fast_stops_at_the_first_bad_line_and_says_where() {
    let fixture = Fixture::new("fail_fast").await;
    let content = format!("{}oops\n{}", lines(5), lines(5));
    let output = run(fixture.push(&["--fail-fast"]), content).await;
    let summary = summary(&output);
    assert_eq!((output.status.code(), &summary["delivered"]), (Some(1), &5.into()));
    assert_eq!(summary["continue_from"]["line"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_files_than_a_process_may_have_open_are_read() {
    let fixture = Fixture::new("many").await;
    let mut push = fixture.push(&[]);
    for index in 0..1500 {
        push.arg(fixture.file(&format!("input{index}"), format!("{{\"id\":{index}}}\n")));
    }
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\""]).arg(push.get_program());
    limited.args(push.get_args()).env_clear();
    limited.envs(push.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let output = run(limited, "").await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_eq!(fixture.count(HERE), 1500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_to_its_end_is_where_to_continue() {
    for (name, whole) in
        [("gz", gzip(lines(1000).as_bytes())), ("zst", zstd(lines(1000).as_bytes()))]
    {
        let fixture = Fixture::new(&format!("cut_{name}")).await;
        let cut = fixture.file("cut", &whole[..whole.len() / 2]);
        let after = fixture.file("after", lines(3));
        let mut push = fixture.push(&[]);
        push.arg(&cut).arg(after);
        let output = run(push, "").await;
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        let summary = summary(&output);
        let next = &summary["continue_from"];
        assert_eq!(next["file"].as_str(), cut.to_str(), "{errors}");
        let line = next["line"].as_u64().unwrap();
        assert_eq!(summary["records"].as_u64(), Some(line - 1 + 3), "{errors}");
        // Once the file is whole, nothing is missing.
        let mut push = fixture.push(&["--from-line", &line.to_string()]);
        push.arg(fixture.file("cut", &whole));
        assert_eq!(run(push, "").await.status.code(), Some(0));
        assert_eq!(fixture.count(HERE), 1003);
    }
}
