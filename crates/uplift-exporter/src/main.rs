//! uplift-exporter

fn main() {}
