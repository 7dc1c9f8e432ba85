//! One load across processes, which are killed while they load.

use std::env;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use dynamodb_cache::{Cache, DynamoDbStore};
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::fixture::{Fixture, client, table_name};

/// Long enough for a process that a busy machine lets wait.
const LENGTH: Duration = Duration::from_secs(5);
const PROCESSES: usize = 5;
/// So many of them are killed while they load.
const KILLED: u64 = 2;
const LIMIT: Duration = Duration::from_mins(2);
const TABLE_URL: &str = "DYNAMODB_CACHE_WORKER_TABLE_URL";
const SOURCE: &str = "DYNAMODB_CACHE_WORKER_SOURCE";

#[tokio::test]
#[ignore = "a process of the test beside it"]
async fn worker() {
    let client = client(&env::var(TABLE_URL).unwrap());
    // On a busy machine, a table must not count as in trouble.
    let store = DynamoDbStore::builder(&client, table_name()).timeout(LIMIT).build();
    let cache: Cache<String> = Cache::builder(store).lease(LENGTH).build().unwrap();
    let load = async || {
        let mut source = TcpStream::connect(env::var(SOURCE).unwrap()).await?;
        source.write_u32(std::process::id()).await?;
        let mut value = String::new();
        source.read_to_string(&mut value).await.map(|_| value)
    };
    assert_eq!(cache.get_or_load("key", load).await.unwrap(), "value");
}

fn start(table_url: &str, source: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "lease_processes::worker", "--ignored"])
        .env(TABLE_URL, table_url)
        .env(SOURCE, source)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// Has the first processes that load killed after any time of up to a lease, and answers the next.
struct Source {
    listener: TcpListener,
    loads: AtomicU64,
}

impl Source {
    async fn serve(&self, kill: impl Fn(u32)) {
        loop {
            let (stream, _) = self.listener.accept().await.unwrap();
            let load = self.answer(stream, &kill);
            let two = async {
                self.listener.accept().await.unwrap();
                panic!("two processes load at once");
            };
            tokio::select! { () = load => {}, () = two => {} }
        }
    }

    async fn answer(&self, mut stream: TcpStream, kill: &impl Fn(u32)) {
        let id = stream.read_u32().await.unwrap();
        let number = self.loads.fetch_add(1, SeqCst) + 1;
        let any = Uuid::new_v4().as_u128() % LENGTH.as_millis();
        if number <= KILLED {
            sleep(Duration::from_millis(u64::try_from(any).unwrap())).await;
            kill(id);
            // Until the process is gone, and its connection with it.
            let _ = stream.read_u8().await;
        } else {
            sleep(LENGTH * 3 / 2).await;
            stream.write_all(b"value").await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_lease_keeps_one_loader_through_deaths_and_loads_longer_than_itself() {
    let fixture = Fixture::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let source = Source { listener, loads: AtomicU64::new(0) };
    let (url, killed) = (fixture.aws.url(), Mutex::new(Vec::new()));
    let mut children: Vec<_> = (0..PROCESSES).map(|_| start(url, &address)).collect();
    let ends = join_all(children.iter_mut().map(Child::wait));
    let kill = |id| {
        killed.lock().unwrap().push(id);
        let id = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    };
    let ends = tokio::select! {
        ends = timeout(LIMIT, ends) => ends.expect("all end in time"),
        () = source.serve(kill) => unreachable!("it serves until all have ended"),
    };
    let failed = ends.iter().filter(|end| !end.as_ref().unwrap().success()).count();
    assert_eq!(failed, killed.lock().unwrap().len(), "the others have the value");
    assert_eq!(source.loads.load(SeqCst), KILLED + 1);
}
