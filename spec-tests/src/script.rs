//! Runs one script: its commands in order, over a store of its own.
//!
//! Idea: every command gives a [`Verdict`]. What later commands look up (instances, modules, registered names) is kept as
//! a verdict too, so that whoever depends on what was skipped is skipped for the same reason.
//!
//! Invariant: the engine judges and the runner compares; only the text reader's refusals are no work of the engine, and
//! they are counted apart.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use jitless::{
    Cause, Compilation, Config, Dispatch, Engine, Error, ErrorKind, Func, Instance, Linker, Module, ResumableCall,
    Store, Val,
};
use wast::core::WastRetCore;
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::token::{Id, Span};
use wast::{QuoteWat, Wast, WastArg, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

use crate::result::{Failure, ScriptResult, Skip};
use crate::spectest;
use crate::values::{self, Objects};

/// How scripts are run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The proposals and limits.
    pub config: Config,
    /// How tiles hand on to each other, if not as `config` says.
    pub dispatch: Option<Dispatch>,
    /// When functions are translated, if not as `config` says.
    pub compilation: Option<Compilation>,
    /// If set, calls get so much fuel at a time, and are resumed until they end.
    pub slices: Option<u64>,
    /// A script that takes longer is stopped, and what is left of it fails.
    pub time: Duration,
}

impl Default for Options {
    /// Everything of WebAssembly 3.0, in the engine's usual way.
    fn default() -> Self {
        Self::new(Config::wasm3())
    }
}

impl Options {
    /// The engine's usual way, with these proposals.
    ///
    /// The limits on sizes are lifted: the suite defines tables and memories of all sizes, and instantiates small ones.
    pub fn new(mut config: Config) -> Self {
        let limits = config.limits_mut();
        (limits.table_elements, limits.memory_pages) = (u64::MAX, u64::MAX);
        Self { config, dispatch: None, compilation: None, slices: None, time: Duration::from_secs(600) }
    }
}

/// Runs a script in a new store, with a new `spectest`.
///
/// Never panics: a panic of the engine is a failure of the command, and the commands after it fail too. A text that is no
/// script is one failed command.
pub fn run_script(name: &str, text: &str, options: &Options) -> ScriptResult {
    let mut result = ScriptResult { name: name.into(), ..ScriptResult::default() };
    let source = Source::new(text);
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let parsed = ParseBuffer::new_with_lexer(lexer)
        .and_then(|buffer| parser::parse::<Wast<'_>>(&buffer).map(|script| run(script, &source, options, &mut result)));
    if let Err(error) = parsed {
        let (line, what) = source.at(error.span());
        result.failed.push(Failure { line, what, expected: "a script".into(), got: error.message() });
    }
    result
}

fn run(script: Wast<'_>, source: &Source<'_>, options: &Options, result: &mut ScriptResult) {
    let mut runner = Runner::new(options).map_err(|error| failed("an engine with spectest", error.to_string()));
    for mut command in script.directives {
        if let WastDirective::Thread(thread) = &mut command {
            skip_all(std::mem::take(&mut thread.directives), source, result);
        }
        let (span, assertion) = (command.span(), assertion(&command));
        let verdict = match &mut runner {
            Ok(running) => catch_unwind(AssertUnwindSafe(|| running.command(&mut command))).unwrap_or_else(|panic| {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("");
                let rest = failed("no panic", format!("not run: the command in line {} panicked", source.line(span)));
                // Nobody knows what state its store is in, so it is not even dropped.
                std::mem::forget(std::mem::replace(&mut runner, Err(rest)));
                Err(failed("no panic", format!("panicked: {text}")))
            }),
            Err(not) => Err(not.clone()),
        };
        if let Some(engine) = assertion {
            result.asserts.count(engine);
        }
        match verdict {
            Ok(by) => {
                result.passed += 1;
                result.passed_by_reader += usize::from(by == By::Reader);
                if let Some(engine) = assertion {
                    result.asserts_passed.count(engine);
                }
            }
            Err(Not::Passed { expected, got }) => {
                let (line, what) = source.at(span);
                result.failed.push(Failure { line, what, expected, got });
            }
            Err(Not::Tried(reason)) => result.skipped.push(Skip { line: source.line(span), reason }),
        }
    }
    result.fuel = runner.map_or(0, |runner| runner.store.fuel_used());
}

/// What stands in a thread is skipped with it.
fn skip_all(commands: Vec<WastDirective<'_>>, source: &Source<'_>, result: &mut ScriptResult) {
    for command in commands {
        if let Some(engine) = assertion(&command) {
            result.asserts.count(engine);
        }
        result.skipped.push(Skip { line: source.line(command.span()), reason: "threads".into() });
    }
}

/// Is the command an assertion, and then one for an engine?
fn assertion(command: &WastDirective<'_>) -> Option<bool> {
    match command {
        WastDirective::Module(_)
        | WastDirective::ModuleDefinition(_)
        | WastDirective::ModuleInstance { .. }
        | WastDirective::Register { .. }
        | WastDirective::Invoke(_)
        | WastDirective::Thread(_)
        | WastDirective::Wait { .. } => None,
        WastDirective::AssertMalformed { module, .. } => Some(!is_quoted(module)),
        _ => Some(true),
    }
}

fn is_quoted(module: &QuoteWat<'_>) -> bool {
    !matches!(module, QuoteWat::Wat(_))
}

/// A script's text, with the starts of its lines.
struct Source<'t> {
    text: &'t str,
    lines: Vec<usize>,
}

