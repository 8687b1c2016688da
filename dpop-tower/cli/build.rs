//! Generates code from the protos. protox parses them, so `protoc` does not have to be installed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut protos = protox::Compiler::new(["proto"])?;
    protos.include_imports(true);
    protos.open_file("envoy/service/auth/v3/external_auth.proto")?;
    tonic_prost_build::configure()
        .include_file("protos.rs")
        .compile_fds(protos.file_descriptor_set())?;
    Ok(())
}
