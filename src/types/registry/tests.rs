//! Canonical ids against the naive definition: two types are equal if their groups are, written out in full (§3.2.3).

extern crate std;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::{GlobalType, Limits, MemoryType, Mutability};
use super::*;

/// A type as a module writes it: references are indices into all types of the module, its own group included.
#[derive(Clone, Debug)]
struct Written {
    is_final: bool,
    supertype: Option<usize>,
    sort: Sort,
    /// Value types of parameters and results, fields or elements.
    parts: Vec<Part>,
    /// How many of a function's are parameters; wrapped.
    params: usize,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Sort {
    Func,
    Struct,
    Array,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    I32,
    AnyFunc,
    Ref { nullable: bool, index: usize },
}

/// The groups of a module. Indices beyond what a type may refer to are wrapped by [`Module::wrap`].
#[derive(Clone, Debug)]
struct Module(Vec<Vec<Written>>);

impl Module {
    /// Makes every reference one to an earlier type or to the own group.
    fn wrap(mut self) -> Self {
        let mut before = 0;
        for group in &mut self.0 {
            let end = before + group.len();
            for ty in group.iter_mut() {
                ty.supertype = ty.supertype.map(|index| index % end);
                for part in &mut ty.parts {
                    if let Part::Ref { index, .. } = part {
                        *index %= end;
                    }
                }
                ty.params %= ty.parts.len() + 1;
                if ty.sort == Sort::Array {
                    ty.parts.resize(1, Part::I32);
                }
            }
            before = end;
        }
        self
    }

    fn register(&self, registry: &TypeRegistry) -> Vec<TypeId> {
        let mut ids = Vec::new();
        for group in &self.0 {
            let at = ids.len();
            let id = |index: usize| match index.checked_sub(at) {
                Some(k) => TypeId::relative(k as u32),
                None => ids[index],
            };
            let val = |part: &Part| match *part {
                Part::I32 => ValType::I32,
                Part::AnyFunc => ValType::FUNCREF,
                Part::Ref { nullable, index } => ValType::Ref(RefType::new(nullable, HeapType::Concrete(id(index)))),
            };
            let field = |part: &Part| FieldType { storage: StorageType::Val(val(part)), mutable: false };
            let group: Vec<_> = group
                .iter()
                .map(|ty| SubType {
                    is_final: ty.is_final,
                    supertype: ty.supertype.map(id),
                    composite: match ty.sort {
                        Sort::Func => {
                            let (params, results) = ty.parts.split_at(ty.params);
                            CompositeType::Func(FuncType::from_parts(params.iter().map(val), results.iter().map(val)))
                        }
                        Sort::Struct => {
                            CompositeType::Struct(StructType { fields: ty.parts.iter().map(field).collect() })
                        }
                        Sort::Array => CompositeType::Array(ArrayType { field: field(&ty.parts[0]) }),
                    },
                })
                .collect();
            let first = registry.register_group(&group).0;
            ids.extend((0..group.len() as u32).map(|k| TypeId(first + k)));
        }
        ids
    }

    /// The types, each with its whole group, each reference to another group written out in the same way.
    fn written_out(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for group in &self.0 {
            let at = all.len();
            let mut text = String::new();
            let name = |index: usize| match index.checked_sub(at) {
                Some(k) => format!("rec.{k}"),
                None => all[index].clone(),
            };
            for ty in group {
                write!(text, "(sub {}", ty.is_final).unwrap();
                if let Some(index) = ty.supertype {
                    write!(text, " < {}", name(index)).unwrap();
                }
                write!(text, " {:?}", ty.sort).unwrap();
                if ty.sort == Sort::Func {
                    write!(text, " of {}", ty.params).unwrap();
                }
                for part in &ty.parts {
                    match *part {
                        Part::I32 => text.push_str(" i32"),
                        Part::AnyFunc => text.push_str(" funcref"),
                        Part::Ref { nullable, index } => write!(text, " (ref {nullable} {})", name(index)).unwrap(),
                    }
                }
                text.push(')');
            }
            all.extend((0..group.len()).map(|k| format!("[{text}].{k}")));
        }
        all
    }

