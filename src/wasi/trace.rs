//! A line for each call that a guest makes: name, arguments, what came of it.
//!
//! Invariant: what a guest names is escaped, so that a line is a line.

use core::fmt::{self, Debug, Formatter, Write};

use super::abi::{Fail, Outcome};
use super::calls::Call;
use super::fs::resolve::MAX_PATH;

/// Who gets the lines.
pub(super) struct Trace(pub(super) Box<dyn FnMut(&str) + Send>);

impl Debug for Trace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

/// What a call writes a number to that is worth showing.
const RESULTS: [&str; 6] = ["opened", "nread", "nwritten", "bufused", "nevents", "position"];

/// Makes the line of a call that is over: `path_open(3, 1, "a/b", 0, …) = 0 → 4`. A path is shown as text.
#[cold]
pub(super) fn line(call: &mut Call<'_>, name: &str, args: &[(&str, i128)], outcome: &Outcome) {
    let mut line = format!("{name}(");
    let mut rest = args.iter();
    let mut between = "";
    while let Some(&(arg, value)) = rest.next() {
        line.push_str(between);
        between = ", ";
        // Writing to a string cannot fail.
        _ = match path(call, arg, value, rest.as_slice()) {
            Some(text) => {
                rest.next();
                write!(line, "{text:?}")
            }
            // Rights, which are bits.
            None if value > u32::MAX.into() => write!(line, "{value:#x}"),
            None => write!(line, "{value}"),
        };
    }
    _ = match outcome {
        Ok(()) => write!(line, ") = 0"),
        Err(Fail::Errno(errno)) => write!(line, ") = {} ({errno})", *errno as u16),
        Err(Fail::End(error)) => write!(line, ") ends: {error}"),
    };
    if outcome.is_ok() {
        let shown = args.iter().filter(|(arg, _)| RESULTS.contains(arg));
        for result in shown.filter_map(|&(_, ptr)| number(call, u32::try_from(ptr).ok()?)) {
            _ = write!(line, " → {result}");
        }
    }
    if let Some(Trace(sink)) = &mut call.ctx().trace {
        sink(&line);
    }
}

/// The text of a path, if the argument is one: its length follows.
fn path(call: &mut Call<'_>, arg: &str, ptr: i128, rest: &[(&str, i128)]) -> Option<String> {
    let (len_arg, len) = *rest.first()?;
    if !arg.ends_with("path") || len_arg.strip_prefix(arg) != Some("_len") {
        return None;
    }
    let (ptr, len) = (u32::try_from(ptr).ok()?, u64::try_from(len).ok()?);
    let (bytes, _) = call.memory().ok()?;
    let bytes = bytes.get(ptr, len.min(MAX_PATH as u64)).ok()?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

fn number(call: &mut Call<'_>, ptr: u32) -> Option<u32> {
    let (bytes, _) = call.memory().ok()?;
    Some(super::abi::u32_at(bytes.get(ptr, 4).ok()?, 0))
}
