//! Turns tile patterns into handlers, a matching trie and a pair table.
//!
//! Patterns are text in prefix order, `SetI32 I32Add L C`, statements joined by ` ; `. They come from the systematic
//! families below, from `tiles/*.txt`, and from the file that `JITLESS_TILES` names. A name that is not in the table stops
//! the build with its file and line.
#[path = "src/instr.rs"]
#[allow(dead_code, unused_macros, unreachable_pub)]
mod instr;
#[path = "src/symbol.rs"]
#[allow(dead_code, unreachable_pub)]
mod symbol;
#[path = "src/types.rs"]
#[allow(dead_code, unreachable_pub)]
mod types;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use symbol::{Form, Kind, Sym};
use types::Ty;

/// A node of a pattern. The order of fields is the canonical order of operands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Node {
    rank: u8,
    sym: Sym,
    kids: Vec<Node>,
}

fn node(sym: Sym, kids: Vec<Node>) -> Node {
    let rank = match sym {
        Sym::C => 0,
        Sym::L => 1,
        Sym::A => 3,
        _ => 2,
    };
    Node { rank, sym, kids }
}

fn leaf(sym: Sym) -> Node {
    node(sym, vec![])
}

fn all() -> impl Iterator<Item = Sym> + Clone {
    (0..symbol::COUNT as u16).map(Sym)
}

fn sym(name: &str) -> Option<Sym> {
    all().find(|s| {
        let i = s.info();
        name.strip_suffix(i.suffix) == Some(i.name)
    })
}

/// A symbol that this file names.
fn known(name: &str) -> Sym {
    sym(name).unwrap_or_else(|| panic!("no symbol {name}"))
}

fn form(f: Form) -> Sym {
    Sym::form(f)
}

/// Commutative operators and comparisons have one canonical order of their operands; the matcher tries both.
fn canonical(mut x: Node) -> Node {
    x.kids = x.kids.into_iter().map(canonical).collect();
    if let (2, Some(swapped)) = (x.kids.len(), x.sym.swapped())
        && (x.kids[0] < x.kids[1] || x.kids[0] == x.kids[1] && swapped < x.sym)
    {
        x.kids.swap(0, 1);
        x.sym = swapped;
    }
    x
}

/// Reads one statement.
fn parse(text: &str) -> Result<Node, String> {
    fn one<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Node, String> {
        let name = words.next().ok_or("pattern ends early")?;
        let s = sym(name).ok_or_else(|| format!("`{name}` is not in the table"))?;
        let kids = s.info().operands.iter().map(|_| one(words)).collect::<Result<_, _>>()?;
        Ok(node(s, kids))
    }
    let mut words = text.split_whitespace();
    let x = one(&mut words)?;
    match words.next() {
        Some(more) => Err(format!("`{more}` follows a complete pattern")),
        None => Ok(canonical(x)),
    }
}

