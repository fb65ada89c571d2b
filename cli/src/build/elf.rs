//! What a finished program says of itself: its processor, what it needs, a symbol.

use anyhow::{Context as _, ensure};
use object::elf::{DT_NEEDED, PT_INTERP};
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Architecture, Endianness, Object as _, ObjectSymbol as _};

use crate::target::{Arch, Target};

/// The symbol by which Netlify knows a program of Rust (`@netlify/binary-info`, November
/// 2026). One that lacks it is not deployed, without a word.
pub const NETLIFY_SYMBOL: &str = "rust_eh_personality";

/// Fails unless the program is one for this target that needs no library and no loader of the
/// image, and that Netlify recognises.
///
/// # Errors
///
/// With what is wrong, and what to do.
pub fn verify_deployable(program: &[u8], target: Target) -> anyhow::Result<()> {
    let file = ElfFile64::<Endianness>::parse(program).context("it is no program for Linux")?;
    let expected = match target.arch {
        Arch::X86_64 => Architecture::X86_64,
        Arch::Arm64 => Architecture::Aarch64,
    };
    ensure!(
        file.architecture() == expected,
        "it is for {:?}, not for {target}",
        file.architecture()
    );
    let endian = file.endian();
    let has_loader = file
        .elf_program_headers()
        .iter()
        .any(|header| header.p_type(endian) == PT_INTERP);
    // A static program that can be moved has this table, too, and asks for nothing in it.
    let needs = file
        .elf_dynamic_table()?
        .iter()
        .any(|entry| entry.tag == DT_NEEDED);
    ensure!(
        !has_loader && !needs,
        "it needs libraries of the image: a setting of Cargo, such as target.{target}.rustflags, \
         keeps it from being static"
    );
    if target.is_for_netlify() {
        let found = file
            .symbols()
            .any(|symbol| symbol.name() == Ok(NETLIFY_SYMBOL));
        ensure!(
            found,
            "it has no symbol {NETLIFY_SYMBOL}, by which Netlify knows a program of Rust: see \
             that no linker option, such as -s, strips it"
        );
    }
    Ok(())
}

/// How many symbols the program's table has.
///
/// # Errors
///
/// When it is no program for Linux.
pub fn count_symbols(program: &[u8]) -> anyhow::Result<usize> {
    let file = ElfFile64::<Endianness>::parse(program).context("it is no program for Linux")?;
    Ok(file.symbols().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_that_needs_libraries_is_refused_with_what_to_look_at() {
        let Some(arch) = Arch::host() else { return };
        let test = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let error = verify_deployable(&test, Target::of(arch))
            .unwrap_err()
            .to_string();
        assert!(error.contains("needs libraries of the image"), "{error}");
    }

    #[test]
    fn program_for_another_processor_is_refused() {
        let other = match Arch::host() {
            Some(Arch::X86_64) => Arch::Arm64,
            _ => Arch::X86_64,
        };
        let test = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let error = verify_deployable(&test, Target::of(other))
            .unwrap_err()
            .to_string();
        assert!(error.contains("not for"), "{error}");
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let error = verify_deployable(b"#!/bin/sh\n", Target::of(Arch::X86_64)).unwrap_err();
        assert!(error.to_string().contains("no program for Linux"));
    }
}
