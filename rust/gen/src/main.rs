//! Writes the sources that are made of the `.proto` set.
//!
//! `treering-gen sources <folder with treering/v1> <root>` writes them below a root, `treering-gen descriptors <folder>
//! <file>` the set itself, compiled, as tests read it.
//!
//! Promises: the same set gives the same text, without protoc and without a look at anything else.
//! Never: it formats nothing. `tools/gen_messages.py` calls it, then rustfmt and ruff, and compares or copies.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

mod converters;
mod dataclasses;
mod schema;
mod structs;

use schema::Result;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let done = match arguments.as_slice() {
        [verb, protos, root] if verb == "sources" => write_sources(protos.as_ref(), root.as_ref()),
        [verb, protos, file] if verb == "descriptors" => {
            write_descriptors(protos.as_ref(), file.as_ref())
        }
        _ => {
            eprintln!(
                "usage: treering-gen sources <protos> <root>, or descriptors <protos> <file>"
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // protox says in its debug form where in a file it stopped.
            eprintln!("treering-gen: {error}\n{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn write_descriptors(protos: &Path, file: &Path) -> Result<()> {
    let mut compiled = schema::compile(protos)?;
    // With descriptor.proto, of which our options are extensions.
    let bytes = compiled.include_imports(true).encode_file_descriptor_set();
    Ok(fs::write(file, bytes)?)
}

fn write_sources(protos: &Path, root: &Path) -> Result<()> {
    let compiled = schema::compile(protos)?;
    let schema = schema::read(&compiled)?;
    let structs = structs::text(&compiled)?;
    write(root, "rust/actor/src/messages/generated.rs", &structs)?;
    let classes = dataclasses::text(&schema)?;
    write(root, "python/treering/messages.py", &classes)?;
    let converters = converters::text(&schema)?;
    write(root, "rust/python/src/messages/generated.rs", &converters)
}

fn write(root: &Path, name: &str, text: &str) -> Result<()> {
    let path = root.join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
