//! Archives: there and back, and those that are made to do harm.

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use flate2::{Compression, Crc, write::DeflateEncoder};
use jitless::wasi::fs::{
    Access, Account, ArchiveError, Errno, Fault, FileSystem, Kind, MemFs, Node, Result, Stat, TarFs, Times, ZipFs,
};
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

use crate::driver::{Driver, Tape};
use crate::limits::Purse;
use crate::model::Model;
use crate::{cases, mem, tape, traits};

const READ: Access = Access { read: true, write: false };

/// A path, what is known of it, and what it holds.
type Line = (String, (Kind, u64, u64, u64), Vec<u8>);

/// All that there is, without the time of the root, which archives do not have.
fn lines(fs: &dyn FileSystem) -> Vec<Line> {
    let (mut lines, mut nodes) = (vec![], vec![(String::new(), fs.root().unwrap())]);
    while let Some((path, node)) = nodes.pop() {
        let Stat { kind, links, size, modified, .. } = node.stat().unwrap();
        let held = match kind {
            Kind::Dir => {
                let mut from = 0;
                node.read_dir(0, &mut |entry| {
                    let inner = node.lookup(entry.name).unwrap();
                    assert_eq!((entry.inode, entry.kind), (inner.stat().unwrap().inode, inner.kind()));
                    assert!(entry.next > from);
                    from = entry.next;
                    nodes.push((format!("{path}/{}", entry.name), inner));
                    ControlFlow::Continue(())
                })
                .unwrap();
                vec![]
            }
            Kind::Link => node.read_link().unwrap().into(),
            _ => {
                let (file, mut bytes) = (node.open(READ).unwrap(), vec![0; size as usize + 1]);
                assert_eq!(file.read_at(0, &mut bytes), Ok(size as usize));
                bytes[..size as usize].to_vec()
            }
        };
        let modified = if path.is_empty() { 0 } else { modified };
        lines.push((path, (kind, links, size, modified), held));
    }
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    lines
}

fn to_tar(fs: &MemFs) -> Vec<u8> {
    let mut bytes = vec![];
    fs.to_tar(&mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(cases(100))]

    /// What goes into an archive comes out of it, also where it is read in place.
    #[test]
    fn tar_there_and_back(tape in tape()) {
        let fs = mem(1 << 30, 1 << 20);
        let mut driver = Driver::new(&fs, Model::new(1 << 30, 1 << 20), traits(1 << 30, 1 << 20));
        driver.run(&mut Tape::new(&tape));
        let bytes = to_tar(&fs);
        let back = MemFs::from_tar(&bytes).unwrap();
        prop_assert_eq!(lines(&fs), lines(&back));
        prop_assert_eq!(lines(&fs), lines(&TarFs::new(bytes.clone()).unwrap()));
        prop_assert_eq!(&bytes, &to_tar(&back));
    }
}

#[test]
fn names_that_are_hard_to_write() {
    let fs = MemFs::builder().time(1_700_000_000_123_456_789).build();
    let long = ["n".repeat(255), "ü".repeat(127)].join("/");
    let names =
        ["a".repeat(99), "a".repeat(100), "a".repeat(101), "back\\slash".into(), "new\nline".into(), "C:".into()];
    for name in names.iter().chain([&long, &" ".into(), &"PaxHeader".into(), &"././@LongLink".into()]) {
        fs.write(name, name).unwrap();
        fs.create_dir_all(&format!("dirs/{name}")).unwrap();
        fs.symlink(&format!("./x//../{name}/"), &format!("links/{name}")).unwrap();
        fs.hard_link(name, &format!("z/{name}")).unwrap();
    }
    fs.node("C:").unwrap().set_times(Times { modified: Some(u64::MAX), accessed: None }, 0).unwrap();
    fs.node(" ").unwrap().set_times(Times { modified: Some(999_999_999), accessed: None }, 0).unwrap();
    let bytes = to_tar(&fs);
    assert_eq!(lines(&MemFs::from_tar(&bytes).unwrap()), lines(&fs));
    assert_eq!(lines(&TarFs::new(bytes).unwrap()), lines(&fs));
}

