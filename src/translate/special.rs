//! The sink: what each instruction does to the symbolic stack.
//!
//! Plain instructions and accesses go by the table. Here is the rest: variables, calls, and what the run loop carries out.
use super::Translator;
use crate::code::SlowOp;
use crate::cover::{LOAD, NO_SLOT, READ, TRAP, accumulator, move_root, offset_of};
use crate::error::Result;
use crate::module::operators::{BlockType, BrTable, MemArg, Sink};
use crate::types::{FuncType, HeapType, ValType};
use jitless_machine::dispatch::COLD;
use jitless_machine::instr::{Access, Plain, Special};
use jitless_machine::symbol::{Form, Sym};
use jitless_machine::types::Ty;

/// Fuel of a special instruction.
const fn fuel(s: Special) -> u32 {
    s.info().fuel
}

impl<'a> Translator<'a> {
    /// Evaluates the top `n` operands into their homes and takes them off; entries below that the callee or the run loop could
    /// disturb go home too. Returns the slot of the first.
    fn arguments(&mut self, n: usize) -> i32 {
        let from = self.s.stack.len() - n;
        let first = self.s.stack.get(from).map_or_else(|| self.next_home(), |e| e.home);
        self.spill_disturbed(from, first);
        self.spill_from(from);
        self.truncate(from);
        first
    }

    /// Results of a call or an operation lie where its operands lay.
    fn results(&mut self, types: &[ValType]) {
        self.carry_more(types.len());
        self.held = [NO_SLOT; 3];
        self.s.emit.separate();
        self.push_settled(types.iter().map(|ty| ty.class()));
    }

    fn call_results(&mut self, ty: &FuncType) {
        self.results(ty.results());
        if let [one] = ty.results() {
            let home = self.s.stack.last().expect("just pushed").home;
            self.held[accumulator(one.class())] = home;
        }
    }

    /// Bytes from this frame to that of a callee whose area begins at `first`.
    fn delta(&mut self, first: i32, ty: &FuncType) -> u32 {
        let fp = first + ty.area() as i32;
        self.reach(fp);
        offset_of(fp)
    }

    fn call_of(&mut self, function: u32) {
        let desc = self.desc;
        let ty = desc.type_of_func(function).expect("validated");
        let first = self.arguments(ty.params().len());
        let delta = self.delta(first, ty);
        let price = self.s.emit.settle_debt();
        if function < desc.imported_funcs {
            self.bare(Form::CallImport, &[function, delta, price]);
        } else {
            self.bare(Form::Call, &[function, 0, delta, COLD, price]);
        }
        self.s.emit.note_call();
        self.call_results(ty);
    }

    fn call_through(&mut self, type_index: u32, table: u32) {
        let desc = self.desc;
        let ty = desc.func_type(type_index).expect("validated");
        let index = self.pop();
        let first = self.arguments(ty.params().len());
        let delta = self.delta(first, ty);
        let price = self.s.emit.settle_debt();
        let own = [desc.types[type_index as usize].0, table];
        self.root(Sym::form(Form::CallIndirect), own.into(), &[index]);
        self.s.emit.words(&[delta, price]);
        self.s.emit.note_call();
        self.call_results(ty);
    }

    /// Words that give up this frame for a callee's: area, arguments, count.
    fn replacement(&mut self, ty: &FuncType) -> [u32; 3] {
        let first = self.arguments(ty.params().len());
        let slots = ty.params().iter().map(|p| p.slots()).sum();
        [offset_of(self.area), offset_of(first), slots]
    }

    /// From this frame to the callee's, when its area begins where this one's does.
    fn tail_delta(&self, ty: &FuncType) -> u32 {
        offset_of(ty.area() as i32 - self.area)
    }

    fn tail_call_of(&mut self, function: u32) {
        let desc = self.desc;
        let ty = desc.type_of_func(function).expect("validated");
        let [area, arguments, count] = self.replacement(ty);
        let price = self.s.emit.settle_debt();
        if function < desc.imported_funcs {
            self.bare(Form::TailCallImport, &[function, area, arguments, count, price]);
        } else {
            let delta = self.tail_delta(ty);
            self.bare(Form::TailCall, &[area, arguments, count, function, 0, delta, COLD, price]);
        }
        self.s.emit.note_call();
        self.die();
    }

