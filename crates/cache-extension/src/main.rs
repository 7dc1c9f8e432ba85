//! The Lambda extension `cache-extension`.

use std::env;
use std::sync::Arc;

use anyhow::{Context, bail};
use cache_extension::{Api, Aws, Cache, Server, Settings, SharedTier, Token, Upstream, config};
use dynamodb_cache::SystemClock;
use record_telemetry::Variables;

/// One thread is enough for one function, and takes the least from it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    record_telemetry::init_function();
    let settings = Variables::from_env().read(Settings::read)?;
    let token = token(&settings)?;
    let aws = cache_extension::aws_config(settings.timeouts).await;
    let region = aws.region().context("AWS_REGION is not set")?.as_ref();
    let entries = config::read(&settings.config, region, settings.ttl)?;
    let clock = Arc::new(SystemClock);
    let mut upstream: Arc<dyn Upstream> = Arc::new(Aws::new(&aws, &entries));
    if let Some(table) = settings.shared_table.clone() {
        upstream = Arc::new(SharedTier::new(upstream, table, &aws, clock.clone()));
    }
    let cache = Cache::new(entries, upstream, clock, settings.stale_if_error);
    let server = Server::bind(settings.port)
        .await
        .with_context(|| format!("port {} of 127.0.0.1 cannot be bound", settings.port))?;
    // Before Lambda starts the function, whose own start may already ask for values.
    tokio::spawn(server.serve(Api::new(cache.clone(), token)));
    cache_extension::run(&cache, settings.init_startup).await.map_err(anyhow::Error::from_boxed)
}

/// With container credentials, which functions with SnapStart have, there is no session token.
fn token(settings: &Settings) -> anyhow::Result<Option<Token>> {
    if !settings.require_token {
        return Ok(None);
    }
    let names = ["AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"];
    match names.into_iter().find_map(|name| Token::new(&env::var(name).ok()?)) {
        Some(token) => Ok(Some(token)),
        None => bail!(
            "neither AWS_SESSION_TOKEN nor AWS_CONTAINER_AUTHORIZATION_TOKEN is set, so no request \
             could be answered; set CACHE_EXTENSION_REQUIRE_TOKEN=false to answer all requests"
        ),
    }
}
