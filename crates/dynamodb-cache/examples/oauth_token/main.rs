//! Prints an OAuth access token, which it fetches only if no process has lately.
//!
//! ```sh
//! export TOKEN_URL=http://… CLIENT_ID=… CLIENT_SECRET=…
//! cargo run --example oauth_token -- TABLE SCOPE
//! ```
//!
//! Credentials, Region and endpoint of the table are found as the AWS CLI finds them. For a token
//! endpoint behind HTTPS give `reqwest` one of its features for TLS, such as `rustls`.

#![expect(clippy::print_stdout, reason = "its output")]

mod provider;

use std::env;
use std::error::Error;
use std::time::Duration;

use dynamodb_cache::{Cache, DynamoDbStore, LocalStore, TieredStore};
use provider::{Credentials, TokenProvider};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let [table, scope] = <[String; 2]>::try_from(env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "usage: oauth_token TABLE SCOPE")?;
    let dynamodb = aws_sdk_dynamodb::Client::new(&aws_config::load_from_env().await);
    let table = DynamoDbStore::new(&dynamodb, table.parse()?);
    // Nobody writes another token while one is good, so a copy may be as old as its token.
    let store = TieredStore::new(LocalStore::new(1 << 20), table).max_age(Duration::from_hours(24));
    let cache = Cache::builder(store)
        .namespace("oauth-tokens")
        .refresh_ahead(Duration::from_mins(5))
        .lease(Duration::from_secs(15))
        .build()?;
    let credentials = Credentials {
        token_url: env::var("TOKEN_URL")?,
        client_id: env::var("CLIENT_ID")?,
        client_secret: env::var("CLIENT_SECRET")?,
    };
    let tokens = TokenProvider::new(credentials, cache)?;
    println!("{}", tokens.token(&scope).await?);
    Ok(())
}
