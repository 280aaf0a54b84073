//! Values from the bytes of an input.

/// Bytes that decide. Where there are no more, all is 0.
pub(super) struct Dice<'a> {
    bytes: &'a [u8],
}

/// Of what texts are made: none is a wildcard or U+0000.
const PIECES: [&str; 8] = ["a", "/", "ü", "日", "\u{1f980}", " ", "\u{feff}", "$"];

impl<'a> Dice<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Dice<'a> {
        Dice { bytes }
    }

    pub(super) fn are_left(&self) -> bool {
        !self.bytes.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// One of the numbers below another.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    pub(super) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(super) fn two(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number of two bytes that is not 0.
    pub(super) fn some(&mut self) -> u16 {
        self.two().max(1)
    }

    pub(super) fn four(&mut self) -> u32 {
        u32::from(self.two()) << 16 | u32::from(self.two())
    }

    /// The number of a subscription, of each length that it can have.
    pub(super) fn subscription(&mut self) -> u32 {
        let bits = self.one(&[7, 7, 7, 14, 21, 28]);
        (self.four() & ((1 << bits) - 1)).max(1)
    }

    pub(super) fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| value(self))
    }

    /// A few.
    pub(super) fn list<T>(
        &mut self,
        least: usize,
        mut value: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        let count = least + self.one(&[0, 1, 2, 3, 5]);
        (0..count).map(|_| value(self)).collect()
    }

    /// How long something is: mostly short, and sometimes so that a length takes another byte.
    fn length(&mut self) -> usize {
        match self.byte() {
            length @ 0..240 => usize::from(length % 12),
            length @ 240..250 => 120 + usize::from(length - 240),
            250..254 => 300,
            _ => 16_400,
        }
    }

    pub(super) fn text(&mut self) -> String {
        let length = self.length();
        let pieces = [self.one(&PIECES), self.one(&PIECES), self.one(&PIECES)];
        (0..length).map(|place| pieces[place % 3]).take(usize::from(u16::MAX) / 4).collect()
    }

    pub(super) fn text_of_some(&mut self) -> String {
        let text = self.text();
        if text.is_empty() { "t".to_owned() } else { text }
    }

    pub(super) fn binary(&mut self) -> Vec<u8> {
        let (length, first) = (self.length(), self.byte());
        (0..length).map(|place| first.wrapping_add(place as u8)).collect()
    }

    pub(super) fn pairs(&mut self) -> Vec<(String, String)> {
        if self.flag() { self.list(1, |dice| (dice.text(), dice.text())) } else { Vec::new() }
    }
}
