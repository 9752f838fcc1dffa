//! Where a call is, when somebody wants to know: the operands of a trap, the backtrace, and the fuel that was spent but
//! not charged.
//!
//! Idea: code says nothing of where it came from. When it matters the function is translated once more, in a mode that
//! notes it. Operands are found by reading the operator again from the module.
//!
//! Invariant: nothing here changes what the call does next; what cannot be found out is left out.

use alloc::string::String;

use jitless_machine::dispatch::{Exit, Ip};
use jitless_machine::for_each_special;
use jitless_machine::instr::{Access, Plain};
use jitless_machine::trap::Trap;

use super::Outcome;
use crate::code::Point;
use crate::error::{Backtrace, Error, Frame, Result, TrapDetail};
use crate::load::Loaded;
use crate::module::operators::{self, BlockType, BrTable, MemArg, Sink};
use crate::module::{ConstExpr, Description, ImportType};
use crate::runtime::{Callee, Crossing, Stack, StoreInner};
use crate::types::{ExternKind, HeapType, ValType};

/// How the machine's position in a function is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// At the words of what it does.
    At,
    /// Behind the words of a call.
    Behind,
    /// Where it goes on, at a branch target or behind a call that returned.
    Next,
}

/// Names in backtraces have so many bytes at most.
const NAME_BYTES: usize = 256;

/// Exports are searched for a function's name if there are not more.
const EXPORTS: usize = 1 << 14;

impl StoreInner {
    /// The machine met a trap.
    #[cold]
    pub(super) fn trapped(&mut self) -> Outcome {
        let trap = Trap::from_code(self.ctx.trap).unwrap_or(Trap::Unreachable);
        self.pending = Some(Exit::Trap);
        let detail = if trap == Trap::MemoryOutOfBounds { self.access_detail() } else { None };
        self.trap_at(Exit::Trap, trap, detail.unwrap_or_default())
    }

    /// The call traps while it deals with `exit`.
    #[cold]
    pub(super) fn trap_at(&mut self, exit: Exit, trap: Trap, detail: TrapDetail) -> Outcome {
        self.pending = Some(exit);
        let owed = self.owed();
        self.settle(owed);
        self.fail_at(exit, Error::trap_with(trap, detail))
    }

    /// The call fails while it deals with `exit`.
    #[cold]
    pub(super) fn fail_at(&mut self, exit: Exit, error: Error) -> Outcome {
        self.pending = Some(exit);
        if !self.engine.config.wasm_backtrace {
            return Outcome::Failed(error);
        }
        Outcome::Failed(error.with_backtrace(self.backtrace()))
    }

    /// How to read `ctx.ip`; `None` if it does not say where the innermost frame is.
    fn position(&self) -> Option<Position> {
        match self.pending? {
            Exit::Trap | Exit::Slow => Some(Position::At),
            Exit::Fuel => Some(Position::Next),
            Exit::CallIndirect | Exit::TailCallIndirect | Exit::TailCallImport => Some(Position::Behind),
            Exit::Halt | Exit::Call | Exit::CallImport | Exit::Across | Exit::Step => None,
        }
    }

    /// Fuel that the innermost frame has spent and no edge has charged yet.
    pub(super) fn owed(&self) -> u32 {
        match self.position() {
            Some(position @ (Position::At | Position::Next)) if self.current != 0 => {
                let module = &self.numbered(self.current).module;
                point(module, self.ctx.ip, position).map_or(0, |(_, point)| point.owed)
            }
            _ => 0,
        }
    }

    /// The operands of a load or store that trapped.
    fn access_detail(&self) -> Option<TrapDetail> {
        let instance = self.numbered(self.current);
        let (function, point) = point(&instance.module, self.ctx.ip, Position::At)?;
        let (access, arg) = access_at(&instance.module.desc, function, point.offset)?;
        let info = access.info();
        let size = u64::from(info.bytes);
        Some(TrapDetail::Memory {
            operator: info.name,
            size,
            base: self.ctx.value.wrapping_sub(size).wrapping_sub(arg.offset),
            offset: arg.offset,
            memory: arg.memory,
            len: self.memory(instance.memories[arg.memory as usize]).bytes().len() as u64,
        })
    }

    /// The calls that are active, innermost first.
    #[cold]
    pub(crate) fn backtrace(&self) -> Backtrace {
        let mut trace = Backtrace::new();
        if self.entries.is_empty() {
            return trace;
        }
        let (mut instance, mut called, mut frame) = (self.current, self.called, self.ctx.fp);
        let mut here = self.position().map(|position| (self.ctx.ip, position));
        let mut host = self.pending == Some(Exit::CallImport);
        if self.pending == Some(Exit::Halt) {
            frame = core::ptr::null_mut();
        }
        let mut outer_stacks = self.outer_stacks.iter().rev();
        let mut stack = &self.stack;
        let mut place = if frame.is_null() { 0 } else { stack.place(frame) };
        let mut crossings = stack.crossings().len();
        for entry in self.entries.iter().rev() {
            if host && let Callee::Host { .. } = self.callee(called) {
                self.push_host(&mut trace, instance, called);
            }
            self.walk(&mut trace, &stack.crossings()[..crossings], stack, place, here, instance);
            crossings = entry.crossings;
            if entry.own_stack {
                let Some(outer) = outer_stacks.next() else { break };
                stack = outer;
                crossings = stack.crossings().len();
            }
            (instance, called, place) = (entry.outer_instance, entry.outer_called, entry.outer_frame);
            (here, host) = (None, true);
        }
        trace
    }

