//! The simulator behind the host's real way out: every check is made, the token is attached, and no socket is between.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
};

use async_trait::async_trait;
use axum::http;
use gmail_sim::Sim;
use secrecy::ExposeSecret;
use twinbox_host::{
    body::Body,
    contract::Field,
    egress::{ClientError, HttpClient, Outgoing, Resolver, Response},
};

/// The largest request here, bytes.
const REQUEST: usize = 64 << 20;

/// Requests are answered by the simulator, and every name has one public address.
pub struct SimWire(Sim);

impl SimWire {
    /// The way to this simulator.
    pub fn new(sim: Sim) -> Self {
        Self(sim)
    }
}

#[async_trait]
impl HttpClient for SimWire {
    async fn send(&self, request: Outgoing) -> Result<Response, ClientError> {
        let body = request.body.collect(REQUEST).await;
        let mut built = http::Request::builder()
            .method(request.method)
            .uri(request.url.as_str())
            .body(body.map_err(|_| ClientError::Interrupted)?)
            .map_err(|_| ClientError::Protocol)?;
        *built.headers_mut() = request.headers;
        if let Some(token) = request.bearer {
            let value = format!("Bearer {}", token.expose_secret());
            let value = http::HeaderValue::from_str(&value).map_err(|_| ClientError::Protocol)?;
            built.headers_mut().insert(http::header::AUTHORIZATION, value);
        }
        let (parts, body) = self.0.handle(built).into_parts();
        let headers = parts.headers.iter().map(|(name, value)| Field {
            name: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        });
        Ok(Response {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            length: Some(body.len() as u64),
            body: Body::Inline(body),
        })
    }
}

#[async_trait]
impl Resolver for SimWire {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::V4(Ipv4Addr::new(93, 184, 216, 34))])
    }
}
