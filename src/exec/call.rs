//! Calls that the machine does not make by itself: of cold sites, of imports, through tables, between instances.
//!
//! Idea: a call between instances looks to its callee like any other. Its frame returns to a stub, `Across`, and what it
//! would have returned to is kept aside. A frame that returns to the stub already, or to the host, and is replaced by a
//! call in tail position, needs nothing kept; so calls in tail position take no room, whatever instances they go through.
//!
//! Invariant: from when a call's link is written, and its frame is `ctx.fp`, what is still to be done is what
//! `Exit::Call` says, so that a failure then shows the caller as the innermost frame.

use core::sync::atomic::{AtomicU32, Ordering};

use jitless_machine::control::{SITE_FRAME, SITE_WORDS};
use jitless_machine::dispatch::{COLD, Exit, Ip, PATCHING, Rec};
use jitless_machine::trap::Trap;

use super::{Outcome, Step};
use crate::error::{Error, Result, TrapDetail};
use crate::runtime::{Callee, Crossing, SLOT, StoreInner, instance_of};
use crate::types::TypeId;

impl StoreInner {
    /// A function of a guest, translated.
    #[inline]
    pub(super) fn ready(&mut self, func: u32) -> Result<Rec> {
        let rec = self.rec(func);
        if rec.frame != COLD { Ok(rec) } else { self.make_ready(func) }
    }

    #[cold]
    fn make_ready(&mut self, func: u32) -> Result<Rec> {
        let rec = self.rec(func);
        let module = &self.numbered(instance_of(rec.key)).module;
        let code = module.code(rec.index - module.desc.imported_funcs, &|| self.check_stop())?;
        let rec = Rec { code: code.entry(), frame: code.frame, ..rec };
        *self.rec_mut(func) = rec;
        Ok(rec)
    }

    /// The second half of a call within a module: the frame is `ctx.fp`, the link is written, the site ends at `ctx.ip`.
    pub(super) fn call(&mut self) -> Step {
        if let Err(pause) = self.check_fuel() {
            return Err(self.wait(Exit::Call, Outcome::Paused(pause)));
        }
        let (code, frame) = match self.read_site() {
            Ok(site) => site,
            // The callee's translation took too long: nothing of the call has been done.
            Err(error) => match self.poll() {
                Err(pause) => return Err(self.wait(Exit::Call, Outcome::Paused(pause))),
                Ok(()) => return Err(self.fail_at(Exit::Call, error)),
            },
        };
        self.enter_frame(self.place(), code, frame)
    }

    /// The code and frame of the callee of the site that ends at `ctx.ip`. A cold site is patched.
    fn read_site(&self) -> Result<(Ip, u32)> {
        // SAFETY: contract 6: the words of a site end at `ctx.ip`.
        let site = unsafe { self.ctx.ip.sub(SITE_WORDS) };
        // SAFETY: contract 6 and 7.
        let word = |i: usize| unsafe { AtomicU32::from_ptr(site.add(i).cast_mut()) };
        loop {
            // The first word comes first: if somebody has changed it, the frame is not cold any more when it is read.
            let first = word(0).load(Ordering::Acquire);
            match word(SITE_FRAME).load(Ordering::Acquire) {
                PATCHING => core::hint::spin_loop(),
                COLD => return self.patch(first, word),
                frame => {
                    let (low, high) = (word(0).load(Ordering::Relaxed), word(1).load(Ordering::Relaxed));
                    return Ok(((u64::from(high) << 32 | u64::from(low)) as usize as Ip, frame));
                }
            }
        }
    }

