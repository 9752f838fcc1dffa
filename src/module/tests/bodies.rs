//! Bodies: locals, immediates, and where they end.

use super::*;

#[test]
fn d05_constants_at_their_limits() {
    for (bytes, fits) in [
        ("41 FF FF FF FF 0F", false),
        ("41 80 80 80 80 78", true),
        ("41 80 80 80 80 70", false),
        ("42 80 80 80 80 80 80 80 80 80 7F", true),
        ("42 80 80 80 80 80 80 80 80 80 7E", false),
        ("42 80 80 80 80 80 80 80 80 80 80 00", false),
    ] {
        let module = bodyx(&format!("00 {bytes} 1A 0B"));
        if fits {
            taken(&module);
        } else {
            malformed(&module);
        }
    }
}

#[test]
fn d06_negative_block_types_are_one_byte() {
    for ty in ["FF 7E", "FF 7F", "C0 7F"] {
        malformed(&bodyx(&format!("00 02 {ty} 0B 0B")));
    }
    taken(&bodyx("00 02 40 0B 0B"));
}

#[test]
fn d07_explicit_memory() {
    let bytes = module(&[t0(), one_func(), sx(5, "01 00 01"), code(hex("00 41 00 28 42 00 00 1A 0B"))]);
    taken(&bytes);
    let mut config = Config::new();
    config.wasm_multi_memory(false);
    assert_eq!(read_with(&bytes, &config).err().map(|error| error.kind()), Some(Malformed));
}

#[test]
fn d08_large_alignments() {
    for (align, fits) in
        [("03", true), ("1F", true), ("20", true), ("3F", true), ("FF FF FF FF 0F", false), ("80 01", false)]
    {
        let bytes = bodyx(&format!("00 41 00 28 {align} 00 1A 0B"));
        assert_eq!(read(&bytes).is_ok(), fits, "{align}");
    }
}

#[test]
fn d11_body_without_bytes() {
    malformed(&module(&[t0(), one_func(), sx(10, "01 FF FF FF FF 0F 00 0B 0B")]));
}

#[test]
fn d12_body_shorter_than_it_is() {
    let funcs = sx(3, "02 00 00");
    malformed(&module(&[t0(), funcs.clone(), sx(10, "02 02 00 01 01 0B")]));
    malformed(&module(&[t0(), funcs, sx(10, "02 02 00 01 02 00 0B")]));
}

#[test]
fn d15_too_many_locals() {
    let locals = |groups: &[u64]| {
        let of: Vec<u8> = groups.iter().flat_map(|&n| [leb(n), vec![0x7F]].concat()).collect();
        body([leb(groups.len() as u64), of, vec![0x0B]].concat())
    };
    refused(&locals(&[u64::from(u32::MAX)]), &[Limit]);
    refused(&locals(&[1 << 31, 1 << 31]), &[Limit]);
    refused(&locals(&[50_001]), &[Limit]);
    refused(&locals(&[25_000, 25_000, 1]), &[Limit]);
    taken(&locals(&[50_000]));
    // Parameters count.
    let one_param = sx(1, "01 60 01 7F 00");
    refused(&module(&[one_param, one_func(), code([vec![1], leb(50_000), vec![0x7F, 0x0B]].concat())]), &[Limit]);
    malformed(&bodyx("02 01 7F 0B"));
}

#[test]
fn d16_a_million_empty_groups() {
    let desc = taken(&body([leb(1_000_000), [0, 0x7F].repeat(1_000_000), vec![0x0B]].concat()));
    let groups = operators::locals(&desc, 0).expect("locals");
    assert_eq!(groups.map(|group| group.expect("group").0).sum::<u32>(), 0);
}

#[test]
fn d17_branch_tables() {
    let table = |count: u64, bytes: &[u8]| body([&[0, 0x41, 0, 0x0E][..], &leb(count), bytes].concat());
    malformed(&table(7_654_321, &[0, 0, 0, 0x0B]));
    malformed(&table(7_654_322, &[0, 0, 0, 0x0B]));
    let desc = taken(&table(7_000_000, &[vec![0; 7_000_001], vec![0x0B]].concat()));
    assert_eq!(desc.bodies[0].end - desc.bodies[0].start, 7_000_010);
}

#[test]
fn d19_data_index_without_data_count() {
    for bytes in ["00 41 00 41 00 41 00 FC 08 00 00 0B", "00 FC 09 00 0B"] {
        let sections =
            |count| module(&[t0(), one_func(), sx(5, "01 00 01"), count, code(hex(bytes)), sx(11, "01 01 00")]);
        taken(&sections(sx(12, "01")));
        let error = refused(&sections(vec![]), &[Malformed]);
        assert!(error.to_string().ends_with("data count section required"));
    }
}

#[test]
fn d26_prefixed_operators() {
    malformed(&bodyx("00 43 00 00 00 00 FC 80 02 1A 0B"));
    taken(&bodyx("00 43 00 00 00 00 FC 80 00 1A 0B"));
    for bytes in ["FD FF FF FF FF 0F", "FB 80 02", "FE 80 02", "FF", "27"] {
        malformed(&bodyx(&format!("00 {bytes} 0B")));
    }
}

#[test]
fn d27_lanes_are_bytes() {
    // The lane is a byte whatever its high bit, so what follows is an operator: 0F, `return`.
    let desc = decoded(&bodyx("00 FD 15 80 0F 0B"), &Config::new()).expect("decodes");
    let mut trace = Trace::default();
    assert!(operators::read_body(&desc, 0, &mut trace).is_err());
    assert_eq!(trace.lines, ["simd: i8x16.extract_lane_s"]);
}

#[test]
fn d35_end_inside_an_immediate() {
    malformed(&bodyx("00 41 0B"));
    malformed(&bodyx("00"));
    malformed(&bodyx(""));
}

#[test]
fn d36_select_with_types() {
    for types in ["00", "02 7F 7F", "0B 7F 7F 7F 7F 7F 7F 7F 7F 7F 7F 7F", "01 40"] {
        refused(&bodyx(&format!("00 41 00 41 00 41 00 1C {types} 1A 0B")), &[Malformed, Invalid]);
    }
    taken(&bodyx("00 41 00 41 00 41 00 1C 01 7F 1A 0B"));
}

#[test]
fn d37_catches() {
    let catches = |count: u64, clauses: Vec<u8>| body([hex("00 1F 40"), leb(count), clauses, hex("0B 0B")].concat());
    malformed(&catches(10_001, [2, 0].repeat(10_001)));
    malformed(&catches(1, vec![4, 0, 0]));
    malformed(&body(hex("00 1F 40 05 02 00")));
    refused(&catches(1, vec![2, 0]), &[Unsupported]);
}

#[test]
fn d38_operators_behind_the_end() {
    malformed(&bodyx("00 41 00 41 00 0D 00 41 00 0F 0B 02 40 41 00 0F 0B 0B"));
    malformed(&bodyx("00 0B 0B"));
    malformed(&bodyx("00 05 0B"));
    // The same in a constant expression.
    malformed(&module(&[sx(6, "01 7F 00 41 00 0B 0B")]));
}
