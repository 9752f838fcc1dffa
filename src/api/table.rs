//! Tables of references.
//!
//! Invariant: an element is of the table's type, whoever sets it.

use super::Stored;
use super::store::{AsContext, AsContextMut, Whole};
use super::val::Ref;
use crate::error::{Error, Result, TrapDetail};
use crate::types::{RefType, TableType};
use jitless_machine::trap::Trap;

/// A table. Copies are the same table; the store keeps it.
///
/// ```
/// use jitless::{Engine, Func, Ref, RefType, Store, Table, TableType};
///
/// let mut store = Store::new(&Engine::default(), ());
/// let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 2, None), Ref::Func(None))?;
/// let answer = Func::wrap(&mut store, || 42);
/// table.set(&mut store, 1, answer.into())?;
/// assert_eq!(table.get(&store, 1), Some(Ref::Func(Some(answer))));
/// assert_eq!(table.get(&store, 2), None);
/// assert_eq!(table.grow(&mut store, 3, Ref::Func(None))?, 2);
/// assert_eq!(table.size(&store), 5);
/// # Ok::<(), jitless::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Table {
    pub(super) stored: Stored,
}

impl Table {
    /// A table whose elements are all `init`, outside of all instances.
    pub fn new(mut store: impl AsContextMut, ty: TableType, init: Ref) -> Result<Self> {
        let whole = store.as_context_mut().0;
        if ty.limits.max.is_some_and(|max| ty.limits.min > max) {
            return Err(Error::argument("size minimum must not be greater than maximum"));
        }
        whole.check_growth(true, 0, ty.limits.min, ty.limits.max)?;
        let init = lower(whole, ty.element, &init)?;
        let index = whole.inner.add_table(ty, init)?;
        Ok(Self { stored: Stored::new(&whole.inner, index) })
    }

    /// The type, as it was declared: growth does not change it. Of a table of another store it is `(table 0 0 funcref)`.
    pub fn ty(&self, store: impl AsContext) -> TableType {
        let inner = &store.as_context().0.inner;
        let none = TableType::new(RefType::FUNCREF, 0, Some(0));
        self.stored.of(inner).map_or(none, |table| inner.table(table).ty)
    }

    /// The number of elements; 0 if the table is of another store.
    pub fn size(&self, store: impl AsContext) -> u64 {
        let inner = &store.as_context().0.inner;
        self.stored.of(inner).map_or(0, |table| inner.table(table).len())
    }

    /// The element at `index`, if the table has one there.
    pub fn get(&self, store: impl AsContext, index: u64) -> Option<Ref> {
        let inner = &store.as_context().0.inner;
        let table = inner.table(self.stored.of(inner)?);
        Some(Ref::lift(table.ty.element, inner, table.get(index)?))
    }

    /// Sets the element at `index`.
    pub fn set(&self, store: impl AsContextMut, index: u64, value: Ref) -> Result<()> {
        self.fill_as("set", store, index, value, 1)
    }

    /// Grows the table by `delta` elements that are all `init`, and returns its size before, or an error, and the table
    /// stays as it is.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64, init: Ref) -> Result<u64> {
        let whole = store.as_context_mut().0;
        let table = self.stored.check(&whole.inner, "table")?;
        let (ty, size) = (whole.inner.table(table).ty, whole.inner.table(table).len());
        let init = lower(whole, ty.element, &init)?;
        whole.check_growth(true, size, size.saturating_add(delta), ty.limits.max)?;
        whole.inner.grow_table(table, delta, init)
    }

    /// Sets `len` elements from `index` on to `value`.
    pub fn fill(&self, store: impl AsContextMut, index: u64, value: Ref, len: u64) -> Result<()> {
        self.fill_as("fill", store, index, value, len)
    }

    fn fill_as(
        &self,
        verb: &'static str,
        mut store: impl AsContextMut,
        index: u64,
        value: Ref,
        len: u64,
    ) -> Result<()> {
        let whole = store.as_context_mut().0;
        let table = self.stored.check(&whole.inner, "table")?;
        let value = lower(whole, whole.inner.table(table).ty.element, &value)?;
        let elements = whole.inner.table_mut(table).elements_mut();
        match index.checked_add(len).filter(|&end| end <= elements.len() as u64) {
            Some(end) => elements[index as usize..end as usize].fill(value),
            None => return Err(outside(verb, index, len, elements.len() as u64)),
        }
        Ok(())
    }

    /// Copies `len` elements from `source_index` of `source` to `index` of `target`, which may be the same table.
    pub fn copy(
        mut store: impl AsContextMut,
        target: &Self,
        index: u64,
        source: &Self,
        source_index: u64,
        len: u64,
    ) -> Result<()> {
        let inner = &mut store.as_context_mut().0.inner;
        let (to, from) = (target.stored.check(inner, "table")?, source.stored.check(inner, "table")?);
        let (wanted, found) = (inner.table(to).ty.element, inner.table(from).ty.element);
        if !inner.engine.types.matches_ref(found, wanted) {
            return Err(Error::argument(alloc::format!("elements of type {found} do not fit a table of {wanted}")));
        }
        for (table, start) in [(from, source_index), (to, index)] {
            let size = inner.table(table).len();
            if start.checked_add(len).is_none_or(|end| end > size) {
                return Err(outside("copy", start, len, size));
            }
        }
        let (index, source_index, len) = (index as usize, source_index as usize, len as usize);
        if to == from {
            inner.table_mut(to).elements_mut().copy_within(source_index..source_index + len, index);
        } else {
            for k in 0..len {
                let element = inner.table(from).elements()[source_index + k];
                inner.table_mut(to).elements_mut()[index + k] = element;
            }
        }
        Ok(())
    }
}

/// The slot that stands for an element.
fn lower<T>(whole: &mut Whole<T>, ty: RefType, value: &Ref) -> Result<u64> {
    whole.inner.externs_make_room();
    value.lower(ty, &mut whole.inner)
}

/// What a guest would get for the same. Which of a module's tables it is, a handle does not know.
#[cold]
fn outside(operator: &'static str, index: u64, size: u64, len: u64) -> Error {
    Error::trap_with(Trap::TableOutOfBounds, TrapDetail::Table { operator, size, index, table: 0, len })
}
