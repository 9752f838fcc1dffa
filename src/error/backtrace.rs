//! Where the guest was: its calls, innermost first, with names and byte offsets.
//!
//! Invariant: at most [`Backtrace::MAX`] frames are kept, however deep the guest was; the others are counted.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Display, Formatter};

use super::text::Escaped;

/// The calls that were active, innermost first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Backtrace {
    frames: Vec<Frame>,
    left_out: u64,
}

/// One active call.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Frame {
    pub(crate) func_index: u32,
    pub(crate) func_name: Option<String>,
    pub(crate) module_name: Option<String>,
    pub(crate) func_offset: usize,
    pub(crate) module_offset: usize,
    pub(crate) host: bool,
}

impl Backtrace {
    /// The most frames that are kept.
    pub const MAX: usize = 64;

    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Will the next frame be kept? If not, [`Self::skip`] it and save the trouble of describing it.
    pub(crate) fn has_room(&self) -> bool {
        self.frames.len() < Self::MAX
    }

    /// Adds the next frame outwards.
    pub(crate) fn push(&mut self, frame: Frame) {
        if self.has_room() { self.frames.push(frame) } else { self.left_out += 1 }
    }

    /// Counts frames that are not described.
    pub(crate) fn skip(&mut self, frames: u64) {
        self.left_out += frames;
    }

    /// The innermost calls, at most [`Self::MAX`].
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Was no call active?
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.left_out == 0
    }

    /// The number of calls further out that are not in [`Self::frames`].
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

impl Frame {
    /// The index of the function in its module, imports counted.
    pub fn func_index(&self) -> u32 {
        self.func_index
    }

    /// The function's name as its module's name section or exports say, if they do; not to be trusted.
    ///
    /// For a function of the host, the names under which it was imported: `env.step`.
    pub fn func_name(&self) -> Option<&str> {
        self.func_name.as_deref()
    }

    /// The module's name as its name section says, if it does; not to be trusted.
    pub fn module_name(&self) -> Option<&str> {
        self.module_name.as_deref()
    }

    /// The place in the function, in bytes from the start of its body.
    pub fn func_offset(&self) -> usize {
        self.func_offset
    }

    /// The place in the module, in bytes from its start.
    pub fn module_offset(&self) -> usize {
        self.module_offset
    }

    /// Is this a function of the host? It has no offsets then.
    pub fn is_host(&self) -> bool {
        self.host
    }

    fn name(&self) -> String {
        match &self.func_name {
            Some(name) => format!("{}", Escaped(name)),
            None => format!("func {}", self.func_index),
        }
    }
}

/// Lines indented by two, without a line end at the end; nothing at all for no frames.
impl Display for Backtrace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return Ok(());
        }
        f.write_str("  wasm backtrace, innermost first:")?;
        let rows: Vec<_> = self.frames.iter().map(|frame| (frame, frame.name())).collect();
        let guests = || rows.iter().filter(|(frame, _)| !frame.host);
        let name_width = guests()
            .filter(|(frame, _)| frame.module_name.is_some())
            .map(|(_, name)| name.chars().count())
            .max()
            .unwrap_or(0)
            .min(40);
        let offset_width = guests().map(|(frame, _)| format!("{:#x}", frame.module_offset).len()).max().unwrap_or(0);
        let number_width = format!("{}", guests().count().saturating_sub(1)).len();
        let mut number = 0;
        for (frame, name) in &rows {
            if frame.host {
                write!(f, "\n    -- host: {name}")?;
                continue;
            }
            write!(f, "\n    {number:number_width$}: {:#offset_width$x}  ", frame.module_offset)?;
            match &frame.module_name {
                Some(module) => write!(f, "{name:name_width$}  {}", Escaped(module))?,
                None => f.write_str(name)?,
            }
            number += 1;
        }
        match self.left_out {
            0 => Ok(()),
            n => write!(f, "\n    … and {n} more"),
        }
    }
}
