//! The part of Python's pickle that `torch.save` writes, read without running anything: classes and
//! functions are names, and a call is a value that says what would be called.
//!
//! Why not a library: burn-store 0.21 reads tensors without their strides, so that a transposed view
//! comes out scrambled without a word, and candle-core 0.10 panics on calls with too few arguments.
//! Both copy a value at each reference to it, so that a few hundred bytes can ask for terabytes. Here
//! values lie in a list and refer to each other by place: memory follows the length of the pickle,
//! and nothing is recursive.

use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;

/// The values of one pickle. A reference to a value is its place in the list.
pub struct Pickle<'a> {
    values: Vec<Value<'a>>,
    top: Place,
}

/// Where a value lies in its pickle.
pub type Place = usize;

/// A Python object.
#[derive(Debug, PartialEq)]
pub enum Value<'a> {
    Int(i64),
    Text(&'a str),
    /// A class or function: `module`, `name`.
    Global(&'a str, &'a str),
    Tuple(Vec<Place>),
    List(Vec<Place>),
    Dict(Vec<(Place, Place)>),
    /// What a class or function would return for a tuple of arguments.
    Call {
        callable: Place,
        arguments: Place,
        /// Whether the pickle gives the result a state, items or elements afterwards.
        altered: bool,
        /// That state.
        state: Option<Place>,
        /// Those items, which a kind of dict is given.
        items: Vec<(Place, Place)>,
    },
    /// An object outside of the pickle, by its identifier.
    Persistent(Place),
    None,
    Bool(bool),
    Real(f64),
    Bytes(&'a [u8]),
    /// A set, a number of more than eight bytes: nothing that a tensor's description needs.
    Other,
}

/// The newest protocol of pickles.
const NEWEST: u8 = 5;

/// A state dict of a thousand tensors has some 30,000.
const MOST_VALUES: usize = 1 << 20;

impl<'a> Pickle<'a> {
    /// Reads a pickle of protocol 2 to 5.
    ///
    /// # Errors
    /// Says at which byte something is missing or unknown.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut machine = Machine::new(bytes);
        loop {
            let at = machine.at;
            let end = machine.step().with_context(|| format!("the pickle fails at byte {at}"))?;
            if let Some(top) = end {
                let rest = bytes.len() - machine.at;
                ensure!(rest == 0, "{rest} bytes follow the end of the pickle");
                return Ok(Self { values: machine.values, top });
            }
        }
    }

    /// The place of the object that was pickled.
    pub fn top(&self) -> Place {
        self.top
    }

    pub fn value(&self, place: Place) -> &Value<'a> {
        &self.values[place]
    }

    /// The elements of a tuple.
    pub fn tuple(&self, place: Place) -> Option<&[Place]> {
        match self.value(place) {
            Value::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    pub fn text(&self, place: Place) -> Option<&'a str> {
        match self.value(place) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    pub fn count(&self, place: Place) -> Option<usize> {
        match self.value(place) {
            Value::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    /// A tuple of such numbers.
    pub fn counts(&self, place: Place) -> Option<Vec<usize>> {
        self.tuple(place)?.iter().map(|&p| self.count(p)).collect()
    }
}

/// The stack machine that a pickle is a program for.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Place>,
    /// Lengths of the stack at the open marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Place>,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let (values, stack, marks) = (Vec::new(), Vec::new(), Vec::new());
        Self { bytes, at: 0, values, stack, marks, memo: HashMap::new() }
    }

    /// Executes one operation; at the last one, the place of the result.
    fn step(&mut self) -> Result<Option<Place>> {
        let [operation] = self.array()?;
        match operation {
            0x80 => {
                let [protocol] = self.array()?; // PROTO
                ensure!(protocol <= NEWEST, "its protocol is {protocol}, at most {NEWEST} is read");
            }
            0x95 => {
                self.take(8)?; // FRAME
            }
            b'.' => return self.pop().map(Some), // STOP
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                self.pop()?; // POP
            }
            b'1' => {
                self.pop_mark()?; // POP_MARK
            }
            b'2' => self.stack.push(self.last()?), // DUP

            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            0x8f => self.push(Value::Other)?, // EMPTY_SET
            b'J' => self.int(4)?,
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            0x8a => self.long()?,
            b'G' => {
                let value = f64::from_be_bytes(self.array()?); // BINFLOAT
                self.push(Value::Real(value))?;
            }
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            0x8d => self.text(8)?,
            b'B' | b'T' => self.opaque(4)?, // BINBYTES, BINSTRING
            b'C' | b'U' => self.opaque(1)?,
            0x8e | 0x96 => self.opaque(8)?, // BINBYTES8, BYTEARRAY8

            b')' => self.push(Value::Tuple(Vec::new()))?,
            0x85..=0x87 => {
                let from = self.depth(usize::from(operation - 0x84))?;
                let elements = self.stack.split_off(from);
                self.push(Value::Tuple(elements))?;
            }
            b't' => {
                let elements = self.pop_mark()?;
                self.push(Value::Tuple(elements))?;
            }
            b']' => self.push(Value::List(Vec::new()))?,
            b'l' => {
                let elements = self.pop_mark()?;
                self.push(Value::List(elements))?;
            }
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'd' => {
                let items = pairs(&self.pop_mark()?)?;
                self.push(Value::Dict(items))?;
            }
            b'a' => {
                let element = self.pop()?;
                self.append(&[element])?;
            }
            b'e' => {
                let elements = self.pop_mark()?;
                self.append(&elements)?;
            }
            b's' => {
                let items = self.depth(2)?;
                let items = self.stack.split_off(items);
                self.insert(&items)?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.insert(&items)?;
            }
            0x90 => {
                self.pop_mark()?; // ADDITEMS: a set is Other
            }
            0x91 => {
                self.pop_mark()?; // FROZENSET
                self.push(Value::Other)?;
            }

            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(module, name))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?); // STACK_GLOBAL
                match (&self.values[module], &self.values[name]) {
                    (&Value::Text(module), &Value::Text(name)) => {
                        self.push(Value::Global(module, name))?;
                    }
                    _ => bail!("a class has no name"),
                }
            }
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?); // REDUCE, NEWOBJ
                self.call(callable, arguments)?;
            }
            0x92 => {
                let keywords = self.pop()?; // NEWOBJ_EX
                ensure!(
                    self.values[keywords] == Value::Dict(Vec::new()),
                    "it calls with keyword arguments, which torch.save never does"
                );
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.call(callable, arguments)?;
            }
            b'b' => {
                let given = self.pop()?; // BUILD: attributes of the object below, such as `_metadata`
                let below = self.last()?;
                self.alter(below);
                if let Value::Call { state, .. } = &mut self.values[below] {
                    *state = Some(given);
                }
            }
            b'Q' => {
                let identifier = self.pop()?;
                self.push(Value::Persistent(identifier))?;
            }

            b'q' => self.memoise(1)?,
            b'r' => self.memoise(4)?,
            0x94 => {
                self.memo.insert(self.memo.len() as u64, self.last()?); // MEMOIZE
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            other => bail!("the operation {other:#04x} is not one that torch.save writes"),
        }
        Ok(None)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).with_context(|| {
            format!("it is cut short: {count} bytes are wanted, {} are left", rest.len())
        })?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// An unsigned number of up to eight bytes, little endian.
    fn unsigned(&mut self, width: usize) -> Result<u64> {
        let mut padded = [0; 8];
        padded[..width].copy_from_slice(self.take(width)?);
        Ok(u64::from_le_bytes(padded))
    }

    /// As many bytes as the length before them says.
    fn counted(&mut self, width: usize) -> Result<&'a [u8]> {
        let count = self.unsigned(width)?;
        self.take(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Up to the end of the line, without it.
    fn line(&mut self) -> Result<&'a str> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|&b| b == b'\n').context("a name has no end")?;
        let line = self.take(length + 1)?;
        Ok(std::str::from_utf8(&line[..length])?)
    }

    fn push(&mut self, value: Value<'a>) -> Result<()> {
        if self.values.len() == MOST_VALUES {
            bail!("it holds more than {MOST_VALUES} objects");
        }
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    /// The length of the stack without its last `count` elements.
    fn depth(&self, count: usize) -> Result<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let depth = self.stack.len().checked_sub(count).filter(|&depth| depth >= floor);
        depth.context("its stack is empty")
    }

    fn pop(&mut self) -> Result<Place> {
        let place = self.last()?;
        self.stack.pop();
        Ok(place)
    }

    fn last(&self) -> Result<Place> {
        Ok(self.stack[self.depth(1)?])
    }

    fn pop_mark(&mut self) -> Result<Vec<Place>> {
        let mark = self.marks.pop().context("it closes what it has not opened")?;
        Ok(self.stack.split_off(mark))
    }

    /// A signed number of four bytes, an unsigned one of fewer.
    fn int(&mut self, width: usize) -> Result<()> {
        let value = self.unsigned(width)?;
        let value = if width == 4 { i64::from(value as u32 as i32) } else { value as i64 };
        self.push(Value::Int(value))
    }

    /// A signed number of any length; one of more than eight bytes describes no tensor.
    fn long(&mut self) -> Result<()> {
        let bytes = self.counted(1)?;
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut padded = [if negative { 0xff } else { 0 }; 8];
        match padded.get_mut(..bytes.len()) {
            Some(low) => low.copy_from_slice(bytes),
            None => return self.push(Value::Other),
        }
        self.push(Value::Int(i64::from_le_bytes(padded)))
    }

    fn text(&mut self, width: usize) -> Result<()> {
        // Python lets lone surrogates through; they name no parameter.
        let value = std::str::from_utf8(self.counted(width)?).map_or(Value::Other, Value::Text);
        self.push(value)
    }

    fn opaque(&mut self, width: usize) -> Result<()> {
        let bytes = self.counted(width)?;
        self.push(Value::Bytes(bytes))
    }

    /// An OrderedDict, which is what `state_dict()` returns, begins empty; all else stays a call.
    fn call(&mut self, callable: Place, arguments: Place) -> Result<()> {
        let is_ordered = self.values[callable] == Value::Global("collections", "OrderedDict");
        let is_empty = self.values[arguments] == Value::Tuple(Vec::new());
        self.push(if is_ordered && is_empty {
            Value::Dict(Vec::new())
        } else {
            Value::Call { callable, arguments, altered: false, state: None, items: Vec::new() }
        })
    }

    fn alter(&mut self, place: Place) {
        if let Value::Call { altered, .. } = &mut self.values[place] {
            *altered = true;
        }
    }

    /// Elements of anything but a list are of no interest.
    fn append(&mut self, elements: &[Place]) -> Result<()> {
        let place = self.last()?;
        match &mut self.values[place] {
            Value::List(list) => list.extend(elements),
            _ => self.alter(place),
        }
        Ok(())
    }

    /// Items of a dict, or of what a class or function would return: a kind of dict.
    fn insert(&mut self, items: &[Place]) -> Result<()> {
        let given = pairs(items)?;
        let place = self.last()?;
        self.alter(place);
        if let Value::Dict(items) | Value::Call { items, .. } = &mut self.values[place] {
            items.extend(given);
        }
        Ok(())
    }

    fn memoise(&mut self, width: usize) -> Result<()> {
        let key = self.unsigned(width)?;
        self.memo.insert(key, self.last()?);
        Ok(())
    }

    fn recall(&mut self, width: usize) -> Result<()> {
        let key = self.unsigned(width)?;
        let place = self.memo.get(&key).with_context(|| format!("it recalls {key}, not kept"))?;
        self.stack.push(*place);
        Ok(())
    }
}

