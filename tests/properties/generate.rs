//! Valid programs from a tape of random numbers: a stack machine's code, written while the types on the stack are
//! known.
//!
//! Invariant: an empty tape says zero for ever, and zero always picks what ends soonest. Every loop and every function
//! spends *gas*, a global, and traps without it, so programs end.
//!
//! Which NaN an operator gives is free, so NaN bits must not show in numbers: where an operator or a store would show
//! them, its operand is a fresh constant or load, or has its NaNs replaced.

use crate::model::{Function, Instr, Program, Sig};
use crate::ops::{Access, LOADS, OPS, Op, STORES, TYPES, Ty, op};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Tree,
    Flow,
}

/// Random numbers without a crate.
pub(crate) fn step(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}

struct Tape<'t>(std::slice::Iter<'t, u32>);

impl Tape<'_> {
    fn ended(&self) -> bool {
        self.0.len() == 0
    }

    fn next(&mut self) -> u32 {
        self.0.next().copied().unwrap_or(0)
    }

    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        self.next() as usize % n
    }

    /// Once in `n` times.
    fn once_in(&mut self, n: u32) -> bool {
        !self.ended() && self.next() % n == n - 1
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    fn types(&mut self, most: usize) -> Vec<Ty> {
        (0..self.below(most + 1)).map(|_| TYPES[self.below(4)]).collect()
    }

    fn bits(&mut self, ty: Ty) -> u64 {
        let (kind, low) = (self.below(4), u64::from(self.next()));
        match (kind, ty) {
            (0, Ty::I32 | Ty::I64) => low % 16,
            (1, Ty::I32) => *self.pick(&[0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF, 0x80, 31]),
            (1, Ty::I64) => *self.pick(&[0, 1, i64::MAX as u64, 1 << 63, u64::MAX, 1 << 31, 0xFFFF_FFFF, 63]),
            (0, Ty::F32) => ((low % 64) as f32 / 4.0 - 4.0).to_bits().into(),
            (0, Ty::F64) => ((low % 64) as f64 / 4.0 - 4.0).to_bits(),
            (1, Ty::F32) => {
                *self.pick(&[0, 1 << 31, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 1, 0x4F00_0000, 0x5F80_0000])
            }
            (1, Ty::F64) => {
                *self.pick(&[0, 1 << 63, 0x7FF << 52, 0xFFF << 52, 0x7FF8 << 48, 1, 0x41E0 << 48, 0x43F0 << 48])
            }
            (_, Ty::I32 | Ty::F32) => low,
            (_, _) => u64::from(self.next()) << 32 | low,
        }
    }
}

/// The global that pays for loops and calls.
const GAS: u32 = 0;
const GAS_AT_FIRST: u64 = 60;

pub(crate) fn program(tape: &[u32], shape: Shape) -> Program {
    let mut tape = Tape(tape.iter());
    let flow = shape == Shape::Flow;
    let mut globals = vec![(Ty::I32, GAS_AT_FIRST)];
    globals.extend((0..tape.below(4)).map(|_| TYPES[tape.below(4)]).collect::<Vec<_>>().iter().map(|&ty| (ty, 0)));
    globals.iter_mut().skip(1).for_each(|(ty, first)| *first = tape.bits(*ty));
    let memory = (0..tape.below(17)).flat_map(|_| tape.next().to_le_bytes()).collect();

    let mut signatures = vec![];
    for _ in 0..1 + tape.below(if flow { 4 } else { 2 }) {
        signatures.push(Sig { params: tape.types(5), results: tape.types(3) });
        // Tail calls want functions of the same results.
        if tape.once_in(2) {
            let results = signatures[0].results.clone();
            signatures.last_mut().expect("just pushed").results = results;
        }
    }
    let args = signatures[0].params.clone().into_iter().map(|ty| tape.bits(ty)).collect();
    let mut functions = vec![];
    for i in 0..signatures.len() {
        let many = if tape.once_in(3) { 40 } else { 6 };
        let locals = tape.types(many);
        let body = Body::new(&mut tape, &signatures, &globals, i, &locals, flow).write();
        functions.push(Function { sig: signatures[i].clone(), locals, body });
    }
    Program { functions, globals, memory, args }
}

