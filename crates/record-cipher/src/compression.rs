//! Compressed plaintexts: one Zstandard frame (RFC 8878) around the JSON.
//!
//! JSON never begins with a frame's magic number, so readers need no setting. A frame declares the
//! size of its content, and a reader checks that size before it allocates memory.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{find_frame_compressed_size, get_dict_id_from_frame, get_frame_content_size};

use crate::options::{InvalidOption, find};

/// Default maximum size of a decompressed plaintext, in bytes.
///
/// Larger plaintexts are never compressed, so that readers with default settings read every message.
pub const DEFAULT_MAX_DECOMPRESSED_BYTES: usize = 4 << 20;

/// Levels that a writer may use. Higher ones need hundreds of megabytes.
pub(crate) const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;

const MAGIC_NUMBER: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Compression of plaintexts before they are encrypted. Readers recognise it without a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Plaintexts are not compressed.
    #[default]
    None,
    /// Each plaintext that gets shorter by it becomes a Zstandard frame.
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Zstd => "zstd",
        })
    }
}

impl FromStr for Compression {
    type Err = InvalidOption;

    fn from_str(name: &str) -> Result<Self, InvalidOption> {
        find(name, [Self::None, Self::Zstd])
    }
}

/// Why a compressed plaintext is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFrame {
    /// The frame does not declare the size of its content.
    #[error("the compressed plaintext does not declare its size; the producer must set it")]
    UnknownSize,
    /// The content is larger than the reader allows.
    #[error(
        "the compressed plaintext declares {size} bytes; MAX_DECOMPRESSED_BYTES allows {limit}"
    )]
    TooLarge {
        /// Size that the frame declares.
        size: u64,
        /// Size that the reader allows.
        limit: usize,
    },
    /// Decompressing the frame needs more memory than the reader allows.
    #[error(
        "the compressed plaintext needs a window of {size} bytes; MAX_DECOMPRESSED_BYTES allows \
         {limit}"
    )]
    Window {
        /// Size of the window.
        size: u64,
        /// Size that the reader allows.
        limit: usize,
    },
    /// The frame needs a dictionary, which readers do not have.
    #[error("the compressed plaintext needs a dictionary, which readers do not have")]
    Dictionary,
    /// Another frame follows.
    #[error("the compressed plaintext has several Zstandard frames; it must be one")]
    SeveralFrames,
    /// Something else follows the frame.
    #[error("{0} bytes follow the Zstandard frame of the compressed plaintext")]
    TrailingBytes(usize),
    /// The frame is cut off, or its header is not valid.
    #[error("the compressed plaintext is not a complete Zstandard frame")]
    Incomplete,
    /// The frame is damaged, or its content has another size.
    #[error("the compressed plaintext is damaged, or is not of the {0} bytes that it declares")]
    FalseSize(usize),
}

/// Compresses a plaintext, unless that does not make it shorter.
pub(crate) fn compress(plaintext: Bytes, level: i32) -> Bytes {
    if plaintext.len() > DEFAULT_MAX_DECOMPRESSED_BYTES {
        return plaintext;
    }
    // Zstandard gives up when a frame does not fit into its buffer.
    let mut frame = Vec::with_capacity(plaintext.len().saturating_sub(1));
    let compressed = Compressor::new(level)
        .and_then(|mut compressor| compressor.compress_to_buffer(&plaintext, &mut frame));
    match compressed {
        Ok(length) if length < plaintext.len() => frame.into(),
        _ => plaintext,
    }
}

/// Returns `true` if a plaintext begins as a Zstandard frame does, and JSON never does.
pub(crate) fn is_compressed(plaintext: &[u8]) -> bool {
    plaintext.starts_with(&MAGIC_NUMBER)
}

/// Decompresses a plaintext if it is compressed. Allocates nothing for more than `limit` bytes.
///
/// # Errors
/// The frame is not one that a writer may send: see [`InvalidFrame`].
pub fn decompress(plaintext: Vec<u8>, limit: usize) -> Result<Vec<u8>, InvalidFrame> {
    if !is_compressed(&plaintext) {
        return Ok(plaintext);
    }
    let size = content_size(&plaintext, limit)?;
    let mut content = Vec::with_capacity(size);
    let decompressed = Decompressor::new()
        .and_then(|mut decompressor| decompressor.decompress_to_buffer(&plaintext, &mut content));
    match decompressed {
        Ok(length) if length == size => Ok(content),
        _ => Err(InvalidFrame::FalseSize(size)),
    }
}

