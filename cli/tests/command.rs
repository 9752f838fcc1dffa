//! The command from outside: statuses, words, options, inputs that are wrong.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A folder of its own for a test, in which the command runs.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        let place = Self(path);
        for (name, text) in MODULES {
            place.file(name, text);
        }
        place
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// The command with arguments, one a word.
    fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jitless"));
        command.args(args.split_whitespace()).current_dir(&self.0).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &str) -> Ended {
        Ended::of(self.command(args).output().unwrap())
    }

    /// Runs the command with this on standard input.
    fn feed(&self, args: &str, input: &[u8]) -> Ended {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut to, input) = (child.stdin.take().unwrap(), input.to_vec());
        // Both ends may be full, so one is written while the other is read.
        let writer = thread::spawn(move || to.write_all(&input));
        let ended = Ended::of(child.wait_with_output().unwrap());
        writer.join().unwrap().unwrap();
        ended
    }

    #[track_caller]
    fn check(&self, args: &str, status: i32, out: &str, err: &str) {
        let ended = self.run(args);
        assert_eq!((ended.status, ended.out.as_str(), ended.err.as_str()), (status, out, err), "jitless {args}");
    }
}

#[derive(Debug)]
struct Ended {
    status: i32,
    out: String,
    err: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let status = output.status.code().expect("ended by a signal");
        Self { status, out: text(output.stdout), err: text(output.stderr) }
    }
}

