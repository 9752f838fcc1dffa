//! Linear memories.
//!
//! Invariant: every range is checked before anything is read, written, copied or allocated, without an addition that can
//! overflow.

use super::Stored;
use super::store::{AsContext, AsContextMut, StoreContext, StoreContextMut};
use crate::error::{Error, Result, TrapDetail};
use crate::types::MemoryType;
use jitless_machine::trap::Trap;

/// A linear memory. Copies are the same memory; the store keeps it.
///
/// ```
/// use jitless::{Engine, Memory, MemoryType, Store};
///
/// let mut store = Store::new(&Engine::default(), ());
/// let memory = Memory::new(&mut store, MemoryType::new(1, Some(2)))?;
/// memory.write(&mut store, 10, b"abc")?;
/// assert_eq!(memory.read_str(&store, 10, 3)?, "abc");
/// memory.data_mut(&mut store)[10] = b'x';
/// let mut buffer = [0; 3];
/// memory.read(&store, 10, &mut buffer)?;
/// assert_eq!(&buffer, b"xbc");
/// assert_eq!(memory.grow(&mut store, 1)?, 1);
/// assert!(memory.grow(&mut store, 1).is_err());
/// assert!(memory.write(&mut store, 131_070, b"abc").is_err());
/// # Ok::<(), jitless::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Memory {
    pub(super) stored: Stored,
}

