//! XML, read with quick-xml.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::events::Event;

pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\t', "&#9;")
}

/// The root's attributes; of its children the texts, those of a list's items with commas.
pub fn fields(document: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    let mut reader = Reader::from_str(document);
    let mut open: Vec<String> = Vec::new();
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error}: {document}")) {
            Event::Start(tag) | Event::Empty(tag) if open.is_empty() => {
                assert_eq!(tag.name().as_ref(), "frame", "{document}");
                for attribute in tag.attributes() {
                    let attribute = attribute.unwrap_or_else(|error| panic!("{error}: {document}"));
                    let name = attribute.key.as_ref().to_owned();
                    let value = unescape(&attribute.value);
                    assert!(fields.insert(name, value).is_none(), "{document}");
                }
                open.push("frame".into());
            }
            Event::Start(tag) => {
                let name = tag.name().as_ref().to_owned();
                if open.len() == 1 {
                    fields.entry(name.clone()).or_default();
                } else if let Some(field) = fields.get_mut(&open[1])
                    && !field.is_empty()
                {
                    field.push(',');
                }
                open.push(name);
            }
            Event::End(_) => drop(open.pop()),
            Event::Text(text) if open.len() > 1 => {
                let text = unescape(&text);
                fields.get_mut(&open[1]).unwrap().push_str(&text);
            }
            Event::GeneralRef(name) if open.len() > 1 => {
                let text = unescape(&format!("&{};", &*name));
                fields.get_mut(&open[1]).unwrap().push_str(&text);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(open.is_empty(), "{document}");
    fields
}

/// The whole element of a child of the root, as it stands.
pub fn child(document: &str, wanted: &str) -> Option<String> {
    let mut reader = Reader::from_str(document);
    let mut depth = 0;
    let mut start = None;
    let mut found = None;
    loop {
        let before = reader.buffer_position() as usize;
        match reader.read_event().unwrap_or_else(|error| panic!("{error}: {document}")) {
            Event::Start(tag) => {
                if depth == 1 && tag.name().as_ref() == wanted {
                    start = Some(before);
                }
                depth += 1;
            }
            Event::Empty(tag) if depth == 1 && tag.name().as_ref() == wanted => {
                found = Some(document[before..reader.buffer_position() as usize].to_owned());
            }
            Event::End(_) => {
                depth -= 1;
                if depth == 1
                    && let Some(start) = start.take()
                {
                    found = Some(document[start..reader.buffer_position() as usize].to_owned());
                }
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

fn unescape(text: &str) -> String {
    quick_xml::escape::unescape(text).unwrap().into_owned()
}
