//! uplift

fn main() -> std::process::ExitCode {
    uplift::main()
}
