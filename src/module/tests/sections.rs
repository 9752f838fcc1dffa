//! Sections: their order, sizes, counts and flags; names and other custom sections; limits.

use super::*;

#[test]
fn d04_overlong_counts() {
    malformed(&module(&[sx(1, "80 80 80 80 80 00")]));
    malformed(&module(&[sx(1, "FF FF FF FF 1F")]));
    taken(&module(&[sx(1, "81 80 80 80 00 60 00 00")]));
}

#[test]
fn d09_section_order() {
    let (memory, global, start, end) = (sx(5, "01 00 01"), sx(6, "00"), sx(8, "00"), code(hex("00 0B")));
    for sections in [
        vec![t0(), end.clone(), one_func()],
        vec![t0(), t0()],
        vec![t0(), one_func(), end.clone(), sx(12, "00")],
        vec![t0(), one_func(), start.clone(), start, end],
        vec![sx(14, "")],
        vec![sx(0x7F, "")],
    ] {
        malformed(&module(&sections));
    }
    // Tags do not run yet, so their section is refused before its place matters.
    for sections in [[sx(13, "00"), memory.clone()], [global.clone(), sx(13, "00")], [memory, sx(13, "00")]] {
        refused(&module(&sections), &[Malformed, Unsupported]);
    }
    taken(&module(&[global]));
}

#[test]
fn d10_section_sizes() {
    let with_size = |size: &str| module(&[[hex("01"), hex(size), hex("01 60 00 00")].concat()]);
    taken(&with_size("04"));
    for size in ["03", "05", "FF FF FF FF 0F"] {
        malformed(&with_size(size));
    }
    // The function section lies inside the type section by size.
    malformed(&module(&[hex("01 07 01 60 00 00"), hex("03 01 00")]));
}

#[test]
fn d13_count_without_bytes() {
    for id in [1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13] {
        let kinds = if id == 13 { &[Unsupported][..] } else { &[Malformed, Limit] };
        refused(&module(&[sx(id, "FF FF FF FF 0F")]), kinds);
        assert!(read_with(&module(&[sx(id, "FF FF FF FF 0F")]), &all()).is_err());
    }
    // As many bodies as functions, in a section that only says it is long.
    malformed(&module(&[t0(), sx(3, "03 00 00 00"), hex("0A FF FF FF FF 0F 03")]));
}

#[test]
fn d14_group_without_bytes() {
    malformed(&module(&[sx(1, "01 4E C0 84 3D")]));
    let error = read_with(&module(&[sx(1, "01 4E C0 84 3D")]), &all()).err();
    assert_eq!(error.map(|error| error.kind()), Some(Malformed));
    // Half of what is claimed.
    malformed(&module(&[s(1, [hex("01 4E 64"), hex("5F 00").repeat(50)].concat())]));
    malformed(&module(&[sx(1, "01 4E FF FF FF FF FF")]));
}

#[test]
fn d18_data_count() {
    malformed(&module(&[sx(5, "01 00 01"), sx(12, "01"), sx(11, "02 01 00 01 00")]));
    refused(&module(&[sx(12, "80 94 EB DC 03")]), &[Malformed, Limit]);
    malformed(&module(&[sx(12, "05")]));
    assert_eq!(taken(&module(&[sx(12, "00")])).data_count, Some(0));
}

fn name_section(contents: &str) -> Vec<u8> {
    s(0, [sized("name"), hex(contents)].concat())
}

#[test]
fn d20_names_that_lie() {
    let funcs = [t0(), sx(3, "02 00 00"), sx(10, "02 02 00 0B 02 00 0B")];
    let names = |contents: &str| {
        let desc = taken(&module(&[funcs.concat(), name_section(contents)]));
        (0..3).map(|function| desc.func_name(function).map(String::from)).collect::<Vec<_>>()
    };
    assert_eq!(names("01 07 02 00 01 61 01 01 62"), [Some("a".into()), Some("b".into()), None]);
    for lie in [
        "01 08 01 FF FF FF FF 0F 01 61",
        "01 07 02 00 01 61 00 01 62",
        "01 07 02 01 01 61 00 01 62",
        "01 07 02 00 01 61 02 01 62",
        "02 06 01 05 01 00 01 61",
        "01 7F 02 00 01 61 01 01 62",
        "01 09 FF FF FF FF 0F 00 01 61",
        "01 04 01 00 01 FF",
        "01 04 01 00 05 61",
        "01",
        "",
        "FF",
    ] {
        assert_eq!(names(lie), [None, None, None], "{lie}");
    }
}

