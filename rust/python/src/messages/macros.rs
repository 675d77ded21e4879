//! What the lines of `generated.rs` become.

/// The class of an enum, and what its numbers are in Python.
macro_rules! choices {
    ($name:ident { $($number:literal => $text:literal,)+ }) => {
        impl $crate::messages::PyEnum for treering_actor::messages::$name {
            fn class() -> &'static $crate::messages::class::EnumClass {
                static CLASS: $crate::messages::class::EnumClass =
                    $crate::messages::class::EnumClass::new(
                        stringify!($name),
                        &[$(($number, $text)),+],
                        concat!("it is one of:" $(, " ", $text)+),
                    );
                &CLASS
            }
        }
    };
}

/// What a field is called in Python: as in the struct, unless that is a word of Rust's.
macro_rules! field_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $shown:literal) => {
        $shown
    };
}

/// The class of a message and its fields. A `state` has a version too, which stands in no field.
macro_rules! message {
    (state $name:ident { $($fields:tt)* }) => {
        message!(@ $name { $($fields)* } set_version);
    };
    ($name:ident { $($fields:tt)* }) => {
        message!(@ $name { $($fields)* });
    };
    (@ $name:ident { $($field:ident $(as $shown:literal)?: $kind:ty,)* } $($set_version:ident)?) => {
        impl $crate::messages::PyMessage for treering_actor::messages::$name {
            fn class() -> &'static $crate::messages::class::Class {
                static CLASS: $crate::messages::class::Class =
                    $crate::messages::class::Class::new(stringify!($name));
                &CLASS
            }

            fn fields_from(
                #[allow(unused_variables, reason = "there are messages without a field")]
                object: &pyo3::Bound<'_, pyo3::PyAny>,
                #[allow(unused_variables, reason = "there are messages without a field")]
                links: &mut Vec<treering_block::Cid>,
            ) -> $crate::error::Result<Self> {
                Ok(Self {
                    $($field: {
                        let name = pyo3::intern!(object.py(), field_name!($field $($shown)?));
                        <$kind as $crate::messages::field::Kind>::from_object(
                            &pyo3::types::PyAnyMethods::getattr(object, name)?,
                            concat!(stringify!($name), ".", field_name!($field $($shown)?)),
                            links,
                        )?
                    },)*
                })
            }

            fn fields_to(
                &self,
                #[allow(unused_variables, reason = "there are messages without a field")]
                object: &$crate::messages::class::Building<'_>,
                #[allow(unused_variables, reason = "there are messages without a field")]
                links: &[treering_block::Cid],
                #[allow(unused_variables, reason = "only a state has one")]
                version: u64,
            ) -> $crate::error::Result<()> {
                $({
                    let at = $crate::messages::field::At {
                        py: object.py(),
                        path: concat!(stringify!($name), ".", field_name!($field $($shown)?)),
                        links,
                    };
                    object.set(
                        pyo3::intern!(object.py(), field_name!($field $($shown)?)),
                        <$kind as $crate::messages::field::Kind>::object(&self.$field, at)?,
                    )?;
                })*
                $(object.$set_version(version)?;)?
                Ok(())
            }
        }
    };
}

/// From a name to the message: of the full name to read one, of the class to write one.
macro_rules! by_name {
    ($package:literal; $($name:ident,)+) => {
        /// The object of a message of that full name; None if it has no class. A state gets the version.
        pub fn object_of<'py>(
            py: pyo3::Python<'py>,
            name: &str,
            bytes: &[u8],
            links: &[treering_block::Cid],
            version: u64,
        ) -> $crate::error::Result<Option<$crate::messages::show::Shown<'py>>> {
            use $crate::messages::show::shown;
            match name {
                $(concat!($package, stringify!($name)) => {
                    shown::<treering_actor::messages::$name>(py, bytes, links, version).map(Some)
                })+
                _ => Ok(None),
            }
        }

        /// The message of an object whose class has that name; None if none has it.
        pub fn bytes_of(
            class: &str,
            object: &pyo3::Bound<'_, pyo3::PyAny>,
        ) -> $crate::error::Result<Option<$crate::messages::show::Written>> {
            use $crate::messages::show::written;
            match class {
                $(stringify!($name) => {
                    written::<treering_actor::messages::$name>(object).map(Some)
                })+
                _ => Ok(None),
            }
        }
    };
}
