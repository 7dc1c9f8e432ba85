//! A table in memory that keeps DynamoDB's rules for transactions, and fails as told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_sdk_dynamodb::types::AttributeValue;
use conversations::{CreatedAt, GroupId, Item, Table, TableError, Transacted, Write};
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::task::yield_now;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing, but others have their turn before it so many times.
    Late(u8),
    /// It is refused for now.
    Unavailable,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// Whoever makes the call ends before it is done.
    CrashBefore,
    /// Whoever makes the call ends once it is done.
    CrashAfter,
    /// There is never an answer.
    Hang,
    /// It is refused until somebody mends something.
    Denied,
}

/// Handles of one table; each has faults of its own.
#[derive(Clone, Default)]
pub(crate) struct MemoryTable {
    items: Arc<Mutex<Items>>,
    transactions: Arc<Mutex<Vec<Vec<Write>>>>,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    crash: Arc<Notify>,
}

type Items = BTreeMap<(String, String), Item>;

impl std::fmt::Debug for MemoryTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryTable")
    }
}

impl MemoryTable {
    /// Another handle of the same table.
    pub(crate) fn with_faults(&self, faults: &[Fault]) -> Self {
        let faults = Arc::new(Mutex::new(faults.iter().copied().collect()));
        Self { faults, crash: Arc::default(), ..self.clone() }
    }

    pub(crate) fn items(&self) -> Vec<Item> {
        self.lock().values().cloned().collect()
    }

    /// What was asked for in each transaction that was done.
    pub(crate) fn transactions(&self) -> Vec<Vec<Write>> {
        self.transactions.lock().unwrap().clone()
    }

    /// Waits until a fault ends the caller.
    pub(crate) async fn crashed(&self) {
        self.crash.notified().await;
    }

    async fn before(&self, fault: Fault) -> Result<(), TableError> {
        match fault {
            Fault::Late(turns) => {
                for _ in 0..turns {
                    yield_now().await;
                }
            }
            Fault::Unavailable => return Err(TableError::Unavailable("Throttling".to_owned())),
            Fault::Denied => return Err(TableError::Denied("AccessDenied".to_owned())),
            Fault::CrashBefore => self.end().await,
            Fault::Hang => pending().await,
            Fault::AnswerLost | Fault::CrashAfter => {}
        }
        Ok(())
    }

    async fn after(&self, fault: Fault) -> Result<(), TableError> {
        match fault {
            Fault::AnswerLost => Err(TableError::Unavailable("it did not answer".to_owned())),
            Fault::CrashAfter => {
                self.end().await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn end(&self) {
        self.crash.notify_one();
        pending::<()>().await;
    }

    fn next_fault(&self) -> Fault {
        self.faults.lock().unwrap().pop_front().unwrap_or(Fault::Late(0))
    }

    fn apply(&self, writes: &[Write]) -> Transacted {
        let mut items = self.lock();
        let keys: BTreeSet<_> = writes.iter().map(|write| key(of(write))).collect();
        assert_eq!(keys.len(), writes.len(), "a transaction has one write for an item");
        for write in writes {
            match write {
                Write::Message(item) if items.contains_key(&key(item)) => {
                    return Transacted::Exists;
                }
                Write::Head { item, replaces }
                    if last_message_at(items.get(&key(item))) != *replaces =>
                {
                    return Transacted::Overtaken;
                }
                _ => {}
            }
        }
        for write in writes {
            match write {
                Write::DeleteRow(row) => items.remove(&key(row)),
                Write::Message(item) | Write::Head { item, .. } | Write::PutRow(item) => {
                    items.insert(key(item), item.clone())
                }
            };
        }
        check(&items);
        self.transactions.lock().unwrap().push(writes.to_vec());
        Transacted::Done { units: 10.0 }
    }

    fn lock(&self) -> MutexGuard<'_, Items> {
        self.items.lock().unwrap()
    }
}

/// What holds after every transaction: the rows of a group are two, and where its head says.
fn check(items: &Items) {
    let heads = items.values().filter(|item| text(item, "pk").starts_with("HEAD#"));
    let rows = items.values().filter(|item| text(item, "pk").starts_with("GRP#"));
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for row in rows {
        found.entry(text(row, "message_group_uuid")).or_default().push(text(row, "sk"));
    }
    let expected = heads.map(|head| {
        let group = text(head, "pk").trim_start_matches("HEAD#").to_owned();
        (group, vec![text(head, "last_message_at"); 2])
    });
    assert_eq!(found, expected.collect());
}

impl Table for MemoryTable {
    fn head(&self, group: GroupId) -> BoxFuture<'_, Result<Option<CreatedAt>, TableError>> {
        Box::pin(async move {
            let fault = self.next_fault();
            self.before(fault).await?;
            let head = (format!("HEAD#{group}"), "HEAD".to_owned());
            let last = last_message_at(self.lock().get(&head));
            self.after(fault).await?;
            Ok(last)
        })
    }

    fn transact(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<Transacted, TableError>> {
        Box::pin(async move {
            let fault = self.next_fault();
            self.before(fault).await?;
            let transacted = self.apply(&writes);
            self.after(fault).await?;
            Ok(transacted)
        })
    }
}

fn of(write: &Write) -> &Item {
    match write {
        Write::Message(item)
        | Write::Head { item, .. }
        | Write::DeleteRow(item)
        | Write::PutRow(item) => item,
    }
}

fn last_message_at(head: Option<&Item>) -> Option<CreatedAt> {
    head.map(|head| text(head, "last_message_at").parse().unwrap())
}

fn key(item: &Item) -> (String, String) {
    (text(item, "pk"), text(item, "sk"))
}

pub(crate) fn text(item: &Item, name: &str) -> String {
    item.get(name).and_then(|value| AttributeValue::as_s(value).ok()).unwrap().clone()
}
