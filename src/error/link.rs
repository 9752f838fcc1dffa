//! Imports that do not fit: all of them at once, in text notation, with the name that may have been meant.
//!
//! Invariant: the search for near names costs a bounded number of steps, whatever the guest's names are.

use alloc::string::String;
use core::fmt::{self, Display, Formatter};

use super::text::{Escaped, Uncut};
use crate::types::ExternType;

/// An import that does not fit.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ImportError {
    /// The first of the import's two names.
    pub module: String,
    /// The second.
    pub name: String,
    /// The type that the module wants, in text notation.
    pub wanted: String,
    /// The type of what is defined under these names; `None` if nothing is.
    pub found: Option<ExternType>,
    /// If nothing is, a name that may have been meant, with its type: `env.now_ms (func (result i64))`.
    pub near: Option<String>,
}

impl ImportError {
    /// Nothing is defined under these names.
    pub(crate) fn unknown(module: &str, name: &str, wanted: impl Display, near: Option<String>) -> Self {
        Self { module: module.into(), name: name.into(), wanted: alloc::format!("{wanted}"), found: None, near }
    }

    /// What is defined has another type.
    pub(crate) fn incompatible(module: &str, name: &str, wanted: impl Display, found: ExternType) -> Self {
        let wanted = alloc::format!("{wanted}");
        Self { module: module.into(), name: name.into(), wanted, found: Some(found), near: None }
    }

    /// The official suite's text.
    fn text(&self) -> &'static str {
        if self.found.is_some() { "incompatible import type" } else { "unknown import" }
    }

    fn fmt_names(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", Escaped(&self.module), Escaped(&self.name))
    }

    fn fmt_reason(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (&self.found, &self.near) {
            (Some(found), _) => write!(f, "needs {}, is {found}", self.wanted),
            (None, None) => write!(f, "not defined; needs {}", self.wanted),
            (None, Some(near)) => write!(f, "not defined; did you mean {}?", Uncut(near)),
        }
    }
}

/// One line: `env.log needs (func (param i32)), is (func)`.
impl Display for ImportError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.fmt_names(f)?;
        f.write_str(" ")?;
        self.fmt_reason(f)
    }
}

/// The error's line: the first import in full, the others counted.
pub(super) struct OneLine<'a>(pub(super) &'a [ImportError]);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0 else { return f.write_str("unknown import") };
        write!(f, "{}: {first}", first.text())?;
        match rest.len() {
            0 => Ok(()),
            1 => f.write_str(" (and 1 more import that does not fit)"),
            n => write!(f, " (and {n} more imports that do not fit)"),
        }
    }
}

/// All imports, a line each; the second field is the number of imports of the module.
pub(super) struct Whole<'a>(pub(super) &'a [ImportError], pub(super) usize);

impl Whole<'_> {
    /// The most imports that are listed; a program finds the others by [`super::Error::import_errors`].
    const LISTED: usize = 100;
}

impl Display for Whole<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(imports, of) = self;
        let fit = if imports.len() == 1 { "does" } else { "do" };
        let noun = if *of == 1 { "import" } else { "imports" };
        write!(f, "cannot instantiate: {} of {of} {noun} {fit} not fit", imports.len())?;
        let listed = &imports[..imports.len().min(Self::LISTED)];
        let names = |import: &ImportError| alloc::format!("{}.{}", Escaped(&import.module), Escaped(&import.name));
        let width = listed.iter().map(|import| names(import).chars().count()).max().unwrap_or(0).min(40);
        for import in listed {
            write!(f, "\n  {:width$}  ", names(import))?;
            import.fmt_reason(f)?;
        }
        match imports.len() - listed.len() {
            0 => Ok(()),
            n => write!(f, "\n  … and {n} more"),
        }
    }
}

/// The candidate most like `wanted`, if one is so like it that it may have been meant.
///
/// At most [`CANDIDATES`] are looked at, and names longer than [`LENGTH`] are passed over. Who looks for many names
/// bounds their number too.
pub(crate) fn near<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (mut best, mut least) = (None, usize::MAX);
    if wanted.len() > LENGTH {
        return None;
    }
    for candidate in candidates.take(CANDIDATES).filter(|candidate| candidate.len() <= LENGTH) {
        let bound = wanted.len().max(candidate.len()) / 3;
        let (short, long) = if wanted.len() < candidate.len() { (wanted, candidate) } else { (candidate, wanted) };
        let distance = if wanted.eq_ignore_ascii_case(candidate) {
            0
        } else if long.len() - short.len() <= bound {
            // One letter of two is another name; one of three a slip.
            Some(distance(wanted.as_bytes(), candidate.as_bytes())).filter(|&d| d <= bound).unwrap_or(usize::MAX)
        } else if short.len() >= 3 && long.starts_with(short) {
            long.len() - short.len()
        } else {
            usize::MAX
        };
        if distance < least {
            (best, least) = (Some(candidate), distance);
        }
    }
    best
}

/// The longest names that [`near`] compares, in bytes.
const LENGTH: usize = 64;
/// The most names that [`near`] looks at.
const CANDIDATES: usize = 4096;

/// How many bytes must be added, dropped, changed, or exchanged with their neighbour to make one name of the other.
fn distance(a: &[u8], b: &[u8]) -> usize {
    debug_assert!(a.len() <= LENGTH && b.len() <= LENGTH);
    // Rows of the usual table: `before` and `above` are the last two.
    let mut before = [0; LENGTH + 1];
    let mut above: [usize; LENGTH + 1] = core::array::from_fn(|j| j);
    for i in 1..=a.len() {
        let mut row = [i; LENGTH + 1];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        (before, above) = (above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let near = |wanted, candidates: &[&'static str]| near(wanted, candidates.iter().copied());
        assert_eq!(near("now", &["log", "now_ms", "x"]), Some("now_ms"));
        assert_eq!(near("fd_wirte", &["fd_read", "fd_write", "fd_pwrite"]), Some("fd_write"));
        assert_eq!(near("Log", &["lag", "log"]), Some("log"));
        assert_eq!(near("ab", &["xy", "b", "ac"]), None);
        assert_eq!(near("abc", &["abd"]), Some("abd"));
        assert_eq!(near("", &["", "a"]), Some(""));
        assert_eq!(near("memory", &[]), None);
        let long = "x".repeat(LENGTH + 1);
        assert_eq!(super::near(&long, [long.as_str()].into_iter()), None);
    }

    #[test]
    fn distances() {
        for (a, b, d) in [("", "", 0), ("", "abc", 3), ("abc", "acb", 1), ("kitten", "sitting", 3), ("ab", "ba", 1)] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), d, "{a} {b}");
            assert_eq!(distance(b.as_bytes(), a.as_bytes()), d, "{b} {a}");
        }
    }
}
