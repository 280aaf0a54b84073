//! Limits of a payload that a deployment made tighter than those of every reader.
//!
//! The readers hold a payload to the limits that all formats share. Looking again costs a second
//! reading, which only those pay who ask for less.

use super::decode::decode_part;
use super::payload_span::PayloadSpan;
use crate::node::value_depth;
use crate::protocol::{ErrorCode, Format, Limits, MAX_DEPTH, MAX_INT_DIGITS, Refusal};
use crate::{Document, Node, View};

/// Holds a payload that was read to `limits`. `document` may hold it, and is as it was afterwards.
///
/// # Errors
/// [`ErrorCode::TooDeep`] and [`ErrorCode::TooManyDigits`].
pub(super) fn hold_to_tighter_limits(
    source: &[u8],
    format: Format,
    message: &PayloadSpan,
    document: &mut Document,
    limits: &Limits,
) -> Result<(), Refusal> {
    if limits.depth >= MAX_DEPTH && limits.int_digits >= MAX_INT_DIGITS {
        return Ok(());
    }
    match message.document {
        Some(root) => judge(source, document, root, limits),
        None => {
            let mark = document.mark();
            let judged = decode_part(source, format, &message.part, document, &Limits::NONE)
                .and_then(|root| judge(source, document, root, limits));
            document.truncate(mark);
            judged
        }
    }
}

fn judge(source: &[u8], document: &Document, root: usize, limits: &Limits) -> Result<(), Refusal> {
    let value = document.view(source, root);
    let depth = value_depth(value.nodes());
    if depth > limits.depth {
        let reason =
            format!("the message nests {depth} deep; this broker's limit is {}", limits.depth);
        return Err(Refusal::new(ErrorCode::TooDeep, reason));
    }
    let digits = value.nodes().iter().map(|node| digits(*node, value)).max().unwrap_or(0);
    if digits > limits.int_digits {
        let reason =
            format!("an integer has {digits} digits; this broker's limit is {}", limits.int_digits);
        return Err(Refusal::new(ErrorCode::TooManyDigits, reason));
    }
    Ok(())
}

fn digits(node: Node, value: View<'_>) -> usize {
    match node {
        Node::Int(number) => {
            number.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1)
        }
        Node::BigInt(text) => text.len() - usize::from(value.text(text).starts_with(b"-")),
        _ => 0,
    }
}
