//! The characters, names and references that XML 1.0 permits.

use super::fault::{Fault, shown};

/// Space, tab, line feed, carriage return: what XML calls white space.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether there is nothing but white space.
pub(super) fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|&byte| is_space(byte))
}

/// Whether XML 1.0 permits the character, as itself or as a reference.
const fn is_permitted(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Where the first character lies that XML 1.0 does not permit, in text that is UTF-8.
pub(super) fn first_forbidden(text: &[u8]) -> Option<usize> {
    // The first pass has no branches and so is done many bytes at a time; the usual text ends
    // there.
    let control = text.iter().fold(false, |found, &byte| found | (byte < b' ' && !is_space(byte)));
    let control =
        if control { text.iter().position(|&byte| byte < b' ' && !is_space(byte)) } else { None };
    let noncharacter = memchr::memchr_iter(0xEF, text)
        .find(|&at| matches!(text.get(at + 1..at + 3), Some([0xBF, 0xBE | 0xBF])));
    match (control, noncharacter) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// For ASCII: bit 0, may begin a name; bit 1, may stand in one; bits 2 and 3 likewise, without the
/// colon.
const NAME: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => 15,
            b':' => 3,
            b'0'..=b'9' | b'-' | b'.' => 10,
            _ => 0,
        };
        byte += 1;
    }
    table
};

/// Whether the text is a Name of XML 1.0, fifth edition.
pub(super) fn is_name(text: &[u8]) -> bool {
    let Some(&first) = text.first() else { return false };
    if !text.is_ascii() {
        return is_wide_name(text);
    }
    NAME[usize::from(first & 127)] & 1 != 0
        && text.iter().all(|&byte| NAME[usize::from(byte & 127)] & 2 != 0)
}

/// How long the name at the beginning of `text` is, if it is one in ASCII and without a colon; what
/// follows is not looked at.
#[inline(always)]
pub(super) fn plain_name_length(text: &[u8]) -> Option<usize> {
    if NAME[usize::from(*text.first()?)] & 4 == 0 {
        return None;
    }
    let is_part = |byte: &u8| NAME[usize::from(*byte)] & 8 != 0;
    Some(text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len()))
}

/// How long the name at the beginning of `text` is, which something that is part of no tag's name
/// must follow: white space, `=` or nothing. `None` when there is no such name.
pub(super) fn name_length(text: &[u8]) -> Option<usize> {
    let is_part = |&byte: &u8| NAME.get(usize::from(byte)).is_some_and(|class| class & 2 != 0);
    let length = text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len());
    match text.get(length) {
        Some(byte) if *byte != b'=' && !is_space(*byte) => {
            let length =
                text.iter().position(|&byte| byte == b'=' || is_space(byte)).unwrap_or(text.len());
            is_wide_name(&text[..length]).then_some(length)
        }
        _ => text
            .first()
            .filter(|&&first| NAME.get(usize::from(first)).is_some_and(|class| class & 1 != 0))
            .map(|_| length),
    }
}

fn is_wide_name(text: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(text) else { return false };
    let begins = |c: char| match c {
        '\0'..='\x7f' => NAME[c as usize] & 1 != 0,
        _ => begins_name(c),
    };
    let continues = |c: char| match c {
        '\0'..='\x7f' => NAME[c as usize] & 2 != 0,
        '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}' => true,
        _ => begins_name(c),
    };
    text.chars().next().is_some_and(begins) && text.chars().all(continues)
}

