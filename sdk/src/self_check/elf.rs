//! Finds a section of an ELF file by its name.
//!
//! It reads the few kilobytes that lead to the section, and not the program. Functions run on
//! processors that are little-endian and have 64 bits.

use std::io::{self, Read, Seek, SeekFrom};

/// Returns the content of a section that is not loaded; `None` where the file has none of that name.
///
/// # Errors
///
/// When it is no ELF file of 64 bits, or the section is longer than `longest`, is there twice or is
/// of another kind.
pub(super) fn read_section(
    file: &mut (impl Read + Seek),
    name: &str,
    longest: u64,
) -> io::Result<Option<Vec<u8>>> {
    let end = file.seek(SeekFrom::End(0))?;
    let header = read_at(file, end, 0, HEADER_BYTES)?;
    let sections = number(&header, 0x28, 8)?;
    if header.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(malformed("it is not a little-endian ELF file of 64 bits"));
    }
    let (size, count) = (number(&header, 0x3a, 2)?, number(&header, 0x3c, 2)?);
    let index_of_names = number(&header, 0x3e, 2)?;
    if sections == 0 {
        return Ok(None);
    }
    if size != SECTION_BYTES || count == 0 {
        return Err(malformed("its sections are of another form"));
    }
    let table = read_at(file, end, sections, size * count)?;
    let section = |index: u64| Section::of(&table, index);
    let names = section(index_of_names)?;
    if names.size > LONGEST_NAMES {
        return Err(malformed("its names of sections are too long"));
    }
    let names = read_at(file, end, names.offset, names.size)?;
    let mut found = None;
    for index in 0..count {
        let section = section(index)?;
        let of_section = usize::try_from(section.name).ok();
        let text = of_section.and_then(|at| names.get(at..));
        let text = text.and_then(|text| text.split(|byte| *byte == 0).next());
        if text != Some(name.as_bytes()) {
            continue;
        }
        if found.replace(section).is_some() {
            return Err(malformed("it has two sections of that name"));
        }
    }
    let Some(found) = found else {
        return Ok(None);
    };
    if found.kind != PROGBITS || found.flags != 0 {
        return Err(malformed("its section of that name is of another kind"));
    }
    if found.size > longest {
        return Err(malformed("its section of that name is too long"));
    }
    read_at(file, end, found.offset, found.size).map(Some)
}

/// An entry of the table of sections.
struct Section {
    /// The name's offset in the section of names.
    name: u64,
    kind: u64,
    flags: u64,
    offset: u64,
    size: u64,
}

impl Section {
    fn of(table: &[u8], index: u64) -> io::Result<Self> {
        let at = usize::try_from(index * SECTION_BYTES).ok();
        let entry = at.and_then(|at| table.get(at..));
        let entry = entry.ok_or_else(|| malformed("it names a section that it has not"))?;
        Ok(Self {
            name: number(entry, 0, 4)?,
            kind: number(entry, 4, 4)?,
            flags: number(entry, 8, 8)?,
            offset: number(entry, 0x18, 8)?,
            size: number(entry, 0x20, 8)?,
        })
    }
}

