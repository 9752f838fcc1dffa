//! Texts and bytes to a guest and back, through the guest's own allocator.
//!
//! Idea: what languages compile such functions to differs in few ways: how many parameters the allocator has, and how a
//! place and a length come back. The types tell which it is.
//!
//! Invariant: a range that the guest gives is checked and charged before anything is allocated for it.

use super::call::Types;
use super::error::SandboxError;
use super::{Live, Result, Sandbox};
use crate::{Extern, Func, Memory, Val, ValType};

use ValType::{I32, I64};

/// The guest's functions by which the host gets room in its memory.
///
/// The number of the parameters of the first says how it is called: `malloc(len)`, `alloc(len, align)`,
/// `realloc(old, old_len, align, len)`; of the second too: `free(ptr)`, `free(ptr, len)`, `free(ptr, len, align)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allocator {
    alloc: String,
    free: Option<String>,
    taken: bool,
}

impl Allocator {
    /// These functions. Without `free` nothing is given back. The host frees what it passed, after the call, and what the
    /// guest returned.
    pub fn new(alloc: impl Into<String>, free: Option<&str>) -> Self {
        Self { alloc: alloc.into(), free: free.map(Into::into), taken: false }
    }

    /// `malloc` and `free`, as C has them.
    pub fn malloc() -> Self {
        Self::new("malloc", Some("free"))
    }

    /// `cabi_realloc`, as the component model has it. What is passed is the guest's then.
    pub fn cabi_realloc() -> Self {
        Self::new("cabi_realloc", None).arguments_are_taken()
    }

    /// `__wbindgen_malloc` and `__wbindgen_free`. What is passed is the guest's then.
    pub fn wasm_bindgen() -> Self {
        Self::new("__wbindgen_malloc", Some("__wbindgen_free")).arguments_are_taken()
    }

    /// What is passed is the guest's then: the host does not free it.
    pub fn arguments_are_taken(self) -> Self {
        Self { taken: true, ..self }
    }

    /// Those that are tried if none is configured, in this order; the last is `alloc` and `dealloc`.
    fn known() -> [Self; 4] {
        [Self::cabi_realloc(), Self::malloc(), Self::wasm_bindgen(), Self::new("alloc", Some("dealloc"))]
    }
}

impl Sandbox {
    /// Calls a function that takes a text and returns one; see [`Self::call_bytes`]. What is not UTF-8 is an error of kind
    /// [`Returns`](super::SandboxErrorKind::Returns).
    pub fn call_str(&mut self, name: &str, text: &str) -> Result<String> {
        let bytes = self.call_bytes(name, text.as_bytes())?;
        String::from_utf8(bytes).map_err(|error| SandboxError::returns(name, "UTF-8", error.utf8_error()))
    }

