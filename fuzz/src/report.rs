//! What a run came to, in terms that every engine shares.

use jitless::Trap;

/// A value, its reference replaced by what every engine can tell of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Value {
    I32(u32),
    I64(u64),
    F32(u32),
    F64(u64),
    /// Is there a function?
    Func(bool),
    /// The number that the host wrapped.
    Extern(Option<u64>),
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    Returned(Vec<Value>),
    Trap(Trap),
    /// The host function's own error.
    Host,
    /// Fuel, memory or another bound: never compared.
    Exhausted(String),
}

/// One call, or the instantiation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub what: String,
    pub end: End,
    /// All fuel used so far; 0 in other engines.
    pub fuel: u64,
    /// What host functions were called with so far.
    pub host: u64,
}

/// What an export holds at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    Memory { pages: u64, hash: u64 },
    Global(Value),
    Table(Vec<Value>),
}

/// A whole run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    pub steps: Vec<Step>,
    /// By name of the export.
    pub items: Vec<(String, Item)>,
}

/// The first thing in which two runs differ.
pub fn difference(a: &Report, b: &Report) -> String {
    for (i, step) in a.steps.iter().enumerate() {
        if b.steps.get(i) != Some(step) {
            return format!("first:  {step:?}\nsecond: {:?}", b.steps.get(i));
        }
    }
    for (i, item) in a.items.iter().enumerate() {
        if b.items.get(i) != Some(item) {
            return format!("first:  {item:?}\nsecond: {:?}", b.items.get(i));
        }
    }
    format!("first:  {} steps\nsecond: {} steps", a.steps.len(), b.steps.len())
}

impl Value {
    /// With every NaN the same.
    fn canonical(self) -> Self {
        match self {
            Self::F32(bits) if f32::from_bits(bits).is_nan() => Self::F32(0x7FC0_0000),
            Self::F64(bits) if f64::from_bits(bits).is_nan() => Self::F64(0x7FF8 << 48),
            other => other,
        }
    }
}

fn canonical(values: &[Value]) -> Vec<Value> {
    values.iter().map(|value| value.canonical()).collect()
}

impl End {
    /// Ends that other engines give for the same reason. How deep recursion may go is free.
    fn comparable(&self) -> bool {
        !matches!(self, Self::Exhausted(_) | Self::Trap(Trap::StackOverflow))
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Returned(a), Self::Returned(b)) => canonical(a) == canonical(b),
            // Not every engine says whether a table was read by a call.
            (Self::Trap(Trap::UndefinedElement), Self::Trap(Trap::TableOutOfBounds)) => true,
            (a, b) => a == b,
        }
    }
}

/// Ours and another engine's run agree as far as both came.
pub fn compare(ours: &Report, theirs: &Report, name: &str) {
    for (a, b) in ours.steps.iter().zip(&theirs.steps) {
        if !a.end.comparable() || !b.end.comparable() {
            return;
        }
        assert!(a.end.same(&b.end) && a.host == b.host && a.what == b.what, "{name}\nours:   {a:?}\ntheirs: {b:?}");
    }
    if ours.steps.len() != theirs.steps.len() {
        return;
    }
    for (name_of, item) in &ours.items {
        let found = theirs.items.iter().find(|(other, _)| other == name_of).map(|(_, item)| item);
        let same = match (item, found) {
            (Item::Global(a), Some(Item::Global(b))) => a.canonical() == b.canonical(),
            (a, b) => Some(a) == b,
        };
        assert!(same, "{name}, export {name_of:?}\nours:   {item:?}\ntheirs: {found:?}");
    }
}
