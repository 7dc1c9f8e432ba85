//! The README's settings table names every setting with its variable and its default, and nothing
//! else.

#[path = "../../record-pusher/tests/settings_table/mod.rs"]
mod settings_table;

use settings_table::{settings, table};
use tail_records::TailSettings;

#[test]
fn the_settings_of_tail_records() {
    assert_eq!(table("tail-records"), settings::<TailSettings>());
}