struct Body<'g, 't> {
    tape: &'g mut Tape<'t>,
    signatures: &'g [Sig],
    globals: &'g [(Ty, u64)],
    me: usize,
    locals: Vec<Ty>,
    /// Locals at the end of the list that hold what loses its NaNs.
    scratch: [u32; 2],
    flow: bool,
    /// What branches to each open block carry, outermost first.
    labels: Vec<Vec<Ty>>,
    code: Vec<Instr>,
    /// Types above the innermost block's base.
    stack: Vec<Ty>,
    /// Control does not get here.
    dead: bool,
}

impl<'g, 't> Body<'g, 't> {
    fn new(
        tape: &'g mut Tape<'t>,
        signatures: &'g [Sig],
        globals: &'g [(Ty, u64)],
        me: usize,
        locals: &[Ty],
        flow: bool,
    ) -> Self {
        let locals = [&signatures[me].params, locals].concat();
        let find = |ty| locals.iter().rposition(|&local| local == ty).map_or(u32::MAX, |i| i as u32);
        let scratch = [find(Ty::F32), find(Ty::F64)];
        let labels = vec![signatures[me].results.clone()];
        let (code, stack) = (vec![], vec![]);
        Self { tape, signatures, globals, me, locals, scratch, flow, labels, code, stack, dead: false }
    }

    fn write(mut self) -> Vec<Instr> {
        self.spend_gas();
        let results = self.labels[0].clone();
        if self.flow {
            self.statements(5, &results);
        } else {
            for ty in &results {
                self.tree(*ty, 6);
            }
        }
        self.code
    }

    fn emit(&mut self, instr: Instr) {
        self.code.push(instr);
    }

    fn push(&mut self, instr: Instr, ty: Ty) {
        self.code.push(instr);
        self.stack.push(ty);
    }

    /// The operator, its operands taken off the known stack.
    fn plain(&mut self, op: &'static Op) {
        self.take(op.params.len());
        self.push(Instr::Plain(op), op.result);
    }

    fn take(&mut self, n: usize) {
        self.stack.truncate(self.stack.len() - n);
    }

    fn spend_gas(&mut self) {
        let stop = vec![Instr::Unreachable];
        self.code.extend([Instr::GlobalGet(GAS), Instr::Plain(op("i32.eqz")), Instr::If(Sig::default(), stop, vec![])]);
        self.code.extend([Instr::GlobalGet(GAS), Instr::Const(Ty::I32, 1), Instr::Plain(op("i32.sub"))]);
        self.emit(Instr::GlobalSet(GAS));
    }

    /// A block's inside: its code, written with a stack of its own.
    fn inside(&mut self, label: Vec<Ty>, params: &[Ty], write: impl FnOnce(&mut Self)) -> Vec<Instr> {
        let (code, stack) = (std::mem::take(&mut self.code), std::mem::replace(&mut self.stack, params.to_vec()));
        self.labels.push(label);
        let dead = std::mem::take(&mut self.dead);
        write(self);
        self.dead = dead;
        self.labels.pop();
        self.stack = stack;
        std::mem::replace(&mut self.code, code)
    }

    // ---- trees

    fn constant(&mut self, ty: Ty) {
        let bits = self.tape.bits(ty);
        self.push(Instr::Const(ty, bits), ty);
    }

    fn leaf(&mut self, ty: Ty) {
        let locals: Vec<u32> = (0..self.locals.len() as u32).filter(|&i| self.locals[i as usize] == ty).collect();
        let globals: Vec<u32> = (1..self.globals.len() as u32).filter(|&i| self.globals[i as usize].0 == ty).collect();
        match self.tape.below(4) {
            1 | 2 if !locals.is_empty() => {
                let local = *self.tape.pick(&locals);
                self.push(Instr::LocalGet(local), ty);
            }
            3 if !globals.is_empty() => {
                let global = *self.tape.pick(&globals);
                self.push(Instr::GlobalGet(global), ty);
            }
            _ => self.constant(ty),
        }
    }