    fn tail_call_through(&mut self, type_index: u32, table: u32) {
        let desc = self.desc;
        let ty = desc.func_type(type_index).expect("validated");
        let index = self.pop();
        let [area, arguments, count] = self.replacement(ty);
        let delta = self.tail_delta(ty);
        let price = self.s.emit.settle_debt();
        let own = [desc.types[type_index as usize].0, table];
        self.root(Sym::form(Form::TailCallIndirect), own.into(), &[index]);
        self.s.emit.words(&[area, arguments, count, delta, price]);
        self.s.emit.note_call();
        self.die();
    }

    /// An operation of the run loop over the top `n` operands.
    fn slow(&mut self, op: SlowOp, a: u32, b: u32, n: usize, results: &[ValType]) {
        let first = self.arguments(n);
        self.reach(first + 1);
        let slot = offset_of(first);
        self.bare(Form::Slow, &[op as u32, a, b, slot]);
        self.results(results);
    }

    fn set_local(&mut self, index: u32) {
        let value = self.pop();
        self.keep_order(self.flags(value));
        let (slot, ty) = {
            let local = self.local(index);
            (local.slot, local.ty)
        };
        self.before_write(slot, self.s.stack.len());
        if !self.s.trees[value].is_slot(slot) {
            self.root(move_root(ty, false), [offset_of(slot)].into(), &[value]);
            self.now_holds(ty, slot);
        }
        self.assign(index);
    }

    fn get_local(&mut self, index: u32) {
        let local = self.local(index);
        let (slot, ty) = (local.slot, local.ty);
        if !local.set && !local.cleared {
            local.cleared = true;
            self.s.cleared.push(index);
        }
        self.push_read(slot, ty);
    }

    /// Is the global a mutable one that is imported? Then its cell belongs to somebody else.
    fn is_far(&self, global: u32) -> bool {
        global < self.desc.imported_globals && self.desc.globals[global as usize].ty.mutable
    }

    /// The class under which the machine handles a type.
    fn machine_class(ty: Ty) -> Ty {
        if ty == Ty::Ref { Ty::I64 } else { ty }
    }
}

