//! Compressed input, recognised by its first bytes.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::push::input::wake::Wake;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
/// Decompressed bytes that are buffered.
const BUFFER_BYTES: usize = 256 << 10;

/// Decompresses an input if it is compressed, and drops a byte order mark.
pub(crate) fn decoded(
    mut raw: BufReader<impl Read + Send + 'static>,
    wake: Wake,
) -> io::Result<Box<dyn Reader>> {
    let start = raw.fill_buf()?;
    if start.starts_with(&GZIP) {
        return plain(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(raw)), wake);
    }
    if start.starts_with(&ZSTD) {
        let decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
        return plain(BufReader::with_capacity(BUFFER_BYTES, decoder), wake);
    }
    plain(raw, wake)
}

fn plain<R: Read + Send + 'static>(
    mut reader: BufReader<R>,
    wake: Wake,
) -> io::Result<Box<dyn Reader>> {
    if reader.fill_buf()?.starts_with(&BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    Ok(Box::new(Decoded { reader, wake }))
}

/// Bytes of an input, decompressed.
pub(crate) trait Reader: io::BufRead + Send {
    /// Whether more can be had without reading from the file.
    fn has_buffered(&self) -> bool;

    /// Says whether the last line is incomplete, so that its rest is read even after a signal.
    fn set_mid_line(&self, is_mid_line: bool);
}

struct Decoded<R> {
    reader: BufReader<R>,
    wake: Wake,
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl<R: Read> BufRead for Decoded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
    }
}

impl<R: Read + Send> Reader for Decoded<R> {
    fn has_buffered(&self) -> bool {
        !self.reader.buffer().is_empty()
    }

    fn set_mid_line(&self, is_mid_line: bool) {
        self.wake.set_mid_line(is_mid_line);
    }
}
