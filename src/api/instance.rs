//! Instances, and what goes in and out of them by name.
//!
//! Invariant: an instance is made only from things of its store that have the types its module wants, sizes as they are
//! now (§3.3.18); all that do not fit are named at once.

use alloc::string::String;
use alloc::vec::Vec;

use smallvec::SmallVec;

use super::Stored;
use super::func::Func;
use super::global::Global;
use super::linker::near_export;
use super::memory::Memory;
use super::module::{Module, type_of_import};
use super::store::{AsContext, AsContextMut, StoreContext, Whole};
use super::table::Table;
use super::typed::{TypedFunc, WasmParams, WasmResults};
use crate::budget::Resource;
use crate::error::{Error, Escaped, ImportError, Result};
use crate::module::{self, Description};
use crate::runtime::{ExternId, StoreInner};
use crate::types::{ExternKind, ExternType, Limits};

/// What an instance can import and export.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Extern {
    /// A function.
    Func(Func),
    /// A table.
    Table(Table),
    /// A memory.
    Memory(Memory),
    /// A global.
    Global(Global),
}

macro_rules! variants {
    ($($variant:ident $into:ident $doc:literal;)*) => {
        impl Extern {
            $(
                #[doc = $doc]
                pub fn $into(self) -> Option<$variant> {
                    if let Self::$variant(item) = self { Some(item) } else { None }
                }
            )*

            pub(super) fn id(self, store: &StoreInner) -> Result<ExternId> {
                Ok(match self {
                    $(Self::$variant(item) => ExternId::$variant(item.stored.check(store, self.kind().name())?),)*
                })
            }

            fn of(store: &StoreInner, id: ExternId) -> Option<Self> {
                match id {
                    $(ExternId::$variant(index) => {
                        Some(Self::$variant($variant { stored: Stored::new(store, index) }))
                    })*
                    _ => None,
                }
            }

            const fn kind(self) -> ExternKind {
                match self {
                    $(Self::$variant(_) => ExternKind::$variant,)*
                }
            }
        }

        $(impl From<$variant> for Extern {
            fn from(item: $variant) -> Self {
                Self::$variant(item)
            }
        })*
    };
}

variants! {
    Func into_func "The function, if this is one.";
    Table into_table "The table, if this is one.";
    Memory into_memory "The memory, if this is one.";
    Global into_global "The global, if this is one.";
}

impl Extern {
    /// The type. For a memory or table it is the declared one, whatever the size is now.
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        match self {
            Self::Func(func) => func.ty(store).into(),
            Self::Table(table) => table.ty(store).into(),
            Self::Memory(memory) => memory.ty(store).into(),
            Self::Global(global) => global.ty(store).into(),
        }
    }
}

impl ExternKind {
    /// For sentences.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Func => "function",
            Self::Table => "table",
            Self::Memory => "memory",
            Self::Global => "global",
            Self::Tag => "tag",
        }
    }
}

/// An instance of a module. Copies are the same instance; the store keeps it.
///
/// A [`Linker`](super::Linker) finds imports by name; [`Instance::new`] takes them in order.
///
/// ```
/// use jitless::{Engine, Func, Instance, Module, Store};
///
/// let wasm = wat::parse_str(r#"(module (import "env" "double" (func $double (param i32) (result i32)))
///     (func (export "quadruple") (param i32) (result i32) (call $double (call $double (local.get 0)))))"#)?;
/// let engine = Engine::default();
/// let mut store = Store::new(&engine, ());
/// let double = Func::wrap(&mut store, |n: i32| n.wrapping_mul(2));
/// let instance = Instance::new(&mut store, &Module::new(&engine, wasm)?, &[double.into()])?;
/// let quadruple = instance.get_typed_func::<i32, i32>(&store, "quadruple")?;
/// assert_eq!(quadruple.call(&mut store, 5)?, 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Instance {
    pub(super) stored: Stored,
}

/// Something that an instance exports, as [`Instance::exports`] gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Export<'a> {
    name: &'a str,
    item: Extern,
}

