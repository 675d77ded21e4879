//! The statements that every commit and every read of a block runs, prepared once per connection and found
//! by the address of their text: looking them up by their text took a tenth of a small commit's time.
//!
//! Never: a statement outlives its connection.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

use rusqlite::{Connection, Statement};

/// A connection with its statements.
pub(super) struct Prepared {
    /// Dropped before the connection: fields are dropped in their order.
    idle: RefCell<Vec<Idle>>,
    /// On the heap, so that it stays where the statements look for it when this struct is moved.
    conn: Box<Connection>,
}

/// A statement that nobody uses now. Its lifetime is that of `Prepared::conn`, which Rust can't name.
struct Idle {
    sql: &'static str,
    statement: Statement<'static>,
}

// SAFETY: a connection may move to another thread (`Connection` is `Send`, with statements of its own in its
// cache), and its statements with it. Nobody else holds one then: a statement in use borrows `Prepared`.
unsafe impl Send for Prepared {}

impl Prepared {
    pub(super) fn new(conn: Connection) -> Self {
        Self {
            idle: RefCell::default(),
            conn: Box::new(conn),
        }
    }

    /// Closes the connection; an error otherwise goes unseen.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        self.idle.borrow_mut().clear();
        self.conn.close().map_err(|(_, error)| error)
    }

    /// The statement for this text.
    pub(super) fn statement(&self, sql: &'static str) -> rusqlite::Result<Running<'_>> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.iter().position(|kept| std::ptr::eq(kept.sql, sql));
        let statement = match kept {
            // Shortens the lifetime to that of the borrow of `self`.
            Some(at) => idle.swap_remove(at).statement,
            None => self.conn.prepare(sql)?,
        };
        Ok(Running {
            statement: ManuallyDrop::new(statement),
            sql,
            home: self,
        })
    }
}

impl Deref for Prepared {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.conn
    }
}

/// A statement in use; it goes back to the idle ones.
pub(super) struct Running<'c> {
    statement: ManuallyDrop<Statement<'c>>,
    sql: &'static str,
    home: &'c Prepared,
}

impl<'c> Deref for Running<'c> {
    type Target = Statement<'c>;

    fn deref(&self) -> &Statement<'c> {
        &self.statement
    }
}

impl DerefMut for Running<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.statement
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // What was bound may be large.
        self.statement.clear_bindings();
        // SAFETY: `statement` is not used again: this is the drop of the only place that holds it.
        let statement = unsafe { ManuallyDrop::take(&mut self.statement) };
        // SAFETY: only the lifetime changes. The statement borrows the connection in the box that `home`
        // owns, which stays at its address until `home` is dropped; there `idle` goes first, and with it
        // the statement. It is handed out again for a borrow of `home` only.
        let statement =
            unsafe { std::mem::transmute::<Statement<'_>, Statement<'static>>(statement) };
        self.home.idle.borrow_mut().push(Idle {
            sql: self.sql,
            statement,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "SELECT ?1 + 1";

    #[test]
    fn a_statement_is_prepared_once_and_bindings_do_not_stay() {
        let prepared = Prepared::new(Connection::open_in_memory().unwrap());
        for n in 0..3_i64 {
            let answer: i64 = prepared
                .statement(ONE)
                .unwrap()
                .query_row([n], |row| row.get(0))
                .unwrap();
            assert_eq!(answer, n + 1);
            assert_eq!(prepared.idle.borrow().len(), 1);
        }
        let unbound: Option<i64> = prepared
            .statement(ONE)
            .unwrap()
            .raw_query()
            .next()
            .unwrap()
            .unwrap()
            .get(0)
            .unwrap();
        assert_eq!(unbound, None);
    }

    #[test]
    fn one_text_twice_at_a_time_is_two_statements_and_the_connection_moves() {
        let prepared = Prepared::new(Connection::open_in_memory().unwrap());
        let first = prepared.statement(ONE).unwrap();
        drop(prepared.statement(ONE).unwrap());
        drop(first);
        assert_eq!(prepared.idle.borrow().len(), 2);
        let moved = Box::new(prepared);
        let answer: i64 = moved
            .statement(ONE)
            .unwrap()
            .query_row([41], |row| row.get(0))
            .unwrap();
        assert_eq!(answer, 42);
    }
}
