//! The value that an expression gives, as far as it decides whether another type takes it.

use crate::migrations::class::column_type::ColumnType;

/// A kind of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A constant: what its type takes of it is decided as the expression is set.
    Constant,
    Text,
    Truth,
    /// A number that `integer` has room for.
    Whole,
    /// Another number.
    Number,
    /// A date, or a point in time.
    Time,
    Json,
    /// A `tsvector`.
    Words,
    Array,
    Other,
}

/// A value of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) kind: Kind,
    /// Its type, where that is known.
    column_type: Option<ColumnType>,
}

impl Value {
    pub(super) fn of(kind: Kind) -> Self {
        Self {
            kind,
            column_type: None,
        }
    }

    /// A value of a type as a statement spells it, or as `format_type` prints it.
    pub(super) fn of_type(spelled: &str) -> Self {
        let column_type = ColumnType::parse(spelled);
        let kind = match column_type.name.as_str() {
            _ if spelled.trim_end().ends_with(']') => Kind::Array,
            "text" | "character varying" | "character" | "citext" | "name" => Kind::Text,
            "boolean" => Kind::Truth,
            "smallint" | "integer" => Kind::Whole,
            "bigint" | "numeric" | "real" | "double precision" => Kind::Number,
            "jsonb" => Kind::Json,
            "tsvector" => Kind::Words,
            name if name == "date" || name.starts_with("timestamp") => Kind::Time,
            _ => Kind::Other,
        };
        Self {
            kind,
            column_type: Some(column_type),
        }
    }

    /// A constant with the type that it is cast to.
    pub(super) fn constant_of(spelled: &str) -> Self {
        let of_type = Self::of_type(spelled);
        match of_type.kind {
            Kind::Array | Kind::Text | Kind::Json | Kind::Words => of_type,
            _ => Self {
                kind: Kind::Constant,
                ..of_type
            },
        }
    }

    /// Returns what all of several values are.
    pub(super) fn common(values: Vec<Self>) -> Self {
        let mut values = values
            .into_iter()
            .filter(|one| one.kind != Kind::Constant || one.column_type.is_some());
        let Some(first) = values.next() else {
            return Self::of(Kind::Constant);
        };
        values.fold(first, |one, other| match () {
            () if one == other => one,
            () if one.kind == other.kind => Self::of(one.kind),
            () => Self::of(Kind::Other),
        })
    }

    pub(super) fn may_be_array(&self) -> bool {
        match &self.column_type {
            Some(_) => self.kind == Kind::Array,
            None => matches!(self.kind, Kind::Array | Kind::Other),
        }
    }

    /// Returns whether the value is of one of these types.
    pub(super) fn is_of(&self, names: &[&str]) -> bool {
        let name = self.column_type.as_ref().map(|one| one.name.as_str());
        name.is_some_and(|name| names.contains(&name))
    }

    /// Returns whether a cast to a type fails for no value.
    pub(super) fn is_cast_to(&self, to: &ColumnType) -> bool {
        // Each value has a form as a text, and a cast cuts it to the length.
        matches!(to.name.as_str(), "text" | "character varying")
            || self.is_taken_by(to)
            || (self.kind == Kind::Truth && to.name == "integer")
    }

    /// Returns whether a column of a type takes each such value.
    pub(super) fn is_taken_by(&self, to: &ColumnType) -> bool {
        let is_unlimited = to.modifiers().is_empty();
        let name = to.name.as_str();
        if let Some(from) = &self.column_type
            && (from == to || from.widens_to(to))
        {
            return true;
        }
        match self.kind {
            Kind::Text => is_unlimited && matches!(name, "text" | "character varying" | "citext"),
            Kind::Truth => name == "boolean",
            Kind::Whole => {
                matches!(name, "bigint" | "real" | "double precision")
                    || (is_unlimited && name == "numeric")
                    || (name == "integer"
                        && self
                            .column_type
                            .as_ref()
                            .is_none_or(|of| of.name == "smallint"))
            }
            Kind::Number => {
                let is_of_number = self.is_of(&["bigint", "numeric"]) || self.column_type.is_none();
                is_of_number && is_unlimited && name == "numeric"
            }
            Kind::Time => {
                let is_date = self.is_of(&["date"]);
                name.starts_with("timestamp") || (name == "date" && !is_date)
            }
            Kind::Json => name == "jsonb",
            Kind::Words => name == "tsvector",
            Kind::Constant | Kind::Array | Kind::Other => false,
        }
    }
}
