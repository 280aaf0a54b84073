//! Between the flat document and the [`Value`] that programs hold.

use num_bigint::BigInt;

use super::budget::Budget;
use super::class_name::is_class_name;
use super::document::{Document, View};
use super::keys::settle;
use super::ndarray::{self, Dtype, NotAnArray};
use super::node::{NamedType, Node, Size, has_string_keys, value_depth};
use super::scalar_type::NotOfType;
use crate::protocol::ScalarType;
use crate::protocol::{
    ErrorCode, Limits, MAX_DEPTH, MAX_INT_DIGITS, MAXIMUM_DECODED_SIZE, Ndarray, Object, Refusal,
    Value,
};

/// The value that a document says.
pub fn to_value(view: View<'_>) -> Value {
    /// A container whose children are being gathered.
    struct Open {
        head: Node,
        missing: u32,
        children: Vec<Value>,
    }
    let string = |text| String::from_utf8_lossy(view.text(text)).into_owned();
    let mut open: Vec<Open> = Vec::new();
    let mut next = 0;
    while let Some(&node) = view.nodes().get(next) {
        let at = next;
        next += 1;
        let mut value = match node {
            Node::None => Value::None,
            Node::Bool(truth) => Value::Bool(truth),
            Node::Int(number) => Value::Int(number),
            Node::BigInt(digits) => {
                BigInt::parse_bytes(view.text(digits), 10).map_or(Value::None, Value::from)
            }
            Node::Float(number) => Value::Float(number),
            Node::Str(text) => Value::Str(string(text)),
            Node::Bytes(bytes) => Value::Bytes(view.text(bytes).to_vec()),
            Node::Typed(of, text) => Value::Typed(of, string(text)),
            Node::List(size) | Node::Tuple(size) | Node::Set(size) | Node::FrozenSet(size)
                if size.items > 0 =>
            {
                open.push(Open { head: node, missing: size.items, children: Vec::new() });
                continue;
            }
            Node::Dict(size) if size.items > 0 => {
                open.push(Open { head: node, missing: size.items * 2, children: Vec::new() });
                continue;
            }
            Node::Named(NamedType::Ndarray, size) => {
                next += size.nodes as usize;
                array(view, at)
            }
            Node::Named(NamedType::Object, _) => {
                open.push(Open { head: node, missing: 2, children: Vec::new() });
                continue;
            }
            empty => container(empty, Vec::new()),
        };
        loop {
            let Some(parent) = open.last_mut() else { return value };
            parent.children.push(value);
            parent.missing -= 1;
            if parent.missing > 0 {
                break;
            }
            let Some(Open { head, children, .. }) = open.pop() else { return Value::None };
            value = container(head, children);
        }
    }
    Value::None
}

/// The array at an index.
fn array(view: View<'_>, at: usize) -> Value {
    let Some(array) = ndarray::Parts::of(view, at) else { return Value::None };
    let dtype = String::from_utf8_lossy(array.dtype).into_owned();
    let shape = array.dimensions().map(i64::unsigned_abs).collect();
    Value::Ndarray(Box::new(Ndarray { dtype, shape, data: array.data.to_vec() }))
}

fn container(head: Node, children: Vec<Value>) -> Value {
    match head {
        Node::Tuple(_) => Value::Tuple(children),
        Node::Set(_) => Value::Set(children),
        Node::FrozenSet(_) => Value::FrozenSet(children),
        Node::Named(..) => {
            let mut children = children.into_iter();
            match (children.next(), children.next()) {
                (Some(Value::Str(class)), Some(Value::Dict(state))) => {
                    Value::Object(Box::new(Object { class, state }))
                }
                _ => Value::None,
            }
        }
        Node::Dict(_) => {
            let mut entries = Vec::with_capacity(children.len() / 2);
            let mut children = children.into_iter();
            while let (Some(key), Some(value)) = (children.next(), children.next()) {
                entries.push((key, value));
            }
            Value::Dict(entries)
        }
        _ => Value::List(children),
    }
}

impl Ndarray {
    /// What `tolist()` gives: nested lists of its items, or the one item of an array without
    /// dimensions.
    ///
    /// ```
    /// use babelmq_codec::Ndarray;
    ///
    /// let (dtype, shape, data) = ("<i2".to_owned(), vec![2, 1], vec![1, 0, 255, 255]);
    /// assert_eq!(Ndarray { dtype, shape, data }.to_list()?.to_string(), "[[1], [-1]]");
    /// # Ok::<(), babelmq_codec::Refusal>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::InvalidValue`] for parts that fit no array.
    pub fn to_list(&self) -> Result<Value, Refusal> {
        let mut document = Document::new();
        push_array(self, &mut document, &mut Budget::of(MAXIMUM_DECODED_SIZE))?;
        let lists = document.nodes()[0].nodes_of_type(&document.nodes()[1..]);
        Ok(to_value(document.view(&[], lists)))
    }
}