    fn supertype(&self, index: usize) -> Option<usize> {
        self.0.iter().flatten().nth(index).and_then(|ty| ty.supertype)
    }
}

fn modules() -> impl Strategy<Value = Module> {
    // Few sorts of everything, so that equal types are frequent.
    let part = prop_oneof![
        2 => Just(Part::I32),
        1 => Just(Part::AnyFunc),
        3 => (any::<bool>(), 0..8usize).prop_map(|(nullable, index)| Part::Ref { nullable, index }),
    ];
    let sort = prop_oneof![3 => Just(Sort::Func), 3 => Just(Sort::Struct), 1 => Just(Sort::Array)];
    let supertype = prop::option::weighted(0.3, 0..8usize);
    let ty = (prop::bool::weighted(0.2), supertype, sort, prop::collection::vec(part, 0..3), 0..3usize)
        .prop_map(|(is_final, supertype, sort, parts, params)| Written { is_final, supertype, sort, parts, params });
    let group = prop_oneof![
        3 => prop::collection::vec(ty.clone(), 1..2),
        1 => prop::collection::vec(ty, 0..4),
    ];
    prop::collection::vec(group, 1..5).prop_map(|groups| Module(groups).wrap())
}

/// A module and the same with one type replaced by another of its types, or changed in one respect.
fn neighbours() -> impl Strategy<Value = (Module, Module)> {
    (modules(), any::<[prop::sample::Index; 3]>(), 0..6u8, 0..8usize).prop_map(|(module, at, change, number)| {
        let mut other = module.clone();
        let types: Vec<_> = module.0.iter().flatten().cloned().collect();
        let mut places: Vec<_> = other.0.iter_mut().flatten().collect();
        if !types.is_empty() {
            let ty = &mut *places[at[0].index(types.len())];
            let part = if ty.parts.is_empty() { None } else { Some(at[1].index(ty.parts.len())) };
            match (change, part) {
                (0, _) => *ty = types[at[2].index(types.len())].clone(),
                (1, _) => ty.is_final = !ty.is_final,
                (2, _) => ty.supertype = if number == 0 { None } else { Some(number) },
                (3, _) => ty.params = number,
                (_, Some(part)) => match &mut ty.parts[part] {
                    Part::Ref { nullable, .. } if change == 4 => *nullable = !*nullable,
                    Part::Ref { index, .. } => *index = number,
                    other => *other = Part::Ref { nullable: true, index: number },
                },
                _ => {}
            }
        }
        (module, other.wrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 2000 }, ..ProptestConfig::default() })]

    #[test]
    fn equal_ids_exactly_for_equal_types(a in modules(), b in modules(), colliding: bool) {
        compare(&a, &b, colliding)?;
    }

    #[test]
    fn equal_ids_exactly_for_equal_types_where_little_differs((a, b) in neighbours(), colliding: bool) {
        compare(&a, &b, colliding)?;
    }

    #[test]
    fn subtypes_exactly_as_declared(module in modules()) {
        let registry = TypeRegistry::new();
        let ids = module.register(&registry);
        let texts = module.written_out();
        for sub in 0..ids.len() {
            for sup in 0..ids.len() {
                // The groups are not validated: a supertype may be later, or the type itself. Such a one is none.
                let mut at = sub;
                let declared = loop {
                    if texts[at] == texts[sup] {
                        break true;
                    }
                    match module.supertype(at) {
                        Some(above) if ids[above] < ids[at] => at = above,
                        _ => break false,
                    }
                };
                prop_assert_eq!(registry.is_subtype(ids[sub], ids[sup]), declared, "{} <: {}", texts[sub], texts[sup]);
            }
        }
    }

    #[test]
    fn stored_types_are_absolute(module in modules()) {
        let registry = TypeRegistry::new();
        for id in module.register(&registry) {
            let stored = registry.get(id);
            prop_assert_eq!(&close(&stored, 0), &*stored);
            prop_assert_eq!(registry.func(id).is_some(), matches!(registry.get(id).composite, CompositeType::Func(_)));
        }
    }
}

