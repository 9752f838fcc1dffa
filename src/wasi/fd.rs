//! Descriptors: the table of what a guest has open.
//!
//! Idea: a descriptor is asked for by what it has to be and by the rights that a call needs, in one step, so that no call
//! can forget either. What it is counts first: a directory is no file, whatever its rights are.
//!
//! Invariant: a number that is free is in the heap of free numbers exactly once or beyond the end of the table; the
//! table never has more entries than its limit.

use core::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::abi::Outcome;
use super::calls::Call;
use super::errno::Errno;
use super::fs::{self, File, Node};
use super::rights;
use super::stdio::{Input, Output};

/// What is open, by number.
#[derive(Debug)]
pub(super) struct Descriptors {
    open: Vec<Option<Descriptor>>,
    free: BinaryHeap<Reverse<u32>>,
    max: u32,
}

#[derive(Debug)]
pub(super) struct Descriptor {
    pub(super) what: What,
    /// What it may be used for.
    pub(super) rights: u64,
    /// What may be used for that is opened through it.
    pub(super) inheriting: u64,
    pub(super) flags: u16,
    /// What a guest takes for the number of its device: of which mount it is.
    pub(super) device: u64,
}

#[derive(Debug)]
pub(super) enum What {
    Input(Input),
    Output(Output),
    Dir {
        node: Arc<dyn Node>,
        /// The name under which a guest finds it, if it was open from the start.
        preopen: Option<Arc<str>>,
    },
    File(Open),
}

/// A file, and where reading or writing goes on.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) file: Arc<dyn File>,
    pub(super) offset: u64,
}

impl Descriptors {
    /// The standard streams at the numbers 0 to 2. `max` is how many there may be when a guest opens one.
    pub(super) fn stdio(input: Input, output: Output, errors: Output, max: u32) -> Self {
        let stream = |what, right| {
            let rights = rights::STREAM | right;
            Some(Descriptor { what, rights, inheriting: 0, flags: 0, device: 0 })
        };
        let input = stream(What::Input(input), rights::FD_READ);
        let [output, errors] = [output, errors].map(|output| stream(What::Output(output), rights::FD_WRITE));
        Self { open: vec![input, output, errors], free: BinaryHeap::new(), max }
    }

    /// Opens a directory from the start.
    pub(super) fn preopen(&mut self, name: Arc<str>, node: Arc<dyn Node>, read_only: bool) {
        let taken = if read_only { rights::CHANGING } else { 0 };
        let (rights, inheriting) = (rights::DIR & !taken, (rights::DIR | rights::FILE) & !taken);
        let what = What::Dir { node, preopen: Some(name) };
        let device = self.open.len() as u64;
        self.open.push(Some(Descriptor { what, rights, inheriting, flags: 0, device }));
    }

