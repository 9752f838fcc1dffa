//! The examples of the sandbox run as tests.

macro_rules! examples {
    ($($name:ident $path:literal;)*) => {
        $(
            #[path = $path]
            mod $name;
        )*

        mod run {
            $(
                #[test]
                fn $name() {
                    super::$name::main().unwrap();
                }
            )*
        }
    };
}

examples! {
    calculator "../../examples/calculator.rs";
    errors "../../examples/errors.rs";
    host_log "../../examples/host_log.rs";
    sandbox "../../examples/sandbox.rs";
    two_guests "../../examples/two_guests.rs";
}
