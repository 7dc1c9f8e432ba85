//! The README's settings tables name every setting with its variable and its default, and nothing
//! else.
mod settings_table;

use record_pusher::{PusherSettings, TraceSettings};
use settings_table::{Row, settings, table};

#[test]
fn the_settings_of_the_pusher() {
    assert_eq!(table("record-pusher and push-records"), shared());
}

fn shared() -> Vec<Row> {
    [settings::<PusherSettings>(), settings::<TraceSettings>()].concat()
}
