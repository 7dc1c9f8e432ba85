//! Messages with valid tags that no writer makes: every field is free.
//!
//! Written from the specification alone, without code of this crate.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Salt};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use esdk_message::Suite;

pub(crate) const FRAMED: u8 = 2;
pub(crate) const UNFRAMED: u8 = 1;

const MESSAGE_ID: [u8; 32] = [0x1D; 32];

/// The data key, the context and the encrypted data keys of a message.
#[derive(Clone)]
pub(crate) struct Materials {
    pub(crate) suite: Suite,
    pub(crate) data_key: Vec<u8>,
    /// The DER of the private key, for the signed suite.
    pub(crate) signing_key: Option<Vec<u8>>,
    /// Pairs in the order in which the header stores them.
    pub(crate) stored: Vec<(String, String)>,
    /// Pairs that the header's tag covers without being stored.
    pub(crate) required: Vec<(String, String)>,
    /// Provider, key and ciphertext of each encrypted data key.
    pub(crate) encrypted_data_keys: Vec<[Vec<u8>; 3]>,
}

/// A frame, or a body without frames.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) number: u32,
    pub(crate) iv: [u8; 12],
    pub(crate) is_final: bool,
    pub(crate) plaintext: Vec<u8>,
}

impl Part {
    pub(crate) fn regular(number: u32, plaintext: &[u8]) -> Self {
        Self { number, iv: iv(number), is_final: false, plaintext: plaintext.to_vec() }
    }

    pub(crate) fn last(number: u32, plaintext: &[u8]) -> Self {
        Self { is_final: true, ..Self::regular(number, plaintext) }
    }

    pub(crate) fn with_iv(self, iv: [u8; 12]) -> Self {
        Self { iv, ..self }
    }
}

/// The IV that writers use for a sequence number.
pub(crate) fn iv(number: u32) -> [u8; 12] {
    let mut iv = [0; 12];
    iv[8..].copy_from_slice(&number.to_be_bytes());
    iv
}

#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) materials: Materials,
    pub(crate) content_type: u8,
    pub(crate) frame_length: u32,
    pub(crate) parts: Vec<Part>,
}

impl Message {
    pub(crate) fn framed(materials: &Materials, frame_length: u32, parts: &[Part]) -> Self {
        let (materials, parts) = (materials.clone(), parts.to_vec());
        Self { materials, content_type: FRAMED, frame_length, parts }
    }

    pub(crate) fn unframed(materials: &Materials, part: Part) -> Self {
        let materials = materials.clone();
        Self { materials, content_type: UNFRAMED, frame_length: 0, parts: vec![part] }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (commitment, key) = self.derive();
        let mut message = self.header(&commitment);
        let mut authenticated = message.clone();
        authenticated.extend(pairs(&self.materials.required));
        message.extend(encrypt(&key, [0; 12], &authenticated, &[]));
        for part in &self.parts {
            self.write_part(&mut message, &key, part);
        }
        if let Some(signing_key) = &self.materials.signing_key {
            let scheme = &ECDSA_P384_SHA384_ASN1_SIGNING;
            let signing_key = EcdsaKeyPair::from_private_key_der(scheme, signing_key).unwrap();
            let signature = signing_key.sign(&SystemRandom::new(), &message).unwrap();
            message.extend(field(signature.as_ref()));
        }
        message
    }

    fn derive(&self) -> ([u8; 32], LessSafeKey) {
        let secret = Salt::new(HKDF_SHA512, &MESSAGE_ID).extract(&self.materials.data_key);
        let derive = |label: &[&[u8]]| {
            let mut output = [0; 32];
            secret.expand(label, Length).unwrap().fill(&mut output).unwrap();
            output
        };
        let suite = self.materials.suite.id().to_be_bytes();
        let key = UnboundKey::new(&AES_256_GCM, &derive(&[&suite, b"DERIVEKEY"])).unwrap();
        (derive(&[b"COMMITKEY"]), LessSafeKey::new(key))
    }

    fn header(&self, commitment: &[u8]) -> Vec<u8> {
        let keys = &self.materials.encrypted_data_keys;
        let mut header = vec![2];
        header.extend(self.materials.suite.id().to_be_bytes());
        header.extend(MESSAGE_ID);
        header.extend(field(&pairs(&self.materials.stored)));
        header.extend(u16::try_from(keys.len()).unwrap().to_be_bytes());
        header.extend(keys.iter().flatten().flat_map(|bytes| field(bytes)));
        header.push(self.content_type);
        header.extend(self.frame_length.to_be_bytes());
        header.extend(commitment);
        header
    }

    fn write_part(&self, message: &mut Vec<u8>, key: &LessSafeKey, part: &Part) {
        let length = part.plaintext.len();
        let kind = match (self.content_type, part.is_final) {
            (UNFRAMED, _) => b"Single Block".as_slice(),
            (_, true) => b"Final Frame",
            (_, false) => b"Frame",
        };
        let mut aad = [&MESSAGE_ID, b"AWSKMSEncryptionClient ".as_slice(), kind].concat();
        aad.extend(part.number.to_be_bytes());
        aad.extend((length as u64).to_be_bytes());
        if self.content_type == FRAMED {
            message.extend(part.is_final.then_some([0xFF; 4]).into_iter().flatten());
            message.extend(part.number.to_be_bytes());
        }
        message.extend(part.iv);
        match (self.content_type, part.is_final) {
            (UNFRAMED, _) => message.extend((length as u64).to_be_bytes()),
            (_, true) => message.extend(u32::try_from(length).unwrap().to_be_bytes()),
            (_, false) => {}
        }
        message.extend(encrypt(key, part.iv, &aad, &part.plaintext));
    }
}

/// Returns the ciphertext and its tag.
fn encrypt(key: &LessSafeKey, iv: [u8; 12], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut ciphertext = plaintext.to_vec();
    let nonce = Nonce::assume_unique_for_key(iv);
    key.seal_in_place_append_tag(nonce, Aad::from(aad), &mut ciphertext).unwrap();
    ciphertext
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

/// Writes bytes behind their length.
pub(crate) fn field(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// Serializes an encryption context.
pub(crate) fn pairs(pairs: &[(String, String)]) -> Vec<u8> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let mut bytes = u16::try_from(pairs.len()).unwrap().to_be_bytes().to_vec();
    for (key, value) in pairs {
        bytes.extend([field(key.as_bytes()), field(value.as_bytes())].concat());
    }
    bytes
}
