//! Two guests of one module that share nothing: neither memory nor files nor fate.
use jitless::sandbox::Wasi;
use jitless::wasi::fs::MemFs;
use jitless::{Sandbox, SandboxConfig, Val};

const WAT: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\04\00\00\00")
    (data (i32.const 32) "log")
    (global $count (mut i32) (i32.const 0))
    (func (export "count") (result i32)
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (global.get $count))
    ;; Writes four letters over the beginning of the file `log`.
    (func (export "write") (param $letters i32) (result i32)
        (i32.store (i32.const 16) (local.get $letters))
        (if (result i32) (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 3) (i32.const 1)
                (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8))
            (then (i32.const -1))
            (else (call $write (i32.load (i32.const 8)) (i32.const 0) (i32.const 1) (i32.const 12)))))
    (func (export "crash") (unreachable)))"#;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Both begin with the same files; each has a copy of its own, made when it writes.
    let files = MemFs::new();
    files.write("log", "....")?;
    let config = SandboxConfig::rust().wasi(Wasi::Memory(files.clone()));
    let wasm = wat::parse_str(WAT)?;
    let mut ann = Sandbox::new(config.clone())?;
    let mut bob = Sandbox::new(config)?;
    ann.load(&wasm)?;
    bob.load(&wasm)?;

    for n in 1..=3 {
        assert_eq!(ann.call("count", &[])?, [Val::I32(n)]);
    }
    assert_eq!(bob.call("count", &[])?, [Val::I32(1)]);

    for (guest, letters) in [(&mut ann, *b"ann!"), (&mut bob, *b"bob!")] {
        assert_eq!(guest.call("write", &[Val::I32(i32::from_le_bytes(letters))])?, [Val::I32(0)]);
    }
    for (name, guest) in [("ann", &ann), ("bob", &bob)] {
        let files = guest.files().ok_or("no files")?;
        println!("{name}'s log: {}", String::from_utf8(files.read("log")?)?);
    }
    assert_eq!(ann.files().ok_or("no files")?.read("log")?, b"ann!");
    assert_eq!(files.read("log")?, b"....");

    // One crashes and is gone; the other does not notice.
    println!("ann: {}", ann.call("crash", &[]).unwrap_err());
    drop(ann);
    assert_eq!(bob.call("count", &[])?, [Val::I32(2)]);
    println!("bob has used {:?}", bob.usage());
    Ok(())
}