#[test]
fn d21_custom_sections() {
    let empty = s(0, sized("a")).repeat(10_000);
    let (memory, global) = (sx(5, "01 00 01"), sx(6, "00"));
    let desc = taken(&module(&[empty.clone(), t0(), empty.clone(), memory, empty.clone(), global, empty]));
    assert_eq!(desc.custom.len(), decode::MAX_CUSTOM);
    let desc = taken(&module(&[s(0, [sized("big"), vec![0; 60 << 20]].concat())]));
    assert_eq!(desc.custom_sections().map(|(name, data)| (name, data.len())).collect::<Vec<_>>(), [("big", 60 << 20)]);
    malformed(&module(&[sx(0, "05 61 62")]));
    malformed(&module(&[sx(0, "01 FF")]));
    malformed(&module(&[sx(0, "")]));
}

#[test]
fn d22_names_are_utf_8() {
    for name in ["FF", "C0 80", "ED A0 80", "F4 90 80 80"] {
        let name = sized(hex(name));
        let rest = [one_func(), s(7, [vec![1], name.clone(), hex("00 00")].concat()), code(hex("00 0B"))].concat();
        malformed(&module(&[t0(), rest]));
        malformed(&module(&[t0(), s(2, [vec![1], name.clone(), hex("00 00 00")].concat())]));
        malformed(&module(&[t0(), s(2, [hex("01 00"), name, hex("00 00")].concat())]));
    }
}

#[test]
fn d23_any_other_name_is_fine() {
    let exporting = |name: &[u8]| {
        module(&[t0(), one_func(), s(7, [vec![1], sized(name), hex("00 00")].concat()), code(hex("00 0B"))])
    };
    for name in [&vec![b'n'; 100_000][..], b"", b"\0", b"../../etc", b"\x1B]0"] {
        let desc = taken(&exporting(name));
        assert_eq!(desc.export_name(0).as_bytes(), name);
        assert!(desc.export(core::str::from_utf8(name).expect("UTF-8")).is_some());
    }
    refused(&exporting(&vec![b'n'; 100_001]), &[Malformed, Limit]);
}

#[test]
fn d24_limits_flags() {
    for flags in ["08 01", "10 01", "7F 01", "80 00 01"] {
        malformed(&module(&[s(5, [vec![1], hex(flags), vec![0]].concat())]));
        malformed(&module(&[sx(5, &format!("01 {flags}"))]));
    }
    malformed(&module(&[sx(4, "01 70 02 01")]));
    // Shared memories do not run yet; without a maximum they never will.
    refused(&module(&[sx(5, "01 02 01")]), &[Unsupported, Invalid]);
}

#[test]
fn d25_bytes_that_are_no_types() {
    for section in [
        sx(6, "01 7F 02 41 00 0B"),
        sx(6, "01 7F 04 41 00 0B"),
        sx(1, "01 60 01 40 00"),
        sx(1, "01 60 01 78 00"),
        sx(1, "01 60 01 77 00"),
        sx(4, "01 40 00 01"),
        sx(9, "01 01 01 00"),
    ] {
        malformed(&module(&[section]));
    }
    // Heap type −64.
    malformed(&bodyx("00 D0 40 1A 0B"));
}

#[test]
fn d28_functions_without_code() {
    malformed(&module(&[t0(), sx(3, "02 00 00"), code(hex("00 0B"))]));
    malformed(&module(&[t0(), one_func()]));
    malformed(&module(&[t0(), code(hex("00 0B"))]));
    taken(&module(&[t0(), sx(3, "00")]));
}

#[test]
fn d29_other_versions() {
    malformed(&hex("00 61 73 6D 02 00 00 00"));
    let error = refused(&hex("00 61 73 6D 0D 00 01 00"), &[Malformed]);
    assert!(error.to_string().contains("component"), "{error}");
    malformed(&hex("00 61 73 6E 01 00 00 00"));
}

#[test]
fn d30_wide_types() {
    let ty = |params: usize, results: usize| {
        let list = |n: usize| [leb(n as u64), vec![0x7E; n]].concat();
        module(&[s(1, [hex("01 60"), list(params), list(results)].concat())])
    };
    refused(&ty(1001, 0), &[Malformed, Limit]);
    refused(&ty(0, 1001), &[Malformed, Limit]);
    taken(&ty(1000, 1000));
}