impl Sink for Translator<'_> {
    #[inline(always)]
    fn at(&mut self, offset: usize) {
        self.s.emit.at(offset);
    }

    fn plain(&mut self, op: Plain) -> Result<()> {
        let info = op.info();
        if self.begin(info.fuel) {
            self.compute(Sym::plain(op), info.result);
        }
        Ok(())
    }

    fn access(&mut self, op: Access, arg: MemArg) -> Result<()> {
        if self.begin(op.info().fuel) {
            if op.info().store { self.store(op, arg) } else { self.load(op, arg) }
        }
        Ok(())
    }

    fn later(&mut self, _: &'static str, _: &'static str) -> Result<()> {
        Ok(())
    }

    // ---- control

    fn unreachable(&mut self) -> Result<()> {
        if self.begin(fuel(Special::Unreachable)) {
            self.spill_flagged(LOAD | TRAP);
            self.bare(Form::Unreachable, &[]);
            self.die();
        }
        Ok(())
    }

    fn nop(&mut self) -> Result<()> {
        self.begin(fuel(Special::Nop));
        Ok(())
    }

    fn block(&mut self, blockty: BlockType) -> Result<()> {
        if self.begin(fuel(Special::Block)) {
            self.open_block(blockty);
        } else {
            self.skipped += 1;
        }
        self.check_carried()
    }

    fn loop_(&mut self, blockty: BlockType) -> Result<()> {
        if self.begin(fuel(Special::Loop)) {
            self.open_loop(blockty);
        } else {
            self.skipped += 1;
        }
        self.check_carried()
    }

    fn if_(&mut self, blockty: BlockType) -> Result<()> {
        if self.begin(fuel(Special::If)) {
            self.open_if(blockty);
        } else {
            self.skipped += 1;
        }
        self.check_carried()
    }

    fn else_(&mut self) -> Result<()> {
        if self.skipped == 0 {
            self.begin_else();
        }
        self.check_carried()
    }

    fn end(&mut self) -> Result<()> {
        if self.skipped == 0 {
            self.close();
        } else {
            self.skipped -= 1;
        }
        self.check_carried()
    }

    fn br(&mut self, relative_depth: u32) -> Result<()> {
        if self.begin(fuel(Special::Br)) {
            self.branch_always(relative_depth);
        }
        self.check_carried()
    }

    fn br_if(&mut self, relative_depth: u32) -> Result<()> {
        if self.begin(fuel(Special::BrIf)) {
            self.branch_if(relative_depth);
        }
        self.check_carried()
    }

    fn br_table(&mut self, targets: BrTable<'_>) -> Result<()> {
        if self.begin(fuel(Special::BrTable)) {
            self.branch_table(targets);
        }
        self.check_carried()
    }

    fn return_(&mut self) -> Result<()> {
        if self.begin(fuel(Special::Return)) {
            self.leave_function();
        }
        self.check_carried()
    }

    fn call(&mut self, function_index: u32) -> Result<()> {
        if self.begin(fuel(Special::Call)) {
            self.call_of(function_index);
        }
        self.check_carried()
    }

    fn call_indirect(&mut self, type_index: u32, table_index: u32) -> Result<()> {
        if self.begin(fuel(Special::CallIndirect)) {
            self.call_through(type_index, table_index);
        }
        self.check_carried()
    }

    fn return_call(&mut self, function_index: u32) -> Result<()> {
        if self.begin(fuel(Special::ReturnCall)) {
            self.tail_call_of(function_index);
        }
        self.check_carried()
    }

    fn return_call_indirect(&mut self, type_index: u32, table_index: u32) -> Result<()> {
        if self.begin(fuel(Special::ReturnCallIndirect)) {
            self.tail_call_through(type_index, table_index);
        }
        self.check_carried()
    }

    // ---- operands and variables

    fn drop_(&mut self) -> Result<()> {
        if self.begin(fuel(Special::Drop)) {
            let value = self.pop();
            let flags = self.flags(value);
            if flags & (LOAD | TRAP) != 0 {
                self.keep_order(flags);
                let ty = self.s.trees[value].ty;
                self.root(move_root(ty, true), [].into(), &[value]);
                self.held[accumulator(ty)] = NO_SLOT;
            }
        }
        Ok(())
    }

    fn select(&mut self) -> Result<()> {
        if self.begin(fuel(Special::Select)) {
            let value = self.s.stack[self.s.stack.len() - 2].node;
            let ty = self.s.trees[value].ty;
            self.compute(Sym::of_class(Form::I32Select, ty), Self::machine_class(ty));
        }
        Ok(())
    }

    fn typed_select(&mut self, _: ValType) -> Result<()> {
        self.select()
    }

    fn local_get(&mut self, local_index: u32) -> Result<()> {
        if self.begin(fuel(Special::LocalGet)) {
            self.get_local(local_index);
        }
        Ok(())
    }

    fn local_set(&mut self, local_index: u32) -> Result<()> {
        if self.begin(fuel(Special::LocalSet)) {
            self.set_local(local_index);
        }
        Ok(())
    }

    fn local_tee(&mut self, local_index: u32) -> Result<()> {
        if self.begin(fuel(Special::LocalTee)) {
            self.set_local(local_index);
            self.get_local(local_index);
        }
        Ok(())
    }

    fn global_get(&mut self, global_index: u32) -> Result<()> {
        if self.begin(fuel(Special::GlobalGet)) {
            let ty = Self::machine_class(self.desc.globals[global_index as usize].ty.content.class());
            let far = self.is_far(global_index);
            let (form, imm) =
                if far { (Form::I32GlobalFar, global_index) } else { (Form::I32Global, global_index * 8) };
            let node = self.operator(Sym::of_class(form, ty), ty, &[], imm as u64);
            self.push(node);
        }
        Ok(())
    }

    fn global_set(&mut self, global_index: u32) -> Result<()> {
        if self.begin(fuel(Special::GlobalSet)) {
            let value = self.pop();
            self.keep_order(self.flags(value));
            self.spill_flagged(READ | TRAP | LOAD);
            let ty = self.desc.globals[global_index as usize].ty.content.class();
            let far = self.is_far(global_index);
            let (form, word) =
                if far { (Form::GlobalSetFarI32, global_index) } else { (Form::GlobalSetI32, global_index * 8) };
            self.root(Sym::of_class(form, ty), [word].into(), &[value]);
        }
        Ok(())
    }

    fn i32_const(&mut self, value: i32) -> Result<()> {
        if self.begin(fuel(Special::I32Const)) {
            self.push_constant(Ty::I32, value as u32 as u64);
        }
        Ok(())
    }

    fn i64_const(&mut self, value: i64) -> Result<()> {
        if self.begin(fuel(Special::I64Const)) {
            self.push_constant(Ty::I64, value as u64);
        }
        Ok(())
    }

    fn f32_const(&mut self, value: u32) -> Result<()> {
        if self.begin(fuel(Special::F32Const)) {
            self.push_constant(Ty::F32, value as u64);
        }
        Ok(())
    }

    fn f64_const(&mut self, value: u64) -> Result<()> {
        if self.begin(fuel(Special::F64Const)) {
            self.push_constant(Ty::F64, value);
        }
        Ok(())
    }

    // ---- references

    fn ref_null(&mut self, _: HeapType) -> Result<()> {
        if self.begin(fuel(Special::RefNull)) {
            self.push_constant(Ty::I64, 0);
        }
        Ok(())
    }

    fn ref_is_null(&mut self) -> Result<()> {
        if self.begin(fuel(Special::RefIsNull)) {
            self.compute(Sym::plain(Plain::I64Eqz), Ty::I32);
        }
        Ok(())
    }

    fn ref_func(&mut self, function_index: u32) -> Result<()> {
        if self.begin(fuel(Special::RefFunc)) {
            let node = self.operator(Sym::form(Form::RefFunc), Ty::I64, &[], function_index as u64);
            self.push(node);
        }
        Ok(())
    }

    // ---- memories

    fn memory_size(&mut self, mem: u32) -> Result<()> {
        if self.begin(fuel(Special::MemorySize)) {
            if mem == 0 {
                let node = self.operator(Sym::form(Form::MemorySize), Ty::I32, &[], 0);
                self.push(node);
            } else {
                self.slow(SlowOp::MemorySize, mem, 0, 0, &[ValType::I32]);
            }
        }
        Ok(())
    }

    fn memory_grow(&mut self, mem: u32) -> Result<()> {
        if self.begin(fuel(Special::MemoryGrow)) {
            self.slow(SlowOp::MemoryGrow, mem, 0, 1, &[ValType::I32]);
        }
        Ok(())
    }

    fn memory_copy(&mut self, dst_mem: u32, src_mem: u32) -> Result<()> {
        if self.begin(fuel(Special::MemoryCopy)) {
            self.slow(SlowOp::MemoryCopy, dst_mem, src_mem, 3, &[]);
        }
        Ok(())
    }

    fn memory_fill(&mut self, mem: u32) -> Result<()> {
        if self.begin(fuel(Special::MemoryFill)) {
            self.slow(SlowOp::MemoryFill, mem, 0, 3, &[]);
        }
        Ok(())
    }

    fn memory_init(&mut self, data_index: u32, mem: u32) -> Result<()> {
        if self.begin(fuel(Special::MemoryInit)) {
            self.slow(SlowOp::MemoryInit, data_index, mem, 3, &[]);
        }
        Ok(())
    }

    fn data_drop(&mut self, data_index: u32) -> Result<()> {
        if self.begin(fuel(Special::DataDrop)) {
            self.slow(SlowOp::DataDrop, data_index, 0, 0, &[]);
        }
        Ok(())
    }

    // ---- tables

    fn table_get(&mut self, table: u32) -> Result<()> {
        if self.begin(fuel(Special::TableGet)) {
            let element = ValType::Ref(self.desc.tables[table as usize].ty.element);
            self.slow(SlowOp::TableGet, table, 0, 1, &[element]);
        }
        Ok(())
    }

    fn table_set(&mut self, table: u32) -> Result<()> {
        if self.begin(fuel(Special::TableSet)) {
            self.slow(SlowOp::TableSet, table, 0, 2, &[]);
        }
        Ok(())
    }

    fn table_grow(&mut self, table: u32) -> Result<()> {
        if self.begin(fuel(Special::TableGrow)) {
            self.slow(SlowOp::TableGrow, table, 0, 2, &[ValType::I32]);
        }
        Ok(())
    }

    fn table_size(&mut self, table: u32) -> Result<()> {
        if self.begin(fuel(Special::TableSize)) {
            self.slow(SlowOp::TableSize, table, 0, 0, &[ValType::I32]);
        }
        Ok(())
    }

    fn table_fill(&mut self, table: u32) -> Result<()> {
        if self.begin(fuel(Special::TableFill)) {
            self.slow(SlowOp::TableFill, table, 0, 3, &[]);
        }
        Ok(())
    }

    fn table_copy(&mut self, dst_table: u32, src_table: u32) -> Result<()> {
        if self.begin(fuel(Special::TableCopy)) {
            self.slow(SlowOp::TableCopy, dst_table, src_table, 3, &[]);
        }
        Ok(())
    }

    fn table_init(&mut self, elem_index: u32, table: u32) -> Result<()> {
        if self.begin(fuel(Special::TableInit)) {
            self.slow(SlowOp::TableInit, elem_index, table, 3, &[]);
        }
        Ok(())
    }

    fn elem_drop(&mut self, elem_index: u32) -> Result<()> {
        if self.begin(fuel(Special::ElemDrop)) {
            self.slow(SlowOp::ElemDrop, elem_index, 0, 0, &[]);
        }
        Ok(())
    }
}
