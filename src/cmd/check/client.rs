//! A client of the public interface: JSON in, JSON out, and problem details as errors.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};

use super::Target;

pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    cookie: String,
}

impl Client {
    pub(super) async fn sign_in(target: &Target<'_>) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()?;
        let base = format!("{}/api/v1", target.url.trim_end_matches('/'));
        let response = http
            .post(format!("{base}/session"))
            .json(&json!({ "name": target.user, "password": target.password }))
            .send()
            .await?;
        let cookie = response
            .headers()
            .get("set-cookie")
            .and_then(|v| v.to_str().ok())
            .and_then(|v| v.split(';').next())
            .map(str::to_owned);
        let status = response.status();
        let body = response.text().await?;
        let cookie = match cookie {
            Some(cookie) if status.is_success() => cookie,
            Some(_) | None => bail!("the sign-in was answered with {status}: {body}"),
        };
        Ok(Self { http, base, cookie })
    }

    pub(super) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// The address of a WebSocket route.
    pub(super) fn socket(&self, path: &str) -> String {
        format!("{}{path}", self.base.replacen("http", "ws", 1))
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        let response = self
            .send(self.http.get(format!("{}{path}", self.base)), path)
            .await?;
        response
            .json()
            .await
            .with_context(|| format!("GET {path} did not answer JSON"))
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let response = self
            .send(
                self.http.post(format!("{}{path}", self.base)).json(body),
                path,
            )
            .await?;
        response
            .json()
            .await
            .with_context(|| format!("POST {path} did not answer JSON"))
    }

    pub(super) async fn bytes(&self, path: &str) -> Result<Bytes> {
        Ok(self
            .send(self.http.get(format!("{}{path}", self.base)), path)
            .await?
            .bytes()
            .await?)
    }

    /// A part of a file, as a player asks for it.
    pub(super) async fn part(&self, path: &str, range: &str) -> Result<(u16, Bytes)> {
        let request = self
            .http
            .get(format!("{}{path}", self.base))
            .header("range", range);
        let response = self.send(request, path).await?;
        Ok((response.status().as_u16(), response.bytes().await?))
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        path: &str,
    ) -> Result<reqwest::Response> {
        let response = request
            .header("cookie", &self.cookie)
            .header("x-zhenbei", "1")
            .send()
            .await
            .with_context(|| format!("{path} was not answered"))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.text().await.unwrap_or_default();
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        match problem.get("detail").and_then(Value::as_str) {
            Some(detail) => bail!("{path} was answered with {status}: {detail}"),
            None => bail!("{path} was answered with {status}"),
        }
    }
}
