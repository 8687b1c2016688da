//! Generates code from the proto. protox parses it, so `protoc` does not have to be installed.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut proto = protox::Compiler::new(["proto"])?;
    proto.include_imports(true).open_file("orders.proto")?;
    // The descriptors for server reflection.
    let descriptors = Path::new(&env::var("OUT_DIR")?).join("orders.bin");
    fs::write(descriptors, proto.encode_file_descriptor_set())?;
    tonic_prost_build::configure().compile_fds(proto.file_descriptor_set())?;
    Ok(())
}
