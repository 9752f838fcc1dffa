//! Steps on a file system, written as text: what is done, and what comes of it. So one table serves all file systems.
//!
//! Idea: a path is looked up name by name, and no link is followed. A path that begins with `@x` begins at what
//! `hold x …` or `open x …` put aside. What a step comes to is text; an error is its name.

#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use jitless::wasi::fs::{Access, Entry, Errno, File, FileSystem, Kind, Node, Result, Stat, Times};

/// What has been put aside, and where paths begin.
pub(crate) struct Steps {
    root: Arc<dyn Node>,
    nodes: HashMap<String, Arc<dyn Node>>,
    files: HashMap<String, Arc<dyn File>>,
    now: u64,
}

/// All of a directory, in the order in which it is shown.
pub(crate) fn names(dir: &dyn Node) -> Result<Vec<String>> {
    let mut names = vec![];
    dir.read_dir(0, &mut |entry: Entry<'_>| {
        names.push(entry.name.to_owned());
        ControlFlow::Continue(())
    })?;
    Ok(names)
}

/// All of a file.
pub(crate) fn contents(file: &dyn File) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    let mut block = [0; 64 << 10];
    loop {
        match file.read_at(bytes.len() as u64, &mut block)? {
            0 => return Ok(bytes),
            done => bytes.extend_from_slice(&block[..done]),
        }
    }
}

const READ: Access = Access { read: true, write: false };
const WRITE: Access = Access { read: false, write: true };
const BOTH: Access = Access { read: true, write: true };

fn access(text: &str) -> Access {
    Access { read: text.contains('r'), write: text.contains('w') }
}

fn write(file: &dyn File, text: &str, now: u64) -> Result<usize> {
    file.write_at(0, text.as_bytes(), now)
}

fn time(text: &str) -> Option<u64> {
    (text != "-").then(|| text.parse().unwrap())
}

impl Steps {
    pub(crate) fn new(fs: &dyn FileSystem) -> Self {
        Self { root: fs.root().unwrap(), nodes: HashMap::new(), files: HashMap::new(), now: 1_000_000_000 }
    }

    pub(crate) fn node(&self, path: &str) -> Result<Arc<dyn Node>> {
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        let mut node = match parts.next_if(|part| part.starts_with('@')) {
            Some(held) => self.nodes[&held[1..]].clone(),
            None => self.root.clone(),
        };
        for part in parts {
            node = node.lookup(part)?;
        }
        Ok(node)
    }

