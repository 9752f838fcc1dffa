//! Arguments and environment.
//!
//! Invariant: a text list lies in one piece, each text with its zero byte behind it, so that a call is one copy.

use super::WasiCtx;
use super::abi::Outcome;
use super::calls::Call;
use crate::{Cause, Error, Result};

/// Texts, each ended by a zero byte.
#[derive(Clone, Default, Debug)]
pub(super) struct Texts {
    bytes: Vec<u8>,
    /// Where each begins.
    starts: Vec<u32>,
}

impl Texts {
    /// The most bytes of arguments, and of the environment, zero bytes included.
    const MAX: usize = 16 << 20;

    /// `what` they are, for errors.
    pub(super) fn new(texts: impl IntoIterator<Item = impl AsRef<[u8]>>, what: &'static str) -> Result<Self> {
        let mut all = Self::default();
        for text in texts {
            let text = text.as_ref();
            if let Some(at) = text.iter().position(|&byte| byte == 0) {
                let text = String::from_utf8_lossy(&text[..at]);
                return Err(Cause::Argument(format!("{what}: a zero byte after `{}`", text.escape_debug())).into());
            }
            all.starts.push(all.bytes.len() as u32);
            all.bytes.extend_from_slice(text);
            all.bytes.push(0);
            if all.bytes.len() > Self::MAX {
                let (limit, found) = (Self::MAX as u64, all.bytes.len() as u64);
                return Err(Error::from(Cause::Limit { what, limit, found, offset: None }));
            }
        }
        Ok(all)
    }
}

type Which = fn(&WasiCtx) -> &Texts;

fn sizes_get(call: &mut Call<'_>, which: Which, count: u32, size: u32) -> Outcome {
    let (mut bytes, ctx) = call.memory()?;
    let texts = which(ctx);
    bytes.range(count, 4)?;
    bytes.range(size, 4)?;
    bytes.write_u32(count, texts.starts.len() as u32)?;
    Ok(bytes.write_u32(size, texts.bytes.len() as u32)?)
}

fn get(call: &mut Call<'_>, which: Which, pointers: u32, buffer: u32) -> Outcome {
    let (bytes, ctx) = call.memory()?;
    let (array, size) = (4 * which(ctx).starts.len() as u64, which(ctx).bytes.len() as u64);
    bytes.range(pointers, array)?;
    bytes.range(buffer, size)?;
    call.charge(array + size)?;
    let (mut bytes, ctx) = call.memory()?;
    let texts = which(ctx);
    bytes.write(buffer, &texts.bytes)?;
    let array = bytes.get_mut(pointers, array)?;
    for (pointer, start) in array.chunks_exact_mut(4).zip(&texts.starts) {
        // Inside the range of the buffer.
        pointer.copy_from_slice(&(buffer + start).to_le_bytes());
    }
    Ok(())
}

pub(super) fn args_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> Outcome {
    sizes_get(call, |ctx| &ctx.args, count, size)
}

pub(super) fn args_get(call: &mut Call<'_>, pointers: u32, buffer: u32) -> Outcome {
    get(call, |ctx| &ctx.args, pointers, buffer)
}

pub(super) fn environ_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> Outcome {
    sizes_get(call, |ctx| &ctx.env, count, size)
}

pub(super) fn environ_get(call: &mut Call<'_>, pointers: u32, buffer: u32) -> Outcome {
    get(call, |ctx| &ctx.env, pointers, buffer)
}
