//! What a file system has to do, as naively as can be: everything that can be counted is counted anew each time.

use std::collections::BTreeMap;

use jitless::wasi::fs::{Errno, Kind, MAX_SIZE, Result, Times};

/// What a node and a name cost, as the documentation of `MemFs` says.
const NODE: u64 = 384;
const NAME: u64 = 192;

/// The number of a node, which is never used again. The root is 0.
pub(crate) type Id = usize;

#[derive(Clone)]
pub(crate) enum Body {
    File(Vec<u8>),
    Dir(BTreeMap<String, Id>),
    Link(String),
}

#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) body: Body,
    pub(crate) times: [u64; 3],
}

#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) nodes: Vec<Node>,
    /// Who is held, once for each time.
    pub(crate) held: Vec<Id>,
    pub(crate) max_bytes: u64,
    pub(crate) max_files: u64,
}

impl Model {
    pub(crate) fn new(max_bytes: u64, max_files: u64) -> Self {
        let root = Node { body: Body::Dir(BTreeMap::new()), times: [0; 3] };
        Self { nodes: vec![root], held: vec![], max_bytes, max_files }
    }

    pub(crate) fn kind(&self, id: Id) -> Kind {
        match self.nodes[id].body {
            Body::File(_) => Kind::File,
            Body::Dir(_) => Kind::Dir,
            Body::Link(_) => Kind::Link,
        }
    }

    pub(crate) fn size(&self, id: Id) -> u64 {
        match &self.nodes[id].body {
            Body::File(bytes) => bytes.len() as u64,
            Body::Dir(names) => names.len() as u64,
            Body::Link(target) => target.len() as u64,
        }
    }

    fn names(&self) -> impl Iterator<Item = (&String, Id)> {
        let dirs = self.nodes.iter().filter_map(|node| match &node.body {
            Body::Dir(names) => Some(names),
            _ => None,
        });
        dirs.flatten().map(|(name, &id)| (name, id))
    }

    pub(crate) fn links(&self, id: Id) -> u64 {
        self.names().filter(|&(_, other)| other == id).count() as u64 + u64::from(id == 0)
    }

    pub(crate) fn exists(&self, id: Id) -> bool {
        self.links(id) > 0 || self.held.contains(&id)
    }

    /// Bytes and files.
    pub(crate) fn used(&self) -> (u64, u64) {
        let nodes: Vec<Id> = (1..self.nodes.len()).filter(|&id| self.exists(id)).collect();
        let size = |&id: &Id| NODE + if self.kind(id) == Kind::Dir { 0 } else { self.size(id) };
        let names: u64 = self.names().map(|(name, _)| NAME + name.len() as u64).sum();
        (nodes.iter().map(size).sum::<u64>() + names, nodes.len() as u64)
    }

    fn room(&self) -> u64 {
        self.max_bytes - self.used().0
    }

    pub(crate) fn dir(&self, id: Id) -> Result<&BTreeMap<String, Id>> {
        if let Body::Dir(names) = &self.nodes[id].body { Ok(names) } else { Err(Errno::NotDir) }
    }

    fn dir_mut(&mut self, id: Id, now: u64) -> &mut BTreeMap<String, Id> {
        let node = &mut self.nodes[id];
        node.times[1..].fill(now);
        if let Body::Dir(names) = &mut node.body { names } else { panic!("no directory") }
    }

    pub(crate) fn file(&self, id: Id) -> &Vec<u8> {
        if let Body::File(bytes) = &self.nodes[id].body { bytes } else { panic!("no file") }
    }

    fn file_mut(&mut self, id: Id, now: u64) -> &mut Vec<u8> {
        let node = &mut self.nodes[id];
        node.times[1..].fill(now);
        if let Body::File(bytes) = &mut node.body { bytes } else { panic!("no file") }
    }

    pub(crate) fn lookup(&self, dir: Id, name: &str) -> Result<Id> {
        self.dir(dir)?.get(name).copied().ok_or(Errno::NoEnt)
    }

    /// Can the name be given?
    fn vacant(&self, dir: Id, name: &str) -> Result {
        match self.dir(dir)?.get(name) {
            Some(_) => Err(Errno::Exist),
            None if self.links(dir) == 0 => Err(Errno::NoEnt),
            None => Ok(()),
        }
    }

    pub(crate) fn make(&mut self, dir: Id, name: &str, body: Body, now: u64) -> Result<Id> {
        self.vacant(dir, name)?;
        let held = if let Body::Link(target) = &body { target.len() as u64 } else { 0 };
        if self.used().1 >= self.max_files || NODE + NAME + name.len() as u64 + held > self.room() {
            return Err(Errno::NoSpc);
        }
        let id = self.nodes.len();
        self.nodes.push(Node { body, times: [now; 3] });
        self.dir_mut(dir, now).insert(name.into(), id);
        Ok(id)
    }

