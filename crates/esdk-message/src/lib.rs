#![doc = include_str!("../README.md")]

mod context;
mod crypto;
mod decode;
mod encode;
mod error;
mod reader;
mod suite;

pub use context::{EncryptedDataKey, PUBLIC_KEY_CONTEXT_KEY};
pub use decode::{Decrypted, DecryptionKey, Limits, Plaintext, UnverifiedMessage};
pub use encode::EncryptionKey;
pub use error::Error;
pub use suite::Suite;

/// The format version's byte.
const VERSION: u8 = 2;
/// The content types' bytes.
const UNFRAMED: u8 = 1;
const FRAMED: u8 = 2;
/// What a final frame has in the place of a sequence number.
const FINAL_FRAME_MARK: u32 = u32::MAX;