    /// Calls a function that takes bytes and returns bytes, through the guest's allocator ([`Allocator`]) and the memory
    /// that it exports as `memory`.
    ///
    /// | type of the function | parameters | result |
    /// |---|---|---|
    /// | `(i32 i32) -> (i32 i32)` | address, length | address, length |
    /// | `(i32 i32) -> i64` | address, length | address in the upper half, length in the lower |
    /// | `(i32 i32 i32) -> ()` | where the result goes, address, length | there: address, length; a C structure |
    /// | `(i32 i32) -> i32` | address, length | address of bytes that end with a zero |
    /// | `(i32) -> i32` | address of bytes that end with a zero | the same |
    /// | any of these without its result | | none: empty |
    ///
    /// Bytes have no zero behind them where a length is passed. The result is freed, if the allocator frees, unless it
    /// lies where the argument does; see [`Allocator`] for the argument. All of it is one call: one timeout, one fuel.
    ///
    /// ```
    /// # use jitless::{Sandbox, SandboxConfig};
    /// let mut sandbox = Sandbox::new(SandboxConfig::default())?;
    /// sandbox.load(&wat::parse_str(r#"(module (memory (export "memory") 1)
    ///     (func (export "malloc") (param i32) (result i32) (i32.const 1024))
    ///     (func (export "initial") (param $ptr i32) (param $len i32) (result i32 i32) (local.get $ptr) (i32.const 1)))"#)?)?;
    /// assert_eq!(sandbox.call_str("initial", "hello")?, "h");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let allocator = self.config.allocator.clone();
        self.enter(name, |live| {
            let func = live.func(name)?;
            let ty = func.ty(&live.store);
            let Some(shape) = Shape::of(ty.params(), ty.results()) else {
                let wanted = "a type that takes and returns bytes";
                return Err(match ty.params() {
                    [I32] | [I32, I32] | [I32, I32, I32] => SandboxError::returns(name, "bytes", Types(ty.results())),
                    params => SandboxError::arguments(name, 0, wanted, Types(params)),
                });
            };
            let mut heap = Heap::new(live, allocator)?;
            let argument = heap.pass(bytes, shape.input == Input::Zero)?;
            let mut args = match shape.input {
                Input::Zero => vec![argument.ptr],
                Input::Len => vec![argument.ptr, argument.len],
            };
            let place = match shape.output {
                Output::Place => Some(heap.alloc(8, 4)?),
                _ => None,
            };
            args.splice(0..0, place);
            let results = heap.call(func, &args)?;
            let result = heap.find(name, shape.output, &results, place)?;
            let copy = heap.copy(name, result)?;
            if result.ptr != argument.ptr && result.ptr != 0 {
                heap.free(result, 1)?;
            }
            if let Some(ptr) = place {
                heap.free(Block { ptr, len: 8 }, 4)?;
            }
            if !heap.allocator.taken {
                heap.free(argument, 1)?;
            }
            Ok(copy)
        })
    }
}

/// How a function takes bytes and returns them.
struct Shape {
    input: Input,
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    /// Up to a zero.
    Zero,
    /// With their length.
    Len,
}

#[derive(Clone, Copy)]
enum Output {
    None,
    Zero,
    Packed,
    Pair,
    /// Where the first parameter says.
    Place,
}

impl Shape {
    fn of(params: &[ValType], results: &[ValType]) -> Option<Self> {
        let input = match params {
            [I32] => Input::Zero,
            [I32, I32] | [I32, I32, I32] => Input::Len,
            _ => return None,
        };
        let output = match (params.len(), results) {
            (3, []) => Output::Place,
            (3, _) => return None,
            (_, []) => Output::None,
            (_, [I32]) => Output::Zero,
            (_, [I64]) => Output::Packed,
            (_, [I32, I32]) => Output::Pair,
            _ => return None,
        };
        Some(Self { input, output })
    }
}

/// A range of the guest's memory.
#[derive(Clone, Copy)]
struct Block {
    ptr: u32,
    len: u32,
}

/// The guest's heap, from the host's side.
struct Heap<'a> {
    live: &'a mut Live,
    memory: Memory,
    allocator: Allocator,
    alloc: Func,
    free: Option<Func>,
}

impl<'a> Heap<'a> {
    fn new(live: &'a mut Live, allocator: Option<Allocator>) -> Result<Self> {
        let Some(Extern::Memory(memory)) = live.instance.get_export(&live.store, "memory") else {
            return Err(SandboxError::load("the module exports no memory named memory"));
        };
        let exports = |name: &str| live.instance.get_func(&live.store, name);
        let known = || Allocator::known().into_iter().find(|known| exports(&known.alloc).is_some());
        // If there is none the error names the one that most have.
        let allocator = allocator.or_else(known).unwrap_or_else(Allocator::malloc);
        let alloc = live.func(&allocator.alloc)?;
        let free = allocator.free.as_ref().and_then(|name| exports(name));
        Ok(Self { live, memory, allocator, alloc, free })
    }

    /// Calls a function with numbers.
    fn call(&mut self, func: Func, args: &[u32]) -> Result<Vec<Val>> {
        let args: Vec<Val> = args.iter().map(|&arg| Val::from(arg)).collect();
        let mut results = vec![Val::I32(0); func.ty(&self.live.store).results().len()];
        func.call(&mut self.live.store, &args, &mut results)?;
        Ok(results)
    }

