//! What a message says of itself before anything of it is verified.

use crate::STREAM_CONTEXT_KEY;
use crate::error::CipherError;

/// Claims of a header, from before it is authenticated. They serve to refuse a message early,
/// without a call to KMS, and never to accept one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claims<'a> {
    /// The stream that the encryption context names.
    pub(crate) stream: Option<&'a [u8]>,
    /// The number of frames that the rest of the message has room for.
    pub(crate) frames: usize,
}

impl<'a> Claims<'a> {
    /// Source: AWS Encryption SDK specification, `data-format/message-header.md`, version 2.0.
    pub(crate) fn read(message: &'a [u8]) -> Result<Self, CipherError> {
        let mut header = Reader(message);
        if header.take(1)? != [2] {
            return Err(CipherError::Malformed("the first byte is not 2"));
        }
        let _suite = header.take(2)?;
        let _message_id = header.take(32)?;
        let stream = find_stream(header.field()?)?;
        for _ in 0..header.u16()? {
            let _encrypted_data_key = (header.field()?, header.field()?, header.field()?);
        }
        let _content_type = header.take(1)?;
        let frame_length = header.u32()?;
        let frame_length = usize::try_from(frame_length).unwrap_or(usize::MAX);
        let frames = header.0.len() / frame_length.saturating_add(FRAME_OVERHEAD) + 1;
        Ok(Self { stream, frames })
    }
}

/// Sequence number, initialisation vector and authentication tag.
const FRAME_OVERHEAD: usize = 4 + 12 + 16;

fn find_stream(context: &[u8]) -> Result<Option<&[u8]>, CipherError> {
    let mut context = Reader(context);
    if context.0.is_empty() {
        return Ok(None);
    }
    for _ in 0..context.u16()? {
        let (key, value) = (context.field()?, context.field()?);
        if key == STREAM_CONTEXT_KEY.as_bytes() {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CipherError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(CipherError::Malformed("it ends within its header"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, CipherError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, CipherError> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Bytes behind their length.
    fn field(&mut self) -> Result<&'a [u8], CipherError> {
        let length = self.u16()?;
        self.take(length.into())
    }
}
