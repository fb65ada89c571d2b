//! A server of the extended protocol in a few lines, and the driver's requests to it.

use std::collections::BTreeMap;

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use super::super::messages::{self, body, length, text};
use super::super::responses::Outdated;

/// Statements that begin a COPY from the client: as the SDK does not recognize it, and as it does.
pub(super) const COPIES: [&str; 2] = ["copied", "COPY copied FROM STDIN"];

/// A server. Its statements are the names of tables, and select all columns; there is none named
/// `missing`, and none of `broken` can be read.
pub(super) struct Server {
    /// True if statements may have names.
    has_names: bool,
    /// Number of columns of each table, and the type of all.
    tables: BTreeMap<Vec<u8>, (u16, u32)>,
    statements: BTreeMap<Vec<u8>, Statement>,
    portals: BTreeMap<Vec<u8>, Vec<u8>>,
    input: Vec<u8>,
    skips: bool,
    copies: bool,
}

#[derive(Clone)]
struct Statement {
    table: Vec<u8>,
    columns: (u16, u32),
    parameters: Vec<u8>,
}

impl Server {
    pub(super) fn new(has_names: bool) -> Self {
        let tables = [
            ("none", (0, 0)),
            ("one", (1, 25)),
            ("some", (3, 25)),
            ("broken", (2, 25)),
            (COPIES[0], (0, 0)),
            (COPIES[1], (0, 0)),
        ];
        Self {
            has_names,
            tables: tables.map(|(name, columns)| (name.into(), columns)).into(),
            statements: BTreeMap::new(),
            portals: BTreeMap::new(),
            input: Vec::new(),
            skips: false,
            copies: false,
        }
    }

    /// Gives a table other columns.
    pub(super) fn migrate(&mut self, table: &str, columns: (u16, u32)) {
        self.tables.insert(table.into(), columns);
    }

    /// Takes bytes, which may end within a message, and returns the response so far.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.input.extend_from_slice(bytes);
        let mut out = BytesMut::new();
        while self.input.len() >= 5 {
            let whole = length(&self.input).expect("a length");
            if self.input.len() < whole {
                break;
            }
            let message: Vec<u8> = self.input.drain(..whole).collect();
            self.answer(&message, &mut out);
        }
        out.to_vec()
    }

    fn answer(&mut self, message: &[u8], out: &mut BytesMut) {
        let tag = message[0];
        match tag {
            _ if self.copies && !matches!(tag, b'c' | b'f') => return,
            b'S' => {
                self.skips = false;
                return respond(out, b'Z', b"I");
            }
            b'd' | b'c' | b'f' if !self.copies => return,
            _ if self.skips => return,
            _ => {}
        }
        if let Err(code) = self.execute(tag, body(message), out) {
            if [EXECUTED, REFUSED].contains(&code) {
                let is_executed = code == EXECUTED;
                let outdated = Outdated { is_executed };
                outdated.write_error(out).expect("an error");
            } else {
                respond(out, b'E', format!("SERROR\0VERROR\0C{code}\0\0").as_bytes());
            }
            self.skips = true;
        }
    }

    fn execute(
        &mut self,
        tag: u8,
        mut body: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), &'static str> {
        let mut word = || text(&mut body).expect("a text").to_vec();
        match tag {
            b'P' => {
                let (name, table) = (word(), word());
                let columns = *self.tables.get(&table).ok_or("42P01")?;
                // A parameter without a type is a number.
                let parameters = if body == [0, 0] {
                    vec![0, 1, 0, 0, 0, 23]
                } else {
                    body.to_vec()
                };
                let statement = Statement {
                    table,
                    columns,
                    parameters,
                };
                self.name(&name);
                self.statements.insert(name, statement);
                respond(out, b'1', b"");
            }
            b'D' => {
                let name = word()[1..].to_vec();
                self.name(&name);
                let statement = self.statements.get(&name).ok_or("26000")?;
                respond(out, b't', &statement.parameters);
                match statement.columns {
                    (0, _) => respond(out, b'n', b""),
                    columns => respond(out, b'T', &description(columns)),
                }
            }
            b'B' => {
                let (portal, name) = (word(), word());
                self.name(&name);
                let statement = self.statements.get(&name).ok_or("26000")?;
                let now = self.tables[&statement.table];
                if self.has_names && statement.columns != now {
                    let is_refused = statement.columns.0 > 1 && statement.columns.0 != now.0;
                    let is_executed = portal.is_empty() && !is_refused;
                    return Err(if is_executed { EXECUTED } else { REFUSED });
                }
                // The parameters have no format and no value; the result has formats.
                let formats = &body[4..];
                let count = u16::from_be_bytes([formats[0], formats[1]]);
                assert_eq!(formats.len(), 2 + 2 * usize::from(count));
                if count > 1 && count != now.0 {
                    return Err("08P01");
                }
                self.portals.insert(portal, statement.table.clone());
                respond(out, b'2', b"");
            }
            b'E' => {
                let table = self.portals.get(&word()).ok_or("34000")?.clone();
                match &*table {
                    b"broken" => return Err("XX001"),
                    table if COPIES.iter().any(|text| text.as_bytes() == table) => {
                        self.copies = true;
                        respond(out, b'G', b"\0\0\0");
                        return Ok(());
                    }
                    _ => {}
                }
                respond(out, b'D', b"\0\0");
                respond(out, b'C', b"SELECT 1\0");
            }
            // Flush
            b'H' => {}
            b'c' => {
                self.copies = false;
                respond(out, b'C', b"COPY 1\0");
            }
            b'f' => {
                self.copies = false;
                return Err("57014");
            }
            b'C' => {
                let name = word();
                match name.split_first() {
                    Some((b'S', name)) => drop(self.statements.remove(name)),
                    _ => drop(self.portals.remove(&name[1..])),
                }
                respond(out, b'3', b"");
            }
            b'Q' => {
                self.statements.remove(&b""[..]);
                // A notice may come at any time.
                respond(out, b'N', b"SNOTICE\0\0");
                respond(out, b'T', &description((1, 25)));
                respond(out, b'C', b"SELECT 0\0");
                respond(out, b'Z', b"I");
            }
            _ => panic!("a message of the type {}", char::from(tag)),
        }
        Ok(())
    }

    fn name(&self, name: &[u8]) {
        assert!(self.has_names || name.is_empty(), "a statement has a name");
    }
}

