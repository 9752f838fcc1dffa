//! A guest that logs through a function of the host, and the sandbox's own log beside it.
use std::sync::{Arc, Mutex};

use jitless::sandbox::{Guest, LogLevel};
use jitless::{Caller, Sandbox, SandboxConfig};

const WAT: &str = r#"(module
    (import "env" "log" (func $log (param i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "starting up")
    (data (i32.const 32) "half way")
    (func (export "work")
        (call $log (i32.const 16) (i32.const 11))
        (call $log (i32.const 32) (i32.const 8))))"#;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = SandboxConfig::default().log(LogLevel::Debug, |level, line| println!("sandbox {level:?}: {line}"));
    let mut sandbox = Sandbox::new(config)?;
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    // An address and a length. Both may be anything, so reading is what checks them; and the host's work is charged for.
    sandbox.host_fn("env", "log", move |mut caller: Caller<'_, Guest>, ptr: u32, len: u32| {
        caller.charge(u64::from(len) / 64 + 10)?;
        let line = caller.memory()?.read_str(&caller, ptr, len)?.to_owned();
        println!("guest: {line}");
        sink.lock().map_err(|_| jitless::Error::msg("the log is broken"))?.push(line);
        Ok(())
    })?;
    sandbox.load(&wat::parse_str(WAT)?)?;
    sandbox.call("work", &[])?;
    assert_eq!(*lines.lock().map_err(|_| "the log is broken")?, ["starting up", "half way"]);
    Ok(())
}
