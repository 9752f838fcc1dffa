//! The one table of instructions: names, proposals, types, fuel and what may be done with each.
//!
//! Three kinds of row. *Plain*: fixed types, no immediates, a pure kernel of `num.rs`. *Access*: a load or a store with
//! a memory immediate. *Special*: everything else, a method in each pass. An instruction has exactly one row, and every
//! fact about it that two passes need is a column. The build script includes this file too, so it names nothing but
//! `types.rs`.
//!
//! `@proposal`, operator and visitor are wasmparser's names, so a pass over its operators can be made from the rows;
//! the immediates of special rows have wasmparser's names and our types.

use core::fmt;

use crate::types::Ty;

/// Calls the macro `$m` once with all plain rows.
///
/// ```text
/// @proposal Operator visit_name "text.name" (I32 I32) -> I32 = total|traps kernel fuel 1 flags…;
/// ```
///
/// | flag | meaning |
/// |---|---|
/// | `commutes` | exchanging the operands changes nothing, NaN bits included |
/// | `swaps X` | with the operands exchanged it is `X` |
/// | `negates X` | 1 exactly where `X` is 0 |
/// | `constant` | allowed in constant expressions by the extended-const proposal |
///
/// Floating-point `add`, `mul`, `min` and `max` do not commute: which NaN comes out depends on the order.
#[macro_export]
macro_rules! for_each_plain {
    ($m:ident) => {
        $m! {
            @mvp I32Eqz visit_i32_eqz  "i32.eqz"  (I32)     -> I32 = total i32_eqz  fuel 1;
            @mvp I32Eq  visit_i32_eq   "i32.eq"   (I32 I32) -> I32 = total i32_eq   fuel 1 commutes negates I32Ne;
            @mvp I32Ne  visit_i32_ne   "i32.ne"   (I32 I32) -> I32 = total i32_ne   fuel 1 commutes negates I32Eq;
            @mvp I32LtS visit_i32_lt_s "i32.lt_s" (I32 I32) -> I32 = total i32_lt_s fuel 1 swaps I32GtS negates I32GeS;
            @mvp I32LtU visit_i32_lt_u "i32.lt_u" (I32 I32) -> I32 = total i32_lt_u fuel 1 swaps I32GtU negates I32GeU;
            @mvp I32GtS visit_i32_gt_s "i32.gt_s" (I32 I32) -> I32 = total i32_gt_s fuel 1 swaps I32LtS negates I32LeS;
            @mvp I32GtU visit_i32_gt_u "i32.gt_u" (I32 I32) -> I32 = total i32_gt_u fuel 1 swaps I32LtU negates I32LeU;
            @mvp I32LeS visit_i32_le_s "i32.le_s" (I32 I32) -> I32 = total i32_le_s fuel 1 swaps I32GeS negates I32GtS;
            @mvp I32LeU visit_i32_le_u "i32.le_u" (I32 I32) -> I32 = total i32_le_u fuel 1 swaps I32GeU negates I32GtU;
            @mvp I32GeS visit_i32_ge_s "i32.ge_s" (I32 I32) -> I32 = total i32_ge_s fuel 1 swaps I32LeS negates I32LtS;
            @mvp I32GeU visit_i32_ge_u "i32.ge_u" (I32 I32) -> I32 = total i32_ge_u fuel 1 swaps I32LeU negates I32LtU;

            @mvp I64Eqz visit_i64_eqz  "i64.eqz"  (I64)     -> I32 = total i64_eqz  fuel 1;
            @mvp I64Eq  visit_i64_eq   "i64.eq"   (I64 I64) -> I32 = total i64_eq   fuel 1 commutes negates I64Ne;
            @mvp I64Ne  visit_i64_ne   "i64.ne"   (I64 I64) -> I32 = total i64_ne   fuel 1 commutes negates I64Eq;
            @mvp I64LtS visit_i64_lt_s "i64.lt_s" (I64 I64) -> I32 = total i64_lt_s fuel 1 swaps I64GtS negates I64GeS;
            @mvp I64LtU visit_i64_lt_u "i64.lt_u" (I64 I64) -> I32 = total i64_lt_u fuel 1 swaps I64GtU negates I64GeU;
            @mvp I64GtS visit_i64_gt_s "i64.gt_s" (I64 I64) -> I32 = total i64_gt_s fuel 1 swaps I64LtS negates I64LeS;
            @mvp I64GtU visit_i64_gt_u "i64.gt_u" (I64 I64) -> I32 = total i64_gt_u fuel 1 swaps I64LtU negates I64LeU;
            @mvp I64LeS visit_i64_le_s "i64.le_s" (I64 I64) -> I32 = total i64_le_s fuel 1 swaps I64GeS negates I64GtS;
            @mvp I64LeU visit_i64_le_u "i64.le_u" (I64 I64) -> I32 = total i64_le_u fuel 1 swaps I64GeU negates I64GtU;
            @mvp I64GeS visit_i64_ge_s "i64.ge_s" (I64 I64) -> I32 = total i64_ge_s fuel 1 swaps I64LeS negates I64LtS;
            @mvp I64GeU visit_i64_ge_u "i64.ge_u" (I64 I64) -> I32 = total i64_ge_u fuel 1 swaps I64LeU negates I64LtU;

            @mvp F32Eq visit_f32_eq "f32.eq" (F32 F32) -> I32 = total f32_eq fuel 1 commutes negates F32Ne;
            @mvp F32Ne visit_f32_ne "f32.ne" (F32 F32) -> I32 = total f32_ne fuel 1 commutes negates F32Eq;
            @mvp F32Lt visit_f32_lt "f32.lt" (F32 F32) -> I32 = total f32_lt fuel 1 swaps F32Gt;
            @mvp F32Gt visit_f32_gt "f32.gt" (F32 F32) -> I32 = total f32_gt fuel 1 swaps F32Lt;
            @mvp F32Le visit_f32_le "f32.le" (F32 F32) -> I32 = total f32_le fuel 1 swaps F32Ge;
            @mvp F32Ge visit_f32_ge "f32.ge" (F32 F32) -> I32 = total f32_ge fuel 1 swaps F32Le;

            @mvp F64Eq visit_f64_eq "f64.eq" (F64 F64) -> I32 = total f64_eq fuel 1 commutes negates F64Ne;
            @mvp F64Ne visit_f64_ne "f64.ne" (F64 F64) -> I32 = total f64_ne fuel 1 commutes negates F64Eq;
            @mvp F64Lt visit_f64_lt "f64.lt" (F64 F64) -> I32 = total f64_lt fuel 1 swaps F64Gt;
            @mvp F64Gt visit_f64_gt "f64.gt" (F64 F64) -> I32 = total f64_gt fuel 1 swaps F64Lt;
            @mvp F64Le visit_f64_le "f64.le" (F64 F64) -> I32 = total f64_le fuel 1 swaps F64Ge;
            @mvp F64Ge visit_f64_ge "f64.ge" (F64 F64) -> I32 = total f64_ge fuel 1 swaps F64Le;

            @mvp I32Clz    visit_i32_clz    "i32.clz"    (I32)     -> I32 = total i32_clz    fuel 1;
            @mvp I32Ctz    visit_i32_ctz    "i32.ctz"    (I32)     -> I32 = total i32_ctz    fuel 1;
            @mvp I32Popcnt visit_i32_popcnt "i32.popcnt" (I32)     -> I32 = total i32_popcnt fuel 1;
            @mvp I32Add    visit_i32_add    "i32.add"    (I32 I32) -> I32 = total i32_add    fuel 1 commutes constant;
            @mvp I32Sub    visit_i32_sub    "i32.sub"    (I32 I32) -> I32 = total i32_sub    fuel 1 constant;
            @mvp I32Mul    visit_i32_mul    "i32.mul"    (I32 I32) -> I32 = total i32_mul    fuel 1 commutes constant;
            @mvp I32DivS   visit_i32_div_s  "i32.div_s"  (I32 I32) -> I32 = traps i32_div_s  fuel 1;
            @mvp I32DivU   visit_i32_div_u  "i32.div_u"  (I32 I32) -> I32 = traps i32_div_u  fuel 1;
            @mvp I32RemS   visit_i32_rem_s  "i32.rem_s"  (I32 I32) -> I32 = traps i32_rem_s  fuel 1;
            @mvp I32RemU   visit_i32_rem_u  "i32.rem_u"  (I32 I32) -> I32 = traps i32_rem_u  fuel 1;
            @mvp I32And    visit_i32_and    "i32.and"    (I32 I32) -> I32 = total i32_and    fuel 1 commutes;
            @mvp I32Or     visit_i32_or     "i32.or"     (I32 I32) -> I32 = total i32_or     fuel 1 commutes;
            @mvp I32Xor    visit_i32_xor    "i32.xor"    (I32 I32) -> I32 = total i32_xor    fuel 1 commutes;
            @mvp I32Shl    visit_i32_shl    "i32.shl"    (I32 I32) -> I32 = total i32_shl    fuel 1;
            @mvp I32ShrS   visit_i32_shr_s  "i32.shr_s"  (I32 I32) -> I32 = total i32_shr_s  fuel 1;
            @mvp I32ShrU   visit_i32_shr_u  "i32.shr_u"  (I32 I32) -> I32 = total i32_shr_u  fuel 1;
            @mvp I32Rotl   visit_i32_rotl   "i32.rotl"   (I32 I32) -> I32 = total i32_rotl   fuel 1;
            @mvp I32Rotr   visit_i32_rotr   "i32.rotr"   (I32 I32) -> I32 = total i32_rotr   fuel 1;

            @mvp I64Clz    visit_i64_clz    "i64.clz"    (I64)     -> I64 = total i64_clz    fuel 1;
            @mvp I64Ctz    visit_i64_ctz    "i64.ctz"    (I64)     -> I64 = total i64_ctz    fuel 1;
            @mvp I64Popcnt visit_i64_popcnt "i64.popcnt" (I64)     -> I64 = total i64_popcnt fuel 1;
            @mvp I64Add    visit_i64_add    "i64.add"    (I64 I64) -> I64 = total i64_add    fuel 1 commutes constant;
            @mvp I64Sub    visit_i64_sub    "i64.sub"    (I64 I64) -> I64 = total i64_sub    fuel 1 constant;
            @mvp I64Mul    visit_i64_mul    "i64.mul"    (I64 I64) -> I64 = total i64_mul    fuel 1 commutes constant;
            @mvp I64DivS   visit_i64_div_s  "i64.div_s"  (I64 I64) -> I64 = traps i64_div_s  fuel 1;
            @mvp I64DivU   visit_i64_div_u  "i64.div_u"  (I64 I64) -> I64 = traps i64_div_u  fuel 1;
            @mvp I64RemS   visit_i64_rem_s  "i64.rem_s"  (I64 I64) -> I64 = traps i64_rem_s  fuel 1;
            @mvp I64RemU   visit_i64_rem_u  "i64.rem_u"  (I64 I64) -> I64 = traps i64_rem_u  fuel 1;
            @mvp I64And    visit_i64_and    "i64.and"    (I64 I64) -> I64 = total i64_and    fuel 1 commutes;
            @mvp I64Or     visit_i64_or     "i64.or"     (I64 I64) -> I64 = total i64_or     fuel 1 commutes;
            @mvp I64Xor    visit_i64_xor    "i64.xor"    (I64 I64) -> I64 = total i64_xor    fuel 1 commutes;
            @mvp I64Shl    visit_i64_shl    "i64.shl"    (I64 I64) -> I64 = total i64_shl    fuel 1;
            @mvp I64ShrS   visit_i64_shr_s  "i64.shr_s"  (I64 I64) -> I64 = total i64_shr_s  fuel 1;
            @mvp I64ShrU   visit_i64_shr_u  "i64.shr_u"  (I64 I64) -> I64 = total i64_shr_u  fuel 1;
            @mvp I64Rotl   visit_i64_rotl   "i64.rotl"   (I64 I64) -> I64 = total i64_rotl   fuel 1;
            @mvp I64Rotr   visit_i64_rotr   "i64.rotr"   (I64 I64) -> I64 = total i64_rotr   fuel 1;

            @mvp F32Abs      visit_f32_abs      "f32.abs"      (F32)     -> F32 = total f32_abs      fuel 1;
            @mvp F32Neg      visit_f32_neg      "f32.neg"      (F32)     -> F32 = total f32_neg      fuel 1;
            @mvp F32Ceil     visit_f32_ceil     "f32.ceil"     (F32)     -> F32 = total f32_ceil     fuel 1;
            @mvp F32Floor    visit_f32_floor    "f32.floor"    (F32)     -> F32 = total f32_floor    fuel 1;
            @mvp F32Trunc    visit_f32_trunc    "f32.trunc"    (F32)     -> F32 = total f32_trunc    fuel 1;
            @mvp F32Nearest  visit_f32_nearest  "f32.nearest"  (F32)     -> F32 = total f32_nearest  fuel 1;
            @mvp F32Sqrt     visit_f32_sqrt     "f32.sqrt"     (F32)     -> F32 = total f32_sqrt     fuel 1;
            @mvp F32Add      visit_f32_add      "f32.add"      (F32 F32) -> F32 = total f32_add      fuel 1;
            @mvp F32Sub      visit_f32_sub      "f32.sub"      (F32 F32) -> F32 = total f32_sub      fuel 1;
            @mvp F32Mul      visit_f32_mul      "f32.mul"      (F32 F32) -> F32 = total f32_mul      fuel 1;
            @mvp F32Div      visit_f32_div      "f32.div"      (F32 F32) -> F32 = total f32_div      fuel 1;
            @mvp F32Min      visit_f32_min      "f32.min"      (F32 F32) -> F32 = total f32_min      fuel 1;
            @mvp F32Max      visit_f32_max      "f32.max"      (F32 F32) -> F32 = total f32_max      fuel 1;
            @mvp F32Copysign visit_f32_copysign "f32.copysign" (F32 F32) -> F32 = total f32_copysign fuel 1;

            @mvp F64Abs      visit_f64_abs      "f64.abs"      (F64)     -> F64 = total f64_abs      fuel 1;
            @mvp F64Neg      visit_f64_neg      "f64.neg"      (F64)     -> F64 = total f64_neg      fuel 1;
            @mvp F64Ceil     visit_f64_ceil     "f64.ceil"     (F64)     -> F64 = total f64_ceil     fuel 1;
            @mvp F64Floor    visit_f64_floor    "f64.floor"    (F64)     -> F64 = total f64_floor    fuel 1;
            @mvp F64Trunc    visit_f64_trunc    "f64.trunc"    (F64)     -> F64 = total f64_trunc    fuel 1;
            @mvp F64Nearest  visit_f64_nearest  "f64.nearest"  (F64)     -> F64 = total f64_nearest  fuel 1;
            @mvp F64Sqrt     visit_f64_sqrt     "f64.sqrt"     (F64)     -> F64 = total f64_sqrt     fuel 1;
            @mvp F64Add      visit_f64_add      "f64.add"      (F64 F64) -> F64 = total f64_add      fuel 1;
            @mvp F64Sub      visit_f64_sub      "f64.sub"      (F64 F64) -> F64 = total f64_sub      fuel 1;
            @mvp F64Mul      visit_f64_mul      "f64.mul"      (F64 F64) -> F64 = total f64_mul      fuel 1;
            @mvp F64Div      visit_f64_div      "f64.div"      (F64 F64) -> F64 = total f64_div      fuel 1;
            @mvp F64Min      visit_f64_min      "f64.min"      (F64 F64) -> F64 = total f64_min      fuel 1;
            @mvp F64Max      visit_f64_max      "f64.max"      (F64 F64) -> F64 = total f64_max      fuel 1;
            @mvp F64Copysign visit_f64_copysign "f64.copysign" (F64 F64) -> F64 = total f64_copysign fuel 1;

            @mvp I32WrapI64        visit_i32_wrap_i64
                "i32.wrap_i64"        (I64) -> I32 = total i32_wrap_i64        fuel 1;
            @mvp I32TruncF32S      visit_i32_trunc_f32_s
                "i32.trunc_f32_s"     (F32) -> I32 = traps i32_trunc_f32_s     fuel 1;
            @mvp I32TruncF32U      visit_i32_trunc_f32_u
                "i32.trunc_f32_u"     (F32) -> I32 = traps i32_trunc_f32_u     fuel 1;
            @mvp I32TruncF64S      visit_i32_trunc_f64_s
                "i32.trunc_f64_s"     (F64) -> I32 = traps i32_trunc_f64_s     fuel 1;
            @mvp I32TruncF64U      visit_i32_trunc_f64_u
                "i32.trunc_f64_u"     (F64) -> I32 = traps i32_trunc_f64_u     fuel 1;
            @mvp I64ExtendI32S     visit_i64_extend_i32_s
                "i64.extend_i32_s"    (I32) -> I64 = total i64_extend_i32_s    fuel 1;
            @mvp I64ExtendI32U     visit_i64_extend_i32_u
                "i64.extend_i32_u"    (I32) -> I64 = total i64_extend_i32_u    fuel 1;
            @mvp I64TruncF32S      visit_i64_trunc_f32_s
                "i64.trunc_f32_s"     (F32) -> I64 = traps i64_trunc_f32_s     fuel 1;
            @mvp I64TruncF32U      visit_i64_trunc_f32_u
                "i64.trunc_f32_u"     (F32) -> I64 = traps i64_trunc_f32_u     fuel 1;
            @mvp I64TruncF64S      visit_i64_trunc_f64_s
                "i64.trunc_f64_s"     (F64) -> I64 = traps i64_trunc_f64_s     fuel 1;
            @mvp I64TruncF64U      visit_i64_trunc_f64_u
                "i64.trunc_f64_u"     (F64) -> I64 = traps i64_trunc_f64_u     fuel 1;
            @mvp F32ConvertI32S    visit_f32_convert_i32_s
                "f32.convert_i32_s"   (I32) -> F32 = total f32_convert_i32_s   fuel 1;
            @mvp F32ConvertI32U    visit_f32_convert_i32_u
                "f32.convert_i32_u"   (I32) -> F32 = total f32_convert_i32_u   fuel 1;
            @mvp F32ConvertI64S    visit_f32_convert_i64_s
                "f32.convert_i64_s"   (I64) -> F32 = total f32_convert_i64_s   fuel 1;
            @mvp F32ConvertI64U    visit_f32_convert_i64_u
                "f32.convert_i64_u"   (I64) -> F32 = total f32_convert_i64_u   fuel 1;
            @mvp F32DemoteF64      visit_f32_demote_f64
                "f32.demote_f64"      (F64) -> F32 = total f32_demote_f64      fuel 1;
            @mvp F64ConvertI32S    visit_f64_convert_i32_s
                "f64.convert_i32_s"   (I32) -> F64 = total f64_convert_i32_s   fuel 1;
            @mvp F64ConvertI32U    visit_f64_convert_i32_u
                "f64.convert_i32_u"   (I32) -> F64 = total f64_convert_i32_u   fuel 1;
            @mvp F64ConvertI64S    visit_f64_convert_i64_s
                "f64.convert_i64_s"   (I64) -> F64 = total f64_convert_i64_s   fuel 1;
            @mvp F64ConvertI64U    visit_f64_convert_i64_u
                "f64.convert_i64_u"   (I64) -> F64 = total f64_convert_i64_u   fuel 1;
            @mvp F64PromoteF32     visit_f64_promote_f32
                "f64.promote_f32"     (F32) -> F64 = total f64_promote_f32     fuel 1;
            @mvp I32ReinterpretF32 visit_i32_reinterpret_f32
                "i32.reinterpret_f32" (F32) -> I32 = total i32_reinterpret_f32 fuel 1;
            @mvp I64ReinterpretF64 visit_i64_reinterpret_f64
                "i64.reinterpret_f64" (F64) -> I64 = total i64_reinterpret_f64 fuel 1;
            @mvp F32ReinterpretI32 visit_f32_reinterpret_i32
                "f32.reinterpret_i32" (I32) -> F32 = total f32_reinterpret_i32 fuel 1;
            @mvp F64ReinterpretI64 visit_f64_reinterpret_i64
                "f64.reinterpret_i64" (I64) -> F64 = total f64_reinterpret_i64 fuel 1;

            @sign_extension I32Extend8S  visit_i32_extend8_s
                "i32.extend8_s"  (I32) -> I32 = total i32_extend8_s  fuel 1;
            @sign_extension I32Extend16S visit_i32_extend16_s
                "i32.extend16_s" (I32) -> I32 = total i32_extend16_s fuel 1;
            @sign_extension I64Extend8S  visit_i64_extend8_s
                "i64.extend8_s"  (I64) -> I64 = total i64_extend8_s  fuel 1;
            @sign_extension I64Extend16S visit_i64_extend16_s
                "i64.extend16_s" (I64) -> I64 = total i64_extend16_s fuel 1;
            @sign_extension I64Extend32S visit_i64_extend32_s
                "i64.extend32_s" (I64) -> I64 = total i64_extend32_s fuel 1;

            @saturating_float_to_int I32TruncSatF32S visit_i32_trunc_sat_f32_s
                "i32.trunc_sat_f32_s" (F32) -> I32 = total i32_trunc_sat_f32_s fuel 1;
            @saturating_float_to_int I32TruncSatF32U visit_i32_trunc_sat_f32_u
                "i32.trunc_sat_f32_u" (F32) -> I32 = total i32_trunc_sat_f32_u fuel 1;
            @saturating_float_to_int I32TruncSatF64S visit_i32_trunc_sat_f64_s
                "i32.trunc_sat_f64_s" (F64) -> I32 = total i32_trunc_sat_f64_s fuel 1;
            @saturating_float_to_int I32TruncSatF64U visit_i32_trunc_sat_f64_u
                "i32.trunc_sat_f64_u" (F64) -> I32 = total i32_trunc_sat_f64_u fuel 1;
            @saturating_float_to_int I64TruncSatF32S visit_i64_trunc_sat_f32_s
                "i64.trunc_sat_f32_s" (F32) -> I64 = total i64_trunc_sat_f32_s fuel 1;
            @saturating_float_to_int I64TruncSatF32U visit_i64_trunc_sat_f32_u
                "i64.trunc_sat_f32_u" (F32) -> I64 = total i64_trunc_sat_f32_u fuel 1;
            @saturating_float_to_int I64TruncSatF64S visit_i64_trunc_sat_f64_s
                "i64.trunc_sat_f64_s" (F64) -> I64 = total i64_trunc_sat_f64_s fuel 1;
            @saturating_float_to_int I64TruncSatF64U visit_i64_trunc_sat_f64_u
                "i64.trunc_sat_f64_u" (F64) -> I64 = total i64_trunc_sat_f64_u fuel 1;
        }
    };
}

