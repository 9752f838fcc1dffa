//! The index of a tar archive.
//!
//! Idea: the crate `tar` reads headers and long names; what a file holds is only remembered as a place.

use std::io::Cursor;

use tar::{Archive, EntryType};

use super::tree::{Body, Packing, Tree, target};
use super::{ArchiveError, Fault};

/// Reads all headers.
pub(in crate::wasi::fs) fn index(bytes: &[u8]) -> Result<Tree, ArchiveError> {
    let malformed = |_| ArchiveError::new(b"", Fault::Malformed);
    let mut tree = Tree::new();
    let mut archive = Archive::new(Cursor::new(bytes));
    for entry in archive.entries_with_seek().map_err(malformed)? {
        let mut entry = entry.map_err(malformed)?;
        let path = entry.path_bytes().into_owned();
        let fail = |fault| ArchiveError::new(&path, fault);
        let size = usize::try_from(entry.size()).ok();
        let start = usize::try_from(entry.raw_file_position()).ok();
        let end = start.zip(size).and_then(|(start, size)| start.checked_add(size));
        let (Some(start), Some(end)) = (start, end.filter(|&end| end <= bytes.len())) else {
            return Err(fail(Fault::Malformed));
        };
        let time = time(&mut entry).ok_or_else(|| fail(Fault::Malformed))?;
        let points_to = entry.link_name_bytes().unwrap_or_default();
        match entry.header().entry_type() {
            // In old archives, what ends in a slash is a directory.
            EntryType::Regular if path.ends_with(b"/") => tree.add(&path, Body::Dir { listed: true }, time)?,
            EntryType::Regular | EntryType::Continuous => {
                tree.add(&path, Body::File(Packing::Plain(start..end)), time)?;
            }
            EntryType::Directory => tree.add(&path, Body::Dir { listed: true }, time)?,
            EntryType::Symlink => tree.add(&path, target(&points_to).map_err(fail)?, time)?,
            EntryType::Link => tree.link(&path, &points_to)?,
            EntryType::Char | EntryType::Block | EntryType::Fifo | EntryType::XGlobalHeader => {}
            _ => return Err(fail(Fault::Unsupported)),
        }
    }
    Ok(tree.finish())
}

/// When the entry last changed, in nanoseconds; before 1970 is 1970.
fn time(entry: &mut tar::Entry<'_, Cursor<&[u8]>>) -> Option<u64> {
    if let Some(extensions) = entry.pax_extensions().ok()? {
        for extension in extensions {
            let extension = extension.ok()?;
            if extension.key_bytes() == b"mtime" {
                return nanoseconds(extension.value().ok()?);
            }
        }
    }
    Some(entry.header().mtime().ok()?.saturating_mul(1_000_000_000))
}

/// Seconds with a fraction, as `1700000000.25`.
fn nanoseconds(text: &str) -> Option<u64> {
    if text.starts_with('-') {
        return Some(0);
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.bytes().chain(core::iter::repeat(b'0')).take(9);
    let mut fraction = digits.map(|digit| digit.is_ascii_digit().then(|| u64::from(digit - b'0')));
    let fraction = fraction.try_fold(0, |sum, digit| Some(10 * sum + digit?))?;
    Some(seconds.parse::<u64>().ok()?.saturating_mul(1_000_000_000).saturating_add(fraction))
}
