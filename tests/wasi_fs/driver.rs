//! Does to a file system and to the model what a tape of random numbers says, and compares all answers.
//!
//! What is done follows from the tape and the model, so every file system that agrees with the model gets the same
//! sequence.

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::Arc;

use jitless::wasi::fs::{Access, File, FileSystem, Kind, MAX_SIZE, MemFs, Node, Result, Stat, Times};

use crate::model::{Body, Id, Model};

const NAMES: &[&str] = &["a", "b", "c", "d", "a name that is longer than others", "é"];
const TARGETS: &[&str] = &["a", "b/c", "../a", "nowhere"];
const NODES: usize = 6;
const FILES: usize = 4;

/// What a file system is like besides.
#[derive(Clone, Copy)]
pub(crate) struct Traits {
    /// It takes the times that it is told.
    pub(crate) told_times: bool,
    /// A node that is no directory goes with the name that it was found by.
    pub(crate) names_only: bool,
    /// What it may hold: bytes and files, as `MemFs` counts them. Without it files stay short.
    pub(crate) quota: Option<(u64, u64)>,
}

/// Numbers that decide what is done; zeros at the end.
pub(crate) struct Tape<'a>(std::slice::Iter<'a, u32>);

impl<'a> Tape<'a> {
    pub(crate) fn new(numbers: &'a [u32]) -> Self {
        Self(numbers.iter())
    }