/// Calls the macro `$m` once with all access rows.
///
/// ```text
/// @proposal Operator visit_name "text.name" load|store I32 as u8;
/// ```
///
/// `as` gives the type in memory: its size is the natural alignment, and a load of a signed type extends the sign.
#[macro_export]
macro_rules! for_each_access {
    ($m:ident) => {
        $m! {
            @mvp I32Load    visit_i32_load     "i32.load"     load  I32 as u32;
            @mvp I64Load    visit_i64_load     "i64.load"     load  I64 as u64;
            @mvp F32Load    visit_f32_load     "f32.load"     load  F32 as f32;
            @mvp F64Load    visit_f64_load     "f64.load"     load  F64 as f64;
            @mvp I32Load8S  visit_i32_load8_s  "i32.load8_s"  load  I32 as i8;
            @mvp I32Load8U  visit_i32_load8_u  "i32.load8_u"  load  I32 as u8;
            @mvp I32Load16S visit_i32_load16_s "i32.load16_s" load  I32 as i16;
            @mvp I32Load16U visit_i32_load16_u "i32.load16_u" load  I32 as u16;
            @mvp I64Load8S  visit_i64_load8_s  "i64.load8_s"  load  I64 as i8;
            @mvp I64Load8U  visit_i64_load8_u  "i64.load8_u"  load  I64 as u8;
            @mvp I64Load16S visit_i64_load16_s "i64.load16_s" load  I64 as i16;
            @mvp I64Load16U visit_i64_load16_u "i64.load16_u" load  I64 as u16;
            @mvp I64Load32S visit_i64_load32_s "i64.load32_s" load  I64 as i32;
            @mvp I64Load32U visit_i64_load32_u "i64.load32_u" load  I64 as u32;
            @mvp I32Store   visit_i32_store    "i32.store"    store I32 as u32;
            @mvp I64Store   visit_i64_store    "i64.store"    store I64 as u64;
            @mvp F32Store   visit_f32_store    "f32.store"    store F32 as f32;
            @mvp F64Store   visit_f64_store    "f64.store"    store F64 as f64;
            @mvp I32Store8  visit_i32_store8   "i32.store8"   store I32 as u8;
            @mvp I32Store16 visit_i32_store16  "i32.store16"  store I32 as u16;
            @mvp I64Store8  visit_i64_store8   "i64.store8"   store I64 as u8;
            @mvp I64Store16 visit_i64_store16  "i64.store16"  store I64 as u16;
            @mvp I64Store32 visit_i64_store32  "i64.store32"  store I64 as u32;
        }
    };
}

