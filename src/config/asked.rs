//! What the readers of the configuration ask for: every key of every table, with the values that it takes.
//!
//! The reference and the schemas are made from this, so that they cannot say anything else than what is read.

use std::collections::BTreeMap;
use std::time::Duration;

/// By table ("fetch", "source.select"; empty for the file itself).
pub type Asked = BTreeMap<String, AskedTable>;

/// The keys of one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AskedTable {
    /// By name.
    pub keys: BTreeMap<String, AskedKey>,
    /// People choose its keys.
    pub is_free: bool,
}

/// A key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AskedKey {
    /// The table cannot be used without it.
    pub required: bool,
    /// The values that it takes: one of these.
    pub shapes: Vec<Shape>,
}

/// What a value looks like.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A text.
    Text,
    /// An http or https address.
    Address,
    /// The path of a file or folder.
    Path,
    /// One of these words.
    Words(Vec<String>),
    /// A length of time with its unit, from and to.
    Duration(Duration, Duration),
    /// true or false.
    Boolean,
    /// A whole number, from and to.
    Integer(i64, i64),
    /// A number, from and to.
    Number(f64, f64),
    /// A list of texts.
    Texts,
    /// Regular expressions: one, or a list.
    Patterns,
    /// A table.
    Table,
    /// A list of tables.
    Tables,
}

impl AskedKey {
    /// Notes a shape; one that says less than another is left out.
    pub(super) fn add(&mut self, shape: Shape) {
        if self.shapes.contains(&shape) {
            return;
        }
        self.shapes.push(shape);
        let has = |wanted: fn(&Shape) -> bool| self.shapes.iter().any(wanted);
        let is_path_or_name = has(|shape| matches!(shape, Shape::Path | Shape::Address | Shape::Words(_)));
        let is_pattern = has(|shape| *shape == Shape::Patterns);
        self.shapes.retain(|shape| match shape {
            Shape::Text => !is_path_or_name && !is_pattern,
            Shape::Texts => !is_pattern,
            _ => true,
        });
    }
}
