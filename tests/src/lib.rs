//! End-to-end, golden, parity and cross-backend tests
