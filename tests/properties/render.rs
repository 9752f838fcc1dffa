//! A program as text. `main`, the memory and the globals are exported.

use std::fmt::Write;

use crate::model::{Instr, Program, Sig};
use crate::ops::Ty;

pub(crate) fn render(program: &Program) -> String {
    let mut out = String::from("(module\n");
    for (i, (ty, bits)) in program.globals.iter().enumerate() {
        let (name, first) = (ty.name(), constant(*ty, *bits));
        writeln!(out, "  (global (export \"g{i}\") (mut {name}) ({first}))").unwrap();
    }
    let bytes: String = program.memory.iter().map(|b| format!("\\{b:02x}")).collect();
    writeln!(out, "  (memory (export \"memory\") 1 1) (data (i32.const 0) \"{bytes}\")").unwrap();
    let number = program.functions.len();
    let all: String = (0..number).map(|i| format!(" {i}")).collect();
    writeln!(out, "  (table {} funcref) (elem (i32.const 0) func{all})", number + 1).unwrap();
    for (i, f) in program.functions.iter().enumerate() {
        writeln!(out, "  (type $t{i} (func{}))", signature(&f.sig)).unwrap();
    }
    for (i, f) in program.functions.iter().enumerate() {
        let export = if i == 0 { " (export \"main\")" } else { "" };
        let locals = list("local", &f.locals);
        writeln!(out, "  (func{export} (type $t{i}){locals}").unwrap();
        body(&mut out, &f.body, 2);
        out.push_str("  )\n");
    }
    out + ")\n"
}

fn list(word: &str, types: &[Ty]) -> String {
    if types.is_empty() {
        return String::new();
    }
    let names: String = types.iter().map(|ty| format!(" {}", ty.name())).collect();
    format!(" ({word}{names})")
}

fn signature(sig: &Sig) -> String {
    list("param", &sig.params) + &list("result", &sig.results)
}

pub(crate) fn constant(ty: Ty, bits: u64) -> String {
    match ty {
        Ty::I32 => format!("i32.const {}", bits as u32),
        Ty::I64 => format!("i64.const {bits}"),
        Ty::F32 => {
            let (value, payload) = (f32::from_bits(bits as u32), bits & 0x7F_FFFF);
            let sign = if value.is_sign_negative() { "-" } else { "" };
            if value.is_nan() { format!("f32.const {sign}nan:{payload:#x}") } else { format!("f32.const {value:?}") }
        }
        Ty::F64 => {
            let (value, payload) = (f64::from_bits(bits), bits & 0xF_FFFF_FFFF_FFFF);
            let sign = if value.is_sign_negative() { "-" } else { "" };
            if value.is_nan() { format!("f64.const {sign}nan:{payload:#x}") } else { format!("f64.const {value:?}") }
        }
    }
}

fn body(out: &mut String, code: &[Instr], depth: usize) {
    for instr in code {
        out.push_str(&"  ".repeat(depth));
        match instr {
            Instr::Plain(op) => out.push_str(op.name),
            Instr::Const(ty, bits) => out.push_str(&constant(*ty, *bits)),
            Instr::LocalGet(i) => write!(out, "local.get {i}").unwrap(),
            Instr::LocalSet(i) => write!(out, "local.set {i}").unwrap(),
            Instr::LocalTee(i) => write!(out, "local.tee {i}").unwrap(),
            Instr::GlobalGet(i) => write!(out, "global.get {i}").unwrap(),
            Instr::GlobalSet(i) => write!(out, "global.set {i}").unwrap(),
            Instr::Load(access, offset) | Instr::Store(access, offset) => {
                write!(out, "{} offset={offset} align=1", access.name).unwrap();
            }
            Instr::Drop => out.push_str("drop"),
            Instr::Select => out.push_str("select"),
            Instr::SelectOf(ty) => write!(out, "select (result {})", ty.name()).unwrap(),
            Instr::Block(sig, inner) => nested(out, "block", sig, inner, depth),
            Instr::Loop(sig, inner) => nested(out, "loop", sig, inner, depth),
            Instr::If(sig, then, or) => {
                writeln!(out, "if{}", signature(sig)).unwrap();
                body(out, then, depth + 1);
                if !or.is_empty() || sig.params.len() + sig.results.len() > 0 {
                    writeln!(out, "{}else", "  ".repeat(depth)).unwrap();
                    body(out, or, depth + 1);
                }
                write!(out, "{}end", "  ".repeat(depth)).unwrap();
            }
            Instr::Br(n) => write!(out, "br {n}").unwrap(),
            Instr::BrIf(n) => write!(out, "br_if {n}").unwrap(),
            Instr::BrTable(targets, default) => {
                out.push_str("br_table");
                targets.iter().chain([default]).for_each(|n| write!(out, " {n}").unwrap());
            }
            Instr::Return => out.push_str("return"),
            Instr::Call(f) => write!(out, "call {f}").unwrap(),
            Instr::ReturnCall(f) => write!(out, "return_call {f}").unwrap(),
            Instr::CallIndirect(f) => write!(out, "call_indirect (type $t{f})").unwrap(),
            Instr::ReturnCallIndirect(f) => write!(out, "return_call_indirect (type $t{f})").unwrap(),
            Instr::Unreachable => out.push_str("unreachable"),
            Instr::Nop => out.push_str("nop"),
            Instr::MemorySize => out.push_str("memory.size"),
            Instr::MemoryFill => out.push_str("memory.fill"),
            Instr::MemoryCopy => out.push_str("memory.copy"),
        }
        out.push('\n');
    }
}

fn nested(out: &mut String, word: &str, sig: &Sig, inner: &[Instr], depth: usize) {
    writeln!(out, "{word}{}", signature(sig)).unwrap();
    body(out, inner, depth + 1);
    write!(out, "{}end", "  ".repeat(depth)).unwrap();
}
