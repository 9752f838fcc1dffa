//! Decoding: bytes that lie about counts, sizes, order and encodings.
//!
//! Invariant: nothing is allocated for a count before the bytes that back it are seen.

use jitless::{ErrorKind::*, Linker, Module, StoreLimitsBuilder, Trap, Val};

use crate::harness::*;

rows! {
    d1_the_first_bytes_of_a_header d2_cut_anywhere d3_mutated_anywhere d4_type_counts_in_leb128 d5_constants_in_leb128
    d6_negative_block_types d7_explicit_memory_zero d8_alignment_exponents d9_order_of_sections d10_sizes_of_sections
    d11_size_of_a_body d12_bodies_out_of_step d13_counts_without_contents d14_a_group_without_types d15_too_many_locals
    d16_a_million_empty_groups_of_locals d17_br_table_counts d18_data_counts d19_memory_init_without_data_count
    d20_name_section_lies d21_custom_sections d22_names_that_are_no_text d23_export_names d24_limits_flags
    d25_bytes_of_types d26_aliased_opcodes d28_functions_and_bodies d29_versions d30_parameters_and_results
    d31_a_module_that_is_too_large d32_element_segment_flags d33_data_segment_flags d34_branch_hints_lie
    d35_an_immediate_end d36_select_types d38_operators_after_the_end
}

/// A module with one function of these operators, without locals.
fn code(operators: &str) -> Vec<u8> {
    body(&cat(&[&[0], &hex(operators), &[0x0B]]))
}

fn d1_the_first_bytes_of_a_header(cx: &Cx) {
    for k in 0..8 {
        let error = cx.malformed(&H[..k]);
        assert!(error.offset().is_some_and(|offset| offset <= k), "{k}: {error}");
    }
    cx.accepts(&H);
}

/// What a module may do to a host that runs it with little of everything.
fn try_out(cx: &Cx, module: &Module) {
    let mut store = jitless::Store::new(&cx.engine, ());
    store.set_limits(StoreLimitsBuilder::new().total_memory(1 << 20).build());
    store.set_fuel(2_000).unwrap();
    let mut linker = Linker::new(&cx.engine);
    // What a mutation imports may have no default, or be too large.
    if linker.define_unknown_imports_as_default_values(&mut store, module).is_err() {
        return;
    }
    match linker.instantiate(&mut store, module) {
        Ok(instance) => {
            let funcs: Vec<_> = instance.exports(&store).filter_map(|export| export.into_func()).collect();
            for func in funcs {
                let ty = func.ty(&store);
                let args: Vec<_> = ty.params().iter().map(|&ty| Val::default_for_ty(ty).unwrap()).collect();
                let mut results = vec![Val::I32(0); ty.results().len()];
                match func.call(&mut store, &args, &mut results) {
                    Ok(()) => cx.note(&results.iter().map(Val::to_string).collect::<Vec<_>>()),
                    Err(error) => cx.note(&error.to_string()),
                }
                cx.note(&store.fuel_used());
            }
        }
        Err(error) => cx.note(&error.to_string()),
    }
}

fn d2_cut_anywhere(cx: &Cx) {
    cx.may_take(ms(500) * SEEDS.len() as u32);
    for (name, text) in SEEDS {
        let whole = cx.wat(text);
        let mut complete = 0;
        for k in 0..whole.len() {
            match cx.load(&whole[..k]) {
                Ok(_) => complete += 1,
                Err(error) => assert!(matches!(error.kind(), Malformed | Invalid), "{name} cut at {k}: {error}"),
            }
        }
        // Behind the header, and behind a few sections that need nothing later.
        assert!((1..6).contains(&complete), "{name}: {complete} prefixes load");
        cx.accepts(&whole);
    }
}

