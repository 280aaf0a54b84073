//! What there is, described for programs (OpenAPI 3.1).

use super::response::Response;

/// The description. Whoever adds an endpoint, a parameter or a code writes it there too.
const DESCRIPTION: &str = include_str!("openapi.json");

/// The description as an answer.
pub(crate) fn description() -> Response {
    Response::new(200).with_body("application/json", DESCRIPTION.into())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::super::call::ENDPOINTS;
    use super::super::problem::Problem;
    use super::super::response::reason;
    use super::*;
    use crate::protocol::{ErrorCode, Refusal};

    fn described() -> Value {
        serde_json::from_str(DESCRIPTION).unwrap()
    }

    /// The operations: of each path and method, which is in capitals, what is said.
    fn operations(description: &Value) -> BTreeMap<(&str, String), &Value> {
        let paths = description["paths"].as_object().unwrap().iter();
        let operations = paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, said)| ((path.as_str(), method.to_uppercase()), said))
        });
        operations.collect()
    }

    #[test]
    fn paths_methods_and_parameters_are_those_that_there_are() {
        let description = described();
        let operations = operations(&description);
        let mut count = 0;
        for (path, endpoint, methods) in ENDPOINTS {
            for method in *methods {
                let said = operations.get(&(*path, (*method).to_owned()));
                let said = said.unwrap_or_else(|| panic!("{method} {path} is not described"));
                let parameters = said["parameters"].as_array().into_iter().flatten();
                let names: Vec<&str> = parameters
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| parameter["name"].as_str().unwrap())
                    .collect();
                assert_eq!(names, endpoint.parameters(method), "{method} {path}");
                count += 1;
            }
        }
        assert_eq!(operations.len(), count, "something is described that there is not");
    }

    #[test]
    fn codes_and_statuses_are_those_that_there_are() {
        let description = described();
        let schemas = &description["components"]["schemas"];
        let codes: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(schemas["Problem"]["properties"]["code"]["enum"], serde_json::json!(codes));
        let mut described = BTreeSet::new();
        for ((path, method), said) in operations(&description) {
            for status in said["responses"].as_object().unwrap().keys() {
                let Ok(number) = status.parse::<u16>() else {
                    assert_eq!(status, "default", "{method} {path}");
                    continue;
                };
                assert_ne!(reason(number), reason(0), "{method} {path}: {status} is no status");
                described.insert(number);
            }
        }
        for code in ErrorCode::ALL {
            let status = Problem::from(Refusal::new(code, "no")).status();
            assert!(described.contains(&status), "no operation has {status}, of {code}");
        }
    }

    #[test]
    fn its_version_is_the_brokers() {
        assert_eq!(described()["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
