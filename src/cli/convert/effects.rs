//! What a pickle would do if Python unpickled it.
//!
//! The opcodes are followed with the texts of values in place of values: nothing is imported,
//! called or built, and a text is cut before it grows, so following a pickle costs time in
//! proportion to its length.

use crate::cli::visible;
use std::collections::HashMap;
use std::rc::Rc;

use crate::codec::pickle::{Argument, Opcode, opcodes};

/// Characters of a value that are shown.
const SHOWN: usize = 120;
/// Deeds that are listed.
const LISTED: usize = 20;
/// Values that are kept on the stack, or in the memo.
const KEPT: usize = 1 << 20;

/// What Python would import, call, build and fetch, in order: `import posix.system`, `call
/// posix.system("id")`.
pub(super) fn of(pickle: &[u8]) -> Vec<String> {
    let mut follow = Follow::default();
    for opcode in opcodes(pickle) {
        let Ok(opcode) = opcode else { break };
        if follow.step(&opcode).is_none() {
            break;
        }
        if follow.effects.len() > LISTED || follow.stack.len() > KEPT || follow.memo.len() > KEPT {
            follow.effects.truncate(LISTED);
            follow.effects.push("do more than is listed here".into());
            break;
        }
    }
    follow.effects
}

/// A value as it is shown.
type Shown = Rc<str>;

#[derive(Default)]
struct Follow {
    /// `None` is a mark.
    stack: Vec<Option<Shown>>,
    memo: HashMap<u64, Shown>,
    effects: Vec<String>,
}

impl Follow {
    /// Follows an opcode. `None` where the pickle makes no sense; Python would stop there as well.
    fn step(&mut self, Opcode { name, argument, .. }: &Opcode<'_>) -> Option<()> {
        let value: Shown = match *name {
            "PROTO" | "FRAME" | "STOP" => return Some(()),
            "MARK" => {
                self.stack.push(None);
                return Some(());
            }
            "POP" => {
                self.stack.pop()?;
                return Some(());
            }
            "POP_MARK" => {
                self.marked()?;
                return Some(());
            }
            "DUP" => self.stack.last()?.clone()?,
            "PUT" | "BINPUT" | "LONG_BINPUT" => {
                self.memo.insert(number(argument)?, self.stack.last()?.clone()?);
                return Some(());
            }
            "MEMOIZE" => {
                self.memo.insert(self.memo.len() as u64, self.stack.last()?.clone()?);
                return Some(());
            }
            "GET" | "BINGET" | "LONG_BINGET" => self.memo.get(&number(argument)?)?.clone(),

            "NONE" => "None".into(),
            "NEWTRUE" => "True".into(),
            "NEWFALSE" => "False".into(),
            "EMPTY_LIST" => "[]".into(),
            "EMPTY_DICT" => "{}".into(),
            "EMPTY_TUPLE" => "()".into(),
            "EMPTY_SET" => "set()".into(),
            "TUPLE1" | "TUPLE2" | "TUPLE3" => {
                let count =
                    usize::from(name.ends_with('2')) + 2 * usize::from(name.ends_with('3')) + 1;
                let items = self.take(count)?;
                tuple(&items)
            }
            "TUPLE" => tuple(&self.marked()?),
            "LIST" => cut(format!("[{}]", self.marked()?.join(", "))),
            "FROZENSET" => cut(format!("frozenset({{{}}})", self.marked()?.join(", "))),
            "DICT" => cut(format!("{{{}}}", self.marked()?.join(", "))),
            "APPEND" | "APPENDS" | "SETITEM" | "SETITEMS" | "ADDITEMS" => {
                let items = match *name {
                    "APPEND" => self.take(1)?,
                    "SETITEM" => self.take(2)?,
                    _ => self.marked()?,
                };
                let container = self.pop()?;
                let open = container.strip_suffix([']', '}', ')']).unwrap_or(&container);
                let comma = if open.len() <= 1 || items.is_empty() { "" } else { ", " };
                let close = &container[open.len()..];
                cut(format!("{open}{comma}{}{close}", items.join(", ")))
            }

            "GLOBAL" => {
                let Argument::Lines(module, name) = argument else { return None };
                self.import(&text(module), &text(name))
            }
            "STACK_GLOBAL" => {
                let names = self.take(2)?;
                let bare = |name: &Shown| name.trim_matches('"').to_owned();
                self.import(&bare(&names[0]), &bare(&names[1]))
            }
            "INST" => {
                let Argument::Lines(module, name) = argument else { return None };
                let class = self.import(&text(module), &text(name));
                let args = self.marked()?;
                self.call(&class, &tuple(&args))
            }
            "OBJ" => {
                let mut args = self.marked()?;
                if args.is_empty() {
                    return None;
                }
                let class = args.remove(0);
                self.call(&class, &tuple(&args))
            }
            "REDUCE" | "NEWOBJ" => {
                let both = self.take(2)?;
                self.call(&both[0], &both[1])
            }
            "NEWOBJ_EX" => {
                let all = self.take(3)?;
                self.call(&all[0], &cut(format!("(*{}, **{})", all[1], all[2])))
            }
            "BUILD" => {
                let state = self.pop()?;
                let object = self.stack.last()?.clone()?;
                self.effects.push(format!("set the state of {object} to {state}"));
                return Some(());
            }
            "PERSID" | "BINPERSID" => {
                let id = match argument {
                    Argument::Line(id) => text(id),
                    _ => self.pop()?.to_string(),
                };
                self.effects.push(format!("fetch the object with the persistent id {id}"));
                cut(format!("<object {id}>"))
            }
            "EXT1" | "EXT2" | "EXT4" => {
                let number = number(argument)?;
                self.effects.push(format!("import the registered extension {number}"));
                cut(format!("<extension {number}>"))
            }
            "NEXT_BUFFER" => {
                self.effects.push("fetch a buffer from outside".into());
                "<buffer>".into()
            }
            "READONLY_BUFFER" => return Some(()),

            "BININT" | "BININT1" | "BININT2" => cut(number(argument)?.to_string()),
            "BINFLOAT" => match argument {
                Argument::Number(bytes) => {
                    cut(format!("{:?}", f64::from_be_bytes((*bytes).try_into().ok()?)))
                }
                _ => return None,
            },
            "LONG1" | "LONG4" => "<int>".into(),
            "SHORT_BINBYTES" | "BINBYTES" | "BINBYTES8" | "BYTEARRAY8" => match argument {
                Argument::Counted(bytes) => {
                    cut(format!("b\"{}\"", bytes[..bytes.len().min(SHOWN)].escape_ascii()))
                }
                _ => return None,
            },
            "STRING" | "UNICODE" => match argument {
                Argument::Line(line) => {
                    let line = text(line);
                    cut(format!("{:?}", line.trim_matches(['\'', '"'])))
                }
                _ => return None,
            },
            _ => match argument {
                Argument::Counted(bytes) => cut(format!("{:?}", text(bytes))),
                Argument::Line(line) => cut(text(line)),
                _ => return None,
            },
        };
        self.stack.push(Some(value));
        Some(())
    }