fn d3_mutated_anywhere(cx: &Cx) {
    cx.may_take(ms(20_000));
    let mut loaded = 0;
    let mut check = |mutant: &[u8]| {
        // The reference is asked by `load`.
        match cx.load(mutant) {
            Ok(module) => {
                loaded += 1;
                try_out(cx, &module);
            }
            Err(error) => assert!(matches!(error.kind(), Malformed | Invalid | Unsupported | Limit), "{error}"),
        }
    };
    for (_, text) in SEEDS {
        let whole = cx.wat(text);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut mutant = whole.clone();
                mutant[at] ^= 1 << bit;
                check(&mutant);
            }
            for byte in [0x00, 0x7F, 0x80, 0xFF] {
                let mut mutant = whole.clone();
                mutant[at] = byte;
                check(&mutant);
            }
            let mut mutant = whole.clone();
            mutant.remove(at);
            check(&mutant);
            let mut mutant = whole.clone();
            mutant.insert(at, whole[at]);
            check(&mutant);
        }
    }
    assert!(loaded > 500, "only {loaded} mutants load");
}

fn d4_type_counts_in_leb128(cx: &Cx) {
    cx.malformed(&module(&[&section(1, &hex("80 80 80 80 80 00"))]));
    cx.malformed(&module(&[&section(1, &hex("FF FF FF FF 1F"))]));
    cx.accepts(&module(&[&section(1, &hex("81 80 80 80 00 60 00 00"))]));
}

fn d5_constants_in_leb128(cx: &Cx) {
    cx.malformed(&code("41 FF FF FF FF 0F 1A"));
    cx.malformed(&code("41 80 80 80 80 70 1A"));
    cx.malformed(&code("42 80 80 80 80 80 80 80 80 80 7E 1A"));
    cx.malformed(&code("42 80 80 80 80 80 80 80 80 80 80 00 1A"));
    let types = section(1, &hex("02 60 00 01 7F 60 00 01 7E"));
    let code = section(
        10,
        &cat(&[&[2], &func(&hex("00 41 80 80 80 80 78 0B")), &func(&hex("00 42 80 80 80 80 80 80 80 80 80 7F 0B"))]),
    );
    let exports = section(7, b"\x02\x01a\0\0\x01b\0\x01");
    let module = cx.accepts(&module(&[&types, &section(3, &[2, 0, 1]), &exports, &code]));
    let mut guest = cx.guest_of(&module);
    guest.gives("a", &[], &vals![i32::MIN]);
    guest.gives("b", &[], &vals![i64::MIN]);
}

fn d6_negative_block_types(cx: &Cx) {
    for ty in ["FF 7E", "FF 7F", "C0 7F"] {
        cx.malformed(&code(&format!("02 {ty} 0B")));
    }
}

fn d7_explicit_memory_zero(cx: &Cx) {
    let types = section(1, &hex("01 60 00 01 7F"));
    let memory = section(5, &hex("01 00 01"));
    let code = section(10, &cat(&[&[1], &func(&hex("00 41 04 28 42 00 00 0B"))]));
    let data = section(11, &hex("01 00 41 04 0B 04 2A 00 00 00"));
    let bytes = module(&[&types, &section(3, &[1, 0]), &memory, &export_f(), &code, &data]);
    let loaded = cx.accepts(&bytes);
    cx.guest_of(&loaded).gives("f", &[], &vals![42]);
    let mut config = cx.mode.config();
    config.wasm_multi_memory(false);
    cx.no_oracle();
    let engine = jitless::Engine::new(&config).unwrap();
    assert_eq!(cx.load_in(&engine, &bytes).unwrap_err().kind(), Malformed);
}

fn d8_alignment_exponents(cx: &Cx) {
    let load = |align: &str| {
        let code = section(10, &cat(&[&[1], &func(&hex(&format!("00 41 00 28 {align} 00 1A 0B")))]));
        module(&[&t0(), &section(3, &[1, 0]), &section(5, &hex("01 00 01")), &code])
    };
    cx.accepts(&load("02"));
    for align in ["03", "1F"] {
        cx.invalid(&load(align));
    }
    for align in ["20", "3F", "FF FF FF FF 0F"] {
        cx.refuses(&load(align), &[Malformed, Invalid]);
    }
}