    /// A value of this type whose bits are no arithmetic NaN.
    fn exact(&mut self, ty: Ty, depth: u32) {
        if !ty.is_float() {
            return self.tree(ty, depth);
        }
        let (name, local) = if ty == Ty::F32 { ("f32", self.scratch[0]) } else { ("f64", self.scratch[1]) };
        match self.tape.below(3) {
            1 => self.load(ty, depth),
            2 if local != u32::MAX => {
                self.tree(ty, depth);
                self.emit(Instr::LocalTee(local));
                self.constant_nan(ty);
                self.code.extend([Instr::LocalGet(local), Instr::LocalGet(local)]);
                self.code.extend([Instr::Plain(op(&format!("{name}.eq"))), Instr::Select]);
            }
            _ => self.constant(ty),
        }
    }

    fn constant_nan(&mut self, ty: Ty) {
        let bits = if ty == Ty::F32 { 0x7FC0_0000 } else { 0x7FF8 << 48 };
        self.emit(Instr::Const(ty, bits));
    }

    /// An address, nearly always inside the memory.
    fn address(&mut self, depth: u32) {
        match self.tape.below(16) {
            0..6 => {
                let at = (self.tape.next() % 64).into();
                self.push(Instr::Const(Ty::I32, at), Ty::I32);
            }
            6..15 => {
                self.tree(Ty::I32, depth);
                self.push(Instr::Const(Ty::I32, 63), Ty::I32);
                self.plain(op("i32.and"));
            }
            _ => self.tree(Ty::I32, depth),
        }
    }

    fn offset(&mut self) -> u32 {
        *self.tape.pick(&[0, 0, 0, 1, 4, 8, 60, 1000, 65528])
    }

    fn load(&mut self, ty: Ty, depth: u32) {
        let loads: Vec<&'static Access> = LOADS.iter().filter(|load| load.ty == ty).collect();
        let load = *self.tape.pick(&loads);
        self.address(depth.saturating_sub(1));
        let offset = self.offset();
        self.take(1);
        self.push(Instr::Load(load, offset), ty);
    }

    /// Pushes a value of this type.
    fn tree(&mut self, ty: Ty, depth: u32) {
        if depth == 0 || self.tape.ended() {
            return self.leaf(ty);
        }
        let depth = depth - 1;
        match self.tape.below(24) {
            0 => self.leaf(ty),
            1..15 => self.operator(ty, depth),
            15..18 => self.load(ty, depth),
            18 => {
                self.tree(ty, depth);
                self.tree(ty, depth);
                self.tree(Ty::I32, depth);
                self.take(2);
                let typed = self.tape.once_in(3);
                self.emit(if typed { Instr::SelectOf(ty) } else { Instr::Select });
            }
            19 => {
                let sig = Sig { params: vec![], results: vec![ty] };
                let inner = self.inside(vec![ty], &[], |b| b.tree(ty, depth));
                self.push(Instr::Block(sig, inner), ty);
            }
            20 => {
                self.tree(Ty::I32, depth);
                let sig = Sig { params: vec![], results: vec![ty] };
                let then = self.inside(vec![ty], &[], |b| b.tree(ty, depth));
                let or = self.inside(vec![ty], &[], |b| b.tree(ty, depth));
                self.take(1);
                self.push(Instr::If(sig, then, or), ty);
            }
            21 => {
                self.tree(ty, depth);
                if let Some(local) = self.local(ty) {
                    self.emit(Instr::LocalTee(local));
                }
            }
            22 => {
                let found = (0..self.signatures.len()).find(|&f| f != self.me && self.signatures[f].results == [ty]);
                let Some(callee) = found else { return self.operator(ty, depth) };
                for param in self.signatures[callee].params.clone() {
                    self.tree(param, depth.min(2));
                }
                self.take(self.signatures[callee].params.len());
                self.push(Instr::Call(callee as u32), ty);
            }
            _ => {
                // Something happens between the operands of what comes later.
                self.tree(ty, depth);
                self.effect(depth);
            }
        }
    }

