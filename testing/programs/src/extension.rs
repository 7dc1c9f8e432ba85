use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::{Fixture, TABLE};
use crate::process::Process;

/// Time for which the extension uses a value before it loads it again.
pub const TTL: Duration = Duration::from_secs(1);

/// A `cache-extension` with one item of the table.
#[derive(Debug)]
pub struct Extension {
    /// The program.
    pub process: Process,
    port: u16,
}

impl Extension {
    /// Starts the program, and waits until it is ready.
    pub async fn start(fixture: &Fixture) -> Self {
        let config = format!(
            "dynamodb: [{{table: {TABLE}, hashkey: id, hashkeytype: S, hashkeyvalue: \"1\"}}]\n"
        );
        fs::write(fixture.folder.join("config.yaml"), config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut command = fixture.command("cache-extension");
        command
            .env("CACHE_EXTENSION_CONFIG", "config.yaml")
            .env("CACHE_EXTENSION_PORT", port.to_string())
            .env("CACHE_EXTENSION_TTL", format!("{}s", TTL.as_secs()));
        let extension = Self { process: fixture.start(command), port };
        let ready = timeout(crate::LIMIT, fixture.lambda.extensions_api().asked(1)).await;
        ready.unwrap_or_else(|_| panic!("it does not start: {}", extension.process.output()));
        extension
    }

    /// Returns the item from the cache, or from the table if it is to be refreshed; `None` for an error.
    pub async fn get(&self, refresh: bool) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let request = format!(
            "GET /dynamodb?name={TABLE}-1&refresh={refresh} HTTP/1.1\r\nHost: localhost\r\n\
             Connection: close\r\nX-Aws-Parameters-Secrets-Token: token\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
    }

    /// Invokes the function beside the extension, for the `number`th time. Comes back when the extension
    /// is ready for the next invocation.
    pub async fn invoke(&self, fixture: &Fixture, number: u64) {
        let api = fixture.lambda.extensions_api();
        api.invoke();
        let done = timeout(crate::LIMIT, api.asked(number + 1)).await;
        done.unwrap_or_else(|_| panic!("it holds up: {}", self.process.output()));
    }
}

impl Fixture {
    /// Puts the item that the extension caches.
    pub async fn put_item(&self, value: &str) {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let request = Client::new(&self.config()).put_item().table_name(TABLE);
        request.item("id", text("1")).item("value", text(value)).send().await.unwrap();
    }
}