    /// Makes a cold site, whose first word is the callee's index, a warm one.
    fn patch<'s>(&self, function: u32, word: impl Fn(usize) -> &'s AtomicU32) -> Result<(Ip, u32)> {
        let module = &self.numbered(self.current).module;
        let code = module.code(function - module.desc.imported_funcs, &|| self.check_stop())?;
        debug_assert!(code.frame < PATCHING);
        let cold = word(SITE_FRAME).compare_exchange(COLD, PATCHING, Ordering::AcqRel, Ordering::Relaxed);
        if cold.is_ok() {
            let address = code.entry() as usize as u64;
            word(0).store(address as u32, Ordering::Release);
            word(1).store((address >> 32) as u32, Ordering::Relaxed);
            word(SITE_FRAME).store(code.frame, Ordering::Release);
        }
        Ok((code.entry(), code.frame))
    }

    /// The frame at `place`, whose link is written, is to run `code`.
    fn enter_frame(&mut self, place: usize, code: Ip, frame: u32) -> Step {
        if self.counts_frames()
            && let Err(error) = self.count_frame(place)
        {
            self.ctx.fp = self.stack.frame(place);
            return Err(self.fail_at(Exit::Call, error));
        }
        let needed = place + frame as usize / SLOT;
        if needed > self.stack.usable()
            && let Err(error) = self.widen_stack(needed, place)
        {
            self.ctx.fp = self.stack.frame(place);
            return Err(self.fail_at(Exit::Call, error));
        }
        self.ctx.fp = self.stack.frame(place);
        self.ctx.ip = code;
        Ok(())
    }

    /// Calls a function, of the host or of whatever instance, whose frame is at `place` with the link written.
    pub(super) fn go(&mut self, func: u32, place: usize) -> Step {
        let Callee::Guest { instance, .. } = self.callee(func) else {
            self.ctx.fp = self.stack.frame(place);
            self.called = func;
            return Err(self.wait(Exit::CallImport, Outcome::Host(func)));
        };
        let rec = match self.ready(func) {
            Ok(rec) => rec,
            Err(error) => {
                self.ctx.fp = self.stack.frame(place);
                return Err(self.fail_at(Exit::Call, error));
            }
        };
        if instance != self.current {
            let (to, stubs) = (self.stack.return_address(place), &self.engine.stubs);
            if !core::ptr::eq(to, stubs.across()) && !core::ptr::eq(to, stubs.halt()) {
                self.stack.set_return_address(place, stubs.across());
                let crossing = Crossing { ip: to, instance: self.current };
                if let Err(error) = self.stack.cross(crossing, &mut self.budget) {
                    self.stack.set_return_address(place, to);
                    self.ctx.fp = self.stack.frame(place);
                    return Err(self.fail_at(Exit::Call, error));
                }
            }
            self.switch(instance);
        }
        self.enter_frame(place, rec.code, rec.frame)
    }

    /// A frame returned to a caller of another instance.
    pub(super) fn come_back(&mut self) -> Step {
        let crossing = self.stack.uncross();
        debug_assert!(crossing.is_some(), "a frame that returns across was entered across");
        let Some(Crossing { ip, instance }) = crossing else { return Ok(()) };
        self.switch(instance);
        self.ctx.ip = ip;
        Ok(())
    }

    /// A call in tail position of an imported function; nothing is done yet.
    pub(super) fn tail_call_import(&mut self) -> Step {
        // Words: function, bytes of the area, arguments, slots of them, price.
        let [area, arguments, count, price] = [-4, -3, -2, -1].map(|i| self.word(i));
        if let Err(pause) = self.pay(price.into()) {
            return Err(self.wait(Exit::TailCallImport, Outcome::Paused(pause)));
        }
        let func = self.ctx.value as u32;
        let new_area = self.func_type(func).area() as usize;
        let place = self.replace(area, arguments, count, new_area);
        self.go(func, place)
    }

    /// Gives up the innermost frame for one whose arguments begin where its own began, and whose area has so many slots.
    /// Returns the new one's place.
    fn replace(&mut self, area: u32, arguments: u32, count: u32, new_area: usize) -> usize {
        let old = self.place();
        let (to, caller) = (self.stack.return_address(old), self.stack.caller(old));
        let start = old - area as usize / SLOT;
        let from = old.wrapping_add_signed(arguments as i32 as isize / SLOT as isize);
        self.stack.slots_mut().copy_within(from..from + count as usize, start);
        self.stack.link(start + new_area, to, caller);
        start + new_area
    }

    /// A call through a table that did not go the fast way; nothing is done yet.
    pub(super) fn call_indirect(&mut self, exit: Exit) -> Step {
        let site = -(self.ctx.words as isize);
        let (ty, table) = (TypeId(self.word(site)), self.word(site + 1));
        let price = self.word(-1);
        if let Err(pause) = self.pay(price.into()) {
            return Err(self.wait(exit, Outcome::Paused(pause)));
        }
        let func = match self.callee_of(exit, ty, table, self.ctx.value) {
            Ok(func) => func,
            Err((trap, detail)) => return Err(self.trap_at(exit, trap, detail)),
        };
        let place = if exit == Exit::CallIndirect {
            // Words: type, table, index, delta, price.
            let caller = self.place();
            let place = caller + self.word(-2) as usize / SLOT;
            self.stack.link(place, self.ctx.ip, Some(caller));
            place
        } else {
            // Words: type, table, index, bytes of the area, arguments, slots of them, delta, price.
            let [area, arguments, count] = [-5, -4, -3].map(|i| self.word(i));
            let new_area = self.func_type(func).area() as usize;
            self.replace(area, arguments, count, new_area)
        };
        self.go(func, place)
    }

    /// The function that an indirect call means, if it has the type.
    fn callee_of(&self, exit: Exit, ty: TypeId, table: u32, index: u64) -> Result<u32, (Trap, TrapDetail)> {
        let elements = self.table(self.numbered(self.current).tables[table as usize]);
        let detail = || {
            let operator = if exit == Exit::CallIndirect { "call_indirect" } else { "return_call_indirect" };
            TrapDetail::Table { operator, size: 1, index, table, len: elements.len() }
        };
        let func = match elements.get(index) {
            None => return Err((Trap::UndefinedElement, detail())),
            Some(0) => return Err((Trap::UninitializedElement, detail())),
            Some(func) => func as u32,
        };
        let (found, types) = (self.func_type_id(func), &self.engine.types);
        if found == ty || types.is_subtype(found, ty) {
            return Ok(func);
        }
        let detail = match types.func(ty) {
            Some(wanted) => TrapDetail::Signature { wanted, found: self.func_type(func).clone() },
            None => TrapDetail::None,
        };
        Err((Trap::BadSignature, detail))
    }

    /// Are frames counted, besides their bytes?
    #[inline]
    pub(super) fn counts_frames(&self) -> bool {
        self.engine.config.max_call_depth.is_some()
    }

    /// Counts the frame at `place`, or says that it is one too many.
    pub(super) fn count_frame(&mut self, place: usize) -> Result<()> {
        let least = self.entries.last().map_or(0, |entry| entry.counted);
        self.stack.count_frame(place, least, &mut self.budget)?;
        match self.engine.config.max_call_depth {
            Some(max) if self.outer_count + self.stack.count() > max as usize => Err(Error::from(Trap::StackOverflow)),
            _ => Ok(()),
        }
    }
}
