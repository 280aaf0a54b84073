//! The body of a request, as it arrives (RFC 9112 §6 and §7.1).

use super::problem::Problem;
use super::request::{Body, has_whole_lines};

/// Bytes of the line of a chunk, and of all trailers, at most.
const LONGEST_LINE: usize = 4 << 10;
/// Fields behind the last chunk, at most.
const MOST_TRAILERS: usize = 32;

/// A body that arrives.
#[derive(Debug)]
pub(crate) struct BodyReader {
    state: State,
    /// What has arrived of it.
    content: Vec<u8>,
    most: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are still to come.
    Length(usize),
    /// The line of a chunk comes.
    ChunkLine,
    /// So many bytes of a chunk are still to come.
    Chunk(usize),
    /// The end of its line comes.
    ChunkEnd,
    /// Trailers, which nobody reads, and an empty line.
    Trailers,
    Done,
}

/// Why a body cannot be read. Nothing behind it can be understood.
#[derive(Debug)]
pub(crate) struct BodyError(pub(crate) Problem);

impl BodyReader {
    /// For a body of at most `most` bytes.
    ///
    /// # Errors
    /// Where it is known that it is longer.
    pub(crate) fn new(body: Body, most: usize) -> Result<BodyReader, BodyError> {
        let state = match body {
            Body::Length(0) => State::Done,
            Body::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= most => State::Length(length),
                _ => return Err(too_long(most)),
            },
            Body::Chunked => State::ChunkLine,
        };
        Ok(BodyReader { state, content: Vec::new(), most })
    }

    /// Whether all of it is there.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of memory that it is known to take: what has arrived, and what was announced.
    pub(crate) fn size(&self) -> usize {
        let announced = match self.state {
            State::Length(left) | State::Chunk(left) => left,
            _ => 0,
        };
        self.content.capacity().max(self.content.len() + announced)
    }

    /// What arrived.
    pub(crate) fn into_content(self) -> Vec<u8> {
        self.content
    }

    /// Makes room for a piece of what is left, as often as the content doubles, and for no more than
    /// will come.
    fn make_room(&mut self, piece: usize, left: usize) {
        let length = self.content.len();
        if length + piece > self.content.capacity() {
            let most =
                if matches!(self.state, State::Chunk(_)) { self.most - length } else { left };
            self.content.reserve_exact(piece.max(length).min(most));
        }
    }

    /// Takes what it can of some bytes, and returns how many these are. What is left begins a line
    /// that is not whole.
    ///
    /// # Errors
    /// Where they are no chunks, or too many.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        let mut at = 0;
        loop {
            let rest = &bytes[at..];
            match self.state {
                State::Done => return Ok(at),
                State::Length(left) | State::Chunk(left) => {
                    let piece = &rest[..left.min(rest.len())];
                    self.make_room(piece.len(), left);
                    self.content.extend_from_slice(piece);
                    at += piece.len();
                    self.state = match (self.state, left - piece.len()) {
                        (State::Length(_), 0) => State::Done,
                        (_, 0) => State::ChunkEnd,
                        (State::Length(_), left) => State::Length(left),
                        (_, left) => State::Chunk(left),
                    };
                    if rest.len() < left {
                        return Ok(at);
                    }
                }
                State::ChunkLine => {
                    let near = &rest[..rest.len().min(LONGEST_LINE)];
                    let Some(end) = near.iter().position(|byte| *byte == b'\n') else {
                        if near.len() < LONGEST_LINE {
                            return Ok(at);
                        }
                        return Err(no_chunk("the line of a chunk is too long"));
                    };
                    let size = chunk_size(&rest[..end])
                        .ok_or_else(|| no_chunk("the line of a chunk is no size"))?;
                    at += end + 1;
                    let room = self.most - self.content.len();
                    match usize::try_from(size) {
                        Ok(0) => self.state = State::Trailers,
                        Ok(size) if size <= room => self.state = State::Chunk(size),
                        _ => return Err(too_long(self.most)),
                    }
                }
                State::ChunkEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        at += 2;
                        self.state = State::ChunkLine;
                    }
                    [] | [b'\r'] => return Ok(at),
                    _ => return Err(no_chunk("a chunk is longer than its size")),
                },
                State::Trailers => {
                    let mut fields = [httparse::EMPTY_HEADER; MOST_TRAILERS];
                    match httparse::parse_headers(rest, &mut fields) {
                        Ok(httparse::Status::Complete((length, _)))
                            if length <= LONGEST_LINE && has_whole_lines(&rest[..length]) =>
                        {
                            at += length;
                            self.state = State::Done;
                        }
                        Ok(httparse::Status::Partial) if rest.len() < LONGEST_LINE => {
                            return Ok(at);
                        }
                        _ => return Err(no_chunk("what follows the last chunk is no trailer")),
                    }
                }
            }
        }
    }
}

