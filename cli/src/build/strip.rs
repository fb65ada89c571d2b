//! Strips a program: removes every symbol except the one that Netlify looks for.

use anyhow::Context as _;
use object::build::elf::{Builder, SectionData};

use super::elf::NETLIFY_SYMBOL;

/// Returns the program without its other symbols, and without the sections that are not loaded
/// when it runs.
///
/// The loaded sections keep their bytes and their place. The same program always gives the same result.
///
/// # Errors
///
/// When `program` is not an ELF file, or has a section of a kind that cannot be copied safely.
pub fn strip(program: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut builder = Builder::read(program).context("could not read the ELF file")?;
    for symbol in &mut builder.symbols {
        symbol.delete = symbol.name.as_slice() != NETLIFY_SYMBOL.as_bytes();
    }
    let keeps_symbol = builder.symbols.count() > 0;
    for section in &mut builder.sections {
        section.delete = match section.data {
            // The names of the sections.
            SectionData::SectionString => false,
            SectionData::Symbol | SectionData::String => !keeps_symbol,
            _ => !section.is_alloc(),
        };
    }
    let mut stripped = Vec::new();
    builder
        .write(&mut stripped)
        .context("could not write the ELF file without its symbols")?;
    Ok(stripped)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};
    use std::thread::sleep;
    use std::time::Duration;

    use object::{Endianness, elf};

    use super::super::elf::{count_symbols, verify_deployable};
    use super::*;
    use crate::target::{Arch, Target};

    #[test]
    fn stripped_program_runs_and_is_smaller() {
        if Arch::host().is_none() {
            return;
        }
        let program = fs::read(std::env::current_exe().unwrap()).unwrap();
        let stripped = strip(&program).unwrap();
        assert!(stripped.len() < program.len() / 2, "{}", stripped.len());
        assert_eq!(count_symbols(&stripped).unwrap(), 1);
        assert!(strip(&program).unwrap() == stripped, "two runs differ");
        assert!(strip(&stripped).unwrap() == stripped, "nothing is left");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, stripped).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let mut listing = Command::new(path);
        listing.arg("--list").stdout(Stdio::null());
        // A process that another test forks has the file open for writing until its exec.
        let status = loop {
            match listing.status() {
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    sleep(Duration::from_millis(10));
                }
                status => break status.unwrap(),
            }
        };
        assert!(status.success());
    }

    #[test]
    fn program_for_either_processor_keeps_its_code_and_netlifys_symbol() {
        for (arch, machine) in [
            (Arch::X86_64, elf::EM_X86_64),
            (Arch::Arm64, elf::EM_AARCH64),
        ] {
            let program = program(machine, &[NETLIFY_SYMBOL, "main", "helper"]);
            assert_eq!(count_symbols(&program).unwrap(), 3);
            let stripped = strip(&program).unwrap();
            assert_eq!(count_symbols(&stripped).unwrap(), 1);
            verify_deployable(&stripped, Target::of(arch)).unwrap();
            let offset = CODE_OFFSET as usize;
            assert_eq!(&stripped[offset..offset + CODE.len()], CODE);
            let holds = |bytes: &[u8], text: &str| {
                let mut windows = bytes.windows(text.len());
                windows.any(|window| window == text.as_bytes())
            };
            assert!(holds(&program, COMMENT) && !holds(&stripped, COMMENT));
        }
    }

    #[test]
    fn program_without_netlifys_symbol_loses_its_symbol_table() {
        let stripped = strip(&program(elf::EM_AARCH64, &["main"])).unwrap();
        assert_eq!(count_symbols(&stripped).unwrap(), 0);
    }

    #[test]
    fn shell_script_is_refused() {
        let error = strip(b"#!/bin/sh\n").unwrap_err();
        assert!(error.to_string().contains("could not read"), "{error}");
    }

    /// Returns a static program with these symbols, some code and a comment.
    fn program(machine: elf::Machine, symbols: &[&str]) -> Vec<u8> {
        let mut builder = Builder::new(Endianness::Little, true);
        builder.header.e_type = elf::ET_EXEC;
        builder.header.e_machine = machine;
        builder.header.e_phoff = builder.file_header_size();

        let code = builder.sections.add();
        code.name = ".text".into();
        code.sh_type = elf::SHT_PROGBITS;
        code.sh_flags = elf::SHF_ALLOC | elf::SHF_EXECINSTR;
        code.sh_addralign = 16;
        code.sh_offset = CODE_OFFSET;
        code.sh_addr = 0x40_0000 + CODE_OFFSET;
        code.sh_size = CODE.len() as u64;
        code.data = SectionData::Data(CODE.into());
        let code = code.id();
        for (name, kind, data) in [
            (
                ".comment",
                elf::SHT_PROGBITS,
                SectionData::Data(COMMENT.as_bytes().into()),
            ),
            (".symtab", elf::SHT_SYMTAB, SectionData::Symbol),
            (".strtab", elf::SHT_STRTAB, SectionData::String),
            (".shstrtab", elf::SHT_STRTAB, SectionData::SectionString),
        ] {
            let section = builder.sections.add();
            section.name = name.into();
            section.sh_type = kind;
            section.sh_addralign = 1;
            section.data = data;
        }
        let segment = builder
            .segments
            .add_load_segment(elf::PF_R | elf::PF_X, 0x1000);
        segment.append_section_range(builder.sections.get(code));
        segment.sections.push(code);
        for name in symbols {
            let symbol = builder.symbols.add();
            symbol.name = (*name).into();
            symbol.section = Some(code);
            symbol.set_st_info(elf::STB_GLOBAL, elf::STT_FUNC);
        }
        let mut program = Vec::new();
        builder.write(&mut program).unwrap();
        program
    }

    const CODE: &[u8] = b"code of a function";
    const CODE_OFFSET: u64 = 0x1000;
    const COMMENT: &str = "made by a compiler";
}
