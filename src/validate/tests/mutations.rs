//! Tests with modules that nobody wrote: mutations of some programs, and random bodies.

use super::{HOUSE, agree, cat, leb, section, wat, without};
use crate::config::{Config, Proposals};
use alloc::format;
use alloc::vec::Vec;

/// Every program of the list with some bytes changed: both judges agree on each.
#[test]
fn mutated_modules_get_the_same_verdict() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let seeds: Vec<Vec<u8>> = SEEDS.iter().map(|text| wat(text)).chain([wat(&format!("{HOUSE})"))]).collect();
    let configs = [Config::new(), Config::new(), without(Proposals::WASM3 - Proposals::WASM2), Config::wasm1()];
    let rounds = if cfg!(debug_assertions) { 1500 } else { 20_000 };
    let mut valid = 0;
    for round in 0..rounds {
        for seed in &seeds {
            let mut bytes = seed.clone();
            for _ in 0..=random.below(3) {
                let at = 8 + random.below(bytes.len() - 8);
                match random.below(6) {
                    0 => bytes[at] ^= 1 << random.below(8),
                    1 => bytes[at] = random.below(256) as u8,
                    2 => bytes[at] = bytes[at].wrapping_add(1),
                    3 => bytes[at] = bytes[8 + random.below(bytes.len() - 8)],
                    // Whole operators stay whole more often if neighbours change places.
                    4 if at + 1 < bytes.len() => bytes.swap(at, at + 1),
                    _ => bytes[at] = INTERESTING[random.below(INTERESTING.len())],
                }
            }
            let config = &configs[round % configs.len()];
            valid += usize::from(agree("mutation", &bytes, config).is_ok());
        }
    }
    assert!(valid > rounds / 2, "most mutations should not be refused by the decoder alone: {valid}");
}

/// Bodies of random operators in a module that has some of everything. What follows `unreachable` is often valid.
#[test]
fn random_bodies_get_the_same_verdict() {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let house = wat(&format!("{HOUSE} (func (param i32 i64 externref) (result i32) unreachable))"));
    // The code section is followed by the data section only, and ends with the body that is replaced.
    let start = (8..house.len()).find(|&at| house[at..].starts_with(&[10, house[at + 1], 5, 2, 0])).expect("its code");
    let end = start + 2 + house[start + 1] as usize;
    let rounds = if cfg!(debug_assertions) { 30_000 } else { 300_000 };
    let mut valid = 0;
    for _ in 0..rounds {
        let body = random_body(&mut random);
        let code = cat(&[&house[start + 2..end - 4], &leb(body.len() as u64), &body]);
        let bytes = cat(&[&house[..start], &section(10, &code), &house[end..]]);
        valid += usize::from(agree("a random body", &bytes, &Config::new()).is_ok());
    }
    assert!(valid > rounds / 10, "{valid}");
}

fn random_body(random: &mut Random) -> Vec<u8> {
    // Five locals: i32 i64 externref, then i32 funcref.
    let mut code = Vec::from([2, 1, 0x7F, 1, 0x70]);
    let mut depth = 0;
    for _ in 0..random.below(12) {
        let index = random.below(6) as u8;
        let piece: &[u8] = match random.below(60) {
            0..6 => &[0x00],
            6 => &[0x0F],
            7 | 8 => &[0x41, 0],
            9 => &[0x42, 0],
            10 => &[0x1A],
            11 => &[0x1B],
            12 => &[0x1C, 1, TYPES[random.below(TYPES.len())]],
            13..18 => {
                depth += 1;
                let ty = match random.below(3) {
                    0 => 0x40,
                    1 => TYPES[random.below(TYPES.len())],
                    _ => index,
                };
                &[[0x02, 0x03, 0x04][random.below(3)], ty]
            }
            18..21 if depth > 0 => {
                depth -= 1;
                &[0x0B]
            }
            21 => &[0x05],
            22 => &[0x0C, random.below(3) as u8],
            23 | 24 => &[0x0D, random.below(3) as u8],
            25 | 26 => &[0x0E, 2, random.below(3) as u8, random.below(3) as u8, random.below(3) as u8],
            27 => &[0x10, index],
            28 => &[0x11, index, random.below(3) as u8],
            29 => &[0x12, index],
            30 => &[0x13, index, random.below(3) as u8],
            31..34 => &[0x20, index],
            34 => &[0x21, index],
            35 => &[0x22, index],
            36 => &[0x23, index],
            37 => &[0x24, index],
            38 => &[0x25, random.below(3) as u8],
            39 => &[0x26, random.below(3) as u8],
            40 => &[0x28 + random.below(23) as u8, random.below(4) as u8, 0],
            41 => &[0x3F, random.below(3) as u8],
            42 => &[0x40, random.below(3) as u8],
            43..50 => &[0x45 + random.below(0x80) as u8],
            50 => &[0xD0, [0x70, 0x6F][random.below(2)]],
            51 => &[0xD1],
            52 => &[0xD2, index],
            53 => &[0xFC, random.below(8) as u8],
            54 => &[0xFC, [8, 10, 12, 14][random.below(4)], random.below(3) as u8, random.below(3) as u8],
            55 => &[0xFC, [9, 11, 13, 15, 16, 17][random.below(6)], random.below(3) as u8],
            _ => &[0x6A],
        };
        code.extend_from_slice(piece);
    }
    if random.below(4) > 0 {
        code.push(0x00);
    }
    for _ in 0..=depth {
        let close: &[u8] = if random.below(8) == 0 { &[0x00, 0x0B] } else { &[0x0B] };
        code.extend_from_slice(close);
    }
    code
}

