//! A module as the embedder sees it: what it needs, what it offers, ready to be instantiated any number of times.
//!
//! Invariant: a [`Module`] is immutable, and holds nothing of any store.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::{self, Debug, Formatter};

use super::engine::Engine;
#[cfg(feature = "std")]
use crate::error::Error;
use crate::error::Result;
use crate::load::{self, Loaded};
use crate::module::{self, Description};
use crate::types::{ExternKind, ExternType, FuncType};

/// A module: decoded, validated as far as the engine's [`Compilation`](crate::Compilation) says, and never run by itself.
/// Cheap to clone.
///
/// ```
/// use jitless::{Engine, Module};
///
/// let wasm = wat::parse_str(r#"(module (import "env" "log" (func (param i32))) (memory (export "memory") 1))"#)?;
/// let module = Module::new(&Engine::default(), wasm)?;
/// for import in module.imports() {
///     assert_eq!(format!("{}.{} {}", import.module(), import.name(), import.ty()), "env.log (func (param i32))");
/// }
/// assert_eq!(module.get_export("memory").unwrap().to_string(), "(memory 1)");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Module {
    pub(super) engine: Engine,
    pub(super) loaded: Arc<Loaded>,
}

impl Module {
    /// Loads a module from its bytes: the binary format, or with feature `wat` the text format too.
    ///
    /// The bytes are copied once.
    pub fn new(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<Self> {
        let bytes = bytes.as_ref();
        // Before it is copied.
        engine.inner.config.limits.check_module_bytes(bytes.len() as u64, None)?;
        Self::load(engine, binary(bytes)?.into_owned())
    }

    /// Loads a module from a file.
    #[cfg(feature = "std")]
    pub fn from_file(engine: &Engine, path: impl AsRef<std::path::Path>) -> Result<Self> {
        let path = path.as_ref();
        let named = |error: std::io::Error| {
            Error::new(std::io::Error::new(error.kind(), alloc::format!("cannot read {}: {error}", path.display())))
        };
        let file = std::fs::File::open(path).map_err(named)?;
        if let Ok(about) = file.metadata()
            && about.is_file()
        {
            engine.inner.config.limits.check_module_bytes(about.len(), None)?;
        }
        // A directory opens, but does not read; a device may never end.
        Self::from_bytes(engine, read(engine, file, named)?)
    }

    /// Loads a module from what `reader` gives, to its end: at most as many bytes as the engine allows a module.
    #[cfg(feature = "std")]
    pub fn from_reader(engine: &Engine, reader: impl std::io::Read) -> Result<Self> {
        Self::from_bytes(engine, read(engine, reader, Error::new)?)
    }

    /// Loads a module from bytes that are given away: as [`Self::new`], but they are not copied.
    pub fn from_bytes(engine: &Engine, bytes: Vec<u8>) -> Result<Self> {
        match binary(&bytes)? {
            Cow::Borrowed(_) => Self::load(engine, bytes),
            Cow::Owned(binary) => Self::load(engine, binary),
        }
    }

    fn load(engine: &Engine, bytes: Vec<u8>) -> Result<Self> {
        Ok(Self { engine: engine.clone(), loaded: load::load(&engine.inner, Arc::new(bytes))? })
    }

    /// Decodes and validates a module, bodies included, whatever the engine's [`Compilation`](crate::Compilation).
    pub fn validate(engine: &Engine, bytes: impl AsRef<[u8]>) -> Result<()> {
        let bytes = binary(bytes.as_ref())?.into_owned();
        load::validate(&engine.inner, Arc::new(bytes))
    }

    /// The engine that it was loaded with, the only one that can run it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The name that the module gives itself in its name section, if any.
    pub fn name(&self) -> Option<&str> {
        self.desc().module_name()
    }

    /// The number of functions, those that are imported counted.
    pub fn func_count(&self) -> u32 {
        self.desc().funcs.len() as u32
    }

    /// The name that the module's name section gives a function, if any; not to be trusted. Imports come first.
    pub fn func_name(&self, function: u32) -> Option<&str> {
        self.desc().func_name(function)
    }

    /// What the module needs to be instantiated, in its order.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        (0..self.desc().imports.len()).map(|number| ImportType { desc: self.desc(), number })
    }