#[test]
fn d31_module_bytes() {
    let bytes = module(&[t0()]);
    let mut config = Config::new();
    config.limits_mut().module_bytes = bytes.len() as u64;
    assert!(read_with(&bytes, &config).is_ok());
    config.limits_mut().module_bytes -= 1;
    // Before anything else: these bytes are no module at all.
    assert_eq!(read_with(&vec![0xFF; bytes.len()], &config).err().map(|error| error.kind()), Some(Limit));
}

#[test]
fn d32_element_segments() {
    let segment = |bytes: &str| {
        module(&[t0(), one_func(), sx(4, "01 70 00 01"), sx(9, &format!("01 {bytes}")), code(hex("00 0B"))])
    };
    malformed(&segment("08 41 00 0B 00"));
    malformed(&segment("FF 41 00 0B 00"));
    malformed(&segment("06 00 41 00 0B 7F 00"));
    let desc = taken(&segment("02 01 41 00 0B 00 01 00"));
    assert!(matches!(desc.elements[0].mode, Mode::Active { table: 1, .. }));
    assert!(matches!(desc.elements[0].items, Items::Funcs(_, 1)));
}

#[test]
fn d33_data_segments() {
    let segment = |bytes: &str| module(&[sx(5, "01 00 01"), sx(11, &format!("01 {bytes}"))]);
    malformed(&segment("03 41 00 0B 00"));
    malformed(&segment("00 41 00 0B 01"));
    malformed(&segment("00 41 00 00"));
    let desc = taken(&segment("02 05 41 00 0B 00"));
    assert!(matches!(desc.data[0].mode, DataMode::Active { memory: 5, .. }));
}

#[test]
fn d34_branch_hints_are_not_read() {
    for contents in ["", "01", "01 00 01 00 01", "01 7F 01 00 01 01", "02 01 00 00 00"] {
        let hints = s(0, [sized("metadata.code.branch_hint"), hex(contents)].concat());
        taken(&module(&[t0(), one_func(), hints, code(hex("00 0B"))]));
    }
}

#[test]
fn limits_by_name() {
    let two_funcs = [sx(2, "01 00 00 00 00"), sx(3, "02 00 00"), sx(10, "02 02 00 0B 02 00 0B")].concat();
    let three_of = [
        ("types", sx(1, "03 60 00 00 60 00 00 60 00 00")),
        ("imports", [t0(), sx(2, "03 00 00 00 00 00 00 00 00 00 00 00 00")].concat()),
        ("functions", [t0(), two_funcs].concat()),
        ("tables", [sx(2, "01 00 00 01 70 00 01"), sx(4, "02 70 00 01 70 00 01")].concat()),
        ("memories", sx(5, "03 00 01 00 01 00 01")),
        ("globals", sx(6, "03 7F 00 41 00 0B 7F 00 41 00 0B 7F 00 41 00 0B")),
        ("exports", [sx(5, "01 00 01"), sx(7, "03 01 61 02 00 01 62 02 00 01 63 02 00")].concat()),
        ("segments", sx(11, "03 01 00 01 00 01 00")),
        ("body bytes", [t0(), one_func(), code(hex("00 01 0B"))].concat()),
        ("items of a segment", sx(9, "01 01 00 03 00 00 00")),
        ("parameters", sx(1, "01 60 03 7F 7F 7F 00")),
        ("results", sx(1, "01 60 00 03 7F 7F 7F")),
        ("bytes of a name", [t0(), sx(2, "01 03 61 61 61 00 00 00")].concat()),
    ];
    let mut config = Config::new();
    let limits = config.limits_mut();
    (limits.types, limits.imports, limits.functions, limits.tables) = (2, 2, 2, 2);
    (limits.memories, limits.globals, limits.exports, limits.segments) = (2, 2, 2, 2);
    (limits.body_bytes, limits.items, limits.params, limits.results, limits.name_bytes) = (2, 2, 2, 2, 2);
    for (what, sections) in three_of {
        taken(&module(core::slice::from_ref(&sections)));
        let error = read_with(&module(&[sections]), &config).err().expect("refused");
        assert_eq!(error.kind(), Limit, "{error}");
        assert!(error.to_string().starts_with(&format!("limit exceeded: 3 {what}, at most 2")), "{error}");
    }
}
