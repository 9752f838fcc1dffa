//! A naive machine: a stack of values, one operator after another, a recursive function for blocks, and a count.
//!
//! It counts as the published schedule says: every operator 1, but `nop`, `block`, `loop`, `else` and `end` nothing; a
//! call adds one for 16 declared locals of the callee, a bulk operation one for 64 bytes.

use jitless::Trap;

use crate::ops::{Access, Op, Ty};

#[derive(Clone, Debug, Default)]
pub(crate) struct Sig {
    pub params: Vec<Ty>,
    pub results: Vec<Ty>,
}

#[derive(Clone)]
pub(crate) enum Instr {
    Plain(&'static Op),
    Const(Ty, u64),
    LocalGet(u32),
    LocalSet(u32),
    LocalTee(u32),
    GlobalGet(u32),
    GlobalSet(u32),
    Load(&'static Access, u32),
    Store(&'static Access, u32),
    Drop,
    Select,
    /// With the type written out.
    SelectOf(Ty),
    Block(Sig, Vec<Instr>),
    Loop(Sig, Vec<Instr>),
    If(Sig, Vec<Instr>, Vec<Instr>),
    Br(u32),
    BrIf(u32),
    BrTable(Vec<u32>, u32),
    Return,
    Call(u32),
    ReturnCall(u32),
    /// By the type of the function with this index, through the table of all functions.
    CallIndirect(u32),
    ReturnCallIndirect(u32),
    Unreachable,
    Nop,
    MemorySize,
    MemoryFill,
    MemoryCopy,
}

pub(crate) struct Function {
    pub sig: Sig,
    pub locals: Vec<Ty>,
    pub body: Vec<Instr>,
}

/// Function 0 is what runs. All functions are in the table, and behind them one null.
pub(crate) struct Program {
    pub functions: Vec<Function>,
    /// Mutable ones, with their first values.
    pub globals: Vec<(Ty, u64)>,
    /// The first bytes of a memory of one page.
    pub memory: Vec<u8>,
    pub args: Vec<u64>,
}

pub(crate) const PAGE: usize = 65536;
pub(crate) const LOCALS_PER_FUEL: usize = 16;
const BYTES_PER_FUEL: u64 = 64;

/// What a run came to.
pub(crate) struct Outcome {
    pub result: Result<Vec<u64>, Trap>,
    pub fuel: u64,
    pub globals: Vec<u64>,
    pub memory: Vec<u8>,
}

pub(crate) fn run(program: &Program) -> Outcome {
    let mut memory = program.memory.clone();
    memory.resize(PAGE, 0);
    let globals = program.globals.iter().map(|g| g.1).collect();
    let mut machine = Machine { program, globals, memory, fuel: 0 };
    let result = machine.call(0, program.args.clone());
    Outcome { result, fuel: machine.fuel, globals: machine.globals, memory: machine.memory }
}

struct Machine<'p> {
    program: &'p Program,
    globals: Vec<u64>,
    memory: Vec<u8>,
    fuel: u64,
}

struct Frame {
    locals: Vec<u64>,
    stack: Vec<u64>,
}

enum Flow {
    Next,
    Branch(u32),
    Return,
    Tail(u32),
}

impl Frame {
    fn pop(&mut self) -> u64 {
        self.stack.pop().expect("valid")
    }

    fn pop_u32(&mut self) -> u32 {
        self.pop() as u32
    }

    fn top(&mut self, n: usize) -> Vec<u64> {
        self.stack.split_off(self.stack.len() - n)
    }

    /// Keeps the top `n` values and `base` others.
    fn unwind(&mut self, base: usize, n: usize) {
        let kept = self.top(n);
        self.stack.truncate(base);
        self.stack.extend(kept);
    }
}

impl Machine<'_> {
    fn call(&mut self, mut function: u32, mut args: Vec<u64>) -> Result<Vec<u64>, Trap> {
        let program = self.program;
        loop {
            let f = &program.functions[function as usize];
            self.fuel += (f.locals.len() / LOCALS_PER_FUEL) as u64;
            args.resize(args.len() + f.locals.len(), 0);
            let mut frame = Frame { locals: args, stack: vec![] };
            match self.run(&f.body, &mut frame)? {
                Flow::Tail(callee) => {
                    args = frame.top(program.functions[callee as usize].sig.params.len());
                    function = callee;
                }
                _ => return Ok(frame.top(f.sig.results.len())),
            }
        }
    }

    fn run(&mut self, code: &[Instr], frame: &mut Frame) -> Result<Flow, Trap> {
        for instr in code {
            match self.step(instr, frame)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn step(&mut self, instr: &Instr, frame: &mut Frame) -> Result<Flow, Trap> {
        self.fuel += u64::from(!matches!(instr, Instr::Nop | Instr::Block(..) | Instr::Loop(..)));
        match instr {
            Instr::Plain(op) => {
                let args = frame.top(op.params.len());
                frame.stack.push((op.eval)(&args)?);
            }
            Instr::Const(_, bits) => frame.stack.push(*bits),
            Instr::LocalGet(i) => frame.stack.push(frame.locals[*i as usize]),
            Instr::LocalSet(i) => frame.locals[*i as usize] = frame.pop(),
            Instr::LocalTee(i) => frame.locals[*i as usize] = *frame.stack.last().expect("valid"),
            Instr::GlobalGet(i) => frame.stack.push(self.globals[*i as usize]),
            Instr::GlobalSet(i) => self.globals[*i as usize] = frame.pop(),
            Instr::Load(load, offset) => {
                let at = self.place(frame.pop_u32(), *offset, load.size)?;
                let mut bytes = [0; 8];
                bytes[..load.size].copy_from_slice(&self.memory[at..at + load.size]);
                let bits = u64::from_le_bytes(bytes);
                frame.stack.push(match (load.signed, load.ty) {
                    (0, _) => bits,
                    (from, Ty::I32) => (((bits as i64) << (64 - from) >> (64 - from)) as u32).into(),
                    (from, _) => ((bits as i64) << (64 - from) >> (64 - from)) as u64,
                });
            }
            Instr::Store(store, offset) => {
                let value = frame.pop();
                let at = self.place(frame.pop_u32(), *offset, store.size)?;
                self.memory[at..at + store.size].copy_from_slice(&value.to_le_bytes()[..store.size]);
            }
            Instr::Drop => drop(frame.pop()),
            Instr::Select | Instr::SelectOf(_) => {
                let (condition, b, a) = (frame.pop_u32(), frame.pop(), frame.pop());
                frame.stack.push(if condition != 0 { a } else { b });
            }
            Instr::Block(sig, body) => return self.block(sig, body, frame),
            Instr::Loop(sig, body) => {
                let base = frame.stack.len() - sig.params.len();
                loop {
                    match self.run(body, frame)? {
                        Flow::Branch(0) => frame.unwind(base, sig.params.len()),
                        Flow::Branch(n) => return Ok(Flow::Branch(n - 1)),
                        flow => return Ok(flow),
                    }
                }
            }
            Instr::If(sig, then, or) => {
                let body = if frame.pop_u32() != 0 { then } else { or };
                return self.block(sig, body, frame);
            }
            Instr::Br(n) => return Ok(Flow::Branch(*n)),
            Instr::BrIf(n) => {
                if frame.pop_u32() != 0 {
                    return Ok(Flow::Branch(*n));
                }
            }
            Instr::BrTable(targets, default) => {
                let target = targets.get(frame.pop_u32() as usize).unwrap_or(default);
                return Ok(Flow::Branch(*target));
            }
            Instr::Return => return Ok(Flow::Return),
            Instr::Call(f) => self.call_from(*f, frame)?,
            Instr::CallIndirect(ty) => {
                let f = self.find(frame.pop_u32(), *ty)?;
                self.call_from(f, frame)?;
            }
            Instr::ReturnCall(f) => return Ok(Flow::Tail(*f)),
            Instr::ReturnCallIndirect(ty) => return Ok(Flow::Tail(self.find(frame.pop_u32(), *ty)?)),
            Instr::Unreachable => return Err(Trap::Unreachable),
            Instr::Nop => {}
            Instr::MemorySize => frame.stack.push(1),
            Instr::MemoryFill => {
                let (len, value, to) = (frame.pop_u32(), frame.pop(), frame.pop_u32());
                let to = self.place(to, 0, len as usize)?;
                self.fuel += u64::from(len) / BYTES_PER_FUEL;
                self.memory[to..to + len as usize].fill(value as u8);
            }
            Instr::MemoryCopy => {
                let (len, from, to) = (frame.pop_u32(), frame.pop_u32(), frame.pop_u32());
                let (from, to) = (self.place(from, 0, len as usize)?, self.place(to, 0, len as usize)?);
                self.fuel += u64::from(len) / BYTES_PER_FUEL;
                self.memory.copy_within(from..from + len as usize, to);
            }
        }
        Ok(Flow::Next)
    }

    fn block(&mut self, sig: &Sig, body: &[Instr], frame: &mut Frame) -> Result<Flow, Trap> {
        let base = frame.stack.len() - sig.params.len();
        Ok(match self.run(body, frame)? {
            Flow::Branch(0) => {
                frame.unwind(base, sig.results.len());
                Flow::Next
            }
            Flow::Branch(n) => Flow::Branch(n - 1),
            flow => flow,
        })
    }

    fn call_from(&mut self, function: u32, frame: &mut Frame) -> Result<(), Trap> {
        let args = frame.top(self.program.functions[function as usize].sig.params.len());
        let results = self.call(function, args)?;
        frame.stack.extend(results);
        Ok(())
    }

    /// The function at an index of the table, if it has the type of the function `ty`.
    fn find(&self, index: u32, ty: u32) -> Result<u32, Trap> {
        let functions = &self.program.functions;
        if index as usize == functions.len() {
            return Err(Trap::UninitializedElement);
        }
        let found = functions.get(index as usize).ok_or(Trap::UndefinedElement)?;
        let wanted = &functions[ty as usize].sig;
        let same = (&found.sig.params, &found.sig.results) == (&wanted.params, &wanted.results);
        if same { Ok(index) } else { Err(Trap::BadSignature) }
    }

    fn place(&self, address: u32, offset: u32, size: usize) -> Result<usize, Trap> {
        let at = address as usize + offset as usize;
        if at + size <= self.memory.len() { Ok(at) } else { Err(Trap::MemoryOutOfBounds) }
    }
}