/// Reads a number of this many bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> io::Result<u64> {
    let bytes = bytes.get(at..at + width);
    let bytes = bytes.ok_or_else(|| malformed("it ends too early"))?;
    let number = bytes.iter().rev();
    Ok(number.fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Reads a part of a file. It allocates no more than the file has.
fn read_at(file: &mut (impl Read + Seek), end: u64, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    let behind = offset.checked_add(size).filter(|behind| *behind <= end);
    let size = behind.and_then(|_| usize::try_from(size).ok());
    let size = size.ok_or_else(|| malformed("it ends too early"))?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; size];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn malformed(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

const HEADER_BYTES: u64 = 0x40;

const SECTION_BYTES: u64 = 0x40;

/// `SHT_PROGBITS`: content that the program defines.
const PROGBITS: u64 = 1;

const LONGEST_NAMES: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    const NAME: &str = ".list";

    fn read(file: &[u8]) -> io::Result<Option<Vec<u8>>> {
        read_section(&mut Cursor::new(file), NAME, 100)
    }

    /// Makes a file with sections of these names, kinds, flags and contents.
    fn file(sections: &[(&str, u32, u64, &[u8])]) -> Vec<u8> {
        let mut names = vec![0_u8];
        let mut contents = vec![0; 0x40];
        let mut table = vec![0_u8; 0x40];
        let mut add = |name: usize, kind: u32, flags: u64, offset: usize, size: usize| {
            let mut entry = [0; 0x40];
            entry[..4].copy_from_slice(&u32::try_from(name).unwrap().to_le_bytes());
            entry[4..8].copy_from_slice(&kind.to_le_bytes());
            entry[8..16].copy_from_slice(&flags.to_le_bytes());
            entry[0x18..0x20].copy_from_slice(&(offset as u64).to_le_bytes());
            entry[0x20..0x28].copy_from_slice(&(size as u64).to_le_bytes());
            table.extend(entry);
        };
        for (name, kind, flags, content) in sections {
            add(names.len(), *kind, *flags, contents.len(), content.len());
            names.extend(name.bytes().chain([0]));
            contents.extend(*content);
        }
        add(names.len(), 3, 0, contents.len(), names.len() + 10);
        names.extend(b".shstrtab\0");
        contents.extend(names);
        let (offset, count) = (contents.len() as u64, sections.len() as u16 + 2);
        contents[..6].copy_from_slice(b"\x7fELF\x02\x01");
        contents[0x28..0x30].copy_from_slice(&offset.to_le_bytes());
        contents[0x3a..0x3c].copy_from_slice(&0x40_u16.to_le_bytes());
        contents[0x3c..0x3e].copy_from_slice(&count.to_le_bytes());
        contents[0x3e..0x40].copy_from_slice(&(count - 1).to_le_bytes());
        contents.extend(table);
        contents
    }

    fn with_list() -> Vec<u8> {
        file(&[
            (".text", 1, 6, b"code"),
            (NAME, 1, 0, b"content"),
            (".listing", 1, 0, b"other"),
        ])
    }

    #[test]
    fn section_is_found_by_its_whole_name() {
        assert_eq!(
            read(&with_list()).unwrap().as_deref(),
            Some(&b"content"[..])
        );
        for other in [".lis", ".listing", "list", ""] {
            assert_eq!(read(&file(&[(other, 1, 0, b"x")])).unwrap(), None);
        }
        assert_eq!(read(&file(&[])).unwrap(), None);
        let mut without = with_list();
        without[0x28..0x30].fill(0);
        assert_eq!(read(&without).unwrap(), None);
    }

    #[test]
    fn file_of_another_form_is_refused_with_the_reason() {
        let long = [0; 101];
        for (file, reason) in [
            (Vec::new(), "ends too early"),
            (b"#!/bin/sh\n".to_vec(), "ends too early"),
            (vec![b'x'; 200], "not a little-endian ELF"),
            (
                file(&[(NAME, 1, 0, b"1"), (NAME, 1, 0, b"2")]),
                "two sections",
            ),
            (file(&[(NAME, 8, 0, b"1")]), "another kind"),
            (file(&[(NAME, 1, 2, b"1")]), "another kind"),
            (file(&[(NAME, 1, 0, &long)]), "too long"),
            (with_list()[..300].to_vec(), "ends too early"),
        ] {
            let error = read(&file).unwrap_err().to_string();
            assert!(error.contains(reason), "{reason}: {error}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn running_program_has_sections() {
        let mut program = std::fs::File::open("/proc/self/exe").unwrap();
        let comment = read_section(&mut program, ".stagelink.none", 1 << 20);
        assert_eq!(comment.unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_change_of_bytes_makes_the_reader_panic(
            changes in prop::collection::vec((0_usize..700, any::<u8>()), 1..4),
            end in 0_usize..700,
        ) {
            let mut file = with_list();
            for (at, byte) in changes {
                if let Some(place) = file.get_mut(at) {
                    *place = byte;
                }
            }
            let _ = read(&file);
            let _ = read(&file[..end.min(file.len())]);
        }
    }
}
