//! The records of a zip: read from bytes, and written as bytes. All numbers are little-endian.

use std::io::{self, Read};

use super::{ZipError, walk::Role};

pub(super) const LOCAL: u32 = 0x0403_4b50;
pub(super) const CENTRAL: u32 = 0x0201_4b50;
pub(super) const END: u32 = 0x0605_4b50;
pub(super) const END_64: u32 = 0x0606_4b50;
pub(super) const LOCATOR_64: u32 = 0x0706_4b50;
pub(super) const DESCRIPTOR: u32 = 0x0807_4b50;

/// What stands in a field of 32 bits whose value is in the ZIP64 extra field.
const ELSEWHERE: u32 = u32::MAX;
/// The id of that extra field.
const ZIP64: u16 = 1;

/// Flags of an entry.
pub(super) const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
pub(super) const STREAMED: u16 = 1 << 3;

/// Methods of packing.
pub(super) const STORED: u16 = 0;
pub(super) const DEFLATED: u16 = 8;

/// What is in front of an entry's data.
pub(crate) struct Local {
    /// The header as it stands in the zip, signature included.
    pub(super) raw: Vec<u8>,
    /// Where it stands.
    pub(super) offset: u64,
    /// The entry's name, as bytes.
    pub(crate) name: Vec<u8>,
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) facts: Facts,
    /// Whether sizes behind the data have 64 bits.
    pub(super) wide: bool,
}

/// What is to be known of an entry's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(super) crc: u32,
    pub(super) packed: u64,
    pub(crate) unpacked: u64,
}

impl Local {
    /// Reads the header behind its signature.
    pub(super) fn read(source: &mut impl Read, offset: u64) -> io::Result<Self> {
        let mut raw = LOCAL.to_le_bytes().to_vec();
        take(source, &mut raw, 26)?;
        let (name_length, extra_length) = (u16_at(&raw, 26), u16_at(&raw, 28));
        take(source, &mut raw, usize::from(name_length) + usize::from(extra_length))?;
        let name = raw[30..][..usize::from(name_length)].to_vec();
        let extra = &raw[30 + usize::from(name_length)..];
        let (packed, unpacked) = (u32_at(&raw, 18), u32_at(&raw, 22));
        let wide = field(extra, ZIP64);
        let mut values = Wide(wide.unwrap_or_default());
        // In this order, and only those that are not in their own place.
        let unpacked = values.or(unpacked, &name)?;
        let packed = values.or(packed, &name)?;
        Ok(Self {
            offset,
            flags: u16_at(&raw, 6),
            method: u16_at(&raw, 8),
            facts: Facts { crc: u32_at(&raw, 14), packed, unpacked },
            wide: wide.is_some(),
            name,
            raw,
        })
    }

    /// Whether sizes and CRC stand behind the data.
    pub(super) const fn streamed(&self) -> bool {
        self.flags & STREAMED != 0
    }

    /// What the entry is to us.
    pub(crate) fn role(&self) -> Role {
        Role::of(&self.name)
    }

    /// The name for people.
    pub(super) fn shown(&self) -> String {
        shown(&self.name)
    }
}

/// What the directory says of an entry.
pub(crate) struct Central {
    /// The first 46 bytes of the record, signature included.
    fixed: [u8; 46],
    pub(super) name: Vec<u8>,
    /// Extra fields without that of ZIP64.
    extra: Vec<u8>,
    comment: Vec<u8>,
    pub(super) facts: Facts,
    pub(super) offset: u64,
}