    pub(crate) fn link(&mut self, dir: Id, name: &str, id: Id, now: u64) -> Result {
        if self.kind(id) == Kind::Dir && !self.dir(dir)?.contains_key(name) {
            return Err(Errno::Perm);
        }
        self.vacant(dir, name)?;
        if self.links(id) == 0 {
            return Err(Errno::NoEnt);
        }
        if NAME + name.len() as u64 > self.room() {
            return Err(Errno::NoSpc);
        }
        self.dir_mut(dir, now).insert(name.into(), id);
        self.nodes[id].times[2] = now;
        Ok(())
    }

    pub(crate) fn unlink(&mut self, dir: Id, name: &str, now: u64) -> Result {
        let id = self.lookup(dir, name)?;
        if self.kind(id) == Kind::Dir {
            return Err(Errno::IsDir);
        }
        self.dir_mut(dir, now).remove(name);
        self.nodes[id].times[2] = now;
        Ok(())
    }

    pub(crate) fn remove_dir(&mut self, dir: Id, name: &str, now: u64) -> Result {
        let id = self.lookup(dir, name)?;
        if !self.dir(id)?.is_empty() {
            return Err(Errno::NotEmpty);
        }
        self.dir_mut(dir, now).remove(name);
        self.nodes[id].times[2] = now;
        Ok(())
    }

    pub(crate) fn rename(&mut self, dir: Id, name: &str, to: Id, to_name: &str, now: u64) -> Result {
        self.dir(dir)?;
        self.dir(to)?;
        let id = self.lookup(dir, name)?;
        if self.links(to) == 0 {
            return Err(Errno::NoEnt);
        }
        if self.is_within(to, id) {
            return Err(Errno::Inval);
        }
        let target = self.lookup(to, to_name).ok();
        if target == Some(id) {
            return Ok(());
        }
        match target.map(|target| (target, self.kind(id), self.kind(target))) {
            Some((target, Kind::Dir, Kind::Dir)) if self.size(target) > 0 => return Err(Errno::NotEmpty),
            Some((_, Kind::Dir, Kind::Dir)) => {}
            Some((_, Kind::Dir, _)) => return Err(Errno::NotDir),
            Some((target, _, Kind::Dir)) if self.is_within(dir, target) => return Err(Errno::NotEmpty),
            Some((_, _, Kind::Dir)) => return Err(Errno::IsDir),
            None if to_name.len() as u64 > name.len() as u64 + self.room() => return Err(Errno::NoSpc),
            _ => {}
        }
        self.dir_mut(dir, now).remove(name);
        self.dir_mut(to, now).insert(to_name.into(), id);
        for id in target.into_iter().chain([id]) {
            self.nodes[id].times[2] = now;
        }
        Ok(())
    }

    /// Is a node the other one, or somewhere below it?
    fn is_within(&self, id: Id, outer: Id) -> bool {
        id == outer || self.dir(outer).is_ok_and(|names| names.values().any(|&inner| self.is_within(id, inner)))
    }

    pub(crate) fn read(&self, id: Id, offset: u64, len: usize) -> Vec<u8> {
        let bytes = self.file(id);
        let from = bytes.len().min(offset.min(usize::MAX as u64) as usize);
        bytes[from..][..len.min(bytes.len() - from)].to_vec()
    }

    pub(crate) fn write(&mut self, id: Id, offset: u64, bytes: &[u8], now: u64) -> Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if offset >= MAX_SIZE {
            return Err(Errno::FBig);
        }
        let most = (self.size(id) + self.room()).saturating_sub(offset);
        let len = bytes.len().min(most as usize);
        if len == 0 {
            return Err(Errno::NoSpc);
        }
        let (from, end) = (offset as usize, offset as usize + len);
        let file = self.file_mut(id, now);
        if file.len() < end {
            file.resize(end, 0);
        }
        file[from..end].copy_from_slice(&bytes[..len]);
        Ok(len)
    }

    pub(crate) fn set_size(&mut self, id: Id, size: u64, now: u64) -> Result {
        if size > MAX_SIZE {
            return Err(Errno::FBig);
        }
        if size > self.size(id) + self.room() {
            return Err(Errno::NoSpc);
        }
        self.file_mut(id, now).resize(size as usize, 0);
        Ok(())
    }

    pub(crate) fn allocate(&mut self, id: Id, offset: u64, len: u64, now: u64) -> Result {
        if len == 0 {
            return Err(Errno::Inval);
        }
        let end = offset.checked_add(len).ok_or(Errno::FBig)?;
        if end > self.size(id) { self.set_size(id, end, now) } else { Ok(()) }
    }

    pub(crate) fn set_times(&mut self, id: Id, times: Times, now: u64) {
        let [accessed, modified, changed] = &mut self.nodes[id].times;
        *accessed = times.accessed.unwrap_or(*accessed);
        *modified = times.modified.unwrap_or(*modified);
        *changed = now;
    }

    /// Every path, with what is there.
    pub(crate) fn paths(&self) -> BTreeMap<String, Id> {
        let mut paths = BTreeMap::new();
        let mut dirs = vec![(String::new(), 0)];
        while let Some((path, dir)) = dirs.pop() {
            for (name, &id) in self.dir(dir).expect("a directory") {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                paths.insert(path.clone(), id);
                if self.kind(id) == Kind::Dir {
                    dirs.push((path, id));
                }
            }
        }
        paths
    }
}
