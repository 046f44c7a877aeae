//! The values of a pickle.
//!
//! They live in an arena and point to each other by index, so that neither deep nesting nor cycles can exhaust the stack
//! when they are dropped.

use crate::Error;

/// Values, memo entries and stack entries that one pickle may have; a checkpoint with 30 000 tensors has about a million.
const LIMIT: usize = 1 << 23;

/// A value: small ones in place, others in the arena.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// Little-endian two's complement that does not fit 64 bits.
    Long(&'a [u8]),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// A class or function by module and name.
    Global(&'a str, &'a str),
    Node(usize),
}

/// A value with contents.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    Tuple(Vec<Value<'a>>),
    /// Also sets.
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Storage(StorageRef<'a>),
    Tensor(TensorRef<'a>),
    /// An instance of a class that we do not know.
    Object(Object<'a>),
}

/// A storage by its key in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StorageRef<'a> {
    pub key: &'a str,
    /// Class of the storage, for instance `FloatStorage`.
    pub class: &'a str,
    /// Elements of the storage.
    pub elements: u64,
    /// First element of this view of the storage.
    pub start: u64,
}

/// A tensor: a view of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TensorRef<'a> {
    pub storage: StorageRef<'a>,
    /// Name of the element type if it is not that of the storage.
    pub dtype: Option<&'a str>,
    pub offset: u64,
    pub shape: Vec<u64>,
    pub stride: Vec<u64>,
}

/// What is known of an instance: how it was made and the state that it was given.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Object<'a> {
    pub state: Option<Value<'a>>,
    pub items: Vec<(Value<'a>, Value<'a>)>,
}

/// The values of one pickle.
#[derive(Debug, Default)]
pub(super) struct Arena<'a> {
    nodes: Vec<Node<'a>>,
    /// Entries of all containers together.
    entries: usize,
}

impl<'a> Arena<'a> {
    pub fn add(&mut self, node: Node<'a>) -> Result<Value<'a>, Error> {
        let entries = match &node {
            Node::Tuple(v) | Node::List(v) => v.len(),
            Node::Dict(v) => v.len(),
            _ => 0,
        };
        self.count(entries + 1)?;
        self.nodes.push(node);
        Ok(Value::Node(self.nodes.len() - 1))
    }

    pub fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        match value {
            Value::Node(at) => self.nodes.get(at),
            _ => None,
        }
    }

    pub fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    pub fn node_mut(&mut self, value: Value<'a>) -> Option<&mut Node<'a>> {
        match value {
            Value::Node(at) => self.nodes.get_mut(at),
            _ => None,
        }
    }

    /// Items of a tuple or list.
    pub fn sequence(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.node(value)? {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// Entries of a dictionary.
    pub fn dict(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.node(value)? {
            Node::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// Entry of a dictionary under a text key; the last one counts, as in Python.
    pub fn entry(&self, value: Value<'a>, key: &str) -> Option<Value<'a>> {
        let entries = self.dict(value)?.iter().rev();
        entries
            .filter(|(k, _)| *k == Value::Text(key))
            .map(|(_, v)| *v)
            .next()
    }

    /// Counts further entries of containers.
    pub fn count(&mut self, entries: usize) -> Result<(), Error> {
        self.entries += entries;
        bounded(self.entries)
    }
}

/// Refuses more than [`LIMIT`] of anything.
pub(super) fn bounded(count: usize) -> Result<(), Error> {
    if count > LIMIT {
        return Err(Error::LimitExceeded {
            what: "values in a pickle",
            limit: LIMIT as u64,
            actual: count as u64,
        });
    }
    Ok(())
}