const TYPES: &[u8] = &[0x7F, 0x7E, 0x7D, 0x7C, 0x70, 0x6F];

/// Operators and types that make other programs of most bytes.
const INTERESTING: &[u8] = &[
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12, 0x13, 0x1A, 0x1B, 0x1C, 0x20,
    0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x28, 0x36, 0x3F, 0x40, 0x41, 0x42, 0x45, 0x50, 0x6A, 0x6F, 0x70, 0x7B, 0x7C,
    0x7D, 0x7E, 0x7F, 0xC0, 0xD0, 0xD1, 0xD2, 0xFC, 0xFD, 0xFF,
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % bound
    }
}

const SEEDS: &[&str] = &[
    r#"(module (func (param i32 i32) (result i32) local.get 0 local.get 1 i32.add i32.const 3 i32.mul))"#,
    r#"(module (func $f (export "f") (param i64) (result i64)
        (if (result i64) (i64.eqz (local.get 0)) (then (i64.const 1))
            (else (i64.mul (local.get 0) (call $f (i64.sub (local.get 0) (i64.const 1))))))))"#,
    r#"(module (func (param i32) (local i64 f32 f64)
        (block (block (block (br_table 0 1 2 1 (local.get 0))) (local.set 1 (i64.const 5)) (br 1))
            (local.set 2 (f32.const 1)))
        (loop (br_if 0 (i32.eqz (local.get 0))) (local.set 3 (f64.promote_f32 (local.get 2))))))"#,
    r#"(module (memory (export "m") 1 2) (data (i32.const 8) "hello")
        (func (param i32) (result i32) (i32.store offset=4 (local.get 0) (i32.load8_u (local.get 0)))
            (i64.store32 (local.get 0) (i64.load16_s align=2 (local.get 0))) (memory.grow (memory.size))))"#,
    r#"(module (type $t (func (param i32) (result i32 i64)))
        (func $a (type $t) local.get 0 i64.const 7)
        (func (result i32 i64) (local i32) i32.const 5 loop (type $t) i64.const 1 end
            block (param i32 i64) (result i32 i64) i32.const 1 br_if 0 end)
        (func (param i32) (result i32 i64) local.get 0 return_call $a)
        (func (param i32) (result i32 i64) local.get 0 local.get 0 return_call_indirect (type $t))
        (table 2 2 funcref) (elem (i32.const 0) $a $a))"#,
    r#"(module (table $t 3 10 externref) (table $f 3 funcref) (elem $e func $g) (elem $x externref (ref.null extern))
        (func $g (export "g") (param externref i32)
            (table.set $t (local.get 1) (local.get 0))
            (drop (table.grow $t (table.get $t (i32.const 0)) (table.size $t)))
            (table.fill $f (i32.const 0) (ref.func $g) (i32.const 2))
            (table.init $f $e (i32.const 0) (i32.const 0) (i32.const 1)) (elem.drop $x)
            (table.copy $f $f (i32.const 0) (i32.const 0) (i32.const 1))
            (drop (ref.is_null (select (result externref) (local.get 0) (ref.null extern) (local.get 1))))))"#,
    r#"(module (memory 1) (memory $n 1) (data $d "abcdef")
        (func (memory.init $d (i32.const 0) (i32.const 0) (i32.const 3)) (data.drop $d)
            (memory.copy $n 0 (i32.const 0) (i32.const 1) (i32.const 2))
            (memory.fill (i32.const 0) (i32.const 1) (i32.const 2))
            (drop (f64.load $n (i32.const 8)))))"#,
    r#"(module (import "a" "g" (global $g i32)) (import "a" "h" (global $h (mut i64)))
        (global $x (mut i32) (i32.add (global.get $g) (i32.const 1))) (global f64 (f64.const 2))
        (func (global.set $x (i32.trunc_sat_f64_u (global.get 3)))
            (global.set $h (i64.extend_i32_u (i32.extend8_s (global.get $x)))))
        (export "x" (global $x)) (start 0))"#,
    r#"(module (func (result i32) unreachable i32.add select) (func (result i64) (block (result i64) br 0 unreachable))
        (func (param f32) (result f32) (select (local.get 0) (f32.neg (local.get 0)) (i32.const 1)) return drop))"#,
];
