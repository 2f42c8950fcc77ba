//! What makes two failures alike: where they happened and what was said, without the values of one database.

use std::sync::LazyLock;

use regex_lite::{Captures, Regex};
use sha2::{Digest as _, Sha256};

use crate::failure::{Failure, Rejection, ScriptFailure};

/// What two failures that are alike have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// 16 hexadecimal digits of the pattern's sha256.
    pub hash: String,
    /// Product, step, SQLSTATE or the failure's code, and the message without values, for people.
    pub pattern: String,
}

/// How much of a message counts, in characters: what is behind is detail.
const LONGEST: usize = 300;

/// What is taken out of a message, by what stands in its place. Names of tables, columns and constraints stand in double
/// quotes and stay; a value in double quotes stands behind a colon.
static VALUES: LazyLock<[(Regex, &str); 5]> = LazyLock::new(|| {
    [
        (r"=\([^)]*\)", "=(…)"),
        (r#": "[^"]*""#, ": …"),
        (r"(^|[\s(\[{=:,])'[^']*'", "$1…"),
        (r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b0x[0-9a-fA-F]+", "#"),
        (r"[0-9]+(?:[.,:][0-9]+)*", "#"),
    ]
    .map(|(pattern, instead)| (Regex::new(pattern).expect("a pattern that is tested"), instead))
});

impl Fingerprint {
    /// The fingerprint of a failure of an upgrade of a product, where that is known.
    #[must_use]
    pub fn of(product: Option<&str>, failure: &Failure) -> Self {
        let (code, message) = match failure {
            Failure::ScriptFailed(ScriptFailure { sqlstate, message, .. })
            | Failure::InputRejected(Rejection { sqlstate, message, .. }) => {
                (sqlstate.as_deref(), message.as_str())
            }
            Failure::Infrastructure { message, .. } | Failure::Discrepancy { message } => {
                (None, message.as_str())
            }
            _ => (None, ""),
        };
        let code = code.unwrap_or_else(|| failure.code());
        let pattern =
            format!("{} {} {code}: {}", product.unwrap_or("?"), failure.place(), without_values(message));
        let hash = Sha256::digest(&pattern).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { hash, pattern }
    }
}

fn without_values(message: &str) -> String {
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line: String = line.chars().take(LONGEST).collect();
    VALUES.iter().fold(line, |line, (value, instead)| {
        let put =
            |found: &Captures<'_>| instead.replace("$1", found.get(1).map_or("", |start| start.as_str()));
        value.replace_all(&line, put).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(message: &str) -> Fingerprint {
        let failure = ScriptFailure {
            step: "17.0-18.0/partners".into(),
            sqlstate: Some("23505".into()),
            message: message.into(),
            ..ScriptFailure::default()
        };
        Fingerprint::of(Some("odoo"), &Failure::ScriptFailed(failure))
    }

    #[test]
    fn what_failed_alike_on_other_data_is_alike() {
        let alike = [
            [
                "invalid input syntax for type integer: \"12a\"",
                "invalid input syntax for type integer: \"Main Street, 4\"",
            ],
            ["value 4711 is out of range", "value 12.5 is out of range"],
            ["KeyError: 'Acme Ltd'", "KeyError: 'Globex'"],
            [
                "duplicate key: Key (code)=(A-1) is there twice",
                "duplicate key: Key (code)=(B-1) is there twice",
            ],
            [
                "record 3f2c8a52-0b7d-4b1e-9a3c-6d8e1f2a3b4c at 0x7f00aa is gone\nmore",
                "record 11111111-2222-3333-4444-555555555555 at 0x1 is gone\nother",
            ],
        ];
        for [one, other] in alike {
            assert_eq!(of(one), of(other));
        }
    }

    #[test]
    fn what_failed_on_another_object_or_elsewhere_is_not() {
        let one = of("could not create unique index \"res_partner_code\"");
        assert_eq!(
            one.pattern,
            "odoo 17.0-18.0/partners 23505: could not create unique index \"res_partner_code\""
        );
        assert_ne!(one, of("could not create unique index \"res_partner_name\""));
        let error = "psycopg2.errors.NotNullViolation: column \"code\" contains null values";
        assert_ne!(of(error), of("psycopg2.errors.UndefinedColumn: column \"code\" does not exist"));

        let failure = |step: &str| {
            Failure::ScriptFailed(ScriptFailure { step: step.into(), ..ScriptFailure::default() })
        };
        let of = |product, step| Fingerprint::of(product, &failure(step)).hash;
        assert_ne!(of(Some("odoo"), "1.0-2.0/split"), of(Some("tryton"), "1.0-2.0/split"));
        assert_ne!(of(Some("odoo"), "1.0-2.0/split"), of(Some("odoo"), "2.0-3.0/split"));
    }
}
