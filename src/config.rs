//! What an engine allows: proposals, limits on modules, and how code is run. One table for each of the first two.
//!
//! Invariant: [`Config::new`] is bounded in every respect; what is unbounded is spelt out by who wants it so.

use core::fmt::{self, Debug, Display, Formatter};
use core::ops::{BitAnd, BitOr, Sub};

use jitless_machine::instr::Proposal;

use crate::error::{Error, Result};

/// Is the word among those of a row?
macro_rules! has {
    ($flag:ident in) => { false };
    (wasm1 in wasm1 $($rest:ident)*) => { true };
    (wasm2 in wasm2 $($rest:ident)*) => { true };
    (wasm3 in wasm3 $($rest:ident)*) => { true };
    (finished in finished $($rest:ident)*) => { true };
    (runs in runs $($rest:ident)*) => { true };
    ($flag:ident in $other:ident $($rest:ident)*) => { has!($flag in $($rest)*) };
}

/// The table of proposals. The words after a name say in which version of WebAssembly it is part of the language,
/// whether it is `finished` (phase 4 or later) though in none, and whether this version `runs` it.
macro_rules! proposals {
    ($($(#[$doc:meta])* $constant:ident $setter:ident $text:literal: $($word:ident)*;)*) => {
        #[derive(Clone, Copy)]
        #[repr(u8)]
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Row { MVP, $($constant),* }

        impl Proposals {
            /// WebAssembly 1.0 as first published; always on.
            pub const MVP: Self = Self(1 << Row::MVP as u32);
            $($(#[$doc])* pub const $constant: Self = Self(1 << Row::$constant as u32);)*

            /// WebAssembly 1.0 (2019).
            pub const WASM1: Self =
                Self(Self::MVP.0 $(| if has!(wasm1 in $($word)*) { Self::$constant.0 } else { 0 })*);
            /// WebAssembly 2.0 (2022).
            pub const WASM2: Self =
                Self(Self::WASM1.0 $(| if has!(wasm2 in $($word)*) { Self::$constant.0 } else { 0 })*);
            /// WebAssembly 3.0 (2025).
            pub const WASM3: Self =
                Self(Self::WASM2.0 $(| if has!(wasm3 in $($word)*) { Self::$constant.0 } else { 0 })*);
            /// What is finished since, but part of no version yet.
            pub const FINISHED: Self = Self(0 $(| if has!(finished in $($word)*) { Self::$constant.0 } else { 0 })*);
            /// What this version of jitless runs.
            pub const RUNS: Self = Self(Self::MVP.0 $(| if has!(runs in $($word)*) { Self::$constant.0 } else { 0 })*);
            /// All that have a name here.
            pub const ALL: Self = Self(Self::MVP.0 $(| Self::$constant.0)*);

            /// The names, in the order of the bits.
            const NAMES: &'static [&'static str] = &["mvp", $($text),*];
        }

        /// Proposals, one by one. What this version does not run yet is refused by validation even when it is on.
        impl Config {
            $(
                #[doc = concat!("Switches the ", $text, " proposal on or off: ")]
                $(#[$doc])*
                #[doc = default_of!($($word)*)]
                pub fn $setter(&mut self, enable: bool) -> &mut Self {
                    self.proposals.set(Proposals::$constant, enable);
                    self
                }
            )*
        }
    };
}

macro_rules! default_of {
    (runs) => { "\nOff by default." };
    (runs $($rest:ident)+) => { default_of!($($rest)*) };
    ($word:ident runs) => { "\nOn by default." };
    ($word:ident) => { "\nThis version does not run it yet." };
    () => { "\nThis version does not run it yet." };
}

/// A set of WebAssembly proposals.
///
/// ```
/// use jitless::Proposals;
/// assert!(Proposals::WASM3.contains(Proposals::TAIL_CALL));
/// assert_eq!(Proposals::from_name("tail-call"), Some(Proposals::TAIL_CALL));
/// let both = Proposals::TAIL_CALL | Proposals::GC;
/// assert_eq!(both.iter().map(Proposals::name).collect::<Vec<_>>(), ["tail-call", "gc"]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Proposals(u64);

proposals! {
    /// globals that can be set may be imported and exported.
    MUTABLE_GLOBAL wasm_mutable_global "mutable-global": wasm1 runs;
    /// `i32.extend8_s` and its kin.
    SIGN_EXTENSION wasm_sign_extension "sign-extension": wasm2 runs;
    /// `i32.trunc_sat_f32_s` and its kin.
    SATURATING_FLOAT_TO_INT wasm_saturating_float_to_int "saturating-float-to-int": wasm2 runs;
    /// blocks with parameters; several results.
    MULTI_VALUE wasm_multi_value "multi-value": wasm2 runs;
    /// `memory.copy`, `table.init` and their kin; passive segments.
    BULK_MEMORY wasm_bulk_memory "bulk-memory": wasm2 runs;
    /// `funcref` and `externref` as value types; several tables.
    REFERENCE_TYPES wasm_reference_types "reference-types": wasm2 runs;
    /// vectors of 128 bits.
    SIMD wasm_simd "simd": wasm2;
    /// constant expressions that add, subtract and multiply.
    EXTENDED_CONST wasm_extended_const "extended-const": wasm3 runs;
    /// `return_call` and its kin.
    TAIL_CALL wasm_tail_call "tail-call": wasm3 runs;
    /// several memories.
    MULTI_MEMORY wasm_multi_memory "multi-memory": wasm3 runs;
    /// memories and tables with 64-bit addresses.
    MEMORY64 wasm_memory64 "memory64": wasm3;
    /// exceptions: `try_table`, `throw` and tags.
    EXCEPTIONS wasm_exceptions "exceptions": wasm3;
    /// references to functions of one type; references that are never null.
    FUNCTION_REFERENCES wasm_function_references "function-references": wasm3;
    /// structures, arrays and small integers, collected when out of reach.
    GC wasm_gc "gc": wasm3;
    /// vector instructions whose results may differ; here they never do.
    RELAXED_SIMD wasm_relaxed_simd "relaxed-simd": wasm3;
    /// shared memories and atomic instructions.
    THREADS wasm_threads "threads": finished;
    /// products and sums of 128 bits.
    WIDE_ARITHMETIC wasm_wide_arithmetic "wide-arithmetic": finished;
    /// memories with pages of one byte.
    CUSTOM_PAGE_SIZES wasm_custom_page_sizes "custom-page-sizes": finished;
    /// import sections that name each module once.
    COMPACT_IMPORTS wasm_compact_imports "compact-imports": finished;
    /// continuations.
    STACK_SWITCHING wasm_stack_switching "stack-switching": ;
    /// structures with a description of their type.
    CUSTOM_DESCRIPTORS wasm_custom_descriptors "custom-descriptors": ;
    /// tables, globals and functions shared between threads.
    SHARED_EVERYTHING_THREADS wasm_shared_everything_threads "shared-everything-threads": ;
    /// `memory.discard`.
    MEMORY_CONTROL wasm_memory_control "memory-control": ;
    /// `try` and `catch` as they were before `try_table`.
    LEGACY_EXCEPTIONS wasm_legacy_exceptions "legacy-exceptions": ;
}

impl Proposals {
    /// No proposal, not even [`Self::MVP`].
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Are all of `others` in this set?
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Is the set empty?
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Adds all of `others`.
    pub const fn insert(&mut self, others: Self) {
        self.0 |= others.0;
    }

    /// Takes away all of `others`.
    pub const fn remove(&mut self, others: Self) {
        self.0 &= !others.0;
    }

    /// Adds or takes away all of `others`.
    pub const fn set(&mut self, others: Self, on: bool) {
        if on { self.insert(others) } else { self.remove(others) }
    }

    /// The proposals in this set, each a set of one.
    pub fn iter(self) -> impl Iterator<Item = Self> {
        (0..u64::BITS).map(|bit| Self(1 << bit)).filter(move |&one| self.contains(one))
    }

    /// The name as proposals are usually written: `tail-call`. Of several, the first one's; of none, the empty text.
    pub const fn name(self) -> &'static str {
        let bit = self.0.trailing_zeros() as usize;
        if bit < Self::NAMES.len() { Self::NAMES[bit] } else { "" }
    }

    /// The proposal with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        let bit = Self::NAMES.iter().position(|&known| known == name)?;
        Some(Self(1 << bit))
    }

    /// Those of this set that run: on is not enough.
    pub(crate) const fn running(self) -> Self {
        Self(self.0 & Self::RUNS.0)
    }

    /// The proposal that a row of the instruction table names.
    pub(crate) const fn of(row: Proposal) -> Self {
        Self::OF_ROWS[row as usize]
    }

    const OF_ROWS: [Self; Proposal::ALL.len()] = {
        let mut of = [Self(0); Proposal::ALL.len()];
        let mut row = 0;
        while row < of.len() {
            let name = Proposal::ALL[row].text().as_bytes();
            let mut bit = 0;
            while !same(Self::NAMES[bit].as_bytes(), name) {
                bit += 1;
            }
            of[Proposal::ALL[row] as usize] = Self(1 << bit);
            row += 1;
        }
        of
    };
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

impl From<Proposal> for Proposals {
    fn from(row: Proposal) -> Self {
        Self::of(row)
    }
}

impl BitOr for Proposals {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Proposals {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Sub for Proposals {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Display for Proposals {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (n, one) in self.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { ", " })?;
            f.write_str(one.name())?;
        }
        Ok(())
    }
}

impl Debug for Proposals {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Self::name)).finish()
    }
}

