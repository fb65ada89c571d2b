//! The section of an ELF file that holds the list of migrations.
//!
//! It is added to the finished program: nothing is compiled again where only a migration changes, and
//! nothing of what is loaded moves. It is not loaded itself, so a start reads no byte of it. GNU strip
//! keeps it, as it keeps `.comment`.

use object::build::elf::{Builder, SectionData};
use object::read::elf::{ElfFile64, FileHeader as _, SectionHeader as _};
use object::{Endianness, elf};

/// The name of the section.
pub const NEEDS_SECTION: &str = ".stagelink.migrations";

/// Returns the content of the section; `None` where the program has none.
///
/// # Errors
///
/// The reason why the program, or the section, cannot be read.
pub(super) fn read_section(program: &[u8]) -> Result<Option<&[u8]>, String> {
    let file = ElfFile64::<Endianness>::parse(program)
        .map_err(|error| format!("it is not an ELF file of 64 bits ({error})"))?;
    let endian = file.endian();
    let sections = file
        .elf_header()
        .sections(endian, program)
        .map_err(|error| format!("its sections cannot be read ({error})"))?;
    let mut found = sections
        .iter()
        .filter(|section| sections.section_name(endian, section) == Ok(NEEDS_SECTION.as_bytes()));
    let Some(section) = found.next() else {
        return Ok(None);
    };
    if found.next().is_some() {
        return Err(format!("it has two sections {NEEDS_SECTION}"));
    }
    if section.sh_type(endian) != elf::SHT_PROGBITS
        || section.sh_flags(endian) != elf::SectionFlags(0)
    {
        return Err(format!("its section {NEEDS_SECTION} is of another kind"));
    }
    let content = section
        .data(endian, program)
        .map_err(|error| format!("its section {NEEDS_SECTION} cannot be read ({error})"))?;
    Ok(Some(content))
}

/// Returns the program with a section of this content, in the place of one that it has.
///
/// # Errors
///
/// The reason why the program cannot be written anew.
pub(super) fn write_section(program: &[u8], content: &[u8]) -> Result<Vec<u8>, String> {
    let mut builder =
        Builder::read(program).map_err(|error| format!("it cannot be read ({error})"))?;
    for section in &mut builder.sections {
        section.delete |= section.name.as_slice() == NEEDS_SECTION.as_bytes();
    }
    let section = builder.sections.add();
    section.name = NEEDS_SECTION.into();
    section.sh_type = elf::SHT_PROGBITS;
    section.sh_addralign = 1;
    section.data = SectionData::Data(content.into());
    let mut written = Vec::new();
    builder
        .write(&mut written)
        .map_err(|error| format!("it cannot be written ({error})"))?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn program_with_a_section_runs_and_keeps_it_when_it_is_stripped() {
        if !cfg!(all(target_os = "linux", target_pointer_width = "64")) {
            return;
        }
        let program = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(read_section(&program), Ok(None));
        let first = write_section(&program, b"one").unwrap();
        let second = write_section(&first, b"another").unwrap();
        assert_eq!(read_section(&second), Ok(Some(&b"another"[..])));
        assert!(write_section(&program, b"another").unwrap() == second);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        fs::write(&path, &second).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        if let Ok(status) = Command::new("strip").arg(&path).status() {
            assert!(status.success());
            let stripped = fs::read(&path).unwrap();
            assert_eq!(read_section(&stripped), Ok(Some(&b"another"[..])));
        }
        let mut listing = Command::new(path);
        listing.arg("--list").stdout(Stdio::null());
        assert!(listing.status().unwrap().success());
    }

    #[test]
    fn program_for_either_processor_has_a_section() {
        for machine in [elf::EM_X86_64, elf::EM_AARCH64] {
            let program = program(machine);
            assert_eq!(read_section(&program), Ok(None));
            let written = write_section(&program, b"content").unwrap();
            assert_eq!(read_section(&written), Ok(Some(&b"content"[..])));
            let code = CODE_OFFSET as usize;
            assert_eq!(&written[code..code + CODE.len()], CODE);
        }
    }

    #[test]
    fn files_of_other_kinds_are_refused() {
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", b"PK\x03\x04"] {
            let error = read_section(bytes).unwrap_err();
            assert!(error.contains("not an ELF file of 64 bits"), "{error}");
            assert!(write_section(bytes, b"content").is_err());
        }
        let twice = {
            let program = program(elf::EM_X86_64);
            let mut builder = Builder::read(&*program).unwrap();
            for _ in 0..2 {
                let section = builder.sections.add();
                section.name = NEEDS_SECTION.into();
                section.sh_type = elf::SHT_PROGBITS;
                section.sh_addralign = 1;
                section.data = SectionData::Data(b"{}"[..].into());
            }
            let mut written = Vec::new();
            builder.write(&mut written).unwrap();
            written
        };
        let error = read_section(&twice).unwrap_err();
        assert!(error.contains("two sections"), "{error}");
    }

    proptest! {
        /// Headers of the program are changed, so that offsets and sizes lead anywhere.
        #[test]
        fn no_change_of_a_byte_makes_the_reader_panic(at in 0_usize..2_000, byte: u8) {
            let mut program = write_section(&program(elf::EM_X86_64), b"content").unwrap();
            let end = program.len();
            let at = if at < 200 { at } else { end - (at % 800).min(end) - 1 };
            program[at] = byte;
            let _ = read_section(&program);
            let _ = read_section(&program[..at]);
        }
    }

    /// Returns a static program with some code.
    fn program(machine: elf::Machine) -> Vec<u8> {
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
        let names = builder.sections.add();
        names.name = ".shstrtab".into();
        names.sh_type = elf::SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
        let segment = builder
            .segments
            .add_load_segment(elf::PF_R | elf::PF_X, 0x1000);
        segment.append_section_range(builder.sections.get(code));
        segment.sections.push(code);
        let mut program = Vec::new();
        builder.write(&mut program).unwrap();
        program
    }

    const CODE: &[u8] = b"code of a function";
    const CODE_OFFSET: u64 = 0x1000;
}