/// NameStartChar beyond ASCII.
const fn begins_name(character: char) -> bool {
    matches!(character,
        '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}' | '\u{370}'..='\u{37D}'
        | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}' | '\u{2C00}'..='\u{2FEF}'
        | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

/// Whether a dict key can be an element's name, for every parser: what the fourth and the fifth
/// edition of XML 1.0 agree on, since expat reads by the one and we by the other; no colon, and
/// nothing that begins with `xml`.
#[inline]
pub(super) fn is_element_name(key: &[u8]) -> bool {
    let [first, rest @ ..] = key else { return false };
    if first | 0x20 == b'x'
        && let Some(prefix) = key.first_chunk::<3>()
        && prefix.eq_ignore_ascii_case(b"xml")
    {
        return false;
    }
    if NAME[usize::from(*first)] & 4 != 0
        && rest.iter().all(|&byte| NAME[usize::from(byte)] & 8 != 0)
    {
        return true;
    }
    if key.is_ascii() {
        return false;
    }
    let Ok(key) = str::from_utf8(key) else { return false };
    key.chars().enumerate().all(|(index, c)| match c {
        ':' => false,
        '\0'..='\x7f' => NAME[c as usize] & if index == 0 { 1 } else { 2 } != 0,
        _ => is_common_letter(c),
    })
}

/// Letters of the living scripts that both editions take.
const fn is_common_letter(character: char) -> bool {
    matches!(character,
        '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{131}' | '\u{134}'..='\u{13E}'
        | '\u{141}'..='\u{148}' | '\u{14A}'..='\u{17E}' | '\u{388}'..='\u{38A}' | '\u{38E}'..='\u{3A1}'
        | '\u{3A3}'..='\u{3CE}' | '\u{401}'..='\u{40C}' | '\u{40E}'..='\u{44F}' | '\u{451}'..='\u{45C}'
        | '\u{45E}'..='\u{481}' | '\u{5D0}'..='\u{5EA}' | '\u{621}'..='\u{63A}' | '\u{641}'..='\u{64A}'
        | '\u{905}'..='\u{939}' | '\u{E01}'..='\u{E2E}' | '\u{3041}'..='\u{3094}' | '\u{30A1}'..='\u{30FA}'
        | '\u{4E00}'..='\u{9FA5}' | '\u{AC00}'..='\u{D7A3}')
}

/// The character that the reference `&name;` stands for; `at` is where its `&` lies.
pub(super) fn reference(name: &[u8], at: usize) -> Result<char, Fault> {
    let digits = match name {
        b"lt" => return Ok('<'),
        b"gt" => return Ok('>'),
        b"amp" => return Ok('&'),
        b"quot" => return Ok('"'),
        b"apos" => return Ok('\''),
        [b'#', digits @ ..] => digits,
        _ if is_name(name) => {
            return Err(Fault::forbidden(
                at,
                format!(
                    "the entity &{}; is none of &lt; &gt; &amp; &quot; &apos;, and others are not \
                     accepted; \
                     write the text itself",
                    shown(name)
                ),
            ));
        }
        _ => return Err(unclosed(at)),
    };
    let (radix, digits) = match digits {
        [b'x', digits @ ..] => (16, digits),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.iter().all(|&digit| char::from(digit).is_digit(radix)) {
        return Err(Fault::malformed(
            at,
            format!(
                "&{}; is not a character reference; one looks like &#233; or &#xE9;",
                shown(name)
            ),
        ));
    }
    let code = digits.iter().fold(0u32, |code, &digit| {
        code.saturating_mul(radix).saturating_add(char::from(digit).to_digit(radix).unwrap_or(0))
    });
    char::from_u32(code).filter(|&character| is_permitted(character)).ok_or_else(|| {
        Fault::malformed(
            at,
            format!(
                "&{}; refers to a character that XML 1.0 forbids; put such text in an element with \
                 type=\"str\" encoding=\"base64\"",
                shown(name)
            ),
        )
    })
}

/// A `&` that begins no reference.
#[cold]
pub(super) fn unclosed(at: usize) -> Fault {
    Fault::malformed(at, "a \"&\" that begins no reference; write it as &amp;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_and_goes_on_as_names_do() {
        for good in ["a", "_", ":", "a:b", "A-1.b", "ü", "漢字", "a\u{B7}", "x\u{300}", "\u{10000}"]
        {
            assert!(is_name(good.as_bytes()), "{good:?}");
        }
        for bad in [
            "",
            "1",
            "-a",
            ".a",
            "a b",
            "a=",
            "a/",
            "\u{B7}",
            "\u{300}a",
            "a\u{D7}",
            "a\u{2028}",
            "<",
            "@a",
        ] {
            assert!(!is_name(bad.as_bytes()), "{bad:?}");
        }
        for good in ["a", "_x", "order-1.2", "Straße", "漢字", "имя"] {
            assert!(is_element_name(good.as_bytes()), "{good:?}");
        }
        for bad in [
            "",
            "1",
            "a:b",
            ":",
            "xml",
            "XmL-x",
            "xmlns",
            "a b",
            "\u{10000}",
            "a\u{B7}",
            "@a",
            "#text",
        ] {
            assert!(!is_element_name(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn a_forbidden_character_is_found() {
        for good in ["", "\t\n\r ~\u{7f}\u{80}", "\u{FFFD}", "\u{10FFFF}", "\u{FF00}"] {
            assert_eq!(first_forbidden(good.as_bytes()), None, "{good:?}");
        }
        for bad in ["é\0", "ab\x0b", "ab\x1f\u{FFFF}", "ab\u{FFFE}\0", "ab\u{FFFF}"] {
            assert_eq!(first_forbidden(bad.as_bytes()), Some(2), "{bad:?}");
        }
    }
}
