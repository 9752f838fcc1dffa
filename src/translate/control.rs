//! Blocks, branches, returns.
//!
//! At a label everything but constants lies in its home, and no accumulator is known. A block that nothing branches to
//! costs nothing at its end.
use super::{Translator, slots_of};
use crate::cover::{LOAD, NO_SLOT, NodeId, TRAP, move_root, offset_of};
use crate::module::operators::{BlockType, BrTable};
use crate::types::ValType;
use jitless_machine::control::table_of;
use jitless_machine::symbol::{Form, Sym};

use super::emit::Label;

/// What a block takes and leaves.
#[derive(Clone, Copy, Debug)]
enum Signature {
    Empty,
    Value(ValType),
    /// By type index.
    Func(u32),
    /// The function's own results.
    Body,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Body,
    Block,
    Loop,
    If,
    Else,
}

/// An open block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    kind: Kind,
    signature: Signature,
    /// Operands below its parameters.
    height: u32,
    /// Home of its first parameter or result.
    home: i32,
    label: Label,
    else_label: Label,
    /// Something branches to its end.
    used: bool,
    /// Assignments of locals before it.
    mark: u32,
    /// The `br_table` that has made a way out to this block already, and its label.
    way_out: (u32, Label),
}

impl Translator<'_> {
    fn index_of(&self, depth: u32) -> usize {
        self.s.blocks.len() - 1 - depth as usize
    }

    pub(super) fn open_body(&mut self) {
        self.open(Kind::Body, Signature::Body, 0);
    }

    fn open(&mut self, kind: Kind, signature: Signature, params: usize) {
        let height = self.s.stack.len() - params;
        let home = match self.s.stack.get(height) {
            Some(e) => e.home,
            None => self.next_home(),
        };
        let label = self.s.emit.label();
        let else_label = if kind == Kind::If { self.s.emit.label() } else { label };
        self.s.blocks.push(Block {
            kind,
            signature,
            height: height as u32,
            home,
            label,
            else_label,
            used: false,
            mark: self.s.assigned.len() as u32,
            way_out: (u32::MAX, 0),
        });
    }

    /// Everything but constants goes home, the block's parameters all.
    fn settle_for(&mut self, blockty: BlockType) -> (Signature, usize) {
        let signature = match blockty {
            BlockType::Empty => Signature::Empty,
            BlockType::Value(v) => Signature::Value(v),
            BlockType::Func(i) => Signature::Func(i),
        };
        let params = match signature {
            Signature::Func(i) => self.desc.func_type(i).expect("validated").params().len(),
            _ => 0,
        };
        self.settle();
        self.spill_from(self.s.stack.len() - params);
        (signature, params)
    }

    pub(super) fn open_block(&mut self, blockty: BlockType) {
        let (signature, params) = self.settle_for(blockty);
        self.open(Kind::Block, signature, params);
    }

    pub(super) fn open_loop(&mut self, blockty: BlockType) {
        let (signature, params) = self.settle_for(blockty);
        self.open(Kind::Loop, signature, params);
        let label = self.s.blocks.last().expect("just opened").label;
        self.bind(label);
    }

    pub(super) fn open_if(&mut self, blockty: BlockType) {
        let condition = self.pop();
        self.keep_order(self.flags(condition));
        let (signature, params) = self.settle_for(blockty);
        self.open(Kind::If, signature, params);
        let label = self.s.blocks.last().expect("just opened").else_label;
        let not = self.not(condition);
        self.branch(not, label);
    }

    pub(super) fn begin_else(&mut self) {
        let i = self.s.blocks.len() - 1;
        let block = self.s.blocks[i];
        if !self.dead {
            self.results_home(&block);
            self.jump(block.label);
            self.s.blocks[i].used = true;
        }
        self.unassign(block.mark as usize);
        self.truncate(block.height as usize);
        self.bind(block.else_label);
        self.push_all(&block, false);
        self.s.blocks[i].kind = Kind::Else;
        self.dead = false;
    }

    pub(super) fn close(&mut self) {
        let block = self.s.blocks.pop().expect("validated");
        let live = !self.dead;
        let height = block.height as usize;
        match block.kind {
            Kind::Body => {
                if live {
                    self.leave_function();
                }
                return;
            }
            Kind::Loop => {
                if !live {
                    self.truncate(height);
                }
                return;
            }
            Kind::Block | Kind::If | Kind::Else => {}
        }
        if !block.used && block.kind != Kind::If {
            // Nothing joins here: what is pending stays pending.
            if !live {
                self.truncate(height);
            } else if block.kind == Kind::Else {
                self.unassign(block.mark as usize);
            }
            return;
        }
        if live {
            self.results_home(&block);
        }
        self.truncate(height);
        if block.kind == Kind::If {
            self.bind(block.else_label);
        }
        if block.used {
            self.bind(block.label);
        }
        self.push_all(&block, true);
        self.unassign(block.mark as usize);
        self.dead = false;
    }

    /// Pushes the block's parameters or results, which lie in their homes.
    fn push_all(&mut self, block: &Block, results: bool) {
        let signature = block.signature;
        let ty = match signature {
            Signature::Empty => return,
            Signature::Value(v) => {
                if results {
                    self.push_settled([v.class()].into_iter());
                }
                return;
            }
            Signature::Func(i) => self.desc.func_type(i).expect("validated"),
            Signature::Body => self.ty,
        };
        let types = if results { ty.results() } else { ty.params() };
        self.carry_more(types.len());
        self.push_settled(types.iter().map(|ty| ty.class()));
    }

    /// Number of values and of their slots that a branch to the block carries.
    fn carried(&self, block: &Block) -> (usize, i32) {
        let (params, results) = match &block.signature {
            Signature::Empty => return (0, 0),
            Signature::Value(v) if block.kind != Kind::Loop => return (1, v.slots() as i32),
            Signature::Value(_) => return (0, 0),
            Signature::Func(i) => {
                let ty = self.desc.func_type(*i).expect("validated");
                (ty.params(), ty.results())
            }
            Signature::Body => (self.ty.params(), self.ty.results()),
        };
        let types = if block.kind == Kind::Loop { params } else { results };
        (types.len(), slots_of(types))
    }

    /// At the end of a block its results lie on top of the stack just where they belong.
    fn results_home(&mut self, block: &Block) {
        let (n, _) = self.carried(block);
        self.spill_from(self.s.stack.len() - n);
    }

    /// Moves the top `n` values to `home`. The symbolic stack stays as it is.
    fn carry(&mut self, n: usize, slots: i32, home: i32) {
        let from = self.s.stack.len() - n;
        match n {
            0 => {}
            1 => {
                let node = self.s.stack[from].node;
                let n = &self.s.trees[node];
                if !n.is_slot(home) {
                    let ty = n.ty;
                    self.root(move_root(ty, false), [offset_of(home)].into(), &[node]);
                    self.now_holds(ty, home);
                }
            }
            _ => {
                self.spill_from(from);
                let source = self.s.stack[from].home;
                if source != home {
                    self.bare(Form::Copy, &[offset_of(source), offset_of(home), slots as u32]);
                    self.forget_slots(home, home + slots);
                }
            }
        }
    }

    // ---- branches

    pub(super) fn bind(&mut self, label: Label) {
        self.s.emit.bind(label);
        self.held = [NO_SLOT; 3];
    }

    fn jump(&mut self, label: Label) {
        let words = self.s.emit.branch_words(label);
        self.bare(Form::Br, &words);
        self.s.emit.branch_to(label);
        self.s.emit.cut_flow();
    }

    /// Branches to `label` if `condition` is not zero.
    fn branch(&mut self, condition: NodeId, label: Label) {
        let condition = self.condition(condition);
        let words = self.s.emit.branch_words(label);
        self.root(Sym::form(Form::BrIf), words.into(), &[condition]);
        self.s.emit.branch_to(label);
    }

    /// What is pending and may trap must not be lost with the values that a way out drops.
    fn before_way_out(&mut self, carried: usize) {
        self.spill_flagged_below(self.s.stack.len() - carried, LOAD | TRAP);
    }

    /// Branches to the block at index `i`, values and all.
    fn go(&mut self, i: usize) {
        let block = self.s.blocks[i];
        if block.kind == Kind::Body {
            return self.give_back();
        }
        let (n, slots) = self.carried(&block);
        self.carry(n, slots, block.home);
        self.s.blocks[i].used = true;
        self.jump(block.label);
    }

    /// Nothing behind this point is reached before the block's end.
    pub(super) fn die(&mut self) {
        self.dead = true;
        let height = self.s.blocks.last().expect("validated").height as usize;
        self.truncate(height);
        self.s.emit.cut_flow();
    }

    pub(super) fn branch_always(&mut self, depth: u32) {
        let i = self.index_of(depth);
        let (n, _) = self.carried(&self.s.blocks[i]);
        self.before_way_out(n);
        self.go(i);
        self.die();
    }

    pub(super) fn branch_if(&mut self, depth: u32) {
        let condition = self.pop();
        self.keep_order(self.flags(condition));
        self.spill_flagged(LOAD | TRAP);
        let i = self.index_of(depth);
        let block = self.s.blocks[i];
        let (n, _) = self.carried(&block);
        let from = self.s.stack.len() - n;
        self.spill_from(from);
        if block.kind != Kind::Body && (n == 0 || self.s.stack[from].home == block.home) {
            self.s.blocks[i].used = true;
            return self.branch(condition, block.label);
        }
        let stay = self.s.emit.label();
        let not = self.not(condition);
        self.branch(not, stay);
        self.go(i);
        self.bind(stay);
    }

    pub(super) fn branch_table(&mut self, targets: BrTable<'_>) {
        let index = self.pop();
        self.keep_order(self.flags(index));
        self.spill_flagged(LOAD | TRAP);
        let (n, _) = self.carried(&self.s.blocks[self.index_of(targets.default())]);
        let from = self.s.stack.len() - n;
        self.spill_from(from);
        let (form, entry) = table_of(targets.len());
        self.root(Sym::form(form), [targets.len()].into(), &[index]);
        let this = self.s.emit.table(targets.len() + 1, entry);
        let mut ways: alloc::vec::Vec<usize> = alloc::vec::Vec::new();
        for depth in targets.targets().chain([targets.default()]) {
            let i = self.index_of(depth);
            let block = self.s.blocks[i];
            let direct = block.kind != Kind::Body && (n == 0 || self.s.stack[from].home == block.home);
            let label = if direct {
                self.s.blocks[i].used = true;
                block.label
            } else if block.way_out.0 == this {
                block.way_out.1
            } else {
                // One way out for all entries that lead to this block.
                let label = self.s.emit.label();
                self.s.blocks[i].way_out = (this, label);
                ways.push(i);
                label
            };
            self.s.emit.table_entry(label);
        }
        self.s.emit.cut_flow();
        for i in ways {
            self.bind(self.s.blocks[i].way_out.1);
            self.go(i);
        }
        self.die();
    }

    // ---- returns

    /// Returns from the end of the body or a `return`.
    pub(super) fn leave_function(&mut self) {
        self.before_way_out(self.ty.results().len());
        self.give_back();
        if !self.s.blocks.is_empty() {
            self.die();
        }
    }

    /// Moves the results to where the caller expects them, and goes back.
    fn give_back(&mut self) {
        let results = self.ty.results();
        let n = results.len();
        let place = -self.area;
        if n == 1 {
            let node = self.s.stack.last().expect("validated").node;
            let root = Sym::of_class(Form::RetValueI32, self.s.trees[node].ty);
            // What the value's own computation charges is charged with it.
            let words = [offset_of(place), self.s.emit.debt()];
            self.root(root, words.into(), &[node]);
        } else {
            self.carry(n, slots_of(results), place);
            let debt = self.s.emit.debt();
            self.bare(Form::Ret, &[debt]);
        }
        self.s.emit.cut_flow();
    }

    /// Pays what is owed in straight code.
    #[cold]
    pub(super) fn pay(&mut self) {
        self.spill_flagged(LOAD | TRAP);
        let debt = self.s.emit.settle_debt();
        self.bare(Form::Fuel, &[debt]);
        self.s.emit.note_pause();
        self.s.emit.separate();
    }
}
