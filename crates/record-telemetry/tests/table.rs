//! The README's table has every metric with its unit and dimensions, in order, and nothing else.

use record_telemetry::Metric;

#[test]
fn the_readme_lists_every_metric() {
    let lines = include_str!("../README.md").lines().skip_while(|line| !line.starts_with("| name"));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.split('|').skip(1).map(|cell| cell.trim().to_owned()).collect();
    let table: Vec<Vec<String>> = rows.map(cells).collect();
    let documented: Vec<_> = table.iter().map(|row| [&*row[0], &*row[1], &*row[2]]).collect();
    let expected = Metric::ALL.iter().map(|metric| {
        let dimensions = if metric.is_regional() { "Service, Region" } else { "Service" };
        [metric.name(), metric.unit(), dimensions]
    });
    assert_eq!(documented, expected.collect::<Vec<_>>());
    assert!(table.iter().all(|row| !row[3].is_empty() && !row[4].is_empty()));
}
