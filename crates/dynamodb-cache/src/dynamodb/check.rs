//! A check that a table can be used.

use std::time::UNIX_EPOCH;

use aws_outcome::Failure;
use uuid::Uuid;

use super::Inner;
use super::item::plain;
use super::table::Write;
use crate::key::Key;

impl Inner {
    /// Makes each kind of request once, on two keys of its own.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let name = Uuid::new_v4().simple().to_string();
        let keys = [1, 2].map(|number| Key::for_check(&format!("{name} {number}")));
        let item = |key| plain(&self.table.names, key, String::new(), UNIX_EPOCH);
        let puts = keys.each_ref().map(|key| Write::Put(key.clone(), item(key)));
        let deletes = keys.each_ref().map(|key| Write::Delete(key.clone()));
        // One key is another request than two.
        self.request(|| self.table.write(puts[..1].to_vec())).await?;
        self.request(|| self.table.write(puts.to_vec())).await?;
        self.request(|| self.table.read(keys[..1].to_vec(), true)).await?;
        self.request(|| self.table.read(keys.to_vec(), true)).await?;
        self.request(|| self.table.write(deletes[..1].to_vec())).await?;
        self.request(|| self.table.write(deletes.to_vec())).await?;
        Ok(())
    }
}