fn d9_order_of_sections(cx: &Cx) {
    let funcs = section(3, &[1, 0]);
    let code = section(10, &cat(&[&[1], &func(&[0, 0x0B])]));
    let start = section(8, &[0]);
    let (memory, global, tag) =
        (section(5, &hex("01 00 01")), section(6, &hex("01 7F 00 41 00 0B")), section(13, &hex("01 00 00")));
    cx.malformed(&module(&[&t0(), &code, &funcs]));
    cx.malformed(&module(&[&t0(), &t0()]));
    cx.malformed(&module(&[&t0(), &funcs, &code, &section(12, &[0])]));
    cx.refuses(&module(&[&t0(), &tag, &memory]), &[Malformed, Unsupported]);
    cx.refuses(&module(&[&t0(), &global, &tag]), &[Malformed, Unsupported]);
    cx.malformed(&module(&[&t0(), &funcs, &start, &start, &code]));
    cx.malformed(&module(&[&section(14, &[])]));
    cx.malformed(&module(&[&section(0x7F, &[])]));
    cx.accepts(&module(&[&t0(), &funcs, &memory, &global, &start, &code]));
}

fn d10_sizes_of_sections(cx: &Cx) {
    let ty = hex("01 60 00 00");
    let sized = |size: &[u8]| module(&[&cat(&[&[1], size, &ty]), &section(3, &[0])]);
    cx.accepts(&sized(&[4]));
    for size in [&[3][..], &[5]] {
        let bytes = sized(size);
        cx.heap_within(4 << 10, || cx.malformed(&bytes));
    }
    let bytes = cat(&[&H, &hex("01 FF FF FF FF 0F")]);
    assert_eq!(bytes.len(), 14);
    cx.heap_within(4 << 10, || cx.malformed(&bytes));
    // Two sections, the first of which reaches into the second.
    let bytes = module(&[&cat(&[&[1, 7], &ty]), &section(3, &[1, 0]), &section(10, &cat(&[&[1], &func(&[0, 0x0B])]))]);
    cx.heap_within(4 << 10, || cx.malformed(&bytes));
}

fn d11_size_of_a_body(cx: &Cx) {
    let code = section(10, &hex("01 FF FF FF FF 0F 00 0B 0B"));
    let bytes = module(&[&t0(), &section(3, &[1, 0]), &code]);
    cx.heap_within(64 << 10, || cx.malformed(&bytes));
}

fn d12_bodies_out_of_step(cx: &Cx) {
    let funcs = section(3, &[2, 0, 0]);
    for bodies in ["02 02 00 01 01 0B", "02 02 00 01 01 0B 02 00 0B", "02 02 00 01 03 01 0B 0B", "02 02 00 01 02 00 0B"]
    {
        cx.malformed(&module(&[&t0(), &funcs, &section(10, &hex(bodies))]));
    }
}

fn d13_counts_without_contents(cx: &Cx) {
    for id in [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13] {
        let bytes = module(&[&section(id, &hex("FF FF FF FF 0F"))]);
        let kinds: &[_] = if id == 13 { &[Malformed, Limit, Unsupported] } else { &[Malformed, Limit] };
        cx.heap_within(64 << 10, || cx.refuses(&bytes, kinds));
    }
}

fn d14_a_group_without_types(cx: &Cx) {
    let bytes = module(&[&section(1, &hex("01 4E C0 84 3D"))]);
    cx.heap_within(64 << 10, || cx.refuses(&bytes, &[Malformed, Unsupported]));
}

