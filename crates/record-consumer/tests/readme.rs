//! The README's settings table names every setting with its variable and its default, and nothing
//! else.

#[path = "../../record-pusher/tests/settings_table/mod.rs"]
mod settings_table;

use record_consumer::ConsumerSettings;
use settings_table::{settings, table};

#[test]
fn the_settings_of_the_consumer() {
    assert_eq!(table("record-consumer"), settings::<ConsumerSettings>());
}