fn pattern(text: &str) -> Node {
    parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Writes the Rust type of a node whose value is wanted as `ty`.
fn rust_type(x: &Node, ty: Option<Ty>, out: &mut String) {
    let info = x.sym.info();
    if info.kind == Kind::Leaf {
        let t = ["u32", "u64", "f32", "f64"][symbol::class(ty.expect("a leaf is an operand"))];
        write!(out, "{}<{t}>", info.name).unwrap();
        return;
    }
    let class = ["I32", "I64", "F32", "F64"];
    let name = match info.kind {
        // Roots that differ in the type of their operand alone are one generic type.
        Kind::Root => {
            class.iter().find_map(|c| info.name.strip_suffix(c)).filter(|n| !n.is_empty()).unwrap_or(info.name)
        }
        _ => info.name,
    };
    out.push_str(name);
    let reach = x.sym.as_access().map(|(_, far)| if far { "Far" } else { "Near" });
    let mut sep = '<';
    if let Some(part) = reach {
        out.push(sep);
        out.push_str(part);
        sep = ',';
    }
    for (kid, &ty) in x.kids.iter().zip(info.operands) {
        out.push(sep);
        rust_type(kid, Some(ty), out);
        sep = ',';
    }
    if sep == ',' {
        out.push('>');
    }
}

fn accumulators(x: &Node) -> usize {
    (x.sym == Sym::A) as usize + x.kids.iter().map(accumulators).sum::<usize>()
}

const LEAVES: [Sym; 3] = [Sym::L, Sym::C, Sym::A];

/// All ways to fill `n` operands with leaves.
fn fillings(n: usize) -> Vec<Vec<Node>> {
    (0..n).fold(vec![vec![]], |all, _| {
        all.iter().flat_map(|v| LEAVES.iter().map(move |&l| v.iter().cloned().chain([leaf(l)]).collect())).collect()
    })
}

/// An operator over every choice of leaves: at most one accumulator, not only constants.
fn over_leaves(s: Sym) -> Vec<Node> {
    let n = s.info().operands.len();
    let mut out: Vec<Node> = fillings(n)
        .into_iter()
        .map(|kids| canonical(node(s, kids)))
        .filter(|x| accumulators(x) <= 1 && (n == 0 || x.kids.iter().any(|k| k.sym != Sym::C)))
        .collect();
    out.sort();
    out.dedup();
    out
}

/// The two classes of accumulators are different registers: a statement may use one of each.
fn fits(x: &Node) -> bool {
    let operands = x.sym.info().operands;
    accumulators(x) <= 1 || operands.len() == 2 && matches!(operands[1], Ty::F32 | Ty::F64)
}

/// How much to generate: everything, the families alone, or what a complete engine needs at least.
#[derive(PartialEq, PartialOrd)]
enum Extent {
    Base,
    Families,
    Full,
}

struct Families {
    out: Vec<Node>,
}

impl Families {
    fn root(&mut self, s: Sym, kids: Vec<Node>) {
        let x = canonical(node(s, kids));
        if fits(&x) {
            self.out.push(x);
        }
    }

    /// An expression into a slot and into the accumulator.
    fn value(&mut self, x: &Node) {
        if accumulators(x) > 1 {
            return;
        }
        let ty = x.sym.info().result.expect("an expression");
        for f in [Form::SetI32, Form::AccI32] {
            self.root(Sym::of_class(f, ty), vec![x.clone()]);
        }
    }

    fn branch(&mut self, x: Node) {
        if accumulators(&x) <= 1 {
            self.root(form(Form::BrIf), vec![x]);
        }
    }

    fn both_orders(s: Sym, x: &Node, z: Sym) -> [Node; 2] {
        [node(s, vec![x.clone(), leaf(z)]), node(s, vec![leaf(z), x.clone()])].map(canonical)
    }
}

fn families(extent: &Extent) -> Vec<Vec<Node>> {
    let mut f = Families { out: vec![] };
    let of_kind = |k: Kind| all().filter(move |s| s.info().kind == k);
    let far = |s: Sym| s.as_access().is_some_and(|(_, far)| far);
    // 1. Every operator over every choice of leaves.
    for s in all().filter(|s| !matches!(s.info().kind, Kind::Leaf | Kind::Root)) {
        over_leaves(s).iter().for_each(|x| f.value(x));
        if s.info().kind == Kind::Load {
            f.value(&node(s, vec![leaf(Sym::C)]));
        }
    }
    // 2. Every root over every choice of leaves.
    for s in of_kind(Kind::Root) {
        for kids in fillings(s.info().operands.len()) {
            f.root(s, kids);
        }
    }
    // 3. Compare and branch.
    let compares: Vec<Sym> = all()
        .filter(|s| s.as_plain().is_some_and(|p| p.info().operands.len() == 2 && p.info().result == Ty::I32))
        .filter(|s| ["Eq", "Ne", "Lt", "Gt", "Le", "Ge"].iter().any(|c| s.info().name[3..].starts_with(c)))
        .collect();
    let (eqz, and) = (known("I32Eqz"), known("I32And"));
    let not = |x: &Node| node(eqz, vec![x.clone()]);
    for &c in &compares {
        for x in over_leaves(c) {
            if matches!(c.info().operands[0], Ty::F32 | Ty::F64) {
                f.branch(not(&x));
            }
            f.branch(x);
        }
    }
    for x in over_leaves(and) {
        f.branch(not(&x));
        f.branch(x);
    }
    for z in [eqz, known("I64Eqz")] {
        for l in [Sym::L, Sym::A] {
            f.branch(node(z, vec![leaf(l)]));
        }
    }
    if *extent == Extent::Base {
        return f.out.into_iter().map(|x| vec![x]).collect();
    }
    // 4. Operators over operators.
    let listed = |names: &str| names.split_whitespace().map(known).collect::<Vec<_>>();
    let core = [
        (Ty::I32, listed("I32Add I32Sub I32Mul I32And I32Or I32Xor I32Shl I32ShrS I32ShrU I32Rotl")),
        (Ty::I64, listed("I64Add I64Sub I64Mul I64And I64Or I64Xor I64Shl I64ShrS I64ShrU I64Rotl")),
        (Ty::F32, listed("F32Add F32Sub F32Mul F32Div")),
        (Ty::F64, listed("F64Add F64Sub F64Mul F64Div")),
    ];
    let core_of = |ty: Ty| &core.iter().find(|c| c.0 == ty).expect("scalar").1;
    let inner = |ty: Ty| core_of(ty).iter().flat_map(|&s| over_leaves(s)).collect::<Vec<_>>();
    let subtracts = [known("I32Sub"), known("I64Sub")];
    for (ty, outer) in &core {
        for (&o, x) in outer.iter().flat_map(|o| inner(*ty).into_iter().map(move |x| (o, x))) {
            for z in LEAVES {
                let float = matches!(ty, Ty::F32 | Ty::F64);
                if z == Sym::C && float {
                    continue;
                }
                for e in Families::both_orders(o, &x, z) {
                    // A constant minuend or shifted value stays rare; the translator folds a subtracted constant.
                    let constant_left = z == Sym::C && e.kids[0].sym == Sym::C;
                    if !constant_left || o.info().commutes || subtracts.contains(&o) {
                        f.value(&e);
                    }
                }
            }
        }
    }
    // 5. Computed addresses.
    let addresses: Vec<Node> = [
        "I32Add L L",
        "I32Add A L",
        "I32Add L C",
        "I32Add A C",
        "I32Add L I32Shl L C",
        "I32Add A I32Shl L C",
        "I32Add L I32Shl A C",
        "I32Shl L C",
        "I32Shl A C",
        "I32Add I32Shl L C C",
    ]
    .map(pattern)
    .into();
    let loads: Vec<Sym> = of_kind(Kind::Load).filter(|&s| !far(s)).collect();
    let stores: Vec<Sym> = of_kind(Kind::Root).filter(|&s| s.as_access().is_some() && !far(s)).collect();
    for a in &addresses {
        for &l in &loads {
            f.value(&node(l, vec![a.clone()]));
        }
        for &s in &stores {
            for v in LEAVES {
                f.root(s, vec![a.clone(), leaf(v)]);
            }
        }
    }
    // 6. Operators, compares and branches over loads; stores of loads.
    for &l in &loads {
        let ty = l.info().result.expect("a load");
        for a in [Sym::L, Sym::A] {
            let x = node(l, vec![leaf(a)]);
            for z in LEAVES {
                for &o in core_of(ty) {
                    Families::both_orders(o, &x, z).iter().for_each(|e| f.value(e));
                }
                for &c in compares.iter().filter(|c| c.info().operands[0] == ty) {
                    f.branch(node(c, vec![x.clone(), leaf(z)]));
                }
            }
            match ty {
                Ty::I32 => {
                    f.branch(x.clone());
                    f.branch(not(&x));
                    for z in [Sym::L, Sym::C] {
                        let e = canonical(node(and, vec![x.clone(), leaf(z)]));
                        f.branch(not(&e));
                        f.branch(e);
                    }
                }
                Ty::I64 => f.branch(node(known("I64Eqz"), vec![x.clone()])),
                _ => {}
            }
            for &s in stores.iter().filter(|s| s.info().operands[1] == ty) {
                f.root(s, vec![leaf(Sym::L), x.clone()]);
                f.root(s, vec![leaf(Sym::A), node(l, vec![leaf(Sym::L)])]);
            }
        }
    }
    // 7. Stores, compares and returns of operators; addresses of a sum.
    for (ty, _) in &core {
        for x in inner(*ty) {
            for &s in stores.iter().filter(|s| s.info().operands[1] == *ty) {
                f.root(s, vec![leaf(Sym::L), x.clone()]);
                if accumulators(&x) == 0 {
                    f.root(s, vec![leaf(Sym::A), x.clone()]);
                }
            }
            if matches!(ty, Ty::I32 | Ty::I64) && x.sym.info().name[3..].starts_with(['A', 'S']) {
                for &c in compares.iter().filter(|c| c.info().operands[0] == *ty) {
                    for z in LEAVES {
                        f.branch(node(c, vec![x.clone(), leaf(z)]));
                    }
                }
            }
            f.root(Sym::of_class(Form::RetValueI32, *ty), vec![x.clone()]);
        }
    }
    // 8. Selects over compares.
    for &c in &compares {
        for x in over_leaves(c) {
            for ty in [Ty::I32, Ty::I64, Ty::F32, Ty::F64] {
                if !matches!(c.info().operands[0], Ty::I32) && c.info().operands[0] != ty {
                    continue;
                }
                for (a, b) in [(Sym::L, Sym::L), (Sym::L, Sym::C), (Sym::C, Sym::L)] {
                    f.value(&node(Sym::of_class(Form::I32Select, ty), vec![leaf(a), leaf(b), x.clone()]));
                }
            }
        }
    }
    f.out.into_iter().map(|x| vec![x]).collect()
}

/// Every order of the operands of float sums and products: they do not commute, since the order decides which NaN
/// survives, but programs write both.
fn orders(x: &Node) -> Vec<Node> {
    let mut out = vec![node(x.sym, vec![])];
    for kid in &x.kids {
        let forms = orders(kid);
        out = out
            .iter()
            .flat_map(|o| forms.iter().map(|k| node(o.sym, o.kids.iter().cloned().chain([k.clone()]).collect())))
            .collect();
    }
    if ["F32Add", "F32Mul", "F64Add", "F64Mul"].contains(&x.sym.info().name) && x.kids[0] != x.kids[1] {
        let swapped: Vec<Node> = out.iter().map(|o| node(o.sym, o.kids.iter().rev().cloned().collect())).collect();
        out.extend(swapped);
    }
    out
}

/// Reads a list: one sequence a line, `#` begins a comment.
fn read_list(path: &std::path::Path, out: &mut Vec<Vec<Node>>) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for (n, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let mut variants: Vec<Vec<Node>> = vec![vec![]];
        for statement in line.split(';') {
            let x = parse(statement).unwrap_or_else(|e| panic!("{}:{}: {e}", path.display(), n + 1));
            let forms = orders(&x);
            variants = variants
                .iter()
                .flat_map(|v| forms.iter().map(|f| v.iter().cloned().chain([f.clone()]).collect()))
                .take(4)
                .collect();
        }
        out.extend(variants);
    }
}

