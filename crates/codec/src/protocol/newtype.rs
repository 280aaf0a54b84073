//! Names of newtype structs, by which a type reaches a serializer that knows it: every other one
//! passes a newtype struct over and writes what is in it.

use super::ScalarType;

/// What a [`Value`](super::Value) is read as, so that it gets its type.
pub const VALUE: &str = "$babelmq::Value";

/// What stands before the name of a scalar type.
const PREFIX: &str = "$babelmq::";

/// The name that says that a text is of this type.
pub const fn name_of(scalar: ScalarType) -> &'static str {
    match scalar {
        ScalarType::Datetime => "$babelmq::datetime",
        ScalarType::Date => "$babelmq::date",
        ScalarType::Time => "$babelmq::time",
        ScalarType::Timedelta => "$babelmq::timedelta",
        ScalarType::Decimal => "$babelmq::decimal",
        ScalarType::Uuid => "$babelmq::uuid",
        ScalarType::Fraction => "$babelmq::fraction",
        ScalarType::Complex => "$babelmq::complex",
    }
}

/// The type that a newtype struct's name says.
pub fn type_named(name: &str) -> Option<ScalarType> {
    ScalarType::named(name.strip_prefix(PREFIX)?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_a_name_of_its_own() {
        for scalar in ScalarType::ALL {
            assert_eq!(type_named(name_of(scalar)), Some(scalar));
        }
        assert_eq!(type_named(VALUE), None);
        assert_eq!(type_named("datetime"), None);
    }
}
