// This file was generated with `clorinde`. Do not modify.

#[derive(Debug)]
pub struct AddEntryParams<T1: crate::StringSql, T2: crate::StringSql> {
    pub name: T1,
    pub message: T2,
}
#[derive(Debug)]
pub struct RenameAllParams<T1: crate::StringSql, T2: crate::StringSql> {
    pub new: T1,
    pub old: T2,
}
#[derive(Debug, Clone, PartialEq)]
pub struct EntriesOf {
    pub id: i64,
    pub name: String,
    pub message: String,
}
pub struct EntriesOfBorrowed<'a> {
    pub id: i64,
    pub name: &'a str,
    pub message: &'a str,
}
impl<'a> From<EntriesOfBorrowed<'a>> for EntriesOf {
    fn from(EntriesOfBorrowed { id, name, message }: EntriesOfBorrowed<'a>) -> Self {
        Self {
            id,
            name: name.into(),
            message: message.into(),
        }
    }
}
use crate::client::async_::GenericClient;
use futures::{self, StreamExt, TryStreamExt};
pub struct I64Query<'c, 'a, 's, C: GenericClient, T, const N: usize> {
    client: &'c C,
    params: [&'a (dyn postgres_types::ToSql + Sync); N],
    query: &'static str,
    cached: Option<&'s tokio_postgres::Statement>,
    extractor: fn(&tokio_postgres::Row) -> Result<i64, tokio_postgres::Error>,
    mapper: fn(i64) -> T,
}
impl<'c, 'a, 's, C, T: 'c, const N: usize> I64Query<'c, 'a, 's, C, T, N>
where
    C: GenericClient,
{
    pub fn map<R>(self, mapper: fn(i64) -> R) -> I64Query<'c, 'a, 's, C, R, N> {
        I64Query {
            client: self.client,
            params: self.params,
            query: self.query,
            cached: self.cached,
            extractor: self.extractor,
            mapper,
        }
    }
    pub async fn one(self) -> Result<T, tokio_postgres::Error> {
        let row =
            crate::client::async_::one(self.client, self.query, &self.params, self.cached).await?;
        Ok((self.mapper)((self.extractor)(&row)?))
    }
    pub async fn all(self) -> Result<Vec<T>, tokio_postgres::Error> {
        self.iter().await?.try_collect().await
    }
    pub async fn opt(self) -> Result<Option<T>, tokio_postgres::Error> {
        let opt_row =
            crate::client::async_::opt(self.client, self.query, &self.params, self.cached).await?;
        Ok(opt_row
            .map(|row| {
                let extracted = (self.extractor)(&row)?;
                Ok((self.mapper)(extracted))
            })
            .transpose()?)
    }
    pub async fn iter(
        self,
    ) -> Result<
        impl futures::Stream<Item = Result<T, tokio_postgres::Error>> + 'c,
        tokio_postgres::Error,
    > {
        let stream = crate::client::async_::raw(
            self.client,
            self.query,
            crate::slice_iter(&self.params),
            self.cached,
        )
        .await?;
        let mapped = stream
            .map(move |res| {
                res.and_then(|row| {
                    let extracted = (self.extractor)(&row)?;
                    Ok((self.mapper)(extracted))
                })
            })
            .into_stream();
        Ok(mapped)
    }
}
pub struct EntriesOfQuery<'c, 'a, 's, C: GenericClient, T, const N: usize> {
    client: &'c C,
    params: [&'a (dyn postgres_types::ToSql + Sync); N],
    query: &'static str,
    cached: Option<&'s tokio_postgres::Statement>,
    extractor: fn(&tokio_postgres::Row) -> Result<EntriesOfBorrowed, tokio_postgres::Error>,
    mapper: fn(EntriesOfBorrowed) -> T,
}
impl<'c, 'a, 's, C, T: 'c, const N: usize> EntriesOfQuery<'c, 'a, 's, C, T, N>
where
    C: GenericClient,
{
    pub fn map<R>(self, mapper: fn(EntriesOfBorrowed) -> R) -> EntriesOfQuery<'c, 'a, 's, C, R, N> {
        EntriesOfQuery {
            client: self.client,
            params: self.params,
            query: self.query,
            cached: self.cached,
            extractor: self.extractor,
            mapper,
        }
    }
    pub async fn one(self) -> Result<T, tokio_postgres::Error> {
        let row =
            crate::client::async_::one(self.client, self.query, &self.params, self.cached).await?;
        Ok((self.mapper)((self.extractor)(&row)?))
    }
    pub async fn all(self) -> Result<Vec<T>, tokio_postgres::Error> {
        self.iter().await?.try_collect().await
    }
    pub async fn opt(self) -> Result<Option<T>, tokio_postgres::Error> {
        let opt_row =
            crate::client::async_::opt(self.client, self.query, &self.params, self.cached).await?;
        Ok(opt_row
            .map(|row| {
                let extracted = (self.extractor)(&row)?;
                Ok((self.mapper)(extracted))
            })
            .transpose()?)
    }
    pub async fn iter(
        self,
    ) -> Result<
        impl futures::Stream<Item = Result<T, tokio_postgres::Error>> + 'c,
        tokio_postgres::Error,
    > {
        let stream = crate::client::async_::raw(
            self.client,
            self.query,
            crate::slice_iter(&self.params),
            self.cached,
        )
        .await?;
        let mapped = stream
            .map(move |res| {
                res.and_then(|row| {
                    let extracted = (self.extractor)(&row)?;
                    Ok((self.mapper)(extracted))
                })
            })
            .into_stream();
        Ok(mapped)
    }
}
pub struct AddEntryStmt(&'static str, Option<tokio_postgres::Statement>);
pub fn add_entry() -> AddEntryStmt {
    AddEntryStmt(
        "INSERT INTO guestbook (name, message) VALUES ($1, $2) RETURNING id",
        None,
    )
}
impl AddEntryStmt {
    pub async fn prepare<'a, C: GenericClient>(
        mut self,
        client: &'a C,
    ) -> Result<Self, tokio_postgres::Error> {
        self.1 = Some(client.prepare(self.0).await?);
        Ok(self)
    }
    pub fn bind<'c, 'a, 's, C: GenericClient, T1: crate::StringSql, T2: crate::StringSql>(
        &'s self,
        client: &'c C,
        name: &'a T1,
        message: &'a T2,
    ) -> I64Query<'c, 'a, 's, C, i64, 2> {
        I64Query {
            client,
            params: [name, message],
            query: self.0,
            cached: self.1.as_ref(),
            extractor: |row| Ok(row.try_get(0)?),
            mapper: |it| it,
        }
    }
}
impl<'c, 'a, 's, C: GenericClient, T1: crate::StringSql, T2: crate::StringSql>
    crate::client::async_::Params<
        'c,
        'a,
        's,
        AddEntryParams<T1, T2>,
        I64Query<'c, 'a, 's, C, i64, 2>,
        C,
    > for AddEntryStmt
{
    fn params(
        &'s self,
        client: &'c C,
        params: &'a AddEntryParams<T1, T2>,
    ) -> I64Query<'c, 'a, 's, C, i64, 2> {
        self.bind(client, &params.name, &params.message)
    }
}
pub struct EntriesOfStmt(&'static str, Option<tokio_postgres::Statement>);
pub fn entries_of() -> EntriesOfStmt {
    EntriesOfStmt(
        "SELECT id, name, message FROM guestbook WHERE name = $1 ORDER BY id",
        None,
    )
}
impl EntriesOfStmt {
    pub async fn prepare<'a, C: GenericClient>(
        mut self,
        client: &'a C,
    ) -> Result<Self, tokio_postgres::Error> {
        self.1 = Some(client.prepare(self.0).await?);
        Ok(self)
    }
    pub fn bind<'c, 'a, 's, C: GenericClient, T1: crate::StringSql>(
        &'s self,
        client: &'c C,
        name: &'a T1,
    ) -> EntriesOfQuery<'c, 'a, 's, C, EntriesOf, 1> {
        EntriesOfQuery {
            client,
            params: [name],
            query: self.0,
            cached: self.1.as_ref(),
            extractor:
                |row: &tokio_postgres::Row| -> Result<EntriesOfBorrowed, tokio_postgres::Error> {
                    Ok(EntriesOfBorrowed {
                        id: row.try_get(0)?,
                        name: row.try_get(1)?,
                        message: row.try_get(2)?,
                    })
                },
            mapper: |it| EntriesOf::from(it),
        }
    }
}
pub struct RenameAllStmt(&'static str, Option<tokio_postgres::Statement>);
pub fn rename_all() -> RenameAllStmt {
    RenameAllStmt("UPDATE guestbook SET name = $1 WHERE name = $2", None)
}
impl RenameAllStmt {
    pub async fn prepare<'a, C: GenericClient>(
        mut self,
        client: &'a C,
    ) -> Result<Self, tokio_postgres::Error> {
        self.1 = Some(client.prepare(self.0).await?);
        Ok(self)
    }
    pub async fn bind<'c, 'a, 's, C: GenericClient, T1: crate::StringSql, T2: crate::StringSql>(
        &'s self,
        client: &'c C,
        new: &'a T1,
        old: &'a T2,
    ) -> Result<u64, tokio_postgres::Error> {
        client.execute(self.0, &[new, old]).await
    }
}
impl<'a, C: GenericClient + Send + Sync, T1: crate::StringSql, T2: crate::StringSql>
    crate::client::async_::Params<
        'a,
        'a,
        'a,
        RenameAllParams<T1, T2>,
        std::pin::Pin<
            Box<dyn futures::Future<Output = Result<u64, tokio_postgres::Error>> + Send + 'a>,
        >,
        C,
    > for RenameAllStmt
{
    fn params(
        &'a self,
        client: &'a C,
        params: &'a RenameAllParams<T1, T2>,
    ) -> std::pin::Pin<
        Box<dyn futures::Future<Output = Result<u64, tokio_postgres::Error>> + Send + 'a>,
    > {
        Box::pin(self.bind(client, &params.new, &params.old))
    }
}
