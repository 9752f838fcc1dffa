//! The code buffer: tiles, fusion, labels, and the fuel that edges charge.
//!
//! *Potentials*: `owed` is what was executed since the last charge on the way here. A label has a potential, what is owed
//! there; falling through costs nothing, a branch charges the difference, which may be zero or negative. So every path pays
//! exactly what it executed.
use crate::code::{Code, Line, Map, Mark, Point};
use crate::cover::{NodeId, Words, bare_tile};
use crate::error::Result;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU32;
use jitless_machine::dispatch::{HANDLER_WORDS, bounce, handler_words};
use jitless_machine::symbol::{Form, Sym};
use jitless_machine::tiles::{fused, handler_of};

/// Number of a label.
pub(super) type Label = u32;
/// Nothing known: a label's place or potential.
const UNKNOWN: u32 = u32::MAX;

/// Fuel owed in straight code at most, but for one operator.
const DEBT_LIMIT: u32 = 1000;

#[derive(Clone, Copy, Debug)]
struct Target {
    at: u32,
    potential: u32,
}

/// A branch table. Until the end an entry is a label, to become a distance, what was owed, and room for whatever follows: the
/// words of the handler.
#[derive(Clone, Copy, Debug)]
struct Table {
    /// Where the statement's words begin.
    words: u32,
    /// The first entry.
    first: u32,
    entries: u32,
    /// Words of an entry.
    entry: usize,
}

/// Where an operator of a pending tree stood.
#[derive(Clone, Copy, Debug, Default)]
struct Origin {
    offset: u32,
    owed: u32,
}

/// The words that a root takes itself, three at most.
#[derive(Clone, Copy)]
pub(super) struct Own {
    words: [u32; 3],
    len: u8,
}

impl<const N: usize> From<[u32; N]> for Own {
    #[inline(always)]
    fn from(own: [u32; N]) -> Self {
        let mut words = [0; 3];
        words[..N].copy_from_slice(&own);
        Self { words, len: N as u8 }
    }
}

#[derive(Default, Debug)]
pub(crate) struct Emit {
    bounced: bool,
    code: Vec<u32>,
    targets: Vec<Target>,
    /// Branches: their first word is a label, to become an address of two words, the third what was owed.
    branches: Vec<u32>,
    tables: Vec<Table>,
    /// The tile emitted last, if the next statement may be fused to it: its handler's word and number.
    last: Option<(u32, u16)>,
    /// Fuel executed since the last charge.
    owed: u32,
    /// Can control fall in here?
    flow: bool,
    /// Offset of the operator at hand.
    offset: u32,
    /// Where the words of the statement emitted last begin.
    statement: u32,
    /// When the way back is wanted: what was found so far.
    map: Option<Map>,
    /// Then also: origins of nodes, by node.
    origins: Vec<(NodeId, Origin)>,
    /// Tiles that are counted, `word` being that of the counter's address; is there a label in front?
    #[cfg(feature = "profile")]
    counted: Vec<(Line, bool)>,
    #[cfg(feature = "profile")]
    fresh: bool,
}

/// Profiling builds: a tile that counts stands in front of each.
#[cfg(feature = "profile")]
impl Emit {
    fn count(&mut self, tile: u16) {
        if self.bounced {
            self.code.extend(handler_words(bounce));
        }
        self.code.extend(handler_words(handler_of(bare_tile(Sym::form(Form::Count)))));
        let line = Line { word: self.code.len() as u32, tile, offset: self.offset };
        self.counted.push((line, core::mem::take(&mut self.fresh)));
        self.code.extend([0, 0]);
    }

    fn recount(&mut self, fused: u16) {
        if let Some((line, _)) = self.counted.last_mut() {
            line.tile = fused;
        }
    }

    fn place_counters(&self, code: &mut Code, shift: usize) {
        let first = super::profile::counters(&self.counted);
        for (i, (line, _)) in self.counted.iter().enumerate() {
            let address = first + 8 * i as u64;
            let at = line.word as usize + shift;
            *code.words_mut()[at].get_mut() = address as u32;
            *code.words_mut()[at + 1].get_mut() = (address >> 32) as u32;
        }
    }
}

impl Emit {
    pub(super) fn begin(&mut self, bounced: bool, map: Option<Map>) {
        self.bounced = bounced;
        self.code.clear();
        self.targets.clear();
        self.branches.clear();
        self.tables.clear();
        self.last = None;
        self.owed = 0;
        self.flow = true;
        self.map = map;
        self.origins.clear();
        #[cfg(feature = "profile")]
        {
            self.counted.clear();
            self.fresh = true;
        }
    }

