//! The smallest sandbox: load a module, call its functions.
use jitless::{Sandbox, SandboxConfig, Val};

const WAT: &str = r#"(module
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "multiply") (param f64 f64) (result f64) (f64.mul (local.get 0) (local.get 1)))
    (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1))))"#;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut calculator = Sandbox::new(SandboxConfig::default())?;
    calculator.load(&wat::parse_str(WAT)?)?;

    // With Rust's own types …
    let sum = calculator.call_typed::<(i32, i32), i32>("add", (2, 40))?;
    println!("2 + 40 = {sum}");
    assert_eq!(sum, 42);
    // … or with values whose types are only known when the program runs.
    let product = calculator.call("multiply", &[Val::from(1.5), Val::from(4.0)])?;
    println!("1.5 · 4 = {}", product[0]);
    assert_eq!(product, [Val::from(6.0)]);

    // What goes wrong is an error, and the calculator goes on.
    let error = calculator.call("divide", &[Val::I32(1), Val::I32(0)]).unwrap_err();
    println!("1 / 0: {error}");
    assert_eq!(calculator.call_typed::<(i32, i32), i32>("divide", (84, 2))?, 42);
    Ok(())
}
