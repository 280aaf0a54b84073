//! The rules of MQTT 3.1, 3.1.1 and 5 for what a client sends, written down again: whether there is
//! a packet, and how long it is.

/// Bytes that are still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<u32> {
        Some(self.take(bytes)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn binary(&mut self) -> Option<&'a [u8]> {
        let length = self.number(2)?;
        self.take(length as usize)
    }

    fn text(&mut self) -> Option<&'a str> {
        let text = str::from_utf8(self.binary()?).ok()?;
        (!text.contains('\0')).then_some(text)
    }

    /// In as few bytes as it takes.
    fn varint(&mut self) -> Option<u32> {
        let mut number = 0;
        for place in 0..4 {
            let byte = self.number(1)?;
            number += (byte & 127) << (7 * place);
            if byte < 128 {
                return (byte > 0 || place == 0).then_some(number);
            }
        }
        None
    }

    fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether there is a packet: none where there is none, and where more is to come no length.
pub(super) fn packet(said: Option<u32>, bytes: &[u8], longest: usize) -> Option<Option<usize>> {
    let Some(first) = bytes.first() else { return Some(None) };
    let (kind, flags) = (first >> 4, first & 15);
    let is_clients = match (said, kind) {
        (None, kind) => kind == 1,
        (Some(5), 15) => true,
        (_, 3..=8 | 10 | 12 | 14) => true,
        _ => false,
    };
    let wants = if matches!(kind, 6 | 8 | 10) { 2 } else { 0 };
    if !is_clients || (kind != 3 && flags != wants && said != Some(3)) {
        return None;
    }
    let (mut length, mut place) = (0, 0);
    loop {
        let Some(byte) = bytes.get(1 + place) else {
            return if place < 4 { Some(None) } else { None };
        };
        if place == 4 {
            return None;
        }
        length |= usize::from(byte & 127) << (7 * place);
        place += 1;
        if byte & 128 == 0 {
            if *byte == 0 && place > 1 && said == Some(5) {
                return None;
            }
            break;
        }
        if place == 4 {
            return None;
        }
    }
    let size = 1 + place + length;
    if size > longest {
        return None;
    }
    let Some(body) = bytes.get(1 + place..size) else { return Some(None) };
    let is_5 = said == Some(5);
    let mut rest = Rest(body);
    match kind {
        1 => connect(&mut rest),
        3 => publish(&mut rest, flags, is_5),
        4..=7 => ack(&mut rest, kind, is_5),
        8 | 10 => filters(&mut rest, kind, is_5),
        14 => disconnect(&mut rest, is_5),
        12 => Some(()),
        _ => None,
    }?;
    rest.is_over().then_some(Some(size))
}

/// Properties, of which only some may be there; gives the numbers of those that are.
fn properties(rest: &mut Rest<'_>, allowed: &[u32]) -> Option<Vec<u32>> {
    let length = rest.varint()?;
    let mut these = Rest(rest.take(length as usize)?);
    let mut seen = Vec::new();
    while !these.is_over() {
        let id = these.varint()?;
        if !allowed.contains(&id) || (seen.contains(&id) && id != 38) {
            return None;
        }
        seen.push(id);
        let is_right = match id {
            1 | 23 | 25 => these.number(1)? <= 1,
            33 => these.number(2)? > 0,
            // Topic Alias.
            35 => these.number(2)? > 0,
            34 => these.number(2).is_some(),
            39 => these.number(4)? > 0,
            2 | 17 | 24 => these.number(4).is_some(),
            11 => these.varint()? > 0,
            8 => {
                let topic = these.text()?;
                !topic.is_empty() && !topic.contains(['+', '#'])
            }
            9 | 22 => these.binary().is_some(),
            38 => these.text().is_some() && these.text().is_some(),
            _ => these.text().is_some(),
        };
        if !is_right {
            return None;
        }
    }
    Some(seen)
}

