//! The tables `receipt`, `hold` and `lease`.

use std::ops::{ControlFlow, Range};

use rusqlite::{OptionalExtension, Row, params};

use super::block_rows::{limit_sql, to_sql};
use super::row_check::{RowCheck, Table, corrupt, out_of_order};
use super::row_order::going_on;
use super::session::Session;
use crate::error::Result;
use crate::lease::{Identity, LeaseState};
use crate::name::RefName;
use crate::scope::lineage::{Receipt, Wanted};

fn receipt_check(key: &[u8], scope: &str, payload: &[u8], receipt: &[u8]) -> RowCheck {
    RowCheck::new(Table::Receipt)
        .bytes(key)
        .text(scope)
        .bytes(payload)
        .bytes(receipt)
}

fn hold_check(ordinal: i64, scope: &str, expires_at_ms: i64) -> RowCheck {
    RowCheck::new(Table::Hold)
        .int(ordinal)
        .text(scope)
        .int(expires_at_ms)
}

fn lease_check(name: &str, state: &LeaseState) -> RowCheck {
    RowCheck::new(Table::Lease)
        .text(name)
        .int(to_sql(state.token))
        .text(&state.owner)
        .text(&state.identity.boot_id)
        .int(state.identity.pid_namespace.cast_signed())
        .int(i64::from(state.identity.pid))
        .int(state.identity.start_time.cast_signed())
        .int(state.expires_at_ms)
        .int(i64::from(state.held))
}

/// A receipt as stored: key, and what was left.
pub(super) type ReceiptRow = ([u8; 32], Receipt);

/// The column `payload`: the digest, and the position of the commit (u64 little-endian). Earlier versions wrote the
/// digest alone, which is position 0.
pub(super) fn payload_column(payload: &[u8; 32], position: u64) -> Vec<u8> {
    match position {
        0 => payload.to_vec(),
        position => [payload.as_slice(), &position.to_le_bytes()].concat(),
    }
}

fn read_payload(column: &[u8]) -> Option<([u8; 32], u64)> {
    let (payload, position) = column.split_first_chunk::<32>()?;
    let position = match position {
        [] => 0,
        position => match u64::from_le_bytes(position.try_into().ok()?) {
            0 => return None,
            position => position,
        },
    };
    Some((*payload, position))
}

/// The key of the row of a scope that comes second under a receipt's key: the key, and BLAKE3 of the scope's name. A key
/// is made of a scope's name, so this is only where an import has brought that of another scope.
pub(super) fn second_key(key: &[u8; 32], scope: &str) -> Vec<u8> {
    [key.as_slice(), blake3::hash(scope.as_bytes()).as_bytes()].concat()
}

/// Behind all rows under a receipt's key.
pub(super) fn behind_key(key: &[u8; 32]) -> Vec<u8> {
    [key.as_slice(), &[0xff; 33]].concat()
}

