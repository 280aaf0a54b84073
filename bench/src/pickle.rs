//! Writes what `pickle.dumps` of CPython writes for plain data, in its default protocol 4.

use std::collections::HashMap;

use serde_json::Value;

/// The pickle of a value.
pub(crate) fn dumps(value: &Value) -> Vec<u8> {
    let mut pickler = Pickler::default();
    pickler.write(value);
    pickler.out.push(b'.');
    let frame = pickler.out;
    let mut out = vec![0x80, 4];
    if frame.len() >= 4 {
        out.push(0x95);
        out.extend((frame.len() as u64).to_le_bytes());
    }
    out.extend(frame);
    out
}

#[derive(Default)]
struct Pickler {
    out: Vec<u8>,
    memoised: usize,
    /// CPython shares the keys that are spelled alike in a program's source.
    keys: HashMap<String, usize>,
}

impl Pickler {
    fn write(&mut self, value: &Value) {
        match value {
            Value::Null => self.out.push(b'N'),
            Value::Bool(true) => self.out.push(0x88),
            Value::Bool(false) => self.out.push(0x89),
            Value::Number(number) => match number.as_i64() {
                Some(int) => self.int(int),
                None => {
                    self.out.push(b'G');
                    self.out.extend(number.as_f64().unwrap_or_default().to_be_bytes());
                }
            },
            Value::String(text) => self.text(text),
            Value::Array(items) => {
                self.out.push(b']');
                self.memoise();
                if let [item] = items.as_slice() {
                    self.write(item);
                    self.out.push(b'a');
                } else if !items.is_empty() {
                    self.out.push(b'(');
                    items.iter().for_each(|item| self.write(item));
                    self.out.push(b'e');
                }
            }
            Value::Object(members) => {
                self.out.push(b'}');
                self.memoise();
                if members.is_empty() {
                    return;
                }
                let many = members.len() > 1;
                if many {
                    self.out.push(b'(');
                }
                for (key, value) in members {
                    self.key(key);
                    self.write(value);
                }
                self.out.push(if many { b'u' } else { b's' });
            }
        }
    }

    fn memoise(&mut self) {
        self.out.push(0x94);
        self.memoised += 1;
    }

    fn key(&mut self, key: &str) {
        match self.keys.get(key) {
            Some(&at) if at < 256 => self.out.extend([b'h', at as u8]),
            _ => {
                self.keys.insert(key.to_owned(), self.memoised);
                self.text(key);
            }
        }
    }

    fn text(&mut self, text: &str) {
        match u8::try_from(text.len()) {
            Ok(length) => self.out.extend([0x8c, length]),
            Err(_) => {
                self.out.push(b'X');
                self.out.extend((text.len() as u32).to_le_bytes());
            }
        }
        self.out.extend(text.as_bytes());
        self.memoise();
    }

    fn int(&mut self, int: i64) {
        if let Ok(small) = u8::try_from(int) {
            self.out.extend([b'K', small]);
        } else if let Ok(short) = u16::try_from(int) {
            self.out.push(b'M');
            self.out.extend(short.to_le_bytes());
        } else if let Ok(word) = i32::try_from(int) {
            self.out.push(b'J');
            self.out.extend(word.to_le_bytes());
        } else {
            self.out.extend([0x8a, 8]);
            self.out.extend(int.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn as_cpython_writes_it() {
        // pickle.dumps({"a": [1, 300, -1], "b": {"a": 1.5, "c": None}})
        let expected =
            b"\x80\x04\x95\x2f\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94]\x94(K\x01M\x2c\x01J\xff\xff\xff\xffe\
            \x8c\x01b\x94}\x94(h\x01G\x3f\xf8\0\0\0\0\0\0\x8c\x01c\x94Nuu.";
        let value = json!({ "a": [1, 300, -1], "b": { "a": 1.5, "c": null } });
        assert_eq!(dumps(&value), expected);
    }
}
