//! The index of a zip archive.
//!
//! Idea: the central directory at the end says what there is; of what stands before a file's bytes only the length
//! counts. All numbers are looked up with a bound, so an archive that is cut off or lies is an error.

use core::ops::Range;

use super::node::inflate;
use super::tree::{Body, MAX_TARGET, Packing, Tree, target};
use super::{ArchiveError, Fault};

/// Deflated bytes stand for no more than so many times their number, and a few.
const MAX_RATIO: u64 = 1032;

/// An end record, and the longest comment after it.
const END: usize = 22;
const MAX_TAIL: usize = END + 0xffff;

/// The targets of symbolic links that are unpacked for the index, in bytes.
const MAX_TARGETS: usize = 64 << 20;

/// Little-endian numbers at places.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes<const N: usize>(self, at: usize) -> Result<[u8; N], Fault> {
        let bytes = self.0.get(at..).and_then(|bytes| bytes.first_chunk());
        bytes.copied().ok_or(Fault::Malformed)
    }

    fn u16(self, at: usize) -> Result<u16, Fault> {
        self.bytes(at).map(u16::from_le_bytes)
    }

    fn u32(self, at: usize) -> Result<u32, Fault> {
        self.bytes(at).map(u32::from_le_bytes)
    }

    fn u64(self, at: usize) -> Result<u64, Fault> {
        self.bytes(at).map(u64::from_le_bytes)
    }

    /// From a place on, which begins with this mark.
    fn record(self, at: usize, mark: &[u8; 4]) -> Result<Self, Fault> {
        let rest = self.0.get(at..).filter(|rest| rest.starts_with(mark));
        rest.map(Fields).ok_or(Fault::Malformed)
    }

    fn slice(self, at: usize, len: usize) -> Result<&'a [u8], Fault> {
        self.0.get(at..).and_then(|rest| rest.get(..len)).ok_or(Fault::Malformed)
    }
}

/// The directory of an archive.
struct Directory {
    range: Range<usize>,
    entries: u64,
    /// What stands before the archive; offsets do not count it.
    before: usize,
}

/// What the directory says of an entry.
struct Entry<'a> {
    path: &'a [u8],
    packing: Packing,
    attributes: u32,
    unix: bool,
    time: u64,
    /// Where the next one is.
    end: usize,
}

/// Reads the directory.
pub(super) fn index(bytes: &[u8]) -> Result<Tree, ArchiveError> {
    let plain = |fault| ArchiveError::new(b"", fault);
    let directory = find(Fields(bytes)).map_err(plain)?;
    let (mut tree, mut at, mut targets) = (Tree::new(), directory.range.start, MAX_TARGETS);
    for _ in 0..directory.entries {
        let entry = entry(Fields(bytes), at, &directory).map_err(plain)?;
        let body = match entry.attributes >> 16 & 0o170_000 {
            _ if entry.path.ends_with(b"/") => Body::Dir { listed: true },
            0o040_000 if entry.unix => Body::Dir { listed: true },
            0o120_000 if entry.unix => {
                link(bytes, &entry.packing, &mut targets).map_err(|fault| ArchiveError::new(entry.path, fault))?
            }
            _ => Body::File(entry.packing),
        };
        tree.add(entry.path, body, entry.time)?;
        at = entry.end;
    }
    if at > directory.range.end {
        return Err(plain(Fault::Malformed));
    }
    Ok(tree.finish())
}

/// Finds the directory by the record at the end.
fn find(bytes: Fields<'_>) -> Result<Directory, Fault> {
    let len = bytes.0.len();
    let last = len.checked_sub(END).ok_or(Fault::Malformed)?;
    let is_end = |&at: &usize| {
        let end = bytes.record(at, b"PK\x05\x06");
        end.is_ok_and(|end| end.u16(20).is_ok_and(|comment| at + END + usize::from(comment) == len))
    };
    let at = (len.saturating_sub(MAX_TAIL)..=last).rev().find(is_end).ok_or(Fault::Malformed)?;
    let end = bytes.record(at, b"PK\x05\x06")?;
    let (mut disks, mut entries) = (end.u32(4)?.into(), u64::from(end.u16(10)?));
    let (mut size, mut offset, mut directory_end) = (u64::from(end.u32(12)?), u64::from(end.u32(16)?), at);
    let large = at.checked_sub(20).and_then(|at| bytes.record(at, b"PK\x06\x07").ok());
    if let Some(locator) = large {
        directory_end = usize::try_from(locator.u64(8)?).map_err(|_| Fault::Malformed)?;
        let end = bytes.record(directory_end, b"PK\x06\x06")?;
        (disks, entries, size, offset) = (end.u64(16)?, end.u64(32)?, end.u64(40)?, end.u64(48)?);
    }
    if disks != 0 {
        return Err(Fault::Unsupported);
    }
    let size = usize::try_from(size).map_err(|_| Fault::Malformed)?;
    let start = directory_end.checked_sub(size).ok_or(Fault::Malformed)?;
    let offset = usize::try_from(offset).map_err(|_| Fault::Malformed)?;
    let before = start.checked_sub(offset).ok_or(Fault::Malformed)?;
    Ok(Directory { range: start..directory_end, entries, before })
}