/// The matching trie as a double array: the child of state `s` by symbol `x` is state `base[s] + x`, if its `check` is `s`.
/// A pattern is complete where its prefix order ends, so a state either has children or is a tile.
struct Trie {
    edges: Vec<BTreeMap<u16, usize>>,
    tile: Vec<Option<usize>>,
    /// The first tile behind each state, which is the hottest.
    first: Vec<usize>,
}

const TILE: u32 = 1 << 31;

impl Trie {
    fn new() -> Trie {
        Trie { edges: vec![BTreeMap::new()], tile: vec![None], first: vec![0] }
    }

    /// Adds a pattern. Tiles come in their order.
    fn insert(&mut self, x: &Node, tile: usize) {
        fn walk(t: &mut Trie, at: usize, x: &Node, tile: usize) -> usize {
            let fresh = t.edges.len();
            let mut at = *t.edges[at].entry(x.sym.0).or_insert(fresh);
            if at == fresh {
                t.edges.push(BTreeMap::new());
                t.tile.push(None);
                t.first.push(tile);
            }
            for kid in &x.kids {
                at = walk(t, at, kid, tile);
            }
            at
        }
        let end = walk(self, 0, x, tile);
        self.tile[end] = Some(tile);
    }

    /// `(base or tile, check)` by state. What leads to hot tiles comes first, and so lies together.
    fn pack(&self) -> Vec<(u32, u32)> {
        let mut out: Vec<Option<(u32, u32)>> = vec![Some((0, u32::MAX))];
        let mut queue = BTreeSet::from([(0, 0usize, 0usize)]);
        let mut first_free = 1;
        while let Some((_, state, slot)) = queue.pop_first() {
            if let Some(tile) = self.tile[state] {
                out[slot].as_mut().expect("placed").0 = TILE | tile as u32;
                continue;
            }
            let edges = &self.edges[state];
            let least = *edges.keys().next().expect("a state has children or is a tile") as usize;
            while out.get(first_free).is_some_and(|o| o.is_some()) {
                first_free += 1;
            }
            let mut base = first_free.saturating_sub(least).max(1);
            while edges.keys().any(|&s| out.get(base + s as usize).is_some_and(|o| o.is_some())) {
                base += 1;
            }
            for (&s, &child) in edges {
                let at = base + s as usize;
                if out.len() <= at {
                    out.resize(at + 1, None);
                }
                out[at] = Some((0, slot as u32));
                queue.insert((self.first[child], child, at));
            }
            out[slot].as_mut().expect("placed").0 = base as u32;
        }
        // Room behind, so that no lookup needs a bounds check of its own.
        let end = out.len() + symbol::COUNT;
        out.resize(end, None);
        out.into_iter().map(|o| o.unwrap_or((0, u32::MAX - 1))).collect()
    }
}

