//! A guestbook that gets its database URL from Heroku's API and caches it, as extensions and
//! libraries do that cache secrets: 300 s is their usual default.

use std::time::{Duration, Instant};

use deadpool_postgres::Pool;
use http::Request;
use http::header::{ACCEPT, AUTHORIZATION};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use lambda_http::{Error, run, service_fn};
use serde_json::Value;
use stagelink_bench::{answer, env_var, open_pool};
use tokio::sync::Mutex;

/// A cache of the URL that Heroku returned.
struct Cache {
    ask: Ask,
    time: Duration,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    url: String,
    since: Instant,
    pool: Pool,
}

/// The URL and token for a request for the config vars of an app.
struct Ask {
    url: String,
    token: String,
}

impl Cache {
    /// Returns a pool for the cached URL, which it renews after its time. An unchanged URL keeps its
    /// pool.
    async fn pool(&self) -> Result<Pool, Error> {
        let mut kept = self.kept.lock().await;
        if let Some(kept) = &*kept
            && kept.since.elapsed() < self.time
        {
            return Ok(kept.pool.clone());
        }
        let url = self.ask.database_url().await?;
        let pool = match kept.take() {
            Some(kept) if kept.url == url => kept.pool,
            _ => open_pool(&url)?,
        };
        let new = kept.insert(Kept {
            url,
            since: Instant::now(),
            pool,
        });
        Ok(new.pool.clone())
    }
}

impl Ask {
    async fn database_url(&self) -> Result<String, Error> {
        let request = Request::get(&self.url)
            .header(ACCEPT, "application/vnd.heroku+json; version=3")
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Empty::<&[u8]>::new())?;
        // The local Heroku speaks plain HTTP.
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await?;
        if !response.status().is_success() {
            return Err(format!("Heroku answered with {}", response.status()).into());
        }
        let body = response.into_body().collect().await?.to_bytes();
        let vars: Value = serde_json::from_slice(&body)?;
        let url = vars["DATABASE_URL"].as_str();
        Ok(url.ok_or("the app has no DATABASE_URL")?.to_owned())
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (api, app) = (env_var("HEROKU_API_URL")?, env_var("HEROKU_APP")?);
    let cache = &Cache {
        ask: Ask {
            url: format!("{api}/apps/{app}/config-vars"),
            token: env_var("HEROKU_API_KEY")?,
        },
        time: Duration::from_secs(env_var("CACHE_SECONDS")?.parse()?),
        kept: Mutex::new(None),
    };
    run(service_fn(async |request: lambda_http::Request| {
        answer(&request, cache.pool().await).await
    }))
    .await
}