    fn operator(&mut self, ty: Ty, depth: u32) {
        let ops: Vec<&'static Op> = OPS.iter().filter(|op| op.result == ty).collect();
        let mut op = *self.tape.pick(&ops);
        if op.traps && op.params[0].is_float() && !self.tape.once_in(8) {
            op = *self.tape.pick(&ops);
        }
        if ty == Ty::I32 && self.tape.once_in(6) {
            return self.push(Instr::MemorySize, ty);
        }
        for (i, &param) in op.params.iter().enumerate() {
            if op.exact == Some(i) {
                self.exact(param, depth)
            } else {
                self.tree(param, depth)
            }
            // Few divisions by zero.
            if op.traps && i == 1 && !self.tape.once_in(12) {
                self.push(Instr::Const(param, 1), param);
                self.plain(crate::ops::op(if param == Ty::I32 { "i32.or" } else { "i64.or" }));
            }
        }
        self.plain(op);
    }

    fn local(&mut self, ty: Ty) -> Option<u32> {
        let locals: Vec<u32> = (0..self.locals.len() as u32).filter(|&i| self.locals[i as usize] == ty).collect();
        (!locals.is_empty()).then(|| *self.tape.pick(&locals))
    }

    /// Changes a local, a global or the memory; leaves the stack as it was.
    fn effect(&mut self, depth: u32) {
        match self.tape.below(8) {
            1 | 2 if !self.locals.is_empty() => {
                let local = self.tape.below(self.locals.len());
                self.tree(self.locals[local], depth);
                self.take(1);
                self.emit(Instr::LocalSet(local as u32));
            }
            3 if self.globals.len() > 1 => {
                let global = 1 + self.tape.below(self.globals.len() - 1);
                self.tree(self.globals[global].0, depth);
                self.take(1);
                self.emit(Instr::GlobalSet(global as u32));
            }
            4..7 => {
                let store = self.tape.pick(STORES);
                self.address(depth);
                self.exact(store.ty, depth);
                self.take(2);
                let offset = self.offset();
                self.emit(Instr::Store(store, offset));
            }
            7 => {
                self.address(depth);
                let fill = self.tape.once_in(2);
                if fill {
                    self.tree(Ty::I32, depth)
                } else {
                    self.address(depth)
                }
                let len = *self.tape.pick(&[0, 1, 7, 63, 64, 65, 200, 1000, 70000]);
                self.take(2);
                self.emit(Instr::Const(Ty::I32, len));
                self.emit(if fill { Instr::MemoryFill } else { Instr::MemoryCopy });
            }
            _ => self.emit(Instr::Nop),
        }
    }

    // ---- flow

    /// The top of the stack has these types: because it has, or because they are pushed.
    fn want(&mut self, types: &[Ty]) {
        if self.stack.ends_with(types) && (types.is_empty() || !self.tape.once_in(3)) {
            return;
        }
        for &ty in types {
            self.tree(ty, 2);
        }
    }

    /// A block's inside, to its end, where its results are all that is on the stack. A branch to a loop is no end.
    fn statements(&mut self, depth: u32, results: &[Ty]) {
        while !self.tape.ended() && !self.tape.once_in(6) {
            self.statement(depth);
        }
        if self.dead {
            (0..self.stack.len()).for_each(|_| self.emit(Instr::Drop));
            return;
        }
        if self.stack == results {
            return;
        }
        if self.labels.last().is_some_and(|label| label == results) && self.tape.once_in(2) {
            self.want(results);
            self.emit(Instr::Br(0));
            return;
        }
        (0..self.stack.len()).for_each(|_| self.emit(Instr::Drop));
        self.stack.clear();
        self.want(results);
    }

    /// What follows is never run, and has a stack that gives everything.
    fn die(&mut self) {
        self.stack.clear();
        self.dead = true;
    }

    fn label(&mut self) -> (u32, Vec<Ty>) {
        let depth = self.tape.below(self.labels.len());
        (depth as u32, self.labels[self.labels.len() - 1 - depth].clone())
    }

