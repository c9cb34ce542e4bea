//! Lookups over real name servers.

use std::{net::SocketAddr, time::Duration};

use async_trait::async_trait;
use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData, RecordType},
};
use thiserror::Error;

use super::lookup::{Dns, LookupError, MailServer};

/// How long a server may take before it is asked again, or another one.
const PATIENCE: Duration = Duration::from_secs(2);

/// The name servers of the system, or one that is named. Nothing is remembered between lookups: who has just published
/// a record wants to know of that one.
pub struct NameServers {
    resolver: TokioResolver,
}

/// Why there are no name servers to ask.
#[derive(Debug, Error)]
#[error("the system's name servers are not known: {0}")]
pub struct NameServersError(#[source] NetError);

impl NameServers {
    /// Those of the system (`/etc/resolv.conf`).
    pub fn of_the_system() -> Result<Self, NameServersError> {
        let builder = TokioResolver::builder_tokio().map_err(NameServersError)?;
        Self::built(builder)
    }

    /// This one.
    pub fn at(server: SocketAddr) -> Result<Self, NameServersError> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = server.port();
            connection
        });
        let server = NameServerConfig::new(server.ip(), true, connections.into());
        let config = ResolverConfig::from_name_servers(vec![server]);
        Self::built(TokioResolver::builder_with_config(
            config,
            TokioRuntimeProvider::default(),
        ))
    }

    fn built(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<Self, NameServersError> {
        let options = builder.options_mut();
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.timeout = PATIENCE;
        options.attempts = 2;
        let resolver = builder.build().map_err(NameServersError)?;
        Ok(Self { resolver })
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, LookupError> {
        let mut full = Name::from_ascii(name).map_err(|error| LookupError::Failed(error.to_string()))?;
        // Otherwise the domains that the system searches would be tried as well.
        full.set_fqdn(true);
        match self.resolver.lookup(full, kind).await {
            Ok(found) => Ok(found.answers().iter().map(|record| record.data.clone()).collect()),
            Err(error) if error.is_nx_domain() => Err(LookupError::NoSuchName),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(NetError::Timeout) => Err(LookupError::TimedOut),
            Err(error) => Err(LookupError::Failed(crate::problem::quoted(&error.to_string()))),
        }
    }
}

#[async_trait]
impl Dns for NameServers {
    async fn txt(&self, name: &str) -> Result<Vec<String>, LookupError> {
        let records = self.records(name, RecordType::TXT).await?;
        Ok(records
            .into_iter()
            .filter_map(|record| match record {
                RData::TXT(text) => Some(String::from_utf8_lossy(&text.txt_data.concat()).into_owned()),
                _ => None,
            })
            .collect())
    }

    async fn mx(&self, name: &str) -> Result<Vec<MailServer>, LookupError> {
        let records = self.records(name, RecordType::MX).await?;
        Ok(records
            .into_iter()
            .filter_map(|record| match record {
                RData::MX(server) => Some(MailServer {
                    preference: server.preference,
                    name: server
                        .exchange
                        .to_ascii()
                        .trim_end_matches('.')
                        .to_ascii_lowercase(),
                }),
                _ => None,
            })
            .collect())
    }
}
