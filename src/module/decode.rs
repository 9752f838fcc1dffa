//! Decoding (§5): one pass over the sections of a module, by wasmparser's readers, into a [`Description`].
//!
//! The bytes of function bodies and of custom sections are only delimited here, the rest is read to its end.
//!
//! Invariant: memory is reserved only for what has bytes behind it. A count is compared with what is left of its
//! section, and with its limit, before anything of that size exists, in the decoder or in here.

use super::convert::{self, Refusal, Scope};
use super::names::Names;
use super::operators::malformed;
use super::{
    Data, DataMode, Description, Element, Export, ExportNames, Global, Import, ImportType, Items, Mode, Offsets, Table,
};
use crate::config::{Config, ModuleLimits, Proposals};
use crate::error::Error;
use crate::types::{ExternKind, RefType, SubType, TypeId, TypeRegistry};
use alloc::{sync::Arc, vec::Vec};
use core::ops::Range;
use wasmparser::{
    BinaryReader, CompositeInnerType, DataKind, ElementItems, ElementKind, Encoding, ExternalKind, FromReader, Imports,
    Parser, Payload, SectionLimited, TableInit, TypeRef,
};

/// How many custom sections are remembered; more are skipped like these, and forgotten.
pub(crate) const MAX_CUSTOM: usize = 10_000;

/// Decodes a module. Its types are registered with the engine's even if it is refused later.
///
/// The size limit comes first, but after the caller made the bytes: one who has yet to copy or read them asks
/// `ModuleLimits::check_module_bytes` before.
pub(crate) fn decode(bytes: Arc<Vec<u8>>, types: &Arc<TypeRegistry>, config: &Config) -> Result<Description, Error> {
    config.limits.check_module_bytes(bytes.len() as u64, None)?;
    if bytes.len() > u32::MAX as usize {
        return Err(Error::limit("module bytes", u32::MAX.into(), bytes.len() as u64, None));
    }
    let desc = Description {
        engine_types: types.clone(),
        proposals: config.proposals,
        limits: config.limits.clone(),
        bytes: bytes.clone(),
        types: Vec::new(),
        func_types: Vec::new(),
        imports: Vec::new(),
        funcs: Vec::new(),
        imported_funcs: 0,
        tables: Vec::new(),
        imported_tables: 0,
        memories: Vec::new(),
        imported_memories: 0,
        globals: Vec::new(),
        imported_globals: 0,
        tags: Vec::new(),
        imported_tags: 0,
        exports: Vec::new(),
        export_names: ExportNames::default(),
        start: None,
        elements: Vec::new(),
        data: Vec::new(),
        data_count: None,
        bodies: Vec::new(),
        custom: Vec::new(),
        offsets: Offsets::default(),
        names: Names::default(),
    };
    let mut decoder = Decoder { bytes: &bytes, desc, names: None };
    let mut parser = Parser::new(0);
    parser.set_features(convert::features(config.proposals));
    for payload in parser.parse_all(&bytes) {
        decoder.payload(payload.map_err(malformed)?)?;
    }
    let Decoder { mut desc, names, .. } = decoder;
    desc.names = Names::new(names);
    Ok(desc)
}

struct Decoder<'a> {
    bytes: &'a [u8],
    desc: Description,
    /// The contents of the first name section.
    names: Option<Range<u32>>,
}

/// Something of which a module may have only so many.
type Check = fn(&ModuleLimits, u64, Option<usize>) -> Result<(), Error>;

