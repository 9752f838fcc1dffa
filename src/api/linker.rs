//! Linking by name.
//!
//! Idea: names are kept sorted, so that an error always lists the same near names, and no guest chooses a collision.
//! Host functions lie here outside of any store, and come into one when an instance there first imports them.
//!
//! Invariant: a link error names every import that does not fit, with what is wanted and what is there.

use alloc::boxed::Box;
use alloc::collections::btree_map::{BTreeMap, Entry};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Debug, Formatter};

use smallvec::SmallVec;

use super::caller::Caller;
use super::engine::Engine;
use super::func::{Func, HostFunc, IntoFunc};
use super::global::Global;
use super::instance::{Extern, Instance, incompatible, misfit};
use super::memory::Memory;
use super::module::{Module, type_of_import};
use super::store::{AsContext, AsContextMut, Whole};
use super::table::Table;
use super::val::{Ref, Val};
use super::{Stored, foreign};
use crate::error::{Error, Escaped, ImportError, Result, near};
use crate::module::{Description, ImportType};
use crate::types::{ExternType, FuncType};

/// Definitions by two names, from which modules take their imports.
///
/// Host functions need no store, so one linker serves any number of stores with the same type of data.
///
/// ```
/// use jitless::{Engine, Linker, Module, Store};
///
/// let engine = Engine::default();
/// let mut linker = Linker::new(&engine);
/// linker.func_wrap("env", "now_ms", || 1234i64)?;
/// let wasm = wat::parse_str(r#"(module (import "env" "now" (func (result i64))))"#)?;
/// let error = linker.instantiate(Store::new(&engine, ()), &Module::new(&engine, wasm)?).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "unknown import: env.now not defined; did you mean env.now_ms (func (result i64))?",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Linker<T> {
    engine: Engine,
    shadowing: bool,
    modules: BTreeMap<Box<str>, BTreeMap<Box<str>, Definition<T>>>,
}

enum Definition<T> {
    Host(HostFunc<T>),
    /// A thing of a store, with its type when it was defined.
    Extern(Extern, ExternType),
}

impl<T> Linker<T> {
    /// A linker without definitions.
    pub fn new(engine: &Engine) -> Self {
        Self { engine: engine.clone(), shadowing: false, modules: BTreeMap::new() }
    }

