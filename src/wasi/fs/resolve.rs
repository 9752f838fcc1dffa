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

#[cfg(test)]
mod tests {
    use core::ops::ControlFlow;
    use std::collections::HashMap;

    use super::*;
    use crate::wasi::fs::MemFs;

    /// `box` is where walks begin; `secret` lies beside it.
    fn files() -> MemFs {
        let fs = MemFs::new();
        for path in ["box/f", "box/d/g", "secret/key"] {
            fs.write(path, "").unwrap();
        }
        fs.create_dir_all("box/d/sub").unwrap();
        for (path, target) in [
            ("to-d", "d"),
            ("to-sub", "d/sub/"),
            ("to-f", "to-f2"),
            ("to-f2", "./d/../f"),
            ("here", "."),
            ("d/up", ".."),
            ("out", "../secret"),
            ("root", "/"),
            ("none", "nowhere"),
            ("none2", "d/nowhere"),
            ("me", "me"),
            ("p", "q"),
            ("q", "p"),
        ] {
            fs.symlink(target, &format!("box/{path}")).unwrap();
        }
        fs
    }

    /// What a path leads to from `box`: the directory, the name there, the kind of what is there, and a slash if there
    /// was one.
    fn lead(fs: &MemFs, path: &str, follow: bool) -> Result<String> {
        let mut paths = HashMap::new();
        fs.walk(|found| {
            paths.insert(found.stat.inode, found.path.to_owned());
            ControlFlow::Continue(())
        });
        let place = resolve(&fs.node("box").unwrap(), path, follow, &mut 0)?;
        let dir = &paths[&place.dir.stat().unwrap().inode];
        let kind = place.node.as_ref().map_or("nothing".into(), |node| format!("{:?}", node.kind()));
        Ok(format!("{dir} {} {kind}{}", place.name.as_deref().unwrap_or("-"), if place.slash { "/" } else { "" }))
    }

    /// Paths, and where they lead when a last link is followed and when it is not.
    #[test]
    fn places() {
        let fs = files();
        for (path, followed, not) in [
            ("f", "box f File", "box f File"),
            ("./d//g", "box/d g File", "box/d g File"),
            ("f/", "box f File/", "box f File/"),
            ("new", "box new nothing", "box new nothing"),
            ("d/new//", "box/d new nothing/", "box/d new nothing/"),
            (".", "box - Dir/", "box - Dir/"),
            ("d/.", "box/d - Dir/", "box/d - Dir/"),
            ("d/../d/sub/..", "box/d - Dir/", "box/d - Dir/"),
            ("to-d", "box d Dir", "box to-d Link"),
            ("to-d/", "box d Dir/", "box to-d Link/"),
            ("to-d/g", "box/d g File", "box/d g File"),
            ("to-d/../f", "box f File", "box f File"),
            ("to-sub", "box/d sub Dir/", "box to-sub Link"),
            ("to-sub/../g", "box/d g File", "box/d g File"),
            ("to-f", "box f File", "box to-f Link"),
            ("to-f/", "box f File/", "box to-f Link/"),
            ("here/here/here/f", "box f File", "box f File"),
            ("here", "box - Dir/", "box here Link"),
            ("d/up/d/up/f", "box f File", "box f File"),
            ("none", "box nowhere nothing", "box none Link"),
            ("none2", "box/d nowhere nothing", "box none2 Link"),
        ] {
            assert_eq!(lead(&fs, path, true).as_deref(), Ok(followed), "{path}");
            assert_eq!(lead(&fs, path, false).as_deref(), Ok(not), "{path}");
        }
    }

    #[test]
    fn no_places() {
        use Errno::*;
        let fs = files();
        for (path, errno) in [
            ("", NoEnt),
            ("/", NotCapable),
            ("/f", NotCapable),
            ("..", NotCapable),
            ("../box/f", NotCapable),
            ("d/../../box", NotCapable),
            ("here/../f", NotCapable),
            ("d/up/../secret/key", NotCapable),
            ("out/key", NotCapable),
            ("root/secret/key", NotCapable),
            ("f/.", NotDir),
            ("f/..", NotDir),
            ("f/x", NotDir),
            ("to-f/x", NotDir),
            ("new/x", NoEnt),
            ("none/x", NoEnt),
            ("me/x", Loop),
            ("p/x", Loop),
        ] {
            assert_eq!(lead(&fs, path, true), Err(errno), "{path}");
            assert_eq!(lead(&fs, path, false), Err(errno), "{path}");
        }
        for (path, errno) in
            [("out", NotCapable), ("root", NotCapable), ("me", Loop), ("p", Loop), ("out/", NotCapable)]
        {
            assert_eq!(lead(&fs, path, true), Err(errno), "{path}");
            assert!(lead(&fs, path, false).is_ok(), "{path}");
        }
    }

    #[test]
    fn bounds() {
        let fs = files();
        let base = fs.node("box").unwrap();
        let steps = |path: &str| {
            let mut steps = 0;
            let place = resolve(&base, path, true, &mut steps);
            place.map(|_| steps).map_err(|errno| (errno, steps))
        };
        assert_eq!(
            (steps("f"), steps("d/../f"), steps("to-f"), steps("x/f")),
            (Ok(1), Ok(3), Ok(6), Err((Errno::NoEnt, 1)))
        );
        assert_eq!(steps(&"./".repeat(MAX_STEPS as usize / 4)), Ok(MAX_STEPS / 4));
        // Of long links with many components, and of links that double.
        fs.symlink(&("./".repeat(2000) + "long"), "box/long").unwrap();
        assert_eq!(steps("long"), Err((Errno::Loop, MAX_STEPS + 1)));
        fs.symlink("d", "box/l0").unwrap();
        for level in 1..=30 {
            fs.symlink(&format!("l{0}/../l{0}", level - 1), &format!("box/l{level}")).unwrap();
        }
        let (errno, doubling) = steps("l30").unwrap_err();
        assert_eq!(errno, Errno::Loop);
        assert!(doubling < 4 * MAX_LINKS, "{doubling}");
    }

    #[test]
    fn texts() {
        assert_eq!((text(b"a/b"), text(&[b'x'; MAX_PATH]).map(str::len)), (Ok("a/b"), Ok(MAX_PATH)));
        for (bytes, errno) in [
            (&b"a\0"[..], Errno::Inval),
            (b"\xff", Errno::IlSeq),
            (b"\xc0\xaf", Errno::IlSeq),
            (b"\xed\xa0\x80", Errno::IlSeq),
            (&[0xff; MAX_PATH + 1], Errno::NameTooLong),
        ] {
            assert_eq!(text(bytes), Err(errno));
        }
    }
}
