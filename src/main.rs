//! `ocisign`: parse arguments, call the command line, map its answer to an
//! exit code.

fn main() -> ocisign::cli::Exit {
    ocisign::cli::run()
}