/// How tiles hand on to each other. Results never depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Dispatch {
    /// Directly where a test at first use finds that calls in tail position are jumps in this build, else bounced.
    #[default]
    Auto,
    /// Directly; an error of [`crate::Engine::new`] in a build where it would use up the native stack.
    Direct,
    /// Through a loop: slower, and the same in every build.
    Bounced,
}

/// When functions are validated and translated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Compilation {
    /// Everything when the module is loaded.
    Eager,
    /// Each function, validation included, when it is first called: the fastest start. An invalid body is an error of
    /// that call, not of loading.
    Lazy,
    /// Validation when the module is loaded, translation when a function is first called.
    #[default]
    LazyChecked,
}

macro_rules! module_limits {
    ($($(#[$doc:meta])* $name:ident $check:ident $text:literal: $ty:ident = $default:expr, $strict:expr;)*) => {
        /// The largest modules that an engine takes, respect by respect.
        ///
        /// The defaults are what other engines and browsers agree on, so that a module within them runs everywhere.
        /// What is beyond is an error of kind [`crate::ErrorKind::Limit`], found before memory is spent on it.
        #[derive(Clone, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub struct ModuleLimits {
            $($(#[$doc])* #[doc = concat!("\n\nDefault: ", stringify!($default), ".")] pub $name: $ty,)*
        }

        impl Default for ModuleLimits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl ModuleLimits {
            /// Limits for small programs of people one does not know: a few thousand of everything, a module of 16 MiB.
            pub fn strict() -> Self {
                Self { $($name: $strict,)* }
            }

            $(
                /// `offset` is where the module says so.
                #[allow(dead_code, reason = "some are for proposals to come")]
                pub(crate) fn $check(&self, found: u64, offset: Option<usize>) -> Result<()> {
                    #[allow(clippy::unnecessary_cast)]
                    let limit = self.$name as u64;
                    if found <= limit { Ok(()) } else { Err(Error::limit($text, limit, found, offset)) }
                }
            )*
        }
    };
}

module_limits! {
    /// The size of the module in bytes.
    module_bytes check_module_bytes "module bytes": u64 = 1 << 30, 16 << 20;
    /// Types, those inside recursion groups counted one by one.
    types check_types "types": u32 = 1_000_000, 10_000;
    /// Supertypes above a type.
    subtype_depth check_subtype_depth "supertypes above a type (subtype depth)": u32 = 63, 16;
    /// Fields of a structure.
    fields check_fields "fields": u32 = 10_000, 256;
    /// Parameters of a function type.
    params check_params "parameters": u32 = 1_000, 64;
    /// Results of a function type.
    results check_results "results": u32 = 1_000, 64;
    /// Imports.
    imports check_imports "imports": u32 = 1_000_000, 1_000;
    /// Exports.
    exports check_exports "exports": u32 = 1_000_000, 1_000;
    /// Bytes of a name of an import, export or section.
    name_bytes check_name_bytes "bytes of a name": u32 = 100_000, 1_000;
    /// Functions, imports counted.
    functions check_functions "functions": u32 = 1_000_000, 10_000;
    /// Tables, imports counted.
    tables check_tables "tables": u32 = 100_000, 100;
    /// Memories, imports counted.
    memories check_memories "memories": u32 = 100, 1;
    /// Globals, imports counted.
    globals check_globals "globals": u32 = 1_000_000, 1_000;
    /// Tags, imports counted.
    tags check_tags "tags": u32 = 1_000_000, 1_000;
    /// Element segments, and data segments: each sort may have so many.
    segments check_segments "segments": u32 = 100_000, 1_000;
    /// Items of an element segment.
    items check_items "items of a segment": u32 = 10_000_000, 10_000;
    /// Elements that a table has at the start.
    table_elements check_table_elements "table elements": u64 = 10_000_000, 10_000;
    /// Pages that a memory has at the start.
    memory_pages check_memory_pages "memory pages": u64 = 1 << 48, 1 << 16;
    /// Bytes of a function's body.
    body_bytes check_body_bytes "body bytes": u32 = 7_654_321, 1 << 20;
    /// Locals of a function, parameters counted.
    locals check_locals "locals": u32 = 50_000, 10_000;
    /// Blocks inside each other. Real programs nest thousands; nothing here recurses, so this only bounds memory.
    nesting check_nesting "nested blocks": u32 = 10_000_000, 10_000;
}

/// What an engine allows and how it runs code. Setters return the configuration, so they can be chained.
///
/// ```
/// # use jitless::{Compilation, Config};
/// let mut config = Config::new();
/// config.wasm_tail_call(false).compilation(Compilation::Eager).max_call_depth(Some(10_000));
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) proposals: Proposals,
    pub(crate) dispatch: Dispatch,
    pub(crate) compilation: Compilation,
    pub(crate) max_wasm_stack: usize,
    pub(crate) max_call_depth: Option<u32>,
    pub(crate) max_host_depth: u32,
    pub(crate) wasm_backtrace: bool,
    pub(crate) limits: ModuleLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self::new()
    }
}

