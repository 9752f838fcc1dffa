//! Bombs for the translator: code that is small, and long, deep or wide.

use std::cell::RefCell;

use jitless::{ErrorKind::*, Instance, Module, Store, Val};

use crate::harness::*;

/// Loads a bomb and makes sure that its first function has been translated. What is too large is refused by the one or
/// by the other.
fn explode(cx: &Cx, what: &str, bytes: &[u8]) -> Option<Module> {
    let loaded = Module::new(&cx.engine, bytes).and_then(|module| {
        let mut store = Store::new(&cx.engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        let f = instance.get_func(&store, "f").unwrap();
        let ty = f.ty(&store);
        let args: Vec<_> = ty.params().iter().map(|&ty| Val::default_for_ty(ty).unwrap()).collect();
        let mut results = vec![Val::I32(0); ty.results().len()];
        store.set_fuel(10_000).unwrap();
        match f.call(&mut store, &args, &mut results) {
            Err(error) if !matches!(error.kind(), OutOfFuel | Trap) => Err(error),
            _ => Ok(module),
        }
    });
    cx.note(&(what, loaded.as_ref().err().map(|error| error.kind())));
    loaded.inspect_err(|error| assert!(matches!(error.kind(), Limit | Budget), "{what}: {error}")).ok()
}

/// Bombs that went off, and what was wrong with them.
struct Bombs<'c> {
    cx: &'c Cx,
    wrong: RefCell<Vec<String>>,
}

impl<'c> Bombs<'c> {
    fn new(cx: &'c Cx) -> Self {
        cx.no_oracle();
        // Each has its own bound.
        cx.may_take(ms(60_000));
        Self { cx, wrong: RefCell::new(Vec::new()) }
    }

    /// A bomb goes off in its time, and what is kept of it is of the size of its module.
    fn bomb(&self, what: &str, bytes: &[u8], functions: usize, bodies: usize) {
        let (cx, mut wrong) = (self.cx, self.wrong.borrow_mut());
        cx.loads(bytes);
        let mut check = |found: i64, bound: usize, text: &str| {
            if found > bound as i64 {
                wrong.push(format!("{what}, {} bytes: {found} {text}, at most {bound}", bytes.len()));
            }
        };
        let before = cx.live();
        cx.peak();
        let took = cx.time_of(|| drop(explode(cx, what, bytes)));
        check(took.as_millis() as i64, ms(2000).as_millis() as usize, "ms");
        check(cx.peak() - before, (64 << 20) + 40 * bytes.len(), "bytes at once");
        // Without the module little stays with the engine.
        check(cx.live() - before, 4 << 20, "bytes stay with the engine");
        let before = cx.live();
        let module = explode(cx, what, bytes);
        let kept = cx.live() - before - bytes.len() as i64;
        check(kept, 32 * bodies + 256 * functions + (64 << 10), "bytes kept");
        drop(module);
    }

    /// The same for a function without parameters and results.
    fn body(&self, what: &str, locals: &[u8], operators: Vec<u8>) {
        let body = cat(&[locals, &operators, &[0x0B]]);
        self.bomb(what, &exported_body(&body), 1, body.len());
    }

    /// The same for a function of a thousand `i64` to a thousand `i64` that begins with its parameters on the stack.
    fn wide(&self, what: &str, operators: Vec<u8>) {
        let body = cat(&[&[0], &gets(1000), &operators, &[0x0B]]);
        let code = section(10, &cat(&[&[1], &func(&body)]));
        self.bomb(what, &module(&[&t1000(), &section(3, &[1, 0]), &export_f(), &code]), 1, body.len());
    }

