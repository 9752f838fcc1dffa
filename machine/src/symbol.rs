//! Symbols: what the nodes of a pattern tree are called, by number.
//!
//! A symbol is a leaf, a plain instruction, an access (near or far) or one of the forms listed here. The build script reads
//! patterns with them, the translator builds its trees of them. All facts about instructions come from the table.
use crate::instr::{Access, Plain};
use crate::types::Ty;

/// A symbol, by number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Sym(pub u16);

/// What the rules on delaying evaluation need to know of a symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Slot, constant or accumulator.
    Leaf,
    /// An operator that only computes.
    Pure,
    /// An operator that may trap, and is no load.
    Traps,
    /// Reads memory, may trap.
    Load,
    /// Reads what other instructions change: a global, the size of a memory.
    Read,
    /// A statement.
    Root,
}

/// A symbol's facts.
#[derive(Clone, Copy)]
pub struct Info {
    /// As patterns write it.
    pub name: &'static str,
    /// Behind the name: accesses have a near and a far symbol.
    pub suffix: &'static str,
    /// Type of the result; roots have none.
    pub result: Option<Ty>,
    /// Types of the operands.
    pub operands: &'static [Ty],
    /// For the rules on delaying.
    pub kind: Kind,
    /// Operands may be exchanged.
    pub commutes: bool,
}

macro_rules! forms {
    ($($name:ident ($($arg:ident)*) $($res:ident)? = $kind:ident;)*) => {
        /// Symbols beside those of the table: leaves first.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u16)]
        #[allow(missing_docs, reason = "the forms of `form` and `control`, with types in the names")]
        pub enum Form { $($name),* }
        const FORMS: &[Info] = &[$(Info {
            name: stringify!($name), suffix: "", operands: &[$(Ty::$arg),*], result: forms!(@ $($res)?),
            kind: Kind::$kind, commutes: false,
        }),*];
    };
    (@) => { None };
    (@ $res:ident) => { Some(Ty::$res) };
}

forms! {
    L () = Leaf;
    C () = Leaf;
    A () = Leaf;
    // two values, then the condition
    I32Select (I32 I32 I32) I32 = Pure;
    I64Select (I64 I64 I32) I64 = Pure;
    F32Select (F32 F32 I32) F32 = Pure;
    F64Select (F64 F64 I32) F64 = Pure;
    I32Global () I32 = Read;
    I64Global () I64 = Read;
    F32Global () F32 = Read;
    F64Global () F64 = Read;
    I32GlobalFar () I32 = Read;
    I64GlobalFar () I64 = Read;
    F32GlobalFar () F32 = Read;
    F64GlobalFar () F64 = Read;
    MemorySize () I32 = Read;
    RefFunc () I64 = Pure;
    SetI32 (I32) = Root;
    SetI64 (I64) = Root;
    SetF32 (F32) = Root;
    SetF64 (F64) = Root;
    AccI32 (I32) = Root;
    AccI64 (I64) = Root;
    AccF32 (F32) = Root;
    AccF64 (F64) = Root;
    GlobalSetI32 (I32) = Root;
    GlobalSetI64 (I64) = Root;
    GlobalSetF32 (F32) = Root;
    GlobalSetF64 (F64) = Root;
    GlobalSetFarI32 (I32) = Root;
    GlobalSetFarI64 (I64) = Root;
    GlobalSetFarF32 (F32) = Root;
    GlobalSetFarF64 (F64) = Root;
    BrIf (I32) = Root;
    Br () = Root;
    BrTable (I32) = Root;
    BrTableLong (I32) = Root;
    Ret () = Root;
    RetValueI32 (I32) = Root;
    RetValueI64 (I64) = Root;
    RetValueF32 (F32) = Root;
    RetValueF64 (F64) = Root;
    Call () = Root;
    CallImport () = Root;
    CallIndirect (I32) = Root;
    TailCall () = Root;
    TailCallImport () = Root;
    TailCallIndirect (I32) = Root;
    Copy () = Root;
    Slow () = Root;
    Halt () = Root;
    Across () = Root;
    Unreachable () = Root;
    Zero () = Root;
    Fuel () = Root;
    Count () = Root;
}