    fn parent<'a>(&self, path: &'a str) -> Result<(Arc<dyn Node>, &'a str)> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.node(dir)?, name))
    }

    fn file(&self, path: &str, access: Access) -> Result<Arc<dyn File>> {
        match path.strip_prefix('@') {
            Some(held) if self.files.contains_key(held) => Ok(self.files[held].clone()),
            _ => self.node(path)?.open(access),
        }
    }

    fn done(result: Result) -> Result<String> {
        result.map(|()| "ok".to_owned())
    }

    /// Does one step.
    pub(crate) fn step(&mut self, step: &str) -> Result<String> {
        self.now += 1_000_000_000;
        let now = self.now;
        let mut words: Vec<&str> = step.split(' ').collect();
        words.resize(words.len().max(5), "");
        let [op, a, b, c, d] = words[..5] else { unreachable!() };
        match op {
            "make" => {
                let (dir, name) = self.parent(a)?;
                let file = dir.create(name, BOTH, now)?;
                Self::done(if b.is_empty() { Ok(()) } else { write(&*file, b, now).map(drop) })
            }
            "put" => {
                let file = self.file(a, WRITE)?;
                file.set_size(0, now)?;
                Self::done(write(&*file, b, now).map(drop))
            }
            "cat" => Ok(String::from_utf8_lossy(&contents(&*self.file(a, READ)?)?).replace('\0', ".")),
            "pread" => {
                let mut bytes = vec![b'#'; c.parse().unwrap()];
                let done = self.file(a, READ)?.read_at(b.parse().unwrap(), &mut bytes)?;
                Ok(String::from_utf8_lossy(&bytes[..done]).replace('\0', "."))
            }
            "pwrite" => Ok(self.file(a, WRITE)?.write_at(b.parse().unwrap(), c.as_bytes(), now)?.to_string()),
            "append" => {
                let (done, end) = self.file(a, WRITE)?.append(b.as_bytes(), now)?;
                Ok(format!("{done} {end}"))
            }
            "size" => Self::done(self.file(a, WRITE)?.set_size(b.parse().unwrap(), now)),
            "allocate" => Self::done(self.file(a, WRITE)?.allocate(b.parse().unwrap(), c.parse().unwrap(), now)),
            "sync" => Self::done(self.file(a, READ)?.sync(false).and_then(|()| self.file(a, READ)?.sync(true))),
            "syncdir" => Self::done(self.node(a)?.sync()),
            "hold" => {
                let node = self.node(b)?;
                self.nodes.insert(a.to_owned(), node);
                Ok("ok".to_owned())
            }
            "open" => {
                let file = self.node(b)?.open(access(c))?;
                self.files.insert(a.to_owned(), file);
                Ok("ok".to_owned())
            }
            "create" => {
                let (dir, name) = self.parent(b)?;
                let file = dir.create(name, access(c), now)?;
                self.files.insert(a.to_owned(), file);
                Ok("ok".to_owned())
            }
            "drop" => {
                self.nodes.remove(a);
                self.files.remove(a);
                Ok("ok".to_owned())
            }
            "mkdir" => self.parent(a).and_then(|(dir, name)| Self::done(dir.create_dir(name, now))),
            "symlink" => self.parent(b).and_then(|(dir, name)| Self::done(dir.symlink(name, a, now))),
            "link" => {
                let node = self.node(a)?;
                self.parent(b).and_then(|(dir, name)| Self::done(dir.link(name, &*node, now)))
            }
            "rm" => self.parent(a).and_then(|(dir, name)| Self::done(dir.unlink(name, now))),
            "rmdir" => self.parent(a).and_then(|(dir, name)| Self::done(dir.remove_dir(name, now))),
            "mv" => {
                let (dir, name) = self.parent(a)?;
                let (to, to_name) = self.parent(b)?;
                Self::done(dir.rename(name, &*to, to_name, now))
            }
            "ls" => {
                let mut names = names(&*self.node(a)?)?;
                names.sort();
                Ok(names.join(" "))
            }
            "readlink" => self.node(a)?.read_link(),
            "kind" => Ok(format!("{:?}", self.node(a)?.kind())),
            "stat" => {
                let stat = if self.files.contains_key(a.trim_start_matches('@')) {
                    self.file(a, READ)?.stat()?
                } else {
                    self.node(a)?.stat()?
                };
                Ok(match stat.kind {
                    Kind::Dir => "Dir".to_owned(),
                    kind => format!("{kind:?} {} {}", stat.links, stat.size),
                })
            }
            "links" => Ok(self.node(a)?.stat()?.links.to_string()),
            "settimes" => {
                let times = Times { accessed: time(b), modified: time(c) };
                if self.files.contains_key(a.trim_start_matches('@')) {
                    return Self::done(self.file(a, READ)?.set_times(times, now));
                }
                Self::done(self.node(a)?.set_times(times, now))
            }
            "times" => {
                let stat = self.node(a)?.stat()?;
                Ok(format!("{} {}", stat.accessed, stat.modified))
            }
            "same" => {
                let (a, b) = (self.node(a)?.stat()?, self.node(b)?.stat()?);
                assert_eq!(a.device, b.device);
                Ok((a.inode == b.inode).to_string())
            }
            "listed" => self.listed(a),
            other => panic!("no step `{other}` {d}"),
        }
    }

    /// Do entries say the same as their nodes?
    fn listed(&self, path: &str) -> Result<String> {
        let dir = self.node(path)?;
        let mut entries: Vec<(String, u64, Kind, u64)> = vec![];
        dir.read_dir(0, &mut |entry| {
            entries.push((entry.name.to_owned(), entry.inode, entry.kind, entry.next));
            ControlFlow::Continue(())
        })?;
        for (place, (name, inode, kind, next)) in entries.iter().enumerate() {
            let stat = dir.lookup(name)?.stat()?;
            assert_eq!((stat.inode, stat.kind), (*inode, *kind), "{name}");
            let mut following = None;
            dir.read_dir(*next, &mut |entry| {
                following = Some(entry.name.to_owned());
                ControlFlow::Break(())
            })?;
            assert_eq!(following.as_ref(), entries.get(place + 1).map(|entry| &entry.0), "after {name}");
        }
        Ok(entries.len().to_string())
    }

    /// Does all steps, and says which came to something else.
    pub(crate) fn run(&mut self, what: &str, steps: &[(&str, &str)]) {
        let mut faults = vec![];
        for (step, expected) in steps {
            let found = self.step(step).unwrap_or_else(|errno: Errno| format!("{errno:?}"));
            if found != *expected {
                faults.push(format!("{step}: {found}, not {expected}"));
            }
        }
        assert!(faults.is_empty(), "{what}:\n{}", faults.join("\n"));
    }
}

