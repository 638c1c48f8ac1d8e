//! The catalog over real folders.

use midwatch::catalog::{Folders, load, render_all};
use std::collections::BTreeMap;
use std::path::Path;

fn shipped() -> Folders {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Folders {
        commands: root.join("commands"),
        runbooks: root.join("runbooks"),
    }
}

#[test]
fn the_shipped_files_load_without_errors_or_warnings() {
    let loaded = load(&shipped(), &BTreeMap::new());
    assert_eq!(render_all(&loaded.diagnostics, false), "");
    let t = std::time::Instant::now();
    load(&shipped(), &BTreeMap::new());
    println!("{:?}", t.elapsed());
    assert_eq!(loaded.catalog.commands.len(), 8);
    assert_eq!(loaded.catalog.projects.len(), 3);
}
