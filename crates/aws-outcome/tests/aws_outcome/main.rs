//! Classifies errors that the SDK really makes.

mod codes;
mod credentials;
mod harness;
mod responses;
mod tls;
mod transport;
