//! The names by which requests ask for entries.

use std::collections::HashMap;

use hyper::StatusCode;

use crate::cache::Cache;
use crate::entry::{Item, Parameter, Source};
use crate::query::{Query, bad};
use crate::refusal::Refusal;

/// The indices of entries by their names. Several entries may have the same name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    parameters: HashMap<String, Vec<(usize, Parameter)>>,
    items: HashMap<String, Vec<(usize, Item)>>,
}

impl Names {
    pub(crate) fn new(cache: &Cache) -> Self {
        let mut names = Self::default();
        for (index, entry) in cache.entries().enumerate() {
            match entry.source.clone() {
                Source::Parameter(parameter) => {
                    let same = names.parameters.entry(parameter.name.clone()).or_default();
                    same.push((index, parameter));
                }
                Source::Item(item) => {
                    names.items.entry(item.name()).or_default().push((index, item));
                }
                // Calls are not configured.
                Source::Call(_) => {}
            }
        }
        names
    }

    /// Finds a parameter by `name` and, if several Regions have it, `region`.
    pub(crate) fn parameter(&self, query: &mut Query) -> Result<usize, Refusal> {
        let name = query.take("name").ok_or_else(|| bad("give name"))?;
        let region = query.take("region");
        let matches =
            |parameter: &Parameter| region.as_deref().is_none_or(|r| parameter.region == r);
        let same = self.parameters.get(&name).map(Vec::as_slice).unwrap_or_default();
        single(same, matches, "several Regions have a parameter of this name; give region too")
    }

    /// Finds an item by `name`, or by `table`, `hash` and, if it has a sort key, `sort`; and, if
    /// several Regions have it, by `region`.
    pub(crate) fn item(&self, query: &mut Query) -> Result<usize, Refusal> {
        let fields = ["name", "table", "hash", "sort"].map(|field| query.take(field));
        let region = query.take("region");
        let in_region = |item: &Item| region.as_deref().is_none_or(|region| item.region == region);
        match fields.each_ref().map(Option::as_deref) {
            [Some(name), None, None, None] => {
                let hint = "several items have this name; give table, hash, sort and region";
                single(self.items_named(name), in_region, hint)
            }
            [None, Some(table), Some(hash), sort] => {
                let name = [Some(table), Some(hash), sort].into_iter().flatten();
                let name = name.collect::<Vec<_>>().join("-");
                let matches = |item: &Item| in_region(item) && is_named(item, table, hash, sort);
                let hint = "several Regions have an item of this name; give region too";
                single(self.items_named(&name), matches, hint)
            }
            _ => Err(bad("give name, or table and hash, and sort if the item has a sort key")),
        }
    }

    fn items_named(&self, name: &str) -> &[(usize, Item)] {
        self.items.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

fn is_named(item: &Item, table: &str, hash: &str, sort: Option<&str>) -> bool {
    let own_sort = item.sort.as_ref().map(|sort| sort.value.as_text());
    item.table == table && item.hash.value.as_text() == hash && own_sort == sort
}

fn single<T>(
    entries: &[(usize, T)],
    matches: impl Fn(&T) -> bool,
    hint: &'static str,
) -> Result<usize, Refusal> {
    let mut found = entries.iter().filter(|(_, entry)| matches(entry)).map(|(index, _)| *index);
    match (found.next(), found.next()) {
        (Some(index), None) => Ok(index),
        (Some(_), Some(_)) => Err(bad(hint)),
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "the configuration has no such entry")),
    }
}
