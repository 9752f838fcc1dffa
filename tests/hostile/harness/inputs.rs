//! Modules as bytes: their parts, seeds for mutants, and what the reference says to them.

pub(crate) const H: [u8; 8] = *b"\0asm\x01\0\0\0";

#[track_caller]
pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{}", &text[..text.len().min(500)]))
}

/// Bytes from hexadecimal digits in pairs.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

/// The shortest unsigned LEB128.
pub(crate) fn leb(mut n: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

/// The shortest signed LEB128.
pub(crate) fn sleb(mut n: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = n as u8 & 0x7F;
        n >>= 7;
        if (n == 0 && byte & 0x40 == 0) || (n == -1 && byte & 0x40 != 0) {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

pub(crate) fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// `bytes` so many times.
pub(crate) fn times(bytes: &[u8], n: usize) -> Vec<u8> {
    bytes.repeat(n)
}

/// A section.
pub(crate) fn section(id: u8, contents: &[u8]) -> Vec<u8> {
    cat(&[&[id], &leb(contents.len() as u64), contents])
}

/// A function's body, that begins with its locals.
pub(crate) fn func(body: &[u8]) -> Vec<u8> {
    cat(&[&leb(body.len() as u64), body])
}

/// One type without parameters and results.
pub(crate) fn t0() -> Vec<u8> {
    section(1, &[1, 0x60, 0, 0])
}

/// A type of so many `i64` to so many `i64`.
pub(crate) fn wide(params: usize, results: usize) -> Vec<u8> {
    let i64s = |n: usize| cat(&[&leb(n as u64), &times(&[0x7E], n)]);
    cat(&[&[0x60], &i64s(params), &i64s(results)])
}

/// One type of a thousand `i64` to a thousand `i64`.
pub(crate) fn t1000() -> Vec<u8> {
    section(1, &cat(&[&[1], &wide(1000, 1000)]))
}

/// A module of sections.
pub(crate) fn module(sections: &[&[u8]]) -> Vec<u8> {
    cat(&[&H, &cat(sections)])
}

/// A module of one function without parameters and results.
pub(crate) fn body(bytes: &[u8]) -> Vec<u8> {
    module(&[&t0(), &section(3, &[1, 0]), &section(10, &cat(&[&[1], &func(bytes)]))])
}

/// The same, exported as `f`.
pub(crate) fn exported_body(bytes: &[u8]) -> Vec<u8> {
    module(&[&t0(), &section(3, &[1, 0]), &export_f(), &section(10, &cat(&[&[1], &func(bytes)]))])
}

/// Exports function 0 as `f`.
pub(crate) fn export_f() -> Vec<u8> {
    section(7, b"\x01\x01f\0\0")
}

/// `local.get` of 0 to n - 1.
pub(crate) fn gets(n: u64) -> Vec<u8> {
    (0..n).flat_map(|local| cat(&[&[0x20], &leb(local)])).collect()
}

/// Small modules, each about something else, that mutations start from. None imports anything.
pub(crate) const SEEDS: &[(&str, &str)] = &[
    (
        "numbers",
        r#"(module (func (export "run") (param i32 i64 f32 f64) (result i64)
            (i64.add (i64.extend_i32_s (i32.mul (local.get 0) (i32.const 77777)))
                (i64.xor (local.get 1) (i64.trunc_sat_f64_s
                    (f64.add (f64.promote_f32 (f32.sqrt (local.get 2))) (f64.mul (local.get 3) (f64.const 0.5))))))))"#,
    ),
    (
        "control",
        r#"(module (func $f (export "run") (param i32) (result i32) (local i32)
            (block $out (loop $again
                (br_if $out (i32.gt_u (local.get 1) (i32.const 20)))
                (block $a (block $b (block $c
                    (br_table $a $b $c (i32.and (local.get 1) (i32.const 3))))
                    (local.set 0 (i32.add (local.get 0) (i32.const 1))))
                    (local.set 0 (i32.mul (local.get 0) (i32.const 3))))
                (local.set 1 (i32.add (local.get 1) (i32.const 1)))
                (br $again)))
            (if (result i32) (i32.and (local.get 0) (i32.const 1)) (then (local.get 0)) (else (i32.const -1)))))"#,
    ),
    (
        "memory",
        r#"(module (memory (export "m") 1 2) (data $d "abcdef") (data (i32.const 8) "active")
            (func (export "run") (param i32) (result i32)
                (memory.init $d (i32.const 100) (i32.const 1) (i32.const 4)) (data.drop $d)
                (memory.copy (i32.const 200) (i32.const 8) (i32.const 6))
                (memory.fill (i32.const 300) (i32.const 0xAA) (i32.const 50))
                (i32.store16 offset=2 (i32.const 100) (local.get 0))
                (drop (memory.grow (i32.const 1)))
                (i32.add (i32.load8_s (i32.const 300)) (i32.add (i32.load (i32.const 100)) (memory.size)))))"#,
    ),
    (
        "tables",
        r#"(module (type $t (func (param i32) (result i32))) (table $t 4 8 funcref) (table $x 2 externref)
            (elem (i32.const 1) $inc $dec) (elem $p funcref (ref.func $inc) (ref.null func))
            (func $inc (type $t) (i32.add (local.get 0) (i32.const 1)))
            (func $dec (type $t) (i32.sub (local.get 0) (i32.const 1)))
            (func (export "run") (param i32) (result i32)
                (table.init $t $p (i32.const 0) (i32.const 0) (i32.const 2)) (elem.drop $p)
                (drop (table.grow $x (ref.null extern) (i32.const 3)))
                (table.copy $t $t (i32.const 3) (i32.const 2) (i32.const 1))
                (call_indirect $t (type $t) (call_indirect $t (type $t) (local.get 0) (i32.const 0)) (i32.const 3))))"#,
    ),
    (
        "globals",
        r#"(module (global $a (mut i64) (i64.const 5)) (global $b (export "b") f64 (f64.const 1.5))
            (global $c i32 (i32.add (i32.const 3) (i32.mul (i32.const 4) (i32.const 5))))
            (func $start (global.set $a (i64.extend_i32_u (global.get $c)))) (start $start)
            (func (export "run") (result i64)
                (global.set $a (i64.mul (global.get $a) (i64.const 3)))
                (i64.add (global.get $a) (i64.reinterpret_f64 (global.get $b)))))"#,
    ),
    (
        "calls",
        r#"(module (func $fib (export "run") (param i32) (result i32)
                (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
                    (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                        (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
            (func (export "go") (result i32) (call $fib (i32.const 12))))"#,
    ),
    (
        "tail",
        r#"(module (func $even (export "run") (param i32) (result i32)
                (if (i32.eqz (local.get 0)) (then (return (i32.const 1))))
                (return_call $odd (i32.sub (local.get 0) (i32.const 1))))
            (func $odd (param i32) (result i32)
                (if (i32.eqz (local.get 0)) (then (return (i32.const 0))))
                (return_call $even (i32.sub (local.get 0) (i32.const 1))))
            (func (export "go") (result i32) (call $even (i32.const 501))))"#,
    ),
    (
        "values",
        r#"(module (func $swap (param i32 i64) (result i64 i32) (local.get 1) (local.get 0))
            (func (export "run") (param i32) (result i64 i32)
                (local.get 0) (i64.const 9)
                (block (param i32 i64) (result i64 i32) (call $swap) (br_if 0 (local.get 0))
                    (drop) (drop) (i64.const 3) (i32.const 4))))"#,
    ),
    (
        "memories",
        r#"(module (memory $a 1) (memory $b (export "b") 1 3) (data (memory $b) (i32.const 4) "xyz")
            (func (export "run") (result i32)
                (memory.copy $b $a (i32.const 0) (i32.const 4) (i32.const 2))
                (memory.copy $a $b (i32.const 8) (i32.const 4) (i32.const 3))
                (i32.store8 $b (i32.const 9) (i32.load8_u $a (i32.const 9)))
                (drop (memory.grow $b (i32.const 1))) (memory.size $b)))"#,
    ),
    (
        "traps",
        r#"(module (memory 1) (table 1 funcref)
            (func (export "run") (param i32) (result i32)
                (block $d (block $c (block $b (block $a (br_table $a $b $c $d (local.get 0)))
                    (unreachable)) (return (i32.div_s (i32.const 1) (i32.const 0))))
                    (return (i32.load offset=65536 (i32.const 0))))
                (call_indirect (result i32) (i32.const 0))))"#,
    ),
];

/// What the reference says to a module: the decoder's own validator, with just what this version runs.
pub(crate) fn reference(bytes: &[u8]) -> std::result::Result<(), String> {
    use wasmparser::WasmFeatures as F;
    let features = F::MUTABLE_GLOBAL
        | F::SATURATING_FLOAT_TO_INT
        | F::SIGN_EXTENSION
        | F::REFERENCE_TYPES
        | F::GC_TYPES
        | F::MULTI_VALUE
        | F::BULK_MEMORY
        | F::FLOATS
        | F::EXTENDED_CONST
        | F::TAIL_CALL
        | F::MULTI_MEMORY;
    wasmparser::Validator::new_with_features(features).validate_all(bytes).map(drop).map_err(|error| error.to_string())
}