/// Checks that the plaintext is one frame that may be decompressed, and returns its content's size.
fn content_size(frame: &[u8], limit: usize) -> Result<usize, InvalidFrame> {
    match window_size(frame) {
        Some(size) if size > limit as u64 => return Err(InvalidFrame::Window { size, limit }),
        _ => {}
    }
    let declared = get_frame_content_size(frame).map_err(|_| InvalidFrame::Incomplete)?;
    let declared = declared.ok_or(InvalidFrame::UnknownSize)?;
    let size = usize::try_from(declared).ok().filter(|size| *size <= limit);
    let size = size.ok_or(InvalidFrame::TooLarge { size: declared, limit })?;
    if get_dict_id_from_frame(frame).is_some() {
        return Err(InvalidFrame::Dictionary);
    }
    let end = find_frame_compressed_size(frame).map_err(|_| InvalidFrame::Incomplete)?;
    match &frame[end..] {
        [] => Ok(size),
        rest if is_compressed(rest) => Err(InvalidFrame::SeveralFrames),
        rest => Err(InvalidFrame::TrailingBytes(rest.len())),
    }
}

/// Returns the size of the window; none if it is the whole content.
///
/// Source: RFC 8878, sections 3.1.1.1.1 and 3.1.1.1.2. The library refuses windows of more than 2 GiB
/// without a reason.
fn window_size(frame: &[u8]) -> Option<u64> {
    let (descriptor, window) = (*frame.get(4)?, *frame.get(5)?);
    let is_single_segment = descriptor & 0b10_0000 != 0;
    let base = 1_u64 << (10 + (window >> 3));
    (!is_single_segment).then(|| base + base / 8 * u64::from(window & 0b111))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = DEFAULT_MAX_DECOMPRESSED_BYTES;

    fn json(bytes: usize) -> Vec<u8> {
        format!(r#"{{"a":"{}"}}"#, "text ".repeat(bytes / 5)).into_bytes()
    }

    /// A frame with these settings of the compressor.
    fn frame(content: &[u8], set: impl FnOnce(&mut Compressor<'_>)) -> Vec<u8> {
        let mut compressor = Compressor::new(3).unwrap();
        set(&mut compressor);
        compressor.compress(content).unwrap()
    }

    /// Overwrites the size that a frame of 256 to 65,791 bytes in a single segment declares.
    fn declaring(frame: &[u8], size: u16) -> Vec<u8> {
        let mut frame = frame.to_vec();
        assert_eq!(frame[4] >> 5, 0b011, "two bytes of size, single segment");
        frame[5..7].copy_from_slice(&(size - 256).to_le_bytes());
        frame
    }

    #[test]
    fn what_gets_shorter_is_compressed_and_reads_back() {
        for level in [1, 3, 19] {
            for plaintext in [json(200), json(5_000), json(1_000_000), json(LIMIT - 20)] {
                let compressed = compress(plaintext.clone().into(), level);
                assert!(compressed.starts_with(&MAGIC_NUMBER));
                assert!(compressed.len() < plaintext.len());
                assert_eq!(decompress(compressed.into(), LIMIT), Ok(plaintext));
            }
        }
    }

    #[test]
    fn what_does_not_get_shorter_or_readers_refuse_stays_as_it_is() {
        let mut random = vec![0; 2_000];
        aws_lc_rs::rand::fill(&mut random).unwrap();
        for plaintext in [Vec::new(), b"{}".to_vec(), random, json(LIMIT + 1)] {
            assert!(
                compress(plaintext.clone().into(), 1) == plaintext,
                "{} bytes",
                plaintext.len()
            );
        }
    }

    #[test]
    fn plain_json_is_not_touched() {
        for plaintext in [b"{\"a\":1}".as_slice(), b"[{}]", b"", b"\x28\xb5\x2f", b" {}"] {
            assert_eq!(decompress(plaintext.to_vec(), 0).as_deref(), Ok(plaintext));
        }
    }

    #[test]
    fn bad_frames_are_refused_each_with_its_reason() {
        use zstd::zstd_safe::CParameter;
        let content = json(1_000);
        let size = content.len();
        let good = frame(&content, |_| {});
        let unsized_frame = frame(&content, |compressor| {
            compressor.set_parameter(CParameter::ContentSizeFlag(false)).unwrap();
        });
        let large_content = json(100_000);
        let mut large_window = frame(&large_content, |compressor| {
            compressor.set_parameter(CParameter::WindowLog(10)).unwrap();
        });
        assert_eq!(decompress(large_window.clone(), LIMIT).as_ref(), Ok(&large_content));
        // 2^13 times the smallest window, plus an eighth.
        large_window[5] = (13 << 3) | 1;
        let mut largest_window = large_window.clone();
        largest_window[5] = 0xff;
        // A dictionary's number, one byte, follows the descriptor in a single segment.
        let mut with_dictionary = good.clone();
        with_dictionary[4] |= 1;
        with_dictionary.insert(5, 7);
        // The header of the first block says that it is of the reserved type.
        let mut damaged = good.clone();
        damaged[7] |= 0b110;
        let with = |rest: &[u8]| [good.as_slice(), rest].concat();
        for (name, frame, limit, expected) in [
            ("no size", unsized_frame, LIMIT, InvalidFrame::UnknownSize),
            (
                "a byte above the limit",
                good.clone(),
                size - 1,
                InvalidFrame::TooLarge { size: size as u64, limit: size - 1 },
            ),
            ("too large a size", declaring(&good, 5_000), LIMIT, InvalidFrame::FalseSize(5_000)),
            ("too small a size", declaring(&good, 256), LIMIT, InvalidFrame::FalseSize(256)),
            (
                "a large window",
                large_window,
                LIMIT,
                InvalidFrame::Window { size: 9_437_184, limit: LIMIT },
            ),
            (
                "the largest window",
                largest_window,
                LIMIT,
                InvalidFrame::Window { size: 4_123_168_604_160, limit: LIMIT },
            ),
            ("a dictionary", with_dictionary, LIMIT, InvalidFrame::Dictionary),
            ("two frames", with(&good), LIMIT, InvalidFrame::SeveralFrames),
            ("trailing bytes", with(b"{}"), LIMIT, InvalidFrame::TrailingBytes(2)),
            (
                "a skippable frame behind",
                with(b"\x50\x2a\x4d\x18\0\0\0\0"),
                LIMIT,
                InvalidFrame::TrailingBytes(8),
            ),
            ("the magic number alone", MAGIC_NUMBER.to_vec(), LIMIT, InvalidFrame::Incomplete),
            ("damage", damaged, LIMIT, InvalidFrame::Incomplete),
        ] {
            assert_eq!(decompress(frame, limit), Err(expected), "{name}");
        }
        assert_eq!(decompress(good, size), Ok(content));
    }

    #[test]
    fn every_truncated_frame_is_refused() {
        let good = frame(&json(1_000), |_| {});
        for length in MAGIC_NUMBER.len()..good.len() {
            assert_eq!(decompress(good[..length].to_vec(), LIMIT), Err(InvalidFrame::Incomplete));
        }
    }

    /// A terabyte is declared, and 4 MiB of zeros that are a few hundred bytes.
    #[test]
    fn the_declared_size_is_checked_before_memory_is_allocated() {
        let mut bomb = frame(&vec![0; 1 << 20], |_| {});
        assert!(bomb.len() < 200);
        // Eight bytes of size in place of four.
        assert_eq!(bomb[4] >> 5, 0b101);
        bomb[4] |= 0b1100_0000;
        bomb.splice(5..9, (1_u64 << 40).to_le_bytes());
        let expected = InvalidFrame::TooLarge { size: 1 << 40, limit: LIMIT };
        assert_eq!(decompress(bomb, LIMIT), Err(expected));
    }

    #[test]
    fn options_parse_from_the_names_that_they_print() {
        for (option, name) in [(Compression::None, "none"), (Compression::Zstd, "zstd")] {
            assert_eq!(option.to_string(), name);
            assert_eq!(name.parse(), Ok(option));
        }
        assert!("gzip".parse::<Compression>().is_err());
    }
}