fn d15_too_many_locals(cx: &Cx) {
    let locals = |groups: &[u64]| {
        let groups: Vec<u8> = groups.iter().flat_map(|&n| cat(&[&leb(n), &[0x7F]])).collect();
        cat(&[&groups, &[0x0B]])
    };
    for (count, groups) in [(1, &[u32::MAX.into()][..]), (2, &[1 << 31, 1 << 31])] {
        let bytes = body(&cat(&[&[count], &locals(groups)]));
        cx.heap_within(64 << 10, || cx.refuses(&bytes, &[Limit, Malformed]));
    }
    cx.refuses(&body(&cat(&[&[1], &locals(&[50_001])])), &[Limit]);
    cx.accepts(&body(&cat(&[&[1], &locals(&[50_000])])));
}

fn d16_a_million_empty_groups_of_locals(cx: &Cx) {
    let bytes = exported_body(&cat(&[&leb(1_000_000), &times(&[0, 0x7F], 1_000_000), &[0x0B]]));
    let module = cx.within(ms(200), || Module::new(&cx.engine, &bytes).unwrap());
    cx.note(&reference(&bytes));
    cx.guest_of(&module).gives("f", &[], &[]);
}

fn d17_br_table_counts(cx: &Cx) {
    for count in [7_654_321, 7_654_322] {
        let bytes = body(&cat(&[&hex("00 41 00 0E"), &leb(count), &[0, 0, 0x0B, 0x0B]]));
        cx.heap_within(64 << 10, || cx.malformed(&bytes));
    }
    let targets = 7_000_000;
    let bytes = exported_body(&cat(&[&hex("00 41 00 0E"), &leb(targets), &times(&[0], targets as usize), &[0, 0x0B]]));
    cx.no_oracle();
    cx.within(ms(500), || {
        let before = cx.live();
        let module = cx.load(&bytes).unwrap();
        cx.guest_of(&module).gives("f", &[], &[]);
        let code = cx.live() - before - bytes.len() as i64;
        assert!(code <= 80 << 20, "{code} bytes of code");
    });
}

fn d18_data_counts(cx: &Cx) {
    let memory = section(5, &hex("01 00 01"));
    cx.malformed(&module(&[&memory, &section(12, &[1]), &section(11, &hex("02 01 00 01 00"))]));
    let billion = section(12, &leb(1_000_000_000));
    let bytes = module(&[&billion]);
    cx.heap_within(4 << 10, || cx.refuses(&bytes, &[Malformed, Limit]));
    cx.accepts(&module(&[&section(12, &[0])]));
    cx.accepts(&module(&[&memory, &section(12, &[2]), &section(11, &hex("02 01 00 01 00"))]));
}

fn d19_memory_init_without_data_count(cx: &Cx) {
    let code = section(10, &cat(&[&[1], &func(&hex("00 41 00 41 00 41 00 FC 08 00 00 0B"))]));
    let (funcs, memory) = (section(3, &[1, 0]), section(5, &hex("01 00 01")));
    let data = section(11, &hex("01 01 00"));
    cx.malformed(&module(&[&t0(), &funcs, &memory, &code, &data]));
    cx.accepts(&module(&[&t0(), &funcs, &memory, &section(12, &[1]), &code, &data]));
}

/// A custom section.
fn custom(name: &[u8], contents: &[u8]) -> Vec<u8> {
    section(0, &cat(&[&leb(name.len() as u64), name, contents]))
}

