//! A fuzzer's bytes as decisions, one after the other.

/// Bytes that are used up decision by decision; 0 for ever when there are none left, so that everything that is made
/// of them comes to an end.
#[derive(Clone, Debug)]
pub struct Choices<'b> {
    bytes: &'b [u8],
    calm: usize,
}

impl<'b> Choices<'b> {
    /// Decisions from the beginning of `bytes`.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, calm: 1 }
    }

    /// The same, with what happens [once in so many times](Self::once_in) so many times more seldom.
    #[must_use]
    pub fn calm(self, calm: usize) -> Self {
        Self { calm, ..self }
    }

    /// Whether all bytes are used up.
    pub fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What was not used.
    pub fn rest(&self) -> &'b [u8] {
        self.bytes
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else {
            return 0;
        };
        self.bytes = rest;
        *first
    }

    /// A number below `limit`, which is at least 1.
    pub fn below(&mut self, limit: usize) -> usize {
        let value = if limit <= 256 {
            usize::from(self.byte())
        } else {
            usize::from(self.byte()) << 16 | usize::from(self.byte()) << 8 | usize::from(self.byte())
        };
        value % limit
    }

    /// One of two.
    pub fn yes(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        let times = times * self.calm;
        self.below(times) == times - 1
    }

    /// One of these.
    pub fn pick<'t, T: ?Sized>(&mut self, from: &[&'t T]) -> &'t T {
        from[self.below(from.len())]
    }

    /// Something or nothing.
    pub fn option<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.yes().then(|| some(self))
    }

    /// Fewer than `limit` of them.
    pub fn list<T>(&mut self, limit: usize, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(limit)).map(|_| item(self)).collect()
    }

    /// Small, or at the edge of something.
    pub fn number(&mut self) -> u64 {
        const EDGES: [u64; 8] = [0, 1, 1 << 20, 1 << 31, 1 << 32, 1 << 63, u64::MAX - 1, u64::MAX];
        match self.byte() {
            edge @ 0..=63 => EDGES[usize::from(edge) % 8],
            _ => u64::from(self.byte()) << self.below(24),
        }
    }

    /// Fewer than `limit` arbitrary bytes.
    pub fn bytes(&mut self, limit: usize) -> Vec<u8> {
        (0..self.below(limit)).map(|_| self.byte()).collect()
    }

    /// A little text: words, and what is seldom thought of.
    pub fn text(&mut self) -> String {
        const PIECES: [&str; 40] = [
            "Ann",
            "offer",
            " ",
            "  ",
            ",",
            ";",
            ":",
            "@",
            "<",
            ">",
            "\"",
            "'",
            "(",
            ")",
            "\\",
            "\r\n",
            "\n",
            "\r",
            "\t",
            "\0",
            "\u{7f}",
            "\u{85}",
            "\u{2028}",
            "\u{202e}",
            "\u{feff}",
            "\u{a0}",
            "é",
            "日本",
            "𝒳",
            "=?utf-8?q?=0d=0aBcc:_x@y?=",
            "=?utf-8?b?AAo=?=",
            "=?",
            "?=",
            "%0d%0a",
            "&#10;",
            "&amp;",
            "=",
            "--",
            ".",
            "x@y.example",
        ];
        (0..self.below(8)).map(|_| self.pick(&PIECES)).collect()
    }

    /// The thing, damaged as transport, bad software and attackers do it.
    pub fn damaged(&mut self, mut thing: Vec<u8>, lent: &[&[u8]]) -> Vec<u8> {
        for _ in 0..self.below(6) {
            let at = self.below(thing.len() + 1);
            let until = (at + self.below(80)).min(thing.len());
            match self.below(8) {
                0 => thing.truncate(at),
                1 => drop(thing.drain(at..until)),
                2 => {
                    let again = thing[at..until].to_vec();
                    let again = again.repeat(1 + self.below(40));
                    drop(thing.splice(at..at, again));
                }
                3 => {
                    let byte = self.byte();
                    drop(thing.splice(at..at, [byte]));
                }
                4 if at < thing.len() => thing[at] = self.byte(),
                5 => drop(thing.splice(at..until, self.bytes(8))),
                _ if !lent.is_empty() => {
                    let piece = self.pick(lent);
                    drop(thing.splice(at..at, piece.iter().copied()));
                }
                _ => {}
            }
        }
        thing
    }
}
