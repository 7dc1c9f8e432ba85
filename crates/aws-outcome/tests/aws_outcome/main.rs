//! Classifies errors that the SDK really makes.

mod credentials;
mod harness;
mod responses;
mod transport;
