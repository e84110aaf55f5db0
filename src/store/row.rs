//! Tombstones that wait, in the order of their arrival, and counted: how many came after a given one is asked for each
//! peer, by INFO and by every confirmation, and there may be millions.
//!
//! An ordered map would have to step through all of them to count. So they stand in blocks of a few hundred: whole
//! blocks are counted by their lengths. A new one comes last, which touches the last block only.

use super::arrival::Arrival;
use super::graveyard::Grave;

/// How many graves a block has at most.
const BLOCK: usize = 512;

/// Graves by arrival number. No block is empty, and within and across blocks the numbers grow.
#[derive(Debug, Default)]
pub(super) struct Row {
    blocks: Vec<Vec<Grave>>,
    len: usize,
}

impl Row {
    /// Adds a grave, usually the latest.
    pub(super) fn insert(&mut self, grave: Grave) {
        self.len += 1;
        let index = self.block_with(grave.arrival).min(self.blocks.len().saturating_sub(1));
        let Some(block) = self.blocks.get_mut(index) else { return self.blocks.push(vec![grave]) };
        let place = block.partition_point(|other| other.arrival < grave.arrival);
        if block.len() < BLOCK {
            block.insert(place, grave);
        } else if place == BLOCK {
            self.blocks.insert(index + 1, vec![grave]);
        } else {
            let mut second = block.split_off(BLOCK / 2);
            let (half, place) = if place > BLOCK / 2 { (&mut second, place - BLOCK / 2) } else { (block, place) };
            half.insert(place, grave);
            self.blocks.insert(index + 1, second);
        }
    }

    /// Removes the grave with this number; returns whether there was one.
    pub(super) fn remove(&mut self, arrival: Arrival) -> bool {
        let index = self.block_with(arrival);
        let Some(block) = self.blocks.get_mut(index) else { return false };
        let Ok(place) = block.binary_search_by_key(&arrival, |grave| grave.arrival) else { return false };
        block.remove(place);
        self.len -= 1;
        if block.len() < BLOCK / 4 {
            self.join(index);
        }
        true
    }

    /// Joins a block that has become short with a neighbour, if both fit in half a block: so two neighbours hold more
    /// than that, and what few graves remain of many take little.
    fn join(&mut self, index: usize) {
        if self.blocks[index].is_empty() {
            self.blocks.remove(index);
            return;
        }
        let fits = |blocks: &[Vec<Grave>]| blocks.iter().map(Vec::len).sum::<usize>() <= BLOCK / 2;
        let pairs = [index.checked_sub(1), Some(index)].into_iter().flatten();
        let pair = pairs.map(|first| first..first + 2).find(|pair| self.blocks.get(pair.clone()).is_some_and(fits));
        if let Some(pair) = pair {
            let joined = self.blocks[pair.clone()].concat();
            self.blocks.splice(pair, [joined]);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many arrived after `arrival`.
    pub(super) fn count_after(&self, arrival: Arrival) -> usize {
        self.counts_after(arrival).sum()
    }

    /// How many of these stand in each block that has some.
    fn counts_after(&self, arrival: Arrival) -> impl Iterator<Item = usize> {
        let mut blocks = self.blocks[self.block_with(arrival.next())..].iter();
        let begun = blocks.next().map(|block| block.len() - place_after(block, arrival));
        begun.into_iter().chain(blocks.map(Vec::len))
    }

    /// Those that arrived after `arrival`, the first one first.
    pub(super) fn after(&self, arrival: Arrival) -> impl Iterator<Item = Grave> {
        let mut blocks = self.blocks[self.block_with(arrival.next())..].iter();
        let begun = blocks.next().map_or(&[][..], |block| &block[place_after(block, arrival)..]);
        begun.iter().chain(blocks.flatten()).copied()
    }

    /// The first block that ends with this number or a later one.
    fn block_with(&self, arrival: Arrival) -> usize {
        self.blocks.partition_point(|block| block.last().is_some_and(|last| last.arrival < arrival))
    }
}

/// How many of a block's graves arrived up to this number.
fn place_after(block: &[Grave], arrival: Arrival) -> usize {
    block.partition_point(|grave| grave.arrival <= arrival)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn grave(number: u64) -> Grave {
        Grave { arrival: Arrival(number), hash: number }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_row_holds_and_counts_what_an_ordered_set_does(
            latest in 0..3 * BLOCK as u64,
            changes in vec((any::<bool>(), 0..4 * BLOCK as u64), 0..2 * BLOCK),
        ) {
            let (mut row, mut set) = (Row::default(), BTreeSet::new());
            for number in (0..latest).map(|number| 2 * number) {
                row.insert(grave(number));
                set.insert(number);
            }
            for (comes, number) in changes {
                if comes && set.insert(number) {
                    row.insert(grave(number));
                } else if !comes {
                    prop_assert_eq!(row.remove(Arrival(number)), set.remove(&number));
                }
                prop_assert_eq!(row.len(), set.len());
                prop_assert_eq!(row.count_after(Arrival(number)), set.range(number + 1..).count());
                let next = row.after(Arrival(number)).next().map(|grave| grave.arrival.0);
                prop_assert_eq!(next, set.range(number + 1..).next().copied());
            }
            let all: Vec<u64> = row.after(Arrival::NONE).map(|grave| grave.hash).collect();
            prop_assert_eq!(all, set.range(1..).copied().collect::<Vec<_>>());
            prop_assert!(row.blocks.iter().all(|block| (1..=BLOCK).contains(&block.len())));
        }
    }

    #[test]
    fn few_that_remain_of_many_take_little() {
        let mut row = Row::default();
        (1..=200_000).for_each(|number| row.insert(grave(number)));
        (1..=200_000).filter(|number| number % 1000 > 0).for_each(|number| assert!(row.remove(Arrival(number))));
        assert_eq!(row.len(), 200);
        let room: usize = row.blocks.iter().map(Vec::capacity).sum();
        assert!(room <= 4 * BLOCK, "room for {room}");
    }

    #[test]
    fn to_count_does_not_step_through_what_is_counted() {
        let mut row = Row::default();
        (1..=200_000).for_each(|number| row.insert(grave(number)));
        for number in [0, 1, 100_000, 199_999] {
            assert_eq!(row.count_after(Arrival(number)), 200_000 - number as usize);
            let added = row.counts_after(Arrival(number)).count();
            assert!(added <= 200_000 / BLOCK + 1, "{added} numbers are added");
        }
    }
}