impl Config {
    /// Everything of WebAssembly 3.0 and finished proposals that this version runs; validation when a module is loaded,
    /// translation when a function is first called; a stack of 8 MiB for guests; the default [`ModuleLimits`].
    pub fn new() -> Self {
        Self {
            proposals: (Proposals::WASM3 | Proposals::FINISHED).running(),
            dispatch: if cfg!(jitless_hard) { Dispatch::Bounced } else { Dispatch::Auto },
            compilation: if cfg!(jitless_hard) { Compilation::Lazy } else { Compilation::LazyChecked },
            max_wasm_stack: 8 << 20,
            max_call_depth: None,
            max_host_depth: 100,
            wasm_backtrace: true,
            limits: ModuleLimits::default(),
        }
    }

    /// As [`Self::new`], but WebAssembly 1.0 only.
    pub fn wasm1() -> Self {
        Self { proposals: Proposals::WASM1, ..Self::new() }
    }

    /// As [`Self::new`], but WebAssembly 2.0 only.
    pub fn wasm2() -> Self {
        Self { proposals: Proposals::WASM2, ..Self::new() }
    }

    /// As [`Self::new`], but WebAssembly 3.0 only.
    pub fn wasm3() -> Self {
        Self { proposals: Proposals::WASM3, ..Self::new() }
    }