impl Central {
    /// Reads the record behind its signature.
    pub(super) fn read(source: &mut impl Read) -> io::Result<Self> {
        let mut raw = CENTRAL.to_le_bytes().to_vec();
        take(source, &mut raw, 42)?;
        let lengths = [28, 30, 32].map(|at| usize::from(u16_at(&raw, at)));
        take(source, &mut raw, lengths.iter().sum())?;
        let mut fixed = [0; 46];
        fixed.copy_from_slice(&raw[..46]);
        let (name, rest) = raw[46..].split_at(lengths[0]);
        let (extra, comment) = rest.split_at(lengths[1]);
        let mut values = Wide(field(extra, ZIP64).unwrap_or_default());
        let unpacked = values.or(u32_at(&raw, 24), name)?;
        let packed = values.or(u32_at(&raw, 20), name)?;
        let offset = values.or(u32_at(&raw, 42), name)?;
        Ok(Self {
            fixed,
            name: name.to_vec(),
            extra: without(extra, ZIP64),
            comment: comment.to_vec(),
            facts: Facts { crc: u32_at(&raw, 16), packed, unpacked },
            offset,
        })
    }

    /// The record of an entry of ours: a regular file that its owner may write and all may read.
    pub(super) fn new(name: &str, flags: u16, method: u16, facts: Facts, offset: u64) -> Self {
        let mut fixed = [0; 46];
        fixed[..4].copy_from_slice(&CENTRAL.to_le_bytes());
        // Made by a Unix, by version 4.5 of the format.
        fixed[4..6].copy_from_slice(&(3 << 8 | VERSION).to_le_bytes());
        fixed[6..8].copy_from_slice(&VERSION.to_le_bytes());
        fixed[8..10].copy_from_slice(&flags.to_le_bytes());
        fixed[10..12].copy_from_slice(&method.to_le_bytes());
        fixed[14..16].copy_from_slice(&FIRST_DAY.to_le_bytes());
        fixed[38..42].copy_from_slice(&(0o100_644_u32 << 16).to_le_bytes());
        let (extra, comment) = (Vec::new(), Vec::new());
        Self { fixed, name: name.as_bytes().to_vec(), extra, comment, facts, offset }
    }

    /// Whether it is a symbolic link, as Unix programs mark one.
    pub(super) fn is_link(&self) -> bool {
        (u32_at(&self.fixed, 38) >> 16) & 0o170_000 == 0o120_000
    }

    pub(super) fn shown(&self) -> String {
        shown(&self.name)
    }

    /// The record's bytes, with whatever does not fit into 32 bits in the ZIP64 field.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut wide = Vec::new();
        let mut narrow = |value: u64| match u32::try_from(value) {
            Ok(value) if value != ELSEWHERE => value,
            _ => {
                wide.extend_from_slice(&value.to_le_bytes());
                ELSEWHERE
            }
        };
        let Facts { crc, packed, unpacked } = self.facts;
        let (unpacked, packed, offset) = (narrow(unpacked), narrow(packed), narrow(self.offset));
        let mut extra = Vec::new();
        if !wide.is_empty() {
            extra.extend_from_slice(&ZIP64.to_le_bytes());
            extra.extend_from_slice(&(wide.len() as u16).to_le_bytes());
            extra.extend_from_slice(&wide);
        }
        extra.extend_from_slice(&self.extra);
        let mut bytes = self.fixed.to_vec();
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        bytes[20..24].copy_from_slice(&packed.to_le_bytes());
        bytes[24..28].copy_from_slice(&unpacked.to_le_bytes());
        bytes[28..30].copy_from_slice(&(self.name.len() as u16).to_le_bytes());
        bytes[30..32].copy_from_slice(&(extra.len() as u16).to_le_bytes());
        bytes[32..34].copy_from_slice(&(self.comment.len() as u16).to_le_bytes());
        // Everything is on the one disk that there is.
        bytes[34..36].fill(0);
        bytes[42..46].copy_from_slice(&offset.to_le_bytes());
        bytes.extend_from_slice(&self.name);
        bytes.extend_from_slice(&extra);
        bytes.extend_from_slice(&self.comment);
        bytes
    }
}

/// Version 4.5 of the format, which brought ZIP64.
const VERSION: u16 = 45;
/// 1980-01-01, the first day that a zip knows. A result does not tell when it was made: the report does.
const FIRST_DAY: u16 = 1 << 5 | 1;