    fn alloc(&mut self, len: u32, align: u32) -> Result<u32> {
        let ty = self.alloc.ty(&self.live.store);
        let args: &[u32] = match ty.params() {
            [I32] => &[len],
            [I32, I32] => &[len, align],
            [I32, I32, I32, I32] => &[0, 0, align, len],
            params => return Err(SandboxError::arguments(&self.allocator.alloc, 0, "i32", Types(params))),
        };
        let results = self.call(self.alloc, args)?;
        let name = &self.allocator.alloc;
        match results[..] {
            [Val::I32(0)] if len > 0 => Err(SandboxError::returns(name, "an address", "null: it has no room")),
            [Val::I32(ptr)] => Ok(ptr as u32),
            _ => Err(SandboxError::returns(name, "i32", Types(ty.results()))),
        }
    }

    fn free(&mut self, block: Block, align: u32) -> Result<()> {
        let Some(free) = self.free else { return Ok(()) };
        let ty = free.ty(&self.live.store);
        let args: &[u32] = match ty.params() {
            [I32] => &[block.ptr],
            [I32, I32] => &[block.ptr, block.len],
            [I32, I32, I32] => &[block.ptr, block.len, align],
            params => {
                let name = self.allocator.free.as_deref().unwrap_or_default();
                return Err(SandboxError::arguments(name, 0, "i32", Types(params)));
            }
        };
        self.call(free, args)?;
        Ok(())
    }

    /// Puts bytes into the guest's memory, with a zero behind them or not.
    fn pass(&mut self, bytes: &[u8], zero: bool) -> Result<Block> {
        let len = u32::try_from(bytes.len()).ok().and_then(|len| len.checked_add(u32::from(zero)));
        let Some(len) = len else {
            return Err(SandboxError::arguments(&self.allocator.alloc, 0, "less than 4 GiB", bytes.len()));
        };
        let block = Block { ptr: self.alloc(len, 1)?, len };
        self.memory.write(&mut self.live.store, block.ptr as usize, bytes)?;
        if zero {
            let end = block.ptr as usize + bytes.len();
            self.memory.write(&mut self.live.store, end, &[0])?;
        }
        Ok(block)
    }

    /// Where the result is.
    fn find(&self, name: &str, output: Output, results: &[Val], place: Option<u32>) -> Result<Block> {
        let block = |ptr: u32, len: u32| Ok(Block { ptr, len });
        match (output, results, place) {
            (Output::Pair, &[Val::I32(ptr), Val::I32(len)], _) => block(ptr as u32, len as u32),
            (Output::Packed, &[Val::I64(packed)], _) => block((packed as u64 >> 32) as u32, packed as u32),
            (Output::Place, _, Some(place)) => {
                let mut record = [0; 8];
                self.memory.read(&self.live.store, place as usize, &mut record)?;
                let [a, b, c, d, e, f, g, h] = record;
                block(u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
            }
            (Output::Zero, &[Val::I32(ptr)], _) => {
                let ptr = ptr as u32;
                let rest = self.memory.data(&self.live.store).get(ptr as usize..).unwrap_or_default();
                match rest.iter().position(|&byte| byte == 0) {
                    Some(len) => block(ptr, len as u32),
                    None => {
                        Err(SandboxError::returns(name, "bytes that end with a zero", format_args!("address {ptr}")))
                    }
                }
            }
            _ => block(0, 0),
        }
    }

    /// A copy of a range.
    fn copy(&self, name: &str, Block { ptr, len }: Block) -> Result<Vec<u8>> {
        let memory = self.memory.data(&self.live.store);
        let part = memory.get(ptr as usize..).and_then(|rest| rest.get(..len as usize));
        let Some(part) = part else {
            let given = format_args!("{len} bytes at {ptr} of {}", memory.len());
            return Err(SandboxError::returns(name, "bytes of the memory", given));
        };
        // The guest pays for as long as it runs; then the copy is the caller's.
        let account = self.live.store.account();
        account.charge(part.len() as u64, "a result")?;
        let copy = part.to_vec();
        account.release(part.len() as u64);
        Ok(copy)
    }
}