fn d20_name_section_lies(cx: &Cx) {
    let trapping = exported_body(&hex("00 00 0B"));
    let subsection = |id: u8, contents: &str| section(id, &hex(contents));
    for (what, names) in [
        ("an index of 2^32 - 1", subsection(1, "01 FF FF FF FF 0F 01 61")),
        ("one index twice", subsection(1, "02 00 01 61 00 01 62")),
        ("indices that descend", subsection(1, "02 05 01 61 00 01 62")),
        ("locals of a function that is not there", subsection(2, "01 09 01 00 01 61")),
        ("a subsection longer than the section", hex("01 7F 01 00 01 61")),
        ("2^32 - 1 names", subsection(1, "FF FF FF FF 0F 00 01 61")),
        ("a name that is no text", subsection(1, "01 00 02 FF FE")),
        ("a name longer than the section", subsection(1, "01 00 FF FF FF FF 0F 61")),
        ("a module's name that is no text", subsection(0, "02 C0 80")),
        ("a subsection that is not known", subsection(0x55, "FF FF FF")),
        ("nothing", vec![]),
    ] {
        let bytes = cat(&[&trapping, &custom(b"name", &names)]);
        let module = cx.heap_within(64 << 10, || cx.accepts(&bytes));
        let mut guest = cx.guest_of(&module);
        // Naming the function in the backtrace is what reads the section.
        let error = guest.traps("f", &[], Trap::Unreachable);
        let frames = error.backtrace().unwrap().frames();
        assert_eq!((frames.len(), frames[0].func_index()), (1, 0), "{what}");
        cx.note(&frames[0].func_name());
    }
}

fn d21_custom_sections(cx: &Cx) {
    let many = times(&custom(b"a", b""), 10_000);
    let rest = [
        t0(),
        section(3, &[1, 0]),
        section(5, &hex("01 00 01")),
        export_f(),
        section(10, &cat(&[&[1], &func(&[0, 0x0B])])),
        section(11, &hex("01 01 00")),
    ];
    let parts: Vec<&[u8]> = rest.iter().flat_map(|part| [&many[..], &part[..]]).chain([&many[..]]).collect();
    let bytes = module(&parts);
    let loaded = cx.within(ms(100), || cx.accepts(&bytes));
    cx.guest_of(&loaded).gives("f", &[], &[]);

    // One that is large is held once, with the module.
    let large = module(&[&t0(), &custom(b"large", &vec![0; 60 << 20])]);
    cx.holds(large.len() * 3);
    cx.no_oracle();
    let loaded = cx.heap_within(large.len() + (64 << 10), || cx.accepts(&large));
    assert_eq!(loaded.custom_sections().map(|(name, bytes)| (name, bytes.len())).next(), Some(("large", 60 << 20)));

    cx.malformed(&module(&[&section(0, &hex("05 61"))]));
    cx.malformed(&module(&[&section(0, &hex("01 FF"))]));
}

/// A module that imports and exports a function by a name.
fn importing(name: &[u8]) -> Vec<u8> {
    module(&[&t0(), &section(2, &cat(&[&[1], &leb(name.len() as u64), name, &[1, b'x', 0, 0]]))])
}

fn exporting(name: &[u8]) -> Vec<u8> {
    let export = section(7, &cat(&[&[1], &leb(name.len() as u64), name, &[0, 0]]));
    module(&[&t0(), &section(3, &[1, 0]), &export, &section(10, &cat(&[&[1], &func(&[0, 0x0B])]))])
}

fn d22_names_that_are_no_text(cx: &Cx) {
    for name in ["FF", "C0 80", "ED A0 80", "F4 90 80 80"] {
        cx.malformed(&importing(&hex(name)));
        cx.malformed(&exporting(&hex(name)));
    }
}

fn d23_export_names(cx: &Cx) {
    let long = vec![b'x'; 100_000];
    cx.accepts(&exporting(&long));
    cx.refuses(&exporting(&[&long[..], b"x"].concat()), &[Malformed, Limit]);
    for name in ["", "\0", "../../etc", "\x1B]0"] {
        let module = cx.accepts(&exporting(name.as_bytes()));
        let mut guest = cx.guest_of(&module);
        guest.gives(name, &[], &[]);
        // The errors that repeat the name escape it.
        let wrong = guest.instance.get_typed_func::<i32, i32>(&guest.store, name).unwrap_err();
        cx.seen(&wrong);
        let missing = guest.instance.get_typed_func::<(), ()>(&guest.store, &format!("{name}\x1B[2J")).unwrap_err();
        cx.seen(&missing);
        let mut store = jitless::Store::new(&cx.engine, ());
        let module = cx.accepts(&importing(name.as_bytes()));
        cx.seen(&Linker::new(&cx.engine).instantiate(&mut store, &module).unwrap_err());
    }
}