const MODULES: &[(&str, &str)] = &[
    (
        "math.wat",
        r#"(module $math
            (memory 1)
            (func $load (param i32) (result i32) (i32.load offset=4 (local.get 0)))
            (func (export "load") (param i32) (result i32) (call $load (local.get 0)))
            (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
            (func (export "all") (param i32 i64 f32 f64 externref) (result i32 i64 f32 f64 externref)
                (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4))
            (func (export "div") (param i32) (result i32) (i32.div_s (i32.const 1) (local.get 0)))
            (func $deep (export "deep") (call $deep))
            (func (export "spin") (loop (br 0)))
            (func (export "grow") (result i32) (memory.grow (i32.const 1000)))
            (global (export "g") i32 (i32.const 0)))"#,
    ),
    (
        "exit.wat",
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start") (call $exit (i32.const 0x10003))))"#,
    ),
    (
        // Writes its arguments and its environment, as they lie in memory, then its input.
        "echo.wat",
        r#"(module
            (import "wasi_unstable" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
            (import "wasi_unstable" "args_get" (func $args (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_sizes_get" (func $env_sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory 2)
            (func $show (param $size i32)
                (i32.store (i32.const 16) (i32.const 4096))
                (i32.store (i32.const 20) (local.get $size))
                (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
            (func (export "_start")
                (drop (call $sizes (i32.const 0) (i32.const 4)))
                (drop (call $args (i32.const 1024) (i32.const 4096)))
                (call $show (i32.load (i32.const 4)))
                (drop (call $env_sizes (i32.const 0) (i32.const 4)))
                (drop (call $env (i32.const 1024) (i32.const 4096)))
                (call $show (i32.load (i32.const 4)))
                (loop $more
                    (i32.store (i32.const 16) (i32.const 4096))
                    (i32.store (i32.const 20) (i32.const 100))
                    (drop (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))
                    (if (i32.load (i32.const 24)) (then (call $show (i32.load (i32.const 24))) (br $more))))))"#,
    ),
    (
        // Writes for ever; what the host answers does not matter.
        "yes.wat",
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory 1) (data (i32.const 0) "\08\00\00\00\02\00\00\00y\n")
            (func (export "_start")
                (loop (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))) (br 0)))
            (func (export "once") (result i32)
                (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16))))"#,
    ),
    (
        "imports.wat",
        r#"(module
            (import "env" "log" (func $log (param i32)))
            (import "env" "twice" (func $twice (param i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_wirte" (func (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
            (func (export "_start") (call $log (i32.const 1)))
            (func (export "two") (result i32) (call $log (i32.const 1)) (call $twice (i32.const 1))))"#,
    ),
    ("invalid.wat", r#"(module (func $f (export "_start") (drop (i32.add (i64.const 1) (i32.const 2)))))"#),
    ("syntax.wat", "(module\n  (func (export \"a\") i32.ad))\n"),
    ("later.wat", r#"(module (func (export "_start") (drop (v128.const i64x2 0 0))))"#),
    ("library.wat", r#"(module (func (export "_initialize")) (func (export "one") (result i32) (i32.const 1)))"#),
    ("both.wat", r#"(module (func (export "_initialize")) (func (export "_start")))"#),
    ("typed.wat", r#"(module (func (export "_start") (param i32)))"#),
    ("global.wat", r#"(module (global (export "_start") i32 (i32.const 0)))"#),
    ("start.wat", r#"(module (func $f unreachable) (start $f))"#),
    ("quiet.wat", "(module)"),
];

#[test]
fn results_are_printed() {
    let place = Place::new("results");
    place.check("--invoke add math.wat 2 -3", 0, "-1\n", "");
    place.check("run --invoke add math.wat 0xffffffff 1", 0, "0\n", "");
    let all = "--invoke all math.wat -1 -2 0.1 1e300 null";
    place.check(all, 0, "-1\n-2\n0.1\n1e300\nnull\n", "");
    let all = "--invoke all math.wat 0 0 nan:0x200000 -nan null";
    place.check(all, 0, "0\n0\nnan:0x200000\n-nan\nnull\n", "");
    place.check("--invoke one library.wat", 0, "1\n", "");
    place.check("--invoke _initialize --invoke one library.wat", 0, "1\n", "");
    place.check("--invoke grow --invoke grow --invoke add math.wat 1 2", 0, "1\n1001\n3\n", "");
}

#[test]
fn statuses_and_words() {
    let place = Place::new("statuses");
    place.check("exit.wat", 3, "", "");
    place.check("quiet.wat", 0, "", "");
    place.check("library.wat", 0, "", "");
    place.check(
        "--invoke load math.wat 65530",
        134,
        "",
        "error: trap: out of bounds memory access\n  \
         i32.load of 4 bytes at 65534 (base 65530 + offset 4); memory 0 holds \
         65536 bytes\n  wasm backtrace, innermost first:\n    0: 0x7e  load  math\n    1: 0x86  load  math\n",
    );
    let div = place.run("--invoke div math.wat 0");
    assert_eq!((div.status, div.err.lines().next().unwrap()), (134, "error: trap: integer divide by zero"));
    let deep = place.run("--invoke deep math.wat");
    assert_eq!((deep.status, deep.err.lines().next().unwrap()), (134, "error: trap: call stack exhausted"));
    assert!(deep.err.lines().last().unwrap().ends_with(" more"), "{}", deep.err);
    assert_eq!(place.run("start.wat").status, 134);

    for (args, status, line) in [
        ("--fuel 1000 --invoke spin math.wat", 123, "error: out of fuel"),
        ("-W fuel=1000 --invoke spin math.wat", 123, "error: out of fuel"),
        ("--timeout 50ms --invoke spin math.wat", 124, "error: deadline passed"),
        ("-W timeout=0.05s --invoke spin math.wat", 124, "error: deadline passed"),
    ] {
        let ended = place.run(args);
        assert_eq!((ended.status, ended.err.lines().next().unwrap()), (status, line), "{args}");
    }
    let small = place.run("--memory 1KiB --invoke add math.wat 1 2");
    assert!(small.status == 123 && small.err.starts_with("error: budget exceeded by "), "{small:?}");
    place.check("--invoke grow math.wat", 0, "1\n", "");
    place.check("--memory 1MiB --invoke grow math.wat", 0, "-1\n", "");
    place.check("-W max-memory-size=1MiB --invoke grow math.wat", 0, "-1\n", "");
    let ended = place.run("-W max-memory-size=1MiB,trap-on-grow-failure --invoke grow math.wat");
    assert!(ended.status == 123 && ended.err.starts_with("error: budget exceeded by a memory"), "{ended:?}");
}

#[test]
fn modules_that_are_none() {
    let place = Place::new("wrong");
    place.file("empty.wasm", "");
    place.file("short.wasm", b"\0asm\x01\0\0\0\x01\x05\x01");
    place.file("noise.wasm", [0x80, 0xff, 0, 1, 2, 3, 4, 5, 6, 7]);
    fs::create_dir(place.0.join("folder")).unwrap();
    for (args, line) in [
        ("nothing.wasm", "error: cannot read nothing.wasm: no such file or directory"),
        ("folder", "error: cannot read folder: is a directory"),
        ("syntax.wat", "error: unknown operator or unexpected token"),
        (
            "invalid.wat",
            "error: invalid module: function 0 `f`, offset 0x27, at `i32.add`: type mismatch: expected i32, found i64",
        ),
        ("validate nothing.wasm", "error: cannot read nothing.wasm: no such file or directory"),
        ("inspect folder", "error: cannot read folder: is a directory"),
        ("dump syntax.wat", "error: unknown operator or unexpected token"),
        ("wast nothing.wast", "error: cannot read nothing.wast: no such file or directory"),
        ("--invoke sub math.wat", "error: math.wat exports no sub; there are load, add, all, div, deep, spin, grow"),
        ("--invoke g math.wat", "error: g of math.wat is no function, but (global i32)"),
        (
            "math.wat",
            "error: math.wat exports no _start; --invoke calls another export; \
             there are load, add, all, div, deep, spin, grow",
        ),
        ("both.wat", "error: both.wat exports both _start and _initialize, so it is no program and no library"),
        ("typed.wat", "error: _start of typed.wat has type (func (param i32)), expected (func)"),
        ("global.wat", "error: _start of global.wat is no function, but (global i32)"),
    ] {
        let ended = place.run(args);
        assert_eq!((ended.status, ended.out.as_str(), ended.err.lines().next().unwrap()), (1, "", line), "{args}");
    }
    for file in ["empty.wasm", "short.wasm", "noise.wasm"] {
        for verb in ["run", "validate", "inspect", "dump"] {
            let ended = place.run(&format!("{verb} {file}"));
            assert!(ended.status == 1 && ended.err.starts_with("error: malformed module at 0x"), "{verb} {ended:?}");
            assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        }
    }
    let later = place.run("later.wat");
    assert_eq!(later.status, 1);
    assert!(later.err.contains("needs the simd proposal, which this version does not run yet"), "{}", later.err);
    // The text's place is shown.
    assert!(place.run("syntax.wat").err.contains("syntax.wat:2:22"));
    // An invalid function is only found when it is called, if nothing else is said.
    place.file("unused.wat", "(module (func (result i32)) (func (export \"_start\")))");
    place.check("unused.wat", 0, "", "");
    for mode in ["eager", "lazy-checked"] {
        assert_eq!(place.run(&format!("--compile {mode} unused.wat")).status, 1);
    }
}

#[test]
fn usage() {
    let place = Place::new("usage");
    for args in [
        "",
        "run",
        "--nope math.wat",
        "--fuel",
        "--fuel x math.wat",
        "--timeout 1d math.wat",
        "--memory big math.wat",
        "--dispatch odd math.wat",
        "--stub-imports maybe imports.wat",
        "-W nope math.wat",
        "-W tail-call=maybe math.wat",
        "-W max-wasm-stack=10 quiet.wat",
        "--env =x echo.wat",
        "--invoke add math.wat 1",
        "--invoke add math.wat 1 2 3",
        "--invoke add math.wat 1 two",
        "--invoke add math.wat 1 4294967296",
        "validate",
        "inspect",
        "dump --func x math.wat",
        "completion noshell",
    ] {
        let ended = place.run(args);
        assert_eq!((ended.status, ended.out.as_str()), (2, ""), "{args}: {}", ended.err);
        assert!(!ended.err.is_empty(), "{args}");
    }
    place.check("--invoke add math.wat 1 two", 2, "", "error: argument 2 of add: `two` is no i32\n");
    let few = "error: add has type (func (param i32 i32) (result i32)): expected 2 arguments, found 1\n";
    place.check("--invoke add math.wat 1", 2, "", few);
}

#[test]
fn help_and_version() {
    let place = Place::new("help");
    for (args, wants) in [
        ("--help", &["Examples:", "Usage: jitless [run]", "Statuses:", "--stub-imports"][..]),
        ("-h", &["Usage: jitless [run]", "--invoke"]),
        ("help run", &["Run a program: ", "Usage: jitless [run]", "--invoke"]),
        ("validate --help", &["Check modules without running them\n", "Usage: jitless validate"]),
        ("--version", &["jitless 0.", "commit: ", "features: "]),
        ("-V", &["jitless 0."]),
        ("-W help", &["tail-call", "max-wasm-stack", "does not run yet"]),
        ("validate -W help", &["tail-call"]),
        ("completion bash", &["jitless"]),
        ("completion fish", &["jitless"]),
    ] {
        let ended = place.run(args);
        assert_eq!((ended.status, ended.err.as_str()), (0, ""), "{args}");
        wants.iter().for_each(|want| assert!(ended.out.contains(want), "{args}: {want}\n{}", ended.out));
        // Nothing is coloured that no terminal shows.
        assert!(!ended.out.contains('\u{1b}'), "{args}");
    }
    assert!(place.run("-h").out.lines().count() <= 50);
}

/// Row 66 of the hostile inputs about WASI: what a guest writes is its own business; what the command says of it is
/// harmless on a terminal.
#[test]
fn w66_only_the_guest_writes_control_characters() {
    let place = Place::new("control");
    place.file(
        "evil.wat",
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (data (i32.const 0) "\08\00\00\00\04\00\00\00\1b[2J")
            (func $evil (@name "a\1b[2Jb") (export "_start")
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
                (drop (call $unlink (i32.const 3) (i32.const 8) (i32.const 4)))
                unreachable)
            (func (export "\1b[31mred")))"#,
    );
    let ended = place.run("--trace wasi evil.wat");
    assert_eq!((ended.status, ended.out.as_str()), (134, "\u{1b}[2J"));
    assert!(
        ended.err.contains("a\\u{1b}[2Jb") && ended.err.contains("path_unlink_file(3, \"\\u{1b}[2J\")"),
        "{}",
        ended.err
    );
    for args in [
        "evil.wat",
        "--trace wasi evil.wat",
        "--invoke \u{1b}[31mgreen evil.wat",
        "\u{1b}[31m.wasm",
        "validate \u{1b}.wat",
    ] {
        assert!(!place.run(args).err.contains('\u{1b}'), "{args:?}");
    }
    for args in ["inspect evil.wat", "dump evil.wat"] {
        let ended = place.run(args);
        assert!(!ended.out.contains('\u{1b}') && !ended.err.contains('\u{1b}'), "{args}");
    }
}

#[test]
fn what_stands_behind_the_file_is_the_guests() {
    let place = Place::new("args");
    place.check("echo.wat --help -W run --", 0, "echo.wat\0--help\0-W\0run\0--\0", "");
    place.check("-- echo.wat -- a", 0, "echo.wat\0--\0a\0", "");
    place.check("run echo.wat run", 0, "echo.wat\0run\0", "");
    place.check("./echo.wat", 0, "echo.wat\0", "");
    place.check("--argv0 name echo.wat x", 0, "name\0x\0", "");
    place.check("--env A=1 --env B= --env A=2=3 echo.wat", 0, "echo.wat\0A=2=3\0B=\0", "");
    let mut command = place.command("--env HERE --env NOT_HERE echo.wat");
    let ended = Ended::of(command.env("HERE", "yes").env_remove("NOT_HERE").output().unwrap());
    assert_eq!((ended.status, ended.out.as_str()), (0, "echo.wat\0HERE=yes\0"));
}

#[test]
fn streams() {
    let place = Place::new("streams");
    place.file("input", "from a file");
    place.check("--stdin input echo.wat", 0, "echo.wat\0from a file", "");
    let long = "x".repeat(200_000);
    let ended = place.feed("echo.wat", long.as_bytes());
    assert!(ended.status == 0 && ended.out == format!("echo.wat\0{long}"));
    // The module itself comes from there: then the guest has no input.
    let ended = place.feed("- a", place.read("echo.wat").as_bytes());
    assert_eq!((ended.status, ended.out.as_str()), (0, "-\0a\0"));
    let wasm = wat::parse_str(place.read("echo.wat")).unwrap();
    assert_eq!(place.feed("--argv0 x -", &wasm).out, "x\0");
    assert_eq!(place.feed("validate -", b"(module (func (result i32)))").status, 1);
    for (args, err) in [
        ("--stdin nothing echo.wat", "error: cannot read nothing: no such file or directory\n"),
        ("--stdin . echo.wat", "error: cannot read .: is a directory\n"),
    ] {
        place.check(args, 1, "", err);
    }
}

#[cfg(unix)]
#[test]
fn waiting_for_input_ends_at_the_deadline() {
    let place = Place::new("waiting");
    let begin = Instant::now();
    let mut command = place.command("--timeout 100ms echo.wat");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let held = child.stdin.take();
    let ended = Ended::of(child.wait_with_output().unwrap());
    drop(held);
    assert_eq!((ended.status, ended.err.lines().next().unwrap()), (124, "error: deadline passed"));
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[cfg(target_os = "linux")]
#[test]
fn outputs_that_are_full() {
    let place = Place::new("full");
    let full = "error: cannot write to standard output: no space left on device\n";
    for args in [
        "--invoke add math.wat 1 2",
        "--invoke once yes.wat",
        "echo.wat",
        "inspect math.wat",
        "dump math.wat",
        "completion bash",
        "-W help",
        "--help",
        "--version",
    ] {
        let to = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = Ended::of(place.command(args).stdout(to).output().unwrap());
        assert_eq!((ended.status, ended.err.as_str()), (1, full), "{args}");
    }
    let ended = place.run("--status /dev/full quiet.wat");
    assert_eq!((ended.status, ended.err.as_str()), (1, "error: cannot write /dev/full: no space left on device\n"));
    // Nobody can be told, and nobody panics.
    let to = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(Ended::of(place.command("nothing").stderr(to).output().unwrap()).status, 1);
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new("pipe");
    for args in ["yes.wat", "dump math.wat", "--invoke add math.wat 1 2", "--help"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = Ended::of(place.command(args).stdout(writer).output().unwrap());
        assert_eq!((ended.status, ended.err.as_str()), (141, ""), "{args}");
    }
}

#[test]
fn imports_that_are_missing() {
    let place = Place::new("imports");
    place.check(
        "imports.wat",
        1,
        "",
        "error: cannot instantiate imports.wat: 3 of 4 imports do not fit\n  \
         env.log                          not defined; needs (func (param i32))\n  \
         env.twice                        not defined; needs (func (param i32) (result i32))\n  \
         wasi_snapshot_preview1.fd_wirte  not defined; did you mean wasi_snapshot_preview1.fd_write \
         (func (param i32 i32 i32 i32) (result i32))?\n",
    );
    let ended = place.run("--stub-imports trap imports.wat");
    assert_eq!(ended.status, 134);
    assert_eq!(ended.err.lines().next().unwrap(), "error: call of env.log, which is not defined");
    place.check("--stub-imports zero imports.wat", 0, "", "");
    place.check("--stub-imports zero --invoke two imports.wat", 0, "0\n", "");
}

#[test]
fn how_it_ended_for_programs() {
    let place = Place::new("status-file");
    let status = |args: &str| {
        let ended = place.run(&format!("--status s.json {args}"));
        (ended.status, place.read("s.json"))
    };
    for (args, code, begins) in [
        ("quiet.wat", 0, r#"{"kind":"exit","code":0,"fuel_used":"#),
        ("exit.wat", 3, r#"{"kind":"exit","code":65539,"fuel_used":"#),
        ("--invoke add math.wat 1 2", 0, r#"{"kind":"returned","results":["3"],"fuel_used":"#),
        (
            "--invoke load math.wat 65536",
            134,
            concat!(
                r#"{"kind":"trap","trap":"out of bounds memory access","#,
                r#""message":"trap: out of bounds memory access","#,
                r#""backtrace":[{"name":"load","module":"math","function":0,"function_offset":"#
            ),
        ),
        ("--fuel 10 --invoke spin math.wat", 123, r#"{"kind":"out-of-fuel","message":"out of fuel","required_fuel":"#),
        ("imports.wat", 1, r#"{"kind":"link","message":"unknown import: env.log not defined;"#),
        ("nothing.wasm", 1, r#"{"kind":"failed","message":"cannot read nothing.wasm: no such file or directory"}"#),
    ] {
        let (found, text) = status(args);
        assert!(found == code && text.starts_with(begins), "{args}: {found} {text}");
        assert!(text.ends_with("}\n"));
    }
    let ended = place.run("--status no/folder quiet.wat");
    assert_eq!((ended.status, ended.err.as_str()), (1, "error: cannot write no/folder: no such file or directory\n"));
    // What the guest says counts more.
    assert_eq!(place.run("--status no/folder exit.wat").status, 3);
}

#[test]
fn stats() {
    let place = Place::new("stats");
    let ended = place.run("--stats --memory 128MiB --invoke add math.wat 1 2");
    assert_eq!((ended.status, ended.out.as_str()), (0, "3\n"));
    let lines: Vec<_> = ended.err.lines().collect();
    assert!(lines[0].starts_with("note: fuel used ") && lines[0].ends_with(" of 128 MiB"), "{}", ended.err);
    assert!(lines[1].starts_with("note: loaded in "));
    let ended = place.run("--stats --fuel 100 --invoke spin math.wat");
    assert_eq!((ended.status, ended.err.lines().next().unwrap()), (123, "error: out of fuel"));
    assert!(ended.err.contains("note: fuel used "));
}

#[test]
fn modes_give_the_same() {
    let place = Place::new("modes");
    for dispatch in ["auto", "bounced"] {
        for compile in ["eager", "lazy", "lazy-checked"] {
            let mode = format!("--dispatch {dispatch} --compile {compile}");
            place.check(&format!("{mode} echo.wat a b"), 0, "echo.wat\0a\0b\0", "");
            place.check(&format!("{mode} exit.wat"), 3, "", "");
        }
    }
}

#[test]
fn validating() {
    let place = Place::new("validate");
    place.check("validate math.wat echo.wat", 0, "", "");
    place.check(
        "validate math.wat invalid.wat nothing",
        1,
        "",
        "error: invalid.wat: invalid module: function 0 `f`, offset 0x27, at `i32.add`: type mismatch: \
         expected i32, found i64\nerror: cannot read nothing: no such file or directory\n",
    );
    place.file("tail.wat", "(module (func $f (return_call $f)))");
    place.check("validate tail.wat", 0, "", "");
    let off = place.run("validate -W tail-call=n tail.wat");
    assert!(off.status == 1 && off.err.contains("needs the tail-call proposal, which is switched off"), "{off:?}");
}

#[test]
fn inspecting() {
    let place = Place::new("inspect");
    let ended = place.run("inspect imports.wat");
    assert_eq!((ended.status, ended.err.as_str()), (0, ""));
    for line in [
        "needs: nothing beyond WebAssembly 1.0",
        "imports: 4",
        "  env.twice                           (func (param i32) (result i32))",
        "exports: 2",
        "  two     (func (result i32))",
        "custom sections: 1",
    ] {
        assert!(ended.out.lines().any(|found| found == line), "{line}\n{}", ended.out);
    }
    assert!(place.run("inspect math.wat").out.contains("\nneeds: multi-value, reference-types\n"));
    place.file("evil.wat", r#"(module (func (export "\1b[2J\0aerror: x")))"#);
    let evil = place.run("inspect evil.wat").out;
    assert!(evil.contains(r"  \u{1b}[2J\u{a}error: x  (func)"), "{evil}");
    let ended = place.run("inspect invalid.wat");
    assert!(ended.status == 1 && ended.out.contains("exports: 1") && ended.err.starts_with("error: invalid module"));
}

#[test]
fn listings() {
    let place = Place::new("dump");
    let one = place.run("dump --func 2 math.wat");
    assert_eq!((one.status, one.err.as_str()), (0, ""));
    assert!(one.out.starts_with("func 2\n") && one.out.contains("  i32.add"), "{}", one.out);
    let all = place.run("dump math.wat").out;
    assert!(all.contains(&one.out) && all.matches("\nfunc ").count() == 7, "{all}");
    place.check("dump --func 99 math.wat", 1, "", "error: function 99 is not defined in this module\n");
    assert_eq!(place.run("dump invalid.wat").status, 1);
}

#[test]
fn scripts() {
    let place = Place::new("wast");
    let module = r#"(module (func (export "f") (result i32) (i32.const 1)))"#;
    place.file("good.wast", format!("{module} (assert_return (invoke \"f\") (i32.const 1))"));
    place.file("bad.wast", format!("{module} (assert_return (invoke \"f\") (i32.const 2))"));
    let good = place.run("wast good.wast");
    assert_eq!((good.status, good.out.lines().last().unwrap()), (0, "2 passed, 0 failed, 0 skipped"));
    let bad = place.run("wast good.wast bad.wast");
    assert_eq!((bad.status, bad.out.lines().last().unwrap()), (1, "3 passed, 1 failed, 0 skipped"));
    let json = place.run("wast --json bad.wast");
    assert!(json.status == 1 && json.out.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
}

#[test]
fn the_guests_that_are_kept() {
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/guests");
    let place = Place::new("guests");
    let run = |args: &str| {
        let (file, rest) = args.split_once(' ').unwrap_or((args, ""));
        place.run(&format!("{} {rest}", guests.join(file).display()))
    };
    let hello = run("hello.wasm");
    assert_eq!((hello.status, hello.out.as_str(), hello.err.as_str()), (0, "hello from WebAssembly!\n", ""));
    assert_eq!(run("hello.wat").out, hello.out);
    let built = wat::parse_file(guests.join("hello.wat")).unwrap();
    assert_eq!(fs::read(guests.join("hello.wasm")).unwrap(), built, "hello.wasm is not built from hello.wat");
    let life = run("life.wasm 30");
    assert_eq!((life.status, life.out.lines().count()), (0, 25));
    assert!(life.out.contains("####") && life.out.ends_with("generation 30: 27 cells alive\n"), "{}", life.out);
    let wrong = run("life.wasm many");
    assert_eq!((wrong.status, wrong.err.as_str()), (2, "life: `many` is no number from 0 to 1000000\n"));
}
