//! Fuel to the unit: the same in every mode, and something for every operator.

use jitless::{Caller, Compilation, Dispatch, Engine, ErrorKind::*, Linker, Module, Store, Val};
use jitless_machine::instr::{Access, Plain};
use jitless_machine::types::Ty;

use crate::harness::*;

/// Programs that end, with what of them can be seen: calls of the host, and bytes written in order.
const PROGRAMS: &[&str] = &[
    r#"(module (import "h" "out" (func $out (param i32))) (memory (export "m") 1)
        (func (export "run") (local i32)
            (loop $l
                (call $out (local.get 0)) (i32.store8 (local.get 0) (i32.add (local.get 0) (i32.const 1)))
                (br_if $l (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 100))))))"#,
    r#"(module (import "h" "out" (func $out (param i32))) (memory (export "m") 1)
        (func $put (param i32) (if (i32.and (local.get 0) (i32.const 1)) (then (call $out (local.get 0))))
            (i32.store8 (local.get 0) (i32.const 1)))
        (func $tree (param i32 i32)
            (if (i32.eqz (local.get 0)) (then (call $put (local.get 1)) (return)))
            (call $tree (i32.sub (local.get 0) (i32.const 1)) (i32.shl (local.get 1) (i32.const 1)))
            (call $tree (i32.sub (local.get 0) (i32.const 1)) (i32.or (i32.shl (local.get 1) (i32.const 1))
            (i32.const 1))))
        (func (export "run") (call $tree (i32.const 6) (i32.const 0))))"#,
    r#"(module (import "h" "out" (func $out (param i32))) (memory (export "m") 1) (table 4 funcref) (elem
        (i32.const 0) $a $b $c)
        (type $t (func (param i32) (result i32)))
        (func $a (type $t) (call $out (local.get 0)) (i32.add (local.get 0) (i32.const 1)))
        (func $b (type $t) (i32.store8 (local.get 0) (i32.const 7)) (local.get 0))
        (func $c (type $t) (return_call_indirect (type $t) (local.get 0) (i32.const 1)))
        (func (export "run") (local i32 i32)
            (loop $l
                (drop (call_indirect (type $t) (local.get 0) (i32.const 2)))
                (local.set 0 (call_indirect (type $t) (local.get 0) (i32.const 0)))
                (block $x (block $y (br_table $x $y (i32.and (local.get 0) (i32.const 1)))) (memory.fill
                (i32.const 1000) (i32.const 0) (i32.const 640)))
                (br_if $l (i32.lt_u (local.get 0) (i32.const 60))))))"#,
];

struct Run {
    result: Result<(), jitless::ErrorKind>,
    log: Vec<i32>,
    bytes: Vec<u8>,
    fuel: u64,
}