    /// The engine whose modules it links.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// May a name be defined again, so that the later definition counts? If not, and that is so at first, it is an error.
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        self.shadowing = allow;
        self
    }

    /// Defines a host function from a closure, as [`Func::wrap`] does.
    pub fn func_wrap<Params, Results>(
        &mut self,
        module: &str,
        name: &str,
        func: impl IntoFunc<T, Params, Results>,
    ) -> Result<&mut Self> {
        let func = func.into_func(&self.engine);
        self.insert(module, name, Definition::Host(func))
    }

    /// Defines a host function of a type that is only known when the program runs, as [`Func::new`] does.
    ///
    /// ```
    /// # use jitless::{Caller, Engine, FuncType, Linker, Val, ValType};
    /// # let engine = Engine::default();
    /// # let mut linker = Linker::<()>::new(&engine);
    /// let ty = FuncType::new(&engine, [ValType::I32], [ValType::I64]);
    /// linker.func_new("env", "widen", ty, |_: Caller<'_, ()>, params: &[Val], results: &mut [Val]| {
    ///     results[0] = Val::I64(params[0].i32().unwrap_or(0).into());
    ///     Ok(())
    /// })?;
    /// # Ok::<(), jitless::Error>(())
    /// ```
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        func: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        let func = HostFunc::new(&self.engine, ty, func);
        self.insert(module, name, Definition::Host(func))
    }

    /// Defines a thing of a store; only instances of that store can import it.
    pub fn define(
        &mut self,
        store: impl AsContext<Data = T>,
        module: &str,
        name: &str,
        item: impl Into<Extern>,
    ) -> Result<&mut Self> {
        let (item, inner) = (item.into(), &store.as_context().0.inner);
        if !Engine::same(&self.engine, &store.as_context().0.engine) {
            return Err(Error::argument("the store belongs to another engine"));
        }
        item.id(inner)?;
        self.insert(module, name, Definition::Extern(item, item.ty(&store)))
    }

    /// Defines all exports of an instance under the name of its module.
    pub fn instance(
        &mut self,
        store: impl AsContext<Data = T>,
        module_name: &str,
        instance: Instance,
    ) -> Result<&mut Self> {
        let context = store.as_context();
        if instance.desc(context).is_none() {
            return Err(foreign("instance"));
        }
        for export in instance.exports(context) {
            self.define(context, module_name, export.name(), export.into_extern())?;
        }
        Ok(self)
    }

    /// Instantiates a module, calls its export `_initialize` if it has one, and defines its exports under `module_name`.
    pub fn module(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module_name: &str,
        module: &Module,
    ) -> Result<&mut Self> {
        let instance = self.instantiate(&mut store, module)?;
        if instance.get_func(&store, "_initialize").is_some() {
            instance.get_typed_func::<(), ()>(&store, "_initialize")?.call(&mut store, ())?;
        }
        self.instance(&store, module_name, instance)
    }

    /// Defines something under other names too.
    pub fn alias(&mut self, module: &str, name: &str, as_module: &str, as_name: &str) -> Result<&mut Self> {
        let Some(definition) = self.find(module, name) else {
            let (module, name) = (Escaped(module), Escaped(name));
            return Err(Error::argument(alloc::format!("{module}.{name} is not defined")));
        };
        let definition = definition.clone();
        self.insert(as_module, as_name, definition)
    }

    /// Defines everything of a module name under another too.
    pub fn alias_module(&mut self, module: &str, as_module: &str) -> Result<()> {
        let Some(definitions) = self.modules.get(module) else {
            return Err(Error::argument(alloc::format!("nothing is defined in {}", Escaped(module))));
        };
        let definitions: Vec<_> = definitions.iter().map(|(name, item)| (name.clone(), item.clone())).collect();
        for (name, definition) in definitions {
            self.insert(as_module, &name, definition)?;
        }
        Ok(())
    }

    /// Defines every function that `module` imports and that is not defined yet, as one that fails when it is called.
    ///
    /// Imports of other sorts have to be defined all the same.
    pub fn define_unknown_imports_as_traps(&mut self, module: &Module) -> Result<()> {
        self.each_unknown(module, |linker, module, name, ty| {
            let ExternType::Func(ty) = ty else { return Ok(()) };
            let error = alloc::format!("call of {}.{}, which is not defined", Escaped(module), Escaped(name));
            linker.func_new(module, name, ty, move |_, _, _| Err(Error::msg(&error)))?;
            Ok(())
        })
    }

    /// Defines everything that `module` imports and that is not defined yet: functions that return zeros and nulls,
    /// globals that hold them, memories and tables of the least size.
    pub fn define_unknown_imports_as_default_values(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<()> {
        self.each_unknown(module, |linker, module, name, ty| {
            let no_default = |ty: &dyn fmt::Display| {
                let (module, name) = (Escaped(module), Escaped(name));
                Error::argument(alloc::format!("{module}.{name}: no default value of type {ty}"))
            };
            let item: Extern = match ty {
                ExternType::Func(ty) => {
                    if let Some(ty) = ty.results().iter().find(|&&ty| Val::default_for_ty(ty).is_none()) {
                        return Err(no_default(ty));
                    }
                    // The results are default values already.
                    linker.func_new(module, name, ty, |_, _, _| Ok(()))?;
                    return Ok(());
                }
                ExternType::Global(ty) => {
                    let value = Val::default_for_ty(ty.content).ok_or_else(|| no_default(&ty.content))?;
                    Global::new(&mut store, ty, value)?.into()
                }
                ExternType::Table(ty) => {
                    let value = Ref::null(ty.element).ok_or_else(|| no_default(&ty.element))?;
                    Table::new(&mut store, ty, value)?.into()
                }
                ExternType::Memory(ty) => Memory::new(&mut store, ty)?.into(),
                ExternType::Tag(_) => return Err(no_default(&ty)),
            };
            linker.define(&store, module, name, item)?;
            Ok(())
        })
    }

    fn each_unknown(
        &mut self,
        module: &Module,
        mut define: impl FnMut(&mut Self, &str, &str, ExternType) -> Result<()>,
    ) -> Result<()> {
        for import in module.imports() {
            if self.find(import.module(), import.name()).is_none() {
                define(self, import.module(), import.name(), import.ty())?;
            }
        }
        Ok(())
    }

    /// Instantiates a module with what is defined here, and runs its start function.
    ///
    /// If the start function fails, so does this; what it did to imported things stays done.
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>, module: &Module) -> Result<Instance> {
        let found = self.resolve(module)?;
        instantiate(store.as_context_mut().0, module, &found)
    }

    /// The same by its longer name.
    pub fn instantiate_and_start(&self, store: impl AsContextMut<Data = T>, module: &Module) -> Result<Instance> {
        self.instantiate(store, module)
    }

    /// Finds a module's imports once, for many instances.
    ///
    /// Names and types are compared now; only the sizes of memories and tables, which grow, are compared later.
    pub fn instantiate_pre(&self, module: &Module) -> Result<InstancePre<T>> {
        let found = self.resolve(module)?;
        let desc = module.desc();
        let mut wrong = Vec::new();
        for (number, definition) in found.iter().enumerate() {
            if let Some(found) = self.misfit_ever(desc, desc.imports[number].ty, definition) {
                wrong.push(incompatible(desc, number, found));
            }
        }
        if !wrong.is_empty() {
            return Err(Error::link(wrong, desc.imports.len()));
        }
        let imports = found.into_iter().cloned().collect();
        Ok(InstancePre { module: module.clone(), imports })
    }

    /// What is defined under these names, as a thing of `store`.
    pub fn get(&self, mut store: impl AsContextMut<Data = T>, module: &str, name: &str) -> Option<Extern> {
        self.find(module, name)?.in_store(store.as_context_mut().0).ok()
    }

    /// What is defined for an import of a module, as a thing of `store`.
    pub fn get_by_import(
        &self,
        store: impl AsContextMut<Data = T>,
        import: &super::module::ImportType<'_>,
    ) -> Option<Extern> {
        self.get(store, import.module(), import.name())
    }

    /// All definitions, sorted by their names: module, name, type.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, ExternType)> {
        self.modules.iter().flat_map(|(module, definitions)| {
            definitions.iter().map(|(name, definition)| (&**module, &**name, definition.ty()))
        })
    }

    fn find(&self, module: &str, name: &str) -> Option<&Definition<T>> {
        self.modules.get(module)?.get(name)
    }

    fn insert(&mut self, module: &str, name: &str, definition: Definition<T>) -> Result<&mut Self> {
        let definitions = match self.modules.get_mut(module) {
            Some(definitions) => definitions,
            None => self.modules.entry(module.into()).or_default(),
        };
        match definitions.entry(name.into()) {
            Entry::Occupied(_) if !self.shadowing => {
                let (module, name) = (Escaped(module), Escaped(name));
                return Err(Error::argument(alloc::format!("{module}.{name} is defined already")));
            }
            Entry::Occupied(mut entry) => _ = entry.insert(definition),
            Entry::Vacant(entry) => _ = entry.insert(definition),
        }
        Ok(self)
    }

    /// The definitions of a module's imports. If one is missing, the error also names those of a wrong type.
    fn resolve(&self, module: &Module) -> Result<Vec<&Definition<T>>> {
        if !Engine::same(&self.engine, &module.engine) {
            return Err(Error::argument("the module belongs to another engine"));
        }
        let desc = module.desc();
        let mut found = Vec::with_capacity(desc.imports.len());
        for number in 0..desc.imports.len() {
            let (module, name) = desc.import_name(number);
            match self.find(module, name) {
                Some(definition) => found.push(definition),
                None => return Err(self.unresolved(desc)),
            }
        }
        Ok(found)
    }

    #[cold]
    fn unresolved(&self, desc: &Description) -> Error {
        let mut wrong = Vec::new();
        for (number, import) in desc.imports.iter().enumerate() {
            let (module, name) = desc.import_name(number);
            match self.find(module, name) {
                Some(definition) => {
                    let misfit = self.misfit_ever(desc, import.ty, definition);
                    wrong.extend(misfit.map(|found| incompatible(desc, number, found)));
                }
                None => {
                    let near = if wrong.len() < NEAR_NAMES { self.near(module, name) } else { None };
                    wrong.push(ImportError::unknown(module, name, type_of_import(desc, import.ty), near));
                }
            }
        }
        Error::link(wrong, desc.imports.len())
    }

    /// The definition that may have been meant, as `env.now_ms (func (result i64))`.
    fn near(&self, module: &str, name: &str) -> Option<String> {
        let module = match self.modules.contains_key(module) {
            true => module,
            false => near(module, self.modules.keys().map(|module| &**module))?,
        };
        let definitions = self.modules.get(module)?;
        let name = match definitions.contains_key(name) {
            true => name,
            false => near(name, definitions.keys().map(|name| &**name))?,
        };
        Some(alloc::format!("{module}.{name} {}", definitions.get(name)?.ty()))
    }

    /// The type of a definition that does not fit an import, and will not however much it grows.
    fn misfit_ever(&self, desc: &Description, wanted: ImportType, definition: &Definition<T>) -> Option<ExternType> {
        let types = &self.engine.inner.types;
        let fits = match (definition, wanted) {
            (Definition::Host(func), ImportType::Func(index)) => {
                desc.types.get(index as usize).is_some_and(|&wanted| types.is_subtype(func.0.id, wanted))
            }
            (Definition::Host(_), _) => false,
            (Definition::Extern(_, found), wanted) => {
                let mut found = found.clone();
                let wanted = type_of_import(desc, wanted);
                match (&mut found, &wanted) {
                    (ExternType::Memory(found), ExternType::Memory(wanted)) => found.limits.min = wanted.limits.min,
                    (ExternType::Table(found), ExternType::Table(wanted)) => found.limits.min = wanted.limits.min,
                    _ => {}
                }
                types.matches_extern(&found, &wanted)
            }
        };
        if fits { None } else { Some(definition.ty()) }
    }
}

