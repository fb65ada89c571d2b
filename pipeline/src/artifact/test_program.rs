//! A program for tests.

use object::build::elf::{Builder, SectionData};
use object::{Endianness, elf};

/// Returns the smallest program that a deploy takes: an ELF header for x86_64 without code.
pub(crate) fn smallest_program() -> Vec<u8> {
    let mut builder = Builder::new(Endianness::Little, true);
    builder.header.e_type = elf::ET_EXEC;
    builder.header.e_machine = elf::EM_X86_64;
    builder.header.e_phoff = builder.file_header_size();
    let names = builder.sections.add();
    names.name = ".shstrtab".into();
    names.sh_type = elf::SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut program = Vec::new();
    builder.write(&mut program).expect("an ELF file");
    program
}