impl<'a> Decoder<'a> {
    fn payload(&mut self, payload: Payload<'a>) -> Result<(), Error> {
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } => Ok(()),
            Payload::Version { encoding: Encoding::Component, .. } => {
                Err(Error::malformed(4, "unknown binary version: this is a component, not a core module"))
            }
            Payload::TypeSection(section) => self.types(section),
            Payload::ImportSection(section) => self.imports(section),
            Payload::FunctionSection(section) => self.funcs(section),
            Payload::TableSection(section) => self.tables(section),
            Payload::MemorySection(section) => self.memories(section),
            Payload::TagSection(section) => self.tags(section),
            Payload::GlobalSection(section) => self.globals(section),
            Payload::ExportSection(section) => self.exports(section),
            Payload::StartSection { func, range } => {
                self.desc.start = Some(func);
                self.desc.offsets.start = range.start as u32;
                Ok(())
            }
            Payload::ElementSection(section) => self.elements(section),
            Payload::DataCountSection { count, range } => {
                self.need("a data count section", Proposals::BULK_MEMORY, range.start)?;
                self.desc.limits.check_segments(count.into(), Some(range.start as usize))?;
                self.desc.data_count = Some(count);
                Ok(())
            }
            Payload::DataSection(section) => self.data(section),
            Payload::CodeSectionStart { count, size, unchecked_range } => {
                // The only section whose bytes the parser has not seen yet.
                let at = unchecked_range.start;
                let left = u64::from(size).min(self.bytes.len() as u64 - at);
                let count = self.room(count, 3, left, at, ModuleLimits::check_functions, 0)?;
                self.desc.bodies.reserve_exact(count);
                Ok(())
            }
            Payload::CodeSectionEntry(body) => {
                let range = convert::range(body.range());
                let size = range.end - range.start;
                self.desc.limits.check_body_bytes(size.into(), Some(range.start as usize))?;
                self.desc.bodies.push(range);
                Ok(())
            }
            Payload::CustomSection(section) => {
                let data = convert::range(section.data_range());
                self.check_name(section.name())?;
                if section.name() == "name" {
                    self.names.get_or_insert(data.clone());
                }
                if self.desc.custom.len() < MAX_CUSTOM {
                    let name = self.range_of(section.name());
                    self.desc.custom.push((name, data));
                }
                Ok(())
            }
            Payload::End(_) => Ok(()),
            Payload::UnknownSection { id, range, .. } => Err(unknown_section(id, range.start)),
            _ => Err(Error::malformed(0, "malformed section id")),
        }
    }

    fn types(&mut self, section: SectionLimited<'a, wasmparser::RecGroup>) -> Result<(), Error> {
        let range = section.original_position()..section.range().end;
        self.desc.offsets.types = section.range().start as u32;
        // A recursion group has two bytes at least, `4E 00`, and a type three.
        let count = self.count(&section, 2, ModuleLimits::check_types, 0)?;
        self.desc.types.reserve(count);
        self.desc.func_types.reserve(count);
        let bytes = &self.bytes[range.start as usize..range.end as usize];
        let mut reader = BinaryReader::new_features(bytes, range.start, convert::features(self.desc.proposals));
        let mut types = Vec::new();
        for _ in 0..count {
            let at = reader.original_position();
            match bytes.get(reader.current_position()) {
                // By far the most, so they are read without a detour: they have no place among others.
                Some(0x60) => self.func_type(&mut reader, &mut types)?,
                _ => self.group(&mut reader)?,
            }
            self.desc.limits.check_types(self.desc.types.len() as u64, Some(at as usize))?;
        }
        match reader.eof() {
            true => Ok(()),
            false => Err(Error::malformed(reader.original_position() as usize, "section size mismatch")),
        }
    }

    /// A type that begins with `60`: a function type, final, without a supertype, alone in its group.
    fn func_type(&mut self, reader: &mut BinaryReader<'a>, types: &mut Vec<wasmparser::ValType>) -> Result<(), Error> {
        let offset = reader.original_position();
        types.clear();
        reader.read_u8().map_err(malformed)?;
        let params = val_types(reader, types, "function params").map_err(malformed)?;
        let results = val_types(reader, types, "function returns").map_err(malformed)?;
        self.desc.limits.check_params(params as u64, Some(offset as usize))?;
        self.desc.limits.check_results(results as u64, Some(offset as usize))?;
        let ty = self.scope().func_type(&types[..params], &types[params..]);
        self.add_group(&[ty.map_err(|refusal| refusal.at_offset(offset))?.into()]);
        Ok(())
    }

    fn group(&mut self, reader: &mut BinaryReader<'a>) -> Result<(), Error> {
        self.check_group(reader)?;
        let group: wasmparser::RecGroup = reader.read().map_err(malformed)?;
        let scope = Scope { group: group.types().len() as u32, ..self.scope() };
        let mut types = Vec::with_capacity(group.types().len());
        for (offset, ty) in group.into_types_and_offsets() {
            self.check_type(&ty, offset)?;
            types.push(scope.sub_type(&ty).map_err(|refusal| refusal.at_offset(offset))?);
        }
        self.add_group(&types);
        Ok(())
    }

    fn add_group(&mut self, group: &[SubType]) {
        let TypeId(first) = self.desc.engine_types.register_group(group);
        for id in (first..first + group.len() as u32).map(TypeId) {
            self.desc.types.push(id);
            self.desc.func_types.push(self.desc.engine_types.func(id));
        }
    }

    /// Looks at a group before the decoder does, which would reserve memory for as many types as the group claims.
    fn check_group(&self, reader: &BinaryReader<'a>) -> Result<(), Error> {
        let at = reader.original_position();
        let mut reader = reader.clone();
        let what = match reader.read_u8().map_err(malformed)? {
            0x4E => {
                let count = reader.read_var_u32().map_err(malformed)?;
                if reader.bytes_remaining() / 2 < count as usize {
                    return Err(Error::malformed(at as usize, "unexpected end: a group larger than its section"));
                }
                self.desc.limits.check_types(self.desc.types.len() as u64 + u64::from(count), Some(at as usize))?;
                "a recursion group"
            }
            0x4F | 0x50 => "a subtype",
            _ => return Ok(()),
        };
        self.need(what, Proposals::GC, at)
    }

    fn check_type(&self, ty: &wasmparser::SubType, offset: u64) -> Result<(), Error> {
        let (limits, at) = (&self.desc.limits, Some(offset as usize));
        match &ty.composite_type.inner {
            CompositeInnerType::Func(ty) => {
                limits.check_params(ty.params().len() as u64, at)?;
                limits.check_results(ty.results().len() as u64, at)
            }
            CompositeInnerType::Struct(ty) => limits.check_fields(ty.fields.len() as u64, at),
            CompositeInnerType::Array(_) | CompositeInnerType::Cont(_) => Ok(()),
        }
    }

    fn imports(&mut self, section: SectionLimited<'a, Imports<'a>>) -> Result<(), Error> {
        let count = self.count(&section, 4, ModuleLimits::check_imports, 0)?;
        self.desc.imports.reserve(count);
        for imports in section.into_iter_with_offsets() {
            let (offset, imports) = imports.map_err(malformed)?;
            if !matches!(imports, Imports::Single(..)) {
                self.need("a compact import", Proposals::COMPACT_IMPORTS, offset)?;
            }
            for import in imports {
                let (offset, import) = import.map_err(malformed)?;
                self.import(import, offset)?;
            }
        }
        Ok(())
    }

    fn import(&mut self, import: wasmparser::Import<'a>, offset: u64) -> Result<(), Error> {
        self.check_name(import.module)?;
        self.check_name(import.name)?;
        let refused = |refusal: Refusal| refusal.at_offset(offset);
        let at = Some(offset as usize);
        let scope = Scope::of(&self.desc);
        let ty = match import.ty {
            TypeRef::Func(index) => ImportType::Func(index),
            TypeRef::FuncExact(_) => {
                return Err(refused(Refusal::Needs("an exact function type", Proposals::CUSTOM_DESCRIPTORS)));
            }
            TypeRef::Table(ty) => ImportType::Table(scope.table_type(&ty).map_err(refused)?),
            TypeRef::Memory(ty) => ImportType::Memory(scope.memory_type(&ty).map_err(refused)?),
            TypeRef::Global(ty) => ImportType::Global(scope.global_type(&ty).map_err(refused)?),
            TypeRef::Tag(ty) => {
                scope.need("a tag", Proposals::EXCEPTIONS).map_err(refused)?;
                ImportType::Tag(ty.func_type_idx)
            }
        };
        let import = Import { module: self.range_of(import.module), name: self.range_of(import.name), ty };
        let desc = &mut self.desc;
        match ty {
            ImportType::Func(index) => {
                desc.funcs.push(index);
                desc.imported_funcs += 1;
                desc.limits.check_functions(desc.imported_funcs.into(), at)?;
            }
            ImportType::Table(ty) => {
                desc.tables.push(Table { offset: offset as u32, ty, init: None });
                desc.imported_tables += 1;
                desc.limits.check_tables(desc.imported_tables.into(), at)?;
            }
            ImportType::Memory(ty) => {
                desc.memories.push(ty);
                desc.imported_memories += 1;
                desc.limits.check_memories(desc.imported_memories.into(), at)?;
            }
            ImportType::Global(ty) => {
                desc.globals.push(Global { ty, init: None });
                desc.imported_globals += 1;
                desc.limits.check_globals(desc.imported_globals.into(), at)?;
            }
            ImportType::Tag(index) => {
                desc.tags.push(index);
                desc.imported_tags += 1;
                desc.limits.check_tags(desc.imported_tags.into(), at)?;
            }
        }
        desc.imports.push(import);
        desc.limits.check_imports(desc.imports.len() as u64, at)
    }

    fn funcs(&mut self, section: SectionLimited<'a, u32>) -> Result<(), Error> {
        self.desc.offsets.funcs = section.range().start as u32;
        let count = self.count(&section, 1, ModuleLimits::check_functions, self.desc.funcs.len())?;
        self.desc.funcs.reserve_exact(count);
        self.each(section, |decoder, index, _| {
            decoder.desc.funcs.push(index);
            Ok(())
        })
    }

    fn tables(&mut self, section: SectionLimited<'a, wasmparser::Table<'a>>) -> Result<(), Error> {
        self.desc.offsets.tables = section.range().start as u32;
        let count = self.count(&section, 3, ModuleLimits::check_tables, self.desc.tables.len())?;
        self.desc.tables.reserve_exact(count);
        self.each(section, |decoder, table, offset| {
            let ty = decoder.scope().table_type(&table.ty).map_err(|refusal| refusal.at_offset(offset))?;
            let init = match table.init {
                TableInit::RefNull => None,
                TableInit::Expr(expr) => {
                    decoder.need("a table with an initial value", Proposals::FUNCTION_REFERENCES, offset)?;
                    Some(convert::const_expr(&expr))
                }
            };
            decoder.desc.tables.push(Table { offset: offset as u32, ty, init });
            Ok(())
        })
    }

    fn memories(&mut self, section: SectionLimited<'a, wasmparser::MemoryType>) -> Result<(), Error> {
        self.desc.offsets.memories = section.range().start as u32;
        let count = self.count(&section, 2, ModuleLimits::check_memories, self.desc.memories.len())?;
        self.desc.memories.reserve_exact(count);
        self.each(section, |decoder, ty, offset| {
            let ty = decoder.scope().memory_type(&ty).map_err(|refusal| refusal.at_offset(offset))?;
            decoder.desc.memories.push(ty);
            Ok(())
        })
    }

    fn tags(&mut self, section: SectionLimited<'a, wasmparser::TagType>) -> Result<(), Error> {
        self.desc.offsets.tags = section.range().start as u32;
        self.need("a tag section", Proposals::EXCEPTIONS, section.range().start)?;
        let count = self.count(&section, 2, ModuleLimits::check_tags, self.desc.tags.len())?;
        self.desc.tags.reserve_exact(count);
        self.each(section, |decoder, ty, _| {
            decoder.desc.tags.push(ty.func_type_idx);
            Ok(())
        })
    }

    fn globals(&mut self, section: SectionLimited<'a, wasmparser::Global<'a>>) -> Result<(), Error> {
        let count = self.count(&section, 3, ModuleLimits::check_globals, self.desc.globals.len())?;
        self.desc.globals.reserve_exact(count);
        self.each(section, |decoder, global, offset| {
            let ty = decoder.scope().global_type(&global.ty).map_err(|refusal| refusal.at_offset(offset))?;
            let init = Some(convert::const_expr(&global.init_expr));
            decoder.desc.globals.push(Global { ty, init });
            Ok(())
        })
    }

    fn exports(&mut self, section: SectionLimited<'a, wasmparser::Export<'a>>) -> Result<(), Error> {
        let count = self.count(&section, 3, ModuleLimits::check_exports, 0)?;
        self.desc.exports.reserve_exact(count);
        self.each(section, |decoder, export, offset| {
            decoder.check_name(export.name)?;
            let kind = match export.kind {
                ExternalKind::Func | ExternalKind::FuncExact => ExternKind::Func,
                ExternalKind::Table => ExternKind::Table,
                ExternalKind::Memory => ExternKind::Memory,
                ExternalKind::Global => ExternKind::Global,
                ExternalKind::Tag => {
                    decoder.need("a tag", Proposals::EXCEPTIONS, offset)?;
                    ExternKind::Tag
                }
            };
            let name = decoder.range_of(export.name);
            decoder.desc.exports.push(Export { name, kind, index: export.index });
            Ok(())
        })?;
        self.desc.export_names = ExportNames::new(self.bytes, &self.desc.exports);
        Ok(())
    }

    fn elements(&mut self, section: SectionLimited<'a, wasmparser::Element<'a>>) -> Result<(), Error> {
        let count = self.count(&section, 3, ModuleLimits::check_segments, 0)?;
        self.desc.elements.reserve_exact(count);
        self.each(section, |decoder, element, offset| {
            if !matches!(element.kind, ElementKind::Active { .. }) {
                decoder.need("a passive element segment", Proposals::BULK_MEMORY, offset)?;
            }
            let mode = match element.kind {
                ElementKind::Passive => Mode::Passive,
                ElementKind::Declared => Mode::Declared,
                ElementKind::Active { table_index, offset_expr } => {
                    Mode::Active { table: table_index.unwrap_or(0), offset: convert::const_expr(&offset_expr) }
                }
            };
            let (ty, items) = match element.items {
                ElementItems::Functions(items) => {
                    let (range, count) = decoder.items(items)?;
                    (RefType::FUNCREF, Items::Funcs(range, count))
                }
                ElementItems::Expressions(ty, items) => {
                    let ty = decoder.scope().ref_type(ty).map_err(|refusal| refusal.at_offset(offset))?;
                    let (range, count) = decoder.items(items)?;
                    (ty, Items::Exprs(range, count))
                }
            };
            decoder.desc.elements.push(Element { offset: offset as u32, mode, ty, items });
            Ok(())
        })
    }

    /// Where the items of a segment lie. The decoder has walked over them already.
    fn items<T>(&self, items: SectionLimited<'a, T>) -> Result<(Range<u32>, u32), Error> {
        let range = items.original_position()..items.range().end;
        self.desc.limits.check_items(items.count().into(), Some(range.start as usize))?;
        Ok((convert::range(range), items.count()))
    }

    fn data(&mut self, section: SectionLimited<'a, wasmparser::Data<'a>>) -> Result<(), Error> {
        let count = self.count(&section, 2, ModuleLimits::check_segments, 0)?;
        self.desc.data.reserve_exact(count);
        self.each(section, |decoder, data, offset| {
            if !matches!(data.kind, DataKind::Active { .. }) {
                decoder.need("a passive data segment", Proposals::BULK_MEMORY, offset)?;
            }
            let mode = match data.kind {
                DataKind::Passive => DataMode::Passive,
                DataKind::Active { memory_index, offset_expr } => {
                    DataMode::Active { memory: memory_index, offset: convert::const_expr(&offset_expr) }
                }
            };
            let range = super::range_of(decoder.bytes, data.data);
            decoder.desc.data.push(Data { offset: offset as u32, mode, range });
            Ok(())
        })
    }

    /// Walks the items of a section, with their offsets, to its end.
    fn each<T: FromReader<'a>>(
        &mut self,
        section: SectionLimited<'a, T>,
        mut item: impl FnMut(&mut Self, T, u64) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for next in section.into_iter_with_offsets() {
            let (offset, next) = next.map_err(malformed)?;
            item(self, next, offset)?;
        }
        Ok(())
    }

    /// The count of a section, if each item can have `least` bytes, and if, with `before` others, it is within a limit.
    fn count<T>(
        &self,
        section: &SectionLimited<'a, T>,
        least: u64,
        check: Check,
        before: usize,
    ) -> Result<usize, Error> {
        let at = section.original_position();
        self.room(section.count(), least, section.range().end - at, at, check, before)
    }

    fn room(&self, count: u32, least: u64, left: u64, at: u64, check: Check, before: usize) -> Result<usize, Error> {
        if u64::from(count) * least > left {
            return Err(Error::malformed(at as usize, "unexpected end: a count larger than its section"));
        }
        check(&self.desc.limits, before as u64 + u64::from(count), Some(at as usize))?;
        Ok(count as usize)
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        let at = self.range_of(name).start as usize;
        self.desc.limits.check_name_bytes(name.len() as u64, Some(at))
    }

    fn range_of(&self, name: &str) -> Range<u32> {
        super::range_of(self.bytes, name.as_bytes())
    }

    fn scope(&self) -> Scope<'_> {
        Scope::of(&self.desc)
    }

    fn need(&self, what: &'static str, proposal: Proposals, offset: u64) -> Result<(), Error> {
        self.scope().need(what, proposal).map_err(|refusal| refusal.at_offset(offset))
    }
}

/// Reads a list of types behind what is there, and says how many there were.
fn val_types(
    reader: &mut BinaryReader<'_>,
    types: &mut Vec<wasmparser::ValType>,
    what: &str,
) -> wasmparser::Result<usize> {
    // No configuration allows more: the machine's frames rely on it.
    let count = reader.read_size(1000, what)?;
    for _ in 0..count {
        types.push(reader.read()?);
    }
    Ok(count)
}

#[cold]
fn unknown_section(id: u8, offset: u64) -> Error {
    Error::malformed(offset as usize, alloc::format!("malformed section id: {id}"))
}