/// Appends a value to a document and returns the index of its root. The texts are the document's
/// own, so any source will do to look at them.
///
/// # Errors
/// The reasons for which a message with this value would be refused: [`ErrorCode::Unhashable`],
/// [`ErrorCode::TooDeep`], [`ErrorCode::TooLarge`], [`ErrorCode::TooManyDigits`],
/// [`ErrorCode::InvalidValue`] for a typed text that is no value of its type, and parts that fit no
/// array and no object.
pub fn from_value(
    value: &Value,
    document: &mut Document,
    limits: &Limits,
) -> Result<usize, Refusal> {
    enum Work<'v> {
        Enter(&'v Value),
        Leave(usize),
    }
    fn enter_entries(entries: &[(Value, Value)]) -> impl Iterator<Item = Work<'_>> {
        let entries = entries.iter().rev();
        entries.flat_map(|(key, value)| [Work::Enter(value), Work::Enter(key)])
    }
    let root = document.len();
    let mut budget = Budget::of(limits.decoded_size);
    let mut work = vec![Work::Enter(value)];
    while let Some(next) = work.pop() {
        let value = match next {
            Work::Enter(value) => value,
            Work::Leave(at) => {
                leave(document, at, &mut budget)?;
                continue;
            }
        };
        budget.node(0)?;
        let size = |items: usize| Size::new(items as u32, 0);
        let node = match value {
            Value::None => Node::None,
            Value::Bool(truth) => Node::Bool(*truth),
            Value::Int(number) => Node::Int(*number),
            Value::BigInt(number) => match i64::try_from(number) {
                Ok(small) => Node::Int(small),
                Err(_) => Node::BigInt(digits(number, document, &mut budget)?),
            },
            Value::Float(number) => Node::Float(*number),
            Value::Str(text) => {
                budget.bytes(text.len())?;
                Node::Str(document.append_text(|own| own.extend_from_slice(text.as_bytes())))
            }
            Value::Bytes(bytes) => {
                budget.bytes(bytes.len())?;
                Node::Bytes(document.append_text(|own| own.extend_from_slice(bytes)))
            }
            Value::Typed(of, text) => Node::Typed(*of, typed(*of, text, document, &mut budget)?),
            Value::List(items) => Node::List(size(items.len())),
            Value::Tuple(items) => Node::Tuple(size(items.len())),
            Value::Set(items) => Node::Set(size(items.len())),
            Value::FrozenSet(items) => Node::FrozenSet(size(items.len())),
            Value::Dict(entries) => Node::Dict(size(entries.len())),
            Value::Ndarray(array) => {
                push_array(array, document, &mut budget)?;
                continue;
            }
            Value::Object(object) => {
                work.push(Work::Leave(document.len()));
                begin_object(object, document, &mut budget)?;
                Node::Dict(size(object.state.len()))
            }
        };
        let at = document.push(node);
        match value {
            Value::Object(object) => work.extend(enter_entries(&object.state)),
            Value::List(items)
            | Value::Tuple(items)
            | Value::Set(items)
            | Value::FrozenSet(items) => {
                work.push(Work::Leave(at));
                work.extend(items.iter().rev().map(Work::Enter));
            }
            Value::Dict(entries) => {
                work.push(Work::Leave(at));
                work.extend(enter_entries(entries));
            }
            _ => {}
        }
    }
    if value_depth(&document.nodes()[root..]) > MAX_DEPTH {
        return Err(Refusal::new(
            ErrorCode::TooDeep,
            format!("the value nests deeper than {MAX_DEPTH} levels"),
        ));
    }
    Ok(root)
}

/// All children of the container at `at` are there.
fn leave(document: &mut Document, at: usize, budget: &mut Budget) -> Result<(), Refusal> {
    let nodes = (document.len() - at - 1) as u32;
    match &mut document.nodes_mut()[at] {
        Node::List(size) | Node::Tuple(size) => size.nodes = nodes,
        Node::Named(..) => {
            let state = at + 2;
            settle(document, &[], state, budget)?;
            let size = match document.nodes()[state] {
                Node::Dict(size) if has_string_keys(size, &document.nodes()[state + 1..]) => size,
                _ => {
                    let reason = "the state of an object has a key that is no string";
                    return Err(Refusal::new(ErrorCode::InvalidValue, reason));
                }
            };
            let size = Size::new(2, size.nodes + 2);
            document.nodes_mut()[at] = Node::Named(NamedType::Object, size);
        }
        _ => settle(document, &[], at, budget)?,
    }
    Ok(())
}