    fn statement(&mut self, depth: u32) {
        match self.tape.below(20) {
            0 => self.effect(1),
            1 | 2 => self.effect(2),
            3 | 4 => {
                let ty = TYPES[self.tape.below(4)];
                self.tree(ty, 3);
            }
            5 if !self.stack.is_empty() => {
                self.take(1);
                self.emit(Instr::Drop);
            }
            6 | 7 if !self.stack.is_empty() => {
                let ty = self.stack[self.stack.len() - 1];
                let Some(local) = self.local(ty) else { return };
                if self.tape.once_in(2) {
                    self.emit(Instr::LocalTee(local));
                } else {
                    self.take(1);
                    self.emit(Instr::LocalSet(local));
                }
            }
            8..13 if depth > 0 => self.nested(depth - 1),
            13 | 14 => {
                let (label, types) = self.label();
                self.want(&types);
                self.tree(Ty::I32, 2);
                self.take(1);
                self.emit(Instr::BrIf(label));
            }
            15 => self.table(),
            16 | 17 => self.call(),
            18 => self.leave(),
            _ => {
                let ty = TYPES[self.tape.below(4)];
                self.want(&[ty, ty, Ty::I32]);
                self.take(3);
                self.push(Instr::Select, ty);
            }
        }
    }

    /// A block, loop or conditional that takes some of what is on the stack.
    fn nested(&mut self, depth: u32) {
        let kind = self.tape.below(4);
        let results = self.tape.types(3);
        let taken = if kind == 3 { 0 } else { self.tape.below(self.stack.len().min(3) + 1) };
        let params = self.stack[self.stack.len() - taken..].to_vec();
        let sig = Sig { params: params.clone(), results: results.clone() };
        if kind == 2 {
            self.tree(Ty::I32, 2);
            self.take(1 + params.len());
            let then = self.inside(results.clone(), &params, |b| b.statements(depth, &sig.results));
            let or = self.inside(results.clone(), &params, |b| b.statements(depth, &sig.results));
            self.emit(Instr::If(sig, then, or));
        } else if kind == 1 {
            self.take(params.len());
            let inner = self.inside(params.clone(), &params, |b| {
                b.spend_gas();
                b.statements(depth, &sig.results);
            });
            self.emit(Instr::Loop(sig, inner));
        } else {
            self.take(params.len());
            let inner = self.inside(results.clone(), &params, |b| b.statements(depth, &sig.results));
            self.emit(Instr::Block(sig, inner));
        }
        self.stack.extend(results);
    }

    fn table(&mut self) {
        let (default, types) = self.label();
        let fitting: Vec<u32> = (0..self.labels.len() as u32)
            .filter(|&depth| self.labels[self.labels.len() - 1 - depth as usize] == types)
            .collect();
        let targets = (0..self.tape.below(5)).map(|_| *self.tape.pick(&fitting)).collect();
        self.want(&types);
        self.tree(Ty::I32, 1);
        if !self.tape.once_in(4) {
            self.push(Instr::Const(Ty::I32, 7), Ty::I32);
            self.plain(op("i32.and"));
        }
        self.emit(Instr::BrTable(targets, default));
        self.die();
    }

    fn call(&mut self) {
        let callee = self.tape.below(self.signatures.len());
        let sig = self.signatures[callee].clone();
        self.want(&sig.params);
        let (indirect, tail) = (self.tape.once_in(3), sig.results == self.labels[0] && self.tape.once_in(3));
        if indirect {
            let index = if self.tape.once_in(8) { self.tape.below(self.signatures.len() + 2) } else { callee };
            self.emit(Instr::Const(Ty::I32, index as u64));
        }
        self.take(sig.params.len());
        let callee = callee as u32;
        self.emit(match (indirect, tail) {
            (false, false) => Instr::Call(callee),
            (true, false) => Instr::CallIndirect(callee),
            (false, true) => Instr::ReturnCall(callee),
            (true, true) => Instr::ReturnCallIndirect(callee),
        });
        if tail { self.die() } else { self.stack.extend(sig.results) }
    }

    fn leave(&mut self) {
        if self.tape.once_in(2) {
            let results = self.labels[0].clone();
            self.want(&results);
            self.emit(Instr::Return);
        } else {
            let (label, types) = self.label();
            self.want(&types);
            self.emit(Instr::Br(label));
        }
        if self.tape.once_in(10) {
            self.emit(Instr::Unreachable);
        }
        self.die();
    }
}
