//! The core against its promise.

mod cases;
mod model;