/// Calls the macro `$m` once with all special rows.
///
/// ```text
/// @proposal Operator visit_name "text.name" method(immediate: type, …) fuel 1 flags…;
/// ```
///
/// | flag | meaning |
/// |---|---|
/// | `constant` | allowed in constant expressions (as is the `end` that closes them) |
/// | `sized` | costs more fuel the more bytes or elements it touches, besides the fuel of the row |
#[macro_export]
macro_rules! for_each_special {
    ($m:ident) => {
        $m! {
            @mvp Unreachable visit_unreachable "unreachable" unreachable()                  fuel 1;
            @mvp Nop         visit_nop         "nop"         nop()                          fuel 0;
            @mvp Block       visit_block       "block"       block(blockty: BlockType)      fuel 0;
            @mvp Loop        visit_loop        "loop"        loop_(blockty: BlockType)      fuel 0;
            @mvp If          visit_if          "if"          if_(blockty: BlockType)        fuel 1;
            @mvp Else        visit_else        "else"        else_()                        fuel 0;
            @mvp End         visit_end         "end"         end()                          fuel 0;
            @mvp Br          visit_br          "br"          br(relative_depth: u32)        fuel 1;
            @mvp BrIf        visit_br_if       "br_if"       br_if(relative_depth: u32)     fuel 1;
            @mvp BrTable     visit_br_table    "br_table"    br_table(targets: BrTable<'_>) fuel 1;
            @mvp Return      visit_return      "return"      return_()                      fuel 1;
            @mvp Call        visit_call        "call"        call(function_index: u32)      fuel 1;

            @mvp CallIndirect visit_call_indirect
                "call_indirect" call_indirect(type_index: u32, table_index: u32) fuel 1;

            @mvp Drop       visit_drop        "drop"        drop_()                       fuel 1;
            @mvp Select     visit_select      "select"      select()                      fuel 1;
            @mvp LocalGet   visit_local_get   "local.get"   local_get(local_index: u32)   fuel 1;
            @mvp LocalSet   visit_local_set   "local.set"   local_set(local_index: u32)   fuel 1;
            @mvp LocalTee   visit_local_tee   "local.tee"   local_tee(local_index: u32)   fuel 1;
            @mvp GlobalGet  visit_global_get  "global.get"  global_get(global_index: u32) fuel 1 constant;
            @mvp GlobalSet  visit_global_set  "global.set"  global_set(global_index: u32) fuel 1;
            @mvp MemorySize visit_memory_size "memory.size" memory_size(mem: u32)         fuel 1;
            @mvp MemoryGrow visit_memory_grow "memory.grow" memory_grow(mem: u32)         fuel 1 sized;
            @mvp I32Const   visit_i32_const   "i32.const"   i32_const(value: i32)         fuel 1 constant;
            @mvp I64Const   visit_i64_const   "i64.const"   i64_const(value: i64)         fuel 1 constant;
            @mvp F32Const   visit_f32_const   "f32.const"   f32_const(value: u32)         fuel 1 constant;
            @mvp F64Const   visit_f64_const   "f64.const"   f64_const(value: u64)         fuel 1 constant;

            @bulk_memory MemoryInit visit_memory_init
                "memory.init" memory_init(data_index: u32, mem: u32)     fuel 1 sized;
            @bulk_memory DataDrop   visit_data_drop
                "data.drop"   data_drop(data_index: u32)                 fuel 1;
            @bulk_memory MemoryCopy visit_memory_copy
                "memory.copy" memory_copy(dst_mem: u32, src_mem: u32)    fuel 1 sized;
            @bulk_memory MemoryFill visit_memory_fill
                "memory.fill" memory_fill(mem: u32)                      fuel 1 sized;
            @bulk_memory TableInit  visit_table_init
                "table.init"  table_init(elem_index: u32, table: u32)    fuel 1 sized;
            @bulk_memory ElemDrop   visit_elem_drop
                "elem.drop"   elem_drop(elem_index: u32)                 fuel 1;
            @bulk_memory TableCopy  visit_table_copy
                "table.copy"  table_copy(dst_table: u32, src_table: u32) fuel 1 sized;

            @reference_types TypedSelect visit_typed_select "select"      typed_select(ty: ValType)     fuel 1;
            @reference_types RefNull     visit_ref_null     "ref.null"    ref_null(hty: HeapType)       fuel 1 constant;
            @reference_types RefIsNull   visit_ref_is_null  "ref.is_null" ref_is_null()                 fuel 1;
            @reference_types RefFunc     visit_ref_func     "ref.func"    ref_func(function_index: u32) fuel 1 constant;
            @reference_types TableFill   visit_table_fill   "table.fill"  table_fill(table: u32)        fuel 1 sized;
            @reference_types TableGet    visit_table_get    "table.get"   table_get(table: u32)         fuel 1;
            @reference_types TableSet    visit_table_set    "table.set"   table_set(table: u32)         fuel 1;
            @reference_types TableGrow   visit_table_grow   "table.grow"  table_grow(table: u32)        fuel 1 sized;
            @reference_types TableSize   visit_table_size   "table.size"  table_size(table: u32)        fuel 1;

            @tail_call ReturnCall visit_return_call "return_call" return_call(function_index: u32) fuel 1;

            @tail_call ReturnCallIndirect visit_return_call_indirect
                "return_call_indirect" return_call_indirect(type_index: u32, table_index: u32) fuel 1;
        }
    };
}

macro_rules! proposals {
    ($($(#[$doc:meta])* $row:ident $variant:ident $text:literal;)*) => {
        /// The proposal an instruction came with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Proposal {
            $($(#[$doc])* $variant,)*
        }

        impl Proposal {
            /// The proposals that have rows in the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name as proposals are usually written: `tail-call`.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        macro_rules! proposal {
            $(($row) => { Proposal::$variant };)*
        }
    };
}

proposals! {
    /// WebAssembly 1.0.
    mvp Mvp "mvp";
    /// `i32.extend8_s` and its kin.
    sign_extension SignExtension "sign-extension";
    /// `i32.trunc_sat_f32_s` and its kin.
    saturating_float_to_int SaturatingFloatToInt "saturating-float-to-int";
    /// `memory.copy`, `table.init` and their kin.
    bulk_memory BulkMemory "bulk-memory";
    /// `ref.null`, `table.get` and their kin.
    reference_types ReferenceTypes "reference-types";
    /// `return_call` and its kin.
    tail_call TailCall "tail-call";
}

/// Is the word among those of the row?
macro_rules! has {
    (traps in traps) => { true };
    (store in store) => { true };
    (commutes in commutes $($rest:ident)*) => { true };
    (constant in constant $($rest:ident)*) => { true };
    (sized in sized $($rest:ident)*) => { true };
    ($flag:ident in $first:ident $($rest:ident)*) => { has!($flag in $($rest)*) };
    ($flag:ident in) => { false };
}

/// The instruction that follows the flag, if the row has it.
macro_rules! partner {
    (swaps in swaps $other:ident $($rest:ident)*) => { Some(Plain::$other) };
    (negates in negates $other:ident $($rest:ident)*) => { Some(Plain::$other) };
    ($flag:ident in $first:ident $($rest:ident)*) => { partner!($flag in $($rest)*) };
    ($flag:ident in) => { None };
}

/// What the three enumerations have in common: lists, look-up, names.
macro_rules! listed {
    ($table:ident $kind:ident $info:ident $($operator:ident)*) => {
        impl $kind {
            /// All of them, in the order of the table and of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$operator),*];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The row.
            pub const fn info(self) -> &'static $info {
                &$table[self as usize]
            }

            /// The instruction with this operator name, such as `I32Add`.
            pub fn from_operator(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.info().operator == name)
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.info().name)
            }
        }
    };
}

/// What the table says of a plain instruction.
#[derive(Debug)]
pub struct PlainInfo {
    /// Operator name: `I32Add`.
    pub operator: &'static str,
    /// Name in the text format: `i32.add`.
    pub name: &'static str,
    /// The proposal it came with.
    pub proposal: Proposal,
    /// Operands, the deepest in the stack first.
    pub operands: &'static [Ty],
    /// The one result.
    pub result: Ty,
    /// Can it trap?
    pub traps: bool,
    /// Name of the function in `num.rs`.
    pub kernel: &'static str,
    /// Units of fuel.
    pub fuel: u32,
    /// May the operands be exchanged?
    pub commutes: bool,
    /// Allowed in constant expressions by the extended-const proposal?
    pub constant: bool,
    /// The comparison that says the same of exchanged operands.
    pub swapped: Option<Plain>,
    /// The comparison that says the opposite.
    pub negated: Option<Plain>,
}

macro_rules! plain {
    ($(
        @$proposal:ident $operator:ident $visit:ident $name:literal
            ($($operand:ident)*) -> $result:ident = $totality:ident $kernel:ident fuel $fuel:literal $($flag:ident)*;
    )*) => {
        /// An instruction of fixed types without immediates.
        #[repr(u16)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Plain {
            $(#[doc = concat!("`", $name, "`")] $operator,)*
        }

        static PLAIN: [PlainInfo; Plain::COUNT] = [$(PlainInfo {
            operator: stringify!($operator),
            name: $name,
            proposal: proposal!($proposal),
            operands: &[$(Ty::$operand),*],
            result: Ty::$result,
            traps: has!(traps in $totality),
            kernel: stringify!($kernel),
            fuel: $fuel,
            commutes: has!(commutes in $($flag)*),
            constant: has!(constant in $($flag)*),
            swapped: partner!(swaps in $($flag)*),
            negated: partner!(negates in $($flag)*),
        }),*];

        listed!(PLAIN Plain PlainInfo $($operator)*);
    };
}

for_each_plain!(plain);

/// What the table says of a load or a store.
#[derive(Debug)]
pub struct AccessInfo {
    /// Operator name: `I32Load8U`.
    pub operator: &'static str,
    /// Name in the text format: `i32.load8_u`.
    pub name: &'static str,
    /// The proposal it came with.
    pub proposal: Proposal,
    /// A store? Otherwise a load.
    pub store: bool,
    /// The value loaded or stored.
    pub ty: Ty,
    /// The type in memory, as Rust writes it: `u8`.
    pub memory: &'static str,
    /// The size in memory, and so the natural alignment.
    pub bytes: u8,
    /// Units of fuel: 1 for all.
    pub fuel: u32,
}

macro_rules! access {
    ($(@$proposal:ident $operator:ident $visit:ident $name:literal $direction:ident $ty:ident as $memory:ident;)*) => {
        /// A load or a store.
        #[repr(u16)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Access {
            $(#[doc = concat!("`", $name, "`")] $operator,)*
        }

        static ACCESS: [AccessInfo; Access::COUNT] = [$(AccessInfo {
            operator: stringify!($operator),
            name: $name,
            proposal: proposal!($proposal),
            store: has!(store in $direction),
            ty: Ty::$ty,
            memory: stringify!($memory),
            bytes: size_of::<$memory>() as u8,
            fuel: 1,
        }),*];

        listed!(ACCESS Access AccessInfo $($operator)*);
    };
}

for_each_access!(access);

/// What the table says of an instruction that each pass treats in its own way.
#[derive(Debug)]
pub struct SpecialInfo {
    /// Operator name: `BrTable`.
    pub operator: &'static str,
    /// Name in the text format: `br_table`.
    pub name: &'static str,
    /// The proposal it came with.
    pub proposal: Proposal,
    /// Units of fuel, besides those for size.
    pub fuel: u32,
    /// Does it cost more the more it touches?
    pub sized: bool,
    /// Allowed in constant expressions?
    pub constant: bool,
}

macro_rules! special {
    ($(
        @$proposal:ident $operator:ident $visit:ident $name:literal
            $method:ident($($immediate:ident: $ty:ty),*) fuel $fuel:literal $($flag:ident)*;
    )*) => {
        /// An instruction that each pass treats in its own way.
        #[repr(u16)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Special {
            $(#[doc = concat!("`", $name, "`")] $operator,)*
        }

        static SPECIAL: [SpecialInfo; Special::COUNT] = [$(SpecialInfo {
            operator: stringify!($operator),
            name: $name,
            proposal: proposal!($proposal),
            fuel: $fuel,
            sized: has!(sized in $($flag)*),
            constant: has!(constant in $($flag)*),
        }),*];

        listed!(SPECIAL Special SpecialInfo $($operator)*);
    };
}

for_each_special!(special);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_agree() {
        for &op in Plain::ALL {
            let info = op.info();
            for partner in [info.swapped, info.negated].into_iter().flatten() {
                assert_eq!((partner.info().operands, partner.info().result), (info.operands, Ty::I32), "{op}");
                assert_ne!(partner, op);
            }
            assert!(info.swapped.is_none_or(|other| other.info().swapped == Some(op)), "{op}");
            assert!(info.negated.is_none_or(|other| other.info().negated == Some(op)), "{op}");
            assert!(!info.commutes || info.swapped.is_none(), "{op}");
            assert!(!info.commutes || matches!(info.operands, [a, b] if a == b), "{op}");
        }
    }

    #[test]
    fn names_agree() {
        for &op in Plain::ALL {
            assert_eq!(op.info().name.replacen('.', "_", 1), op.info().kernel);
            assert_eq!(Plain::from_operator(op.info().operator), Some(op));
        }
        for &op in Access::ALL {
            let info = op.info();
            let (ty, rest) = info.name.split_once('.').unwrap();
            let narrow = rest.strip_prefix(if info.store { "store" } else { "load" }).unwrap();
            let (bits, sign) = narrow.split_once('_').unwrap_or((narrow, "u"));
            assert_eq!(info.ty.text(), ty);
            assert_eq!(&info.memory[1..], if bits.is_empty() { &ty[1..] } else { bits }, "{op}");
            assert_eq!(info.memory.starts_with('i'), sign == "s", "{op}");
            assert_eq!(info.memory[1..].parse(), Ok(u32::from(info.bytes) * 8), "{op}");
        }
        assert_eq!(Special::from_operator("BrTable"), Some(Special::BrTable));
        assert_eq!(Special::from_operator("I32Add"), None);
    }

    #[test]
    fn numbers_are_positions() {
        assert!(Plain::ALL.iter().enumerate().all(|(n, &op)| op as usize == n));
        assert!(Access::ALL.iter().enumerate().all(|(n, &op)| op as usize == n));
        assert!(Special::ALL.iter().enumerate().all(|(n, &op)| op as usize == n));
    }
}
