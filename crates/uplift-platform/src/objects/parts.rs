//! How large the parts of a multipart upload are.

use super::{ObjectsError, Result};

const MIB: u64 = 1024 * 1024;
/// S3's limit.
const MOST_PARTS: u32 = 10_000;
/// S3's limit for one part.
const LARGEST_PART: u64 = 5 * 1024 * MIB;
/// S3's limit for every part but the last. Three parts are in memory, so that this is what keeps a worker small.
const SMALLEST_PART: u64 = 5 * MIB;
/// An object whose size is known is cut into at most this many parts, so that an estimate may be a tenth too low.
const PLANNED_PARTS: u64 = 9_000;
/// Where the size is unknown, parts are twice as large after each so many.
const PARTS_BETWEEN_GROWTH: u32 = 1_000;

/// The part sizes of one upload.
#[derive(Clone, Copy, Debug)]
pub(super) enum PartSizes {
    /// All alike: `max(5 MiB, size / 9000)`.
    Alike(u64),
    /// 5 MiB for the first thousand parts, and twice as much for each thousand behind it: 5,115,000 MiB in all, which is
    /// nearly the most that S3 takes. An object of 155 GB has parts of 80 MiB by then.
    Growing,
}

impl PartSizes {
    pub(super) fn plan(expected_bytes: Option<u64>) -> Self {
        match expected_bytes {
            Some(bytes) => Self::Alike(bytes.div_ceil(PLANNED_PARTS).clamp(SMALLEST_PART, LARGEST_PART)),
            None => Self::Growing,
        }
    }

    /// The size of part `number` (from 1), in bytes.
    ///
    /// # Errors
    /// [`ObjectsError::TooLarge`] past the last part there may be.
    pub(super) fn size(self, number: u32, key: &str) -> Result<usize> {
        if number > MOST_PARTS {
            return Err(ObjectsError::TooLarge { key: key.to_owned(), limit: self.most_bytes() });
        }
        let bytes = match self {
            Self::Alike(bytes) => bytes,
            Self::Growing => SMALLEST_PART << ((number - 1) / PARTS_BETWEEN_GROWTH),
        };
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// The largest object that can be written, in bytes.
    pub(super) fn most_bytes(self) -> u64 {
        match self {
            Self::Alike(bytes) => bytes * u64::from(MOST_PARTS),
            Self::Growing => {
                let levels = u64::from(MOST_PARTS / PARTS_BETWEEN_GROWTH);
                SMALLEST_PART * u64::from(PARTS_BETWEEN_GROWTH) * ((1 << levels) - 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_size_fits_with_a_tenth_to_spare() {
        for bytes in [0, 1, 16 * MIB, 150_000 * MIB, 40 * 1024 * 1024 * MIB] {
            let sizes = PartSizes::plan(Some(bytes));
            assert!(sizes.most_bytes() >= bytes + bytes / 10, "{bytes}");
        }
        assert_eq!(PartSizes::plan(Some(1)).size(1, "k").unwrap() as u64, 5 * MIB);
    }

    #[test]
    fn an_unknown_size_grows_to_the_documented_limit_and_no_further() {
        let sizes = PartSizes::plan(None);
        let total: u64 = (1..=MOST_PARTS).map(|number| sizes.size(number, "k").unwrap() as u64).sum();
        assert_eq!(total, 5_115_000 * MIB);
        assert_eq!(total, sizes.most_bytes());
        assert_eq!(sizes.size(MOST_PARTS, "k").unwrap() as u64, 2560 * MIB);
        assert!(
            matches!(sizes.size(MOST_PARTS + 1, "k"), Err(ObjectsError::TooLarge { limit, .. }) if limit == total)
        );
    }
}