impl<'t> Source<'t> {
    fn new(text: &'t str) -> Self {
        let lines = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        Self { text, lines: lines.collect() }
    }

    /// The line, from 1.
    fn line(&self, span: Span) -> usize {
        1 + self.lines.partition_point(|&start| start <= span.offset())
    }

    /// The line, and what stands there from the place on.
    fn at(&self, span: Span) -> (usize, String) {
        let rest = self.text.get(span.offset()..).unwrap_or("").lines().next().unwrap_or("").trim_end();
        (self.line(span), rest.chars().take(100).collect())
    }
}

/// Who decided that a command passes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Engine,
    Reader,
}

/// A command did not pass, or could not even be tried.
#[derive(Clone)]
enum Not {
    Passed {
        expected: String,
        got: String,
    },
    /// With the proposal that is missing.
    Tried(String),
}

type Verdict<T = By> = Result<T, Not>;

fn failed(expected: impl Into<String>, got: impl Into<String>) -> Not {
    Not::Passed { expected: expected.into(), got: got.into() }
}

/// A proposal that the module needs and that no configuration makes run.
fn missing(error: &Error) -> Option<Not> {
    match error.cause() {
        Cause::Unsupported { proposal, switched_off: false, .. } => Some(Not::Tried((*proposal).into())),
        _ => None,
    }
}

/// An error where there should be none.
fn unexpected(expected: &str, error: &Error) -> Not {
    missing(error).unwrap_or_else(|| failed(expected, error.to_string()))
}

/// The suite's text of a trap or link error begins what the engine says.
fn says(error: &Error, text: &str) -> bool {
    let own = error.to_string();
    own.strip_prefix("trap: ").unwrap_or(&own).starts_with(text)
}

/// What a command without a module's name means by one.
struct Named<T> {
    named: HashMap<String, Verdict<T>>,
    last: Verdict<T>,
}

impl<T: Clone> Named<T> {
    fn new() -> Self {
        Self { named: HashMap::new(), last: Err(failed("a module", "there is none yet")) }
    }

    fn get(&self, name: Option<Id<'_>>) -> Verdict<T> {
        match name {
            None => self.last.clone(),
            Some(id) => match self.named.get(id.name()) {
                Some(found) => found.clone(),
                None => Err(failed(format!("a module ${}", id.name()), "there is none")),
            },
        }
    }

    /// Keeps what a module became, and gives the verdict of the command that made it.
    fn put(&mut self, name: Option<Id<'_>>, found: Verdict<T>) -> Verdict {
        let kept = match &found {
            Err(Not::Passed { .. }) => Err(failed("a module", "its definition failed")),
            other => other.clone(),
        };
        if let Some(id) = name {
            self.named.insert(id.name().into(), kept.clone());
        }
        self.last = kept;
        found.map(|_| By::Engine)
    }
}

