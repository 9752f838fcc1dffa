//! CPython, where the corpus has it: its files, its deadline, and that it runs again after that.
use std::time::Instant;

use jitless::sandbox::SandboxErrorKind as Kind;

#[path = "../../examples/python.rs"]
#[expect(dead_code, reason = "a test has no command line")]
mod python;

#[test]
fn python_runs_and_ends_at_its_deadline() {
    let Some(module) = python::find() else {
        println!("skipped: no CPython in the corpus");
        return;
    };
    let mut sandbox = python::python(&module).unwrap();
    let files = sandbox.files().unwrap().clone();
    files
        .write("app/hello.py", "import sys\nprint('hello', *sys.argv[1:])\nopen('/out.txt', 'w').write('done')")
        .unwrap();
    files.write("app/forever.py", "print('begun', flush=True)\nwhile True: pass").unwrap();
    let start = Instant::now();
    assert!(sandbox.run(["python", "/app/hello.py", "a", "b c"]).unwrap().success(), "{}", sandbox.stderr().text());
    let took = start.elapsed();
    assert_eq!(sandbox.stdout().text(), "hello a b c\n");
    assert_eq!(files.read("out.txt").unwrap(), b"done");
    assert!(sandbox.usage().memory_peak <= 256 << 20);

    let limit = took * 2;
    sandbox.set_timeout(Some(limit));
    let start = Instant::now();
    let error = sandbox.run(["python", "/app/forever.py"]).unwrap_err();
    let late = start.elapsed() - limit;
    assert_eq!(*error.kind(), Kind::Timeout { limit });
    assert!(error.backtrace().is_some_and(|backtrace| !backtrace.is_empty()));
    assert!(late.as_millis() < 500, "{late:?} after its deadline");
    // It was in the loop, and not still on its way there.
    assert_eq!(sandbox.stdout().text(), "begun\n");

    sandbox.set_timeout(None);
    assert!(sandbox.run(["python", "/app/hello.py"]).unwrap().success());
    assert_eq!(sandbox.stdout().text(), "hello\n");
}
