//! Finding the tensors and the configuration in what a checkpoint holds.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::arena::{Arena, Node, TensorRef, Value};
use crate::Error;

/// Names that training scripts put the network's tensors under, most specific first.
const WRAPPERS: [&str; 9] = [
    "best_state",
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "params",
    "weights",
];
/// Parts of names of entries that hold tensors of the training and none of the network.
const TRAINING: [&str; 6] = ["optim", "sched", "loops", "callback", "scaler", "rng"];
/// Dictionaries within dictionaries; beyond this it is no checkpoint but an attack.
const DEPTH: usize = 48;
/// What one entry may cost that is turned into JSON: [`COST`] a value, and its text.
const JSON_BUDGET: usize = 1 << 22;
/// What a walk over the file in search of tensors may cost: [`COST`] an entry, and its name. Entries may be shared, so
/// that few bytes could make a walk without end.
const WALK_BUDGET: usize = 1 << 28;
/// Cost of one value or entry.
const COST: usize = 64;

/// Tensors by name, in the order of the file.
pub(super) type Named<'r, 'a> = Vec<(String, &'r TensorRef<'a>)>;

/// The tensors of the network in `root`, and the names of the entries of `root` that they came from.
///
/// They are those of the first of [`WRAPPERS`] with tensors in it, else those of the file itself. A file of several state
/// dictionaries (a generator, an encoder, a quantizer) gives the tensors of all with the name of their part in front;
/// a single one of whatever name gives its tensors as they are.
pub(super) fn network<'r, 'a>(
    arena: &'r Arena<'a>,
    root: Value<'a>,
) -> Result<(Named<'r, 'a>, Vec<&'a str>), Error> {
    let entries = entries(arena, root);
    for wrapper in WRAPPERS {
        let found = entries.iter().rev().find(|(name, _)| *name == wrapper);
        if let Some(&(name, value)) = found {
            let tensors = nested(arena, value)?;
            if !tensors.is_empty() {
                return Ok((tensors, vec![name]));
            }
        }
    }
    let mut parts = Vec::new();
    let mut loose = false;
    for &(name, value) in &entries {
        let training = TRAINING
            .iter()
            .any(|part| name.to_lowercase().contains(part));
        match arena.node(value) {
            Some(Node::Tensor(_)) => loose = true,
            Some(Node::Dict(_) | Node::Object(_)) if !training => {
                let tensors = collect(arena, value)?;
                let empty = arena.dict(value).is_some_and(<[_]>::is_empty);
                if empty || !tensors.is_empty() {
                    parts.push((name, tensors));
                }
            }
            _ => {}
        }
    }
    // Without tensors, an empty dictionary may be anything.
    if parts.iter().all(|(_, tensors)| tensors.is_empty()) {
        parts.clear();
    }
    if loose || is_module(arena, root) {
        return Ok((strip(collect(arena, root)?), Vec::new()));
    }
    let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
    let single = parts.len() == 1;
    let mut all = Vec::new();
    for (part, tensors) in parts {
        let tensors = strip(tensors).into_iter();
        all.extend(tensors.map(|(name, tensor)| {
            let name = if single {
                name
            } else {
                format!("{part}.{name}")
            };
            (name, tensor)
        }));
    }
    Ok((all, names))
}

/// The network in the value of a wrapper, which may hold a wrapper itself (`best_state` with `model`).
fn nested<'r, 'a>(arena: &'r Arena<'a>, value: Value<'a>) -> Result<Named<'r, 'a>, Error> {
    let tensor = |value| matches!(arena.node(value), Some(Node::Tensor(_)));
    if !entries(arena, value).iter().any(|(_, v)| tensor(*v)) {
        for wrapper in WRAPPERS {
            if let Some(inner) = arena.entry(value, wrapper) {
                let tensors = collect(arena, inner)?;
                if !tensors.is_empty() {
                    return Ok(strip(tensors));
                }
            }
        }
    }
    Ok(strip(collect(arena, value)?))
}

/// Entries of a dictionary with text keys, or the attributes of an object.
fn entries<'a>(arena: &Arena<'a>, value: Value<'a>) -> Vec<(&'a str, Value<'a>)> {
    let pairs = match arena.node(value) {
        Some(Node::Dict(entries)) => entries,
        Some(Node::Object(_)) => attributes(arena, value).unwrap_or(&[]),
        _ => &[],
    };
    let named = pairs.iter().filter_map(|&(key, value)| match key {
        Value::Text(key) => Some((key, value)),
        _ => None,
    });
    named.collect()
}

/// The dictionary of attributes of an object; its state may be a pair of that and the slots.
fn attributes<'r, 'a>(
    arena: &'r Arena<'a>,
    value: Value<'a>,
) -> Option<&'r [(Value<'a>, Value<'a>)]> {
    let Some(Node::Object(object)) = arena.node(value) else {
        return None;
    };
    let state = object.state?;
    let pair = arena.sequence(state).unwrap_or(&[]);
    let dict = arena.dict(state);
    dict.or_else(|| pair.iter().find_map(|&part| arena.dict(part)))
}

/// Whether it is a pickled `torch.nn.Module`.
fn is_module(arena: &Arena<'_>, value: Value<'_>) -> bool {
    matches!(arena.node(value), Some(Node::Object(_)))
        && attributes(arena, value)
            .is_some_and(|a| a.iter().any(|(key, _)| *key == Value::Text("_parameters")))
}

/// All tensors in `value` and its dictionaries, with dots between the names.
fn collect<'r, 'a>(arena: &'r Arena<'a>, value: Value<'a>) -> Result<Named<'r, 'a>, Error> {
    let mut walk = Walk {
        arena,
        budget: WALK_BUDGET,
        tensors: Vec::new(),
    };
    walk.visit(value, "", DEPTH)?;
    Ok(walk.tensors)
}

