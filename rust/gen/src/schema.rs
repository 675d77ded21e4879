//! The `.proto` set, read.

use std::error::Error;
use std::fs;
use std::path::Path;

use protox::Compiler;

/// All files below `protos`, compiled.
pub fn compile(protos: &Path) -> Result<Compiler, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(protos.join("treering/v1"))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    // A folder lists its files in no order of its own.
    files.sort();
    let mut compiler = Compiler::new([protos])?;
    compiler.include_source_info(true);
    compiler.include_imports(false);
    compiler.open_files(files)?;
    Ok(compiler)
}