fn d24_limits_flags(cx: &Cx) {
    let memory = |flags: &str| module(&[&section(5, &hex(&format!("01 {flags} 00 00 00")))]);
    // With the flags of what this version knows but does not run, that is what the error says.
    for flags in ["08", "10", "7F", "80 00"] {
        cx.refuses(&memory(flags), if flags == "08" { &[Malformed, Unsupported] } else { &[Malformed] });
    }
    cx.refuses(&module(&[&section(4, &hex("01 70 02 00"))]), &[Malformed, Unsupported]);
    cx.refuses(&module(&[&section(5, &hex("01 02 00"))]), &[Invalid, Unsupported, Malformed]);
    cx.accepts(&module(&[&section(5, &hex("01 01 00 00"))]));
}

fn d25_bytes_of_types(cx: &Cx) {
    let param = |ty: &str| module(&[&section(1, &hex(&format!("01 60 01 {ty} 00")))]);
    cx.accepts(&param("7F"));
    cx.refuses(&module(&[&section(6, &hex("01 7F 02 41 00 0B"))]), &[Malformed, Unsupported]);
    cx.malformed(&module(&[&section(6, &hex("01 7F 04 41 00 0B"))]));
    for ty in ["40", "78", "77", "63 40", "64 40"] {
        cx.malformed(&param(ty));
    }
    cx.malformed(&module(&[&section(9, &hex("01 01 01 00"))]));
}

fn d26_aliased_opcodes(cx: &Cx) {
    cx.malformed(&code("43 00 00 00 00 FC 80 02 1A"));
    cx.accepts(&code("43 00 00 00 00 FC 80 00 1A"));
    for operator in ["FD FF FF FF FF 0F", "FB 80 02", "FE 80 02"] {
        cx.refuses(&code(operator), &[Malformed, Unsupported]);
    }
}

fn d28_functions_and_bodies(cx: &Cx) {
    let one = section(10, &cat(&[&[1], &func(&[0, 0x0B])]));
    cx.malformed(&module(&[&t0(), &section(3, &[2, 0, 0]), &one]));
    cx.malformed(&module(&[&t0(), &section(3, &[1, 0])]));
    cx.malformed(&module(&[&t0(), &one]));
    cx.accepts(&module(&[&t0(), &section(3, &[0])]));
    cx.accepts(&module(&[&t0(), &section(10, &[0])]));
}

fn d29_versions(cx: &Cx) {
    cx.malformed(b"\0asm\x02\0\0\0");
    cx.no_oracle();
    let component = cx.malformed(b"\0asm\x0D\0\x01\0");
    assert!(component.to_string().contains("component"), "{component}");
}

fn d30_parameters_and_results(cx: &Cx) {
    for (params, results) in [(1001, 0), (0, 1001)] {
        let types = section(1, &cat(&[&[1], &wide(params, results)]));
        cx.refuses(&module(&[&types]), &[Malformed, Limit]);
    }
    cx.accepts(&module(&[&t1000()]));
}

fn d31_a_module_that_is_too_large(cx: &Cx) {
    let mut config = cx.mode.config();
    config.limits_mut().module_bytes = 64 << 20;
    let engine = jitless::Engine::new(&config).unwrap();
    let too_large = |error: jitless::Error| {
        cx.seen(&error);
        assert_eq!(error.kind(), Limit, "{error}");
        assert!(error.to_string().contains("module bytes"), "{error}");
    };
    let bytes = vec![0; (64 << 20) + 1];
    cx.holds(bytes.len());
    cx.within(ms(10), || too_large(cx.heap_within(64 << 10, || Module::new(&engine, &bytes).unwrap_err())));
    let path = std::env::temp_dir().join(format!("jitless-d31-{}-{:?}", std::process::id(), cx.mode));
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(3 << 30).unwrap();
    drop(file);
    let ours = Sparse(path);
    cx.within(ms(10), || too_large(cx.heap_within(64 << 10, || Module::from_file(&engine, &ours.0).unwrap_err())));
}

