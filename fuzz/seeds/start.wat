(module ;; a start function that traps after it has written, extended constants
  (import "env" "base" (global $base i32))
  (memory (export "memory") 1 1) (global (export "g") (mut i32) (i32.add (i32.const 2) (i32.mul (i32.const 3) (i32.const 4))))
  (data (offset (i32.add (global.get $base) (i32.const 1))) "start")
  (func $start (global.set 1 (i32.const 99)) (i32.store (i32.const 0) (i32.const 1)) (drop (i32.div_u (i32.const 1) (i32.load8_u (i32.const 40)))))
  (start $start) (func (export "f") (result i32) (global.get 1)))