struct Runner {
    engine: Engine,
    store: Store<()>,
    linker: Linker<()>,
    /// Registered names whose instances were never made, and why.
    unregistered: HashMap<String, Not>,
    modules: Named<Module>,
    instances: Named<Instance>,
    objects: Objects,
    /// Bodies are only checked when they are called, so loading takes modules that validation refuses.
    lazy: bool,
    slices: Option<u64>,
}

impl Runner {
    fn new(options: &Options) -> Result<Self, Error> {
        let mut config = options.config.clone();
        // The engine at its hardest is lazy by itself.
        let compilation = options.compilation.or(cfg!(jitless_hard).then_some(Compilation::Lazy));
        if let Some(dispatch) = options.dispatch {
            config.dispatch(dispatch);
        }
        if let Some(compilation) = compilation {
            config.compilation(compilation);
        }
        let engine = Engine::new(&config)?;
        let mut store = Store::new(&engine, ());
        store.set_deadline(Instant::now().checked_add(options.time));
        let mut linker = Linker::new(&engine);
        spectest::define(&mut linker, &mut store)?;
        linker.allow_shadowing(true);
        Ok(Self {
            engine,
            store,
            linker,
            unregistered: HashMap::new(),
            modules: Named::new(),
            instances: Named::new(),
            objects: Objects::default(),
            lazy: compilation == Some(Compilation::Lazy),
            slices: options.slices,
        })
    }

    fn command(&mut self, command: &mut WastDirective<'_>) -> Verdict {
        match command {
            WastDirective::Module(module) => {
                let name = module.name();
                let module = self.define(module);
                let _ = self.modules.put(name, module.clone());
                let instance = module.and_then(|module| self.instance(&module));
                self.instances.put(name, instance)
            }
            WastDirective::ModuleDefinition(module) => {
                let (name, module) = (module.name(), self.define(module));
                self.modules.put(name, module)
            }
            WastDirective::ModuleInstance { instance: name, module, .. } => {
                let instance = self.modules.get(*module).and_then(|module| self.instance(&module));
                self.instances.put(*name, instance)
            }
            WastDirective::Register { name, module, .. } => self.register(name, *module),
            WastDirective::Invoke(invoke) => match self.invoke(invoke)? {
                Ok(_) => Ok(By::Engine),
                Err(error) => Err(failed("a return", error.to_string())),
            },
            WastDirective::AssertReturn { exec, results, .. } => self.assert_return(exec, results),
            WastDirective::AssertTrap { exec, message, .. } => self.assert_trap(exec, message),
            WastDirective::AssertExhaustion { call, message, .. } => {
                let found = self.invoke(call)?;
                fails_with(ErrorKind::Trap, message, found.map(|values| values::show(&values)))
            }
            WastDirective::AssertInvalid { module, message, .. }
            | WastDirective::AssertInvalidCustom { module, message, .. } => {
                self.refused(module, ErrorKind::Invalid, message)
            }
            WastDirective::AssertMalformed { module, message, .. }
            | WastDirective::AssertMalformedCustom { module, message, .. } => {
                self.refused(module, ErrorKind::Malformed, message)
            }
            WastDirective::AssertUnlinkable { module, message, .. } => self.assert_unlinkable(module, message),
            WastDirective::AssertException { exec, .. } => self.leaves(exec, "an exception"),
            WastDirective::AssertSuspension { exec, .. } => self.leaves(exec, "a suspension"),
            WastDirective::Thread(_) | WastDirective::Wait { .. } => Err(Not::Tried("threads".into())),
        }
    }

    /// Loads a module that should be valid.
    fn define(&self, module: &mut QuoteWat<'_>) -> Verdict<Module> {
        let bytes = module.encode().map_err(|error| failed("a module", error.message()))?;
        self.load(&bytes)?.map_err(|error| unexpected("a module", &error))
    }