    fn below(&mut self, n: usize) -> usize {
        self.0.next().map_or(0, |&number| number as usize % n)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn is_empty(&self) -> bool {
        self.0.len() == 0
    }
}

/// A file that is open, and for what.
type Opened = (Arc<dyn File>, Id, Access);

/// A directory that is read bit by bit.
struct Scan {
    node: Arc<dyn Node>,
    id: Id,
    from: u64,
    /// The names that were there all the time.
    lasting: BTreeSet<String>,
    seen: Vec<String>,
}

/// A file system beside its model.
pub(crate) struct Driver<'a> {
    fs: &'a dyn FileSystem,
    pub(crate) model: Model,
    traits: Traits,
    nodes: [Option<(Arc<dyn Node>, Id)>; NODES],
    /// The directory and the name that nodes were found by.
    found: [Option<(Id, &'static str)>; NODES],
    files: [Option<Opened>; FILES],
    scan: Option<Scan>,
    inodes: HashMap<Id, u64>,
    now: u64,
    log: Vec<String>,
}

/// Does all that the tape says, and compares everything at the end.
pub(crate) fn agree(fs: &dyn FileSystem, tape: &[u32], traits: Traits) {
    let (max_bytes, max_files) = traits.quota.unwrap_or((u64::MAX / 2, u64::MAX));
    let mut driver = Driver::new(fs, Model::new(max_bytes, max_files), traits);
    driver.run(&mut Tape::new(tape));
    driver.check_all();
}

impl<'a> Driver<'a> {
    pub(crate) fn new(fs: &'a dyn FileSystem, model: Model, traits: Traits) -> Self {
        let mut driver = Self {
            fs,
            model,
            traits,
            nodes: [const { None }; NODES],
            found: [None; NODES],
            files: [const { None }; FILES],
            scan: None,
            inodes: HashMap::new(),
            now: 1,
            log: vec![],
        };
        driver.put_node(0, fs.root().expect("a root"), 0);
        driver
    }

    pub(crate) fn run(&mut self, tape: &mut Tape<'_>) {
        while !tape.is_empty() {
            self.step(tape);
        }
    }

    #[track_caller]
    fn same<T: PartialEq + Debug>(&self, got: T, want: T) {
        assert!(got == want, "got {got:?}, want {want:?} after\n{}", self.log.join("\n"));
    }

    fn put_node(&mut self, slot: usize, node: Arc<dyn Node>, id: Id) {
        self.same(node.kind(), self.model.kind(id));
        self.drop_node(slot);
        self.model.held.push(id);
        self.nodes[slot] = Some((node, id));
    }

    fn drop_node(&mut self, slot: usize) {
        if let Some((_, id)) = self.nodes[slot].take() {
            self.release(id);
        }
    }

    /// Drops nodes that went with their names.
    fn drop_nameless(&mut self) {
        for slot in 0..NODES {
            if let (Some((node, id)), Some((dir, name))) = (&self.nodes[slot], self.found[slot])
                && node.kind() != Kind::Dir
                && self.model.lookup(dir, name) != Ok(*id)
            {
                self.drop_node(slot);
            }
        }
    }

    fn put_file(&mut self, slot: usize, file: Arc<dyn File>, id: Id, access: Access) {
        self.close(slot);
        self.model.held.push(id);
        self.files[slot] = Some((file, id, access));
    }

    fn close(&mut self, slot: usize) {
        if let Some((_, id, _)) = self.files[slot].take() {
            self.release(id);
        }
    }

    fn release(&mut self, id: Id) {
        let place = self.model.held.iter().position(|&held| held == id).expect("held");
        self.model.held.swap_remove(place);
    }

    /// A node that is held; the root if the slot is empty.
    fn node(&self, tape: &mut Tape<'_>) -> (Arc<dyn Node>, Id) {
        let (node, id) = self.nodes[tape.below(NODES)].as_ref().or(self.nodes[0].as_ref()).expect("the root");
        (node.clone(), *id)
    }

    fn file(&self, tape: &mut Tape<'_>) -> Option<Opened> {
        self.files[tape.below(FILES)].clone()
    }

    fn access(tape: &mut Tape<'_>) -> Access {
        let [read, write] = tape.pick(&[[true, true], [true, true], [true, false], [false, true], [false, false]]);
        Access { read, write }
    }

    /// An offset: near the start, near the border of a chunk, or absurd.
    fn offset(&self, tape: &mut Tape<'_>) -> u64 {
        let near = tape.below(40) as u64;
        match tape.below(12) {
            0..6 => near,
            6..9 => 65536 - 20 + near,
            9 => 3 * 65536 + near,
            10 if self.traits.quota.is_some() => tape.pick(&[1 << 40, MAX_SIZE - 1]),
            _ => tape.pick(&[MAX_SIZE, MAX_SIZE + 1, u64::MAX]),
        }
    }

    fn bytes(&self, tape: &mut Tape<'_>) -> Vec<u8> {
        let len = tape.pick(&[0, 1, 5, 20, 300, 65535, 65536, 140_000]);
        let first = tape.below(255);
        (0..len).map(|at| (first + at % 251) as u8).collect()
    }

    /// One operation.
    fn step(&mut self, tape: &mut Tape<'_>) {
        self.now += 1;
        let now = self.now;
        let what = tape.below(24);
        self.log.push(format!("op {what}"));
        match what {
            0..3 => self.lookup(tape),
            3..5 => self.create(tape, now),
            5..13 => self.change_tree(what, tape, now),
            13 => self.open(tape),
            14 => match tape.below(NODES + FILES) {
                slot @ 0..NODES => {
                    // The root's slot is never empty.
                    if slot > 0 {
                        self.drop_node(slot);
                    }
                }
                slot => self.close(slot - NODES),
            },
            15..21 => self.use_file(what, tape, now),
            21 => self.use_node(tape, now),
            22 => self.list(tape),
            _ => self.scan(tape),
        }
        self.check_used();
    }

    fn note(&mut self, what: impl Debug) {
        self.log.push(format!("   {what:?}"));
    }

    fn lookup(&mut self, tape: &mut Tape<'_>) {
        let ((dir, id), name, slot) = (self.node(tape), tape.pick(NAMES), 1 + tape.below(NODES - 1));
        self.note(("lookup", id, name));
        let (got, want) = (dir.lookup(name), self.model.lookup(id, name));
        self.same(got.as_ref().err(), want.as_ref().err());
        if let (Ok(node), Ok(found)) = (got, want) {
            self.put_node(slot, node, found);
            self.found[slot] = Some((id, name));
        }
    }

    fn create(&mut self, tape: &mut Tape<'_>, now: u64) {
        let ((dir, id), name, slot, access) =
            (self.node(tape), tape.pick(NAMES), tape.below(FILES), Self::access(tape));
        self.note(("create", id, name));
        let got = dir.create(name, access, now);
        let want = self.model.make(id, name, Body::File(vec![]), now);
        self.same(got.as_ref().err(), want.as_ref().err());
        if let (Ok(file), Ok(id)) = (got, want) {
            self.put_file(slot, file, id, access);
        }
    }

    fn open(&mut self, tape: &mut Tape<'_>) {
        let ((node, id), slot, access) = (self.node(tape), tape.below(FILES), Self::access(tape));
        self.note(("open", id, access));
        let got = node.open(access);
        let want = match self.model.kind(id) {
            Kind::Dir => Err(jitless::wasi::Errno::IsDir),
            Kind::Link => Err(jitless::wasi::Errno::Loop),
            _ => Ok(()),
        };
        self.same(got.as_ref().err(), want.as_ref().err());
        if let Ok(file) = got {
            self.put_file(slot, file, id, access);
        }
    }

    fn change_tree(&mut self, what: usize, tape: &mut Tape<'_>, now: u64) {
        let ((dir, id), name) = (self.node(tape), tape.pick(NAMES));
        let before = self.scanned_names();
        let (got, want) = match what {
            5 | 6 => {
                self.note(("create_dir", id, name));
                let made = self.model.make(id, name, Body::Dir(Default::default()), now);
                (dir.create_dir(name, now), made.map(drop))
            }
            7 => {
                let target = tape.pick(TARGETS);
                self.note(("symlink", id, name, target));
                let made = self.model.make(id, name, Body::Link(target.into()), now);
                (dir.symlink(name, target, now), made.map(drop))
            }
            8 => {
                let (node, other) = self.node(tape);
                self.note(("link", id, name, other));
                (dir.link(name, &*node, now), self.model.link(id, name, other, now))
            }
            9 => {
                self.note(("unlink", id, name));
                (dir.unlink(name, now), self.model.unlink(id, name, now))
            }
            10 => {
                self.note(("remove_dir", id, name));
                (dir.remove_dir(name, now), self.model.remove_dir(id, name, now))
            }
            _ => {
                let ((to, to_id), to_name) = (self.node(tape), tape.pick(NAMES));
                self.note(("rename", id, name, to_id, to_name));
                (dir.rename(name, &*to, to_name, now), self.model.rename(id, name, to_id, to_name, now))
            }
        };
        self.same(got, want);
        if self.traits.names_only {
            self.drop_nameless();
        }
        let after = self.scanned_names();
        if let Some(scan) = &mut self.scan {
            scan.lasting.retain(|name| !before.contains(name) || after.contains(name));
        }
    }

    fn scanned_names(&self) -> BTreeSet<String> {
        let dir = self.scan.as_ref().map(|scan| self.model.dir(scan.id).expect("a directory"));
        dir.into_iter().flat_map(|names| names.keys().cloned()).collect()
    }

    fn use_file(&mut self, what: usize, tape: &mut Tape<'_>, now: u64) {
        let Some((file, id, access)) = self.file(tape) else { return };
        let offset = self.offset(tape);
        let may = |allowed: bool| if allowed { Ok(()) } else { Err(jitless::wasi::Errno::BadF) };
        self.note((id, offset));
        match what {
            15 | 16 => {
                let mut bytes = vec![0xaa; tape.pick(&[0, 1, 30, 70_000, 200_000])];
                let got = file.read_at(offset, &mut bytes);
                let want = may(access.read).map(|()| self.model.read(id, offset, bytes.len()));
                self.note(("read", bytes.len()));
                self.same(got.map(|len| bytes[..len].to_vec()), want);
            }
            17 => {
                let bytes = self.bytes(tape);
                self.note(("write", bytes.len()));
                let want = may(access.write).and_then(|()| self.model.write(id, offset, &bytes, now));
                self.same(file.write_at(offset, &bytes, now), want);
            }
            18 => {
                let bytes = self.bytes(tape);
                self.note(("append", bytes.len()));
                let end = self.model.size(id);
                let want = may(access.write).and_then(|()| self.model.write(id, end, &bytes, now));
                self.same(file.append(&bytes, now), want.map(|len| (len, end + len as u64)));
            }
            19 => {
                self.note("set_size");
                // The greatest size is no error, but more than the model or a disk can hold.
                let size = if offset == MAX_SIZE && self.traits.quota.is_none() { u64::MAX } else { offset };
                let want = may(access.write).and_then(|()| self.model.set_size(id, size, now));
                self.same(file.set_size(size, now), want);
            }
            _ => {
                let len = tape.pick(&[0, 1, 1000, 70_000, u64::MAX]);
                let offset = if offset < 1 << 20 { offset } else { MAX_SIZE + 1 };
                self.note(("allocate", offset, len));
                let want = may(access.write).and_then(|()| self.model.allocate(id, offset, len, now));
                self.same(file.allocate(offset, len, now), want);
            }
        }
        self.check_stat(file.stat(), id);
    }

    fn use_node(&mut self, tape: &mut Tape<'_>, now: u64) {
        let (node, id) = self.node(tape);
        match tape.below(3) {
            0 => {
                self.note(("read_link", id));
                let want = match &self.model.nodes[id].body {
                    Body::Link(target) => Ok(target.clone()),
                    _ => Err(jitless::wasi::Errno::Inval),
                };
                self.same(node.read_link(), want);
            }
            1 => {
                let mut time = || tape.pick(&[None, Some(5), Some(1_700_000_000_123_456_789)]);
                let times = Times { accessed: time(), modified: time() };
                self.note(("set_times", id, times));
                self.same(node.set_times(times, now), Ok(()));
                self.model.set_times(id, times, now);
                let stat = node.stat().expect("a node that is held");
                self.same(times.modified.unwrap_or(stat.modified), stat.modified);
                self.same(times.accessed.unwrap_or(stat.accessed), stat.accessed);
            }
            _ => {}
        }
        self.check_stat(node.stat(), id);
    }

    /// Links and size of a directory are the file system's own affair.
    fn check_stat(&mut self, stat: Result<Stat>, id: Id) {
        let stat = stat.expect("what is held has a stat");
        self.same(stat.kind, self.model.kind(id));
        if stat.kind != Kind::Dir {
            self.same((stat.links, stat.size), (self.model.links(id), self.model.size(id)));
        }
        if self.traits.told_times {
            self.same([stat.accessed, stat.modified, stat.changed], self.model.nodes[id].times);
        }
        self.check_inode(stat.inode, id);
    }

    /// A node keeps its number, and no other has it.
    fn check_inode(&mut self, inode: u64, id: Id) {
        self.inodes.retain(|&id, _| self.model.exists(id));
        let known = *self.inodes.entry(id).or_insert(inode);
        self.same(inode, known);
        self.same(self.inodes.values().filter(|&&other| other == inode).count(), 1);
    }

    fn list(&mut self, tape: &mut Tape<'_>) {
        let (node, id) = self.node(tape);
        self.note(("list", id));
        // Who takes a listing when it begins has one for each node, and this would begin anew.
        if !self.traits.names_only || self.scan.as_ref().is_none_or(|scan| scan.id != id) {
            self.check_list(&*node, id);
        }
    }

    fn check_list(&mut self, node: &dyn Node, id: Id) {
        let mut got = vec![];
        let result = node.read_dir(0, &mut |entry| {
            got.push((entry.name.to_owned(), entry.kind, entry.inode, entry.next));
            ControlFlow::Continue(())
        });
        let want: Result<Vec<_>> =
            self.model.dir(id).map(|names| names.iter().map(|(name, &id)| (name.clone(), id)).collect());
        self.same(result.err(), want.as_ref().err().copied());
        got.sort_by(|a, b| a.0.cmp(&b.0));
        let want = want.unwrap_or_default();
        self.same(got.len(), want.len());
        for ((name, kind, inode, next), (want, id)) in got.into_iter().zip(want) {
            self.same((name, kind), (want, self.model.kind(id)));
            self.check_inode(inode, id);
            assert_ne!(next, 0);
        }
    }

    /// Begins to read a directory, or goes on with the one that is being read.
    fn scan(&mut self, tape: &mut Tape<'_>) {
        let Some(mut scan) = self.scan.take() else {
            let (node, id) = self.node(tape);
            if let Ok(names) = self.model.dir(id) {
                let lasting = names.keys().cloned().collect();
                self.model.held.push(id);
                self.scan = Some(Scan { node, id, from: 0, lasting, seen: vec![] });
            }
            return;
        };
        let mut left = 1 + tape.below(3);
        self.note(("scan", scan.id, left));
        let mut done = true;
        let (seen, from) = (&mut scan.seen, scan.from);
        let result = scan.node.read_dir(from, &mut |entry| {
            seen.push(entry.name.to_owned());
            scan.from = entry.next;
            left -= 1;
            done = left > 0;
            if done { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        self.same(result, Ok(()));
        if done {
            for name in &scan.lasting {
                self.same((name, scan.seen.iter().filter(|seen| *seen == name).count()), (name, 1));
            }
            self.release(scan.id);
        } else {
            self.scan = Some(scan);
        }
    }

    fn check_used(&self) {
        if let Some(fs) = (self.fs as &dyn Any).downcast_ref::<MemFs>() {
            let used = fs.used();
            self.same((used.bytes, used.files), self.model.used());
        }
    }

    /// Compares the whole tree.
    pub(crate) fn check_all(&mut self) {
        self.log.push("at the end".into());
        self.check_used();
        let mut nodes = vec![(self.fs.root().expect("a root"), 0)];
        while let Some((node, id)) = nodes.pop() {
            self.check_stat(node.stat(), id);
            match self.model.nodes[id].body.clone() {
                Body::Link(target) => self.same(node.read_link(), Ok(target)),
                Body::Dir(names) => {
                    self.check_list(&*node, id);
                    nodes.extend(names.iter().map(|(name, &id)| (node.lookup(name).expect("a name"), id)));
                }
                Body::File(want) => {
                    let mut got = vec![0; want.len() + 1];
                    let file = node.open(Access { read: true, write: false }).expect("a file");
                    self.same(file.read_at(0, &mut got), Ok(want.len()));
                    assert!(got[..want.len()] == want, "contents after\n{}", self.log.join("\n"));
                }
            }
        }
    }
}
