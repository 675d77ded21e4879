//! The `.proto` set, read into what the writers need.
//!
//! Promises: what no writer has a rule for (a map of anything but values, bytes, a floating-point number, a real oneof) ends
//! the run with the field's name, and so does a message, field or enum value without a comment.

use std::error::Error;
use std::fs;
use std::path::Path;

use protox::Compiler;
use protox::prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, FileDescriptor,
    Kind as ProtoKind, MessageDescriptor, Value,
};

/// What a function of this crate answers.
pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The package of all files.
pub const PACKAGE: &str = "treering.v1";

/// All enums and messages, in the order of the files' names, then of the files.
pub struct Schema {
    pub enums: Vec<Enum>,
    pub messages: Vec<Message>,
}

pub struct Enum {
    pub name: String,
    pub doc: String,
    pub values: Vec<EnumValue>,
}

pub struct EnumValue {
    /// Without the enum's name: `EXPLICIT`.
    pub member: String,
    pub number: i32,
    pub doc: String,
}

impl EnumValue {
    /// What it is in Python: `explicit`.
    pub fn text(&self) -> String {
        self.member.to_lowercase()
    }
}

pub struct Message {
    pub name: String,
    pub doc: String,
    pub is_state: bool,
    pub is_internal: bool,
    pub fields: Vec<Field>,
}

pub struct Field {
    pub name: String,
    pub doc: String,
    pub kind: Kind,
    pub shape: Shape,
    /// Of a text or a bool: what it is in Python where none is given.
    pub default: String,
    /// The name of its datetime property.
    pub datetime: Option<String>,
    /// The name of its timedelta property.
    pub timedelta: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Kind {
    Text,
    Bool,
    /// With its type in Rust.
    Number(&'static str),
    Enum(String),
    Message(String),
    Link,
    /// Where a secret is found.
    Secret,
    /// A whole map of texts, and of secrets in their place.
    Values,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A scalar that has a default, or a message that is always there.
    Plain,
    Optional,
    Repeated,
}

/// All files of `protos`, compiled.
pub fn compile(protos: &Path) -> Result<Compiler> {
    let mut files = Vec::new();
    let folder = protos.join(PACKAGE.replace('.', "/"));
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            files.push(path);
        }
    }
    // A folder lists its files in no order of its own.
    files.sort();
    let mut compiler = Compiler::new([protos])?;
    compiler.include_source_info(true);
    compiler.include_imports(false);
    compiler.open_files(files)?;
    Ok(compiler)
}

/// What those files say.
pub fn read(compiler: &Compiler) -> Result<Schema> {
    let pool = compiler.descriptor_pool();
    let mut schema = Schema {
        enums: Vec::new(),
        messages: Vec::new(),
    };
    let mut files: Vec<FileDescriptor> = pool
        .files()
        .filter(|file| file.package_name() == PACKAGE)
        .collect();
    files.sort_by(|a, b| a.name().cmp(b.name()));
    for file in files {
        for described in file.enums() {
            schema.enums.push(read_enum(&file, &described)?);
        }
        for described in file.messages() {
            let mut parts = described
                .child_messages()
                .filter(|part| !part.is_map_entry());
            if parts.next().is_some() || described.child_enums().len() > 0 {
                return Err(format!("{}: no rule for types in types", described.name()).into());
            }
            schema
                .messages
                .push(read_message(&pool, &file, &described)?);
        }
    }
    parts_are_public(&schema)?;
    Ok(schema)
}

/// A message that has a Python class is made of such that have one.
fn parts_are_public(schema: &Schema) -> Result<()> {
    for message in schema.messages.iter().filter(|m| !m.is_internal) {
        for field in &message.fields {
            if let Kind::Message(part) = &field.kind
                && schema
                    .messages
                    .iter()
                    .any(|m| m.is_internal && m.name == *part)
            {
                return Err(format!("{}.{}: {part} is internal", message.name, field.name).into());
            }
        }
    }
    Ok(())
}

fn read_enum(file: &FileDescriptor, described: &EnumDescriptor) -> Result<Enum> {
    let name = described.name();
    let prefix = format!("{}_", upper_snake(name));
    let mut values = Vec::new();
    for value in described.values() {
        let Some(member) = value.name().strip_prefix(&prefix) else {
            return Err(format!("{}: it begins with {prefix}", value.full_name()).into());
        };
        values.push(EnumValue {
            member: member.to_owned(),
            number: value.number(),
            doc: comment(file, value.path(), value.full_name())?,
        });
    }
    Ok(Enum {
        name: name.to_owned(),
        doc: comment(file, described.path(), described.full_name())?,
        values,
    })
}

fn read_message(
    pool: &DescriptorPool,
    file: &FileDescriptor,
    described: &MessageDescriptor,
) -> Result<Message> {
    let options = described.options();
    Ok(Message {
        name: described.name().to_owned(),
        doc: comment(file, described.path(), described.full_name())?,
        is_state: option(pool, &options, "state") == Some(Value::Bool(true)),
        is_internal: option(pool, &options, "internal") == Some(Value::Bool(true)),
        fields: described
            .fields()
            .map(|field| read_field(pool, file, &field))
            .collect::<Result<_>>()?,
    })
}

