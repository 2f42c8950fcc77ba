//! The platform's services as its clients meet them: a real object store, a real broker, a real ledger.

mod hints;
mod ledger;
mod objects;
