//! Parameters with their Postgres types, so that a statement takes one round trip.

use std::time::SystemTime;

use tokio_postgres::types::{ToSql, Type};

/// Makes the parameters of a statement with their types, for `query_typed`, `query_cached` and
/// the like: without the types the driver asks the server for them, one round trip more.
///
/// The Rust value determines the type, see [`SqlType`]. A statement that needs another type casts:
/// `$1::text::inet`, or `$1::int8::int4`.
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
        let none: [(&(dyn $crate::__private::ToSql + ::core::marker::Sync), $crate::__private::Type); 0] = [];
        none
    }};
    ($($value:expr),+ $(,)?) => {
        [$($crate::__private::parameter(&$value)),+]
    };
}

/// A Rust type with its Postgres type, for a parameter in [`params!`](crate::params).
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
/// With cargo features of the driver's names:
///
/// | feature | Rust | Postgres |
/// | --- | --- | --- |
/// | `with-uuid-1` | `uuid::Uuid` | `uuid` |
/// | `with-serde_json-1` | `serde_json::Value`, `tokio_postgres::types::Json<T>` | `jsonb` |
/// | `with-jiff-0_2` | `jiff::Timestamp` | `timestamptz` |
/// | | `jiff::civil::DateTime`, `Date`, `Time` | `timestamp`, `date`, `time` |
/// | `with-chrono-0_4` | `chrono::DateTime<Utc>`, `<Local>`, `<FixedOffset>` | `timestamptz` |
/// | | `chrono::NaiveDateTime`, `NaiveDate`, `NaiveTime` | `timestamp`, `date`, `time` |
///
/// A type of your own that implements [`ToSql`] needs two lines, and two more for `Vec`s of it:
///
/// ```
/// use bytes::BytesMut;
/// use stagelink::tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
/// use stagelink::{ArrayElement, SqlType, params};
///
/// /// An amount of money in cents, in a column of type `int8`.
/// #[derive(Debug)]
/// struct Cents(i64);
///
/// impl ToSql for Cents {
///     fn to_sql(
///         &self,
///         ty: &Type,
///         out: &mut BytesMut,
///     ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
///         self.0.to_sql(ty, out)
///     }
///
///     fn accepts(ty: &Type) -> bool {
///         <i64 as ToSql>::accepts(ty)
///     }
///
///     to_sql_checked!();
/// }
///
/// impl SqlType for Cents {
///     const TYPE: Type = Type::INT8;
/// }
///
/// impl ArrayElement for Cents {
///     const ARRAY: Type = Type::INT8_ARRAY;
/// }
///
/// let several = vec![Cents(1), Cents(2)];
/// let params = params![Cents(995), several, None::<Cents>];
/// assert_eq!(params[0].1, Type::INT8);
/// assert_eq!(params[1].1, Type::INT8_ARRAY);
/// assert_eq!(params[2].1, Type::INT8);
/// ```
pub trait SqlType: ToSql + Sync {
    /// The type in Postgres.
    const TYPE: Type;
}

/// A type whose arrays have a type in Postgres, so that a `Vec` of it is a parameter.
pub trait ArrayElement: SqlType {
    /// The type of the array.
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

#[cfg(feature = "with-uuid-1")]
sql_types! {
    uuid::Uuid: UUID, UUID_ARRAY;
}

#[cfg(feature = "with-serde_json-1")]
sql_types! {
    serde_json::Value: JSONB, JSONB_ARRAY;
}

#[cfg(feature = "with-serde_json-1")]
impl<T> SqlType for tokio_postgres::types::Json<T>
where
    T: serde::Serialize + std::fmt::Debug + Sync,
{
    const TYPE: Type = Type::JSONB;
}

#[cfg(feature = "with-serde_json-1")]
impl<T> ArrayElement for tokio_postgres::types::Json<T>
where
    T: serde::Serialize + std::fmt::Debug + Sync,
{
    const ARRAY: Type = Type::JSONB_ARRAY;
}

#[cfg(feature = "with-jiff-0_2")]
sql_types! {
    jiff::Timestamp: TIMESTAMPTZ, TIMESTAMPTZ_ARRAY;
    jiff::civil::DateTime: TIMESTAMP, TIMESTAMP_ARRAY;
    jiff::civil::Date: DATE, DATE_ARRAY;
    jiff::civil::Time: TIME, TIME_ARRAY;
}

#[cfg(feature = "with-chrono-0_4")]
sql_types! {
    chrono::DateTime<chrono::Utc>: TIMESTAMPTZ, TIMESTAMPTZ_ARRAY;
    chrono::DateTime<chrono::Local>: TIMESTAMPTZ, TIMESTAMPTZ_ARRAY;
    chrono::DateTime<chrono::FixedOffset>: TIMESTAMPTZ, TIMESTAMPTZ_ARRAY;
    chrono::NaiveDateTime: TIMESTAMP, TIMESTAMP_ARRAY;
    chrono::NaiveDate: DATE, DATE_ARRAY;
    chrono::NaiveTime: TIME, TIME_ARRAY;
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

/// Items that the expansion of [`params!`](crate::params) names.
#[doc(hidden)]
pub mod __private {
    use super::SqlType;

    pub use tokio_postgres::types::{ToSql, Type};

    pub fn parameter<T: SqlType>(value: &T) -> (&(dyn ToSql + Sync), Type) {
        (value, T::TYPE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parameters: &[(&(dyn ToSql + Sync), Type)]) {
        for (value, ty) in parameters {
            value
                .to_sql_checked(ty, &mut bytes::BytesMut::new())
                .unwrap_or_else(|error| panic!("{ty}: {error}"));
        }
    }

    #[cfg(feature = "with-uuid-1")]
    #[test]
    fn uuids_are_sent_as_uuid() {
        let id = uuid::Uuid::nil();
        check(&params![id, vec![id], Some(&id)]);
    }

    #[cfg(feature = "with-serde_json-1")]
    #[test]
    fn json_is_sent_as_jsonb() {
        let value = serde_json::json!({"a": 1});
        let typed = tokio_postgres::types::Json(vec![1, 2]);
        check(&params![value, vec![value.clone()], typed]);
    }

    #[cfg(feature = "with-jiff-0_2")]
    #[test]
    fn jiff_times_are_sent_as_their_types() {
        let now = jiff::Timestamp::UNIX_EPOCH;
        let civil = jiff::civil::date(2026, 11, 26).at(12, 0, 0, 0);
        check(&params![now, civil, civil.date(), civil.time()]);
        let (date, time) = (civil.date(), civil.time());
        check(&params![vec![now], vec![civil], vec![date], vec![time]]);
    }

    #[cfg(feature = "with-chrono-0_4")]
    #[test]
    fn chrono_times_are_sent_as_their_types() {
        let utc = chrono::DateTime::<chrono::Utc>::UNIX_EPOCH;
        let (local, fixed) = (utc.with_timezone(&chrono::Local), utc.fixed_offset());
        let naive = utc.naive_utc();
        check(&params![
            utc,
            local,
            fixed,
            naive,
            naive.date(),
            naive.time()
        ]);
        let (date, time) = (naive.date(), naive.time());
        check(&params![vec![utc], vec![naive], vec![date], vec![time]]);
    }

    #[test]
    fn each_value_is_sent_as_the_type_that_it_takes() {
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
