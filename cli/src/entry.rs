//! What of a module is called, in which order, with which arguments.
//!
//! Invariant: everything that can be wrong with it is found before any code of the module runs.

use std::ffi::OsString;

use jitless::wasi::WasiCtx;
use jitless::{ExternKind, ExternType, FuncType, Instance, Module, Store, Val};

use crate::report::{Failure, escaped};
use crate::values;

/// One export that is called.
pub(crate) struct Call<'a> {
    name: &'a str,
    args: Vec<Val>,
}

/// The exports to call: those that are named, the last of them with the words as arguments, and before them what a
/// library is initialized by; or else the program as a whole. None, if all is done when the module is instantiated.
pub(crate) fn calls<'a>(
    module: &Module,
    invoke: &'a [String],
    words: &[OsString],
    file: &str,
) -> Result<Vec<Call<'a>>, Failure> {
    let func = |name: &str| match module.get_export(name) {
        Some(ExternType::Func(ty)) => Ok(Some(ty)),
        Some(other) => Err(Failure::new(format!("{} of {file} is no function, but {other}", escaped(name)))),
        None => Ok(None),
    };
    let Some((last, before)) = invoke.split_last() else { return program(module, func, file) };
    let mut calls = Vec::new();
    if invoke[0] != INITIALIZE && matches!(func(INITIALIZE), Ok(Some(_))) {
        calls.push(Call { name: INITIALIZE, args: Vec::new() });
    }
    for name in before.iter().chain([last]) {
        let Some(ty) = func(name)? else {
            return Err(Failure::new(format!("{file} exports no {}{}", escaped(name), offers(module))));
        };
        let words = if std::ptr::eq(name, last) { words } else { &[] };
        calls.push(Call { name, args: arguments(name, &ty, words)? });
    }
    Ok(calls)
}

const START: &str = "_start";
const INITIALIZE: &str = "_initialize";

fn program(
    module: &Module,
    func: impl Fn(&str) -> Result<Option<FuncType>, Failure>,
    file: &str,
) -> Result<Vec<Call<'static>>, Failure> {
    let (name, ty) = match (func(START)?, func(INITIALIZE)?) {
        (Some(_), Some(_)) => {
            let why = "exports both _start and _initialize, so it is no program and no library";
            return Err(Failure::new(format!("{file} {why}")));
        }
        (Some(ty), None) => (START, ty),
        (None, Some(ty)) => (INITIALIZE, ty),
        (None, None) if module.exports().len() == 0 => return Ok(Vec::new()),
        (None, None) => {
            let offers = offers(module);
            return Err(Failure::new(format!("{file} exports no _start; --invoke calls another export{offers}")));
        }
    };
    if !ty.params().is_empty() || !ty.results().is_empty() {
        return Err(Failure::new(format!("{name} of {file} has type {ty}, expected (func)")));
    }
    Ok(vec![Call { name, args: Vec::new() }])
}

/// Arguments from the command line.
fn arguments(name: &str, ty: &FuncType, words: &[OsString]) -> Result<Vec<Val>, Failure> {
    let (name, params) = (escaped(name), ty.params());
    if params.len() != words.len() {
        let (wanted, found) = (params.len(), words.len());
        return Err(Failure::usage(format!("{name} has type {ty}: expected {wanted} arguments, found {found}")));
    }
    let parse = |(number, (word, &ty)): (usize, (&OsString, _))| {
        values::parse(&word.to_string_lossy(), ty)
            .map_err(|why| Failure::usage(format!("argument {} of {name}: {why}", number + 1)))
    };
    words.iter().zip(params).enumerate().map(parse).collect()
}

impl Call<'_> {
    /// Calls it, and gives its results.
    pub(crate) fn make(&self, store: &mut Store<WasiCtx>, instance: Instance) -> jitless::Result<Vec<Val>> {
        let Some(func) = instance.get_func(&*store, self.name) else {
            return Err(jitless::Error::msg(format!("no function {}", escaped(self.name))));
        };
        let mut results = vec![Val::I32(0); func.ty(&*store).results().len()];
        func.call(store, &self.args, &mut results)?;
        Ok(results)
    }
}

/// What could be invoked, as a list for an error.
fn offers(module: &Module) -> String {
    const MOST: usize = 10;
    let mut names: Vec<_> = module
        .exports()
        .filter(|export| export.ty().kind() == ExternKind::Func)
        .map(|export| escaped(export.name()))
        .take(MOST + 1)
        .collect();
    match names.len() {
        0 => "; it exports no function".to_owned(),
        count => {
            names.truncate(MOST);
            let more = if count > MOST { ", …" } else { "" };
            format!("; there are {}{more}", names.join(", "))
        }
    }
}