#[test]
fn the_order_of_making_does_not_show() {
    let [one, two] = [["a", "b/c", "b/d"], ["b/d", "a", "b/c"]].map(|paths| {
        let fs = MemFs::new();
        for path in paths {
            fs.write(path, path).unwrap();
        }
        to_tar(&fs)
    });
    assert_eq!(one, two);
}

/// An entry of a tar archive: kind, path, what it points to, what it holds.
type Tarred<'a> = (u8, &'a [u8], &'a [u8], &'a [u8]);

fn tar(entries: &[Tarred<'_>]) -> Vec<u8> {
    let mut tar = Builder::new(vec![]);
    for &(kind, path, target, held) in entries {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_entry_type(EntryType::new(kind));
        header.set_size(held.len() as u64);
        header.set_mtime(1);
        header.set_cksum();
        tar.append(&header, held).unwrap();
    }
    tar.into_inner().unwrap()
}

fn fault(result: Result<impl std::fmt::Debug, ArchiveError>) -> Option<Fault> {
    result.err().map(|error| {
        assert!(!error.to_string().contains(char::is_control));
        error.fault
    })
}

#[test]
fn hostile_tars() {
    let deep = "a/".repeat(45);
    for (entries, want) in [
        (&[(b'0', &b"../x"[..], &b""[..], &b""[..])][..], Some(Fault::Escape)),
        (&[(b'0', b"a/../../x", b"", b"")], Some(Fault::Escape)),
        (&[(b'0', b"/etc/passwd", b"", b"")], Some(Fault::Escape)),
        (&[(b'0', b"a/..", b"", b"")], Some(Fault::Escape)),
        (&[(b'1', b"x", b"../y", b"")], Some(Fault::Escape)),
        (&[(b'0', b"\xff\xfe", b"", b"")], Some(Fault::BadName)),
        (&[(b'0', b"", b"", b"")], Some(Fault::BadName)),
        (&[(b'0', b".", b"", b"")], Some(Fault::BadName)),
        (&[(b'0', b"x", b"", b"1"), (b'0', b"x", b"", b"2")], Some(Fault::Twice)),
        (&[(b'0', b"x", b"", b"1"), (b'0', b"./x", b"", b"2")], Some(Fault::Twice)),
        (&[(b'5', b"x", b"", b""), (b'5', b"x/", b"", b"")], Some(Fault::Twice)),
        (&[(b'5', b"x", b"", b""), (b'2', b"x", b"y", b"")], Some(Fault::Twice)),
        (&[(b'0', b"x", b"", b"1"), (b'0', b"x/y", b"", b"2")], Some(Fault::NotDir)),
        (&[(b'2', b"x", b"/etc", b""), (b'0', b"x/passwd", b"", b"2")], Some(Fault::NotDir)),
        (&[(b'1', b"x", b"y", b"")], Some(Fault::NoOriginal)),
        (&[(b'1', b"x", b"x", b"")], Some(Fault::NoOriginal)),
        (&[(b'5', b"y", b"", b""), (b'1', b"x", b"y", b"")], Some(Fault::NoOriginal)),
        (&[(b'1', b"x", b"", b"")], Some(Fault::BadName)),
        (&[(b'2', b"x", b"", b"")], Some(Fault::BadName)),
        (&[(b'S', b"x", b"", b"")], Some(Fault::Malformed)),
        (&[(b'?', b"x", b"", b"")], Some(Fault::Unsupported)),
        (&[(b'3', b"dev/null", b"", b""), (b'6', b"pipe", b"", b"")], None),
        (&[(b'2', b"x", b"../../etc", b"")], None),
        (&[(b'5', b"./", b"", b""), (b'0', b"x/y", b"", b""), (b'5', b"x", b"", b"")], None),
        (&[(b'0', deep.as_bytes(), b"", b"")], None),
        (&[], None),
    ] {
        let bytes = tar(entries);
        let name = entries.first().map(|entry| String::from_utf8_lossy(entry.1));
        assert_eq!(fault(TarFs::new(bytes.clone())), want, "{name:?}");
        assert_eq!(fault(MemFs::from_tar(&bytes)), want, "{name:?}");
    }
}

#[test]
fn broken_tars() {
    let good = tar(&[(b'0', b"a", b"", &[7; 1000]), (b'5', b"d", b"", b"")]);
    for len in 0..good.len() {
        if let Ok(fs) = TarFs::new(&good[..len]) {
            lines(&fs);
        }
    }
    assert_eq!(fault(TarFs::new(&good[..1100])), Some(Fault::Malformed), "cut off in a file");
    // A size that the archive does not have; with the right sum, and absurdly large.
    for size in [1001 << 10, 1 << 40, u64::MAX >> 1, u64::MAX] {
        let mut header = Header::from_byte_slice(&good[..512]).clone();
        header.set_size(size);
        header.set_cksum();
        let bytes = [header.as_bytes(), &good[512..]].concat();
        assert_eq!(fault(TarFs::new(bytes)), Some(Fault::Malformed), "{size}");
    }
    // A long name without its entry, and one that is longer than the archive.
    let long = "n/".repeat(2000);
    let bytes = tar(&[(b'L', b"././@LongLink", b"", long.as_bytes()), (b'0', b"n", b"", b"")]);
    assert_eq!(fault(TarFs::new(bytes.clone())), Some(Fault::TooDeep));
    TarFs::new(&bytes[..1024]).unwrap_err();
    let long = "n".repeat(256);
    let bytes = tar(&[(b'L', b"././@LongLink", b"", long.as_bytes()), (b'0', b"n", b"", b"")]);
    assert_eq!(fault(TarFs::new(bytes)), Some(Fault::TooLong));
    for (pax, want) in [
        (&b"19 mtime=1.5000000\n"[..], None),
        (b"19 mtime=-1.000000\n", None),
        (b"19 mtime=1.5oooooo\n", Some(Fault::Malformed)),
        (b"99 mtime=1\n", Some(Fault::Malformed)),
        (b"28 size=9223372036854775807\n", Some(Fault::Malformed)),
        (b"16 path=../../x\n", Some(Fault::Escape)),
    ] {
        let bytes = tar(&[(b'x', b"h", b"", pax), (b'0', b"n", b"", b"")]);
        assert_eq!(fault(TarFs::new(bytes)), want, "{}", pax.escape_ascii());
    }
    let full = MemFs::builder().max_bytes(1500).from_tar(&good);
    assert_eq!(full.err().map(|error| error.fault), Some(Fault::NoSpace));
}

proptest! {
    #![proptest_config(cases(2000))]

    /// Whatever the bytes are, there is an answer; and what is opened can be read.
    #[test]
    fn changed_archives_do_no_harm(
        zipped in any::<bool>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = if zipped { good_zip() } else { good_tar() };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if !zipped {
            // With the right sums, so that what was changed is looked at.
            for header in bytes.chunks_exact_mut(512).filter(|block| block.iter().any(|&byte| byte > 0)) {
                let mut fixed = Header::from_byte_slice(header).clone();
                fixed.set_cksum();
                header.copy_from_slice(fixed.as_bytes());
            }
        }
        let fs = if zipped {
            ZipFs::new(bytes).ok().map(|fs| Arc::new(fs) as Arc<dyn FileSystem>)
        } else {
            TarFs::new(bytes).ok().map(|fs| Arc::new(fs) as Arc<dyn FileSystem>)
        };
        if let Some(fs) = fs {
            visit(fs.root().unwrap());
        }
    }
}

/// Reads everything; errors are answers too.
fn visit(node: Arc<dyn Node>) {
    let _ = node.read_link();
    if let Ok(file) = node.open(READ) {
        let _ = file.read_at(0, &mut [0; 5000]);
    }
    let _ = node.read_dir(0, &mut |entry| {
        visit(node.lookup(entry.name).unwrap());
        ControlFlow::Continue(())
    });
}

fn good_tar() -> Vec<u8> {
    tar(&[
        (b'5', b"d/", b"", b""),
        (b'0', b"d/f", b"", b"text"),
        (b'2', b"l", b"d/f", b""),
        (b'1', b"h", b"d/f", b""),
        (b'x', b"h", b"", b"19 mtime=1.5000000\n"),
        (b'0', b"n", b"", b"more"),
    ])
}

/// An entry of a zip archive.
#[derive(Clone, Copy)]
struct Zipped<'a> {
    path: &'a [u8],
    held: &'a [u8],
    deflate: bool,
    mode: u32,
    flags: u16,
    method: Option<u16>,
    size: Option<u32>,
    packed: Option<u32>,
    sum: Option<u32>,
    extra: &'a [u8],
}