    #[track_caller]
    fn finish(self) {
        let wrong = self.wrong.into_inner();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

pub(super) fn r11_bombs_for_the_translator(cx: &Cx) {
    let bombs = Bombs::new(cx);
    let [m, n] = [size(2_500_000), size(1_900_000)];
    let [none, one, two] = [&[0][..], &[1, 1, 0x7F], &[1, 2, 0x7F]];
    bombs.body("nested blocks", none, cat(&[&times(&[2, 0x40], m), &times(&[0x0B], m)]));
    bombs.body("nested loops", none, cat(&[&times(&[3, 0x40], m), &times(&[0x0B], m)]));
    bombs.body("constants dropped", none, times(&[0x41, 0, 0x1A], m));
    bombs.body("br_if", none, cat(&[&[2, 0x40], &times(&[0x41, 0, 0x0D, 0], n), &[0x0B]]));
    bombs.body("br_if of a local", one, cat(&[&[2, 0x40], &times(&[0x20, 0, 0x0D, 0], n), &[0x0B]]));
    let targets = size(7_000_000);
    bombs.body("br_table", none, cat(&[&hex("41 00 0E"), &leb(targets as u64), &times(&[0], targets + 1)]));
    bombs.body("a local to itself", one, times(&[0x20, 0, 0x21, 0], n));
    bombs.body("a local to another", two, times(&[0x20, 0, 0x21, 1], n));
    bombs.body("ifs", one, times(&[0x20, 0, 4, 0x40, 0x0B], size(1_500_000)));
    let n = size(1_000_000);
    let many = |n: usize, body: &[u8]| {
        let funcs = section(3, &cat(&[&leb(n as u64), &times(&[0], n)]));
        module(&[&t0(), &funcs, &export_f(), &section(10, &cat(&[&leb(n as u64), &times(&func(body), n)]))])
    };
    bombs.bomb("functions", &many(n, &[0, 0x0B]), n, 2 * n);
    let declared = cat(&[&[1], &leb(49_999), &[0x7E, 0x0B]]);
    bombs.bomb("locals", &many(n / 10, &declared), n / 10, n / 10 * declared.len());
    bombs.finish();
}

pub(super) fn r12_wide_calls(cx: &Cx) {
    let bombs = Bombs::new(cx);
    bombs.wide("calls", times(&[0x10, 0], turns(3_500_000, 50_000) as usize));
    bombs.finish();
}

pub(super) fn r13_wide_branches(cx: &Cx) {
    let bombs = Bombs::new(cx);
    let branch = hex("20 00 A7 0D 00");
    bombs.wide("br_if", cat(&[&[2, 0], &times(&branch, 10_000), &[0x0B]]));
    let n = size(1_000_000);
    bombs.wide("br_if to the function", times(&branch, n / 10));
    bombs.wide("br_table", cat(&[&hex("02 00 41 00 0E"), &leb(n as u64), &times(&[0], n + 1), &[0x0B]]));
    let two = cat(&[&hex("02 00 02 00 41 00 0E"), &leb(n as u64 - 1), &times(&[0, 1], n / 2), &hex("0B 0B")]);
    bombs.wide("br_table at two labels", two);
    bombs.wide("blocks in blocks", cat(&[&times(&[2, 0], n), &times(&[0x0B], n)]));
    bombs.wide("blocks in a row", times(&[2, 0, 0x0B], n));
    bombs.wide("loops in a row", times(&[3, 0, 0x0B], n));
    bombs.wide("return", times(&[0x0F], n));
    bombs.wide("return_call", times(&[0x12, 0], n));
    bombs.wide("return in arms", times(&hex("20 00 A7 04 00 0F 0B"), n / 10));
    bombs.finish();
}

pub(super) fn r14_preserved_locals(cx: &Cx) {
    let bombs = Bombs::new(cx);
    let (first, one, n) = (times(&[0x20, 0], 1000), [1, 1, 0x7F], size(1_000_000));
    let drops = times(&[0x1A], 1000);
    bombs.body("dropped", &one, cat(&[&first, &times(&hex("41 01 21 00 20 00 1A"), n), &drops]));
    bombs.body("kept", &one, cat(&[&first, &times(&hex("41 01 21 00 20 00"), n), &[0]]));
    bombs.body("tee", &one, cat(&[&first, &times(&hex("20 00 22 00 1A"), n), &drops]));
    let many = cat(&[&[1], &leb(50_000), &[0x7F]]);
    bombs.body("loops in loops", &many, cat(&[&times(&[3, 0x40], 10_000), &times(&[0x0B], 10_000)]));
    bombs.body("loops in a row", &many, times(&[3, 0x40, 0x0B], 10_000));
    let set = |n: u64| cat(&[&[3, 0x40, 0x20], &leb(n), &hex("41 01 6A 21"), &leb(n), &[0x0B]]);
    bombs.body("loops that set a local each", &many, (0..10_000).flat_map(set).collect());
    // Fifty thousand locals on the stack, across ten thousand loops.
    let drops = times(&[0x1A], 50_000);
    let loops = cat(&[&gets(50_000), &times(&[3, 0x40, 0x0B], 10_000), &drops]);
    bombs.body("locals across loops", &many, loops);
    let blocks: Vec<u8> = (0..10_000).flat_map(|n| cat(&[&[2, 0x40, 0x41, 1, 0x21], &leb(n), &[0x0B]])).collect();
    bombs.body("locals across blocks that set them", &many, cat(&[&gets(50_000), &blocks, &drops]));
    bombs.finish();
}