    /// What the module's instances offer, in its order.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        self.desc().exports.iter().map(|export| ExportType { desc: self.desc(), export })
    }

    /// The type of the export with this name.
    pub fn get_export(&self, name: &str) -> Option<ExternType> {
        let desc = self.desc();
        desc.export(name).map(|export| type_of_export(desc, export))
    }

    /// The custom sections, in their order: name, contents. Of a great many only the first are kept.
    ///
    /// Nothing in them has been checked but the names, which are UTF-8.
    pub fn custom_sections(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.desc().custom_sections()
    }

    /// The size of the module in bytes.
    pub fn size(&self) -> usize {
        self.desc().bytes.len()
    }

    pub(super) fn desc(&self) -> &Description {
        &self.loaded.desc
    }
}

impl Debug for Module {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// The module in the binary format. What begins as one is taken as it is.
fn binary(bytes: &[u8]) -> Result<Cow<'_, [u8]>> {
    #[cfg(feature = "wat")]
    if !bytes.starts_with(b"\0asm") && !bytes.is_empty() {
        return match wat::parse_bytes(bytes) {
            Ok(binary) => Ok(binary),
            // Neither binary nor text: then the binary format is what was meant, and its reader says where it ends.
            Err(_) if bytes.contains(&0) || core::str::from_utf8(bytes).is_err() => Ok(Cow::Borrowed(bytes)),
            Err(error) => Err(Error::malformed(0, alloc::format!("{error}"))),
        };
    }
    Ok(Cow::Borrowed(bytes))
}

#[cfg(feature = "std")]
fn read(engine: &Engine, reader: impl std::io::Read, named: impl FnOnce(std::io::Error) -> Error) -> Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    // One byte more, so that a module of just too many is refused for its size by who knows the limit.
    let most = engine.config().limits.module_bytes.saturating_add(1);
    match reader.take(most).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(named(error)),
    }
}

/// Something that a module needs, as [`Module::imports`] gives it.
#[derive(Clone, Copy)]
pub struct ImportType<'m> {
    pub(super) desc: &'m Description,
    pub(super) number: usize,
}

impl<'m> ImportType<'m> {
    /// The first of its two names.
    pub fn module(&self) -> &'m str {
        self.desc.import_name(self.number).0
    }

    /// The second.
    pub fn name(&self) -> &'m str {
        self.desc.import_name(self.number).1
    }

    /// The type that is needed.
    pub fn ty(&self) -> ExternType {
        type_of_import(self.desc, self.desc.imports[self.number].ty)
    }
}

impl Debug for ImportType<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ImportType").field(&self.module()).field(&self.name()).field(&self.ty()).finish()
    }
}

/// Something that a module's instances offer, as [`Module::exports`] gives it.
#[derive(Clone, Copy)]
pub struct ExportType<'m> {
    desc: &'m Description,
    export: &'m module::Export,
}

impl<'m> ExportType<'m> {
    /// Its name.
    pub fn name(&self) -> &'m str {
        self.desc.text(&self.export.name)
    }

    /// Its type.
    pub fn ty(&self) -> ExternType {
        type_of_export(self.desc, self.export)
    }
}

impl Debug for ExportType<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExportType").field(&self.name()).field(&self.ty()).finish()
    }
}

/// The function type at a type index of a module whose declarations have been validated.
fn func_type(desc: &Description, index: u32) -> FuncType {
    desc.func_type(index).cloned().unwrap_or_else(|| FuncType::from_parts([], []))
}

pub(super) fn type_of_import(desc: &Description, ty: module::ImportType) -> ExternType {
    match ty {
        module::ImportType::Func(index) => func_type(desc, index).into(),
        module::ImportType::Table(ty) => ty.into(),
        module::ImportType::Memory(ty) => ty.into(),
        module::ImportType::Global(ty) => ty.into(),
        module::ImportType::Tag(index) => ExternType::Tag(func_type(desc, index)),
    }
}

pub(super) fn type_of_export(desc: &Description, export: &module::Export) -> ExternType {
    let index = export.index as usize;
    match export.kind {
        ExternKind::Func => func_type(desc, desc.funcs[index]).into(),
        ExternKind::Table => desc.tables[index].ty.into(),
        ExternKind::Memory => desc.memories[index].into(),
        ExternKind::Global => desc.globals[index].ty.into(),
        ExternKind::Tag => ExternType::Tag(func_type(desc, desc.tags[index])),
    }
}
