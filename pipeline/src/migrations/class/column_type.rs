//! Types of columns, and the changes between them for which Postgres rewrites no row.

/// A type's name as the catalog prints it, with its modifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnType {
    pub(crate) name: String,
    modifiers: Vec<i64>,
}

/// The spellings that `format_type` prints otherwise.
const SPELLINGS: [(&str, &str); 18] = [
    ("int", "integer"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("int2", "smallint"),
    ("bool", "boolean"),
    ("varchar", "character varying"),
    ("char varying", "character varying"),
    ("char", "character"),
    ("bpchar", "character"),
    ("decimal", "numeric"),
    ("dec", "numeric"),
    ("float", "double precision"),
    ("float8", "double precision"),
    ("float4", "real"),
    ("varbit", "bit varying"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("time", "time without time zone"),
];

impl ColumnType {
    /// Reads a type as a statement spells it, or as `format_type` prints it.
    pub(crate) fn parse(spelled: &str) -> Self {
        let mut name = String::new();
        let mut modifiers = Vec::new();
        let mut rest = spelled.trim();
        if let Some((before, after)) = rest.split_once('(')
            && let Some((inner, after)) = after.split_once(')')
        {
            modifiers = inner
                .split(',')
                .filter_map(|one| one.trim().parse().ok())
                .collect();
            name.push_str(before);
            name.push(' ');
            rest = after;
        }
        name.push_str(rest);
        let words: Vec<String> = name
            .split_whitespace()
            .map(str::to_ascii_lowercase)
            .collect();
        let name = words.join(" ");
        let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
        let known = SPELLINGS.iter().find(|(spelling, _)| *spelling == name);
        let name = known.map_or(name, |(_, catalog)| catalog).to_owned();
        if name == "numeric" && modifiers.len() == 1 {
            modifiers.push(0);
        }
        if name == "character" && modifiers.is_empty() {
            modifiers.push(1);
        }
        Self { name, modifiers }
    }

    /// Returns whether the type fills each row with a number of its own.
    pub(crate) fn is_serial(&self) -> bool {
        matches!(
            self.name.as_str(),
            "serial" | "serial2" | "serial4" | "serial8" | "bigserial" | "smallserial"
        )
    }

    /// Returns whether values of the type are values of `to`, bit by bit, so that Postgres neither
    /// rewrites nor checks a row.
    pub(crate) fn widens_to(&self, to: &Self) -> bool {
        if self == to {
            return true;
        }
        let longer =
            to.modifiers.is_empty() || (self.has_modifier() && to.modifiers >= self.modifiers);
        match (self.name.as_str(), to.name.as_str()) {
            ("character varying", "text") => true,
            ("text", "character varying") => to.modifiers.is_empty(),
            ("character varying", "character varying") | ("bit varying", "bit varying") => longer,
            ("cidr", "inet") => true,
            ("numeric", "numeric") => {
                let same_scale = self.modifiers.get(1) == to.modifiers.get(1);
                to.modifiers.is_empty() || (self.has_modifier() && same_scale && longer)
            }
            (from, into) if from == into && is_of_time(from) => longer,
            _ => false,
        }
    }

    /// Returns the modifiers, such as precision and scale.
    pub(crate) fn modifiers(&self) -> &[i64] {
        &self.modifiers
    }

    /// Returns the length of a text, or the first of other modifiers.
    pub(crate) fn first_modifier(&self) -> Option<i64> {
        self.modifiers.first().copied()
    }

    fn has_modifier(&self) -> bool {
        !self.modifiers.is_empty()
    }
}

fn is_of_time(name: &str) -> bool {
    name.starts_with("timestamp ") || name.starts_with("time ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_of_type_is_free_where_values_stay() {
        for (from, to, is_free) in [
            ("character varying(100)", "varchar(200)", true),
            ("character varying(100)", "VARCHAR (100)", true),
            ("character varying(100)", "varchar(50)", false),
            ("character varying(100)", "varchar", true),
            ("character varying", "varchar(50)", false),
            ("character varying(100)", "text", true),
            ("text", "varchar", true),
            ("text", "varchar(10)", false),
            ("character(3)", "text", false),
            ("integer", "int4", true),
            ("integer", "bigint", false),
            ("integer", "int8", false),
            ("numeric(10,2)", "numeric(12, 2)", true),
            ("numeric(10,2)", "decimal", true),
            ("numeric(10,2)", "numeric(12,3)", false),
            ("numeric(10,2)", "numeric(8,2)", false),
            ("numeric(10,0)", "numeric(12)", true),
            ("numeric", "numeric(12,2)", false),
            ("timestamp(3) without time zone", "timestamp(6)", true),
            ("timestamp(3) without time zone", "timestamp", true),
            ("timestamp without time zone", "timestamptz", false),
            ("timestamp without time zone", "timestamp(3)", false),
            ("timestamp with time zone", "pg_catalog.timestamptz", true),
            ("cidr", "inet", true),
            ("bit varying(3)", "varbit(4)", true),
            ("json", "jsonb", false),
        ] {
            let (from_type, to_type) = (ColumnType::parse(from), ColumnType::parse(to));
            assert_eq!(
                from_type.widens_to(&to_type),
                is_free,
                "{from} to {to}: {from_type:?} {to_type:?}"
            );
        }
    }
}