/// What all file systems do that can be changed. They are empty before.
pub(crate) const STEPS: &[(&str, &str)] = &[
    // Files.
    ("cat f", "NoEnt"),
    ("make f 0123456789", "ok"),
    ("make f x", "Exist"),
    ("cat f", "0123456789"),
    ("stat f", "File 1 10"),
    ("pread f 8 4", "89"),
    ("pread f 10 4", ""),
    ("pread f 9223372036854775807 4", ""),
    ("pread f 18446744073709551615 4", ""),
    ("pwrite f 12 x", "1"),
    ("cat f", "0123456789..x"),
    ("pwrite f 9223372036854775807 x", "FBig"),
    ("pwrite f 18446744073709551615 x", "FBig"),
    ("size f 9223372036854775808", "FBig"),
    ("append f yz", "2 15"),
    ("size f 5", "ok"),
    ("size f 8", "ok"),
    ("cat f", "01234..."),
    ("allocate f 0 4", "ok"),
    ("stat f", "File 1 8"),
    ("allocate f 4 6", "ok"),
    ("cat f", "01234....."),
    ("allocate f 1 18446744073709551615", "FBig"),
    ("put f 0123456789", "ok"),
    ("sync f", "ok"),
    ("make f/x y", "NotDir"),
    ("cat f/x", "NotDir"),
    ("ls f", "NotDir"),
    ("readlink f", "Inval"),
    // What a file was opened for.
    ("open r f r", "ok"),
    ("pwrite @r 0 x", "BadF"),
    ("append @r x", "BadF"),
    ("size @r 1", "BadF"),
    ("allocate @r 0 100", "BadF"),
    ("open w f w", "ok"),
    ("pread @w 0 1", "BadF"),
    ("open n f -", "ok"),
    ("pread @n 0 1", "BadF"),
    ("pwrite @n 0 x", "BadF"),
    ("stat @n", "File 1 10"),
    ("create c c r", "ok"),
    ("pwrite @c 0 x", "BadF"),
    ("pread @c 0 1", ""),
    ("rm c", "ok"),
    // Directories.
    ("mkdir d", "ok"),
    ("mkdir d", "Exist"),
    ("mkdir f", "Exist"),
    ("make d x", "Exist"),
    ("mkdir e", "ok"),
    ("make d/g g", "ok"),
    ("ls ", "d e f"),
    ("listed ", "3"),
    ("ls d", "g"),
    ("ls e", ""),
    ("kind d", "Dir"),
    ("open x d r", "IsDir"),
    ("rm d", "IsDir"),
    ("rmdir d", "NotEmpty"),
    ("rmdir f", "NotDir"),
    ("rmdir nix", "NoEnt"),
    ("rm nix", "NoEnt"),
    ("mkdir nix/d", "NoEnt"),
    ("syncdir d", "ok"),
    // Links.
    ("symlink d/g s", "ok"),
    ("symlink d/g s", "Exist"),
    ("stat s", "Link 1 3"),
    ("readlink s", "d/g"),
    ("open x s r", "Loop"),
    ("cat s", "Loop"),
    ("cat s/x", "NotDir"),
    ("symlink nowhere/at/all t", "ok"),
    ("make t x", "Exist"),
    ("symlink d l", "ok"),
    ("rmdir l", "NotDir"),
    ("rm l", "ok"),
    ("link f h", "ok"),
    ("same f h", "true"),
    ("same f d/g", "false"),
    ("stat h", "File 2 10"),
    ("pwrite h 0 abc", "3"),
    ("cat f", "abc3456789"),
    ("link f h", "Exist"),
    ("link f d", "Exist"),
    ("link d x", "Perm"),
    ("link s s2", "ok"),
    ("stat s2", "Link 2 3"),
    ("same s s2", "true"),
    ("rm s2", "ok"),
    ("mv f h", "ok"),
    ("ls ", "d e f h s t"),
    ("rm f", "ok"),
    ("stat h", "File 1 10"),
    ("mv h f", "ok"),
    // Renaming.
    ("mv nix x", "NoEnt"),
    ("mv f nix/x", "NoEnt"),
    ("mv f d", "IsDir"),
    ("mv d f", "NotDir"),
    ("mv e d", "NotEmpty"),
    ("mv d e", "ok"),
    ("ls e", "g"),
    ("mv e d", "ok"),
    ("mv d d/x", "Inval"),
    ("mkdir d/i", "ok"),
    ("mv d d/i/x", "Inval"),
    ("mv d/i d", "NotEmpty"),
    ("mv d d", "ok"),
    ("mv f f", "ok"),
    ("mv f d/i/f", "ok"),
    ("cat d/i/f", "abc3456789"),
    ("mv d/i/f f", "ok"),
    ("make k k", "ok"),
    ("mv f k", "ok"),
    ("cat k", "abc3456789"),
    ("mv k f", "ok"),
    ("mv s d/s", "ok"),
    ("readlink d/s", "d/g"),
    ("mv d/s f", "ok"),
    ("readlink f", "d/g"),
    ("rm f", "ok"),
    ("ls ", "d t"),
    // Times.
    ("make f x", "ok"),
    ("settimes f 1234567890123456789 987654321", "ok"),
    ("times f", "1234567890123456789 987654321"),
    ("settimes f - 1", "ok"),
    ("times f", "1234567890123456789 1"),
    ("settimes t 5 6", "ok"),
    ("times t", "5 6"),
    ("settimes d 7 8", "ok"),
    ("times d", "7 8"),
    ("open x f r", "ok"),
    ("settimes @x 9 -", "ok"),
    ("times f", "9 1"),
    // Held while the last name goes.
    ("put f 0123456789", "ok"),
    ("open x f rw", "ok"),
    ("rm f", "ok"),
    ("cat @x", "0123456789"),
    ("pwrite @x 0 abc", "3"),
    ("stat @x", "File 0 10"),
    ("make f new", "ok"),
    ("cat @x", "abc3456789"),
    ("cat f", "new"),
    ("mkdir gone", "ok"),
    ("hold g gone", "ok"),
    ("rmdir gone", "ok"),
    ("make @g/x y", "NoEnt"),
    ("mkdir @g/x", "NoEnt"),
    ("symlink x @g/x", "NoEnt"),
    ("link f @g/x", "NoEnt"),
    ("mv f @g/x", "NoEnt"),
    ("cat @g/x", "NoEnt"),
    ("links @g", "0"),
    ("make k k", "ok"),
    ("open x k r", "ok"),
    ("mv f k", "ok"),
    ("cat @x", "k"),
    ("cat k", "new"),
    // Names that mean something to some hosts.
    ("make CON x", "ok"),
    ("make ..\\x x", "ok"),
    ("make C:\\x x", "ok"),
    ("make file::$DATA x", "ok"),
    ("make ~ x", "ok"),
    ("make ä x", "ok"),
    ("make ... x", "ok"),
    ("ls ", "... ..\\x C:\\x CON d file::$DATA k t ~ ä"),
];

