//! The ledger on a real Postgres, a database per test.

mod accounts;
mod attempt;
mod cancel;
mod claim;
mod connect;
mod crowd;
mod desk;
mod fencing;
mod history;
mod interventions;
mod keeper;
mod log;
mod model;
mod overrides;
mod production;
mod scripts;
mod submit;
mod sweep;
mod uploads;
