//! Paths: from a directory and a text to the place in the tree that the text means.
//!
//! Idea: the walk goes from node to node, one component at a time, over a stack of the directories it came through.
//! `..` leaves the top of the stack, whatever links were followed to get there, so where the walk *is* decides and no
//! text is ever joined or made shorter. A link's target is walked in its place; what was left of the path waits below.
//!
//! Invariant: the bottom of the stack is the directory that the walk began in, and nothing leaves it. Links and
//! components are counted for the whole walk, so it ends soon whatever links point to each other. Nothing is changed.

use std::sync::Arc;

use super::{Errno, Kind, Node, Result};

/// The longest path and the longest target of a link, in bytes.
pub(in crate::wasi) const MAX_PATH: usize = 4096;
/// The longest name, in bytes.
const MAX_NAME: usize = 255;
/// The most links that one walk follows.
const MAX_LINKS: u32 = 40;
/// The most components that one walk goes through, those of links included.
const MAX_STEPS: u32 = 8192;

/// Where a path leads.
#[derive(Debug)]
pub(in crate::wasi) struct Place {
    /// The directory that the last component is looked up in; without a name it is the place itself.
    pub(in crate::wasi) dir: Arc<dyn Node>,
    /// The last component; none if it is `.` or `..`.
    pub(in crate::wasi) name: Option<String>,
    /// What is there.
    pub(in crate::wasi) node: Option<Arc<dyn Node>>,
    /// Did a slash say that it has to be a directory?
    pub(in crate::wasi) slash: bool,
}

impl Place {
    /// What is there, if the path's end allows it: behind a slash only a directory.
    pub(in crate::wasi) fn existing(&self) -> Result<&Arc<dyn Node>> {
        let node = self.node.as_ref().ok_or(Errno::NoEnt)?;
        if self.slash && node.kind() != Kind::Dir { Err(Errno::NotDir) } else { Ok(node) }
    }
}

/// A guest's bytes as a path: not too long, no zero byte, and UTF-8.
pub(in crate::wasi) fn text(bytes: &[u8]) -> Result<&str> {
    if bytes.len() > MAX_PATH {
        return Err(Errno::NameTooLong);
    }
    let text = core::str::from_utf8(bytes).map_err(|_| Errno::IlSeq)?;
    if text.contains('\0') { Err(Errno::Inval) } else { Ok(text) }
}

/// A text that is walked, and how far the walk is in it.
struct Rest {
    text: String,
    at: usize,
}

impl Rest {
    /// The next component, whether it is the last, and whether slashes come after it. None if there are no more.
    fn next(&mut self) -> Option<(&str, bool, bool)> {
        let start = self.at + self.text[self.at..].find(|c| c != '/')?;
        let len = self.text[start..].find('/').unwrap_or(self.text.len() - start);
        self.at = start + len;
        let (name, behind) = self.text[start..].split_at(len);
        Some((name, behind.bytes().all(|byte| byte == b'/'), !behind.is_empty()))
    }
}

/// Finds the place of a path that begins in `base`. If the last component is a link `follow` decides whether the walk
/// goes on to where it points; a slash behind it does not.
///
/// [`Errno::NotCapable`] if the path leads out of `base`, or begins at a root. `steps` counts the components that the
/// walk goes through, whatever comes of it.
pub(in crate::wasi) fn resolve(base: &Arc<dyn Node>, path: &str, follow: bool, steps: &mut u32) -> Result<Place> {
    let mut dirs = vec![base.clone()];
    // The last is walked first. All but the first are targets of links within the path.
    let mut rests = vec![begin(path.to_owned())?];
    let (mut slash, mut links) = (false, 0);
    loop {
        let outer = rests.len() == 1;
        let Some(rest) = rests.last_mut() else { return Err(Errno::NoEnt) };
        let Some((name, ends, slashes)) = rest.next() else {
            // The outermost ends with its last component, not here.
            rests.pop();
            continue;
        };
        let last = outer && ends;
        *steps += 1;
        if *steps > MAX_STEPS {
            return Err(Errno::Loop);
        }
        slash |= last && slashes;
        let dir = dirs.last().unwrap_or(base);
        if name == "." || name == ".." {
            if name == ".." {
                if dirs.len() == 1 {
                    return Err(Errno::NotCapable);
                }
                dirs.pop();
            }
            if last {
                let dir = dirs.pop().unwrap_or_else(|| base.clone());
                return Ok(Place { node: Some(dir.clone()), dir, name: None, slash: true });
            }
            continue;
        }
        if name.len() > MAX_NAME {
            return Err(Errno::NameTooLong);
        }
        let node = match dir.lookup(name) {
            Err(Errno::NoEnt) if last => None,
            node => Some(node?),
        };
        let kind = node.as_ref().map(|node| node.kind());
        match (kind, node) {
            (Some(Kind::Link), Some(node)) if !last || follow => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::Loop);
                }
                let target = begin(node.read_link()?)?;
                if last {
                    rests.clear();
                }
                rests.push(target);
            }
            (_, node) if last => {
                let (name, dir) = (Some(name.to_owned()), dir.clone());
                return Ok(Place { dir, name, node, slash });
            }
            (Some(Kind::Dir), Some(node)) => dirs.push(node),
            _ => return Err(Errno::NotDir),
        }
    }
}

/// Begins a text: a path, or a link's target.
fn begin(text: String) -> Result<Rest> {
    match text.as_bytes() {
        [] => Err(Errno::NoEnt),
        [b'/', ..] => Err(Errno::NotCapable),
        bytes if bytes.len() > MAX_PATH => Err(Errno::NameTooLong),
        bytes if bytes.contains(&0) => Err(Errno::Inval),
        _ => Ok(Rest { text, at: 0 }),
    }
}