/// The size in the line of a chunk, which is without its line feed. What follows a semicolon is an
/// extension, of which none is known; a control character in it may be an end of the line to
/// somebody else.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r")?).ok()?;
    if line.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return None;
    }
    let digits = line.find(|digit: char| !digit.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at(digits);
    let rest = rest.trim_start_matches([' ', '\t']);
    let is_size = digits.len() <= 16 && (rest.is_empty() || rest.starts_with(';'));
    u64::from_str_radix(digits, 16).ok().filter(|_| is_size)
}

#[cold]
fn too_long(most: usize) -> BodyError {
    let what = format!("the body has over {most} bytes, which is the longest message (max-frame)");
    BodyError(Problem::new(413, what))
}

#[cold]
fn no_chunk(what: &str) -> BodyError {
    BodyError(Problem::new(400, format!("the body is not in chunks: {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of some bytes that arrive in pieces of a size, and what is left.
    fn read(body: Body, bytes: &[u8], step: usize) -> Result<(Vec<u8>, usize), u16> {
        let status = |error: BodyError| error.0.status();
        let mut reader = BodyReader::new(body, 100).map_err(status)?;
        let (mut here, mut taken) = (0, 0);
        while !reader.is_done() && here < bytes.len() {
            here = (here + step).min(bytes.len());
            taken += reader.take(&bytes[taken..here]).map_err(status)?;
        }
        assert!(reader.is_done(), "all of it is there");
        Ok((reader.into_content(), taken))
    }

    #[test]
    fn a_body_is_the_same_however_it_arrives() {
        let chunks = b"5\r\nhello\r\n6;name=value\r\n world\r\n00\r\nA: b\r\nC: d\r\n\r\nGET";
        let end = chunks.len() - 3;
        for step in 1..chunks.len() {
            let whole = read(Body::Chunked, chunks, step).unwrap();
            assert_eq!(whole, (b"hello world".to_vec(), end), "in steps of {step}");
            let whole = read(Body::Length(11), b"hello worldGET", step).unwrap();
            assert_eq!(whole, (b"hello world".to_vec(), 11));
        }
        assert_eq!(read(Body::Chunked, b"0\r\n\r\n", 1).unwrap(), (Vec::new(), 5));
        assert!(BodyReader::new(Body::Length(0), 0).unwrap().is_done());
    }

    #[test]
    fn what_is_no_body_is_refused() {
        let long = [b"1;".as_slice(), &[b'x'; 5_000]].concat();
        let trailer = [b"0\r\nA: ".as_slice(), &[b'x'; 5_000]].concat();
        for (bytes, status) in [
            (&b"x\r\n"[..], 400),
            (b"-1\r\nx\r\n", 400),
            (b"5 5\r\nx\r\n", 400),
            (b"1;\nx\r\n1\r\n0\r\n\r\n", 400),
            (b"1\r\nxy\r\n", 400),
            (b"1\nx\n0\n\n", 400),
            (b"1;\nx\r\n", 400),
            (b"1;\rx\r\n", 400),
            (b"1;a=\0\r\n", 400),
            (b"\r\n", 400),
            (b" 1\r\nx\r\n", 400),
            (b";a\r\n", 400),
            (b"0x1\r\nx\r\n", 400),
            (b"+1\r\nx\r\n", 400),
            (b"00000000000000001\r\nx\r\n", 400),
            (b"0\r\nA: b\n\r\n", 400),
            (b"65\r\n", 413),
            (b"60\r\n", 0),
            (b"ffffffffffffffff\r\n", 413),
            (b"fffffffffffffffff\r\n", 400),
            (&long, 400),
            (&trailer, 400),
        ] {
            let outcome = std::panic::catch_unwind(|| read(Body::Chunked, bytes, 7));
            let found = outcome.map_or(0, |outcome| outcome.err().unwrap_or(200));
            assert_eq!(found, status, "{}", bytes.escape_ascii());
        }
        assert_eq!(read(Body::Length(101), b"", 1), Err(413));
        assert_eq!(read(Body::Length(u64::MAX), b"", 1), Err(413));
        // Of many chunks, all together count.
        assert_eq!(
            read(Body::Chunked, &b"20\r\n01234567890123456789012345678901\r\n".repeat(4), 9),
            Err(413)
        );
    }

    #[test]
    fn what_is_announced_is_known_and_not_taken() {
        let mut reader = BodyReader::new(Body::Length(90), 100).unwrap();
        assert_eq!(reader.size(), 90);
        reader.take(b"12345").unwrap();
        assert_eq!((reader.size(), reader.content.capacity() < 90), (90, true));
        for byte in [b'x'; 85] {
            reader.take(&[byte]).unwrap();
            assert_eq!(reader.size(), 90);
        }
    }
}
