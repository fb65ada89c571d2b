//! Parameters with their types, so that a statement takes one round trip.

use std::time::SystemTime;

use tokio_postgres::types::{ToSql, Type};

/// The parameters of a statement with their types, for `query_typed`, `query_cached` and
/// their like: a server that is told the types need not be asked for them first, which
/// would be a round trip more.
///
/// The types are those of the Rust values, see [`SqlType`]. Where the statement needs
/// another one it casts: `$1::text::uuid`, or `$1::int8::int4`.
///
/// ```
/// use stagelink::params;
/// use tokio_postgres::types::Type;
///
/// let (name, limit) = (String::from("Ada"), 20_i64);
/// let params = params![name, limit];
/// assert_eq!(params[0].1, Type::TEXT);
/// assert_eq!(params[1].1, Type::INT8);
/// assert!(params![].is_empty());
/// ```
#[macro_export]
macro_rules! params {
    () => {{
        let none: [(&(dyn $crate::private::ToSql + ::core::marker::Sync), $crate::private::Type); 0] = [];
        none
    }};
    ($($value:expr),+ $(,)?) => {
        [$($crate::private::parameter(&$value)),+]
    };
}

/// A Rust type that has one Postgres type, which a parameter of it is sent as.
///
/// | Rust | Postgres |
/// | --- | --- |
/// | `bool` | `bool` |
/// | `i16`, `i32`, `i64` | `int2`, `int4`, `int8` |
/// | `f32`, `f64` | `float4`, `float8` |
/// | `&str`, `String` | `text` |
/// | `&[u8]`, `Vec<u8>` | `bytea` |
/// | [`SystemTime`] | `timestamptz` |
/// | `Vec<T>` of one of these but `u8` | the array |
/// | `Option<T>`, `&T` | as `T` |
///
/// It may be implemented for a type of one's own that implements [`ToSql`].
pub trait SqlType: ToSql + Sync {
    /// The type in Postgres.
    const TYPE: Type;
}

/// A type of which there are arrays in Postgres.
pub trait ArrayElement: SqlType {
    /// The type of these.
    const ARRAY: Type;
}

macro_rules! sql_types {
    ($($rust:ty: $own:ident, $array:ident;)+) => {
        $(
            impl SqlType for $rust {
                const TYPE: Type = Type::$own;
            }

            impl ArrayElement for $rust {
                const ARRAY: Type = Type::$array;
            }
        )+
    };
}

sql_types! {
    bool: BOOL, BOOL_ARRAY;
    i16: INT2, INT2_ARRAY;
    i32: INT4, INT4_ARRAY;
    i64: INT8, INT8_ARRAY;
    f32: FLOAT4, FLOAT4_ARRAY;
    f64: FLOAT8, FLOAT8_ARRAY;
    &str: TEXT, TEXT_ARRAY;
    String: TEXT, TEXT_ARRAY;
    &[u8]: BYTEA, BYTEA_ARRAY;
    Vec<u8>: BYTEA, BYTEA_ARRAY;
    SystemTime: TIMESTAMPTZ, TIMESTAMPTZ_ARRAY;
}

impl<T: ArrayElement> SqlType for Vec<T> {
    const TYPE: Type = T::ARRAY;
}

impl<T: SqlType> SqlType for Option<T> {
    const TYPE: Type = T::TYPE;
}

impl<T: SqlType> SqlType for &T {
    const TYPE: Type = T::TYPE;
}

/// What [`params!`](crate::params) stands on, and nobody else.
#[doc(hidden)]
pub mod private {
    use super::SqlType;

    pub use tokio_postgres::types::{ToSql, Type};

    pub fn parameter<T: SqlType>(value: &T) -> (&(dyn ToSql + Sync), Type) {
        (value, T::TYPE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_sent_as_the_type_that_it_takes() {
        let check = |parameters: &[(&(dyn ToSql + Sync), Type)]| {
            for (value, ty) in parameters {
                value
                    .to_sql_checked(ty, &mut bytes::BytesMut::new())
                    .unwrap_or_else(|error| panic!("{ty}: {error}"));
            }
        };
        let (text, bytes) = ("a", &b"b"[..]);
        check(&params![true, 1_i16, 2_i32, 3_i64, 0.5_f32, 0.5_f64]);
        check(&params![text, String::new(), bytes, vec![1_u8]]);
        check(&params![
            SystemTime::UNIX_EPOCH,
            vec!["a"],
            Some(vec![1_i64]),
            None::<i32>
        ]);
        check(&params![]);
    }
}
