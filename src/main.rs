fn main() -> std::process::ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("demo-cameras") => zhenbei::demo::cameras_main(),
        _ => std::process::ExitCode::SUCCESS,
    }
}