impl<'a> Export<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The thing itself.
    pub fn into_extern(self) -> Extern {
        self.item
    }

    /// Its type.
    pub fn ty(&self, store: impl AsContext) -> ExternType {
        self.item.ty(store)
    }

    /// The function, if it is one.
    pub fn into_func(self) -> Option<Func> {
        self.item.into_func()
    }

    /// The table, if it is one.
    pub fn into_table(self) -> Option<Table> {
        self.item.into_table()
    }

    /// The memory, if it is one.
    pub fn into_memory(self) -> Option<Memory> {
        self.item.into_memory()
    }

    /// The global, if it is one.
    pub fn into_global(self) -> Option<Global> {
        self.item.into_global()
    }
}

/// Types are numbered by engine: a module of another means others.
fn check_engine<T>(whole: &Whole<T>, module: &Module) -> Result<()> {
    if alloc::sync::Arc::ptr_eq(&module.engine.inner, &whole.engine.inner) {
        return Ok(());
    }
    Err(Error::argument("the module belongs to another engine"))
}

impl Instance {
    /// Instantiates a module with its imports in the module's order, and runs its start function.
    ///
    /// If the start function fails, so does this; what it did to imported things stays done.
    pub fn new(mut store: impl AsContextMut, module: &Module, imports: &[Extern]) -> Result<Self> {
        let whole = store.as_context_mut().0;
        check_engine(whole, module)?;
        let desc = module.desc();
        super::func::check_count("imports", desc.imports.len(), imports.len())?;
        let mut wrong = Vec::new();
        for (number, &item) in imports.iter().enumerate() {
            item.id(&whole.inner)?;
            if let Some(found) = misfit(&whole.inner, desc, desc.imports[number].ty, item) {
                wrong.push(incompatible(desc, number, found));
            }
        }
        if !wrong.is_empty() {
            return Err(Error::link(wrong, desc.imports.len()));
        }
        Self::of_fitting(whole, module, imports)
    }

    /// Instantiates with imports that were found to fit.
    pub(super) fn of_fitting<T>(whole: &mut Whole<T>, module: &Module, imports: &[Extern]) -> Result<Self> {
        check_engine(whole, module)?;
        let desc = module.desc();
        let ids = imports.iter().map(|item| item.id(&whole.inner)).collect::<Result<SmallVec<[_; 16]>>>()?;
        whole.check_instance(desc)?;
        let (instance, start) = whole.inner.instantiate(&module.loaded, &ids)?;
        if let Some(start) = start {
            whole.call(start, &[], &mut [])?;
        }
        Ok(Self { stored: Stored::new(&whole.inner, instance) })
    }

    /// The export with this name.
    pub fn get_export(&self, store: impl AsContext, name: &str) -> Option<Extern> {
        let inner = &store.as_context().0.inner;
        let instance = self.stored.of(inner)?;
        let export = inner.instance(instance).module.desc.export(name)?;
        Extern::of(inner, inner.instance(instance).export(export))
    }

    /// The exported function with this name.
    pub fn get_func(&self, store: impl AsContext, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// The exported function with this name and type. The error says what there is.
    pub fn get_typed_func<P: WasmParams, R: WasmResults>(
        &self,
        store: impl AsContext,
        name: &str,
    ) -> Result<TypedFunc<P, R>> {
        match self.get_export(&store, name) {
            Some(Extern::Func(func)) => TypedFunc::new(store, func, Some(name)),
            Some(other) => Err(Error::argument(alloc::format!(
                "export {} is a {}, not a function",
                Escaped(name),
                other.kind().name()
            ))),
            None => Err(self.missing(&store, name)),
        }
    }

    /// The exported memory with this name.
    pub fn get_memory(&self, store: impl AsContext, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// The exported table with this name.
    pub fn get_table(&self, store: impl AsContext, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }

    /// The exported global with this name.
    pub fn get_global(&self, store: impl AsContext, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }

    /// Everything that the instance exports, in its module's order; nothing if it is of another store.
    pub fn exports<'a, T: 'a>(
        &self,
        store: impl Into<StoreContext<'a, T>>,
    ) -> impl ExactSizeIterator<Item = Export<'a>> {
        let inner = &store.into().0.inner;
        let instance = self.stored.of(inner).map(|instance| inner.instance(instance));
        let exports = instance.map_or(&[][..], |instance| &instance.module.desc.exports);
        let found = exports.iter().filter_map(move |export| {
            let instance = instance?;
            let name = instance.module.desc.text(&export.name);
            Some(Export { name, item: Extern::of(inner, instance.export(export))? })
        });
        // Collected, so that its length is known: tags are not among the things that there are yet.
        found.collect::<Vec<_>>().into_iter()
    }

    /// The module that it is an instance of; `None` if it is of another store.
    pub(super) fn desc<'a, T>(&self, store: StoreContext<'a, T>) -> Option<&'a Description> {
        let inner = &store.0.inner;
        Some(&inner.instance(self.stored.of(inner)?).module.desc)
    }

    #[cold]
    fn missing(&self, store: &impl AsContext, name: &str) -> Error {
        let context = store.as_context();
        let Some(desc) = self.desc(context) else { return super::foreign("instance") };
        let near = match near_export(desc, name) {
            Some(near) => alloc::format!("; did you mean {near}"),
            None => String::new(),
        };
        Error::argument(alloc::format!("no export named {}{near}", Escaped(name)))
    }
}

