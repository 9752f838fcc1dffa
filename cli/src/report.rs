//! What the command says of itself: errors and notes on standard error, what was asked for on standard output, a
//! status.
//!
//! Invariant: one failure is one message and one status; nothing here panics when an output is closed or full.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use jitless::{Error, ErrorKind};

/// How the command ends, when it is not the guest that says so.
pub(crate) mod status {
    /// All is well.
    pub(crate) const OK: u8 = 0;
    /// Not readable, not a module, does not link.
    pub(crate) const FAILED: u8 = 1;
    /// Wrong arguments.
    pub(crate) const USAGE: u8 = 2;
    /// Out of fuel, over the budget.
    pub(crate) const BUDGET: u8 = 123;
    /// Out of time, or stopped; as `timeout` of coreutils.
    pub(crate) const DEADLINE: u8 = 124;
    /// A trap; 128 and the number of SIGABRT.
    pub(crate) const TRAP: u8 = 134;
    /// Nobody reads standard output any more; 128 and the number of SIGPIPE.
    pub(crate) const PIPE: u8 = 141;
}

/// Why the command does not succeed.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    /// Nothing is said if there is no text.
    text: Option<String>,
}

impl Failure {
    /// Something could not be read, was no module, did not link.
    pub(crate) fn new(text: impl Display) -> Self {
        Self { status: status::FAILED, text: Some(text.to_string()) }
    }

    /// An argument cannot be right.
    pub(crate) fn usage(text: impl Display) -> Self {
        Self { status: status::USAGE, text: Some(text.to_string()) }
    }

    /// Standard output cannot be written.
    pub(crate) fn output(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { status: status::PIPE, text: None };
        }
        Self::new(format!("cannot write to standard output: {}", plain(&error)))
    }

    /// An error of the library, about the module in `file`.
    pub(crate) fn of(error: &Error, file: &str) -> Self {
        if error.is::<ClosedPipe>() {
            return Self { status: status::PIPE, text: None };
        }
        let mut text = format!("{error:#}");
        if error.kind() == ErrorKind::Link {
            text = text.replacen("cannot instantiate:", &format!("cannot instantiate {file}:"), 1);
        }
        Self { status: status_of(error), text: Some(text) }
    }

    /// The same for one of several files.
    pub(crate) fn of_one(error: &Error, file: &str) -> Self {
        Self { text: Some(format!("{file}: {error:#}")), ..Self::of(error, file) }
    }

    pub(crate) fn status(&self) -> u8 {
        self.status
    }

    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Says it, and gives the status to end with.
    pub(crate) fn report(&self) -> ExitCode {
        self.say();
        ExitCode::from(self.status)
    }

    /// Says it.
    pub(crate) fn say(&self) {
        if let Some(text) = &self.text {
            const ERROR: Style = AnsiColor::Red.on_default().bold();
            say(ERROR, "error", text);
        }
    }
}

/// How the command ends when a guest ended with this error.
pub(crate) fn status_of(error: &Error) -> u8 {
    match error.kind() {
        // The low 8 bits, as operating systems do.
        ErrorKind::Exit => error.exit_code().unwrap_or(0) as u8,
        // An error of a host function ends a guest as a trap does.
        ErrorKind::Trap | ErrorKind::Host => status::TRAP,
        ErrorKind::Deadline | ErrorKind::Stopped => status::DEADLINE,
        ErrorKind::OutOfFuel | ErrorKind::Budget => status::BUDGET,
        _ => status::FAILED,
    }
}

/// Says something that is no error.
pub(crate) fn note(text: impl Display) {
    const NOTE: Style = Style::new().bold();
    say(NOTE, "note", text);
}

fn say(style: Style, word: &str, text: impl Display) {
    // Where standard error cannot be written, there is nobody to tell.
    let _ = writeln!(anstream::stderr(), "{style}{word}:{style:#} {text}");
}

/// Writes what was asked for.
pub(crate) fn print(bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes.as_ref()).and_then(|()| out.flush()).map_err(Failure::output)
}

/// Nobody reads standard output any more: the guest ends, and nothing is said.
#[derive(Debug)]
pub(crate) struct ClosedPipe;

impl Display for ClosedPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("standard output is closed")
    }
}

impl std::error::Error for ClosedPipe {}

/// An error of the operating system in our style: lower case, without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    plain_text(&error.to_string())
}

/// The same, where its text is known only.
pub(crate) fn plain_text(text: &str) -> String {
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        // Not a word in capitals.
        (Some(first), Some(second)) if !second.is_uppercase() => {
            first.to_lowercase().chain([second]).chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// A text of somebody else's, harmless on a terminal.
pub(crate) fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() || is_format(c) { c.escape_unicode().collect() } else { vec![c] })
        .collect()
}

/// Characters that change how others are shown.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A number of bytes as people write it: exact where it is a round number.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let (mut size, mut unit) = (count as f64 / 1024.0, 0);
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(size.fract() != 0.0);
    format!("{size:.digits$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (count, text) in
            [(0, "0 bytes"), (1023, "1023 bytes"), (65536, "64 KiB"), (1536, "1.5 KiB"), (128 << 20, "128 MiB")]
        {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(bytes(u64::MAX), "16777216 TiB");
    }

    #[test]
    fn errors_of_the_system() {
        assert_eq!(plain(&io::Error::from_raw_os_error(2)), "no such file or directory");
        assert_eq!(plain(&io::Error::other("UTF-8 is wanted")), "UTF-8 is wanted");
        assert_eq!(plain(&io::Error::other("")), "");
    }

    #[test]
    fn names_are_harmless() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\u{a}c");
    }
}