    /// Is so much memory in it that it should not be kept?
    pub(super) fn is_large(&self) -> bool {
        const ITEMS: usize = 1 << 17;
        self.code.capacity() > ITEMS || self.targets.capacity() > ITEMS || self.branches.capacity() > ITEMS
    }

    pub(super) fn at(&mut self, offset: usize) {
        self.offset = offset as u32;
    }

    pub(super) fn word(&mut self, w: u32) {
        self.code.push(w);
    }

    #[inline]
    pub(super) fn words(&mut self, words: &[u32]) {
        // They are few: no call for them.
        words.iter().for_each(|&word| self.code.push(word));
    }

    /// The first words of an immediate, two at most.
    #[inline]
    pub(super) fn immediate(&mut self, imm: u64, words: u8) {
        self.some_of([imm as u32, (imm >> 32) as u32], words.into());
    }

    #[inline]
    pub(super) fn own(&mut self, own: Own) {
        self.some_of(own.words, own.len.into());
    }

    /// The words of a tile's nodes.
    #[inline]
    pub(super) fn nodes(&mut self, words: &Words) {
        match words.few() {
            Some(few) => self.some_of(few, words.all().len()),
            None => self.code.extend_from_slice(words.all()),
        }
    }

    /// The first of some words. All are written, and those that are too many taken back: how many they are nobody can foresee.
    #[inline]
    fn some_of<const N: usize>(&mut self, words: [u32; N], len: usize) {
        let end = self.code.len() + len;
        self.code.extend_from_slice(&words);
        self.code.truncate(end);
    }

    /// Begins a tile: fused to the one before where there is a handler for both, else with a handler of its own.
    pub(super) fn tile(&mut self, tile: u16) {
        if let Some((at, before)) = self.last
            && let Some(both) = fused(before, tile)
        {
            self.code[at as usize..at as usize + HANDLER_WORDS].copy_from_slice(&handler_words(handler_of(both)));
            self.last = Some((at, both));
            if let Some(line) = self.map.as_mut().and_then(Map::last_line) {
                *line = Line { tile: both, offset: self.offset, ..*line };
            }
            #[cfg(feature = "profile")]
            self.recount(both);
            return;
        }
        #[cfg(feature = "profile")]
        self.count(tile);
        if self.bounced {
            self.code.extend(handler_words(bounce));
        }
        let at = self.code.len() as u32;
        self.code.extend(handler_words(handler_of(tile)));
        self.last = Some((at, tile));
        if let Some(map) = &mut self.map {
            map.line(Line { word: at, tile, offset: self.offset });
        }
    }

    /// Nothing is fused to the tile emitted last.
    pub(super) fn separate(&mut self) {
        self.last = None;
    }

    // ---- fuel

    pub(super) fn owe(&mut self, fuel: u32) {
        self.owed += fuel;
    }

    pub(super) fn is_deep_in_debt(&self) -> bool {
        self.owed >= DEBT_LIMIT
    }

    /// What is owed, which the tile at hand charges.
    pub(super) fn settle_debt(&mut self) -> u32 {
        core::mem::take(&mut self.owed)
    }

    /// What is owed, for a way out.
    pub(super) fn debt(&self) -> u32 {
        self.owed
    }

    // ---- labels

    pub(super) fn label(&mut self) -> Label {
        self.targets.push(Target { at: UNKNOWN, potential: UNKNOWN });
        self.targets.len() as u32 - 1
    }

    /// Puts a label here.
    pub(super) fn bind(&mut self, label: Label) {
        let target = &mut self.targets[label as usize];
        target.at = self.code.len() as u32;
        if self.flow || target.potential == UNKNOWN {
            target.potential = self.owed;
        } else {
            self.owed = target.potential;
        }
        self.flow = true;
        self.last = None;
        #[cfg(feature = "profile")]
        {
            self.fresh = true;
        }
        self.mark(Mark::Label);
    }

    /// Control does not go on here.
    pub(super) fn cut_flow(&mut self) {
        self.flow = false;
        self.last = None;
    }

    /// The words of a branch to `label`.
    pub(super) fn branch_words(&self, label: Label) -> [u32; 3] {
        [label, 0, self.owed]
    }

    /// The statement emitted last is a branch to `label`.
    pub(super) fn branch_to(&mut self, label: Label) {
        self.branches.push(self.statement);
        self.leads_to(label);
    }

    fn leads_to(&mut self, label: Label) {
        let target = &mut self.targets[label as usize];
        if target.potential == UNKNOWN {
            target.potential = self.owed;
        }
    }

    /// Begins the entries of the branch table emitted last, each of `entry` words. Returns the table's number.
    pub(super) fn table(&mut self, entries: u32, entry: usize) -> u32 {
        let first = self.code.len() as u32;
        self.tables.push(Table { words: self.statement, first, entries, entry });
        self.tables.len() as u32 - 1
    }

