//! How the guest's own names and our numbers are written.
//!
//! Invariant: a name of a module never moves the cursor, starts a line, or changes the direction of the text.

use core::fmt::{self, Display, Formatter, Write};

/// A name out of a module, harmless on a terminal: control and formatting characters as `\u{1b}`, long names cut.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Escaped<'_> {
    /// The most characters of a name that are printed.
    pub(crate) const MAX: usize = 128;
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        escape(self.0, Self::MAX, f)
    }
}

/// The same for text of our own that has names in it: nothing is cut.
pub(super) struct Uncut<'a>(pub(super) &'a str);

impl Display for Uncut<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        escape(self.0, usize::MAX, f)
    }
}

fn escape(text: &str, max: usize, f: &mut Formatter<'_>) -> fmt::Result {
    for (n, c) in text.chars().enumerate() {
        match c {
            _ if n == max => return f.write_char('…'),
            '\\' => f.write_str("\\\\")?,
            _ if c.is_control() || is_format(c) => write!(f, "{}", c.escape_unicode())?,
            _ => f.write_char(c)?,
        }
    }
    Ok(())
}

/// Characters that are not seen themselves but change how others are: line ends, directions, joiners, tags.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `1 byte`, `2 bytes`.
pub(super) struct Count(pub(super) u64, pub(super) &'static str);

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(n, unit) = self;
        write!(f, "{n} {unit}{}", if *n == 1 { "" } else { "s" })
    }
}