struct Walk<'r, 'a> {
    arena: &'r Arena<'a>,
    budget: usize,
    tensors: Named<'r, 'a>,
}

impl<'a> Walk<'_, 'a> {
    fn visit(&mut self, value: Value<'a>, prefix: &str, depth: usize) -> Result<(), Error> {
        let limit = |what| Error::malformed(format!("checkpoint: {what}"));
        let deeper = depth.checked_sub(1);
        let deeper = deeper.ok_or_else(|| limit("dictionaries nested too deep"))?;
        let arena = self.arena;
        let module = is_module(arena, value);
        let pairs = match arena.node(value) {
            Some(Node::Dict(entries)) => entries,
            Some(Node::Object(_)) if module => attributes(arena, value).unwrap_or(&[]),
            _ => &[],
        };
        for &(key, value) in pairs {
            let Some(key) = name_of(key) else { continue };
            let cost = COST + prefix.len() + key.len();
            self.budget = self
                .budget
                .checked_sub(cost)
                .ok_or_else(|| limit("too many names"))?;
            let name = match (module, key.as_ref()) {
                // A module keeps its tensors and its parts in three dictionaries that are no part of their names.
                (true, "_parameters" | "_buffers" | "_modules") => prefix.to_owned(),
                (true, _) => continue,
                _ if prefix.is_empty() => key.into_owned(),
                _ => format!("{prefix}.{key}"),
            };
            match arena.node(value) {
                Some(Node::Tensor(tensor)) => self.tensors.push((name, tensor)),
                Some(Node::Dict(_) | Node::Object(_)) => self.visit(value, &name, deeper)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A key of a dictionary as part of a name.
fn name_of(key: Value<'_>) -> Option<Cow<'_, str>> {
    match key {
        Value::Text(key) => Some(key.into()),
        Value::Int(key) => Some(key.to_string().into()),
        _ => None,
    }
}

/// Takes away what `DataParallel` and `torch.compile` put in front of every name.
fn strip<'r, 'a>(mut tensors: Named<'r, 'a>) -> Named<'r, 'a> {
    for prefix in ["module.", "_orig_mod.", "module."] {
        let all = tensors.iter().all(|(name, _)| name.starts_with(prefix));
        if all {
            for (name, _) in &mut tensors {
                name.drain(..prefix.len());
            }
        }
    }
    tensors
}

/// Everything in `root` besides the entries `without` and those of the training, as JSON; tensors and what cannot be
/// expressed are null.
pub(super) fn settings<'a>(
    arena: &Arena<'a>,
    root: Value<'a>,
    without: &[&str],
) -> Map<String, Json> {
    if is_module(arena, root) {
        return Map::new();
    }
    let entries = entries(arena, root).into_iter().filter(|(name, value)| {
        let tensor = matches!(arena.node(*value), Some(Node::Tensor(_)));
        let training = TRAINING
            .iter()
            .any(|part| name.to_lowercase().contains(part));
        !tensor && !training && !without.contains(name)
    });
    let as_json = entries.filter_map(|(name, value)| {
        let mut budget = JSON_BUDGET;
        Some((name.to_owned(), json(arena, value, DEPTH, &mut budget)?))
    });
    as_json.collect()
}

/// Nothing if it is nested too deep or has too many values.
fn json<'a>(arena: &Arena<'a>, value: Value<'a>, depth: usize, budget: &mut usize) -> Option<Json> {
    let depth = depth.checked_sub(1)?;
    let text = match value {
        Value::Text(text) => text.len(),
        _ => 0,
    };
    *budget = budget.checked_sub(COST + text)?;
    Some(match value {
        Value::Bool(v) => v.into(),
        Value::Int(v) => v.into(),
        Value::Float(v) => v.into(),
        Value::Text(v) => v.into(),
        Value::None | Value::Long(_) | Value::Bytes(_) => Json::Null,
        Value::Global(module, name) => format!("{module}.{name}").into(),
        Value::Node(_) => match arena.node(value)? {
            Node::Tuple(items) | Node::List(items) => {
                let items = items.iter().map(|&item| json(arena, item, depth, budget));
                items.collect::<Option<Vec<_>>>()?.into()
            }
            Node::Dict(entries) => object(arena, entries, depth, budget)?,
            Node::Storage(_) | Node::Tensor(_) => Json::Null,
            Node::Object(instance) => {
                let attributes = attributes(arena, value).unwrap_or(&[]);
                // OmegaConf wraps dictionaries in `_content` and leaves in `_val`.
                let inner = attributes.iter().rev().find(|(key, _)| {
                    *key == Value::Text("_content") || *key == Value::Text("_val")
                });
                match inner {
                    Some(&(_, inner)) => json(arena, inner, depth, budget)?,
                    None if !attributes.is_empty() => object(arena, attributes, depth, budget)?,
                    None if !instance.items.is_empty() => {
                        object(arena, &instance.items, depth, budget)?
                    }
                    None => Json::Null,
                }
            }
        },
    })
}

fn object<'a>(
    arena: &Arena<'a>,
    entries: &[(Value<'a>, Value<'a>)],
    depth: usize,
    budget: &mut usize,
) -> Option<Json> {
    let mut object = Map::new();
    for &(key, value) in entries {
        let Some(key) = name_of(key) else { continue };
        *budget = budget.checked_sub(key.len())?;
        object.insert(key.into_owned(), json(arena, value, depth, budget)?);
    }
    Some(Json::Object(object))
}