    /// Adds an entry to the table begun last.
    pub(super) fn table_entry(&mut self, label: Label) {
        let end = self.code.len() + self.tables.last().expect("in a table").entry;
        self.code.extend([label, self.owed]);
        self.code.resize(end, 0);
        self.leads_to(label);
    }

    // ---- the way back

    fn mark(&mut self, mark: Mark) {
        let (word, point) = (self.code.len() as u32, Point { offset: self.offset, owed: self.owed });
        if let Some(map) = &mut self.map {
            map.note(word, mark, point);
        }
    }

    /// The words of a statement of the operator at hand begin here. It may trap itself, or be looked at by the run loop.
    pub(super) fn statement(&mut self, notable: bool) {
        self.statement = self.code.len() as u32;
        if notable {
            self.mark(Mark::Fault);
        }
    }

    /// Execution may pause and go on here.
    pub(super) fn note_pause(&mut self) {
        self.mark(Mark::Label);
    }

    /// No node is known any more.
    pub(super) fn forget_origins(&mut self) {
        self.origins.clear();
    }

    /// Nodes got new numbers, which ascend.
    pub(super) fn renumber(&mut self, moved: impl Iterator<Item = (NodeId, NodeId)>) {
        let old = core::mem::take(&mut self.origins);
        for (before, after) in moved {
            if let Ok(i) = old.binary_search_by_key(&before, |o| o.0) {
                self.origins.push((after, old[i].1));
            }
        }
    }

    /// Is the way back wanted?
    pub(super) fn is_mapping(&self) -> bool {
        self.map.is_some()
    }

    /// The words of a call end here.
    pub(super) fn note_call(&mut self) {
        self.mark(Mark::AfterCall);
    }

    /// The words of a pending operator begin here.
    pub(super) fn note_operator(&mut self, id: NodeId) {
        let word = self.code.len() as u32;
        let Some(map) = &mut self.map else { return };
        if let Ok(i) = self.origins.binary_search_by_key(&id, |o| o.0) {
            let Origin { offset, owed } = self.origins[i].1;
            map.note(word, Mark::Fault, Point { offset, owed });
        }
    }

    /// A node was made for the operator at hand.
    pub(super) fn origin(&mut self, id: NodeId) {
        if self.map.is_some() {
            self.origins.push((id, Origin { offset: self.offset, owed: self.owed }));
        }
    }

    // ---- the end

    /// Lays the prologue in front, which clears the slots `(slot, number)` that ascend, and resolves branches.
    pub(super) fn complete(&mut self, cleared: &[(i32, i32)], frame: u32) -> Result<(Code, Map)> {
        let mut prologue: Vec<u32> = Vec::new();
        let mut runs = cleared.iter().copied().peekable();
        while let Some((first, mut n)) = runs.next() {
            while let Some((_, more)) = runs.next_if(|&(slot, _)| slot == first + n) {
                n += more;
            }
            if self.bounced {
                prologue.extend(handler_words(bounce));
            }
            prologue.extend(handler_words(handler_of(bare_tile(Sym::form(Form::Zero)))));
            prologue.extend([(first * 8) as u32, (n * 8) as u32]);
        }
        let shift = prologue.len();
        if let Some(mut map) = self.map.take() {
            map.complete(shift as u32);
            return Ok((Code::new(Box::default(), frame), map));
        }
        let words: Box<[AtomicU32]> = prologue.iter().chain(&self.code).map(|&w| AtomicU32::new(w)).collect();
        let mut code = Code::new(words, frame);
        self.resolve(&mut code, shift);
        #[cfg(feature = "profile")]
        self.place_counters(&mut code, shift);
        Ok((code, Map::default()))
    }

    fn resolve(&self, code: &mut Code, shift: usize) {
        let base = code.entry() as usize as u64;
        let words = code.words_mut();
        let mut set = |at: u32, w: u32| *words[at as usize + shift].get_mut() = w;
        for &at in &self.branches {
            let target = self.targets[self.code[at as usize] as usize];
            let address = base + 4 * (target.at as u64 + shift as u64);
            set(at, address as u32);
            set(at + 1, (address >> 32) as u32);
            set(at + 2, self.code[at as usize + 2].wrapping_sub(target.potential));
        }
        for table in &self.tables {
            for at in (table.first..).step_by(table.entry).take(table.entries as usize) {
                let target = self.targets[self.code[at as usize] as usize];
                set(at, target.at.wrapping_sub(table.words).wrapping_mul(4));
                set(at + 1, self.code[at as usize + 1].wrapping_sub(target.potential));
                for i in 0..table.entry as u32 - 2 {
                    set(at + 2 + i, self.code[(target.at + i) as usize]);
                }
            }
        }
    }
}
