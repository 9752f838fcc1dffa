//! The name section (appendix A.4.2), read when somebody first asks, into a sorted list of ranges.
//!
//! Invariant: it only ever helps a reader. A subsection with a fault gives no names at all, nothing here is an error,
//! and no table is as long as a number that the section claims.

use super::Description;
use alloc::vec::Vec;
use core::ops::Range;
use spin::Mutex;
use wasmparser::{BinaryReader, Name, NameMap, NameSectionReader};

/// The name section of a module.
#[derive(Default)]
pub(crate) struct Names {
    /// The contents of the first custom section with that name.
    section: Option<Range<u32>>,
    index: Mutex<Option<Index>>,
}

#[derive(Default)]
struct Index {
    module: Option<Range<u32>>,
    /// By function, ascending.
    funcs: Vec<(u32, Range<u32>)>,
}

impl Names {
    pub(super) fn new(section: Option<Range<u32>>) -> Names {
        Names { section, index: Mutex::new(None) }
    }

    /// Where the module's name lies, in UTF-8.
    pub(super) fn module(&self, desc: &Description) -> Option<Range<u32>> {
        self.with(desc, |index| index.module.clone())
    }

    /// Where a function's name lies, in UTF-8.
    pub(super) fn func(&self, desc: &Description, function: u32) -> Option<Range<u32>> {
        self.with(desc, |index| {
            let at = index.funcs.binary_search_by_key(&function, |(function, _)| *function).ok()?;
            Some(index.funcs[at].1.clone())
        })
    }

    fn with<T>(&self, desc: &Description, use_index: impl FnOnce(&Index) -> Option<T>) -> Option<T> {
        let section = self.section.as_ref()?;
        let mut index = self.index.lock();
        use_index(index.get_or_insert_with(|| Index::read(desc, section)))
    }
}

impl Index {
    fn read(desc: &Description, section: &Range<u32>) -> Index {
        let mut index = Index::default();
        let reader = BinaryReader::new(desc.slice(section), u64::from(section.start));
        for subsection in NameSectionReader::new(reader) {
            match subsection {
                Ok(Name::Module { name, .. }) => index.module = Some(desc.range_of(name)),
                Ok(Name::Function(names)) => index.funcs = funcs(desc, names).unwrap_or_default(),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        index
    }
}

/// All or nothing. As indices ascend and functions exist, there are never more names than functions.
fn funcs(desc: &Description, names: NameMap<'_>) -> Option<Vec<(u32, Range<u32>)>> {
    let mut funcs = Vec::new();
    for naming in names {
        let naming = naming.ok()?;
        if naming.index as usize >= desc.funcs.len() {
            return None;
        }
        funcs.push((naming.index, desc.range_of(naming.name)));
    }
    Some(funcs)
}