/// The header of an entry of ours. Without facts, they follow the data, with 64 bits for each size.
pub(super) fn local(name: &str, method: u16, facts: Option<Facts>) -> Vec<u8> {
    let Facts { crc, packed, unpacked } = facts.unwrap_or_default();
    let flags = if facts.is_none() { STREAMED } else { 0 };
    let mut extra = ZIP64.to_le_bytes().to_vec();
    extra.extend_from_slice(&16_u16.to_le_bytes());
    extra.extend_from_slice(&unpacked.to_le_bytes());
    extra.extend_from_slice(&packed.to_le_bytes());
    let mut bytes = LOCAL.to_le_bytes().to_vec();
    for value in [VERSION, flags, method, 0, FIRST_DAY] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    for value in [crc, ELSEWHERE, ELSEWHERE] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&(extra.len() as u16).to_le_bytes());
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&extra);
    bytes
}

/// What stands behind the data of such an entry.
pub(super) fn descriptor(facts: Facts, wide: bool) -> Vec<u8> {
    let mut bytes = DESCRIPTOR.to_le_bytes().to_vec();
    bytes.extend_from_slice(&facts.crc.to_le_bytes());
    for size in [facts.packed, facts.unpacked] {
        bytes.extend_from_slice(&size.to_le_bytes()[..if wide { 8 } else { 4 }]);
    }
    bytes
}

/// The end of a zip: so many entries, whose directory begins there and is so long.
pub(super) fn end(entries: u64, begins: u64, length: u64) -> Vec<u8> {
    let mut bytes = END_64.to_le_bytes().to_vec();
    bytes.extend_from_slice(&44_u64.to_le_bytes());
    for version in [3 << 8 | VERSION, VERSION] {
        bytes.extend_from_slice(&version.to_le_bytes());
    }
    bytes.extend_from_slice(&[0; 8]);
    for value in [entries, entries, length, begins] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes.extend_from_slice(&LOCATOR_64.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(begins + length).to_le_bytes());
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    // Programs that know no ZIP64 look here, and find what they can understand where it fits.
    let short = u16::try_from(entries).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&END.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for value in [short, short] {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    for value in [length, begins] {
        bytes.extend_from_slice(&u32::try_from(value).unwrap_or(ELSEWHERE).to_le_bytes());
    }
    bytes.extend_from_slice(&[0; 2]);
    bytes
}

/// The values of a ZIP64 field, taken one by one.
struct Wide<'a>(&'a [u8]);

impl Wide<'_> {
    fn or(&mut self, narrow: u32, name: &[u8]) -> io::Result<u64> {
        if narrow != ELSEWHERE {
            return Ok(narrow.into());
        }
        let Some((value, rest)) = self.0.split_first_chunk() else {
            return Err(ZipError::Lies { name: shown(name), what: "the size" }.into());
        };
        self.0 = rest;
        Ok(u64::from_le_bytes(*value))
    }
}

/// The content of an extra field.
fn field(extra: &[u8], id: u16) -> Option<&[u8]> {
    fields(extra).find(|(found, _)| *found == id).map(|(_, whole)| &whole[4..])
}

/// The extra fields but one.
fn without(extra: &[u8], id: u16) -> Vec<u8> {
    fields(extra).filter(|(found, _)| *found != id).flat_map(|(_, whole)| whole).copied().collect()
}

/// Each extra field with its id, whole. What is no field at the end is left out, as programs do.
fn fields(mut extra: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = 4 + usize::from(u16::from_le_bytes(extra.get(2..4)?.try_into().ok()?));
        let (whole, rest) = extra.split_at_checked(length)?;
        extra = rest;
        Some((u16_at(whole, 0), whole))
    })
}

/// Reads exactly so many bytes more.
pub(super) fn take(source: &mut impl Read, into: &mut Vec<u8>, count: usize) -> io::Result<()> {
    if source.by_ref().take(count as u64).read_to_end(into)? == count {
        Ok(())
    } else {
        Err(ZipError::Truncated.into())
    }
}

pub(super) fn shown(name: &[u8]) -> String {
    crate::failure::excerpt(&String::from_utf8_lossy(name).escape_debug().to_string())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
