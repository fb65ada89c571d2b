//! A reader of DER (X.690): one element after the other, each with a tag that is expected.

/// The elements of a text that are still to be read. What is not as expected is `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

/// One element.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) value: &'a [u8],
    /// The element with its tag and length.
    pub(super) whole: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Returns `Some` at the end.
    pub(super) fn end(self) -> Option<()> {
        self.is_empty().then_some(())
    }

    /// Reads the next element, whatever its tag, which has one byte.
    pub(super) fn element(&mut self) -> Option<Element<'a>> {
        let bytes = self.0;
        let (&tag, rest) = bytes.split_first()?;
        if tag & LONG_TAG == LONG_TAG {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // Lengths that are no shorter form's: so two texts are never one certificate.
            0x81 => {
                let (&length, rest) = rest.split_first()?;
                (
                    usize::from(Some(length).filter(|length| *length >= 0x80)?),
                    rest,
                )
            }
            0x82 => {
                let (length, rest) = rest.split_first_chunk()?;
                let length = u16::from_be_bytes(*length);
                (
                    usize::from(Some(length).filter(|length| *length >= 0x100)?),
                    rest,
                )
            }
            // 0x80 names no length, and no certificate is as long as 64 kB.
            0x80 | 0x83.. => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        let whole = &bytes[..bytes.len() - rest.len()];
        Some(Element { tag, value, whole })
    }

    /// Reads an element with this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.element().filter(|element| element.tag == tag)
    }

    /// Reads the value of an element with this tag.
    pub(super) fn value(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.expect(tag).map(|element| element.value)
    }

    /// Reads the elements in an element with this tag.
    pub(super) fn nested(&mut self, tag: u8) -> Option<Self> {
        self.value(tag).map(Self)
    }

    /// Reads the value of an element with this tag, if it is the next one.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        match self.0.first() {
            Some(next) if *next == tag => self.value(tag).map(Some),
            _ => Some(None),
        }
    }
}

/// The bits that announce a tag of several bytes.
const LONG_TAG: u8 = 0x1f;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// Returns the tag of a field with a number in its structure, which holds one value.
pub(super) const fn field(number: u8) -> u8 {
    0x80 | number
}

/// Returns the tag of a field with a number in its structure, which holds elements.
pub(super) const fn nested_field(number: u8) -> u8 {
    0xa0 | number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn element_has_the_shortest_length_and_is_whole() {
        let read = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            let element = reader.element()?;
            Some((element.value.len(), element.whole.len(), reader.0.len()))
        };
        let with = |head: &[u8], length: usize| [head, &vec![7; length]].concat();
        assert_eq!(read(&with(&[4, 0], 0)), Some((0, 2, 0)));
        assert_eq!(read(&with(&[4, 0x7f], 0x80)), Some((0x7f, 0x81, 1)));
        assert_eq!(read(&with(&[4, 0x81, 0x80], 0x80)), Some((0x80, 0x83, 0)));
        assert_eq!(
            read(&with(&[4, 0x82, 1, 0], 0x101)),
            Some((0x100, 0x104, 1))
        );
        for refused in [
            &[][..],
            &[4],
            &[4, 1],
            &[4, 0x80, 0, 0],
            &[4, 0x81, 0x7f],
            &[4, 0x82, 0, 0x80],
            &[4, 0x83, 0, 1, 0],
            &[4, 0xff],
            &[0x1f, 1, 0],
        ] {
            assert_eq!(read(&with(refused, 0)), None, "{refused:x?}");
        }
        assert_eq!(read(&with(&[4, 0x81, 0x7f], 0x7f)), None);
        assert_eq!(read(&with(&[4, 0x82, 0, 0xff], 0xff)), None);
        assert_eq!(read(&with(&[4, 0x81, 0xff], 0xfe)), None);
    }

    #[test]
    fn expected_and_optional_elements_are_those_of_their_tag() {
        let bytes = [INTEGER, 1, 5, field(1), 1, 6, SEQUENCE, 2, BOOLEAN, 0];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.optional(BOOLEAN), Some(None));
        assert_eq!(reader.value(INTEGER), Some(&[5][..]));
        assert_eq!(reader.optional(field(1)), Some(Some(&[6][..])));
        let mut nested = reader.nested(SEQUENCE).unwrap();
        assert_eq!(reader.end(), Some(()));
        assert_eq!(nested.end(), None);
        assert_eq!(nested.value(INTEGER), None);
    }
}