const ENTRY: Zipped<'static> = Zipped {
    path: b"",
    held: b"",
    deflate: false,
    mode: 0,
    flags: 0,
    method: None,
    size: None,
    packed: None,
    sum: None,
    extra: b"",
};

fn zip(entries: &[Zipped<'_>]) -> Vec<u8> {
    let (mut bytes, mut directory) = (vec![], vec![]);
    for entry in entries {
        let mut packed = entry.held.to_vec();
        if entry.deflate {
            let mut encoder = DeflateEncoder::new(vec![], Compression::best());
            encoder.write_all(entry.held).unwrap();
            packed = encoder.finish().unwrap();
        }
        let mut crc = Crc::new();
        crc.update(entry.held);
        let method = entry.method.unwrap_or(if entry.deflate { 8 } else { 0 });
        let size = entry.size.unwrap_or(entry.held.len() as u32);
        let mut common = vec![];
        for number in [entry.flags, method, 0x6000, 0x5110] {
            common.extend(number.to_le_bytes());
        }
        let sum = entry.sum.unwrap_or(crc.sum());
        for number in [sum, entry.packed.unwrap_or(packed.len() as u32), size] {
            common.extend(number.to_le_bytes());
        }
        common.extend((entry.path.len() as u16).to_le_bytes());
        let offset = (bytes.len() as u32).to_le_bytes();
        let extra_len = (entry.extra.len() as u16).to_le_bytes();
        bytes.extend([b"PK\x03\x04\x14\x00", &common[..], &[0, 0], entry.path, &packed].concat());
        directory.extend([b"PK\x01\x02\x14\x03\x14\x00", &common[..], &extra_len, &[0; 6]].concat());
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend([&offset, entry.path, entry.extra].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let [len, offset] = [directory.len(), bytes.len()].map(|number| (number as u32).to_le_bytes());
    bytes.extend([&directory[..], b"PK\x05\x06\0\0\0\0", &count, &count, &len, &offset, &[0; 2]].concat());
    bytes
}

fn good_zip() -> Vec<u8> {
    zip(&[
        Zipped { path: b"d/", ..ENTRY },
        Zipped { path: b"d/f", held: &[7; 3000], deflate: true, mode: 0o100_644, ..ENTRY },
        Zipped { path: b"s", held: b"stored", ..ENTRY },
        Zipped { path: b"l", held: b"d/f", mode: 0o120_777, deflate: true, ..ENTRY },
        Zipped { path: b"t", extra: b"UT\x05\0\x01\x07\0\0\0", ..ENTRY },
    ])
}

#[test]
fn zips_are_read() {
    // The mark of a time is an hour of 12 on the 16th of August 2020, as DOS counts.
    let time = 1_597_579_200_000_000_000;
    let dos = |at: &str| if at == "/t" { 7_000_000_000 } else { time };
    for before in ["", "#!/bin/interpreter\n"] {
        let fs = ZipFs::new([before.as_bytes(), &good_zip()].concat()).unwrap();
        let got = lines(&fs);
        let want = [
            ("", Kind::Dir, 4, vec![]),
            ("/d", Kind::Dir, 1, vec![]),
            ("/d/f", Kind::File, 3000, vec![7; 3000]),
            ("/l", Kind::Link, 3, b"d/f".to_vec()),
            ("/s", Kind::File, 6, b"stored".to_vec()),
            ("/t", Kind::File, 0, vec![]),
        ];
        let line = |(path, kind, size, held): (&str, Kind, u64, Vec<u8>)| {
            (path.to_owned(), (kind, 1, size, if path.is_empty() { 0 } else { dos(path) }), held)
        };
        assert_eq!(got, want.map(line));
    }
}

#[test]
fn hostile_zips() {
    let one = |entry| fault(ZipFs::new(zip(&[entry])));
    for (entry, want) in [
        (Zipped { path: b"../x", ..ENTRY }, Some(Fault::Escape)),
        (Zipped { path: b"/x", ..ENTRY }, Some(Fault::Escape)),
        (Zipped { path: b"a/../x/", ..ENTRY }, Some(Fault::Escape)),
        (Zipped { path: b"x\0y", ..ENTRY }, Some(Fault::BadName)),
        (Zipped { path: b"\x80", ..ENTRY }, Some(Fault::BadName)),
        (Zipped { path: b"", ..ENTRY }, Some(Fault::BadName)),
        (Zipped { path: &[b'n'; 256], ..ENTRY }, Some(Fault::TooLong)),
        (Zipped { path: &b"d/".repeat(1001), ..ENTRY }, Some(Fault::TooDeep)),
        (Zipped { path: b"x", flags: 1, ..ENTRY }, Some(Fault::Unsupported)),
        (Zipped { path: b"x", method: Some(12), ..ENTRY }, Some(Fault::Unsupported)),
        (Zipped { path: b"x", size: Some(1), ..ENTRY }, Some(Fault::Malformed)),
        (Zipped { path: b"x", size: Some(1), packed: Some(1), ..ENTRY }, Some(Fault::Malformed)),
        (Zipped { path: b"x", size: Some(u32::MAX - 1), packed: Some(u32::MAX - 1), ..ENTRY }, Some(Fault::Malformed)),
        (Zipped { path: b"x", held: b"1", deflate: true, size: Some(1 << 30), ..ENTRY }, Some(Fault::Malformed)),
        (Zipped { path: b"x", mode: 0o120_000, ..ENTRY }, Some(Fault::BadName)),
        (Zipped { path: b"x", held: &[b'n'; 5000], mode: 0o120_000, ..ENTRY }, Some(Fault::TooLong)),
        (Zipped { path: b"x", extra: b"UT\xff\xff", ..ENTRY }, Some(Fault::Malformed)),
        (Zipped { path: b"..\\x", ..ENTRY }, None),
    ] {
        assert_eq!(one(entry), want, "{}", entry.path.escape_ascii());
    }
    let [x, y] = [b"x", b"x/y".as_slice()].map(|path| Zipped { path, ..ENTRY });
    assert_eq!(fault(ZipFs::new(zip(&[x, x]))), Some(Fault::Twice));
    assert_eq!(fault(ZipFs::new(zip(&[x, y]))), Some(Fault::NotDir));
    assert_eq!(fault(ZipFs::new(zip(&[y, x]))), Some(Fault::Twice));
    let good = good_zip();
    for len in 0..good.len() {
        assert_eq!(fault(ZipFs::new(&good[..len])), Some(Fault::Malformed), "{len}");
    }
}

#[test]
fn bombs_are_bounded_and_charged() {
    let zeros = vec![0; 10 << 20];
    let bomb = Zipped { path: b"bomb", held: &zeros, deflate: true, ..ENTRY };
    let bytes = zip(&[bomb]);
    assert!(bytes.len() < 20_000);
    let open = |fs: &ZipFs| fs.root().unwrap().lookup("bomb").unwrap().open(READ);
    let small = ZipFs::with_limit(bytes.clone(), (10 << 20) - 1).unwrap();
    assert_eq!(open(&small).err(), Some(Errno::NoMem));
    let (fs, purse) = (ZipFs::new(bytes).unwrap(), Purse::new(11 << 20));
    fs.charge_to(purse.clone()).unwrap();
    for _ in 0..3 {
        let files = [open(&fs).unwrap(), open(&fs).unwrap()];
        assert_eq!(purse.used(), 10 << 20, "unpacked once for both");
        drop(files);
        assert_eq!(purse.used(), 0);
    }
    assert!(purse.charge(2 << 20));
    assert_eq!(open(&fs).err(), Some(Errno::NoMem));
    assert_eq!(purse.used(), 2 << 20);
    // More, or less, than it says, with the right sum of that; and other bytes than it says.
    let sum = |size: usize| {
        let mut crc = Crc::new();
        crc.update(&vec![0; size]);
        Some(crc.sum())
    };
    for (size, sum) in
        [((10 << 20) - 1, sum((10 << 20) - 1)), ((10 << 20) + 1, sum((10 << 20) + 1)), (10 << 20, Some(1))]
    {
        let fs = ZipFs::new(zip(&[Zipped { size: Some(size), sum, ..bomb }])).unwrap();
        assert_eq!(open(&fs).err(), Some(Errno::Io));
    }
}

#[test]
fn archives_cannot_be_changed() {
    let tar = TarFs::new(good_tar()).unwrap();
    let zip = ZipFs::new(good_zip()).unwrap();
    for fs in [&tar as &dyn FileSystem, &zip] {
        assert!(fs.read_only());
        let root = fs.root().unwrap();
        let file = root.lookup("d").unwrap().lookup("f").unwrap();
        let both = Access { read: true, write: true };
        assert_eq!(root.create("n", both, 0).err(), Some(Errno::RoFs));
        assert_eq!(root.create_dir("n", 0), Err(Errno::RoFs));
        assert_eq!(root.symlink("n", "x", 0), Err(Errno::RoFs));
        assert_eq!(root.link("n", &*file, 0), Err(Errno::RoFs));
        assert_eq!(root.unlink("l", 0), Err(Errno::RoFs));
        assert_eq!(root.remove_dir("d", 0), Err(Errno::RoFs));
        assert_eq!(root.rename("l", &*root, "m", 0), Err(Errno::RoFs));
        assert_eq!(root.set_times(Times::default(), 0), Err(Errno::RoFs));
        assert_eq!(file.open(both).err(), Some(Errno::RoFs));
        assert_eq!(file.lookup("x").err(), Some(Errno::NotDir));
        assert_eq!(file.create("x", READ, 0).err(), Some(Errno::NotDir));
        assert_eq!(file.read_dir(0, &mut |_| ControlFlow::Continue(())), Err(Errno::NotDir));
        assert_eq!(root.open(READ).err(), Some(Errno::IsDir));
        assert_eq!(root.lookup("l").unwrap().open(READ).err(), Some(Errno::Loop));
        assert_eq!(root.lookup("nothing").err(), Some(Errno::NoEnt));
        let open = file.open(READ).unwrap();
        assert_eq!(open.write_at(0, b"x", 0), Err(Errno::BadF));
        assert_eq!(open.set_size(0, 0), Err(Errno::BadF));
        assert_eq!(open.read_at(u64::MAX, &mut [0]), Ok(0));
        assert_eq!(open.set_times(Times::default(), 0), Err(Errno::RoFs));
        assert_eq!(file.open(Access::default()).unwrap().read_at(0, &mut [0]), Err(Errno::BadF));
        let mut shown = 0;
        root.read_dir(u64::MAX, &mut |_| {
            shown += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(shown, 0);
    }
}

/// The system's own program lists what was written, where there is one.
#[test]
fn another_program_reads_it() {
    let fs = MemFs::builder().time(1_700_000_000_500_000_000).build();
    fs.write("d/f", "text").unwrap();
    fs.write(&format!("d/{}", "n".repeat(150)), "long").unwrap();
    fs.symlink("d/f", "l").unwrap();
    let run = std::process::Command::new("tar")
        .args(["-tf", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut program) = run else { return };
    program.stdin.take().unwrap().write_all(&to_tar(&fs)).unwrap();
    let mut names = String::new();
    program.stdout.take().unwrap().read_to_string(&mut names).unwrap();
    assert!(program.wait().unwrap().success());
    assert_eq!(names.lines().collect::<Vec<_>>(), ["d/", "d/f", &format!("d/{}", "n".repeat(150)), "l"]);
}
