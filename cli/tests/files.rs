//! The command and a guest's files: what each option gives, and what it leaves alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Opens the file `in` of the first folder, prints what is in it, and writes `hi` to the file `out`. The status is the
/// first errno that is not 0.
const COPIER: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "in") (data (i32.const 8) "out") (data (i32.const 16) "hi")
    ;; Buffers: what was read, and `hi`.
    (data (i32.const 32) "\00\01\00\00\00\01\00\00") (data (i32.const 48) "\10\00\00\00\02\00\00\00")
    (func $try (param i32) (if (local.get 0) (then (call $proc_exit (local.get 0)))))
    (func (export "_start")
        (call $try (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 0)
            (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 64)))
        (call $try (call $fd_read (i32.load (i32.const 64)) (i32.const 32) (i32.const 1) (i32.const 36)))
        (call $try (call $fd_write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 68)))
        (call $try (call $path_open (i32.const 3) (i32.const 0) (i32.const 8) (i32.const 3) (i32.const 5)
            (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 64)))
        (call $try (call $fd_write (i32.load (i32.const 64)) (i32.const 48) (i32.const 1) (i32.const 68)))
        (call $try (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 72)))))"#;

const EXIST: i32 = 20;
const NOENT: i32 = 44;
const NOTCAPABLE: i32 = 76;
const NOSPC: i32 = 51;

/// A folder with a guest, and with a folder `work` with a file for it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("files").join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("work")).unwrap();
        fs::write(path.join("copier.wat"), COPIER).unwrap();
        fs::write(path.join("work/in"), "from the host\n").unwrap();
        Self(path)
    }

    /// Runs the command; its status and output.
    fn run(&self, args: &str) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jitless"));
        command.args(args.split_whitespace()).current_dir(&self.0).stdin(Stdio::null());
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    #[track_caller]
    fn check(&self, args: &str, status: i32, out: &str) {
        let (found, text, errors) = self.run(args);
        assert_eq!((found, text.as_str()), (status, out), "jitless {args}: {errors}");
    }

    fn written(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.0.join(name)).ok()
    }

    /// What lies in the folder.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn folders_of_the_host() {
    let place = Place::new("folders");
    place.check("copier.wat", NOENT, "");
    assert_eq!(place.names(), ["copier.wat", "work"]);
    place.check("--dir work::/,cow copier.wat", 0, "from the host\n");
    assert_eq!(place.written("work/out"), None);
    place.check("--dir work,ro copier.wat", NOTCAPABLE, "from the host\n");
    assert_eq!(place.written("work/out"), None);
    place.check("--dir work::/w,rw copier.wat", 0, "from the host\n");
    assert_eq!(place.written("work/out").as_deref(), Some("hi"));
    fs::remove_file(place.0.join("work/out")).unwrap();
    place.check("--dir work copier.wat", 0, "from the host\n");
    assert_eq!(place.written("work/out").as_deref(), Some("hi"));
    // Others are not reached.
    place.check("--dir copier.wat::/ copier.wat", 1, "");
    place.check("--dir nowhere::/ copier.wat", 1, "");
}

#[test]
fn memory_and_archives() {
    let place = Place::new("memory");
    place.check("--memfs / copier.wat", NOENT, "");
    let mut tar = tar(&[("in", "from an archive\n")]);
    fs::write(place.0.join("a.tar"), &tar).unwrap();
    place.check("--memfs /=a.tar --save-memfs /=b.tar copier.wat", 0, "from an archive\n");
    assert_eq!(place.names(), ["a.tar", "b.tar", "copier.wat", "work"]);
    place.check("--mount-tar b.tar::/ copier.wat", NOTCAPABLE, "from an archive\n");
    // The file is there already, so the guest fails; what it has is saved all the same.
    place.check("--memfs /=b.tar --save-memfs /=c.tar copier.wat", EXIST, "from an archive\n");
    assert_eq!(fs::read(place.0.join("c.tar")).unwrap(), fs::read(place.0.join("b.tar")).unwrap());
    place.check("--memfs /=a.tar --max-fs 400 copier.wat", 1, "");
    place.check("--memfs /=a.tar --max-fs 1000 copier.wat", NOSPC, "from an archive\n");
    // What is no archive says so; nothing runs.
    tar.truncate(100);
    fs::write(place.0.join("a.tar"), &tar).unwrap();
    for args in ["--memfs /=a.tar", "--mount-tar a.tar::/", "--mount-zip a.tar::/", "--mount-tar no.tar::/"] {
        let (status, out, errors) = place.run(&format!("{args} copier.wat"));
        assert_eq!((status, out.as_str(), errors.lines().count()), (1, "", 1), "{args}: {errors}");
        assert!(errors.contains("a.tar") || errors.contains("no.tar"), "{errors}");
    }
    // What cannot be saved leaves what was there.
    let (status, _, errors) = place.run("--save-memfs /=nowhere/c.tar copier.wat");
    assert!(status == NOENT && errors.contains("cannot write nowhere/c.tar"), "{status}: {errors}");
    for args in ["--memfs /x --save-memfs /=c.tar", "--save-memfs /", "--mount-tar x", "--dir ,ro", "--memfs ="] {
        assert_eq!(place.run(&format!("{args} copier.wat")).0, 2, "{args}");
    }
}

/// An archive of files, as any tool writes it.
fn tar(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = vec![];
    for (name, text) in files {
        let mut header = [0; 512];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, "0000644");
        put(124, &format!("{:011o}", text.len()));
        put(136, "00000000000");
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(text.as_bytes());
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

#[test]
fn traces_and_the_same_run_again() {
    let place = Place::new("trace");
    let (status, _, first) = place.run("--dir work::/,cow --trace wasi --deterministic --stats copier.wat");
    assert_eq!(status, 0, "{first}");
    for part in ["path_open(3, ", "\"in\"", "fd_write(1, "] {
        assert!(first.contains(part), "{part}: {first}");
    }
    let steady = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("loaded in")).map(String::from).collect()
    };
    let (_, _, again) = place.run("--dir work::/,cow --trace wasi --deterministic --stats copier.wat");
    assert_eq!(steady(&first), steady(&again));
}
