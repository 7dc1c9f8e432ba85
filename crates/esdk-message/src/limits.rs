//! Limits on a message that is not authenticated yet.

/// Limits on what a message may ask of its reader before it is authenticated.
///
/// The default is the message format's own limits. They are safe for memory: parsing allocates at
/// most a few times the length of the encryption context, and decryption the plaintext. Set lower
/// limits where the parts of a message cost more than memory, such as calls to a key service.
///
/// ```
/// use esdk_message::Limits;
///
/// // AWS KMS rejects an encryption context above 8 KB.
/// const LIMITS: Limits = Limits::new().max_encrypted_data_keys(16).max_context_bytes(8192);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub(crate) encrypted_data_keys: u16,
    pub(crate) context_pairs: u16,
    pub(crate) context_bytes: u16,
    pub(crate) frames: u32,
}

impl Limits {
    /// Returns the limits of the message format.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            encrypted_data_keys: u16::MAX,
            context_pairs: u16::MAX,
            context_bytes: u16::MAX,
            frames: u32::MAX,
        }
    }

    /// Sets the maximum number of encrypted data keys. Each may cost a call to a key service.
    #[must_use]
    pub const fn max_encrypted_data_keys(mut self, keys: u16) -> Self {
        self.encrypted_data_keys = keys;
        self
    }

    /// Sets the maximum number of pairs in the encryption context, including the one with the
    /// public key of a signed message.
    #[must_use]
    pub const fn max_context_pairs(mut self, pairs: u16) -> Self {
        self.context_pairs = pairs;
        self
    }

    /// Sets the maximum length of the encryption context in bytes, as the header stores it: with
    /// two bytes for the number of pairs, and two for the length of each key and value.
    #[must_use]
    pub const fn max_context_bytes(mut self, bytes: u16) -> Self {
        self.context_bytes = bytes;
        self
    }

    /// Sets the maximum number of frames. A message without frames is not affected.
    #[must_use]
    pub const fn max_frames(mut self, frames: u32) -> Self {
        self.frames = frames;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
