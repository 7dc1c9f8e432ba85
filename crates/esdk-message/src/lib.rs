#![doc = include_str!("../README.md")]

mod body;
mod context;
mod crypto;
mod decrypt;
mod encrypt;
mod error;
mod kdf;
mod limits;
mod message;
mod reader;
mod suite;

pub use context::{EncryptedDataKey, PUBLIC_KEY_CONTEXT_KEY};
pub use decrypt::{Decrypted, DecryptionKey, Plaintext};
pub use encrypt::EncryptionKey;
pub use error::Error;
pub use limits::Limits;
pub use message::UnverifiedMessage;
pub use suite::{InvalidSuite, Suite};

/// The first byte of a message: its format version.
const VERSION: u8 = 2;
/// The first two bytes of a message of format version 1: version and type.
const VERSION_1: [u8; 2] = [1, 0x80];
/// The content types.
const UNFRAMED: u8 = 1;
const FRAMED: u8 = 2;
/// Stands in a final frame where a regular frame has its sequence number.
const FINAL_FRAME_MARK: u32 = u32::MAX;
