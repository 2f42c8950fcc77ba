//! JSON as the ledger can hold it.

use serde::Serialize;
use serde_json::Value;

use super::LedgerError;

/// A value as JSON, with U+FFFD for every NUL: Postgres has no such character, and a hostile dump may have put
/// one into the statement or the message that a failure quotes.
pub(super) fn storable<T: Serialize + ?Sized>(value: &T) -> Result<Value, LedgerError> {
    let mut json = serde_json::to_value(value).map_err(|error| LedgerError::Unreadable(error.to_string()))?;
    replace_nul(&mut json);
    Ok(json)
}

fn replace_nul(json: &mut Value) {
    match json {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(items) => items.iter_mut().for_each(replace_nul),
        // Keys are names of fields, written in this project.
        Value::Object(fields) => fields.values_mut().for_each(replace_nul),
        _ => {}
    }
}
