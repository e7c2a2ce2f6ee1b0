//! Merging the packs that fetches leave behind, one each.

use std::fs;
use std::path::{Path, PathBuf};

use git2::Repository;

/// Small packs that are worth merging.
const MANY: usize = 40;
/// Packs from this size on are left alone, in bytes.
const LARGE: u64 = 16 << 20;
/// Files that belong to one pack.
const PARTS: [&str; 4] = ["pack", "idx", "rev", "bitmap"];

/// Writes one pack with the objects of all small ones, if there are many, and
/// returns the paths (without extension) of those that it replaces. Objects
/// that no reference leads to are kept: callers may still read older commits.
pub(super) fn merged(repository: &Repository, dir: &Path) -> Result<Vec<PathBuf>, git2::Error> {
    let packs = dir.join("objects/pack");
    let small = small_packs(&packs);
    if small.len() < MANY {
        return Ok(Vec::new());
    }
    let mut builder = repository.packbuilder()?;
    builder.set_threads(1);
    for pack in &small {
        let index = fs::read(pack.with_extension("idx"))
            .map_err(|error| git2::Error::from_str(&error.to_string()))?;
        let ids = object_ids(&index)
            .ok_or_else(|| git2::Error::from_str("a pack index is not of version 2"))?;
        for id in ids {
            builder.insert_object(git2::Oid::from_bytes(id)?, None)?;
        }
    }
    builder.write(&packs, 0o444)?;
    let written = builder
        .name()?
        .map(|name| packs.join(format!("pack-{name}")));
    Ok(small
        .into_iter()
        .filter(|pack| Some(pack) != written.as_ref())
        .collect())
}

/// Removes the files of packs, the index first, so that no reader finds an
/// index without its pack.
pub(super) fn remove(packs: &[PathBuf]) {
    for pack in packs {
        for part in ["idx"]
            .iter()
            .chain(PARTS.iter().filter(|part| **part != "idx"))
        {
            let file = pack.with_extension(part);
            if let Err(error) = fs::remove_file(&file)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, "a merged pack of a git mirror could not be removed");
            }
        }
    }
}

fn small_packs(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.metadata().is_ok_and(|data| data.len() < LARGE))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "pack"))
        .map(|path| path.with_extension(""))
        .collect()
}

/// The object names in a pack index of version 2: a header of 8 bytes, 256
/// counts of 4 bytes of which the last is the total, then the sorted names.
fn object_ids(index: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    const NAMES: usize = 8 + 256 * 4;
    if index.get(..8)? != b"\xfftOc\x00\x00\x00\x02" {
        return None;
    }
    let total = index.get(NAMES - 4..NAMES)?.try_into().ok()?;
    let total = usize::try_from(u32::from_be_bytes(total)).ok()?;
    let end = total.checked_mul(20)?.checked_add(NAMES)?;
    Some(index.get(NAMES..end)?.chunks_exact(20))
}