/// The receipt's key of a row, if it is one of that scope.
fn key_of(stored: &[u8], scope: &str) -> Option<[u8; 32]> {
    let (key, rest) = stored.split_first_chunk::<32>()?;
    (rest.is_empty() || stored == second_key(key, scope)).then_some(*key)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads key, scope, payload, receipt, chk.
fn read_receipt(session: Session<'_>, row: &Row<'_>) -> Result<ReceiptRow> {
    let unread = |error| session.unread(error);
    let key: Vec<u8> = row.get(0).map_err(unread)?;
    let scope: String = row.get(1).map_err(unread)?;
    let payload: Vec<u8> = row.get(2).map_err(unread)?;
    let receipt: Vec<u8> = row.get(3).map_err(unread)?;
    let stored: Vec<u8> = row.get(4).map_err(unread)?;
    receipt_check(&key, &scope, &payload, &receipt).expect(&stored, hex(&key))?;
    match (key_of(&key, &scope), read_payload(&payload)) {
        (Some(key), Some((payload, position))) => Ok((
            key,
            Receipt {
                scope,
                payload,
                receipt,
                position,
            },
        )),
        _ => Err(corrupt(
            Table::Receipt,
            hex(&key),
            "a digest has not 32 bytes, or a position is none",
        )),
    }
}

/// Reads token, owner, boot_id, pid_namespace, pid, start_time, expires_at_ms, held, chk from column 1 on.
fn read_lease(session: Session<'_>, name: &str, row: &Row<'_>) -> Result<LeaseState> {
    let unread = |error| session.unread(error);
    let (token, pid): (i64, i64) = row
        .get(1)
        .and_then(|token| Ok((token, row.get(5)?)))
        .map_err(unread)?;
    let stored: Vec<u8> = row.get(9).map_err(unread)?;
    let broken = |detail: &str| corrupt(Table::Lease, name, detail);
    let state = LeaseState {
        token: u64::try_from(token).map_err(|_| broken("its token is negative"))?,
        owner: row.get(2).map_err(unread)?,
        identity: Identity {
            boot_id: row.get(3).map_err(unread)?,
            pid_namespace: row.get::<_, i64>(4).map_err(unread)?.cast_unsigned(),
            pid: u32::try_from(pid).map_err(|_| broken("its pid is no pid"))?,
            start_time: row.get::<_, i64>(6).map_err(unread)?.cast_unsigned(),
        },
        expires_at_ms: row.get(7).map_err(unread)?,
        held: row.get(8).map_err(unread)?,
    };
    lease_check(name, &state).expect(&stored, name)?;
    Ok(state)
}

/// Reads ordinal, scope, expires_at_ms, chk.
fn read_hold(session: Session<'_>, row: &Row<'_>) -> Result<(u64, String, i64)> {
    let unread = |error| session.unread(error);
    let ordinal: i64 = row.get(0).map_err(unread)?;
    let scope: String = row.get(1).map_err(unread)?;
    let expires_at_ms: i64 = row.get(2).map_err(unread)?;
    let stored: Vec<u8> = row.get(3).map_err(unread)?;
    let which = format!("{ordinal} of scope {scope}");
    hold_check(ordinal, &scope, expires_at_ms).expect(&stored, &which)?;
    let ordinal = u64::try_from(ordinal)
        .map_err(|_| corrupt(Table::Hold, &which, "its ordinal is negative"))?;
    Ok((ordinal, scope, expires_at_ms))
}

const LEASE_COLUMNS: &str = "SELECT name, token, owner, boot_id, pid_namespace, pid, start_time, expires_at_ms, held, chk FROM lease";

impl Session<'_> {
    /// The receipt that is meant.
    pub(super) fn receipt_row(self, wanted: Wanted<'_>) -> Result<Option<Receipt>> {
        let key = wanted.key();
        let mut statement = self.prepared(
            "SELECT key, scope, payload, receipt, chk FROM receipt WHERE key >= ?1 AND key < ?2",
        )?;
        let mut rows = statement
            .query(params![key, behind_key(&key)])
            .map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let (_, left) = read_receipt(self, row)?;
            if wanted.is_of(&left.scope, |scope| self.digest_of(scope))? {
                return Ok(Some(left));
            }
        }
        Ok(None)
    }

    /// Rows after `key` (None: from the first), in key order; each with its key as stored.
    pub(super) fn receipt_rows(
        self,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Result<ReceiptRow>)>> {
        let mut statement = self.prepared(
            "SELECT key, scope, payload, receipt, chk FROM receipt WHERE ?1 IS NULL OR key > ?1 ORDER BY key LIMIT ?2",
        )?;
        let mut rows = statement
            .query(params![after, limit_sql(limit)])
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let key: Vec<u8> = row.get(0).map_err(|error| self.unread(error))?;
            found.push((key, read_receipt(self, row)));
        }
        going_on(
            found,
            |(key, _)| after.is_none_or(|after| key.as_slice() > after),
            |(one, _), (other, _)| one.cmp(other),
            |(key, _)| out_of_order(Table::Receipt, hex(key)),
        )
    }

    /// Rows of a scope after `key` (None: from the first), in key order.
    pub(super) fn receipt_rows_of(
        self,
        scope: &str,
        after: Option<&[u8; 32]>,
        limit: usize,
    ) -> Result<Vec<ReceiptRow>> {
        let mut statement = self.prepared(
            "SELECT key, scope, payload, receipt, chk FROM receipt \
             WHERE scope = ?1 AND (?2 IS NULL OR key > ?2) ORDER BY key LIMIT ?3",
        )?;
        let mut rows = statement
            .query(params![scope, after.map(behind_key), limit_sql(limit)])
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            found.push(read_receipt(self, row)?);
        }
        Ok(found)
    }

    /// The scope has none under this key.
    pub(super) fn insert_receipt_row(self, key: &[u8; 32], left: &Receipt) -> Result<()> {
        let Receipt { scope, receipt, .. } = left;
        let payload = payload_column(&left.payload, left.position);
        let mut statement = self.prepared(
            "INSERT INTO receipt(key, scope, payload, receipt, chk) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?;
        let mut insert = |key: &[u8]| {
            let check = receipt_check(key, scope, &payload, receipt).finish();
            statement
                .execute(params![key, scope, payload, receipt, check])
                .map_err(|error| self.unwritten(error))
        };
        if insert(key)? == 0 && insert(&second_key(key, scope))? == 0 {
            return Err(corrupt(
                Table::Receipt,
                hex(key),
                "its scope has another one",
            ));
        }
        Ok(())
    }

    /// Holds until then at least. A broken row is overwritten only by a later time, never shortened.
    pub(super) fn write_hold_row(
        self,
        ordinal: u64,
        scope: &str,
        expires_at_ms: i64,
    ) -> Result<()> {
        let ordinal = to_sql(ordinal);
        self.prepared(
            "INSERT INTO hold(ordinal, scope, expires_at_ms, chk) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT(ordinal, scope) DO UPDATE SET expires_at_ms = ?3, chk = ?4 WHERE expires_at_ms < ?3",
        )?
        .execute(params![ordinal, scope, expires_at_ms, hold_check(ordinal, scope, expires_at_ms).finish()])
        .map(drop)
        .map_err(|error| self.unwritten(error))
    }

    /// Rows after (ordinal, scope): (ordinal, scope, expires_at_ms or what is wrong).
    pub(super) fn hold_rows(
        self,
        after: (u64, &str),
        limit: usize,
    ) -> Result<Vec<(u64, String, Result<i64>)>> {
        let mut statement = self.prepared(
            "SELECT ordinal, scope, expires_at_ms, chk FROM hold WHERE (ordinal, scope) > (?1, ?2)
             ORDER BY ordinal, scope LIMIT ?3",
        )?;
        let mut rows = statement
            .query(params![to_sql(after.0), after.1, limit_sql(limit)])
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let ordinal: i64 = row.get(0).map_err(|error| self.unread(error))?;
            let scope: String = row.get(1).map_err(|error| self.unread(error))?;
            let expires_at_ms: i64 = row.get(2).map_err(|error| self.unread(error))?;
            let stored: Vec<u8> = row.get(3).map_err(|error| self.unread(error))?;
            let which = format!("{ordinal} of scope {scope}");
            let checked = hold_check(ordinal, &scope, expires_at_ms)
                .expect(&stored, which)
                .map(|()| expires_at_ms);
            found.push((ordinal.cast_unsigned(), scope, checked));
        }
        going_on(
            found,
            |(ordinal, scope, _)| (*ordinal, scope.as_str()) > after,
            |one, other| (one.0, &one.1).cmp(&(other.0, &other.1)),
            |(ordinal, scope, _)| out_of_order(Table::Hold, format!("{ordinal} of scope {scope}")),
        )
    }

    /// Every hold on these ordinals until `visit` breaks off: ordinal, end. Errors: `Corrupt` for the first
    /// row that is broken.
    pub(super) fn each_hold(
        self,
        ordinals: Range<u64>,
        visit: &mut dyn FnMut(u64, i64) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut statement = self.prepared(
            "SELECT ordinal, scope, expires_at_ms, chk FROM hold WHERE ordinal >= ?1 AND ordinal < ?2
             ORDER BY ordinal, scope",
        )?;
        // From the very first: a negative ordinal is a broken row, to be reported and not passed over.
        let start = if ordinals.start == 0 {
            i64::MIN
        } else {
            to_sql(ordinals.start)
        };
        let mut rows = statement
            .query([start, to_sql(ordinals.end)])
            .map_err(|error| self.unread(error))?;
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let (ordinal, _, expires_at_ms) = read_hold(self, row)?;
            if visit(ordinal, expires_at_ms).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The smallest ordinal so that there are at most `count` holds from there up to `below`. O(count).
    pub(super) fn hold_floor(self, below: u64, count: usize) -> Result<u64> {
        let found: Option<i64> = self
            .prepared(
                "SELECT ordinal FROM hold WHERE ordinal < ?1 ORDER BY ordinal DESC LIMIT 1 OFFSET ?2",
            )?
            .query_row([to_sql(below), limit_sql(count)], |row| row.get(0))
            .optional()
            .map_err(|error| self.unread(error))?;
        Ok(found.map_or(0, |ordinal| ordinal.cast_unsigned().saturating_add(1)))
    }

    /// Holds that ended then or before. Their checks are not read: it is an estimate that asks.
    pub(super) fn count_ended_holds(self, now_ms: i64) -> Result<u64> {
        self.prepared("SELECT count(*) FROM hold WHERE expires_at_ms <= ?1")?
            .query_row([now_ms], |row| row.get::<_, i64>(0))
            .map(i64::cast_unsigned)
            .map_err(|error| self.unread(error))
    }

    /// A scope's holds after that ordinal: ordinal, end.
    pub(super) fn holds_of(self, of: &str, after: u64, limit: usize) -> Result<Vec<(u64, i64)>> {
        let mut statement = self.prepared(
            "SELECT ordinal, scope, expires_at_ms, chk FROM hold WHERE ordinal > ?1 AND scope = ?2
             ORDER BY ordinal LIMIT ?3",
        )?;
        let mut rows = statement
            .query(params![to_sql(after), of, limit_sql(limit)])
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let (ordinal, _, expires_at_ms) = read_hold(self, row)?;
            found.push((ordinal, expires_at_ms));
        }
        going_on(
            found,
            |(ordinal, _)| *ordinal > after,
            |(one, _), (other, _)| one.cmp(other),
            |(ordinal, _)| out_of_order(Table::Hold, format!("{ordinal} of scope {of}")),
        )
    }

    /// When the scope's hold on that ordinal ends; None for no hold.
    pub(super) fn hold_end(self, ordinal: u64, scope: &str) -> Result<Option<i64>> {
        let mut statement = self.prepared(
            "SELECT ordinal, scope, expires_at_ms, chk FROM hold WHERE ordinal = ?1 AND scope = ?2",
        )?;
        let mut rows = statement
            .query(params![to_sql(ordinal), scope])
            .map_err(|error| self.unread(error))?;
        match rows.next().map_err(|error| self.unread(error))? {
            Some(row) => read_hold(self, row).map(|(_, _, end)| Some(end)),
            None => Ok(None),
        }
    }

    /// True: there was one.
    pub(super) fn delete_hold(self, ordinal: u64, scope: &str) -> Result<bool> {
        self.prepared("DELETE FROM hold WHERE ordinal = ?1 AND scope = ?2")?
            .execute(params![to_sql(ordinal), scope])
            .map(|deleted| deleted > 0)
            .map_err(|error| self.unwritten(error))
    }

    /// Removes holds on these ordinals that ended then or before.
    pub(super) fn delete_ended_holds(self, ordinals: Range<u64>, until_ms: i64) -> Result<()> {
        self.prepared(
            "DELETE FROM hold WHERE ordinal >= ?1 AND ordinal < ?2 AND expires_at_ms <= ?3",
        )?
        .execute(params![
            to_sql(ordinals.start),
            to_sql(ordinals.end),
            until_ms
        ])
        .map(drop)
        .map_err(|error| self.unwritten(error))
    }

    pub(super) fn lease_row(self, name: &RefName) -> Result<Option<LeaseState>> {
        let mut statement = self.prepared(&format!("{LEASE_COLUMNS} WHERE name = ?1"))?;
        let mut rows = statement
            .query([name.encoded()])
            .map_err(|error| self.unread(error))?;
        match rows.next().map_err(|error| self.unread(error))? {
            Some(row) => read_lease(self, name.encoded(), row).map(Some),
            None => Ok(None),
        }
    }

    /// Rows after `name`, in name order; each with its name as stored.
    pub(super) fn lease_rows(
        self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<(String, Result<LeaseState>)>> {
        let mut statement = self.prepared(&format!(
            "{LEASE_COLUMNS} WHERE name > ?1 ORDER BY name LIMIT ?2"
        ))?;
        let mut rows = statement
            .query(params![after, limit_sql(limit)])
            .map_err(|error| self.unread(error))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|error| self.unread(error))? {
            let name: String = row.get(0).map_err(|error| self.unread(error))?;
            let state = read_lease(self, &name, row);
            found.push((name, state));
        }
        going_on(
            found,
            |(name, _)| name.as_str() > after,
            |(one, _), (other, _)| one.cmp(other),
            |(name, _)| out_of_order(Table::Lease, name),
        )
    }

    pub(super) fn write_lease_row(self, name: &RefName, state: &LeaseState) -> Result<()> {
        let name = name.encoded();
        self.prepared(
            "INSERT OR REPLACE INTO lease(name, token, owner, boot_id, pid_namespace, pid, start_time, expires_at_ms, held, chk)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            name,
            to_sql(state.token),
            state.owner,
            state.identity.boot_id,
            state.identity.pid_namespace.cast_signed(),
            i64::from(state.identity.pid),
            state.identity.start_time.cast_signed(),
            state.expires_at_ms,
            state.held,
            lease_check(name, state).finish()
        ])
        .map(drop)
        .map_err(|error| self.unwritten(error))
    }
}