fn topic<'a>(rest: &mut Rest<'a>) -> Option<&'a str> {
    rest.text().filter(|topic| !topic.contains(['+', '#']))
}

fn connect(rest: &mut Rest<'_>) -> Option<()> {
    let name = rest.binary()?;
    let level = rest.number(1)?;
    if !matches!((name, level), (b"MQIsdp", 3) | (b"MQTT", 4 | 5)) {
        return None;
    }
    let bits = rest.number(1)?;
    let bit = |place: u32| bits >> place & 1 == 1;
    let (will, name, password) = (bit(2), bit(7), bit(6));
    if bit(0)
        || bits >> 3 & 3 == 3
        || (!will && bits & 0b0011_1000 != 0)
        || (level < 5 && password && !name)
    {
        return None;
    }
    rest.number(2)?;
    if level == 5 {
        let seen = properties(rest, &[17, 33, 39, 34, 25, 23, 38, 21, 22])?;
        // The broker has no method of authentication.
        if seen.contains(&21) || seen.contains(&22) {
            return None;
        }
    }
    let client = rest.text()?;
    if client.is_empty() && (level == 3 || (level == 4 && !bit(1))) {
        return None;
    }
    if will {
        if level == 5 {
            properties(rest, &[24, 1, 2, 3, 8, 9, 38])?;
        }
        topic(rest).filter(|topic| !topic.is_empty())?;
        rest.binary()?;
    }
    if name {
        rest.text()?;
    }
    if password {
        rest.binary()?;
    }
    Some(())
}

fn publish(rest: &mut Rest<'_>, flags: u8, is_5: bool) -> Option<()> {
    let qos = flags >> 1 & 3;
    if qos == 3 || (qos == 0 && flags & 8 != 0) {
        return None;
    }
    let topic = topic(rest)?;
    if qos > 0 && rest.number(2)? == 0 {
        return None;
    }
    let mut has_alias = false;
    if is_5 {
        has_alias = properties(rest, &[1, 2, 35, 8, 9, 38, 3])?.contains(&35);
    }
    rest.0 = &[];
    (!topic.is_empty() || has_alias).then_some(())
}

fn ack(rest: &mut Rest<'_>, kind: u8, is_5: bool) -> Option<()> {
    if rest.number(2)? == 0 {
        return None;
    }
    if !is_5 || rest.is_over() {
        return Some(());
    }
    let reasons: &[u32] =
        if kind < 6 { &[0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99] } else { &[0, 0x92] };
    words(rest, reasons, &[31, 38])
}

fn disconnect(rest: &mut Rest<'_>, is_5: bool) -> Option<()> {
    if !is_5 || rest.is_over() {
        return Some(());
    }
    let reasons = [0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    words(rest, &reasons, &[17, 31, 38])
}

/// A reason, and properties if there is more.
fn words(rest: &mut Rest<'_>, reasons: &[u32], allowed: &[u32]) -> Option<()> {
    if !reasons.contains(&rest.number(1)?) {
        return None;
    }
    if !rest.is_over() {
        properties(rest, allowed)?;
    }
    Some(())
}

fn filters(rest: &mut Rest<'_>, kind: u8, is_5: bool) -> Option<()> {
    if rest.number(2)? == 0 {
        return None;
    }
    if is_5 {
        properties(rest, if kind == 8 { &[11, 38] } else { &[38] })?;
    }
    if rest.is_over() {
        return None;
    }
    while !rest.is_over() {
        let filter = rest.text().filter(|filter| !filter.is_empty())?;
        if kind == 8 {
            let options = rest.number(1)?;
            let is_local = options & 4 != 0 && filter.starts_with("$share/");
            let is_right = if is_5 {
                options < 64 && options & 3 < 3 && options >> 4 < 3 && !is_local
            } else {
                options < 3
            };
            is_right.then_some(())?;
        }
    }
    Some(())
}