    /// Loads a module, and validates it whole even if loading does not. Both must come to the same.
    fn load(&self, bytes: &[u8]) -> Verdict<Result<Module, Error>> {
        let kind = |error: &Error| error.kind().name();
        match (Module::validate(&self.engine, bytes), Module::new(&self.engine, bytes)) {
            (Ok(()), Ok(module)) => Ok(Ok(module)),
            (Err(error), Ok(_)) if self.lazy => Ok(Err(error)),
            (Err(error), Err(other)) if self.lazy || error.kind() == other.kind() => Ok(Err(error)),
            (validated, loaded) => {
                let validated = validated.as_ref().map_or_else(kind, |()| "valid");
                let loaded = loaded.as_ref().map_or_else(kind, |_| "loaded");
                Err(failed(format!("{validated}, by validation"), format!("{loaded}, by loading")))
            }
        }
    }

    /// An instance that should come to be.
    fn instance(&mut self, module: &Module) -> Verdict<Instance> {
        self.instantiate(module)?.map_err(|error| unexpected("an instance", &error))
    }

    fn instantiate(&mut self, module: &Module) -> Verdict<Result<Instance, Error>> {
        for import in module.imports() {
            if let Some(not) = self.unregistered.get(import.module()) {
                return Err(not.clone());
            }
        }
        // A start function cannot be resumed, so it is never short of fuel.
        set_fuel(&mut self.store, u64::MAX);
        Ok(self.linker.instantiate(&mut self.store, module))
    }

    fn register(&mut self, name: &str, module: Option<Id<'_>>) -> Verdict {
        let defined = self.instances.get(module).and_then(|instance| {
            let defined = self.linker.instance(&self.store, name, instance);
            defined.map(|_| By::Engine).map_err(|error| failed("an instance to link with", error.to_string()))
        });
        match &defined {
            Ok(_) => drop(self.unregistered.remove(name)),
            Err(not) => drop(self.unregistered.insert(name.into(), not.clone())),
        }
        defined
    }

    /// The inner error is the call's.
    fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Verdict<Result<Vec<Val>, Error>> {
        let instance = self.instances.get(invoke.module)?;
        let Some(func) = instance.get_func(&self.store, invoke.name) else {
            return Err(failed(format!("an exported function {:?}", invoke.name), "there is none"));
        };
        let mut args = Vec::with_capacity(invoke.args.len());
        for arg in &invoke.args {
            let WastArg::Core(arg) = arg else { return Err(Not::Tried("component-model".into())) };
            match values::argument(&mut self.store, &mut self.objects, arg) {
                Ok(Ok(value)) => args.push(value),
                Ok(Err(error)) => return Err(failed("an argument", error.to_string())),
                Err(proposal) => return Err(Not::Tried(proposal.into())),
            }
        }
        Ok(self.call(func, &args))
    }

    /// Calls in one go, or in slices of fuel. One that takes fuel and never gets on is an error.
    fn call(&mut self, func: Func, args: &[Val]) -> Result<Vec<Val>, Error> {
        const NOTHING_COSTS_AS_MUCH: u64 = 1 << 20;
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        let Some(slice) = self.slices else {
            set_fuel(&mut self.store, u64::MAX);
            func.call(&mut self.store, args, &mut results)?;
            return Ok(results);
        };
        set_fuel(&mut self.store, slice);
        let mut call = func.call_resumable(&mut self.store, args, &mut results)?;
        let (mut used, mut vain) = (u64::MAX, 0);
        loop {
            call = match call {
                ResumableCall::Finished => return Ok(results),
                ResumableCall::OutOfFuel(paused) => {
                    vain = if used == self.store.fuel_used() { vain + slice } else { 0 };
                    used = self.store.fuel_used();
                    if vain > NOTHING_COSTS_AS_MUCH {
                        return Err(Error::msg("resumed with more fuel, the call does not get on"));
                    }
                    self.store.add_fuel(slice)?;
                    paused.resume(&mut self.store, &mut results)?
                }
                ResumableCall::Stopped(paused) => return Err(Error::msg(paused.error())),
                ResumableCall::HostTrap(paused) => return Err(paused.into_host_error()),
                other => return Err(Error::msg(format_args!("{other:?}"))),
            };
        }
    }