/// The steps from here on, if none of them uses what was put aside before.
pub(crate) fn tail(start: usize) -> Option<&'static [(&'static str, &'static str)]> {
    let steps = &STEPS[start..];
    let mut known = vec![];
    for (step, _) in steps {
        let words: Vec<_> = step.split(' ').collect();
        if ["hold", "open", "create"].contains(&words[0]) {
            known.push(words[1]);
        }
        let used = words.iter().filter_map(|word| word.strip_prefix('@')?.split('/').next());
        if used.into_iter().any(|used| !known.contains(&used)) {
            return None;
        }
    }
    Some(steps)
}

/// Everything of a tree: paths in order, what is there, and times.
pub(crate) fn snapshot(fs: &dyn FileSystem) -> Vec<String> {
    list(fs, |stat| format!("{} {}", stat.accessed, stat.modified))
}

/// As [`snapshot`], without the times of reading, of which a host keeps account.
pub(crate) fn written(fs: &dyn FileSystem) -> Vec<String> {
    list(fs, |stat| stat.modified.to_string())
}

/// As [`snapshot`], without times.
pub(crate) fn tree(fs: &dyn FileSystem) -> Vec<String> {
    list(fs, |_| String::new())
}

fn list(fs: &dyn FileSystem, times: fn(&Stat) -> String) -> Vec<String> {
    let mut all = vec![];
    let mut dirs = vec![(String::new(), fs.root().unwrap())];
    while let Some((path, dir)) = dirs.pop() {
        for name in names(&*dir).unwrap() {
            let node = dir.lookup(&name).unwrap();
            let (stat, path) = (node.stat().unwrap(), format!("{path}/{name}"));
            let what = match stat.kind {
                Kind::File => format!("{} {:?}", stat.links, contents(&*node.open(READ).unwrap()).unwrap()),
                Kind::Link => node.read_link().unwrap(),
                _ => String::new(),
            };
            all.push(format!("{path} {:?} {} {what}", stat.kind, times(&stat)));
            if stat.kind == Kind::Dir {
                dirs.push((path, node));
            }
        }
    }
    all.sort();
    all
}