    fn import(&mut self, module: &str, name: &str) -> Shown {
        let full = cut(format!("{module}.{name}"));
        if !is_plain(&full) {
            self.effects.push(format!("import {full}"));
        }
        full
    }

    fn call(&mut self, function: &Shown, args: &Shown) -> Shown {
        let args =
            args.strip_suffix(",)").map_or_else(|| args.to_string(), |args| format!("{args})"));
        let call = cut(format!("{function}{args}"));
        if !is_plain(function) {
            self.effects.push(format!("call {call}"));
        }
        call
    }

    fn pop(&mut self) -> Option<Shown> {
        self.stack.pop()?
    }

    fn take(&mut self, count: usize) -> Option<Vec<Shown>> {
        let from = self.stack.len().checked_sub(count)?;
        self.stack.drain(from..).collect()
    }

    /// What lies above the last mark, which goes with it.
    fn marked(&mut self) -> Option<Vec<Shown>> {
        let mark = self.stack.iter().rposition(Option::is_none)?;
        let items = self.stack.drain(mark..).skip(1).flatten().collect();
        Some(items)
    }
}

/// What picklers write for plain data, see `codec::pickle`.
fn is_plain(name: &str) -> bool {
    let builtin = name.strip_prefix("builtins.").or_else(|| name.strip_prefix("__builtin__."));
    matches!(builtin, Some("set" | "frozenset" | "bytes" | "bytearray")) || name == "_codecs.encode"
}

fn tuple(items: &[Shown]) -> Shown {
    cut(format!("({}{})", items.join(", "), if items.len() == 1 { "," } else { "" }))
}

/// Makes a text fit to be shown: one line, of at most [`SHOWN`] characters.
fn cut(text: String) -> Shown {
    if text.chars().nth(SHOWN).is_none() && !text.contains(visible::is_hidden) {
        return text.into();
    }
    let mut shown: String =
        text.chars().take(SHOWN).map(|c| if visible::is_hidden(c) { '.' } else { c }).collect();
    shown.push('…');
    shown.into()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN * 4)]).into_owned()
}

fn number(argument: &Argument<'_>) -> Option<u64> {
    match argument {
        Argument::Number(bytes) => {
            Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
        }
        Argument::Line(line) => str::from_utf8(line).ok()?.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pickle: &[u8], expected: &[&str]) {
        assert_eq!(of(pickle), expected, "{}", pickle.escape_ascii());
    }

    #[test]
    fn a_pickle_is_told_by_what_it_would_do() {
        check(
            b"cposix\nsystem\n(S'id'\ntR.",
            &["import posix.system", "call posix.system(\"id\")"],
        );
        let stack_global =
            b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94.";
        check(stack_global, &["import posix.system", "call posix.system(\"id\")"]);
        check(b"(S'id'\nios\nsystem\n.", &["import os.system", "call os.system(\"id\")"]);
        check(b"(cos\nsystem\nS'id'\no.", &["import os.system", "call os.system(\"id\")"]);
        check(
            b"c__main__\nA\n)\x81}S'x'\nK\x05sb.",
            &[
                "import __main__.A",
                "call __main__.A()",
                "set the state of __main__.A() to {\"x\", 5}",
            ],
        );
        check(b"P12\n.", &["fetch the object with the persistent id 12"]);
        check(b"\x82\x05.", &["import the registered extension 5"]);
        check(b"cbuiltins\nset\n(]K\x01atR.", &[]);
    }

    #[test]
    fn what_makes_no_sense_ends_it() {
        for broken in
            [&b""[..], b"R", b"0", b"t", b"g5\n", b"\x93", b"\xff", b"cos\nsystem\nR", b"o", b"(o"]
        {
            assert!(of(broken).len() <= 1, "{broken:?}");
        }
    }

    #[test]
    fn a_long_pickle_is_cut_short() {
        let many = [&b"cos\nsystem\n(S'id'\ntR0".repeat(1_000)[..], b"."].concat();
        assert_eq!(of(&many).len(), LISTED + 1);
        let deep = [&b"]"[..], &b"2a".repeat(10_000), b"P1\n."].concat();
        assert_eq!(of(&deep).len(), 1);
        let terminal = b"cos\x1b[31m\nx\n.";
        check(terminal, &["import os.[31m.x…"]);
    }
}