impl<T> Whole<T> {
    /// May a memory or table grow, as the embedder's limiter sees it? The store's own limits come with the growth.
    pub(super) fn check_growth(&mut self, table: bool, current: u64, desired: u64, most: Option<u64>) -> Result<()> {
        if self.ask(table, current, desired, most)? {
            return Ok(());
        }
        let (what, unit) = if table { ("a table", " elements") } else { ("a memory", " bytes") };
        Err(Error::budget_of(what, unit, current, desired))
    }

    /// May an instance be made, as the embedder's limiter sees it?
    fn check_instance(&mut self, desc: &Description) -> Result<()> {
        let Some(limits) = self.count_limits() else { return Ok(()) };
        let (tables, memories) = (&desc.tables[desc.imported_tables as usize..], desc.memories.iter());
        let memories = memories.skip(desc.imported_memories as usize);
        let counts = [
            (Resource::Instances, "instances", 1),
            (Resource::Tables, "tables", tables.len() as u64),
            (Resource::Memories, "memories", memories.len() as u64),
        ];
        for (limit, (resource, what, more)) in limits.into_iter().zip(counts) {
            let wanted = self.inner.budget.count(resource).saturating_add(more);
            if more > 0 && wanted > limit as u64 {
                return Err(Error::budget_of(what, "", limit as u64, wanted));
            }
        }
        for table in tables {
            self.check_growth(true, 0, table.ty.limits.min, table.ty.limits.max)?;
        }
        for memory in memories {
            let bytes = |pages: u64| pages.saturating_mul(memory.page_size());
            self.check_growth(false, 0, bytes(memory.limits.min), memory.limits.max.map(bytes))?;
        }
        Ok(())
    }
}

/// The type of a thing that does not fit an import; `None` if it fits. It is of this store.
pub(super) fn misfit(
    store: &StoreInner,
    desc: &Description,
    wanted: module::ImportType,
    item: Extern,
) -> Option<ExternType> {
    let types = &store.engine.types;
    let now = |limits: Limits, size: u64| Limits::new(size, limits.max);
    let found: ExternType = match (item, wanted) {
        (Extern::Func(func), module::ImportType::Func(index)) => {
            let found = func.stored.of(store)?;
            let wanted = desc.types.get(index as usize)?;
            if types.is_subtype(store.func_type_id(found), *wanted) {
                return None;
            }
            return Some(store.func_type(found).clone().into());
        }
        (Extern::Func(func), _) => store.func_type(func.stored.of(store)?).clone().into(),
        (Extern::Table(table), _) => {
            let table = store.table(table.stored.of(store)?);
            let mut ty = table.ty;
            ty.limits = now(ty.limits, table.len());
            ty.into()
        }
        (Extern::Memory(memory), _) => {
            let memory = store.memory(memory.stored.of(store)?);
            let mut ty = memory.ty;
            ty.limits = now(ty.limits, memory.pages());
            ty.into()
        }
        (Extern::Global(global), _) => store.global_type(global.stored.of(store)?).into(),
    };
    if types.matches_extern(&found, &type_of_import(desc, wanted)) { None } else { Some(found) }
}

#[cold]
pub(super) fn incompatible(desc: &Description, number: usize, found: ExternType) -> ImportError {
    let (module, name) = desc.import_name(number);
    ImportError::incompatible(module, name, type_of_import(desc, desc.imports[number].ty), found)
}