/// Runs a program with so much fuel.
fn run(cx: &Cx, module: &Module, fuel: u64) -> Run {
    let mut store = Store::new(module.engine(), Vec::new());
    let mut linker = Linker::new(module.engine());
    linker.func_wrap("h", "out", |mut caller: Caller<'_, Vec<i32>>, n: i32| caller.data_mut().push(n)).unwrap();
    let instance = linker.instantiate(&mut store, module).unwrap();
    let run = instance.get_typed_func::<(), ()>(&store, "run").unwrap();
    store.set_fuel(fuel).unwrap();
    let before = store.fuel_used();
    let result = run.call(&mut store, ()).map_err(|error| {
        cx.seen(&error);
        error.kind()
    });
    let memory = instance.get_memory(&store, "m").unwrap();
    let bytes = memory.data(&store)[..256].to_vec();
    Run { result, bytes, fuel: store.fuel_used() - before, log: store.into_data() }
}

pub(super) fn r1_fuel_to_the_unit(cx: &Cx) {
    cx.may_take(ms(5000));
    for text in PROGRAMS {
        let module = cx.accepts_wat(text);
        let full = run(cx, &module, u64::MAX);
        assert!(full.result.is_ok() && full.fuel > 500);
        let exact = run(cx, &module, full.fuel);
        assert_eq!((exact.result, exact.fuel), (Ok(()), full.fuel));
        assert_eq!(run(cx, &module, full.fuel - 1).result, Err(OutOfFuel));
        let mut before = 0;
        for k in 0..full.fuel.min(u64::from(turns(5000, 1000))) {
            let part = run(cx, &module, k);
            assert_eq!(part.result, Err(OutOfFuel), "{k} of {}", full.fuel);
            assert!(full.log.starts_with(&part.log), "{k}: {:?}", part.log);
            assert!(part.log.len() >= before, "{k}: less is done with more");
            before = part.log.len();
            // Bytes are written in order, each once.
            let written = part.bytes.iter().filter(|&&byte| byte != 0).count();
            assert!(part.bytes[..written] == full.bytes[..written], "{k}: {:?}", part.bytes);
        }
    }
    // Those that call nobody, and those that trap.
    for (name, text) in SEEDS {
        let module = cx.accepts_wat(text);
        for export in ["run", "go"] {
            let call = |fuel: u64| {
                let mut guest = cx.guest_of(&module);
                let func = guest.instance.get_func(&guest.store, export)?;
                let before = guest.store.fuel_used();
                guest.store.set_fuel(fuel).unwrap();
                let args: Vec<_> =
                    func.ty(&guest.store).params().iter().map(|&ty| Val::default_for_ty(ty).unwrap()).collect();
                let kind = guest.call(export, &args).map_err(|error| error.kind());
                Some((kind.err(), guest.store.fuel_used() - before))
            };
            let Some((kind, fuel)) = call(u64::MAX) else { continue };
            assert_eq!(call(fuel), Some((kind, fuel)), "{name}");
            for k in 0..fuel.min(200) {
                // A trap stops before the fuel runs out that the rest of its line would have taken.
                let (part, used) = call(k).unwrap();
                assert!(
                    part == Some(OutOfFuel) || (kind == Some(Trap) && part == kind && used == fuel),
                    "{name} with {k} of {fuel}"
                );
            }
        }
    }
}

pub(super) fn r2_fuel_in_every_mode(cx: &Cx) {
    let mut bills = Vec::new();
    for dispatch in [Dispatch::Auto, Dispatch::Bounced] {
        for compilation in [Compilation::Eager, Compilation::Lazy, Compilation::LazyChecked] {
            let mut config = cx.mode.config();
            let engine = Engine::new(config.dispatch(dispatch).compilation(compilation)).unwrap();
            let bill: Vec<_> = PROGRAMS
                .iter()
                .map(|text| {
                    let module = cx.load_in(&engine, &cx.wat(text)).unwrap();
                    let run = run(cx, &module, u64::MAX);
                    (run.result, run.fuel, run.log, run.bytes)
                })
                .collect();
            bills.push(bill);
        }
    }
    assert!(bills.windows(2).all(|pair| pair[0] == pair[1]));
    cx.note(&bills[0].iter().map(|(_, fuel, _, _)| *fuel).collect::<Vec<_>>());
}

/// The operators of one function of a module: their bytes, and how many of them are not free.
fn operators(text: &str) -> (Vec<u8>, u64) {
    let bytes = wat(text);
    for payload in wasmparser::Parser::new(0).parse_all(&bytes) {
        if let wasmparser::Payload::CodeSectionEntry(body) = payload.unwrap() {
            let mut reader = body.get_operators_reader().unwrap();
            let (start, mut end, mut count) = (reader.original_position(), reader.original_position(), 0);
            while !reader.eof() {
                end = reader.original_position();
                use wasmparser::Operator::{Block, Else, End, Loop, Nop};
                count += u64::from(!matches!(reader.read().unwrap(), Block { .. } | Loop { .. } | Nop | Else | End));
            }
            return (bytes[start as usize..end as usize].to_vec(), count);
        }
    }
    panic!("no function")
}

const TYPES: &str =
    r#"(type $f (func (param i32 i64 f32 f64 externref))) (type $v (func)) (type $i (func (param i32) (result i32)))"#;
const AROUND: &str = r#"(memory 1 1) (table $t 2 4 funcref) (table $x 2 4 externref) (global $g (mut i32)
    (i32.const 1)) (data $d "x")
    (elem $e func $f) (func $void (type $v)) (func $one (type $i) (local.get 0))"#;