/// For so many missing imports of a module a near name is looked for.
const NEAR_NAMES: usize = 16;

/// The export of a module that may have been meant, with its type.
pub(super) fn near_export(desc: &Description, name: &str) -> Option<String> {
    let name = near(name, (0..desc.exports.len()).map(|number| desc.export_name(number)))?;
    let ty = super::module::type_of_export(desc, desc.export(name)?);
    Some(alloc::format!("{} {ty}", Escaped(name)))
}

impl<T> Definition<T> {
    fn ty(&self) -> ExternType {
        match self {
            Self::Host(func) => func.0.ty.clone().into(),
            Self::Extern(_, ty) => ty.clone(),
        }
    }

    /// The definition as a thing of this store.
    fn in_store(&self, whole: &mut Whole<T>) -> Result<Extern> {
        match self {
            Self::Host(func) => {
                let index = whole.host_func(func)?;
                Ok(Func { stored: Stored::new(&whole.inner, index) }.into())
            }
            &Self::Extern(item, _) => item.id(&whole.inner).map(|_| item),
        }
    }
}

/// Instantiates with definitions that were found by name, once they are found to fit.
fn instantiate<T>(whole: &mut Whole<T>, module: &Module, found: &[impl AsRef<Definition<T>>]) -> Result<Instance> {
    let desc = module.desc();
    let mut wrong = Vec::new();
    let mut imports = SmallVec::<[Extern; 16]>::new();
    if !Engine::same(&whole.engine, &module.engine) {
        return Err(Error::argument("the store belongs to another engine"));
    }
    for (number, definition) in found.iter().enumerate() {
        let item = definition.as_ref().in_store(whole).map_err(|_| {
            let (module, name) = desc.import_name(number);
            Error::argument(alloc::format!("{}.{} belongs to another store", Escaped(module), Escaped(name)))
        })?;
        if let Some(found) = misfit(&whole.inner, desc, desc.imports[number].ty, item) {
            wrong.push(incompatible(desc, number, found));
        }
        imports.push(item);
    }
    if !wrong.is_empty() {
        return Err(Error::link(wrong, desc.imports.len()));
    }
    Instance::of_fitting(whole, module, &imports)
}