/// Codes of a statement that is outdated: a pooler's server would have executed it, or not.
const EXECUTED: &str = "executed";
const REFUSED: &str = "refused";

fn respond(out: &mut BytesMut, tag: u8, body: &[u8]) {
    messages::write(out, tag, &[body]).expect("a message");
}

pub(super) fn description((count, oid): (u16, u32)) -> Vec<u8> {
    let mut body = count.to_be_bytes().to_vec();
    for _ in 0..count {
        body.extend_from_slice(b"column\0\0\0\0\0\0\0");
        body.extend_from_slice(&oid.to_be_bytes());
        body.extend_from_slice(&[0xff; 6]);
        body.extend_from_slice(&[0, 0]);
    }
    body
}

/// A message as the driver writes it.
pub(super) fn request(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    write(&mut bytes);
    bytes.to_vec()
}

pub(super) fn prepare(name: &str, table: &str) -> Vec<u8> {
    request(|out| {
        frontend::parse(name, table, [], out).expect("a Parse");
        frontend::describe(b'S', name, out).expect("a Describe");
        frontend::sync(out);
    })
}

pub(super) fn execute(name: &str) -> Vec<u8> {
    request(|out| {
        bind("", name, out);
        frontend::execute("", 0, out).expect("an Execute");
        frontend::sync(out);
    })
}

pub(super) fn bind_portal(portal: &str, name: &str) -> Vec<u8> {
    request(|out| {
        bind(portal, name, out);
        frontend::sync(out);
    })
}

pub(super) fn execute_portal(portal: &str) -> Vec<u8> {
    request(|out| {
        frontend::execute(portal, 1, out).expect("an Execute");
        frontend::sync(out);
    })
}

/// A Close of a statement (`S`) or portal (`P`).
pub(super) fn close(kind: u8, name: &str) -> Vec<u8> {
    request(|out| {
        frontend::close(kind, name, out).expect("a Close");
        frontend::sync(out);
    })
}

pub(super) fn query_typed(table: &str) -> Vec<u8> {
    request(|out| {
        frontend::parse("", table, [], out).expect("a Parse");
        bind("", "", out);
        frontend::describe(b'S', "", out).expect("a Describe");
        frontend::execute("", 0, out).expect("an Execute");
        frontend::sync(out);
    })
}

pub(super) fn simple_query(text: &str) -> Vec<u8> {
    request(|out| frontend::query(text, out).expect("a Query"))
}

/// The data of a COPY and its end.
pub(super) fn copy(succeeds: bool) -> Vec<u8> {
    request(|out| {
        out.extend_from_slice(b"d\0\0\0\x08data");
        if succeeds {
            frontend::copy_done(out);
        } else {
            frontend::copy_fail("", out).expect("a CopyFail");
        }
        frontend::sync(out);
    })
}

fn bind(portal: &str, name: &str, out: &mut BytesMut) {
    let none: [i16; 0] = [];
    let values: [(); 0] = [];
    let bound = frontend::bind(
        portal,
        name,
        none,
        values,
        |(), _| Ok(postgres_protocol::IsNull::Yes),
        Some(1),
        out,
    );
    assert!(bound.is_ok(), "a Bind");
}