fn main() {
    for path in ["build.rs", "src/instr.rs", "src/symbol.rs", "src/types.rs", "tiles"] {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rustc-check-cfg=cfg(distances)");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let elf = ["linux", "android", "freebsd", "netbsd", "openbsd"].contains(&&*target("OS"));
    if elf && ["x86_64", "aarch64"].contains(&&*target("ARCH")) {
        println!("cargo::rustc-cfg=distances");
    }
    println!("cargo::rerun-if-env-changed=JITLESS_TILES");
    println!("cargo::rerun-if-env-changed=JITLESS_TILE_SET");
    let extent = match std::env::var("JITLESS_TILE_SET").as_deref() {
        Ok("base") => Extent::Base,
        Ok("families") => Extent::Families,
        _ => Extent::Full,
    };
    let mut wanted = families(&extent);
    if extent == Extent::Full {
        let mut lists: Vec<_> =
            std::fs::read_dir("tiles").expect("tiles/").map(|f| f.expect("tiles/").path()).collect();
        lists.retain(|p| p.extension().is_some_and(|x| x == "txt"));
        lists.sort();
        lists.iter().for_each(|list| read_list(list, &mut wanted));
    }
    if let Ok(list) = std::env::var("JITLESS_TILES")
        && !list.is_empty()
    {
        println!("cargo::rerun-if-changed={list}");
        read_list(list.as_ref(), &mut wanted);
    }

    // Number every tile, its statements and its prefixes first: fusion goes one statement at a time.
    let mut number: HashMap<Vec<Node>, usize> = HashMap::new();
    let mut tiles: Vec<Vec<Node>> = vec![];
    for t in wanted {
        let singles = t.iter().map(|x| vec![x.clone()]);
        for part in singles.chain((2..=t.len()).map(|n| t[..n].to_vec())) {
            number.entry(part.clone()).or_insert_with(|| {
                tiles.push(part);
                tiles.len() - 1
            });
        }
    }
    let tiles = hottest_first(tiles, &number);
    let number: HashMap<&[Node], usize> = tiles.iter().enumerate().map(|(i, t)| (&t[..], i)).collect();
    let mut trie = Trie::new();
    let mut pairs = vec![];
    for (i, t) in tiles.iter().enumerate() {
        match t.split_last().expect("a tile has a statement") {
            (x, []) => trie.insert(x, i),
            (last, before) => pairs.push(Pair { before: number[before], last: number[&[last.clone()][..]], fused: i }),
        }
    }
    std::fs::write(format!("{}/tiles.rs", std::env::var("OUT_DIR").expect("cargo")), generate(&tiles, &trie, &pairs))
        .expect("OUT_DIR");
}

/// Sorts tiles by how many sequences they are part of, so that what is used together lies together: code and tables.
fn hottest_first(tiles: Vec<Vec<Node>>, number: &HashMap<Vec<Node>, usize>) -> Vec<Vec<Node>> {
    let mut heat = vec![0u32; tiles.len()];
    for t in tiles.iter().filter(|t| t.len() > 1) {
        t.iter().for_each(|x| heat[number[&vec![x.clone()]]] += 1);
        (2..=t.len()).for_each(|n| heat[number[&t[..n]]] += 1);
    }
    let mut order: Vec<_> = heat.into_iter().zip(tiles).collect();
    order.sort_by_key(|(heat, _)| std::cmp::Reverse(*heat));
    order.into_iter().map(|(_, tile)| tile).collect()
}

/// Two tiles in a row, and the one that is both.
struct Pair {
    before: usize,
    last: usize,
    fused: usize,
}

/// Lays the rows of a sparse table over each other: where each row begins, and `(row, value)` by begin and column. The
/// longest rows choose first; each begins where none of its values meets another's.
fn displace(pairs: &[Pair]) -> (Vec<usize>, Vec<(usize, usize)>) {
    let mut rows: BTreeMap<usize, Vec<&Pair>> = BTreeMap::new();
    pairs.iter().for_each(|p| rows.entry(p.before).or_default().push(p));
    let mut begins = vec![0; rows.keys().next_back().map_or(0, |&last| last + 1)];
    let mut cells: Vec<Option<(usize, usize)>> = vec![];
    let mut order: Vec<_> = rows.into_iter().collect();
    order.sort_by_key(|(_, row)| std::cmp::Reverse(row.len()));
    for (before, row) in order {
        let free = |begin: &usize| row.iter().all(|p| cells.get(begin + p.last).is_none_or(|c| c.is_none()));
        let begin = (0..).find(free).expect("there is room behind");
        for p in row {
            let at = begin + p.last;
            cells.resize(cells.len().max(at + 1), None);
            cells[at] = Some((before, p.fused));
        }
        begins[before] = begin;
    }
    (begins, cells.into_iter().map(|c| c.unwrap_or((u16::MAX as usize, 0))).collect())
}

/// Modules that the handlers are spread over: the compiler works on them side by side.
const MODULES: usize = 32;

fn generate(tiles: &[Vec<Node>], trie: &Trie, pairs: &[Pair]) -> String {
    let mut o = String::new();
    let module = |i: usize| i * MODULES / tiles.len();
    for m in 0..MODULES {
        writeln!(o, "mod m{m} {{ use super::*;").unwrap();
        for (i, t) in tiles.iter().enumerate().filter(|(i, _)| module(*i) == m) {
            let mut ty = String::new();
            for (k, x) in t.iter().enumerate() {
                let mut one = String::new();
                rust_type(x, None, &mut one);
                ty = if k == 0 { one } else { format!("Seq<{ty},{one}>") };
            }
            writeln!(o, "tile!(t{i}, {ty});").unwrap();
        }
        o.push_str("}\n");
    }
    let n = tiles.len();
    writeln!(o, "handlers! {{ {n}:").unwrap();
    (0..n).for_each(|i| write!(o, "m{}::t{i},", module(i)).unwrap());
    o.push_str("}\n");
    let list = |o: &mut String, decl: &str, items: &mut dyn Iterator<Item = String>| {
        writeln!(o, "{decl} = [").unwrap();
        for x in items {
            o.push_str(&x);
            o.push(',');
        }
        o.push_str("];\n");
    };
    let states = trie.pack();
    let decl = format!("/// The matching trie: base or tile, check.\npub static TRIE: [(u32, u32); {}]", states.len());
    list(&mut o, &decl, &mut states.iter().map(|s| format!("({},{})", s.0, s.1)));
    let (begins, cells) = displace(pairs);
    let decl =
        format!("/// Where the row of each tile that has pairs begins.\nstatic PAIR_ROWS: [u16; {}]", begins.len());
    list(&mut o, &decl, &mut begins.iter().map(|b| b.to_string()));
    let decl = format!(
        "/// First tile, both, by the first's row and the second.\nstatic PAIRS: [(u16, u16); {}]",
        cells.len()
    );
    list(&mut o, &decl, &mut cells.iter().map(|c| format!("({},{})", c.0, c.1)));

    // Shapes, for listings: a statement's symbols in prefix order; of a sequence, the prefix and the last statement.
    let mut shapes: Vec<u16> = vec![];
    let mut starts = vec![];
    fn prefix(x: &Node, out: &mut Vec<u16>) {
        out.push(x.sym.0);
        x.kids.iter().for_each(|k| prefix(k, out));
    }
    let parts: HashMap<usize, (usize, usize)> = pairs.iter().map(|p| (p.fused, (p.before, p.last))).collect();
    for (i, t) in tiles.iter().enumerate() {
        starts.push(shapes.len());
        match parts.get(&i) {
            Some(&(before, last)) => shapes.extend([u16::MAX, before as u16, last as u16]),
            None => prefix(&t[0], &mut shapes),
        }
    }
    starts.push(shapes.len());
    let decl = format!("/// Where each tile's shape begins.\npub static SHAPE_START: [u32; {}]", starts.len());
    list(&mut o, &decl, &mut starts.iter().map(|s| s.to_string()));
    let decl = format!(
        "/// Shapes: symbols in prefix order, or `[u16::MAX, prefix, last]`.\npub static SHAPES: [u16; {}]",
        shapes.len()
    );
    list(&mut o, &decl, &mut shapes.iter().map(|s| s.to_string()));
    assert!(
        n < u16::MAX as usize && cells.len() <= u16::MAX as usize,
        "{n} tiles, {} pairs: numbers are 16 bits",
        cells.len()
    );
    o
}
