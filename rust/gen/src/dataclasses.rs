//! `treering/messages.py`: what users see of the messages.

use std::fmt::Write as _;

use crate::schema::{Enum, Field, Kind, Message, Result, Schema, Shape};

const HEAD: &str = r#""""The messages of the stores: what their reads answer, what their writes take, and what their history shows.

Plain dataclasses: frozen, with slots, keyword-only. They compare by their fields, hash and pickle, and know no
Protobuf, which is only how the store writes them down. A field in milliseconds, `created_at_ms`, has a property,
`created_at`, that is a `datetime` in UTC; a span of time, `younger_than_ms`, one that is a `timedelta`. Where a store
takes a member of an enum, it takes its value too: "explicit".

Written from the .proto files by `make gen`; edit those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from treering._core import Cid
from treering.secrets import NO_VALUES, Secret, checked_secret, checked_values
"#;

const MOMENT: &str = r#"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(at_ms: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=at_ms)
    except OverflowError:
        return (datetime.max if at_ms > 0 else datetime.min).replace(tzinfo=UTC)


def _span(ms: int | None) -> timedelta | None:
    try:
        return None if ms is None else timedelta(milliseconds=ms)
    except OverflowError:
        return timedelta.max

"#;

const VERSION: &str = r#"
    version: int = field(default=0, compare=False)
    """The version of the actor that this was read at; 0 where nothing was ever written. It makes no two unequal."""
"#;

/// Columns of text that fit beside four of indentation and two times three quotes.
const WIDTH: usize = 110;

/// The text of the module.
pub fn text(schema: &Schema) -> Result<String> {
    let shown: Vec<&Message> = schema.messages.iter().filter(|m| !m.is_internal).collect();
    let mut names: Vec<&str> = schema.enums.iter().map(|e| e.name.as_str()).collect();
    names.extend(shown.iter().map(|message| message.name.as_str()));
    names.sort_unstable();
    let mut text = String::from(HEAD);
    text.push_str("\n__all__ = [\n");
    for name in names {
        writeln!(text, "    \"{name}\",")?;
    }
    text.push_str("]\n");
    text.push_str(MOMENT);
    for described in &schema.enums {
        write_enum(&mut text, described)?;
    }
    for message in shown {
        write_class(&mut text, schema, message)?;
    }
    Ok(text)
}

fn write_enum(text: &mut String, described: &Enum) -> Result<()> {
    writeln!(text, "\nclass {}(StrEnum):", described.name)?;
    text.push_str(&docstring(&described.doc)?);
    text.push('\n');
    for value in &described.values {
        writeln!(text, "    {} = \"{}\"", value.member, value.text())?;
        text.push_str(&docstring(&value.doc)?);
    }
    text.push('\n');
    Ok(())
}

fn write_class(text: &mut String, schema: &Schema, message: &Message) -> Result<()> {
    writeln!(
        text,
        "\n@dataclass(frozen=True, slots=True, kw_only=True)\nclass {}:",
        message.name
    )?;
    text.push_str(&docstring(&message.doc)?);
    text.push('\n');
    for field in &message.fields {
        writeln!(text, "    {}: {}", field.name, annotation(schema, field)?)?;
        text.push_str(&docstring(&field.doc)?);
    }
    if message.is_state {
        text.push_str(VERSION.trim_start_matches('\n'));
    }
    write_checks(text, message)?;
    for field in &message.fields {
        if let Some(property) = &field.datetime {
            let name = &field.name;
            writeln!(
                text,
                "\n    @property\n    def {property}(self) -> datetime:\n        \"\"\"`{name}` as a `datetime` in UTC; \
                 the first or last that there is for a time beyond it.\"\"\"\n        return _moment(self.{name})"
            )?;
        }
        if let Some(property) = &field.timedelta {
            let name = &field.name;
            writeln!(
                text,
                "\n    @property\n    def {property}(self) -> timedelta | None:\n        \"\"\"`{name}` as a `timedelta`; \
                 the longest that there is for one beyond it.\"\"\"\n        return _span(self.{name})"
            )?;
        }
    }
    text.push('\n');
    Ok(())
}

/// A secret in clear does not get into an object.
fn write_checks(text: &mut String, message: &Message) -> Result<()> {
    let checked = message.fields.iter().filter_map(|field| match field.kind {
        Kind::Secret => Some((&field.name, "checked_secret")),
        Kind::Values => Some((&field.name, "checked_values")),
        _ => None,
    });
    for (at, (name, check)) in checked.enumerate() {
        if at == 0 {
            text.push_str("\n    def __post_init__(self) -> None:\n");
        }
        writeln!(
            text,
            "        object.__setattr__(self, \"{name}\", {check}(\"{name}\", self.{name}))"
        )?;
    }
    Ok(())
}

/// The type of a field, and its default: none for a message that is always there, so that nobody forgets it.
fn annotation(schema: &Schema, field: &Field) -> Result<String> {
    let (one, default) = match &field.kind {
        Kind::Text => ("str", Some(format!("\"{}\"", field.default))),
        Kind::Bool => {
            let default = if field.default == "true" {
                "True"
            } else {
                "False"
            };
            ("bool", Some(default.to_owned()))
        }
        Kind::Number(_) => ("int", Some("0".to_owned())),
        Kind::Enum(name) => (name.as_str(), Some(zero(schema, name)?)),
        Kind::Message(name) => (name.as_str(), None),
        Kind::Link => ("Cid", None),
        Kind::Secret => ("Secret", None),
        Kind::Values => ("Mapping[str, str | Secret]", Some("NO_VALUES".to_owned())),
    };
    Ok(match (field.shape, default) {
        (Shape::Repeated, _) => format!("tuple[{one}, ...] = ()"),
        (Shape::Optional, _) => format!("{one} | None = None"),
        (Shape::Plain, Some(default)) => format!("{one} = {default}"),
        (Shape::Plain, None) => one.to_owned(),
    })
}

/// The member of an enum that stands where nothing was written.
fn zero(schema: &Schema, name: &str) -> Result<String> {
    let described = schema.enums.iter().find(|described| described.name == name);
    let value =
        described.and_then(|described| described.values.iter().find(|value| value.number == 0));
    let value = value.ok_or_else(|| format!("{name}: no value is 0"))?;
    Ok(format!("{name}.{}", value.member))
}

/// A docstring, four columns in.
fn docstring(doc: &str) -> Result<String> {
    if doc.contains('\\') || doc.contains("\"\"\"") || doc.ends_with('"') {
        return Err(format!("a comment that can't be a docstring as it stands: {doc}").into());
    }
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in doc.split(' ') {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let end = if lines.is_empty() { "" } else { "\n    " };
    lines.push(line);
    Ok(format!("    \"\"\"{}{end}\"\"\"\n", lines.join("\n    ")))
}