/// Random steps on few names, so that they meet.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end.max(1)
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    fn path(&mut self) -> String {
        let depth = 1 + self.below(3);
        (0..depth).map(|_| self.one(&["a", "b", "c", "d"])).collect::<Vec<_>>().join("/")
    }

    pub(crate) fn step(&mut self) -> String {
        let (a, b) = (self.path(), self.path());
        let (number, text) = (self.below(2000), self.one(&["x", "yy", "zzz"]).repeat(1 + self.below(50) as usize));
        match self.below(24) {
            0..3 => format!("make {a} {text}"),
            3..6 => format!("mkdir {a}"),
            6 => format!("put {a} {text}"),
            7 => format!("pwrite {a} {number} {text}"),
            8 => format!("append {a} {text}"),
            9 => format!("size {a} {number}"),
            10 => format!("symlink {b} {a}"),
            11..13 => format!("link {a} {b}"),
            13..15 => format!("rm {a}"),
            15 => format!("rmdir {a}"),
            16..20 => format!("mv {a} {b}"),
            20 => format!("cat {a}"),
            21 => format!("stat {a}"),
            22 => format!("settimes {a} {number} {}", number / 2),
            _ => format!("ls {a}"),
        }
    }
}

/// Does a step, and says what comes of it, errors too.
pub(crate) fn told(steps: &mut Steps, step: &str) -> String {
    steps.step(step).unwrap_or_else(|errno| format!("{errno:?}"))
}
