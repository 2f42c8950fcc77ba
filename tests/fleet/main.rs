//! The whole fleet on real services: one binary.

#![allow(clippy::unwrap_used, reason = "a test panics, and says why")]

#[path = "../platform/mod.rs"]
mod platform;

mod alerts;
mod bad_input;
mod booking;
mod browser;
mod comparison;
mod contract;
mod counted;
mod customer;
mod discretion;
mod dumps;
mod explain;
mod exporter;
mod faults;
mod formats;
mod grafana;
mod http;
mod interventions;
mod kept;
mod live;
mod majors;
mod memory;
mod notifications;
mod odoo;
mod odoo_upgrade;
mod overrides;
mod pages;
mod queue;
mod retention;
mod rolling;
mod runners;
mod sample;
mod scripts;
mod sessions;
mod standalone;
mod traces;
mod tryton;