    pub(super) fn get(&mut self, fd: u32) -> Result<&mut Descriptor, Errno> {
        self.open.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::BadF)
    }

    /// A file, for something that needs these rights. A stream is [`Errno::SPipe`].
    pub(super) fn file(&mut self, fd: u32, needed: u64) -> Result<(&mut Open, u16), Errno> {
        let descriptor = self.get(fd)?;
        match descriptor.what {
            What::Dir { .. } => Err(Errno::IsDir),
            What::Input(_) | What::Output(_) => Err(Errno::SPipe),
            What::File(ref mut file) => {
                has(descriptor.rights, needed)?;
                Ok((file, descriptor.flags))
            }
        }
    }

    /// A directory, for something that needs these rights, and the rights that it hands on.
    pub(super) fn dir(&mut self, fd: u32, needed: u64) -> Result<(&Arc<dyn Node>, u64), Errno> {
        let descriptor = self.get(fd)?;
        match &descriptor.what {
            What::Dir { node, .. } => {
                has(descriptor.rights, needed)?;
                Ok((node, descriptor.inheriting))
            }
            _ => Err(Errno::NotDir),
        }
    }

    /// The name of a directory that was open from the start.
    pub(super) fn preopened(&mut self, fd: u32) -> Result<&Arc<str>, Errno> {
        match &self.get(fd)?.what {
            What::Dir { preopen: Some(name), .. } => Ok(name),
            _ => Err(Errno::BadF),
        }
    }

    /// Everything that is written to.
    pub(super) fn outputs(&self) -> impl Iterator<Item = &Output> {
        self.open.iter().flatten().filter_map(|descriptor| match &descriptor.what {
            What::Output(output) => Some(output),
            _ => None,
        })
    }

    /// Is there room for one more?
    pub(super) fn room(&self) -> Result<(), Errno> {
        if self.free.is_empty() && self.open.len() >= self.max as usize { Err(Errno::MFile) } else { Ok(()) }
    }

    /// Opens it at the lowest free number.
    pub(super) fn insert(&mut self, descriptor: Descriptor) -> Result<u32, Errno> {
        self.room()?;
        match self.free.pop() {
            Some(Reverse(fd)) => {
                self.put(fd, Some(descriptor));
                Ok(fd)
            }
            None => {
                let fd = u32::try_from(self.open.len()).map_err(|_| Errno::MFile)?;
                self.open.push(Some(descriptor));
                Ok(fd)
            }
        }
    }

    fn put(&mut self, fd: u32, descriptor: Option<Descriptor>) {
        if let Some(place) = self.open.get_mut(fd as usize) {
            *place = descriptor;
        }
    }

    fn take(&mut self, fd: u32) -> Result<Descriptor, Errno> {
        let descriptor = self.open.get_mut(fd as usize).and_then(Option::take).ok_or(Errno::BadF)?;
        self.free.push(Reverse(fd));
        Ok(descriptor)
    }
}

/// Are all rights that are needed among these?
pub(super) fn has(rights: u64, needed: u64) -> fs::Result {
    if needed & !rights == 0 { Ok(()) } else { Err(Errno::NotCapable) }
}

/// A host's stream goes on being open when a guest closes its own.
pub(super) fn close(call: &mut Call<'_>, fd: u32) -> Outcome {
    call.ctx().fds.take(fd)?;
    Ok(())
}

/// Closes `to`, which has to be open, and gives its number to `from`, with all that it is: also a directory that was
/// open from the start stays one.
pub(super) fn renumber(call: &mut Call<'_>, from: u32, to: u32) -> Outcome {
    let fds = &mut call.ctx().fds;
    fds.get(from)?;
    fds.get(to)?;
    if from != to {
        let moved = fds.take(from)?;
        fds.put(to, Some(moved));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Descriptor {
        Descriptor { what: What::Output(Output::null()), rights: 0, inheriting: 0, flags: 0, device: 0 }
    }

    #[test]
    fn the_lowest_free_number_is_next() {
        let mut fds = Descriptors::stdio(Input::empty(), Output::null(), Output::null(), 6);
        assert_eq!([3, 4, 5].map(|_| fds.insert(open())), [Ok(3), Ok(4), Ok(5)]);
        assert_eq!(fds.insert(open()), Err(Errno::MFile));
        for fd in [4, 1, 5] {
            fds.take(fd).unwrap();
            assert_eq!(fds.take(fd).unwrap_err(), Errno::BadF);
        }
        assert_eq!([1, 4, 5].map(|_| fds.insert(open())), [Ok(1), Ok(4), Ok(5)]);
        assert_eq!(fds.insert(open()), Err(Errno::MFile));
        assert!(fds.free.is_empty() && fds.open.len() == 6);
    }

    #[test]
    fn rights() {
        assert_eq!([has(6, 0), has(6, 2), has(6, 6)], [Ok(()); 3]);
        assert_eq!([has(6, 1), has(6, 7), has(0, 1 << 63)], [Err(Errno::NotCapable); 3]);
    }
}