fn compare(a: &Module, b: &Module, colliding: bool) -> Result<(), TestCaseError> {
    let registry = TypeRegistry { colliding, ..TypeRegistry::new() };
    // The first module twice: the second time must change nothing.
    let (of_a, again, of_b) = (a.register(&registry), a.register(&registry), b.register(&registry));
    prop_assert_eq!(&of_a, &again);
    let ids: Vec<_> = of_a.into_iter().chain(of_b).collect();
    let texts: Vec<_> = a.written_out().into_iter().chain(b.written_out()).collect();
    for (id, text) in ids.iter().zip(&texts) {
        for (other, known) in ids.iter().zip(&texts) {
            prop_assert_eq!(id == other, text == known, "{} {}", text, known);
        }
    }
    Ok(())
}

fn reference(id: TypeId) -> ValType {
    ValType::Ref(RefType::new(true, HeapType::Concrete(id)))
}

fn structure(fields: impl IntoIterator<Item = ValType>) -> CompositeType {
    let field = |ty| FieldType { storage: StorageType::Val(ty), mutable: false };
    CompositeType::Struct(StructType { fields: fields.into_iter().map(field).collect() })
}

fn open(supertype: Option<TypeId>, composite: CompositeType) -> SubType {
    SubType { is_final: false, supertype, composite }
}

/// A type that refers to itself, and one that refers to *it*, read the same but for who is meant.
#[test]
fn a_reference_from_outside_is_no_recursion() {
    let registry = TypeRegistry::new();
    let list = registry.register_group(&[SubType::of(structure([reference(TypeId::relative(0))]))]);
    let outside = registry.register_group(&[SubType::of(structure([reference(list)]))]);
    assert_ne!(list, outside);
    assert_eq!(registry.register_group(&[SubType::of(structure([reference(list)]))]), outside);
    assert_eq!(registry.register_group(&[SubType::of(structure([reference(TypeId::relative(0))]))]), list);
}

/// Row V21 of the hostile inputs.
#[test]
fn the_order_of_a_group_counts() {
    let registry = TypeRegistry::new();
    let n = |m| open(None, structure([ValType::I32, reference(TypeId::relative(m))]));
    let m = |n| open(None, structure([reference(TypeId::relative(n))]));
    let ours = registry.register_group(&[n(1), m(0)]);
    assert_eq!(registry.register_group(&[n(1), m(0)]), ours);
    let other = registry.register_group(&[m(1), n(0)]);
    assert_ne!(TypeId(other.0 + 1), ours);
    // The same two types in a group of three.
    assert_ne!(registry.register_group(&[n(1), m(0), m(0)]), ours);
}

/// Row V20: comparing two types walks no structure.
#[test]
fn deep_structures_compare_at_once() {
    let registry = TypeRegistry::new();
    let chain = || {
        let mut id = registry.register_group(&[open(None, structure([]))]);
        for _ in 0..62 {
            id = registry.register_group(&[open(Some(id), structure([reference(id), reference(id)]))]);
        }
        id
    };
    let (a, b) = (chain(), chain());
    assert_eq!((a, registry.len(), registry.depth(a)), (b, 63, 62));
    assert!(registry.is_subtype(a, registry.register_group(&[open(None, structure([]))])));
}

#[test]
fn empty_groups_register_nothing() {
    let registry = TypeRegistry::new();
    (0..10).for_each(|_| {
        registry.register_group(&[]);
    });
    assert_eq!((registry.register_func(&FuncType::from_parts([ValType::I32], [])), registry.len()), (TypeId(0), 1));
}

