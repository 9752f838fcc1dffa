//! The guest's files: folders of the host's, archives, memory.
//!
//! Invariant: nothing of the host's is touched that no option names; what is saved is written whole or not at all.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use jitless::wasi::WasiCtxBuilder;
use jitless::wasi::fs::{HostDir, MemFs, MemFsBuilder, OverlayFs, TarFs, ZipFs};
use tempfile::NamedTempFile;

use crate::flags;
use crate::report::{Failure, escaped, plain};

/// Options about files.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Give the guest a folder: as it is (rw, the default), to read (ro), or with all changes kept in memory (cow)
    #[arg(long, value_name = "HOST[::GUEST][,ro|rw|cow]", value_parser = Dir::parse)]
    dir: Vec<Dir>,

    /// Give the guest a folder in memory, empty or with what a tar archive holds
    #[arg(long, value_name = "GUEST[=TAR]", value_parser = Memory::parse)]
    memfs: Vec<Memory>,

    /// Give the guest what a tar archive holds, to read
    #[arg(long, value_name = "TAR::GUEST", value_parser = Archive::parse)]
    mount_tar: Vec<Archive>,

    /// Give the guest what a zip archive holds, to read
    #[arg(long, value_name = "ZIP::GUEST", value_parser = Archive::parse)]
    mount_zip: Vec<Archive>,

    /// At the end, write a folder in memory to a tar archive
    #[arg(long, value_name = "GUEST=TAR", value_parser = Memory::parse)]
    save_memfs: Vec<Memory>,

    /// The most bytes of each folder in memory, as 64MiB
    #[arg(long, value_name = "SIZE", value_parser = flags::size)]
    max_fs: Option<u64>,

    /// The most files that the guest has open at once
    #[arg(long, value_name = "N")]
    max_files: Option<u32>,
}

/// A folder of the host's.
#[derive(Clone, Debug, PartialEq)]
struct Dir {
    host: PathBuf,
    guest: String,
    mode: Mode,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    ReadOnly,
    ReadWrite,
    CopyOnWrite,
}

impl Dir {
    fn parse(text: &str) -> Result<Self, String> {
        let modes = [(",ro", Mode::ReadOnly), (",rw", Mode::ReadWrite), (",cow", Mode::CopyOnWrite)];
        let marked = modes.iter().find_map(|&(mark, mode)| Some((text.strip_suffix(mark)?, mode)));
        let (folder, mode) = marked.unwrap_or((text, Mode::ReadWrite));
        let (host, guest) = folder.split_once("::").unwrap_or((folder, folder));
        match host.is_empty() || guest.is_empty() {
            true => Err("a folder has a name".to_owned()),
            false => Ok(Self { host: host.into(), guest: guest.to_owned(), mode }),
        }
    }
}

/// A folder in memory, and the archive that it comes from or goes to.
#[derive(Clone, Debug, PartialEq)]
struct Memory {
    guest: String,
    tar: Option<PathBuf>,
}

impl Memory {
    fn parse(text: &str) -> Result<Self, String> {
        let (guest, tar) = match text.split_once('=') {
            Some((guest, tar)) => (guest, Some(tar)),
            None => (text, None),
        };
        match guest.is_empty() || tar == Some("") {
            true => Err("a folder and an archive have names".to_owned()),
            false => Ok(Self { guest: guest.to_owned(), tar: tar.map(PathBuf::from) }),
        }
    }
}

/// An archive, and the folder that it is for the guest.
#[derive(Clone, Debug, PartialEq)]
struct Archive {
    path: PathBuf,
    guest: String,
}

impl Archive {
    fn parse(text: &str) -> Result<Self, String> {
        match text.split_once("::") {
            Some((path, guest)) if !path.is_empty() && !guest.is_empty() => {
                Ok(Self { path: path.into(), guest: guest.to_owned() })
            }
            _ => Err("`::` and the guest's name for it are missing".to_owned()),
        }
    }

    fn read(&self) -> Result<Vec<u8>, Failure> {
        fs::read(&self.path).map_err(|error| unusable("read", &self.path, plain(&error)))
    }
}

fn unusable(what: &str, path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("cannot {what} {}: {why}", escaped(&path.to_string_lossy())))
}

/// What is to be saved when the guest has ended.
#[derive(Default)]
pub(crate) struct Saves(Vec<(MemFs, PathBuf)>);

impl Args {
    /// Gives a guest its files. Without any it has an empty folder in memory as its root.
    pub(crate) fn mount(&self, wasi: &mut WasiCtxBuilder) -> Result<Saves, Failure> {
        let mut root = Vec::new();
        if self.dir.is_empty() && self.memfs.is_empty() && self.mount_tar.is_empty() && self.mount_zip.is_empty() {
            root.push(Memory { guest: "/".to_owned(), tar: None });
        }
        for Dir { host, guest, mode } in &self.dir {
            let open = match mode {
                Mode::ReadWrite => HostDir::open(host),
                Mode::ReadOnly | Mode::CopyOnWrite => HostDir::open_read_only(host),
            };
            let folder = open.map_err(|error| unusable("open", host, plain(&error)))?;
            match mode {
                Mode::CopyOnWrite => wasi.mount(guest, OverlayFs::new(folder, self.memory().build())),
                Mode::ReadOnly | Mode::ReadWrite => wasi.mount(guest, folder),
            };
        }
        let mut memories = Vec::new();
        for Memory { guest, tar } in self.memfs.iter().chain(&root) {
            let fs = match tar {
                None => self.memory().build(),
                Some(tar) => {
                    let bytes = fs::read(tar).map_err(|error| unusable("read", tar, plain(&error)))?;
                    self.memory().from_tar(&bytes).map_err(|error| unusable("unpack", tar, error))?
                }
            };
            memories.push((guest, fs.clone()));
            wasi.mount(guest, fs);
        }
        for archive in &self.mount_tar {
            let fs = TarFs::new(archive.read()?).map_err(|error| unusable("mount", &archive.path, error))?;
            wasi.mount(&archive.guest, fs);
        }
        for archive in &self.mount_zip {
            let fs = ZipFs::new(archive.read()?).map_err(|error| unusable("mount", &archive.path, error))?;
            wasi.mount(&archive.guest, fs);
        }
        if let Some(max) = self.max_files {
            wasi.max_files(max);
        }
        let mut saves = Saves::default();
        for Memory { guest, tar } in &self.save_memfs {
            match (memories.iter().find(|(name, _)| *name == guest), tar) {
                (Some((_, fs)), Some(tar)) => saves.0.push((fs.clone(), tar.clone())),
                (_, None) => return Err(Failure::usage("--save-memfs needs GUEST=TAR")),
                (None, _) => {
                    let guest = escaped(guest);
                    return Err(Failure::usage(format!("--save-memfs {guest}: no --memfs has this name")));
                }
            }
        }
        Ok(saves)
    }

    fn memory(&self) -> MemFsBuilder {
        let fs = MemFs::builder();
        match self.max_fs {
            Some(bytes) => fs.max_bytes(bytes),
            None => fs,
        }
    }
}

impl Saves {
    /// Writes the archives. Each is a new file that takes its name when it is whole.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        for (fs, path) in &self.0 {
            write(fs, path).map_err(|error| unusable("write", path, plain(&error)))?;
        }
        Ok(())
    }
}

fn write(fs: &MemFs, path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    let mut to = BufWriter::new(file.as_file_mut());
    fs.to_tar(&mut to)?;
    to.flush()?;
    drop(to);
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