    /// Switches proposals on or off, many at once.
    pub fn wasm_proposals(&mut self, proposals: Proposals, enable: bool) -> &mut Self {
        self.proposals.set(proposals - Proposals::MVP, enable);
        self
    }

    /// The proposals that are on. Those of them that are not in [`Proposals::RUNS`] are refused all the same.
    pub fn proposals(&self) -> Proposals {
        self.proposals
    }

    /// How tiles hand on to each other. Default: [`Dispatch::Auto`].
    pub fn dispatch(&mut self, dispatch: Dispatch) -> &mut Self {
        self.dispatch = dispatch;
        self
    }

    /// When functions are validated and translated. Default: [`Compilation::LazyChecked`].
    pub fn compilation(&mut self, compilation: Compilation) -> &mut Self {
        self.compilation = compilation;
        self
    }

    /// The most bytes that the frames of a store's guests may take. Beyond it a call traps with "call stack exhausted".
    ///
    /// The stack lies on the heap and starts small. Default: 8 MiB.
    pub fn max_wasm_stack(&mut self, bytes: usize) -> &mut Self {
        self.max_wasm_stack = bytes;
        self
    }

    /// The most calls of guest functions inside each other, if the bytes of their frames do not bound them first.
    ///
    /// A call beyond it traps with "call stack exhausted". Default: `None`, only bytes count.
    pub fn max_call_depth(&mut self, frames: Option<u32>) -> &mut Self {
        self.max_call_depth = frames;
        self
    }

