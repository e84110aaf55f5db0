//! The buffer that a connection reads into.

use std::io::{self, Read};

use crate::limits::{FIRST_BUFFER_BYTES, KEPT_BUFFER_BYTES};

/// Bytes that were read and not yet used, in one piece.
///
/// It grows only after it was full of bytes that have really come, so a length that is merely claimed costs nothing;
/// that it stays within bounds is up to the parser, which refuses what is too long. A read that fills it shows that
/// more is waiting: so what a client sends in one piece is soon read in one piece, and answered with one write.
pub(super) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; FIRST_BUFFER_BYTES], start: 0, end: 0 }
    }

    /// What was read and not yet used.
    pub(super) fn unused(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Marks the first `count` unused bytes as used.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        assert!(self.start <= self.end, "more used than was read");
    }

    /// How many bytes the buffer will take after the next [`ReadBuffer::fill`].
    pub(super) fn next_capacity(&self) -> usize {
        let (len, is_empty, was_filled) = (self.bytes.len(), self.start == self.end, self.end == self.bytes.len());
        if is_empty && len > KEPT_BUFFER_BYTES {
            FIRST_BUFFER_BYTES
        } else if was_filled && (len < KEPT_BUFFER_BYTES || self.start <= len / 2) {
            len * 2
        } else {
            len
        }
    }

    /// Moves what is not used yet to the front. Then the next [`ReadBuffer::fill`] needs no larger buffer, unless this
    /// one is full.
    pub(super) fn move_up(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
    }

    /// Reads once, and returns how many bytes came: 0 at the end of the input.
    pub(super) fn fill(&mut self, source: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        loop {
            match source.read(&mut self.bytes[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
            }
        }
    }

    fn make_room(&mut self) {
        let next_capacity = self.next_capacity();
        if self.start == self.end || self.end == self.bytes.len() {
            // To move at most half of a large buffer keeps the cost for each byte constant.
            self.move_up();
        }
        match next_capacity {
            grown if grown > self.bytes.len() => self.bytes.resize(grown, 0),
            less if less < self.bytes.len() => self.bytes = vec![0; less],
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order(
            total in 0usize..300_000,
            uses in prop::collection::vec(0usize..9_000, 1..50),
        ) {
            let source: Vec<u8> = (0..total).map(|index| (index % 251) as u8).collect();
            let (mut input, mut output) = (source.as_slice(), Vec::new());
            let mut buffer = ReadBuffer::new();
            let mut uses = uses.iter().cycle();
            while buffer.fill(&mut input).unwrap() > 0 {
                let used = (*uses.next().unwrap()).min(buffer.unused().len());
                output.extend_from_slice(&buffer.unused()[..used]);
                buffer.consume(used);
            }
            output.extend_from_slice(buffer.unused());
            prop_assert_eq!(output, source);
        }
    }

    #[test]
    fn a_buffer_that_has_grown_is_given_back_when_it_is_empty() {
        let big = vec![1; 1_000_000];
        let (mut input, mut buffer) = (big.as_slice(), ReadBuffer::new());
        while buffer.fill(&mut input).unwrap() > 0 {}
        assert!(buffer.bytes.len() >= big.len());
        buffer.consume(big.len());
        assert_eq!(buffer.fill(&mut input).unwrap(), 0);
        assert_eq!(buffer.bytes.len(), FIRST_BUFFER_BYTES);
    }

    #[test]
    fn what_comes_in_one_piece_is_soon_read_in_one_piece() {
        let mut buffer = ReadBuffer::new();
        for round in 0..10 {
            let (batch, mut fills) = (vec![1; 20_000], 0);
            let mut input = batch.as_slice();
            while !input.is_empty() {
                buffer.fill(&mut input).unwrap();
                // All but a request that has come in part is used at once.
                buffer.consume(buffer.unused().len() / 300 * 300);
                fills += 1;
            }
            buffer.consume(buffer.unused().len());
            assert!(fills == 1 || round < 2, "{fills} reads of 20,000 bytes in round {round}");
            assert!(buffer.bytes.len() <= KEPT_BUFFER_BYTES);
        }
    }
}