    fn execute(&mut self, exec: &mut WastExecute<'_>) -> Verdict<Result<Vec<Val>, Error>> {
        match exec {
            WastExecute::Invoke(invoke) => self.invoke(invoke),
            WastExecute::Get { module, global, .. } => {
                let instance = self.instances.get(*module)?;
                match instance.get_global(&self.store, global) {
                    Some(global) => Ok(Ok(vec![global.get(&self.store)])),
                    None => Err(failed(format!("an exported global {global:?}"), "there is none")),
                }
            }
            WastExecute::Wat(module) => {
                let module = self.define_text(module)?;
                Ok(self.instantiate(&module)?.map(|_| Vec::new()))
            }
        }
    }

    fn define_text(&self, module: &mut Wat<'_>) -> Verdict<Module> {
        let bytes = module.encode().map_err(|error| failed("a module", error.message()))?;
        self.load(&bytes)?.map_err(|error| unexpected("a module", &error))
    }

    fn assert_return(&mut self, exec: &mut WastExecute<'_>, results: &[WastRet<'_>]) -> Verdict {
        let found = self.execute(exec)?;
        let mut wanted: Vec<&WastRetCore<'_>> = Vec::with_capacity(results.len());
        for result in results {
            let WastRet::Core(result) = result else { return Err(Not::Tried("component-model".into())) };
            wanted.push(result);
        }
        let fits = |values: &[Val]| {
            let mut pairs = wanted.iter().zip(values);
            wanted.len() == values.len() && pairs.all(|(wanted, value)| values::matches(&self.store, wanted, value))
        };
        match found {
            Ok(values) if fits(&values) => Ok(By::Engine),
            Ok(values) => Err(failed(values::show_wanted(&wanted), values::show(&values))),
            Err(error) => Err(failed(values::show_wanted(&wanted), error.to_string())),
        }
    }

    fn assert_trap(&mut self, exec: &mut WastExecute<'_>, message: &str) -> Verdict {
        let instantiates = matches!(exec, WastExecute::Wat(_));
        let found = self.execute(exec)?;
        let show = |values: Vec<Val>| if instantiates { "an instance".into() } else { values::show(&values) };
        fails_with(ErrorKind::Trap, message, found.map(show))
    }

    fn assert_unlinkable(&mut self, module: &mut Wat<'_>, message: &str) -> Verdict {
        let module = self.define_text(module)?;
        let found = self.instantiate(&module)?.map(|_| "an instance".into());
        // Up to 1.0, segments out of bounds were errors of linking. Now they trap.
        if message.ends_with("segment does not fit") {
            return fails_with(ErrorKind::Trap, "out of bounds ", found);
        }
        fails_with(ErrorKind::Link, message, found)
    }

    /// The module must be refused, with an error of that kind.
    fn refused(&self, module: &mut QuoteWat<'_>, kind: ErrorKind, message: &str) -> Verdict {
        let Ok(bytes) = module.encode() else { return Ok(By::Reader) };
        let expected = format!("an error of kind {kind}: {message}");
        // The sum of a function's locals has a bound in the binary format too, beyond ours.
        let limit = message == "too many locals";
        match self.load(&bytes)? {
            Ok(_) => Err(failed(expected, "a module")),
            Err(error) => match (missing(&error), error.kind()) {
                (Some(not), _) => Err(not),
                (None, ErrorKind::Limit) if limit => Ok(By::Engine),
                (None, found) if found == kind || is_switched_off(&error) => Ok(By::Engine),
                (None, _) => Err(failed(expected, error.to_string())),
            },
        }
    }

    fn leaves(&mut self, exec: &mut WastExecute<'_>, expected: &str) -> Verdict {
        match self.execute(exec)? {
            Ok(values) => Err(failed(expected, values::show(&values))),
            Err(error) => Err(failed(expected, error.to_string())),
        }
    }
}

