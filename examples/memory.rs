//! Exchange through memory: the host fills an array, the guest works on it, the host reads it; and both at once.
use jitless::{Caller, Engine, Linker, Memory, MemoryType, Module, Store};

const WAT: &str = r#"(module
    (import "env" "memory" (memory 1))
    (import "env" "sample" (func $sample (param i32)))
    ;; Sums $n numbers at $ptr.
    (func (export "sum") (param $ptr i32) (param $n i32) (result i64)
        (local $sum i64)
        (block $done (loop $next
            (br_if $done (i32.eqz (local.get $n)))
            (local.set $sum (i64.add (local.get $sum) (i64.load32_u (local.get $ptr))))
            (local.set $ptr (i32.add (local.get $ptr) (i32.const 4)))
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br $next)))
        (local.get $sum))
    (func (export "grow_and_sample") (result i32)
        (drop (memory.grow (i32.const 1)))
        (call $sample (i32.const 65536))
        (i32.load (i32.const 65536))))"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::default();
    let mut store = Store::new(&engine, 7u32);

    // A memory of the host's, which the guest imports.
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(4)))?;
    let mut linker = Linker::new(&engine);
    linker.define(&store, "env", "memory", memory)?;
    linker.func_wrap("env", "sample", |mut caller: Caller<'_, u32>, ptr: u32| {
        // The bytes and the store's data at once: two borrows out of one.
        let (bytes, seed) = caller.memory()?.data_and_store_mut(&mut caller);
        *seed += 1;
        match bytes.get_mut(ptr as usize..).and_then(|rest| rest.first_chunk_mut()) {
            Some(place) => *place = seed.to_le_bytes(),
            None => return Err(jitless::Trap::MemoryOutOfBounds.into()),
        }
        Ok(())
    })?;
    let instance = linker.instantiate(&mut store, &Module::new(&engine, wat::parse_str(WAT)?)?)?;

    // An array in, little-endian as WebAssembly has it.
    let numbers: Vec<u32> = (1..=1000).collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    memory.write(&mut store, 256, &bytes)?;
    let sum = instance.get_typed_func::<(u32, u32), u64>(&store, "sum")?;
    println!("the sum is {}", sum.call(&mut store, (256, 1000))?);
    assert_eq!(sum.call(&mut store, (256, 1000))?, 500_500);

    // In place, without a copy.
    memory.data_mut(&mut store)[256..260].copy_from_slice(&1001u32.to_le_bytes());
    assert_eq!(sum.call(&mut store, (256, 1000))?, 501_500);

    // Growth may move the bytes; handles do not care.
    let grow = instance.get_typed_func::<(), u32>(&store, "grow_and_sample")?;
    assert_eq!(grow.call(&mut store, ())?, 8);
    assert_eq!((memory.size(&store), store.data()), (2, &8));
    Ok(())
}
