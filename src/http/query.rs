//! The parameters in the query of a target.
//!
//! They are percent-encoded in UTF-8, and a plus is a plus: `topic=/a/+/b` is a filter. Of a form,
//! where it would be a space, nobody speaks here.

use percent_encoding::percent_decode_str;

use super::problem::Problem;
use crate::protocol::{Limits, Refusal, Topic, TopicFilter, check_topic_limits, check_writable};

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Query<'a> {
    parameters: Vec<(&'a str, String)>,
}

impl<'a> Query<'a> {
    /// Reads the parameters, of which these are known.
    ///
    /// # Errors
    /// Where one is not known, is given twice, or is no text.
    pub(super) fn parse(query: &'a str, known: &[&str]) -> Result<Query<'a>, Problem> {
        let mut parameters: Vec<(&str, String)> = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !known.contains(&name) {
                let what = match known {
                    [] => format!("there are no parameters here, and {name:?} is one"),
                    _ => format!("there is no parameter {name:?} here; there are {known:?}"),
                };
                return Err(Problem::new(400, what));
            }
            if parameters.iter().any(|(other, _)| *other == name) {
                return Err(Problem::new(400, format!("the parameter {name:?} is given twice")));
            }
            let decoded = percent_decode_str(value).decode_utf8().ok();
            let value = decoded.filter(|_| has_whole_escapes(value)).ok_or_else(|| {
                let what = format!("the parameter {name:?} is no percent-encoded UTF-8");
                Problem::new(400, what)
            })?;
            parameters.push((name, value.into_owned()));
        }
        Ok(Query { parameters })
    }

    /// A parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// One that is true or false.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.get(name) {
            None => Ok(None),
            // `?exact` by itself says it.
            Some("true" | "") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                let what = format!("the parameter {name:?} is true or false, and not {other:?}");
                Err(Problem::new(400, what))
            }
        }
    }

    /// One that is a number.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|text| text.parse().ok());
        number.map(Some).ok_or_else(|| {
            Problem::new(400, format!("the parameter {name:?} is a number, and not {text:?}"))
        })
    }

    /// The topic that is needed.
    pub(super) fn topic(&self, limits: &Limits) -> Result<Topic, Problem> {
        let text = self.needed("topic", "/weather/oslo")?;
        let topic = check_topic_limits(text, limits).and_then(|()| Topic::parse(text));
        topic.map_err(|refusal| refusal.about(text).into())
    }

    /// The topic that is needed and can be published to.
    pub(super) fn writable(&self, limits: &Limits) -> Result<Topic, Problem> {
        let topic = self.topic(limits)?;
        let about = |refusal: Refusal| refusal.about(topic.as_str());
        check_writable(topic.as_str()).map_err(about)?;
        Ok(topic)
    }

    /// The filter that is needed.
    pub(super) fn filter(&self, limits: &Limits) -> Result<TopicFilter, Problem> {
        filter(self.needed("topic", "/weather")?, limits)
    }

    fn needed(&self, name: &str, example: &str) -> Result<&str, Problem> {
        self.get(name).ok_or_else(|| {
            let what = format!("the parameter {name:?} is missing, as in ?{name}={example}");
            Problem::new(400, what)
        })
    }
}

/// Whether two digits follow each percent sign; a decoder takes any other for itself.
fn has_whole_escapes(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|digit| digit.is_ascii_hexdigit()))
}

/// A topic filter.
pub(super) fn filter(text: &str, limits: &Limits) -> Result<TopicFilter, Problem> {
    let filter = check_topic_limits(text, limits).and_then(|()| TopicFilter::parse(text));
    filter.map_err(|refusal| refusal.about(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_percent_encoded_and_a_plus_is_a_plus() {
        let query =
            Query::parse("topic=/a%20b/+/%C3%A9&exact&limit=7", &["topic", "exact", "limit"]);
        let query = query.unwrap();
        assert_eq!(query.get("topic"), Some("/a b/+/é"));
        assert_eq!((query.truth("exact"), query.number("limit")), (Ok(Some(true)), Ok(Some(7))));
        assert_eq!((query.truth("no"), query.number("no")), (Ok(None), Ok(None)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (query, expected) in [
            ("topik=/a", "no parameter \"topik\" here; there are [\"topic\", \"limit\"]"),
            ("topic=/a&topic=/b", "given twice"),
            ("topic=%ff", "percent-encoded UTF-8"),
            ("topic=/a%", "percent-encoded UTF-8"),
            ("topic=/a%2", "percent-encoded UTF-8"),
            ("topic=/a%2g&limit=1", "percent-encoded UTF-8"),
        ] {
            let problem = Query::parse(query, &["topic", "limit"]).unwrap_err();
            assert!(format!("{problem:?}").contains(&expected.replace('"', "\\\"")), "{problem:?}");
        }
        let query = Query::parse("limit=+7&topic=a", &["topic", "limit"]).unwrap();
        assert!(query.number("limit").is_err() && query.truth("topic").is_err());
        let query = Query::parse("topic=a/%23/b", &["topic"]).unwrap();
        assert_eq!(query.topic(&Limits::default()).unwrap_err().status(), 400);
    }
}