fn entry<'a>(bytes: Fields<'a>, at: usize, directory: &Directory) -> Result<Entry<'a>, Fault> {
    let entry = bytes.record(at, b"PK\x01\x02")?;
    let [name, extra, comment] = [entry.u16(28)?, entry.u16(30)?, entry.u16(32)?].map(usize::from);
    let (flags, method, sum) = (entry.u16(8)?, entry.u16(10)?, entry.u32(16)?);
    // Encrypted, a patch, or a directory that is.
    if flags & (1 | 1 << 5 | 1 << 13) != 0 {
        return Err(Fault::Unsupported);
    }
    let path = entry.slice(46, name)?;
    let mut time = dos_time(entry.u16(14)?, entry.u16(12)?);
    let [mut size, mut packed, mut offset] = [entry.u32(24)?, entry.u32(20)?, entry.u32(42)?].map(u64::from);
    let mut extra_fields = Fields(entry.slice(46 + name, extra)?);
    while extra_fields.0.len() >= 4 {
        let field = Fields(extra_fields.slice(4, extra_fields.u16(2)?.into())?);
        match extra_fields.u16(0)? {
            // Large numbers, of those that do not fit.
            1 => {
                let mut at = 0;
                for number in [&mut size, &mut packed, &mut offset] {
                    if *number == u64::from(u32::MAX) {
                        *number = field.u64(at)?;
                        at += 8;
                    }
                }
            }
            // The time of a change, in seconds, if the first bit says so.
            0x5455 if field.0.first().is_some_and(|flags| flags & 1 != 0) => {
                time = u64::from(field.u32(1)?).saturating_mul(1_000_000_000);
            }
            _ => {}
        }
        extra_fields = Fields(&extra_fields.0[4 + field.0.len()..]);
    }
    let range = data(bytes, offset, packed, directory)?;
    let packing = match method {
        0 if size == packed => Packing::Plain(range),
        8 if size <= packed.saturating_mul(MAX_RATIO) => Packing::Deflated { range, size, sum },
        0 | 8 => return Err(Fault::Malformed),
        _ => return Err(Fault::Unsupported),
    };
    let unix = entry.u16(4)? >> 8 == 3;
    Ok(Entry { path, packing, attributes: entry.u32(38)?, unix, time, end: at + 46 + name + extra + comment })
}

/// Where an entry's bytes are.
fn data(bytes: Fields<'_>, offset: u64, len: u64, directory: &Directory) -> Result<Range<usize>, Fault> {
    let [offset, len] = [offset, len].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let at = offset.checked_add(directory.before).ok_or(Fault::Malformed)?;
    let header = bytes.record(at, b"PK\x03\x04")?;
    let start = at + 30 + usize::from(header.u16(26)?) + usize::from(header.u16(28)?);
    let end = start.checked_add(len).filter(|&end| end <= directory.range.start);
    Ok(start..end.ok_or(Fault::Malformed)?)
}

/// What a symbolic link holds.
fn link(bytes: &[u8], packing: &Packing, left: &mut usize) -> Result<Body, Fault> {
    let size = packing.size();
    if size > MAX_TARGET as u64 {
        return Err(Fault::TooLong);
    }
    *left = left.checked_sub(size as usize).ok_or(Fault::TooMany)?;
    match packing {
        Packing::Plain(range) => target(bytes.get(range.clone()).unwrap_or_default()),
        Packing::Deflated { range, size, sum } => {
            let packed = bytes.get(range.clone()).unwrap_or_default();
            target(&inflate(packed, *size, *sum).map_err(|_| Fault::Malformed)?)
        }
    }
}

/// Nanoseconds since 1970, of a time that has no zone and is taken for that of Greenwich.
fn dos_time(date: u16, time: u16) -> u64 {
    let [date, time] = [date, time].map(u64::from);
    let (year, month, day) = (1980 + (date >> 9), (date >> 5 & 15).clamp(1, 12), (date & 31).max(1));
    // Days since 1970, in years that begin with March, so that a leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = (time >> 11) * 3600 + (time >> 5 & 63) * 60 + (time & 31) * 2;
    (days * 86_400 + seconds) * 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_dos() {
        let date = |year: u16, month: u16, day: u16| (year - 1980) << 9 | month << 5 | day;
        let time = |hour: u16, minute: u16, second: u16| hour << 11 | minute << 5 | (second / 2);
        for (date, time, seconds) in [
            (date(1980, 1, 1), time(0, 0, 0), 315_532_800),
            (date(2000, 2, 29), time(12, 0, 0), 951_825_600),
            (date(2000, 3, 1), time(0, 0, 0), 951_868_800),
            (date(2023, 11, 14), time(22, 13, 20), 1_700_000_000),
            (date(2107, 12, 31), time(23, 59, 58), 4_354_819_198),
            (0, 0, 315_532_800),
        ] {
            assert_eq!(dos_time(date, time), seconds * 1_000_000_000);
        }
        dos_time(u16::MAX, u16::MAX);
    }
}
