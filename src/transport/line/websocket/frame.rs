//! Frames of WebSocket: their heads, their masks, and the codes that they end with (RFC 6455 §5.2,
//! §5.3 and §7.4).

/// Bytes of the payload of a control frame, at most (RFC 6455 §5.5).
pub(super) const LONGEST_CONTROL: usize = 125;
/// Bytes of the head of a frame that a server sends, at most.
pub(super) const LONGEST_HEAD: usize = 10;
/// Lengths of 7 bits that say that the length follows, in so many bits.
const BITS_16: u8 = 126;
const BITS_64: u8 = 127;

/// The end of a connection: a code of RFC 6455 §7.4.1, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) struct Close {
    /// The code; none where the peer gave none.
    pub(super) code: Option<u16>,
    /// A word of ours for it.
    reason: &'static str,
}

impl Close {
    /// All is said.
    pub(super) const NORMAL: Close = Close::new(1000, "");
    /// The broker stops.
    pub(in crate::transport) const GOING_AWAY: Close = Close::new(1001, "the broker stops");

    const fn new(code: u16, reason: &'static str) -> Close {
        Close { code: Some(code), reason }
    }

    /// Something that is no WebSocket.
    pub(super) const fn protocol_error(reason: &'static str) -> Close {
        Close::new(1002, reason)
    }

    /// A message of the kind that the subprotocol does not have.
    pub(super) const fn unsupported(reason: &'static str) -> Close {
        Close::new(1003, reason)
    }

    /// Text that is not UTF-8.
    pub(super) const fn not_utf8() -> Close {
        Close::new(1007, "text is to be UTF-8")
    }

    /// The broker has refused to go on, and said why in a frame of its own.
    pub(in crate::transport) const fn refused() -> Close {
        Close::new(1008, "refused, as the last message says")
    }

    /// A message is too long.
    pub(in crate::transport) const fn too_big() -> Close {
        Close::new(1009, "longer than a frame may be")
    }

    /// The code that the payload of a close frame of the peer has.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn of_peer(payload: &[u8]) -> Result<Close, Close> {
        match payload {
            [] => Ok(Close { code: None, reason: "" }),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                // 1004 to 1006 and 1015 are never sent; up to 2999 is what nobody has defined.
                if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                    return Err(Close::protocol_error("this code of a close frame has no meaning"));
                }
                std::str::from_utf8(reason).map_err(|_| Close::not_utf8())?;
                Ok(Close { code: Some(code), reason: "" })
            }
            [_] => Err(Close::protocol_error("half of a code in a close frame")),
        }
    }

    /// Why, in a word.
    pub(super) fn reason(self) -> &'static str {
        self.reason
    }

    /// The payload of a close frame.
    pub(super) fn payload(self) -> Vec<u8> {
        let Some(code) = self.code else { return Vec::new() };
        let reason = self.reason.as_bytes();
        let most = LONGEST_CONTROL - size_of::<u16>();
        [&code.to_be_bytes()[..], &reason[..reason.len().min(most)]].concat()
    }
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// The head of a frame that a client has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) opcode: Opcode,
    /// Whether it is the last of its message.
    pub(super) is_final: bool,
    pub(super) mask: [u8; 4],
    /// Bytes of the payload.
    pub(super) length: u64,
}

impl Opcode {
    fn of(byte: u8) -> Option<Opcode> {
        Some(match byte {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

impl Head {
    /// The head that some bytes begin with, and how long it is; none where not all of it is there.
    ///
    /// # Errors
    /// What is wrong with it, as soon as that is there.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, Close> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Close::protocol_error("a reserved bit; no extension was agreed on"));
        }
        let opcode = Opcode::of(first & 0x0f);
        let opcode = opcode.ok_or(Close::protocol_error("an opcode that there is not"))?;
        let is_final = first & 0x80 != 0;
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err(Close::protocol_error("a client masks its frames"));
        }
        let short = second & 0x7f;
        if opcode.is_control() && (!is_final || usize::from(short) > LONGEST_CONTROL) {
            return Err(Close::protocol_error("a control frame is one, of 125 bytes at most"));
        }
        let rest = &bytes[2..];
        let (length, size, least) = match short {
            BITS_16 => match rest.first_chunk() {
                Some(length) => (u16::from_be_bytes(*length).into(), 2, u64::from(BITS_16)),
                None => return Ok(None),
            },
            BITS_64 => match rest.first_chunk() {
                Some(length) => (u64::from_be_bytes(*length), 8, 1 << 16),
                None => return Ok(None),
            },
            short => (short.into(), 0, 0),
        };
        if length >> 63 != 0 {
            return Err(Close::protocol_error("a length of more than 63 bits"));
        }
        if length < least {
            return Err(Close::protocol_error("a length that takes more bytes than it has to"));
        }
        let mask = rest.get(size..).and_then(|rest| rest.first_chunk());
        let Some(mask) = mask else { return Ok(None) };
        let head = Head { opcode, is_final, mask: *mask, length };
        Ok(Some((head, 2 + size + mask.len())))
    }

    /// Appends the head of a whole message, or of a control frame, of a server: without a mask.
    pub(super) fn put(out: &mut Vec<u8>, opcode: Opcode, length: usize) {
        out.push(0x80 | opcode as u8);
        if length < usize::from(BITS_16) {
            out.push(length as u8);
        } else if let Ok(length) = u16::try_from(length) {
            out.push(BITS_16);
            out.extend_from_slice(&length.to_be_bytes());
        } else {
            out.push(BITS_64);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Copies masked bytes, which stand behind `at` others of their payload, without the mask. Both
/// have one length.
pub(super) fn unmask(from: &[u8], to: &mut [u8], mut mask: [u8; 4], at: u64) {
    mask.rotate_left((at % 4) as usize);
    let narrow = u64::from(u32::from_ne_bytes(mask));
    let wide = narrow << 32 | narrow;
    let (from_words, from_rest) = from.as_chunks::<8>();
    let (to_words, to_rest) = to.as_chunks_mut::<8>();
    for (from, to) in from_words.iter().zip(to_words) {
        *to = (u64::from_ne_bytes(*from) ^ wide).to_ne_bytes();
    }
    for ((from, to), mask) in from_rest.iter().zip(to_rest).zip(mask.iter().cycle()) {
        *to = from ^ mask;
    }
}