impl<T> AsRef<Self> for Definition<T> {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// A module with its imports found. Made by [`Linker::instantiate_pre`]; cheap to clone.
///
/// ```
/// use jitless::{Engine, Linker, Module, Store};
///
/// let engine = Engine::default();
/// let wasm = wat::parse_str(r#"(module (func (export "one") (result i32) (i32.const 1)))"#)?;
/// let pre = Linker::new(&engine).instantiate_pre(&Module::new(&engine, wasm)?)?;
/// for n in 0..3 {
///     let mut store = Store::new(&engine, n);
///     let one = pre.instantiate(&mut store)?.get_typed_func::<(), i32>(&store, "one")?;
///     assert_eq!(one.call(&mut store, ())?, 1);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct InstancePre<T> {
    module: Module,
    imports: Arc<[Definition<T>]>,
}

impl<T> InstancePre<T> {
    /// Instantiates the module, and runs its start function.
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>) -> Result<Instance> {
        instantiate(store.as_context_mut().0, &self.module, &self.imports)
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }
}

impl<T> Clone for Definition<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Host(func) => Self::Host(func.clone()),
            Self::Extern(item, ty) => Self::Extern(*item, ty.clone()),
        }
    }
}

impl<T> Clone for Linker<T> {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone(), shadowing: self.shadowing, modules: self.modules.clone() }
    }
}

impl<T> Clone for InstancePre<T> {
    fn clone(&self) -> Self {
        Self { module: self.module.clone(), imports: self.imports.clone() }
    }
}

/// How many definitions there are.
impl<T> Debug for Linker<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let count = self.modules.values().map(BTreeMap::len).sum::<usize>();
        f.debug_struct("Linker").field("definitions", &count).finish_non_exhaustive()
    }
}

impl<T> Debug for InstancePre<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstancePre").field("module", &self.module).finish_non_exhaustive()
    }
}
