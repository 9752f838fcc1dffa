;; A local that is read and then written before the value read is used: the old value counts.

(module
  (func (export "set") (param i32) (result i32)
    (i32.sub
      (local.get 0)
      (block (result i32) (local.set 0 (i32.const 100)) (local.get 0))))

  (func (export "tee") (param i32) (result i32)
    (i32.sub (local.get 0) (local.tee 0 (i32.mul (local.get 0) (i32.const 3)))))

  (func (export "swap") (param i32 i32) (result i32 i32)
    local.get 0
    local.get 1
    local.set 0
    local.set 1
    local.get 0
    local.get 1)

  (func (export "rotate") (param i64 i64 i64) (result i64 i64 i64)
    local.get 0
    local.get 1
    local.get 2
    local.set 0
    local.set 2
    local.set 1
    local.get 0
    local.get 1
    local.get 2)

  (func (export "under-if") (param i32 i32) (result i32)
    local.get 0
    local.get 1
    if
      i32.const 7
      local.set 0
    end
    local.get 0
    i32.const 10
    i32.mul
    i32.add)

  (func (export "under-loop") (param i32) (result i32) (local i32)
    local.get 1
    loop
      (local.set 1 (i32.add (local.get 1) (local.get 0)))
      (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))
    end
    local.get 1
    i32.sub)

  (func (export "over-branch") (param i32 i32) (result i32)
    (block (result i32)
      local.get 0
      (br_if 0 (local.tee 0 (local.get 1)))
      drop
      (i32.const -1))
    local.get 0
    i32.sub)

  (func $bump (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))

  (func (export "over-call") (param i32) (result i32)
    local.get 0
    (local.set 0 (call $bump (local.get 0)))
    local.get 0
    (local.set 0 (call $bump (local.get 0)))
    local.get 0
    i32.const 100
    i32.mul
    i32.add
    i32.const 100
    i32.mul
    i32.add)

  (func (export "classes") (param i32 i64 f32 f64) (result f64)
    local.get 3
    (local.set 3 (f64.promote_f32 (local.get 2)))
    (local.get 2)
    (local.set 2 (f32.convert_i32_s (local.get 0)))
    f64.promote_f32
    f64.sub
    (f64.mul (local.get 3) (f64.convert_i64_s (local.get 1)))
    f64.add
    (f64.promote_f32 (local.get 2))
    f64.sub)
)

(assert_return (invoke "set" (i32.const 7)) (i32.const -93))
(assert_return (invoke "tee" (i32.const 7)) (i32.const -14))
(assert_return (invoke "swap" (i32.const 1) (i32.const 2)) (i32.const 2) (i32.const 1))
(assert_return (invoke "rotate" (i64.const 1) (i64.const 2) (i64.const 3)) (i64.const 3) (i64.const 1) (i64.const 2))
(assert_return (invoke "under-if" (i32.const 1) (i32.const 0)) (i32.const 11))
(assert_return (invoke "under-if" (i32.const 1) (i32.const 1)) (i32.const 71))
(assert_return (invoke "under-loop" (i32.const 4)) (i32.const -10))
(assert_return (invoke "over-branch" (i32.const 5) (i32.const 3)) (i32.const 2))
(assert_return (invoke "over-branch" (i32.const 5) (i32.const 0)) (i32.const -1))
(assert_return (invoke "over-call" (i32.const 1)) (i32.const 30201))
(assert_return (invoke "classes" (i32.const 3) (i64.const 5) (f32.const 1.5) (f64.const 100)) (f64.const 103))
