//! Which of some media types a client would rather have (RFC 9110 §12.5.1).

use super::request::Head;

/// The first of `offered`, in the order of what the client prefers, with those that it prefers
/// equally in the order in which they are offered; those that it does not take are left out. All of
/// them where it says nothing.
pub(super) fn preferred(head: &Head, offered: &[&'static str]) -> Vec<&'static str> {
    let ranges: Vec<(&str, u16)> = head
        .list("accept")
        .filter_map(|item| std::str::from_utf8(item).ok())
        .map(|item| {
            let (range, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = parameters.split(';').find_map(|parameter| {
                let (name, value) = parameter.trim().split_once('=')?;
                name.trim().eq_ignore_ascii_case("q").then(|| thousandths(value.trim()))
            });
            (range.trim(), weight.unwrap_or(1_000))
        })
        .collect();
    if ranges.is_empty() {
        return offered.to_vec();
    }
    let weight = |media: &str| {
        let kind = media.split('/').next().unwrap_or_default();
        let exact = |range: &str| range.eq_ignore_ascii_case(media);
        let of_kind = |range: &str| {
            let (first, rest) = range.split_once('/').unwrap_or_default();
            rest == "*" && first.eq_ignore_ascii_case(kind)
        };
        let find = |is: &dyn Fn(&str) -> bool| ranges.iter().find(|(range, _)| is(range));
        // The most specific range decides.
        let found =
            find(&exact).or_else(|| find(&of_kind)).or_else(|| find(&|range| range == "*/*"));
        found.map_or(0, |(_, weight)| *weight)
    };
    let mut taken: Vec<&str> = offered.iter().copied().filter(|media| weight(media) > 0).collect();
    taken.sort_by_key(|media| std::cmp::Reverse(weight(media)));
    taken
}

/// A weight from 0 to 1 in thousandths; what is none is 0.
fn thousandths(text: &str) -> u16 {
    let weight = text.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight));
    weight.map_or(0, |weight| (weight * 1_000.0) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_range_decides() {
        const OFFERED: &[&str] = &["application/json", "application/xml", "text/plain"];
        for (accept, expected) in [
            ("", &[0, 1, 2][..]),
            ("Accept: */*\r\n", &[0, 1, 2]),
            ("Accept: application/xml\r\n", &[1]),
            ("Accept: TEXT/*, application/json;q=0.5\r\n", &[2, 0]),
            ("Accept: application/*;q=0.1, */*;q=0.2, application/json;q=0\r\n", &[2, 1]),
            ("Accept: text/html\r\n", &[]),
            ("Accept: text/html\r\nAccept: application/xml ; q=1.0\r\n", &[1]),
            ("Accept: application/json;q=2, text/plain;q=x, application/xml;q=0.001\r\n", &[1]),
        ] {
            let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{accept}\r\n");
            let (head, _) = Head::parse(text.as_bytes()).unwrap();
            let expected: Vec<&str> = expected.iter().map(|at| OFFERED[*at]).collect();
            assert_eq!(preferred(&head, OFFERED), expected, "{accept}");
        }
    }
}