#[test]
fn a_supertype_that_is_none_ends_every_walk() {
    let registry = TypeRegistry::new();
    let own = registry.register_group(&[open(Some(TypeId::relative(0)), structure([]))]);
    let ring = registry.register_group(&[
        open(Some(TypeId::relative(1)), structure([])),
        open(Some(TypeId::relative(0)), structure([])),
    ]);
    let wild = registry.register_group(&[open(Some(TypeId(1_000_000)), structure([]))]);
    for id in [own, ring, TypeId(ring.0 + 1), wild] {
        assert!(registry.is_subtype(id, id) && !registry.is_subtype(id, TypeId(1_000_000)));
        assert_eq!(registry.func(id), None);
    }
    assert!(!registry.is_subtype(ring, own) && !registry.is_subtype(TypeId(77), own));
}

#[test]
fn matching() {
    use HeapType::*;
    let registry = TypeRegistry::new();
    let func = registry.register_func(&FuncType::from_parts([], []));
    let base = registry.register_group(&[open(Option::None, structure([]))]);
    let below = registry.register_group(&[open(Some(base), structure([ValType::I32]))]);
    let bytes = FieldType { storage: StorageType::I8, mutable: true };
    let array = registry.register_group(&[SubType::of(CompositeType::Array(ArrayType { field: bytes }))]);
    let [func, base, below, array] = [func, base, below, array].map(Concrete);
    let all = [Func, NoFunc, Extern, NoExtern, Any, Eq, I31, Struct, Array, None, Exn, NoExn, func, base, below, array];
    // The specification's table of direct matches (§3.3.3); what follows from it is found by closing it.
    let direct = [
        (Eq, Any),
        (I31, Eq),
        (Struct, Eq),
        (Array, Eq),
        (None, I31),
        (None, base),
        (None, below),
        (None, array),
        (base, Struct),
        (below, base),
        (array, Array),
        (func, Func),
        (NoFunc, func),
        (NoExtern, Extern),
        (NoExn, Exn),
    ];
    let mut above: Vec<Vec<HeapType>> = all.iter().map(|&ty| [ty].into()).collect();
    for (of, above) in all.iter().zip(&mut above) {
        let mut next = 0;
        while next < above.len() {
            let at = above[next];
            above.extend(direct.iter().filter(|(sub, _)| *sub == at).map(|(_, sup)| *sup).collect::<Vec<_>>());
            next += 1;
        }
        for sup in all {
            assert_eq!(registry.matches_heap(*of, sup), above.contains(&sup), "{of} <: {sup}");
        }
    }
    let null = |heap| ValType::Ref(RefType::new(true, heap));
    let full = |heap| ValType::Ref(RefType::new(false, heap));
    assert!(registry.matches(full(below), null(base)) && registry.matches(full(below), full(base)));
    assert!(!registry.matches(null(below), full(base)));
    assert!(registry.matches(ValType::I32, ValType::I32) && !registry.matches(ValType::I32, ValType::I64));
}

#[test]
fn contents_of_declared_subtypes() {
    let registry = TypeRegistry::new();
    let any = RefType::new(true, HeapType::Any);
    let eq = RefType::new(true, HeapType::Eq);
    let field = |ty: RefType, mutable| FieldType { storage: StorageType::Val(ty.into()), mutable };
    let record = |fields: &[FieldType]| CompositeType::Struct(StructType { fields: fields.into() });
    let array = |field| CompositeType::Array(ArrayType { field });
    let packed = |storage| array(FieldType { storage, mutable: false });
    let func =
        |param: RefType, result: RefType| CompositeType::Func(FuncType::from_parts([param.into()], [result.into()]));
    for (sub, sup, fits) in [
        (record(&[field(eq, false)]), record(&[]), true),
        (record(&[]), record(&[field(eq, false)]), false),
        (record(&[field(eq, false)]), record(&[field(any, false)]), true),
        (record(&[field(any, false)]), record(&[field(eq, false)]), false),
        (record(&[field(eq, true)]), record(&[field(any, true)]), false),
        (record(&[field(any, true)]), record(&[field(any, true)]), true),
        (record(&[field(any, true)]), record(&[field(any, false)]), false),
        (array(field(eq, false)), array(field(any, false)), true),
        (packed(StorageType::I8), packed(StorageType::I16), false),
        (packed(StorageType::I8), packed(StorageType::I8), true),
        (func(any, eq), func(eq, any), true),
        (func(eq, any), func(any, eq), false),
        (func(any, any), record(&[]), false),
    ] {
        assert_eq!(registry.matches_composite(&sub, &sup), fits, "{sub:?} <: {sup:?}");
    }
}

