//! The Lambda extension `cache-extension`.

use std::env;
use std::sync::Arc;

use anyhow::{Context, bail};
use cache_extension::{
    Api, Aws, AwsPathSettings, Cache, CallCache, Entry, Server, ServiceCalls, Settings, SharedTier,
    Token, Upstream, config,
};
use dynamodb_cache::SystemClock;
use record_telemetry::Variables;
use tracing::{info, warn};

/// One thread is enough for one function, and takes the least from it.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    record_telemetry::init_function();
    let settings = Variables::from_env().read(Settings::read)?;
    let token = token(&settings)?;
    let aws = cache_extension::aws_config(settings.timeouts).await;
    let region = aws.region().context("AWS_REGION is not set")?.as_ref();
    let entries = entries(&settings, region)?;
    let clock = Arc::new(SystemClock);
    let mut upstream: Arc<dyn Upstream> = Arc::new(Aws::new(&aws, &entries));
    if let Some(table) = settings.shared_table.clone() {
        upstream = Arc::new(SharedTier::new(upstream, table, &aws, clock.clone()));
    }
    let cache = Cache::new(entries, upstream, clock.clone(), settings.stale_if_error);
    let server = Server::bind(settings.port)
        .await
        .with_context(|| format!("port {} of 127.0.0.1 cannot be bound", settings.port))?;
    let calls = Arc::new(ServiceCalls::new(&aws, &settings.aws_paths));
    let stale = settings.stale_if_error;
    let calls = CallCache::new(region, settings.aws_paths.clone(), calls, clock, stale);
    let api = Arc::new(Api::new(cache.clone(), token).with_calls(calls));
    // Before Lambda starts the function, whose own start may already ask for values.
    if let Some(server) = aws_server(&settings).await? {
        tokio::spawn(server.serve(Arc::clone(&api)));
    }
    tokio::spawn(server.serve(api));
    cache_extension::run(&cache, settings.init_startup).await.map_err(anyhow::Error::from_boxed)
}

/// A function that uses only the paths of AWS's extension needs no file.
fn entries(settings: &Settings, region: &str) -> anyhow::Result<Vec<Entry>> {
    if settings.config_is_optional() && !settings.config.exists() {
        info!(path = %settings.config.display(), "no configuration file, and nothing to preload");
        return Ok(Vec::new());
    }
    Ok(config::read(&settings.config, region, settings.ttl)?)
}

/// Binds the port of AWS's extension. Unless another one was set, it may be taken, by AWS's extension for
/// example.
async fn aws_server(settings: &Settings) -> anyhow::Result<Option<Server>> {
    let port = settings.aws_paths.port;
    match Server::bind(port).await {
        Ok(server) => Ok(Some(server)),
        Err(error) if port == AwsPathSettings::DEFAULT_PORT => {
            warn!(port, %error, "the paths of AWS's extension are not served on its port");
            Ok(None)
        }
        Err(error) => {
            Err(error).with_context(|| format!("port {port} of 127.0.0.1 cannot be bound"))
        }
    }
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
