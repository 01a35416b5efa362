//! SQL for tests: one database, and sessions in it.

use std::error::Error;
use std::fmt;

use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::RigError;

/// A database of a [`Postgres`](crate::Postgres).
#[derive(Clone)]
pub struct Database {
    port: u16,
    user: String,
    password: String,
    name: String,
}

impl Database {
    pub(crate) fn new(port: u16, user: &str, password: &str, name: String) -> Self {
        Self {
            port,
            user: user.into(),
            password: password.into(),
            name,
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address for `psql` and other clients, with the password.
    pub fn url(&self) -> String {
        let Self {
            port,
            user,
            password,
            name,
        } = self;
        format!("postgresql://{user}:{password}@127.0.0.1:{port}/{name}")
    }

    /// Opens a session. Must be called within a tokio runtime, on which the connection runs.
    ///
    /// # Errors
    ///
    /// [`RigError::Sql`] if the server or the database is not there.
    pub async fn session(&self) -> Result<Session, RigError> {
        let (client, connection) = Config::new()
            .host("127.0.0.1")
            .port(self.port)
            .user(&self.user)
            .password(&self.password)
            .dbname(&self.name)
            .connect(NoTls)
            .await
            .map_err(sql(format!("connect to database {}", self.name)))?;
        // It ends with the client. Its error reaches the client too, as that of the statement.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Session { client })
    }

    /// Runs statements in a session of their own. More than one are one transaction, unless they say otherwise.
    ///
    /// # Errors
    ///
    /// [`RigError::Sql`] with what the server said.
    pub async fn execute(&self, statements: &str) -> Result<(), RigError> {
        self.session().await?.execute(statements).await
    }

    /// Runs a query in a session of its own; returns its rows, each value as text or `None` for NULL.
    ///
    /// # Errors
    ///
    /// [`RigError::Sql`] with what the server said.
    pub async fn query(&self, query: &str) -> Result<Vec<Vec<Option<String>>>, RigError> {
        self.session().await?.query(query).await
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("port", &self.port)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A connection to a [`Database`]: what one `psql` is. Dropping it rolls back what is open.
pub struct Session {
    client: Client,
}

impl Session {
    /// Runs statements. More than one are one transaction, unless they say otherwise.
    ///
    /// # Errors
    ///
    /// [`RigError::Sql`] with what the server said.
    pub async fn execute(&self, statements: &str) -> Result<(), RigError> {
        self.client
            .batch_execute(statements)
            .await
            .map_err(sql(statements))
    }

    /// Runs a query; returns its rows, each value as text or `None` for NULL.
    ///
    /// # Errors
    ///
    /// [`RigError::Sql`] with what the server said.
    pub async fn query(&self, query: &str) -> Result<Vec<Vec<Option<String>>>, RigError> {
        let answer = self.client.simple_query(query).await.map_err(sql(query))?;
        let rows = answer.iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(
                (0..row.len())
                    .map(|column| row.get(column).map(str::to_owned))
                    .collect(),
            ),
            _ => None,
        });
        Ok(rows.collect())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// What the server says is in the source of the client's error, whose own text is only "db error".
fn sql(doing: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> RigError {
    let doing = doing.into();
    |error| RigError::Sql {
        doing,
        message: error
            .source()
            .map_or_else(|| error.to_string(), ToString::to_string),
    }
}