fn read_field(
    pool: &DescriptorPool,
    file: &FileDescriptor,
    described: &FieldDescriptor,
) -> Result<Field> {
    let name = described.name().to_owned();
    let of_it = |what: &str| format!("{}: {what}", described.full_name());
    let kind = match described.kind() {
        ProtoKind::String => Kind::Text,
        ProtoKind::Bool => Kind::Bool,
        ProtoKind::Int32 => Kind::Number("i32"),
        ProtoKind::Int64 => Kind::Number("i64"),
        ProtoKind::Uint32 => Kind::Number("u32"),
        ProtoKind::Uint64 => Kind::Number("u64"),
        ProtoKind::Enum(part) => Kind::Enum(part.name().to_owned()),
        ProtoKind::Message(entry) if described.is_map() => map_kind(&entry)
            .ok_or_else(|| of_it("no rule for a map of anything but string to TextOrSecret"))?,
        ProtoKind::Message(part) if part.name() == "Link" => Kind::Link,
        ProtoKind::Message(part) if part.name() == "Secret" => Kind::Secret,
        ProtoKind::Message(part) => Kind::Message(part.name().to_owned()),
        other => return Err(of_it(&format!("no rule for {other:?}")).into()),
    };
    let is_optional = described.field_descriptor_proto().proto3_optional();
    let shape = match described.cardinality() {
        // It is there, and has no entry.
        Cardinality::Repeated if described.is_map() => Shape::Plain,
        Cardinality::Repeated => Shape::Repeated,
        _ if is_optional => Shape::Optional,
        _ if described.containing_oneof().is_some() => {
            return Err(of_it("no rule for a oneof").into());
        }
        _ => Shape::Plain,
    };
    let options = described.options();
    let default = text_option(pool, &options, "default");
    let is_bool = |text: &str| text == "true" || text == "false";
    match (&default, &kind, shape) {
        (None, ..) | (Some(_), Kind::Text, Shape::Plain) => {}
        (Some(text), Kind::Bool, Shape::Plain) if is_bool(text) => {}
        _ => {
            let rule =
                "only a text, or a bool (true, false), that is always there can have a default";
            return Err(of_it(rule).into());
        }
    }
    if kind == Kind::Secret && shape != Shape::Optional {
        return Err(of_it("a secret is optional").into());
    }
    let datetime = text_option(pool, &options, "datetime").or_else(|| datetime_name(&name));
    if datetime.is_some() && (&kind, shape) != (&Kind::Number("i64"), Shape::Plain) {
        return Err(of_it("only an int64 that is always there can be a time").into());
    }
    let timedelta = text_option(pool, &options, "timedelta");
    if timedelta.is_some() && (&kind, shape) != (&Kind::Number("u64"), Shape::Optional) {
        return Err(of_it("only an optional uint64 can be a span of time").into());
    }
    Ok(Field {
        doc: comment(file, described.path(), described.full_name())?,
        name,
        kind,
        shape,
        default: default.unwrap_or_default(),
        datetime,
        timedelta,
    })
}

/// Of the entries of a map; None where there is no rule.
fn map_kind(entry: &MessageDescriptor) -> Option<Kind> {
    let key = entry.map_entry_key_field().kind();
    match entry.map_entry_value_field().kind() {
        ProtoKind::Message(part) if key == ProtoKind::String && part.name() == "TextOrSecret" => {
            Some(Kind::Values)
        }
        _ => None,
    }
}

/// `created_at` of `created_at_ms`.
fn datetime_name(field: &str) -> Option<String> {
    let name = field.strip_suffix("_ms")?;
    (name == "at" || name.ends_with("_at")).then(|| name.to_owned())
}

fn option(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<Value> {
    let extension = pool.get_extension_by_name(&format!("{PACKAGE}.{name}"))?;
    options
        .has_extension(&extension)
        .then(|| options.get_extension(&extension).into_owned())
}

fn text_option(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<String> {
    match option(pool, options, name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// The comment before what stands at `path`, on one line.
fn comment(file: &FileDescriptor, path: &[i32], name: &str) -> Result<String> {
    let source = file.file_descriptor_proto().source_code_info.as_ref();
    let text = source
        .and_then(|source| source.location.iter().find(|place| place.path == path))
        .map(|place| place.leading_comments())
        .unwrap_or_default();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return Err(format!("{name} has no comment").into());
    }
    Ok(line)
}

/// `MEMORY_SOURCE` of `MemorySource`.
fn upper_snake(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.chars().enumerate() {
        if at > 0 && letter.is_uppercase() {
            snake.push('_');
        }
        snake.extend(letter.to_uppercase());
    }
    snake
}