/// (key, value), (key, value), …
fn pairs(items: &[Place]) -> Result<Vec<(Place, Place)>> {
    if !items.len().is_multiple_of(2) {
        bail!("a key has no value");
    }
    Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_have_pythons_values() {
        // pickle.dumps((-2, 255, 65535, 1 << 40, -(1 << 40), 'é', (), []), 2)
        let bytes = b"\x80\x02(J\xfe\xff\xff\xffK\xffM\xff\xff\x8a\x06\x00\x00\x00\x00\x00\x01\
                      \x8a\x06\x00\x00\x00\x00\x00\xffX\x02\x00\x00\x00\xc3\xa9q\x00)]q\x01tq\x02.";
        let pickle = Pickle::read(bytes).unwrap();
        let values: Vec<_> =
            pickle.tuple(pickle.top()).unwrap().iter().map(|&p| pickle.value(p)).collect();
        let ints = [-2, 255, 65535, 1 << 40, -(1 << 40)];
        for (value, int) in values.iter().zip(ints) {
            assert_eq!(**value, Value::Int(int));
        }
        let rest = [Value::Text("é"), Value::Tuple(vec![]), Value::List(vec![])];
        assert!(values[5..].iter().copied().eq(&rest));
    }

    #[test]
    fn a_newer_protocol_reads_alike() {
        // pickle.dumps(collections.OrderedDict(a=1, b=[2]), 4)
        let bytes = b"\x80\x04\x95\x30\x00\x00\x00\x00\x00\x00\x00\x8c\x0bcollections\x94\x8c\x0b\
                      OrderedDict\x94\x93\x94)R\x94(\x8c\x01a\x94K\x01\x8c\x01b\x94]\x94K\x02au.";
        let pickle = Pickle::read(bytes).unwrap();
        let Value::Dict(items) = pickle.value(pickle.top()) else { panic!("no dict") };
        let keys: Vec<_> = items.iter().map(|&(key, _)| pickle.text(key).unwrap()).collect();
        assert_eq!(keys, ["a", "b"]);
        assert_eq!(pickle.count(items[0].1), Some(1));
        assert!(matches!(pickle.value(items[1].1), Value::List(list) if list.len() == 1));
    }

    #[test]
    fn a_call_is_named_and_not_made() {
        let bytes = b"\x80\x02cos\nsystem\nX\x07\x00\x00\x00echo hi\x85R.";
        let pickle = Pickle::read(bytes).unwrap();
        let Value::Call { callable, arguments, altered: false, .. } = *pickle.value(pickle.top())
        else {
            panic!()
        };
        assert_eq!(*pickle.value(callable), Value::Global("os", "system"));
        assert_eq!(pickle.text(pickle.tuple(arguments).unwrap()[0]), Some("echo hi"));
    }

    /// Each step doubles what is reached: 2^60 elements from 250 bytes, and a list within itself.
    #[test]
    fn references_are_not_copies() {
        let mut bomb = b"\x80\x02]".to_vec();
        for _ in 0..60 {
            bomb.extend(b"q\x00h\x00\x86");
        }
        bomb.push(b'.');
        assert_eq!(Pickle::read(&bomb).unwrap().values.len(), 61);
        let ring = b"\x80\x02]q\x00h\x00a.";
        assert_eq!(Pickle::read(ring).unwrap().values, [Value::List(vec![0])]);
    }

    #[test]
    fn what_is_claimed_is_not_allocated_and_what_is_missing_is_named() {
        let error = |bytes: &[u8]| format!("{:#}", Pickle::read(bytes).err().unwrap());
        assert_eq!(
            error(b"\x80\x02X\xff\xff\xff\xffabc"),
            "the pickle fails at byte 2: it is cut short: 4294967295 bytes are wanted, 3 are left"
        );
        assert!(error(b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\xff").contains("cut short"));
        assert!(error(b"").contains("1 bytes are wanted, 0 are left"));
        for broken in ["a.", "u.", "t.", "R.", "s.", "(a.", "}(K\x01u.", "h\x05.", "cos\n", "Z"] {
            assert!(Pickle::read(broken.as_bytes()).is_err(), "{broken}");
        }
        assert!(error(&vec![b')'; MOST_VALUES + 1]).contains("more than 1048576 objects"));
    }

    #[test]
    fn what_is_not_understood_is_refused_or_marked() {
        let error = |bytes: &[u8]| format!("{:#}", Pickle::read(bytes).err().unwrap());
        assert!(error(b"\x80\x06N.").contains("its protocol is 6"));
        assert!(error(b"\x80\x02N.N.").contains("2 bytes follow the end"));
        let keywords = b"\x80\x04cos\nf\n)}X\x01\x00\x00\x00aNs\x92.";
        assert!(error(keywords).contains("keyword arguments"));
        // A call, and then a state, an item, items, an element or elements for what it made.
        for after in ["Nb", "NNs", "(NNu", "Na", "(Ne"] {
            let bytes = [b"\x80\x02cos\nf\n)R", after.as_bytes(), b"."].concat();
            let pickle = Pickle::read(&bytes).unwrap();
            let top = pickle.value(pickle.top());
            assert!(matches!(top, Value::Call { altered: true, .. }), "{after}");
        }
    }
}