const PLAIN: u16 = FORMS.len() as u16;
const NEAR: u16 = PLAIN + Plain::COUNT as u16;
const FAR: u16 = NEAR + Access::COUNT as u16;

/// Number of symbols.
pub const COUNT: usize = FAR as usize + Access::COUNT;

/// Operands of each class of store.
const fn store_operands(ty: Ty) -> &'static [Ty] {
    match ty {
        Ty::I32 => &[Ty::I32, Ty::I32],
        Ty::F32 => &[Ty::I32, Ty::F32],
        Ty::F64 => &[Ty::I32, Ty::F64],
        _ => &[Ty::I32, Ty::I64],
    }
}

impl Sym {
    /// Leaf: a slot.
    pub const L: Sym = Sym::form(Form::L);
    /// Leaf: a constant.
    pub const C: Sym = Sym::form(Form::C);
    /// Leaf: the accumulator.
    pub const A: Sym = Sym::form(Form::A);

    /// The symbol of a form.
    pub const fn form(f: Form) -> Sym {
        Sym(f as u16)
    }

    /// The symbol of a plain instruction.
    pub const fn plain(p: Plain) -> Sym {
        Sym(PLAIN + p as u16)
    }

    /// The symbol of an access to memory 0 whose end fits a word.
    pub const fn near(a: Access) -> Sym {
        Sym(NEAR + a as u16)
    }

    /// The symbol of any other access.
    pub const fn far(a: Access) -> Sym {
        Sym(FAR + a as u16)
    }

    /// The symbol of a form of the given class, of the four that follow `i32`.
    #[inline]
    pub const fn of_class(i32_form: Form, ty: Ty) -> Sym {
        Sym(i32_form as u16 + class(ty) as u16)
    }

    /// The plain instruction that this symbol is.
    #[inline]
    pub fn as_plain(self) -> Option<Plain> {
        (self.0 >= PLAIN && self.0 < NEAR).then(|| Plain::ALL[(self.0 - PLAIN) as usize])
    }

    /// The access that this symbol is, and whether it is far.
    pub fn as_access(self) -> Option<(Access, bool)> {
        match self.0 {
            n if n < NEAR => None,
            n if n < FAR => Some((Access::ALL[(n - NEAR) as usize], false)),
            n => Some((Access::ALL[(n - FAR) as usize], true)),
        }
    }

    /// This symbol's facts.
    #[inline]
    pub fn info(self) -> &'static Info {
        &INFO[self.0 as usize]
    }

    /// The symbol that computes the same of exchanged operands.
    #[inline]
    pub fn swapped(self) -> Option<Sym> {
        let info = self.as_plain()?.info();
        if info.commutes { Some(self) } else { info.swapped.map(Sym::plain) }
    }
}

/// Number of a class in forms that come in fours: i32, i64 and references, f32, f64.
#[inline]
pub const fn class(ty: Ty) -> usize {
    match ty {
        Ty::I32 => 0,
        Ty::F32 => 2,
        Ty::F64 => 3,
        _ => 1,
    }
}

/// Facts of all symbols, by number.
static INFO: [Info; COUNT] = {
    let mut all = [FORMS[0]; COUNT];
    let mut i = 0;
    while i < FORMS.len() {
        all[i] = FORMS[i];
        i += 1;
    }
    let mut i = 0;
    while i < Plain::COUNT {
        let p = Plain::ALL[i].info();
        all[PLAIN as usize + i] = Info {
            name: p.operator,
            suffix: "",
            result: Some(p.result),
            operands: p.operands,
            kind: if p.traps { Kind::Traps } else { Kind::Pure },
            commutes: p.commutes,
        };
        i += 1;
    }
    let mut i = 0;
    while i < Access::COUNT {
        let a = Access::ALL[i].info();
        let near = Info {
            name: a.operator,
            suffix: "",
            result: if a.store { None } else { Some(a.ty) },
            operands: if a.store { store_operands(a.ty) } else { &[Ty::I32] },
            kind: if a.store { Kind::Root } else { Kind::Load },
            commutes: false,
        };
        all[NEAR as usize + i] = near;
        all[FAR as usize + i] = Info { suffix: "Far", ..near };
        i += 1;
    }
    all
};