#[test]
fn imports() {
    let registry = TypeRegistry::new();
    let table = |element, min, max| ExternType::from(TableType::new(element, min, max));
    let global = |ty, mutability| ExternType::from(GlobalType::new(ty, mutability));
    let anyfunc = ValType::FUNCREF;
    let some = ValType::Ref(RefType::new(false, HeapType::Func));
    let memory = |ty: MemoryType| ExternType::from(ty);
    let func = |params: &[ValType]| ExternType::from(FuncType::from_parts(params.iter().copied(), []));
    use Mutability::{Const, Var};
    for (found, wanted, fits) in [
        (table(RefType::FUNCREF, 2, Some(3)), table(RefType::FUNCREF, 1, None), true),
        (table(RefType::EXTERNREF, 2, None), table(RefType::FUNCREF, 1, None), false),
        (global(some, Const), global(anyfunc, Const), true),
        (global(some, Var), global(anyfunc, Var), false),
        (global(some, Var), global(some, Var), true),
        (global(some, Var), global(some, Const), false),
        (memory(MemoryType::new(1, None)), memory(MemoryType::new64(1, None)), false),
        (memory(MemoryType::new(2, Some(2))), memory(MemoryType::new(1, Some(2))), true),
        (
            memory(MemoryType { limits: Limits::new(1, None), page_size_log2: 0, ..MemoryType::new(0, None) }),
            memory(MemoryType::new(1, None)),
            false,
        ),
        (func(&[anyfunc]), func(&[anyfunc]), true),
        (func(&[anyfunc]), func(&[]), false),
        (func(&[]), memory(MemoryType::new(1, None)), false),
    ] {
        assert_eq!(registry.matches_extern(&found, &wanted), fits, "{found} for {wanted}");
    }
}

/// Rows V16 to V19: as many types as a module may have, identical, distinct, in one group, and in groups that differ
/// only at their end.
#[test]
fn linear_in_the_input() {
    let (count, bound) =
        if cfg!(debug_assertions) { (50_000u32, Duration::from_secs(20)) } else { (1_000_000, Duration::from_secs(5)) };
    let registry = TypeRegistry::new();
    let timed = |name: &str, types: usize, work: &dyn Fn()| {
        let before = (registry.len(), Instant::now());
        work();
        assert_eq!(registry.len() - before.0, types, "{name}");
        let time = before.1.elapsed();
        std::println!("{name}: {types} types of {count} in {time:?}");
        assert!(time < bound, "{name}: {time:?}");
    };
    let nums = [ValType::I32, ValType::I64, ValType::F32, ValType::F64];
    timed("identical", 1, &|| {
        for _ in 0..count {
            registry.register_func(&FuncType::from_parts([], []));
        }
    });
    timed("distinct", count as usize, &|| {
        for n in 0..count {
            registry.register_func(&FuncType::from_parts((0..20).map(|k| nums[n as usize >> (2 * k) & 3]), []));
        }
    });
    let group = |last: ValType| -> Vec<SubType> {
        (0..count)
            .map(|k| {
                let next = reference(TypeId::relative((k + 1) % count));
                SubType::of(structure([if k + 1 == count { last } else { ValType::I32 }, next]))
            })
            .collect()
    };
    timed("one group", 2 * count as usize, &|| {
        for last in [ValType::I32, ValType::I64, ValType::I32] {
            registry.register_group(&group(last));
        }
    });
    timed("chain of subtypes", count as usize, &|| {
        let mut above = None;
        for _ in 0..count {
            above = Some(registry.register_group(&[open(above, structure([]))]));
        }
        assert_eq!(registry.depth(above.unwrap()), count - 1);
    });
}
