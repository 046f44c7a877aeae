//! A pickle machine that builds data and never runs anything.
//!
//! It knows the instructions of protocols 2 to 5 (PEP 307, PEP 3154, PEP 574) that `torch.save` emits. What
//! constructors make of their arguments is decided in [`super::constructors`].

use std::collections::HashMap;

use super::arena::{Arena, Node, Value, bounded};
use super::constructors;
use crate::Error;

fn bad(reason: &str) -> Error {
    Error::malformed(format!("pickle: {reason}"))
}

/// Reads the pickle at the start of `bytes` into `arena`; also returns how many bytes it takes.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    arena: &mut Arena<'a>,
) -> Result<(Value<'a>, usize), Error> {
    let mut machine = Machine {
        bytes,
        at: 0,
        arena,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let value = machine.run()?;
    Ok((value, machine.at))
}

struct Machine<'a, 'r> {
    bytes: &'a [u8],
    at: usize,
    arena: &'r mut Arena<'a>,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at which marks stand.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
}

impl<'a> Machine<'a, '_> {
    fn run(&mut self) -> Result<Value<'a>, Error> {
        loop {
            let [code] = self.array()?;
            match code {
                b'.' => return self.pop(),
                0x80 => {
                    let [protocol] = self.array()?;
                    if !(2..=5).contains(&protocol) {
                        let reason = format!("pickle protocol {protocol} (2 to 5 are known)");
                        return Err(Error::unsupported(reason));
                    }
                }
                // A frame's length: the instructions follow all the same.
                0x95 => self.array::<8>().map(|_| ())?,
                b'(' => {
                    bounded(self.marks.len())?;
                    self.marks.push(self.stack.len());
                }
                b'0' => self.pop().map(|_| ())?,
                b'1' => self.since_mark().map(|_| ())?,
                b'2' => {
                    let top = self.top()?;
                    self.push(top)?;
                }
                b'N' | 0x88 | 0x89 | b'J' | b'K' | b'M' | 0x8a | 0x8b | b'G' => {
                    let value = self.scalar(code)?;
                    self.push(value)?;
                }
                b'X' | 0x8c | 0x8d | b'T' | b'U' | b'B' | b'C' | 0x8e | 0x96 => {
                    let value = self.text(code)?;
                    self.push(value)?;
                }
                b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(code)?,
                b')' | b']' | b'}' | 0x8f | b't' | b'l' | b'd' | 0x91 | 0x85 | 0x86 | 0x87 => {
                    let node = self.container(code)?;
                    let value = self.arena.add(node)?;
                    self.push(value)?;
                }
                b'a' => {
                    let value = self.pop()?;
                    self.extend(vec![value])?;
                }
                b'e' | 0x90 => {
                    let values = self.since_mark()?;
                    self.extend(values)?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.update(vec![key, value])?;
                }
                b'u' => {
                    let pairs = self.since_mark()?;
                    self.update(pairs)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Value::Global(module, name))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (module, name) else {
                        return Err(bad("a class name that is not text"));
                    };
                    self.push(Value::Global(module, name))?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let value = constructors::storage(self.arena, id)?;
                    self.push(value)?;
                }
                b'R' | 0x81 => {
                    let (arguments, class) = (self.pop()?, self.pop()?);
                    let value = constructors::call(self.arena, class, arguments)?;
                    self.push(value)?;
                }
                0x92 => {
                    let (_keywords, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                    let value = constructors::call(self.arena, class, arguments)?;
                    self.push(value)?;
                }
                b'b' => {
                    let state = self.pop()?;
                    let object = self.top()?;
                    // Attributes of tensors and dictionaries (`_metadata`) say nothing about their values.
                    if let Some(Node::Object(object)) = self.arena.node_mut(object) {
                        object.state = Some(state);
                    }
                }
                other => {
                    return Err(Error::unsupported(format!(
                        "pickle instruction {other:#04x} at byte {}",
                        self.at - 1
                    )));
                }
            }
        }
    }

    fn scalar(&mut self, code: u8) -> Result<Value<'a>, Error> {
        Ok(match code {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            b'K' => Value::Int(u8::from_le_bytes(self.array()?).into()),
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()),
            b'G' => Value::Float(f64::from_be_bytes(self.array()?)),
            _ => {
                let len = if code == 0x8a {
                    u8::from_le_bytes(self.array()?).into()
                } else {
                    u32::from_le_bytes(self.array()?).into()
                };
                integer(self.take(len)?)
            }
        })
    }

    fn text(&mut self, code: u8) -> Result<Value<'a>, Error> {
        let len: u64 = match code {
            0x8c | b'U' | b'C' => u8::from_le_bytes(self.array()?).into(),
            b'X' | b'T' | b'B' => u32::from_le_bytes(self.array()?).into(),
            _ => u64::from_le_bytes(self.array()?),
        };
        let bytes = self.take(len)?;
        match code {
            b'X' | 0x8c | 0x8d => {
                let text = std::str::from_utf8(bytes).map_err(|_| bad("text that is not UTF-8"))?;
                Ok(Value::Text(text))
            }
            // Text of Python 2, or bytes.
            b'T' | b'U' => Ok(std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text)),
            _ => Ok(Value::Bytes(bytes)),
        }
    }

    /// Stores the top of the stack in the memo, or pushes what is stored there.
    fn remember(&mut self, code: u8) -> Result<(), Error> {
        let slot = match code {
            b'q' | b'h' => u8::from_le_bytes(self.array()?).into(),
            b'r' | b'j' => u32::from_le_bytes(self.array()?),
            _ => u32::try_from(self.memo.len()).map_err(|_| bad("too many memo entries"))?,
        };
        if matches!(code, b'h' | b'j') {
            let value = self.memo.get(&slot).copied();
            return self.push(value.ok_or_else(|| bad("a memo entry that was never made"))?);
        }
        bounded(self.memo.len())?;
        let top = self.top()?;
        self.memo.insert(slot, top);
        Ok(())
    }

    fn container(&mut self, code: u8) -> Result<Node<'a>, Error> {
        Ok(match code {
            b')' => Node::Tuple(Vec::new()),
            b']' | 0x8f => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            b't' => Node::Tuple(self.since_mark()?),
            b'l' | 0x91 => Node::List(self.since_mark()?),
            b'd' => Node::Dict(pairs(&self.since_mark()?)?),
            _ => {
                let count = usize::from(code - 0x84);
                let from = self.stack.len().checked_sub(count);
                let from = from.filter(|&at| at >= self.marks.last().copied().unwrap_or(0));
                Node::Tuple(
                    self.stack
                        .split_off(from.ok_or_else(|| bad("empty stack"))?),
                )
            }
        })
    }

    fn extend(&mut self, values: Vec<Value<'a>>) -> Result<(), Error> {
        self.arena.count(values.len())?;
        let target = self.top()?;
        match self.arena.node_mut(target) {
            Some(Node::List(items)) => items.extend(values),
            // Subclasses of lists and sets that we do not know: their items are of no use to us.
            Some(Node::Object(_)) => {}
            _ => return Err(bad("items for something that is no list")),
        }
        Ok(())
    }

    fn update(&mut self, values: Vec<Value<'a>>) -> Result<(), Error> {
        let new = pairs(&values)?;
        self.arena.count(new.len())?;
        let target = self.top()?;
        match self.arena.node_mut(target) {
            Some(Node::Dict(entries)) => entries.extend(new),
            Some(Node::Object(object)) => object.items.extend(new),
            _ => return Err(bad("entries for something that is no dictionary")),
        }
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), Error> {
        bounded(self.stack.len())?;
        self.stack.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value<'a>, Error> {
        if self.marks.last().is_some_and(|&m| m >= self.stack.len()) {
            return Err(bad("a mark where a value is needed"));
        }
        self.stack.pop().ok_or_else(|| bad("empty stack"))
    }

    fn top(&self) -> Result<Value<'a>, Error> {
        self.stack.last().copied().ok_or_else(|| bad("empty stack"))
    }

    fn since_mark(&mut self) -> Result<Vec<Value<'a>>, Error> {
        let mark = self.marks.pop().ok_or_else(|| bad("no mark"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Error> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let found = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let found = found.ok_or(Error::Truncated {
            needed: len.saturating_add(self.at as u64),
            available: self.bytes.len() as u64,
        })?;
        self.at += found.len();
        Ok(found)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.take(N as u64)?;
        bytes.try_into().map_err(|_| bad("a wrong length"))
    }

    /// Text up to the next line feed.
    fn line(&mut self) -> Result<&'a str, Error> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let len = rest.iter().position(|&b| b == b'\n');
        let len = len.ok_or_else(|| bad("a name without an end"))?;
        let line = self.take(len as u64)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| bad("a name that is not UTF-8"))
    }
}

