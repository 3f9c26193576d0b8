//! One connection to the database, driven by its caller.
//!
//! The caller polls the connection itself, so every notice arrives before the answer that it belongs to. A notice tells
//! whether a commit counts: if the wait for a synchronous standby is cancelled, the commit succeeds on the primary, with
//! a WARNING. Statements are unnamed and have no session state, so that a pooler may give each transaction another
//! connection.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Connection, Row, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::DbAddress;
use crate::failure::DbFailure;
use crate::policy;

/// The socket of a connection that has TLS.
type DbTlsStream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// The parameters of a statement, each with its type.
pub(crate) type Params<'a> = [(&'a (dyn ToSql + Sync), Type)];

/// One connection. Used by one caller at a time.
pub(crate) struct Link {
    client: Client,
    socket: LinkSocket,
    /// Whether a statement has no answer yet. It stays set if the caller is gone before that.
    busy: bool,
    /// Bytes of its largest answer. Its buffers keep that size.
    largest: usize,
    /// The life of the database that it leads to. `None` if nobody counts lives.
    life: Option<LinkLife>,
}

/// The life of the database that a connection was made in.
pub(crate) struct LinkLife {
    /// The number of the newest life.
    pub(crate) newest: Arc<AtomicU64>,
    /// The number of the connection's.
    pub(crate) own: u64,
}

/// The side of a connection that reads and writes its socket.
struct LinkSocket {
    /// `None` once the connection cannot be used again. The requests that wait for it end then.
    connection: Option<Connection<Socket, DbTlsStream>>,
    /// The text of the last WARNING.
    warning: Option<String>,
}

impl Link {
    /// Connects.
    pub(crate) async fn connect(address: &DbAddress) -> Result<Self, DbFailure> {
        let connected = timeout(policy::CONNECT, address.config.connect(address.tls.clone())).await;
        let (client, connection) = connected
            .map_err(|_| {
                let seconds = policy::CONNECT.as_secs();
                DbFailure::refused(format!("the database has not taken a connection for {seconds} s"))
            })?
            .map_err(|error| DbFailure::of_unconnected(&error))?;
        Ok(Self {
            client,
            socket: LinkSocket { connection: Some(connection), warning: None },
            busy: false,
            largest: 0,
            life: None,
        })
    }

    /// The connection, as one of a life of the database.
    pub(crate) fn of(self, life: LinkLife) -> Self {
        Self { life: Some(life), ..self }
    }

    /// The connection, if it can take a statement. Notices an end that came while nobody used it. One of an earlier life of the database
    /// leads to an old primary, which may still answer.
    pub(crate) fn usable(mut self) -> Option<Self> {
        self.socket.drive(&mut Context::from_waker(std::task::Waker::noop()));
        let is_old = self.life.as_ref().is_some_and(|life| life.newest.load(Ordering::Acquire) != life.own);
        (!self.busy && !is_old && self.socket.connection.is_some()).then_some(self)
    }

    /// Whether its buffers have grown so much that another connection is cheaper.
    pub(crate) fn is_swollen(&self) -> bool {
        self.largest > policy::LARGE_ANSWER
    }

    /// Runs one statement in a transaction of its own. A WARNING makes the outcome unknown, and ends the connection.
    pub(crate) async fn write(
        &mut self,
        sql: &str,
        params: &Params<'_>,
        deadline: Duration,
    ) -> Result<Vec<Row>, DbFailure> {
        let rows = self.query(sql, params, deadline).await?;
        match self.socket.warning.take() {
            None => Ok(rows),
            Some(warning) => {
                self.socket.connection = None;
                Err(DbFailure::Unknown(format!("the database warned at the commit: {warning}")))
            }
        }
    }

    /// Runs one statement that changes nothing.
    pub(crate) async fn read(&mut self, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, DbFailure> {
        self.query(sql, params, policy::READ_DEADLINE).await
    }

    /// Does the same with time for a whole table.
    pub(crate) async fn read_much(&mut self, sql: &str, params: &Params<'_>) -> Result<Vec<Row>, DbFailure> {
        self.query(sql, params, policy::LONG_DEADLINE).await
    }

    /// Runs several statements without parameters, in one transaction if they do not end it.
    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), DbFailure> {
        self.busy = true;
        let answer = timeout(policy::LONG_DEADLINE, self.socket.driven(self.client.batch_execute(sql))).await;
        self.answered(answer, policy::LONG_DEADLINE)
    }

    async fn query(
        &mut self,
        sql: &str,
        params: &Params<'_>,
        deadline: Duration,
    ) -> Result<Vec<Row>, DbFailure> {
        let params: Vec<_> = params.iter().map(|(value, of)| (*value, of.clone())).collect();
        self.busy = true;
        let answer = timeout(deadline, self.socket.driven(self.client.query_typed(sql, &params))).await;
        let rows = self.answered(answer, deadline)?;
        self.largest = self.largest.max(rows.iter().map(Row::raw_size_bytes).sum());
        Ok(rows)
    }

    fn answered<T, E>(
        &mut self,
        answer: Result<Result<T, tokio_postgres::Error>, E>,
        deadline: Duration,
    ) -> Result<T, DbFailure> {
        self.busy = false;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let failure = DbFailure::of_sent(&error);
                if matches!(failure, DbFailure::Unknown(_)) {
                    self.socket.connection = None;
                }
                Err(failure)
            }
            Err(_elapsed) => {
                // Nobody cancels the statement: it may end in a commit.
                self.socket.connection = None;
                let seconds = deadline.as_secs();
                Err(DbFailure::Unknown(format!("the database has not answered for {seconds} s")))
            }
        }
    }
}

impl LinkSocket {
    /// Polls the connection, and then the answer, which so comes behind its notices.
    async fn driven<T>(&mut self, answer: impl Future<Output = T>) -> T {
        self.warning = None;
        let mut answer = pin!(answer);
        poll_fn(|context| {
            loop {
                self.drive(context);
                if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                    return Poll::Ready(answer);
                }
                // The first poll of the answer made the request, which is sent here.
                if !self.drive(context) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Polls the connection until it waits. Returns whether it brought a notice or its end.
    fn drive(&mut self, context: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        while let Some(connection) = &mut self.connection {
            match connection.poll_message(context) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(AsyncMessage::Notice(notice)))) => self.note(&notice),
                Poll::Ready(Some(Ok(_other))) => {}
                Poll::Ready(None | Some(Err(_))) => self.connection = None,
            }
            has_moved = true;
        }
        has_moved
    }

    fn note(&mut self, notice: &DbError) {
        if notice.parsed_severity() == Some(Severity::Warning) {
            tracing::warn!(message = notice.message(), "the database warns");
            self.warning = Some(notice.message().to_owned());
        }
    }
}