pub(super) fn r3_every_operator_costs(cx: &Cx) {
    cx.may_take(ms(15_000));
    cx.no_oracle();
    let n = turns(10_000, 500) as usize;
    let one = |ty: Ty| format!("({}.const 1)", ty.text());
    let get = |ty: Ty| match ty {
        Ty::I32 => "(local.get 0)",
        Ty::I64 => "(local.get 1)",
        Ty::F32 => "(local.get 2)",
        _ => "(local.get 3)",
    };
    let mut copies: Vec<String> = Vec::new();
    for op in Plain::ALL {
        let info = op.info();
        let constants: String = info.operands.iter().map(|&ty| one(ty)).collect();
        let locals: String = info.operands.iter().map(|&ty| get(ty)).collect();
        copies.push(format!("(drop ({} {constants}))", info.name));
        copies.push(format!("(drop ({} {locals}))", info.name));
    }
    for op in Access::ALL {
        let info = op.info();
        for (address, value) in [("(i32.const 1)", one(info.ty)), ("(local.get 0)", get(info.ty).to_string())] {
            copies.push(match info.store {
                true => format!("({} {address} {value})", info.name),
                false => format!("(drop ({} {address}))", info.name),
            });
        }
    }
    for special in [
        "(if (i32.const 1) (then))",
        "(if (local.get 0) (then (nop)) (else (nop)))",
        "(block (br 0))",
        "(block (br_if 0 (i32.const 0)))",
        "(block (br_if 0 (local.get 0)))",
        "(block (br_table 0 0 (i32.const 0)))",
        "(block (br_table 0 0 (local.get 0)))",
        "(call $void)",
        "(drop (call $one (i32.const 1)))",
        "(drop (call_indirect (type $i) (local.get 0) (i32.const 1)))",
        "(drop (select (i32.const 1) (i32.const 2) (i32.const 0)))",
        "(drop (select (local.get 1) (i64.const 2) (local.get 0)))",
        "(drop (select (result externref) (local.get 4) (ref.null extern) (local.get 0)))",
        "(drop (local.get 0))",
        "(local.set 0 (i32.const 1))",
        "(local.set 0 (local.get 0))",
        "(drop (local.tee 0 (i32.const 1)))",
        "(drop (global.get $g))",
        "(global.set $g (i32.const 1))",
        "(global.set $g (global.get $g))",
        "(drop (memory.size))",
        "(drop (memory.grow (i32.const 0)))",
        "(drop (memory.grow (i32.const 1)))",
        "(drop (i32.const 0))",
        "(drop (i64.const 0))",
        "(drop (f32.const 0))",
        "(drop (f64.const 0))",
        "(memory.init $d (i32.const 0) (i32.const 0) (i32.const 0))",
        "(data.drop $d)",
        "(memory.copy (i32.const 0) (i32.const 0) (i32.const 0))",
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const 0))",
        "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 0))",
        "(elem.drop $e)",
        "(table.copy $t $t (i32.const 0) (i32.const 0) (i32.const 0))",
        "(table.fill $t (i32.const 0) (ref.null func) (i32.const 0))",
        "(drop (table.get $x (i32.const 0)))",
        "(table.set $x (i32.const 0) (local.get 4))",
        "(drop (table.grow $t (ref.null func) (i32.const 0)))",
        "(drop (table.size $t))",
        "(drop (ref.null func))",
        "(drop (ref.is_null (local.get 4)))",
        "(drop (ref.func $f))",
    ] {
        copies.push(special.into());
    }
    let mut dear = Vec::new();
    for copy in copies {
        // The function comes last, so that its body can be found and made longer.
        let text = |body: &str| {
            format!(
                "(module {TYPES} (func $f (export \"f\") (type $f) {body}) {AROUND} (elem (table $t)
                    (i32.const 1) func $one))"
            )
        };
        let (bytes, cost) = cx.aside(|| operators(&text(&copy)));
        let long = cx.aside(|| with_body(&wat(&text(&copy)), &times(&bytes, n)));
        let module = cx.load(&long).unwrap_or_else(|error| panic!("{copy}: {error}"));
        let mut guest = cx.guest_of(&module);
        let args = [Val::I32(1), Val::I64(1), Val::from(1f32), Val::from(1f64), Val::null_extern_ref()];
        guest.gives("f", &args, &[]);
        let used = guest.store.fuel_used();
        assert!(used >= n as u64 * cost, "{copy}: {n} copies cost {used}, {cost} each expected");
        if used > n as u64 * cost + 10 {
            dear.push(copy);
        }
    }
    // What costs more does something in a callee.
    assert!(dear.iter().all(|copy| copy.contains("call")), "{dear:?}");
}

/// The module with other operators in its first function, which has no locals.
fn with_body(bytes: &[u8], operators: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (H.to_vec(), 8);
    while at < bytes.len() {
        let (size, start) = leb_at(bytes, at + 1);
        let (id, contents) = (bytes[at], &bytes[start..start + size]);
        at = start + size;
        if id == 10 {
            let (count, first) = leb_at(contents, 0);
            let (size, start) = leb_at(contents, first);
            let body = func(&cat(&[&[0], operators, &[0x0B]]));
            out.extend(section(10, &cat(&[&leb(count as u64), &body, &contents[start + size..]])));
        } else {
            out.extend(section(id, contents));
        }
    }
    out
}

/// A number, and where it ends.
fn leb_at(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut value, mut shift) = (0, 0);
    loop {
        value |= usize::from(bytes[at] & 0x7F) << shift;
        (at, shift) = (at + 1, shift + 7);
        if bytes[at - 1] < 0x80 {
            return (value, at);
        }
    }
}
