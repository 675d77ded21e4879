//! Rust structs, by prost-build.

use prost_build::{Config, Module};
use protox::Compiler;
use protox::prost_reflect::Kind;

use crate::schema::{PACKAGE, Result};

const HEAD: &str = "// Written by `make gen` from the .proto files; edit those.\n\n";

/// The text of `generated.rs`.
pub fn text(compiler: &Compiler) -> Result<String> {
    let module = Module::from_protobuf_package_name(PACKAGE);
    let files = compiler.file_descriptor_set().file;
    let requests = files.into_iter().map(|file| (module.clone(), file));
    let mut config = Config::new();
    for message in compiler.descriptor_pool().all_messages() {
        for field in message.fields() {
            let is_optional = field.field_descriptor_proto().proto3_optional();
            if is_optional && matches!(field.kind(), Kind::Message(_)) {
                // Two bytes of a list make one of its messages, which takes room for all its parts.
                config.boxed(format!(".{}", field.full_name()));
            }
        }
    }
    let mut modules = config
        // Its default, a hash map, writes its entries in another order each time: one state, many CIDs.
        .btree_map(["."])
        .enable_type_names()
        .generate(requests.collect())?;
    let text = modules.remove(&module).ok_or("no message at all")?;
    Ok(format!("{HEAD}{text}"))
}
