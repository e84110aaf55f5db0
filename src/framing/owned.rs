//! The words of a request that must outlive the buffer in which it came.

use std::ops::Range;

use super::Args;

/// A copy of the words of a request.
#[derive(Debug)]
pub struct OwnedArgs {
    bytes: Box<[u8]>,
    items: Box<[Range<usize>]>,
}

impl OwnedArgs {
    /// About how many bytes a copy of these words takes.
    pub fn bytes_of(words: Args<'_>) -> usize {
        let lengths: usize = words.iter().map(<[u8]>::len).sum();
        lengths + words.len() * size_of::<Range<usize>>() + size_of::<Self>()
    }

    /// Copies the words.
    pub fn new(words: Args<'_>) -> Self {
        let bytes = words.iter().flatten().copied().collect();
        let ends = words.iter().scan(0, |end, word| {
            let start = *end;
            *end += word.len();
            Some(start..*end)
        });
        Self { bytes, items: ends.collect() }
    }

    /// The words.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_has_the_same_words() {
        let (frame, items) = (b"xxSETyykzz", [2..5, 7..8, 10..10]);
        let words = Args::new(frame, &items);
        let copy = OwnedArgs::new(words);
        assert_eq!(copy.args().iter().collect::<Vec<_>>(), [b"SET".as_slice(), b"k", b""]);
        assert_eq!(OwnedArgs::bytes_of(words), 4 + 3 * size_of::<Range<usize>>() + size_of::<OwnedArgs>());
    }
}
