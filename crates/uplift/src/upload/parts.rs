//! How a dump is cut into parts, and which of them are still to send.

use anyhow::bail;
use uplift_core::api::UploadedPart;

/// S3 takes no more parts than this.
const MAX_PARTS: u64 = 10_000;
/// Bytes of parts that may be in memory at once, unless two parts are larger.
const MEMORY: u64 = 64 << 20;
/// More streams than this fill no line any better.
const MAX_IN_FLIGHT: u64 = 4;

/// How a dump is cut: every part but the last has the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    bytes: u64,
    part_bytes: u64,
}

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its number, from 1.
    pub(crate) number: u32,
    /// Its length in bytes.
    pub(crate) bytes: u64,
}

impl Cut {
    /// Cuts a dump of so many bytes.
    ///
    /// # Errors
    /// A length of part that S3 would not take; the dispatcher never says such a thing.
    pub(crate) fn new(bytes: u64, part_bytes: u64) -> anyhow::Result<Self> {
        if bytes == 0 || part_bytes == 0 || bytes.div_ceil(part_bytes) > MAX_PARTS {
            bail!("the server wants {bytes} bytes in parts of {part_bytes}, which no store takes");
        }
        Ok(Self { bytes, part_bytes })
    }

    /// Every part, in the order of the bytes.
    pub(crate) fn parts(self) -> impl Iterator<Item = Part> {
        (1..).map_while(move |number| self.part(number))
    }

    /// One part; `None` where there are not so many.
    #[must_use]
    pub(crate) fn part(self, number: u32) -> Option<Part> {
        let before = u64::from(number.checked_sub(1)?) * self.part_bytes;
        let left = self.bytes.checked_sub(before).filter(|&left| left > 0)?;
        Some(Part { number, bytes: left.min(self.part_bytes) })
    }

    /// How many parts may be in memory at once: at least two, so that one is read while another is sent.
    #[must_use]
    pub(crate) fn in_flight(self) -> usize {
        usize::try_from((MEMORY / self.part_bytes).clamp(2, MAX_IN_FLIGHT)).unwrap_or(2)
    }

    /// What the store has already, as far as it is what we would send; the rest is sent again.
    #[must_use]
    pub(crate) fn kept(self, there: Vec<UploadedPart>) -> Vec<UploadedPart> {
        let fits = |part: &UploadedPart| {
            self.part(part.part).is_some_and(|planned| part.bytes == Some(planned.bytes))
        };
        there.into_iter().filter(fits).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uplift_core::api::UploadedPart;

    use super::{Cut, MAX_PARTS, Part};

    #[test]
    fn the_last_part_is_what_is_left() {
        let lengths = |bytes, part_bytes| -> Vec<u64> {
            Cut::new(bytes, part_bytes).unwrap().parts().map(|part| part.bytes).collect()
        };
        assert_eq!(lengths(1, 16), [1]);
        assert_eq!(lengths(16, 16), [16]);
        assert_eq!(lengths(33, 16), [16, 16, 1]);
        assert!(Cut::new(0, 16).is_err());
        assert!(Cut::new(1, 0).is_err());
        assert!(Cut::new(MAX_PARTS + 1, 1).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let in_flight = |part_bytes| Cut::new(1, part_bytes).unwrap().in_flight();
        assert_eq!(in_flight(5 << 20), 4);
        assert_eq!(in_flight(16 << 20), 4);
        assert_eq!(in_flight(30 << 20), 2);
        assert_eq!(in_flight(600 << 20), 2);
    }

    #[test]
    fn a_part_of_another_length_is_sent_again() {
        let part = |part, bytes| UploadedPart { part, etag: "x".into(), bytes };
        let there =
            vec![part(1, Some(16)), part(2, Some(5)), part(3, Some(1)), part(4, Some(16)), part(2, None)];
        let kept = Cut::new(33, 16).unwrap().kept(there);
        assert_eq!(kept.iter().map(|part| part.part).collect::<Vec<_>>(), [1, 3]);
    }

    proptest! {
        /// Parts are numbered from 1, none is empty, and together they are the dump.
        #[test]
        fn parts_make_the_whole(bytes in 1u64..100_000, part_bytes in 11u64..20_000) {
            let parts: Vec<Part> = Cut::new(bytes, part_bytes).unwrap().parts().collect();
            prop_assert_eq!(parts.iter().map(|part| part.bytes).sum::<u64>(), bytes);
            prop_assert!(parts.iter().all(|part| (1..=part_bytes).contains(&part.bytes)));
            prop_assert!(parts.iter().zip(1..).all(|(part, number)| part.number == number));
            prop_assert!(parts.iter().rev().skip(1).all(|part| part.bytes == part_bytes));
        }
    }
}
