//! Rust structs, by prost-build.

use prost_build::{Config, Module};
use protox::Compiler;

use crate::schema::{PACKAGE, Result};

const HEAD: &str = "// Written by `make gen` from the .proto files; edit those.\n\n";

/// The text of `generated.rs`.
pub fn text(compiler: &Compiler) -> Result<String> {
    let module = Module::from_protobuf_package_name(PACKAGE);
    let files = compiler.file_descriptor_set().file;
    let requests = files.into_iter().map(|file| (module.clone(), file));
    let mut modules = Config::new()
        // Its default, a hash map, writes its entries in another order each time: one state, many CIDs.
        .btree_map(["."])
        .enable_type_names()
        .generate(requests.collect())?;
    let text = modules.remove(&module).ok_or("no message at all")?;
    Ok(format!("{HEAD}{text}"))
}