    /// The most calls from the host into a guest inside each other: guest, host, guest again. Only these use the native
    /// stack, besides what the host functions take themselves.
    ///
    /// A call beyond it traps with "call stack exhausted". Default: 100.
    pub fn max_host_depth(&mut self, calls: u32) -> &mut Self {
        self.max_host_depth = calls;
        self
    }

    /// Should an error say where the guest was? It costs nothing until an error happens. Default: yes.
    pub fn wasm_backtrace(&mut self, enable: bool) -> &mut Self {
        self.wasm_backtrace = enable;
        self
    }

    /// The largest modules that are taken. Default: [`ModuleLimits::default`].
    pub fn enforced_limits(&mut self, limits: ModuleLimits) -> &mut Self {
        self.limits = limits;
        self
    }

    /// The limits that are set, to change some of them: `config.limits_mut().functions = 100`.
    pub fn limits_mut(&mut self) -> &mut ModuleLimits {
        &mut self.limits
    }

    /// Is this a configuration that makes sense? [`crate::Engine::new`] asks.
    pub(crate) fn check(&self) -> Result<()> {
        for (proposal, base) in Self::NEEDS {
            if self.proposals.contains(proposal) && !self.proposals.contains(base) {
                let (proposal, base) = (proposal.name(), base.name());
                return Err(Error::argument(alloc::format!(
                    "the {proposal} proposal is on, but the {base} proposal that it builds on is off"
                )));
            }
        }
        if self.max_wasm_stack < Self::LEAST_STACK {
            let (found, least) = (self.max_wasm_stack, Self::LEAST_STACK);
            return Err(Error::argument(alloc::format!(
                "a stack of {found} bytes for guests, at least {least} needed"
            )));
        }
        Ok(())
    }

    /// A frame of a small function and of its caller.
    const LEAST_STACK: usize = 1024;

    /// Proposals that build on others.
    const NEEDS: [(Proposals, Proposals); 4] = [
        (Proposals::RELAXED_SIMD, Proposals::SIMD),
        (Proposals::FUNCTION_REFERENCES, Proposals::REFERENCE_TYPES),
        (Proposals::GC, Proposals::FUNCTION_REFERENCES),
        (Proposals::STACK_SWITCHING, Proposals::FUNCTION_REFERENCES),
    ];
}