    /// Adds the frames of one call from the host, the innermost of which is at `place`. If `here` says where it is, that
    /// frame is added too, else only its callers are.
    fn walk(
        &self,
        trace: &mut Backtrace,
        crossings: &[Crossing],
        stack: &Stack,
        mut place: usize,
        mut here: Option<(Ip, Position)>,
        mut instance: u32,
    ) {
        let stubs = &self.engine.stubs;
        let mut crossings = crossings.iter().rev();
        while place != 0 || here.is_some() {
            if let Some((ip, position)) = here.take() {
                self.push_frame(trace, instance, ip, position);
                if place == 0 {
                    break;
                }
            }
            let mut ip = stack.return_address(place);
            if core::ptr::eq(ip, stubs.across()) {
                let Some(crossing) = crossings.next() else { break };
                (ip, instance) = (crossing.ip, crossing.instance);
            }
            let Some(caller) = stack.caller(place) else { break };
            place = caller;
            here = Some((ip, Position::Behind));
        }
    }

    fn push_frame(&self, trace: &mut Backtrace, instance: u32, ip: Ip, position: Position) {
        if !trace.has_room() {
            return trace.skip(1);
        }
        if instance == 0 {
            return;
        }
        let module = &self.numbered(instance).module;
        let Some((function, point)) = point(module, ip, position) else { return };
        let desc = &module.desc;
        let start = desc.body(function).map_or(0, |body| body.start);
        trace.push(Frame {
            func_index: function,
            func_name: name_of(desc, function).map(short),
            module_name: desc.module_name().map(short),
            func_offset: point.offset.saturating_sub(start) as usize,
            module_offset: point.offset as usize,
            host: false,
        });
    }

    /// Adds a host function that the code of an instance called, by the names under which it was imported.
    fn push_host(&self, trace: &mut Backtrace, instance: u32, called: u32) {
        if !trace.has_room() {
            return trace.skip(1);
        }
        let mut frame = Frame { host: true, ..Frame::default() };
        if instance != 0 {
            let instance = self.numbered(instance);
            let desc = &instance.module.desc;
            let imported = &instance.funcs[..desc.imported_funcs as usize];
            if let Some(index) = imported.iter().position(|&func| func == called) {
                frame.func_index = index as u32;
                let mut imports = (0..).zip(&desc.imports);
                let import = imports.by_ref().filter(|(_, import)| matches!(import.ty, ImportType::Func(_))).nth(index);
                frame.func_name = import.map(|(number, _)| {
                    let (module, name) = desc.import_name(number);
                    alloc::format!("{}.{}", short(module), short(name))
                });
            }
        }
        trace.push(frame);
    }
}

/// The function, and the operator in it, that a position in the code of a module belongs to.
fn point(module: &Loaded, ip: Ip, position: Position) -> Option<(u32, Point)> {
    // The words of a node, and of a call, come behind others of the same function; but what they are the last words of may
    // end where another function begins.
    let inside = if position == Position::Next { ip } else { ip.wrapping_sub(1) };
    let (defined, _) = module.find(inside)?;
    let word = module.code_if_ready(defined)?.contains(ip)?;
    let map = module.map(defined).ok()?;
    let point = match position {
        Position::At => map.fault(word),
        Position::Behind => map.after_call(word),
        Position::Next => map.label(word).or_else(|| map.after_call(word)),
    };
    Some((module.desc.imported_funcs + defined, point?))
}

/// A function's name, by the name section or else by an export.
fn name_of(desc: &Description, function: u32) -> Option<&str> {
    desc.func_name(function).or_else(|| {
        let exports = desc.exports.get(..desc.exports.len().min(EXPORTS))?;
        let export = exports.iter().find(|export| export.kind == ExternKind::Func && export.index == function)?;
        Some(desc.text(&export.name))
    })
}

/// A name of bounded length.
fn short(name: &str) -> String {
    name[..name.floor_char_boundary(NAME_BYTES)].into()
}

/// The load or store at an offset of a module, if there is one.
fn access_at(desc: &Description, function: u32, offset: u32) -> Option<(Access, MemArg)> {
    let end = desc.body(function)?.end;
    let mut first = First(None);
    // It stops at the first operator by an error.
    let _ = operators::read_const(desc, &ConstExpr { range: offset..end }, &mut first);
    first.0
}

/// Takes the first operator, if it is a load or store, and stops.
struct First(Option<(Access, MemArg)>);

#[cold]
fn stop() -> Result<()> {
    Err(Trap::Unreachable.into())
}

macro_rules! first {
    ($(@$proposal:ident $op:ident $visit:ident $name:literal $method:ident($($arg:ident: $ty:ty),*) fuel $fuel:literal $($flag:ident)*;)*) => {
        impl Sink for First {
            fn at(&mut self, _: usize) {}

            fn plain(&mut self, _: Plain) -> Result<()> {
                stop()
            }

            fn access(&mut self, op: Access, arg: MemArg) -> Result<()> {
                self.0 = Some((op, arg));
                stop()
            }

            $(
                fn $method(&mut self $(, _: $ty)*) -> Result<()> {
                    stop()
                }
            )*

            fn later(&mut self, _: &'static str, _: &'static str) -> Result<()> {
                stop()
            }
        }
    };
}

for_each_special!(first);
