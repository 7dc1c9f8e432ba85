//! The structure of a message's body.

use crate::crypto::{IV_LEN, Kind, TAG_LEN};
use crate::error::Error;
use crate::reader::Reader;
use crate::{FINAL_FRAME_MARK, FRAMED, UNFRAMED};

/// Longest body without frames, in bytes: the limit of AES-GCM.
const MAX_UNFRAMED_LEN: u64 = (1 << 36) - 32;

/// The content type and frame length in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Framed { frame_length: u32 },
    Unframed,
}

impl Content {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let at = reader.at();
        let [content_type] = reader.array("content type")?;
        let frame_length = reader.u32("frame length")?;
        let (what, at, reason) = match (content_type, frame_length) {
            (FRAMED, 1..) => return Ok(Self::Framed { frame_length }),
            (UNFRAMED, 0) => return Ok(Self::Unframed),
            (FRAMED, 0) => ("frame length", at + 1, "it is 0 in a framed message"),
            (UNFRAMED, _) => ("frame length", at + 1, "it is not 0 in a message without frames"),
            _ => ("content type", at, "it is neither 1 nor 2"),
        };
        Err(Error::Field { what, at, reason })
    }
}

/// A frame, or a body without frames, as the message stores it.
pub(crate) struct Part<'a> {
    /// Its position in the message.
    pub(crate) at: usize,
    pub(crate) kind: Kind,
    pub(crate) sequence_number: u32,
    pub(crate) iv: [u8; IV_LEN],
    pub(crate) ciphertext: &'a [u8],
    pub(crate) tag: &'a [u8],
}

/// The parts of a body, read one after the other. Nothing follows an error or the last part.
///
/// Source: AWS Encryption SDK specification, `data-format/message-body.md`.
pub(crate) struct Parts<'a> {
    reader: Reader<'a>,
    content: Content,
    next: Option<u32>,
}

impl<'a> Parts<'a> {
    /// Reads a body that begins at `reader`.
    pub(crate) fn new(reader: Reader<'a>, content: Content) -> Self {
        Self { reader, content, next: Some(1) }
    }

    /// Returns what follows the parts that were read.
    pub(crate) fn rest(self) -> Reader<'a> {
        self.reader
    }

    fn frame(&mut self, expected: u32, frame_length: u32) -> Result<Part<'a>, Error> {
        let at = self.reader.at();
        let number = self.reader.u32("frame")?;
        let (kind, sequence_number) = match number {
            FINAL_FRAME_MARK => (Kind::FinalFrame, self.reader.u32("final frame")?),
            number => (Kind::Frame, number),
        };
        if sequence_number != expected {
            let reason = "frames are not numbered from 1 without gaps";
            return Err(Error::Field { what: "sequence number", at, reason });
        }
        let iv = self.reader.array("IV")?;
        let length = match kind {
            Kind::FinalFrame => self.final_length(frame_length)?,
            _ => frame_length,
        };
        self.content(at, kind, sequence_number, iv, length.into())
    }

    fn final_length(&mut self, frame_length: u32) -> Result<u32, Error> {
        let at = self.reader.at();
        let length = self.reader.u32("content length")?;
        match length <= frame_length {
            true => Ok(length),
            false => {
                let reason = "it is longer than a frame";
                Err(Error::Field { what: "content length", at, reason })
            }
        }
    }

    fn single_block(&mut self) -> Result<Part<'a>, Error> {
        let at = self.reader.at();
        let iv = self.reader.array("IV")?;
        let length_at = self.reader.at();
        let length = self.reader.u64("content length")?;
        if length > MAX_UNFRAMED_LEN {
            let reason = "it is above 2^36 - 32";
            return Err(Error::Field { what: "content length", at: length_at, reason });
        }
        self.content(at, Kind::SingleBlock, 1, iv, length)
    }

    fn content(
        &mut self,
        at: usize,
        kind: Kind,
        sequence_number: u32,
        iv: [u8; IV_LEN],
        length: u64,
    ) -> Result<Part<'a>, Error> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let ciphertext = self.reader.take(length, "encrypted content")?;
        let tag = self.reader.take(TAG_LEN, "tag")?;
        Ok(Part { at, kind, sequence_number, iv, ciphertext, tag })
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<Part<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let sequence_number = self.next.take()?;
        let part = match self.content {
            Content::Framed { frame_length } => self.frame(sequence_number, frame_length),
            Content::Unframed => self.single_block(),
        };
        if let Ok(Part { kind: Kind::Frame, .. }) = part {
            // A regular frame's number is below the final frame's mark, 2^32 - 1.
            self.next = Some(sequence_number + 1);
        }
        Some(part)
    }
}