impl Memory {
    /// A memory of zeros, outside of all instances.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Self> {
        let whole = store.as_context_mut().0;
        if !matches!(ty.page_size_log2, 0 | 16) {
            return Err(Error::argument("a page is of 1 or 65536 bytes"));
        }
        if ty.limits.max.is_some_and(|max| ty.limits.min > max) {
            return Err(Error::argument("size minimum must not be greater than maximum"));
        }
        let least = ty.limits.min.saturating_mul(ty.page_size());
        whole.check_growth(false, 0, least, ty.limits.max.map(|max| max.saturating_mul(ty.page_size())))?;
        let index = whole.inner.add_memory(ty)?;
        Ok(Self { stored: Stored::new(&whole.inner, index) })
    }

    /// The type, as it was declared: growth does not change it. Of a memory of another store it is `(memory 0 0)`.
    pub fn ty(&self, store: impl AsContext) -> MemoryType {
        let inner = &store.as_context().0.inner;
        self.stored.of(inner).map_or(MemoryType::new(0, Some(0)), |memory| inner.memory(memory).ty)
    }

    /// The size in pages; 0 if the memory is of another store.
    pub fn size(&self, store: impl AsContext) -> u64 {
        let inner = &store.as_context().0.inner;
        self.stored.of(inner).map_or(0, |memory| inner.memory(memory).pages())
    }

    /// The size of a page in bytes.
    pub fn page_size(&self, store: impl AsContext) -> u64 {
        self.ty(store).page_size()
    }

    /// The size in bytes; 0 if the memory is of another store.
    pub fn data_size(&self, store: impl AsContext) -> usize {
        let inner = &store.as_context().0.inner;
        self.stored.of(inner).map_or(0, |memory| inner.memory(memory).bytes().len())
    }

    /// Grows the memory by `delta` pages and returns its size before, or an error, and the memory stays as it is.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64) -> Result<u64> {
        let whole = store.as_context_mut().0;
        let memory = self.stored.check(&whole.inner, "memory")?;
        let (ty, pages) = (whole.inner.memory(memory).ty, whole.inner.memory(memory).pages());
        let bytes = |pages: u64| pages.saturating_mul(ty.page_size());
        whole.check_growth(false, bytes(pages), bytes(pages.saturating_add(delta)), ty.limits.max.map(bytes))?;
        whole.inner.grow_memory(memory, delta)
    }

    /// The bytes; none if the memory is of another store.
    ///
    /// The borrow keeps the store from running, so no guest sees or changes them meanwhile.
    pub fn data<'a, T: 'a>(&self, store: impl Into<StoreContext<'a, T>>) -> &'a [u8] {
        let inner = &store.into().0.inner;
        self.stored.of(inner).map_or(&[], |memory| inner.memory(memory).bytes())
    }

    /// The bytes, to be changed; none if the memory is of another store.
    pub fn data_mut<'a, T: 'a>(&self, store: impl Into<StoreContextMut<'a, T>>) -> &'a mut [u8] {
        self.data_and_store_mut(store).0
    }

    /// The bytes and the store's data at once, both to be changed.
    ///
    /// This is what most host functions need: see [`Caller`](super::Caller).
    pub fn data_and_store_mut<'a, T: 'a>(&self, store: impl Into<StoreContextMut<'a, T>>) -> (&'a mut [u8], &'a mut T) {
        let whole = store.into().0;
        let bytes = match self.stored.of(&whole.inner) {
            Some(memory) => whole.inner.memory_mut(memory).bytes_mut(),
            None => &mut [],
        };
        (bytes, &mut whole.data)
    }

    /// Fills `buffer` from the bytes at `offset`; a trap as of an instruction, and nothing read, if they are not all there.
    pub fn read(&self, store: impl AsContext, offset: usize, buffer: &mut [u8]) -> Result<()> {
        let context = store.as_context();
        buffer.copy_from_slice(self.range(context, "read", offset as u64, buffer.len() as u64)?);
        Ok(())
    }

    /// Copies `buffer` to `offset`; a trap as of an instruction, and nothing written, if it does not fit.
    pub fn write(&self, mut store: impl AsContextMut, offset: usize, buffer: &[u8]) -> Result<()> {
        let inner = &mut store.as_context_mut().0.inner;
        let memory = self.stored.check(inner, "memory")?;
        let bytes = inner.memory_mut(memory).bytes_mut();
        let len = bytes.len();
        match part(len, offset as u64, buffer.len() as u64) {
            Some(range) => bytes[range].copy_from_slice(buffer),
            None => return Err(outside("write", offset as u64, buffer.len() as u64, len)),
        }
        Ok(())
    }

    /// The text of `len` bytes at `ptr`: what a guest passes as a string.
    ///
    /// An error if the bytes are not all there, or not UTF-8.
    pub fn read_str<'a, T: 'a>(&self, store: impl Into<StoreContext<'a, T>>, ptr: u32, len: u32) -> Result<&'a str> {
        let bytes = self.range(store.into(), "read", u64::from(ptr), u64::from(len))?;
        core::str::from_utf8(bytes).map_err(Error::new)
    }

    /// Copies a text to `ptr`, without a terminator. There must be room: ask the guest's own allocator for it.
    pub fn write_str(&self, store: impl AsContextMut, ptr: u32, text: &str) -> Result<()> {
        self.write(store, ptr as usize, text.as_bytes())
    }

    /// The text at `ptr` up to a zero byte: what a guest written in C passes as a string.
    ///
    /// An error if the memory ends before a zero byte, or if the bytes are not UTF-8.
    pub fn read_cstr<'a, T: 'a>(&self, store: impl Into<StoreContext<'a, T>>, ptr: u32) -> Result<&'a str> {
        let context = store.into();
        let memory = self.stored.check(&context.0.inner, "memory")?;
        let bytes = context.0.inner.memory(memory).bytes();
        let end = bytes.get(ptr as usize..).and_then(|rest| rest.iter().position(|&byte| byte == 0));
        let Some(len) = end else {
            let missing = (bytes.len() as u64).saturating_sub(u64::from(ptr)) + 1;
            return Err(outside("read", u64::from(ptr), missing, bytes.len()));
        };
        core::str::from_utf8(&bytes[ptr as usize..][..len]).map_err(Error::new)
    }

    fn range<'a, T>(&self, store: StoreContext<'a, T>, verb: &'static str, ptr: u64, len: u64) -> Result<&'a [u8]> {
        let inner = &store.0.inner;
        let bytes = inner.memory(self.stored.check(inner, "memory")?).bytes();
        match part(bytes.len(), ptr, len) {
            Some(range) => Ok(&bytes[range]),
            None => Err(outside(verb, ptr, len, bytes.len())),
        }
    }
}

/// The range of `len` bytes at `ptr`, if it lies in `size` bytes.
fn part(size: usize, ptr: u64, len: u64) -> Option<core::ops::Range<usize>> {
    let end = ptr.checked_add(len).filter(|&end| end <= size as u64)?;
    Some(ptr as usize..end as usize)
}

/// What a guest would get for the same. Which of a module's memories it is, a handle does not know.
#[cold]
fn outside(operator: &'static str, base: u64, size: u64, len: usize) -> Error {
    let detail = TrapDetail::Memory { operator, size, base, offset: 0, memory: 0, len: len as u64 };
    Error::trap_with(Trap::MemoryOutOfBounds, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (ptr, len, want) in [
            (0, 0, Some(0..0)),
            (0, 10, Some(0..10)),
            (10, 0, Some(10..10)),
            (11, 0, None),
            (10, 1, None),
            (u64::MAX, 0, None),
            (u64::MAX, 1, None),
            (1, u64::MAX, None),
        ] {
            assert_eq!(part(10, ptr, len), want, "{ptr} {len}");
        }
    }
}
