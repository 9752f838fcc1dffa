//! Translated code, and what it tells of the places it came from.
//!
//! Invariant: the words of a [`Code`] never move, since branches inside it are absolute addresses. Only call sites change,
//! once, when their callee is known (`exec`).
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;
use jitless_machine::dispatch::Ip;
use jitless_machine::symbol::Sym;
use jitless_machine::tiles::{SHAPE_START, SHAPES};

/// A translated function.
#[derive(Debug)]
pub(crate) struct Code {
    words: Box<[AtomicU32]>,
    /// Bytes from the frame pointer on that a frame takes.
    pub(crate) frame: u32,
}

impl Code {
    pub(crate) fn new(words: Box<[AtomicU32]>, frame: u32) -> Code {
        Code { words, frame }
    }

    /// The first tile.
    pub(crate) fn entry(&self) -> Ip {
        self.words.as_ptr() as Ip
    }

    /// The index of the word at `ip`, if it is one of this code's, or just behind them.
    pub(crate) fn contains(&self, ip: Ip) -> Option<u32> {
        let at = (ip as usize).checked_sub(self.entry() as usize)? / size_of::<u32>();
        (at <= self.words.len()).then_some(at as u32)
    }

    /// The words, before anybody runs them.
    pub(crate) fn words_mut(&mut self) -> &mut [AtomicU32] {
        &mut self.words
    }

    /// How many words there are.
    pub(crate) fn len(&self) -> usize {
        self.words.len()
    }
}

/// A place in a function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Point {
    /// Offset in the module of the operator.
    pub(crate) offset: u32,
    /// Fuel spent there and not charged yet, this operator's included.
    pub(crate) owed: u32,
}

/// What kind of position a point is noted for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Mark {
    /// The words of a node that may trap, or of an operation of the run loop.
    Fault,
    /// Behind the words of a call.
    AfterCall,
    /// A branch target.
    Label,
}

/// One tile of a listing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// Index of the handler's word, the prologue not counted.
    #[cfg_attr(not(feature = "profile"), allow(dead_code, reason = "where a profile's counter stands"))]
    pub(crate) word: u32,
    pub(crate) tile: u16,
    /// Offset in the module of the operator that completed it.
    pub(crate) offset: u32,
}

/// The way back from words to operators. Made on demand, by translating once more; code that never traps pays nothing.
#[derive(Debug, Default)]
pub(crate) struct Map {
    points: Vec<(u32, Mark, Point)>,
    /// All tiles in order, if a listing is wanted.
    lines: Option<Vec<Line>>,
}

impl Map {
    pub(crate) fn new(lines: bool) -> Map {
        Map { points: Vec::new(), lines: lines.then(Vec::new) }
    }

    pub(crate) fn lines(&self) -> &[Line] {
        self.lines.as_deref().unwrap_or_default()
    }

    pub(crate) fn line(&mut self, line: Line) {
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    pub(crate) fn last_line(&mut self) -> Option<&mut Line> {
        self.lines.as_mut()?.last_mut()
    }

    pub(crate) fn note(&mut self, word: u32, mark: Mark, point: Point) {
        self.points.push((word, mark, point));
    }

    /// Moves everything `by` words up and brings it into order.
    pub(crate) fn complete(&mut self, by: u32) {
        self.points.iter_mut().for_each(|p| p.0 += by);
        self.points.sort_unstable_by_key(|p| (p.0, p.1));
        self.points.shrink_to_fit();
    }

    fn find(&self, word: u32, mark: Mark) -> Option<Point> {
        let i = self.points.binary_search_by_key(&(word, mark), |p| (p.0, p.1)).ok()?;
        Some(self.points[i].2)
    }

    /// The operator whose node has its words at `word`.
    pub(crate) fn fault(&self, word: u32) -> Option<Point> {
        self.find(word, Mark::Fault)
    }

    /// The call whose words end at `word`.
    pub(crate) fn after_call(&self, word: u32) -> Option<Point> {
        self.find(word, Mark::AfterCall)
    }

    /// The operator that begins at a branch target.
    pub(crate) fn label(&self, word: u32) -> Option<Point> {
        self.find(word, Mark::Label)
    }
}

/// A tile as its pattern in text: `SetI32 I32Add L C ; Br`.
pub(crate) fn tile_text(tile: u16) -> String {
    let shape = |tile: u16| {
        let (from, to) = (SHAPE_START[tile as usize] as usize, SHAPE_START[tile as usize + 1] as usize);
        &SHAPES[from..to]
    };
    // A sequence is written from its end: each step takes off the last statement.
    let mut statements = Vec::new();
    let mut at = tile;
    while let [u16::MAX, before, last] = *shape(at) {
        statements.push(last);
        at = before;
    }
    statements.push(at);
    let mut text = String::new();
    for (i, &statement) in statements.iter().rev().enumerate() {
        text.push_str(if i == 0 { "" } else { " ; " });
        for (k, &symbol) in shape(statement).iter().enumerate() {
            let info = Sym(symbol).info();
            text.push_str(if k == 0 { "" } else { " " });
            text.push_str(info.name);
            text.push_str(info.suffix);
        }
    }
    text
}

/// Operations that the run loop carries out: the first word of a `Slow` tile. The others are two indices and the slot of the
/// first operand; operands lie in consecutive slots, the result takes the place of the first.
#[repr(u32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SlowOp {
    /// `memory.size` of memory `a`.
    MemorySize,
    /// `memory.grow` of memory `a`.
    MemoryGrow,
    /// `memory.copy` to memory `a` from `b`.
    MemoryCopy,
    /// `memory.fill` of memory `a`.
    MemoryFill,
    /// `memory.init` from data segment `a` into memory `b`.
    MemoryInit,
    /// `data.drop` of segment `a`.
    DataDrop,
    /// `table.get` of table `a`.
    TableGet,
    /// `table.set` of table `a`.
    TableSet,
    /// `table.grow` of table `a`.
    TableGrow,
    /// `table.size` of table `a`.
    TableSize,
    /// `table.fill` of table `a`.
    TableFill,
    /// `table.copy` to table `a` from `b`.
    TableCopy,
    /// `table.init` from element segment `a` into table `b`.
    TableInit,
    /// `elem.drop` of segment `a`.
    ElemDrop,
}

impl SlowOp {
    const ALL: [SlowOp; 14] = [
        SlowOp::MemorySize,
        SlowOp::MemoryGrow,
        SlowOp::MemoryCopy,
        SlowOp::MemoryFill,
        SlowOp::MemoryInit,
        SlowOp::DataDrop,
        SlowOp::TableGet,
        SlowOp::TableSet,
        SlowOp::TableGrow,
        SlowOp::TableSize,
        SlowOp::TableFill,
        SlowOp::TableCopy,
        SlowOp::TableInit,
        SlowOp::ElemDrop,
    ];

    /// The operation of a word that the translator wrote.
    pub(crate) fn of(word: u32) -> SlowOp {
        Self::ALL[word as usize]
    }
}
