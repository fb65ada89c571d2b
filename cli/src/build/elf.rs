//! The checks of a finished program's ELF file: its processor, its libraries, its symbols.

use anyhow::{Context as _, ensure};
use object::elf::{DT_NEEDED, PT_INTERP};
use object::read::elf::{ElfFile64, ProgramHeader as _};
use object::{Architecture, Endianness, Object as _, ObjectSymbol as _};

use crate::target::{Arch, Target};

/// The symbol by which Netlify recognises a Rust program (`@netlify/binary-info`, November
/// 2026). Netlify silently skips a program without it.
pub const NETLIFY_SYMBOL: &str = "rust_eh_personality";

/// Verifies that the platforms can run a program: it is built for the target, needs no library
/// or loader of the image, and has the symbol by which Netlify recognises it.
///
/// # Errors
///
/// When one of these does not hold; the error says what to change.
pub fn verify_deployable(program: &[u8], target: Target) -> anyhow::Result<()> {
    let file = ElfFile64::<Endianness>::parse(program).context("it is not a 64-bit ELF file")?;
    let expected = match target.arch {
        Arch::X86_64 => Architecture::X86_64,
        Arch::Arm64 => Architecture::Aarch64,
    };
    ensure!(
        file.architecture() == expected,
        "it is built for {:?}, not for {target}",
        file.architecture()
    );
    let endian = file.endian();
    let has_loader = file
        .elf_program_headers()
        .iter()
        .any(|header| header.p_type(endian) == PT_INTERP);
    // A static position-independent program has this table too, without these entries.
    let needs_libraries = file
        .elf_dynamic_table()?
        .iter()
        .any(|entry| entry.tag == DT_NEEDED);
    ensure!(
        !has_loader && !needs_libraries,
        "it is dynamically linked and needs libraries of the image: a setting of Cargo, such as \
         target.{target}.rustflags, prevents static linking"
    );
    if target.is_for_netlify() {
        let found = file
            .symbols()
            .any(|symbol| symbol.name() == Ok(NETLIFY_SYMBOL));
        ensure!(
            found,
            "it has no symbol {NETLIFY_SYMBOL}, by which Netlify recognises a Rust program: remove \
             the linker option that strips it, such as -s"
        );
    }
    Ok(())
}

/// Returns the number of entries in a program's symbol table.
///
/// # Errors
///
/// When `program` is not a 64-bit ELF file.
pub fn count_symbols(program: &[u8]) -> anyhow::Result<usize> {
    let file = ElfFile64::<Endianness>::parse(program).context("it is not a 64-bit ELF file")?;
    Ok(file.symbols().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dynamically_linked_program_is_refused() {
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
    fn shell_script_is_refused() {
        let error = verify_deployable(b"#!/bin/sh\n", Target::of(Arch::X86_64)).unwrap_err();
        assert!(error.to_string().contains("not a 64-bit ELF file"));
    }
}
