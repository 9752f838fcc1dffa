//! Strings both ways: the guest hands one to the host, the host hands one to the guest, through the guest's own allocator.
use jitless::{Caller, Engine, Linker, Module, Store};

const WAT: &str = r#"(module
    (import "env" "print" (func $print (param i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "hello from the guest")
    (global $free (mut i32) (i32.const 1024))
    ;; What a guest in C calls malloc; here it only ever goes up.
    (func (export "alloc") (param $len i32) (result i32)
        (global.get $free)
        (global.set $free (i32.add (global.get $free) (local.get $len))))
    (func (export "greet") (call $print (i32.const 16) (i32.const 20)))
    ;; Makes ASCII letters upper case, in place.
    (func (export "shout") (param $ptr i32) (param $len i32)
        (local $end i32) (local $c i32)
        (local.set $end (i32.add (local.get $ptr) (local.get $len)))
        (block $done (loop $next
            (br_if $done (i32.eq (local.get $ptr) (local.get $end)))
            (local.set $c (i32.load8_u (local.get $ptr)))
            (if (i32.lt_u (i32.sub (local.get $c) (i32.const 97)) (i32.const 26))
                (then (i32.store8 (local.get $ptr) (i32.sub (local.get $c) (i32.const 32)))))
            (local.set $ptr (i32.add (local.get $ptr) (i32.const 1)))
            (br $next)))))"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::default();
    let mut linker = Linker::new(&engine);
    // From the guest: an address and a length. Both may be anything, so reading is what checks them.
    linker.func_wrap("env", "print", |mut caller: Caller<'_, Vec<String>>, ptr: u32, len: u32| {
        let text = caller.memory()?.read_str(&caller, ptr, len)?.to_owned();
        println!("{text}");
        caller.data_mut().push(text);
        Ok(())
    })?;

    let mut store = Store::new(&engine, Vec::new());
    let instance = linker.instantiate(&mut store, &Module::new(&engine, wat::parse_str(WAT)?)?)?;
    instance.get_typed_func::<(), ()>(&store, "greet")?.call(&mut store, ())?;
    assert_eq!(store.data(), &["hello from the guest"]);

    // To the guest: it says where there is room.
    let memory = instance.get_memory(&store, "memory").ok_or("no memory")?;
    let alloc = instance.get_typed_func::<u32, u32>(&store, "alloc")?;
    let shout = instance.get_typed_func::<(u32, u32), ()>(&store, "shout")?;
    let text = "hello from the höst";
    let len = u32::try_from(text.len())?;
    let ptr = alloc.call(&mut store, len)?;
    memory.write_str(&mut store, ptr, text)?;
    shout.call(&mut store, (ptr, len))?;
    let answer = memory.read_str(&store, ptr, len)?;
    println!("{answer}");
    assert_eq!(answer, "HELLO FROM THE HöST");

    // An address that is none is an error with numbers, not a crash.
    println!("{:#}", memory.read_str(&store, 65_530, 100).unwrap_err());
    Ok(())
}
