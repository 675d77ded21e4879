//! `rust/python/src/messages/generated.rs`: between the structs and the classes.
//!
//! It is a table and no code: one line for each field, which says of what kind it is. What a kind is in Python stands
//! in `field.rs` there, what a line becomes in `macros.rs`.

use std::fmt::Write as _;

use crate::schema::{Enum, Field, Kind, Message, PACKAGE, Result, Schema, Shape};

const HEAD: &str = r"//! Which class each message has, and of what kind each of its fields is.
//!
//! Written by `make gen` from the .proto files; edit those, and what writes this in `rust/gen`.

use treering_actor::messages as proto;

use super::field::{
    Boxed, Choice, Flag, Linked, Number, Optional, Part, Present, Reference, Repeated, Text, Values,
};
";

/// Words that a field of a struct can only be called by with `r#`, as prost-build calls it.
const RESERVED: [&str; 6] = ["type", "ref", "match", "move", "use", "in"];

/// The text of the file.
pub fn text(schema: &Schema) -> Result<String> {
    let mut text = String::from(HEAD);
    let converted: Vec<&Message> = schema.messages.iter().filter(|m| !m.is_internal).collect();
    for described in &schema.enums {
        write_enum(&mut text, described)?;
    }
    for message in &converted {
        write_message(&mut text, message)?;
    }
    let names: Vec<&str> = converted
        .iter()
        .map(|message| message.name.as_str())
        .collect();
    writeln!(
        text,
        "\nby_name! {{\n    \"{PACKAGE}.\";\n    {},\n}}",
        names.join(",\n    ")
    )?;
    Ok(text)
}

fn write_enum(text: &mut String, described: &Enum) -> Result<()> {
    writeln!(text, "\nchoices! {{\n    {} {{", described.name)?;
    for value in &described.values {
        writeln!(text, "        {} => \"{}\",", value.number, value.text())?;
    }
    text.push_str("    }\n}\n");
    Ok(())
}

fn write_message(text: &mut String, message: &Message) -> Result<()> {
    let state = if message.is_state { "state " } else { "" };
    writeln!(text, "\nmessage! {{\n    {state}{} {{", message.name)?;
    for field in &message.fields {
        let name = &field.name;
        let ident = match RESERVED.contains(&name.as_str()) {
            true => format!("r#{name} as \"{name}\""),
            false => name.clone(),
        };
        writeln!(text, "        {ident}: {},", kind(field))?;
    }
    text.push_str("    }\n}\n");
    Ok(())
}

fn kind(field: &Field) -> String {
    let kind = match &field.kind {
        Kind::Text => "Text".to_owned(),
        Kind::Bool => "Flag".to_owned(),
        Kind::Number(number) => format!("Number<{number}>"),
        Kind::Link => "Linked".to_owned(),
        Kind::Secret => "Reference".to_owned(),
        Kind::Values => "Values".to_owned(),
        Kind::Enum(name) => format!("Choice<proto::{name}>"),
        Kind::Message(name) => format!("Part<proto::{name}>"),
    };
    match (field.shape, &field.kind) {
        (Shape::Repeated, _) => format!("Repeated<{kind}>"),
        (Shape::Optional, Kind::Message(_) | Kind::Secret) => format!("Optional<Boxed<{kind}>>"),
        (Shape::Optional, _) => format!("Optional<{kind}>"),
        (Shape::Plain, Kind::Message(_) | Kind::Link) => format!("Present<{kind}>"),
        (Shape::Plain, _) => kind,
    }
}
