//! Certificates that are made for a test, and servers that show them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::server::TlsStream;

use crate::verdicts::request;

/// An answer that accepts an event.
pub(crate) const ACCEPTED: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
/// The years in which a certificate is valid.
pub(crate) const VALID: (i32, i32) = (2000, 4000);

/// Issues certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server that shows a certificate for a host, valid from the first year to the second.
    pub(crate) fn server(&self, host: &str, years: (i32, i32)) -> ServerConfig {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

/// What a server does with each connection once the handshake is done.
#[derive(Clone)]
pub(crate) enum Service {
    /// Accepts every event, but not before so many have arrived.
    Accept(Arc<Barrier>),
    /// Passes the bytes on to another server.
    Forward(SocketAddr),
}

/// A TLS server on loopback.
#[derive(Clone)]
pub(crate) struct TlsServer {
    pub(crate) addr: SocketAddr,
    /// Connections that were made to it.
    pub(crate) connections: Arc<AtomicUsize>,
    /// Events that arrived.
    pub(crate) events: Arc<AtomicUsize>,
    config: Arc<Mutex<Arc<ServerConfig>>>,
}

impl TlsServer {
    /// Serves as long as the runtime runs.
    pub(crate) async fn start(config: ServerConfig, service: Service) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            addr: listener.local_addr().unwrap(),
            connections: Arc::default(),
            events: Arc::default(),
            config: Arc::new(Mutex::new(Arc::new(config))),
        };
        tokio::spawn(server.clone().run(listener, service));
        server
    }

    /// Shows another certificate from the next connection on.
    pub(crate) fn show(&self, config: ServerConfig) {
        *self.config.lock().unwrap() = Arc::new(config);
    }

    /// What the client is told.
    pub(crate) fn endpoint(&self) -> String {
        format!("https://{}", self.addr)
    }

    async fn run(self, listener: TcpListener, service: Service) {
        while let Ok((stream, _)) = listener.accept().await {
            self.connections.fetch_add(1, Ordering::SeqCst);
            let acceptor = TlsAcceptor::from(Arc::clone(&self.config.lock().unwrap()));
            let (service, events) = (service.clone(), Arc::clone(&self.events));
            tokio::spawn(async move {
                // Clients that trust nobody here end the handshake.
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream, service, &events).await;
                }
            });
        }
    }
}

async fn serve(mut stream: TlsStream<TcpStream>, service: Service, events: &AtomicUsize) {
    match service {
        Service::Accept(together) => {
            while request(&mut stream).await.is_some() {
                events.fetch_add(1, Ordering::SeqCst);
                together.wait().await;
                stream.write_all(ACCEPTED).await.ok(); // the client may be gone
            }
        }
        Service::Forward(to) => {
            let mut other = TcpStream::connect(to).await.unwrap();
            tokio::io::copy_bidirectional(&mut stream, &mut other).await.ok(); // either may be gone
        }
    }
}

/// Accepts events one by one.
pub(crate) fn accept() -> Service {
    Service::Accept(Arc::new(Barrier::new(1)))
}
