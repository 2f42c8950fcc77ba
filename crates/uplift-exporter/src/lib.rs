//! uplift-exporter
