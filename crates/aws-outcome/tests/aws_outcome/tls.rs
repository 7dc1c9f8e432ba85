use std::sync::Arc;

use aws_outcome::{Cause, Class, Failure};
use aws_sdk_kinesis::config::Credentials;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::harness::{config, failure};

/// A certificate authority of its own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("the parameters are valid");
        Self(issuer)
    }

    /// Starts a server whose certificate the authority signs, and returns its address.
    async fn serve(&self, params: CertificateParams) -> String {
        let key = key();
        let certificate = params.signed_by(&key, &self.0).expect("the parameters are valid");
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .expect("certificate and key belong together");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback works");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                // The client refuses the handshake.
                let _ = acceptor.accept(connection).await;
            }
        });
        format!("https://localhost:{port}")
    }

    fn trust(&self) -> TrustStore {
        TrustStore::empty().with_pem_certificate(self.0.pem())
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("random numbers")
}

fn localhost() -> CertificateParams {
    CertificateParams::new(["localhost".to_owned()]).expect("a valid name")
}

async fn failure_with(trust: TrustStore, endpoint: &str) -> Failure {
    let context = TlsContext::builder().with_trust_store(trust).build().expect("valid roots");
    let provider = Provider::Rustls(CryptoMode::AwsLc);
    let client = Builder::new().tls_provider(provider).tls_context(context).build_https();
    let credentials = Credentials::new("AKID", "SECRET", None, None, "test");
    failure(config().http_client(client).credentials_provider(credentials).endpoint_url(endpoint))
        .await
}

#[tokio::test]
async fn a_certificate_of_an_authority_that_this_machine_does_not_trust() {
    let endpoint = Authority::new("theirs").serve(localhost()).await;
    let another = Authority::new("ours").trust();
    let namesake = Authority::new("theirs").trust();
    for trust in [another, namesake, TrustStore::empty()] {
        let failure = failure_with(trust, &endpoint).await;
        assert_eq!((failure.cause(), failure.class()), (Cause::UnknownCa, Class::Operator));
        let text = "the endpoint's certificate is not trusted (unknown CA)";
        assert_eq!(failure.to_string(), text);
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_here_or_now() {
    let authority = Authority::new("ours");
    let (mut expired, mut early) = (localhost(), localhost());
    expired.not_after = date_time_ymd(2020, 1, 1);
    early.not_before = date_time_ymd(2999, 1, 1);
    let other = CertificateParams::new(["other.example".to_owned()]).expect("a valid name");
    let cases = [
        (expired, "the endpoint's certificate has expired"),
        (early, "the endpoint's certificate is not valid yet"),
        (other, "the endpoint's certificate is for another host"),
    ];
    for (params, text) in cases {
        let endpoint = authority.serve(params).await;
        let failure = failure_with(authority.trust(), &endpoint).await;
        assert_eq!((failure.cause(), failure.class()), (Cause::Tls, Class::Operator), "{text}");
        assert_eq!(failure.to_string(), text);
    }
}

#[tokio::test]
async fn a_certificate_that_is_trusted_is_not_the_cause() {
    let authority = Authority::new("ours");
    let endpoint = authority.serve(localhost()).await;
    let failure = failure_with(authority.trust(), &endpoint).await;
    assert_eq!(failure.cause(), Cause::Connection);
}