fn push_array(
    array: &Ndarray,
    document: &mut Document,
    budget: &mut Budget,
) -> Result<(), Refusal> {
    budget.bytes(array.data.len())?;
    let data = document.append_text(|own| own.extend_from_slice(&array.data));
    let dtype = Dtype::parse(array.dtype.as_bytes())
        .ok_or_else(|| NotAnArray::no_dtype(array.dtype.as_bytes()));
    let pushed =
        dtype.and_then(|dtype| ndarray::push(document, &[], dtype, &array.shape, data, budget));
    match pushed {
        Ok(_) => Ok(()),
        Err(NotAnArray::Refused(refusal)) => Err(refusal),
        Err(fault) => {
            let reason = format!("an array holds {fault}");
            Err(Refusal::new(ErrorCode::InvalidValue, reason))
        }
    }
}

/// What an object has before its state.
fn begin_object(
    object: &Object,
    document: &mut Document,
    budget: &mut Budget,
) -> Result<(), Refusal> {
    if !is_class_name(object.class.as_bytes()) {
        let class: String = object.class.chars().take(60).collect();
        let reason = format!("{class:?} is no name of a class, such as app.models.Order");
        return Err(Refusal::new(ErrorCode::InvalidValue, reason));
    }
    budget.node(0)?;
    budget.node(object.class.len())?;
    document.push(Node::Named(NamedType::Object, Size::default()));
    let class = document.append_text(|own| own.extend_from_slice(object.class.as_bytes()));
    document.push(Node::Str(class));
    Ok(())
}

fn typed(
    of: ScalarType,
    text: &str,
    document: &mut Document,
    budget: &mut Budget,
) -> Result<super::Text, Refusal> {
    // What is canonical is a few bytes longer at most.
    budget.bytes(text.len())?;
    document.own_text(|own| of.write_canonical(text.as_bytes(), own)).map_err(|fault| {
        let code = match fault {
            NotOfType::TooManyDigits => ErrorCode::TooManyDigits,
            _ => ErrorCode::InvalidValue,
        };
        Refusal::new(code, format!("the {} {text:?} is none: {fault}", of.name()))
    })
}

fn digits(
    number: &BigInt,
    document: &mut Document,
    budget: &mut Budget,
) -> Result<super::Text, Refusal> {
    // 10^4300 has 14,285 bits; what is far beyond is not worth printing to be counted.
    let spelled = if number.bits() > 15_000 { None } else { Some(number.to_string()) };
    match spelled {
        Some(spelled) if spelled.trim_start_matches('-').len() <= MAX_INT_DIGITS => {
            budget.bytes(spelled.len())?;
            Ok(document.append_text(|own| own.extend_from_slice(spelled.as_bytes())))
        }
        _ => Err(Refusal::new(
            ErrorCode::TooManyDigits,
            format!("an integer has more than {MAX_INT_DIGITS} digits"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(value: &Value) -> Result<Value, ErrorCode> {
        let mut document = Document::new();
        let root =
            from_value(value, &mut document, &Limits::default()).map_err(|refusal| refusal.code)?;
        Ok(to_value(document.view(&[], root)))
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(Value::Int(1), |inner, _| Value::List(vec![inner]))
    }

    #[test]
    fn values_survive() {
        let value = Value::Dict(vec![
            (
                "a".into(),
                Value::List(vec![Value::Tuple(vec![]), Value::None, Value::Bytes(vec![0, 255])]),
            ),
            (1.into(), Value::Set(vec![1.5.into(), Value::FrozenSet(vec!["x".into()])])),
            (
                Value::Tuple(vec![true.into()]),
                Value::parse_int("-123456789012345678901234567890").unwrap(),
            ),
            (Value::None, Value::Dict(vec![])),
        ]);
        assert_eq!(there_and_back(&value), Ok(value.clone()));
        assert_eq!(there_and_back(&nested(MAX_DEPTH)), Ok(nested(MAX_DEPTH)));
    }

    #[test]
    fn values_that_no_message_can_hold_are_refused() {
        assert_eq!(there_and_back(&nested(MAX_DEPTH + 1)), Err(ErrorCode::TooDeep));
        assert_eq!(there_and_back(&Value::Set(vec![nested(1)])), Err(ErrorCode::Unhashable));
        let huge = BigInt::from(10).pow(MAX_INT_DIGITS as u32);
        assert_eq!(there_and_back(&Value::BigInt(huge.clone())), Err(ErrorCode::TooManyDigits));
        assert!(there_and_back(&Value::BigInt(huge - 1)).is_ok());
        let equal = Value::Dict(vec![(1.into(), 1.into()), (1.0.into(), 2.into())]);
        assert_eq!(there_and_back(&equal), Ok(Value::Dict(vec![(1.into(), 2.into())])));
    }
}
