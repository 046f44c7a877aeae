//! What the known constructors of a checkpoint give. All others give an opaque object.

use super::arena::{Arena, Node, Object, StorageRef, TensorRef, Value};
use crate::Error;

fn bad(reason: impl std::fmt::Display) -> Error {
    Error::malformed(format!("checkpoint: {reason}"))
}

/// The instance that `class` called with the tuple `arguments` stands for.
pub(super) fn call<'a>(
    arena: &mut Arena<'a>,
    class: Value<'a>,
    arguments: Value<'a>,
) -> Result<Value<'a>, Error> {
    let Value::Global(module, name) = class else {
        return arena.add(Node::Object(Object::default()));
    };
    let items = arena
        .sequence(arguments)
        .ok_or_else(|| bad("arguments that are no tuple"))?;
    let first = items.first().copied();
    match (module, name) {
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => {
            let tensor = tensor(arena, items, None)?;
            arena.add(Node::Tensor(tensor))
        }
        ("torch._utils", "_rebuild_tensor_v3") => {
            let dtype = match items.get(6) {
                Some(Value::Global("torch", dtype)) => Some(*dtype),
                _ => return Err(bad("a tensor without an element type")),
            };
            let tensor = tensor(arena, items, dtype)?;
            arena.add(Node::Tensor(tensor))
        }
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
            first.ok_or_else(|| bad("a parameter without a tensor"))
        }
        // Function, class, arguments, state: a subclass of tensors, made by the function.
        ("torch._tensor", "_rebuild_from_type_v2") => match *items {
            [Value::Global("torch._utils", inner), _, inner_arguments, _]
                if inner.starts_with("_rebuild_tensor") =>
            {
                call(arena, Value::Global("torch._utils", inner), inner_arguments)
            }
            _ => arena.add(Node::Object(Object::default())),
        },
        ("collections", "OrderedDict") => {
            let pairs = first.and_then(|pairs| arena.sequence(pairs));
            let entries = pairs
                .unwrap_or(&[])
                .iter()
                .map(|&pair| match arena.sequence(pair) {
                    Some(&[key, value]) => Ok((key, value)),
                    _ => Err(bad("an ordered dictionary of no pairs")),
                });
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            arena.add(Node::Dict(entries))
        }
        ("collections", "defaultdict") => arena.add(Node::Dict(Vec::new())),
        ("torch", "Size")
        | ("builtins" | "__builtin__", "set" | "frozenset" | "list" | "tuple") => {
            let items = first.and_then(|items| arena.sequence(items));
            let items = items.unwrap_or(&[]).to_vec();
            arena.add(Node::List(items))
        }
        _ => arena.add(Node::Object(Object::default())),
    }
}

/// The storage of a persistent id: `("storage", class, key, location, elements)` and, in files before 1.6, a view of it.
pub(super) fn storage<'a>(arena: &mut Arena<'a>, id: Value<'a>) -> Result<Value<'a>, Error> {
    let items = arena.sequence(id).unwrap_or(&[]);
    // A class with its source code, in old files of whole modules.
    if let [Value::Text("module"), class, ..] = items {
        return Ok(*class);
    }
    let (Some(Value::Text("storage")), Some(Value::Global(_, class)), Some(Value::Text(key))) =
        (items.first(), items.get(1), items.get(2))
    else {
        return Err(bad("a reference that is no storage"));
    };
    let elements = items.get(4).copied().and_then(count);
    let start = match items.get(5) {
        None | Some(Value::None) => Some(0),
        Some(&view) => arena
            .sequence(view)
            .and_then(|view| view.get(1))
            .and_then(|&offset| count(offset)),
    };
    let (Some(elements), Some(start)) = (elements, start) else {
        return Err(bad(format!("storage {key} without a size")));
    };
    arena.add(Node::Storage(StorageRef {
        key,
        class,
        elements,
        start,
    }))
}

fn tensor<'a>(
    arena: &Arena<'a>,
    arguments: &[Value<'a>],
    dtype: Option<&'a str>,
) -> Result<TensorRef<'a>, Error> {
    let &[storage, offset, shape, stride, ..] = arguments else {
        return Err(bad("a tensor without shape and strides"));
    };
    let Some(&Node::Storage(storage)) = arena.node(storage) else {
        return Err(bad("a tensor without a storage"));
    };
    let counts = |value| -> Option<Vec<u64>> {
        let items = arena.sequence(value)?;
        items.iter().copied().map(count).collect()
    };
    match (count(offset), counts(shape), counts(stride)) {
        (Some(offset), Some(shape), Some(stride)) if shape.len() == stride.len() => Ok(TensorRef {
            storage,
            dtype,
            offset,
            shape,
            stride,
        }),
        _ => Err(bad("a tensor with a shape and strides that do not fit")),
    }
}

fn count(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Int(v) => u64::try_from(v).ok(),
        _ => None,
    }
}