/// The engine at its hardest: with `--cfg jitless_hard` whatever is rare happens all the time.
pub(crate) mod hard {
    /// After so much fuel the machine stops to look at deadline and stop handle.
    pub(crate) const FUEL_SLICE: i64 = if cfg!(jitless_hard) { 1 } else { 1 << 20 };
    /// What the value stack has before it grows.
    pub(crate) const STACK_START_BYTES: usize = if cfg!(jitless_hard) { 256 } else { 16 << 10 };
    /// Does a memory lie elsewhere after each growth?
    pub(crate) const GROW_MOVES: bool = cfg!(jitless_hard);
    /// What fresh slots hold.
    pub(crate) const JUNK: Option<u64> = if cfg!(jitless_hard) { Some(0xDEAD_BEEF_DEAD_BEEF) } else { None };
}

pub(crate) use self::hard::{FUEL_SLICE, GROW_MOVES, JUNK, STACK_START_BYTES};

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn presets() {
        assert!(Proposals::WASM2.contains(Proposals::WASM1) && Proposals::WASM3.contains(Proposals::WASM2));
        assert_eq!(Proposals::WASM1, Proposals::MVP | Proposals::MUTABLE_GLOBAL);
        assert_eq!((Proposals::WASM2 - Proposals::RUNS).to_string(), "simd");
        assert_eq!(
            (Proposals::WASM3 - Proposals::RUNS).to_string(),
            "simd, memory64, exceptions, function-references, gc, relaxed-simd"
        );
        assert!((Proposals::WASM3 & Proposals::FINISHED).is_empty());
        assert_eq!(Config::new().proposals(), Proposals::RUNS);
        assert_eq!(Config::wasm2().proposals(), Proposals::WASM2);
    }

    #[test]
    fn names_are_unique_and_found() {
        for (n, one) in Proposals::ALL.iter().enumerate() {
            assert_eq!(Proposals::from_name(one.name()), Some(one), "{n}");
        }
        assert_eq!(Proposals::from_name("gd"), None);
        assert_eq!((Proposals::empty().name(), Proposals::empty().iter().count()), ("", 0));
    }

    #[test]
    fn rows_of_the_instruction_table() {
        for &row in Proposal::ALL {
            assert_eq!(Proposals::of(row).name(), row.text());
            assert!(Proposals::RUNS.contains(row.into()));
        }
    }

    #[test]
    fn setters() {
        let mut config = Config::new();
        config.wasm_tail_call(false).wasm_gc(true).wasm_proposals(Proposals::ALL, false);
        assert_eq!(config.proposals(), Proposals::MVP);
        let on: Vec<_> = config.wasm_simd(true).wasm_tail_call(true).proposals().iter().map(Proposals::name).collect();
        assert_eq!(on, ["mvp", "simd", "tail-call"]);
        assert_eq!(config.proposals().running(), Proposals::MVP | Proposals::TAIL_CALL);
    }

    #[test]
    fn combinations() {
        #[track_caller]
        fn check(change: impl Fn(&mut Config) -> &mut Config, want: &str) {
            let mut config = Config::wasm3();
            assert!(config.check().is_ok());
            let error = change(&mut config).check().unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Argument, want));
        }
        check(
            |c| c.wasm_simd(false),
            "the relaxed-simd proposal is on, but the simd proposal that it builds on is off",
        );
        check(
            |c| c.wasm_reference_types(false),
            "the function-references proposal is on, but the reference-types proposal that it builds on is off",
        );
        check(|c| c.max_wasm_stack(0), "a stack of 0 bytes for guests, at least 1024 needed");
        for config in [Config::new(), Config::wasm1(), Config::wasm2(), Config::wasm3()] {
            assert!(config.check().is_ok());
        }
    }

    #[test]
    fn limits_name_themselves() {
        let limits = ModuleLimits::default();
        assert!(limits.check_locals(50_000, None).is_ok());
        let error = limits.check_locals(50_001, Some(0x1a)).unwrap_err();
        assert_eq!(error.to_string(), "limit exceeded: 50001 locals, at most 50000, at 0x1a");
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Limit, Some(0x1a)));
    }
}