/// A file that goes when its test ends.
struct Sparse(std::path::PathBuf);

impl Drop for Sparse {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn d32_element_segment_flags(cx: &Cx) {
    let segment = |bytes: &str| module(&[&section(4, &hex("01 70 00 01")), &section(9, &hex(&format!("01 {bytes}")))]);
    cx.malformed(&segment("08 41 00 0B 00"));
    cx.malformed(&segment("FF 41 00 0B 00"));
    cx.invalid(&segment("02 01 41 00 0B 00 00"));
    cx.malformed(&segment("06 00 41 00 0B 7F 00"));
    cx.accepts(&segment("02 00 41 00 0B 00 00"));
    cx.accepts(&segment("06 00 41 00 0B 70 00"));
}

fn d33_data_segment_flags(cx: &Cx) {
    let segment = |bytes: &str| module(&[&section(5, &hex("01 00 01")), &section(11, &hex(&format!("01 {bytes}")))]);
    cx.malformed(&segment("03 00 41 00 0B 00"));
    cx.invalid(&segment("02 05 41 00 0B 00"));
    cx.accepts(&segment("02 00 41 00 0B 00"));
}

fn d34_branch_hints_lie(cx: &Cx) {
    for hints in
        ["", "01", "01 00 01", "01 00 01 05", "01 00 01 05 01", "01 FF FF FF FF 0F 01 00 01 00", "02 05 00 00 00"]
    {
        let hints = custom(b"metadata.code.branch_hint", &hex(hints));
        let code = section(10, &cat(&[&[1], &func(&[0, 0x0B])]));
        let module = cx.accepts(&module(&[&t0(), &section(3, &[1, 0]), &export_f(), &hints, &code]));
        cx.guest_of(&module).gives("f", &[], &[]);
    }
}

fn d35_an_immediate_end(cx: &Cx) {
    cx.malformed(&body(&hex("00 41 0B")));
}

fn d36_select_types(cx: &Cx) {
    for types in ["00", "02 7F 7F", "0B 7F 7F 7F 7F 7F 7F 7F 7F 7F 7F 7F", "01 40"] {
        cx.refuses(&code(&format!("41 00 41 00 41 00 1C {types} 1A")), &[Malformed, Invalid]);
    }
    cx.accepts(&code("41 00 41 00 41 00 1C 01 7F 1A"));
}

fn d38_operators_after_the_end(cx: &Cx) {
    cx.malformed(&body(&hex("00 41 00 41 00 0D 00 41 00 0F 0B 02 40 41 00 0F 0B 0B")));
    cx.malformed(&body(&hex("00 0B 0B")));
    cx.malformed(&body(&hex("00 0B 01 0B")));
}

/// With feature `wat` text is taken too, and is as hostile.
#[cfg(feature = "wat")]
pub(crate) mod text {
    use jitless::ErrorKind::*;

    use crate::harness::*;

    rows! { d39_text_that_nests }

    fn d39_text_that_nests(cx: &Cx) {
        cx.no_oracle();
        cx.holds(256 << 20);
        cx.may_take(ms(5000));
        let float = format!("(module (global f64 (f64.const {}.{})))", "1".repeat(500_000), "2".repeat(500_000));
        let blocks = format!("(module (func {}{}))", "(block ".repeat(100_000), ")".repeat(100_000));
        let nan = format!("(module (global f32 (f32.const nan:0x{})))", "f".repeat(100_000));
        for text in ["(".repeat(1_000_000), float, blocks, nan, "(module".into(), "(;".repeat(100_000)] {
            if let Err(error) = cx.load(text.as_bytes()) {
                assert!(matches!(error.kind(), Malformed | Invalid | Limit), "{error}");
            }
        }
    }
}