fn pairs<'a>(values: &[Value<'a>]) -> Result<Vec<(Value<'a>, Value<'a>)>, Error> {
    let (pairs, rest) = values.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(bad("a key without a value"));
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}

/// Integer of any length, little-endian two's complement.
fn integer(bytes: &[u8]) -> Value<'_> {
    if bytes.len() > 8 {
        return Value::Long(bytes);
    }
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    Value::Int(i64::from_le_bytes(wide))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8]) -> Result<(Arena<'_>, Value<'_>), Error> {
        let mut arena = Arena::default();
        let (value, _) = read(bytes, &mut arena)?;
        Ok((arena, value))
    }

    #[test]
    fn containers_and_memo() {
        // {"a": [1, -2, 2.5, None], "b": the same list}, protocol 4.
        let bytes = b"\x80\x04}(\x8c\x01a]\x94(K\x01J\xfe\xff\xff\xffG\x40\x04\0\0\0\0\0\0Ne\x8c\x01bh\x00u.";
        let (arena, value) = run(bytes).unwrap();
        let list = arena.entry(value, "a").unwrap();
        assert_eq!(arena.entry(value, "b"), Some(list));
        let want = [
            Value::Int(1),
            Value::Int(-2),
            Value::Float(2.5),
            Value::None,
        ];
        assert_eq!(arena.sequence(list).unwrap(), want);
    }

    #[test]
    fn integers_of_any_length() {
        assert_eq!(integer(&[]), Value::Int(0));
        assert_eq!(integer(&[0xff]), Value::Int(-1));
        assert_eq!(integer(&[0xff, 0]), Value::Int(255));
        assert_eq!(integer(&[1; 9]), Value::Long(&[1; 9]));
    }

    #[test]
    fn unknown_classes_keep_their_state_and_run_nothing() {
        // os.system("x") with state {"k": 7}.
        let bytes = b"\x80\x02cos\nsystem\nX\x01\0\0\0x\x85R}X\x01\0\0\0kK\x07sb.";
        let (arena, value) = run(bytes).unwrap();
        let Some(Node::Object(object)) = arena.node(value) else {
            panic!("not an object");
        };
        assert_eq!(arena.entry(object.state.unwrap(), "k"), Some(Value::Int(7)));
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let depth = 1 << 20;
        let mut bytes = vec![b']'; depth];
        bytes.extend(vec![b'a'; depth - 1]);
        bytes.push(b'.');
        assert!(run(&bytes).is_ok());
    }

    #[test]
    fn programs_that_end_early_or_use_nothing() {
        for bytes in [
            &b""[..],
            b".",
            b"\x80\x02",
            b"\x80\x01N.",
            b"(.",
            b"t.",
            b"h\x03.",
            b"Na.",
            b"]K\x01s.",
            b"}(K\x01u.",
            b"cos\nsys",
            b"X\xff\xff\xff\xffa.",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
            b"NQ.",
            b"(\x85.",
            b"\xfe.",
        ] {
            assert!(run(bytes).is_err(), "{bytes:?}");
        }
    }
}
