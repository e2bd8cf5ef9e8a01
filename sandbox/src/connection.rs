//! One accepted connection, plain or TLS, that can be ended with a reset on demand.
//!
//! A reset is not something that HTTP can say: it is the kernel's answer to a socket closed with a linger time of zero.
//! So the stream carries a flag, and looks at it when it is dropped.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// A TCP stream that is closed with a reset once its flag is up.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    reset: ResetFlag,
}

/// Ends the connection that it belongs to with a reset.
#[derive(Debug, Clone, Default)]
pub(super) struct ResetFlag(Arc<AtomicBool>);

impl ResetFlag {
    pub(super) fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, reset: ResetFlag) -> Self {
        Self { tcp, reset }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.reset.is_raised() {
            // A stream that cannot be reset is closed in the ordinary way, which the client sees as an empty answer.
            let _ = self.tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.reset.is_raised() {
            // A polite end sent first would reach the client before the reset does.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

/// A self-signed certificate for the loopback names, made anew at every start.
pub(super) struct SelfSigned {
    pub(super) pem: String,
    pub(super) acceptor: TlsAcceptor,
}

/// Makes the certificate for `localhost`, both loopback addresses and the address that is listened on.
pub(super) fn self_signed(
    address: SocketAddr,
) -> Result<SelfSigned, Box<dyn std::error::Error + Send + Sync>> {
    let mut names: Vec<String> = [
        "localhost".to_owned(),
        IpAddr::from(Ipv4Addr::LOCALHOST).to_string(),
        Ipv6Addr::LOCALHOST.to_string(),
    ]
    .into();
    let own = address.ip().to_string();
    if !names.contains(&own) {
        names.push(own);
    }
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    // The provider is named because a program may hold more than one, and then none is the default.
    let config = ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()?
    .with_no_client_auth()
    .with_single_cert(vec![cert.der().clone()], key)?;
    Ok(SelfSigned {
        pem: cert.pem(),
        acceptor: TlsAcceptor::from(Arc::new(config)),
    })
}