/// An older script refuses what a newer proposal allows.
fn is_switched_off(error: &Error) -> bool {
    matches!(error.cause(), Cause::Unsupported { switched_off: true, .. })
}

fn set_fuel(store: &mut Store<()>, fuel: u64) {
    let _never_fails = store.set_fuel(fuel);
}

fn fails_with(kind: ErrorKind, message: &str, found: Result<String, Error>) -> Verdict {
    let expected = || format!("an error of kind {kind}: {message}");
    match found {
        Err(error) if error.kind() == kind && says(&error, message) => Ok(By::Engine),
        Err(error) => Err(failed(expected(), error.to_string())),
        Ok(got) => Err(failed(expected(), got)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script, and shows what is not passed, a line each.
    #[track_caller]
    fn check(script: &str, passed: usize, want: &[&str]) {
        for slices in [None, Some(1), Some(1000)] {
            let options = Options { slices, ..Options::default() };
            let result = run_script("test.wast", script, &options);
            let failed = result.failed.iter().map(|f| format!("{}: wanted {}, got {}", f.line, f.expected, f.got));
            let skipped = result.skipped.iter().map(|s| format!("{}: needs {}", s.line, s.reason));
            assert_eq!(failed.chain(skipped).collect::<Vec<_>>(), want, "{slices:?}");
            assert_eq!(result.passed, passed, "{slices:?}");
        }
    }

    #[test]
    fn passes() {
        check(
            r#"(module $M (func (export "div") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
                 (global (export "g") f32 (f32.const nan:0x200000)))
               (assert_return (invoke "div" (i32.const 7) (i32.const -2)) (i32.const -3))
               (assert_return (get $M "g") (f32.const nan:0x200000))
               (assert_trap (invoke $M "div" (i32.const 1) (i32.const 0)) "integer divide by zero")
               (register "M")
               (assert_unlinkable (module (import "M" "h" (func))) "unknown import")
               (assert_unlinkable (module (import "M" "g" (func))) "incompatible import type")
               (assert_invalid (module (func (result i32))) "type mismatch")
               (assert_malformed (module binary "") "unexpected end")
               (assert_malformed (module quote "(func") "unexpected end")
               (assert_trap (module (func $f unreachable) (start $f)) "unreachable")"#,
            11,
            &[],
        );
    }

    #[test]
    fn fails() {
        check(
            r#"(module (func (export "f") (result f64) (f64.const 0)))
               (assert_return (invoke "f") (f64.const -0))
               (assert_return (invoke "f"))
               (assert_return (invoke "g"))
               (assert_trap (invoke "f") "unreachable")
               (assert_invalid (module) "type mismatch")
               (assert_malformed (module binary "\00asm\01\00\00\00\01\04\01\60\00\00\03\02\01\01\0a\04\01\02\00\0b") "m")
               (register "M" $M)
               (module (import "M" "f" (func)))
               (invoke "f")"#,
            1,
            &[
                "2: wanted f64 -0, got f64 0",
                "3: wanted nothing, got f64 0",
                "4: wanted an exported function \"g\", got there is none",
                "5: wanted an error of kind trap: unreachable, got f64 0",
                "6: wanted an error of kind invalid: type mismatch, got a module",
                "7: wanted an error of kind malformed: m, got invalid module: offset 0x10: unknown type 1",
                "8: wanted a module $M, got there is none",
                "9: wanted a module $M, got there is none",
                "10: wanted a module, got its definition failed",
            ],
        );
        check("(module)\n(assert_return", 0, &["2: wanted a script, got expected `(`"]);
    }

    #[test]
    fn skips_what_depends_on_what_was_skipped() {
        check(
            r#"(module $old (func (export "f")))
               (module $new (func (export "f") (drop (v128.const i64x2 0 0))))
               (invoke "f")
               (invoke $old "f")
               (invoke $new "f")
               (register "new")
               (register "old" $old)
               (module (import "new" "f" (func)))
               (module (import "old" "f" (func)))"#,
            4,
            &["2: needs simd", "3: needs simd", "5: needs simd", "6: needs simd", "8: needs simd"],
        );
    }
}
