//! The core against its promise.

mod cases;
mod desk;
mod model;
mod pressure;
mod world;
