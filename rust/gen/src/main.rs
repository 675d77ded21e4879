//! Writes the sources that are made of the `.proto` set: `treering-gen <folder with treering/v1> <root of the sources>`.
//!
//! Promises: the same set gives the same text, without protoc and without a look at anything else.
//! Never: it formats nothing. `tools/gen_messages.py` calls it, then rustfmt and ruff, and compares or copies.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

mod schema;
mod structs;

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [protos, root] = arguments.as_slice() else {
        eprintln!("usage: treering-gen <folder with treering/v1> <root of the sources>");
        return ExitCode::from(2);
    };
    match write_all(protos, root) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // protox says in its debug form where in the file it stopped.
            eprintln!("treering-gen: {error}\n{error:?}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(protos: &Path, root: &Path) -> Result<(), Box<dyn Error>> {
    let compiled = schema::compile(protos)?;
    write(
        root,
        "rust/actor/src/messages/generated.rs",
        &structs::text(&compiled)?,
    )?;
    Ok(())
}

fn write(root: &Path, name: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let path = root.join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
